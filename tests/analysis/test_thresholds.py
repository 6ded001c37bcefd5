"""How many events set an alarm off: each case worked out by hand."""

from typing import Any

import pytest

from auditor.analysis.thresholds import Firing, Samples, events_needed, rows_needed
from auditor.facts import AlarmMetric, Reason
from tests.alarms import alarm

AT_LEAST, MORE = "GreaterThanOrEqualToThreshold", "GreaterThanThreshold"
AT_MOST, LESS = "LessThanOrEqualToThreshold", "LessThanThreshold"


def fire(values: tuple[str, ...] = ("1",), default: float | None = None, **alarmed: Any) -> Firing:
    return events_needed(alarm(**alarmed), {"": Samples(values, default)})


def never(firing: Firing) -> bool:
    return firing.needed is None and firing.gap is None and bool(firing.why)


def undecided(firing: Firing) -> bool:
    return firing.needed is None and firing.gap is not None and firing.gap.reason is Reason.UNDECIDABLE


@pytest.mark.parametrize(
    ("comparison", "threshold", "needed"),
    [
        (AT_LEAST, 1.0, 1),
        (AT_LEAST, 0.5, 1),
        (AT_LEAST, 7.0, 7),
        (AT_LEAST, 6.5, 7),
        (MORE, 0.0, 1),
        (MORE, 1.0, 2),
        (MORE, 6.5, 7),
        (AT_LEAST, -3.0, 1),
        ("greaterThanThreshold", 2.0, 3),
    ],
)
def test_sums_against_thresholds(comparison: str, threshold: float, needed: int) -> None:
    assert fire(comparison=comparison, threshold=threshold).needed == needed


@pytest.mark.parametrize(("comparison", "threshold"), [(LESS, 1.0), (AT_MOST, 0.0), (LESS, -1.0)])
def test_sums_that_never_get_there(comparison: str, threshold: float) -> None:
    assert never(fire(comparison=comparison, threshold=threshold))


@pytest.mark.parametrize(("comparison", "threshold"), [(LESS, 5.0), (AT_MOST, 1.0)])
def test_one_event_alone_is_no_attack(comparison: str, threshold: float) -> None:
    """Whoever deletes many tables at once leaves a sum that is above such a threshold again."""
    assert never(fire(comparison=comparison, threshold=threshold))
    assert fire(statistic="Maximum", comparison=comparison, threshold=threshold).needed == 1
    assert fire(("-1",), comparison=comparison, threshold=-threshold).needed is not None


@pytest.mark.parametrize(
    ("values", "threshold", "needed"),
    [(("5",), 10.0, 2), (("0.1",), 0.3, 3), (("1", "1"), 4.0, 2), (("1", "2"), 3.0, 1), (("100",), 1.0, 1)],
)
def test_what_one_event_adds(values: tuple[str, ...], threshold: float, needed: int) -> None:
    assert fire(values, threshold=threshold).needed == needed


def test_values_that_add_nothing_or_are_fields() -> None:
    assert never(fire(("0",)))
    assert never(fire(("-1",)))
    assert fire(("-2",), comparison=AT_MOST, threshold=-5.0).needed == 3
    assert undecided(fire(("$.bytes",)))
    assert undecided(fire(("nan",)))
    assert fire(("$.bytes",), statistic="SampleCount", threshold=3.0).needed == 3


@pytest.mark.parametrize("statistic", ["Maximum", "Minimum", "Average", "p99", "p99.9", "maximum"])
def test_statistics_that_more_events_do_not_raise(statistic: str) -> None:
    assert fire(statistic=statistic).needed == 1
    assert never(fire(statistic=statistic, threshold=2.0))


@pytest.mark.parametrize("statistic", ["tm99", "TC(1:5)", "IQM", "", "p"])
def test_other_statistics_are_undecidable(statistic: str) -> None:
    assert undecided(fire(statistic=statistic))


def test_default_values() -> None:
    assert fire(default=0.0).needed == 1
    assert fire(default=0.0, threshold=3.0).needed == 3
    assert never(fire(default=0.0, threshold=0.0)), "it is in ALARM all the time"
    assert never(fire(default=0.0, comparison=LESS, threshold=5.0))
    assert undecided(fire(default=1.0, threshold=5.0))
    assert fire(default=0.0, statistic="Maximum").needed == 1
    assert undecided(fire(default=0.0, statistic="Average"))
    assert undecided(fire(default=0.0, statistic="SampleCount"))
    assert undecided(fire(default=0.0, statistic="Minimum"))


@pytest.mark.parametrize(
    ("missing", "needed"),
    [("missing", 1), ("ignore", 1), ("notBreaching", 1), ("breaching", None), ("Breaching", None)],
)
def test_missing_data(missing: str, needed: int | None) -> None:
    firing = fire(missing=missing)
    assert firing.needed == needed
    assert firing.gap is None
    assert bool(firing.note) is (missing == "ignore")
    # With a default value data is not missing while there are logs.
    assert fire(missing=missing, default=0.0).needed == 1


@pytest.mark.parametrize(
    ("periods", "datapoints", "fires"), [(1, None, True), (1, 1, True), (5, 1, True), (2, None, False), (5, 3, False)]
)
def test_a_burst_fills_one_data_point(periods: int, datapoints: int | None, fires: bool) -> None:
    firing = fire(evaluation_periods=periods, datapoints=datapoints)
    assert (firing.needed == 1) is fires
    assert never(firing) is not fires
    with_default = fire(evaluation_periods=periods, datapoints=datapoints, missing="missing", default=0.0)
    assert (with_default.needed == 1) is fires


@pytest.mark.parametrize("missing", ["missing", "ignore"])
def test_data_points_that_are_missing_may_be_filled_in(missing: str) -> None:
    assert undecided(fire(evaluation_periods=3, missing=missing))


def test_anomaly_detection_and_absent_thresholds_are_undecidable() -> None:
    assert undecided(fire(threshold_metric="band", threshold=None, comparison="GreaterThanUpperThreshold"))
    assert undecided(fire(comparison="GreaterThanUpperThreshold"))
    assert undecided(fire(threshold=None))
    assert undecided(fire(threshold=float("nan")))


# Metric math


def math(*expressions: str, default: float | None = None, quiet: float | None = None, **alarmed: Any) -> Firing:
    """Fire an alarm on expressions (the last is returned) of m1, which gets the event, and m2, which does not."""
    metrics = [
        AlarmMetric(f"m{n}", namespace="Audit", name=f"Watch{n}", statistic="Sum", period=300, returned=False)
        for n in (1, 2)
    ]
    for number, text in enumerate(expressions):
        metrics.append(AlarmMetric(f"e{number}", expression=text, returned=number == len(expressions) - 1))
    one = alarm(namespace="", metric="", statistic="", metrics=tuple(metrics), **alarmed)
    return events_needed(one, {"m1": Samples(("1",), default), "m2": Samples((), quiet)})


@pytest.mark.parametrize(
    "expression", ["m1", " m1 ", "FILL(m1, 0)", "SUM(METRICS())", "SUM([m1, m2])", "SUM(FILL(METRICS(), 0))"]
)
def test_expressions_that_are_sums(expression: str) -> None:
    assert math(expression).needed == 1
    assert math(expression, threshold=4.0).needed == 4


def test_expressions_of_expressions() -> None:
    assert math("FILL(m1, 0)", "e0").needed == 1
    assert undecided(math("e0"))
    assert undecided(math("e1", "e0"))


@pytest.mark.parametrize(
    "expression",
    [
        "m1 / m2",
        "IF(m1 > 0, 1, 0)",
        "MAX(METRICS())",
        "RATE(m1)",
        "FILL(m1, 1)",
        "m3",
        "",
        "SUM(",
        "ANOMALY_DETECTION_BAND(m1)",
    ],
)
def test_other_expressions_are_undecidable(expression: str) -> None:
    assert undecided(math(expression))


def test_what_fill_and_defaults_add_while_nothing_happens() -> None:
    assert never(math("FILL(m1, 0)", threshold=0.0))
    assert math("FILL(m1, 0)", missing="breaching").needed == 1
    assert never(math("m1", missing="breaching"))
    assert undecided(math("SUM(METRICS())", quiet=2.0))
    assert math('SUM(METRICS("m1"))').needed == 1


def test_an_alarm_must_return_one_metric() -> None:
    plain = AlarmMetric("m1", namespace="Audit", name="Watch", statistic="Sum")
    other = AlarmMetric("m2", namespace="Audit", name="Other", statistic="Sum")
    samples = {"m1": Samples(("1",)), "m2": Samples()}
    assert events_needed(alarm(metrics=(plain,)), samples).needed == 1
    assert undecided(events_needed(alarm(metrics=(plain, other)), samples))


# Log queries


def test_rows_of_a_query_are_counted() -> None:
    assert rows_needed(alarm(statistic="count(*)")).needed == 1
    assert rows_needed(alarm(statistic="COUNT ( eventID )", threshold=3.0)).needed == 3
    assert undecided(rows_needed(alarm(statistic="max(duration)")))
    assert undecided(rows_needed(alarm(statistic="")))
    assert never(rows_needed(alarm(statistic="count(*)", evaluation_periods=3, datapoints=3)))
