"""The network of a region: VPCs, subnets, routes, endpoints, interfaces, prefix lists."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from auditor.facts import (
    AvailabilityZones,
    BlockPublicAccess,
    Endpoint,
    Gap,
    NatGateway,
    NatGateways,
    NetworkInterface,
    NetworkInterfaces,
    Permission,
    PrefixList,
    PrefixLists,
    PrivateZones,
    Route,
    RouteTable,
    RouteTables,
    SecurityGroup,
    SecurityGroups,
    SubnetInfo,
    Subnets,
    VpcDns,
    VpcEndpoints,
    VpcInfo,
    Vpcs,
)
from auditor.resources import Account, Region, Subnet, Vpc, VpcEndpoint
from auditor.sources.aws.collector import Yield, collects
from auditor.sources.aws.session import Aws, Missing

#: Members of a route that name its next hop, the more specific ones first (EC2 API Reference, Route).
_HOPS = (
    "GatewayId",
    "NatGatewayId",
    "TransitGatewayId",
    "VpcPeeringConnectionId",
    "EgressOnlyInternetGatewayId",
    "LocalGatewayId",
    "CarrierGatewayId",
    "CoreNetworkArn",
    "OdbNetworkArn",
    "NetworkInterfaceId",
    "InstanceId",
)


def _owned(region: Region, owner: str | None) -> Region:
    """Return the region of the owning account: what is shared with this account has another owner's ARN."""
    if not owner or owner == region.account.id:
        return region
    return Region(Account(owner, region.account.partition), region.name)


@collects(Vpcs, about=Region)
def vpcs(aws: Aws, region: Region) -> Yield:
    """Yield the region's VPCs."""
    found = [
        VpcInfo(
            Vpc(_owned(region, entry.get("OwnerId")), entry["VpcId"]),
            entry.get("IsDefault", False),
            tuple(sorted(set(_blocks(entry)))),
        )
        for page in aws.pages("ec2:DescribeVpcs")
        for entry in page.get("Vpcs", [])
    ]
    yield region, Vpcs(tuple(sorted(found, key=lambda info: info.vpc.arn)))


def _blocks(entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield a VPC's blocks; those that are being taken away route nothing any more."""
    if entry.get("CidrBlock"):
        yield entry["CidrBlock"]
    for member, block, state in (
        ("CidrBlockAssociationSet", "CidrBlock", "CidrBlockState"),
        ("Ipv6CidrBlockAssociationSet", "Ipv6CidrBlock", "Ipv6CidrBlockState"),
    ):
        for one in entry.get(member) or []:
            if one.get(block) and (one.get(state) or {}).get("State", "associated").lower() == "associated":
                yield one[block]


@collects(Subnets, BlockPublicAccess, about=Region)
def subnets(aws: Aws, region: Region) -> Yield:
    """Yield the subnets; and the region's Block Public Access, asked only where a subnet does not state its own."""
    found = [
        SubnetInfo(
            subnet=Subnet(_owned(region, entry.get("OwnerId")), entry["SubnetId"]),
            vpc_id=entry["VpcId"],
            cidr=entry.get("CidrBlock") or "",
            ipv6=bool(entry.get("Ipv6CidrBlockAssociationSet")),
            zone=entry.get("AvailabilityZone", ""),
            block_public_access=_lower((entry.get("BlockPublicAccessStates") or {}).get("InternetGatewayBlockMode")),
        )
        for page in aws.pages("ec2:DescribeSubnets")
        for entry in page.get("Subnets", [])
    ]
    yield region, Subnets(tuple(sorted(found, key=lambda info: info.subnet.arn)))
    if all(info.block_public_access is not None for info in found):
        yield region, BlockPublicAccess("off")
        return
    answer = aws.call("ec2:DescribeVpcBlockPublicAccessOptions")
    options = answer.get("VpcBlockPublicAccessOptions") or {}
    yield region, BlockPublicAccess(_lower(options.get("InternetGatewayBlockMode")) or "off")


def _lower(value: str | None) -> str | None:
    return value.lower() if value else None


@collects(RouteTables, about=Region)
def route_tables(aws: Aws, region: Region) -> Yield:
    """Yield the route tables."""
    found = [
        _route_table(entry) for page in aws.pages("ec2:DescribeRouteTables") for entry in page.get("RouteTables", [])
    ]
    yield region, RouteTables(tuple(sorted(found, key=lambda table: table.id)))


def _route_table(entry: Mapping[str, Any]) -> RouteTable:
    # An association with a gateway (an edge association) routes what comes in, not what goes out.
    associations = [
        one
        for one in entry.get("Associations", [])
        if not one.get("GatewayId")
        and (one.get("AssociationState") or {}).get("State", "associated").lower() == "associated"
    ]
    return RouteTable(
        id=entry["RouteTableId"],
        vpc_id=entry["VpcId"],
        main=any(one.get("Main") for one in associations),
        subnet_ids=tuple(sorted(one["SubnetId"] for one in associations if one.get("SubnetId"))),
        routes=tuple(_route(route) for route in entry.get("Routes", [])),
    )


def _route(route: Mapping[str, Any]) -> Route:
    destination = (
        route.get("DestinationCidrBlock")
        or route.get("DestinationIpv6CidrBlock")
        or route.get("DestinationPrefixListId")
        or ""
    )
    return Route(
        destination=destination,
        target=next((route[hop] for hop in _HOPS if route.get(hop)), ""),
        active=route.get("State", "active").lower() == "active",
        propagated=route.get("Origin") in ("EnableVgwRoutePropagation", "Advertisement"),
    )


#: Names of the endpoint services of DynamoDB and DAX, whatever the partition's prefix (Amazon VPC User Guide, AWS
#: PrivateLink).
DYNAMODB = re.compile(r"\.(dynamodb(-fips|-streams)?|dax)\Z")


@collects(VpcEndpoints, PrivateZones, about=Region)
def vpc_endpoints(aws: Aws, region: Region) -> Yield:
    """Yield the VPC endpoints; those of DynamoDB and DAX are resources of their own.

    The private hosted zones are those of VPCs with an interface endpoint of DynamoDB, whose names a zone can override.
    """
    found = []
    for page in aws.pages("ec2:DescribeVpcEndpoints"):
        for entry in page.get("VpcEndpoints", []):
            found.append(_endpoint(region, entry))
            resource = found[-1].resource
            if resource is not None:
                yield resource, None  # stays known should a later page fail
    yield region, VpcEndpoints(tuple(sorted(found, key=lambda endpoint: endpoint.id)))
    if not aws.wants(PrivateZones):
        return
    zones: dict[str, tuple[tuple[str, str], ...]] = {}
    unread: dict[str, Gap] = {}
    first: Missing | None = None
    for vpc in sorted({one.vpc_id for one in found if one.overridable and one.vpc_id}):
        try:
            zones[vpc] = tuple(sorted(_zones(aws, region, vpc)))
        except Missing as missing:  # a VPC that another account shares with this one answers its owner only
            first = first or missing
            unread[vpc] = missing.gap
    yield region, PrivateZones(zones, unread)
    if first is not None:
        raise first


def _zones(aws: Aws, region: Region, vpc: str) -> Iterator[tuple[str, str]]:
    """Yield name and id of a VPC's private hosted zones, those of other accounts included; boto3 has no paginator."""
    token: dict[str, Any] = {}
    while True:
        answer = aws.call("route53:ListHostedZonesByVPC", VPCId=vpc, VPCRegion=region.name, **token)
        for entry in answer.get("HostedZoneSummaries") or []:
            if not (entry.get("Owner") or {}).get("OwningService"):
                yield entry["Name"].rstrip(".").lower(), entry["HostedZoneId"]
        if not answer.get("NextToken"):
            return
        token = {"NextToken": answer["NextToken"]}


def _endpoint(region: Region, entry: Mapping[str, Any]) -> Endpoint:
    inbound_only = (entry.get("DnsOptions") or {}).get("PrivateDnsOnlyForInboundResolverEndpoint", False)
    return Endpoint(
        id=entry["VpcEndpointId"],
        vpc_id=entry.get("VpcId", ""),
        type=entry.get("VpcEndpointType", "Gateway"),
        service=entry.get("ServiceName", ""),
        state=entry.get("State", "").lower(),
        route_table_ids=tuple(sorted(entry.get("RouteTableIds", []))),
        subnet_ids=tuple(sorted(entry.get("SubnetIds", []))),
        private_dns=bool(entry.get("PrivateDnsEnabled")) and not inbound_only,
        service_region=entry.get("ServiceRegion"),
        policy=entry.get("PolicyDocument"),
        resource=VpcEndpoint(region, entry["VpcEndpointId"]) if DYNAMODB.search(entry.get("ServiceName", "")) else None,
        security_groups=tuple(sorted(one["GroupId"] for one in entry.get("Groups") or [])),
        dns_name=next((one.get("DnsName") for one in entry.get("DnsEntries") or []), None),
    )


@collects(SecurityGroups, about=Region)
def security_groups(aws: Aws, region: Region) -> Yield:
    """Yield the security groups with what they let in."""
    found = [
        SecurityGroup(
            id=entry["GroupId"],
            name=entry.get("GroupName") or "",
            vpc_id=entry.get("VpcId") or "",
            ingress=tuple(_permission(region, one) for one in entry.get("IpPermissions") or []),
        )
        for page in aws.pages("ec2:DescribeSecurityGroups")
        for entry in page.get("SecurityGroups") or []
    ]
    yield region, SecurityGroups({group.id: group for group in sorted(found, key=lambda one: one.id)})


def _permission(region: Region, entry: Mapping[str, Any]) -> Permission:
    blocks = (
        *(one.get("CidrIp") for one in entry.get("IpRanges") or []),
        *(one.get("CidrIpv6") for one in entry.get("Ipv6Ranges") or []),
    )
    return Permission(
        protocol=str(entry.get("IpProtocol", "-1")).lower(),
        from_port=entry.get("FromPort"),
        to_port=entry.get("ToPort"),
        cidrs=tuple(block for block in blocks if block),
        # AWS names the account of the account's own groups too.
        groups=tuple(
            ("" if one.get("UserId") == region.account.id else one.get("UserId") or "", one["GroupId"])
            for one in entry.get("UserIdGroupPairs") or []
            if one.get("GroupId")
        ),
        prefix_lists=tuple(one["PrefixListId"] for one in entry.get("PrefixListIds") or [] if one.get("PrefixListId")),
    )


@collects(AvailabilityZones, about=Region)
def availability_zones(aws: Aws, region: Region) -> Yield:
    """Yield the Availability Zones of the region that the account may use."""
    answer = aws.call("ec2:DescribeAvailabilityZones")
    found = {
        entry["ZoneName"]
        for entry in answer.get("AvailabilityZones") or []
        if entry.get("ZoneName") and entry.get("ZoneType", "availability-zone") == "availability-zone"
    }
    yield region, AvailabilityZones(tuple(sorted(found)))


@collects(NatGateways, about=Region)
def nat_gateways(aws: Aws, region: Region) -> Yield:
    """Yield the NAT gateways."""
    found = [
        NatGateway(
            id=entry["NatGatewayId"],
            vpc_id=entry.get("VpcId", ""),
            connectivity=entry.get("ConnectivityType", "public").lower(),
            state=entry.get("State", "").lower(),
            subnet_id=entry.get("SubnetId"),
        )
        for page in aws.pages("ec2:DescribeNatGateways")
        for entry in page.get("NatGateways", [])
    ]
    yield region, NatGateways(tuple(sorted(found, key=lambda gateway: gateway.id)))


@collects(NetworkInterfaces, about=Region)
def network_interfaces(aws: Aws, region: Region) -> Yield:
    """Yield the network interfaces, those of AWS-managed resources too where the account may hide them."""
    try:
        found = _interfaces(aws, region, IncludeManagedResources=True)
    except Missing as missing:
        if missing.code not in ("InvalidParameter", "UnknownParameter", "ParamValidationError"):
            raise
        found = _interfaces(aws, region)
    yield region, NetworkInterfaces(tuple(sorted(found, key=lambda interface: interface.id)))


def _interfaces(aws: Aws, region: Region, **params: Any) -> list[NetworkInterface]:
    return [
        NetworkInterface(
            id=entry["NetworkInterfaceId"],
            subnet=Subnet(region, entry["SubnetId"]),
            vpc_id=entry.get("VpcId", ""),
            type=entry.get("InterfaceType", "interface"),
            status=entry.get("Status", "").lower(),
            requester_managed=entry.get("RequesterManaged", False),
            instance_id=(entry.get("Attachment") or {}).get("InstanceId"),
            public_ip=next(_public_ips(entry), None),
            source_dest_check=entry.get("SourceDestCheck", True),
            description=entry.get("Description", ""),
        )
        for page in aws.pages("ec2:DescribeNetworkInterfaces", **params)
        for entry in page.get("NetworkInterfaces", [])
        if entry.get("SubnetId")
    ]


def _public_ips(entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield the public IPv4 addresses of an interface; those of secondary private addresses stand only there."""
    for one in (entry, *entry.get("PrivateIpAddresses", [])):
        address = (one.get("Association") or {}).get("PublicIp")
        if address:
            yield address


@collects(PrefixLists, about=Region)
def prefix_lists(aws: Aws, region: Region) -> Yield:
    """Yield DynamoDB's prefix list and the customer's with their entries, AWS's others by name."""
    try:
        found = list(_managed_lists(aws, region))
    except Missing as first:
        try:
            found = [
                PrefixList(entry["PrefixListId"], entry["PrefixListName"], "AWS", tuple(entry.get("Cidrs", [])))
                for page in aws.pages("ec2:DescribePrefixLists")
                for entry in page.get("PrefixLists", [])
            ]
        except Missing:
            raise first from None
    yield region, PrefixLists(tuple(sorted(found, key=lambda one: one.id)))


def _managed_lists(aws: Aws, region: Region) -> list[PrefixList]:
    found = []
    for page in aws.pages("ec2:DescribeManagedPrefixLists"):
        for entry in page.get("PrefixLists", []):
            name, owner = entry.get("PrefixListName", ""), entry.get("OwnerId", "")
            cidrs: list[str] = []
            # Of AWS's own lists only DynamoDB's is of interest: their blocks are disjoint.
            if owner != "AWS" or name.endswith(f".{region.name}.dynamodb"):
                for answer in aws.pages("ec2:GetManagedPrefixListEntries", PrefixListId=entry["PrefixListId"]):
                    cidrs += [one["Cidr"] for one in answer.get("Entries", [])]
            found.append(PrefixList(entry["PrefixListId"], name, owner, tuple(sorted(cidrs))))
    return found


@collects(VpcDns, about=Vpc)
def vpc_dns(aws: Aws, vpc: Vpc) -> Yield:
    """Yield a VPC's DNS attributes; AWS answers one attribute a call."""
    gone = ("InvalidVpcID.NotFound",)
    support = aws.call("ec2:DescribeVpcAttribute", gone=gone, VpcId=vpc.name, Attribute="enableDnsSupport")
    hostnames = aws.call("ec2:DescribeVpcAttribute", gone=gone, VpcId=vpc.name, Attribute="enableDnsHostnames")
    yield vpc, VpcDns(support["EnableDnsSupport"]["Value"], hostnames["EnableDnsHostnames"]["Value"])
