"""report.html: what it says, and in which order."""

import base64
import dataclasses
import gzip
import json
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest

from auditor import Severity, Status, packs, report_data
from auditor.inventory import CallError, Scope
from auditor.render import html_report, json_report, report_schema
from auditor.report import FactsAsOf, Recorded, Report
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


def test_the_head_says_how_old_what_aws_config_recorded_is() -> None:
    assert "AWS Config" not in read(MIXED).one("header", class_="top").text
    moments = [datetime(2026, 1, day, 8, 30, tzinfo=UTC) for day in (3, 1, 4, 2)]
    recorded = (
        Recorded(SHOP.id, "eu-west-1", "PointInTimeRecovery", moments[1], moments[0], 1200),
        Recorded(SHOP.id, "us-west-2", "PointInTimeRecovery", moments[3], moments[2], 34),
    )
    report = dataclasses.replace(reports.mixed(), facts_as_of=FactsAsOf({SHOP.id: moments[0]}, recorded))
    assert (
        "AWS Config point-in-time recovery of 1,234 tables, as recorded from 2026-01-01 08:30:00 UTC to "
        "2026-01-04 08:30:00 UTC"
    ) in shown(report).one("header", class_="top").text
    document = json.loads(json_report(report))
    jsonschema.Draft202012Validator(report_schema()).validate(document)
    assert document["run"]["factsAsOf"] == {
        "live": [{"account": SHOP.id, "since": "2026-01-03T08:30:00Z"}],
        "config": [
            {
                "account": SHOP.id,
                "region": region,
                "fact": "PointInTimeRecovery",
                "oldest": f"2026-01-0{oldest}T08:30:00Z",
                "newest": f"2026-01-0{newest}T08:30:00Z",
                "tables": tables,
            }
            for region, oldest, newest, tables in (("eu-west-1", 1, 3, 1200), ("us-west-2", 2, 4, 34))
        ],
    }


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
        (reports.made([finding(state="new")], new_only=True), "bad", "Gate failed: 1 new finding at or above high"),
        (reports.made([finding(counted_before=True)], new_only=True), "good", "Gate passed: no new finding at or"),
        (reports.made([finding(status=Status.UNKNOWN, acceptance=reports.ACCEPTED)]), "good",
         "Exit code 0. What could not be evaluated is accepted."),
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
    assert row.all("a")[0].attributes["href"] == f"#r-{rule.id}"
    assert [one.attributes["data-find"] for one in row.all("a")[1:]] == [
        f"rule={rule.id}&status=fail",
        f"rule={rule.id}&status=pass",
    ]
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
    assert "No failures." in root.one(id="static").text
    assert "Nothing is unknown." in root.one(id="static").text
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


def held(page: str) -> dict[str, Any]:
    """Return the data that the script works with."""
    document: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(read(page).one("script", id="data").text)))
    return document


def unpacked(page: str) -> list[dict[str, Any]]:
    """Return the findings that the script has, in the form of report.json."""
    has = held(page)
    statuses, severities = ("fail", "unknown", "pass", "not_applicable"), [one.label for one in Severity]
    made = []
    for row in has["findings"]:
        rule, resource, status, severity, text, shape, values, *rest = row
        sub_key, reason, permission, state, accepted = rest + [None] * (5 - len(rest))
        acceptance = None
        if accepted is not None:
            names = ("reason", "by", "until", "ticket", "expired")
            acceptance = dict(zip(names, has["acceptances"][accepted], strict=True))
        made.append(
            {
                "rule": has["rules"][rule]["id"],
                "resource": has["resources"][resource][0],
                "status": statuses[status],
                "severity": severities[severity],
                "message": has["texts"][text],
                "evidence": {name: has["values"][one] for name, one in zip(has["shapes"][shape], values, strict=True)},
                "subKey": sub_key,
                "reason": reason,
                "missingPermission": permission,
                "state": state,
                "acceptance": acceptance,
            }
        )
    return made


@pytest.mark.parametrize("report", [reports.mixed(), reports.compared(), reports.hostile(), reports.empty()])
def test_the_script_has_every_finding_as_report_json_has_it(report: Report) -> None:
    findings = json.loads(json_report(report))["findings"]
    assert unpacked(html_report(report)) == [
        {name: value for name, value in one.items() if name != "id"} for one in findings
    ]


def test_without_javascript_failures_come_first_and_the_worst_first() -> None:
    root = read(MIXED)
    static = root.one(id="static")
    assert [one.one("h3").text.split()[0] for one in static.all(class_="level")] == [
        "Critical", "High", "Medium", "Low", "?",
    ]  # fmt: skip
    assert [one.one("code").text for one in static.all("header")] == [
        "kms-key-usable", "table-deletion-protection", "table-pitr", "table-deletion-protection",
        "table-required-tags", "table-encryption-key",
    ]  # fmt: skip


def test_without_javascript_the_worst_hundred_are_there_and_the_page_says_so() -> None:
    static = shown(reports.many(150)).one(id="static")
    assert len(static.all("details", class_="finding")) == 100
    assert "Shown here: 100 findings, the worst ones. With JavaScript this page shows all 150 findings" in static.text
    everything = shown(reports.made([finding()])).one(id="static")
    assert "Shown here" not in everything.text


def test_a_failure_without_javascript_says_all_there_is_to_say() -> None:
    report = reports.mixed()
    root = shown(report)
    by_anchor = {one.attributes["id"]: one for one in root.all(class_="body") if one.attributes["id"].startswith("f-")}
    bad = [one for one in report.findings if one.status in (Status.FAIL, Status.UNKNOWN)]
    assert set(by_anchor) == {f"f-{one.id[:16]}" for one in bad}
    for one in bad:
        shown_finding = by_anchor[f"f-{one.id[:16]}"].parent
        assert shown_finding is not None
        region, account = one.resource.arn.split(":")[3:5]
        for part in (one.resource.label, one.resource.noun, region, account, one.message, one.rule, one.resource.arn):
            assert part in shown_finding.text
        assert one.status in shown_finding.attributes["class"]


def test_above_fifty_thousand_findings_the_page_holds_what_is_bad_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_data, "MOST_FINDINGS", 8)
    page = html_report(reports.mixed())
    assert {one["status"] for one in unpacked(page)} == {"fail", "unknown"}
    assert held(page)["leftOut"] == 3
    assert "This page holds 6 findings, the worst ones; 3 others are in report.json only." in read(page).text


def test_data_that_no_browser_would_open_is_cut_at_the_least_severe(monkeypatch: pytest.MonkeyPatch) -> None:
    report = reports.many(2000)
    whole = len(report_data.data(report))
    monkeypatch.setattr(report_data, "MOST_CHARACTERS", whole // 2)
    page = html_report(report)
    kept = unpacked(page)
    assert len(report_data.data(report)) <= whole // 2
    assert 500 < len(kept) < 1500
    assert len(kept) + held(page)["leftOut"] == 2000
    assert [one["severity"] for one in kept] == [one.severity.label for one in report.findings[: len(kept)]]


def test_controls_have_the_worst_status_of_their_rules() -> None:
    report = reports.made(
        [finding(), finding("table-pitr", status=Status.UNKNOWN), finding("table-pitr", reports.CARTS, Status.PASS)],
        rules=only_rules("table-deletion-protection", "table-pitr", "table-backup-recent"),
    )
    section = shown(report).one(id="compliance")
    assert "does not prove it" in section.text
    found = {row[0]: row[1:] for row in rows(section)}
    assert found["DynamoDB.6"] == ["✕ Fail", "table-deletion-protection", "1", "0", "0", "0"]
    assert found["DynamoDB.2"][:4] == ["? Unknown", "table-pitr", "0", "1"]
    assert found["DynamoDB.4"][:2] == ["Not assessed", "table-backup-recent"]
    nist = next(one for one in section.all("details") if "NIST" in one.one("summary").text)
    names = [row[0] for row in rows(nist)[1:]]
    assert names.index("CP-6(2)") < names.index("CP-9") < names.index("CP-10")


def test_what_the_acceptance_file_does_is_listed_with_what_needs_a_hand_first() -> None:
    section = shown(reports.compared()).one(id="acceptances")
    assert [row[0] for row in rows(section)[1:]] == ["✕ Expired", "? Stale", "✓ In use"]
    assert "table-pitr arn:aws:dynamodb:*:*:table/gone · env=dev · line 15" in section.text
    assert "Rebuilt every night from S3. data-platform, until 2026-06-30, SEC-123" in section.text
    assert not read(MIXED).all(id="acceptances")


def test_what_the_comparison_with_an_earlier_report_gives_is_said_beside_the_verdict() -> None:
    verdict = shown(reports.compared()).one(id="verdict").text
    assert "Since the report of 2026-01-24 12:00:07 UTC : 1 new failure, 3 fixed; 2 earlier failures could" in verdict
    assert "could not be evaluated or were not looked at , so they are not fixed." in verdict
    assert "Since" not in read(MIXED).one(id="verdict").text


def test_accepted_and_new_findings_are_marked() -> None:
    static = shown(reports.compared()).one(id="static")
    assert [one.text for one in static.all(class_="mark-word")] == [
        "New", "Accepted until 2025-12-31: expired", "Accepted until 2026-06-30", "Accepted until 2026-06-30",
    ]  # fmt: skip
    assert "Was accepted until 2025-12-31 by shop-team: Moves to the new account in autumn." in static.text


def test_evidence_is_a_table_of_names_and_values_with_nested_ones_as_json() -> None:
    root = read(MIXED)
    key, *_, tags, _ = root.one(id="static").all("article")
    assert rows(key) == [
        ["KeyState", "PendingDeletion"],
        ["DeletionDate", "null"],
        ["tables", f'[ "{reports.ORDERS.arn}", "{reports.ACCOUNTS.arn}" ]'],
    ]
    assert rows(tags)[1] == ["tags", '{"env": "prod", "empty": ""}']


def test_a_failure_comes_with_its_remediation_and_the_command_for_its_resource() -> None:
    root = read(MIXED)
    group = root.one(id="static").all("article")[1]
    remediation = packs.built_in()["table-deletion-protection"].remediation
    assert remediation.text in group.text
    assert group.one("pre", class_="command").text == (
        "aws dynamodb update-table --table-name orders --deletion-protection-enabled --region eu-west-1"
    )
    assert not root.one(id="static").all("article")[-1].all("pre", class_="command")


def test_an_unknown_finding_says_why_and_which_permission_is_missing() -> None:
    assert "Reason Permission missing: kms:DescribeKey" in read(MIXED).one(id="static").text


def test_several_findings_on_one_resource_are_told_apart() -> None:
    root = shown(reports.made([finding(sub_key="a b"), finding(sub_key="c")]))
    assert [one.text for one in root.one(id="static").all(class_="name")] == ["orders · a b", "orders · c"]


def test_a_finding_of_a_global_resource_has_no_region() -> None:
    root = shown(reports.made([finding("table-pitr", SHOP, Status.UNKNOWN)]))
    assert "account · global · shop-production 111122223333" in root.one(id="static").text


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


def test_ten_thousand_findings_stay_below_two_megabytes() -> None:
    page = html_report(reports.many(10_000))
    assert len(unpacked(page)) == 10_000
    assert len(page.encode()) < 2_000_000


def test_call_errors_of_any_number_of_messages_are_cut_short() -> None:
    errors = [(CallError("1", "r", "s", "O", "C", f"message {number}", "F"), ()) for number in range(5)]
    text = shown(reports.made(errors=errors)).one(id="incomplete").text
    assert "message 2" in text
    assert "and 2 more in report.json" in text
    assert "message 3" not in text
