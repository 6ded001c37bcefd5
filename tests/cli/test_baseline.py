"""``ddbaudit baseline`` and ``run --baseline``: a report's failures accepted, looked after, and expired."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

import pytest
import yaml

from auditor import acceptance
from auditor.report import Report, document
from auditor.resources import LogGroup, Table
from auditor.rule_api import Status
from tests import reports
from tests.cli.conftest import RULE, Command, Outcome, assert_refused
from tests.reports import CARTS, HOSTILE, IRELAND, finding, made

NAME = "ddbaudit-baseline.yaml"
SAID = ("--reason", "Known since the first audit", "--by", "platform", "--until", "2026-12-31")
NOW = {"SOURCE_DATE_EPOCH": "1784000000"}  # 2026-07-14


def save(folder: Path, report: Report, name: str = "report.json") -> str:
    (folder / name).write_text(json.dumps(document(report)))
    return name


@pytest.fixture
def create(ddbaudit: Command) -> Command:
    """Run ``baseline create`` with all it needs."""

    def run(report: str, *arguments: str) -> Outcome:
        return ddbaudit("baseline", "create", report, *SAID, *arguments, **NOW)

    return run


def test_a_baseline_of_a_run_lets_the_next_run_pass_until_its_day(ddbaudit: Command, snapshot: str) -> None:
    run = ("run", "--from", snapshot, *RULE, "--format", "json", "--allow-incomplete")
    assert ddbaudit(*run, **NOW).code == 3
    made_file = ddbaudit("baseline", "create", "ddbaudit-report/report.json", *SAID, "--ticket", "SEC-1", **NOW)
    assert made_file.code == 0
    assert made_file.written == (NAME,)
    assert made_file.out == f"Wrote {NAME}: accepts 1 finding until 2026-12-31.\n"
    again = ddbaudit(*run, "--baseline", NAME, **NOW)
    assert again.code == 0
    assert again.last == "ddbaudit: exit 0: 0 findings at or above high, 1 accepted, 1 unknown"
    late = ddbaudit(*run, "--baseline", NAME, SOURCE_DATE_EPOCH="1798761600")  # 2027-01-01
    assert late.code == 3
    assert late.last == "ddbaudit: exit 3: 1 finding at or above high, 0 accepted, 1 unknown"


def test_a_doubt_that_is_accepted_makes_no_run_incomplete(ddbaudit: Command, snapshot: str, tmp_path: Path) -> None:
    run = ("run", "--from", snapshot, *RULE, "--format", "json")
    ddbaudit(*run, **NOW)
    arguments = ("baseline", "create", "ddbaudit-report/report.json", *SAID)
    assert "accepts 2 findings" in ddbaudit(*arguments, "--include-unknown", **NOW).out
    accepted = ddbaudit(*run, "--baseline", NAME, **NOW)
    assert (accepted.code, accepted.last) == (
        0,
        "ddbaudit: exit 0: 0 findings at or above high, 2 accepted, 0 unknown",
    )
    held = json.loads((tmp_path / "ddbaudit-report/report.json").read_text())
    assert held["run"]["complete"] is True
    assert [one["state"] for one in held["acceptances"]] == ["used", "used"]


def test_the_file_accepts_exactly_the_failures_of_the_report(create: Command, tmp_path: Path) -> None:
    odd = [
        finding(resource=Table(IRELAND, "or*ers")),
        finding(resource=Table(IRELAND, "or[d]ers"), sub_key="a?*[b] 'c' \"d\": # no"),
        finding(resource=LogGroup(IRELAND, "/aws/x[1]*"), sub_key=HOSTILE),
        finding(resource=CARTS, sub_key="off"),
        finding("table-pitr", CARTS, Status.UNKNOWN, reason="throttled"),
        finding(resource=Table(IRELAND, "fine"), status=Status.PASS),
    ]
    report = made([*odd, *reports.compared().findings])
    create(save(tmp_path, report))
    file = acceptance.load(tmp_path / NAME, date(2026, 7, 14))
    near = [finding(resource=Table(IRELAND, name)) for name in ("orXXers", "or[d]ers", "ord")]
    told, uses = file.apply(
        [*report.findings, *near],
        {},
        date(2026, 7, 14),
        rules={rule.id for rule in report.rules},
        scopes=report.scopes,
        whole=True,
    )
    ours = [one for one in told if one.acceptance is not None and one.acceptance.by == "platform"]
    assert {one.id for one in ours} == {
        one.id for one in report.findings if one.status is Status.FAIL and not one.accepted
    }
    assert {use.findings for use in uses} == {1}


def test_up_to_a_severity_and_what_is_accepted_already(create: Command, tmp_path: Path) -> None:
    report = save(tmp_path, reports.compared())
    told = create(report, "--up-to", "high")
    assert told.out.splitlines() == [
        f"Wrote {NAME}: accepts 2 findings until 2026-12-31.",
        "2 findings accepted already are not in it.",
    ]
    assert "kms-key-usable" not in (tmp_path / NAME).read_text()


def test_nothing_to_accept_makes_an_empty_file(ddbaudit: Command, create: Command, tmp_path: Path) -> None:
    told = create(save(tmp_path, reports.empty()))
    assert told.out == f"Wrote {NAME}: accepts 0 findings until 2026-12-31.\n"
    assert yaml.safe_load((tmp_path / NAME).read_text()) == {"version": 1, "accept": []}
    assert ddbaudit("baseline", "check", NAME, **NOW).code == 0


def test_bad_input_of_create(ddbaudit: Command, create: Command, tmp_path: Path) -> None:
    report = save(tmp_path, reports.compared())
    usual = dict(zip(SAID[::2], SAID[1::2], strict=True))

    def with_(flag: str, value: str) -> Outcome:
        pairs = [text for pair in (usual | {flag: value}).items() for text in pair]
        return ddbaudit("baseline", "create", report, *pairs, **NOW)

    assert_refused(with_("--reason", "x"), "--reason: expected a reason of at least 10 characters")
    assert_refused(with_("--until", "2026-07-13"), "--until: 2026-07-13 is over")
    assert_refused(with_("--until", "2028-01-01"), "--until: 2028-01-01 is more than 366 days ahead")
    assert_refused(with_("--by", ""), "--by")
    assert_refused(ddbaudit("baseline", "create", report), "--reason")
    assert_refused(create("no.json"), "no.json: cannot be read")
    (tmp_path / NAME).write_text("mine")
    assert_refused(create(report), "there is already such a file", "--force")
    assert (tmp_path / NAME).read_text() == "mine"
    assert create(report, "--force").code == 0


def test_check_names_what_has_expired_what_will_and_what_matches_nothing(ddbaudit: Command, tmp_path: Path) -> None:
    report = save(tmp_path, made([finding(), finding("table-pitr")]))

    def entry(rule: str, resource: str, until: str) -> str:
        return f"- {{rule: {rule}, resource: '{resource}', reason: Known for long, by: me, until: {until}}}\n"

    orders = reports.ORDERS.arn
    (tmp_path / "a.yaml").write_text(
        "version: 1\naccept:\n"
        + entry("table-deletion-protection", orders, "2026-07-13")
        + entry("table-pitr", orders, "2026-08-01")
        + entry("table-pitr", CARTS.arn, "2026-12-31")
        + entry("table-*", orders, "2026-12-31")
    )
    told = ddbaudit("baseline", "check", "a.yaml", report, **NOW)
    assert told.code == 3
    assert told.last == "ddbaudit: exit 3: 4 entries, 2 expired or stale"
    assert told.out.splitlines() == [
        f"a.yaml:3: table-deletion-protection on {orders}: has expired on 2026-07-13 (me): its findings count again.",
        f"a.yaml:4: table-pitr on {orders}: expires on 2026-08-01 (me).",
        f"a.yaml:5: table-pitr on {CARTS.arn}: is stale: it matches no failure and no doubt of the report.",
    ]
    alone = ddbaudit("baseline", "check", "a.yaml", **NOW)
    assert (alone.code, alone.last) == (3, "ddbaudit: exit 3: 4 entries, 1 expired or stale")


def test_check_doubts_rules_that_are_not_built_in(ddbaudit: Command, tmp_path: Path) -> None:
    text = (
        "version: 1\naccept:\n- {rule: tabel-pitr, resource: 'x', reason: Known for long, by: me, until: 2026-12-31}\n"
    )
    (tmp_path / "a.yaml").write_text(text)
    told = ddbaudit("baseline", "check", "a.yaml", **NOW)
    assert told.code == 0
    assert '"tabel-pitr" is no built-in rule' in told.out


def test_bad_files(ddbaudit: Command, snapshot: str, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("version: 1\naccept: [{rule: '*', resource: '*'}]\n")
    run = ("run", "--from", snapshot, *RULE)
    for arguments in (("baseline", "check", "bad.yaml"), (*run, "--baseline", "bad.yaml")):
        assert_refused(ddbaudit(*arguments), "bad.yaml:2:", "accepts everything", "baseline create")
    assert_refused(ddbaudit(*run, "--baseline", "no.yaml"), "no.yaml: cannot be read")
    assert_refused(ddbaudit(*run, DDBAUDIT_BASELINE="no.yaml"), "(DDBAUDIT_BASELINE)")
    (tmp_path / "ddbaudit.yaml").write_text("baseline: no.yaml\n")
    assert_refused(ddbaudit(*run), "(ddbaudit.yaml: baseline)")


def test_hostile_texts_stay_text(ddbaudit: Command, create: Command, tmp_path: Path) -> None:
    report = save(tmp_path, reports.hostile())
    assert create(report).code == 0
    text = (tmp_path / NAME).read_text()
    assert text.isascii()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text)
    told = ddbaudit("baseline", "check", NAME, report, SOURCE_DATE_EPOCH="1800000000")
    assert told.code == 3
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u206f]", told.out + told.err)
