"""The endpoint of every operation in turn cannot be reached."""

from __future__ import annotations

import botocore.exceptions
import pytest

from tests import denied

FAULT = botocore.exceptions.EndpointConnectionError(endpoint_url="https://nowhere")


@pytest.mark.parametrize("operation", denied.operations())
def test_a_failing_operation_turns_verdicts_unknown_and_nothing_else(operation: str) -> None:
    assert denied.turned((operation,), FAULT) == denied.TURNED.get(operation, set())


@pytest.mark.parametrize("pair", denied.TOGETHER, ids="+".join)
def test_an_operation_that_fails_with_its_replacement_turns_verdicts_unknown(pair: tuple[str, ...]) -> None:
    assert denied.turned(pair, FAULT) == denied.TOGETHER[pair]
