"""iam-cognito-unauthenticated: what guests of an identity pool can do with the roles that they can take."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from auditor import Severity, Status
from auditor.access import Named, Unreadable
from auditor.access.estate import Account as Limits
from auditor.access.estate import Estate, Principal
from auditor.access.estate import Table as Entry
from auditor.facts import AccountAccess, Gap, IdentityPoolRoles, IdentityPoolSettings, Reason, TableAccess
from auditor.resources import Account, IdentityPool, Region, Table
from tests.rules import ACCOUNT, REGION, TABLE, load

judge = load("iam-cognito-unauthenticated")

POOL = IdentityPool(REGION, "eu-west-1:0a1b2c3d-0000-1111-2222-333344445555")
GUEST = "arn:aws:iam::111122223333:role/Cognito_appUnauth_Role"
OPEN = IdentityPoolSettings("app", guests=True)
CLASSIC = IdentityPoolSettings("app", guests=True, classic_flow=True)
CLOSED = IdentityPoolSettings("app", guests=False)
NO_ROLES = Gap(Reason.ACCESS_DENIED, "Not allowed.", "cognito-identity:GetIdentityPoolRoles")
NO_IAM = Gap(Reason.ACCESS_DENIED, "Not allowed.", "iam:GetAccountAuthorizationDetails")


def document(*statements: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def statement(action: Any, resource: Any = TABLE.arn, effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return {"Sid": "Grant", "Effect": effect, "Action": action, "Resource": resource, **more}


def trust(pool: str | None = POOL.name, amr: str | None = "unauthenticated") -> dict[str, Any]:
    condition: dict[str, Any] = {}
    if pool is not None:
        condition["StringEquals"] = {"cognito-identity.amazonaws.com:aud": pool}
    if amr is not None:
        condition["ForAnyValue:StringLike"] = {"cognito-identity.amazonaws.com:amr": amr}
    return document(
        {
            "Effect": "Allow",
            "Principal": {"Federated": "cognito-identity.amazonaws.com"},
            "Action": "sts:AssumeRoleWithWebIdentity",
            **({"Condition": condition} if condition else {}),
        }
    )


def role(*statements: Any, arn: str = GUEST, trusted: Any = None, boundary: Any = None) -> Principal:
    held = (Named("guest-policy", json.dumps(document(*statements))),) if statements else ()
    return Principal(arn, "role", held, boundary, trust=Named("trust", trusted if trusted is not None else trust()))


def access(*principals: Principal, scps: Any = None, abac: bool | None = None) -> AccountAccess:
    limits = {"111122223333": Limits("111122223333", scps=scps)}
    return AccountAccess(Estate(limits, {one.arn: one for one in principals}, abac=abac))


def verdict(
    *principals: Principal,
    settings: IdentityPoolSettings = OPEN,
    roles: Any = IdentityPoolRoles(unauthenticated=GUEST),  # noqa: B008 - frozen
    tables: Mapping[Table, Any] | None = None,
    **more: Any,
) -> Any:
    return judge(POOL, settings, roles, access(*principals, **more), tables or {})


@pytest.mark.parametrize(
    ("action", "severity"),
    [
        ("dynamodb:GetItem", Severity.HIGH),
        (["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:ConditionCheckItem"], Severity.HIGH),
        ("dynamodb:Query", Severity.CRITICAL),
        ("dynamodb:Scan", Severity.CRITICAL),
        ("dynamodb:PartiQLSelect", Severity.CRITICAL),
        ("dynamodb:UpdateItem", Severity.CRITICAL),
        ("dynamodb:DeleteTable", Severity.CRITICAL),
        ("dynamodb:PutResourcePolicy", Severity.CRITICAL),
        ("dynamodb:*", Severity.CRITICAL),
    ],
)
def test_any_action_on_items_fails(action: Any, severity: Severity) -> None:
    found = verdict(role(statement(action)))
    assert (found.status, found.severity) == (Status.FAIL, severity)
    assert found.evidence["role"] == [GUEST]
    assert found.evidence["statements"] == [{"policy": "guest-policy", "sid": "Grant", "index": 0}]
    assert "statement Grant of " in found.message


@pytest.mark.parametrize(
    "resource",
    [
        "*",
        "arn:aws:dynamodb:*:*:table/*",
        "arn:aws:dynamodb:us-west-2:111122223333:table/app-*",
        f"{TABLE.arn}/index/by-date",
        "arn:aws:dynamodb:eu-west-1:111122223333:table/${cognito-identity.amazonaws.com:sub}",
        "arn:aws:dynamodb:eu-west-1:111122223333:*",
    ],
)
def test_any_table_and_any_index_count(resource: str) -> None:
    assert verdict(role(statement("dynamodb:Query", resource))).status is Status.FAIL


def test_roles_without_items_pass() -> None:
    assert verdict(role()).status is Status.PASS
    assert verdict(role(statement(["mobileanalytics:PutEvents", "cognito-sync:*"], "*"))).status is Status.PASS
    assert verdict(role(statement("dynamodb:ListTables", "*"))).status is Status.PASS
    assert verdict(role(statement("dynamodb:*"), statement("*", "*", "Deny"))).status is Status.PASS
    bounded = role(statement("dynamodb:*"), boundary=Named("b", document(statement("s3:*", "*"))))
    assert verdict(bounded).status is Status.PASS


def test_a_pool_without_guests_passes_whatever_else_is_not_known() -> None:
    assert judge(POOL, CLOSED, NO_ROLES, NO_IAM, {}).status is Status.PASS
    found = verdict(role(statement("dynamodb:*")), settings=CLOSED)
    assert found.status is Status.PASS
    assert found.evidence["AllowUnauthenticatedIdentities"] is False


def test_what_could_not_be_read_is_unknown_where_guests_are_let_in() -> None:
    found = judge(POOL, OPEN, NO_ROLES, access(role(statement("dynamodb:*"))), {})
    assert (found.status, found.missing_permission) == (Status.UNKNOWN, "cognito-identity:GetIdentityPoolRoles")
    found = judge(POOL, OPEN, IdentityPoolRoles(unauthenticated=GUEST), NO_IAM, {})
    assert (found.status, found.missing_permission) == (Status.UNKNOWN, "iam:GetAccountAuthorizationDetails")


def test_a_pool_without_a_role_for_guests_passes() -> None:
    signed_in = IdentityPoolRoles(authenticated=GUEST, mapped=(GUEST,))
    assert verdict(role(statement("dynamodb:*")), roles=signed_in).status is Status.PASS
    assert verdict().status is Status.PASS
    elsewhere = IdentityPoolRoles(unauthenticated="arn:aws:iam::444455556666:role/guest")
    assert verdict(roles=elsewhere).status is Status.UNKNOWN


def test_a_trust_policy_that_refuses_guests_of_the_pool_keeps_them_out() -> None:
    grant = statement("dynamodb:*")
    assert verdict(role(grant, trusted=trust("eu-west-1:another"))).status is Status.PASS
    assert verdict(role(grant, trusted=trust(amr="authenticated"))).status is Status.PASS
    assert verdict(role(grant, trusted=trust(amr=None))).status is Status.FAIL
    assert verdict(role(grant, trusted=trust(None, None))).status is Status.FAIL


def test_dax_is_open_in_the_classic_flow_only() -> None:
    cluster = role(statement("dax:GetItem", "arn:aws:dax:eu-west-1:111122223333:cache/orders"))
    assert verdict(cluster).status is Status.PASS
    found = verdict(cluster, settings=CLASSIC)
    assert (found.status, found.severity) == (Status.FAIL, Severity.HIGH)
    assert found.evidence["AllowClassicFlow"] is True
    scan = role(statement("dax:*", "*"))
    assert verdict(scan, settings=CLASSIC).severity is Severity.CRITICAL


def test_in_the_classic_flow_a_guest_asks_for_any_role_that_takes_him() -> None:
    other = "arn:aws:iam::111122223333:role/Cognito_appAuth_Role"
    loose = role(statement("dynamodb:*"), arn=other, trusted=trust(amr=None))
    assert verdict(role(), loose).status is Status.PASS
    found = verdict(role(), loose, settings=CLASSIC)
    assert (found.status, found.evidence["role"]) == (Status.FAIL, [other])
    strict = role(statement("dynamodb:*"), arn=other, trusted=trust(amr="authenticated"))
    assert verdict(role(), strict, settings=CLASSIC).status is Status.PASS
    # Who accepts every pool is reported by iam-role-trust, once and not for each pool.
    any_pool = role(statement("dynamodb:*"), arn=other, trusted=trust(None))
    assert verdict(role(), any_pool, settings=CLASSIC).status is Status.PASS
    assert judge(POOL, CLASSIC, NO_ROLES, access(loose), {}).status is Status.FAIL


def test_conditions_do_not_excuse_and_are_told() -> None:
    own = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["${cognito-identity.amazonaws.com:sub}"]}}
    found = verdict(role(statement("dynamodb:GetItem", Condition=own)))
    assert found.status is Status.FAIL
    assert found.evidence["conditions"]
    never = {"StringEquals": {"cognito-identity.amazonaws.com:amr": "authenticated"}}
    assert verdict(role(statement("dynamodb:GetItem", Condition=never))).status is Status.PASS


def test_policies_of_tables_grant_and_deny() -> None:
    grant = {**statement("dynamodb:GetItem", "*"), "Principal": {"AWS": GUEST}}
    deny = {**statement("dynamodb:*", "*", "Deny"), "Principal": "*"}

    def table(*statements: Any) -> dict[Table, TableAccess]:
        return {TABLE: TableAccess(Entry(TABLE.arn, policy=Named("resource policy", document(*statements))))}

    found = verdict(role(), tables=table(grant))
    assert found.status is Status.FAIL
    assert found.evidence["resources"] == [TABLE.arn]
    assert verdict(role(statement("dynamodb:GetItem")), tables=table(deny)).status is Status.PASS
    foreign = Table(Region(Account("444455556666"), "eu-west-1"), "orders")
    other = {foreign: TableAccess(Entry(foreign.arn, policy=Named("resource policy", document(grant))))}
    assert verdict(role(), tables=other).status is Status.PASS


def test_a_tables_policy_that_cannot_be_read_is_unknown_unless_something_else_fails() -> None:
    gap = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:GetResourcePolicy")
    other = Table(REGION, "other")
    hidden = TableAccess(Entry(other.arn, policy=Named("resource policy", Unreadable("Not allowed."))), (gap,))
    found = verdict(role(), tables={other: hidden})
    assert (found.status, found.missing_permission) == (Status.UNKNOWN, "dynamodb:GetResourcePolicy")
    assert verdict(role(statement("dynamodb:GetItem")), tables={other: hidden}).status is Status.FAIL


@pytest.mark.parametrize("broken", [Unreadable("Not allowed."), "{", {"Statement": [None]}, 3])
def test_policies_that_cannot_be_read_are_unknown(broken: Any) -> None:
    held = Principal(GUEST, "role", (Named("broken", broken),), trust=Named("trust", trust()))
    assert verdict(held).status is Status.UNKNOWN
    untrusted = role(statement("dynamodb:GetItem"), trusted=broken)
    assert verdict(untrusted).status is Status.UNKNOWN
    assert verdict(role(statement("s3:*"), trusted=broken)).status is Status.PASS


def test_tags_decide_with_attribute_based_access_control_only() -> None:
    public = role(statement("dynamodb:GetItem", "*", Condition={"StringEquals": {"aws:ResourceTag/public": "yes"}}))
    tagged = {TABLE: TableAccess(Entry(TABLE.arn, tags={"public": "yes"}))}
    assert verdict(public, tables=tagged, abac=True).status is Status.FAIL
    assert verdict(public, tables=tagged, abac=False).status is Status.PASS
    assert verdict(public, tables=tagged).status is Status.UNKNOWN
    assert verdict(public, tables={TABLE: TableAccess(Entry(TABLE.arn, tags={}))}).status is Status.PASS


def test_a_guardrail_lowers_the_severity_and_is_named() -> None:
    allow = Named("SCP FullAWSAccess", document(statement("*", "*")))
    stop = Named("SCP stop", document(statement("dynamodb:Scan", "*", "Deny")))
    found = verdict(role(statement("dynamodb:Scan")), scps=[[allow, stop]])
    assert (found.status, found.severity) == (Status.FAIL, Severity.HIGH)
    (block,) = found.evidence["blockedBy"]
    assert "SCP stop" in block


def test_other_partitions() -> None:
    china = Account("111122223333", "aws-cn")
    pool = IdentityPool(Region(china, "cn-north-1"), "cn-north-1:0a1b")
    arn = "arn:aws-cn:iam::111122223333:role/guest"
    held = role(statement("dynamodb:Scan", "*"), arn=arn, trusted=trust(pool.name))
    found = judge(pool, OPEN, IdentityPoolRoles(unauthenticated=arn), access(held), {})
    assert found.status is Status.FAIL
    assert found.evidence["resources"][0].startswith("arn:aws-cn:dynamodb:cn-north-1:")
    assert ACCOUNT.id == held.account


@pytest.mark.parametrize(
    ("partition", "region", "provider"),
    [
        ("aws-us-gov", "us-gov-west-1", "cognito-identity-us-gov.amazonaws.com"),
        ("aws-cn", "cn-north-1", "cognito-identity.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_the_provider_has_another_name_in_other_partitions(partition: str, region: str, provider: str) -> None:
    account = Account("111122223333", partition)
    pool = IdentityPool(Region(account, region), f"{region}:0a1b")
    arn = f"arn:{partition}:iam::111122223333:role/guest"

    def found(amr: str) -> Any:
        text = json.dumps(trust(pool.name, amr)).replace("cognito-identity.amazonaws.com", provider)
        held = role(statement("dynamodb:Scan", "*"), arn=arn, trusted=text)
        classic = judge(pool, CLASSIC, IdentityPoolRoles(), access(held), {})
        enhanced = judge(pool, OPEN, IdentityPoolRoles(unauthenticated=arn), access(held), {})
        return {classic.status, enhanced.status}

    assert found("unauthenticated") == {Status.FAIL}
    assert found("authenticated") == {Status.PASS}
