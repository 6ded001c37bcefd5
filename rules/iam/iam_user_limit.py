from typing import Annotated, Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.access.holdings import DATA_READ, DATA_WRITE, DAX_DATA, DESTRUCTIVE, PERMISSION
from auditor.facts import Gap, Holdings, Identities
from auditor.resources import Account

ACTIONS = DATA_READ | DATA_WRITE | DESTRUCTIVE | PERMISSION | DAX_DATA


@rule(
    severity=Severity.LOW,
    side=Side.CLIENT,
    practices=["P14"],
    controls={"NIST 800-53 r5": ["AC-2", "AC-2(7)", "AC-6(5)"]},
    remediation=Remediation(
        text="Move people to IAM Identity Center and programs to roles, then remove the users' credentials.",
        cli="aws iam delete-access-key --user-name $USER_NAME --access-key-id $ACCESS_KEY_ID\n"
        "aws iam delete-user --user-name $USER_NAME",
        terraform="""\
data "aws_ssoadmin_instances" "this" {}

resource "aws_ssoadmin_permission_set" "orders_reader" {
  name         = "OrdersReader"
  instance_arn = tolist(data.aws_ssoadmin_instances.this.arns)[0]
}""",
        cloudformation="""\
Parameters:
  InstanceArn: {Type: String}
Resources:
  OrdersReader:
    Type: AWS::SSO::PermissionSet
    Properties: {InstanceArn: !Ref InstanceArn, Name: OrdersReader}""",
    ),
    references=["https://docs.aws.amazon.com/IAM/latest/UserGuide/best-practices.html"],
)
def iam_user_limit(
    account: Account,
    identities: Identities,
    holdings: Holdings,
    *,
    max_dynamodb_users: Annotated[int, "So many users with access pass."] = 5,
) -> Verdict:
    """The number of IAM users with access to DynamoDB is limited.

    Each user with long-lived credentials is one more way to the tables, and one more that somebody has to close when a
    person leaves or a key leaks.

    Users are counted by the evaluation of iam-user-dynamodb-access, those that it allows by name included; the user
    that audits is left out. Users are counted, not people. More than `max_dynamodb_users` fail as low, more than twice
    as many as medium. Users of whom it cannot be said whether they have access make the answer unknown where the limit
    depends on them; above the limit they count, so that what is not known makes no failure milder. If the limit is kept
    once those are left out whose access guardrails of the organisation block, the failure is one level milder. Without
    users the rule does not apply.
    """
    if not identities.users:
        return not_applicable("The account has no IAM users.", Users=0)
    found = {
        info.user: holdings.of(principal, ACTIONS)
        for info in identities.users
        if info.user.arn != holdings.access.auditor
        and (principal := holdings.access.principal(info.user.arn)) is not None
    }
    having = [user for user, held in found.items() if held.holdings]
    perhaps = [user for user, held in found.items() if not held.holdings and held.doubts]
    evidence: dict[str, Any] = {
        "Users": len(identities.users),
        "usersWithAccess": [user.name for user in having],
        "max_dynamodb_users": max_dynamodb_users,
    }
    if perhaps:
        evidence["usersUndecided"] = [user.name for user in perhaps]
    most = len(having) + len(perhaps)
    if most <= max_dynamodb_users:
        return passed(f"At most {most} users of {len(identities.users)} can use DynamoDB or DAX.", **evidence)
    if len(having) <= max_dynamodb_users:
        causes = [doubt.cause for user in perhaps for doubt in found[user].doubts if isinstance(doubt.cause, Gap)]
        if causes:
            return unknown(causes[0], **evidence)
        return unknown(
            f"{len(having)} users can use DynamoDB or DAX, and of {len(perhaps)} more it cannot be decided; "
            f"the limit is {max_dynamodb_users}.",
            **evidence,
        )
    severity = Severity.MEDIUM if most > 2 * max_dynamodb_users else Severity.LOW
    message = f"{len(having)} users can use DynamoDB or DAX; the limit is {max_dynamodb_users}"
    blocked = [user for user in having if found[user].blocked]
    if most - len(blocked) <= max_dynamodb_users:
        severity = severity.moved(-1)
        message += f"; guardrails of the organisation block {len(blocked)} of them"
        evidence["blockedBy"] = sorted({text for user in blocked for text in found[user].evidence["blockedBy"]})
    return failed(f"{message}.", severity=severity, **evidence)
