"""A report summed up: counts by status, what stands in the way of verdicts, what was found where."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from auditor.facts import DaxClusterNames, RegionScope, TableNames
from auditor.inventory import CallError
from auditor.report import Finding, Report
from auditor.resources import Account, DaxCluster, Table, account_of, region_of
from auditor.rule_api import Status
from auditor.wording import GLOBAL, STATUSES


@dataclass(frozen=True, slots=True)
class Tally:
    """Findings counted by status."""

    fail: int = 0
    unknown: int = 0
    passed: int = 0
    not_applicable: int = 0

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> Tally:
        """Count findings."""
        counted = Counter(finding.status for finding in findings)
        return cls(*(counted[status] for status in STATUSES))

    @classmethod
    def sum(cls, tallies: Iterable[Tally]) -> Tally:
        """Add counts up."""
        columns = list(zip(*(tally.by_status.values() for tally in tallies), strict=True))
        return cls(*(sum(column) for column in columns))

    @property
    def by_status(self) -> dict[Status, int]:
        """The counts, the worst status first."""
        return dict(zip(STATUSES, (self.fail, self.unknown, self.passed, self.not_applicable), strict=True))

    @property
    def total(self) -> int:
        """How many findings there are."""
        return sum(self.by_status.values())

    @property
    def worst(self) -> Status | None:
        """The worst status that occurs; None: there are no findings."""
        return next((status for status, count in self.by_status.items() if count), None)


@dataclass(frozen=True, slots=True)
class Cause:
    """What stands in the way of verdicts."""

    reason: str
    action: str | None
    findings: int
    rules: tuple[str, ...]


def causes(unknown: Iterable[Finding]) -> list[Cause]:
    """Return what stands behind the findings that are unknown: missing permissions first, then what hides most."""
    groups: dict[tuple[str, str | None], list[Finding]] = {}
    for finding in unknown:
        groups.setdefault((finding.reason or "undecidable", finding.missing_permission), []).append(finding)
    found = [
        Cause(reason, action, len(group), tuple(sorted({one.rule for one in group})))
        for (reason, action), group in groups.items()
    ]
    return sorted(found, key=lambda one: (one.reason != "access_denied", -one.findings, one.reason, one.action or ""))


@dataclass(frozen=True, slots=True)
class FailedCall:
    """One operation that failed in one way, wherever it did."""

    operation: str
    code: str
    places: tuple[tuple[str, tuple[str, ...]], ...]
    messages: tuple[str, ...]
    times: int
    rules: tuple[str, ...]


def failed_calls(errors: Iterable[tuple[CallError, tuple[str, ...]]]) -> list[FailedCall]:
    """Return the calls that failed, by operation and error code."""
    groups: dict[tuple[str, str], list[tuple[CallError, tuple[str, ...]]]] = {}
    for error, rules in errors:
        groups.setdefault((f"{error.service}:{error.operation}", error.code), []).append((error, rules))
    calls = []
    for (operation, code), found in sorted(groups.items()):
        where: dict[str, set[str]] = {}
        for error, _ in found:
            where.setdefault(error.account, set()).add(error.region or GLOBAL)
        calls.append(
            FailedCall(
                operation,
                code,
                tuple((account, tuple(sorted(regions))) for account, regions in sorted(where.items())),
                tuple(sorted({error.message for error, _ in found})),
                len(found),
                tuple(sorted({rule for _, rules in found for rule in rules})),
            )
        )
    return calls


@dataclass(frozen=True, slots=True)
class Control:
    """A control of a framework.

    Attributes:
        rules: Ids of the rules of this run that support it.
        tally: What they found.
    """

    id: str
    rules: tuple[str, ...]
    tally: Tally

    @property
    def status(self) -> Status | None:
        """Fail if one of its rules fails, else unknown if one is, and so on; None: nothing was judged."""
        return self.tally.worst


@dataclass(frozen=True, slots=True)
class Framework:
    """A framework with the controls that rules support."""

    name: str
    controls: tuple[Control, ...]

    @property
    def by_status(self) -> dict[Status, int]:
        """Number of controls by their status."""
        counted = Counter(control.status for control in self.controls)
        return {status: counted[status] for status in STATUSES}


def frameworks(report: Report) -> list[Framework]:
    """Return the frameworks whose controls the rules of a run support, by name, their controls in natural order."""
    supported: dict[str, dict[str, list[str]]] = {}
    for rule in report.rules:
        for name, ids in rule.controls.items():
            for one in ids:
                supported.setdefault(name, {}).setdefault(one, []).append(rule.id)
    found: dict[str, list[Finding]] = {}
    for finding in report.findings:
        found.setdefault(finding.rule, []).append(finding)
    tallies = {rule: Tally.of(here) for rule, here in found.items()}
    return [
        Framework(
            name,
            tuple(
                Control(one, tuple(sorted(rules)), Tally.sum(tallies[rule] for rule in rules if rule in tallies))
                for one, rules in sorted(controls.items(), key=lambda item: _natural(item[0]))
            ),
        )
        for name, controls in sorted(supported.items())
    ]


def _natural(text: str) -> list[tuple[int, str]]:
    """Return a key that sorts AC-4 before AC-21."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", text) if part]


class Coverage:
    """What was found where, and where that is not known."""

    def __init__(self, report: Report) -> None:
        """Note which listings failed."""
        self.report = report
        self._unlisted = {
            name: {(error.account, error.region) for error, _ in report.errors if error.fact == name}
            for name in (TableNames.__name__, DaxClusterNames.__name__, RegionScope.__name__)
        }

    @property
    def tables(self) -> int:
        """How many tables were found."""
        return sum(isinstance(resource, Table) for resource in self.report.resources)

    @property
    def clusters(self) -> int:
        """How many DAX clusters were found."""
        return sum(isinstance(resource, DaxCluster) for resource in self.report.resources)

    @property
    def region_names(self) -> list[str]:
        """The audited regions of all accounts."""
        return sorted({region.name for scope in self.report.scopes for region in scope.regions})

    @property
    def regions(self) -> int:
        """How many regions were audited, each account's counted by itself."""
        return sum(len(scope.regions) for scope in self.report.scopes)

    @property
    def interrupted(self) -> bool:
        """The run is incomplete although no verdict is unknown: it was stopped, or read no region at all."""
        return not self.report.complete and not self.report.by_status[Status.UNKNOWN]

    @property
    def whole(self) -> bool:
        """Nothing is missing from the numbers of tables, clusters and regions."""
        return bool(self.report.scopes) and not self.interrupted and not any(self._unlisted.values())

    def known(self, number: int, fact: type, account: Account, region_name: str) -> int | None:
        """Return a number; None if it is zero only because nobody could look."""
        hidden = self.interrupted or (account.id, region_name) in self._unlisted[fact.__name__]
        return None if not number and hidden else number


@dataclass(frozen=True, slots=True)
class Place:
    """Regions of one account that are told in one line.

    Attributes:
        tables: How many tables were found; None: not known.
        clusters: The same of DAX clusters.
        audited: They belong to the audited ones; others merely hold what audited tables use.
    """

    regions: tuple[str, ...]
    tables: int | None
    clusters: int | None
    tally: Tally
    audited: bool

    @property
    def quiet(self) -> bool:
        """There is nothing there, and nothing to say about it."""
        empty = self.audited and self.tables == 0 and self.clusters == 0
        return empty and not self.tally.fail and not self.tally.unknown


def places(coverage: Coverage) -> Mapping[Account, list[Place]]:
    """Return a line for every region of every account; regions where there is nothing share one."""
    report = coverage.report
    findings: dict[tuple[Account, str], list[Finding]] = {}
    for finding in report.findings:
        region = region_of(finding.resource)
        findings.setdefault((account_of(finding.resource), region.name if region else GLOBAL), []).append(finding)
    found = Counter(
        (one.account, one.region.name, type(one)) for one in report.resources if isinstance(one, Table | DaxCluster)
    )
    audited = {(scope.account, region.name) for scope in report.scopes for region in scope.regions}
    lines: dict[Account, list[Place]] = {scope.account: [] for scope in report.scopes}
    for account, name in sorted(audited | set(findings), key=lambda here: (here[0].arn, here[1])):
        lines.setdefault(account, []).append(
            Place(
                (name,),
                coverage.known(found[account, name, Table], TableNames, account, name),
                coverage.known(found[account, name, DaxCluster], DaxClusterNames, account, name),
                Tally.of(findings.get((account, name), [])),
                (account, name) in audited,
            )
        )
    return {account: _joined(here) for account, here in lines.items()}


def _joined(lines: list[Place]) -> list[Place]:
    """Put quiet regions into one line, after the others."""
    quiet = [one for one in lines if one.quiet]
    if len(quiet) < 2:
        return lines
    passed = sum(one.tally.passed for one in quiet)
    not_applicable = sum(one.tally.not_applicable for one in quiet)
    names = tuple(name for one in quiet for name in one.regions)
    together = Place(names, 0, 0, Tally(passed=passed, not_applicable=not_applicable), audited=True)
    return [*(one for one in lines if not one.quiet), together]
