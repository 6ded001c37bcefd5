"""The summary on the terminal: counts, the worst failures, what is unknown; nothing in it acts."""

import io
import re
from pathlib import Path

import pytest

from auditor.cli.summary import print_summary
from auditor.report import Report
from auditor.resources import Table
from auditor.rule_api import Severity, Status
from tests import example, reports
from tests.reports import CARTS, HOSTILE, ORDERS, finding, made


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


def printed(report: Report, capsys: pytest.CaptureFixture[str], *, no_color: bool = False) -> str:
    print_summary(report, [Path("out/report.html")], no_color=no_color)
    return capsys.readouterr().out


def line(text: str, beginning: str) -> list[str]:
    """Return the words of the only line that begins so."""
    (found,) = [one for one in text.splitlines() if one.startswith(beginning)]
    return found.split()


def test_the_verdict_comes_first_and_the_files_last(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(made([finding(), finding(resource=CARTS, status=Status.PASS)]), capsys).splitlines()
    assert lines[0] == "FAILED  1 finding at or above high"
    assert lines[1].startswith("2 tables and 0 DAX clusters in 4 regions of 2 accounts")
    assert lines[1].endswith(", score 50.0 of 100")
    assert lines[-1] == "Report  out/report.html"


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (made(), "PASSED  no finding at or above high"),
        (made(fail_on=None), "PASSED  no severity fails this run"),
        (made([finding()], new_only=True), "FAILED  1 new finding at or above high"),
        (made([finding(counted_before=True)], new_only=True), "PASSED  no new finding at or above high"),
        (made(complete=False), "INCOMPLETE  no finding at or above high, but not everything could be evaluated"),
        (made([finding(status=Status.UNKNOWN, acceptance=reports.ACCEPTED)]), "PASSED  no finding at or above high"),
    ],
)
def test_the_verdict(capsys: pytest.CaptureFixture[str], report: Report, words: str) -> None:
    assert printed(report, capsys).splitlines()[0] == words


def test_counts_by_severity_tell_new_accepted_and_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(reports.compared(), capsys)
    assert line(text, " " * 10 + "fail") == ["fail", "new", "accepted", "unknown"]
    assert line(text.partition("The worst")[0], "critical ") == ["critical", "1", "-", "-", "-"]
    assert line(text, "medium  ") == ["medium", "1", "-", "1", "-"]
    assert line(text, "all ") == ["all", "4", "1", "1", "2"]
    assert "low" not in text
    assert "1 pass, 1 do not apply" in text
    head = printed(reports.mixed(), capsys).partition("The worst")[0]
    assert line(head, " " * 10) == ["fail", "unknown"]


def test_what_is_accepted_is_not_among_the_worst_and_no_open_doubt(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(reports.compared(), capsys)
    assert "The worst of 3 failures" in text
    assert "carts" not in text
    assert "1 finding could not be evaluated" in text
    assert "kms:DescribeKey" not in text


def test_the_comparison_and_the_acceptance_file_have_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(reports.compared(), capsys)
    assert "Since 2026-01-24 12:00 UTC: 1 new failure, 3 fixed, 2 not evaluated again" in text
    assert "Of 3 acceptances 1 expired and 1 stale: see `ddbaudit baseline check accepted.yaml`." in text


def test_with_new_only_old_failures_are_counted_and_not_listed(capsys: pytest.CaptureFixture[str]) -> None:
    old = finding(resource=CARTS, state="unchanged", counted_before=True)
    text = printed(made([finding(state="new"), old], new_only=True), capsys)
    assert "The worst of 1 new failure\n" in text
    assert "carts" not in text
    assert line(text, "all ") == ["all", "2", "0"]


def test_rules_with_most_failures_come_first_among_equals_and_the_rest_is_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rules = [rule.id for rule in made().rules][:8]
    many = [finding(rules[7], Table(reports.IRELAND, name)) for name in "abcde"]
    text = printed(made([*many, *(finding(one) for one in rules[:7])]), capsys)
    worst = text[text.index("The worst of 12 failures") :]
    assert worst.splitlines()[1].split() == ["high", rules[7], "5", "findings"]
    assert "a (shop-production, eu-west-1), b (shop-production, eu-west-1), c" in worst
    assert re.search(r"\(shop-production, eu-west-1\) and 2 more", " ".join(worst.split()))
    assert re.search(r"and 3 more *\n", worst)


@pytest.mark.parametrize("columns", ["60", "80", "120", "200"])
def test_no_wall_of_text_at_any_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    lines = printed(example.report(), capsys).splitlines()
    assert len(lines) <= {"60": 80, "80": 65}.get(columns, 50)
    assert max(map(len, lines)) <= int(columns)


def test_an_encoding_without_the_letters_shows_escapes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    monkeypatch.setattr("sys.stdout", stream)
    print_summary(made([finding(message="Schlüssel \u2192 weg")]), [Path("bericht-ü/report.html")])
    told = stream.buffer.getvalue().decode()
    assert "Schl\\xfcssel \\u2192 weg" in told
    assert "bericht-\\xfc" in told


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
    assert re.search(r"The key is gone\..*Next: Cancel the deletion and enable the key at once;", text, re.DOTALL)


def test_what_is_unknown_is_told_with_the_reason_and_the_permission(capsys: pytest.CaptureFixture[str]) -> None:
    denied = finding(
        status=Status.UNKNOWN, reason="access_denied", missing_permission="dynamodb:DescribeTable", message="Denied."
    )
    text = printed(made([denied]), capsys)
    assert re.search(r"^ +1 +.*dynamodb:DescribeTable", text, re.MULTILINE)
    assert text.startswith("INCOMPLETE")
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
