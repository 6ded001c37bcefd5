"""AWS denies every operation in turn."""

from __future__ import annotations

import pytest

from auditor.rule_api import Status
from tests import denied

FAULT = "AccessDeniedException"


def test_the_undisturbed_replay_equals_the_planted_organisation() -> None:
    statuses = {one.status for one in denied.undisturbed().findings}
    assert statuses == set(Status)
    assert len(denied.undisturbed().findings) > 1000


def test_the_tables_name_operations_that_are_called() -> None:
    assert set(denied.TURNED) <= set(denied.operations())
    assert {one for pair in denied.TOGETHER for one in pair} <= set(denied.operations())


@pytest.mark.parametrize("operation", denied.operations())
def test_a_failing_operation_turns_verdicts_unknown_and_nothing_else(operation: str) -> None:
    assert denied.turned((operation,), FAULT) == denied.TURNED.get(operation, set())


@pytest.mark.parametrize("pair", denied.TOGETHER, ids="+".join)
def test_an_operation_that_fails_with_its_replacement_turns_verdicts_unknown(pair: tuple[str, ...]) -> None:
    assert denied.turned(pair, FAULT) == denied.TOGETHER[pair]
