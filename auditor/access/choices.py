"""The values that somebody may choose for a condition key, and whether some of them answer conditions as wanted."""

from __future__ import annotations

import ipaddress
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from functools import lru_cache

from auditor.access.conditions import COMPARE
from auditor.access.formula import Atom
from auditor.access.patterns import IGNORING_CASE, SEGMENTS, arn_segments, fill, unresolved

#: The most states that the search for a text visits.
TEXT_BUDGET = 2000


@dataclass(frozen=True)
class Choice:
    """The values that a condition key may have.

    Attributes:
        within: Patterns, one of which a value matches.
        never: Globs that no value matches.
        kind: ``chosen`` by whoever asks; ``luck``: he can miss a value and not hit one; ``open``: nobody knows.
        form: What ``within`` holds: ``StringLike`` globs, ``ArnLike`` patterns, or ``Name``: globs whose wildcards
            are no colons.
    """

    within: tuple[str, ...] = ("*",)
    never: tuple[str, ...] = ()
    kind: str = "chosen"
    form: str = "StringLike"


def covers_all(atom: Atom, family: int) -> bool:
    """Tell whether a condition on a source address admits every address of an IP version."""
    if atom.test != "IpAddress":
        return False
    networks = [one for one in map(_network_of, atom.values) if one is not None and one.version == family]
    if family == 4:
        whole = ipaddress.collapse_addresses([one for one in networks if isinstance(one, ipaddress.IPv4Network)])
        return any(one.prefixlen == 0 for one in whole)
    return any(
        one.prefixlen == 0
        for one in ipaddress.collapse_addresses([one for one in networks if isinstance(one, ipaddress.IPv6Network)])
    )


def _network_of(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        return None


def feasible(choice: Choice, pairs: list[tuple[Atom, bool]]) -> bool | None:
    """Tell whether a key can have values that answer some questions so.

    Args:
        choice: The values that the key may have.
        pairs: Questions on the key, each with the answer wanted.

    Returns:
        None where that cannot be told.
    """
    absent = next((answer for atom, answer in pairs if atom.test == "absent"), None)
    tests = [(atom, answer) for atom, answer in pairs if atom.test != "absent"]
    if absent:
        return not any(answer for _, answer in tests)
    if all(not atom.quantifier for atom, _ in tests):
        if not tests or (absent is None and not any(answer for _, answer in tests)):
            return True if tests or absent is None else _value_exists(choice, [])
        return _value_exists(choice, tests)
    # Some of several values, each of which meets what is asked of all.
    of_all = [(replace(atom, quantifier=""), atom.quantifier == "other") for atom, answer in tests if not answer]
    of_one = [(replace(atom, quantifier=""), atom.quantifier != "other") for atom, answer in tests if answer]
    outcomes = [_value_exists(choice, [*of_all, one]) for one in of_one]
    if not of_one and absent is False:
        outcomes.append(_value_exists(choice, of_all))
    return False if False in outcomes else None if None in outcomes else True


def _value_exists(choice: Choice, tests: list[tuple[Atom, bool]]) -> bool | None:
    families = {_family(atom.test) for atom, _ in tests} or {"text"}
    if families == {"text"}:
        required = [_acceptor(atom) for atom, wanted in tests if wanted]
        # A value with a policy variable may differ from anything.
        forbidden = [_acceptor(atom) for atom, wanted in tests if not wanted and not atom.opaque]
        limits = (tuple(_compiled(one, choice.form) for one in choice.within), *required)
        never = (tuple(_compiled(one, choice.form) for one in choice.never), *forbidden)
        return _text_exists(limits, never)
    if len(families) != 1:
        return None
    points = _points(families.pop(), [value for atom, _ in tests for value in atom.values])
    if points is None:
        return None
    return any(
        all(any(COMPARE[atom.test](point, value) is True for value in atom.values) is wanted for atom, wanted in tests)
        for point in points
    )


def _family(test: str) -> str:
    if test in ("StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnLike"):
        return "text"
    return next((name for name in ("Bool", "Numeric", "IpAddress") if test.startswith(name)), "other")


def _points(family: str, values: list[str]) -> list[str] | None:
    """Return values of which at least one stands for each way in which values can compare, or None."""
    if family == "Bool":
        return ["true", "false"]
    if family == "Numeric":
        try:
            numbers = [Decimal(value.strip()) for value in values]
        except (InvalidOperation, ValueError):
            return None
        # A request's numbers are whole and not negative.
        near = {number + step for number in numbers for step in (-1, 0, 1)} | {Decimal(0)}
        return [str(number) for number in near if number >= 0]
    if family == "IpAddress":
        networks = [one for one in map(_network_of, values) if one is not None]
        starts = {"0.0.0.0", "::"}  # noqa: S104 - an address to compare with, nothing listens
        for one in networks:
            starts.add(str(one.network_address))
            last = int(one.broadcast_address)
            if last + 1 < 2**one.max_prefixlen:
                starts.add(str(type(one.network_address)(last + 1)))
        return sorted(starts)
    return None


#: One element of a compiled text: the characters it takes (None: any), whether it repeats, whether it takes colons.
_Element = tuple[frozenset[str] | None, bool, bool]
_Pattern = tuple[_Element, ...]


def _acceptor(atom: Atom) -> tuple[_Pattern, ...]:
    return tuple(_compiled(value, "Shape" + atom.test if atom.opaque else atom.test) for value in atom.values)


@lru_cache(maxsize=4096)
def _compiled(text: str, test: str) -> _Pattern:
    if test.startswith("Shape"):
        # What a policy variable stands for is not known: it may be anything.
        filled = fill(text, unresolved)
        return _compiled(filled.glob.text if filled.glob is not None else "*", "StringLike")
    if test == "ArnLike" and text != "*":
        elements: list[_Element] = []
        for number, segment in enumerate(arn_segments(text)):
            last = number == SEGMENTS - 1
            elements += _elements(segment, wild=True, any_case=number < IGNORING_CASE, colons=last)
            if not last:
                elements.append((frozenset(":"), False, True))
        return tuple(elements)
    wild = test in ("StringLike", "ArnLike", "Name")
    return tuple(_elements(text, wild=wild, any_case=test == "StringEqualsIgnoreCase", colons=test != "Name"))


def _elements(text: str, *, wild: bool, any_case: bool, colons: bool) -> Iterator[_Element]:
    for sign in text:
        if wild and sign in "*?":
            yield None, sign == "*", colons
        else:
            yield frozenset((sign.lower(), sign.upper()) if any_case else sign), False, True


_State = frozenset[tuple[int, int]]


@lru_cache(maxsize=16384)
def _text_exists(
    required: tuple[tuple[_Pattern, ...], ...], forbidden: tuple[tuple[_Pattern, ...], ...]
) -> bool | None:
    """Tell whether a text matches one pattern of every required group and none of the forbidden; None: too costly."""
    groups = (*required, *forbidden)
    letters = {
        sign for group in groups for pattern in group for signs, _, _ in pattern if signs is not None for sign in signs
    }
    other = next(chr(code) for code in range(97, 97 + len(letters) + 1) if chr(code) not in letters)
    alphabet = [*sorted(letters), other]
    start = tuple(_closure(group, {(number, 0) for number in range(len(group))}) for group in groups)
    seen = {start}
    queue = deque([start])
    while queue:
        states = queue.popleft()
        matched = [_accepts(group, state) for group, state in zip(groups, states, strict=True)]
        if all(matched[: len(required)]) and not any(matched[len(required) :]):
            return True
        for sign in alphabet:
            after = tuple(_step(group, state, sign) for group, state in zip(groups, states, strict=True))
            if after not in seen and all(after[: len(required)]):
                if len(seen) >= TEXT_BUDGET:
                    return None
                seen.add(after)
                queue.append(after)
    return False


def _closure(group: tuple[_Pattern, ...], positions: set[tuple[int, int]]) -> _State:
    todo = list(positions)
    while todo:
        number, at = todo.pop()
        if at < len(group[number]) and group[number][at][1] and (number, at + 1) not in positions:
            positions.add((number, at + 1))
            todo.append((number, at + 1))
    return frozenset(positions)


def _step(group: tuple[_Pattern, ...], state: _State, sign: str) -> _State:
    found = set()
    for number, at in state:
        if at < len(group[number]):
            signs, repeats, colons = group[number][at]
            if (signs is None and (colons or sign != ":")) or (signs is not None and sign in signs):
                found.add((number, at if repeats else at + 1))
    return _closure(group, found)


def _accepts(group: tuple[_Pattern, ...], state: _State) -> bool:
    return any(at == len(group[number]) for number, at in state)
