"""Where nothing answers any more the auditor gives up in bounded time, and says what it did not ask."""

from __future__ import annotations

from typing import Any

import botocore.exceptions
import pytest

from auditor.facts import Gap, PointInTimeRecovery, Reason, TableSettings
from auditor.sources.aws import scheduler
from auditor.sources.aws.scheduler import GIVEN_UP
from auditor.sources.aws.session import Access, Missing, Vanished
from tests.sources.aws.conftest import Gather, create_table

TABLES = 60
GAP = Gap(Reason.TRANSIENT, "No answer.", "dynamodb:DescribeTable")
SILENT = Missing(GAP, "ReadTimeoutError", "dynamodb:DescribeTable", "no answer")
REFUSED = Missing(GAP, "InternalServerError", "dynamodb:DescribeTable", "no")


class Clock:
    """The clock of the module under test."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(scheduler, "time", made)
    return made


def test_silence_lasts_when_it_is_long_and_met_enough_calls(clock: Clock) -> None:
    silence = scheduler._Silence(enough=3)
    for _ in range(3):
        silence.note(SILENT)
        clock.now += 50
    assert silence.lasts


def test_a_short_outage_is_no_lasting_silence(clock: Clock) -> None:
    silence = scheduler._Silence(enough=3)
    for _ in range(100):
        silence.note(SILENT)
        clock.now += 1
    assert not silence.lasts
    clock.now += 20
    assert silence.lasts


@pytest.mark.parametrize("answered", [None, REFUSED, Vanished("dynamodb:DescribeTable", "Gone", "gone")], ids=repr)
def test_every_answer_ends_a_silence_an_error_too(clock: Clock, answered: Missing | Vanished | None) -> None:
    silence = scheduler._Silence(enough=3)
    for _ in range(5):
        silence.note(SILENT)
        clock.now += 50
    silence.note(answered)
    assert not silence.lasts
    for _ in range(2):
        silence.note(SILENT)
        clock.now += 500
    assert not silence.lasts


def test_an_operation_that_is_silent_is_given_up_and_the_others_are_not(
    gather: Gather, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(TABLES):
        create_table(f"t{number}")
    met: list[str] = []

    def silent(request: Any, **_: Any) -> None:
        met.append(request.url)
        raise botocore.exceptions.ReadTimeoutError(endpoint_url=request.url)

    access.client("dynamodb", "eu-west-1").meta.events.register_first(
        "before-send.dynamodb.DescribeContinuousBackups", silent
    )
    monkeypatch.setattr(scheduler, "SILENCE", 0.0)
    inventory = gather("table-pitr")
    recovery = inventory.facts[PointInTimeRecovery]
    assert len(recovery) == TABLES
    assert all(isinstance(value, Gap) and value.reason is Reason.TRANSIENT for value in recovery.values())
    # A lane has sixteen calls in flight: so many are silent before it is clear, and so many more have begun by then.
    assert 16 <= len(met) <= 32
    assert [error.code for error in inventory.errors].count(GIVEN_UP) == TABLES - len(met)
    assert all(isinstance(value, TableSettings) for value in inventory.facts[TableSettings].values())
    unasked = [value.detail for value in recovery.values() if "was not asked" in value.detail]
    assert len(unasked) == TABLES - len(met)
