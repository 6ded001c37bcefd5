"""findings.csv: what spreadsheets and data bases read."""

from __future__ import annotations

import csv as reader
import io
import json
import os
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from auditor.formats import csv
from auditor.formats.bounds import CUT
from auditor.report import Report
from auditor.resources import Bucket
from auditor.rule_api import Status
from tests import reports
from tests.formats import exports
from tests.reports import HOSTILE, ORDERS, SHOP, finding, made

SAMPLES: list[Callable[[], Report]] = [
    *(reports.mixed, reports.compared, reports.hostile, reports.empty),
    *(exports.demo, exports.long),
]

#: The columns as they are published: none changes its place.
HEADER = (
    "schema_version,run_id,observed_at,account_id,account_name,region,service,resource_type,resource_id,resource_name,"
    "rule_id,rule_title,severity,status,state,accepted,accepted_until,acceptance_reason,message,evidence,remediation,"
    "controls,tags,finding_id,tool_version,sub_key,reason,missing_permission,accepted_by,acceptance_ticket,"
    "acceptance_expired"
)


def rows(report: Report) -> list[dict[str, str]]:
    """Return the rows as Python reads them."""
    return list(reader.DictReader(io.StringIO(csv.render(report), newline=""), strict=True))


def row_of(**more: Any) -> dict[str, str]:
    (row,) = rows(made([finding(**more)]))
    return row


def acts(cell: str) -> bool:
    """Tell whether a spreadsheet might calculate a cell."""
    start = cell.lstrip().lstrip('"').lstrip()[:1]
    return unicodedata.normalize("NFKC", start)[:1] in tuple("=+-@\u2212\t\r\n")


def check_safe(text: str) -> None:
    """Check that no cell is a formula, whether a reader takes commas or semicolons for what parts cells."""
    for line in text.removesuffix("\r\n").split("\r\n"):
        assert not any(char < " " or char in "\x7f\x85\u2028\u2029\u202e\u2066\u200b\ufeff" for char in line), line
        for cell in next(reader.reader([line], strict=True)):
            assert not acts(cell), cell
            assert len(cell.encode("utf-16-le")) <= 2 * 32_767
        # Excel with another list separator knows nothing of our quotes.
        assert not any(acts(part) for part in line.split(";")), line


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_finding_has_a_row_and_no_cell_acts(sample: Callable[[], Report]) -> None:
    report = sample()
    text = csv.render(report)
    assert text.startswith(HEADER + "\r\n")
    assert text.endswith("\r\n")
    assert "\n" not in text.replace("\r\n", "")
    check_safe(text)
    assert [row["finding_id"] for row in rows(report)] == [one.id for one in report.findings]
    for row in rows(report):
        assert None not in row
        assert row["status"] in ("pass", "fail", "unknown", "not_applicable")
        assert isinstance(json.loads(row["evidence"]), dict)


def test_golden_file() -> None:
    file, made = exports.GOLDEN / "findings.csv", csv.render(reports.compared()).encode()
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_bytes(made)
    assert made == file.read_bytes(), "findings.csv has changed: run with UPDATE_GOLDEN=1, look"


def test_a_row_says_what_the_json_report_says() -> None:
    row = row_of(
        evidence={"DeletionProtectionEnabled": False, "names": ["Müller"]},
        state="new",
        sub_key="read",
        acceptance=reports.ACCEPTED,
    )
    assert {key: row[key] for key in ("schema_version", "run_id", "observed_at", "tool_version")} == {
        "schema_version": "1.0",
        "run_id": "0f" * 16,
        "observed_at": "2026-01-31T12:00:07Z",
        "tool_version": "1.2.3",
    }
    assert (row["account_id"], row["account_name"], row["region"]) == ("111122223333", "shop-production", "eu-west-1")
    assert (row["service"], row["resource_type"]) == ("dynamodb", "AWS::DynamoDB::Table")
    assert (row["resource_id"], row["resource_name"]) == (ORDERS.arn, "orders")
    assert (row["rule_id"], row["severity"], row["status"]) == ("table-deletion-protection", "high", "fail")
    assert row["controls"] == "AWS FSBP:DynamoDB.6|NIST 800-53 r5:CA-9(1);CM-2;CM-2(2);CM-3;SC-5(2)"
    assert json.loads(row["evidence"]) == {"DeletionProtectionEnabled": False, "names": ["Müller"]}
    assert (row["state"], row["sub_key"]) == ("new", "read")
    assert (row["accepted"], row["accepted_until"], row["acceptance_expired"]) == ("true", "2026-06-30", "false")
    assert (row["acceptance_reason"], row["accepted_by"]) == ("Rebuilt every night from S3.", "data-platform")


def test_an_expired_acceptance_accepts_nothing() -> None:
    row = row_of(acceptance=reports.EXPIRED)
    assert (row["accepted"], row["accepted_until"], row["acceptance_expired"]) == ("false", "2025-12-31", "true")


def test_a_doubt_says_why() -> None:
    row = row_of(status=Status.UNKNOWN, reason="access_denied", missing_permission="kms:DescribeKey")
    assert (row["reason"], row["missing_permission"]) == ("access_denied", "kms:DescribeKey")
    assert (row["accepted"], row["accepted_until"], row["acceptance_expired"]) == ("false", "", "")


def test_what_has_no_region_has_none() -> None:
    assert row_of(resource=Bucket(SHOP, "exports"))["region"] == ""


def test_what_has_no_finding_has_no_row() -> None:
    assert rows(made([], found=[ORDERS])) == []


def test_tags_can_be_told_apart_whatever_is_in_them() -> None:
    (row,) = rows(made([finding()], tags={ORDERS: {"env": "prod", "a;b": "c=d", "e\\": "", "": "=1"}}))
    assert row["tags"] == r"=\=1;a\;b=c\=d;e\\=;env=prod".replace("=", "'=", 1)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\ufe66", "\u2212"])
@pytest.mark.parametrize("before", ["", " ", "\u00a0 ", '"', ' "'])
def test_what_would_start_a_formula_has_an_apostrophe(start: str, before: str) -> None:
    text = f"{before}{start}1+1"
    assert csv.cell(text) == f"'{text}"
    assert csv.cell(f"fine; {text}; and {text}") == f"fine;' {text}; and {text}"
    assert csv.cell(f"fine {text}") == f"fine {text}"


@pytest.mark.parametrize("start", ["\t", "\r", "\n", "\x00", "\ufeff", "\u200b"])
def test_what_is_invisible_is_shown(start: str) -> None:
    assert csv.cell(f"{start}=1+1").startswith("\\")


def test_json_stays_the_same_though_no_semicolon_starts_a_formula() -> None:
    evidence = {";=1": [";-2", "; +3", ";fine"], "x": "=4"}
    row = row_of(evidence=evidence)
    assert json.loads(row["evidence"]) == evidence
    assert row["evidence"].count(";") == 1


def test_a_cell_is_never_longer_than_excel_takes(caplog: pytest.LogCaptureFixture) -> None:
    row = row_of(message="😀" * 40_000, evidence={str(number): "x" * 900 for number in range(60)})
    assert row["message"].endswith(CUT)
    held = json.loads(row["evidence"])
    assert held["ddbaudit/leftOut"] + len(held) - 1 == 60
    assert len(row["evidence"]) > 31_000
    assert "in 1 of 1 findings" in caplog.text
    caplog.clear()
    assert json.loads(row_of(evidence={"policy": "x" * 40_000})["evidence"]) == {"ddbaudit/leftOut": 1}
    assert "in 1 of 1 findings" in caplog.text
    caplog.clear()
    csv.render(reports.hostile())
    assert caplog.messages == []


def test_a_hostile_text_is_still_readable() -> None:
    for row in rows(reports.hostile()):
        assert row["message"].startswith(exports.shown(HOSTILE))


def test_many_findings() -> None:
    assert csv.render(exports.many(20_000)).count("\r\n") == 20_001


@given(st.text() | st.text(alphabet="=+-@;\"', \t\r\n\uff1da1\\|"))
@example(";" + " " * 40_000 + "=1")
@settings(deadline=None)
def test_no_text_breaks_out_of_its_cell(text: str) -> None:
    report = made([finding(message=text, sub_key=text, evidence={text: text})], tags={ORDERS: {text: text}})
    rendered = csv.render(report)
    check_safe(rendered)
    (row,) = rows(report)
    assert row["finding_id"] == report.findings[0].id
    assert row["tool_version"] == "1.2.3"
    if text.isprintable() and not set(text) & set("=+-@;\u2212") and unicodedata.normalize("NFKC", text) == text:
        assert row["message"] == text
        assert json.loads(row["evidence"]) == {text: text}
