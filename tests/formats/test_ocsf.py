"""report.ocsf.json: OCSF Compliance Findings, class 2003 of schema 1.5.0."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import jsonschema
import pytest

from auditor.formats import ocsf
from auditor.report import Report
from auditor.resources import Bucket, Role
from auditor.rule_api import Severity, Status
from tests import reports
from tests.formats import exports
from tests.reports import BANK, HOSTILE, ORDERS, SHOP, finding, made

SAMPLES: list[Callable[[], Report]] = [
    *(reports.mixed, reports.compared, reports.hostile, reports.empty),
    *(exports.demo, exports.long),
]
every_sample = pytest.mark.parametrize("sample", SAMPLES)

SEVERITIES = {0: "Unknown", 1: "Informational", 2: "Low", 3: "Medium", 4: "High", 5: "Critical"}


def events(report: Report) -> list[dict[str, Any]]:
    return list(json.loads(ocsf.render(report)))


def event_of(**more: Any) -> dict[str, Any]:
    (event,) = events(made([finding(**more)]))
    return event


def by_rule(report: Report) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["event_code"]: one for one in events(report)}


@pytest.mark.parametrize("version", ["1.5.0", "1.8.0"])
@every_sample
def test_events_fit_the_published_schema(sample: Callable[[], Report], version: str) -> None:
    schema = exports.published_schema(f"ocsf-{version}-compliance_finding.schema.json")
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    for event in events(sample()):
        validator.validate(event)


@every_sample
def test_every_event_has_what_the_class_requires_with_the_captions_of_its_numbers(
    sample: Callable[[], Report],
) -> None:
    for event in events(sample()):
        assert (event["category_uid"], event["category_name"]) == (2, "Findings")
        assert (event["class_uid"], event["class_name"]) == (2003, "Compliance Finding")
        assert event["activity_name"] == {1: "Create", 2: "Update", 3: "Close"}[event["activity_id"]]
        assert event["type_uid"] == 200300 + event["activity_id"]
        assert event["type_name"] == f"Compliance Finding: {event['activity_name']}"
        assert event["severity"] == SEVERITIES[event["severity_id"]]
        assert event["status"] == {1: "New", 3: "Suppressed", 4: "Resolved"}[event["status_id"]]
        assert event["metadata"]["version"] == "1.5.0"
        assert event["metadata"]["profiles"] == ["cloud", "datetime"]
        assert event["metadata"]["product"]["name"] == "ddbaudit"
        assert event["cloud"]["provider"] == "AWS"
        assert event["cloud"]["account"]["type_id"] == 10
        assert event["finding_info"]["uid"]
        assert event["finding_info"]["title"]
        assert event["finding_info"]["analytic"]["type_id"] == 1
        assert event["remediation"]["desc"]
        compliance = event["compliance"]
        assert compliance["status"] == {1: "Pass", 2: "Warning", 3: "Fail"}[compliance["status_id"]]
        (check,) = compliance["checks"]
        assert check["uid"] == event["metadata"]["event_code"] == event["finding_info"]["analytic"]["uid"]
        assert (check["status_id"], check["status"]) == (compliance["status_id"], compliance["status"])
        assert check["severity"] == SEVERITIES[check["severity_id"]]
        if "control" in compliance:
            assert compliance["control"] in compliance["requirements"]
            assert all(
                any(one.startswith(f"{name} ") for name in compliance["standards"])
                for one in compliance["requirements"]
            )
        (resource,) = event["resources"]
        assert resource["uid"]
        assert resource["cloud_partition"] == "aws"


@every_sample
def test_times_are_milliseconds_and_the_words_beside_them_say_the_same(sample: Callable[[], Report]) -> None:
    for event in events(sample()):
        found = times(event)
        assert {"time", "last_seen_time"} <= set(found)
        for milliseconds, words in found.values():
            assert milliseconds == 1_769_860_807_000
            assert datetime.fromisoformat(words) == exports.NOON


def times(value: Any) -> dict[str, tuple[int, str]]:
    found = {}
    for key, one in value.items():
        if key.endswith("_dt"):
            found[key.removesuffix("_dt")] = (value[key.removesuffix("_dt")], one)
        elif isinstance(one, dict) and key != "unmapped":
            found |= times(one)
        elif key == "time" or key.endswith("_time"):
            assert f"{key}_dt" in value
    return found


@every_sample
def test_nothing_that_an_account_chooses_acts(sample: Callable[[], Report]) -> None:
    exports.check_safe(ocsf.render(sample()))


def test_hostile_texts_are_still_told() -> None:
    start = exports.shown(HOSTILE)
    for event in events(reports.hostile()):
        assert event["message"].startswith(start)
        assert start in event["resources"][0]["name"]
        data = event["resources"][0]["data"]
        assert [key for key in data if key.startswith(start)]
        assert data["list"][2].startswith(start)


def test_the_golden_file() -> None:
    exports.compare_with_golden("report.ocsf.json", ocsf.render(reports.compared()))


@pytest.mark.parametrize(
    ("more", "activity", "status", "judged", "severity"),
    [
        ({}, "Create", "New", "Fail", "High"),
        ({"state": "new"}, "Create", "New", "Fail", "High"),
        ({"state": "unchanged"}, "Update", "New", "Fail", "High"),
        ({"acceptance": reports.ACCEPTED}, "Create", "Suppressed", "Fail", "High"),
        ({"acceptance": reports.ACCEPTED, "state": "unchanged"}, "Update", "Suppressed", "Fail", "High"),
        ({"acceptance": reports.EXPIRED}, "Create", "New", "Fail", "High"),
        ({"status": Status.UNKNOWN, "reason": "throttled"}, "Create", "New", "Warning", "High"),
        ({"status": Status.UNKNOWN, "acceptance": reports.ACCEPTED}, "Create", "Suppressed", "Warning", "High"),
        ({"status": Status.PASS}, "Close", "Resolved", "Pass", "Informational"),
    ],
)
def test_what_a_verdict_becomes(more: dict[str, Any], activity: str, status: str, judged: str, severity: str) -> None:
    event = event_of(**more)
    assert (event["activity_name"], event["status"]) == (activity, status)
    assert (event["compliance"]["status"], event["severity"]) == (judged, severity)
    assert event["compliance"]["checks"][0]["severity"] == "High"


def test_what_does_not_apply_is_left_out_and_all_else_is_there_worst_first() -> None:
    assert ocsf.render(made([finding(status=Status.NOT_APPLICABLE)])) == "[]\n"
    for report in (reports.mixed(), exports.demo()):
        expected = [one for one in report.findings if one.status is not Status.NOT_APPLICABLE]
        expected.sort(key=lambda one: one.sort_key)
        assert [one["finding_info"]["uid"] for one in events(report)] == [one.id for one in expected]
        assert {one["compliance"]["status"] for one in events(report)} == {"Pass", "Warning", "Fail"}


@pytest.mark.parametrize("severity", Severity)
def test_severities(severity: Severity) -> None:
    assert event_of(severity=severity)["severity"].lower() == severity.label


def test_a_doubt_says_why_and_what_would_help() -> None:
    event = by_rule(reports.mixed())["table-encryption-key"]
    assert event["status_code"] == "access_denied"
    assert event["status_detail"] == "Permission missing: kms:DescribeKey"
    assert event["unmapped"]["missing_permission"] == "kms:DescribeKey"
    assert event["compliance"]["status_details"] == [event["message"]]
    assert event["compliance"]["status_code"] == "unknown"


def test_an_acceptance_is_told_in_words_and_values_also_when_it_is_over() -> None:
    event = event_of(acceptance=reports.ACCEPTED)
    assert event["comment"] == ("Accepted until 2026-06-30 by data-platform: Rebuilt every night from S3. (SEC-123)")
    assert event["unmapped"]["acceptance"] == {
        "reason": "Rebuilt every night from S3.",
        "by": "data-platform",
        "until": "2026-06-30",
        "ticket": "SEC-123",
        "expired": False,
    }
    over = event_of(acceptance=reports.EXPIRED)
    assert over["comment"].startswith("Was accepted until 2025-12-31 by shop-team: ")
    assert over["unmapped"]["acceptance"]["expired"] is True


def test_first_seen_is_known_of_new_findings_only() -> None:
    assert "first_seen_time" in event_of(state="new")["finding_info"]
    assert "first_seen_time" not in event_of(state="unchanged")["finding_info"]
    assert "first_seen_time" not in event_of()["finding_info"]


def test_nothing_is_unmapped_where_nothing_needs_it() -> None:
    assert "unmapped" not in event_of()
    assert event_of(sub_key="a b")["unmapped"] == {"sub_key": "a b"}


def test_every_event_of_an_incomplete_run_says_so() -> None:
    assert {one["unmapped"]["run_complete"] for one in events(reports.mixed())} == {False}
    (stopped,) = events(made([finding()], complete=False))
    assert stopped["unmapped"] == {"run_complete": False}


def test_the_resource_its_tags_and_evidence() -> None:
    event = by_rule(reports.mixed())["table-required-tags"]
    assert event["resources"] == [
        {
            "uid": ORDERS.arn,
            "name": "orders",
            "type": "AWS::DynamoDB::Table",
            "region": "eu-west-1",
            "cloud_partition": "aws",
            "tags": [{"name": "env", "value": "prod"}],
            "data": {"missing": ["owner"], "tags": {"env": "prod", "empty": ""}},
        }
    ]
    assert event["cloud"]["account"]["name"] == "shop-production"
    assert event["cloud"]["region"] == "eu-west-1"


@pytest.mark.parametrize("resource", [Role(SHOP, "a/b"), Bucket(BANK, "exports"), SHOP])
def test_what_is_global_has_no_region(resource: Any) -> None:
    event = event_of(resource=resource)
    assert "region" not in event["cloud"]
    assert "region" not in event["resources"][0]
    assert event["cloud"]["account"]["uid"] in (SHOP.id, BANK.id)


def test_an_account_that_was_not_audited_has_no_name() -> None:
    account = by_rule(reports.mixed())["kms-key-usable"]["cloud"]["account"]
    assert account == {"uid": "777788889999", "type": "AWS Account", "type_id": 10}


def test_controls_stand_with_their_frameworks() -> None:
    compliance = by_rule(reports.mixed())["table-pitr"]["compliance"]
    assert compliance["control"] == "AWS FSBP DynamoDB.2"
    assert "NIST 800-53 r5 CP-9" in compliance["requirements"]
    assert {"AWS FSBP", "NIST 800-53 r5"} <= set(compliance["standards"])
    rule = replace(next(one for one in reports.mixed().rules if one.id == "table-pitr"), controls={})
    (bare,) = events(made([finding("table-pitr")], rules=[rule]))
    assert not {"control", "standards", "requirements"} & set(bare["compliance"])


def test_one_finding_has_one_uid_over_runs_and_an_event_of_its_own_in_each() -> None:
    report = reports.compared()
    later = replace(report, run=replace(report.run, id="1a" * 16))
    before, after = events(report), events(later)
    assert [one["finding_info"]["uid"] for one in before] == [one["finding_info"]["uid"] for one in after]
    uids = {one["metadata"]["uid"] for one in before + after}
    assert len(uids) == 2 * len(before)
    assert {one["metadata"]["correlation_uid"] for one in after} == {"1a" * 16}


def test_the_file_has_a_line_for_every_event() -> None:
    lines = ocsf.render(reports.mixed()).splitlines()
    assert (lines[0], lines[-1]) == ("[", "]")
    assert [json.loads(one.removesuffix(","))["class_uid"] for one in lines[1:-1]] == [2003] * 8


def test_thirty_thousand_events() -> None:
    assert ocsf.render(exports.many(30_000)).count('"class_uid": 2003,') == 30_000
