import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.access import Decision, Hit, Named, Policy, read
from auditor.access.actions import actions
from auditor.access.estate import Principal
from auditor.access.formula import atoms
from auditor.access.mentions import Mentions, mentions, public_by_aws
from auditor.access.outsiders import Outsider
from auditor.access.policy import Statement
from auditor.access.reach import Reach, survey
from auditor.config import Config
from auditor.facts import AccountAccess, Gap, KeyGrants, KeyPolicy, KeySettings, KeyUse, Reason, Trust
from auditor.resources import Account, Key

#: What makes data unreadable for everybody: whoever may do this may destroy every table of the key.
DELETING = ("kms:ScheduleKeyDeletion", "kms:DisableKey")

#: Operations of a grant that give nobody the data.
HARMLESS = frozenset({"DescribeKey", "RetireGrant", "GetPublicKey"})

ACCOUNT = re.compile(r"\d{12}")

#: What stands for an account as a whole in a policy (IAM User Guide, "AWS JSON policy elements: Principal").
WHOLE_ACCOUNT = re.compile(r"\d{12}|arn:[\w-]+:iam::\d{12}:root")


@dataclass
class Found:
    """What was found wrong with a key, and what could not be found out."""

    failures: list[tuple[Severity, str]] = field(default_factory=list)
    doubts: list[Gap] = field(default_factory=list)
    evidence: dict[str, Any] = field(default_factory=dict)

    def undecided(self, text: str) -> None:
        """Note a question that nobody can decide."""
        self.doubts.append(Gap(Reason.UNDECIDABLE, text))


@rule(
    severity=Severity.CRITICAL,
    side=Side.AMAZON,
    practices=["P6", "P15"],
    controls={
        "AWS FSBP": ["KMS.1", "KMS.2", "KMS.5"],
        "NIST 800-53 r5": ["AC-3", "AC-6", "SC-12"],
        "ISO 27001:2022": ["A.8.24"],
    },
    remediation=Remediation(
        text="Name the roles that use the key and let them use it through DynamoDB only (kms:ViaService); give the "
        "deletion of the key to few roles. Take wildcards and unknown accounts out of the key policy and retire their "
        "grants.",
        cli="aws kms put-key-policy --key-id $KEY_ARN --policy-name default --policy file://key-policy.json "
        "--region $REGION\n"
        "aws kms revoke-grant --key-id $KEY_ARN --grant-id $GRANT_ID --region $REGION",
        terraform="""\
data "aws_iam_policy_document" "tables_key" {
  statement {
    sid       = "Administration"
    actions   = ["kms:Describe*", "kms:Get*", "kms:List*", "kms:Put*", "kms:Enable*", "kms:ScheduleKeyDeletion"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = [aws_iam_role.key_admin.arn]
    }
  }

  statement {
    sid       = "ThroughDynamoDB"
    actions   = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:CreateGrant"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = [aws_iam_role.orders_api.arn]
    }

    condition {
      test     = "StringLike"
      variable = "kms:ViaService"
      values   = ["dynamodb.*.amazonaws.com"]
    }
  }
}

resource "aws_kms_key_policy" "tables" {
  key_id = aws_kms_key.tables.id
  policy = data.aws_iam_policy_document.tables_key.json
}""",
        cloudformation="""\
Parameters:
  AdminRoleArn: {Type: String}
  UserRoleArn: {Type: String}
Resources:
  TableKey:
    Type: AWS::KMS::Key
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      EnableKeyRotation: true
      KeyPolicy:
        Version: "2012-10-17"
        Statement:
          - Sid: Administration
            Effect: Allow
            Principal: {AWS: !Ref AdminRoleArn}
            Action: ["kms:Describe*", "kms:Get*", "kms:List*", "kms:Put*", "kms:Enable*", "kms:ScheduleKeyDeletion"]
            Resource: "*"
          - Sid: ThroughDynamoDB
            Effect: Allow
            Principal: {AWS: !Ref UserRoleArn}
            Action: ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:CreateGrant"]
            Resource: "*"
            Condition: {StringLike: {"kms:ViaService": "dynamodb.*.amazonaws.com"}}""",
    ),
    references=["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html"],
)
def kms_key_policy(
    key: Key,
    use: KeyUse,
    settings: KeySettings | Gap,
    policy: KeyPolicy | Gap,
    grants: KeyGrants | Gap,
    trusts: Mapping[Account, Trust | Gap],
    access: Mapping[Account, AccountAccess | Gap],
    config: Config,
    *,
    max_key_admins: Annotated[int, "Most users and roles that may disable the key or schedule its deletion."] = 5,
    allow_same_org: Annotated[bool, "Accounts of the own organisation are trusted."] = True,
) -> Verdict | None:
    """Table keys are confined: same account, no public or foreign principals, deletion restricted.

    Whoever may use the key of a table may read what it encrypts; whoever may delete the key destroys the table and
    its backups with the same key.

    Judged are the customer managed keys that audited tables name. A key of an account that is not trusted fails (high).
    So does a key policy that lets untrusted accounts or organisations do anything but look at the key, and a grant for
    an untrusted account; one that lets in everybody is critical. A synthetic outsider tries this, Deny statements
    included. `kms:ViaService` and encryption contexts keep nobody out: everybody has DynamoDB. The statement that gives
    the account's root `kms:*` is AWS's default and not public. More than `max_key_admins` users and roles of the key's
    account that may disable the key or schedule its deletion fail (medium); `admin_roles` and `pipeline_roles` are
    listed and not counted, conditional rights count. Grants for AWS services are normal (DynamoDB makes a set for each
    table) and are listed. Where membership in the organisation, the policy, the grants or the account's identities
    cannot be read, the answer is unknown unless something else fails. The key policy of another account cannot be read
    from here: such a key is unknown when the account is trusted. Resource control policies that keep strangers out,
    and guardrails that keep administrators from deleting, lower the severity by one.
    """
    if not use.tables:
        return None
    found = Found()
    found.evidence["tables"] = [table.arn for table, _ in use.tables]
    if isinstance(settings, KeySettings):
        found.evidence["KeyManager"] = settings.manager
        if settings.manager.upper() == "AWS":
            return not_applicable("AWS manages the key and its policy.", **found.evidence)
        if settings.state == "NotFound":
            return not_applicable("The key does not exist any more.", KeyState=settings.state, **found.evidence)
    owners = {table.account: trusts.get(table.account) for table, _ in use.tables}
    for account, trust in owners.items():
        _foreign_key(found, key, account, trust, same=allow_same_org)
    own = owners.get(key.account) or trusts.get(key.account)
    trust = own if own is not None else next(iter(owners.values()), None)
    if key.account not in owners and trust is not None and isinstance(policy, Gap):
        text = f"The key policy belongs to account {key.account.id}, and is not readable from here: {policy.detail}"
        found.doubts.append(Gap(policy.reason, text, policy.action))
    elif isinstance(policy, Gap):
        found.doubts.append(policy)
    elif isinstance(trust, Trust):
        document = read(Named("key policy", policy.document))
        if document.unreadable is not None:
            found.undecided(f"The key policy cannot be read: {document.unreadable}.")
        else:
            _strangers(found, key, document, trust, access.get(key.account), same=allow_same_org)
            _deleters(found, key, document, access.get(key.account), config, most=max_key_admins)
    if isinstance(grants, Gap):
        found.doubts.append(grants)
    elif isinstance(trust, Trust):
        _grants(found, key, grants, trust, same=allow_same_org)
    found.doubts += [one for one in owners.values() if isinstance(one, Gap)]
    if isinstance(settings, Gap) and key.account in owners:
        found.doubts.append(settings)
    # A key that AWS manages has a policy and grants with which none of this happens: what fails is a customer's.
    if found.failures:
        severity, text = max(found.failures, key=lambda one: one[0])
        more = [one for _, one in found.failures if one != text]
        if more:
            found.evidence["further"] = more
        return failed(text, severity=None if severity is Severity.CRITICAL else severity, **found.evidence)
    if found.doubts:
        # A missing permission is what somebody can do something about.
        return unknown(min(found.doubts, key=lambda gap: gap.action is None), **found.evidence)
    return passed("The key is confined to trusted accounts, and few may delete it.", **found.evidence)


def _foreign_key(found: Found, key: Key, account: Account, trust: Trust | Gap | None, *, same: bool) -> None:
    if key.account == account or not isinstance(trust, Trust):
        return
    standing = trust.standing(key.account.id, same_organization=same)
    if isinstance(standing, Gap):
        found.doubts.append(standing)
    elif not standing:
        text = f"The key belongs to account {key.account.id}, which account {account.id} does not trust."
        found.failures.append((Severity.HIGH, text))
    found.evidence["keyAccount"] = key.account.id


def _strangers(
    found: Found, key: Key, document: Policy, trust: Trust, access: AccountAccess | Gap | None, *, same: bool
) -> None:
    """Let outsiders try the key policy: everybody, then whoever it names and is not trusted."""
    organization = "" if isinstance(trust.organization, Gap) else trust.organization
    limits = access.estate.account(key.account.id) if isinstance(access, AccountAccess) else None
    rcps = (limits.rcps or ()) if limits is not None and not limits.management else ()
    found.evidence["publicByAWS"] = [one.sid or one.index for one in public_by_aws(document)]

    def tried(outsider: Outsider, guarded: bool = False) -> list[Reach]:
        reached = survey(
            document,
            [one for one in actions("kms") if "key" in one.resources and one.level not in ("Read", "List")],
            lambda action: [key.arn],
            owner=key.account.id,
            organization=organization,
            outsider=outsider,
            rcps=rcps if guarded else (),
        )
        return [one for one in reached if one.verdict != "denied" or (guarded and one.refusals)]

    public: set[int] = set()
    for label, outsider, doubt in _whom(mentions(document), trust, same=same):
        reached = [one for one in tried(outsider) if not public.issuperset(hit.index for hit in one.statements)]
        if not reached:
            continue
        let_in = [
            one for one in reached if one.verdict == "allowed" or ("note" not in one.open and (label or one.lucky))
        ]
        if not label:
            public |= {hit.index for one in reached for hit in one.statements}
        if doubt is not None:
            found.doubts.append(doubt)
            continue
        if not let_in:
            who = label or "anybody"
            found.undecided(f"Whether {who} may call {reached[0].action} cannot be decided: {reached[0].conditions}.")
            continue
        best = next((one for one in let_in if one.verdict == "allowed"), let_in[0])
        severity = Severity.HIGH if label or best.verdict != "allowed" else Severity.CRITICAL
        guarded = tried(outsider, guarded=True) if rcps else []
        if guarded and all(one.verdict == "denied" for one in guarded):
            severity = severity.moved(-1)
            blocked = [f"{hit.kind}: {hit.statement}" for one in guarded for hit in one.refusals]
            found.evidence.setdefault("blockedBy", []).extend(dict.fromkeys(blocked))
        where = best.statements[0].statement if best.statements else "the key policy"
        condition = f" ({best.conditions})" if best.conditions else ""
        who = label or "anybody with an AWS account"
        found.failures.append((severity, f"By {where}, {who} may call {best.action}{condition}."))
        _add_statements(found, [hit for one in let_in for hit in one.statements])
        found.evidence.setdefault("untrusted", {})[who] = [one.action for one in let_in]


def _whom(named: Mentions, trust: Trust, *, same: bool) -> Iterator[tuple[str, Outsider, Gap | None]]:
    """Yield everybody (without a label), then those named who are not trusted, each with why that is not known."""
    yield "", Outsider(), None
    organizations = {one: trust.organization_standing(one) for one in named.organizations}
    untrusted = [one for one, standing in organizations.items() if standing is not True or not same]
    for number in named.accounts:
        standing = trust.standing(number, same_organization=same)
        if standing is True:
            continue
        for organization in ("", *untrusted):
            doubts = [standing, organizations.get(organization)]
            doubt = next((one for one in doubts if isinstance(one, Gap)), None)
            yield f"account {number}", Outsider(number, organization), doubt
    for organization in untrusted:
        member = organizations[organization]
        doubt = member if isinstance(member, Gap) else None
        yield f"the organisation {organization}", Outsider(organization=organization), doubt
    if named.networks:
        names = ", ".join(named.networks)
        gap = Gap(
            Reason.UNDECIDABLE, f"Whose {names} is, which the key policy lets anybody come through, is not known."
        )
        yield f"whoever comes through {names}", Outsider(networks=named.networks), gap


def _deleters(
    found: Found, key: Key, document: Policy, access: AccountAccess | Gap | None, config: Config, *, most: int
) -> None:
    """Count who may disable the key or schedule its deletion."""
    if not isinstance(access, AccountAccess):
        text = f"The identities of account {key.account.id} are not known, so neither is who may delete the key."
        found.doubts.append(access if access is not None else Gap(Reason.PARTIAL_DATA, text))
        return
    counted: dict[str, bool] = {}
    maybe: list[str] = []
    exempt: list[str] = []
    hits: list[Hit] = []
    delegates = _delegates(document)
    for principal in access.judged:
        if delegates and not _speaks_of_deleting(principal):
            continue  # as most roles: they need not be decided one by one
        rights = {action: access.own(principal, action, key.arn, policy=document) for action in DELETING}
        held = {action: one for action, one in rights.items() if one.allowed}
        if not held:
            continue
        sure = {action: one for action, one in held.items() if not _doubtful(one)}
        if config.is_admin(principal.arn) or config.is_pipeline(principal.arn):
            exempt.append(principal.label)
        elif not sure:
            maybe.append(principal.label)
        else:
            counted[principal.label] = all(
                access.blocked_by(principal, action, key.arn, policy=document) for action in sure
            )
            hits += [hit for one in sure.values() for hit in one.grants]
    found.evidence["mayDelete"] = sorted(counted)
    if exempt:
        found.evidence["exempt"] = sorted(exempt)
    if len(counted) > most:
        blocked = len([one for one in counted.values() if not one]) <= most
        if blocked:
            found.evidence.setdefault("blockedBy", []).append("scp or rcp")
        text = f"{len(counted)} users and roles may disable the key or schedule its deletion, more than {most}."
        found.failures.append((Severity.LOW if blocked else Severity.MEDIUM, text))
        _add_statements(found, hits)
    elif len(counted) + len(maybe) > most:
        found.undecided(f"Whether {maybe[0]} and others may delete the key cannot be decided.")


def _delegates(document: Policy) -> bool:
    """Tell whether a key policy gives the right to delete to whole accounts only, which leaves it to their IAM."""
    return document.unreadable is None and all(
        statement.principals is not None
        and not statement.not_principal
        and all(kind == "AWS" and WHOLE_ACCOUNT.fullmatch(value) for kind, value in statement.principals)
        for statement in document.statements
        if statement.allow and _is_about_deleting(statement)
    )


def _speaks_of_deleting(principal: Principal) -> bool:
    """Tell whether some policy of a principal may let it delete keys; one that cannot be read may."""
    policies = [read(one) for one in principal.policies]
    return principal.kind == "root" or any(
        policy.unreadable is not None
        or any(statement.allow and _is_about_deleting(statement) for statement in policy.statements)
        for policy in policies
    )


def _is_about_deleting(statement: Statement) -> bool:
    return any(statement.covers(action.lower()) for action in DELETING)


def _doubtful(decision: Decision) -> bool:
    """Tell whether a conditional decision hangs on what nobody can decide, such as a policy that is not readable."""
    return any(one.test == "note" for one in atoms(decision.formula))


def _grants(found: Found, key: Key, grants: KeyGrants, trust: Trust, *, same: bool) -> None:
    listed = []
    for grant in grants.grants:
        segments = grant.grantee.split(":", 5)
        number = segments[4] if len(segments) == 6 else grant.grantee if ACCOUNT.fullmatch(grant.grantee) else ""
        if not number:
            # A service acts for whoever made the grant, by its context.
            listed.append(grant.grantee)
            continue
        if number == key.account.id or not set(grant.operations) - HARMLESS:
            continue
        standing = trust.standing(number, same_organization=same)
        if isinstance(standing, Gap):
            found.doubts.append(standing)
        elif not standing:
            operations = ", ".join(grant.operations)
            found.failures.append((Severity.HIGH, f"Grant {grant.id} gives {grant.grantee} {operations}."))
            entry = {"GrantId": grant.id, "GranteePrincipal": grant.grantee, "Operations": list(grant.operations)}
            found.evidence.setdefault("untrustedGrants", []).append(entry)
    if listed:
        found.evidence["serviceGrants"] = sorted(set(listed))


def _add_statements(found: Found, hits: list[Hit]) -> None:
    entries = found.evidence.setdefault("statements", [])
    for hit in dict.fromkeys(hits):
        entry = {"policy": hit.policy, "sid": hit.sid, "index": hit.index}
        if entry not in entries:
            entries.append(entry)
