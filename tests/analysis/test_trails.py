"""Which management events trails record, and what keeps a trail from being complete."""

from typing import Any

import pytest

from auditor.analysis.trails import KEY_WRITE, TABLE_READ, TABLE_WRITE, management_logging, records
from auditor.facts import (
    ClassicSelector,
    FieldSelector,
    Gap,
    Reason,
    TrailInfo,
    Trails,
    TrailSelectors,
    TrailStatus,
    TrailVerdict,
)
from auditor.resources import Account, Region, Trail
from tests.rules import REGION, TRAIL

DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "cloudtrail:GetTrailStatus")
AWAY = Trail(Region(Account("444455556666"), "us-east-1"), "org")
ALL = ClassicSelector("All", management=True)
CATEGORY = FieldSelector("eventCategory", equals=("Management",))
KMS = ("kms.amazonaws.com",)


def classic(*selectors: ClassicSelector) -> TrailSelectors:
    return TrailSelectors(classic=selectors)


def advanced(*fields: FieldSelector) -> TrailSelectors:
    return TrailSelectors(advanced=((CATEGORY, *fields),))


@pytest.mark.parametrize(
    ("selectors", "expected"),
    [
        (TrailSelectors(), (True, True, True)),
        (classic(ALL), (True, True, True)),
        (classic(ClassicSelector("WriteOnly", True)), (True, False, True)),
        (classic(ClassicSelector("ReadOnly", True)), (False, True, False)),
        (classic(ClassicSelector("writeonly", True), ClassicSelector("ReadOnly", True)), (True, True, True)),
        (classic(ClassicSelector("All", False)), (False, False, False)),
        (classic(ClassicSelector("All", False), ALL), (True, True, True)),
        (classic(ClassicSelector("All", True, KMS)), (True, True, False)),
        (classic(ClassicSelector("All", True, ("rdsdata.amazonaws.com",))), (True, True, True)),
        (advanced(), (True, True, True)),
        (advanced(FieldSelector("readOnly", equals=("false",))), (True, False, True)),
        (advanced(FieldSelector("readOnly", not_equals=("false",))), (False, True, False)),
        (advanced(FieldSelector("eventSource", not_equals=KMS)), (True, True, False)),
        (advanced(FieldSelector("eventSource", equals=KMS)), (False, False, True)),
        (advanced(FieldSelector("eventSource", starts_with=("dynamo", "s3"))), (True, True, False)),
        (advanced(FieldSelector("eventSource", not_starts_with=("dynamo",))), (False, False, True)),
        (advanced(FieldSelector("eventSource", ends_with=(".amazonaws.com",))), (True, True, True)),
        (advanced(FieldSelector("eventSource", not_ends_with=("db.amazonaws.com",))), (False, False, True)),
        (TrailSelectors(advanced=((FieldSelector("eventCategory", equals=("Data",)),),)), (False, False, False)),
        (advanced(FieldSelector("eventName", equals=("DeleteTable",))), (None, None, None)),
        (
            advanced(FieldSelector("eventName", equals=("x",)), FieldSelector("readOnly", equals=("false",))),
            (None, False, None),
        ),
        (
            advanced(FieldSelector("readOnly", equals=("false",)), FieldSelector("eventName", equals=("x",))),
            (None, False, None),
        ),
        (
            TrailSelectors(advanced=((CATEGORY, FieldSelector("eventName", equals=("x",))), (CATEGORY,))),
            (True, True, True),
        ),
    ],
)
def test_selectors_are_evaluated_on_events(selectors: TrailSelectors, expected: tuple[bool | None, ...]) -> None:
    assert tuple(records(selectors, probe) for probe in (TABLE_WRITE, TABLE_READ, KEY_WRITE)) == expected


def info(trail: Trail = TRAIL, *, multi: bool = True, validation: bool = True, key: str | None = "k") -> TrailInfo:
    return TrailInfo(trail, multi, validation, False, key, "logs", None)


def judge(*infos: TrailInfo, status: Any = None, selectors: Any = None) -> tuple[TrailVerdict, ...]:
    """Judge trails, all of them with this status and these selectors (by default logging everything)."""
    statuses = {one.trail: status or TrailStatus(True) for one in infos}
    held = {one.trail: selectors or classic(ALL) for one in infos}
    return management_logging(REGION, Trails(infos), statuses, held).trails  # type: ignore[no-any-return]


def test_a_complete_trail_has_no_shortcomings() -> None:
    assert judge(info()) == (TrailVerdict(info(), True),)


@pytest.mark.parametrize(
    ("one", "status", "selectors", "said"),
    [
        (info(multi=False), None, None, "It records one region only."),
        (info(validation=False), None, None, "Log file validation is off."),
        (info(), TrailStatus(True, "NoSuchBucket"), None, "Its logs cannot be delivered: NoSuchBucket."),
        (info(), TrailStatus(True, None, "AccessDenied"), None, "Its digests cannot be delivered: AccessDenied."),
        (info(), None, classic(ClassicSelector("WriteOnly", True)), "It records writes only."),
        (info(), None, classic(ClassicSelector("All", True, KMS)), "It leaves out KMS, and so hides"),
    ],
)
def test_every_shortcoming_of_a_recording_trail_is_named(
    one: TrailInfo, status: Any, selectors: Any, said: str
) -> None:
    (verdict,) = judge(one, status=status, selectors=selectors)
    assert verdict.records is True
    assert len(verdict.shortcomings) == 1
    assert verdict.shortcomings[0].startswith(said)


def test_a_trail_that_is_off_or_records_no_writes_records_nothing_here() -> None:
    off, read_only = TrailStatus(False), classic(ClassicSelector("ReadOnly", True))
    for given in ({"status": off}, {"status": off, "selectors": DENIED}, {"status": DENIED, "selectors": read_only}):
        (verdict,) = judge(info(), **given)
        assert (verdict.records, verdict.gap) == (False, None)


@pytest.mark.parametrize("given", [{"status": DENIED}, {"selectors": DENIED}])
def test_an_unread_status_or_selector_is_a_gap_beside_what_is_known(given: dict[str, Any]) -> None:
    assert judge(info(validation=False), **given) == (
        TrailVerdict(info(validation=False), None, ("Log file validation is off.",), DENIED),
    )


def test_a_selector_that_cannot_be_evaluated_is_undecidable() -> None:
    (verdict,) = judge(info(), selectors=advanced(FieldSelector("eventName", not_equals=("Decrypt",))))
    assert verdict.records is None
    assert verdict.gap is not None
    assert verdict.gap.reason is Reason.UNDECIDABLE


def test_a_trail_reaches_its_home_region_or_all() -> None:
    assert judge(info(AWAY, multi=False)) == ()
    assert [one.info.trail for one in judge(info(AWAY), info(TRAIL, multi=False))] == [AWAY, TRAIL]


def test_a_shadow_copy_is_the_same_trail() -> None:
    assert len(judge(info(AWAY), info(AWAY))) == 1


def test_a_trail_that_was_not_asked_at_home_is_not_known() -> None:
    (verdict,) = management_logging(REGION, Trails((info(AWAY),)), {}, {}).trails
    assert verdict.records is None
    assert verdict.gap is not None
    assert verdict.gap.reason is Reason.PARTIAL_DATA
