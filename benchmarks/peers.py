"""Measures ``ddbaudit run`` and Prowler one after the other on the same stub of AWS, and what each of them loses.

    python -m venv /tmp/prowler && /tmp/prowler/bin/pip install prowler==5.46.0
    python benchmarks/peers.py --prowler /tmp/prowler/bin/prowler

Each run has a stub of its own (``stub.py``): the same tables and latency, and what a scenario says of throttling.

``undisturbed``
    no rates, nothing throttled; what each auditor finds here, its later verdicts are compared with
``5%``, ``20%``
    that many calls are throttled by chance, no rates
``rates``
    AWS's documented rates

Both audit one region, and write one JSON file. Prowler runs its DynamoDB and DAX checks (``--service dynamodb``);
ddbaudit once with all rules, once with those about tables only, which is the nearest to Prowler's.

What is lost: findings that are missing or have another status than undisturbed. An auditor that says so itself
(``unknown``) is counted apart from one that does not.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from collect import HERE, REGIONS, measure, stub  # type: ignore[import-not-found]

#: Whether AWS's rates are kept to, percent of calls throttled by chance, paces of ddbaudit.
SCENARIOS: dict[str, tuple[str, float, tuple[str, ...]]] = {
    "undisturbed": ("off", 0, ("adaptive",)),
    "5%": ("off", 5, ("adaptive",)),
    "20%": ("off", 20, ("adaptive",)),
    "rates": ("aws", 0, ("documented", "adaptive")),
}

#: Rule, resource and what tells findings about the same apart -> status.
Verdicts = dict[tuple[str, ...], str]


@dataclass(frozen=True)
class Auditor:
    """One way to audit.

    Attributes:
        name: What it is called in the results.
        pace: Its pace, which changes no verdict; only ddbaudit has one.
        command: Its command line; it is run in an empty folder.
        report: The file that it writes, in that folder.
        log: The file with its log, one JSON object a line; only Prowler has it.
        is_prowler: How the report is read.
        environment: What else its environment holds.
    """

    name: str
    pace: str
    command: tuple[str, ...]
    report: str
    log: str = ""
    is_prowler: bool = False
    environment: tuple[tuple[str, str], ...] = ()


def ddbaudit(pace: str, *, only_tables: bool) -> Auditor:
    """Return the auditor of this checkout."""
    command = [sys.executable, "-m", "auditor", "run", "--region", REGIONS[0], "--pace", pace, "--format", "json"]
    command += ["--quiet", *(["--rule", "table-*"] if only_tables else [])]
    name = f"ddbaudit, {'rules about tables' if only_tables else 'all rules'}"
    return Auditor(
        name, pace, tuple(command), "ddbaudit-report/report.json", environment=(("PYTHONPATH", str(HERE.parent)),)
    )


def prowler(program: str) -> Auditor:
    """Return Prowler, as it is installed somewhere."""
    command = [program, "aws", "--service", "dynamodb", "--region", REGIONS[0], "--output-formats", "json-ocsf"]
    command += ["--output-directory", "reports", "--output-filename", "report", "--no-banner", "--no-color"]
    command += ["--log-level", "ERROR", "--log-file", "log", "--ignore-exit-code-3"]
    return Auditor("Prowler", "", tuple(command), "reports/report.ocsf.json", "log", is_prowler=True)


def verdicts(path: Path, *, of_prowler: bool) -> Verdicts:
    """Return what a report says.

    Raises:
        ValueError: two findings have the same key.
    """
    held = json.loads(path.read_bytes())
    pairs: list[tuple[tuple[str, ...], str]]
    if of_prowler:
        pairs = [((one["metadata"]["event_code"], one["resources"][0]["uid"]), one["status_code"]) for one in held]
    else:
        pairs = [((one["rule"], one["resource"], one["subKey"] or ""), one["status"]) for one in held["findings"]]
    found: Verdicts = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"{path}: {len(pairs) - len(found)} findings are there twice")
    return found


def compare(reference: Verdicts, found: Verdicts) -> dict[str, Any]:
    """Return how many verdicts of an undisturbed run another one has not, and how it shows."""
    wrong = [key for key in reference if key in found and found[key] not in (reference[key], "unknown")]
    missing = [key for key in reference if key not in found]
    unknown = [key for key in reference if found.get(key) == "unknown" != reference[key]]
    return {
        "verdicts": len(reference),
        "wrong": len(wrong),
        "missing": len(missing),
        "unknown": len(unknown),
        "more": len(found.keys() - reference.keys()),
        "lost_by_rule": dict(Counter(key[0] for key in (*wrong, *missing, *unknown)).most_common()),
    }


def audit(auditor: Auditor, options: argparse.Namespace, rates: str, throttle: float) -> dict[str, Any]:
    """Measure one run; ``found`` holds its verdicts.

    Raises:
        SystemExit: it wrote no report.
    """
    with (
        tempfile.TemporaryDirectory() as name,
        stub(options.tables, options.latency_ms, rates=rates, throttle=throttle) as url,
    ):
        folder = Path(name)
        numbers: dict[str, Any] = measure(list(auditor.command), url, folder, **dict(auditor.environment))
        report = folder / auditor.report
        if not report.exists():
            raise SystemExit(
                f"{auditor.name} wrote no report (exit {numbers['exit_code']}): {numbers['stderr'][-2000:]}"
            )
        # Read in another process: a child's peak memory counts from this one's size.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            numbers["found"] = pool.submit(verdicts, report, of_prowler=auditor.is_prowler).result()
        log = (folder / auditor.log).read_text().splitlines() if auditor.log and (folder / auditor.log).exists() else []
        numbers["errors_in_log"] = len(log)
    return numbers


def show(scenario: str, results: dict[str, dict[str, Any]]) -> None:
    """Print a scenario's numbers as rows of a table."""
    print(f"\n{scenario}")
    print(
        f"  {'':42}{'wall':>9}{'CPU':>9}{'memory':>10}{'calls':>8}{'throttled':>11}{'verdicts':>10}"
        f"{'wrong':>7}{'missing':>9}{'unknown':>9}{'errors':>8}{'to floor':>10}"
    )
    other = results.get("Prowler")
    for name, one in results.items():
        floor = f"{one['ratio_to_bound']:.3f}" if "ratio_to_bound" in one else ""
        print(
            f"  {name:42}{one['wall_seconds']:7.1f} s{one['cpu_seconds']:7.1f} s{one['peak_memory_mb']:7.0f} MB"
            f"{one['calls_total']:8}{one['throttled']:11}{one['verdicts']:10}{one['wrong']:7}{one['missing']:9}"
            f"{one['unknown']:9}{one['errors_in_log']:8}{floor:>10}"
        )
        if one["lost_by_rule"]:
            print(f"    lost: {', '.join(f'{rule} {count}' for rule, count in one['lost_by_rule'].items())}")
        if other and one is not other:
            ratios = [one[key] / other[key] for key in ("wall_seconds", "cpu_seconds", "peak_memory_mb")]
            print(f"  {'  of Prowler':42}" + "".join(f"{ratio:9.3f}" for ratio in ratios))
    sys.stdout.flush()


def version(command: list[str]) -> str:
    """Return what a program says of its version."""
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=HERE.parent).stdout.strip()  # noqa: S603


def main() -> None:
    """Measure, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prowler", metavar="PATH", help="Prowler's program; without it only ddbaudit is measured")
    parser.add_argument("--tables", type=int, default=1000, help="default 1000")
    parser.add_argument("--latency-ms", type=float, default=30, help="of every call (default 30)")
    parser.add_argument(
        "--scenario",
        nargs="*",
        default=list(SCENARIOS),
        choices=list(SCENARIOS),
        help="default: all; undisturbed always",
    )
    parser.add_argument("--format", default="text", choices=["text", "json"])
    options = parser.parse_args()
    if options.prowler and not Path(options.prowler).is_file():
        parser.error(f"--prowler: {options.prowler} is no file. Install Prowler into a virtualenv of its own.")
    about = {
        "ddbaudit": version([sys.executable, "-m", "auditor", "--version"]),
        "Prowler": version([options.prowler, "--version"]) if options.prowler else None,
        "python": platform.python_version(),
        "cores": multiprocessing.cpu_count(),
        "tables": options.tables,
        "latency_ms": options.latency_ms,
    }
    if options.format == "text":
        print(", ".join(f"{name}: {value}" for name, value in about.items() if value is not None))
    peers = [prowler(str(Path(options.prowler).absolute()))] if options.prowler else []
    for auditor in [*peers, ddbaudit("off", only_tables=False)]:
        # Not measured: the first run of a program compiles it and reads it from disk.
        audit(auditor, argparse.Namespace(tables=10, latency_ms=0), "off", 0)
    results: dict[str, dict[str, dict[str, Any]]] = {}
    references: dict[str, Verdicts] = {}
    for scenario, (rates, throttle, paces) in SCENARIOS.items():
        if scenario not in (*options.scenario, "undisturbed"):
            continue
        results[scenario] = {}
        ours = [ddbaudit(pace, only_tables=narrow) for pace in paces for narrow in (False, True)]
        for auditor in [*peers, *ours]:
            numbers = audit(auditor, options, rates, throttle)
            found = numbers.pop("found")
            reference = references.setdefault(auditor.name, found)
            results[scenario][f"{auditor.name}, {auditor.pace}".rstrip(", ")] = numbers | compare(reference, found)
        if options.format == "text":
            show(scenario, results[scenario])
    if options.format == "json":
        print(json.dumps({"about": about, "scenarios": results}, indent=2))


if __name__ == "__main__":
    main()
