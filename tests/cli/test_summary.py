"""The summary on the terminal: counts, the worst failures, what is unknown; nothing in it acts."""

import re
from pathlib import Path

import pytest

from auditor.cli.summary import print_summary
from auditor.report import Report
from auditor.rule_api import Severity, Status
from tests import reports
from tests.reports import CARTS, HOSTILE, ORDERS, finding, made


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


def printed(report: Report, capsys: pytest.CaptureFixture[str], *, no_color: bool = False) -> str:
    print_summary(report, [Path("out/report.html")], no_color=no_color)
    return capsys.readouterr().out


def test_every_rule_has_its_counts(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(made([finding(), finding(resource=CARTS, status=Status.PASS)]), capsys).splitlines()
    (line,) = [one for one in lines if one.startswith("table-deletion-protection")]
    assert line.split() == ["table-deletion-protection", "high", "1", "-", "1", "-"]
    assert lines[-1] == "Report  out/report.html"


def test_the_worst_failure_comes_first_with_what_to_do_next(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(
        made(
            [
                finding("table-required-tags", severity=Severity.LOW, message="A tag is missing."),
                finding("kms-key-usable", severity=Severity.CRITICAL, message="The key is gone."),
            ]
        ),
        capsys,
    )
    assert text.index("The key is gone.") < text.index("A tag is missing.")
    assert "`ddbaudit rules show kms-key-usable`" in text


def test_what_is_unknown_is_told_with_the_reason_and_the_permission(capsys: pytest.CaptureFixture[str]) -> None:
    denied = finding(
        status=Status.UNKNOWN, reason="access_denied", missing_permission="dynamodb:DescribeTable", message="Denied."
    )
    text = printed(made([denied]), capsys)
    assert re.search(r"^ +1 +.*dynamodb:DescribeTable", text, re.MULTILINE)
    assert "incomplete" in text
    assert "Next:" not in text


@pytest.mark.parametrize("sample", [reports.mixed, reports.empty, reports.hostile])
@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_nothing_in_a_report_moves_the_cursor(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, sample: object, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert callable(sample)
    text = printed(sample(), capsys)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]", text)


@pytest.mark.parametrize("text", ["[/]", "[bold]x[/bold]", "[link=https://x]y", "\\[red]", ":warning:", HOSTILE])
def test_markup_in_a_message_is_text(capsys: pytest.CaptureFixture[str], text: str) -> None:
    shown = printed(made([finding(message=f"{text} end")]), capsys)
    assert "end" in shown
    if text != HOSTILE:
        assert f"{text} end" in shown


def test_colours_are_for_those_who_want_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    report = made([finding(resource=ORDERS)])
    assert "\x1b" not in printed(report, capsys)  # a pipe
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in printed(report, capsys)
    assert "\x1b[31m" not in printed(report, capsys, no_color=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31m" not in printed(report, capsys)
