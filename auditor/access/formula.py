"""Formulas over what is not known of a request: true, false, or true under conditions.

A formula is ``True``, ``False``, an :class:`Atom` (one open question about the request), or a combination.
Building one simplifies it, so a decided formula is a plain ``bool``. Open atoms stand for a definite answer
that is not known here; therefore ``x and not x`` is False, which a plain three-valued logic cannot see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Union


@dataclass(frozen=True, slots=True)
class Atom:
    """One question about a request that is open.

    Attributes:
        key: The condition key, lower case; for a note the sentence.
        test: A positive condition operator, such as ``StringEquals``; ``absent``: the key is not in the request;
            ``note``: something else than a condition key, which ``key`` says in words.
        values: The values of the policy that are compared with.
        quantifier: Empty for a single-valued comparison; ``any``: some value of the request matches one of
            ``values``; ``other``: some value of the request matches none of them.
        opaque: The values hold something unknown (a policy variable), so nothing follows from their text.
    """

    key: str
    test: str
    values: tuple[str, ...] = ()
    quantifier: str = ""
    opaque: bool = False


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of an atom."""

    part: Atom


@dataclass(frozen=True, slots=True)
class All:
    """True when every part is."""

    parts: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """True when at least one part is."""

    parts: tuple[Formula, ...]


Formula = Union[bool, Atom, Not, All, Some]  # noqa: UP007 - the classes refer to it before it exists


def negate(formula: Formula) -> Formula:
    """Return the opposite of a formula."""
    if isinstance(formula, bool):
        return not formula
    if isinstance(formula, Atom):
        return Not(formula)
    if isinstance(formula, Not):
        return formula.part
    if isinstance(formula, All):
        return some(negate(part) for part in formula.parts)
    return every(negate(part) for part in formula.parts)


def every(parts: Iterable[Formula]) -> Formula:
    """Return the formula that is true when all parts are."""
    return _combined(parts, All, neutral=True)


def some(parts: Iterable[Formula]) -> Formula:
    """Return the formula that is true when at least one part is."""
    return _combined(parts, Some, neutral=False)


def _combined(parts: Iterable[Formula], kind: type[All | Some], *, neutral: bool) -> Formula:
    kept: dict[Formula, None] = {}
    for part in parts:
        for one in part.parts if isinstance(part, kind) else (part,):
            if one is neutral:
                continue
            if isinstance(one, bool):
                return one
            kept[one] = None
    for one in kept:
        if isinstance(one, Not) and one.part in kept:
            return not neutral
    if not kept:
        return neutral
    return kind(tuple(kept)) if len(kept) > 1 else next(iter(kept))


def atoms(formula: Formula) -> Iterator[Atom]:
    """Yield the open questions of a formula, in order, each perhaps several times."""
    if isinstance(formula, Atom):
        yield formula
    elif isinstance(formula, Not):
        yield formula.part
    elif isinstance(formula, All | Some):
        for part in formula.parts:
            yield from atoms(part)


def assume(formula: Formula, atom: Atom, value: bool) -> Formula:
    """Return the formula with one question answered."""
    if isinstance(formula, bool):
        return formula
    if isinstance(formula, Atom):
        return value if formula == atom else formula
    if isinstance(formula, Not):
        return (not value) if formula.part == atom else formula
    combine = every if isinstance(formula, All) else some
    return combine(assume(part, atom, value) for part in formula.parts)


#: Answers to several questions at once.
Answers = dict[Atom, bool]

#: Work after which the search for a possible request gives up and leaves the formula open. A step costs one, and more
#: with many questions: what ``possible`` has to look at grows with the square of those that are answered.
BUDGET = 4000


def refine(formula: Formula, possible: Callable[[Answers], bool]) -> Formula:
    """Return True or False when the formula is so for every possible request, else the formula.

    Args:
        formula: What to decide.
        possible: Tells whether a request can answer some questions in this way. It may say yes to an
            impossible combination (then less is decided), never no to a possible one.
    """
    if isinstance(formula, bool):
        return formula
    size = sum(1 for _ in atoms(formula))
    for wanted in (True, False):
        left = [BUDGET]
        if not _satisfiable(formula if wanted else negate(formula), {}, possible, left, size) and left[0] > 0:
            return not wanted
    return formula


def _satisfiable(
    formula: Formula, answers: Answers, possible: Callable[[Answers], bool], left: list[int], size: int
) -> bool:
    left[0] -= 1 + (size + len(answers) ** 2) // 64
    if left[0] <= 0:
        return True
    if isinstance(formula, bool):
        return formula
    atom = next(atoms(formula))
    for value in (True, False):
        given = answers | {atom: value}
        if possible(given) and _satisfiable(assume(formula, atom, value), given, possible, left, size):
            return True
    return False


def clauses(formula: Formula, limit: int) -> list[tuple[Atom | Not, ...]] | None:
    """Return the formula as alternatives of conditions that must hold together, or None above the limit."""
    if isinstance(formula, bool):
        return [()] if formula else []
    if isinstance(formula, Atom | Not):
        return [(formula,)]
    if isinstance(formula, Some):
        found: list[tuple[Atom | Not, ...]] = []
        for part in formula.parts:
            inner = clauses(part, limit)
            if inner is None or len(found) + len(inner) > limit:
                return None
            found += [one for one in inner if one not in found]
        return found
    found = [()]
    for inner in _factors(formula, limit):
        if inner is None or len(found) * len(inner) > limit * 4:
            return None
        joined = [every((*left, *right)) for left in found for right in inner]
        found = []
        for one in joined:
            if one is False:
                continue
            parts = one.parts if isinstance(one, All) else () if one is True else (one,)
            clause = tuple(part for part in parts if isinstance(part, Atom | Not))
            if clause not in found:
                found.append(clause)
    shortest = [one for one in found if not any(set(other) < set(one) for other in found)]
    return shortest if len(shortest) <= limit else None


def _factors(formula: All, limit: int) -> Iterator[list[tuple[Atom | Not, ...]] | None]:
    """Yield the clauses of each part. Literals that stand together are one: joining them singly takes their square."""
    literals: list[Atom | Not] = []
    for part in formula.parts:
        if isinstance(part, Atom | Not):
            literals.append(part)
            continue
        if literals:
            yield [tuple(literals)]
            literals = []
        yield clauses(part, limit)
    if literals:
        yield [tuple(literals)]
