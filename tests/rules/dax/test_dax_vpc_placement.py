"""dax-vpc-placement: a proven public subnet or default VPC fails whatever else is missing."""

from typing import Any

import pytest

from auditor import Severity, Status
from auditor.facts import DaxPlacement, DaxSettings, Gap, Reason
from tests.rules import CLUSTER, load

judge: Any = load("dax-vpc-placement")

SETTINGS = DaxSettings("available", subnet_group="private")
PUBLIC = (("subnet-1", "rtb-1", "0.0.0.0/0", "igw-1"), ("subnet-2", "rtb-1", "::/0", "igw-1"))
ROUTES = Gap(Reason.ACCESS_DENIED, "Not allowed.", "ec2:DescribeRouteTables")
VPCS = Gap(Reason.ACCESS_DENIED, "Not allowed.", "ec2:DescribeVpcs")


def placed(default: bool | Gap = False, public: Any = (), gap: Gap | None = None) -> DaxPlacement:
    return DaxPlacement("vpc-1", default, public, ("subnet-1", "subnet-2"), gap)


def test_private_subnets_of_a_vpc_of_its_own_pass() -> None:
    verdict = judge(CLUSTER, SETTINGS, placed())
    assert verdict.status is Status.PASS
    assert verdict.evidence == {"SubnetGroup": "private", "VpcId": "vpc-1", "Subnets": ["subnet-1", "subnet-2"]}


def test_a_public_subnet_fails_and_each_route_that_makes_it_so_is_evidence() -> None:
    verdict = judge(CLUSTER, SETTINGS, placed(public=PUBLIC))
    assert (verdict.status, verdict.severity) == (Status.FAIL, None)
    assert verdict.evidence["public"] == [
        {"SubnetId": "subnet-1", "RouteTableId": "rtb-1", "destination": "0.0.0.0/0", "GatewayId": "igw-1"},
        {"SubnetId": "subnet-2", "RouteTableId": "rtb-1", "destination": "::/0", "GatewayId": "igw-1"},
    ]


def test_the_default_vpc_fails_low() -> None:
    verdict = judge(CLUSTER, SETTINGS, placed(default=True))
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.LOW)
    assert verdict.evidence["IsDefault"] is True


def test_a_public_subnet_of_the_default_vpc_is_the_worse_finding() -> None:
    verdict = judge(CLUSTER, SETTINGS, placed(default=True, public=PUBLIC))
    assert (verdict.status, verdict.severity) == (Status.FAIL, None)


@pytest.mark.parametrize(
    ("placement", "severity"),
    [
        (placed(VPCS, PUBLIC), None),
        (placed(False, PUBLIC, ROUTES), None),
        (placed(True, (), ROUTES), Severity.LOW),
    ],
)
def test_what_is_proven_fails_though_something_else_is_missing(
    placement: DaxPlacement, severity: Severity | None
) -> None:
    verdict = judge(CLUSTER, SETTINGS, placement)
    assert (verdict.status, verdict.severity) == (Status.FAIL, severity)


@pytest.mark.parametrize(
    ("placement", "action"),
    [
        (placed(VPCS), "ec2:DescribeVpcs"),
        (placed(False, (), ROUTES), "ec2:DescribeRouteTables"),
        (placed(VPCS, (), ROUTES), "ec2:DescribeRouteTables"),
    ],
)
def test_without_a_proof_either_way_what_is_missing_makes_it_unknown(placement: DaxPlacement, action: str) -> None:
    verdict = judge(CLUSTER, SETTINGS, placement)
    assert (verdict.status, verdict.reason, verdict.missing_permission) == (Status.UNKNOWN, "access_denied", action)
    assert verdict.evidence["VpcId"] == "vpc-1"


def test_a_subnet_group_that_was_not_returned_is_unknown() -> None:
    gap = Gap(Reason.PARTIAL_DATA, "Not returned.", "dax:DescribeSubnetGroups")
    verdict = judge(CLUSTER, SETTINGS, gap)
    assert (verdict.status, verdict.reason) == (Status.UNKNOWN, "partial_data")
    assert verdict.evidence == {"SubnetGroup": "private"}


@pytest.mark.parametrize("placement", [placed(public=PUBLIC), placed(), VPCS])
def test_a_cluster_that_is_being_deleted_is_not_judged(placement: DaxPlacement | Gap) -> None:
    assert judge(CLUSTER, DaxSettings("deleting"), placement).status is Status.NOT_APPLICABLE


def test_the_rule_has_no_settings_and_is_of_medium_severity() -> None:
    assert (judge.rule.settings, judge.rule.severity) == ((), Severity.MEDIUM)
