"""table-replica-parity: each member against its strongest sibling, broken replication, and gaps that matter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor import Severity, Status, Verdict
from auditor.config import Config
from auditor.facts import (
    EncryptionKey,
    Gap,
    Member,
    PointInTimeRecovery,
    Reason,
    Replica,
    ReplicationGroup,
    TableSettings,
    Tags,
)
from auditor.resources import Account, Region, Table
from tests.rules import ACCOUNT, TABLE, load

judge = load("table-replica-parity")

EAST = Table(Region(ACCOUNT, "us-east-1"), "orders")
WEST = Table(Region(ACCOUNT, "us-west-2"), "orders")
FOREIGN = Table(Region(Account("444455556666"), "us-east-1"), "orders")
OUTSIDE = Gap(Reason.PARTIAL_DATA, "Not part of the audit.")
ALL = {"owner": "team-x", "env": "prod", "data-classification": "internal"}
WEAKEST: tuple[dict[str, Any], ...] = ({"protected": False}, {"days": 0}, {"key": "aws-owned"}, {"tags": {}})


def member(table: Table, **changes: Any) -> Member:
    settings = TableSettings(
        changes.get("status", "ACTIVE"),
        deletion_protection=changes.get("protected", True),
        replicas=changes.get("replicas", ()),
        disassociation_protection=changes.get("disassociation", True),
        global_table_version="2019.11.21",
    )
    days = changes.get("days", 35)
    return Member(
        table=table,
        status=changes.get("replica_status", "ACTIVE"),
        settings=settings,
        recovery=PointInTimeRecovery(enabled=days > 0, days=days or 35),
        key=EncryptionKey(changes.get("key", "customer-managed"), None, "KeyManager"),
        tags=Tags(changes.get("tags", ALL)),
    )


def unread(table: Table) -> Member:
    return Member(table, "ACTIVE", OUTSIDE, OUTSIDE, OUTSIDE, OUTSIDE)


def ask(own: Member, *others: Member, version: str = "2019.11.21", config: Config | None = None) -> Verdict:
    assert isinstance(own.settings, TableSettings)
    verdict = judge(own.table, own.settings, ReplicationGroup((own, *others), version), config or Config())
    assert isinstance(verdict, Verdict)
    return verdict


def test_equal_members_pass_and_different_keys_of_one_kind_are_equal() -> None:
    verdict = ask(member(TABLE), member(EAST))
    assert verdict.status is Status.PASS
    assert verdict.evidence == {"members": [TABLE.arn, EAST.arn], "GlobalTableVersion": "2019.11.21"}
    plain = {"protected": False, "days": 0, "key": "aws-owned", "tags": {}}
    assert ask(member(TABLE, **plain), member(EAST, **plain)).status is Status.PASS


@pytest.mark.parametrize(
    ("weak", "aspect", "severity"),
    [
        ({"protected": False}, "deletion protection", None),
        ({"days": 0}, "point-in-time recovery", None),
        ({"days": 7}, "point-in-time recovery window", Severity.MEDIUM),
        ({"key": "aws-managed"}, "encryption key", None),
        ({"key": "aws-owned"}, "encryption key", None),
        ({"tags": {**ALL, "owner": ""}}, "tag owner", Severity.MEDIUM),
    ],
)
def test_the_weaker_member_fails_and_the_strongest_passes(
    weak: dict[str, Any], aspect: str, severity: Severity | None
) -> None:
    verdict = ask(member(TABLE, **weak), member(EAST), member(WEST, **weak))
    assert (verdict.status, verdict.severity) == (Status.FAIL, severity)
    assert list(verdict.evidence["weaker"]) == [aspect]
    assert "us-east-1" in verdict.evidence["weaker"][aspect]
    assert ask(member(EAST), member(TABLE, **weak), member(WEST, **weak)).status is Status.PASS


def test_windows_that_nobody_recorded_leave_open_only_which_is_shorter() -> None:
    def recorded(table: Table, *, on: bool = True) -> Member:
        return replace(member(table), recovery=PointInTimeRecovery(enabled=on, days=None))

    for sibling in (recorded(EAST), member(EAST)):
        assert ask(recorded(TABLE), sibling).status is Status.UNKNOWN
    assert ask(recorded(TABLE), recorded(EAST, on=False)).status is Status.PASS
    assert ask(member(TABLE), recorded(EAST)).status is Status.PASS  # nothing reaches further back than 35 days
    assert ask(member(TABLE, days=7), recorded(EAST)).status is Status.UNKNOWN
    verdict = ask(recorded(TABLE, on=False), recorded(EAST))
    assert (verdict.status, verdict.severity) == (Status.FAIL, None)
    assert verdict.evidence["weaker"] == {"point-in-time recovery": {"here": "off", "us-east-1": "on"}}


def test_each_required_tag_is_compared_by_itself() -> None:
    one, other = member(TABLE, tags={"owner": "x"}), member(EAST, tags={"env": "prod"})
    assert list(ask(one, other).evidence["weaker"]) == ["tag env"]
    assert list(ask(other, one).evidence["weaker"]) == ["tag owner"]
    assert ask(one, other, config=Config(required_tags=({"owner": "x.*"},))).status is Status.PASS
    assert ask(member(TABLE, tags={}), unread(EAST), config=Config(required_tags=())).status is Status.PASS


@pytest.mark.parametrize(
    "status",
    ["REGION_DISABLED", "INACCESSIBLE_ENCRYPTION_CREDENTIALS", "REPLICATION_NOT_AUTHORIZED", "CREATION_FAILED"],
)
def test_broken_replication_fails_whoever_reports_it(status: str) -> None:
    listing = member(TABLE, replicas=(Replica(EAST, status),))
    verdict = ask(listing, member(EAST))
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.MEDIUM)
    assert verdict.evidence["ReplicaStatus"] == {"us-east-1": status}
    assert ask(member(EAST), listing).evidence["ReplicaStatus"] == {"us-east-1": status}
    assert ask(member(WEST), listing, member(EAST)).status is Status.PASS


def test_a_member_that_only_an_unreadable_sibling_could_call_broken_is_unknown() -> None:
    denied = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:DescribeTable")
    hidden = replace(unread(EAST), settings=denied)
    assert ask(member(TABLE), hidden).missing_permission == "dynamodb:DescribeTable"
    listed = member(TABLE, replicas=(Replica(TABLE, "ACTIVE"),))
    assert ask(listed, hidden).status is ask(listed, unread(EAST)).status


def test_a_foreign_replica_without_authorisation_fails_although_it_cannot_be_read() -> None:
    own = member(TABLE, replicas=(Replica(FOREIGN, "REPLICATION_NOT_AUTHORIZED"),))
    assert ask(own, unread(FOREIGN)).status is Status.FAIL
    assert ask(member(TABLE, status="REPLICATION_NOT_AUTHORIZED"), member(EAST)).status is Status.FAIL


def test_disassociation_protection_fails_only_where_it_is_known_to_be_off() -> None:
    verdict = ask(member(TABLE, disassociation=False), member(EAST))
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.MEDIUM)
    assert verdict.evidence["DisassociationProtectionEnabled"] is False
    assert ask(member(TABLE, disassociation=None), member(EAST)).status is Status.PASS


def test_the_legacy_version_is_a_low_failure_that_gives_way_to_graver_ones() -> None:
    verdict = ask(member(TABLE), member(EAST), version="2017.11.29")
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.LOW)
    assert ask(member(TABLE, protected=False), member(EAST), version="2017.11.29").severity is None


def test_several_causes_stand_in_one_verdict_with_the_worst_severity() -> None:
    verdict = ask(member(TABLE, protected=False, tags={}, disassociation=False), member(EAST))
    assert verdict.severity is None
    assert set(verdict.evidence["weaker"]) == {"deletion protection", *(f"tag {name}" for name in ALL)}
    assert verdict.evidence["DisassociationProtectionEnabled"] is False


def test_a_sibling_that_cannot_be_read_matters_only_where_it_could_be_stronger() -> None:
    assert ask(member(TABLE), unread(FOREIGN)).status is Status.PASS
    for weak in WEAKEST:
        own = member(TABLE, **weak)
        assert (ask(own, unread(FOREIGN)).status, ask(own, unread(FOREIGN)).reason) == (Status.UNKNOWN, "partial_data")
        assert ask(own, unread(FOREIGN), member(EAST)).status is Status.FAIL


@pytest.mark.parametrize(
    ("unreadable", "weakest"),
    [("recovery", {"days": 0}), ("key", {"key": "aws-owned"}), ("tags", {"tags": {}})],
)
def test_what_cannot_be_read_of_the_member_itself_matters_only_below_a_stronger_sibling(
    unreadable: str, weakest: dict[str, Any]
) -> None:
    hidden: dict[str, Any] = {unreadable: Gap(Reason.ACCESS_DENIED, "Not allowed.", "x:Y")}
    own = replace(member(TABLE), **hidden)
    assert ask(own, member(EAST)).missing_permission == "x:Y"
    assert ask(own, member(EAST, **weakest)).status is Status.PASS
    assert ask(own, member(EAST), member(WEST, protected=False)).status is Status.UNKNOWN


@pytest.mark.parametrize("status", ["CREATING", "DELETING", "ARCHIVING", "ARCHIVED"])
def test_members_in_transition_are_neither_judged_nor_compared_with(status: str) -> None:
    assert ask(member(TABLE, status=status), member(EAST)).status is Status.NOT_APPLICABLE
    assert ask(member(TABLE, protected=False), member(EAST, status=status)).status is Status.PASS


def test_a_replica_that_is_being_deleted_is_not_judged() -> None:
    verdict = ask(member(TABLE, replica_status="DELETING", protected=False), member(EAST))
    assert verdict.status is Status.NOT_APPLICABLE


def test_a_table_that_is_not_global_has_no_finding_and_an_unknown_group_is_unknown() -> None:
    for status in ("ACTIVE", "CREATING", "ARCHIVED"):
        settings = TableSettings(status)
        assert judge(TABLE, settings, ReplicationGroup((), None), Config()) is None
        denied = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListGlobalTables")
        verdict = judge(TABLE, settings, denied, Config())
        assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "dynamodb:ListGlobalTables")


def _members(table: Table) -> st.SearchStrategy[Member]:
    return st.builds(
        lambda **changes: member(table, **changes),
        protected=st.booleans(),
        days=st.sampled_from([0, 1, 7, 35]),
        key=st.sampled_from(["aws-owned", "aws-managed", "customer-managed"]),
        tags=st.sets(st.sampled_from(sorted(ALL))).map(lambda names: {name: ALL[name] for name in names}),
    )


@given(own=_members(TABLE), others=st.permutations([EAST, WEST, FOREIGN]), data=st.data())
def test_the_order_of_siblings_does_not_matter(own: Member, others: list[Table], data: st.DataObject) -> None:
    siblings = {table: data.draw(_members(table)) for table in (EAST, WEST, FOREIGN)}
    first = ask(own, *siblings.values())
    second = ask(own, *(siblings[table] for table in others))
    assert (first.status, first.severity, first.message) == (second.status, second.severity, second.message)
    assert first.evidence.get("weaker") == second.evidence.get("weaker")


@given(own=_members(TABLE), east=_members(EAST), west=_members(WEST), weak=st.sampled_from(WEAKEST))
def test_weakening_a_member_never_turns_its_fail_into_a_pass(
    own: Member, east: Member, west: Member, weak: dict[str, Any]
) -> None:
    assert isinstance(own.settings, TableSettings)
    (name,) = weak
    low = member(TABLE, **weak)
    if name == "protected":
        weaker = replace(own, settings=low.settings)
    else:
        fact = {"days": "recovery", "key": "key", "tags": "tags"}[name]
        weaker = replace(own, **{fact: getattr(low, fact)})
    if ask(own, east, west).status is Status.FAIL:
        assert ask(weaker, east, west).status is Status.FAIL


@given(members=st.tuples(_members(TABLE), _members(EAST), _members(WEST)), hidden=st.sampled_from([1, 2]))
def test_hiding_a_sibling_gives_the_same_verdict_or_unknown(
    members: tuple[Member, Member, Member], hidden: int
) -> None:
    own = members[0]
    full = ask(*members).status
    partial = ask(own, *(unread(one.table) if index == hidden else one for index, one in enumerate(members) if index))
    assert partial.status in (full, Status.UNKNOWN)
