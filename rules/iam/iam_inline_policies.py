from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.access import Statement, read
from auditor.access.actions import Action, actions
from auditor.access.patterns import arn_segments, glob
from auditor.facts import Holdings, Identities, InlinePolicy
from auditor.resources import Group, Role, User


@rule(
    severity=Severity.LOW,
    side=Side.CLIENT,
    practices=["P15"],
    controls={"AWS FSBP": ["IAM.2"], "NIST 800-53 r5": ["AC-2", "AC-6", "CM-5"]},
    remediation=Remediation(
        text="Make a managed policy of what is needed, attach it to a role, and delete the inline one.",
        cli="aws iam delete-user-policy --user-name $USER_NAME --policy-name $POLICY_NAME",
        terraform="""\
resource "aws_iam_role_policy_attachment" "orders" {
  role       = aws_iam_role.orders_api.name
  policy_arn = aws_iam_policy.orders.arn
}""",
        cloudformation="""\
Parameters:
  RoleName: {Type: String}
Resources:
  Orders:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      Roles: [!Ref RoleName]
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Action: "dynamodb:GetItem"
            Resource: !Sub "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/orders\"""",
    ),
    references=["https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_managed-vs-inline.html"],
)
def iam_inline_policies(
    who: User | Group | Role,
    identities: Identities,
    holdings: Holdings,
    *,
    ignore_roles: Annotated[bool, "Do not judge roles, where deployment tools write inline policies."] = True,
) -> Verdict | None:
    """Inline policies grant nothing on DynamoDB or DAX.

    An inline policy belongs to one user, group or role: it has no versions to go back to, is not seen in the list of
    policies, and is copied rather than shared, so that grants on tables are overlooked.

    Fails when a statement of an inline policy allows an action of DynamoDB or DAX on something that can be theirs: a
    statement on resources of other services only, or one that names operations which are no IAM actions, grants
    nothing. Boundaries are not looked at. Users and groups fail as medium, roles as low; with `ignore_roles` roles are
    not judged. If a service or resource control policy blocks all that is granted, the failure is one level milder.
    Service-linked roles and whoever audits are not judged.
    """
    access = holdings.access
    principal = access.principal(who.arn)
    if principal is None or principal.service_linked or who.arn == access.auditor:
        return None
    if isinstance(who, Role) and ignore_roles:
        return not_applicable("Inline policies of roles are not judged (ignore_roles).")
    inline = _inline(who, identities)
    evidence: dict[str, Any] = {"inlinePolicies": [one.name for one in inline]}
    granting: list[tuple[str, Statement]] = []
    granted: set[str] = set()
    malformed: list[str] = []
    for one in inline:
        policy = read(one.document, one.name)
        if policy.unreadable is not None:
            malformed.append(f"The inline policy {one.name} cannot be read: {policy.unreadable}.")
        for statement in policy.statements:
            names = {action.name for action in _granted(statement)}
            if names:
                granting.append((one.name, statement))
                granted |= names
    if not granting:
        if malformed:
            return unknown(malformed[0], **evidence)
        return passed(f"No inline policy of the {who.noun} {who.name} grants anything on DynamoDB or DAX.", **evidence)
    evidence["statements"] = [
        {"policy": name, "sid": statement.sid, "index": statement.index} for name, statement in granting
    ]
    severity = Severity.LOW if isinstance(who, Role) else Severity.MEDIUM
    name, first = granting[0]
    message = (
        f"Statement {first.sid or first.index} of the inline policy {name} of the {who.noun} {who.name} grants "
        f"{min(granted)}" + (f" and {len(granted) - 1} more actions" if len(granted) > 1 else "")
    )
    held = holdings.of(principal, granted)
    if held.blocked:
        severity = severity.moved(-1)
        evidence["blockedBy"] = held.evidence["blockedBy"]
        message += "; guardrails of the organisation block it"
    return failed(f"{message}.", severity=severity, **evidence)


def _inline(who: User | Group | Role, identities: Identities) -> tuple[InlinePolicy, ...]:
    if isinstance(who, User):
        return next((one.inline for one in identities.users if one.user == who), ())
    if isinstance(who, Group):
        return next((one.inline for one in identities.groups if one.group == who), ())
    return next((one.inline for one in identities.roles if one.role == who), ())


def _granted(statement: Statement) -> Iterator[Action]:
    """Yield the actions of DynamoDB and DAX that a statement allows on something of theirs."""
    if not statement.allow:
        return
    for service in ("dynamodb", "dax"):
        if statement.not_resource or _names(service, statement.resources or ()):
            yield from (action for action in actions(service) if statement.covers(action.name.lower()))


def _names(service: str, resources: Iterable[str]) -> bool:
    return any(glob(arn_segments(text)[2].lower()).matches(service) for text in resources)
