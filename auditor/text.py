"""Text from audited accounts, on a terminal, in a log or in a report: nothing in it may act."""

from __future__ import annotations

import unicodedata


def plain(text: object) -> str:
    """Return a text with control, format and line characters shown as escapes.

    ANSI sequences, right-to-left overrides and line breaks lose their effect; a ``::`` at the start, which
    GitHub Actions takes for a command, is kept from the line's start.
    """
    shown = "".join(
        char if unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") else _escape(char)
        for char in str(text)
    )
    return f" {shown}" if shown.lstrip().startswith(("::", "##[", "##vso")) else shown


def _escape(char: str) -> str:
    return f"\\x{ord(char):02x}" if ord(char) < 256 else f"\\u{ord(char):04x}"
