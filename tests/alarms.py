"""What watches a region, for tests: a trail with its log group, metric filters, alarms, rules, topics."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from auditor.analysis.alarms import detection
from auditor.config import Config
from auditor.facts import (
    AlarmInfo,
    AlarmMutes,
    Alarms,
    Detection,
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
    TrailInfo,
    Trails,
    TrailSelectors,
    TrailStatus,
    Transformation,
)
from auditor.resources import Account, Alarm, EventRule, LogGroup, Region, Topic, Trail
from tests.rules import ACCOUNT, REGION

DENIED = Gap(Reason.ACCESS_DENIED, "The auditor may not call it.", "svc:Operation")

DELETION = (
    '{ ($.eventSource = "dynamodb.amazonaws.com") '
    '&& (($.eventName = "DeleteTable") || ($.eventName = "DeleteBackup")) }'
)

LOGGING = TrailStatus(logging=True)
ALL_EVENTS = TrailSelectors()
DEFAULTS = Config()


def topic(name: str = "security", region: Region = REGION) -> Topic:
    return Topic(region, name)


def group(region: Region = REGION, name: str = "trail") -> LogGroup:
    return LogGroup(region, name)


def alarm(name: str = "watch", *, region: Region = REGION, **values: Any) -> AlarmInfo:
    """Return an alarm on the metric Audit/Watch that goes off on one event and tells the topic ``security``."""
    usual: dict[str, Any] = {
        "namespace": "Audit",
        "metric": "Watch",
        "statistic": "Sum",
        "period": 300,
        "threshold": 1.0,
        "comparison": "GreaterThanOrEqualToThreshold",
        "missing": "notBreaching",
        "actions": (topic(region=region).arn,),
    }
    return AlarmInfo(Alarm(region, name), **usual | values)


def composite(name: str, rule: str, *, region: Region = REGION, **values: Any) -> AlarmInfo:
    usual: dict[str, Any] = {"actions": (topic(region=region).arn,)}
    return AlarmInfo(Alarm(region, name), kind="composite", rule=rule, **usual | values)


def metric_filter(pattern: str, name: str = "filter", **values: Any) -> MetricFilter:
    """Return a metric filter that writes to Audit/Watch, or with other values of its transformation."""
    own = {key: values.pop(key) for key in ("on_transformed", "selection", "system_dimensions") if key in values}
    written = {"namespace": "Audit", "name": "Watch"} | values
    return MetricFilter(name, pattern, (Transformation(**written),), **own)


def event_rule(
    pattern: Any, name: str = "watch", *, state: str = "ENABLED", region: Region = REGION, **values: Any
) -> EventRuleInfo:
    text = pattern if isinstance(pattern, str) else json.dumps(pattern)
    return EventRuleInfo(EventRule(region, name), text, state, **values)


def api_calls(service: str, **detail: Any) -> dict[str, Any]:
    """Return a pattern for calls to a service."""
    return {
        "source": [f"aws.{service}"],
        "detail-type": ["AWS API Call via CloudTrail"],
        "detail": {"eventSource": [f"{service}.amazonaws.com"], **detail},
    }


def publishers(where: Topic, *services: str, **condition: Any) -> str:
    """Return a topic policy that lets services publish; without any, SNS's default one."""
    if not services:
        statement: dict[str, Any] = {
            "Sid": "__default_statement_ID",
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": ["SNS:GetTopicAttributes", "SNS:Subscribe", "SNS:Publish"],
            "Resource": where.arn,
            "Condition": {"StringEquals": {"AWS:SourceOwner": where.account.id}},
        }
        return json.dumps({"Version": "2008-10-17", "Id": "__default_policy_ID", "Statement": [statement]})
    statement = {
        "Sid": "Publishers",
        "Effect": "Allow",
        "Principal": {"Service": list(services)},
        "Action": "sns:Publish",
        "Resource": where.arn,
    }
    if condition:
        statement["Condition"] = condition
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


BOTH = ("cloudwatch.amazonaws.com", "events.amazonaws.com")


def confirmed(where: Topic) -> TopicSubscriptions:
    return TopicSubscriptions((Subscription(f"{where.arn}:6d0e1f2a-0000-4000-8000-000000000001", "https"),))


def trail_info(
    name: str = "audit", *, region: Region = REGION, multi_region: bool = True, log_group: LogGroup | None = None
) -> TrailInfo:
    return TrailInfo(
        Trail(region, name),
        multi_region=multi_region,
        validation=True,
        organization=False,
        kms_key=None,
        bucket="trail",
        log_group=f"{log_group.arn}:*" if log_group is not None else None,
    )


def detect(
    region: Region = REGION,
    *,
    home: Region | None = None,
    trails: Trails | Gap | None = None,
    status: TrailStatus | Gap = LOGGING,
    selectors: TrailSelectors | Gap = ALL_EVENTS,
    filters: Iterable[MetricFilter] | Gap = (),
    alarms: Iterable[AlarmInfo] | Gap = (),
    mutes: Mapping[str, tuple[str, ...]] | Gap | None = None,
    audited: bool = True,
    rules: Iterable[EventRuleInfo] | Gap = (),
    targets: Mapping[str, Iterable[str] | Gap] | None = None,
    subscriptions: Mapping[Topic, TopicSubscriptions | Gap] | None = None,
    settings: Mapping[Topic, TopicSettings | Gap] | None = None,
    config: Config = DEFAULTS,
) -> Detection:
    """Derive what watches a region: a multi-region trail delivers to a log group in its home region.

    Args:
        region: The region.
        home: The trail's home region, by default the region itself.
        trails: Other trails than this one.
        status: Of all trails.
        selectors: Of all trails.
        filters: Metric filters of the log group.
        alarms: Alarms in its region.
        mutes: Mute rules there.
        audited: The log group's account is audited.
        rules: EventBridge rules of the region.
        targets: Rule's name -> ARNs of its targets; by default the topic ``security`` of the region.
        subscriptions: By default that topic has a confirmed one, in region and home.
        settings: By default CloudWatch and EventBridge may publish to it.
        config: The configuration.
    """
    home = home or region
    found = trails if trails is not None else Trails((trail_info(region=home, log_group=group(home)),))
    listed = found.trails if isinstance(found, Trails) else ()
    groups = [LogGroup.from_arn(one.log_group) for one in listed if one.log_group] if audited else []
    topics = {topic(region=place) for place in (region, home)}
    known_rules = rules if isinstance(rules, Gap) else tuple(rules)
    given = targets or {}
    aims: dict[EventRule, RuleTargets | Gap] = {}
    for one in () if isinstance(known_rules, Gap) else known_rules:
        arns = given.get(one.rule.name, (topic(region=region).arn,))
        aims[one.rule] = arns if isinstance(arns, Gap) else RuleTargets(tuple(Target(arn) for arn in arns))
    made: Detection = detection(
        region,
        found,
        {one.trail: status for one in listed},
        {one.trail: selectors for one in listed},
        dict.fromkeys(groups, filters if isinstance(filters, Gap) else MetricFilters(tuple(filters))),
        dict.fromkeys(groups, alarms if isinstance(alarms, Gap) else Alarms(tuple(alarms))),
        dict.fromkeys(groups, mutes if isinstance(mutes, Gap) else AlarmMutes(mutes or {})),
        known_rules if isinstance(known_rules, Gap) else EventRules(known_rules),
        aims,
        {one: confirmed(one) for one in topics} | dict(subscriptions or {}),
        {one: TopicSettings(policy=publishers(one, *BOTH)) for one in topics} | dict(settings or {}),
        config,
    )
    return made


CHINA = Region(Account(ACCOUNT.id, "aws-cn"), "cn-north-1")
GOVERNMENT = Region(Account(ACCOUNT.id, "aws-us-gov"), "us-gov-west-1")
