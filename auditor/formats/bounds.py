"""Texts and values in files that other tools read: nothing invisible in them, none longer than the format allows."""

from __future__ import annotations

import io
import json
import unicodedata
from collections.abc import Iterable
from typing import Any

from auditor.report import json_value
from auditor.text import plain

#: What stands at the end of a text that was cut.
CUT = "… (cut)"

_ENCODER = json.JSONEncoder(ensure_ascii=True, allow_nan=False)


def line(text: object) -> str:
    """Return a text on one line, with control, format and other invisible characters as escapes."""
    shown = str(text)
    # Everything that `plain` escapes counts as unprintable; most texts have nothing of it.
    return shown if shown.isprintable() else plain(shown)


def clean(value: object) -> Any:
    """Return a value of the evidence as JSON can hold it, every text and key in it as :func:`line` returns it."""
    return _clean(json_value(value))


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return line(value)
    if isinstance(value, dict):
        return {line(key): _clean(one) for key, one in value.items()}
    return [_clean(one) for one in value] if isinstance(value, list) else value


def length(text: str) -> int:
    """Return a text's length in UTF-16 code units: what readers in Java and JavaScript count, and never fewer."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut(text: str, limit: int) -> str:
    """Return a text of at most ``limit`` UTF-16 code units; one that is longer ends with :data:`CUT`.

    No character is torn apart, nor are combining marks from the letter before them.
    """
    if length(text) <= limit:
        return text
    units = text.encode("utf-16-le", "surrogatepass")[: 2 * (limit - len(CUT))]
    kept = units.decode("utf-16-le", "ignore")
    end = len(kept)
    while end and unicodedata.combining(text[end]):
        end -= 1
    return kept[:end].rstrip() + CUT


def dumps(value: object) -> str:
    """Return JSON on one line, in printable ASCII."""
    return _ENCODER.encode(value).replace("\x7f", "\\u007f")


def array(entries: Iterable[str]) -> str:
    """Return a JSON array of entries that are JSON already, with a line for each."""
    # A hundred thousand findings are 300 MB: a list of them besides the text would double that.
    text = io.StringIO()
    before = "[\n"
    for entry in entries:
        text.write(before)
        text.write(entry)
        before = ",\n"
    text.write("[]\n" if before == "[\n" else "\n]\n")
    return text.getvalue()


def spread(value: object, depth: int, indent: str = "") -> str:
    """Return JSON in printable ASCII, with a line for every entry of the outermost ``depth`` levels.

    The encoder of the standard library is slow when it indents, and gives every number a line of its own.
    """
    if not depth or not value or not isinstance(value, dict | list):
        return dumps(value)
    inner = f"{indent} "
    if isinstance(value, dict):
        entries = [f"{dumps(key)}: {spread(one, depth - 1, inner)}" for key, one in value.items()]
        opened, closed = "{}"
    else:
        entries = [spread(one, depth - 1, inner) for one in value]
        opened, closed = "[]"
    return f"{opened}\n{inner}" + f",\n{inner}".join(entries) + f"\n{indent}{closed}"
