"""table-resource-policy-cross-account: accounts, organisations, networks and services that a policy lets in."""

import json
from typing import Any

import pytest

from auditor import Severity, Status
from auditor.facts import (
    ControlLevel,
    ControlPolicy,
    Endpoint,
    Gap,
    Organization,
    Reason,
    ResourceControlPolicies,
    ResourcePolicy,
    Sensitivity,
    TableSettings,
    Trust,
    VpcEndpoints,
)
from auditor.resources import Account, Region, Stream, Table
from tests.rules import TABLE, load

judge = load("table-resource-policy-cross-account")

OWN = TABLE.account.id
MEMBER, FRIEND, STRANGER = "222233334444", "333344445555", "444455556666"
ORG, OTHER_ORG = "o-acme12345", "o-other12345"
IN_ORG = Organization(ORG, "ALL", "999988887777")
TRUST = Trust(OWN, frozenset({FRIEND}), ORG, {OWN: "orders", MEMBER: "shop"})
NO_LIST = Gap(Reason.ACCESS_DENIED, "Not allowed.", "organizations:ListAccounts")
BLIND = Trust(OWN, frozenset({FRIEND}), ORG, {}, NO_LIST)
LOST = Trust(
    OWN, frozenset({FRIEND}), Gap(Reason.ACCESS_DENIED, "No.", "organizations:DescribeOrganization"), {}, NO_LIST
)
ALONE = Trust(OWN, frozenset({FRIEND}), None, {})
PLAIN = Sensitivity(sensitive=False, classified=True)
SENSITIVE = Sensitivity(sensitive=True, classified=True)
ENDPOINTS = VpcEndpoints((Endpoint("vpce-own", "vpc-own", "Gateway", "com.amazonaws.eu-west-1.dynamodb", "available"),))
NO_EC2 = Gap(Reason.ACCESS_DENIED, "Not allowed.", "ec2:DescribeVpcEndpoints")
NONE = ResourceControlPolicies(())
ACTIVE = TableSettings("ACTIVE")
READ = "dynamodb:GetItem"


def allow(principal: Any, action: Any = READ, condition: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    named = principal if isinstance(principal, dict) or principal == "*" else {"AWS": principal}
    statement = {"Effect": "Allow", "Principal": named, "Action": action, "Resource": "*", **more}
    return statement | ({"Condition": condition} if condition else {})


def verdict(*statements: dict[str, Any], resource: Table | Stream = TABLE, options: Any = None, **more: Any) -> Any:
    policy = ResourcePolicy(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))
    given = {"settings": ACTIVE, "trust": TRUST, "sensitivity": PLAIN, "endpoints": ENDPOINTS}
    given |= {"organization": IN_ORG, "guardrails": NONE}
    return judge(resource, policy, **(given | more), **(options or {}))


def role(account: str) -> str:
    return f"arn:aws:iam::{account}:role/reader"


def test_nothing_to_judge() -> None:
    given = (ACTIVE, TRUST, PLAIN, ENDPOINTS, IN_ORG, NONE)
    assert judge(TABLE, ResourcePolicy(None), *given).status is Status.NOT_APPLICABLE
    only_public = verdict(allow("*"))
    assert only_public.status is Status.NOT_APPLICABLE
    denial = {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}
    assert verdict(denial).status is Status.PASS


@pytest.mark.parametrize("account", [OWN, FRIEND, MEMBER])
def test_trusted_accounts_pass(account: str) -> None:
    for principal in (role(account), account, f"arn:aws:iam::{account}:root"):
        assert verdict(allow(principal, "dynamodb:*")).status is Status.PASS


@pytest.mark.parametrize(
    "principal",
    [role(STRANGER), STRANGER, f"arn:aws:iam::{STRANGER}:root", f"arn:aws:sts::{STRANGER}:assumed-role/a/b"],
)
def test_an_untrusted_account_fails(principal: str) -> None:
    found = verdict(allow(FRIEND), allow(principal, Sid="Partner"))
    assert (found.status, found.severity) == (Status.FAIL, Severity.MEDIUM)
    assert found.evidence["statements"] == [{"policy": "resource policy", "sid": "Partner", "index": 1}]
    assert found.evidence["untrusted"] == {f"account {STRANGER}": {"read": [READ], "conditions": None}}
    assert "statement Partner" in found.message
    assert STRANGER in found.message


@pytest.mark.parametrize("action", ["dynamodb:PutItem", "dynamodb:DeleteTable", "dynamodb:TagResource", "dynamodb:*"])
def test_what_a_stranger_may_do_sets_the_severity(action: str) -> None:
    assert verdict(allow(STRANGER, action)).severity is Severity.HIGH


def test_sensitive_tables_are_graver_and_an_unknown_class_is_not_milder() -> None:
    assert verdict(allow(STRANGER), sensitivity=SENSITIVE).severity is Severity.HIGH
    assert verdict(allow(STRANGER), sensitivity=NO_LIST).severity is Severity.HIGH


def test_membership_that_cannot_be_read_is_unknown() -> None:
    found = verdict(allow(STRANGER), trust=BLIND)
    assert (found.status, found.missing_permission) == (Status.UNKNOWN, "organizations:ListAccounts")
    assert verdict(allow(FRIEND), trust=BLIND).status is Status.PASS
    assert verdict(allow(STRANGER), trust=ALONE, organization=Organization(None)).status is Status.FAIL


def test_the_own_organisation_pins_whatever_the_account() -> None:
    members = {"StringEquals": {"aws:PrincipalOrgID": ORG}}
    for trust in (TRUST, BLIND):
        assert verdict(allow(STRANGER, condition=members), trust=trust).status is Status.PASS
        assert verdict(allow("*", condition=members), trust=trust).status is Status.PASS
    paths = {"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": f"{ORG}/r-ab12/*"}}
    assert verdict(allow("*", condition=paths)).status is Status.PASS
    assert verdict(allow(STRANGER, condition={"StringEqualsIfExists": members["StringEquals"]})).status is Status.FAIL
    assert (
        verdict(allow(STRANGER, condition={"ForAllValues:StringEquals": members["StringEquals"]})).status is Status.FAIL
    )


def test_the_own_organisation_may_be_left_untrusted() -> None:
    strict = {"allow_same_org": False}
    assert verdict(allow(MEMBER), options=strict).status is Status.FAIL
    members = {"StringEquals": {"aws:PrincipalOrgID": ORG}}
    assert verdict(allow("*", condition=members), options=strict).status is Status.FAIL
    assert verdict(allow(FRIEND), options=strict).status is Status.PASS


def test_a_foreign_organisation_fails_and_an_unknown_own_one_is_unknown() -> None:
    condition = {"StringEquals": {"aws:PrincipalOrgID": OTHER_ORG}}
    found = verdict(allow("*", condition=condition))
    assert found.status is Status.FAIL
    assert list(found.evidence["untrusted"]) == [f"the organisation {OTHER_ORG}"]
    lost = verdict(allow("*", condition=condition), trust=LOST)
    assert (lost.status, lost.missing_permission) == (Status.UNKNOWN, "organizations:DescribeOrganization")


def test_wildcards_pinned_to_accounts_and_roles() -> None:
    for condition in (
        {"StringEquals": {"aws:PrincipalAccount": STRANGER}},
        {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{STRANGER}:role/*"}},
    ):
        assert verdict(allow("*", condition=condition)).status is Status.FAIL
    own = {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{OWN}:role/*"}}
    assert verdict(allow("*", condition=own)).status is Status.PASS


def test_an_exception_of_a_deny_is_a_way_in() -> None:
    others = {"StringNotEquals": {"aws:PrincipalOrgID": [ORG, OTHER_ORG]}}
    denial = {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*", "Condition": others}
    assert verdict(allow("*"), denial).status is Status.FAIL
    own = {"StringNotEquals": {"aws:PrincipalOrgID": ORG}}
    assert verdict(allow("*"), denial | {"Condition": own}).status is Status.PASS


def test_a_public_statement_is_not_reported_twice() -> None:
    found = verdict(allow("*", "dynamodb:Query"), allow(FRIEND))
    assert found.status is Status.PASS
    both = verdict(allow("*", "dynamodb:Query"), allow(STRANGER))
    assert both.evidence["statements"] == [{"policy": "resource policy", "sid": "", "index": 1}]


def test_denials_count() -> None:
    denial = {"Effect": "Deny", "Principal": {"AWS": f"arn:aws:iam::{STRANGER}:root"}, "Action": "*", "Resource": "*"}
    assert verdict(allow(STRANGER), denial).status is Status.PASS


def test_actions_that_no_other_account_may_call() -> None:
    assert verdict(allow(STRANGER, ["dynamodb:PartiQLSelect", "dynamodb:PutResourcePolicy"])).status is Status.PASS
    found = verdict(allow(STRANGER, "dynamodb:SearchVectors"))
    assert (found.status, found.reason) == (Status.UNKNOWN, "undecidable")


def test_networks() -> None:
    own = {"StringEquals": {"aws:SourceVpce": "vpce-own"}}
    strange = {"StringEquals": {"aws:SourceVpce": "vpce-strange"}}
    assert verdict(allow("*", condition=own)).status is Status.PASS
    assert verdict(allow("*", condition={"StringEquals": {"aws:SourceVpc": "vpc-own"}})).status is Status.PASS
    found = verdict(allow("*", condition=strange))
    assert (found.status, found.reason) == (Status.UNKNOWN, "undecidable")
    unread = verdict(allow("*", condition=own), endpoints=NO_EC2)
    assert (unread.status, unread.missing_permission) == (Status.UNKNOWN, "ec2:DescribeVpcEndpoints")
    # A named stranger behind the own endpoint is one all the same.
    assert verdict(allow(STRANGER, condition=own)).status is Status.FAIL


SERVICE = {"Service": "glue.amazonaws.com"}


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        (None, Status.FAIL),
        ({"StringEquals": {"aws:SourceAccount": OWN}}, Status.PASS),
        ({"StringEquals": {"aws:SourceAccount": FRIEND}}, Status.PASS),
        ({"StringEquals": {"aws:SourceAccount": STRANGER}}, Status.FAIL),
        ({"StringEqualsIfExists": {"aws:SourceAccount": OWN}}, Status.FAIL),
        ({"ArnLike": {"aws:SourceArn": f"arn:aws:glue:eu-west-1:{OWN}:integration:*"}}, Status.PASS),
        ({"ArnLike": {"aws:SourceArn": f"arn:aws:glue:eu-west-1:{STRANGER}:integration:*"}}, Status.FAIL),
        ({"ArnLike": {"aws:SourceArn": "arn:aws:s3:::acme-exports"}}, Status.UNKNOWN),
        ({"StringEquals": {"aws:SourceOrgID": ORG}}, Status.PASS),
        ({"StringEquals": {"aws:SourceOrgID": OTHER_ORG}}, Status.FAIL),
    ],
)
def test_services_are_confined_to_whom_they_act_for(condition: dict[str, Any] | None, status: Status) -> None:
    found = verdict(allow(SERVICE, condition=condition))
    assert found.status is status
    assert found.severity is (Severity.MEDIUM if status is Status.FAIL else None)


def test_any_service_by_a_wildcard_is_a_confused_deputy() -> None:
    services = {"Bool": {"aws:PrincipalIsAWSService": "true"}}
    assert verdict(allow("*", condition=services)).status is Status.FAIL
    own = services | {"StringEquals": {"aws:SourceAccount": OWN}}
    assert verdict(allow("*", condition=own)).status is Status.PASS


REPLICATION = {"Service": "replication.dynamodb.amazonaws.com"}
REPLICATE = ["dynamodb:ReadDataForReplication", "dynamodb:WriteDataForReplication", "dynamodb:ReplicateSettings"]


def test_replication_across_accounts() -> None:
    def confined(account: str) -> dict[str, Any]:
        return {
            "StringEquals": {"aws:SourceAccount": [OWN, account]},
            "ArnEquals": {"aws:SourceArn": [TABLE.arn, f"arn:aws:dynamodb:eu-west-2:{account}:table/orders"]},
        }

    assert verdict(allow(REPLICATION, REPLICATE, confined(FRIEND))).status is Status.PASS
    assert verdict(allow(REPLICATION, REPLICATE, confined(STRANGER))).status is Status.FAIL
    assert verdict(allow(REPLICATION, REPLICATE)).status is Status.FAIL
    by_account = {"StringEquals": {"aws:SourceAccount": [OWN, STRANGER]}}
    found = verdict(allow(REPLICATION, REPLICATE, by_account))
    assert (found.status, found.severity) == (Status.FAIL, Severity.MEDIUM)
    by_account = {"StringEquals": {"aws:SourceAccount": [OWN, FRIEND]}}
    assert verdict(allow(REPLICATION, REPLICATE, by_account)).status is Status.PASS


def test_deleted_principals_are_noted() -> None:
    found = verdict(allow(["AROAEXAMPLEEXAMPLE01", role(OWN)]))
    assert found.status is Status.PASS
    assert found.evidence["danglingPrincipals"] == ["AROAEXAMPLEEXAMPLE01"]


def test_conditions_on_the_network_count_as_access() -> None:
    found = verdict(allow(STRANGER, condition={"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}))
    assert found.status is Status.FAIL
    assert found.evidence["untrusted"][f"account {STRANGER}"]["conditions"] == "only from 203.0.113.0/24"
    odd = verdict(allow(STRANGER, condition={"StringLooksLike": {"aws:PrincipalOrgID": "x"}}))
    assert odd.status is Status.UNKNOWN


def test_a_guardrail_lowers_the_severity() -> None:
    document = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "dynamodb:*",
            "Resource": "*",
            "Condition": {"StringNotEqualsIfExists": {"aws:PrincipalOrgID": ORG}},
        },
    }
    policy = ControlPolicy("p-1", "perimeter", False, json.dumps(document))
    rcps = ResourceControlPolicies((ControlLevel("r-ab12", (policy,)),))
    found = verdict(allow(STRANGER, "dynamodb:*"), guardrails=rcps)
    assert (found.status, found.severity) == (Status.FAIL, Severity.MEDIUM)
    assert found.evidence["blockedBy"] == ["rcp: statement 0 of policy RCP perimeter at r-ab12"]
    assert verdict(allow(STRANGER, "dynamodb:*"), guardrails=NO_LIST).severity is Severity.HIGH


def test_a_stream_is_judged_by_its_own_policy() -> None:
    stream = Stream(TABLE, "2026-01-31T09:30:00.000")
    assert verdict(allow(STRANGER, "dynamodb:GetRecords"), resource=stream).status is Status.FAIL
    assert verdict(allow(STRANGER, "dynamodb:GetItem"), resource=stream).status is Status.PASS


@pytest.mark.parametrize("text", ["", "{", "[]", '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow"}]}'])
def test_a_malformed_policy_is_unknown(text: str) -> None:
    found = judge(TABLE, ResourcePolicy(text), ACTIVE, TRUST, PLAIN, ENDPOINTS, IN_ORG, NONE)
    assert (found.status, found.reason) == (Status.UNKNOWN, "undecidable")


def test_a_stream_that_may_exist_leaves_the_table_open() -> None:
    lost = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:DescribeTable")
    found = verdict(allow(FRIEND), settings=lost)
    assert (found.status, found.missing_permission) == (Status.UNKNOWN, "dynamodb:DescribeTable")
    assert verdict(allow(STRANGER), settings=lost).status is Status.FAIL
    assert verdict(allow(FRIEND), settings=TableSettings("DELETING")).status is Status.NOT_APPLICABLE


def test_china() -> None:
    table = Table(Region(Account(OWN, "aws-cn"), "cn-north-1"), "orders")
    principal = f"arn:aws-cn:iam::{STRANGER}:role/reader"
    assert verdict(allow(principal), resource=table).status is Status.FAIL
