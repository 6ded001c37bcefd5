"""``ddbaudit diff`` and ``run --previous``: what they print, their exit codes, bad input and hostile reports."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from auditor.comparison import compare_files
from auditor.formats.markdown import MOST_IN_COMMENT, render_comparison
from auditor.report import Report, document
from auditor.resources import Table
from auditor.rule_api import Severity, Status
from tests import reports
from tests.cli.conftest import RULE, Command, assert_refused
from tests.reports import HOSTILE, finding, made


def save(folder: Path, name: str, report: Report) -> str:
    held = document(report)
    held["run"]["id"] = name
    (folder / name).write_text(json.dumps(held))
    return name


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    """Two reports between which something of every kind happened."""
    names = ("new", "worse", "lost", "fixed", "same", "moved")
    new, worse, lost, fixed, same, moved = (Table(reports.IRELAND, name) for name in names)
    moved = Table(reports.BANK_IRELAND, "moved")
    before = [
        finding(resource=worse, severity=Severity.LOW),
        *(finding(resource=one) for one in (lost, fixed, same, moved)),
    ]
    after = [
        finding(resource=new, message="Deletion protection is off, again."),
        finding(resource=worse, severity=Severity.CRITICAL),
        finding(resource=lost, status=Status.UNKNOWN, reason="access_denied", message="Not allowed."),
        finding(resource=same),
    ]
    return (
        save(tmp_path, "old.json", made(before)),
        save(tmp_path, "new.json", made(after, scopes=reports.SCOPES[:1])),
    )


def test_text_has_every_kind_with_the_worst_first(ddbaudit: Command, pair: tuple[str, str]) -> None:
    told = ddbaudit("diff", *pair)
    assert told.code == 3
    assert told.last == "ddbaudit: exit 3: 2 new findings at or above high, 2 cannot be compared"
    heads = [line for line in told.out.splitlines() if line[:1].isalpha() and line.endswith(")")]
    assert heads == [
        "New (1)",
        "Changed severity (1)",
        "Cannot be evaluated any more (1)",
        "Not looked at again (1)",
        "Fixed (1)",
    ]
    assert "1 new, 1 changed severity, 1 fixed, 1 unchanged, 1 cannot be evaluated any more, 1 not" in told.out
    assert "    Deletion protection is off, again. (not in the older report)" in told.out
    assert "(was low)" in told.out
    assert "    Not allowed. (failed)" in told.out
    assert "  1  account 444455556666 was not audited" in told.out
    assert told.written == ()


def test_json_is_json_and_markdown_is_a_comment(ddbaudit: Command, pair: tuple[str, str]) -> None:
    held = json.loads(ddbaudit("diff", *pair, "--format", "json").out)
    assert {name: len(held[name]) for name in ("new", "fixed", "unchanged", "severityChanged", "unknown")} == {
        "new": 1,
        "fixed": 1,
        "unchanged": 1,
        "severityChanged": 1,
        "unknown": 1,
    }
    assert held["gate"]["exitCode"] == 3
    text = ddbaudit("diff", *pair, "--format", "markdown").out
    assert text.startswith("# ddbaudit: new failures\n\n**Exit 3: 2 new findings at or above high")
    for title in ("New", "Changed severity", "Cannot be evaluated any more", "Not looked at again", "Fixed"):
        assert f"\n## {title}\n\n| Severity |" in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert {line.count("|") for line in rows[:3]} == {7}
    assert all(line.endswith("|") for line in rows)
    assert "\n\n\n" not in text


def test_the_exit_codes(ddbaudit: Command, pair: tuple[str, str]) -> None:
    assert ddbaudit("diff", *pair, "--fail-on", "none").code == 4
    assert ddbaudit("diff", *pair, "--fail-on", "none", "--allow-incomplete").code == 0
    assert ddbaudit("diff", *pair, DDBAUDIT_FAIL_ON="none", DDBAUDIT_ALLOW_INCOMPLETE="1").code == 0
    assert ddbaudit("diff", pair[0], pair[0]).code == 0
    assert ddbaudit("diff", *pair, DDBAUDIT_FORMAT="sarif").code == 3  # that is about reports


def test_bad_input(ddbaudit: Command, pair: tuple[str, str], tmp_path: Path) -> None:
    assert_refused(ddbaudit("diff", pair[0], "no.json"), "no.json: cannot be read", "--format json")
    (tmp_path / "half.json").write_bytes((tmp_path / pair[0]).read_bytes()[:-9])
    assert_refused(ddbaudit("diff", "half.json", pair[1]), "half.json: not JSON")
    assert_refused(ddbaudit("diff", pair[0]), "NEW.json")
    assert_refused(ddbaudit("diff", *pair, "--fail-on", "bad"), "--fail-on")


def test_hostile_reports_move_no_cursor_and_make_no_markdown(ddbaudit: Command, tmp_path: Path) -> None:
    save(tmp_path, "old.json", made(scopes=()))
    save(tmp_path, "new.json", reports.hostile())
    told = ddbaudit("diff", "old.json", "new.json")
    assert told.code == 3
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u206f]", told.out + told.err)
    assert not any(line.startswith("::") for line in (told.out + told.err).splitlines())
    text = ddbaudit("diff", "old.json", "new.json", "--format", "markdown").out
    outside = re.sub(r"(`+).+?\1", "", text)
    assert "<img" not in outside
    assert "<b>" not in outside


def test_a_comment_is_never_too_long(tmp_path: Path) -> None:
    many = [finding(resource=Table(reports.IRELAND, f"t{place}"), message=HOSTILE * 9) for place in range(300)]
    old, new = (tmp_path / save(tmp_path, name, report) for name, report in (("a", made()), ("b", made(many))))
    compared = compare_files(old, new, Severity.HIGH)
    text = render_comparison(compared, "ddbaudit: exit 3")
    assert len(text) <= MOST_IN_COMMENT
    assert re.search(r"\.\.\. and \d+ more", text)


def test_text_lists_the_first_and_counts_the_rest(ddbaudit: Command, tmp_path: Path) -> None:
    many = [finding(resource=Table(reports.IRELAND, f"t{place}")) for place in range(300)]
    save(tmp_path, "old.json", made())
    save(tmp_path, "new.json", made(many))
    told = ddbaudit("diff", "old.json", "new.json")
    assert "  and 280 more; --format json has them all" in told.out
    assert len(told.out.splitlines()) < 50


def test_a_run_compares_itself_with_an_earlier_one(ddbaudit: Command, snapshot: str, tmp_path: Path) -> None:
    run = ("run", "--from", snapshot, *RULE, "--format", "json", "--allow-incomplete")
    assert ddbaudit(*run, "--region", "eu-central-1", "--output", "one").code == 0
    second = ddbaudit(*run, "--previous", "one/report.json", "--output", "two")
    assert second.code == 3
    assert second.last.startswith("ddbaudit: exit 3: 1 finding at or above high (1 new), ")
    held: dict[str, Any] = json.loads((tmp_path / "two/report.json").read_text())
    assert held["summary"]["previous"]["new"] == 1
    third = ddbaudit(*run, "--previous", "two/report.json", "--new-only", "--output", "three")
    assert third.code == 0
    assert third.last.startswith("ddbaudit: exit 0: 0 new findings at or above high")
    narrow = ddbaudit(*run, "--previous", "two/report.json", "--region", "eu-central-1", "--output", "four")
    assert narrow.code == 0
    held = json.loads((tmp_path / "four/report.json").read_text())
    assert held["summary"]["previous"] | {"fixed": 0, "notEvaluated": 1} == held["summary"]["previous"]


def test_a_bad_previous_report_ends_the_run_before_anything_is_written(ddbaudit: Command, snapshot: str) -> None:
    run = ("run", "--from", snapshot, *RULE)
    assert_refused(ddbaudit(*run, "--previous", "no.json"), "no.json: cannot be read")
    assert_refused(ddbaudit(*run, "--previous", snapshot), "not JSON")
    assert_refused(ddbaudit(*run, "--new-only"), "--new-only needs --previous")
    assert_refused(ddbaudit(*run, DDBAUDIT_PREVIOUS="no.json"), "(DDBAUDIT_PREVIOUS)")
