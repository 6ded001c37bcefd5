"""AWS Config: recorders, their state, delivery channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auditor.facts import ConfigDelivery, ConfigRecorder, ConfigRecorders, ConfigRecorderStatuses, RecorderStatus
from auditor.resources import Region, Table
from auditor.sources.aws.collector import Yield, collects
from auditor.sources.aws.session import Aws


@collects(ConfigRecorders, about=Region)
def recorders(aws: Aws, region: Region) -> Yield:
    """Yield the region's recorders."""
    answer = aws.call("config:DescribeConfigurationRecorders")
    found = [_recorder(entry) for entry in answer.get("ConfigurationRecorders", [])]
    yield region, ConfigRecorders(tuple(sorted(found, key=lambda recorder: recorder.name)))


def _recorder(entry: Mapping[str, Any]) -> ConfigRecorder:
    group = entry.get("recordingGroup") or {}
    # A recorder without a group records what Config supports (Config API Reference, ConfigurationRecorder).
    everything = group.get("allSupported") or not group
    implied = "ALL_SUPPORTED_RESOURCE_TYPES" if everything else "INCLUSION_BY_RESOURCE_TYPES"
    mode = entry.get("recordingMode") or {}
    frequency = mode.get("recordingFrequency", "CONTINUOUS")
    for override in mode.get("recordingModeOverrides") or []:
        if Table.cfn_type in override.get("resourceTypes", []):
            frequency = override.get("recordingFrequency", frequency)
    return ConfigRecorder(
        name=entry.get("name", "default"),
        service_linked=bool(entry.get("servicePrincipal")) or entry.get("recordingScope", "").upper() == "INTERNAL",
        strategy=((group.get("recordingStrategy") or {}).get("useOnly") or implied).upper(),
        included=tuple(group.get("resourceTypes") or []),
        excluded=tuple((group.get("exclusionByResourceTypes") or {}).get("resourceTypes") or []),
        frequency=frequency.upper(),
    )


@collects(ConfigRecorderStatuses, about=Region)
def recorder_statuses(aws: Aws, region: Region) -> Yield:
    """Yield whether the recorders record."""
    answer = aws.call("config:DescribeConfigurationRecorderStatus")
    found = [
        (
            entry.get("name", "default"),
            RecorderStatus(
                recording=entry.get("recording", False),
                last_status=entry["lastStatus"].upper() if entry.get("lastStatus") else None,
                last_error=entry.get("lastErrorCode"),
            ),
        )
        for entry in answer.get("ConfigurationRecordersStatus", [])
    ]
    yield region, ConfigRecorderStatuses(tuple(sorted(found, key=lambda pair: pair[0])))


@collects(ConfigDelivery, about=Region)
def delivery_channels(aws: Aws, region: Region) -> Yield:
    """Yield the buckets that Config delivers to."""
    answer = aws.call("config:DescribeDeliveryChannels")
    yield (
        region,
        ConfigDelivery(tuple(sorted(entry.get("s3BucketName", "") for entry in answer.get("DeliveryChannels", [])))),
    )
