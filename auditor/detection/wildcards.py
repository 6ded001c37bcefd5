"""Texts with stars, matched in time proportional to pattern and text: a hostile pattern does not backtrack."""

from __future__ import annotations

from collections.abc import Sequence


def fits(pieces: Sequence[str], text: str) -> bool:
    """Tell whether a whole text consists of the pieces in order, with anything between them.

    Args:
        pieces: The literal texts between the stars: ``a*b`` is ``["a", "b"]`` and ``*`` is ``["", ""]``. One piece
            has no star and is compared as a whole.
        text: The text.

    Returns:
        True if it fits.
    """
    head, tail = pieces[0], pieces[-1]
    if len(pieces) == 1:
        return text == head
    here, end = len(head), len(text) - len(tail)
    if here > end or not text.startswith(head) or not text.endswith(tail):
        return False
    for piece in pieces[1:-1]:
        found = text.find(piece, here, end)
        if found < 0:
            return False
        here = found + len(piece)
    return True
