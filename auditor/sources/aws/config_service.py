"""AWS Config: recorders, their state, delivery channels, rules and what these find."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from auditor.facts import (
    ConfigCompliance,
    ConfigDelivery,
    ConfigRecorder,
    ConfigRecorders,
    ConfigRecorderStatuses,
    ConfigRule,
    ConfigRules,
    RecorderStatus,
)
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


@collects(ConfigRules, about=Region)
def rules(aws: Aws, region: Region) -> Yield:
    """Yield the region's rules of AWS Config."""
    found = [_rule(entry) for page in aws.pages("config:DescribeConfigRules") for entry in page.get("ConfigRules", [])]
    yield region, ConfigRules(tuple(sorted(found, key=lambda rule: rule.name)))


def _rule(entry: Mapping[str, Any]) -> ConfigRule:
    source, scope = entry["Source"], entry.get("Scope") or {}
    return ConfigRule(
        name=entry.get("ConfigRuleName", ""),
        state=entry.get("ConfigRuleState", "").upper(),
        owner=source["Owner"].upper(),
        identifier=source.get("SourceIdentifier", ""),
        parameters=_parameters(entry.get("InputParameters")),
        resource_types=tuple(scope.get("ComplianceResourceTypes") or []),
        resource_id=scope.get("ComplianceResourceId") or None,
        tag=scope.get("TagKey") or None,
        created_by=entry.get("CreatedBy"),
        modes=tuple(sorted(one["Mode"].upper() for one in entry.get("EvaluationModes") or [] if one.get("Mode"))),
    )


def _parameters(text: str | None) -> dict[str, str]:
    """Return ``InputParameters``, a JSON object in a text; what is none has no parameters that anybody could read."""
    try:
        read = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    if not isinstance(read, dict):
        return {}
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in sorted(read.items())}


@collects(ConfigCompliance, about=Region)
def compliance(aws: Aws, region: Region) -> Yield:
    """Yield what the region's rules find, all resources taken together."""
    found = {
        entry["ConfigRuleName"]: (entry.get("Compliance") or {}).get("ComplianceType", "").upper()
        for page in aws.pages("config:DescribeComplianceByConfigRule")
        for entry in page.get("ComplianceByConfigRules", [])
    }
    yield region, ConfigCompliance(found)
