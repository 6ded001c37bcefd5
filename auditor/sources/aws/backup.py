"""Backups: AWS Backup's and DynamoDB's own."""

from __future__ import annotations

from typing import Any

from auditor.facts import Backup, BackupVault, BackupVaults, OnDemandBackups, ProtectedResources, Protection
from auditor.resources import Region
from auditor.sources.aws.collector import Yield, collects
from auditor.sources.aws.session import Aws, utc


@collects(ProtectedResources, about=Region)
def protected_resources(aws: Aws, region: Region) -> Yield:
    """Yield the tables that AWS Backup has backed up; the operation has no filter by type."""
    tables = {
        entry["ResourceArn"]: Protection(utc(entry.get("LastBackupTime")), entry.get("LastBackupVaultArn"))
        for page in aws.pages("backup:ListProtectedResources", PaginationConfig={"PageSize": 1000})
        for entry in page.get("Results", [])
        if ":table/" in entry.get("ResourceArn", "") and entry["ResourceArn"].split(":")[2] == "dynamodb"
    }
    yield region, ProtectedResources(dict(sorted(tables.items())))


@collects(BackupVaults, about=Region)
def backup_vaults(aws: Aws, region: Region) -> Yield:
    """Yield the vaults; the listing says already whether they are locked."""
    vaults = {
        entry["BackupVaultArn"]: BackupVault(bool(entry.get("Locked")), entry.get("EncryptionKeyArn"))
        for page in aws.pages("backup:ListBackupVaults")
        for entry in page.get("BackupVaultList", [])
    }
    yield region, BackupVaults(dict(sorted(vaults.items())))


@collects(OnDemandBackups, about=Region)
def on_demand_backups(aws: Aws, region: Region) -> Yield:
    """Yield the newest usable on-demand backup of every table; what AWS Backup made is not in this list."""
    newest: dict[str, Backup] = {}
    start: dict[str, Any] = {}
    while True:
        answer = aws.call("dynamodb:ListBackups", BackupType="USER", **start)
        for entry in answer.get("BackupSummaries", []):
            created = utc(entry.get("BackupCreationDateTime"))
            backup = Backup(entry["BackupArn"], created, entry.get("BackupStatus", "").upper()) if created else None
            held = newest.get(entry.get("TableArn", ""))
            if backup and backup.status == "AVAILABLE" and (held is None or held.created < backup.created):
                newest[entry.get("TableArn", "")] = backup
        if not answer.get("LastEvaluatedBackupArn"):
            break
        start = {"ExclusiveStartBackupArn": answer["LastEvaluatedBackupArn"]}
    yield region, OnDemandBackups(dict(sorted(newest.items())))
