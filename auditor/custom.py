"""Reports from a user's own Jinja template (``--template``), in a sandbox."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from auditor.report import Report


@dataclass(frozen=True)
class Template:
    """A user's template.

    Attributes:
        file_name: Name of the file that it makes: the template's without ``.j2``.
    """

    file_name: str

    def render(self, report: Report) -> str:
        """Return the report as the template writes it."""
        raise NotImplementedError


def load(path: Path) -> Template:
    """Read and compile a template."""
    raise NotImplementedError
