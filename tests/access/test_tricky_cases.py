"""Cases of DynamoDB that are easily judged wrongly, each named by what it teaches."""

from typing import Any

import pytest

from tests.access import (
    ACCOUNT,
    ALLOWED,
    CONDITIONAL,
    EXPLICIT,
    FULL,
    IMPLICIT,
    INDEX,
    LINKED_ROLE,
    OUTSIDE,
    OUTSIDE_ROLE,
    OUTSIDE_USER,
    ROLE,
    ROOT,
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
    outcome_of,
    refuse,
    when,
)

KEYS = "dynamodb:LeadingKeys"
SUB = "cognito-identity.amazonaws.com:sub"
VPCE = "aws:SourceVpce"
MFA = "aws:MultiFactorAuthPresent"
ORG = "aws:PrincipalOrgID"

OWN_ITEMS = when("ForAllValues:StringEquals", KEYS, f"${{{SUB}}}")
ON_OWN_ITEMS = allow(condition=OWN_ITEMS)
KEYED = OWN_ITEMS | when("Null", KEYS, "false")
OWN = {SUB: "guest-7"}
BOB_ONLY = f"arn:aws:iam::{ACCOUNT}:user/bob"


def test_a_deny_on_the_table_does_not_reach_its_indexes() -> None:
    documents = [FULL, deny("dynamodb:*", TABLE)]
    assert outcome_of(action="dynamodb:Query", identity=documents) == EXPLICIT
    assert outcome_of(action="dynamodb:Query", resource=INDEX, identity=documents) == ALLOWED


def test_an_allow_on_the_table_does_not_reach_its_indexes() -> None:
    assert outcome_of(action="dynamodb:Query", resource=INDEX, identity=[allow("dynamodb:*", TABLE)]) == IMPLICIT


def test_a_pattern_of_table_names_reaches_the_streams_too() -> None:
    documents = [allow("dynamodb:*", f"{TABLES}/ord*")]
    assert outcome_of(action="dynamodb:GetRecords", resource=STREAM, identity=documents) == ALLOWED


def test_leading_keys_limit_a_read_to_own_items() -> None:
    assert outcome_of(identity=[ON_OWN_ITEMS], context=OWN, unknown=[KEYS]) == CONDITIONAL
    assert outcome_of(identity=[ON_OWN_ITEMS], context=OWN | {KEYS: ["guest-7"]}) == ALLOWED
    assert outcome_of(identity=[ON_OWN_ITEMS], context=OWN | {KEYS: ["guest-7", "guest-8"]}) == IMPLICIT
    assert outcome_of(identity=[ON_OWN_ITEMS], context={KEYS: ["guest-7"]}) == IMPLICIT


@pytest.mark.parametrize(
    "action", ["Scan", "DeleteTable", "UpdateTable", "PutResourcePolicy", "ExportTableToPointInTime"]
)
def test_leading_keys_for_all_values_do_not_limit_actions_that_carry_no_keys(action: str) -> None:
    assert outcome_of(action=f"dynamodb:{action}", identity=[ON_OWN_ITEMS], context=OWN) == ALLOWED


def test_nobody_knows_whether_leading_keys_limit_a_search_of_vectors() -> None:
    case: dict[str, Any] = {"action": "dynamodb:SearchVectors", "resource": INDEX, "context": OWN, "unknown": [KEYS]}
    assert outcome_of(identity=[ON_OWN_ITEMS], **case) == CONDITIONAL


def test_null_closes_the_gap_of_for_all_values() -> None:
    documents = [allow(condition=KEYED)]
    assert outcome_of(identity=documents, context=OWN | {KEYS: ["guest-7"]}) == ALLOWED
    assert outcome_of(identity=documents, context=OWN | {KEYS: ["guest-8"]}) == IMPLICIT
    assert outcome_of(action="dynamodb:Scan", identity=documents, context=OWN) == IMPLICIT


def test_a_table_that_denies_all_but_an_endpoint_is_a_gate() -> None:
    policy = refuse("*", condition=when("StringNotEquals", VPCE, "vpce-1"))
    decision = judge(identity=[FULL], resource_policy=policy, unknown=[VPCE])
    assert decision.verdict == CONDITIONAL
    assert "vpce-1" in decision.conditions
    assert outcome_of(identity=[FULL], resource_policy=policy) == EXPLICIT
    assert outcome_of(identity=[FULL], resource_policy=policy, context={VPCE: "vpce-1"}) == ALLOWED


def test_bool_does_not_see_access_keys_without_mfa_but_bool_if_exists_does() -> None:
    assert outcome_of(identity=[FULL, deny(condition=when("Bool", MFA, "false"))]) == ALLOWED
    assert outcome_of(identity=[FULL, deny(condition=when("BoolIfExists", MFA, "false"))]) == EXPLICIT


@pytest.mark.parametrize(
    ("principal", "named", "expected"),
    [(SESSION, ROLE, IMPLICIT), (SESSION, SESSION, ALLOWED), (USER, USER, ALLOWED), (SESSION, ROOT, IMPLICIT)],
)
def test_a_silent_boundary_stops_roles_that_a_table_names_but_not_sessions_and_users(
    principal: str, named: str, expected: str
) -> None:
    boundary = allow("s3:*")
    assert outcome_of(principal=principal, boundary=boundary, resource_policy=grant(named)) == expected


def test_not_principal_never_excepts_who_has_a_boundary() -> None:
    policy = deny(NotPrincipal={"AWS": [USER, ROOT]})
    assert outcome_of(identity=[FULL], boundary=FULL, resource_policy=policy) == EXPLICIT
    assert outcome_of(identity=[FULL], resource_policy=policy) == ALLOWED


def test_not_principal_without_the_account_might_deny() -> None:
    assert outcome_of(identity=[FULL], resource_policy=deny(NotPrincipal={"AWS": USER})) == CONDITIONAL


def test_every_level_of_scps_must_allow_but_not_for_service_linked_roles() -> None:
    levels = [[FULL], [allow("s3:*")], [FULL]]
    assert outcome_of(identity=[FULL], scps=levels) == IMPLICIT
    assert judge(identity=[FULL], scps=levels).blocked_by == ["scp"]
    assert outcome_of(principal=LINKED_ROLE, identity=[FULL], scps=levels) == ALLOWED
    assert outcome_of(identity=[FULL], scps=[]) == ALLOWED


def test_a_perimeter_of_the_organisation_stops_outsiders_whom_both_sides_allow() -> None:
    perimeter = refuse("*", "*", condition=when("StringNotEqualsIfExists", ORG, "o-own"))
    case: dict[str, Any] = {"principal": OUTSIDE_USER, "identity": [FULL], "resource_policy": grant(OUTSIDE)}
    assert outcome_of(**case, context={ORG: "o-other"}) == ALLOWED
    decision = judge(**case, context={ORG: "o-other"}, rcps=[[perimeter]])
    assert (decision.result, decision.blocked_by) == (EXPLICIT, ["rcp"])


@pytest.mark.parametrize(
    ("identity", "policy", "expected"),
    [([], grant(OUTSIDE), IMPLICIT), ([FULL], None, IMPLICIT), ([FULL], grant(OUTSIDE), ALLOWED)],
)
def test_between_accounts_both_sides_must_allow(identity: list[Any], policy: Any, expected: str) -> None:
    assert outcome_of(principal=OUTSIDE_USER, identity=identity, resource_policy=policy) == expected


@pytest.mark.parametrize("action", ["PartiQLSelect", "PutResourcePolicy"])
def test_the_service_allows_some_actions_in_the_own_account_only(action: str) -> None:
    case: dict[str, Any] = {"action": f"dynamodb:{action}", "identity": [FULL]}
    assert outcome_of(**case, principal=OUTSIDE_USER, resource_policy=grant(OUTSIDE)) == IMPLICIT
    assert outcome_of(**case) == ALLOWED


def test_a_table_that_names_its_own_account_grants_nothing_by_that() -> None:
    assert outcome_of(resource_policy=grant(ROOT)) == IMPLICIT


def test_dynamodb_answers_no_unsigned_request_even_if_everyone_is_named() -> None:
    assert outcome_of(principal=None, resource_policy=grant("*")) == IMPLICIT
    assert outcome_of(principal=OUTSIDE_USER, identity=[FULL], resource_policy=grant("*")) == ALLOWED


@pytest.mark.parametrize(
    ("condition", "context"),
    [
        (when("StringEqualsIfExists", ORG, "o-own"), {}),
        (when("StringEquals", "aws:ResourceAccount", ACCOUNT), {"aws:ResourceAccount": ACCOUNT}),
        (
            when("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:role/admin"),
            {"aws:PrincipalArn": f"arn:aws:iam::{OUTSIDE}:role/admin"},
        ),
    ],
    ids=["an organisation, if there is one", "the table's own account", "a role's name in any account"],
)
def test_conditions_that_look_restrictive_and_leave_a_table_public(condition: Any, context: dict[str, str]) -> None:
    case: dict[str, Any] = {"principal": OUTSIDE_ROLE, "identity": [FULL]}
    assert outcome_of(**case, context=context, resource_policy=grant("*", condition=condition)) == ALLOWED


@pytest.mark.parametrize(
    ("condition", "context"),
    [
        (when("StringEquals", ORG, "o-own"), {}),
        (when("StringEquals", ORG, "o-own"), {ORG: "o-other"}),
        (when("StringEqualsIfExists", ORG, "o-own"), {ORG: "o-other"}),
        (when("StringEquals", "aws:PrincipalAccount", ACCOUNT), {"aws:PrincipalAccount": OUTSIDE}),
        (
            when("ArnLike", "aws:PrincipalArn", f"arn:aws:iam::{ACCOUNT}:role/*"),
            {"aws:PrincipalArn": f"arn:aws:iam::{OUTSIDE}:role/admin"},
        ),
    ],
)
def test_conditions_that_keep_outsiders_out(condition: Any, context: dict[str, str]) -> None:
    case: dict[str, Any] = {"principal": OUTSIDE_ROLE, "identity": [FULL]}
    assert outcome_of(**case, context=context, resource_policy=grant("*", condition=condition)) == IMPLICIT


def test_not_action_allows_everything_else() -> None:
    assert outcome_of(action="dynamodb:DeleteTable", identity=[allow(None, NotAction="iam:*")]) == ALLOWED


def test_not_resource_denies_everything_else() -> None:
    documents = [FULL, deny(resource=None, NotResource=f"{TABLES}/public-*")]
    assert outcome_of(identity=documents) == EXPLICIT
    assert outcome_of(identity=documents, resource=f"{TABLES}/public-prices") == ALLOWED


def test_a_principal_without_the_tag_is_denied_by_a_comparison_that_is_negated() -> None:
    mismatch = when("StringNotEquals", "aws:ResourceTag/team", "${aws:PrincipalTag/team}")
    documents = [FULL, deny(condition=mismatch)]
    assert outcome_of(identity=documents, context={"aws:ResourceTag/team": "red"}) == EXPLICIT
    assert (
        outcome_of(identity=documents, context={"aws:ResourceTag/team": "red", "aws:PrincipalTag/team": "red"})
        == ALLOWED
    )


def test_old_documents_know_no_variables() -> None:
    statement = {"Effect": "Allow", "Action": "dynamodb:*", "Resource": f"{TABLES}/${{aws:username}}"}
    case: dict[str, Any] = {"resource": f"{TABLES}/ana", "context": {"aws:username": "ana"}}
    assert outcome_of(identity=[doc(statement)], **case) == ALLOWED
    assert outcome_of(identity=[doc(statement, version="2008-10-17")], **case) == IMPLICIT


def test_a_deny_of_get_item_leaves_the_batch_open() -> None:
    documents = [FULL, deny("dynamodb:GetItem")]
    assert outcome_of(identity=documents) == EXPLICIT
    assert outcome_of(action="dynamodb:BatchGetItem", identity=documents) == ALLOWED


@pytest.mark.parametrize(
    "dead", ["TransactWriteItems", "TransactGetItems", "ExecuteStatement", "BatchExecuteStatement"]
)
def test_a_deny_of_a_transaction_denies_nothing_since_it_is_no_action(dead: str) -> None:
    documents = [FULL, deny(f"dynamodb:{dead}")]
    transaction = {"dynamodb:EnclosingOperation": "TransactWriteItems"}
    assert outcome_of(action="dynamodb:PutItem", identity=documents, context=transaction) == ALLOWED
    assert outcome_of(action="dynamodb:PartiQLSelect", identity=documents) == ALLOWED


def test_transactions_are_denied_by_their_key() -> None:
    documents = [FULL, deny(condition=when("StringEquals", "dynamodb:EnclosingOperation", "TransactWriteItems"))]
    transaction = {"dynamodb:EnclosingOperation": "TransactWriteItems"}
    assert outcome_of(action="dynamodb:PutItem", identity=documents, context=transaction) == EXPLICIT
    assert outcome_of(action="dynamodb:PutItem", identity=documents) == ALLOWED


@pytest.mark.parametrize("action", ["GetRecords", "GetShardIterator"])
def test_get_with_a_star_reads_streams(action: str) -> None:
    assert outcome_of(action=f"dynamodb:{action}", resource=STREAM, identity=[allow("dynamodb:Get*")]) == ALLOWED


def test_a_deleted_principal_in_a_table_policy_is_nobody() -> None:
    assert outcome_of(resource_policy=grant("AIDACKCEVSQ6C2EXAMPLE")) == IMPLICIT


def test_a_session_that_a_table_names_needs_no_session_policy() -> None:
    case: dict[str, Any] = {"principal": SESSION, "session": allow("s3:*")}
    assert outcome_of(**case, resource_policy=grant(SESSION)) == ALLOWED
    assert outcome_of(**case, resource_policy=grant(ROLE)) == IMPLICIT


def test_the_root_user_needs_no_policy() -> None:
    assert outcome_of(principal=ROOT) == ALLOWED
    assert outcome_of(principal=ROOT, scps=[[FULL, deny()]]) == EXPLICIT


def test_for_any_value_needs_a_value() -> None:
    documents = [allow(condition=when("ForAnyValue:StringEquals", KEYS, "guest-7"))]
    assert outcome_of(action="dynamodb:Scan", identity=documents) == IMPLICIT


def test_for_any_value_opens_a_batch_with_one_own_key() -> None:
    documents = [allow(condition=when("ForAnyValue:StringEquals", KEYS, "guest-7"))]
    batch = {KEYS: ["guest-7", "guest-8"]}
    assert outcome_of(action="dynamodb:BatchGetItem", identity=documents, context=batch) == ALLOWED


def test_leading_keys_without_a_set_operator_match_nothing() -> None:
    documents = [allow(condition=when("StringEquals", KEYS, "guest-7"))]
    assert outcome_of(identity=documents, context={KEYS: ["guest-7"]}) == IMPLICIT


@pytest.mark.parametrize("named", [BOB_ONLY, OUTSIDE, {"Service": "dynamodb.amazonaws.com"}])
def test_a_table_policy_that_names_others_takes_nothing_from_the_own_account(named: Any) -> None:
    assert outcome_of(identity=[FULL], resource_policy=grant(named)) == ALLOWED
