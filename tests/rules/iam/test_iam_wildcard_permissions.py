"""iam-wildcard-permissions: who may use a table that no statement names."""

import json
from typing import Any

import pytest

from auditor import Severity, Status
from auditor.access import Named, Unreadable
from auditor.access.estate import Account as Limits
from auditor.access.estate import Estate, Principal
from auditor.config import Config
from auditor.facts import AccountAccess
from auditor.resources import Account, Group, Role, User
from tests.rules import ACCOUNT, load

judge = load("iam-wildcard-permissions")

ROLE = Role(ACCOUNT, "service/orders-api")
ORDERS = "arn:aws:dynamodb:eu-west-1:111122223333:table/orders"


def statement(action: Any, resource: Any, effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return {"Sid": "One", "Effect": effect, "Action": action, "Resource": resource, **more}


def policy(*statements: Any, version: str = "2012-10-17") -> Named:
    return Named("orders (inline of role/orders-api)", json.dumps({"Version": version, "Statement": list(statements)}))


def access(*policies: Any, who: Any = ROLE, auditor: str = "", **more: Any) -> AccountAccess:
    limits = {key: more.pop(key) for key in ("abac", "scps", "rcps") if key in more}
    kind = type(who).__name__.lower()
    principal = Principal(who.arn, kind, policies, **more)
    accounts = {who.account.id: Limits(who.account.id, scps=limits.get("scps"), rcps=limits.get("rcps"))}
    estate = Estate(accounts, {} if kind == "group" else {who.arn: principal}, abac=limits.get("abac"))
    return AccountAccess(estate, {who.arn: principal} if kind == "group" else {}, auditor=auditor)


def verdict(*policies: Any, config: Config | None = None, prefixes: tuple[str, ...] = (), **more: Any) -> Any:
    who = more.get("who", ROLE)
    return judge(who, access(*policies, **more), config or Config(), service_prefix_ok=prefixes)


@pytest.mark.parametrize(
    ("action", "severity"),
    [
        ("dynamodb:Scan", Severity.MEDIUM),
        ("dynamodb:GetItem", Severity.MEDIUM),
        ("dynamodb:PartiQLSelect", Severity.MEDIUM),
        ("dynamodb:ExportTableToPointInTime", Severity.MEDIUM),
        ("dynamodb:SearchVectors", Severity.MEDIUM),
        ("dynamodb:putitem", Severity.HIGH),
        ("dynamodb:Del*", Severity.HIGH),
        ("dynamodb:UpdateTable", Severity.HIGH),
        ("dynamodb:PutResourcePolicy", Severity.HIGH),
        ("*", Severity.HIGH),
    ],
)
def test_a_wildcard_fails_as_hard_as_what_it_grants(action: str, severity: Severity) -> None:
    found = verdict(policy(statement(action, "*")))
    assert (found.status, found.severity) == (Status.FAIL, severity)
    assert found.evidence["statements"] == [{"policy": "orders (inline of role/orders-api)", "sid": "One", "index": 0}]
    assert "statement One of " in found.message


@pytest.mark.parametrize(
    "resource",
    [
        "arn:aws:dynamodb:*:*:*",
        "arn:aws:dynamodb:eu-central-2:111122223333:table/*",
        "arn:aws:dynamodb:eu-*:111122223333:table/*",
        "arn:aws:dynamodb:*:111122223333:table/?*",
        "arn:aws:dynamodb:*:111122223333:table/*/index/*",
        ["arn:aws:s3:::bucket", "arn:aws:dynamodb:sa-east-1:*:table*"],
    ],
)
def test_a_wildcard_in_any_region_or_only_on_indexes_is_one(resource: Any) -> None:
    assert verdict(policy(statement("dynamodb:Query", resource))).status is Status.FAIL


@pytest.mark.parametrize(
    "resource",
    [
        ORDERS,
        [ORDERS, f"{ORDERS}/index/*"],
        "arn:aws:dynamodb:*:111122223333:table/app-*",
        "arn:aws:dynamodb:*:111122223333:table/*-prod",
        "arn:aws:dynamodb:*:444455556666:table/*",
        "arn:aws:dynamodb:*:111122223333:table/${aws:PrincipalTag/team}-*",
    ],
)
def test_named_tables_and_prefixes_pass(resource: Any) -> None:
    found = verdict(policy(statement("dynamodb:*", resource)), tags={"team": "red"})
    assert found.status is Status.PASS


def test_a_prefix_is_noted() -> None:
    prefix = "arn:aws:dynamodb:*:111122223333:table/app-*"
    assert verdict(policy(statement("dynamodb:*", prefix))).evidence["scopes"] == [prefix]
    assert "scopes" not in verdict(policy(statement("dynamodb:*", ORDERS))).evidence


@pytest.mark.parametrize(
    "action",
    [
        ["dynamodb:ListTables", "dynamodb:DescribeLimits", "dynamodb:ListStreams", "dynamodb:UpdateAbacStatus"],
        ["dynamodb:DescribeTable", "dynamodb:ListTagsOfResource"],
        ["dynamodb:InjectError", "dynamodb:GetAbacStatus", "dynamodb:PurchaseReservedCapacityOfferings"],
        "dynamodb:TagResource",
        "dax:*",
    ],
)
def test_what_needs_a_star_and_what_reaches_no_item_passes(action: Any) -> None:
    assert verdict(policy(statement(action, "*"))).status is Status.PASS


def test_not_action_and_not_resource_are_evaluated() -> None:
    spared = {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}
    assert verdict(policy(spared)).status is Status.FAIL
    but = {"Effect": "Allow", "Action": "dynamodb:GetItem", "NotResource": ORDERS}
    assert verdict(policy(but)).status is Status.FAIL


def test_a_deny_or_a_boundary_cuts_the_grant() -> None:
    everything = policy(statement("dynamodb:*", "*"))
    only_orders = {"Effect": "Deny", "Action": "dynamodb:*", "NotResource": [ORDERS, f"{ORDERS}/*"]}
    assert verdict(everything, policy(only_orders)).status is Status.PASS
    boundary = Named("boundary", {"Version": "2012-10-17", "Statement": statement("dynamodb:*", ORDERS)})
    assert verdict(everything, boundary=boundary).status is Status.PASS
    one_table = policy(statement("dynamodb:*", ORDERS, "Deny"))
    assert verdict(everything, one_table).status is Status.FAIL


def test_a_deny_outside_one_region_leaves_that_region() -> None:
    lock = statement("*", "*", "Deny", Condition={"StringNotEquals": {"aws:RequestedRegion": "ap-south-2"}})
    found = verdict(policy(statement("dynamodb:*", "*")), policy(lock))
    assert found.status is Status.FAIL
    assert ":ap-south-2:" in found.evidence["probe"]


@pytest.mark.parametrize(
    "condition",
    [
        {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
        {"StringEquals": {"aws:SourceVpce": "vpce-1"}},
        {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}},
        {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["${cognito-identity.amazonaws.com:sub}"]}},
    ],
)
def test_conditional_access_counts_and_is_told(condition: Any) -> None:
    found = verdict(policy(statement("dynamodb:PutItem", "*", Condition=condition)))
    assert found.status is Status.FAIL
    assert found.evidence["conditions"]


@pytest.mark.parametrize("abac", [True, False, None])
def test_a_grant_that_asks_for_a_tag_reaches_no_table_without_one(abac: bool | None) -> None:
    own = {"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}
    found = verdict(policy(statement("dynamodb:*", "*", Condition=own)), tags={"team": "red"}, abac=abac)
    assert found.status is Status.PASS
    assert "attribute-based" in found.evidence["tags"]


def test_a_tag_that_a_table_may_lack_is_no_limit() -> None:
    own = {"StringEqualsIfExists": {"aws:ResourceTag/team": "red"}}
    assert verdict(policy(statement("dynamodb:*", "*", Condition=own))).status is Status.FAIL
    prod = statement("dynamodb:*", "*", "Deny", Condition={"StringEquals": {"aws:ResourceTag/env": "prod"}})
    assert verdict(policy(statement("dynamodb:*", "*")), policy(prod)).status is Status.FAIL


def test_a_variable_without_a_known_value_is_unknown() -> None:
    session = policy(statement("dynamodb:*", "arn:aws:dynamodb:*:111122223333:table/${aws:userid}"))
    found = verdict(session)
    assert (found.status, found.reason) == (Status.UNKNOWN, "undecidable")
    # In the older version of the language it is a plain text, which names one odd table.
    old = statement("dynamodb:*", "arn:aws:dynamodb:*:111122223333:table/${aws:userid}")
    assert verdict(policy(old, version="2008-10-17")).status is Status.PASS
    # Another statement decides.
    assert verdict(session, policy(statement("dynamodb:Scan", "*"))).status is Status.FAIL


@pytest.mark.parametrize(
    "broken",
    [
        Unreadable("Not allowed."),
        "{",
        "[]",
        json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Maybe", "Action": 1, "Resource": "*"}]}),
        json.dumps({"Statement": [7]}),
        7,
    ],
)
def test_a_policy_that_cannot_be_read_is_neither_pass_nor_fail(broken: Any) -> None:
    assert verdict(Named("broken", broken)).status is Status.UNKNOWN
    assert verdict(policy(statement("dynamodb:*", ORDERS)), Named("broken", broken)).status is Status.UNKNOWN
    # It may deny what another one allows.
    assert verdict(policy(statement("dynamodb:*", "*")), Named("broken", broken)).status is Status.UNKNOWN
    everything = policy(statement("dynamodb:*", "*"))
    assert verdict(everything, boundary=Named("broken", broken)).status is Status.UNKNOWN


def test_an_operator_that_iam_does_not_have_is_unknown() -> None:
    odd = policy(statement("dynamodb:Scan", "*", Condition={"StringIsNice": {"aws:SourceVpce": "vpce-1"}}))
    assert verdict(odd).status is Status.UNKNOWN


def test_without_dynamodb_there_is_nothing_to_judge() -> None:
    assert verdict().status is Status.NOT_APPLICABLE
    assert verdict(policy(statement("s3:*", "*"))).status is Status.NOT_APPLICABLE
    assert verdict(policy(statement("dynamodb:*", "*", "Deny"))).status is Status.NOT_APPLICABLE
    # Transactions have no action of their own: the statement allows nothing.
    assert verdict(policy(statement("dynamodb:TransactWriteItems", "*"))).status is Status.NOT_APPLICABLE
    spared = {"Effect": "Allow", "NotAction": ["dynamodb:*", "dax:*"], "Resource": "*"}
    assert verdict(policy(spared)).status is Status.NOT_APPLICABLE


def test_service_linked_roles_and_the_auditor_have_no_finding() -> None:
    everything = policy(statement("*", "*"))
    linked = Role(ACCOUNT, "aws-service-role/replication.dynamodb.amazonaws.com/AWSServiceRoleForDynamoDBReplication")
    assert verdict(everything, who=linked) is None
    assert verdict(everything, auditor=ROLE.arn) is None
    assert judge(Role(ACCOUNT, "gone"), access(everything), Config()) is None


def test_administrators_pass_with_a_note() -> None:
    everything = policy(statement("*", "*"))
    for pattern in ("orders-*", "role/service/orders-api"):
        found = verdict(everything, config=Config(admin_roles=(pattern,)))
        assert found.status is Status.PASS
        assert found.evidence["admin_role"] == ROLE.arn
        assert "dynamodb:DeleteTable" in found.evidence["actions"]
    user = User(ACCOUNT, "orders-api")
    assert verdict(everything, who=user, config=Config(admin_roles=("orders-*",))).status is Status.FAIL


def test_users_and_groups_are_judged_by_the_policies_that_speak_for_them() -> None:
    everything = policy(statement("dynamodb:*", "*"))
    for who in (User(ACCOUNT, "eve"), Group(ACCOUNT, "team/developers")):
        assert verdict(everything, who=who).status is Status.FAIL
        assert verdict(policy(statement("dynamodb:*", ORDERS)), who=who).status is Status.PASS
    own = policy(statement("dynamodb:*", "arn:aws:dynamodb:*:111122223333:table/${aws:username}-*"))
    assert verdict(own, who=User(ACCOUNT, "eve")).status is Status.PASS


def test_accepted_resources_are_a_setting() -> None:
    dashed = policy(statement("dynamodb:*", "arn:aws:dynamodb:*:111122223333:table/*-*"))
    assert verdict(dashed).status is Status.FAIL
    found = verdict(dashed, prefixes=("table/*-*",))
    assert found.status is Status.PASS
    assert found.evidence["accepted"][0]["sid"] == "One"
    assert verdict(policy(statement("dynamodb:*", "*")), prefixes=("table/orders-*",)).status is Status.FAIL
    # Another statement is not accepted for the sake of the first.
    assert verdict(dashed, policy(statement("dynamodb:Scan", "*")), prefixes=("table/*-*",)).status is Status.FAIL


def test_a_guardrail_lowers_the_severity_and_is_named() -> None:
    allow = Named("SCP FullAWSAccess at r-1", {"Version": "2012-10-17", "Statement": statement("*", "*")})
    stop = Named("SCP no-writes at r-1", {"Version": "2012-10-17", "Statement": statement("dynamodb:*", "*", "Deny")})
    everything = policy(statement("dynamodb:PutItem", "*"))
    found = verdict(everything, scps=[[allow, stop]])
    assert (found.status, found.severity) == (Status.FAIL, Severity.MEDIUM)
    assert "no-writes" in found.evidence["blockedBy"][0]
    assert verdict(everything, scps=[[allow]]).severity is Severity.HIGH
    # What is not blocked sets the severity.
    writes = Named("SCP part", {"Version": "2012-10-17", "Statement": statement("dynamodb:PutItem", "*", "Deny")})
    both = policy(statement(["dynamodb:PutItem", "dynamodb:DeleteTable"], "*"))
    assert verdict(both, scps=[[allow, writes]]).severity is Severity.HIGH


def test_other_partitions() -> None:
    role = Role(Account("111122223333", "aws-cn"), "orders-api")
    wide = policy(statement("dynamodb:Scan", "arn:aws-cn:dynamodb:*:111122223333:table/*"))
    found = verdict(wide, who=role)
    assert found.status is Status.FAIL
    assert found.evidence["probe"].startswith("arn:aws-cn:dynamodb:cn-north-1:111122223333:table/")
    narrow = policy(statement("dynamodb:Scan", "arn:aws-cn:dynamodb:cn-north-1:111122223333:table/orders"))
    assert verdict(narrow, who=role).status is Status.PASS
