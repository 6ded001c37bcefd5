"""The resources that requests are about, laid out as sets, with what their own policies say.

There is a place for each kind of resource: tables, indexes, streams, what belongs to tables otherwise, no resource at
all, the tables' keys, and roles.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from auditor.access.conditions import Context
from auditor.access.digests import Digest, Reader
from auditor.access.estate import Estate, Key, Principal, Table
from auditor.access.patterns import Resolve
from auditor.access.policy import Named, Policy, Statement, lost, read
from auditor.access.spaces import Space, set_bits
from auditor.access.verbs import decrypt_context


@dataclass(slots=True, eq=False)
class Entry:
    """A statement that stands, the same but for the resource, in the policies of several resources.

    Attributes:
        digest: It, its resources left out where they are plain; None for policies that cannot be read.
        lost: Of policies that cannot be read, the questions whether they allow, and deny.
        bits: The resources in whose policies it is about them.
    """

    digest: Digest | None
    lost: tuple[Any, Any] | None
    bits: int


class Place:
    """Resources of one kind, each with a bit.

    Args:
        kind: Which.
        service: IAM prefix of the requests.
        space: Their ARNs.
        tables: For each of the space's ARNs the table that it belongs to, or None.

    Attributes:
        all: The set of all.
        accounts: Account -> its resources.
        entries: What the resources' policies say, by who is named: see :func:`addressees`.
    """

    def __init__(self, kind: str, service: str, space: Space, tables: list[Table | None]) -> None:
        """Group the resources by account."""
        self.kind, self.service, self.space, self.tables = kind, service, space, tables
        self.all = space.all
        owned: dict[str, list[int]] = {}
        for number, arn in enumerate(space.arns):
            owned.setdefault(arn.split(":", 5)[4], []).append(number)
        self.accounts = {account: space.of(numbers) for account, numbers in owned.items()}
        self.entries: dict[str, list[Entry]] = {}
        self._groups: dict[tuple[str, ...], list[tuple[tuple[Any, ...], int, int]]] = {}
        self._contexts: dict[int, Context] = {}

    def matching(self, text: str, resolve: Resolve | None) -> tuple[int, bool]:
        """Return which resources a pattern matches, and whether a variable's unknown value decides."""
        return self.space.matching(text, resolve)

    def arn(self, number: int) -> str:
        """Return the ARN of the resource of a bit."""
        return self.space.arns[number]

    def context(self, estate: Estate, principal: Principal, action: str, number: int) -> Context:
        """Return the condition keys of a principal's request about a resource."""
        arn, table = self.arn(number), self.tables[number]
        more = decrypt_context(principal, table) if self.service == "kms" and table is not None else None
        mine = table if self.service == "dynamodb" else None
        return estate.request(principal, action, arn, table=mine, context=more).read_context()

    def context_of(self, estate: Estate, principal: Principal, action: str, number: int) -> Context:
        """Return a context of which only the keys that differ between resources count, whoever asks first."""
        if number not in self._contexts:
            self._contexts[number] = self.context(estate, principal, action, number)
        return self._contexts[number]

    def groups(self, keys: tuple[str, ...]) -> list[tuple[tuple[Any, ...], int, int]]:
        """Return the resources in groups that some condition keys do not tell apart.

        Returns:
            What a group's resources have in common, the bit number of one of them, and their set.
        """
        if keys not in self._groups:
            found: dict[tuple[Any, ...], list[int]] = {}
            for number in set_bits(self.all):
                found.setdefault(self._values(keys, number), []).append(number)
            self._groups[keys] = [(values, numbers[0], self.space.of(numbers)) for values, numbers in found.items()]
        return self._groups[keys]

    def _values(self, keys: tuple[str, ...], number: int) -> tuple[Any, ...]:
        values: list[Any] = []
        region, account = self._where(number)
        table = self.tables[number]
        for key in keys:
            if key.startswith("aws:resourcetag/"):
                values.append(None if table is None or table.tags is None else self._tags[id(table)].get(key, ""))
                values.append(table is None or table.tags is None or key in self._tags[id(table)])
            elif key == "aws:requestedregion":
                values.append(region)
            elif key.startswith("kms:"):
                if self.service == "kms" and table is not None:
                    values.append(table.arn)
            else:
                values.append(account)
        return tuple(values)

    def _where(self, number: int) -> tuple[str, str]:
        """Return a resource's region and account."""
        region, account = self.arn(number).split(":", 5)[3:5]
        return region, account

    @cached_property
    def _tags(self) -> dict[int, dict[str, str]]:
        return {
            id(table): {f"aws:resourcetag/{key.lower()}": value for key, value in (table.tags or {}).items()}
            for table in self.tables
            if table is not None
        }

    def to_tables(self, bits: int) -> int:
        """Return the tables that some resources belong to."""
        return bits

    def enter(self, reader: Reader, policies: Mapping[str, Any], *, trust: bool = False) -> None:
        """Gather the statements of resources' policies, each once with all the resources whose policies have it.

        Args:
            reader: Takes them apart.
            policies: ARN -> its policy, or None.
            trust: They are trust policies.
        """
        found: dict[tuple[Any, ...], tuple[Statement | None, list[int]]] = {}
        read_already: dict[Any, Policy] = {}
        for arn, document in policies.items():
            if document is None:
                continue
            key: Any = document.document if isinstance(document, Named) else document
            key = (key if isinstance(key, str) else id(key), document.name if isinstance(document, Named) else "")
            policy = read_already.get(key)
            if policy is None:
                policy = read_already[key] = read(document, "resource policy", trust=trust)
            number = self.space.bits[arn]
            if policy.unreadable is not None:
                found.setdefault((None, policy.name), (None, []))[1].append(number)
            for one in policy.statements:
                about, still_open = self._is_about(one, policy.variables, number, trust=trust)
                if about:
                    rest = (one.allow, one.actions, one.not_action, one.principals, one.not_principal, one.conditions)
                    same = (policy.variables, *rest, one.resources if still_open else None, one.not_resource)
                    found.setdefault(same, (one, []))[1].append(number)
        for same, (statement, numbers) in found.items():
            bits = self.spread(self.space.of(numbers))
            if statement is None:
                self.entries.setdefault("*", []).append(Entry(None, lost(str(same[1])), bits))
                continue
            entry = Entry(reader.digest(statement, bool(same[0])), None, bits)
            for who in addressees(statement):
                self.entries.setdefault(who, []).append(entry)

    def spread(self, bits: int) -> int:
        """Return the resources that some of the space's ARNs stand for."""
        return bits

    def _is_about(self, statement: Statement, variables: bool, number: int, *, trust: bool) -> tuple[bool, bool]:
        """Tell whether a statement of a resource's own policy is about it, and whether a variable decides that."""
        if trust or statement.resources is None:
            return True, False
        if variables and any("${" in text for text in statement.resources):
            return True, True
        matched = any(self.space.matching(text, None)[0] >> number & 1 for text in statement.resources)
        return matched is not statement.not_resource, False

    def concerning(self, principal: Principal) -> list[Entry]:
        """Return what resources' policies say that may concern a principal."""
        if not self.entries:
            return []
        found: dict[int, Entry] = {}
        for who in ("*", principal.arn, principal.account, f"{principal.account}/{principal.name}"):
            for entry in self.entries.get(who, ()):
                found[id(entry)] = entry
        return list(found.values())


class OfTables(Place):
    """What belongs to tables: indexes, streams, backups and the like.

    Args:
        kind: Which.
        tables: The space of the tables.
        owners: ARN of the resource -> its table.
    """

    def __init__(self, kind: str, tables: Space, owners: Mapping[str, Table]) -> None:
        """Keep which belongs to which."""
        space = Space(owners)
        super().__init__(kind, "dynamodb", space, [owners[arn] for arn in space.arns])
        self._of_tables = tables
        self._owners = [tables.bits[owners[arn].arn] for arn in space.arns]
        self._moved: dict[int, int] = {}

    def to_tables(self, bits: int) -> int:
        """Return the tables that some resources belong to."""
        if bits not in self._moved:
            self._moved[bits] = self._of_tables.of(self._owners[number] for number in set_bits(bits))
        return self._moved[bits]


class NoResource(Place):
    """An account's requests that name no resource, one for each of its tables: only their tags may count.

    What names no resource is about the caller's own account.

    Args:
        tables: The space of the tables; its bits are the place's.
        held: The tables.
        account: The account.
    """

    def __init__(self, tables: Space, held: Mapping[str, Table], account: str) -> None:
        """Keep the account."""
        super().__init__(f"* of {account}", "dynamodb", tables, [held[arn] for arn in tables.arns])
        self._account = account
        self.all = self.accounts.get(account, 0)
        self.accounts = {account: self.all}

    def _where(self, number: int) -> tuple[str, str]:
        return "", self._account

    def matching(self, text: str, resolve: Resolve | None) -> tuple[int, bool]:
        """Return all for a pattern of stars; nothing else matches the lone star that such requests stand on."""
        return (self.all if text and not text.strip("*") else 0), False

    def arn(self, number: int) -> str:
        """Return a star."""
        return "*"


class Keys(Place):
    """The customer keys of tables, one for each table that has one: a request for the key names the table.

    Args:
        tables: The space of the tables; its bits are the place's.
        held: The tables.
    """

    def __init__(self, tables: Space, held: Mapping[str, Table]) -> None:
        """Find which tables each key serves."""
        self._of_tables = tables
        self.keys: dict[str, Key] = {}
        users: dict[str, list[int]] = {}
        for number, arn in enumerate(tables.arns):
            key = held[arn].key
            if key is not None and not key.managed and key.usable is not False:
                users.setdefault(key.arn, []).append(number)
                self.keys[key.arn] = key
        self._users = {arn: tables.of(numbers) for arn, numbers in users.items()}
        self._spread: dict[int, int] = {}
        super().__init__("key", "kms", Space(self.keys), [held[arn] for arn in tables.arns])
        self.all = self.spread(self.space.all)
        self.accounts = {account: self.spread(bits) for account, bits in self.accounts.items()}

    def matching(self, text: str, resolve: Resolve | None) -> tuple[int, bool]:
        """Return the tables whose key a pattern matches."""
        bits, is_open = self.space.matching(text, resolve)
        return self.spread(bits), is_open

    def arn(self, number: int) -> str:
        """Return the ARN of a table's key."""
        key = self.tables[number]
        assert key is not None
        assert key.key is not None
        return key.key.arn

    def groups(self, keys: tuple[str, ...]) -> list[tuple[tuple[Any, ...], int, int]]:
        """Return the tables in groups whose requests for their keys some condition keys do not tell apart."""
        if keys not in self._groups:
            found: dict[tuple[Any, ...], list[int]] = {}
            for number in set_bits(self.all):
                found.setdefault(self._values(keys, number), []).append(number)
            of = self._of_tables.of
            self._groups[keys] = [(values, numbers[0], of(numbers)) for values, numbers in found.items()]
        return self._groups[keys]

    def spread(self, bits: int) -> int:
        """Return the tables that some keys serve."""
        if bits not in self._spread:
            found = 0
            for number in set_bits(bits):
                found |= self._users[self.space.arns[number]]
            self._spread[bits] = found
        return self._spread[bits]


def resources(kind: str, table: Table) -> list[str]:
    """Return the ARNs of a kind that belong to a table, as :func:`auditor.access.verbs.resources_of` names them."""
    partition = table.arn.split(":")[1]
    if kind == "index":
        return [f"{table.arn}/index/{name}" for name in (("*",) if table.indexes is None else table.indexes)]
    if kind == "stream":
        return [table.stream] if table.stream else []
    if kind == "global-table":
        return [f"arn:{partition}:dynamodb::{table.account}:global-table/{table.name}"]
    return [f"{table.arn}/{kind}/01700000000000-ddbaudit"]


def addressees(statement: Statement) -> Iterable[str]:
    """Return by what a caller finds a statement of a resource's policy.

    Returns:
        ARNs, account numbers, ``ACCOUNT/ROLE`` for a role's sessions, ``*`` for everybody.
    """
    return set(_addressees(statement))


def _addressees(statement: Statement) -> Iterator[str]:
    if statement.not_principal or statement.principals is None:
        yield "*"
        return
    for kind, value in statement.principals:
        if kind != "AWS":
            # Services and federated identities are no principals of an estate.
            continue
        segments = value.split(":", 5)
        if value == "*" or len(segments) != 6:
            yield value
        elif segments[5] == "root":
            yield segments[4]
        elif segments[5].startswith("assumed-role/"):
            yield f"{segments[4]}/{segments[5].split('/')[1]}"
        else:
            yield value
