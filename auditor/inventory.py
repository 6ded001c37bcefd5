"""The inventory: facts and gaps by resource, and its lossless form on disk, the snapshot."""

from __future__ import annotations

import gzip
import io
import os
import tempfile
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from auditor.errors import UsageError
from auditor.facts.base import RAW, Gap
from auditor.resources import Account, Region, Resource, Stream, Table, account_of, parse, region_of

SCHEMA = "urn:ddbaudit:schema:snapshot-1"

#: msgspec crashes when two threads look at the same dataclass for the first time.
_DECODING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Scope:
    """An audited account and its audited regions.

    Attributes:
        account: The account.
        name: Its name in the organisation or its alias; an empty text when unknown.
        regions: The regions that were audited, sorted by name.
    """

    account: Account
    name: str
    regions: tuple[Region, ...]


@dataclass(frozen=True, slots=True, order=True)
class CallError:
    """A call that failed, or a resource that vanished between two calls.

    Attributes:
        account: Account number.
        region: Region code, empty for global services.
        service: Service as in ``operation``'s declaration, such as dynamodb.
        operation: API operation.
        code: AWS's error code, or the exception's name.
        message: AWS's message.
        fact: Name of the fact that is missing for it.
    """

    account: str
    region: str
    service: str
    operation: str
    code: str
    message: str
    fact: str


@dataclass(frozen=True, slots=True)
class Caller:
    """Who collected (sts:GetCallerIdentity)."""

    account: str
    arn: str


def _by_arn(resource: Resource) -> str:
    """Return what resources are ordered by; worked out once for each, it takes a tenth of comparing them."""
    return resource.arn


@dataclass
class Inventory:
    """Everything that was collected.

    Attributes:
        caller: Whose credentials collected it.
        scopes: What was audited.
        facts: Fact class -> resource -> the fact, or the gap where it should be.
        errors: Calls that failed.
        vanished: Resources that were listed but gone when asked for.
        interrupted: The collection was stopped before it was complete.
    """

    caller: Caller
    scopes: tuple[Scope, ...]
    facts: dict[type, dict[Resource, Any]] = field(default_factory=dict)
    errors: list[CallError] = field(default_factory=list)
    vanished: set[Resource] = field(default_factory=set)
    interrupted: bool = False
    _known: dict[type[Resource], set[Resource]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Register the accounts and regions of the scopes as known resources."""
        self._accounts = {scope.account for scope in self.scopes}
        self._regions = {region for scope in self.scopes for region in scope.regions}
        self._region_names = {region.name for region in self._regions}
        for scope in self.scopes:
            self.learn([scope.account, *scope.regions])

    def put(self, resource: Resource, value: Any) -> list[Resource]:
        """Keep a fact about a resource and return the resource and those that the fact names.

        A fact replaces a gap; a gap never replaces a fact (a key that two accounts use is asked for by both).
        """
        facts = self.facts.setdefault(type(value), {})
        facts[resource] = value
        return self.learn([resource, *(value.names() if hasattr(value, "names") else ())])

    def put_gap(self, resource: Resource, fact_type: type, gap: Gap) -> None:
        """Note that a fact about a resource is missing, unless it is there.

        Of several gaps the one that sorts first stays, so that the order of answers makes no difference.
        """
        facts = self.facts.setdefault(fact_type, {})
        held = facts.get(resource)
        if held is None or (isinstance(held, Gap) and gap.rank < held.rank):
            facts[resource] = gap
        self.learn([resource])

    def learn(self, resources: Iterable[Resource]) -> list[Resource]:
        """Add resources to the known ones and return them."""
        named = list(resources)
        for resource in named:
            self._known.setdefault(type(resource), set()).add(resource)
        return named

    def of_kind(self, kind: type[Resource]) -> list[Resource]:
        """Return the known resources of a kind that did not vanish, in order of ARN."""
        return sorted(self._known.get(kind, set()) - self.vanished, key=_by_arn)

    def in_scope(self, resource: Resource) -> bool:
        """Tell whether findings about a resource belong into the report of this inventory.

        Tables and clusters must be of an audited region. What an audited account merely uses (a key, a shared
        subnet) may belong to another account.
        """
        region = region_of(resource)
        if region is None:
            return account_of(resource) in self._accounts
        if region in self._regions:
            return True
        if isinstance(resource, Table | Stream | Region):
            return False
        return account_of(resource) not in self._accounts and region.name in self._region_names

    def left_out(self, region: Region) -> bool:
        """Tell whether a region was collected and is no part of this inventory's scopes: see :meth:`narrowed`."""
        return not self.in_scope(region) and any(region in held for held in self.facts.values())

    def narrowed(self, regions: set[str]) -> Inventory:
        """Return an inventory with the same facts whose scopes are these regions only."""
        scopes = tuple(
            Scope(scope.account, scope.name, tuple(one for one in scope.regions if one.name in regions))
            for scope in self.scopes
        )
        narrow = Inventory(self.caller, scopes, self.facts, self.errors, self.vanished, self.interrupted)
        narrow.learn(self.everything())
        return narrow

    def everything(self) -> list[Resource]:
        """Return all known resources, the vanished ones too, in order of ARN."""
        return sorted((resource for resources in self._known.values() for resource in resources), key=_by_arn)


class _Item(msgspec.Struct, array_like=True):
    kind: str
    arn: str
    value: Any


class _GapItem(msgspec.Struct, array_like=True):
    fact: str
    kind: str
    arn: str
    gap: Gap


class _Snapshot(msgspec.Struct):
    schema: str
    tool: str
    caller: Caller
    scopes: tuple[Scope, ...]
    facts: dict[str, list[_Item]]
    gaps: list[_GapItem]
    errors: list[CallError]
    vanished: list[tuple[str, str]]
    known: list[tuple[str, str]]
    interrupted: bool = False
    # Only in a file of several parts; auditor.snapshot reads them.
    part: Any = msgspec.UNSET


def dumps(inventory: Inventory, tool: str, part: Any = msgspec.UNSET) -> bytes:
    """Return the snapshot of an inventory as JSON; the same inventory gives the same bytes.

    Args:
        inventory: What to write.
        tool: The tool's version.
        part: Which part of a larger snapshot it is (see :mod:`auditor.snapshot`).
    """
    facts: dict[str, list[_Item]] = {}
    gaps: list[_GapItem] = []
    for fact_type, by_resource in sorted(inventory.facts.items(), key=lambda item: item[0].__name__):
        for resource, value in sorted(by_resource.items(), key=lambda item: (item[0].cfn_type, item[0].arn)):
            if isinstance(value, Gap):
                gaps.append(_GapItem(fact_type.__name__, resource.cfn_type, resource.arn, value))
            else:
                facts.setdefault(fact_type.__name__, []).append(_Item(resource.cfn_type, resource.arn, value))
    snapshot = _Snapshot(
        SCHEMA,
        tool,
        inventory.caller,
        inventory.scopes,
        facts,
        gaps,
        sorted(inventory.errors),
        [(resource.cfn_type, resource.arn) for resource in sorted(inventory.vanished)],
        [(resource.cfn_type, resource.arn) for resource in inventory.everything()],
        inventory.interrupted,
        part,
    )
    return msgspec.json.encode(snapshot)


def loads(data: bytes) -> Inventory:
    """Return the inventory of a snapshot.

    Raises:
        UsageError: the text is no JSON, not a snapshot of ours, or of another schema version.
    """
    with _DECODING:
        return _loads(data)


def _loads(data: bytes) -> Inventory:
    try:
        snapshot = msgspec.json.decode(data, type=_Snapshot)
        if snapshot.schema != SCHEMA:
            raise UsageError(f"the snapshot has schema {snapshot.schema!r}; this version reads {SCHEMA!r}.")
        by_name = {fact_type.__name__: fact_type for fact_type in RAW}
        inventory = Inventory(snapshot.caller, snapshot.scopes, interrupted=snapshot.interrupted)
        for name, items in snapshot.facts.items():
            fact_type = _fact_class(by_name, name)
            for item in items:
                value: Any = msgspec.convert(item.value, fact_type)
                inventory.put(parse(item.kind, item.arn), value)
        for gap in snapshot.gaps:
            inventory.put_gap(parse(gap.kind, gap.arn), _fact_class(by_name, gap.fact), gap.gap)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"not a ddbaudit snapshot: {error}") from None
    inventory.errors = snapshot.errors
    inventory.vanished = {parse(kind, arn) for kind, arn in snapshot.vanished}
    inventory.learn(parse(kind, arn) for kind, arn in snapshot.known)
    return inventory


def _fact_class(by_name: Mapping[str, type], name: str) -> type:
    if name not in by_name:
        raise UsageError(f"the snapshot holds the fact {name!r}, which this version does not know.")
    return by_name[name]


def save(inventory: Inventory, path: Path, tool: str) -> None:
    """Write a snapshot, compressed when the name ends in .gz; never half a file.

    Raises:
        UsageError: the file cannot be written.
    """
    data = dumps(inventory, tool)
    write_atomically(path, compressed(data) if path.suffix == ".gz" else data)


def compressed(data: bytes) -> bytes:
    """Return data as gzip, without a time: the same data gives the same bytes."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0) as archive:
        archive.write(data)
    return buffer.getvalue()


def write_atomically(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write a file through a temporary one beside it, so that readers never see half of it.

    Args:
        path: The file.
        data: What it holds, in one piece or in several.

    Raises:
        UsageError: the folder does not exist and cannot be made, or is not writable.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                for piece in (data,) if isinstance(data, bytes) else data:
                    file.write(piece)
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}.", "Choose another place.") from None


def collected_at(inventory: Inventory) -> datetime | None:
    """Return when the collection began, or None for an inventory without any fact about an account."""
    from auditor.facts.region import CollectionTime

    times = [value.at for value in inventory.facts.get(CollectionTime, {}).values() if not isinstance(value, Gap)]
    return min(times) if times else None
