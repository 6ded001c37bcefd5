"""What notices and tells: metric filters, alarms, mute rules, EventBridge rules, SNS topics."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from auditor.detection import patterns
from auditor.facts import (
    AlarmInfo,
    AlarmMetric,
    AlarmMutes,
    Alarms,
    EventRuleInfo,
    EventRules,
    Gap,
    MetricFilter,
    MetricFilters,
    Reason,
    RuleTargets,
    Subscription,
    Target,
    TopicSettings,
    TopicSubscriptions,
    Transformation,
)
from auditor.resources import Alarm, EventRule, LogGroup, Region, Topic
from auditor.sources.aws.collector import Yield, collects
from auditor.sources.aws.session import Aws, Missing

#: What DescribeAlarms leaves out unless it is named: without ``AlarmTypes`` it answers metric alarms only.
ALARM_TYPES = ["MetricAlarm", "CompositeAlarm", "LogAlarm"]

#: What an endpoint answers that does not know one of them.
REJECTED = ("ValidationError", "ValidationException", "InvalidParameterValue", "InvalidParameterValueException")

#: What SNS answers about a topic that is not there.
NO_TOPIC = ("NotFound", "NotFoundException")

#: What EventBridge calls what CloudTrail recorded.
API_CALL = "AWS API Call via CloudTrail"


@collects(MetricFilters, about=LogGroup)
def metric_filters(aws: Aws, group: LogGroup) -> Yield:
    """Yield the metric filters of a log group. One that does not exist has none."""
    try:
        pages = list(aws.pages("logs:DescribeMetricFilters", logGroupName=group.name))
    except Missing as missing:
        if missing.code != "ResourceNotFoundException":
            raise
        pages = []
    found = [_filter(entry) for page in pages for entry in page.get("metricFilters", [])]
    yield group, MetricFilters(tuple(sorted(found, key=lambda one: one.name)))


def _filter(entry: Mapping[str, Any]) -> MetricFilter:
    return MetricFilter(
        name=entry.get("filterName", ""),
        pattern=entry.get("filterPattern", ""),
        transformations=tuple(
            Transformation(
                namespace=one["metricNamespace"],
                name=one["metricName"],
                value=one["metricValue"],
                dimensions=dict(one.get("dimensions") or {}),
                default=one.get("defaultValue"),
                unit=one.get("unit") or "None",
            )
            for one in entry.get("metricTransformations", [])
        ),
        on_transformed=entry.get("applyOnTransformedLogs", False),
        selection=entry.get("fieldSelectionCriteria") or None,
        system_dimensions=tuple(entry.get("emitSystemFieldDimensions") or []),
    )


@collects(Alarms, about=LogGroup)
def alarms(aws: Aws, group: LogGroup) -> Yield:
    """Yield the alarms of all kinds in the log group's region: there, and nowhere else, are its metrics."""
    found = []
    for page in _alarm_pages(aws):
        found += [_metric_alarm(entry) for entry in page.get("MetricAlarms", [])]
        found += [_composite_alarm(entry) for entry in page.get("CompositeAlarms", [])]
        found += [_log_alarm(entry) for entry in page.get("LogAlarms", [])]
    yield group, Alarms(tuple(sorted(found, key=lambda one: one.alarm.arn)))


def _alarm_pages(aws: Aws) -> list[Mapping[str, Any]]:
    """Ask for all kinds; where alarms on log queries are not known yet, for the others."""
    try:
        return list(aws.pages("cloudwatch:DescribeAlarms", AlarmTypes=ALARM_TYPES))
    except Missing as missing:
        if missing.code not in REJECTED:
            raise
        return list(aws.pages("cloudwatch:DescribeAlarms", AlarmTypes=ALARM_TYPES[:2]))


def _common(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "alarm": Alarm.from_arn(entry["AlarmArn"]),
        "actions_enabled": entry.get("ActionsEnabled", True),
        "actions": tuple(entry.get("AlarmActions") or []),
    }


def _metric_alarm(entry: Mapping[str, Any]) -> AlarmInfo:
    return AlarmInfo(
        **_common(entry),
        namespace=entry.get("Namespace", ""),
        metric=entry.get("MetricName", ""),
        dimensions=_dimensions(entry),
        statistic=entry.get("Statistic") or entry.get("ExtendedStatistic") or "",
        period=entry.get("Period"),
        threshold=entry.get("Threshold"),
        threshold_metric=entry.get("ThresholdMetricId"),
        comparison=entry.get("ComparisonOperator", ""),
        evaluation_periods=entry.get("EvaluationPeriods", 1),
        datapoints=entry.get("DatapointsToAlarm"),
        missing=entry.get("TreatMissingData") or "missing",
        metrics=tuple(_metric(one) for one in entry.get("Metrics") or []),
        unit=entry.get("Unit"),
    )


def _metric(entry: Mapping[str, Any]) -> AlarmMetric:
    stat = entry.get("MetricStat") or {}
    metric = stat.get("Metric") or {}
    return AlarmMetric(
        id=entry.get("Id", ""),
        expression=entry.get("Expression"),
        namespace=metric.get("Namespace", ""),
        name=metric.get("MetricName", ""),
        dimensions=_dimensions(metric),
        statistic=stat.get("Stat", ""),
        period=stat.get("Period") or entry.get("Period"),
        account=entry.get("AccountId"),
        returned=entry.get("ReturnData", True),
        unit=stat.get("Unit"),
    )


def _dimensions(entry: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((one["Name"], one["Value"]) for one in entry.get("Dimensions") or []))


def _composite_alarm(entry: Mapping[str, Any]) -> AlarmInfo:
    return AlarmInfo(
        **_common(entry),
        kind="composite",
        rule=entry.get("AlarmRule", ""),
        suppressor=entry.get("ActionsSuppressor") or None,
    )


def _log_alarm(entry: Mapping[str, Any]) -> AlarmInfo:
    query = entry.get("ScheduledQueryConfiguration") or {}
    return AlarmInfo(
        **_common(entry),
        kind="log",
        statistic=query.get("AggregationExpression", ""),
        threshold=entry.get("Threshold"),
        comparison=entry.get("ComparisonOperator", ""),
        evaluation_periods=entry.get("QueryResultsToEvaluate", 1),
        datapoints=entry.get("QueryResultsToAlarm"),
        missing=entry.get("TreatMissingData") or "missing",
        query=query.get("QueryString", ""),
        log_groups=tuple(sorted(query.get("LogGroupIdentifiers") or [])),
    )


@collects(AlarmMutes, about=LogGroup)
def alarm_mutes(aws: Aws, group: LogGroup) -> Yield:
    """Yield the mute rules that are active in the log group's region. Where there is no such thing nothing is muted."""
    rules: dict[str, tuple[str, ...]] = {}
    try:
        for page in aws.pages("cloudwatch:ListAlarmMuteRules"):
            for entry in page.get("AlarmMuteRuleSummaries", []):
                if entry.get("Status", "").upper() == "ACTIVE":
                    arn = entry["AlarmMuteRuleArn"]
                    rules[arn] = _muted(aws, arn)
    except Missing as missing:
        if missing.gap.reason is not Reason.UNSUPPORTED:
            raise
    yield group, AlarmMutes(dict(sorted(rules.items())))


def _muted(aws: Aws, arn: str) -> tuple[str, ...]:
    """Return the names of the alarms that a mute rule silences; one that is gone by now silences none."""
    name = arn.split(":", 6)[-1]
    answer = aws.call(
        "cloudwatch:GetAlarmMuteRule",
        absent=("ResourceNotFoundException", "ResourceNotFound"),
        AlarmMuteRuleName=name,
    )
    targets = (answer or {}).get("MuteTargets")
    return tuple(sorted(targets["AlarmNames"])) if targets is not None else ()


@collects(EventRules, about=Region)
def event_rules(aws: Aws, region: Region) -> Yield:
    """Yield the rules with a pattern on the region's default bus: what AWS services report arrives on no other."""
    found = [
        EventRuleInfo(
            rule=EventRule.from_arn(entry["Arn"]),
            pattern=entry["EventPattern"],
            state=entry.get("State", "").upper(),
            relevant=_relevant(entry["EventPattern"]),
        )
        for page in aws.pages("events:ListRules")
        for entry in page.get("Rules", [])
        if entry.get("EventPattern") and not entry.get("ManagedBy")
    ]
    yield region, EventRules(tuple(sorted(found, key=lambda one: one.rule.arn)))


def _relevant(pattern: str) -> bool:
    """Tell whether a rule's targets need to be known: its ``detail-type`` lets recorded calls through."""
    try:
        tree = json.loads(pattern)
        wanted = {"detail-type": tree["detail-type"]} if "detail-type" in tree else {}
        return not wanted or patterns.parse(json.dumps(wanted)).matches({"detail-type": API_CALL}) is not False
    except (ValueError, TypeError, RecursionError):
        return True  # what cannot be read may be anything


@collects(RuleTargets, about=EventRule)
def rule_targets(aws: Aws, rule: EventRule) -> Yield:
    """Yield a rule's targets. A rule that was deleted in the meantime is gone."""
    found = [
        Target(
            arn=entry["Arn"],
            dead_letter=(entry.get("DeadLetterConfig") or {}).get("Arn"),
            role=entry.get("RoleArn"),
        )
        for page in aws.pages("events:ListTargetsByRule", gone=("ResourceNotFoundException",), Rule=rule.name)
        for entry in page.get("Targets", [])
    ]
    yield rule, RuleTargets(tuple(sorted(found, key=lambda one: one.arn)))


@collects(TopicSubscriptions, about=Topic)
def topic_subscriptions(aws: Aws, topic: Topic) -> Yield:
    """Yield a topic's subscriptions. One that does not exist has none: an alarm may name it for years."""
    yield topic, TopicSubscriptions(tuple(sorted(_subscriptions(aws, topic), key=lambda one: (one.arn, one.protocol))))


def _subscriptions(aws: Aws, topic: Topic) -> Iterator[Subscription]:
    try:
        for page in aws.pages("sns:ListSubscriptionsByTopic", TopicArn=topic.arn):
            for entry in page.get("Subscriptions", []):
                yield Subscription(entry.get("SubscriptionArn", ""), entry.get("Protocol", ""))
    except Missing as missing:
        if missing.code not in NO_TOPIC:
            raise


@collects(TopicSettings, about=Topic)
def topic_settings(aws: Aws, topic: Topic) -> Yield:
    """Yield a topic's policy and what is known of its key; a key that cannot be read does not hide the policy."""
    answer = aws.call("sns:GetTopicAttributes", absent=NO_TOPIC, TopicArn=topic.arn)
    if answer is None:
        yield topic, TopicSettings(exists=False)
        return
    attributes = answer.get("Attributes") or {}
    policy, key_id = attributes.get("Policy"), attributes.get("KmsMasterKeyId") or None
    if key_id is None:
        yield topic, TopicSettings(policy=policy)
        return
    if key_id.rpartition(":")[2] == "alias/aws/sns":
        yield topic, TopicSettings(policy=policy, key_id=key_id, key_manager="AWS")
        return
    arn: str | Gap | None = None
    manager: str | Gap | None = None
    state: str | Gap | None = None
    document: str | Gap | None = None
    stopped: Missing | None = None
    try:
        # Aliases are resolved here; GetKeyPolicy does not take them.
        described = aws.call("kms:DescribeKey", absent=("NotFoundException",), KeyId=key_id)
        if described is None:
            state = "NotFound"
        else:
            metadata = described["KeyMetadata"]
            arn, state = metadata["Arn"], metadata.get("KeyState", "")
            manager = metadata.get("KeyManager", "CUSTOMER").upper()
    except Missing as missing:
        stopped = missing
        arn = manager = state = document = missing.gap
    if isinstance(arn, str) and manager == "CUSTOMER":
        try:
            document = aws.call("kms:GetKeyPolicy", KeyId=arn, PolicyName="default").get("Policy")
        except Missing as missing:
            stopped = missing
            document = missing.gap
    yield topic, TopicSettings(True, policy, key_id, arn, manager, state, document)
    if stopped is not None:
        raise stopped
