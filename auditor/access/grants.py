"""What the grants of principals come to before a single request is decided, and how rules tell of them.

An estate has thousands of principals and of tables. Most principals have no statement about an action at all; most
statements name a few resources. So rules ask here first which actions some statement covers and which resources are
worth a request, and only then the evaluator.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from auditor.access.actions import actions, find
from auditor.access.answers import resources_of
from auditor.access.estate import Principal, Table
from auditor.access.evaluate import Decision, Hit
from auditor.access.patterns import arn_segments, glob, template
from auditor.access.policy import Policy, Statement, read

#: Fills in for what a pattern leaves open: a name that no table has, and that matches no pattern by accident.
PROBE = "Zq7xK-vB_9w.jH"

#: A region for patterns that leave it open, by partition.
REGIONS = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}


def policies(principal: Principal) -> list[Policy]:
    """Return the identity policies of a principal as they were read."""
    return [read(document) for document in principal.policies]


def speaks(principal: Principal, services: Iterable[str] = ("dynamodb", "dax")) -> bool:
    """Tell whether some statement of a principal allows an action of a service; a policy that cannot be read may."""
    wanted = tuple(services)
    return any(
        policy.unreadable is not None
        or any(statement.allow and _about(statement, wanted) for statement in policy.statements)
        for policy in policies(principal)
    )


def _about(statement: Statement, services: tuple[str, ...]) -> bool:
    if not statement.not_action:
        prefixes = {one.text.partition(":")[0] for one in statement.actions}
        if not any("*" in one or "?" in one or one in services for one in prefixes):
            return False
    return any(statement.covers(action.name.lower()) for service in services for action in actions(service))


def covered(held: Iterable[Policy], wanted: Iterable[str]) -> list[str]:
    """Return which actions some statement of policies allows on something; all when a policy cannot be read."""
    found = list(held)
    if any(policy.unreadable is not None for policy in found):
        return sorted(wanted)
    statements = [one for policy in found for one in policy.statements if one.allow]
    return sorted(action for action in wanted if any(one.covers(action.lower()) for one in statements))


def mentions_tags(documents: Iterable[Any]) -> bool:
    """Tell whether some policy asks for tags of the resource, so that attribute-based access control matters."""
    return any(
        condition.key.startswith("aws:resourcetag/")
        for document in documents
        if document is not None
        for statement in read(document).statements
        for condition in statement.conditions
    )


def statements(decisions: Iterable[Decision]) -> list[dict[str, Any]]:
    """Return the statements that grant, as evidence: policy, Sid (None without one) and position."""
    return [
        {"policy": hit.policy, "sid": hit.sid or None, "index": hit.index if hit.index >= 0 else None}
        for hit in _granting(decisions)
    ]


def granted_by(decisions: Iterable[Decision]) -> str:
    """Return the first of the statements that grant in words, and how many there are beside."""
    hits = _granting(decisions)
    if not hits:
        return "no statement"
    more = f" and {len(hits) - 1} more" if len(hits) > 1 else ""
    return hits[0].statement + more


def _granting(decisions: Iterable[Decision]) -> list[Hit]:
    # The same statement may apply to one request outright and to another under conditions.
    found: dict[tuple[str, int], Hit] = {}
    for decision in decisions:
        for hit in sorted(decision.grants, key=lambda one: one.applies is not True):
            found.setdefault((hit.policy, hit.index), hit)
    return list(found.values())


def conditions_of(decisions: Iterable[Decision]) -> list[str]:
    """Return the conditions of decisions, in words, each once."""
    return list(dict.fromkeys(one.conditions for one in decisions if one.conditions))


def regions_of(documents: Iterable[Any], partition: str) -> list[str]:
    """Return a region for every way in which policies speak of regions: those they name, and one for the rest."""
    found = {REGIONS.get(partition, REGIONS["aws"]): None}
    for document in documents:
        for statement in read(document).statements:
            for text in statement.resources or ():
                segments = arn_segments(text)
                if segments[2].lower() in ("dynamodb", "dax") and segments[3].strip("*"):
                    found[_filled(segments[3].lower(), "west-1")] = None
            for condition in statement.conditions:
                if condition.key == "aws:requestedregion":
                    named = [one.lower() for one in condition.values if one.strip("*") and "${" not in one]
                    found |= dict.fromkeys(_filled(one, "west-1") for one in named)
    return list(found)


def _filled(pattern: str, filling: str) -> str:
    """Return a text that a pattern with wildcards matches."""
    return pattern.replace("*", filling).replace("?", "x")


def probes(base: str, action: str, *, index: str = PROBE, stream: str = "2026-01-01T00:00:00.000") -> list[str]:
    """Return the resources that a request of an action names about a table: itself, an index, a stream, a backup.

    Empty for an action that is authorised on ``*`` only, and for one that needs several resources at once.
    """
    known = find(action)
    if known is None:
        return []
    entry = Table(base, indexes=(index,), stream=f"{base}/stream/{stream}")
    return [way[0] for way in resources_of(known, entry) if len(way) == 1 and way[0] != "*"]


def samples(held: Iterable[Policy], wanted: Collection[str], account: str, partition: str) -> list[str]:
    """Return ARNs of tables and DAX clusters, one for every pattern with which statements allow some action.

    Args:
        held: The policies. One that cannot be read counts as one that speaks of every table.
        wanted: The actions.
        account: The account's number, for patterns that leave it open.
        partition: Likewise.
    """
    found: dict[str, None] = {}
    for policy in held:
        regions = regions_of([policy], partition)
        if policy.unreadable is not None:
            found |= dict.fromkeys(_everything(regions, account, partition))
        for statement in policy.statements:
            if not statement.allow or not any(statement.covers(one.lower()) for one in wanted):
                continue
            if statement.not_resource or statement.resources is None:
                found |= dict.fromkeys(_everything(regions, account, partition))
                continue
            for text in statement.resources:
                found |= dict.fromkeys(_samples(text, regions, account, partition))
    return list(found)


def _everything(regions: Iterable[str], account: str, partition: str) -> Iterator[str]:
    for region in regions:
        yield f"arn:{partition}:dynamodb:{region}:{account}:table/{PROBE}"
        yield f"arn:{partition}:dax:{region}:{account}:cache/{PROBE}"


def _samples(text: str, regions: Iterable[str], account: str, partition: str) -> Iterator[str]:
    """Yield tables and clusters that a pattern covers, or whose index or stream it does."""
    segments = [
        "".join(part if isinstance(part, str) else PROBE for part in template(segment))
        for segment in arn_segments(text)
    ]
    owner = segments[4] if segments[4].isdigit() else account
    for service, kind in (("dynamodb", "table/"), ("dax", "cache/")):
        if not glob(segments[2].lower()).matches(service):
            continue
        first, slash, rest = segments[5].partition("/")
        name = rest.partition("/")[0] if slash and glob(first).matches(kind[:-1]) else ""
        if not name and "*" not in first:
            continue
        for region in regions if "*" in segments[3] or "?" in segments[3] else [segments[3]]:
            if glob(segments[3].lower()).matches(region):
                yield f"arn:{partition}:{service}:{region}:{owner}:{kind}{_filled(name or '*', PROBE)}"
