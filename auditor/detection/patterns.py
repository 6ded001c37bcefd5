"""Event patterns of EventBridge, on events of calls that CloudTrail recorded.

A pattern names members of the event; each leaf is a list of alternatives: values or comparisons. What the
documentation leaves open (numbers that are equal but written in another way, ``exists`` on an object) is undecidable.

Source: Amazon EventBridge User Guide, "Creating Amazon EventBridge event patterns" and "Comparison operators for use
in event patterns".
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from auditor.detection.logic import Unparsable, Verdict, every, negate, some
from auditor.detection.wildcards import fits

#: An event pattern has at most 4,096 characters (events:PutRule); more is refused with room to spare.
_LONGEST = 16384
_DEEPEST = 40

_Test = Callable[[Any], Verdict]

#: Stands for a member that is not there.
_ABSENT = object()
#: Stands for a member that is not there because what it would be in is none or no object.
_NOWHERE = object()


@dataclass(frozen=True, slots=True)
class EventPattern:
    """An event pattern that was read.

    Attributes:
        text: The pattern.
    """

    text: str
    _test: _Test

    def matches(self, envelope: Mapping[str, Any]) -> bool | None:
        """Tell whether an event matches.

        Args:
            envelope: The event of EventBridge: ``source``, ``detail-type``, ``detail``, ...

        Returns:
            True or False where AWS documents it; None where it does not.
        """
        return self._test(envelope)


@dataclass(frozen=True, slots=True)
class _Number:
    """A number as the pattern writes it."""

    text: str

    @property
    def value(self) -> Decimal:
        return Decimal(self.text)


def _number(text: str) -> _Number:
    """EventBridge compares numbers of up to 15 digits between -5e9 and 5e9; what is far from that is refused."""
    if len(text) > 40 or not re.fullmatch(r"[^eE]*(?:[eE][+-]?\d{1,3})?", text):
        raise Unparsable("it has a number that is too large")
    return _Number(text)


def parse(text: str) -> EventPattern:
    """Read an event pattern.

    Args:
        text: ``EventPattern``, JSON.

    Returns:
        The pattern.

    Raises:
        Unparsable: When it is no JSON, not a pattern, or uses an operator that is not known.
    """
    if len(text) > _LONGEST:
        raise Unparsable("it is too long")
    try:
        tree = json.loads(
            text, parse_int=_number, parse_float=_number, parse_constant=_no_constant, object_pairs_hook=_object
        )
    except Unparsable:
        raise
    except (ValueError, RecursionError) as error:
        raise Unparsable("it is no JSON") from error
    if not isinstance(tree, dict):
        raise Unparsable("it is no JSON object")
    return EventPattern(text, _fields(tree, 0))


def _no_constant(name: str) -> Any:
    raise Unparsable(f"{name} is no JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise Unparsable(f"it names {twice!r} twice in one object")
    return dict(pairs)


def _fields(tree: Mapping[str, Any], depth: int) -> _Test:
    """Read an object of a pattern: all its members must match."""
    if depth > _DEEPEST:
        raise Unparsable("it is nested too deeply")
    if not tree:
        raise Unparsable("it has an object without members")
    tests: list[_Test] = []
    for name, below in tree.items():
        if name == "$or":
            tests.append(_alternatives(below, depth))
        elif isinstance(below, dict):
            tests.append(_member(name, _fields(below, depth + 1)))
        elif isinstance(below, list):
            tests.append(_member(name, _leaf(name, below)))
        else:
            raise Unparsable(f"the value of {name!r} is no list")

    def decide(value: Any) -> Verdict:
        if isinstance(value, Mapping) or value is _NOWHERE or value is _ABSENT:
            return every(test(value) for test in tests)
        if isinstance(value, list | tuple):
            return _elements(value, decide)
        # A pattern for an object where a plain value stands: its members are nowhere.
        return every(test(_NOWHERE) for test in tests)

    return decide


def _elements(values: Sequence[Any], decide: _Test) -> Verdict:
    """An array of objects matches by one of them; members spread over several are not documented."""
    if not values:
        return decide(_NOWHERE)
    objects = [value for value in values if isinstance(value, Mapping)]
    if len(objects) < len(values):
        return None
    if len(objects) == 1:
        return decide(objects[0])
    results = {decide(value) for value in objects}
    return results.pop() if len(results) == 1 and True in results else None


def _member(name: str, test: _Test) -> _Test:
    def decide(value: Any) -> Verdict:
        if isinstance(value, Mapping):
            return test(value[name]) if name in value else test(_ABSENT)
        return test(_NOWHERE)

    return decide


def _alternatives(below: Any, depth: int) -> _Test:
    """Read ``$or``: at least two objects."""
    if not isinstance(below, list) or len(below) < 2 or not all(isinstance(each, dict) for each in below):
        raise Unparsable("$or is no list of at least two objects")
    tests = [_fields(each, depth + 1) for each in below]
    return lambda value: some(test(value) for test in tests)


def _leaf(name: str, below: list[Any]) -> _Test:
    """Read the alternatives of a leaf."""
    if not below:
        raise Unparsable(f"the list of {name!r} is empty")
    tests: list[_Test] = []
    denials: list[_Test] = []
    exists: list[bool] = []
    for each in below:
        if isinstance(each, dict):
            operator, operand = _only(each)
            if operator == "exists":
                if not isinstance(operand, bool):
                    raise Unparsable("exists is neither true nor false")
                exists.append(operand)
            else:
                tests.append(_comparison(operator, operand))
                denials += tests[-1:] if operator == "anything-but" else []
        elif isinstance(each, list):
            raise Unparsable(f"the list of {name!r} has a list inside")
        else:
            tests.append(_exactly(each))

    def decide(value: Any) -> Verdict:
        if value is _ABSENT:
            return False in exists
        if value is _NOWHERE:
            # Whether a member is said not to exist below what does not exist itself is not documented.
            return None if False in exists else False
        return some((_exists(value, exists), _values(value, tests, denials)))

    return decide


def _exists(value: Any, exists: list[bool]) -> Verdict:
    """``exists`` works on leaves only; of an object or an empty array nothing is documented."""
    if not exists:
        return False
    if isinstance(value, Mapping) or (isinstance(value, list | tuple) and not _plain(value)):
        return None
    return True in exists


def _plain(values: Sequence[Any]) -> bool:
    return bool(values) and not any(isinstance(value, Mapping | list | tuple) for value in values)


def _values(value: Any, tests: list[_Test], denials: list[_Test]) -> Verdict:
    """An array matches by any of its elements; an object never, since the pattern asks for a leaf."""
    if not tests:
        return False
    if isinstance(value, Mapping):
        return False
    if not isinstance(value, list | tuple):
        return some(test(value) for test in tests)
    if any(isinstance(each, Mapping | list | tuple) for each in value):
        return None
    return some(_across({test(each) for each in value}, denied=test in denials) for test in tests)


def _across(results: set[Verdict], *, denied: bool) -> Verdict:
    """Join what the elements of an array say: of anything-but it is not documented whether one of them suffices."""
    return None if denied and len(results) > 1 else some(results)


def _only(operation: Mapping[str, Any]) -> tuple[str, Any]:
    if len(operation) != 1:
        raise Unparsable("a comparison has not exactly one operator")
    return next(iter(operation.items()))


def _exactly(wanted: Any) -> _Test:
    """Compare with a value of JSON: texts, numbers, booleans and null are of different kinds."""
    if isinstance(wanted, _Number):
        return lambda value: _same_number(value, wanted)
    return lambda value: type(value) is type(wanted) and value == wanted


def _same_number(value: Any, wanted: _Number) -> Verdict:
    """AWS compares numbers by how they are written: 300, 300.0 and 3.0e2 are not said to be equal."""
    found = _numeric(value)
    if found is None or found != wanted.value:
        return False
    return True if json.dumps(value) == wanted.text else None


def _numeric(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = Decimal(str(value))
    except (ValueError, ArithmeticError):
        return None
    return found if found.is_finite() else None


def _comparison(operator: str, operand: Any) -> _Test:
    """Read a comparison."""
    if operator == "numeric":
        return _numbers(operand)
    if operator == "cidr":
        return _cidr(operand)
    if operator == "anything-but":
        return _anything_but(operand)
    test = _text(operator, operand)
    return lambda value: isinstance(value, str) and test(value)


def _text(operator: str, operand: Any) -> Callable[[str], bool]:
    """Read a comparison of texts."""
    if operator in ("prefix", "suffix") and isinstance(operand, dict):
        inner, text = _only(operand)
        if inner != "equals-ignore-case" or not isinstance(text, str):
            raise Unparsable(f"{operator} has an operator that is not known")
        folded = text.lower()
        if operator == "prefix":
            return lambda value: value.lower().startswith(folded)
        return lambda value: value.lower().endswith(folded)
    if not isinstance(operand, str):
        raise Unparsable(f"the operand of {operator} is no text")
    if operator == "prefix":
        return lambda value: value.startswith(operand)
    if operator == "suffix":
        return lambda value: value.endswith(operand)
    if operator == "equals-ignore-case":
        folded = operand.lower()
        return lambda value: value.lower() == folded
    if operator == "wildcard":
        pieces = _pieces(operand)
        return lambda value: fits(pieces, value)
    raise Unparsable(f"the operator {operator!r} is not known")


def _pieces(text: str) -> list[str]:
    r"""Divide a text at its stars; ``\*`` and ``\\`` stand for the sign itself."""
    pieces = [""]
    signs = iter(text)
    before = ""
    for sign in signs:
        if sign == "*":
            if before == "*":
                raise Unparsable("a wildcard has two stars side by side")
            pieces.append("")
        elif sign == "\\":
            hidden = next(signs, "")
            if hidden not in ("*", "\\"):
                raise Unparsable("a wildcard has a backslash before something else than a star or a backslash")
            pieces[-1] += hidden
        else:
            pieces[-1] += sign
        before = sign
    return pieces


def _anything_but(operand: Any) -> _Test:
    """Read ``anything-but``: a value, a list of texts or of numbers, or a comparison of texts."""
    if isinstance(operand, dict):
        operator, texts = _only(operand)
        if operator not in ("prefix", "suffix", "equals-ignore-case", "wildcard"):
            raise Unparsable(f"anything-but has the operator {operator!r}, which is not known there")
        listed = texts if isinstance(texts, list) else [texts]
        if not all(isinstance(text, str) for text in listed):
            raise Unparsable(f"anything-but has something else than texts for {operator}")
        tests = [_text(operator, text) for text in listed]
        if not tests:
            raise Unparsable("anything-but has an empty list")
        return lambda value: not any(test(value) for test in tests) if isinstance(value, str) else None
    listed = operand if isinstance(operand, list) else [operand]
    if not listed:
        raise Unparsable("anything-but has an empty list")
    if all(isinstance(each, str) for each in listed):
        return lambda value: value not in listed if isinstance(value, str) else None
    if all(isinstance(each, _Number) for each in listed):
        return lambda value: (
            None if _numeric(value) is None else negate(some(_same_number(value, each) for each in listed))
        )
    raise Unparsable("anything-but has something else than texts or numbers")


def _numbers(operand: Any) -> _Test:
    """Read ``numeric``: an operator and a number, or two of them for a range."""
    if not isinstance(operand, list) or len(operand) not in (2, 4):
        raise Unparsable("numeric is no list of an operator and a number, once or twice")
    bounds: list[tuple[str, Decimal]] = []
    for operator, number in zip(operand[::2], operand[1::2], strict=True):
        if operator not in ("=", "<", "<=", ">", ">=") or not isinstance(number, _Number):
            raise Unparsable("numeric has something else than operators and numbers")
        bounds.append((operator, number.value))
    if len(bounds) == 2 and (bounds[0][0] not in (">", ">=") or bounds[1][0] not in ("<", "<=")):
        raise Unparsable("numeric has two bounds that are no range")

    def test(value: Any) -> Verdict:
        found = _numeric(value)
        if found is None:
            return False
        return all(
            {"=": found == bound, "<": found < bound, "<=": found <= bound, ">": found > bound, ">=": found >= bound}[
                operator
            ]
            for operator, bound in bounds
        )

    return test


def _cidr(operand: Any) -> _Test:
    if not isinstance(operand, str):
        raise Unparsable("the operand of cidr is no text")
    try:
        network = ipaddress.ip_network(operand, strict=False)
    except ValueError as error:
        raise Unparsable(f"{operand!r} is no range of addresses") from error

    def test(value: Any) -> Verdict:
        if not isinstance(value, str):
            return False
        try:
            return ipaddress.ip_address(value) in network
        except ValueError:
            return False

    return test
