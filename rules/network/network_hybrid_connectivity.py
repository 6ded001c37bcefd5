from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from auditor import Remediation, Severity, Side, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.analysis.hybrid import interface_endpoints, is_unclear, is_up
from auditor.config import Config
from auditor.facts import (
    CustomerGateways,
    DirectConnections,
    Endpoint,
    Gap,
    HybridPath,
    Reason,
    RegionUse,
    VirtualInterface,
    VirtualInterfaces,
    VpcEndpoints,
    VpnConnection,
    VpnConnections,
    VpnTunnel,
)
from auditor.resources import Account, Region

#: The weakest Diffie-Hellman group that a tunnel may list (AWS Site-to-Site VPN User Guide, "Tunnel options").
WEAK_GROUP = 2

PRIVATE = "Clients on premises reach an interface endpoint for DynamoDB over a VPN or Direct Connect."
PUBLIC = (
    "Clients on premises have a public virtual interface of Direct Connect: what they send DynamoDB stays off the "
    "internet, but ends at public addresses."
)

Finding = tuple[Severity, str] | Gap


@rule(
    severity=Severity.HIGH,
    side=Side.CLIENT,
    practices=["P17"],
    controls={"AWS FSBP": ["EC2.20"], "NIST 800-53 r5": ["AC-17", "AC-17(2)", "SC-7", "SC-8"]},
    remediation=Remediation(
        text="Lead the VPN or Direct Connect to a VPC with an interface endpoint for DynamoDB whose security group "
        "lets the addresses on premises in, and have clients there set endpoint_url to it. Keep both tunnels up, with "
        "IKEv2 only.",
        cli="aws ec2 create-vpc-endpoint --vpc-id $VPC --vpc-endpoint-type Interface "
        "--service-name com.amazonaws.$REGION.dynamodb --subnet-ids $SUBNET_A $SUBNET_B $SUBNET_C "
        "--security-group-ids $SECURITY_GROUP --region $REGION\n"
        "aws ec2 modify-vpn-tunnel-options --vpn-connection-id $VPN --vpn-tunnel-outside-ip-address $TUNNEL_IP "
        "--region $REGION --tunnel-options "
        '\'{"IKEVersions":[{"Value":"ikev2"}],"Phase1EncryptionAlgorithms":[{"Value":"AES256-GCM-16"}],'
        '"Phase1IntegrityAlgorithms":[{"Value":"SHA2-384"}],"Phase1DHGroupNumbers":[{"Value":20}]}\'',
        terraform="""\
resource "aws_vpn_connection" "office" {
  customer_gateway_id                  = aws_customer_gateway.office.id
  transit_gateway_id                   = aws_ec2_transit_gateway.core.id
  type                                 = "ipsec.1"
  tunnel1_ike_versions                 = ["ikev2"]
  tunnel2_ike_versions                 = ["ikev2"]
  tunnel1_phase1_encryption_algorithms = ["AES256-GCM-16"]
  tunnel2_phase1_encryption_algorithms = ["AES256-GCM-16"]
  tunnel1_phase1_integrity_algorithms  = ["SHA2-384"]
  tunnel2_phase1_integrity_algorithms  = ["SHA2-384"]
  tunnel1_phase1_dh_group_numbers      = [20]
  tunnel2_phase1_dh_group_numbers      = [20]
}""",
        cloudformation="""\
Parameters:
  CustomerGateway: {Type: String}
  TransitGateway: {Type: String}
Resources:
  Office:
    Type: AWS::EC2::VPNConnection
    Properties:
      Type: ipsec.1
      CustomerGatewayId: !Ref CustomerGateway
      TransitGatewayId: !Ref TransitGateway
      VpnTunnelOptionsSpecifications:
        - {IKEVersions: [{Value: ikev2}], Phase1DHGroupNumbers: [{Value: 20}]}
        - {IKEVersions: [{Value: ikev2}], Phase1DHGroupNumbers: [{Value: 20}]}""",
    ),
    references=[
        "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/inter-network-traffic-privacy.html",
        "https://docs.aws.amazon.com/vpn/latest/s2svpn/VPNTunnels.html",
    ],
)
def network_hybrid_connectivity(
    account: Account,
    config: Config,
    uses: Mapping[Region, RegionUse | Gap],
    vpns: Mapping[Region, VpnConnections | Gap],
    customers: Mapping[Region, CustomerGateways | Gap],
    interfaces: Mapping[Region, VirtualInterfaces | Gap],
    lines: Mapping[Region, DirectConnections | Gap],
    endpoints: Mapping[Region, VpcEndpoints | Gap],
    paths: Mapping[Region, HybridPath | Gap],
    *,
    ignore_vpn: Annotated[
        tuple[str, ...], "Ids of VPN connections whose tunnels are not judged, such as a backup that is normally down."
    ] = (),
) -> Iterator[Verdict]:
    """On-premises access uses VPN or Direct Connect to an interface endpoint.

    Clients outside AWS that call DynamoDB's public name cross the internet, and their credentials must work from
    everywhere. A VPN or Direct Connect ends in a VPC, and from there only an interface endpoint leads on: a gateway
    endpoint does not serve what comes in through VPN, Direct Connect, peering or a transit gateway.

    `on_prem_access` in the configuration says whether such clients exist (`declared`) and which addresses they have
    (`cidrs`). If so, every region with tables that has a VPN connection, a virtual interface of Direct Connect or an
    interface endpoint gets a finding; where none has any of these, the account gets one that fails. A region passes
    when a VPN connection with a tunnel that is up, or a private or transit virtual interface with BGP up, leads through
    a virtual private gateway or a transit gateway to a VPC with an available interface endpoint, whose security groups
    let all declared addresses in on port 443 (some of them only: medium). A public virtual interface passes too, with a
    note: the traffic stays off the internet, and ends at DynamoDB's public addresses. The way that Direct Connect takes
    through a Direct Connect gateway is followed from any audited region. Without `cidrs` it cannot be told whether
    the endpoint lets clients in: unknown.

    Whether it is declared or not, a VPN connection with both tunnels down, one that lists IKEv1, SHA1 or Diffie-Hellman
    group 2, and a virtual interface that is down fail with severity medium; a single tunnel up, and a tunnel that lists
    nothing and so has AWS's defaults, which accept all of these, with low. A single Direct Connect line as the only way
    fails (medium): nothing takes over from it. Where it is not declared, what was found is reported as not applicable.

    Limits: transit gateways' route tables are not read. What is behind a peering, a Connect attachment, Cloud WAN or a
    transit gateway of an account that is not audited is not followed and makes the answer unknown, never a failure.
    Software VPNs on instances are not seen. Pre-shared keys and BGP keys, which AWS's answers hold, are not kept.
    """
    own = [region for region in sorted(uses) if region.account == account]
    gaps = [use for use in (uses[region] for region in own) if isinstance(use, Gap)]
    declared = config.on_prem_access.declared
    held = [
        _read(region, vpns, customers, interfaces, endpoints, declared=declared)
        for region in own
        if _in_use(uses[region])
    ]
    ours = [found for region, found in sorted(interfaces.items()) if region.account == account]
    ways = [way for found in ours if isinstance(found, VirtualInterfaces) for way in found.interfaces]
    # A public virtual interface serves all regions, wherever it is.
    doubts = [_not_returned(way) for way in ways if way.type == "public" and is_unclear(way)]
    if any(one.anything for one in held):
        for one in held:
            if one.anything:
                yield _judge(one, config, paths.get(one.region), lines.get(one.region), ignore_vpn, doubts)
            elif one.gaps:
                yield unknown(one.gaps[0], about=one.region)
        for region in own:
            use = uses[region]
            if isinstance(use, Gap):
                yield unknown(use, about=region)
        return
    gaps += [gap for one in held for gap in one.gaps]
    if not held and not gaps:
        yield not_applicable("The account has no tables and no DAX clusters.")
        return
    public = [way.id for way in ways if way.type == "public" and is_up(way)]
    if declared and public:
        yield passed(PUBLIC, publicVirtualInterfaces=public)
        return
    gaps += [*(found for found in ours if isinstance(found, Gap)), *doubts] if declared else []
    if gaps:
        yield unknown(gaps[0])
    elif declared:
        yield failed(
            "Clients on premises use DynamoDB, and no region with tables has a VPN connection, Direct Connect or an "
            "interface endpoint for DynamoDB.",
            severity=Severity.HIGH,
            regions=[one.region.name for one in held],
        )
    else:
        yield not_applicable(
            "Nothing says that clients on premises use DynamoDB: `on_prem_access` is not declared, and no region with "
            "tables has a VPN connection, a customer gateway, Direct Connect or an interface endpoint.",
            reason="not_declared",
        )


@dataclass
class _Held:
    """What a region has: ``gaps`` say what it may have besides, those of ``unread_ways`` which ways in."""

    region: Region
    connections: tuple[VpnConnection, ...] = ()
    customers: tuple[str, ...] = ()
    interfaces: tuple[VirtualInterface, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    gateway_endpoints: tuple[str, ...] = ()
    gaps: list[Gap] = field(default_factory=list)
    unread_ways: list[Gap] = field(default_factory=list)

    @property
    def anything(self) -> bool:
        """Something in it leads, or might lead, from premises to DynamoDB."""
        return bool(self.connections or self.customers or self.interfaces or self.endpoints)


def _in_use(use: RegionUse | Gap) -> bool:
    return isinstance(use, RegionUse) and use.in_use


def _not_returned(way: VirtualInterface) -> Gap:
    return Gap(Reason.PARTIAL_DATA, f"Whether the virtual interface {way.id} is up was not returned.")


def _read(
    region: Region,
    vpns: Mapping[Region, VpnConnections | Gap],
    customers: Mapping[Region, CustomerGateways | Gap],
    interfaces: Mapping[Region, VirtualInterfaces | Gap],
    endpoints: Mapping[Region, VpcEndpoints | Gap],
    *,
    declared: bool,
) -> _Held:
    """Bring together what a region has; customer gateways alone are a hint, of interest where nothing is declared."""
    made = _Held(region)
    ways = [vpns.get(region), interfaces.get(region)]
    others = [endpoints.get(region)] if declared else [endpoints.get(region), customers.get(region)]
    for answer, is_way in [*((one, True) for one in ways), *((one, False) for one in others)]:
        if isinstance(answer, VpnConnections):
            made.connections = answer.connections
        elif isinstance(answer, VirtualInterfaces):
            made.interfaces = answer.interfaces
        elif isinstance(answer, CustomerGateways):
            made.customers = answer.ids
        elif isinstance(answer, VpcEndpoints):
            made.endpoints = tuple(interface_endpoints(answer, region))
            made.gateway_endpoints = tuple(
                one.id for one in answer.endpoints if one.type.lower() == "gateway" and one.resource is not None
            )
        else:
            gap = answer or Gap(Reason.PARTIAL_DATA, f"The network of {region.name} was not collected.")
            made.gaps.append(gap)
            if is_way:
                made.unread_ways.append(gap)
    return made


def _judge(
    held: _Held,
    config: Config,
    path: HybridPath | Gap | None,
    lines: DirectConnections | Gap | None,
    ignore_vpn: tuple[str, ...],
    doubts: list[Gap],
) -> Verdict:
    """Judge a region that has something; ``doubts`` are about public virtual interfaces that may be up."""
    evidence = _evidence(held, lines)
    # Endpoints that could not be read are the path's matter, and customer gateways only a hint.
    found = [*_health(held, ignore_vpn), *held.unread_ways]
    message = PRIVATE
    if config.on_prem_access.declared:
        if isinstance(path, HybridPath):
            evidence |= {
                "reached": {endpoint: list(ways) for endpoint, ways in path.reached.items()},
                "cidrs": list(config.on_prem_access.cidrs),
            }
            if path.undecided:
                evidence["undecided"] = list(path.undecided)
            if path.public:
                evidence["publicVirtualInterfaces"] = list(path.public)
            private = list(_private(held, path, config.on_prem_access.cidrs))
            if path.public and private:
                message = PUBLIC
            elif doubts:
                found += [one if isinstance(one, Gap) else doubts[0] for one in private]
            else:
                found += private
            found += _single(held, path, ignore_vpn)
        else:
            found.append(path or Gap(Reason.PARTIAL_DATA, "The region's network was not collected."))
    problems = [one for one in found if not isinstance(one, Gap)]
    if problems:
        severity, text = max(problems, key=lambda one: one[0])
        texts = [text for _, text in problems]
        return failed(text, severity=severity, about=held.region, problems=texts, **evidence)
    gap = next((one for one in found if isinstance(one, Gap)), None)
    if gap is not None:
        return unknown(gap, about=held.region, **evidence)
    if not config.on_prem_access.declared:
        return not_applicable(
            "The region has ways in from outside, and whether clients on premises use DynamoDB is not declared: "
            "`on_prem_access` says so.",
            reason="not_declared",
            about=held.region,
            **evidence,
        )
    return passed(message, about=held.region, **evidence)


def _evidence(held: _Held, lines: DirectConnections | Gap | None) -> dict[str, Any]:
    evidence: dict[str, Any] = {
        "VpnConnections": [
            {
                "VpnConnectionId": one.id,
                "State": one.state,
                "VpnGatewayId": one.vpn_gateway,
                "TransitGatewayId": one.transit_gateway,
                "tunnels": [
                    {
                        "OutsideIpAddress": tunnel.address,
                        "Status": tunnel.status,
                        "IkeVersions": list(tunnel.ike_versions),
                        "Phase1EncryptionAlgorithms": list(tunnel.encryption),
                        "Phase1IntegrityAlgorithms": list(tunnel.integrity),
                        "Phase1DHGroupNumbers": list(tunnel.dh_groups),
                        "LogEnabled": tunnel.logged,
                    }
                    for tunnel in one.tunnels
                ],
            }
            for one in held.connections
        ],
        "virtualInterfaces": [
            {
                "virtualInterfaceId": one.id,
                "virtualInterfaceType": one.type,
                "virtualInterfaceState": one.state,
                "bgpStatus": list(one.bgp),
            }
            for one in held.interfaces
        ],
        "interfaceEndpoints": {one.id: one.state for one in held.endpoints},
    }
    if held.customers:
        evidence["CustomerGateways"] = list(held.customers)
    if isinstance(lines, DirectConnections) and lines.connections:
        evidence["connections"] = [
            {
                "connectionId": one.id,
                "connectionState": one.state,
                "portEncryptionStatus": one.port_encryption,
                "encryptionMode": one.encryption_mode,
            }
            for one in lines.connections
        ]
    return evidence


def _health(held: _Held, ignore_vpn: tuple[str, ...]) -> Iterator[Finding]:
    """Yield what is wrong with the ways themselves."""
    for one in held.connections:
        if one.state == "available" and one.id not in ignore_vpn:
            yield from _tunnels(one)
    for way in held.interfaces:
        if is_unclear(way):
            yield _not_returned(way)
        elif way.state == "down" or (way.state == "available" and not is_up(way)):
            what = "down" if way.state == "down" else "available, and its BGP session is down"
            yield Severity.MEDIUM, f"The virtual interface {way.id} is {what}."


def _tunnels(one: VpnConnection) -> Iterator[Finding]:
    up = [tunnel for tunnel in one.tunnels if tunnel.status == "UP"]
    if is_unclear(one) or (up and any(not tunnel.status for tunnel in one.tunnels)):
        text = f"Whether the tunnels of the VPN connection {one.id} are up was not returned."
        yield Gap(Reason.PARTIAL_DATA, text, "ec2:DescribeVpnConnections")
    elif not up:
        yield Severity.MEDIUM, f"No tunnel of the VPN connection {one.id} is up."
    elif len(up) < len(one.tunnels):
        yield Severity.LOW, f"Only {len(up)} of {len(one.tunnels)} tunnels of the VPN connection {one.id} is up."
    for tunnel in one.tunnels:
        yield from _strength(one, tunnel)


def _strength(one: VpnConnection, tunnel: VpnTunnel) -> Iterator[Finding]:
    where = f"tunnel {tunnel.address} of the VPN connection {one.id}"
    if not tunnel.described:
        yield Gap(Reason.PARTIAL_DATA, f"The options of {where} were not returned.", "ec2:DescribeVpnConnections")
        return
    weak = [
        *(f"the version {name} of IKE" for name in tunnel.ike_versions if name.lower() == "ikev1"),
        *(f"the integrity algorithm {name}" for name in tunnel.integrity if name.upper() == "SHA1"),
        *(f"the Diffie-Hellman group {number}" for number in tunnel.dh_groups if number == WEAK_GROUP),
    ]
    if weak:
        with_ciphers = f" with {', '.join(tunnel.encryption)}" if tunnel.encryption else ""
        yield Severity.MEDIUM, f"The {where} allows {' and '.join(weak)}{with_ciphers}."
    elif not (tunnel.ike_versions and tunnel.encryption and tunnel.integrity and tunnel.dh_groups):
        yield (
            Severity.LOW,
            f"The {where} does not limit all of its options: AWS's defaults accept IKEv1, SHA1 and group 2.",
        )


def _doubt(path: HybridPath) -> Gap | None:
    """Return why there may be further ways."""
    if path.gaps or not path.undecided:
        return next(iter(path.gaps), None)
    text = f"The way from premises to DynamoDB cannot be followed to its end: {'; '.join(path.undecided)}."
    return Gap(Reason.UNDECIDABLE, text)


def _single(held: _Held, path: HybridPath, ignore_vpn: tuple[str, ...]) -> Iterator[Finding]:
    """Yield that a single line of Direct Connect is all there is; a declared backup takes over from it."""
    ways = {way for ways in path.reached.values() for way in ways}
    backup = any(one.id in ignore_vpn and one.state == "available" for one in held.connections)
    if len(path.connections) == 1 and not backup and not any(way.startswith("vpn-") for way in ways):
        text = f"The Direct Connect line {path.connections[0]} is the only way: nothing takes over from it."
        yield _doubt(path) or (Severity.MEDIUM, text)


def _private(held: _Held, path: HybridPath, cidrs: tuple[str, ...]) -> Iterator[Finding]:
    """Yield what is wrong with the way from premises to an interface endpoint."""
    doubt = _doubt(path)
    if path.reached:
        yield from _admission(path, cidrs, doubt)
    elif doubt is not None:
        yield doubt
    elif path.endpoints:
        names = ", ".join(path.endpoints)
        yield (
            Severity.HIGH,
            "Clients on premises use DynamoDB, and no VPN connection or Direct Connect that is up leads to the VPC of "
            f"the interface endpoint {names}.",
        )
    elif held.gateway_endpoints:
        yield (
            Severity.HIGH,
            "Clients on premises use DynamoDB, and the region has gateway endpoints only, which serve nothing that "
            "comes in through VPN, Direct Connect, peering or a transit gateway.",
        )
    else:
        yield (
            Severity.HIGH,
            "Clients on premises use DynamoDB, and the region has no available interface endpoint for DynamoDB.",
        )


def _admission(path: HybridPath, cidrs: tuple[str, ...], doubt: Gap | None) -> Iterator[Finding]:
    if not cidrs:
        text = "`on_prem_access.cidrs` names no addresses, so whether the endpoint lets clients in cannot be told."
        yield Gap(Reason.UNDECIDABLE, text)
    elif path.refused and path.unclear is not None:
        yield path.unclear
    elif path.refused and doubt is not None and len(path.reached) < len(path.endpoints):
        yield doubt  # an endpoint to which no way is known may be the one that lets them in
    elif path.refused:
        severity = Severity.HIGH if len(path.refused) == len(cidrs) else Severity.MEDIUM
        names, refused = ", ".join(path.reached), ", ".join(path.refused)
        yield severity, f"The security groups of the interface endpoint {names} do not let {refused} in on port 443."
