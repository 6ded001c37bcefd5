"""The AWS Lambda function behind an AWS Config custom rule: :func:`handler`.

AWS Config calls it with a changed resource, with the notice that a changed resource is too large to send, or by the
clock. It asks the same rules as ``ddbaudit run`` and tells AWS Config one result for each resource. What cannot be
evaluated is told to nobody: the last result stays, and the invocation fails at its end, so that it shows.

Source: AWS Config Developer Guide, "Example Events for AWS Config Rules"; the API's models in botocore.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import boto3

from auditor import engine
from auditor.config_rule.delivery import Delivery, Evaluation
from auditor.config_rule.event import Event, read_event
from auditor.config_rule.live import Collected, collect_around, collect_region
from auditor.config_rule.selection import Selection, select
from auditor.errors import AuditError
from auditor.facts import Gap, Identities, Reason, Tags
from auditor.inventory import Inventory
from auditor.report import Finding
from auditor.resources import Account, Group, Region, Resource, Role, User, account_of
from auditor.rule_api import Status
from auditor.sources.aws.config_items import Item
from auditor.text import plain

log = logging.getLogger(__name__)

#: Where the package of the function keeps the settings; see ``ddbaudit config-rule package``.
SETTINGS = Path("ddbaudit.yaml")

#: AWS Config takes 256 characters.
MOST_ANNOTATION = 256


class Undecided(AuditError):
    """Something could not be evaluated; everything else was told to AWS Config.

    Attributes:
        told: What was told.
    """

    exit_code = 4

    def __init__(self, message: str, hint: str, told: list[Evaluation]) -> None:
        """Keep what was told."""
        super().__init__(message, hint)
        self.told = told


def handler(event: Mapping[str, Any], context: object = None) -> dict[str, int]:
    """Evaluate what an event of AWS Config is about, and tell AWS Config.

    Args:
        event: The event, as AWS Lambda hands it over.
        context: Lambda's context; not used.

    Returns:
        How many resources have each compliance type.

    Raises:
        UsageError: the event, a rule parameter or the settings are wrong: nothing was told.
        Undecided: something could not be evaluated: the rest was told.
        DeliveryError: AWS Config did not take a result.
    """
    del context
    told = evaluate(event, boto3.Session)
    return {kind: sum(one.compliance == kind for one in told) for kind in sorted({one.compliance for one in told})}


def evaluate(event: Mapping[str, Any], session: Any, *, settings: Path = SETTINGS) -> list[Evaluation]:
    """Evaluate what an event is about, tell AWS Config, and return what was told.

    Args:
        event: The event.
        session: Makes a boto3 session; called with credentials for another account's role.
        settings: The file with the global settings; need not be there.

    Raises: see :func:`handler`.
    """
    asked = read_event(event)
    selection = select(asked.parameters, settings)
    delivery = Delivery.of(asked, session, selection.role_name)
    if asked.oversized is not None:
        asked = delivery.inflate(asked)
    if asked.item is not None:
        result = _of_item(asked, asked.item, selection, delivery)
    else:
        result = _of_region(asked, selection, delivery)
    delivery.put(result.evaluations)
    if result.undecided:
        raise Undecided(
            f"{len(result.undecided)} resources could not be evaluated; AWS Config keeps their last results. "
            f"{'; '.join(result.undecided[:5])}",
            "Give the function's role the permissions that are named.",
            result.evaluations,
        )
    return result.evaluations


@dataclass(frozen=True)
class _Result:
    """What is told, and which resources cannot be."""

    evaluations: list[Evaluation]
    undecided: list[str]


def _of_item(asked: Event, item: Item, selection: Selection, delivery: Delivery) -> _Result:
    """Evaluate one resource that AWS Config says has changed."""

    def not_applicable(why: str) -> _Result:
        return _Result([Evaluation(item.type, item.id, "NOT_APPLICABLE", why, item.captured)], [])

    if item.deleted or asked.left_scope:
        return not_applicable("It is deleted." if item.deleted else "It has left the scope of the rule.")
    resource = item.resource()
    if resource is None:
        return not_applicable("No rule of ddbaudit is about this type of resource.")
    if selection.excludes(resource):
        return not_applicable("Excluded by excludeTables.")
    collected = collect_around(delivery.access, asked, item, resource, selection)
    if resource in collected.inventory.vanished:
        return not_applicable("It is deleted.")
    findings = [one for one in _judged(collected, selection, asked, resource) if one.resource == resource]
    return _told({(item.type, item.id): findings}, item.captured)


def _of_region(asked: Event, selection: Selection, delivery: Delivery) -> _Result:
    """Evaluate everything in the region of the rule."""
    collected = collect_region(delivery.access, asked, selection)
    findings = _judged(collected, selection, asked, None)
    groups: dict[tuple[str, str], list[Finding]] = {}
    for one in findings:
        if not selection.excludes(one.resource):
            groups.setdefault(key_of(one.resource, collected.inventory, asked.account), []).append(one)
    result = _told(groups, asked.created)
    # Where a listing failed, what is not there may be there all the same.
    unlisted = [
        one
        for one in findings
        if one.status is Status.UNKNOWN
        and isinstance(one.resource, Account | Region)
        and one.reason not in (Reason.UNDECIDABLE, Reason.RULE_ERROR)
    ]
    if unlisted:
        log.warning("results of resources that are gone are not cleared: not everything could be listed")
        return result
    gone = [one for one in delivery.earlier() if one not in groups]
    cleared = [Evaluation(*one, "NOT_APPLICABLE", "It is gone, or excluded.", asked.created) for one in gone]
    return _Result([*result.evaluations, *cleared], result.undecided)


def _judged(collected: Collected, selection: Selection, asked: Event, resource: Resource | None) -> tuple[Finding, ...]:
    """Return what the rules say, acceptances applied."""
    inventory = collected.inventory
    if resource is not None and collected.narrow:
        findings = engine.judge_resource(inventory, selection.rules, selection.config, resource)
    else:
        findings = engine.judge(inventory, selection.rules, selection.config).findings
    if selection.accepted is None:
        return findings
    tags = {one: held.values for one, held in inventory.facts.get(Tags, {}).items() if not isinstance(held, Gap)}
    day: date = asked.created.astimezone(UTC).date()
    told, _ = selection.accepted.apply(
        findings, tags, day, rules=frozenset(selection.rules), scopes=inventory.scopes, whole=True
    )
    return told


def key_of(resource: Resource, inventory: Inventory, account: Account) -> tuple[str, str]:
    """Return the type and id under which AWS Config knows a resource.

    What is said of a region is said of the account: AWS Config has no type for regions. IAM's users, groups and roles
    go by their unique ids (AIDA…, AROA…), resources of other accounts by their ARNs.
    """
    if isinstance(resource, Account | Region):
        return Account.cfn_type, account_of(resource).id
    if account_of(resource) != account:
        return resource.cfn_type, resource.arn[:768]
    if isinstance(resource, User | Group | Role):
        return resource.cfn_type, _unique_id(resource, inventory) or resource.label
    return resource.cfn_type, str(getattr(resource, "name", resource.label))[:768]


def _unique_id(resource: User | Group | Role, inventory: Inventory) -> str:
    held = inventory.facts.get(Identities, {}).get(account_of(resource))
    if not isinstance(held, Identities):
        return ""
    ids: dict[Resource, str] = {one.user: one.unique_id for one in held.users}
    ids |= {one.group: one.unique_id for one in held.groups}
    ids |= {one.role: one.unique_id for one in held.roles}
    return ids.get(resource, "")


def _told(groups: Mapping[tuple[str, str], list[Finding]], moment: datetime) -> _Result:
    evaluations, undecided = [], []
    for (kind, name), findings in sorted(groups.items()):
        compliance, annotation = compliance_of(findings)
        if compliance is None:
            undecided.append(f"{kind} {name}: {annotation}")
        else:
            evaluations.append(Evaluation(kind, name, compliance, annotation, moment))
    return _Result(evaluations, undecided)


def compliance_of(findings: Iterable[Finding]) -> tuple[str | None, str]:
    """Return what AWS Config is told of a resource (None: nothing, since it is not known), and the annotation.

    The worst counts: a failure; then a doubt; then something that somebody accepts, which does not apply; then a pass.
    """
    found = sorted(findings, key=lambda one: one.sort_key)
    fails = [one for one in found if one.status is Status.FAIL and not one.accepted]
    doubts = [one for one in found if one.status is Status.UNKNOWN and not one.accepted]
    accepted = [one for one in found if one.accepted]
    if fails:
        parts = [f"FAIL {', '.join(dict.fromkeys(one.rule for one in fails))}"]
        if doubts:
            parts.append(f"unknown {', '.join(dict.fromkeys(one.rule for one in doubts))}")
        return "NON_COMPLIANT", _annotation(f"{'; '.join(parts)}. {fails[0].message}")
    if doubts:
        named = ", ".join(dict.fromkeys(one.missing_permission or one.message for one in doubts))
        return None, f"unknown {', '.join(dict.fromkeys(one.rule for one in doubts))} ({named})"
    if accepted:
        first = accepted[0].acceptance
        assert first is not None
        return "NOT_APPLICABLE", _annotation(f"accepted until {first.until.isoformat()}: {first.reason}")
    if any(one.status is Status.PASS for one in found):
        return "COMPLIANT", ""
    return "NOT_APPLICABLE", _annotation(found[0].message if found else "No rule is about it.")


def _annotation(text: str) -> str:
    """Return a text as AWS Config takes it: printable ASCII, 1 to 256 characters."""
    ascii_text = plain(text).encode("ascii", "backslashreplace").decode().strip()
    mark = " [truncated]"
    return ascii_text if len(ascii_text) <= MOST_ANNOTATION else ascii_text[: MOST_ANNOTATION - len(mark)] + mark


__all__ = ["Evaluation", "Undecided", "compliance_of", "evaluate", "handler", "key_of"]
