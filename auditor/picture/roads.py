"""Which way the workloads of each VPC reach DynamoDB, as the map of the report shows it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from auditor.facts import (
    DaxPlacement,
    Gap,
    NetworkInterfaces,
    RegionUse,
    SubnetPath,
    Subnets,
    Vpcs,
)
from auditor.picture.missing import NOT_PART, Missing, why
from auditor.resources import DaxCluster, Region, Subnet, Vpc


@dataclass(frozen=True, slots=True)
class Way:
    """A way that some subnets of a VPC take to DynamoDB.

    Attributes:
        hop: What is on the way: a key of :data:`auditor.picture.drawing.HOPS`.
        reach: Where it leads through: ``internet``, ``unknown``, ``private`` or ``none`` (there is no way).
        subnets: How many subnets with workloads take it; None: not known.
        through: Ids of the next hops, sorted.
        why: What is not known of it, or an empty text.
    """

    hop: str
    reach: Literal["internet", "unknown", "private", "none"]
    subnets: int | None
    through: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A DAX cluster in a VPC; ``public``: a subnet of it has a route to an internet gateway, None: not known."""

    cluster: DaxCluster
    public: bool | None


@dataclass(frozen=True, slots=True)
class VpcPicture:
    """A VPC with its ways to DynamoDB.

    Attributes:
        vpc: The VPC; its ARN names the owner.
        audited: Its owner is an audited account.
        subnets: How many subnets it has; None: not known.
        interfaces: How many network interfaces its workloads have; None: not known.
        ways: The worst first; none where it has no workloads.
        clusters: The DAX clusters in it.
    """

    vpc: Vpc
    audited: bool
    subnets: int | None
    interfaces: int | None
    ways: tuple[Way, ...] = ()
    clusters: tuple[Cluster, ...] = ()

    @property
    def quiet(self) -> bool:
        """Neither workloads nor clusters are known in it."""
        return not self.ways and not self.clusters

    @property
    def worst(self) -> str:
        """Where the worst of its ways leads through; an empty text where it has no workloads."""
        return min((way.reach for way in self.ways), key=_REACHES.index, default="")


@dataclass(frozen=True, slots=True)
class Network:
    """The ways to DynamoDB.

    Attributes:
        vpcs: The worst first.
        absent: Why there is no picture at all; an empty text: there is one, though perhaps without any VPC.
        notes: What is missing from it, in sentences.
    """

    vpcs: tuple[VpcPicture, ...] = ()
    absent: str = ""
    notes: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """What is seen, in a sentence; an empty text where no VPC has workloads."""
        found = Counter(one.worst for one in self.vpcs if one.ways)
        if not found:
            return ""
        parts = [
            f"{found['internet']:,} of {_vpcs(found.total())} with workloads "
            f"reach{'es' if found['internet'] == 1 else ''} DynamoDB through the internet"
        ]
        if found["private"]:
            parts.append(f"{found['private']:,} only privately")
        if found["none"]:
            parts.append(f"{found['none']:,} not at all")
        if found["unknown"]:
            parts.append(f"of {found['unknown']:,} it is not known")
        return f"{', '.join(parts)}."


def _vpcs(number: int) -> str:
    return f"{number:,} VPC{'' if number == 1 else 's'}"


#: Where a way leads through, the worst first.
_REACHES = ("internet", "unknown", "private", "none")

_ORDER = {
    "internet-gateway": 0,
    "nat-gateway": 1,
    "appliance": 1,
    "declared-exit": 1,
    "unknown": 2,
    "gateway-endpoint": 4,
    "interface-endpoint": 4,
    "declared": 4,
    "none": 5,
}

#: Beginning of a next hop's id -> what is on the way, where routing does not show what is behind.
_BEYOND = {
    "tgw": "transit-gateway",
    "pcx": "peering",
    "vgw": "virtual-private-gateway",
    "vpce": "firewall",
    "eni": "appliance-unknown",
    "i": "appliance-unknown",
    "nat": "private-nat",
}


def _way(path: SubnetPath | Gap) -> Way:
    """Return the worst way of a subnet with workloads."""
    if isinstance(path, Gap):
        return Way("unknown", "unknown", 1, (), why(path))
    routes = path.evidence.get("routes")
    targets = [str(one["target"]) for one in routes if "target" in one] if isinstance(routes, list) else []
    # The routes of the worst way come first.
    target = targets[0] if targets else ""
    kind = target.partition("-")[0]
    reason = why(path.gap) if path.gap is not None else ""
    through = (target,) if target and target != "local" else ()
    declared = bool(target) and path.evidence.get("trusted_egress") == target
    if path.path in ("igw", "nat"):
        hop = {"igw": "internet-gateway", "nat": "nat-gateway", "eni": "appliance", "i": "appliance"}.get(kind)
        return Way("declared-exit" if declared or hop is None else hop, "internet", 1, through, reason)
    if path.path == "endpoint":
        if declared:
            return Way("declared", "private", 1, through, reason)
        if kind == "vpce":
            return Way("gateway-endpoint", "private", 1, through, reason)
        found = path.evidence.get("interfaceEndpoints")
        return Way(
            "interface-endpoint", "private", 1, tuple(sorted(found)) if isinstance(found, Mapping) else (), reason
        )
    if path.path == "isolated":
        return Way("none", "none", 1, (), reason)
    return Way(_BEYOND.get(kind, "beyond"), "unknown", 1, through, reason or "routing does not show what is behind")


class Roads:
    """Reads the facts of all regions about VPCs, subnets and clusters."""

    def __init__(self, resolver: Any) -> None:
        """Read nothing yet."""
        self.resolver, self.inventory = resolver, resolver.inventory
        self.missing = Missing({scope.account.id: scope.name for scope in self.inventory.scopes})
        self.audited = {scope.account for scope in self.inventory.scopes}
        self.subnets: dict[Vpc, set[Subnet]] = defaultdict(set)
        self.vpcs: set[Vpc] = set()
        self.clusters: dict[Vpc, list[Cluster]] = defaultdict(list)
        self.listed: set[Region] = set()

    def network(self) -> Network:
        """Return the ways of all VPCs of regions in use, and what of that is not known."""
        regions = [region for scope in self.inventory.scopes for region in scope.regions]
        gaps: dict[Region, Gap] = {}
        used = 0
        for region in regions:
            use = self.resolver.get(RegionUse, region)
            if isinstance(use, RegionUse) and not use.in_use:
                continue
            used += 1
            gap = use if isinstance(use, Gap) else self._read(region)
            if gap is not None:
                gaps[region] = gap
        self._place_clusters()
        for vpc in self.inventory.of_kind(Vpc):
            if self.inventory.in_scope(vpc) and (vpc in self.vpcs or vpc in self.subnets or vpc in self.clusters):
                self.vpcs.add(vpc)
        shown = sorted((self._picture(vpc) for vpc in {*self.vpcs, *self.clusters}), key=_worst_first)
        if used and len(gaps) == used and not any(not one.quiet for one in shown):
            reasons = sorted({why(gap) for gap in gaps.values()})
            return Network(absent="; ".join(reasons))
        for region, gap in gaps.items():
            self.missing.add("VPCs and subnets", gap, self.missing.region(region))
        return Network(tuple(shown), notes=self.missing.sentences)

    def _read(self, region: Region) -> Gap | None:
        """Note the VPCs and subnets of a region; return why they are not known."""
        vpcs, subnets = self.resolver.get(Vpcs, region), self.resolver.get(Subnets, region)
        if isinstance(vpcs, Vpcs):
            self.vpcs.update(info.vpc for info in vpcs.vpcs)
        if isinstance(subnets, Subnets):
            self.listed.add(region)
            for info in subnets.subnets:
                if info.vpc_id:
                    self.subnets[Vpc(info.subnet.region, info.vpc_id)].add(info.subnet)
            return None
        interfaces = self.resolver.get(NetworkInterfaces, region)
        if isinstance(interfaces, NetworkInterfaces):
            for one in interfaces.interfaces:
                if one.vpc_id:
                    self.subnets[Vpc(one.subnet.region, one.vpc_id)].add(one.subnet)
        return subnets if isinstance(subnets, Gap) else None

    def _place_clusters(self) -> None:
        for cluster in self.inventory.of_kind(DaxCluster):
            if not self.inventory.in_scope(cluster):
                continue
            placed = self.resolver.get(DaxPlacement, cluster)
            if isinstance(placed, Gap):
                self.missing.add("VPCs of DAX clusters", placed, cluster.name)
                continue
            known = {*self.vpcs, *self.subnets}
            here = [one for one in known if one.name == placed.vpc_id and one.region.name == cluster.region.name]
            vpc = min(here, default=Vpc(cluster.region, placed.vpc_id))
            public = True if placed.public_subnets else None if placed.gap is not None else False
            self.clusters[vpc].append(Cluster(cluster, public))

    def _picture(self, vpc: Vpc) -> VpcPicture:
        subnets = sorted(self.subnets.get(vpc, ()))
        listed = vpc.region in self.listed
        paths = [self.resolver.get(SubnetPath, subnet) for subnet in subnets]
        ways: dict[tuple[str, str], Way] = {}
        for path in paths:
            if isinstance(path, SubnetPath) and not path.workload:
                continue
            way = _way(path)
            if way.why == NOT_PART:
                self.missing.add("Ways from subnets to DynamoDB", path, self.missing.region(vpc.region))
                continue
            held = ways.get((way.hop, way.why))
            if held is not None:
                through = tuple(sorted({*held.through, *way.through}))
                way = replace(way, subnets=(held.subnets or 0) + 1, through=through)
            ways[way.hop, way.why] = way
        if not subnets and not listed:
            # Nothing is known of its subnets: that it has no workloads does not follow.
            gap = self.resolver.get(Subnets, vpc.region)
            reason = why(gap) if isinstance(gap, Gap) else "its subnets are not known"
            if reason != NOT_PART:
                ways["unknown", reason] = Way("unknown", "unknown", None, (), reason)
        known = listed and not any(isinstance(path, Gap) for path in paths)
        return VpcPicture(
            vpc,
            vpc.region.account in self.audited,
            len(subnets) if listed else None,
            sum(_interfaces(path) for path in paths) if known else None,
            tuple(sorted(ways.values(), key=lambda way: (_ORDER.get(way.hop, 3), way.hop, way.why))),
            tuple(sorted(self.clusters.get(vpc, ()), key=lambda one: one.cluster)),
        )


def _interfaces(path: SubnetPath) -> int:
    found = path.evidence.get("workloadInterfaces")
    return found if isinstance(found, int) else 0


def _worst_first(one: VpcPicture) -> tuple[Any, ...]:
    worst = min((_ORDER.get(way.hop, 3) for way in one.ways), default=9)
    public = any(held.public for held in one.clusters)
    return worst, not public, not one.clusters, one.vpc.region.name, one.vpc.arn
