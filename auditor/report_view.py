"""What report.html shows, in the order in which it shows it; the templates only print.

Nothing here is escaped: that is the templates' part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import msgspec

from auditor.overview import Cause, Coverage, FailedCall, Place, Tally, causes, failed_calls, places
from auditor.placeholders import filled
from auditor.report import WEIGHTS, Finding, Report
from auditor.resources import Account, Resource, account_of, region_of
from auditor.rule_api import Rule, Severity, Status
from auditor.wording import GLOBAL, PRACTICES, REASONS, SIDES, SOURCES, STATUSES


@dataclass(frozen=True, slots=True)
class Group:
    """Findings of one rule that stand together."""

    anchor: str
    rule: Rule
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """A rule with the count of its findings, and where those of each status begin."""

    rule: Rule
    tally: Tally
    anchors: Mapping[Status, str]


@dataclass(frozen=True, slots=True)
class Row:
    """Rules that belong together: one of the two sides, or a practice."""

    code: str
    name: str
    tally: Tally
    rules: tuple[Judged, ...]


class View:
    """Everything that report.html shows."""

    statuses = STATUSES
    practice_names = PRACTICES
    sides_named = SIDES
    reasons = REASONS
    weights = tuple((severity.label, WEIGHTS[severity]) for severity in sorted(Severity, reverse=True))

    def __init__(self, report: Report) -> None:
        """Sort the findings by status and rule once."""
        self.report = report
        self.run = report.run
        self.source = SOURCES.get(report.run.source, report.run.source)
        self.coverage = Coverage(report)
        self.names = {scope.account.id: scope.name for scope in report.scopes}
        self.tally = Tally.of(report.findings)
        self.by_status = {status: [one for one in report.findings if one.status is status] for status in STATUSES}
        self._rules = {rule.id: rule for rule in report.rules}
        self._of_rule: dict[str, list[Finding]] = {rule.id: [] for rule in report.rules}
        for finding in report.findings:
            self._of_rule[finding.rule].append(finding)

    # Findings

    def _groups(self, findings: Iterable[Finding], prefix: str) -> list[Group]:
        return [
            Group(f"{prefix}-{rule_id}", self._rules[rule_id], tuple(found))
            for rule_id, found in groupby(findings, key=lambda finding: finding.rule)
        ]

    @cached_property
    def failures(self) -> list[tuple[Severity, int, list[Group]]]:
        """Failures by severity, worst first, and by rule; severities without one are left out."""
        levels = [
            (severity, list(found))
            for severity, found in groupby(self.by_status[Status.FAIL], key=lambda finding: finding.severity)
        ]
        return [(severity, len(found), self._groups(found, severity.label)) for severity, found in levels]

    @cached_property
    def others(self) -> Mapping[Status, list[Group]]:
        """All other findings by status and rule, the most severe rules first."""

        def order(one: Finding) -> tuple[Any, ...]:
            return (-self._rules[one.rule].severity, one.rule, one.sort_key)

        return {
            status: self._groups(sorted(found, key=order), status)
            for status, found in self.by_status.items()
            if status is not Status.FAIL
        }

    def place_of(self, resource: Resource) -> tuple[str, str, str]:
        """Return the region, account number and account name of a resource."""
        region, account = region_of(resource), account_of(resource).id
        return region.name if region else GLOBAL, account, self.names.get(account, "")

    def command(self, finding: Finding) -> str:
        """Return the remediation command for a finding's resource."""
        return filled(self._rules[finding.rule].remediation.cli, finding.resource)

    # Rules

    @cached_property
    def judged(self) -> list[Judged]:
        """Every rule, the most severe first."""
        anchors: dict[str, dict[Status, str]] = {rule_id: {} for rule_id in self._rules}
        for _, _, groups in self.failures:
            for group in groups:
                anchors[group.rule.id].setdefault(Status.FAIL, group.anchor)
        for status, groups in self.others.items():
            for group in groups:
                anchors[group.rule.id].setdefault(status, group.anchor)
        ordered = sorted(self.report.rules, key=lambda rule: (-rule.severity, rule.id))
        return [Judged(rule, Tally.of(self._of_rule[rule.id]), anchors[rule.id]) for rule in ordered]

    def _row(self, code: str, name: str, rules: Iterable[Judged]) -> Row:
        rules = tuple(rules)
        return Row(code, name, Tally.of(finding for one in rules for finding in self._of_rule[one.rule.id]), rules)

    @cached_property
    def sides(self) -> list[Row]:
        """The two sides, and the rules that look at both."""
        return [
            self._row(side, name, (r for r in self.judged if r.rule.side is side)) for side, (name, _) in SIDES.items()
        ]

    @cached_property
    def practices(self) -> list[Row]:
        """Every practice, those that no rule proves yet included, and those that only a rule pack knows."""
        known = dict(PRACTICES)
        for one in self.judged:
            for code in one.rule.practices:
                known.setdefault(code, "A practice of a rule pack")
        return [
            self._row(code, name, (one for one in self.judged if code in one.rule.practices))
            for code, name in known.items()
        ]

    @staticmethod
    def settings(rule: Rule) -> list[tuple[str, Any, bool, str]]:
        """Return a rule's settings in this run: name, value, whether it was set, meaning."""
        return [
            (one.name, msgspec.to_builtins(rule.values.get(one.name, one.default)), one.name in rule.values, one.help)
            for one in rule.settings
        ]

    # What is not known, and what was found where

    @cached_property
    def causes(self) -> list[Cause]:
        """What stands behind the unknown findings."""
        return causes(self.by_status[Status.UNKNOWN])

    @cached_property
    def failed_calls(self) -> list[FailedCall]:
        """Calls that failed, by operation and error code."""
        return failed_calls(self.report.errors)

    @cached_property
    def places(self) -> Mapping[Account, list[Place]]:
        """Every account with its regions."""
        return places(self.coverage)
