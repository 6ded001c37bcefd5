"""Facts about AWS Config and other detective services."""

from __future__ import annotations

from dataclasses import dataclass

from auditor.facts.base import fact
from auditor.resources import Region


@dataclass(frozen=True, slots=True)
class ConfigRecorder:
    """One configuration recorder of the customer or of an AWS service.

    Attributes:
        name: ``name``.
        service_linked: ``servicePrincipal`` is set, or ``recordingScope`` is INTERNAL.
        strategy: ``recordingStrategy.useOnly``; where absent, ALL_SUPPORTED_RESOURCE_TYPES for
            ``allSupported`` or without any ``recordingGroup``, and INCLUSION_BY_RESOURCE_TYPES otherwise.
        included: ``recordingGroup.resourceTypes``.
        excluded: ``exclusionByResourceTypes.resourceTypes``.
        frequency: ``recordingMode.recordingFrequency`` for tables, overrides applied; absent means CONTINUOUS.
    """

    name: str
    service_linked: bool
    strategy: str
    included: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    frequency: str = "CONTINUOUS"


@fact(Region, "config:DescribeConfigurationRecorders", in_use_only=True)
@dataclass(frozen=True, slots=True)
class ConfigRecorders:
    """The region's configuration recorders (config:DescribeConfigurationRecorders)."""

    recorders: tuple[ConfigRecorder, ...]


@dataclass(frozen=True, slots=True)
class RecorderStatus:
    """``recording``, ``lastStatus`` (upper case) and ``lastErrorCode`` of a recorder."""

    recording: bool
    last_status: str | None = None
    last_error: str | None = None


@fact(Region, "config:DescribeConfigurationRecorderStatus", in_use_only=True)
@dataclass(frozen=True, slots=True)
class ConfigRecorderStatuses:
    """The state of the recorders, as (name, state) (config:DescribeConfigurationRecorderStatus)."""

    statuses: tuple[tuple[str, RecorderStatus], ...]


@fact(Region, "config:DescribeDeliveryChannels", in_use_only=True)
@dataclass(frozen=True, slots=True)
class ConfigDelivery:
    """The bucket names of the region's delivery channels (config:DescribeDeliveryChannels)."""

    buckets: tuple[str, ...]
