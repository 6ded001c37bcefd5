from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.access import Policy, read
from auditor.access.estate import Principal
from auditor.access.grants import granted_action
from auditor.access.mentions import mentions
from auditor.access.outsiders import Outsider
from auditor.access.reach import Reach, reach
from auditor.facts import AccountAccess, Gap, Identities, Reason, Trust
from auditor.resources import Role

ASSUME = "sts:AssumeRole"
WEB_IDENTITY = "sts:AssumeRoleWithWebIdentity"


@dataclass(frozen=True)
class Stranger:
    """Somebody who may be able to assume a role.

    Attributes:
        label: Who that is, in words.
        outsider: The same for the access engine.
        severity: Of a failure.
        action: How it would assume the role.
        doubt: Why it is not known whether it is trusted; None: it is not trusted.
    """

    label: str
    outsider: Outsider
    severity: Severity
    action: str = ASSUME
    doubt: Gap | None = None


@rule(
    severity=Severity.CRITICAL,
    side=Side.CLIENT,
    practices=["P14"],
    controls={"NIST 800-53 r5": ["AC-3", "AC-6", "IA-2", "IA-9"], "ISO 27001:2022": ["A.5.15", "A.5.16"]},
    remediation=Remediation(
        text="Name the principals that may assume the role; ask partners for an external id, and OIDC providers for "
        "the audience and the subject.",
        cli="aws iam update-assume-role-policy --role-name $ROLE_NAME --policy-document file://trust-policy.json",
        terraform="""\
data "aws_iam_policy_document" "deployment_trust" {
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [aws_iam_openid_connect_provider.github.arn]
    }

    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:aud"
      values   = ["sts.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:sub"
      values   = ["repo:acme/orders:ref:refs/heads/main"]
    }
  }
}

resource "aws_iam_role" "deployment" {
  name               = "orders-deployment"
  assume_role_policy = data.aws_iam_policy_document.deployment_trust.json
}""",
        cloudformation="""\
Parameters:
  PartnerRoleArn: {Type: String}
  ExternalId: {Type: String}
Resources:
  Partner:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Principal: {AWS: !Ref PartnerRoleArn}
            Action: sts:AssumeRole
            Condition: {StringEquals: {"sts:ExternalId": !Ref ExternalId}}""",
    ),
    references=[
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create_for-idp_oidc.html",
    ],
)
def iam_role_trust(
    role: Role,
    access: AccountAccess,
    identities: Identities,
    trust: Trust,
    *,
    allow_same_org: Annotated[bool, "Accounts of the own organisation are trusted."] = True,
) -> Verdict | None:
    """Roles with DynamoDB access cannot be assumed by anyone or by unknown accounts.

    Who may assume a role may do all that the role may. A trust policy is the only thing between the tables and a
    stranger.

    Judged are roles whose own policies grant any action of DynamoDB or DAX (resource policies are not looked at), with
    their boundary and Deny statements. Outsiders try the trust policy, Deny statements included. Critical: anybody can
    assume the role (a wildcard without a condition on account or organisation), or anybody with a token: an identity
    pool of any account where Cognito's trust lacks `aud`; any user of an OIDC provider where neither `aud` nor `sub` is
    asked for; any workflow of a provider that all the world shares (GitHub, GitLab, HCP Terraform, Buildkite, Vercel)
    where `sub` or the owner is not fixed: `*`, `repo:*` and `repo:acme*` are not. High: an account or organisation that
    is not trusted, or a wildcard that only an external id or a source address limits. Medium: an untrusted account that
    must send an external id; that it must come from some address makes it no milder. Where membership in the
    organisation cannot be read, and where nobody can decide a condition, the answer is unknown.

    Services may be trusted, and SAML providers, IAM Identity Center's included. For a trusted account's `root` its
    administrators decide who it is: that is noted. Roles without such grants are not applicable; service-linked roles
    and the auditor's own are not judged. A resource control policy that keeps strangers out lowers the severity by one.
    """
    principal = access.principal(role.arn)
    if principal is None or principal.service_linked or role.arn == access.auditor:
        return None
    granted = _granted(principal, access)
    if granted is False:
        return not_applicable("The role's policies grant no action of DynamoDB or DAX.")
    if isinstance(granted, Gap):
        return unknown(identities.unread(role) or granted)
    document = read(principal.trust, trust=True)
    evidence: dict[str, Any] = {"grants": granted}
    if document.unreadable is not None:
        return unknown(f"The trust policy cannot be read: {document.unreadable}.", **evidence)
    named = mentions(document)
    evidence["accounts"] = list(named.accounts)
    delegated = [number for number in named.accounts if number != role.account.id and trust.standing(number) is True]
    if delegated:
        evidence["trustedAccounts"] = delegated
    failures: list[tuple[Severity, Stranger, Reach]] = []
    doubts: list[Gap] = []
    public: set[int] = set()
    for stranger in _strangers(document, trust, same=allow_same_org):
        reached = _tried(document, role, trust, stranger, access)
        if reached.verdict == "denied" or (reached.statements and public.issuperset(_indexes(reached))):
            continue
        if not stranger.label:
            public |= _indexes(reached)
        if stranger.doubt is not None:
            doubts.append(stranger.doubt)
        elif reached.verdict == "allowed":
            failures.append((stranger.severity, stranger, reached))
        elif reached.lucky:
            # An external id is what AWS advises for other accounts; an address is no secret between two accounts.
            known = stranger.outsider.account and "sts:externalid" not in reached.open
            failures.append((stranger.severity if known else stranger.severity.moved(-1), stranger, reached))
        else:
            who = stranger.label or "anybody"
            text = f"Whether {who} can assume the role cannot be decided: {reached.conditions}."
            doubts.append(Gap(Reason.UNDECIDABLE, text))
    if failures:
        return _failure(failures, document, role, access, trust, evidence)
    if doubts:
        # A missing permission is what somebody can do something about.
        return unknown(min(doubts, key=lambda gap: gap.action is None), **evidence)
    return passed("Only known principals can assume the role.", **evidence)


def _granted(principal: Principal, access: AccountAccess) -> str | Gap | Literal[False]:
    """Return an action of DynamoDB or DAX that the role may call, False for none, or why that is not known."""
    action, doubt = granted_action(principal, lambda action, arn: access.own(principal, action, arn))
    return action or (Gap(Reason.UNDECIDABLE, doubt) if doubt else False)


def _strangers(document: Policy, trust: Trust, *, same: bool) -> Iterator[Stranger]:
    """Yield everybody (without a label), then those whom the trust policy names and who are not trusted."""
    named = mentions(document)
    yield Stranger("", Outsider(), Severity.CRITICAL)
    organizations = {one: trust.organization_standing(one) for one in named.organizations}
    untrusted = [one for one, standing in organizations.items() if standing is not True or not same]
    for number in named.accounts:
        standing = trust.standing(number, same_organization=same)
        if standing is True:
            continue
        for organization in ("", *untrusted):
            doubts = [standing, organizations.get(organization)]
            doubt = next((one for one in doubts if isinstance(one, Gap)), None)
            outsider = Outsider(number, organization)
            yield Stranger(f"account {number}", outsider, Severity.HIGH, doubt=doubt)
    for organization in untrusted:
        member = organizations[organization]
        doubt = member if isinstance(member, Gap) else None
        outsider = Outsider(organization=organization)
        yield Stranger(f"any account of the organisation {organization}", outsider, Severity.HIGH, doubt=doubt)
    if named.networks:
        names = ", ".join(named.networks)
        gap = Gap(Reason.UNDECIDABLE, f"Whose {names} is, through which anybody may come, is not known.")
        yield Stranger(f"whoever comes through {names}", Outsider(networks=named.networks), Severity.HIGH, doubt=gap)
    for provider in (*named.providers, "outsider.example.com"):
        # SAML providers belong to the account, and only its own users come through them.
        if ":saml-provider/" not in provider:
            host = provider.rpartition("oidc-provider/")[2]
            who = "any identity pool of any account" if host.startswith("cognito-identity") else f"any user of {host}"
            yield Stranger(who, Outsider(provider=provider), Severity.CRITICAL, WEB_IDENTITY)


def _tried(
    document: Policy, role: Role, trust: Trust, stranger: Stranger, access: AccountAccess, *, guarded: bool = False
) -> Reach:
    limits = access.estate.account(role.account.id)
    now = access.estate.now
    return reach(
        document,
        stranger.action,
        [role.arn],
        owner=role.account.id,
        organization="" if isinstance(trust.organization, Gap) else trust.organization,
        outsider=stranger.outsider,
        rcps=(limits.rcps or ()) if guarded and not limits.management else (),
        context={} if now is None else {"aws:CurrentTime": now.isoformat(), "aws:EpochTime": int(now.timestamp())},
    )


def _indexes(reached: Reach) -> set[int]:
    return {hit.index for hit in reached.statements}


def _failure(
    failures: list[tuple[Severity, Stranger, Reach]],
    document: Policy,
    role: Role,
    access: AccountAccess,
    trust: Trust,
    evidence: dict[str, Any],
) -> Verdict:
    severity, first, reached = max(failures, key=lambda one: one[0])
    hits = list(dict.fromkeys(hit for _, _, one in failures for hit in one.statements))
    evidence["statements"] = [{"policy": hit.policy, "sid": hit.sid, "index": hit.index} for hit in hits]
    evidence["strangers"] = list(dict.fromkeys(one.label or "anybody" for _, one, _ in failures))
    if reached.conditions:
        evidence["conditions"] = reached.conditions
    if reached.choices and not reached.conditions:
        evidence["outsiderChooses"] = reached.choices
    guarded = [_tried(document, role, trust, one, access, guarded=True) for _, one, _ in failures]
    if all(one.verdict == "denied" for one in guarded):
        evidence["blockedBy"] = list(
            dict.fromkeys(f"{hit.kind}: {hit.statement}" for one in guarded for hit in one.refusals)
        )
        severity = severity.moved(-1)
    where = reached.statements[0].statement if reached.statements else document.name
    condition = f" ({reached.conditions})" if reached.conditions else ""
    return failed(
        f"By {where}, {first.label or 'anybody with an AWS account'} can assume the role{condition}.",
        severity=None if severity is Severity.CRITICAL else severity,
        **evidence,
    )
