"""``--org``, ``--workers`` and ``--resume``: an organisation's accounts, collected into a file account by account."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from auditor import __version__, snapshot
from auditor.cli import begin_log
from auditor.cli.options import Settings, blaming, config_source
from auditor.errors import UsageError
from auditor.inventory import Caller, Inventory
from auditor.snapshot import Plan, SnapshotFile, Wanted
from auditor.sources.aws.fleet import SEATS, Crew, Job, Processes, Setup, Threads, covered, gather
from auditor.sources.aws.organisation import Door, closed, lay_out, members
from auditor.sources.aws.scheduler import Progress
from auditor.sources.aws.session import Access

log = logging.getLogger(__name__)

#: What of the user's choice a snapshot must agree with for a run to go on with it.
CHOICES = ("role_name", "account", "ou", "region", "source", "aggregator")


def collect_organisation(
    settings: Settings,
    access: Access,
    caller: Caller,
    wanted: Wanted,
    progress: Progress,
    now: Callable[[], datetime],
) -> Inventory:
    """Return the inventory of an organisation's accounts. It is written to the file that keeps it meanwhile.

    Args:
        settings: The command's settings.
        access: The caller's credentials.
        caller: Who collects.
        wanted: Facts, each with the kind of resource it is wanted for.
        progress: Called with accounts done and accounts in all.
        now: Gives the time of the collection where that is fixed.

    Raises:
        CredentialsError: the organisation cannot be read.
        UsageError: an account or unit is not there, or the file to go on with does not fit.
    """
    options, sampling = settings.options, settings.config.sampling
    kept = options["resume"] or (options["output"] if _is_collect(options) else options["save_snapshot"])
    with tempfile.TemporaryDirectory(prefix="ddbaudit-") as scratch:
        file = SnapshotFile(Path(kept or Path(scratch, "snapshot.json.gz")), __version__)
        asked = {name: list(one) if isinstance(one := options[name], tuple) else one for name in CHOICES}
        base = None
        if options["resume"]:
            with blaming(settings.origins, "resume"):
                plan = _gone_on_with(file, asked, wanted, sampling.items_per_table)
        else:
            with blaming(settings.origins, "account", "ou"):
                found = members(access, options["ou"], options["account"])
            plan, base = lay_out(
                access, caller, found, options["role_name"], wanted,
                items_per_table=sampling.items_per_table, asked=asked,
            )  # fmt: skip
        door = Door(access.session, options["external_id"], access.pacer)
        left = [share for share in plan.shares if share.key not in file.finished()]
        locked = closed(door, left)
        job = Job(
            caller,
            plan.wanted,
            __version__,
            tuple(options["region"]),
            covered(share for share in plan.shares if share.account not in locked),
            sampling,
            file.gz,
            now() if "SOURCE_DATE_EPOCH" in os.environ else None,
            config=config_source(settings),
        )
        if base is not None:
            file.begin(base, plan)
        # Struck between two accounts, what is in the file counts.
        with contextlib.suppress(KeyboardInterrupt):
            gather(job, plan, file, _crew(settings, access, door, len(left)), progress)
        file.finish()
        return snapshot.read(file.path)


def _is_collect(options: dict[str, Any]) -> bool:
    """Tell whether the command writes a snapshot and nothing else."""
    return "save_snapshot" not in options


def _gone_on_with(file: SnapshotFile, asked: dict[str, Any], wanted: Wanted, items_per_table: int) -> Plan:
    """Return the plan of a file that a run goes on with, after seeing that it is of the same run.

    Raises:
        UsageError: it is not; says what differs.
    """
    plan = file.resume()
    different = [name for name in CHOICES if plan.asked.get(name) != asked[name]]
    if different:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in different)
        raise UsageError(f"{file.path}: was begun with another {flags}.", "Go on with the options it was begun with.")
    if not set(snapshot.names(wanted)) <= set(plan.wanted) or plan.items_per_table != items_per_table:
        raise UsageError(
            f"{file.path}: was begun for other rules or another sampling.", "Go on with what it was begun with."
        )
    return plan


def _crew(settings: Settings, access: Access, door: Door, accounts: int) -> Crew:
    """Return what collects: processes, or threads of this one where a single one is wanted or possible."""
    workers = settings["workers"] or os.cpu_count() or 1
    workers = min(workers, -(-accounts // SEATS))
    if workers > 1 and _asks_for_codes(access):
        log.warning("the profile asks for MFA codes, so one process collects; temporary credentials let more do it")
        workers = 1
    if workers <= 1:
        return Threads(door)
    prepare = functools.partial(begin_log, logging.getLogger("auditor").getEffectiveLevel())
    return Processes(Setup(settings["profile"], settings["external_id"], settings["pace"], prepare), workers)


def _asks_for_codes(access: Access) -> bool:
    """Tell whether the profile, or one that it rests on, has an MFA device: each process would ask for a code."""
    core: Any = access.session._session  # noqa: SLF001 - boto3 gives its botocore session by no public name
    profiles, name = core.full_config.get("profiles", {}), core.profile or "default"
    seen = set[str]()
    while name in profiles and name not in seen:
        seen.add(name)
        if "mfa_serial" in profiles[name]:
            return True
        name = profiles[name].get("source_profile", "")
    return False
