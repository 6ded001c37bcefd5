from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.config import Config
from auditor.facts import Environment, Gap, GuardedRequest, Guardrails, TableNames, TableSettings, Tags
from auditor.resources import Account, Region, Table

#: A backup's id: its time in milliseconds and a random part.
BACKUP = "01700000000000-0ddba0d1"

#: What else takes tables away or prepares it; reported.
ALSO = ("dynamodb:DeleteTableReplica", "dynamodb:UpdateTable", "backup:DeleteRecoveryPoint")


@rule(
    severity=Severity.MEDIUM,
    side=Side.AMAZON,
    practices=["P9"],
    controls={"NIST 800-53 r5": ["AC-3", "AC-6", "CM-5", "CP-9(8)"]},
    remediation=Remediation(
        text="Attach a service control policy that denies deleting tables and backups to everyone but a break-glass "
        "role, on the root or on the unit that holds the production accounts.",
        cli="aws organizations create-policy --type SERVICE_CONTROL_POLICY --name dynamodb-no-deletion "
        '--description "Tables and backups stay" --content file://dynamodb-no-deletion.json\n'
        "aws organizations attach-policy --policy-id $POLICY_ID --target-id $TARGET_ID",
        terraform="""\
resource "aws_organizations_policy" "no_deletion" {
  name = "dynamodb-no-deletion"
  type = "SERVICE_CONTROL_POLICY"
  content = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid    = "KeepTables"
      Effect = "Deny"
      Action = [
        "dynamodb:DeleteTable", "dynamodb:DeleteTableReplica", "dynamodb:DeleteBackup", "backup:DeleteRecoveryPoint"
      ]
      Resource  = "*"
      Condition = { ArnNotLike = { "aws:PrincipalArn" = "arn:aws:iam::*:role/BreakGlass" } }
    }]
  })
}

resource "aws_organizations_policy_attachment" "production" {
  policy_id = aws_organizations_policy.no_deletion.id
  target_id = var.production_unit
}""",
        cloudformation="""\
Parameters:
  Target: {Type: String}
Resources:
  NoDeletion:
    Type: AWS::Organizations::Policy
    Properties:
      Name: dynamodb-no-deletion
      Type: SERVICE_CONTROL_POLICY
      TargetIds: [!Ref Target]
      Content:
        Version: "2012-10-17"
        Statement:
          - Sid: KeepTables
            Effect: Deny
            Action: ["dynamodb:DeleteTable", "dynamodb:DeleteTableReplica", "dynamodb:DeleteBackup"]
            Resource: "*"
            Condition: {ArnNotLike: {"aws:PrincipalArn": "arn:aws:iam::*:role/BreakGlass"}}""",
    ),
    references=["https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps_evaluation.html"],
)
def org_deny_table_deletion(
    account: Account,
    guardrails: Guardrails,
    environments: Mapping[Table, Environment | Gap],
    settings: Mapping[Table, TableSettings | Gap],
    tags: Mapping[Table, Tags | Gap],
    listings: Mapping[Region, TableNames | Gap],
    config: Config,
    *,
    deny_actions: Annotated[tuple[str, ...], "Actions that must be denied; DynamoDB's without a prefix."] = (
        "DeleteTable",
        "DeleteBackup",
    ),
) -> Verdict:
    """An SCP denies table deletion (and its preparation) except break-glass.

    Deletion protection is a switch on the table: who may delete tables may usually turn it off first. A service control
    policy stands above every administrator of the account.

    Every level of the account's path, from the root to the account, is evaluated on the real production tables, for an
    ordinary role and an ordinary user whose own policies allow everything. Passes when all of `deny_actions` are denied
    for every table; a unit whose allow list leaves them out denies them as well. A policy that is not attached on the
    path, or that does not reach a table, is no protection, and a condition that a caller can meet (MFA, a network) is a
    way through. Real users and roles that are not denied are exempt: they are named, and more than
    `max_exempt_principals` of them fail; service-linked roles are not bound by these policies and do not count. Where
    users and roles cannot be read the answer is unknown if the policies make exemptions at all.

    DynamoDB looks at a table's tags only where attribute-based access control is on, which no API tells. Policies with
    conditions on tags are evaluated both ways; where the outcomes differ the answer is unknown until `abac_enabled` is
    declared. Deletion protection has no condition key, so only a broad denial of UpdateTable keeps it on: whether there
    is one is reported, as are DeleteTableReplica and AWS Backup's DeleteRecoveryPoint.

    Regions whose tables cannot be listed must deny the deletion of any table; this is what a region lock does. The
    failure is high where a table that can be deleted has no deletion protection. The management account is not bound by
    such policies and is reported by org-membership. Member accounts can rarely read the policies: unknown.
    """
    own = {one: held for one, held in environments.items() if one.account == account}
    certain = [one for one, held in sorted(own.items()) if isinstance(held, Environment) and held.production]
    possible = {one: held for one, held in sorted(own.items()) if isinstance(held, Gap)}
    unlisted = {one: held for one, held in sorted(listings.items()) if one.account == account and isinstance(held, Gap)}
    if guardrails.exemption:
        return not_applicable(guardrails.exemption)
    if not certain and not possible and not unlisted:
        return not_applicable("The account has no production tables.")
    if guardrails.gap is not None:
        return unknown(guardrails.gap)
    actions = tuple(one if ":" in one else f"dynamodb:{one}" for one in deny_actions)
    proof = guardrails.prove(_requests(certain, actions, tags))
    evidence: dict[str, Any] = {
        "policies": guardrails.attached,
        "tables": [one.arn for one in certain[:20]],
        "tableCount": len(certain),
        **proof.evidence(),
    }
    if certain:
        evidence["alsoDenied"] = _also(guardrails, certain, tags)
    if opening := proof.opening(config.max_exempt_principals):
        reached = {one.request.resource for one in proof.allowed}
        deletable = [one for one in certain if not reached or {one.arn, _backup(one)} & reached]
        bare = [one.arn for one in deletable if not _protected(settings.get(one))]
        evidence["withoutDeletionProtection"] = bare[:20]
        return failed(opening, severity=Severity.HIGH if bare else None, **evidence)
    if doubt := proof.doubt(config.max_exempt_principals):
        return unknown(doubt, **evidence)
    for table, gap in possible.items():
        if not _holds(guardrails, _requests([table], actions, tags), config):
            return unknown(gap, **evidence)
    for region, gap in unlisted.items():
        if not _holds(guardrails, _requests([Table(region, "ddbaudit-probe")], actions, {}), config):
            return unknown(gap, **evidence)
        evidence.setdefault("notListed", []).append(region.name)
    if not certain:
        return passed("Every table that may be a production table is protected from deletion.", **evidence)
    return passed("Service control policies deny the deletion of every production table.", **evidence)


def _backup(table: Table) -> str:
    return f"{table.arn}/backup/{BACKUP}"


def _protected(settings: TableSettings | Gap | None) -> bool:
    return isinstance(settings, TableSettings) and settings.deletion_protection


def _requests(
    tables: Iterable[Table], actions: Iterable[str], tags: Mapping[Table, Tags | Gap]
) -> list[GuardedRequest]:
    return [_request(table, action, tags) for table in tables for action in actions]


def _request(table: Table, action: str, tags: Mapping[Table, Tags | Gap]) -> GuardedRequest:
    name = action.lower()
    if name == "dynamodb:deletebackup":
        return GuardedRequest(action, _backup(table), {})  # backups have no tags
    if name == "backup:deleterecoverypoint":
        where = f"arn:{table.account.partition}:backup:{table.region.name}:{table.account.id}"
        return GuardedRequest(action, f"{where}:recovery-point:{BACKUP}")
    held = tags.get(table)
    return GuardedRequest(action, table.arn, held.values if isinstance(held, Tags) else None)


def _holds(guardrails: Guardrails, requests: list[GuardedRequest], config: Config) -> bool:
    proof = guardrails.prove(requests)
    return not proof.opening(config.max_exempt_principals) and proof.doubt(config.max_exempt_principals) is None


def _also(guardrails: Guardrails, tables: list[Table], tags: Mapping[Table, Tags | Gap]) -> dict[str, bool | None]:
    """Return whether further actions are denied to an ordinary role on every table; None: that cannot be told."""
    found: dict[str, bool | None] = {}
    for action in ALSO:
        outcomes = {guardrails.answer(guardrails.probes[0], _request(one, action, tags)).outcome for one in tables}
        found[action] = False if "allowed" in outcomes else None if "undecidable" in outcomes else True
    return found
