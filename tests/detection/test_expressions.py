"""Regular expressions and wildcards, against the library's own on texts where both are safe."""

import contextlib
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.detection import Unparsable
from auditor.detection.expressions import Expression
from auditor.detection.wildcards import fits

PARTS = st.sampled_from(
    ["a", "b", ".", "[ab]", "[^a]", "[a-c]", r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", r"\x61", r"\.", "-", "1", " "]
)
TIMES = st.sampled_from(["", "", "", "?", "*", "+", "{2}", "{1,}", "{0,2}"])
BRANCHES = st.lists(st.lists(st.tuples(PARTS, TIMES), min_size=1, max_size=4), min_size=1, max_size=3)


@settings(max_examples=500)
@given(BRANCHES, st.booleans(), st.booleans(), st.text(alphabet="abc1-. _", max_size=8))
def test_like_the_library(branches: list[list[tuple[str, str]]], begin: bool, end: bool, text: str) -> None:
    pattern = "|".join(
        ("^" if begin else "") + "".join(part + times for part, times in branch) + ("$" if end else "")
        for branch in branches
    )
    assert Expression(pattern).search(text) is (re.search(pattern, text, re.ASCII) is not None)


@settings(max_examples=300)
@given(
    st.recursive(
        PARTS,
        lambda below: (
            st.builds(
                lambda parts, times: f"({'|'.join(parts)}){times}", st.lists(below, min_size=1, max_size=3), TIMES
            )
            | st.builds(lambda first, second: first + second, below, below)
        ),
        max_leaves=5,
    ),
    st.text(alphabet="abc1-. _", max_size=6),
)
def test_groups_like_the_library(pattern: str, text: str) -> None:
    with contextlib.suppress(Unparsable):
        assert Expression(pattern, groups=True).search(text) is (re.search(pattern, text, re.ASCII) is not None)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("Delete", "xDeletey", True),
        ("^Delete", "xDelete", False),
        ("Delete$", "Deletes", False),
        ("^$", "", True),
        ("a$|^b", "bx", True),
        ("4[0-9]{2}", "x404", True),
        ("4[0-9]{2}", "x40", False),
        (r"\x41", "A", True),
        ("[a-]", "-", True),
        (r"[\d_]", "_", True),
        (r"[^\d]", "5", False),
        ("Access(Denied)?", "Access", "groups"),
        ("(?i)delete", "DELETE", "groups"),
        ("(?i)[a-f]", "C", "groups"),
        ("(?:Delete|Stop)[A-Z]", "StopLogging", "groups"),
        ("(?<name>Delete)", "DeleteTable", "groups"),
    ],
)
def test_expressions(pattern: str, text: str, expected: bool | str) -> None:
    if expected == "groups":
        assert Expression(pattern, groups=True).search(text) is True
        with pytest.raises(Unparsable):
            Expression(pattern)
    else:
        assert Expression(pattern).search(text) is expected
        assert Expression(pattern, groups=True).search(text) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "*",
        "a**",
        "a*?",
        "a+?",
        "a{2}{3}",
        "a{3,2}",
        "a{,3}",
        "^*",
        "[",
        "[]",
        "[^]",
        "[a",
        "[b-a]",
        "[[a]]",
        "[a&&b]",
        r"\b",
        r"\1",
        r"\p{L}",
        "\\",
        r"\x4",
        "(?=a)",
        "(?!a)",
        "(?<=a)",
        "(?P=a)",
        "(?s)a",
        "(a",
        "a)",
        "a" * 5000,
        "a{9999}",
        "(" * 30 + "a" + ")" * 30,
        "((a{30}){30}){30}",
    ],
)
def test_what_is_refused(pattern: str) -> None:
    with pytest.raises(Unparsable):
        Expression(pattern, groups=True)


@pytest.mark.parametrize("pattern", ["é", "a!b", "a~", '"', "a&b", "(a)"])
def test_signs_that_filters_do_not_have(pattern: str) -> None:
    with pytest.raises(Unparsable):
        Expression(pattern)


@pytest.mark.parametrize(
    "pattern", ["(a*)*b", "(a|a)*b", "(a+)+b", "a*" * 60 + "b", "a?" * 100 + "a{100}b", "(.*)*x.*y"]
)
def test_no_expression_takes_long(pattern: str) -> None:
    started = time.process_time()
    assert Expression(pattern, groups=True).search("a" * 3000) is False
    assert time.process_time() - started < 2


@settings(max_examples=500)
@given(st.text(alphabet="ab*", max_size=8), st.text(alphabet="ab", max_size=10))
def test_wildcards_like_the_library(pattern: str, text: str) -> None:
    expected = re.fullmatch(pattern.replace("*", ".*"), text) is not None if "**" not in pattern else None
    if expected is not None:
        assert fits(pattern.split("*"), text) is expected
