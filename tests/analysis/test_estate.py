"""From an inventory to what ``ddbaudit access`` asks: whatever is not known becomes one stated assumption."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from auditor.access import Unreadable
from auditor.access.answers import Access
from auditor.analysis.estate import Asked, asked, signatures
from auditor.config import Config
from auditor.engine import Resolver
from auditor.facts import (
    CollectionTime,
    DaxClusterNames,
    DaxSettings,
    Gap,
    Identities,
    IdentityPoolRoles,
    IdentityPools,
    IdentityPoolSettings,
    Index,
    InlinePolicy,
    KeyAliases,
    KeyPolicy,
    KeySettings,
    Organization,
    Reason,
    RegionScope,
    ResourceControlPolicies,
    ResourcePolicy,
    RoleInfo,
    ServiceControlPolicies,
    TableNames,
    TableSettings,
    Tags,
    VpcEndpoints,
)
from auditor.facts.base import RAW, raw_closure
from auditor.inventory import Caller, Inventory, Scope
from auditor.resources import Account, DaxCluster, IdentityPool, Key, Region, Resource, Role, Stream, Table

ACCOUNT, OTHER = Account("111122223333"), Account("444455556666")
HERE, THERE = Region(ACCOUNT, "eu-west-1"), Region(ACCOUNT, "us-east-1")
TABLE, FAR = Table(HERE, "orders"), Table(THERE, "carts")
STREAM = Stream(TABLE, "2026-01-31T09:30:00.000")
KEY = Key(HERE, "1234abcd-12ab-34cd-56ef-1234567890ab")
CACHE = DaxCluster(HERE, "cache")
POOL = IdentityPool(THERE, "us-east-1:0a1b2c3d-0000-4000-8000-000000000001")
READER, GUEST = Role(ACCOUNT, "reader"), Role(ACCOUNT, "guest")


def policy(action: str, **more: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, **more}]})


def people() -> Identities:
    dax = policy("sts:AssumeRole", Principal={"Service": "dax.amazonaws.com"})
    cognito = policy("sts:AssumeRoleWithWebIdentity", Principal={"Federated": "cognito-identity.amazonaws.com"})
    full = InlinePolicy("all", policy("*", Resource="*"))
    return Identities(roles=(RoleInfo(GUEST, cognito, (full,)), RoleInfo(READER, dax, (full,))))


def inventory() -> Inventory:
    """One of everything that the estate is made of, in the regions of one account."""
    made = Inventory(Caller(ACCOUNT.id, "me"), (Scope(ACCOUNT, "", (HERE, THERE)),))
    made.put(HERE, TableNames((TABLE,)))
    made.put(THERE, TableNames((FAR,)))
    made.put(FAR, TableSettings("ACTIVE"))
    made.put(
        TABLE,
        TableSettings(
            "ACTIVE",
            deletion_protection=True,
            sse_type="KMS",
            sse_status="ENABLED",
            key=KEY,
            stream_arn=STREAM.arn,
            indexes=(Index("by-date", "global"),),
        ),
    )
    for one in (TABLE, FAR, STREAM):
        made.put(one, ResourcePolicy(policy("dynamodb:*", Principal="*", Resource="*")))
    for table in (TABLE, FAR):
        made.put(table, Tags({"env": "prod"}))
    made.put(KEY, KeySettings("Enabled"))
    made.put(KEY, KeyPolicy(policy("kms:*", Principal={"AWS": f"arn:aws:iam::{ACCOUNT.id}:root"}, Resource="*")))
    made.put(HERE, KeyAliases({}))
    made.put(HERE, DaxClusterNames((CACHE,)))
    made.put(THERE, DaxClusterNames(()))
    made.put(CACHE, DaxSettings("available", role_arn=READER.arn))
    made.put(HERE, IdentityPools(()))
    made.put(THERE, IdentityPools((POOL,)))
    made.put(POOL, IdentityPoolSettings("shop", guests=True))
    made.put(POOL, IdentityPoolRoles(unauthenticated=GUEST.arn))
    made.put(ACCOUNT, people())
    made.put(ACCOUNT, Organization(None))
    made.put(ACCOUNT, ServiceControlPolicies(()))
    made.put(ACCOUNT, ResourceControlPolicies(()))
    made.put(ACCOUNT, CollectionTime(datetime(2026, 3, 1, tzinfo=UTC)))
    return made


def ask(made: Inventory) -> Asked:
    return asked(Resolver(made, Config()), Config())


def told(found: Asked) -> list[str]:
    """Everything that is said to be not known, by the estate or by an answer about the table."""
    estate = found.estate
    texts = [*found.unlisted, *found.outsiders, *estate.assumptions]
    for table in estate.tables.values():
        texts += table.assumptions
    if TABLE.arn in estate.tables:
        for answer in Access(estate).who_can("read", estate.tables[TABLE.arn]):
            texts += answer.assumptions
    return list(dict.fromkeys(texts))


#: Fact, about what, the API operation that gives it, and what is then said.
GAPS: list[tuple[type, Resource, str, str]] = [
    (
        TableSettings,
        TABLE,
        "dynamodb:DescribeTable",
        "settings of table orders {}: any index is assumed, no stream, and no deletion protection",
    ),
    (ResourcePolicy, TABLE, "dynamodb:GetResourcePolicy", "resource policy of table orders {}: taken as none"),
    (
        ResourcePolicy,
        STREAM,
        "dynamodb:GetResourcePolicy",
        "resource policy of the stream of table orders {}: taken as none",
    ),
    (Tags, TABLE, "dynamodb:ListTagsOfResource", "tags of table orders {}: they may have any value"),
    (
        KeyPolicy,
        KEY,
        "kms:GetKeyPolicy",
        f"key policy of {KEY.name} {{}}: whether it lets the caller decrypt is open",
    ),
    (KeySettings, KEY, "kms:DescribeKey", f"state of key {KEY.name} {{}}: taken as enabled"),
    (
        DaxClusterNames,
        HERE,
        "dax:DescribeClusters",
        f"DAX clusters of account {ACCOUNT.id} in eu-west-1 {{}}: paths through them are left out",
    ),
    (DaxSettings, CACHE, "dax:DescribeClusters", "role of DAX cluster cache {}: paths through it are left out"),
    (
        IdentityPools,
        HERE,
        "cognito-identity:ListIdentityPools",
        f"identity pools of account {ACCOUNT.id} in eu-west-1 {{}}: their guests and users are not listed",
    ),
    (
        IdentityPoolRoles,
        POOL,
        "cognito-identity:GetIdentityPoolRoles",
        f"roles of identity pool {POOL.name} {{}}: its guests and users are not listed",
    ),
    (
        Identities,
        ACCOUNT,
        "iam:GetAccountAuthorizationDetails",
        f"users and roles of account {ACCOUNT.id} {{}}: none of them is listed",
    ),
    (
        TableNames,
        THERE,
        "dynamodb:ListTables",
        f"tables of account {ACCOUNT.id} in us-east-1 {{}}: not all of them are known",
    ),
]


def test_where_all_is_known_nothing_is_assumed() -> None:
    assert told(ask(inventory())) == []


@pytest.mark.parametrize(
    ("fact", "about", "action", "words"), GAPS, ids=[f"{one[0].__name__}-{one[1].noun}" for one in GAPS]
)
@pytest.mark.parametrize("collected", [True, False], ids=["denied", "not collected"])
def test_each_missing_fact_is_told(fact: type, about: Resource, action: str, words: str, collected: bool) -> None:
    made = inventory()
    del made.facts[fact][about]
    if collected:
        made.put_gap(about, fact, Gap(Reason.ACCESS_DENIED, "Not allowed.", action))
    why = f"not readable without {action}" if collected else "not collected"
    assert words.format(why) in told(ask(made))


@pytest.mark.parametrize(
    ("fact", "words"),
    [
        (ServiceControlPolicies, f"SCPs of account {ACCOUNT.id} not readable, taken to allow"),
        (ResourceControlPolicies, f"RCPs of account {ACCOUNT.id} not readable, taken to allow"),
    ],
)
def test_guardrails_that_are_not_known_are_taken_to_allow_and_that_is_told(fact: type, words: str) -> None:
    made = inventory()
    del made.facts[fact][ACCOUNT]
    made.put_gap(ACCOUNT, fact, Gap(Reason.ACCESS_DENIED, "Not allowed.", "organizations:ListPoliciesForTarget"))
    assert told(ask(made)) == [words]


def test_whether_a_pool_lets_guests_in_is_told_where_it_is_not_known() -> None:
    made = inventory()
    del made.facts[IdentityPoolSettings][POOL]
    found = ask(made)
    assert [pool.guests for pool in found.estate.pools] == [None]
    assert any("lets guests in is not known" in text for text in told(found))


def test_every_fact_that_the_estate_is_made_of_is_denied_above() -> None:
    tried = {one[0] for one in GAPS} | {ServiceControlPolicies, ResourceControlPolicies, IdentityPoolSettings}
    # Without these, condition keys stay open, KMS tells the kind of key, and the regions are those of the scopes.
    # Endpoints are told about where they are known; no answer hangs on them.
    harmless = {Organization, CollectionTime, KeyAliases, RegionScope, VpcEndpoints}
    assert {fact for fact, _ in raw_closure(signatures()) if fact in RAW} == tried | harmless


def test_a_gap_never_takes_the_rest_with_it() -> None:
    for fact, about, action, _ in GAPS:
        made = inventory()
        del made.facts[fact][about]
        made.put_gap(about, fact, Gap(Reason.THROTTLED, "AWS throttled the call.", action))
        found = ask(made)
        assert TABLE.arn in found.estate.tables, fact
        assert any("AWS throttled the call" in text for text in told(found)), fact


def test_a_key_whose_policy_is_not_known_makes_data_conditional() -> None:
    made = inventory()
    table = ask(made).estate.tables[TABLE.arn]
    assert table.key is not None
    assert table.key.usable is True
    del made.facts[KeyPolicy][KEY]
    found = ask(made)
    table = found.estate.tables[TABLE.arn]
    assert table.key is not None
    assert isinstance(table.key.policy.document, Unreadable)
    reader = found.estate.principals[READER.arn]
    assert Access(found.estate).can(reader, "dynamodb:GetItem", table).verdict == "conditional"


def test_a_key_of_unknown_kind_is_not_checked_and_that_is_told() -> None:
    made = inventory()
    for fact, about in ((KeySettings, KEY), (KeyAliases, HERE)):
        del made.facts[fact][about]
        made.put_gap(about, fact, Gap(Reason.ACCESS_DENIED, "Not allowed.", "kms:DescribeKey"))
    found = ask(made)
    assert found.estate.tables[TABLE.arn].key is None
    words = "KMS key of table orders not readable without kms:DescribeKey: permission for it is not checked"
    assert found.estate.tables[TABLE.arn].assumptions == (words,)


def test_what_is_known_arrives_in_the_estate() -> None:
    estate = ask(inventory()).estate
    table = estate.tables[TABLE.arn]
    assert (table.indexes, table.stream, table.protected, table.tags) == (
        ("by-date",),
        STREAM.arn,
        True,
        {"env": "prod"},
    )
    assert table.policy is not None
    assert table.stream_policy is not None
    assert [(one.arn, one.role) for one in estate.clusters] == [(CACHE.arn, READER.arn)]
    (pool,) = estate.pools
    assert (pool.name, pool.guests, pool.unauthenticated) == ("shop", True, GUEST.arn)
    assert sorted(estate.principals) == [GUEST.arn, READER.arn]


def test_a_table_that_was_deleted_meanwhile_is_none() -> None:
    made = inventory()
    for fact in (TableSettings, ResourcePolicy, Tags):
        del made.facts[fact][TABLE]
    made.vanished.add(TABLE)
    found = ask(made)
    assert list(found.estate.tables) == [FAR.arn]
    assert told(found) == []


def test_only_tables_of_audited_regions_are_there_and_pools_of_all() -> None:
    found = ask(inventory().narrowed({"eu-west-1"}))
    assert list(found.estate.tables) == [TABLE.arn]
    assert [pool.name for pool in found.estate.pools] == ["shop"]
    assert told(found) == []


def test_clusters_that_are_not_known_matter_to_the_tables_of_their_region_only() -> None:
    made = inventory()
    made.facts[DaxClusterNames].pop(HERE)
    tables = ask(made).estate.tables
    assert len(tables[TABLE.arn].assumptions) == 1
    assert tables[FAR.arn].assumptions == ()


def test_the_same_gap_in_many_places_is_told_once() -> None:
    places = [
        Region(one, name) for one in (ACCOUNT, OTHER) for name in ("eu-west-1", "eu-west-2", "eu-west-3", "us-east-1")
    ]
    made = Inventory(
        Caller(ACCOUNT.id, "me"),
        tuple(Scope(one, "", tuple(r for r in places if r.account == one)) for one in (ACCOUNT, OTHER)),
    )
    found = ask(made)
    both = f"accounts {ACCOUNT.id}, {OTHER.id}"
    assert found.outsiders == (
        f"identity pools of {both} in 4 regions not collected: their guests and users are not listed",
    )
    assert found.unlisted == (f"tables of {both} in 4 regions not collected: not all of them are known",)
    assert found.estate.assumptions == (f"users and roles of {both} not collected: none of them is listed",)


def test_an_inventory_of_nothing_is_an_empty_estate() -> None:
    assert ask(Inventory(Caller(ACCOUNT.id, "me"), ())) == Asked(ask(inventory()).estate.__class__())
