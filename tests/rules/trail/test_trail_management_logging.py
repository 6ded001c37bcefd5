"""trail-management-logging: one complete trail passes; what is known to fall short fails even where the rest is not."""

from typing import Any

import pytest

from auditor import Severity, Status, Verdict
from auditor.facts import (
    EventDataStore,
    Gap,
    LakeLogging,
    ManagementLogging,
    Reason,
    StoreVerdict,
    TrailInfo,
    TrailVerdict,
)
from auditor.resources import Region, Trail
from tests.rules import REGION, load

rule: Any = load("trail-management-logging")

DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "cloudtrail:GetTrailStatus")
KEY = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
WRITES_ONLY = ("It records writes only.",)


def judge(
    region: Region, logging: ManagementLogging | Gap, lake: LakeLogging | None = None, **settings: bool
) -> Verdict:
    """Judge trails, and by default no event data stores."""
    verdict: Verdict = rule(region, logging, lake or LakeLogging(), **settings)
    return verdict


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
        ((UNREAD_KEYLESS,), Status.FAIL, None),
        ((UNREAD_PARTIAL,), Status.FAIL, None),
        ((UNREAD_KEYLESS, UNREAD_PARTIAL, OFF), Status.FAIL, None),
        ((UNREAD_KEYLESS, PARTIAL), Status.FAIL, Severity.MEDIUM),
        ((UNREAD_PARTIAL, KEYLESS), Status.FAIL, Severity.LOW),
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
    evidence: Any = judge(REGION, ManagementLogging((PARTIAL, OFF))).evidence
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


def test_lake_is_not_accepted_unless_set_and_the_severity_is_high() -> None:
    assert [(one.name, one.default) for one in rule.rule.settings] == [("accept_lake", False)]
    assert rule.rule.severity is Severity.HIGH


STORE_ARN = "arn:aws:cloudtrail:us-east-1:111122223333:eventdatastore/1234abcd-12ab-34cd-56ef-1234567890ab"
UNLISTED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "cloudtrail:ListEventDataStores")
UNASKED = Gap(Reason.PARTIAL_DATA, "Not asked.")


def store(*, records: bool | None = True, short: tuple[str, ...] = (), gap: Gap | None = None) -> StoreVerdict:
    return StoreVerdict(STORE_ARN, EventDataStore(STORE_ARN, "lake", "ENABLED", True, False, ()), records, short, gap)


KEPT, STOPPED, PART = store(), store(records=False, short=("It is stopped.",)), store(short=WRITES_ONLY)
UNREAD_STORE = StoreVerdict(STORE_ARN, None, None, (), UNLISTED)


@pytest.mark.parametrize(
    ("trails", "stores", "gaps", "status", "severity"),
    [
        ((), (), (), Status.FAIL, None),
        ((), (KEPT,), (), Status.PASS, None),
        ((), (STOPPED,), (), Status.FAIL, None),
        ((), (PART,), (), Status.FAIL, Severity.MEDIUM),
        ((OFF, PARTIAL, KEYLESS, UNREAD), (UNREAD_STORE, KEPT), (UNLISTED,), Status.PASS, None),
        ((COMPLETE,), (STOPPED, UNREAD_STORE), (UNLISTED, UNASKED), Status.PASS, None),
        ((KEYLESS,), (PART,), (), Status.FAIL, Severity.LOW),
        ((KEYLESS,), (), (UNLISTED,), Status.UNKNOWN, None),
        ((PARTIAL,), (UNREAD_STORE,), (), Status.UNKNOWN, None),
        ((), (PART,), (UNASKED,), Status.UNKNOWN, None),
        ((), (store(records=None, short=WRITES_ONLY, gap=UNASKED),), (), Status.FAIL, None),
    ],
)
def test_an_accepted_store_stands_in_for_a_trail(
    trails: tuple[TrailVerdict, ...],
    stores: tuple[StoreVerdict, ...],
    gaps: tuple[Gap, ...],
    status: Status,
    severity: Severity | None,
) -> None:
    verdict = judge(REGION, ManagementLogging(trails), LakeLogging(stores, gaps), accept_lake=True)
    assert (verdict.status, verdict.severity) == (status, severity)


@pytest.mark.parametrize("trails", [(), (PARTIAL,), (KEYLESS,), (UNREAD,), (COMPLETE,)])
def test_stores_and_what_is_missing_about_them_change_nothing_unless_accepted(trails: tuple[TrailVerdict, ...]) -> None:
    lake = LakeLogging((KEPT, UNREAD_STORE), (UNLISTED,))
    assert judge(REGION, ManagementLogging(trails), lake) == judge(REGION, ManagementLogging(trails))


@pytest.mark.parametrize(
    "lake", [LakeLogging((), (UNASKED, UNLISTED)), LakeLogging((UNREAD_STORE, store(records=None, gap=UNASKED)))]
)
def test_what_is_missing_about_accepted_stores_names_the_action(lake: LakeLogging) -> None:
    verdict = judge(REGION, ManagementLogging((OFF,)), lake, accept_lake=True)
    assert (verdict.reason, verdict.missing_permission) == ("access_denied", "cloudtrail:ListEventDataStores")


def test_where_trails_are_denied_only_an_accepted_store_decides() -> None:
    for lake, accepted, status in (
        (LakeLogging((KEPT,)), False, Status.UNKNOWN),
        (LakeLogging((PART,)), True, Status.UNKNOWN),
        (LakeLogging((KEPT,)), True, Status.PASS),
    ):
        verdict = judge(REGION, DENIED, lake, accept_lake=accepted)
        assert (verdict.status, verdict.missing_permission == DENIED.action) == (status, status is Status.UNKNOWN)


def test_messages_and_evidence_name_the_stores() -> None:
    lake = LakeLogging((PART, UNREAD_STORE))
    verdict = judge(REGION, ManagementLogging((COMPLETE,)), lake, accept_lake=True)
    assert verdict.message == "A complete trail records management events here."
    assert verdict.evidence["eventDataStores"] == [
        {
            "EventDataStoreArn": STORE_ARN,
            "Name": "lake",
            "Status": "ENABLED",
            "MultiRegionEnabled": True,
            "OrganizationEnabled": False,
            "recordsTableWrites": True,
            "shortcomings": ["It records writes only."],
        },
        {"EventDataStoreArn": STORE_ARN, "recordsTableWrites": None, "shortcomings": []},
    ]
    for stores, said in (
        ((KEPT,), "A complete event data store records management events here."),
        ((PART,), "The best event data store, lake, falls short: It records writes only."),
        ((STOPPED,), "No trail or event data store that is logging records DynamoDB's management events here."),
        ((), "No trail or event data store reaches this region."),
    ):
        assert judge(REGION, ManagementLogging(()), LakeLogging(stores), accept_lake=True).message == said
