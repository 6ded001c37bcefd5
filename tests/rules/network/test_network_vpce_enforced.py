"""network-vpce-enforced: data requests from outside the expected network are denied, and by what."""

import json
from typing import Any

import pytest

from auditor import Severity, Status, Verdict
from auditor.analysis.access import account_access, table_access
from auditor.config import Config
from auditor.facts import (
    AccountAccess,
    Endpoint,
    Gap,
    Identities,
    Index,
    InlinePolicy,
    Organization,
    Reason,
    ResourceControlPolicies,
    ResourcePolicy,
    RoleInfo,
    Sensitivity,
    ServiceControlPolicies,
    TableSettings,
    Tags,
    VpcEndpoints,
)
from auditor.resources import Account, Region, Role, Table
from tests.guardrails import IAM_DENIED, TIME, path, role
from tests.rules import ACCOUNT, REGION, TABLE, load

judge = load("network-vpce-enforced")

ENDPOINT = "vpce-0123456789abcdef0"
SENSITIVE, PLAIN = Sensitivity(True, True, "confidentiality=high"), Sensitivity(False, False)
DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:GetResourcePolicy")
UNTAGGED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListTagsOfResource")
UNDESCRIBED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:DescribeTable")
UNSEEN = Gap(Reason.ACCESS_DENIED, "Not allowed.", "ec2:DescribeVpcEndpoints")
OUTSIDE = {"StringNotEqualsIfExists": {"aws:SourceVpce": ENDPOINT}}
NOT_SERVICES = {"BoolIfExists": {"aws:ViaAWSService": "false", "aws:PrincipalIsAWSService": "false"}}
BREAK_GLASS = {"ArnNotLikeIfExists": {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/BreakGlass"}}
DATA = ["dynamodb:*Item", "dynamodb:Query", "dynamodb:Scan", "dynamodb:PartiQL*"]


def deny(condition: Any, action: Any = "dynamodb:*", resource: Any = "*", **more: Any) -> str:
    statement = {"Sid": "Net", "Effect": "Deny", "Principal": "*", "Action": action, "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [{**statement, "Condition": condition}]})


def accounts(
    identities: Identities | None = None, rcps: ResourceControlPolicies | None = None, config: Config | None = None
) -> AccountAccess:
    organization = Organization("o-exampleorgid", "ALL", "999900001111")
    found: AccountAccess = account_access(
        ACCOUNT,
        identities or Identities(roles=(role("app"),)),
        organization,
        ServiceControlPolicies(()),
        rcps or ResourceControlPolicies(()),
        TIME,
        config or Config(),
    )
    return found


def ask(
    document: str | Gap | None,
    sensitivity: Sensitivity | Gap = SENSITIVE,
    *,
    access: AccountAccess | Gap | None = None,
    settings: TableSettings | Gap | None = None,
    tags: Tags | Gap | None = None,
    endpoints: Any = None,
    config: Config | None = None,
    table: Table = TABLE,
    **options: Any,
) -> Verdict:
    policy = document if isinstance(document, Gap) else ResourcePolicy(document)
    entry = table_access(table, settings or TableSettings("ACTIVE"), policy, tags or Tags({}))
    held = {REGION: VpcEndpoints((Endpoint(ENDPOINT, "vpc-1", "Gateway", "x", "available"),))}
    verdict: Verdict = judge(
        table,
        policy,
        entry,
        sensitivity,
        held if endpoints is None else endpoints,
        access or accounts(config=config),
        config or Config(),
        **options,
    )
    return verdict


@pytest.mark.parametrize(
    "document",
    [
        deny({**OUTSIDE, **NOT_SERVICES, **BREAK_GLASS}, DATA),
        deny(OUTSIDE),
        deny({"StringNotEquals": {"aws:SourceVpce": ENDPOINT}}),
    ],
)
def test_a_denial_outside_the_endpoint_passes(document: str) -> None:
    verdict = ask(document)
    assert verdict.status is Status.PASS
    assert verdict.evidence["statements"] == [{"policy": "resource policy", "sid": "Net", "index": 0}]
    assert verdict.evidence["networks"] == [ENDPOINT]


@pytest.mark.parametrize(
    "document",
    [
        None,
        deny(OUTSIDE, "dynamodb:GetItem"),
        deny(OUTSIDE, resource="arn:aws:dynamodb:*:*:table/other"),
        deny({"StringEquals": {"aws:SourceVpce": ENDPOINT}}),
        deny({"StringNotLikeIfExists": {"aws:SourceVpce": "vpce-*"}}),
        deny({"NotIpAddressIfExists": {"aws:VpcSourceIp": "10.0.0.0/8"}}),
        deny({"StringEquals": {"aws:SourceVpce": ENDPOINT}, **NOT_SERVICES}),
        deny({**OUTSIDE, "StringNotEquals": {"aws:PrincipalOrgID": "o-exampleorgid"}}),
        deny({**OUTSIDE, "Bool": {"aws:MultiFactorAuthPresent": "false"}}),
        json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}],
            }
        ),
    ],
)
def test_what_lets_data_out_fails(document: str | None) -> None:
    verdict = ask(document)
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.MEDIUM)


def test_a_strangers_endpoint_is_outside_too() -> None:
    verdict = ask(deny({"Null": {"aws:SourceVpce": "true"}}))
    assert verdict.status is Status.FAIL
    assert "another account's VPC" in verdict.message


def test_indexes_are_part_of_the_table() -> None:
    whole = deny(OUTSIDE, resource=[TABLE.arn, f"{TABLE.arn}/index/*"])
    indexed = TableSettings("ACTIVE", indexes=(Index("by-date", "global"),))
    only_table = deny(OUTSIDE, resource=TABLE.arn)
    assert ask(only_table).status is Status.PASS
    assert ask(only_table, settings=indexed).status is Status.FAIL
    hidden = ask(only_table, settings=UNDESCRIBED)
    assert (hidden.status, hidden.missing_permission) == (Status.UNKNOWN, "dynamodb:DescribeTable")
    assert ask(whole, settings=indexed).status is Status.PASS
    assert ask(whole, settings=UNDESCRIBED).status is Status.PASS
    assert ask(None, settings=UNDESCRIBED).status is Status.FAIL


def test_which_tables_need_it() -> None:
    assert ask(None, PLAIN).status is Status.NOT_APPLICABLE
    verdict = ask(None, PLAIN, require_for="all")
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.INFORMATIONAL)
    assert ask(DENIED, PLAIN).status is Status.NOT_APPLICABLE
    assert ask(None, UNTAGGED).missing_permission == "dynamodb:ListTagsOfResource"
    assert ask(deny(OUTSIDE), UNTAGGED).status is Status.PASS


def test_a_policy_that_is_not_known_is_unknown() -> None:
    verdict = ask(DENIED)
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "dynamodb:GetResourcePolicy")
    for text in ("{", "[]", '{"Statement": [1]}', deny({"StringMatches": {"aws:SourceVpce": "x"}})):
        verdict = ask(text)
        assert (verdict.status, verdict.reason) == (Status.UNKNOWN, "undecidable")


@pytest.mark.parametrize(("abac", "status"), [(True, Status.PASS), (False, Status.FAIL), ("unknown", Status.UNKNOWN)])
def test_a_denial_by_tag_hangs_on_abac(abac: Any, status: Status) -> None:
    document = deny({**OUTSIDE, "StringEquals": {"aws:ResourceTag/env": "prod"}})
    config = Config(abac_enabled=abac)
    assert ask(document, tags=Tags({"env": "prod"}), config=config).status is status
    if abac is True:
        verdict = ask(document, tags=UNTAGGED, config=config)
        assert verdict.missing_permission == "dynamodb:ListTagsOfResource"
        assert ask(document, tags=Tags({}), config=config).status is Status.FAIL


def test_an_endpoint_that_is_gone_fails_unless_it_is_expected_or_the_endpoints_are_not_known() -> None:
    gone = deny({"StringNotEqualsIfExists": {"aws:SourceVpce": [ENDPOINT, "vpce-0gone"]}})
    verdict = ask(gone)
    assert (verdict.status, verdict.evidence["dangling"]) == (Status.FAIL, ["vpce-0gone"])
    elsewhere = {
        REGION: VpcEndpoints((Endpoint(ENDPOINT, "vpc-1", "Gateway", "x", "available"),)),
        Region(Account("444455556666"), "eu-west-1"): VpcEndpoints(
            (Endpoint("vpce-0gone", "vpc-2", "Gateway", "x", "available"),)
        ),
    }
    assert ask(gone, endpoints=elsewhere).status is Status.PASS
    assert ask(gone, expected_networks=(ENDPOINT, "vpce-0gone")).status is Status.PASS
    assert ask(gone, endpoints={REGION: UNSEEN}).missing_permission == "ec2:DescribeVpcEndpoints"
    assert ask(gone, endpoints={}).status is Status.UNKNOWN
    assert ask(deny({"StringNotEqualsIfExists": {"aws:SourceVpc": "vpc-1"}}), endpoints={}).status is Status.PASS


def test_only_expected_networks_may_be_named() -> None:
    assert ask(deny(OUTSIDE), expected_networks=("vpce-0123*",)).status is Status.PASS
    verdict = ask(deny(OUTSIDE), expected_networks=("vpc-1",))
    assert verdict.status is Status.FAIL
    assert ENDPOINT in verdict.message


def test_a_resource_control_policy_leaves_the_failure_and_makes_it_milder() -> None:
    statement = {"Effect": "Deny", "Principal": "*", "Action": "dynamodb:*", "Resource": "*", "Condition": OUTSIDE}
    guard = {"Version": "2012-10-17", "Statement": [{"Sid": "Perimeter", **statement}]}
    rcps = ResourceControlPolicies(path((guard,), ()).levels)
    verdict = ask(None, access=accounts(rcps=rcps))
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.LOW)
    assert verdict.evidence["blockedBy"] == ["rcp: statement Perimeter of policy RCP guard-0 at r-abcd"]
    partial = {"Version": "2012-10-17", "Statement": [{**statement, "Action": "dynamodb:GetItem"}]}
    verdict = ask(None, access=accounts(rcps=ResourceControlPolicies(path((partial,), ()).levels)))
    assert (verdict.severity, "blockedBy" in verdict.evidence) == (Severity.MEDIUM, False)
    assert ask(None, access=IAM_DENIED).severity is Severity.MEDIUM


def holder(name: str, *statements: Any) -> RoleInfo:
    document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    return RoleInfo(Role(ACCOUNT, name), role(name).trust, (InlinePolicy("inline", document),))


GRANT = {"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}
PINNED = {"Effect": "Deny", "Action": "dynamodb:*", "Resource": "*", "Condition": OUTSIDE}


def test_identity_policies_count_where_they_are_asked_for() -> None:
    identities = Identities(
        roles=(holder("app", GRANT, PINNED), holder("OrganizationAccountAccessRole", GRANT), role("idle"))
    )
    known = accounts(identities)
    assert ask(None, access=known).status is Status.FAIL
    verdict = ask(None, access=known, check_identity_policies=True)
    assert verdict.status is Status.PASS
    assert verdict.evidence["deniedPrincipals"] == [Role(ACCOUNT, "app").arn]
    assert verdict.evidence["exemptPrincipals"] == [Role(ACCOUNT, "OrganizationAccountAccessRole").arn]
    assert verdict.evidence["networks"] == [ENDPOINT]
    loose = accounts(Identities(roles=(holder("app", GRANT, PINNED), holder("batch", GRANT))))
    assert ask(None, access=loose, check_identity_policies=True).status is Status.FAIL
    assert ask(None, access=IAM_DENIED, check_identity_policies=True).missing_permission == IAM_DENIED.action
    assert ask(None, access=accounts(), check_identity_policies=True).status is Status.FAIL


def test_other_partitions() -> None:
    region = Region(Account("111122223333", "aws-cn"), "cn-north-1")
    table = Table(region, "orders")
    held = {region: VpcEndpoints((Endpoint(ENDPOINT, "vpc-1", "Gateway", "x", "available"),))}
    assert ask(deny(OUTSIDE, resource=table.arn), table=table, endpoints=held).status is Status.PASS
    assert ask(deny(OUTSIDE, resource=TABLE.arn), table=table, endpoints=held).status is Status.FAIL
