"""data-two-sided-protection: what other rules say of a sensitive table and of those who reach it, summed up."""

from dataclasses import replace

import pytest

from auditor import Members, Severity, Status, Verdict, failed, not_applicable, packs, passed, unknown
from auditor.analysis.access import table_access
from auditor.facts import (
    Gap,
    Holdings,
    Reason,
    Sensitivity,
    SubnetInfo,
    Subnets,
    SubnetWorkloads,
    TableAccess,
    TableSettings,
    Workloads,
)
from auditor.resources import Account, Key, Resource, Subnet, User
from tests.holdings import World, allow, deny
from tests.rules import load

rule = load("data-two-sided-protection")

SENSITIVE = Sensitivity(sensitive=True, classified=True, source="data-classification=pii")
INTERNAL = Sensitivity(sensitive=False, classified=True, source="data-classification=internal")
DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "ec2:DescribeInstances")
NO_TAGS = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListTagsOfResource")
NO_POLICY = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:GetResourcePolicy")
ALL = packs.built_in()["data-two-sided-protection"].composed_of
KIND, USE, EVENTS, ITEMS, PATHS, USERS = ALL
GOOD = passed("Good.")
BAD = failed("It is bad.")
OPEN = unknown(Gap(Reason.ACCESS_DENIED, "May not.", "aws:Something"))


class Case:
    """A sensitive table in a healthy account, to be spoilt."""

    def __init__(self, partition: str = "aws", region: str = "eu-west-1") -> None:
        self.world = World(partition, region)
        self.table = self.world.table("patients")
        self.key = Key(self.table.region, "1234")
        self.settings = TableSettings("ACTIVE", sse_type="KMS", key=self.key)
        self.sensitivity: Sensitivity | Gap = SENSITIVE
        self.said: dict[tuple[str, Resource], tuple[Verdict, ...]] = {}
        self.enabled = list(ALL)
        self.subnets: Subnets | Gap = Subnets(())
        self.workloads: Workloads | Gap = Workloads({})
        self.access: TableAccess | Gap | None = None
        self.holdings: Holdings | Gap | None = None
        for member in (KIND, EVENTS, ITEMS):
            self.say(member, self.table, GOOD)
        self.say(USE, self.key, GOOD)

    def say(self, member: str, resource: Resource, *verdicts: Verdict) -> None:
        self.said[member, resource] = verdicts

    def subnet(
        self, name: str, verdict: Verdict | None, *roles: str, complete: bool = True, gap: Gap | None = None,
        account: str = "",
    ) -> Subnet:  # fmt: skip
        region = replace(self.table.region, account=Account(account)) if account else self.table.region
        subnet = Subnet(region, name)
        assert isinstance(self.subnets, Subnets)
        self.subnets = Subnets((*self.subnets.subnets, SubnetInfo(subnet, "vpc-1")))
        self.say(PATHS, subnet, *([verdict] if verdict else ()))
        if not account:
            held = self.workloads.subnets if isinstance(self.workloads, Workloads) else {}
            self.workloads = Workloads({**held, name: SubnetWorkloads(roles, complete, (), gap)})
        return subnet

    def judge(self) -> Verdict:
        if self.holdings is None:
            self.holdings = self.world.facts()[1]
        members = Members(lambda member, resource: self.said.get((member, resource), ()), self.enabled)
        access = self.access or table_access(self.table, *self.world.tables[self.table])
        verdict: Verdict = rule(
            self.table, self.settings, self.sensitivity, self.subnets, self.workloads, self.holdings, access, members
        )
        return verdict


@pytest.fixture
def case() -> Case:
    return Case()


def test_a_table_with_all_of_it_passes(case: Case) -> None:
    case.subnet("subnet-1", GOOD)
    verdict = case.judge()
    assert verdict.status is Status.PASS
    assert set(verdict.evidence["amazon"]) == {KIND, USE, EVENTS}
    assert set(verdict.evidence["client"]) == {ITEMS, PATHS, USERS}


@pytest.mark.parametrize(
    ("member", "side"),
    [(KIND, "Amazon's side"), (USE, "Amazon's side"), (EVENTS, "Amazon's side"), (ITEMS, "the client's side")],
)
def test_a_failing_member_fails_it_and_is_named_with_its_side(case: Case, member: str, side: str) -> None:
    case.say(member, case.key if member == USE else case.table, BAD)
    verdict = case.judge()
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.HIGH)
    assert verdict.message == f"The table is not protected on {side} by {member}."
    held = verdict.evidence["amazon" if side.startswith("A") else "client"][member]
    assert held == {"status": "fail", "message": "It is bad."}


def test_both_sides_are_named(case: Case) -> None:
    case.say(KIND, case.table, BAD)
    case.say(EVENTS, case.table, BAD)
    case.say(ITEMS, case.table, BAD)
    message = case.judge().message
    assert f"on Amazon's side by {KIND}, {EVENTS}; on the client's side by {ITEMS}." in message


def test_unknown_members_make_it_unknown_unless_one_fails(case: Case) -> None:
    case.say(EVENTS, case.table, OPEN)
    verdict = case.judge()
    assert (verdict.status, verdict.reason, verdict.missing_permission) == (
        Status.UNKNOWN, "access_denied", "aws:Something",
    )  # fmt: skip
    assert EVENTS in verdict.message
    case.say(ITEMS, case.table, BAD)
    assert case.judge().status is Status.FAIL


def test_the_worst_of_a_members_verdicts_counts_and_those_on_a_part_do_not(case: Case) -> None:
    case.say(ITEMS, case.table, GOOD, failed("Legacy.", sub_key="legacy-client"))
    assert case.judge().status is Status.PASS
    case.say(EVENTS, case.table, GOOD, OPEN, BAD)
    assert case.judge().status is Status.FAIL


def test_members_that_are_not_applicable_or_switched_off_are_left_out(case: Case) -> None:
    case.say(ITEMS, case.table, not_applicable("The table has no items."))
    verdict = case.judge()
    assert verdict.status is Status.PASS
    assert ITEMS not in verdict.evidence["client"]
    case.say(EVENTS, case.table, BAD)
    case.enabled.remove(EVENTS)
    assert case.judge().status is Status.PASS
    case.enabled.clear()
    assert case.judge().status is Status.NOT_APPLICABLE


def test_a_key_that_aws_owns_has_no_usability_to_judge(case: Case) -> None:
    case.say(USE, case.key, BAD)
    case.settings = TableSettings("ACTIVE")
    verdict = case.judge()
    assert verdict.status is Status.PASS
    assert USE not in verdict.evidence["amazon"]


def test_tables_that_are_not_sensitive_or_not_there_are_not_judged(case: Case) -> None:
    case.say(KIND, case.table, BAD)
    case.sensitivity = INTERNAL
    assert case.judge().status is Status.NOT_APPLICABLE
    case.sensitivity, case.settings = SENSITIVE, TableSettings("CREATING")
    assert case.judge().status is Status.NOT_APPLICABLE


def test_unreadable_tags_are_unknown(case: Case) -> None:
    case.sensitivity = NO_TAGS
    verdict = case.judge()
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "dynamodb:ListTagsOfResource")


# Paths


def reader(case: Case, name: str = "api") -> str:
    return case.world.role(name, allow("dynamodb:GetItem", case.table.arn)).arn


def stranger(case: Case) -> str:
    return case.world.role("mailer", allow("dynamodb:*", case.table.arn.replace("patients", "mails"))).arn


def test_a_bad_path_of_workloads_that_reach_the_table_fails(case: Case) -> None:
    case.subnet("subnet-1", GOOD, reader(case))
    case.subnet("subnet-2", BAD, reader(case, "worker"))
    verdict = case.judge()
    assert verdict.status is Status.FAIL
    assert verdict.evidence["client"][PATHS] == {
        "status": "fail", "message": "It is bad.", "SubnetIds": ["subnet-2"],
    }  # fmt: skip


def test_subnets_whose_roles_cannot_reach_this_table_do_not_count(case: Case) -> None:
    case.subnet("subnet-1", BAD, stranger(case))
    case.subnet("subnet-2", OPEN, stranger(case))
    verdict = case.judge()
    assert verdict.status is Status.PASS
    assert PATHS not in verdict.evidence["client"]


def test_a_role_that_only_describes_the_table_does_not_reach_its_items(case: Case) -> None:
    case.subnet("subnet-1", BAD, case.world.role("ops", allow("dynamodb:DescribeTable")).arn)
    assert case.judge().status is Status.PASS


def test_where_not_all_roles_are_known_the_subnet_counts(case: Case) -> None:
    case.subnet("subnet-1", BAD, stranger(case), complete=False)
    assert case.judge().status is Status.FAIL


def test_a_subnet_without_known_workloads_counts(case: Case) -> None:
    case.subnet("subnet-1", BAD)
    case.workloads = Workloads({})
    assert case.judge().status is Status.FAIL


def test_a_role_that_nobody_knows_is_undecided(case: Case) -> None:
    case.subnet("subnet-1", BAD, "arn:aws:iam::111122223333:role/gone")
    assert case.judge().status is Status.UNKNOWN


@pytest.mark.parametrize("role", [None, "reader"])
def test_roles_that_could_not_be_read_leave_a_bad_path_open_unless_a_known_one_reaches(
    case: Case, role: str | None
) -> None:
    case.subnet("subnet-1", BAD, *([reader(case)] if role else ()), complete=False, gap=DENIED)
    verdict = case.judge()
    if role:
        assert verdict.status is Status.FAIL
    else:
        assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "ec2:DescribeInstances")


def test_unknown_workloads_or_principals_leave_a_bad_path_open_and_a_good_one_good(case: Case) -> None:
    case.subnet("subnet-1", GOOD, reader(case))
    case.workloads = DENIED
    assert case.judge().status is Status.PASS
    case.subnet("subnet-2", BAD, reader(case, "worker"))
    case.workloads = DENIED
    verdict = case.judge()
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "ec2:DescribeInstances")


def test_principals_that_could_not_be_read_leave_it_open(case: Case) -> None:
    case.subnet("subnet-1", BAD, reader(case))
    case.holdings = Gap(Reason.ACCESS_DENIED, "Not allowed.", "iam:GetAccountAuthorizationDetails")
    verdict = case.judge()
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "iam:GetAccountAuthorizationDetails")


def test_a_table_policy_that_could_not_be_read_leaves_it_open_who_reaches(case: Case) -> None:
    case.table = case.world.table("patients", policy=NO_POLICY)
    case.subnet("subnet-1", BAD, stranger(case))
    verdict = case.judge()
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "dynamodb:GetResourcePolicy")


def test_an_isolated_subnet_and_one_without_workloads_are_fine(case: Case) -> None:
    case.subnet("subnet-1", not_applicable("Workloads in this subnet have no way to DynamoDB."), reader(case))
    case.subnet("subnet-2", None, reader(case, "worker"))
    assert case.judge().status is Status.PASS


def test_subnets_that_could_not_be_listed_are_unknown(case: Case) -> None:
    case.subnets = Gap(Reason.ACCESS_DENIED, "Not allowed.", "ec2:DescribeSubnets")
    verdict = case.judge()
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "ec2:DescribeSubnets")


def test_a_shared_subnet_counts_where_own_workloads_are_in_it(case: Case) -> None:
    subnet = case.subnet("subnet-1", BAD, account="999988887777")
    assert case.judge().status is Status.PASS
    case.workloads = Workloads({subnet.name: SubnetWorkloads((reader(case),), complete=True)})
    case.holdings = None
    assert case.judge().status is Status.FAIL


# Users


def fails(case: Case, user: User, verdict: Verdict = BAD) -> None:
    case.say(USERS, user, verdict)


@pytest.mark.parametrize(
    ("partition", "region"), [("aws", "eu-west-1"), ("aws-cn", "cn-north-1"), ("aws-us-gov", "us-gov-west-1")]
)
def test_a_user_that_reads_the_table_fails_it(partition: str, region: str) -> None:
    case = Case(partition, region)
    user = case.world.user("alice", allow("dynamodb:Query", case.table.arn))
    fails(case, user)
    verdict = case.judge()
    assert verdict.status is Status.FAIL
    assert verdict.evidence["client"][USERS]["users"] == [user.arn]
    assert "alice" in verdict.evidence["client"][USERS]["message"]


def test_users_that_reach_other_tables_or_none_are_fine(case: Case) -> None:
    fails(case, case.world.user("bob", allow("dynamodb:*", case.table.arn.replace("patients", "mails"))))
    fails(case, case.world.user("carol", allow("dynamodb:*"), deny("dynamodb:*", case.table.arn)))
    fails(case, case.world.user("dave", allow("dynamodb:DescribeTable")))
    verdict = case.judge()
    assert verdict.status is Status.PASS
    assert verdict.evidence["client"][USERS]["status"] == "pass"


def test_a_user_that_the_other_rule_allows_is_fine(case: Case) -> None:
    fails(case, case.world.user("break-glass", allow("dynamodb:*")), passed("Declared.", allowed=True))
    assert case.judge().status is Status.PASS


def test_a_user_who_may_reach_the_table_is_as_unknown_as_the_cause(case: Case) -> None:
    case.table = case.world.table("patients", policy=NO_POLICY)
    user = case.world.user("erin", allow("s3:*"))
    fails(case, user, unknown(NO_POLICY))
    verdict = case.judge()
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "dynamodb:GetResourcePolicy")
    # It fails there for another table; of this one the policy is not known all the same.
    fails(case, user)
    assert case.judge().missing_permission == "dynamodb:GetResourcePolicy"


def test_roles_are_no_users(case: Case) -> None:
    reader(case)
    assert case.judge().status is Status.PASS


# Composition


def test_its_findings_carry_no_weight_and_its_members_are_real_rules() -> None:
    rules = packs.built_in()
    assert set(ALL) <= set(rules)
    assert set(rules["data-two-sided-protection"].parts) == set(ALL)
