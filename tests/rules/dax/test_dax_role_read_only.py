"""dax-role-read-only: what a cluster's role may do beyond reading, and whose role it is."""

from typing import Any

import pytest

from auditor import Severity, Status, Verdict
from auditor.config import Config
from auditor.facts import DaxSettings, Gap, Holdings, Reason
from auditor.resources import Account, DaxCluster, Region, Role
from tests.holdings import World, allow, deny, trust
from tests.rules import load

judge = load("dax-role-read-only")

DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "iam:GetAccountAuthorizationDetails")
READS = ["dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:Scan"]
READS += ["dynamodb:ConditionCheckItem"]
DAX = trust("dax.amazonaws.com")


def say(world: World, arn: str | None, *, holdings: Holdings | Gap | None = None, **settings: Any) -> Verdict:
    cluster = world.cluster("orders-cache")
    held = holdings or world.facts()[1]
    known = DaxSettings("available", role_arn=arn)
    verdict = judge(cluster, known, {cluster: known}, held, **settings)
    assert isinstance(verdict, Verdict)
    return verdict


@pytest.mark.parametrize("partition", ["aws", "aws-cn"])
def test_a_role_that_reads_passes_and_the_finding_is_about_it(partition: str) -> None:
    world = World(partition)
    table = world.table("orders")
    role = world.role("service-role/dax", allow(READS, [table.arn, f"{table.arn}/index/*"]), trust=DAX)
    verdict = say(world, role.arn)
    assert (verdict.status, verdict.about) == (Status.PASS, role)


@pytest.mark.parametrize(
    "action",
    ["dynamodb:PutItem", "dynamodb:DeleteTable", "dynamodb:PutResourcePolicy", "dynamodb:PartiQLDelete"],
)
def test_anything_beyond_reading_fails(action: str) -> None:
    world = World()
    table = world.table("orders")
    role = world.role("dax", allow([*READS, action], table.arn), trust=DAX)
    verdict = say(world, role.arn)
    assert (verdict.status, verdict.severity, verdict.about) == (Status.FAIL, Severity.MEDIUM, role)
    assert verdict.evidence["actions"] == [action]
    assert verdict.evidence["statements"][0]["policy"] == "orders (inline of role/dax)"
    assert "if no application writes" in verdict.message


def test_write_through_clusters_may_write_items_and_it_stays_on_record() -> None:
    world = World()
    table = world.table("orders")
    writes = ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem"]
    role = world.role("dax", allow(READS + writes, table.arn), trust=DAX)
    verdict = say(world, role.arn, dax_write_through_clusters=("orders-*",))
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.LOW)
    world = World()
    table = world.table("orders")
    role = world.role("dax", allow([*writes, "dynamodb:UpdateTable"], table.arn), trust=DAX)
    verdict = say(world, role.arn, dax_write_through_clusters=("orders-*",))
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.MEDIUM)


def test_a_role_of_several_clusters_has_one_finding() -> None:
    world = World()
    table = world.table("orders")
    role = world.role("dax", allow("dynamodb:PutItem", table.arn), trust=DAX)
    first, second = world.cluster("a"), world.cluster("b")
    known = DaxSettings("available", role_arn=role.arn)
    both: dict[DaxCluster, DaxSettings | Gap] = {first: known, second: known}
    held = world.facts()[1]
    assert judge(second, known, both, held) is None
    # One of them is not declared, so the role must not write.
    verdict = judge(first, known, both, held, dax_write_through_clusters=("a",))
    assert (verdict.severity, verdict.evidence["clusters"]) == (Severity.MEDIUM, ["a", "b"])
    assert judge(first, known, both, held, dax_write_through_clusters=("a", "b")).severity is Severity.LOW


@pytest.mark.parametrize("number", ["000011112222", "999988887777"])
def test_a_cluster_of_another_account_leaves_the_finding_to_those_of_the_roles_own(number: str) -> None:
    world = World()
    role = world.role("dax", allow(READS, world.table("orders").arn), trust=DAX)
    own, known = world.cluster("a"), DaxSettings("available", role_arn=role.arn)
    elsewhere = DaxCluster(Region(Account(number), "eu-west-1"), "remote")
    held = world.facts()[1]
    both: dict[DaxCluster, DaxSettings | Gap] = {elsewhere: known, own: known}
    assert judge(elsewhere, known, both, held) is None
    assert judge(own, known, both, held).status is Status.PASS


def test_a_boundary_or_a_denial_can_make_it_read_only() -> None:
    world = World()
    table = world.table("orders")
    limit = world.managed("limit", allow(READS))
    assert say(world, world.role("a", allow("dynamodb:*"), boundary=limit, trust=DAX).arn).status is Status.PASS
    keep = {"Effect": "Deny", "NotAction": READS, "Resource": "*"}
    assert say(world, world.role("b", allow("dynamodb:*", table.arn), keep).arn).status is Status.PASS


def test_what_cannot_be_known_is_unknown() -> None:
    world = World()
    role = world.role("dax", allow(READS), trust=DAX)
    verdict = say(world, role.arn, holdings=DENIED)
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "iam:GetAccountAuthorizationDetails")
    assert verdict.about == role
    foreign = "arn:aws:iam::999988887777:role/dax"
    verdict = say(world, foreign)
    assert (verdict.status, verdict.about) == (Status.UNKNOWN, Role.from_arn(foreign))
    assert say(world, None).status is Status.UNKNOWN
    assert say(world, "dax").status is Status.UNKNOWN
    hidden = world.managed("hidden", gap=Gap(Reason.ACCESS_DENIED, "Not allowed.", "iam:GetPolicyVersion"))
    verdict = say(world, world.role("b", attached=(hidden,), trust=DAX).arn)
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "iam:GetPolicyVersion")
    assert say(world, world.role("c", text="{", trust=DAX).arn).status is Status.UNKNOWN


def test_a_role_that_was_deleted_is_not_judged() -> None:
    assert say(World(), "arn:aws:iam::111122223333:role/gone").status is Status.NOT_APPLICABLE


def test_tags_decide_only_with_attribute_based_access_control() -> None:
    world = World()
    world.table("orders", tags={"cache": "yes"})
    tagged = {"StringEquals": {"aws:ResourceTag/cache": "yes"}}
    role = world.role("dax", allow("dynamodb:PutItem", Condition=tagged), trust=DAX)
    assert say(world, role.arn).status is Status.UNKNOWN
    assert say(world, role.arn, holdings=world.facts(Config(abac_enabled=True))[1]).status is Status.FAIL


def test_what_an_scp_blocks_is_milder() -> None:
    world = World()
    role = world.role("dax", allow("dynamodb:*"), trust=DAX)
    world.block(deny("dynamodb:*"))
    verdict = say(world, role.arn)
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.LOW)
    assert verdict.evidence["blockedBy"]
