"""Alarm rules of composite alarms: does the composite alarm go off when some alarm does?

Source: Amazon CloudWatch API Reference, PutCompositeAlarm, ``AlarmRule``; CloudWatch User Guide, "Combining alarms".
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction

from auditor.detection.logic import Unparsable, Verdict, either_order, negate

#: An alarm rule has at most 10,240 characters (cloudwatch:PutCompositeAlarm).
_LONGEST = 10_240
_DEEPEST = 100


def evaluate(rule: str, alarm: Collection[str]) -> bool | None:
    """Tell whether a composite alarm goes into ALARM.

    Args:
        rule: ``AlarmRule``.
        alarm: Names or ARNs of the alarms in ALARM, of the composite alarm's account and region; pass both of an
            alarm, since a rule may use either. Every other alarm counts as OK.

    Returns:
        The rule's value; None for a rule that cannot be read or whose value the documentation leaves open: AND and OR
        side by side without parentheses, and an ARN of which only the name is known. A rule that is true without any
        alarm tells nobody of one: alarms act when their state changes.
    """
    if len(rule) > _LONGEST:
        return None
    try:
        return _Reader(rule, frozenset(alarm)).rule()
    except Unparsable:
        return None


_TOKEN = re.compile(r"\s*(?:(?P<word>[A-Za-z_]+)|(?P<sign>[(),]))")
_NAME = re.compile(r"\s*(?:\"(?P<quoted>[^\"\\]+)\"|(?P<plain>[^\"()\\,\s](?:[^\"()\\,]*[^\"()\\,\s])?))\s*(?=[),])")
_LEAST = re.compile(r"\s*(?P<number>\d{1,4})(?P<percent>%?)\s*,")
_STATES = ("ALARM", "OK", "INSUFFICIENT_DATA")


@dataclass(slots=True)
class _Reader:
    """Reads and evaluates a rule."""

    text: str
    alarm: frozenset[str]
    here: int = 0

    def peek(self) -> str:
        found = _TOKEN.match(self.text, self.here)
        return found[found.lastgroup or 0].upper() if found else ""

    def take(self, *wanted: str) -> str:
        found = _TOKEN.match(self.text, self.here)
        text = found[found.lastgroup or 0].upper() if found else ""
        if not found or text not in wanted:
            raise Unparsable(f"{' or '.join(wanted)} is missing")
        self.here = found.end()
        return text

    def rule(self) -> Verdict:
        value = self.expression(0)
        if self.text[self.here :].strip():
            raise Unparsable("something stands behind its end")
        return value

    def expression(self, depth: int) -> Verdict:
        if depth > _DEEPEST:
            raise Unparsable("it is nested too deeply")
        values, operators = [self.single(depth)], []
        while self.peek() in ("AND", "OR"):
            operators.append(self.take("AND", "OR").lower())
            values.append(self.single(depth))
        return either_order(values, operators)

    def single(self, depth: int) -> Verdict:
        if depth > _DEEPEST:
            raise Unparsable("it is nested too deeply")
        word = self.take("NOT", "(", "TRUE", "FALSE", "AT_LEAST", *_STATES)
        if word == "NOT":
            return negate(self.single(depth + 1))
        if word == "(":
            value = self.expression(depth + 1)
            self.take(")")
            return value
        if word in ("TRUE", "FALSE"):
            return word == "TRUE"
        self.take("(")
        value = self.at_least() if word == "AT_LEAST" else self.holds(self.name(), word)
        self.take(")")
        return value

    def at_least(self) -> Verdict:
        """``AT_LEAST(2, ALARM, (a, b, c))`` or ``AT_LEAST(50%, ALARM, (a, b))``."""
        found = _LEAST.match(self.text, self.here)
        if not found:
            raise Unparsable("AT_LEAST has no number")
        self.here = found.end()
        state = self.take(*_STATES)
        self.take(",")
        self.take("(")
        holds = [self.holds(self.name(), state)]
        while self.take(",", ")") == ",":
            holds.append(self.holds(self.name(), state))
        needed = Fraction(int(found["number"]))
        if found["percent"]:
            needed = needed * len(holds) / 100
        if holds.count(True) >= needed:
            return True
        return False if len(holds) - holds.count(False) < needed else None

    def name(self) -> str:
        found = _NAME.match(self.text, self.here)
        if not found:
            raise Unparsable("the name of an alarm is missing")
        self.here = found.end()
        return found["quoted"] or found["plain"]

    def holds(self, name: str, state: str) -> Verdict:
        """Tell whether an alarm is in a state."""
        if state == "INSUFFICIENT_DATA":
            return False
        value = self.fires(name)
        return value if state == "ALARM" else negate(value)

    def fires(self, name: str) -> Verdict:
        if name in self.alarm:
            return True
        if name.startswith("arn:"):
            own = name.partition(":alarm:")[2]
            if own not in self.alarm:
                return False
            # Known by name alone: an ARN of that name may be of another account or region.
            return (
                False
                if any(other.startswith("arn:") and other.endswith(f":alarm:{own}") for other in self.alarm)
                else None
            )
        return any(other.startswith("arn:") and other.partition(":alarm:")[2] == name for other in self.alarm)
