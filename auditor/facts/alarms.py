"""Facts about what notices malicious activity and whom it tells: metric filters, alarms, EventBridge rules, topics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from auditor.detection import Event
from auditor.facts.base import Gap, fact
from auditor.resources import Alarm, EventRule, LogGroup, Region, Resource, Topic


def topic_of(arn: str) -> Topic | None:
    """Return the SNS topic with this ARN, or None when it is no topic's."""
    try:
        return Topic.from_arn(arn)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Transformation:
    """One entry of ``metricTransformations``.

    Attributes:
        namespace: ``metricNamespace``.
        name: ``metricName``.
        value: ``metricValue``: a number as text, or a field such as ``$.size``.
        dimensions: ``dimensions``: name -> field.
        default: ``defaultValue``.
        unit: ``unit``; absent means None, which is a unit of its own.
    """

    namespace: str
    name: str
    value: str = "1"
    dimensions: Mapping[str, str] = field(default_factory=dict)
    default: float | None = None
    unit: str = "None"


@dataclass(frozen=True, slots=True)
class MetricFilter:
    """One metric filter.

    Attributes:
        name: ``filterName``.
        pattern: ``filterPattern``; an empty text matches everything.
        transformations: ``metricTransformations``.
        on_transformed: ``applyOnTransformedLogs``.
        selection: ``fieldSelectionCriteria``.
        system_dimensions: ``emitSystemFieldDimensions``, such as ``@aws.account``.
    """

    name: str
    pattern: str
    transformations: tuple[Transformation, ...]
    on_transformed: bool = False
    selection: str | None = None
    system_dimensions: tuple[str, ...] = ()


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
        unit: ``MetricStat.Unit``; None: of any unit.
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
    unit: str | None = None


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
        query: ``ScheduledQueryConfiguration.QueryString`` (an alarm on a log query). Of such an alarm ``statistic`` is
            ``AggregationExpression``, ``evaluation_periods`` and ``datapoints`` are ``QueryResultsToEvaluate`` and
            ``QueryResultsToAlarm``.
        log_groups: ``ScheduledQueryConfiguration.LogGroupIdentifiers``: names or ARNs.
        unit: ``Unit``; None: of any unit.
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
    unit: str | None = None


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
                topic = topic_of(action)
                if topic is not None:
                    yield topic


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
        relevant: It may match calls that CloudTrail recorded: ``detail-type`` does not speak against it.
    """

    rule: EventRule
    pattern: str
    state: str
    relevant: bool = True


@fact(Region, "events:ListRules", lists=EventRule, in_use_only=True)
@dataclass(frozen=True, slots=True)
class EventRules:
    """The rules with a pattern on a region's default event bus (events:ListRules).

    Rules that an AWS service keeps for itself (``ManagedBy``) are left out: they tell nobody.
    """

    rules: tuple[EventRuleInfo, ...]

    def names(self) -> Iterator[Resource]:
        """Yield the rules whose targets matter."""
        for one in self.rules:
            if one.relevant and one.state != "DISABLED":
                yield one.rule


@dataclass(frozen=True, slots=True)
class Target:
    """One target of an EventBridge rule.

    Attributes:
        arn: ``Arn``.
        dead_letter: ``DeadLetterConfig.Arn``.
        role: ``RoleArn``: the role with which EventBridge calls it.
    """

    arn: str
    dead_letter: str | None = None
    role: str | None = None


@fact(EventRule, "events:ListTargetsByRule", lists=Topic)
@dataclass(frozen=True, slots=True)
class RuleTargets:
    """The targets of an EventBridge rule (events:ListTargetsByRule)."""

    targets: tuple[Target, ...]

    def names(self) -> Iterator[Resource]:
        """Yield the topics among them."""
        for one in self.targets:
            topic = topic_of(one.arn)
            if topic is not None:
                yield topic


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription: ``SubscriptionArn`` (``PendingConfirmation`` and ``Deleted`` are no ARN) and ``Protocol``."""

    arn: str
    protocol: str


@fact(Topic, "sns:ListSubscriptionsByTopic")
@dataclass(frozen=True, slots=True)
class TopicSubscriptions:
    """The subscriptions of a topic, addresses left out (sns:ListSubscriptionsByTopic); none where it does not exist."""

    subscriptions: tuple[Subscription, ...]


@fact(Topic, "sns:GetTopicAttributes", "kms:DescribeKey", "kms:GetKeyPolicy")
@dataclass(frozen=True, slots=True)
class TopicSettings:
    """What decides whether CloudWatch and EventBridge can publish to a topic (sns:GetTopicAttributes).

    Attributes:
        exists: False when SNS says that a topic which an alarm or a rule names does not exist.
        policy: ``Policy``, the JSON text as it is.
        key_id: ``KmsMasterKeyId``: a key's id, ARN or alias; None when the topic is not encrypted.
        key_arn: ``Arn`` of the key; None when there is none, or why it is not known.
        key_manager: ``KeyManager`` of the key, AWS or CUSTOMER; None when there is none, or why it is not known.
        key_state: ``KeyState`` of the key, such as Enabled; ``NotFound`` when KMS knows no such key; None when there is
            none, or why it is not known.
        key_policy: The key's policy as JSON text; None when the key is AWS's or there is none, or why it is not known.
    """

    exists: bool = True
    policy: str | None = None
    key_id: str | None = None
    key_arn: str | Gap | None = None
    key_manager: str | Gap | None = None
    key_state: str | Gap | None = None
    key_policy: str | Gap | None = None


@dataclass(frozen=True, slots=True)
class Sink:
    """Where an alarm's action or a rule's target leads.

    Attributes:
        arn: ``AlarmActions`` or ``Targets[].Arn``.
        works: A message gets to somebody there; None when that is not known.
        text: Why, as a sentence.
        gap: What is not known, where ``works`` is None.
        attested: The configuration says that it works (``trusted_topics``).
    """

    arn: str
    works: bool | None
    text: str
    gap: Gap | None = None
    attested: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """Whom an alarm or a rule tells.

    Attributes:
        works: Somebody is told; None when that is not known.
        text: Why, as a sentence.
        gap: What is not known, where ``works`` is None.
        attested: It works only because the configuration says so.
        muted: ARNs of the mute rules that silence what would otherwise be told; empty: nothing hangs on them.
        sinks: Where its messages go, those of composite alarms that go off with it included.
        evidence: The API's own values.
    """

    works: bool | None
    text: str
    gap: Gap | None = None
    attested: bool = False
    muted: tuple[str, ...] = ()
    sinks: tuple[Sink, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Notice:
    """What an alarm or a rule makes of an event.

    Attributes:
        control: The alarm or rule.
        through: The metric filter, ``log query`` or ``event pattern`` that picks the event out.
        needed: How many such events within one period set it off; None: no number does, or that is not known.
        why: Where no number does, the reason as a sentence.
        gap: Where it is not known, the reason.
        noisy: It takes events of the same name of other services for such events.
        note: A weakness that does not keep it from going off, as a sentence.
        by_name: It looks at what carries names of tables or keys: the same call on another one may pass unnoticed.
    """

    control: Alarm | EventRule
    through: str
    needed: int | None = None
    why: str = ""
    gap: Gap | None = None
    noisy: bool = False
    note: str = ""
    by_name: bool = False


@dataclass(frozen=True, slots=True)
class Sighting:
    """Who notices an event.

    Attributes:
        notices: The alarms and rules that pick it out or may do so, in order of ARN.
        gaps: Why there may be further ones, those that name a missing permission first.
    """

    notices: tuple[Notice, ...] = ()
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True)
class Detection:
    """What notices malicious calls in a region, and whom it tells (derived).

    Attributes:
        look: Returns who notices an event of the region.
        delivery: Returns whom one of those alarms and rules tells.
        blind: Where there may be further alarms and rules, whatever the event, and why: the region or a log group whose
            listings are missing.
        by_name: One of them looks at what carries names of tables or keys.
    """

    look: Callable[[Event], Sighting]
    delivery: Callable[[Alarm | EventRule], Delivery]
    blind: Mapping[Region | LogGroup, Gap] = field(default_factory=dict)
    by_name: bool = False
