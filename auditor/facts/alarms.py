"""Facts about what notices malicious activity and whom it tells: metric filters, alarms, EventBridge rules, topics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from auditor.facts.base import Gap, fact
from auditor.resources import Alarm, EventRule, LogGroup, Region, Resource, Topic


@dataclass(frozen=True, slots=True)
class Transformation:
    """One entry of ``metricTransformations``.

    Attributes:
        namespace: ``metricNamespace``.
        name: ``metricName``.
        value: ``metricValue``: a number as text, or a field such as ``$.size``.
        dimensions: ``dimensions``: name -> field.
        default: ``defaultValue``.
    """

    namespace: str
    name: str
    value: str = "1"
    dimensions: Mapping[str, str] = field(default_factory=dict)
    default: float | None = None


@dataclass(frozen=True, slots=True)
class MetricFilter:
    """One metric filter.

    Attributes:
        name: ``filterName``.
        pattern: ``filterPattern``; an empty text matches everything.
        transformations: ``metricTransformations``.
        on_transformed: ``applyOnTransformedLogs``.
        selection: ``fieldSelectionCriteria``.
    """

    name: str
    pattern: str
    transformations: tuple[Transformation, ...]
    on_transformed: bool = False
    selection: str | None = None


@fact(LogGroup, "logs:DescribeMetricFilters")
@dataclass(frozen=True, slots=True)
class MetricFilters:
    """The metric filters of a trail's log group (logs:DescribeMetricFilters)."""

    filters: tuple[MetricFilter, ...]


@dataclass(frozen=True, slots=True)
class AlarmMetric:
    """One entry of an alarm's ``Metrics``.

    Attributes:
        id: ``Id``.
        expression: ``Expression``: metric math; None for a plain metric.
        namespace: ``MetricStat.Metric.Namespace``.
        name: ``MetricStat.Metric.MetricName``.
        dimensions: ``MetricStat.Metric.Dimensions``.
        statistic: ``MetricStat.Stat``.
        period: ``MetricStat.Period``, in seconds.
        account: ``AccountId``: another account's metric.
        returned: ``ReturnData``; absent means yes.
    """

    id: str
    expression: str | None = None
    namespace: str = ""
    name: str = ""
    dimensions: tuple[tuple[str, str], ...] = ()
    statistic: str = ""
    period: int | None = None
    account: str | None = None
    returned: bool = True


@dataclass(frozen=True, slots=True)
class AlarmInfo:
    """One alarm of any kind.

    Attributes:
        alarm: The alarm.
        kind: ``metric``, ``composite`` or ``log``.
        actions_enabled: ``ActionsEnabled``; absent means yes.
        actions: ``AlarmActions``. ``OKActions`` are left out: they tell nobody of an alarm.
        namespace: ``Namespace`` (an alarm on one metric).
        metric: ``MetricName``.
        dimensions: ``Dimensions`` as (name, value), sorted.
        statistic: ``Statistic`` or ``ExtendedStatistic``.
        period: ``Period``, in seconds.
        threshold: ``Threshold``.
        threshold_metric: ``ThresholdMetricId``: an alarm on anomaly detection.
        comparison: ``ComparisonOperator``.
        evaluation_periods: ``EvaluationPeriods``.
        datapoints: ``DatapointsToAlarm``; None: as many as ``EvaluationPeriods``.
        missing: ``TreatMissingData``; absent means missing.
        metrics: ``Metrics``: an alarm on several metrics or on metric math.
        rule: ``AlarmRule`` (a composite alarm).
        suppressor: ``ActionsSuppressor``: the alarm that holds a composite alarm's actions off.
        query: ``ScheduledQueryConfiguration.QueryString`` (an alarm on a log query).
        log_groups: ``ScheduledQueryConfiguration.LogGroupIdentifiers``.
    """

    alarm: Alarm
    kind: str = "metric"
    actions_enabled: bool = True
    actions: tuple[str, ...] = ()
    namespace: str = ""
    metric: str = ""
    dimensions: tuple[tuple[str, str], ...] = ()
    statistic: str = ""
    period: int | None = None
    threshold: float | None = None
    threshold_metric: str | None = None
    comparison: str = ""
    evaluation_periods: int = 1
    datapoints: int | None = None
    missing: str = "missing"
    metrics: tuple[AlarmMetric, ...] = ()
    rule: str = ""
    suppressor: str | None = None
    query: str = ""
    log_groups: tuple[str, ...] = ()


@fact(LogGroup, "cloudwatch:DescribeAlarms", lists=Topic)
@dataclass(frozen=True, slots=True)
class Alarms:
    """The alarms of all kinds in the region of a trail's log group (cloudwatch:DescribeAlarms)."""

    alarms: tuple[AlarmInfo, ...]

    def names(self) -> Iterator[Resource]:
        """Yield the topics of alarms that may rest on a metric filter: never those on AWS's own metrics."""
        for one in self.alarms:
            spaces = (one.namespace, *(each.namespace for each in one.metrics))
            if all(space.startswith("AWS/") for space in spaces if space) and any(spaces):
                continue
            for action in one.actions:
                if action.split(":")[2:3] == ["sns"]:
                    yield Topic.from_arn(action)


@fact(LogGroup, "cloudwatch:ListAlarmMuteRules", "cloudwatch:GetAlarmMuteRule")
@dataclass(frozen=True, slots=True)
class AlarmMutes:
    """The mute rules that are active in the region of a trail's log group.

    Attributes:
        rules: ``AlarmMuteRuleArn`` -> the names of the alarms that it mutes (``MuteTargets.AlarmNames``).
    """

    rules: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class EventRuleInfo:
    """One EventBridge rule with an event pattern.

    Attributes:
        rule: The rule.
        pattern: ``EventPattern``, the JSON text as it is.
        state: ``State``, in capitals.
        relevant: Its pattern matches, or may match, one of the events that the alarm rules ask about.
    """

    rule: EventRule
    pattern: str
    state: str
    relevant: bool = True


@fact(Region, "events:ListRules", lists=EventRule, in_use_only=True)
@dataclass(frozen=True, slots=True)
class EventRules:
    """The rules with a pattern on a region's default event bus (events:ListRules)."""

    rules: tuple[EventRuleInfo, ...]

    def names(self) -> Iterator[Resource]:
        """Yield the rules whose targets matter."""
        for one in self.rules:
            if one.relevant and one.state != "DISABLED":
                yield one.rule


@dataclass(frozen=True, slots=True)
class Target:
    """One target of an EventBridge rule: ``Arn`` and ``DeadLetterConfig.Arn``."""

    arn: str
    dead_letter: str | None = None


@fact(EventRule, "events:ListTargetsByRule", lists=Topic)
@dataclass(frozen=True, slots=True)
class RuleTargets:
    """The targets of an EventBridge rule (events:ListTargetsByRule)."""

    targets: tuple[Target, ...]

    def names(self) -> Iterator[Resource]:
        """Yield the topics among them."""
        for one in self.targets:
            if one.arn.split(":")[2:3] == ["sns"]:
                yield Topic.from_arn(one.arn)


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription: ``SubscriptionArn`` (``PendingConfirmation`` and ``Deleted`` are no ARN) and ``Protocol``."""

    arn: str
    protocol: str


@fact(Topic, "sns:ListSubscriptionsByTopic")
@dataclass(frozen=True, slots=True)
class TopicSubscriptions:
    """The subscriptions of a topic, addresses left out (sns:ListSubscriptionsByTopic)."""

    subscriptions: tuple[Subscription, ...]


@fact(Topic, "sns:GetTopicAttributes", "kms:DescribeKey", "kms:GetKeyPolicy")
@dataclass(frozen=True, slots=True)
class TopicSettings:
    """What decides whether CloudWatch and EventBridge can publish to a topic (sns:GetTopicAttributes).

    Attributes:
        policy: ``Policy``, the JSON text as it is.
        key_id: ``KmsMasterKeyId``: a key's id, ARN or alias; None when the topic is not encrypted.
        key_manager: ``KeyManager`` of the key, AWS or CUSTOMER; None when there is none, or why it is not known.
        key_policy: The key's policy as JSON text; None when the key is AWS's or there is none, or why it is not known.
    """

    policy: str | None = None
    key_id: str | None = None
    key_manager: str | Gap | None = None
    key_policy: str | Gap | None = None
