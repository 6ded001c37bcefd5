"""The map of the report: what it says of facts, what of gaps, and how it is drawn."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from auditor import engine, packs
from auditor.access.answers import Access
from auditor.analysis.estate import asked
from auditor.config import Config
from auditor.engine import Resolver
from auditor.facts import (
    CollectionTime,
    DaxClusterNames,
    DaxSettings,
    DaxSubnetGroup,
    DaxSubnetGroups,
    Endpoint,
    Gap,
    Identities,
    IdentityPoolRoles,
    IdentityPools,
    IdentityPoolSettings,
    InlinePolicy,
    KeyAliases,
    KeyPolicy,
    KeySettings,
    ManagedPolicy,
    NatGateway,
    NatGateways,
    NetworkInterface,
    NetworkInterfaces,
    Organization,
    PrefixList,
    PrefixLists,
    Reason,
    ResourceControlPolicies,
    ResourcePolicy,
    RoleInfo,
    Route,
    RouteTable,
    RouteTables,
    ServiceControlPolicies,
    SubnetInfo,
    Subnets,
    TableNames,
    TableSettings,
    Tags,
    UserInfo,
    VpcEndpoints,
    VpcInfo,
    Vpcs,
)
from auditor.inventory import Caller, Inventory, Scope
from auditor.picture import Picture, picture
from auditor.picture.drawing import HOPS, MOST_GROUPS, MOST_PRINCIPALS, MOST_VPCS
from auditor.picture.missing import why
from auditor.picture.rights import VERBS, Bundle, Right, TableGroup, TableUse, Who
from auditor.picture.roads import Cluster, Network, VpcPicture, Way
from auditor.render import html_report, json_report, report_schema
from auditor.resources import Account, DaxCluster, IdentityPool, Key, Region, Resource, Role, Subnet, Table, User, Vpc
from tests import example, reports
from tests.page import Element, read, rows
from tests.reports import HOSTILE

SHOP, OTHER = Account("111122223333"), Account("444455556666")
HERE, THERE = Region(SHOP, "eu-west-1"), Region(OTHER, "eu-west-1")
VPC = Vpc(HERE, "vpc-1")
ORDERS, CARTS = Table(HERE, "orders"), Table(HERE, "carts")
CACHE = DaxCluster(HERE, "cache")
DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "ec2:DescribeSubnets")
SERVICE = "com.amazonaws.eu-west-1.dynamodb"
DYNAMODB = PrefixList("pl-ddb", SERVICE, "AWS", ("52.94.0.0/22",))
VALIDATOR = jsonschema.Draft202012Validator(report_schema())
NOW = datetime(2026, 1, 31, tzinfo=UTC)

Facts = Iterable[tuple[Resource, Any]]


def made(
    facts: Facts = (), *, gaps: Iterable[tuple[Resource, type, Gap]] = (), accounts: tuple[Account, ...] = (SHOP,)
) -> Inventory:
    """Return an inventory of an account with two tables in Ireland."""
    scopes = tuple(Scope(one, {SHOP: "shop", OTHER: "network"}[one], (Region(one, "eu-west-1"),)) for one in accounts)
    inventory = Inventory(Caller(SHOP.id, "arn"), scopes)
    inventory.put(HERE, TableNames((ORDERS, CARTS)))
    inventory.put(HERE, DaxClusterNames(()))
    for resource, value in facts:
        inventory.put(resource, value)
    for resource, kind, gap in gaps:
        inventory.facts.get(kind, {}).pop(resource, None)
        inventory.put_gap(resource, kind, gap)
    return inventory


def seen(inventory: Inventory, **config: Any) -> Picture:
    return picture(Resolver(inventory, Config(**config)))


# Ways to DynamoDB


def interface(number: int, subnet: Subnet, vpc: str = "vpc-1", public: bool = False) -> NetworkInterface:
    address = "198.51.100.7" if public else None
    return NetworkInterface(f"eni-{number}", subnet, vpc, "interface", "in-use", public_ip=address, instance_id="i-1")


def subnet(name: str, region: Region = HERE) -> Subnet:
    return Subnet(region, f"subnet-{name}")


def network(
    routes: Mapping[str, str], *, region: Region = HERE, public: tuple[str, ...] = (), empty: tuple[str, ...] = ()
) -> Facts:
    """Yield the facts of a VPC: the name of a subnet -> the target of its default route."""
    subnets = {name: subnet(name, region) for name in (*routes, *empty)}
    endpoint = Endpoint("vpce-gw", "vpc-1", "Gateway", SERVICE, "available")
    yield region, Vpcs((VpcInfo(Vpc(region, "vpc-1"), default=False),))
    yield region, Subnets(tuple(SubnetInfo(one, "vpc-1", block_public_access="off") for one in subnets.values()))
    yield (
        region,
        RouteTables(
            tuple(
                RouteTable(
                    f"rtb-{name}", "vpc-1", main=False, subnet_ids=(f"subnet-{name}",),
                    routes=(Route("0.0.0.0/0", target),) if target else (),
                )
                for name, target in routes.items()
            )
        ),
    )  # fmt: skip
    yield region, VpcEndpoints((endpoint,))
    yield region, NatGateways((NatGateway("nat-1", "vpc-1", "public", "available"),))
    yield region, PrefixLists((DYNAMODB,))
    found = [interface(number, subnets[name], public=name in public) for number, name in enumerate(routes)]
    yield region, NetworkInterfaces(tuple(found))


MIXED = {"a": "vpce-gw", "b": "vpce-gw", "c": "nat-1", "d": "igw-1", "e": "tgw-1", "f": ""}


def test_a_vpc_has_a_way_for_every_path_of_its_workload_subnets_the_worst_first() -> None:
    shown = seen(made(network(MIXED, public=("d",), empty=("g",)))).network
    (one,) = shown.vpcs
    assert (one.vpc, one.audited, one.subnets, one.interfaces) == (VPC, True, 7, 6)
    assert [(way.hop, way.reach, way.subnets, way.through) for way in one.ways] == [
        ("internet-gateway", "internet", 1, ("igw-1",)),
        ("nat-gateway", "internet", 1, ("nat-1",)),
        ("transit-gateway", "unknown", 1, ("tgw-1",)),
        ("gateway-endpoint", "private", 2, ("vpce-gw",)),
        ("none", "none", 1, ()),
    ]
    assert [way.why for way in one.ways if way.why] == ["routing does not show what is behind"]
    assert (shown.absent, shown.notes) == ("", ())


def test_a_declared_hop_is_told_from_an_endpoint_and_from_a_gateway() -> None:
    for declared, hop, reach in (("endpoint", "declared", "private"), ("nat", "declared-exit", "internet")):
        shown = seen(made(network({"a": "tgw-1"})), trusted_egress={"tgw-1": declared}).network
        assert [(way.hop, way.reach) for way in shown.vpcs[0].ways] == [(hop, reach)]


def test_an_interface_endpoint_that_clients_use_is_told_from_a_gateway_endpoint() -> None:
    facts = [
        *network({"a": "nat-1"}),
        (HERE, VpcEndpoints((Endpoint("vpce-if", "vpc-1", "Interface", SERVICE, "available", private_dns=True),))),
    ]
    (way,) = seen(made(facts)).network.vpcs[0].ways
    assert (way.hop, way.reach) == ("interface-endpoint", "private")


def test_a_denied_call_is_unknown_with_its_permission_and_nothing_private() -> None:
    denied = replace(DENIED, action="ec2:DescribeRouteTables")
    shown = seen(made(network({"a": "vpce-gw"}), gaps=[(HERE, RouteTables, denied)])).network
    assert shown.vpcs[0].ways == (Way("unknown", "unknown", 1, (), "could not be read: ec2:DescribeRouteTables"),)
    assert shown.vpcs[0].interfaces is None


def test_without_subnets_a_vpc_is_not_said_to_be_without_workloads() -> None:
    facts = [one for one in network({"a": "igw-1"}) if isinstance(one[1], Vpcs)]
    shown = seen(made(facts, gaps=[(HERE, Subnets, DENIED), (HERE, NetworkInterfaces, DENIED)])).network
    (one,) = shown.vpcs
    assert (one.subnets, one.interfaces) == (None, None)
    assert one.ways == (Way("unknown", "unknown", None, (), "could not be read: ec2:DescribeSubnets"),)
    assert shown.notes == ("VPCs and subnets (shop eu-west-1): could not be read: ec2:DescribeSubnets.",)


def test_what_the_rules_did_not_ask_for_is_not_part_of_this_run() -> None:
    shown = seen(made())
    assert (shown.network.absent, shown.use.absent) == ("not part of this run", "not part of this run")
    text = page(shown).one(id="map").text
    assert "No picture of the network: not part of this run." in text
    assert "No picture of access: users and roles not part of this run." in text


def test_what_could_not_be_read_at_all_names_the_permission() -> None:
    denied = Gap(Reason.ACCESS_DENIED, "No.", "iam:GetAccountAuthorizationDetails")
    shown = seen(made(gaps=[(HERE, Subnets, DENIED), (SHOP, Identities, denied)]))
    assert shown.network.absent == "could not be read: ec2:DescribeSubnets"
    text = page(shown).one(id="map").text
    assert "could not be read: iam:GetAccountAuthorizationDetails." in text


def test_a_vpc_without_workloads_and_clusters_is_counted_and_not_drawn() -> None:
    shown = seen(made(network({}, empty=("a",))))
    assert [(one.ways, one.quiet, one.subnets) for one in shown.network.vpcs] == [((), True, 1)]
    section = page(shown).one(id="map").text
    assert "No VPC with workloads or DAX clusters was found" in section
    assert "1 VPC in which neither workloads nor DAX clusters are known" in section


def test_without_any_vpc_that_is_said() -> None:
    nothing = [(HERE, Vpcs(())), (HERE, Subnets(())), (HERE, NetworkInterfaces(()))]
    shown = seen(made(nothing))
    assert shown.network == Network()
    assert "No VPC with workloads" in page(shown).one(id="map").text


def test_a_region_without_tables_has_no_part_in_it() -> None:
    inventory = made()
    inventory.put(HERE, TableNames(()))
    assert seen(inventory).network == Network()


@pytest.mark.parametrize("owner_is_audited", [False, True])
def test_a_shared_vpc_stands_once_under_its_owner(owner_is_audited: bool) -> None:
    shared = subnet("a", THERE)
    mine = [
        (HERE, Vpcs(())),
        (HERE, Subnets((SubnetInfo(shared, "vpc-1", block_public_access="off"),))),
        (HERE, NetworkInterfaces((interface(1, subnet("a")),))),
    ]
    facts = [*mine, *(network({"a": "nat-1"}, region=THERE) if owner_is_audited else ())]
    inventory = made(facts, accounts=(SHOP, OTHER) if owner_is_audited else (SHOP,))
    if owner_is_audited:
        inventory.put(THERE, TableNames((Table(THERE, "t"),)))
        inventory.put(THERE, DaxClusterNames(()))
    (one,) = [one for one in seen(inventory).network.vpcs if not one.quiet]
    assert (one.vpc, one.audited) == (Vpc(THERE, "vpc-1"), owner_is_audited)
    if owner_is_audited:
        assert [(way.hop, way.subnets) for way in one.ways] == [("nat-gateway", 1)]
    else:
        assert [way.reach for way in one.ways] == ["unknown"]
        assert "whose route tables are not part of this audit" in one.ways[0].why
        assert "444455556666, not audited" in page(seen(inventory)).one(id="map").text


def dax(target: str) -> Facts:
    yield HERE, DaxClusterNames((CACHE,))
    yield CACHE, DaxSettings("available", subnet_group="group")
    yield HERE, DaxSubnetGroups({"group": DaxSubnetGroup("vpc-1", {"subnet-a": "eu-west-1a"})})
    yield from network({"a": target})


def test_a_dax_cluster_stands_in_its_vpc_and_says_whether_its_subnet_is_public() -> None:
    for target, public in (("igw-1", True), ("nat-1", False)):
        shown = seen(made(dax(target)))
        assert shown.network.vpcs[0].clusters == (Cluster(CACHE, public),)
        text = page(shown).one("svg", **{"aria-labelledby": "map-n-t"}).text
        assert "DAX cache" in text
        assert ("public subnet" in text) is public


def test_a_dax_cluster_whose_vpc_is_not_known_is_told_as_missing() -> None:
    denied = Gap(Reason.ACCESS_DENIED, "No.", "dax:DescribeSubnetGroups")
    shown = seen(made(dax("nat-1"), gaps=[(HERE, DaxSubnetGroups, denied)])).network
    assert shown.vpcs[0].clusters == ()
    assert shown.notes == ("VPCs of DAX clusters (cache): could not be read: dax:DescribeSubnetGroups.",)


def test_a_dax_cluster_is_shown_though_the_ways_are_not_part_of_the_run() -> None:
    facts = [one for one in dax("igw-1") if not isinstance(one[1], Subnets | NetworkInterfaces)]
    (one,) = seen(made(facts)).network.vpcs
    assert (one.ways, one.interfaces, [held.public for held in one.clusters]) == ((), None, [True])
    assert seen(made(facts)).network.notes == ("VPCs and subnets (shop eu-west-1): not part of this run.",)


# Who can use the tables


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(*actions: str, on: str = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": [f"dynamodb:{one}" for one in actions], "Resource": on, **more}


def trust(principal: Any = None, action: str = "sts:AssumeRole", **more: Any) -> str:
    service = {"Service": "lambda.amazonaws.com"}
    return json.dumps({"Statement": {"Effect": "Allow", "Principal": principal or service, "Action": action, **more}})


def role(name: str, *statements: dict[str, Any], who: str | None = None, **more: Any) -> RoleInfo:
    return RoleInfo(Role(SHOP, name), who or trust(), (InlinePolicy("own", policy(*statements)),), **more)


def user(name: str, *statements: dict[str, Any], **more: Any) -> UserInfo:
    return UserInfo(User(SHOP, name), (InlinePolicy("own", policy(*statements)),), **more)


def tables(policies: Mapping[Table, str] | None = None, **settings: Any) -> Facts:
    for one in (ORDERS, CARTS):
        yield one, TableSettings("ACTIVE", **settings)
        yield one, ResourcePolicy((policies or {}).get(one))
        yield one, Tags({})


def account(*people: RoleInfo | UserInfo, policies: Mapping[str, ManagedPolicy] | None = None) -> Facts:
    roles = tuple(one for one in people if isinstance(one, RoleInfo))
    users = tuple(one for one in people if isinstance(one, UserInfo))
    yield SHOP, Identities(users, (), roles, policies or {})
    yield SHOP, Organization(None)
    yield SHOP, ServiceControlPolicies(())
    yield SHOP, ResourceControlPolicies(())
    yield SHOP, CollectionTime(NOW)
    yield HERE, IdentityPools(())
    yield HERE, VpcEndpoints(())


def rights(use: TableUse, table: Table = ORDERS) -> dict[str, dict[str, tuple[str, bool]]]:
    """Return by principal what it can do to a table: verb -> verdict, and whether only as a role."""
    (group,) = (one for one in use.groups if table in one.tables)
    return {
        use.people[who].label: {verb: (right.state, right.as_role) for verb, right in bundle.rights.items()}
        for bundle in group.bundles
        for who in bundle.who
    }


def test_rights_are_told_by_principal_and_verb() -> None:
    people: list[RoleInfo | UserInfo] = [
        role("reader", allow("GetItem", on=ORDERS.arn)),
        role("cleaner", allow("DeleteItem", "DeleteTable", on=ORDERS.arn)),
        user("alice", allow("PutItem", on=ORDERS.arn, Condition={"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}})),
        role("other", allow("ListTables")),
    ]
    use = seen(made([*tables(), *account(*people)])).use
    yes, maybe = ("allowed", False), ("conditional", False)
    assert rights(use) == {
        "role/cleaner": {"write": yes, "delete": yes},
        "user/alice": {"write": maybe},
        "role/reader": {"read": yes},
    }
    assert rights(use, CARTS) == {}
    assert (use.absent, use.notes) == ("", ())


def test_deletion_protection_makes_deleting_conditional_unless_one_may_turn_it_off() -> None:
    people = [user("a", allow("DeleteTable")), user("b", allow("DeleteTable", "UpdateTable"))]
    use = seen(made([*tables(deletion_protection=True), *account(*people)])).use
    found = {who: held["delete"][0] for who, held in rights(use).items()}
    assert found == {"user/a": "conditional", "user/b": "allowed"}


def test_what_only_a_role_opens_is_told_apart() -> None:
    assume = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}
    people: list[RoleInfo | UserInfo] = [
        role("admin", allow("*"), who=trust({"AWS": f"arn:aws:iam::{SHOP.id}:root"})),
        user("alice", allow("GetItem"), assume),
    ]
    found = rights(seen(made([*tables(), *account(*people)])).use)
    assert found["user/alice"] == {"read": ("allowed", False), "write": ("allowed", True), "delete": ("allowed", True)}


def test_what_cannot_be_read_is_unknown_and_not_conditional() -> None:
    hidden = ManagedPolicy("arn:aws:iam::aws:policy/P", "P", Gap(Reason.ACCESS_DENIED, "No.", "iam:GetPolicyVersion"))
    people = [user("a", allow("GetItem"), attached=(hidden.arn,)), user("b", allow("GetItem"))]
    facts = [*tables(), *account(*people, policies={hidden.arn: hidden})]
    found = rights(seen(made(facts)).use)
    assert found["user/b"] == {"read": ("allowed", False)}
    assert {state for state, _ in found["user/a"].values()} == {"unknown"}
    denied = Gap(Reason.ACCESS_DENIED, "No.", "dynamodb:GetResourcePolicy")
    use = seen(made(facts, gaps=[(ORDERS, ResourcePolicy, denied)])).use
    assert rights(use)["user/b"]["read"] == ("unknown", False)
    assert rights(use, CARTS)["user/b"] == {"read": ("allowed", False)}
    assert "could not be read: dynamodb:GetResourcePolicy." in " ".join(use.notes)


def test_a_key_that_refuses_closes_the_items_and_one_that_is_hidden_leaves_them_open() -> None:
    key = Key(HERE, "1234abcd-12ab-34cd-56ef-1234567890ab")
    closed = policy(
        {
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::111122223333:role/x"},
            "Action": "kms:*",
            "Resource": "*",
        }
    )
    facts = [
        *tables(sse_type="KMS", sse_status="ENABLED", key=key),
        *account(user("a", allow("GetItem", "DeleteTable"))),
        (key, KeySettings(state="Enabled", manager="CUSTOMER")),
        (key, KeyPolicy(closed)),
        (HERE, KeyAliases({})),
    ]
    assert rights(seen(made(facts)).use) == {"user/a": {"delete": ("allowed", False)}}
    denied = Gap(Reason.ACCESS_DENIED, "No.", "kms:GetKeyPolicy")
    opened = [
        *facts,
        (key, KeyPolicy(policy({"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}))),
    ]
    assert rights(seen(made(opened)).use)["user/a"]["read"][0] == "allowed"
    disabled = Gap(Reason.ACCESS_DENIED, "No.", "kms:DescribeKey")
    assert rights(seen(made(opened, gaps=[(key, KeySettings, disabled)])).use)["user/a"]["read"] == ("unknown", False)
    use = seen(made(facts, gaps=[(key, KeyPolicy, denied)])).use
    assert rights(use) == {"user/a": {"read": ("unknown", False), "delete": ("allowed", False)}}
    assert use.notes == (f"Key policies ({key.name}): could not be read: kms:GetKeyPolicy.",)


def test_without_its_settings_a_table_may_be_protected_and_its_key_may_be_anything() -> None:
    people = [user("a", allow("GetItem", "DeleteTable")), user("b", allow("DeleteTable", "UpdateTable"))]
    denied = Gap(Reason.ACCESS_DENIED, "No.", "dynamodb:DescribeTable")
    use = seen(made([*tables(), *account(*people)], gaps=[(ORDERS, TableSettings, denied)])).use
    unknown, yes = ("unknown", False), ("allowed", False)
    assert rights(use) == {"user/a": {"read": unknown, "delete": unknown}, "user/b": {"delete": yes}}
    assert rights(use, CARTS) == {"user/a": {"read": yes, "delete": yes}, "user/b": {"delete": yes}}
    assert "could not be read: dynamodb:DescribeTable." in " ".join(use.notes)


def test_a_role_whose_trust_policy_cannot_be_read_may_open_its_rights_to_anybody() -> None:
    assume = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}
    people: list[RoleInfo | UserInfo] = [role("admin", allow("GetItem"), who="{"), user("alice", assume)]
    found = rights(seen(made([*tables(), *account(*people)])).use)
    assert found["user/alice"] == {"read": ("unknown", True)}


def test_tags_that_nobody_knows_to_count_leave_the_answer_open() -> None:
    condition = {"StringEquals": {"aws:ResourceTag/team": "shop"}}
    facts = [*tables(), *account(user("a", allow("GetItem", Condition=condition))), (ORDERS, Tags({"team": "shop"}))]
    for abac, expected in (("unknown", "unknown"), (True, "allowed")):
        found = rights(seen(made(facts), abac_enabled=abac).use)
        assert found == {"user/a": {"read": (expected, False)}}


def test_a_tables_policy_brings_in_the_public_other_accounts_and_services() -> None:
    def granted(principal: Any) -> dict[str, Any]:
        return {"Effect": "Allow", "Principal": principal, "Action": "dynamodb:GetItem", "Resource": "*"}

    document = policy(
        granted("*"), granted({"AWS": "999988887777"}), granted({"Service": "replication.dynamodb.amazonaws.com"})
    )
    use = seen(made([*tables({ORDERS: document}), *account()])).use
    assert {(one.kind, one.account) for one in use.people} == {
        ("public", ""), ("account", "999988887777"), ("service", ""),
    }  # fmt: skip
    found = rights(use)
    # Replication that no account confines is a confused deputy: AWS alone decides for whom.
    assert found.pop("replication.dynamodb.amazonaws.com") == {"read": ("conditional", False)}
    assert [held for held in found.values() if held != {"read": ("allowed", False)}] == []
    assert rights(use, CARTS) == {}
    # The public stands first, though others can do as much.
    assert use.people[0].kind == "public"


def test_the_public_is_told_where_it_may_assume_a_role() -> None:
    pool = IdentityPool(HERE, "eu-west-1:12345678-1234-1234-1234-123456789012")
    web = trust(
        {"Federated": "cognito-identity.amazonaws.com"},
        "sts:AssumeRoleWithWebIdentity",
        Condition={
            "StringEquals": {"cognito-identity.amazonaws.com:aud": pool.name},
            "ForAnyValue:StringLike": {"cognito-identity.amazonaws.com:amr": "unauthenticated"},
        },
    )
    people = [role("guests", allow("Scan", on=ORDERS.arn), who=web), role("open", allow("PutItem"), who=trust("*"))]
    facts = [
        *tables(),
        *account(*people),
        (HERE, IdentityPools((pool,))),
        (pool, IdentityPoolSettings("web", guests=True)),
        (pool, IdentityPoolRoles(unauthenticated=Role(SHOP, "guests").arn)),
    ]
    found = rights(seen(made(facts)).use)
    assert found["public: guests of identity pool web"] == {"read": ("allowed", True)}
    assert found["public: any AWS principal"] == {"write": ("allowed", True)}


def test_tables_of_an_account_whose_users_are_hidden_are_not_said_to_be_nobodys() -> None:
    denied = Gap(Reason.ACCESS_DENIED, "No.", "iam:GetAccountAuthorizationDetails")
    theirs = Table(THERE, "theirs")
    facts = [*tables(), *account(user("a", allow("GetItem"))), (THERE, TableNames((theirs,)))]
    facts += [(theirs, TableSettings("ACTIVE")), (theirs, ResourcePolicy(None)), (theirs, Tags({}))]
    shown = seen(made(facts, gaps=[(OTHER, Identities, denied)], accounts=(SHOP, OTHER)))
    (group,) = (one for one in shown.use.groups if theirs in one.tables)
    assert (group.whole, group.bundles) == (False, ())
    assert "Users and roles (network): could not be read: iam:GetAccountAuthorizationDetails." in shown.use.notes
    text = page(shown).one(id="map").text
    assert "Nobody who is known can read, write or delete it." in text


def test_tables_that_the_same_can_use_alike_stand_together_those_that_most_can_delete_first() -> None:
    people: list[RoleInfo | UserInfo] = [
        user("a", allow("GetItem")),
        user("b", allow("GetItem")),
        role("c", allow("DeleteTable", on=CARTS.arn)),
    ]
    more = [Table(HERE, f"t{number}") for number in range(40)]
    facts = [*tables(), *account(*people), (HERE, TableNames((ORDERS, CARTS, *more)))]
    for one in more:
        facts += [(one, TableSettings("ACTIVE")), (one, ResourcePolicy(None)), (one, Tags({}))]
    use = seen(made(facts)).use
    assert [(len(group.tables), [len(one.who) for one in group.bundles]) for group in use.groups] == [
        (1, [1, 2]), (41, [2]),
    ]  # fmt: skip
    assert use.groups[0].tables == (CARTS,)


def test_the_picture_agrees_with_the_access_engine_on_the_example_organisation() -> None:
    inventory, config = example.inventory(), example.settings()
    use, estate = example_picture().use, asked(Resolver(inventory, config), config).estate
    answers = Access(estate)
    for group in use.groups:
        table = group.tables[0]
        for verb, parts in VERBS.items():
            expected: dict[str, str] = {}
            for part in parts:
                for one in answers.who_can(part, estate.tables[table.arn]):
                    if not one.principal.startswith("federated") and expected.get(one.principal) != "allowed":
                        expected[one.principal] = one.verdict
            found = {use.people[who].name: one.rights[verb].state
                     for one in group.bundles if verb in one.rights for who in one.who}  # fmt: skip
            assert set(found) == set(expected), (table.arn, verb)
            for who, state in found.items():
                # The engine calls conditional what hangs on a policy that could not be read.
                assert state == expected[who] or (state, expected[who]) == ("unknown", "conditional"), (who, verb)


@cache
def example_picture() -> Picture:
    return picture(Resolver(example.inventory(), example.settings()))


def test_an_audit_has_its_map_and_says_it_in_both_reports() -> None:
    rules = {one: packs.built_in()[one] for one in ("network-subnet-path",)}
    found = engine.audit(made(network(MIXED)), rules, Config(), example.RUN, version="1.2.3")
    assert found.picture is not None
    assert found.picture.network.vpcs[0].subnets == 6
    assert json.loads(json_report(found))["map"] == found.picture.as_json()
    assert read(html_report(found)).one("nav").all("a", href="#map")


# What is printed


def page(shown: Picture) -> Element:
    return read(html_report(replace(reports.mixed(), picture=shown)))


def section(shown: Picture) -> str:
    html = html_report(replace(reports.mixed(), picture=shown))
    (found,) = re.findall(r'<section id="map".*?</section>', html, re.DOTALL)
    assert isinstance(found, str)
    return found


def large(vpcs: int = 500, groups: int = 300, people: int = 400, name: str = "orders-service") -> Picture:
    """Return a map with much in it, as bad as it can be."""
    ways = (
        Way("internet-gateway", "internet", 3, ("igw-0123456789abcdef0",)),
        Way("nat-gateway", "internet", 3, ("nat-0123456789abcdef0",)),
        Way("transit-gateway", "unknown", 3, ("tgw-0123456789abcdef0",)),
        Way("gateway-endpoint", "private", 3, ("vpce-0123456789abcdef0",)),
    )
    clusters = tuple(Cluster(DaxCluster(HERE, f"{name}-{number}"), public=True) for number in range(5))
    drawn = tuple(
        VpcPicture(Vpc(HERE, f"vpc-0123456789abc{number:04}"), True, 12, 40, ways, clusters) for number in range(vpcs)
    )
    long = "role-with-a-name-as-long-as-names-of-roles-may-be"
    who = tuple(
        Who("role", f"arn:aws:iam::{SHOP.id}:role/{long}-{name}-{number:04}", SHOP.id) for number in range(people)
    )
    states = ("allowed", "conditional", "unknown")
    bundles = tuple(
        Bundle(
            tuple(range(kind, people, 27)),
            {verb: Right(states[kind // 3**place % 3], as_role=True) for place, verb in enumerate(VERBS)},  # type: ignore[arg-type]
        )
        for kind in range(min(27, people))
    )
    held = tuple(
        TableGroup(tuple(Table(HERE, f"{name}-{number:04}-{one}") for one in range(10)), bundles)
        for number in range(groups)
    )
    return Picture(Network(drawn), TableUse(who, held), {SHOP.id: "shop", OTHER.id: "other"})


def test_what_does_not_fit_is_counted_and_the_page_stays_small() -> None:
    shown = large()
    text = section(shown)
    assert len(text.encode()) < 160_000
    root = page(shown).one(id="map")
    drawn = len(root.one("svg", **{"aria-labelledby": "map-n-t"}).all("rect")) and len(shown.of_network.rows)
    assert 1 <= drawn <= MOST_VPCS
    assert f"{500 - drawn} further VPCs, in report.json" in root.text
    assert len([one for one in root.all("details") if "rule" in one.attributes["class"]]) == MOST_GROUPS
    assert f"{(300 - MOST_GROUPS) * 10:,} further tables" in root.text
    first = shown.of_use.groups[0]
    named = sum(len(row.who) for row in first.rows)
    assert named == MOST_PRINCIPALS
    assert named + sum(row.more for row in first.rows) + first.unnamed == 400
    assert f"and {first.unnamed} more, who can do other things: see report.json" in root.text
    assert len(shown.as_json()["access"]["tables"]) == 300


def test_a_few_vpcs_and_groups_are_all_drawn() -> None:
    shown = large(3, 2, 5)
    assert (len(shown.of_network.rows), shown.of_network.left_out) == (3, 0)
    assert all(one.scene is not None for one in shown.of_use.groups)
    assert "Not drawn" not in section(shown)


def pictures() -> Iterable[Picture]:
    yield example_picture()
    yield large(30, 40, 30)
    hostile = large(2, 2, 3, name=HOSTILE)
    way = Way("unknown", "unknown", None, (HOSTILE,), HOSTILE)
    vpc = VpcPicture(Vpc(HERE, HOSTILE), False, None, None, (way,), ())
    yield replace(
        hostile,
        network=replace(hostile.network, vpcs=(vpc, *hostile.network.vpcs), notes=(HOSTILE,)),
        use=replace(hostile.use, notes=(HOSTILE,)),
        names={SHOP.id: HOSTILE},
    )


@pytest.mark.parametrize("number", range(3))
def test_every_drawing_is_well_formed_and_named_and_nothing_in_it_acts(number: int) -> None:
    shown = list(pictures())[number]
    text = section(shown)
    drawings = re.findall(r"<svg role.*?</svg>", text, re.DOTALL)
    assert drawings
    allowed = {"svg", "title", "desc", "g", "rect", "path", "text"}
    for drawing in drawings:
        root = ET.fromstring(drawing)  # noqa: S314 - made by the page itself
        assert root.attrib["role"] == "img"
        assert root[0].tag == "title"
        assert root[0].text
        assert root[1].tag == "desc"
        assert {one.tag for one in root.iter()} <= allowed
        width, height = (int(value) for value in root.attrib["viewBox"].split()[2:])
        for one in root.iter("text"):
            assert 0 <= int(one.attrib["x"]) <= width
            assert 0 <= int(one.attrib["y"]) <= height
        for one in root.iter("rect"):
            assert int(one.attrib["x"]) + int(one.attrib["width"]) < width
            assert int(one.attrib["y"]) + int(one.attrib["height"]) <= height
    section_root = page(shown).one(id="map")
    for held in section_root.walk():
        assert not [key for key in held.attributes if key == "style" or key.startswith("on")]
    ids = [one.attributes["id"] for one in section_root.walk() if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    assert "<script" not in text
    assert "<img" not in text
    for bad in "\u202e\u2028\u200b\x1b\x00":
        assert bad not in text


def test_a_long_name_is_cut_and_stands_whole_in_its_title() -> None:
    shown = large(1, 1, 1)
    texts = [one for one in page(shown).one(id="map").all("text") if one.all("title")]
    name = shown.use.people[0].label
    whole = [one for one in texts if one.one("title").text == name]
    assert len(whole) == 1
    assert "\N{HORIZONTAL ELLIPSIS}" in whole[0].text


def test_the_table_says_what_the_drawing_says() -> None:
    shown = seen(made(network(MIXED, public=("d",))))
    root = page(shown).one(id="map")
    table = rows(root.all("table")[0])[1:]
    ((_, region, ways, clusters),) = table
    assert (region, clusters) == ("eu-west-1", "none")
    drawing = root.one("svg", **{"aria-labelledby": "map-n-t"}).text
    for way in shown.network.vpcs[0].ways:
        assert HOPS[way.hop] in ways
        assert HOPS[way.hop] in drawing
    for word in ("internet", "private", "not known", "cut off"):
        assert word in ways
        assert word in drawing


def test_ways_and_rights_are_told_apart_by_word_line_and_colour() -> None:
    style = re.search(r"<style>(.*?)</style>", html_report(reports.mixed()), re.DOTALL)
    assert style is not None
    for names, words in (
        (("m-internet", "m-unknown", "m-private"), ("internet", "not known", "private")),
        (("m-conditional", "m-unknown", "m-allowed"), ("conditional", "unknown", "delete table")),
    ):
        dashes = [re.findall(rf"path\.{name} {{[^}}]*?stroke-dasharray: ([^;]+);", style[1]) for name in names]
        assert [one for one in dashes[:2] if len(one) != 1] == []
        assert dashes[0] != dashes[1]
        assert dashes[2] in ([], ["none"])
        text = section(large(1, 1, 30))
        for name, word in zip(names, words, strict=True):
            assert re.search(rf'class="m-line [^"]*\b{name}\b', text)
            assert word in text


@pytest.mark.parametrize("number", range(3))
def test_report_json_has_all_of_it_in_its_schema(number: int) -> None:
    shown = list(pictures())[number]
    found = json.loads(json_report(replace(reports.mixed(), picture=shown)))
    VALIDATOR.validate(found)
    for part in (found["map"], *found["map"]["network"]["vpcs"][:1], *found["map"]["access"]["tables"][:1]):
        for key in list(part):
            value = part.pop(key)
            assert not VALIDATOR.is_valid(found), f"need not have {key}"
            part[key] = value
    access = found["map"]["access"]
    assert len(access["principals"]) == len(shown.use.people)
    for group in access["tables"]:
        for one in group["access"]:
            assert max(one["principals"]) < len(access["principals"])
    loud = [one for one in shown.network.vpcs if not one.quiet]
    assert len(found["map"]["network"]["vpcs"]) == len(loud)
    assert found["map"]["network"]["quietVpcs"] == len(shown.network.vpcs) - len(loud)
    assert {hop for vpc in found["map"]["network"]["vpcs"] for hop in [way["hop"] for way in vpc["paths"]]} <= set(HOPS)


def test_a_report_without_a_map_has_none() -> None:
    assert json.loads(json_report(reports.mixed()))["map"] is None
    assert not read(html_report(reports.mixed())).all(id="map")


def test_why_something_is_missing_is_said_by_permission_where_there_is_one() -> None:
    assert why(DENIED) == "could not be read: ec2:DescribeSubnets"
    assert why(Gap(Reason.TRANSIENT, "The call timed out.")) == "could not be read: The call timed out"
    text = "Vpcs was not collected: the inventory was made for other rules. Collect it again."
    assert why(Gap(Reason.PARTIAL_DATA, text)) == "not part of this run"
    assert why(Gap(Reason.PARTIAL_DATA, "The collection was interrupted.")) == "The collection was interrupted"


def test_what_is_seen_is_said_in_a_sentence() -> None:
    region = Region(SHOP, "eu-west-1")

    def vpc(name: str, *reaches: str) -> VpcPicture:
        ways = tuple(Way("unknown", reach, 1) for reach in reaches)  # type: ignore[arg-type]
        return VpcPicture(Vpc(region, name), audited=True, subnets=1, interfaces=1, ways=ways)

    assert Network((vpc("quiet"),)).told == ""
    one = Network((vpc("a", "private", "internet"),))
    assert one.told == "1 of 1 VPC with workloads reaches DynamoDB through the internet."
    many = Network((vpc("a", "private"), vpc("b", "none"), vpc("c", "private", "unknown"), vpc("d")))
    assert many.told == (
        "0 of 3 VPCs with workloads reach DynamoDB through the internet, 1 only privately, 1 not at all, "
        "of 1 it is not known."
    )


def test_how_many_tables_are_open_to_the_public_is_said_and_a_doubt_is_none() -> None:
    people = (Who("public", "public: anybody"), Who("role", f"arn:aws:iam::{SHOP.id}:role/app", SHOP.id))
    tables = [Table(Region(SHOP, "eu-west-1"), name) for name in "abcd"]

    def group(table: Table, who: int, state: str, *, whole: bool = True) -> TableGroup:
        return TableGroup((table,), (Bundle((who,), {"read": Right(state)}),), whole)  # type: ignore[arg-type]

    open_one, unsure = group(tables[0], 0, "conditional"), group(tables[1], 0, "unknown")
    ours, hidden = group(tables[2], 1, "allowed"), group(tables[3], 1, "allowed", whole=False)
    assert TableUse(people[1:], (group(tables[0], 0, "allowed"),)).told == (
        "1 principal can read, write or delete 1 table."
    )
    assert TableUse(people, (open_one, unsure, ours)).told == (
        "2 principals can read, write or delete 3 tables; 1 of them is open to the public."
    )
    assert TableUse(people, (ours, hidden)).told == (
        "At least 2 principals can read, write or delete 2 tables; of 1 not all principals are known."
    )
