"""Facts about the ways by which a table's data leaves it: backups, streams, exports, bulk operations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from auditor.facts.base import Gap, fact
from auditor.resources import KinesisStream, Region, Resource, Table


@dataclass(frozen=True, slots=True)
class Protection:
    """What AWS Backup says of a protected table: ``LastBackupTime`` and ``LastBackupVaultArn``."""

    last_backup: datetime | None = None
    vault_arn: str | None = None


@fact(Region, "backup:ListProtectedResources", in_use_only=True)
@dataclass(frozen=True, slots=True)
class ProtectedResources:
    """The tables that AWS Backup has backed up in a region (backup:ListProtectedResources).

    Attributes:
        tables: ARN of a table -> its latest backup. Deleted tables stay in the list, and a table that was made
            anew has the ARN of the old one.
    """

    tables: Mapping[str, Protection]


@dataclass(frozen=True, slots=True)
class BackupVault:
    """One backup vault: ``Locked`` (absent means no) and ``EncryptionKeyArn``."""

    locked: bool = False
    key_arn: str | None = None


@fact(Region, "backup:ListBackupVaults", in_use_only=True)
@dataclass(frozen=True, slots=True)
class BackupVaults:
    """The backup vaults of a region by ARN (backup:ListBackupVaults)."""

    vaults: Mapping[str, BackupVault]


@dataclass(frozen=True, slots=True)
class Backup:
    """An on-demand backup: ``BackupArn``, ``BackupCreationDateTime``, ``BackupStatus`` in capitals."""

    arn: str
    created: datetime
    status: str


@fact(Region, "dynamodb:ListBackups", in_use_only=True)
@dataclass(frozen=True, slots=True)
class OnDemandBackups:
    """The on-demand backups of a region (dynamodb:ListBackups); those that AWS Backup makes are not among them.

    Attributes:
        newest: ARN of a table -> its newest backup whose status is AVAILABLE. Those of deleted tables stay.
    """

    newest: Mapping[str, Backup]


@dataclass(frozen=True, slots=True)
class KinesisDestination:
    """One entry of ``KinesisDataStreamDestinations``.

    Attributes:
        stream: ``StreamArn``.
        status: ``DestinationStatus``, in capitals. DISABLED and ENABLE_FAILED entries are history.
    """

    stream: KinesisStream
    status: str


@fact(Table, "dynamodb:DescribeKinesisStreamingDestination", lists=KinesisStream)
@dataclass(frozen=True, slots=True)
class KinesisDestinations:
    """The Kinesis data streams that a table's changes go to (dynamodb:DescribeKinesisStreamingDestination)."""

    destinations: tuple[KinesisDestination, ...]

    def names(self) -> Iterator[Resource]:
        """Yield the streams that get, or are about to get, changes."""
        for one in self.destinations:
            if one.status not in ("DISABLED", "ENABLE_FAILED"):
                yield one.stream


@fact(KinesisStream, "kinesis:DescribeStreamSummary")
@dataclass(frozen=True, slots=True)
class KinesisStreamSettings:
    """What kinesis:DescribeStreamSummary says of a stream.

    Attributes:
        encryption: ``EncryptionType``, in capitals: KMS or NONE; absent means NONE.
        key_id: ``KeyId``.
        consumers: ``ConsumerCount``: consumers with enhanced fan-out only.
    """

    encryption: str = "NONE"
    key_id: str | None = None
    consumers: int = 0


@dataclass(frozen=True, slots=True)
class EventSourceMapping:
    """One event source mapping: ``EventSourceArn``, ``FunctionArn``, and ``State`` in capitals."""

    source_arn: str
    function_arn: str
    state: str


@fact(Region, "lambda:ListEventSourceMappings", in_use_only=True)
@dataclass(frozen=True, slots=True)
class EventSourceMappings:
    """The event source mappings of a region that have a source (lambda:ListEventSourceMappings)."""

    mappings: tuple[EventSourceMapping, ...]


@dataclass(frozen=True, slots=True)
class Pipe:
    """One EventBridge pipe: ``Arn``, ``Source``, ``Target``, and ``CurrentState`` in capitals."""

    arn: str
    source: str
    target: str
    state: str


@fact(Region, "pipes:ListPipes", in_use_only=True)
@dataclass(frozen=True, slots=True)
class Pipes:
    """The EventBridge pipes of a region (pipes:ListPipes)."""

    pipes: tuple[Pipe, ...]


@dataclass(frozen=True, slots=True)
class Export:
    """One export of a table to S3, or one bucket of a bulk operation.

    Attributes:
        arn: ``ExportArn`` or ``BulkOperationArn``.
        table_arn: ``TableArn``; for a bulk operation the ARN of a table that it writes to, or an empty text.
        status: ``ExportStatus`` or ``BulkOperationStatus``, in capitals.
        bucket: ``S3Bucket``.
        owner: ``S3BucketOwner``; None when it was not given.
        prefix: ``S3Prefix`` or ``S3KeyPrefix``.
        sse: ``S3SseAlgorithm``, in capitals: AES256 or KMS; None when it was not given.
        key_id: ``S3SseKmsKeyId``.
        ended: ``EndTime``.
        role: ``export``; for a bulk operation ``input`` or ``output``.
    """

    arn: str
    table_arn: str
    status: str
    bucket: str
    owner: str | None = None
    prefix: str | None = None
    sse: str | None = None
    key_id: str | None = None
    ended: datetime | None = None
    role: str = "export"

    @property
    def wrote(self) -> bool:
        """False for an export that failed: it wrote nothing. A bulk operation that failed may have come some way."""
        return self.role != "export" or self.status != "FAILED"


@fact(Region, "dynamodb:ListExports", "dynamodb:DescribeExport", in_use_only=True)
@dataclass(frozen=True, slots=True)
class Exports:
    """The exports of a region in the last 90 days, which is how long AWS lists them.

    Attributes:
        exports: Those that could be read, newest first.
        unread: ARN of an export -> why it could not be read.
        omitted: ARN of a table -> how many of its older exports were listed and not asked about.
    """

    exports: tuple[Export, ...] = ()
    unread: Mapping[str, Gap] = field(default_factory=dict)
    omitted: Mapping[str, int] = field(default_factory=dict)


@fact(Region, "dynamodb:ListBulkOperations", "dynamodb:DescribeBulkOperation", in_use_only=True)
@dataclass(frozen=True, slots=True)
class BulkOperations:
    """The buckets that bulk operations of the last 90 days read from and wrote to, as exports.

    Attributes:
        buckets: One entry for each bucket of each operation and each table that it writes to, newest first.
        unread: ARN of an operation -> why it could not be read.
        omitted: How many older ones were listed and not asked about.
    """

    buckets: tuple[Export, ...] = ()
    unread: Mapping[str, Gap] = field(default_factory=dict)
    omitted: int = 0


@dataclass(frozen=True, slots=True)
class BucketInfo:
    """What S3 says of a bucket that exports or bulk operations name.

    Attributes:
        exists: False when S3 knows no such bucket (404).
        own: The audited account owns it (HeadBucket with ExpectedBucketOwner answered); None when that is not
            known: 403 is the answer both to a foreign owner and to a missing permission.
        region: ``BucketRegion``, or the region in the headers of a refusal; None when not known.
        public: ``PolicyStatus.IsPublic`` by its policy and not held off by the public access block; or why that is
            not known.
        encryption: ``SSEAlgorithm`` of the default encryption (AES256, aws:kms, aws:kms:dsse), or why it is not known.
        key_id: ``KMSMasterKeyID`` of the default encryption.
        refused: Why HeadBucket did not answer; None when it did.
    """

    exists: bool
    own: bool | None
    region: str | None
    public: bool | Gap
    encryption: str | Gap
    key_id: str | None = None
    refused: Gap | None = None


@fact(
    Region,
    "s3:HeadBucket",
    "s3:GetBucketPolicyStatus",
    "s3:GetPublicAccessBlock",
    "s3:GetBucketEncryption",
    in_use_only=True,
)
@dataclass(frozen=True, slots=True)
class ExportBuckets:
    """The buckets that a region's exports and bulk operations name, by name."""

    buckets: Mapping[str, BucketInfo]
