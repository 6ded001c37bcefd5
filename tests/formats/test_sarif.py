"""report.sarif: SARIF 2.1.0, and the subset and limits of GitHub code scanning."""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

import jsonschema
import pytest

from auditor.formats import sarif
from auditor.inventory import CallError, Scope
from auditor.report import Report
from auditor.resources import Account, Bucket, IdentityPool, LogGroup, Region, Resource, Role, Table, Topic
from auditor.rule_api import Remediation, Severity, Status
from tests import reports
from tests.formats import exports
from tests.reports import BANK, BANK_IRELAND, FRANKFURT, IRELAND, ORDERS, SHOP, finding, made

SAMPLES: list[Callable[[], Report]] = [
    *(reports.mixed, reports.compared, reports.hostile, reports.empty),
    *(exports.demo, exports.long),
]
every_sample = pytest.mark.parametrize("sample", SAMPLES)


def run_of(report: Report) -> dict[str, Any]:
    log = json.loads(sarif.render(report))
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-2.1.0.json")
    (run,) = log["runs"]
    return dict(run)


def told(run: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    notifications = run["invocations"][0]["toolExecutionNotifications"]
    return [one for one in notifications if one["descriptor"]["id"] == kind]


def results_of(*findings: Any, **more: Any) -> list[dict[str, Any]]:
    return list(run_of(made(findings, **more))["results"])


@every_sample
def test_the_file_fits_the_published_schema(sample: Callable[[], Report]) -> None:
    schema = exports.published_schema("sarif-schema-2.1.0.json")
    checker = jsonschema.FormatChecker()
    jsonschema.Draft4Validator(schema, format_checker=checker).validate(json.loads(sarif.render(sample())))


@every_sample
def test_github_takes_the_file(sample: Callable[[], Report]) -> None:
    """What GitHub's documentation asks for; a file is refused as a whole for one wrong result."""
    report = sample()
    run = run_of(report)
    rules = run["tool"]["driver"]["rules"]
    assert [one["id"] for one in rules] == [one.id for one in report.rules]
    for rule in rules:
        assert 0 < len(rule["name"]) <= 255
        for text in (rule["shortDescription"]["text"], rule["fullDescription"]["text"]):
            assert text.strip()
            assert len(text.encode("utf-16-le")) // 2 <= 1024
        assert rule["help"]["text"].strip()
        assert rule["help"]["markdown"].strip()
        tags = rule["properties"]["tags"]
        assert tags[0] == "security"
        assert len(tags) == len(set(tags)) <= 10
        assert rule["defaultConfiguration"]["level"] in ("error", "warning", "note")
    hashes = set()
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"].strip()
        assert result["level"] in ("error", "warning", "note")
        (location,) = result["locations"]
        check_uri(location["physicalLocation"]["artifactLocation"]["uri"])
        assert location["physicalLocation"]["region"] == {
            "startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 2
        }  # fmt: skip
        fingerprint = result["partialFingerprints"]["primaryLocationLineHash"]
        assert re.fullmatch(r"[0-9a-f]{32}:1", fingerprint)
        hashes.add(fingerprint)
    assert len(hashes) == len(run["results"]) <= 25_000
    assert re.fullmatch(r"(ddbaudit/.+)/", run["automationDetails"]["id"])


def check_uri(uri: str) -> None:
    parts = urlsplit(uri)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("", "", "", "")
    assert not uri.startswith("/")
    assert re.fullmatch(r"aws(/([A-Za-z0-9_.~-]|%[0-9A-F]{2})+){4,}", uri), uri
    assert not {".", ".."} & set(uri.split("/"))


@every_sample
def test_nothing_that_an_account_chooses_acts(sample: Callable[[], Report]) -> None:
    exports.check_safe(sarif.render(sample()))


def test_hostile_texts_are_still_told() -> None:
    run = run_of(reports.hostile())
    start = exports.shown(reports.HOSTILE)
    assert all(start in one["message"]["text"] for one in run["results"])
    (unknown,), (call,) = told(run, "unknown-verdict"), told(run, "failed-call")
    assert start in unknown["message"]["text"]
    assert start in call["message"]["text"]


def test_the_golden_file() -> None:
    # The rules' texts would change it with every word in them.
    report = reports.compared()
    named = {one.rule for one in report.findings}
    few = replace(report, rules=tuple(one for one in report.rules if one.id in named))
    exports.compare_with_golden("report.sarif", sarif.render(few))


def test_results_are_the_failures_that_nobody_accepts_worst_first() -> None:
    for report in (reports.mixed(), reports.compared(), exports.demo()):
        expected = [
            one.id
            for one in sorted(report.findings, key=lambda one: one.sort_key)
            if one.status is Status.FAIL and not one.accepted
        ]
        assert [one["partialFingerprints"]["ddbauditFindingId/v1"] for one in run_of(report)["results"]] == expected


def test_an_acceptance_takes_a_failure_out_until_it_expires_and_a_note_counts_it() -> None:
    run = run_of(reports.compared())
    assert [one["ruleId"] for one in run["results"]] == ["kms-key-usable", "table-deletion-protection", "table-pitr"]
    (note,) = told(run, "left-out")
    assert note["level"] == "note"
    assert note["message"]["text"] == "Failures that are accepted and not in this file: 1. The JSON report has them."


def test_the_state_stands_on_every_result_of_a_comparison_and_on_none_without() -> None:
    assert [one["baselineState"] for one in run_of(reports.compared())["results"]] == ["unchanged", "new", "unchanged"]
    assert not any("baselineState" in one for one in run_of(reports.mixed())["results"])


@pytest.mark.parametrize(
    ("severity", "level", "score", "band"),
    [
        (Severity.CRITICAL, "error", "9.5", (9.0, 10.0)),
        (Severity.HIGH, "error", "8.0", (6.9, 8.9)),
        (Severity.MEDIUM, "warning", "5.5", (3.9, 6.9)),
        (Severity.LOW, "note", "2.0", (0.0, 3.9)),
        (Severity.INFORMATIONAL, "note", None, None),
    ],
)
def test_severities(severity: Severity, level: str, score: str | None, band: tuple[float, float] | None) -> None:
    plain = next(one for one in reports.mixed().rules if one.id == "table-pitr")
    run = run_of(made([finding("table-pitr", severity=severity)], rules=[replace(plain, severity=severity)]))
    assert run["results"][0]["level"] == level
    assert f"({severity.label}; " in run["results"][0]["message"]["text"]
    (rule,) = run["tool"]["driver"]["rules"]
    assert rule["defaultConfiguration"]["level"] == level
    assert rule["properties"].get("security-severity") == score
    assert band is None or band[0] < float(score or 0) <= band[1]


def test_a_message_says_what_where_and_whose() -> None:
    role = Role(SHOP, "service/orders-api")
    by_rule = {
        one["ruleId"]: one["message"]["text"]
        for one in results_of(
            finding("table-pitr", message="It is off."),
            finding("iam-role-trust", role, message="Too open."),
            finding("trail-data-events", FRANKFURT, message="No trail."),
            finding("iam-root-usage", BANK, message="Used."),
        )
    }
    assert by_rule == {
        "table-pitr": "It is off. (high; table orders, eu-west-1, account 111122223333, shop-production)",
        "iam-role-trust": "Too open. (high; IAM role orders-api, global, account 111122223333, shop-production)",
        "trail-data-events": "No trail. (high; eu-central-1, account 111122223333, shop-production)",
        "iam-root-usage": "Used. (high; global, account 444455556666, bank)",
    }


def test_nothing_in_a_message_is_a_link() -> None:
    (result,) = results_of(finding(message="See [here](https://example.org) or [](javascript:1)."))
    assert re.search(r"\]\(", result["message"]["text"]) is None
    assert "[here] (https://example.org)" in result["message"]["text"]


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        (ORDERS, "aws/111122223333/eu-west-1/dynamodb/table/orders"),
        (Table(IRELAND, "..."), "aws/111122223333/eu-west-1/dynamodb/table/%2E%2E%2E"),
        (Table(IRELAND, "../.."), "aws/111122223333/eu-west-1/dynamodb/table/%2E%2E/%2E%2E"),
        (Table(IRELAND, "a b\u202eü"), "aws/111122223333/eu-west-1/dynamodb/table/a%20b%5Cu202e%C3%BC"),
        (FRANKFURT, "aws/111122223333/eu-central-1/dynamodb/region"),
        (SHOP, "aws/111122223333/global/iam/account"),
        (Role(SHOP, "service/api+x@y=z,w"), "aws/111122223333/global/iam/role/service/api%2Bx%40y%3Dz%2Cw"),
        (Bucket(BANK, "exports.bank"), "aws/444455556666/global/s3/exports.bank"),
        (Topic(IRELAND, "alerts"), "aws/111122223333/eu-west-1/sns/alerts"),
        (LogGroup(IRELAND, "/aws/lambda/x"), "aws/111122223333/eu-west-1/logs/log-group/aws/lambda/x"),
        (IdentityPool(IRELAND, "eu:0a"), "aws/111122223333/eu-west-1/cognito-identity/identitypool/eu%3A0a"),
        (Table(Region(Account("1", "aws-cn"), "cn-north-1"), "t"), "aws/1/cn-north-1/dynamodb/table/t"),
    ],
)  # fmt: skip
def test_the_path_that_stands_for_a_resource(resource: Resource, path: str) -> None:
    assert sarif.path(resource) == path
    check_uri(path)
    (result,) = results_of(finding(resource=resource))
    (location,) = result["locations"]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == path
    (logical,) = location["logicalLocations"]
    assert logical["kind"] == "resource"
    if resource.arn.isprintable():
        assert logical["fullyQualifiedName"] == resource.arn == result["properties"]["arn"]
        assert unquote(path).split("/")[1] in (resource.arn.split(":")[4], BANK.id)


def test_half_a_character_has_a_path_too() -> None:
    assert sarif.path(Table(IRELAND, "a\ud800")) == "aws/111122223333/eu-west-1/dynamodb/table/a%5Cud800"


def test_resources_of_a_report_have_different_paths() -> None:
    resources = {one.resource for one in exports.demo().findings}
    assert len({sarif.path(one) for one in resources}) == len(resources)


def test_the_category_tells_accounts_and_single_regions_apart() -> None:
    def category(*scopes: Scope) -> Any:
        return run_of(made(scopes=scopes))["automationDetails"]["id"]

    assert category(Scope(SHOP, "shop", (FRANKFURT, IRELAND))) == "ddbaudit/111122223333/"
    assert category(Scope(SHOP, "shop", (FRANKFURT,))) == "ddbaudit/111122223333/eu-central-1/"
    assert category(*reports.SCOPES) == "ddbaudit/organization/"
    both = (Scope(SHOP, "", (IRELAND,)), Scope(BANK, "", (BANK_IRELAND,)))
    assert category(*both) == "ddbaudit/organization/eu-west-1/"


def test_what_is_unknown_is_an_error_among_the_notifications_with_its_rule_and_place() -> None:
    run = run_of(reports.mixed())
    (unknown,) = told(run, "unknown-verdict")
    assert unknown["level"] == "error"
    assert unknown["message"]["text"] == (
        "kms:DescribeKey is not allowed. (Permission missing: kms:DescribeKey; table orders, eu-west-1, account "
        "111122223333, shop-production)"
    )
    rule = run["tool"]["driver"]["rules"][unknown["associatedRule"]["index"]]
    assert rule["id"] == unknown["associatedRule"]["id"] == "table-encryption-key"
    assert unknown["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == sarif.path(ORDERS)
    assert not any(one["ruleId"] == "table-encryption-key" for one in run["results"])


def test_an_accepted_doubt_is_not_told() -> None:
    (unknown,) = told(run_of(reports.compared()), "unknown-verdict")
    assert unknown["associatedRule"]["id"] == "table-replica-parity"


def test_failed_calls_are_told_and_what_vanished_is_a_note() -> None:
    calls = told(run_of(reports.mixed()), "failed-call")
    assert [(one["level"], one["message"]["text"].split(":")[1]) for one in calls] == [
        ("note", "DescribeTable"), ("warning", "ListTables"), ("warning", "DescribeKey")
    ]  # fmt: skip
    text = calls[-1]["message"]["text"]
    assert text == (
        "kms:DescribeKey: AccessDeniedException in 111122223333 (eu-west-1). Needed by kms-key-usable, "
        "table-encryption-key. AWS says: Not allowed."
    )


def test_notifications_refer_to_declared_ones() -> None:
    for sample in SAMPLES:
        run = run_of(sample())
        declared = run["tool"]["driver"]["notifications"]
        for one in run["invocations"][0]["toolExecutionNotifications"]:
            assert declared[one["descriptor"]["index"]]["id"] == one["descriptor"]["id"]


def test_a_complete_run() -> None:
    run = run_of(made([finding()]))
    (invocation,) = run["invocations"]
    assert invocation == {
        "executionSuccessful": True,
        "startTimeUtc": "2026-01-31T11:59:58Z",
        "endTimeUtc": "2026-01-31T12:00:07Z",
        "exitCode": 3,
        "exitCodeDescription": "ddbaudit: exit 3: 1 finding at or above high, 0 unknown",
        "toolExecutionNotifications": [],
    }
    assert run["properties"]["complete"] is True


def test_an_incomplete_run_says_so_first_though_its_process_succeeded() -> None:
    run = run_of(reports.mixed())
    (invocation,) = run["invocations"]
    first = invocation["toolExecutionNotifications"][0]
    assert (first["descriptor"]["id"], first["level"]) == ("incomplete", "error")
    assert "unknown: 1" in first["message"]["text"]
    assert run["properties"]["complete"] is False
    assert invocation["executionSuccessful"] is True


def test_a_run_that_was_stopped_did_not_succeed() -> None:
    run = run_of(made([finding()], complete=False))
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    assert "exitCode" not in invocation
    assert "stopped" in invocation["toolExecutionNotifications"][0]["message"]["text"]


def test_the_help_of_a_rule_says_why_and_how() -> None:
    rules = run_of(reports.empty())["tool"]["driver"]["rules"]
    rule = next(one for one in rules if one["id"] == "table-deletion-protection")
    assert rule["name"] == "TableDeletionProtection"
    assert rule["shortDescription"]["text"] == "Expected: Production tables have deletion protection on."
    assert rule["helpUri"].startswith("https://docs.aws.amazon.com/")
    for text in rule["help"].values():
        assert "How to mend it" in text
        assert "aws dynamodb update-table" in text
        assert rule["helpUri"] in text
    markdown = rule["help"]["markdown"]
    assert "\n```sh\naws dynamodb" in markdown
    assert markdown.count("\n```") == 6
    assert "AWS FSBP/DynamoDB.6" in rule["properties"]["tags"]


def test_a_rule_of_another_pack_may_lack_texts_and_have_fences_in_them() -> None:
    plain = reports.mixed().rules[0]
    fenced = "```\nrm\n```"
    bare = replace(plain, remediation=Remediation("Do it.", fenced, "", ""), references=("ftp://x", "https://a b"))
    (rule,) = run_of(made(rules=[bare]))["tool"]["driver"]["rules"]
    assert "helpUri" not in rule
    assert "Terraform" not in rule["help"]["text"]
    assert f"````sh\n{fenced}\n````" in rule["help"]["markdown"]


def test_long_descriptions_end_with_a_sentence() -> None:
    plain = reports.mixed().rules[0]
    (rule,) = run_of(made(rules=[replace(plain, description="Sentences are short. " * 100)]))["tool"]["driver"]["rules"]
    text = rule["fullDescription"]["text"]
    assert text.endswith("short. …")
    assert 1000 < len(text) <= 1024
    assert rule["help"]["text"].count("Sentences") == 100


def test_a_version_that_is_not_semantic_is_no_semantic_version() -> None:
    driver = run_of(replace(reports.empty(), version="1.2.dev3"))["tool"]["driver"]
    assert driver["version"] == "1.2.dev3"
    assert "semanticVersion" not in driver
    assert run_of(reports.empty())["tool"]["driver"]["semanticVersion"] == "1.2.3"


def test_github_gets_its_25000_worst_and_the_file_and_the_log_say_what_is_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    report = exports.many(30_000)
    with caplog.at_level(logging.WARNING):
        text = sarif.render(report)
    (run,) = json.loads(text)["runs"]
    severities = [Severity[one["properties"]["severity"].upper()] for one in run["results"]]
    assert len(severities) == 25_000
    assert severities == sorted(severities, reverse=True)
    worst = sorted((one.severity for one in report.findings), reverse=True)[:25_000]
    assert severities == worst
    warning, note = told(run, "left-out")
    assert warning["level"] == "warning"
    assert warning["message"]["text"].startswith("5,000 of 30,000 failures are not in this file")
    assert "shows the 5,000 most severe of the 25,000" in note["message"]["text"]
    assert [one.getMessage() for one in caplog.records] == [f"report.sarif: {warning['message']['text']}"]
    assert len(gzip.compress(text.encode())) < 10_000_000


def test_what_is_too_big_compressed_loses_its_evidence_then_its_least_results(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    report = made(
        replace(one, evidence={"Policy": one.id + one.id[::-1], "Digest": hashlib.sha512(one.id.encode()).hexdigest()})
        for one in exports.many(4_000).findings
    )
    whole = len(gzip.compress(sarif.render(report).encode()))
    monkeypatch.setattr(sarif, "MOST_BYTES", whole * 3 // 4)
    run = run_of(report)
    assert len(run["results"]) == 4_000
    assert not any("evidence" in one["properties"] for one in run["results"])
    assert ["evidence" in one["message"]["text"] for one in told(run, "left-out")] == [True]

    monkeypatch.setattr(sarif, "MOST_BYTES", whole // 4)
    caplog.clear()
    text = sarif.render(report)
    assert len(gzip.compress(text.encode())) < whole // 4 + 1_000
    (run,) = json.loads(text)["runs"]
    kept = len(run["results"])
    assert 500 < kept < 4_000
    left, evidence = told(run, "left-out")
    assert left["message"]["text"].startswith(f"{4_000 - kept:,} of 4,000 failures are not in this file")
    assert len(caplog.records) == 2
    assert evidence["message"]["text"] in caplog.records[1].getMessage()


def test_rules_that_are_too_big_alone_end_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "MOST_BYTES", 100)
    assert run_of(reports.mixed())["results"] == []


def test_notifications_are_capped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    unknown = [
        finding("table-pitr", Table(IRELAND, f"t{place:04}"), Status.UNKNOWN, message="?", reason="throttled")
        for place in range(1_200)
    ]
    errors = [(CallError(SHOP.id, "eu-west-1", "dynamodb", "X", f"Code{n}", "m", "F"), ("table-pitr",))
              for n in range(700)]  # fmt: skip
    run = run_of(made(unknown, errors=errors))
    assert len(told(run, "unknown-verdict")) == 500
    assert len(told(run, "failed-call")) == 500
    counted = [one["message"]["text"] for one in told(run, "left-out")]
    assert counted == [
        "700 more unknown verdicts are not told of here. The JSON report has them.",
        "200 more calls that failed are not told of here. The JSON report has them.",
    ]
    assert [one.getMessage() for one in caplog.records] == [f"report.sarif: {one}" for one in counted]
    assert "unknown: 1,200" in told(run, "incomplete")[0]["message"]["text"]


def test_a_call_that_failed_everywhere_takes_one_short_notification() -> None:
    errors = [
        (
            CallError(f"{account:012}", region, "dynamodb", "ListTables", "Denied", f"No {account}.", "Names"),
            ("r",),
        )
        for account in range(400)
        for region in ("eu-west-1", "us-east-1", "")
    ]
    (call,) = told(run_of(made(errors=errors, complete=False)), "failed-call")
    text = call["message"]["text"]
    assert "000000000000 (eu-west-1, global, us-east-1); 000000000001" in text
    assert "and 380 more accounts" in text
    assert len(text) < 2_000


def test_the_same_report_gives_the_same_file_whenever_it_is_written() -> None:
    report = reports.compared()
    assert sarif.render(report) == sarif.render(replace(report, findings=tuple(reversed(report.findings))))
    later = replace(report, run=replace(report.run, finished=report.run.finished + timedelta(hours=1)))
    assert sarif.render(later) == sarif.render(report).replace("2026-01-31T12:00:07Z", "2026-01-31T13:00:07Z")
