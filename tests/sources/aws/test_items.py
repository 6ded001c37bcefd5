"""Samples of items: what is asked, what it may cost, and that no value gets out."""

import hashlib
import json
import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.parsers import ResponseParserError
from moto.dynamodb.models import dynamodb_backends

from auditor.config import NO_SAMPLING, Sampling
from auditor.facts import Gap, Hit, ItemSample, Reason, TableSettings
from auditor.facts.base import Need, Signature, raw_closure
from auditor.inventory import Caller, Inventory, dumps
from auditor.resources import Region, Table
from auditor.sources.aws.collect import collect
from auditor.sources.aws.items import kind_of
from auditor.sources.aws.session import Access
from auditor.sources.aws.values import Tally
from tests.sources.aws.conftest import ACCOUNT, answer, create_table

HERE = Region(ACCOUNT, "eu-west-1")
ORDERS = Table(HERE, "orders")
SCAN, DESCRIBE = "dynamodb:Scan", "dynamodb:DescribeTable"
HEADERS = Sampling(items_per_table=10, max_rcu=1000)
VALUES = Sampling(items_per_table=10, values=True, max_rcu=1000)
CARD = "4111111111111111"

Sample = Callable[..., Inventory]


@pytest.fixture
def take(access: Access) -> Sample:
    """Collect the sample of every table, and other facts: ``take(VALUES, TableSettings)``."""

    def run(sampling: Sampling = HEADERS, *others: type) -> Inventory:
        needs = tuple(Need(one.__name__, one, optional=True) for one in (ItemSample, *others))
        signature = Signature((Table,), needs)
        wanted = raw_closure([signature])
        return collect([access], Caller(ACCOUNT.id, "arn"), ["eu-west-1"], wanted, waits=(), sampling=sampling)

    return run


def sample(inventory: Inventory) -> ItemSample:
    found = inventory.facts[ItemSample][ORDERS]
    assert isinstance(found, ItemSample), found
    return found


def gap(inventory: Inventory) -> Gap:
    found = inventory.facts[ItemSample][ORDERS]
    assert isinstance(found, Gap), found
    return found


def head(legend: bytes = b"es", *, version: int = 2, flavour: int = 1, length: int | None = None) -> bytes:
    """Return a header of the AWS Database Encryption SDK: one data key, no encryption context."""
    size = (len(legend) if length is None else length).to_bytes(2, "big")
    keys = b"\x01" + b"".join(len(one).to_bytes(2, "big") + one for one in (b"aws-kms", b"arn", b"\x07" * 40))
    return bytes([version, flavour]) + b"\x05" * 32 + size + legend + b"\x00\x00" + keys + b"\x09" * 32


def sealed(legend: bytes = b"es", **more: Any) -> dict[str, Any]:
    return {"aws_dbe_head": {"B": head(legend, **more)}, "aws_dbe_foot": {"B": b"\x01" * 96}}


def fill(*items: dict[str, Any], **settings: Any) -> None:
    create_table("orders", **settings)
    client = boto3.client("dynamodb")
    for number, item in enumerate(items):
        client.put_item(TableName="orders", Item={"pk": {"S": f"order-{number}"}} | item)


def page(*items: dict[str, Any], units: float | None = 0.5, last: str | None = None) -> dict[str, Any]:
    answered: dict[str, Any] = {"Items": list(items), "Count": len(items), "ScannedCount": len(items)}
    if units is not None:
        answered["ConsumedCapacity"] = {"TableName": "orders", "CapacityUnits": units}
    if last is not None:
        answered["LastEvaluatedKey"] = {"pk": {"S": last}}
    return answered


def described(access: Access, **members: Any) -> None:
    """Make a table of which DescribeTable says that it is on demand and has a million items."""
    create_table("orders")
    table = {"TableName": "orders", "TableStatus": "ACTIVE", "ItemCount": 1_000_000} | members
    table.setdefault("BillingModeSummary", {"BillingMode": "PAY_PER_REQUEST"})
    answer(access, DESCRIBE, {"Table": table})


# What an item is


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        ({}, "plain"),
        ({"mail": {"S": "x"}}, "plain"),
        (sealed(), "encrypted"),
        (sealed(b"ssec", version=1, flavour=0), "encrypted"),
        (sealed(b"sssc"), "signed"),
        (sealed(b""), "signed"),
        ({"aws_dbe_head": {"B": head()}}, "malformed"),
        ({"aws_dbe_foot": {"B": b"x"}}, "malformed"),
        ({"aws_dbe_head": {"S": "e"}, "aws_dbe_foot": {"B": b"x"}}, "malformed"),
        ({"aws_dbe_head": {"B": head()}, "aws_dbe_foot": {"S": "x"}}, "malformed"),
        (sealed(b"ex"), "malformed"),
        (sealed(version=3), "malformed"),
        (sealed(flavour=2), "malformed"),
        (sealed(length=900), "malformed"),
        ({"aws_dbe_head": {"B": b""}, "aws_dbe_foot": {"B": b"x"}}, "malformed"),
        ({"aws_dbe_head": {"B": b"e" * 35}, "aws_dbe_foot": {"B": b"x"}}, "malformed"),
        ({"*amzn-ddb-map-desc*": {"B": b"d"}, "*amzn-ddb-map-sig*": {"B": b"s"}}, "legacy"),
        ({"*amzn-ddb-map-sig*": {"B": b"s"}}, "legacy-signed"),
        ({"*amzn-ddb-map-desc*": {"B": b"d"}}, "malformed"),
        ({"*amzn-ddb-map-desc*": {"S": "d"}, "*amzn-ddb-map-sig*": {"B": b"s"}}, "malformed"),
        ({"*amzn-ddb-map-sig*": {"S": "s"}}, "malformed"),
        (sealed() | {"*amzn-ddb-map-sig*": {"B": b"s"}}, "encrypted"),
    ],
)
def test_the_header_says_what_an_item_is(item: dict[str, Any], kind: str) -> None:
    assert kind_of(item) == kind


# What is asked


def test_without_sampling_no_item_is_asked_for(take: Sample, access: Access) -> None:
    fill({})
    asked = answer(access, SCAN, page())
    inventory = take(NO_SAMPLING)
    assert ItemSample not in inventory.facts
    assert asked == []


def test_items_of_a_replica_outside_the_audited_regions_are_not_read(take: Sample, access: Access) -> None:
    replica = Table(Region(ACCOUNT, "eu-central-1"), "orders")
    described(access, Replicas=[{"RegionName": "eu-central-1", "ReplicaArn": replica.arn, "ReplicaStatus": "ACTIVE"}])
    create_table("orders", "eu-central-1")
    answer(access, SCAN, page())
    elsewhere = answer(access, SCAN, page(), region="eu-central-1")
    inventory = take(HEADERS, TableSettings)
    assert replica in inventory.facts[TableSettings]
    assert set(inventory.facts[ItemSample]) == {ORDERS}
    assert elsewhere == []


def test_the_first_step_reads_only_what_encryption_adds(take: Sample, access: Access) -> None:
    fill(sealed() | {"mail": {"S": "ann@shop.eu"}}, {"mail": {"S": "bob@shop.eu"}})
    asked: list[dict[str, Any]] = []
    client = access.client("dynamodb", "eu-west-1")
    client.meta.events.register(
        "before-call.dynamodb.Scan", lambda params, **_: asked.append(json.loads(params["body"]))
    )
    found = sample(take())
    assert (found.items, found.kinds, found.exhausted, found.values, found.hits) == (
        2, {"encrypted": 1, "plain": 1}, True, False, (),
    )  # fmt: skip
    (request,) = asked
    assert set(request["ExpressionAttributeNames"].values()) == {
        *("aws_dbe_head", "aws_dbe_foot"),
        *("*amzn-ddb-map-desc*", "*amzn-ddb-map-sig*"),
    }
    assert request["ProjectionExpression"].split(",") == list(request["ExpressionAttributeNames"])
    assert request["ReturnConsumedCapacity"] == "TOTAL"
    assert (request["Limit"], "ConsistentRead" in request) == (10, False)


def test_the_second_step_counts_what_the_detectors_find(take: Sample) -> None:
    fill(*({"card": {"S": CARD}, "n": {"N": "1"}} for _ in range(4)), {"card": {"S": "none"}})
    found = sample(take(VALUES))
    assert found.hits == (Hit("card", "payment-card", 4, 5, 4),)
    assert (found.items, found.values, found.exhausted, found.stopped) == (5, True, True, None)


def test_attributes_of_keys_and_index_keys_are_known_as_such(take: Sample) -> None:
    index = {
        "IndexName": "by-card",
        "KeySchema": [{"AttributeName": "card", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "KEYS_ONLY"},
    }
    boto3.client("dynamodb").create_table(
        TableName="orders",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": one, "AttributeType": "S"} for one in ("pk", "card")],
        BillingMode="PAY_PER_REQUEST",
        GlobalSecondaryIndexes=[index],
    )
    boto3.client("dynamodb").put_item(
        TableName="orders", Item={"pk": {"S": "ann@shop.eu"}, "card": {"S": CARD}, "again": {"S": CARD}}
    )
    hits = sample(take(VALUES)).hits
    assert [(one.attribute, one.key) for one in hits] == [("again", False), ("card", True), ("pk", True)]


def test_an_empty_table_is_read_to_its_end(take: Sample) -> None:
    fill()
    found = sample(take())
    assert (found.items, found.exhausted, found.stopped, found.kinds) == (0, True, None, {})


def test_no_more_items_are_read_than_asked_for(take: Sample) -> None:
    fill(*({} for _ in range(14)))
    found = sample(take())
    assert (found.items, found.exhausted, found.stopped) == (10, False, None)


# What it may cost


@pytest.mark.parametrize("cap", [1, 49, 50, 99, 120])
@pytest.mark.parametrize("size", [0.5, 3, 20, 50])
def test_the_cap_is_exceeded_by_no_more_than_one_item(take: Sample, access: Access, cap: int, size: float) -> None:
    described(access)
    spent: list[float] = []

    def dear(request: dict[str, Any]) -> dict[str, Any]:
        spent.append(size * request["Limit"])
        return page(*({} for _ in range(request["Limit"])), units=spent[-1], last="x")

    answer(access, SCAN, dear)
    wanted = 60
    found = sample(take(Sampling(items_per_table=wanted, max_rcu=cap)))
    assert found.consumed == sum(spent)
    assert sum(spent[:-1]) < cap
    # One more item of the largest size may be what is read last; of items alike, not even that.
    assert sum(spent) <= max(cap, size)
    assert found.items == min(wanted, max(1, int(cap // size)))
    assert found.stopped == (None if found.items == wanted else "max_rcu")


def test_a_page_never_asks_for_more_than_the_rest_of_the_cap_would_pay_for(take: Sample, access: Access) -> None:
    described(access)
    asked = answer(access, SCAN, page({}, units=0.5, last="x"))
    take(Sampling(items_per_table=3, max_rcu=120))
    assert [one["Limit"] for one in asked] == [2, 2, 1]
    asked.clear()
    take(Sampling(items_per_table=3, max_rcu=50))
    assert [one["Limit"] for one in asked] == [1, 1, 1]


def test_a_cap_that_pays_for_a_full_page_takes_one_call(take: Sample, access: Access) -> None:
    described(access)
    asked = answer(access, SCAN, page(*({} for _ in range(25)), units=12, last="x"))
    assert sample(take(Sampling(items_per_table=25, max_rcu=128))).items == 25
    assert [one["Limit"] for one in asked] == [25]


def test_an_answer_without_its_price_counts_as_the_dearest(take: Sample, access: Access) -> None:
    described(access)
    asked = answer(access, SCAN, page({}, units=None, last="x"))
    found = sample(take(Sampling(items_per_table=5, max_rcu=50)))
    assert (len(asked), found.consumed, found.items, found.stopped) == (1, 50, 1, "max_rcu")


def test_pages_without_items_end_too(take: Sample, access: Access) -> None:
    described(access, ItemCount=10)
    asked = answer(access, SCAN, page(units=0, last="x"))
    found = sample(take(Sampling(items_per_table=5, max_rcu=10)))
    assert (found.items, found.exhausted, found.stopped, len(asked)) == (0, False, "max_rcu", 20)


@pytest.mark.parametrize(
    ("members", "skipped"),
    [
        (
            {"BillingModeSummary": {}, "ProvisionedThroughput": {"ReadCapacityUnits": 4}},
            "provisioned capacity below 5 read units",
        ),
        ({"BillingModeSummary": {}, "ProvisionedThroughput": {"ReadCapacityUnits": 5}}, None),
        ({"OnDemandThroughput": {"MaxReadRequestUnits": 4}}, "on-demand maximum below 5 read units"),
        ({"OnDemandThroughput": {"MaxReadRequestUnits": -1}}, None),
        ({"TableStatus": "UPDATING"}, None),
        ({"TableStatus": "CREATING"}, "the table is CREATING"),
        ({"TableStatus": "INACCESSIBLE_ENCRYPTION_CREDENTIALS"}, "the table is INACCESSIBLE_ENCRYPTION_CREDENTIALS"),
    ],
)
def test_tables_with_nothing_to_spare_or_out_of_service_are_not_read(
    take: Sample, access: Access, members: dict[str, Any], skipped: str | None
) -> None:
    described(access, **members)
    asked = answer(access, SCAN, page({}))
    found = sample(take())
    assert (found.skipped, bool(asked)) == (skipped, skipped is None)
    assert found.items == (0 if skipped else 10)


# Where it is read


def test_a_large_table_is_read_from_a_segment_that_its_arn_gives(take: Sample, access: Access) -> None:
    described(access)
    asked = answer(access, SCAN, page(*({} for _ in range(10)), last="x"))
    take()
    take()
    first, second = asked
    assert first == second
    assert (first["TotalSegments"], 0 <= first["Segment"] < 25_000) == (25_000, True)
    assert first["Segment"] == int.from_bytes(hashlib.sha256(ORDERS.arn.encode()).digest()[:8], "big") % 25_000


def test_pages_and_segments_follow_until_there_are_enough_items(take: Sample, access: Access) -> None:
    described(access, ItemCount=120)
    pages = [page({}, {}, last="x"), page({}), page({}, {}, {}), page({}, {}, {}, {}, last="y")]
    asked = answer(access, SCAN, *pages)
    found = sample(take())
    assert (found.items, found.exhausted, found.stopped) == (10, False, None)
    assert [one["Limit"] for one in asked] == [10, 8, 7, 4]
    segments = [one["Segment"] for one in asked]
    assert segments[0] == segments[1]
    assert asked[1]["ExclusiveStartKey"] == {"pk": {"S": "x"}}
    assert "ExclusiveStartKey" not in asked[2]
    assert segments[2:] == [(segments[0] + 1) % 3, (segments[0] + 2) % 3]


def test_a_table_read_through_all_its_segments_is_exhausted(take: Sample, access: Access) -> None:
    described(access, ItemCount=120)
    asked = answer(access, SCAN, page({}))
    found = sample(take())
    assert (found.items, found.exhausted, found.stopped) == (3, True, None)
    assert sorted(one["Segment"] for one in asked) == [0, 1, 2]


def test_empty_segments_lead_to_the_tables_beginning(take: Sample, access: Access) -> None:
    described(access)
    asked = answer(access, SCAN, *[page()] * 4, page({}, {}))
    found = sample(take())
    assert (found.items, found.exhausted) == (2, True)
    assert ["Segment" in one for one in asked] == [True] * 4 + [False]


# What fails


@pytest.mark.parametrize(
    ("code", "reason"),
    [("AccessDeniedException", Reason.ACCESS_DENIED), ("ProvisionedThroughputExceededException", Reason.THROTTLED)],
)
def test_a_scan_that_is_refused_is_a_gap(take: Sample, access: Access, code: str, reason: Reason) -> None:
    fill({})
    answer(access, SCAN, code)
    inventory = take()
    assert (gap(inventory).reason, gap(inventory).action) == (reason, SCAN)
    assert [(one.operation, one.code, one.fact) for one in inventory.errors] == [("Scan", code, "ItemSample")]


def test_a_second_page_that_is_refused_leaves_no_half_sample(take: Sample, access: Access) -> None:
    described(access)
    answer(access, SCAN, page({}, last="x"), "AccessDeniedException")
    assert gap(take(Sampling(items_per_table=2))).action == SCAN


def test_a_table_that_throttles_is_not_read_again_once_it_was_paid_for(access: Access) -> None:
    described(access)
    spent: list[float] = []

    def read(request: dict[str, Any]) -> dict[str, Any]:
        spent.append(20)
        return page({"aws_dbe_foot": {"B": b"x"}}, units=20, last="x")

    throttled = "ProvisionedThroughputExceededException"
    asked = answer(access, SCAN, throttled, *[read, throttled] * 4)
    wanted = raw_closure([Signature((Table,), (Need("sample", ItemSample, optional=True),))])
    sampling = Sampling(items_per_table=5, max_rcu=50)
    inventory = collect(
        [access], Caller(ACCOUNT.id, "arn"), ["eu-west-1"], wanted, waits=(0.0, 0.0, 0.0), sampling=sampling
    )
    found = sample(inventory)
    # What was refused before anything was read is asked again; then it is left alone, and what was read is kept.
    assert (len(asked), sum(spent)) == (3, 20)
    assert (found.items, found.kinds, found.consumed) == (1, {"malformed": 1}, 20)
    assert (found.stopped, found.exhausted) == ("throttling", False)


def refuse(access: Access, message: str, code: str = "AccessDeniedException") -> None:
    def handler(**_: Any) -> tuple[Any, dict[str, Any]]:
        error = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {}}
        return SimpleNamespace(status_code=400), error

    access.client("dynamodb", "eu-west-1").meta.events.register("before-call.dynamodb.Scan", handler)


@pytest.mark.parametrize(
    "message",
    [
        "KMS key access denied error: User: arn:aws:sts::123456789012:assumed-role/auditor/me is not authorized",
        "User: arn:aws:iam::123456789012:role/auditor is not authorized to perform: kms:Decrypt on this resource",
    ],
)
def test_a_key_that_refuses_is_named_as_the_cause(take: Sample, access: Access, message: str) -> None:
    fill({})
    refuse(access, message)
    inventory = take()
    assert (gap(inventory).reason, gap(inventory).action) == (Reason.ACCESS_DENIED, "kms:Decrypt")
    assert inventory.errors[0].message == message


def test_a_table_that_is_named_like_the_service_is_not_taken_for_a_key(take: Sample, access: Access) -> None:
    fill({})
    refuse(access, "User: me is not authorized to perform: dynamodb:Scan on resource: …table/kms-keys")
    assert gap(take()).action == SCAN


def test_a_table_that_is_deleted_in_between_is_dropped(take: Sample, access: Access) -> None:
    fill({})
    create_table("carts")

    def delete(request: Any, **_: Any) -> None:
        if b'"orders"' in request.body:  # the other table may be read first
            dynamodb_backends[ACCOUNT.id]["eu-west-1"].tables.pop("orders", None)

    access.client("dynamodb", "eu-west-1").meta.events.register_first("before-send.dynamodb.Scan", delete)
    found = take()
    assert found.of_kind(Table) == [Table(HERE, "carts")]
    assert [(one.operation, one.code) for one in found.errors] == [("Scan", "ResourceNotFoundException")]


# What gets out


def test_no_value_gets_out_of_the_sample(
    take: Sample, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)  # whoever listens to every logger there is
    private = ("ann.private@shop.eu", CARD, "a private remark", "carol@shop.eu")
    fill(
        *({"mail": {"S": private[0]}, "card": {"S": CARD}, "note": {"M": {"x": {"S": private[2]}}}} for _ in range(3)),
        {private[3]: {"S": "x"}},
    )
    caplog.clear()
    inventory = take(VALUES)
    assert "Scan" in caplog.text
    assert {one.detector for one in sample(inventory).hits} == {"email", "payment-card"}
    everything = f"{inventory} {dumps(inventory, '1').decode(errors='replace')} {caplog.text} {capfd.readouterr()}"
    for value in private:
        assert value not in everything


@pytest.mark.parametrize("broken", [{"card": {"M": CARD}}, {"card": {"L": [CARD]}}, CARD])
def test_an_answer_that_cannot_be_read_is_reported_without_a_word_of_it(
    take: Sample, access: Access, broken: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "auditor")
    fill({})

    def spoil(parsed: dict[str, Any], **_: Any) -> None:
        parsed["Items"] = [broken]

    access.client("dynamodb", "eu-west-1").meta.events.register("after-call.dynamodb.Scan", spoil)
    inventory = take(VALUES)
    assert gap(inventory).reason is Reason.UNDECIDABLE
    assert CARD not in f"{inventory} {caplog.text}"


def test_an_error_that_quotes_a_value_is_reported_without_it(
    take: Sample, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "auditor")
    fill({"card": {"S": CARD}})

    def quote(_: object, item: dict[str, Any]) -> None:
        raise KeyError(item["card"]["S"])

    monkeypatch.setattr(Tally, "add", quote)
    inventory = take(VALUES)
    assert "KeyError" in gap(inventory).detail
    assert CARD not in f"{inventory} {caplog.text}"


def test_the_text_of_a_parser_that_quotes_the_answer_is_dropped(
    take: Sample, access: Access, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "auditor")
    fill({})

    def fail(**_: Any) -> None:
        raise ResponseParserError(f"Unable to parse response: {CARD}")

    access.client("dynamodb", "eu-west-1").meta.events.register("before-call.dynamodb.Scan", fail)
    inventory = take(VALUES)
    assert gap(inventory).action == SCAN
    assert CARD not in f"{inventory} {caplog.text}"
