"""The report: findings, the gate, the exit code, and the document that ``report.json`` holds."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from auditor.inventory import Caller, CallError, Scope
from auditor.resources import Resource, account_of, region_of
from auditor.rule_api import Rule, Severity, Status

SCHEMA = "urn:ddbaudit:schema:report-1.0"
SCHEMA_VERSION = "1.0"

#: Weight of a finding in the score, by severity.
WEIGHTS = {
    Severity.CRITICAL: 10,
    Severity.HIGH: 5,
    Severity.MEDIUM: 3,
    Severity.LOW: 1,
    Severity.INFORMATIONAL: 0,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One verdict of one rule on one resource.

    Attributes:
        rule: Id of the rule.
        resource: What it is about.
        severity: How bad it is (or would be, for a pass).
        sub_key: Tells several findings of one rule on one resource apart.
        reason: For ``unknown`` why; for ``not_applicable`` possibly ``not_declared``.
        missing_permission: The IAM action that would have helped.
    """

    rule: str
    resource: Resource
    status: Status
    severity: Severity
    message: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    sub_key: str | None = None
    reason: str | None = None
    missing_permission: str | None = None

    @property
    def id(self) -> str:
        """The same over runs and versions: sha256 of rule id NUL resource id (NUL sub-key)."""
        parts = [self.rule, self.resource.arn, *([self.sub_key] if self.sub_key is not None else [])]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    @property
    def sort_key(self) -> tuple[int, str, str, str]:
        """Worst first, then by rule and resource."""
        return (-self.severity, self.rule, self.resource.arn, self.sub_key or "")


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether the run passes.

    Attributes:
        fail_on: Lowest severity of a failure that counts; None: none does.
        counted: How many findings count.
        exit_code: 0, 3 or 4, options such as ``--exit-zero`` applied.
    """

    fail_on: Severity | None
    counted: int
    exit_code: int

    @property
    def passed(self) -> bool:
        """No finding counts."""
        return self.counted == 0


@dataclass(frozen=True, slots=True)
class RunInfo:
    """How the report came about.

    Attributes:
        id: Tells runs apart.
        source: ``aws``, ``snapshot``, ``demo`` or ``config-item``.
    """

    id: str
    started: datetime
    finished: datetime
    source: str
    caller: Caller


@dataclass(frozen=True, slots=True)
class Report:
    """Everything a template prints.

    Attributes:
        resources: Every resource with a finding and every table and cluster that was found, by ARN.
        tags: Tags of the tables and clusters whose tags are known.
        errors: Calls that failed, each with the rules that needed them.
        complete: Everything could be evaluated.
    """

    version: str
    run: RunInfo
    scopes: tuple[Scope, ...]
    rules: tuple[Rule, ...]
    resources: tuple[Resource, ...]
    tags: Mapping[Resource, Mapping[str, str]]
    findings: tuple[Finding, ...]
    errors: tuple[tuple[CallError, tuple[str, ...]], ...]
    complete: bool
    gate: Gate

    @property
    def by_status(self) -> dict[str, int]:
        """Number of findings by status; every status is a key."""
        counted = Counter(finding.status for finding in self.findings)
        return {status.value: counted[status] for status in Status}

    @property
    def failed_by_severity(self) -> dict[str, int]:
        """Number of failures by severity, worst first; every severity is a key."""
        counted = Counter(finding.severity for finding in self.findings if finding.status is Status.FAIL)
        return {severity.label: counted[severity] for severity in sorted(Severity, reverse=True)}

    @property
    def score(self) -> float | None:
        """100 x passed / (passed + failed), weighted by severity; None if nothing was judged."""
        weight: Counter[Status] = Counter()
        composite = {rule.id for rule in self.rules if rule.composed_of}
        for finding in self.findings:
            if finding.rule in composite:
                continue  # it says again what its members say
            weight[finding.status] += WEIGHTS[finding.severity]
        judged = weight[Status.PASS] + weight[Status.FAIL]
        return round(100 * weight[Status.PASS] / judged, 1) if judged else None


def judge_gate(
    findings: Iterable[Finding],
    fail_on: Severity | None,
    *,
    complete: bool,
    allow_incomplete: bool = False,
    exit_zero: bool = False,
) -> Gate:
    """Return the gate: 3 for failures at or above ``fail_on``, else 4 for an incomplete run, else 0."""
    counted = sum(
        1
        for finding in findings
        if finding.status is Status.FAIL and fail_on is not None and finding.severity >= fail_on
    )
    code = 3 if counted else 0 if complete or allow_incomplete else 4
    return Gate(fail_on, counted, 0 if exit_zero else code)


def exit_line(report: Report) -> str:
    """Return the last line that the command prints: ``ddbaudit: exit 3: 4 findings at or above high, 3 unknown``."""
    gate = report.gate
    level = gate.fail_on.label if gate.fail_on is not None else "none"
    findings = "finding" if gate.counted == 1 else "findings"
    parts = [f"{gate.counted} {findings} at or above {level}", f"{report.by_status['unknown']} unknown"]
    if not report.complete and not report.by_status["unknown"]:
        parts.append("incomplete")
    return f"ddbaudit: exit {gate.exit_code}: {', '.join(parts)}"


def document(report: Report) -> dict[str, Any]:
    """Return the report as JSON values, in the schema of ``ddbaudit schema report``."""
    return {
        "$schema": SCHEMA,
        "schemaVersion": SCHEMA_VERSION,
        "tool": {"name": "ddbaudit", "version": report.version},
        "run": {
            "id": report.run.id,
            "startedAt": utc(report.run.started),
            "finishedAt": utc(report.run.finished),
            "source": report.run.source,
            "complete": report.complete,
            "caller": {"account": report.run.caller.account, "arn": report.run.caller.arn},
            "scopes": [
                {"account": scope.account.id, "accountName": scope.name, "region": region.name}
                for scope in report.scopes
                for region in scope.regions
            ],
        },
        "summary": {
            "byStatus": report.by_status,
            "failedBySeverity": report.failed_by_severity,
            "score": report.score,
            "accepted": 0,
            "gate": {
                "failOn": report.gate.fail_on.label if report.gate.fail_on is not None else "none",
                "passed": report.gate.passed,
                "exitCode": report.gate.exit_code,
                "counted": report.gate.counted,
            },
        },
        "rules": [_rule(rule) for rule in report.rules],
        "resources": [_resource(resource, report.tags.get(resource, {})) for resource in report.resources],
        "findings": [_finding(finding) for finding in report.findings],
        "errors": [
            {
                "account": error.account,
                "region": error.region,
                "service": error.service,
                "operation": error.operation,
                "code": error.code,
                "message": error.message,
                "rules": list(rules),
            }
            for error, rules in report.errors
        ],
    }


def utc(moment: datetime) -> str:
    """Return a moment as ``2026-01-31T12:00:00Z``."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "title": rule.title,
        "severity": rule.severity.label,
        "side": rule.side.value,
        "practices": list(rule.practices),
        "description": rule.description,
        "remediation": {
            "text": rule.remediation.text,
            "cli": rule.remediation.cli,
            "terraform": rule.remediation.terraform,
            "cloudformation": rule.remediation.cloudformation,
        },
        "references": list(rule.references),
        "controls": {framework: list(ids) for framework, ids in rule.controls.items()},
    }


def _resource(resource: Resource, tags: Mapping[str, str]) -> dict[str, Any]:
    region = region_of(resource)
    return {
        "id": resource.arn,
        "type": resource.cfn_type,
        "name": resource.label,
        "account": account_of(resource).id,
        "region": region.name if region else "",
        "tags": dict(sorted(tags.items())),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "rule": finding.rule,
        "resource": finding.resource.arn,
        "status": finding.status.value,
        "severity": finding.severity.label,
        "message": finding.message,
        "evidence": dict(finding.evidence),
        "subKey": finding.sub_key,
        "reason": finding.reason,
        "missingPermission": finding.missing_permission,
        "state": None,
        "acceptance": None,
    }
