from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.facts import (
    AccountSummary,
    CollectionTime,
    CredentialReport,
    Credentials,
    Gap,
    Organization,
    Reason,
    RootManagement,
)
from auditor.resources import Account

#: The feature that takes the root users' credentials out of member accounts.
CENTRAL = "rootcredentialsmanagement"

#: In an account's first days root has to set it up.
FRESH = timedelta(days=7)

Organizations = Mapping[Account, Organization | Gap]
Managements = Mapping[Account, RootManagement | Gap]


@rule(
    severity=Severity.CRITICAL,
    side=Side.CLIENT,
    practices=["P14", "B"],
    controls={
        "AWS FSBP": ["IAM.4", "IAM.6", "IAM.9"],
        "CIS AWS Foundations 6.0": ["2.3", "2.4", "2.5", "2.6", "5.3"],
        "NIST 800-53 r5": ["AC-2", "AC-6(2)", "IA-2(1)"],
    },
    remediation=Remediation(
        text="Delete the root user's access keys in its security credentials page, give it a hardware MFA device, and "
        "work with roles. In an organisation, manage root centrally and delete the member accounts' root credentials.",
        cli="aws iam get-account-summary\n"
        "aws iam enable-organizations-root-credentials-management\n"
        "aws sts assume-root --target-principal $ACCOUNT "
        "--task-policy-arn arn=arn:aws:iam::aws:policy/root-task/IAMDeleteRootUserCredentials",
        terraform="""\
resource "aws_iam_organizations_features" "root" {
  enabled_features = ["RootCredentialsManagement", "RootSessions"]
}""",
        cloudformation="""\
Parameters:
  TopicArn: {Type: String}
Resources:
  RootIsUsed:
    Type: AWS::Events::Rule
    Properties:
      EventPattern:
        detail-type: ["AWS Console Sign In via CloudTrail", "AWS API Call via CloudTrail"]
        detail: {userIdentity: {type: [Root]}}
      Targets: [{Id: topic, Arn: !Ref TopicArn}]""",
    ),
    references=[
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/root-user-best-practices.html",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_root-user.html",
    ],
)
def iam_root_usage(
    account: Account,
    summary: AccountSummary | Gap,
    report: CredentialReport | Gap,
    time: CollectionTime | Gap,
    organization: Organization | Gap,
    management: RootManagement | Gap,
    organizations: Organizations,
    managements: Managements,
    *,
    max_root_days: Annotated[int, "Root may not have been used within so many days."] = 90,
) -> Verdict:
    """The root user has no access keys, has MFA and is not used.

    No policy of the account limits root: with its password or key somebody deletes every table and backup, and closes
    the account. Guardrails bind it in member accounts only.

    An access key of root, active or not, fails as critical; no MFA device as high; a sign-in or a use of a key within
    `max_root_days` as medium. Keys and MFA are what the account's summary counts; where it cannot be read, what the
    credential report says. When root was used stands in the report's row of root; `no_information` there means that it
    was not. In an account younger than seven days root may be used, since somebody has to set the account up.

    A member account whose root has neither password nor key passes where the organisation manages root centrally:
    nobody can recover a password then. That is readable only in the management account or by IAM's delegated
    administrator. Where neither is part of the audit and the verdict depends on it, the answer is unknown. In GovCloud,
    where an account shows nothing of its root user, the rule does not apply.
    """
    if account.partition == "aws-us-gov":
        return not_applicable("GovCloud shows nothing of the root user.", partition=account.partition)
    row = None if isinstance(report, Gap) else report.rows.get(account.arn)
    keys, mfa, password = _credentials(summary, row)
    evidence: dict[str, Any] = {
        "AccountAccessKeysPresent": keys,
        "AccountMFAEnabled": None if mfa is None else int(mfa),
        "AccountPasswordPresent": None if password is None else int(password),
        "max_root_days": max_root_days,
    }
    problems: list[tuple[Severity, str]] = []
    gaps: list[Gap] = []
    if keys:
        problems.append((Severity.CRITICAL, "it has an access key" if keys == 1 else f"it has {keys} access keys"))
    if mfa is False:
        problems.append((Severity.HIGH, "it has no MFA device"))
    if keys is None or mfa is None:
        gaps.append(_not_said(summary))
    used = _used(row, report, time, max_root_days, evidence)
    if isinstance(used, Gap):
        gaps.append(used)
    elif used:
        problems.append((Severity.MEDIUM, used))
    excused: bool | Gap = False
    if not keys and password is not True and (problems or gaps):
        excused = _managed(account, organization, management, organizations, managements)
        if excused is True and (keys is None or password is None):
            excused = _not_said(summary)
    if excused is True:
        evidence["EnabledFeatures"] = "RootCredentialsManagement"
        return passed(
            "Root has neither password nor access key, and the organisation manages it centrally.", **evidence
        )
    if isinstance(excused, Gap):
        return unknown(excused, **evidence)
    if problems:
        severity = max(severity for severity, _ in problems)
        *first, last = (text for _, text in problems)
        told = f"{', '.join(first)} and {last}" if first else last
        return failed(f"The root user is not as it should be: {told}.", severity=severity, **evidence)
    if gaps:
        return unknown(gaps[0], **evidence)
    return passed(f"Root has no access key, has MFA, and was not used for {max_root_days} days.", **evidence)


def _credentials(summary: AccountSummary | Gap, row: Credentials | None) -> tuple[int | None, bool | None, bool | None]:
    """Return how many access keys root has, and whether it has MFA and a password; None where nothing says so."""
    keys = mfa = password = None
    if isinstance(summary, AccountSummary):
        keys, mfa, password = summary.root_keys, summary.root_mfa, summary.root_password
    if row is not None:
        keys = len(row.keys) if keys is None else keys
        mfa = row.mfa if mfa is None else mfa
        password = row.password if password is None else password
    return keys, mfa, password


def _not_said(summary: AccountSummary | Gap) -> Gap:
    if isinstance(summary, Gap):
        return summary
    return Gap(
        Reason.PARTIAL_DATA, "The account's summary does not tell all of its root user.", "iam:GetAccountSummary"
    )


def _used(
    row: Credentials | None,
    report: CredentialReport | Gap,
    time: CollectionTime | Gap,
    max_days: int,
    evidence: dict[str, Any],
) -> str | Gap | None:
    """Return how root was used lately, or None; and what the report says of its use as evidence."""
    if isinstance(report, Gap):
        return report
    if row is None:
        text = "The credential report has no row for the root user."
        return Gap(Reason.PARTIAL_DATA, text, "iam:GetCredentialReport")
    if isinstance(time, Gap):
        return time
    uses = {"its password": row.password_used} | {
        f"its access key {number}": key.used for number, key in enumerate(row.keys, 1)
    }
    evidence["password_last_used"] = row.password_used.isoformat() if row.password_used else None
    evidence["access_keys_last_used_date"] = [key.used.isoformat() if key.used else None for key in row.keys]
    latest = max(((moment, how) for how, moment in uses.items() if moment is not None), default=None)
    if latest is None:
        return None
    age = time.at - latest[0]
    if age > timedelta(days=max_days):
        return None
    if row.created is not None and time.at - row.created < FRESH:
        evidence["user_creation_time"] = row.created.isoformat()
        evidence["note"] = "The account is younger than seven days: root sets it up."
        return None
    return f"{latest[1]} was used {max(age.days, 0)} days ago"


def _managed(
    account: Account,
    organization: Organization | Gap,
    management: RootManagement | Gap,
    organizations: Organizations,
    managements: Managements,
) -> bool | Gap:
    """Tell whether the organisation manages the root user of an account, which must be a member of it."""
    own = None if isinstance(management, Gap) else management.features
    if own is not None and CENTRAL not in map(str.lower, own):
        return False
    if isinstance(organization, Gap):
        return organization
    if organization.id is None or organization.management_account == account.id:
        return False
    if own is not None:
        return True
    causes: list[Gap] = []
    for other, held in managements.items():
        theirs = organizations.get(other)
        if other == account or not isinstance(theirs, Organization) or theirs.id != organization.id:
            continue
        if isinstance(held, Gap):
            causes += [held] if other.id == organization.management_account else []
        elif held.features is not None:
            return CENTRAL in map(str.lower, held.features)
    if isinstance(management, Gap):
        causes.append(management)
    if causes:
        return causes[0]
    text = (
        "Whether the organisation manages root centrally is readable only in its management account "
        f"({organization.management_account}), or by IAM's delegated administrator."
    )
    return Gap(Reason.ACCESS_DENIED, text, "iam:ListOrganizationsFeatures")
