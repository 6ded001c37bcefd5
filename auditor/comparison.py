"""Two reports compared: what is new, what is fixed, what is as it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from auditor.report import Finding, Previous
from auditor.rule_api import Severity


@dataclass(frozen=True, slots=True)
class PreviousReport:
    """An earlier report.json."""

    def mark(self, findings: Sequence[Finding], fail_on: Severity | None) -> tuple[tuple[Finding, ...], Previous]:
        """Return the findings with their state, and what was compared with."""
        raise NotImplementedError


def read(path: Path) -> PreviousReport:
    """Read an earlier report.json."""
    raise NotImplementedError
