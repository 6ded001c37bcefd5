"""What ``run`` prints: a summary that a person understands in ten seconds.

First the verdict, then counts, then the worst failures with what to do, then what could not be evaluated. The reports
have everything; here what does not fit is counted.
"""

from __future__ import annotations

import itertools
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from auditor.formats.bounds import cut
from auditor.overview import Coverage, causes
from auditor.render import plural
from auditor.report import Finding, Report
from auditor.resources import account_of, region_of
from auditor.rule_api import Severity, Status
from auditor.text import plain
from auditor.wording import REASONS

#: How many rules' failures are listed, how many resources of each, how many reasons for doubts.
RULES, PLACES, CAUSES = 5, 3, 4

#: Characters of a text.
MOST = 240

#: Characters in a line where there is no terminal: a log should not break sentences more than it must.
PIPE_WIDTH = 120

STYLES = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "blue", "informational": "dim"}


def print_summary(report: Report, files: list[Path], *, no_color: bool = False) -> None:
    """Print the verdict, counts, the worst failures with what to do next, doubts, and where the reports are."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    console = Console(no_color=no_color or None, highlight=False, soft_wrap=False, width=width)
    summary = _Summary(report, console.encoding)
    for part in summary.parts():
        console.print(part)
    for path in files:
        console.print(Text.assemble(("Report  ", "dim"), summary.shown(path)), soft_wrap=True)


class _Summary:
    def __init__(self, report: Report, encoding: str) -> None:
        self.report, self.encoding = report, encoding

    def shown(self, text: object) -> str:
        """Return a text that acts nowhere and that the terminal's encoding has."""
        return plain(text).encode(self.encoding, "backslashreplace").decode(self.encoding)

    def parts(self) -> Iterator[Text | Table | str]:
        """Yield what is printed, from top to bottom."""
        yield self._verdict()
        yield self._coverage()
        if self.report.previous is not None:
            yield self._since()
        yield ""
        yield self._counts()
        failed = self._open_failures()
        if failed:
            yield ""
            yield Text(f"The worst of {plural(len(failed), self._failure)}", style="bold")
            yield self._worst(failed)
            yield Text("`ddbaudit rules show RULE` says why it matters and how to mend it.", style="dim")
        unknown = [one for one in self.report.findings if one.status is Status.UNKNOWN and not one.accepted]
        if unknown:
            yield ""
            yield Text(f"{plural(len(unknown), 'finding')} could not be evaluated", style="bold")
            yield self._causes(unknown)
        yield from self._neglected()
        yield ""

    @property
    def _failure(self) -> str:
        return "new failure" if self.report.gate.new_only else "failure"

    def _verdict(self) -> Text:
        gate = self.report.gate
        level = gate.fail_on.label if gate.fail_on is not None else "none"
        kind = "new finding" if gate.new_only else "finding"
        if not gate.passed:
            return Text.assemble(("FAILED", "bold red"), f"  {plural(gate.counted, kind)} at or above {level}")
        told = "no severity fails this run" if gate.fail_on is None else f"no {kind} at or above {level}"
        if not self.report.complete:
            return Text.assemble(("INCOMPLETE", "bold magenta"), f"  {told}, but not everything could be evaluated")
        return Text.assemble(("PASSED", "bold green"), f"  {told}")

    def _coverage(self) -> Text:
        coverage, report = Coverage(self.report), self.report
        score = "no score" if report.score is None else f"score {report.score:.1f} of 100"
        whole = "" if coverage.whole else " (not everything could be listed)"
        return Text(
            f"{plural(coverage.tables, 'table')} and {plural(coverage.clusters, 'DAX cluster')} in "
            f"{plural(coverage.regions, 'region')} of {plural(len(report.scopes), 'account')}{whole}, {score}"
        )

    def _since(self) -> Text:
        previous = self.report.previous
        assert previous is not None
        lost = f", {previous.not_evaluated:,} not evaluated again" if previous.not_evaluated else ""
        return Text(
            f"Since {previous.finished:%Y-%m-%d %H:%M} UTC: "
            f"{plural(self.report.new, 'new failure')}, {previous.fixed:,} fixed{lost}"
        )

    def _counts(self) -> Table:
        """Return counts by severity; one that nothing has is left out."""
        fail, new, accepted, unknown = (Counter[Severity]() for _ in range(4))
        for one in self.report.findings:
            if one.status is Status.FAIL:
                fail[one.severity] += 1
                new[one.severity] += one.state == "new"
                accepted[one.severity] += one.accepted
            elif one.status is Status.UNKNOWN:
                unknown[one.severity] += 1
        columns = [("fail", fail)]
        if self.report.previous is not None:
            columns.append(("new", new))
        if self.report.acceptance_file is not None:
            columns.append(("accepted", accepted))
        columns.append(("unknown", unknown))
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("")
        for name, _ in columns:
            table.add_column(name, justify="right")
        for severity in sorted(Severity, reverse=True):
            if fail[severity] or unknown[severity]:
                numbers = [f"{column[severity]:,}" if column[severity] else "-" for _, column in columns]
                table.add_row(Text(severity.label, style=STYLES[severity.label]), *numbers)
        table.add_row("all", *(f"{column.total():,}" for _, column in columns), style="bold")
        by_status = self.report.by_status
        table.caption = f"{by_status['pass']:,} pass, {by_status['not_applicable']:,} do not apply"
        table.caption_justify = "left"
        return table

    def _open_failures(self) -> list[Finding]:
        """Return the failures that nobody accepts; with ``--new-only`` those that the last run did not fail on."""
        new_only = self.report.gate.new_only
        return [
            one
            for one in self.report.findings
            if one.status is Status.FAIL and not one.accepted and not (new_only and one.state == "unchanged")
        ]

    def _worst(self, failed: Sequence[Finding]) -> Table:
        """Return the worst failures by rule: what is wrong with which resources, and what to do."""
        rules = {rule.id: rule for rule in self.report.rules}
        groups: dict[tuple[Severity, str], list[Finding]] = {}
        for finding in failed:
            groups.setdefault((finding.severity, finding.rule), []).append(finding)
        ranked = sorted(groups.items(), key=lambda item: (-item[0][0], -len(item[1]), item[0][1]))
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for (severity, rule), findings in itertools.islice(ranked, RULES):
            number = f"  {len(findings):,} findings" if len(findings) > 1 else ""
            table.add_row(
                Text(severity.label, style=STYLES[severity.label]), Text.assemble((rule, "bold"), (number, "dim"))
            )
            first = findings[0]
            table.add_row("", Text(self.shown(cut(first.message, MOST))))
            named = ", ".join(self._place(finding) for finding in findings[:PLACES])
            more = f" and {len(findings) - PLACES:,} more" if len(findings) > PLACES else ""
            table.add_row("", Padding(Text(self.shown(cut(named, MOST)) + more, style="dim"), (0, 0, 0, 2)))
            if rule in rules:
                table.add_row(
                    "", Text.assemble(("Next: ", "bold"), self.shown(cut(rules[rule].remediation.text, MOST)))
                )
        if len(ranked) > RULES:
            others = sum(len(findings) for _, findings in ranked[RULES:])
            table.add_row("", Text(f"and {others:,} more", style="dim"))
        return table

    def _place(self, finding: Finding) -> str:
        """Return a resource with its region, and its account where there are several."""
        where = ", ".join(self._where(finding))
        return f"{finding.resource.label} ({where})" if where else finding.resource.label

    def _where(self, finding: Finding) -> Iterator[str]:
        if len(self.report.scopes) > 1:
            account = account_of(finding.resource)
            yield next((scope.name for scope in self.report.scopes if scope.account == account), "") or account.id
        region = region_of(finding.resource)
        if region is not None and region != finding.resource:
            yield region.name

    def _causes(self, unknown: Sequence[Finding]) -> Table:
        table = Table.grid(padding=(0, 2))
        table.add_column(justify="right", style="magenta", min_width=5)
        table.add_column(overflow="fold")
        found = causes(unknown)
        for cause in found[:CAUSES]:
            reason = REASONS.get(cause.reason, cause.reason)
            about = f"{reason}: {cause.action}" if cause.action else reason
            table.add_row(f"{cause.findings:,}", Text(self.shown(cut(f"{about} ({', '.join(cause.rules)})", MOST))))
        if len(found) > CAUSES:
            others = sum(cause.findings for cause in found[CAUSES:])
            table.add_row(f"{others:,}", Text("for other reasons", style="dim"))
        return table

    def _neglected(self) -> Iterator[Text | str]:
        """Yield what the acceptance file needs, if anything."""
        states = [use.state for use in self.report.acceptances]
        counted = {"expired": states.count("expired"), "stale": states.count("stale")}
        parts = [f"{number:,} {word}" for word, number in counted.items() if number]
        if parts and self.report.acceptance_file is not None:
            yield ""
            yield Text(
                f"Of {plural(len(self.report.acceptances), 'acceptance')} {' and '.join(parts)}: "
                f"see `ddbaudit baseline check {self.shown(self.report.acceptance_file)}`.",
                style="yellow",
            )


def _begin(text: str) -> str:
    """Return the sentences at the beginning of a text that are short enough, the first one in any case."""
    first, *others = re.split(r"(?<=[.])\s+", text)
    for sentence in others:
        if len(first) + len(sentence) >= MOST * 2 // 3:
            break
        first = f"{first} {sentence}"
    return cut(first, MOST)
