"""Patterns of IAM: globs with ``*`` and ``?``, policy variables, and ARNs compared by segment.

Matching is linear for practical purposes: a glob is split at its stars and each piece is searched once from
left to right, so that a hostile pattern such as ``*a*a*a*b`` costs no more than its length says.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache


class Glob:
    """A text with wildcards.

    Args:
        parts: Literal texts and the two wildcards, each as a text of its own marked by :data:`STAR` and
            :data:`ANY`.
    """

    __slots__ = ("_exact", "_head", "_middle", "_tail", "text")

    def __init__(self, parts: tuple[str | _Wild, ...]) -> None:
        """Compile the parts."""
        chunks: list[list[str | _Wild]] = [[]]
        for part in parts:
            if part is STAR:
                chunks.append([])
            elif part != "":
                chunks[-1].append(part)
        compiled = [_Chunk(tuple(chunk)) for chunk in chunks]
        self.text = "".join(part if isinstance(part, str) else part.sign for part in parts)
        self._exact = len(compiled) == 1
        self._head, self._tail = compiled[0], compiled[-1]
        self._middle = tuple(chunk for chunk in compiled[1:-1] if chunk.length)

    @property
    def everything(self) -> bool:
        """True for a lone star (or several)."""
        return not (self._exact or self._middle or self._head.length or self._tail.length)

    @property
    def literal(self) -> str | None:
        """The only text that matches, or None when the glob has wildcards."""
        return self._head.text if self._exact else None

    @property
    def prefix(self) -> str | None:
        """For ``text*``, the text; None for other shapes."""
        if self._exact or self._middle or self._tail.length:
            return None
        return self._head.text

    def matches(self, text: str) -> bool:
        """Tell whether the whole text matches."""
        if self._exact:
            return self._head.length == len(text) and self._head.at(text, 0)
        end = len(text) - self._tail.length
        here = self._head.length
        if here > end or not self._head.at(text, 0) or not self._tail.at(text, end):
            return False
        for chunk in self._middle:
            found = chunk.find(text, here, end)
            if found < 0:
                return False
            here = found + chunk.length
        return True


class _Wild:
    """One of the two wildcards."""

    __slots__ = ("sign",)

    def __init__(self, sign: str) -> None:
        self.sign = sign


STAR, ANY = _Wild("*"), _Wild("?")


class _Chunk:
    """A piece of a glob without stars: literal texts and single-character wildcards."""

    __slots__ = ("_regex", "length", "text")

    def __init__(self, parts: tuple[str | _Wild, ...]) -> None:
        plain = all(isinstance(part, str) for part in parts)
        #: The literal text, or None with single-character wildcards.
        self.text: str | None = "".join(part for part in parts if isinstance(part, str)) if plain else None
        self.length = sum(len(part) if isinstance(part, str) else 1 for part in parts)
        self._regex = (
            None
            if plain
            else re.compile("".join(re.escape(part) if isinstance(part, str) else "." for part in parts), re.DOTALL)
        )

    def at(self, text: str, position: int) -> bool:
        if self._regex is not None:
            return self._regex.match(text, position, position + self.length) is not None
        return text.startswith(self.text or "", position)

    def find(self, text: str, start: int, end: int) -> int:
        if self._regex is not None:
            found = self._regex.search(text, start, end)
            return found.start() if found else -1
        return text.find(self.text or "", start, end)


def wild_parts(text: str) -> tuple[str | _Wild, ...]:
    """Split a text at its wildcards."""
    return tuple({"*": STAR, "?": ANY}.get(piece, piece) for piece in re.split(r"([*?])", text) if piece)


@lru_cache(maxsize=65536)
def glob(text: str) -> Glob:
    """Return the compiled glob of a text."""
    return Glob(wild_parts(text))


@dataclass(frozen=True, slots=True)
class Variable:
    """A policy variable: ``${aws:username}`` or ``${aws:PrincipalTag/team, 'default'}``."""

    key: str
    default: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Literal:
    """A text without wildcards: what ``${*}``, ``${?}`` and ``${$}`` stand for."""

    text: str


_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_DEFAULT = re.compile(r"\s*([^,]+?)\s*,\s*'([^']*)'\s*\Z", re.DOTALL)


@lru_cache(maxsize=65536)
def template(text: str) -> tuple[str | Variable | Literal, ...]:
    """Split a text of a policy at its variables; plain texts keep their wildcards."""
    parts: list[str | Variable | Literal] = []
    position = 0
    for found in _VARIABLE.finditer(text):
        if found.start() > position:
            parts.append(text[position : found.start()])
        inner = found.group(1)
        if inner in ("*", "?", "$"):
            parts.append(Literal(inner))
        else:
            default = _DEFAULT.match(inner)
            key, value = (default.group(1), default.group(2)) if default else (inner.strip(), None)
            parts.append(Variable(key.lower(), value, found.group(0)))
        position = found.end()
    if position < len(text):
        parts.append(text[position:])
    return tuple(parts)


class Open(Enum):
    """Stands for a value that is not known."""

    OPEN = "open"


#: Answers a variable's key: its value; None when the request does not have it; ``OPEN`` when that is not known.
Resolve = Callable[[str], str | Open | None]


def unresolved(key: str) -> Open:
    """Answer for any variable that its value is not known, as a :data:`Resolve`."""
    del key
    return Open.OPEN


@dataclass(frozen=True, slots=True)
class Filled:
    """A text of a policy with its variables filled in.

    Attributes:
        glob: What it matches; wildcards that came out of a variable are plain characters. None: nothing, since
            a variable has no value.
        plain: The text for comparison without wildcards, or None as above.
        open: A variable's value is not known; then ``glob`` has a star in its place, the most it can match.
        risky: A value holds wildcard characters, so the text alone would mislead.
    """

    glob: Glob | None
    plain: str | None
    open: bool = False
    risky: bool = False


@lru_cache(maxsize=65536)
def _constant(text: str) -> Filled:
    return Filled(glob(text), text)


def fill(text: str, resolve: Resolve | None) -> Filled:
    """Fill in the variables of a text; with ``resolve`` None (policy version 2008-10-17) they are plain text."""
    if resolve is None or "${" not in text:
        return _constant(text)
    parts: list[str | _Wild] = []
    plain: list[str] = []
    unknown = risky = False
    for part in template(text):
        if isinstance(part, str):
            parts += wild_parts(part)
            plain.append(part)
            continue
        if isinstance(part, Literal):
            value: str | None = part.text
        else:
            answer = resolve(part.key)
            if answer is Open.OPEN:
                unknown = True
                parts.append(STAR)
                plain.append(part.text)
                continue
            value = part.default if answer is None else answer
        if value is None:
            return Filled(None, None)
        risky = risky or "*" in value or "?" in value
        parts.append(value)
        plain.append(value)
    return Filled(Glob(tuple(parts)), "".join(plain), unknown, risky)


#: Segments of an ARN: arn, partition, service, region, account, resource.
SEGMENTS = 6


_COLONS = re.compile(r":(?![^{}]*\})")


@lru_cache(maxsize=65536)
def arn_segments(text: str) -> tuple[str, ...]:
    """Split an ARN pattern into its six segments; colons inside ``${…}`` do not count.

    An incomplete ARN is completed with stars, as AWS does (IAM User Guide, "IAM JSON policy elements: Resource").
    """
    segments = _COLONS.split(text, SEGMENTS - 1) if "${" in text else text.split(":", SEGMENTS - 1)
    return (*segments, *["*"] * (SEGMENTS - len(segments)))


@dataclass(frozen=True, slots=True)
class ArnPattern:
    """A pattern for ARNs, compared segment by segment: wildcards do not cross the first five colons.

    Attributes:
        segments: A filled text for each segment.
    """

    segments: tuple[Filled, ...]

    @property
    def open(self) -> bool:
        """A variable's value is not known; then ``matches`` says whether it can match at all."""
        return any(one.open for one in self.segments)

    def matches(self, arn: str) -> bool:
        """Tell whether an ARN matches; partition, service and region ignore case."""
        parts = arn.split(":", SEGMENTS - 1)
        if len(parts) != SEGMENTS:
            return False
        for number in (5, 4, 3, 2, 1, 0):
            segment = self.segments[number].glob
            if segment is None or not segment.matches(
                parts[number].lower() if number < IGNORING_CASE else parts[number]
            ):
                return False
        return True


#: How many of an ARN's segments are compared without regard to case.
IGNORING_CASE = 4


def arn_pattern(text: str, resolve: Resolve | None, *, variables_in: range = range(SEGMENTS)) -> ArnPattern:
    """Return the pattern of an ARN with its variables filled in.

    Args:
        text: The pattern.
        resolve: Answers variables; None: there are none in this policy version.
        variables_in: The segments that may hold variables; elsewhere they are plain text.
    """
    if resolve is None or "${" not in text:
        return _constant_arn(text)
    return ArnPattern(
        tuple(
            fill(one.lower() if number < IGNORING_CASE else one, resolve if number in variables_in else None)
            for number, one in enumerate(arn_segments(text))
        )
    )


@lru_cache(maxsize=65536)
def _constant_arn(text: str) -> ArnPattern:
    segments = arn_segments(text)
    return ArnPattern(
        tuple(_constant(one.lower() if number < IGNORING_CASE else one) for number, one in enumerate(segments))
    )
