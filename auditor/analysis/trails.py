"""Which management events trails record: selectors are evaluated on probe events, not matched as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from auditor.facts import (
    ClassicSelector,
    FieldSelector,
    Gap,
    ManagementLogging,
    Reason,
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
        outcomes = {probe: records(selectors, probe) for probe in (TABLE_WRITE, TABLE_READ, KEY_WRITE)}
        recorded = outcomes[TABLE_WRITE]
        if recorded is False:
            return TrailVerdict(info, False, ("It does not record DynamoDB's management writes.",))
        if outcomes[TABLE_READ] is False:
            shortcomings.append("It records writes only.")
        if outcomes[KEY_WRITE] is False:
            shortcomings.append("It leaves out KMS, and so hides tampering with keys.")
        if gap is None and None in outcomes.values():
            gap = Gap(Reason.UNDECIDABLE, "An event selector of the trail uses a field that this rule cannot evaluate.")
    return TrailVerdict(info, recorded if gap is None else None, tuple(shortcomings), gap)


def _shortcomings(info: TrailInfo) -> Iterator[str]:
    if not info.multi_region:
        yield "It records one region only."
    if not info.validation:
        yield "Log file validation is off."
