"""alarm-delivery: topics with their subscriptions, policies and keys, other sinks, mutes and composite alarms."""

import json
from typing import Any

import pytest

from auditor import Severity, Status, Verdict
from auditor.config import Config
from auditor.facts import AlarmInfo, Gap, Reason, Subscription, TopicSettings, TopicSubscriptions
from auditor.resources import Account, Region, Resource, Topic
from tests.alarms import (
    BOTH,
    CHINA,
    DELETION,
    DENIED,
    GOVERNMENT,
    alarm,
    api_calls,
    composite,
    confirmed,
    detect,
    event_rule,
    group,
    metric_filter,
    publishers,
    topic,
)
from tests.rules import ACCOUNT, REGION, load

RULE = event_rule(api_calls("dynamodb", eventName=["DeleteTable", "DeleteBackup"]), "rule")
FILTERS = [metric_filter(DELETION)]
KEY_ARN = "arn:aws:kms:eu-west-1:111122223333:key/0a0b0c0d-0000-4000-8000-000000000001"
MUTE = "arn:aws:cloudwatch:eu-west-1:111122223333:alarm-mute-rule:nights"


def verdicts(region: Region = REGION, **given: Any) -> list[Verdict]:
    return list(load("alarm-delivery")(region, detect(region, **given)))


def of_alarm(one: AlarmInfo | None = None, *more: AlarmInfo, region: Region = REGION, **given: Any) -> Verdict:
    watch = one or alarm(region=region)
    found = verdicts(region, filters=FILTERS, alarms=[watch, *more], **given)
    (verdict,) = [each for each in found if each.about == watch.alarm]
    return verdict


def of_rule(*targets: str, **given: Any) -> Verdict:
    aims: dict[str, Any] = {"targets": {"rule": targets}} if targets else {}
    (verdict,) = verdicts(rules=[RULE], **aims, **given)
    assert verdict.about == RULE.rule
    return verdict


def key_policy(*actions: str, services: tuple[str, ...] = BOTH, **condition: Any) -> str:
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": list(services)},
        "Action": list(actions),
        "Resource": "*",
    }
    if condition:
        statement["Condition"] = condition
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def settings(where: Topic | None = None, policy: str | None = None, **key: Any) -> dict[str, Any]:
    place = where or topic()
    return {"settings": {place: TopicSettings(policy=policy or publishers(place, *BOTH), **key)}}


def customer_key(policy: str | Gap, **other: Any) -> dict[str, Any]:
    values = {"key_arn": KEY_ARN, "key_manager": "CUSTOMER", "key_state": "Enabled", "key_policy": policy} | other
    return settings(key_id="alias/alerts", **values)


# Controls


def test_only_what_notices_something_is_judged() -> None:
    idle = alarm("cpu", namespace="AWS/EC2", metric="CPUUtilization", actions=())
    other = alarm("logins", metric="Logins", actions=())
    found = verdicts(filters=FILTERS, alarms=[alarm(), idle, other], rules=[RULE])
    assert [(one.about, one.status) for one in found] == [(alarm().alarm, Status.PASS), (RULE.rule, Status.PASS)]
    assert verdicts() == []


@pytest.mark.parametrize(
    ("missing", "where"), [("trails", REGION), ("rules", REGION), ("alarms", group()), ("filters", group())]
)
def test_a_listing_that_is_missing_is_unknown_on_what_would_list(missing: str, where: Resource) -> None:
    given: dict[str, Any] = {missing: DENIED}
    (verdict,) = verdicts(**given)
    assert (verdict.status, verdict.about, verdict.missing_permission) == (Status.UNKNOWN, where, "svc:Operation")


def test_what_would_notice_if_the_trail_records_is_unknown_while_the_trail_cannot_be_read() -> None:
    found = verdicts(filters=FILTERS, alarms=[alarm()], rules=[RULE], status=DENIED)
    assert [(one.about, one.status) for one in found] == [
        (alarm().alarm, Status.UNKNOWN),
        (RULE.rule, Status.UNKNOWN),
    ]
    unreadable = [metric_filter("{ nonsense }")]
    assert verdicts(filters=unreadable, alarms=[alarm()]) == [], "that is for the rule on the class to say"


def test_alarms_of_an_account_that_is_not_audited_have_no_finding() -> None:
    assert verdicts(audited=False) == [], "alarms of an account that is not audited are not known to exist"


@pytest.mark.parametrize("region", [REGION, CHINA, GOVERNMENT])
def test_a_confirmed_topic_passes_in_every_partition(region: Region) -> None:
    assert of_alarm(region=region).status is Status.PASS
    rule = event_rule(api_calls("dynamodb"), "rule", region=region)
    (verdict,) = verdicts(region, rules=[rule])
    assert verdict.status is Status.PASS


def test_in_china_a_policy_may_name_services_in_either_form() -> None:
    where = topic(region=CHINA)
    policy = publishers(where, "cloudwatch.amazonaws.com.cn")
    assert of_alarm(region=CHINA, settings={where: TopicSettings(policy=policy)}).status is Status.PASS
    policy = publishers(topic(), "cloudwatch.amazonaws.com.cn")
    assert of_alarm(**settings(policy=policy)).status is Status.FAIL


# Topics


@pytest.mark.parametrize("state", ["PendingConfirmation", "Deleted"])
def test_subscriptions_that_nobody_confirmed_do_not_count(state: str) -> None:
    waiting = {topic(): TopicSubscriptions((Subscription(state, "email"),))}
    verdict = of_alarm(subscriptions=waiting)
    assert (verdict.status, verdict.severity) == (Status.FAIL, None)
    assert "no confirmed subscription" in verdict.message
    both = {topic(): TopicSubscriptions((Subscription(state, "email"), *confirmed(topic()).subscriptions))}
    assert of_alarm(subscriptions=both).status is Status.PASS


@pytest.mark.parametrize("protocol", ["sqs", "lambda", "https", "sms"])
def test_the_protocol_does_not_matter(protocol: str) -> None:
    held = {topic(): TopicSubscriptions((Subscription(f"{topic().arn}:0", protocol),))}
    assert of_alarm(subscriptions=held).status is Status.PASS


def test_a_topic_that_does_not_exist_fails() -> None:
    gone: dict[str, Any] = {
        "subscriptions": {topic(): TopicSubscriptions(())},
        "settings": {topic(): TopicSettings(exists=False)},
    }
    assert of_alarm(**gone).message == "The topic security does not exist."


def test_the_default_policy_is_enough_for_alarms_and_not_for_rules() -> None:
    default = settings(policy=publishers(topic()))
    assert of_alarm(**default).status is Status.PASS
    verdict = of_rule(**default)
    assert verdict.status is Status.FAIL
    assert "does not let events.amazonaws.com publish" in verdict.message


def test_the_default_policy_is_not_enough_for_another_account() -> None:
    theirs = Topic(Region(Account("999900001111"), "eu-west-1"), "soc")
    held: dict[str, Any] = {"subscriptions": {theirs: confirmed(theirs)}}
    one = alarm(actions=(theirs.arn,))
    assert of_alarm(one, **held, **settings(theirs, publishers(theirs))).status is Status.FAIL
    mine = {"StringEquals": {"aws:SourceAccount": ACCOUNT.id}}
    assert of_alarm(one, **held, **settings(theirs, publishers(theirs, *BOTH, **mine))).status is Status.PASS
    other = {"StringEquals": {"aws:SourceAccount": "444455556666"}}
    assert of_alarm(one, **held, **settings(theirs, publishers(theirs, *BOTH, **other))).status is Status.FAIL
    organization = {"StringEquals": {"aws:SourceOrgID": "o-exampleorgid"}}
    verdict = of_alarm(one, **held, **settings(theirs, publishers(theirs, *BOTH, **organization)))
    assert verdict.status is Status.UNKNOWN


def test_source_arns_in_policies_are_evaluated() -> None:
    alarms = {"ArnLike": {"aws:SourceArn": "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:*"}}
    policy = settings(policy=publishers(topic(), *BOTH, **alarms))
    assert of_alarm(**policy).status is Status.PASS
    assert of_rule(**policy).status is Status.FAIL


def test_a_deny_statement_counts() -> None:
    document = json.loads(publishers(topic(), *BOTH))
    insecure = {"Bool": {"aws:SecureTransport": "false"}}
    deny = {"Sid": "Closed", "Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": topic().arn}
    document["Statement"].append(deny | {"Condition": insecure})
    assert of_alarm(**settings(policy=json.dumps(document))).status is Status.PASS
    document["Statement"].append(deny)
    verdict = of_alarm(**settings(policy=json.dumps(document)))
    assert verdict.status is Status.FAIL
    assert "statement Closed" in verdict.message


def test_a_topic_that_cannot_be_read_is_unknown_unless_it_is_trusted() -> None:
    soc = Topic(Region(Account("999900001111"), "eu-west-1"), "soc")
    denied = Gap(Reason.ACCESS_DENIED, "The auditor may not call it.", "sns:ListSubscriptionsByTopic")
    hidden: dict[str, Any] = {"subscriptions": {soc: denied}, "settings": {soc: denied}}
    one = alarm(actions=(soc.arn,))
    verdict = of_alarm(one, **hidden)
    assert verdict.status is Status.UNKNOWN
    assert verdict.missing_permission == "sns:ListSubscriptionsByTopic"
    trusted = of_alarm(one, **hidden, config=Config(trusted_topics=("arn:aws:sns:*:999900001111:soc",)))
    assert (trusted.status, trusted.evidence["attested"]) == (Status.PASS, "trusted_topics")
    assert of_alarm(one, **hidden, config=Config(trusted_topics=("*:other",))).status is Status.UNKNOWN
    second = alarm(actions=(soc.arn, topic().arn))
    assert of_alarm(second, **hidden).status is Status.PASS, "another action works"


@pytest.mark.parametrize("arn", ["PendingConfirmation", "Deleted"])
def test_trust_does_not_outweigh_what_is_known_of_a_topic(arn: str) -> None:
    waiting = {topic(): TopicSubscriptions((Subscription(arn, "email"),))}
    trusting = Config(trusted_topics=("*",))
    assert of_alarm(subscriptions=waiting, config=trusting).status is Status.FAIL
    gone = {topic(): TopicSettings(exists=False)}
    assert of_alarm(settings=gone, subscriptions={topic(): DENIED}, config=trusting).status is Status.FAIL
    # Of other targets that tell nobody by themselves, such as a log group, it says that somebody reads them.
    logs = "arn:aws:logs:eu-west-1:111122223333:log-group:/siem"
    assert of_rule(logs).status is Status.FAIL
    assert of_rule(logs, config=trusting).evidence["attested"] == "trusted_topics"


def test_what_is_certain_decides_before_what_is_not() -> None:
    assert of_alarm(subscriptions={topic(): TopicSubscriptions(())}, settings={topic(): DENIED}).status is Status.FAIL
    assert (
        of_alarm(subscriptions={topic(): DENIED}, settings={topic(): TopicSettings(exists=False)}).status is Status.FAIL
    )


# Keys of topics


def test_the_managed_key_of_sns_swallows_messages() -> None:
    managed = settings(key_id="alias/aws/sns", key_manager="AWS")
    for verdict in (of_alarm(**managed), of_rule(**managed)):
        assert verdict.status is Status.FAIL
        assert "messages vanish" in verdict.message


def test_a_customers_key_must_let_the_service_in() -> None:
    good = key_policy("kms:Decrypt", "kms:GenerateDataKey*")
    assert of_alarm(**customer_key(good)).status is Status.PASS
    assert of_rule(**customer_key(good)).status is Status.PASS
    for actions in (("kms:Decrypt",), ("kms:GenerateDataKey*",), ("kms:DescribeKey",)):
        assert of_alarm(**customer_key(key_policy(*actions))).status is Status.FAIL
    only_events = key_policy("kms:*", services=("events.amazonaws.com",))
    assert of_alarm(**customer_key(only_events)).status is Status.FAIL
    assert of_rule(**customer_key(only_events)).status is Status.PASS


def test_conditions_of_key_policies() -> None:
    source: dict[str, Any] = {"StringEquals": {"aws:SourceAccount": ACCOUNT.id}}
    policy = customer_key(key_policy("kms:Decrypt", "kms:GenerateDataKey*", **source))
    assert of_alarm(**policy).status is Status.PASS
    assert of_rule(**policy).status is Status.UNKNOWN, "AWS does not say that EventBridge gives it"
    context: dict[str, Any] = {"StringEquals": {"kms:EncryptionContext:aws:sns:topicArn": topic().arn}}
    assert of_rule(**customer_key(key_policy("kms:*", **context))).status is Status.PASS


def test_a_key_that_is_out_of_use_or_cannot_be_read() -> None:
    good = key_policy("kms:*")
    assert of_alarm(**customer_key(good, key_state="PendingDeletion")).status is Status.FAIL
    verdict = of_alarm(**customer_key(DENIED))
    assert (verdict.status, verdict.missing_permission) == (Status.UNKNOWN, "svc:Operation")
    hidden = customer_key(DENIED, key_arn=DENIED, key_manager=DENIED, key_state=DENIED)
    assert of_alarm(**hidden).status is Status.UNKNOWN


# Other sinks


HERE = "eu-west-1:111122223333"


@pytest.mark.parametrize(
    "arn",
    [
        f"arn:aws:lambda:{HERE}:function:notify",
        f"arn:aws:states:{HERE}:stateMachine:incident",
        f"arn:aws:sqs:{HERE}:alerts",
        "arn:aws:events:eu-west-1:999900001111:event-bus/security",
        f"arn:aws:events:{HERE}:api-destination/pager/1",
        f"arn:aws:ssm:{HERE}:opsitem",
        "arn:aws:ssm-incidents::111122223333:response-plan/outage",
        "arn:aws:notifications::111122223333:configuration/a01",
    ],
)
def test_others_that_tell_somebody(arn: str) -> None:
    assert of_rule(arn).status is Status.PASS
    assert of_alarm(alarm(actions=(arn,))).status is Status.PASS


@pytest.mark.parametrize(
    "arn",
    [
        f"arn:aws:logs:{HERE}:log-group:/aws/events/archive",
        "arn:aws:automate:eu-west-1:ec2:stop",
        f"arn:aws:swf:{HERE}:action/actions/AWS_EC2.InstanceId.Stop/1.0",
        f"arn:aws:autoscaling:{HERE}:scalingPolicy:1:autoScalingGroupName/web:policyName/out",
        f"arn:aws:events:{HERE}:target/stop-instance",
    ],
)
def test_actions_and_log_groups_tell_nobody(arn: str) -> None:
    assert of_rule(arn).status is Status.FAIL
    assert of_rule(arn, topic().arn).status is Status.PASS


def test_of_anything_else_it_is_unknown() -> None:
    arn = f"arn:aws:firehose:{HERE}:deliverystream/siem"
    assert of_rule(arn).status is Status.UNKNOWN
    assert of_rule(arn, config=Config(trusted_topics=("arn:aws:firehose:*",))).evidence["attested"] == "trusted_topics"
    assert of_rule("nonsense").status is Status.UNKNOWN


def test_rules_without_targets_or_with_targets_unknown() -> None:
    (verdict,) = verdicts(rules=[RULE], targets={"rule": ()})
    assert verdict.message == "The rule rule has no target."
    (verdict,) = verdicts(rules=[RULE], targets={"rule": DENIED})
    assert verdict.status is Status.UNKNOWN


# Alarms


def test_actions_must_be_there_and_switched_on() -> None:
    assert of_alarm(alarm(actions=())).status is Status.FAIL
    verdict = of_alarm(alarm(actions_enabled=False))
    assert verdict.status is Status.FAIL
    assert "switched off" in verdict.message
    assert verdict.evidence["ActionsEnabled"] is False


def test_a_muted_alarm_is_a_mild_failure() -> None:
    verdict = of_alarm(mutes={MUTE: ("watch",)})
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.LOW)
    assert verdict.evidence["muteRules"] == [MUTE]
    broken = of_alarm(mutes={MUTE: ("watch",)}, subscriptions={topic(): TopicSubscriptions(())})
    assert broken.severity is None, "without the mute rule nobody would be told either"
    assert of_alarm(mutes=DENIED).status is Status.UNKNOWN
    assert of_alarm(alarm(actions=()), mutes=DENIED).status is Status.FAIL


def test_silence_is_mild_where_another_alarm_tells_of_the_same() -> None:
    verdict = of_alarm(alarm(actions=()), alarm("second"))
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.LOW)
    assert verdict.evidence["noticedElsewhere"]
    # The alarm is the same seen from all regions, a rule is of one.
    assert of_alarm(alarm(actions=()), rules=[RULE]).severity is None
    (rule,) = [
        one
        for one in verdicts(rules=[RULE], targets={"rule": ()}, filters=FILTERS, alarms=[alarm()])
        if one.about == RULE.rule
    ]
    assert rule.severity is Severity.LOW


# Composite alarms

QUIET = alarm(actions=())


@pytest.mark.parametrize(
    ("rule", "status"),
    [
        ('ALARM("watch")', Status.PASS),
        (f"ALARM({QUIET.alarm.arn})", Status.PASS),
        ("ALARM(watch) OR ALARM(other)", Status.PASS),
        ("ALARM(watch) AND ALARM(other)", Status.FAIL),
        ("ALARM(watch) AND NOT ALARM(maintenance)", Status.PASS),
        ("ALARM(watch) AND ALARM(maintenance)", Status.FAIL),
        ("ALARM(other)", Status.FAIL),
        ("OK(watch)", Status.FAIL),
        ("NOT ALARM(maintenance)", Status.FAIL),
        ("ALARM(watch) OR OK(other)", Status.FAIL),
        ("ALARM(watch) AND", Status.UNKNOWN),
    ],
)
def test_a_composite_alarm_goes_off_with_this_alarm_alone(rule: str, status: Status) -> None:
    verdict = of_alarm(QUIET, composite("parent", rule))
    assert verdict.status is status


def test_composite_alarms_of_composite_alarms() -> None:
    middle = composite("middle", "ALARM(watch)", actions=())
    top = composite("a-top", "ALARM(middle)")
    assert of_alarm(QUIET, middle, top).status is Status.PASS
    assert of_alarm(QUIET, middle, composite("a-top", "ALARM(middle) AND ALARM(watch)")).status is Status.PASS
    assert of_alarm(QUIET, middle, composite("a-top", "NOT ALARM(middle)")).status is not Status.PASS


def test_a_suppressor_that_goes_off_too_holds_the_actions_back() -> None:
    assert of_alarm(QUIET, composite("parent", "ALARM(watch)", suppressor="maintenance")).status is Status.PASS
    for suppressor in ("watch", QUIET.alarm.arn):
        verdict = of_alarm(QUIET, composite("parent", "ALARM(watch)", suppressor=suppressor))
        assert verdict.status is Status.FAIL


def test_a_muted_composite_alarm() -> None:
    parent = composite("parent", "ALARM(watch)")
    verdict = of_alarm(QUIET, parent, mutes={MUTE: ("parent",)})
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.LOW)
    assert of_alarm(alarm(), parent, mutes={MUTE: ("watch",)}).status is Status.PASS, "the parent still speaks"


def test_hostile_policies_never_crash() -> None:
    for text in ("", "{", "[]", "null", '{"Statement": 1}', '{"Statement": [{"Effect": "Allow", "Principal": []}]}'):
        for verdict in (of_alarm(**settings(policy=text or "x")), of_alarm(**customer_key(text))):
            assert verdict.status in (Status.FAIL, Status.UNKNOWN)
