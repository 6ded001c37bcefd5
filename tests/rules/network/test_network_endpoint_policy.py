"""network-endpoint-policy: foreign tables and foreign principals through an endpoint, evaluated."""

import json
from typing import Any

import pytest

from auditor import Severity, Status, Verdict
from auditor.config import Accounts, Config
from auditor.facts import Endpoint, Gap, Organization, Reason, Sensitivity, VpcCoverage, VpcEndpoints
from auditor.resources import Account, Region, Vpc, VpcEndpoint
from tests.rules import REGION, TABLE, VPC, load

judge = load("network-endpoint-policy")

RESOURCE = VpcEndpoint(REGION, "vpce-0a1b")
MEMBER = Organization("o-exampleorgid", "ALL", "999900001111")
DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "organizations:DescribeOrganization")
UNTAGGED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListTagsOfResource")
DEFAULT = '{"Version":"2008-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}'


def allow(condition: Any = None, **more: Any) -> dict[str, Any]:
    """Return a statement that lets everybody do everything with DynamoDB under a condition."""
    statement = {"Effect": "Allow", "Principal": "*", "Action": "dynamodb:*", "Resource": "*", **more}
    return statement if condition is None else {**statement, "Condition": condition}


def policy(*statements: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def equals(**keys: Any) -> dict[str, Any]:
    return {"StringEquals": {f"aws:{key}": value for key, value in keys.items()}}


ORGANIZATION = equals(PrincipalOrgID="o-exampleorgid", ResourceOrgID="o-exampleorgid")
OWN_ACCOUNT = equals(PrincipalAccount="111122223333", ResourceAccount="111122223333")


def ask(
    document: str | None,
    organization: Organization | Gap = MEMBER,
    *,
    service: str = "com.amazonaws.eu-west-1.dynamodb",
    state: str = "available",
    resource: VpcEndpoint = RESOURCE,
    sensitivity: Sensitivity | Gap | None = None,
    coverage: VpcCoverage | Gap | None = None,
    config: Config | None = None,
) -> Verdict:
    endpoint = Endpoint(resource.name, VPC.name, "Gateway", service, state, policy=document)
    sensitivities = {} if sensitivity is None else {TABLE: sensitivity}
    coverages = {} if coverage is None else {VPC: coverage}
    verdict = judge(resource, VpcEndpoints((endpoint,)), organization, sensitivities, coverages, config or Config())
    assert isinstance(verdict, Verdict)
    return verdict


@pytest.mark.parametrize(
    "document",
    [
        policy(allow(ORGANIZATION)),
        policy(allow(OWN_ACCOUNT)),
        policy(allow(equals(PrincipalAccount="111122223333"), Resource="arn:aws:dynamodb:*:111122223333:*")),
        policy(
            allow(),
            allow(Effect="Deny", Condition={"StringNotEquals": {"aws:ResourceOrgID": "o-exampleorgid"}}),
            allow(Effect="Deny", Condition={"StringNotEquals": {"aws:PrincipalOrgID": "o-exampleorgid"}}),
        ),
        policy(allow(ORGANIZATION), allow(Action="dynamodb:DescribeEndpoints")),
        policy(allow(Resource="arn:aws:dynamodb:eu-west-1:111122223333:table/orders")),
        policy(allow(Effect="Deny")),
    ],
)
def test_what_keeps_foreign_tables_out_passes(document: str) -> None:
    assert ask(document).status is Status.PASS


@pytest.mark.parametrize(
    "document",
    [
        None,
        "",
        DEFAULT,
        policy(allow()),
        policy(allow(Action=["dynamodb:PutItem", "dynamodb:GetItem"])),
        policy(allow(equals(PrincipalOrgID="o-exampleorgid"))),
        policy(allow(equals(ResourceAccount="${aws:PrincipalAccount}"))),
        policy(allow({"StringEqualsIfExists": {"aws:ResourceOrgID": "o-exampleorgid"}})),
        policy(allow(equals(**{"PrincipalTag/team": "orders"}))),
        policy(allow({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/orders-api"}})),
        policy(allow({"StringLike": {"aws:PrincipalOrgID": "o-*"}})),
        policy(allow(ORGANIZATION), allow(Action="dynamodb:Put*")),
        policy(allow(), allow(Effect="Deny", Condition={"StringEquals": {"aws:ResourceAccount": "444455556666"}})),
    ],
)
def test_what_lets_a_foreign_table_through_fails(document: str | None) -> None:
    verdict = ask(document)
    assert (verdict.status, verdict.severity) == (Status.FAIL, None)


@pytest.mark.parametrize(
    "statement",
    [
        allow(Resource="arn:aws:dynamodb:*:*:table/orders"),
        allow(Resource="arn:aws:dynamodb:eu-west-1:????????????:table/orders-*"),
        allow(Principal={"AWS": "arn:aws:iam::111122223333:role/orders-api"}),
        allow(Principal={"AWS": "arn:aws:iam::444455556666:root"}),
        allow(Principal={"AWS": "444455556666"}),
        allow(Action=["dynamodb:GetItem", "dynamodb:BatchWriteItem"]),
        allow(Action="dynamodb:PartiQL*"),
    ],
)
def test_names_that_anybody_can_take_and_principals_that_are_named_are_tried(statement: dict[str, Any]) -> None:
    assert ask(policy(statement)).status is Status.FAIL
    assert ask(policy(statement | {"Condition": {"StringEquals": {"aws:ResourceAccount": "111122223333"}}})).status is (
        Status.PASS
    )


def test_a_denial_that_leaves_out_a_table_by_name_leaves_it_out_in_every_account() -> None:
    rest = {"Effect": "Deny", "Principal": "*", "Action": "*", "NotResource": "arn:aws:dynamodb:*:*:table/orders"}
    verdict = ask(policy(allow(), rest))
    assert verdict.status is Status.FAIL
    assert ask(policy(allow(), rest | {"NotResource": "arn:aws:dynamodb:*:111122223333:table/orders"})).status is (
        Status.PASS
    )


def test_a_table_of_one_named_foreign_account_is_an_exception_on_purpose() -> None:
    exception = allow(Action="dynamodb:PutItem", Resource="arn:aws:dynamodb:eu-west-1:444455556666:table/sessions")
    assert ask(policy(allow(OWN_ACCOUNT), exception)).status is Status.PASS


def test_the_statement_that_lets_through_is_named() -> None:
    verdict = ask(policy(allow(ORGANIZATION), allow(Sid="Everything")))
    assert verdict.message.startswith("Statement Everything of ")
    assert "an own principal use a table of an account in another organisation" in verdict.message
    assert [(one["sid"], one["index"]) for one in verdict.evidence["statements"]] == [("Everything", 1)]


def test_reaching_every_own_table_is_reported_only() -> None:
    assert ask(policy(allow(ORGANIZATION))).evidence["reachesAnyOwnTable"] is True
    one = policy(allow(ORGANIZATION, Resource="arn:aws:dynamodb:eu-west-1:111122223333:table/orders"))
    assert ask(one).evidence["reachesAnyOwnTable"] is False


@pytest.mark.parametrize(
    "document", ["{", "[]", '{"Statement": 3}', policy(allow({"StringMatches": {"aws:ResourceAccount": "1"}}))]
)
def test_what_cannot_be_read_is_undecidable(document: str) -> None:
    verdict = ask(document)
    assert (verdict.status, verdict.reason) == (Status.UNKNOWN, "undecidable")


def test_the_own_organisations_id_matters_only_where_the_policy_asks_for_it() -> None:
    verdict = ask(policy(allow(equals(PrincipalOrgID="o-exampleorgid"))), DENIED)
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "organizations:DescribeOrganization")
    assert ask(policy(allow(ORGANIZATION)), DENIED).status is Status.PASS
    assert ask(policy(allow(OWN_ACCOUNT)), DENIED).status is Status.PASS
    assert ask(DEFAULT, DENIED).status is Status.FAIL
    declared = Config(accounts=Accounts(org_id="o-exampleorgid"))
    assert ask(policy(allow(equals(PrincipalOrgID="o-exampleorgid"))), DENIED, config=declared).status is Status.FAIL


def test_a_streams_endpoint_is_asked_about_streams() -> None:
    service = "com.amazonaws.eu-west-1.dynamodb-streams"
    assert ask(policy(allow(Action="dynamodb:GetRecords")), service=service).status is Status.FAIL
    assert ask(policy(allow(Action="dynamodb:GetRecords"))).status is Status.PASS
    assert ask(policy(allow(OWN_ACCOUNT)), service=service).status is Status.PASS


def test_an_endpoint_that_is_not_available_is_not_applicable() -> None:
    assert ask(None, state="pending").status is Status.NOT_APPLICABLE


def test_an_endpoint_that_is_gone_has_no_finding() -> None:
    assert judge(RESOURCE, VpcEndpoints(()), MEMBER, {}, {}, Config()) is None


SENSITIVE, PLAIN = Sensitivity(True, True, "confidentiality=high"), Sensitivity(False, False)
USED, UNUSED = VpcCoverage(("subnet-1",)), VpcCoverage(())


@pytest.mark.parametrize(
    ("sensitivity", "coverage", "severity"),
    [
        (SENSITIVE, USED, Severity.HIGH),
        (SENSITIVE, UNUSED, None),
        (SENSITIVE, DENIED, Severity.HIGH),
        (UNTAGGED, USED, Severity.HIGH),
        (PLAIN, USED, None),
        (UNTAGGED, UNUSED, None),
    ],
)
def test_workloads_near_sensitive_tables_make_it_high(
    sensitivity: Any, coverage: Any, severity: Severity | None
) -> None:
    for document in (None, DEFAULT):
        assert ask(document, sensitivity=sensitivity, coverage=coverage).severity is severity


def test_other_partitions() -> None:
    resource = VpcEndpoint(Region(Account("111122223333", "aws-cn"), "cn-north-1"), "vpce-0a1b")
    own = policy(allow(equals(PrincipalAccount="111122223333"), Resource="arn:aws-cn:dynamodb:*:111122223333:*"))
    assert ask(own, service="cn.com.amazonaws.cn-north-1.dynamodb", resource=resource).status is Status.PASS
    assert ask(policy(allow(Resource="arn:aws-cn:dynamodb:*:*:*")), resource=resource).status is Status.FAIL
    assert Vpc(resource.region, VPC.name) != VPC
