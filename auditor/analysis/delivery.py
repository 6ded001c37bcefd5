"""Whom alarms and EventBridge rules tell: actions, targets, topics with their policies, keys and subscriptions.

Source: CloudWatch User Guide, "Alarm actions", "Combining alarms", "Mute rules"; EventBridge User Guide, "Using
resource-based policies"; SNS Developer Guide, "Example cases for Amazon SNS access control", "Managing Amazon SNS
encryption keys and costs".
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from auditor.access import Decision, Named, Policies, Request, evaluate
from auditor.detection import composites
from auditor.facts import (
    AlarmInfo,
    AlarmMutes,
    Delivery,
    EventRuleInfo,
    Gap,
    Reason,
    RuleTargets,
    Sink,
    TopicSettings,
    TopicSubscriptions,
    topic_of,
)
from auditor.resources import Alarm, EventRule, Region, Topic

#: What tells somebody, by the service in its ARN, and what it is called.
TELLING = {
    "lambda": "Lambda function",
    "notifications": "configuration of User Notifications",
    "sqs": "SQS queue",
    "ssm-incidents": "response plan of Incident Manager",
    "states": "state machine",
}

#: What acts and tells nobody.
SILENT = {
    "automate": "an action on an EC2 instance",
    "autoscaling": "an Auto Scaling action",
    "logs": "a log group",
    "swf": "an action on an EC2 instance",
}

#: Condition keys that are absent when a service calls on its own behalf.
NO_PRINCIPAL = ("aws:PrincipalArn", "aws:PrincipalAccount", "aws:PrincipalOrgID", "aws:PrincipalOrgPaths", "aws:userid")

#: Condition keys that say for whom a service calls.
SOURCES = ("aws:SourceArn", "aws:SourceAccount", "aws:SourceOrgID", "aws:SourceOrgPaths")

#: Actions on the key of an encrypted topic.
KEY_USES = ("kms:GenerateDataKey", "kms:Decrypt")

NOT_ASKED = Gap(Reason.PARTIAL_DATA, "It was not asked.")


@dataclass(frozen=True)
class Deliveries:
    """Decides whom alarms and rules tell.

    Args:
        subscriptions: Of all topics.
        settings: Of all topics.
        trusted: Globs on ARNs of topics and other places where messages are known to arrive (``trusted_topics``).
    """

    subscriptions: Mapping[Topic, TopicSubscriptions | Gap]
    settings: Mapping[Topic, TopicSettings | Gap]
    trusted: tuple[str, ...] = ()
    _held: dict[tuple[str, Alarm | EventRule], Sink] = field(default_factory=dict)
    _always: dict[Region, list[AlarmInfo]] = field(default_factory=dict)

    def of_alarm(self, info: AlarmInfo, alarms: Sequence[AlarmInfo], mutes: AlarmMutes | Gap) -> Delivery:
        """Return whom an alarm tells, directly or through composite alarms that go off with it.

        Args:
            info: The alarm.
            alarms: All alarms of its account and region.
            mutes: The mute rules that are active there.
        """
        evidence: dict[str, Any] = {"ActionsEnabled": info.actions_enabled, "AlarmActions": list(info.actions)}
        sinks: list[Sink] = []
        muted: list[str] = []
        loud = False
        reasons: list[str] = []
        gaps: list[Gap] = []
        names: list[str] = []
        for one, sure in self._speaking(info, alarms):
            found = [self.sink(arn, one.alarm) for arn in dict.fromkeys(one.actions)]
            working = [sink for sink in found if sink.works]
            sinks += found
            if one.alarm != info.alarm:
                names.append(one.alarm.name)
            if not found:
                reasons.append(f"The alarm {one.alarm.name} has no action.")
            elif not one.actions_enabled:
                reasons.append(f"The actions of the alarm {one.alarm.name} are switched off.")
            elif sure is False:
                reasons.append(f"The alarm {one.suppressor} suppresses the actions of {one.alarm.name}.")
            elif sure is None and any(sink.works is not False for sink in found):
                text = f"Whether the composite alarm {one.alarm.name} goes off with {info.alarm.name} is not clear."
                gaps.append(Gap(Reason.UNDECIDABLE, text))
            else:
                gaps += [sink.gap for sink in found if sink.gap is not None]
                reasons += [sink.text for sink in found if sink.works is False]
                silencing = _silencing(mutes, one.alarm.name)
                if working and silencing:
                    muted += silencing
                elif working:
                    loud = True
        if names:
            evidence["compositeAlarms"] = names
        if loud and isinstance(mutes, Gap):
            return Delivery(None, mutes.detail, mutes, sinks=tuple(sinks), evidence=evidence)
        if loud:
            return self._delivered(sinks, evidence)
        if gaps:
            gap = _first(gaps)
            return Delivery(None, gap.detail, gap, sinks=tuple(sinks), evidence=evidence)
        if muted:
            text = f"The alarm is muted: {', '.join(rule.rpartition(':')[2] for rule in muted)}."
            return Delivery(False, text, muted=tuple(muted), sinks=tuple(sinks), evidence=evidence)
        return Delivery(False, _reason(reasons), sinks=tuple(sinks), evidence=evidence)

    def _speaking(self, first: AlarmInfo, alarms: Sequence[AlarmInfo]) -> list[tuple[AlarmInfo, bool | None]]:
        """Return the alarms that go off with one, every other alarm being OK: each with whether its actions run.

        The first is the alarm itself; then composite alarms, also those of composite ones. False: another one of them
        suppresses its actions. None: that it goes off is not sure.
        """
        speaking: list[tuple[AlarmInfo, bool | None]] = [(first, True)]
        composite = [one for one in alarms if one.kind == "composite" and one.alarm != first.alarm]
        concerned = _concerned(composite, first)
        if not concerned:
            return speaking
        # What is in ALARM while nothing happens does not go off.
        place = first.alarm.region
        if place not in self._always:
            self._always[place] = _ringing([one for one in alarms if one.kind == "composite"], [])
        always = self._always[place]
        ringing = _ringing(concerned, [first, *always])
        names = _names([*ringing, *always, first])
        for one in concerned:
            # Once all are known it is asked again: a NOT may have been true too early.
            value = composites.evaluate(one.rule, names)
            rang = one in ringing
            if one in always or (value is False and not rang):
                continue
            sure = True if value and rang else None
            if sure and one.suppressor is not None and one.suppressor in names:
                sure = False
            speaking.append((one, sure))
        return speaking

    def of_rule(self, info: EventRuleInfo, targets: RuleTargets | Gap) -> Delivery:
        """Return whom an EventBridge rule tells."""
        evidence: dict[str, Any] = {"State": info.state}
        if isinstance(targets, Gap):
            return Delivery(None, targets.detail, targets, evidence=evidence)
        evidence["Targets"] = [one.arn for one in targets.targets]
        dead = [one.dead_letter for one in targets.targets if one.dead_letter]
        if dead:
            evidence["DeadLetterConfig"] = dead
        sinks = [self.sink(one.arn, info.rule, role=one.role) for one in targets.targets]
        if any(sink.works for sink in sinks):
            return self._delivered(sinks, evidence)
        gaps = [sink.gap for sink in sinks if sink.gap is not None]
        if gaps:
            gap = _first(gaps)
            return Delivery(None, gap.detail, gap, sinks=tuple(sinks), evidence=evidence)
        reasons = [sink.text for sink in sinks] or [f"The rule {info.rule.name} has no target."]
        return Delivery(False, _reason(reasons), sinks=tuple(sinks), evidence=evidence)

    def _delivered(self, sinks: Sequence[Sink], evidence: Mapping[str, Any]) -> Delivery:
        working = sorted((sink for sink in sinks if sink.works), key=lambda sink: sink.attested)
        best = working[0]
        return Delivery(True, best.text, attested=best.attested, sinks=tuple(sinks), evidence=evidence)

    def sink(self, arn: str, source: Alarm | EventRule, *, role: str | None = None) -> Sink:
        """Return whether a message gets to somebody at the end of an action or target."""
        parts = arn.split(":", 5)
        service, rest = (parts[2], parts[5]) if len(parts) == 6 else ("", "")
        topic = topic_of(arn)
        if topic is not None and role is None:
            key = (arn, source)
            if key not in self._held:
                self._held[key] = self._topic(topic, source)
            found = self._held[key]
        elif topic is not None:
            found = self._topic(topic, source, role=role)
        elif service in TELLING:
            found = Sink(arn, True, f"The {TELLING[service]} {_name(rest)} is told.")
        elif service == "events" and rest.startswith(("event-bus/", "api-destination/")):
            found = Sink(arn, True, f"The {rest.partition('/')[0].replace('-', ' ')} {_name(rest)} is told.")
        elif service == "ssm" and rest.startswith("opsitem"):
            found = Sink(arn, True, "Systems Manager makes an OpsItem.")
        elif service in SILENT or (service == "events" and rest.startswith("target/")):
            what = SILENT.get(service, "an action of EventBridge on EC2")
            found = Sink(arn, False, f"{arn} is {what}, which tells nobody.")
        else:
            text = f"Whether {arn} tells anybody is not known."
            found = Sink(arn, None, text, Gap(Reason.UNDECIDABLE, text))
        # A declaration stands for what cannot be read here; it does not outweigh what is known of a topic.
        open_to_trust = found.works is None or (topic is None and not found.works)
        if open_to_trust and any(fnmatch.fnmatchcase(arn, pattern) for pattern in self.trusted):
            return Sink(arn, True, f"trusted_topics says that {arn} is read.", attested=True)
        return found

    def _topic(self, topic: Topic, source: Alarm | EventRule, *, role: str | None = None) -> Sink:
        """Ask everything that may keep a topic silent; one obstacle that is sure decides."""
        doubts: list[Gap] = []
        for obstacle in self._obstacles(topic, source, role):
            if isinstance(obstacle, str):
                return Sink(topic.arn, False, obstacle)
            doubts.append(obstacle)
        if doubts:
            gap = _first(doubts)
            return Sink(topic.arn, None, gap.detail, gap)
        return Sink(topic.arn, True, f"The topic {topic.name} has a confirmed subscription.")

    def _obstacles(self, topic: Topic, source: Alarm | EventRule, role: str | None) -> Iterator[str | Gap]:
        settings = self.settings.get(topic, NOT_ASKED)
        subscriptions = self.subscriptions.get(topic, NOT_ASKED)
        if isinstance(settings, TopicSettings) and not settings.exists:
            yield f"The topic {topic.name} does not exist."
        if isinstance(subscriptions, Gap):
            yield _about(topic, subscriptions)
        elif not any(one.arn.startswith("arn:") for one in subscriptions.subscriptions):
            waiting = len(subscriptions.subscriptions)
            yield f"The topic {topic.name} has no confirmed subscription" + (
                f"; {waiting} of its subscriptions await confirmation or are deleted." if waiting else "."
            )
        if isinstance(settings, Gap):
            yield _about(topic, settings)
            return
        yield from _publishing(topic, settings, source, role)
        if settings.key_id is not None:
            yield from _encrypting(topic, settings, source)


def _publishing(
    topic: Topic, settings: TopicSettings, source: Alarm | EventRule, role: str | None
) -> Iterator[str | Gap]:
    if settings.policy is None:
        yield Gap(Reason.UNDECIDABLE, f"SNS does not say what the policy of the topic {topic.name} is.")
        return
    service = _principal(source)
    policy = Named(f"topic policy of {topic.name}", settings.policy)
    decision = _asked(source, "sns:Publish", topic.arn, policy, topic.account.id)
    if decision.verdict == "denied" and role is not None:
        yield Gap(Reason.UNDECIDABLE, f"Whether the role {role} may publish to the topic {topic.name} is not known.")
    elif decision.verdict == "denied":
        denying = decision.denials
        by = f": {denying[0].statement} denies it" if denying else ""
        yield f"The policy of the topic {topic.name} does not let {service} publish{by}."
    elif decision.verdict == "conditional":
        text = f"Whether the policy of the topic {topic.name} lets {service} publish is open: {decision.conditions}."
        yield Gap(Reason.UNDECIDABLE, text)


def _encrypting(topic: Topic, settings: TopicSettings, source: Alarm | EventRule) -> Iterator[str | Gap]:
    service = _principal(source)
    if settings.key_manager == "AWS":
        yield (
            f"The topic {topic.name} is encrypted with {settings.key_id}, which AWS manages: {service} cannot use that "
            "key, and messages vanish."
        )
        return
    if isinstance(settings.key_state, str) and settings.key_state.lower() not in ("", "enabled"):
        yield f"The key {settings.key_id} of the topic {topic.name} is not usable: its state is {settings.key_state}."
        return
    if isinstance(settings.key_policy, Gap):
        yield _about(topic, settings.key_policy)
    elif settings.key_policy is None or not isinstance(settings.key_arn, str):
        yield Gap(Reason.UNDECIDABLE, f"The policy of the key of the topic {topic.name} is not known.")
    else:
        policy = Named(f"key policy of the topic {topic.name}", settings.key_policy)
        for action in KEY_USES:
            decision = _asked(
                source,
                action,
                settings.key_arn,
                policy,
                settings.key_arn.split(":")[4],
                {"kms:EncryptionContext:aws:sns:topicArn": topic.arn},
            )
            if decision.verdict == "denied":
                yield f"The key policy of the topic {topic.name} does not allow {service} {action}: messages vanish."
            elif decision.verdict == "conditional":
                text = (
                    f"Whether the key policy of the topic {topic.name} allows {service} {action} is open: "
                    f"{decision.conditions}."
                )
                yield Gap(Reason.UNDECIDABLE, text)


def _principal(source: Alarm | EventRule) -> str:
    return "cloudwatch.amazonaws.com" if isinstance(source, Alarm) else "events.amazonaws.com"


def _asked(
    source: Alarm | EventRule,
    action: str,
    resource: str,
    policy: Named,
    owner: str,
    context: Mapping[str, str] | None = None,
) -> Decision:
    """Let CloudWatch or EventBridge try an action; in China a policy may name it in either form."""
    service = _principal(source)
    names = [service, f"{service}.cn"] if source.account.partition == "aws-cn" else [service]
    known = {"aws:PrincipalIsAWSService": "true", "aws:SecureTransport": "true", **(context or {})}
    absent = list(NO_PRINCIPAL)
    if isinstance(source, Alarm):
        # SNS's default policy lets in whoever acts for the owner: CloudWatch does, EventBridge does not.
        known["aws:SourceOwner"] = source.account.id
    else:
        absent.append("aws:SourceOwner")
    if isinstance(source, Alarm) or action.startswith("sns:"):
        # Whether EventBridge gives these to KMS for an encrypted topic is not documented as supported.
        known |= {"aws:SourceArn": source.arn, "aws:SourceAccount": source.account.id}
    decisions = [
        evaluate(
            Request(
                principal=name,
                action=action,
                resource=resource,
                resource_account=owner,
                context=known,
                unknown_keys=["*"],
                absent_keys=absent,
            ),
            Policies(resource=policy),
        )
        for name in names
    ]
    order = ("allowed", "conditional", "denied")
    return min(decisions, key=lambda one: order.index(one.verdict))


def _concerned(composite: Sequence[AlarmInfo], first: AlarmInfo) -> list[AlarmInfo]:
    """Return the composite alarms whose rules speak of an alarm, or of a composite alarm that does."""
    found: list[AlarmInfo] = []
    news = [first.alarm.name]
    while news:
        added = [one for one in composite if one not in found and any(name in one.rule for name in news)]
        found += added
        news = [one.alarm.name for one in added]
    return found


def _ringing(composite: Sequence[AlarmInfo], alarms: Sequence[AlarmInfo]) -> list[AlarmInfo]:
    """Return the composite alarms that are in ALARM when some alarms are, and because of that."""
    found: list[AlarmInfo] = []
    for _ in composite:
        names = _names([*alarms, *found])
        added = [one for one in composite if one not in found and composites.evaluate(one.rule, names)]
        if not added:
            break
        found += added
    return found


def _names(alarms: Sequence[AlarmInfo]) -> list[str]:
    """Return what alarm rules and suppressors may call alarms: names and ARNs."""
    return [text for one in alarms for text in (one.alarm.name, one.alarm.arn)]


def _silencing(mutes: AlarmMutes | Gap, name: str) -> list[str]:
    return [] if isinstance(mutes, Gap) else [rule for rule, names in mutes.rules.items() if name in names]


def _about(topic: Topic, gap: Gap) -> Gap:
    return Gap(gap.reason, f"Whether the topic {topic.name} reaches anybody is not known: {gap.detail}", gap.action)


def _first(gaps: Sequence[Gap]) -> Gap:
    """Return the gap to report: a missing permission is what somebody can do something about."""
    return min(gaps, key=lambda gap: gap.action is None)


def _reason(reasons: Sequence[str]) -> str:
    return " ".join(dict.fromkeys(reasons))


def _name(rest: str) -> str:
    return rest.replace("/", ":").rpartition(":")[2]
