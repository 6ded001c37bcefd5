from collections.abc import Mapping
from typing import Annotated, Any, Literal

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.facts import Environment, Gap, PointInTimeRecovery, Reason, TableSettings
from auditor.resources import Table


@rule(
    severity=Severity.HIGH,
    side=Side.AMAZON,
    practices=["B"],
    controls={
        "AWS FSBP": ["DynamoDB.2"],
        "NIST 800-53 r5": ["CP-6(2)", "CP-9", "CP-10", "SC-5(2)", "SI-12", "SI-13(5)"],
        "PCI DSS 4.0.1": ["10.5.1"],
    },
    remediation=Remediation(
        text="Turn point-in-time recovery on, with a window as long as it may take to notice a loss (35 days at most).",
        cli="aws dynamodb update-continuous-backups --table-name $TABLE --point-in-time-recovery-specification "
        "PointInTimeRecoveryEnabled=true,RecoveryPeriodInDays=35 --region $REGION",
        terraform="""\
resource "aws_dynamodb_table" "orders" {
  name         = "orders"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "pk"

  point_in_time_recovery {
    enabled                 = true
    recovery_period_in_days = 35
  }

  attribute {
    name = "pk"
    type = "S"
  }
}""",
        cloudformation="""\
Resources:
  Orders:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      PointInTimeRecoverySpecification: {PointInTimeRecoveryEnabled: true, RecoveryPeriodInDays: 35}
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]""",
    ),
    references=["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Point-in-time-recovery.html"],
)
def table_pitr(
    table: Table,
    settings: TableSettings,
    recovery: PointInTimeRecovery | Gap,
    environment: Environment | Gap,
    *,
    min_recovery_days: Annotated[
        Mapping[Literal["production", "default"], int], "Shortest recovery window in days, for production and others."
    ] = {"production": 35, "default": 7},
) -> Verdict:
    """Point-in-time recovery is on with a sufficient window.

    It is the only control that undoes the destruction or overwriting of items, whether by a bug or by someone who
    encrypts a table and asks for money; exports need it as well.

    The rule reads `PointInTimeRecoveryStatus`. `ContinuousBackupsStatus` is ENABLED for every table and proves
    nothing. An absent `RecoveryPeriodInDays` means 35 days. Recovery that was turned on yesterday reaches back one
    day only: that is reported as evidence (`EarliestRestorableDateTime`) and not held against the table. Replicas have
    their own setting. A table of cache entries may need none: accept the finding for it.

    With `--source config` counts what AWS Config recorded (`configurationItemCaptureTime`). Where it has no window,
    recovery that is on reaches back a day at least: that passes if no more is demanded, and is unknown otherwise.
    """
    if not settings.settled or settings.archived:
        return not_applicable(f"The table is {settings.status}.", TableStatus=settings.status)
    if isinstance(recovery, Gap):
        return unknown(recovery)
    evidence: dict[str, Any] = {
        "PointInTimeRecoveryStatus": "ENABLED" if recovery.enabled else "DISABLED",
        "RecoveryPeriodInDays": recovery.days if recovery.enabled else None,
        "EarliestRestorableDateTime": f"{recovery.earliest:%Y-%m-%dT%H:%M:%SZ}" if recovery.earliest else None,
    }
    if recovery.recorded is not None:
        evidence["configurationItemCaptureTime"] = f"{recovery.recorded:%Y-%m-%dT%H:%M:%SZ}"
    if not recovery.enabled:
        return failed("Point-in-time recovery is off.", **evidence)
    default = min_recovery_days.get("default", 7)
    strict = min_recovery_days.get("production", 35)
    on = "Point-in-time recovery is on"
    days = recovery.days or 1  # UpdateContinuousBackups takes no shorter window
    good = f"{on} with a window of {recovery.days} days." if recovery.days else f"{on}."
    if days >= max(default, strict):
        return passed(good, **evidence)
    if isinstance(environment, Gap):
        if days < min(default, strict):
            needed = min(default, strict)
        else:
            return unknown(environment, **evidence)
    else:
        needed = strict if environment.production else default
    if days >= needed:
        return passed(good, **evidence)
    if recovery.days is None:
        return unknown(
            f"{on}, but AWS Config did not record its window, and {needed} days are demanded. `--source live` asks.",
            reason=Reason.PARTIAL_DATA,
            **evidence,
        )
    return failed(
        f"The recovery window is {recovery.days} days, shorter than {needed}.",
        severity=Severity.MEDIUM,
        **evidence,
    )
