"""The reports of many findings: time, size and memory of every format, and how report.html feels in a browser.

    python benchmarks/report.py [FINDINGS ...]

Default: 10,000 and 100,000 findings, made up, the same each time: ten rules a table, four in ten fail, messages and
evidence that differ. Every format is rendered in a process of its own. Where /usr/bin/chromium is there, report.html is
opened and searched in it, beside a page without script that has the same failures as rows of one table, which is what
most tools write.
"""

from __future__ import annotations

import html
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
CHROMIUM = Path("/usr/bin/chromium")
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]

RULES = (
    *("table-deletion-protection", "table-pitr", "table-required-tags", "table-encryption-key", "table-backup-recent"),
    *("table-capacity-scaling", "iam-destructive-actions", "trail-data-events", "data-sensitive-storage", "iam-fgac"),
)


def report(number: int) -> Any:
    """Return a report with so many findings."""
    from auditor.resources import Region, Table
    from auditor.rule_api import Severity, Status
    from tests import reports

    chance = random.Random(number)  # noqa: S311 - nothing secret
    regions = [Region(reports.SHOP, name) for name in ("eu-west-1", "eu-central-1", "us-west-2")]
    findings = []
    for place in range(number):
        table = Table(regions[place % 3], f"{chance.choice(('orders', 'carts', 'events'))}-{place // len(RULES):06}")
        key = f"arn:aws:kms:{table.region.name}:{reports.SHOP.id}:key/{chance.getrandbits(64):016x}"
        findings.append(
            reports.finding(
                RULES[place % len(RULES)],
                table,
                chance.choices((Status.FAIL, Status.PASS, Status.NOT_APPLICABLE), (4, 5, 1))[0],
                Severity(chance.randrange(1, 5)),
                f"This is not as it should be for {chance.choice(('all', 'some', 'most'))} of {place % 97} principals.",
                evidence={
                    "SSEType": chance.choice(("KMS", None)),
                    "KMSMasterKeyArn": key,
                    "ItemCount": chance.randrange(10**6),
                    "principals": [f"role/app-{chance.randrange(300)}" for _ in range(3)],
                },
            )
        )
    return reports.made(findings)


def render(name: str, number: int, folder: Path) -> None:
    """Render one format, and print what it took as JSON."""
    from auditor.render import FORMATS

    made = report(number)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    data = FORMATS[name][1](made).encode()
    wall = time.perf_counter() - started
    (folder / FORMATS[name][0]).write_bytes(data)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": wall, "bytes": len(data), "peak": peak // 1024, "report": before // 1024}))


def rows(number: int) -> str:
    """Return a page that has every failure as a row."""
    lines = [
        f"<tr><td>{one.severity.label}</td><td>{one.rule}</td><td>{html.escape(one.resource.arn)}</td>"
        f"<td>{html.escape(one.message)}</td>"
        f"<td><pre>{html.escape(json.dumps(dict(one.evidence), indent=1))}</pre></td></tr>"
        for one in report(number).findings
        if one.status.value == "fail"
    ]
    return f"<!DOCTYPE html><meta charset=utf-8><title>rows</title><table>{''.join(lines)}</table>"


#: Each resolves to the milliseconds from a search to the page that shows it, laid out.
SEARCH = """
() => new Promise((done) => {
  const count = document.querySelector("#count"), query = document.querySelector("#q");
  const started = performance.now();
  new MutationObserver((_, observer) => {
    observer.disconnect();
    document.body.offsetHeight;
    done(performance.now() - started);
  }).observe(count, {childList: true, characterData: true, subtree: true});
  query.value = "orders-000042";
  query.dispatchEvent(new Event("input", {bubbles: true}));
})
"""
SEARCH_ROWS = """
() => {
  const started = performance.now();
  for (const row of document.querySelectorAll("tr")) row.hidden = !row.textContent.includes("orders-000042");
  document.body.offsetHeight;
  return performance.now() - started;
}
"""


def browse(folder: Path, number: int) -> dict[str, dict[str, float]]:
    """Open report.html and the page of rows; return milliseconds: the median of five."""
    from playwright.sync_api import sync_playwright

    (folder / "rows.html").write_text(rows(number), encoding="utf-8")
    found = {}
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        for name, script in (("report.html", SEARCH), ("rows.html", SEARCH_ROWS)):
            opened, searched = [], []
            for _ in range(5):
                page = chromium.new_page()
                started = time.perf_counter()
                page.goto((folder / name).as_uri(), wait_until="load", timeout=600_000)
                if name == "report.html":
                    page.wait_for_selector("html[data-ready]")
                page.evaluate("document.body.offsetHeight")
                opened.append((time.perf_counter() - started) * 1000)
                searched.append(page.evaluate(script))
                page.close()
            found[name] = {"open": sorted(opened)[2], "search": sorted(searched)[2]}
        chromium.close()
    return found


def main() -> None:
    """Print tables."""
    if sys.argv[1:2] == ["render"]:
        render(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
        return
    from auditor.render import FORMATS

    for number in [int(one) for one in sys.argv[1:]] or [10_000, 100_000]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            print(f"{number:,} findings\n\n| format | time | size | peak memory | of it before |")
            print("| --- | --- | --- | --- | --- |")
            for kind in FORMATS:
                command = [sys.executable, __file__, "render", kind, str(number), name]
                told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)  # noqa: S603
                size = f"{told['bytes'] / 1e6:.1f} MB"
                print(f"| {kind} | {told['seconds']:.2f} s | {size} | {told['peak']} MB | {told['report']} MB |")
            if not CHROMIUM.exists():
                print(f"\nNot opened: no {CHROMIUM}.")
                continue
            print("\n| page | size | open | search |\n| --- | --- | --- | --- |")
            for page, took in browse(folder, number).items():
                size = f"{(folder / page).stat().st_size / 1e6:.1f} MB"
                print(f"| {page} | {size} | {took['open']:.0f} ms | {took['search']:.0f} ms |")
            print()


if __name__ == "__main__":
    main()
