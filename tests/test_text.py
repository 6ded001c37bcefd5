"""Text of others on a terminal: shown, never obeyed."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.text import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("orders-2 äöü 表", "orders-2 äöü 表"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\nb\r\tc\x00", r"a\x0ab\x0d\x09c\x00"),
        ("\x9b2J", r"\x9b2J"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("a\u200bb\u2028c\ufeff", r"a\u200bb\u2028c\ufeff"),
        ("\U000e0041", r"\ue0041"),
        ("\ud800", r"\ud800"),
        ("::error::x", " ::error::x"),
        ("  ::error::x", "   ::error::x"),
        ("##[error]x", " ##[error]x"),
        ("##vso[task]x", " ##vso[task]x"),
        ("a::b", "a::b"),
        ("\n::error::x", r"\x0a::error::x"),
        (17, "17"),
    ],
)
def test_what_could_act_is_an_escape(text: object, shown: str) -> None:
    assert plain(text) == shown


@given(st.text())
def test_nothing_that_is_left_moves_the_cursor_or_starts_a_command(text: str) -> None:
    shown = plain(text)
    assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    assert not shown.startswith(("::", "##[", "##vso"))
    assert plain(shown).lstrip() == shown.lstrip()
