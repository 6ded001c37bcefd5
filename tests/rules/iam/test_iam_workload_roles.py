"""iam-workload-roles: instances with and without roles, and functions with keys in their variables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from auditor import Severity, Status, Verdict
from auditor.facts import (
    FunctionInfo,
    Functions,
    Gap,
    Holdings,
    Identities,
    InstanceInfo,
    Instances,
    NetworkInterface,
    NetworkInterfaces,
    Reason,
    Route,
    RouteTable,
    RouteTables,
    SubnetPath,
)
from auditor.resources import Account, Function, Instance, Region, Subnet
from tests.holdings import World, allow, deny
from tests.rules import load

judge = load("iam-workload-roles")

DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "aws:Nothing")
UNREAD = Gap(Reason.ACCESS_DENIED, "Not allowed.", "iam:GetPolicyVersion")
SUBNET = "subnet-0a"


def way(*paths: str, gap: Gap | None = None) -> SubnetPath:
    return SubnetPath(workload=True, path=paths[0], paths=paths, vpc_id="vpc-1", gap=gap)


@dataclass
class Case:
    """One instance, or function, and its surroundings."""

    world: World = field(default_factory=World)
    state: str = "running"
    profile: str | None = None
    tokens: str | None = "required"
    endpoint: str | None = "enabled"
    tags: Mapping[str, str] = field(default_factory=dict)
    subnets: tuple[str, ...] = (SUBNET,)
    ways: dict[str, SubnetPath | Gap] = field(default_factory=lambda: {SUBNET: way("nat")})
    owner: str = "111122223333"
    interfaces: tuple[NetworkInterface, ...] | Gap = ()
    tables: tuple[RouteTable, ...] | Gap = ()
    identities: Identities | Gap | None = None
    holdings: Holdings | Gap | None = None

    @property
    def region(self) -> Region:
        return self.world.region

    def with_role(self, *statements: Mapping[str, Any], name: str = "orders", **more: Any) -> "Case":
        """Give the instance a profile that holds a role with these statements."""
        arn = f"arn:{self.world.partition}:iam::111122223333:instance-profile/{name}"
        self.world.role(name, *statements, profiles=(arn,), **more)
        self.profile = arn
        return self

    def say(self, **settings: Any) -> Verdict:
        instance = Instance(self.region, "i-1")
        info = InstanceInfo(
            instance, self.state, self.profile, self.subnets, "vpc-1", self.tokens, self.endpoint, self.tags
        )
        return self.ask(instance, Instances((info,)), Functions(()), **settings)

    def ask(self, workload: Instance | Function, instances: Any, functions: Any, **settings: Any) -> Verdict:
        identities, holdings = self.world.facts()
        owner = Region(Account(self.owner, self.world.partition), self.region.name)
        verdict = judge(
            workload,
            instances,
            functions,
            identities if self.identities is None else self.identities,
            holdings if self.holdings is None else self.holdings,
            {Subnet(owner, name): one for name, one in self.ways.items()},
            self.interfaces if isinstance(self.interfaces, Gap) else NetworkInterfaces(self.interfaces),
            self.tables if isinstance(self.tables, Gap) else RouteTables(self.tables),
            **settings,
        )
        assert isinstance(verdict, Verdict)
        return verdict

    def function(
        self, *variables: str, role: str | None = "arn:aws:iam::111122223333:role/api", **more: Any
    ) -> Verdict:
        function = Function(self.region, "nightly")
        info = FunctionInfo(function, role, key_variables=variables, **more)
        return self.ask(function, Instances(()), Functions((info,)))


def eni(case: Case, **more: Any) -> NetworkInterface:
    given: dict[str, Any] = {
        "id": "eni-1",
        "subnet": Subnet(case.region, SUBNET),
        "vpc_id": "vpc-1",
        "type": "interface",
    }
    return NetworkInterface(**given | {"status": "in-use", "instance_id": "i-1"} | more)


# Instances without a role


@pytest.mark.parametrize("path", ["igw", "nat", "endpoint"])
def test_without_a_profile_where_dynamodb_can_be_reached_it_fails(path: str) -> None:
    verdict = Case(ways={SUBNET: way(path)}).say()
    assert (verdict.status, verdict.severity) == (Status.FAIL, None)
    assert judge.rule.severity is Severity.MEDIUM  # type: ignore[attr-defined]
    assert verdict.evidence["confidence"] == "low"
    assert verdict.evidence["paths"] == {SUBNET: [path]}


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_a_profile_without_a_role_gives_no_credentials(partition: str) -> None:
    case = Case(World(partition, "xx-1")).with_role()
    assert case.say().status is Status.PASS
    case.profile = f"arn:{partition}:iam::111122223333:instance-profile/deleted"
    verdict = case.say()
    assert verdict.status is Status.FAIL
    assert "profile holds no role" in verdict.message


def test_without_any_way_to_dynamodb_a_missing_role_does_not_matter() -> None:
    assert Case(ways={SUBNET: way("isolated")}).say().status is Status.NOT_APPLICABLE
    assert Case(ways={SUBNET: way("endpoint", "isolated")}).say().status is Status.FAIL


@pytest.mark.parametrize("state", ["stopped", "stopping", "shutting-down"])
def test_on_an_instance_that_does_not_run_nothing_uses_keys(state: str) -> None:
    assert Case(state=state).say().status is Status.NOT_APPLICABLE
    capable = Case(state=state, tokens="optional").with_role(allow("dynamodb:*"))
    assert capable.say().status is Status.NOT_APPLICABLE


def test_an_instance_that_starts_counts() -> None:
    assert Case(state="pending").say().status is Status.FAIL


def test_a_way_that_is_not_known_leaves_the_answer_open() -> None:
    verdict = Case(ways={SUBNET: DENIED}).say()
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "aws:Nothing")
    verdict = Case(ways={SUBNET: way("other")}).say()
    assert (verdict.status, verdict.reason) == (Status.UNKNOWN, "undecidable")
    # A known bad way is proof whatever else is not known.
    assert Case(ways={SUBNET: way("nat", gap=DENIED)}).say().status is Status.FAIL
    assert Case(ways={SUBNET: way("igw", "other")}).say().status is Status.FAIL


def test_an_isolated_part_proves_nothing_while_another_part_is_not_known() -> None:
    assert Case(ways={SUBNET: way("isolated", gap=DENIED)}).say().status is Status.UNKNOWN


def test_the_worst_subnet_of_several_counts() -> None:
    both: dict[str, SubnetPath | Gap] = {SUBNET: way("isolated"), "subnet-0b": way("nat")}
    assert Case(subnets=(SUBNET, "subnet-0b"), ways=both).say().status is Status.FAIL
    half: dict[str, SubnetPath | Gap] = {SUBNET: way("isolated"), "subnet-0b": DENIED}
    assert Case(subnets=(SUBNET, "subnet-0b"), ways=half).say().status is Status.UNKNOWN
    assert Case(subnets=(SUBNET, "subnet-0b"), ways={**half, SUBNET: way("nat")}).say().status is Status.FAIL


def test_a_subnet_that_another_account_shares_is_found_by_its_id() -> None:
    assert Case(owner="999999999999").say().status is Status.FAIL
    # Under this account's own ARN such a subnet counts as one without workloads.
    case = Case(owner="999999999999", ways={SUBNET: DENIED})
    assert case.say().missing_permission == "aws:Nothing"


def test_an_instance_whose_interfaces_are_not_shown_is_unknown() -> None:
    assert Case(ways={SUBNET: SubnetPath(workload=False)}).say().missing_permission == "ec2:DescribeNetworkInterfaces"
    assert Case(ways={}, interfaces=DENIED).say().missing_permission == "aws:Nothing"
    assert Case(subnets=()).say().missing_permission == "ec2:DescribeInstances"


@pytest.mark.parametrize(
    ("setting", "status"),
    [
        ("Role=Bastion", Status.NOT_APPLICABLE),
        ("role=bastion", Status.NOT_APPLICABLE),
        ("role", Status.NOT_APPLICABLE),
        ("role=nat", Status.FAIL),
        ("bastion", Status.FAIL),
        ("role=", Status.FAIL),
    ],
)
def test_a_bastion_is_exempt_by_its_tag(setting: str, status: Status) -> None:
    verdict = Case(tags={"role": "bastion", "team": "ops"}).say(exempt_tags=(setting,))
    assert verdict.status is status
    if status is Status.NOT_APPLICABLE:
        assert verdict.evidence["exempt"] == "role=bastion"


def test_the_exemption_does_not_excuse_what_a_role_exposes() -> None:
    case = Case(tags={"role": "bastion"}, tokens="optional").with_role(allow("dynamodb:*"))
    assert case.say(exempt_tags=("role=bastion",)).status is Status.FAIL


def test_a_nat_instance_needs_no_role() -> None:
    case = Case()
    case.interfaces = (eni(case, source_dest_check=False),)
    assert case.say().status is Status.FAIL  # nothing is routed to it: it may be a node of a cluster
    for target in ("eni-1", "i-1"):
        case.tables = (RouteTable("rtb-1", "vpc-1", False, (), (Route("0.0.0.0/0", target),)),)
        verdict = case.say()
        assert (verdict.status, verdict.evidence["routes"]) == (Status.NOT_APPLICABLE, ["rtb-1"])
    # Routes to the addresses of pods are no way out, and neither is one to a dead end.
    for route in (
        Route("10.9.0.0/24", "eni-1"),
        Route("0.0.0.0/0", "eni-2"),
        Route("0.0.0.0/0", "eni-1", active=False),
    ):
        case.tables = (RouteTable("rtb-1", "vpc-1", False, (), (route,)),)
        assert case.say().status is Status.FAIL
    case.tables = DENIED
    assert case.say().missing_permission == "aws:Nothing"
    case.interfaces = (eni(case),)
    assert case.say().status is Status.FAIL


def test_the_roles_of_containers_on_a_host_are_not_seen() -> None:
    case = Case()
    task = "arn:aws:ecs:eu-west-1:111122223333:attachment/0a1b"
    case.interfaces = (eni(case), eni(case, id="eni-2", description=task))
    assert case.say().status is Status.UNKNOWN
    case.interfaces = (eni(case), eni(case, id="eni-2", instance_id="i-2", description=task))
    assert case.say().status is Status.FAIL
    assert Case(tags={"kubernetes.io/cluster/shop": "owned"}).say().status is Status.UNKNOWN


# Instances with a role


def test_a_role_and_imdsv2_pass_whatever_the_way() -> None:
    for path in ("igw", "other", "isolated"):
        verdict = Case(ways={SUBNET: way(path)}).with_role(allow("dynamodb:*")).say()
        assert verdict.status is Status.PASS
        assert verdict.evidence["role"] == "arn:aws:iam::111122223333:role/orders"


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_imdsv1_gives_out_what_may_use_dynamodb(partition: str) -> None:
    verdict = Case(World(partition, "xx-1"), tokens="optional").with_role(allow("dynamodb:GetItem")).say()
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.LOW)
    assert "dynamodb:GetItem" in verdict.message
    assert verdict.evidence["HttpTokens"] == "optional"


def test_a_role_that_reaches_dax_only_counts_too() -> None:
    assert Case(tokens="optional").with_role(allow("dax:GetItem")).say().status is Status.FAIL


def test_imdsv1_does_not_matter_where_the_role_cannot_use_dynamodb_or_metadata_is_off() -> None:
    assert Case(tokens="optional").with_role(allow("s3:*")).say().status is Status.PASS
    assert Case(tokens="optional").with_role(allow("dynamodb:*"), deny("*")).say().status is Status.PASS
    assert Case(tokens="optional", endpoint="disabled").with_role(allow("dynamodb:*")).say().status is Status.PASS
    assert Case(tokens="optional", endpoint=None).with_role(allow("dynamodb:*")).say().status is Status.FAIL


def test_a_grant_that_guardrails_block_is_milder() -> None:
    case = Case(tokens="optional").with_role(allow("dynamodb:*"))
    case.world.block(deny("dynamodb:*"))
    verdict = case.say()
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.INFORMATIONAL)
    assert "guard" in verdict.evidence["blockedBy"][0]


def test_what_the_role_may_do_matters_with_imdsv1_only() -> None:
    for tokens, status in (("required", Status.PASS), ("optional", Status.UNKNOWN)):
        case = Case(tokens=tokens)
        case.with_role(attached=(case.world.managed("hidden", gap=UNREAD),))
        assert case.say().status is status
        case = Case(tokens=tokens, holdings=DENIED).with_role(allow("dynamodb:*"))
        assert case.say().status is status
    verdict = case.say()
    assert verdict.missing_permission == "aws:Nothing"


def test_which_requests_metadata_takes_must_be_known() -> None:
    verdict = Case(tokens=None).with_role(allow("dynamodb:*")).say()
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "ec2:DescribeInstances")
    assert Case(tokens=None).with_role(allow("s3:*")).say().status is Status.PASS


def test_whether_a_profile_holds_a_role_must_be_known() -> None:
    case = Case(identities=DENIED, holdings=DENIED).with_role()
    assert case.say().missing_permission == "aws:Nothing"
    # Without a profile nobody needs to know.
    case.profile = None
    assert case.say().status is Status.FAIL


# Functions


def test_a_function_without_keys_passes() -> None:
    verdict = Case().function()
    assert (verdict.status, verdict.evidence["Role"]) == (Status.PASS, "arn:aws:iam::111122223333:role/api")


def test_a_key_in_a_variable_is_a_high_failure_and_names_the_variable() -> None:
    verdict = Case().function("ARCHIVE_KEY")
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.HIGH)
    assert "variable ARCHIVE_KEY of" in verdict.message
    assert verdict.evidence["keyVariables"] == ["ARCHIVE_KEY"]
    assert "variables A, B of" in Case().function("A", "B").message


def test_a_key_wins_over_what_is_not_known() -> None:
    assert Case().function("KEY", role=None).status is Status.FAIL


def test_variables_that_could_not_be_decrypted_are_unknown() -> None:
    verdict = Case().function(variables_unread="AccessDeniedException")
    assert (verdict.status, verdict.reason) == (Status.UNKNOWN, "access_denied")
    assert verdict.missing_permission == "kms:Decrypt"
    verdict = Case().function(variables_unread="KMSDisabledException")
    assert (verdict.status, verdict.reason, verdict.missing_permission) == (Status.UNKNOWN, "undecidable", None)


def test_a_function_whose_role_was_not_returned_is_unknown() -> None:
    assert Case().function(role=None).missing_permission == "lambda:ListFunctions"


def test_a_listing_that_is_missing_makes_its_own_kind_unknown() -> None:
    case = Case()
    instance, function = Instance(case.region, "i-1"), Function(case.region, "nightly")
    assert case.ask(instance, DENIED, Functions(())).missing_permission == "aws:Nothing"
    assert case.ask(function, Instances(()), DENIED).missing_permission == "aws:Nothing"
    info = FunctionInfo(function, "arn:aws:iam::111122223333:role/api")
    assert case.ask(function, DENIED, Functions((info,))).status is Status.PASS
