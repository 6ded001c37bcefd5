"""network-subnet-path: the worst way counts, and a proven bad way fails whatever else is unknown."""

from typing import Any

import pytest

from auditor import Severity, Status
from auditor.facts import Gap, Reason, SubnetInfo, SubnetPath, Subnets
from tests.rules import SUBNET, load

judge: Any = load("network-subnet-path")

DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "ec2:DescribeNatGateways")
LISTED = Subnets((SubnetInfo(SUBNET, "vpc-1"),))


def way(*paths: str, gap: Gap | None = None) -> SubnetPath:
    return SubnetPath(True, paths[0], paths, "vpc-1", gap, {"RouteTableId": "rtb-1"})


@pytest.mark.parametrize(
    ("path", "status", "severity"),
    [
        (way("igw"), Status.FAIL, Severity.HIGH),
        (way("nat"), Status.FAIL, Severity.MEDIUM),
        (way("other"), Status.UNKNOWN, None),
        (way("endpoint"), Status.PASS, None),
        (way("isolated"), Status.NOT_APPLICABLE, None),
        (way("igw", "nat", "endpoint"), Status.FAIL, Severity.HIGH),
        (way("igw", "other"), Status.FAIL, Severity.HIGH),
        (way("nat", "endpoint"), Status.FAIL, Severity.MEDIUM),
        (way("endpoint", "isolated"), Status.PASS, None),
        (way("other", "endpoint"), Status.UNKNOWN, None),
        (way("other", "nat"), Status.FAIL, Severity.MEDIUM),
    ],
)
def test_the_ways_that_parts_of_the_addresses_take_decide(
    path: SubnetPath, status: Status, severity: Severity | None
) -> None:
    verdict = judge(SUBNET, path, LISTED)
    assert (verdict.status, verdict.severity) == (status, severity)
    assert verdict.evidence == {"VpcId": "vpc-1", "path": path.path, "RouteTableId": "rtb-1"}


def test_a_way_that_leaves_what_the_api_shows_is_undecidable_and_says_what_to_declare() -> None:
    verdict = judge(SUBNET, way("other"), LISTED)
    assert verdict.reason == "undecidable"
    assert "trusted_egress" in verdict.message


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (way("nat"), Status.PASS),
        (way("nat", "endpoint"), Status.PASS),
        (way("igw", "nat"), Status.FAIL),
        (way("other", "nat"), Status.UNKNOWN),
        (way("nat", gap=DENIED), Status.UNKNOWN),
        (way("endpoint"), Status.PASS),
    ],
)
def test_an_accepted_nat_gateway_passes_unless_another_way_is_worse_or_unknown(
    path: SubnetPath, status: Status
) -> None:
    assert judge(SUBNET, path, LISTED, nat_is="pass").status is status


@pytest.mark.parametrize("path", [way("igw", gap=DENIED), way("nat", gap=DENIED)])
def test_a_proven_bad_way_fails_though_another_hop_is_not_known(path: SubnetPath) -> None:
    assert judge(SUBNET, path, LISTED).status is Status.FAIL


def test_a_gap_is_unknown_and_names_the_action() -> None:
    verdict = judge(SUBNET, DENIED, LISTED)
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "ec2:DescribeNatGateways")


def test_a_subnet_without_workloads_has_no_finding() -> None:
    assert judge(SUBNET, SubnetPath(workload=False), LISTED) is None


def test_excluded_vpcs_have_no_finding_even_where_the_path_is_not_known() -> None:
    assert judge(SUBNET, way("igw"), LISTED, exclude_vpcs=("vpc-1",)) is None
    assert judge(SUBNET, way("igw"), LISTED, exclude_vpcs=("vpc-2",)).status is Status.FAIL
    assert judge(SUBNET, DENIED, LISTED, exclude_vpcs=("vpc-1",)) is None
    assert judge(SUBNET, DENIED, LISTED, exclude_vpcs=("vpc-2",)).status is Status.UNKNOWN
    assert judge(SUBNET, DENIED, DENIED, exclude_vpcs=("vpc-1",)).status is Status.UNKNOWN


def test_the_settings_and_their_defaults() -> None:
    defaults = {setting.name: setting.default for setting in judge.rule.settings}
    assert defaults == {"exclude_vpcs": (), "nat_is": "fail"}
    assert judge.rule.severity is Severity.HIGH
