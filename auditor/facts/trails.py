"""Facts about CloudTrail trails and event data stores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from auditor.facts.base import Gap, fact
from auditor.resources import LogGroup, Region, Resource, Trail


@dataclass(frozen=True, slots=True)
class TrailInfo:
    """One entry of ``trailList``; in other regions than its home it is a shadow copy of the same trail."""

    trail: Trail
    multi_region: bool
    validation: bool
    organization: bool
    kms_key: str | None
    bucket: str | None
    log_group: str | None

    def reaches(self, region: Region) -> bool:
        """Tell whether the trail records events of a region: it has its home there, or is multi-region."""
        return self.multi_region or self.trail.region.name == region.name


@fact(Region, "cloudtrail:DescribeTrails", lists=(Trail, LogGroup), in_use_only=True)
@dataclass(frozen=True, slots=True)
class Trails:
    """The trails that reach a region: its own, and shadow copies of multi-region and organisation trails."""

    trails: tuple[TrailInfo, ...]

    def names(self) -> Iterator[Resource]:
        """Yield the trails, each in its home region, and the log groups that they deliver to."""
        for info in self.trails:
            yield info.trail
            if info.log_group:
                yield LogGroup.from_arn(info.log_group)


@fact(Trail, "cloudtrail:GetTrailStatus")
@dataclass(frozen=True, slots=True)
class TrailStatus:
    """Whether a trail records (cloudtrail:GetTrailStatus, asked in the home region by ARN).

    Attributes:
        logging: ``IsLogging``.
        delivery_error: ``LatestDeliveryError``, None when empty.
        digest_error: ``LatestDigestDeliveryError``, None when empty.
        last_delivery: ``LatestDeliveryTime``.
        log_group_error: ``LatestCloudWatchLogsDeliveryError``, None when empty.
    """

    logging: bool
    delivery_error: str | None = None
    digest_error: str | None = None
    last_delivery: datetime | None = None
    log_group_error: str | None = None


@dataclass(frozen=True, slots=True)
class ClassicSelector:
    """One entry of ``EventSelectors``."""

    read_write: str
    management: bool
    excluded_sources: tuple[str, ...] = ()
    data_resources: Mapping[str, tuple[str, ...]] | None = None


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """One entry of ``FieldSelectors``: every operator with its values."""

    field: str
    equals: tuple[str, ...] = ()
    not_equals: tuple[str, ...] = ()
    starts_with: tuple[str, ...] = ()
    not_starts_with: tuple[str, ...] = ()
    ends_with: tuple[str, ...] = ()
    not_ends_with: tuple[str, ...] = ()


@fact(Trail, "cloudtrail:GetEventSelectors")
@dataclass(frozen=True, slots=True)
class TrailSelectors:
    """Which events a trail records; classic or advanced selectors, never both (cloudtrail:GetEventSelectors).

    Both empty means AWS's default: all management events.
    """

    classic: tuple[ClassicSelector, ...] = ()
    advanced: tuple[tuple[FieldSelector, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class EventDataStore:
    """An event data store of CloudTrail Lake (cloudtrail:GetEventDataStore).

    Attributes:
        arn: ``EventDataStoreArn``; an organisation's store belongs to the management account.
        name: ``Name``.
        status: ``Status``, in capitals.
        multi_region: ``MultiRegionEnabled``.
        organization: ``OrganizationEnabled``.
        selectors: ``AdvancedEventSelectors``; stores have no classic ones.
    """

    arn: str
    name: str
    status: str
    multi_region: bool
    organization: bool
    selectors: tuple[tuple[FieldSelector, ...], ...]


@fact(Region, "cloudtrail:ListEventDataStores", "cloudtrail:GetEventDataStore", in_use_only=True)
@dataclass(frozen=True, slots=True)
class EventDataStores:
    """The event data stores that have their home in a region.

    Attributes:
        stores: Those that could be read, in order of ARN.
        unread: ARN -> why it could not be read.
    """

    stores: tuple[EventDataStore, ...] = ()
    unread: Mapping[str, Gap] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrailVerdict:
    """What one trail does for a region's management events.

    Attributes:
        info: The trail.
        records: True when it is logging DynamoDB's management writes there; None when that is not known.
        shortcomings: What is known to keep it from being complete, as sentences. That it lacks a KMS key of its
            own is left to ``info``.
        gap: What could not be found out about it and matters, or None.
    """

    info: TrailInfo
    records: bool | None
    shortcomings: tuple[str, ...] = ()
    gap: Gap | None = None


@dataclass(frozen=True, slots=True)
class ManagementLogging:
    """All trails that reach a region, judged for management events (derived); each once, in order of ARN."""

    trails: tuple[TrailVerdict, ...]


@dataclass(frozen=True, slots=True)
class StoreVerdict:
    """What one event data store does for a region's management events.

    Attributes:
        arn: Its ARN.
        store: What is known of it, or None where it could not be read.
        records: True when it keeps DynamoDB's management writes there; None when that is not known.
        shortcomings: What is known to keep it from being complete, as sentences.
        gap: What could not be found out about it and matters, or None.
    """

    arn: str
    store: EventDataStore | None
    records: bool | None
    shortcomings: tuple[str, ...] = ()
    gap: Gap | None = None


@dataclass(frozen=True, slots=True)
class LakeLogging:
    """The event data stores that may keep a region's management events (derived).

    Attributes:
        stores: Each once, in order of ARN.
        gaps: Why there may be further ones, those that name a missing permission first.
    """

    stores: tuple[StoreVerdict, ...] = ()
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True)
class DataRecorder:
    """A trail or an event data store that reaches a region, as far as data events go.

    Attributes:
        arn: Its ARN.
        name: Its name; an empty text for an event data store that could not be read.
        selectors: Which events it records, or why that is not known.
        problem: Why it records nothing at all, as a sentence, or None.
        gap: What else is not known of it and matters, or None.
    """

    arn: str
    name: str
    selectors: TrailSelectors | Gap
    problem: str | None = None
    gap: Gap | None = None


@dataclass(frozen=True, slots=True)
class DataLogging:
    """All trails that reach a region, with what they select (derived); each once, in order of ARN."""

    trails: tuple[DataRecorder, ...]


@dataclass(frozen=True, slots=True)
class LakeDataLogging:
    """The event data stores that may keep a region's data events (derived).

    Attributes:
        stores: Each once, in order of ARN.
        gaps: Why there may be further ones, those that name a missing permission first.
    """

    stores: tuple[DataRecorder, ...] = ()
    gaps: tuple[Gap, ...] = ()
