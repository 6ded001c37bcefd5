"""Condition operators of IAM on keys that are known, absent or unknown.

Every operator is brought to a positive comparison with an optional quantifier; what is negated or ends in
IfExists is made of it, so that a policy's ``StringNotEquals`` and another one's ``StringEquals`` on the same key
and values are opposites and cancel out.

Source: IAM User Guide, "IAM JSON policy elements: Condition operators" and "Conditions with multiple context keys
or values".
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

from auditor.access.actions import multivalued
from auditor.access.formula import Answers, Atom, Formula, every, negate, some
from auditor.access.patterns import Filled, Open, Resolve, arn_pattern, fill, glob
from auditor.access.policy import Condition
from auditor.access.words import spelled


class Keys:
    """Names of condition keys, ignoring case; a name that ends in ``*`` stands for all that begin so."""

    __slots__ = ("_names", "_prefixes")

    def __init__(self, names: Iterable[str] = ()) -> None:
        """Keep the names; a text is one name, not its letters."""
        folded = [str(name).lower() for name in ([names] if isinstance(names, str) else names)]
        self._names = frozenset(name for name in folded if not name.endswith("*"))
        self._prefixes = tuple(name[:-1] for name in folded if name.endswith("*"))

    def __contains__(self, key: str) -> bool:
        """Tell whether a key, in lower case, is named."""
        return key in self._names or (bool(self._prefixes) and key.startswith(self._prefixes))


@dataclass(frozen=True, slots=True)
class Context:
    """The condition keys of a request.

    Attributes:
        known: Key, lower case -> its values; a key without values is absent.
        unknown: Keys that may be absent or have any value.
        supplied: Keys that are surely there with a value that is not known.
        missing: Keys that are absent though ``unknown`` names them.
    """

    known: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unknown: Keys = field(default_factory=Keys)
    supplied: Keys = field(default_factory=Keys)
    missing: Keys = field(default_factory=Keys)

    def is_open(self, key: str) -> bool:
        """Tell whether the key's value is not known."""
        return not self.known.get(key) and (key in self.supplied or self._doubtful(key))

    def _doubtful(self, key: str) -> bool:
        return key in self.unknown and key not in self.missing

    def resolve(self, key: str) -> str | Open | None:
        """Return what a policy variable stands for; several values cannot stand in a text."""
        values = self.known.get(key)
        if values:
            return values[0] if len(values) == 1 else None
        return Open.OPEN if self.is_open(key) else None

    def absent(self, key: str) -> Formula:
        """Return whether the key is not in the request."""
        if self.known.get(key) or key in self.supplied:
            return False
        return Atom(key, "absent") if self._doubtful(key) else True


#: Compares one value of a request with one of a policy.
Compare = Callable[[str, str], bool | None]


#: Numbers as JSON writes them, a sign allowed; Python's own reading is more generous (1_000, ٣).
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?\Z")


def _number(text: str) -> Decimal | None:
    return Decimal(text.strip()) if _NUMBER.match(text.strip()) else None


@lru_cache(maxsize=4096)
def _moment(text: str) -> Decimal | None:
    """Return seconds since 1970 of an ISO 8601 date or of epoch seconds."""
    number = _number(text)
    if number is not None and not re.fullmatch(r"\d{4}", text.strip()):
        return number
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return number
    return Decimal(str((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()))


def _ordered(read: Callable[[str], Decimal | None], holds: Callable[[Decimal, Decimal], bool]) -> Compare:
    def compare(held: str, wanted: str) -> bool | None:
        left, right = read(held), read(wanted)
        return None if left is None or right is None else holds(left, right)

    return compare


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        return None


def _in_network(held: str, wanted: str) -> bool:
    network = _network(wanted)
    try:
        return network is not None and ipaddress.ip_address(held.strip()) in network
    except ValueError:
        return False


def _binary(held: str, wanted: str) -> bool:
    try:
        return base64.b64decode(held, validate=True) == base64.b64decode(wanted, validate=True)
    except (binascii.Error, ValueError):
        return held == wanted


def _same_truth(held: str, wanted: str) -> bool:
    return held.lower() == wanted.lower() and held.lower() in ("true", "false")


_ORDERS: dict[str, Callable[[Decimal | Fraction, Decimal | Fraction], bool]] = {
    "Equals": lambda left, right: left == right,
    "LessThan": lambda left, right: left < right,
    "LessThanEquals": lambda left, right: left <= right,
    "GreaterThan": lambda left, right: left > right,
    "GreaterThanEquals": lambda left, right: left >= right,
}

#: Positive comparison -> how it compares texts without wildcards; those with wildcards are compared as globs.
COMPARE: dict[str, Compare] = {
    "StringEquals": lambda held, wanted: held == wanted,
    "StringEqualsIgnoreCase": lambda held, wanted: held.lower() == wanted.lower(),
    "Bool": _same_truth,
    "IpAddress": _in_network,
    "BinaryEquals": _binary,
    "StringLike": lambda held, wanted: glob(wanted).matches(held),
    "ArnLike": lambda held, wanted: wanted == "*" or arn_pattern(wanted, None).matches(held),
    **{f"Numeric{name}": _ordered(_number, holds) for name, holds in _ORDERS.items()},
    **{f"Date{name}": _ordered(_moment, holds) for name, holds in _ORDERS.items()},
}

#: Operator, lower case and without set prefix and IfExists -> (positive comparison, negated).
OPERATORS: dict[str, tuple[str, bool]] = {name.lower(): (name, False) for name in COMPARE} | {
    "arnequals": ("ArnLike", False),
    "stringnotequals": ("StringEquals", True),
    "stringnotequalsignorecase": ("StringEqualsIgnoreCase", True),
    "stringnotlike": ("StringLike", True),
    "numericnotequals": ("NumericEquals", True),
    "datenotequals": ("DateEquals", True),
    "notipaddress": ("IpAddress", True),
    "arnnotequals": ("ArnLike", True),
    "arnnotlike": ("ArnLike", True),
}

#: Comparisons whose values may hold policy variables.
WITH_VARIABLES = ("StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnLike")

#: Comparisons that a value which cannot be read fails, negated or not.
STRICT = ("Numeric", "Date")


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator taken apart: quantifier (``any``, ``all`` or empty), comparison, negation, IfExists."""

    quantifier: str
    comparison: str
    negated: bool
    if_exists: bool


@lru_cache(maxsize=1024)
def parse_operator(text: str) -> Operator | None:
    """Take an operator's name apart; None when there is no such operator. ``Null`` is a comparison of its own."""
    prefix, colon, rest = text.rpartition(":")
    quantifier = {"": "", "foranyvalue": "any", "forallvalues": "all"}.get(prefix.lower())
    if quantifier is None or (colon and not quantifier):
        return None
    name = rest.lower()
    if name == "null":
        return None if quantifier else Operator("", "Null", negated=False, if_exists=False)
    if_exists = name.endswith("ifexists")
    known = OPERATORS.get(name.removesuffix("ifexists"))
    return None if known is None else Operator(quantifier, *known, if_exists)


def holds(conditions: Iterable[Condition], context: Context, *, variables: bool) -> Formula:
    """Return whether all conditions of a statement hold.

    Args:
        conditions: They.
        context: The request's keys.
        variables: The policy's version has policy variables.
    """
    return every(_one(condition, context, context.resolve if variables else None) for condition in conditions)


def doubt(condition: Condition) -> str | None:
    """Return what looks wrong in a condition, in words, or None."""
    operator = parse_operator(condition.operator)
    if operator is None:
        return f"has the condition operator {condition.operator}, which does not exist"
    if operator.comparison != "Null" and not operator.quantifier and multivalued(condition.key):
        forms = "ForAllValues or ForAnyValue"
        return f"compares {condition.key}, which has several values, by {condition.operator} without {forms}"
    return None


def _one(condition: Condition, context: Context, resolve: Resolve | None) -> Formula:
    operator, key = parse_operator(condition.operator), condition.key
    if operator is None:
        return Atom(f"the unknown condition operator {condition.operator} on {key} holds", "note")
    absent = context.absent(key)
    if operator.comparison == "Null":
        wanted = {one.lower() for one in condition.values}
        if not wanted <= {"true", "false"}:
            return False
        return some([absent if one == "true" else negate(absent) for one in sorted(wanted)])
    if operator.quantifier:
        return _set(operator, condition, context, resolve)
    if multivalued(key) and not context.known.get(key) and key in context.supplied:
        # By its documents IAM does not match here; that nobody gets through on the strength of it is not proved.
        return Atom(f"{condition.operator} holds on {spelled(key)}, which takes several values", "note")
    if multivalued(key) or len(context.known.get(key, ())) > 1:
        # A comparison of one value with a key of several matches nothing; only a missing key satisfies some forms.
        return absent if operator.negated or operator.if_exists else False
    matched = _matches(operator.comparison, "", condition, context, resolve)
    if operator.negated:
        readable = negate(_unreadable(operator.comparison, condition, context))
        # Without the key nothing is compared, so that what cannot be read does not matter.
        matched = every([negate(matched), some([absent, readable])])
    return some([absent, matched]) if operator.if_exists else matched


def _set(operator: Operator, condition: Condition, context: Context, resolve: Resolve | None) -> Formula:
    """Set operators, as statements about some value of the request."""
    wanted = "any" if operator.negated is (operator.quantifier == "all") else "other"
    found = _matches(operator.comparison, wanted, condition, context, resolve)
    if operator.quantifier == "all":
        return negate(found)
    if not operator.if_exists:
        return found
    # Whether ForAnyValue with IfExists holds without the key is documented nowhere.
    note = Atom(f"{condition.operator} holds where {condition.key} is missing", "note")
    return some([found, every([context.absent(condition.key), note])])


def _unreadable(comparison: str, condition: Condition, context: Context) -> Formula:
    """Return whether a number or date on either side cannot be read: then even a negated comparison fails."""
    if not comparison.startswith(STRICT):
        return False
    compare = COMPARE[comparison]
    values = (*condition.values, *context.known.get(condition.key, ()))
    return any(compare(value, value) is None for value in values)


def _matches(
    comparison: str, quantifier: str, condition: Condition, context: Context, resolve: Resolve | None
) -> Formula:
    """Return whether a value of the request matches one of the policy's (``other``: matches none of them)."""
    key = condition.key
    filled = [fill(one, resolve if comparison in WITH_VARIABLES else None) for one in condition.values]
    usable = [(text, one) for text, one in zip(condition.values, filled, strict=True) if one.glob is not None]
    if context.is_open(key):
        return _open_key(comparison, quantifier, key, usable, context)
    held = context.known.get(key)
    if not held:
        return False
    outcomes = [_value_matches(comparison, quantifier, key, one, usable, resolve) for one in held]
    if quantifier == "other":
        return some([negate(outcome) for outcome in outcomes])
    return some(outcomes)


def _value_matches(
    comparison: str, quantifier: str, key: str, held: str, usable: list[tuple[str, Filled]], resolve: Resolve | None
) -> Formula:
    still_open = []
    for text, one in usable:
        matched = _compare(comparison, held, text, one, resolve)
        if matched is None:
            still_open.append(text)
        elif matched:
            return True
    if not still_open:
        return False
    return Atom(f"{key}={held}", comparison, tuple(still_open), "", opaque=True)


def _compare(comparison: str, held: str, text: str, one: Filled, resolve: Resolve | None) -> bool | None:
    """Compare one value; None when a variable's value decides."""
    if comparison == "ArnLike":
        if text == "*":
            return True
        pattern = arn_pattern(text, resolve)
        matched = pattern.matches(held)
        return None if matched and pattern.open else matched
    if one.open:
        # The glob has a star where the variable stands: what it cannot match, no value can.
        shape = one.glob if comparison == "StringLike" else glob("*")
        return None if shape is not None and shape.matches(held) else False
    if comparison == "StringLike":
        return one.glob is not None and one.glob.matches(held)
    return one.plain is not None and COMPARE[comparison](held, one.plain) is True


def _open_key(
    comparison: str, quantifier: str, key: str, usable: list[tuple[str, Filled]], context: Context
) -> Formula:
    present = negate(context.absent(key))
    texts = tuple(sorted({text if one.open else (one.plain or "") for text, one in usable}))
    opaque = any(one.open or (one.risky and comparison in ("StringLike", "ArnLike")) for _, one in usable)
    if comparison == "Bool":
        everything = {one.lower() for one in texts} >= {"true", "false"}
    else:
        stars = comparison in ("StringLike", "ArnLike")
        everything = stars and any(one.plain == "*" and not one.risky for _, one in usable)
    if everything:
        return False if quantifier == "other" else present
    if comparison == "Bool":
        texts = tuple(one.lower() for one in texts if one.lower() in ("true", "false"))
    elif comparison.startswith(STRICT):
        texts = tuple(one for one in texts if COMPARE[comparison](one, one) is not None)
    elif comparison == "IpAddress":
        texts = tuple(one for one in texts if _network(one) is not None)
    if not texts:
        return present if quantifier == "other" else False
    return Atom(key, comparison, texts, quantifier, opaque)


#: Comparisons with finitely many matching values, all named in the policy.
_CONSTANT = ("StringEquals", "Bool")


def possible(answers: Answers) -> bool:
    """Tell whether one request can answer all these questions so, as far as the values' texts tell."""
    by_key: dict[str, list[tuple[Atom, bool]]] = {}
    for atom, answer in answers.items():
        if atom.test != "note":
            by_key.setdefault(atom.key, []).append((atom, answer))
    return all(_possible_key(pairs) for pairs in by_key.values())


def _possible_key(pairs: list[tuple[Atom, bool]]) -> bool:
    absent = next((answer for atom, answer in pairs if atom.test == "absent"), None)
    tests = [(atom, answer) for atom, answer in pairs if atom.test != "absent"]
    if absent and any(answer for _, answer in tests):
        return False
    plain = [(atom, answer) for atom, answer in tests if not atom.opaque]
    single = [(atom, answer) for atom, answer in plain if not atom.quantifier]
    candidates: set[str] | None = None
    for atom, answer in single:
        if answer and (atom.test in _CONSTANT or (atom.test == "StringLike" and _plain(atom.values))):
            candidates = set(atom.values) if candidates is None else candidates & set(atom.values)
    if candidates is not None and not any(
        all(_satisfies(atom, one) is answer for atom, answer in single) for one in candidates
    ):
        return False
    if not all(_possible_order(family, read, single) for family, read in (("Numeric", _number), ("Date", _moment))):
        return False
    if absent is False:
        denied = {value for atom, answer in single if atom.test == "Bool" and not answer for value in atom.values}
        if {"true", "false"} <= denied:
            return False
        for atom, answer in plain:
            if atom.quantifier == "any" and not answer:
                mirror = Atom(atom.key, atom.test, atom.values, "other")
                if any(one == mirror and not held for one, held in plain):
                    return False
    return _respects_subsets(plain)


#: Comparisons of one key by size that are checked against each other; more take too long.
ORDERED = 24


def _possible_order(family: str, read: Callable[[str], Decimal | None], single: list[tuple[Atom, bool]]) -> bool:
    """Tell whether some number lies where the answers say: on a bound, between two, or beyond them."""
    ordered = [(atom, answer) for atom, answer in single if atom.test.startswith(family)]
    if not 2 <= len(ordered) <= ORDERED or not any(answer for _, answer in ordered):
        return True
    tests = [
        (
            _ORDERS[atom.test.removeprefix(family)],
            [Fraction(bound) for one in atom.values if (bound := read(one)) is not None],
            answer,
        )
        for atom, answer in ordered
    ]
    bounds = sorted({bound for _, held, _ in tests for bound in held})
    between = [(low + high) / 2 for low, high in pairwise(bounds)]
    beyond = [bounds[0] - 1, bounds[-1] + 1] if bounds else []
    return any(
        all(any(order(value, bound) for bound in held) is answer for order, held, answer in tests)
        for value in (*bounds, *between, *beyond)
    )


def _plain(values: Iterable[str]) -> bool:
    return not any("*" in value or "?" in value for value in values)


def _respects_subsets(plain: list[tuple[Atom, bool]]) -> bool:
    """More values match more requests: a request that matches fewer cannot miss the more."""
    for fewer, first in plain:
        for more, second in plain:
            if fewer is more or (fewer.test, fewer.quantifier) != (more.test, more.quantifier):
                continue
            if set(fewer.values) <= set(more.values):
                if fewer.quantifier == "other":
                    if second and not first:
                        return False
                elif first and not second:
                    return False
    return True


def _satisfies(atom: Atom, value: str) -> bool:
    return any(COMPARE[atom.test](value, one) is True for one in atom.values)
