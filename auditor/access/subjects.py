"""Whom and what a search for holdings looks at, with policies read: subjects, who may hold something, and places."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from auditor.access.estate import Principal, Table
from auditor.access.patterns import arn_segments, glob
from auditor.access.policy import Policy, Statement, read

#: Name of the table and cluster that stand for all that do not exist: who may use them was granted a wildcard. No
#: prefix that people give to their tables, however short, matches it by accident.
PROBE = "Zq7xK-vB_9w.jH"


@dataclass(frozen=True)
class Place:
    """A table, or a DAX cluster, or one that stands for all that do not exist.

    Attributes:
        arn: Its ARN.
        table: The table; None for a cluster.
        probe: It stands for those that do not exist.
        unlisted: It stands for those of a region of which it is not known what it has.
        causes: Why something of it is not known: ``listing``, ``settings`` (its indexes and stream), ``policy`` or
            ``tags`` -> whatever the caller wants back in :attr:`auditor.access.holdings.Doubt.cause`.
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


@dataclass(frozen=True)
class Documents:
    """Some policies, read."""

    documents: tuple[Any, ...]

    @cached_property
    def policies(self) -> tuple[Policy, ...]:
        """The policies as they were read."""
        return tuple(read(one) for one in self.documents)

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        """The statements of all of them."""
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


class Subject:
    """A principal with its policies read."""

    def __init__(self, principal: Principal) -> None:
        """Take a user, role or group; its policies are read when they are asked for."""
        self.principal = principal
        limits = () if principal.boundary is None else (principal.boundary,)
        self._identity = Documents(principal.policies)
        self._all = Documents((*principal.policies, *limits))

    @property
    def is_group(self) -> bool:
        """It stands for whoever is a member of a group."""
        return self.principal.kind == "group"

    @property
    def member(self) -> Principal:
        """A user who has the policies and nothing else."""
        return Principal(f"{self.principal.arn.rpartition(':')[0]}:user/{PROBE}", "user", self.principal.policies)

    @property
    def names(self) -> tuple[str, ...]:
        """What a resource policy may call it by; see :func:`named_in`."""
        return ("*", self.principal.arn, f"assumed-role/{self.principal.name}")

    @property
    def statements(self) -> tuple[Statement, ...]:
        """The statements of its policies and of its permissions boundary."""
        return self._all.statements

    @property
    def by_tags(self) -> bool:
        """They ask for the resource's tags."""
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


def named_in(documents: Iterable[Any]) -> Iterator[tuple[str, Statement]]:
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
