"""Which management events trails and event data stores record, and what keeps one from being complete."""

from typing import Any

import pytest

from auditor.analysis.trails import KEY_WRITE, TABLE_READ, TABLE_WRITE, lake_logging, management_logging, records
from auditor.facts import (
    ClassicSelector,
    EnabledRegions,
    EventDataStore,
    EventDataStores,
    FieldSelector,
    Gap,
    LakeLogging,
    Reason,
    RegionStatus,
    StoreVerdict,
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


HOME = Region(REGION.account, "us-east-1")
MANAGEMENT = Region(Account("444455556666"), "us-east-1")
WRITES_ONLY = "It records writes only."
NO_KMS = "It leaves out KMS, and so hides tampering with keys."
ENABLED = EnabledRegions((RegionStatus(REGION.name, False), RegionStatus(HOME.name, False)))
EVERYTHING = ((CATEGORY,),)


def store(
    home: Region = HOME, status: str = "ENABLED", *, multi: bool = True, org: bool = False, selectors: Any = EVERYTHING
) -> EventDataStore:
    arn = f"arn:aws:cloudtrail:{home.name}:{home.account.id}:eventdatastore/lake"
    return EventDataStore(arn, "lake", status, multi, org, selectors)


def lake(found: dict[Region, Any], enabled: EnabledRegions | Gap = ENABLED) -> LakeLogging:
    """Judge the stores that regions list; the account's regions list none unless told."""
    held = {REGION: EventDataStores(), HOME: EventDataStores()} | found
    return lake_logging(REGION, held, enabled)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("one", "recorded", "said"),
    [
        (store(), True, ()),
        (store(REGION, multi=False), True, ("It records one region only.",)),
        (store(status="STOPPED_INGESTION"), False, ("Its status is STOPPED_INGESTION.",)),
        (store(status=""), False, ("Its status is not given.",)),
        (
            store(selectors=((FieldSelector("eventCategory", equals=("Data",)),),)),
            False,
            ("It does not record DynamoDB's management writes.",),
        ),
        (store(selectors=advanced(FieldSelector("readOnly", equals=("false",))).advanced), True, (WRITES_ONLY,)),
        (store(selectors=advanced(FieldSelector("eventSource", not_equals=KMS)).advanced), True, (NO_KMS,)),
    ],
)
def test_a_store_is_judged_by_its_status_reach_and_selectors(
    one: EventDataStore, recorded: bool, said: tuple[str, ...]
) -> None:
    home = HOME if one.multi_region else REGION
    assert lake({home: EventDataStores((one,))}) == LakeLogging((StoreVerdict(one.arn, one, recorded, said),))


@pytest.mark.parametrize("selectors", [(), advanced(FieldSelector("eventName", equals=("DeleteTable",))).advanced])
def test_a_store_with_selectors_that_are_missing_or_cannot_be_evaluated_is_undecidable(selectors: Any) -> None:
    (verdict,) = lake({HOME: EventDataStores((store(selectors=selectors),))}).stores
    assert (verdict.records, verdict.shortcomings) == (None, ())
    assert verdict.gap is not None
    assert verdict.gap.reason is Reason.UNDECIDABLE


def test_a_store_of_one_region_does_not_reach_another() -> None:
    assert lake({HOME: EventDataStores((store(multi=False),))}) == LakeLogging()


def test_a_store_of_another_account_matters_only_if_it_is_an_organisations_and_membership_is_not_known() -> None:
    assert lake({MANAGEMENT: EventDataStores((store(MANAGEMENT),))}) == LakeLogging()
    (verdict,) = lake({MANAGEMENT: EventDataStores((store(MANAGEMENT, org=True),))}).stores
    assert verdict.records is None
    assert verdict.gap is not None
    assert verdict.gap.reason is Reason.UNDECIDABLE
    off = store(MANAGEMENT, "STOPPED_INGESTION", org=True)
    assert [one.records for one in lake({MANAGEMENT: EventDataStores((off,))}).stores] == [False]


def test_an_organisations_store_that_the_account_itself_lists_is_its_own() -> None:
    for region, other in ((HOME, MANAGEMENT), (MANAGEMENT, HOME)):
        shared = store(other, org=True)
        both = {one: EventDataStores((shared,)) for one in (region, other)}
        found = lake_logging(region, both, EnabledRegions((RegionStatus(HOME.name, False),)))
        assert found == LakeLogging((StoreVerdict(shared.arn, shared, True),))


def test_a_store_that_cannot_be_read_is_a_gap_beside_those_that_can() -> None:
    arn = "arn:aws:cloudtrail:us-east-1:111122223333:eventdatastore/hidden"
    found = lake({HOME: EventDataStores((store(),), {arn: DENIED})})
    assert found.stores == (StoreVerdict(arn, None, None, (), DENIED), StoreVerdict(store().arn, store(), True))


@pytest.mark.parametrize("where", [REGION, HOME, MANAGEMENT])
def test_a_listing_that_failed_may_hide_a_store(where: Region) -> None:
    assert lake({where: DENIED}) == LakeLogging((), (DENIED,))


def test_regions_that_were_not_asked_may_hide_a_store_and_come_after_missing_permissions() -> None:
    first, second = lake_logging(REGION, {REGION: DENIED}, ENABLED).gaps
    assert first == DENIED
    assert (second.reason, second.action) == (Reason.PARTIAL_DATA, None)
    assert second.detail.endswith("not known: us-east-1.")
    assert lake({}, DENIED).gaps == (DENIED,)
