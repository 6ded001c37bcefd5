"""VPN, transit gateways and Direct Connect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from auditor.facts import (
    CustomerGateways,
    DirectConnection,
    DirectConnections,
    Gap,
    GatewayAssociation,
    GatewayAssociations,
    TransitAttachment,
    TransitAttachments,
    VirtualInterface,
    VirtualInterfaces,
    VpnConnection,
    VpnConnections,
    VpnGateway,
    VpnGateways,
    VpnTunnel,
)
from auditor.resources import Region
from auditor.sources.aws.collector import Yield, collects
from auditor.sources.aws.session import Aws, Missing


@collects(VpnConnections, about=Region)
def vpn_connections(aws: Aws, region: Region) -> Yield:
    """Yield the VPN connections. The answer holds pre-shared keys: nothing is kept but what is named here."""
    answer = aws.call("ec2:DescribeVpnConnections")
    found = [
        VpnConnection(
            id=entry["VpnConnectionId"],
            state=_lower(entry.get("State")),
            vpn_gateway=entry.get("VpnGatewayId") or None,
            transit_gateway=entry.get("TransitGatewayId") or None,
            core_network=entry.get("CoreNetworkArn") or None,
            tunnels=tuple(_tunnels(entry)),
        )
        for entry in answer.get("VpnConnections") or []
        if _lower(entry.get("State")) != "deleted"
    ]
    yield region, VpnConnections(tuple(sorted(found, key=lambda one: one.id)))


def _lower(value: str | None) -> str:
    return (value or "").lower()


def _tunnels(entry: Mapping[str, Any]) -> Iterator[VpnTunnel]:
    """Yield the tunnels of a VPN connection: options and telemetry are lists of their own, joined by address."""
    telemetry = entry.get("VgwTelemetry") or []
    statuses = {one.get("OutsideIpAddress") or "": (one.get("Status") or "").upper() for one in telemetry}
    options = (entry.get("Options") or {}).get("TunnelOptions") or []
    described = {one.get("OutsideIpAddress") or "": one for one in options}
    for address in sorted({*statuses, *described}):
        one = described.get(address, {})
        logs = (one.get("LogOptions") or {}).get("CloudWatchLogOptions") or {}
        yield VpnTunnel(
            address=address,
            status=statuses.get(address, ""),
            described=address in described,
            ike_versions=_values(one, "IkeVersions"),
            encryption=_values(one, "Phase1EncryptionAlgorithms"),
            integrity=_values(one, "Phase1IntegrityAlgorithms"),
            dh_groups=_values(one, "Phase1DHGroupNumbers"),
            logged=bool(logs.get("LogEnabled")),
        )


def _values(options: Mapping[str, Any], name: str) -> tuple[Any, ...]:
    return tuple(sorted(one["Value"] for one in options.get(name) or [] if one.get("Value") is not None))


@collects(VpnGateways, GatewayAssociations, about=Region)
def vpn_gateways(aws: Aws, region: Region) -> Yield:
    """Yield the virtual private gateways, and which Direct Connect gateways serve those that a VPC has."""
    answer = aws.call("ec2:DescribeVpnGateways")
    found = [
        VpnGateway(
            id=entry["VpnGatewayId"],
            state=_lower(entry.get("State")),
            vpc_ids=tuple(
                sorted(
                    one["VpcId"]
                    for one in entry.get("VpcAttachments") or []
                    if one.get("VpcId") and _lower(one.get("State")) == "attached"
                )
            ),
        )
        for entry in answer.get("VpnGateways") or []
        if _lower(entry.get("State")) != "deleted"
    ]
    yield region, VpnGateways(tuple(sorted(found, key=lambda one: one.id)))
    if not aws.wants(GatewayAssociations):
        return
    associations: list[GatewayAssociation] = []
    unread: dict[str, Gap] = {}
    first: Missing | None = None
    for gateway in sorted(one.id for one in found if one.vpc_ids):
        try:
            associations += _associations(aws, gateway)
        except Missing as missing:
            first = first or missing
            unread[gateway] = missing.gap
    yield region, GatewayAssociations(tuple(associations), unread)
    if first is not None:
        raise first


def _associations(aws: Aws, gateway: str) -> list[GatewayAssociation]:
    operation = "directconnect:DescribeDirectConnectGatewayAssociations"
    found = [
        GatewayAssociation(gateway, entry["directConnectGatewayId"], _lower(entry.get("associationState")))
        for page in _pages(aws, operation, associatedGatewayId=gateway)
        for entry in page.get("directConnectGatewayAssociations") or []
        if entry.get("directConnectGatewayId")
    ]
    return sorted(found, key=lambda one: one.connect_gateway)


def _pages(aws: Aws, operation: str, **params: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the pages of a listing of Direct Connect, for which boto3 has no paginators.

    Where botocore's endpoint data does not list Direct Connect for the region, an endpoint that cannot be reached
    means that there is none, hence nothing to list.
    """
    token: dict[str, Any] = {}
    while True:
        try:
            page = aws.call(operation, **params, **token)
        except Missing as missing:
            if aws.lacks("directconnect", missing):
                return
            raise
        yield page
        if not page.get("nextToken"):
            return
        token = {"nextToken": page["nextToken"]}


@collects(CustomerGateways, about=Region)
def customer_gateways(aws: Aws, region: Region) -> Yield:
    """Yield the customer gateways that are available."""
    answer = aws.call("ec2:DescribeCustomerGateways")
    found = {
        entry["CustomerGatewayId"]
        for entry in answer.get("CustomerGateways") or []
        if _lower(entry.get("State")) == "available"
    }
    yield region, CustomerGateways(tuple(sorted(found)))


@collects(TransitAttachments, about=Region)
def transit_attachments(aws: Aws, region: Region) -> Yield:
    """Yield the attachments of transit gateways: all of own ones, of those that are shared with the account its own."""
    found = [
        TransitAttachment(
            transit_gateway=entry.get("TransitGatewayId") or "",
            resource_type=_lower(entry.get("ResourceType")),
            resource_id=entry.get("ResourceId") or "",
            state=_lower(entry.get("State")),
            owner=entry.get("TransitGatewayOwnerId") or "",
        )
        for page in aws.pages("ec2:DescribeTransitGatewayAttachments")
        for entry in page.get("TransitGatewayAttachments") or []
        if _lower(entry.get("State")) != "deleted"
    ]
    order = sorted(found, key=lambda one: (one.transit_gateway, one.resource_type, one.resource_id, one.state))
    yield region, TransitAttachments(tuple(order))


@collects(VirtualInterfaces, about=Region)
def virtual_interfaces(aws: Aws, region: Region) -> Yield:
    """Yield the virtual interfaces. The answer holds BGP keys: nothing is kept but what is named here."""
    found = [
        VirtualInterface(
            id=entry["virtualInterfaceId"],
            type=_lower(entry.get("virtualInterfaceType")),
            state=_lower(entry.get("virtualInterfaceState")),
            bgp=tuple(sorted(_lower(peer.get("bgpStatus")) or "unknown" for peer in entry.get("bgpPeers") or [])),
            connection=entry.get("connectionId") or None,
            gateway=entry.get("directConnectGatewayId") or None,
            vpn_gateway=entry.get("virtualGatewayId") or None,
        )
        for page in _pages(aws, "directconnect:DescribeVirtualInterfaces")
        for entry in page.get("virtualInterfaces") or []
        if entry.get("virtualInterfaceId") and _lower(entry.get("virtualInterfaceState")) != "deleted"
    ]
    yield region, VirtualInterfaces(tuple(sorted(found, key=lambda one: one.id)))


@collects(DirectConnections, about=Region)
def direct_connections(aws: Aws, region: Region) -> Yield:
    """Yield the Direct Connect connections of the account itself; a partner's hosted interface shows none."""
    found = [
        DirectConnection(
            id=entry["connectionId"],
            state=_lower(entry.get("connectionState")),
            port_encryption=entry.get("portEncryptionStatus") or None,
            encryption_mode=entry.get("encryptionMode") or None,
        )
        for page in _pages(aws, "directconnect:DescribeConnections")
        for entry in page.get("connections") or []
        if entry.get("connectionId") and _lower(entry.get("connectionState")) != "deleted"
    ]
    yield region, DirectConnections(tuple(sorted(found, key=lambda one: one.id)))
