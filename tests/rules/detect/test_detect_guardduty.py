"""detect-guardduty: an enabled detector that reads CloudTrail, wherever there are tables."""

from typing import Any

import pytest

from auditor import Severity, Status, Verdict
from auditor.facts import Detector, Detectors
from tests.rules import REGION, load

rule: Any = load("detect-guardduty")


def judge(*detectors: Detector, offered: bool = True) -> Verdict:
    verdict: Verdict = rule(REGION, Detectors(detectors, offered))
    return verdict


@pytest.mark.parametrize(
    ("detectors", "status", "message"),
    [
        ((), Status.FAIL, "GuardDuty has no detector here."),
        ((Detector("a", "ENABLED", cloud_trail=True),), Status.PASS, "GuardDuty is enabled."),
        # Answers with DataSources name no feature: the status decides.
        ((Detector("a", "ENABLED"),), Status.PASS, "GuardDuty is enabled."),
        # After a trial, or suspended by somebody.
        ((Detector("a", "DISABLED"),), Status.FAIL, "The GuardDuty detector is suspended."),
        ((Detector("a", "DISABLED", cloud_trail=True),), Status.FAIL, "The GuardDuty detector is suspended."),
        ((Detector("a", ""),), Status.FAIL, "The GuardDuty detector is suspended."),
        (
            (Detector("a", "ENABLED", cloud_trail=False),),
            Status.FAIL,
            "The GuardDuty detector does not read CloudTrail's events.",
        ),
        ((Detector("a", "DISABLED"), Detector("b", "ENABLED", True)), Status.PASS, "GuardDuty is enabled."),
    ],
)
def test_the_detector_decides(detectors: tuple[Detector, ...], status: Status, message: str) -> None:
    verdict = judge(*detectors)
    assert (verdict.status, verdict.message) == (status, message)


def test_where_aws_has_no_guardduty_nothing_is_asked() -> None:
    assert judge(offered=False).status is Status.NOT_APPLICABLE


def test_evidence_and_severity() -> None:
    assert judge(Detector("a", "ENABLED", cloud_trail=True, frequency="SIX_HOURS")).evidence == {
        "detectors": [
            {"DetectorId": "a", "Status": "ENABLED", "CLOUD_TRAIL": True, "FindingPublishingFrequency": "SIX_HOURS"}
        ]
    }
    assert rule.rule.severity is Severity.MEDIUM
