"""KMS keys of tables."""

from __future__ import annotations

from auditor.facts import Grant, KeyAliases, KeyGrants, KeyPolicy, KeyRotation, KeySettings
from auditor.resources import Key, Region
from auditor.sources.aws.collector import Yield, collects
from auditor.sources.aws.session import Aws, utc

STATES = (
    *("Creating", "Enabled", "Disabled", "PendingDeletion", "PendingImport", "PendingReplicaDeletion"),
    *("Unavailable", "Updating"),
)


@collects(KeySettings, about=Key)
def key_settings(aws: Aws, key: Key) -> Yield:
    """Yield what KMS says of a key. A key that KMS does not find is a finding, not a race: a table names it."""
    answer = aws.call("kms:DescribeKey", absent=("NotFoundException",), KeyId=key.arn)
    if answer is None:
        yield key, KeySettings(state="NotFound")
        return
    metadata = answer["KeyMetadata"]
    state = metadata["KeyState"]
    multi_region = metadata.get("MultiRegionConfiguration") or {}
    kind = multi_region.get("MultiRegionKeyType")
    primary = (multi_region.get("PrimaryKey") or {}).get("Arn")
    yield (
        key,
        KeySettings(
            state=next((one for one in STATES if one.casefold() == state.casefold()), state),
            manager=metadata.get("KeyManager", "CUSTOMER").upper(),
            origin=metadata.get("Origin", "AWS_KMS").upper(),
            spec=metadata.get("KeySpec", "SYMMETRIC_DEFAULT"),
            deletion_date=utc(metadata.get("DeletionDate")),
            valid_to=utc(metadata.get("ValidTo")),
            multi_region_type=kind.upper() if kind else None,
            primary=Key.from_arn(primary) if primary else None,
        ),
    )


@collects(KeyRotation, about=Key)
def key_rotation(aws: Aws, key: Key) -> Yield:
    """Yield a key's automatic rotation."""
    answer = aws.call("kms:GetKeyRotationStatus", KeyId=key.arn)
    yield (
        key,
        KeyRotation(
            enabled=answer.get("KeyRotationEnabled", False),
            days=answer.get("RotationPeriodInDays", 365),
            next=utc(answer.get("NextRotationDate")),
        ),
    )


@collects(KeyPolicy, about=Key)
def key_policy(aws: Aws, key: Key) -> Yield:
    """Yield a key's policy; a key has just one, named default."""
    answer = aws.call("kms:GetKeyPolicy", KeyId=key.arn, PolicyName="default")
    yield key, KeyPolicy(answer["Policy"])


@collects(KeyGrants, about=Key)
def key_grants(aws: Aws, key: Key) -> Yield:
    """Yield a key's grants."""
    found = []
    for page in aws.pages("kms:ListGrants", KeyId=key.arn):
        for grant in page.get("Grants", []):
            limits = grant.get("Constraints") or {}
            context = limits.get("EncryptionContextSubset") or limits.get("EncryptionContextEquals") or {}
            operations = tuple(sorted(grant.get("Operations") or []))
            found.append(Grant(grant.get("GranteePrincipal", ""), operations, dict(context), grant.get("GrantId", "")))
    yield key, KeyGrants(tuple(sorted(found, key=lambda one: (one.grantee, one.id))))


@collects(KeyAliases, about=Region)
def key_aliases(aws: Aws, region: Region) -> Yield:
    """Yield the region's aliases."""
    targets: dict[str, str] = {}
    for page in aws.pages("kms:ListAliases"):
        for alias in page.get("Aliases", []):
            if alias.get("TargetKeyId"):
                targets[alias["AliasName"]] = alias["TargetKeyId"]
    yield region, KeyAliases(targets)
