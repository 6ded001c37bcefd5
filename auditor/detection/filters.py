"""Filter patterns of CloudWatch Logs, on records of CloudTrail.

A JSON pattern ``{ ... }`` tests members of the record; every test that the documentation leaves open (a comparison
with a boolean or an object, ``!=`` on a member that is absent) is undecidable. A pattern of terms searches the text
of the record; it is decided where it does not depend on how CloudTrail orders and spaces that text, nor on where
CloudWatch Logs divides words. Space-delimited patterns ``[...]`` are not evaluated.

Source: Amazon CloudWatch Logs User Guide, "Filter pattern syntax for metric filters, subscription filters, filter
log events, and Live Tail".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from auditor.detection.expressions import Expression
from auditor.detection.logic import Unparsable, Verdict, every, negate, some
from auditor.detection.wildcards import fits

#: A filter pattern has at most 1,024 characters (logs:PutMetricFilter); more is refused with room to spare.
_LONGEST = 4096
_DEEPEST = 40

_Test = Callable[[Mapping[str, Any]], Verdict]


@dataclass(frozen=True, slots=True)
class FilterPattern:
    """A filter pattern that was read.

    Attributes:
        text: The pattern.
    """

    text: str
    _test: _Test

    def matches(self, record: Mapping[str, Any]) -> bool | None:
        """Tell whether a record of CloudTrail, logged as JSON, matches.

        Args:
            record: The record.

        Returns:
            True or False where AWS documents it; None where it does not.
        """
        return self._test(record)


def parse(pattern: str) -> FilterPattern:
    """Read a filter pattern.

    Args:
        pattern: ``filterPattern``; an empty one matches everything.

    Returns:
        The pattern.

    Raises:
        Unparsable: When it is not of the documented grammar or uses a part of it that is not evaluated.
    """
    if len(pattern) > _LONGEST:
        raise Unparsable("it is too long")
    text = pattern.strip()
    if not text:
        return FilterPattern(pattern, lambda record: True)
    if text.startswith("{"):
        return FilterPattern(pattern, _Reader(text).pattern())
    if text.startswith("["):
        raise Unparsable("it is a space-delimited pattern, which CloudTrail's JSON records do not fit")
    return FilterPattern(pattern, _terms(text))


# JSON patterns

_TOKEN = re.compile(
    r"\s*(?:"
    r"(?P<quoted>\"(?:[^\"\\]|\\.)*\")"
    r"|(?P<regex>%(?:[^%\\]|\\.)+%)"
    r"|(?P<sign>&&|\|\||!=|<=|>=|=|<|>|\(|\)|\{|\})"
    r"|(?P<selector>\$(?:\.?\[(?:\s*\"(?:[^\"\\]|\\.)*\"\s*|\d+|\*)\]|\.[A-Za-z0-9_-]+|\.\*)+)"
    r"|(?P<word>[A-Za-z0-9_.:/@*+#-]+)"
    r")",
    re.DOTALL,
)
_STEP = re.compile(
    r"\.?\[\s*(?P<quoted>\"(?:[^\"\\]|\\.)*\")\s*\]|\.?\[(?P<index>\d+|\*)\]|\.(?P<name>[A-Za-z0-9_-]+|\*)"
)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})?")

#: Steps of a selector that stand for every element of an array and every member of an object.
_EACH, _ANY_MEMBER = -1, -2
#: Stands for a member that is not there.
_ABSENT = object()
#: Stands for a member of which it is not documented whether it is there.
_UNCLEAR = object()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


class _Reader:
    """Reads a JSON pattern."""

    def __init__(self, text: str) -> None:
        self.tokens = list(_tokens(text))
        self.here = 0

    def peek(self, *texts: str) -> bool:
        """Tell whether the next token is one of these signs or words."""
        return self.here < len(self.tokens) and self.tokens[self.here].text.upper() in texts

    def take(self, what: str, *kinds: str) -> _Token:
        if self.here >= len(self.tokens) or self.tokens[self.here].kind not in kinds:
            found = f"before {self.tokens[self.here].text!r}" if self.here < len(self.tokens) else "at its end"
            raise Unparsable(f"{what} is missing {found}")
        self.here += 1
        return self.tokens[self.here - 1]

    def sign(self, text: str) -> None:
        if not self.peek(text):
            raise Unparsable(f"{text!r} is missing")
        self.here += 1

    def pattern(self) -> _Test:
        self.sign("{")
        test = self.either(0)
        self.sign("}")
        if self.here < len(self.tokens):
            raise Unparsable("something stands behind its closing brace")
        return test

    def either(self, depth: int) -> _Test:
        """``a && b || c``: the documentation ranks parentheses, then ``&&``, then ``||``."""
        if depth > _DEEPEST:
            raise Unparsable("its parentheses are nested too deeply")
        tests = [self.both(depth)]
        while self.peek("||"):
            self.here += 1
            tests.append(self.both(depth))
        return tests[0] if len(tests) == 1 else lambda record: some(test(record) for test in tests)

    def both(self, depth: int) -> _Test:
        tests = [self.single(depth)]
        while self.peek("&&"):
            self.here += 1
            tests.append(self.single(depth))
        return tests[0] if len(tests) == 1 else lambda record: every(test(record) for test in tests)

    def single(self, depth: int) -> _Test:
        if self.peek("("):
            self.here += 1
            test = self.either(depth + 1)
            self.sign(")")
            return test
        return self.comparison()

    def comparison(self) -> _Test:
        select = _selector(self.take("a selector such as $.eventName", "selector").text)
        if self.peek("NOT"):
            self.here += 1
            self.keyword("EXISTS")
            return lambda record: _agreed({_missing(value) for value in select(record)})
        if self.peek("IS"):
            self.here += 1
            wanted = self.keyword("NULL", "TRUE", "FALSE")
            return _any(select, lambda value: _is(value, wanted), absent=None if wanted == "NULL" else False)
        operator = self.take("an operator", "sign").text
        if operator not in ("=", "!=", "<", "<=", ">", ">="):
            raise Unparsable(f"{operator!r} is no operator")
        value = self.take("a value", "quoted", "regex", "word")
        if operator == "=":
            return _any(select, _equality(value))
        if operator == "!=":
            return _all(select, _equality(value))
        number = _number(value.text) if value.kind == "word" else None
        if number is None:
            raise Unparsable(f"{operator} needs a number")
        return _any(select, lambda found: _ordered(found, operator, number))

    def keyword(self, *words: str) -> str:
        if not self.peek(*words):
            raise Unparsable(f"{' or '.join(words)} is missing")
        self.here += 1
        return self.tokens[self.here - 1].text.upper()


def _tokens(text: str) -> Iterator[_Token]:
    here, end = 0, len(text)
    while here < end:
        found = _TOKEN.match(text, here)
        if not found:
            raise Unparsable(f"{text[here : here + 20].strip()!r} is not of the grammar of filter patterns")
        here = found.end()
        kind = str(found.lastgroup)
        yield _Token(kind, found[kind])


def _selector(text: str) -> Callable[[Mapping[str, Any]], list[Any]]:
    """Read a selector into what finds its values: one, or with wildcards any number."""
    steps: list[str | int] = []
    for found in _STEP.finditer(text, 1):
        if found["quoted"]:
            steps.append(_unquoted(found["quoted"]))
        elif found["index"] and found["index"] != "*":
            steps.append(min(int(found["index"][:9]), 10**6))
        elif found["name"] and found["name"] != "*":
            steps.append(found["name"])
        else:
            steps.append(_EACH if found["index"] else _ANY_MEMBER)

    def select(record: Mapping[str, Any]) -> list[Any]:
        values: list[Any] = [record]
        for step in steps:
            values = [below for value in values for below in _below(value, step)]
        return values or [_ABSENT]

    return select


def _below(value: Any, step: str | int) -> list[Any]:
    """Return what a step of a selector leads to."""
    if value is _ABSENT or value is _UNCLEAR:
        return [value]
    if step == _EACH:
        return list(value) if isinstance(value, list | tuple) else [_ABSENT]
    if step == _ANY_MEMBER:
        return list(value.values()) if isinstance(value, Mapping) else [_ABSENT]
    if isinstance(step, int):
        if isinstance(value, list | tuple):
            return [value[step]] if step < len(value) else [_ABSENT]
        return [_ABSENT]
    if isinstance(value, Mapping):
        return [value[step]] if step in value else [_ABSENT]
    # A name below an array: whether the array's elements are searched is not documented.
    return [_UNCLEAR] if isinstance(value, list | tuple) else [_ABSENT]


def _any(
    select: Callable[[Mapping[str, Any]], list[Any]], test: Callable[[Any], Verdict], *, absent: Verdict = False
) -> _Test:
    """A wildcard in a selector stands for any element; ``absent`` is the result for one that is not there."""

    def decide(record: Mapping[str, Any]) -> Verdict:
        return some(
            None if value is _UNCLEAR else absent if value is _ABSENT else test(value) for value in select(record)
        )

    return decide


def _all(select: Callable[[Mapping[str, Any]], list[Any]], test: Callable[[Any], Verdict]) -> _Test:
    """``!=``: where one element differs and another does not, or there is none or null, the documentation is silent."""

    def decide(record: Mapping[str, Any]) -> Verdict:
        results = {
            None if value is None or value is _UNCLEAR or value is _ABSENT else test(value) for value in select(record)
        }
        return negate(_agreed(results))

    return decide


def _agreed(results: set[Verdict]) -> Verdict:
    """Return what all results are; what they disagree in is undecidable."""
    return results.pop() if len(results) == 1 else None


def _missing(value: Any) -> Verdict:
    return None if value is _UNCLEAR else value is _ABSENT


def _is(value: Any, wanted: str) -> Verdict:
    """``IS NULL``, ``IS TRUE``, ``IS FALSE``: of the texts "null", "true" and "false" nothing is documented."""
    if isinstance(value, str) and value.lower() == wanted.lower():
        return None
    return value is {"NULL": None, "TRUE": True, "FALSE": False}[wanted]


def _equality(token: _Token) -> Callable[[Any], Verdict]:
    """Return the test of ``=``."""
    if token.kind == "regex":
        expression = Expression(token.text[1:-1])
        return lambda value: expression.search(value) if isinstance(value, str) else None
    text = _unquoted(token.text) if token.kind == "quoted" else token.text
    number = _number(text)
    pieces = text.split("*")

    def test(value: Any) -> Verdict:
        if isinstance(value, str):
            return _text_equals(value, pieces, number if token.kind == "word" else None)
        if value is None or isinstance(value, bool):
            # `= false` on false is not documented (IS FALSE is); that it equals some other word nobody would say.
            return None if fits([piece.lower() for piece in pieces], json.dumps(value)) else False
        if isinstance(value, int | float):
            if number is None:
                return None if len(pieces) > 1 else False
            same = _decimal(value) == number
            return same if token.kind == "word" else (None if same else False)
        return None

    return test


def _text_equals(value: str, pieces: list[str], number: Decimal | None) -> Verdict:
    """Compare texts, case and all; a star at the beginning or the end stands for anything."""
    matched = fits(pieces, value)
    if sum(map(bool, pieces)) > 1:
        # Stars inside a text are not documented; a record does not hold the star itself.
        return None if matched else False
    if number is not None:
        # A number against a text of digits: whether it is compared as a number is not documented.
        return None if matched or _number(value) == number else False
    return matched


def _ordered(value: Any, operator: str, number: Decimal) -> Verdict:
    """Compare with a number; of texts of digits nothing is documented."""
    found = _decimal(value)
    if found is None:
        return None
    return {"<": found < number, "<=": found <= number, ">": found > number, ">=": found >= number}[operator]


def _decimal(value: Any) -> Decimal | None:
    """Return the value of a JSON number, None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = Decimal(value if isinstance(value, int) else repr(value))
    except (ValueError, ArithmeticError):
        return None
    return found if found.is_finite() else None


def _number(text: str) -> Decimal | None:
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def _unquoted(text: str) -> str:
    """Return a quoted text without quotes; a backslash hides the sign behind it."""
    if re.search(r"\\[^\"\\]", re.sub(r"\\\\", "", text)):
        raise Unparsable(f"{text} hides a sign that is neither a quote nor a backslash")
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)


# Patterns of terms

_TERM = re.compile(
    r"\s*(?P<mark>[?-]?)(?:(?P<quoted>\"(?:[^\"\\]|\\.)*\")|(?P<regex>%(?:[^%\\]|\\.)+%)|(?P<word>[^\s\"%]+))(?=\s|$)",
    re.DOTALL,
)


def _terms(text: str) -> _Test:
    """Read a pattern of terms: all of them, any of those with ``?``, none of those with ``-``."""
    wanted: list[_Test] = []
    optional: list[_Test] = []
    here = 0
    while here < len(text):
        found = _TERM.match(text, here)
        if not found:
            raise Unparsable(f"{text[here : here + 20].strip()!r} is not of the grammar of filter patterns")
        here = found.end()
        test = _term(found)
        if found["mark"] == "?":
            optional.append(test)
        else:
            wanted.append(test if found["mark"] == "" else _without(test))
    if optional and wanted:
        raise Unparsable("it mixes terms with ? and others, of which AWS does not document what applies")
    if optional:
        return lambda record: some(test(record) for test in optional)
    return lambda record: every(test(record) for test in wanted)


def _without(test: _Test) -> _Test:
    return lambda record: negate(test(record))


def _term(found: re.Match[str]) -> _Test:
    if found["regex"]:
        expression = Expression(found["regex"][1:-1])
        return lambda record: in_text(record, expression.search)
    term = _unquoted(found["quoted"]) if found["quoted"] else found["word"]
    if not found["quoted"] and not re.fullmatch(r"\w+", term):
        raise Unparsable(f"the term {term!r} has to be quoted, since it has other signs than letters and digits")
    if not term.strip():
        raise Unparsable("it has an empty term")
    before = r"(?<!\w)" if re.match(r"\w", term) else ""
    behind = r"(?!\w)" if re.search(r"\w\Z", term) else ""
    word = re.compile(before + re.escape(term) + behind)

    def whole(text: str) -> Verdict:
        """Tell whether a text has the term; whether one inside a longer word counts is not documented."""
        return True if word.search(text) else None if term in text else False

    return lambda record: in_text(record, whole)


def in_text(record: Mapping[str, Any], test: Callable[[str], Verdict]) -> Verdict:
    """Test the text of a record.

    Args:
        record: The record.
        test: Says of a text whether it matches.

    Returns:
        What the test says of the record as JSON, when it is the same without spaces between members (as CloudTrail
        writes), with them, and with the members in the opposite order; else None.
    """
    try:
        turned = _turned(record)
        texts = [
            json.dumps(tree, separators=separators, ensure_ascii=False)
            for tree, separators in ((record, (",", ":")), (record, (", ", ": ")), (turned, (",", ":")))
        ]
    except (RecursionError, ValueError, TypeError):
        return None
    return _agreed({test(text) for text in texts})


def _turned(tree: Any) -> Any:
    """Return a record with the members of its objects in the opposite order."""
    if isinstance(tree, Mapping):
        return {name: _turned(tree[name]) for name in reversed(list(tree))}
    return [_turned(each) for each in tree] if isinstance(tree, list | tuple) else tree
