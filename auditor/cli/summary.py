"""What ``run`` prints: a summary that a person understands in ten seconds."""

from __future__ import annotations

import itertools
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from auditor.overview import Coverage, causes
from auditor.render import plural
from auditor.report import Finding, Report
from auditor.resources import account_of, region_of
from auditor.rule_api import Status
from auditor.text import plain
from auditor.wording import REASONS

#: How many rules' worst failures are listed, how many ways to fail of each, how many resources of each; the report
#: has them all.
RULES, WAYS, PLACES = 6, 2, 3

#: Characters in a line where there is no terminal: a log should not break sentences more than it must.
PIPE_WIDTH = 120

STYLES = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "blue", "informational": "dim"}


def print_summary(report: Report, files: list[Path], *, no_color: bool = False) -> None:
    """Print counts by rule, the worst failures with what to do next, and where the reports are."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    console = Console(no_color=no_color or None, highlight=False, soft_wrap=False, width=width)
    console.print(_counts(report))
    failed = [finding for finding in report.findings if finding.status is Status.FAIL]
    if failed:
        console.print(f"\n[bold]The worst of {plural(len(failed), 'failure')}[/bold]")
        console.print(_worst(failed, report))
        console.print(
            f"Next: `ddbaudit rules show {failed[0].rule}` says why it matters and how to mend it.", style="dim"
        )
    _unknown(report, console)
    console.print()
    _verdict(report, console)
    for path in files:
        console.print(Text.assemble(("Report  ", "dim"), plain(path)), soft_wrap=True)


def _counts(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("Rule", "Severity"):
        table.add_column(name)
    for name in ("Fail", "Unknown", "Pass", "n/a"):
        table.add_column(name, justify="right")
    counted = Counter((finding.rule, finding.status) for finding in report.findings)
    for rule in sorted(report.rules, key=lambda rule: (-rule.severity, rule.id)):
        fail, doubt = counted[rule.id, Status.FAIL], counted[rule.id, Status.UNKNOWN]
        table.add_row(
            rule.id,
            Text(rule.severity.label, style=STYLES[rule.severity.label]),
            Text(str(fail or "-"), style="bold red" if fail else "dim"),
            Text(str(doubt or "-"), style="bold magenta" if doubt else "dim"),
            str(counted[rule.id, Status.PASS] or "-"),
            str(counted[rule.id, Status.NOT_APPLICABLE] or "-"),
        )
    return table


def _worst(failed: list[Finding], report: Report) -> Table:
    """Return the worst failures: for each severity and rule, what is wrong with which resources."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    groups = itertools.groupby(failed, key=lambda finding: (finding.severity, finding.rule))
    for (severity, rule), findings in itertools.islice(groups, RULES):
        ways: dict[str, list[Finding]] = {}
        for finding in findings:
            ways.setdefault(finding.message, []).append(finding)
        table.add_row(Text(severity.label, style=STYLES[severity.label]), Text(rule, style="bold"))
        for message, here in itertools.islice(ways.items(), WAYS):
            named = ", ".join(_place(finding, report) for finding in here[:PLACES])
            more = f" and {len(here) - PLACES:,} more" if len(here) > PLACES else ""
            table.add_row("", Text(plain(message)))
            table.add_row("", Padding(Text(plain(named) + more, style="dim"), (0, 0, 0, 2)))
        if len(ways) > WAYS:
            others = sum(len(here) for here in itertools.islice(ways.values(), WAYS, None))
            table.add_row("", Text(f"and {plural(others, 'other failure')}", style="dim"))
    return table


def _place(finding: Finding, report: Report) -> str:
    """Return a resource with its region, and its account where there are several."""
    where = ", ".join(_where(finding, report))
    return f"{finding.resource.label} ({where})" if where else finding.resource.label


def _where(finding: Finding, report: Report) -> Iterator[str]:
    if len(report.scopes) > 1:
        account = account_of(finding.resource)
        yield next((scope.name for scope in report.scopes if scope.account == account), "") or account.id
    region = region_of(finding.resource)
    if region is not None and region != finding.resource:
        yield region.name


def _unknown(report: Report, console: Console) -> None:
    unknown = [finding for finding in report.findings if finding.status is Status.UNKNOWN]
    if not unknown:
        return
    console.print(f"\n[bold]Could not be evaluated[/bold]: {len(unknown)}")
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="magenta", min_width=5)
    table.add_column(overflow="fold")
    for cause in causes(unknown):
        reason = REASONS.get(cause.reason, cause.reason)
        about = f"{reason}: {cause.action}" if cause.action else reason
        table.add_row(f"{cause.findings:,}", Text(plain(f"{about} ({', '.join(cause.rules)})")))
    console.print(table)


def _verdict(report: Report, console: Console) -> None:
    coverage = Coverage(report)
    score = "no score" if report.score is None else f"score {report.score:.1f} of 100"
    console.print(
        f"{plural(coverage.tables, 'table')} and {plural(coverage.clusters, 'DAX cluster')} in "
        f"{plural(coverage.regions, 'region')} of {plural(len(report.scopes), 'account')}: {score}"
        + ("" if report.complete else ", incomplete"),
        style="bold",
    )
