"""Where the nodes of DAX clusters are."""

from typing import Any

import pytest

from auditor.analysis.dax import dax_placement
from auditor.facts import (
    DaxPlacement,
    DaxSettings,
    DaxSubnetGroup,
    DaxSubnetGroups,
    Gap,
    Reason,
    Route,
    RouteTable,
    RouteTables,
    VpcInfo,
    Vpcs,
)
from auditor.resources import Vpc
from tests.rules import CLUSTER, REGION, VPC

DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "ec2:DescribeRouteTables")
GROUPS = DaxSubnetGroups({"private": DaxSubnetGroup("vpc-1", {"subnet-2": "eu-west-1b", "subnet-1": "eu-west-1a"})})
IGW = Route("0.0.0.0/0", "igw-1")


def tables(main: tuple[Route, ...] = (), own: tuple[Route, ...] = ()) -> RouteTables:
    """Return a main table, and one of subnet-2's own."""
    explicit = RouteTable("rtb-2", "vpc-1", False, ("subnet-2",), own)
    return RouteTables((RouteTable("rtb-1", "vpc-1", True, (), main), explicit))


def place(routes: RouteTables | Gap, **given: Any) -> DaxPlacement | Gap:
    facts: dict[str, Any] = {
        "settings": DaxSettings("available", subnet_group="private"),
        "groups": GROUPS,
        "vpcs": Vpcs((VpcInfo(VPC, default=False), VpcInfo(Vpc(REGION, "vpc-2"), default=True))),
    }
    answer: DaxPlacement | Gap = dax_placement(CLUSTER, tables=routes, **{**facts, **given})
    return answer


@pytest.mark.parametrize(
    ("main", "own", "public"),
    [
        ((), (), ()),
        ((IGW,), (), (("subnet-1", "rtb-1", "0.0.0.0/0", "igw-1"),)),
        ((), (Route("::/0", "igw-1"),), (("subnet-2", "rtb-2", "::/0", "igw-1"),)),
        ((Route("0.0.0.0/0", "igw-1", active=False),), (Route("0.0.0.0/0", "nat-1"),), ()),
        ((Route("198.51.100.0/24", "igw-1"),), (Route("::/0", "eigw-1"),), ()),
    ],
)
def test_a_subnet_is_public_by_an_active_default_route_of_its_effective_table(
    main: tuple[Route, ...], own: tuple[Route, ...], public: tuple[tuple[str, ...], ...]
) -> None:
    assert place(tables(main, own)) == DaxPlacement("vpc-1", False, public, ("subnet-1", "subnet-2"))  # type: ignore[arg-type]


def test_the_default_vpc_is_told_from_others() -> None:
    default = place(tables(), vpcs=Vpcs((VpcInfo(VPC, default=True),)))
    assert isinstance(default, DaxPlacement)
    assert default.default_vpc is True


def test_what_is_missing_leaves_what_is_known() -> None:
    no_routes = place(DENIED)
    assert isinstance(no_routes, DaxPlacement)
    assert (no_routes.gap, no_routes.default_vpc, no_routes.public_subnets) == (DENIED, False, ())
    half = place(RouteTables((RouteTable("rtb-2", "vpc-1", False, ("subnet-2",), (IGW,)),)))
    assert isinstance(half, DaxPlacement)
    assert half.gap is not None
    assert half.public_subnets == (("subnet-2", "rtb-2", "0.0.0.0/0", "igw-1"),)
    no_vpcs = place(tables(), vpcs=DENIED)
    assert isinstance(no_vpcs, DaxPlacement)
    assert (no_vpcs.default_vpc, no_vpcs.gap) == (DENIED, None)


def test_a_vpc_that_was_not_returned_is_not_taken_for_a_private_one() -> None:
    found = place(tables(), vpcs=Vpcs(()))
    assert isinstance(found, DaxPlacement)
    assert isinstance(found.default_vpc, Gap)


@pytest.mark.parametrize("group", [None, "elsewhere"])
def test_a_subnet_group_that_was_not_returned_is_a_gap(group: str | None) -> None:
    gap = place(tables(), settings=DaxSettings("available", subnet_group=group))
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.action) == (Reason.PARTIAL_DATA, "dax:DescribeSubnetGroups")


def test_a_subnet_group_without_subnets_proves_nothing() -> None:
    found = place(tables(), groups=DaxSubnetGroups({"private": DaxSubnetGroup("vpc-1", {})}))
    assert isinstance(found, DaxPlacement)
    assert found.gap is not None
