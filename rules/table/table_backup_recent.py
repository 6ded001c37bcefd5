from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.facts import (
    BackupVaults,
    CollectionTime,
    Environment,
    Gap,
    OnDemandBackups,
    ProtectedResources,
    Reason,
    TableSettings,
)
from auditor.resources import Table

#: A table younger than this may not have seen its first daily backup: a day and two hours.
GRACE = timedelta(hours=26)


@rule(
    severity=Severity.MEDIUM,
    side=Side.AMAZON,
    practices=["B"],
    controls={
        "AWS FSBP": ["DynamoDB.4"],
        "NIST 800-53 r5": ["CP-6", "CP-6(1)", "CP-6(2)", "CP-9", "CP-10", "SI-12"],
    },
    remediation=Remediation(
        text="Put the table into a plan of AWS Backup whose vault is locked and whose copies go to another account; "
        "until then, make an on-demand backup.",
        cli="aws dynamodb create-backup --table-name $TABLE --backup-name $TABLE-manual --region $REGION",
        terraform="""\
resource "aws_backup_plan" "daily" {
  name = "tables-daily"

  rule {
    rule_name         = "daily"
    target_vault_name = aws_backup_vault.tables.name
    schedule          = "cron(0 3 * * ? *)"

    lifecycle {
      delete_after = 35
    }
  }
}

resource "aws_backup_selection" "production" {
  name         = "production-tables"
  plan_id      = aws_backup_plan.daily.id
  iam_role_arn = aws_iam_role.backup.arn
  resources    = ["arn:aws:dynamodb:*:*:table/*"]

  condition {
    string_equals {
      key   = "aws:ResourceTag/env"
      value = "prod"
    }
  }
}""",
        cloudformation="""\
Parameters:
  Vault: {Type: String}
  Role: {Type: String}
Resources:
  Plan:
    Type: AWS::Backup::BackupPlan
    Properties:
      BackupPlan:
        BackupPlanName: tables-daily
        BackupPlanRule:
          - RuleName: daily
            TargetBackupVault: !Ref Vault
            ScheduleExpression: cron(0 3 * * ? *)
            Lifecycle: {DeleteAfterDays: 35}
  Selection:
    Type: AWS::Backup::BackupSelection
    Properties:
      BackupPlanId: !Ref Plan
      BackupSelection:
        SelectionName: production-tables
        IamRoleArn: !Ref Role
        Resources: ["arn:aws:dynamodb:*:*:table/*"]""",
    ),
    references=[
        "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Backup-and-Restore.html",
        "https://docs.aws.amazon.com/aws-backup/latest/devguide/API_ListProtectedResources.html",
    ],
)
def table_backup_recent(
    table: Table,
    settings: TableSettings,
    environment: Environment | Gap,
    protected: ProtectedResources | Gap,
    on_demand: OnDemandBackups | Gap,
    vaults: BackupVaults | Gap,
    now: CollectionTime,
    *,
    max_backup_age_days: Annotated[int, "Greatest age of the newest backup, in days."] = 7,
    require_vault_lock: Annotated[bool, "The newest backup must lie in a locked vault of AWS Backup."] = False,
    require_for: Annotated[Literal["production", "all"], "Which tables need a backup."] = "production",
) -> Verdict:
    """Production tables have a recent backup outside point-in-time recovery.

    Point-in-time recovery ends with the table's account: who may delete the table may turn it off too. A backup in a
    vault, best a locked one with copies in another account, outlives that.

    Two lists are read, since neither knows the other's backups: AWS Backup's protected resources (`LastBackupTime`) and
    DynamoDB's own on-demand backups (the newest whose status is AVAILABLE). Both keep what belonged to a deleted table
    of the same name, so that only a backup later than the table's `CreationDateTime` counts. Passes when the newest one
    is no older than `max_backup_age_days`; with `require_vault_lock` it must be one of AWS Backup in a vault whose
    `Locked` is true, and on-demand backups do not count. When one list is denied, a recent backup in the other proves
    all the same; without one the answer is unknown. A table younger than 26 hours may be waiting for its first backup
    and is not judged, and neither are tables outside production (`require_for: all` takes them in).

    Copies that a backup policy of the organisation keeps in other accounts are not seen; their originals are.
    """
    if not settings.settled or settings.archived:
        return not_applicable(f"The table is {settings.status}.", TableStatus=settings.status)
    if settings.created is not None and now.at - settings.created < GRACE:
        return not_applicable("The table is younger than 26 hours.", CreationDateTime=_time(settings.created))
    if require_for == "production" and isinstance(environment, Environment) and not environment.production:
        return not_applicable("The table is not production.", environment=environment.source)
    if require_for == "production" and isinstance(environment, Gap):
        return unknown(environment)
    evidence: dict[str, Any] = {"CreationDateTime": _time(settings.created)}
    oldest = now.at - timedelta(days=max_backup_age_days)
    if settings.created is not None and settings.created > oldest:
        oldest = settings.created
    gaps: list[Gap] = []
    recent: list[tuple[datetime, str]] = []
    if isinstance(protected, Gap):
        gaps.append(protected)
    elif (held := protected.tables.get(table.arn)) is not None:
        evidence |= {"LastBackupTime": _time(held.last_backup), "LastBackupVaultArn": held.vault_arn}
        if held.last_backup is None:
            text = "AWS Backup lists the table and does not say when its last backup was."
            gaps.append(Gap(Reason.PARTIAL_DATA, text, "backup:ListProtectedResources"))
        elif held.last_backup >= oldest:
            locked = _locked(held.vault_arn, vaults)
            evidence["Locked"] = locked if isinstance(locked, bool) else None
            if locked is True or not require_vault_lock:
                recent.append((held.last_backup, "AWS Backup's"))
            elif isinstance(locked, Gap):
                gaps.append(locked)
    if isinstance(on_demand, Gap):
        if not require_vault_lock:
            gaps.append(on_demand)
    elif (backup := on_demand.newest.get(table.arn)) is not None:
        evidence |= {"BackupArn": backup.arn, "BackupCreationDateTime": _time(backup.created)}
        if backup.created >= oldest and not require_vault_lock:
            recent.append((backup.created, "the on-demand one"))
    if recent and settings.created is None:
        gaps.append(Gap(Reason.PARTIAL_DATA, "AWS does not say when the table was created.", "dynamodb:DescribeTable"))
    elif recent:
        moment, kind = max(recent)
        return passed(f"The newest backup is {kind} of {_time(moment)}.", **evidence)
    if gaps:
        return unknown(gaps[0], **evidence)
    where = " in a locked vault" if require_vault_lock else ""
    return failed(f"No backup{where} of the last {max_backup_age_days} days is known.", **evidence)


def _locked(vault_arn: str | None, vaults: BackupVaults | Gap) -> bool | Gap:
    """Tell whether a vault is locked."""
    if isinstance(vaults, Gap):
        return vaults
    if vault_arn is None or vault_arn not in vaults.vaults:
        text = f"The vault {vault_arn or 'of the newest backup'} is not among the vaults of this account and region."
        return Gap(Reason.PARTIAL_DATA, text, "backup:ListBackupVaults")
    return vaults.vaults[vault_arn].locked


def _time(moment: datetime | None) -> str | None:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else None
