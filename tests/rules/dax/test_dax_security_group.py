"""dax-security-group: sources of every kind, the default group, all ports, and what is not known."""

from typing import Any

import pytest

from auditor import Severity, Status, Verdict
from auditor.config import Config, OnPremAccess
from auditor.facts import (
    DaxSettings,
    Gap,
    Permission,
    PrefixList,
    PrefixLists,
    Reason,
    SecurityGroup,
    SecurityGroups,
    VpcInfo,
    Vpcs,
)
from auditor.resources import Account, DaxCluster, Region, Vpc
from tests.rules import CLUSTER, VPC, load

judge: Any = load("dax-security-group")

HERE = Vpcs((VpcInfo(VPC, False, ("10.0.0.0/17", "10.0.128.0/17", "2001:db8::/56")),))
APP = (("", "sg-app"),)
GROUPS_DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "ec2:DescribeSecurityGroups")
LISTS_DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "ec2:DescribeManagedPrefixLists")
VPCS_DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "ec2:DescribeVpcs")


def port(number: int, *cidrs: str, **more: Any) -> Permission:
    return Permission("tcp", number, number, cidrs, **more)


def ask(
    *ingress: Permission,
    tls: bool = True,
    attached: tuple[str, ...] = ("sg-dax",),
    name: str = "cache",
    lists: PrefixLists | Gap = PrefixLists(()),  # noqa: B008 - a constant
    vpcs: Vpcs | Gap = HERE,
    groups: SecurityGroups | Gap | None = None,
    config: Config | None = None,
    cluster: DaxCluster = CLUSTER,
    **given: Any,
) -> Verdict:
    settings = DaxSettings("available", endpoint_encryption="TLS" if tls else "NONE", security_groups=attached)
    held = groups or SecurityGroups({"sg-dax": SecurityGroup("sg-dax", name, "vpc-1", ingress)})
    answer: Verdict = judge(cluster, settings, held, lists, vpcs, config or Config(), **given)
    return answer


@pytest.mark.parametrize(
    "permission",
    [
        port(9111, groups=APP),
        # A group of a peered VPC in another account: PeeringStatus and UserId stand beside it.
        port(9111, groups=(("222233334444", "sg-peer"),)),
        port(9111, "10.0.0.0/16"),
        port(9111, "10.0.3.0/24", "2001:db8::/64"),
        port(22, "0.0.0.0/0"),
        Permission("udp", 9111, 9111, ("0.0.0.0/0",)),
    ],
)
def test_security_groups_and_the_vpcs_own_blocks_pass(permission: Permission) -> None:
    assert ask(permission).status is Status.PASS


def test_letting_nobody_in_passes() -> None:
    verdict = ask()
    assert verdict.status is Status.PASS
    assert "nobody" in verdict.message


@pytest.mark.parametrize(
    "permission",
    [
        port(9111, "0.0.0.0/0"),
        port(9111, "::/0"),
        port(8111, "0.0.0.0/0"),
        port(9111, "0.0.0.0/1", "128.0.0.0/1"),
        Permission("tcp", 8000, 9200, ("0.0.0.0/0",)),
    ],
)
def test_everybody_fails_with_the_rules_own_severity(permission: Permission) -> None:
    verdict = ask(permission, port(9111, groups=APP))
    assert (verdict.status, verdict.severity) == (Status.FAIL, None)
    assert "sg-dax lets everybody in" in verdict.message
    assert judge.rule.severity is Severity.HIGH


def test_all_protocols_from_everywhere_are_the_worst_of_their_problems() -> None:
    verdict = ask(Permission("-1", None, None, ("0.0.0.0/0",)))
    assert (verdict.status, verdict.severity) == (Status.FAIL, None)
    assert len(verdict.evidence["problems"]) == 3


@pytest.mark.parametrize("block", ["10.0.0.0/8", "192.168.0.0/16", "203.0.113.0/24", "2001:db8::/48"])
def test_a_block_outside_the_vpc_fails_with_medium(block: str) -> None:
    verdict = ask(port(9111, block))
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.MEDIUM)
    assert block in verdict.message


def test_networks_that_are_declared_pass() -> None:
    office = Config(on_prem_access=OnPremAccess(declared=True, cidrs=("172.16.0.0/12",)))
    assert ask(port(9111, "172.16.5.0/24"), config=office).status is Status.PASS
    assert ask(port(9111, "192.168.7.0/24"), peer_cidrs=("192.168.0.0/16", "nonsense")).status is Status.PASS
    assert ask(port(9111, "192.168.7.0/24"), peer_cidrs=("192.168.7.0/25",)).status is Status.FAIL
    # What is declared counts without the VPC's own blocks too.
    assert ask(port(9111, "172.16.5.0/24"), config=office, vpcs=VPCS_DENIED).status is Status.PASS


@pytest.mark.parametrize(
    "permission",
    [Permission("-1", None, None, groups=APP), Permission("tcp", 0, 65535, groups=APP)],
)
def test_a_rule_for_all_ports_fails_with_medium_even_for_a_security_group(permission: Permission) -> None:
    verdict = ask(permission)
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.MEDIUM)
    assert "sg-app in on all ports" in verdict.message


def test_only_the_default_group_fails_and_beside_another_it_does_not() -> None:
    members = Permission("tcp", 9111, 9111, groups=(("", "sg-dax"),))
    assert ask(members, name="default").severity is Severity.MEDIUM
    closed = ask(name="default")
    assert (closed.status, closed.severity) == (Status.FAIL, Severity.LOW)
    own = SecurityGroup("sg-own", "cache", "vpc-1", (port(9111, groups=APP),))
    both = SecurityGroups({"sg-dax": SecurityGroup("sg-dax", "default", "vpc-1", (members,)), "sg-own": own})
    assert ask(attached=("sg-dax", "sg-own"), groups=both).status is Status.PASS
    # Another group is attached that was not returned: then `default` may not be the only one.
    assert ask(members, name="default", attached=("sg-dax", "sg-gone")).status is Status.UNKNOWN


def test_a_cluster_with_tls_that_opens_the_port_without_it_fails_low() -> None:
    both = Permission("tcp", 8111, 9111, groups=APP)
    verdict = ask(both)
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.LOW)
    assert "8111" in verdict.message
    assert ask(both, tls=False).status is Status.PASS


def test_prefix_lists_count_by_their_entries() -> None:
    lists = PrefixLists(
        (
            PrefixList("pl-in", "clients", "111122223333", ("10.0.1.0/24",)),
            PrefixList("pl-out", "partners", "111122223333", ("10.0.1.0/24", "198.51.100.0/24")),
            PrefixList("pl-aws", "com.amazonaws.eu-west-1.vpc-lattice", "AWS", ()),
        )
    )
    assert ask(port(9111, prefix_lists=("pl-in",)), lists=lists).status is Status.PASS
    assert ask(port(9111, prefix_lists=("pl-out",)), lists=lists).severity is Severity.MEDIUM
    for unread in ("pl-aws", "pl-gone"):
        assert ask(port(9111, prefix_lists=(unread,)), lists=lists).status is Status.UNKNOWN
    denied = ask(port(9111, prefix_lists=("pl-in",)), lists=LISTS_DENIED)
    assert (denied.status, denied.missing_permission) == (Status.UNKNOWN, "ec2:DescribeManagedPrefixLists")
    # No source is a prefix list: then it does not matter.
    assert ask(port(9111, groups=APP), lists=LISTS_DENIED).status is Status.PASS


@pytest.mark.parametrize(
    ("given", "action"),
    [
        ({"groups": GROUPS_DENIED}, "ec2:DescribeSecurityGroups"),
        ({"attached": ("sg-dax", "sg-gone")}, "ec2:DescribeSecurityGroups"),
        ({"attached": ()}, None),
        ({"vpcs": VPCS_DENIED}, "ec2:DescribeVpcs"),
        ({"vpcs": Vpcs(())}, "ec2:DescribeVpcs"),
    ],
)
def test_what_was_not_returned_makes_it_unknown(given: dict[str, Any], action: str | None) -> None:
    verdict = ask(port(9111, "10.0.0.0/16"), **given)
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, action)


def test_what_is_proven_fails_though_something_is_missing() -> None:
    assert ask(port(9111, "0.0.0.0/0"), vpcs=VPCS_DENIED).severity is None
    assert ask(port(9111, "0.0.0.0/0"), attached=("sg-dax", "sg-gone")).status is Status.FAIL
    assert ask(port(9111, groups=APP), vpcs=VPCS_DENIED).status is Status.PASS


def test_a_cluster_that_is_being_deleted_is_not_judged() -> None:
    verdict = judge(CLUSTER, DaxSettings("deleting"), GROUPS_DENIED, LISTS_DENIED, VPCS_DENIED, Config())
    assert verdict.status is Status.NOT_APPLICABLE


@pytest.mark.parametrize(("partition", "region"), [("aws-cn", "cn-north-1"), ("aws-us-gov", "us-gov-west-1")])
def test_other_partitions_are_judged_alike(partition: str, region: str) -> None:
    where = Region(Account("111122223333", partition), region)
    vpcs = Vpcs((VpcInfo(Vpc(where, "vpc-1"), False, ("10.0.0.0/16",)),))
    assert ask(port(9111, "10.0.0.0/16"), vpcs=vpcs, cluster=DaxCluster(where, "cache")).status is Status.PASS
    # A VPC of another region is another one, whatever its id.
    assert ask(port(9111, "10.0.0.0/16"), vpcs=HERE, cluster=DaxCluster(where, "cache")).status is Status.UNKNOWN
