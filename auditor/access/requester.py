"""One principal's requests, decided for all resources of a place at once.

The order of what allows and denies is that of :mod:`auditor.access.evaluate`, on extents instead of formulas.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from auditor.access.actions import RCP_SERVICES, Action
from auditor.access.conditions import Context, Keys, holds
from auditor.access.digests import ACTIONS, BIT, TABLE_KEYS, Digest, Reader, Side, cuts, states
from auditor.access.estate import Estate, Principal
from auditor.access.extents import NOWHERE, Extent, apart, both, either, where
from auditor.access.formula import Atom, Formula, negate, some
from auditor.access.patterns import Resolve
from auditor.access.places import Entry, Place
from auditor.access.policy import Statement
from auditor.access.principals import Caller, Named, caller, denied_by_exclusion, named
from auditor.access.spaces import set_bits

_EVERYBODY = (("AWS", "*"),)

#: An action of each service, for condition keys that do not depend on the action.
_ANY_ACTION = {action.name.partition(":")[0]: action.name for action in ACTIONS}


@dataclass(slots=True)
class _Said:
    """What the resources' own policies say: to the caller itself, to its role, to its account; and what they deny."""

    exact: Extent = NOWHERE
    role: Extent = NOWHERE
    account: Extent = NOWHERE
    deny: Extent = NOWHERE

    def __bool__(self) -> bool:
        return bool(self.exact or self.role or self.account)


class Guardrails:
    """The SCPs and RCPs of an estate's accounts, taken apart once.

    Args:
        estate: The estate.
        reader: Takes policies apart.
        apply: Apply them at all.
    """

    def __init__(self, estate: Estate, reader: Reader, *, apply: bool) -> None:
        """Read the RCPs; SCPs are read when somebody of the account asks."""
        self._estate, self._reader, self._apply = estate, reader, apply
        self._scps: dict[str, list[Side]] = {}
        self._rcps = {number: self._levels(number, "rcp") for number in estate.accounts} if apply else {}
        self._rcps = {number: levels for number, levels in self._rcps.items() if levels}

    def scps(self, principal: Principal) -> list[Side]:
        """Return the levels of SCPs that bind a principal."""
        if not self._apply or principal.service_linked:
            return []
        if principal.account not in self._scps:
            self._scps[principal.account] = self._levels(principal.account, "scp")
        return self._scps[principal.account]

    def rcps(self, principal: Principal) -> dict[str, list[Side]]:
        """Return the levels of RCPs that bind a principal's requests, by the account of the resource."""
        return {} if principal.service_linked else self._rcps

    def _levels(self, number: str, kind: str) -> list[Side]:
        account = self._estate.account(number)
        if account.management:
            return []
        return [
            Side(
                self._reader.document(one, f"{kind} at level {level}, document {place}")
                for place, one in enumerate(documents)
            )
            for level, documents in enumerate((account.scps if kind == "scp" else account.rcps) or ())
        ]


class Requester:
    """Decides one principal's requests.

    Args:
        estate: The estate.
        reader: Takes policies apart.
        guardrails: SCPs and RCPs.
        principal: Who asks.
    """

    def __init__(self, estate: Estate, reader: Reader, guardrails: Guardrails, principal: Principal) -> None:
        """Gather the policies."""
        self.estate, self.principal = estate, principal
        self._identity = Side(reader.document(one, "identity policy") for one in principal.policies)
        self._bounded = principal.boundary is not None
        limits = [(principal.boundary, "boundary policy"), (principal.session, "session policy")]
        self._limits = [Side([reader.document(one, name)]) for one, name in limits if one is not None]
        self._scps = guardrails.scps(principal)
        self._rcps = guardrails.rcps(principal)
        self._entries: dict[str, list[Entry]] = {}
        self._contexts: dict[tuple[str, int], Context] = {}
        self._states: dict[tuple[str, tuple[str, ...]], tuple[Any, ...]] = {}
        self._named: dict[Any, Named] = {}

    def cuts(self, places: list[Place]) -> frozenset[int]:
        """Return the sets of actions that the policies tell apart, those of some places' resources included."""
        sides = [self._identity, *self._limits, *self._scps]
        sides += [level for levels in self._rcps.values() for level in levels]
        found = frozenset[int]().union(*(side.cuts for side in sides))
        entries = [entry.digest for place in places for entry in self._concerning(place) if entry.digest is not None]
        return found.union(cut for digest in entries for cut in cuts(digest)) if entries else found

    def decide(self, place: Place, action: Action) -> Extent:
        """Return on which resources of a place an action is allowed."""
        if not place.all:
            return NOWHERE
        bit = BIT[action.name]
        said = self._resource(place, action, bit)
        identity = self._allowed(self._identity, place, action, bit)
        if self._who.kind == "root":
            identity = Extent(place.all)
        grant = self._grant(place, action, bit, identity, said)
        if not grant:
            return NOWHERE
        deny = said.deny
        for side in (self._identity, *self._limits):
            deny = either(deny, self._denied(side, place, action, bit))
        for level in self._scps:
            grant = both(grant, self._allowed(level, place, action, bit))
            deny = either(deny, self._denied(level, place, action, bit))
        if self._rcps and place.service in RCP_SERVICES:
            grant, deny = self._under_rcps(place, action, bit, grant, deny)
        return both(grant, deny.outside(place.all)) if deny else grant

    def _grant(self, place: Place, action: Action, bit: int, identity: Extent, said: _Said) -> Extent:
        """Return where identity and resource policies grant, within boundary and session policy."""
        if not identity and not said:
            return NOWHERE
        limited = Extent(place.all)
        for limit in self._limits:
            limited = both(limited, self._allowed(limit, place, action, bit))
        own = both(identity, limited)
        mine = place.accounts.get(self.principal.account, 0)
        theirs = place.all & ~mine
        grant = own
        if place.service in ("kms", "sts"):
            # Keys and roles give nothing away to an account's identity policies unless their own policy does.
            grant = either(said.exact, either(both(said.role, limited), both(said.account, own)))
        elif said:
            grant = either(own, either(said.exact, both(said.role, limited)))
        if not theirs:
            return grant
        other = NOWHERE
        if said:
            grantable = where(_service_rule(action), theirs)
            other = both(both(either(said.exact, either(said.role, said.account)), own), grantable)
        return either(grant.within(mine), other)

    def _under_rcps(self, place: Place, action: Action, bit: int, grant: Extent, deny: Extent) -> tuple[Extent, Extent]:
        for account, levels in self._rcps.items():
            held = place.accounts.get(account, 0)
            if not held:
                continue
            for level in levels:
                if level.offers:
                    offered = self._allowed(level, place, action, bit, resource_side=True)
                    grant = both(grant, either(offered.within(held), Extent(place.all & ~held)))
                refused = self._denied(level, place, action, bit, resource_side=True)
                deny = either(deny, refused.within(held))
        return grant, deny

    def _allowed(self, side: Side, place: Place, action: Action, bit: int, *, resource_side: bool = False) -> Extent:
        """Return where any of some policies allows, those that cannot be read perhaps."""
        found = self._union(side.allow, place, action, bit, resource_side=resource_side)
        for allows, _ in side.lost:
            found = either(found, where(allows, place.all))
        return found

    def _denied(self, side: Side, place: Place, action: Action, bit: int, *, resource_side: bool = False) -> Extent:
        """Return where any of some policies denies, those that cannot be read perhaps."""
        found = self._union(side.deny, place, action, bit, resource_side=resource_side)
        for _, denies in side.lost:
            found = either(found, where(denies, place.all))
        return found

    def _union(self, digests: list[Digest], place: Place, action: Action, bit: int, *, resource_side: bool) -> Extent:
        """Return where any of some statements applies; only those on the resource's side may name principals."""
        found = NOWHERE
        for digest in digests:
            if digest.actions & bit:
                applies = self._applies(digest, place, action, bit)
                if resource_side and digest.statement.principals not in (None, _EVERYBODY):
                    applies = both(applies, where(self._naming(digest.statement).at_all, place.all))
                found = either(found, applies)
        return found

    def _resource(self, place: Place, action: Action, bit: int) -> _Said:
        """Return what the resources' own policies say."""
        said = _Said()
        for entry in self._concerning(place):
            if entry.lost is not None:
                said.exact = either(said.exact, where(entry.lost[0], entry.bits))
                said.deny = either(said.deny, where(entry.lost[1], entry.bits))
            digest = entry.digest
            if digest is None or not digest.actions & bit:
                continue
            applies = self._applies(digest, place, action, bit, entry=entry)
            who = self._naming(digest.statement)
            if not digest.statement.allow:
                said.deny = either(said.deny, both(applies, where(who.at_all, entry.bits)))
                continue
            said.exact = either(said.exact, both(applies, where(who.exact, entry.bits)))
            said.role = either(said.role, both(applies, where(who.role, entry.bits)))
            said.account = either(said.account, both(applies, where(who.account, entry.bits)))
        return said

    def _concerning(self, place: Place) -> list[Entry]:
        if place.kind not in self._entries:
            self._entries[place.kind] = place.concerning(self.principal)
        return self._entries[place.kind]

    # -- one statement ---------------------------------------------------------------------------------------------

    def _applies(self, digest: Digest, place: Place, action: Action, bit: int, *, entry: Entry | None = None) -> Extent:
        """Return where a statement is about the resource and its conditions hold; kept for all who are alike to it."""
        kind = digest.kind(bit) if digest.kinds else 0
        key = (place.kind, kind, self._states_of(place, digest.of_principal) if digest.of_principal else ())
        found = digest.extents.get(key)
        if found is None:
            found = digest.extents[key] = self._evaluated(digest, place, action, kind, key[2], entry)
        return found

    def _evaluated(
        self, digest: Digest, place: Place, action: Action, kind: int, asker: tuple[Any, ...], entry: Entry | None
    ) -> Extent:
        if entry is None:
            about = self._about(digest, place, action, kind)
        else:
            about = Extent(entry.bits)
            if digest.filled and place.service != "sts":
                about = both(about, self._about(digest, place, action, kind))
        conditions = digest.statement.conditions
        if not conditions or not about:
            return about
        if not digest.of_table:
            formula = holds(conditions, self._context(place, action, kind), variables=digest.variables)
            return both(about, where(formula, place.all))
        concerned = about.sure
        for bits in about.open.values():
            concerned |= bits
        parts = []
        for values, number, bits in place.groups(digest.of_table):
            if bits & concerned:
                key = (place.service, kind, asker, values)
                found = digest.formulas.get(key)
                if found is None:
                    context = self._mixed(digest, place, action, kind, number)
                    found = digest.formulas[key] = holds(conditions, context, variables=digest.variables)
                parts.append((found, bits))
        return both(about, apart(parts))

    def _about(self, digest: Digest, place: Place, action: Action, kind: int) -> Extent:
        """Return which resources a statement names; what a variable stands for may differ between them."""
        if not digest.filled:
            return _named_resources(place, digest.statement, None)
        if not digest.filled_by_table:
            return _named_resources(place, digest.statement, self._context(place, action, kind).resolve)
        found = NOWHERE
        for _, number, bits in place.groups(digest.of_table):
            resolve = self._mixed(digest, place, action, kind, number).resolve
            found = either(found, _named_resources(place, digest.statement, resolve).within(bits))
        return found

    # -- condition keys --------------------------------------------------------------------------------------------

    def _context(self, place: Place, action: Action | None, kind: int) -> Context:
        """Return the request's keys, of which those do not count that differ between resources."""
        key = (place.service, kind)
        if key not in self._contexts:
            # Which action it is makes no difference to statements that look at no key that some actions lack.
            name = action.name if action is not None and kind else _ANY_ACTION[place.service]
            number = next(set_bits(place.all))
            self._contexts[key] = place.context(self.estate, self.principal, name, number)
        return self._contexts[key]

    def _states_of(self, place: Place, keys: tuple[str, ...]) -> tuple[Any, ...]:
        """Return what the principal's requests say of some keys that differ between principals."""
        key = (place.service, keys)
        if key not in self._states:
            self._states[key] = states(self._context(place, None, 0), keys)
        return self._states[key]

    def _mixed(self, digest: Digest, place: Place, action: Action, kind: int, number: int) -> Context:
        """Return the request's keys that a statement looks at, for one of the resources."""
        mine = self._context(place, action, kind)
        its = place.context_of(self.estate, self.principal, action.name, number)
        known: dict[str, tuple[str, ...]] = {}
        supplied, unknown = [], []
        for key in digest.keys:
            context = its if key.startswith(TABLE_KEYS) else mine
            values = context.known.get(key)
            if values:
                known[key] = values
            elif key in context.supplied:
                supplied.append(key)
            elif context.is_open(key):
                unknown.append(key)
        return Context(known, Keys(unknown), Keys(supplied))

    # -- who -------------------------------------------------------------------------------------------------------

    @cached_property
    def _who(self) -> Caller:
        return caller(self.principal.caller or self.principal.arn, "", self._arn_only)

    @cached_property
    def _arn_only(self) -> Context:
        return Context(known={"aws:principalarn": (self.principal.arn,)})

    def _naming(self, statement: Statement) -> Named:
        """Return how far a statement of a resource's policy names the principal."""
        key = (statement.principals, statement.not_principal, statement.allow)
        if key not in self._named:
            self._named[key] = self._compared(statement)
        return self._named[key]

    def _compared(self, statement: Statement) -> Named:
        entries = statement.principals
        if entries is None:
            return Named()
        if not statement.not_principal:
            return named(entries, self._who, self._arn_only)
        if statement.allow:
            found = named(entries, self._who, self._arn_only)
            return Named(exact=negate(some([found.exact, found.role])))
        return Named(exact=denied_by_exclusion(entries, self._who, self._arn_only, boundary=self._bounded))


def _service_rule(action: Action) -> Formula:
    """Return whether another account can be granted an action."""
    if not action.name.startswith("dynamodb:"):
        return True
    if action.resource_policy == "undocumented":
        return Atom(f"DynamoDB lets other accounts call {action.name}", "note")
    return action.resource_policy in ("rbp+xacct", "rbp-replication")


def _named_resources(place: Place, statement: Statement, resolve: Resolve | None) -> Extent:
    """Return which resources a statement names: surely, or depending on a variable."""
    if statement.resources is None:
        return Extent(place.all)
    sure, still_open = 0, list[tuple[Formula, int]]()
    for text in statement.resources:
        bits, is_open = place.matching(text, resolve)
        if is_open:
            still_open.append((Atom(f"{text} is this resource", "note"), bits))
        else:
            sure |= bits
    found = Extent(sure)
    for atom, bits in still_open:
        found = either(found, where(atom, bits))
    return found.outside(place.all) if statement.not_resource else found
