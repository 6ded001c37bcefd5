"""``ddbaudit run``, ``demo`` and ``collect``."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditor import __version__, engine, inventory
from auditor.cli.options import LEVELS, Settings, manners, option, scope, selection, settle, together
from auditor.errors import UsageError
from auditor.inventory import Caller, Inventory
from auditor.report import Report, RunInfo, exit_line
from auditor.rule_api import Severity

if TYPE_CHECKING:
    from auditor.sources.aws.scheduler import Progress
    from auditor.sources.aws.session import Access

INTERRUPTED = 130

output = together(
    option(
        "--format",
        multiple=True,
        type=click.Choice(["html", "json"]),
        default=["html", "json"],
        show_default=True,
        help="Report format (repeatable).",
    ),
    option("--output", metavar="DIR", default="ddbaudit-report", show_default=True, help="Where reports go."),
    option("--from", "snapshot", metavar="SNAPSHOT", help="Audit a snapshot file instead of AWS; no network."),
    option("--save-snapshot", metavar="FILE", help="Also keep the inventory (gzip when it ends in .gz)."),
    option(
        "--fail-on",
        type=click.Choice([*LEVELS, "none"]),
        default="high",
        show_default=True,
        help="Exit 3 for failures at or above this severity.",
    ),
    option("--allow-incomplete", is_flag=True, help="Exit 0 instead of 4 when something could not be evaluated."),
    option("--exit-zero", is_flag=True, help="Exit 0 instead of 3 and 4."),
)


@click.command()
@scope
@selection
@output
@manners
@click.pass_context
def run(context: click.Context, /, **_: Any) -> int:
    """Audit one AWS account and write reports.

    Exit codes: 0 good, 2 usage or credentials, 3 findings at or above --fail-on, 4 incomplete, 130 interrupted.
    """
    settings = settle(context)
    check_writable(settings)
    started = now()
    if settings["snapshot"]:
        collected, source = from_snapshot(settings), "snapshot"
    else:
        collected, source = from_aws(settings), "aws"
    return finish(settings, collected, source, started)


@click.command()
@scope
@selection
@output
@manners
@click.pass_context
def demo(context: click.Context, /, **_: Any) -> int:
    """Audit the embedded example organisation: three accounts, three regions, no AWS and no network."""
    try:
        from auditor.sources import demo as example
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "moto":
            raise
        raise UsageError(
            "the example organisation needs moto, which is not installed.",
            "Install ddbaudit with its extra `demo`: pip install '.[demo]'.",
        ) from None
    settings = settle(context, example.CONFIG)
    for name in ("profile", "snapshot"):
        if settings[name]:
            flag = "--from" if name == "snapshot" else f"--{name}"
            raise UsageError(f"{flag} has no meaning for the example organisation.", f"`ddbaudit run` takes {flag}.")
    check_writable(settings)
    started = now()
    with example.organisation() as accounts:
        from auditor.resources import Account
        from auditor.sources.aws.pacing import Pacer
        from auditor.sources.aws.session import Access

        if context.get_parameter_source("pace") is click.core.ParameterSource.DEFAULT:
            settings.options["pace"] = "off"
        pacer = Pacer(settings["pace"])
        accesses = [Access(Account(one.id), one.name, one.session, pacer) for one in accounts]
        caller = Caller(accounts[0].id, f"arn:aws:sts::{accounts[0].id}:assumed-role/auditor/ddbaudit-demo")
        collected = collect_from(accesses, caller, settings)
    return finish(settings, collected, "demo", started)


@click.command()
@scope
@selection
@option(
    "--output", metavar="FILE", default="ddbaudit-snapshot.json.gz", show_default=True, help="The snapshot to write."
)
@manners
@click.pass_context
def collect(context: click.Context, /, **_: Any) -> int:
    """Collect the inventory only, into a snapshot that `ddbaudit run --from` audits without AWS."""
    settings = settle(context)
    path = Path(settings["output"])
    check_folder(path.parent)
    collected = from_aws(settings)
    inventory.save(collected, path, __version__)
    if not settings["quiet"]:
        click.echo(f"Snapshot: {path} ({len(collected.everything())} resources, {len(collected.errors)} failed calls)")
    if collected.interrupted:
        click.echo("ddbaudit: exit 130: interrupted, the snapshot is partial", err=True)
        return INTERRUPTED
    click.echo("ddbaudit: exit 0", err=True)
    return 0


def now() -> datetime:
    """Return the time for reports: ``SOURCE_DATE_EPOCH`` where set, so that a build can be repeated."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        return datetime.now(UTC)
    try:
        return datetime.fromtimestamp(int(epoch), UTC)
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"SOURCE_DATE_EPOCH is {epoch!r}, no number of seconds since 1970.", "Unset it, or correct it."
        ) from None


def check_writable(settings: Settings) -> None:
    """Make sure that what will be written can be, before the first call."""
    check_folder(Path(settings["output"]))
    if settings["save_snapshot"]:
        check_folder(Path(settings["save_snapshot"]).parent)


def check_folder(folder: Path) -> None:
    """Make a folder if it is missing and see that a file can be written in it.

    Raises:
        UsageError: it cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(
            f"{folder}: cannot be written to: {error.strerror}.", "Choose another folder with --output."
        ) from None


def from_snapshot(settings: Settings) -> Inventory:
    """Return a snapshot's inventory, narrowed to the regions that were asked for."""
    if settings["profile"]:
        raise UsageError("--from and --profile exclude each other.", "A snapshot is audited without AWS.")
    collected = inventory.read(Path(settings["snapshot"]))
    names = set(settings["region"])
    held = {region.name for one in collected.scopes for region in one.regions}
    if names - held:
        raise UsageError(
            f"the snapshot does not hold {', '.join(sorted(names - held))}.", f"It holds {', '.join(sorted(held))}."
        )
    return collected.narrowed(names) if names else collected


def from_aws(settings: Settings) -> Inventory:
    """Return the inventory of the account that the credentials belong to."""
    from auditor.sources.aws.account import check_regions
    from auditor.sources.aws.pacing import Pacer
    from auditor.sources.aws.session import Access, identify, open_session

    check_regions(list(settings["region"]))
    session = open_session(settings["profile"])
    account, arn = identify(session, settings["profile"])
    access = Access(account, "", session, Pacer(settings["pace"]))
    return collect_from([access], Caller(account.id, arn), settings)


def collect_from(accesses: list[Access], caller: Caller, settings: Settings) -> Inventory:
    """Collect what the selected rules need, with a progress bar on a terminal."""
    from auditor.sources.aws.account import check_regions
    from auditor.sources.aws.collect import collect as collect_facts

    regions = list(settings["region"])
    check_regions(regions)
    with progress_bar(settings) as progress:
        return collect_facts(
            accesses, caller, regions, engine.wanted(settings.rules.values()), now=now(), progress=progress
        )


@contextlib.contextmanager
def progress_bar(settings: Settings) -> Iterator[Progress]:
    """Yield a function that shows calls done and known so far; silent in a pipe and with ``--quiet``."""
    if settings["quiet"] or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, no_color=settings["no_color"] or None)
    columns = (TextColumn("Reading"), BarColumn(), MofNCompleteColumn(), TextColumn("calls"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("calls", total=None)

        def update(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield update


def finish(settings: Settings, collected: Inventory, source: str, started: datetime) -> int:
    """Audit an inventory, write the reports and the snapshot, print the summary; return the exit code."""
    level = settings["fail_on"]
    moment = now()
    run_info = RunInfo(run_id(collected, moment), started, moment, source, collected.caller)
    report = engine.audit(
        collected,
        settings.rules,
        settings.config,
        run_info,
        version=__version__,
        fail_on=None if level == "none" else Severity[level.upper()],
        allow_incomplete=settings["allow_incomplete"],
        exit_zero=settings["exit_zero"],
    )
    if settings["save_snapshot"]:
        inventory.save(collected, Path(settings["save_snapshot"]), __version__)
    files = write(report, settings)
    if not settings["quiet"]:
        from auditor.cli.summary import print_summary

        print_summary(report, files, no_color=settings["no_color"])
    if collected.interrupted:
        click.echo("ddbaudit: exit 130: interrupted, the report is partial", err=True)
        return INTERRUPTED
    click.echo(exit_line(report), err=True)
    return report.gate.exit_code


def run_id(collected: Inventory, moment: datetime) -> str:
    """Return an id that tells runs apart; the same for the same moment where ``SOURCE_DATE_EPOCH`` fixes it."""
    if "SOURCE_DATE_EPOCH" in os.environ:
        return hashlib.sha256(f"{collected.caller.arn} {moment.isoformat()}".encode()).hexdigest()[:32]
    return uuid.uuid4().hex


def write(report: Report, settings: Settings) -> list[Path]:
    """Render every format first, then write: a template's failure leaves no half of the files."""
    from auditor.render import FORMATS

    folder = Path(settings["output"])
    rendered = [
        (folder / FORMATS[name][0], FORMATS[name][1](report).encode()) for name in dict.fromkeys(settings["format"])
    ]
    for path, data in rendered:
        inventory.write_atomically(path, data)
    return [path for path, _ in rendered]
