"""Where something holds among the resources of a space: surely, or under which formula.

A set of resources is an integer, one bit a resource. Most policies have no conditions, so most extents are one set;
formulas are only carried for the resources that they are about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from auditor.access.formula import Formula, every, negate, some

_NONE: Mapping[Formula, int] = MappingProxyType({})


class Extent:
    """Where something holds; it does not in the resources that are left.

    Attributes:
        sure: The resources where it holds.
        open: Formula -> the resources where that decides; the sets have nothing in common, and nothing with ``sure``.
    """

    __slots__ = ("open", "sure")

    def __init__(self, sure: int, still_open: Mapping[Formula, int] = _NONE) -> None:
        """Keep the sets."""
        self.sure, self.open = sure, still_open

    def __bool__(self) -> bool:
        """Tell whether it may hold anywhere."""
        return bool(self.sure or self.open)

    def within(self, bits: int) -> Extent:
        """Return the part that lies in a set."""
        if not self.open:
            return Extent(self.sure & bits)
        kept = {formula: held & bits for formula, held in self.open.items() if held & bits}
        return Extent(self.sure & bits, kept)

    def outside(self, bits: int) -> Extent:
        """Return the opposite, in the resources of a set."""
        if not self.open:
            return Extent(bits & ~self.sure)
        rest = bits & ~self.sure
        for held in self.open.values():
            rest &= ~held
        return Extent(rest, {negate(formula): held & bits for formula, held in self.open.items() if held & bits})


NOWHERE = Extent(0)


def where(formula: Formula, bits: int) -> Extent:
    """Return the extent of one formula in a set of resources."""
    if formula is False or not bits:
        return NOWHERE
    return Extent(bits) if formula is True else Extent(0, {formula: bits})


def apart(parts: Iterable[tuple[Formula, int]]) -> Extent:
    """Return the extent made of formulas for sets that have nothing in common."""
    sure, kept = 0, dict[Formula, int]()
    for formula, bits in parts:
        if formula is True:
            sure |= bits
        elif formula is not False and bits:
            kept[formula] = kept.get(formula, 0) | bits
    return Extent(sure, kept)


def both(left: Extent, right: Extent) -> Extent:
    """Return where both hold."""
    sure = left.sure & right.sure
    if not left.open and not right.open:
        return Extent(sure)
    parts: list[tuple[Formula, int]] = [(True, sure)]
    parts += [(formula, bits & right.sure) for formula, bits in left.open.items()]
    parts += [(formula, bits & left.sure) for formula, bits in right.open.items()]
    for first, bits in left.open.items():
        for second, others in right.open.items():
            shared = bits & others
            if shared:
                parts.append((every((first, second)), shared))
    return apart(parts)


def either(left: Extent, right: Extent) -> Extent:
    """Return where at least one holds."""
    sure = left.sure | right.sure
    if not left.open and not right.open:
        return Extent(sure)
    parts: list[tuple[Formula, int]] = [(True, sure)]
    taken = right.sure
    for first, bits in left.open.items():
        rest = bits & ~right.sure
        taken |= bits
        for second, others in right.open.items():
            shared = rest & others
            if shared:
                parts.append((some((first, second)), shared))
                rest &= ~shared
        parts.append((first, rest))
    taken |= left.sure
    parts += [(second, others & ~taken) for second, others in right.open.items()]
    return apart(parts)
