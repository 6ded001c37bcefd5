"""iam-user-dynamodb-access: what users and groups may do, by every way of granting, and what takes it back."""

from datetime import timedelta
from typing import Any

import pytest

from auditor import Severity, Status, Verdict
from auditor.config import Config
from auditor.facts import AccessKey, CollectionTime, CredentialReport, Credentials, Gap, Index, Reason, TableSettings
from auditor.resources import Group, Stream, User
from tests.holdings import NOW, World, allow, deny, document
from tests.rules import load

judge = load("iam-user-dynamodb-access")

TIME = CollectionTime(NOW)
NO_REPORT = Gap(Reason.ACCESS_DENIED, "Not allowed.", "iam:GetCredentialReport")
NO_POLICY = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:GetResourcePolicy")
NO_TAGS = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListTagsOfResource")
NO_LIST = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListTables")
NO_TEXT = Gap(Reason.ACCESS_DENIED, "Not allowed.", "iam:GetPolicyVersion")
ORDERS = "arn:aws:dynamodb:eu-west-1:111122223333:table/orders"
TODAY = AccessKey(active=True, rotated=NOW - timedelta(days=1))


def say(
    world: World,
    who: User | Group,
    credentials: Credentials | None = None,
    *,
    report: CredentialReport | Gap | None = None,
    config: Config | None = None,
    **settings: Any,
) -> Verdict:
    identities, held = world.facts(config)
    row = credentials or Credentials(password=False, mfa=False, keys=(TODAY,))
    verdict = judge(who, identities, held, report or CredentialReport({who.arn: row}), TIME, **settings)
    assert isinstance(verdict, Verdict)
    return verdict


def test_a_user_with_other_services_only_passes() -> None:
    world = World()
    world.table("orders")
    user = world.user("mailer", allow("ses:SendEmail"), allow("*", "arn:aws:s3:::bucket/*"))
    assert say(world, user).status is Status.PASS
    assert say(world, world.user("idle")).status is Status.PASS


@pytest.mark.parametrize("partition", ["aws", "aws-cn"])
def test_a_grant_on_one_table_fails_and_names_its_statement(partition: str) -> None:
    world = World(partition, "eu-west-1" if partition == "aws" else "cn-north-1")
    table = world.table("orders")
    user = world.user("alice", allow("s3:*"), allow("dynamodb:GetItem", table.arn, Sid="ReadOrders"))
    verdict = say(world, user)
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.HIGH)
    assert verdict.evidence["actions"] == ["dynamodb:GetItem"]
    assert verdict.evidence["statements"] == [
        {"policy": "orders (inline of user/alice)", "sid": "ReadOrders", "index": 1}
    ]
    assert f"dynamodb:GetItem on {table.arn}" in verdict.message
    assert "ReadOrders" in verdict.message


def test_a_grant_on_a_table_that_does_not_exist_is_none() -> None:
    world = World()
    world.table("orders")
    assert say(world, world.user("alice", allow("dynamodb:*", f"{ORDERS}-old"))).status is Status.PASS


def test_a_wildcard_fails_though_there_is_no_table() -> None:
    world = World()
    verdict = say(world, world.user("alice", allow("dynamodb:*")))
    assert verdict.status is Status.FAIL
    assert "any table in eu-west-1" in verdict.message
    assert "dynamodb:DeleteTable" in verdict.evidence["actions"]
    assert "ddbaudit" not in verdict.message


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("dynamodb:Query", f"{ORDERS}/index/*"),
        ("dynamodb:GetRecords", f"{ORDERS}/stream/*"),
        ("dynamodb:DeleteBackup", f"{ORDERS}/backup/*"),
        ("dynamodb:UpdateAbacStatus", "*"),
        ("dax:GetItem", "arn:aws:dax:eu-west-1:111122223333:cache/cache"),
    ],
)
def test_indexes_streams_backups_and_clusters_count(action: str, resource: str) -> None:
    world = World()
    stream = f"{ORDERS}/stream/2026-01-31T09:30:00.000"
    world.table("orders", settings=TableSettings("ACTIVE", stream_arn=stream, indexes=(Index("by-date", "global"),)))
    world.cluster("cache")
    world.streams[Stream.from_arn(stream)] = next(iter(world.tables.values()))[1]
    verdict = say(world, world.user("alice", allow(action, resource)))
    assert verdict.evidence["actions"] == [action]


def test_metadata_alone_is_no_access() -> None:
    world = World()
    world.table("orders")
    user = world.user("viewer", allow(["dynamodb:ListTables", "dynamodb:DescribeTable", "dax:DescribeClusters"]))
    assert say(world, user).status is Status.PASS


def test_grants_come_through_groups_managed_policies_and_resource_policies() -> None:
    world = World()
    arn = world.managed("ReadOrders", allow("dynamodb:GetItem"))
    world.group("readers", attached=(arn,))
    member = world.user("member", groups=("readers",))
    verdict = say(world, member)
    assert verdict.evidence["statements"][0]["policy"] == "ReadOrders of group readers"
    assert verdict.evidence["GroupList"] == ["readers"]
    named = world.user("named")
    other = world.user("other")
    world.table("orders", allow("dynamodb:Scan", ORDERS, Principal={"AWS": named.arn}))
    verdict = say(world, named)
    assert verdict.evidence["actions"] == ["dynamodb:Scan"]
    assert verdict.evidence["statements"][0]["policy"] == "resource policy"
    assert say(world, other).status is Status.PASS


def test_a_resource_policy_for_the_account_grants_nothing_by_itself() -> None:
    world = World()
    user = world.user("alice")
    world.table("orders", allow("dynamodb:Scan", ORDERS, Principal={"AWS": "111122223333"}))
    assert say(world, user).status is Status.PASS


def test_a_denial_a_boundary_and_dead_actions_take_access_away() -> None:
    world = World()
    world.table("orders")
    limit = world.managed("limit", allow("s3:*"))
    assert say(world, world.user("a", allow("*"), deny(["dynamodb:*", "dax:*"]))).status is Status.PASS
    assert say(world, world.user("b", allow("*"), boundary=limit)).status is Status.PASS
    dead = ["dynamodb:TransactWriteItems", "dynamodb:ExecuteStatement"]
    assert say(world, world.user("c", allow(dead))).status is Status.PASS
    # NotAction, wildcards and case.
    assert say(world, world.user("d", {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"})).status is Status.FAIL
    assert say(world, world.user("e", allow("DynamoDB:get?tem"))).evidence["actions"] == ["dynamodb:GetItem"]


def test_access_with_mfa_is_access_and_says_so() -> None:
    world = World()
    mfa = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    verdict = say(world, world.user("alice", allow("dynamodb:Scan", Condition=mfa)))
    assert verdict.status is Status.FAIL
    assert verdict.evidence["conditions"] == ["only with MFA"]


@pytest.mark.parametrize(
    ("credentials", "severity"),
    [
        (Credentials(password=False, mfa=False, keys=(TODAY,)), Severity.HIGH),
        (Credentials(password=True, mfa=True, keys=(AccessKey(True, NOW - timedelta(days=91)),)), Severity.CRITICAL),
        (Credentials(password=True, mfa=True, keys=(AccessKey(False, NOW - timedelta(days=91)), TODAY)), Severity.HIGH),
        (Credentials(password=False, mfa=False, keys=(AccessKey(True, None),)), Severity.HIGH),
        (Credentials(password=True, mfa=False), Severity.MEDIUM),
        (Credentials(password=None, mfa=False), Severity.MEDIUM),
        (Credentials(password=False, mfa=False, keys=(AccessKey(False),)), Severity.LOW),
    ],
)
def test_credentials_make_the_severity(credentials: Credentials, severity: Severity) -> None:
    world = World()
    verdict = say(world, world.user("alice", allow("dynamodb:*")), credentials)
    assert (verdict.status, verdict.severity) == (Status.FAIL, severity)
    assert ("without MFA" in verdict.evidence.get("note", "")) is (credentials.password is True and not credentials.mfa)


def test_the_age_of_keys_is_a_setting_and_the_last_service_is_evidence() -> None:
    world = World()
    user = world.user("alice", allow("dynamodb:*"))
    key = AccessKey(True, NOW - timedelta(days=40), NOW - timedelta(days=2), "dynamodb")
    old = Credentials(password=False, mfa=False, keys=(key,))
    assert say(world, user, old).severity is Severity.HIGH
    verdict = say(world, user, old, max_key_age_days=30)
    assert verdict.severity is Severity.CRITICAL
    assert verdict.evidence["access_keys"][0]["ageDays"] == 40
    assert verdict.evidence["access_keys"][0]["last_used_service"] == "dynamodb"


def test_without_the_report_or_a_row_in_it_an_active_key_is_assumed() -> None:
    world = World()
    user = world.user("alice", allow("dynamodb:*"))
    for report in (NO_REPORT, CredentialReport({})):
        verdict = say(world, user, report=report)
        assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.HIGH)
        assert "assumed" in verdict.evidence
    assert say(world, world.user("idle"), report=NO_REPORT).status is Status.PASS


def test_groups_fail_as_low_even_without_members_and_are_judged_by_their_own_policies() -> None:
    world = World()
    table = world.table("orders", allow("dynamodb:Scan", ORDERS, Principal="*"))
    verdict = say(world, world.group("admins", allow("dynamodb:GetItem", table.arn)))
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.LOW)
    assert verdict.evidence["actions"] == ["dynamodb:GetItem"]
    assert say(world, world.group("others", allow("s3:*"))).status is Status.PASS


def test_a_group_whose_grant_hangs_on_the_members_name_is_open() -> None:
    world = World()
    world.table("orders-alice")
    own = f"{ORDERS}-${{aws:username}}"
    group = world.group("people", allow("dynamodb:GetItem", own))
    assert say(world, group).status is Status.UNKNOWN
    assert say(world, world.user("alice", groups=("people",))).status is Status.FAIL
    assert say(world, world.user("bob", groups=("people",))).status is Status.PASS


def test_declared_users_pass_with_a_note() -> None:
    world = World()
    verdict = say(world, world.user("break-glass", allow("*")), allowed_users=("break-*",))
    assert verdict.status is Status.PASS
    assert verdict.evidence["allowed"] is True
    assert "dynamodb:Scan" in verdict.evidence["actions"]


def test_what_an_scp_blocks_is_one_level_milder_and_still_fails() -> None:
    world = World()
    user = world.user("alice", allow(["dynamodb:Scan", "dynamodb:GetItem"]))
    world.block(deny("dynamodb:Scan"))
    verdict = say(world, user)
    assert verdict.severity is Severity.HIGH
    assert "blockedBy" not in verdict.evidence
    world.block(deny("dynamodb:*"))
    verdict = say(world, user)
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.MEDIUM)
    assert "guard" in verdict.evidence["blockedBy"][0]


def test_an_scp_on_one_table_leaves_the_others_open() -> None:
    world = World()
    first, second = world.table("a"), world.table("b")
    user = world.user("alice", allow("dynamodb:Scan", [first.arn, second.arn]))
    world.block(deny("dynamodb:*", first.arn))
    assert say(world, user).severity is Severity.HIGH


def test_an_unreadable_resource_policy_leaves_a_grant_proved_and_its_absence_open() -> None:
    world = World()
    table = world.table("orders", policy=NO_POLICY)
    assert say(world, world.user("a", allow("dynamodb:Scan", table.arn))).status is Status.FAIL
    verdict = say(world, world.user("b"))
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "dynamodb:GetResourcePolicy")
    assert say(world, world.user("c", deny(["dynamodb:*", "dax:*"]))).status is Status.PASS
    # No resource policy names a group.
    assert say(world, world.group("g")).status is Status.PASS


def test_a_region_whose_tables_cannot_be_listed_leaves_the_absence_of_a_grant_open() -> None:
    world = World(listing=NO_LIST)
    verdict = say(world, world.user("b"))
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "dynamodb:ListTables")
    assert say(world, world.user("a", allow("dynamodb:*"))).status is Status.FAIL
    assert say(world, world.user("c", allow("*"), deny(["dynamodb:*", "dax:*"]))).status is Status.PASS
    assert say(world, world.user("d", allow("dynamodb:Scan", ORDERS))).status is Status.UNKNOWN
    assert say(world, world.group("quiet", allow("s3:*"))).status is Status.PASS
    assert say(world, world.group("literal", allow("dynamodb:Scan", ORDERS))).status is Status.UNKNOWN


def test_an_unlisted_cluster_matters_only_to_who_may_use_dax() -> None:
    world = World(clusters=Gap(Reason.ACCESS_DENIED, "Not allowed.", "dax:DescribeClusters"))
    cache = "arn:aws:dax:eu-west-1:111122223333:cache/orders"
    verdict = say(world, world.user("a", allow("dax:GetItem", cache)))
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "dax:DescribeClusters")
    assert say(world, world.user("b", allow("s3:*"))).status is Status.PASS


def test_an_unreadable_policy_of_the_user_is_unknown_with_its_permission() -> None:
    world = World()
    hidden = world.managed("hidden", gap=NO_TEXT)
    verdict = say(world, world.user("a", attached=(hidden,)))
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "iam:GetPolicyVersion")
    assert say(world, world.user("b", allow("*"), boundary=hidden)).status is Status.UNKNOWN
    assert say(world, world.user("c", deny("*"), attached=(hidden,))).status is Status.PASS


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"Statement": 5}', document({"Effect": "Maybe"}), document(allow("*") | {"Resource": 7})],
)
def test_a_malformed_policy_is_unknown_and_crashes_nothing(text: str) -> None:
    world = World()
    world.table("orders")
    verdict = say(world, world.user("alice", text=text))
    assert (verdict.status, verdict.reason) == (Status.UNKNOWN, "undecidable")


def test_tags_decide_only_where_it_is_known_that_dynamodb_evaluates_them() -> None:
    world = World()
    world.table("orders", tags={"team": "alpha"})
    team = {"StringEquals": {"aws:ResourceTag/team": "alpha"}}
    user = world.user("alice", allow("dynamodb:GetItem", Condition=team))
    assert say(world, user).status is Status.UNKNOWN
    assert "abac_enabled" in say(world, user).message
    assert say(world, user, config=Config(abac_enabled=True)).status is Status.FAIL
    assert say(world, user, config=Config(abac_enabled=False)).status is Status.PASS
    other = world.user("bob", allow("dynamodb:GetItem", Condition={"StringEquals": {"aws:ResourceTag/team": "beta"}}))
    assert say(world, other).status is Status.PASS


def test_unreadable_tags_leave_a_grant_by_tags_open() -> None:
    world = World()
    world.table("orders", tags=NO_TAGS)
    team = {"StringEquals": {"aws:ResourceTag/team": "alpha"}}
    user = world.user("alice", allow("dynamodb:GetItem", Condition=team))
    verdict = say(world, user, config=Config(abac_enabled=True))
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "dynamodb:ListTagsOfResource")


def test_the_user_that_audits_has_no_finding() -> None:
    world = World(caller="arn:aws:iam::111122223333:user/auditor")
    user = world.user("auditor", allow("dynamodb:*"))
    identities, held = world.facts()
    assert judge(user, identities, held, CredentialReport({}), TIME) is None
