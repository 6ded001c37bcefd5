"""Metric filters, alarms, mute rules, EventBridge rules and topics, as AWS answers."""

import json
from typing import Any

import boto3
import pytest

from auditor.facts import (
    AlarmInfo,
    AlarmMetric,
    AlarmMutes,
    Alarms,
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
    TrailStatus,
    Transformation,
)
from auditor.inventory import Inventory, dumps, loads
from auditor.resources import Account, Alarm, EventRule, LogGroup, Region, Topic, Trail
from auditor.sources.aws.session import Access
from tests.sources.aws.conftest import ACCOUNT, Gather, answer, create_table

HERE = Region(ACCOUNT, "eu-west-1")
FAR = Region(ACCOUNT, "eu-central-1")
GROUP = LogGroup(HERE, "trail")
TOPIC = Topic(HERE, "security")
TRAILS = "cloudtrail:DescribeTrails"
FILTERS = "logs:DescribeMetricFilters"
ALARMS = "cloudwatch:DescribeAlarms"
MUTES, MUTE = "cloudwatch:ListAlarmMuteRules", "cloudwatch:GetAlarmMuteRule"
RULES, TARGETS = "events:ListRules", "events:ListTargetsByRule"
SUBSCRIPTIONS, ATTRIBUTES = "sns:ListSubscriptionsByTopic", "sns:GetTopicAttributes"
KEY, POLICY = "kms:DescribeKey", "kms:GetKeyPolicy"
KEY_ARN = f"arn:aws:kms:eu-west-1:{ACCOUNT.id}:key/0a0b0c0d-0000-4000-8000-000000000001"


@pytest.fixture(autouse=True)
def table(moto: None) -> None:
    """What watches tables is read where there are some."""
    create_table("orders")


def trail(access: Access, *groups: LogGroup) -> None:
    entries = [
        {
            "TrailARN": f"arn:aws:cloudtrail:{one.region.name}:{one.account.id}:trail/audit-{number}",
            "IsMultiRegionTrail": True,
            "CloudWatchLogsLogGroupArn": f"{one.arn}:*",
        }
        for number, one in enumerate(groups or (GROUP,))
    ]
    answer(access, TRAILS, {"trailList": entries})


def metric_alarm(name: str, region: str = "eu-west-1", **members: Any) -> dict[str, Any]:
    return {"AlarmName": name, "AlarmArn": f"arn:aws:cloudwatch:{region}:{ACCOUNT.id}:alarm:{name}"} | members


def errors(inventory: Inventory) -> list[tuple[str, str, str]]:
    return [(one.operation, one.code, one.fact) for one in inventory.errors]


def test_a_trail_says_that_it_cannot_deliver_to_its_log_group(gather_facts: Gather, access: Access) -> None:
    trail(access)
    broken = {"IsLogging": True, "LatestCloudWatchLogsDeliveryError": "AccessDenied"}
    answer(access, "cloudtrail:GetTrailStatus", broken)
    (status,) = gather_facts(Trail, TrailStatus).facts[TrailStatus].values()
    assert (status.logging, status.log_group_error, status.delivery_error) == (True, "AccessDenied", None)


# Metric filters


def test_metric_filters_of_all_pages(gather_facts: Gather, access: Access) -> None:
    trail(access)
    full = {
        "filterName": "deletion",
        "filterPattern": '{ $.eventName = "DeleteTable" }',
        "metricTransformations": [
            {
                "metricName": "Deletion",
                "metricNamespace": "Audit",
                "metricValue": "1",
                "defaultValue": 0.0,
                "dimensions": {"Region": "$.awsRegion"},
                "unit": "Count",
            }
        ],
        "applyOnTransformedLogs": True,
        "fieldSelectionCriteria": '@aws.region = "eu-west-1"',
        "emitSystemFieldDimensions": ["@aws.account"],
    }
    bare = {"filterName": "all"}
    asked = answer(access, FILTERS, {"metricFilters": [full], "nextToken": "2"}, {"metricFilters": [bare]})
    inventory = gather_facts(LogGroup, MetricFilters)
    assert asked == [{"logGroupName": "trail"}, {"logGroupName": "trail", "nextToken": "2"}]
    assert inventory.facts[MetricFilters][GROUP] == MetricFilters(
        (
            MetricFilter("all", "", ()),
            MetricFilter(
                "deletion",
                '{ $.eventName = "DeleteTable" }',
                (Transformation("Audit", "Deletion", "1", {"Region": "$.awsRegion"}, 0.0, "Count"),),
                on_transformed=True,
                selection='@aws.region = "eu-west-1"',
                system_dimensions=("@aws.account",),
            ),
        )
    )
    assert loads(dumps(inventory, "1")).facts == inventory.facts


def test_a_log_group_that_is_gone_has_no_filters(gather_facts: Gather, access: Access) -> None:
    trail(access)
    answer(access, FILTERS, "ResourceNotFoundException")
    inventory = gather_facts(LogGroup, MetricFilters)
    assert inventory.facts[MetricFilters][GROUP] == MetricFilters(())
    assert inventory.errors == []


@pytest.mark.parametrize(
    ("code", "reason"),
    [("AccessDeniedException", Reason.ACCESS_DENIED), ("ThrottlingException", Reason.THROTTLED)],
)
def test_metric_filters_that_cannot_be_read(gather_facts: Gather, access: Access, code: str, reason: Reason) -> None:
    trail(access)
    answer(access, FILTERS, code)
    gap = gather_facts(LogGroup, MetricFilters).facts[MetricFilters][GROUP]
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.action) == (reason, FILTERS)


def test_a_log_group_is_asked_in_its_own_region_and_account(gather_facts: Gather, access: Access) -> None:
    foreign = LogGroup(Region(Account("999988887777"), "eu-west-1"), "organization")
    trail(access, LogGroup(FAR, "central"), foreign)
    here = answer(access, FILTERS, {"metricFilters": []})
    far = answer(access, FILTERS, {"metricFilters": []}, region="eu-central-1")
    inventory = gather_facts(LogGroup, MetricFilters)
    assert (here, far) == ([], [{"logGroupName": "central"}])
    assert foreign not in inventory.facts[MetricFilters]


# Alarms


def test_alarms_of_all_kinds_and_pages(gather_facts: Gather, access: Access) -> None:
    trail(access)
    simple = metric_alarm(
        "simple",
        ActionsEnabled=False,
        AlarmActions=[TOPIC.arn],
        OKActions=["arn:aws:sns:eu-west-1:123456789012:ok"],
        Namespace="Audit",
        MetricName="Deletion",
        Dimensions=[{"Name": "Region", "Value": "eu-west-1"}, {"Name": "Account", "Value": "1"}],
        Statistic="Sum",
        Period=300,
        EvaluationPeriods=3,
        DatapointsToAlarm=2,
        Threshold=1.0,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
        Unit="Count",
    )
    math = metric_alarm(
        "math",
        EvaluationPeriods=1,
        ThresholdMetricId="band",
        Metrics=[
            {"Id": "e1", "Expression": "m1 * 2", "ReturnData": True},
            {
                "Id": "m1",
                "MetricStat": {
                    "Metric": {"Namespace": "Audit", "MetricName": "Deletion"},
                    "Period": 60,
                    "Stat": "p99",
                    "Unit": "Bytes",
                },
                "ReturnData": False,
                "AccountId": "999988887777",
            },
        ],
    )
    composite = metric_alarm("both", AlarmRule='ALARM("simple")', ActionsSuppressor="maintenance")
    query = metric_alarm(
        "query",
        ScheduledQueryConfiguration={
            "QueryString": 'filter eventName = "DeleteTable"',
            "LogGroupIdentifiers": ["trail"],
            "ScheduledQueryRoleARN": "arn:aws:iam::123456789012:role/query",
            "ScheduleConfiguration": {"ScheduleExpression": "rate(5 minutes)", "StartTimeOffset": 300},
            "AggregationExpression": "count(*)",
        },
        QueryResultsToEvaluate=2,
        QueryResultsToAlarm=1,
        Threshold=0.0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="missing",
    )
    asked = answer(
        access,
        ALARMS,
        {"MetricAlarms": [simple], "NextToken": "2"},
        {"MetricAlarms": [math], "CompositeAlarms": [composite], "LogAlarms": [query]},
    )
    inventory = gather_facts(LogGroup, Alarms)
    assert [one["AlarmTypes"] for one in asked] == [["MetricAlarm", "CompositeAlarm", "LogAlarm"]] * 2
    assert inventory.facts[Alarms][GROUP].alarms == (
        AlarmInfo(Alarm(HERE, "both"), "composite", rule='ALARM("simple")', suppressor="maintenance"),
        AlarmInfo(
            Alarm(HERE, "math"),
            threshold_metric="band",
            metrics=(
                AlarmMetric("e1", "m1 * 2"),
                AlarmMetric(
                    "m1",
                    None,
                    "Audit",
                    "Deletion",
                    (),
                    "p99",
                    60,
                    account="999988887777",
                    returned=False,
                    unit="Bytes",
                ),
            ),
        ),
        AlarmInfo(
            Alarm(HERE, "query"),
            "log",
            statistic="count(*)",
            threshold=0.0,
            comparison="GreaterThanThreshold",
            evaluation_periods=2,
            datapoints=1,
            query='filter eventName = "DeleteTable"',
            log_groups=("trail",),
        ),
        AlarmInfo(
            Alarm(HERE, "simple"),
            "metric",
            False,
            (TOPIC.arn,),
            "Audit",
            "Deletion",
            (("Account", "1"), ("Region", "eu-west-1")),
            "Sum",
            300,
            1.0,
            comparison="GreaterThanOrEqualToThreshold",
            evaluation_periods=3,
            datapoints=2,
            missing="notBreaching",
            unit="Count",
        ),
    )
    assert loads(dumps(inventory, "1")).facts == inventory.facts


def test_where_log_alarms_are_not_known_the_other_kinds_are_asked_for(gather_facts: Gather, access: Access) -> None:
    trail(access)

    def older(request: dict[str, Any]) -> Any:
        return "ValidationError" if "LogAlarm" in request["AlarmTypes"] else {"MetricAlarms": [metric_alarm("one")]}

    answer(access, ALARMS, older)
    inventory = gather_facts(LogGroup, Alarms)
    assert [one.alarm.name for one in inventory.facts[Alarms][GROUP].alarms] == ["one"]
    assert inventory.errors == []


def test_alarms_that_cannot_be_read(gather_facts: Gather, access: Access) -> None:
    trail(access)
    answer(access, ALARMS, {"MetricAlarms": [metric_alarm("one")], "NextToken": "2"}, "AccessDenied")
    inventory = gather_facts(LogGroup, Alarms)
    assert isinstance(inventory.facts[Alarms][GROUP], Gap)
    assert errors(inventory) == [("DescribeAlarms", "AccessDenied", "Alarms")]


def test_topics_of_alarms_on_awss_own_metrics_are_not_asked(gather_facts: Gather, access: Access) -> None:
    trail(access)
    own = metric_alarm("own", Namespace="Audit", MetricName="Deletion", AlarmActions=[TOPIC.arn])
    cpu = metric_alarm(
        "cpu",
        Namespace="AWS/EC2",
        MetricName="CPUUtilization",
        AlarmActions=["arn:aws:sns:eu-west-1:123456789012:ops", "arn:aws:automate:eu-west-1:ec2:stop"],
    )
    answer(access, ALARMS, {"MetricAlarms": [own, cpu]})
    answer(access, SUBSCRIPTIONS, {"Subscriptions": []})
    answer(access, RULES, {"Rules": []})
    assert gather_facts(Topic, TopicSubscriptions).of_kind(Topic) == [TOPIC]


# Mute rules


def mute(name: str, status: str) -> dict[str, Any]:
    arn = f"arn:aws:cloudwatch:eu-west-1:{ACCOUNT.id}:alarm-mute-rule:{name}"
    return {"AlarmMuteRuleArn": arn, "Status": status}


def test_active_mute_rules_of_all_pages(gather_facts: Gather, access: Access) -> None:
    trail(access)
    pages = [
        {"AlarmMuteRuleSummaries": [mute("nights", "ACTIVE"), mute("next-week", "SCHEDULED")], "NextToken": "2"},
        {"AlarmMuteRuleSummaries": [mute("gone", "ACTIVE"), mute("old", "EXPIRED")]},
    ]
    answer(access, MUTES, *pages)

    def rule(request: dict[str, Any]) -> Any:
        if request["AlarmMuteRuleName"] == "gone":
            return "ResourceNotFoundException"
        return {"Name": "nights", "MuteTargets": {"AlarmNames": ["b", "a"]}}

    asked = answer(access, MUTE, rule)
    inventory = gather_facts(LogGroup, AlarmMutes)
    assert asked == [{"AlarmMuteRuleName": "nights"}, {"AlarmMuteRuleName": "gone"}]
    assert inventory.facts[AlarmMutes][GROUP].rules == {
        mute("gone", "")["AlarmMuteRuleArn"]: (),
        mute("nights", "")["AlarmMuteRuleArn"]: ("a", "b"),
    }


def test_where_there_are_no_mute_rules_nothing_is_muted(gather_facts: Gather, access: Access) -> None:
    trail(access)
    answer(access, MUTES, "UnknownOperationException")
    inventory = gather_facts(LogGroup, AlarmMutes)
    assert inventory.facts[AlarmMutes][GROUP] == AlarmMutes({})
    assert inventory.errors == []


@pytest.mark.parametrize("operation", [MUTES, MUTE])
def test_mute_rules_that_cannot_be_read(gather_facts: Gather, access: Access, operation: str) -> None:
    trail(access)
    listed = {"AlarmMuteRuleSummaries": [mute("nights", "ACTIVE")]}
    answer(access, MUTES, "AccessDeniedException" if operation == MUTES else listed)
    answer(access, MUTE, "AccessDeniedException")
    gap = gather_facts(LogGroup, AlarmMutes).facts[AlarmMutes][GROUP]
    assert isinstance(gap, Gap)
    assert gap.action == operation


# EventBridge rules


def rule(name: str, pattern: Any = None, **members: Any) -> dict[str, Any]:
    arn = f"arn:aws:events:eu-west-1:{ACCOUNT.id}:rule/{name}"
    text = {} if pattern is None else {"EventPattern": pattern if isinstance(pattern, str) else json.dumps(pattern)}
    return {"Name": name, "Arn": arn, "State": "ENABLED", "EventBusName": "default"} | text | members


CALLS = {"detail-type": ["AWS API Call via CloudTrail"], "source": ["aws.dynamodb"]}


def test_rules_of_all_pages_and_which_of_them_matter(gather_facts: Gather, access: Access) -> None:
    pages = [
        {"Rules": [rule("calls", CALLS), rule("nightly", ScheduleExpression="rate(1 day)")], "NextToken": "2"},
        {
            "Rules": [
                rule("off", CALLS, State="DISABLED"),
                rule("states", {"detail-type": ["EC2 Instance State-change Notification"]}),
                rule("prefix", {"detail-type": [{"prefix": "AWS API"}]}),
                rule("open", {"source": ["aws.ec2"]}),
                rule("broken", '{"detail-type": ['),
                rule("managed", CALLS, ManagedBy="guardduty.amazonaws.com"),
                rule("all", CALLS, State="enabled_with_all_cloudtrail_management_events"),
            ]
        },
    ]
    asked = answer(access, RULES, *pages)
    targets = answer(access, TARGETS, {"Targets": []})
    inventory = gather_facts(EventRule, EventRules, RuleTargets)
    assert asked == [{}, {"NextToken": "2"}]
    found = {one.rule.name: (one.state, one.relevant) for one in inventory.facts[EventRules][HERE].rules}
    assert found == {
        "all": ("ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS", True),
        "broken": ("ENABLED", True),
        "calls": ("ENABLED", True),
        "off": ("DISABLED", True),
        "open": ("ENABLED", True),
        "prefix": ("ENABLED", True),
        "states": ("ENABLED", False),
    }
    assert sorted(one["Rule"] for one in targets) == ["all", "broken", "calls", "open", "prefix"]


def test_targets_of_all_pages(gather_facts: Gather, access: Access) -> None:
    answer(access, RULES, {"Rules": [rule("calls", CALLS)]})
    queue = f"arn:aws:sqs:eu-west-1:{ACCOUNT.id}:lost"
    role = f"arn:aws:iam::{ACCOUNT.id}:role/events"
    bus = "arn:aws:events:eu-west-1:999988887777:event-bus/security"
    answer(
        access,
        TARGETS,
        {"Targets": [{"Id": "2", "Arn": TOPIC.arn, "DeadLetterConfig": {"Arn": queue}}], "NextToken": "2"},
        {"Targets": [{"Id": "1", "Arn": bus, "RoleArn": role}]},
    )
    inventory = gather_facts(EventRule, RuleTargets)
    (held,) = inventory.facts[RuleTargets].values()
    assert held == RuleTargets((Target(bus, None, role), Target(TOPIC.arn, queue)))
    assert TOPIC in inventory.of_kind(Topic)


def test_rules_and_targets_that_cannot_be_read(gather_facts: Gather, access: Access) -> None:
    answer(access, RULES, {"Rules": [rule("calls", CALLS), rule("gone", CALLS)]})
    answer(
        access,
        TARGETS,
        lambda request: "ResourceNotFoundException" if request["Rule"] == "gone" else "AccessDeniedException",
    )
    inventory = gather_facts(EventRule, RuleTargets)
    gap = inventory.facts[RuleTargets][EventRule(HERE, "calls")]
    assert isinstance(gap, Gap)
    assert gap.action == TARGETS
    assert EventRule(HERE, "gone") in inventory.vanished


def test_rules_that_cannot_be_listed(gather_facts: Gather, access: Access) -> None:
    answer(access, RULES, {"Rules": [rule("calls", CALLS)], "NextToken": "2"}, "ThrottlingException")
    gap = gather_facts(EventRule, EventRules).facts[EventRules][HERE]
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.action) == (Reason.THROTTLED, RULES)


# Topics


def topics(access: Access) -> None:
    answer(access, RULES, {"Rules": [rule("calls", CALLS)]})
    answer(access, TARGETS, {"Targets": [{"Id": "1", "Arn": TOPIC.arn}]})
    answer(access, TRAILS, {"trailList": []})


def test_subscriptions_without_addresses(gather_facts: Gather, access: Access) -> None:
    topics(access)
    confirmed = f"{TOPIC.arn}:6d0e1f2a-0000-4000-8000-000000000001"
    first = {"SubscriptionArn": "PendingConfirmation", "Protocol": "email", "Endpoint": "alice@shop.example"}
    second = {"SubscriptionArn": confirmed, "Protocol": "https", "Endpoint": "https://shop.example/token"}
    answer(access, SUBSCRIPTIONS, {"Subscriptions": [first], "NextToken": "2"}, {"Subscriptions": [second]})
    inventory = gather_facts(Topic, TopicSubscriptions)
    assert inventory.facts[TopicSubscriptions][TOPIC] == TopicSubscriptions(
        (Subscription("PendingConfirmation", "email"), Subscription(confirmed, "https"))
    )
    assert b"shop.example" not in dumps(inventory, "1")


def test_a_topic_that_does_not_exist(gather_facts: Gather, access: Access) -> None:
    topics(access)
    answer(access, SUBSCRIPTIONS, "NotFound")
    answer(access, ATTRIBUTES, "NotFound")
    inventory = gather_facts(Topic, TopicSubscriptions, TopicSettings)
    assert inventory.facts[TopicSubscriptions][TOPIC] == TopicSubscriptions(())
    assert inventory.facts[TopicSettings][TOPIC] == TopicSettings(exists=False)
    assert inventory.errors == []


def test_a_topic_of_another_account(gather_facts: Gather, access: Access) -> None:
    topics(access)
    answer(access, SUBSCRIPTIONS, "AuthorizationError")
    answer(access, ATTRIBUTES, "AuthorizationError")
    inventory = gather_facts(Topic, TopicSubscriptions, TopicSettings)
    for fact_type, action in ((TopicSubscriptions, SUBSCRIPTIONS), (TopicSettings, ATTRIBUTES)):
        gap = inventory.facts[fact_type][TOPIC]
        assert isinstance(gap, Gap)
        assert (gap.reason, gap.action) == (Reason.ACCESS_DENIED, action)


def settings(gather_facts: Gather, access: Access, key: str | None) -> Inventory:
    topics(access)
    answer(access, ATTRIBUTES, {"Attributes": {"Policy": "{}"} | ({"KmsMasterKeyId": key} if key is not None else {})})
    inventory = gather_facts(Topic, TopicSettings)
    assert loads(dumps(inventory, "1")).facts == inventory.facts
    return inventory


@pytest.mark.parametrize("key", [None, ""])
def test_a_topic_that_is_not_encrypted(gather_facts: Gather, access: Access, key: str | None) -> None:
    asked = answer(access, KEY, "AccessDeniedException")
    assert settings(gather_facts, access, key).facts[TopicSettings][TOPIC] == TopicSettings(policy="{}")
    assert asked == []


@pytest.mark.parametrize("key", ["alias/aws/sns", f"arn:aws:kms:eu-west-1:{ACCOUNT.id}:alias/aws/sns"])
def test_the_managed_key_needs_no_question(gather_facts: Gather, access: Access, key: str) -> None:
    asked = answer(access, KEY, "AccessDeniedException")
    expected = TopicSettings(policy="{}", key_id=key, key_manager="AWS")
    assert settings(gather_facts, access, key).facts[TopicSettings][TOPIC] == expected
    assert asked == []


def metadata(**members: Any) -> dict[str, Any]:
    usual = {"KeyId": KEY_ARN.rpartition("/")[2], "Arn": KEY_ARN, "KeyManager": "CUSTOMER", "KeyState": "Enabled"}
    return {"KeyMetadata": usual | members}


def test_a_customers_key_with_its_policy(gather_facts: Gather, access: Access) -> None:
    asked = answer(access, KEY, metadata())
    policies = answer(access, POLICY, {"Policy": '{"Statement": []}'})
    inventory = settings(gather_facts, access, "alias/alerts")
    assert inventory.facts[TopicSettings][TOPIC] == TopicSettings(
        True, "{}", "alias/alerts", KEY_ARN, "CUSTOMER", "Enabled", '{"Statement": []}'
    )
    assert asked == [{"KeyId": "alias/alerts"}]
    assert policies == [{"KeyId": KEY_ARN, "PolicyName": "default"}], "an alias would be refused"


def test_the_managed_key_by_its_id(gather_facts: Gather, access: Access) -> None:
    answer(access, KEY, metadata(KeyManager="AWS"))
    policies = answer(access, POLICY, "AccessDeniedException")
    held = settings(gather_facts, access, KEY_ARN).facts[TopicSettings][TOPIC]
    assert (held.key_manager, held.key_policy) == ("AWS", None)
    assert policies == []


def test_a_key_that_does_not_exist(gather_facts: Gather, access: Access) -> None:
    answer(access, KEY, "NotFoundException")
    held = settings(gather_facts, access, KEY_ARN).facts[TopicSettings][TOPIC]
    assert (held.key_state, held.key_manager, held.key_policy) == ("NotFound", None, None)


def test_a_key_that_cannot_be_read_does_not_hide_the_policy(gather_facts: Gather, access: Access) -> None:
    answer(access, KEY, "AccessDeniedException")
    inventory = settings(gather_facts, access, KEY_ARN)
    held = inventory.facts[TopicSettings][TOPIC]
    assert held.policy == "{}"
    for gap in (held.key_manager, held.key_state, held.key_policy):
        assert isinstance(gap, Gap)
        assert gap.action == KEY
    assert ("DescribeKey", "AccessDeniedException", "TopicSettings") in errors(inventory)


def test_a_key_policy_that_cannot_be_read(gather_facts: Gather, access: Access) -> None:
    answer(access, KEY, metadata())
    answer(access, POLICY, "AccessDeniedException")
    inventory = settings(gather_facts, access, KEY_ARN)
    held = inventory.facts[TopicSettings][TOPIC]
    assert (held.key_state, held.key_manager) == ("Enabled", "CUSTOMER")
    assert isinstance(held.key_policy, Gap)
    assert errors(inventory) == [("GetKeyPolicy", "AccessDeniedException", "TopicSettings")]


def test_moto_answers_the_same(gather_facts: Gather) -> None:
    boto3.client("sns").create_topic(Name="security")
    events = boto3.client("events")
    events.put_rule(Name="calls", EventPattern=json.dumps(CALLS))
    events.put_targets(Rule="calls", Targets=[{"Id": "1", "Arn": TOPIC.arn}])
    inventory = gather_facts(Topic, TopicSettings, TopicSubscriptions)
    held = inventory.facts[TopicSettings][TOPIC]
    assert "AWS:SourceOwner" in held.policy
    assert inventory.facts[TopicSubscriptions][TOPIC] == TopicSubscriptions(())
