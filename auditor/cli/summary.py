"""What ``run`` prints: a summary that a person understands in ten seconds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from auditor.report import Finding, Report
from auditor.resources import region_of
from auditor.rule_api import Status
from auditor.text import plain

#: Findings that are listed, worst first; the report has them all.
LISTED = 10

STYLES = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "blue", "informational": "dim"}


def print_summary(report: Report, files: list[Path], *, no_color: bool = False) -> None:
    """Print counts by rule, the worst failures with what to do next, and where the reports are."""
    console = Console(no_color=no_color or None, highlight=False, soft_wrap=False)
    console.print(_counts(report))
    failed = [finding for finding in report.findings if finding.status is Status.FAIL]
    if failed:
        console.print(f"\n[bold]Worst findings[/bold] ({min(LISTED, len(failed))} of {len(failed)})")
        for finding in failed[:LISTED]:
            console.print(_line(finding), overflow="fold")
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


def _line(finding: Finding) -> Text:
    region = region_of(finding.resource)
    where = f"{finding.resource.label} ({region.name if region else finding.resource.noun})"
    level = finding.severity.label
    return Text.assemble(
        (f"{level:<9}", STYLES[level]),
        f"{finding.rule}  ",
        (plain(where), "bold"),
        f"  {plain(finding.message)}",
    )


def _unknown(report: Report, console: Console) -> None:
    unknown = [finding for finding in report.findings if finding.status is Status.UNKNOWN]
    if not unknown:
        return
    missing = Counter(finding.missing_permission or "(nothing to permit)" for finding in unknown)
    console.print(f"\n[bold]Could not be evaluated[/bold]: {len(unknown)}")
    for permission, count in missing.most_common(LISTED):
        console.print(Text.assemble((f"{count:>5}  ", "magenta"), plain(permission)))


def _verdict(report: Report, console: Console) -> None:
    tables = sum(1 for resource in report.resources if resource.noun == "table")
    clusters = sum(1 for resource in report.resources if resource.noun == "DAX cluster")
    regions = sum(len(scope.regions) for scope in report.scopes)
    score = "no score" if report.score is None else f"score {report.score:.1f} of 100"
    console.print(
        f"{_plural(len(report.scopes), 'account')}, {_plural(regions, 'region')}, {_plural(tables, 'table')}, "
        f"{_plural(clusters, 'DAX cluster')}: {score}" + ("" if report.complete else ", incomplete"),
        style="bold",
    )


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
