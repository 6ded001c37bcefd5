"""The bulk engine says of every principal, action and table what the scalar evaluator says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.access import Named, Unreadable
from auditor.access.actions import actions
from auditor.access.answers import Access
from auditor.access.bulk import Bulk
from auditor.access.estate import Account, Estate, Key, Principal, Table
from auditor.access.extents import Extent, apart, both, either
from auditor.access.formula import Atom, Formula, assume, every, negate, some
from auditor.access.patterns import arn_pattern
from auditor.access.spaces import Space, set_bits
from auditor.access.verbs import actions_of, resources_of

ONE, TWO = "111122223333", "444455556666"
NAMES = ("orders", "orders-archive", "ordres", "carts")

ACTIONS = ("dynamodb:GetItem", "dynamodb:Query", "dynamodb:DeleteTable", "dynamodb:PutResourcePolicy",
           "dynamodb:GetRecords", "dynamodb:SearchVectors", "dynamodb:PartiQLSelect", "dynamodb:ListTables",
           "dynamodb:RestoreTableFromBackup", "dynamodb:Scan")  # fmt: skip

PATTERNS = (
    *(
        "*",
        "arn:aws:dynamodb:*:*:table/*",
        "arn:aws:dynamodb:eu-west-1:*:table/ord*",
        "arn:aws:dynamodb:*:*:table/or*s",
    ),
    *(f"arn:aws:dynamodb:eu-west-1:{ONE}:table/orders", f"arn:aws:dynamodb:*:{ONE}:table/orders/index/*"),
    *("arn:aws:dynamodb:*:*:table/*/stream/*", "arn:aws:dynamodb:*:*:table/${aws:PrincipalTag/team}*"),
    *("arn:aws:dynamodb:*:*:table/${aws:ResourceTag/team}", "arn:aws:dynamodb:*:*:table/${aws:SourceIdentity}*"),
    *(
        "arn:aws:s3:::*",
        "arn:aws:dynamodb",
        f"arn:aws:dynamodb:*:{TWO}:table/carts",
        "arn:aws:dynamodb:*:*:table/c?rts",
    ),
)

VERBS = ("dynamodb:*", "dynamodb:Get*", "*", "dynamodb:Query", "dynamodb:*Item", "dynamodb:DeleteTable", "s3:*")

CONDITIONS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"StringEquals": {"aws:ResourceTag/team": "checkout"}},
    {"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}},
    {"Null": {"aws:ResourceTag/team": "true"}},
    {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}},
    {"StringEquals": {"aws:SourceVpce": "vpce-1"}},
    {"StringEquals": {"aws:RequestedRegion": "eu-west-1"}},
    {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": "${aws:PrincipalTag/team}"}},
    {"Null": {"dynamodb:LeadingKeys": "false"}},
    {"StringEquals": {"aws:ResourceAccount": ONE}},
    {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/a*"}},
    {"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-a"}},
    {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
    {"NoSuchOperator": {"aws:SourceIp": "10.0.0.0/8"}},
    {"StringLike": {"aws:PrincipalTag/team": "*"}},
)

PRINCIPALS = (
    *("*", {"AWS": ONE}, {"AWS": f"arn:aws:iam::{TWO}:root"}, {"AWS": f"arn:aws:iam::{ONE}:role/a"}),
    *({"AWS": f"arn:aws:iam::{TWO}:user/b"}, {"AWS": f"arn:aws:sts::{ONE}:assumed-role/a/session"}),
    *({"Service": "glue.amazonaws.com"}, {"AWS": [ONE, f"arn:aws:iam::{ONE}:role/a"]}, {"AWS": "AIDAEXAMPLEEXAMPLE"}),
)


@st.composite
def statements(draw: st.DrawFn, named: bool = False) -> dict[str, Any]:
    made: dict[str, Any] = {"Effect": draw(st.sampled_from(["Allow", "Allow", "Allow", "Deny"]))}
    made[draw(st.sampled_from(["Action", "Action", "Action", "NotAction"]))] = draw(
        st.lists(st.sampled_from(VERBS), min_size=1, max_size=2)
    )
    made[draw(st.sampled_from(["Resource", "Resource", "Resource", "NotResource"]))] = draw(
        st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=2)
    )
    condition = draw(st.sampled_from(CONDITIONS))
    if condition:
        made["Condition"] = condition
    if named:
        key = draw(st.sampled_from(["Principal", "Principal", "Principal", "NotPrincipal"]))
        made[key] = draw(st.sampled_from(PRINCIPALS))
    return made


@st.composite
def documents(draw: st.DrawFn, named: bool = False, name: str = "policy") -> Any:
    if draw(st.integers(0, 14)) == 0:
        return draw(st.sampled_from([Named(name, Unreadable("denied")), Named(name, "{")]))
    version = draw(st.sampled_from(["2012-10-17", "2012-10-17", "2008-10-17"]))
    held = draw(st.lists(statements(named=named), min_size=1, max_size=3))
    return Named(name, json.dumps({"Version": version, "Statement": held}))


FULL = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})

OPEN = json.dumps({"Statement": {"Effect": "Allow", "Principal": "*", "Action": "dynamodb:*", "Resource": "*"}})


def identity(name: str) -> st.SearchStrategy[Any]:
    """Half of the policies allow everything: else hardly anything is allowed through five kinds of policies."""
    return st.one_of(st.just(Named("full", FULL)), documents(name=name))


def levels(named: bool) -> st.SearchStrategy[Any]:
    full = Named("full", FULL)
    guarded = st.lists(documents(named=named, name="guard"), max_size=1).map(lambda held: [full, *held])
    alone = st.lists(documents(named=named, name="guard"), min_size=1, max_size=2)
    return st.lists(st.one_of(guarded, guarded, alone), max_size=2)


def resource_policies(name: str) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), st.just(Named(name, OPEN)), documents(named=True, name=name))


@st.composite
def estates(draw: st.DrawFn) -> Estate:
    tables = {}
    for account in (ONE, TWO):
        for region in ("eu-west-1", "us-east-1"):
            for name in draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=3)):
                arn = f"arn:aws:dynamodb:{region}:{account}:table/{name}"
                tables[arn] = Table(
                    arn,
                    indexes=draw(st.sampled_from([(), ("by-date",), ("by-date", "by-name"), None])),
                    stream=draw(st.sampled_from([None, f"{arn}/stream/2026-01-31T09:30:00.000"])),
                    policy=draw(resource_policies("resource policy")),
                    stream_policy=draw(resource_policies("stream policy")),
                    tags=draw(st.sampled_from([{}, {"team": "checkout"}, {"Team": "orders"}, {"team": ""}, None])),
                )
    principals = {}
    for account in (ONE, TWO):
        for kind, name in (("role", "a"), ("user", "b")):
            arn = f"arn:aws:iam::{account}:{kind}/{name}"
            principals[arn] = Principal(
                arn,
                kind,
                tuple(draw(st.lists(identity("policy"), max_size=2))),
                draw(st.one_of(st.none(), st.none(), identity("boundary"))),
                draw(st.sampled_from([{}, {"team": "checkout"}, {"team": "ord"}])),
                trust={"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": ONE},
                       "Action": draw(st.sampled_from(["sts:AssumeRole", "sts:*"]))}},
            )  # fmt: skip
    accounts = {
        number: Account(
            number,
            draw(st.sampled_from([None, "", "o-a"])),
            management=draw(st.booleans()),
            scps=draw(levels(named=False)),
            rcps=draw(levels(named=True)),
        )
        for number in (ONE, TWO)
    }
    return Estate(accounts, principals, tables, abac=draw(st.sampled_from([None, True, False])))


def scalar(estate: Estate, principal: Principal, action: str, table: Table) -> tuple[bool, bool]:
    """Return whether the scalar evaluator surely, and perhaps, allows an action on a table or what belongs to it."""
    (known,) = actions_of(action)
    best = (False, False)
    for resources in resources_of(known, table):
        if resources == ("*",) and principal.account != table.account:
            continue  # what names no resource is about the caller's own account
        verdicts = {estate.decide(principal, action, one, table=table).verdict for one in resources}
        one = (verdicts == {"allowed"}, "denied" not in verdicts)
        best = (best[0] or one[0], best[1] or one[1])
    return best


@settings(derandomize=True, deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))
@given(estates())
def test_both_engines_agree_on_every_cell(estate: Estate) -> None:
    bulk = Bulk(estate)
    for arn, principal in estate.principals.items():
        for action in ACTIONS:
            sure, maybe = bulk.direct(arn, action)
            for number, table in enumerate(bulk.tables):
                expected = scalar(estate, principal, action, estate.tables[table])
                found = (bool(sure >> number & 1), bool(maybe >> number & 1))
                assert found == expected, (arn, action, table)


def test_every_action_of_dynamodb_is_decided_alike() -> None:
    policy = Named("p", json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "dynamodb:*", "Resource": f"arn:aws:dynamodb:*:{ONE}:table/orders*"},
        {"Effect": "Deny", "Action": "dynamodb:*Table*", "Resource": "*/orders"},
        {"Effect": "Allow", "Action": ["dynamodb:List*", "dynamodb:Describe*"], "Resource": "*"},
    ]}))  # fmt: skip
    reader = Principal(f"arn:aws:iam::{ONE}:role/a", "role", (policy,))
    arns = [f"arn:aws:dynamodb:eu-west-1:{ONE}:table/{name}" for name in NAMES]
    estate = Estate(principals={reader.arn: reader}, tables={arn: Table(arn, stream=f"{arn}/stream/1") for arn in arns})
    ((arn, row),) = Bulk(estate).rows()
    assert set(row) == {one.name for one in actions("dynamodb")}
    bulk = Bulk(estate)
    for action, (sure, maybe) in row.items():
        for number, table in enumerate(bulk.tables):
            expected = scalar(estate, reader, action, estate.tables[table])
            assert (bool(sure >> number & 1), bool(maybe >> number & 1)) == expected, (arn, action, table)


@pytest.mark.parametrize(("who", "expected"), [(f"arn:aws:iam::{ONE}:role/a", (0, 0)), ("*", (1, 1)), (ONE, (0, 0))])
def test_a_boundary_limits_what_a_resource_policy_gives_to_a_role_by_its_arn(who: str, expected: Any) -> None:
    grant = {"Effect": "Allow", "Principal": {"AWS": who}, "Action": "dynamodb:GetItem", "Resource": "*"}
    limit = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    arn = f"arn:aws:dynamodb:eu-west-1:{ONE}:table/orders"
    reader = Principal(f"arn:aws:iam::{ONE}:role/a", "role", boundary=Named("limit", policy_of(limit)))
    estate = Estate(principals={reader.arn: reader}, tables={arn: Table(arn, policy=policy_of(grant))})
    found = Bulk(estate).direct(reader.arn, "dynamodb:GetItem")
    verdict = estate.decide(reader, "dynamodb:GetItem", arn, table=estate.tables[arn]).verdict
    assert (found, verdict) == (expected, "allowed" if expected == (1, 1) else "denied")


def test_an_empty_tag_is_told_from_a_missing_one() -> None:
    untagged = {"Null": {"aws:ResourceTag/team": "true"}}
    held = policy_of({"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*", "Condition": untagged})
    reader = Principal(f"arn:aws:iam::{ONE}:role/a", "role", (Named("untagged", held),))
    arns = [f"arn:aws:dynamodb:eu-west-1:{ONE}:table/{name}" for name in ("a", "b", "c", "d")]
    tags: tuple[dict[str, str] | None, ...] = ({"team": ""}, {}, None, {"Team": "x"})
    tables = {arn: Table(arn, tags=one) for arn, one in zip(arns, tags, strict=True)}
    estate = Estate(principals={reader.arn: reader}, tables=tables)
    assert Bulk(estate).direct(reader.arn, "dynamodb:GetItem") == (0b0010, 0b0110)


def policy_of(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def key_estate() -> Estate:
    own, foreign = f"arn:aws:kms:eu-west-1:{ONE}:key/own", f"arn:aws:kms:eu-west-1:{TWO}:key/foreign"
    delegated = {"Effect": "Allow", "Principal": {"AWS": ONE}, "Action": "kms:*", "Resource": "*"}
    via = {"StringEquals": {"kms:ViaService": "dynamodb.eu-west-1.amazonaws.com"}}
    only_a = delegated | {"Principal": {"AWS": f"arn:aws:iam::{ONE}:role/a"}, "Condition": via}
    one_table = {"StringEquals": {"kms:EncryptionContext:aws:dynamodb:tableName": "t6"}}
    keys = [
        None,
        Key(own, policy=json.dumps({"Statement": delegated})),
        Key(foreign, policy=json.dumps({"Statement": only_a})),
        Key(f"{own}-managed", managed=True),
        Key(f"{own}-gone", policy=json.dumps({"Statement": delegated}), usable=False),
        Key(f"{own}-lost", policy=Unreadable("denied")),
        # Two tables share this key, and its policy tells them apart.
        *[Key(f"{own}-shared", policy=json.dumps({"Statement": delegated | {"Condition": one_table}}))] * 2,
    ]
    tables = {}
    for number, key in enumerate(keys):
        arn = f"arn:aws:dynamodb:eu-west-1:{ONE}:table/t{number}"
        tables[arn] = Table(arn, key=key, tags={"team": "checkout"})

    def statement(action: Any, resource: str = "*") -> dict[str, Any]:
        return {"Effect": "Allow", "Action": action, "Resource": resource}

    def role(name: str, trusted: Any, *held: dict[str, Any]) -> Principal:
        trust = {"Statement": {"Effect": "Allow", "Principal": {"AWS": trusted}, "Action": "sts:AssumeRole"}}
        policies = (Named(name, json.dumps({"Version": "2012-10-17", "Statement": list(held)})),) if held else ()
        return Principal(f"arn:aws:iam::{ONE}:role/{name}", "role", policies, trust=json.dumps(trust))

    outside = "arn:aws:iam::999988887777:root"
    people = [
        role("a", ONE, statement("dynamodb:GetItem"), statement("kms:Decrypt")),
        role("b", f"arn:aws:iam::{ONE}:role/c", statement("dynamodb:*")),
        role("c", outside, statement("sts:AssumeRole", f"arn:aws:iam::{ONE}:role/a")),
        role("d", f"arn:aws:iam::{ONE}:role/d"),
        role("e", outside, statement("*")),
        # Its own policies let it assume every role, but the trust policy of role b names another one only.
        role("f", ONE, statement("sts:AssumeRole")),
        # What it says of tags is known of tables, and not of their keys.
        role("g", outside, statement("*") | {"Condition": {"StringEquals": {"aws:ResourceTag/team": "checkout"}}}),
    ]
    accounts = {ONE: Account(ONE, None, scps=(), rcps=())}
    return Estate(accounts, {one.arn: one for one in people}, tables)


@pytest.mark.parametrize("verb", ["read", "write", "delete-table", "permissions", "dynamodb:PutItem"])
def test_keys_and_one_hop_through_roles_are_decided_alike(verb: str) -> None:
    estate = key_estate()
    bulk, access = Bulk(estate), Access(estate)
    effective = bulk.effective([verb])
    for arn, principal in estate.principals.items():
        sure, maybe = effective[arn][verb]
        for number, table in enumerate(bulk.tables):
            verdict = access.can(principal, verb, estate.tables[table], thorough=True).verdict
            found = "allowed" if sure >> number & 1 else "conditional" if maybe >> number & 1 else "denied"
            assert found == verdict, (arn, table)


def test_tables_of_one_name_in_two_regions_share_their_global_tables_arn() -> None:
    policy = Named("p", json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "dynamodb:*GlobalTable*", "Resource": "*"},
        {"Effect": "Deny", "Action": "dynamodb:UpdateGlobalTable", "Resource": "*",
         "Condition": {"StringEquals": {"aws:ResourceTag/team": "checkout"}}},
    ]}))  # fmt: skip
    admin = Principal(f"arn:aws:iam::{ONE}:role/a", "role", (policy,))
    tables = {
        arn: Table(arn, tags={"team": team})
        for region, team in (("eu-west-1", "checkout"), ("us-east-1", "billing"))
        for arn in [f"arn:aws:dynamodb:{region}:{ONE}:table/orders"]
    }
    estate = Estate({ONE: Account(ONE, None, scps=(), rcps=())}, {admin.arn: admin}, tables, abac=True)
    bulk = Bulk(estate)
    for action in ("dynamodb:UpdateGlobalTable", "dynamodb:DescribeGlobalTable", "dynamodb:CreateGlobalTable"):
        sure, maybe = bulk.direct(admin.arn, action)
        for number, table in enumerate(bulk.tables):
            expected = scalar(estate, admin, action, tables[table])
            assert (bool(sure >> number & 1), bool(maybe >> number & 1)) == expected, (action, table)


@pytest.mark.parametrize(
    "text",
    [
        *("*", "arn:aws:dynamodb:*:*:table/a*", "arn:aws:dynamodb:eu-*:*:table/a", "arn:AWS:dynamodb:*:*:table/?"),
        *("arn:aws:dynamodb:*:*:*b", "arn:aws:s3:*:*:*", "arn:aws", "", "arn:aws:dynamodb:*:*:table/A"),
    ],
)
def test_a_space_finds_what_a_pattern_matches(text: str) -> None:
    names = ("a", "a-b", "a/index/x", "b", "ab")
    regions = ("eu-west-1", "us-east-1")
    space = Space(f"arn:aws:dynamodb:{region}:{ONE}:table/{name}" for region in regions for name in names)
    bits, is_open = space.matching(text, None)
    found = {space.arns[number] for number in set_bits(bits)}
    expected = {arn for arn in space.arns if text == "*" or (text and arn_pattern(text, None).matches(arn))}
    assert (found, is_open) == (expected, False)


QUESTIONS = tuple(Atom(name, "note") for name in "xyz")


@st.composite
def extents(draw: st.DrawFn) -> Extent:
    formulas: list[Formula] = [True, False, *QUESTIONS, negate(QUESTIONS[0]), every(QUESTIONS[:2]), some(QUESTIONS[1:])]
    return apart((draw(st.sampled_from(formulas)), 1 << number) for number in range(4))


def answered(formula: Formula, answers: tuple[bool, ...]) -> bool:
    for atom, value in zip(QUESTIONS, answers, strict=True):
        formula = assume(formula, atom, value)
    assert isinstance(formula, bool)
    return formula


def holding(extent: Extent, answers: tuple[bool, ...]) -> int:
    """Return the resources where an extent holds once all questions are answered."""
    sets = [extent.sure, *extent.open.values()]
    assert sum(one.bit_count() for one in sets) == sum(sets).bit_count(), "the sets overlap"
    return extent.sure | sum(bits for formula, bits in extent.open.items() if answered(formula, answers))


@settings(derandomize=True, deadline=None, max_examples=200)
@given(extents(), extents(), st.integers(0, 15), st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_extents_combine_resource_by_resource(left: Extent, right: Extent, bits: int, answers: Any) -> None:
    first, second = holding(left, answers), holding(right, answers)
    assert holding(both(left, right), answers) == first & second
    assert holding(either(left, right), answers) == first | second
    assert holding(left.within(bits), answers) == first & bits
    assert holding(left.outside(bits), answers) == bits & ~first
