"""Policy documents: read strictly, kept small, and reported when they cannot be read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from auditor.access.formula import Atom
from auditor.access.patterns import Glob, glob

#: Versions of the policy language; only the newer one has policy variables.
VERSIONS = ("2008-10-17", "2012-10-17")

#: DynamoDB operations that have no IAM action of their own (Amazon DynamoDB Developer Guide, "IAM and DynamoDB
#: transactions", "IAM security policies with PartiQL"): a statement that names them says nothing about them.
DEAD_ACTIONS = frozenset(
    f"dynamodb:{name}"
    for name in (
        "transactwriteitems",
        "transactgetitems",
        "executestatement",
        "batchexecutestatement",
        "executetransaction",
    )
)

#: A principal that was deleted: IAM puts its unique id in its place.
DELETED = re.compile(r"A(IDA|ROA|GPA|NPA)[A-Z0-9]{8,}\Z")


#: The document that allows everything, for whom something else limits.
EVERYTHING = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}


def lost(name: str) -> tuple[Atom, Atom]:
    """Return the questions whether a policy that cannot be read allows, and whether it denies."""
    called = name if "policy" in name else f"policy {name}"
    return (
        Atom(f"{called}, which cannot be read, allows it", "note"),
        Atom(f"{called}, which cannot be read, denies it", "note"),
    )


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for a policy that exists and whose text is not known.

    Attributes:
        reason: Why, in words.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Named:
    """A policy document with the name under which explanations speak of it."""

    name: str
    document: Any


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator with one key.

    Attributes:
        operator: As written, such as ``ForAllValues:StringLikeIfExists``.
        key: The condition key, lower case.
        values: The values, as texts.
    """

    operator: str
    key: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement.

    Attributes:
        index: Its position in the document, from 0.
        sid: ``Sid``, or an empty text.
        allow: ``Effect`` is Allow.
        actions: ``Action`` or ``NotAction``, lower case.
        not_action: It is ``NotAction``.
        resources: ``Resource`` or ``NotResource``; None where the statement has neither (trust policies).
        not_resource: It is ``NotResource``.
        principals: ``Principal`` or ``NotPrincipal`` as (kind, value) pairs; None where the statement has neither.
        not_principal: It is ``NotPrincipal``.
        conditions: ``Condition``.
    """

    index: int
    sid: str
    allow: bool
    actions: tuple[Glob, ...]
    not_action: bool
    resources: tuple[str, ...] | None
    not_resource: bool
    principals: tuple[tuple[str, str], ...] | None
    not_principal: bool
    conditions: tuple[Condition, ...]

    def covers(self, action: str) -> bool:
        """Tell whether the statement is about an action, given in lower case."""
        return any(one.matches(action) for one in self.actions) is not self.not_action


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy document as it was read.

    Attributes:
        name: What explanations call it.
        statements: Its statements; empty when it is unreadable.
        variables: The version has policy variables.
        unreadable: Why the document could not be read, or None. Such a policy may say anything.
        lints: What looks wrong in a readable one, in words.
    """

    name: str
    statements: tuple[Statement, ...] = ()
    variables: bool = False
    unreadable: str | None = None
    lints: tuple[str, ...] = ()


class _Malformed(ValueError):
    """The document is not a policy; the text says where and why."""


def read(document: Any, name: str = "policy", *, trust: bool = False) -> Policy:
    """Read a policy document.

    Args:
        document: A mapping, its JSON text, or one of :class:`Named` and :class:`Unreadable`.
        name: What to call it, unless it is :class:`Named`.
        trust: It is a trust policy, whose statements have no ``Resource``.

    Returns:
        The policy; never raises, whatever the document is.
    """
    if isinstance(document, Named):
        return read(document.document, document.name, trust=trust)
    if isinstance(document, Policy):
        return document
    if isinstance(document, Unreadable):
        return Policy(name, unreadable=document.reason)
    if isinstance(document, str):
        return _read_text(document, name, trust)
    return _read(document, name, trust)


@lru_cache(maxsize=16384)
def _read_text(text: str, name: str, trust: bool) -> Policy:
    try:
        document = json.loads(text, object_pairs_hook=_members)
    except _Malformed as error:
        return Policy(name, unreadable=str(error))
    except (ValueError, RecursionError) as error:
        return Policy(name, unreadable=f"it is no JSON: {error}")
    return _read(document, name, trust)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that has a member twice: AWS does, and a reader could take the wrong one."""
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        raise _Malformed(f"{next(name for name in names if names.count(name) > 1)!r} stands twice in one object")
    return members


def _read(document: Any, name: str, trust: bool) -> Policy:
    try:
        if not isinstance(document, Mapping):
            raise _Malformed("it is no JSON object")
        version = document.get("Version", VERSIONS[0])
        if version not in VERSIONS:
            raise _Malformed(f"Version is {version!r}")
        if "Statement" not in document:
            raise _Malformed("Statement is missing")
        held = document["Statement"]
        entries = held if isinstance(held, list | tuple) else [held]
        statements = tuple(_statement(entry, index, trust) for index, entry in enumerate(entries))
    except (ValueError, RecursionError) as error:
        # Python's own errors come of numbers too long and lists too deep to be written in a message.
        return Policy(name, unreadable=str(error))
    lints = tuple(text for statement in statements for text in _lints(statement))
    return Policy(name, statements, version == VERSIONS[1], None, lints)


def _statement(entry: Any, index: int, trust: bool) -> Statement:
    where = f"statement {index}"
    if not isinstance(entry, Mapping):
        raise _Malformed(f"{where} is no JSON object")
    effect = entry.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise _Malformed(f"{where}: Effect is {'missing' if effect is None else repr(effect)}")
    actions, not_action = _either(entry, "Action", where)
    if actions is None:
        raise _Malformed(f"{where} has neither Action nor NotAction")
    resources, not_resource = _either(entry, "Resource", where)
    if resources is None and not trust:
        raise _Malformed(f"{where} has neither Resource nor NotResource")
    principal, not_principal = _one_of(entry, "Principal", where)
    sid = entry.get("Sid", "")
    return Statement(
        index,
        sid if isinstance(sid, str) else str(sid),
        effect == "Allow",
        tuple(glob(one.lower()) for one in actions),
        not_action,
        resources,
        not_resource,
        None if principal is None else tuple(_principals(principal, where)),
        not_principal,
        tuple(_conditions(entry.get("Condition"), where)),
    )


def _one_of(entry: Mapping[str, Any], name: str, where: str) -> tuple[Any, bool]:
    plain, inverted = entry.get(name), entry.get(f"Not{name}")
    if plain is not None and inverted is not None:
        raise _Malformed(f"{where} has both {name} and Not{name}")
    return (inverted, True) if inverted is not None else (plain, False)


def _either(entry: Mapping[str, Any], name: str, where: str) -> tuple[tuple[str, ...] | None, bool]:
    value, inverted = _one_of(entry, name, where)
    return (None if value is None else _texts(value, f"{where}: {name}")), inverted


def _texts(value: Any, where: str) -> tuple[str, ...]:
    values = value if isinstance(value, list | tuple) else [value]
    for one in values:
        if not isinstance(one, str):
            raise _Malformed(f"{where} holds {one!r:.80}, which is no text")
    return tuple(values)


def _principals(value: Any, where: str) -> Iterator[tuple[str, str]]:
    if value == "*":
        yield "AWS", "*"
        return
    if not isinstance(value, Mapping):
        raise _Malformed(f"{where}: Principal is {value!r:.80}")
    for kind, held in value.items():
        if kind not in ("AWS", "Service", "Federated", "CanonicalUser"):
            raise _Malformed(f"{where}: Principal has the unknown kind {kind!r:.80}")
        for one in _texts(held, f"{where}: Principal"):
            yield kind, one


def _conditions(value: Any, where: str) -> Iterator[Condition]:
    if value is None:
        return
    if not isinstance(value, Mapping):
        raise _Malformed(f"{where}: Condition is no JSON object")
    for operator, keys in value.items():
        if not isinstance(keys, Mapping) or not isinstance(operator, str):
            raise _Malformed(f"{where}: Condition {operator!r:.80} is no JSON object")
        for key, held in keys.items():
            if not isinstance(key, str):
                raise _Malformed(f"{where}: Condition {operator} has the key {key!r:.80}")
            values = held if isinstance(held, list | tuple) else [held]
            yield Condition(operator, key.lower(), tuple(scalar(one, f"{where}: Condition") for one in values))


def scalar(value: Any, where: str = "value") -> str:
    """Return a JSON scalar as IAM compares it: as text; ValueError for anything else and for endless numbers."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return str(value)
    raise _Malformed(f"{where} holds {value!r:.80}, which is no text")


def _lints(statement: Statement) -> Iterator[str]:
    where = f"statement {statement.sid or statement.index}"
    for action in statement.actions:
        if action.text in DEAD_ACTIONS:
            yield f"{where} names {action.text}, which is no IAM action and matches nothing"
        elif "*" not in action.text and ":" not in action.text:
            yield f"{where} names the action {action.text!r}, which has no service prefix and matches nothing"
    for resource in statement.resources or ():
        if resource.count(":") < 5 and resource != "*":
            yield f"{where} names the incomplete ARN {resource!r}, which AWS completes with wildcards"
    for kind, value in statement.principals or ():
        if DELETED.match(value):
            yield f"{where} names {value}, a principal that was deleted"
        elif kind == "AWS" and value != "*" and ("*" in value or "?" in value):
            yield f"{where} names the principal {value}, whose wildcard matches nobody"
    if statement.allow and statement.not_principal:
        yield f"{where} allows everyone but some with NotPrincipal, which is everyone"
