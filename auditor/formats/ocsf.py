"""OCSF Compliance Finding (class 2003, schema 1.5.0, profiles cloud and datetime): a JSON array of events.

A consumer keeps one finding per ``finding_info.uid``, which is the same over runs, and wants to know where it stands:

===============  ================  ===============  =====================
verdict          activity          status           compliance status
===============  ================  ===============  =====================
fail             Create or Update  New              Fail
fail, accepted   Create or Update  Suppressed       Fail
unknown          Create or Update  New              Warning (OCSF: no result for lack of information)
unknown,
accepted         Create or Update  Suppressed       Warning
pass             Close             Resolved         Pass
not applicable   -                 -                -
===============  ================  ===============  =====================

Passes are in the file: whether a pass was a failure before is known only to the consumer, who would otherwise never
close it, and a share of passes is what compliance is measured by. So that no alert fires on them, their severity is
Informational; ``compliance.checks`` has the rule's. What does not apply is no result and is left out. ``Update``
needs a previous report that had the finding; without one an event is a ``Create``.

Times are milliseconds. Control, bidirectional and other invisible characters are escapes in every text, the evidence
(``resources[].data``) included; the JSON report has them as they are. There is no limit on the number of events. In
an incomplete run every event says so in ``unmapped.run_complete``: that a finding is missing proves nothing then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from auditor.formats.bounds import array, clean, dumps, line
from auditor.report import Finding, Report, utc
from auditor.resources import account_of, region_of
from auditor.rule_api import Rule, Severity, Status
from auditor.wording import PRACTICES, REASONS

VERSION = "1.5.0"

_SEVERITIES: Mapping[Severity, tuple[int, str]] = {
    Severity.INFORMATIONAL: (1, "Informational"),
    Severity.LOW: (2, "Low"),
    Severity.MEDIUM: (3, "Medium"),
    Severity.HIGH: (4, "High"),
    Severity.CRITICAL: (5, "Critical"),
}
_ACTIVITIES = {1: "Create", 2: "Update", 3: "Close"}
_COMPLIANCE: Mapping[Status, tuple[int, str]] = {
    Status.PASS: (1, "Pass"),
    Status.UNKNOWN: (2, "Warning"),
    Status.FAIL: (3, "Fail"),
}
_STANDARD_FIRST = "AWS FSBP"


def render(report: Report) -> str:
    """Return report.ocsf.json: an array with a line for every event, worst first."""
    made = _Events(report)
    findings = sorted((one for one in report.findings if one.status in _COMPLIANCE), key=lambda one: one.sort_key)
    return array(dumps(made.of(one)) for one in findings)


class _Events:
    """Makes events; what is the same for all findings of a rule is made once."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._rules = {rule.id: _OfRule(rule, report.version) for rule in report.rules}
        self._names = {scope.account.id: line(scope.name) for scope in report.scopes}
        self._time = _time("time", report.run.finished)

    def of(self, finding: Finding) -> dict[str, Any]:
        rule = self._rules[finding.rule]
        passed = finding.status is Status.PASS
        severity = _severity(Severity.INFORMATIONAL if passed else finding.severity)
        activity = 3 if passed else 2 if finding.state == "unchanged" else 1
        status = (4, "Resolved") if passed else (3, "Suppressed") if finding.accepted else (1, "New")
        message = line(finding.message)
        unmapped = self._unmapped(finding)
        return {
            "activity_id": activity,
            "activity_name": _ACTIVITIES[activity],
            "category_uid": 2,
            "category_name": "Findings",
            "class_uid": 2003,
            "class_name": "Compliance Finding",
            "type_uid": 200300 + activity,
            "type_name": f"Compliance Finding: {_ACTIVITIES[activity]}",
            **severity,
            "status_id": status[0],
            "status": status[1],
            **({"status_code": line(finding.reason)} if finding.reason else {}),
            **({"status_detail": _detail(finding)} if finding.status is Status.UNKNOWN else {}),
            **self._time,
            "message": message,
            **_comment(finding),
            "metadata": {
                "version": VERSION,
                "profiles": ["cloud", "datetime"],
                "uid": f"{finding.id}/{self._report.run.id}",
                "correlation_uid": self._report.run.id,
                "event_code": finding.rule,
                "log_name": "ddbaudit",
                "product": {
                    "uid": "ddbaudit",
                    "name": "ddbaudit",
                    "vendor_name": "ddbaudit",
                    "version": self._report.version,
                },
            },
            "cloud": self._cloud(finding),
            "finding_info": {
                "uid": finding.id,
                **rule.info,
                **(_time("first_seen_time", self._report.run.finished) if finding.state == "new" else {}),
                **_time("last_seen_time", self._report.run.finished),
            },
            "compliance": self._compliance(finding, rule, message),
            "resources": [self._resource(finding)],
            "remediation": rule.remediation,
            **({"unmapped": unmapped} if unmapped else {}),
        }

    def _cloud(self, finding: Finding) -> dict[str, Any]:
        account, region = account_of(finding.resource), region_of(finding.resource)
        name = self._names.get(account.id)
        return {
            "provider": "AWS",
            **({"region": line(region.name)} if region else {}),
            "account": {
                "uid": line(account.id),
                **({"name": name} if name else {}),
                "type": "AWS Account",
                "type_id": 10,
            },
        }

    def _compliance(self, finding: Finding, rule: _OfRule, message: str) -> dict[str, Any]:
        status_id, status = _COMPLIANCE[finding.status]
        judged = {"status_id": status_id, "status": status}
        return {
            **rule.compliance,
            **judged,
            "status_code": finding.status.value,
            "status_details": [message],
            "checks": [rule.check | judged | _severity(finding.severity)],
        }

    def _resource(self, finding: Finding) -> dict[str, Any]:
        resource = finding.resource
        region = region_of(resource)
        tags = self._report.tags.get(resource, {})
        return {
            "uid": line(resource.arn),
            "name": line(resource.label),
            "type": resource.cfn_type,
            **({"region": line(region.name)} if region else {}),
            "cloud_partition": line(account_of(resource).partition),
            **({"tags": [{"name": line(k), "value": line(v)} for k, v in sorted(tags.items())]} if tags else {}),
            "data": clean(finding.evidence),
        }

    def _unmapped(self, finding: Finding) -> dict[str, Any]:
        """Return what OCSF has no attribute for."""
        held: dict[str, Any] = {}
        if finding.sub_key is not None:
            held["sub_key"] = line(finding.sub_key)
        if finding.missing_permission:
            held["missing_permission"] = line(finding.missing_permission)
        if finding.acceptance is not None:
            acceptance = finding.acceptance
            held["acceptance"] = {
                "reason": line(acceptance.reason),
                "by": line(acceptance.by),
                "until": acceptance.until.isoformat(),
                "ticket": None if acceptance.ticket is None else line(acceptance.ticket),
                "expired": acceptance.expired,
            }
        if not self._report.complete:
            held["run_complete"] = False
        return held


class _OfRule:
    """What the events of one rule have in common."""

    def __init__(self, rule: Rule, version: str) -> None:
        title = line(rule.title)
        first = re.split(r"\n\s*\n", rule.description)[0]
        controls = {line(name): [line(f"{name} {one}") for one in ids] for name, ids in rule.controls.items()}
        requirements = [one for ids in controls.values() for one in ids]
        references = [line(one) for one in rule.references]
        self.info: dict[str, Any] = {
            "title": title,
            "desc": line(" ".join(first.split())),
            "types": ["Software and Configuration Checks"],
            "tags": [{"name": code, "value": PRACTICES.get(code, code)} for code in map(line, rule.practices)],
            "analytic": {"uid": rule.id, "name": title, "type_id": 1, "type": "Rule", "version": version},
        }
        self.compliance: dict[str, Any] = {}
        if requirements:
            control = (controls.get(_STANDARD_FIRST) or requirements)[0]
            self.compliance = {"control": control, "standards": list(controls), "requirements": requirements}
        self.check: dict[str, Any] = {"uid": rule.id, "name": title, "version": version}
        self.remediation = {
            "desc": line(" ".join(rule.remediation.text.split())) or title,
            **({"references": references} if references else {}),
        }


def _severity(severity: Severity) -> dict[str, Any]:
    severity_id, caption = _SEVERITIES[severity]
    return {"severity_id": severity_id, "severity": caption}


def _time(name: str, moment: datetime) -> dict[str, Any]:
    """Return a time as milliseconds since the epoch and, under the name with ``_dt``, in words."""
    return {name: int(moment.timestamp()) * 1000, f"{name}_dt": utc(moment)}


def _detail(finding: Finding) -> str:
    why = REASONS.get(finding.reason or "undecidable", "Unknown")
    return line(f"{why}: {finding.missing_permission}" if finding.missing_permission else why)


def _comment(finding: Finding) -> dict[str, str]:
    acceptance = finding.acceptance
    if acceptance is None:
        return {}
    state = "Was accepted" if acceptance.expired else "Accepted"
    ticket = f" ({acceptance.ticket})" if acceptance.ticket else ""
    told = f"{state} until {acceptance.until.isoformat()} by {acceptance.by}: {acceptance.reason}{ticket}"
    return {"comment": line(told)}
