"""dax-encryption-at-rest: ENABLED only passes; what is being switched is not final."""

from typing import Any

import pytest

from auditor import Severity, Status
from auditor.facts import DaxSettings, Reason
from tests.rules import CLUSTER, load

judge: Any = load("dax-encryption-at-rest")


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("ENABLED", Status.PASS),
        ("DISABLED", Status.FAIL),
        ("ENABLING", Status.UNKNOWN),
        ("DISABLING", Status.UNKNOWN),
        ("SOMETHING_NEW", Status.UNKNOWN),
    ],
)
def test_the_state_of_encryption_decides_and_is_the_evidence(state: str, status: Status) -> None:
    verdict = judge(CLUSTER, DaxSettings("available", sse_status=state))
    assert verdict.status is status
    assert verdict.evidence == {"SSEDescription": {"Status": state}}
    assert verdict.severity is None


def test_a_cluster_whose_answer_has_no_encryption_fails() -> None:
    assert judge(CLUSTER, DaxSettings("available")).status is Status.FAIL


def test_switching_is_transient() -> None:
    assert judge(CLUSTER, DaxSettings("modifying", sse_status="ENABLING")).reason == Reason.TRANSIENT


@pytest.mark.parametrize("state", ["ENABLED", "DISABLED", "ENABLING"])
def test_a_cluster_that_is_being_deleted_is_not_judged(state: str) -> None:
    verdict = judge(CLUSTER, DaxSettings("deleting", sse_status=state))
    assert verdict.status is Status.NOT_APPLICABLE
    assert verdict.evidence == {"Status": "deleting"}


@pytest.mark.parametrize("status", ["creating", "available", "modifying", "incompatible-parameters"])
def test_clusters_in_every_other_state_are_judged(status: str) -> None:
    assert judge(CLUSTER, DaxSettings(status)).status is Status.FAIL


def test_the_rule_has_no_settings_and_is_of_medium_severity() -> None:
    assert (judge.rule.settings, judge.rule.severity) == ((), Severity.MEDIUM)
