"""The search for what principals hold: it decides few situations and finds what deciding all of them finds."""

import random
from typing import Any
from unittest import mock

import pytest

from auditor.access.actions import find
from auditor.access.evaluate import evaluate
from auditor.access.holdings import (
    DATA_READ,
    DATA_WRITE,
    DAX_DATA,
    DESTRUCTIVE,
    PERMISSION,
    weigh,
)
from auditor.access.subjects import PROBE
from auditor.access.verbs import resources_of
from auditor.config import Config
from auditor.facts import Gap, Index, Reason, TableSettings
from tests.holdings import World, allow, deny

EVERY = DATA_READ | DATA_WRITE | DESTRUCTIVE | PERMISSION | DAX_DATA
BASE = "arn:aws:dynamodb:eu-west-1:111122223333:table/"


def test_every_action_is_one_of_iam() -> None:
    assert all((known := find(name)) is not None and known.name == name for name in EVERY)


def world_of(seed: int) -> World:
    """Return an account whose policies overlap in ways that a shortcut may get wrong."""
    pick = random.Random(seed)  # noqa: S311 - tests, not secrets
    world = World()
    names = ["orders", "orders-dev", "users", "users-dev", "carts"]
    resources = [
        *(
            "*",
            f"{BASE}*",
            f"{BASE}orders*",
            f"{BASE}*-dev",
            f"{BASE}users",
            f"{BASE}*/index/*",
            f"{BASE}carts/stream/*",
        ),
        *(
            f"{BASE}${{aws:PrincipalTag/team}}*",
            "arn:aws:dax:*:*:cache/orders",
            f"{BASE}orders/backup/*",
            f"{BASE}nothing",
        ),
    ]
    actions = ["dynamodb:*", "dynamodb:Get*", "dynamodb:*Item", "*", "dax:*", "dynamodb:Query", "dynamodb:DeleteTable"]
    conditions: list[dict[str, Any]] = [
        {},
        {},
        {"Condition": {"StringEquals": {"aws:ResourceTag/team": "alpha"}}},
        {"Condition": {"StringNotEquals": {"aws:ResourceTag/team": "alpha"}}},
        {"Condition": {"StringEquals": {"aws:SourceVpce": "vpce-1"}}},
    ]

    def statement(*, mostly_allow: bool = True) -> dict[str, Any]:
        make = allow if pick.random() < (0.7 if mostly_allow else 0.4) else deny
        return make(pick.choice(actions), pick.sample(resources, pick.randint(1, 2)), **pick.choice(conditions))

    users = [
        world.user(
            f"u{number}",
            *(statement() for _ in range(pick.randint(0, 3))),
            boundary=world.managed(f"limit{number}", allow("*", pick.choice(resources)))
            if pick.random() < 0.3
            else None,
        )
        for number in range(4)
    ]
    for name in names:
        arn = BASE + name
        policy = (
            [pick.choice([allow, deny])(pick.choice(actions[:3]), arn, Principal={"AWS": pick.choice(users).arn})]
            if pick.random() < 0.4
            else []
        )
        settings = TableSettings("ACTIVE", indexes=(Index("by-date", "global"),) if pick.random() < 0.5 else ())
        world.table(name, *policy, tags=pick.choice([{}, {"team": "alpha"}, {"team": "beta"}]), settings=settings)
    world.cluster("orders")
    return world


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("abac", [True, False])
def test_it_finds_what_deciding_every_request_finds(seed: int, abac: bool) -> None:
    world = world_of(seed)
    _, held = world.facts(Config(abac_enabled=abac))
    for user in world.users:
        principal = held.access.principal(user.user.arn)
        assert principal is not None
        expected = set()
        for action in EVERY:
            known = find(action)
            assert known is not None
            for place in held.search.places:
                if action.startswith("dax:") is not (place.table is None):
                    continue
                ways = [(place.arn,)] if place.table is None else resources_of(known, place.table)
                for way in ways:
                    decided = [held.access.own(principal, action, one, table=place.table) for one in way]
                    if all(weigh(one.formula) == "granted" for one in decided):
                        expected.add(action)
        found = held.of(principal, EVERY)
        assert {one.action for one in found.holdings} == expected


def test_the_verdict_on_one_table_is_that_of_its_own_request() -> None:
    for seed in range(10):
        world = world_of(seed)
        _, held = world.facts(Config(abac_enabled=True))
        for user in world.users:
            principal = held.access.principal(user.user.arn)
            assert principal is not None
            for place in held.search.places:
                if place.exists and place.table is not None:
                    own = held.access.own(principal, "dynamodb:GetItem", place.arn, table=place.table)
                    assert held.verdict(principal, "dynamodb:GetItem", place.arn) == weigh(own.formula)


def test_many_tables_of_one_situation_are_decided_once() -> None:
    world = World()
    for number in range(300):
        world.table(f"orders-{number}")
    user = world.user(
        "alice", allow("dynamodb:GetItem", f"{BASE}orders-*"), deny("dynamodb:GetItem", f"{BASE}orders-*")
    )
    _, held = world.facts()
    principal = held.access.principal(user.arn)
    assert principal is not None
    with mock.patch("auditor.access.estate.evaluate", wraps=evaluate) as spy:
        assert held.of(principal, DATA_READ).holdings == ()
        assert 0 < spy.call_count < 5


def test_what_no_statement_speaks_about_is_not_decided_at_all() -> None:
    world = World()
    for number in range(50):
        world.table(f"orders-{number}")
    user = world.user("alice", allow("s3:*"), allow("dynamodb:GetItem", f"{BASE}other"))
    _, held = world.facts()
    principal = held.access.principal(user.arn)
    assert principal is not None
    with mock.patch("auditor.access.estate.evaluate", wraps=evaluate) as spy:
        assert held.of(principal, EVERY).holdings == ()
        assert spy.call_count == 0


def test_probes_alone_tell_wildcards_from_names() -> None:
    world = World()
    table = world.table("orders")
    named, wild = world.role("named", allow("dynamodb:Scan", table.arn)), world.role("wild", allow("dynamodb:Scan"))
    _, held = world.facts()
    for role, expected in ((named, []), (wild, ["dynamodb:Scan"])):
        principal = held.access.principal(role.arn)
        assert principal is not None
        assert [one.action for one in held.of(principal, DATA_READ, probes_only=True).holdings] == expected
        assert [one.action for one in held.of(principal, DATA_READ).holdings] == ["dynamodb:Scan"]


def test_a_table_that_was_deleted_meanwhile_says_nothing() -> None:
    gone = Gap(Reason.PARTIAL_DATA, "It was deleted during the audit.")
    world = World()
    world.table("orders", settings=gone, policy=gone, tags=gone)
    user = world.user("alice")
    _, held = world.facts()
    principal = held.access.principal(user.arn)
    assert principal is not None
    assert held.of(principal, EVERY).doubts == ()


def test_unknown_indexes_leave_a_grant_on_an_index_open() -> None:
    denied = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:DescribeTable")
    world = World()
    world.table("orders", settings=denied)
    indexed = world.user("a", allow("dynamodb:Query", f"{BASE}orders/index/by-date"))
    other = world.user("b", allow("dynamodb:Query", f"{BASE}other"))
    _, held = world.facts()
    for user, expected in ((indexed, [denied]), (other, [])):
        principal = held.access.principal(user.arn)
        assert principal is not None
        found = held.of(principal, {"dynamodb:Query"})
        assert found.holdings == ()
        assert [one.cause for one in found.doubts] == expected


def test_the_probe_is_no_table() -> None:
    world = World()
    world.table("orders")
    _, held = world.facts()
    assert held.tables(world.region) == [f"{BASE}orders"]
    assert [one.arn for one in held.search.places if one.probe and one.table] == [BASE + PROBE]
