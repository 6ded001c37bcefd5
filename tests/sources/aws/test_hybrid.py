"""VPN, transit gateways, Direct Connect, security groups and private zones: what is kept of AWS's answers."""

from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from auditor.facts import (
    CustomerGateways,
    DirectConnection,
    DirectConnections,
    Gap,
    GatewayAssociation,
    GatewayAssociations,
    Permission,
    PrivateZones,
    Reason,
    SecurityGroups,
    TransitAttachment,
    TransitAttachments,
    VirtualInterface,
    VirtualInterfaces,
    VpcEndpoints,
    VpnConnection,
    VpnConnections,
    VpnGateway,
    VpnGateways,
    VpnTunnel,
)
from auditor.inventory import dumps
from auditor.resources import Region
from auditor.sources.aws.session import Access
from tests.sources.aws.conftest import ACCOUNT, Gather, answer, create_table

HERE = Region(ACCOUNT, "eu-west-1")
SECRET = "hunter2-preshared-0123456789"


def options(address: str, **more: Any) -> dict[str, Any]:
    return {"OutsideIpAddress": address, "PreSharedKey": SECRET, **more}


def test_tunnels_keep_their_algorithms_and_never_a_key(access: Access, gather_facts: Gather) -> None:
    create_table("orders")
    strong = {
        "IkeVersions": [{"Value": "ikev2"}],
        "Phase1EncryptionAlgorithms": [{"Value": "AES256-GCM-16"}],
        "Phase1IntegrityAlgorithms": [{"Value": "SHA2-256"}],
        "Phase1DHGroupNumbers": [{"Value": 20}, {"Value": 19}],
        "LogOptions": {"CloudWatchLogOptions": {"LogEnabled": True}},
    }
    held = {
        "VpnConnectionId": "vpn-1",
        "State": "available",
        "TransitGatewayId": "tgw-1",
        "CustomerGatewayConfiguration": f"<pre_shared_key>{SECRET}</pre_shared_key>",
        "Options": {"TunnelOptions": [options("203.0.113.1", **strong), options("203.0.113.2")]},
        "VgwTelemetry": [
            {"OutsideIpAddress": "203.0.113.2", "Status": "DOWN"},
            {"OutsideIpAddress": "203.0.113.1", "Status": "UP"},
        ],
    }
    answer(
        access, "ec2:DescribeVpnConnections", {"VpnConnections": [held, {"VpnConnectionId": "old", "State": "deleted"}]}
    )
    inventory = gather_facts(Region, VpnConnections)
    assert inventory.facts[VpnConnections][HERE] == VpnConnections(
        (
            VpnConnection(
                "vpn-1",
                "available",
                transit_gateway="tgw-1",
                tunnels=(
                    VpnTunnel("203.0.113.1", "UP", True, ("ikev2",), ("AES256-GCM-16",), ("SHA2-256",), (19, 20), True),
                    VpnTunnel("203.0.113.2", "DOWN"),
                ),
            ),
        )
    )
    assert SECRET not in dumps(inventory, "1").decode()


def test_a_tunnel_without_options_or_without_telemetry_is_not_made_up(access: Access, gather_facts: Gather) -> None:
    create_table("orders")
    held = {
        "VpnConnectionId": "vpn-1",
        "State": "pending",
        "VpnGatewayId": "",
        "Options": {"TunnelOptions": [options("203.0.113.1")]},
        "VgwTelemetry": [{"OutsideIpAddress": "203.0.113.2", "Status": "UP"}],
    }
    answer(access, "ec2:DescribeVpnConnections", {"VpnConnections": [held]})
    (found,) = gather_facts(Region, VpnConnections).facts[VpnConnections][HERE].connections
    assert found.vpn_gateway is None
    assert [(one.address, one.status, one.described) for one in found.tunnels] == [
        ("203.0.113.1", "", True),
        ("203.0.113.2", "UP", False),
    ]


def test_gateways_lead_to_attached_vpcs_and_to_direct_connect(access: Access, gather_facts: Gather) -> None:
    create_table("orders")
    attachments = [{"VpcId": "vpc-1", "State": "attached"}, {"VpcId": "vpc-2", "State": "detached"}]
    gateways = [
        {"VpnGatewayId": "vgw-1", "State": "available", "VpcAttachments": attachments},
        {"VpnGatewayId": "vgw-2", "State": "available"},
        {"VpnGatewayId": "vgw-3", "State": "deleted", "VpcAttachments": attachments},
    ]
    answer(access, "ec2:DescribeVpnGateways", {"VpnGateways": gateways})
    pages = [
        {
            "directConnectGatewayAssociations": [
                {"directConnectGatewayId": "dxgw-1", "associationState": "associated"}
            ],
            "nextToken": "more",
        },
        {"directConnectGatewayAssociations": [{"directConnectGatewayId": "dxgw-2", "associationState": "updating"}]},
    ]
    asked = answer(access, "directconnect:DescribeDirectConnectGatewayAssociations", *pages)
    inventory = gather_facts(Region, VpnGateways, GatewayAssociations)
    assert inventory.facts[VpnGateways][HERE] == VpnGateways(
        (VpnGateway("vgw-1", "available", ("vpc-1",)), VpnGateway("vgw-2", "available"))
    )
    assert inventory.facts[GatewayAssociations][HERE] == GatewayAssociations(
        (GatewayAssociation("vgw-1", "dxgw-1", "associated"), GatewayAssociation("vgw-1", "dxgw-2", "updating"))
    )
    assert [(one["associatedGatewayId"], one.get("nextToken")) for one in asked] == [("vgw-1", None), ("vgw-1", "more")]


def test_a_denied_association_hides_no_gateway(access: Access, gather_facts: Gather) -> None:
    create_table("orders")
    held = {"VpnGatewayId": "vgw-1", "State": "available", "VpcAttachments": [{"VpcId": "vpc-1", "State": "attached"}]}
    answer(access, "ec2:DescribeVpnGateways", {"VpnGateways": [held]})
    answer(access, "directconnect:DescribeDirectConnectGatewayAssociations", "AccessDeniedException")
    inventory = gather_facts(Region, VpnGateways, GatewayAssociations)
    assert isinstance(inventory.facts[VpnGateways][HERE], VpnGateways)
    gap = inventory.facts[GatewayAssociations][HERE].unread["vgw-1"]
    assert (gap.reason, gap.action) == (
        Reason.ACCESS_DENIED,
        "directconnect:DescribeDirectConnectGatewayAssociations",
    )


def test_customer_gateways_and_transit_attachments(access: Access, gather_facts: Gather) -> None:
    create_table("orders")
    customers = [
        {"CustomerGatewayId": "cgw-1", "State": "available"},
        {"CustomerGatewayId": "cgw-2", "State": "deleted"},
    ]
    answer(access, "ec2:DescribeCustomerGateways", {"CustomerGateways": customers})
    attachment = {
        "TransitGatewayId": "tgw-1",
        "TransitGatewayOwnerId": "222233334444",
        "ResourceType": "vpc",
        "ResourceId": "vpc-1",
        "State": "available",
    }
    gone = attachment | {"State": "deleted", "ResourceId": "vpc-2"}
    answer(access, "ec2:DescribeTransitGatewayAttachments", {"TransitGatewayAttachments": [gone, attachment]})
    inventory = gather_facts(Region, CustomerGateways, TransitAttachments)
    assert inventory.facts[CustomerGateways][HERE] == CustomerGateways(("cgw-1",))
    assert inventory.facts[TransitAttachments][HERE] == TransitAttachments(
        (TransitAttachment("tgw-1", "vpc", "vpc-1", "available", "222233334444"),)
    )


def test_virtual_interfaces_keep_no_bgp_key(access: Access, gather_facts: Gather) -> None:
    held = {
        "virtualInterfaceId": "dxvif-1",
        "virtualInterfaceType": "private",
        "virtualInterfaceState": "available",
        "connectionId": "dxcon-1",
        "authKey": SECRET,
        "directConnectGatewayId": "dxgw-1",
        "virtualGatewayId": "",
        "customerRouterConfig": f"<auth>{SECRET}</auth>",
        "bgpPeers": [{"bgpStatus": "up", "authKey": SECRET}, {"bgpStatus": "down"}],
    }
    gone = {"virtualInterfaceId": "dxvif-2", "virtualInterfaceState": "deleted"}
    answer(access, "directconnect:DescribeVirtualInterfaces", {"virtualInterfaces": [gone, held]})
    inventory = gather_facts(Region, VirtualInterfaces)
    assert inventory.facts[VirtualInterfaces][HERE] == VirtualInterfaces(
        (VirtualInterface("dxvif-1", "private", "available", ("down", "up"), "dxcon-1", "dxgw-1", None),)
    )
    assert SECRET not in dumps(inventory, "1").decode()


def test_direct_connections(access: Access, gather_facts: Gather) -> None:
    held = {"connectionId": "dxcon-1", "connectionState": "available", "encryptionMode": "must_encrypt"}
    answer(access, "directconnect:DescribeConnections", {"connections": [held]})
    found = gather_facts(Region, DirectConnections).facts[DirectConnections][HERE]
    assert found == DirectConnections((DirectConnection("dxcon-1", "available", None, "must_encrypt"),))


@pytest.mark.parametrize(("offered", "gap"), [(["eu-west-1"], True), ([], False)])
def test_a_region_without_direct_connect_has_none_and_a_silent_one_is_not_taken_for_it(
    offered: list[str], gap: bool, access: Access, gather_facts: Gather, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://directconnect")

    access.client("directconnect", "eu-west-1").meta.events.register("before-call.direct-connect", silent)
    monkeypatch.setattr(access.session, "get_available_regions", lambda *_, **__: offered)
    found = gather_facts(Region, VirtualInterfaces).facts[VirtualInterfaces][HERE]
    assert isinstance(found, Gap) is gap


def test_security_groups_let_in_blocks_groups_and_lists(access: Access, gather_facts: Gather) -> None:
    create_table("orders")
    permissions = [
        {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-2", "UserId": ACCOUNT.id}]},
        {
            "IpProtocol": "tcp",
            "FromPort": 443,
            "ToPort": 443,
            "IpRanges": [{"CidrIp": "10.0.0.0/8"}],
            "Ipv6Ranges": [{"CidrIpv6": "::/0"}],
            "PrefixListIds": [{"PrefixListId": "pl-1"}],
            "UserIdGroupPairs": [{"GroupId": "sg-9", "UserId": "222233334444", "PeeringStatus": "active"}],
        },
    ]
    held = {"GroupId": "sg-1", "GroupName": "cache", "VpcId": "vpc-1", "IpPermissions": permissions}
    answer(access, "ec2:DescribeSecurityGroups", {"SecurityGroups": [held]})
    group = gather_facts(Region, SecurityGroups).facts[SecurityGroups][HERE].groups["sg-1"]
    assert (group.name, group.vpc_id) == ("cache", "vpc-1")
    assert group.ingress == (
        Permission("-1", groups=(("", "sg-2"),)),
        Permission("tcp", 443, 443, ("10.0.0.0/8", "::/0"), (("222233334444", "sg-9"),), ("pl-1",)),
    )


def endpoint(kind: str, vpc: str, service: str = "dynamodb") -> dict[str, Any]:
    return {
        "VpcEndpointId": f"vpce-{kind}-{vpc}-{service}",
        "VpcId": vpc,
        "VpcEndpointType": kind,
        "ServiceName": f"com.amazonaws.eu-west-1.{service}",
        "State": "available",
        "Groups": [{"GroupId": "sg-1"}],
        "DnsEntries": [{"DnsName": "vpce-1.dynamodb.eu-west-1.vpce.amazonaws.com"}],
    }


ENDPOINTS = [endpoint("Interface", "vpc-1"), endpoint("Gateway", "vpc-2"), endpoint("Interface", "vpc-3", "sqs")]


def zone(name: str, owner: dict[str, str]) -> dict[str, Any]:
    return {"HostedZoneId": f"Z{name[:3].upper()}", "Name": name, "Owner": owner}


def test_only_vpcs_with_an_interface_endpoint_of_dynamodb_are_asked_for_their_zones(
    access: Access, gather_facts: Gather
) -> None:
    create_table("orders")
    answer(access, "ec2:DescribeVpcEndpoints", {"VpcEndpoints": ENDPOINTS})
    pages = [
        {
            "HostedZoneSummaries": [zone("dynamodb.eu-west-1.amazonaws.com.", {"OwningAccount": ACCOUNT.id})],
            "MaxItems": "100",
            "NextToken": "more",
        },
        {
            "HostedZoneSummaries": [zone("Shop.internal.", {"OwningAccount": "222233334444"})],
            "MaxItems": "100",
        },
    ]
    asked = answer(access, "route53:ListHostedZonesByVPC", *pages)
    inventory = gather_facts(Region, VpcEndpoints, PrivateZones)
    assert inventory.facts[PrivateZones][HERE] == PrivateZones(
        {"vpc-1": (("dynamodb.eu-west-1.amazonaws.com", "ZDYN"), ("shop.internal", "ZSHO"))}
    )
    assert {one["vpcid"] for one in asked} == {"vpc-1"}
    (found,) = (one for one in inventory.facts[VpcEndpoints][HERE].endpoints if one.vpc_id == "vpc-1")
    assert found.security_groups == ("sg-1",)
    assert found.dns_name == "vpce-1.dynamodb.eu-west-1.vpce.amazonaws.com"


def test_zones_are_asked_for_only_where_somebody_wants_to_know(access: Access, gather_facts: Gather) -> None:
    create_table("orders")
    answer(access, "ec2:DescribeVpcEndpoints", {"VpcEndpoints": ENDPOINTS})
    asked = answer(access, "route53:ListHostedZonesByVPC", "AccessDenied")
    inventory = gather_facts(Region, VpcEndpoints)
    assert (asked, inventory.errors) == ([], [])


def test_a_shared_vpc_that_route_53_refuses_is_a_gap_of_its_own(access: Access, gather_facts: Gather) -> None:
    create_table("orders")
    answer(access, "ec2:DescribeVpcEndpoints", {"VpcEndpoints": ENDPOINTS})
    answer(access, "route53:ListHostedZonesByVPC", "AccessDenied")
    found = gather_facts(Region, VpcEndpoints, PrivateZones).facts[PrivateZones][HERE]
    assert found.zones == {}
    assert found.unread["vpc-1"].action == "route53:ListHostedZonesByVPC"


@pytest.mark.parametrize(
    ("operation", "fact"),
    [
        ("ec2:DescribeVpnConnections", VpnConnections),
        ("ec2:DescribeCustomerGateways", CustomerGateways),
        ("ec2:DescribeTransitGatewayAttachments", TransitAttachments),
        ("ec2:DescribeSecurityGroups", SecurityGroups),
        ("directconnect:DescribeVirtualInterfaces", VirtualInterfaces),
        ("directconnect:DescribeConnections", DirectConnections),
    ],
)
def test_what_is_denied_names_its_permission(operation: str, fact: type, access: Access, gather_facts: Gather) -> None:
    create_table("orders")
    answer(access, operation, "AccessDeniedException")
    found = gather_facts(Region, fact).facts[fact][HERE]
    assert isinstance(found, Gap)
    assert (found.reason, found.action) == (Reason.ACCESS_DENIED, operation)
