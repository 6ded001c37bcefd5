"""junit.xml: what CI servers read as test results."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.formats import junit
from auditor.formats.bounds import CUT
from auditor.inventory import Scope
from auditor.report import Report
from auditor.resources import Account, Bucket, Role, Table
from auditor.rule_api import Severity, Status
from tests import reports
from tests.formats import exports
from tests.reports import ACCEPTED, CARTS, EXPIRED, HOSTILE, IRELAND, ORDERS, SHOP, finding, made

SAMPLES: list[Callable[[], Report]] = [
    *(reports.mixed, reports.compared, reports.hostile, reports.empty),
    *(exports.demo, exports.long),
]
every_sample = pytest.mark.parametrize("sample", SAMPLES)

#: What the XSD of Jenkins' xUnit plugin allows, and the file uses: attributes that must and may be there, children.
GRAMMAR: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": (set(), {"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"skipped", "time", "timestamp", "id"},
        {"properties", "testcase", "system-out"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, set(), set()),
    "testcase": ({"name"}, {"classname", "time"}, {"skipped", "error", "failure"}),
    "skipped": (set(), {"type", "message"}, set()),
    "error": (set(), {"type", "message"}, set()),
    "failure": (set(), {"type", "message"}, set()),
    "system-out": (set(), set(), set()),
}
#: What XML 1.0 cannot hold, and what deceives: control, format and other invisible characters, but line breaks.
FORBIDDEN = {
    code
    for code in range(0x110000)
    if unicodedata.category(chr(code)) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") and chr(code) != "\n"
} | {0xFFFE, 0xFFFF}
OUTCOMES = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def parsed(text: str) -> ET.Element:
    """Return a file's root, after all that readers ask of it was checked."""
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<testsuites ')
    assert text.endswith("</testsuites>\n")
    assert len(text.encode()) < 30_000_000
    root = ET.fromstring(text)  # noqa: S314 - our own file
    assert root.tag == "testsuites"
    objects = 0
    for element in root.iter():
        required, optional, children = GRAMMAR[element.tag]
        assert required <= set(element.attrib) <= required | optional, element.tag
        assert {child.tag for child in element} <= children
        objects += 1 + len(element.attrib) + bool((element.text or "").strip())
        assert re.fullmatch(r"[0-9]+\.[0-9]{3}", element.get("time", "0.000"))
        if not (element.text or "").strip():
            assert element.tag != "system-out"
        for one in (*element.attrib.values(), element.text or ""):
            assert one.isprintable() or not {ord(char) for char in one} & FORBIDDEN, one
    assert objects < 250_000
    for suite in root:
        cases = suite.findall("testcase")
        assert suite.get("tests") == str(len(cases))
        for attribute, tag in OUTCOMES.items():
            assert suite.get(attribute) == str(len(suite.findall(f"testcase/{tag}")))
        assert all(len(case) <= 1 for case in cases)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp", ""))
    for attribute in ("tests", "failures", "errors"):
        assert root.get(attribute) == str(sum(int(suite.get(attribute, "")) for suite in root))
    names = [case.get("name") for case in root.iter("testcase")]
    assert len(set(names)) == len(names)
    assert len({suite.get("name") for suite in root}) == len(root)
    return root


def case_of(**more: object) -> ET.Element:
    """Return the test case of one finding."""
    (case,) = parsed(junit.render(made([finding(**more)]))).iter("testcase")  # type: ignore[arg-type]
    return case


def own_cases(root: ET.Element) -> list[ET.Element]:
    """Return the cases about the run itself."""
    return root.findall("testsuite[@name='ddbaudit']/testcase")


def properties(root: ET.Element) -> dict[str, str]:
    found = root.findall("testsuite[@name='ddbaudit']/properties/property")
    return {one.attrib["name"]: one.attrib["value"] for one in found}


@every_sample
def test_the_file_keeps_to_what_all_readers_take(sample: Callable[[], Report]) -> None:
    report = sample()
    root = parsed(junit.render(report))
    assert len(list(root.iter("testcase"))) - len(own_cases(root)) == len(report.findings)


def test_golden_file() -> None:
    exports.compare_with_golden("junit.xml", junit.render(reports.compared()))


def test_every_status_has_its_outcome() -> None:
    root = parsed(junit.render(reports.compared()))
    outcomes = Counter((child.tag, child.get("type")) for case in root.iter("testcase") for child in case)
    assert outcomes == {
        ("failure", "critical"): 1,
        ("failure", "high"): 2,  # one of them was accepted, until that expired
        ("error", "unknown"): 1,
        ("skipped", "accepted"): 2,
        ("skipped", "not_applicable"): 1,
    }
    assert root.attrib == {"name": "ddbaudit", "tests": "8", "failures": "3", "errors": "1", "time": "9.000"}


def test_a_failure_says_what_is_wrong_where_and_how_to_mend_it() -> None:
    case = case_of(evidence={"DeletionProtectionEnabled": False, "tags": {"env": "prod"}}, state="new")
    assert case.get("classname") == "111122223333.eu-west-1.dynamodb.orders"
    assert case.get("name") == (
        "[HIGH] table-deletion-protection Production tables have deletion protection on: table orders "
        "(111122223333/eu-west-1)"
    )
    (failure,) = case
    assert failure.attrib == {"type": "high", "message": "Deletion protection is off."}
    lines = (failure.text or "").split("\n")
    assert lines[0] == "Deletion protection is off."
    assert f"Resource: {ORDERS.arn}" in lines
    assert "New: the previous report does not have it." in lines
    assert "  DeletionProtectionEnabled: false" in lines
    assert '  tags: {"env": "prod"}' in lines
    assert "  aws dynamodb update-table --table-name orders --deletion-protection-enabled --region eu-west-1" in lines


def test_a_doubt_says_what_is_missing_and_nothing_of_mending() -> None:
    (error,) = case_of(
        status=Status.UNKNOWN, message="Nobody knows.", reason="access_denied", missing_permission="kms:DescribeKey"
    )
    assert error.attrib == {"type": "unknown", "message": "Nobody knows."}
    assert "Reason: Permission missing: kms:DescribeKey" in (error.text or "").split("\n")
    assert "Remediation" not in (error.text or "")


def test_an_acceptance_stands_in_message_and_text() -> None:
    told = "Accepted until 2026-06-30 by data-platform (SEC-123): Rebuilt every night from S3."
    (skipped,) = case_of(acceptance=ACCEPTED)
    assert (skipped.tag, skipped.get("message")) == ("skipped", told)
    assert (skipped.text or "").split("\n")[:2] == [told, "What is accepted (fail): Deletion protection is off."]
    (failure,) = case_of(acceptance=EXPIRED)
    assert (failure.tag, failure.get("message")) == ("failure", "Deletion protection is off.")
    assert (
        "The acceptance has expired, and the finding counts again: Accepted until 2025-12-31 by shop-team: Moves to "
        "the new account in autumn."
    ) in (failure.text or "")


def test_findings_of_one_rule_on_one_resource_are_told_apart() -> None:
    root = parsed(junit.render(made([finding(sub_key="read"), finding(sub_key="write"), finding()])))
    names = [case.attrib["name"].partition(": ")[2] for case in root.iter("testcase")]
    place = "(111122223333/eu-west-1)"
    assert names == [f"table orders {place}", f"table orders, read {place}", f"table orders, write {place}"]


def test_names_that_read_the_same_are_told_apart() -> None:
    tables = [Table(IRELAND, "a\x01b"), Table(IRELAND, r"a\x01b"), Table(IRELAND, "a" * 600), Table(IRELAND, "a" * 601)]
    root = parsed(junit.render(made([*(finding(resource=one) for one in tables), finding(), finding()])))
    assert len(list(root.iter("testcase"))) == 6  # `parsed` sees that names are unique


def test_what_has_no_region_and_what_is_a_region_or_an_account_have_a_place() -> None:
    resources = [Role(SHOP, "service/orders.api"), Bucket(SHOP, "exports.shop"), SHOP, IRELAND]
    root = parsed(junit.render(made([finding(resource=one) for one in resources])))
    assert sorted(case.attrib["classname"] for case in root.iter("testcase")) == [
        "111122223333.eu-west-1.dynamodb.region",
        "111122223333.global.iam.account",
        "111122223333.global.iam.orders_api",
        "111122223333.global.s3.exports_shop",
    ]
    assert "111122223333/global" in {suite.get("name") for suite in root}


def test_a_report_without_findings_has_a_case_all_the_same() -> None:
    (case,) = own_cases(parsed(junit.render(reports.empty())))
    assert (case.get("name"), list(case)) == ("The audit is complete", [])


def test_a_run_that_broke_off_is_an_error_though_no_finding_says_so() -> None:
    root = parsed(junit.render(made([finding(status=Status.PASS)], complete=False)))
    ((error,),) = own_cases(root)
    assert (error.tag, error.get("type")) == ("error", "incomplete")
    assert error.text == "The run was interrupted before it had read everything."
    calls = [(reports.call_error("ListTables", message="Not you.\x1b[31m"), ("table-pitr",))]
    root = parsed(
        junit.render(made([finding(status=Status.UNKNOWN, acceptance=ACCEPTED)], complete=False, errors=calls))
    )
    ((error,),) = own_cases(root)
    told = r"dynamodb:ListTables: AccessDeniedException in 111122223333/eu-west-1: Not you.\x1b[31m"
    assert error.text == told
    assert own_cases(parsed(junit.render(reports.mixed()))) == []  # a finding says it


def test_the_first_suite_says_how_the_run_went() -> None:
    report = reports.compared()
    root = parsed(junit.render(report))
    held = properties(root)
    assert (held["exitCode"], held["failOn"], held["complete"], held["accepted"]) == ("3", "high", "false", "2")
    assert {status: held[status] for status in report.by_status} == {k: str(v) for k, v in report.by_status.items()}
    told = root.findtext("testsuite[@name='ddbaudit']/system-out")
    assert told == "ddbaudit: exit 3: 3 findings at or above high (1 new), 2 accepted, 1 unknown"


def test_a_run_of_odd_length_has_a_time_that_readers_take() -> None:
    report = made([finding()])
    for seconds, told in ((-5, "0.000"), (123_456.7894, "123456.789")):
        run = replace(report.run, finished=report.run.started + timedelta(seconds=seconds))
        assert parsed(junit.render(replace(report, run=run))).get("time") == told


def many_kinds() -> Report:
    """Return 20 findings of each kind, worst first: failures of two severities, doubts, accepted ones, the others."""
    kinds: list[dict[str, object]] = [
        {"severity": Severity.CRITICAL},
        {"severity": Severity.LOW},
        {"status": Status.UNKNOWN, "severity": Severity.MEDIUM},
        {"severity": Severity.CRITICAL, "acceptance": ACCEPTED},
        {"status": Status.PASS},
        {"status": Status.NOT_APPLICABLE},
    ]
    evidence = {"policy": "x" * 2000}
    return made(
        finding(resource=Table(IRELAND, f"t{kind}-{number:02}"), evidence=evidence, **more)  # type: ignore[arg-type]
        for kind, more in enumerate(kinds)
        for number in range(20)
    )


def kept(root: ET.Element) -> Counter[str]:
    """Return how many cases there are of each of the kinds."""
    return Counter(re.findall(r"table (t\d)", " ".join(case.get("name", "") for case in root.iter("testcase"))))


def shrunk(patch: pytest.MonkeyPatch, objects: int, size: int = 28_000_000) -> ET.Element:
    """Return the file of 20 findings of each kind with room for so many objects and bytes besides the suites."""
    patch.setattr(junit, "MOST_OBJECTS", 200 + 4 * 25 + objects)
    patch.setattr(junit, "MOST_BYTES", 50_000 + 4 * (700 + 20) + size)
    return parsed(junit.render(many_kinds()))


@pytest.mark.parametrize(
    ("objects", "size", "there", "outcome"),
    [
        # 80 cases with an outcome are 640 objects, 20 passes 80 and 20 that do not apply 160.
        (880, 28_000_000, {"t0": 20, "t1": 20, "t2": 20, "t3": 20, "t4": 20, "t5": 20}, None),
        (879, 28_000_000, {"t0": 20, "t1": 20, "t2": 20, "t3": 20, "t4": 20}, "skipped"),
        (719, 28_000_000, {"t0": 20, "t1": 20, "t2": 20, "t3": 20}, "skipped"),
        (640, 28_000_000, {"t0": 20, "t1": 20, "t2": 20, "t3": 20}, "skipped"),
        (560, 28_000_000, {"t0": 20, "t1": 20, "t2": 20, "t3": 10}, "skipped"),
        (400, 28_000_000, {"t0": 20, "t1": 10, "t2": 20}, "error"),
        (80, 28_000_000, {"t0": 10}, "error"),
        (8000, 100_000, {"t0": 20, "t1": 20, "t2": 20, "t3": 20}, "skipped"),
        (8000, 0, {}, "error"),
    ],
)
def test_what_is_too_much_goes_in_order_and_the_file_says_so(
    objects: int,
    size: int,
    there: dict[str, int],
    outcome: str | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    root = shrunk(monkeypatch, objects, size)
    assert kept(root) == there
    assert bool(caplog.messages) == (outcome is not None)
    if outcome is None:
        assert own_cases(root) == []
        return
    ((told,),) = own_cases(root)
    assert (told.tag, told.get("type")) == (outcome, "left_out")
    assert told.get("message") == properties(root)["leftOut"]
    assert properties(root)["leftOut"] in (root.findtext("testsuite/system-out") or "")
    numbers = re.findall(r"([\d,]+) (critical|low|unknown|accepted|passes|that do not apply)", told.get("message", ""))
    words = {
        "t0": "critical",
        "t1": "low",
        "t2": "unknown",
        "t3": "accepted",
        "t4": "passes",
        "t5": "that do not apply",
    }
    assert {word: int(number) for number, word in numbers} == {
        word: 20 - there.get(kind, 0) for kind, word in words.items() if there.get(kind, 0) < 20
    }


def test_details_go_before_failures_do(monkeypatch: pytest.MonkeyPatch) -> None:
    root = shrunk(monkeypatch, 8000, 100_000)
    texts = [failure.text or "" for failure in root.iter("failure")]
    assert len(texts) == 40
    assert all(text.endswith(CUT) and "arn:aws:dynamodb" in text and "xxx" not in text for text in texts)


def test_more_findings_than_gitlab_takes(caplog: pytest.LogCaptureFixture) -> None:
    root = parsed(junit.render(exports.many(31_000)))
    assert 29_000 < len(list(root.iter("failure"))) < 30_000
    (left_out,) = re.findall(r"left out: ([\d,]+) low failures\.", caplog.text)
    assert int(left_out.replace(",", "")) == 31_000 - len(list(root.iter("failure")))


def test_nothing_of_a_hostile_account_acts() -> None:
    text = junit.render(reports.hostile())
    assert exports.shown(HOSTILE) in (next(parsed(text).iter("failure")).get("message") or "")
    assert "<img" not in text
    assert "<!" not in text
    assert "\n::error" not in text


@given(st.text(), st.text(min_size=1))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_any_text_is_legal_and_still_says_what_it_said(text: str, name: str) -> None:
    one = finding(resource=Table(IRELAND, name), message=text, sub_key=text, evidence={text: [text]})
    doubt = replace(one, resource=CARTS, status=Status.UNKNOWN, reason=text)
    root = parsed(junit.render(made([one, doubt], scopes=(Scope(Account("111122223333"), text, (IRELAND,)),))))
    (failure,) = root.iter("failure")
    if text.isprintable() and len(text) < 400:
        assert failure.get("message") == text
        assert (failure.text or "").startswith(f"{text}\n")
