"""What principals hold: which of the actions that rules judge they have somewhere, with proof.

The names of the actions are those of the Service Authorization Reference for DynamoDB and DAX. TransactGetItems,
TransactWriteItems and the Execute… operations of PartiQL have no action of their own: they take the ones here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from auditor.access.actions import find
from auditor.access.conditions import possible
from auditor.access.estate import Estate, Principal, Table
from auditor.access.evaluate import Decision, Hit, evaluate
from auditor.access.formula import All, Atom, Formula, Not, Some, atoms, every, refine, some
from auditor.access.patterns import Open, arn_pattern, arn_segments, glob
from auditor.access.policy import Policy, Statement, read
from auditor.access.verbs import resources_of


def _named(service: str, names: str) -> frozenset[str]:
    return frozenset(f"{service}:{name}" for name in names.split())


#: Actions that give somebody the items of a table, of its indexes or of its stream, or a copy of them.
DATA_READ = _named(
    "dynamodb",
    "GetItem BatchGetItem Query Scan ConditionCheckItem PartiQLSelect GetRecords SearchVectors "
    "ExportTableToPointInTime",
)

#: Actions that put, change or delete items.
DATA_WRITE = _named(
    "dynamodb",
    "PutItem UpdateItem DeleteItem BatchWriteItem PartiQLInsert PartiQLUpdate PartiQLDelete ImportTable "
    "StartBulkPutItems",
)

#: Actions that delete a table, a replica or a backup, weaken what protects a table, or put another one in its place.
DESTRUCTIVE = _named(
    "dynamodb",
    "DeleteTable DeleteTableReplica DeleteBackup UpdateTable UpdateContinuousBackups RestoreTableFromBackup "
    "RestoreTableToPointInTime RestoreTableFromAwsBackup",
)

#: Actions that change who may use a table: its resource policies and, with attribute-based access control, its tags.
PERMISSION = _named(
    "dynamodb",
    "PutResourcePolicy DeleteResourcePolicy UpdateAbacStatus TagResource UntagResource",
)

#: Actions on items through a DAX cluster, which reaches the tables with the cluster's own role.
DAX_DATA = _named(
    "dax",
    "GetItem BatchGetItem Query Scan ConditionCheckItem PutItem UpdateItem DeleteItem BatchWriteItem",
)


#: Name of the table and cluster that stand for all that do not exist: who may use them was granted a wildcard.
PROBE = "ddbaudit-probe-7c1f"

Verdict = Literal["granted", "open", "denied"]


@dataclass(frozen=True, slots=True)
class Holding:
    """An action that a principal has, with the request that shows it.

    Attributes:
        action: The IAM action.
        resource: The resource on which it was shown.
        decisions: What the engine decided: one decision for each resource that the request needs.
        blocked_by: The guardrails that turn it down wherever the account's own policies grant it; else empty.
    """

    action: str
    resource: str
    decisions: tuple[Decision, ...]
    blocked_by: tuple[str, ...] = ()

    @property
    def conditions(self) -> str:
        """The conditions in words, or an empty text."""
        return " and ".join(dict.fromkeys(one.conditions for one in self.decisions if one.conditions))

    @property
    def statements(self) -> tuple[Hit, ...]:
        """The statements that grant."""
        return tuple(hit for one in self.decisions for hit in one.grants)


@dataclass(frozen=True, slots=True)
class Doubt:
    """An action of which it cannot be said whether a principal has it.

    Attributes:
        action: The IAM action.
        resource: The resource in question.
        why: In a sentence.
        cause: One of the ``causes`` of the place or of the search, or None.
    """

    action: str
    resource: str
    why: str
    cause: Any = None


@dataclass(frozen=True)
class Held:
    """What a search found.

    Attributes:
        holdings: The actions that the principal has, by name.
        doubts: Of the others those that it may have.
    """

    holdings: tuple[Holding, ...] = ()
    doubts: tuple[Doubt, ...] = ()

    @property
    def blocked(self) -> bool:
        """Guardrails turn down everything that was granted."""
        return bool(self.holdings) and all(one.blocked_by for one in self.holdings)

    @property
    def example(self) -> str:
        """One holding in words: ``dynamodb:Scan on any table in eu-west-1 by statement 0 of policy orders``."""
        # What nothing limits says most.
        shown = min(self.holdings, key=lambda one: (bool(one.blocked_by), bool(one.conditions)))
        by = f" by {shown.statements[0].statement}" if shown.statements else ""
        where = shown.resource
        if PROBE in where:
            where = f"any {'DAX cluster' if ':dax:' in where else 'table'} in {where.split(':')[3]}"
        return f"{shown.action} on {where}{by}" + (f" ({shown.conditions})" if shown.conditions else "")

    @property
    def evidence(self) -> dict[str, Any]:
        """What a finding shows: the actions, the statements that grant them, conditions, guardrails that block."""
        statements = dict.fromkeys(
            (hit.policy, hit.sid, hit.index) for one in self.holdings for hit in one.statements if hit.index >= 0
        )
        conditions = dict.fromkeys(one.conditions for one in self.holdings if one.conditions)
        found: dict[str, Any] = {
            "actions": [one.action for one in self.holdings],
            "statements": [{"policy": policy, "sid": sid, "index": index} for policy, sid, index in statements],
        }
        if conditions:
            found["conditions"] = list(conditions)
        if self.blocked:
            found["blockedBy"] = list(dict.fromkeys(text for one in self.holdings for text in one.blocked_by))
        return found


@dataclass(frozen=True)
class Place:
    """A table, or a DAX cluster, or one that stands for all that do not exist.

    Attributes:
        arn: Its ARN.
        table: The table; None for a cluster.
        probe: It stands for those that do not exist.
        unlisted: It stands for those of a region of which it is not known what it has.
        causes: Why something of it is not known: ``listing``, ``settings`` (its indexes and stream), ``policy`` or
            ``tags`` -> whatever the caller wants back in a :class:`Doubt`.
    """

    arn: str
    table: Table | None = None
    probe: bool = False
    unlisted: bool = False
    causes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def exists(self) -> bool:
        """It stands for itself."""
        return not (self.probe or self.unlisted)

    @cached_property
    def resources(self) -> tuple[str, ...]:
        """The ARNs of everything that a policy may name here."""
        if self.table is None:
            return (self.arn,)
        indexes = ("*",) if self.table.indexes is None else self.table.indexes
        return (
            self.arn,
            *(f"{self.arn}/index/{one}" for one in indexes),
            *((self.table.stream,) if self.table.stream else ()),
            *(f"{self.arn}/{kind}/01700000000000-ddbaudit" for kind in ("backup", "export", "import")),
        )

    @cached_property
    def documents(self) -> tuple[Any, ...]:
        """Its resource policies."""
        held = () if self.table is None else (self.table.policy, self.table.stream_policy)
        return tuple(one for one in held if one is not None)

    @cached_property
    def hidden(self) -> bool:
        """A resource policy of it cannot be read."""
        return any(read(one).unreadable is not None for one in self.documents)

    @cached_property
    def bare(self) -> Place:
        """The same without those resource policies that cannot be read."""
        if self.table is None or not self.hidden:
            return self
        kept = [
            None if one is None or read(one).unreadable is not None else one
            for one in (self.table.policy, self.table.stream_policy)
        ]
        return replace(self, table=replace(self.table, policy=kept[0], stream_policy=kept[1]))

    @cached_property
    def without_policies(self) -> Place:
        """The same without its resource policies."""
        if self.table is None:
            return self
        return replace(self, table=replace(self.table, policy=None, stream_policy=None))


def probe_table(partition: str, region: str, account: str, *, policy: Any = None) -> Table:
    """Return a table that does not exist, without tags: who may use it was granted a wildcard."""
    arn = f"arn:{partition}:dynamodb:{region}:{account}:table/{PROBE}"
    return Table(arn, indexes=(PROBE,), stream=f"{arn}/stream/2000-01-01T00:00:00.000", policy=policy)


def weigh(formula: Formula, *, tags_known: bool = True) -> Verdict:
    """Tell whether a request is granted, for some callers at least, whatever it is that cannot be decided.

    Args:
        formula: ``Decision.formula``.
        tags_known: The tags of the resource are known; else what hangs on them is open.
    """
    if formula is False:
        return "denied"
    least = refine(_least(formula, tags_known=tags_known), possible)
    return "open" if least is False else "granted"


#: Condition keys on organisations: facts that nobody chooses, open only where they could not be read.
ORGANISATION_KEYS = ("aws:principalorg", "aws:resourceorg")


def hangs_on_the_organisation(formula: Formula) -> bool:
    """Tell whether a decision is open because the organisation is not known."""
    return any(atom.key.startswith(ORGANISATION_KEYS) for atom in atoms(formula))


def _undecided(atom: Atom, *, tags_known: bool) -> bool:
    if atom.test == "note" or atom.key.startswith(ORGANISATION_KEYS):
        return True
    return not tags_known and atom.key.startswith("aws:resourcetag/")


def _least(formula: Formula, *, tags_known: bool) -> Formula:
    """Return the formula with everything that cannot be decided turned against the grant."""
    if isinstance(formula, Atom):
        return False if _undecided(formula, tags_known=tags_known) else formula
    if isinstance(formula, Not):
        return False if _undecided(formula.part, tags_known=tags_known) else formula
    if isinstance(formula, All | Some):
        combine = every if isinstance(formula, All) else some
        return combine(_least(part, tags_known=tags_known) for part in formula.parts)
    return formula


def _open_variable(key: str) -> Open:
    del key
    return Open.OPEN


@dataclass(frozen=True, slots=True)
class _Outcome:
    verdict: Verdict
    decisions: tuple[Decision, ...] = ()
    resource: str = ""
    by_tags: bool = False
    blocked_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Spoken:
    """What a principal's policies and the guardrails say about one action.

    Attributes:
        reached: For each resource that they name the places that it may match.
        variables: A resource has a policy variable.
        by_tags: Some policy asks for tags of resources.
    """

    reached: tuple[dict[int, tuple[bool, ...]], ...]
    variables: bool
    by_tags: bool


class Search:
    """Looks through many tables and clusters for what a principal may do, deciding each distinct situation once.

    Only what some statement of a principal's policies, or some resource policy, speaks about is decided; two tables
    about which the same statements speak are decided once, unless tags or a resource policy tell them apart.

    Args:
        estate: The estate with the account's principals and guardrails.
        places: The account's tables and clusters, and those that stand for all others.
        causes: Why policies of principals cannot be read, by the policy's name, for :attr:`Doubt.cause`; under
            ``organization`` why the organisation is not known.
    """

    def __init__(self, estate: Estate, places: Iterable[Place], causes: Mapping[str, Any] | None = None) -> None:
        """Sort the places; probes first, since a wildcard is the shortest proof."""
        self.estate, self.causes = estate, causes or {}
        self.places = sorted(places, key=lambda one: (not one.probe, one.arn))
        self._reach: dict[str, dict[int, tuple[bool, ...]]] = {}
        self._outcomes: dict[Any, _Outcome] = {}
        self._found: dict[tuple[str, str, bool], Holding | Doubt | None] = {}
        self._speaking: dict[tuple[str, str], _Spoken] = {}
        self._subjects: dict[str, _Subject] = {}
        #: Whom resource policies name -> the places, each with the statements that do.
        self._by_name: dict[str, dict[int, list[Statement]]] = {}
        for number, place in enumerate(self.places):
            for name, statement in _named_in(place.documents):
                self._by_name.setdefault(name, {}).setdefault(number, []).append(statement)

    def find(self, principal: Principal, actions: Iterable[str], *, probes_only: bool = False) -> Held:
        """Return which of some actions a principal has anywhere, by the account's own policies.

        Args:
            principal: A user or role; or a group, of whose own policies it is told what they grant to its members.
            actions: IAM actions.
            probes_only: Look only at what does not exist: which actions were granted by wildcards?
        """
        holdings: list[Holding] = []
        doubts: list[Doubt] = []
        for action in sorted(actions):
            key = (principal.arn, action, probes_only)
            if key not in self._found:
                self._found[key] = self._anywhere(self._subject(principal), action, probes_only=probes_only)
            found = self._found[key]
            if isinstance(found, Holding):
                holdings.append(found)
            elif found is not None:
                doubts.append(found)
        return Held(tuple(holdings), tuple(doubts))

    def verdict(self, principal: Principal, action: str, arn: str) -> Verdict:
        """Tell whether a principal may do something with one table or cluster, by the account's own policies.

        Raises:
            KeyError: it is none of the places.
        """
        number = self._number[arn]
        who, place = self._subject(principal), self.places[number]
        bare = self._decide(who, action, number, place.bare).verdict
        return bare if bare == "granted" or not place.hidden else self._decide(who, action, number, place).verdict

    def _subject(self, principal: Principal) -> _Subject:
        if principal.arn not in self._subjects:
            self._subjects[principal.arn] = _Subject(principal)
        return self._subjects[principal.arn]

    @cached_property
    def _unknown(self) -> list[tuple[int, Place]]:
        """The places of which something is not known."""
        return [
            (number, one)
            for number, one in enumerate(self.places)
            if one.unlisted or one.hidden or (one.table is not None and one.table.indexes is None)
        ]

    @cached_property
    def _holders(self) -> dict[str, dict[int, tuple[bool, ...]]]:
        """ARN of everything that the places have -> the place, as :meth:`_reached` returns it."""
        return {
            arn: {number: tuple(one == arn for one in place.resources)}
            for number, place in enumerate(self.places)
            for arn in place.resources
        }

    @cached_property
    def _number(self) -> dict[str, int]:
        return {place.arn: number for number, place in enumerate(self.places)}

    def _anywhere(self, who: _Subject, action: str, *, probes_only: bool) -> Holding | Doubt | None:
        doubt: Doubt | None = None
        blocked: Holding | None = None
        candidates = self._candidates(who, action)
        for number in candidates:
            place = self.places[number]
            if (probes_only and not place.probe) or place.unlisted:
                continue
            outcome = self._decide(who, action, number, place.bare)
            if outcome.verdict == "granted":
                holding = Holding(action, outcome.resource, outcome.decisions, outcome.blocked_by)
                if not outcome.blocked_by:
                    return holding
                blocked = blocked or holding
            elif outcome.verdict == "open" and doubt is None:
                doubt = self._doubt(who, action, place, outcome)
                if who.unreadable:
                    # A policy that may deny anything: nothing can be proved any more.
                    break
        if blocked is not None or doubt is not None or probes_only:
            return blocked or doubt
        return self._hidden(who, action)

    def _hidden(self, who: _Subject, action: str) -> Doubt | None:
        """Return what may grant an action unseen: a resource policy that cannot be read, a region not listed."""
        dax = action.startswith("dax:")
        for number, place in self._unknown:
            if dax is not (place.table is None):
                continue
            # For users and roles the unknown resource policies of such a region say all that follows below.
            unseen = place.table is not None and place.table.indexes is None
            named = unseen or (place.unlisted and (who.is_group or dax))
            if named and who.names_something_of(action, place.arn, parts_only=not place.unlisted):
                cause = place.causes.get("listing" if place.unlisted else "settings")
                return Doubt(action, place.arn, _UNLISTED if place.unlisted else _UNSEEN, cause)
            if who.is_group or dax or not place.hidden:
                continue
            if self._decide(who, action, number, place).verdict != "denied":
                cause = place.causes.get("listing" if place.unlisted else "policy")
                return Doubt(action, place.arn, _UNLISTED if place.unlisted else _HIDDEN, cause)
        return None

    def _doubt(self, who: _Subject, action: str, place: Place, outcome: _Outcome) -> Doubt:
        if outcome.by_tags:
            why = "It depends on whether DynamoDB evaluates tags (attribute-based access control), which the setting "
            return Doubt(action, outcome.resource, why + "abac_enabled does not say.")
        opened = [atom for one in outcome.decisions for atom in atoms(one.formula)]
        notes = dict.fromkeys(atom.key for atom in opened if atom.test == "note")
        if notes:
            cause = next((self.causes[name] for name in who.unreadable if name in self.causes), None)
            return Doubt(action, outcome.resource, f"It cannot be decided whether {'; '.join(notes)}.", cause)
        if any(hangs_on_the_organisation(one.formula) for one in outcome.decisions):
            why = "It depends on the organisation, which is not known."
            return Doubt(action, outcome.resource, why, self.causes.get("organization"))
        return Doubt(action, outcome.resource, "It depends on the table's tags.", place.causes.get("tags"))

    def _candidates(self, who: _Subject, action: str) -> list[int]:
        """Return the numbers of the places about which some statement that allows the action may speak."""
        dax = action.startswith("dax:")
        known = find(action)
        if known is not None and not known.resources:
            if not who.unreadable and next(who.covering(action), None) is None:
                return []
            # The action names no resource: one place is as good as another.
            first = next(
                (number for number, one in enumerate(self.places) if one.probe and dax is (one.table is None)), None
            )
            return [] if first is None else [first]
        found: set[int] = set()
        if not who.is_group and not dax:
            for name in who.names:
                held = self._by_name.get(name, {})
                found.update(number for number, ones in held.items() if any(one.allow for one in ones))
        if who.unreadable:
            found.update(number for number, place in enumerate(self.places) if place.probe)
        for statement in who.covering(action):
            if statement.not_resource or statement.resources is None:
                found.update(range(len(self.places)))
            else:
                for text in statement.resources:
                    found.update(self._reached(text))
        return sorted(number for number in found if dax is (self.places[number].table is None))

    def _reached(self, text: str) -> dict[int, tuple[bool, ...]]:
        """Return the places that a resource of a policy may match, each with which of its ARNs."""
        if text not in self._reach:
            if text in self._holders and "*" not in text:
                # A plain ARN, as most are.
                return self._holders[text]
            everything = text != "" and text.strip("*") == ""
            pattern = arn_pattern(text, _open_variable)
            found = {}
            for number, place in enumerate(self.places):
                matched = tuple(everything or pattern.matches(one) for one in place.resources)
                if any(matched):
                    found[number] = matched
            self._reach[text] = found
        return self._reach[text]

    def _decide(self, who: _Subject, action: str, number: int, place: Place) -> _Outcome:
        if place.documents and not place.hidden and not self._concerns(who, action, number):
            place = place.without_policies
        key = self._situation(who, action, number, place)
        if key not in self._outcomes:
            self._outcomes[key] = self._decided(who, action, place)
        return self._outcomes[key]

    def _concerns(self, who: _Subject, action: str, number: int) -> bool:
        """Tell whether a resource policy of a place speaks about a principal's action."""
        if who.is_group:
            return False
        lower = action.lower()
        return any(
            statement.covers(lower) for name in who.names for statement in self._by_name.get(name, {}).get(number, ())
        )

    def _situation(self, who: _Subject, action: str, number: int, place: Place) -> Any:
        """Return what tells one decision from another: a key that is the same where the outcome is."""
        spoken = self._spoken(who, action)
        table = place.table
        tags = None if table is None else table.tags
        return (
            who.principal.arn,
            action,
            place.arn if place.documents or spoken.variables else place.arn.split(":")[3],
            place.hidden,
            tuple(one.get(number) for one in spoken.reached),
            tags is not None,
            tuple(sorted(tags.items())) if tags and spoken.by_tags else None,
            table is None or table.indexes is None,
        )

    def _spoken(self, who: _Subject, action: str) -> _Spoken:
        key = (who.principal.arn, action)
        if key not in self._speaking:
            limits = self.estate.account(who.principal.account)
            levels = (*(limits.scps or ()), *(limits.rcps or ()))
            guardrails = _Documents(tuple(one for level in levels for one in level))
            lower = action.lower()
            speaking = [one for one in (*who.statements, *guardrails.statements) if one.covers(lower)]
            texts = dict.fromkeys(text for one in speaking for text in one.resources or ())
            self._speaking[key] = _Spoken(
                tuple(self._reached(text) for text in texts),
                any("${" in text for text in texts),
                who.by_tags or guardrails.by_tags,
            )
        return self._speaking[key]

    def _decided(self, who: _Subject, action: str, place: Place) -> _Outcome:
        known = find(action)
        if known is None:
            return _Outcome("denied")
        ways = ((place.arn,),) if place.table is None else tuple(resources_of(known, place.table))
        best = _Outcome("denied")
        for way in ways:
            outcome = self._way(who, action, way, place)
            if RANK[outcome.verdict] > RANK[best.verdict] or (outcome.verdict == "granted" and best.blocked_by):
                best = outcome
            if best.verdict == "granted" and not best.blocked_by:
                break
        return best

    def _way(self, who: _Subject, action: str, way: tuple[str, ...], place: Place) -> _Outcome:
        table = place.table
        tags_known = table is None or table.tags is not None
        decisions = tuple(self._one(who, action, resource, table) for resource in way)
        verdict: Verdict = min(
            (weigh(one.formula, tags_known=tags_known) for one in decisions), key=RANK.__getitem__, default="denied"
        )
        by_tags = False
        tagged = who.by_tags or (table is not None and _Documents(place.documents).by_tags)
        if self.estate.abac is None and tagged and table is not None:
            without = [weigh(self._one(who, action, one, table, abac=False).formula) for one in way]
            other: Verdict = min(without, key=RANK.__getitem__, default="denied")
            by_tags = {verdict, other} != {verdict} and "open" not in (verdict, other)
            verdict = verdict if verdict == other else "open"
        blocked: list[str] = []
        account = self.estate.account(who.principal.account)
        if verdict == "granted" and not who.is_group and (account.scps or account.rcps):
            blocked = [text for resource in way for text in self._blocked(who, action, resource, table)]
        return _Outcome(verdict, decisions, way[0], by_tags, tuple(dict.fromkeys(blocked)))

    def _one(
        self, who: _Subject, action: str, resource: str, table: Table | None, *, abac: bool | None = None
    ) -> Decision:
        if not who.is_group:
            return self.estate.decide(who.principal, action, resource, table=table, guardrails=False, abac=abac)
        # Whoever is a member: a user whose name and tags are not known. No resource policy names a group.
        request = self.estate.request(who.member, action, resource, table=table, abac=abac)
        own = ("aws:username", "aws:principalarn")
        request = replace(
            request,
            context={key: value for key, value in request.context.items() if key.lower() not in own},
            supplied_keys=[*request.supplied_keys, "aws:username", "aws:PrincipalArn"],
            absent_keys=[one for one in request.absent_keys if not one.lower().startswith("aws:principaltag/")],
        )
        return evaluate(request, self.estate.policies(who.member, resource, None, guardrails=False))

    def _blocked(self, who: _Subject, action: str, resource: str, table: Table | None) -> list[str]:
        decision = self.estate.decide(who.principal, action, resource, table=table)
        if decision.verdict != "denied":
            return []
        doubtful = self.estate.abac is None and table is not None and bool(table.tags)
        if doubtful and self.estate.decide(who.principal, action, resource, table=table, abac=False).allowed:
            # A guardrail that hangs on tags may do nothing.
            return []
        named = [f"{hit.kind}: {hit.statement}" for hit in decision.denials if hit.kind in GUARDRAILS]
        return named or [kind for kind in decision.blocked_by if kind in GUARDRAILS]


GUARDRAILS = ("scp", "rcp")
RANK: dict[Verdict, int] = {"denied": 0, "open": 1, "granted": 2}
_UNLISTED = "What the region has is not known."
_UNSEEN = "Which indexes and stream the table has is not known."
_HIDDEN = "The table's resource policy is not known."


@dataclass(frozen=True)
class _Documents:
    """Some policies, read."""

    documents: tuple[Any, ...]

    @cached_property
    def policies(self) -> tuple[Policy, ...]:
        return tuple(read(one) for one in self.documents)

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        return tuple(one for policy in self.policies for one in policy.statements)

    @cached_property
    def by_tags(self) -> bool:
        """They ask for the resource's tags, as a key or as a variable."""
        return any(
            condition.key.startswith("aws:resourcetag/")
            or any("aws:resourcetag/" in value.lower() for value in condition.values)
            for statement in self.statements
            for condition in statement.conditions
        ) or any(
            "aws:resourcetag/" in text.lower() for statement in self.statements for text in statement.resources or ()
        )


class _Subject:
    """A principal with its policies read."""

    def __init__(self, principal: Principal) -> None:
        self.principal = principal
        limits = () if principal.boundary is None else (principal.boundary,)
        self._identity = _Documents(principal.policies)
        self._all = _Documents((*principal.policies, *limits))

    @property
    def is_group(self) -> bool:
        return self.principal.kind == "group"

    @property
    def member(self) -> Principal:
        return Principal(f"{self.principal.arn.rpartition(':')[0]}:user/{PROBE}", "user", self.principal.policies)

    @property
    def names(self) -> tuple[str, ...]:
        """What a resource policy may call it by; see :func:`_named_in`."""
        return ("*", self.principal.arn, f"assumed-role/{self.principal.name}")

    @property
    def statements(self) -> tuple[Statement, ...]:
        return self._all.statements

    @property
    def by_tags(self) -> bool:
        return self._all.by_tags

    @cached_property
    def unreadable(self) -> tuple[str, ...]:
        """Names of those of its policies that cannot be read, a group's too."""
        found = (policy.name for policy in self._all.policies if policy.unreadable is not None)
        return tuple(name.partition(" of group ")[0] for name in found)

    def covering(self, action: str) -> Iterator[Statement]:
        """Yield the statements of identity policies that allow the action on something."""
        lower = action.lower()
        return (one for one in self._identity.statements if one.allow and one.covers(lower))

    def names_something_of(self, action: str, arn: str, *, parts_only: bool) -> bool:
        """Tell whether a statement allows the action on something in the region that an ARN is of.

        Args:
            action: The action.
            arn: The ARN.
            parts_only: Look only for indexes and streams.
        """
        here = arn.split(":")[:5]
        for statement in self.covering(action):
            if statement.not_resource or statement.resources is None:
                return True
            for text in statement.resources:
                if parts_only and "/" not in arn_segments(text)[5].removeprefix("table/"):
                    continue
                segments = arn_segments(text)[:5]
                if all(glob(one.lower()).matches(part) for one, part in zip(segments, here, strict=True)):
                    return True
        return False


def _named_in(documents: Iterable[Any]) -> Iterator[tuple[str, Statement]]:
    """Yield whom the statements of resource policies may be about: ARNs, ``assumed-role/NAME``, or ``*``."""
    for document in documents:
        for statement in read(document).statements:
            if statement.not_principal:
                yield "*", statement
            for kind, value in statement.principals or ():
                if kind != "AWS":
                    continue
                _, session, rest = value.partition(":assumed-role/")
                if session:
                    yield f"assumed-role/{rest.partition('/')[0]}", statement
                elif statement.allow or (":" in value and not value.endswith(":root")):
                    # An Allow to the account leaves it to the principals' own policies; a Deny is for all of them.
                    yield value, statement
                else:
                    yield "*", statement
