"""Access of all principals to all tables at once, on sets of tables instead of single ones.

The scalar evaluator is the reference: for every principal, action and table both say the same. A statement is about
a set of tables, a condition holds for a set of tables under a formula, so a decision is a few disjoint sets, each with
its formula; what the evaluator does with one formula, this does with all of a principal's tables in one operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from auditor.access.actions import Action, actions, find, targets
from auditor.access.conditions import possible
from auditor.access.digests import BIT, Reader
from auditor.access.estate import DATA_ACTIONS, Estate, Principal, Table
from auditor.access.extents import Extent
from auditor.access.formula import Formula, refine
from auditor.access.places import Keys, NoResource, OfTables, Place, resources
from auditor.access.requester import Guardrails, Requester
from auditor.access.spaces import Space, set_bits
from auditor.access.verbs import actions_of

#: Tables that are surely and possibly reached, as sets.
Pred = tuple[int, int]

NOBODY: Pred = (0, 0)

#: A row: what is asked for -> tables.
Row = dict[str, Pred]


@dataclass(frozen=True, slots=True)
class _Task:
    """Actions that are decided alike for a principal.

    Attributes:
        alike: Number of the set of actions that its policies do not tell apart.
        ways: The ways in which a request is authorised: see :func:`auditor.access.actions.targets`.
        action: One of them.
        names: Their names.
    """

    alike: int
    ways: tuple[frozenset[str], ...]
    action: Action
    names: tuple[str, ...]


class Bulk:
    """Decides for all tables of an estate at once.

    Args:
        estate: The estate.
        guardrails: Apply SCPs and RCPs.

    Attributes:
        tables: ARNs of the tables; a table's place is its bit.
    """

    def __init__(self, estate: Estate, *, guardrails: bool = True) -> None:
        """Lay out the tables; nothing is decided yet."""
        self._estate = estate
        self._reader = Reader(estate)
        self._guardrails = Guardrails(estate, self._reader, apply=guardrails)
        self._space = Space(estate.tables)
        self.tables = self._space.arns
        table = Place("table", "dynamodb", self._space, [estate.tables[arn] for arn in self.tables])
        table.enter(self._reader, {arn: one.policy_of(arn) for arn, one in estate.tables.items()})
        self._places: dict[str, Place] = {"table": table}
        self._plans: dict[frozenset[int], tuple[_Task, ...]] = {}
        self._rows: dict[str, Row] = {}
        self._refined: dict[Formula, tuple[bool, bool]] = {}

    # -- directly --------------------------------------------------------------------------------------------------

    def direct(self, principal_arn: str, action: str) -> Pred:
        """Return the tables on which, or on whose indexes or stream, a principal may do an action directly.

        Returns:
            The tables where it surely may, and those where it may perhaps.

        Raises:
            KeyError: no such principal, or no such action of DynamoDB.
        """
        (known,) = actions_of(action)
        return self._row(self._estate.principals[principal_arn])[known.name]

    def rows(self, names: Iterable[str] | None = None) -> Iterator[tuple[str, Row]]:
        """Yield for every principal what it may do directly: action -> tables.

        Args:
            names: Actions; None: all of DynamoDB's.

        Raises:
            KeyError: no such action of DynamoDB.
        """
        wanted = [one.name for name in names for one in actions_of(name)] if names is not None else None
        for arn, principal in sorted(self._estate.principals.items()):
            row = self._row(principal)
            yield arn, dict(row) if wanted is None else {name: row[name] for name in wanted}

    def verb(self, principal_arn: str, verb: str) -> Pred:
        """Return the tables to which a principal may do what a verb says, directly, by any of its actions.

        Raises:
            KeyError: no such principal, verb or action.
        """
        row = self._row(self._estate.principals[principal_arn])
        return _any(row[action.name] for action in actions_of(verb))

    def _row(self, principal: Principal) -> Row:
        if principal.arn not in self._rows:
            self._rows[principal.arn] = self._decided(principal)
        return self._rows[principal.arn]

    def _decided(self, principal: Principal) -> Row:
        """Decide every action of DynamoDB; those that nothing tells apart are decided once."""
        requester = self._requester(principal)
        places = [self._of_kind(kind) for kind in ("table", "index", "stream")]
        cuts = requester.cuts(places)
        if any(place.all & ~place.accounts.get(principal.account, 0) for place in places):
            cuts |= _grantable()
        done: dict[tuple[int, str], Pred] = {}
        row: Row = {}
        for task in self._plan(cuts):
            ways = []
            for way in task.ways:
                parts = []
                for kind in way or (f"* of {principal.account}",):
                    key = (task.alike, kind)
                    if key not in done:
                        done[key] = _any(
                            self._to_tables(place, requester.decide(place, task.action))
                            for place in map(self._of_kind, self._layers(kind))
                        )
                    parts.append(done[key])
                ways.append(parts[0] if len(parts) == 1 else _every(parts))
            pred = ways[0] if len(ways) == 1 else _any(ways)
            for name in task.names:
                row[name] = pred
        return row

    def _requester(self, principal: Principal) -> Requester:
        return Requester(self._estate, self._reader, self._guardrails, principal)

    def _plan(self, cuts: frozenset[int]) -> tuple[_Task, ...]:
        """Return what there is to decide for principals whose policies tell the same sets of actions apart."""
        if cuts not in self._plans:
            alike: dict[tuple[bool, ...], int] = {}
            found: dict[tuple[int, tuple[frozenset[str], ...]], list[Action]] = {}
            for action in actions("dynamodb"):
                bit = BIT[action.name]
                number = alike.setdefault(tuple(bool(cut & bit) for cut in cuts), len(alike))
                found.setdefault((number, targets(action)), []).append(action)
            self._plans[cuts] = tuple(
                _Task(number, ways, held[0], tuple(one.name for one in held)) for (number, ways), held in found.items()
            )
        return self._plans[cuts]

    def _layers(self, kind: str) -> Iterable[str]:
        """Return the kinds to decide for one: a global table's ARN is shared by its tables in several regions.

        Their tags may differ, so each layer has every ARN at most once.
        """
        if kind != "global-table":
            return (kind,)
        return [f"{kind} {number}" for number in range(max(map(len, self._global_tables.values()), default=0))]

    @cached_property
    def _global_tables(self) -> dict[str, list[Table]]:
        found: dict[str, list[Table]] = {}
        for table in self._estate.tables.values():
            for arn in resources("global-table", table):
                found.setdefault(arn, []).append(table)
        return found

    def _of_kind(self, kind: str) -> Place:
        """Return the resources of a kind: indexes, streams, backups, … of all tables."""
        if kind not in self._places:
            self._places[kind] = self._laid_out(kind)
        return self._places[kind]

    def _laid_out(self, kind: str) -> Place:
        held = self._estate.tables
        if kind.startswith("*"):
            return NoResource(self._space, held, kind.removeprefix("* of "))
        family, _, layer = kind.partition(" ")
        owners = {arn: table for table in held.values() for arn in resources(family, table)}
        if layer:
            number = int(layer)
            owners = {arn: tables[number] for arn, tables in self._global_tables.items() if number < len(tables)}
        place = OfTables(kind, self._space, owners)
        place.enter(self._reader, {arn: table.policy_of(arn) for arn, table in owners.items()})
        return place

    def _to_tables(self, place: Place, extent: Extent) -> Pred:
        """Return the tables of the resources where something surely holds, and where it holds perhaps."""
        sure = maybe = extent.sure
        for formula, bits in extent.open.items():
            if formula not in self._refined:
                final = refine(formula, possible)
                self._refined[formula] = (final is True, final is not False)
            is_sure, is_possible = self._refined[formula]
            sure |= bits if is_sure else 0
            maybe |= bits if is_possible else 0
        first = place.to_tables(sure)
        return first, first if maybe == sure else place.to_tables(maybe)

    # -- with keys and roles ---------------------------------------------------------------------------------------

    def effective(self, verbs: Iterable[str]) -> dict[str, Row]:
        """Return for every principal and verb the tables that it reaches: with the tables' keys, and through a role.

        DAX clusters and what copying out needs beside are left to :class:`auditor.access.answers.Access`.

        Args:
            verbs: Verbs or actions.

        Raises:
            KeyError: no such verb or action.
        """
        names = {name: tuple(action.name for action in actions_of(name)) for name in verbs}
        people = self._estate.principals
        own = {arn: self._with_keys(principal, names) for arn, principal in people.items()}
        found: dict[str, dict[str, Pred]] = {}
        for arn, principal in people.items():
            sure_roles, maybe_roles = self._assumable(principal)
            roles = [(own[self._roles.space.arns[one]], sure_roles >> one & 1) for one in set_bits(maybe_roles)]
            found[arn] = held = dict(own[arn])
            for name in names if roles else ():
                sure, maybe = held[name]
                for row, surely in roles:
                    through = row[name]
                    maybe |= through[1]
                    sure |= through[0] if surely else 0
                held[name] = (sure, maybe)
        return found

    def _with_keys(self, principal: Principal, names: dict[str, tuple[str, ...]]) -> Row:
        """Return the tables that a principal reaches directly, and whose key lets it read or write items."""
        row = self._row(principal)
        keys: Pred | None = None
        found: Row = {}
        for name, wanted in names.items():
            # Actions that are decided alike share one object.
            preds = {(id(row[one]), one in DATA_ACTIONS): row[one] for one in wanted}
            parts = []
            for (_, with_key), pred in preds.items():
                if with_key and pred[1]:
                    keys = self._decrypting(principal) if keys is None else keys
                    parts.append(_every((pred, keys)))
                else:
                    parts.append(pred)
            found[name] = _any(parts)
        return found

    def _decrypting(self, principal: Principal) -> Pred:
        """Return the tables whose key lets a principal decrypt through DynamoDB."""
        free, managed = self._keyless
        free |= managed.get(principal.account, 0)
        sure, maybe = self._asked(principal, self._keys, "kms:Decrypt")
        return free | sure, free | maybe

    def _asked(self, principal: Principal, place: Place, name: str) -> Pred:
        action = find(name)
        assert action is not None
        return self._to_tables(place, self._requester(principal).decide(place, action))

    @cached_property
    def _keyless(self) -> tuple[int, dict[str, int]]:
        """The tables for which nobody needs a key, and those whose AWS managed key serves an account."""
        free: list[int] = []
        managed: dict[str, list[int]] = {}
        for number, arn in enumerate(self.tables):
            key = self._estate.tables[arn].key
            if key is None:
                free.append(number)
            elif key.managed and key.usable is not False:
                managed.setdefault(key.arn.split(":")[4], []).append(number)
        of = self._space.of
        return of(free), {account: of(numbers) for account, numbers in managed.items()}

    @cached_property
    def _keys(self) -> Keys:
        place = Keys(self._space, self._estate.tables)
        place.enter(self._reader, {arn: key.policy for arn, key in place.keys.items()})
        return place

    @cached_property
    def _roles(self) -> Place:
        people = self._estate.principals.items()
        roles = {arn: one for arn, one in people if one.kind == "role" and not one.service_linked}
        space = Space(roles)
        place = Place("role", "sts", space, [None] * len(space.arns))
        place.enter(self._reader, {arn: one.trust for arn, one in roles.items()}, trust=True)
        return place

    def _assumable(self, principal: Principal) -> Pred:
        """Return the roles that a principal may assume."""
        return self._asked(principal, self._roles, "sts:AssumeRole")


def _grantable() -> frozenset[int]:
    """Return the actions of DynamoDB by whether another account can be granted them."""
    found: dict[str, int] = {}
    for action in actions("dynamodb"):
        found[action.resource_policy] = found.get(action.resource_policy, 0) | BIT[action.name]
    return frozenset(found.values())


def _any(preds: Iterable[Pred]) -> Pred:
    sure = maybe = 0
    for one in preds:
        sure, maybe = sure | one[0], maybe | one[1]
    return sure, maybe


def _every(preds: Iterable[Pred]) -> Pred:
    sure = maybe = -1
    for one in preds:
        sure, maybe = sure & one[0], maybe & one[1]
    return sure, maybe
