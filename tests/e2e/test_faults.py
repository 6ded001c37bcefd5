"""The fault matrix: every kind of fault meets every operation. All of it with FAULTS=all, otherwise a fixed sample."""

from __future__ import annotations

import os

import pytest

from auditor.engine import judge
from auditor.facts.base import IAM_ACTIONS
from auditor.sources.aws import scheduler
from tests import denied, faults

WHOLE = os.environ.get("FAULTS") == "all"
CASES = faults.cases() if WHOLE else faults.sample()


@pytest.mark.parametrize(("name", "together"), CASES, ids=lambda one: one if isinstance(one, str) else "+".join(one))
def test_a_fault_turns_verdicts_unknown_and_nothing_else(name: str, together: faults.Together) -> None:
    kind = faults.KINDS[name]
    changed = faults.changes(kind, together)
    if kind.passes:
        assert changed == set()
    elif kind.spreads:
        assert changed >= faults.expected(together)
    elif kind.partly or (kind.spoils and answers_with_errors(together)):
        assert changed <= faults.expected(together)
    else:
        assert changed == faults.expected(together)


def answers_with_errors(together: faults.Together) -> bool:
    """Tell whether some of the recorded answers are errors, which nothing spoils."""
    answers = denied.recording().answers
    return any("Error" in parsed for (_, operation, _), (_, parsed) in answers.items() if operation in together)


@pytest.mark.parametrize("seed", ["1", "2", "3"] if WHOLE else ["1"])
@pytest.mark.parametrize("percent", [5, 50])
def test_throttled_calls_of_all_operations_are_made_good_by_tries(percent: int, seed: str) -> None:
    after = faults.run(faults.throttling(percent, seed), set(denied.operations()))
    tried = denied.recording().attempts.total()
    assert denied.changes(after, set()) == set()
    assert tried > faults.calls().total() * (1 + percent / 200)


def test_an_account_that_nothing_answers_for_is_given_up_and_no_verdict_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The network goes away in the middle of a run."""
    monkeypatch.setattr(scheduler, "SILENCE", 0.0)
    monkeypatch.setattr(scheduler, "SILENT_CALLS_OF_ACCOUNT", 5)
    everything = set(denied.operations())
    gone = faults.from_on(lambda _: faults.UNREAD)(("dynamodb:DescribeTable",))
    inventory = denied.recording().collect(denied.rules(), regions=denied.REGIONS, trouble=gone, troubled=everything)
    assert scheduler.GIVEN_UP in {error.code for error in inventory.errors}
    judgement = judge(inventory, denied.rules(), denied.config())
    assert len(denied.changes(judgement, {IAM_ACTIONS.get(one, one) for one in everything})) > 30


def test_the_sample_has_every_kind_of_fault() -> None:
    assert {name for name, _ in faults.sample()} == set(faults.KINDS)
    assert set(faults.sample()) <= set(faults.cases())
