"""alarm-data-exfiltration: exports, streams and replicas; EventBridge is regional."""

from typing import Any

import pytest

from auditor import Status, Verdict
from auditor.config import Config
from auditor.facts import TableNames, TopicSettings
from auditor.resources import Region
from tests.alarms import (
    CHINA,
    DENIED,
    GOVERNMENT,
    alarm,
    api_calls,
    detect,
    event_rule,
    metric_filter,
    publishers,
    topic,
)
from tests.rules import REGION, load

NAMES = ["ExportTableToPointInTime", "EnableKinesisStreamingDestination", "UpdateTable"]
OTHER = Region(REGION.account, "us-east-1")


def judge(region: Region = REGION, **given: Any) -> Verdict:
    verdict = load("alarm-data-exfiltration")(region, detect(region, **given), Config(), TableNames(()))
    assert isinstance(verdict, Verdict)
    return verdict


@pytest.mark.parametrize("region", [REGION, CHINA, GOVERNMENT])
def test_a_rule_on_all_of_them_passes(region: Region) -> None:
    verdict = judge(region, rules=[event_rule(api_calls("dynamodb", eventName=NAMES), region=region)])
    assert verdict.status is Status.PASS
    assert "Scan" in verdict.evidence["recommendedUncovered"]


def test_without_one_of_them_it_fails() -> None:
    verdict = judge(rules=[event_rule(api_calls("dynamodb", eventName=NAMES[:2]))])
    assert verdict.status is Status.FAIL
    assert verdict.evidence["uncovered"] == [
        "UpdateTable (replicaUpdates[0].create)",
        "UpdateTable (streamSpecification.streamEnabled=true)",
    ]


def test_a_filter_on_the_stream_and_the_replica_alone_is_enough() -> None:
    pattern = (
        '{ ($.eventSource = "dynamodb.amazonaws.com") && (($.eventName = "Export*") '
        '|| ($.eventName = "EnableKinesis*") '
        "|| ($.requestParameters.streamSpecification.streamEnabled IS TRUE) "
        '|| ($.requestParameters.replicaUpdates[0].create.regionName = "*")) }'
    )
    assert judge(filters=[metric_filter(pattern)], alarms=[alarm()]).status is Status.PASS


def test_a_rule_of_one_region_does_nothing_for_another() -> None:
    rule = event_rule(api_calls("dynamodb", eventName=NAMES))
    assert judge(REGION, rules=[rule]).status is Status.PASS
    assert judge(OTHER, home=REGION, rules=[]).status is Status.FAIL


def test_the_default_policy_of_a_topic_does_not_let_eventbridge_in() -> None:
    default = {topic(): TopicSettings(policy=publishers(topic()))}
    verdict = judge(rules=[event_rule(api_calls("dynamodb", eventName=NAMES))], settings=default)
    assert verdict.status is Status.FAIL
    assert "does not let events.amazonaws.com publish" in verdict.message


def test_targets_that_cannot_be_listed_are_unknown() -> None:
    verdict = judge(rules=[event_rule(api_calls("dynamodb", eventName=NAMES))], targets={"watch": DENIED})
    assert verdict.status is Status.UNKNOWN
