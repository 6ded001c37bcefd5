"""Ways from premises to interface endpoints: gateways, transit gateways, Direct Connect, and what is not seen."""

from dataclasses import replace
from typing import Any

import pytest

from auditor.analysis.hybrid import hybrid_path, is_unclear, is_up
from auditor.config import Config, OnPremAccess
from auditor.facts import (
    Endpoint,
    Gap,
    GatewayAssociation,
    GatewayAssociations,
    HybridPath,
    Permission,
    PrefixLists,
    Reason,
    SecurityGroup,
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
from auditor.resources import Account, Region
from tests.rules import ACCOUNT, REGION

NETWORK = Account("222233334444")
HUB = Region(NETWORK, "eu-west-1")
FRANKFURT = Region(ACCOUNT, "eu-central-1")
DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "ec2:DescribeVpnConnections")
ENDPOINT = Endpoint(
    "vpce-1", "vpc-1", "Interface", "com.amazonaws.eu-west-1.dynamodb", "available", security_groups=("sg-1",)
)
UP = (VpnTunnel("203.0.113.1", "UP"), VpnTunnel("203.0.113.2", "DOWN"))
OFFICE = VpnConnection("vpn-1", "available", vpn_gateway="vgw-1", tunnels=UP)
SPOKE = TransitAttachment("tgw-1", "vpc", "vpc-1", "available", ACCOUNT.id)
PRIVATE = VirtualInterface("dxvif-1", "private", "available", ("up",), "dxcon-1", "dxgw-1")


def path(**given: Any) -> HybridPath:
    """Follow the ways; what is not given is an empty answer."""
    cidrs = given.pop("cidrs", ())
    ingress = given.pop("ingress", ("10.0.0.0/8",))
    group = SecurityGroup("sg-1", "endpoint", "vpc-1", (Permission("tcp", 443, 443, ingress),))
    facts: dict[str, Any] = {
        "endpoints": VpcEndpoints((ENDPOINT,)),
        "gateways": VpnGateways(()),
        "associations": GatewayAssociations(()),
        "attachments": {REGION: TransitAttachments(())},
        "vpns": {REGION: VpnConnections(())},
        "interfaces": {REGION: VirtualInterfaces(())},
        "groups": SecurityGroups({"sg-1": group}),
        "lists": PrefixLists(()),
    }
    config = Config(on_prem_access=OnPremAccess(declared=True, cidrs=cidrs))
    made: HybridPath = hybrid_path(REGION, config, **{**facts, **given})
    return made


def vpns(*connections: VpnConnection) -> dict[Region, VpnConnections | Gap]:
    return {REGION: VpnConnections(connections)}


def attached(*attachments: TransitAttachment) -> dict[Region, TransitAttachments | Gap]:
    return {REGION: TransitAttachments(attachments)}


def lines(*interfaces: VirtualInterface) -> dict[Region, VirtualInterfaces | Gap]:
    return {REGION: VirtualInterfaces(interfaces)}


GATEWAY = VpnGateways((VpnGateway("vgw-1", "available", ("vpc-1",)),))
SERVED = GatewayAssociations((GatewayAssociation("vgw-1", "dxgw-1", "associated"),))


def test_a_vpn_leads_through_the_gateway_of_the_endpoints_vpc() -> None:
    found = path(vpns=vpns(OFFICE), gateways=GATEWAY)
    assert (found.endpoints, found.reached) == (("vpce-1",), {"vpce-1": ("vpn-1",)})
    assert (found.undecided, found.gaps) == ((), ())


@pytest.mark.parametrize(
    ("connection", "gateway"),
    [
        (OFFICE, VpnGateway("vgw-1", "available", ("vpc-2",))),
        (OFFICE, VpnGateway("vgw-1", "available", ())),
        (OFFICE, VpnGateway("vgw-2", "available", ("vpc-1",))),
        (replace(OFFICE, state="pending"), GATEWAY.gateways[0]),
        (replace(OFFICE, tunnels=(UP[1], UP[1])), GATEWAY.gateways[0]),
    ],
)
def test_a_vpn_that_is_down_or_ends_elsewhere_does_not(connection: VpnConnection, gateway: VpnGateway) -> None:
    found = path(vpns=vpns(connection), gateways=VpnGateways((gateway,)))
    assert (found.reached, found.undecided, found.gaps) == ({}, (), ())


def test_a_vpn_leads_through_a_transit_gateway_that_the_vpc_is_attached_to() -> None:
    connection = replace(OFFICE, vpn_gateway=None, transit_gateway="tgw-1")
    uplink = TransitAttachment("tgw-1", "vpn", "vpn-1", "available", ACCOUNT.id)
    assert path(vpns=vpns(connection), attachments=attached(SPOKE, uplink)).reached == {"vpce-1": ("vpn-1",)}
    for broken in (
        replace(SPOKE, state="pendingacceptance"),
        replace(SPOKE, resource_id="vpc-2"),
        replace(SPOKE, transit_gateway="tgw-2"),
    ):
        found = path(vpns=vpns(connection), attachments=attached(broken, uplink))
        assert (found.reached, found.undecided) == ({}, ())


def test_the_transit_gateway_of_a_network_account_is_looked_up_there() -> None:
    shared = replace(SPOKE, owner=NETWORK.id)
    unseen = path(attachments=attached(shared))
    assert unseen.reached == {}
    assert NETWORK.id in unseen.undecided[0]
    uplink = TransitAttachment("tgw-1", "vpn", "vpn-9", "available", NETWORK.id)
    connection = VpnConnection("vpn-9", "available", transit_gateway="tgw-1", tunnels=UP)
    held = {REGION: VpnConnections(()), HUB: VpnConnections((connection,))}
    seen = path(attachments={**attached(shared), HUB: TransitAttachments((uplink,))}, vpns=held)
    assert (seen.reached, seen.undecided) == ({"vpce-1": ("vpn-9",)}, ())
    # Its owner answers and has no way in: then there is none.
    none = path(attachments={**attached(shared), HUB: TransitAttachments(())})
    assert (none.reached, none.undecided, none.gaps) == ({}, (), ())
    gap = path(attachments={**attached(shared), HUB: DENIED})
    assert (gap.reached, gap.gaps) == ({}, (DENIED,))


@pytest.mark.parametrize("kind", ["peering", "connect", "vpn-concentrator", "client-vpn", "vpn"])
def test_what_is_behind_other_attachments_is_not_followed(kind: str) -> None:
    found = path(attachments=attached(SPOKE, TransitAttachment("tgw-1", kind, "x-1", "available", ACCOUNT.id)))
    assert (found.reached, len(found.undecided)) == ({}, 1)
    gone = path(attachments=attached(SPOKE, TransitAttachment("tgw-1", kind, "x-1", "deleting", ACCOUNT.id)))
    assert gone.undecided == ()


def test_a_virtual_interface_leads_to_its_own_gateway() -> None:
    direct = replace(PRIVATE, gateway=None, vpn_gateway="vgw-1")
    found = path(interfaces=lines(direct), gateways=GATEWAY)
    assert (found.reached, found.connections) == ({"vpce-1": ("dxvif-1",)}, ("dxcon-1",))
    for broken in (replace(direct, state="down"), replace(direct, bgp=("down",)), replace(direct, type="public")):
        assert path(interfaces=lines(broken), gateways=GATEWAY).reached == {}


def test_a_direct_connect_gateway_leads_from_any_region_to_a_virtual_private_gateway() -> None:
    elsewhere = {REGION: VirtualInterfaces(()), FRANKFURT: VirtualInterfaces((PRIVATE,))}
    found = path(interfaces=elsewhere, gateways=GATEWAY, associations=SERVED)
    assert found.reached == {"vpce-1": ("dxvif-1",)}
    leaving = GatewayAssociations((GatewayAssociation("vgw-1", "dxgw-1", "disassociating"),))
    assert path(interfaces=elsewhere, gateways=GATEWAY, associations=leaving).reached == {}


def test_a_transit_interface_leads_through_a_transit_gateway() -> None:
    transit = replace(PRIVATE, type="transit")
    uplink = TransitAttachment("tgw-1", "direct-connect-gateway", "dxgw-1", "available", ACCOUNT.id)
    assert path(interfaces=lines(transit), attachments=attached(SPOKE, uplink)).reached == {"vpce-1": ("dxvif-1",)}
    other = path(interfaces=lines(replace(transit, gateway="dxgw-2")), attachments=attached(SPOKE, uplink))
    assert other.reached == {}
    assert any("dxgw-1" in one for one in other.undecided)


@pytest.mark.parametrize(
    "given",
    [
        {
            "vpns": vpns(replace(OFFICE, transit_gateway="tgw-1")),
            "attachments": attached(replace(SPOKE, state="modifying")),
        },
        {
            "interfaces": lines(replace(PRIVATE, type="transit")),
            "attachments": attached(
                SPOKE, TransitAttachment("tgw-1", "direct-connect-gateway", "dxgw-1", "rollingback", ACCOUNT.id)
            ),
        },
        {
            "interfaces": lines(PRIVATE),
            "gateways": GATEWAY,
            "associations": GatewayAssociations((GatewayAssociation("vgw-1", "dxgw-1", "updating"),)),
        },
    ],
)
def test_what_is_being_changed_may_lead_on_meanwhile(given: dict[str, Any]) -> None:
    found = path(**given)
    assert (found.reached, len(found.undecided)) == ({}, 1)
    assert "is being changed" in found.undecided[0]


def test_what_may_lead_through_cloud_wan_is_undecided_where_there_is_an_endpoint() -> None:
    wide = replace(OFFICE, vpn_gateway=None, core_network="arn:aws:networkmanager::111122223333:core-network/core-1")
    found = path(vpns={REGION: VpnConnections(()), FRANKFURT: VpnConnections((wide,))})
    assert (found.reached, len(found.undecided)) == ({}, 1)
    assert "vpn-1" in found.undecided[0]
    transit = replace(PRIVATE, type="transit")
    loose = path(interfaces=lines(transit))
    assert (loose.reached, len(loose.undecided)) == ({}, 1)
    assert "dxvif-1" in loose.undecided[0]
    # One that is down leads nowhere, one at a transit gateway of another VPC does not lead here, and without an
    # endpoint there is nothing to lead to.
    elsewhere = TransitAttachment("tgw-9", "direct-connect-gateway", "dxgw-1", "available", ACCOUNT.id)
    for given in (
        {"vpns": vpns(replace(wide, tunnels=(UP[1],)))},
        {"interfaces": lines(replace(transit, bgp=("down",)))},
        {"interfaces": lines(transit), "attachments": attached(elsewhere)},
        {"vpns": vpns(wide), "endpoints": VpcEndpoints(())},
    ):
        assert path(**given).undecided == ()


def test_without_an_interface_of_the_direct_connect_gateway_it_may_be_another_accounts() -> None:
    found = path(gateways=GATEWAY, associations=SERVED)
    assert found.reached == {}
    assert "dxgw-1" in found.undecided[0]
    down = path(gateways=GATEWAY, associations=SERVED, interfaces=lines(replace(PRIVATE, bgp=("down",))))
    assert (down.reached, down.undecided) == ({}, ())


@pytest.mark.parametrize(
    "given",
    [
        {"endpoints": DENIED},
        {"gateways": DENIED},
        {"attachments": {REGION: DENIED}},
        {"vpns": {REGION: DENIED}},
        {"interfaces": {REGION: DENIED}},
        {"interfaces": {REGION: VirtualInterfaces(()), FRANKFURT: DENIED}},
        {"gateways": GATEWAY, "associations": DENIED},
        {"gateways": GATEWAY, "associations": GatewayAssociations((), {"vgw-1": DENIED})},
    ],
)
def test_what_could_not_be_read_is_a_gap(given: dict[str, Any]) -> None:
    found = path(**given)
    assert (found.reached, found.gaps) == ({}, (DENIED,))


def test_only_available_interface_endpoints_of_dynamodb_in_the_region_count() -> None:
    others = (
        replace(ENDPOINT, id="vpce-2", state="pending"),
        replace(ENDPOINT, id="vpce-3", type="Gateway"),
        replace(ENDPOINT, id="vpce-4", service="com.amazonaws.eu-west-1.dynamodb-streams"),
        replace(ENDPOINT, id="vpce-5", service="com.amazonaws.eu-central-1.dynamodb", service_region="eu-central-1"),
        replace(ENDPOINT, id="vpce-6", service="com.amazonaws.eu-west-1.s3"),
    )
    assert path(endpoints=VpcEndpoints(others)).endpoints == ()
    assert path(endpoints=VpcEndpoints((*others, ENDPOINT))).endpoints == ("vpce-1",)


def test_the_declared_addresses_are_held_against_the_security_groups_of_reached_endpoints() -> None:
    way: dict[str, Any] = {"vpns": vpns(OFFICE), "gateways": GATEWAY}
    cidrs = ("172.16.0.0/20", "172.16.32.0/20")
    assert path(**way, cidrs=cidrs, ingress=("172.16.0.0/16",)).refused == ()
    assert path(**way, cidrs=cidrs, ingress=("172.16.0.0/21", "172.16.8.0/21")).refused == ("172.16.32.0/20",)
    assert path(**way, cidrs=cidrs, ingress=("10.0.0.0/8",)).refused == cidrs
    assert path(cidrs=cidrs, ingress=("10.0.0.0/8",)).refused == ()  # nothing is reached
    unread = path(**way, cidrs=cidrs, groups=DENIED)
    assert (unread.refused, unread.unclear) == (cidrs, DENIED)
    odd = path(**way, cidrs=("the office",))
    assert odd.refused == ("the office",)
    assert odd.unclear is not None
    assert odd.unclear.reason is Reason.UNDECIDABLE
    # A block that cannot be read takes nothing away from what is proven of another.
    mixed = path(**way, cidrs=("the office", *cidrs), ingress=("172.16.0.0/20",))
    assert (mixed.refused, mixed.unclear) == (("172.16.32.0/20",), None)
    both = path(**way, cidrs=("the office", *cidrs), groups=DENIED)
    assert (both.refused, both.unclear) == ((*cidrs, "the office"), DENIED)


def test_public_interfaces_of_the_account_in_any_region_are_named() -> None:
    public = VirtualInterface("dxvif-9", "public", "available", ("up", "down"))
    foreign = {HUB: VirtualInterfaces((replace(public, id="dxvif-8"),))}
    found = path(interfaces={FRANKFURT: VirtualInterfaces((public, replace(public, id="x", bgp=("down",)))), **foreign})
    assert found.public == ("dxvif-9",)


@pytest.mark.parametrize(
    ("one", "up", "unclear"),
    [
        (OFFICE, True, False),
        (replace(OFFICE, tunnels=()), False, True),
        (replace(OFFICE, tunnels=(UP[1], VpnTunnel("203.0.113.2", ""))), False, True),
        (replace(OFFICE, tunnels=(UP[1],)), False, False),
        (replace(OFFICE, state="deleting"), False, False),
        (PRIVATE, True, False),
        (replace(PRIVATE, bgp=()), False, True),
        (replace(PRIVATE, bgp=("down", "unknown")), False, True),
        (replace(PRIVATE, bgp=("down",)), False, False),
        (replace(PRIVATE, state="unknown"), False, True),
        (replace(PRIVATE, state="pending"), False, False),
    ],
)
def test_what_is_up_and_what_aws_leaves_open(one: VpnConnection | VirtualInterface, up: bool, unclear: bool) -> None:
    assert (is_up(one), is_unclear(one)) == (up, unclear)


def test_a_way_that_may_be_up_is_undecided() -> None:
    found = path(vpns=vpns(replace(OFFICE, tunnels=())), gateways=GATEWAY)
    assert (found.reached, len(found.undecided)) == ({}, 1)
