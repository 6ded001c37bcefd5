"""kms-key-rotation: which keys can rotate, and whether they do often enough."""

from datetime import UTC, datetime
from typing import Any

import pytest

from auditor import Status, Verdict
from auditor.facts import CollectionTime, Gap, KeyRotation, KeySettings, Reason
from auditor.resources import Account, Key, Region
from tests.rules import ACCOUNT, KEY, load

judge = load("kms-key-rotation")

NO_KEY = Gap(Reason.ACCESS_DENIED, "Not allowed.", "kms:DescribeKey")
NO_ROTATION = Gap(Reason.ACCESS_DENIED, "Not allowed.", "kms:GetKeyRotationStatus")
ON, OFF = KeyRotation(enabled=True), KeyRotation(enabled=False)
OWN = KeySettings("Enabled")
PRIMARY = Key(Region(ACCOUNT, "eu-central-1"), "mrk-1234abcd12ab34cd56ef1234567890ab")


def ask(settings: KeySettings | Gap, rotation: KeyRotation | Gap, key: Key = KEY, **options: Any) -> Verdict:
    audited = {ACCOUNT: Gap(Reason.PARTIAL_DATA, "Not collected.")}
    verdict = judge(key, settings, rotation, audited, **options)
    assert isinstance(verdict, Verdict)
    return verdict


@pytest.mark.parametrize(
    ("days", "limit", "status"),
    [
        (365, {}, Status.PASS),
        (90, {}, Status.PASS),
        (366, {}, Status.FAIL),
        (180, {"max_rotation_days": 90}, Status.FAIL),
        (2560, {"max_rotation_days": 2560}, Status.PASS),
    ],
)
def test_the_period_must_not_be_longer_than_the_setting(days: int, limit: dict[str, Any], status: Status) -> None:
    verdict = ask(OWN, KeyRotation(enabled=True, days=days), **limit)
    assert (verdict.status, verdict.severity) == (status, None)
    assert verdict.evidence["KeyRotationEnabled"] is True
    assert verdict.evidence["RotationPeriodInDays"] == days


@pytest.mark.parametrize("state", ["Enabled", "Disabled"])
def test_rotation_that_is_off_fails_also_on_a_disabled_key(state: str) -> None:
    verdict = ask(KeySettings(state), OFF)
    assert verdict.status is Status.FAIL
    assert verdict.evidence["RotationPeriodInDays"] is None
    assert ask(KeySettings(state), ON).status is Status.PASS


@pytest.mark.parametrize(
    "settings",
    [
        KeySettings("Enabled", manager="AWS"),
        KeySettings("Enabled", origin="EXTERNAL"),
        KeySettings("Enabled", origin="AWS_CLOUDHSM"),
        KeySettings("Enabled", origin="EXTERNAL_KEY_STORE"),
        KeySettings("PendingDeletion"),
        KeySettings("PendingReplicaDeletion"),
        KeySettings("NotFound"),
        KeySettings("Enabled", multi_region_type="REPLICA", primary=PRIMARY),
    ],
)
def test_keys_that_cannot_rotate_by_themselves_are_not_judged_whatever_the_rotation_says(
    settings: KeySettings,
) -> None:
    for rotation in (ON, OFF, NO_ROTATION):
        assert ask(settings, rotation).status is Status.NOT_APPLICABLE


def test_a_replica_names_its_primary_and_a_primary_is_judged() -> None:
    replica = KeySettings("Enabled", multi_region_type="REPLICA", primary=PRIMARY)
    assert ask(replica, ON).evidence["PrimaryKey"] == PRIMARY.arn
    assert ask(KeySettings("Enabled", multi_region_type="PRIMARY", primary=PRIMARY), OFF).status is Status.FAIL


def test_what_cannot_be_read_is_unknown_and_names_the_action() -> None:
    assert ask(NO_KEY, ON).missing_permission == "kms:DescribeKey"
    verdict = ask(OWN, NO_ROTATION)
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "kms:GetKeyRotationStatus")
    assert verdict.evidence["KeyState"] == "Enabled"


def test_a_key_of_an_account_that_is_not_audited_is_unknown_even_where_kms_answers() -> None:
    other = Account("444455556666")
    foreign = Key(Region(other, "eu-west-1"), KEY.name)
    for rotation in (ON, OFF, NO_ROTATION):
        verdict = ask(OWN, rotation, key=foreign)
        assert verdict.status is Status.UNKNOWN
        assert other.id in verdict.message
    assert judge(foreign, OWN, OFF, {other: CollectionTime(datetime(2026, 1, 31, tzinfo=UTC))}).status is Status.FAIL
