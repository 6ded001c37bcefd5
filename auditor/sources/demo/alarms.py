"""Metric filters, alarms, EventBridge rules and topics.

The production account watches its trail as one does after an audit: deletions, keys and refused calls are alarms on
the trail's log group, the rest EventBridge rules, which somebody forgot to repeat in every region.
"""

from __future__ import annotations

import json
from typing import Any

import boto3

from auditor.sources.demo.supplement import Answer, Supplement

PRODUCTION = "444455556666"

IRELAND, FRANKFURT, VIRGINIA = "eu-west-1", "eu-central-1", "us-east-1"

#: The log group that the production account's trail delivers to.
LOG_GROUP = "shop-production-trail"

SOURCE = '$.eventSource = "{}.amazonaws.com"'

#: Name -> pattern of a metric filter; the metric has the same name.
FILTERS = {
    "table-deletion": f"{{ ({SOURCE.format('dynamodb')}) "
    '&& (($.eventName = "DeleteTable") || ($.eventName = "DeleteBackup")) }',
    "kms-tampering": f'{{ ({SOURCE.format("kms")}) && (($.eventName = "DisableKey") '
    '|| ($.eventName = "ScheduleKeyDeletion") || ($.eventName = "PutKeyPolicy")) }',
    "unauthorized-calls": f'{{ ({SOURCE.format("dynamodb")}) && ($.errorCode = "AccessDenied*") }}',
}

WEAKENING = (
    *("UpdateTable", "UpdateContinuousBackups", "PutResourcePolicy", "DeleteResourcePolicy"),
    *("StopLogging", "DeleteTrail", "PutEventSelectors"),
)
EXFILTRATION = (
    *("ExportTableToPointInTime", "EnableKinesisStreamingDestination", "UpdateTable"),
    *("RestoreTableFromBackup", "RestoreTableToPointInTime", "StartBulkPutItems"),
)


def plant(account: str, session: boto3.Session, supplement: Supplement) -> None:
    """Plant what an account of the example organisation has of this."""
    supplement.answers["ListAlarmMuteRules"] = lambda account, region, request: {
        "AlarmMuteRuleSummaries": [_mute(supplement, account, region)] if _has_alarms(account, region) else []
    }
    supplement.answers["GetAlarmMuteRule"] = lambda account, region, request: {
        "Name": "key-rotation-week",
        "MuteTargets": {"AlarmNames": ["kms-tampering-oncall"]},
        **_mute(supplement, account, region),
    }
    supplement.amends["DescribeAlarms"] = _composite_alarms
    if account == PRODUCTION:
        _alarms(session)
        _rules(session)


def _has_alarms(account: str, region: str) -> bool:
    return (account, region) == (PRODUCTION, IRELAND)


def _mute(supplement: Supplement, account: str, region: str) -> Answer:
    return {
        "AlarmMuteRuleArn": f"arn:aws:cloudwatch:{region}:{account}:alarm-mute-rule:key-rotation-week",
        "Status": "ACTIVE",
        "LastUpdatedTimestamp": supplement.now,
    }


def _composite_alarms(account: str, _request: Answer, parsed: Answer) -> None:
    """Moto has no composite alarms: one tells of refused calls, whose own alarm has no action."""
    names = [entry["AlarmName"] for entry in parsed.get("MetricAlarms", [])]
    if "unauthorized-calls" in names:
        parsed["CompositeAlarms"] = [
            {
                "AlarmName": "security-incident",
                "AlarmArn": f"arn:aws:cloudwatch:{IRELAND}:{account}:alarm:security-incident",
                "AlarmRule": 'ALARM("unauthorized-calls") OR ALARM("table-deletion")',
                "ActionsEnabled": True,
                "AlarmActions": [_topic_arn(IRELAND, "security-alerts")],
                "StateValue": "OK",
            }
        ]


def _topic_arn(region: str, name: str) -> str:
    return f"arn:aws:sns:{region}:{PRODUCTION}:{name}"


def _alarms(session: boto3.Session) -> None:
    """Make the filters of the trail's log group, which is there already, and their alarms."""
    logs = session.client("logs", region_name=IRELAND)
    for name, pattern in FILTERS.items():
        logs.put_metric_filter(
            logGroupName=LOG_GROUP,
            filterName=name,
            filterPattern=pattern,
            metricTransformations=[{"metricName": name, "metricNamespace": "Security", "metricValue": "1"}],
        )
    alerts = _topic(session, IRELAND, "security-alerts", key=_key(session), publishers=True)
    oncall = _topic(session, IRELAND, "oncall", key="alias/aws/sns")
    _alarm(session, "table-deletion", "table-deletion", alerts)
    # Its topic is encrypted with AWS's own key, which CloudWatch cannot use: the page never comes.
    _alarm(session, "table-deletion-oncall", "table-deletion", oncall)
    _alarm(session, "kms-tampering", "kms-tampering", alerts)
    _alarm(session, "kms-tampering-oncall", "kms-tampering", alerts)
    _alarm(session, "unauthorized-calls", "unauthorized-calls", threshold=5)


def _alarm(session: boto3.Session, name: str, metric: str, *actions: str, threshold: int = 1) -> None:
    session.client("cloudwatch", region_name=IRELAND).put_metric_alarm(
        AlarmName=name,
        Namespace="Security",
        MetricName=metric,
        Statistic="Sum",
        Period=300,
        EvaluationPeriods=1,
        Threshold=threshold,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
        AlarmActions=list(actions),
    )


def _key(session: boto3.Session) -> str:
    """Make the key of the security team's topic, which CloudWatch and EventBridge may use."""
    statements: list[dict[str, Any]] = [
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{PRODUCTION}:root"},
            "Action": "kms:*",
            "Resource": "*",
        },
        {
            "Effect": "Allow",
            "Principal": {"Service": ["cloudwatch.amazonaws.com", "events.amazonaws.com"]},
            "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
            "Resource": "*",
        },
    ]
    kms = session.client("kms", region_name=IRELAND)
    made = kms.create_key(Description="alerts", Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))
    arn: str = made["KeyMetadata"]["Arn"]
    kms.create_alias(AliasName="alias/alerts", TargetKeyId=arn)
    return arn


def _topic(session: boto3.Session, region: str, name: str, *, key: str = "", publishers: bool = False) -> str:
    """Make a topic that the operations team reads."""
    sns = session.client("sns", region_name=region)
    arn: str = sns.create_topic(Name=name, Attributes={"KmsMasterKeyId": key} if key else {})["TopicArn"]
    sns.subscribe(TopicArn=arn, Protocol="email", Endpoint="operations@shop.example")
    if publishers:
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": ["cloudwatch.amazonaws.com", "events.amazonaws.com"]},
            "Action": "sns:Publish",
            "Resource": arn,
            "Condition": {"StringEquals": {"aws:SourceAccount": PRODUCTION}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=policy)
    return arn


def _rules(session: boto3.Session) -> None:
    """Make the EventBridge rules: Ireland has both, Frankfurt's tells nobody, Virginia's is switched off."""
    alerts = _topic_arn(IRELAND, "security-alerts")
    _rule(session, IRELAND, "table-protection", ("aws.dynamodb", "aws.cloudtrail"), WEAKENING, alerts)
    function = f"arn:aws:lambda:{IRELAND}:{PRODUCTION}:function:notify-security"
    _rule(session, IRELAND, "table-exfiltration", ("aws.dynamodb",), EXFILTRATION, function)
    # The topic has the policy that SNS makes: it lets CloudWatch in, and EventBridge not.
    silent = _topic(session, FRANKFURT, "platform")
    _rule(session, FRANKFURT, "table-exfiltration", ("aws.dynamodb",), EXFILTRATION, silent)
    _rule(session, VIRGINIA, "table-exfiltration", ("aws.dynamodb",), EXFILTRATION, function, state="DISABLED")


def _rule(
    session: boto3.Session,
    region: str,
    name: str,
    sources: tuple[str, ...],
    events: tuple[str, ...],
    target: str,
    *,
    state: str = "ENABLED",
) -> None:
    pattern = {
        "source": list(sources),
        "detail-type": ["AWS API Call via CloudTrail"],
        "detail": {
            "eventSource": [f"{one.removeprefix('aws.')}.amazonaws.com" for one in sources],
            "eventName": list(events),
        },
    }
    client = session.client("events", region_name=region)
    client.put_rule(Name=name, EventPattern=json.dumps(pattern), State=state)
    client.put_targets(Rule=name, Targets=[{"Id": "security", "Arn": target}])
