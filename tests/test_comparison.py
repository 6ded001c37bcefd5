"""What became of a finding between two reports: every step a status can take, and what was not looked at."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from auditor import comparison
from auditor.comparison import Change, Comparison, compare, compare_files, side_of
from auditor.errors import UsageError
from auditor.inventory import Scope
from auditor.report import Acceptance, Finding, Report, document, judge_gate
from auditor.resources import Key, Region, Resource, Table
from auditor.rule_api import Severity, Status
from tests import reports
from tests.reports import ACCEPTED, BANK, BANK_IRELAND, CARTS, EXPIRED, FRANKFURT, IRELAND, OREGON, SHOP, finding, made

FAIL, PASS, UNKNOWN, NOT_APPLICABLE = Status.FAIL, Status.PASS, Status.UNKNOWN, Status.NOT_APPLICABLE
PROTECTION = "table-deletion-protection"


def compared(before: list[Finding], after: list[Finding], **newer: Any) -> list[Change]:
    sides = (as_read(made(before)), as_read(made(after, **newer)))
    return compare(*sides)


def as_read(report: Report) -> comparison.Side:
    return side_of(json.loads(json.dumps(document(report))), Path("report.json"))


def told(changes: list[Change]) -> list[tuple[str, str]]:
    return [(change.kind, change.note) for change in changes]


def stands(status: Status | None, **more: Any) -> list[Finding]:
    if status is None:
        return []
    return [finding(status=status, reason="access_denied" if status is UNKNOWN else None, **more)]


@pytest.mark.parametrize(
    ("before", "after", "kind", "note"),
    [
        (None, FAIL, "new", "not in the older report"),
        (PASS, FAIL, "new", "passed"),
        (NOT_APPLICABLE, FAIL, "new", "did not apply"),
        (UNKNOWN, FAIL, "new", "could not be evaluated"),
        (FAIL, FAIL, "unchanged", ""),
        (FAIL, PASS, "fixed", "passes now"),
        (FAIL, NOT_APPLICABLE, "fixed", "does not apply any more"),
        (FAIL, None, "fixed", "is not there any more"),
        (FAIL, UNKNOWN, "unknown", "failed"),
        (PASS, UNKNOWN, "unknown", "passed"),
        (None, UNKNOWN, "unknown", "not in the older report"),
        (UNKNOWN, UNKNOWN, "unchanged", ""),
    ],
)
def test_what_became_of_a_finding(before: Status | None, after: Status | None, kind: str, note: str) -> None:
    assert told(compared(stands(before), stands(after))) == [(kind, note)]


@pytest.mark.parametrize(
    ("before", "after"),
    [(PASS, PASS), (None, PASS), (UNKNOWN, PASS), (PASS, None), (UNKNOWN, None), (PASS, NOT_APPLICABLE)],
)
def test_what_was_not_wrong_and_is_not_is_no_change(before: Status | None, after: Status | None) -> None:
    assert compared(stands(before), stands(after)) == []


def test_another_severity_is_told_with_the_one_it_was() -> None:
    worse = compared([finding(severity=Severity.MEDIUM)], [finding(severity=Severity.CRITICAL)])
    assert told(worse) == [("severityChanged", "was medium")]
    assert worse[0].counts(Severity.HIGH)
    assert not worse[0].counts(Severity.MEDIUM)  # it failed a gate at medium before


def test_an_accepted_failure_is_new_when_it_counts_again_and_new_but_not_counted_when_accepted_at_once() -> None:
    lapsed = compared([finding(acceptance=ACCEPTED)], [finding(acceptance=EXPIRED)])
    assert told(lapsed) == [("new", "was accepted")]
    assert lapsed[0].counts(Severity.HIGH)
    at_once = compared([], [finding(acceptance=ACCEPTED)])
    assert told(at_once) == [("new", "not in the older report")]
    assert not at_once[0].counts(Severity.HIGH)
    assert told(compared([finding()], [finding(acceptance=ACCEPTED)])) == [("unchanged", "accepted now")]


def test_a_failure_is_not_fixed_when_its_rule_did_not_run() -> None:
    others = [rule for rule in made().rules if rule.id != PROTECTION]
    assert told(compared([finding()], [], rules=others)) == [("notAudited", f"the rule {PROTECTION} did not run")]


def test_a_failure_is_not_fixed_when_its_region_or_account_was_not_audited() -> None:
    elsewhere = (Scope(SHOP, "", (FRANKFURT, OREGON)), Scope(BANK, "", (BANK_IRELAND,)))
    assert told(compared([finding()], [], scopes=elsewhere)) == [
        ("notAudited", "eu-west-1 of account 111122223333 was not audited")
    ]
    assert told(compared([finding()], [], scopes=(Scope(BANK, "", (BANK_IRELAND,)),))) == [
        ("notAudited", "account 111122223333 was not audited")
    ]
    on_account = [finding("iam-root-usage", SHOP)]
    assert told(compared(on_account, [], scopes=elsewhere[:1], rules=_with("iam-root-usage"))) == [
        ("fixed", "is not there any more")
    ]
    assert told(compared(on_account, [], scopes=elsewhere[1:], rules=_with("iam-root-usage"))) == [
        ("notAudited", "account 111122223333 was not audited")
    ]


def _with(rule_id: str) -> list[Any]:
    first, *others = made().rules
    return [replace(first, id=rule_id), *others]


def test_a_foreign_key_is_looked_at_where_all_who_may_use_it_are_audited() -> None:
    before = [finding("kms-key-usable", reports.FOREIGN_KEY)]
    assert told(compared(before, [])) == [("fixed", "is not there any more")]
    without_bank = (Scope(SHOP, "", (FRANKFURT, IRELAND, OREGON)),)
    assert told(compared(before, [], scopes=without_bank)) == [
        ("notAudited", "eu-west-1 of account 444455556666 was not audited")
    ]
    without_oregon = (Scope(SHOP, "", (FRANKFURT, IRELAND)), Scope(BANK, "", (BANK_IRELAND,)))
    assert told(compared(before, [], scopes=without_oregon)) == [("fixed", "is not there any more")]


@pytest.mark.parametrize(
    ("doubt_about", "kind"),
    [
        (IRELAND, "unknown"),  # ListTables was denied
        (SHOP, "unknown"),
        (FRANKFURT, "fixed"),
        (BANK_IRELAND, "fixed"),
        (CARTS, "fixed"),  # another table's doubt says nothing of this one
    ],
)
def test_a_failure_is_not_fixed_when_what_lists_it_could_not_be_asked(doubt_about: Resource, kind: str) -> None:
    doubt = finding(resource=doubt_about, status=UNKNOWN, reason="access_denied", message="Listing is denied.")
    lost = next(change for change in compared([finding()], [doubt]) if change.before is not None)
    assert lost.kind == kind
    if kind == "unknown":
        assert lost.note == "cannot be told: Listing is denied."
        assert lost.undecided


def test_a_doubt_of_another_rule_or_on_the_whole_resource_of_a_part() -> None:
    part = [finding(sub_key="role/app")]
    whole = finding(status=UNKNOWN, reason="throttled")
    assert "unknown" in [one.kind for one in compared(part, [whole]) if one.after is None]
    other = finding("table-pitr", IRELAND, UNKNOWN, reason="throttled")
    assert "fixed" in [one.kind for one in compared(part, [other]) if one.after is None]
    key = [finding("kms-key-usable", Key(IRELAND, "1234abcd-12ab-34cd-56ef-1234567890ab"))]
    table = finding("kms-key-usable", CARTS, UNKNOWN, reason="throttled")  # it may be the one that uses the key
    assert "unknown" in [one.kind for one in compared(key, [table]) if one.after is None]


def test_a_rule_that_is_not_told_any_more_what_to_judge_by_has_fixed_nothing() -> None:
    quiet = finding(status=NOT_APPLICABLE, reason="not_declared", message="No regions are declared.")
    changes = compared([finding()], [quiet])
    assert [change.kind for change in changes] == ["notAudited"]
    assert changes[0].undecided


def test_a_new_failure_says_when_nobody_looked_before() -> None:
    sides = (as_read(made(scopes=(Scope(SHOP, "", (FRANKFURT,)),))), as_read(made([finding()])))
    assert told(compare(*sides)) == [("new", "eu-west-1 of account 111122223333 was not audited")]


def test_the_worst_comes_first() -> None:
    tables = [Table(IRELAND, name) for name in "abc"]
    levels = [Severity.LOW, Severity.CRITICAL, Severity.HIGH]
    changes = compared([], [finding(resource=one, severity=level) for one, level in zip(tables, levels, strict=True)])
    assert [one.sighting.severity for one in changes] == [Severity.CRITICAL, Severity.HIGH, Severity.LOW]


def mark(before: list[Finding], after: list[Finding], fail_on: Severity | None = Severity.HIGH, **more: Any) -> Any:
    given: dict[str, Any] = {"rules": {rule.id for rule in made().rules}, "scopes": reports.SCOPES, "whole": True}
    return comparison.PreviousReport(as_read(made(before))).mark(after, fail_on, **given | more)


def test_a_run_marks_what_is_new_and_counts_what_is_fixed_and_what_was_not_looked_at() -> None:
    gone, lost = finding(resource=CARTS), finding(resource=Table(BANK_IRELAND, "cards"))
    after = [
        finding(),
        finding("table-pitr"),
        finding("table-encryption-key", status=UNKNOWN, reason="throttled"),
        finding(resource=Table(IRELAND, "good"), status=PASS),
    ]
    marked, previous = mark([finding(), gone, lost], after, scopes=reports.SCOPES[:1])
    assert [one.state for one in marked] == ["unchanged", "new", "new", None]
    assert [one.counted_before for one in marked] == [True, False, False, False]
    assert (previous.run_id, previous.fixed, previous.not_evaluated) == ("0f" * 16, 1, 1)
    assert previous.finished == reports.FINISHED


def test_an_interrupted_run_has_fixed_nothing_that_it_did_not_see() -> None:
    _, previous = mark([finding(), finding(resource=CARTS)], [finding(resource=CARTS, status=PASS)], whole=False)
    assert (previous.fixed, previous.not_evaluated) == (1, 1)


@pytest.mark.parametrize(
    ("before", "after", "counts_before"),
    [
        (finding(), finding(), True),
        (finding(severity=Severity.MEDIUM), finding(), False),
        (finding(acceptance=ACCEPTED), finding(acceptance=EXPIRED), False),
        (finding(status=UNKNOWN, reason="throttled"), finding(), False),
        (finding(severity=Severity.CRITICAL), finding(), True),
    ],
)
def test_the_gate_on_new_ones_counts_what_did_not_fail_it_before(
    before: Finding, after: Finding, counts_before: bool
) -> None:
    marked, _ = mark([before], [after])
    assert marked[0].counted_before is counts_before
    gate = judge_gate(marked, Severity.HIGH, complete=True, new_only=True)
    assert gate.counted == (not counts_before)


def test_two_findings_of_one_id_are_refused() -> None:
    twice = document(made([finding()]))
    twice["findings"].append(twice["findings"][0])
    with pytest.raises(UsageError, match=r"findings\[1\].id` stands there twice"):
        side_of(twice, Path("r.json"))


def saved(folder: Path, name: str, report: Report, **changes: Any) -> Path:
    path = folder / name
    path.write_text(json.dumps({**document(report), **changes}))
    return path


def comparing(folder: Path, before: Report, after: Report, fail_on: Severity | None = Severity.HIGH) -> Comparison:
    return compare_files(saved(folder, "old.json", before), saved(folder, "new.json", after), fail_on)


def later(report: Report) -> Report:
    run = replace(report.run, id="1f" * 16, finished=report.run.finished + timedelta(days=7))
    return replace(report, run=run)


def test_the_exit_code(tmp_path: Path) -> None:
    new, lost = made([finding()]), made([finding(status=UNKNOWN, reason="throttled")])
    assert comparing(tmp_path, made(), new).exit_code() == 3
    assert comparing(tmp_path, made(), new, Severity.CRITICAL).exit_code() == 0
    assert comparing(tmp_path, made(), new, None).exit_code() == 0
    assert comparing(tmp_path, new, lost).exit_code() == 4
    assert comparing(tmp_path, new, lost).exit_code(allow_incomplete=True) == 0
    assert comparing(tmp_path, lost, lost).exit_code() == 0  # it could not be told before either
    accepted = finding(status=UNKNOWN, reason="throttled", acceptance=Acceptance("x", "y", ACCEPTED.until))
    assert comparing(tmp_path, new, made([accepted])).exit_code() == 0


def test_json_has_every_finding_as_its_report_has_it_and_how_it_stands_in_both(tmp_path: Path) -> None:
    before, after = made([finding(), finding(resource=CARTS)]), later(made([finding("table-pitr"), finding()]))
    held = comparing(tmp_path, before, after).as_json(exit_code=3)
    assert [held[name] for name in ("severityChanged", "unknown", "notAudited")] == [[], [], []]
    ((new,), (fixed,), (unchanged,)) = held["new"], held["fixed"], held["unchanged"]
    failing = {"status": "fail", "severity": "high", "accepted": False}
    assert new | document(after)["findings"][1] == new
    assert (new["before"], new["after"], new["note"]) == (None, failing, "not in the older report")
    assert (fixed["before"], fixed["after"], fixed["resource"]) == (failing, None, CARTS.arn)
    assert (unchanged["before"], unchanged["after"]) == (failing, failing)
    assert held["gate"] == {"failOn": "high", "counted": 1, "exitCode": 3}
    assert held["old"]["runId"] == "0f" * 16
    assert held["current"] == {"runId": "1f" * 16, "finishedAt": "2026-02-07T12:00:07Z", "complete": True}


def test_what_makes_a_comparison_less_than_it_looks_is_said(tmp_path: Path) -> None:
    report = made([finding()])
    assert list(comparing(tmp_path, report, report).warnings()) == ["both reports are of the same run"]
    assert list(comparing(tmp_path, report, later(report)).warnings()) == []
    assert list(comparing(tmp_path, later(report), report).warnings()) == ["the first report is newer than the second"]
    bank = later(made(scopes=reports.SCOPES[1:]))
    shop = made(scopes=reports.SCOPES[:1])
    assert list(comparing(tmp_path, shop, bank).warnings()) == ["the reports have no account in common"]
    oregon = later(made(scopes=(Scope(SHOP, "", (OREGON,)),)))
    here = made(scopes=(Scope(SHOP, "", (Region(SHOP, "eu-west-1"),)),))
    assert list(comparing(tmp_path, here, oregon).warnings()) == ["the reports have no region in common"]
    assert list(comparing(tmp_path, report, later(made(complete=False))).warnings()) == [
        "the newer run could not evaluate everything"
    ]


def test_a_report_of_a_later_minor_version_is_read(tmp_path: Path) -> None:
    more = saved(tmp_path, "r.json", made([finding()]), schemaVersion="1.7", more={"new": 1})
    assert comparison.read_document(more)["more"] == {"new": 1}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "r.json: not JSON: input data was truncated"),
        (b'{\n  "a": 1,,\n}', "r.json:2:10: not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a": NaN}', "not JSON"),
        (b"[]", "not a report of ddbaudit"),
        (b"{}", "not a report of ddbaudit"),
        (b'{"schema": "urn:ddbaudit:schema:snapshot-1"}', "It is a snapshot"),
        (b'{"$schema": "urn:ddbaudit:schema:report-2.0", "schemaVersion": "2.0"}', "version '2.0'"),
        (b'{"$schema": "urn:ddbaudit:schema:report-1.0"}', "version None"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, text: bytes, words: str) -> None:
    path = tmp_path / "r.json"
    path.write_bytes(text)
    with pytest.raises(UsageError) as caught:
        comparison.read_document(path)
    assert words in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda held: held.pop("findings"), "`findings`"),
        (lambda held: held["findings"][0].update(status="failed"), "$.findings[0].status"),
        (lambda held: held["findings"][0].update(severity="HIGH"), "$.findings[0].severity"),
        (lambda held: held["findings"][0].pop("id"), "`id` - at `$.findings[0]`"),
        (lambda held: held["findings"][0].update(resource="arn:gone"), "`$.findings[0].resource` is none of"),
        (lambda held: held["run"].update(finishedAt="yesterday"), "$.run.finishedAt"),
        (lambda held: held["run"].update(finishedAt="2026-01-31T12:00:00"), "no time zone"),
        (lambda held: held.update(rules={}), "$.rules"),
    ],
)
def test_a_report_with_something_wrong_in_it_is_refused_with_the_place(tmp_path: Path, change: Any, words: str) -> None:
    held = document(made([finding()]))
    change(held)
    path = tmp_path / "r.json"
    path.write_text(json.dumps(held))
    with pytest.raises(UsageError) as caught:
        comparison.read(path)
    assert words in caught.value.message
    assert str(path) in caught.value.message


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no.json"):
        with pytest.raises(UsageError, match="cannot be read"):
            comparison.read(path)
