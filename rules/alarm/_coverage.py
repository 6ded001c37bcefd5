"""What the rules on classes of attacks share: is every event noticed, and is somebody told?"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from auditor import Severity, Verdict, failed, passed, unknown
from auditor.config import Config
from auditor.detection import Event, classes, read_events
from auditor.facts import Delivery, Detection, Gap, Notice
from auditor.resources import Region

REFERENCES = [
    "https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudwatch-alarms-for-cloudtrail.html",
    "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html",
]

#: Events that a message names.
MOST_NAMED = 4


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


def cover(
    region: Region, detection: Detection, config: Config, class_id: str, mandatory: Iterable[str], most: int
) -> Verdict:
    """Judge a class of attacks in a region.

    Args:
        region: The region.
        detection: What notices calls there.
        config: For ``external_detection``.
        class_id: The class, such as ``table-deletion``.
        mandatory: What must be noticed, in the short form of events; empty: what the catalogue asks.
        most: How many events an alarm may need to go off.
    """
    place = {"account": region.account.id, "region": region.name, "partition": region.account.partition}
    catalogue = classes(**place)[class_id]
    events = [one for text in mandatory for one in read_events(text, **place)] or list(catalogue.mandatory)
    found = _Found()
    for event in events:
        _judge(found, event, detection, most)
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


def _judge(found: _Found, event: Event, detection: Detection, most: int) -> None:
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
        return
    open_gaps += [one.gap for one in deliveries if one.gap is not None]
    if open_gaps:
        found.unclear.append(event.label)
        found.gaps += open_gaps
    elif noticing:
        found.silent.append(event.label)
        found.causes += deliveries
    else:
        found.uncovered.append(event.label)
        found.near += [one.why or f"{_called(one)} goes off at {one.needed} events only." for one in sighting.notices]


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
