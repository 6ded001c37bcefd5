from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from auditor import Remediation, Severity, Side, Verdict, failed, passed, rule, unknown
from auditor.detection import classes
from auditor.facts import Delivery, Detection, Gap
from auditor.resources import Alarm, EventRule, Region


@dataclass
class _Use:
    """What an alarm or rule notices: ids of classes, and events that must be noticed, by class and label."""

    classes: set[str] = field(default_factory=set)
    mandatory: set[tuple[str, str]] = field(default_factory=set)


@rule(
    severity=Severity.HIGH,
    side=Side.AMAZON,
    practices=["P10"],
    controls={
        "AWS FSBP": ["CloudWatch.15", "CloudWatch.17"],
        "NIST 800-53 r5": ["AU-5", "IR-6", "SI-4(5)"],
    },
    remediation=Remediation(
        text="Give the alarm or rule a topic with a subscription that somebody has confirmed, a policy that lets "
        "cloudwatch.amazonaws.com and events.amazonaws.com publish, and, where it is encrypted, a customer managed key "
        "whose policy allows them kms:Decrypt and kms:GenerateDataKey*.",
        cli="aws sns subscribe --topic-arn $TOPIC_ARN --protocol email --notification-endpoint soc@example.com "
        "--region $REGION\n"
        "aws sns set-topic-attributes --topic-arn $TOPIC_ARN --attribute-name Policy "
        "--attribute-value file://topic-policy.json --region $REGION\n"
        "aws sns set-topic-attributes --topic-arn $TOPIC_ARN --attribute-name KmsMasterKeyId "
        "--attribute-value $TOPIC_KEY_ARN --region $REGION",
        terraform="""\
resource "aws_sns_topic" "security" {
  name              = "security"
  kms_master_key_id = aws_kms_key.sns.arn
}

resource "aws_sns_topic_policy" "security" {
  arn = aws_sns_topic.security.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = ["cloudwatch.amazonaws.com", "events.amazonaws.com"] }
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.security.arn
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
    }]
  })
}

resource "aws_sns_topic_subscription" "soc" {
  topic_arn = aws_sns_topic.security.arn
  protocol  = "https"
  endpoint  = "https://soc.example.com/hook"
}""",
        cloudformation="""\
Resources:
  Topic:
    Type: AWS::SNS::Topic
    Properties:
      Subscription: [{Protocol: email, Endpoint: soc@example.com}]
  TopicPolicy:
    Type: AWS::SNS::TopicPolicy
    Properties:
      Topics: [!Ref Topic]
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Principal: {Service: [cloudwatch.amazonaws.com, events.amazonaws.com]}
            Action: "sns:Publish"
            Resource: !Ref Topic
            Condition: {StringEquals: {"aws:SourceAccount": !Ref "AWS::AccountId"}}""",
    ),
    references=[
        "https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html",
        "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html",
    ],
)
def alarm_delivery(region: Region, detection: Detection) -> Iterator[Verdict]:
    """What notices attacks on tables tells somebody.

    An alarm that nobody hears is found out about after the attack: subscriptions that were never confirmed and keys
    that CloudWatch cannot use look like alarms that work.

    Judged are the alarms and EventBridge rules that notice one of the events of the `alarm-*` rules, as these list them
    by default, each by itself; the rest is not looked at. Passes when one action or target works. A **topic** works
    with a subscription whose SubscriptionArn is an ARN (`PendingConfirmation` and `Deleted` are none), a policy that
    lets `cloudwatch.amazonaws.com` or `events.amazonaws.com` publish (SNS's default policy does that for alarms of the
    same account, not for EventBridge), and, if it is encrypted, a customer managed key whose policy allows the service
    `kms:Decrypt` and `kms:GenerateDataKey*`; AWS's own key `alias/aws/sns` cannot be used by either, and messages
    vanish. Policies are evaluated, Deny statements included. Lambda functions, state machines, SQS queues, OpsItems,
    Incident Manager, User Notifications, other event buses and API destinations count as somebody; EC2 and Auto Scaling
    actions and log groups do not; of anything else it is unknown. `OKActions` do not count, nor do actions that are
    switched off. An alarm without working actions passes through a composite alarm that goes off when this alarm alone
    is in ALARM, unless what goes off with it suppresses the actions.

    Fails (high) when nobody is told; low where an active mute rule is the only reason, where all that must be noticed
    is noticed by something else that tells somebody, or only recommended events are noticed. Unknown when a topic, its
    key or its subscriptions cannot be read, as those of a security account: `trusted_topics` (globs on ARNs, of other
    targets too) says that they arrive, and they pass as attested. Unknown, too, what would notice an event if the
    trail, which may not be read, records it; the log group while alarms or metric filters cannot be listed; the region
    while trails or rules cannot. Conditions that AWS does not document for a service, such as aws:SourceAccount in a
    key policy for EventBridge, are undecidable. Resource policies of functions and queues are not looked at.
    """
    uses, doubts = _uses(region, detection)
    deliveries = {control: detection.delivery(control) for control in uses}
    for control, use in sorted(uses.items(), key=lambda one: one[0].arn):
        # An alarm is seen from every region of its trail: rules of a single one must not soften its verdict.
        others = [
            other
            for other in uses
            if deliveries[other].works and (isinstance(other, Alarm) or isinstance(control, EventRule))
        ]
        told = {event for other in others for event in uses[other].mandatory}
        yield _verdict(control, use, deliveries[control], told)
    for control, gap in sorted(doubts.items(), key=lambda one: one[0].arn):
        yield unknown(gap, about=control)
    for where, gap in detection.blind.items():
        yield unknown(gap, about=where)


def _uses(region: Region, detection: Detection) -> tuple[dict[Alarm | EventRule, _Use], dict[Alarm | EventRule, Gap]]:
    """Return what notices events of the classes, and what may do so for all that could be read."""
    found: dict[Alarm | EventRule, _Use] = {}
    doubts: dict[Alarm | EventRule, Gap] = {}
    place = classes(region.account.id, region.name, region.account.partition)
    for kind in place.values():
        for event in (*kind.mandatory, *kind.recommended):
            for notice in detection.look(event).notices:
                if notice.gap is not None and notice.gap.action is not None:
                    doubts.setdefault(notice.control, notice.gap)
                if notice.needed is None:
                    continue
                use = found.setdefault(notice.control, _Use())
                use.classes.add(kind.id)
                if event in kind.mandatory:
                    use.mandatory.add((kind.id, event.label))
    return found, {control: gap for control, gap in doubts.items() if control not in found}


def _verdict(control: Alarm | EventRule, use: _Use, delivery: Delivery, told: set[tuple[str, str]]) -> Verdict:
    evidence: dict[str, Any] = {**delivery.evidence, "classes": sorted(use.classes)}
    if delivery.sinks:
        evidence["sinks"] = {sink.arn: sink.text for sink in delivery.sinks}
    if delivery.works:
        if delivery.attested:
            evidence["attested"] = "trusted_topics"
        return passed(delivery.text, about=control, **evidence)
    if delivery.gap is not None:
        return unknown(delivery.gap, about=control, **evidence)
    severity = None
    if delivery.muted:
        evidence["muteRules"] = list(delivery.muted)
        severity = Severity.LOW
    elif use.mandatory <= told:
        evidence["noticedElsewhere"] = sorted({label for _, label in use.mandatory})
        severity = Severity.LOW
    return failed(delivery.text, about=control, severity=severity, **evidence)
