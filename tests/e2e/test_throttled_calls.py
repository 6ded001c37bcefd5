"""AWS throttles every operation in turn, without end."""

from __future__ import annotations

import pytest

from tests import denied

FAULT = "ThrottlingException"


@pytest.mark.parametrize("operation", denied.operations())
def test_a_failing_operation_turns_verdicts_unknown_and_nothing_else(operation: str) -> None:
    assert denied.turned((operation,), FAULT) == denied.TURNED.get(operation, set())


@pytest.mark.parametrize("pair", denied.TOGETHER, ids="+".join)
def test_an_operation_that_fails_with_its_replacement_turns_verdicts_unknown(pair: tuple[str, ...]) -> None:
    assert denied.turned(pair, FAULT) == denied.TOGETHER[pair]
