"""What the script of report.html works with: all findings, each text once.

Findings refer to rules, resources, texts and values by number, so that a search looks at every text once.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from auditor.placeholders import LOCATED, NAMED
from auditor.report import Finding, Report, json_value
from auditor.resources import Resource, account_of, region_of
from auditor.rule_api import Status
from auditor.wording import GLOBAL, REASONS, STATUSES

T = TypeVar("T")

#: Above so many findings the page holds failures and unknown ones only.
MOST_FINDINGS = 50_000

#: Characters of data that a browser still opens in a few seconds; the least severe findings are left out above it.
MOST_CHARACTERS = 20_000_000


class _Numbered(Generic[T]):
    """Values, each once, by number."""

    def __init__(self) -> None:
        self.numbers: dict[T, int] = {}

    def of(self, value: T) -> int:
        return self.numbers.setdefault(value, len(self.numbers))

    @property
    def values(self) -> list[T]:
        return list(self.numbers)


def packed(text: str) -> str:
    """Return data as it stands in the page: compressed, in letters and digits that end no element.

    A page of 10,000 findings stays below 2 MB even if no two of them have anything in common. The same data gives the
    same text.
    """
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()


def data(report: Report) -> str:
    """Return the data as JSON in ASCII.

    The object's key ``leftOut`` says how many findings are not in it.
    """
    findings: Sequence[Finding] = report.findings
    if len(findings) > MOST_FINDINGS:
        findings = [one for one in findings if one.status in (Status.FAIL, Status.UNKNOWN)]
    text = _json(report, findings)
    while len(text) > MOST_CHARACTERS:
        keep = len(findings) * MOST_CHARACTERS * 9 // (len(text) * 10)
        findings = sorted(findings, key=lambda one: (one.accepted, one.sort_key))[:keep]
        text = _json(report, findings)
    return text


def left_out(text: str) -> int:
    """Return how many findings are not in some data."""
    return int(text[text.index('"leftOut":') + len('"leftOut":') :].partition(",")[0])


def _json(report: Report, findings: Sequence[Finding]) -> str:
    return json.dumps(_document(report, findings), ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def _document(report: Report, findings: Sequence[Finding]) -> dict[str, Any]:
    rules = {rule.id: number for number, rule in enumerate(report.rules)}
    statuses = {status: number for number, status in enumerate(STATUSES)}
    names = {scope.account.id: scope.name for scope in report.scopes}
    texts, values, shapes = _Numbered[str](), _Numbered[str](), _Numbered[tuple[str, ...]]()
    accounts, regions, kinds = _Numbered[str](), _Numbered[str](), _Numbered[tuple[str, str, str, str]]()
    acceptances = _Numbered[Any]()
    resources: dict[Resource, int] = {}
    held: list[list[Any]] = []
    rows: list[list[Any]] = []
    for finding in findings:
        resource = finding.resource
        if resource not in resources:
            resources[resource] = len(resources)
            region, kind = region_of(resource), type(resource)
            tags = report.tags.get(resource, {})
            held.append(
                [
                    resource.arn,
                    resource.label,
                    kinds.of((resource.cfn_type, resource.noun, NAMED.get(kind, ""), LOCATED.get(kind, ""))),
                    accounts.of(account_of(resource).id),
                    regions.of(region.name if region else GLOBAL),
                    *([dict(sorted(tags.items()))] if tags else []),
                ]
            )
        row: list[Any] = [
            rules[finding.rule],
            resources[resource],
            statuses[finding.status],
            int(finding.severity),
            texts.of(finding.message),
            shapes.of(tuple(str(json_value(name)) for name in finding.evidence)),
            [
                values.of(json.dumps(json_value(value), ensure_ascii=True, allow_nan=False))
                for value in finding.evidence.values()
            ],
            finding.sub_key,
            finding.reason,
            finding.missing_permission,
            finding.state,
            None if finding.acceptance is None else acceptances.of(finding.acceptance),
        ]
        while row[-1] is None:
            row.pop()
        rows.append(row)
    return {
        "version": report.version,
        "run": report.run.id,
        "total": len(report.findings),
        "leftOut": len(report.findings) - len(findings),
        "rules": [
            {
                "id": rule.id,
                "title": rule.title,
                "severity": int(rule.severity),
                "practices": list(rule.practices),
                "controls": {framework: list(ids) for framework, ids in rule.controls.items()},
                "cli": rule.remediation.cli,
            }
            for rule in report.rules
        ],
        "accounts": [[account, names.get(account, "")] for account in accounts.values],
        "regions": regions.values,
        "kinds": kinds.values,
        "reasons": dict(REASONS),
        "resources": held,
        "texts": texts.values,
        "values": [json.loads(value) for value in values.values],
        "shapes": shapes.values,
        "acceptances": [
            [one.reason, one.by, one.until.isoformat(), one.ticket, one.expired] for one in acceptances.values
        ],
        "findings": rows,
    }
