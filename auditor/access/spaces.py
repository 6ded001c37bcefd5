"""Sets of resources as integers: which ARNs of a space a pattern matches, one bit a resource.

The ARNs of a space are sorted, so that all of one partition, service, region and account lie together and a pattern
that ends in a star is two binary searches and a shift. Only patterns with other wildcards look at every name, and
only within the groups that their head matches.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator

from auditor.access.patterns import IGNORING_CASE, SEGMENTS, Glob, Resolve, arn_pattern, arn_segments, glob

#: One of a space's groups: its first bit, and what the ARNs say after their fifth colon, sorted.
_Group = tuple[int, list[str]]


class Space:
    """Some resources, each with a bit.

    Args:
        arns: Their ARNs; the order of bits is that of the sorted ARNs.

    Attributes:
        arns: The ARNs by bit number.
        bits: ARN -> bit number.
        all: The set of all.
    """

    def __init__(self, arns: Iterable[str]) -> None:
        """Sort the ARNs into groups."""
        self.arns = sorted(arns, key=lambda arn: (arn.split(":", SEGMENTS - 1)[:5], arn))
        self.bits = {arn: number for number, arn in enumerate(self.arns)}
        self.all = (1 << len(self.arns)) - 1
        groups: dict[tuple[str, ...], _Group] = {}
        for number, arn in enumerate(self.arns):
            *head, tail = arn.split(":", SEGMENTS - 1)
            groups.setdefault(tuple(head), (number, []))[1].append(tail)
        self._groups = groups
        self._heads: dict[tuple[str, ...], list[_Group]] = {}
        self._known: dict[str, int] = {}

    def of(self, numbers: Iterable[int]) -> int:
        """Return the set of some bit numbers."""
        found = bytearray((len(self.arns) + 7) // 8)
        for number in numbers:
            found[number >> 3] |= 1 << (number & 7)
        return int.from_bytes(found, "little")

    def matching(self, text: str, resolve: Resolve | None) -> tuple[int, bool]:
        """Return which resources a pattern of a policy matches, and whether a variable's unknown value decides.

        Args:
            text: The pattern.
            resolve: Answers policy variables; None: the policy's version has none.
        """
        if text and not text.strip("*"):
            return self.all, False
        if resolve is None or "${" not in text:
            found = self._known.get(text)
            if found is None:
                *head, tail = arn_segments(text)
                found = self._known[text] = self._find(tuple(head), tail)
            return found, False
        # Variables elsewhere than in the last segment are plain text.
        filled = arn_pattern(text, resolve, variables_in=range(SEGMENTS - 1, SEGMENTS)).segments[-1]
        if filled.glob is None:
            return 0, False
        return self._find(arn_segments(text)[:-1], filled.glob), filled.open

    def _find(self, head: tuple[str, ...], tail: str | Glob) -> int:
        found = 0
        for start, tails in self._under(head):
            found |= _within(tail, tails) << start
        return found

    def _under(self, head: tuple[str, ...]) -> list[_Group]:
        """Return the groups that a pattern's first five segments match."""
        if head not in self._heads:
            globs = [glob(one.lower() if number < IGNORING_CASE else one) for number, one in enumerate(head)]
            self._heads[head] = [
                group
                for held, group in self._groups.items()
                if len(held) == len(globs)
                and all(
                    one.matches(part.lower() if number < IGNORING_CASE else part)
                    for number, (one, part) in enumerate(zip(globs, held, strict=True))
                )
            ]
        return self._heads[head]


def _within(tail: str | Glob, tails: list[str]) -> int:
    if isinstance(tail, str):
        # Compiling a glob takes longer than the two usual shapes need.
        if "*" not in tail and "?" not in tail:
            return _one(tail, tails)
        if tail.endswith("*") and "*" not in tail[:-1] and "?" not in tail:
            return _beginning(tail[:-1], tails)
        tail = glob(tail)
    if tail.literal is not None:
        return _one(tail.literal, tails)
    if tail.prefix is not None:
        return _beginning(tail.prefix, tails)
    return sum(1 << number for number, name in enumerate(tails) if tail.matches(name))


def _one(text: str, tails: list[str]) -> int:
    position = bisect_left(tails, text)
    return 1 << position if position < len(tails) and tails[position] == text else 0


def _beginning(text: str, tails: list[str]) -> int:
    first, last = bisect_left(tails, text), bisect_left(tails, text + "\U0010ffff")
    return ((1 << (last - first)) - 1) << first


_NOT_EMPTY = re.compile(rb"[^\0]")

#: Byte -> the numbers of its bits.
_OF_BYTE = tuple(tuple(bit for bit in range(8) if byte >> bit & 1) for byte in range(256))


def set_bits(bits: int) -> Iterator[int]:
    """Yield the numbers of the bits that are set, in order."""
    # Taking the lowest bit off a long integer copies it each time.
    data = bits.to_bytes((bits.bit_length() + 7) // 8, "little")
    for found in _NOT_EMPTY.finditer(data):
        first = found.start() * 8
        for bit in _OF_BYTE[data[found.start()]]:
            yield first + bit
