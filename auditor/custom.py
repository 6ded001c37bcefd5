"""Reports from a user's own Jinja template (``--template``), in a sandbox.

The template is the user's; the values that it prints are the audited account's. Texts come with control and invisible
characters as escapes, HTML and XML are escaped by the template's name, and for Markdown and CSV there are filters.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from auditor.config import suggest
from auditor.errors import UsageError
from auditor.formats import csv, markdown
from auditor.render import FORMATS, plural, shown, shown_lines
from auditor.report import Report, document

SUFFIX = ".j2"

#: What a template may name, besides what Jinja has.
VARIABLES = ("report", "rules", "resources")

HINT = "docs/templates.md says what a template can use."


@dataclass(frozen=True)
class Template:
    """A user's template.

    Attributes:
        path: Where it is.
        compiled: The same, compiled.
    """

    path: Path
    compiled: jinja2.Template

    @property
    def file_name(self) -> str:
        """Name of the file that it makes: the template's without ``.j2``."""
        return self.path.name.removesuffix(SUFFIX)

    def render(self, report: Report) -> str:
        """Return the report as the template writes it.

        Raises:
            UsageError: the template cannot be rendered; the message has its line.
        """
        values = document(report)
        # The rules' descriptions and remediations are ours, in several lines; all else is the audited account's.
        values = {name: _shown(held, shown_lines if name == "rules" else shown) for name, held in values.items()}
        try:
            return self.compiled.render(
                report=values,
                rules={one["id"]: one for one in values["rules"]},
                resources={one["id"]: one for one in values["resources"]},
            )
        # The template is the user's program: whatever it does wrong is told as its error, not as ours.
        except Exception as error:
            raise UsageError(f"{self._place(error)}: {type(error).__name__}: {shown(error)}", HINT) from error

    def _place(self, error: Exception) -> str:
        """Return the file and line of the template (or of one that it includes) where an error arose."""
        folder = str(self.path.parent)
        frames = [one for one in traceback.extract_tb(error.__traceback__) if one.filename.startswith(folder)]
        frames = [one for one in frames if one.filename.endswith(SUFFIX)]
        return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else str(self.path)


def load(path: Path, formats: Iterable[str] = ()) -> Template:
    """Read and compile a template.

    Args:
        path: A file whose name ends in ``.j2``; it may include others of its folder.
        formats: The formats that are written beside it.

    Raises:
        UsageError: it cannot be read, is not Jinja, names what there is not, or writes over another report.
    """
    if not path.name.endswith(SUFFIX) or path.name == SUFFIX:
        raise UsageError(
            f"{path}: the name of a template ends in {SUFFIX}.",
            f"What stands before it names the report: summary.md{SUFFIX} writes summary.md.",
        )
    made = path.name.removesuffix(SUFFIX)
    for name in formats:
        if FORMATS[name][0] == made:
            raise UsageError(
                f"{path}: writes {made}, and so does --format {name}.", "Rename the template, or leave the format out."
            )
    environment = _environment(path.parent)
    try:
        text = path.read_text(encoding="utf-8")
        compiled = environment.get_template(path.name)
        _names_exist(environment, path, text)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}.", "Name a template's file with --template.") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not text in UTF-8 (byte {error.start}).", HINT) from None
    except jinja2.TemplateSyntaxError as error:
        raise UsageError(f"{error.filename or path}:{error.lineno}: {shown(error.message)}", HINT) from None
    return Template(path, compiled)


def _names_exist(environment: jinja2.Environment, path: Path, text: str) -> None:
    """See that every variable is there, before an audit of an hour ends with a slip of the pen.

    Raises:
        UsageError: one is not.
    """
    tree = environment.parse(text)
    unknown = meta.find_undeclared_variables(tree) - set(VARIABLES) - set(environment.globals)
    for one in tree.find_all(nodes.Name):
        if one.name in unknown:
            raise UsageError(
                f"{path}:{one.lineno}: there is no variable {one.name}.{suggest(one.name, VARIABLES)}",
                f"There are {', '.join(VARIABLES)}. {HINT}",
            )


def _environment(folder: Path) -> jinja2.Environment:
    made = ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=jinja2.select_autoescape(
            [f"{one}{SUFFIX}" for one in ("html", "htm", "xhtml", "xml", "svg")], default_for_string=False
        ),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"plural": plural, "markdown": markdown.inline, "code": markdown.code, "csv_cell": _csv_cell}
    return made


def _csv_cell(value: object) -> str:
    """Return a value as a quoted cell of a CSV file that no spreadsheet takes for a formula."""
    text = csv.cell(value).replace('"', '""')
    return f'"{text}"'


def _shown(value: Any, show: Callable[[str], str]) -> Any:
    """Return JSON values with every text, names of members as well, as ``show`` writes it."""
    if isinstance(value, str):
        return show(value)
    if isinstance(value, Mapping):
        return {show(key): _shown(held, show) for key, held in value.items()}
    if isinstance(value, list):
        return [_shown(held, show) for held in value]
    return value
