"""iam-full-access-policies: which of AWS's policies are full access, where, and to whom."""

import pytest

from auditor import Severity, Status, Verdict
from auditor.config import Config
from auditor.facts import Gap, Reason
from auditor.resources import Group, Role, User
from tests.holdings import World, allow, deny
from tests.rules import load

judge = load("iam-full-access-policies")

NO_TEXT = Gap(Reason.ACCESS_DENIED, "Not allowed.", "iam:GetPolicyVersion")


def say(world: World, who: User | Group | Role, config: Config | None = None) -> Verdict | None:
    identities, held = world.facts(config)
    verdict = judge(who, identities, held, config or Config())
    assert verdict is None or isinstance(verdict, Verdict)
    return verdict


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
@pytest.mark.parametrize(
    "name",
    [
        *("AmazonDynamoDBFullAccess", "AmazonDynamoDBFullAccess_v2", "AmazonDynamoDBFullAccesswithDataPipeline"),
        *("job-function/DatabaseAdministrator", "PowerUserAccess", "AdministratorAccess"),
    ],
)
def test_the_named_policies_fail_wherever_they_are_attached(partition: str, name: str) -> None:
    world = World(partition)
    arn = world.managed(name, aws=True, gap=NO_TEXT)
    for who in (
        world.user("a", attached=(arn,)),
        world.group("b", attached=(arn,)),
        world.role("c", attached=(arn,)),
    ):
        verdict = say(world, who)
        assert verdict is not None
        assert (verdict.status, verdict.severity) == (Status.FAIL, None)
        assert verdict.evidence["fullAccess"] == [arn]
        assert name.rpartition("/")[2] in verdict.message


def test_other_policies_pass() -> None:
    world = World()
    reading = world.managed("AmazonDynamoDBReadOnlyAccess", allow("dynamodb:Get*"), aws=True)
    own = world.managed("AmazonDynamoDBFullAccess", allow("dynamodb:*"))
    partly = world.managed("Other", allow("dynamodb:*", "arn:aws:dynamodb:*:*:table/x"), aws=True)
    guarded = world.managed("Guarded", allow("*", Condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}}), aws=True)
    verdict = say(world, world.role("a", allow("*"), attached=(reading, own, partly, guarded)))
    assert verdict is not None
    assert verdict.status is Status.PASS


def test_another_policy_of_aws_that_allows_everything_fails_by_its_text() -> None:
    world = World()
    jobs = world.managed("job-function/DataScientist", allow(["s3:*", "dynamodb:*"]), aws=True)
    verdict = say(world, world.role("a", attached=(jobs,)))
    assert verdict is not None
    assert verdict.status is Status.FAIL


def test_an_unreadable_policy_of_aws_is_unknown_unless_another_one_decides() -> None:
    world = World()
    hidden = world.managed("Hidden", aws=True, gap=NO_TEXT)
    full = world.managed("AmazonDynamoDBFullAccess_v2", allow("dynamodb:*"), aws=True)
    verdict = say(world, world.role("a", attached=(hidden,)))
    assert verdict is not None
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "iam:GetPolicyVersion")
    verdict = say(world, world.role("b", attached=(hidden, full)))
    assert verdict is not None
    assert verdict.status is Status.FAIL


def test_a_boundary_is_no_attachment() -> None:
    world = World()
    full = world.managed("AmazonDynamoDBFullAccess", allow("dynamodb:*"), aws=True)
    verdict = say(world, world.role("a", boundary=full))
    assert verdict is not None
    assert verdict.status is Status.PASS


def test_admin_roles_pass_with_a_note() -> None:
    world = World()
    full = world.managed("AdministratorAccess", allow("*"), aws=True)
    name = "aws-reserved/sso.amazonaws.com/AWSReservedSSO_AdministratorAccess_0123456789abcdef"
    sso, other = world.role(name, attached=(full,)), world.role("team/breaker", attached=(full,))
    verdict = say(world, sso)
    assert verdict is not None
    assert (verdict.status, verdict.evidence.get("admin")) == (Status.PASS, True)
    verdict = say(world, other)
    assert verdict is not None
    assert verdict.status is Status.FAIL
    verdict = say(world, other, Config(admin_roles=("role/team/*",)))
    assert verdict is not None
    assert verdict.status is Status.PASS
    # A user is no role, whatever it is called.
    verdict = say(world, world.user("OrganizationAccountAccessRole", attached=(full,)))
    assert verdict is not None
    assert verdict.status is Status.FAIL


def test_what_an_scp_blocks_is_milder() -> None:
    world = World()
    full = world.managed("AmazonDynamoDBFullAccess_v2", allow("dynamodb:*"), aws=True)
    role = world.role("a", attached=(full,))
    world.block(deny("dynamodb:*"))
    verdict = say(world, role)
    assert verdict is not None
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.MEDIUM)
    assert verdict.evidence["blockedBy"]


def test_service_linked_roles_and_the_auditor_have_no_finding() -> None:
    world = World(caller="arn:aws:sts::111122223333:assumed-role/audit/me")
    full = world.managed("AmazonDynamoDBFullAccess", allow("dynamodb:*"), aws=True)
    assert say(world, world.role("aws-service-role/dax.amazonaws.com/Linked", attached=(full,))) is None
    assert say(world, world.role("audit", attached=(full,))) is None
