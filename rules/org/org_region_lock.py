from collections.abc import Mapping
from typing import Annotated, Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.config import Config
from auditor.facts import EnabledRegions, Gap, GuardedRequest, Guardrails, TableNames
from auditor.resources import Account, Region


@rule(
    severity=Severity.MEDIUM,
    side=Side.AMAZON,
    practices=["P9", "P4"],
    controls={"NIST 800-53 r5": ["AC-3", "AC-4", "SA-9(5)"], "AWS Control Tower": ["CT.MULTISERVICE.PV.1"]},
    remediation=Remediation(
        text="Attach a service control policy that denies DynamoDB and DAX by aws:RequestedRegion, and a second "
        "statement that denies replicas by the region of their ARN: the request for a replica is sent to the table's "
        "home region.",
        cli="aws organizations attach-policy --policy-id $POLICY_ID --target-id $TARGET_ID",
        terraform="""\
resource "aws_organizations_policy" "region_lock" {
  name = "dynamodb-region-lock"
  type = "SERVICE_CONTROL_POLICY"
  content = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "RegionLock"
        Effect    = "Deny"
        Action    = ["dynamodb:*", "dax:*"]
        Resource  = "*"
        Condition = { StringNotEquals = { "aws:RequestedRegion" = ["eu-west-1", "eu-central-1"] } }
      },
      {
        Sid         = "ReplicaLock"
        Effect      = "Deny"
        Action      = ["dynamodb:CreateTableReplica", "dynamodb:CreateGlobalTableWitness"]
        NotResource = ["arn:aws:dynamodb:eu-west-1:*:table/*", "arn:aws:dynamodb:eu-central-1:*:table/*"]
      }
    ]
  })
}""",
        cloudformation="""\
Resources:
  RegionLock:
    Type: AWS::Organizations::Policy
    Properties:
      Name: dynamodb-region-lock
      Type: SERVICE_CONTROL_POLICY
      Content:
        Version: "2012-10-17"
        Statement:
          - Sid: RegionLock
            Effect: Deny
            Action: ["dynamodb:*", "dax:*"]
            Resource: "*"
            Condition: {StringNotEquals: {"aws:RequestedRegion": [eu-west-1, eu-central-1]}}
          - Sid: ReplicaLock
            Effect: Deny
            Action: ["dynamodb:CreateTableReplica"]
            NotResource: ["arn:aws:dynamodb:eu-west-1:*:table/*", "arn:aws:dynamodb:eu-central-1:*:table/*"]""",
    ),
    references=[
        "https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps_examples_general.html"
    ],
)
def org_region_lock(
    account: Account,
    guardrails: Guardrails,
    enabled: EnabledRegions | Gap,
    listings: Mapping[Region, TableNames | Gap],
    config: Config,
    *,
    strict_replica_lock: Annotated[
        bool, "A replica in a forbidden region must be denied also when the request goes to the table's home region."
    ] = True,
) -> Verdict:
    """An SCP denies DynamoDB/DAX outside the allowed regions.

    Where data may be is a matter of law and contract. Without a lock, one call puts a table or a replica of one into
    any region that is enabled.

    In every enabled region that `allowed_regions` does not admit, an ordinary role and an ordinary user whose own
    policies allow everything must be refused to create a table, a DAX cluster and a replica; the policies are
    evaluated, and their text is not searched: a lock with NotAction for global services counts, a condition on
    `aws:RequestedRegion` that is about something else does not. Regions that the account has not opted in to are locked
    already.

    Adding a replica is a request to the table's home region, and which region DynamoDB presents as requested for the
    check on the new replica is not documented. So the replica must be denied with both, the forbidden region and every
    allowed one as the home; without `strict_replica_lock` the second is reported only. Real users and roles that get
    through, such as AWSControlTowerExecution, are exempt: they are named, and more than `max_exempt_principals` fail.
    The failure is high where `residency_rules` are declared. The management account is not bound by such policies.
    Member accounts can rarely read the policies: unknown.
    """
    if not config.allowed_regions:
        return not_applicable("Allowed regions are not declared.", reason="not_declared")
    if guardrails.exemption:
        return not_applicable(guardrails.exemption)
    if guardrails.gap is not None:
        return unknown(guardrails.gap)
    # Without the answer, the audited regions are the partition's default ones, which cannot be disabled.
    known = (
        {one.name for one in listings if one.account == account}
        if isinstance(enabled, Gap)
        else {one.name for one in enabled.regions}
    )
    forbidden = [name for name in sorted(known) if not config.region_allowed(name)]
    homes = [name for name in sorted(known) if config.region_allowed(name)]
    evidence: dict[str, Any] = {
        "policies": guardrails.attached,
        "allowed_regions": list(config.allowed_regions),
        "forbidden": forbidden,
    }
    if not forbidden:
        if isinstance(enabled, Gap):
            return unknown(enabled, **evidence)
        return passed("Every region that is enabled in the account is an allowed one.", **evidence)
    direct = [request for name in forbidden for request in _direct(account, name)]
    door = [_replica(account, name, home) for name in forbidden for home in homes]
    proof = guardrails.prove([*direct, *door] if strict_replica_lock else direct)
    evidence |= proof.evidence()
    if opening := proof.opening(config.max_exempt_principals):
        return failed(opening, severity=Severity.HIGH if config.residency_rules else None, **evidence)
    if doubt := proof.doubt(config.max_exempt_principals):
        return unknown(doubt, **evidence)
    if isinstance(enabled, Gap):
        return unknown(enabled, **evidence)
    if not strict_replica_lock:
        through = [one.words for one in door if guardrails.answer(guardrails.probes[0], one).outcome != "denied"]
        if through:
            return passed(
                "DynamoDB and DAX are denied outside the allowed regions, except perhaps for replicas that are "
                "requested in the table's home region.",
                replicaBackDoor=through[:20],
                **evidence,
            )
    return passed("DynamoDB and DAX are denied in every enabled region that is not allowed.", **evidence)


def _arn(account: Account, service: str, region: str, path: str) -> str:
    return f"arn:{account.partition}:{service}:{region}:{account.id}:{path}/ddbaudit-probe"


def _direct(account: Account, region: str) -> list[GuardedRequest]:
    return [
        GuardedRequest("dynamodb:CreateTable", _arn(account, "dynamodb", region, "table"), {}),
        GuardedRequest("dax:CreateCluster", _arn(account, "dax", region, "cache"), {}),
        _replica(account, region, region),
    ]


def _replica(account: Account, region: str, requested: str) -> GuardedRequest:
    return GuardedRequest(
        "dynamodb:CreateTableReplica",
        _arn(account, "dynamodb", region, "table"),
        {},
        context={"aws:RequestedRegion": requested},
    )
