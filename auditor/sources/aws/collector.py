"""What a collector is: a function that asks AWS and yields facts.

A collector's facts, the resource that it asks about, and the lane that it runs in follow from
``@collects``; which operations it may call stands on the facts themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from auditor.facts.base import RAW
from auditor.resources import Resource

#: A fact about a resource; None instead of a fact says no more than that the resource exists.
Yield = Iterable[tuple[Resource, Any]]


@dataclass(frozen=True)
class Collector:
    """A registered collector.

    Attributes:
        function: ``function(aws, resource)``, or ``function(aws, region, listing)`` for a bulk one.
        facts: The facts that it yields; those that it owes when it fails.
        about: The kind of resource that it is called with.
        lane: The operation whose rate limits it.
        in_use_only: It runs only in regions that have tables or clusters.
        after: For a bulk collector, the listing that must have been collected (or found missing) before.
        recorded: It yields what AWS Config recorded, and so runs only where that is asked for (``--source config``).
    """

    function: Callable[..., Yield]
    facts: tuple[type, ...]
    about: type[Resource]
    lane: str
    in_use_only: bool = False
    after: type | None = None
    recorded: bool = False


#: (fact, kind) -> what collects it.
COLLECTORS: dict[tuple[type, type[Resource]], Collector] = {}

#: (fact, kind) -> what collects it for a whole region at once, tried first.
BULK: dict[tuple[type, type[Resource]], Collector] = {}


def collects(
    *facts: type, about: type[Resource], lane: str | None = None
) -> Callable[[Callable[..., Yield]], Callable[..., Yield]]:
    """Register a collector that is called with a resource of a kind.

    Args:
        facts: What it yields. The first is about ``about``; others may be about resources that it names.
        about: The kind of resource that it is called with.
        lane: Its operation, where it is not the first one that its first fact declares.
    """

    def register(function: Callable[..., Yield]) -> Callable[..., Yield]:
        info = RAW[facts[0]]
        collector = Collector(function, facts, about, lane or info.operations[0], info.in_use_only)
        for fact_type in facts:
            for kind in RAW[fact_type].about:
                if kind is about or about not in RAW[fact_type].about:
                    COLLECTORS[fact_type, kind] = collector
        return function

    return register


def collects_in_bulk(
    fact_type: type, *, of: type[Resource], about: type[Resource], after: type, lane: str, recorded: bool = False
) -> Callable[[Callable[..., Yield]], Callable[..., Yield]]:
    """Register a collector that yields a fact about all resources of a kind in a region at once.

    It is called with the region and its listing (or the gap where the listing should be) and yields the
    fact for each; where it fails, the resources are asked one by one. ``recorded``: see :class:`Collector`.
    """

    def register(function: Callable[..., Yield]) -> Callable[..., Yield]:
        BULK[fact_type, of] = Collector(function, (fact_type,), about, lane, after=after, recorded=recorded)
        return function

    return register
