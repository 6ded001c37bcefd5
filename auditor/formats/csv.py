r"""CSV: a row for every finding, for spreadsheets and data bases.

RFC 4180: comma, CRLF, UTF-8 without a byte order mark, one line a row. The columns never change their order; new ones
come at the end. What was found and has no finding has no row.

- Texts stand on one line, with control, format and other invisible characters as escapes.
- ``evidence`` is JSON. ``controls`` is ``framework:id;id|framework:id``. ``tags`` is ``key=value;key=value``, with
  ``\``, ``=`` and ``;`` of keys and values behind a backslash.
- ``accepted_until`` and what follows from the acceptance file stay when the acceptance has expired; ``accepted`` is
  ``false`` then, and ``acceptance_expired`` ``true``.
- Spreadsheets take a cell that starts with ``=``, ``+``, ``-`` or ``@`` for a formula (OWASP, "CSV Injection"); Excel
  in East Asian languages also the full-width forms. Such a cell has an apostrophe before it. Where the list separator
  is a semicolon, Excel splits the file at semicolons, even those within quotes: what would start a formula behind one
  has an apostrophe too (in ``evidence`` the semicolon is written ``\u003b``, so that the JSON says the same).
- A cell holds at most 32,767 UTF-16 code units: Excel spreads what is longer over other rows, and Python's reader stops
  at 131,072. Texts are cut, with ``… (cut)`` at their end; of the evidence the last entries are left out, and counted
  in ``ddbaudit/leftOut``.
"""

from __future__ import annotations

import csv
import io
import logging
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from auditor.formats.bounds import CUT, clean, cut, dumps, line
from auditor.report import SCHEMA_VERSION, Finding, Report, utc
from auditor.resources import account_of, region_of
from auditor.rule_api import Rule

COLUMNS = (
    "schema_version", "run_id", "observed_at", "account_id", "account_name", "region", "service", "resource_type",
    "resource_id", "resource_name", "rule_id", "rule_title", "severity", "status", "state", "accepted",
    "accepted_until", "acceptance_reason", "message", "evidence", "remediation", "controls", "tags", "finding_id",
    "tool_version", "sub_key", "reason", "missing_permission", "accepted_by", "acceptance_ticket",
    "acceptance_expired",
)  # fmt: skip

#: UTF-16 code units of a cell in Excel.
MOST = 32_767

_LEFT_OUT = "ddbaudit/leftOut"

#: What starts a formula: at a cell's start, or where Excel would make a cell of its own.
_FORMULA = re.compile(
    r"(?:^|;)(?=[\s\"]*[=+\-@\u2212{}])".format(
        "".join(chr(code) for code in range(0x80, 0x10000) if unicodedata.normalize("NFKC", chr(code))[:1] in "=+-@")
    )
)

_log = logging.getLogger(__name__)


def render(report: Report) -> str:
    """Return findings.csv. A warning in the log says in how many findings something was cut or left out."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    rules = {rule.id: _cells(_of_rule(rule)) for rule in report.rules}
    names = {scope.account.id: scope.name for scope in report.scopes}
    run = {
        "schema_version": SCHEMA_VERSION,
        "run_id": report.run.id,
        "observed_at": utc(report.run.finished),
        "tool_version": report.version,
    }
    shared = _cells(run)
    shortened = 0
    for finding in sorted(report.findings, key=lambda one: one.sort_key):
        tags = sorted(report.tags.get(finding.resource, {}).items())
        own = _of_finding(finding, names) | {"tags": ";".join(f"{_part(key)}={_part(value)}" for key, value in tags)}
        cells = shared | rules[finding.rule] | _cells(own)
        cells["evidence"], whole = _json(finding.evidence)
        shortened += not whole or any(value.endswith(CUT) for value in cells.values())
        writer.writerow([cells[column] for column in COLUMNS])
    if shortened:
        _log.warning(
            "findings.csv: in %s of %s findings texts or evidence are cut, since a cell of a spreadsheet holds %s "
            "characters; the JSON report has all.",
            f"{shortened:,}",
            f"{len(report.findings):,}",
            f"{MOST:,}",
        )
    return text.getvalue()


def cell(value: object) -> str:
    """Return a text as a spreadsheet shows it and nothing else: on one line, no formula, not longer than a cell."""
    text = cut(line(value), MOST)
    guarded = _FORMULA.sub(lambda match: f"{match[0]}'", text)
    return guarded if len(guarded) == len(text) else cut(guarded, MOST)


def _cells(values: Mapping[str, str]) -> dict[str, str]:
    return {column: cell(value) for column, value in values.items()}


def _of_rule(rule: Rule) -> dict[str, str]:
    return {
        "rule_id": rule.id,
        "rule_title": rule.title,
        "remediation": " ".join(rule.remediation.text.split()),
        "controls": "|".join(f"{framework}:{';'.join(ids)}" for framework, ids in rule.controls.items()),
    }


def _of_finding(finding: Finding, names: Mapping[str, str]) -> dict[str, str]:
    resource, acceptance = finding.resource, finding.acceptance
    account, region = account_of(resource).id, region_of(resource)
    return {
        "account_id": account,
        "account_name": names.get(account, ""),
        "region": region.name if region is not None else "",
        "service": resource.arn.split(":", 3)[2],
        "resource_type": resource.cfn_type,
        "resource_id": resource.arn,
        "resource_name": resource.label,
        "severity": finding.severity.label,
        "status": finding.status.value,
        "state": finding.state or "",
        "accepted": _flag(finding.accepted),
        "accepted_until": acceptance.until.isoformat() if acceptance is not None else "",
        "acceptance_reason": acceptance.reason if acceptance is not None else "",
        "message": finding.message,
        "finding_id": finding.id,
        "sub_key": finding.sub_key or "",
        "reason": finding.reason or "",
        "missing_permission": finding.missing_permission or "",
        "accepted_by": acceptance.by if acceptance is not None else "",
        "acceptance_ticket": (acceptance.ticket or "") if acceptance is not None else "",
        "acceptance_expired": _flag(acceptance.expired) if acceptance is not None else "",
    }


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _part(text: str) -> str:
    """Return a tag's key or value, told from what joins them."""
    return re.sub(r"([\\=;])", r"\\\1", line(text))


def _json(evidence: Mapping[str, Any]) -> tuple[str, bool]:
    """Return evidence as JSON within a cell, and whether it is all there."""
    entries = [f"{dumps(key)}: {dumps(value)}" for key, value in clean(evidence).items()]
    # JSON itself has no semicolon: all of them stand in texts, where the escape means the same.
    entries = [_FORMULA.sub(lambda match: r"\u003b" if match[0] else "", one) for one in entries]
    text = f"{{{', '.join(entries)}}}"
    if len(text) <= MOST:
        return text, True
    room, kept = MOST - len(_LEFT_OUT) - 20, 0
    for one in entries:
        room -= len(one) + len(", ")
        if room < 0:
            break
        kept += 1
    return f"{{{', '.join([*entries[:kept], f'{dumps(_LEFT_OUT)}: {len(entries) - kept}'])}}}", False
