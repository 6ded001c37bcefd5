"""The ways in from the company's own network, and the security groups in front of endpoints and caches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import boto3

from auditor.sources.demo import people
from auditor.sources.demo.supplement import Answer, Supplement

IRELAND, FRANKFURT, VIRGINIA = "eu-west-1", "eu-central-1", "us-east-1"

#: Networks on premises, as ddbaudit.yaml declares them.
OFFICE, WAREHOUSE = "172.16.0.0/20", "172.16.32.0/20"

#: Tunnel options of a connection as it should be, and of one that nobody has touched for years.
STRONG = {
    "IkeVersions": [{"Value": "ikev2"}],
    "Phase1EncryptionAlgorithms": [{"Value": "AES256-GCM-16"}],
    "Phase1IntegrityAlgorithms": [{"Value": "SHA2-384"}],
    "Phase1DHGroupNumbers": [{"Value": 20}],
    "LogOptions": {"CloudWatchLogOptions": {"LogEnabled": True}},
}
OLD = {
    "IkeVersions": [{"Value": "ikev1"}],
    "Phase1EncryptionAlgorithms": [{"Value": "AES128"}],
    "Phase1IntegrityAlgorithms": [{"Value": "SHA1"}],
    "Phase1DHGroupNumbers": [{"Value": 2}],
}


def plant(account: str, session: boto3.Session, supplement: Supplement) -> None:
    """Plant what an account of the example organisation has of this."""
    from auditor.sources.demo.company import MANAGEMENT, PRODUCTION, SANDBOX

    if account == MANAGEMENT:
        _answers(supplement)
    elif account == PRODUCTION:
        _production(account, session, supplement)
    elif account == SANDBOX:
        _nodes(supplement, account, "try-dax", zones="a", groups=_default_group(session, "10.90.0.0/16"))


def _answers(supplement: Supplement) -> None:
    """Answer for all accounts what moto has not: the company has no Direct Connect."""
    supplement.answers["DescribeVirtualInterfaces"] = lambda _account, _region, _request: {"virtualInterfaces": []}
    supplement.answers["DescribeDirectConnectGatewayAssociations"] = lambda _account, _region, _request: {
        "directConnectGatewayAssociations": []
    }
    supplement.amends["DescribeVpcEndpoints"] = _names


def _names(_account: str, _request: Answer, parsed: Answer) -> None:
    """Give interface endpoints the names that AWS gives them; moto's are others."""
    for entry in parsed["VpcEndpoints"]:
        if entry["VpcEndpointType"] == "Interface":
            service, region = entry["ServiceName"].split(".")[:1:-1]
            name = f"{entry['VpcEndpointId']}-0a1b2c3d.{service}.{region}.vpce.amazonaws.com"
            entry["DnsEntries"] = [{"DnsName": name, "HostedZoneId": "Z02223751LTB5EXAMPLE"}]


def _production(account: str, session: boto3.Session, supplement: Supplement) -> None:
    tunnels: dict[str, Answer] = {}

    def describe(_account: str, _request: Answer, parsed: Answer) -> None:
        for entry in parsed["VpnConnections"]:
            entry.update(tunnels.get(entry["VpnConnectionId"], {}))

    supplement.amends["DescribeVpnConnections"] = describe
    _office(account, session, tunnels)
    _forgotten(session, tunnels)
    _caches(account, session, supplement)


def _office(account: str, session: boto3.Session, tunnels: dict[str, Answer]) -> None:
    """The way of the office to Ireland, as it should be: a VPN to the VPC with an interface endpoint in three zones."""
    ec2 = session.client("ec2", region_name=IRELAND)
    shop = _vpc(ec2, "10.10.0.0/16")
    subnets = [
        ec2.create_subnet(VpcId=shop, CidrBlock=f"10.10.{20 + number}.0/24", AvailabilityZone=f"{IRELAND}{zone}")
        for number, zone in enumerate("abc")
    ]
    clients = [{"CidrIp": "10.10.0.0/16"}, {"CidrIp": OFFICE}, {"CidrIp": WAREHOUSE}]
    group = _group(ec2, shop, "dynamodb-endpoint", {**_port(443), "IpRanges": clients})
    ec2.create_vpc_endpoint(
        VpcId=shop,
        VpcEndpointType="Interface",
        ServiceName=f"com.amazonaws.{IRELAND}.dynamodb",
        SubnetIds=[one["Subnet"]["SubnetId"] for one in subnets],
        SecurityGroupIds=[group],
        PrivateDnsEnabled=False,
        PolicyDocument=people.endpoint_policy(account),
    )
    gateway = ec2.create_vpn_gateway(Type="ipsec.1")["VpnGateway"]["VpnGatewayId"]
    ec2.attach_vpn_gateway(VpcId=shop, VpnGatewayId=gateway)
    tunnels[_vpn(ec2, "203.0.113.10", VpnGatewayId=gateway)] = _described("203.0.113.20", STRONG, "UP", "UP")


def _forgotten(session: boto3.Session, tunnels: dict[str, Answer]) -> None:
    """In Frankfurt the VPN ends beside the endpoint's VPC, in Virginia an old one stayed."""
    ec2 = session.client("ec2", region_name=FRANKFURT)
    transit = ec2.describe_transit_gateways()["TransitGateways"][0]["TransitGatewayId"]
    tunnels[_vpn(ec2, "203.0.113.11", TransitGatewayId=transit)] = _described("203.0.113.40", STRONG, "UP", "UP")

    # Somebody wanted clients to find the endpoint by DynamoDB's own name.
    analytics = _vpc(ec2, "10.50.0.0/16")
    zone = {"VPCRegion": FRANKFURT, "VPCId": analytics}
    session.client("route53", region_name=FRANKFURT).create_hosted_zone(
        Name=f"dynamodb.{FRANKFURT}.amazonaws.com",
        CallerReference="analytics",
        VPC=zone,
        HostedZoneConfig={"PrivateZone": True, "Comment": "DynamoDB through the interface endpoint"},
    )
    endpoints = ec2.describe_vpc_endpoints(Filters=[{"Name": "vpc-id", "Values": [analytics]}])["VpcEndpoints"]
    group = _group(ec2, analytics, "everything", {**_port(443), "IpRanges": [{"CidrIp": "0.0.0.0/0"}]})
    ec2.modify_vpc_endpoint(VpcEndpointId=endpoints[0]["VpcEndpointId"], AddSecurityGroupIds=[group])

    ec2 = session.client("ec2", region_name=VIRGINIA)
    gateway = ec2.create_vpn_gateway(Type="ipsec.1")["VpnGateway"]["VpnGatewayId"]
    tunnels[_vpn(ec2, "203.0.113.12", VpnGatewayId=gateway)] = _described("203.0.113.60", OLD, "UP", "DOWN")


def _vpc(ec2: Any, block: str) -> str:
    found: str = ec2.describe_vpcs(Filters=[{"Name": "cidr", "Values": [block]}])["Vpcs"][0]["VpcId"]
    return found


def _vpn(ec2: Any, address: str, **hub: str) -> str:
    """Make a VPN connection to a device at an address and return its id."""
    customer = ec2.create_customer_gateway(BgpAsn=65010, PublicIp=address, Type="ipsec.1")["CustomerGateway"]
    made = ec2.create_vpn_connection(CustomerGatewayId=customer["CustomerGatewayId"], Type="ipsec.1", **hub)
    connection: str = made["VpnConnection"]["VpnConnectionId"]
    return connection


def _described(first: str, options: Mapping[str, Any], *statuses: str) -> Answer:
    """Return what moto leaves out of a VPN connection: two tunnels at addresses from ``first`` on."""
    prefix, _, last = first.rpartition(".")
    addresses = [f"{prefix}.{int(last) + number}" for number in range(len(statuses))]
    return {
        "VgwTelemetry": [
            {"OutsideIpAddress": address, "Status": status, "AcceptedRouteCount": 2 if status == "UP" else 0}
            for address, status in zip(addresses, statuses, strict=True)
        ],
        "Options": {"TunnelOptions": [{"OutsideIpAddress": address, **options} for address in addresses]},
    }


def _port(port: int) -> dict[str, Any]:
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port}


def _group(ec2: Any, vpc: str, name: str, *permissions: Mapping[str, Any]) -> str:
    """Make a security group that lets something in, and return its id."""
    group: str = ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]
    if permissions:
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=list(permissions))
    return group


def _default_group(session: boto3.Session, block: str) -> str:
    """Return the id of the default security group of a VPC in Ireland."""
    ec2 = session.client("ec2", region_name=IRELAND)
    filters = [{"Name": "vpc-id", "Values": [_vpc(ec2, block)]}, {"Name": "group-name", "Values": ["default"]}]
    group: str = ec2.describe_security_groups(Filters=filters)["SecurityGroups"][0]["GroupId"]
    return group


def _caches(account: str, session: boto3.Session, supplement: Supplement) -> None:
    ec2 = session.client("ec2", region_name=IRELAND)
    shop, warehouse = _vpc(ec2, "10.10.0.0/16"), _vpc(ec2, "10.20.0.0/16")
    storefront = _group(ec2, shop, "storefront")
    catalog = _group(ec2, shop, "catalog-cache", {**_port(9111), "UserIdGroupPairs": [{"GroupId": storefront}]})
    # Opened to all private networks there may ever be.
    session_cache = _group(ec2, shop, "session-cache", {**_port(8111), "IpRanges": [{"CidrIp": "10.0.0.0/8"}]})
    stock = _group(ec2, warehouse, "stock-cache", {**_port(9111), "IpRanges": [{"CidrIp": "0.0.0.0/0"}]})
    _nodes(supplement, account, "catalog-cache", zones="abc", groups=catalog)
    # Two nodes, and both go with the one zone.
    _nodes(supplement, account, "session-cache", zones="aa", groups=session_cache)
    _nodes(supplement, account, "stock-cache", zones="ab", groups=stock)


def _nodes(supplement: Supplement, account: str, name: str, *, zones: str, groups: str) -> None:
    """Give a cluster in Ireland a node in each of some zones, and a security group."""
    supplement.clusters[f"arn:aws:dax:{IRELAND}:{account}:cache/{name}"] |= {
        "TotalNodes": len(zones),
        "ActiveNodes": len(zones),
        "Nodes": [
            {"NodeId": f"{name}-{letter}", "NodeStatus": "available", "AvailabilityZone": f"{IRELAND}{zone}"}
            for letter, zone in zip("abc", zones, strict=False)
        ],
        "SecurityGroups": [{"SecurityGroupIdentifier": groups, "Status": "active"}],
    }
