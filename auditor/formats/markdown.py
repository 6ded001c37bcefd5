"""Markdown: the verdict and the worst of it, for a job summary or a merge request, and to read as a file.

GitHub takes a summary of at most 1 MiB a step, and drops one that is longer as a whole. So the file stays below
900 KiB: a table has at most 50 rows, fewer where they are that long, and says how many more there are.

Texts from audited accounts must not become links, images, mentions, references to issues or formulas. Backslashes do
not help against all of these, since GitHub and GitLab look for some of them in what is shown. So whatever is not
plainly a word or a number stands in a code span, where nothing acts (GitHub Flavored Markdown 0.29, 6.3 and 6.9).
"""

from __future__ import annotations

import functools
import heapq
import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, TypeVar

import jinja2

from auditor.comparison import KINDS, Change, Comparison, Kind
from auditor.formats.bounds import cut, line
from auditor.overview import Cause, Coverage, FailedCall, causes, failed_calls
from auditor.packs import bundled
from auditor.report import AcceptanceUse, Finding, Report, exit_line
from auditor.resources import account_of, region_of
from auditor.rule_api import Severity, Status
from auditor.wording import GLOBAL, REASONS, SOURCES

#: Bytes of the file, and rows of a table.
MOST_BYTES, MOST_ROWS = 900 * 1024, 50

#: Characters of a comment on a pull request.
MOST_IN_COMMENT = 65_000

#: UTF-16 code units of a text, and how many rules or places a cell names.
_TEXT, _NAMED = 600, 5

# Letters and digits of any script, and what joins them without a meaning in Markdown; a lone dash.
_WORD = re.compile(r"[^\W_]+(?:[-'\u2019/,][^\W_]+)*|[0-9]+(?:[.:][0-9]+)*%?|[-\u2013\u2026]")
# GitHub links what looks like a commit or an issue of the repository.
_REFERENCE = re.compile(r"[0-9a-f]{7,}|GH-[0-9]+", re.ASCII | re.IGNORECASE)
_BEFORE, _AFTER = "\"'(", "\"').,;:!?"

_T = TypeVar("_T")

_log = logging.getLogger(__name__)


def render(report: Report) -> str:
    """Return report.md. A warning in the log says when tables are shorter than usual, to keep below 900 KiB."""
    rows = MOST_ROWS
    while True:
        text = _environment().get_template("report.md.j2").render(view=_View(report, rows), report=report)
        if len(text.encode()) <= MOST_BYTES or not rows:
            break
        rows //= 2
    if rows < MOST_ROWS:
        _log.warning("report.md: tables have %s rows at most, to keep below 900 KiB; the JSON report has all.", rows)
    return text


def render_comparison(compared: Comparison, decision: str) -> str:
    """Return a comparison for a comment, of at most 65,000 characters: GitHub takes 65,536, GitLab more.

    Args:
        compared: The comparison.
        decision: The line that the command ends with.
    """
    rows = MOST_ROWS
    while True:
        view = _ComparisonView(compared, decision, rows)
        text = _environment().get_template("diff.md.j2").render(view=view)
        if len(text) <= MOST_IN_COMMENT or not rows:
            return text
        rows //= 2


class Marked(str):
    """Markdown that is meant; every other text is made harmless where a template prints it."""

    __slots__ = ()


def inline(text: object) -> Marked:
    """Return a text that shows as it is in a paragraph or a table's cell, on one line."""
    pieces: list[str] = []
    coded: list[str] = []
    for word in cut(line(text), _TEXT).split():
        rest = word.lstrip(_BEFORE)
        before, core = word[: len(word) - len(rest)], rest.rstrip(_AFTER)
        while core.count("(") > core.count(")") and rest[len(core) : len(core) + 1] == ")":
            core += ")"  # list(names): the parenthesis is the word's own
        after = rest[len(core) :]
        if not core or (_WORD.fullmatch(core) and not _REFERENCE.fullmatch(core)):
            pieces += _spans(coded)
            pieces.append(word)
            continue
        if before:
            pieces += _spans(coded)
        coded.append(core)
        if before or after:
            *others, last = _spans(coded)
            pieces += [*others, f"{before}{last}{after}"]
    return Marked(" ".join([*pieces, *_spans(coded)]))


def _spans(words: list[str]) -> list[str]:
    """Return a code span of words that wait for it, or nothing; no word waits then."""
    made: list[str] = [code(" ".join(words))] if words else []
    words.clear()
    return made


def code(text: object) -> Marked:
    """Return a text as a code span, for a paragraph or a table's cell."""
    shown = cut(line(text), _TEXT)
    if not shown.strip():
        return Marked("(blank)" if shown else "(empty)")
    # Readers of tables differ on a bar behind several backslashes: none stands directly before one.
    shown = shown.replace("\\|", "\\ |").replace("|", "\\|")
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    pad = " " if shown[0] in "` " or shown[-1] in "` " else ""
    return Marked(f"{fence}{pad}{shown}{pad}{fence}")


@functools.cache
def _environment() -> jinja2.Environment:
    """Return a Jinja environment that makes harmless whatever a template prints, unless it is :class:`Marked`."""
    from auditor.render import plural  # it imports all formats

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(bundled("reports")),
        autoescape=False,  # noqa: S701 - HTML's escapes are not Markdown's; `finalize` sees everything
        finalize=lambda value: value if isinstance(value, Marked) else inline(value),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {
        "code": code,
        "codes": _codes,
        "plural": plural,
        "number": lambda number: f"{number:,}",
        "spelled": lambda moment: f"{moment:%Y-%m-%d %H:%M:%S} UTC",
    }
    return made


def _codes(names: Sequence[str]) -> Marked:
    """Return names as code spans, the first few of them."""
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return Marked(", ".join(code(name) for name in names[:_NAMED]) + more)


@dataclass(frozen=True, slots=True)
class _Level:
    """A line of counts: failures (with those that are new, and those accepted) and doubts."""

    name: str
    failed: int
    new: int
    accepted: int
    unknown: int


class _ComparisonView:
    """What diff.md shows."""

    titles: ClassVar[Mapping[Kind, str]] = {
        "new": "New",
        "severityChanged": "Changed severity",
        "unknown": "Cannot be evaluated any more",
        "notAudited": "Not looked at again",
        "fixed": "Fixed",
    }

    def __init__(self, compared: Comparison, decision: str, rows: int) -> None:
        self.compared, self._rows = compared, rows
        self.decision = decision.removeprefix("ddbaudit: ").capitalize()
        self.counts = {kind: len(compared.of(kind)) for kind in KINDS}

    @property
    def verdict(self) -> str:
        """In one word; what decides it is in the line below."""
        if self.compared.counted:
            return "new failures"
        return "cannot be compared whole" if self.compared.undecided else "no new failures"

    def changes(self, kind: Kind) -> list[Change]:
        """Return the worst changes of a kind."""
        return self.compared.of(kind)[: self._rows]


class _View:
    """What report.md shows; what is in lists here is cut to so many rows, and counted in ``left_out``."""

    def __init__(self, report: Report, rows: int) -> None:
        self._report, self._rows = report, rows
        self.left_out: dict[str, int] = {}
        self.coverage = Coverage(report)
        self.compared = report.previous is not None
        self.source = SOURCES.get(report.run.source, report.run.source)
        self._names = {scope.account.id: scope.name for scope in report.scopes}

    @property
    def verdict(self) -> str:
        """In one word; what decides it is in the line below."""
        if not self._report.gate.passed:
            return "failed"
        return "passed" if self._report.complete else "incomplete"

    @property
    def decision(self) -> str:
        """The line that the command ends with."""
        return exit_line(self._report).removeprefix("ddbaudit: ").capitalize()

    @cached_property
    def levels(self) -> list[_Level]:
        """Counts by severity, worst first, then all together."""
        fail, new, accepted, unknown = (Counter[Severity]() for _ in range(4))
        for one in self._report.findings:
            if one.status is Status.FAIL:
                fail[one.severity] += 1
                new[one.severity] += one.state == "new"
                accepted[one.severity] += one.accepted
            unknown[one.severity] += one.status is Status.UNKNOWN
        columns = (fail, new, accepted, unknown)
        return [
            *(_Level(level.label.capitalize(), *(column[level] for column in columns))
              for level in sorted(Severity, reverse=True)),
            _Level("All", *(column.total() for column in columns)),
        ]  # fmt: skip

    @property
    def accepted_doubts(self) -> int:
        """How many of the doubts are accepted."""
        return sum(one.accepted and one.status is Status.UNKNOWN for one in self._report.findings)

    @cached_property
    def failures(self) -> list[Finding]:
        """The worst failures; those that somebody accepts come last."""
        failed = [one for one in self._report.findings if one.status is Status.FAIL]
        self.left_out["failures"] = max(len(failed) - self._rows, 0)
        return heapq.nsmallest(self._rows, failed, key=lambda one: (one.accepted, one.sort_key))

    @property
    def stated(self) -> bool:
        """A failure is new or has something to do with the acceptance file."""
        return any(self.state(one) for one in self.failures)

    @staticmethod
    def state(finding: Finding) -> Marked:
        """Return what the comparison and the acceptance file say of a failure."""
        parts = ["**new**"] if finding.state == "new" else []
        if finding.acceptance is not None:
            word = "acceptance expired" if finding.acceptance.expired else "accepted until"
            parts.append(f"{word} {finding.acceptance.until}")
        return Marked(", ".join(parts))

    def where(self, finding: Finding) -> str:
        """Return a resource's account and region."""
        account, region = account_of(finding.resource).id, region_of(finding.resource)
        return f"{self._names.get(account) or account}, {region.name if region is not None else GLOBAL}"

    @cached_property
    def causes(self) -> list[Cause]:
        """What stands behind the doubts."""
        return self._first("causes", causes(one for one in self._report.findings if one.status is Status.UNKNOWN))

    @staticmethod
    def why(cause: Cause) -> str:
        """Return a cause in words, without the IAM action."""
        return REASONS.get(cause.reason, cause.reason)

    @cached_property
    def failed_calls(self) -> list[FailedCall]:
        """Calls that failed, by operation and error code."""
        return self._first("failed_calls", failed_calls(self._report.errors))

    @staticmethod
    def places(call: FailedCall) -> list[str]:
        """Return where a call failed."""
        return [f"{account}/{region}" for account, regions in call.places for region in regions]

    @cached_property
    def neglected(self) -> list[AcceptanceUse]:
        """Entries of the acceptance file that want a hand: expired ones, then stale ones."""
        found = [one for one in self._report.acceptances if one.state in ("expired", "stale")]
        return self._first("neglected", sorted(found, key=lambda one: (one.state, one.line)))

    def _first(self, name: str, found: list[_T]) -> list[_T]:
        self.left_out[name] = max(len(found) - self._rows, 0)
        return found[: self._rows]
