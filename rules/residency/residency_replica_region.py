from typing import Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.config import Config
from auditor.facts import Gap, LegacyGlobalTables, Sensitivity, TableSettings
from auditor.resources import Table


@rule(
    severity=Severity.CRITICAL,
    side=Side.AMAZON,
    practices=["P4"],
    controls={"NIST 800-53 r5": ["AC-20", "SA-9(5)", "SC-8"]},
    remediation=Remediation(
        text="Remove the replica or witness, and deny new ones elsewhere by a service control policy.",
        cli="aws dynamodb update-table --table-name $TABLE --region $REGION "
        '--replica-updates \'[{"Delete":{"RegionName":"us-east-1"}}]\'',
        terraform="""\
resource "aws_dynamodb_table" "orders" {
  name             = "orders"
  billing_mode     = "PAY_PER_REQUEST"
  hash_key         = "pk"
  stream_enabled   = true
  stream_view_type = "NEW_AND_OLD_IMAGES"

  attribute {
    name = "pk"
    type = "S"
  }

  replica {
    region_name = "eu-central-1"
  }
}""",
        cloudformation="""\
Resources:
  ReplicaLock:
    Type: AWS::Organizations::Policy
    Properties:
      Name: dynamodb-replica-lock
      Type: SERVICE_CONTROL_POLICY
      Content:
        Version: "2012-10-17"
        Statement:
          - Sid: NoReplicaElsewhere
            Effect: Deny
            Action:
              - dynamodb:CreateTableReplica
              - dynamodb:CreateGlobalTableWitness
              - dynamodb:AssociateTableReplica
            NotResource:
              - arn:aws:dynamodb:eu-west-1:*:table/*
              - arn:aws:dynamodb:eu-central-1:*:table/*""",
    ),
    references=["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2globaltables_HowItWorks.html"],
)
def residency_replica_region(
    table: Table,
    settings: TableSettings,
    legacy: LegacyGlobalTables | Gap,
    sensitivity: Sensitivity | Gap,
    config: Config,
) -> Verdict | None:
    """Global-table replicas and witnesses stay in allowed regions.

    Replication copies every item. A replica in another jurisdiction, or in a stranger's account, is data that left.

    Every replica and every witness must be in an allowed region (`allowed_regions`), every replica in the table's own
    account or one in `accounts.trusted`. A witness cannot be read, yet it stores replicated changes, so it counts, and
    so does the table itself, which DynamoDB may or may not list as one of its replicas. Those that are being deleted
    are evidence only. Tables that are not global have no finding. The failure is critical for tables tagged sensitive
    and high for others.
    """
    trusted = {table.account.id, *config.accounts.trusted}
    others = [replica for replica in settings.replicas if replica.table != table]
    staying = [replica.table for replica in others if replica.status != "DELETING"]
    foreign = sorted(replica.arn for replica in staying if replica.account.id not in trusted)
    witnesses = [witness.region for witness in settings.witnesses if witness.status != "DELETING"]
    leaving = sorted(
        [replica.table.region.name for replica in others if replica.status == "DELETING"]
        + [witness.region for witness in settings.witnesses if witness.status == "DELETING"]
    )
    older = () if isinstance(legacy, Gap) else legacy.members.get(table.name, ())
    if table.region.name not in older or len(older) < 2:
        older = ()  # a legacy global table of this name that this table is no member of
    if not others and not settings.witnesses and not older:
        # Only the list of legacy global tables can still name replicas, and current ones are not in it.
        current = settings.global_table_version == "2019.11.21"
        return unknown(legacy) if isinstance(legacy, Gap) and not current else None
    if not staying and not witnesses and not older:
        return not_applicable("All replicas are being deleted.", deleting=leaving)
    regions = sorted({table.region.name, *(replica.region.name for replica in staying), *witnesses, *older})
    evidence: dict[str, Any] = {
        "Replicas": {replica.arn: replica.region.name for replica in sorted([table, *staying])},
        "GlobalTableWitnesses": sorted(witnesses),
        "MultiRegionConsistency": settings.multi_region_consistency,
        "allowed": list(config.allowed_regions),
    }
    if older:
        evidence["ReplicationGroup"] = list(older)
    if leaving:
        evidence["deleting"] = leaving
    severity = Severity.CRITICAL if isinstance(sensitivity, Sensitivity) and sensitivity.sensitive else Severity.HIGH
    if foreign:
        return failed("A replica is in an account that is not trusted.", severity=severity, foreign=foreign, **evidence)
    outside = [region for region in regions if not config.region_allowed(region)]
    if outside:
        return failed(
            f"Replicated data is in {', '.join(outside)}, not an allowed region.", severity=severity, **evidence
        )
    if not config.allowed_regions:
        return not_applicable(
            f"Allowed regions are not declared; replicated data is in {', '.join(regions)}.",
            reason="not_declared",
            **evidence,
        )
    return passed("All replicas and witnesses are in allowed regions.", **evidence)
