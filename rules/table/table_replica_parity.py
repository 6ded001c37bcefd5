from collections.abc import Callable, Iterator
from typing import Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.config import Config
from auditor.facts import Gap, Member, ReplicationGroup, TableSettings
from auditor.resources import Table

BROKEN = (
    "REGION_DISABLED",
    "INACCESSIBLE_ENCRYPTION_CREDENTIALS",
    "REPLICATION_NOT_AUTHORIZED",
    "CREATION_FAILED",
)
STRENGTH = {"aws-owned": 0, "aws-managed": 1, "customer-managed": 2}


@rule(
    severity=Severity.HIGH,
    side=Side.AMAZON,
    practices=["B", "P4", "P5", "P6"],
    controls={"NIST 800-53 r5": ["CM-2", "CM-6", "CP-9", "SC-28"]},
    remediation=Remediation(
        text="Bring every replica to the level of the strongest: protection, recovery and tags are settings of each.",
        cli="aws dynamodb update-table --table-name $TABLE --deletion-protection-enabled --region $REGION",
        terraform="""\
resource "aws_dynamodb_table_replica" "eu" {
  provider                    = aws.eu_central_1
  global_table_arn            = aws_dynamodb_table.orders.arn
  kms_key_arn                 = aws_kms_key.tables_eu.arn
  point_in_time_recovery      = true
  deletion_protection_enabled = true
}""",
        cloudformation="""\
Resources:
  Orders:
    Type: AWS::DynamoDB::GlobalTable
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
      StreamSpecification: {StreamViewType: NEW_AND_OLD_IMAGES}
      SSESpecification: {SSEEnabled: true, SSEType: KMS}
      Replicas:
        - Region: eu-west-1
          DeletionProtectionEnabled: true
          PointInTimeRecoverySpecification: {PointInTimeRecoveryEnabled: true}
        - Region: eu-central-1
          DeletionProtectionEnabled: true
          PointInTimeRecoverySpecification: {PointInTimeRecoveryEnabled: true}""",
    ),
    references=["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GlobalTables.html"],
)
def table_replica_parity(
    table: Table, settings: TableSettings, group: ReplicationGroup | Gap, config: Config
) -> Verdict | None:
    """Every global-table replica is protected like its siblings.

    DynamoDB never synchronises deletion protection, point-in-time recovery, tags or policies between replicas, so the
    weakest replica decides how well the data is protected: whoever wants to read or destroy it goes there.

    Each member is compared with the strongest of its siblings in deletion protection, point-in-time recovery and its
    window, kind of encryption key (the keys themselves differ by region) and required tags. It also fails when the
    replication itself is broken (`ReplicaStatus`), when disassociation protection is off (one UpdateTable call would
    leave a standalone copy behind), or, with severity low, when the table is of version 2017.11.29. What cannot be
    read of a sibling matters only where it could be stronger than this member. A witness has no settings.
    """
    if not settings.settled or settings.archived:
        return not_applicable(f"The table is {settings.status}.", TableStatus=settings.status)
    if isinstance(group, Gap):
        return unknown(group)
    if not group.members:
        return None
    own = next(member for member in group.members if member.table == table)
    siblings = [member for member in group.members if member.table != table]
    weaker: dict[str, Any] = {}
    gaps: list[Gap] = []
    for aspect, top, measure in _aspects(config):
        mine = measure(own)
        if isinstance(mine, Gap):
            gaps.append(mine)
            continue
        theirs = {member.table.region.name: measure(member) for member in siblings}
        known = {region: value for region, value in theirs.items() if not isinstance(value, Gap)}
        best = max(known, key=lambda region: known[region][0], default=None)
        if best is not None and known[best][0] > mine[0]:
            weaker[aspect] = {"here": mine[1], best: known[best][1]}
        elif mine[0] < top:
            gaps += [value for value in theirs.values() if isinstance(value, Gap)]
    evidence: dict[str, Any] = {
        "members": [member.table.arn for member in group.members],
        "GlobalTableVersion": group.version,
    }
    broken = {replica.table.region.name: replica.status for replica in settings.replicas if replica.status in BROKEN}
    if weaker:
        words = ", ".join(weaker)
        return failed(f"This replica is weaker than its strongest sibling in: {words}.", weaker=weaker, **evidence)
    if broken:
        return failed("Replication is broken.", ReplicaStatus=broken, **evidence)
    if settings.disassociation_protection is False:
        return failed("Disassociation protection is off.", DisassociationProtectionEnabled=False, **evidence)
    if group.version == "2017.11.29":
        return failed("The global table is of the legacy version 2017.11.29.", severity=Severity.LOW, **evidence)
    if gaps:
        return unknown(gaps[0], **evidence)
    return passed("The replica is protected like its siblings.", **evidence)


Measure = Callable[[Member], tuple[int, Any] | Gap]


def _aspects(config: Config) -> Iterator[tuple[str, int, Measure]]:
    """Yield what is compared, the best there can be, and how it is read: (rank, value for a person)."""

    def protection(member: Member) -> tuple[int, Any] | Gap:
        held = member.settings
        return held if isinstance(held, Gap) else (int(held.deletion_protection), held.deletion_protection)

    def recovery(member: Member) -> tuple[int, Any] | Gap:
        held = member.recovery
        if isinstance(held, Gap):
            return held
        return (held.days, f"{held.days} days") if held.enabled else (0, "off")

    def key(member: Member) -> tuple[int, Any] | Gap:
        return member.key if isinstance(member.key, Gap) else (STRENGTH[member.key.type], member.key.type)

    required = [key for entry in config.required_tags for key in ([entry] if isinstance(entry, str) else entry)]

    def tags(member: Member) -> tuple[int, Any] | Gap:
        if isinstance(member.tags, Gap):
            return member.tags
        present = [name for name in required if member.tags.values.get(name)]
        return len(present), present

    yield "deletion protection", 1, protection
    yield "point-in-time recovery", 35, recovery
    yield "encryption key", 2, key
    yield "required tags", len(required), tags
