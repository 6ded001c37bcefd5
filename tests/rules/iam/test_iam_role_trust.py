"""iam-role-trust: strangers who may assume a role that reaches DynamoDB."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from auditor import Severity, Status
from auditor.analysis.access import account_access
from auditor.config import Config
from auditor.facts import (
    CollectionTime,
    ControlLevel,
    ControlPolicy,
    Gap,
    Identities,
    InlinePolicy,
    ManagedPolicy,
    Organization,
    Reason,
    ResourceControlPolicies,
    RoleInfo,
    ServiceControlPolicies,
    Trust,
)
from auditor.resources import Account, Role
from tests.rules import ACCOUNT, load

judge = load("iam-role-trust")

ORG = "o-acme12345"
MEMBER, FRIEND, STRANGER = "222233334444", "333344445555", "444455556666"
TRUST = Trust(ACCOUNT.id, frozenset({FRIEND}), ORG, {ACCOUNT.id: "orders", MEMBER: "shop"})
NO_LIST = Gap(Reason.ACCESS_DENIED, "Not allowed.", "organizations:ListAccounts")
BLIND = Trust(ACCOUNT.id, frozenset({FRIEND}), ORG, {}, NO_LIST)
NO_TIME = Gap(Reason.PARTIAL_DATA, "Not known.")
GITHUB = f"arn:aws:iam::{ACCOUNT.id}:oidc-provider/token.actions.githubusercontent.com"
EKS = f"arn:aws:iam::{ACCOUNT.id}:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/ABC123"
SAML = f"arn:aws:iam::{ACCOUNT.id}:saml-provider/AWSSSO_1234_DO_NOT_DELETE"
COGNITO = "cognito-identity.amazonaws.com"
WEB = "sts:AssumeRoleWithWebIdentity"


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


READS = document({"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": "*"})


def trust(principal: Any, condition: dict[str, Any] | None = None, action: str = "sts:AssumeRole") -> dict[str, Any]:
    named = principal if isinstance(principal, dict) or principal == "*" else {"AWS": principal}
    statement = {"Effect": "Allow", "Principal": named, "Action": action}
    return statement | ({"Condition": condition} if condition else {})


def verdict(
    *statements: dict[str, Any],
    text: str | None = None,
    grants: str = READS,
    account: Account = ACCOUNT,
    whom: Trust = TRUST,
    rcps: ResourceControlPolicies | Gap = NO_LIST,
    role: str = "app",
    attached: ManagedPolicy | None = None,
    caller: str = "",
    settings: dict[str, Any] | None = None,
) -> Any:
    info = RoleInfo(
        Role(account, role),
        text if text is not None else document(*statements),
        (InlinePolicy("tables", grants),) if grants else (),
        (attached.arn,) if attached else (),
    )
    identities = Identities(roles=(info,), policies={attached.arn: attached} if attached else {})
    organization = Organization(ORG, "ALL", "999988887777")
    time = CollectionTime(datetime(2026, 1, 31, tzinfo=UTC), caller) if caller else NO_TIME
    access = account_access(account, identities, organization, ServiceControlPolicies(()), rcps, time, Config())
    return judge(info.role, access, identities, whom, **(settings or {}))


def outcome(*statements: dict[str, Any], **more: Any) -> tuple[Status, Severity | None]:
    found = verdict(*statements, **more)
    return found.status, found.severity


PASS, CRITICAL = (Status.PASS, None), (Status.FAIL, None)
HIGH, MEDIUM, UNKNOWN = (Status.FAIL, Severity.HIGH), (Status.FAIL, Severity.MEDIUM), (Status.UNKNOWN, None)
EXTERNAL = {"StringEquals": {"sts:ExternalId": "7f3c"}}


def test_anybody() -> None:
    found = verdict(trust({"Service": "lambda.amazonaws.com"}), trust("*") | {"Sid": "Open"})
    assert (found.status, found.severity) == CRITICAL
    assert "statement Open" in found.message
    assert [(one["sid"], one["index"]) for one in found.evidence["statements"]] == [("Open", 1)]
    assert found.evidence["grants"] == "dynamodb:GetItem"


@pytest.mark.parametrize(
    ("principal", "condition", "expected"),
    [
        ("*", {"StringEquals": {"aws:PrincipalOrgID": ORG}}, PASS),
        ("*", {"StringEquals": {"aws:PrincipalAccount": FRIEND}}, PASS),
        ("*", {"StringEqualsIfExists": {"aws:PrincipalOrgID": ORG}}, CRITICAL),
        ("*", {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/deploy"}}, CRITICAL),
        ("*", {"Bool": {"aws:MultiFactorAuthPresent": "true"}}, CRITICAL),
        ("*", EXTERNAL, HIGH),
        ("*", {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}, HIGH),
        ("*", {"StringEquals": {"aws:PrincipalOrgID": "o-other12345"}}, HIGH),
        ("*", {"StringEquals": {"aws:PrincipalAccount": STRANGER}}, HIGH),
        ("*", {"StringEquals": {"aws:SourceVpce": "vpce-0a1b2c3d"}}, UNKNOWN),
        ("*", {"StringLooksLike": {"aws:PrincipalOrgID": ORG}}, UNKNOWN),
        (STRANGER, None, HIGH),
        (f"arn:aws:iam::{STRANGER}:role/partner", None, HIGH),
        (f"arn:aws:iam::{STRANGER}:root", EXTERNAL, MEDIUM),
        (f"arn:aws:iam::{STRANGER}:root", {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}, HIGH),
        (f"arn:aws:iam::{STRANGER}:root", EXTERNAL | {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}, MEDIUM),
        (f"arn:aws:iam::{STRANGER}:root", {"StringEquals": {"aws:PrincipalOrgID": ORG}}, PASS),
        (f"arn:aws:iam::{FRIEND}:root", None, PASS),
        (f"arn:aws:iam::{MEMBER}:root", None, PASS),
        (f"arn:aws:iam::{ACCOUNT.id}:root", None, PASS),
        ({"Service": "ec2.amazonaws.com"}, None, PASS),
        ("AROAEXAMPLEEXAMPLE01", None, PASS),
    ],
)
def test_who_may_assume_the_role(principal: Any, condition: Any, expected: tuple[Status, Severity | None]) -> None:
    assert outcome(trust(principal, condition)) == expected


SUB = "token.actions.githubusercontent.com:sub"
AUD = {"StringEquals": {"token.actions.githubusercontent.com:aud": "sts.amazonaws.com"}}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (None, CRITICAL),
        (AUD, CRITICAL),
        (AUD | {"StringLike": {SUB: "*"}}, CRITICAL),
        (AUD | {"StringLike": {SUB: "repo:*"}}, CRITICAL),
        (AUD | {"StringLike": {SUB: "repo:acme*"}}, CRITICAL),
        (AUD | {"StringLike": {SUB: "repo:acme/*"}}, PASS),
        ({"StringEquals": {SUB: "repo:acme/orders:ref:refs/heads/main"}}, PASS),
    ],
)
def test_workflows_of_github(condition: Any, expected: tuple[Status, Severity | None]) -> None:
    assert outcome(trust({"Federated": GITHUB}, condition, WEB)) == expected


@pytest.mark.parametrize(
    ("provider", "condition", "expected"),
    [
        (COGNITO, None, CRITICAL),
        (COGNITO, {"ForAnyValue:StringLike": {f"{COGNITO}:amr": "authenticated"}}, CRITICAL),
        (COGNITO, {"StringEquals": {f"{COGNITO}:aud": "eu-west-1:12345678-dead-beef-1234-123456789012"}}, PASS),
        (EKS, None, CRITICAL),
        (EKS, {"StringEquals": {"oidc.eks.eu-west-1.amazonaws.com/id/ABC123:aud": "sts.amazonaws.com"}}, PASS),
        (EKS, {"StringLike": {"oidc.eks.eu-west-1.amazonaws.com/id/ABC123:sub": "system:serviceaccount:a:*"}}, PASS),
        ("accounts.google.com", {"StringEquals": {"accounts.google.com:aud": "1234.apps"}}, PASS),
        ("accounts.google.com", None, CRITICAL),
    ],
)
def test_other_providers(provider: str, condition: Any, expected: tuple[Status, Severity | None]) -> None:
    assert outcome(trust({"Federated": provider}, condition, WEB)) == expected


def test_saml_is_the_accounts_own_affair() -> None:
    statement = trust({"Federated": SAML}, {"StringEquals": {"SAML:aud": "https://signin.aws.amazon.com/saml"}})
    assert outcome(statement | {"Action": ["sts:AssumeRoleWithSAML", "sts:TagSession"]}) == PASS


def test_denials_count() -> None:
    outside = {"StringNotEquals": {"aws:PrincipalOrgID": ORG}}
    denial = {"Effect": "Deny", "Principal": "*", "Action": "sts:*", "Condition": outside}
    assert outcome(trust("*"), denial) == PASS


def test_a_trusted_account_is_noted() -> None:
    found = verdict(trust(f"arn:aws:iam::{FRIEND}:root"))
    assert found.evidence["trustedAccounts"] == [FRIEND]


def test_membership_that_cannot_be_read_is_unknown() -> None:
    found = verdict(trust(STRANGER), whom=BLIND)
    assert (found.status, found.missing_permission) == (Status.UNKNOWN, "organizations:ListAccounts")
    assert outcome(trust(STRANGER), trust("*"), whom=BLIND) == CRITICAL


def test_the_own_organisation_may_be_left_untrusted() -> None:
    strict = {"allow_same_org": False}
    assert outcome(trust(MEMBER), settings=strict) == HIGH
    assert outcome(trust("*", {"StringEquals": {"aws:PrincipalOrgID": ORG}}), settings=strict) == HIGH


@pytest.mark.parametrize(
    ("grants", "status"),
    [
        ({"Action": "s3:*", "Resource": "*"}, Status.NOT_APPLICABLE),
        ({"Action": "*", "Resource": "arn:aws:s3:::bucket/*"}, Status.NOT_APPLICABLE),
        ({"Action": "dynamodb:TransactWriteItems", "Resource": "*"}, Status.NOT_APPLICABLE),
        ({"Action": "*", "Resource": "*"}, Status.FAIL),
        ({"NotAction": "iam:*", "Resource": "*"}, Status.FAIL),
        ({"Action": "dax:GetItem", "Resource": "arn:aws:dax:*:*:cache/orders"}, Status.FAIL),
        ({"Action": "dynamodb:Query", "Resource": "arn:aws:dynamodb:*:*:table/orders/index/*"}, Status.FAIL),
        ({"Action": "dynamodb:ListTables", "Resource": "*"}, Status.FAIL),
        ({"Action": "dynamodb:GetItem", "NotResource": "arn:aws:dynamodb:*:*:table/secret"}, Status.FAIL),
    ],
)
def test_only_roles_with_grants_are_judged(grants: dict[str, Any], status: Status) -> None:
    assert verdict(trust("*"), grants=document({"Effect": "Allow", **grants})).status is status


def test_a_deny_takes_the_grant_away() -> None:
    grants = document(
        {"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "dynamodb:*", "Resource": "*"},
    )
    assert verdict(trust("*"), grants=grants).status is Status.NOT_APPLICABLE
    assert verdict(trust("*"), grants="").status is Status.NOT_APPLICABLE


def test_a_policy_that_cannot_be_read_leaves_the_grant_open() -> None:
    arn = "arn:aws:iam::111122223333:policy/lost"
    lost = ManagedPolicy(arn, "lost", Gap(Reason.ACCESS_DENIED, "Not allowed.", "iam:GetPolicyVersion"))
    found = verdict(trust("*"), grants="", attached=lost)
    assert (found.status, found.missing_permission) == (Status.UNKNOWN, "iam:GetPolicyVersion")
    assert verdict(trust("*"), grants="{").status is Status.UNKNOWN


def test_service_linked_roles_and_the_auditors_own_have_no_finding() -> None:
    assert verdict(trust("*"), role="aws-service-role/dax.amazonaws.com/AWSServiceRoleForDAX") is None
    assert verdict(trust("*"), caller=f"arn:aws:sts::{ACCOUNT.id}:assumed-role/app/audit") is None


def test_a_guardrail_lowers_the_severity() -> None:
    outside = {"StringNotEqualsIfExists": {"aws:PrincipalOrgID": ORG}}
    text = document({"Effect": "Deny", "Principal": "*", "Action": "sts:*", "Resource": "*", "Condition": outside})
    rcps = ResourceControlPolicies((ControlLevel("r-ab12", (ControlPolicy("p-1", "perimeter", False, text),)),))
    found = verdict(trust("*"), rcps=rcps)
    assert (found.status, found.severity) == HIGH
    assert found.evidence["blockedBy"] == ["rcp: statement 0 of policy RCP perimeter at r-ab12"]
    assert outcome(trust(STRANGER), rcps=rcps) == MEDIUM


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow"}]}']
)
def test_a_malformed_trust_policy_is_unknown(text: str) -> None:
    assert verdict(text=text).status is Status.UNKNOWN


def test_china() -> None:
    account = Account(ACCOUNT.id, "aws-cn")
    arn = f"arn:aws-cn:iam::{STRANGER}:role/partner"
    assert outcome(trust(arn), account=account) == HIGH
    assert (
        outcome(trust("*", {"ArnLike": {"aws:PrincipalArn": "arn:aws-cn:iam::*:role/x"}}), account=account) == CRITICAL
    )
