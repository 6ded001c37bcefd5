"""How many events set an alarm off: thresholds, statistics, periods and missing data, worked out on paper.

An attack is a burst of events in one period of a metric that is quiet otherwise. It fills one data point; whether
that is enough is for ``EvaluationPeriods``, ``DatapointsToAlarm`` and ``TreatMissingData`` to say. An alarm that is in
ALARM while nothing happens does not go off when something does.

Source: Amazon CloudWatch User Guide, "Using Amazon CloudWatch alarms", "Configuring how CloudWatch alarms treat missing
data", "Using math expressions with CloudWatch metrics"; CloudWatch Logs User Guide, "Creating metrics from log events
using filters".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from auditor.facts import AlarmInfo, AlarmMetric, Gap, Reason


@dataclass(frozen=True, slots=True)
class Firing:
    """What sets an alarm off.

    Attributes:
        needed: Events within one period; None: no number of events does, or that is not known.
        why: Where no number does, the reason as a sentence.
        gap: Where it is not known, the reason.
        note: A weakness, as a sentence.
    """

    needed: int | None = None
    why: str = ""
    gap: Gap | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Samples:
    """What one event leaves in a metric.

    Attributes:
        values: ``metricValue`` of each metric filter that the event matches, as text.
        default: ``defaultValue``, which the metric has in minutes without such events; None: nothing.
    """

    values: tuple[str, ...] = ()
    default: float | None = None


@dataclass(frozen=True, slots=True)
class _Line:
    """A data point as a function of the number of events: ``slope * events + base``, and its value without any."""

    slope: Fraction
    base: Fraction
    idle: Fraction | None

    def at(self, events: int) -> Fraction:
        return self.slope * events + self.base


class _Open(Exception):
    """It cannot be decided; the text says why, as a sentence."""


def plain_metrics(alarm: AlarmInfo) -> tuple[AlarmMetric, ...]:
    """Return the metrics that a metric alarm reads, math expressions left out."""
    if not alarm.metrics:
        return (
            AlarmMetric(
                "",
                None,
                alarm.namespace,
                alarm.metric,
                alarm.dimensions,
                alarm.statistic,
                alarm.period,
                unit=alarm.unit,
            ),
        )
    return tuple(one for one in alarm.metrics if one.expression is None)


def events_needed(alarm: AlarmInfo, samples: Mapping[str, Samples]) -> Firing:
    """Tell how many events set a metric alarm off.

    Args:
        alarm: The alarm.
        samples: What an event leaves in its metrics, by ``Id`` (an empty text for an alarm on one metric).

    Returns:
        The number, or why there is none.
    """
    try:
        return _fire(alarm, _line(alarm, samples))
    except _Open as reason:
        return Firing(gap=Gap(Reason.UNDECIDABLE, f"The alarm {alarm.alarm.name} cannot be evaluated: {reason}"))


def rows_needed(alarm: AlarmInfo) -> Firing:
    """Tell how many events set an alarm on a log query off, when each is a row of the query's result."""
    try:
        if not re.fullmatch(r"\s*count\s*\([^()]*\)\s*", alarm.statistic, re.IGNORECASE):
            raise _Open(f"its aggregation {alarm.statistic!r} is no count.")
        return _fire(alarm, _Line(Fraction(1), Fraction(0), None))
    except _Open as reason:
        return Firing(gap=Gap(Reason.UNDECIDABLE, f"The alarm {alarm.alarm.name} cannot be evaluated: {reason}"))


def _fire(alarm: AlarmInfo, line: _Line) -> Firing:
    if alarm.threshold_metric is not None:
        raise _Open("it watches for anomalies.")
    if alarm.threshold is None or not math.isfinite(alarm.threshold):
        raise _Open("it has no threshold.")
    threshold = Fraction(str(alarm.threshold))
    over = alarm.comparison.lower()
    missing = alarm.missing.lower()
    if line.idle is None and missing == "breaching":
        return Firing(why="It treats missing data as breaching and so is in ALARM while nothing happens.")
    if line.idle is not None and _holds(line.idle, over, threshold):
        return Firing(why=f"It is in ALARM while nothing happens: its threshold is {alarm.threshold:g}.")
    needed = _fewest(line, over, threshold)
    if needed is None:
        return Firing(why=f"No number of events breaches its threshold of {alarm.threshold:g} ({alarm.comparison}).")
    if line.slope != 0 and (line.slope > 0) is not over.startswith("greater"):
        return Firing(
            why=f"It goes off at few events only: more of them do not breach its threshold of {alarm.threshold:g} "
            f"({alarm.comparison})."
        )
    points = alarm.evaluation_periods if alarm.datapoints is None else alarm.datapoints
    if points > 1:
        if line.idle is None and missing not in ("notbreaching", "breaching"):
            raise _Open(f"it wants {points} data points, a burst fills one, and the others are missing.")
        return Firing(why=f"It wants {points} data points above the threshold, and a burst of events fills one.")
    stays = line.idle is None and missing == "ignore"
    return Firing(needed, note="It ignores missing data and so stays in ALARM after the first event." if stays else "")


def _holds(value: Fraction, comparison: str, threshold: Fraction) -> bool:
    if comparison == "greaterthanorequaltothreshold":
        return value >= threshold
    if comparison == "greaterthanthreshold":
        return value > threshold
    if comparison == "lessthanorequaltothreshold":
        return value <= threshold
    if comparison == "lessthanthreshold":
        return value < threshold
    raise _Open("it watches for anomalies.")


def _fewest(line: _Line, comparison: str, threshold: Fraction) -> int | None:
    """Return the smallest number of events, at least one, whose data point breaches the threshold."""
    if _holds(line.at(1), comparison, threshold):
        return 1
    rising = comparison.startswith("greater")
    if line.slope == 0 or (line.slope > 0) is not rising:
        return None
    exact = (threshold - line.base) / line.slope
    events = max(1, math.floor(exact))
    return next(one for one in (events, events + 1) if _holds(line.at(one), comparison, threshold))


def _line(alarm: AlarmInfo, samples: Mapping[str, Samples]) -> _Line:
    plain = {one.id: one for one in plain_metrics(alarm)}
    if not alarm.metrics:
        return _point(plain[""], samples.get("", Samples()))
    returned = [one for one in alarm.metrics if one.returned]
    if len(returned) != 1:
        raise _Open("it does not return one metric.")
    watched = returned[0]
    if watched.expression is None:
        return _point(watched, samples.get(watched.id, Samples()))
    terms, filled = _terms(watched.expression, alarm.metrics)
    held = {one: samples.get(one, Samples()) for one in terms}
    if filled:
        held = {one: Samples(has.values, 0.0 if has.default is None else has.default) for one, has in held.items()}
    if len(terms) == 1:
        return _point(plain[terms[0]], held[terms[0]])
    return _sum([(plain[one], has) for one, has in held.items()])


def _sum(terms: Sequence[tuple[AlarmMetric, Samples]]) -> _Line:
    """Add up metrics; those that have no data in a period add nothing."""
    lines = []
    for metric, has in terms:
        if metric.statistic.lower() not in ("sum", "samplecount"):
            raise _Open(f"its expression adds up something else than sums: {metric.statistic}.")
        if has.values or has.default is not None:
            lines.append(_point(metric, has))
    if not lines:
        raise _Open("nothing is known of what its expression adds up.")
    idle = [line.idle for line in lines if line.idle is not None]
    return _Line(
        sum((line.slope for line in lines), Fraction(0)),
        sum((line.base for line in lines), Fraction(0)),
        sum(idle, Fraction(0)) if idle else None,
    )


def _point(metric: AlarmMetric, has: Samples) -> _Line:
    """Return the data point that events make of a metric."""
    statistic = metric.statistic.lower()
    idle = None if has.default is None else _number(has.default)
    count = len(has.values)
    if statistic == "samplecount":
        if idle is not None:
            raise _Open("it counts samples, and its metric filter's default value makes samples too.")
        return _Line(Fraction(count), Fraction(0), None)
    values = [_number(one) for one in has.values]
    total = sum(values, Fraction(0))
    if statistic == "sum":
        if idle:
            raise _Open(f"its metric filter's default value is {has.default:g}.")
        return _Line(total, Fraction(0), idle)
    if not values:
        if idle is None:
            raise _Open("its metric has no data.")
        return _Line(Fraction(0), idle, idle)
    if statistic in ("maximum", "minimum"):
        extreme = max(values) if statistic == "maximum" else min(values)
        beyond = idle is not None and (idle > extreme if statistic == "maximum" else idle < extreme)
        if beyond:
            raise _Open(f"its metric filter's default value is {has.default:g}.")
        return _Line(Fraction(0), extreme, idle)
    if statistic != "average" and not re.fullmatch(r"p\d{1,2}(?:\.\d+)?|p100", statistic):
        raise _Open(f"its statistic is {metric.statistic or 'not given'}.")
    if idle is not None:
        raise _Open("its statistic mixes events with its metric filter's default value.")
    if statistic != "average" and len(set(values)) > 1:
        raise _Open("its statistic is a percentile of different values.")
    return _Line(Fraction(0), total / count, None)


def _number(value: str | float) -> Fraction:
    try:
        number = float(value)
        if math.isfinite(number):
            return Fraction(str(number))
    except ValueError:
        pass
    raise _Open(f"its metric filter's value is {value}.")


_ID = re.compile(r"[a-z][A-Za-z0-9_]{0,254}")
_CALL = re.compile(r"(?P<name>SUM|FILL|METRICS)\s*\((?P<inner>.*)\)", re.DOTALL)


def _terms(expression: str, metrics: Sequence[AlarmMetric], depth: int = 0) -> tuple[list[str], bool]:
    """Return the ids of the plain metrics that an expression adds up, and whether what is missing counts as 0."""
    text = expression.strip()
    refused = _Open(f"its expression {expression.strip()[:80]!r} is not one that is worked out.")
    if depth > 8:
        raise refused
    if _ID.fullmatch(text):
        named = next((one for one in metrics if one.id == text), None)
        if named is None:
            raise refused
        return ([text], False) if named.expression is None else _terms(named.expression, metrics, depth + 1)
    call = _CALL.fullmatch(text)
    if call is None:
        raise refused
    inner = call["inner"].strip()
    if call["name"] == "FILL":
        of, _, filler = inner.rpartition(",")
        if filler.strip() not in ("0", "0.0"):
            raise refused
        terms, _ = _terms(of, metrics, depth + 1)
        if len(terms) != 1:
            raise refused
        return terms, True
    if call["name"] == "SUM":
        return _series(inner, metrics, depth, refused)
    raise refused


def _series(text: str, metrics: Sequence[AlarmMetric], depth: int, refused: _Open) -> tuple[list[str], bool]:
    """Read what SUM adds up: ``METRICS()``, ``METRICS("part of an id")``, ``[m1, m2]``, or FILL of one of them."""
    call = _CALL.fullmatch(text)
    if call is not None and call["name"] == "FILL":
        of, _, filler = call["inner"].rpartition(",")
        if filler.strip() not in ("0", "0.0"):
            raise refused
        return _series(of.strip(), metrics, depth, refused)[0], True
    if call is not None and call["name"] == "METRICS":
        part = call["inner"].strip().strip("\"'")
        found = [one.id for one in metrics if one.expression is None and part in one.id]
        if not found or any(one.expression is not None and not one.returned for one in metrics):
            raise refused
        return found, False
    if text.startswith("[") and text.endswith("]"):
        terms: list[str] = []
        for part in text[1:-1].split(","):
            some, filled = _terms(part, metrics, depth + 1)
            if filled or len(some) != 1:
                raise refused
            terms += some
        return terms, False
    raise refused
