"""What the service control policies on an account's path refuse: a derived fact that rules put requests to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from auditor.access import Decision, Named, Request, evaluate, read
from auditor.access.conditions import holds
from auditor.access.estate import Estate, Principal
from auditor.access.estate import Table as TableEntry
from auditor.access.formula import atoms
from auditor.access.patterns import arn_pattern
from auditor.access.policy import Condition, Statement
from auditor.facts.base import Gap, Reason

#: Lets everything, so that only guardrails decide.
EVERYTHING = Named(
    "everything", {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
)

#: A trust policy whose sessions carry no tags.
UNTAGGED = {"Version": "2012-10-17", "Statement": []}

#: What a key policy usually says: the account's policies decide.
KEY_POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}],
}

#: Condition keys that tell one principal of an account from another (IAM User Guide, "AWS global condition context
#: keys"); their common beginnings. Those in :data:`OF_THE_ACCOUNT` are the same for all of them.
OF_THE_PRINCIPAL = ("aws:principal", "aws:userid", "aws:username", "aws:federatedprovider", "aws:sourceidentity")
OF_THE_ACCOUNT = frozenset(
    {"aws:principalaccount", "aws:principalorgid", "aws:principalorgpaths", "aws:principalisawsservice"}
)

_RESOURCE_TAG = "aws:resourcetag/"

#: Open keys that no caller chooses: what a decision makes of them is not known, neither allowed nor denied.
NOT_CHOSEN = (_RESOURCE_TAG, *OF_THE_PRINCIPAL)

#: The name in a policy variable, such as ${aws:username} or ${aws:PrincipalTag/team, 'none'}.
_VARIABLE = re.compile(r"\$\{([^},]+)")

#: Names of the principals that stand for an ordinary role and an ordinary user.
PROBE = "ddbaudit-probe"


@dataclass(frozen=True, slots=True)
class GuardedRequest:
    """A request that guardrails may refuse.

    Attributes:
        action: IAM action.
        resource: ARN of the resource, or ``*``.
        tags: Tags of the table that it is about, empty where there are none or the resource cannot have any; None: not
            known.
        context: Condition keys with their values, beside those that follow from principal and resource.
        supplied: Keys that are there, with a value that the caller chooses.
        absent: Keys that are not in the request; a name that ends in ``*`` stands for all that begin so.
    """

    action: str
    resource: str
    tags: Mapping[str, str] | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    supplied: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """``dynamodb:DeleteTable on arn:…``."""
        region = self.context.get("aws:RequestedRegion")
        sent = f" (sent to {region})" if region and f":{region}:" not in self.resource else ""
        return self.action if self.resource == "*" else f"{self.action} on {self.resource}{sent}"


@dataclass(frozen=True, slots=True)
class GuardrailAnswer:
    """What the guardrails on an account's path make of one request of one principal.

    Attributes:
        principal: The principal's ARN.
        request: The request.
        outcome: ``denied``; ``allowed``, perhaps under conditions that the caller can meet; or ``undecidable``.
        conditions: The conditions of what is allowed, or what the answer hangs on, in words.
        denied_by: The statements that deny, or the level that allows nothing of the kind, in words.
    """

    principal: str
    request: GuardedRequest
    outcome: Literal["denied", "allowed", "undecidable"]
    conditions: str = ""
    denied_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GuardrailProof:
    """What guardrails make of some requests that they should refuse.

    Attributes:
        allowed: Requests of the probe principals that get through.
        undecided: Those of which that cannot be told.
        denied_by: What refuses the others, in words.
        exempt: ARNs of real users and roles that get through with some of the requests, sorted.
        doubtful: Of which that cannot be told.
        gap: Why it is not known who is exempt, though the policies do make exemptions; or None.
        enabled: The account's path has service control policies at all.
        judged: How many real users and roles were asked about; None: the account's are not known.
    """

    allowed: tuple[GuardrailAnswer, ...]
    undecided: tuple[GuardrailAnswer, ...]
    denied_by: tuple[str, ...] = ()
    exempt: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()
    gap: Gap | None = None
    judged: int | None = None
    enabled: bool = True

    def opening(self, most: int) -> str:
        """Return why the guardrails do not hold, as a sentence, or an empty text.

        Args:
            most: How many principals may be exempt.
        """
        if self.allowed:
            first = self.allowed[0]
            under = f" ({first.conditions})" if first.conditions else ""
            more = len({one.request.words for one in self.allowed}) - 1
            rest = f", nor are {more} other requests" if more > 1 else ", nor is one other request" if more else ""
            who = first.principal.rpartition(":")[2]
            why = "" if self.enabled else "The organisation has no service control policies enabled: "
            return f"{why}{first.request.words} is not denied to an ordinary principal, {who}{under}{rest}."
        if len(self.exempt) > most:
            named = ", ".join(arn.rpartition(":")[2] for arn in self.exempt[:3])
            return f"{len(self.exempt)} principals are exempt, more than the {most} allowed: {named}, …"
        return ""

    def doubt(self, most: int) -> Gap | None:
        """Return why it cannot be told whether the guardrails hold, where :meth:`opening` finds nothing.

        Args:
            most: How many principals may be exempt.
        """
        if self.undecided:
            first = self.undecided[0]
            return Gap(Reason.UNDECIDABLE, f"Whether {first.request.words} is denied {first.conditions}.")
        if self.gap is not None:
            return replace(self.gap, detail=f"How many principals are exempt is not known: {self.gap.detail}")
        if len(self.exempt) + len(self.doubtful) > most:
            return Gap(
                Reason.UNDECIDABLE,
                f"More than {most} principals may be exempt: whether {self.doubtful[0].rpartition(':')[2]} is depends "
                "on what the account does not show, such as tags of its sessions.",
            )
        return None

    def evidence(self) -> dict[str, Any]:
        """Return the findings' evidence; long lists are cut, with their length."""
        found: dict[str, Any] = {"deniedBy": list(self.denied_by)}
        if self.allowed:
            found["notDenied"] = _listed(self.allowed)
        if self.undecided:
            found["undecided"] = _listed(self.undecided)
        if self.judged is None:
            found["exemptPrincipals"] = "not known: users and roles could not be read"
            return found
        found["exemptPrincipals"] = list(self.exempt[:_SHOWN])
        found["principalsJudged"] = self.judged
        if len(self.exempt) > _SHOWN:
            found["exemptPrincipalCount"] = len(self.exempt)
        if self.doubtful:
            found["perhapsExemptPrincipals"] = list(self.doubtful[:_SHOWN])
        return found


#: Entries of a list in the evidence.
_SHOWN = 20


def _listed(answers: Iterable[GuardrailAnswer]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for one in answers:
        entry = found.setdefault(one.request.words, {"action": one.request.action, "resource": one.request.resource})
        entry.setdefault("principals", []).append(one.principal)
        if region := one.request.context.get("aws:RequestedRegion"):
            entry["aws:RequestedRegion"] = region
        if one.conditions:
            entry["conditions"] = one.conditions
    return list(found.values())[:_SHOWN]


@dataclass(frozen=True)
class Guardrails:
    """The service control policies on an account's path, ready to be asked (derived).

    Resource control policies are not part of it: the question is what service control policies refuse.

    Attributes:
        account: The account's number.
        partition: Its partition.
        exemption: Why service control policies say nothing of the account, as a sentence, or an empty text.
        estate: The account with its policies; its principals are the real users and roles that are judged.
        targets: Id of each level of the path, root first, with the names of the policies attached there.
        gap: Why the policies are not known, or None.
        identities: Why users and roles are not known, or None.
    """

    account: str
    partition: str
    exemption: str
    estate: Estate
    targets: tuple[tuple[str, tuple[str, ...]], ...] = ()
    gap: Gap | None = None
    identities: Gap | None = None

    @property
    def attached(self) -> list[dict[str, Any]]:
        """The path with its policies, as evidence."""
        return [{"TargetId": target, "Policies": list(names)} for target, names in self.targets]

    @property
    def probes(self) -> tuple[Principal, Principal]:
        """An ordinary role and an ordinary user, which no exemption can mean by name."""
        stem = f"arn:{self.partition}:iam::{self.account}"
        return Principal(f"{stem}:role/{PROBE}", "role", trust=UNTAGGED), Principal(f"{stem}:user/{PROBE}", "user")

    def denies(
        self, principal: Principal, request: GuardedRequest, *, abac: bool | None = None
    ) -> tuple[Decision, Request]:
        """Decide a request of a principal whom its own policies allow everything.

        Args:
            principal: A probe or a real user or role.
            request: The request.
            abac: DynamoDB evaluates the table's tags; None: as the configuration says, and on where it does not.

        Returns:
            The decision, denied where a guardrail refuses, and the request as it was evaluated.
        """
        able = replace(principal, policies=(EVERYTHING,), boundary=None, session=None)
        asked = self._request(able, request, abac)
        key_policy = KEY_POLICY if request.action.lower().startswith("kms:") else None
        policies = self.estate.policies(able, request.resource, key_policy)
        return evaluate(asked, replace(policies, rcps=())), asked

    def _request(self, principal: Principal, request: GuardedRequest, abac: bool | None) -> Request:
        table = None if request.tags is None else TableEntry(request.resource, tags=request.tags)
        context = {**_identity(principal), **request.context}
        made = self.estate.request(principal, request.action, request.resource, table=table, abac=abac, context=context)
        gone = {name.lower() for name in request.absent}
        return replace(
            made,
            supplied_keys=[*(key for key in made.supplied_keys if key.lower() not in gone), *request.supplied],
            absent_keys=[*made.absent_keys, *request.absent],
        )

    def answer(self, principal: Principal, request: GuardedRequest) -> GuardrailAnswer:
        """Tell whether the guardrails refuse a request, with and without attribute-based access control.

        Where it is not known whether DynamoDB evaluates tags and the outcomes differ, the answer is undecidable.
        """
        on_table = request.action.lower().startswith("dynamodb:") and self._on_tags
        modes = (True, False) if on_table and self.estate.abac is None else (self.estate.abac if on_table else True,)
        answers = [self._answer(principal, request, mode) for mode in modes]
        if len({one.outcome for one in answers}) == 1:
            return answers[0]
        told = next((one for one in answers if one.outcome == "undecidable"), None)
        why = told.conditions if told else "depends on ABAC, and abac_enabled is not declared"
        return GuardrailAnswer(principal.arn, request, "undecidable", why)

    def _answer(self, principal: Principal, request: GuardedRequest, abac: bool | None) -> GuardrailAnswer:
        decision, _ = self.denies(principal, request, abac=abac)
        if decision.verdict == "denied":
            return GuardrailAnswer(principal.arn, request, "denied", denied_by=tuple(self._refusals(decision)))
        if decision.verdict == "conditional":
            open_keys = sorted(
                {one.key for one in atoms(decision.formula) if one.test == "note" or one.key.startswith(NOT_CHOSEN)}
            )
            if open_keys:
                why = f"cannot be decided: it is allowed {decision.conditions}"
                return GuardrailAnswer(principal.arn, request, "undecidable", why)
        return GuardrailAnswer(principal.arn, request, "allowed", decision.conditions)

    def _refusals(self, decision: Decision) -> Iterator[str]:
        hits = [hit.statement for hit in decision.denials if hit.kind == "scp" and hit.applies is True]
        yield from hits or ["no policy of some level allows it (allow list)"]

    def prove(self, requests: Iterable[GuardedRequest]) -> GuardrailProof:
        """Put requests that should be refused to the guardrails, as probe principals and as the real ones.

        What no policy can tell apart, tables that share the same statements and principals without an exemption, is
        evaluated once.
        """
        alike = self._alike_requests(list(requests))
        answers = [
            replace(answer, request=request)
            for group in alike
            for answer in [self.answer(probe, group[0]) for probe in self.probes]
            for request in group
        ]
        allowed = tuple(one for one in answers if one.outcome == "allowed")
        undecided = tuple(one for one in answers if one.outcome == "undecidable")
        denied_by = tuple(dict.fromkeys(words for one in answers for words in one.denied_by))
        asked = [group[0] for group in alike]
        if self.identities is not None:
            gap = self.identities if self.makes_exemptions(asked) else None
            return GuardrailProof(allowed, undecided, denied_by, gap=gap, enabled=bool(self.targets))
        exempt: list[str] = []
        doubtful: list[str] = []
        for principals in self._alike_principals(asked):
            outcomes = set()
            for request in asked:
                outcomes.add(self.answer(principals[0], request).outcome)
                if "allowed" in outcomes:
                    break
            found = exempt if "allowed" in outcomes else doubtful if "undecidable" in outcomes else []
            found += [one.arn for one in principals]
        return GuardrailProof(
            allowed,
            undecided,
            denied_by,
            tuple(sorted(exempt)),
            tuple(sorted(doubtful)),
            judged=len(self.estate.principals),
            enabled=bool(self.targets),
        )

    def makes_exemptions(self, requests: Iterable[GuardedRequest]) -> bool:
        """Tell whether a policy treats principals of the account differently with one of some actions."""
        return any(
            any(_tells_apart(one.key) for one in statement.conditions) or (variables and _variables(statement))
            for statement, variables in self._covering(requests)
        )

    @cached_property
    def _statements(self) -> list[tuple[Statement, bool]]:
        """Every statement on the path, each with whether it may have policy variables."""
        levels = self.estate.account(self.account).scps or ()
        policies = [read(document) for level in levels for document in level]
        return [(statement, policy.variables) for policy in policies for statement in policy.statements]

    def _covering(self, requests: Iterable[GuardedRequest]) -> list[tuple[Statement, bool]]:
        actions = {request.action.lower() for request in requests}
        return [pair for pair in self._statements if any(pair[0].covers(action) for action in actions)]

    @cached_property
    def _on_tags(self) -> bool:
        """Some statement looks at the tags of resources, in a condition or a variable."""
        return any(
            one.key.startswith(_RESOURCE_TAG) or any(_RESOURCE_TAG in text.lower() for text in one.values)
            for statement, _ in self._statements
            for one in statement.conditions
        ) or any(
            _RESOURCE_TAG in text.lower() for statement, _ in self._statements for text in statement.resources or ()
        )

    def _alike_requests(self, requests: list[GuardedRequest]) -> list[list[GuardedRequest]]:
        """Requests, those together whose resources the same statements name."""
        alike: dict[Any, list[GuardedRequest]] = {}
        for request in requests:
            named: list[Any] = []
            for statement, variables in self._covering([request]):
                for text in statement.resources or ():
                    if variables and "${" in text:
                        named.append(request.resource)
                    else:
                        named.append(text == "*" or arn_pattern(text, None).matches(request.resource))
            tags = None if request.tags is None else tuple(sorted(request.tags.items())) if self._on_tags else ()
            where = request.resource.split(":")[3:5]
            rest = (repr(sorted(request.context.items())), request.supplied, request.absent)
            alike.setdefault((request.action.lower(), *where, *named, tags, *rest), []).append(request)
        return list(alike.values())

    def _alike_principals(self, requests: Iterable[GuardedRequest]) -> list[list[Principal]]:
        """The real principals, those together that no policy can tell apart with these requests."""
        conditions: dict[Condition, bool] = {}
        names: set[str] = set()
        for statement, variables in self._covering(requests):
            names |= _variables(statement) if variables else set()
            for one in statement.conditions:
                if _tells_apart(one.key):
                    conditions[one] = variables
        alike: dict[Any, list[Principal]] = {}
        for principal in self.estate.principals.values():
            context = self._request(principal, GuardedRequest("sts:GetCallerIdentity", "*"), None).read_context()
            marks = tuple(holds([one], context, variables=variables) for one, variables in conditions.items())
            values = tuple(context.resolve(name) for name in sorted(names))
            alike.setdefault((principal.kind, marks, values), []).append(principal)
        return list(alike.values())


def _tells_apart(key: str) -> bool:
    return key.startswith(OF_THE_PRINCIPAL) and key not in OF_THE_ACCOUNT


def _variables(statement: Statement) -> set[str]:
    """Return the policy variables of a statement that tell principals apart."""
    texts = [*(statement.resources or ()), *(value for one in statement.conditions for value in one.values)]
    found = {name.strip().lower() for text in texts for name in _VARIABLE.findall(text)}
    return {name for name in found if _tells_apart(name)}


def _identity(principal: Principal) -> dict[str, Any]:
    """Unique ids of the probes, which no policy can name; those of real principals stay open."""
    if principal.name != PROBE:
        return {}
    return {"aws:userid": "AIDADDBAUDITPROBE" if principal.kind == "user" else f"AROADDBAUDITPROBE:{PROBE}"}
