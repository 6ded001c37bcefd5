"""SARIF 2.1.0 (OASIS), in the subset that GitHub code scanning reads.

Results are the failures that nobody accepts. GitHub ignores suppressions, so an accepted failure in the file would
open an alert; a note in the file counts them instead. Passes and what does not apply are no alerts.

Resources are no files, and GitHub insists on files: ``uri`` is a path made of what the ARN says,
``aws/ACCOUNT/REGION/SERVICE/…``, by which alerts can be filtered. An ARN itself would be taken for an absolute URI
with a foreign scheme, and GitHub refuses the whole file for one such result; the ARN is the logical location.

GitHub closes an alert when the next upload for the same category lacks it. What could not be evaluated is therefore
an error among the notifications, the first of them says that the run is incomplete, and ``properties.complete`` of
the run lets a job decide not to upload. ``executionSuccessful`` is false only when the run was stopped or read
nothing: the process of a run with some unknown verdicts did succeed, and its failures are worth their alerts.

GitHub rates an alert by its rule (``security-severity``, the rule's severity as configured). A finding's own severity
may differ, such as that of a table outside production: it is the result's level and stands in its message.

The category (``automationDetails.id`` up to the last slash) is the account, or ``organization`` where there are
several, and the region where there is one only. Uploads of one category replace each other.

Limits (GitHub documentation, "SARIF support for code scanning"): 25,000 results per run (more: the file is refused),
the 5,000 most severe are shown, 10 MB compressed, texts of a rule 1,024 characters, 20 tags per rule (10 shown).
"""

from __future__ import annotations

import logging
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from auditor.formats.bounds import clean, cut, line, spread
from auditor.overview import Coverage, failed_calls
from auditor.report import Finding, Report, exit_line, utc
from auditor.resources import Account, Region, Resource, account_of, region_of
from auditor.rule_api import Rule, Severity, Status
from auditor.wording import GLOBAL, REASONS

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"

#: Results that GitHub takes.
MOST_RESULTS = 25_000
#: Results that GitHub shows.
SHOWN_RESULTS = 5_000
#: Bytes that GitHub takes, compressed with gzip; some are left for gzip's own frame.
MOST_BYTES = 10_000_000 - 1_000
#: Notifications about unknown verdicts, and about calls that failed.
MOST_NOTIFICATIONS = 500
_MOST_TEXT, _MOST_NAME, _MOST_TAGS = 1024, 255, 10

LEVELS: Mapping[Severity, str] = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.INFORMATIONAL: "note",
}

#: GitHub: above 9.0 critical, from 7.0 high, from 4.0 medium, above 0.0 low.
SCORES: Mapping[Severity, str] = {
    Severity.CRITICAL: "9.5",
    Severity.HIGH: "8.0",
    Severity.MEDIUM: "5.5",
    Severity.LOW: "2.0",
}

_NOTIFICATIONS: Mapping[str, str] = {
    "incomplete": "The run could not evaluate everything.",
    "left-out": "Something is not in this file.",
    "unknown-verdict": "A rule could not be evaluated on a resource.",
    "failed-call": "A call to AWS failed.",
}

_SEMANTIC_VERSION = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?\Z")

_log = logging.getLogger(__name__)


def render(report: Report) -> str:
    """Return report.sarif: one run, worst results first, within GitHub's limits.

    Beyond these the evidence is left out, then the least severe results are; a notification in the file and a
    warning in the log say so.
    """
    failures = sorted(
        (one for one in report.findings if one.status is Status.FAIL and not one.accepted),
        key=lambda one: one.sort_key,
    )
    results, evidence = failures[:MOST_RESULTS], True
    while True:
        left_out = _left_out(report, len(failures), len(results), evidence=evidence)
        text = _document(report, results, left_out, evidence=evidence)
        size = len(text) if len(text) <= MOST_BYTES else len(zlib.compress(text.encode()))
        if size <= MOST_BYTES or not results:
            break
        if evidence:
            evidence = False
        else:
            results = results[: len(results) * MOST_BYTES * 9 // (size * 10)]
    for _, level, message in left_out:
        if level == "warning":
            _log.warning("report.sarif: %s", message)
    return text


def _left_out(report: Report, failures: int, kept: int, *, evidence: bool) -> list[tuple[str, str, str]]:
    """Return (notification, level, message) on what is not in the file or will not be shown."""
    told = []
    if kept < failures:
        text = (
            f"{failures - kept:,} of {failures:,} failures are not in this file, the least severe ones: GitHub takes "
            f"{MOST_RESULTS:,} results and 10 MB. An alert that such a failure had before is closed although it "
            "persists. The JSON report has all; audits by account or region (--account, --region) give smaller files."
        )
        told.append(("left-out", "warning", text))
    if not evidence:
        text = "The evidence is not in this file, which would be above the 10 MB that GitHub takes."
        told.append(("left-out", "warning", f"{text} The JSON report has it."))
    if kept > SHOWN_RESULTS:
        text = f"GitHub shows the {SHOWN_RESULTS:,} most severe of the {kept:,} results in this file."
        told.append(("left-out", "note", text))
    accepted = sum(one.status is Status.FAIL and one.accepted for one in report.findings)
    if accepted:
        text = f"Failures that are accepted and not in this file: {accepted:,}. The JSON report has them."
        told.append(("left-out", "note", text))
    return told


def _document(
    report: Report, results: Sequence[Finding], left_out: list[tuple[str, str, str]], *, evidence: bool
) -> str:
    numbers = {rule.id: number for number, rule in enumerate(report.rules)}
    names = {scope.account.id: scope.name for scope in report.scopes}
    driver = {
        "name": "ddbaudit",
        "version": report.version,
        **({"semanticVersion": report.version} if _SEMANTIC_VERSION.match(report.version) else {}),
        "rules": [_rule(rule) for rule in report.rules],
        "notifications": [{"id": key, "shortDescription": {"text": text}} for key, text in _NOTIFICATIONS.items()],
    }
    stopped = Coverage(report).interrupted
    invocation = {
        "executionSuccessful": not stopped,
        "startTimeUtc": utc(report.run.started),
        "endTimeUtc": utc(report.run.finished),
        # The process of a run that was stopped ends with another code than the report knows of.
        **({} if stopped else {"exitCode": report.gate.exit_code, "exitCodeDescription": exit_line(report)}),
        "toolExecutionNotifications": _notifications(report, left_out, numbers, names),
    }
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": _category(report)},
        "invocations": [invocation],
        "columnKind": "utf16CodeUnits",
        "properties": {"runId": report.run.id, "source": report.run.source, "complete": report.complete},
        "results": [_result(one, numbers[one.rule], names, evidence=evidence) for one in results],
    }
    return spread({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, 6) + "\n"


def _category(report: Report) -> str:
    accounts = {scope.account.id for scope in report.scopes}
    regions = {region.name for scope in report.scopes for region in scope.regions}
    parts = ["ddbaudit", accounts.pop() if len(accounts) == 1 else "organization"]
    return "/".join([*parts, *(regions if len(regions) == 1 else ()), ""])


def _rule(rule: Rule) -> dict[str, Any]:
    description = [" ".join(one.split()) for one in re.split(r"\n\s*\n", rule.description) if one.strip()]
    remediation = rule.remediation
    examples = [
        ("AWS CLI", "sh", remediation.cli),
        ("Terraform", "hcl", remediation.terraform),
        ("CloudFormation", "yaml", remediation.cloudformation),
    ]
    examples = [(name, language, _lines(code).strip("\n")) for name, language, code in examples if code.strip()]
    references = [one for one in map(line, rule.references) if re.match(r"https://\S+\Z", one)]
    mend = line(" ".join(remediation.text.split()))
    level = {"level": LEVELS[rule.severity]}
    score = {"security-severity": SCORES[rule.severity]} if rule.severity in SCORES else {}
    controls = [f"{framework}/{control}" for framework, ids in rule.controls.items() for control in ids]
    tags = dict.fromkeys(line(one) for one in ("security", rule.domain, *rule.practices, *controls) if one)
    return {
        "id": rule.id,
        "name": cut("".join(word.capitalize() for word in rule.id.split("-")), _MOST_NAME),
        # The title of an alert: it states what is not so.
        "shortDescription": {"text": cut(f"Expected: {line(rule.title)}", _MOST_TEXT)},
        "fullDescription": {"text": _sentences(" ".join(map(line, description)), _MOST_TEXT)},
        **({"helpUri": references[0]} if references else {}),
        "help": {
            "text": "\n\n".join(
                [
                    *map(line, description),
                    f"How to mend it: {mend}",
                    *(f"{name}:\n{code}" for name, _, code in examples),
                    *(["References:\n" + "\n".join(references)] if references else []),
                ]
            ),
            "markdown": "\n\n".join(
                [
                    *map(line, description),
                    f"## How to mend it\n\n{mend}",
                    *(f"**{name}**\n\n{_fenced(code, language)}" for name, language, code in examples),
                    *(["## References\n\n" + "\n".join(f"- <{one}>" for one in references)] if references else []),
                ]
            ),
        },
        "defaultConfiguration": level,
        "properties": {"tags": list(tags)[:_MOST_TAGS], "precision": "very-high", **score},
    }


def _lines(text: str) -> str:
    return "\n".join(map(line, text.split("\n")))


def _fenced(code: str, language: str) -> str:
    fence = "```"
    while fence in code:
        fence += "`"
    return f"{fence}{language}\n{code}\n{fence}"


def _sentences(text: str, limit: int) -> str:
    """Return as many whole sentences as fit."""
    if len(text) <= limit and text.isascii():
        return text
    whole = cut(text, limit)
    end = whole.rfind(". ")
    return whole if whole == text or end < 0 else f"{whole[: end + 1]} …"


def _result(finding: Finding, number: int, names: Mapping[str, str], *, evidence: bool) -> dict[str, Any]:
    place = _place(finding.resource, names)
    return {
        "ruleId": finding.rule,
        "ruleIndex": number,
        "kind": "fail",
        "level": LEVELS[finding.severity],
        "message": {"text": _message(f"{finding.message} ({finding.severity.label}; {place})")},
        "locations": [_location(finding.resource)],
        "partialFingerprints": {
            "primaryLocationLineHash": f"{finding.id[:32]}:1",
            "ddbauditFindingId/v1": finding.id,
        },
        **({"baselineState": finding.state} if finding.state is not None else {}),
        "properties": {
            "arn": line(finding.resource.arn),
            "severity": finding.severity.label,
            **({"subKey": line(finding.sub_key)} if finding.sub_key is not None else {}),
            **({"evidence": clean(finding.evidence)} if evidence else {}),
        },
    }


def _place(resource: Resource, names: Mapping[str, str]) -> str:
    account, region = account_of(resource), region_of(resource)
    named = f", {names[account.id]}" if names.get(account.id) else ""
    what = "" if isinstance(resource, Account | Region) else f"{resource.noun} {resource.label}, "
    return f"{what}{region.name if region else GLOBAL}, account {account.id}{named}"


def _message(text: str) -> str:
    """Return a text in which nothing is a link: SARIF takes ``[text](target)`` in plain messages for one."""
    return line(text).replace("](", "] (")


def _location(resource: Resource) -> dict[str, Any]:
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": path(resource)},
            "region": {"startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 2},
        },
        "logicalLocations": [
            {"name": line(resource.label), "fullyQualifiedName": line(resource.arn), "kind": "resource"}
        ],
    }


def path(resource: Resource) -> str:
    """Return the path that stands for a resource: ``aws/111122223333/eu-west-1/dynamodb/table/orders``.

    Every part is percent-encoded; none is empty, and none names a folder above.
    """
    region = region_of(resource)
    service, rest = resource.arn.split(":", 5)[2::3]
    if isinstance(resource, Region | Account):
        rest = resource.noun
    kind, _, name = re.sub("[:/]", "/", rest, count=1).partition("/")
    parts = [account_of(resource).id, region.name if region else GLOBAL, service, kind, *name.split("/")]
    return "/".join(["aws", *(_quoted(part) for part in parts if part)])


def _quoted(part: str) -> str:
    return quote(line(part), safe="-_.") if part.strip(".") else part.replace(".", "%2E")


def _notifications(
    report: Report, left_out: list[tuple[str, str, str]], numbers: Mapping[str, int], names: Mapping[str, str]
) -> list[dict[str, Any]]:
    told = []
    if not report.complete:
        text = (
            f"This run is incomplete; verdicts that are unknown: {report.open_unknown:,}. "
            if report.open_unknown
            else "This run is incomplete: it was stopped, or it could read no account and region. "
        )
        text += "That a result is missing here does not prove that what it said before is mended."
        told.append(_notification("incomplete", "error", text))
    told += [_notification(*one) for one in left_out]
    unknown = sorted(
        (one for one in report.findings if one.status is Status.UNKNOWN and not one.accepted),
        key=lambda one: one.sort_key,
    )
    for finding in unknown[:MOST_NOTIFICATIONS]:
        why = REASONS.get(finding.reason or "undecidable", "Unknown")
        action = f": {finding.missing_permission}" if finding.missing_permission else ""
        text = f"{finding.message} ({why}{action}; {_place(finding.resource, names)})"
        told.append(
            _notification("unknown-verdict", "error", text)
            | {
                "associatedRule": {"id": finding.rule, "index": numbers[finding.rule]},
                "locations": [_location(finding.resource)],
            }
        )
    calls = failed_calls(report.errors)
    for call in calls[:MOST_NOTIFICATIONS]:
        places = "; ".join(f"{account} ({', '.join(regions)})" for account, regions in call.places[:20])
        more = f" and {len(call.places) - 20:,} more accounts" if len(call.places) > 20 else ""
        needed = f" Needed by {', '.join(call.rules)}." if call.rules else ""
        text = f"{call.operation}: {call.code} in {places}{more}.{needed} AWS says: {' / '.join(call.messages[:3])}"
        # A resource that was deleted meanwhile leaves the run complete.
        told.append(_notification("failed-call", "warning" if call.rules else "note", cut(line(text), 4096)))
    for kind, number in (("unknown verdicts", len(unknown)), ("calls that failed", len(calls))):
        if number > MOST_NOTIFICATIONS:
            text = f"{number - MOST_NOTIFICATIONS:,} more {kind} are not told of here. The JSON report has them."
            told.append(_notification("left-out", "warning", text))
            _log.warning("report.sarif: %s", text)
    return told


def _notification(kind: str, level: str, text: str) -> dict[str, Any]:
    return {
        "descriptor": {"id": kind, "index": list(_NOTIFICATIONS).index(kind)},
        "level": level,
        "message": {"text": _message(text)},
    }
