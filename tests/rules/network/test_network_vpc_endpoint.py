"""network-vpc-endpoint: an available gateway endpoint on every workload route table, with DNS on."""

from dataclasses import replace
from typing import Any

import pytest

from auditor import Severity, Status
from auditor.config import Config
from auditor.facts import Endpoint, Gap, Reason, VpcCoverage, VpcDns
from tests.rules import VPC, load

judge: Any = load("network-vpc-endpoint")

SERVICE = "com.amazonaws.eu-west-1.dynamodb"
GATEWAY = Endpoint("vpce-1", "vpc-1", "Gateway", SERVICE, "available", ("rtb-1", "rtb-2"))
INTERFACE = Endpoint("vpce-2", "vpc-1", "Interface", SERVICE, "available", (), ("subnet-1",))
DNS = VpcDns(support=True, hostnames=True)
NO_DNS = Gap(Reason.ACCESS_DENIED, "Not allowed.", "ec2:DescribeVpcAttribute")
NO_PATH = Gap(Reason.ACCESS_DENIED, "Not allowed.", "ec2:DescribeNatGateways")
COVERED = VpcCoverage(("subnet-1", "subnet-2"), False, ("rtb-1", "rtb-2"), (GATEWAY,))
PARTLY = replace(COVERED, uncovered=("rtb-2",))
NONE = VpcCoverage(("subnet-1",), False, ("rtb-1",), uncovered=("rtb-1",))
INTERFACE_ONLY = replace(NONE, interface_endpoints=(INTERFACE,))
DEFAULTS, DECLARED = Config(), Config(clients_use_interface_endpoint=("vpc-1",))


def test_an_endpoint_on_every_workload_route_table_passes() -> None:
    verdict = judge(VPC, COVERED, DNS, DEFAULTS)
    assert verdict.status is Status.PASS
    assert verdict.evidence == {
        "workloadSubnets": ["subnet-1", "subnet-2"],
        "routeTables": ["rtb-1", "rtb-2"],
        "uncovered": [],
        "gatewayEndpoints": {"vpce-1": "available"},
        "interfaceEndpoints": {},
        "EnableDnsSupport": True,
        "EnableDnsHostnames": True,
    }


def test_an_endpoint_that_a_workload_route_table_lacks_fails_and_names_the_table() -> None:
    verdict = judge(VPC, PARTLY, DNS, DEFAULTS)
    assert (verdict.status, verdict.severity) == (Status.FAIL, None)
    assert verdict.evidence["uncovered"] == ["rtb-2"]


def test_a_vpc_without_any_endpoint_fails() -> None:
    verdict = judge(VPC, NONE, DNS, DEFAULTS)
    assert (verdict.status, verdict.severity) == (Status.FAIL, None)


@pytest.mark.parametrize("state", ["pending", "pendingacceptance", "failed", "rejected", "expired", "deleting"])
def test_an_endpoint_that_is_not_available_fails_with_its_state(state: str) -> None:
    verdict = judge(VPC, replace(NONE, gateway_endpoints=(replace(GATEWAY, state=state),)), DNS, DEFAULTS)
    assert (verdict.status, verdict.severity) == (Status.FAIL, None)
    assert "not available" in verdict.message
    assert verdict.evidence["gatewayEndpoints"] == {"vpce-1": state}


def test_one_available_endpoint_among_failed_ones_is_enough() -> None:
    failed = replace(GATEWAY, id="vpce-0", state="failed")
    assert judge(VPC, replace(COVERED, gateway_endpoints=(failed, GATEWAY)), DNS, DEFAULTS).status is Status.PASS


@pytest.mark.parametrize(("support", "hostnames"), [(False, True), (True, False), (False, False)])
def test_dns_attributes_that_are_off_fail_low(support: bool, hostnames: bool) -> None:
    verdict = judge(VPC, COVERED, VpcDns(support, hostnames), DEFAULTS)
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.LOW)
    assert (verdict.evidence["EnableDnsSupport"], verdict.evidence["EnableDnsHostnames"]) == (support, hostnames)


def test_unread_dns_attributes_matter_only_where_everything_else_is_right() -> None:
    verdict = judge(VPC, COVERED, NO_DNS, DEFAULTS)
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "ec2:DescribeVpcAttribute")
    assert judge(VPC, PARTLY, NO_DNS, DEFAULTS).status is Status.FAIL
    assert judge(VPC, NONE, NO_DNS, DEFAULTS).status is Status.FAIL


def test_an_interface_endpoint_alone_fails_low_unless_clients_are_declared_to_use_it() -> None:
    verdict = judge(VPC, INTERFACE_ONLY, DNS, DEFAULTS)
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.LOW)
    assert verdict.evidence["interfaceEndpoints"] == {"vpce-2": "available"}
    attested = judge(VPC, INTERFACE_ONLY, DNS, DECLARED)
    assert (attested.status, attested.evidence["attested"]) == (Status.PASS, "vpc-1")
    elsewhere = Config(clients_use_interface_endpoint=("vpc-2",))
    assert judge(VPC, INTERFACE_ONLY, DNS, elsewhere).status is Status.FAIL


def test_an_interface_endpoint_that_is_not_available_is_none() -> None:
    pending = replace(NONE, interface_endpoints=(replace(INTERFACE, state="pending"),))
    for config in (DEFAULTS, DECLARED):
        verdict = judge(VPC, pending, DNS, config)
        assert (verdict.status, verdict.severity) == (Status.FAIL, None)


def test_a_declaration_without_any_endpoint_does_not_pass() -> None:
    assert judge(VPC, NONE, DNS, DECLARED).status is Status.FAIL


@pytest.mark.parametrize("coverage", [NONE, PARTLY, INTERFACE_ONLY])
def test_workloads_that_are_all_cut_off_have_nothing_to_protect(coverage: VpcCoverage) -> None:
    assert judge(VPC, replace(coverage, isolated=True), DNS, DEFAULTS).status is Status.NOT_APPLICABLE


def test_whether_workloads_are_cut_off_matters_only_without_full_coverage() -> None:
    verdict = judge(VPC, replace(NONE, isolated=NO_PATH), DNS, DEFAULTS)
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "ec2:DescribeNatGateways")
    assert judge(VPC, replace(COVERED, isolated=NO_PATH), DNS, DEFAULTS).status is Status.PASS
    assert judge(VPC, replace(INTERFACE_ONLY, isolated=NO_PATH), DNS, DECLARED).status is Status.PASS


def test_a_vpc_without_workloads_has_no_finding() -> None:
    assert judge(VPC, VpcCoverage(()), DNS, DEFAULTS) is None
    assert judge(VPC, VpcCoverage(()), NO_DNS, DEFAULTS) is None


def test_coverage_that_is_not_known_is_unknown() -> None:
    verdict = judge(VPC, NO_PATH, DNS, DEFAULTS)
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "ec2:DescribeNatGateways")


@pytest.mark.parametrize("coverage", [NONE, COVERED, NO_PATH])
def test_excluded_vpcs_have_no_finding(coverage: VpcCoverage | Gap) -> None:
    assert judge(VPC, coverage, DNS, DEFAULTS, exclude_vpcs=("vpc-1",)) is None
    assert judge(VPC, coverage, DNS, DEFAULTS, exclude_vpcs=("vpc-2",)) is not None


def test_the_settings_and_their_defaults() -> None:
    assert {setting.name: setting.default for setting in judge.rule.settings} == {"exclude_vpcs": ()}
    assert judge.rule.severity is Severity.MEDIUM
