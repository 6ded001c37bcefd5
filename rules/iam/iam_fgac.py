import fnmatch
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.access import Decision, Hit, Named, Statement, evaluate, read
from auditor.access.actions import find
from auditor.access.estate import Principal
from auditor.access.estate import Table as TableEntry
from auditor.access.grants import (
    covered,
    may_allow,
    mentions_tags,
    policies,
    probes,
    samples,
    speaks,
    statements,
    told_apart,
)
from auditor.access.holdings import DATA_READ, DATA_WRITE, DAX_DATA, DESTRUCTIVE, PERMISSION, weigh
from auditor.access.patterns import Literal, Variable, template
from auditor.access.policy import Condition
from auditor.access.subjects import PROBE
from auditor.config import Config
from auditor.facts import AccountAccess, Gap, TableAccess, TableSettings
from auditor.resources import Role, Table

JUDGED = DATA_READ | DATA_WRITE | DAX_DATA | DESTRUCTIVE | PERMISSION
DAX_READ = frozenset(f"dax:{name}" for name in ("GetItem", "BatchGetItem", "Query", "Scan", "ConditionCheckItem"))

#: The keys of the partition that a request touches; the first two are two names of one value.
PARTITION_KEYS = (
    "dynamodb:leadingkeys",
    "dynamodb:firstpartitionkeyvalues",
    "dynamodb:secondpartitionkeyvalues",
    "dynamodb:thirdpartitionkeyvalues",
    "dynamodb:fourthpartitionkeyvalues",
)

#: Providers whose identities are people, in any account (IAM User Guide, "OIDC federation"; Cognito user pools).
#: Identity pools have names of their own in GovCloud and China (user guides of these partitions, "Amazon Cognito").
PEOPLE = (
    *("cognito-identity.amazonaws.com", "accounts.google.com", "www.amazon.com", "graph.facebook.com"),
    *("cognito-identity-us-gov.amazonaws.com", "cognito-identity.*.amazonaws.com.cn"),
    *("cognito-idp.*.amazonaws.com/*", "cognito-idp.*.amazonaws.com.cn/*", "securetoken.google.com/*"),
    "appleid.apple.com",
)

#: Providers whose identities are builds, clusters and other machines.
MACHINES = (
    *("token.actions.githubusercontent.com", "token.actions.githubusercontent.com/*", "gitlab*", "*.gitlab.*"),
    *("oidc.eks.*", "oidc-eks.*", "app.terraform.io", "agent.buildkite.com", "oidc.circleci.com/*"),
    *(
        "api.bitbucket.org/*",
        "vstoken.dev.azure.com/*",
        "oidc.vercel.com*",
        "*.app.spacelift.io",
        "container.googleapis.com/*",
    ),
)

#: What a user's token says of him, beside the claim ``sub``.
IDENTITIES = ("www.amazon.com:user_id", "graph.facebook.com:id")

OWN, FOREIGN = "ddbaudit-own-1f6e", "ddbaudit-foreign-93c2"


@dataclass(frozen=True)
class Attempt:
    """What a user may put into a request: the partition keys that it names, and in words what it is after."""

    aim: str
    keys: Mapping[str, list[str]]
    more: Mapping[str, str] = field(default_factory=dict)
    constant: str = ""


@dataclass(frozen=True)
class Bypass:
    """An attempt that succeeds."""

    action: str
    resource: str
    aim: str
    why: str
    decision: Decision


@rule(
    severity=Severity.HIGH,
    side=Side.CLIENT,
    practices=["P14", "P15"],
    controls={
        "CIS AWS Database Services": ["4.2"],
        "NIST 800-53 r5": ["AC-3(7)", "AC-6", "AC-16"],
    },
    remediation=Remediation(
        text="Allow only actions that name a partition key, bind dynamodb:LeadingKeys to the user's id, and require "
        "with Null that the key is there. Take out Scan, SearchVectors, streams, exports and DAX: they know no keys.",
        cli="aws iam put-role-policy --role-name $ROLE_NAME --policy-name own-items --policy-document file://own-items.json\n"
        "aws iam detach-role-policy --role-name $ROLE_NAME --policy-arn $POLICY_ARN",
        terraform="""\
data "aws_iam_policy_document" "own_items" {
  statement {
    sid       = "OwnItems"
    actions   = ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"]
    resources = [aws_dynamodb_table.profiles.arn]

    condition {
      test     = "ForAllValues:StringEquals"
      variable = "dynamodb:LeadingKeys"
      values   = ["$${cognito-identity.amazonaws.com:sub}"]
    }

    condition {
      test     = "Null"
      variable = "dynamodb:LeadingKeys"
      values   = ["false"]
    }
  }
}

resource "aws_iam_role_policy" "own_items" {
  name   = "own-items"
  role   = aws_iam_role.users.id
  policy = data.aws_iam_policy_document.own_items.json
}""",
        cloudformation="""\
Parameters:
  RoleName: {Type: String}
Resources:
  OwnItems:
    Type: AWS::IAM::RolePolicy
    Properties:
      RoleName: !Ref RoleName
      PolicyName: own-items
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Sid: OwnItems
            Effect: Allow
            Action: ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:UpdateItem"]
            Resource: !Sub "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/profiles"
            Condition:
              ForAllValues:StringEquals:
                dynamodb:LeadingKeys: ["${cognito-identity.amazonaws.com:sub}"]
              "Null":
                dynamodb:LeadingKeys: "false\"""",
    ),
    references=[
        "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html",
        "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/VectorSearch.Security.html",
    ],
)
def iam_fgac(
    role: Role,
    access: AccountAccess,
    tables: Mapping[Table, TableAccess | Gap],
    settings: Mapping[Table, TableSettings | Gap],
    config: Config,
) -> Verdict | None:
    """Web-identity roles are limited to the user's own items, without bypass.

    The users of an application that take a role with their own token hold its credentials and can send any request
    that the role's policies let through, whatever the application would send. Only the condition on the partition key
    stands between them and the items of everybody else.

    Judged is every role that identities of end users can take: of Cognito, Google, Amazon, Facebook, Apple and
    Firebase, and of the providers that `end_user_providers` lists. Providers of builds and clusters (GitHub,
    GitLab, EKS and others) are not end users; a role for a provider that is neither is not judged until it is declared.

    The rule sends no requests but asks the policies what a user would be allowed: to name another user's key, his own
    together with another's, a key that is the same for all; to name none, with every action that knows none (Scan,
    SearchVectors, streams, exports, imports, table administration, DAX, a full scan in PartiQL); and to use his own key
    on a global index whose partition key is another attribute than the table's. If any of it is allowed on any table,
    the role fails. So it does not matter how the condition is written: `ForAllValues` without a `Null` guard,
    `ForAnyValue`, a bare `*` and a second statement without conditions show by what they let through; an operator
    without a quantifier counts as one that compares the only key of a request. Values that a user can choose (session
    names) are no identity. Access under other conditions counts as access.

    A fixed value beside the user's own in one condition is a shared partition on purpose and is noted. Reading tables
    that `public_tables` lists is allowed to everybody. Roles in `admin_roles` pass with a note. What SCPs or RCPs turn
    down is one severity lower.
    """
    principal = access.principal(role.arn)
    if principal is None or role.service_linked or role.arn == access.auditor:
        return None
    trust = read(principal.trust, trust=True)
    if trust.unreadable is not None:
        return unknown("The role's trust policy cannot be read.") if speaks(principal) else None
    hosts = list(dict.fromkeys(_web_identities(trust.statements)))
    people = [host for host in hosts if _people(host, config.end_user_providers)]
    undeclared = [host for host in hosts if host not in people and not _any(MACHINES, host)]
    if not people and (not undeclared or config.end_user_providers):
        return None
    evidence: dict[str, Any] = {"providers": people or undeclared}
    places = _Places(tables, settings, role.account.id)
    if not speaks(principal) and not any(places.matters(entry) for entry in places.entries.values()):
        return not_applicable("The role allows nothing of DynamoDB or DAX.", **evidence)
    if not people:
        return not_applicable(
            f"Whether identities of {undeclared[0]} are end users is not declared in end_user_providers.",
            reason="not_declared",
            **evidence,
        )
    judge = _Judge(principal, access, places, config)
    for host in people:
        judge.judge(host)
    if judge.shared:
        evidence["sharedKeys"] = sorted(judge.shared)
    if judge.bypasses:
        return _failed(principal, access, config, places, judge.bypasses, evidence)
    if judge.doubts:
        gap = next((one for one in judge.doubts if isinstance(one, Gap)), None)
        texts = [one for one in judge.doubts if isinstance(one, str)]
        if gap is not None and not texts:
            return unknown(gap, **evidence)
        return unknown(f"It cannot be decided whether users are confined: {texts[0]}.", doubts=texts[:10], **evidence)
    return passed("Users of the role reach no item but their own.", **evidence)


def _failed(
    principal: Principal,
    access: AccountAccess,
    config: Config,
    places: "_Places",
    found: list[Bypass],
    evidence: dict[str, Any],
) -> Verdict:
    decisions = [one.decision for one in found]
    told: dict[tuple[str, str], Bypass] = {}
    for one in found:
        told.setdefault((one.action, one.aim), one)
    evidence |= {
        "bypasses": [
            {"action": one.action, "resource": one.resource, "aim": one.aim, "why": one.why}
            for one in list(told.values())[:20]
        ],
        "statements": statements(decisions),
    }
    conditions = list(dict.fromkeys(one.decision.conditions for one in found if one.decision.conditions))
    if conditions:
        evidence["conditions"] = conditions
    if config.is_admin(principal.arn):
        return passed("The role may do more, as admin_roles says.", admin_role=principal.arn, **evidence)
    blocks = [
        access.blocked_by(principal, one.action, one.resource, table=places.entries.get(_base(one.resource)))
        for one in told.values()
    ]
    if any(blocks):
        evidence["blockedBy"] = list(dict.fromkeys(text for block in blocks for text in block))
    severity = Severity.MEDIUM if all(blocks) else None
    first = found[0]
    more = f" There are {len(told) - 1} more ways." if len(told) > 1 else ""
    return failed(f"{first.action} reaches {first.aim}: {first.why}.{more}", severity=severity, **evidence)


def _any(patterns: Iterable[str], host: str) -> bool:
    return any(fnmatch.fnmatchcase(host, pattern.lower()) for pattern in patterns)


def _people(host: str, declared: tuple[str, ...]) -> bool:
    hosts = [one.rpartition("oidc-provider/")[2] for one in declared]
    return _any(PEOPLE, host) or _any(hosts, host) or any(host.startswith(f"{one.lower()}/") for one in hosts)


def _web_identities(held: Iterable[Statement]) -> Iterator[str]:
    """Yield the providers, in lower case, whose tokens a trust policy accepts."""
    for statement in held:
        if not statement.allow or not statement.covers("sts:assumerolewithwebidentity"):
            continue
        for kind, value in statement.principals or ():
            if kind == "Federated" and ":saml-provider/" not in value:
                yield value.rpartition("oidc-provider/")[2].lower()


def _base(resource: str) -> str:
    return "/".join(resource.split("/")[:2])


def _is_identity(key: str) -> bool:
    """Tell whether a policy variable stands for who the user is."""
    return key.endswith(":sub") or key in IDENTITIES or key.startswith("aws:principaltag/")


def _variables(text: str) -> list[str]:
    return [part.key for part in template(text) if isinstance(part, Variable)]


class _Places:
    """The account's tables as far as they are known."""

    def __init__(
        self, tables: Mapping[Table, TableAccess | Gap], settings: Mapping[Table, TableSettings | Gap], account: str
    ) -> None:
        self.entries = {
            table.arn: held.entry
            for table, held in tables.items()
            if isinstance(held, TableAccess) and table.account.id == account
        }
        self.gaps = {table.arn: held.gaps for table, held in tables.items() if isinstance(held, TableAccess)}
        self.settings: dict[str, Any] = {
            table.arn: held for table, held in settings.items() if table.account.id == account
        }

    def entry(self, arn: str) -> TableEntry:
        return self.entries.get(arn) or TableEntry(arn)

    def matters(self, entry: TableEntry) -> bool:
        """Tell whether a resource policy may grant something that is judged."""
        return entry.policy is not None and bool(covered([read(entry.policy)], JUDGED))

    def policies_that_matter(self, documents: Iterable[Any]) -> list[str]:
        """Return the tables whose resource policies may; of those with a policy that cannot be read one of a kind."""
        found = [entry for entry in self.entries.values() if self.matters(entry)]
        hidden = [entry for entry in found if read(entry.policy).unreadable is not None]
        return [*(one.arn for one in found if read(one.policy).unreadable is None), *told_apart(hidden, documents)]

    def partition_keys(self, arn: str) -> int:
        """Return how many attributes a table's partition key has; one, where that is not known."""
        held = self.settings.get(arn)
        return max(1, len(held.partition_keys)) if isinstance(held, TableSettings) else 1


class _Judge:
    """Tries what a user of a role can try, and keeps what succeeds and what cannot be decided."""

    def __init__(self, principal: Principal, access: AccountAccess, places: _Places, config: Config) -> None:
        self.principal, self.access, self.places, self.config = principal, access, places, config
        self.bypasses: list[Bypass] = []
        self.doubts: list[Gap | str] = []
        self.shared: set[str] = set()
        self.held = held = policies(principal)
        self.wanted = covered(held, JUDGED)
        self.statements = {(policy.name, one.index): one for policy in held for one in policy.statements}
        self.documents = [*principal.policies, principal.boundary]
        self.comparing = replace(principal, policies=tuple(map(_comparing, principal.policies)))
        self.tagged = mentions_tags(self.documents)
        request = access.estate.request(principal, "dynamodb:Query", "*")
        #: What policy variables stand for that are the same for all users of the role.
        self._fixed = {key.lower(): str(value) for key, value in request.context.items()}
        self.samples = samples(held, JUDGED, principal.account, principal.arn.split(":")[1])
        self.policies_that_matter = places.policies_that_matter(self.documents)

    def judge(self, host: str) -> None:
        """Judge the role for the identities of one provider."""
        context = self._identity(host)
        documents = [*self.statements.values()]
        for arn in self.policies_that_matter:
            documents += read(self.places.entry(arn).policy).statements
        own, constants = _values(documents, self._fixed | context)
        by_tags = told_apart(self.places.entries.values(), self.documents) if self.tagged else []
        real = [*self.policies_that_matter, *by_tags]
        several: list[str] = []
        if any(one.key in PARTITION_KEYS[2:] for statement in documents for one in statement.conditions):
            longer = [one for one in self.places.entries.values() if self.places.partition_keys(one.arn) > 1]
            several = told_apart(longer, self.documents)
        for base in dict.fromkeys([*self.samples, *real, *several]):
            for action in sorted(JUDGED) if base in self.policies_that_matter else self.wanted:
                if not self._public(base, action):
                    self._table(base, action, host, context, own, constants)
        if not self.bypasses:
            self._indexes(host, context, own)

    def _identity(self, host: str) -> dict[str, Any]:
        """Return what a user's token says of him, and the tags that his session has where policies compare them."""
        keys = [f"{host}:sub", *(one for one in IDENTITIES if one.startswith(host))]
        texts = [
            value
            for statement in self.statements.values()
            for value in (
                *(statement.resources or ()),
                *(value for condition in statement.conditions for value in condition.values),
            )
        ]
        keys += [key for text in texts for key in _variables(text) if key.startswith("aws:principaltag/")]
        return {key: f"{OWN}-{number}" if number else OWN for number, key in enumerate(dict.fromkeys(keys))}

    def _public(self, base: str, action: str) -> bool:
        name = base.partition("/")[2]
        return (action in DATA_READ or action in DAX_READ) and any(
            fnmatch.fnmatchcase(one, pattern) for pattern in self.config.public_tables for one in (name, base)
        )

    def _table(
        self,
        base: str,
        action: str,
        host: str,
        context: Mapping[str, Any],
        own: list[str],
        constants: Mapping[str, str],
    ) -> None:
        entry = self.places.entry(base)
        for resource in self._resources(base, action, entry):
            if base not in self.policies_that_matter and not may_allow(self.held, action, resource):
                continue
            for attempt in _attempts(action, own, constants, self.places.partition_keys(base)):
                decision = self._decide(action, resource, entry, host, {**context, **attempt.more}, attempt.keys)
                if decision.verdict == "denied":
                    continue
                if not self._certain(
                    decision, action, resource, entry, host, {**context, **attempt.more}, attempt.keys
                ):
                    self.doubts.append(self._doubt(action, resource, base, decision))
                elif attempt.keys and self._hangs_on_key(base, decision):
                    self.doubts.append(self.places.settings[base])
                elif attempt.constant and all(self._beside_own(hit, attempt.constant) for hit in decision.grants):
                    self.shared.add(attempt.constant)
                else:
                    why = self._why(decision, attempt)
                    self.bypasses.append(Bypass(action, resource, attempt.aim, why, decision))
                    break

    def _resources(self, base: str, action: str, entry: TableEntry) -> list[str]:
        if ":cache/" in base or action.startswith("dax:"):
            return [base] if ":cache/" in base and action.startswith("dax:") else []
        return probes(base, action, self.held, entry.indexes or ())

    def _decide(
        self,
        action: str,
        resource: str,
        entry: TableEntry,
        host: str,
        context: Mapping[str, Any],
        keys: Mapping[str, list[str]],
        *,
        abac: bool | None = None,
    ) -> Decision:
        """Decide a request with the partition keys that it names and no others."""
        table = entry if ":table/" in resource else None
        estate = self.access.estate
        request = estate.request(self.principal, action, resource, table=table, abac=abac, context={**context, **keys})
        missing = [one for one in PARTITION_KEYS if one not in keys]
        others = [one for one in PEOPLE if "*" not in one and one != host]
        request = replace(
            request,
            supplied_keys=[one for one in request.supplied_keys if one.lower() not in missing],
            absent_keys=[*request.absent_keys, *missing, *(f"{one}:*" for one in others)],
        )
        policy = table.policy if table is not None and "/stream/" not in resource else None
        policy = table.stream_policy if table is not None and "/stream/" in resource else policy
        if any(len(values) == 1 for values in keys.values()):
            policy = None if policy is None else _comparing(policy)
            policies_ = estate.policies(self.comparing, resource, policy, guardrails=False)
        else:
            policies_ = estate.policies(self.principal, resource, policy, guardrails=False)
        return evaluate(request, policies_)

    def _certain(
        self,
        decision: Decision,
        action: str,
        resource: str,
        entry: TableEntry,
        host: str,
        context: Mapping[str, Any],
        keys: Mapping[str, list[str]],
    ) -> bool:
        if weigh(decision.formula, tags_known=entry.tags is not None) != "granted":
            return False
        if not self.tagged or self.access.estate.abac is not None or not entry.tags:
            return True
        off = self._decide(action, resource, entry, host, context, keys, abac=False)
        return weigh(off.formula) == "granted"

    def _doubt(self, action: str, resource: str, base: str, decision: Decision) -> Gap | str:
        """Return why it cannot be told whether something is granted."""
        gap = next((one for one in self.places.gaps.get(base, ()) if "resource" in decision.conditions), None)
        return gap or self.access.cause_of(decision) or f"{action} on {resource}, {decision.conditions}"

    def _hangs_on_key(self, base: str, decision: Decision) -> bool:
        """Tell whether it matters, and is not known, of how many attributes the partition key of a table is."""
        return isinstance(self.places.settings.get(base), Gap) and any(
            one.key in PARTITION_KEYS[2:] for hit in decision.grants for one in self._conditions(hit)
        )

    def _conditions(self, hit: Hit) -> list[Condition]:
        statement = self.statements.get((hit.policy, hit.index))
        return [one for one in (statement.conditions if statement else ()) if one.key in PARTITION_KEYS]

    def _beside_own(self, hit: Hit, constant: str) -> bool:
        """Tell whether a statement names a fixed key in the same breath as the user's own."""
        return any(
            constant in condition.values and any(map(_is_identity, _flat(condition.values)))
            for condition in self._conditions(hit)
        )

    def _why(self, decision: Decision, attempt: Attempt) -> str:
        """Say what is wrong with the statement that lets an attempt through."""
        hit = next((one for one in decision.grants if one.applies is True), None) or next(iter(decision.grants), None)
        if hit is None:
            return "a policy allows it"
        found = [one for one in self._conditions(hit) if not one.operator.lower().startswith("null")]
        if not found:
            return f"{hit.statement} has no condition on dynamodb:LeadingKeys"
        operators = " and ".join(dict.fromkeys(one.operator for one in found))
        values = [value for one in found for value in one.values]
        if not attempt.keys:
            return f"{operators} in {hit.statement} holds for requests without a partition key"
        if any(value.strip("*") == "" for value in values):
            return f"the condition in {hit.statement} has a bare * among its values"
        if any(one.operator.lower().startswith("foranyvalue") for one in found):
            return f"{operators} in {hit.statement} is content with one key among several"
        if not any(map(_is_identity, _flat(values))):
            return f"the condition in {hit.statement} compares with {', '.join(values)}, which says not who the user is"
        return f"{operators} in {hit.statement} lets it through"

    def _indexes(self, host: str, context: Mapping[str, Any], own: list[str]) -> None:
        """Try the user's own key on indexes that are keyed by something else than the table."""
        for arn in self.places.entries:
            entry, held = self.places.entry(arn), self.places.settings.get(arn)
            names = (
                [PROBE]
                if not isinstance(held, TableSettings)
                else [
                    index.name
                    for index in held.indexes
                    if index.kind == "global" and index.partition_keys[:1] != held.partition_keys[:1]
                ]
            )
            for name, action in product(names, ("dynamodb:Query", "dynamodb:PartiQLSelect")):
                resource = f"{arn}/index/{name}"
                if self._public(arn, action):
                    continue
                if arn not in self.policies_that_matter and not may_allow(self.held, action, resource):
                    continue
                keys = _keys(own or [OWN], self.places.partition_keys(arn))
                decision = self._decide(action, resource, entry, host, context, keys)
                if decision.verdict == "denied":
                    continue
                certain = self._certain(decision, action, resource, entry, host, context, keys)
                if isinstance(held, Gap):
                    self.doubts.append(held)
                elif not isinstance(held, TableSettings) or not certain:
                    self.doubts.append(self._doubt(action, resource, arn, decision))
                else:
                    attribute = next(
                        (", ".join(index.partition_keys) for index in held.indexes if index.name == name), ""
                    )
                    hit = next(iter(decision.grants), None)
                    self.bypasses.append(
                        Bypass(
                            action,
                            resource,
                            f"items of other users through the index {name}",
                            f"its partition key is {attribute or 'another one'}, "
                            f"and {hit.statement if hit else 'a policy'} allows the index",
                            decision,
                        )
                    )


def _comparing(document: Any) -> Any:
    """Return a policy whose grants compare the one partition key of a request, whatever the operator.

    An operator without ForAllValues or ForAnyValue is not meant for a key of several values, and what AWS makes of it
    is not documented: that it grants nothing at all is not proved.
    """
    policy = read(document)
    if policy.unreadable is not None:
        return document
    kept = []
    for statement in policy.statements:
        conditions = tuple(
            replace(one, operator=f"ForAnyValue:{one.operator}")
            if statement.allow and one.key in PARTITION_KEYS and one.operator.lower().startswith("string")
            else one
            for one in statement.conditions
        )
        kept.append(replace(statement, conditions=conditions))
    return Named(policy.name, replace(policy, statements=tuple(kept)))


def _flat(values: Iterable[str]) -> list[str]:
    return [key for value in values for key in _variables(value)]


def _values(held: Iterable[Statement], context: Mapping[str, Any]) -> tuple[list[str], dict[str, str]]:
    """Return the keys that conditions compare with.

    Returns:
        Those made of the user's identity; and those that are fixed, each with the value as the policy has it.
    """
    own: dict[str, None] = {}
    fixed: dict[str, str] = {}
    for statement in held:
        for condition in statement.conditions:
            if condition.key not in PARTITION_KEYS or condition.operator.lower().startswith("null"):
                continue
            for value in condition.values:
                text = "".join(_filled(part, context) for part in template(value))
                if "like" in condition.operator.lower():
                    text = text.replace("*", "1").replace("?", "1")
                if any(map(_is_identity, _variables(value))):
                    own[text] = None
                else:
                    fixed.setdefault(text, value)
    return list(own), fixed


def _filled(part: str | Variable | Literal, context: Mapping[str, Any]) -> str:
    if isinstance(part, Variable):
        return str(context.get(part.key, FOREIGN))
    return part.text if isinstance(part, Literal) else part


def _keys(values: list[str], count: int) -> dict[str, list[str]]:
    """Return the condition keys of a request for items with some partition keys of ``count`` attributes."""
    return dict.fromkeys(PARTITION_KEYS[: count + 1], values)


def _attempts(action: str, own: list[str], fixed: Mapping[str, str], count: int) -> Iterator[Attempt]:
    """Yield what a user can try with an action on a table whose partition key has ``count`` attributes."""
    known = find(action)
    if known is None or PARTITION_KEYS[0] not in known.keys:
        aim = (
            "every item of the clusters' tables"
            if action.startswith("dax:")
            else "items without naming a partition key"
        )
        yield Attempt(aim, {})
        return
    yield Attempt("items of other users", _keys([FOREIGN], count))
    for one in own[:3]:
        yield Attempt("items of other users beside the user's own", _keys([one, FOREIGN], count))
    if action == "dynamodb:PartiQLSelect":
        yield Attempt("every item by a full scan", {}, {"dynamodb:FullTableScan": "true"})
    for one, value in list(fixed.items())[:8]:
        yield Attempt(f"the partition {one}, which all users share", _keys([one], count), constant=value)
        if count > 1:
            keys = _keys([FOREIGN], count) | {key: [one] for key in PARTITION_KEYS[:2]}
            yield Attempt(f"items of other users in the partition {one}", keys)
