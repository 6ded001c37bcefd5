"""network-hybrid-connectivity: a finding a region that has something, one on the account where none has."""

from dataclasses import replace
from typing import Any

import pytest

from auditor import Severity, Status, Verdict
from auditor.config import Config, OnPremAccess
from auditor.facts import (
    CustomerGateways,
    DirectConnection,
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
from auditor.resources import Account, Region, VpcEndpoint
from tests.rules import ACCOUNT, REGION, load

judge: Any = load("network-hybrid-connectivity")

CIDRS = ("172.16.0.0/20",)
DECLARED = Config(on_prem_access=OnPremAccess(declared=True, cidrs=CIDRS))
FRANKFURT, OTHER = Region(ACCOUNT, "eu-central-1"), Region(Account("222233334444"), "eu-west-1")
DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "ec2:DescribeVpnConnections")
LISTING = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListTables")
STRONG = VpnTunnel(
    "203.0.113.1",
    "UP",
    ike_versions=("ikev2",),
    encryption=("AES256-GCM-16",),
    integrity=("SHA2-384",),
    dh_groups=(20,),
)
OFFICE = VpnConnection(
    "vpn-1", "available", vpn_gateway="vgw-1", tunnels=(STRONG, replace(STRONG, address="203.0.113.2"))
)
VIF = VirtualInterface("dxvif-1", "private", "available", ("up",), "dxcon-1", "dxgw-1")
PUBLIC = VirtualInterface("dxvif-9", "public", "available", ("up",), "dxcon-9")
INTERFACE = Endpoint("vpce-1", "vpc-1", "Interface", "com.amazonaws.eu-west-1.dynamodb", "available")
GATEWAY = replace(INTERFACE, id="vpce-2", type="Gateway", resource=VpcEndpoint(REGION, "vpce-2"))
REACHED = HybridPath(("vpce-1",), {"vpce-1": ("vpn-1",)})


def ask(
    *connections: VpnConnection,
    customers: tuple[str, ...] = (),
    interfaces: tuple[VirtualInterface, ...] = (),
    endpoints: tuple[Endpoint, ...] = (),
    facts: dict[str, Any] | None = None,
    path: HybridPath | Gap | None = None,
    config: Config = DECLARED,
    ignore_vpn: tuple[str, ...] = (),
    **more: Any,
) -> list[Verdict]:
    """Judge an account with one region in use; ``facts`` and what else is given replace whole facts."""
    given: dict[str, Any] = {
        "uses": {REGION: RegionUse(True), FRANKFURT: RegionUse(False)},
        "vpns": {REGION: VpnConnections(connections)},
        "customers": {REGION: CustomerGateways(customers)},
        "interfaces": {REGION: VirtualInterfaces(interfaces), FRANKFURT: VirtualInterfaces(())},
        "lines": {REGION: DirectConnections(())},
        "endpoints": {REGION: VpcEndpoints(endpoints)},
        "paths": {REGION: path or HybridPath()},
        **(facts or {}),
        **more,
    }
    return list(judge(ACCOUNT, config, **given, ignore_vpn=ignore_vpn))


def one(*connections: VpnConnection, **given: Any) -> Verdict:
    """Return the only finding, which is about the region."""
    (verdict,) = ask(*connections, **given)
    assert verdict.about == REGION
    return verdict


def healthy(*connections: VpnConnection, **given: Any) -> Verdict:
    """Judge connections where the way to the endpoint is all right."""
    return one(*connections, endpoints=(INTERFACE,), path=REACHED, **given)


# The way


def test_a_vpn_that_leads_to_an_interface_endpoint_which_lets_the_office_in_passes() -> None:
    verdict = healthy(OFFICE)
    assert verdict.status is Status.PASS
    assert verdict.evidence["reached"] == {"vpce-1": ["vpn-1"]}
    assert verdict.evidence["VpnConnections"][0]["tunnels"][0]["IkeVersions"] == ["ikev2"]


def test_direct_connect_with_two_lines_passes_and_shows_how_the_lines_are_encrypted() -> None:
    second = replace(VIF, id="dxvif-2", connection="dxcon-2")
    path = HybridPath(("vpce-1",), {"vpce-1": ("dxvif-1", "dxvif-2")}, connections=("dxcon-1", "dxcon-2"))
    lines = DirectConnections((DirectConnection("dxcon-1", "available", "Encryption Up", "must_encrypt"),))
    verdict = one(interfaces=(VIF, second), endpoints=(INTERFACE,), path=path, lines={REGION: lines})
    assert verdict.status is Status.PASS
    assert verdict.evidence["connections"][0]["encryptionMode"] == "must_encrypt"
    # Evidence only: without it the verdict stays.
    assert (
        one(interfaces=(VIF, second), endpoints=(INTERFACE,), path=path, lines={REGION: DENIED}).status is Status.PASS
    )


def test_a_single_line_is_a_single_path_unless_a_vpn_stands_by() -> None:
    alone = HybridPath(("vpce-1",), {"vpce-1": ("dxvif-1",)}, connections=("dxcon-1",))
    verdict = one(interfaces=(VIF,), endpoints=(INTERFACE,), path=alone)
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.MEDIUM)
    assert "dxcon-1" in verdict.message
    backed = replace(alone, reached={"vpce-1": ("dxvif-1", "vpn-1")})
    assert one(OFFICE, interfaces=(VIF,), endpoints=(INTERFACE,), path=backed).status is Status.PASS
    # A further way may be there that was not seen.
    for more in ({"gaps": (DENIED,)}, {"undecided": ("a peering",)}):
        unseen = replace(alone, **more)
        assert one(interfaces=(VIF,), endpoints=(INTERFACE,), path=unseen).status is Status.UNKNOWN


def test_a_vpn_that_leads_to_no_interface_endpoint_fails_high() -> None:
    verdict = one(OFFICE, endpoints=(INTERFACE,), path=HybridPath(("vpce-1",)))
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.HIGH)
    assert "leads to the VPC of the interface endpoint vpce-1" in verdict.message


def test_a_gateway_endpoint_serves_nothing_that_comes_in_from_premises() -> None:
    verdict = one(OFFICE, endpoints=(GATEWAY,))
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.HIGH)
    assert "gateway endpoints only" in verdict.message
    assert "gateway endpoints only" not in one(OFFICE).message


def test_an_interface_endpoint_that_nothing_leads_to_fails_high() -> None:
    verdict = one(endpoints=(INTERFACE,), path=HybridPath(("vpce-1",)))
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.HIGH)


@pytest.mark.parametrize(("refused", "severity"), [(CIDRS, Severity.HIGH), (("172.16.32.0/20",), Severity.MEDIUM)])
def test_addresses_that_the_endpoint_does_not_let_in_fail(refused: tuple[str, ...], severity: Severity) -> None:
    config = Config(on_prem_access=OnPremAccess(declared=True, cidrs=tuple({*CIDRS, *refused})))
    verdict = one(OFFICE, endpoints=(INTERFACE,), path=replace(REACHED, refused=refused), config=config)
    assert (verdict.status, verdict.severity) == (Status.FAIL, severity)
    assert refused[0] in verdict.message


def test_what_the_endpoint_lets_in_may_not_be_known() -> None:
    unread = replace(REACHED, refused=CIDRS, unclear=DENIED)
    assert one(OFFICE, endpoints=(INTERFACE,), path=unread).missing_permission == "ec2:DescribeVpnConnections"
    second = replace(REACHED, endpoints=("vpce-1", "vpce-3"), refused=CIDRS, undecided=("a peering",))
    assert one(OFFICE, endpoints=(INTERFACE,), path=second).status is Status.UNKNOWN
    nowhere = Config(on_prem_access=OnPremAccess(declared=True))
    verdict = one(OFFICE, endpoints=(INTERFACE,), path=REACHED, config=nowhere)
    assert (verdict.status, verdict.reason) == (Status.UNKNOWN, "undecidable")
    assert "on_prem_access.cidrs" in verdict.message


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (HybridPath(("vpce-1",), gaps=(DENIED,)), "access_denied"),
        (HybridPath(("vpce-1",), undecided=("the transit gateway tgw-1 is another's",)), "undecidable"),
        (DENIED, "access_denied"),
    ],
)
def test_a_way_that_cannot_be_followed_is_unknown_and_no_failure(path: HybridPath | Gap, reason: str) -> None:
    verdict = one(OFFICE, endpoints=(INTERFACE,), path=path)
    assert (verdict.status, verdict.reason) == (Status.UNKNOWN, reason)
    # What is proven wrong fails all the same.
    weak = replace(OFFICE, tunnels=(replace(STRONG, ike_versions=("ikev1",)), STRONG))
    assert one(weak, endpoints=(INTERFACE,), path=path).status is Status.FAIL


def test_a_public_virtual_interface_passes_with_a_note() -> None:
    verdict = one(interfaces=(PUBLIC,), path=HybridPath(public=("dxvif-9",)))
    assert verdict.status is Status.PASS
    assert "public addresses" in verdict.message
    # In a region without tables it serves all regions.
    elsewhere = {REGION: VirtualInterfaces(()), FRANKFURT: VirtualInterfaces((PUBLIC,))}
    (account,) = ask(facts={"interfaces": elsewhere})
    assert (account.status, account.about) == (Status.PASS, None)


def test_a_public_virtual_interface_serves_those_that_no_endpoint_lets_in() -> None:
    shut = replace(REACHED, public=("dxvif-9",), refused=CIDRS)
    verdict = one(OFFICE, endpoints=(INTERFACE,), path=shut)
    assert verdict.status is Status.PASS
    assert "public addresses" in verdict.message
    assert "public addresses" not in one(OFFICE, endpoints=(INTERFACE,), path=replace(shut, refused=())).message


def test_a_public_virtual_interface_that_may_be_up_leaves_it_open() -> None:
    unclear = replace(PUBLIC, bgp=("unknown",))
    elsewhere = {"interfaces": {REGION: VirtualInterfaces(()), FRANKFURT: VirtualInterfaces((unclear,))}}
    (account,) = ask(facts=elsewhere)
    assert (account.status, account.reason, account.about) == (Status.UNKNOWN, "partial_data", None)
    shut = replace(REACHED, refused=CIDRS)
    for path in (HybridPath(), HybridPath(("vpce-1",)), shut):
        assert one(OFFICE, endpoints=(INTERFACE,), facts=elsewhere, path=path).reason == "partial_data"
    assert one(OFFICE, endpoints=(INTERFACE,), facts=elsewhere, path=REACHED).status is Status.PASS
    (foreign,) = ask(facts={"interfaces": {REGION: VirtualInterfaces(()), OTHER: VirtualInterfaces((unclear,))}})
    assert foreign.status is Status.FAIL


# The connections themselves


@pytest.mark.parametrize(
    ("tunnels", "severity"),
    [
        ((replace(STRONG, status="DOWN"), replace(STRONG, status="DOWN")), Severity.MEDIUM),
        ((STRONG, replace(STRONG, status="DOWN")), Severity.LOW),
        ((STRONG, replace(STRONG, ike_versions=("ikev1", "ikev2"))), Severity.MEDIUM),
        ((STRONG, replace(STRONG, integrity=("SHA1", "SHA2-256"), encryption=("AES128",))), Severity.MEDIUM),
        ((STRONG, replace(STRONG, dh_groups=(2, 14))), Severity.MEDIUM),
        ((STRONG, VpnTunnel("203.0.113.2", "UP")), Severity.LOW),
        ((STRONG, replace(STRONG, dh_groups=())), Severity.LOW),
    ],
)
@pytest.mark.parametrize("config", [DECLARED, Config()])
def test_tunnels_that_are_down_or_weak_fail_whether_declared_or_not(
    tunnels: tuple[VpnTunnel, ...], severity: Severity, config: Config
) -> None:
    verdict = healthy(replace(OFFICE, tunnels=tunnels), config=config)
    assert (verdict.status, verdict.severity) == (Status.FAIL, severity)
    assert "vpn-1" in verdict.message


@pytest.mark.parametrize(
    "tunnel",
    [
        replace(STRONG, encryption=("AES128",)),
        replace(STRONG, integrity=("SHA2-256",)),
        replace(STRONG, dh_groups=(14,)),
    ],
)
def test_other_algorithms_are_no_weakness(tunnel: VpnTunnel) -> None:
    assert healthy(replace(OFFICE, tunnels=(STRONG, tunnel))).status is Status.PASS


def test_a_backup_that_is_normally_down_can_be_left_out() -> None:
    backup = replace(OFFICE, id="vpn-2", tunnels=(VpnTunnel("203.0.113.3", "DOWN"), VpnTunnel("203.0.113.4", "DOWN")))
    assert healthy(OFFICE, backup).status is Status.FAIL
    assert healthy(OFFICE, backup, ignore_vpn=("vpn-2",)).status is Status.PASS
    # It is what takes over from a single line.
    alone = HybridPath(("vpce-1",), {"vpce-1": ("dxvif-1",)}, ("dxcon-1",))
    given: dict[str, Any] = {"interfaces": (VIF,), "endpoints": (INTERFACE,), "path": alone}
    assert one(backup, **given, ignore_vpn=("vpn-2",)).status is Status.PASS
    assert one(replace(backup, state="deleting"), **given, ignore_vpn=("vpn-2",)).status is Status.FAIL


@pytest.mark.parametrize(
    "tunnels", [(), (STRONG, replace(STRONG, status="")), (STRONG, replace(STRONG, described=False))]
)
def test_tunnels_that_aws_does_not_describe_are_unknown(tunnels: tuple[VpnTunnel, ...]) -> None:
    verdict = healthy(replace(OFFICE, tunnels=tunnels))
    assert (verdict.status, verdict.reason) == (Status.UNKNOWN, "partial_data")


def test_a_connection_that_is_being_made_is_not_judged() -> None:
    assert healthy(OFFICE, replace(OFFICE, id="vpn-2", state="pending", tunnels=())).status is Status.PASS


@pytest.mark.parametrize(
    ("interface", "status"),
    [
        (replace(VIF, state="down", bgp=("down",)), Status.FAIL),
        (replace(VIF, bgp=("down",)), Status.FAIL),
        (replace(VIF, bgp=()), Status.UNKNOWN),
        (replace(VIF, state="confirming", bgp=()), Status.PASS),
        (replace(VIF, bgp=("down", "up")), Status.PASS),
    ],
)
def test_a_virtual_interface_that_is_down_fails_with_medium(interface: VirtualInterface, status: Status) -> None:
    verdict = healthy(OFFICE, interfaces=(interface,))
    assert verdict.status is status
    assert verdict.severity is (Severity.MEDIUM if status is Status.FAIL else None)


def test_the_worst_problem_decides_and_all_are_evidence() -> None:
    down = (replace(STRONG, status="DOWN", ike_versions=("ikev1",)), replace(STRONG, status="DOWN"))
    verdict = one(replace(OFFICE, tunnels=down), endpoints=(INTERFACE,), path=HybridPath(("vpce-1",)))
    assert verdict.severity is Severity.HIGH
    assert len(verdict.evidence["problems"]) == 3


# What is declared


@pytest.mark.parametrize(
    "given",
    [{"customers": ("cgw-1",)}, {"interfaces": (VIF,)}, {"endpoints": (INTERFACE,), "path": HybridPath(("vpce-1",))}],
)
def test_without_a_declaration_what_was_found_is_a_hint(given: dict[str, Any]) -> None:
    verdict = one(config=Config(), **given)
    assert (verdict.status, verdict.reason) == (Status.NOT_APPLICABLE, "not_declared")


def test_a_customer_gateway_alone_is_no_way_in() -> None:
    (verdict,) = ask(customers=("cgw-1",))
    assert (verdict.status, verdict.about) == (Status.FAIL, None)


def test_with_nothing_anywhere_there_is_one_finding_on_the_account() -> None:
    (verdict,) = ask()
    assert (verdict.status, verdict.severity, verdict.about) == (Status.FAIL, Severity.HIGH, None)
    assert verdict.evidence == {"regions": ["eu-west-1"]}
    (verdict,) = ask(config=Config())
    assert (verdict.status, verdict.reason, verdict.about) == (Status.NOT_APPLICABLE, "not_declared", None)


def test_regions_without_anything_have_no_finding_beside_those_with_something() -> None:
    uses = {REGION: RegionUse(True), FRANKFURT: RegionUse(True), OTHER: RegionUse(True)}
    vpns = {REGION: VpnConnections((OFFICE,)), FRANKFURT: VpnConnections(()), OTHER: VpnConnections((OFFICE,))}
    held: dict[str, Any] = {
        "uses": uses,
        "interfaces": {one: VirtualInterfaces(()) for one in uses},
        "endpoints": {one: VpcEndpoints(()) for one in uses},
    }
    assert [one.about for one in ask(facts=held | {"vpns": vpns})] == [REGION]
    found = ask(facts=held | {"vpns": vpns | {FRANKFURT: DENIED}})
    assert [(one.about, one.status) for one in found] == [(FRANKFURT, Status.UNKNOWN), (REGION, Status.FAIL)]


def test_an_account_without_tables_has_nothing_to_reach() -> None:
    (verdict,) = ask(uses={REGION: RegionUse(False), OTHER: RegionUse(True)})
    assert verdict.status is Status.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("given", "action"),
    [
        ({"vpns": {REGION: DENIED}}, "ec2:DescribeVpnConnections"),
        ({"endpoints": {REGION: DENIED}}, "ec2:DescribeVpnConnections"),
        ({"interfaces": {REGION: VirtualInterfaces(()), FRANKFURT: DENIED}}, "ec2:DescribeVpnConnections"),
        ({"uses": {REGION: RegionUse(False), FRANKFURT: LISTING}}, "dynamodb:ListTables"),
        ({"vpns": {}}, None),
    ],
)
def test_nothing_found_is_no_failure_where_something_could_not_be_read(
    given: dict[str, Any], action: str | None
) -> None:
    (verdict,) = ask(facts=given)
    assert (verdict.status, verdict.about, verdict.missing_permission) == (Status.UNKNOWN, None, action)


def test_customer_gateways_matter_only_where_nothing_is_declared() -> None:
    denied = {"customers": {REGION: DENIED}}
    assert ask(config=Config(), facts=denied)[0].status is Status.UNKNOWN
    assert ask(facts=denied)[0].status is Status.FAIL
    # Where something is found it is reported as not declared, whatever they and the endpoints are.
    for missing in (denied, {"endpoints": {REGION: DENIED}}):
        assert one(OFFICE, config=Config(), facts=missing).reason == "not_declared"
    # What may be wrong with a way matters all the same.
    assert one(OFFICE, config=Config(), facts={"interfaces": {REGION: DENIED}}).status is Status.UNKNOWN


def test_a_public_virtual_interface_needs_no_endpoint_so_a_denied_listing_of_endpoints_is_no_matter() -> None:
    denied = {"endpoints": {REGION: DENIED}}
    open_way = HybridPath(public=("dxvif-9",), gaps=(DENIED,))
    assert one(interfaces=(PUBLIC,), facts=denied, path=open_way).status is Status.PASS
    assert one(OFFICE, facts=denied, path=HybridPath(gaps=(DENIED,))).status is Status.UNKNOWN


def test_a_region_that_may_have_tables_is_unknown_beside_those_with_something() -> None:
    found = ask(OFFICE, endpoints=(INTERFACE,), path=REACHED, uses={REGION: RegionUse(True), FRANKFURT: LISTING})
    assert {(one.about, one.status) for one in found} == {(REGION, Status.PASS), (FRANKFURT, Status.UNKNOWN)}
