"""Guardrails: what service control policies refuse to an ordinary principal, and who is exempt."""

from __future__ import annotations

import json
from typing import Any

import pytest

from auditor.config import Config
from auditor.facts import GuardedRequest, Identities, Organization, UserInfo
from auditor.resources import Account, User
from tests.guardrails import (
    ACCOUNT,
    FULL_ACCESS,
    IAM_DENIED,
    SCPS_DENIED,
    deny,
    except_role,
    made,
    path,
    role,
)

TABLE = "arn:aws:dynamodb:eu-west-1:111122223333:table/orders"
DELETE = GuardedRequest("dynamodb:DeleteTable", TABLE, {"env": "prod"})
PROD = {"StringEquals": {"aws:ResourceTag/env": "prod"}}


def outcome(guardrails: Any, request: GuardedRequest = DELETE, who: int = 0) -> str:
    answer = guardrails.answer(guardrails.probes[who], request)
    return str(answer.outcome)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (deny("dynamodb:DeleteTable"), "denied"),
        (deny("DynamoDB:delete*"), "denied"),
        (deny("dynamodb:DeleteTable", resource="arn:aws:dynamodb:*:*:table/orders"), "denied"),
        (deny("dynamodb:DeleteTable", resource="arn:aws:dynamodb:*:*:table/other"), "allowed"),
        (deny("dynamodb:DeleteTable", resource="", NotResource="arn:aws:dynamodb:*:*:table/tmp-*"), "denied"),
        (deny("dynamodb:DeleteTable", resource="", NotResource="arn:aws:dynamodb:*:*:table/*"), "allowed"),
        (deny("s3:*", condition={"StringNotEquals": {"aws:RequestedRegion": "eu-west-1"}}), "allowed"),
        (deny("", NotAction="iam:*"), "denied"),
        (deny("dynamodb:DeleteTable", condition=except_role("BreakGlass")), "denied"),
        (deny("dynamodb:DeleteTable", condition=except_role("ddb*")), "allowed"),
        (deny("dynamodb:DeleteTable", condition={"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}), "allowed"),
        (deny("dynamodb:DeleteTable", condition={"StringNotEquals": {"aws:PrincipalTag/team": "dba"}}), "denied"),
        (deny("dynamodb:DeleteTable", condition={"StringNotLike": {"aws:userid": "AROAEXAMPLEID:*"}}), "denied"),
        (deny("dynamodb:DeleteTable", condition={"StringMatches": {"aws:PrincipalArn": "*"}}), "undecidable"),
        ("{", "undecidable"),
        ('{"Version": "2012-10-17", "Statement": [3]}', "undecidable"),
        (deny("dynamodb:DeleteTable", condition=PROD), "undecidable"),
        (deny("dynamodb:DeleteTable", condition={"StringEquals": {"aws:ResourceTag/env": "dev"}}), "allowed"),
    ],
)
def test_the_policies_are_evaluated_for_an_ordinary_role(document: Any, expected: str) -> None:
    assert outcome(made(document)) == expected


@pytest.mark.parametrize(("abac", "expected"), [(True, "denied"), (False, "allowed"), ("unknown", "undecidable")])
def test_tags_count_only_where_dynamodb_evaluates_them(abac: Any, expected: str) -> None:
    guardrails = made(deny("dynamodb:DeleteTable", condition=PROD), config=Config(abac_enabled=abac))
    assert outcome(guardrails) == expected


def test_tags_that_are_not_known_leave_open_what_hangs_on_them() -> None:
    unread = GuardedRequest("dynamodb:DeleteTable", TABLE, None)
    assert outcome(made(deny("dynamodb:DeleteTable", condition=PROD), config=Config(abac_enabled=True)), unread) == (
        "undecidable"
    )
    assert outcome(made(deny("dynamodb:DeleteTable")), unread) == "denied"
    assert outcome(made(), unread) == "allowed"


def test_every_level_must_allow_and_none_may_deny() -> None:
    guard = deny("dynamodb:DeleteTable")
    for levels in ((guard,), (), ()), ((), (guard,), ()), ((), (), (guard,)):
        assert outcome(made(scps=path(*levels))) == "denied"
    allow_list = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    limited = made(scps=path([FULL_ACCESS], [allow_list], [FULL_ACCESS], bare=True))
    assert outcome(limited) == "denied"
    assert limited.answer(limited.probes[0], DELETE).denied_by == ("no policy of some level allows it (allow list)",)


def test_the_statement_that_denies_is_named_with_the_place_where_it_is_attached() -> None:
    guardrails = made(scps=path((), (deny("dynamodb:*", sid="NoDynamo"),), ()))
    answer = guardrails.answer(guardrails.probes[0], DELETE)
    assert answer.denied_by == ("statement NoDynamo of policy SCP guard-0 at ou-abcd-1",)
    assert guardrails.attached == [
        {"TargetId": "r-abcd", "Policies": ["FullAWSAccess"]},
        {"TargetId": "ou-abcd-1", "Policies": ["FullAWSAccess", "guard-0"]},
        {"TargetId": "111122223333", "Policies": ["FullAWSAccess"]},
    ]


def test_the_type_of_principal_matters() -> None:
    guard = deny("dynamodb:DeleteTable", condition={"StringEquals": {"aws:PrincipalType": "User"}})
    assert (outcome(made(guard), who=0), outcome(made(guard), who=1)) == ("allowed", "denied")


def test_keys_are_deleted_by_whom_the_account_lets() -> None:
    schedule = GuardedRequest("kms:ScheduleKeyDeletion", "arn:aws:kms:eu-west-1:111122223333:key/1")
    assert outcome(made(), schedule) == "allowed"
    assert outcome(made(deny("kms:ScheduleKeyDeletion")), schedule) == "denied"


def test_a_tag_of_another_services_resource_is_not_known() -> None:
    stop = GuardedRequest("cloudtrail:StopLogging", "arn:aws:cloudtrail:eu-west-1:111122223333:trail/audit")
    for config in (Config(), Config(abac_enabled=False)):
        assert outcome(made(deny("cloudtrail:*", condition=PROD), config=config), stop) == "undecidable"


def test_real_principals_that_get_through_are_exempt() -> None:
    identities = Identities(
        roles=tuple(role(name) for name in ("app", "BreakGlass", "ops/BreakGlass", "aws-service-role/x/SLR")),
        users=(UserInfo(User(ACCOUNT, "ann")),),
    )
    proof = made(deny("dynamodb:*", condition=except_role("BreakGlass")), identities=identities).prove([DELETE])
    assert proof.exempt == ("arn:aws:iam::111122223333:role/BreakGlass",)
    assert proof.judged == 4
    assert (proof.opening(1), proof.doubt(1)) == ("", None)
    assert "role/BreakGlass" in proof.opening(0)


def test_exemptions_by_tag_follow_the_roles_tags_and_what_their_sessions_may_carry() -> None:
    saml = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Federated": "arn:aws:iam::111122223333:saml-provider/idp"},
                    "Action": ["sts:AssumeRoleWithSAML", "sts:TagSession"],
                }
            ],
        }
    )
    identities = Identities(
        roles=(role("dba", tags={"team": "dba"}), role("app", tags={"team": "app"}), role("sso", trust=saml))
    )
    guard = deny("dynamodb:*", condition={"StringNotEquals": {"aws:PrincipalTag/team": "dba"}})
    proof = made(guard, identities=identities).prove([DELETE])
    assert [one.rpartition("/")[2] for one in proof.exempt] == ["dba"]
    assert [one.rpartition("/")[2] for one in proof.doubtful] == ["sso"]
    doubt = proof.doubt(1)
    assert proof.opening(1) == ""
    assert doubt is not None
    assert "role/sso" in doubt.detail
    assert proof.doubt(2) is None


def test_policy_variables_tell_principals_apart() -> None:
    guard = deny("dynamodb:*", resource="", NotResource="arn:aws:dynamodb:*:*:table/${aws:PrincipalTag/home}")
    identities = Identities(roles=(role("one", tags={"home": "orders"}), role("two", tags={"home": "other"})))
    proof = made(guard, identities=identities).prove([DELETE])
    assert [one.rpartition("/")[2] for one in proof.exempt] == ["one"]
    assert made(guard, identities=IAM_DENIED).prove([DELETE]).gap is IAM_DENIED


def test_many_requests_and_principals_are_answered_each_as_if_it_were_alone() -> None:
    requests = [
        GuardedRequest(f"dynamodb:{action}", TABLE.replace("orders", name), {"env": env})
        for name in ("orders", "invoices", "tmp-1", "tmp-2")
        for env in ("prod", "dev")
        for action in ("DeleteTable", "UpdateTable")
    ]
    identities = Identities(
        roles=tuple(role(f"{team}-{number}", tags={"team": team}) for team in ("a", "b", "c") for number in range(3))
    )
    for config in (Config(), Config(abac_enabled=True)):
        guardrails = made(
            deny("dynamodb:DeleteTable", resource="", NotResource="arn:aws:dynamodb:*:*:table/tmp-*"),
            deny("dynamodb:UpdateTable", condition={"StringEquals": {**PROD["StringEquals"]}, **except_role("a-*")}),
            deny("dynamodb:*", resource="arn:aws:dynamodb:*:*:table/tmp-2", condition=except_role("b-1")),
            deny("dynamodb:DeleteTable", resource="arn:aws:dynamodb:*:*:table/tmp-${aws:PrincipalTag/team}"),
            identities=identities,
            config=config,
        )
        for asked in (requests, requests[::4], requests[-2:]):
            proof = guardrails.prove(asked)
            single = [guardrails.answer(probe, request) for request in asked for probe in guardrails.probes]
            for kind, listed in (("allowed", proof.allowed), ("undecidable", proof.undecided)):
                expected = [one for one in single if one.outcome == kind]
                assert sorted(map(repr, listed)) == sorted(map(repr, expected))
            exempt = {
                principal.arn
                for principal in guardrails.estate.principals.values()
                if any(guardrails.answer(principal, request).outcome == "allowed" for request in asked)
            }
            assert set(proof.exempt) == exempt
            assert exempt


def test_without_users_and_roles_only_policies_with_exemptions_leave_something_open() -> None:
    plain = made(deny("dynamodb:*"), identities=IAM_DENIED).prove([DELETE])
    assert (plain.opening(5), plain.doubt(5)) == ("", None)
    assert "not known" in plain.evidence()["exemptPrincipals"]
    other = deny("s3:*", condition=except_role("BreakGlass"))
    assert made(deny("dynamodb:*"), other, identities=IAM_DENIED).prove([DELETE]).doubt(5) is None
    of_account = deny("dynamodb:*", condition={"StringEquals": {"aws:PrincipalAccount": "111122223333"}})
    assert made(of_account, identities=IAM_DENIED).prove([DELETE]).doubt(5) is None
    doubt = made(deny("dynamodb:*", condition=except_role("x")), identities=IAM_DENIED).prove([DELETE]).doubt(5)
    assert doubt is not None
    assert doubt.action == "iam:GetAccountAuthorizationDetails"


def test_what_is_allowed_is_said_with_its_condition() -> None:
    guard = deny("dynamodb:*", condition={"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}})
    proof = made(guard).prove([DELETE])
    assert "only with MFA" in proof.opening(5)
    assert proof.evidence()["notDenied"][0]["resource"] == TABLE


def test_who_is_not_bound() -> None:
    assert "no organisation" in made(organization=Organization(None)).exemption
    assert "management account" in made(organization=Organization("o-a", "ALL", ACCOUNT.id)).exemption
    assert made().exemption == ""


def test_policies_that_cannot_be_read_are_a_gap_except_where_there_can_be_none() -> None:
    assert made(scps=SCPS_DENIED).gap is SCPS_DENIED
    billing = made(scps=SCPS_DENIED, organization=Organization("o-a", "CONSOLIDATED_BILLING", "999900001111"))
    assert billing.gap is None
    assert "no service control policies enabled" in billing.prove([DELETE]).opening(5)


def test_other_partitions() -> None:
    account = Account("111122223333", "aws-cn")
    china = GuardedRequest("dynamodb:DeleteTable", "arn:aws-cn:dynamodb:cn-north-1:111122223333:table/orders", {})
    identities = Identities(roles=(role("BreakGlass", account),))
    guard = deny("dynamodb:*", condition=except_role("BreakGlass", partition="aws-cn"))
    guardrails = made(guard, account=account, identities=identities)
    assert guardrails.probes[0].arn == "arn:aws-cn:iam::111122223333:role/ddbaudit-probe"
    assert outcome(guardrails, china) == "denied"
    assert guardrails.prove([china]).exempt == ("arn:aws-cn:iam::111122223333:role/BreakGlass",)
