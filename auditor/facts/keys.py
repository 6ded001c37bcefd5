"""Facts about the KMS keys of tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from auditor.facts.base import Gap, fact
from auditor.facts.tables import TableSettings
from auditor.resources import Key, Region, Table


@fact(Key, "kms:DescribeKey")
@dataclass(frozen=True, slots=True)
class KeySettings:
    """What DescribeKey says of a key (``KeyMetadata``).

    Attributes:
        state: ``KeyState``, such as Enabled, Disabled, PendingDeletion; ``NotFound`` when KMS says that a key
            which a table uses does not exist.
        manager: ``KeyManager``: AWS or CUSTOMER.
        origin: ``Origin``: AWS_KMS, EXTERNAL, AWS_CLOUDHSM, EXTERNAL_KEY_STORE.
        spec: ``KeySpec``.
        deletion_date: ``DeletionDate``.
        valid_to: ``ValidTo``, when imported key material expires.
        multi_region_type: ``MultiRegionConfiguration.MultiRegionKeyType``: PRIMARY, REPLICA or None.
        primary: ``MultiRegionConfiguration.PrimaryKey.Arn``, as a key.
    """

    state: str
    manager: str = "CUSTOMER"
    origin: str = "AWS_KMS"
    spec: str = "SYMMETRIC_DEFAULT"
    deletion_date: datetime | None = None
    valid_to: datetime | None = None
    multi_region_type: str | None = None
    primary: Key | None = None


@fact(Key, "kms:GetKeyRotationStatus")
@dataclass(frozen=True, slots=True)
class KeyRotation:
    """Automatic rotation of a key (kms:GetKeyRotationStatus).

    Attributes:
        enabled: ``KeyRotationEnabled``.
        days: ``RotationPeriodInDays``; absent means 365.
        next: ``NextRotationDate``.
    """

    enabled: bool
    days: int = 365
    next: datetime | None = None


@fact(Key, "kms:GetKeyPolicy")
@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """The key policy (``Policy`` of kms:GetKeyPolicy, policy name default), the JSON text as it is."""

    document: str


@dataclass(frozen=True, slots=True)
class Grant:
    """One grant of a key.

    Attributes:
        grantee: ``GranteePrincipal``: an ARN or a service principal.
        operations: ``Operations``, such as Decrypt, CreateGrant.
        context: ``Constraints.EncryptionContextSubset`` or ``EncryptionContextEquals``.
        id: ``GrantId``.
    """

    grantee: str
    operations: tuple[str, ...]
    context: Mapping[str, str]
    id: str


@fact(Key, "kms:ListGrants")
@dataclass(frozen=True, slots=True)
class KeyGrants:
    """The grants of a key (kms:ListGrants)."""

    grants: tuple[Grant, ...]


@fact(Region, "kms:ListAliases", in_use_only=True)
@dataclass(frozen=True, slots=True)
class KeyAliases:
    """Alias -> key id of the region (kms:ListAliases); aliases without a key are left out."""

    targets: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class KeyUse:
    """The tables, of those audited, that a key encrypts (derived).

    Attributes:
        tables: They, in order of ARN, each with its settings.
        unread: Why the settings of a table in the key's account and region are not known: it may be one of them.
    """

    tables: tuple[tuple[Table, TableSettings], ...]
    unread: Gap | None = None
