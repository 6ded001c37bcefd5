"""kms-key-usable: states of keys, expiry of imported material, and tables that lost their key."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from auditor import Severity, Status, Verdict
from auditor.facts import CollectionTime, Gap, KeySettings, KeyUse, Reason, TableSettings
from auditor.resources import Account, Key, Region
from tests.rules import ACCOUNT, KEY, TABLE, load

judge = load("kms-key-usable")

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
DENIED = Gap(Reason.ACCESS_DENIED, "Not allowed.", "kms:DescribeKey")


def ask(settings: KeySettings | Gap, table: TableSettings | None = None, key: Key = KEY, **options: Any) -> Verdict:
    use = KeyUse(((TABLE, table or TableSettings("ACTIVE")),))
    times = options.pop("times", {ACCOUNT: CollectionTime(NOW)})
    verdict = judge(key, settings, use, times, **options)
    assert isinstance(verdict, Verdict)
    return verdict


@pytest.mark.parametrize(
    ("state", "status", "severity"),
    [
        ("Enabled", Status.PASS, None),
        ("Creating", Status.PASS, None),
        ("Updating", Status.PASS, None),
        ("Disabled", Status.FAIL, Severity.HIGH),
        ("PendingImport", Status.FAIL, Severity.HIGH),
        ("Unavailable", Status.FAIL, Severity.HIGH),
        ("PendingDeletion", Status.FAIL, Severity.CRITICAL),
        ("PendingReplicaDeletion", Status.FAIL, Severity.CRITICAL),
        ("NotFound", Status.FAIL, Severity.CRITICAL),
        ("Paused", Status.UNKNOWN, None),
    ],
)
def test_the_state_of_the_key_decides(state: str, status: Status, severity: Severity | None) -> None:
    verdict = ask(KeySettings(state))
    assert (verdict.status, verdict.severity) == (status, severity)
    assert verdict.evidence["KeyState"] == state
    assert verdict.evidence["tables"] == [TABLE.arn]


def test_the_deletion_date_is_evidence() -> None:
    assert ask(KeySettings("PendingDeletion", deletion_date=NOW)).evidence["DeletionDate"] == "2026-01-31T12:00:00Z"


@pytest.mark.parametrize(("days", "status"), [(-1, Status.FAIL), (30, Status.FAIL), (31, Status.PASS)])
def test_imported_material_that_expires_soon_fails(days: int, status: Status) -> None:
    verdict = ask(KeySettings("Enabled", origin="EXTERNAL", valid_to=NOW + timedelta(days=days)))
    assert verdict.status is status
    assert verdict.severity is (Severity.HIGH if status is Status.FAIL else None)


def test_the_days_are_a_setting() -> None:
    held = KeySettings("Enabled", origin="EXTERNAL", valid_to=NOW + timedelta(days=45))
    assert ask(held, expiry_days=44).status is Status.PASS
    assert ask(held, expiry_days=45).status is Status.FAIL


def test_the_time_of_collection_matters_only_where_material_expires() -> None:
    lost = Gap(Reason.PARTIAL_DATA, "Not collected.")
    for times in ({}, {ACCOUNT: lost}):
        assert ask(KeySettings("Enabled"), times=times).status is Status.PASS
        assert ask(KeySettings("Enabled", valid_to=NOW), times=times).status is Status.UNKNOWN
        assert ask(KeySettings("PendingDeletion", valid_to=NOW), times=times).status is Status.FAIL


@pytest.mark.parametrize(
    ("table", "value"),
    [
        (TableSettings("INACCESSIBLE_ENCRYPTION_CREDENTIALS"), ("INACCESSIBLE_ENCRYPTION_CREDENTIALS", None, None)),
        (TableSettings("ACTIVE", inaccessible_since=NOW), ("ACTIVE", "2026-01-31T12:00:00Z", None)),
        (TableSettings("ARCHIVING"), ("ARCHIVING", None, None)),
        (TableSettings("ARCHIVED", archival_reason="LOST"), ("ARCHIVED", None, "LOST")),
    ],
)
def test_a_table_that_lost_its_key_fails_whatever_is_known_of_the_key(
    table: TableSettings, value: tuple[str | None, ...]
) -> None:
    names = ("TableStatus", "InaccessibleEncryptionDateTime", "ArchivalReason")
    for settings in (KeySettings("Enabled"), KeySettings("Disabled"), DENIED):
        verdict = ask(settings, table)
        # The rule's own severity, critical: a key has no environment that would move it.
        assert (verdict.status, verdict.severity) == (Status.FAIL, None)
        assert verdict.evidence["stricken"] == {TABLE.arn: dict(zip(names, value, strict=True))}
    assert judge.rule.severity is Severity.CRITICAL  # type: ignore[attr-defined]


@pytest.mark.parametrize("status", ["CREATING", "UPDATING", "DELETING", "REPLICATION_NOT_AUTHORIZED"])
def test_other_states_of_tables_say_nothing_of_the_key(status: str) -> None:
    assert ask(KeySettings("Enabled"), TableSettings(status)).status is Status.PASS


def test_a_table_whose_settings_are_not_known_may_have_lost_the_key() -> None:
    gap = Gap(Reason.THROTTLED, "Throttled.", "dynamodb:DescribeTable")
    use = KeyUse(((TABLE, TableSettings("ACTIVE")),), gap)
    for state, status in (("Enabled", Status.UNKNOWN), ("Creating", Status.UNKNOWN), ("Disabled", Status.FAIL)):
        verdict = judge(KEY, KeySettings(state), use, {})
        assert isinstance(verdict, Verdict)
        assert verdict.status is status
        assert verdict.missing_permission == (gap.action if status is Status.UNKNOWN else None)


def test_keys_of_other_accounts_are_judged_where_kms_answers_and_unknown_where_it_does_not() -> None:
    foreign = Key(Region(Account("444455556666"), "eu-west-1"), KEY.name)
    assert ask(KeySettings("Enabled"), key=foreign).status is Status.PASS
    assert ask(KeySettings("PendingDeletion"), key=foreign).status is Status.FAIL
    verdict = ask(DENIED, key=foreign)
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "kms:DescribeKey")
    assert verdict.evidence == {"tables": [TABLE.arn]}
