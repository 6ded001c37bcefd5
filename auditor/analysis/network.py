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
    RouteTable,
    RouteTables,
    SubnetInfo,
    SubnetPath,
    Subnets,
    VpcCoverage,
    VpcEndpoints,
    derive,
)
from auditor.resources import Region, Subnet, Vpc

#: From worst to best; the worst way of any address is the subnet's.
RANKING = ("igw", "other", "nat", "endpoint", "isolated")

#: ``InterfaceType`` of interfaces that workloads use (EC2 API Reference, NetworkInterface).
WORKLOAD_TYPES = ("interface", "efa", "efa-only", "trunk", "branch", "lambda")

#: Descriptions of interfaces that ECS and EKS make for tasks and pods, though these are requester-managed.
WORKLOAD_DESCRIPTIONS = ("arn:aws:ecs:", "arn:aws-cn:ecs:", "arn:aws-us-gov:ecs:", "aws-K8S-", "Amazon EKS")


def is_workload(interface: NetworkInterface) -> bool:
    """Tell whether an interface belongs to something that may call DynamoDB."""
    if interface.status != "in-use" or interface.type.lower() not in WORKLOAD_TYPES:
        return False
    if interface.type.lower() != "interface":
        return True
    return (
        interface.instance_id is not None
        or not interface.requester_managed
        or interface.description.startswith(WORKLOAD_DESCRIPTIONS)
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


def _workloads(region: Region, held: Mapping[Region, NetworkInterfaces | Gap]) -> list[NetworkInterface] | Gap:
    """Return the workload interfaces of a region, those in shared subnets as their users see them included."""
    found: list[NetworkInterface] = []
    for where, interfaces in held.items():
        if where.name == region.name:
            if isinstance(interfaces, Gap):
                return interfaces
            found += [one for one in interfaces.interfaces if is_workload(one)]
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
        if target == "local" or not target:
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
        """Return how Block Public Access treats a subnet: its own state wins over the region's."""
        if info is not None and info.block_public_access is not None:
            return info.block_public_access
        if info is None and isinstance(self.subnets, Gap):
            return self.subnets
        return self.blocking if isinstance(self.blocking, Gap) else self.blocking.mode

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
        place = None
        if not isinstance(self.subnets, Gap):
            place = next((one for one in self.subnets.subnets if one.subnet.name == gateway.subnet_id), None)
        mode = self._mode(place)
        if isinstance(mode, Gap):
            return mode
        if mode == "block-bidirectional":
            self.notes["InternetGatewayBlockMode"] = mode
            return "isolated"
        return "nat"

    def _appliance(self, target: str) -> str | Gap:
        if isinstance(self.all_interfaces, Gap):
            return self.all_interfaces
        forwarding = any(
            target in (one.id, one.instance_id) and not one.source_dest_check for one in self.all_interfaces.interfaces
        )
        return "nat" if forwarding else "other"


@derive
def subnet_path(
    subnet: Subnet,
    config: Config,
    interfaces: Mapping[Region, NetworkInterfaces | Gap],
    own_interfaces: NetworkInterfaces | Gap,
    subnets: Subnets | Gap,
    tables: RouteTables | Gap,
    endpoints: VpcEndpoints | Gap,
    gateways: NatGateways | Gap,
    lists: PrefixLists | Gap,
    blocking: BlockPublicAccess | Gap,
) -> SubnetPath | Gap:
    """Find the worst way by which workloads of a subnet reach DynamoDB."""
    workloads = _workloads(subnet.region, interfaces)
    if isinstance(workloads, Gap):
        return workloads
    here = [one for one in workloads if one.subnet.name == subnet.name]
    info = None
    if not isinstance(subnets, Gap):
        info = next((one for one in subnets.subnets if one.subnet == subnet), None)
        if info is None and any(one.subnet.name == subnet.name for one in subnets.subnets):
            return SubnetPath(workload=False)  # shared with this account: it is judged under its owner's ARN
    if not here:
        return SubnetPath(workload=False)
    if all(one.subnet != subnet for one in here) and isinstance(tables, Gap):
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
    worst = "isolated"
    decisive: list[dict[str, str]] = []
    gap: Gap | None = None
    for match in resolve(table, blocks, entries):
        path = around.hop(match.route.target) if match.route else "isolated"
        if isinstance(path, Gap):
            gap = gap or path
            continue
        if RANKING.index(path) < RANKING.index(worst):
            worst, decisive = path, []
        if path == worst and match.route:
            decisive.append(
                {"block": str(match.block), "destination": match.route.destination, "target": match.route.target}
            )
    interface = endpoints_in(around.endpoints, vpc_id, region, "interface")
    usable = [endpoint for endpoint in interface if endpoint.state == "available"]
    declared = vpc_id in around.config.clients_use_interface_endpoint
    cut_off = worst == "isolated" and gap is None
    if usable and (declared or cut_off or any(endpoint.private_dns for endpoint in usable)):
        worst, gap = "endpoint", None
    missing = unknown_lists(table, entries)
    if missing and worst != "igw":
        around.notes["unreadPrefixLists"] = [one for one in missing if one not in _lists_of_others(around, table)]
    if gap is not None and worst != "igw":
        return gap
    evidence: dict[str, object] = {
        "RouteTableId": table.id,
        "routes": decisive[:10],
        "workloadInterfaces": len(around.interfaces),
        **around.notes,
    }
    if interface:
        evidence["interfaceEndpoints"] = {endpoint.id: endpoint.state for endpoint in interface}
    if around.info is not None and around.info.ipv6:
        evidence["ipv6_path"] = _ipv6_path(table)
    return SubnetPath(workload=True, path=worst, paths=(worst,), vpc_id=vpc_id, evidence=evidence)


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
    targets = [route.target for route in table.routes if route.active and route.destination == "::/0"]
    return {"igw": "igw", "eigw": "egress-only internet gateway"}.get(
        targets[0].partition("-")[0] if targets else "", "none"
    )


@derive
def vpc_coverage(
    vpc: Vpc,
    interfaces: Mapping[Region, NetworkInterfaces | Gap],
    tables: RouteTables | Gap,
    endpoints: VpcEndpoints | Gap,
    paths: Mapping[Subnet, SubnetPath | Gap],
) -> VpcCoverage | Gap:
    """Compare the route tables of a VPC's workload subnets with those that its DynamoDB endpoints serve."""
    workloads = _workloads(vpc.region, interfaces)
    if isinstance(workloads, Gap):
        return workloads
    here = sorted({one.subnet.name for one in workloads if one.vpc_id == vpc.name})
    if not here:
        return VpcCoverage(())
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
    known = [path for subnet, path in paths.items() if subnet.name in here and subnet.region.name == vpc.region.name]
    judged = [path for path in known if isinstance(path, SubnetPath) and path.workload]
    gaps = [path for path in known if isinstance(path, Gap)]
    isolated = all(path.path == "isolated" for path in judged)
    return VpcCoverage(
        workload_subnets=tuple(here),
        isolated=gaps[0] if gaps and isolated else isolated and bool(judged),
        route_tables=tuple(sorted(used)),
        uncovered=tuple(sorted(uncovered)),
        gateway_endpoints=gateways,
        interface_endpoints=endpoints_in(endpoints, vpc.name, vpc.region.name, "interface"),
    )


def _serves(endpoints: Iterable[Endpoint], table: RouteTable) -> bool:
    return any(
        table.id in endpoint.route_table_ids
        or any(route.active and route.target == endpoint.id for route in table.routes)
        for endpoint in endpoints
    )
