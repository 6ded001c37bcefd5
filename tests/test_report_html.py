"""report.html: what it says, and in which order."""

import dataclasses
from typing import Any

import pytest

from auditor import Severity, Status, packs
from auditor.inventory import CallError, Scope
from auditor.render import html_report
from auditor.report import Report
from auditor.resources import Account, Region
from auditor.wording import PRACTICES
from tests import reports
from tests.page import Element, read, rows
from tests.reports import FOREIGN_KEY, FRANKFURT, IRELAND, OREGON, SHOP, finding

MIXED = html_report(reports.mixed())
DASH = "\N{EN DASH}"


def shown(report: Report) -> Element:
    return read(html_report(report))


def only_rules(*ids: str) -> list[Any]:
    return [packs.built_in()[one] for one in ids]


# What it says


def test_the_head_says_who_looked_at_what_when_and_how() -> None:
    text = read(MIXED).one("header", class_="top").text
    for part in (
        "ddbaudit 1.2.3",
        "shop-production 111122223333, bank 444455556666",
        "eu-central-1, eu-west-1, us-west-2",
        "2026-01-31 11:59:58 UTC to 2026-01-31 12:00:07 UTC",
        "AWS, read-only calls",
        "arn:aws:sts::111122223333:assumed-role/auditor/run",
    ):
        assert part in text


def test_many_accounts_are_named_in_the_table_only() -> None:
    scopes = tuple(
        Scope(Account(f"{n:012}"), f"team-{n}", (Region(Account(f"{n:012}"), "eu-west-1"),)) for n in range(9)
    )
    root = shown(reports.made(scopes=scopes))
    assert "and 3 more" in root.one("header", class_="top").text
    assert "team-8 000000000008" in root.one(id="places").text


@pytest.mark.parametrize(
    ("report", "kind", "words"),
    [
        (reports.made([finding()]), "bad", "Gate failed: 1 finding at or above high Exit code 3. Every rule reached"),
        (reports.made([finding()], exit_zero=True), "bad",
         "Gate failed: 1 finding at or above high Exit code 0, because the run was told to exit with 0"),
        (reports.made([finding(severity=Severity.LOW)]), "good", "Gate passed: no finding at or above high Exit"),
        (reports.made([finding()], fail_on=None), "good", "No gate: no severity fails this run Exit code 0."),
        (reports.made([finding(status=Status.UNKNOWN, reason="throttled")]), "open",
         "Gate passed, but incomplete: no finding at or above high Exit code 4. The run is incomplete: 1 verdict"),
        (reports.made([finding(status=Status.UNKNOWN)], allow_incomplete=True), "open",
         "Exit code 0, because the run was told so although it is incomplete."),
        (reports.made([finding(status=Status.UNKNOWN)], fail_on=None), "open", "and the run is incomplete"),
        (reports.made([finding()], complete=False), "bad", "it was stopped before everything was read."),
        (reports.made(scopes=(), complete=False), "open", "no account and region could be read."),
    ],
)  # fmt: skip
def test_the_verdict_of_the_gate_is_said_in_words(report: Report, kind: str, words: str) -> None:
    verdict = shown(report).one(id="verdict")
    assert kind in verdict.attributes["class"]
    assert words in verdict.text


def test_what_could_not_be_evaluated_is_told_by_permission_with_the_rules() -> None:
    denied: dict[str, Any] = {
        "status": Status.UNKNOWN,
        "reason": "access_denied",
        "missing_permission": "kms:DescribeKey",
    }
    root = shown(
        reports.made(
            [
                finding("table-pitr", status=Status.UNKNOWN, reason="throttled"),
                finding("table-required-tags", status=Status.UNKNOWN, reason="throttled"),
                finding("table-encryption-key", **denied),
                finding("kms-key-usable", FOREIGN_KEY, **denied),
            ]
        )
    )
    banner = root.one(id="incomplete")
    assert "Not everything could be evaluated" in banner.text
    assert rows(banner)[1:] == [
        ["Permission missing", "kms:DescribeKey", "2", "kms-key-usable table-encryption-key"],
        ["Throttled to the end", "none would help", "2", "table-pitr table-required-tags"],
    ]


def test_failed_calls_are_told_by_operation_with_places_messages_and_rules() -> None:
    errors: list[tuple[CallError, tuple[str, ...]]] = [
        (reports.call_error("ListTables", region=name, message=f"No, {name}."), ("table-pitr",))
        for name in ("eu-west-1", "us-west-2")
    ]
    errors.append((reports.call_error("ListUsers", region="", service="iam", code="Throttling"), ()))
    root = shown(reports.made([finding(status=Status.UNKNOWN)], errors=errors))
    table = rows(root.one(id="incomplete").one("details"))
    assert "3 calls failed" in root.one(id="incomplete").text
    assert table[1:] == [
        ["dynamodb:ListTables 2 times", "AccessDeniedException No, eu-west-1. No, us-west-2.",
         "111122223333 eu-west-1, us-west-2", "table-pitr"],
        ["iam:ListUsers 1 time", "Throttling Not allowed.", "111122223333 global", "none"],
    ]  # fmt: skip


def test_a_complete_run_with_failed_calls_lists_them_without_alarm() -> None:
    root = shown(reports.made([finding()], errors=[(reports.call_error(code="ResourceNotFoundException"), ())]))
    section = root.one(id="incomplete")
    assert "banner" not in section.attributes.get("class", "")
    assert "Failed calls" in section.text
    assert "Not everything" not in root.text


def test_a_complete_run_has_no_such_section() -> None:
    root = shown(reports.made([finding()]))
    assert not root.all(id="incomplete")
    assert "Every rule reached a verdict on every resource." in root.one(id="verdict").text


def test_the_summary_counts_and_states_the_formula_of_the_score() -> None:
    summary = read(MIXED).one(id="summary")
    assert "3 tables and 1 DAX cluster in 4 regions of 2 accounts" in summary.text
    assert f"✕ Fail 5 ? Unknown 1 ✓ Pass 2 {DASH} Not applicable 1" in summary.text
    assert "25.0 of 100" in summary.text
    assert "100 \N{MULTIPLICATION SIGN} passes ÷ (passes + failures)" in summary.text
    assert "critical 10, high 5, medium 3, low 1, informational 0" in summary.text
    titles = [one.text for one in summary.all("title")]
    assert titles[0] == "Of 9 findings: 5 fail, 1 unknown, 2 pass, 1 not applicable"
    assert titles[1:3] == ["1 of 5 failures: critical", "2 of 5 failures: high"]


def test_the_bars_are_as_wide_as_their_share() -> None:
    status_bar, *severity_bars = read(MIXED).one(id="summary").all("svg")
    parts = status_bar.all("rect")
    assert [round(float(one.attributes["width"]), 1) for one in parts] == [55.6, 11.1, 22.2, 11.1]
    assert float(parts[-1].attributes["x"]) + float(parts[-1].attributes["width"]) == pytest.approx(100, abs=0.01)
    assert [float(bar.all("rect")[0].attributes["width"]) for bar in severity_bars[:2]] == [20.0, 40.0]
    assert not severity_bars[-1].all("rect")


def test_both_sides_are_shown_with_their_counts_and_rules() -> None:
    report = reports.made(
        [finding(), finding("network-subnet-path", IRELAND, Status.PASS)],
        rules=only_rules("table-deletion-protection", "network-subnet-path", "table-pitr"),
    )
    amazon, client, both = shown(report).one(id="sides").all(class_="side")
    assert "Amazon side" in amazon.text
    assert "✕ 1 fail ? 0 unknown ✓ 0 pass" in amazon.text
    assert "table-pitr no findings" in amazon.text
    assert "✕ 0 fail ? 0 unknown ✓ 1 pass" in client.text
    assert "network-subnet-path ✓ 1 pass" in client.text
    assert "Both sides" in both.text
    assert "No rule of this run." in both.text


def test_every_practice_is_listed_with_its_rules_and_the_worst_status() -> None:
    report = reports.made(
        [finding(), finding("table-pitr", status=Status.UNKNOWN), finding("kms-key-usable", FOREIGN_KEY, Status.PASS)],
        rules=only_rules("table-deletion-protection", "table-pitr", "kms-key-usable", "network-subnet-path"),
    )
    found = {row[0]: row[1:] for row in rows(shown(report).one(id="practices"))[1:]}
    assert list(found) == list(PRACTICES) == [*(f"P{number}" for number in range(1, 18)), "B"]
    assert found["P5"] == [f"{PRACTICES['P5']} table-deletion-protection", "✕ Fail"]
    assert found["B"][1] == "? Unknown"
    assert found["P6"][1] == "✓ Pass"
    assert found["P1"][1] == "No findings"
    assert found["P12"] == [PRACTICES["P12"], "Not yet checked"]


def test_every_rule_has_a_line_with_its_counts_that_lead_to_the_findings() -> None:
    root = read(MIXED)
    table = root.one(id="rules")
    found = {row[0].split()[-1]: row for row in rows(table)[1:]}
    assert set(found) == set(packs.built_in())
    rule = packs.built_in()["table-deletion-protection"]
    assert found[rule.id] == [f"{rule.title} {rule.id}", "High", "2", "0", "1", "0"]
    row = next(row for row in table.all("tr") if rule.id in row.text)
    assert [one.attributes["href"] for one in row.all("a")] == [f"#r-{rule.id}", f"#high-{rule.id}", f"#pass-{rule.id}"]
    order = [Severity[row[1].upper()] for row in rows(table)[1:]]
    assert order == sorted(order, reverse=True)


def test_accounts_and_regions_say_what_was_found_and_what_is_not_known() -> None:
    assert rows(read(MIXED).one(id="places"))[1:] == [
        ["shop-production 111122223333"],
        ["eu-central-1", "none found", "none found", "0", "0", "0", "1"],
        ["eu-west-1", "2", "1", "4", "1", "1", "0"],
        ["us-west-2", "not known", "none found", "0", "0", "0", "0"],
        ["bank 444455556666"],
        ["eu-west-1", "1", "none found", "0", "0", "1", "0"],
        ["777788889999 not audited; holds what audited tables use"],
        ["eu-west-1", DASH, DASH, "1", "0", "0", "0"],
    ]


def test_regions_where_nothing_was_found_share_a_line_and_global_findings_have_one() -> None:
    report = reports.made(
        [
            finding(),
            finding("trail-management-logging", FRANKFURT, Status.NOT_APPLICABLE),
            finding("trail-management-logging", OREGON, Status.PASS),
            finding("table-pitr", SHOP, Status.UNKNOWN),
        ],
        scopes=reports.SCOPES[:1],
    )
    assert rows(shown(report).one(id="places"))[2:] == [
        ["eu-west-1", "1", "none found", "1", "0", "0", "0"],
        ["global", DASH, DASH, "0", "1", "0", "0"],
        ["eu-central-1, us-west-2 (2 regions)", "none found", "none found", "0", "0", "1", "1"],
    ]


def test_an_interrupted_run_does_not_say_that_nothing_was_found() -> None:
    root = shown(reports.made(complete=False))
    assert "none found" not in root.one(id="places").text
    assert "not known" in root.one(id="places").text
    assert "Not every region could be listed, so this may not be all there is" in root.one(id="verdict").text


def test_an_account_without_tables_is_said_to_have_none() -> None:
    root = shown(reports.empty())
    assert (
        "No DynamoDB tables and no DAX clusters were found in 4 regions of 2 accounts." in root.one(id="verdict").text
    )
    assert "No failures." in root.one(id="failures").text
    assert "Nothing is unknown." in root.one(id="unknown").text
    assert "Nothing was judged, so there is nothing to score." in root.one(id="summary").text
    assert len(rows(root.one(id="places"))) > 4
    assert len(root.one(id="reference").all("details", class_="rule")) == len(packs.built_in())


def test_regions_that_could_not_be_listed_are_not_said_to_be_empty() -> None:
    for error in (
        reports.call_error("ListTables", fact="TableNames"),
        reports.call_error("DescribeClusters", service="dax", fact="DaxClusterNames"),
        reports.call_error("DescribeRegions", region="", service="ec2", fact="RegionScope"),
    ):
        root = shown(reports.made([finding("table-pitr", SHOP, Status.UNKNOWN)], errors=[(error, ())]))
        assert "Not every region could be listed" in root.one(id="verdict").text


def test_a_report_with_tables_says_nothing_of_their_absence() -> None:
    assert "were found" not in read(MIXED).one(id="verdict").text


# Findings


def test_failures_come_first_and_the_worst_first() -> None:
    root = read(MIXED)
    order = [one.attributes["id"] for one in root.one("main").all("section")]
    assert order[-5:] == ["failures", "unknown", "pass", "not_applicable", "reference"]
    failures = root.one(id="failures")
    assert [one.attributes["id"] for one in failures.all(class_="level")] == ["critical", "high", "medium", "low"]
    assert [one.attributes["id"] for one in failures.all("article")] == [
        "critical-kms-key-usable",
        "high-table-deletion-protection",
        "high-table-pitr",
        "medium-table-deletion-protection",
        "low-table-required-tags",
    ]


def test_every_finding_is_there_once_under_its_anchor() -> None:
    report = reports.mixed()
    root = shown(report)
    by_anchor = {one.attributes["id"]: one for one in root.all(class_="body") if one.attributes["id"].startswith("f-")}
    assert set(by_anchor) == {f"f-{one.id[:16]}" for one in report.findings}
    for one in report.findings:
        shown_finding = by_anchor[f"f-{one.id[:16]}"].parent
        assert shown_finding is not None
        region, account = one.resource.arn.split(":")[3:5]
        for part in (one.resource.label, one.resource.noun, region, account, one.message, one.rule, one.resource.arn):
            assert part in shown_finding.text
        assert one.status in shown_finding.attributes["class"]


def test_passes_and_what_does_not_apply_are_folded() -> None:
    root = read(MIXED)
    for status, words in (("pass", "2 findings of 2 rules"), ("not_applicable", "1 finding of 1 rule")):
        shelf = root.one(id=status).one("details", class_="shelf")
        assert "open" not in shelf.attributes
        assert words in shelf.text
    assert not root.one(id="unknown").all("details", class_="shelf")


def test_evidence_is_a_table_of_names_and_values_with_nested_ones_as_json() -> None:
    root = read(MIXED)
    key = root.one(id="critical-kms-key-usable")
    assert rows(key) == [
        ["KeyState", "PendingDeletion"],
        ["DeletionDate", "null"],
        ["tables", f'[ "{reports.ORDERS.arn}", "{reports.ACCOUNTS.arn}" ]'],
    ]
    assert rows(root.one(id="low-table-required-tags"))[1] == ["tags", '{"env": "prod", "empty": ""}']


def test_a_failure_comes_with_its_remediation_and_the_command_for_its_resource() -> None:
    root = read(MIXED)
    group = root.one(id="high-table-deletion-protection")
    remediation = packs.built_in()["table-deletion-protection"].remediation
    assert remediation.text in group.text
    assert group.one("pre", class_="command").text == (
        "aws dynamodb update-table --table-name orders --deletion-protection-enabled --region eu-west-1"
    )
    assert not root.one(id="pass").all("pre", class_="command")


def test_an_unknown_finding_says_why_and_which_permission_is_missing() -> None:
    assert "Reason Permission missing: kms:DescribeKey" in read(MIXED).one(id="unknown").text


def test_several_findings_on_one_resource_are_told_apart() -> None:
    root = read(MIXED)
    assert "orders-cache · a b" in root.one(id="pass").text


def test_a_finding_of_a_global_resource_has_no_region() -> None:
    root = shown(reports.made([finding("table-pitr", SHOP, Status.UNKNOWN)]))
    assert "account · global · shop-production 111122223333" in root.one(id="unknown").text


def test_what_a_rule_says_stands_once_with_code_controls_references_and_settings() -> None:
    rule = packs.built_in()["table-deletion-protection"]
    configured = dataclasses.replace(rule, values={"require_for": "all"})
    root = shown(reports.made([finding(), finding(resource=reports.CARTS)], rules=[configured]))
    about = root.one(id=f"r-{rule.id}")
    assert "AWS FSBP DynamoDB.6" in about.text
    assert about.one("a", rel="noopener noreferrer").attributes["href"] == rule.references[0]
    assert rows(about)[1] == ["require_for", "all", "Which tables must be protected."]
    assert [one.one("summary").text for one in about.all("details")] == ["AWS CLI", "Terraform", "CloudFormation"]
    assert root.text.count("deletion_protection_enabled = true") == 1
    assert "P5 " + PRACTICES["P5"] in about.text


def test_a_setting_that_nobody_set_is_marked_as_the_default() -> None:
    about = read(MIXED).one(id="r-table-deletion-protection")
    assert rows(about)[1] == ["require_for", "production default", "Which tables must be protected."]


def test_ten_thousand_findings_stay_below_twenty_megabytes() -> None:
    page = html_report(reports.many(10_000))
    assert page.count('id="f-') == 10_000
    assert len(page.encode()) < 20_000_000


def test_call_errors_of_any_number_of_messages_are_cut_short() -> None:
    errors = [(CallError("1", "r", "s", "O", "C", f"message {number}", "F"), ()) for number in range(5)]
    text = shown(reports.made(errors=errors)).one(id="incomplete").text
    assert "message 2" in text
    assert "and 2 more in report.json" in text
    assert "message 3" not in text
