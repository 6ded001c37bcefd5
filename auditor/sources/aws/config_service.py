"""AWS Config: recorders, their state, delivery channels, rules and what these find; what it recorded of tables."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from auditor.errors import UsageError
from auditor.facts import (
    ConfigCompliance,
    ConfigDelivery,
    ConfigRecorder,
    ConfigRecorders,
    ConfigRecorderStatuses,
    ConfigRule,
    ConfigRules,
    Gap,
    PointInTimeRecovery,
    RecorderStatus,
    TableNames,
)
from auditor.resources import Region, Resource, Table
from auditor.sources.aws.collector import Yield, collects, collects_in_bulk
from auditor.sources.aws.config_items import Item, read_item
from auditor.sources.aws.session import Aws

log = logging.getLogger(__name__)

#: What is asked of the tables of a region; at most 4,096 characters. NULL cannot be asked for, so all is selected.
QUERY = (
    "SELECT accountId, awsRegion, arn, resourceType, resourceId, configurationItemCaptureTime, "
    "configurationItemStatus, supplementaryConfiguration "
    "WHERE resourceType = '{type}' AND accountId = '{account}' AND awsRegion = '{region}'"
)

#: Rows a page, the most that AWS Config gives; its own default is 25.
ROWS = 100


@collects(ConfigRecorders, about=Region)
def recorders(aws: Aws, region: Region) -> Yield:
    """Yield the region's recorders."""
    yield region, _recorders(aws)


def _recorders(aws: Aws) -> ConfigRecorders:
    answer = aws.call("config:DescribeConfigurationRecorders")
    found = [_recorder(entry) for entry in answer.get("ConfigurationRecorders", [])]
    return ConfigRecorders(tuple(sorted(found, key=lambda recorder: recorder.name)))


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
    yield region, _statuses(aws)


def _statuses(aws: Aws) -> ConfigRecorderStatuses:
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
    return ConfigRecorderStatuses(tuple(sorted(found, key=lambda pair: pair[0])))


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


@collects_in_bulk(
    PointInTimeRecovery, of=Table, about=Region, after=TableNames, lane="config:SelectResourceConfig", recorded=True
)
def recovery_of_all_tables(aws: Aws, region: Region, listing: TableNames | Gap) -> Yield:
    """Yield point-in-time recovery of all tables of a region, as AWS Config recorded it, a hundred tables a page.

    Nothing comes of a region whose tables are not recorded at present: its items stay, and say what was. Tables that
    the listing does not have are not made up. Where there is no item, or one that leaves something open, nothing is
    yielded, and DynamoDB is asked. Source: AWS Config API Reference, SelectResourceConfig and
    SelectAggregateResourceConfig.
    """
    if isinstance(listing, Gap):
        return
    if not _records_tables(aws):
        log.info("AWS Config does not record tables in %s of account %s", region.name, region.account.id)
        return
    tables = set(listing.tables)
    for resource, item in _items(aws, region):
        recovery = item.recovery()
        if resource in tables and recovery is not None and not item.deleted:
            yield resource, recovery


def _records_tables(aws: Aws) -> bool:
    """Tell whether a recorder of the customer's is recording tables, and its last delivery did not fail."""
    covering = [one.name for one in _recorders(aws).recorders if not one.service_linked and one.covers(Table.cfn_type)]
    states = dict(_statuses(aws).statuses) if covering else {}
    return any(states[one].recording and states[one].last_status != "FAILURE" for one in covering if one in states)


def _items(aws: Aws, region: Region) -> Iterator[tuple[Resource | None, Item]]:
    """Yield the items of a region's tables that can be read, each with what it is about.

    Raises:
        Missing: a page could not be had.
    """
    query = QUERY.format(type=Table.cfn_type, account=region.account.id, region=region.name)
    if aws.config.aggregator:
        pages = aws.at_aggregator().pages(
            "config:SelectAggregateResourceConfig",
            Expression=query,
            ConfigurationAggregatorName=aws.config.aggregator,
            Limit=ROWS,
        )
    else:
        pages = aws.pages("config:SelectResourceConfig", Expression=query, Limit=ROWS)
    for page in pages:
        for row in page.get("Results", []):
            try:
                item = read_item(json.loads(row))
                resource = item.resource()
            except (ValueError, UsageError) as error:
                log.debug("a row of AWS Config could not be read: %s", error)
                continue
            yield resource, item
