"""Who can read, write and delete which tables, as the map of the report shows it: by the bulk access engine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from auditor.access import Unreadable
from auditor.access import estate as engine
from auditor.access.actions import Action
from auditor.access.answers import Access as Answers
from auditor.access.bulk import Bulk, Pred
from auditor.access.holdings import ORGANISATION_KEYS
from auditor.access.outsiders import Outsider
from auditor.access.policy import EVERYTHING, Named, Policy, read
from auditor.access.reach import reach
from auditor.access.spaces import set_bits
from auditor.access.verbs import actions_of, resources_of
from auditor.analysis.estate import Asked, asked
from auditor.facts import (
    DaxClusterNames,
    EncryptionKey,
    Gap,
    Identities,
    KeyPolicy,
    KeySettings,
    Organization,
    ResourceControlPolicies,
    ServiceControlPolicies,
    TableAccess,
    TableNames,
)
from auditor.facts.base import VANISHED
from auditor.picture.missing import Missing, why
from auditor.resources import Account, Table


@dataclass(frozen=True, slots=True)
class Who:
    """Somebody who can use a table.

    Attributes:
        kind: ``public``, ``account``, ``service``, ``user`` or ``role``; ``other`` for what a policy names besides.
        name: Its ARN, or what the access engine calls it.
        account: Its account's number, or an empty text.
    """

    kind: str
    name: str
    account: str = ""

    @property
    def rank(self) -> tuple[int, str]:
        """Strangers first, then by name."""
        return _KINDS.index(self.kind), self.name

    @property
    def label(self) -> str:
        """Its kind and name without the path: ``role/orders-api``."""
        if not self.name.startswith("arn:"):
            return self.name
        kind, _, rest = self.name.split(":", 5)[5].partition("/")
        return f"{kind}/{rest.rpartition('/')[2]}" if rest else f"account {self.account}"


#: Kinds of principals, strangers first.
_KINDS = ("public", "account", "other", "service", "user", "role")

State = Literal["allowed", "conditional", "unknown"]


@dataclass(frozen=True, slots=True)
class Right:
    """What somebody can do: surely, under conditions, or perhaps; ``as_role``: only by assuming a role."""

    state: State
    as_role: bool = False


#: What is told of a table, each as verbs of the access engine.
VERBS: Mapping[str, tuple[str, ...]] = {
    "read": ("read",),
    "write": ("write", "delete-data"),
    "delete": ("delete-table",),
}


@dataclass(frozen=True, slots=True)
class Bundle:
    """Principals that can do the same.

    Attributes:
        who: Their places in :attr:`TableUse.people`, sorted.
        rights: By verb, what they can do; a verb that they cannot is left out.
    """

    who: tuple[int, ...]
    rights: Mapping[str, Right]


@dataclass(frozen=True, slots=True)
class TableGroup:
    """Tables that the same principals can use in the same way.

    Attributes:
        tables: The tables, sorted.
        bundles: Who can use them; the public first, then those who can do most.
        whole: The users and roles of their account are known.
    """

    tables: tuple[Table, ...]
    bundles: tuple[Bundle, ...]
    whole: bool = True

    def count(self, verb: str) -> int:
        """Return how many principals can do something, those included who perhaps can."""
        return sum(len(one.who) for one in self.bundles if verb in one.rights)


@dataclass(frozen=True, slots=True)
class TableUse:
    """Who can use the tables.

    Attributes:
        people: Everybody who can use a table, strangers first.
        groups: The tables; those that most can delete first.
        absent: Why there is no picture at all; an empty text: there is one, though perhaps without any table.
        notes: What is missing from it, in sentences.
    """

    people: tuple[Who, ...] = ()
    groups: tuple[TableGroup, ...] = ()
    absent: str = ""
    notes: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """What is seen, in a sentence."""
        total = sum(len(group.tables) for group in self.groups)
        public = sum(len(group.tables) for group in self.groups if self._is_open(group))
        hidden = sum(len(group.tables) for group in self.groups if not group.whole)
        many = f"{len(self.people):,} principal{'' if len(self.people) == 1 else 's'}"
        tables = f"{total:,} table{'' if total == 1 else 's'}"
        least = "At least " if hidden else ""
        told = f"{least}{many} can read, write or delete {tables}"
        if public:
            told += f"; {public:,} of them {'is' if public == 1 else 'are'} open to the public"
        if hidden:
            told += f"; of {hidden:,} not all principals are known"
        return f"{told}."

    def _is_open(self, group: TableGroup) -> bool:
        """Tell whether somebody without an account of ours can use tables, surely or under conditions."""
        return any(
            self.people[one].kind == "public" and any(right.state != "unknown" for right in bundle.rights.values())
            for bundle in group.bundles
            for one in bundle.who
        )


#: Verbs whose requests need the table's key.
_WITH_KEY = ("read", "write")


@dataclass
class _Row:
    """The tables that somebody can use, by verb: three disjoint sets, and those that only a role opens."""

    allowed: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VERBS, 0))
    conditional: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VERBS, 0))
    unknown: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VERBS, 0))
    as_role: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VERBS, 0))

    def add(self, verb: str, allowed: int, conditional: int, unknown: int, as_role: int) -> None:
        """Add another way; of what is there already the stronger stays."""
        before = self.allowed[verb] | self.conditional[verb] | self.unknown[verb]
        now = allowed | conditional | unknown
        self.as_role[verb] = (self.as_role[verb] | as_role) & ~((before & ~self.as_role[verb]) | (now & ~as_role))
        self.allowed[verb] |= allowed
        self.conditional[verb] = (self.conditional[verb] | conditional) & ~self.allowed[verb]
        self.unknown[verb] = (self.unknown[verb] | unknown) & ~self.allowed[verb] & ~self.conditional[verb]

    def masks(self) -> tuple[tuple[str, State, bool, int], ...]:
        """Return the sets that are not empty, with what they mean."""
        found: list[tuple[str, State, bool, int]] = []
        for verb in VERBS:
            sets: tuple[tuple[State, int], ...] = (
                ("allowed", self.allowed[verb]),
                ("conditional", self.conditional[verb]),
                ("unknown", self.unknown[verb]),
            )
            for state, mask in sets:
                for as_role in (False, True):
                    part = mask & self.as_role[verb] if as_role else mask & ~self.as_role[verb]
                    if part:
                        found.append((verb, state, as_role, part))
        return tuple(found)


def table_use(resolver: Any) -> TableUse:
    """Return who can use the tables of an inventory, and what of that is not known."""
    inventory = resolver.inventory
    missing = Missing({scope.account.id: scope.name for scope in inventory.scopes})
    gaps: dict[Account, Gap] = {}
    for scope in inventory.scopes:
        identities = resolver.get(Identities, scope.account)
        if isinstance(identities, Gap):
            gaps[scope.account] = identities
    if inventory.scopes and len(gaps) == len(inventory.scopes):
        return TableUse(absent="; ".join(sorted({why(gap) for gap in gaps.values()})))
    for account, gap in gaps.items():
        missing.add("Users and roles", gap, missing.account(account))
    made = asked(resolver, resolver.config)
    tables = dict(_tables(resolver, made, missing))
    _note_guardrails(resolver, missing)
    estate = replace(made.estate, tables=tables)
    rights = _Rights(estate)
    people, groups = _grouped(rights.rows(), rights.bulk.tables, {account.id for account in gaps})
    return TableUse(people, groups, notes=(*missing.sentences, *(_sentence(one) for one in made.outsiders)))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _note_guardrails(resolver: Any, missing: Missing) -> None:
    """Note what is not known of organisations; a cause that hides several things is told once."""
    facts = {
        Organization: "The organisation",
        ServiceControlPolicies: "Service control policies, which may forbid what is shown",
        ResourceControlPolicies: "Resource control policies, which may forbid what is shown",
    }
    for scope in resolver.inventory.scopes:
        for fact, what in facts.items():
            value = resolver.get(fact, scope.account)
            if isinstance(value, Gap):
                missing.add(what, value, missing.account(scope.account))


def _tables(resolver: Any, made: Asked, missing: Missing) -> Iterator[tuple[str, engine.Table]]:
    """Yield the tables; of what could not be read of them nothing is assumed: it may allow or deny anything."""
    inventory = resolver.inventory
    for scope in inventory.scopes:
        for region in scope.regions:
            for fact, what in ((TableNames, "Tables"), (DaxClusterNames, "DAX clusters")):
                listed = resolver.get(fact, region)
                if isinstance(listed, Gap):
                    missing.add(what, listed, missing.region(region))
    for arn, entry in made.estate.tables.items():
        table = Table.from_arn(arn)
        held = resolver.get(TableAccess, table)
        if not isinstance(held, TableAccess) or VANISHED in held.gaps:
            continue
        for gap in held.gaps:
            missing.add("Settings, tags or resource policies of tables", gap, table.name)
        key = resolver.get(EncryptionKey, table)
        known = replace(entry, policy=held.entry.policy, indexes=held.entry.indexes, tags=held.entry.tags)
        if isinstance(key, Gap):
            missing.add("Encryption keys of tables", key, table.name)
            account = table.account
            unseen = f"arn:{account.partition}:kms:{table.region.name}:{account.id}:key/unknown"
            known = replace(known, key=_hidden_key(unseen, key))
        elif key.key is not None and key.type != "aws-managed":
            for data, words in ((KeyPolicy, "Key policies"), (KeySettings, "States of keys")):
                found = resolver.get(data, key.key)
                if isinstance(found, Gap):
                    missing.add(words, found, key.key.name)
                    known = replace(known, key=_hidden_key(key.key.arn, found))
        yield arn, known


def _hidden_key(arn: str, gap: Gap) -> engine.Key:
    """Return a key of which it is not known whom it lets in, or whether it is enabled at all."""
    return engine.Key(arn, policy=Named("key policy", Unreadable(gap.detail)), usable=None)


def _documents(principal: engine.Principal) -> tuple[Any, ...]:
    return (*principal.policies, *(() if principal.boundary is None else (principal.boundary,)))


def _is_unreadable(document: Any) -> bool:
    return document is not None and read(document).unreadable is not None


def _asks(document: Any, beginnings: tuple[str, ...]) -> bool:
    """Tell whether a policy has conditions on certain keys."""
    return document is not None and any(
        condition.key.startswith(beginnings)
        for statement in read(document).statements
        for condition in statement.conditions
    )


_TAGS = ("aws:resourcetag/",)


class _Rights:
    """Decides for everybody at once, with the bulk engine, and tells doubts from conditions."""

    def __init__(self, estate: engine.Estate) -> None:
        self.estate = estate
        self.bulk = Bulk(estate)
        self.tables = [estate.tables[arn] for arn in self.bulk.tables]
        self.accounts = {number: self._doubtful(one) for number, one in estate.accounts.items()}
        nameless = {number for number, one in estate.accounts.items() if one.organization == ""}
        self.nameless = nameless
        self.unread = self._set(
            _is_unreadable(one.policy) or (one.account in nameless and _asks(one.policy, ORGANISATION_KEYS))
            for one in self.tables
        )
        keys = [one.key for one in self.tables]
        self.unread_key = self._set(one is not None and _is_unreadable(one.policy) for one in keys)
        self.untagged = self._set(one.tags is None for one in self.tables)
        # Whether a table is protected from deletion is not known without its settings, as its indexes are not.
        self.unset = self._set(one.indexes is None for one in self.tables)
        self.protected = self._set(one.protected for one in self.tables) | self.unset

    @staticmethod
    def _set(members: Iterable[bool]) -> int:
        return sum(1 << number for number, one in enumerate(members) if one)

    @staticmethod
    def _doubtful(account: engine.Account) -> bool:
        """Tell whether the text of a guardrail could not be read."""
        levels = (*(account.scps or ()), *(account.rcps or ()))
        return any(_is_unreadable(one) for level in levels for one in level)

    def rows(self) -> dict[Who, _Row]:
        """Return everybody who can use a table, with the tables."""
        wanted = [*dict.fromkeys(verb for verbs in VERBS.values() for verb in verbs), "dynamodb:UpdateTable"]
        found = self._effective(self.bulk, wanted)
        rows: dict[Who, _Row] = {}
        blurred = self._blurred()
        other = self._effective(Bulk(replace(self.estate, abac=False)), wanted) if blurred else {}
        doubts = {arn: self._doubts(one) for arn, one in self.estate.principals.items()}
        unsure_roles = dict.fromkeys(VERBS, 0)
        for arn, doubt in doubts.items():
            role = self.estate.principals[arn]
            if role.kind == "role" and (doubt or read(role.trust, trust=True).unreadable is not None):
                for verb in VERBS:
                    unsure_roles[verb] |= found[arn][verb][1]
        for arn, held in found.items():
            principal = self.estate.principals[arn]
            row = _Row()
            for verb in VERBS:
                sure, maybe = held[verb]
                # Whether tags count is not known: what differs is open.
                off = other[arn][verb] if other else (sure, maybe)
                unsettled = (sure ^ off[0]) | (maybe ^ off[1])
                sure, maybe = sure & off[0], maybe | off[1]
                direct = self._directly(arn, verb)
                open_ = maybe & ~sure
                unknown = open_ & (doubts[arn] | self.unread | unsettled | self._hidden(verb))
                unknown |= open_ & ~direct & unsure_roles[verb]
                row.add(verb, sure, open_ & ~unknown, unknown, maybe & ~direct)
            if not principal.service_linked and row.masks():
                rows[Who(principal.kind, arn, principal.account)] = row
        self._add_outsiders(rows)
        self._add_named_by_tables(rows)
        return {who: row for who, row in rows.items() if row.masks()}

    def _effective(self, bulk: Bulk, wanted: list[str]) -> dict[str, dict[str, Pred]]:
        """Return the tables by principal and verb of this picture."""
        found: dict[str, dict[str, Pred]] = {}
        for arn, row in bulk.effective(wanted).items():
            held: dict[str, Pred] = {}
            for verb, parts in VERBS.items():
                sure = maybe = 0
                for part in parts:
                    sure, maybe = sure | row[part][0], maybe | row[part][1]
                held[verb] = (sure, maybe)
            # While deletion protection is on, somebody who may must turn it off first.
            sure, maybe = held["delete"]
            held["delete"] = (sure & (~self.protected | row["dynamodb:UpdateTable"][0]), maybe)
            found[arn] = held
        return found

    def _hidden(self, verb: str) -> int:
        """Return the tables where a condition may be a doubt: of the key, or of deletion protection."""
        return self.unread_key if verb in _WITH_KEY else self.unset

    def _directly(self, arn: str, verb: str) -> int:
        maybe = 0
        for part in VERBS[verb]:
            maybe |= self.bulk.verb(arn, part)[1]
        return maybe

    def _blurred(self) -> bool:
        """Tell whether answers may hang on DynamoDB's evaluating of tags, which nothing tells."""
        if self.estate.abac is not None or not any(one.tags for one in self.tables):
            return False
        documents = [one for principal in self.estate.principals.values() for one in _documents(principal)]
        documents += [one.policy for one in self.tables]
        documents += [
            one
            for account in self.estate.accounts.values()
            for level in (*(account.scps or ()), *(account.rcps or ()))
            for one in level
        ]
        return any(_asks(one, _TAGS) for one in documents)

    def _doubts(self, principal: engine.Principal) -> int:
        """Return the tables of which a principal's open answers are doubts: something could not be read."""
        documents = _documents(principal)
        everything = (1 << len(self.tables)) - 1
        if self.accounts.get(principal.account) or any(_is_unreadable(one) for one in documents):
            return everything
        if principal.account in self.nameless and any(_asks(one, ORGANISATION_KEYS) for one in documents):
            return everything
        return self.untagged if self.untagged and any(_asks(one, _TAGS) for one in documents) else 0

    # Outsiders

    def _add_outsiders(self, rows: dict[Who, _Row]) -> None:
        """Add the public and other accounts where they may assume a role that can use tables."""
        for who, row in list(rows.items()):
            role = self.estate.principals[who.name]
            if role.kind != "role" or not self._may_be_open(role):
                continue
            for name, sure in self._assumed_by(role):
                outsider = rows.setdefault(self._outsider(name), _Row())
                for verb in VERBS:
                    # What the role itself has only as another role is two steps away.
                    near = ~row.as_role[verb]
                    allowed = row.allowed[verb] & near
                    perhaps = row.conditional[verb] & near
                    unknown = row.unknown[verb] & near
                    if not sure:
                        allowed, perhaps = 0, allowed | perhaps
                    outsider.add(verb, allowed, perhaps, unknown, allowed | perhaps | unknown)

    def _may_be_open(self, role: engine.Principal) -> bool:
        policy = read(role.trust, trust=True)
        return role.arn in self._pooled or self._names_outsiders(policy)

    @cached_property
    def _pooled(self) -> set[str]:
        return {one.unauthenticated for one in self.estate.pools if one.unauthenticated and one.guests is not False}

    def _names_outsiders(self, policy: Policy) -> bool:
        for statement in policy.statements:
            if not statement.allow:
                continue
            if statement.not_principal:
                return True
            for kind, value in statement.principals or ():
                number = re.match(r"(?:arn:[^:]*:(?:iam|sts)::)?(\d{12})(?::|\Z)", value)
                if kind in ("Federated", "Service") or number is None or number[1] not in self.estate.accounts:
                    return True
        return False

    def _assumed_by(self, role: engine.Principal) -> Iterator[tuple[str, bool]]:
        """Yield who of those outside may assume a role, and whether surely; identities of its providers left out."""
        arn = f"arn:{role.arn.split(':')[1]}:dynamodb:us-east-1:{role.account}:table/ddbaudit-probe"
        open_role = replace(role, policies=(Named("anything", EVERYTHING),), boundary=None)
        estate = replace(self.estate, principals={role.arn: open_role}, tables={}, clusters=(), endpoints=())
        for answer in Answers(estate, guardrails=False).who_can("dynamodb:GetItem", engine.Table(arn)):
            if answer.principal != role.arn and not answer.principal.startswith("federated"):
                yield answer.principal, answer.verdict == "allowed"

    @staticmethod
    def _outsider(name: str) -> Who:
        if name.startswith("public"):
            return Who("public", name)
        number = re.search(r"(?:\A|[^\d])(\d{12})(?:[^\d]|\Z)", name)
        account = number[1] if number else ""
        return Who("account" if account else "other", name, account)

    def _add_named_by_tables(self, rows: dict[Who, _Row]) -> None:
        """Add those outside whom resource policies name."""
        outside = Answers(replace(self.estate, principals={}, pools=(), clusters=(), endpoints=()))
        told: dict[Any, list[tuple[Who, str, str]]] = {}
        for number, table in enumerate(self.tables):
            if table.policy is None or not self._names_outsiders(read(table.policy)):
                continue
            key = self._alike(table)
            if key not in told:
                told[key] = [*self._accounts(outside, table), *self._services(table)]
            for who, verb, state in told[key]:
                bit = 1 << number
                if self._hidden(verb) & bit and (state != "allowed" or verb not in _WITH_KEY):
                    known = (0, 0, bit)
                else:
                    known = (bit, 0, 0) if state == "allowed" else (0, bit, 0)
                rows.setdefault(who, _Row()).add(verb, *known, 0)

    @staticmethod
    def _alike(table: engine.Table) -> Any:
        """Return a key that is the same for tables whose policies say the same, each of itself."""
        document = table.policy.document if isinstance(table.policy, Named) else table.policy
        text = document.replace(table.arn, "{table}") if isinstance(document, str) else None
        if text is None or ":table/" in text or table.stream_policy is not None:
            return table.arn
        tags = tuple(sorted((table.tags or {}).items())) if "aws:resourcetag" in text.lower() else ()
        key = table.key.arn if table.key is not None else ""
        return text, key, bool(table.indexes), table.protected, table.region, table.account, tags

    def _accounts(self, outside: Answers, table: engine.Table) -> Iterator[tuple[Who, str, str]]:
        for verb, parts in VERBS.items():
            for part in parts:
                for answer in outside.who_can(part, table):
                    yield self._outsider(answer.principal), verb, answer.verdict

    def _services(self, table: engine.Table) -> Iterator[tuple[Who, str, str]]:
        policy = read(table.policy)
        names = sorted(
            {
                value
                for statement in policy.statements
                for kind, value in statement.principals or ()
                if kind == "Service" and statement.allow
            }
        )
        owner = self.estate.account(table.account)
        for name in names:
            for verb, parts in VERBS.items():
                found = [
                    reach(
                        table.policy,
                        action.name,
                        _named(action, table),
                        owner=table.account,
                        organization=owner.organization,
                        outsider=Outsider(account=table.account, service=name),
                        rcps=owner.rcps or (),
                    ).verdict
                    for part in parts
                    for action in actions_of(part)
                ]
                best = "allowed" if "allowed" in found else "conditional" if "conditional" in found else ""
                if best:
                    yield Who("service", name), verb, best


def _named(action: Action, table: engine.Table) -> list[str]:
    return [arn for way in resources_of(action, table) for arn in way] or [table.arn]


def _grouped(
    rows: Mapping[Who, _Row], arns: Iterable[str], unread: set[str]
) -> tuple[tuple[Who, ...], tuple[TableGroup, ...]]:
    """Put tables together that the same principals can use alike; only what somebody can is looked at."""
    people = tuple(sorted(rows, key=lambda who: who.rank))
    strangers = sum(who.kind == "public" for who in people)
    classes: dict[tuple[tuple[str, State, bool, int], ...], list[int]] = {}
    for place, who in enumerate(people):
        classes.setdefault(rows[who].masks(), []).append(place)
    members = [tuple(held) for held in classes.values()]
    meanings: dict[int, list[tuple[int, str, Right]]] = {}
    for number, masks in enumerate(classes):
        for verb, state, as_role, mask in masks:
            meanings.setdefault(mask, []).append((number, verb, Right(state, as_role)))
    arns = list(arns)
    touched: list[list[int]] = [[] for _ in arns]
    uses = list(meanings.items())
    for number, (mask, _) in enumerate(uses):
        for bit in set_bits(mask):
            touched[bit].append(number)
    alike: dict[tuple[bool, tuple[int, ...]], list[Table]] = {}
    for arn, held in zip(arns, touched, strict=True):
        table = Table.from_arn(arn)
        alike.setdefault((table.account.id not in unread, tuple(held)), []).append(table)
    groups = [
        TableGroup(tuple(sorted(tables)), _bundles(held, uses, members, strangers), whole)
        for (whole, held), tables in alike.items()
    ]
    return people, tuple(sorted(groups, key=_most_first))


def _bundles(
    held: Iterable[int],
    uses: list[tuple[int, list[tuple[int, str, Right]]]],
    members: list[tuple[int, ...]],
    strangers: int,
) -> tuple[Bundle, ...]:
    by_class: dict[int, dict[str, Right]] = {}
    for number in held:
        for one, verb, right in uses[number][1]:
            by_class.setdefault(one, {})[verb] = right
    together: dict[tuple[Right | None, ...], list[int]] = {}
    for one, rights in by_class.items():
        together.setdefault(tuple(rights.get(verb) for verb in VERBS), []).extend(members[one])
    bundles = [
        Bundle(
            tuple(sorted(who)), {verb: right for verb, right in zip(VERBS, rights, strict=True) if right is not None}
        )
        for rights, who in together.items()
    ]
    return tuple(sorted(bundles, key=lambda one: (one.who[0] >= strangers, _strongest_first(one))))


_STRENGTH = {"allowed": 0, "conditional": 1, "unknown": 2}


def _strongest_first(bundle: Bundle) -> tuple[Any, ...]:
    rights = [bundle.rights.get(verb) for verb in ("delete", "write", "read")]
    return (*((9, False) if one is None else (_STRENGTH[one.state], one.as_role) for one in rights), bundle.who)


def _most_first(group: TableGroup) -> tuple[Any, ...]:
    counts = tuple(-group.count(verb) for verb in ("delete", "write", "read"))
    return (*counts, -len(group.tables), group.tables[0].arn)
