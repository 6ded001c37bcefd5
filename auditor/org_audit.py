"""The steps of AWS Step Functions that audit an organisation, each an invocation of AWS Lambda: :func:`handler`.

A Distributed Map has :func:`auditor.sources.aws.fleet.work` done for what of each account is of no region, and for each
region of each account, as the command has it done for whole accounts. What comes of it are the records of a snapshot
(:mod:`auditor.snapshot`), as objects in the bucket of the reports. ``ddbaudit org-audit template`` writes the
CloudFormation template.
"""

from __future__ import annotations

import gzip
import json
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import msgspec

from auditor import __version__, engine, scheduled, snapshot
from auditor.errors import AuditError, UsageError
from auditor.facts import RegionScope
from auditor.inventory import Caller
from auditor.resources import Region, parse
from auditor.scheduled import SETTINGS, Asked, DeliveryError, Target, asked_of
from auditor.snapshot import Plan, Share, SnapshotFile
from auditor.sources.aws.account import choose_regions
from auditor.sources.aws.fleet import Job, Opener, Task, covered, owner, work
from auditor.sources.aws.organisation import Door, closed, lay_out, members
from auditor.sources.aws.pacing import Pacer
from auditor.sources.aws.session import Access, identify

log = logging.getLogger(__name__)

#: Seconds before the end of an invocation at which a share is ended, and what is there is kept.
RESERVE = 45

#: How often shares are asked for what others named of them; what is still not known then is a gap.
TURNS = 3

#: Objects, or accounts, that are asked for at once.
THREADS = 32


class ShareFailed(AuditError):
    """A share could not be read: worth another attempt."""


@dataclass(frozen=True)
class Place:
    """Where the records of a run are.

    Attributes:
        target: The bucket of the reports.
        run: The run's name, of Step Functions.
    """

    target: Target
    run: str

    def key(self, name: str) -> str:
        """Return the key of an object."""
        return f"{self.target.prefix}/runs/{self.run}/{name}"

    def put(self, name: str, data: bytes) -> str:
        """Write an object; return its key.

        Raises:
            DeliveryError: it cannot be written.
        """
        try:
            self.target.s3.put_object(Bucket=self.target.bucket, Key=self.key(name), Body=data)
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
            raise DeliveryError(f"{name} cannot be written: {error}", "Let the function's role.") from None
        return self.key(name)

    def get(self, name: str) -> bytes:
        """Return an object.

        Raises:
            DeliveryError: it cannot be read.
        """
        try:
            held: bytes = self.target.s3.get_object(Bucket=self.target.bucket, Key=self.key(name))["Body"].read()
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
            raise DeliveryError(f"{name} cannot be read: {error}", "Let the function's role.") from None
        return held

    def names(self, folder: str) -> list[str]:
        """Return the names of the objects below a folder, sorted.

        Raises:
            DeliveryError: they cannot be listed.
        """
        start = self.key("")
        try:
            pages = self.target.s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.target.bucket, Prefix=self.key(folder)
            )
            return sorted(one["Key"].removeprefix(start) for page in pages for one in page.get("Contents", []))
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
            raise DeliveryError(f"{folder} cannot be listed: {error}", "Let the function's role.") from None


def handler(event: Mapping[str, Any], context: Any = None) -> dict[str, Any]:
    """Do one step of the audit of an organisation.

    The environment names bucket, prefix and topic as for :func:`auditor.scheduled.handler`, the role in each account
    (``DDBAUDIT_ROLE``) and, if the roles want to hear one, the external id (``DDBAUDIT_EXTERNAL_ID``).

    Args:
        event: ``step`` (plan, work, follow or merge), ``run`` (the run's name), ``asked`` (see
            :data:`auditor.scheduled.KEYS`), and what the state machine hands on.
        context: Lambda's context.

    Raises:
        UsageError: event, environment or settings are wrong.
        CredentialsError: the function's role does not work, or may not read the organisation.
        ShareFailed: a share could not be read.
        DeliveryError: an object cannot be read or written.
    """
    return Step(event, os.environ, boto3.Session, context).do()


class Step:
    """One step.

    Args:
        event: See :func:`handler`.
        environment: Environment variables.
        session: Makes a boto3 session.
        context: Lambda's context.
        settings: The file with the global settings; need not be there.
    """

    def __init__(
        self,
        event: Mapping[str, Any],
        environment: Mapping[str, str],
        session: Callable[[], Any],
        context: Any = None,
        *,
        settings: Path = SETTINGS,
    ) -> None:
        """Read what every step needs."""
        self._event, self._environment, self._session = event, environment, session
        self._context, self._settings = context, settings
        self._place = Place(Target.of(environment, session), str(event.get("run", "")))
        if not self._place.run:
            raise UsageError("the event names no run.", "Step Functions gives `$$.Execution.Name`.")

    def do(self) -> dict[str, Any]:
        """Do the step and return what the next one needs."""
        steps = {"plan": self._plan, "work": self._work, "follow": self._follow, "merge": self._merge}
        step = str(self._event.get("step"))
        if step not in steps:
            raise UsageError(f'the event\'s step is "{step}".', f"One of {', '.join(steps)}.")
        return steps[step]()

    @property
    def _asked(self) -> Asked:
        return asked_of(self._event.get("asked") or {}, self._settings)

    def _plan(self) -> dict[str, Any]:
        """Find accounts and regions, read what is the organisation's, and lay the shares out."""
        asked, role = self._asked, self._environment.get("DDBAUDIT_ROLE", "")
        if not role:
            raise UsageError("DDBAUDIT_ROLE is not set: which role is there in each account?", "Set its name.")
        session, pacer = self._session(), Pacer()
        account, arn = identify(session, None)
        access = Access(account, "", session, pacer)
        caller, wanted = Caller(account.id, arn), engine.wanted(asked.rules.values())
        laid, base = lay_out(
            access, caller, members(access), role, wanted, items_per_table=asked.config.sampling.items_per_table
        )
        door = Door(session, self._environment.get("DDBAUDIT_EXTERNAL_ID"), pacer)
        locked = closed(door, laid.shares)
        choice = {"regions": asked.regions, "closed": sorted(locked), "started": datetime.now(UTC).isoformat()}
        open_ones = [share for share in laid.shares if share.account not in locked]
        shares = [msgspec.structs.replace(one, only="account", regions=tuple(asked.regions)) for one in laid.shares]
        with ThreadPoolExecutor(THREADS) as pool:
            for share, regions in zip(
                open_ones, pool.map(lambda one: _regions(door.open(one), asked.regions), open_ones), strict=True
            ):
                shares += [msgspec.structs.replace(share, only="regions", regions=(one,)) for one in regions]
        plan = Plan(
            shares=tuple(shares), wanted=laid.wanted, items_per_table=laid.items_per_table, asked=laid.asked | choice
        )
        with tempfile.TemporaryDirectory() as folder:
            file = SnapshotFile(Path(folder, "plan.json.gz"), __version__)
            file.begin(base, plan)
            self._place.put("plan.json.gz", file.path.read_bytes())
        return self._items(0, [Task(share) for share in plan.shares])

    def _items(self, turn: int, tasks: list[Task]) -> dict[str, Any]:
        """Write what the map goes through; return what the state machine hands on."""
        items = [{"share": msgspec.to_builtins(task.share), "named": task.named} for task in tasks]
        return {
            "run": self._place.run,
            "asked": dict(self._event.get("asked") or {}),
            "turn": turn,
            "count": len(items),
            "items": self._place.put(f"items-{turn}.json", json.dumps(items).encode()),
        }

    def _read_plan(self) -> tuple[Plan, Caller]:
        with tempfile.TemporaryDirectory() as folder:
            file = SnapshotFile(Path(folder, "plan.json.gz"), __version__)
            file.path.write_bytes(self._place.get("plan.json.gz"))
            return file.resume(), snapshot.read(file.path).caller

    def _work(self) -> dict[str, Any]:
        """Collect one share, and write its record."""
        plan, caller = self._read_plan()
        item = self._event["item"]
        share = msgspec.convert(item["share"], Share)
        named = tuple((str(kind), str(arn)) for kind, arn in item.get("named") or ())
        base = gzip.decompress(self._place.get(_record(share.key))) if named else None
        job = Job(
            caller,
            plan.wanted,
            __version__,
            tuple(plan.asked["regions"]),
            covered(one for one in plan.shares if one.account not in plan.asked["closed"]),
            self._asked.config.sampling,
            gz=True,
        )
        stopped = threading.Event()
        timer = self._timer(stopped)
        try:
            outcome = work(job, self._door(), Task(share, named, base), stopped)
        finally:
            if timer is not None:
                timer.cancel()
        if outcome.data is not None:
            self._place.put(_record(share.key), outcome.data)
        if outcome.named:
            self._place.put(f"named/{share.key}.json", json.dumps(outcome.named).encode())
        if outcome.closed and share.account not in plan.asked["closed"]:
            raise ShareFailed(f"{share.key} could not be read.", "Its record says why.")
        return {"share": share.key, "interrupted": outcome.interrupted}

    def _door(self) -> Opener:
        return Door(self._session(), self._environment.get("DDBAUDIT_EXTERNAL_ID"), Pacer())

    def _timer(self, stopped: threading.Event) -> threading.Timer | None:
        """Set an event before the invocation's time is over."""
        if self._context is None:
            return None
        seconds = self._context.get_remaining_time_in_millis() / 1000 - RESERVE
        timer = threading.Timer(max(0.0, seconds), stopped.set)
        timer.daemon = True
        timer.start()
        return timer

    def _follow(self) -> dict[str, Any]:
        """Find what shares named of each other and nobody was asked for yet."""
        plan, _ = self._read_plan()
        shares = {share.key: share for share in plan.shares}
        told = {tuple(one) for one in json.loads(self._place.get("told.json"))} if self._event["turn"] else set()
        found: dict[str, set[tuple[str, str]]] = {}
        for data in self._all(self._place.names("named/")):
            for kind, arn in json.loads(data):
                key = owner(parse(kind, arn), shares)
                if key is not None and (kind, arn) not in told:
                    found.setdefault(key, set()).add((kind, arn))
        there = set(self._place.names("parts/"))
        turn = int(self._event["turn"]) + 1
        tasks = [
            Task(shares[key], tuple(sorted(named)))
            for key, named in sorted(found.items())
            if _record(key) in there and turn < TURNS
        ]
        self._place.put("told.json", json.dumps(sorted(told.union(*found.values()))).encode())
        return self._items(turn, tasks)

    def _all(self, names: Iterable[str]) -> Iterator[bytes]:
        with ThreadPoolExecutor(THREADS) as pool:
            yield from pool.map(self._place.get, names)

    def _merge(self) -> dict[str, Any]:
        """Put the records together, audit them, write the reports."""
        asked, target = self._asked, self._place.target
        plan, _ = self._read_plan()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "snapshot.json.gz")
            with path.open("wb") as file:
                for data in self._all(["plan.json.gz", *self._place.names("parts/")]):
                    file.write(data)
            inventory = snapshot.read(path)
            self._place.put("snapshot.json.gz", path.read_bytes())
        started = datetime.fromisoformat(plan.asked["started"])
        return scheduled.conclude(inventory, asked, target, started, self._settings, target.previous())


def _record(key: str) -> str:
    return f"parts/{key}.json.gz"


def _regions(access: Access, names: list[str]) -> list[str]:
    """Return the names of an account's regions; where they cannot be read, those that every account has."""
    settled = dict(choose_regions(access, names))
    scope = settled[RegionScope]
    if isinstance(scope, RegionScope):
        return [region.name for region in scope.regions]
    defaults: Any = settled[Region]
    return [region.name for region in defaults]
