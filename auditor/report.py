"""The report: findings, the gate, the exit code, and the document that ``report.json`` holds."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal

from auditor.inventory import Caller, CallError, Scope
from auditor.resources import Resource, account_of, region_of
from auditor.rule_api import Rule, Severity, Status

if TYPE_CHECKING:
    from auditor.picture import Picture

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
class Acceptance:
    """Why somebody accepts a failure or a doubt, as an entry of the acceptance file says it.

    Attributes:
        reason: Why it is accepted.
        by: Who accepts it.
        until: The last day on which it is accepted (UTC).
        ticket: Where it is tracked.
        expired: That day is over, so the finding counts again.
    """

    reason: str
    by: str
    until: date
    ticket: str | None = None
    expired: bool = False


@dataclass(frozen=True, slots=True)
class AcceptanceUse:
    """What one entry of the acceptance file did in this run.

    Attributes:
        rules: Ids or globs of rules.
        resource: Glob on ARNs.
        sub_key: Glob on sub-keys; None: any.
        tags: Tags that the resource must have.
        acceptance: Reason, owner, end.
        line: Where the entry starts in the file, from 1.
        findings: How many failures and doubts it matches.
        could_match: Something that the run did not look at (a rule, account or region) keeps it from being called
            stale.
    """

    rules: tuple[str, ...]
    resource: str
    sub_key: str | None
    tags: Mapping[str, str]
    acceptance: Acceptance
    line: int
    findings: int
    could_match: bool = False

    @property
    def state(self) -> Literal["expired", "stale", "used", "idle"]:
        """What is to be done about the entry: extend or remove it, remove it, nothing, nothing in this run."""
        if self.acceptance.expired:
            return "expired"
        if self.findings:
            return "used"
        return "idle" if self.could_match else "stale"


@dataclass(frozen=True, slots=True)
class Previous:
    """The report that this run was compared with.

    Attributes:
        run_id: Its run.
        finished: When that run finished.
        fixed: Failures of that run that passed, or did not apply any more, or whose resource is gone.
        not_evaluated: Failures of that run that this one did not look at or could not evaluate: not fixed.
    """

    run_id: str
    finished: datetime
    fixed: int
    not_evaluated: int = 0


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
        state: For a failure or a doubt compared with a previous report: was it there already? None: not compared.
        acceptance: The entry of the acceptance file that accepts a failure or a doubt, or did until it expired.
        counted_before: The previous run failed its gate on this finding already.
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
    state: Literal["new", "unchanged"] | None = None
    acceptance: Acceptance | None = None
    counted_before: bool = False

    @property
    def accepted(self) -> bool:
        """Somebody accepts it, and that has not expired."""
        return self.acceptance is not None and not self.acceptance.expired

    @property
    def id(self) -> str:
        """The same over runs and versions: sha256 of rule id NUL resource id (NUL sub-key)."""
        parts = [self.rule, self.resource.arn, *([self.sub_key] if self.sub_key is not None else [])]
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()

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
        new_only: Only what the previous run did not count already counts.
    """

    fail_on: Severity | None
    counted: int
    exit_code: int
    new_only: bool = False

    @property
    def passed(self) -> bool:
        """No finding counts."""
        return self.counted == 0


@dataclass(frozen=True, slots=True)
class Recorded:
    """How old what AWS Config recorded of a region's tables is.

    Attributes:
        account: Account number.
        region: Region code.
        fact: The fact's name.
        oldest: The earliest ``configurationItemCaptureTime``: nothing that is recorded has changed since.
        newest: The latest.
        tables: Of how many tables the fact comes from AWS Config.
    """

    account: str
    region: str
    fact: str
    oldest: datetime
    newest: datetime
    tables: int


@dataclass(frozen=True, slots=True)
class FactsAsOf:
    """Which facts are as of when.

    Attributes:
        live: Account number -> when its collection began; what AWS Config did not say was asked from then on.
        recorded: What came from AWS Config, by account, region and fact.
    """

    live: Mapping[str, datetime] = field(default_factory=dict)
    recorded: tuple[Recorded, ...] = ()


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
        complete: Everything could be evaluated, but for doubts that somebody accepts.
        acceptances: The entries of the acceptance file, in its order.
        acceptance_file: Its name; None: there was none.
        previous: What the run was compared with; None: nothing.
        picture: The ways to DynamoDB and who can use which tables; None: not made.
        facts_as_of: Which facts are as of when.
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
    acceptances: tuple[AcceptanceUse, ...] = ()
    acceptance_file: str | None = None
    previous: Previous | None = None
    picture: Picture | None = None
    facts_as_of: FactsAsOf = FactsAsOf()

    @property
    def accepted(self) -> int:
        """Number of failures and doubts that are accepted."""
        return sum(finding.accepted for finding in self.findings)

    @property
    def open_unknown(self) -> int:
        """Number of doubts that nobody accepts."""
        return sum(finding.status is Status.UNKNOWN and not finding.accepted for finding in self.findings)

    @property
    def new(self) -> int:
        """Number of failures that the previous report does not have."""
        return sum(finding.status is Status.FAIL and finding.state == "new" for finding in self.findings)

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
        """100 x passed / (passed + failed), weighted by severity; None if nothing was judged.

        Failures that are accepted do not weigh.
        """
        weight: Counter[Status] = Counter()
        composite = {rule.id for rule in self.rules if rule.composed_of}
        for finding in self.findings:
            if finding.rule in composite or (finding.status is Status.FAIL and finding.accepted):
                continue  # a composite says again what its members say
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
    new_only: bool = False,
) -> Gate:
    """Return the gate: 3 for failures at or above ``fail_on`` that nobody accepts, else 4 if incomplete, else 0.

    Args:
        findings: All findings.
        fail_on: Lowest severity of a failure that counts; None: none does.
        complete: Everything could be evaluated.
        allow_incomplete: 0 instead of 4.
        exit_zero: 0 instead of 3 and 4.
        new_only: What the previous run counted already does not count.
    """
    counted = sum(counts(finding, fail_on) and not (new_only and finding.counted_before) for finding in findings)
    code = 3 if counted else 0 if complete or allow_incomplete else 4
    return Gate(fail_on, counted, 0 if exit_zero else code, new_only)


def counts(finding: Finding, fail_on: Severity | None) -> bool:
    """Tell whether a finding fails a gate: a failure at or above ``fail_on`` that nobody accepts."""
    failed = finding.status is Status.FAIL and not finding.accepted
    return failed and fail_on is not None and finding.severity >= fail_on


def exit_line(report: Report) -> str:
    """Return the last line that the command prints: ``ddbaudit: exit 3: 4 findings at or above high, 3 unknown``."""
    gate = report.gate
    level = gate.fail_on.label if gate.fail_on is not None else "none"
    findings = "finding" if gate.counted == 1 else "findings"
    kind = "new " if gate.new_only else ""
    told = f"{gate.counted} {kind}{findings} at or above {level}"
    if report.previous is not None and not gate.new_only:
        new = sum(counts(one, gate.fail_on) and one.state == "new" for one in report.findings)
        told += f" ({new} new)"
    parts = [told]
    if report.acceptance_file is not None:
        parts.append(f"{report.accepted} accepted")
    parts.append(f"{report.open_unknown} unknown")
    if not report.complete and not report.open_unknown:
        parts.append("incomplete")
    return f"ddbaudit: exit {gate.exit_code}: {', '.join(parts)}"


def document(report: Report, *, lazily: bool = False) -> dict[str, Any]:
    """Return the report as JSON values, in the schema of ``ddbaudit schema report``.

    Args:
        report: The report.
        lazily: Make resources and findings as they are gone through, which can be done once.
    """
    many: Callable[[Iterable[Any]], Any] = iter if lazily else list
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
            "factsAsOf": {
                "live": [
                    {"account": account, "since": utc(moment)}
                    for account, moment in sorted(report.facts_as_of.live.items())
                ],
                "config": [
                    {
                        "account": one.account,
                        "region": one.region,
                        "fact": one.fact,
                        "oldest": utc(one.oldest),
                        "newest": utc(one.newest),
                        "tables": one.tables,
                    }
                    for one in report.facts_as_of.recorded
                ],
            },
        },
        "summary": {
            "byStatus": report.by_status,
            "failedBySeverity": report.failed_by_severity,
            "score": report.score,
            "accepted": report.accepted,
            "previous": None
            if report.previous is None
            else {
                "runId": report.previous.run_id,
                "finishedAt": utc(report.previous.finished),
                "new": report.new,
                "fixed": report.previous.fixed,
                "notEvaluated": report.previous.not_evaluated,
            },
            "gate": {
                "failOn": report.gate.fail_on.label if report.gate.fail_on is not None else "none",
                "passed": report.gate.passed,
                "exitCode": report.gate.exit_code,
                "counted": report.gate.counted,
                "newOnly": report.gate.new_only,
            },
        },
        "rules": [_rule(rule) for rule in report.rules],
        "resources": many(_resource(resource, report.tags.get(resource, {})) for resource in report.resources),
        "findings": many(_finding(finding) for finding in report.findings),
        "acceptances": [_use(use) for use in report.acceptances],
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
        "map": None if report.picture is None else report.picture.as_json(),
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
        "state": finding.state,
        "acceptance": _acceptance(finding.acceptance) if finding.acceptance is not None else None,
    }


def _acceptance(acceptance: Acceptance) -> dict[str, Any]:
    return {
        "reason": acceptance.reason,
        "by": acceptance.by,
        "until": acceptance.until.isoformat(),
        "ticket": acceptance.ticket,
        "expired": acceptance.expired,
    }


def _use(use: AcceptanceUse) -> dict[str, Any]:
    return {
        "rules": list(use.rules),
        "resource": use.resource,
        "subKey": use.sub_key,
        "tags": dict(sorted(use.tags.items())),
        **_acceptance(use.acceptance),
        "line": use.line,
        "state": use.state,
        "findings": use.findings,
    }


def json_value(value: object) -> Any:
    """Return a value as JSON can hold it; evidence of third-party rules may be anything."""
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(json_value(key)): json_value(one) for key, one in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((json_value(one) for one in value), key=str)
    if isinstance(value, list | tuple):
        return [json_value(one) for one in value]
    if isinstance(value, Resource):
        return value.arn
    if isinstance(value, datetime):
        return utc(value)
    return value.isoformat() if isinstance(value, date) else str(value)
