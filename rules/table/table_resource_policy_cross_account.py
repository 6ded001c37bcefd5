from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from auditor import Remediation, Severity, Side, Status, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.access import Named, Policy, read
from auditor.access.actions import actions
from auditor.access.conditions import parse_operator
from auditor.access.holdings import DATA_READ, DATA_WRITE, DESTRUCTIVE, PERMISSION
from auditor.access.mentions import Mentions, mentions, public_by_aws
from auditor.access.outsiders import Outsider
from auditor.access.reach import Reach, survey
from auditor.facts import (
    Gap,
    Organization,
    Reason,
    ResourceControlPolicies,
    ResourcePolicy,
    Sensitivity,
    TableSettings,
    Trust,
    VpcEndpoints,
)
from auditor.resources import Stream, Table

GROUPS: Mapping[str, frozenset[str]] = {
    "read": DATA_READ,
    "write": DATA_WRITE,
    "destructive": DESTRUCTIVE,
    "permission": PERMISSION,
}

#: Stands for an index whose name is not known; the policy of a table covers its indexes.
ANY_INDEX = "ddbaudit-probe"

#: Stands for an AWS service that no policy names.
ANY_SERVICE = "outsider.amazonaws.com"

#: Moves items between the tables of a global table that are in several accounts.
REPLICATION = "replication.dynamodb.amazonaws.com"

#: Condition keys that say for whom a service acts.
SOURCES = ("aws:sourceaccount", "aws:sourcearn", "aws:sourceorgid", "aws:sourceorgpaths")


@dataclass(frozen=True)
class Stranger:
    """Somebody outside the account whom the policy may let in.

    Attributes:
        label: Who that is, in words.
        outsider: The same for the access engine.
        doubt: Why it is not known whether it is trusted; None: it is not trusted.
        severity: Of a failure; None: by what it may do.
    """

    label: str
    outsider: Outsider
    doubt: Gap | None = None
    severity: Severity | None = None


class _Trial:
    """Tries strangers on the policy of one table or stream."""

    def __init__(
        self,
        resource: Table | Stream,
        own: str | Gap | None,
        organization: Organization | Gap,
        guardrails: ResourceControlPolicies | Gap,
    ) -> None:
        self.resource = resource
        self.table = resource if isinstance(resource, Table) else resource.table
        self.own = "" if isinstance(own, Gap) else own
        self.levels: tuple[tuple[Named, ...], ...] = ()
        bound = isinstance(organization, Organization) and organization.management_account != self.table.account.id
        if bound and isinstance(guardrails, ResourceControlPolicies):
            self.levels = tuple(
                tuple(Named(f"RCP {one.name} at {level.target}", one.document) for one in level.policies)
                for level in guardrails.levels
            )

    def of(self, document: Policy, outsider: Outsider, *, guarded: bool = False) -> list[Reach]:
        """Return what somebody can do, unless it is nothing."""
        kind = "stream" if isinstance(self.resource, Stream) else "table"
        indexes = [] if kind == "stream" else [f"{self.table.arn}/index/{ANY_INDEX}", *_indexes(document, self.table)]
        tried = survey(
            document,
            [one for one in actions("dynamodb") if kind in one.resources],
            lambda action: [self.resource.arn, *(indexes if "index" in action.resources else ())],
            owner=self.table.account.id,
            organization=self.own,
            outsider=outsider,
            rcps=self.levels if guarded else (),
        )
        return [one for one in tried if one.verdict != "denied" or (guarded and one.refusals)]

    def open_to_everybody(self, document: Policy) -> set[int]:
        """Return the statements that let somebody in of whom nothing is known."""
        return {hit.index for one in self.of(document, Outsider()) for hit in one.statements}


def _indexes(document: Policy, table: Table) -> list[str]:
    return sorted(
        {
            text
            for statement in document.statements
            for text in statement.resources or ()
            if text.startswith(f"{table.arn}/index/") and "*" not in text and "?" not in text
        }
    )


@rule(
    severity=Severity.HIGH,
    side=Side.AMAZON,
    practices=["B", "P15"],
    controls={"NIST 800-53 r5": ["AC-3", "AC-6", "AC-21", "SC-7(11)"], "ISO 27001:2022": ["A.5.15", "A.5.19"]},
    remediation=Remediation(
        text="Take principals of unknown accounts out of the policy, or add their accounts to accounts.trusted; limit "
        "services with aws:SourceAccount and aws:SourceArn.",
        cli="aws dynamodb put-resource-policy --resource-arn arn:aws:dynamodb:$REGION:$ACCOUNT:table/$TABLE "
        "--region $REGION --policy file://table-policy.json --expected-revision-id $REVISION_ID",
        terraform="""\
data "aws_iam_policy_document" "partner" {
  statement {
    actions   = ["dynamodb:GetItem", "dynamodb:Query"]
    resources = [aws_dynamodb_table.orders.arn]

    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::444455556666:role/reader"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:PrincipalOrgID"
      values   = ["o-exampleorgid"]
    }
  }
}

resource "aws_dynamodb_resource_policy" "orders" {
  resource_arn = aws_dynamodb_table.orders.arn
  policy       = data.aws_iam_policy_document.partner.json
}""",
        cloudformation="""\
Parameters:
  OrganizationId: {Type: String}
  ReaderRoleArn: {Type: String}
Resources:
  Orders:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
      ResourcePolicy:
        PolicyDocument:
          Version: "2012-10-17"
          Statement:
            - Effect: Allow
              Principal: {AWS: !Ref ReaderRoleArn}
              Action: ["dynamodb:GetItem", "dynamodb:Query"]
              Resource: "*"
              Condition: {StringEquals: {"aws:PrincipalOrgID": !Ref OrganizationId}}""",
    ),
    references=["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/access-control-resource-based.html"],
)
def table_resource_policy_cross_account(
    resource: Table | Stream,
    policy: ResourcePolicy,
    settings: TableSettings | Gap,
    trust: Trust,
    sensitivity: Sensitivity | Gap,
    endpoints: VpcEndpoints | Gap,
    organization: Organization | Gap,
    guardrails: ResourceControlPolicies | Gap,
    *,
    allow_same_org: Annotated[bool, "Accounts of the own organisation are trusted."] = True,
) -> Verdict:
    """Resource policies reach only trusted accounts, organisations and confined services.

    A resource policy opens a table to other accounts without a role of this one. Each of them should be known: its
    administrators decide who uses the grant.

    Whoever the policy names (accounts of principals, accounts and organisations in conditions, VPC endpoints and
    services) is tried on every action that the policy grants, Deny statements included; a grant that holds only for
    members of the own organisation is trusted. Trusted are the account itself, `accounts.trusted` and, unless
    `allow_same_org` is off, the own organisation. Other accounts fail: high when they may write, delete or change
    permissions or when the table is sensitive, else medium. Where membership in the organisation cannot be read the
    answer is unknown. A service that acts for anybody (no fixed `aws:SourceAccount`, `aws:SourceArn` or
    `aws:SourceOrgID`) fails (medium): it is a confused deputy. Whose an endpoint or a bucket in a condition is must be
    known, or the answer is unknown; endpoints of the table's region and account are.

    A wildcard that lets everybody in belongs to table-resource-policy-public; a policy with nothing else, or none, is
    not applicable. A policy of Deny statements passes. Principals that were deleted (`AIDA…`, `AROA…`) are noted. A
    stream has a policy of its own; where nobody knows whether the table has a stream the table is unknown. Tables that
    are being created or deleted are not judged. Replication of a global table across accounts needs the other accounts
    in `accounts.trusted`. A resource control policy that stops all of it leaves the failure and lowers its severity by
    one.
    """
    if isinstance(resource, Table) and isinstance(settings, TableSettings) and not settings.settled:
        return not_applicable(f"The table is {settings.status}.", TableStatus=settings.status)
    trial = _Trial(resource, trust.organization, organization, guardrails)
    verdict = _verdict(trial, policy, trust, sensitivity, endpoints, same=allow_same_org)
    proved = verdict.status in (Status.FAIL, Status.UNKNOWN)
    if isinstance(resource, Table) and isinstance(settings, Gap) and not proved:
        return unknown(settings, **verdict.evidence)
    return verdict


def _verdict(
    trial: _Trial,
    policy: ResourcePolicy,
    trust: Trust,
    sensitivity: Sensitivity | Gap,
    endpoints: VpcEndpoints | Gap,
    *,
    same: bool,
) -> Verdict:
    if policy.document is None:
        return not_applicable("There is no resource policy.", Policy=None)
    whole = read(policy.document, "resource policy")
    evidence: dict[str, Any] = {"ResourceArn": trial.resource.arn}
    if whole.unreadable is not None:
        return unknown(f"The resource policy cannot be read: {whole.unreadable}.", **evidence)
    if not any(statement.allow for statement in whole.statements):
        return passed("The resource policy only denies.", **evidence)
    everybodys = trial.open_to_everybody(whole)
    document = replace(whole, statements=tuple(one for one in whole.statements if one.index not in everybodys))
    if not any(statement.allow for statement in document.statements):
        text = "The policy names nobody but everybody, which table-resource-policy-public judges."
        return not_applicable(text, **evidence)
    named = mentions(document)
    if named.deleted:
        evidence["danglingPrincipals"] = list(named.deleted)
    evidence["accounts"] = list(named.accounts)
    failures: list[tuple[Stranger, list[Reach]]] = []
    doubts: list[tuple[Gap, Stranger]] = []
    for stranger in _strangers(named, trust, endpoints, same=same, services=_services(document, named)):
        reached = trial.of(document, stranger.outsider)
        if not reached:
            continue
        if stranger.doubt is not None:
            doubts.append((stranger.doubt, stranger))
        elif any(_counts(one, document, stranger.outsider) for one in reached):
            failures.append((stranger, reached))
        else:
            text = f"Whether {stranger.label} may call {reached[0].action} cannot be decided: {reached[0].conditions}."
            doubts.append((Gap(Reason.UNDECIDABLE, text), stranger))
    doubts += _unknown_buckets(document, trust)
    if failures:
        return _failure(failures, trial, document, sensitivity, evidence)
    if doubts:
        evidence["undecided"] = [stranger.label for _, stranger in doubts]
        # A missing permission is what somebody can do something about.
        return unknown(min((gap for gap, _ in doubts), key=lambda gap: gap.action is None), **evidence)
    return passed("The resource policy reaches nobody outside what is trusted.", **evidence)


def _counts(reached: Reach, document: Policy, outsider: Outsider) -> bool:
    """Conditional access counts as access unless what it hangs on cannot be decided at all.

    A service that no statement confines is a confused deputy, whatever else is asked of it; so is replication for an
    account that a statement names.
    """
    if reached.verdict == "allowed" or "note" not in reached.open:
        return True
    if outsider.service == REPLICATION and (outsider.account or outsider.organization):
        return reached.open == {"note"} and not _odd(document)
    hits = {hit.index for hit in reached.statements}
    confined = any(
        condition.key in SOURCES
        for statement in document.statements
        if statement.index in hits
        for condition in statement.conditions
    )
    return bool(outsider.service) and reached.open == {"note"} and not confined and not _odd(document)


def _odd(document: Policy) -> bool:
    """Tell whether a condition has an operator that does not exist."""
    return any(
        parse_operator(condition.operator) is None
        for statement in document.statements
        for condition in statement.conditions
    )


def _services(document: Policy, named: Mentions) -> tuple[str, ...]:
    """Return the services that the policy may let in; a wildcard may stand for any."""
    wild = any(
        statement.allow and any(value == "*" for _, value in statement.principals or ())
        for statement in document.statements
    )
    return (*named.services, *((ANY_SERVICE,) if wild else ()))


def _strangers(
    named: Mentions, trust: Trust, endpoints: VpcEndpoints | Gap, *, same: bool, services: tuple[str, ...]
) -> Iterator[Stranger]:
    """Yield everybody whom the policy may mean and who is not trusted, or not known to be."""
    organizations: dict[str, bool | Gap] = {one: trust.organization_standing(one) for one in named.organizations}
    foreign = [one for one, standing in organizations.items() if standing is False or (standing is True and not same)]
    doubtful = {one: standing for one, standing in organizations.items() if isinstance(standing, Gap)}
    through: list[tuple[str, ...]] = [(), named.networks] if named.networks else [()]
    for networks in through:
        for number in named.accounts:
            standing = trust.standing(number, same_organization=same)
            if standing is True:
                continue
            doubt = standing if isinstance(standing, Gap) else None
            for organization in ("", *foreign):
                yield Stranger(f"account {number}", Outsider(number, organization, networks), doubt)
            for organization, gap in doubtful.items():
                yield Stranger(f"account {number}", Outsider(number, organization, networks), doubt or gap)
        for organization in foreign:
            label = f"the organisation {organization}"
            yield Stranger(label, Outsider(organization=organization, networks=networks))
        for organization, gap in doubtful.items():
            label = f"the organisation {organization}"
            yield Stranger(label, Outsider(organization=organization, networks=networks), gap)
    strange = _strange_networks(named.networks, endpoints)
    if strange:
        missing = endpoints if isinstance(endpoints, Gap) else None
        text = f"Whose {', '.join(strange)} is, which the policy lets anybody come through, is not known."
        gap = Gap(Reason.UNDECIDABLE, text) if missing is None else Gap(missing.reason, text, missing.action)
        yield Stranger(f"whoever comes through {', '.join(strange)}", Outsider(networks=strange), gap)
    for service in services:
        who = "any AWS service" if service == ANY_SERVICE else service
        yield Stranger(f"{who} for any account", Outsider(service=service), severity=Severity.MEDIUM)
        for number in named.source_accounts:
            standing = trust.standing(number, same_organization=same)
            if standing is not True:
                doubt = standing if isinstance(standing, Gap) else None
                yield Stranger(f"{who} for account {number}", Outsider(number, service=service), doubt, Severity.MEDIUM)
        for organization in named.source_organizations:
            member = trust.organization_standing(organization)
            if member is not True or not same:
                doubt = member if isinstance(member, Gap) else None
                outsider = Outsider(organization=organization, service=service)
                yield Stranger(f"{who} for the organisation {organization}", outsider, doubt, Severity.MEDIUM)


def _strange_networks(networks: tuple[str, ...], endpoints: VpcEndpoints | Gap) -> tuple[str, ...]:
    held = () if isinstance(endpoints, Gap) else endpoints.endpoints
    known = {one.id for one in held} | {one.vpc_id for one in held}
    return tuple(one for one in networks if one not in known)


def _unknown_buckets(document: Policy, trust: Trust) -> Iterator[tuple[Gap, Stranger]]:
    """Yield services that are confined to a resource whose owner its ARN does not tell."""
    for statement in document.statements:
        keys = {one.key for one in statement.conditions}
        if not statement.allow or "aws:sourcearn" not in keys or {"aws:sourceaccount", "aws:sourceorgid"} & keys:
            continue
        alone = replace(document, statements=(statement,))
        for arn in mentions(alone).source_arns:
            text = f"Whose {arn} is, for which a service may act here, its ARN does not tell; add aws:SourceAccount."
            yield Gap(Reason.UNDECIDABLE, text), Stranger(f"a service for {arn}", Outsider(trust.own))


def _failure(
    failures: list[tuple[Stranger, list[Reach]]],
    trial: _Trial,
    document: Policy,
    sensitivity: Sensitivity | Gap,
    evidence: dict[str, Any],
) -> Verdict:
    # What is not known must not make the failure milder.
    sensitive = isinstance(sensitivity, Gap) or sensitivity.sensitive
    untrusted: dict[str, dict[str, Any]] = {}
    severity = Severity.LOW
    hits = []
    refusals: list[str] = []
    blocked = True
    for stranger, reached in failures:
        names = [one.action for one in reached]
        groups = {name: sorted(one for one in names if one in group) for name, group in GROUPS.items()}
        groups["other"] = sorted(set(names).difference(*GROUPS.values()))
        grave = sensitive or any(groups[name] for name in ("write", "destructive", "permission"))
        severity = max(severity, stranger.severity or (Severity.HIGH if grave else Severity.MEDIUM))
        conditions = next((one.conditions for one in reached if one.conditions), "")
        untrusted.setdefault(
            stranger.label, {name: held for name, held in groups.items() if held} | {"conditions": conditions or None}
        )
        hits += [hit for one in reached for hit in one.statements]
        guarded = trial.of(document, stranger.outsider, guarded=True) if trial.levels else []
        blocked = blocked and bool(guarded) and all(one.verdict == "denied" for one in guarded)
        refusals += [f"{hit.kind}: {hit.statement}" for one in guarded for hit in one.refusals]
    hits = list(dict.fromkeys(hits))
    evidence["untrusted"] = untrusted
    evidence["publicByAWS"] = [one.sid or one.index for one in public_by_aws(document)]
    evidence["statements"] = [{"policy": hit.policy, "sid": hit.sid, "index": hit.index} for hit in hits]
    if blocked:
        evidence["blockedBy"] = list(dict.fromkeys(refusals))
        severity = severity.moved(-1)
    first = next(iter(untrusted))
    more = f" and {len(untrusted) - 1} more" if len(untrusted) > 1 else ""
    where = hits[0].statement if hits else "the resource policy"
    text = f"By {where}, {first}{more} may use this: not trusted."
    return failed(text, severity=severity, **evidence)
