"""report.json, its schema, rule pages, and how texts and values are shown."""

import datetime
import json
import re
import shlex
import typing
import unicodedata
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor import Remediation, Severity, Side, Status, Verdict, packs, passed, rule
from auditor.config import Format
from auditor.placeholders import filled
from auditor.render import (
    FORMATS,
    html_report,
    json_report,
    plural,
    prose,
    report_schema,
    rule_page,
    shown,
    shown_value,
    type_name,
)
from auditor.report import Report, document, json_value
from auditor.resources import (
    Account,
    DaxCluster,
    Key,
    Region,
    Resource,
    Role,
    Subnet,
    Table,
    Trail,
    User,
    Vpc,
    VpcEndpoint,
)
from auditor.rule_api import Rule
from tests import reports
from tests.reports import HOSTILE, IRELAND, ORDERS, SHOP

SAMPLES = [reports.mixed, reports.empty, reports.hostile]
VALIDATOR = jsonschema.Draft202012Validator(report_schema())


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_json_report_holds_the_document_and_fits_the_schema(sample: Any) -> None:
    report: Report = sample()
    written = json.loads(json_report(report))
    VALIDATOR.validate(written)
    assert written == json.loads(json.dumps(document(report)))


def test_the_schema_is_a_valid_schema_of_the_version_that_reports_name() -> None:
    schema = report_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == document(reports.empty())["$schema"]
    assert schema["properties"]["schemaVersion"]["const"] == document(reports.empty())["schemaVersion"]


def objects(value: Any, path: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Return every JSON object in a document, with the path to it."""
    if isinstance(value, dict):
        here = [] if path.endswith(("evidence", "tags", "controls")) else [(path, value)]
        return here + [one for key, inner in value.items() for one in objects(inner, f"{path}/{key}")]
    return [one for place, inner in enumerate(value) for one in objects(inner, f"{path}/{place}")] if isinstance(
        value, list
    ) else []  # fmt: skip


def test_the_schema_is_strict_about_every_object_of_the_report() -> None:
    written = json.loads(json_report(reports.mixed()))
    places = [(path, found) for path, found in objects(written) if "/evidence/" not in path]
    assert len(places) > 30
    for path, found in places:
        found["addedInAnotherVersion"] = 1
        assert not VALIDATOR.is_valid(written), f"{path} may have any key"
        del found["addedInAnotherVersion"]
        for key in list(found):
            value = found.pop(key)
            assert not VALIDATOR.is_valid(written), f"{path} need not have {key}"
            found[key] = value
    VALIDATOR.validate(written)


@pytest.mark.parametrize(
    ("key", "value"),
    [("status", "new"), ("severity", "urgent"), ("id", "f00"), ("message", None), ("reason", "why"), ("state", "old")],
)
def test_the_schema_refuses_findings_with_other_values(key: str, value: object) -> None:
    written = json.loads(json_report(reports.mixed()))
    unknown = next(one for one in written["findings"] if one["status"] == "unknown")
    unknown[key] = value
    assert not VALIDATOR.is_valid(written)


def test_an_unknown_verdict_without_a_reason_is_refused() -> None:
    written = json.loads(json_report(reports.mixed()))
    next(one for one in written["findings"] if one["status"] == "unknown")["reason"] = None
    assert not VALIDATOR.is_valid(written)


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_json_report_is_printable_ascii_and_ends_with_a_newline(sample: Any) -> None:
    text = json_report(sample())
    assert set(text) - {chr(code) for code in range(0x20, 0x7F)} == {"\n"}
    assert text.endswith("}\n")


def test_hostile_text_comes_back_from_the_json_report_unchanged() -> None:
    written = json.loads(json_report(reports.hostile()))
    assert {one["message"] for one in written["findings"]} == {HOSTILE}
    assert written["findings"][0]["evidence"][HOSTILE] == HOSTILE


def test_each_rule_resource_finding_and_error_has_a_line_of_its_own() -> None:
    written = document(reports.mixed())
    lines = [line.strip().rstrip(",") for line in json_report(reports.mixed()).splitlines() if line.startswith("    ")]
    assert [json.loads(line) for line in lines] == json.loads(
        json.dumps([one for key in ("rules", "resources", "findings", "errors") for one in written[key]])
    )


def test_reports_of_the_same_run_are_the_same_bytes() -> None:
    for _, renderer in FORMATS.values():
        assert renderer(reports.mixed()) == renderer(reports.mixed())


def test_the_formats_name_their_files() -> None:
    assert {name: file for name, (file, _) in FORMATS.items()} == {
        "html": "report.html",
        "json": "report.json",
        "csv": "findings.csv",
        "markdown": "report.md",
        "junit": "junit.xml",
        "sarif": "report.sarif",
        "ocsf": "report.ocsf.json",
        "asff": "findings.asff.json",
    }
    assert [renderer for _, renderer in FORMATS.values()][:2] == [html_report, json_report]
    assert set(FORMATS) == set(typing.get_args(Format))


def test_evidence_of_any_kind_becomes_json() -> None:
    moment = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
    evidence = {
        "moment": moment,
        "day": moment.date(),
        "set": {"b", "a"},
        "tuple": (1, 2),
        "nan": float("nan"),
        "half": 0.5,
        "table": ORDERS,
        "status": Status.FAIL,
        "bytes": b"x",
        3: None,
    }
    written = json.loads(json_report(reports.made([reports.finding(evidence=evidence)])))
    assert written["findings"][0]["evidence"] == {
        "moment": "2026-01-31T12:00:00Z",
        "day": "2026-01-31",
        "set": ["a", "b"],
        "tuple": [1, 2],
        "nan": "nan",
        "half": 0.5,
        "table": ORDERS.arn,
        "status": "fail",
        "bytes": "b'x'",
        "3": None,
    }
    assert json_value(True) is True


# How texts and values are shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("orders", "orders"),
        ("Zoë 表 ✓", "Zoë 表 ✓"),
        ("a\u202eb", r"a\u202eb"),
        ("a\u2028b", r"a\u2028b"),
        ("a\u200bb\u200d\ufeff", r"a\u200bb\u200d\ufeff"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\nb\x00", r"a\x0ab\x00"),
        ("\ud800", r"\ud800"),
    ],
)
def test_invisible_characters_are_shown_as_escapes(text: str, expected: str) -> None:
    assert shown(text) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        (None, "null"),
        (True, "true"),
        (7, "7"),
        ([], "[]"),
        ({"a": ["b\u202e"]}, r'{"a": ["b\u202e"]}'),
        (["x" * 80], '[\n  "' + "x" * 80 + '"\n]'),
    ],
)
def test_values_of_the_evidence_are_shown_as_text_or_json(value: object, expected: str) -> None:
    assert shown_value(value) == expected


def test_prose_becomes_paragraphs_and_code_and_nothing_else() -> None:
    assert prose("One `a<b` two\nthree.\n\n<script>") == (
        "<p>One <code>a&lt;b</code> two three.</p>\n<p>&lt;script&gt;</p>"
    )


def test_numbers_agree_with_their_nouns() -> None:
    assert [plural(0, "table"), plural(1, "table"), plural(12345, "table")] == ["0 tables", "1 table", "12,345 tables"]


# Placeholders of commands

KEY = Key(IRELAND, "1234abcd-12ab-34cd-56ef-1234567890ab")


@pytest.mark.parametrize(
    ("command", "resource", "expected"),
    [
        ("--table-name $TABLE --region $REGION", ORDERS, "--table-name orders --region eu-west-1"),
        ("$TABLE_ARN ${TABLE_ARN}", ORDERS, f"{ORDERS.arn} {ORDERS.arn}"),
        ("$KEY_ID $KEY_ARN", KEY, f"{KEY.name} {KEY.arn}"),
        ("$CLUSTER", DaxCluster(IRELAND, "cache"), "cache"),
        ("$VPC $SUBNET", Vpc(IRELAND, "vpc-1"), "vpc-1 $SUBNET"),
        ("$VPC $SUBNET", Subnet(IRELAND, "subnet-1"), "$VPC subnet-1"),
        ("$TRAIL $ACCOUNT", Trail(IRELAND, "audit"), "audit 111122223333"),
        ("$REGION $ACCOUNT $TABLE", IRELAND, "eu-west-1 111122223333 $TABLE"),
        ("$REGION $ACCOUNT", SHOP, "$REGION 111122223333"),
        ("$TABLES $TABLE_NAME $TABLEx $table $BUCKET $(date) $$", ORDERS,
         "$TABLES $TABLE_NAME $TABLEx $table $BUCKET $(date) $$"),
        ("Enabled=true,Key=$KEY_ARN,Other=$OTHER", KEY, f"Enabled=true,Key={KEY.arn},Other=$OTHER"),
    ],
)  # fmt: skip
def test_only_what_the_resource_answers_is_filled_in(command: str, resource: Resource, expected: str) -> None:
    assert filled(command, resource) == expected


def test_the_kinds_of_identities_answer_by_their_names() -> None:
    account = IRELAND.account
    for resource, name in ((Role(account, "team/api"), "ROLE_NAME"), (User(account, "ann"), "USER_NAME")):
        assert filled(f"aws x ${name} $USER", resource) == f"aws x {resource.name} $USER"
    assert filled("aws x $ENDPOINT", VpcEndpoint(IRELAND, "vpce-1")) == "aws x vpce-1"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a b", "aws x 'a b' --region eu-west-1"),
        ("a;reboot", "aws x 'a;reboot' --region eu-west-1"),
        ("$(reboot)", "aws x '$(reboot)' --region eu-west-1"),
        ("it's", "aws x 'it'\"'\"'s' --region eu-west-1"),
        ("--no-verify-ssl", "aws x $TABLE --region eu-west-1"),
        ("a\nreboot", "aws x $TABLE --region eu-west-1"),
        ("a\u202eb", "aws x $TABLE --region eu-west-1"),
    ],
)
def test_a_name_is_one_word_to_the_shell_or_stays_a_placeholder(name: str, expected: str) -> None:
    assert filled("aws x $TABLE --region $REGION", Table(IRELAND, name)) == expected


@pytest.mark.parametrize(
    "command",
    ['aws x "$TABLE"', 'aws x \'{"TableName": "$TABLE"}\'', 'aws x "\\"$TABLE"', 'aws x "it\'s $TABLE"'],
)
def test_inside_quotes_only_a_harmless_name_is_filled_in(command: str) -> None:
    assert filled(command, Table(IRELAND, "orders")) == command.replace("$TABLE", "orders")
    assert filled(command, Table(IRELAND, "$(reboot)")) == command


def test_after_closed_quotes_a_name_is_quoted_again() -> None:
    assert filled('aws \'x\' "y" \\" $TABLE', Table(IRELAND, "a b")) == "aws 'x' \"y\" \\\" 'a b'"


@given(st.text(min_size=1))
def test_no_name_breaks_out_of_its_word(name: str) -> None:
    command = filled("aws --table $TABLE \"$TABLE\" '$TABLE' x=$TABLE end", Table(IRELAND, name))
    words = shlex.split(command)
    assert len(words) == 7
    assert {words[2], words[3], words[4], words[5].removeprefix("x=")} <= {name, "$TABLE"}


@given(st.text())
def test_nothing_invisible_is_left_in_a_text(text: str) -> None:
    assert not {unicodedata.category(char) for char in shown(text)} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


# Rule pages


@pytest.mark.parametrize("one", packs.built_in().values(), ids=lambda one: one.id)
def test_a_rule_page_says_everything_about_the_rule(one: Rule) -> None:
    page = rule_page(one)
    assert page.startswith(f"# {one.id}\n")
    for part in (one.title, one.description, one.severity.label, *one.practices, *one.references):
        assert part in page
    for code in (one.remediation.text, one.remediation.cli, one.remediation.terraform, one.remediation.cloudformation):
        assert code in page
    for setting in one.settings:
        assert f"| `{setting.name}` | " in page
    for framework, ids in one.controls.items():
        assert f"- {framework}: {', '.join(ids)}" in page
    assert re.search(r"^- `[a-z0-9-]+:\w+`$", page, re.MULTILINE)
    assert page.endswith("\n")
    assert "\n\n\n" not in page


def test_a_rule_page_names_the_calls_behind_the_facts() -> None:
    page = rule_page(packs.built_in()["table-deletion-protection"])
    assert "- `dynamodb:DescribeTable`" in page
    assert "kms:" not in page
    assert '| `require_for` | production or all | `"production"` | Which tables must be protected. |' in page


def test_a_rule_page_does_without_what_a_rule_does_not_have() -> None:
    @rule(
        severity=Severity.LOW,
        side=Side.BOTH,
        practices=["X1"],
        remediation=Remediation("Mend it.", "", "", ""),
        references=[],
    )
    def bare(account: Account, *, either: Annotated[int | None, "This | that."] = None) -> Verdict:
        """It is bare.

        Why.
        """
        return passed("yes")

    page = rule_page(bare.rule)  # type: ignore[attr-defined]
    assert "- Practices: X1\n" in page
    assert "| `either` | whole number or null | `null` | This \\| that. |" in page
    assert "```" not in page
    assert "References" not in page


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (int, "whole number"),
        (Annotated[bool, "text"], "true or false"),
        (Literal["a", "b", "c"], "a, b or c"),
        (Literal["a"], "a"),
        (tuple[str, ...], "list of text"),
        (list[float] | None, "list of number or null"),
        (dict[str, int], "map from text to whole number"),
        (Region, "Region"),
        (Any, "Any"),
    ],
)
def test_types_of_settings_are_told_in_words(hint: Any, expected: str) -> None:
    assert type_name(hint) == expected
