"""trail-management-logging: one complete trail passes; what is known to fall short fails even where the rest is not."""

from typing import Any

import pytest

from auditor import Severity, Status
from auditor.facts import Gap, ManagementLogging, Reason, TrailInfo, TrailVerdict
from auditor.resources import Trail
from tests.rules import REGION, load

judge: Any = load("trail-management-logging")

DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "cloudtrail:GetTrailStatus")
KEY = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
WRITES_ONLY = ("It records writes only.",)


def trail(
    name: str = "audit",
    *,
    records: bool | None = True,
    short: tuple[str, ...] = (),
    gap: Gap | None = None,
    key: str | None = KEY,
) -> TrailVerdict:
    info = TrailInfo(Trail(REGION, name), True, True, False, key, "logs", None)
    return TrailVerdict(info, records, short, gap)


COMPLETE = trail()
OFF = trail("off", records=False, short=("It is not logging.",))
KEYLESS, PARTIAL = trail("keyless", key=None), trail("partial", short=WRITES_ONLY)
UNREAD = trail("unread", records=None, gap=DENIED)
UNREAD_KEYLESS = trail("unread-keyless", records=None, gap=DENIED, key=None)
UNREAD_PARTIAL = trail("unread-partial", records=None, gap=DENIED, short=WRITES_ONLY)


@pytest.mark.parametrize(
    ("trails", "status", "severity"),
    [
        ((), Status.FAIL, None),
        ((OFF,), Status.FAIL, None),
        ((COMPLETE,), Status.PASS, None),
        ((KEYLESS,), Status.FAIL, Severity.LOW),
        ((PARTIAL,), Status.FAIL, Severity.MEDIUM),
        ((PARTIAL, KEYLESS), Status.FAIL, Severity.LOW),
        ((OFF, PARTIAL, KEYLESS, COMPLETE), Status.PASS, None),
        ((UNREAD,), Status.UNKNOWN, None),
        ((OFF, UNREAD), Status.UNKNOWN, None),
        ((PARTIAL, KEYLESS, UNREAD), Status.UNKNOWN, None),
        ((UNREAD, COMPLETE), Status.PASS, None),
        ((UNREAD_KEYLESS,), Status.FAIL, Severity.LOW),
        ((UNREAD_PARTIAL,), Status.FAIL, Severity.MEDIUM),
        ((UNREAD_KEYLESS, UNREAD_PARTIAL, OFF), Status.FAIL, Severity.LOW),
        ((trail(records=None),), Status.UNKNOWN, None),
        ((trail(gap=DENIED),), Status.UNKNOWN, None),
    ],
)
def test_the_best_trail_decides(trails: tuple[TrailVerdict, ...], status: Status, severity: Severity | None) -> None:
    for order in (trails, trails[::-1]):
        verdict = judge(REGION, ManagementLogging(order))
        assert (verdict.status, verdict.severity) == (status, severity)


def test_an_unread_trail_names_the_action() -> None:
    verdict = judge(REGION, ManagementLogging((UNREAD,)))
    assert (verdict.reason, verdict.missing_permission) == ("access_denied", "cloudtrail:GetTrailStatus")


def test_messages_say_which_trail_falls_short_and_how() -> None:
    assert judge(REGION, ManagementLogging(())).message == "No trail reaches this region."
    assert "partial, falls short: It records writes only." in judge(REGION, ManagementLogging((PARTIAL,))).message
    assert "keyless" in judge(REGION, ManagementLogging((KEYLESS, PARTIAL))).message


def test_every_trail_is_evidence_under_the_names_of_the_api() -> None:
    evidence: dict[str, Any] = judge(REGION, ManagementLogging((PARTIAL, OFF))).evidence
    assert evidence["trails"][0] == {
        "TrailARN": "arn:aws:cloudtrail:eu-west-1:111122223333:trail/partial",
        "IsMultiRegionTrail": True,
        "LogFileValidationEnabled": True,
        "KmsKeyId": KEY,
        "IsOrganizationTrail": False,
        "recordsTableWrites": True,
        "shortcomings": ["It records writes only."],
    }
    assert [one["recordsTableWrites"] for one in evidence["trails"]] == [True, False]


def test_the_rule_has_no_settings_and_is_of_high_severity() -> None:
    assert (judge.rule.settings, judge.rule.severity) == ((), Severity.HIGH)
