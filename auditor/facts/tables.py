"""Facts about tables: settings, recovery, tags, replicas, environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from auditor.facts.base import Gap, fact
from auditor.resources import DaxCluster, Key, Region, Resource, Stream, Table


@dataclass(frozen=True, slots=True)
class Replica:
    """One entry of ``Table.Replicas``.

    Attributes:
        table: The replica as a table of its own (its account may be another one: ``ReplicaArn``).
        status: ``ReplicaStatus``, upper case, such as ACTIVE, DELETING, REGION_DISABLED.
        status_description: ``ReplicaStatusDescription``.
    """

    table: Table
    status: str
    status_description: str | None = None


@dataclass(frozen=True, slots=True)
class Witness:
    """One entry of ``Table.GlobalTableWitnesses``: a region that stores change data without a readable copy."""

    region: str
    status: str


@dataclass(frozen=True, slots=True)
class Index:
    """One index of a table.

    Attributes:
        name: ``IndexName``.
        kind: ``global`` (``GlobalSecondaryIndexes``), ``local`` or ``vector`` (``VectorIndexes``).
        partition_keys: The attributes of its partition key, in order; empty where AWS names none.
        sort_keys: The attributes of its sort key, in order.
        projected: ``Projection.NonKeyAttributes``.
        vector: ``VectorAttribute.AttributeName`` (of a vector index).
    """

    name: str
    kind: str
    partition_keys: tuple[str, ...] = ()
    sort_keys: tuple[str, ...] = ()
    projected: tuple[str, ...] = ()
    vector: str | None = None


@fact(Table, "dynamodb:DescribeTable", lists=(Key, Stream))
@dataclass(frozen=True, slots=True)
class TableSettings:
    """What DescribeTable says of a table, with AWS's omissions made explicit.

    Attributes:
        status: ``TableStatus``, upper case.
        deletion_protection: ``DeletionProtectionEnabled``; absent means off.
        sse_type: ``SSEDescription.SSEType``; None when absent: the key is owned by AWS.
        sse_status: ``SSEDescription.Status``, upper case, or None.
        key: The key of ``SSEDescription.KMSMasterKeyArn``, or None (AWS owned key).
        inaccessible_since: ``SSEDescription.InaccessibleEncryptionDateTime``.
        archival_reason: ``ArchivalSummary.ArchivalReason``.
        billing_mode: ``BillingModeSummary.BillingMode``; absent means PROVISIONED.
        created: ``CreationDateTime``.
        item_count: ``ItemCount`` (up to six hours old).
        stream_arn: ``LatestStreamArn`` when the stream is enabled.
        replicas: ``Replicas``; DynamoDB may or may not list the table's own region here.
        witnesses: ``GlobalTableWitnesses``.
        global_table_version: ``GlobalTableVersion``.
        multi_region_consistency: ``MultiRegionConsistency``.
        disassociation_protection: ``DisassociationProtectionEnabled``; None when absent.
        partition_keys: The attributes of the table's partition key (``KeySchema`` entries of type HASH), in order.
        sort_keys: The attributes of its sort key (type RANGE), in order.
        stream_view: ``StreamSpecification.StreamViewType`` when the stream is enabled.
        read_capacity: ``ProvisionedThroughput.ReadCapacityUnits``; 0 for on-demand tables.
        max_read_units: ``OnDemandThroughput.MaxReadRequestUnits``; None when no maximum is set.
        max_write_units: ``OnDemandThroughput.MaxWriteRequestUnits``.
        indexes: ``GlobalSecondaryIndexes``, ``LocalSecondaryIndexes`` and ``VectorIndexes``, in order of name.
    """

    status: str
    deletion_protection: bool = False
    sse_type: str | None = None
    sse_status: str | None = None
    key: Key | None = None
    inaccessible_since: datetime | None = None
    archival_reason: str | None = None
    billing_mode: str = "PROVISIONED"
    created: datetime | None = None
    item_count: int = 0
    stream_arn: str | None = None
    replicas: tuple[Replica, ...] = ()
    witnesses: tuple[Witness, ...] = ()
    global_table_version: str | None = None
    multi_region_consistency: str | None = None
    disassociation_protection: bool | None = None
    partition_keys: tuple[str, ...] = ()
    indexes: tuple[Index, ...] = ()
    sort_keys: tuple[str, ...] = ()
    stream_view: str | None = None
    read_capacity: int = 0
    max_read_units: int | None = None
    max_write_units: int | None = None

    @property
    def settled(self) -> bool:
        """False while the table is being created or deleted: its settings say nothing yet, or no more."""
        return self.status not in ("CREATING", "DELETING")

    @property
    def archived(self) -> bool:
        """The table was archived because its key was inaccessible for seven days."""
        return self.status in ("ARCHIVING", "ARCHIVED")

    def names(self) -> Iterator[Resource]:
        """Yield the table's key, its stream and its replicas."""
        if self.key is not None:
            yield self.key
        if self.stream_arn is not None:
            yield Stream.from_arn(self.stream_arn)
        for replica in self.replicas:
            yield replica.table


@fact((Table, Stream), "dynamodb:GetResourcePolicy")
@dataclass(frozen=True, slots=True)
class ResourcePolicy:
    """The resource policy of a table or of a stream, which has one of its own.

    Attributes:
        document: ``Policy``, the JSON text as it is; None where there is no policy (PolicyNotFoundException).
    """

    document: str | None


@fact(Table, "dynamodb:DescribeContinuousBackups")
@dataclass(frozen=True, slots=True)
class PointInTimeRecovery:
    """Point-in-time recovery (``PointInTimeRecoveryDescription``).

    Attributes:
        enabled: ``PointInTimeRecoveryStatus`` is ENABLED (``ContinuousBackupsStatus`` always is: no proof).
        days: ``RecoveryPeriodInDays``; absent from DescribeContinuousBackups it means 35, and absent from what AWS
            Config recorded that the window is not known: None.
        earliest: ``EarliestRestorableDateTime``.
        recorded: ``configurationItemCaptureTime``, where AWS Config says all this; None: DynamoDB does, when the facts
            were collected.
    """

    enabled: bool
    days: int | None = 35
    earliest: datetime | None = None
    recorded: datetime | None = None


@fact((Table, DaxCluster), "tag:GetResources", "dynamodb:ListTagsOfResource", "dax:ListTags")
@dataclass(frozen=True, slots=True)
class Tags:
    """The tags of a table (GetResources, or ListTagsOfResource) or of a DAX cluster (dax:ListTags)."""

    values: Mapping[str, str]

    def get(self, key: str) -> str | None:
        """Return the value of the tag whose key equals ``key``, ignoring case."""
        folded = key.casefold()
        return next((value for name, value in self.values.items() if name.casefold() == folded), None)


@fact(Region, "dynamodb:ListGlobalTables", in_use_only=True)
@dataclass(frozen=True, slots=True)
class LegacyGlobalTables:
    """Global tables of version 2017.11.29 (dynamodb:ListGlobalTables).

    Attributes:
        members: Table name -> the regions of its replication group.
    """

    members: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class ScalableTarget:
    """One scalable target.

    Attributes:
        resource_id: ``ResourceId``: ``table/T`` or ``table/T/index/I``, by name.
        dimension: ``ScalableDimension``, such as ``dynamodb:table:ReadCapacityUnits``.
        suspended: ``SuspendedState`` has DynamicScalingInSuspended or DynamicScalingOutSuspended.
    """

    resource_id: str
    dimension: str
    suspended: bool = False


@fact(Region, "application-autoscaling:DescribeScalableTargets", in_use_only=True)
@dataclass(frozen=True, slots=True)
class ScalableTargets:
    """What Application Auto Scaling scales for DynamoDB in a region (DescribeScalableTargets)."""

    targets: tuple[ScalableTarget, ...]


@dataclass(frozen=True, slots=True)
class Environment:
    """Whether a table or cluster counts as production (derived; configuration ``production``).

    Attributes:
        production: It does.
        source: What decided: ``tag env=prod``, ``name pattern``, ``account`` or ``not tagged``.
        tagged: False when no tag, name or account said anything and ``untagged_is`` decided.
    """

    production: bool
    source: str
    tagged: bool = True


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Whether a table or cluster is tagged as holding sensitive data (derived; configuration ``sensitive``).

    Attributes:
        sensitive: A tag says so.
        classified: A classification tag is there, whatever its value.
        source: The deciding tag, such as ``data-classification=pii``, or an empty text.
    """

    sensitive: bool
    classified: bool
    source: str = ""


@dataclass(frozen=True, slots=True)
class EncryptionKey:
    """The kind of key that encrypts a table (derived).

    Attributes:
        type: ``aws-owned``, ``aws-managed`` or ``customer-managed``.
        key: The KMS key, None for an AWS owned one.
        proof: What told managed from customer's: ``SSEDescription``, ``KeyManager`` or ``alias/aws/dynamodb``.
    """

    type: str
    key: Key | None
    proof: str


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a global table with what is known of it.

    Attributes:
        table: The member.
        status: Its ``ReplicaStatus`` as its siblings report it, or None (the own region is often not listed).
        settings: Its settings, point-in-time recovery, key and tags, each of which may be a gap.
    """

    table: Table
    status: str | None
    settings: TableSettings | Gap
    recovery: PointInTimeRecovery | Gap
    key: EncryptionKey | Gap
    tags: Tags | Gap


@dataclass(frozen=True, slots=True)
class ReplicationGroup:
    """The global table that a table is a member of (derived).

    Attributes:
        members: All members, the table itself included; empty when it is not a global table.
        version: ``2019.11.21`` or ``2017.11.29``, or None.
    """

    members: tuple[Member, ...]
    version: str | None
