"""Runs collectors: many at a time, each operation in a lane of its own, facts leading to further facts.

The order follows from what is found: a listing names tables, their settings name keys, and so on. Every
(account, region, operation) has a lane with a few calls in flight, so that an operation which AWS limits to
ten calls a second never keeps another one waiting: a region takes as long as its slowest operation.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import heapq
import itertools
import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from auditor.config import NO_SAMPLING, Sampling
from auditor.facts import (
    DaxClusterNames,
    Gap,
    PointInTimeRecovery,
    Reason,
    RegionScope,
    TableNames,
    TableSettings,
)
from auditor.facts.base import IAM_ACTIONS, RAW
from auditor.inventory import CallError, Inventory
from auditor.resources import Account, LogGroup, Region, Resource, Subnet, Table, Vpc, account_of, region_of
from auditor.sources.aws.collector import BULK, COLLECTORS, Collector
from auditor.sources.aws.pacing import DEFAULT_RATE, DOCUMENTED_RATES
from auditor.sources.aws.session import (
    SILENCES,
    UNREADABLE,
    Access,
    Aws,
    ConfigSource,
    Missing,
    ReadOnlyViolation,
    Vanished,
    is_disabled_region,
)

log = logging.getLogger(__name__)

#: Threads of a collection. Most of them wait for a token or for AWS at any moment.
THREADS = 64

#: Calls of one operation, account and region in flight at most.
WIDTH = 16

#: Seconds to wait before a call that was throttled to the end of its attempts is tried once more.
THROTTLE_WAITS: tuple[float, ...] = (1, 2, 4, 8, 16)

#: Where AWS has answered nothing for so many seconds, and to so many calls in a row, in one lane or to one account, the
#: calls that wait there are given up. Each would take two minutes to fail by itself: four times a read time-out.
SILENCE = 120.0
SILENT_CALLS_OF_LANE = 4
SILENT_CALLS_OF_ACCOUNT = THREADS

#: Seconds that calls in flight have left after an interrupt; a call to an address that is silent takes minutes.
GRACE = 2.0

#: Seconds between two looks at the event that stops a collection.
LOOK = 0.25
#: The code of a call that was not made since AWS answered nothing.
GIVEN_UP = "GivenUp"

Progress = Callable[[int, int], None]


class Stop(Protocol):
    """An event of :mod:`threading` or :mod:`multiprocessing`."""

    def is_set(self) -> bool:
        """Tell whether the collection is to end."""


@dataclass(frozen=True)
class _Task:
    """One call of a collector."""

    collector: Collector
    access: Access
    region: str
    resource: Resource
    listing: Any = None
    round: int = 0

    @property
    def lane(self) -> tuple[str, str, str]:
        return (self.access.account.id, self.region, self.collector.lane)


@dataclass
class _Outcome:
    """What a task gave: facts in order, then perhaps what stopped it.

    What it found to exist comes ahead, in outcomes of its own: a long listing need not end before its first tables are
    asked about.
    """

    task: _Task
    facts: list[tuple[Resource, Any]] = field(default_factory=list)
    stopped: Missing | Vanished | None = None
    ahead: bool = False


@dataclass
class _Silence:
    """How long, and to how many calls in a row, nothing was answered.

    Attributes:
        enough: Calls after which the others are given up.
        calls: Calls since the last answer.
        since: When the first of them failed.
    """

    enough: int
    calls: int = 0
    since: float = 0.0

    def note(self, stopped: Missing | Vanished | None) -> None:
        """Note how a call ended."""
        if not isinstance(stopped, Missing) or stopped.code not in SILENCES:
            self.calls = 0
        else:
            self.since = self.since if self.calls else time.monotonic()
            self.calls += 1

    @property
    def lasts(self) -> bool:
        """Whether it is of no use to ask on."""
        return self.calls >= self.enough and time.monotonic() - self.since >= SILENCE


@dataclass
class _Lane:
    """The calls of one operation: how many may run, and whether AWS refused one of them through all waits."""

    width: int
    silence: _Silence
    refused: bool = False
    waiting: collections.deque[_Task] = field(default_factory=collections.deque)
    running: int = 0


class Collection:
    """One collection, from start to finished inventory.

    Args:
        inventory: Grows; its scopes say which accounts and regions are asked.
        accesses: The credentials, by account.
        wanted: The facts, each with the kind of resource it is wanted for.
        progress: Called with calls done and calls known so far.
        waits: Seconds before each further try of a throttled call.
        sampling: How many items may be read of a table; without any, facts that need them stay gaps.
        begin: What to begin with; default: the accounts and regions of the scopes. Where a region is not named, what is
            asked of it is asked one by one.
        elsewhere: Accounts and regions whose resources somebody else asks for: found here they are only named.
        stop: An event that ends the collection early when it is set, as an interrupt does.
        config: Where AWS Config is asked for what it recorded; None: it is not.
        auditing: Credentials of who audits, whose aggregator of AWS Config is asked; default: the account's own.
    """

    def __init__(
        self,
        inventory: Inventory,
        accesses: Iterable[Access],
        wanted: set[tuple[type, type[Resource]]],
        progress: Progress = lambda done, total: None,
        waits: tuple[float, ...] = THROTTLE_WAITS,
        sampling: Sampling = NO_SAMPLING,
        begin: Iterable[Resource] | None = None,
        elsewhere: Container[Resource | None] = frozenset(),
        stop: Stop | None = None,
        config: ConfigSource | None = None,
        auditing: Access | None = None,
    ) -> None:
        """Prepare; nothing is asked yet."""
        self._inventory = inventory
        self._config, self._auditing = config, auditing
        self._begin = None if begin is None else tuple(begin)
        self._elsewhere = elsewhere
        self._stop = stop
        wanted = {pair for pair in wanted if sampling.items_per_table or not RAW[pair[0]].opt_in}
        self._wanted = frozenset(fact_type for fact_type, _ in wanted)
        self._sampling = sampling
        self._accesses = {access.account: access for access in accesses}
        self._by_kind: dict[type[Resource], list[tuple[type, Collector]]] = {}
        self._in_use: list[Collector] = []
        for fact_type, about in sorted(wanted, key=lambda pair: (pair[0].__name__, pair[1].__name__)):
            collector = COLLECTORS.get((fact_type, about))
            if collector is not None and collector.in_use_only:
                self._in_use.append(collector)
            elif collector is not None:
                self._by_kind.setdefault(collector.about, []).append((fact_type, collector))
        self._bulks = {
            pair: bulk for pair, bulk in BULK.items() if pair in wanted and (config is not None or not bulk.recorded)
        }
        self._progress = progress
        self._waits = waits
        self._lanes: dict[tuple[str, str, str], _Lane] = {}
        self._silences = {account: _Silence(SILENT_CALLS_OF_ACCOUNT) for account in self._accesses}
        self._asked: set[tuple[int, Account, Resource]] = set()
        self._bulk_done: set[tuple[int, Resource]] = set()
        if self._begin is not None:
            listed = {region for scope in inventory.scopes for region in scope.regions}.difference(self._begin)
            self._bulk_done = {(id(bulk), region) for bulk in self._bulks.values() for region in listed}
        self._finders: dict[Resource, Access] = {}
        self._delayed: list[tuple[float, int, _Task]] = []
        self._order = itertools.count()
        self._ready: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._outcomes: collections.deque[_Outcome] = collections.deque()
        self._news: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._open = 0
        self._done = 0

    def run(self) -> None:
        """Ask until nothing is left to ask. An interrupt keeps what is there and marks it incomplete."""
        _share_heap()
        # Daemons: nobody who interrupted the audit waits for calls that AWS does not answer.
        threads = [threading.Thread(target=self._serve, name=f"collect-{n}", daemon=True) for n in range(THREADS)]
        for thread in threads:
            thread.start()
        try:
            self._start()
            while self._open or self._delayed or self._ask_of_younger():
                if self._stop is not None and self._stop.is_set():
                    raise KeyboardInterrupt
                self._release_delayed()
                try:
                    self._news.get(timeout=self._patience())
                except queue.Empty:
                    continue
                # It is taken off only then: an interrupt in the middle must not lose what AWS answered.
                self._finish(self._outcomes[0])
                self._outcomes.popleft()
        except KeyboardInterrupt:
            self._inventory.interrupted = True
            self._await_running(time.monotonic() + GRACE)
            self._forget_younger()
        finally:
            self._cancel_waiting()
            for _ in threads:
                self._ready.put(None)
        self._restore_regions()

    def _serve(self) -> None:
        """Work off tasks in a thread until there is a None."""
        while (task := self._ready.get()) is not None:
            self._outcomes.append(self._work(task))
            self._news.put(None)

    def _await_running(self, until: float) -> None:
        """Keep what the calls in flight still bring, without asking for anything more."""
        running = sum(lane.running for lane in self._lanes.values()) - self._cancel_waiting()
        # The one that the interrupt struck may have been counted off already.
        running += bool(self._outcomes and not self._outcomes[0].ahead)
        while running > 0 and (left := until - time.monotonic()) > 0:
            while self._outcomes:
                outcome = self._outcomes.popleft()
                for resource, value in outcome.facts:
                    self._inventory.learn([resource]) if value is None else self._inventory.put(resource, value)
                running -= not outcome.ahead
            if running > 0:
                with contextlib.suppress(queue.Empty):
                    self._news.get(timeout=left)

    def _cancel_waiting(self) -> int:
        """Drop what no thread has begun and return how much that was."""
        dropped = 0
        with contextlib.suppress(queue.Empty):
            while True:
                self._ready.get_nowait()
                dropped += 1
        return dropped

    def _start(self) -> None:
        for scope in self._inventory.scopes:
            access = self._accesses[scope.account]
            for resource in (scope.account, *scope.regions) if self._begin is None else self._begin:
                self._discovered(resource, access)

    def _discovered(self, resource: Resource, access: Access) -> None:
        """Ask for what is wanted about a resource, unless it must wait for something else first.

        Its owner's credentials are asked where they are at hand; otherwise those of every account that found it.
        """
        if account_of(resource) in self._elsewhere or region_of(resource) in self._elsewhere:
            return
        if isinstance(resource, Table | LogGroup) and resource.account not in self._accesses:
            return  # asked by name, this account would answer for a table or log group of its own
        access = self._accesses.get(account_of(resource), access)
        self._finders.setdefault(resource, access)
        region = region_of(resource)
        if isinstance(resource, Vpc | Subnet) and region is not None and self._inventory.in_scope(region):
            # Its routes decide for the workloads of whoever shares it, though its owner may have no tables.
            for collector in self._in_use:
                self._ask(collector, access, region)
        for fact_type, collector in self._by_kind.get(type(resource), ()):
            if RAW[fact_type].opt_in and not self._inventory.in_scope(resource):
                continue  # a replica in a region that nobody wants audited: its items are not read
            if not self._waits_for_bulk(fact_type, resource):
                self._ask(collector, access, resource)

    def _waits_for_bulk(self, fact_type: type, resource: Resource) -> bool:
        """Tell whether a bulk collector will bring, or has brought, the fact."""
        bulk = self._bulks.get((fact_type, type(resource)))
        region = region_of(resource)
        if bulk is None or region is None or not self._inventory.in_scope(resource):
            return False
        return (id(bulk), region) not in self._bulk_done or resource in self._inventory.facts.get(fact_type, {})

    def _ask(self, collector: Collector, access: Access, resource: Resource, listing: Any = None) -> None:
        asking = (id(collector), access.account, resource)
        held = self._inventory.facts.get(collector.facts[0], {}).get(resource)
        if asking in self._asked or (listing is None and held is not None and not isinstance(held, Gap)):
            return
        self._asked.add(asking)
        region = region_of(resource)
        self._queue(_Task(collector, access, region.name if region else access.home_region(), resource, listing))

    def _queue(self, task: _Task) -> None:
        lane = self._lanes.get(self._lane_of(task))
        if lane is None:
            rate = DOCUMENTED_RATES.get(task.collector.lane, DEFAULT_RATE)
            width = WIDTH if task.access.pacer.pace != "documented" else max(2, min(WIDTH, math.ceil(rate * 0.4)))
            lane = self._lanes[self._lane_of(task)] = _Lane(width, _Silence(max(SILENT_CALLS_OF_LANE, width)))
        if task.round:
            lane.waiting.appendleft(task)  # first, so that it is soon clear whether AWS refuses them all
        else:
            lane.waiting.append(task)
        self._open += 1
        self._fill(lane)

    def _lane_of(self, task: _Task) -> tuple[str, str, str]:
        """Return the lane: all who ask the one aggregator share it, so that they do not take all threads."""
        shared = task.collector.recorded and self._config is not None and self._config.aggregator
        return ("", "", task.collector.lane) if shared else task.lane

    def _fill(self, lane: _Lane) -> None:
        while lane.waiting and lane.running < lane.width:
            lane.running += 1
            task = lane.waiting.popleft()
            if lane.silence.lasts or self._silences[task.access.account].lasts:
                self._outcomes.append(_Outcome(task, stopped=_given_up(task)))
                self._news.put(None)
            else:
                self._ready.put(task)

    def _work(self, task: _Task) -> _Outcome:
        """Run a task; whatever happens becomes an outcome."""
        outcome = _Outcome(task)
        config = self._config or ConfigSource()
        aws = Aws(task.access, task.region, self._wanted, self._sampling, config, self._auditing)
        arguments = (task.resource,) if task.collector.after is None else (task.resource, task.listing)
        try:
            for resource, value in task.collector.function(aws, *arguments):
                if value is None:
                    self._outcomes.append(_Outcome(task, [(resource, None)], ahead=True))
                    self._news.put(None)
                else:
                    outcome.facts.append((resource, value))
        except (Missing, Vanished) as stopped:
            outcome.stopped = stopped
        except ReadOnlyViolation as violation:
            outcome.stopped = _unreadable(task, aws, violation)
            log.exception("a collector called what no fact declares")
        except Exception as error:
            outcome.stopped = _unreadable(task, aws, error)
            log.debug("the answer could not be read", exc_info=True)
        return outcome

    def _finish(self, outcome: _Outcome) -> None:
        task = outcome.task
        if outcome.ahead:
            for resource, _ in outcome.facts:
                for one in self._inventory.learn([resource]):
                    self._discovered(one, task.access)
            return
        lane = self._lanes[self._lane_of(task)]
        lane.running -= 1
        self._open -= 1
        if not (isinstance(outcome.stopped, Missing) and outcome.stopped.code == GIVEN_UP):
            lane.silence.note(outcome.stopped)
            self._silences[task.access.account].note(outcome.stopped)
        self._fill(lane)
        throttled = self._is_throttled(outcome)
        if throttled and task.round < len(self._waits) and not lane.refused:
            self._once_more(task, self._waits[task.round])
            return
        if task.round == 0 and isinstance(outcome.stopped, Missing) and outcome.stopped.code == UNREADABLE:
            self._once_more(task, 0.0)  # botocore itself tries again only where no answer came
            return
        # Where one call was refused through all waits the others need not wait as long, until one gets through.
        lane.refused = throttled
        self._done += 1
        for resource, value in outcome.facts:
            for one in self._inventory.put(resource, value):
                self._discovered(one, task.access)
        if outcome.stopped is not None:
            self._stopped(outcome, outcome.stopped)
        if task.collector.after is not None:
            self._end_bulk(task.collector, task.resource)
        self._follow_up(task)
        self._progress(self._done, self._done + self._open + len(self._delayed))

    def _once_more(self, task: _Task, wait: float) -> None:
        again = _Task(task.collector, task.access, task.region, task.resource, task.listing, task.round + 1)
        heapq.heappush(self._delayed, (time.monotonic() + wait, next(self._order), again))

    def _is_throttled(self, outcome: _Outcome) -> bool:
        stopped = outcome.stopped
        return isinstance(stopped, Missing) and stopped.gap.reason is Reason.THROTTLED

    def _stopped(self, outcome: _Outcome, stopped: Missing | Vanished) -> None:
        task = outcome.task
        fact_type = next(
            (one for one in task.collector.facts if not any(isinstance(value, one) for _, value in outcome.facts)),
            task.collector.facts[-1],
        )
        service, _, operation = stopped.operation.partition(":")
        account = task.access.account.id
        self._inventory.errors.append(
            CallError(account, task.region, service, operation, stopped.code, stopped.message, fact_type.__name__)
        )
        if isinstance(stopped, Vanished):
            self._inventory.vanished.add(task.resource)
            return
        region = region_of(task.resource)
        scope = self._inventory.facts.get(RegionScope, {}).get(task.access.account)
        listed = isinstance(scope, RegionScope) and not scope.chosen  # AWS has just said that it is enabled
        if fact_type is TableNames and region is not None and is_disabled_region(stopped.code) and not listed:
            log.info("%s is not enabled in account %s", region.name, account)
            self._inventory.vanished.add(region)
        if task.collector.after is not None:
            return  # each resource is asked by itself now
        for owed in task.collector.facts:
            if (
                not any(isinstance(value, owed) for _, value in outcome.facts)
                and task.collector.about in RAW[owed].about
            ):
                self._inventory.put_gap(task.resource, owed, stopped.gap)

    def _end_bulk(self, bulk: Collector, region: Resource) -> None:
        """After a bulk answer, or its failure, ask one by one for what it did not bring."""
        self._bulk_done.add((id(bulk), region))
        for (fact_type, kind), one in self._bulks.items():
            if one is bulk:
                held = self._inventory.facts.get(fact_type, {})
                for resource in self._inventory.of_kind(kind):
                    if region_of(resource) == region and resource not in held:
                        self._ask(COLLECTORS[fact_type, kind], self._finders[resource], resource)

    def _ask_of_younger(self) -> bool:
        """Ask DynamoDB where AWS Config's word does not count; tell whether there is anything to wait for."""
        for table in self._forget_younger():
            self._ask(COLLECTORS[PointInTimeRecovery, Table], self._finders[table], table)
        return bool(self._open)

    def _forget_younger(self) -> list[Table]:
        """Drop what AWS Config recorded of tables that may be younger, made anew under the same name; return them."""
        held, settings = (
            self._inventory.facts.get(PointInTimeRecovery, {}),
            self._inventory.facts.get(TableSettings, {}),
        )
        younger = []
        for table, recovery in held.items():
            recorded = None if isinstance(recovery, Gap) else recovery.recorded
            found = settings.get(table)
            created = found.created if isinstance(found, TableSettings) else None
            if recorded is not None and isinstance(table, Table) and (created is None or recorded < created):
                younger.append(table)
        for table in younger:
            del held[table]
        return younger

    def _follow_up(self, task: _Task) -> None:
        """Ask what had to wait for a region's listings."""
        region = task.resource
        if not isinstance(region, Region):
            return
        for bulk in self._bulks.values():
            if bulk.after in task.collector.facts:
                listing = self._inventory.facts[bulk.after][region]
                if isinstance(listing, Gap) or any(listing.names()):
                    self._ask(bulk, task.access, region, listing)
                else:
                    self._end_bulk(bulk, region)
        if self._may_be_in_use(region):
            for collector in self._in_use:
                self._ask(collector, task.access, region)

    def _may_be_in_use(self, region: Region) -> bool:
        """Tell whether the region has tables or clusters, or that cannot be ruled out. False while it is open."""
        listings = [self._inventory.facts.get(one, {}).get(region) for one in (TableNames, DaxClusterNames)]
        if any(listing is None for listing in listings):
            return False
        return any(isinstance(listing, Gap) or any(listing.names()) for listing in listings if listing is not None)

    def _release_delayed(self) -> None:
        now = time.monotonic()
        while self._delayed and self._delayed[0][0] <= now:
            self._queue(heapq.heappop(self._delayed)[2])

    def _patience(self) -> float | None:
        longest = None if self._stop is None else LOOK
        if not self._delayed:
            return longest if self._open else 0
        wait = max(0.0, self._delayed[0][0] - time.monotonic())
        return wait if longest is None else min(wait, longest)

    def _restore_regions(self) -> None:
        """Take back that regions are not enabled where it may have been the credentials that ceased to work.

        AWS answers the same to both. Where every region of an account looks like that, or the account is not answered
        anywhere by now, nothing was found out.
        """
        for scope in self._inventory.scopes:
            gone = self._inventory.vanished.intersection(scope.regions)
            if gone and (len(gone) == len(scope.regions) or not self._works(self._accesses[scope.account])):
                self._inventory.vanished.difference_update(gone)

    def _works(self, access: Access) -> bool:
        """Tell whether credentials still work; AWS lets everybody ask who they are."""
        if self._inventory.interrupted:
            return False  # whoever interrupted does not wait for one more call
        try:
            Aws(access, access.home_region()).call("sts:GetCallerIdentity")
        except Missing:
            return False
        return True


def _share_heap() -> None:
    """Make threads share one heap, where the C library is glibc: each of its own keeps what it once needed.

    Python runs one thread at a time, so none waits for it. Source: mallopt(3), M_ARENA_MAX.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(-8, 1)


def _given_up(task: _Task) -> Missing:
    operation = task.collector.lane
    action = IAM_ACTIONS.get(operation, operation)
    text = f"{action} in {task.region} was not asked: nothing had been answered for {SILENCE:.0f} seconds."
    return Missing(Gap(Reason.TRANSIENT, text, action), GIVEN_UP, operation, "not asked")


def _unreadable(task: _Task, aws: Aws, error: Exception) -> Missing:
    operation = aws.asked[-1] if aws.asked else task.collector.lane
    text = f"AWS's answer to {operation} could not be read ({type(error).__name__}: {error})."
    gap = Gap(Reason.UNDECIDABLE, text, IAM_ACTIONS.get(operation, operation))
    return Missing(gap, type(error).__name__, operation, str(error))
