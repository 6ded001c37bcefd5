"""The acceptance file: findings that somebody accepts, why, who and until when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from auditor.inventory import Scope
from auditor.report import AcceptanceUse, Finding
from auditor.resources import Resource


@dataclass(frozen=True, slots=True)
class AcceptanceFile:
    """An acceptance file."""

    name: str

    def apply(
        self,
        findings: Sequence[Finding],
        tags: Mapping[Resource, Mapping[str, str]],
        today: date,
        *,
        rules: AbstractSet[str],
        scopes: Sequence[Scope],
        whole: bool,
    ) -> tuple[tuple[Finding, ...], tuple[AcceptanceUse, ...]]:
        """Return the findings with what accepts them, and what each entry did."""
        raise NotImplementedError


def load(path: Path, today: date) -> AcceptanceFile:
    """Read an acceptance file."""
    raise NotImplementedError
