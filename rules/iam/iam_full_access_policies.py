from typing import Any

from auditor import Remediation, Severity, Side, Verdict, failed, passed, rule, unknown
from auditor.access import Policy, read
from auditor.access.actions import actions
from auditor.access.holdings import DATA_READ, DATA_WRITE, DESTRUCTIVE, PERMISSION
from auditor.config import Config
from auditor.facts import Gap, Holdings, Identities, ManagedPolicy
from auditor.resources import Group, Role, User

#: Policies of AWS that are full access by their name, below ``arn:PARTITION:iam::aws:policy/``.
FULL = frozenset(
    {
        "AmazonDynamoDBFullAccess",
        "AmazonDynamoDBFullAccess_v2",
        "AmazonDynamoDBFullAccesswithDataPipeline",
        "AdministratorAccess",
        "PowerUserAccess",
        "job-function/DatabaseAdministrator",
    }
)


@rule(
    severity=Severity.HIGH,
    side=Side.CLIENT,
    practices=["P15"],
    controls={
        "AWS FSBP": ["IAM.1"],
        "CIS AWS Foundations 6.0": ["2.15"],
        "NIST 800-53 r5": ["AC-3", "AC-6"],
    },
    remediation=Remediation(
        text="Detach the policy and grant the actions that are used, on the tables that are used.",
        cli="aws iam detach-role-policy --role-name $ROLE_NAME --policy-arn $POLICY_ARN\n"
        "aws iam put-role-policy --role-name $ROLE_NAME --policy-name orders --policy-document file://orders.json",
        terraform="""\
resource "aws_iam_role_policy" "orders" {
  name = "orders"
  role = aws_iam_role.orders_api.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem"]
      Resource = [aws_dynamodb_table.orders.arn, "${aws_dynamodb_table.orders.arn}/index/*"]
    }]
  })
}""",
        cloudformation="""\
Parameters:
  RoleName: {Type: String}
Resources:
  Orders:
    Type: AWS::IAM::RolePolicy
    Properties:
      RoleName: !Ref RoleName
      PolicyName: orders
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Action: ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem"]
            Resource: !Sub "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/orders\"""",
    ),
    references=[
        "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ddb-security-iam.awsmanpol.html",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_job-functions.html",
    ],
)
def iam_full_access_policies(
    who: User | Group | Role,
    identities: Identities,
    holdings: Holdings,
    config: Config,
) -> Verdict | None:
    """Policies of AWS that grant full access to DynamoDB are not attached.

    They let whoever has them read, change and delete every table of the account, and whatever AWS adds to DynamoDB
    later; AWS may change what they grant without asking.

    Fails where AmazonDynamoDBFullAccess, its successor AmazonDynamoDBFullAccess_v2, the variant with Data Pipeline,
    AdministratorAccess, PowerUserAccess or DatabaseAdministrator is attached, in any partition, and where any other
    policy of AWS is whose default version allows all of DynamoDB's actions on everything without a condition. Only
    attachments count: a policy that is somebody's permissions boundary grants nothing, and customers' own policies,
    even of the same names, belong to iam-wildcard-permissions. What a user has through a group is reported on the
    group. Roles that `admin_roles` names pass with a note; service-linked roles and whoever audits are not judged. If a
    service or resource control policy blocks everything that is granted, the failure is one level milder.
    """
    access = holdings.access
    attached = _attached(who, identities)
    principal = access.principal(who.arn)
    if attached is None or principal is None or principal.service_linked or who.arn == access.auditor:
        return None
    evidence: dict[str, Any] = {"AttachedManagedPolicies": sorted(attached)}
    found: list[str] = []
    gap: Gap | None = None
    for arn in sorted(attached):
        account, _, name = arn.partition(":iam::")[2].partition(":policy/")
        if account != "aws":
            continue
        policy = identities.policies.get(arn)
        if name in FULL or (policy is not None and _allows_everything(policy)):
            found.append(arn)
        elif policy is not None and isinstance(policy.document, Gap):
            gap = gap or policy.document
    if not found:
        if gap is not None:
            return unknown(gap, **evidence)
        return passed(f"No policy of AWS with full access is attached to the {who.noun} {who.name}.", **evidence)
    names = ", ".join(arn.rpartition("/")[2] for arn in found)
    if isinstance(who, Role) and config.is_admin(who.arn):
        return passed(f"{names} is attached, and the role is declared in admin_roles.", admin=True, **evidence)
    message = f"{names} is attached to the {who.noun} {who.name}: full access to DynamoDB"
    held = holdings.of(principal, DATA_READ | DATA_WRITE | DESTRUCTIVE | PERMISSION)
    if held.blocked:
        blocked = held.evidence["blockedBy"]
        message += "; guardrails of the organisation block it"
        return failed(f"{message}.", severity=Severity.MEDIUM, fullAccess=found, blockedBy=blocked, **evidence)
    return failed(f"{message}.", fullAccess=found, **evidence)


def _attached(who: User | Group | Role, identities: Identities) -> tuple[str, ...] | None:
    if isinstance(who, User):
        return next((one.attached for one in identities.users if one.user == who), None)
    if isinstance(who, Group):
        return next((one.attached for one in identities.groups if one.group == who), None)
    return next((one.attached for one in identities.roles if one.role == who), None)


def _allows_everything(policy: ManagedPolicy) -> bool:
    """Tell whether a statement allows every action of DynamoDB on everything, without a condition."""
    if isinstance(policy.document, Gap):
        return False
    parsed: Policy = read(policy.document)
    return any(
        statement.allow
        and not statement.conditions
        and not statement.not_resource
        and any(text != "" and text.strip("*") == "" for text in statement.resources or ())
        and all(statement.covers(action.name.lower()) for action in actions("dynamodb") if action.listed)
        for statement in parsed.statements
    )
