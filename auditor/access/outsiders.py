"""What strangers can do: a policy on a resource, judged by a synthetic outsider.

The outsider's account, organisation, VPC and endpoint are fresh: equal to no constant in the policy. Its own policies
allow everything and its requests are signed. Whatever it can choose it chooses to get in: names and paths of its
roles, its tags and session names, the parameters of the request. Where it depends on luck (a source address, an
external id) it can miss at will and never hit; what the policy asks of anything else stays open. So a verdict is
``allowed`` when some outsider gets in, ``conditional`` when it hangs on an open question, ``denied`` when none can.

Sources: IAM User Guide, "AWS global condition context keys", "The confused deputy problem" and "Available keys for AWS
OIDC federation"; DynamoDB Developer Guide, "Blocking public access to your resources with resource-based policies".
"""

from __future__ import annotations

import ipaddress
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import product
from typing import Any

from auditor.access.actions import Action, find
from auditor.access.conditions import COMPARE, Operator, parse_operator, possible
from auditor.access.evaluate import Hit, Policies, Request, evaluate
from auditor.access.formula import Answers, Atom, Formula, assume, atoms, refine
from auditor.access.patterns import IGNORING_CASE, SEGMENTS, Open, Variable, arn_segments, fill, template
from auditor.access.policy import Named, Policy, Statement, read
from auditor.access.words import in_words

#: The outsider's own policies: what its account allows is its own affair.
ALLOW_ALL = Named(
    "the policies of the outsider's own account",
    {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}},
)

#: Steps after which the search for what an outsider chooses gives up; the verdict is then conditional.
BUDGET = 3000

#: The most states that the search for a text visits.
TEXT_BUDGET = 2000

#: OIDC providers where anybody may have tokens made with an audience of his choice -> how the claim ``sub`` names the
#: tenant: the text before its name and the one after it (documentation of GitHub Actions, GitLab CI/CD, HCP Terraform,
#: Buildkite and Vercel on their subject claims).
SHARED_PROVIDERS: Mapping[str, tuple[str, str]] = {
    "token.actions.githubusercontent.com": ("repo:", "/"),
    "gitlab.com": ("project_path:", "/"),
    "app.terraform.io": ("organization:", ":"),
    "agent.buildkite.com": ("organization:", ":"),
    "oidc.vercel.com": ("owner:", ":"),
}

#: Amazon Cognito's identity pools as a provider: every pool of every account.
COGNITO = "cognito-identity.amazonaws.com"

#: The keys that make a statement non-public for AWS when they are fixed (DynamoDB Developer Guide, "Blocking public
#: access to your resources with resource-based policies").
PINS = frozenset(
    f"aws:{name}".lower()
    for name in (
        *("PrincipalAccount", "PrincipalArn", "PrincipalOrgID", "PrincipalOrgPaths", "SourceAccount", "SourceArn"),
        *("SourceVpc", "SourceVpce", "UserId", "PrincipalServiceName", "PrincipalServiceNamesList"),
        *("PrincipalIsAWSService", "Ec2InstanceSourceVpc", "SourceOrgID", "SourceOrgPaths"),
    )
)


@dataclass(frozen=True)
class Outsider:
    """Somebody of whom only this is known.

    Attributes:
        account: Number of its account; empty: a fresh one.
        organization: Id of its organisation; empty: both none and a fresh one are tried.
        networks: Ids of VPCs (``vpc-…``) and VPC endpoints (``vpce-…``) that it may come through; empty: fresh ones,
            and none at all.
        service: A service principal that acts for the account; empty: the account's users and roles act.
        provider: An identity provider, as ``Federated`` of a trust policy names it: the outsider has a token from it,
            of another tenant where it has several, and no AWS credentials.
    """

    account: str = ""
    organization: str = ""
    networks: tuple[str, ...] = ()
    service: str = ""
    provider: str = ""


@dataclass(frozen=True)
class Reach:
    """What an outsider can do.

    Attributes:
        action: The IAM action.
        resource: ARN of the resource.
        verdict: ``allowed``, ``conditional`` or ``denied``.
        conditions: What a conditional verdict hangs on, in words; else an empty text.
        choices: What an outsider must choose, in words; empty when nothing.
        statements: The statements that allow it.
        open: The condition keys, lower case, that a conditional verdict hangs on; ``note`` for what is no key and
            for a comparison that cannot be decided.
        refusals: The statements of guardrails that deny it, where it is denied.
    """

    action: str
    resource: str
    verdict: str
    conditions: str = ""
    choices: str = ""
    statements: tuple[Hit, ...] = ()
    open: frozenset[str] = frozenset()
    refusals: tuple[Hit, ...] = ()

    @property
    def lucky(self) -> bool:
        """It is open to whoever comes from some address or knows an external id, and to nobody else."""
        return self.verdict == "conditional" and self.open <= {"aws:sourceip", "sts:externalid"}


@dataclass(frozen=True)
class Mentions:
    """The constants by which a policy lets somebody in: in Allow statements, and as exceptions of Deny statements.

    Attributes:
        accounts: Account numbers of principals and of conditions on principals.
        organizations: Ids of organisations in conditions on principals.
        networks: Ids of VPCs and VPC endpoints in conditions.
        services: Service principals.
        source_accounts: Account numbers in ``aws:SourceAccount`` and ``aws:SourceArn``.
        source_organizations: Ids of organisations in ``aws:SourceOrgID`` and ``aws:SourceOrgPaths``.
        source_arns: ARNs in ``aws:SourceArn`` that name no account, such as a bucket's.
        providers: Identity providers.
        deleted: Unique ids that stand where a principal was deleted.
    """

    accounts: tuple[str, ...] = ()
    organizations: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    source_accounts: tuple[str, ...] = ()
    source_organizations: tuple[str, ...] = ()
    source_arns: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()


_MENTIONED_IN = {
    "aws:principalaccount": "accounts",
    "kms:calleraccount": "accounts",
    "aws:principalarn": "accounts",
    "aws:principalorgid": "organizations",
    "aws:principalorgpaths": "organizations",
    "aws:sourcevpce": "networks",
    "aws:sourcevpc": "networks",
    "aws:ec2instancesourcevpc": "networks",
    "aws:principalservicename": "services",
    "aws:principalservicenameslist": "services",
    "aws:sourceaccount": "source_accounts",
    "aws:sourcearn": "source_accounts",
    "aws:sourceorgid": "source_organizations",
    "aws:sourceorgpaths": "source_organizations",
}


def mentions(document: Any) -> Mentions:
    """Return whom a policy names to let them in.

    Args:
        document: The policy, as :func:`auditor.access.read` takes it.
    """
    found: dict[str, dict[str, None]] = {}

    def add(kind: str, value: str) -> None:
        if value and "*" not in value and "?" not in value and "${" not in value:
            found.setdefault(kind, {})[value] = None

    for statement in read(document, trust=True).statements:
        for kind, value in () if statement.not_principal is statement.allow else statement.principals or ():
            if kind == "AWS":
                number = _account_in(value)
                add("accounts" if number else "deleted", number or value)
            elif kind in ("Service", "Federated"):
                add("services" if kind == "Service" else "providers", value)
        for condition in statement.conditions:
            kind = _MENTIONED_IN.get(condition.key, "")
            operator = parse_operator(condition.operator)
            if not kind or operator is None or operator.negated is statement.allow:
                continue
            for value in condition.values:
                if condition.key in ("aws:principalarn", "aws:sourcearn"):
                    number = _account_in(value)
                    add(kind, number)
                    if condition.key == "aws:sourcearn" and not number:
                        add("source_arns", value)
                else:
                    add(kind, value.partition("/")[0] if condition.key.endswith("orgpaths") else value)
    return Mentions(**{kind: tuple(values) for kind, values in found.items()})


def _account_in(value: str) -> str:
    """Return the account number that a principal or ARN names, or an empty text."""
    segments = value.split(":", SEGMENTS - 1)
    number = segments[4] if len(segments) == SEGMENTS else value
    return number if number.isdigit() and len(number) == 12 else ""


def public_by_aws(document: Any) -> tuple[Statement, ...]:
    """Return the statements that are public by AWS's own definition, each looked at by itself.

    A statement is non-public when its principals have no wildcard, or when one of :data:`PINS` limits it with fixed
    values. An organisation's path is fixed when the organisation's id is.

    Args:
        document: The policy; one that cannot be read has no statements.
    """
    return tuple(
        statement
        for statement in read(document).statements
        if statement.allow
        and statement.principals is not None
        and (statement.not_principal or any("*" in value for _, value in statement.principals))
        and not any(
            _pins(parse_operator(condition.operator), condition.key, condition.values)
            for condition in statement.conditions
        )
    )


def _pins(operator: Operator | None, key: str, values: tuple[str, ...]) -> bool:
    if operator is None or key not in PINS or not values:
        return False
    if operator.negated or operator.if_exists or operator.quantifier == "all":
        return False
    if key == "aws:principalisawsservice":
        return operator.comparison == "Bool" and all(value.lower() == "true" for value in values)
    if operator.comparison not in ("StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnLike"):
        return False
    fixed = [value.partition("/")[0] if key.endswith("orgpaths") else value for value in values]
    return not any(sign in value for value in fixed for sign in ("*", "?", "${"))


def reach(
    document: Any,
    action: str,
    resources: Iterable[str],
    *,
    owner: str,
    organization: str | None = "",
    outsider: Outsider | None = None,
    rcps: Sequence[Sequence[Any]] = (),
    context: Mapping[str, Any] | None = None,
) -> Reach:
    """Decide whether an outsider can do something with a resource.

    Args:
        document: The resource, key or trust policy.
        action: The IAM action, such as ``dynamodb:GetItem``.
        resources: ARNs of the resource, several where the request may name one of several (a table and its indexes).
        owner: Number of the account that owns the resource.
        organization: Id of the owner's organisation; None: it is in none; empty: not known.
        outsider: Who tries; None: somebody of whom nothing is known.
        rcps: Levels of resource control policies of the owner's account.
        context: Condition keys that are known, such as ``aws:CurrentTime`` or the resource's tags.

    Returns:
        The best that the outsider reaches on any of the resources.
    """
    who = outsider or Outsider()
    policy = read(document, "resource policy", trust=action.lower().startswith("sts:assumerole"))
    # The rest is costly, and most policies say nothing of most actions.
    if policy.unreadable is None and not any(one.allow and one.covers(action.lower()) for one in policy.statements):
        return Reach(action, next(iter(resources), "*"), "denied")
    trial = _Trial(policy, [read(one) for level in rcps for one in level], who)
    best: Reach | None = None
    for resource in resources:
        for world in trial.worlds(action, resource, owner, organization, context or {}):
            found = _attempt(world, policy, action, resource, owner, rcps)
            if best is None or _RANK[found.verdict] > _RANK[best.verdict]:
                best = found
            if best.verdict == "allowed":
                return best
    return best or Reach(action, "*", "denied")


def survey(
    document: Any,
    wanted: Iterable[Action],
    resources: Callable[[Action], Sequence[str]],
    *,
    owner: str,
    organization: str | None = "",
    outsider: Outsider | None = None,
    rcps: Sequence[Sequence[Any]] = (),
) -> list[Reach]:
    """Decide on many actions, in their order; those that the policies cannot tell apart are tried once.

    Args:
        document: As for :func:`reach`, as the others.
        wanted: The actions.
        resources: Returns the ARNs that a request of an action may name.
        owner: As for :func:`reach`.
        organization: As for :func:`reach`.
        outsider: As for :func:`reach`.
        rcps: As for :func:`reach`.
    """
    policy = read(document, "resource policy")
    statements = [one for held in (policy, *(read(one) for level in rcps for one in level)) for one in held.statements]
    keys = sorted({condition.key for one in statements for condition in one.conditions})
    alike: dict[Any, Reach] = {}
    found = []
    for action in wanted:
        name = action.name.lower()
        targets = tuple(resources(action))
        same = (
            tuple(one.covers(name) for one in statements),
            targets,
            action.resource_policy,
            tuple(action.carries(key) for key in keys),
            name if name in _APART else "",
        )
        if same not in alike:
            alike[same] = reach(
                policy, action.name, targets, owner=owner, organization=organization, outsider=outsider, rcps=rcps
            )
        found.append(replace(alike[same], action=action.name))
    return found


#: Actions that have rules of their own: condition keys that AWS contradicts itself on, no resource control policies.
_APART = ("dynamodb:searchvectors", "kms:retiregrant")

_RANK = {"denied": 0, "conditional": 1, "allowed": 2}


def _attempt(
    world: _World, policy: Policy, action: str, resource: str, owner: str, rcps: Sequence[Sequence[Any]]
) -> Reach:
    request = Request(
        world.principal,
        action,
        resource,
        owner,
        world.known,
        unknown_keys=["*"],
        supplied_keys=world.supplied,
        absent_keys=world.absent,
    )
    decision = evaluate(request, Policies(identity=[ALLOW_ALL], resource=policy, rcps=rcps))
    refusals = tuple(hit for hit in decision.denials if hit.kind == "rcp")
    if decision.verdict == "denied":
        return Reach(action, resource, "denied", refusals=refusals)
    search = _Search(world)
    verdict, rest, answers = search.solve(decision.formula)
    statements = tuple(
        hit for hit in decision.grants if hit.kind == "resource" and _assume_all(hit.applies, answers) is not False
    )
    return Reach(
        action,
        resource,
        verdict,
        in_words(rest) if verdict == "conditional" else "",
        "" if verdict == "denied" or decision.formula is True else in_words(decision.formula),
        () if verdict == "denied" else statements,
        frozenset("note" if one.opaque or one.test == "note" else one.key for one in atoms(rest)),
        refusals if verdict == "denied" else (),
    )


def _assume_all(formula: Formula, answers: Answers) -> Formula:
    for atom, answer in answers.items():
        formula = assume(formula, atom, answer)
    return formula


@dataclass(frozen=True)
class _Choice:
    """The values that a condition key may have.

    Attributes:
        within: Patterns, one of which a value matches.
        never: Globs that no value matches.
        kind: ``chosen`` by the outsider; ``luck``: it can miss a value and not hit one; ``open``: nobody knows.
        form: What ``within`` holds: ``StringLike`` globs, ``ArnLike`` patterns, or ``Name``: globs whose wildcards
            are no colons.
    """

    within: tuple[str, ...] = ("*",)
    never: tuple[str, ...] = ()
    kind: str = "chosen"
    form: str = "StringLike"


@dataclass
class _World:
    """One outsider with all that is settled of it, and what it may choose."""

    principal: str | None
    known: dict[str, Any] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    supplied: list[str] = field(default_factory=list)
    choices: dict[str, _Choice] = field(default_factory=dict)

    def choice(self, key: str) -> _Choice | None:
        """Return what a key may be; None: nothing is known of it. Names that end in ``*`` stand for what begins so."""
        held = self.choices.get(key)
        if held is None:
            held = next(
                (one for name, one in self.choices.items() if name[-1] == "*" and key.startswith(name[:-1])), None
            )
        return held


#: Keys that every outsider with AWS credentials chooses: its own tags, names and sessions, and what its request says.
_CHOSEN = (
    *("aws:principaltag/*", "aws:username", "aws:useragent", "aws:referer", "aws:sourceidentity", "sts:sourceidentity"),
    *("sts:rolesessionname", "sts:transitivetagkeys", "aws:federatedprovider", "aws:calledvia", "aws:calledviafirst"),
    *("aws:calledvialast", "aws:viaawsservice", "aws:securetransport", "aws:multifactorauthpresent"),
    *("aws:multifactorauthage", "aws:requesttag/*", "aws:tagkeys", "dynamodb:leadingkeys", "dynamodb:attributes"),
    *("dynamodb:firstpartitionkeyvalues", "dynamodb:secondpartitionkeyvalues", "dynamodb:thirdpartitionkeyvalues"),
    *("dynamodb:fourthpartitionkeyvalues", "dynamodb:select", "dynamodb:returnvalues", "dynamodb:fulltablescan"),
    *("dynamodb:returnconsumedcapacity", "dynamodb:enclosingoperation", "kms:viaservice", "kms:encryptioncontext:*"),
    *("kms:encryptioncontextkeys", "kms:encryptionalgorithm", "kms:grantoperations", "kms:granteeprincipal"),
    *("kms:retiringprincipal", "kms:grantisforawsresource", "kms:grantconstrainttype", "kms:requestalias"),
    *("kms:bypasspolicylockoutsafetycheck", "kms:schedulekeydeletionpendingwindowindays", "aws:vpcsourceip"),
    "aws:ec2instancesourceprivateipv4",
)


class _Trial:
    """The constants of some policies, and fresh ones that are none of them."""

    def __init__(self, policy: Policy, others: Iterable[Policy], outsider: Outsider) -> None:
        self.outsider = outsider
        statements = [statement for one in (policy, *others) for statement in one.statements]
        self.values = {
            *(value for statement in statements for condition in statement.conditions for value in condition.values),
            *(value for statement in statements for _, value in statement.principals or ()),
        }
        self.keys = {condition.key for statement in statements for condition in statement.conditions}
        self.keys |= {
            part.key
            for value in (*self.values, *(text for one in statements for text in one.resources or ()))
            for part in template(value)
            if isinstance(part, Variable)
        }
        self.principals = {
            value for statement in statements for kind, value in statement.principals or () if kind == "AWS"
        }
        self.by_key: dict[str, list[str]] = {}
        for statement in statements:
            for condition in statement.conditions:
                self.by_key.setdefault(condition.key, []).extend(condition.values)
        self.text = "\n".join(self.values)
        self.account = outsider.account or self._fresh("9{:011d}")
        self.organization = self._fresh("o-outsider{:02d}")

    def _fresh(self, form: str) -> str:
        """Return a text that the policies do not contain."""
        candidates = (form.format(number) for number in range(len(self.text) + 1))
        return next(one for one in candidates if one not in self.text)

    def _asks(self, *parts: str) -> bool:
        return any(part in key for key in self.keys for part in parts)

    def _literals(self, key: str) -> tuple[str, ...]:
        return tuple(value for value in self.by_key.get(key, ()) if not any(sign in value for sign in ("*", "?", "${")))

    def _settle(self, world: _World, key: str, value: str, shape: str, *taken: str) -> None:
        """Give a key a fresh value; where a policy compares it with a pattern, any value that is not taken.

        Numbers and ids are AWS's to give, and somebody has the one that matches.
        """
        lower = key.lower()
        if not any("*" in one or "?" in one for one in self.by_key.get(lower, ())):
            world.known[key] = value
            return
        world.supplied.append(key)
        world.choices[lower] = _Choice((shape,), (*self._literals(lower), *taken))

    def worlds(
        self, action: str, resource: str, owner: str, organization: str | None, context: Mapping[str, Any]
    ) -> Iterator[_World]:
        """Yield the outsiders that try one action on one resource."""
        segments = resource.split(":", SEGMENTS - 1)
        partition = segments[1] if len(segments) == SEGMENTS else "aws"
        for world in self._callers(partition):
            self._resource(world, segments, owner, organization)
            for choice in (
                *("aws:principalaccount", "kms:calleraccount", "aws:sourceaccount"),
                *("aws:principalorgid", "aws:sourceorgid"),
            ):
                held = world.choices.get(choice)
                if held is not None:
                    mine = owner if choice.endswith("account") else organization
                    world.choices[choice] = replace(held, never=(*held.never, *((mine,) if mine else ())))
            self._request(world, action)
            world.known |= context
            stated = {key.lower() for key in context}
            if any(key.startswith("aws:resourcetag/") for key in stated):
                world.absent.append("aws:ResourceTag/*")
            yield world

    def _callers(self, partition: str) -> Iterator[_World]:
        who = self.outsider
        if who.provider:
            yield self._federated()
            return
        organizations = [who.organization] if who.organization else ["", self.organization]
        if not self._asks("orgid", "orgpaths"):
            organizations = organizations[:1]
        if who.service:
            # Not every service says for whom it acts.
            for number, member in product(("", self.account) if not who.account else (self.account,), organizations):
                yield self._service(number, member)
            return
        networks = (True,) if who.networks else (False, True) if self._asks("vpc") else (False,)
        principals = self._principals(partition)
        for principal, member, private in product(principals, organizations, networks):
            yield self._identity(partition, principal, member, anybody=principal is principals[0], private=private)

    def _principals(self, partition: str) -> list[str]:
        """Return a role that no policy names, and whoever of the account is named."""
        found = [f"arn:{partition}:iam::{self.account}:role/{self._fresh('outsider{:02d}')}"]
        found += [
            f"arn:{partition}:iam::{value}:root" if value == self.account else value
            for value in sorted(self.principals)
            if self.outsider.account and _account_in(value) == self.account
        ]
        return list(dict.fromkeys(found))

    def _identity(self, partition: str, principal: str, organization: str, *, anybody: bool, private: bool) -> _World:
        world = _World(principal, choices={key: _Choice() for key in _CHOSEN})
        world.known["aws:PrincipalIsAWSService"] = "false"
        for key in ("aws:PrincipalAccount", "kms:CallerAccount"):
            if self.outsider.account:
                world.known[key] = self.account
            else:
                self._settle(world, key, self.account, "?" * 12)
        world.absent += ["aws:PrincipalServiceName", "aws:PrincipalServiceNamesList", "aws:SourceAccount"]
        world.absent += ["aws:SourceArn", "aws:SourceOrgID", "aws:SourceOrgPaths"]
        world.supplied += ["aws:PrincipalArn", "aws:UserId", "aws:PrincipalType", "aws:SecureTransport"]
        here = f"arn:{partition}:iam::{self.account}:"
        if anybody:
            others = tuple(one for one in self.principals if _account_in(one) == self.account)
            world.choices["aws:principalarn"] = _Choice(
                (f"{here}role/?*", f"{here}user/?*", f"{here}root"), others, form="Name"
            )
        elif ":assumed-role/" in principal:
            role = principal.partition(":assumed-role/")[2].partition("/")[0]
            world.choices["aws:principalarn"] = _Choice((f"{here}role/{role}", f"{here}role/*/{role}"), form="Name")
        else:
            world.known["aws:PrincipalArn"] = principal
        world.choices["aws:userid"] = _Choice(
            (f"{self._fresh('AROAOUTSIDER{:02d}')}:?*", self._fresh("AIDAOUTSIDER{:02d}"), self.account)
        )
        world.choices["aws:principaltype"] = _Choice(("User", "AssumedRole", "FederatedUser", "Account"))
        world.choices["sts:externalid"] = _Choice(kind="luck")
        self._organization(world, "Principal", organization)
        self._network(world, private=private)
        return world

    def _organization(self, world: _World, whose: str, organization: str) -> None:
        if not organization:
            world.absent += [f"aws:{whose}OrgID", f"aws:{whose}OrgPaths"]
            return
        if organization == self.organization:
            self._settle(world, f"aws:{whose}OrgID", organization, "o-?*")
        else:
            world.known[f"aws:{whose}OrgID"] = organization
        world.supplied.append(f"aws:{whose}OrgPaths")
        world.choices[f"aws:{whose}OrgPaths".lower()] = _Choice((f"{organization}/*",))

    def _network(self, world: _World, *, private: bool) -> None:
        """Keys of the network: the request comes over the internet, or through an endpoint in a VPC."""
        if not private:
            world.absent += ["aws:SourceVpc", "aws:SourceVpce", "aws:SourceVpcArn", "aws:VpcSourceIp", "aws:Vpce*"]
            world.absent += ["aws:Ec2InstanceSourceVpc", "aws:Ec2InstanceSourcePrivateIPv4"]
            world.supplied.append("aws:SourceIp")
            world.choices["aws:sourceip"] = _Choice(kind="luck")
            return
        world.absent.append("aws:SourceIp")
        world.supplied += ["aws:SourceVpc", "aws:SourceVpce", "aws:VpcSourceIp"]
        for key, kind in (("sourcevpc", "vpc-"), ("sourcevpce", "vpce-"), ("ec2instancesourcevpc", "vpc-")):
            named = tuple(one for one in self.outsider.networks if one.startswith(kind))
            world.choices[f"aws:{key}"] = _Choice(
                named or (f"{kind}?*",), () if named else self._literals(f"aws:{key}")
            )
        if not self.outsider.networks:
            world.known["aws:VpceAccount"] = self.account
            world.absent += ["aws:VpceOrgID", "aws:VpceOrgPaths"] if not world.known.get("aws:PrincipalOrgID") else []
            if world.known.get("aws:PrincipalOrgID"):
                world.known["aws:VpceOrgID"] = world.known["aws:PrincipalOrgID"]

    def _service(self, number: str, organization: str) -> _World:
        name = self.outsider.service
        world = _World(name)
        world.known |= {
            "aws:PrincipalIsAWSService": "true",
            "aws:PrincipalServiceName": name,
            "aws:PrincipalServiceNamesList": [name],
            "aws:SecureTransport": "true",
        }
        world.absent += ["aws:PrincipalAccount", "aws:PrincipalArn", "aws:PrincipalOrgID", "aws:PrincipalOrgPaths"]
        world.absent += ["aws:PrincipalType", "aws:PrincipalTag/*", "aws:SourceVpc", "aws:SourceVpce", "kms:ViaService"]
        world.choices |= {key: _Choice() for key in ("kms:encryptioncontext:*", "kms:encryptioncontextkeys")}
        if number:
            if self.outsider.account:
                world.known["aws:SourceAccount"] = number
            else:
                self._settle(world, "aws:SourceAccount", number, "?" * 12)
            # Names of buckets belong to whoever takes them first, so those in the policy are taken.
            taken = tuple(one for one in self._literals("aws:sourcearn") if not _account_in(one))
            world.choices["aws:sourcearn"] = _Choice((f"arn:*:*:*:{number}:?*", "arn:*:s3:::?*"), taken, form="ArnLike")
            self._organization(world, "Source", organization)
        else:
            world.absent += ["aws:SourceAccount", "aws:SourceArn", "aws:SourceOrgID", "aws:SourceOrgPaths"]
        return world

    def _federated(self) -> _World:
        provider = self.outsider.provider
        host = provider.rpartition("oidc-provider/")[2].lower()
        world = _World(provider)
        world.absent += ["aws:PrincipalOrgID", "aws:PrincipalOrgPaths", "aws:PrincipalArn", "aws:PrincipalAccount"]
        world.choices |= {
            key: _Choice() for key in ("sts:rolesessionname", "sts:sourceidentity", "aws:requesttag/*", "aws:tagkeys")
        }
        world.choices["aws:sourceip"] = _Choice(kind="luck")
        world.supplied += ["aws:SourceIp", f"{host}:aud", f"{host}:sub"]
        claims = {key.removeprefix(f"{host}:"): key for key in self.keys if key.startswith(f"{host}:")}
        tenant = SHARED_PROVIDERS.get(host)
        for claim, key in claims.items():
            if claim == "amr" and host == COGNITO:
                world.choices[key] = _Choice(("authenticated", "unauthenticated", f"{COGNITO}*"))
            elif host == COGNITO or (tenant is not None and claim in _CLAIMS_OF_TENANT):
                world.choices[key] = _Choice(never=self._literals(key))
            elif tenant is not None and claim in ("sub", "repository"):
                before, after = tenant if claim == "sub" else ("", "/")
                world.choices[key] = _Choice((f"{before}?*{after}?*",), tuple(self._tenants(key, before, after)))
            elif tenant is not None:
                world.choices[key] = _Choice(kind="open" if claim == "job_workflow_ref" else "chosen")
            elif claim in ("aud", "sub", "oaud", "app_id", "id", "user_id"):
                world.known[key] = self._fresh("outsider{:02d}")
        return world

    def _tenants(self, key: str, before: str, after: str) -> Iterator[str]:
        """Yield what names a tenant in full: such names are taken."""
        for value in self.by_key.get(key, ()):
            name, found, _ = value[len(before) :].partition(after)
            if value.startswith(before) and found and name and not any(sign in name for sign in ("*", "?", "${")):
                yield f"{before}{name}{after}*"

    def _resource(self, world: _World, segments: Sequence[str], owner: str, organization: str | None) -> None:
        world.known["aws:ResourceAccount"] = owner
        if organization:
            world.known["aws:ResourceOrgID"] = organization
        elif organization is None:
            world.absent += ["aws:ResourceOrgID", "aws:ResourceOrgPaths"]
        else:
            world.choices["aws:resourceorgid"] = _Choice(never=(self.organization,), kind="open")
        if len(segments) == SEGMENTS and segments[3]:
            world.known["aws:RequestedRegion"] = segments[3]
        else:
            world.choices["aws:requestedregion"] = _Choice()

    def _request(self, world: _World, action: str) -> None:
        """Leave out the keys that requests of this action do not carry."""
        known = find(action)
        if known is None:
            return
        if known.name == "dynamodb:SearchVectors":
            # AWS says both that its requests have none of DynamoDB's keys and that statements on them do not match.
            for key in list(world.choices):
                if key.startswith("dynamodb:"):
                    del world.choices[key]
            return
        prefixes = ("dynamodb:", "kms:", "aws:requesttag/", "aws:tagkeys")
        world.absent += [key for key in self.keys if key.startswith(prefixes) and not known.carries(key)]


#: Claims of shared OIDC providers whose values belong to one tenant.
_CLAIMS_OF_TENANT = frozenset(
    {
        *("repository_id", "repository_owner", "repository_owner_id", "enterprise", "enterprise_id", "actor"),
        *("actor_id", "namespace_id", "namespace_path", "project_id", "project_path", "user_id", "user_login"),
        *("user_email", "organization_id", "organization_slug", "cluster_id", "pipeline_id", "owner_id", "owner"),
        *("terraform_organization_id", "terraform_organization_name"),
    }
)


class _Search:
    """Finds what an outsider must choose to get in."""

    def __init__(self, world: _World) -> None:
        self.world = world
        self.supplied = {key.lower() for key in world.supplied}
        self.steps = 0

    def solve(self, formula: Formula) -> tuple[str, Formula, Answers]:
        """Return the verdict, what stays open, and the answers that the outsider chose."""
        if isinstance(formula, bool):
            return ("allowed" if formula else "denied"), formula, {}
        for family in (4, 6):
            unlucky = {
                one: _covers(one, family) is not (one.quantifier == "other")
                for one in atoms(formula)
                if self._kind(one) == "luck"
            }
            found = self._choose(_assume_all(formula, unlucky), {}, proof=True)
            if found is not None:
                return "allowed", True, found[1] | unlucky
        self.steps = 0
        found = self._choose(formula, {}, proof=False)
        if found is None:
            return "denied", False, {}
        return "conditional", found[0], found[1]

    def _kind(self, atom: Atom) -> str:
        choice = self.world.choice(atom.key)
        if choice is None or atom.opaque:
            return "open"
        return "chosen" if choice.kind == "luck" and atom.test == "absent" else choice.kind

    def _choose(self, formula: Formula, answers: Answers, *, proof: bool) -> tuple[Formula, Answers] | None:
        """Answer what the outsider chooses; with ``proof`` nothing may stay open, else something must be possible."""
        self.steps += 1
        if formula is False or self.steps > BUDGET:
            # Without a proof it is not allowed, and without a refutation not denied.
            return None if formula is False or proof else (formula, answers)
        chosen = next((one for one in atoms(formula) if self._kind(one) == "chosen"), None)
        if chosen is None:
            rest = refine(formula, lambda given: possible(given) and self._feasible(given, proof=False))
            return (rest, answers) if (rest is True if proof else rest is not False) else None
        for answer in (True, False):
            given = answers | {chosen: answer}
            if possible(given) and self._feasible(given, proof=proof):
                found = self._choose(assume(formula, chosen, answer), given, proof=proof)
                if found is not None:
                    return found
        return None

    def _feasible(self, answers: Answers, *, proof: bool) -> bool:
        """Tell whether values exist that answer so; where that cannot be told, yes unless a proof is asked for."""
        by_key: dict[str, list[tuple[Atom, bool]]] = {}
        for atom, answer in answers.items():
            if atom.test != "note":
                by_key.setdefault(atom.key, []).append((atom, answer))
        for key, pairs in by_key.items():
            choice = self.world.choice(key)
            there = [(Atom(key, "absent"), False)] if key in self.supplied else []
            found = True if choice is None else _key_feasible(choice, [*pairs, *there])
            if found is False or (found is None and proof):
                return False
        return True


def _covers(atom: Atom, family: int) -> bool:
    """Tell whether a condition on a source address admits every address of an IP version."""
    if atom.test != "IpAddress":
        return False
    networks = [one for one in map(_network_of, atom.values) if one is not None and one.version == family]
    if family == 4:
        whole = ipaddress.collapse_addresses([one for one in networks if isinstance(one, ipaddress.IPv4Network)])
        return any(one.prefixlen == 0 for one in whole)
    return any(
        one.prefixlen == 0
        for one in ipaddress.collapse_addresses([one for one in networks if isinstance(one, ipaddress.IPv6Network)])
    )


def _network_of(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        return None


def _key_feasible(choice: _Choice, pairs: list[tuple[Atom, bool]]) -> bool | None:
    """Tell whether a key can have values that answer some questions so, or None."""
    absent = next((answer for atom, answer in pairs if atom.test == "absent"), None)
    tests = [(atom, answer) for atom, answer in pairs if atom.test != "absent"]
    if absent:
        return not any(answer for _, answer in tests)
    if all(not atom.quantifier for atom, _ in tests):
        if not tests or (absent is None and not any(answer for _, answer in tests)):
            return True if tests or absent is None else _value_exists(choice, [])
        return _value_exists(choice, tests)
    # Some of several values, each of which meets what is asked of all.
    of_all = [(replace(atom, quantifier=""), atom.quantifier == "other") for atom, answer in tests if not answer]
    of_one = [(replace(atom, quantifier=""), atom.quantifier != "other") for atom, answer in tests if answer]
    outcomes = [_value_exists(choice, [*of_all, one]) for one in of_one]
    if not of_one and absent is False:
        outcomes.append(_value_exists(choice, of_all))
    return False if False in outcomes else None if None in outcomes else True


def _value_exists(choice: _Choice, tests: list[tuple[Atom, bool]]) -> bool | None:
    families = {_family(atom.test) for atom, _ in tests} or {"text"}
    if families == {"text"}:
        required = [_acceptor(atom) for atom, wanted in tests if wanted]
        # A value with a policy variable may differ from anything.
        forbidden = [_acceptor(atom) for atom, wanted in tests if not wanted and not atom.opaque]
        limits = (tuple(_compiled(one, choice.form) for one in choice.within), *required)
        never = (tuple(_compiled(one, choice.form) for one in choice.never), *forbidden)
        return _text_exists(limits, never)
    if len(families) != 1:
        return None
    points = _points(families.pop(), [value for atom, _ in tests for value in atom.values])
    if points is None:
        return None
    return any(
        all(any(COMPARE[atom.test](point, value) is True for value in atom.values) is wanted for atom, wanted in tests)
        for point in points
    )


def _family(test: str) -> str:
    if test in ("StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnLike"):
        return "text"
    return next((name for name in ("Bool", "Numeric", "IpAddress") if test.startswith(name)), "other")


def _points(family: str, values: list[str]) -> list[str] | None:
    """Return values of which at least one stands for each way in which values can compare, or None."""
    if family == "Bool":
        return ["true", "false"]
    if family == "Numeric":
        try:
            numbers = [Decimal(value.strip()) for value in values]
        except (InvalidOperation, ValueError):
            return None
        # A request's numbers are whole and not negative.
        near = {number + step for number in numbers for step in (-1, 0, 1)} | {Decimal(0)}
        return [str(number) for number in near if number >= 0]
    if family == "IpAddress":
        networks = [one for one in map(_network_of, values) if one is not None]
        starts = {"0.0.0.0", "::"}  # noqa: S104 - an address to compare with, nothing listens
        for one in networks:
            starts.add(str(one.network_address))
            last = int(one.broadcast_address)
            if last + 1 < 2**one.max_prefixlen:
                starts.add(str(type(one.network_address)(last + 1)))
        return sorted(starts)
    return None


#: One element of a compiled text: the characters it takes (None: any), whether it repeats, whether it takes colons.
_Element = tuple[frozenset[str] | None, bool, bool]
_Pattern = tuple[_Element, ...]


def _acceptor(atom: Atom) -> tuple[_Pattern, ...]:
    return tuple(_compiled(value, "Shape" + atom.test if atom.opaque else atom.test) for value in atom.values)


@lru_cache(maxsize=4096)
def _compiled(text: str, test: str) -> _Pattern:
    if test.startswith("Shape"):
        # What a policy variable stands for is not known: it may be anything.
        filled = fill(text, lambda key: Open.OPEN)
        return _compiled(filled.glob.text if filled.glob is not None else "*", "StringLike")
    if test == "ArnLike" and text != "*":
        elements: list[_Element] = []
        for number, segment in enumerate(arn_segments(text)):
            last = number == SEGMENTS - 1
            elements += _elements(segment, wild=True, any_case=number < IGNORING_CASE, colons=last)
            if not last:
                elements.append((frozenset(":"), False, True))
        return tuple(elements)
    wild = test in ("StringLike", "ArnLike", "Name")
    return tuple(_elements(text, wild=wild, any_case=test == "StringEqualsIgnoreCase", colons=test != "Name"))


def _elements(text: str, *, wild: bool, any_case: bool, colons: bool) -> Iterator[_Element]:
    for sign in text:
        if wild and sign in "*?":
            yield None, sign == "*", colons
        else:
            yield frozenset((sign.lower(), sign.upper()) if any_case else sign), False, True


_State = frozenset[tuple[int, int]]


@lru_cache(maxsize=16384)
def _text_exists(
    required: tuple[tuple[_Pattern, ...], ...], forbidden: tuple[tuple[_Pattern, ...], ...]
) -> bool | None:
    """Tell whether a text matches one pattern of every required group and none of the forbidden; None: too costly."""
    groups = (*required, *forbidden)
    letters = {
        sign for group in groups for pattern in group for signs, _, _ in pattern if signs is not None for sign in signs
    }
    other = next(chr(code) for code in range(97, 97 + len(letters) + 1) if chr(code) not in letters)
    alphabet = [*sorted(letters), other]
    start = tuple(_closure(group, {(number, 0) for number in range(len(group))}) for group in groups)
    seen = {start}
    queue = deque([start])
    while queue:
        states = queue.popleft()
        matched = [_accepts(group, state) for group, state in zip(groups, states, strict=True)]
        if all(matched[: len(required)]) and not any(matched[len(required) :]):
            return True
        for sign in alphabet:
            after = tuple(_step(group, state, sign) for group, state in zip(groups, states, strict=True))
            if after not in seen and all(after[: len(required)]):
                if len(seen) >= TEXT_BUDGET:
                    return None
                seen.add(after)
                queue.append(after)
    return False


def _closure(group: tuple[_Pattern, ...], positions: set[tuple[int, int]]) -> _State:
    todo = list(positions)
    while todo:
        number, at = todo.pop()
        if at < len(group[number]) and group[number][at][1] and (number, at + 1) not in positions:
            positions.add((number, at + 1))
            todo.append((number, at + 1))
    return frozenset(positions)


def _step(group: tuple[_Pattern, ...], state: _State, sign: str) -> _State:
    found = set()
    for number, at in state:
        if at < len(group[number]):
            signs, repeats, colons = group[number][at]
            if (signs is None and (colons or sign != ":")) or (signs is not None and sign in signs):
                found.add((number, at if repeats else at + 1))
    return _closure(group, found)


def _accepts(group: tuple[_Pattern, ...], state: _State) -> bool:
    return any(at == len(group[number]) for number, at in state)
