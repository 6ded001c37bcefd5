"""Facts about a region's network: subnets, routes, endpoints, and the path to DynamoDB."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from auditor.facts.base import Gap, fact
from auditor.resources import Region, Resource, Subnet, Vpc, VpcEndpoint


@dataclass(frozen=True, slots=True)
class VpcInfo:
    """One VPC: whether it is the default one, which account owns it, and its blocks.

    Attributes:
        cidrs: The associated IPv4 and IPv6 blocks (``CidrBlockAssociationSet``, ``Ipv6CidrBlockAssociationSet``).
    """

    vpc: Vpc
    default: bool
    cidrs: tuple[str, ...] = ()


@fact(Region, "ec2:DescribeVpcs", lists=Vpc, in_use_only=True)
@dataclass(frozen=True, slots=True)
class Vpcs:
    """The VPCs of a region, shared ones included: their ARN names the owner (ec2:DescribeVpcs)."""

    vpcs: tuple[VpcInfo, ...]

    def names(self) -> Iterator[Resource]:
        """Yield the VPCs."""
        for info in self.vpcs:
            yield info.vpc


@fact(Region, "ec2:DescribeAvailabilityZones", in_use_only=True)
@dataclass(frozen=True, slots=True)
class AvailabilityZones:
    """Names of the Availability Zones that the account has in a region; Local and Wavelength Zones are left out."""

    zones: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SubnetInfo:
    """One subnet.

    Attributes:
        subnet: The subnet; its ARN names the owner, another account when it is shared with this one.
        vpc_id: ``VpcId``.
        cidr: ``CidrBlock``; an empty text for an IPv6-only subnet.
        ipv6: It has an IPv6 block.
        zone: ``AvailabilityZone``.
        block_public_access: ``BlockPublicAccessStates.InternetGatewayBlockMode``, lower case: off,
            block-bidirectional or block-ingress; None when absent.
    """

    subnet: Subnet
    vpc_id: str
    cidr: str = ""
    ipv6: bool = False
    zone: str = ""
    block_public_access: str | None = None


@fact(Region, "ec2:DescribeSubnets", lists=Subnet, in_use_only=True)
@dataclass(frozen=True, slots=True)
class Subnets:
    """The subnets of a region (ec2:DescribeSubnets)."""

    subnets: tuple[SubnetInfo, ...]

    def names(self) -> Iterator[Resource]:
        """Yield the subnets and the VPCs that they name."""
        for info in self.subnets:
            yield info.subnet
            if info.vpc_id:
                yield Vpc(info.subnet.region, info.vpc_id)


@fact(Region, "ec2:DescribeVpcBlockPublicAccessOptions", in_use_only=True)
@dataclass(frozen=True, slots=True)
class BlockPublicAccess:
    """VPC Block Public Access of the region (``InternetGatewayBlockMode``, lower case).

    ``off`` without a call when every subnet states its own mode, which wins.
    """

    mode: str


@dataclass(frozen=True, slots=True)
class Route:
    """One route.

    Attributes:
        destination: A CIDR block (IPv4 or IPv6) or a prefix list id.
        target: The next hop's id: ``GatewayId``, ``NatGatewayId``, ``TransitGatewayId`` and so on.
        active: ``State`` is active (not blackhole).
        propagated: ``Origin`` is EnableVgwRoutePropagation or Advertisement: no static route.
    """

    destination: str
    target: str
    active: bool = True
    propagated: bool = False


@dataclass(frozen=True, slots=True)
class RouteTable:
    """One route table: its VPC, whether it is the main one, its subnets, its routes."""

    id: str
    vpc_id: str
    main: bool
    subnet_ids: tuple[str, ...]
    routes: tuple[Route, ...]


@fact(Region, "ec2:DescribeRouteTables", in_use_only=True)
@dataclass(frozen=True, slots=True)
class RouteTables:
    """The route tables of a region (ec2:DescribeRouteTables); edge associations are left out."""

    tables: tuple[RouteTable, ...]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One VPC endpoint.

    Attributes:
        type: ``VpcEndpointType``: Gateway, Interface, GatewayLoadBalancer, …
        service: ``ServiceName``.
        state: ``State``, lower case.
        route_table_ids: ``RouteTableIds`` (gateway endpoints).
        subnet_ids: ``SubnetIds`` (interface endpoints).
        private_dns: ``PrivateDnsEnabled`` and not only for inbound Resolver endpoints.
        service_region: ``ServiceRegion``, None for the endpoint's own region.
        policy: ``PolicyDocument`` as text.
        resource: The endpoint as a resource, for those of DynamoDB and DAX; None for other services' endpoints.
        security_groups: ``Groups[].GroupId`` (interface endpoints).
        dns_name: ``DnsEntries[0].DnsName``: what clients set as their endpoint_url.
    """

    id: str
    vpc_id: str
    type: str
    service: str
    state: str
    route_table_ids: tuple[str, ...] = ()
    subnet_ids: tuple[str, ...] = ()
    private_dns: bool = False
    service_region: str | None = None
    policy: str | None = None
    resource: VpcEndpoint | None = None
    security_groups: tuple[str, ...] = ()
    dns_name: str | None = None

    @property
    def for_dax(self) -> bool:
        """It is for DAX's management API, not for DynamoDB."""
        return self.service.endswith(".dax")

    @property
    def overridable(self) -> bool:
        """It is an interface endpoint of DynamoDB, whose names a private hosted zone might be made to lead to it."""
        return self.resource is not None and self.type.lower() == "interface" and not self.for_dax


@fact(Region, "ec2:DescribeVpcEndpoints", lists=VpcEndpoint, in_use_only=True)
@dataclass(frozen=True, slots=True)
class VpcEndpoints:
    """The VPC endpoints of a region (ec2:DescribeVpcEndpoints)."""

    endpoints: tuple[Endpoint, ...]

    def names(self) -> Iterator[Resource]:
        """Yield the endpoints of DynamoDB and DAX."""
        for endpoint in self.endpoints:
            if endpoint.resource is not None:
                yield endpoint.resource


@dataclass(frozen=True, slots=True)
class NatGateway:
    """One NAT gateway: ``ConnectivityType`` (public, private) and ``State``, lower case.

    ``subnet_id`` is ``SubnetId``, None for a regional NAT gateway, which is in no subnet.
    """

    id: str
    vpc_id: str
    connectivity: str
    state: str
    subnet_id: str | None = None


@fact(Region, "ec2:DescribeNatGateways", in_use_only=True)
@dataclass(frozen=True, slots=True)
class NatGateways:
    """The NAT gateways of a region (ec2:DescribeNatGateways)."""

    gateways: tuple[NatGateway, ...]


@dataclass(frozen=True, slots=True)
class NetworkInterface:
    """One elastic network interface.

    Attributes:
        type: ``InterfaceType`` as on the wire, such as interface, lambda, natGateway, nat_gateway.
        status: ``Status``, lower case: in-use, available, …
        requester_managed: ``RequesterManaged``.
        instance_id: ``Attachment.InstanceId``.
        public_ip: ``Association.PublicIp``, else that of one of ``PrivateIpAddresses``.
        source_dest_check: ``SourceDestCheck``; absent means on.
        description: ``Description``.
    """

    id: str
    subnet: Subnet
    vpc_id: str
    type: str
    status: str
    requester_managed: bool = False
    instance_id: str | None = None
    public_ip: str | None = None
    source_dest_check: bool = True
    description: str = ""


@fact(Region, "ec2:DescribeNetworkInterfaces", in_use_only=True)
@dataclass(frozen=True, slots=True)
class NetworkInterfaces:
    """The network interfaces of a region (ec2:DescribeNetworkInterfaces)."""

    interfaces: tuple[NetworkInterface, ...]

    def names(self) -> Iterator[Resource]:
        """Yield the subnets and VPCs that the interfaces are in."""
        for interface in self.interfaces:
            yield interface.subnet
            if interface.vpc_id:
                yield Vpc(interface.subnet.region, interface.vpc_id)


@dataclass(frozen=True, slots=True)
class PrefixList:
    """One managed prefix list: its name, owner (``AWS`` or an account) and CIDR blocks."""

    id: str
    name: str
    owner: str
    cidrs: tuple[str, ...]


@fact(
    Region,
    "ec2:DescribeManagedPrefixLists",
    "ec2:GetManagedPrefixListEntries",
    "ec2:DescribePrefixLists",
    in_use_only=True,
)
@dataclass(frozen=True, slots=True)
class PrefixLists:
    """The prefix lists that routes may name, with their entries; AWS's other lists than DynamoDB's without.

    ``DescribePrefixLists`` (names and blocks of AWS's lists) serves where the managed-list calls are denied;
    a list whose entries are unknown is absent.
    """

    lists: tuple[PrefixList, ...]


@fact(Region, "route53:ListHostedZonesByVPC", in_use_only=True)
@dataclass(frozen=True, slots=True)
class PrivateZones:
    """The private hosted zones of VPCs that have an interface endpoint of DynamoDB (route53:ListHostedZonesByVPC).

    Attributes:
        zones: VPC id -> (name without the last dot, lower case; hosted zone id) of each zone, sorted. Zones that a
            service of AWS owns, such as that of an endpoint with private DNS, are left out.
        unread: VPC id -> why its zones could not be read.
    """

    zones: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    unread: Mapping[str, Gap] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Permission:
    """One entry of a security group's ``IpPermissions``.

    Attributes:
        protocol: ``IpProtocol``, lower case; ``-1`` is all protocols, and then there are no ports.
        from_port: ``FromPort``, or None.
        to_port: ``ToPort``, or None.
        cidrs: ``IpRanges`` and ``Ipv6Ranges``.
        groups: ``UserIdGroupPairs`` as (account, an empty text for the own one; group id).
        prefix_lists: ``PrefixListIds``.
    """

    protocol: str
    from_port: int | None = None
    to_port: int | None = None
    cidrs: tuple[str, ...] = ()
    groups: tuple[tuple[str, str], ...] = ()
    prefix_lists: tuple[str, ...] = ()

    def admits(self, port: int) -> bool:
        """Tell whether it lets TCP through to a port."""
        if self.protocol == "-1":
            return True
        if self.protocol not in ("tcp", "6"):
            return False
        if self.from_port is None or self.to_port is None or (self.from_port, self.to_port) == (-1, -1):
            return True
        return self.from_port <= port <= self.to_port


@dataclass(frozen=True, slots=True)
class SecurityGroup:
    """One security group: ``GroupId``, ``GroupName``, ``VpcId``, what it lets in."""

    id: str
    name: str
    vpc_id: str
    ingress: tuple[Permission, ...] = ()


@fact(Region, "ec2:DescribeSecurityGroups", in_use_only=True)
@dataclass(frozen=True, slots=True)
class SecurityGroups:
    """The security groups of a region by id (ec2:DescribeSecurityGroups)."""

    groups: Mapping[str, SecurityGroup]


@fact(Vpc, "ec2:DescribeVpcAttribute")
@dataclass(frozen=True, slots=True)
class VpcDns:
    """A VPC's DNS attributes: ``EnableDnsSupport`` and ``EnableDnsHostnames``."""

    support: bool
    hostnames: bool


@dataclass(frozen=True, slots=True)
class SubnetPath:
    """Which way a workload in a subnet reaches DynamoDB in its region (derived).

    Attributes:
        workload: The subnet holds network interfaces of workloads. Without, the rest means nothing.
        path: The worst of ``paths``.
        paths: The ways that parts of DynamoDB's address ranges take, worst first: ``igw``, ``other``, ``nat``,
            ``endpoint``, ``isolated``; those that the configuration's declarations replace are left out.
        vpc_id: Its VPC.
        gap: What could not be found out about some next hop, where ``paths`` holds a bad one all the same.
        evidence: What was found: route table, matched routes, next hops, public interfaces and so on.
    """

    workload: bool
    path: str = ""
    paths: tuple[str, ...] = ()
    vpc_id: str = ""
    gap: Gap | None = None
    evidence: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VpcCoverage:
    """How a VPC's workload subnets are served by its DynamoDB endpoints (derived).

    Attributes:
        workload_subnets: Ids of the subnets with workloads, sorted; empty: the VPC has none.
        isolated: Every one of them has no way to DynamoDB at all, and not because an endpoint is broken.
        route_tables: Ids of the effective route tables of the workload subnets, sorted.
        gateway_endpoints: DynamoDB gateway endpoints of this region in the VPC, whatever their state.
        interface_endpoints: DynamoDB interface endpoints in the VPC, whatever their state.
        uncovered: Those of ``route_tables`` without a working route to an available gateway endpoint.
    """

    workload_subnets: tuple[str, ...]
    isolated: bool | Gap = False
    route_tables: tuple[str, ...] = ()
    gateway_endpoints: tuple[Endpoint, ...] = ()
    interface_endpoints: tuple[Endpoint, ...] = ()
    uncovered: tuple[str, ...] = ()
