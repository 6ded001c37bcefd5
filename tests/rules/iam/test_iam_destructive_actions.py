"""iam-destructive-actions: how many can delete or weaken a production table."""

import json
import time
from collections.abc import Mapping
from typing import Any

import pytest

from auditor import Severity, Status
from auditor.access import Named, Unreadable
from auditor.access.estate import Account as Limits
from auditor.access.estate import Estate, Principal
from auditor.access.estate import Table as Entry
from auditor.config import Config
from auditor.facts import AccountAccess, Environment, Gap, Reason, TableAccess
from auditor.resources import Account, Region, Table
from tests.rules import TABLE, load

judge = load("iam-destructive-actions")

PRODUCTION = Environment(production=True, source="tag env=prod")
SANDBOX = Environment(production=False, source="tag env=dev")
NO_TAGS = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListTagsOfResource")
IAM = "arn:aws:iam::111122223333:"


def document(*statements: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def statement(action: Any, resource: Any = TABLE.arn, effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return {"Sid": "Grant", "Effect": effect, "Action": action, "Resource": resource, **more}


def trust(principal: Mapping[str, Any]) -> dict[str, Any]:
    return document({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})


PEOPLE = trust({"AWS": f"{IAM}root"})


def role(name: str, *statements: Any, trusted: Any = PEOPLE, boundary: Any = None, tags: Any = None) -> Principal:
    held = (Named(f"{name}-policy", json.dumps(document(*statements))),) if statements else ()
    return Principal(f"{IAM}role/{name}", "role", held, boundary, tags or {}, Named("trust", trusted))


def user(name: str, *statements: Any) -> Principal:
    return Principal(f"{IAM}user/{name}", "user", (Named(f"{name}-policy", document(*statements)),))


def several(count: int, *statements: Any) -> list[Principal]:
    return [role(f"team-{number}", *statements) for number in range(count)]


def access(*principals: Principal, scps: Any = None, abac: bool | None = None) -> AccountAccess:
    limits = {"111122223333": Limits("111122223333", scps=scps)}
    return AccountAccess(Estate(limits, {one.arn: one for one in principals}, abac=abac))


def verdict(
    *principals: Principal,
    policy: Any = None,
    tags: Mapping[str, str] | None = None,
    config: Config | None = None,
    environment: Any = PRODUCTION,
    gaps: tuple[Gap, ...] = (),
    limit: int = 5,
    **more: Any,
) -> Any:
    target = TableAccess(Entry(TABLE.arn, policy=policy, tags={} if tags is None and not gaps else tags), gaps)
    known = config or Config()
    return judge(TABLE, environment, access(*principals, **more), target, known, max_destructive_principals=limit)


def test_a_few_roles_of_people_pass_and_one_more_fails() -> None:
    found = verdict(*several(5, statement("dynamodb:DeleteTable")))
    assert found.status is Status.PASS
    assert found.evidence["count"] == 5
    found = verdict(*several(6, statement("dynamodb:DeleteTable")))
    assert (found.status, found.severity) == (Status.FAIL, Severity.MEDIUM)
    assert found.evidence["count"] == 6
    assert found.evidence["principals"][0] == {"arn": f"{IAM}role/team-0", "actions": ["dynamodb:DeleteTable"]}
    assert "statement Grant of " in found.message
    assert verdict(*several(6, statement("dynamodb:DeleteTable")), limit=6).status is Status.PASS
    assert verdict().status is Status.PASS


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("dynamodb:DeleteTable", TABLE.arn),
        ("dynamodb:UpdateTable", "arn:aws:dynamodb:*:*:table/ord*"),
        ("dynamodb:DeleteBackup", f"{TABLE.arn}/backup/*"),
        ("dynamodb:DeleteBackup", "arn:aws:dynamodb:*:*:table/*/backup/*"),
        ("dynamodb:UpdateContinuousBackups", "*"),
        ("dynamodb:PutResourcePolicy", "arn:aws:dynamodb:eu-west-1:111122223333:table/*"),
        ("dynamodb:DeleteResourcePolicy", "arn:aws:dynamodb:eu-west-1:111122223333:*"),
        ("dynamodb:DisableKinesisStreamingDestination", "arn:aws:dynamodb:eu-west-1:111122223333:table/order?"),
        ("dynamodb:DeleteTableReplica", TABLE.arn),
        ("dynamodb:*", "*"),
    ],
)
def test_a_user_fails_hard_whatever_the_action(action: str, resource: str) -> None:
    found = verdict(user("eve", statement(action, resource)))
    assert (found.status, found.severity) == (Status.FAIL, Severity.HIGH)
    assert "user/eve" in found.message


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        (["dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:Scan", "dynamodb:DescribeTable"], "*"),
        ("dynamodb:*", f"{TABLE.arn}-archive"),
        ("dynamodb:*", "arn:aws:dynamodb:us-east-1:111122223333:table/*"),
        ("dynamodb:DeleteBackup", f"{TABLE.arn}-archive/backup/*"),
        ("dynamodb:DeleteTable", f"{TABLE.arn}/index/*"),
    ],
)
def test_other_actions_and_other_tables_do_not_count(action: Any, resource: str) -> None:
    assert verdict(user("eve", statement(action, resource))).status is Status.PASS


@pytest.mark.parametrize(
    "service",
    ["ec2.amazonaws.com", "lambda.amazonaws.com", "ecs-tasks.amazonaws.com", ["x.amazonaws.com", "EC2.amazonaws.com"]],
)
def test_a_workload_fails_hard(service: Any) -> None:
    found = verdict(role("api", statement("dynamodb:UpdateTable"), trusted=trust({"Service": service})))
    assert (found.status, found.severity) == (Status.FAIL, Severity.HIGH)
    assert found.evidence["principals"] == [
        {"arn": f"{IAM}role/api", "actions": ["dynamodb:UpdateTable"], "workload": True}
    ]


def test_other_services_are_no_workloads() -> None:
    backup = role("backup", statement("dynamodb:DeleteBackup", "*"), trusted=trust({"Service": "backup.amazonaws.com"}))
    assert verdict(backup).status is Status.PASS


def test_administrators_and_pipelines_do_not_count_and_are_named() -> None:
    deploy = role("deploy", statement("dynamodb:*", "*"), trusted=trust({"Service": "ec2.amazonaws.com"}))
    found = verdict(deploy, config=Config(pipeline_roles=("deploy",)))
    assert found.status is Status.PASS
    assert found.evidence["exempt"] == [deploy.arn]
    assert verdict(deploy, config=Config(admin_roles=("role/dep*",))).status is Status.PASS
    assert verdict(deploy).status is Status.FAIL
    assert (
        verdict(user("deploy", statement("dynamodb:*", "*")), config=Config(admin_roles=("*",))).status is Status.FAIL
    )


def test_service_linked_roles_do_not_count() -> None:
    linked = role("aws-service-role/x.amazonaws.com/AWSServiceRoleForX", statement("*", "*"))
    assert verdict(*[linked] * 7).status is Status.PASS
    assert verdict(linked, limit=0).status is Status.PASS


def test_only_production_tables_are_judged() -> None:
    eve = user("eve", statement("dynamodb:*", "*"))
    assert verdict(eve, environment=SANDBOX).status is Status.NOT_APPLICABLE
    found = verdict(eve, environment=NO_TAGS)
    assert (found.status, found.missing_permission) == (Status.UNKNOWN, "dynamodb:ListTagsOfResource")


def test_denies_and_boundaries_cut() -> None:
    everything = statement("dynamodb:*", "*")
    assert verdict(user("eve", everything, statement("dynamodb:*", TABLE.arn + "*", "Deny"))).status is Status.PASS
    assert verdict(user("eve", everything, statement("*", f"{TABLE.arn}-archive", "Deny"))).status is Status.FAIL
    bounded = role("api", everything, boundary=Named("b", document(statement("dynamodb:Get*", "*"))))
    assert verdict(bounded, limit=0).status is Status.PASS
    loose = role("api", everything, boundary=Named("b", document(statement("dynamodb:UpdateTable", "*"))))
    found = verdict(loose, limit=0)
    assert found.evidence["principals"] == [{"arn": loose.arn, "actions": ["dynamodb:UpdateTable"]}]


def test_the_tables_policy_grants_and_denies() -> None:
    silent = role("partner")
    grant = {**statement("dynamodb:UpdateTable"), "Principal": {"AWS": silent.arn}}
    found = verdict(silent, policy=Named("resource policy", document(grant)), limit=0)
    assert found.status is Status.FAIL
    assert found.evidence["statements"][0]["policy"] == "resource policy"
    deny = {**statement("dynamodb:*", "*", "Deny"), "Principal": "*"}
    eve = user("eve", statement(["dynamodb:DeleteTable", "dynamodb:UpdateTable"], "*"))
    assert verdict(eve, policy=Named("resource policy", document(deny))).status is Status.PASS
    # The policy of a table does not reach its backups.
    found = verdict(user("eve", statement("dynamodb:*", "*")), policy=Named("resource policy", document(deny)))
    assert "dynamodb:DeleteBackup" in found.evidence["principals"][0]["actions"]
    assert "dynamodb:DeleteTable" not in found.evidence["principals"][0]["actions"]
    reads = {**statement("dynamodb:GetItem"), "Principal": "*"}
    assert verdict(silent, policy=Named("resource policy", document(reads)), limit=0).status is Status.PASS


def test_a_resource_policy_that_cannot_be_read_is_unknown() -> None:
    gap = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:GetResourcePolicy")
    hidden = Named("resource policy", Unreadable("Not allowed."))
    for one in (user("eve", statement("dynamodb:*", "*")), role("reader")):
        found = verdict(one, policy=hidden, gaps=(gap,), tags={})
        assert (found.status, found.missing_permission) == (Status.UNKNOWN, "dynamodb:GetResourcePolicy")
    assert verdict(policy=Named("resource policy", "{")).status is Status.UNKNOWN


def test_conditional_access_counts_and_is_told() -> None:
    mfa = statement("dynamodb:DeleteTable", Condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}})
    found = verdict(user("eve", mfa))
    assert found.status is Status.FAIL
    assert found.evidence["conditions"] == ["only with MFA"]


@pytest.mark.parametrize("broken", ["{", Unreadable("Not allowed."), {"Statement": 3}])
def test_a_policy_that_cannot_be_read_matters_where_it_would_change_the_verdict(broken: Any) -> None:
    def odd(kind: str, name: str) -> Principal:
        return Principal(f"{IAM}{kind}/{name}", kind, (Named("broken", broken),), trust=Named("trust", PEOPLE))

    assert verdict(odd("user", "eve")).status is Status.UNKNOWN
    assert verdict(odd("role", "reader")).status is Status.PASS
    assert verdict(odd("role", "reader"), limit=0).status is Status.UNKNOWN
    assert verdict(odd("user", "eve"), user("mallory", statement("dynamodb:*"))).status is Status.FAIL


def test_a_trust_policy_that_cannot_be_read_may_hide_a_workload() -> None:
    found = verdict(role("api", statement("dynamodb:DeleteTable"), trusted="{"))
    assert found.status is Status.UNKNOWN
    assert "trust policy" in found.message
    assert verdict(role("api", statement("dynamodb:GetItem"), trusted="{")).status is Status.PASS


def test_tags_decide_with_attribute_based_access_control_only() -> None:
    own = statement("dynamodb:*", "*", Condition={"StringEquals": {"aws:ResourceTag/team": "red"}})
    eve = user("eve", own)
    assert verdict(eve, tags={"team": "red"}, abac=True).status is Status.FAIL
    assert verdict(eve, tags={"team": "red"}, abac=False).status is Status.PASS
    assert verdict(eve, tags={"team": "red"}).status is Status.UNKNOWN
    assert verdict(eve, tags={"team": "blue"}).status is Status.PASS
    found = verdict(eve, gaps=(NO_TAGS,))
    assert (found.status, found.missing_permission) == (Status.UNKNOWN, "dynamodb:ListTagsOfResource")


def test_a_guardrail_lowers_the_severity_and_is_named() -> None:
    allow = Named("SCP FullAWSAccess", document(statement("*", "*")))
    stop = Named("SCP stop", document(statement("dynamodb:DeleteTable", "*", "Deny")))
    eve = user("eve", statement("dynamodb:DeleteTable"))
    found = verdict(eve, scps=[[allow, stop]])
    assert (found.status, found.severity) == (Status.FAIL, Severity.MEDIUM)
    (block,) = found.evidence["blockedBy"]
    assert "SCP stop" in block
    # One grant that gets through is enough.
    both = user("eve", statement(["dynamodb:DeleteTable", "dynamodb:UpdateTable"]))
    assert verdict(both, scps=[[allow, stop]]).severity is Severity.HIGH
    many = several(6, statement("dynamodb:DeleteTable"))
    assert verdict(*many, scps=[[allow, stop]]).severity is Severity.LOW


def test_the_guardrail_is_asked_about_the_table_at_hand() -> None:
    allow = Named("SCP FullAWSAccess", document(statement("*", "*")))
    stop = Named("SCP stop", document(statement("dynamodb:*", f"{TABLE.arn}*", "Deny")))
    held = access(user("eve", statement("dynamodb:*", "*")), scps=[[allow, stop]])
    other = Table(TABLE.region, "other")
    severities = [
        judge(table, PRODUCTION, held, TableAccess(Entry(table.arn, tags={})), Config()).severity
        for table in (other, TABLE, other)
    ]
    assert severities == [Severity.HIGH, Severity.MEDIUM, Severity.HIGH]


def test_other_partitions() -> None:
    table = Table(Region(Account("111122223333", "aws-cn"), "cn-north-1"), "orders")
    arn = "arn:aws-cn:iam::111122223333:role/api"
    held = (Named("p", document(statement("dynamodb:DeleteTable", table.arn))),)
    known = access(Principal(arn, "role", held, trust=trust({"Service": "ec2.amazonaws.com.cn"})))
    found = judge(table, PRODUCTION, known, TableAccess(Entry(table.arn, tags={})), Config())
    assert (found.status, found.severity) == (Status.FAIL, Severity.HIGH)


def test_an_estate_of_many_is_judged_table_by_table_without_asking_everybody_each_time() -> None:
    prefix = TABLE.arn.rpartition("/")[0]
    own = [role(f"own-{number}", statement("dynamodb:*", f"{prefix}/t{number}")) for number in range(400)]
    wide = several(4, statement("dynamodb:*", "*"))
    readers = [role(f"reader-{number}", statement("dynamodb:Get*", "*")) for number in range(400)]
    held = access(*own, *wide, *readers)
    started = time.process_time()
    for number in range(400):
        table = Table(TABLE.region, f"t{number}")
        found = judge(table, PRODUCTION, held, TableAccess(Entry(table.arn, tags={})), Config())
        assert found.evidence["count"] == 5
    # Cell by cell these are 400 x 804 x 8 decisions: minutes.
    assert time.process_time() - started < 20
