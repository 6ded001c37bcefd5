"""Queries of CloudWatch Logs Insights, on records of CloudTrail: which records does a log alarm count?

Only queries of plain filters are decided, whose rows are the records or a count of them. Everything else (computed
fields, other aggregates, other query languages, rows left out by ``dedup``) is undecidable.

Source: Amazon CloudWatch Logs User Guide, "CloudWatch Logs Insights language query syntax" and "Supported logs and
discovered fields".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from auditor.detection.expressions import Expression
from auditor.detection.filters import in_text
from auditor.detection.logic import Unparsable, Verdict, either_order, every, negate, some

#: A query of a log alarm has at most 10,000 characters (cloudwatch:PutLogAlarm).
_LONGEST = 10_000
_DEEPEST = 40

_Test = Callable[[Mapping[str, Any]], Verdict]


def matches(query: str, record: Mapping[str, Any]) -> bool | None:
    """Tell whether a query finds a record of CloudTrail that is logged as JSON.

    Args:
        query: ``QueryString``.
        record: The record.

    Returns:
        True when the record is a row of the result or counted in one, False when the filters leave it out, None when
        the query is not one of those that are evaluated.
    """
    if len(query) > _LONGEST:
        return None
    try:
        return every(test(record) for test in _Query(query).tests)
    except Unparsable:
        return None


@dataclass(frozen=True, slots=True)
class _Token:
    """A token: ``kind`` is text, regex, name, number or sign."""

    kind: str
    text: str

    @property
    def word(self) -> str:
        """The keyword that it may be."""
        return self.text.lower() if self.kind in ("name", "sign") else ""


_TOKEN = re.compile(
    r"\s*(?:#[^\n]*(?:\n|$)\s*)*(?:"
    r"(?P<text>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"
    r"|`(?P<quoted>[^`]+)`"
    r"|(?P<number>\d+(?:\.\d+)?(?![\w.@]))"
    r"|(?P<name>[A-Za-z_@][A-Za-z0-9_.@]*|\d+[A-Za-z]+)"
    r"|(?P<sign>=~|!=|<=|>=|[=<>()\[\],|*+%^/-])"
    r")",
    re.DOTALL,
)
_END = re.compile(r"\s*(?:#[^\n]*(?:\n|$)\s*)*")
_REGEX = re.compile(r"\s*/(?P<regex>(?:[^/\\\n]|\\.)+)/")


def _tokens(text: str) -> Iterator[_Token]:
    here = 0
    #: What stands before: a slash begins an expression after ``like``, ``=~``, ``parse`` and ``parse FIELD``.
    before = ["", ""]
    while True:
        ended = _END.match(text, here)
        assert ended
        if ended.end() == len(text):
            return
        regex = _REGEX.match(text, here) if before[1] in ("like", "=~", "parse") or before[0] == "parse" else None
        if regex:
            here = regex.end()
            token = _Token("regex", regex["regex"])
        else:
            found = _TOKEN.match(text, here)
            if not found:
                raise Unparsable(f"{text[here : here + 20].strip()!r} is not of the query language")
            here = found.end()
            kind = str(found.lastgroup)
            token = _Token("field" if kind == "quoted" else kind, found[kind])
        yield token
        before = [before[1], token.word]


#: Stands for a field that is not there.
_ABSENT = object()
#: Stands for a field of which it is not documented what it holds.
_UNCLEAR = object()


@dataclass(slots=True)
class _Query:
    """A query, read into the tests of its filters."""

    text: str
    tests: list[_Test] = field(default_factory=list)
    #: Fields that the query defines.
    made: set[str] = field(default_factory=set)
    #: The last command that lets only some more commands follow, such as stats.
    closed: str = ""

    def __post_init__(self) -> None:
        command: list[_Token] = []
        for token in [*_tokens(self.text), _Token("sign", "|")]:
            if token.kind == "sign" and token.text == "|":
                self.command(command)
                command = []
            else:
                command.append(token)

    def command(self, tokens: list[_Token]) -> None:
        """Read one command."""
        name = tokens[0].word if tokens else ""
        rest = tokens[1:]
        if not rest:
            raise Unparsable("a command is empty")
        if name in ("filter", "parse", "stats", "fields") and self.closed:
            raise Unparsable(f"{name} stands behind {self.closed}")
        if name == "filter":
            self.tests.append(_Filter(rest, self.made).test())
        elif name in ("fields", "parse"):
            self.define(name, rest)
        elif name == "stats":
            self.count(rest)
            self.closed = name
        elif name == "limit":
            if len(rest) != 1 or rest[0].kind != "number" or not re.fullmatch("[0-9]*[1-9][0-9]*", rest[0].text):
                raise Unparsable("limit is no number above zero")
            self.closed = name
        elif name == "display":
            self.closed = self.closed or name
        elif name != "sort":
            raise Unparsable(f"the command {name!r} is not evaluated")

    def define(self, name: str, tokens: list[_Token]) -> None:
        """Note the fields that ``fields`` and ``parse`` define; neither leaves out rows."""
        made: set[str] = set()
        for here, token in enumerate(tokens):
            if token.kind == "regex":
                made |= set(re.findall(r"\(\?P?<([A-Za-z][A-Za-z0-9_]*)>", token.text))
            elif token.word == "as":
                named = tokens[here + 1 :: 2] if name == "parse" else tokens[here + 1 : here + 2]
                if not named or any(each.kind not in ("name", "field") for each in named):
                    raise Unparsable("as has no name")
                made |= {each.text for each in named}
        if name == "parse" and not made:
            raise Unparsable("parse names no fields")
        self.made |= made

    def count(self, tokens: list[_Token]) -> None:
        """Read ``stats``: a count of the rows, optionally by fields; a field that is absent is not documented."""
        words = [token.word or token.text for token in tokens]
        here = next((here for here, word in enumerate(words) if word == "by"), len(words))
        if not re.fullmatch(r"count \( (?:\* )?\)(?: as \S+)?", " ".join(words[:here])):
            raise Unparsable("stats is something else than a count of rows")
        groups = " ".join(word for word in words[here + 1 :])
        if here < len(words) and not groups:
            raise Unparsable("by names no field")
        for group in groups.split(",") if groups else []:
            if re.fullmatch(r" ?bin \( \w+(?: \w+)? \)(?: as \S+)? ?", group):
                continue
            name = group.strip()
            token = next((token for token in tokens if name == (token.word or token.text)), None)
            if token is None or token.kind not in ("name", "field"):
                raise Unparsable("by names something else than fields")
            if token.text.startswith("@") or token.text in self.made:
                continue
            self.tests.append(_there(token.text))


def _there(name: str) -> _Test:
    return lambda record: True if _field(record, name) not in (_ABSENT, _UNCLEAR) else None


def _field(record: Mapping[str, Any], name: str) -> Any:
    """Return a field that Logs Insights discovers in JSON: members by dots, elements of arrays by numbers."""
    if name.startswith("@"):
        return _UNCLEAR
    value: Any = record
    for step in name.split("."):
        if isinstance(value, Mapping):
            value = value.get(step, _ABSENT)
        elif isinstance(value, list | tuple):
            if not re.fullmatch("[0-9]{1,6}", step):
                return _UNCLEAR
            value = value[int(step)] if int(step) < len(value) else _ABSENT
        elif value is None:
            return _UNCLEAR
        else:
            return _ABSENT
        if value is _ABSENT:
            return _ABSENT
    return _UNCLEAR if value is None or isinstance(value, Mapping | list | tuple) else value


class _Filter:
    """Reads the condition of a filter."""

    def __init__(self, tokens: list[_Token], made: set[str]) -> None:
        self.tokens = tokens
        self.made = frozenset(made)
        self.here = 0

    def peek(self, *words: str) -> bool:
        return self.here < len(self.tokens) and self.tokens[self.here].word in words

    def take(self, *words: str) -> bool:
        """Step over one of these words."""
        there = self.peek(*words)
        self.here += there
        return there

    def sign(self, text: str) -> None:
        if not self.take(text):
            raise Unparsable(f"{text!r} is missing")

    def next(self, *kinds: str) -> _Token:
        if self.here >= len(self.tokens) or self.tokens[self.here].kind not in kinds:
            raise Unparsable(f"a {' or '.join(kinds)} is missing")
        self.here += 1
        return self.tokens[self.here - 1]

    def test(self) -> _Test:
        test = self.expression(0)
        if self.here < len(self.tokens):
            raise Unparsable("something stands behind the condition")
        return test

    def expression(self, depth: int) -> _Test:
        """``and`` and ``or`` side by side: which of them binds closer is not documented."""
        tests, operators = [self.single(depth)], []
        while self.peek("and", "or"):
            operators.append(self.tokens[self.here].word)
            self.here += 1
            tests.append(self.single(depth))
        return lambda record: either_order([test(record) for test in tests], operators)

    def single(self, depth: int) -> _Test:
        if depth > _DEEPEST:
            raise Unparsable("it is nested too deeply")
        if self.take("not"):
            inner = self.single(depth + 1)
            return lambda record: negate(inner(record))
        if self.take("("):
            inner = self.expression(depth + 1)
            self.sign(")")
            return inner
        return self.comparison()

    def comparison(self) -> _Test:
        name = self.next("name", "field")
        if name.kind == "name" and self.take("("):
            return self.function(name.text.lower())
        read = self.reader(name.text)
        denied = self.take("not")
        if self.take("in"):
            self.sign("[")
            tests = [self.equality()]
            while self.take(","):
                tests.append(self.equality())
            self.sign("]")
            return _on(read, lambda value: some(test(value) for test in tests), denied)
        if self.peek("like", "=~"):
            operator = self.tokens[self.here].word
            self.here += 1
            likeness = _likeness(self.next("regex", "text") if operator == "like" else self.next("regex"))
            if name.text == "@message" and "@message" not in self.made:
                return lambda record: negate(in_text(record, likeness)) if denied else in_text(record, likeness)
            return _on(read, lambda value: likeness(value) if isinstance(value, str) else None, denied)
        if denied:
            raise Unparsable("not stands before something else than in and like")
        operator = self.next("sign").text
        if operator in ("=", "!="):
            return _on(read, self.equality(), operator == "!=")
        if operator not in ("<", "<=", ">", ">="):
            raise Unparsable(f"{operator!r} is no comparison")
        number = float(self.next("number").text)
        return _on(read, lambda value: _ordered(value, operator, number), False)

    def reader(self, name: str) -> _Test | Callable[[Mapping[str, Any]], Any]:
        """Return what reads a field; one that the query defines is not known."""
        if any(name == made or name.startswith(f"{made}.") for made in self.made):
            return lambda record: _UNCLEAR
        return lambda record: _field(record, name)

    def function(self, function: str) -> _Test:
        """Read a test that is a function of one field; its parenthesis is open."""
        read = self.reader(self.next("name", "field").text)
        self.sign(")")
        if function not in ("ispresent", "isempty", "isblank"):
            raise Unparsable(f"the function {function!r} is not evaluated")

        def decide(record: Mapping[str, Any]) -> Verdict:
            value = read(record)
            if value is _UNCLEAR:
                return None
            if function == "ispresent":
                return value is not _ABSENT
            return value is _ABSENT or value == "" or (function == "isblank" and not str(value).strip())

        return decide

    def equality(self) -> Callable[[Any], Verdict]:
        """Read the value of a comparison and return its test."""
        token = self.next("text", "number")
        text = _unquoted(token.text) if token.kind == "text" else token.text
        number = _float(text)

        def test(value: Any) -> Verdict:
            if isinstance(value, str):
                if token.kind == "text":
                    return value == text
                # A number against a text of digits is not documented.
                return None if value == text or (number is not None and _float(value) == number) else False
            if isinstance(value, bool):
                return None if text.lower() in (("true", "1") if value else ("false", "0")) else False
            if number is None or value != number:
                return False
            return True if token.kind == "number" else None

        return test


def _on(read: Callable[[Mapping[str, Any]], Any], test: Callable[[Any], Verdict], denied: bool) -> _Test:
    """Test a field. Nothing is equal to one that is absent; whether it differs from something is not documented."""

    def decide(record: Mapping[str, Any]) -> Verdict:
        value = read(record)
        if value is _UNCLEAR or (value is _ABSENT and denied):
            return None
        if value is _ABSENT:
            return False
        return negate(test(value)) if denied else test(value)

    return decide


def _likeness(token: _Token) -> Callable[[str], Verdict]:
    """Return the test of ``like``: an expression, or a part of the text, case and all."""
    if token.kind == "regex":
        return Expression(token.text, groups=True).search
    text = _unquoted(token.text)
    if not text or "%" in text or "*" in text:
        raise Unparsable("like has a wildcard, which is not evaluated")
    return lambda value: text in value


def _ordered(value: Any, operator: str, number: float) -> Verdict:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return {"<": value < number, "<=": value <= number, ">": value > number, ">=": value >= number}[operator]


def _float(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[+-]?\d{1,30}(?:\.\d{1,30})?", text) else None


def _unquoted(text: str) -> str:
    r"""Return a quoted text without quotes; only quotes and backslashes may be hidden behind a backslash."""
    if re.search(r"\\[^\"'\\]", re.sub(r"\\\\", "", text)):
        raise Unparsable(f"{text} hides a sign that is neither a quote nor a backslash")
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
