"""What a picture of an inventory lacks, and why, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

from auditor.facts import (
    Gap,
    Reason,
)
from auditor.resources import Account, Region

#: What no rule of a run asked for.
NOT_PART = "not part of this run"


def why(gap: Gap) -> str:
    """Return why something is not known: nobody asked for it, or a permission is missing."""
    if gap.action is None and gap.reason is Reason.PARTIAL_DATA:
        absent = "was not collected" in gap.detail or gap.detail.endswith("is not part of this audit.")
        return NOT_PART if absent else _plainly(gap.detail)
    if gap.reason is Reason.UNDECIDABLE:
        return _plainly(gap.detail)
    return f"could not be read: {gap.action or _plainly(gap.detail)}"


def _plainly(detail: str) -> str:
    return detail.rstrip(".")


class Missing:
    """Gathers what is missing; the same of several places is one sentence."""

    def __init__(self, names: Mapping[str, str]) -> None:
        """Start with nothing.

        Args:
            names: The names of the audited accounts by number.
        """
        self.names = names
        self.held: dict[tuple[str, str], dict[str, None]] = {}

    def add(self, what: str, gap: Gap, *places: str) -> None:
        """Note that something is missing."""
        self.held.setdefault((what, why(gap)), {}).update(dict.fromkeys(places))

    def account(self, account: Account) -> str:
        """Return what an account is called."""
        return self.names.get(account.id) or account.id

    def region(self, region: Region) -> str:
        """Return what a region of an account is called."""
        return f"{self.account(region.account)} {region.name}"

    @property
    def sentences(self) -> tuple[str, ...]:
        """What is missing, in sentences."""
        found = []
        for (what, reason), places in sorted(self.held.items(), key=lambda item: item[0]):
            named = list(places)
            more = f" and {len(named) - 3} more" if len(named) > 3 else ""
            found.append(f"{what} ({', '.join(named[:3])}{more}): {reason}.")
        return tuple(found)
