"""Reports and rule pages from the Jinja templates in ``reports/``.

What comes from an audited account is hostile. Jinja escapes everything; on top of that the filter ``shown``
writes control, bidirectional and other invisible characters as escapes, so that nobody is deceived by them.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.resources import files
from typing import Annotated, Any, Literal, Union

import jinja2
import msgspec
from markupsafe import Markup, escape

from auditor import permissions, report_data
from auditor.formats import asff, csv, junit, markdown, ocsf, sarif
from auditor.packs import bundled
from auditor.report import Report, document, json_value, utc
from auditor.report_view import View
from auditor.rule_api import Rule
from auditor.text import plain
from auditor.wording import PRACTICES, SIDES


def json_report(report: Report) -> str:
    """Return report.json: ASCII only, with a line for every rule, resource, finding and error."""
    return "".join(json_pieces(report))


def json_pieces(report: Report) -> Iterator[str]:
    """Yield report.json piece by piece: with a million findings the whole would take more memory than all else."""
    pieces = _environment().get_template("report.json.j2").stream(document=document(report, lazily=True))
    pieces.enable_buffering(2000)
    yield from pieces


def html_report(report: Report) -> str:
    """Return report.html: one file that asks for nothing and runs nothing but its own script.

    Its Content Security Policy names the style sheet and the script by their hashes.
    """
    style, script = ((bundled("reports") / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    view = View(report)
    page = _environment().get_template("report.html.j2")
    return page.render(
        view=view,
        style=Markup(style),  # noqa: S704 - our own file
        style_hash=_sha256(style),
        script=Markup(script),  # noqa: S704 - our own file
        script_hash=_sha256(script),
        data=report_data.packed(view.data),
    )


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def rule_page(rule: Rule) -> str:
    """Return a rule's page in Markdown: what, why, settings, remediation, permissions, references."""
    settings = [
        {
            "name": one.name,
            "type": type_name(one.type),
            "default": json.dumps(msgspec.to_builtins(one.default)),
            "help": one.help,
        }
        for one in rule.settings
    ]
    page = _environment().get_template("rule.md.j2")
    return page.render(
        rule=rule,
        side=SIDES[rule.side][0],
        practices=PRACTICES,
        settings=settings,
        calls=permissions.operations([rule]),
    )


def report_schema() -> dict[str, Any]:
    """Return the JSON Schema of report.json."""
    schema: dict[str, Any] = json.loads((files("auditor") / "schemas" / "report-1.0.json").read_text(encoding="utf-8"))
    return schema


#: Format -> (file name, renderer).
FORMATS: Mapping[str, tuple[str, Callable[[Report], str]]] = {
    "html": ("report.html", html_report),
    "json": ("report.json", json_report),
    "csv": ("findings.csv", csv.render),
    "markdown": ("report.md", markdown.render),
    "junit": ("junit.xml", junit.render),
    "sarif": ("report.sarif", sarif.render),
    "ocsf": ("report.ocsf.json", ocsf.render),
    "asff": ("findings.asff.json", asff.render),
}


@functools.cache
def _environment() -> jinja2.Environment:
    """Return the Jinja environment: everything is escaped, and a name that does not exist is an error."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(bundled("reports")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {
        "shown": shown,
        "shown_lines": shown_lines,
        "shown_value": shown_value,
        "as_json": as_json,
        "prose": prose,
        "plural": plural,
        "in_cell": lambda text: " ".join(text.split()).replace("|", r"\|"),
        "utc": utc,
        "spelled": lambda moment: f"{moment:%Y-%m-%d %H:%M:%S} UTC",
    }
    made.tests["https"] = lambda address: re.match(r"https://[^\s]+\Z", address) is not None
    return made


def shown(text: object) -> str:
    """Return a text on one line, with invisible and control characters as escapes."""
    line = str(text)
    # Everything that `plain` escapes counts as unprintable; most texts have nothing of it.
    return line if line.isprintable() else plain(line)


def shown_lines(text: str) -> str:
    """Return a text of our own that may have several lines, each as ``shown`` does it."""
    return "\n".join(shown(line) for line in text.split("\n"))


def shown_value(value: object) -> str:
    """Return a value of the evidence: a text as it is, all else as JSON, over several lines where it is long."""
    value = json_value(value)
    if isinstance(value, str):
        return shown(value)
    line = json.dumps(value, ensure_ascii=False)
    if len(line) > 72 and isinstance(value, dict | list):
        line = json.dumps(value, ensure_ascii=False, indent=2)
    return shown_lines(line)


def as_json(value: object) -> Markup:
    """Return a value as JSON on one line, in ASCII: what is invisible is escaped."""
    text = json.dumps(json_value(value), ensure_ascii=True, allow_nan=False)
    return Markup(text.replace("\x7f", "\\u007f"))  # noqa: S704 - JSON has its own escapes


def prose(text: str) -> Markup:
    """Return a rule's description as paragraphs, with what stands between backquotes as code."""
    return Markup("\n").join(
        Markup("<p>{}</p>").format(
            Markup("").join(
                Markup("<code>{}</code>").format(piece) if odd else escape(piece)
                for odd, piece in zip((False, True) * len(paragraph), paragraph.split("`"), strict=False)
            )
        )
        for paragraph in (shown(" ".join(lines.split())) for lines in re.split(r"\n\s*\n", text))
        if paragraph
    )


def plural(number: int, noun: str, nouns: str | None = None) -> str:
    """Return a number with its noun: ``1 finding``, ``12,400 findings``."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def type_name(hint: Any) -> str:
    """Return a setting's type in words: ``number``, ``production or all``, ``list of text``."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return type_name(arguments[0])
    if origin is Literal:
        *first, last = (str(one) for one in arguments)
        return f"{', '.join(first)} or {last}" if first else last
    if origin in (Union, types.UnionType):
        return " or ".join(type_name(one) for one in arguments)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"map from {type_name(arguments[0])} to {type_name(arguments[1])}"
    if isinstance(origin, type) and issubclass(origin, Iterable):
        return f"list of {type_name(arguments[0])}"
    return _SIMPLE.get(hint, str(getattr(hint, "__name__", hint)))


_SIMPLE = {bool: "true or false", int: "whole number", float: "number", str: "text", type(None): "null"}
