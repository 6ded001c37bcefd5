"""Which way workloads reach DynamoDB, and which route tables its endpoints serve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor import Status, engine, packs
from auditor.analysis.network import is_dynamodb_service, is_workload, subnet_path, vpc_coverage
from auditor.config import Config
from auditor.facts import (
    BlockPublicAccess,
    DaxClusterNames,
    Endpoint,
    Gap,
    NatGateway,
    NatGateways,
    NetworkInterface,
    NetworkInterfaces,
    PrefixList,
    PrefixLists,
    Reason,
    RegionScope,
    Route,
    RouteTable,
    RouteTables,
    SubnetInfo,
    SubnetPath,
    Subnets,
    TableNames,
    VpcCoverage,
    VpcDns,
    VpcEndpoints,
    VpcInfo,
    Vpcs,
)
from auditor.inventory import Caller, Inventory, Scope
from auditor.resources import Account, Region, Subnet, Vpc
from tests.rules import ACCOUNT, REGION, SUBNET, TABLE, VPC, load

SERVICE = "com.amazonaws.eu-west-1.dynamodb"
OTHER_REGION = Region(Account("444455556666"), "eu-west-1")
DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "ec2:Something")
ABSENT = Gap(Reason.PARTIAL_DATA, "Not part of this audit.")
NAT_SUBNET = Subnet(REGION, "subnet-nat")

PUBLIC = NetworkInterface("eni-1", SUBNET, "vpc-1", "interface", "in-use", public_ip="198.51.100.7")
PRIVATE = replace(PUBLIC, public_ip=None)
GATEWAY = Endpoint("vpce-1", "vpc-1", "Gateway", SERVICE, "available", ("rtb-1",))
INTERFACE = Endpoint("vpce-2", "vpc-1", "Interface", SERVICE, "available")
S3 = Endpoint("vpce-3", "vpc-1", "Gateway", "com.amazonaws.eu-west-1.s3", "available", ("rtb-1",))
NAT = NatGateway("nat-1", "vpc-1", "public", "available", "subnet-nat")
DYNAMODB = PrefixList("pl-ddb", SERVICE, "AWS", ("52.94.0.0/22", "52.119.224.0/20"))
OWN = PrefixList("pl-own", "partners", ACCOUNT.id, ("52.94.1.0/24",))
HERE = SubnetInfo(SUBNET, "vpc-1", block_public_access="off")
THERE = SubnetInfo(NAT_SUBNET, "vpc-1", block_public_access="off")

TO_ENDPOINT, TO_NAT = Route("pl-ddb", "vpce-1"), Route("0.0.0.0/0", "nat-1")
TO_IGW, TO_TGW = Route("0.0.0.0/0", "igw-1"), Route("0.0.0.0/0", "tgw-1")


def table(*routes: Route, subnet_ids: tuple[str, ...] = (), main: bool = True, name: str = "rtb-1") -> RouteTable:
    return RouteTable(name, "vpc-1", main, subnet_ids, routes)


def find(*routes: Route, subnet: Subnet = SUBNET, **given: Any) -> SubnetPath | Gap:
    """Ask for the path of a subnet with a public workload in a main table with these routes."""
    facts: dict[str, Any] = {
        "config": Config(),
        "interfaces": {REGION: NetworkInterfaces((PUBLIC,))},
        "own_interfaces": NetworkInterfaces((PUBLIC,)),
        "subnets": Subnets((HERE, THERE)),
        "vpcs": Vpcs((VpcInfo(VPC, default=False),)),
        "tables": RouteTables((table(*routes),)),
        "endpoints": VpcEndpoints((GATEWAY, S3)),
        "gateways": NatGateways((NAT,)),
        "lists": PrefixLists((DYNAMODB, OWN)),
        "blocking": BlockPublicAccess("off"),
    }
    answer: SubnetPath | Gap = subnet_path(subnet, **{**facts, **given})
    return answer


def path(*routes: Route, **given: Any) -> str:
    found = find(*routes, **given)
    return found.path if isinstance(found, SubnetPath) else "gap"


def workloads(*interfaces: NetworkInterface) -> Mapping[Region, NetworkInterfaces | Gap]:
    return {REGION: NetworkInterfaces(interfaces)}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"status": "available"}, False),
        ({"requester_managed": True}, False),
        ({"requester_managed": True, "instance_id": "i-1"}, True),
        ({"requester_managed": True, "description": "arn:aws:ecs:eu-west-1:1:attachment/x"}, True),
        ({"requester_managed": True, "description": "arn:aws-eusc:ecs:eusc-de-east-1:1:attachment/x"}, True),
        ({"requester_managed": True, "description": "aws-K8S-i-1"}, True),
        ({"requester_managed": True, "description": "Amazon EKS shop"}, True),
        ({"requester_managed": True, "description": "RDSNetworkInterface"}, False),
        ({"type": "lambda", "requester_managed": True}, True),
        ({"type": "efa"}, True),
        ({"type": "branch", "requester_managed": True}, True),
        *[
            ({"type": one}, False)
            for one in ("natGateway", "nat_gateway", "vpc_endpoint", "load_balancer", "quicksight")
        ],
        ({"type": "transit_gateway"}, False),
    ],
)
def test_which_interfaces_are_workloads(changes: dict[str, Any], expected: bool) -> None:
    assert is_workload(replace(PRIVATE, **changes)) is expected


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        (SERVICE, True),
        ("com.amazonaws.eu-west-1.dynamodb-fips", True),
        ("eu.amazonaws.eu-west-1.dynamodb", True),
        ("cn.com.amazonaws.eu-west-1.dynamodb", True),
        ("com.amazonaws.eu-west-1.dynamodb-streams", False),
        ("com.amazonaws.eu-west-2.dynamodb", False),
        ("com.amazonaws.eu-west-1.s3", False),
        ("com.amazonaws.vpce.eu-west-1.vpce-svc-1.dynamodb", False),
    ],
)
def test_service_names_are_dynamodbs_in_every_partition_and_nothing_else(service: str, expected: bool) -> None:
    assert is_dynamodb_service(service, "eu-west-1") is expected


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ((), ("isolated",)),
        ((Route("10.0.0.0/16", "local"),), ("isolated",)),
        ((TO_ENDPOINT,), ("endpoint",)),
        ((TO_ENDPOINT, TO_IGW), ("endpoint",)),
        ((TO_IGW,), ("igw",)),
        ((TO_NAT,), ("nat",)),
        ((TO_TGW,), ("other",)),
        ((Route("0.0.0.0/0", ""),), ("other",)),
        ((Route("0.0.0.0/0", "pcx-1"),), ("other",)),
        ((Route("0.0.0.0/0", "vgw-1", propagated=True),), ("other",)),
        ((Route("0.0.0.0/0", "vpce-gwlb"),), ("other",)),
        ((TO_ENDPOINT, Route("52.94.1.0/24", "igw-1")), ("igw", "endpoint")),
        ((TO_ENDPOINT, Route("pl-own", "nat-1")), ("nat", "endpoint")),
        ((TO_ENDPOINT, Route("52.94.0.0/22", "nat-1"), Route("52.119.224.0/20", "tgw-1")), ("other", "nat")),
        ((replace(TO_ENDPOINT, active=False), TO_NAT), ("nat",)),
        ((replace(TO_NAT, active=False),), ("isolated",)),
        ((Route("52.94.0.0/22", "vpce-1"),), ("endpoint", "isolated")),
        ((Route("::/0", "igw-1"),), ("isolated",)),
        ((Route("::/0", "eigw-1"), TO_ENDPOINT), ("endpoint",)),
    ],
)
def test_routes_lead_to_paths_worst_first(routes: tuple[Route, ...], expected: tuple[str, ...]) -> None:
    found = find(*routes)
    assert isinstance(found, SubnetPath)
    assert (found.paths, found.path, found.gap) == (expected, expected[0], None)


def test_the_evidence_names_the_table_the_matched_routes_and_the_public_interfaces() -> None:
    found = find(TO_ENDPOINT, Route("52.94.1.0/24", "igw-1"))
    assert isinstance(found, SubnetPath)
    assert found.vpc_id == "vpc-1"
    assert found.evidence["RouteTableId"] == "rtb-1"
    routes = found.evidence["routes"]
    assert isinstance(routes, list)
    assert routes[0] == {"block": "52.94.1.0/24", "destination": "52.94.1.0/24", "target": "igw-1"}
    assert (found.evidence["publicInterfaces"], found.evidence["workloadInterfaces"]) == (1, 1)


def test_an_explicit_association_wins_over_the_main_table() -> None:
    main, own = table(TO_IGW), table(TO_ENDPOINT, subnet_ids=("subnet-1",), main=False, name="rtb-2")
    assert path(tables=RouteTables((main, own))) == "endpoint"
    elsewhere = replace(own, subnet_ids=("subnet-9",))
    assert path(tables=RouteTables((main, elsewhere))) == "igw"
    assert path(tables=RouteTables((replace(main, vpc_id="vpc-9"),))) == "gap"


def test_an_internet_gateway_is_no_way_without_a_public_workload() -> None:
    assert path(TO_IGW, interfaces=workloads(PRIVATE)) == "isolated"
    unused = replace(PUBLIC, id="eni-2", type="natGateway")
    assert path(TO_IGW, interfaces=workloads(PRIVATE, unused)) == "isolated"


def modes(here: str | None, there: str | None = "off") -> Subnets:
    return Subnets((replace(HERE, block_public_access=here), replace(THERE, block_public_access=there)))


@pytest.mark.parametrize(
    ("here", "there", "region", "by_igw", "by_nat"),
    [
        ("off", "off", "off", "igw", "nat"),
        ("block-ingress", "block-ingress", "off", "isolated", "nat"),
        ("block-bidirectional", "block-bidirectional", "off", "isolated", "isolated"),
        ("off", "off", "block-bidirectional", "igw", "nat"),
        ("block-bidirectional", "off", "block-bidirectional", "isolated", "nat"),
        ("off", "block-bidirectional", "block-bidirectional", "igw", "isolated"),
        (None, None, "off", "igw", "nat"),
        (None, None, "block-ingress", "gap", "gap"),
        (None, None, "block-bidirectional", "gap", "gap"),
    ],
)
def test_block_public_access_follows_each_subnets_own_state_which_knows_of_exclusions(
    here: str | None, there: str | None, region: str, by_igw: str, by_nat: str
) -> None:
    given = {"subnets": modes(here, there), "blocking": BlockPublicAccess(region)}
    assert (path(TO_IGW, **given), path(TO_NAT, **given)) == (by_igw, by_nat)


def test_a_regional_nat_gateway_follows_the_workloads_own_subnet() -> None:
    regional = NatGateways((replace(NAT, subnet_id=None),))
    assert path(TO_NAT, gateways=regional) == "nat"
    assert path(TO_NAT, gateways=regional, subnets=modes("block-bidirectional")) == "isolated"


def test_private_and_unlisted_nat_gateways_lead_elsewhere() -> None:
    assert path(TO_NAT, gateways=NatGateways((replace(NAT, connectivity="private"),))) == "other"
    assert path(TO_NAT, gateways=NatGateways(())) == "other"


def test_an_instance_that_forwards_is_a_nat() -> None:
    forwarder = NetworkInterface(
        "eni-9", NAT_SUBNET, "vpc-1", "interface", "in-use", instance_id="i-9", source_dest_check=False
    )
    held = {"own_interfaces": NetworkInterfaces((PUBLIC, forwarder))}
    checked = {"own_interfaces": NetworkInterfaces((PUBLIC, replace(forwarder, source_dest_check=True)))}
    for target in ("eni-9", "i-9"):
        route = Route("0.0.0.0/0", target)
        assert path(route, **held) == "nat"
        assert path(route, **checked) == "other"
        assert path(route, **held, subnets=modes("off", "block-ingress")) == "isolated"
        assert path(route, own_interfaces=DENIED) == "gap"


@pytest.mark.parametrize(("declared", "expected"), [("nat", "nat"), ("endpoint", "endpoint"), ("isolated", "isolated")])
def test_trusted_egress_says_what_is_behind_a_hop(declared: Any, expected: str) -> None:
    found = find(TO_TGW, config=Config(trusted_egress={"tgw-1": declared}))
    assert isinstance(found, SubnetPath)
    assert (found.path, found.evidence["trusted_egress"]) == (expected, "tgw-1")
    assert path(TO_TGW, config=Config(trusted_egress={"tgw-2": declared})) == "other"


@pytest.mark.parametrize("state", ["pending", "failed", "rejected", "deleting"])
def test_a_gateway_endpoint_that_is_not_available_is_no_way(state: str) -> None:
    found = find(TO_ENDPOINT, TO_IGW, endpoints=VpcEndpoints((replace(GATEWAY, state=state),)))
    assert isinstance(found, SubnetPath)
    assert (found.path, found.evidence["State"]) == ("isolated", {"vpce-1": state})


def endpoints(*others: Endpoint) -> VpcEndpoints:
    return VpcEndpoints((GATEWAY, S3, *others))


def test_an_interface_endpoint_alone_changes_nothing_unless_it_is_the_only_way_or_declared() -> None:
    with_interface = endpoints(INTERFACE)
    found = find(TO_NAT, endpoints=with_interface)
    assert isinstance(found, SubnetPath)
    assert found.path == "nat"
    assert found.evidence["interfaceEndpoints"] == {"vpce-2": "available"}
    assert "endpoint_url" in str(found.evidence["note"])
    assert path(endpoints=with_interface) == "endpoint"
    declared = find(TO_NAT, endpoints=with_interface, config=Config(clients_use_interface_endpoint=("vpc-1",)))
    assert isinstance(declared, SubnetPath)
    assert (declared.paths, declared.evidence["attested"]) == (("endpoint",), "vpc-1")
    elsewhere = Config(clients_use_interface_endpoint=("vpc-9",))
    assert path(TO_NAT, endpoints=with_interface, config=elsewhere) == "nat"
    assert path(TO_NAT, endpoints=endpoints(replace(INTERFACE, private_dns=True))) == "endpoint"


@pytest.mark.parametrize(
    "changes", [{"state": "pending"}, {"vpc_id": "vpc-9"}, {"service_region": "us-east-1"}, {"service": S3.service}]
)
def test_an_interface_endpoint_that_cannot_serve_is_none(changes: dict[str, Any]) -> None:
    config = Config(clients_use_interface_endpoint=("vpc-1",))
    assert path(endpoints=endpoints(replace(INTERFACE, **changes)), config=config) == "isolated"


def test_an_interface_endpoint_does_not_hide_that_another_way_is_not_known() -> None:
    assert path(TO_NAT, endpoints=endpoints(INTERFACE), gateways=DENIED) == "gap"
    assert path(Route("52.94.0.0/22", "nat-1"), endpoints=endpoints(INTERFACE), gateways=DENIED) == "gap"


@pytest.mark.parametrize("fact", ["tables", "endpoints", "lists"])
def test_without_tables_endpoints_or_addresses_nothing_is_known(fact: str) -> None:
    missing: dict[str, Any] = {fact: DENIED}
    assert find(TO_ENDPOINT, **missing) == DENIED


def test_a_missing_fact_about_one_hop_matters_only_where_the_hop_does() -> None:
    assert find(TO_NAT, gateways=DENIED) == DENIED
    assert find(TO_IGW, subnets=modes(None), blocking=DENIED) == DENIED
    assert path(TO_ENDPOINT, gateways=DENIED, blocking=DENIED, own_interfaces=DENIED, subnets=DENIED) == "endpoint"
    mixed = find(Route("52.94.0.0/22", "igw-1"), TO_NAT, gateways=DENIED)
    assert isinstance(mixed, SubnetPath)
    assert (mixed.paths, mixed.gap) == (("igw",), DENIED)


def test_a_prefix_list_of_unknown_blocks_leaves_only_what_it_cannot_change() -> None:
    lists = PrefixLists((DYNAMODB,))
    gap = find(TO_ENDPOINT, Route("pl-own", "nat-1"), lists=lists)
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.action) == (Reason.PARTIAL_DATA, "ec2:GetManagedPrefixListEntries")
    assert path(TO_IGW, Route("pl-own", "nat-1"), lists=lists) == "gap"
    assert path(TO_NAT, Route("pl-own", "nat-1"), lists=lists) == "nat"
    assert path(TO_ENDPOINT, Route("pl-s3", "vpce-3"), lists=lists) == "endpoint"
    assert path(TO_ENDPOINT, Route("pl-own", "nat-1", active=False), lists=lists) == "endpoint"


def test_other_lists_of_aws_are_known_to_hold_none_of_dynamodbs_addresses() -> None:
    lattice = PrefixList("pl-lattice", "com.amazonaws.eu-west-1.vpc-lattice", "AWS", ())
    assert path(TO_ENDPOINT, Route("pl-lattice", "VpcLattice"), lists=PrefixLists((DYNAMODB, lattice))) == "endpoint"


@pytest.mark.parametrize(
    "lists",
    [
        (),
        (replace(DYNAMODB, owner=ACCOUNT.id),),
        (replace(DYNAMODB, name="com.amazonaws.us-east-1.dynamodb"),),
        (replace(DYNAMODB, cidrs=("2600:1f00::/24",)),),
    ],
)
def test_without_dynamodbs_own_list_nothing_is_known(lists: tuple[PrefixList, ...]) -> None:
    assert path(TO_ENDPOINT, lists=PrefixLists(lists)) == "gap"


def test_equal_prefix_list_routes_that_lead_apart_are_not_decided() -> None:
    same = PrefixLists((DYNAMODB, replace(OWN, cidrs=DYNAMODB.cidrs)))
    assert path(TO_ENDPOINT, Route("pl-own", "nat-1"), lists=same) == "other"
    assert path(TO_ENDPOINT, Route("pl-own", "vpce-1"), lists=same) == "endpoint"
    assert path(TO_ENDPOINT, Route("pl-own", "nat-1"), lists=same, gateways=DENIED) == "gap"


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ((), "none"),
        ((Route("::/0", "igw-1"),), "igw"),
        ((Route("::/0", "eigw-1"),), "egress-only internet gateway"),
        ((Route("::/0", "tgw-1"),), "other"),
        ((Route("::/0", "igw-1", active=False),), "none"),
    ],
)
def test_ipv6_is_evidence_and_changes_no_path(routes: tuple[Route, ...], expected: str) -> None:
    dual = Subnets((replace(HERE, ipv6=True), THERE))
    found = find(TO_ENDPOINT, *routes, subnets=dual)
    assert isinstance(found, SubnetPath)
    assert (found.path, found.evidence["ipv6_path"]) == ("endpoint", expected)
    single = find(TO_ENDPOINT, *routes)
    assert isinstance(single, SubnetPath)
    assert "ipv6_path" not in single.evidence


def test_a_subnet_without_workloads_is_settled_whatever_else_is_missing() -> None:
    for held in (workloads(), workloads(replace(PUBLIC, subnet=NAT_SUBNET))):
        assert find(TO_IGW, interfaces=held, tables=DENIED, lists=DENIED) == SubnetPath(workload=False)
    assert find(TO_IGW, interfaces={REGION: DENIED}) == DENIED


def test_another_accounts_missing_interfaces_do_not_spoil_an_owners_answer() -> None:
    both = {REGION: NetworkInterfaces((PUBLIC,)), OTHER_REGION: DENIED}
    assert path(TO_ENDPOINT, interfaces=both) == "endpoint"
    seen_twice = find(TO_IGW, interfaces={**workloads(PUBLIC), OTHER_REGION: NetworkInterfaces((PUBLIC,))})
    assert isinstance(seen_twice, SubnetPath)
    assert seen_twice.evidence["publicInterfaces"] == 1


def test_a_subnet_that_another_account_shares_is_judged_once_under_its_owner() -> None:
    shared = Subnet(OTHER_REGION, "subnet-1")
    listed = Subnets((SubnetInfo(shared, "vpc-1"),))
    assert find(TO_IGW, subnets=listed) == SubnetPath(workload=False)
    gap = find(subnet=shared, subnets=ABSENT, vpcs=ABSENT, tables=ABSENT, endpoints=ABSENT, lists=ABSENT)
    assert isinstance(gap, Gap)
    assert gap.reason is Reason.PARTIAL_DATA
    assert "444455556666" in gap.detail
    assert find(subnet=shared, subnets=listed, tables=DENIED) == DENIED


def test_who_owns_a_subnet_must_be_known_from_the_subnets_or_the_vpcs() -> None:
    theirs = Vpcs((VpcInfo(Vpc(OTHER_REGION, "vpc-1"), default=False),))
    assert path(TO_ENDPOINT, subnets=DENIED) == "endpoint"
    assert find(TO_ENDPOINT, subnets=DENIED, vpcs=theirs) == DENIED
    assert find(TO_ENDPOINT, subnets=DENIED, vpcs=DENIED) == DENIED


inner_routes = st.lists(
    st.builds(
        Route,
        st.sampled_from(["52.94.0.0/23", "52.94.2.0/24", "52.119.224.0/21", "0.0.0.0/0", "pl-own", "52.0.0.0/8"]),
        st.sampled_from(["igw-1", "nat-1", "tgw-1", "local", "pcx-1"]),
        st.booleans(),
    ),
    unique_by=lambda route: route.destination,
)
judge = load("network-subnet-path")


@given(inner_routes)
def test_removing_the_endpoints_route_never_mends_a_failure(routes: list[Route]) -> None:
    listed = Subnets((HERE, THERE))
    before, after = (judge(SUBNET, find(*chosen), listed) for chosen in ([TO_ENDPOINT, *routes], routes))
    if before.status is Status.FAIL:
        assert after.status is Status.FAIL
    assert after.status is not Status.PASS


@given(inner_routes, st.randoms(use_true_random=False))
def test_the_order_of_routes_does_not_change_the_paths(routes: list[Route], random: Any) -> None:
    shuffled = [TO_ENDPOINT, *routes]
    random.shuffle(shuffled)
    found, again = find(TO_ENDPOINT, *routes), find(*shuffled)
    assert isinstance(found, SubnetPath)
    assert isinstance(again, SubnetPath)
    assert (found.paths, found.evidence["routes"]) == (again.paths, again.evidence["routes"])


def cover(vpc: Vpc = VPC, **given: Any) -> VpcCoverage | Gap:
    facts: dict[str, Any] = {
        "interfaces": workloads(PUBLIC),
        "vpcs": Vpcs((VpcInfo(VPC, default=False),)),
        "subnets": Subnets((HERE, THERE)),
        "tables": RouteTables((table(TO_ENDPOINT),)),
        "endpoints": VpcEndpoints((GATEWAY, INTERFACE, S3)),
        "paths": {SUBNET: SubnetPath(True, "endpoint", ("endpoint",))},
    }
    answer: VpcCoverage | Gap = vpc_coverage(vpc, **{**facts, **given})
    return answer


def covered(**given: Any) -> VpcCoverage:
    found = cover(**given)
    assert isinstance(found, VpcCoverage)
    return found


def test_a_workload_route_table_with_the_endpoints_route_is_covered() -> None:
    assert covered() == VpcCoverage(("subnet-1",), False, ("rtb-1",), (GATEWAY,), (INTERFACE,), ())


def test_only_route_tables_of_workload_subnets_count() -> None:
    main = table(TO_ENDPOINT)
    own = table(TO_NAT, subnet_ids=("subnet-1",), main=False, name="rtb-2")
    only_main = covered(tables=RouteTables((main, own)))
    assert (only_main.route_tables, only_main.uncovered) == (("rtb-2",), ("rtb-2",))
    empty = replace(own, subnet_ids=("subnet-nat",))
    assert covered(tables=RouteTables((main, empty))).uncovered == ()


@pytest.mark.parametrize(
    ("routes", "endpoint", "uncovered"),
    [
        ((TO_ENDPOINT,), replace(GATEWAY, route_table_ids=()), ()),
        ((TO_NAT,), GATEWAY, ()),
        ((TO_NAT,), replace(GATEWAY, route_table_ids=("rtb-9",)), ("rtb-1",)),
        ((replace(TO_ENDPOINT, active=False),), GATEWAY, ("rtb-1",)),
        ((TO_ENDPOINT,), replace(GATEWAY, state="failed"), ("rtb-1",)),
        ((Route("pl-s3", "vpce-3"),), S3, ("rtb-1",)),
    ],
)
def test_a_route_or_else_an_association_with_an_available_endpoint_covers(
    routes: tuple[Route, ...], endpoint: Endpoint, uncovered: tuple[str, ...]
) -> None:
    found = covered(tables=RouteTables((table(*routes),)), endpoints=VpcEndpoints((endpoint,)))
    assert found.uncovered == uncovered


ISOLATED = {SUBNET: SubnetPath(True, "isolated", ("isolated",))}


@pytest.mark.parametrize(
    ("paths", "held", "isolated"),
    [
        (ISOLATED, (), True),
        (ISOLATED, (GATEWAY,), True),
        (ISOLATED, (replace(GATEWAY, state="failed"),), False),
        (ISOLATED, (replace(GATEWAY, state="rejected"), GATEWAY), True),
        (ISOLATED, (replace(GATEWAY, state="deleted"),), True),
        ({SUBNET: SubnetPath(True, "nat", ("nat",))}, (), False),
        ({SUBNET: DENIED}, (), DENIED),
        ({}, (), False),
        ({**ISOLATED, Subnet(OTHER_REGION, "subnet-1"): SubnetPath(workload=False)}, (), True),
        ({**ISOLATED, Subnet(REGION, "subnet-9"): SubnetPath(True, "igw", ("igw",))}, (), True),
    ],
)
def test_isolated_means_that_no_workload_has_a_way_and_not_for_a_broken_endpoint(
    paths: Any, held: tuple[Endpoint, ...], isolated: bool | Gap
) -> None:
    assert covered(paths=paths, endpoints=VpcEndpoints(held)).isolated == isolated


def test_a_vpc_without_workloads_is_settled_whatever_else_is_missing() -> None:
    assert cover(interfaces=workloads(), tables=DENIED, endpoints=DENIED, vpcs=DENIED) == VpcCoverage(())


@pytest.mark.parametrize("given", [{"interfaces": {REGION: DENIED}}, {"tables": DENIED}, {"endpoints": DENIED}])
def test_what_is_missing_about_a_vpc_with_workloads_is_a_gap(given: dict[str, Any]) -> None:
    assert cover(**given) == DENIED


def test_a_vpc_without_a_returned_route_table_is_a_gap() -> None:
    assert isinstance(cover(tables=RouteTables(())), Gap)


def test_who_owns_a_vpc_must_be_known_from_the_vpcs_or_the_subnets() -> None:
    theirs = Vpcs((VpcInfo(Vpc(OTHER_REGION, "vpc-1"), default=False),))
    their_subnets = Subnets((SubnetInfo(Subnet(OTHER_REGION, "subnet-1"), "vpc-1"),))
    assert cover(vpcs=theirs, subnets=DENIED) == VpcCoverage(())
    assert cover(vpcs=DENIED, subnets=their_subnets) == VpcCoverage(())
    assert covered(vpcs=DENIED).uncovered == ()
    assert cover(vpcs=DENIED, subnets=DENIED) == DENIED


def run(*facts: Any) -> dict[tuple[str, str], str]:
    """Judge the network rules on an inventory with these facts about the region, or (fact, gap)."""
    inventory = Inventory(Caller(ACCOUNT.id, "arn"), (Scope(ACCOUNT, "", (REGION,)),))
    inventory.put(ACCOUNT, RegionScope((REGION,), chosen=True))
    inventory.put(REGION, TableNames((TABLE,)))
    inventory.put(REGION, DaxClusterNames(()))
    for fact in facts:
        if isinstance(fact, tuple):
            inventory.put_gap(REGION, *fact)
        else:
            inventory.put(REGION, fact)
    inventory.put(VPC, VpcDns(support=True, hostnames=True))
    rules = packs.select(packs.built_in(), ("network-subnet-path", "network-vpc-endpoint"))
    findings = engine.judge(inventory, rules, Config()).findings
    return {(one.rule, one.resource.arn): one.status.value for one in findings}


OTHERS = (
    RouteTables((table(TO_ENDPOINT),)),
    VpcEndpoints((GATEWAY,)),
    NatGateways(()),
    PrefixLists((DYNAMODB,)),
    BlockPublicAccess("off"),
    NetworkInterfaces((PUBLIC,)),
)
LISTINGS = (Subnets((HERE, THERE)), Vpcs((VpcInfo(VPC, default=False),)))


def test_the_engine_judges_workload_subnets_and_vpcs_and_no_others() -> None:
    idle = Vpcs((VpcInfo(VPC, default=False), VpcInfo(Vpc(REGION, "vpc-default"), default=True)))
    assert run(*OTHERS, LISTINGS[0], idle) == {
        ("network-subnet-path", SUBNET.arn): "pass",
        ("network-vpc-endpoint", VPC.arn): "pass",
    }


def test_denied_listings_are_unknown_on_the_region_and_known_resources_stay() -> None:
    found = run(*OTHERS, LISTINGS[1], (Subnets, DENIED))
    assert found["network-subnet-path", REGION.arn] == "unknown"
    assert found["network-subnet-path", SUBNET.arn] == "pass"
    found = run(*OTHERS, LISTINGS[0], (Vpcs, DENIED))
    assert found["network-vpc-endpoint", REGION.arn] == "unknown"
    assert found["network-vpc-endpoint", VPC.arn] == "pass"


def test_a_shared_vpc_and_its_subnet_are_unknown_once_each_under_their_owner() -> None:
    theirs, their_vpc = Subnet(OTHER_REGION, "subnet-1"), Vpc(OTHER_REGION, "vpc-1")
    listings = (Subnets((SubnetInfo(theirs, "vpc-1"),)), Vpcs((VpcInfo(their_vpc, default=False),)))
    assert run(*OTHERS, *listings) == {
        ("network-subnet-path", theirs.arn): "unknown",
        ("network-vpc-endpoint", their_vpc.arn): "unknown",
    }
