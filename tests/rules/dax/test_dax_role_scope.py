"""dax-role-scope: who may assume a cluster's role, how far it reaches, and whom it lets past IAM."""

from typing import Any

import pytest

from auditor import Severity, Status, Verdict
from auditor.config import Config
from auditor.facts import DaxSettings, Gap, Holdings, Identities, Reason
from auditor.resources import Account, DaxCluster, Region
from tests.holdings import World, allow, deny, document, trust
from tests.rules import load

judge = load("dax-role-scope")

DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "iam:GetAccountAuthorizationDetails")
DAX = trust("dax.amazonaws.com", StringEquals={"aws:SourceAccount": "111122223333"})
READS = ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan", "dynamodb:DescribeTable"]


class Case:
    """A cluster with a role that passes, unless a test makes it otherwise."""

    def __init__(self, *statements: Any, trusted: str = DAX, partition: str = "aws", **more: Any) -> None:
        self.world = World(partition)
        self.table = self.world.table("orders")
        self.cluster = self.world.cluster("orders-cache")
        held = statements or (allow(READS, [self.table.arn, f"{self.table.arn}/index/*"]),)
        self.role = self.world.role("dax", *held, trust=trusted, **more)

    def say(
        self,
        *,
        arn: str | None = None,
        facts: tuple[Identities | Gap, Holdings | Gap] | None = None,
        config: Config | None = None,
        **settings: Any,
    ) -> Verdict:
        known = DaxSettings("available", role_arn=arn or self.role.arn)
        clusters: dict[DaxCluster, DaxSettings | Gap] = {self.cluster: known}
        identities, holdings = facts or self.world.facts(config)
        verdict = judge(self.cluster, known, clusters, identities, holdings, config or Config(), **settings)
        assert isinstance(verdict, Verdict)
        return verdict


@pytest.mark.parametrize("partition", ["aws", "aws-cn"])
@pytest.mark.parametrize("service", ["dax.amazonaws.com", "DAX.amazonaws.com", "dax.amazonaws.com.cn"])
def test_a_confined_role_passes(partition: str, service: str) -> None:
    case = Case(
        trusted=trust(service, StringEquals={"aws:SourceAccount": "111122223333"}),
        partition=partition,
    )
    verdict = case.say()
    assert (verdict.status, verdict.about) == (Status.PASS, case.role)


@pytest.mark.parametrize(
    "condition",
    [
        {"StringEquals": {"aws:SourceAccount": "111122223333"}},
        {"ArnLike": {"aws:SourceArn": "arn:aws:dax:*:111122223333:cache/*"}},
        {"StringEquals": {"aws:SourceOrgID": "o-aaaa111111"}},
    ],
)
def test_any_condition_on_the_source_confines(condition: dict[str, Any]) -> None:
    assert Case(trusted=trust("dax.amazonaws.com", **condition)).say().status is Status.PASS


@pytest.mark.parametrize(
    "condition",
    [
        {},
        {"StringEquals": {"sts:ExternalId": "x"}},
        {"StringLike": {"aws:SourceAccount": "*"}},
        {"StringNotEquals": {"aws:SourceAccount": "222233334444"}},
    ],
)
def test_without_a_condition_that_confines_it_fails_as_low(condition: dict[str, Any]) -> None:
    verdict = Case(trusted=trust("dax.amazonaws.com", **condition)).say()
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.LOW)
    assert "aws:SourceAccount" in verdict.message


@pytest.mark.parametrize(
    ("principal", "shown"),
    [
        ({"Service": ["dax.amazonaws.com", "ec2.amazonaws.com"]}, "ec2.amazonaws.com"),
        ({"AWS": "arn:aws:iam::111122223333:root"}, "arn:aws:iam::111122223333:root"),
        ({"AWS": "*"}, "*"),
        ("*", "*"),
        ({"Federated": "cognito-identity.amazonaws.com"}, "cognito-identity.amazonaws.com"),
    ],
)
def test_anybody_else_in_the_trust_policy_fails_as_high(principal: Any, shown: str) -> None:
    statement = {
        "Effect": "Allow",
        "Principal": principal,
        "Action": ["sts:AssumeRole", "sts:AssumeRoleWithWebIdentity"],
    }
    verdict = Case(trusted=document(statement)).say()
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.HIGH)
    assert verdict.evidence["trustedPrincipals"] == [shown]


def test_denials_other_actions_and_deleted_principals_let_nobody_in() -> None:
    verdict = Case(
        trusted=document(
            {
                "Effect": "Allow",
                "Principal": {"Service": "dax.amazonaws.com", "AWS": "AROAEXAMPLE1234567890"},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"aws:SourceAccount": "111122223333"}},
            },
            {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"},
            {"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "sts:SetSourceIdentity"},
        )
    ).say()
    assert verdict.status is Status.PASS


@pytest.mark.parametrize(
    ("statement", "severity"),
    [
        (allow(READS), Severity.MEDIUM),
        (allow(READS, "arn:aws:dynamodb:*:*:table/*"), Severity.MEDIUM),
        (allow("dynamodb:PutItem"), Severity.MEDIUM),
        (allow("dynamodb:*"), Severity.HIGH),
        (allow("dynamodb:DeleteTable", "arn:aws:dynamodb:eu-west-1:111122223333:table/*"), Severity.HIGH),
    ],
)
def test_a_reach_beyond_named_tables_fails(statement: dict[str, Any], severity: Severity) -> None:
    verdict = Case(statement).say()
    assert (verdict.status, verdict.severity) == (Status.FAIL, severity)
    assert verdict.evidence["statements"] == [{"policy": "orders (inline of role/dax)", "sid": "", "index": 0}]


def test_a_prefix_and_what_names_no_table_are_in_scope() -> None:
    prefix = allow(READS, "arn:aws:dynamodb:eu-west-1:111122223333:table/ord*")
    assert Case(prefix, allow(["dynamodb:ListTables", "dynamodb:DescribeTable"])).say().status is Status.PASS


@pytest.mark.parametrize("pattern", ["d*", "dd*", "*-*1*", "ddb*-*"])
def test_a_short_prefix_is_no_wildcard(pattern: str) -> None:
    resource = f"arn:aws:dynamodb:*:*:table/{pattern}"
    assert Case(allow("dynamodb:GetItem", resource)).say().status is Status.PASS


def test_what_an_scp_blocks_is_milder() -> None:
    case = Case(allow("dynamodb:*"))
    case.world.block(deny("dynamodb:*"))
    verdict = case.say()
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.MEDIUM)
    assert verdict.evidence["blockedBy"]
    case.world.block(deny("dynamodb:DeleteTable"))
    assert case.say().severity is Severity.HIGH


def test_whoever_gets_past_iam_through_the_cluster_is_listed() -> None:
    case = Case()
    user = case.world.user("alice", allow("dax:*", case.cluster.arn))
    case.world.role("both", allow("dax:*"), allow(READS, case.table.arn))
    case.world.role("neither", allow("s3:*"))
    verdict = case.say()
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.MEDIUM)
    assert {one["principal"] for one in verdict.evidence["bypass"]} == {user.arn}
    assert {one["action"] for one in verdict.evidence["bypass"]} == {"dax:GetItem", "dax:Query", "dax:Scan"}
    assert "user/alice" in verdict.message
    assert case.say(accept_dax_as_door=("orders-*",)).status is Status.PASS
    assert case.say(accept_dax_as_door=("other",)).status is Status.FAIL


def test_a_bypass_needs_a_table_that_the_role_reaches_and_the_same_operation() -> None:
    case = Case(allow("dynamodb:GetItem", "arn:aws:dynamodb:eu-west-1:111122223333:table/orders"))
    case.world.user("scanner", allow("dax:Scan"))
    case.world.user("getter", allow("dax:GetItem"), allow("dynamodb:GetItem", case.table.arn))
    other = case.world.table("other")
    case.world.user("elsewhere", allow("dax:GetItem"), allow("dynamodb:GetItem", [case.table.arn, other.arn]))
    assert case.say().status is Status.PASS


def test_admin_roles_and_the_role_itself_do_not_count_as_bypass() -> None:
    case = Case()
    case.world.role("OrganizationAccountAccessRole", allow("dax:*"))
    assert case.say().status is Status.PASS
    case = Case(allow(READS, "arn:aws:dynamodb:eu-west-1:111122223333:table/orders"), allow("dax:*"))
    assert case.say().status is Status.PASS


def test_a_blocked_bypass_is_milder() -> None:
    case = Case()
    case.world.user("alice", allow("dax:*"))
    case.world.block(deny("dax:*"))
    verdict = case.say()
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.LOW)
    assert "guard" in verdict.evidence["blockedBy"][0]


def test_an_unlisted_region_matters_where_somebody_may_use_the_cluster() -> None:
    case = Case()
    case.world.listing = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListTables")
    assert case.say().status is Status.PASS
    case.world.user("alice", allow("dax:*"), allow(READS, case.table.arn))
    verdict = case.say()
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "dynamodb:ListTables")


def test_an_unreadable_resource_policy_leaves_a_bypass_open() -> None:
    case = Case()
    case.table = case.world.table("orders", policy=Gap(Reason.ACCESS_DENIED, "No.", "dynamodb:GetResourcePolicy"))
    case.world.user("alice", allow("dax:*"))
    verdict = case.say()
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "dynamodb:GetResourcePolicy")
    assert "user/alice" in verdict.message


def test_what_cannot_be_known_is_unknown_and_makes_no_failure_milder() -> None:
    case = Case()
    verdict = case.say(facts=(DENIED, DENIED))
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "iam:GetAccountAuthorizationDetails")
    assert verdict.about == case.role
    assert case.say(arn="arn:aws:iam::999988887777:role/dax").status is Status.UNKNOWN
    assert case.say(arn="dax").status is Status.UNKNOWN
    assert case.say(arn="arn:aws:iam::111122223333:role/gone").status is Status.NOT_APPLICABLE
    hidden = Gap(Reason.ACCESS_DENIED, "Not allowed.", "iam:GetPolicyVersion")
    case = Case(trusted=trust("dax.amazonaws.com"), attached=("arn:aws:iam::111122223333:policy/hidden",))
    case.world.managed("hidden", gap=hidden)
    verdict = case.say()
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.HIGH)
    assert verdict.evidence["undecided"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"Version": "2012-10-17", "Statement": [3]}'])
def test_malformed_trust_policies_are_unknown(text: str) -> None:
    assert Case(trusted=text).say().status is Status.UNKNOWN


def test_a_role_of_several_clusters_has_one_finding() -> None:
    case = Case()
    second = case.world.cluster("second")
    known = DaxSettings("available", role_arn=case.role.arn)
    both = {case.cluster: known, second: known}
    identities, holdings = case.world.facts()
    assert judge(second, known, both, identities, holdings, Config()) is None
    assert judge(case.cluster, known, both, identities, holdings, Config()).status is Status.PASS


@pytest.mark.parametrize("number", ["000011112222", "999988887777"])
def test_a_cluster_of_another_account_leaves_the_finding_to_those_of_the_roles_own(number: str) -> None:
    case = Case()
    known = DaxSettings("available", role_arn=case.role.arn)
    elsewhere = DaxCluster(Region(Account(number), "eu-west-1"), "remote")
    identities, holdings = case.world.facts()
    clusters: dict[DaxCluster, DaxSettings | Gap] = {elsewhere: known, case.cluster: known}
    assert judge(elsewhere, known, clusters, identities, holdings, Config()) is None
    verdict = judge(case.cluster, known, clusters, identities, holdings, Config())
    assert (verdict.status, verdict.evidence["clusters"]) == (Status.PASS, ["orders-cache"])
    alone = judge(elsewhere, known, {elsewhere: known}, identities, holdings, Config())
    assert (alone.status, alone.about) == (Status.UNKNOWN, case.role)
