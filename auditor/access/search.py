"""The search for what principals hold: many tables and clusters, each distinct situation decided once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from auditor.access.actions import find
from auditor.access.estate import Estate, Principal, Table
from auditor.access.evaluate import Decision, evaluate
from auditor.access.formula import atoms
from auditor.access.holdings import Doubt, Held, Holding, Verdict, hangs_on_the_organisation, weigh
from auditor.access.patterns import arn_pattern, unresolved
from auditor.access.policy import Statement
from auditor.access.subjects import Documents, Place, Subject, named_in
from auditor.access.verbs import resources_of

#: Kinds of policies that limit an account from above.
GUARDRAILS = ("scp", "rcp")

#: How much a verdict gives.
RANK: dict[Verdict, int] = {"denied": 0, "open": 1, "granted": 2}

_UNLISTED = "What the region has is not known."
_UNSEEN = "Which indexes and stream the table has is not known."
_HIDDEN = "The table's resource policy is not known."


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
        self._subjects: dict[str, Subject] = {}
        #: Whom resource policies name -> the places, each with the statements that do.
        self._by_name: dict[str, dict[int, list[Statement]]] = {}
        for number, place in enumerate(self.places):
            for name, statement in named_in(place.documents):
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

    def _subject(self, principal: Principal) -> Subject:
        if principal.arn not in self._subjects:
            self._subjects[principal.arn] = Subject(principal)
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

    def _anywhere(self, who: Subject, action: str, *, probes_only: bool) -> Holding | Doubt | None:
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

    def _hidden(self, who: Subject, action: str) -> Doubt | None:
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

    def _doubt(self, who: Subject, action: str, place: Place, outcome: _Outcome) -> Doubt:
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

    def _candidates(self, who: Subject, action: str) -> list[int]:
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
            pattern = arn_pattern(text, unresolved)
            found = {}
            for number, place in enumerate(self.places):
                matched = tuple(everything or pattern.matches(one) for one in place.resources)
                if any(matched):
                    found[number] = matched
            self._reach[text] = found
        return self._reach[text]

    def _decide(self, who: Subject, action: str, number: int, place: Place) -> _Outcome:
        if place.documents and not place.hidden and not self._concerns(who, action, number):
            place = place.without_policies
        key = self._situation(who, action, number, place)
        if key not in self._outcomes:
            self._outcomes[key] = self._decided(who, action, place)
        return self._outcomes[key]

    def _concerns(self, who: Subject, action: str, number: int) -> bool:
        """Tell whether a resource policy of a place speaks about a principal's action."""
        if who.is_group:
            return False
        lower = action.lower()
        return any(
            statement.covers(lower) for name in who.names for statement in self._by_name.get(name, {}).get(number, ())
        )

    def _situation(self, who: Subject, action: str, number: int, place: Place) -> Any:
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

    def _spoken(self, who: Subject, action: str) -> _Spoken:
        key = (who.principal.arn, action)
        if key not in self._speaking:
            limits = self.estate.account(who.principal.account)
            levels = (*(limits.scps or ()), *(limits.rcps or ()))
            guardrails = Documents(tuple(one for level in levels for one in level))
            lower = action.lower()
            speaking = [one for one in (*who.statements, *guardrails.statements) if one.covers(lower)]
            texts = dict.fromkeys(text for one in speaking for text in one.resources or ())
            self._speaking[key] = _Spoken(
                tuple(self._reached(text) for text in texts),
                any("${" in text for text in texts),
                who.by_tags or guardrails.by_tags,
            )
        return self._speaking[key]

    def _decided(self, who: Subject, action: str, place: Place) -> _Outcome:
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

    def _way(self, who: Subject, action: str, way: tuple[str, ...], place: Place) -> _Outcome:
        table = place.table
        tags_known = table is None or table.tags is not None
        decisions = tuple(self._one(who, action, resource, table) for resource in way)
        verdict: Verdict = min(
            (weigh(one.formula, tags_known=tags_known) for one in decisions), key=RANK.__getitem__, default="denied"
        )
        by_tags = False
        tagged = who.by_tags or (table is not None and Documents(place.documents).by_tags)
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
        self, who: Subject, action: str, resource: str, table: Table | None, *, abac: bool | None = None
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

    def _blocked(self, who: Subject, action: str, resource: str, table: Table | None) -> list[str]:
        decision = self.estate.decide(who.principal, action, resource, table=table)
        if decision.verdict != "denied":
            return []
        doubtful = self.estate.abac is None and table is not None and bool(table.tags)
        if doubtful and self.estate.decide(who.principal, action, resource, table=table, abac=False).allowed:
            # A guardrail that hangs on tags may do nothing.
            return []
        named = [f"{hit.kind}: {hit.statement}" for hit in decision.denials if hit.kind in GUARDRAILS]
        return named or [kind for kind in decision.blocked_by if kind in GUARDRAILS]
