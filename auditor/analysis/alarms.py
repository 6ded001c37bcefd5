"""What notices malicious calls: trail to metric filter to alarm, EventBridge rules, alarms on log queries.

Every filter, pattern and query is evaluated on the records that attacks leave; what merely mentions the right words
notices nothing. How many events an alarm needs is a number here: what is enough is for the rules to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from auditor.analysis.delivery import Deliveries
from auditor.analysis.thresholds import Firing, Samples, events_needed, plain_metrics, rows_needed
from auditor.analysis.trails import Probe, records
from auditor.config import Config
from auditor.detection import Event, Unparsable, filters, patterns, queries
from auditor.facts import (
    AlarmInfo,
    AlarmMetric,
    AlarmMutes,
    Alarms,
    Delivery,
    Detection,
    EventRuleInfo,
    EventRules,
    Gap,
    MetricFilter,
    MetricFilters,
    Notice,
    Reason,
    RuleTargets,
    Sighting,
    TopicSettings,
    TopicSubscriptions,
    TrailInfo,
    Trails,
    TrailSelectors,
    TrailStatus,
    Transformation,
    derive,
)
from auditor.facts.base import VANISHED
from auditor.resources import Alarm, EventRule, LogGroup, Region, Topic, Trail

#: The state in which an EventBridge rule gets read-only calls too.
WITH_READS = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"

#: A service whose operations have the same names as some of DynamoDB's: what takes its calls for these is noisy.
LOOKALIKE = "glue"

#: What carries names of tables or keys in a record; a query that looks at ``@message`` looks at the whole of it.
NAMING = re.compile(
    r"table_?(?:name|arn|id|desc)|(?:resource|backup|export)_?arn|resources|key_?(?:id|meta)"
    r"|parse\s+@message|@message\s*(?:[=!]|not\b|like\b)",
    re.IGNORECASE,
)

NOT_ASKED = Gap(Reason.PARTIAL_DATA, "It was not asked.")


@derive
def detection(
    region: Region,
    trails: Trails | Gap,
    statuses: Mapping[Trail, TrailStatus | Gap],
    selectors: Mapping[Trail, TrailSelectors | Gap],
    metric_filters: Mapping[LogGroup, MetricFilters | Gap],
    alarms: Mapping[LogGroup, Alarms | Gap],
    mutes: Mapping[LogGroup, AlarmMutes | Gap],
    rules: EventRules | Gap,
    targets: Mapping[EventRule, RuleTargets | Gap],
    subscriptions: Mapping[Topic, TopicSubscriptions | Gap],
    settings: Mapping[Topic, TopicSettings | Gap],
    config: Config,
) -> Detection:
    """Put together what may notice calls in the region; each event is evaluated when a rule asks about it."""
    reaching: list[_Trail] = []
    if isinstance(trails, Trails):
        reaching = [
            _Trail(one, statuses.get(one.trail, NOT_ASKED), selectors.get(one.trail, NOT_ASKED))
            for one in {one.trail: one for one in trails.trails}.values()
            if one.reaches(region)
        ]
    groups = _groups(reaching, metric_filters, alarms, mutes)
    listed = () if isinstance(rules, Gap) else rules.rules
    watchers = [_Rule(one) for one in listed if targets.get(one.rule) != VANISHED]
    blind: dict[Region | LogGroup, Gap] = {
        group.group: gap for group in groups for gap in group.unlisted if gap.action is not None
    }
    for gap in (trails, rules):
        if isinstance(gap, Gap):
            blind.setdefault(region, gap)
    deliveries = Deliveries(subscriptions, settings, config.trusted_topics)
    told: dict[Alarm | EventRule, Delivery] = {}

    def look(event: Event) -> Sighting:
        gaps = [rules] if isinstance(rules, Gap) else []
        recorded = _recorded(reaching, event)
        if isinstance(trails, Gap):
            gaps.append(trails)
            recorded = trails
        notices = [notice for watcher in watchers if (notice := watcher.look(event, recorded)) is not None]
        for group in groups:
            seen = group.look(event)
            notices += seen.notices
            gaps += seen.gaps
        return Sighting(
            tuple(sorted(notices, key=lambda one: (one.control.arn, one.needed is None, one.through))),
            tuple(sorted(dict.fromkeys(gaps), key=lambda gap: gap.action is None)),
        )

    def delivery(control: Alarm | EventRule) -> Delivery:
        if control not in told:
            told[control] = _told(control)
        return told[control]

    def _told(control: Alarm | EventRule) -> Delivery:
        if isinstance(control, EventRule):
            info = next(one.info for one in watchers if one.info.rule == control)
            return deliveries.of_rule(info, targets.get(control, NOT_ASKED))
        group = next(one for one in groups if control in one.alarms)
        return deliveries.of_alarm(group.alarms[control], tuple(group.alarms.values()), group.mutes)

    by_name = (
        any(one.by_name for one in watchers)
        or any(one.by_name for group in groups for one in group.filters)
        or any(NAMING.search(one.query) for group in groups for one in group.alarms.values())
    )
    return Detection(look, delivery, blind, by_name)


@dataclass(frozen=True)
class _Trail:
    """A trail that reaches the region."""

    info: TrailInfo
    status: TrailStatus | Gap
    selectors: TrailSelectors | Gap

    def records(self, event: Event) -> bool | Gap:
        """Tell whether it records an event."""
        if isinstance(self.status, TrailStatus) and not self.status.logging:
            return False
        if isinstance(self.selectors, Gap):
            return self.selectors
        if event.body.get("managementEvent") is False:
            return Gap(
                Reason.UNDECIDABLE, f"Whether a trail records {event.label}, a data event, is not worked out here."
            )
        recorded = records(self.selectors, Probe(event.source, read_only=bool(event.body.get("readOnly"))))
        if recorded is None:
            return Gap(Reason.UNDECIDABLE, f"The event selectors of the trail {self.info.trail.name} are undecidable.")
        if recorded and isinstance(self.status, Gap):
            return self.status
        return recorded


def _best(outcomes: list[bool | Gap]) -> bool | Gap:
    if True in outcomes:
        return True
    return min((one for one in outcomes if isinstance(one, Gap)), key=lambda gap: gap.action is None, default=False)


def _recorded(reaching: list[_Trail], event: Event) -> bool | Gap:
    """Tell whether EventBridge gets an event: a trail that is logging must record it.

    That trails which leave the event out, KMS's for instance, keep it from EventBridge too is not documented.
    """
    recorded = _best([one.records(event) for one in reaching])
    if recorded is not False:
        return recorded
    for one in reaching:
        if isinstance(one.status, Gap):
            return one.status
    if any(isinstance(one.status, TrailStatus) and one.status.logging for one in reaching):
        text = f"Trails log here but leave out {event.label}: whether EventBridge gets it then is not documented."
        return Gap(Reason.UNDECIDABLE, text)
    return False


def _noisy(matches: Callable[[Event], bool | None], event: Event) -> bool:
    """Tell whether something takes the same call of another service for this one."""
    if event.source.startswith(f"{LOOKALIKE}."):
        return False
    source = f"{LOOKALIKE}.amazonaws.com"
    return matches(replace(event, source=source, body={**event.body, "eventSource": source})) is True


@dataclass(frozen=True)
class _Rule:
    """An EventBridge rule with its pattern, read once."""

    info: EventRuleInfo
    pattern: patterns.EventPattern | Unparsable = field(init=False)

    def __post_init__(self) -> None:
        try:
            pattern: patterns.EventPattern | Unparsable = patterns.parse(self.info.pattern)
        except Unparsable as error:
            pattern = error
        object.__setattr__(self, "pattern", pattern)

    @property
    def by_name(self) -> bool:
        """Whether it looks at names of tables or keys."""
        return NAMING.search(self.info.pattern) is not None

    def look(self, event: Event, recorded: bool | Gap) -> Notice | None:
        """Return what it makes of an event, or None when that is nothing."""
        if not self.info.relevant:
            return None
        rule, through = self.info.rule, "event pattern"
        if isinstance(self.pattern, Unparsable):
            matched, why = None, f": {self.pattern.reason}"
        else:
            matched, why = self.pattern.matches(event.envelope), ""
        if matched is False:
            return None
        if self.info.state == "DISABLED":
            return Notice(rule, through, why=f"The rule {rule.name} is disabled.") if matched else None
        if event.body.get("readOnly") and event.body.get("managementEvent") and self.info.state != WITH_READS:
            return Notice(rule, through, why=f"The rule {rule.name} does not get calls that only read: {WITH_READS}.")
        if recorded is False:
            return Notice(rule, through, why="No trail is logging here, and without one EventBridge gets no calls.")
        if matched is None:
            text = f"Whether the pattern of the rule {rule.name} matches {event.label} cannot be decided{why}."
            return Notice(rule, through, gap=Gap(Reason.UNDECIDABLE, text))
        if isinstance(recorded, Gap):
            return Notice(rule, through, gap=recorded)
        if self.info.state not in ("ENABLED", WITH_READS):
            text = f"The rule {rule.name} is in a state that is not known here: {self.info.state or 'none'}."
            return Notice(rule, through, gap=Gap(Reason.UNDECIDABLE, text))
        pattern = self.pattern
        assert not isinstance(pattern, Unparsable)
        noisy = _noisy(lambda one: pattern.matches(one.envelope), event)
        return Notice(rule, through, needed=1, noisy=noisy, by_name=self.by_name)


@dataclass(frozen=True)
class _Filter:
    """A metric filter with its pattern, read once."""

    info: MetricFilter
    pattern: filters.FilterPattern | Unparsable

    @classmethod
    def read(cls, info: MetricFilter) -> _Filter:
        try:
            return cls(info, filters.parse(info.pattern))
        except Unparsable as error:
            return cls(info, error)

    @property
    def by_name(self) -> bool:
        """Whether it or a dimension looks at names of tables or keys; terms outside braces search the whole record."""
        pattern = self.info.pattern.strip()
        fields = [path for one in self.info.transformations for path in one.dimensions.values()]
        if pattern and not pattern.startswith("{"):
            return True
        return NAMING.search(" ".join([pattern, *fields])) is not None

    def matches(self, event: Event) -> bool | None:
        """Tell whether it picks an event out."""
        if isinstance(self.pattern, Unparsable) or self.info.on_transformed:
            return None
        matched = self.pattern.matches(event.body)
        return None if matched and self.info.selection else matched

    def doubt(self, event: Event) -> Gap:
        """Return why that cannot be decided."""
        why = ""
        if isinstance(self.pattern, Unparsable):
            why = f": {self.pattern.reason}"
        elif self.info.on_transformed:
            why = ": it reads transformed logs"
        elif self.info.selection:
            why = f": it reads {self.info.selection} only"
        text = f"Whether the metric filter {self.info.name} matches {event.label} cannot be decided{why}."
        return Gap(Reason.UNDECIDABLE, text)


@dataclass(frozen=True)
class _Emission:
    """What a metric filter makes of an event."""

    filter: _Filter
    transformation: Transformation
    matched: bool | None
    dimensions: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Group:
    """A log group that trails deliver to, with what watches it."""

    group: LogGroup
    trails: list[_Trail]
    filters: list[_Filter]
    alarms: dict[Alarm, AlarmInfo]
    mutes: AlarmMutes | Gap
    unlisted: tuple[Gap, ...]
    #: (namespace, name) -> the metric alarms that read it.
    readers: Mapping[tuple[str, str], list[AlarmInfo]]

    def look(self, event: Event) -> Sighting:
        """Return what watches the log group and notices an event."""
        recorded = self._recorded(event)
        blocked = recorded if isinstance(recorded, str) else ""
        notices = [
            replace(notice, needed=None, why=blocked, gap=None)
            if blocked
            else replace(notice, needed=None, gap=recorded)
            if isinstance(recorded, Gap) and notice.needed is not None
            else notice
            for notice in (*self._by_metric(event), *self._by_query(event))
            if not (blocked and notice.gap is not None)
        ]
        return Sighting(tuple(notices), () if blocked else self.unlisted)

    def _recorded(self, event: Event) -> Gap | str | None:
        """Return why the log group does not get an event: a sentence, or what is not known; None when it does."""
        outcome = _best([self._delivers(one, event) for one in self.trails])
        if outcome is True:
            return None
        if isinstance(outcome, Gap):
            return outcome
        names = ", ".join(one.info.trail.name for one in self.trails)
        errors = [one.status.log_group_error for one in self.trails if isinstance(one.status, TrailStatus)]
        error = next((one for one in errors if one), None)
        if error is not None:
            return f"The trail {names} cannot deliver to its log group: {error}."
        return f"The trail {names} does not record {event.label}, or is not logging."

    @staticmethod
    def _delivers(trail: _Trail, event: Event) -> bool | Gap:
        if isinstance(trail.status, TrailStatus) and trail.status.log_group_error:
            return False
        return trail.records(event)

    def _by_metric(self, event: Event) -> Iterator[Notice]:
        emissions = [one for each in self.filters for one in self._emissions(each, event)]
        matched = [one for one in emissions if one.matched is not False]
        alarms = {
            info.alarm: info
            for one in matched
            for info in self.readers.get((one.transformation.namespace, one.transformation.name), ())
        }
        for info in alarms.values():
            notice = self._of_alarm(info, event, matched)
            if notice is not None:
                yield notice
        for info in self.readers.get(("", ""), ()):
            # Metrics Insights and SEARCH name metrics in a text.
            text = " ".join(one.expression or "" for one in info.metrics)
            named = next((one for one in matched if one.transformation.name in text), None)
            if named is not None:
                gap = Gap(Reason.UNDECIDABLE, f"The alarm {info.alarm.name} rests on a query of metrics: {text[:200]}.")
                yield Notice(info.alarm, f"metric filter {named.filter.info.name}", gap=gap)

    def _emissions(self, one: _Filter, event: Event) -> Iterator[_Emission]:
        matched = one.matches(event)
        for transformation in one.info.transformations:
            dimensions = {name: _field(event.body, path) for name, path in transformation.dimensions.items()}
            dimensions |= dict.fromkeys(one.info.system_dimensions)
            known = tuple(sorted((name, value or "") for name, value in dimensions.items()))
            yield _Emission(one, transformation, matched, known)

    def _of_alarm(self, info: AlarmInfo, event: Event, emissions: list[_Emission]) -> Notice | None:
        sure: dict[str, list[_Emission]] = {}
        perhaps: dict[str, list[_Emission]] = {}
        near: list[str] = []
        for metric in plain_metrics(info):
            for one in emissions:
                fits = self._fits(metric, one)
                if isinstance(fits, str):
                    near.append(fits)
                elif fits is not False:
                    perhaps.setdefault(metric.id, []).append(one)
                    if one.matched and fits:
                        sure.setdefault(metric.id, []).append(one)
        first = next((one for found in (sure or perhaps).values() for one in found), None)
        if first is None:
            return Notice(info.alarm, "", why=near[0]) if near else None
        through = f"metric filter {first.filter.info.name}"
        firing = events_needed(info, self._samples(info, sure)) if sure else Firing()
        if firing.needed is None and firing.gap is None and perhaps != sure:
            doubtful = next(one for found in perhaps.values() for one in found if not one.matched or _open(one))
            with_them = events_needed(info, self._samples(info, perhaps))
            if with_them.needed is not None or with_them.gap is not None:
                gap = with_them.gap or doubtful.filter.doubt(event)
                return Notice(info.alarm, f"metric filter {doubtful.filter.info.name}", gap=gap)
            firing = with_them
        noisy = firing.needed is not None and all(
            _noisy(one.filter.matches, event) for found in sure.values() for one in found
        )
        by_name = any(one.filter.by_name for found in sure.values() for one in found)
        return Notice(info.alarm, through, firing.needed, firing.why, firing.gap, noisy, firing.note, by_name)

    def _fits(self, metric: AlarmMetric, one: _Emission) -> bool | str | None:
        """Tell whether an alarm's metric is what a filter writes; a text says why it nearly is."""
        to = one.transformation
        if (metric.namespace, metric.name) != (to.namespace, to.name):
            return False
        if metric.account is not None and metric.account != self.group.account.id:
            return False
        if metric.unit is not None and metric.unit != to.unit:
            return f"The alarm wants the unit {metric.unit}, and the metric filter {one.filter.info.name} has another."
        if one.filter.info.system_dimensions and dict(metric.dimensions).keys() == dict(one.dimensions).keys():
            return None
        if metric.dimensions != one.dimensions:
            return f"The alarm's dimensions are not those of the metric filter {one.filter.info.name}."
        return True

    def _samples(self, info: AlarmInfo, emissions: Mapping[str, list[_Emission]]) -> dict[str, Samples]:
        defaults: dict[str, float | None] = {}
        for metric in plain_metrics(info):
            found = [
                one.default
                for each in self.filters
                for one in each.info.transformations
                if (one.namespace, one.name) == (metric.namespace, metric.name) and one.default is not None
            ]
            defaults[metric.id] = max(found, default=None)
        return {
            metric: Samples(tuple(one.transformation.value for one in emissions.get(metric, ())), default)
            for metric, default in defaults.items()
        }

    def _by_query(self, event: Event) -> Iterator[Notice]:
        names = {self.group.name, self.group.arn, f"{self.group.arn}:*"}
        for info in self.alarms.values():
            if info.kind != "log" or not (names.intersection(info.log_groups) or not info.log_groups):
                continue
            found = _found(info.query, event)
            if found is False:
                continue
            if found is None or not info.log_groups:
                text = f"Whether the query of the alarm {info.alarm.name} finds {event.label} cannot be decided."
                yield Notice(info.alarm, "log query", gap=Gap(Reason.UNDECIDABLE, text))
                continue
            firing = rows_needed(info)
            noisy = firing.needed is not None and _noisy(partial(_found, info.query), event)
            by_name = NAMING.search(info.query) is not None
            yield Notice(info.alarm, "log query", firing.needed, firing.why, firing.gap, noisy, firing.note, by_name)


def _found(query: str, event: Event) -> bool | None:
    return queries.matches(query, event.body)


def _open(emission: _Emission) -> bool:
    return bool(emission.filter.info.system_dimensions)


def _field(body: Mapping[str, Any], path: str) -> str | None:
    """Return the value of a dimension's field, such as ``$.awsRegion``, as text."""
    value: Any = body
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path.removeprefix("$")):
        if index:
            value = value[int(index)] if isinstance(value, list) and int(index) < len(value) else None
        else:
            value = value.get(name) if isinstance(value, Mapping) else None
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int) else None


def _groups(
    reaching: list[_Trail],
    metric_filters: Mapping[LogGroup, MetricFilters | Gap],
    alarms: Mapping[LogGroup, Alarms | Gap],
    mutes: Mapping[LogGroup, AlarmMutes | Gap],
) -> list[_Group]:
    """Return the log groups of the trails, in order of ARN."""
    trails: dict[LogGroup, list[_Trail]] = {}
    for one in reaching:
        try:
            if one.info.log_group:
                trails.setdefault(LogGroup.from_arn(one.info.log_group), []).append(one)
        except ValueError:
            continue  # no log group of CloudWatch: nothing there can be alarmed on
    return [
        _group(group, trails[group], metric_filters.get(group), alarms.get(group), mutes.get(group))
        for group in sorted(trails)
    ]


def _group(
    group: LogGroup,
    trails: list[_Trail],
    found: MetricFilters | Gap | None,
    alarms: Alarms | Gap | None,
    mutes: AlarmMutes | Gap | None,
) -> _Group:
    unlisted = [gap for gap in (found, alarms) if isinstance(gap, Gap)]
    if found is None or alarms is None:
        text = (
            f"The log group {group.name} of the trail {trails[0].info.trail.name} belongs to account "
            f"{group.account.id}, which is not audited: what watches it there is not known."
        )
        unlisted.append(Gap(Reason.PARTIAL_DATA, text))
    listed = {one.alarm: one for one in alarms.alarms} if isinstance(alarms, Alarms) else {}
    readers: dict[tuple[str, str], list[AlarmInfo]] = {}
    for info in listed.values():
        if info.kind == "metric":
            for key in dict.fromkeys((one.namespace, one.name) for one in plain_metrics(info)):
                readers.setdefault(key, []).append(info)
            if any((one.expression or "").lstrip().upper().startswith(("SELECT", "SEARCH")) for one in info.metrics):
                readers.setdefault(("", ""), []).append(info)
    return _Group(
        group,
        trails,
        [_Filter.read(one) for one in found.filters] if isinstance(found, MetricFilters) else [],
        listed,
        NOT_ASKED if mutes is None else mutes,
        tuple(unlisted),
        readers,
    )
