"""trail-data-events: what the table's class requires must be logged for all operations and callers."""

from typing import Any

import pytest

from auditor import Severity, Status, Verdict
from auditor.facts import (
    DataLogging,
    DataRecorder,
    Environment,
    FieldSelector,
    Gap,
    LakeDataLogging,
    Reason,
    Sensitivity,
    TrailSelectors,
)
from auditor.resources import Account, Region, Table
from tests.rules import TABLE, load

rule: Any = load("trail-data-events")

UNTAGGED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListTagsOfResource")
UNREAD = Gap(Reason.ACCESS_DENIED, "Not allowed.", "cloudtrail:GetEventSelectors")
UNLISTED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "cloudtrail:ListEventDataStores")
PRODUCTION = Environment(production=True, source="tag env=prod")
STAGING = Environment(production=False, source="tag env=staging")
ASSUMED = Environment(production=True, source="not tagged", tagged=False)
SENSITIVE = Sensitivity(sensitive=True, classified=True, source="data-classification=pii")
PLAIN = Sensitivity(sensitive=False, classified=False)

DATA = (
    FieldSelector("eventCategory", equals=("Data",)),
    FieldSelector("resources.type", equals=("AWS::DynamoDB::Table",)),
)


def trail(*fields: FieldSelector, name: str = "audit", **more: Any) -> DataRecorder:
    selectors = TrailSelectors(advanced=((*DATA, *fields),))
    return DataRecorder(f"arn:aws:cloudtrail:eu-west-1:111122223333:trail/{name}", name, selectors, **more)


READ_ONLY, WRITE_ONLY = (trail(FieldSelector("readOnly", equals=(text,))) for text in ("true", "false"))
EVERYTHING, OFF = trail(), trail(problem="It is not logging.")
ORG = DataRecorder("arn:aws:cloudtrail:us-east-1:444455556666:trail/org", "org", UNREAD)


def judge(
    *trails: DataRecorder,
    logging: Any = None,
    lake: LakeDataLogging | None = None,
    environment: Environment | Gap = PRODUCTION,
    sensitivity: Sensitivity | Gap = PLAIN,
    table: Table = TABLE,
    **settings: Any,
) -> Verdict:
    held = logging or DataLogging(trails)
    verdict: Verdict = rule(table, held, lake or LakeDataLogging(), environment, sensitivity, **settings)
    return verdict


def test_a_sensitive_table_needs_reads_and_writes_a_production_table_writes_others_nothing() -> None:
    assert judge(EVERYTHING, sensitivity=SENSITIVE).status is Status.PASS
    assert judge(WRITE_ONLY, sensitivity=SENSITIVE).status is Status.FAIL
    assert judge(WRITE_ONLY).status is Status.PASS
    assert judge(READ_ONLY).status is Status.FAIL
    assert judge(environment=STAGING).status is Status.NOT_APPLICABLE
    assert judge(environment=STAGING, sensitivity=SENSITIVE).status is Status.FAIL


@pytest.mark.parametrize(
    ("environment", "sensitivity", "severity"),
    [
        (PRODUCTION, SENSITIVE, Severity.HIGH),
        (STAGING, SENSITIVE, Severity.MEDIUM),
        (ASSUMED, SENSITIVE, Severity.MEDIUM),
        (PRODUCTION, PLAIN, Severity.MEDIUM),
        (ASSUMED, PLAIN, Severity.LOW),
        (STAGING, PLAIN, Severity.LOW),
    ],
)
def test_the_severity_follows_the_class(
    environment: Environment, sensitivity: Sensitivity, severity: Severity
) -> None:  # fmt: skip
    everywhere = {"default": ("write",)}
    verdict = judge(environment=environment, sensitivity=sensitivity, data_events=everywhere)
    assert (verdict.status, verdict.severity) == (Status.FAIL, severity)


def test_settings_say_what_is_required() -> None:
    assert judge(WRITE_ONLY, data_events={"production": ("read",)}).status is Status.FAIL
    assert judge(data_events={"sensitive": ("read",)}).status is Status.NOT_APPLICABLE
    both = {"sensitive": ("read",), "production": ("write",)}
    assert judge(READ_ONLY, sensitivity=SENSITIVE, data_events=both).status is Status.FAIL
    assert judge(READ_ONLY, WRITE_ONLY, sensitivity=SENSITIVE, data_events=both).status is Status.PASS


def test_messages_name_what_is_missing() -> None:
    assert judge(sensitivity=SENSITIVE).message == "No trail logs the table's reads and writes."
    assert judge(WRITE_ONLY, sensitivity=SENSITIVE).message == "No trail logs the table's reads."
    partial = trail(FieldSelector("eventName", not_equals=("Scan", "Query")))
    verdict = judge(partial, sensitivity=SENSITIVE)
    assert verdict.message == "The table's reads are logged in part only: not Query, Scan."
    assert verdict.evidence["notLogged"] == {"read": ["Query", "Scan"]}
    some = trail(FieldSelector("sessionCredentialFromConsole", equals=("true",)))
    assert judge(some).message == "The table's writes are logged in part only: not those of every caller."


def test_evidence_tells_trails_apart_and_shows_streams_and_network_activity() -> None:
    network = (
        FieldSelector("eventCategory", equals=("NetworkActivity",)),
        FieldSelector("eventSource", equals=("dynamodb.amazonaws.com",)),
    )
    watching = DataRecorder("arn:audit", "audit", TrailSelectors(advanced=(DATA, network)))
    evidence: Any = judge(watching, OFF, ORG).evidence
    assert evidence["required"] == ["write"]
    assert evidence["logged"] == {"write": True}
    assert evidence["trails"] == [
        {"arn": "arn:audit", "selects": {"tables": True, "streams": False, "networkActivity": True}, "problem": None},
        {
            "arn": OFF.arn,
            "selects": {"tables": True, "streams": False, "networkActivity": False},
            "problem": "It is not logging.",
        },
        {"arn": ORG.arn, "selects": None, "problem": None},
    ]


# What is not known


def test_an_organisation_trail_that_cannot_be_read_matters_unless_others_suffice() -> None:
    verdict = judge(ORG)
    assert (verdict.status, verdict.reason) == (Status.UNKNOWN, "access_denied")
    assert verdict.missing_permission == "cloudtrail:GetEventSelectors"
    assert judge(ORG, WRITE_ONLY).status is Status.PASS
    assert judge(ORG, WRITE_ONLY, sensitivity=SENSITIVE).status is Status.UNKNOWN
    assert judge(ORG, environment=STAGING).status is Status.NOT_APPLICABLE


def test_without_the_trails_only_what_needs_nothing_is_decided() -> None:
    gap = Gap(Reason.ACCESS_DENIED, "Not allowed.", "cloudtrail:DescribeTrails")
    verdict = judge(logging=gap)
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "cloudtrail:DescribeTrails")
    assert judge(logging=gap, environment=STAGING).status is Status.NOT_APPLICABLE


def test_one_cause_of_failure_is_enough() -> None:
    odd = trail(FieldSelector("vpcEndpointId", equals=("vpce-1",)), FieldSelector("readOnly", equals=("true",)))
    assert judge(odd, sensitivity=SENSITIVE).status is Status.FAIL
    assert judge(odd, WRITE_ONLY, sensitivity=SENSITIVE).status is Status.UNKNOWN


@pytest.mark.parametrize(
    ("trails", "settings", "status"),
    [
        # Whatever the tags say, everything is required and logged, or nothing is.
        ((EVERYTHING,), {"data_events": {"default": ("read", "write")}}, Status.PASS),
        ((), {"data_events": {"default": ("write",), "sensitive": ("read", "write")}}, Status.FAIL),
        ((), {"data_events": {}}, Status.NOT_APPLICABLE),
        # Perhaps nothing is required, and perhaps what is logged.
        ((EVERYTHING,), {}, Status.UNKNOWN),
        ((), {}, Status.UNKNOWN),
        ((WRITE_ONLY,), {"data_events": {"default": ("write",), "sensitive": ("read",)}}, Status.UNKNOWN),
    ],
)
def test_unreadable_tags_matter_where_the_verdict_hangs_on_them(trails: Any, settings: Any, status: Status) -> None:
    verdict = judge(*trails, environment=UNTAGGED, sensitivity=UNTAGGED, **settings)
    assert verdict.status is status
    if status is Status.UNKNOWN:
        assert verdict.missing_permission == "dynamodb:ListTagsOfResource"
    if status is Status.FAIL:
        assert verdict.severity is Severity.HIGH
        assert verdict.message == "No trail logs the table's writes."


# Event data stores


STORE = DataRecorder("arn:aws:cloudtrail:us-east-1:111122223333:eventdatastore/1", "lake", EVERYTHING.selectors)


def test_event_data_stores_count_only_where_they_are_accepted() -> None:
    lake = LakeDataLogging((STORE,))
    assert judge(lake=lake).status is Status.FAIL
    verdict = judge(lake=lake, accept_lake=True)
    assert verdict.status is Status.PASS
    assert [one["arn"] for one in verdict.evidence["eventDataStores"]] == [STORE.arn]
    assert judge(READ_ONLY, lake=LakeDataLogging((STORE,)), sensitivity=SENSITIVE, accept_lake=True).status is (
        Status.PASS
    )


def test_further_event_data_stores_may_log_what_is_missing() -> None:
    lake = LakeDataLogging((), (UNLISTED,))
    verdict = judge(lake=lake, accept_lake=True)
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "cloudtrail:ListEventDataStores")
    assert judge(lake=lake).status is Status.FAIL
    assert judge(WRITE_ONLY, lake=lake, accept_lake=True).status is Status.PASS


@pytest.mark.parametrize(("partition", "region"), [("aws-cn", "cn-north-1"), ("aws-us-gov", "us-gov-west-1")])
def test_tables_of_other_partitions_are_named_by_their_own_arns(partition: str, region: str) -> None:
    table = Table(Region(Account("111122223333", partition), region), "orders")
    named = trail(FieldSelector("resources.ARN", equals=(table.arn,)))
    assert judge(named, table=table).status is Status.PASS
    assert judge(named).status is Status.FAIL


def test_defaults() -> None:
    assert {one.name: one.default for one in rule.rule.settings} == {
        "data_events": {"sensitive": ("read", "write"), "production": ("write",), "default": ()},
        "accept_lake": False,
    }
    assert rule.rule.severity is Severity.HIGH
