"""Facts about the ways from a company's own network into a region: VPN, Direct Connect, transit gateways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from auditor.facts.base import Gap, fact
from auditor.resources import Region


@dataclass(frozen=True, slots=True)
class VpnTunnel:
    """One tunnel of a VPN connection. Pre-shared keys are dropped where the answer is read.

    Attributes:
        address: ``OutsideIpAddress``.
        status: ``VgwTelemetry[].Status``, in capitals: UP or DOWN; an empty text when there is none yet.
        described: Its ``TunnelOptions`` were returned; without them the rest is not known.
        ike_versions: ``IkeVersions[].Value``; empty: AWS's defaults, which accept all.
        encryption: ``Phase1EncryptionAlgorithms[].Value``.
        integrity: ``Phase1IntegrityAlgorithms[].Value``.
        dh_groups: ``Phase1DHGroupNumbers[].Value``.
        logged: ``LogOptions.CloudWatchLogOptions.LogEnabled``.
    """

    address: str
    status: str
    described: bool = True
    ike_versions: tuple[str, ...] = ()
    encryption: tuple[str, ...] = ()
    integrity: tuple[str, ...] = ()
    dh_groups: tuple[int, ...] = ()
    logged: bool = False


@dataclass(frozen=True, slots=True)
class VpnConnection:
    """One Site-to-Site VPN connection.

    Attributes:
        state: ``State``, lower case; deleted ones are left out.
        vpn_gateway: ``VpnGatewayId``.
        transit_gateway: ``TransitGatewayId``.
        core_network: ``CoreNetworkArn``, of Cloud WAN.
        tunnels: By ``OutsideIpAddress``.
    """

    id: str
    state: str
    vpn_gateway: str | None = None
    transit_gateway: str | None = None
    core_network: str | None = None
    tunnels: tuple[VpnTunnel, ...] = ()


@fact(Region, "ec2:DescribeVpnConnections", in_use_only=True)
@dataclass(frozen=True, slots=True)
class VpnConnections:
    """The VPN connections of a region (ec2:DescribeVpnConnections)."""

    connections: tuple[VpnConnection, ...]


@dataclass(frozen=True, slots=True)
class VpnGateway:
    """One virtual private gateway.

    Attributes:
        state: ``State``, lower case.
        vpc_ids: ``VpcAttachments[].VpcId`` of attachments whose state is attached.
    """

    id: str
    state: str
    vpc_ids: tuple[str, ...] = ()


@fact(Region, "ec2:DescribeVpnGateways", in_use_only=True)
@dataclass(frozen=True, slots=True)
class VpnGateways:
    """The virtual private gateways of a region (ec2:DescribeVpnGateways)."""

    gateways: tuple[VpnGateway, ...]


@dataclass(frozen=True, slots=True)
class GatewayAssociation:
    """A virtual private gateway of the region that a Direct Connect gateway, which may be another account's, serves.

    Attributes:
        vpn_gateway: ``associatedGateway.id``.
        connect_gateway: ``directConnectGatewayId``.
        state: ``associationState``, lower case.
    """

    vpn_gateway: str
    connect_gateway: str
    state: str


@fact(Region, "directconnect:DescribeDirectConnectGatewayAssociations", in_use_only=True)
@dataclass(frozen=True, slots=True)
class GatewayAssociations:
    """Which Direct Connect gateways serve the attached virtual private gateways of a region.

    Attributes:
        associations: Sorted by virtual private gateway.
        unread: Virtual private gateway -> why its associations could not be read.
    """

    associations: tuple[GatewayAssociation, ...]
    unread: Mapping[str, Gap] = field(default_factory=dict)


@fact(Region, "ec2:DescribeCustomerGateways", in_use_only=True)
@dataclass(frozen=True, slots=True)
class CustomerGateways:
    """Ids of the customer gateways of a region whose state is available (ec2:DescribeCustomerGateways)."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TransitAttachment:
    """One attachment: ``TransitGatewayId``, ``ResourceType`` and ``State`` in lower case, ``ResourceId``.

    ``owner`` is ``TransitGatewayOwnerId``: only the owner sees all attachments, another account its own.
    """

    transit_gateway: str
    resource_type: str
    resource_id: str
    state: str
    owner: str = ""


@fact(Region, "ec2:DescribeTransitGatewayAttachments", in_use_only=True)
@dataclass(frozen=True, slots=True)
class TransitAttachments:
    """The transit gateway attachments of a region (ec2:DescribeTransitGatewayAttachments)."""

    attachments: tuple[TransitAttachment, ...]


@dataclass(frozen=True, slots=True)
class VirtualInterface:
    """One virtual interface of Direct Connect.

    Attributes:
        type: ``virtualInterfaceType``, lower case: private, public or transit.
        state: ``virtualInterfaceState``, lower case.
        bgp: ``bgpPeers[].bgpStatus``, lower case.
        connection: ``connectionId``.
        gateway: ``directConnectGatewayId``.
        vpn_gateway: ``virtualGatewayId``.
    """

    id: str
    type: str
    state: str
    bgp: tuple[str, ...] = ()
    connection: str | None = None
    gateway: str | None = None
    vpn_gateway: str | None = None


@fact(Region, "directconnect:DescribeVirtualInterfaces")
@dataclass(frozen=True, slots=True)
class VirtualInterfaces:
    """The virtual interfaces of a region, deleted ones left out (directconnect:DescribeVirtualInterfaces).

    They are collected in regions without tables too: a Direct Connect gateway leads from there to any region. BGP
    keys are dropped where the answer is read.
    """

    interfaces: tuple[VirtualInterface, ...]


@dataclass(frozen=True, slots=True)
class DirectConnection:
    """One Direct Connect connection: ``connectionState``, ``portEncryptionStatus``, ``encryptionMode``."""

    id: str
    state: str
    port_encryption: str | None = None
    encryption_mode: str | None = None


@fact(Region, "directconnect:DescribeConnections")
@dataclass(frozen=True, slots=True)
class DirectConnections:
    """The Direct Connect connections of a region (directconnect:DescribeConnections)."""

    connections: tuple[DirectConnection, ...]


@dataclass(frozen=True, slots=True)
class HybridPath:
    """Which ways from outside lead to the DynamoDB interface endpoints of a region (derived).

    Attributes:
        endpoints: Ids of the available interface endpoints of DynamoDB in the region.
        reached: Endpoint id -> ids of the VPN connections and virtual interfaces that work and lead to its VPC.
        connections: Ids of the Direct Connect connections under those virtual interfaces.
        refused: Blocks of ``on_prem_access.cidrs`` that no reached endpoint lets in on port 443.
        public: Ids of the working public virtual interfaces of the account, whatever their region.
        undecided: What stands in the way of saying that there is no further way.
        gaps: The calls that stand in its way.
        unclear: Why it is not known whether the endpoints let in what is in ``refused``.
    """

    endpoints: tuple[str, ...] = ()
    reached: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    connections: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    public: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()
    unclear: Gap | None = None
