"""Which ways from a company's own network lead to the DynamoDB interface endpoints of a region.

A way is a VPN connection with a tunnel that is up, or a private or transit virtual interface of Direct Connect whose
BGP session is up. It leads to a VPC through the VPC's virtual private gateway or through a transit gateway that the VPC
is attached to; a Direct Connect gateway may stand between, and then the interface may be in any region. Routes and
route tables of transit gateways are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from auditor.analysis.network import endpoints_in
from auditor.analysis.security_groups import covers, openings, parse
from auditor.config import Config
from auditor.facts import (
    Endpoint,
    Gap,
    GatewayAssociations,
    HybridPath,
    PrefixLists,
    Reason,
    SecurityGroups,
    TransitAttachment,
    TransitAttachments,
    VirtualInterface,
    VirtualInterfaces,
    VpcEndpoints,
    VpnConnection,
    VpnConnections,
    VpnGateways,
    derive,
)
from auditor.resources import Account, Region

#: Types of attachments behind which there may be a way in that this account's answers do not show.
INDIRECT = ("peering", "tgw-peering", "connect", "vpn-concentrator", "client-vpn")

#: States while settings are being changed of what stands already: AWS leaves open whether it leads on meanwhile.
CHANGING = ("modifying", "rollingback", "updating")

PORT = 443


def is_up(one: VpnConnection | VirtualInterface) -> bool:
    """Tell whether traffic passes a VPN connection or a virtual interface."""
    if isinstance(one, VpnConnection):
        return one.state == "available" and any(tunnel.status == "UP" for tunnel in one.tunnels)
    return one.state == "available" and "up" in one.bgp


def is_unclear(one: VpnConnection | VirtualInterface) -> bool:
    """Tell whether AWS leaves open if traffic passes."""
    if isinstance(one, VpnConnection):
        states = {tunnel.status for tunnel in one.tunnels}
        return one.state == "available" and "UP" not in states and (not states or "" in states)
    sessions = set(one.bgp)
    return one.state == "unknown" or (
        one.state == "available" and "up" not in sessions and (not sessions or "unknown" in sessions)
    )


def interface_endpoints(endpoints: VpcEndpoints, region: Region) -> list[Endpoint]:
    """Return DynamoDB's interface endpoints of a region, whatever their state."""
    vpcs = sorted({one.vpc_id for one in endpoints.endpoints})
    return [one for vpc in vpcs for one in endpoints_in(endpoints, vpc, region.name, "interface")]


@dataclass
class _Ways:
    """What leads to the VPCs of a region, and what stands in the way of knowing it."""

    region: Region
    gateways: VpnGateways | Gap
    associations: GatewayAssociations | Gap
    attachments: Mapping[Region, TransitAttachments | Gap]
    vpns: Mapping[Region, VpnConnections | Gap]
    interfaces: list[VirtualInterface]
    undecided: set[str] = field(default_factory=set)
    gaps: list[Gap] = field(default_factory=list)

    def to(self, vpc: str) -> Iterator[VpnConnection | VirtualInterface]:
        """Yield the ways that lead to a VPC and work."""
        yield from self._through_vpn_gateway(vpc)
        yield from self._through_transit_gateway(vpc)
        self._through_core_network()

    def _connections(self, region: Region) -> list[VpnConnection]:
        held = self.vpns.get(region)
        if isinstance(held, Gap):
            self.gaps.append(held)
        return list(held.connections) if isinstance(held, VpnConnections) else []

    def _working(self, one: VpnConnection | VirtualInterface) -> bool:
        if is_unclear(one):
            self.undecided.add(f"whether {one.id} is up is not known")
        return is_up(one)

    def _stands(self, state: str, wanted: str, what: str) -> bool:
        if state in CHANGING:
            self.undecided.add(f"{what} is being changed")
        return state == wanted

    def _through_vpn_gateway(self, vpc: str) -> Iterator[VpnConnection | VirtualInterface]:
        connections = self._connections(self.region)
        if isinstance(self.gateways, Gap):
            self.gaps.append(self.gateways)
            return
        for gateway in self.gateways.gateways:
            if vpc in gateway.vpc_ids:
                direct: list[VpnConnection | VirtualInterface] = [*connections, *self.interfaces]
                yield from (one for one in direct if one.vpn_gateway == gateway.id and self._working(one))
                yield from self._through_associations(gateway.id)

    def _through_associations(self, gateway: str) -> Iterator[VirtualInterface]:
        if isinstance(self.associations, Gap):
            self.gaps.append(self.associations)
            return
        if gateway in self.associations.unread:
            self.gaps.append(self.associations.unread[gateway])
        for one in self.associations.associations:
            if one.vpn_gateway == gateway and self._stands(
                one.state, "associated", f"the association of {gateway} with {one.connect_gateway}"
            ):
                yield from self._through_connect_gateway(one.connect_gateway)

    def _through_connect_gateway(self, gateway: str) -> Iterator[VirtualInterface]:
        here = [one for one in self.interfaces if one.gateway == gateway]
        if not here:
            text = (
                f"no virtual interface of the Direct Connect gateway {gateway} is in the audited accounts and regions"
            )
            self.undecided.add(text)
        yield from (one for one in here if self._working(one))

    def _through_transit_gateway(self, vpc: str) -> Iterator[VpnConnection | VirtualInterface]:
        own = self.attachments.get(self.region)
        if isinstance(own, Gap):
            self.gaps.append(own)
        if not isinstance(own, TransitAttachments):
            return
        for one in own.attachments:
            if (one.resource_type, one.resource_id) == ("vpc", vpc) and self._stands(
                one.state, "available", f"the attachment of {vpc} to {one.transit_gateway}"
            ):
                yield from self._into(one.transit_gateway, one.owner or self.region.account.id)

    def _into(self, gateway: str, owner: str) -> Iterator[VpnConnection | VirtualInterface]:
        """Yield the ways into a transit gateway, whose owner is the only one who sees all of them."""
        owners = Region(Account(owner, self.region.account.partition), self.region.name)
        held = self.attachments.get(owners)
        if isinstance(held, Gap) and held not in self.gaps:
            self.gaps.append(held)
        if held is None:
            self.undecided.add(
                f"the transit gateway {gateway} is that of account {owner}, whose attachments are not known"
            )
        places = sorted({self.region, owners})
        connections = [one for place in places for one in self._connections(place)]
        yield from (one for one in connections if one.transit_gateway == gateway and self._working(one))
        known = {one.id for one in connections}
        for one in self._attached(gateway, places):
            if one.resource_type == "direct-connect-gateway":
                yield from self._through_connect_gateway(one.resource_id)
            elif one.resource_type in INDIRECT:
                self.undecided.add(f"what is behind the {one.resource_type} attachment of {gateway} is not followed")
            elif one.resource_type == "vpn" and one.resource_id not in known:
                self.undecided.add(f"the VPN connection {one.resource_id} of {gateway} is another account's")

    def _through_core_network(self) -> None:
        """Note the ways that end, or may end, in Cloud WAN: which VPCs it leads to is not seen."""
        for held in self.vpns.values():
            for one in held.connections if isinstance(held, VpnConnections) else ():
                if one.core_network and (is_up(one) or is_unclear(one)):
                    self.undecided.add(f"the core network behind the VPN connection {one.id} is not followed")
        seen = {
            one.resource_id
            for held in self.attachments.values()
            if isinstance(held, TransitAttachments)
            for one in held.attachments
            if one.resource_type == "direct-connect-gateway"
        }
        for way in self.interfaces:
            if way.type == "transit" and way.gateway not in seen and (is_up(way) or is_unclear(way)):
                self.undecided.add(f"what the transit virtual interface {way.id} leads to is not known")

    def _attached(self, gateway: str, places: list[Region]) -> list[TransitAttachment]:
        answers = [self.attachments.get(place) for place in places]
        return [
            one
            for answer in answers
            if isinstance(answer, TransitAttachments)
            for one in answer.attachments
            if one.transit_gateway == gateway
            and self._stands(one.state, "available", f"the attachment of {one.resource_id} to {gateway}")
        ]


@derive
def hybrid_path(
    region: Region,
    config: Config,
    endpoints: VpcEndpoints | Gap,
    gateways: VpnGateways | Gap,
    associations: GatewayAssociations | Gap,
    attachments: Mapping[Region, TransitAttachments | Gap],
    vpns: Mapping[Region, VpnConnections | Gap],
    interfaces: Mapping[Region, VirtualInterfaces | Gap],
    groups: SecurityGroups | Gap,
    lists: PrefixLists | Gap,
) -> HybridPath:
    """Follow the ways from outside to the interface endpoints of a region."""
    own = [held for place, held in sorted(interfaces.items()) if place.account == region.account]
    every = [one for held in interfaces.values() if isinstance(held, VirtualInterfaces) for one in held.interfaces]
    public = sorted(
        one.id
        for held in own
        if isinstance(held, VirtualInterfaces)
        for one in held.interfaces
        if one.type == "public" and is_up(one)
    )
    private = sorted((one for one in every if one.type in ("private", "transit")), key=lambda one: one.id)
    ways = _Ways(region, gateways, associations, attachments, vpns, private)
    ways.gaps += [held for held in own if isinstance(held, Gap)]
    if isinstance(endpoints, Gap):
        return HybridPath(public=tuple(public), gaps=(endpoints, *ways.gaps))
    usable = [one for one in interface_endpoints(endpoints, region) if one.state == "available"]
    found = {endpoint.id: list(ways.to(endpoint.vpc_id)) for endpoint in usable}
    reached = [endpoint for endpoint in usable if found[endpoint.id]]
    refused, unclear = _refused(reached, config.on_prem_access.cidrs, groups, lists)
    return HybridPath(
        endpoints=tuple(one.id for one in usable),
        reached={one.id: tuple(sorted({way.id for way in found[one.id]})) for one in reached},
        connections=tuple(
            sorted(
                {
                    way.connection or way.id
                    for one in reached
                    for way in found[one.id]
                    if isinstance(way, VirtualInterface)
                }
            )
        ),
        refused=refused,
        public=tuple(public),
        undecided=tuple(sorted(ways.undecided)),
        gaps=tuple(dict.fromkeys(ways.gaps)),
        unclear=unclear,
    )


def _refused(
    endpoints: list[Endpoint], declared: tuple[str, ...], groups: SecurityGroups | Gap, lists: PrefixLists | Gap
) -> tuple[tuple[str, ...], Gap | None]:
    """Return the declared blocks that no endpoint lets in, and why that is not certain."""
    if not endpoints:
        return (), None
    opened = [openings(one.security_groups, (PORT,), groups, lists) for one in endpoints]
    networks = [network for one in opened for entry in one.admissions for network in entry.networks]
    unclear = next((one.gap for one in opened if one.gap is not None), None)
    refused, odd = [], []
    for block in declared:
        wanted = parse(block)
        if wanted is None:
            odd.append(block)
        elif not covers(networks, wanted):
            refused.append(block)
    if odd and not (refused and unclear is None):  # what is proven of the others counts more
        text = f"`on_prem_access.cidrs` names {odd[0]!r}, which is no block of addresses."
        return (*refused, *odd), unclear or Gap(Reason.UNDECIDABLE, text)
    return tuple(refused), unclear
