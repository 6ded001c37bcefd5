"""``ddbaudit baseline``: write the file of accepted findings from a report, or see whether it still holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import click
import yaml

from auditor import acceptance, packs
from auditor.acceptance import FILE_NAME, AcceptanceFile, Candidate, check_end, check_reason, escaped
from auditor.cli.audit import check_file, now
from auditor.cli.options import LEVELS, Text
from auditor.comparison import read_document
from auditor.errors import UsageError
from auditor.inventory import write_atomically
from auditor.report import AcceptanceUse
from auditor.rule_api import Severity
from auditor.text import plain

#: How many days before its end `check` speaks of an entry.
_SOON = 30


@click.group()
def baseline() -> None:
    """Write or check the file of accepted findings, which `ddbaudit run --baseline` takes."""


@baseline.command(short_help="Accept what a report has found, one entry a finding.")
@click.argument("report", metavar="REPORT.json", type=Text())
@click.option("--reason", required=True, metavar="TEXT", type=Text(), help="Why it is accepted.")
@click.option("--by", required=True, metavar="TEXT", type=Text(), help="Who accepts it.")
@click.option("--until", required=True, metavar="DATE", type=Text(), help="Last day, such as 2026-12-31 (UTC).")
@click.option("--ticket", metavar="TEXT", type=Text(), help="Where it is tracked.")
@click.option("--up-to", type=click.Choice(LEVELS), help="Only failures of this severity or below.")
@click.option("--include-unknown", is_flag=True, help="Accept also what could not be evaluated.")
@click.option("--output", metavar="FILE", type=Text(), default=FILE_NAME, show_default=True, help="The file to write.")
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
def create(report: str, *, output: str, force: bool, up_to: str | None, include_unknown: bool, **said: str) -> int:
    """Accept what a report has found: one entry for each failure that nobody accepts yet.

    The entries all have the same reason, owner and end: go through the file, and take out what must be mended.
    """
    path, today = Path(output), now().date()
    check_file(path, "--output")
    if path.exists() and not force:
        raise UsageError(f"{path}: there is already such a file.", "--force replaces it.")
    shared = _said(said, today)
    document = read_document(Path(report))
    most = Severity[up_to.upper()] if up_to else max(Severity)
    statuses = ("fail", "unknown") if include_unknown else ("fail",)
    open_ones = [one for one in document["findings"] if one["status"] in statuses and not _is_accepted(one)]
    accepted = [one for one in open_ones if Severity[one["severity"].upper()] <= most]
    write_atomically(path, "".join(_text(document, accepted, shared)).encode())
    click.echo(f"Wrote {plain(path)}: accepts {_many(len(accepted))} until {shared['until']}.")
    before = sum(map(_is_accepted, document["findings"]))
    if before:
        click.echo(f"{_many(before)} accepted already {'is' if before == 1 else 'are'} not in it.")
    return 0


def _said(said: Mapping[str, str | None], today: date) -> dict[str, Any]:
    """Return what the options say of every entry."""
    try:
        check_reason(str(said["reason"]))
    except ValueError as error:
        raise UsageError(f"--reason: {error}", "Whoever reads the audit wants to know why.") from None
    try:
        end = check_end(str(said["until"]), today)
    except ValueError as error:
        raise UsageError(f"--until: {error}", "Acceptances end, so that somebody looks again.") from None
    if end < today:
        raise UsageError(
            f"--until: {end.isoformat()} is over.", "Give the last day on which the findings are accepted."
        )
    ticket = {"ticket": said["ticket"]} if said["ticket"] else {}
    return {"reason": said["reason"], "by": said["by"], **ticket, "until": end}


def _is_accepted(finding: Mapping[str, Any]) -> bool:
    return finding["acceptance"] is not None and not finding["acceptance"]["expired"]


def _text(document: Mapping[str, Any], findings: list[dict[str, Any]], shared: dict[str, Any]) -> Iterator[str]:
    """Yield the file: each entry below a comment with what the finding says."""
    yield (
        "# Accepted findings: they do not count until their day is over. `ddbaudit baseline check` looks after them.\n"
        f"# Made from the report of {plain(document['run']['finishedAt'])}.\n"
        "version: 1\n"
    )
    yield "accept:\n" if findings else "accept: []\n"
    for one in findings:
        part = {"subKey": escaped(one["subKey"])} if one["subKey"] is not None else {}
        entry = {"rule": escaped(one["rule"]), "resource": escaped(one["resource"]), **part, **shared}
        doubt = "unknown, " if one["status"] == "unknown" else ""
        yield f"# {doubt}{one['severity']}: {plain(one['message'])}\n"
        yield yaml.dump([entry], Dumper=_DUMPER, sort_keys=False, width=10**9, allow_unicode=False)


# libyaml's, where PyYAML was built with it, is ten times as fast.
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def _many(number: int) -> str:
    return f"{number:,} finding{'' if number == 1 else 's'}"


@baseline.command(short_help="Say which entries have expired, will soon, or match nothing.")
@click.argument("file", metavar="FILE", type=Text())
@click.argument("report", metavar="[REPORT.json]", type=Text(), required=False)
def check(file: str, report: str | None) -> int:
    """Say which entries have expired, will expire within 30 days, or (with a report) match nothing any more.

    Exit codes: 0 good, 2 the file is invalid, 3 entries have expired or are stale.
    """
    today = now().date()
    held = acceptance.load(Path(file), today)
    uses = _uses(held, read_document(Path(report)) if report is not None else None, today)
    wrong = 0
    for use in uses:
        texts = list(_wants(use, today, with_report=report is not None))
        for bad, text in texts:
            wrong += bad
            click.echo(plain(f"{file}:{use.line}: {', '.join(use.rules)} on {use.resource}: {text}"))
    entries = f"{len(uses):,} {'entry' if len(uses) == 1 else 'entries'}"
    code = 3 if wrong else 0
    click.echo(f"ddbaudit: exit {code}: {entries}, {wrong:,} expired or stale", err=True)
    return code


def _uses(held: AcceptanceFile, document: Mapping[str, Any] | None, today: date) -> tuple[AcceptanceUse, ...]:
    if document is None:
        return held.match((), today, rules=set(), places=set(), whole=False)[1]
    tags = {one["id"]: one.get("tags") for one in document["resources"]}
    candidates = (
        Candidate(one["rule"], one["resource"], one["subKey"], tags[one["resource"]])
        for one in document["findings"]
        if one["status"] in ("fail", "unknown")
    )
    rules = {one["id"] for one in document["rules"]}
    places = {(one["account"], one["region"]) for one in document["run"]["scopes"]}
    return held.match(candidates, today, rules=rules, places=places, whole=True)[1]


def _wants(use: AcceptanceUse, today: date, *, with_report: bool) -> Iterator[tuple[bool, str]]:
    """Yield what is to be said of an entry, and whether that is wrong already."""
    end = use.acceptance.until
    if use.acceptance.expired:
        yield True, f"has expired on {end.isoformat()} ({use.acceptance.by}): its findings count again."
    elif end <= today + timedelta(days=_SOON):
        yield False, f"expires on {end.isoformat()} ({use.acceptance.by})."
    if with_report and use.state == "stale":
        yield True, "is stale: it matches no failure and no doubt of the report."
    for one in use.rules:
        if acceptance.literal(one) is not None and acceptance.literal(one) not in packs.built_in():
            yield False, f'"{one}" is no built-in rule; that is right only if it is one of yours.'
