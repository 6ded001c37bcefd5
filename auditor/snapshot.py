"""The snapshot file of a collection that is written part by part, and what it says of the parts that are not there.

A file is one record or several, one a line; compressed, one a gzip member. Several begin with the plan: what was to be
collected, in which shares. Every further one is the inventory of one share. What has been written survives the process
that wrote it: a record that was torn is left out, and its share is then as if it had not been begun. Where a share has
several records the last one counts.
"""

from __future__ import annotations

import gzip
import itertools
import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from auditor.errors import UsageError
from auditor.facts.base import RAW, Gap, Reason
from auditor.facts.region import RegionScope
from auditor.inventory import SCHEMA, Caller, Inventory, Scope, compressed, dumps, loads, write_atomically
from auditor.resources import KINDS, Account, Region, Resource, account_of

Wanted = set[tuple[type, type[Resource]]]

#: What of an account is collected: all of it, what is of no region, or only regions.
Only = Literal["everything", "account", "regions"]

#: In whose name what could not be collected stands.
_NOBODY = Caller("", "")

_HINT = "`ddbaudit collect --output FILE` writes a snapshot."


class Share(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one worker collects: an account as a whole, or what is of no region, or one region of it.

    Attributes:
        account: Account number.
        name: The account's name.
        partition: Its partition.
        role: ARN of the role that is taken there; None: the caller's own credentials are the account's.
        only: What of the account: ``everything``, ``account`` (what is of no region) or ``regions``.
        regions: The regions; empty: all that are enabled.
    """

    account: str
    name: str = ""
    partition: str = "aws"
    role: str | None = None
    only: Only = "everything"
    regions: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The share's name in a snapshot."""
        return "/".join((self.account, *(self.regions if self.only == "regions" else ())))

    @property
    def resource(self) -> Account:
        """The account."""
        return Account(self.account, self.partition)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a collection sets out to do.

    Attributes:
        shares: What is collected by itself.
        wanted: Names of facts, each with the CloudFormation type of the resource it is wanted for, sorted.
        items_per_table: How many items may be read of a table.
        asked: What the user chose of accounts and regions, as options: a collection that goes on must be asked for the
            same.
    """

    shares: tuple[Share, ...]
    wanted: tuple[tuple[str, str], ...]
    items_per_table: int = 0
    asked: dict[str, Any] = msgspec.field(default_factory=dict)


class _Part(msgspec.Struct, omit_defaults=True):
    """What tells a record from the others of its file."""

    key: str = ""
    plan: Plan | None = None
    closed: bool = False


class _Head(msgspec.Struct):
    schema: str
    interrupted: bool = False
    part: _Part | None = None


@dataclass(frozen=True, slots=True)
class _Record:
    """Where a record stands in its file."""

    head: _Head
    offset: int
    length: int


def names(wanted: Wanted) -> tuple[tuple[str, str], ...]:
    """Return wanted facts by name, as a plan holds them."""
    return tuple(sorted((fact_type.__name__, kind.cfn_type) for fact_type, kind in wanted))


def classes(named: Iterable[tuple[str, str]]) -> Wanted:
    """Return wanted facts as classes.

    Raises:
        UsageError: this version knows no such fact.
    """
    facts = {fact_type.__name__: fact_type for fact_type in RAW}
    kinds = {kind.cfn_type: kind for kind in KINDS}
    try:
        return {(facts[fact_name], kinds[type_name]) for fact_name, type_name in named}
    except KeyError as error:
        raise UsageError(f"the snapshot was begun for {error}, which this version does not know.") from None


def encoded(inventory: Inventory, tool: str, key: str, *, gz: bool, closed: bool = False) -> bytes:
    """Return the record of a share.

    Args:
        inventory: What was collected of it.
        tool: The tool's version.
        key: The share's key.
        gz: Compress it.
        closed: The share could not be read at all; who goes on with the snapshot tries it again.
    """
    return _sealed(dumps(inventory, tool, _Part(key, closed=closed)), gz=gz)


def _sealed(data: bytes, *, gz: bool) -> bytes:
    return compressed(data + b"\n") if gz else data + b"\n"


def absent(share: Share, wanted: Wanted, gap: Gap) -> Inventory:
    """Return the inventory of a share of which nothing could be had: everything that it owes is a gap."""
    account = share.resource
    regions = tuple(Region(account, name) for name in share.regions) if share.only == "regions" else ()
    made = Inventory(_NOBODY, (Scope(account, share.name, regions),))
    if share.only != "regions":
        made.put_gap(account, RegionScope, gap)
    for fact_type, kind in wanted:
        if kind is Account and share.only != "regions":
            made.put_gap(account, fact_type, gap)
        if kind is Region and not RAW[fact_type].in_use_only:
            for region in regions:
                made.put_gap(region, fact_type, gap)
    return made


def merge(base: Inventory, parts: Iterable[Inventory]) -> Inventory:
    """Return one inventory of several, each the collection of other accounts or regions than the others.

    Where two hold a fact about the same resource, such as a key that two accounts use, the one of its owner counts;
    any fact counts before a gap.
    """
    accounts: dict[Account, str] = {}
    regions: dict[Account, set[Region]] = {}
    facts: dict[type, dict[Resource, Any]] = {}
    errors, vanished, known = [], set[Resource](), set[Resource]()
    interrupted = False
    for part in itertools.chain([base], parts):
        owners = set()
        for scope in part.scopes:
            owners.add(scope.account)
            accounts[scope.account] = accounts.get(scope.account) or scope.name
            regions.setdefault(scope.account, set()).update(scope.regions)
        for fact_type, by_resource in part.facts.items():
            held = facts.setdefault(fact_type, {})
            for resource, value in by_resource.items():
                before = held.get(resource)
                if before is None or _counts(value, before, own=account_of(resource) in owners):
                    held[resource] = value
        errors += part.errors
        vanished |= part.vanished
        known.update(part.everything())
        interrupted = interrupted or part.interrupted
    scopes = tuple(
        Scope(account, accounts[account], tuple(sorted(regions[account])))
        for account in sorted(accounts, key=lambda one: one.id)
    )
    merged = Inventory(base.caller, scopes, facts, errors, vanished, interrupted)
    merged.learn(known)
    return merged


def _counts(value: Any, before: Any, *, own: bool) -> bool:
    """Tell whether a value replaces the one that is there."""
    if isinstance(value, Gap):
        return isinstance(before, Gap) and value.rank < before.rank
    return own or isinstance(before, Gap)


class SnapshotFile:
    """A snapshot that is being written part by part.

    Args:
        path: Where; compressed when the name ends in .gz.
        tool: The tool's version.
    """

    def __init__(self, path: Path, tool: str) -> None:
        """Nothing is read or written yet."""
        self.path, self._tool = path, tool
        self._records: dict[str, _Record] = {}

    @property
    def gz(self) -> bool:
        """The file is compressed."""
        return self.path.suffix == ".gz"

    def begin(self, base: Inventory, plan: Plan) -> None:
        """Replace what is there by the plan, and by what is known already.

        Raises:
            UsageError: the file cannot be written.
        """
        write_atomically(self.path, _sealed(dumps(base, self._tool, _Part(plan=plan)), gz=self.gz))
        self._records = {one.head.part.key: one for one in _scan(self.path)[0] if one.head.part is not None}

    def resume(self) -> Plan:
        """Go on with the file: what is whole stays, what is torn is cut off. Return its plan.

        Raises:
            UsageError: there is no such file, or it was not written part by part.
        """
        records, _ = _scan(self.path)
        first = records[0].head.part if records else None
        if first is None or first.plan is None:
            raise UsageError(
                f"{self.path}: is no snapshot that a run could go on with.",
                "--resume takes the file of --save-snapshot of a run that was killed.",
            )
        self._records = {one.head.part.key: one for one in records if one.head.part is not None}
        end = max(one.offset + one.length for one in records)
        try:
            with self.path.open("r+b") as file:
                file.truncate(end)
                file.seek(end - 1)
                if not self.gz and file.read(1) != b"\n":
                    file.write(b"\n")  # all of the last record was written but its end
        except OSError as error:
            raise UsageError(f"{self.path}: cannot be written: {error.strerror}.", "Let the user write it.") from None
        return first.plan

    def finished(self) -> set[str]:
        """Return the keys of the shares that need not be read again."""
        return {
            key
            for key, one in self._records.items()
            if key and not one.head.interrupted and one.head.part is not None and not one.head.part.closed
        }

    def add(self, key: str, data: bytes, *, whole: bool) -> None:
        """Append a share's record; it is on the disk when this returns.

        Args:
            key: The share's key.
            data: What :func:`encoded` returned.
            whole: The share need not be read again.

        Raises:
            UsageError: it cannot be written; the file is as before.
        """
        offset = self.path.stat().st_size
        try:
            with self.path.open("ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            with self.path.open("r+b") as file:
                file.truncate(offset)
            text = f"{self.path}: cannot be written: {error.strerror}."
            raise UsageError(text, "Make room; --resume goes on from here.") from None
        self._records[key] = _Record(_Head(SCHEMA, part=_Part(key, closed=not whole)), offset, len(data))

    def part(self, key: str) -> bytes:
        """Return the encoded inventory of a share that is there (see :func:`auditor.inventory.loads`)."""
        return _load(self.path, self._records[key])

    def finish(self) -> None:
        """Put the records in order, those that count only: the same collection gives the same file."""
        temporary = self.path.with_name(f".{self.path.name}.ordered")
        try:
            with self.path.open("rb") as source, temporary.open("wb") as target:
                for _, record in sorted(self._records.items()):
                    source.seek(record.offset)
                    target.write(source.read(record.length))
            temporary.replace(self.path)
        except OSError:
            temporary.unlink(missing_ok=True)  # the file is whole as it is
        records, _ = _scan(self.path)
        self._records = {one.head.part.key: one for one in records if one.head.part is not None}


def _scan(path: Path) -> tuple[list[_Record], str]:
    """Return the whole records of a file, and what is wrong with the first that is not.

    Raises:
        UsageError: the file cannot be read.
    """
    records, problem = [], ""
    try:
        for offset, length, plain in _lines(path):
            try:
                records.append(_Record(msgspec.json.decode(plain, type=_Head), offset, length))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                problem = problem or str(error)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        problem = problem or str(error)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}.", _HINT) from None
    return records, problem


def _lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Yield each record's place and length in the file, and its text."""
    with path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            file.seek(0)
            offset = 0
            for line in file:
                yield offset, len(line), line
                offset += len(line)
            return
        file.seek(0)
        offset, rest = 0, b""
        while chunk := rest or file.read(1 << 20):
            unpacker = zlib.decompressobj(wbits=31)
            pieces: list[bytes] = []
            length = 0
            while chunk:
                pieces.append(unpacker.decompress(chunk))
                length += len(chunk)
                chunk = b"" if unpacker.eof else file.read(1 << 20)
            if not unpacker.eof:
                raise EOFError("Compressed file ended before the end-of-stream marker was reached")
            rest = unpacker.unused_data
            length -= len(rest)
            yield offset, length, b"".join(pieces)
            offset += length


def _load(path: Path, record: _Record) -> bytes:
    with path.open("rb") as file:
        file.seek(record.offset)
        data = file.read(record.length)
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def read(path: Path) -> Inventory:
    """Read a snapshot file. What its plan names and it does not hold is missing, and the collection interrupted.

    Raises:
        UsageError: the file is missing, not gzip though named so, truncated, or not a snapshot of ours.
    """
    records, problem = _scan(path)
    try:
        first = records[0].head.part if records else None
        if first is None or first.plan is None:
            if problem and records:
                raise UsageError(problem)
            return loads(_whole(path))
        last = {one.head.part.key: one for one in records if one.head.part is not None}
        base = loads(_load(path, last.pop("")))
        merged = merge(base, (loads(_load(path, record)) for _, record in sorted(last.items())))
        return _completed(merged, first.plan, set(last))
    except UsageError as error:
        raise UsageError(f"{path}: {error.message}", _HINT) from None


def _whole(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (OSError, EOFError, zlib.error) as error:
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"cannot be read: {text}.") from None


def _completed(merged: Inventory, plan: Plan, there: set[str]) -> Inventory:
    """Return the inventory with gaps for the shares that have no record."""
    missing = [share for share in plan.shares if share.key not in there]
    if not missing:
        return merged
    gap = Gap(Reason.PARTIAL_DATA, "The collection ended before this was read.")
    wanted = classes(plan.wanted)
    made = merge(merged, [absent(share, wanted, gap) for share in missing])
    made.interrupted = True
    return made
