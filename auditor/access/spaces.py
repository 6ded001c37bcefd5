"""Sets of resources as integers: which ARNs of a space a pattern matches, one bit a resource.

The ARNs of a space are sorted, so that all of one partition, service, region and account lie together and a pattern
that ends in a star is two binary searches and a shift. Only patterns with other wildcards look at every name, and
only within the groups that their head matches.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator

from auditor.access.formula import Atom, Formula, every, negate, some
from auditor.access.patterns import SEGMENTS, ArnPattern, Filled, Resolve, arn_pattern
from auditor.access.policy import Statement

#: A formula for every resource, told as disjoint sets: formula -> the resources that it is about.
Partition = dict[Formula, int]


class Space:
    """Some resources, each with a bit.

    Args:
        arns: Their ARNs; the order of bits is that of the sorted ARNs.
    """

    def __init__(self, arns: Iterable[str]) -> None:
        """Sort the ARNs into groups."""
        self.arns = sorted(arns, key=lambda arn: (arn.split(":", SEGMENTS - 1)[:5], arn))
        self.bits = {arn: number for number, arn in enumerate(self.arns)}
        self.all = (1 << len(self.arns)) - 1
        self._groups: list[tuple[tuple[str, ...], int, list[str]]] = []
        for number, arn in enumerate(self.arns):
            *head, tail = arn.split(":", SEGMENTS - 1)
            if not self._groups or self._groups[-1][0] != tuple(head):
                self._groups.append((tuple(head), number, []))
            self._groups[-1][2].append(tail)
        self._known: dict[str, int] = {}
        self._matched: dict[tuple[tuple[str, ...], bool], Partition] = {}

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
            if text not in self._known:
                self._known[text] = self._find(arn_pattern(text, None))
            return self._known[text], False
        pattern = arn_pattern(text, resolve, variables_in=range(SEGMENTS - 1, SEGMENTS))
        return self._find(pattern), pattern.open

    def _find(self, pattern: ArnPattern) -> int:
        found = 0
        for head, start, tails in self._groups:
            if all(
                glob is not None and glob.matches(part.lower() if number < 4 else part)
                for number, (glob, part) in enumerate(
                    zip((one.glob for one in pattern.segments[:5]), head, strict=True)
                )
            ):
                found |= _within(pattern.segments[5], tails) << start
        return found

    def resources(self, statement: Statement, resolve: Resolve | None) -> Partition:
        """Return when a statement is about each resource: surely, never, or depending on a variable."""
        if statement.resources is None:
            return {True: self.all}
        constant = resolve is None or not any("${" in text for text in statement.resources)
        key = (statement.resources, statement.not_resource)
        if constant and key in self._matched:
            return self._matched[key]
        sure, still_open = 0, list[tuple[Formula, int]]()
        for text in statement.resources:
            bits, is_open = self.matching(text, resolve)
            if is_open:
                still_open.append((Atom(f"{text} is this resource", "note"), bits))
            else:
                sure |= bits
        found: Partition = {True: sure, False: self.all & ~sure}
        for atom, bits in still_open:
            found = either(found, {atom: bits & ~sure, False: self.all & ~(bits & ~sure)})
        if statement.not_resource:
            found = {negate(formula): bits for formula, bits in found.items()}
        found = {formula: bits for formula, bits in found.items() if bits}
        if constant:
            self._matched[key] = found
        return found


def _within(tail: Filled, tails: list[str]) -> int:
    glob = tail.glob
    if glob is None:
        return 0
    if glob.literal is not None:
        position = bisect_left(tails, glob.literal)
        return 1 << position if position < len(tails) and tails[position] == glob.literal else 0
    if glob.prefix is not None:
        first = bisect_left(tails, glob.prefix)
        last = bisect_left(tails, glob.prefix + "\U0010ffff")
        return ((1 << (last - first)) - 1) << first
    return sum(1 << number for number, name in enumerate(tails) if glob.matches(name))


def both(left: Partition, right: Partition) -> Partition:
    """Return the conjunction of two formulas, resource by resource."""
    return _joined(left, right, every)


def either(left: Partition, right: Partition) -> Partition:
    """Return the disjunction of two formulas, resource by resource."""
    return _joined(left, right, some)


def _joined(left: Partition, right: Partition, combine: Callable[[Iterable[Formula]], Formula]) -> Partition:
    if len(left) == 1 and len(right) == 1:
        (first, bits), (second, others) = *left.items(), *right.items()
        return {combine((first, second)): bits & others}
    found: Partition = {}
    for first, bits in left.items():
        for second, others in right.items():
            shared = bits & others
            if shared:
                formula = combine((first, second))
                found[formula] = found.get(formula, 0) | shared
    return found


def opposite(partition: Partition) -> Partition:
    """Return the negation of a formula, resource by resource."""
    return {negate(formula): bits for formula, bits in partition.items()}


def set_bits(bits: int) -> Iterator[int]:
    """Yield the numbers of the bits that are set, in order."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest
