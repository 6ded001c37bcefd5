"""table-resource-policy-public: what a stranger can do by the policy of a table or stream."""

import json
from typing import Any

import pytest

from auditor import Severity, Status
from auditor.facts import (
    ControlLevel,
    ControlPolicy,
    Gap,
    Organization,
    Reason,
    ResourceControlPolicies,
    ResourcePolicy,
    TableSettings,
    Trust,
)
from auditor.resources import Account, Region, Stream, Table
from tests.rules import TABLE, load

judge = load("table-resource-policy-public")

ORG = "o-acme12345"
ACTIVE = TableSettings("ACTIVE")
IN_ORG = Organization(ORG, "ALL", "999988887777")
TRUST = Trust(TABLE.account.id, frozenset(), ORG, {TABLE.account.id: "orders"})
NONE = ResourceControlPolicies(())
STREAM = Stream(TABLE, "2026-01-31T09:30:00.000")
ROLE = f"arn:aws:iam::{TABLE.account.id}:role/app"
DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "organizations:ListPoliciesForTarget")


def allow(principal: Any = "*", action: Any = "dynamodb:*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": principal, "Action": action, "Resource": resource, **more}


def policy(*statements: dict[str, Any]) -> ResourcePolicy:
    return ResourcePolicy(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))


def verdict(*statements: dict[str, Any], resource: Table | Stream = TABLE, **more: Any) -> Any:
    given = {"settings": ACTIVE, "trust": TRUST, "organization": IN_ORG, "guardrails": NONE} | more
    return judge(resource, policy(*statements), **given)


def test_without_a_policy_it_passes() -> None:
    assert judge(TABLE, ResourcePolicy(None), ACTIVE, TRUST, IN_ORG, NONE).status is Status.PASS


def test_a_wildcard_is_public_and_the_message_names_the_statement() -> None:
    found = verdict(allow({"AWS": ROLE}), allow(Sid="Open", Action=["dynamodb:GetItem", "dynamodb:DeleteTable"]))
    assert (found.status, found.severity) == (Status.FAIL, None)
    assert "statement Open" in found.message
    assert found.evidence["statements"] == [{"policy": "resource policy", "sid": "Open", "index": 1}]
    assert found.evidence["actions"] == ["dynamodb:DeleteTable", "dynamodb:GetItem"]
    assert found.evidence["publicByAWS"] == ["Open"]


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ({"StringEquals": {"aws:PrincipalOrgID": ORG}}, Status.PASS),
        ({"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": f"{ORG}/r-ab12/ou-ab12-*"}}, Status.PASS),
        ({"Bool": {"aws:PrincipalIsAWSService": "true"}}, Status.PASS),
        ({"StringEquals": {"aws:SourceVpce": "vpce-0a1b2c3d"}}, Status.PASS),
        ({"ForAllValues:StringEquals": {"aws:PrincipalOrgID": ORG}}, Status.FAIL),
        ({"StringEqualsIfExists": {"aws:PrincipalOrgID": ORG}}, Status.FAIL),
        ({"StringNotEquals": {"aws:PrincipalAccount": "444455556666"}}, Status.FAIL),
        ({"StringLike": {"aws:PrincipalArn": "*"}}, Status.FAIL),
        ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/admin"}}, Status.FAIL),
        ({"StringEquals": {"aws:ResourceAccount": TABLE.account.id}}, Status.FAIL),
        ({"ForAnyValue:StringEquals": {"aws:CalledVia": "athena.amazonaws.com"}}, Status.FAIL),
        ({"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}, Status.FAIL),
        ({"StringEquals": {"aws:ResourceTag/open": "yes"}}, Status.UNKNOWN),
        ({"StringLooksLike": {"aws:PrincipalOrgID": ORG}}, Status.UNKNOWN),
    ],
)
def test_only_conditions_that_keep_strangers_out_count(condition: dict[str, Any], status: Status) -> None:
    found = verdict(allow(Condition=condition))
    assert found.status is status
    assert (found.reason == "undecidable") is (status is Status.UNKNOWN)


def test_denials_count() -> None:
    perimeter = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "*",
        "Resource": "*",
        "Condition": {"StringNotEquals": {"aws:PrincipalOrgID": ORG}},
    }
    found = verdict(allow(), perimeter)
    assert found.status is Status.PASS
    assert found.evidence["publicByAWS"] == [0]
    # One that leaves an action out does not close it.
    assert verdict(allow(), perimeter | {"Action": "dynamodb:GetItem"}).status is Status.FAIL
    assert verdict(perimeter).status is Status.PASS


def test_source_addresses_are_public_for_whoever_has_them() -> None:
    found = verdict(allow(Condition={"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}))
    assert (found.status, found.severity) == (Status.FAIL, Severity.HIGH)
    assert found.evidence["conditions"] == "only from 203.0.113.0/24"


def test_not_principal_with_allow_is_public() -> None:
    statement = {"Effect": "Allow", "NotPrincipal": {"AWS": ROLE}, "Action": "dynamodb:Query", "Resource": "*"}
    assert verdict(statement).status is Status.FAIL


def test_an_index_alone_is_part_of_the_table() -> None:
    for name in ("by-date", "*"):
        found = verdict(allow(action="dynamodb:Query", resource=f"{TABLE.arn}/index/{name}"))
        assert found.status is Status.FAIL
    assert verdict(allow(action="dynamodb:PutItem", resource=f"{TABLE.arn}/index/by-date")).status is Status.PASS


def test_actions_that_no_other_account_may_call_are_not_public() -> None:
    assert verdict(allow(action=["dynamodb:PutResourcePolicy", "dynamodb:PartiQLSelect"])).status is Status.PASS
    assert verdict(allow(action="dynamodb:SearchVectors")).status is Status.UNKNOWN


def test_a_stream_has_a_policy_of_its_own() -> None:
    found = verdict(allow(action="dynamodb:GetRecords", resource=STREAM.arn), resource=STREAM)
    assert found.status is Status.FAIL
    assert verdict(allow(action="dynamodb:GetRecords", resource=STREAM.arn)).status is Status.PASS
    assert verdict(allow(action="dynamodb:GetItem"), resource=STREAM).status is Status.PASS


def perimeter(**more: Any) -> ResourceControlPolicies:
    statement = {"Effect": "Deny", "Principal": "*", "Action": "dynamodb:*", "Resource": "*", **more}
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    return ResourceControlPolicies((ControlLevel("r-ab12", (ControlPolicy("p-1", "perimeter", False, document),)),))


def test_a_guardrail_lowers_the_severity_and_nothing_else() -> None:
    outside = {"StringNotEqualsIfExists": {"aws:PrincipalOrgID": ORG}}
    found = verdict(allow(), guardrails=perimeter(Condition=outside))
    assert (found.status, found.severity) == (Status.FAIL, Severity.HIGH)
    assert found.evidence["blockedBy"] == ["rcp: statement 0 of policy RCP perimeter at r-ab12"]
    half = verdict(allow(), guardrails=perimeter(Action="dynamodb:GetItem", Condition=outside))
    assert (half.severity, "blockedBy" in half.evidence) == (None, False)
    management = Organization(ORG, "ALL", TABLE.account.id)
    for more in ({"guardrails": DENIED}, {"guardrails": perimeter(), "organization": management}):
        assert (verdict(allow(), **more).status, verdict(allow(), **more).severity) == (Status.FAIL, None)


def test_an_unknown_organisation_decides_nothing_by_itself() -> None:
    lost = Trust(TABLE.account.id, frozenset(), DENIED, {}, DENIED)
    assert verdict(allow(), trust=lost, organization=DENIED).status is Status.FAIL
    closed = allow(Condition={"StringEquals": {"aws:PrincipalOrgID": ORG}})
    assert verdict(closed, trust=lost, organization=DENIED).status is Status.PASS


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow"}]}']
)
def test_a_malformed_policy_is_unknown(text: str) -> None:
    found = judge(TABLE, ResourcePolicy(text), ACTIVE, TRUST, IN_ORG, NONE)
    assert (found.status, found.reason) == (Status.UNKNOWN, "undecidable")


def test_a_stream_that_may_exist_leaves_the_table_open() -> None:
    lost = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:DescribeTable")
    found = verdict(allow({"AWS": ROLE}), settings=lost)
    assert (found.status, found.missing_permission) == (Status.UNKNOWN, "dynamodb:DescribeTable")
    assert verdict(allow(), settings=lost).status is Status.FAIL
    assert verdict(allow({"AWS": ROLE}), settings=lost, resource=STREAM).status is Status.PASS


@pytest.mark.parametrize("status", ["CREATING", "DELETING"])
def test_tables_in_transition_are_not_judged(status: str) -> None:
    assert verdict(allow(), settings=TableSettings(status)).status is Status.NOT_APPLICABLE


def test_china() -> None:
    table = Table(Region(Account("111122223333", "aws-cn"), "cn-north-1"), "orders")
    admins = allow(Condition={"ArnLike": {"aws:PrincipalArn": "arn:aws-cn:iam::*:role/admin"}})
    assert verdict(admins, resource=table).status is Status.FAIL
    assert verdict(admins).status is Status.PASS
