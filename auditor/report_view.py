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

from auditor import report_data
from auditor.overview import (
    Cause,
    Coverage,
    FailedCall,
    Framework,
    Place,
    Tally,
    causes,
    failed_calls,
    frameworks,
    places,
)
from auditor.placeholders import filled
from auditor.report import WEIGHTS, AcceptanceUse, Finding, Report
from auditor.resources import Account, Resource, account_of, region_of
from auditor.rule_api import Rule, Severity, Status
from auditor.wording import GLOBAL, PRACTICES, REASONS, SIDES, SOURCES, STATUSES


@dataclass(frozen=True, slots=True)
class Group:
    """Findings of one rule that stand together."""

    rule: Rule
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """A rule with the count of its findings."""

    rule: Rule
    tally: Tally


@dataclass(frozen=True, slots=True)
class Row:
    """Rules that belong together: one of the two sides, or a practice."""

    code: str
    name: str
    tally: Tally
    rules: tuple[Judged, ...]


#: Findings that are there without JavaScript, entries of the acceptance file on the page: a page has to open.
MOST_STATIC, MOST_ENTRIES = 100, 200


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
        self.recorded = report.facts_as_of.recorded
        self.coverage = Coverage(report)
        self.names = {scope.account.id: scope.name for scope in report.scopes}
        self.tally = Tally.of(report.findings)
        self.by_status = {status: [one for one in report.findings if one.status is status] for status in STATUSES}
        self._rules = {rule.id: rule for rule in report.rules}
        self._of_rule: dict[str, list[Finding]] = {rule.id: [] for rule in report.rules}
        for finding in report.findings:
            self._of_rule[finding.rule].append(finding)

    # Findings

    @cached_property
    def data(self) -> str:
        """All findings, for the script."""
        return report_data.data(self.report)

    @cached_property
    def left_out(self) -> int:
        """How many findings the script does not have, for their number."""
        return report_data.left_out(self.data)

    @property
    def held(self) -> int:
        """How many findings the script has."""
        return self.tally.total - self.left_out

    @cached_property
    def static(self) -> list[Finding]:
        """The findings that are there without JavaScript: the worst failures, then what is unknown."""
        return [*self.by_status[Status.FAIL], *self.by_status[Status.UNKNOWN]][:MOST_STATIC]

    @property
    def static_left_out(self) -> int:
        """How many findings JavaScript would show besides."""
        return self.tally.total - len(self.static)

    def _groups(self, findings: Iterable[Finding]) -> list[Group]:
        return [
            Group(self._rules[rule_id], tuple(found))
            for rule_id, found in groupby(findings, key=lambda finding: finding.rule)
        ]

    @cached_property
    def failures(self) -> list[tuple[Severity, int, list[Group]]]:
        """The worst failures by severity and rule; severities without one are left out."""
        failed = self.report.failed_by_severity
        levels = groupby(
            (one for one in self.static if one.status is Status.FAIL), key=lambda finding: finding.severity
        )
        return [(severity, failed[severity.label], self._groups(found)) for severity, found in levels]

    @cached_property
    def doubts(self) -> list[Group]:
        """What is unknown, the most severe rules first."""
        return self._groups(one for one in self.static if one.status is Status.UNKNOWN)

    @staticmethod
    def acceptance_word(finding: Finding) -> str:
        """Return in short until when a finding is accepted."""
        accepted = finding.acceptance
        assert accepted is not None
        return f"Accepted until {accepted.until}" + (": expired" if accepted.expired else "")

    # Acceptance file

    @cached_property
    def acceptances(self) -> list[AcceptanceUse]:
        """The entries of the acceptance file: what needs a hand first."""
        order = ("expired", "stale", "used", "idle")
        return sorted(self.report.acceptances, key=lambda use: (order.index(use.state), use.line))[:MOST_ENTRIES]

    @property
    def acceptances_left_out(self) -> int:
        """How many entries are not shown."""
        return len(self.report.acceptances) - len(self.acceptances)

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
        ordered = sorted(self.report.rules, key=lambda rule: (-rule.severity, rule.id))
        return [Judged(rule, Tally.of(self._of_rule[rule.id])) for rule in ordered]

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

    @cached_property
    def frameworks(self) -> list[Framework]:
        """Every framework with the controls that rules of this run support."""
        return frameworks(self.report)

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
