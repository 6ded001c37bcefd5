"""``ddbaudit run``, ``demo`` and ``collect``."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import sys
import tempfile
import typing
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from auditor import __version__, acceptance, comparison, engine, inventory, snapshot
from auditor.acceptance import AcceptanceFile
from auditor.cli.options import (
    LEVELS,
    Settings,
    Text,
    blaming,
    check_source,
    config_source,
    manners,
    option,
    organisation,
    origin,
    scope,
    selection,
    settle,
    together,
)
from auditor.comparison import PreviousReport
from auditor.config import Format, suggest
from auditor.errors import UsageError
from auditor.inventory import Caller, Inventory
from auditor.report import Report, RunInfo, exit_line
from auditor.resources import Resource
from auditor.rule_api import Severity

if TYPE_CHECKING:
    from auditor.custom import Template
    from auditor.sources.aws.scheduler import Progress
    from auditor.sources.aws.session import Access

log = logging.getLogger(__name__)

INTERRUPTED = 130

#: Raw facts, each with the kind of resource that it is wanted for.
Wanted = set[tuple[type, type[Resource]]]

output = together(
    option(
        "--format",
        multiple=True,
        type=click.Choice(typing.get_args(Format)),
        default=["html", "json"],
        show_default=True,
        help="Report format (repeatable).",
    ),
    option("--output", metavar="DIR", default="ddbaudit-report", show_default=True, help="Where reports go."),
    option("--from", "snapshot", metavar="SNAPSHOT", help="Audit a snapshot file instead of AWS; no network."),
    option("--save-snapshot", metavar="FILE", help="Also keep the inventory (gzip when it ends in .gz)."),
    option("--resume", metavar="FILE", help="Go on with the --save-snapshot of an --org run that was cut off."),
    option(
        "--fail-on",
        type=click.Choice([*LEVELS, "none"]),
        default="high",
        show_default=True,
        help="Exit 3 for failures at or above this severity.",
    ),
    option("--allow-incomplete", is_flag=True, help="Exit 0 instead of 4 when something could not be evaluated."),
    option("--exit-zero", is_flag=True, help="Exit 0 instead of 3 and 4."),
    option("--baseline", metavar="FILE", help="The file of accepted findings; they do not count."),
    option("--previous", metavar="REPORT", help="An earlier report.json: says what is new and what is fixed."),
    option("--new-only", is_flag=True, help="Only what --previous did not fail on already counts."),
    option("--template", metavar="FILE.j2", help="Also render this Jinja template of yours."),
)


@click.command()
@scope
@organisation
@origin
@selection
@output
@manners
@click.pass_context
def run(context: click.Context, /, **_: Any) -> int:
    """Audit an AWS account, or an organisation, and write reports.

    Exit codes: 0 good, 2 usage or credentials, 3 findings at or above --fail-on, 4 incomplete, 130 interrupted.
    """
    settings = settle(context)
    check_writable(settings)
    check_organisation(settings)
    check_source(settings)
    started = now()
    against = standards(settings, started)
    if settings["snapshot"]:
        collected, source = from_snapshot(settings), "snapshot"
    else:
        collected, source = from_aws(settings), "aws"
    return finish(settings, collected, source, started, against)


@click.command()
@scope
@organisation
@origin
@selection
@output
@manners
@click.pass_context
def demo(context: click.Context, /, **_: Any) -> int:
    """Audit the embedded example organisation: three accounts, three regions, no AWS and no network."""
    example = demo_source()
    settings = settle(context, example.CONFIG)
    given = {"profile": "--profile", "snapshot": "--from", "org": "--org", "role_name": "--role-name"}
    given |= {"external_id": "--external-id", "account": "--account", "ou": "--ou", "resume": "--resume"}
    given |= {"source": "--source", "aggregator": "--aggregator"}
    for name, flag in given.items():
        # What the environment or a file says for `run` is not meant for the example.
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise UsageError(f"{flag} has no meaning for the example organisation.", f"`ddbaudit run` takes {flag}.")
    check_writable(settings)
    check_region_names(settings)
    started = now()
    against = standards(settings, started)
    wanted = engine.wanted(settings.rules.values())
    collected = demo_inventory(settings, wanted, pace_is_chosen=_pace_is_chosen(context, settings))
    return finish(settings, collected, "demo", started, against)


@click.command()
@scope
@organisation
@origin
@selection
@click.option(  # DDBAUDIT_OUTPUT is the folder of reports, so this option reads no variable
    "--output",
    metavar="FILE",
    type=Text(),
    default="ddbaudit-snapshot.json.gz",
    show_default=True,
    help="The snapshot to write.",
)
@option("--resume", metavar="FILE", help="Go on with the snapshot of an --org run that was cut off.")
@manners
@click.pass_context
def collect(context: click.Context, /, **_: Any) -> int:
    """Collect the inventory only, into a snapshot that `ddbaudit run --from` audits without AWS."""
    settings = settle(context)
    check_organisation(settings)
    check_source(settings)
    path = Path(settings["resume"] or settings["output"])
    check_file(path, "--output")
    now()  # a bad SOURCE_DATE_EPOCH is told before AWS is asked
    collected = from_aws(settings)
    if not settings["org"]:  # whose accounts are in the file already
        inventory.save(collected, path, __version__)
    if not settings["quiet"]:
        click.echo(f"Snapshot: {path} ({len(collected.everything())} resources, {len(collected.errors)} failed calls)")
    if collected.interrupted:
        click.echo("ddbaudit: exit 130: interrupted, the snapshot is partial", err=True)
        return INTERRUPTED
    click.echo("ddbaudit: exit 0", err=True)
    return 0


def demo_source() -> ModuleType:
    """Return the module of the example organisation.

    Raises:
        UsageError: moto is not installed.
    """
    try:
        from auditor.sources import demo as example
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "moto":
            raise
        raise UsageError(
            "the example organisation needs moto, which is not installed.",
            "Install ddbaudit with its extra `demo`: pip install '.[demo]'.",
        ) from None
    return example


def _pace_is_chosen(context: click.Context, settings: Settings) -> bool:
    return "pace" in settings.origins or (
        context.get_parameter_source("pace") is not click.core.ParameterSource.DEFAULT
    )


def demo_inventory(settings: Settings, wanted: Wanted, *, pace_is_chosen: bool = False) -> Inventory:
    """Return what is wanted of the example organisation."""
    from auditor.resources import Account
    from auditor.sources.aws.pacing import Pacer
    from auditor.sources.aws.session import Access

    with demo_source().organisation() as accounts:
        if not pace_is_chosen:
            settings.options["pace"] = "off"
        settings.options["source"] = "live"
        pacer = Pacer(settings["pace"])
        accesses = [Access(Account(one.id), one.name, one.session, pacer) for one in accounts]
        caller = Caller(accounts[0].id, f"arn:aws:sts::{accounts[0].id}:assumed-role/auditor/ddbaudit-demo")
        return collect_from(accesses, caller, settings, wanted)


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


@dataclass(frozen=True)
class Standards:
    """What findings are held against besides the gate: read before AWS is asked, so that a bad file costs nothing.

    Attributes:
        accepted: The acceptance file.
        previous: The report to compare with.
        template: The user's own template.
    """

    accepted: AcceptanceFile | None
    previous: PreviousReport | None
    template: Template | None


def standards(settings: Settings, moment: datetime) -> Standards:
    """Read ``--baseline``, ``--previous`` and ``--template``.

    Raises:
        UsageError: one of them cannot be used; says where it was named.
    """
    if settings["new_only"] and not settings["previous"]:
        with blaming(settings.origins, "new_only"):
            raise UsageError("--new-only needs --previous.", "Name the report.json of an earlier run.")
    accepted = previous = template = None
    if settings["baseline"]:
        with blaming(settings.origins, "baseline"):
            accepted = acceptance.load(Path(settings["baseline"]), moment.date())
    if settings["previous"]:
        with blaming(settings.origins, "previous"):
            previous = comparison.read(Path(settings["previous"]))
    if settings["template"]:
        from auditor.custom import load

        with blaming(settings.origins, "template"):
            template = load(Path(settings["template"]), settings["format"])
    return Standards(accepted, previous, template)


def check_writable(settings: Settings) -> None:
    """Make sure that what will be written can be, before the first call; nothing is made yet."""
    with blaming(settings.origins, "output"):
        check_folder(Path(settings["output"]), "--output")
    if settings["save_snapshot"]:
        with blaming(settings.origins, "save_snapshot"):
            check_file(Path(settings["save_snapshot"]), "--save-snapshot")


def check_file(path: Path, flag: str) -> None:
    """See that a file can be written.

    Raises:
        UsageError: it cannot be.
    """
    if path.is_dir():
        raise UsageError(f"{path}: is a folder, and a file must be written there.", f"Name a file with {flag}.")
    check_folder(path.parent, flag)


def check_folder(folder: Path, flag: str) -> None:
    """See that a file can be written in a folder, or in the nearest one above it that is there.

    Raises:
        UsageError: it cannot be.
    """
    there = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    hint = f"Choose another place with {flag}."
    if not there.is_dir():
        raise UsageError(f"{folder}: cannot be written to: {there} is no folder.", hint)
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written to: {error.strerror}.", hint) from None


def check_region_names(settings: Settings) -> None:
    """Refuse regions that AWS does not have.

    Raises:
        UsageError: there is no such region.
    """
    from auditor.sources.aws.account import check_regions

    with blaming(settings.origins, "region"):
        check_regions(list(settings["region"]))


def from_snapshot(settings: Settings) -> Inventory:
    """Return a snapshot's inventory, narrowed to the regions that were asked for."""
    profile_is_mere_default = "profile" in settings.origins and "snapshot" not in settings.origins
    if settings["profile"] and not profile_is_mere_default:
        with blaming(settings.origins, "snapshot", "profile"):
            raise UsageError("--from and --profile exclude each other.", "A snapshot is audited without AWS.")
    with blaming(settings.origins, "snapshot"):
        collected = snapshot.read(Path(settings["snapshot"]))
    names = set(settings["region"])
    held = {region.name for one in collected.scopes for region in one.regions}
    if names - held:
        with blaming(settings.origins, "region"):
            raise UsageError(
                f'the snapshot does not hold "{min(names - held)}".{suggest(min(names - held), sorted(held))}',
                f"It holds {', '.join(sorted(held)) or 'no region'}.",
            )
    return collected.narrowed(names) if names else collected


def from_aws(settings: Settings, wanted: Wanted | None = None) -> Inventory:
    """Return the inventory of the account that the credentials belong to, or with ``--org`` of the organisation.

    Args:
        settings: The command's settings.
        wanted: The facts to collect, each with its kind of resource; default: those of the selected rules.
    """
    from auditor.sources.aws.pacing import Pacer
    from auditor.sources.aws.session import Access, identify, open_session

    check_region_names(settings)
    session = open_session(settings["profile"])
    account, arn = identify(session, settings["profile"])
    pacer = Pacer(settings["pace"])
    access = Access(account, "", session, pacer)
    needed = engine.wanted(settings.rules.values()) if wanted is None else wanted
    if not settings.options.get("org"):
        return collect_from([access], Caller(account.id, arn), settings, needed)
    from auditor.cli.organisation import collect_organisation

    with progress_bar(settings, "accounts") as progress:
        return collect_organisation(settings, access, Caller(account.id, arn), needed, progress, now)


def check_organisation(settings: Settings) -> None:
    """See that the options of an organisation fit together.

    Raises:
        UsageError: one is missing, or has no meaning.
    """
    if settings["org"]:
        if not settings["role_name"]:
            with blaming(settings.origins, "org"):
                raise UsageError("--org needs --role-name.", "Name the role that is there in each account.")
        org_is_mere_default = "org" in settings.origins and "snapshot" not in settings.origins
        if settings.options.get("snapshot") and not org_is_mere_default:
            with blaming(settings.origins, "org", "snapshot"):
                raise UsageError("--org and --from exclude each other.", "A snapshot is audited without AWS.")
    if settings.options.get("resume") and (settings.options.get("snapshot") or settings.options.get("save_snapshot")):
        with blaming(settings.origins, "resume", "snapshot", "save_snapshot"):
            other = "--from" if settings.options.get("snapshot") else "--save-snapshot"
            raise UsageError(f"--resume and {other} exclude each other.", "--resume writes on in its own file.")
    for name in ("role_name", "external_id", "account", "ou", "resume"):
        if settings.options.get(name) and not settings["org"]:
            with blaming(settings.origins, name):
                raise UsageError(f"--{name.replace('_', '-')} needs --org.", "Add --org, or leave it out.")
    for number in settings["account"]:
        if not re.fullmatch(r"\d{12}", number, re.ASCII):
            with blaming(settings.origins, "account"):
                raise UsageError(f'--account: "{number}" is no account number.', "It has twelve digits.")
    for unit in settings["ou"]:
        if not re.fullmatch(r"(ou-[a-z0-9]{4,32}-[a-z0-9]{8,32}|r-[a-z0-9]{4,32})", unit, re.ASCII):
            with blaming(settings.origins, "ou"):
                raise UsageError(f'--ou: "{unit}" is no id of a unit.', "For example ou-ab12-34567890, or r-ab12.")
    if settings["role_name"] and not re.fullmatch(r"[\w+=,.@/-]{1,512}", settings["role_name"], re.ASCII):
        with blaming(settings.origins, "role_name"):
            raise UsageError(f'--role-name: "{settings["role_name"]}" is no name of a role.', "A name, not an ARN.")


def collect_from(
    accesses: list[Access],
    caller: Caller,
    settings: Settings,
    wanted: Wanted,
) -> Inventory:
    """Collect what is wanted, with a progress bar on a terminal."""
    from auditor.sources.aws.collect import collect as collect_facts

    regions = list(settings["region"])
    log.info("collecting %d kinds of facts from %d accounts as %s", len(wanted), len(accesses), caller.arn)
    with progress_bar(settings) as progress:
        sampling = settings.config.sampling
        return collect_facts(
            accesses,
            caller,
            regions,
            wanted,
            now=now(),
            progress=progress,
            sampling=sampling,
            config=config_source(settings),
        )


@contextlib.contextmanager
def progress_bar(settings: Settings, unit: str = "calls") -> Iterator[Progress]:
    """Yield a function that shows what is done and known so far; silent in a pipe and with ``--quiet``."""
    if settings["quiet"] or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, no_color=settings["no_color"] or None)
    columns = (TextColumn("Reading"), BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(unit, total=None)

        def update(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield update


def finish(settings: Settings, collected: Inventory, source: str, started: datetime, against: Standards) -> int:
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
        accepted=against.accepted,
        previous=against.previous,
        new_only=settings["new_only"],
    )
    lost: list[UsageError] = []
    is_kept = settings["org"] and source == "aws"  # account by account, meanwhile
    if settings["save_snapshot"] and not is_kept:
        try:
            inventory.save(collected, Path(settings["save_snapshot"]), __version__)
        except UsageError as error:
            lost.append(error)
    files = write(report, settings, against.template, lost)
    if not settings["quiet"]:
        from auditor.cli.summary import print_summary

        print_summary(report, files, no_color=settings["no_color"])
    if lost:
        outcome = exit_line(report).split(": ", 2)[2]
        written = f"written: {', '.join(map(str, files))}" if files else "no report was written"
        raise UsageError(
            "\n".join(one.message for one in lost),
            " ".join([*dict.fromkeys(one.hint for one in lost), f"The audit was finished ({outcome}); {written}."]),
        )
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


def write(report: Report, settings: Settings, template: Template | None, lost: list[UsageError]) -> list[Path]:
    """Write the reports, each rendered before the first is written.

    The audit may have taken an hour: what can be written is written, whatever becomes of the rest.

    Args:
        report: What is written.
        settings: Which reports, and where.
        template: The user's own template.
        lost: Gets an error for each report that cannot be rendered (the user's own template) or written.

    Returns:
        The reports that were written.
    """
    from auditor.render import FORMATS, json_pieces

    folder = Path(settings["output"])
    chosen = list(dict.fromkeys(settings["format"]))
    rendered: list[tuple[Path, bytes | Iterable[bytes]]] = [
        (folder / FORMATS[name][0], FORMATS[name][1](report).encode()) for name in chosen if name != "json"
    ]
    if "json" in chosen:
        rendered.insert(0, (folder / FORMATS["json"][0], (piece.encode() for piece in json_pieces(report))))
    if template is not None:
        try:
            with blaming(settings.origins, "template"):
                rendered.append((folder / template.file_name, template.render(report).encode()))
        except UsageError as error:
            lost.append(error)
    written = []
    for path, data in rendered:
        try:
            inventory.write_atomically(path, data)
        except UsageError as error:
            lost.append(error)
        else:
            written.append(path)
    order = [folder / FORMATS[name][0] for name in chosen]
    return sorted(written, key=lambda path: order.index(path) if path in order else len(order))
