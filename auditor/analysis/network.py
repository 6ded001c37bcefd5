"""Which way workloads reach DynamoDB: per subnet, and per VPC.

The path follows from routing: DynamoDB's addresses in the region (AWS's managed prefix list) are looked up in
the subnet's effective route table, block by block, and the worst way that any of them takes is the subnet's.
Security groups and network ACLs can only close a way, never open one, so they are not needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from auditor.analysis.routes import networks, resolve, unknown_lists
from auditor.config import Config
from auditor.facts import (
    BlockPublicAccess,
    Endpoint,
    Gap,
    NatGateways,
    NetworkInterface,
    NetworkInterfaces,
    PrefixLists,
    Reason,
    Route,
    RouteTable,
    RouteTables,
    SubnetInfo,
    SubnetPath,
    Subnets,
    VpcCoverage,
    VpcEndpoints,
    Vpcs,
    derive,
)
from auditor.facts.base import once
from auditor.resources import Region, Subnet, Vpc

#: From worst to best; the worst way of any address is the subnet's.
RANKING = ("igw", "other", "nat", "endpoint", "isolated")

#: ``InterfaceType`` of interfaces that workloads use (EC2 API Reference, NetworkInterface).
WORKLOAD_TYPES = ("interface", "efa", "efa-only", "trunk", "branch", "lambda")

#: Descriptions of interfaces that ECS and EKS make for tasks and pods, though these are requester-managed.
WORKLOAD_DESCRIPTION = re.compile(r"arn:aws[a-z-]*:ecs:|aws-K8S-|Amazon EKS")


def is_workload(interface: NetworkInterface) -> bool:
    """Tell whether an interface belongs to something that may call DynamoDB."""
    if interface.status != "in-use" or interface.type.lower() not in WORKLOAD_TYPES:
        return False
    if interface.type.lower() != "interface":
        return True
    return (
        interface.instance_id is not None
        or not interface.requester_managed
        or WORKLOAD_DESCRIPTION.match(interface.description) is not None
    )


def is_dynamodb_service(service: str, region: str) -> bool:
    """Tell whether an endpoint service is DynamoDB's in a region, in any partition."""
    return re.fullmatch(rf"([a-z]+\.)+{re.escape(region)}\.dynamodb(-fips)?", service) is not None


def effective_table(tables: RouteTables, vpc_id: str, subnet_id: str) -> RouteTable | None:
    """Return a subnet's route table: the one associated with it, otherwise its VPC's main one."""
    explicit = next((table for table in tables.tables if subnet_id in table.subnet_ids), None)
    return explicit or next((table for table in tables.tables if table.vpc_id == vpc_id and table.main), None)


def endpoints_in(endpoints: VpcEndpoints, vpc_id: str, region: str, kind: str) -> tuple[Endpoint, ...]:
    """Return a VPC's DynamoDB endpoints of a type, whatever their state."""
    return tuple(
        endpoint
        for endpoint in endpoints.endpoints
        if endpoint.vpc_id == vpc_id
        and endpoint.type.lower() == kind
        and is_dynamodb_service(endpoint.service, region)
        and endpoint.service_region in (None, region)
    )


@dataclass
class _Seen:
    """The workload interfaces of one region as the accounts see them: who sees which, by subnet and by VPC."""

    gap: Gap | None = None
    by_subnet: dict[str, list[tuple[Region, NetworkInterface]]] = field(default_factory=dict)
    by_vpc: dict[str, list[tuple[Region, NetworkInterface]]] = field(default_factory=dict)


def _seen(held: Mapping[Region, NetworkInterfaces | Gap]) -> dict[str, _Seen]:
    """Return them by the region's name."""
    found: dict[str, _Seen] = {}
    for where in sorted(held):
        answer, seen = held[where], found.setdefault(where.name, _Seen())
        if isinstance(answer, Gap):
            seen.gap = seen.gap or answer
        elif isinstance(answer, NetworkInterfaces):
            for one in answer.interfaces:
                if is_workload(one):
                    seen.by_subnet.setdefault(one.subnet.name, []).append((where, one))
                    seen.by_vpc.setdefault(one.vpc_id, []).append((where, one))
    return found


def _workloads(place: Subnet | Vpc, held: Mapping[Region, NetworkInterfaces | Gap]) -> list[NetworkInterface] | Gap:
    """Return the workload interfaces in a subnet or VPC, those in shared subnets as their users see them included.

    An owner sees all interfaces in its subnets: what another account's answer lacks matters only without its own.
    """
    own, seen = held.get(place.region), once(held, _seen).get(place.region.name, _Seen())
    if isinstance(own, Gap):
        return own
    if seen.gap is not None and own is None:
        return seen.gap
    here = (seen.by_subnet if isinstance(place, Subnet) else seen.by_vpc).get(place.name, [])
    found: dict[str, NetworkInterface] = {}
    for _, one in sorted(here, key=lambda pair: pair[0] != place.region):  # the owner's word first
        found.setdefault(one.id, one)
    return list(found.values())


def _paths(held: Mapping[Subnet, SubnetPath | Gap]) -> dict[tuple[str, str], list[SubnetPath | Gap]]:
    """Return the subnets' paths by region's and subnet's name: one subnet may have several owners to look at."""
    found: dict[tuple[str, str], list[SubnetPath | Gap]] = {}
    for subnet, path in held.items():
        found.setdefault((subnet.region.name, subnet.name), []).append(path)
    return found


@dataclass
class _Surroundings:
    """What a hop's meaning may depend on."""

    subnet: Subnet
    info: SubnetInfo | None
    interfaces: list[NetworkInterface]
    subnets: Subnets | Gap
    endpoints: VpcEndpoints
    gateways: NatGateways | Gap
    blocking: BlockPublicAccess | Gap
    all_interfaces: NetworkInterfaces | Gap
    config: Config
    notes: dict[str, Any] = field(default_factory=dict)

    def hop(self, target: str) -> str | Gap:
        """Return the path that a next hop means."""
        if target in self.config.trusted_egress:
            self.notes["trusted_egress"] = target
            return self.config.trusted_egress[target]
        kind = target.partition("-")[0]
        if target == "local":
            return "isolated"
        if kind == "vpce":
            return self._endpoint(target)
        if kind == "igw":
            return self._internet_gateway()
        if kind == "nat":
            return self._nat_gateway(target)
        if kind in ("eni", "i"):
            return self._appliance(target)
        return "other"

    def _endpoint(self, target: str) -> str:
        endpoint = next((one for one in self.endpoints.endpoints if one.id == target), None)
        if endpoint is None or endpoint.type.lower() != "gateway":
            return "other"  # a firewall's or another account's endpoint: what is behind it, routing does not show
        if not is_dynamodb_service(endpoint.service, self.subnet.region.name) or endpoint.state != "available":
            self.notes["State"] = {endpoint.id: endpoint.state}
            return "isolated"
        return "endpoint"

    def _mode(self, info: SubnetInfo | None) -> str | Gap:
        """Return how Block Public Access treats a subnet: its own state, which knows of exclusions, or the region's."""
        if info is None:
            missing = Gap(Reason.PARTIAL_DATA, "A subnet on the way was not returned.", "ec2:DescribeSubnets")
            return self.subnets if isinstance(self.subnets, Gap) else missing
        if info.block_public_access is not None:
            return info.block_public_access
        if isinstance(self.blocking, Gap) or self.blocking.mode == "off":
            return self.blocking if isinstance(self.blocking, Gap) else "off"
        text = f"Whether the region's Block Public Access excludes subnet {info.subnet.name} was not returned."
        return Gap(Reason.PARTIAL_DATA, text, "ec2:DescribeSubnets")

    def _place(self, subnet_id: str | None) -> SubnetInfo | None:
        held = () if isinstance(self.subnets, Gap) else self.subnets.subnets
        return next((one for one in held if one.subnet.name == subnet_id), None)

    def _internet_gateway(self) -> str | Gap:
        public = sum(1 for one in self.interfaces if one.public_ip)
        self.notes["publicInterfaces"] = public
        if not public:
            return "isolated"
        mode = self._mode(self.info)
        if isinstance(mode, Gap):
            return mode
        if mode != "off":
            self.notes["InternetGatewayBlockMode"] = mode
            return "isolated"
        return "igw"

    def _nat_gateway(self, target: str) -> str | Gap:
        if isinstance(self.gateways, Gap):
            return self.gateways
        gateway = next((one for one in self.gateways.gateways if one.id == target), None)
        if gateway is None or gateway.connectivity != "public":
            return "other"
        # A regional NAT gateway is in no subnet: the workload's own stands for the VPC.
        mode = self._mode(self._place(gateway.subnet_id) if gateway.subnet_id else self.info)
        if isinstance(mode, Gap):
            return mode
        if mode == "block-bidirectional":
            self.notes["InternetGatewayBlockMode"] = mode
            return "isolated"
        return "nat"

    def _appliance(self, target: str) -> str | Gap:
        if isinstance(self.all_interfaces, Gap):
            return self.all_interfaces
        forwarding = next(
            (
                one
                for one in self.all_interfaces.interfaces
                if target in (one.id, one.instance_id) and not one.source_dest_check
            ),
            None,
        )
        if forwarding is None:
            return "other"
        mode = self._mode(self._place(forwarding.subnet.name))
        if isinstance(mode, Gap):
            return mode
        if mode != "off":
            self.notes["InternetGatewayBlockMode"] = mode
            return "isolated"
        return "nat"

    def choice(self, routes: Iterable[Route]) -> str | Gap:
        """Return the path that equally good routes mean; where they differ, AWS's choice among them is not shown."""
        paths = [self.hop(route.target) for route in routes]
        gap = next((one for one in paths if isinstance(one, Gap)), None)
        if gap is not None:
            return gap
        return paths[0] if len(set(paths)) == 1 else "other"


@derive
def subnet_path(
    subnet: Subnet,
    config: Config,
    interfaces: Mapping[Region, NetworkInterfaces | Gap],
    own_interfaces: NetworkInterfaces | Gap,
    subnets: Subnets | Gap,
    vpcs: Vpcs | Gap,
    tables: RouteTables | Gap,
    endpoints: VpcEndpoints | Gap,
    gateways: NatGateways | Gap,
    lists: PrefixLists | Gap,
    blocking: BlockPublicAccess | Gap,
) -> SubnetPath | Gap:
    """Find the worst way by which workloads of a subnet reach DynamoDB."""
    here = _workloads(subnet, interfaces)
    if isinstance(here, Gap):
        return here
    info = None
    if not isinstance(subnets, Gap):
        info = next((one for one in subnets.subnets if one.subnet == subnet), None)
        if info is None and any(one.subnet.name == subnet.name for one in subnets.subnets):
            return SubnetPath(workload=False)  # shared with this account: it is judged under its owner's ARN
    if not here:
        return SubnetPath(workload=False)
    if isinstance(subnets, Gap) and subnets.action and subnet.region not in _owners(here[0].vpc_id, vpcs, subnets):
        return subnets  # it may be shared, and then another account's routes decide
    if all(one.subnet != subnet for one in here) and isinstance(tables, Gap) and tables.action is None:
        text = f"The subnet is shared by account {subnet.account.id}, whose route tables are not part of this audit."
        return Gap(Reason.PARTIAL_DATA, text)
    for needed in (tables, endpoints, lists):
        if isinstance(needed, Gap):
            return needed
    assert isinstance(tables, RouteTables)
    assert isinstance(endpoints, VpcEndpoints)
    assert isinstance(lists, PrefixLists)
    vpc_id = info.vpc_id if info else here[0].vpc_id
    table = effective_table(tables, vpc_id, subnet.name)
    if table is None:
        return Gap(Reason.PARTIAL_DATA, f"No route table of VPC {vpc_id} was returned.", "ec2:DescribeRouteTables")
    surroundings = _Surroundings(
        subnet, info, here, subnets, endpoints, gateways, blocking, own_interfaces, config
    )  # fmt: skip
    return _judge_routes(surroundings, table, lists, vpc_id)


def _judge_routes(around: _Surroundings, table: RouteTable, lists: PrefixLists, vpc_id: str) -> SubnetPath | Gap:
    region = around.subnet.region.name
    name = re.compile(rf"([a-z]+\.)+{re.escape(region)}\.dynamodb")
    addresses = [block for one in lists.lists if one.owner == "AWS" and name.fullmatch(one.name) for block in one.cidrs]
    blocks = list(networks(addresses))
    if not blocks:
        text = f"The addresses of DynamoDB in {region} are not known: its prefix list was not returned."
        return Gap(Reason.PARTIAL_DATA, text, "ec2:GetManagedPrefixListEntries")
    entries = {one.id: one.cidrs for one in lists.lists}
    ways: dict[str, list[dict[str, str]]] = {}
    gap: Gap | None = None
    for match in resolve(table, blocks, entries):
        if match.route is None:
            ways.setdefault("isolated", [])
            continue
        path = around.choice((match.route, *match.rivals))
        if isinstance(path, Gap):
            gap = gap or path
            continue
        ways.setdefault(path, []).extend(
            {"block": str(match.block), "destination": route.destination, "target": route.target}
            for route in (match.route, *match.rivals)
        )
    paths = tuple(path for path in RANKING if path in ways)
    unread = _unread(around, table, entries, paths)
    if unread:
        text = f"The blocks of {', '.join(unread)}, to which the route table has routes, are not known."
        gap = gap or Gap(Reason.PARTIAL_DATA, text, "ec2:GetManagedPrefixListEntries")
    interface = endpoints_in(around.endpoints, vpc_id, region, "interface")
    usable = [endpoint for endpoint in interface if endpoint.state == "available"]
    declared = vpc_id in around.config.clients_use_interface_endpoint
    if usable and (
        declared or any(endpoint.private_dns for endpoint in usable) or (gap is None and paths == ("isolated",))
    ):
        paths, gap, unread = ("endpoint",), None, []
        if declared:
            around.notes["attested"] = vpc_id
    elif usable:
        around.notes["note"] = "An interface endpoint exists; clients use it only when they set endpoint_url."
    if gap is not None and (unread or not {"igw", "nat"}.intersection(paths)):
        return gap
    evidence: dict[str, object] = {
        "RouteTableId": table.id,
        "routes": [route for path in RANKING for route in ways.get(path, [])][:10],
        "workloadInterfaces": len(around.interfaces),
        **around.notes,
    }
    if interface:
        evidence["interfaceEndpoints"] = {endpoint.id: endpoint.state for endpoint in interface}
    if around.info is not None and around.info.ipv6:
        evidence["ipv6_path"] = _ipv6_path(table)
    return SubnetPath(workload=True, path=paths[0], paths=paths, vpc_id=vpc_id, gap=gap, evidence=evidence)


def _unread(
    around: _Surroundings, table: RouteTable, entries: Mapping[str, tuple[str, ...]], paths: tuple[str, ...]
) -> list[str]:
    """Return the prefix lists of unknown blocks that could change the paths: their routes lead another way."""
    missing = set(unknown_lists(table, entries)) - _lists_of_others(around, table)
    return sorted(
        route.destination
        for route in table.routes
        if route.active and route.destination in missing and paths != (around.hop(route.target),)
    )


def _lists_of_others(around: _Surroundings, table: RouteTable) -> set[str]:
    """Return the prefix lists that lead to gateway endpoints of other services: their addresses are not DynamoDB's."""
    others = {
        one.id
        for one in around.endpoints.endpoints
        if one.type.lower() == "gateway" and not is_dynamodb_service(one.service, around.subnet.region.name)
    }
    return {route.destination for route in table.routes if route.target in others}


def _ipv6_path(table: RouteTable) -> str:
    """Return where IPv6 goes, which gateway endpoints never carry; it matters to dual-stack clients only."""
    target = next((route.target for route in table.routes if route.active and route.destination == "::/0"), None)
    if target is None:
        return "none"
    return {"igw": "igw", "eigw": "egress-only internet gateway"}.get(target.partition("-")[0], "other")


def _owners(vpc_id: str, vpcs: Vpcs | Gap, subnets: Subnets | Gap) -> set[Region]:
    """Return the region of the account that owns a VPC, as its own entry or those of its subnets say."""
    found: set[Region] = set()
    if isinstance(vpcs, Vpcs):
        found |= {info.vpc.region for info in vpcs.vpcs if info.vpc.name == vpc_id}
    if isinstance(subnets, Subnets):
        found |= {info.subnet.region for info in subnets.subnets if info.vpc_id == vpc_id}
    return found


@derive
def vpc_coverage(
    vpc: Vpc,
    interfaces: Mapping[Region, NetworkInterfaces | Gap],
    vpcs: Vpcs | Gap,
    subnets: Subnets | Gap,
    tables: RouteTables | Gap,
    endpoints: VpcEndpoints | Gap,
    paths: Mapping[Subnet, SubnetPath | Gap],
) -> VpcCoverage | Gap:
    """Compare the route tables of a VPC's workload subnets with those that its DynamoDB endpoints serve."""
    owners = _owners(vpc.name, vpcs, subnets)
    if owners and vpc.region not in owners:
        return VpcCoverage(())  # shared with this account: it is judged under its owner's ARN
    workloads = _workloads(vpc, interfaces)
    if isinstance(workloads, Gap):
        return workloads
    here = sorted({one.subnet.name for one in workloads})
    if not here:
        return VpcCoverage(())
    if not owners and isinstance(vpcs, Gap) and vpcs.action:
        return vpcs  # it may be shared, and then another account's route tables decide
    if isinstance(tables, Gap):
        return tables
    if isinstance(endpoints, Gap):
        return endpoints
    effective = {subnet_id: effective_table(tables, vpc.name, subnet_id) for subnet_id in here}
    if any(table is None for table in effective.values()):
        return Gap(Reason.PARTIAL_DATA, f"No route table of VPC {vpc.name} was returned.", "ec2:DescribeRouteTables")
    used = {table.id: table for table in effective.values() if table is not None}
    gateways = endpoints_in(endpoints, vpc.name, vpc.region.name, "gateway")
    serving = [endpoint for endpoint in gateways if endpoint.state == "available"]
    uncovered = [table_id for table_id, table in used.items() if not _serves(serving, table)]
    by_name = once(paths, _paths)
    known = [path for subnet_id in here for path in by_name.get((vpc.region.name, subnet_id), [])]
    judged = [path for path in known if isinstance(path, SubnetPath) and path.workload]
    gaps = [path for path in known if isinstance(path, Gap)]
    broken = not serving and any(endpoint.state not in ("deleting", "deleted") for endpoint in gateways)
    isolated = not broken and all(path.path == "isolated" for path in judged)
    return VpcCoverage(
        workload_subnets=tuple(here),
        isolated=gaps[0] if gaps and isolated else isolated and bool(judged),
        route_tables=tuple(sorted(used)),
        uncovered=tuple(sorted(uncovered)),
        gateway_endpoints=gateways,
        interface_endpoints=endpoints_in(endpoints, vpc.name, vpc.region.name, "interface"),
    )


def _serves(endpoints: Iterable[Endpoint], table: RouteTable) -> bool:
    """Tell whether one of some endpoints serves a table: its routes say so, or else the endpoint does."""
    for endpoint in endpoints:
        routes = [route.active for route in table.routes if route.target == endpoint.id]
        if any(routes) or (not routes and table.id in endpoint.route_table_ids):
            return True
    return False
