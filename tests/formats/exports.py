"""What the tests of SARIF, OCSF and ASFF share: golden files, published schemas, the example organisation's report."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from auditor import engine, packs
from auditor.report import Acceptance, Report, RunInfo
from auditor.rule_api import Severity, Status
from tests import example, reports

GOLDEN = Path(__file__).parent / "golden"

#: Published schemas; they stand beside a checkout, and are no part of it.
SCHEMAS = Path(__file__).parents[3] / "shared" / "schemas"


def compare_with_golden(name: str, text: str) -> None:
    """Compare with a golden file; ``UPDATE_GOLDEN=1`` writes it first."""
    if os.environ.get("UPDATE_GOLDEN"):
        (GOLDEN / name).write_text(text, encoding="utf-8")
    assert text == (GOLDEN / name).read_text(encoding="utf-8"), f"{name} has changed: run with UPDATE_GOLDEN=1, look"


def published_schema(name: str) -> Any:
    """Return a published schema, or skip the test."""
    file = SCHEMAS / name
    if not file.is_file():
        pytest.skip(f"{name} is not there: the published schemas stand in ../shared/schemas, outside of the project")
    return json.loads(file.read_text(encoding="utf-8"))


@functools.cache
def demo() -> Report:
    """Return the report on the example organisation."""
    inventory = example.inventory()
    run = RunInfo("0f" * 16, reports.STARTED, reports.FINISHED, "demo", inventory.caller)
    return engine.audit(inventory, packs.built_in(), example.settings(), run, version="1.2.3")


@functools.cache
def many(number: int) -> Report:
    """Return a report with so many failures."""
    return reports.many(number)


def long() -> Report:
    """Return a report with texts, evidence and tags far above any limit, and letters of several code units."""
    words = "Grüße, 世界 \N{GRINNING FACE}e\N{COMBINING ACUTE ACCENT} " * 300
    evidence = {f"{place} {words[:200]}": [words, {"deep": words}] for place in range(120)}
    return reports.made(
        [
            reports.finding(
                status=status, message=words, evidence=evidence, sub_key=f"{status}", **reasons(status, words)
            )
            for status in Status
        ]
        + [reports.finding(severity=one, message="", evidence={"": "", "blank": " \t"}, sub_key=one.name)
           for one in Severity]
        + [reports.finding(
            sub_key="accepted",
            message=words,
            acceptance=Acceptance(words, words, date(2026, 6, 30), words),
        )],
        tags={reports.ORDERS: {f"{place}{words[:120]}": words[:250] for place in range(50)} | {"empty": ""}},
    )  # fmt: skip


def reasons(status: Status, text: str) -> dict[str, Any]:
    return {"reason": "access_denied", "missing_permission": text} if status is Status.UNKNOWN else {}


def texts(value: Any) -> Iterator[str]:
    """Return every text and key in JSON values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield key
            yield from texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts(one)


def check_safe(text: str) -> None:
    """Check a file's characters: printable ASCII in lines, and nothing invisible once it is read either."""
    assert set(text) - {chr(code) for code in range(0x20, 0x7F)} <= {"\n"}
    assert text.endswith(("]\n", "}\n"))
    for one in texts(json.loads(text)):
        for char in one:
            assert char == "\n" or ord(char) >= 0x20, one
            assert char not in "\x7f\x85\u2028\u2029\u202e\u2066\u200b\u200d\ufeff", one


def shown(text: str) -> str:
    """Return the start of the hostile text as it may be shown."""
    assert text.startswith("</script><img")
    return text[: text.index("\u2028")]


NOON = datetime(2026, 1, 31, 12, 0, 7, tzinfo=UTC)
assert reports.FINISHED == NOON  # golden values below rest on it
