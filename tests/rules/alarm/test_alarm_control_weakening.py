"""alarm-control-weakening: booleans and nested members of requests, and calls to CloudTrail."""

from typing import Any

import pytest

from auditor import Status, Verdict
from auditor.config import Config
from auditor.facts import TableNames
from auditor.resources import Region
from tests.alarms import CHINA, DENIED, GOVERNMENT, alarm, api_calls, detect, event_rule, metric_filter
from tests.rules import REGION, load

TABLES = ["UpdateTable", "UpdateContinuousBackups", "PutResourcePolicy", "DeleteResourcePolicy"]
TRAILS = ["StopLogging", "DeleteTrail", "PutEventSelectors"]
POLICIES = ["UpdateContinuousBackups", "PutResourcePolicy", "DeleteResourcePolicy"]
REST = event_rule(
    {"detail": {"eventSource": ["dynamodb.amazonaws.com", "cloudtrail.amazonaws.com"], "eventName": POLICIES + TRAILS}},
    "rest",
)
PROTECTION = "UpdateTable (deletionProtectionEnabled=false)"


def judge(region: Region = REGION, **given: Any) -> Verdict:
    verdict = load("alarm-control-weakening")(region, detect(region, **given), Config(), TableNames(()))
    assert isinstance(verdict, Verdict)
    return verdict


@pytest.mark.parametrize("region", [REGION, CHINA, GOVERNMENT])
def test_rules_on_tables_and_trails_pass(region: Region) -> None:
    rules = [
        event_rule(api_calls("dynamodb", eventName=TABLES), "tables", region=region),
        event_rule(api_calls("cloudtrail", eventName=TRAILS), "trails", region=region),
    ]
    verdict = judge(region, rules=rules)
    assert verdict.status is Status.PASS
    # eventSource is of amazonaws.com in China too.
    wrong = api_calls("dynamodb", eventName=TABLES)
    wrong["detail"]["eventSource"] = ["dynamodb.amazonaws.com.cn"]
    assert judge(region, rules=[event_rule(wrong, region=region), rules[1]]).status is Status.FAIL


def test_without_the_trail_it_fails() -> None:
    verdict = judge(rules=[event_rule(api_calls("dynamodb", eventName=TABLES))])
    assert verdict.status is Status.FAIL
    assert verdict.evidence["uncovered"] == [f"cloudtrail:{name}" for name in TRAILS]


def test_a_long_list_is_cut_in_the_message_and_whole_in_the_evidence() -> None:
    verdict = judge()
    assert verdict.message.endswith("and 3 more.")
    assert len(verdict.evidence["uncovered"]) == 7


@pytest.mark.parametrize(
    ("value", "status"),
    [([False], Status.PASS), (["false"], Status.FAIL), ([True], Status.FAIL), ([{"exists": True}], Status.PASS)],
)
def test_booleans_in_event_patterns_stand_without_quotes(value: list[Any], status: Status) -> None:
    detail = {"eventName": ["UpdateTable"], "requestParameters": {"deletionProtectionEnabled": value}}
    assert judge(rules=[REST, event_rule(api_calls("dynamodb", **detail), "protection")]).status is status


@pytest.mark.parametrize(
    ("test", "status"),
    [
        ("IS FALSE", Status.PASS),
        ("IS TRUE", Status.FAIL),
        ('= "false"', Status.UNKNOWN),
        ("= false", Status.UNKNOWN),
    ],
)
def test_booleans_in_metric_filters_are_tested_by_is_false_only(test: str, status: Status) -> None:
    pattern = f'{{ ($.eventName = "UpdateTable") && ($.requestParameters.deletionProtectionEnabled {test}) }}'
    verdict = judge(filters=[metric_filter(pattern)], alarms=[alarm()], rules=[REST])
    assert verdict.status is status
    if status is Status.FAIL:
        assert verdict.evidence["uncovered"] == [PROTECTION]


def test_an_alarm_on_every_update_is_the_simplest() -> None:
    assert judge(rules=[REST, event_rule(api_calls("dynamodb", eventName=["UpdateTable"]))]).status is Status.PASS


def test_rules_that_cannot_be_listed_are_unknown() -> None:
    assert judge(rules=DENIED).status is Status.UNKNOWN
