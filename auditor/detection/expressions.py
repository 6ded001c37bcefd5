r"""Regular expressions of CloudWatch Logs, run as a set of states: no expression takes exponential time.

Only what filter patterns document is read: literals, ``.``, classes in brackets, ``\d \D \s \S \w \W \xhh``,
the anchors ``^`` and ``$``, ``|`` and the quantifiers ``? * + {m} {m,} {m,n}``. Queries of Logs Insights also have
groups. Everything else (look-around, back references, lazy quantifiers) is refused.

Source: Amazon CloudWatch Logs User Guide, "Supported regular expressions (regex) syntax".
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from dataclasses import dataclass, field

from auditor.detection.logic import Unparsable

#: What a filter pattern may hold besides operators.
_PLAIN = frozenset(string.ascii_letters + string.digits + ":_#=@/;,- ")
_SHORTHANDS: dict[str, Callable[[str], bool]] = {
    "d": lambda sign: sign in string.digits,
    "s": lambda sign: sign in " \t\n\x0b\f\r",
    "w": lambda sign: sign in string.ascii_letters + string.digits + "_",
}
_LONGEST = 1024
_MOST_STATES = 500
_DEEPEST = 20


@dataclass(slots=True)
class _Atom:
    """One character of the text: what it may be; ``only`` when it is one literal."""

    accepts: Callable[[str], bool]


@dataclass(slots=True)
class _Anchor:
    """The beginning or the end of the text."""

    end: bool


@dataclass(slots=True)
class _Repeat:
    """Something that stands ``least`` to ``most`` times; ``most`` None has no limit."""

    node: _Node
    least: int
    most: int | None


@dataclass(slots=True)
class _Choice:
    """One of several sequences."""

    branches: list[list[_Node]] = field(default_factory=lambda: [[]])


_Node = _Atom | _Anchor | _Repeat | _Choice


class _Reader:
    """Reads an expression.

    Args:
        text: The expression.
        groups: Whether parentheses and the inline flag for ignoring case are allowed (Logs Insights).
    """

    def __init__(self, text: str, groups: bool) -> None:
        self.text = text
        self.here = 0
        self.groups = groups
        self.ignore_case = False
        if groups and text.startswith("(?i)"):
            self.ignore_case = True
            self.here = 4

    def choice(self, depth: int = 0) -> _Choice:
        if depth > _DEEPEST:
            raise Unparsable("its regular expression is nested too deeply")
        choice = _Choice()
        while self.here < len(self.text):
            sign = self.text[self.here]
            if sign == "|":
                self.here += 1
                choice.branches.append([])
            elif sign == ")":
                if not depth:
                    raise Unparsable("its regular expression has a parenthesis that is not open")
                break
            else:
                node = self.node(depth)
                choice.branches[-1].append(self.quantified(node))
        return choice

    def node(self, depth: int) -> _Node:
        sign = self.text[self.here]
        self.here += 1
        if sign == "(":
            return self.group(depth)
        if sign == "[":
            return _Atom(self.brackets())
        if sign == "\\":
            return self.escaped()
        if sign == ".":
            return _Atom(lambda other: other not in "\n\r")
        if sign in "^$":
            return _Anchor(end=sign == "$")
        if sign in "?*+{":
            raise Unparsable("its regular expression has a quantifier without something to repeat")
        if not self.groups and sign not in _PLAIN:
            raise Unparsable(f"its regular expression has {sign!r}, which AWS does not document as allowed")
        return _Atom(self.literal(sign))

    def literal(self, sign: str) -> Callable[[str], bool]:
        if self.ignore_case:
            folded = sign.casefold()
            return lambda other: other.casefold() == folded
        return lambda other: other == sign

    def group(self, depth: int) -> _Node:
        if not self.groups:
            raise Unparsable("its regular expression has a group, which AWS does not support")
        named = re.compile(r"\?(?:P?<[A-Za-z][A-Za-z0-9_]*>|:)").match(self.text, self.here)
        if named:
            self.here = named.end()
        elif self.text.startswith("?", self.here):
            raise Unparsable("its regular expression has a group of a kind that is not evaluated")
        choice = self.choice(depth + 1)
        if self.here >= len(self.text):
            raise Unparsable("its regular expression has a group without end")
        self.here += 1
        return choice

    def escaped(self) -> _Node:
        accepts = self.shorthand()
        return _Atom(accepts) if accepts else _Atom(self.literal(self.escape()))

    def shorthand(self) -> Callable[[str], bool] | None:
        r"""Read ``\d`` and the like; the backslash is behind us."""
        sign = self.text[self.here : self.here + 1]
        if sign.lower() not in _SHORTHANDS or not sign:
            return None
        self.here += 1
        accepts = _SHORTHANDS[sign.lower()]
        return (lambda other: not accepts(other)) if sign.isupper() else accepts

    def escape(self) -> str:
        """Read an escaped character; the backslash is behind us."""
        sign = self.text[self.here : self.here + 1]
        self.here += 1
        if sign == "x":
            code = self.text[self.here : self.here + 2]
            if not re.fullmatch("[0-9A-Fa-f]{2}", code):
                raise Unparsable("its regular expression has \\x without two hexadecimal digits")
            self.here += 2
            return chr(int(code, 16))
        if sign == "" or sign.isalnum():
            raise Unparsable("its regular expression has an escape that is not evaluated")
        return sign

    def brackets(self) -> Callable[[str], bool]:
        """Read a class; the opening bracket is behind us."""
        text = self.text
        denied = text.startswith("^", self.here)
        self.here += denied
        tests: list[Callable[[str], bool]] = []
        while True:
            if self.here >= len(text):
                raise Unparsable("its regular expression has a bracket without end")
            sign = text[self.here]
            self.here += 1
            if sign == "]":
                break
            if sign in "[&" and (sign == "[" or text.startswith("&", self.here)):
                raise Unparsable("its regular expression has a class inside a class")
            if sign == "\\":
                accepts = self.shorthand()
                if accepts:
                    tests.append(accepts)
                    continue
                sign = self.escape()
            if text.startswith("-", self.here) and text[self.here + 1 : self.here + 2] not in ("]", ""):
                self.here += 1
                last = text[self.here]
                self.here += 1
                if last == "\\":
                    last = self.escape()
                if last == "[" or last < sign:
                    raise Unparsable("its regular expression has a range that is no range")
                tests.append(self.range(sign, last))
            else:
                tests.append(self.literal(sign))
        if not tests:
            raise Unparsable("its regular expression has an empty class")
        return lambda other: any(test(other) for test in tests) is not denied

    def range(self, first: str, last: str) -> Callable[[str], bool]:
        if self.ignore_case:
            return lambda other: first <= other.lower() <= last or first <= other.upper() <= last
        return lambda other: first <= other <= last

    def quantified(self, node: _Node) -> _Node:
        found = re.compile(r"\?|\*|\+|\{(\d{1,4})(,?)(\d{0,4})\}").match(self.text, self.here)
        if not found:
            return node
        if isinstance(node, _Anchor):
            raise Unparsable("its regular expression repeats an anchor")
        self.here = found.end()
        sign = found.group()
        if re.compile(r"[?*+{]").match(self.text, self.here):
            raise Unparsable("its regular expression has a quantifier after a quantifier")
        if sign in "?*+":
            least, most = {"?": (0, 1), "*": (0, None), "+": (1, None)}[sign]
            return _Repeat(node, least, most)
        low, comma, high = found.groups()
        if not comma and high:
            raise Unparsable("its regular expression has a malformed quantifier")
        least = int(low)
        most = int(high) if high else (None if comma else least)
        if most is not None and most < least:
            raise Unparsable("its regular expression has a quantifier with a maximum below its minimum")
        return _Repeat(node, least, most)


class Expression:
    """A compiled regular expression.

    Args:
        text: The expression without delimiters.
        groups: Whether groups and ``(?i)`` are allowed (Logs Insights).

    Raises:
        Unparsable: When it is not of the syntax.
    """

    __slots__ = ("_accepting", "_free", "_moves", "_start")

    def __init__(self, text: str, *, groups: bool = False) -> None:
        """Compile the expression."""
        if not text:
            raise Unparsable("its regular expression is empty")
        if len(text) > _LONGEST:
            raise Unparsable("its regular expression is too long")
        #: Per state: what it reads and where that leads, or None for a state without a character.
        self._moves: list[tuple[Callable[[str], bool], int] | None] = []
        #: Per state: where it leads without a character, and the anchor that must hold for it.
        self._free: list[list[tuple[int, _Anchor | None]]] = []
        reader = _Reader(text, groups)
        tree = reader.choice()
        self._accepting = self._state()
        self._start = self._build(tree, self._accepting)

    def _state(self) -> int:
        if len(self._moves) >= _MOST_STATES:
            raise Unparsable("its regular expression is too large")
        self._moves.append(None)
        self._free.append([])
        return len(self._moves) - 1

    def _build(self, node: _Node, after: int) -> int:
        """Add the states of a node that leads to a state; return where it begins."""
        if isinstance(node, _Atom):
            state = self._state()
            self._moves[state] = (node.accepts, after)
            return state
        state = self._state()
        if isinstance(node, _Anchor):
            self._free[state].append((after, node))
        elif isinstance(node, _Choice):
            for branch in node.branches:
                target = after
                for part in reversed(branch):
                    target = self._build(part, target)
                self._free[state].append((target, None))
        else:
            return self._repeat(node, after, state)
        return state

    def _repeat(self, node: _Repeat, after: int, state: int) -> int:
        target = after
        if node.most is None:
            self._free[state] += [(self._build(node.node, state), None), (after, None)]
            target = state
        else:
            for _ in range(node.most - node.least):
                optional = self._state()
                self._free[optional] += [(self._build(node.node, target), None), (after, None)]
                target = optional
        for _ in range(node.least):
            target = self._build(node.node, target)
        return target

    def search(self, text: str) -> bool:
        """Tell whether some part of the text matches."""
        states: frozenset[int] = frozenset()
        known: dict[tuple[frozenset[int], str], frozenset[int]] = {}
        for here, sign in enumerate(text):
            step = (states, sign)
            if here == 0 or step not in known:
                closed = self._close(states | {self._start}, begin=here == 0, end=False)
                if self._accepting in closed:
                    return True
                reached = frozenset(move[1] for state in closed if (move := self._moves[state]) and move[0](sign))
                if here == 0:
                    states = reached
                    continue
                known[step] = reached
            states = known[step]
        return self._accepting in self._close(states | {self._start}, begin=not text, end=True)

    def _close(self, states: frozenset[int], *, begin: bool, end: bool) -> set[int]:
        """Add what can be reached without reading a character."""
        closed, left = set(states), list(states)
        while left:
            for target, anchor in self._free[left.pop()]:
                if (anchor is None or (end if anchor.end else begin)) and target not in closed:
                    closed.add(target)
                    left.append(target)
        return closed
