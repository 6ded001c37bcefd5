import fnmatch
from typing import Annotated, Any

from auditor import Remediation, Severity, Side, Verdict, failed, passed, rule, unknown
from auditor.access.holdings import DATA_READ, DATA_WRITE, DAX_DATA, DESTRUCTIVE, PERMISSION
from auditor.facts import CollectionTime, CredentialReport, Credentials, Gap, Holdings, Identities
from auditor.resources import Group, User

ACTIONS = DATA_READ | DATA_WRITE | DESTRUCTIVE | PERMISSION | DAX_DATA


@rule(
    severity=Severity.HIGH,
    side=Side.CLIENT,
    practices=["P14"],
    controls={
        "AWS FSBP": ["IAM.2", "IAM.3", "IAM.22"],
        "CIS AWS Foundations 6.0": ["2.13", "2.14", "2.17", "2.20"],
        "NIST 800-53 r5": ["AC-2", "AC-6", "IA-2", "IA-5"],
    },
    remediation=Remediation(
        text="Give people access through IAM Identity Center and programs a role; then take the user's keys and "
        "policies away.",
        cli="aws iam update-access-key --user-name $USER_NAME --access-key-id $ACCESS_KEY_ID --status Inactive\n"
        "aws iam remove-user-from-group --user-name $USER_NAME --group-name $GROUP_NAME\n"
        "aws iam delete-user-policy --user-name $USER_NAME --policy-name $POLICY_NAME\n"
        "aws iam detach-user-policy --user-name $USER_NAME --policy-arn $POLICY_ARN",
        terraform="""\
data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "orders_api" {
  name               = "orders-api"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}""",
        cloudformation="""\
Resources:
  OrdersApi:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement:
          - {Effect: Allow, Principal: {Service: ec2.amazonaws.com}, Action: "sts:AssumeRole"}""",
    ),
    references=[
        "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/best-practices-security-preventative.html",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/best-practices.html",
    ],
)
def iam_user_dynamodb_access(
    who: User | Group,
    identities: Identities,
    holdings: Holdings,
    report: CredentialReport | Gap,
    time: CollectionTime | Gap,
    *,
    allowed_users: Annotated[tuple[str, ...], "Names of users that may have access, such as break-glass ones."] = (),
    max_key_age_days: Annotated[int, "An older access key makes the failure one level worse."] = 90,
) -> Verdict | None:
    """No IAM user, directly or through a group, can use DynamoDB or DAX.

    The keys of IAM users last until somebody deletes them, and get into repositories, laptops and logs; roles have
    credentials that expire by themselves.

    Every action that reads, writes or destroys data or changes permissions is evaluated with the user's policies, those
    of its groups, its permissions boundary and the tables' resource policies, on every table and DAX cluster and on
    ones that do not exist, which only a wildcard reaches. Access under a condition, such as MFA or a network, is access
    too; the evidence names the condition. A grant is proof even where some table's resource policy cannot be read; that
    nothing is granted is not proved then, unless a Deny or a boundary settles it. The same goes for regions whose
    tables cannot be listed.

    A user with an active access key fails as high, one level worse when a key is older than `max_key_age_days`; with a
    password only, as medium; without any credential, as low. Where the credential report cannot be read, or does not
    have the user yet, an active key is assumed. A group is judged by its own policies and fails as low, whether or not
    it has members; resource policies cannot name groups. If a service or resource control policy blocks everything
    that was granted, the failure is one level milder and the evidence names it.

    Users in `allowed_users` pass with a note. The user that audits is not judged.
    """
    principal = holdings.access.principal(who.arn)
    if principal is None or who.arn == holdings.access.auditor:
        return None
    held = holdings.of(principal, ACTIONS)
    evidence: dict[str, Any] = {}
    if isinstance(who, User):
        info = next((one for one in identities.users if one.user == who), None)
        evidence["GroupList"] = list(info.groups) if info is not None else []
        if any(fnmatch.fnmatchcase(who.name, pattern) for pattern in allowed_users):
            return passed(
                f"The user {who.name} is declared in allowed_users.", allowed=True, **evidence, **held.evidence
            )
    if not held.holdings:
        if held.doubts:
            doubt = held.doubts[0]
            evidence["undecided"] = [one.action for one in held.doubts]
            if isinstance(doubt.cause, Gap):
                return unknown(doubt.cause, resource=doubt.resource, **evidence)
            return unknown(
                f"Whether {doubt.action} is allowed is open: {doubt.why}", resource=doubt.resource, **evidence
            )
        return passed(f"The {who.noun} {who.name} can use neither DynamoDB nor DAX.", **evidence)
    severity = Severity.LOW
    if isinstance(who, User):
        severity, credentials = _credentials(who, report, time, max_key_age_days)
        evidence |= credentials
    message = f"The {who.noun} {who.name} may call {held.example}"
    if len(held.holdings) > 1:
        message += f", and {len(held.holdings) - 1} more actions"
    if held.blocked:
        severity = severity.moved(-1)
        message += "; guardrails of the organisation block it"
    return failed(f"{message}.", severity=severity, **evidence, **held.evidence)


def _credentials(
    user: User, report: CredentialReport | Gap, time: CollectionTime | Gap, max_age: int
) -> tuple[Severity, dict[str, Any]]:
    """Return how bad it is that a user with these credentials has access, and the credentials as evidence."""
    if isinstance(report, Gap):
        return Severity.HIGH, {
            "assumed": f"An active access key, since the credential report is not known: {report.detail}"
        }
    row = report.rows.get(user.arn)
    if row is None:
        return Severity.HIGH, {"assumed": "An active access key, since the credential report does not have the user."}
    ages = _ages(row, time)
    evidence: dict[str, Any] = {
        "password_enabled": row.password,
        "mfa_active": row.mfa,
        "access_keys": [
            {
                "active": key.active,
                "ageDays": age,
                "last_used_date": key.used.isoformat() if key.used else None,
                "last_used_service": key.used_service,
            }
            for key, age in zip(row.keys, ages, strict=True)
        ],
    }
    if row.password and not row.mfa:
        evidence["note"] = "The user can log in to the console without MFA."
    active = [age for key, age in zip(row.keys, ages, strict=True) if key.active]
    if active:
        old = any(age is not None and age > max_age for age in active)
        return (Severity.CRITICAL if old else Severity.HIGH), evidence
    return (Severity.LOW if row.password is False else Severity.MEDIUM), evidence


def _ages(row: Credentials, time: CollectionTime | Gap) -> list[int | None]:
    if isinstance(time, Gap):
        return [None for _ in row.keys]
    return [None if key.rotated is None else (time.at - key.rotated).days for key in row.keys]
