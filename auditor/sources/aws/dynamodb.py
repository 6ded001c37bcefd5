"""Tables: names, settings, point-in-time recovery, tags, legacy global tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from auditor.facts import (
    Gap,
    Index,
    LegacyGlobalTables,
    PointInTimeRecovery,
    Replica,
    ResourcePolicy,
    TableNames,
    TableSettings,
    Tags,
    Witness,
)
from auditor.resources import Key, Region, Stream, Table
from auditor.sources.aws.collector import Yield, collects, collects_in_bulk
from auditor.sources.aws.session import Aws, utc

GONE = ("ResourceNotFoundException", "TableNotFoundException")


@collects(TableNames, about=Region)
def table_names(aws: Aws, region: Region) -> Yield:
    """Yield the region's tables; those of the pages before a failure stay known."""
    tables = []
    for page in aws.pages("dynamodb:ListTables"):
        for name in page.get("TableNames", []):
            tables.append(Table(region, name))
            yield tables[-1], None
    yield region, TableNames(tuple(sorted(tables)))


@collects(TableSettings, about=Table)
def table_settings(aws: Aws, table: Table) -> Yield:
    """Yield the table's settings."""
    answer = aws.call("dynamodb:DescribeTable", gone=GONE, TableName=table.name)
    yield table, read_table(table, answer["Table"])


def read_table(table: Table, description: Mapping[str, Any]) -> TableSettings:
    """Return a ``TableDescription`` with AWS's omissions made explicit."""
    encryption = description.get("SSEDescription") or {}
    key = encryption.get("KMSMasterKeyArn")
    stream = description.get("StreamSpecification", {"StreamEnabled": False})
    return TableSettings(
        status=description["TableStatus"].upper(),
        deletion_protection=description.get("DeletionProtectionEnabled", False),
        sse_type=encryption.get("SSEType"),
        sse_status=encryption["Status"].upper() if encryption.get("Status") else None,
        key=Key.from_arn(key) if key else None,
        inaccessible_since=utc(encryption.get("InaccessibleEncryptionDateTime")),
        archival_reason=(description.get("ArchivalSummary") or {}).get("ArchivalReason"),
        billing_mode=(description.get("BillingModeSummary") or {}).get("BillingMode", "PROVISIONED").upper(),
        created=utc(description.get("CreationDateTime")),
        item_count=description.get("ItemCount", 0),
        stream_arn=description.get("LatestStreamArn") if stream["StreamEnabled"] else None,
        stream_view=stream.get("StreamViewType") if stream["StreamEnabled"] else None,
        replicas=tuple(_replica(table, replica) for replica in description.get("Replicas") or []),
        witnesses=tuple(
            Witness(witness["RegionName"], witness.get("WitnessStatus", "").upper())
            for witness in description.get("GlobalTableWitnesses") or []
        ),
        global_table_version=description.get("GlobalTableVersion"),
        multi_region_consistency=description.get("MultiRegionConsistency"),
        disassociation_protection=description.get("DisassociationProtectionEnabled"),
        partition_keys=_keys(description, "HASH"),
        sort_keys=_keys(description, "RANGE"),
        read_capacity=(description.get("ProvisionedThroughput") or {}).get("ReadCapacityUnits", 0),
        max_read_units=_maximum(description, "MaxReadRequestUnits"),
        max_write_units=_maximum(description, "MaxWriteRequestUnits"),
        indexes=tuple(sorted(_indexes(description), key=lambda index: index.name)),
    )


def _keys(description: Mapping[str, Any], kind: str) -> tuple[str, ...]:
    schema = description.get("KeySchema") or []
    return tuple(one["AttributeName"] for one in schema if one.get("KeyType", "").upper() == kind)


def _maximum(description: Mapping[str, Any], member: str) -> int | None:
    units: int = (description.get("OnDemandThroughput") or {}).get(member, -1)
    return units if units > 0 else None  # -1 takes a maximum away (CreateTable, OnDemandThroughput)


def _indexes(description: Mapping[str, Any]) -> Iterator[Index]:
    kinds = {"GlobalSecondaryIndexes": "global", "LocalSecondaryIndexes": "local", "VectorIndexes": "vector"}
    for member, kind in kinds.items():
        for entry in description.get(member) or []:
            yield Index(
                entry["IndexName"],
                kind,
                _keys(entry, "HASH"),
                _keys(entry, "RANGE"),
                tuple((entry.get("Projection") or {}).get("NonKeyAttributes") or ()),
                (entry.get("VectorAttribute") or {}).get("AttributeName"),
            )


def _replica(table: Table, replica: Mapping[str, Any]) -> Replica:
    arn = replica.get("ReplicaArn")
    where = Table.from_arn(arn) if arn else Table(Region(table.account, replica["RegionName"]), table.name)
    return Replica(where, replica.get("ReplicaStatus", "").upper(), replica.get("ReplicaStatusDescription"))


@collects(ResourcePolicy, about=Table)
def table_policy(aws: Aws, table: Table) -> Yield:
    """Yield the table's resource policy; having none is the normal case."""
    yield table, _policy(aws, table.arn)


@collects(ResourcePolicy, about=Stream)
def stream_policy(aws: Aws, stream: Stream) -> Yield:
    """Yield the stream's resource policy, which is not the table's."""
    yield stream, _policy(aws, stream.arn)


def _policy(aws: Aws, arn: str) -> ResourcePolicy:
    absent = ("PolicyNotFoundException",)
    answer = aws.call("dynamodb:GetResourcePolicy", absent=absent, gone=GONE, ResourceArn=arn)
    return ResourcePolicy(answer.get("Policy") if answer else None)


@collects(PointInTimeRecovery, about=Table)
def point_in_time_recovery(aws: Aws, table: Table) -> Yield:
    """Yield the table's point-in-time recovery."""
    answer = aws.call("dynamodb:DescribeContinuousBackups", gone=GONE, TableName=table.name)
    recovery = answer["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription") or {}
    yield (
        table,
        PointInTimeRecovery(
            enabled=recovery.get("PointInTimeRecoveryStatus", "").upper() == "ENABLED",
            days=recovery.get("RecoveryPeriodInDays", 35),
            earliest=utc(recovery.get("EarliestRestorableDateTime")),
        ),
    )


@collects(Tags, about=Table, lane="dynamodb:ListTagsOfResource")
def table_tags(aws: Aws, table: Table) -> Yield:
    """Yield the tags of one table, ten a page."""
    values: dict[str, str] = {}
    token: dict[str, Any] = {}
    while True:
        answer = aws.call("dynamodb:ListTagsOfResource", gone=GONE, ResourceArn=table.arn, **token)
        values |= {tag["Key"]: tag["Value"] for tag in answer.get("Tags", [])}
        if not answer.get("NextToken"):
            break
        token = {"NextToken": answer["NextToken"]}
    yield table, Tags(values)


@collects_in_bulk(Tags, of=Table, about=Region, after=TableNames, lane="tag:GetResources")
def tags_of_all_tables(aws: Aws, region: Region, listing: TableNames | Gap) -> Yield:
    """Yield the tags of all tables of a region, a hundred a page.

    The service leaves out what never had a tag, and may still know deleted tables. So a table of the listing
    that is absent after the last page has no tags, and one that is not in the listing does not exist; without
    a listing, these are tables that nothing else names.
    """
    tagged: dict[Table, dict[str, str]] = {}
    pages = aws.pages("tag:GetResources", ResourceTypeFilters=["dynamodb:table"], ResourcesPerPage=100)
    for page in pages:
        for entry in page.get("ResourceTagMappingList", []):
            if entry["ResourceARN"].partition(":table/")[2].count("/") == 0:
                table = Table.from_arn(entry["ResourceARN"])
                tagged[table] = {tag["Key"]: tag["Value"] for tag in entry.get("Tags", [])}
                if isinstance(listing, Gap):
                    yield table, None  # stays known should a later page fail
    tables = list(tagged) if isinstance(listing, Gap) else list(listing.tables)
    for table in tables:
        yield table, Tags(tagged.get(table, {}))


@collects(LegacyGlobalTables, about=Region)
def legacy_global_tables(aws: Aws, region: Region) -> Yield:
    """Yield the global tables of version 2017.11.29; the operation has no paginator."""
    members: dict[str, tuple[str, ...]] = {}
    start: dict[str, Any] = {}
    while True:
        answer = aws.call("dynamodb:ListGlobalTables", **start)
        for entry in answer.get("GlobalTables", []):
            members[entry["GlobalTableName"]] = tuple(
                sorted(replica["RegionName"] for replica in entry.get("ReplicationGroup", []))
            )
        if not answer.get("LastEvaluatedGlobalTableName"):
            break
        start = {"ExclusiveStartGlobalTableName": answer["LastEvaluatedGlobalTableName"]}
    yield region, LegacyGlobalTables(members)
