"""iam-user-limit: how many users have access, for sure and perhaps."""

import pytest

from auditor import Severity, Status, Verdict
from auditor.facts import Gap, Reason
from tests.holdings import World, allow, deny
from tests.rules import load

judge = load("iam-user-limit")

NO_TEXT = Gap(Reason.ACCESS_DENIED, "Not allowed.", "iam:GetPolicyVersion")


def say(world: World, limit: int = 2) -> Verdict:
    verdict = judge(world.account, *world.facts(), max_dynamodb_users=limit)
    assert isinstance(verdict, Verdict)
    return verdict


def world_of(having: int, *, without: int = 0, hidden: int = 0) -> World:
    world = World()
    unread = world.managed("hidden", gap=NO_TEXT)
    for number in range(having):
        world.user(f"user-{number}", allow("dynamodb:Scan"))
    for number in range(without):
        world.user(f"idle-{number}", allow("s3:*"))
    for number in range(hidden):
        world.user(f"hidden-{number}", attached=(unread,))
    return world


@pytest.mark.parametrize(
    ("having", "expected"),
    [(0, None), (2, None), (3, Severity.LOW), (4, Severity.LOW), (5, Severity.MEDIUM)],
)
def test_users_with_access_are_counted(having: int, expected: Severity | None) -> None:
    verdict = say(world_of(having, without=6))
    assert (verdict.status, verdict.severity) == (Status.PASS if expected is None else Status.FAIL, expected)
    assert len(verdict.evidence["usersWithAccess"]) == having
    assert verdict.evidence["Users"] == having + 6


def test_without_users_it_does_not_apply() -> None:
    world = World()
    world.role("admin", allow("*"))
    assert say(world).status is Status.NOT_APPLICABLE


def test_users_of_whom_nothing_is_known_matter_where_the_limit_depends_on_them() -> None:
    assert say(world_of(1, hidden=1)).status is Status.PASS
    verdict = say(world_of(1, hidden=2))
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "iam:GetPolicyVersion")
    assert say(world_of(3, hidden=1)).severity is Severity.LOW
    assert say(world_of(3, hidden=2)).severity is Severity.MEDIUM


def test_the_default_limit_is_five() -> None:
    assert judge(World().account, *world_of(5).facts()).status is Status.PASS
    assert judge(World().account, *world_of(6).facts()).status is Status.FAIL


def test_blocked_users_count_and_make_it_milder_only_when_the_limit_is_kept_without_them() -> None:
    world = world_of(3)
    world.block(deny("dynamodb:*"))
    verdict = say(world)
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.INFORMATIONAL)
    assert "guard" in verdict.evidence["blockedBy"][0]
    world.block(deny("dynamodb:*", Condition={"StringEquals": {"aws:username": "nobody"}}))
    assert say(world).severity is Severity.LOW


def test_groups_do_not_count_and_the_user_that_audits_neither() -> None:
    world = world_of(2)
    world.group("all", allow("dynamodb:*"))
    world.user("auditor", allow("dynamodb:*"))
    assert say(world).status is Status.FAIL
    world.caller = "arn:aws:iam::111122223333:user/auditor"
    assert say(world).status is Status.PASS
