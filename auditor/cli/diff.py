"""``ddbaudit diff``: two reports compared, for people, for a pull request, for programs."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from auditor.cli.options import LEVELS, Text, option
from auditor.comparison import KINDS, Change, Comparison, Kind, compare_files
from auditor.rule_api import Severity
from auditor.text import plain

#: How many findings of a kind the text lists; ``--format json`` has them all.
_LISTED = 20

_TITLES: dict[Kind, str] = {
    "new": "New",
    "severityChanged": "Changed severity",
    "unknown": "Cannot be evaluated any more",
    "notAudited": "Not looked at again",
    "fixed": "Fixed",
}
_COLOURS = {"new": "red", "severityChanged": "yellow", "unknown": "yellow", "notAudited": "yellow", "fixed": "green"}


@click.command()
@click.argument("old", metavar="OLD.json", type=Text())
@click.argument("new", metavar="NEW.json", type=Text())
@click.option(  # DDBAUDIT_FORMAT is about reports, so this option reads no variable
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "json"]),
    default="text",
    show_default=True,
    help="For people, for a pull request, or for programs.",
)
@option(
    "--fail-on",
    type=click.Choice([*LEVELS, "none"]),
    default="high",
    show_default=True,
    help="Exit 3 for new failures at or above this severity.",
)
@option("--allow-incomplete", is_flag=True, help="Exit 0 instead of 4 when something cannot be compared.")
@option("--no-color", is_flag=True, help="No colour (also NO_COLOR).")
def diff(old: str, new: str, *, form: str, fail_on: str, allow_incomplete: bool, no_color: bool) -> int:
    """Compare two report.json files: what is new, what is fixed, what changed its severity.

    A failure is fixed only if the newer run looked again. Exit codes: 0 good, 2 usage, 3 new failures at or above
    --fail-on, 4 something cannot be compared any more.
    """
    level = None if fail_on == "none" else Severity[fail_on.upper()]
    compared = compare_files(Path(old), Path(new), level)
    code = compared.exit_code(allow_incomplete=allow_incomplete)
    for warning in compared.warnings():
        click.echo(f"ddbaudit: mind: {warning}", err=True)
    if form == "json":
        click.echo(json.dumps(compared.as_json(exit_code=code), indent=2))
    elif form == "markdown":
        from auditor.formats.markdown import render_comparison

        click.echo(render_comparison(compared, exit_line(compared, code)), nl=False)
    else:
        # click leaves the codes out in a pipe, but knows nothing of NO_COLOR (https://no-color.org).
        for line in in_text(compared, colour=not no_color and not os.environ.get("NO_COLOR")):
            click.echo(line)
    click.echo(exit_line(compared, code), err=True)
    return code


def exit_line(compared: Comparison, code: int) -> str:
    """Return the last line that the command prints."""
    findings = "finding" if compared.counted == 1 else "findings"
    told = f"{compared.counted} new {findings} at or above {compared.level}"
    return f"ddbaudit: exit {code}: {told}, {compared.undecided} cannot be compared"


def in_text(compared: Comparison, *, colour: bool) -> Iterator[str]:
    """Yield the lines for people: counts first, then what they stand for, worst first."""

    def styled(text: str, **how: Any) -> str:
        return click.style(text, **how) if colour else text

    for word, side in (("Old", compared.old), ("New", compared.new)):
        yield f"{word}  {side.finished:%Y-%m-%d %H:%M:%S} UTC, run {plain(side.run_id)}"
    counts = {kind: len(compared.of(kind)) for kind in KINDS}
    doubts = sum(change.sighting.status.value == "unknown" for change in compared.of("unchanged"))
    yield (
        f"{counts['new']} new, {counts['severityChanged']} changed severity, {counts['fixed']} fixed, "
        f"{counts['unchanged']} unchanged{f' ({doubts} of them unknown)' if doubts else ''}, "
        f"{counts['unknown']} cannot be evaluated any more, {counts['notAudited']} not looked at again"
    )
    for kind, title in _TITLES.items():
        changes = compared.of(kind)
        if not changes:
            continue
        yield ""
        yield styled(f"{title} ({len(changes)})", fg=_COLOURS[kind], bold=True)
        if kind == "notAudited":  # seldom news one by one: a rule or a region was left out
            entries = [
                [f"  {number}  {plain(note)}"] for note, number in Counter(one.note for one in changes).most_common()
            ]
        else:
            entries = [_lines(change) for change in changes]
        for lines in entries[:_LISTED]:
            yield from lines
        if len(entries) > _LISTED:
            yield f"  and {len(entries) - _LISTED} more; --format json has them all"


def _lines(change: Change) -> list[str]:
    one = change.sighting
    accepted = ", accepted" if one.accepted else ""
    # What a finding of the older report says need not be so any more: only the note tells of now.
    told = f"{one.message} " if change.after is not None and change.kind != "fixed" else ""
    return [
        plain(f"  {one.severity.label}{accepted}  {one.rule}  {one.resource}"),
        f"    {plain(told)}({plain(change.note)})",
    ]
