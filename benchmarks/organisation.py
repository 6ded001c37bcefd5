"""Measures ``ddbaudit run --org``: time, and the memory of each process, on a stub of many accounts; and kills it.

    python benchmarks/organisation.py --accounts 500 --regions 4 --tables 20
    python benchmarks/organisation.py --accounts 30 --kills 10

With ``--kills`` the run is killed with SIGKILL, its workers with it, at so many random moments, and gone on with
``--resume`` each time; the last report must equal that of an undisturbed run but for ``run``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from collect import HERE, REGIONS, credentials, stub  # type: ignore[import-not-found]

PAGE = os.sysconf("SC_PAGE_SIZE")


def memory(pid: str | int) -> float:
    """Return the resident memory of a process in MB."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 1e6
    except (OSError, IndexError):
        return 0.0


def children(pid: int) -> list[str]:
    """Return the processes that a process began."""
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []


def begin(options: argparse.Namespace, url: str, folder: Path, *more: str) -> subprocess.Popen[bytes]:
    """Begin a run in a session of its own."""
    command = [sys.executable, "-m", "auditor", "run", "--org", "--role-name", "audit", "--exit-zero"]
    command += ["--quiet", "--pace", options.pace, "--output", str(folder / "out"), *more]
    command += [part for region in REGIONS[: options.regions] for part in ("--region", region)]
    command += [part for rule in options.rule for part in ("--rule", rule)]
    command += ["--workers", str(options.workers)] if options.workers else []
    return subprocess.Popen(  # noqa: S603
        command,
        env=credentials(url, folder) | {"PYTHONPATH": str(HERE.parent)},
        cwd=folder,
        start_new_session=True,
        stderr=(folder / "err").open("ab"),
    )


def watched(process: subprocess.Popen[bytes], snapshot: Path) -> dict[str, Any]:
    """Wait for a run; return what it took."""
    started, collected = time.monotonic(), 0.0
    peaks = {"collecting": 0.0, "a worker": 0.0, "auditing": 0.0}
    while process.poll() is None:
        workers = [one for one in children(process.pid) if memory(one) > 30]  # not the helper of multiprocessing
        stage = "collecting" if workers or not snapshot.exists() else "auditing"
        if workers:
            collected = time.monotonic() - started
        peaks[stage] = max(peaks[stage], memory(process.pid))
        peaks["a worker"] = max([peaks["a worker"], *(memory(one) for one in workers)])
        time.sleep(0.2)
    return {
        "exit_code": process.returncode,
        "wall_seconds": round(time.monotonic() - started, 1),
        "collecting_seconds": round(collected, 1),
        "peak_memory_mb": {stage: round(value) for stage, value in peaks.items()},
    }


def findings(folder: Path) -> Iterator[str]:
    """Yield the lines of a report that are not of its ``run``; a report of a million findings is not held."""
    with (folder / "out" / "report.json").open() as file:
        yield from (line for line in file if not line.startswith('  "run": '))


def digest(folder: Path) -> str:
    """Return a hash of what a report says."""
    made = hashlib.sha256()
    for line in findings(folder):
        made.update(line.encode())
    return made.hexdigest()


def main() -> None:
    """Measure, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=30)
    parser.add_argument("--regions", type=int, default=1, choices=range(1, 6))
    parser.add_argument("--tables", type=int, default=20, help="in every region of every account")
    parser.add_argument("--latency-ms", type=float, default=30)
    parser.add_argument("--pace", default="off", choices=["documented", "adaptive", "off"])
    parser.add_argument("--workers", type=int, help="default: the command's")
    parser.add_argument("--rule", action="append", default=[], help="only these rules")
    parser.add_argument("--kills", type=int, default=0, help="kill it at so many random moments")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    told: dict[str, Any] = vars(options).copy()
    with (
        tempfile.TemporaryDirectory() as name,
        stub(options.tables, options.latency_ms, accounts=options.accounts) as url,
    ):
        folder = Path(name)
        snapshot = folder / "snapshot.json.gz"
        told |= watched(begin(options, url, folder, "--save-snapshot", str(snapshot)), snapshot)
        told["last_line"] = (folder / "err").read_text().splitlines()[-1]
        sizes = {one.name: one.stat().st_size for one in [*(folder / "out").iterdir(), snapshot]}
        told["megabytes"] = {one: round(size / 1e6, 1) for one, size in sizes.items()}
        expected = digest(folder)
        if options.kills:
            choose = random.Random(options.seed)  # noqa: S311 - moments
            snapshot.unlink()
            flags, kept = ["--save-snapshot", str(snapshot)], []
            for _ in range(options.kills):
                process = begin(options, url, folder, *flags)
                time.sleep(choose.uniform(1, 0.6 * told["collecting_seconds"]))
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                if snapshot.exists():
                    flags = ["--resume", str(snapshot)]
                kept.append(snapshot.stat().st_size if snapshot.exists() else 0)
            process = begin(options, url, folder, *flags)
            process.wait()
            told["killed"] = {"bytes_kept": kept, "exit_code": process.returncode, "equal": digest(folder) == expected}
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
