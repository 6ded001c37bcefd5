"""What authors of rules work with: severities, verdicts, settings, and how a rule is called."""

from dataclasses import replace
from typing import Annotated, Any

import pytest

import auditor
from auditor import Remediation, Severity, Side, Status, Verdict, failed, not_applicable, passed, rule, unknown
from auditor.facts import Gap, Reason, TableSettings
from auditor.facts.base import SignatureError
from auditor.resources import Table
from auditor.rule_api import Rule
from tests.rules import TABLE

DECLARATION: dict[str, Any] = {
    "severity": Severity.HIGH,
    "side": Side.AMAZON,
    "practices": ["P1"],
    "remediation": Remediation("Mend it.", "", "", ""),
    "references": ["https://docs.aws.amazon.com/"],
}


def declared(function: Any, **changes: Any) -> Rule:
    made = vars(rule(**(DECLARATION | changes))(function))["rule"]
    assert isinstance(made, Rule)
    return made


def table_limit(
    table: Table, settings: TableSettings, *, limit: Annotated[int, "How many.", "At most."] = 3
) -> Verdict:
    """Tables are few.

    More than a few are many.

    And that is bad.
    """
    return passed(f"{table.name} is within {limit}.")


def test_severities_are_ordered_and_stay_on_their_scale() -> None:
    assert sorted(Severity) == [Severity.INFORMATIONAL, Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL]
    assert Severity.HIGH.moved(1) is Severity.HIGH.moved(9) is Severity.CRITICAL
    assert Severity.LOW.moved(-1) is Severity.LOW.moved(-9) is Severity.INFORMATIONAL
    assert Severity.MEDIUM.moved(0).label == "medium"


def test_the_page_of_a_rule_is_its_docstring_and_its_signature() -> None:
    made = declared(table_limit, controls={"CIS": ["1.1"]})
    assert (made.id, made.title) == ("table-limit", "Tables are few.")
    assert made.description == "More than a few are many.\n\nAnd that is bad."
    assert (made.practices, made.controls) == (("P1",), {"CIS": ("1.1",)})
    (setting,) = made.settings
    assert (setting.name, setting.default, setting.help) == ("limit", 3, "How many. At most.")
    assert table_limit(TABLE, TableSettings("ACTIVE"), limit=5).message == "orders is within 5."


def test_a_configured_rule_is_another_rule() -> None:
    made = declared(table_limit)
    other = made.configured(Severity.LOW, {"limit": 9})
    (verdict,) = other.judge(TABLE, {"settings": TableSettings("ACTIVE")})
    assert verdict.message == "orders is within 9."
    assert (other.severity, made.severity, dict(made.values)) == (Severity.LOW, Severity.HIGH, {})
    assert made.configured(None, {}).severity is Severity.HIGH


@pytest.mark.parametrize("outcome", [None, passed("a"), [], [passed("a"), failed("b")], (one for one in [passed("a")])])
def test_whatever_a_rule_returns_becomes_a_sequence(outcome: Any) -> None:
    expected = [] if outcome is None else [outcome] if isinstance(outcome, Verdict) else outcome
    made = replace(declared(table_limit), function=lambda *_, **__: outcome)
    found = list(made.judge(TABLE, {}))
    assert all(isinstance(one, Verdict) for one in found)
    if isinstance(expected, list):
        assert found == expected
    else:
        assert [one.message for one in found] == ["a"]


def test_each_helper_makes_its_verdict() -> None:
    common: dict[str, Any] = {"sub_key": "k", "about": TABLE, "Answer": 1}
    for verdict, status in (
        (passed("m", **common), Status.PASS),
        (failed("m", **common), Status.FAIL),
        (not_applicable("m", **common), Status.NOT_APPLICABLE),
        (unknown("m", **common), Status.UNKNOWN),
    ):
        assert verdict.status is status
        assert (verdict.message, verdict.sub_key, verdict.about, verdict.evidence) == ("m", "k", TABLE, {"Answer": 1})
    assert failed("m").severity is None
    assert failed("m", severity=Severity.LOW).severity is Severity.LOW
    assert not_applicable("m", reason="not_declared").reason == "not_declared"
    assert (passed("m").reason, failed("m").reason, not_applicable("m").reason) == (None, None, None)


def test_unknown_takes_a_gaps_reason_and_action_or_a_sentence() -> None:
    gap = Gap(Reason.ACCESS_DENIED, "Denied.", "dynamodb:DescribeTable")
    verdict = unknown(gap, TableStatus="ACTIVE")
    assert (verdict.message, verdict.reason) == ("Denied.", "access_denied")
    assert (verdict.missing_permission, verdict.evidence) == ("dynamodb:DescribeTable", {"TableStatus": "ACTIVE"})
    assert unknown("Who knows?").reason == "undecidable"
    assert unknown("Some of it.", reason=Reason.PARTIAL_DATA).reason == "partial_data"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"severity": "high"}, "severity must be one of Severity"),
        ({"severity": 3}, "severity must be one of Severity"),
        ({"side": "amazon"}, "side must be one of Side"),
        ({"practices": "P1"}, "practices must be a list of texts"),
        ({"references": "https://x"}, "references must be a list of texts"),
    ],
)
def test_a_declaration_of_the_wrong_type_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SignatureError, match=f"table_limit: {words}"):
        declared(table_limit, **changes)


def test_settings_that_every_rule_has_cannot_be_taken() -> None:
    def table_taken(table: Table, *, severity: Annotated[str, "Mine."] = "") -> Verdict:
        """T.

        W.
        """
        return passed(severity + table.name)

    with pytest.raises(SignatureError, match="every rule has a setting 'severity'"):
        declared(table_taken)


def test_the_public_api_is_there_and_nothing_else() -> None:
    for name in auditor.__all__:
        assert getattr(auditor, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = auditor.no_such_name
