"""alarm-unauthorized-calls: refused calls of any kind, and alarms that wait for a few of them."""

from typing import Any

import pytest

from auditor import Status, Verdict
from auditor.config import Config
from auditor.facts import TableNames
from auditor.resources import Region
from tests.alarms import CHINA, DENIED, GOVERNMENT, alarm, api_calls, detect, event_rule, metric_filter
from tests.rules import REGION, load

PREFIX = [{"prefix": "AccessDenied"}]


def judge(region: Region = REGION, config: Config | None = None, **given: Any) -> Verdict:
    verdict = load("alarm-unauthorized-calls")(region, detect(region, **given), config or Config(), TableNames(()))
    assert isinstance(verdict, Verdict)
    return verdict


@pytest.mark.parametrize("region", [REGION, CHINA, GOVERNMENT])
def test_a_rule_on_the_prefix_passes(region: Region) -> None:
    verdict = judge(region, rules=[event_rule(api_calls("dynamodb", errorCode=PREFIX), region=region)])
    assert verdict.status is Status.PASS
    labels = " ".join(verdict.evidence["recommendedUncovered"])
    assert "DescribeTable" in labels, "calls that only read do not reach it"
    state = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
    more = judge(region, rules=[event_rule(api_calls("dynamodb", errorCode=PREFIX), state=state, region=region)])
    assert "DescribeTable" not in " ".join(more.evidence["recommendedUncovered"])


def test_the_filter_of_the_cis_benchmark_passes() -> None:
    pattern = '{ ($.errorCode = "*UnauthorizedOperation") || ($.errorCode = "AccessDenied*") }'
    verdict = judge(filters=[metric_filter(pattern)], alarms=[alarm()])
    assert verdict.status is Status.PASS
    assert "noisy" in verdict.evidence["controls"][0]


@pytest.mark.parametrize(
    "detail",
    [
        {"errorCode": ["AccessDenied"]},
        {"errorCode": PREFIX, "eventName": ["DeleteTable", "UpdateTable"]},
        {"errorCode": ["Client.UnauthorizedOperation"]},
    ],
)
def test_some_codes_or_some_calls_fail(detail: dict[str, Any]) -> None:
    assert judge(rules=[event_rule(api_calls("dynamodb", **detail))]).status is Status.FAIL


@pytest.mark.parametrize(("threshold", "status"), [(5.0, Status.PASS), (10.0, Status.PASS), (11.0, Status.FAIL)])
def test_an_alarm_may_wait_for_ten(threshold: float, status: Status) -> None:
    filters = [metric_filter('{ $.errorCode = "AccessDenied*" }')]
    assert judge(filters=filters, alarms=[alarm(threshold=threshold)]).status is status


def test_unknown_and_attested() -> None:
    assert judge(alarms=DENIED).status is Status.UNKNOWN
    verdict = judge(alarms=DENIED, config=Config(external_detection=("unauthorized-calls",)))
    assert verdict.status is Status.PASS
    assert verdict.evidence["attested"] == "external_detection"
