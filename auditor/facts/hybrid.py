"""Facts about the ways from a company's own network into a region: VPN, Direct Connect, transit gateways."""

from __future__ import annotations

from dataclasses import dataclass

from auditor.facts.base import fact
from auditor.resources import Region


@dataclass(frozen=True, slots=True)
class VpnTunnel:
    """One tunnel of a VPN connection. Pre-shared keys are dropped where the answer is read.

    Attributes:
        status: ``VgwTelemetry[].Status``, in capitals: UP or DOWN.
        ike_versions: ``IkeVersions[].Value``; empty: AWS's defaults, which accept all.
        encryption: ``Phase1EncryptionAlgorithms[].Value``.
        integrity: ``Phase1IntegrityAlgorithms[].Value``.
        dh_groups: ``Phase1DHGroupNumbers[].Value``.
        logged: ``LogOptions.CloudWatchLogOptions.LogEnabled``.
    """

    address: str
    status: str
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
        tunnels: By ``OutsideIpAddress``.
    """

    id: str
    state: str
    vpn_gateway: str | None = None
    transit_gateway: str | None = None
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


@fact(Region, "ec2:DescribeCustomerGateways", in_use_only=True)
@dataclass(frozen=True, slots=True)
class CustomerGateways:
    """Ids of the customer gateways of a region whose state is available (ec2:DescribeCustomerGateways)."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TransitAttachment:
    """One attachment: ``TransitGatewayId``, ``ResourceType`` and ``State`` in lower case, ``ResourceId``."""

    transit_gateway: str
    resource_type: str
    resource_id: str
    state: str


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


@fact(Region, "directconnect:DescribeVirtualInterfaces", in_use_only=True)
@dataclass(frozen=True, slots=True)
class VirtualInterfaces:
    """The virtual interfaces of a region, deleted ones left out (directconnect:DescribeVirtualInterfaces)."""

    interfaces: tuple[VirtualInterface, ...]


@dataclass(frozen=True, slots=True)
class DirectConnection:
    """One Direct Connect connection: ``connectionState``, ``portEncryptionStatus``, ``encryptionMode``."""

    id: str
    state: str
    port_encryption: str | None = None
    encryption_mode: str | None = None


@fact(Region, "directconnect:DescribeConnections", in_use_only=True)
@dataclass(frozen=True, slots=True)
class DirectConnections:
    """The Direct Connect connections of a region (directconnect:DescribeConnections)."""

    connections: tuple[DirectConnection, ...]
