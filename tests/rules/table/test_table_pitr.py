"""table-pitr: the PITR field and its window decide, tags only where the window lies between the two minima."""

from datetime import UTC, datetime

import pytest

from auditor import Severity, Status
from auditor.facts import Environment, Gap, PointInTimeRecovery, Reason, TableSettings
from tests.rules import TABLE, load

judge = load("table-pitr")

ACTIVE = TableSettings("ACTIVE")
PRODUCTION = Environment(production=True, source="tag env=prod")
SANDBOX = Environment(production=False, source="tag env=dev")
NO_TAGS = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:ListTagsOfResource")
NO_PITR = Gap(Reason.ACCESS_DENIED, "Not allowed.", "dynamodb:DescribeContinuousBackups")
OFF = PointInTimeRecovery(enabled=False)


def on(days: int = 35) -> PointInTimeRecovery:
    return PointInTimeRecovery(enabled=True, days=days)


@pytest.mark.parametrize(
    ("days", "environment", "status"),
    [
        (35, PRODUCTION, Status.PASS),
        (34, PRODUCTION, Status.FAIL),
        (7, PRODUCTION, Status.FAIL),
        (7, SANDBOX, Status.PASS),
        (6, SANDBOX, Status.FAIL),
        (35, NO_TAGS, Status.PASS),
        (34, NO_TAGS, Status.UNKNOWN),
        (7, NO_TAGS, Status.UNKNOWN),
        (6, NO_TAGS, Status.FAIL),
    ],
)
def test_the_window_is_judged_by_the_environment(days: int, environment: Environment | Gap, status: Status) -> None:
    verdict = judge(TABLE, ACTIVE, on(days), environment)
    assert verdict.status is status
    assert verdict.evidence["RecoveryPeriodInDays"] == days
    assert verdict.severity is (Severity.MEDIUM if status is Status.FAIL else None)
    assert verdict.missing_permission == ("dynamodb:ListTagsOfResource" if status is Status.UNKNOWN else None)


def test_recovery_that_is_off_fails_whatever_the_tags_say_with_the_rules_own_severity() -> None:
    for environment in (PRODUCTION, SANDBOX, NO_TAGS):
        verdict = judge(TABLE, ACTIVE, OFF, environment)
        assert (verdict.status, verdict.severity) == (Status.FAIL, None)
        assert verdict.evidence["PointInTimeRecoveryStatus"] == "DISABLED"
        assert verdict.evidence["RecoveryPeriodInDays"] is None
    assert judge.rule.severity is Severity.HIGH  # type: ignore[attr-defined]


def test_unreadable_recovery_is_unknown_and_names_the_action() -> None:
    verdict = judge(TABLE, ACTIVE, NO_PITR, PRODUCTION)
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "dynamodb:DescribeContinuousBackups")


@pytest.mark.parametrize("status", ["CREATING", "DELETING", "ARCHIVING", "ARCHIVED"])
def test_tables_in_transition_and_archived_ones_are_not_judged_even_with_gaps(status: str) -> None:
    for recovery in (OFF, NO_PITR):
        verdict = judge(TABLE, TableSettings(status), recovery, NO_TAGS)
        assert verdict.status is Status.NOT_APPLICABLE
        assert verdict.evidence == {"TableStatus": status}


def test_a_table_that_lost_its_key_is_still_judged() -> None:
    broken = TableSettings("INACCESSIBLE_ENCRYPTION_CREDENTIALS")
    assert judge(TABLE, broken, OFF, PRODUCTION).status is Status.FAIL


def test_a_short_history_is_evidence_and_not_held_against_the_table() -> None:
    recent = PointInTimeRecovery(enabled=True, earliest=datetime(2026, 1, 31, 12, tzinfo=UTC))
    verdict = judge(TABLE, ACTIVE, recent, PRODUCTION)
    assert verdict.status is Status.PASS
    assert verdict.evidence == {
        "PointInTimeRecoveryStatus": "ENABLED",
        "RecoveryPeriodInDays": 35,
        "EarliestRestorableDateTime": "2026-01-31T12:00:00Z",
    }


def test_the_minima_are_settings_and_one_may_be_left_out() -> None:
    assert judge(TABLE, ACTIVE, on(14), PRODUCTION, min_recovery_days={"production": 14}).status is Status.PASS
    assert judge(TABLE, ACTIVE, on(6), SANDBOX, min_recovery_days={"production": 14}).status is Status.FAIL
    assert judge(TABLE, ACTIVE, on(34), PRODUCTION, min_recovery_days={"default": 1}).status is Status.FAIL
    assert judge(TABLE, ACTIVE, on(1), SANDBOX, min_recovery_days={"default": 1}).status is Status.PASS
    # Stricter outside production: what is enough depends on the tags, in either order.
    odd = {"production": 7, "default": 35}
    assert judge(TABLE, ACTIVE, on(7), PRODUCTION, min_recovery_days=odd).status is Status.PASS
    assert judge(TABLE, ACTIVE, on(7), NO_TAGS, min_recovery_days=odd).status is Status.UNKNOWN


@pytest.mark.parametrize(
    ("minima", "environment", "status"),
    [
        ({}, PRODUCTION, Status.UNKNOWN),
        ({}, SANDBOX, Status.UNKNOWN),
        ({}, NO_TAGS, Status.UNKNOWN),
        ({"default": 1}, SANDBOX, Status.PASS),
        ({"default": 1}, PRODUCTION, Status.UNKNOWN),
        ({"default": 1}, NO_TAGS, Status.UNKNOWN),
        ({"production": 1, "default": 1}, PRODUCTION, Status.PASS),
        ({"production": 1, "default": 1}, NO_TAGS, Status.PASS),
    ],
)
def test_a_window_that_nobody_recorded_passes_only_where_a_day_is_enough(
    minima: dict[str, int], environment: Environment | Gap, status: Status
) -> None:
    recorded = PointInTimeRecovery(enabled=True, days=None, recorded=datetime(2026, 1, 31, 12, tzinfo=UTC))
    verdict = judge(TABLE, ACTIVE, recorded, environment, **({"min_recovery_days": minima} if minima else {}))
    assert verdict.status is status
    assert verdict.evidence == {
        "PointInTimeRecoveryStatus": "ENABLED",
        "RecoveryPeriodInDays": None,
        "EarliestRestorableDateTime": None,
        "configurationItemCaptureTime": "2026-01-31T12:00:00Z",
    }
    by_tags = minima == {"default": 1} and environment is NO_TAGS  # a day is enough for one and not for the other
    assert verdict.missing_permission == ("dynamodb:ListTagsOfResource" if by_tags else None)
    assert ("did not record its window" in verdict.message) == (status is Status.UNKNOWN and not by_tags)


def test_recovery_that_aws_config_recorded_as_off_fails() -> None:
    verdict = judge(TABLE, ACTIVE, PointInTimeRecovery(enabled=False, days=None), PRODUCTION)
    assert (verdict.status, verdict.message) == (Status.FAIL, "Point-in-time recovery is off.")
