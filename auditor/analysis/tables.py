"""What tags and settings of tables and clusters mean."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping

from auditor.config import Config
from auditor.facts import (
    EncryptionKey,
    Environment,
    Gap,
    LegacyGlobalTables,
    Member,
    PointInTimeRecovery,
    Reason,
    ReplicationGroup,
    Sensitivity,
    TableSettings,
    Tags,
    derive,
)
from auditor.facts.base import VANISHED
from auditor.resources import DaxCluster, Region, Table

CURRENT_VERSION, LEGACY_VERSION = "2019.11.21", "2017.11.29"


@derive
def environment(resource: Table | DaxCluster, config: Config, tags: Tags | Gap) -> Environment | Gap:
    """Tags decide first (any production value wins), then name patterns, then accounts, then ``untagged_is``."""
    settings = config.production
    if isinstance(tags, Gap):
        if settings.tags:
            return tags
        tags = Tags({})
    present = list(_present(tags, settings.tags))
    for tag, means in present:
        if means:
            return Environment(production=True, source=f"tag {tag}")
    if present:
        return Environment(production=False, source=f"tag {present[0][0]}")
    if any(fnmatch.fnmatchcase(resource.name, pattern) for pattern in settings.name_patterns):
        return Environment(production=True, source="name pattern")
    if resource.account.id in settings.accounts:
        return Environment(production=True, source="account")
    return Environment(production=settings.untagged_is == "production", source="not tagged", tagged=False)


@derive
def sensitivity(resource: Table | DaxCluster, config: Config, tags: Tags) -> Sensitivity:
    """A table is sensitive when one of the configured tags has one of the configured values (case is ignored)."""
    present = list(_present(tags, config.sensitive.tags))
    for tag, means in present:
        if means:
            return Sensitivity(sensitive=True, classified=True, source=tag)
    return Sensitivity(sensitive=False, classified=bool(present), source=present[0][0] if present else "")


def _present(tags: Tags, meaning: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, bool]]:
    """Yield the tags of ``meaning`` that have a value, as ``key=value``, and whether it is one of those listed.

    Keys that differ by case only are tags of their own to AWS: each is yielded.
    """
    for key, values in meaning.items():
        listed = {one.casefold() for one in values}
        for name, value in tags.values.items():
            if name.casefold() == key.casefold() and value.strip():
                yield f"{key}={value}", value.strip().casefold() in listed


@derive
def replication_group(
    table: Table,
    settings: TableSettings,
    legacy: LegacyGlobalTables | Gap,
    all_settings: Mapping[Table, TableSettings | Gap],
    recoveries: Mapping[Table, PointInTimeRecovery | Gap],
    keys: Mapping[Table, EncryptionKey | Gap],
    tags: Mapping[Table, Tags | Gap],
) -> ReplicationGroup | Gap:
    """Bring the members of a global table together, with what is known of each.

    DescribeTable lists the replicas of the current version, often without the table's own region; tables of
    version 2017.11.29 stand in ListGlobalTables only. Replicas that are being deleted are members no more; a table
    without others is no global table.
    """
    statuses: dict[Table, str | None] = {replica.table: replica.status for replica in settings.replicas}
    version = settings.global_table_version
    if not statuses:
        if isinstance(legacy, Gap):
            # Without replicas of the current version only that list tells whether this is a global table.
            return ReplicationGroup((), version) if version == CURRENT_VERSION else legacy
        regions = legacy.members.get(table.name, ())
        if table.region.name not in regions or len(regions) < 2:
            return ReplicationGroup((), version)
        version = LEGACY_VERSION
        statuses = {Table(Region(table.account, region), table.name): None for region in regions}
    statuses.setdefault(table, None)
    missing = Gap(Reason.PARTIAL_DATA, "This member of the global table is not part of the audit.")
    members = [
        Member(
            table=member,
            status=status,
            settings=all_settings.get(member, missing),
            recovery=recoveries.get(member, missing),
            key=keys.get(member, missing),
            tags=tags.get(member, missing),
        )
        for member, status in statuses.items()
        if member == table or (status != "DELETING" and all_settings.get(member) is not VANISHED)
    ]
    if len(members) < 2:
        return ReplicationGroup((), version)
    return ReplicationGroup(tuple(sorted(members, key=lambda member: member.table.arn)), version or CURRENT_VERSION)
