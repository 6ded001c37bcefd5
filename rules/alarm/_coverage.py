"""What the rules on classes of attacks share: is every event noticed, and is somebody told?"""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Annotated, Any

from msgspec import Meta

from auditor import Severity, Verdict, failed, passed, unknown
from auditor.config import Config
from auditor.detection import Event, by_others, classes, read_events
from auditor.facts import Delivery, Detection, Gap, Notice, TableNames
from auditor.resources import Region

REFERENCES = [
    "https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudwatch-alarms-for-cloudtrail.html",
    "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html",
]

#: An event in its short form: ``dynamodb:UpdateTable[deletionProtectionEnabled=false]``, ``dynamodb:*!AccessDenied``.
EventText = Annotated[str, Meta(pattern=r"^[a-z0-9.-]+:([A-Za-z0-9]+|\*)(\[.*\])?(![A-Za-z0-9.]+)?$")]

#: How all rules on attacks judge an event; each one's page ends with it.
HOW = """\
Each event is evaluated, as CloudTrail records it, against metric filters of the log groups that trails deliver to,
patterns of EventBridge rules on the default bus and queries of log alarms; what merely has the right words in it does
not count. A metric filter counts with a trail that is logging and records the event, and an alarm in the log group's
region on exactly its metric (namespace, name, dimensions, unit) that goes off on at most `max_alarm_threshold` events
in one period: statistic, threshold, periods, data points and missing data are worked out. An EventBridge rule must be
enabled in this very region, and a trail be logging. Somebody must be told: see `alarm-delivery`. Fails when an event of
the list is noticed by nothing, or nobody is told of it (low where only a mute rule is the reason). Unknown when what
could notice it cannot be decided, may not be read, or watches a log group of an account that is not audited. A class
that `external_detection` names passes as attested, and so does one that only reaches `trusted_topics`.

Each event is tried as a role, an IAM user and root would cause it. What looks at names of tables or keys counts when it
notices the event on every one of the region. Filters that do not look at `eventSource` pass with the note that they are
noisy. Other languages of log queries, anomaly detection and most metric math are undecidable; what an alarm does with
events that are spread over several periods is not worked out. Regions without tables and clusters are not judged."""

#: Events that a message names.
MOST_NAMED = 4


def judged_on_events(function: Callable[..., Verdict]) -> Callable[..., Verdict]:
    """End a rule's page with how its events are judged."""
    function.__doc__ = f"{inspect.cleandoc(function.__doc__ or '')}\n\n{HOW}"
    return function


@dataclass
class _Found:
    """What was found out about the events of a class, as labels of events."""

    uncovered: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    near: list[str] = field(default_factory=list)
    causes: list[Delivery] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    controls: dict[str, dict[str, Any]] = field(default_factory=dict)
    attested: bool = True

    def merge(self, other: "_Found | None") -> None:
        """Add what was found out about another event."""
        if other is None:
            return
        self.uncovered += other.uncovered
        self.silent += other.silent
        self.unclear += other.unclear
        self.near += other.near
        self.causes += other.causes
        self.gaps += other.gaps
        for arn, control in other.controls.items():
            self.controls.setdefault(arn, control)
        self.attested = self.attested and other.attested


def cover(
    region: Region,
    detection: Detection,
    config: Config,
    class_id: str,
    mandatory: Iterable[str],
    most: int,
    *,
    tables: TableNames | Gap | None = None,
    keys: Iterable[str] = (),
    unlisted: Gap | None = None,
) -> Verdict:
    """Judge a class of attacks in a region.

    Args:
        region: The region.
        detection: What notices calls there.
        config: For ``external_detection``.
        class_id: The class, such as ``table-deletion``.
        mandatory: What must be noticed, in the short form of events; empty: what the catalogue asks.
        most: How many events an alarm may need to go off.
        tables: The region's tables: what looks at names must notice the call on each of them.
        keys: Ids of their keys, likewise.
        unlisted: Why there may be further keys.
    """
    place = {"account": region.account.id, "region": region.name, "partition": region.account.partition}
    texts = list(mandatory)

    @cache
    def events(**named: str) -> list[Event]:
        given = {**place, **named}
        if texts:
            return [one for text in texts for one in read_events(text, **given)]
        return list(classes(**given)[class_id].mandatory)

    catalogue = classes(**place)[class_id]
    names = [{"key": key} for key in keys]
    if isinstance(tables, Gap):
        unlisted = tables
    elif tables is not None:
        names = [{"table": table.name} for table in tables.tables]
    found = _Found()
    for position, event in enumerate(events()):
        doubts = len(found.silent) + len(found.unclear)
        missed = _judge(found, event, detection, most)
        if missed is not None:
            watched = _by_name(position, events, names, detection, most)
            if unlisted is not None and (watched or (detection.by_name and not names)):
                found.merge(watched)
                found.merge(_Found(unclear=[event.label], gaps=[unlisted]))
            else:
                found.merge(watched or missed)
            continue
        doubtful = len(found.silent) + len(found.unclear) > doubts
        if detection.by_name and not _on_any(event, detection, most):
            left_out = _left_out(position, events, names, unlisted, detection, most)
            if left_out is not None and (left_out.uncovered or not doubtful):
                found.merge(left_out)
        if doubtful:
            continue  # others' calls fare no better
        for other in by_others(event):
            aside = _Found()
            missed = _judge(aside, other, detection, most)
            aside.controls.clear()  # what notices it is told already
            found.merge(missed or aside)
    verdict = _verdict(found)
    if verdict is None:
        recommended = [one for one in catalogue.recommended if not _noticed(one, detection, most)]
        evidence = _evidence(found)
        if recommended:
            evidence["recommendedUncovered"] = [one.label for one in recommended]
        if found.attested:
            evidence["attested"] = "trusted_topics"
        return passed("Every event of this kind is noticed, and somebody is told.", **evidence)
    if class_id in config.external_detection:
        return passed(
            f"external_detection says that something outside this account detects {class_id}.",
            attested="external_detection",
            **_evidence(found),
        )
    return verdict


def _enough(notice: Notice, most: int) -> bool:
    return notice.needed is not None and notice.needed <= most


def _noticed(event: Event, detection: Detection, most: int) -> bool:
    sighting = detection.look(event)
    return any(_enough(one, most) or one.gap is not None for one in sighting.notices) or bool(sighting.gaps)


def _on_any(event: Event, detection: Detection, most: int) -> bool:
    """Tell whether something that tells somebody notices an event whatever table or key it is about."""
    return any(
        _enough(one, most) and not one.by_name and detection.delivery(one.control).works
        for one in detection.look(event).notices
    )


def _left_out(
    position: int,
    events: Callable[..., list[Event]],
    names: list[dict[str, str]],
    unlisted: Gap | None,
    detection: Detection,
    most: int,
) -> _Found | None:
    """Judge an event that is noticed in general on every real table or key; return the first that is left out."""
    doubt = None
    for named in names:
        (name,) = named.values()
        event = events(**named)[position]
        found = _Found()
        missed = _judge(found, replace(event, label=f"{event.label} on {name}"), detection, most)
        if missed is not None or found.silent:
            return missed or found
        if found.unclear and doubt is None:
            doubt = found
    if doubt is None and unlisted is not None:
        return _Found(unclear=[events()[position].label], gaps=[unlisted])
    return doubt


def _by_name(
    position: int, events: Callable[..., list[Event]], names: list[dict[str, str]], detection: Detection, most: int
) -> _Found | None:
    """Judge an event that nothing notices in general on every real table or key; None when one is not watched.

    Most often the first is not, so that many tables cost no more than one.
    """
    found = _Found()
    for named in names:
        event = events(**named)[position]
        for one in (event, *by_others(event)):
            if _judge(found, one, detection, most) is not None:
                return None
    return found if names else None


def _judge(found: _Found, event: Event, detection: Detection, most: int) -> _Found | None:
    """Add what is found out about an event; return that nothing notices it instead of adding it."""
    sighting = detection.look(event)
    noticing = [one for one in sighting.notices if _enough(one, most)]
    open_gaps = [*(one.gap for one in sighting.notices if one.gap is not None), *sighting.gaps]
    deliveries = [detection.delivery(one.control) for one in noticing]
    for notice, delivery in zip(noticing, deliveries, strict=True):
        entry = found.controls.setdefault(
            notice.control.arn,
            {"control": notice.control.arn, "through": notice.through, "events": [], "delivery": delivery.text},
        )
        if event.label not in entry["events"]:
            entry["events"].append(event.label)
        if notice.needed != 1:
            entry["eventsNeeded"] = notice.needed
        if notice.noisy:
            entry["noisy"] = "It does not look at eventSource and takes calls of other services too."
        if notice.note:
            entry["note"] = notice.note
    working = [one for one in deliveries if one.works]
    if working:
        found.attested = found.attested and all(one.attested for one in working)
        return None
    open_gaps += [one.gap for one in deliveries if one.gap is not None]
    if open_gaps:
        found.unclear.append(event.label)
        found.gaps += open_gaps
    elif noticing:
        found.silent.append(event.label)
        found.causes += deliveries
    else:
        near = [one.why or f"{_called(one)} goes off at {one.needed} events only." for one in sighting.notices]
        return _Found(uncovered=[event.label], near=near)
    return None


def _called(notice: Notice) -> str:
    return f"The {notice.control.noun} {notice.control.name}"


def _evidence(found: _Found) -> dict[str, Any]:
    evidence: dict[str, Any] = {"controls": [found.controls[arn] for arn in sorted(found.controls)]}
    for name, labels in (("uncovered", found.uncovered), ("silent", found.silent), ("undecided", found.unclear)):
        if labels:
            evidence[name] = list(dict.fromkeys(labels))
    if found.near:
        evidence["nearMisses"] = sorted(set(found.near))
    return evidence


def _verdict(found: _Found) -> Verdict | None:
    """Return what is not a pass; None for a pass."""
    evidence = _evidence(found)
    if found.uncovered:
        near = sorted(set(found.near))
        why = f" {near[0]}" if near else ""
        return failed(f"Nothing notices {_listed(found.uncovered)}.{why}", **evidence)
    if found.silent:
        # A mute rule ends; that nobody is told for now is no more than that.
        muted = all(one.muted for one in found.causes)
        text = f"Noticed, but nobody is told: {_listed(found.silent)}. {found.causes[0].text}"
        return failed(text, severity=Severity.LOW if muted else None, **evidence)
    if found.unclear:
        # A missing permission is what somebody can do something about.
        return unknown(min(found.gaps, key=lambda gap: gap.action is None), **evidence)
    return None


def _listed(labels: Iterable[str]) -> str:
    """Return the first labels in words; all of them stand in the evidence."""
    names = list(dict.fromkeys(labels))
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
