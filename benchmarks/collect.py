"""Measures ``ddbaudit run`` on many tables: time against the lower bound that AWS's rates set, calls, memory.

    python benchmarks/collect.py --tables 1000
    python benchmarks/collect.py --tables 1000 --source config
    python benchmarks/collect.py --tables 100 --naive

The lower bound is what the slowest operation takes at AWS's documented rate, such as 1,000 calls of
DescribeContinuousBackups at 10 a second. AWS is ``stub.py``, in a process of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
REGIONS = ("eu-west-1", "eu-central-1", "eu-north-1", "us-east-1", "us-west-2")
#: The other regions that every account has; used for those without tables.
OTHERS = (
    *("us-east-2", "us-west-1", "ca-central-1", "sa-east-1", "eu-west-2", "eu-west-3", "ap-south-1", "ap-northeast-1"),
    *("ap-northeast-2", "ap-northeast-3", "ap-southeast-1", "ap-southeast-2"),
)


@contextlib.contextmanager
def stub(
    tables: int,
    latency: float,
    empty: tuple[str, ...] = (),
    rates: str = "aws",
    throttle: float = 0,
    accounts: int = 1,
) -> Iterator[str]:
    """Yield the URL of a fresh stub; what it takes is what ``stub.py`` says."""
    command = [sys.executable, str(HERE / "stub.py"), f"--tables={tables}", f"--latency-ms={latency}"]
    command += [f"--rates={rates}", f"--throttle={throttle}", f"--accounts={accounts}", "--empty", *empty]
    environment = os.environ | {"PYTHONPATH": str(HERE.parent)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def credentials(url: str, folder: Path) -> dict[str, str]:
    """Return an environment with credentials for a stub, and configuration files of its own in a folder."""
    (folder / "aws").touch()
    return {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(folder),
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        "AWS_DEFAULT_REGION": REGIONS[0],
        "AWS_CONFIG_FILE": str(folder / "aws"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "aws"),
    }


def measure(command: list[str], url: str, folder: Path, **more: str) -> dict[str, Any]:
    """Run a command against a stub, with credentials and configuration of its own, and return what it took.

    ``more`` is what else its environment holds. Without AWS's rates there is no lower bound to measure against.
    This process imports nothing heavy: a child's peak memory counts from the parent's size.
    """
    environment = credentials(url, folder) | more
    started = time.monotonic()
    with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=err)  # noqa: S603
        _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    connection.request("GET", "/stats")
    stats = json.load(connection.getresponse())
    connection.close()
    calls = stats["operations"]
    by_operation: Counter[str] = Counter()
    for one in calls:
        by_operation[one["operation"]] += one["calls"]
    numbers = {
        "exit_code": process.returncode,
        "wall_seconds": round(wall, 2),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_memory_mb": round(usage.ru_maxrss / 1024, 1),
        "calls": dict(sorted(by_operation.items())),
        "calls_total": by_operation.total(),
        "throttled": sum(one["throttled"] for one in calls),
        "stub_cpu_seconds": stats["cpu_seconds"],
        "stderr": (folder / "err").read_text().strip(),
    }
    if any(one["rate"] is None for one in calls):
        return numbers
    slowest = max(calls, key=lambda one: (one["calls"] - one["throttled"]) / one["rate"])
    bound = (slowest["calls"] - slowest["throttled"]) / slowest["rate"]
    others = (one["last"] for one in calls if one["operation"] != slowest["operation"])
    return numbers | {
        "slowest_operation": slowest["operation"],
        "bound_seconds": round(bound, 2),
        "ratio_to_bound": round(wall / bound, 3),
        "everything_else_seconds": max(others, default=0.0),
    }


#: Read calls that an audit may take, by what they are about: for each table, key, region in use, account. The account's
#: share covers IAM's first page and the organisation; what only a region's services have (trails, topics, endpoints,
#: pools) counts to the region, and four calls to a region without tables.
BUDGET = {"table": 6, "KMS key": 3, "region": 45, "account": 20}
EMPTY_REGION = 4


def spent(calls: dict[str, int]) -> dict[str, int]:
    """Return the calls by what they are about, as the facts that they bring are declared."""
    from auditor.facts.base import RAW  # after the measurement: a child's memory counts from the parent's size

    groups = dict.fromkeys(BUDGET, 0)
    for operation, count in calls.items():
        nouns = [info.about[0].noun for info in RAW.values() if operation in info.operations]
        # What serves several (a topic's key, too) counts where there are many.
        groups[next((noun for noun in groups if noun in nouns), "region" if nouns else "account")] += count
    return groups


def audit(url: str, regions: tuple[str, ...], pace: str, folder: Path, *flags: str) -> dict[str, Any]:
    """Measure the auditor of this checkout, and count what its report could not find out."""
    flags += tuple(flag for region in regions for flag in ("--region", region))
    command = [sys.executable, "-m", "auditor", "run", *flags, "--pace", pace]
    numbers = measure(command, url, folder, PYTHONPATH=str(HERE.parent))
    report = folder / "ddbaudit-report" / "report.json"
    if not report.exists():
        raise SystemExit(f"ddbaudit wrote no report (exit {numbers['exit_code']}): {numbers['stderr']}")
    held = json.loads(report.read_bytes())
    unknown = Counter(one["reason"] for one in held["findings"] if one["status"] == "unknown")
    return numbers | {
        "calls_lost": len(held["errors"]),
        "unknown": dict(unknown),
        "complete": held["run"]["complete"],
        "findings": len(held["findings"]),
    }


def naive(url: str, regions: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """Measure the thread pool without pacing."""
    numbers = measure([sys.executable, str(HERE / "naive.py"), *regions], url, folder)
    lost = json.loads((folder / "out").read_text() or '{"lost": {}}')["lost"]
    # The bound counts the calls that were answered; with calls lost it says nothing.
    for name in ("slowest_operation", "bound_seconds", "ratio_to_bound"):
        del numbers[name]
    return numbers | {"calls_lost": sum(lost.values()), "lost": lost}


def show_budget(calls: dict[str, int], tables: int, regions: int, empty: int) -> None:
    """Print what the audit took of its budget of calls."""
    held = {"table": tables * regions, "KMS key": tables // 10 * regions, "region": regions, "account": 1}
    more = {"region": EMPTY_REGION * empty}
    for noun, count in spent(calls).items():
        allowed = BUDGET[noun] * held[noun] + more.get(noun, 0)
        share = f"{100 * count / allowed:4.0f} %" if allowed else "   -"
        print(f"  budget           {count:8} of {allowed} calls for {held[noun]} x {noun}: {share}")
    total, allowed = sum(calls.values()), sum(BUDGET[noun] * held[noun] for noun in BUDGET) + EMPTY_REGION * empty
    print(f"  budget           {total:8} of {allowed} calls in all: {100 * total / allowed:4.0f} %")


def show(title: str, numbers: dict[str, Any], tables: int) -> None:
    """Print numbers for people."""
    print(f"{title}: {tables} tables, exit {numbers['exit_code']}")
    print(f"  wall time        {numbers['wall_seconds']:8.1f} s")
    if "ratio_to_bound" in numbers:
        bound, slowest = numbers["bound_seconds"], numbers["slowest_operation"]
        print(f"  to lower bound   {numbers['ratio_to_bound']:8.3f} x {bound:.1f} s ({slowest})")
        print(f"  everything else  {numbers['everything_else_seconds']:8.1f} s until its last call")
    print(f"  CPU time         {numbers['cpu_seconds']:8.1f} s (the stub's own: {numbers['stub_cpu_seconds']:.1f} s)")
    print(f"  peak memory      {numbers['peak_memory_mb']:8.1f} MB")
    print(f"  calls            {numbers['calls_total']:8}, {numbers['calls_total'] / tables:.2f} a table")
    print(f"  throttled        {numbers['throttled']:8}")
    print(f"  calls lost       {numbers['calls_lost']:8} {numbers.get('lost') or ''}")
    if "unknown" in numbers:
        print(f"  unknown findings {sum(numbers['unknown'].values()):8} of {numbers['findings']}")
    for operation, count in numbers["calls"].items():
        print(f"    {operation:45} {count:6}, {count / tables:.2f} a table")
    if numbers["stderr"]:
        print(f"  stderr: {numbers['stderr']}")


def main() -> None:
    """Measure, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=1000, help="tables in every region (default 1000)")
    parser.add_argument("--regions", type=int, default=1, choices=range(1, 6), help="number of regions (default 1)")
    parser.add_argument(
        "--empty-regions",
        type=int,
        default=0,
        choices=range(len(OTHERS) + 1),
        help="regions without tables (default 0)",
    )
    parser.add_argument("--latency-ms", type=float, default=30, help="of every call (default 30)")
    parser.add_argument("--pace", default="documented", choices=["documented", "adaptive", "off"])
    parser.add_argument("--rates", default="aws", choices=["aws", "off"], help="that the stub keeps to (default aws)")
    parser.add_argument("--source", default="live", choices=["live", "config"])
    parser.add_argument("--naive", action="store_true", help="also measure 32 threads without pacing")
    parser.add_argument("--format", default="text", choices=["text", "json"])
    options = parser.parse_args()
    regions = REGIONS[: options.regions]
    results = {}
    empty = OTHERS[: options.empty_regions]
    with tempfile.TemporaryDirectory() as folder, stub(options.tables, options.latency_ms, empty, options.rates) as url:
        results["ddbaudit"] = audit(url, (*regions, *empty), options.pace, Path(folder), "--source", options.source)
    if options.naive:
        with tempfile.TemporaryDirectory() as folder, stub(options.tables, options.latency_ms) as url:
            results["naive"] = naive(url, regions, Path(folder))
    if options.format == "json":
        print(json.dumps(results, indent=2))
        return
    for title, numbers in results.items():
        show(title, numbers, options.tables * len(regions))
        if title == "ddbaudit":
            show_budget(numbers["calls"], options.tables, len(regions), len(empty))


if __name__ == "__main__":
    main()
