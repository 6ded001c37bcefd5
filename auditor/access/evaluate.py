"""The scalar evaluator: one request, all policies that speak about it, one decision with its reasons.

Source: IAM User Guide, "Policy evaluation logic", "How AWS enforcement code logic evaluates requests", "Permissions
boundaries", "Cross-account policy evaluation logic"; Organizations User Guide, "SCP evaluation" and "Resource control
policies"; DynamoDB Developer Guide, "API operations supported by resource-based policies".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from auditor.access.actions import RCP_SERVICES, find
from auditor.access.conditions import Context, Keys, doubt, holds, possible
from auditor.access.formula import Atom, Formula, every, negate, refine, some
from auditor.access.patterns import SEGMENTS, arn_pattern
from auditor.access.policy import Policy, Statement, lost, read, scalar
from auditor.access.principals import FEDERATED_ACTIONS, Caller, caller, denied_by_exclusion, named
from auditor.access.principals import Named as NamedCaller
from auditor.access.words import in_words


@dataclass(frozen=True)
class Request:
    """One request.

    Attributes:
        principal: An IAM, session or root ARN, a service name, a federated provider, or None (anonymous).
        action: IAM action, such as ``dynamodb:GetItem``.
        resource: ARN of the resource, or ``*``.
        resource_account: The account that owns the resource; None: the one in its ARN.
        context: Condition keys and their values (a text or a list of texts). Nothing is derived from principal or
            resource. A key that is not here is absent.
        unknown_keys: Keys that may be absent or have any value; a name that ends in ``*`` stands for all that begin so.
        supplied_keys: Keys that are surely there, with a value that is not known.
        absent_keys: Keys that are absent though ``unknown_keys`` names them (``*`` names every key).
    """

    principal: str | None
    action: str
    resource: str
    resource_account: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    unknown_keys: Iterable[str] = ()
    supplied_keys: Iterable[str] = ()
    absent_keys: Iterable[str] = ()

    def __post_init__(self) -> None:
        """Keep the unknown keys, so that a request can be evaluated more than once."""
        if not isinstance(self.unknown_keys, Collection):
            object.__setattr__(self, "unknown_keys", tuple(self.unknown_keys or ()))

    def read_context(self) -> Context:
        """Return the condition keys in the form that the engine compares."""
        known = {}
        odd = []
        for key, value in (self.context or {}).items():
            values = value if isinstance(value, list | tuple | set | frozenset) else [value]
            try:
                known[str(key).lower()] = tuple(scalar(one) for one in values if one is not None)
            except (ValueError, RecursionError):
                # The key is there; what IAM would compare is not known.
                odd.append(str(key))
        supplied = [*self.supplied_keys, *odd]
        unknown = [self.unknown_keys] if isinstance(self.unknown_keys, str) else list(self.unknown_keys or ())
        if self.action.lower() == "dynamodb:searchvectors":
            # AWS says both that the keys are not there and that a statement which looks at them does not match, so
            # that ForAllValues is left open (DynamoDB Developer Guide, "Vector search security").
            unknown.append("dynamodb:*")
        return Context(known, Keys(unknown), Keys(supplied), Keys(self.absent_keys))


@dataclass(frozen=True)
class Policies:
    """All policies that speak about a request. A document is a mapping, its JSON text, a ``Named`` or ``Unreadable``.

    Attributes:
        identity: Identity policies of the principal, those of a user's groups included.
        boundary: Its permissions boundary, or None.
        session: Its session policy, or None.
        scps: Levels (root, organisational units, account), each with its documents; empty: no SCPs.
        rcps: The same for resource control policies of the resource's account.
        resource: Resource policy; for ``kms:*`` the key policy, for ``sts:AssumeRole*`` the trust policy.
        endpoint: Policy of the VPC endpoint that the request goes through, or None.
    """

    identity: Sequence[Any] = ()
    boundary: Any = None
    session: Any = None
    scps: Sequence[Sequence[Any]] = ()
    rcps: Sequence[Sequence[Any]] = ()
    resource: Any = None
    endpoint: Any = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A statement that speaks about the request.

    Attributes:
        kind: ``identity``, ``boundary``, ``session``, ``scp``, ``rcp``, ``resource`` or ``endpoint``.
        policy: The policy's name.
        sid: The statement's Sid, or an empty text.
        index: Its position; -1 for a whole policy that cannot be read.
        allow: It allows.
        applies: Whether it applies: True, or the conditions under which it does.
        level: For ``scp`` and ``rcp`` the level, from 0 (root).
    """

    kind: str
    policy: str
    sid: str
    index: int
    allow: bool
    applies: Formula
    level: int | None = None

    @property
    def statement(self) -> str:
        """The statement in words: its Sid, or its number."""
        name = self.policy if "policy" in self.policy else f"policy {self.policy}"
        return f"{name}, which cannot be read" if self.index < 0 else f"statement {self.sid or self.index} of {name}"


#: How good a verdict is.
RANK = {"denied": 0, "conditional": 1, "allowed": 2}


@dataclass(frozen=True)
class Decision:
    """What IAM decides.

    Attributes:
        result: ``Allowed``, ``ExplicitlyDenied`` or ``ImplicitlyDenied``; a conditional verdict is Allowed.
        verdict: ``allowed``, ``conditional`` or ``denied``.
        blocked_by: Kinds of policies that turned down what would otherwise be granted.
        conditions: The conditions of a conditional verdict, in words; else an empty text.
        trace: Every statement that speaks about the request.
        formula: When the request is allowed.
        lints: What looks wrong in the policies, in words.
    """

    result: str
    verdict: str
    blocked_by: list[str]
    conditions: str
    trace: list[Hit]
    formula: Formula
    lints: list[str]

    @property
    def allowed(self) -> bool:
        """The request is allowed, perhaps under conditions."""
        return self.verdict != "denied"

    @property
    def grants(self) -> list[Hit]:
        """The statements of identity and resource policies that allow."""
        return [hit for hit in self.trace if hit.allow and hit.kind in ("identity", "resource")]

    @property
    def denials(self) -> list[Hit]:
        """The statements that deny."""
        return [hit for hit in self.trace if not hit.allow]


@dataclass
class _Source:
    """What one kind of policy (at one level) says of a request."""

    allow: Formula
    deny: Formula
    by_role: Formula = False
    by_account: Formula = False
    present: bool = True
    offers: bool = True


class _Evaluation:
    def __init__(self, request: Request, policies: Policies) -> None:
        self.context = request.read_context()
        self.action = request.action.lower()
        self.service = self.action.partition(":")[0]
        self.who: Caller = caller(request.principal, self.action, self.context)
        self.policies = policies
        self.hits: list[Hit] = []
        self.lints: list[str] = []
        known = find(request.action)
        # An action without resource types is granted on `*` only.
        bare = known is not None and known.listed and not known.resources
        self.resource = "*" if bare else request.resource
        owner = request.resource_account
        if owner is None:
            parts = request.resource.split(":", SEGMENTS - 1)
            owner = parts[4] if len(parts) == SEGMENTS else ""
        self.same_account = not owner or owner == self.who.account
        self.trust = self.action.startswith("sts:assumerole")
        self.boundary = policies.boundary is not None

    def _read(self, document: Any, name: str) -> Policy:
        policy = read(document, name, trust=self.trust and name == "resource policy")
        if policy.unreadable is not None:
            self.lints.append(f"policy {policy.name} cannot be read: {policy.unreadable}")
        self.lints += [f"policy {policy.name}: {text}" for text in policy.lints]
        return policy

    def _applies(self, statement: Statement, policy: Policy, kind: str) -> Formula:
        """Action, resource and conditions; the principal is looked at where there is one."""
        if not statement.covers(self.action):
            return False
        matched = self._resource_matches(statement, policy, kind)
        if matched is False:
            return False
        for condition in statement.conditions:
            text = doubt(condition)
            if text is not None:
                self.lints.append(f"policy {policy.name}: statement {statement.sid or statement.index} {text}")
        return every([matched, holds(statement.conditions, self.context, variables=policy.variables)])

    def _resource_matches(self, statement: Statement, policy: Policy, kind: str) -> Formula:
        if statement.resources is None or (self.trust and kind == "resource"):
            return True
        resolve = self.context.resolve if policy.variables else None
        found: list[Formula] = []
        for text in statement.resources:
            if text.strip("*") == "" and text:
                found = [True]
                break
            pattern = arn_pattern(text, resolve, variables_in=range(SEGMENTS - 1, SEGMENTS))
            if not pattern.matches(self.resource):
                continue
            if not pattern.open:
                found = [True]
                break
            found.append(Atom(f"{text} is this resource", "note"))
        matched = some(found)
        return negate(matched) if statement.not_resource else matched

    def source(self, kind: str, documents: Iterable[Any], name: str, level: int | None = None) -> _Source:
        """Evaluate policies that are unions: any Allow allows, any Deny denies."""
        allow: list[Formula] = []
        deny: list[Formula] = []
        role: list[Formula] = []
        account: list[Formula] = []
        offers = False
        for number, document in enumerate(_documents(documents)):
            policy = self._read(document, name if name.endswith("policy") else f"{name} {number}")
            if policy.unreadable is not None:
                note, refusal = lost(policy.name)
                allow.append(note)
                deny.append(refusal)
                self.hits.append(Hit(kind, policy.name, "", -1, True, note, level))
                offers = True
                continue
            for statement in policy.statements:
                offers = offers or statement.allow
                applies = self._applies(statement, policy, kind)
                if applies is False:
                    continue
                who = self._principal(statement, kind)
                whole = every([applies, who.at_all])
                if whole is False:
                    continue
                self.hits.append(Hit(kind, policy.name, statement.sid, statement.index, statement.allow, whole, level))
                if statement.allow:
                    confused = self._confused_deputy(statement)
                    allow.append(every([applies, who.exact, confused]))
                    role.append(every([applies, who.role]))
                    account.append(every([applies, who.account]))
                else:
                    deny.append(whole)
        return _Source(some(allow), some(deny), some(role), some(account), offers=offers)

    def _principal(self, statement: Statement, kind: str) -> NamedCaller:
        if kind not in ("resource", "rcp", "endpoint"):
            return NamedCaller(exact=True)
        if statement.principals is None:
            if kind == "resource":
                self.lints.append(
                    f"a resource policy's statement {statement.sid or statement.index} names no principal"
                )
            return NamedCaller(exact=kind != "resource")
        if not statement.not_principal:
            found = named(statement.principals, self.who, self.context)
            return found if kind == "resource" else NamedCaller(exact=found.at_all)
        if statement.allow:
            found = named(statement.principals, self.who, self.context)
            return NamedCaller(exact=negate(some([found.exact, found.role])))
        return NamedCaller(
            exact=denied_by_exclusion(statement.principals, self.who, self.context, boundary=self.boundary)
        )

    def _confused_deputy(self, statement: Statement) -> Formula:
        """Replication between accounts must be confined to the replicas, or anybody's replication may use it."""
        if self.service != "dynamodb" or self.who.kind != "service":
            return True
        if self.who.arn.lower() != "replication.dynamodb.amazonaws.com":
            return True
        keys = {condition.key for condition in statement.conditions}
        if {"aws:sourceaccount", "aws:sourcearn"} <= keys:
            return True
        return Atom("DynamoDB replicates for an account that the statement does not confine (confused deputy)", "note")

    def _service_rule(self) -> Formula:
        """Which of DynamoDB's actions another account can be granted."""
        if self.service not in ("dynamodb", "dax"):
            return True
        known = find(self.action)
        support = known.resource_policy if known is not None else "-"
        if support == "undocumented":
            return Atom(f"DynamoDB lets other accounts call {known.name if known else self.action}", "note")
        return support in ("rbp+xacct", "rbp-replication")

    def _grant(self, identity: _Source, boundary: Formula, session: Formula, resource: _Source) -> Formula:
        exact, role, account = resource.allow, resource.by_role, resource.by_account
        kind = self.who.kind
        if kind == "anonymous":
            return False if self.service in ("dynamodb", "dax", "kms", "sts") else exact
        if kind in ("service", "federated") or self.action in FEDERATED_ACTIONS:
            return exact
        limited = every([boundary, session])
        own = every([identity.allow, limited])
        if self.service == "kms" or self.trust:
            if self.same_account:
                return some([exact, every([role, limited]), every([account, own])])
            return every([some([exact, role, account]), own])
        if self.same_account:
            return some([own, exact, every([role, limited])])
        return every([some([exact, role, account]), own, self._service_rule()])

    def decide(self) -> Decision:
        policies = self.policies
        identity = self.source("identity", policies.identity, "identity policy")
        if self.who.kind == "root":
            identity.allow = True
        boundary = self._optional("boundary", policies.boundary, "boundary policy")
        session = self._optional("session", policies.session, "session policy")
        resource = self._optional("resource", policies.resource, "resource policy")
        if policies.resource is None:
            resource = _Source(False, False)
        endpoint = self._optional("endpoint", policies.endpoint, "endpoint policy")
        scps = self._levels("scp", policies.scps) if self._bound_by_scps() else []
        rcps = self._levels("rcp", policies.rcps) if self._bound_by_rcps() else []
        grant = self._grant(identity, boundary.allow, session.allow, resource)
        factors = {
            "boundary": [boundary],
            "session": [session],
            "scp": scps,
            "rcp": rcps,
            "endpoint": [endpoint],
            "identity": [identity],
            "resource": [resource],
        }
        allows = every(level.allow for kind in ("scp", "rcp", "endpoint") for level in factors[kind])
        deny = some(level.deny for levels in factors.values() for level in levels)
        final = refine(every([grant, allows, negate(deny)]), possible)
        if final is False:
            free = self._grant(identity, True, True, resource)
            blocked = [] if free is False else _blocking(factors, grant)
            explicit = refine(deny, possible) is True or (
                deny is not False and refine(every([grant, allows]), possible) is not False
            )
            result = "ExplicitlyDenied" if explicit else "ImplicitlyDenied"
            return Decision(result, "denied", blocked, "", self.hits, False, self._lints())
        verdict = "allowed" if final is True else "conditional"
        words = "" if final is True else in_words(final)
        return Decision("Allowed", verdict, [], words, self.hits, final, self._lints())

    def _lints(self) -> list[str]:
        return list(dict.fromkeys(self.lints))

    def _optional(self, kind: str, document: Any, name: str) -> _Source:
        if document is None:
            return _Source(True, False, present=False)
        return self.source(kind, [document], name)

    def _levels(self, kind: str, levels: Sequence[Sequence[Any]]) -> list[_Source]:
        found = []
        for number, documents in enumerate(_documents(levels)):
            # A level that is not known is no empty one: that would deny everything.
            held = [None] if documents is None else documents
            level = self.source(kind, held, f"{kind} at level {number}, document", number)
            if kind == "rcp" and not level.offers:
                # RCPFullAWSAccess is attached everywhere and cannot be detached; who leaves it out means only the rest.
                level.allow = True
            found.append(level)
        return found

    def _bound_by_scps(self) -> bool:
        """SCPs bind the users and roles of member accounts, not service-linked roles."""
        return bool(self.who.account) and not self.who.service_linked and self.who.kind != "federated"

    def _bound_by_rcps(self) -> bool:
        """RCPs know a list of services, and leave service-linked roles and kms:RetireGrant alone."""
        return self.service in RCP_SERVICES and not self.who.service_linked and self.action != "kms:retiregrant"


def _documents(held: Any) -> Sequence[Any]:
    """Return the members of a list; None is an empty one, and a document stands for a list of one."""
    if held is None:
        return ()
    if isinstance(held, str | bytes | Mapping) or not isinstance(held, Iterable):
        return (held,)
    return tuple(held)


def _blocking(factors: Mapping[str, list[_Source]], grant: Formula) -> list[str]:
    blocked = []
    for kind, levels in factors.items():
        denies = any(level.deny is True for level in levels)
        silent = kind in ("scp", "rcp", "endpoint") and any(level.allow is False for level in levels)
        limits = kind in ("boundary", "session") and grant is False and any(level.allow is False for level in levels)
        if denies or silent or limits:
            blocked.append(kind)
    if blocked:
        return blocked
    return [kind for kind, levels in factors.items() if any(level.deny is not False for level in levels)]


def evaluate(request: Request, policies: Policies) -> Decision:
    """Decide a request.

    Args:
        request: Who wants to do what with which resource, and the condition keys.
        policies: All policies that speak about it.

    Returns:
        The decision. A policy that cannot be read makes it conditional unless the others decide; it never raises
        for what a policy holds.
    """
    return _Evaluation(request, policies).decide()
