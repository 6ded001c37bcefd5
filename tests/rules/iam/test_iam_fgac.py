"""iam-fgac: what users of web-identity roles can reach beside their own items."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from auditor import Severity, Status
from auditor.access import Named, Unreadable
from auditor.access.estate import Account as Limits
from auditor.access.estate import Estate, Principal
from auditor.access.estate import Table as Entry
from auditor.config import Config
from auditor.facts import AccountAccess, Gap, Reason, TableAccess, TableSettings
from auditor.facts.tables import Index
from auditor.resources import Account, Region, Role, Table
from tests.rules import ACCOUNT, REGION, load

judge = load("iam-fgac")

ROLE = Role(ACCOUNT, "CognitoAuth")
PROFILES = Table(REGION, "profiles")
POOL = "eu-west-1:0a1b2c3d-0000-1111-2222-333344445555"
COGNITO = {
    "Effect": "Allow",
    "Principal": {"Federated": "cognito-identity.amazonaws.com"},
    "Action": "sts:AssumeRoleWithWebIdentity",
    "Condition": {
        "StringEquals": {"cognito-identity.amazonaws.com:aud": POOL},
        "ForAnyValue:StringLike": {"cognito-identity.amazonaws.com:amr": "authenticated"},
    },
}
SUB = "${cognito-identity.amazonaws.com:sub}"
KEYED = [
    *("dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query"),
    *("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem"),
]
OWN = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [SUB]}}
GUARDED = OWN | {"Null": {"dynamodb:LeadingKeys": "false"}}
ACTIVE = TableSettings("ACTIVE", partition_keys=("userId",))


def statement(action: Any, condition: Any = None, resource: Any = PROFILES.arn, **more: Any) -> dict[str, Any]:
    found = {"Sid": "Items", "Effect": "Allow", "Action": action, "Resource": resource, **more}
    return found | ({"Condition": condition} if condition else {})


def document(*statements: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def verdict(
    *statements: Any,
    trust: Any = COGNITO,
    config: Config | None = None,
    settings: Mapping[Table, Any] | None = None,
    tables: Mapping[Table, Any] | None = None,
    role: Role = ROLE,
    policies: tuple[Any, ...] | None = None,
    tags: Mapping[str, str] | None = None,
    auditor: str = "",
    abac: bool | None = None,
    scps: Any = None,
) -> Any:
    given = policies if policies is not None else (Named("own-items", json.dumps(document(*statements))),)
    principal = Principal(role.arn, "role", given, tags=tags or {}, trust=Named("trust", json.dumps(document(trust))))
    estate = Estate({role.account.id: Limits(role.account.id, scps=scps)}, {role.arn: principal}, abac=abac)
    known = settings if settings is not None else {PROFILES: ACTIVE}
    entries = tables
    if entries is None:
        entries = {
            table: TableAccess(
                Entry(
                    table.arn,
                    indexes=None if isinstance(held, Gap) else tuple(one.name for one in held.indexes),
                    tags={},
                )
            )
            for table, held in known.items()
        }
    return judge(role, AccountAccess(estate, auditor=auditor), entries, known, config or Config())


def aims(found: Any) -> set[str]:
    return {one["aim"] for one in found.evidence["bypasses"]}


@pytest.mark.parametrize(
    "condition",
    [
        OWN,
        GUARDED,
        {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": f"USER#{SUB}"}},
        {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [f"{SUB}#*"]}},
        {"ForAllValues:StringEquals": {"dynamodb:FirstPartitionKeyValues": [SUB]}},
        {"ForAllValues:StringEquals": {"DynamoDB:leadingkeys": ["${aws:PrincipalTag/tenant}"]}},
        {"StringEquals": {"dynamodb:LeadingKeys": SUB}},
        GUARDED | {"StringEqualsIfExists": {"dynamodb:Select": "SPECIFIC_ATTRIBUTES"}},
    ],
)
def test_actions_with_keys_bound_to_the_user_pass(condition: Any) -> None:
    found = verdict(statement(KEYED, condition))
    assert found.status is Status.PASS
    assert found.evidence["providers"] == ["cognito-identity.amazonaws.com"]


def test_without_the_condition_every_item_is_open() -> None:
    found = verdict(statement("dynamodb:GetItem"))
    assert found.status is Status.FAIL
    assert found.severity is None
    assert found.evidence["statements"] == [{"policy": "own-items", "sid": "Items", "index": 0}]
    assert "items of other users" in found.message
    assert "has no condition on dynamodb:LeadingKeys" in found.message


@pytest.mark.parametrize(
    ("condition", "aim"),
    [
        ({"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["*"]}}, "items of other users"),
        ({"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [SUB, "*"]}}, "items of other users"),
        ({"ForAllValues:StringNotEquals": {"dynamodb:LeadingKeys": ["admin"]}}, "items of other users"),
        ({"ForAllValues:StringEquals": {"dynamodb:Attributes": ["userId"]}}, "items of other users"),
        ({"Null": {"dynamodb:LeadingKeys": "false"}}, "items of other users"),
        (
            {"ForAnyValue:StringEquals": {"dynamodb:LeadingKeys": [SUB]}},
            "items of other users beside the user's own",
        ),
    ],
)
def test_conditions_that_do_not_confine_fail(condition: Any, aim: str) -> None:
    found = verdict(statement("dynamodb:BatchGetItem", condition))
    assert found.status is Status.FAIL
    assert aims(found) == {aim}


@pytest.mark.parametrize(
    "value", ["tenant-1", "TENANT#*", "${cognito-identity.amazonaws.com:aud}", "${aws:PrincipalAccount}"]
)
def test_a_key_that_is_the_same_for_all_users_is_no_confinement(value: str) -> None:
    assert verdict(
        statement("dynamodb:Query", {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": value}})
    ).status is (Status.FAIL)


@pytest.mark.parametrize("value", ["${sts:RoleSessionName}", "${aws:userid}"])
def test_a_key_that_the_user_chooses_is_no_identity(value: str) -> None:
    found = verdict(statement("dynamodb:Query", {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": value}}))
    assert found.status is Status.FAIL


def test_a_shared_partition_beside_the_own_one_is_noted() -> None:
    shared = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [SUB, "news", "PUBLIC#*"]}}
    found = verdict(statement("dynamodb:Query", shared))
    assert found.status is Status.PASS
    assert found.evidence["sharedKeys"] == ["PUBLIC#*", "news"]


@pytest.mark.parametrize(
    "action",
    [
        *("dynamodb:Scan", "dynamodb:SearchVectors", "dynamodb:ExportTableToPointInTime", "dynamodb:DeleteTable"),
        *("dynamodb:PutResourcePolicy", "dynamodb:GetRecords", "dynamodb:ImportTable", "dynamodb:UpdateTable"),
        "dynamodb:*",
    ],
)
def test_actions_that_know_no_key_need_a_null_guard(action: str) -> None:
    resource = [PROFILES.arn, f"{PROFILES.arn}/*"]
    found = verdict(statement(action, OWN, resource))
    assert found.status is Status.FAIL
    assert "items without naming a partition key" in aims(found)
    assert any("holds for requests without a partition key" in one["why"] for one in found.evidence["bypasses"])


def test_the_guard_confines_them_all() -> None:
    resource = [PROFILES.arn, f"{PROFILES.arn}/*"]
    assert verdict(statement("dynamodb:*", GUARDED, resource)).status is Status.PASS


def test_a_separate_statement_for_vector_search_reads_every_item() -> None:
    index = f"{PROFILES.arn}/index/embedding"
    found = verdict(statement(KEYED, GUARDED), statement("dynamodb:SearchVectors", None, index, Sid="Search"))
    assert found.status is Status.FAIL
    assert found.evidence["bypasses"][0]["action"] == "dynamodb:SearchVectors"
    assert found.evidence["bypasses"][0]["resource"] == index
    assert "statement Search of " in found.message


def test_partiql_needs_the_condition_and_no_full_scan() -> None:
    assert verdict(statement(KEYED, GUARDED), statement("dynamodb:PartiQLSelect")).status is Status.FAIL
    found = verdict(statement([*KEYED, "dynamodb:PartiQLSelect"], OWN))
    assert found.status is Status.FAIL
    assert aims(found) == {"every item by a full scan"}
    no_scan = {"Bool": {"dynamodb:FullTableScan": "false"}}
    assert verdict(statement("dynamodb:PartiQLSelect", OWN | no_scan)).status is Status.PASS
    deny = statement("dynamodb:PartiQLSelect", {"Bool": {"dynamodb:FullTableScan": "true"}}, Effect="Deny")
    assert verdict(statement("dynamodb:PartiQLSelect", OWN), deny).status is Status.PASS


def test_a_deny_confines_as_well_as_an_allow() -> None:
    others = {"ForAnyValue:StringNotEquals": {"dynamodb:LeadingKeys": [SUB]}}
    keyless = {"Null": {"dynamodb:LeadingKeys": "true"}}
    allow = statement("dynamodb:*", None, "*")
    found = verdict(allow, statement("*", others, "*", Effect="Deny"), statement("*", keyless, "*", Effect="Deny"))
    assert found.status is Status.PASS
    assert verdict(allow, statement("*", others, "*", Effect="Deny")).status is Status.FAIL


def test_one_statement_without_the_condition_opens_what_another_one_closes() -> None:
    every = f"{PROFILES.arn.rpartition('/')[0]}/*"
    assert verdict(statement(KEYED, GUARDED), statement("dynamodb:GetItem", None, every)).status is Status.FAIL


def test_dax_knows_no_keys() -> None:
    cluster = "arn:aws:dax:eu-west-1:111122223333:cache/profiles"
    found = verdict(statement(KEYED, GUARDED), statement("dax:GetItem", OWN, cluster))
    assert found.status is Status.FAIL
    assert found.evidence["bypasses"][0]["resource"] == cluster


def test_an_index_with_another_partition_key_shows_items_of_others() -> None:
    by_friend = Index("by-friend", "global", ("friendId",))
    by_user = Index("by-user", "global", ("userId",))
    sorted_ = Index("by-date", "local", ("userId",))
    resource = [PROFILES.arn, f"{PROFILES.arn}/index/*"]

    def judged(*indexes: Index, on: Any = resource) -> Any:
        held = TableSettings("ACTIVE", partition_keys=("userId",), indexes=indexes)
        return verdict(statement(KEYED, GUARDED, on), settings={PROFILES: held})

    found = judged(by_friend, by_user, sorted_)
    assert found.status is Status.FAIL
    assert aims(found) == {"items of other users through the index by-friend"}
    assert "friendId" in found.message
    assert judged(by_user, sorted_).status is Status.PASS
    assert judged(by_friend, on=PROFILES.arn).status is Status.PASS
    assert judged(by_friend, by_user, on=f"{PROFILES.arn}/index/by-user").status is Status.PASS
    assert judged(by_friend, on="arn:aws:dynamodb:*:*:table/prof*").status is Status.FAIL


def test_indexes_that_could_not_be_read_are_unknown_where_they_are_allowed() -> None:
    gap = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:DescribeTable")
    every = [PROFILES.arn, f"{PROFILES.arn}/index/*"]
    found = verdict(statement(KEYED, GUARDED, every), settings={PROFILES: gap})
    assert (found.status, found.missing_permission) == (Status.UNKNOWN, "dynamodb:DescribeTable")
    assert verdict(statement(KEYED, GUARDED), settings={PROFILES: gap}).status is Status.PASS


def test_the_user_may_be_a_further_attribute_of_the_partition_key() -> None:
    second = {"ForAllValues:StringEquals": {"dynamodb:SecondPartitionKeyValues": [SUB]}}
    two = TableSettings("ACTIVE", partition_keys=("tenant", "userId"))
    assert verdict(statement("dynamodb:GetItem", second), settings={PROFILES: two}).status is Status.PASS
    # A table with a key of one attribute has no second one, and the condition holds without it.
    assert verdict(statement("dynamodb:GetItem", second)).status is Status.FAIL
    first = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["tenant-1"]}}
    assert verdict(statement("dynamodb:GetItem", first), settings={PROFILES: two}).status is Status.FAIL


def test_public_tables_may_be_read_and_not_written() -> None:
    catalogue = statement(["dynamodb:GetItem", "dynamodb:Scan"], None, f"{PROFILES.arn[:-8]}catalogue")
    config = Config(public_tables=("cata*",))
    assert verdict(catalogue, statement(KEYED, GUARDED)).status is Status.FAIL
    assert verdict(catalogue, statement(KEYED, GUARDED), config=config).status is Status.PASS
    write = statement("dynamodb:PutItem", None, f"{PROFILES.arn[:-8]}catalogue")
    assert verdict(catalogue, write, config=config).status is Status.FAIL


def web(provider: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": {"Federated": provider}, "Action": "sts:AssumeRoleWithWebIdentity"}


def oidc(host: str) -> dict[str, Any]:
    return web(f"arn:aws:iam::111122223333:oidc-provider/{host}")


@pytest.mark.parametrize(
    ("trust", "variable"),
    [
        (web("www.amazon.com"), "www.amazon.com:user_id"),
        (web("graph.facebook.com"), "graph.facebook.com:id"),
        (web("accounts.google.com"), "accounts.google.com:sub"),
        (oidc("accounts.google.com"), "accounts.google.com:sub"),
        (
            oidc("cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Abc"),
            "cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Abc:sub",
        ),
    ],
)
def test_each_provider_has_its_own_variable(trust: Any, variable: str) -> None:
    own = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [f"${{{variable}}}"]}}
    assert verdict(statement(KEYED, own), trust=trust).status is Status.PASS
    assert verdict(statement(KEYED), trust=trust).status is Status.FAIL


def test_machines_are_no_end_users_and_strange_providers_must_be_declared() -> None:
    everything = statement("dynamodb:*", None, "*")
    for host in ("token.actions.githubusercontent.com", "oidc.eks.eu-west-1.amazonaws.com/id/ABC", "gitlab.com"):
        assert verdict(everything, trust=oidc(host)) is None
    found = verdict(everything, trust=oidc("login.acme.example"))
    assert (found.status, found.reason) == (Status.NOT_APPLICABLE, "not_declared")
    declared = Config(end_user_providers=("login.acme.example",))
    assert verdict(everything, trust=oidc("login.acme.example"), config=declared).status is Status.FAIL
    assert verdict(everything, trust=oidc("other.example"), config=declared) is None


def test_other_roles_have_no_finding() -> None:
    everything = statement("dynamodb:*", None, "*")
    service = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    saml = {
        "Effect": "Allow",
        "Principal": {"Federated": "arn:aws:iam::111122223333:saml-provider/Okta"},
        "Action": "sts:AssumeRoleWithSAML",
    }
    assert verdict(everything, trust=service) is None
    assert verdict(everything, trust=saml) is None
    assert verdict(everything, auditor=ROLE.arn) is None


def test_a_role_without_dynamodb_is_not_judged() -> None:
    assert verdict(statement("s3:*", None, "*")).status is Status.NOT_APPLICABLE
    assert verdict(policies=()).status is Status.NOT_APPLICABLE


def test_administrators_pass_with_a_note() -> None:
    found = verdict(statement("dynamodb:*", None, "*"), config=Config(admin_roles=("Cognito*",)))
    assert found.status is Status.PASS
    assert found.evidence["admin_role"] == ROLE.arn


@pytest.mark.parametrize("broken", [Unreadable("Not allowed."), "{", {"Statement": [{"Effect": "Allow"}]}, None])
def test_a_policy_that_cannot_be_read_is_unknown(broken: Any) -> None:
    own = Named("own-items", document(statement(KEYED, GUARDED)))
    assert verdict(policies=(own, Named("broken", broken))).status is Status.UNKNOWN
    wide = Named("wide", document(statement("dynamodb:*", None, "*")))
    assert verdict(policies=(wide, Named("broken", broken))).status is Status.UNKNOWN


def test_a_trust_policy_that_cannot_be_read_is_unknown() -> None:
    found = verdict(statement("dynamodb:*", None, "*"), trust={"Effect": "Perhaps"})
    assert found.status is Status.UNKNOWN
    assert verdict(policies=(), trust={"Effect": "Perhaps"}) is None


def test_a_tables_policy_may_grant_what_the_role_does_not() -> None:
    grant = statement("dynamodb:GetItem", None, "*", Principal={"AWS": ROLE.arn}, Sid="Share")
    entry = Entry(PROFILES.arn, policy=Named("resource policy", json.dumps(document(grant))))
    found = verdict(policies=(), tables={PROFILES: TableAccess(entry)})
    assert found.status is Status.FAIL
    assert found.evidence["statements"] == [{"policy": "resource policy", "sid": "Share", "index": 0}]


def test_a_guardrail_lowers_the_severity_and_is_named() -> None:
    allow = Named("SCP FullAWSAccess", document(statement("*", None, "*")))
    stop = Named("SCP stop", document(statement("dynamodb:Scan", None, "*", Effect="Deny")))
    found = verdict(statement("dynamodb:Scan"), scps=[[allow, stop]])
    assert (found.status, found.severity) == (Status.FAIL, Severity.MEDIUM)
    (block,) = found.evidence["blockedBy"]
    assert "SCP stop" in block


def test_a_tag_on_the_table_matters_with_attribute_based_access_control_only() -> None:
    public = {"StringEquals": {"aws:ResourceTag/public": "yes"}}
    tagged = {PROFILES: TableAccess(Entry(PROFILES.arn, tags={"public": "yes"}))}
    scan = statement("dynamodb:Scan", public, "*")
    assert verdict(scan, tables=tagged, abac=True).status is Status.FAIL
    assert verdict(scan, tables=tagged, abac=False).status is Status.PASS
    assert verdict(scan, tables=tagged, abac=None).status is Status.UNKNOWN
    plain = {PROFILES: TableAccess(Entry(PROFILES.arn, tags={}))}
    assert verdict(scan, tables=plain, abac=None).status is Status.PASS


def test_other_partitions() -> None:
    china = Account("111122223333", "aws-cn")
    role, table = Role(china, "CognitoAuth"), Table(Region(china, "cn-north-1"), "profiles")
    assert (
        verdict(statement("dynamodb:Scan", None, table.arn), role=role, settings={table: ACTIVE}).status is Status.FAIL
    )
    assert verdict(statement(KEYED, GUARDED, table.arn), role=role, settings={table: ACTIVE}).status is Status.PASS


@pytest.mark.parametrize(
    ("operator", "value", "passes"),
    [
        ("StringEquals", SUB, True),
        ("StringLike", f"{SUB}#*", True),
        ("StringLike", "*", False),
        ("StringEquals", "shared", False),
        ("StringNotEquals", "admin", False),
    ],
)
def test_operators_without_a_quantifier_count_as_comparing_the_one_key(operator: str, value: str, passes: bool) -> None:
    found = verdict(statement(KEYED, {operator: {"dynamodb:LeadingKeys": [value]}}))
    assert found.status is (Status.PASS if passes else Status.FAIL)


def test_a_denial_without_a_quantifier_is_no_protection() -> None:
    refused = {"StringNotEquals": {"dynamodb:LeadingKeys": [SUB]}}
    assert verdict(statement(KEYED), statement(KEYED, refused, Effect="Deny")).status is Status.FAIL


@pytest.mark.parametrize(
    ("partition", "region", "provider"),
    [
        ("aws-us-gov", "us-gov-west-1", "cognito-identity-us-gov.amazonaws.com"),
        ("aws-cn", "cn-north-1", "cognito-identity.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_identity_pools_of_other_partitions(partition: str, region: str, provider: str) -> None:
    account = Account(ACCOUNT.id, partition)
    table = Table(Region(account, region), "profiles")
    trust = {
        "Effect": "Allow",
        "Principal": {"Federated": provider},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {f"{provider}:aud": f"{region}:0a1b"}},
    }
    own = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [f"${{{provider}:sub}}"]}}
    known: dict[str, Any] = {"trust": trust, "role": Role(account, "users"), "settings": {table: ACTIVE}}
    assert verdict(statement(KEYED, None, table.arn), **known).status is Status.FAIL
    assert verdict(statement(KEYED, own, table.arn), **known).status is Status.PASS


def test_keys_of_several_attributes_need_the_settings() -> None:
    parts = {
        "ForAllValues:StringEquals": {
            "dynamodb:FirstPartitionKeyValues": ["acme"],
            "dynamodb:SecondPartitionKeyValues": [SUB],
        }
    }
    gap = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:DescribeTable")
    held = TableSettings("ACTIVE", partition_keys=("tenant", "userId"))
    assert verdict(statement(KEYED, parts), settings={PROFILES: held}).status is Status.PASS
    assert verdict(statement(KEYED, parts), settings={PROFILES: ACTIVE}).status is Status.FAIL
    found = verdict(statement(KEYED, parts), settings={PROFILES: gap})
    assert (found.status, found.missing_permission) == (Status.UNKNOWN, "dynamodb:DescribeTable")
