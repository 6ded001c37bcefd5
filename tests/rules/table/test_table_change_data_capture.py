"""table-change-data-capture by plain calls."""

from typing import Any

import pytest

from auditor import Severity, Status, Verdict
from auditor.facts import (
    EventSourceMapping,
    EventSourceMappings,
    Gap,
    KinesisDestination,
    KinesisDestinations,
    KinesisStreamSettings,
    LegacyGlobalTables,
    Pipe,
    Pipes,
    Reason,
    Replica,
    Sensitivity,
    TableSettings,
    Trust,
)
from auditor.facts.base import VANISHED
from auditor.resources import Account, KinesisStream, Region, Table
from tests.rules import REGION, TABLE, load

judge = load("table-change-data-capture")

OWN, FRIEND, STRANGER = "111122223333", "222233334444", "999988887777"
STREAM = f"{TABLE.arn}/stream/2026-01-31T09:30:00.000"
OLD_STREAM = f"{TABLE.arn}/stream/2025-01-31T09:30:00.000"
FUNCTION = f"arn:aws:lambda:eu-west-1:{OWN}:function:on-order"
PLAIN, SENSITIVE = Sensitivity(False, True, "data-classification=internal"), Sensitivity(True, True, "pii")
TRUST = Trust(OWN, frozenset({FRIEND}), None, {})
MEMBERSHIP = Gap(Reason.ACCESS_DENIED, "Not allowed.", "organizations:ListAccounts")


def gap(action: str) -> Gap:
    return Gap(Reason.ACCESS_DENIED, "Not allowed.", action)


def kinesis(account: str = OWN, name: str = "changes") -> KinesisStream:
    return KinesisStream(Region(Account(account), "eu-west-1"), name)


def destinations(*streams: KinesisStream, status: str = "ACTIVE") -> KinesisDestinations:
    return KinesisDestinations(tuple(KinesisDestination(one, status) for one in streams))


def read_by(*functions: str, source: str = STREAM, state: str = "ENABLED") -> EventSourceMappings:
    return EventSourceMappings(tuple(EventSourceMapping(source, one, state) for one in functions))


def verdict(**changes: Any) -> Verdict:
    settings = {"status": "ACTIVE"} | changes.pop("settings", {})
    facts = {
        "destinations": KinesisDestinations(()),
        "streams": {kinesis(): KinesisStreamSettings("KMS", "alias/aws/kinesis")},
        "mappings": EventSourceMappings(()),
        "pipes": Pipes(()),
        "legacy": LegacyGlobalTables({}),
        "sensitivity": PLAIN,
        "trust": TRUST,
    }
    answer = judge(TABLE, TableSettings(**settings), **(facts | changes))
    assert isinstance(answer, Verdict)
    return answer


def streaming(view: str = "NEW_IMAGE", **more: Any) -> dict[str, Any]:
    return {"stream_arn": STREAM, "stream_view": view, **more}


def test_a_table_without_either_is_not_applicable() -> None:
    assert verdict().status is Status.NOT_APPLICABLE
    assert verdict(settings={"status": "DELETING"}).status is Status.NOT_APPLICABLE


def test_an_encrypted_stream_of_the_own_or_a_trusted_account_passes() -> None:
    assert verdict(destinations=destinations(kinesis())).status is Status.PASS
    friend = kinesis(FRIEND)
    held = {friend: KinesisStreamSettings("KMS")}
    assert verdict(destinations=destinations(friend), streams=held).status is Status.PASS


@pytest.mark.parametrize("status", ["ACTIVE", "ENABLING", "UPDATING"])
def test_a_strangers_stream_is_high_whatever_is_known_of_it(status: str) -> None:
    for held in ({}, {kinesis(STRANGER): gap("kinesis:DescribeStreamSummary")}):
        found = verdict(destinations=destinations(kinesis(STRANGER), status=status), streams=held)
        assert (found.status, found.severity) == (Status.FAIL, None)
        assert STRANGER in found.message


@pytest.mark.parametrize("status", ["DISABLED", "ENABLE_FAILED", "DISABLING"])
def test_what_is_history_is_not_judged(status: str) -> None:
    assert verdict(destinations=destinations(kinesis(STRANGER), status=status)).status is Status.NOT_APPLICABLE


def test_membership_that_cannot_be_told_is_unknown() -> None:
    trust = Trust(OWN, frozenset(), "o-1", {}, MEMBERSHIP)
    held = {kinesis(FRIEND): KinesisStreamSettings("KMS")}
    found = verdict(destinations=destinations(kinesis(FRIEND)), streams=held, trust=trust)
    assert (found.status, found.missing_permission) == (Status.UNKNOWN, "organizations:ListAccounts")


def test_an_allow_list_is_kept_to() -> None:
    glob = f"arn:aws:kinesis:*:{OWN}:stream/audit-*"
    found = verdict(destinations=destinations(kinesis()), allowed_stream_destinations=(glob,))
    assert (found.status, found.severity) == (Status.FAIL, None)
    allowed = (f"arn:aws:kinesis:*:{OWN}:stream/chan*",)
    assert verdict(destinations=destinations(kinesis()), allowed_stream_destinations=allowed).status is Status.PASS


def test_an_unencrypted_stream_is_medium_and_an_unknown_one_unknown() -> None:
    plain = verdict(destinations=destinations(kinesis()), streams={kinesis(): KinesisStreamSettings()})
    assert (plain.status, plain.severity) == (Status.FAIL, Severity.MEDIUM)
    denied = {kinesis(): gap("kinesis:DescribeStreamSummary")}
    found = verdict(destinations=destinations(kinesis()), streams=denied)
    assert (found.status, found.missing_permission) == (Status.UNKNOWN, "kinesis:DescribeStreamSummary")
    assert verdict(destinations=destinations(kinesis()), streams={}).status is Status.UNKNOWN


def test_the_encryption_of_a_stream_that_is_gone_is_no_question_but_whose_it_was_is() -> None:
    assert verdict(destinations=destinations(kinesis()), streams={kinesis(): VANISHED}).status is Status.PASS
    stranger = kinesis(STRANGER)
    assert verdict(destinations=destinations(stranger), streams={stranger: VANISHED}).status is Status.FAIL


@pytest.mark.parametrize(("partition", "region"), [("aws-cn", "cn-north-1"), ("aws-us-gov", "us-gov-west-1")])
def test_streams_of_other_partitions_go_by_their_own_arns(partition: str, region: str) -> None:
    own = KinesisStream(Region(Account(OWN, partition), region), "changes")
    held = {"destinations": destinations(own), "streams": {own: KinesisStreamSettings("KMS")}}
    allowed = (f"arn:{partition}:kinesis:*:{OWN}:stream/changes",)
    assert verdict(**held).status is Status.PASS
    assert verdict(**held, allowed_stream_destinations=allowed).status is Status.PASS
    commercial = (f"arn:aws:kinesis:*:{OWN}:stream/changes",)
    assert verdict(**held, allowed_stream_destinations=commercial).status is Status.FAIL


def test_the_worst_of_several_decides() -> None:
    both = destinations(kinesis(), kinesis(STRANGER))
    assert verdict(destinations=both, streams={kinesis(): KinesisStreamSettings()}).severity is None


def test_a_stream_that_is_read_passes() -> None:
    assert verdict(settings=streaming(), mappings=read_by(FUNCTION)).status is Status.PASS
    pipe = Pipes((Pipe("arn:pipe", STREAM, "arn:aws:sqs:eu-west-1:1:q", "RUNNING"),))
    assert verdict(settings=streaming(), pipes=pipe).status is Status.PASS


def test_an_unread_stream_is_low_unless_nobody_asks() -> None:
    found = verdict(settings=streaming())
    assert (found.status, found.severity) == (Status.FAIL, Severity.LOW)
    assert verdict(settings=streaming(), flag_unused_streams=False).status is Status.PASS


@pytest.mark.parametrize(
    "mappings",
    [read_by(FUNCTION, source=OLD_STREAM), read_by(FUNCTION, state="DISABLED"), read_by(FUNCTION, state="DISABLING")],
)
def test_readers_of_an_older_stream_and_disabled_ones_read_nothing(mappings: EventSourceMappings) -> None:
    assert verdict(settings=streaming(), mappings=mappings).status is Status.FAIL


def test_full_images_of_sensitive_items_need_a_reader() -> None:
    full = streaming("NEW_AND_OLD_IMAGES")
    found = verdict(settings=full, sensitivity=SENSITIVE)
    assert (found.status, found.severity) == (Status.FAIL, Severity.MEDIUM)
    assert verdict(settings=full, sensitivity=SENSITIVE, flag_unused_streams=False).status is Status.FAIL
    assert verdict(settings=streaming("KEYS_ONLY"), sensitivity=SENSITIVE).severity is Severity.LOW
    # Not knowing must not make it milder, and does not make it up either.
    tags = gap("dynamodb:ListTagsOfResource")
    assert verdict(settings=full, sensitivity=tags).severity is Severity.MEDIUM
    assert verdict(settings=full, sensitivity=tags, flag_unused_streams=False).status is Status.UNKNOWN


def test_a_reader_that_is_not_allowed_is_medium() -> None:
    changes = {"settings": streaming(), "mappings": read_by(FUNCTION)}
    found = verdict(**changes, allowed_stream_consumers=("*:function:other",))
    assert (found.status, found.severity) == (Status.FAIL, Severity.MEDIUM)
    assert verdict(**changes, allowed_stream_consumers=("*:function:on-*",)).status is Status.PASS


def test_what_hides_readers_is_unknown_only_where_it_matters() -> None:
    for changes in ({"mappings": gap("lambda:ListEventSourceMappings")}, {"pipes": gap("pipes:ListPipes")}):
        found = verdict(settings=streaming(), **changes)
        assert (found.status, found.missing_permission) == (Status.UNKNOWN, next(iter(changes.values())).action)
        assert verdict(settings=streaming(), flag_unused_streams=False, **changes).status is Status.PASS
        assert verdict(**changes).status is Status.NOT_APPLICABLE
    found = verdict(settings=streaming(), mappings=read_by(FUNCTION), pipes=gap("pipes:ListPipes"))
    assert found.status is Status.PASS
    listed = {"mappings": read_by(FUNCTION), "allowed_stream_consumers": ("*:function:on-*",)}
    assert verdict(settings=streaming(), pipes=gap("pipes:ListPipes"), **listed).status is Status.UNKNOWN


def test_the_stream_of_a_global_table_serves_replication() -> None:
    replica = Replica(Table(Region(Account(OWN), "eu-central-1"), "orders"), "ACTIVE")
    assert verdict(settings=streaming("NEW_AND_OLD_IMAGES", replicas=(replica,))).status is Status.PASS
    going = Replica(Table(Region(Account(OWN), "eu-central-1"), "orders"), "DELETING")
    for only in (going, Replica(TABLE, "ACTIVE")):
        assert verdict(settings=streaming("NEW_AND_OLD_IMAGES", replicas=(only,))).status is Status.FAIL
    legacy = LegacyGlobalTables({"orders": (REGION.name, "us-east-1")})
    assert verdict(settings=streaming(), legacy=legacy).status is Status.PASS
    elsewhere = LegacyGlobalTables({"orders": ("us-east-1",)})
    assert verdict(settings=streaming(), legacy=elsewhere).status is Status.FAIL
    assert verdict(settings=streaming(), legacy=gap("dynamodb:ListGlobalTables")).status is Status.UNKNOWN


def test_destinations_that_cannot_be_read_are_unknown() -> None:
    denied = gap("dynamodb:DescribeKinesisStreamingDestination")
    found = verdict(destinations=denied)
    assert (found.status, found.missing_permission) == (Status.UNKNOWN, denied.action)
    assert verdict(destinations=denied, settings=streaming()).status is Status.FAIL


@pytest.mark.parametrize("status", ["", "MIGRATING"])
def test_a_destination_whose_status_says_nothing_is_unknown(status: str) -> None:
    for account in (OWN, STRANGER):
        found = verdict(destinations=destinations(kinesis(account), status=status))
        assert (found.status, found.reason) == (Status.UNKNOWN, Reason.UNDECIDABLE)
        assert found.missing_permission == "dynamodb:DescribeKinesisStreamingDestination"


def test_a_reader_whose_state_says_nothing_leaves_it_open_who_reads() -> None:
    target = f"arn:aws:sqs:eu-west-1:{OWN}:queue"
    for state in ("UPDATE_FAILED", "STOP_FAILED", ""):
        pipes = Pipes((Pipe(f"arn:aws:pipes:eu-west-1:{OWN}:pipe/p", STREAM, target, state),))
        assert verdict(settings=streaming(), pipes=pipes).status is Status.UNKNOWN
        assert verdict(settings=streaming(), pipes=pipes, mappings=read_by(FUNCTION)).status is Status.PASS
    assert verdict(settings=streaming(), mappings=read_by(FUNCTION, state="")).status is Status.UNKNOWN
    assert verdict(settings=streaming(), mappings=read_by(FUNCTION, state="DELETING")).status is Status.FAIL
