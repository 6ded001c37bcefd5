"""Collects many accounts, each by itself, some at a time, in one process or several; what is finished is on the disk.

A share (an account, or a region of it) is collected by :func:`work`, here or on any machine. Shares name resources of
each other, such as a key in a security account: when all are done, the owner's share is asked for what was named and
not found by itself, with the owner's credentials. So memory does not grow with the number of accounts.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import multiprocessing
import multiprocessing.connection
import os
import queue
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing.connection import Connection
from typing import Any, Protocol

from auditor.config import NO_SAMPLING, Sampling
from auditor.facts import Gap, Reason
from auditor.inventory import Caller, Inventory, loads
from auditor.resources import Account, Region, Resource, Subnet, Vpc, account_of, parse, region_of
from auditor.snapshot import Plan, Share, SnapshotFile, Wanted, absent, classes, encoded
from auditor.sources.aws.collect import collect
from auditor.sources.aws.organisation import Door, NotEntered, is_organisation_fact
from auditor.sources.aws.pacing import Pacer
from auditor.sources.aws.scheduler import GRACE, LOOK, THROTTLE_WAITS, Collection, Progress, Stop
from auditor.sources.aws.session import Access, ConfigSource, open_session

log = logging.getLogger(__name__)

#: Accounts that one process collects at a time: most of them wait for AWS's rates at any moment.
SEATS = 4

#: How often a share is tried whose process ended.
TRIES = 2


@dataclass(frozen=True)
class Job:
    """What all shares of a collection have in common. Can be sent to another process.

    Attributes:
        caller: Who collects.
        wanted: Facts and kinds by name (see :func:`auditor.snapshot.names`).
        tool: The tool's version.
        regions: Names of the regions to audit; empty: all that are enabled in each account.
        covered: Accounts, and single regions, that are shares of the collection.
        sampling: How many items may be read of a table.
        gz: Records are compressed.
        now: The collection's time, where it is not the clock's.
        waits: Seconds before each further try of a call that was throttled to the end.
        config: Where AWS Config is asked for what it recorded; None: it is not.
    """

    caller: Caller
    wanted: tuple[tuple[str, str], ...]
    tool: str
    regions: tuple[str, ...] = ()
    covered: frozenset[Resource] = frozenset()
    sampling: Sampling = NO_SAMPLING
    gz: bool = False
    now: datetime | None = None
    waits: tuple[float, ...] = THROTTLE_WAITS
    config: ConfigSource | None = None


@dataclass(frozen=True)
class Task:
    """One thing to do: a share, or what others named of a share that has been collected.

    Attributes:
        share: The share.
        named: Kinds and ARNs of resources that others named.
        base: The share's inventory so far (see :func:`auditor.inventory.dumps`), where others named something.
    """

    share: Share
    named: tuple[tuple[str, str], ...] = ()
    base: bytes | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a task.

    Attributes:
        key: The share's key.
        data: The share's record; None: nothing is new.
        closed: Nothing could be had.
        interrupted: It was stopped early.
        named: Resources of other shares that this one names, by kind and ARN.
    """

    key: str
    data: bytes | None
    closed: bool = False
    interrupted: bool = False
    named: tuple[tuple[str, str], ...] = ()


class Opener(Protocol):
    """What lets into accounts: see :class:`auditor.sources.aws.organisation.Door`."""

    pacer: Pacer

    def open(self, share: Share) -> Access:
        """Return credentials for an account."""


def covered(shares: Iterable[Share]) -> frozenset[Resource]:
    """Return the accounts, and the regions that are shares of their own, of some shares."""
    found: set[Resource] = set()
    for share in shares:
        found.add(share.resource)
        if share.only == "regions":
            found.update(Region(share.resource, name) for name in share.regions)
    return frozenset(found)


def work(
    job: Job, door: Opener, task: Task, stop: Stop | None = None, progress: Progress = lambda done, total: None
) -> Outcome:
    """Do one task. Whatever goes wrong becomes gaps in the share's record.

    Args:
        job: What all tasks have in common.
        door: Lets into the share's account.
        task: What to do.
        stop: Ends it early when it is set.
        progress: Called with calls done and calls known so far.
    """
    share, wanted = task.share, classes(job.wanted)
    try:
        access = door.open(share)
        found, is_new = _collected(job, door, access, task, wanted, stop, progress)
    except NotEntered as refused:
        made = absent(share, wanted, refused.gap)
        made.errors.append(refused.error)
        return Outcome(share.key, encoded(made, job.tool, share.key, gz=job.gz, closed=True), closed=True)
    except Exception as error:
        log.exception("account %s could not be collected", share.key)
        return failed(job, share, f"{type(error).__name__}: {error}")
    door.pacer.forget(share.account)
    data = encoded(found, job.tool, share.key, gz=job.gz) if is_new else None
    return Outcome(share.key, data, interrupted=found.interrupted, named=_named(job, share, found, wanted))


def failed(job: Job, share: Share, why: str) -> Outcome:
    """Return the outcome of a share that could not be collected, which is no fault of AWS's."""
    made = absent(share, classes(job.wanted), Gap(Reason.TRANSIENT, f"The collection of the account failed: {why}."))
    return Outcome(share.key, encoded(made, job.tool, share.key, gz=job.gz, closed=True), closed=True)


def _collected(
    job: Job, door: Opener, access: Access, task: Task, wanted: Wanted, stop: Stop | None, progress: Progress
) -> tuple[Inventory, bool]:
    """Return a share's inventory, and whether it has become another one."""
    share = task.share
    wanted = {pair for pair in wanted if not is_organisation_fact(pair[0])}  # these have been read once for all
    elsewhere = _elsewhere(job, share)
    if task.base is None:
        auditing = None
        if job.config is not None and job.config.aggregator:
            auditing = door.open(Share(account=job.caller.account, partition=share.partition))
        found = collect(
            [access], job.caller, list(share.regions or job.regions), wanted, now=job.now, progress=progress,
            waits=job.waits, sampling=job.sampling, only=share.only, elsewhere=elsewhere, stop=stop,
            config=job.config, auditing=auditing,
        )  # fmt: skip
        return found, True
    if job.sampling.items_per_table:
        access.allow_sampling()
    found = loads(task.base)
    known = len(found.everything())
    begin = [parse(kind, arn) for kind, arn in task.named]
    Collection(
        found, [access], wanted, progress, job.waits, job.sampling, begin=begin, elsewhere=elsewhere, stop=stop
    ).run()
    return found, bool(access.calls) or len(found.everything()) > known


def _elsewhere(job: Job, share: Share) -> frozenset[Resource]:
    """Return the accounts and regions that are other shares."""
    own: set[Resource] = {share.resource}
    if share.only == "regions":
        own.update(Region(share.resource, name) for name in share.regions)
    return job.covered - own


def _named(job: Job, share: Share, found: Inventory, wanted: Wanted) -> tuple[tuple[str, str], ...]:
    elsewhere = _elsewhere(job, share)
    kinds = tuple({kind for _, kind in wanted if kind not in (Account, Region)} | {Vpc, Subnet})
    return tuple(
        (resource.cfn_type, resource.arn)
        for resource in found.everything()
        if isinstance(resource, kinds) and (account_of(resource) in elsewhere or region_of(resource) in elsewhere)
    )


class Crew(Protocol):
    """What does tasks."""

    def run(self, job: Job, tasks: Iterable[Task]) -> Generator[Outcome, None, None]:
        """Yield what comes of tasks, in any order."""

    def stop(self) -> None:
        """End what is being done early; :meth:`run` yields what came of it, and begins nothing more."""


class Patience:
    """How long to wait for what was told to end: without end until then, then a moment longer than it may take."""

    def __init__(self, stopped: threading.Event) -> None:
        """Wait without end as long as the event is not set."""
        self._stopped, self._until = stopped, math.inf

    def left(self) -> bool:
        """Tell whether there is time left."""
        if self._stopped.is_set() and self._until == math.inf:
            self._until = time.monotonic() + 2 * GRACE
        return time.monotonic() < self._until


class Threads:
    """Does tasks in this process.

    Args:
        door: Lets into accounts.
        seats: How many at a time.
    """

    def __init__(self, door: Opener, seats: int = SEATS) -> None:
        """Nothing is begun yet."""
        self._door, self._seats, self._stopped = door, seats, threading.Event()

    def run(self, job: Job, tasks: Iterable[Task]) -> Generator[Outcome, None, None]:
        """Yield what comes of tasks, in any order."""
        waiting, outcomes = iter(tasks), queue.SimpleQueue[Outcome]()

        def begin() -> int:
            """Begin the next task, if there is one and none of them is to end."""
            task = None if self._stopped.is_set() else next(waiting, None)
            if task is None:
                return 0
            # Daemons, as the collection's own: nobody who interrupted the audit waits for a silent AWS.
            threading.Thread(
                target=lambda: outcomes.put(work(job, self._door, task, self._stopped)), daemon=True
            ).start()
            return 1

        running, patience = sum(begin() for _ in range(self._seats)), Patience(self._stopped)
        while running and patience.left():
            try:
                outcome = outcomes.get(timeout=LOOK)
            except queue.Empty:
                continue
            running += begin() - 1
            yield outcome

    def stop(self) -> None:
        """End what is being done early."""
        self._stopped.set()


@dataclass(frozen=True)
class Setup:
    """How a worker process comes by its credentials and its log.

    Attributes:
        profile: AWS profile.
        external_id: What the roles want to hear.
        pace: See :class:`auditor.sources.aws.pacing.Pacer`.
        prepare: Called first; sets up the log.
    """

    profile: str | None
    external_id: str | None
    pace: str
    prepare: Callable[[], None] = lambda: None


@dataclass
class _Worker:
    process: Any
    connection: Connection
    doing: dict[str, Task] = field(default_factory=dict)


class Processes:
    """Does tasks in processes of their own, several in each. A process that ends is replaced, its tasks tried again.

    Args:
        setup: Sent to each process.
        workers: How many.
    """

    def __init__(self, setup: Setup, workers: int) -> None:
        """Nothing is begun yet."""
        self._setup, self._count = setup, workers
        self._workers: list[_Worker] = []
        self._stopped = threading.Event()

    def run(self, job: Job, tasks: Iterable[Task]) -> Generator[Outcome, None, None]:
        """Yield what comes of tasks, in any order."""
        waiting, again, tries = iter(tasks), deque[Task](), dict[str, int]()
        self._workers = [self._begin(job) for _ in range(self._count)]
        told, patience = False, Patience(self._stopped)
        try:
            while patience.left():
                # Round by round, so that few tasks are spread over all processes.
                for _, worker in itertools.product(range(SEATS), self._workers):
                    if not self._stopped.is_set() and len(worker.doing) < SEATS:
                        task = again.popleft() if again else next(waiting, None)
                        if task is not None:
                            worker.doing[task.share.key] = task
                            self._send(worker, task)
                if self._stopped.is_set() and not told:
                    told = True
                    for worker in self._workers:
                        self._send(worker, None)
                busy = {worker.connection: worker for worker in self._workers if worker.doing}
                if not busy:
                    return
                for connection in multiprocessing.connection.wait(list(busy), timeout=LOOK):
                    worker = busy[connection]  # type: ignore[index]
                    try:
                        outcome = worker.connection.recv()
                    except (EOFError, OSError):
                        yield from self._replace(worker, job, again, tries)
                        continue
                    del worker.doing[outcome.key]
                    yield outcome
        finally:
            for worker in self._workers:
                worker.connection.close()  # the process reads the end of it, and ends
            for worker in self._workers:
                worker.process.join(timeout=GRACE)
                if worker.process.is_alive():
                    worker.process.kill()

    def stop(self) -> None:
        """End what is being done early."""
        self._stopped.set()

    def _send(self, worker: _Worker, message: Task | None) -> None:
        with contextlib.suppress(OSError):  # it has ended: the next look at its connection tells
            worker.connection.send(message)

    def _begin(self, job: Job) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self._setup, job), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def _replace(self, worker: _Worker, job: Job, again: deque[Task], tries: dict[str, int]) -> Iterator[Outcome]:
        """Put another process in the place of one that ended, and have its tasks done again."""
        worker.process.join(timeout=GRACE)
        log.warning("a worker process ended (exit code %s)", worker.process.exitcode)
        for key, task in worker.doing.items():
            tries[key] = tries.get(key, 1) + 1
            if tries[key] <= TRIES:
                again.append(task)
            else:
                yield failed(job, task.share, f"its process ended (exit code {worker.process.exitcode})")
        worker.connection.close()
        self._workers[self._workers.index(worker)] = self._begin(job)


def _serve(connection: Connection, setup: Setup, job: Job) -> None:
    """Be a worker process: do what comes in until the other side is gone."""
    # The terminal's interrupt reaches every process; what to do then, the one that reads the results says.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    setup.prepare()
    stopped, sending = threading.Event(), threading.Lock()
    door = Door(open_session(setup.profile), setup.external_id, Pacer(setup.pace))

    def do(task: Task) -> None:
        outcome = work(job, door, task, stopped)
        with sending, contextlib.suppress(OSError):
            connection.send(outcome)

    while True:
        try:
            task = connection.recv()
        except (EOFError, OSError):
            os._exit(0)  # whoever wanted it is gone, or has it all
        if task is None:
            stopped.set()
        else:
            threading.Thread(target=do, args=(task,), daemon=True).start()


def gather(job: Job, plan: Plan, file: SnapshotFile, crew: Crew, progress: Progress = lambda done, total: None) -> bool:
    """Collect what the plan names and the file does not hold yet, into the file.

    Args:
        job: What all shares have in common.
        plan: The shares.
        file: Holds the plan, and perhaps shares that are finished.
        crew: Does the work.
        progress: Called with shares done and shares in all.

    Returns:
        Whether nothing was left out: False after an interrupt.

    Raises:
        UsageError: the file cannot be written.
    """
    shares = {share.key: share for share in plan.shares}
    finished = file.finished() & shares.keys()
    named: dict[str, set[tuple[str, str]]] = {}
    wanted = classes(job.wanted)
    done = len(finished)

    def note(found: Iterable[tuple[str, str]]) -> None:
        for kind, arn in found:
            key = owner(parse(kind, arn), shares)
            if key is not None:
                named.setdefault(key, set()).add((kind, arn))

    for key in sorted(finished):
        note(_named(job, shares[key], loads(file.part(key)), wanted))
    told: dict[str, set[tuple[str, str]]] = {}
    tasks: Iterable[Task] = [Task(share) for key, share in shares.items() if key not in finished]
    for turn in itertools.count():
        progress(done, len(shares))
        with _interrupts(crew) as interrupted:
            for outcome in crew.run(job, tasks):
                if outcome.data is not None:
                    file.add(outcome.key, outcome.data, whole=not (outcome.closed or outcome.interrupted))
                if outcome.interrupted:
                    interrupted.set()
                note(outcome.named)
                done += turn == 0
                progress(done, len(shares))
        if interrupted.is_set():
            return False
        news = {key: found - told.get(key, set()) for key, found in named.items()}
        for key, found in news.items():
            told.setdefault(key, set()).update(found)
        if not any(news.values()):
            return True
        tasks = (
            Task(shares[key], tuple(sorted(found)), file.part(key)) for key, found in sorted(news.items()) if found
        )
    raise AssertionError


@contextlib.contextmanager
def _interrupts(crew: Crew) -> Iterator[threading.Event]:
    """Make an interrupt stop the crew, instead of striking in the middle of a record; yield whether there was one.

    A second interrupt is an interrupt as usual.
    """
    interrupted = threading.Event()
    before: dict[int, Any] = {}

    def handle(number: int, frame: object) -> None:
        del frame
        interrupted.set()
        crew.stop()
        signal.signal(number, before[number])

    if threading.current_thread() is threading.main_thread():
        for one in (signal.SIGINT, signal.SIGTERM):
            before[one] = signal.signal(one, handle)
    try:
        yield interrupted
    finally:
        for number, usual in before.items():
            signal.signal(number, usual)


def owner(resource: Resource, shares: Mapping[str, Share]) -> str | None:
    """Return the key of the share that a resource belongs to."""
    account, region = account_of(resource).id, region_of(resource)
    for key in ((f"{account}/{region.name}",) if region else ()) + (account,):
        if key in shares:
            return key
    return None
