from collections.abc import Callable, Iterator
from typing import Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.config import Config
from auditor.facts import Gap, Member, Reason, ReplicationGroup, TableSettings
from auditor.resources import Table

BROKEN = (
    "REGION_DISABLED",
    "INACCESSIBLE_ENCRYPTION_CREDENTIALS",
    "REPLICATION_NOT_AUTHORIZED",
    "CREATION_FAILED",
)
#: What makes a replica of a production table a high failure; the rest is medium.
GRAVE = ("deletion protection", "point-in-time recovery", "encryption key")
STRENGTH = {"aws-owned": 0, "aws-managed": 1, "customer-managed": 2}


@rule(
    severity=Severity.HIGH,
    side=Side.AMAZON,
    practices=["B", "P4", "P5", "P6"],
    controls={"NIST 800-53 r5": ["CM-2", "CM-6", "CP-9", "SC-28"]},
    remediation=Remediation(
        text="Bring every replica to the level of the strongest: protection, recovery and tags are settings of each.",
        cli="aws dynamodb update-table --table-name $TABLE --deletion-protection-enabled --region $REGION\n"
        "aws dynamodb update-table --table-name $TABLE --disassociation-protection-enabled --region $REGION",
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
    window, kind of encryption key (the keys themselves differ by region) and each of the required tags. It also fails
    when the replication is broken (`ReplicaStatus`, as the member or a sibling reports it), when disassociation
    protection is off (one UpdateTable call would leave a standalone copy behind), or, with severity low, when the table
    is of version 2017.11.29. Weaker protection, recovery that is off and a weaker key are high; a shorter window,
    missing tags, broken replication and disassociation are medium. What cannot be read matters only where it could make
    this member the weaker one. A witness has no settings, and siblings that are being created, deleted or archived are
    not compared.
    """
    if isinstance(group, Gap):
        return unknown(group)
    if not group.members:
        return None
    if not settings.settled or settings.archived:
        return not_applicable(f"The table is {settings.status}.", TableStatus=settings.status)
    own = next(member for member in group.members if member.table == table)
    if own.status == "DELETING":
        return not_applicable("This replica is being deleted.", ReplicaStatus=own.status)
    weaker, gaps = _compared(own, [member for member in group.members if _comparable(member, own)], config)
    evidence: dict[str, Any] = {
        "members": [member.table.arn for member in group.members],
        "GlobalTableVersion": group.version,
    }
    said: list[str] = []
    grave = bool(weaker.keys() & set(GRAVE))
    if weaker:
        evidence["weaker"] = weaker
        said.append(f"This replica is weaker than its strongest sibling in: {', '.join(weaker)}.")
    broken = _broken(table, settings, group)
    if broken:
        evidence["ReplicaStatus"] = broken
        said.append("Replication is broken.")
    if settings.disassociation_protection is False:
        evidence["DisassociationProtectionEnabled"] = False
        said.append("Disassociation protection is off.")
    if said:
        return failed(" ".join(said), severity=None if grave else Severity.MEDIUM, **evidence)
    if group.version == "2017.11.29":
        return failed("The global table is of the legacy version 2017.11.29.", severity=Severity.LOW, **evidence)
    if all(replica.table != table for replica in settings.replicas):
        # Only a sibling then says whether the replication to this member is broken.
        hidden = [member.settings for member in group.members if isinstance(member.settings, Gap)]
        gaps += [gap for gap in hidden if gap.action is not None]
    if gaps:
        return unknown(gaps[0], **evidence)
    return passed("The replica is protected like its siblings.", **evidence)


def _comparable(member: Member, own: Member) -> bool:
    held = member.settings
    return member.table != own.table and (isinstance(held, Gap) or (held.settled and not held.archived))


def _compared(own: Member, siblings: list[Member], config: Config) -> tuple[dict[str, Any], list[Gap]]:
    """Return where a member is weaker than a sibling, and the gaps that leave open whether it is."""
    weaker: dict[str, Any] = {}
    gaps: list[Gap] = []
    for aspect, top, measure in _aspects(config):
        mine = measure(own)
        theirs = {member.table: measure(member) for member in siblings}
        known = {sibling: value for sibling, value in theirs.items() if not isinstance(value, Gap)}
        missing = [value for value in theirs.values() if isinstance(value, Gap)]
        best = max(known.values(), key=lambda value: value[0], default=None)
        if isinstance(mine, Gap):
            if missing or (best is not None and best[0] > 0):
                gaps.append(mine)
        elif best is not None and best[0] > mine[0]:
            where = min(sibling.region.name for sibling, value in known.items() if value == best)
            # Recovery that is on and reaches less far back is another, smaller weakness than none.
            name = f"{aspect} window" if aspect == "point-in-time recovery" and mine[0] > 0 else aspect
            weaker[name] = {"here": mine[1], where: best[1]}
        elif mine[0] < top:
            gaps += missing
    return weaker, gaps


def _broken(table: Table, settings: TableSettings, group: ReplicationGroup) -> dict[str, str]:
    """Return the broken replicas that the table lists, itself where a sibling lists it so, by region."""
    siblings = [member.settings for member in group.members if member.table != table]
    listed = [*settings.replicas]
    for held in siblings:
        if not isinstance(held, Gap):
            listed += [replica for replica in held.replicas if replica.table == table]
    broken = {replica.table.region.name: replica.status for replica in listed if replica.status in BROKEN}
    if settings.status == "REPLICATION_NOT_AUTHORIZED":
        broken[table.region.name] = settings.status
    return dict(sorted(broken.items()))


Measure = Callable[[Member], tuple[int, Any] | Gap]


def _aspects(config: Config) -> Iterator[tuple[str, int, Measure]]:
    """Yield what is compared, the best there can be, and how it is read: (rank from 0, value for a person)."""

    def protection(member: Member) -> tuple[int, Any] | Gap:
        held = member.settings
        return held if isinstance(held, Gap) else (int(held.deletion_protection), held.deletion_protection)

    def recovery(member: Member) -> tuple[int, Any] | Gap:
        held = member.recovery
        if isinstance(held, Gap):
            return held
        if held.enabled and held.days is None:
            return Gap(Reason.PARTIAL_DATA, "AWS Config did not record the window of point-in-time recovery.")
        return (held.days or 0, f"{held.days} days") if held.enabled else (0, "off")

    def recovers(member: Member) -> tuple[int, Any] | Gap:
        held = member.recovery
        return held if isinstance(held, Gap) else (int(held.enabled), "on" if held.enabled else "off")

    def key(member: Member) -> tuple[int, Any] | Gap:
        return member.key if isinstance(member.key, Gap) else (STRENGTH[member.key.type], member.key.type)

    def tag(name: str) -> Measure:
        def measure(member: Member) -> tuple[int, Any] | Gap:
            if isinstance(member.tags, Gap):
                return member.tags
            present = bool(member.tags.values.get(name, "").strip())
            return int(present), "present" if present else "missing"

        return measure

    yield "deletion protection", 1, protection
    # First without the windows: where they are not known, what is off is weaker than what is on all the same.
    yield "point-in-time recovery", 1, recovers
    yield "point-in-time recovery", 35, recovery
    yield "encryption key", 2, key
    for entry in config.required_tags:
        for name in [entry] if isinstance(entry, str) else entry:
            yield f"tag {name}", 1, tag(name)
