"""The snapshot: lossless for every fact there is, the same bytes for the same inventory, clear about bad files."""

import gzip
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.config import Config
from auditor.engine import judge
from auditor.errors import UsageError
from auditor.facts import Gap, KeySettings, Reason, TableNames, TableSettings, TrailInfo
from auditor.facts.base import RAW
from auditor.inventory import Caller, CallError, Inventory, Scope, dumps, loads, save
from auditor.packs import built_in
from auditor.resources import (
    KINDS,
    Account,
    IamResource,
    Key,
    LogGroup,
    Region,
    RegionalResource,
    Resource,
    Stream,
    Table,
)
from auditor.snapshot import read

CALLER = Caller("111122223333", "arn:aws:sts::111122223333:assumed-role/auditor/me")
ACCOUNT = Account("111122223333")
HERE = Region(ACCOUNT, "eu-west-1")
ORDERS = Table(HERE, "orders")

accounts = st.builds(Account, st.from_regex(r"\A\d{12}\Z"), st.sampled_from(["aws", "aws-cn", "aws-us-gov"]))
regions = st.builds(Region, accounts, st.sampled_from(["eu-west-1", "us-east-1", "cn-north-1"]))
names = st.text("abcXYZ019._-", min_size=3, max_size=20)
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
for kind in KINDS:
    if issubclass(kind, RegionalResource):
        st.register_type_strategy(kind, st.builds(kind, regions, names))
    elif issubclass(kind, IamResource):
        st.register_type_strategy(kind, st.builds(kind, accounts, paths))
streams = st.builds(Stream, st.from_type(Table), st.from_regex(r"\A2026-01-31T09:30:\d{2}\.\d{3}\Z"))
st.register_type_strategy(Stream, streams)
st.register_type_strategy(Account, accounts)
st.register_type_strategy(Region, regions)
st.register_type_strategy(datetime, st.datetimes(timezones=st.just(UTC)))
#: Texts that are ARNs, from which further resources are read.
arns = {
    (TableSettings, "stream_arn"): st.none() | streams.map(lambda stream: stream.arn),
    (TrailInfo, "log_group"): st.none() | st.builds(LogGroup, regions, names).map(lambda group: f"{group.arn}:*"),
}
for cls in (TableSettings, TrailInfo):
    st.register_type_strategy(
        cls,
        st.builds(
            cls, **{name: arns.get((cls, name), st.from_type(hint)) for name, hint in get_type_hints(cls).items()}
        ),
    )
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))  # JSON knows no others
st.register_type_strategy(Mapping, lambda hint: st.dictionaries(*map(st.from_type, get_args(hint)), max_size=3))


@pytest.mark.parametrize("fact_type", sorted(RAW, key=str), ids=lambda one: one.__name__)
def test_every_fact_survives_a_snapshot(fact_type: type) -> None:
    @settings(max_examples=8, deadline=None)
    @given(st.sampled_from(RAW[fact_type].about).flatmap(st.from_type), st.from_type(fact_type))
    def survives(resource: Resource, value: Any) -> None:
        made = Inventory(CALLER, (Scope(ACCOUNT, "shop", (HERE,)),))
        made.put(resource, value)
        again = loads(dumps(made, "1"))
        assert again.facts == made.facts
        assert again.everything() == made.everything()

    survives()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_of_resource_survives_its_arn(kind: type[Resource]) -> None:
    @settings(max_examples=25, deadline=None)
    @given(st.from_type(kind))
    def survives(resource: Resource) -> None:
        assert kind.from_arn(resource.arn) == resource

    survives()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    "text", ["", "orders", "arn:aws:s3:::bucket", "arn:aws:dynamodb:eu-west-1:1:table/", "arn:::::"]
)
def test_other_arns_are_refused(kind: type[Resource], text: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        kind.from_arn(text)


def example() -> Inventory:
    made = Inventory(CALLER, (Scope(ACCOUNT, "shop", (HERE,)),))
    made.put(HERE, TableNames((ORDERS, Table(HERE, "carts"))))
    made.put(ORDERS, TableSettings("ACTIVE", key=Key(HERE, "1234")))
    made.put_gap(Table(HERE, "carts"), TableSettings, Gap(Reason.THROTTLED, "Throttled.", "dynamodb:DescribeTable"))
    made.errors.append(CallError("1", "eu-west-1", "dynamodb", "DescribeTable", "Throttling", "slow", "TableSettings"))
    made.vanished.add(Table(HERE, "gone"))
    made.learn([Table(HERE, "gone")])
    return made


def test_the_same_inventory_gives_the_same_bytes_in_whatever_order_it_was_filled() -> None:
    first = example()
    second = Inventory(CALLER, first.scopes, errors=list(first.errors), vanished=set(first.vanished))
    second.learn(reversed(first.everything()))
    for fact_type in reversed(list(first.facts)):
        for resource, value in reversed(list(first.facts[fact_type].items())):
            if isinstance(value, Gap):
                second.put_gap(resource, fact_type, value)
            else:
                second.put(resource, value)
    assert dumps(first, "1") == dumps(second, "1")


def test_an_audit_of_the_snapshot_equals_the_audit_it_came_from() -> None:
    made = example()
    assert judge(loads(dumps(made, "1")), built_in(), Config()) == judge(made, built_in(), Config())


def test_a_fact_replaces_a_gap_and_a_gap_never_replaces_a_fact() -> None:
    made = Inventory(CALLER, ())
    gap = Gap(Reason.ACCESS_DENIED, "Not allowed.")
    made.put_gap(ORDERS, TableSettings, gap)
    assert made.facts[TableSettings][ORDERS] is gap
    made.put(ORDERS, TableSettings("ACTIVE"))
    made.put_gap(ORDERS, TableSettings, gap)
    assert made.facts[TableSettings][ORDERS] == TableSettings("ACTIVE")


def test_what_a_fact_names_becomes_known_once() -> None:
    made = Inventory(CALLER, ())
    key = Key(HERE, "1234")
    for _ in range(2):
        assert set(made.put(ORDERS, TableSettings("ACTIVE", key=key))) == {ORDERS, key}
    assert made.of_kind(Key) == [key]


def test_of_several_gaps_the_order_of_answers_decides_nothing() -> None:
    denied = Gap(Reason.ACCESS_DENIED, "Not allowed.", "kms:DescribeKey")
    throttled = Gap(Reason.THROTTLED, "Too many.", "kms:DescribeKey")
    key = Key(HERE, "1234")
    for gaps in ((denied, throttled), (throttled, denied)):
        made = Inventory(CALLER, ())
        for gap in gaps:
            made.put_gap(key, KeySettings, gap)
        assert made.facts[KeySettings][key] == denied
    made.put(key, KeySettings("Enabled"))
    made.put_gap(key, KeySettings, denied)
    assert made.facts[KeySettings][key] == KeySettings("Enabled")


@pytest.mark.parametrize("name", ["snapshot.json", "snapshot.json.gz"])
def test_files_plain_and_compressed(tmp_path: Path, name: str) -> None:
    made = example()
    save(made, tmp_path / "new" / name, "1")
    assert (tmp_path / "new" / name).read_bytes()[:2] == (b"\x1f\x8b" if name.endswith(".gz") else b'{"')
    assert dumps(read(tmp_path / "new" / name), "1") == dumps(made, "1")
    assert [path.name for path in (tmp_path / "new").iterdir()] == [name]


def broken_files() -> dict[str, bytes]:
    good = dumps(example(), "1")
    document = json.loads(good)
    packed = gzip.compress(good)
    return {
        "empty": b"",
        "text": b"hello",
        "not utf-8": b'{"schema": "\xff"}',
        "another tool's JSON": b'{"version": 1, "findings": []}',
        "a list": b"[]",
        "truncated": good[: len(good) // 2],
        "truncated gzip": packed[: len(packed) // 2],
        "damaged gzip": packed[:20] + b"\0\0\0\0" + packed[24:],
        "other schema": json.dumps(document | {"schema": "urn:ddbaudit:schema:snapshot-9"}).encode(),
        "unknown fact": json.dumps(document | {"facts": {"TableWeather": []}}).encode(),
        "wrong type": json.dumps(
            document | {"facts": {"TableSettings": [["AWS::DynamoDB::Table", ORDERS.arn, 1]]}}
        ).encode(),
        "wrong kind": json.dumps(document | {"known": [["AWS::Moon::Base", "arn"]]}).encode(),
        "wrong ARN": json.dumps(document | {"known": [["AWS::DynamoDB::Table", "arn:aws:s3:::b"]]}).encode(),
    }


@pytest.mark.parametrize("what", broken_files())
def test_a_file_that_is_no_snapshot_is_refused_by_name(tmp_path: Path, what: str) -> None:
    path = tmp_path / "snapshot.json.gz"
    path.write_bytes(broken_files()[what])
    with pytest.raises(UsageError, match=r"snapshot\.json\.gz") as error:
        read(path)
    assert error.value.hint


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(UsageError, match="cannot be read"):
            read(path)


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="cannot be written"):
        save(example(), tmp_path / "file" / "snapshot.json", "1")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_snapshot_holds_no_surprise_at_its_top() -> None:
    document = msgspec.json.decode(dumps(example(), "1"))
    assert set(document) == {
        "schema", "tool", "caller", "scopes", "facts", "gaps", "errors", "vanished", "known", "interrupted",
    }  # fmt: skip


def test_narrowing_keeps_facts_and_drops_regions() -> None:
    there = Region(ACCOUNT, "us-east-1")
    made = Inventory(CALLER, (Scope(ACCOUNT, "shop", (HERE, there)),))
    made.put(ORDERS, TableSettings("ACTIVE"))
    narrow = made.narrowed({"us-east-1"})
    assert narrow.scopes[0].regions == (there,)
    assert narrow.facts == made.facts
    assert not narrow.in_scope(ORDERS)
    assert made.in_scope(ORDERS)
