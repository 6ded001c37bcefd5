"""iam-inline-policies: which statements of inline policies are about DynamoDB or DAX."""

from typing import Any

import pytest

from auditor import Severity, Status, Verdict
from auditor.resources import Group, Role, User
from tests.holdings import World, allow, deny
from tests.rules import load

judge = load("iam-inline-policies")


def say(world: World, who: User | Group | Role, **settings: Any) -> Verdict:
    verdict = judge(who, *world.facts(), **settings)
    assert isinstance(verdict, Verdict)
    return verdict


@pytest.mark.parametrize(
    "statement",
    [
        allow("dynamodb:GetItem", "arn:aws:dynamodb:eu-west-1:111122223333:table/orders"),
        allow("DYNAMODB:*", "arn:aws-cn:dynamodb:cn-north-1:111122223333:table/orders"),
        allow("*"),
        allow("d*:get?tem"),
        allow("dax:Query", "arn:aws:dax:eu-west-1:111122223333:cache/orders"),
        allow("dynamodb:DescribeTable", "arn:aws:dyn*"),
        {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"},
        {"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::bucket"},
    ],
)
def test_statements_about_dynamodb_fail_on_users_and_groups(statement: dict[str, Any]) -> None:
    world = World()
    for who in (world.user("a", statement), world.group("b", statement)):
        verdict = say(world, who)
        assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.MEDIUM)
        assert verdict.evidence["statements"] == [{"policy": "orders", "sid": "", "index": 0}]
        assert "inline policy orders" in verdict.message


@pytest.mark.parametrize(
    "statement",
    [
        allow("s3:*"),
        deny("dynamodb:*"),
        allow("*", "arn:aws:s3:::bucket/*"),
        allow("dynamodb:*", "arn:aws:s3:::bucket/*"),
        allow(["dynamodb:TransactWriteItems", "dynamodb:ExecuteStatement"]),
        {"Effect": "Allow", "NotAction": ["dynamodb:*", "dax:*"], "Resource": "*"},
    ],
)
def test_others_pass(statement: dict[str, Any]) -> None:
    world = World()
    assert say(world, world.user("a", statement)).status is Status.PASS


def test_managed_policies_are_none_of_its_business() -> None:
    world = World()
    arn = world.managed("orders", allow("dynamodb:*"))
    assert say(world, world.user("a", attached=(arn,))).status is Status.PASS


def test_roles_are_judged_on_request_only() -> None:
    world = World()
    role, plain = world.role("a", allow("dynamodb:*")), world.role("b", allow("s3:*"))
    assert say(world, role).status is Status.NOT_APPLICABLE
    verdict = say(world, role, ignore_roles=False)
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.LOW)
    assert say(world, plain, ignore_roles=False).status is Status.PASS


@pytest.mark.parametrize("text", ["", "{", "null", '{"Version": "2012-10-17"}', '{"Statement": [{"Effect": "Allow"}]}'])
def test_a_malformed_policy_is_unknown(text: str) -> None:
    world = World()
    verdict = say(world, world.user("a", text=text))
    assert (verdict.status, verdict.reason) == (Status.UNKNOWN, "undecidable")
    assert "orders" in verdict.message


def test_what_an_scp_blocks_is_milder() -> None:
    world = World()
    user = world.user("a", allow("dynamodb:*"))
    world.block(deny("dynamodb:*"))
    verdict = say(world, user)
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.LOW)
    assert "guard" in verdict.evidence["blockedBy"][0]
    world.block(deny("dynamodb:Delete*"))
    assert say(world, user).severity is Severity.MEDIUM


def test_service_linked_roles_and_the_auditor_have_no_finding() -> None:
    world = World(caller="arn:aws:sts::111122223333:assumed-role/audit/me")
    linked = world.role("aws-service-role/dax.amazonaws.com/Linked", allow("dynamodb:*"))
    own = world.role("audit", allow("dynamodb:*"))
    for role in (linked, own):
        assert judge(role, *world.facts(), ignore_roles=False) is None
