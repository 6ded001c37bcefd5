"""What the grants of principals come to before a single request is decided, and how rules tell of them.

An estate has thousands of principals and of tables. Most principals have no statement about an action at all; most
statements name a few resources. So rules ask here first which actions some statement covers and which resources are
worth a request, and only then the evaluator.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from auditor.access.actions import actions, find
from auditor.access.estate import Principal, Table
from auditor.access.evaluate import Decision, Hit
from auditor.access.patterns import Variable, arn_pattern, arn_segments, glob, template, unresolved
from auditor.access.policy import Policy, Statement, read
from auditor.access.subjects import PROBE
from auditor.access.verbs import resources_of

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


def may_allow(held: Iterable[Policy], action: str, resource: str) -> bool:
    """Tell whether some statement allows an action on a resource, but for its conditions and policy variables."""
    lower = action.lower()
    for policy in held:
        if policy.unreadable is not None:
            return True
        for statement in policy.statements:
            if not statement.allow or not statement.covers(lower):
                continue
            if statement.not_resource or statement.resources is None:
                return True
            if any(one == "*" or arn_pattern(one, unresolved).matches(resource) for one in statement.resources):
                return True
    return False


def granted_action(principal: Principal, decide: Callable[[str, str], Decision]) -> tuple[str, str]:
    """Return an action of DynamoDB or DAX that a principal's own policies grant, or why that is not known.

    Args:
        principal: A user, role or group.
        decide: Decides an action on an ARN by the principal's policies and boundary.

    Returns:
        The action and an empty text; an empty text and a sentence where nobody can tell; two empty texts for none.
    """
    doubt = ""
    for policy in policies(principal):
        if policy.unreadable is not None:
            doubt = f"Policy {policy.name} of the role cannot be read: {policy.unreadable}."
            continue
        for statement in policy.statements:
            if not statement.allow:
                continue
            for action in (*actions("dynamodb"), *actions("dax")):
                if not statement.covers(action.name.lower()):
                    continue
                for resource in _arns(principal, action.name, statement.resources, inverted=statement.not_resource):
                    decision = decide(action.name, resource)
                    if decision.verdict == "allowed":
                        return action.name, ""
                    if decision.allowed:
                        unread = [hit for hit in decision.trace if hit.index < 0]
                        if not unread:
                            return action.name, ""
                        doubt = doubt or f"Whether the role may call {action.name} depends on {unread[0].statement}."
    return "", doubt


def _arns(principal: Principal, action: str, resources: tuple[str, ...] | None, *, inverted: bool) -> Iterator[str]:
    """Yield ARNs that a statement's resources match: one for each pattern."""
    partition = principal.arn.split(":")[1]
    service = action.partition(":")[0]
    kind = "table" if service == "dynamodb" else "cache"
    anything = f"arn:{partition}:{service}:eu-west-1:{principal.account}:{kind}/ddbaudit-probe"
    for text in ("*",) if inverted else resources or ("*",):
        segments = text.split(":", 5)
        if len(segments) < 6:
            yield anything
        elif segments[2] in (service, "*"):
            model = anything.split(":", 5)
            filled = [one if "*" in one or "?" in one else None for one in segments]
            head = [model[number] if filled[number] else segments[number] for number in range(5)]
            yield ":".join([*head, model[5] if segments[5] == "*" else segments[5].replace("*", "x").replace("?", "x")])


def tag_keys(documents: Iterable[Any]) -> frozenset[str]:
    """Return the keys, in lower case, of the resource's tags that policies ask for."""
    prefix = "aws:resourcetag/"
    found = set()
    for document in documents:
        for statement in read(document).statements if document is not None else ():
            for condition in statement.conditions:
                parts = [part for value in condition.values if "${" in value for part in template(value)]
                keys = [condition.key, *(part.key for part in parts if isinstance(part, Variable))]
                found |= {key.removeprefix(prefix) for key in keys if key.startswith(prefix)}
    return frozenset(found)


def mentions_tags(documents: Iterable[Any]) -> bool:
    """Tell whether some policy asks for tags of the resource, so that attribute-based access control matters."""
    return bool(tag_keys(documents))


def told_apart(tables: Iterable[Table], documents: Iterable[Any]) -> list[str]:
    """Return ARNs of tables, one for each way in which policies tell tables apart: by their tags and their names.

    Args:
        tables: The tables. Their own resource policies are not looked at.
        documents: The policies.
    """
    documents = [one for one in documents if one is not None]
    asked = tag_keys(documents)
    texts = [text for document in documents for one in read(document).statements for text in one.resources or ()]
    patterns = [arn_pattern(text, unresolved) for text in dict.fromkeys(texts)]
    found: dict[Any, str] = {}
    for table in tables:
        names = tuple(pattern.matches(table.arn) for pattern in patterns)
        found.setdefault((tags_of(table, asked), names), table.arn)
    return list(found.values())


def tags_of(table: Table, keys: frozenset[str]) -> tuple[tuple[str, str], ...] | None:
    """Return those tags of a table that policies ask for; None when its tags are not known."""
    if table.tags is None:
        return None
    return tuple(sorted((key.lower(), value) for key, value in table.tags.items() if key.lower() in keys))


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


def probes(base: str, action: str, held: Iterable[Policy] = (), indexes: Iterable[str] = ()) -> list[str]:
    """Return the resources that a request of an action names about a table: itself, an index, a stream, a backup.

    Args:
        base: The table's ARN.
        action: The action. None is returned for one that is authorised on ``*`` only, or on several at once.
        held: Policies, for the indexes and streams that they name.
        indexes: Names of indexes that the table has.
    """
    known = find(action)
    if known is None:
        return []
    parts: dict[str, dict[str, None]] = {"index": {PROBE: None}, "stream": {"2026-01-01T00:00:00.000": None}}
    parts["index"] |= dict.fromkeys(indexes)
    tail = base.rpartition(":")[2]
    for text in (text for policy in held for one in policy.statements for text in one.resources or ()):
        for kind, names in parts.items():
            _, found, name = text.partition(f"{tail}/{kind}/")
            if found and name and not any(sign in name for sign in "*?$"):
                names[name] = None
    entry = Table(base, indexes=tuple(parts["index"]))
    entries = [replace(entry, stream=f"{base}/stream/{label}") for label in parts["stream"]]
    ways = [way for one in entries for way in resources_of(known, one)]
    return list(dict.fromkeys(way[0] for way in ways if len(way) == 1 and way[0] != "*"))


def samples(
    held: Iterable[Policy],
    wanted: Collection[str],
    account: str,
    partition: str,
    values: Mapping[str, str] | None = None,
) -> list[str]:
    """Return ARNs of tables and DAX clusters, one for every pattern with which statements allow some action.

    Args:
        held: The policies. One that cannot be read counts as one that speaks of every table.
        wanted: The actions.
        account: The account's number, for patterns that leave it open.
        partition: Likewise.
        values: What policy variables stand for, by key in lower case; the others are filled in like wildcards.
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
                found |= dict.fromkeys(_samples(text, regions, account, partition, values or {}))
    return list(found)


def _everything(regions: Iterable[str], account: str, partition: str) -> Iterator[str]:
    for region in regions:
        yield f"arn:{partition}:dynamodb:{region}:{account}:table/{PROBE}"
        yield f"arn:{partition}:dax:{region}:{account}:cache/{PROBE}"


def _samples(
    text: str, regions: Iterable[str], account: str, partition: str, values: Mapping[str, str]
) -> Iterator[str]:
    """Yield tables and clusters that a pattern covers, or whose index or stream it does."""
    segments = [
        "".join(
            part if isinstance(part, str) else values.get(part.key, PROBE) if isinstance(part, Variable) else part.text
            for part in template(segment)
        )
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
