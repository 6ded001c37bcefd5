"""Access of all principals to all tables at once, on sets of tables instead of single ones.

The scalar evaluator is the reference: for every principal, action and table both say the same. A statement is about
a set of tables, a condition holds for a set of tables under a formula, so a decision is a few disjoint sets, each with
its formula; what the evaluator does with one formula, this does with all of a principal's tables in one operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from auditor.access.actions import RCP_SERVICES, Action, actions, find, targets
from auditor.access.answers import actions_of, decrypt_context
from auditor.access.conditions import Context, holds, possible
from auditor.access.estate import DATA_ACTIONS, Estate, Key, Principal, Table
from auditor.access.formula import Atom, Formula, negate, refine, some
from auditor.access.patterns import Variable, template
from auditor.access.policy import Named, Policy, Statement, Unreadable, read
from auditor.access.principals import Caller, caller, denied_by_exclusion, named
from auditor.access.principals import Named as NamedCaller
from auditor.access.spaces import Partition, Space, both, either, opposite, set_bits

#: Tables that are surely and possibly reached, as sets.
Pred = tuple[int, int]

NOBODY: Pred = (0, 0)

#: Condition keys whose values differ between tables.
_TABLE_KEYS = ("aws:resourcetag/", "aws:resourceaccount", "aws:resourceorg", "aws:requestedregion")

#: Condition keys whose values, or presence, differ between principals.
_PRINCIPAL_KEYS = ("aws:principal", "aws:user", "kms:calleraccount")

#: Condition keys whose values, or presence, differ between actions.
_ACTION_KEYS = ("dynamodb:", "dax:", "aws:requesttag/", "aws:tagkeys")


def _variables(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        if "${" in text:
            yield from (part.key for part in template(text) if isinstance(part, Variable))


def _keys_of(statement: Statement, variables: bool) -> frozenset[str]:
    """Return the condition keys that a statement's conditions and resources hang on."""
    keys = {condition.key for condition in statement.conditions}
    if variables:
        for condition in statement.conditions:
            keys.update(_variables(condition.values))
        keys.update(_variables(statement.resources or ()))
    return frozenset(keys)


@dataclass(frozen=True)
class _Entry:
    """A statement that stands, the same but for the resource, in the policies of several resources.

    Attributes:
        statement: One of them; its resources do not count. None for policies that cannot be read.
        variables: The policy's version has policy variables.
        bits: The resources in whose policies it is about them.
        name: The policy's name.
    """

    statement: Statement | None
    variables: bool
    bits: int
    name: str


@dataclass
class _Place:
    """A space with the policies that its resources have, and its classes.

    Attributes:
        space: The resources.
        classes: Resources that no condition key tells apart: a representative's ARN, its table, the set.
        entries: What the resources' policies say, by who is named: an ARN, an account, ``*``.
        accounts: Account -> its resources.
        owners: For resources of tables, the number of each one's table.
    """

    space: Space
    classes: list[tuple[str, Table | None, int]] = field(default_factory=list)
    entries: dict[str, list[_Entry]] = field(default_factory=dict)
    accounts: dict[str, int] = field(default_factory=dict)
    owners: list[int] = field(default_factory=list)
    moved: dict[int, int] = field(default_factory=dict)

    @cached_property
    def fine(self) -> list[tuple[int, int]]:
        """The classes, each as its place and its set."""
        return [(number, bits) for number, (_, _, bits) in enumerate(self.classes)]

    @cached_property
    def coarse(self) -> list[tuple[int, int]]:
        """The classes of one account and region together, for conditions that look at no tags."""
        found: dict[tuple[str, ...], tuple[int, int]] = {}
        for number, (arn, _, bits) in enumerate(self.classes):
            where = tuple(arn.split(":", 5)[3:5])
            first, held = found.get(where, (number, 0))
            found[where] = (first, held | bits)
        return list(found.values())


@dataclass
class _Union:
    """What policies that are a union say of every resource of a space."""

    allow: Partition
    deny: Partition
    role: Partition
    account: Partition


class Bulk:
    """Decides for all tables of an estate at once.

    Args:
        estate: The estate.
        guardrails: Apply SCPs and RCPs.

    Attributes:
        tables: ARNs of the tables; a table's place is its bit.
    """

    def __init__(self, estate: Estate, *, guardrails: bool = True) -> None:
        """Lay out the spaces; nothing is decided yet."""
        self.estate, self.guardrails = estate, guardrails
        self._policies: dict[Any, Policy] = {}
        self._decided: dict[tuple[str, str], Pred] = {}
        self._refined: dict[Formula, tuple[bool, bool]] = {}
        # By identity: the policies are kept in ``_policies``, and hashing one takes longer than reading it.
        self._masks: dict[tuple[int, str], int] = {}
        self._keys: dict[int, frozenset[str]] = {}
        self._plain: dict[int, bool] = {}
        self.unions: dict[tuple[int, int, int, str], tuple[Partition | None, Partition | None]] = {}
        self._tags = self._mentioned_tags()
        self._places: dict[str, _Place] = {}
        table_space = Space(estate.tables)
        self.tables = table_space.arns
        self._number = table_space.bits
        self._all = table_space.all
        self._places["table"] = self._place(table_space, {arn: estate.tables[arn] for arn in self.tables})

    # -- laying out ------------------------------------------------------------------------------------------------

    def read(self, document: Any, name: str, *, trust: bool = False) -> Policy:
        """Read a document once, whoever has it."""
        held = document.document if isinstance(document, Named) else document
        key = (held if isinstance(held, str | Unreadable) else id(held), trust)
        named_key = (key, document.name if isinstance(document, Named) else name)
        if named_key not in self._policies:
            self._policies[named_key] = read(document, name, trust=trust)
        return self._policies[named_key]

    def _mentioned_tags(self) -> frozenset[str]:
        documents: list[Any] = []
        for principal in self.estate.principals.values():
            documents += [*principal.policies, principal.boundary, principal.session]
        for account in self.estate.accounts.values():
            documents += [one for level in (*(account.scps or ()), *(account.rcps or ())) for one in level]
        for table in self.estate.tables.values():
            documents += [table.policy, table.stream_policy]
        keys = {
            key
            for document in documents
            if document is not None
            for policy in [self.read(document, "policy")]
            for statement in policy.statements
            for key in self.keys_of(statement, policy.variables)
        }
        return frozenset(key for key in keys if key.startswith("aws:resourcetag/"))

    def keys_of(self, statement: Statement, variables: bool) -> frozenset[str]:
        """Return the condition keys that a statement's conditions and resources hang on."""
        if id(statement) not in self._keys:
            self._keys[id(statement)] = _keys_of(statement, variables)
        return self._keys[id(statement)]

    def mask(self, policy: Policy, action: str) -> int:
        """Return which of a policy's statements are about an action; all ones for one that cannot be read."""
        key = (id(policy), action)
        if key not in self._masks:
            statements = enumerate(policy.statements)
            found = sum(1 << number for number, statement in statements if statement.covers(action))
            self._masks[key] = -1 if policy.unreadable is not None else found
        return self._masks[key]

    def says_the_same_to_all(self, policy: Policy) -> bool:
        """Tell whether a policy says the same of every principal: no key that it looks at is about the principal."""
        if id(policy) not in self._plain:
            keys = {key for one in policy.statements for key in self.keys_of(one, policy.variables)}
            self._plain[id(policy)] = not any(key.startswith(_PRINCIPAL_KEYS) for key in keys)
        return self._plain[id(policy)]

    def _place(self, space: Space, tables: Mapping[str, Table]) -> _Place:
        """Lay out resources that belong to tables."""
        place = _Place(space, owners=[self._number[tables[arn].arn] for arn in space.arns])
        classes: dict[tuple[Any, ...], list[int]] = {}
        accounts: dict[str, list[int]] = {}
        for number, arn in enumerate(space.arns):
            table = tables[arn]
            tags = None
            if table.tags is not None:
                folded = {f"aws:resourcetag/{key.lower()}": value for key, value in table.tags.items()}
                tags = tuple(folded.get(key) for key in sorted(self._tags))
            classes.setdefault((*arn.split(":", 5)[3:5], tags), []).append(number)
            accounts.setdefault(table.account, []).append(number)
        place.classes = [
            (space.arns[numbers[0]], tables[space.arns[numbers[0]]], space.of(numbers)) for numbers in classes.values()
        ]
        place.accounts = {account: space.of(numbers) for account, numbers in accounts.items()}
        self._enter(place, {arn: table.policy_of(arn) for arn, table in tables.items()})
        return place

    def _enter(self, place: _Place, policies: Mapping[str, Any], *, trust: bool = False) -> None:
        """Gather the statements of resources' policies, each once with all the resources whose policies have it."""
        found: dict[tuple[Any, ...], tuple[Statement | None, list[int]]] = {}
        for arn, document in policies.items():
            if document is None:
                continue
            policy = self.read(document, "resource policy", trust=trust)
            number = place.space.bits[arn]
            if policy.unreadable is not None:
                found.setdefault((None, policy.name), (None, []))[1].append(number)
            for one in policy.statements:
                about, still_open = self._is_about(place, one, policy, arn, trust)
                if about:
                    rest = (one.allow, one.actions, one.not_action, one.principals, one.not_principal, one.conditions)
                    key = (policy.variables, *rest, one.resources if still_open else None)
                    found.setdefault(key, (one, []))[1].append(number)
        for key, (statement, numbers) in found.items():
            if statement is None:
                entry = _Entry(None, False, place.space.of(numbers), str(key[1]))
                place.entries.setdefault("*", []).append(entry)
                continue
            entry = _Entry(statement, bool(key[0]), place.space.of(numbers), "")
            for who in _addressees(statement):
                place.entries.setdefault(who, []).append(entry)

    def _is_about(
        self, place: _Place, statement: Statement, policy: Policy, arn: str, trust: bool
    ) -> tuple[bool, bool]:
        """Tell whether a statement of a resource's own policy is about it, and whether a variable decides that."""
        if trust or statement.resources is None:
            return True, False
        if policy.variables and any("${" in text for text in statement.resources):
            return True, True
        bit = 1 << place.space.bits[arn]
        matched = any(place.space.matching(text, None)[0] & bit for text in statement.resources)
        return matched is not statement.not_resource, False

    def of_kind(self, kind: str) -> _Place:
        """Return the resources of a kind: indexes, streams, backups, … of all tables."""
        if kind not in self._places:
            owners: dict[str, Table] = {}
            for table in self.estate.tables.values():
                for arn in _resources(kind, table):
                    owners[arn] = table
            self._places[kind] = self._place(Space(owners), owners)
        return self._places[kind]

    # -- deciding --------------------------------------------------------------------------------------------------

    def direct(self, principal_arn: str, action: str) -> Pred:
        """Return the tables on which, or on whose indexes or stream, a principal may do an action directly.

        Returns:
            The tables where it surely may, and those where it may perhaps.

        Raises:
            KeyError: no such principal, or no such action of DynamoDB.
        """
        key = (principal_arn, action)
        if key not in self._decided:
            (known,) = actions_of(action)
            self._decided |= {
                (principal_arn, one.name): pred
                for one, pred in self._all_actions(self.estate.principals[principal_arn], (known,))
            }
        return self._decided[key]

    def rows(self, names: Iterable[str] | None = None) -> Iterator[tuple[str, dict[str, Pred]]]:
        """Yield for every principal what it may do directly: action -> tables.

        Args:
            names: Actions; None: all of DynamoDB's that are about a table.
        """
        wanted = tuple(
            one for one in (actions("dynamodb") if names is None else (find(name) for name in names)) if one is not None
        )
        for arn, principal in sorted(self.estate.principals.items()):
            yield arn, {one.name: pred for one, pred in self._all_actions(principal, wanted)}

    def verb(self, principal_arn: str, verb: str) -> Pred:
        """Return the tables to which a principal may do what a verb says, directly, by any of its actions."""
        sure = maybe = 0
        for action in actions_of(verb):
            found = self.direct(principal_arn, action.name)
            sure, maybe = sure | found[0], maybe | found[1]
        return sure, maybe

    def _all_actions(self, principal: Principal, wanted: tuple[Action, ...]) -> Iterator[tuple[Action, Pred]]:
        """Decide several actions; those that no statement tells apart are decided once."""
        question = _Question(self, principal)
        seen: dict[tuple[Any, ...], Pred] = {}
        for action in wanted:
            signature = question.signature(action)
            if signature not in seen:
                seen[signature] = self._decide(question, action)
            yield action, seen[signature]

    def _decide(self, question: _Question, action: Action) -> Pred:
        sure = maybe = 0
        for way in targets(action):
            if not way:
                found = self._without_resource(question, action)
            elif way <= {"table", "index", "stream"} or len(way) == 1:
                (kind,) = way
                found = self._to_tables(self.of_kind(kind), question.decide(self.of_kind(kind), action))
            else:
                places = [self.of_kind(kind) for kind in way]
                parts = [self._to_tables(place, question.decide(place, action)) for place in places]
                found = (_meet(part[0] for part in parts), _meet(part[1] for part in parts))
            sure, maybe = sure | found[0], maybe | found[1]
        return sure, maybe

    def _without_resource(self, question: _Question, action: Action) -> Pred:
        """Decide an action that names no resource by the scalar evaluator; only the tables' tags can differ."""
        sure = maybe = 0
        classes = self._places["table"].classes
        if not question.looks_at_tags:
            classes = [(*classes[0][:2], self._all)] if classes else []
        for _, table, bits in classes:
            decision = self.estate.decide(question.principal, action.name, "*", table=table, guardrails=self.guardrails)
            sure |= bits if decision.verdict == "allowed" else 0
            maybe |= bits if decision.verdict != "denied" else 0
        return sure, maybe

    def _to_tables(self, place: _Place, pred: Pred) -> Pred:
        if place.space.arns is self.tables:
            return pred
        return self._moved(place, pred[0]), self._moved(place, pred[1])

    def _moved(self, place: _Place, bits: int) -> int:
        """Return the tables that some resources belong to."""
        if bits not in place.moved:
            place.moved[bits] = self._places["table"].space.of(place.owners[number] for number in set_bits(bits))
        return place.moved[bits]

    def settle(self, partition: Partition) -> Pred:
        """Return where a formula surely holds, and where it holds perhaps."""
        sure = maybe = 0
        for formula, bits in partition.items():
            if formula not in self._refined:
                final = refine(formula, possible)
                self._refined[formula] = (final is True, final is not False)
            is_sure, is_possible = self._refined[formula]
            sure |= bits if is_sure else 0
            maybe |= bits if is_possible else 0
        return sure, maybe

    # -- keys, roles, clusters -------------------------------------------------------------------------------------

    def effective(self, verbs: Iterable[str]) -> dict[str, dict[str, Pred]]:
        """Return for every principal and verb the tables that it reaches: with the tables' keys, and through a role.

        DAX clusters and what copying out needs beside are left to :class:`auditor.access.answers.Access`.

        Args:
            verbs: Verbs or actions.
        """
        names = list(verbs)
        own = {arn: self._with_keys(principal, names) for arn, principal in self.estate.principals.items()}
        found: dict[str, dict[str, Pred]] = {}
        roles = self._roles()
        for arn, principal in self.estate.principals.items():
            edge = self._edges(principal, roles)
            held = {}
            for name in names:
                sure, maybe = own[arn][name]
                for number in set_bits(edge[1]):
                    through = own[roles.space.arns[number]][name]
                    maybe |= through[1]
                    sure |= through[0] if edge[0] >> number & 1 else 0
                held[name] = (sure, maybe)
            found[arn] = held
        return found

    def _with_keys(self, principal: Principal, names: list[str]) -> dict[str, Pred]:
        wanted = {one.name: one for name in names for one in actions_of(name)}
        preds = {one.name: pred for one, pred in self._all_actions(principal, tuple(wanted.values()))}
        keys: Pred | None = None
        found: dict[str, Pred] = {}
        for name in names:
            sure = maybe = 0
            for action in actions_of(name):
                one = preds[action.name]
                if one[1] and action.name in DATA_ACTIONS:
                    keys = self._decrypting(principal) if keys is None else keys
                    one = (one[0] & keys[0], one[1] & keys[1])
                sure, maybe = sure | one[0], maybe | one[1]
            found[name] = (sure, maybe)
        return found

    def _decrypting(self, principal: Principal) -> Pred:
        """Return the tables whose key lets a principal decrypt through DynamoDB."""
        free, own = self._keyless(principal.account)
        if "key" not in self._places:
            self._places["key"] = self._key_place()
        place = self._places["key"]
        question = _Question(self, principal)
        sure, maybe = question.decide(place, _decrypt_action())
        return free | own | self._moved(place, sure), free | own | self._moved(place, maybe)

    def _keyless(self, account: str) -> Pred:
        """Return the tables for which nobody needs a key, and those whose AWS managed key serves an account."""
        if not hasattr(self, "_free"):
            free: list[int] = []
            managed: dict[str, list[int]] = {}
            for number, arn in enumerate(self.tables):
                key = self.estate.tables[arn].key
                if key is None:
                    free.append(number)
                elif key.managed and key.usable is not False:
                    managed.setdefault(key.arn.split(":")[4], []).append(number)
            space = self._places["table"].space
            self._free = (space.of(free), {one: space.of(numbers) for one, numbers in managed.items()})
        return self._free[0], self._free[1].get(account, 0)

    def _key_place(self) -> _Place:
        """Lay out the customer keys: one resource for each table with one, since the context names the table."""
        users: dict[str, list[Table]] = {}
        keys: dict[str, Key] = {}
        for table in self.estate.tables.values():
            if table.key is not None and not table.key.managed and table.key.usable is not False:
                users.setdefault(table.key.arn, []).append(table)
                keys[table.key.arn] = table.key
        space = Space(users)
        place = _Place(space)
        place.accounts = {}
        for number, arn in enumerate(space.arns):
            account = arn.split(":")[4]
            place.accounts[account] = place.accounts.get(account, 0) | 1 << number
            place.classes.append((arn, users[arn][0], 1 << number))
        self._enter(place, {arn: keys[arn].policy for arn in space.arns})
        table_space = self._places["table"].space
        sets = {1 << space.bits[arn]: table_space.of(self._number[one.arn] for one in users[arn]) for arn in space.arns}
        place.moved = _Sum(sets)
        return place

    def _roles(self) -> _Place:
        roles = {
            arn: one for arn, one in self.estate.principals.items() if one.kind == "role" and not one.service_linked
        }
        space = Space(roles)
        place = _Place(space)
        accounts: dict[str, list[int]] = {}
        for number, arn in enumerate(space.arns):
            accounts.setdefault(arn.split(":")[4], []).append(number)
        place.accounts = {account: space.of(numbers) for account, numbers in accounts.items()}
        place.classes = [(space.arns[numbers[0]], None, space.of(numbers)) for numbers in accounts.values()]
        self._enter(place, {arn: one.trust for arn, one in roles.items()}, trust=True)
        return place

    def _edges(self, principal: Principal, roles: _Place) -> Pred:
        """Return the roles that a principal may assume, itself left out."""
        action = find("sts:AssumeRole")
        assert action is not None
        sure, maybe = _Question(self, principal).decide(roles, action)
        own = roles.space.bits.get(principal.arn)
        mask = ~(1 << own) if own is not None else -1
        return sure & mask, maybe & mask


class _Sum(dict[int, int]):
    """Sets of tables by set of keys: the union over the keys, made when it is asked for."""

    def __init__(self, single: dict[int, int]) -> None:
        super().__init__({0: 0})
        self._single = single

    def __missing__(self, bits: int) -> int:
        found = 0
        for number in set_bits(bits):
            found |= self._single[1 << number]
        self[bits] = found
        return found

    def __contains__(self, bits: object) -> bool:
        return True


def _decrypt_action() -> Action:
    action = find("kms:Decrypt")
    assert action is not None
    return action


def _meet(parts: Iterable[int]) -> int:
    found = -1
    for part in parts:
        found &= part
    return found


def _resources(kind: str, table: Table) -> list[str]:
    """Return the ARNs of a kind that belong to a table, as :func:`auditor.access.answers.resources_of` names them."""
    partition = table.arn.split(":")[1]
    if kind == "index":
        return [f"{table.arn}/index/{name}" for name in (("*",) if table.indexes is None else table.indexes)]
    if kind == "stream":
        return [table.stream] if table.stream else []
    if kind == "global-table":
        return [f"arn:{partition}:dynamodb::{table.account}:global-table/{table.name}"]
    return [f"{table.arn}/{kind}/01700000000000-ddbaudit"]


def _addressees(statement: Statement) -> set[str]:
    """Return by what a caller finds a statement of a resource's policy: its ARN, its account, or ``*``."""
    if statement.not_principal or statement.principals is None:
        return {"*"}
    found = set()
    for kind, value in statement.principals:
        if kind != "AWS":
            continue
        segments = value.split(":", 5)
        if value == "*":
            found.add("*")
        elif len(segments) != 6:
            found.add(value)
        elif segments[5] == "root":
            found.add(segments[4])
        elif segments[5].startswith("assumed-role/"):
            found.add(f"{segments[4]}/{segments[5].split('/')[1]}")
        else:
            found.add(value)
    return found


class _Question:
    """One principal's requests."""

    def __init__(self, bulk: Bulk, principal: Principal) -> None:
        self.bulk, self.principal = bulk, principal
        estate = bulk.estate
        account = estate.account(principal.account)
        read_one = bulk.read
        self.identity = [read_one(one, "identity policy") for one in principal.policies]
        self.boundary = None if principal.boundary is None else [read_one(principal.boundary, "boundary policy")]
        self.session = None if principal.session is None else [read_one(principal.session, "session policy")]
        bound = bulk.guardrails and not account.management and not principal.service_linked
        self.scps = _levels(read_one, account.scps, "scp") if bound else []
        self.rcps: dict[str, list[list[Policy]]] = {}
        for number, other in estate.accounts.items():
            if bulk.guardrails and not other.management and other.rcps and not principal.service_linked:
                self.rcps[number] = _levels(read_one, other.rcps, "rcp")
        self._contexts: dict[tuple[str, tuple[Any, ...]], Context] = {}
        self._entries = {kind: self.entries(bulk.of_kind(kind)) for kind in ("table", "index", "stream")}
        said = [(one, policy.variables) for policy in self._all_policies() for one in policy.statements]
        said += [
            (one.statement, one.variables)
            for held in self._entries.values()
            for one in held
            if one.statement is not None
        ]
        keys = frozenset(key for statement, variables in said for key in bulk.keys_of(statement, variables))
        self._action_keys = tuple(sorted(key for key in keys if key.startswith(_ACTION_KEYS)))
        self.looks_at_tags = any(key.startswith("aws:resourcetag/") for key in keys)
        self._kinds: dict[str, tuple[Any, ...]] = {}

    def _all_policies(self) -> Iterator[Policy]:
        yield from (*self.identity, *(self.boundary or ()), *(self.session or ()))
        for levels in (self.scps, *self.rcps.values()):
            for level in levels:
                yield from level

    def signature(self, action: Action) -> tuple[Any, ...]:
        """Return what tells an action's decision from another one's."""
        name = action.name.lower()
        covered = tuple(self.bulk.mask(policy, name) for policy in self._all_policies())
        entries = tuple(
            entry.statement is None or entry.statement.covers(name) for held in self._entries.values() for entry in held
        )
        return covered, entries, targets(action), action.resource_policy, self._kind(action)

    def _kind(self, action: Action) -> tuple[Any, ...]:
        """Return what tells the condition keys of an action from another one's, of those that policies look at."""
        if action.name not in self._kinds:
            service = action.name.partition(":")[0]
            kind: tuple[Any, ...] = (service,)
            if self._action_keys:
                held = tuple(key in action.keys for key in self._action_keys)
                # These differ from other actions with the same keys (see ``Estate.request``).
                special = action.name if action.name in ("dynamodb:SearchVectors", "dynamodb:GetItem") else ""
                kind = (service, held, bool(action.request_keys), special)
            self._kinds[action.name] = kind
        return self._kinds[action.name]

    def entries(self, place: _Place) -> list[_Entry]:
        """Return what resources' policies say that may concern the principal."""
        principal = self.principal
        found: dict[int, _Entry] = {}
        for who in ("*", principal.arn, principal.account, f"{principal.account}/{principal.name}"):
            for entry in place.entries.get(who, ()):
                found[id(entry)] = entry
        return list(found.values())

    def decide(self, place: _Place, action: Action) -> Pred:
        """Return for which resources an action is surely, and perhaps, allowed."""
        space, name = place.space, action.name.lower()
        service = name.partition(":")[0]
        true: Partition = {True: space.all}
        identity = self._union(place, action, self.identity)
        boundary = self._union(place, action, self.boundary) if self.boundary is not None else None
        session = self._union(place, action, self.session) if self.session is not None else None
        resource = self._resource(place, action)
        limited = true
        for limit in (boundary, session):
            if limit is not None:
                limited = both(limited, limit.allow)
        own = both(identity.allow, limited)
        mine = place.accounts.get(self.principal.account, 0)
        theirs = space.all & ~mine
        if service in ("kms", "sts"):
            same = either(resource.allow, either(both(resource.role, limited), both(resource.account, own)))
        else:
            same = either(own, either(resource.allow, both(resource.role, limited)))
        grant = _within(same, mine)
        if theirs:
            anybody = either(resource.allow, either(resource.role, resource.account))
            other = both(both(anybody, own), {self._service_rule(action): space.all})
            for formula, bits in _within(other, theirs).items():
                grant[formula] = grant.get(formula, 0) | bits
        if set(grant) == {False} or not grant:
            return NOBODY
        allows, deny = true, either(identity.deny, resource.deny)
        for limit in (boundary, session):
            if limit is not None:
                deny = either(deny, limit.deny)
        for level in self.scps:
            said = self._union(place, action, level)
            allows, deny = both(allows, said.allow), either(deny, said.deny)
        if service in RCP_SERVICES:
            for account, levels in self.rcps.items():
                held = place.accounts.get(account, 0)
                for level in levels if held else ():
                    said = self._union(place, action, level, resource_side=True)
                    offered = said.allow if any(_offers(policy) for policy in level) else true
                    outside = space.all & ~held
                    allows = both(allows, either(offered, {True: outside, False: held}))
                    deny = either(deny, both(said.deny, {True: held, False: outside}))
        return self.bulk.settle(both(both(grant, allows), opposite(deny)))

    def _service_rule(self, action: Action) -> Formula:
        if not action.name.startswith(("dynamodb:", "dax:")):
            return True
        if action.resource_policy == "undocumented":
            return Atom(f"DynamoDB lets other accounts call {action.name}", "note")
        return action.resource_policy in ("rbp+xacct", "rbp-replication")

    def _union(
        self, place: _Place, action: Action, policies: Iterable[Policy], *, resource_side: bool = False
    ) -> _Union:
        space, name = place.space, action.name.lower()
        nothing: Partition = {False: space.all}
        allow, deny = nothing, nothing
        for policy in policies:
            said, refused = self._policy(place, action, policy, name, resource_side)
            if said is not None:
                allow = either(allow, said)
            if refused is not None:
                deny = either(deny, refused)
        return _Union(allow, deny, nothing, nothing)

    def _policy(
        self, place: _Place, action: Action, policy: Policy, name: str, resource_side: bool
    ) -> tuple[Partition | None, Partition | None]:
        """Return where a policy allows and where it denies; None for nowhere."""
        if policy.unreadable is not None:
            allows, denies = _unreadable(policy.name)
            return {allows: place.space.all}, {denies: place.space.all}
        mask = self.bulk.mask(policy, name)
        if not mask:
            return None, None
        plain = not resource_side and self.bulk.says_the_same_to_all(policy)
        looks = any(key.startswith(_ACTION_KEYS) for one in policy.statements for key in self.bulk.keys_of(one, True))
        key = (id(policy), mask, id(place), action.name if looks or action.name.startswith("kms:") else "")
        kept = self.bulk.unions.get(key) if plain else None
        if kept is not None:
            return kept
        allow: Partition | None = None
        deny: Partition | None = None
        for position, statement in enumerate(policy.statements):
            if not mask >> position & 1:
                continue
            applies = self._applies(place, action, statement, policy.variables)
            if resource_side and statement.principals is not None:
                applies = both(applies, {self._named(statement).at_all: place.space.all})
            if statement.allow:
                allow = applies if allow is None else either(allow, applies)
            else:
                deny = applies if deny is None else either(deny, applies)
        if plain:
            self.bulk.unions[key] = (allow, deny)
        return allow, deny

    def _applies(self, place: _Place, action: Action, statement: Statement, variables: bool) -> Partition:
        about = self._about(place, action, statement, variables)
        return self._under_conditions(place, action, statement, variables, about)

    def _about(self, place: _Place, action: Action, statement: Statement, variables: bool) -> Partition:
        """Return which resources a statement names; what a variable stands for may differ between their classes."""
        if not variables or not any("${" in text for text in statement.resources or ()):
            return place.space.resources(statement, None)
        if not any(key.startswith(_TABLE_KEYS) for key in _variables(statement.resources or ())):
            return place.space.resources(statement, self._context(place, action, 0).resolve)
        found: Partition = {}
        for position, (_, _, bits) in enumerate(place.classes):
            here = place.space.resources(statement, self._context(place, action, position).resolve)
            for formula, held in _within(here, bits).items():
                found[formula] = found.get(formula, 0) | held
        return found

    def _under_conditions(
        self, place: _Place, action: Action, statement: Statement, variables: bool, about: Partition
    ) -> Partition:
        """Return where a statement is about the request and its conditions hold.

        The conditions give one formula, or one for each class of resources that the statement is about.
        """
        if not statement.conditions:
            return about
        concerned = place.space.all & ~about.get(False, 0)
        kms = action.name.startswith("kms:")
        if not kms and not any(key.startswith(_TABLE_KEYS) for key in self.bulk.keys_of(statement, variables)):
            formula = holds(statement.conditions, self._context(place, action, 0), variables=variables)
            return both(about, {formula: place.space.all})
        found: Partition = {False: place.space.all & ~concerned}
        by_tags = kms or any(key.startswith("aws:resourcetag/") for key in self.bulk.keys_of(statement, variables))
        for position, bits in place.fine if by_tags else place.coarse:
            if bits & concerned:
                formula = holds(statement.conditions, self._context(place, action, position), variables=variables)
                found[formula] = found.get(formula, 0) | (bits & concerned)
        return both(about, found)

    def _context(self, place: _Place, action: Action, position: int) -> Context:
        if not place.classes:
            return Context()
        arn, table, _ = place.classes[position]
        key = (arn, self._kind(action))
        if key not in self._contexts:
            more = decrypt_context(self.principal, table) if action.name == "kms:Decrypt" and table else None
            mine = None if action.name.startswith(("kms:", "sts:")) else table
            request = self.bulk.estate.request(self.principal, action.name, arn, table=mine, context=more)
            self._contexts[key] = request.read_context()
        return self._contexts[key]

    def _resource(self, place: _Place, action: Action) -> _Union:
        """Return what the resources' own policies say."""
        space, name = place.space, action.name.lower()
        nothing: Partition = {False: space.all}
        said = _Union(nothing, nothing, nothing, nothing)
        for entry in self.entries(place):
            here: Partition = {True: entry.bits, False: space.all & ~entry.bits}
            if entry.statement is None:
                allows, denies = _unreadable(entry.name)
                said.allow = either(said.allow, both(here, {allows: space.all}))
                said.deny = either(said.deny, both(here, {denies: space.all}))
                continue
            statement = entry.statement
            if not statement.covers(name):
                continue
            applies = here
            if entry.variables and any("${" in text for text in statement.resources or ()):
                applies = both(applies, self._about(place, action, statement, entry.variables))
            applies = self._under_conditions(place, action, statement, entry.variables, applies)
            who = self._named(statement)
            if not statement.allow:
                said.deny = either(said.deny, both(applies, {who.at_all: space.all}))
                continue
            said.allow = either(said.allow, both(applies, {who.exact: space.all}))
            said.role = either(said.role, both(applies, {who.role: space.all}))
            said.account = either(said.account, both(applies, {who.account: space.all}))
        return said

    def _named(self, statement: Statement) -> NamedCaller:
        context = Context(known={"aws:principalarn": (self.principal.arn,)})
        who: Caller = caller(self.principal.caller or self.principal.arn, "", context)
        entries = statement.principals
        if entries is None:
            return NamedCaller()
        if not statement.not_principal:
            return named(entries, who, context)
        if statement.allow:
            found = named(entries, who, context)
            return NamedCaller(exact=negate(some([found.exact, found.role])))
        return NamedCaller(
            exact=denied_by_exclusion(entries, who, context, boundary=self.principal.boundary is not None)
        )


def _unreadable(name: str) -> tuple[Atom, Atom]:
    """Return the questions whether a policy that cannot be read allows, and denies."""
    called = name if "policy" in name else f"policy {name}"
    return (
        Atom(f"{called}, which cannot be read, allows it", "note"),
        Atom(f"{called}, which cannot be read, denies it", "note"),
    )


def _within(partition: Partition, bits: int) -> Partition:
    return {formula: held & bits for formula, held in partition.items() if held & bits}


def _levels(read_one: Any, levels: Any, kind: str) -> list[list[Policy]]:
    return [
        [read_one(one, f"{kind} at level {number}, document {place}") for place, one in enumerate(level)]
        for number, level in enumerate(levels or ())
    ]


def _offers(policy: Policy) -> bool:
    return policy.unreadable is not None or any(statement.allow for statement in policy.statements)
