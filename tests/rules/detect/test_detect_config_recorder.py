"""detect-config-recorder: a customer's recorder that is on, covers tables, delivers, and has a channel."""

from collections.abc import Callable
from typing import Any

import pytest

from auditor import Severity, Status, Verdict, engine, packs
from auditor.config import Config
from auditor.facts import (
    ConfigDelivery,
    ConfigRecorder,
    ConfigRecorders,
    ConfigRecorderStatuses,
    DaxClusterNames,
    Gap,
    Reason,
    RecorderStatus,
    RegionScope,
    TableNames,
)
from auditor.inventory import Caller, Inventory, Scope
from tests.rules import ACCOUNT, REGION, TABLE, load

judge: Callable[..., Any] = load("detect-config-recorder")

TABLES, ALL = "AWS::DynamoDB::Table", "ALL_SUPPORTED_RESOURCE_TYPES"
LISTED, EXCLUDING = "INCLUSION_BY_RESOURCE_TYPES", "EXCLUSION_BY_RESOURCE_TYPES"
EVERYTHING = ConfigRecorder("default", False, ALL)
BUCKETS, NO_BUCKETS = ConfigDelivery(("logs",)), ConfigDelivery(())
NO_STATUS = Gap(Reason.ACCESS_DENIED, "Not allowed.", "config:DescribeConfigurationRecorderStatus")
NO_CHANNEL = Gap(Reason.ACCESS_DENIED, "Not allowed.", "config:DescribeDeliveryChannels")


def ask(*recorders: ConfigRecorder, statuses: Any = None, delivery: ConfigDelivery | Gap = BUCKETS) -> Verdict:
    on = {one.name: RecorderStatus(True, "SUCCESS") for one in recorders}
    held = statuses if isinstance(statuses, Gap) else ConfigRecorderStatuses(tuple({**on, **(statuses or {})}.items()))
    verdict: Verdict = judge(REGION, ConfigRecorders(recorders), held, delivery)
    return verdict


@pytest.mark.parametrize(
    ("recorder", "status"),
    [
        (EVERYTHING, Status.PASS),
        (ConfigRecorder("default", False, LISTED, ("AWS::EC2::VPC", TABLES)), Status.PASS),
        (ConfigRecorder("default", False, LISTED, ("AWS::EC2::VPC",)), Status.FAIL),
        (ConfigRecorder("default", False, LISTED), Status.FAIL),
        (ConfigRecorder("default", False, EXCLUDING, (), ("AWS::EC2::VPC",)), Status.PASS),
        (ConfigRecorder("default", False, EXCLUDING, (), (TABLES,)), Status.FAIL),
        (ConfigRecorder("default", False, LISTED, ("AWS::DAX::Cluster",)), Status.FAIL),
    ],
)
def test_tables_must_be_in_the_recording_group(recorder: ConfigRecorder, status: Status) -> None:
    verdict = ask(recorder)
    assert (verdict.status, verdict.severity) == (status, None)
    assert verdict.evidence["ConfigurationRecorders"] == [
        {
            "name": "default",
            "useOnly": recorder.strategy,
            "resourceTypes": list(recorder.included),
            "exclusionByResourceTypes": list(recorder.excluded),
            "recordingFrequency": "CONTINUOUS",
        }
    ]


def test_no_recorder_fails() -> None:
    verdict = ask()
    assert (verdict.status, verdict.severity) == (Status.FAIL, None)


def test_recorders_of_aws_services_do_not_count() -> None:
    linked = ConfigRecorder("AWSConfigurationRecorderForSecurityHub", True, ALL)
    verdict = ask(linked)
    assert verdict.status is Status.FAIL
    assert verdict.evidence == {"ConfigurationRecorders": []}
    both = ask(linked, EVERYTHING, statuses={"default": RecorderStatus(False)})
    assert both.status is Status.FAIL
    assert [one["name"] for one in both.evidence["ConfigurationRecordersStatus"]] == ["default"]


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (RecorderStatus(True, "SUCCESS"), Status.PASS),
        (RecorderStatus(True, "PENDING"), Status.PASS),
        (RecorderStatus(True), Status.PASS),
        (RecorderStatus(True, "FAILURE", "InsufficientDeliveryPolicy"), Status.FAIL),
        (RecorderStatus(False, "SUCCESS"), Status.FAIL),
    ],
)
def test_the_recorder_must_be_on_and_its_last_delivery_must_not_have_failed(
    state: RecorderStatus, status: Status
) -> None:
    verdict = ask(EVERYTHING, statuses={"default": state})
    assert (verdict.status, verdict.severity) == (status, None)
    assert verdict.evidence["ConfigurationRecordersStatus"] == [
        {
            "name": "default",
            "recording": state.recording,
            "lastStatus": state.last_status,
            "lastErrorCode": state.last_error,
        }
    ]


def test_without_a_delivery_channel_the_failure_is_low() -> None:
    verdict = ask(EVERYTHING, delivery=NO_BUCKETS)
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.LOW)
    assert verdict.evidence["DeliveryChannels"] == []
    assert ask(EVERYTHING).evidence["DeliveryChannels"] == [{"s3BucketName": "logs"}]


@pytest.mark.parametrize(
    ("statuses", "delivery", "action"),
    [
        (NO_STATUS, BUCKETS, "config:DescribeConfigurationRecorderStatus"),
        (NO_STATUS, NO_CHANNEL, "config:DescribeConfigurationRecorderStatus"),
        (None, NO_CHANNEL, "config:DescribeDeliveryChannels"),
    ],
)
def test_what_is_missing_and_matters_makes_it_unknown(
    statuses: Gap | None, delivery: ConfigDelivery | Gap, action: str
) -> None:
    verdict = ask(EVERYTHING, statuses=statuses, delivery=delivery)
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, action)


def test_a_proven_failure_stays_whatever_else_is_missing() -> None:
    off = {"default": RecorderStatus(False)}
    narrow = ConfigRecorder("default", False, LISTED)
    assert ask(statuses=NO_STATUS, delivery=NO_CHANNEL).status is Status.FAIL
    assert ask(narrow, statuses=NO_STATUS, delivery=NO_CHANNEL).status is Status.FAIL
    assert ask(EVERYTHING, statuses=off, delivery=NO_CHANNEL).status is Status.FAIL
    assert ask(EVERYTHING, statuses=NO_STATUS, delivery=NO_BUCKETS).status is Status.FAIL


def test_a_recorder_whose_status_was_not_returned_is_unknown_not_off() -> None:
    verdict = judge(REGION, ConfigRecorders((EVERYTHING,)), ConfigRecorderStatuses(()), BUCKETS)
    assert (verdict.status, verdict.reason) == (Status.UNKNOWN, "partial_data")
    assert verdict.missing_permission == "config:DescribeConfigurationRecorderStatus"


def test_a_table_recorder_that_is_on_makes_up_for_one_that_is_off() -> None:
    second = ConfigRecorder("second", False, ALL)
    assert ask(EVERYTHING, second, statuses={"default": RecorderStatus(False)}).status is Status.PASS
    assert ask(EVERYTHING, ConfigRecorder("second", False, LISTED)).status is Status.PASS


def test_daily_recording_passes_and_is_noted() -> None:
    daily = ConfigRecorder("default", False, ALL, frequency="DAILY")
    verdict = ask(daily)
    assert (verdict.status, verdict.evidence["note"]) == (Status.PASS, "Tables are recorded once a day.")
    assert "note" not in ask(EVERYTHING).evidence
    assert "note" not in ask(daily, ConfigRecorder("second", False, ALL)).evidence


@pytest.mark.parametrize(
    ("tables", "status"),
    [
        (TableNames((TABLE,)), Status.FAIL),
        (TableNames(()), Status.NOT_APPLICABLE),
        (Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListTables"), Status.UNKNOWN),
    ],
)
def test_only_regions_with_tables_are_judged(tables: TableNames | Gap, status: Status) -> None:
    inventory = Inventory(Caller(ACCOUNT.id, "arn"), (Scope(ACCOUNT, "", (REGION,)),))
    inventory.put(ACCOUNT, RegionScope((REGION,), chosen=True))
    inventory.put(REGION, DaxClusterNames(()))
    inventory.put(REGION, ConfigRecorders(()))
    if isinstance(tables, Gap):
        inventory.put_gap(REGION, TableNames, tables)
    else:
        inventory.put(REGION, tables)
    rules = packs.select(packs.built_in(), ("detect-config-recorder",))
    findings = engine.judge(inventory, rules, Config()).findings
    assert [(one.resource, one.status) for one in findings] == [(REGION, status)]


def test_the_rule_has_no_settings_and_is_of_medium_severity() -> None:
    assert (judge.rule.settings, judge.rule.severity) == ((), Severity.MEDIUM)  # type: ignore[attr-defined]
