"""Which events trails and event data stores record: selectors are evaluated on probes, never as text."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from auditor.facts import (
    ClassicSelector,
    DataLogging,
    DataRecorder,
    EnabledRegions,
    EventDataStore,
    EventDataStores,
    FieldSelector,
    Gap,
    LakeDataLogging,
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
from auditor.resources import Region, Stream, Table, Trail


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
        outcomes = [_advanced(selector, probe.fields) for selector in selectors.advanced]
    elif selectors.classic:
        outcomes = [_classic(selector, probe) for selector in selectors.classic]
    else:
        return True  # the default of a trail without selectors: all management events
    return _any(outcomes)


def _any(outcomes: Collection[bool | None]) -> bool | None:
    if True in outcomes:
        return True
    return None if None in outcomes else False


def _classic(selector: ClassicSelector, probe: Probe) -> bool:
    return (
        selector.management
        and _selects_kind(selector, read_only=probe.read_only)
        and probe.source not in selector.excluded_sources
    )


def _selects_kind(selector: ClassicSelector, *, read_only: bool) -> bool:
    return {"all": True, "writeonly": not read_only, "readonly": read_only}.get(selector.read_write.lower(), False)


def _advanced(selector: tuple[FieldSelector, ...], fields: Mapping[str, str]) -> bool | None:
    """Evaluate a selector: all its fields must hold; None when that hangs on one that is not among ``fields``."""
    outcome: bool | None = True
    for field in selector:
        value = fields.get(field.field)
        if value is None:
            outcome = None
        elif not _field(field, value):
            return False
    return outcome


def _field(field: FieldSelector, value: str) -> bool:
    """Evaluate one field: one operator that includes must hold, if there is any, and none that excludes.

    CloudTrail User Guide, Filtering data events, how CloudTrail evaluates multiple conditions for a field.
    """
    return (
        (
            not (field.equals or field.starts_with or field.ends_with)
            or value in field.equals
            or value.startswith(field.starts_with)
            or value.endswith(field.ends_with)
        )
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
    reaching = [info for info in trails.trails if info.reaches(region)]
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
    found, gaps = _stores(region, stores, enabled)
    return LakeLogging(
        tuple(
            StoreVerdict(arn, None, None, (), gap) if store is None else _judge_store(store, gap)
            for arn, (store, gap) in found.items()
        ),
        gaps,
    )


def _stores(
    region: Region, stores: Mapping[Region, EventDataStores | Gap], enabled: EnabledRegions | Gap
) -> tuple[dict[str, tuple[EventDataStore | None, Gap | None]], tuple[Gap, ...]]:
    """Return the stores that may keep a region's events, in order of ARN, and why there may be further ones.

    Each with what could not be found out about it, or None.
    """
    known: dict[str, tuple[EventDataStore | None, Gap | None]] = {}
    gaps = [enabled] if isinstance(enabled, Gap) else []
    for home in sorted(stores, key=lambda one: (one.account != region.account, one.arn)):
        found = stores[home]
        if isinstance(found, Gap):
            gaps.append(found)
            continue
        for arn, gap in found.unread.items():
            known.setdefault(arn, (None, gap))
        for store in found.stores:
            reaches = store.multi_region or home.name == region.name
            if reaches and (store.organization or home.account == region.account):
                known.setdefault(store.arn, (store, None if home.account == region.account else _MEMBERSHIP))
    names = () if isinstance(enabled, Gap) else (one.name for one in enabled.regions)
    if unasked := [name for name in names if Region(region.account, name) not in stores]:
        text = f"Event data stores with their home in regions that were not asked are not known: {', '.join(unasked)}."
        gaps.append(Gap(Reason.PARTIAL_DATA, text))
    return dict(sorted(known.items())), tuple(sorted(gaps, key=lambda gap: gap.action is None))


_MEMBERSHIP = Gap(
    Reason.UNDECIDABLE, "Whether this account belongs to the organisation of an event data store is not known."
)


def _off(store: EventDataStore) -> str:
    return f"Its status is {store.status or 'not given'}."


def _judge_store(store: EventDataStore, gap: Gap | None) -> StoreVerdict:
    if store.status != "ENABLED":
        return StoreVerdict(store.arn, store, False, (_off(store),))
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


# Data events

TABLE, STREAM = Table.cfn_type, Stream.cfn_type

#: Operations that CloudTrail logs as data events of tables (DynamoDB Developer Guide, "Logging DynamoDB operations by
#: using AWS CloudTrail"); a PartiQL statement may read or write.
PARTIQL = ("BatchExecuteStatement", "ExecuteStatement", "ExecuteTransaction")
READS = ("BatchGetItem", "GetItem", "Query", "Scan", "TransactGetItems", *PARTIQL)
WRITES = ("BatchWriteItem", "DeleteItem", "PutItem", "TransactWriteItems", "UpdateItem", *PARTIQL)

#: Stands for any text that no selector names.
OTHER = "~"

#: With more different callers than that in a table's selectors nobody decides whether they are all.
MOST_CALLERS = 500


@derive
def data_logging(
    region: Region,
    trails: Trails,
    statuses: Mapping[Trail, TrailStatus | Gap],
    selectors: Mapping[Trail, TrailSelectors | Gap],
) -> DataLogging:
    """Bring together what the trails that reach the region select; a shadow copy is the same trail."""
    missing = Gap(Reason.PARTIAL_DATA, "The trail was not asked in its home region.")
    reaching = {info.trail for info in trails.trails if info.reaches(region)}
    return DataLogging(
        tuple(
            _recorder(trail, statuses.get(trail, missing), selectors.get(trail, missing)) for trail in sorted(reaching)
        )
    )


def _recorder(trail: Trail, status: TrailStatus | Gap, selectors: TrailSelectors | Gap) -> DataRecorder:
    if isinstance(status, Gap):
        return DataRecorder(trail.arn, trail.name, selectors, gap=status)
    problem = None
    if not status.logging:
        problem = "It is not logging."
    elif status.delivery_error:
        problem = f"Its logs cannot be delivered: {status.delivery_error}."
    return DataRecorder(trail.arn, trail.name, selectors, problem)


@derive
def lake_data_logging(
    region: Region, stores: Mapping[Region, EventDataStores | Gap], enabled: EnabledRegions | Gap
) -> LakeDataLogging:
    """Bring together what the event data stores select that may keep the region's events."""
    found, gaps = _stores(region, stores, enabled)
    return LakeDataLogging(tuple(_store_recorder(arn, *known) for arn, known in found.items()), gaps)


def _store_recorder(arn: str, store: EventDataStore | None, gap: Gap | None) -> DataRecorder:
    if store is None:
        return DataRecorder(arn, "", gap or Gap(Reason.PARTIAL_DATA, "The event data store was not read."))
    problem = None if store.status == "ENABLED" else _off(store)
    if not store.selectors:
        text = "Which events an event data store without event selectors keeps is not documented."
        return DataRecorder(arn, store.name, Gap(Reason.UNDECIDABLE, text), problem, gap)
    return DataRecorder(arn, store.name, TrailSelectors(advanced=store.selectors), problem, gap)


@dataclass(frozen=True, slots=True)
class DataCoverage:
    """How far a table's reads or its writes are logged.

    Attributes:
        logged: All of them are; None when that is not known.
        some: Some of them are for certain.
        names: The operations that are not, where selectors filter on ``eventName``; otherwise none.
        callers: Some callers' are not: selectors filter on who calls.
        gap: Why it is not known, or None.
    """

    logged: bool | None
    some: bool = False
    names: tuple[str, ...] = ()
    callers: bool = False
    gap: Gap | None = None


def data_coverage(arn: str, recorders: Iterable[DataRecorder], *, read_only: bool) -> DataCoverage:
    """Tell whether trails and event data stores together log all reads, or all writes, of a table.

    Events are tried on all of them: one for each operation that an ``eventName`` could leave out, and for each kind of
    caller that a filter on callers could.

    Args:
        arn: The table's ARN.
        recorders: Those that reach its region.
        read_only: Its reads; else its writes.
    """
    open_ones: list[_Filters] = []
    for one in recorders:
        found = None if one.problem is not None else _filters(one, arn, read_only=read_only)
        if found is None:
            continue
        if found.logs_all:
            return DataCoverage(True, some=True)
        open_ones.append(found)
    filters = [filtered for one in open_ones for filtered in one.filters]
    seen: list[tuple[dict[str, str], bool]] = []
    gaps: list[Gap] = []
    for event in _events(filters, read_only=read_only):
        outcomes = [one.logs(event) for one in open_ones]
        if True in outcomes:
            seen.append((event, True))
        elif causes := [one for one in outcomes if isinstance(one, Gap)]:
            gaps += causes
        else:
            seen.append((event, False))
    missing = [event for event, outcome in seen if not outcome]
    logged = False if missing else None if gaps else True
    some = any(outcome for _, outcome in seen)
    fields = {field.field for filtered in filters for field in filtered}
    return DataCoverage(
        logged,
        some,
        tuple(sorted({event["eventName"] for event in missing})) if "eventName" in fields and some else (),
        bool(fields & {"userIdentity.arn", "sessionCredentialFromConsole"}) and some and bool(missing),
        # A missing permission is what somebody can do something about.
        min(gaps, key=lambda one: one.action is None) if logged is None else None,
    )


@dataclass(frozen=True, slots=True)
class _Filters:
    """What a trail or event data store that may log reads, or writes, of a table filters them by.

    Attributes:
        filters: For each selector that is about them, the fields that tell one from another; a selector without any
            takes all.
        gap: Why it is not known whether it logs what passes, or None.
        doubt: Why it is not known whether it logs what does not, or None.
        undecided: Says that a filter of it cannot be evaluated.
    """

    filters: tuple[tuple[FieldSelector, ...], ...]
    gap: Gap | None
    doubt: Gap | None
    undecided: Gap

    @property
    def logs_all(self) -> bool:
        """It logs all of them for certain."""
        return self.gap is None and () in self.filters

    def logs(self, event: Mapping[str, str]) -> bool | Gap:
        """Tell whether it logs one, or why that is not known."""
        outcome = _any([_advanced(one, event) for one in self.filters])
        if outcome:
            return self.gap or True
        if outcome is None:
            return self.gap or self.undecided
        return self.doubt or False


def _filters(recorder: DataRecorder, arn: str, *, read_only: bool) -> _Filters | None:
    """Return how a trail or event data store filters a table's reads or writes; None when it logs none of them."""
    text = f"What {recorder.name} logs cannot be decided: its event selectors use a field or a value that is not known."
    undecided = Gap(Reason.UNDECIDABLE, text)
    if isinstance(recorder.selectors, Gap):
        return _Filters((), None, recorder.selectors, undecided)
    same = {
        "eventCategory": "Data",
        "resources.type": TABLE,
        "resources.ARN": arn,
        "eventSource": "dynamodb.amazonaws.com",
        "eventType": "AwsApiCall",
        "readOnly": "true" if read_only else "false",
    }
    filters = [
        tuple(field for field in selector if field.field not in same)
        for selector in recorder.selectors.advanced
        if all(_field(field, same[field.field]) for field in selector if field.field in same)
    ]
    classic = _any([_classic_data(one, arn, read_only=read_only) for one in recorder.selectors.classic])
    if classic:
        filters.append(())
    doubt = None if classic is not None else recorder.gap or undecided
    return _Filters(tuple(filters), recorder.gap, doubt, undecided) if filters or doubt else None


def _events(filters: list[tuple[FieldSelector, ...]], *, read_only: bool) -> Iterator[dict[str, str]]:
    """Yield reads or writes, one for each way in which some filters could tell them apart."""
    fields = {one.field for filtered in filters for one in filtered}
    names = READS if read_only else WRITES
    callers = _callers([one for filtered in filters for one in filtered if one.field == "userIdentity.arn"])
    consoles = ("false", "true") if "sessionCredentialFromConsole" in fields else ("false",)
    for name, caller, console in itertools.product(names if "eventName" in fields else names[:1], callers, consoles):
        event = {"eventName": name, "sessionCredentialFromConsole": console}
        yield event if caller is None else event | {"userIdentity.arn": caller}


def _callers(filters: list[FieldSelector]) -> list[str] | list[None]:
    """Return one caller for each set of callers that some filters treat alike; a single None for too many of them."""
    equal = {text for one in filters for text in (*one.equals, *one.not_equals)}
    starts = {text for one in filters for text in (*one.starts_with, *one.not_starts_with)} | {""}
    ends = {text for one in filters for text in (*one.ends_with, *one.not_ends_with)} | {""}
    if len(equal) + len(starts) * len(ends) > MOST_CALLERS:
        return [None]
    return sorted(equal | {f"{start}{OTHER}{end}" for start in starts for end in ends})


def _classic_data(selector: ClassicSelector, arn: str, *, read_only: bool) -> bool | None:
    """Evaluate a classic selector: all tables or exact ARNs (CloudTrail API Reference, DataResource).

    What another beginning of an ARN selects is documented for other services only.
    """
    if not _selects_kind(selector, read_only=read_only):
        return False
    values = tuple(one for one in (selector.data_resources or {}).get(TABLE, ()) if one)
    if arn in values or ":".join(arn.split(":")[:3]) in values:
        return True
    return None if arn.startswith(values) else False


def selected_types(selectors: TrailSelectors) -> dict[str, bool]:
    """Tell, as evidence, whether data events of tables and of streams and network activity are selected at all."""
    network = {"eventCategory": "NetworkActivity", "eventSource": "dynamodb.amazonaws.com"}
    return {
        "tables": any(_names(one, TABLE) for one in selectors.advanced)
        or any(TABLE in (one.data_resources or {}) for one in selectors.classic),
        "streams": any(_names(one, STREAM) for one in selectors.advanced),
        "networkActivity": any(_advanced(one, network) is not False for one in selectors.advanced),
    }


def _names(selector: tuple[FieldSelector, ...], kind: str) -> bool:
    return any(one.field == "resources.type" and kind in one.equals for one in selector)
