"""Condition operators, set operators and policy variables: what each makes of a key that is known, absent or unknown.

Every case is judged twice. Under Allow a condition that holds allows and one that fails does not; under Deny it is the
other way round. A condition that cannot be decided is conditional in both.
"""

from typing import Any

import pytest

from tests.access import (
    ALLOWED,
    CONDITIONAL,
    EXPLICIT,
    FULL,
    IMPLICIT,
    TABLE,
    TABLES,
    allow,
    deny,
    doc,
    outcome_of,
    when,
)

TRUE, FALSE, UNDECIDED = "true", "false", "undecided"
UNDER_ALLOW = {TRUE: ALLOWED, FALSE: IMPLICIT, UNDECIDED: CONDITIONAL}
UNDER_DENY = {TRUE: EXPLICIT, FALSE: ALLOWED, UNDECIDED: CONDITIONAL}

ABSENT = object()
UNKNOWN = object()

TEAM = "aws:PrincipalTag/team"
AGE = "aws:MultiFactorAuthAge"
TIME = "aws:CurrentTime"
MFA = "aws:MultiFactorAuthPresent"
IP = "aws:SourceIp"
ARN = "aws:PrincipalArn"
BLOB = "example:Blob"
KEYS = "dynamodb:LeadingKeys"
APP = "arn:aws:iam::111122223333:role/app"
TAGGED_ROLE = "arn:aws:iam::111122223333:role/${aws:PrincipalTag/team}"


def check(condition: dict[str, Any], context: dict[str, Any], unknown: list[str], truth: str) -> None:
    """Judge one condition under Allow and under Deny."""
    given = {"context": context, "unknown": unknown}
    assert outcome_of(identity=[allow(condition=condition)], **given) == UNDER_ALLOW[truth]
    assert outcome_of(identity=[FULL, deny(condition=condition)], **given) == UNDER_DENY[truth]


def check_key(operator: str, key: str, values: Any, given: Any, truth: str) -> None:
    """Judge one operator on one key that is given, ABSENT or UNKNOWN."""
    context = {} if given is ABSENT or given is UNKNOWN else {key: given}
    check(when(operator, key, values), context, [key] if given is UNKNOWN else [], truth)


def case_id(value: Any) -> str:
    """Name the parts of a case in the list of tests."""
    return "absent" if value is ABSENT else "unknown" if value is UNKNOWN else str(value)


# Each operator with a value that it accepts, one that it does not, and whether it is a negated one.
OPERATORS = [
    ("StringEquals", TEAM, "red", "red", "blue"),
    ("StringNotEquals", TEAM, "red", "blue", "red"),
    ("StringEqualsIgnoreCase", TEAM, "red", "RED", "blue"),
    ("StringNotEqualsIgnoreCase", TEAM, "red", "blue", "Red"),
    ("StringLike", TEAM, "r*", "red", "blue"),
    ("StringNotLike", TEAM, "r*", "blue", "red"),
    ("NumericEquals", AGE, "300", "300", "301"),
    ("NumericNotEquals", AGE, "300", "301", "300"),
    ("NumericLessThan", AGE, "300", "299", "300"),
    ("NumericLessThanEquals", AGE, "300", "300", "301"),
    ("NumericGreaterThan", AGE, "300", "301", "300"),
    ("NumericGreaterThanEquals", AGE, "300", "300", "299"),
    ("DateEquals", TIME, "2024-05-01T00:00:00Z", "2024-05-01T00:00:00Z", "2024-05-01T00:00:01Z"),
    ("DateNotEquals", TIME, "2024-05-01T00:00:00Z", "2024-05-02T00:00:00Z", "2024-05-01T00:00:00Z"),
    ("DateLessThan", TIME, "2024-05-01T00:00:00Z", "2024-04-30T23:59:59Z", "2024-05-01T00:00:00Z"),
    ("DateLessThanEquals", TIME, "2024-05-01T00:00:00Z", "2024-05-01T00:00:00Z", "2024-05-01T00:00:01Z"),
    ("DateGreaterThan", TIME, "2024-05-01T00:00:00Z", "2024-05-01T00:00:01Z", "2024-05-01T00:00:00Z"),
    ("DateGreaterThanEquals", TIME, "2024-05-01T00:00:00Z", "2024-05-01T00:00:00Z", "2024-04-30T00:00:00Z"),
    ("Bool", MFA, "true", "true", "false"),
    ("BinaryEquals", BLOB, "QmluYXJ5", "QmluYXJ5", "T3RoZXI="),
    ("IpAddress", IP, "203.0.113.0/24", "203.0.113.9", "203.0.114.9"),
    ("NotIpAddress", IP, "203.0.113.0/24", "203.0.114.9", "203.0.113.9"),
    ("ArnEquals", ARN, APP, APP, APP + "s"),
    ("ArnNotEquals", ARN, APP, APP + "s", APP),
    ("ArnLike", ARN, "arn:aws:iam::*:role/app", APP, APP + "s"),
    ("ArnNotLike", ARN, "arn:aws:iam::*:role/app", APP + "s", APP),
]
NEGATED = {row[0] for row in OPERATORS if "Not" in row[0]}


@pytest.mark.parametrize(("operator", "key", "value", "good", "bad"), OPERATORS, ids=[row[0] for row in OPERATORS])
@pytest.mark.parametrize("suffix", ["", "IfExists"])
def test_every_operator_in_every_state_of_its_key(
    operator: str, key: str, value: str, good: str, bad: str, suffix: str
) -> None:
    name = operator + suffix
    check_key(name, key, value, good, TRUE)
    check_key(name, key, [value], good, TRUE)
    check_key(name, key, value, bad, FALSE)
    check_key(name, key, value, UNKNOWN, UNDECIDED)
    check_key(name, key, value, ABSENT, TRUE if suffix or operator in NEGATED else FALSE)


@pytest.mark.parametrize(("operator", "key", "value", "good", "bad"), OPERATORS, ids=[row[0] for row in OPERATORS])
def test_every_operator_under_for_all_values(operator: str, key: str, value: str, good: str, bad: str) -> None:
    name = f"ForAllValues:{operator}"
    check_key(name, key, value, [good], TRUE)
    check_key(name, key, value, [good, good], TRUE)
    check_key(name, key, value, [good, bad], FALSE)
    check_key(name, key, value, ABSENT, TRUE)
    check_key(name, key, value, UNKNOWN, UNDECIDED)


@pytest.mark.parametrize(("operator", "key", "value", "good", "bad"), OPERATORS, ids=[row[0] for row in OPERATORS])
def test_every_operator_under_for_any_value(operator: str, key: str, value: str, good: str, bad: str) -> None:
    name = f"ForAnyValue:{operator}"
    check_key(name, key, value, [good, bad], TRUE)
    check_key(name, key, value, [bad], FALSE)
    check_key(name, key, value, ABSENT, FALSE)
    check_key(name, key, value, UNKNOWN, UNDECIDED)


@pytest.mark.parametrize(("operator", "key", "value", "good", "bad"), OPERATORS, ids=[row[0] for row in OPERATORS])
def test_an_empty_list_of_policy_values_matches_no_value(
    operator: str, key: str, value: str, good: str, bad: str
) -> None:
    del value
    for given in (good, bad):
        check_key(operator, key, [], given, TRUE if operator in NEGATED else FALSE)


VALUES = [
    # Strings: case counts, wildcards work under Like only, the whole value has to match.
    ("StringEquals", TEAM, "red", "Red", FALSE),
    ("StringEquals", TEAM, ["red", "blue"], "blue", TRUE),
    ("StringEquals", TEAM, "r*", "red", FALSE),
    ("StringEquals", TEAM, "r*", "r*", TRUE),
    ("StringEquals", TEAM, "red", "reddish", FALSE),
    ("StringEquals", TEAM, "red", "red ", FALSE),
    ("StringEquals", "aws:PrincipalAccount", 111122223333, "111122223333", TRUE),
    ("StringNotEquals", TEAM, ["red", "blue"], "blue", FALSE),
    ("StringNotEquals", TEAM, ["red", "blue"], "green", TRUE),
    ("StringNotEquals", TEAM, "red", "Red", TRUE),
    ("StringNotEquals", TEAM, "r*", "red", TRUE),
    ("StringEqualsIgnoreCase", TEAM, "ReD", "rEd", TRUE),
    ("StringEqualsIgnoreCase", TEAM, "r*", "red", FALSE),
    ("StringLike", TEAM, "*", "red", TRUE),
    ("StringLike", TEAM, "*", ABSENT, FALSE),
    ("StringLike", TEAM, "*", UNKNOWN, UNDECIDED),
    ("StringLike", TEAM, "R*", "red", FALSE),
    ("StringLike", TEAM, "r?d", "red", TRUE),
    ("StringLike", TEAM, "r?d", "rd", FALSE),
    ("StringLike", TEAM, "r?d", "reed", FALSE),
    ("StringLike", TEAM, "*d", "red", TRUE),
    ("StringLike", TEAM, "*e*", "red", TRUE),
    ("StringLike", TEAM, "r*d*", "read-only", TRUE),
    ("StringLike", TEAM, "r.d", "red", FALSE),
    ("StringLike", TEAM, "[r]ed", "red", FALSE),
    ("StringLike", TEAM, "red|blue", "red", FALSE),
    ("StringLike", TEAM, "a*b", "a\nb", TRUE),
    ("StringLike", TEAM, "red", "red\n", FALSE),
    ("StringLike", ARN, "arn:*:role/app", APP, TRUE),
    ("StringLike", TEAM, ["b*", "r*"], "red", TRUE),
    ("StringNotLike", TEAM, ["b*", "r*"], "red", FALSE),
    ("StringNotLike", TEAM, ["b*", "g*"], "red", TRUE),
    ("StringNotLike", TEAM, "*", ABSENT, TRUE),
    # Numbers: compared as numbers; what is no number matches nothing.
    ("NumericEquals", AGE, "10", "10.0", TRUE),
    ("NumericEquals", AGE, 10, "10", TRUE),
    ("NumericEquals", AGE, ["9", "10"], "10", TRUE),
    ("NumericEquals", AGE, "-1", "-1", TRUE),
    ("NumericLessThan", AGE, "9", "10", FALSE),
    ("NumericLessThan", AGE, "10", "9", TRUE),
    ("NumericLessThan", AGE, "10", "-11", TRUE),
    ("NumericLessThan", AGE, "0.5", "0.25", TRUE),
    ("NumericNotEquals", AGE, ["9", "10"], "10", FALSE),
    ("NumericNotEquals", AGE, ["9", "10"], "11", TRUE),
    ("NumericEquals", AGE, "ten", "10", FALSE),
    ("NumericEquals", AGE, "10", "ten", FALSE),
    ("NumericEquals", AGE, "", "0", FALSE),
    ("NumericLessThan", AGE, "10", "", FALSE),
    ("NumericGreaterThan", AGE, "10", "Infinity", FALSE),
    ("NumericLessThan", AGE, "10", "nan", FALSE),
    ("NumericEquals", AGE, "1000", "1_000", FALSE),
    ("NumericGreaterThanEquals", AGE, "3600", "9007199254740993", TRUE),
    ("NumericEquals", AGE, "9007199254740992", "9007199254740993", FALSE),
    # Dates: ISO 8601 or seconds since 1970, of any offset.
    ("DateEquals", TIME, "2024-01-01T00:00:00Z", "2024-01-01T01:00:00+01:00", TRUE),
    ("DateEquals", TIME, "1704067200", "2024-01-01T00:00:00Z", TRUE),
    ("DateEquals", TIME, 1704067200, "2024-01-01T00:00:00Z", TRUE),
    ("DateLessThan", "aws:EpochTime", "2024-01-01T00:00:00Z", "1704067199", TRUE),
    ("DateEquals", TIME, "2024-01-01", "2024-01-01T00:00:00Z", TRUE),
    ("DateGreaterThan", TIME, "2024-01-01T00:00:00Z", "2024-01-01T00:00:00.500Z", TRUE),
    ("DateLessThan", TIME, "soon", "2024-01-01T00:00:00Z", FALSE),
    ("DateLessThan", TIME, "2024-01-01T00:00:00Z", "soon", FALSE),
    ("DateGreaterThan", TIME, "2024-13-45T00:00:00Z", "2024-01-01T00:00:00Z", FALSE),
    ("DateEquals", TIME, ["2023-01-01T00:00:00Z", "2024-01-01T00:00:00Z"], "2024-01-01T00:00:00Z", TRUE),
    # Booleans: case does not count.
    ("Bool", MFA, True, "true", TRUE),
    ("Bool", MFA, "TRUE", "true", TRUE),
    ("Bool", MFA, "false", "False", TRUE),
    ("Bool", MFA, False, "true", FALSE),
    ("Bool", MFA, ["true", "false"], "false", TRUE),
    ("Bool", MFA, "false", ABSENT, FALSE),
    ("BoolIfExists", MFA, "false", ABSENT, TRUE),
    # Addresses: IPv4 and IPv6 never match one another.
    ("IpAddress", IP, "203.0.113.9", "203.0.113.9", TRUE),
    ("IpAddress", IP, "203.0.113.9", "203.0.113.10", FALSE),
    ("IpAddress", IP, "203.0.113.9/32", "203.0.113.9", TRUE),
    ("IpAddress", IP, "203.0.113.0/25", "203.0.113.128", FALSE),
    ("IpAddress", IP, "203.0.113.77/24", "203.0.113.9", TRUE),
    ("IpAddress", IP, "0.0.0.0/0", "198.51.100.1", TRUE),
    ("IpAddress", IP, "0.0.0.0/0", "2001:db8::1", FALSE),
    ("IpAddress", IP, "::/0", "2001:db8::1", TRUE),
    ("IpAddress", IP, "::/0", "198.51.100.1", FALSE),
    ("IpAddress", IP, "2001:db8::/32", "2001:0DB8:0:0::7", TRUE),
    ("IpAddress", IP, "2001:db8::/32", "2001:db9::1", FALSE),
    ("IpAddress", IP, ["10.0.0.0/8", "2001:db8::/32"], "10.1.2.3", TRUE),
    ("IpAddress", IP, "300.0.0.0/8", "10.1.2.3", FALSE),
    ("IpAddress", IP, "10.0.0.0/33", "10.1.2.3", FALSE),
    ("IpAddress", IP, "10.0.0.0/8", "dynamodb.amazonaws.com", FALSE),
    ("NotIpAddress", IP, ["10.0.0.0/8", "192.0.2.0/24"], "192.0.2.1", FALSE),
    ("NotIpAddress", IP, ["10.0.0.0/8", "192.0.2.0/24"], "198.51.100.1", TRUE),
    ("NotIpAddress", IP, "10.0.0.0/8", "2001:db8::1", TRUE),
    # ARNs: segment by segment, wildcards in all four operators, case counts in the last segment.
    ("ArnEquals", ARN, "arn:aws:iam::*:role/*", APP, TRUE),
    ("ArnNotEquals", ARN, "arn:aws:iam::*:role/*", APP, FALSE),
    ("ArnLike", ARN, "arn:aws:iam::111122223333:role/*", "arn:aws:iam::111122223333:role/team/app", TRUE),
    ("ArnLike", ARN, "arn:aws:iam::111122223333:role/*/app", "arn:aws:iam::111122223333:role/a/b/app", TRUE),
    ("ArnLike", ARN, "arn:*:role/app", APP, FALSE),
    ("ArnLike", ARN, "arn:aws:iam::11112222333?:role/app", APP, TRUE),
    ("ArnLike", ARN, "arn:aws:iam::111122223333:role/App", APP, FALSE),
    ("ArnLike", ARN, "arn:aws:iam::111122223333:user/app", APP, FALSE),
    ("ArnLike", ARN, ["arn:aws:iam::*:user/*", "arn:aws:iam::*:role/*"], APP, TRUE),
    ("ArnNotLike", ARN, ["arn:aws:iam::*:user/*", "arn:aws:iam::*:role/*"], APP, FALSE),
    ("ArnLike", "aws:SourceArn", "arn:aws:sns:*:*:a*", "arn:aws:sns:eu-west-1:111122223333:a:b", TRUE),
    ("ArnLike", ARN, "arn:aws:iam::*:role/app", "app", FALSE),
    # Binary values compare exactly.
    ("BinaryEquals", BLOB, "QmluYXJ5", "qmluyxj5", FALSE),
    ("BinaryEquals", BLOB, ["T3RoZXI=", "QmluYXJ5"], "QmluYXJ5", TRUE),
    # Null asks whether the key is there.
    ("Null", TEAM, "true", "red", FALSE),
    ("Null", TEAM, "true", ABSENT, TRUE),
    ("Null", TEAM, "true", UNKNOWN, UNDECIDED),
    ("Null", TEAM, "false", "red", TRUE),
    ("Null", TEAM, "false", ABSENT, FALSE),
    ("Null", TEAM, "false", UNKNOWN, UNDECIDED),
    ("Null", TEAM, True, ABSENT, TRUE),
    ("Null", TEAM, False, ABSENT, FALSE),
    ("Null", TEAM, ["true"], ABSENT, TRUE),
    ("Null", KEYS, "false", ["a", "b"], TRUE),
    ("Null", KEYS, "true", [], TRUE),
    ("Null", KEYS, "false", [], FALSE),
    # Lists.
    ("ForAllValues:StringEquals", KEYS, ["a", "b"], ["b", "a"], TRUE),
    ("ForAllValues:StringEquals", KEYS, ["a", "b"], ["b"], TRUE),
    ("ForAllValues:StringEquals", KEYS, ["a", "b"], ["b", "c"], FALSE),
    ("ForAllValues:StringEquals", KEYS, ["a"], [], TRUE),
    ("ForAllValues:StringEquals", KEYS, [], ["a"], FALSE),
    ("ForAllValues:StringEquals", KEYS, [], ABSENT, TRUE),
    ("ForAllValues:StringEquals", KEYS, "a", "a", TRUE),
    ("ForAllValues:StringLike", KEYS, "user-*", ["user-1", "user-2"], TRUE),
    ("ForAllValues:StringLike", KEYS, "user-*", ["user-1", "admin"], FALSE),
    ("ForAllValues:StringLike", KEYS, "*", UNKNOWN, TRUE),
    ("ForAllValues:StringNotEquals", KEYS, ["x", "y"], ["a", "b"], TRUE),
    ("ForAllValues:StringNotEquals", KEYS, ["x", "y"], ["a", "y"], FALSE),
    ("ForAllValues:StringEqualsIfExists", KEYS, "a", ABSENT, TRUE),
    ("ForAllValues:StringEqualsIfExists", KEYS, "a", ["b"], FALSE),
    ("ForAnyValue:StringEquals", KEYS, ["a", "b"], ["c", "b"], TRUE),
    ("ForAnyValue:StringEquals", KEYS, ["a", "b"], ["c"], FALSE),
    ("ForAnyValue:StringEquals", KEYS, ["a"], [], FALSE),
    ("ForAnyValue:StringEquals", KEYS, "a", "a", TRUE),
    ("ForAnyValue:StringNotEquals", KEYS, ["x", "y"], ["x", "a"], TRUE),
    ("ForAnyValue:StringNotEquals", KEYS, ["x", "y"], ["x", "y"], FALSE),
    ("ForAnyValue:StringNotEquals", KEYS, ["x"], ABSENT, FALSE),
    ("ForAnyValue:StringLike", "aws:PrincipalOrgPaths", "o-1/r-1/*", ["o-1/r-1/ou-1/"], TRUE),
    ("ForAnyValue:StringLike", "aws:PrincipalOrgPaths", "o-1/r-1/*", ["o-2/r-1/ou-1/"], FALSE),
    ("ForAnyValue:StringEqualsIfExists", KEYS, "a", ["a"], TRUE),
    ("ForAnyValue:StringEqualsIfExists", KEYS, "a", ["b"], FALSE),
    ("ForAnyValue:StringEqualsIfExists", KEYS, "a", ABSENT, UNDECIDED),
    # A list under an operator for single values matches nothing, be it of one value only where the key is a list key.
    ("StringEquals", KEYS, "a", ["a"], FALSE),
    ("StringEquals", KEYS, "a", ["a", "b"], FALSE),
    ("StringEquals", KEYS, "a", "a", FALSE),
    ("StringLike", "dynamodb:Attributes", "*", ["id"], FALSE),
    ("StringNotEquals", KEYS, "x", ["a"], FALSE),
    ("StringEquals", "aws:TagKeys", "team", ["team"], FALSE),
    ("StringLike", "aws:PrincipalOrgPaths", "o-1/*", ["o-1/r-1/"], FALSE),
    ("StringEquals", TEAM, "red", ["red", "blue"], FALSE),
    ("StringNotEquals", TEAM, "green", ["red", "blue"], FALSE),
    ("StringEquals", TEAM, "red", ["red"], TRUE),
    ("StringEquals", TEAM, "red", [], FALSE),
    ("StringNotEquals", TEAM, "red", [], TRUE),
    ("StringEqualsIfExists", TEAM, "red", [], TRUE),
    # Operators that AWS does not know.
    ("StringSortOfLike", TEAM, "red", "red", UNDECIDED),
    ("StringSortOfLike", TEAM, "red", ABSENT, UNDECIDED),
    ("NullIfExists", TEAM, "true", "red", UNDECIDED),
    ("ForMostValues:StringEquals", KEYS, "a", ["a"], UNDECIDED),
]


@pytest.mark.parametrize(("operator", "key", "values", "given", "truth"), VALUES, ids=case_id)
def test_values(operator: str, key: str, values: Any, given: Any, truth: str) -> None:
    check_key(operator, key, values, given, truth)


COMBINED: dict[str, tuple[dict[str, Any], dict[str, Any], list[str], str]] = {
    "no condition": ({}, {}, [], TRUE),
    "an operator without keys": ({"StringEquals": {}}, {}, [], TRUE),
    "two keys: both": ({"StringEquals": {TEAM: "red", MFA: "true"}}, {TEAM: "red", MFA: "true"}, [], TRUE),
    "two keys: one": ({"StringEquals": {TEAM: "red", MFA: "true"}}, {TEAM: "red", MFA: "false"}, [], FALSE),
    "two operators: both": (
        when("StringEquals", TEAM, "red") | when("Bool", MFA, "true"),
        {TEAM: "red", MFA: "true"},
        [],
        TRUE,
    ),
    "two operators: one": (when("StringEquals", TEAM, "red") | when("Bool", MFA, "true"), {TEAM: "red"}, [], FALSE),
    "true and undecided": (
        when("StringEquals", TEAM, "red") | when("Bool", MFA, "true"),
        {TEAM: "red"},
        [MFA],
        UNDECIDED,
    ),
    "false and undecided": (
        when("StringEquals", TEAM, "red") | when("Bool", MFA, "true"),
        {TEAM: "blue"},
        [MFA],
        FALSE,
    ),
    "undecided and undecided": (
        when("StringEquals", TEAM, "red") | when("Bool", MFA, "true"),
        {},
        [MFA, TEAM],
        UNDECIDED,
    ),
    "false and an unheard-of operator": (when("StringEquals", TEAM, "red") | when("Odd", MFA, "true"), {}, [], FALSE),
    "the name of a key in another case": (
        when("StringEquals", "AWS:principaltag/TEAM", "red"),
        {TEAM: "red"},
        [],
        TRUE,
    ),
    "the name of a context key in another case": (
        when("StringEquals", TEAM, "red"),
        {"AWS:PRINCIPALTAG/team": "red"},
        [],
        TRUE,
    ),
    "the name of an unknown key in another case": (when("StringEquals", TEAM, "red"), {}, [TEAM.upper()], UNDECIDED),
    "one key under two operators": (
        when("StringLike", TEAM, "r*") | when("StringNotEquals", TEAM, "red"),
        {TEAM: "rose"},
        [],
        TRUE,
    ),
    "one key under two operators, one fails": (
        when("StringLike", TEAM, "r*") | when("StringNotEquals", TEAM, "red"),
        {TEAM: "red"},
        [],
        FALSE,
    ),
    "present and all of the list": (
        when("ForAllValues:StringEquals", KEYS, "a") | when("Null", KEYS, "false"),
        {KEYS: ["a"]},
        [],
        TRUE,
    ),
    "absent but must be there": (
        when("ForAllValues:StringEquals", KEYS, "a") | when("Null", KEYS, "false"),
        {},
        [],
        FALSE,
    ),
}


@pytest.mark.parametrize(("condition", "context", "unknown", "truth"), list(COMBINED.values()), ids=list(COMBINED))
def test_several_keys_and_operators(
    condition: dict[str, Any], context: dict[str, Any], unknown: list[str], truth: str
) -> None:
    check(condition, context, unknown, truth)


def test_a_condition_counts_only_where_the_rest_of_the_statement_matches() -> None:
    other = allow("dynamodb:PutItem", condition=when("Bool", MFA, "true"))
    assert outcome_of(identity=[other], unknown=[MFA]) == IMPLICIT
    assert outcome_of(identity=[FULL, deny("dynamodb:PutItem", condition=when("Odd", MFA, "true"))]) == ALLOWED


def test_a_sure_allow_beside_an_undecided_one_is_sure() -> None:
    assert outcome_of(identity=[allow(condition=when("Bool", MFA, "true")), allow()], unknown=[MFA]) == ALLOWED


def test_a_sure_deny_beside_an_undecided_one_is_sure() -> None:
    documents = [FULL, deny(condition=when("Bool", MFA, "false")), deny()]
    assert outcome_of(identity=documents, unknown=[MFA]) == EXPLICIT


def test_an_undecided_deny_where_nothing_allows_is_implicit() -> None:
    assert outcome_of(identity=[deny(condition=when("Bool", MFA, "false"))], unknown=[MFA]) == IMPLICIT


def test_a_given_value_wins_over_nothing_but_unknown_means_unknown() -> None:
    assert outcome_of(identity=[allow(condition=when("Bool", MFA, "true"))], unknown=["aws:SourceIp"]) == IMPLICIT


# -- Policy variables ---------------------------------------------------------------------------------------------

USERNAME = "aws:username"
OWN = f"{TABLES}/${{aws:username}}"
PLAIN = "2012-10-17"

IN_RESOURCE: dict[str, tuple[str, Any, str]] = {
    "the value fits": (OWN, "orders", TRUE),
    "the value differs": (OWN, "bills", FALSE),
    "case counts": (OWN, "Orders", FALSE),
    "part of a name": (f"{TABLES}/o${{aws:username}}", "rders", TRUE),
    "beside a wildcard": (f"{TABLES}/${{aws:username}}*", "ord", TRUE),
    "twice": (f"{TABLES}/${{aws:username}}r${{aws:username}}", "o", FALSE),
    "the name in another case": (f"{TABLES}/${{AWS:UserName}}", "orders", TRUE),
    "a star in the value is no wildcard": (OWN, "*", FALSE),
    "a star in part of the value is no wildcard": (OWN, "ord*", FALSE),
    "a question mark in the value is no wildcard": (OWN, "order?", FALSE),
    "absent": (OWN, ABSENT, FALSE),
    "absent, beside a wildcard": (f"{TABLES}/*${{aws:username}}", ABSENT, FALSE),
    "unknown": (OWN, UNKNOWN, UNDECIDED),
    "unknown, the rest fits": (f"{TABLES}/o${{aws:username}}", UNKNOWN, UNDECIDED),
    "unknown, the rest cannot fit": (f"{TABLES}/x${{aws:username}}", UNKNOWN, FALSE),
    "unknown, another account": ("arn:aws:dynamodb:*:444455556666:table/${aws:username}", UNKNOWN, FALSE),
    "default of an absent key": (f"{TABLES}/${{aws:username, 'orders'}}", ABSENT, TRUE),
    "default without a space": (f"{TABLES}/${{aws:username,'orders'}}", ABSENT, TRUE),
    "default that does not fit": (f"{TABLES}/${{aws:username, 'bills'}}", ABSENT, FALSE),
    "default of a known key": (f"{TABLES}/${{aws:username, 'orders'}}", "bills", FALSE),
    "default of a key that is known and fits": (f"{TABLES}/${{aws:username, 'bills'}}", "orders", TRUE),
    "default of an unknown key": (f"{TABLES}/${{aws:username, 'orders'}}", UNKNOWN, UNDECIDED),
    "several values": (OWN, ["orders", "bills"], FALSE),
    "a list of one value": (OWN, ["orders"], TRUE),
    "an empty list": (OWN, [], FALSE),
    "a name that does not exist": (f"{TABLES}/${{aws:nonsense}}", "orders", FALSE),
    "in the region segment": ("arn:aws:dynamodb:${aws:username}:111122223333:table/orders", "eu-west-1", FALSE),
}


@pytest.mark.parametrize(("resource", "given", "truth"), list(IN_RESOURCE.values()), ids=list(IN_RESOURCE))
def test_variables_in_resources(resource: str, given: Any, truth: str) -> None:
    case = {
        "context": {} if given is ABSENT or given is UNKNOWN else {USERNAME: given},
        "unknown": [USERNAME] if given is UNKNOWN else [],
    }
    assert outcome_of(identity=[allow(resource=resource)], **case) == UNDER_ALLOW[truth]
    assert outcome_of(identity=[FULL, deny(resource=resource)], **case) == UNDER_DENY[truth]


@pytest.mark.parametrize(
    ("given", "expected"), [("orders", IMPLICIT), ("bills", ALLOWED), (ABSENT, ALLOWED), (UNKNOWN, CONDITIONAL)]
)
def test_variables_in_not_resource(given: Any, expected: str) -> None:
    """An entry whose variable has no value matches nothing, so that NotResource excepts nothing."""
    assert (
        outcome_of(
            identity=[allow(resource=None, NotResource=OWN)],
            context={USERNAME: given} if isinstance(given, str) else {},
            unknown=[USERNAME] if given is UNKNOWN else [],
        )
        == expected
    )


TAG = "aws:ResourceTag/team"
OWN_TEAM = "${aws:PrincipalTag/team}"

IN_CONDITION: dict[str, tuple[str, Any, dict[str, Any], list[str], str]] = {
    "equal": ("StringEquals", OWN_TEAM, {TAG: "red", TEAM: "red"}, [], TRUE),
    "not equal": ("StringEquals", OWN_TEAM, {TAG: "red", TEAM: "blue"}, [], FALSE),
    "the variable has no value": ("StringEquals", OWN_TEAM, {TAG: "red"}, [], FALSE),
    "neither has a value": ("StringEquals", OWN_TEAM, {}, [], FALSE),
    "negated, equal": ("StringNotEquals", OWN_TEAM, {TAG: "red", TEAM: "red"}, [], FALSE),
    "negated, not equal": ("StringNotEquals", OWN_TEAM, {TAG: "red", TEAM: "blue"}, [], TRUE),
    "negated, the variable has no value": ("StringNotEquals", OWN_TEAM, {TAG: "red"}, [], TRUE),
    "negated, neither has a value": ("StringNotEquals", OWN_TEAM, {}, [], TRUE),
    "not like, the variable has no value": ("StringNotLike", "x" + OWN_TEAM, {TAG: "red"}, [], TRUE),
    "the variable is unknown": ("StringEquals", OWN_TEAM, {TAG: "red"}, [TEAM], UNDECIDED),
    "negated, the variable is unknown": ("StringNotEquals", OWN_TEAM, {TAG: "red"}, [TEAM], UNDECIDED),
    "the key is unknown": ("StringEquals", OWN_TEAM, {TEAM: "red"}, [TAG], UNDECIDED),
    "the key is unknown, the variable has no value": ("StringEquals", OWN_TEAM, {}, [TAG], FALSE),
    "if it exists, the variable has no value": ("StringEqualsIfExists", OWN_TEAM, {TAG: "red"}, [], FALSE),
    "if it exists, the key is absent": ("StringEqualsIfExists", OWN_TEAM, {TEAM: "red"}, [], TRUE),
    "another value fits": ("StringEquals", [OWN_TEAM, "red"], {TAG: "red"}, [], TRUE),
    "another value fits although the variable is unknown": (
        "StringEquals",
        [OWN_TEAM, "red"],
        {TAG: "red"},
        [TEAM],
        TRUE,
    ),
    "ignoring case": ("StringEqualsIgnoreCase", OWN_TEAM, {TAG: "red", TEAM: "RED"}, [], TRUE),
    "a default": ("StringEquals", "${aws:PrincipalTag/team, 'red'}", {TAG: "red"}, [], TRUE),
    "a default that is not needed": (
        "StringEquals",
        "${aws:PrincipalTag/team, 'red'}",
        {TAG: "red", TEAM: "blue"},
        [],
        FALSE,
    ),
    "negated with a default": ("StringNotEquals", "${aws:PrincipalTag/team, 'red'}", {TAG: "red"}, [], FALSE),
    "a star in the value under like": ("StringLike", OWN_TEAM, {TAG: "red", TEAM: "*"}, [], FALSE),
    "a star in the value is itself": ("StringLike", OWN_TEAM, {TAG: "*", TEAM: "*"}, [], TRUE),
    "a question mark in the value under like": ("StringLike", OWN_TEAM, {TAG: "red", TEAM: "r?d"}, [], FALSE),
    "wildcards of the policy stay wildcards": ("StringLike", OWN_TEAM + "-*", {TAG: "red-1", TEAM: "red"}, [], TRUE),
    "values are not substituted again": (
        "StringEquals",
        OWN_TEAM,
        {TAG: "red", TEAM: "${aws:username}", USERNAME: "red"},
        [],
        FALSE,
    ),
    "several values": ("StringEquals", OWN_TEAM, {TAG: "red", TEAM: ["red", "blue"]}, [], FALSE),
    "an escaped star is a star": ("StringLike", "r${*}", {TAG: "r*"}, [], TRUE),
    "an escaped star is no wildcard": ("StringLike", "r${*}", {TAG: "red"}, [], FALSE),
    "an escaped question mark is a question mark": ("StringLike", "r${?}d", {TAG: "r?d"}, [], TRUE),
    "an escaped question mark is no wildcard": ("StringLike", "r${?}d", {TAG: "red"}, [], FALSE),
    "an escaped dollar sign": ("StringEquals", "${$}5", {TAG: "$5"}, [], TRUE),
    "an escaped dollar sign makes no variable": (
        "StringEquals",
        "${$}{aws:username}",
        {TAG: "${aws:username}", USERNAME: "red"},
        [],
        TRUE,
    ),
    "an escaped star beside a wildcard": ("StringLike", "*${*}", {TAG: "red*"}, [], TRUE),
    "an escaped star under equals": ("StringEquals", "r${*}", {TAG: "r*"}, [], TRUE),
    "numbers have no variables": ("NumericEquals", OWN_TEAM, {TAG: "5", TEAM: "5"}, [], FALSE),
    "addresses have no variables": ("IpAddress", OWN_TEAM, {TAG: "10.0.0.1", TEAM: "10.0.0.1"}, [], FALSE),
    "dates have no variables": ("DateEquals", OWN_TEAM, {TAG: "2024-01-01", TEAM: "2024-01-01"}, [], FALSE),
    "in an ARN": ("ArnLike", TAGGED_ROLE, {TAG: APP, TEAM: "app"}, [], TRUE),
    "in an ARN, a star in the value": ("ArnLike", TAGGED_ROLE, {TAG: APP, TEAM: "*"}, [], FALSE),
    "in an ARN, no value": ("ArnEquals", TAGGED_ROLE, {TAG: APP}, [], FALSE),
    "in an ARN, negated, no value": ("ArnNotEquals", TAGGED_ROLE, {TAG: APP}, [], TRUE),
}


@pytest.mark.parametrize(
    ("operator", "value", "context", "unknown", "truth"), list(IN_CONDITION.values()), ids=list(IN_CONDITION)
)
def test_variables_in_conditions(
    operator: str, value: Any, context: dict[str, Any], unknown: list[str], truth: str
) -> None:
    check(when(operator, TAG, value), context, unknown, truth)


@pytest.mark.parametrize("version", ["2008-10-17", None])
def test_variables_are_plain_text_before_2012(version: str | None) -> None:
    """A document without Version is one of 2008-10-17."""
    statement = {"Effect": "Allow", "Action": "*", "Resource": OWN}
    assert outcome_of(identity=[doc(statement, version=version)], context={USERNAME: "orders"}) == IMPLICIT
    assert outcome_of(identity=[doc(statement, version=version)], unknown=[USERNAME]) == IMPLICIT
    tagged = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": when("StringEquals", TAG, OWN_TEAM)}
    assert outcome_of(identity=[doc(tagged, version=version)], context={TAG: "red", TEAM: "red"}) == IMPLICIT
    assert outcome_of(identity=[doc(tagged, version=version)], context={TAG: OWN_TEAM, TEAM: "red"}) == ALLOWED


def test_wildcards_work_before_2012() -> None:
    statement = {"Effect": "Allow", "Action": "dynamodb:Get*", "Resource": f"{TABLES}/ord*"}
    assert outcome_of(identity=[doc(statement, version="2008-10-17")]) == ALLOWED


def test_variables_have_no_place_in_actions() -> None:
    assert outcome_of(identity=[allow("dynamodb:${aws:username}")], context={USERNAME: "GetItem"}) == IMPLICIT


def test_variables_under_for_all_values() -> None:
    document = allow(condition=when("ForAllValues:StringEquals", KEYS, "${aws:userid}"))
    own = {"aws:userid": "U1"}
    assert outcome_of(identity=[document], context=own | {KEYS: ["U1"]}) == ALLOWED
    assert outcome_of(identity=[document], context=own | {KEYS: ["U1", "U2"]}) == IMPLICIT
    assert outcome_of(identity=[document], context={KEYS: ["U1"]}) == IMPLICIT
    assert outcome_of(identity=[document], context={KEYS: ["U1"]}, unknown=["aws:userid"]) == CONDITIONAL
    assert outcome_of(identity=[document], context=own, unknown=[KEYS]) == CONDITIONAL


def test_variables_and_wildcards_of_the_request_are_text() -> None:
    context = {USERNAME: "orders"}
    for name in ("${aws:username}", "*", "order?"):
        assert outcome_of(resource=f"{TABLES}/{name}", identity=[allow(resource=TABLE)], context=context) == IMPLICIT


def test_a_network_that_cannot_be_read_holds_no_address() -> None:
    wanted = when("IpAddress", IP, ["300.0.0.0/8", "anywhere"])
    assert outcome_of(identity=[allow(condition=wanted)], unknown=[IP]) == IMPLICIT
    assert outcome_of(identity=[allow(), deny(condition=wanted)], unknown=[IP]) == ALLOWED


@pytest.mark.parametrize("operator", ["NumericNotEquals", "DateNotEquals"])
def test_a_number_or_date_that_cannot_be_read_does_not_matter_without_the_key(operator: str) -> None:
    document = deny(condition=when(operator, AGE, "soon"))
    assert outcome_of(identity=[FULL, document]) == EXPLICIT
    assert outcome_of(identity=[FULL, document], context={AGE: "10"}) == ALLOWED
    assert outcome_of(identity=[FULL, document], unknown=[AGE]) == CONDITIONAL


def test_like_without_wildcards_is_equal() -> None:
    both = {"StringLike": {TEAM: ["red", "blue"]}, "StringNotEquals": {TEAM: ["blue", "red", "green"]}}
    assert outcome_of(identity=[allow(condition=both)], unknown=[TEAM]) == IMPLICIT
    both["StringLike"] = {TEAM: ["red", "b*"]}
    assert outcome_of(identity=[allow(condition=both)], unknown=[TEAM]) == CONDITIONAL


def test_denials_that_together_always_apply_are_explicit() -> None:
    documents = [deny(condition=when("Null", TEAM, one)) for one in ("true", "false")]
    assert outcome_of(identity=documents, unknown=[TEAM]) == EXPLICIT
    assert outcome_of(identity=documents[:1], unknown=[TEAM]) == IMPLICIT


ORDERS: dict[str, tuple[tuple[str, str], tuple[str, str], str]] = {
    "the denial reaches further": (("NumericLessThan", "100"), ("NumericLessThan", "200"), EXPLICIT),
    "the denial ends earlier": (("NumericLessThan", "200"), ("NumericLessThan", "100"), CONDITIONAL),
    "the denial leaves the bound": (("NumericLessThanEquals", "100"), ("NumericLessThan", "100.0"), CONDITIONAL),
    "the denial has the bound": (("NumericEquals", "100"), ("NumericGreaterThanEquals", "1e2"), EXPLICIT),
    "nothing in between": (("NumericGreaterThan", "7"), ("NumericGreaterThanEquals", "7"), EXPLICIT),
    "a fraction in between": (("NumericGreaterThan", "7"), ("NumericGreaterThanEquals", "8"), CONDITIONAL),
    "the other way round": (("NumericLessThan", "7"), ("NumericGreaterThan", "8"), CONDITIONAL),
    "dates": (("DateGreaterThan", "2026-01-01"), ("DateGreaterThan", "2025-06-01T00:00:00Z"), EXPLICIT),
    "dates, one in seconds": (("DateEquals", "1735689600"), ("DateLessThanEquals", "2025-01-01T00:00:00Z"), EXPLICIT),
}


@pytest.mark.parametrize(("allowed", "denied", "expected"), list(ORDERS.values()), ids=list(ORDERS))
def test_orders_that_rule_each_other_out(allowed: tuple[str, str], denied: tuple[str, str], expected: str) -> None:
    documents = [allow(condition=when(allowed[0], AGE, allowed[1])), deny(condition=when(denied[0], AGE, denied[1]))]
    assert outcome_of(identity=documents, unknown=[AGE]) == expected
