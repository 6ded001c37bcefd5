"""Longest-prefix matching: where a route table sends the addresses of some blocks.

Order of preference (Amazon VPC User Guide, "Route priority"): the longest prefix; among equal ones a static
route to a CIDR block, then one to a prefix list, then a propagated one. Between prefix lists that hold the same
block AWS chooses at random. Blackhole routes are passed over here, as nothing that leaves by them arrives.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network

from auditor.facts import Route, RouteTable


@dataclass(frozen=True, slots=True)
class Match:
    """Where the addresses of a block go: by which route, or nowhere (None).

    ``rivals`` are other routes that AWS may choose as well, being equally good.
    """

    block: IPv4Network
    route: Route | None
    rivals: tuple[Route, ...] = ()


@dataclass(frozen=True, slots=True)
class _Candidate:
    network: IPv4Network
    rank: int
    route: Route


def resolve(
    table: RouteTable, destinations: Iterable[IPv4Network], prefix_lists: Mapping[str, tuple[str, ...]]
) -> list[Match]:
    """Return where a route table sends each part of some destination blocks.

    Args:
        table: The effective route table.
        destinations: The blocks of interest.
        prefix_lists: Prefix list id -> its blocks. A route to a list that is not among them is passed over.

    Returns:
        Matches whose blocks are disjoint and together make up the destinations.
    """
    candidates = list(_candidates(table, prefix_lists))
    return [match for block in destinations for match in _resolve(block, candidates)]


def unknown_lists(table: RouteTable, prefix_lists: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return the prefix lists that active routes name and whose entries are not known."""
    return sorted(
        {
            route.destination
            for route in table.routes
            if route.active and route.destination.startswith("pl-") and route.destination not in prefix_lists
        }
    )


def networks(cidrs: Iterable[str]) -> Iterator[IPv4Network]:
    """Yield the IPv4 networks among some blocks."""
    for cidr in cidrs:
        network = ip_network(cidr, strict=False)
        if isinstance(network, IPv4Network):
            yield network


def _candidates(table: RouteTable, prefix_lists: Mapping[str, tuple[str, ...]]) -> Iterator[_Candidate]:
    for route in table.routes:
        if not route.active:
            continue
        if route.destination.startswith("pl-"):
            blocks, rank = prefix_lists.get(route.destination, ()), 1
        else:
            blocks, rank = (route.destination,) if route.destination else (), 0 if route.propagated else 2
        for network in networks(blocks):
            yield _Candidate(network, rank, route)


def _resolve(block: IPv4Network, candidates: list[_Candidate]) -> Iterator[Match]:
    touching = [one for one in candidates if one.network.overlaps(block)]
    if any(one.network.prefixlen > block.prefixlen for one in touching):
        for half in block.subnets():
            yield from _resolve(half, touching)
        return
    best = max(((one.network.prefixlen, one.rank) for one in touching), default=None)
    equal = {one.route for one in touching if (one.network.prefixlen, one.rank) == best}
    routes = sorted(equal, key=lambda one: (one.destination, one.target))
    yield Match(block, routes[0] if routes else None, tuple(routes[1:]))
