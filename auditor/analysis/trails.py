"""Which management events trails and event data stores record: selectors are evaluated on probes, never as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from auditor.facts import (
    ClassicSelector,
    EnabledRegions,
    EventDataStore,
    EventDataStores,
    FieldSelector,
    Gap,
    LakeLogging,
    ManagementLogging,
    Reason,
    StoreVerdict,
    TrailInfo,
    Trails,
    TrailSelectors,
    TrailStatus,
    TrailVerdict,
    derive,
)
from auditor.resources import Region, Trail


@dataclass(frozen=True, slots=True)
class Probe:
    """A management event that a good trail records."""

    source: str
    read_only: bool

    @property
    def fields(self) -> Mapping[str, str]:
        """Its fields under the names of advanced event selectors."""
        return {
            "eventCategory": "Management",
            "eventSource": self.source,
            "readOnly": "true" if self.read_only else "false",
        }


TABLE_WRITE = Probe("dynamodb.amazonaws.com", read_only=False)
TABLE_READ = Probe("dynamodb.amazonaws.com", read_only=True)
KEY_WRITE = Probe("kms.amazonaws.com", read_only=False)

ONE_REGION = "It records one region only."
NO_WRITES = "It does not record DynamoDB's management writes."


def records(selectors: TrailSelectors, probe: Probe) -> bool | None:
    """Tell whether a trail with these selectors records an event; None when that hangs on a field not known here."""
    if selectors.advanced:
        outcomes = [_advanced(selector, probe) for selector in selectors.advanced]
    elif selectors.classic:
        outcomes = [_classic(selector, probe) for selector in selectors.classic]
    else:
        return True  # the default of a trail without selectors: all management events
    if True in outcomes:
        return True
    return None if None in outcomes else False


def _classic(selector: ClassicSelector, probe: Probe) -> bool:
    wanted = {"all": True, "writeonly": not probe.read_only, "readonly": probe.read_only}
    return (
        selector.management
        and wanted.get(selector.read_write.lower(), False)
        and probe.source not in selector.excluded_sources
    )


def _advanced(selector: tuple[FieldSelector, ...], probe: Probe) -> bool | None:
    outcome: bool | None = True
    for field in selector:
        value = probe.fields.get(field.field)
        if value is None:
            outcome = None
        elif not _field(field, value):
            return False
    return outcome


def _field(field: FieldSelector, value: str) -> bool:
    """Evaluate one field: every operator that is given must hold (CloudTrail API Reference, AdvancedFieldSelector)."""
    return (
        (not field.equals or value in field.equals)
        and (not field.starts_with or value.startswith(field.starts_with))
        and (not field.ends_with or value.endswith(field.ends_with))
        and value not in field.not_equals
        and not (field.not_starts_with and value.startswith(field.not_starts_with))
        and not (field.not_ends_with and value.endswith(field.not_ends_with))
    )


@derive
def management_logging(
    region: Region,
    trails: Trails,
    statuses: Mapping[Trail, TrailStatus | Gap],
    selectors: Mapping[Trail, TrailSelectors | Gap],
) -> ManagementLogging:
    """Judge every trail that reaches the region; a shadow copy is the same trail, asked in its home region."""
    reaching = [info for info in trails.trails if info.multi_region or info.trail.region.name == region.name]
    missing = Gap(Reason.PARTIAL_DATA, "The trail was not asked in its home region.")
    return ManagementLogging(
        tuple(
            _judge(info, statuses.get(info.trail, missing), selectors.get(info.trail, missing))
            for info in {info.trail: info for info in reaching}.values()
        )
    )


def _judge(info: TrailInfo, status: TrailStatus | Gap, selectors: TrailSelectors | Gap) -> TrailVerdict:
    shortcomings = list(_shortcomings(info))
    if isinstance(status, TrailStatus):
        if not status.logging:
            return TrailVerdict(info, False, ("It is not logging.",))
        if status.delivery_error:
            shortcomings.append(f"Its logs cannot be delivered: {status.delivery_error}.")
        if status.digest_error:
            shortcomings.append(f"Its digests cannot be delivered: {status.digest_error}.")
    gap = next((one for one in (status, selectors) if isinstance(one, Gap)), None)
    recorded: bool | None = None
    if isinstance(selectors, TrailSelectors):
        outcomes = _outcomes(selectors)
        recorded = outcomes[TABLE_WRITE]
        if recorded is False:
            return TrailVerdict(info, False, (NO_WRITES,))
        shortcomings += _omissions(outcomes)
        if gap is None and None in outcomes.values():
            gap = Gap(Reason.UNDECIDABLE, "An event selector of the trail uses a field that this rule cannot evaluate.")
    return TrailVerdict(info, recorded if gap is None else None, tuple(shortcomings), gap)


def _shortcomings(info: TrailInfo) -> Iterator[str]:
    if not info.multi_region:
        yield ONE_REGION
    if not info.validation:
        yield "Log file validation is off."


def _outcomes(selectors: TrailSelectors) -> Mapping[Probe, bool | None]:
    return {probe: records(selectors, probe) for probe in (TABLE_WRITE, TABLE_READ, KEY_WRITE)}


def _omissions(outcomes: Mapping[Probe, bool | None]) -> Iterator[str]:
    if outcomes[TABLE_READ] is False:
        yield "It records writes only."
    if outcomes[KEY_WRITE] is False:
        yield "It leaves out KMS, and so hides tampering with keys."


@derive
def lake_logging(
    region: Region, stores: Mapping[Region, EventDataStores | Gap], enabled: EnabledRegions | Gap
) -> LakeLogging:
    """Judge every event data store that may keep the region's events.

    Only its home region lists a store, and only the account that owns it (or administers it) an organisation's: so
    the stores of all regions and accounts that were asked matter, and the account's regions that were not asked are
    a gap.
    """
    verdicts: dict[str, StoreVerdict] = {}
    gaps = [enabled] if isinstance(enabled, Gap) else []
    for home in sorted(stores, key=lambda one: (one.account != region.account, one.arn)):
        found = stores[home]
        if isinstance(found, Gap):
            gaps.append(found)
            continue
        for arn, gap in found.unread.items():
            verdicts.setdefault(arn, StoreVerdict(arn, None, None, (), gap))
        for store in found.stores:
            reaches = store.multi_region or home.name == region.name
            if reaches and (store.organization or home.account == region.account):
                foreign = None if home.account == region.account else _MEMBERSHIP
                verdicts.setdefault(store.arn, _judge_store(store, foreign))
    names = () if isinstance(enabled, Gap) else (one.name for one in enabled.regions)
    if unasked := [name for name in names if Region(region.account, name) not in stores]:
        text = f"Event data stores with their home in regions that were not asked are not known: {', '.join(unasked)}."
        gaps.append(Gap(Reason.PARTIAL_DATA, text))
    return LakeLogging(
        tuple(verdicts[arn] for arn in sorted(verdicts)), tuple(sorted(gaps, key=lambda gap: gap.action is None))
    )


_MEMBERSHIP = Gap(
    Reason.UNDECIDABLE, "Whether this account belongs to the organisation of an event data store is not known."
)


def _judge_store(store: EventDataStore, gap: Gap | None) -> StoreVerdict:
    if store.status != "ENABLED":
        return StoreVerdict(store.arn, store, False, (f"Its status is {store.status or 'not given'}.",))
    outcomes: Mapping[Probe, bool | None] = dict.fromkeys((TABLE_WRITE, TABLE_READ, KEY_WRITE))
    if store.selectors:  # without any a trail records all management events; of a store that is not documented
        outcomes = _outcomes(TrailSelectors(advanced=store.selectors))
    if outcomes[TABLE_WRITE] is False:
        return StoreVerdict(store.arn, store, False, (NO_WRITES,))
    shortcomings = (*(() if store.multi_region else (ONE_REGION,)), *_omissions(outcomes))
    if gap is None and None in outcomes.values():
        text = "The event selectors of an event data store are missing or use a field that this rule cannot evaluate."
        gap = Gap(Reason.UNDECIDABLE, text)
    return StoreVerdict(store.arn, store, outcomes[TABLE_WRITE] if gap is None else None, shortcomings, gap)
