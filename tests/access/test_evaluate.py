"""Statements, principals, the combination of policies, service rules, refinement and unreadable documents.

Conditions and variables stand in test_conditions, cases that teach something about DynamoDB in test_tricky_cases.
"""

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from auditor.access import Policies, Request, evaluate
from tests.access import (
    ACCOUNT,
    ALLOWED,
    CLUSTER,
    COGNITO,
    CONDITIONAL,
    EXPLICIT,
    FEDERATED_USER,
    FULL,
    GITHUB,
    IMPLICIT,
    INDEX,
    KEY,
    LINKED_ROLE,
    OUTSIDE,
    OUTSIDE_ROLE,
    OUTSIDE_ROOT,
    OUTSIDE_SESSION,
    OUTSIDE_USER,
    REPLICATION,
    ROLE,
    ROOT,
    SAML,
    SESSION,
    STREAM,
    TABLE,
    TABLES,
    USER,
    allow,
    deny,
    doc,
    grant,
    judge,
    merge,
    outcome,
    outcome_of,
    refuse,
    trust,
    when,
)

GET_ITEM = "dynamodb:GetItem"
OTHER_POLICY = allow("s3:GetObject")
VPCE = "aws:SourceVpce"
MFA = "aws:MultiFactorAuthPresent"
ORG = "aws:PrincipalOrgID"

Case = dict[str, Any]


def cases(rows: dict[str, tuple[Any, ...]], names: str) -> pytest.MarkDecorator:
    """Parametrise with one named row a case."""
    return pytest.mark.parametrize(names.split(), list(rows.values()), ids=list(rows))


# -- Statements ---------------------------------------------------------------------------------------------------

ACTIONS: list[tuple[Any, str, bool]] = [
    ("dynamodb:GetItem", "dynamodb:GetItem", True),
    ("dynamodb:getitem", "dynamodb:GetItem", True),
    ("DYNAMODB:GETITEM", "dynamodb:GetItem", True),
    ("dynamodb:GetItem", "DynamoDB:GETitem", True),
    ("*", "dynamodb:GetItem", True),
    ("dynamodb:*", "dynamodb:GetItem", True),
    ("dynamodb:Get*", "dynamodb:GetItem", True),
    ("dynamodb:get*", "dynamodb:GetRecords", True),
    ("dynamodb:*Item", "dynamodb:BatchGetItem", True),
    ("dynamodb:*Get*", "dynamodb:BatchGetItem", True),
    ("dynamodb:G?tItem", "dynamodb:GetItem", True),
    ("dynamodb:GetItem*", "dynamodb:GetItem", True),
    (["dynamodb:Query", "dynamodb:GetItem"], "dynamodb:GetItem", True),
    ("dynamodb:GetItem?", "dynamodb:GetItem", False),
    ("dynamodb:Get", "dynamodb:GetItem", False),
    ("dynamodb:Get*", "dynamodb:BatchGetItem", False),
    ("dynamodb:GetItem", "dynamodb:BatchGetItem", False),
    ("dynamodb:Get.*", "dynamodb:GetItem", False),
    ("dynamodb:[G]etItem", "dynamodb:GetItem", False),
    ("dax:GetItem", "dynamodb:GetItem", False),
    ("dax:*", "dynamodb:GetItem", False),
    (["s3:*", "dax:*"], "dynamodb:GetItem", False),
]


@pytest.mark.parametrize(("pattern", "action", "matches"), ACTIONS)
def test_actions(pattern: Any, action: str, matches: bool) -> None:
    assert outcome_of(action=action, identity=[allow(pattern)]) == (ALLOWED if matches else IMPLICIT)
    assert outcome_of(action=action, identity=[FULL, deny(pattern)]) == (EXPLICIT if matches else ALLOWED)
    assert outcome_of(action=action, identity=[allow(None, NotAction=pattern)]) == (IMPLICIT if matches else ALLOWED)
    refused = deny(None, NotAction=pattern)
    assert outcome_of(action=action, identity=[FULL, refused]) == (ALLOWED if matches else EXPLICIT)


RESOURCES: list[tuple[Any, str, bool]] = [
    ("*", TABLE, True),
    (TABLE, TABLE, True),
    (f"{TABLES}/*", TABLE, True),
    (f"{TABLES}/ord*", TABLE, True),
    (f"{TABLES}/*ers", TABLE, True),
    (f"{TABLES}/order?", TABLE, True),
    (f"{TABLES}/o*d*s", TABLE, True),
    (f"arn:aws:dynamodb:*:{ACCOUNT}:table/orders", TABLE, True),
    ("arn:aws:dynamodb:*:*:table/orders", TABLE, True),
    ("arn:*:dynamodb:*:*:table/orders", TABLE, True),
    (f"arn:aws:dynamodb:eu-*:{ACCOUNT}:table/orders", TABLE, True),
    (f"arn:aws:dynamodb:eu-west-?:{ACCOUNT}:*", TABLE, True),
    (f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:*/orders", TABLE, True),
    ("arn:aws:dynamodb:eu-west-1:1111*:table/orders", TABLE, True),
    (f"arn:AWS:DynamoDB:EU-West-1:{ACCOUNT}:table/orders", TABLE, True),
    ([f"{TABLES}/bills", TABLE], TABLE, True),
    # The documented completion of ARNs that have fewer than six parts.
    ("arn:aws:dynamodb", TABLE, True),
    ("arn:aws:dynamodb:*", TABLE, True),
    ("arn:aws:dynamodb:eu-west-1", TABLE, True),
    ("arn:aws:dynamodb:us-east-1", TABLE, False),
    ("arn:aws:s3", TABLE, False),
    ("arn:aws:dynamodb:*:table/orders", TABLE, False),
    (f"{TABLES}/Orders", TABLE, False),
    (f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:Table/orders", TABLE, False),
    (f"{TABLES}/order", TABLE, False),
    (f"{TABLES}/orders?", TABLE, False),
    (f"{TABLES}/orders/", TABLE, False),
    (f"{TABLES}/orders/*", TABLE, False),
    (f"{TABLES}/[o]rders", TABLE, False),
    (f"{TABLES}/.*", TABLE, False),
    ("orders", TABLE, False),
    ("table/orders", TABLE, False),
    (f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/orders", TABLE, False),
    (f"arn:aws:dynamodb:eu-west-1:{OUTSIDE}:table/orders", TABLE, False),
    (f"arn:aws-cn:dynamodb:eu-west-1:{ACCOUNT}:table/orders", TABLE, False),
    (f"arn:aws:s3:eu-west-1:{ACCOUNT}:table/orders", TABLE, False),
    # Tables, their indexes and streams are resources of their own.
    (TABLE, INDEX, False),
    (TABLE, STREAM, False),
    (f"{TABLE}*", INDEX, True),
    (f"{TABLES}/*", INDEX, True),
    (f"{TABLE}/index/*", INDEX, True),
    (f"{TABLE}/index/*", TABLE, False),
    (f"{TABLE}/index/*", STREAM, False),
    (f"{TABLES}/*/index/by-date", INDEX, True),
    (f"{TABLE}/stream/*", STREAM, True),
    (f"{TABLE}/stream/2024-05-01T12:*:00.123", STREAM, True),
    (STREAM, STREAM, True),
    (f"{TABLES}/ord*", STREAM, True),
    (f"{TABLES}/orders-2024/*", f"{TABLES}/orders/2024/index/x", False),
]


@pytest.mark.parametrize(("pattern", "resource", "matches"), RESOURCES)
def test_resources(pattern: Any, resource: str, matches: bool) -> None:
    action = "dynamodb:GetRecords" if "/stream/" in resource else "dynamodb:Query"
    request: Case = {"action": action, "resource": resource}
    assert outcome_of(**request, identity=[allow(resource=pattern)]) == (ALLOWED if matches else IMPLICIT)
    assert outcome_of(**request, identity=[FULL, deny(resource=pattern)]) == (EXPLICIT if matches else ALLOWED)
    excepted = allow(resource=None, NotResource=pattern)
    assert outcome_of(**request, identity=[excepted]) == (IMPLICIT if matches else ALLOWED)
    refused = deny(resource=None, NotResource=pattern)
    assert outcome_of(**request, identity=[FULL, refused]) == (ALLOWED if matches else EXPLICIT)


@pytest.mark.parametrize(
    "action", ["ListTables", "DescribeLimits", "DescribeEndpoints", "UpdateAbacStatus", "ListStreams"]
)
@pytest.mark.parametrize("resource", ["*", f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:*"])
def test_actions_without_resource_types_need_a_bare_star(action: str, resource: str) -> None:
    request: Case = {"action": f"dynamodb:{action}", "resource": resource}
    assert outcome_of(**request, identity=[allow()]) == ALLOWED
    assert outcome_of(**request, identity=[allow(resource=[TABLE, "*"])]) == ALLOWED
    for pattern in (TABLE, f"{TABLES}/*", "arn:aws:dynamodb:*:*:table/*", f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:*"):
        assert outcome_of(**request, identity=[allow(resource=pattern)]) == IMPLICIT
        assert outcome_of(**request, identity=[FULL, deny(resource=pattern)]) == ALLOWED
    assert outcome_of(**request, identity=[FULL, deny()]) == EXPLICIT
    assert outcome_of(**request, identity=[allow(resource=None, NotResource=TABLE)]) == ALLOWED


FORMS: dict[str, Any] = {
    "a document": allow(),
    "a JSON text": json.dumps(allow()),
    "a JSON text with white space": "\n  " + json.dumps(allow(), indent=2) + "\n",
    "a single statement": {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}},
    "lists of one": allow(["dynamodb:*"], ["*"]),
    "Sid and Id": {"Id": "x", **doc({"Sid": "All", "Effect": "Allow", "Action": "*", "Resource": "*"})},
    "no version": doc({"Effect": "Allow", "Action": "*", "Resource": "*"}, version=None),
    "the old version": doc({"Effect": "Allow", "Action": "*", "Resource": "*"}, version="2008-10-17"),
    "an empty condition": allow(condition={}),
}


@pytest.mark.parametrize("document", list(FORMS.values()), ids=list(FORMS))
def test_forms_of_documents(document: Any) -> None:
    assert outcome_of(identity=[document]) == ALLOWED


def test_statements_of_one_document_and_of_many_count_alike() -> None:
    first, second = allow("dynamodb:Query"), allow(GET_ITEM)
    assert outcome_of(identity=[first, second]) == outcome_of(identity=[merge(first, second)]) == ALLOWED
    assert outcome_of(identity=[merge(second, deny(GET_ITEM))]) == EXPLICIT
    assert outcome_of(identity=[deny(GET_ITEM), second]) == EXPLICIT


# -- Principals of resource policies ------------------------------------------------------------------------------

PRINCIPALS: dict[str, tuple[Any, str, str]] = {
    "everyone": ("*", USER, ALLOWED),
    "every AWS principal": ({"AWS": "*"}, USER, ALLOWED),
    "every AWS principal, as a list": ({"AWS": ["*"]}, SESSION, ALLOWED),
    "the user": (USER, USER, ALLOWED),
    "another user": (f"arn:aws:iam::{ACCOUNT}:user/bob", USER, IMPLICIT),
    "the user's name in another account": (f"arn:aws:iam::{OUTSIDE}:user/ana", USER, IMPLICIT),
    "a role of the user's name": (f"arn:aws:iam::{ACCOUNT}:role/ana", USER, IMPLICIT),
    "a user with a path": (f"arn:aws:iam::{ACCOUNT}:user/team/ana", f"arn:aws:iam::{ACCOUNT}:user/team/ana", ALLOWED),
    "among several": ([f"arn:aws:iam::{ACCOUNT}:user/bob", USER], USER, ALLOWED),
    "beside a service": ({"AWS": USER, "Service": "dynamodb.amazonaws.com"}, USER, ALLOWED),
    "the role of a session": (ROLE, SESSION, ALLOWED),
    "the role of a session, with a path": (f"arn:aws:iam::{ACCOUNT}:role/team/app", SESSION, ALLOWED),
    "another role": (f"arn:aws:iam::{ACCOUNT}:role/application", SESSION, IMPLICIT),
    "a user of the role's name": (f"arn:aws:iam::{ACCOUNT}:user/app", SESSION, IMPLICIT),
    "the session": (SESSION, SESSION, ALLOWED),
    "another session": (f"arn:aws:sts::{ACCOUNT}:assumed-role/app/other", SESSION, IMPLICIT),
    "a session of another role": (f"arn:aws:sts::{ACCOUNT}:assumed-role/other/worker", SESSION, IMPLICIT),
    "the role, asked about as a role": (ROLE, ROLE, ALLOWED),
    "one session, asked about the role": (SESSION, ROLE, CONDITIONAL),
    "a session of another role, asked about the role": (f"arn:aws:sts::{ACCOUNT}:assumed-role/other/x", ROLE, IMPLICIT),
    "the federated user": (FEDERATED_USER, FEDERATED_USER, ALLOWED),
    "another federated user": (f"arn:aws:sts::{ACCOUNT}:federated-user/guest", FEDERATED_USER, IMPLICIT),
    "the account, which only delegates": (ROOT, USER, IMPLICIT),
    "the account's number, which only delegates": (ACCOUNT, USER, IMPLICIT),
    "the account, which only delegates to sessions too": (ROOT, SESSION, IMPLICIT),
    "another account": (OUTSIDE_ROOT, USER, IMPLICIT),
    "a service": ({"Service": "dynamodb.amazonaws.com"}, USER, IMPLICIT),
    "a provider": ({"Federated": GITHUB}, USER, IMPLICIT),
    "a canonical user": (
        {"CanonicalUser": "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"},
        USER,
        IMPLICIT,
    ),
    "a wildcard in a user": (f"arn:aws:iam::{ACCOUNT}:user/*", USER, IMPLICIT),
    "a wildcard in an account": ("arn:aws:iam::*:user/ana", USER, IMPLICIT),
    "a wildcard in a role": (f"arn:aws:iam::{ACCOUNT}:role/*", SESSION, IMPLICIT),
    "a wildcard in a session": (f"arn:aws:sts::{ACCOUNT}:assumed-role/app/*", SESSION, IMPLICIT),
    "a wildcard ARN": ("arn:aws:*", USER, IMPLICIT),
    "a wildcard in an account's number": ("1111*", USER, IMPLICIT),
    "a deleted user": ("AIDACKCEVSQ6C2EXAMPLE", USER, IMPLICIT),
    "a deleted role": ("AROACKCEVSQ6C2EXAMPLE", SESSION, IMPLICIT),
}


@cases(PRINCIPALS, "listed principal expected")
def test_principals_of_a_resource_policy_in_the_same_account(listed: Any, principal: str, expected: str) -> None:
    assert outcome_of(principal=principal, resource=TABLE, resource_policy=grant(listed)) == expected


@cases(PRINCIPALS, "listed principal expected")
def test_principals_that_are_denied(listed: Any, principal: str, expected: str) -> None:
    """A Deny for an account reaches everybody in it; else Deny and Allow name the same principals."""
    reached = {ALLOWED: EXPLICIT, CONDITIONAL: CONDITIONAL, IMPLICIT: ALLOWED}[expected]
    if listed in (ROOT, ACCOUNT):
        reached = EXPLICIT
    assert outcome_of(principal=principal, identity=[FULL], resource_policy=refuse(listed)) == reached


OUTSIDERS: dict[str, tuple[Any, str, str]] = {
    "everyone": ("*", OUTSIDE_USER, ALLOWED),
    "the user": (OUTSIDE_USER, OUTSIDE_USER, ALLOWED),
    "the account": (OUTSIDE_ROOT, OUTSIDE_USER, ALLOWED),
    "the account's number": (OUTSIDE, OUTSIDE_USER, ALLOWED),
    "the account, a session": (OUTSIDE_ROOT, OUTSIDE_SESSION, ALLOWED),
    "the role of a session": (OUTSIDE_ROLE, OUTSIDE_SESSION, ALLOWED),
    "the session": (OUTSIDE_SESSION, OUTSIDE_SESSION, ALLOWED),
    "the session, asked about the role": (OUTSIDE_SESSION, OUTSIDE_ROLE, CONDITIONAL),
    "another user": (f"arn:aws:iam::{OUTSIDE}:user/yan", OUTSIDE_USER, IMPLICIT),
    "a third account": ("777788889999", OUTSIDE_USER, IMPLICIT),
    "the table's own account": (ROOT, OUTSIDE_USER, IMPLICIT),
    "the root user's account": (OUTSIDE_ROOT, OUTSIDE_ROOT, ALLOWED),
    "the root user, not named": (OUTSIDE_USER, OUTSIDE_ROOT, IMPLICIT),
}


@cases(OUTSIDERS, "listed principal expected")
def test_principals_of_another_account(listed: Any, principal: str, expected: str) -> None:
    assert outcome_of(principal=principal, identity=[FULL], resource_policy=grant(listed)) == expected


EXCEPTED: dict[str, tuple[Any, Case, str]] = {
    "user and account": ([USER, ROOT], {}, ALLOWED),
    "user and account's number": ([USER, ACCOUNT], {}, ALLOWED),
    "role and account": ([ROLE, ROOT], {"principal": SESSION}, ALLOWED),
    "session, role and account": ([SESSION, ROLE, ROOT], {"principal": SESSION}, ALLOWED),
    "somebody else": ([f"arn:aws:iam::{ACCOUNT}:user/bob"], {}, EXPLICIT),
    "somebody of another account": ([OUTSIDE_USER, OUTSIDE_ROOT], {}, EXPLICIT),
    "the user without the account": ([USER], {}, CONDITIONAL),
    "the role without the account": ([ROLE], {"principal": SESSION}, CONDITIONAL),
    "user and account, but a boundary": ([USER, ROOT], {"boundary": FULL}, EXPLICIT),
    "role and account, but a boundary": ([ROLE, ROOT], {"principal": SESSION, "boundary": FULL}, EXPLICIT),
    "an action that is not denied": ([OUTSIDE_ROOT], {"action": "dynamodb:Query"}, ALLOWED),
}


@cases(EXCEPTED, "listed case expected")
def test_deny_with_not_principal(listed: list[str], case: Case, expected: str) -> None:
    policy = deny("dynamodb:GetItem", NotPrincipal={"AWS": listed})
    assert outcome_of(**({"identity": [FULL]} | case), resource_policy=policy) == expected


def test_allow_with_not_principal_is_for_everyone_else() -> None:
    policy = allow(NotPrincipal={"AWS": f"arn:aws:iam::{ACCOUNT}:user/bob"})
    assert outcome_of(resource_policy=policy) == ALLOWED
    assert outcome_of(principal=OUTSIDE_USER, identity=[FULL], resource_policy=policy) == ALLOWED


# -- One account --------------------------------------------------------------------------------------------------

SAME_ACCOUNT: dict[str, tuple[Case, str]] = {
    "nothing": ({}, IMPLICIT),
    "identity policy": ({"identity": [FULL]}, ALLOWED),
    "another identity policy": ({"identity": [OTHER_POLICY]}, IMPLICIT),
    "identity policies of a group too": ({"identity": [OTHER_POLICY, FULL]}, ALLOWED),
    "resource policy": ({"resource_policy": grant(USER)}, ALLOWED),
    "resource policy for another action": ({"resource_policy": grant(USER, "dynamodb:Query")}, IMPLICIT),
    "resource policy for another table": ({"resource_policy": grant(USER, resource=f"{TABLES}/bills")}, IMPLICIT),
    "identity denies, resource policy allows": ({"identity": [deny()], "resource_policy": grant(USER)}, EXPLICIT),
    "identity allows, resource policy denies": ({"identity": [FULL], "resource_policy": refuse(USER)}, EXPLICIT),
    "resource policy allows and denies everyone": ({"resource_policy": merge(grant(USER), refuse("*"))}, EXPLICIT),
    "only a denial": ({"identity": [deny()]}, EXPLICIT),
    "account delegates and identity allows": ({"identity": [FULL], "resource_policy": grant(ROOT)}, ALLOWED),
    # Boundaries
    "boundary allows": ({"identity": [FULL], "boundary": FULL}, ALLOWED),
    "boundary alone grants nothing": ({"boundary": FULL}, IMPLICIT),
    "boundary is silent": ({"identity": [FULL], "boundary": OTHER_POLICY}, IMPLICIT),
    "boundary denies": ({"identity": [FULL], "boundary": merge(allow(), deny(GET_ITEM))}, EXPLICIT),
    "boundary is silent, resource policy names the user": (
        {"boundary": OTHER_POLICY, "resource_policy": grant(USER)},
        ALLOWED,
    ),
    "boundary is silent, resource policy names everyone": (
        {"boundary": OTHER_POLICY, "resource_policy": grant("*")},
        ALLOWED,
    ),
    "boundary is silent, resource policy names the account": (
        {"identity": [FULL], "boundary": OTHER_POLICY, "resource_policy": grant(ROOT)},
        IMPLICIT,
    ),
    "boundary denies, resource policy names the user": ({"boundary": deny(), "resource_policy": grant(USER)}, EXPLICIT),
    "boundary is silent, resource policy names the role": (
        {"principal": SESSION, "boundary": OTHER_POLICY, "resource_policy": grant(ROLE)},
        IMPLICIT,
    ),
    "boundary allows, resource policy names the role": (
        {"principal": SESSION, "boundary": FULL, "resource_policy": grant(ROLE)},
        ALLOWED,
    ),
    "boundary is silent, resource policy names the session": (
        {"principal": SESSION, "boundary": OTHER_POLICY, "resource_policy": grant(SESSION)},
        ALLOWED,
    ),
    # Session policies
    "session policy allows": ({"principal": SESSION, "identity": [FULL], "session": FULL}, ALLOWED),
    "session policy alone grants nothing": ({"principal": SESSION, "session": FULL}, IMPLICIT),
    "session policy is silent": ({"principal": SESSION, "identity": [FULL], "session": OTHER_POLICY}, IMPLICIT),
    "session policy denies": (
        {"principal": SESSION, "identity": [FULL], "session": merge(allow(), deny(GET_ITEM))},
        EXPLICIT,
    ),
    "session policy is silent, resource policy names the role": (
        {"principal": SESSION, "session": OTHER_POLICY, "resource_policy": grant(ROLE)},
        IMPLICIT,
    ),
    "session policy allows, resource policy names the role": (
        {"principal": SESSION, "session": FULL, "resource_policy": grant(ROLE)},
        ALLOWED,
    ),
    "session policy is silent, resource policy names the session": (
        {"principal": SESSION, "session": OTHER_POLICY, "resource_policy": grant(SESSION)},
        ALLOWED,
    ),
    "session policy is silent, resource policy names everyone": (
        {"principal": SESSION, "session": OTHER_POLICY, "resource_policy": grant("*")},
        ALLOWED,
    ),
    "session policy denies, resource policy names the session": (
        {"principal": SESSION, "session": deny(), "resource_policy": grant(SESSION)},
        EXPLICIT,
    ),
    "boundary and session policy allow": (
        {"principal": SESSION, "identity": [FULL], "boundary": FULL, "session": FULL},
        ALLOWED,
    ),
    "boundary allows, session policy is silent": (
        {"principal": SESSION, "identity": [FULL], "boundary": FULL, "session": OTHER_POLICY},
        IMPLICIT,
    ),
    "session policy allows, boundary is silent": (
        {"principal": SESSION, "identity": [FULL], "boundary": OTHER_POLICY, "session": FULL},
        IMPLICIT,
    ),
    "federated user within identity and session policy": (
        {"principal": FEDERATED_USER, "identity": [FULL], "session": FULL},
        ALLOWED,
    ),
    "federated user named by the resource policy": (
        {"principal": FEDERATED_USER, "session": OTHER_POLICY, "resource_policy": grant(FEDERATED_USER)},
        ALLOWED,
    ),
    # The root user
    "root user": ({"principal": ROOT}, ALLOWED),
    "root user, resource policy silent": ({"principal": ROOT, "resource_policy": grant(USER)}, ALLOWED),
    "root user, resource policy denies everyone": ({"principal": ROOT, "resource_policy": refuse("*")}, EXPLICIT),
    "root user, resource policy denies the account": ({"principal": ROOT, "resource_policy": refuse(ROOT)}, EXPLICIT),
    "root user, SCP silent": ({"principal": ROOT, "scps": [[OTHER_POLICY]]}, IMPLICIT),
    "root user, SCP denies": ({"principal": ROOT, "scps": [[FULL, deny()]]}, EXPLICIT),
    "root user, RCP denies": ({"principal": ROOT, "rcps": [[refuse("*")]]}, EXPLICIT),
}


@cases(SAME_ACCOUNT, "case expected")
def test_within_one_account(case: Case, expected: str) -> None:
    assert outcome_of(**case) == expected


# -- Two accounts -------------------------------------------------------------------------------------------------

TWO_ACCOUNTS: dict[str, tuple[Case, str]] = {
    "neither": ({}, IMPLICIT),
    "identity only": ({"identity": [FULL]}, IMPLICIT),
    "resource policy only": ({"resource_policy": grant(OUTSIDE_USER)}, IMPLICIT),
    "resource policy for everyone only": ({"resource_policy": grant("*")}, IMPLICIT),
    "both": ({"identity": [FULL], "resource_policy": grant(OUTSIDE_USER)}, ALLOWED),
    "identity denies": ({"identity": [FULL, deny()], "resource_policy": grant(OUTSIDE_USER)}, EXPLICIT),
    "resource policy denies": (
        {"identity": [FULL], "resource_policy": merge(grant(OUTSIDE_USER), refuse("*"))},
        EXPLICIT,
    ),
    "boundary allows": ({"identity": [FULL], "boundary": FULL, "resource_policy": grant(OUTSIDE_USER)}, ALLOWED),
    "boundary is silent": (
        {"identity": [FULL], "boundary": OTHER_POLICY, "resource_policy": grant(OUTSIDE_USER)},
        IMPLICIT,
    ),
    "boundary is silent, everyone": (
        {"identity": [FULL], "boundary": OTHER_POLICY, "resource_policy": grant("*")},
        IMPLICIT,
    ),
    "role and resource policy for the role": (
        {"principal": OUTSIDE_SESSION, "identity": [FULL], "resource_policy": grant(OUTSIDE_ROLE)},
        ALLOWED,
    ),
    "session named, but role's identity policy is silent": (
        {"principal": OUTSIDE_SESSION, "resource_policy": grant(OUTSIDE_SESSION)},
        IMPLICIT,
    ),
    "session policy is silent, session named": (
        {
            "principal": OUTSIDE_SESSION,
            "identity": [FULL],
            "session": OTHER_POLICY,
            "resource_policy": grant(OUTSIDE_SESSION),
        },
        IMPLICIT,
    ),
    "session policy allows": (
        {"principal": OUTSIDE_SESSION, "identity": [FULL], "session": FULL, "resource_policy": grant(OUTSIDE_ROOT)},
        ALLOWED,
    ),
    "root user, named": ({"principal": OUTSIDE_ROOT, "resource_policy": grant(OUTSIDE)}, ALLOWED),
    "root user, not named": ({"principal": OUTSIDE_ROOT}, IMPLICIT),
    "the principal's SCP is silent": (
        {"identity": [FULL], "resource_policy": grant("*"), "scps": [[OTHER_POLICY]]},
        IMPLICIT,
    ),
    "the resource's RCP denies": (
        {"identity": [FULL], "resource_policy": grant("*"), "rcps": [[refuse("*")]]},
        EXPLICIT,
    ),
    "the resource account says otherwise": (
        {"identity": [FULL], "resource_policy": None, "resource_account": OUTSIDE},
        ALLOWED,
    ),
    "an ARN without account": (
        {
            "action": "s3:GetObject",
            "resource": "arn:aws:s3:::bucket/key",
            "resource_account": ACCOUNT,
            "identity": [FULL],
        },
        IMPLICIT,
    ),
    "an ARN without account, both": (
        {
            "action": "s3:GetObject",
            "resource": "arn:aws:s3:::bucket/key",
            "resource_account": ACCOUNT,
            "identity": [FULL],
            "resource_policy": grant(OUTSIDE, "s3:*"),
        },
        ALLOWED,
    ),
    "an ARN without account, the same account": (
        {
            "action": "s3:GetObject",
            "resource": "arn:aws:s3:::bucket/key",
            "resource_account": OUTSIDE,
            "identity": [FULL],
        },
        ALLOWED,
    ),
}


@cases(TWO_ACCOUNTS, "case expected")
def test_between_two_accounts(case: Case, expected: str) -> None:
    assert outcome_of(**({"principal": OUTSIDE_USER} | case)) == expected


# -- Organizations ------------------------------------------------------------------------------------------------

PERIMETER = refuse("*", "*", condition=when("StringNotEqualsIfExists", ORG, "o-own"))
REGIONS = deny(
    None, "*", NotAction=["iam:*", "sts:*"], condition=when("StringNotEquals", "aws:RequestedRegion", "eu-west-1")
)
RCP_FULL = grant("*", "*")

SCPS: dict[str, tuple[Case, str]] = {
    "not enabled": ({"scps": []}, ALLOWED),
    "one level": ({"scps": [[FULL]]}, ALLOWED),
    "three levels": ({"scps": [[FULL], [FULL], [FULL]]}, ALLOWED),
    "the root is silent": ({"scps": [[OTHER_POLICY], [FULL], [FULL]]}, IMPLICIT),
    "the OU is silent": ({"scps": [[FULL], [OTHER_POLICY], [FULL]]}, IMPLICIT),
    "the account is silent": ({"scps": [[FULL], [FULL], [OTHER_POLICY]]}, IMPLICIT),
    "a level without policies": ({"scps": [[FULL], [], [FULL]]}, IMPLICIT),
    "a level with a denial only": ({"scps": [[FULL], [deny("s3:*")]]}, IMPLICIT),
    "one of two policies of a level allows": ({"scps": [[OTHER_POLICY, FULL]]}, ALLOWED),
    "a level that lists DynamoDB": ({"scps": [[allow(["dynamodb:*", "dax:*"])]]}, ALLOWED),
    "a level that lists this table": ({"scps": [[allow(resource=TABLE)]]}, ALLOWED),
    "a level that lists another table": ({"scps": [[allow(resource=f"{TABLES}/bills")]]}, IMPLICIT),
    "the root denies": ({"scps": [[FULL, deny()], [FULL]]}, EXPLICIT),
    "the account denies": ({"scps": [[FULL], [FULL, deny()]]}, EXPLICIT),
    "another action is denied": ({"scps": [[FULL, deny("dynamodb:DeleteTable")]]}, ALLOWED),
    "an own Region": ({"scps": [[FULL, REGIONS]], "context": {"aws:RequestedRegion": "eu-west-1"}}, ALLOWED),
    "another Region": ({"scps": [[FULL, REGIONS]], "context": {"aws:RequestedRegion": "us-east-1"}}, EXPLICIT),
    "an unknown Region": ({"scps": [[FULL, REGIONS]], "unknown": ["aws:RequestedRegion"]}, CONDITIONAL),
    "a level with a condition": (
        {"scps": [[allow(condition=when("Bool", MFA, "true"))]], "unknown": [MFA]},
        CONDITIONAL,
    ),
    "it grants nothing": ({"identity": [], "scps": [[FULL]]}, IMPLICIT),
    "sessions": ({"principal": SESSION, "scps": [[OTHER_POLICY]]}, IMPLICIT),
    "named by the resource policy": (
        {"identity": [], "resource_policy": grant(USER), "scps": [[OTHER_POLICY]]},
        IMPLICIT,
    ),
    "service-linked roles": ({"principal": LINKED_ROLE, "scps": [[OTHER_POLICY]]}, ALLOWED),
    "service-linked roles, denied": ({"principal": LINKED_ROLE, "scps": [[FULL, deny()]]}, ALLOWED),
    "a role that is called like one": (
        {"principal": f"arn:aws:iam::{ACCOUNT}:role/AWSServiceRoleForDAX", "scps": [[OTHER_POLICY]]},
        IMPLICIT,
    ),
}


@cases(SCPS, "case expected")
def test_service_control_policies(case: Case, expected: str) -> None:
    assert outcome_of(**({"identity": [FULL]} | case)) == expected


RCPS: dict[str, tuple[Case, str]] = {
    "not enabled": ({"rcps": []}, ALLOWED),
    "the full-access policy": ({"rcps": [[RCP_FULL], [RCP_FULL]]}, ALLOWED),
    "levels without policies": ({"rcps": [[], []]}, ALLOWED),
    "a denial that does not match": ({"rcps": [[refuse("*", "s3:*")]]}, ALLOWED),
    "a denial": ({"rcps": [[RCP_FULL, refuse("*")]]}, EXPLICIT),
    "a denial at the account": (
        {"rcps": [[RCP_FULL], [RCP_FULL], [refuse("*", TABLE)], [refuse("*", GET_ITEM, TABLE)]]},
        EXPLICIT,
    ),
    "inside the organisation": ({"rcps": [[PERIMETER]], "context": {ORG: "o-own"}}, ALLOWED),
    "outside of it": ({"rcps": [[PERIMETER]], "context": {ORG: "o-other"}}, EXPLICIT),
    "in none, with IfExists": ({"rcps": [[PERIMETER]]}, EXPLICIT),
    "unknown": ({"rcps": [[PERIMETER]], "unknown": [ORG]}, CONDITIONAL),
    "it grants nothing": ({"identity": [], "rcps": [[RCP_FULL]]}, IMPLICIT),
    "service-linked roles": ({"principal": LINKED_ROLE, "rcps": [[refuse("*")]]}, ALLOWED),
    "DAX": ({"action": "dax:GetItem", "resource": CLUSTER, "rcps": [[refuse("*", "dax:*")]]}, EXPLICIT),
    "S3": (
        {
            "action": "s3:GetObject",
            "resource": "arn:aws:s3:::b/k",
            "resource_account": ACCOUNT,
            "rcps": [[refuse("*", "*")]],
        },
        EXPLICIT,
    ),
    "a service that knows no RCP": (
        {"action": "ec2:DescribeInstances", "resource": "*", "resource_account": ACCOUNT, "rcps": [[refuse("*", "*")]]},
        ALLOWED,
    ),
    "Lambda, which knows no RCP": (
        {
            "action": "lambda:InvokeFunction",
            "resource": f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f",
            "rcps": [[refuse("*", "*")]],
        },
        ALLOWED,
    ),
}


@cases(RCPS, "case expected")
def test_resource_control_policies(case: Case, expected: str) -> None:
    assert outcome_of(**({"identity": [FULL]} | case)) == expected


# -- Endpoints, and what is blamed --------------------------------------------------------------------------------

ENDPOINTS: dict[str, tuple[Case, str]] = {
    "not through an endpoint": ({"endpoint": None}, ALLOWED),
    "the default policy": ({"endpoint": grant("*", "*")}, ALLOWED),
    "this action": ({"endpoint": grant("*", GET_ITEM)}, ALLOWED),
    "another action": ({"endpoint": grant("*", "dynamodb:Query")}, IMPLICIT),
    "another table": ({"endpoint": grant("*", resource=f"{TABLES}/bills")}, IMPLICIT),
    "a denial": ({"endpoint": merge(grant("*"), refuse("*", GET_ITEM))}, EXPLICIT),
    "it grants nothing": ({"identity": [], "endpoint": grant("*")}, IMPLICIT),
    "the principal's account": (
        {
            "endpoint": grant("*", condition=when("StringEquals", "aws:PrincipalAccount", ACCOUNT)),
            "context": {"aws:PrincipalAccount": ACCOUNT},
        },
        ALLOWED,
    ),
    "another account": (
        {
            "endpoint": grant("*", condition=when("StringEquals", "aws:PrincipalAccount", OUTSIDE)),
            "context": {"aws:PrincipalAccount": ACCOUNT},
        },
        IMPLICIT,
    ),
    "an unknown organisation": (
        {"endpoint": grant("*", condition=when("StringEquals", ORG, "o-own")), "unknown": [ORG]},
        CONDITIONAL,
    ),
    "the root user": ({"principal": ROOT, "endpoint": grant("*", "dynamodb:Query")}, IMPLICIT),
    "a session that the table names": (
        {
            "principal": SESSION,
            "identity": [],
            "resource_policy": grant(SESSION),
            "endpoint": grant("*", "dynamodb:Query"),
        },
        IMPLICIT,
    ),
}


@cases(ENDPOINTS, "case expected")
def test_endpoint_policies(case: Case, expected: str) -> None:
    assert outcome_of(**({"identity": [FULL]} | case)) == expected


BLAMED: dict[str, tuple[Case, list[str]]] = {
    "nothing, if allowed": ({"scps": [[FULL]], "boundary": FULL}, []),
    "nothing, if nothing grants": ({"identity": [], "scps": [[OTHER_POLICY]]}, []),
    "a silent SCP": ({"scps": [[OTHER_POLICY]]}, ["scp"]),
    "an SCP that denies": ({"scps": [[FULL, deny()]]}, ["scp"]),
    "an RCP": ({"rcps": [[refuse("*")]]}, ["rcp"]),
    "a silent boundary": ({"boundary": OTHER_POLICY}, ["boundary"]),
    "a boundary that denies": ({"boundary": merge(allow(), deny())}, ["boundary"]),
    "a silent session policy": ({"principal": SESSION, "session": OTHER_POLICY}, ["session"]),
    "an endpoint": ({"endpoint": grant("*", "s3:*")}, ["endpoint"]),
    "two of them": ({"scps": [[OTHER_POLICY]], "endpoint": grant("*", "s3:*")}, ["endpoint", "scp"]),
}


@cases(BLAMED, "case kinds")
def test_guardrails_that_turn_a_grant_down_are_named(case: Case, kinds: list[str]) -> None:
    full: Case = {"identity": [FULL]}
    assert sorted(judge(**(full | case)).blocked_by) == kinds


def test_the_conditions_are_told() -> None:
    text = judge(identity=[allow(condition=when("StringEquals", VPCE, "vpce-0a1b"))], unknown=[VPCE]).conditions
    assert "vpce-0a1b" in text


def test_the_trace_has_the_statements_that_match() -> None:
    rest = allow("s3:*", Sid="NotThis")
    shown = repr(judge(identity=[rest, allow(Sid="Giving")], scps=[[FULL, deny("dynamodb:*", Sid="Taking")]]).trace)
    assert "Giving" in shown
    assert "Taking" in shown
    assert "NotThis" not in shown


# -- Services, federated and anonymous callers --------------------------------------------------------------------

REPLICATE = "dynamodb:ReadDataForReplication"
SOURCED = when("StringEquals", "aws:SourceAccount", ACCOUNT) | when("ArnLike", "aws:SourceArn", TABLE)
FROM_HERE = {"aws:SourceAccount": ACCOUNT, "aws:SourceArn": TABLE}

CALLERS: dict[str, tuple[Case, str]] = {
    "a service without a policy": ({"principal": REPLICATION, "action": REPLICATE}, IMPLICIT),
    "a service with its source": (
        {
            "principal": REPLICATION,
            "action": REPLICATE,
            "context": FROM_HERE,
            "resource_policy": grant({"Service": REPLICATION}, REPLICATE, condition=SOURCED),
        },
        ALLOWED,
    ),
    "a service with another source": (
        {
            "principal": REPLICATION,
            "action": REPLICATE,
            "context": FROM_HERE | {"aws:SourceAccount": OUTSIDE},
            "resource_policy": grant({"Service": REPLICATION}, REPLICATE, condition=SOURCED),
        },
        IMPLICIT,
    ),
    "a service whose statement names no source": (
        {
            "principal": REPLICATION,
            "action": REPLICATE,
            "context": FROM_HERE,
            "resource_policy": grant({"Service": REPLICATION}, REPLICATE),
        },
        CONDITIONAL,
    ),
    "another service": (
        {
            "principal": "lambda.amazonaws.com",
            "action": REPLICATE,
            "context": FROM_HERE,
            "resource_policy": grant({"Service": REPLICATION}, REPLICATE, condition=SOURCED),
        },
        IMPLICIT,
    ),
    "a service that a resource policy denies": (
        {
            "principal": REPLICATION,
            "action": REPLICATE,
            "context": FROM_HERE,
            "resource_policy": merge(grant({"Service": REPLICATION}, REPLICATE, condition=SOURCED), refuse("*")),
        },
        EXPLICIT,
    ),
    "a service under a silent SCP": (
        {
            "principal": REPLICATION,
            "action": REPLICATE,
            "context": FROM_HERE,
            "scps": [[OTHER_POLICY]],
            "resource_policy": grant({"Service": REPLICATION}, REPLICATE, condition=SOURCED),
        },
        ALLOWED,
    ),
    "a service under an SCP that denies": (
        {
            "principal": REPLICATION,
            "action": REPLICATE,
            "context": FROM_HERE,
            "scps": [[FULL, deny()]],
            "resource_policy": grant({"Service": REPLICATION}, REPLICATE, condition=SOURCED),
        },
        ALLOWED,
    ),
    "a service under an RCP that denies": (
        {
            "principal": REPLICATION,
            "action": REPLICATE,
            "context": FROM_HERE,
            "rcps": [[refuse("*")]],
            "resource_policy": grant({"Service": REPLICATION}, REPLICATE, condition=SOURCED),
        },
        EXPLICIT,
    ),
    "nobody, DynamoDB": ({"principal": None, "resource_policy": grant("*")}, IMPLICIT),
    "nobody, DynamoDB, nothing": ({"principal": None}, IMPLICIT),
    "nobody, DAX": (
        {"principal": None, "action": "dax:GetItem", "resource": CLUSTER, "resource_policy": grant("*", "dax:*")},
        IMPLICIT,
    ),
    "nobody, KMS": (
        {"principal": None, "action": "kms:Decrypt", "resource": KEY, "resource_policy": grant("*", "kms:*")},
        IMPLICIT,
    ),
    "nobody, S3": (
        {
            "principal": None,
            "action": "s3:GetObject",
            "resource": "arn:aws:s3:::b/k",
            "resource_account": ACCOUNT,
            "resource_policy": grant("*", "s3:*"),
        },
        ALLOWED,
    ),
    "nobody, S3, an account": (
        {
            "principal": None,
            "action": "s3:GetObject",
            "resource": "arn:aws:s3:::b/k",
            "resource_account": ACCOUNT,
            "resource_policy": grant(ACCOUNT, "s3:*"),
        },
        IMPLICIT,
    ),
    "nobody, S3, under a silent SCP": (
        {
            "principal": None,
            "action": "s3:GetObject",
            "resource": "arn:aws:s3:::b/k",
            "resource_account": ACCOUNT,
            "resource_policy": grant("*", "s3:*"),
            "scps": [[deny()]],
        },
        ALLOWED,
    ),
    "nobody, S3, under an RCP": (
        {
            "principal": None,
            "action": "s3:GetObject",
            "resource": "arn:aws:s3:::b/k",
            "resource_account": ACCOUNT,
            "resource_policy": grant("*", "s3:*"),
            "rcps": [[refuse("*", "s3:*")]],
        },
        EXPLICIT,
    ),
}


@cases(CALLERS, "case expected")
def test_callers_that_are_no_iam_principals(case: Case, expected: str) -> None:
    assert outcome_of(**case) == expected


# -- KMS keys -----------------------------------------------------------------------------------------------------

DECRYPT = allow("kms:Decrypt")

KMS: dict[str, tuple[Case, str]] = {
    "identity policy alone": (
        {"identity": [DECRYPT], "resource_policy": grant(f"arn:aws:iam::{ACCOUNT}:user/bob", "kms:*")},
        IMPLICIT,
    ),
    "the account, no identity policy": ({"resource_policy": grant(ROOT, "kms:*")}, IMPLICIT),
    "the account and an identity policy": ({"identity": [DECRYPT], "resource_policy": grant(ROOT, "kms:*")}, ALLOWED),
    "the account's number and an identity policy": (
        {"identity": [DECRYPT], "resource_policy": grant(ACCOUNT, "kms:*")},
        ALLOWED,
    ),
    "the account, an identity policy, a silent boundary": (
        {"identity": [DECRYPT], "boundary": OTHER_POLICY, "resource_policy": grant(ROOT, "kms:*")},
        IMPLICIT,
    ),
    "the user": ({"resource_policy": grant(USER, "kms:Decrypt")}, ALLOWED),
    "everyone": ({"resource_policy": grant("*", "kms:Decrypt")}, ALLOWED),
    "the role": ({"principal": SESSION, "resource_policy": grant(ROLE, "kms:Decrypt")}, ALLOWED),
    "the role, a silent boundary": (
        {"principal": SESSION, "boundary": OTHER_POLICY, "resource_policy": grant(ROLE, "kms:*")},
        IMPLICIT,
    ),
    "the session, a silent session policy": (
        {"principal": SESSION, "session": OTHER_POLICY, "resource_policy": grant(SESSION, "kms:*")},
        ALLOWED,
    ),
    "key policy denies": (
        {"identity": [DECRYPT], "resource_policy": merge(grant(ROOT, "kms:*"), refuse(USER, "kms:*"))},
        EXPLICIT,
    ),
    "identity denies": ({"identity": [deny("kms:*")], "resource_policy": grant(USER, "kms:*")}, EXPLICIT),
    "the root user, not named": ({"principal": ROOT, "resource_policy": grant(USER, "kms:*")}, IMPLICIT),
    "the root user, named": ({"principal": ROOT, "resource_policy": grant(ROOT, "kms:*")}, ALLOWED),
    "another account, key policy alone": (
        {"principal": OUTSIDE_USER, "resource_policy": grant(OUTSIDE, "kms:*")},
        IMPLICIT,
    ),
    "another account, identity alone": (
        {"principal": OUTSIDE_USER, "identity": [DECRYPT], "resource_policy": grant(ROOT, "kms:*")},
        IMPLICIT,
    ),
    "another account, both": (
        {"principal": OUTSIDE_USER, "identity": [DECRYPT], "resource_policy": grant(OUTSIDE, "kms:*")},
        ALLOWED,
    ),
    "through DynamoDB": (
        {
            "identity": [DECRYPT],
            "context": {"kms:ViaService": "dynamodb.eu-west-1.amazonaws.com", "kms:CallerAccount": ACCOUNT},
            "resource_policy": grant(
                "*",
                "kms:Decrypt",
                condition={
                    "StringEquals": {"kms:ViaService": "dynamodb.eu-west-1.amazonaws.com", "kms:CallerAccount": ACCOUNT}
                },
            ),
        },
        ALLOWED,
    ),
    "through another service": (
        {
            "identity": [DECRYPT],
            "context": {"kms:ViaService": "s3.eu-west-1.amazonaws.com", "kms:CallerAccount": ACCOUNT},
            "resource_policy": grant(
                "*", "kms:Decrypt", condition=when("StringEquals", "kms:ViaService", "dynamodb.eu-west-1.amazonaws.com")
            ),
        },
        IMPLICIT,
    ),
    "an SCP is silent": ({"resource_policy": grant(USER, "kms:*"), "scps": [[OTHER_POLICY]]}, IMPLICIT),
    "an RCP denies": ({"resource_policy": grant(USER, "kms:*"), "rcps": [[refuse("*", "kms:*")]]}, EXPLICIT),
}


@cases(KMS, "case expected")
def test_key_policies(case: Case, expected: str) -> None:
    assert outcome_of(action="kms:Decrypt", resource=KEY, **case) == expected


# -- Trust policies -----------------------------------------------------------------------------------------------

ASSUME = allow("sts:AssumeRole")
WEB: Case = {"principal": GITHUB, "action": "sts:AssumeRoleWithWebIdentity"}
WEB_ACTION = "sts:AssumeRoleWithWebIdentity"
SUB = "token.actions.githubusercontent.com:sub"
BY_REPOSITORY = trust({"Federated": GITHUB}, WEB_ACTION, when("StringLike", SUB, "repo:acme/*"))

TRUST: dict[str, tuple[Case, str]] = {
    "the user": ({"resource_policy": trust(USER)}, ALLOWED),
    "the user, a boundary that is silent": ({"boundary": OTHER_POLICY, "resource_policy": trust(USER)}, ALLOWED),
    "a role": ({"principal": SESSION, "resource_policy": trust(ROLE)}, ALLOWED),
    "a role, its boundary is silent": (
        {"principal": SESSION, "boundary": OTHER_POLICY, "resource_policy": trust(ROLE)},
        IMPLICIT,
    ),
    "a session": ({"principal": SESSION, "resource_policy": trust(SESSION)}, ALLOWED),
    "everyone": ({"resource_policy": trust("*")}, ALLOWED),
    "the account, no identity policy": ({"resource_policy": trust(ROOT)}, IMPLICIT),
    "the account and an identity policy": ({"identity": [ASSUME], "resource_policy": trust(ROOT)}, ALLOWED),
    "identity policy alone": ({"identity": [FULL], "resource_policy": trust(SESSION)}, IMPLICIT),
    "identity policy for another role": (
        {"identity": [allow("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/x")], "resource_policy": trust(ROOT)},
        IMPLICIT,
    ),
    "identity denies": ({"identity": [deny("sts:*")], "resource_policy": trust(USER)}, EXPLICIT),
    "trust policy denies": (
        {"resource_policy": merge(trust(USER), doc({"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"}))},
        EXPLICIT,
    ),
    "two actions": ({"resource_policy": trust(USER, ["sts:AssumeRole", "sts:TagSession"])}, ALLOWED),
    "another action": ({"resource_policy": trust(USER, "sts:TagSession")}, IMPLICIT),
    "another account, trust alone": ({"principal": OUTSIDE_USER, "resource_policy": trust(OUTSIDE_USER)}, IMPLICIT),
    "another account, identity alone": (
        {"principal": OUTSIDE_USER, "identity": [ASSUME], "resource_policy": trust(ROOT)},
        IMPLICIT,
    ),
    "another account, both": (
        {"principal": OUTSIDE_USER, "identity": [ASSUME], "resource_policy": trust(OUTSIDE)},
        ALLOWED,
    ),
    "another account, the external id": (
        {
            "principal": OUTSIDE_USER,
            "identity": [ASSUME],
            "context": {"sts:ExternalId": "7"},
            "resource_policy": trust(OUTSIDE, condition=when("StringEquals", "sts:ExternalId", "7")),
        },
        ALLOWED,
    ),
    "another account, no external id": (
        {
            "principal": OUTSIDE_USER,
            "identity": [ASSUME],
            "resource_policy": trust(OUTSIDE, condition=when("StringEquals", "sts:ExternalId", "7")),
        },
        IMPLICIT,
    ),
    "another account, the external id is unknown": (
        {
            "principal": OUTSIDE_USER,
            "identity": [ASSUME],
            "unknown": ["sts:ExternalId"],
            "resource_policy": trust(OUTSIDE, condition=when("StringEquals", "sts:ExternalId", "7")),
        },
        CONDITIONAL,
    ),
    "a service": (
        {"principal": "lambda.amazonaws.com", "resource_policy": trust({"Service": "lambda.amazonaws.com"})},
        ALLOWED,
    ),
    "a service of several": (
        {
            "principal": "lambda.amazonaws.com",
            "resource_policy": trust({"Service": ["ec2.amazonaws.com", "lambda.amazonaws.com"]}),
        },
        ALLOWED,
    ),
    "another service": (
        {"principal": "ec2.amazonaws.com", "resource_policy": trust({"Service": "lambda.amazonaws.com"})},
        IMPLICIT,
    ),
    "a service, asked by a user": (
        {"identity": [FULL], "resource_policy": trust({"Service": "lambda.amazonaws.com"})},
        IMPLICIT,
    ),
    "an RCP denies": ({"resource_policy": trust(USER), "rcps": [[refuse("*", "sts:*")]]}, EXPLICIT),
    "an SCP is silent": ({"resource_policy": trust(USER), "scps": [[OTHER_POLICY]]}, IMPLICIT),
    "a provider of tokens": (WEB | {"resource_policy": trust({"Federated": GITHUB}, WEB_ACTION)}, ALLOWED),
    "a provider, its claim": (
        WEB | {"resource_policy": BY_REPOSITORY, "context": {SUB: "repo:acme/shop:ref:refs/heads/main"}},
        ALLOWED,
    ),
    "a provider, another claim": (
        WEB | {"resource_policy": BY_REPOSITORY, "context": {SUB: "repo:evil/shop"}},
        IMPLICIT,
    ),
    "a provider, an unknown claim": (WEB | {"resource_policy": BY_REPOSITORY, "unknown": [SUB]}, CONDITIONAL),
    "another provider": (WEB | {"resource_policy": trust({"Federated": SAML}, WEB_ACTION)}, IMPLICIT),
    "a provider, for another action": (
        WEB | {"resource_policy": trust({"Federated": GITHUB}, "sts:AssumeRole")},
        IMPLICIT,
    ),
    "a provider, under an RCP": (
        WEB
        | {
            "resource_policy": trust({"Federated": GITHUB}, WEB_ACTION),
            "rcps": [[refuse("*", "sts:AssumeRoleWithWebIdentity")]],
        },
        EXPLICIT,
    ),
    "Cognito": (WEB | {"principal": COGNITO, "resource_policy": trust({"Federated": COGNITO}, WEB_ACTION)}, ALLOWED),
    "Cognito, its pool": (
        WEB
        | {
            "principal": COGNITO,
            "context": {
                "cognito-identity.amazonaws.com:aud": "eu-west-1:1",
                "cognito-identity.amazonaws.com:amr": ["unauthenticated"],
            },
            "resource_policy": trust(
                {"Federated": COGNITO},
                WEB_ACTION,
                when("StringEquals", "cognito-identity.amazonaws.com:aud", "eu-west-1:1")
                | when("ForAnyValue:StringLike", "cognito-identity.amazonaws.com:amr", "unauthenticated"),
            ),
        },
        ALLOWED,
    ),
    "Cognito, named as a service": (
        WEB | {"principal": COGNITO, "resource_policy": trust({"Service": "lambda.amazonaws.com"}, WEB_ACTION)},
        IMPLICIT,
    ),
    "SAML": (
        {
            "principal": SAML,
            "action": "sts:AssumeRoleWithSAML",
            "resource_policy": trust({"Federated": SAML}, "sts:AssumeRoleWithSAML"),
        },
        ALLOWED,
    ),
    "SAML, another provider": (
        {
            "principal": SAML,
            "action": "sts:AssumeRoleWithSAML",
            "resource_policy": trust({"Federated": SAML + "2"}, "sts:AssumeRoleWithSAML"),
        },
        IMPLICIT,
    ),
}


@cases(TRUST, "case expected")
def test_trust_policies(case: Case, expected: str) -> None:
    target = f"arn:aws:iam::{ACCOUNT}:role/target"
    assert outcome_of(**({"action": "sts:AssumeRole", "resource": target} | case)) == expected


# -- What DynamoDB allows between accounts ------------------------------------------------------------------------

SHARED = [
    *("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan", "BatchGetItem", "BatchWriteItem"),
    *("ConditionCheckItem", "DescribeTable", "UpdateTable", "DeleteTable"),
    *("TagResource", "UntagResource", "ListTagsOfResource"),
]
SHARED_STREAM = ["DescribeStream", "GetRecords", "GetShardIterator"]
UNSHARED = [
    *("PartiQLSelect", "PartiQLInsert", "PartiQLUpdate", "PartiQLDelete"),
    *("PutResourcePolicy", "GetResourcePolicy", "DeleteResourcePolicy"),
    *("CreateBackup", "ExportTableToPointInTime", "RestoreTableToPointInTime"),
    *("UpdateContinuousBackups", "DescribeContinuousBackups", "UpdateTimeToLive", "DescribeTimeToLive"),
    *("EnableKinesisStreamingDestination", "DisableKinesisStreamingDestination"),
    *("UpdateContributorInsights", "DescribeContributorInsights"),
]


@pytest.mark.parametrize("action", SHARED + SHARED_STREAM)
def test_actions_that_another_account_may_be_granted(action: str) -> None:
    request: Case = {"action": f"dynamodb:{action}", "resource": STREAM if action in SHARED_STREAM else TABLE}
    assert outcome_of(**request, principal=OUTSIDE_USER, identity=[FULL], resource_policy=grant(OUTSIDE)) == ALLOWED
    assert outcome_of(**request, principal=OUTSIDE_USER, identity=[FULL]) == IMPLICIT
    assert outcome_of(**request, resource_policy=grant(USER)) == ALLOWED


@pytest.mark.parametrize("action", UNSHARED)
def test_actions_that_only_the_own_account_may_be_granted(action: str) -> None:
    request: Case = {"action": f"dynamodb:{action}"}
    assert outcome_of(**request, principal=OUTSIDE_USER, identity=[FULL], resource_policy=grant(OUTSIDE)) == IMPLICIT
    assert outcome_of(**request, resource_policy=grant(USER)) == ALLOWED


@pytest.mark.parametrize("action", ["dynamodb:gETiTEM", "dynamodb:PARTIQLSELECT"])
def test_service_rules_ignore_the_case_of_actions(action: str) -> None:
    expected = ALLOWED if "get" in action.lower() else IMPLICIT
    assert outcome_of(action=action, principal=OUTSIDE_USER, identity=[FULL], resource_policy=grant("*")) == expected


def test_nobody_knows_whether_vectors_may_be_searched_across_accounts() -> None:
    case: Case = {"action": "dynamodb:SearchVectors", "resource": INDEX, "identity": [FULL]}
    assert outcome_of(**case) == ALLOWED
    assert outcome_of(**case, principal=OUTSIDE_USER, resource_policy=grant(OUTSIDE)) == CONDITIONAL
    assert outcome_of(**case, principal=OUTSIDE_USER) == IMPLICIT


def test_dax_has_no_resource_policies() -> None:
    case: Case = {"action": "dax:GetItem", "resource": CLUSTER, "identity": [allow("dax:*")]}
    assert outcome_of(**case) == ALLOWED
    assert outcome_of(**case, principal=OUTSIDE_USER, resource_policy=grant("*", "dax:*")) == IMPLICIT


def test_an_explicit_denial_is_told_even_where_the_service_would_not_allow() -> None:
    case: Case = {"action": "dynamodb:PartiQLSelect", "principal": OUTSIDE_USER, "resource_policy": grant("*")}
    assert outcome_of(**case, identity=[FULL, deny()]) == EXPLICIT


# -- Refinement over unknown keys ---------------------------------------------------------------------------------


def via(endpoint: str) -> Case:
    """Return the condition that the request comes through this endpoint."""
    return when("StringEquals", VPCE, endpoint)


def not_via(endpoint: str) -> Case:
    """Return the condition that it does not."""
    return when("StringNotEquals", VPCE, endpoint)


REFINED: dict[str, tuple[Case, str]] = {
    "allowed and denied through the same endpoint": (
        {"identity": [allow(condition=via("a")), deny(condition=via("a"))]},
        "denied",
    ),
    "allowed through one, denied but through another": (
        {"identity": [allow(condition=via("a")), deny(condition=not_via("b"))]},
        "denied",
    ),
    "allowed through one, denied but through it": (
        {"identity": [allow(condition=via("a")), deny(condition=not_via("a"))]},
        CONDITIONAL,
    ),
    "allowed through one, denied through another": (
        {"identity": [allow(condition=via("a")), deny(condition=via("b"))]},
        CONDITIONAL,
    ),
    "denied but through one of two": (
        {"identity": [FULL, deny(condition=when("StringNotEquals", VPCE, ["a", "b"]))]},
        CONDITIONAL,
    ),
    "denied through it and denied but through it": (
        {"identity": [FULL, deny(condition=via("a")), deny(condition=not_via("a"))]},
        "denied",
    ),
    "allowed through it and allowed but through it": (
        {"identity": [allow(condition=via("a")), allow(condition=not_via("a"))]},
        ALLOWED,
    ),
    "allowed through one or through another": (
        {"identity": [allow(condition=via("a")), allow(condition=via("b"))]},
        CONDITIONAL,
    ),
    "allowed if there is one and if there is none": (
        {"identity": [allow(condition=when("Null", VPCE, "true")), allow(condition=when("Null", VPCE, "false"))]},
        ALLOWED,
    ),
    "identity wants one, boundary another": (
        {"identity": [allow(condition=via("a"))], "boundary": allow(condition=via("b"))},
        "denied",
    ),
    "identity and boundary want the same": (
        {"identity": [allow(condition=via("a"))], "boundary": allow(condition=via("a"))},
        CONDITIONAL,
    ),
    "identity wants one, SCP another": (
        {"identity": [allow(condition=via("a"))], "scps": [[FULL, deny(condition=not_via("b"))]]},
        "denied",
    ),
    "identity wants one, SCP none": (
        {"identity": [allow(condition=via("a"))], "scps": [[FULL, deny(condition=when("Null", VPCE, "false"))]]},
        "denied",
    ),
    "a statement wants two at once": (
        {"identity": [allow(condition=via("a") | when("StringEqualsIgnoreCase", VPCE, "b"))]},
        "denied",
    ),
    "a statement wants one and its absence": (
        {"identity": [allow(condition=via("a") | when("Null", VPCE, "true"))]},
        "denied",
    ),
    "the key is spelt in two ways": (
        {"identity": [allow(condition=via("a")), deny(condition=when("StringEquals", "AWS:sourcevpce", "a"))]},
        "denied",
    ),
    "a pattern that cannot be the value": (
        {"identity": [allow(condition=via("a") | when("StringLike", VPCE, "b*"))]},
        "denied",
    ),
    "a pattern that holds the value": (
        {"identity": [allow(condition=via("ab") | when("StringLike", VPCE, "a*"))]},
        CONDITIONAL,
    ),
    "with or without MFA": (
        {"identity": [allow(condition=when("Bool", MFA, "true")), allow(condition=when("BoolIfExists", MFA, "false"))]},
        ALLOWED,
    ),
    "an address and not the address": (
        {
            "identity": [
                allow(condition=when("IpAddress", "aws:SourceIp", "10.0.0.0/8")),
                deny(condition=when("IpAddress", "aws:SourceIp", "10.0.0.0/8")),
            ]
        },
        "denied",
    ),
    "an address or not the address": (
        {
            "identity": [
                allow(condition=when("IpAddress", "aws:SourceIp", "10.0.0.0/8")),
                allow(condition=when("NotIpAddress", "aws:SourceIp", "10.0.0.0/8")),
            ]
        },
        ALLOWED,
    ),
    "like and not like": (
        {"identity": [allow(condition=when("StringLike", ORG, "o-*")), deny(condition=when("StringLike", ORG, "o-*"))]},
        "denied",
    ),
    "a number and not the number": (
        {
            "identity": [
                allow(condition=when("NumericLessThan", "aws:MultiFactorAuthAge", "300")),
                deny(condition=when("NumericLessThan", "aws:MultiFactorAuthAge", "300")),
            ]
        },
        "denied",
    ),
    "keys that have nothing to do with each other": (
        {"identity": [allow(condition=via("a")), deny(condition=when("Bool", MFA, "false"))]},
        CONDITIONAL,
    ),
}


@cases(REFINED, "case expected")
def test_contradictions_and_tautologies(case: Case, expected: str) -> None:
    assert judge(unknown=[VPCE, MFA, ORG, "aws:SourceIp", "aws:MultiFactorAuthAge"], **case).verdict == expected


def test_many_unknown_keys_stay_conditional() -> None:
    names = [f"aws:PrincipalTag/t{number}" for number in range(40)]
    documents = [allow(condition=when("StringEquals", name, "x")) for name in names]
    assert outcome_of(identity=documents, unknown=names) == CONDITIONAL
    wanted: Case = {"StringEquals": dict.fromkeys(names, "x")}
    assert outcome_of(identity=[allow(condition=wanted)], unknown=names) == CONDITIONAL
    assert outcome_of(identity=[allow(condition=wanted)], unknown=names[1:]) == IMPLICIT


# -- Documents that cannot be read --------------------------------------------------------------------------------


def statement(**changes: Any) -> Case:
    """Return a document whose one statement has these elements changed, or removed where None."""
    elements = {"Effect": "Allow", "Action": "*", "Resource": "*", "Principal": "*"} | changes
    return doc({name: value for name, value in elements.items() if value is not None})


UNREADABLE: dict[str, Any] = {
    "no JSON": "{not json",
    "an empty text": "",
    "half a text": '{"Version": "2012-10-17", "Statement": [',
    "a list": "[]",
    "null": "null",
    "a number in a text": "42",
    "a number": 42,
    "a text in a text": '"{}"',
    "NaN": "NaN",
    "deep nesting": "[" * 100_000,
    "a statement that is a number": {"Version": "2012-10-17", "Statement": 5},
    "a statement that is a text": {"Version": "2012-10-17", "Statement": "Allow"},
    "statements that are texts": {"Version": "2012-10-17", "Statement": ["Allow"]},
    "a statement that is null": {"Version": "2012-10-17", "Statement": [None]},
    "an unknown version": {**statement(), "Version": "2020-01-01"},
    "a version of a wrong type": {**statement(), "Version": 20121017},
    "no effect": statement(Effect=None),
    "an effect in lower case": statement(Effect="allow"),
    "another effect": statement(Effect="Maybe"),
    "an effect of a wrong type": statement(Effect=["Allow"]),
    "Action and NotAction": statement(NotAction="s3:*"),
    "Resource and NotResource": statement(NotResource=TABLE),
    "neither Action nor NotAction": statement(Action=None),
    "an action that is a number": statement(Action=7),
    "an action that is an object": statement(Action={"dynamodb": "*"}),
    "actions of wrong types": statement(Action=["dynamodb:GetItem", 7]),
    "a resource that is a number": statement(Resource=7),
    "resources of wrong types": statement(Resource=[["*"]]),
    "a condition that is a list": statement(Condition=["Bool"]),
    "a condition that is a text": statement(Condition="true"),
    "an operator without keys": statement(Condition={"Bool": "true"}),
    "a value that is an object": statement(Condition={"StringEquals": {"aws:SourceVpce": {"a": "b"}}}),
}


@pytest.mark.parametrize("document", list(UNREADABLE.values()), ids=list(UNREADABLE))
def test_an_unreadable_document_leaves_the_verdict_open(document: Any) -> None:
    assert outcome_of(identity=[document]) == CONDITIONAL
    assert outcome_of(identity=[FULL, document]) == CONDITIONAL
    assert outcome_of(identity=[FULL], boundary=document) == CONDITIONAL
    assert outcome_of(principal=SESSION, identity=[FULL], session=document) == CONDITIONAL
    assert outcome_of(identity=[FULL], resource_policy=document) == CONDITIONAL
    assert outcome_of(identity=[FULL], scps=[[FULL], [document]]) == CONDITIONAL
    assert outcome_of(identity=[FULL], rcps=[[document]]) == CONDITIONAL
    assert outcome_of(identity=[FULL], endpoint=document) == CONDITIONAL


@pytest.mark.parametrize("document", list(UNREADABLE.values()), ids=list(UNREADABLE))
def test_what_else_decides_still_decides(document: Any) -> None:
    assert outcome_of(identity=[deny(), document]) == EXPLICIT
    assert outcome_of(identity=[FULL, deny()], scps=[[document]]) == EXPLICIT
    assert outcome_of(identity=[FULL, document], boundary=OTHER_POLICY) == IMPLICIT
    assert outcome_of(identity=[OTHER_POLICY], scps=[[document]]) == IMPLICIT
    assert outcome_of(identity=[OTHER_POLICY], boundary=document) == IMPLICIT
    assert outcome_of(principal=OUTSIDE_USER, resource_policy=document) == IMPLICIT
    assert outcome_of(principal=None, resource_policy=document) == IMPLICIT


@pytest.mark.parametrize("principal", [7, ["*"], {"AWS": 7}, {"AWS": [["*"]]}, {"AWS": {"a": "b"}}])
def test_a_principal_of_a_wrong_type_leaves_the_verdict_open(principal: Any) -> None:
    assert outcome_of(resource_policy=statement(Principal=principal)) == CONDITIONAL


def test_principal_and_not_principal_leave_the_verdict_open() -> None:
    assert outcome_of(resource_policy=statement(NotPrincipal={"AWS": USER})) == CONDITIONAL


def test_a_resource_policy_without_principals_never_allows() -> None:
    assert judge(resource_policy=statement(Principal=None)).verdict != ALLOWED


@pytest.mark.parametrize("document", [{}, {"Version": "2012-10-17"}, "{}"])
def test_a_document_without_statements_never_allows(document: Any) -> None:
    assert judge(identity=[document]).verdict != ALLOWED


def test_an_unreadable_statement_is_said_to_be_the_reason() -> None:
    assert judge(identity=["{"]).conditions


@pytest.mark.parametrize(
    "text",
    [
        '{"Statement": [{"Effect": "Deny", "Effect": "Allow", "Action": "*", "Resource": "*"}]}',
        '{"Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}], "Statement": []}',
    ],
)
def test_a_document_that_says_two_things_in_one_place_cannot_be_read(text: str) -> None:
    assert judge(identity=[FULL, text]).verdict == "conditional"


# -- Odd input ----------------------------------------------------------------------------------------------------


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("value", [10**5000, _nested(5000)], ids=["endless number", "deep list"])
def test_values_that_python_cannot_write_down_leave_the_verdict_open(value: Any) -> None:
    for document in (allow(value), allow(condition={"StringEquals": {"aws:userid": value}}), allow(Sid=value)):
        assert judge(identity=[document]).verdict == CONDITIONAL


@pytest.mark.parametrize(
    "value",
    [{"a": 1}, [["ana"]], b"ana", datetime(2026, 1, 1, tzinfo=UTC), 10**5000, _nested(5000)],
    ids=["mapping", "list in a list", "bytes", "datetime", "endless number", "deep list"],
)
def test_a_context_value_of_an_odd_type_is_there_and_not_known(value: Any) -> None:
    context = {"aws:userid": value}
    wanted = when("StringEquals", "aws:userid", "ana")
    assert outcome_of(identity=[allow(condition=wanted)], context=context) == CONDITIONAL
    assert outcome_of(identity=[allow(condition=when("Null", "aws:userid", "false"))], context=context) == ALLOWED


def test_a_level_that_is_not_known_does_not_deny_everything() -> None:
    assert judge(identity=[FULL], scps=[[FULL], None]).verdict == CONDITIONAL
    assert judge(identity=[FULL], scps=None, rcps=None).verdict == ALLOWED
    assert judge(identity=None).verdict == "denied"


def test_a_document_stands_for_a_list_of_one() -> None:
    assert judge(identity=FULL).verdict == ALLOWED
    assert judge(identity=[FULL], scps=[deny()]).result == EXPLICIT


def test_a_request_can_be_evaluated_again() -> None:
    request = Request(USER, GET_ITEM, TABLE, unknown_keys=(name for name in ["aws:userid"]))
    policies = Policies(identity=[allow(condition=when("StringEquals", "aws:userid", "ana"))])
    assert [evaluate(request, policies).verdict for _ in range(2)] == [CONDITIONAL, CONDITIONAL]


def test_one_unknown_key_may_be_given_as_a_text() -> None:
    wanted = when("StringEquals", "aws:userid", "ana")
    assert outcome_of(identity=[allow(condition=wanted)], unknown="aws:userid") == CONDITIONAL


def test_a_web_identity_whose_provider_has_no_value() -> None:
    decision = judge(
        principal=None,
        action="sts:AssumeRoleWithWebIdentity",
        resource=f"arn:aws:iam::{ACCOUNT}:role/target",
        context={"aws:FederatedProvider": []},
        resource_policy=trust({"Federated": GITHUB}, "sts:AssumeRoleWithWebIdentity"),
    )
    assert decision.verdict == CONDITIONAL


@pytest.mark.parametrize("policy", ["rcps", "endpoint"])
@pytest.mark.parametrize("name", ["target", "other"])
def test_guardrails_on_roles_look_at_the_role(policy: str, name: str) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/"
    refusal = merge(grant("*", "*"), refuse("*", "sts:AssumeRole", role + "target"))
    more: Case = {policy: [[refusal]] if policy == "rcps" else refusal}
    decision = judge(action="sts:AssumeRole", resource=role + name, resource_policy=trust(USER), **more)
    assert outcome(decision) == (EXPLICIT if name == "target" else ALLOWED)


def test_replication_is_confined_only_where_dynamodb_is_asked() -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/target"
    assert (
        outcome_of(
            principal=REPLICATION,
            action="sts:AssumeRole",
            resource=role,
            resource_policy=trust({"Service": REPLICATION}),
        )
        == ALLOWED
    )


@pytest.mark.parametrize("effect", [allow, deny])
def test_hundreds_of_conditions_take_no_time(effect: Any) -> None:
    documents = [
        effect(condition={"StringEquals": {f"aws:PrincipalTag/t{number}": "x", "aws:SourceVpce": f"vpce-{number}"}})
        for number in range(300)
    ]
    started = time.process_time()
    assert judge(identity=[FULL if effect is deny else allow("s3:*"), *documents], unknown=["aws:*"]).conditions
    assert time.process_time() - started < 5


def test_conditions_that_cannot_hold_are_pointed_out() -> None:
    wrong = {"StringEquals": {"dynamodb:LeadingKeys": "ana"}, "StringMatches": {"aws:userid": "ana"}}
    lints = " ".join(judge(identity=[allow(condition=wrong)]).lints)
    assert "dynamodb:leadingkeys" in lints
    assert "StringMatches" in lints
    right = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": "ana"}, "Null": {"dynamodb:LeadingKeys": "false"}}
    assert judge(identity=[allow(condition=right)]).lints == []


def test_what_is_said_to_match_nothing_matches_nothing() -> None:
    for action in ("GetItem", "dynamodb*", "dynamodb:TransactWriteItems"):
        decision = judge(identity=[allow(action)])
        assert any("matches nothing" in text for text in decision.lints) <= (decision.verdict == "denied")
    assert judge(identity=[allow("GetItem")]).lints
