"""Policies taken apart for deciding in bulk: which actions a statement is about, and which keys it looks at.

Everything that can be found out about a statement once, whoever it is asked for, is found out here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from auditor.access.actions import Action, actions, find
from auditor.access.conditions import Context
from auditor.access.estate import Estate, Principal
from auditor.access.extents import Extent
from auditor.access.formula import Atom, Formula
from auditor.access.patterns import Glob, Variable, template
from auditor.access.policy import Named, Policy, Statement, lost, read

#: Condition keys whose values differ between tables; those of the second line only where DynamoDB asks KMS.
TABLE_KEYS = (
    *("aws:resourcetag/", "aws:resourceaccount", "aws:resourceorg", "aws:requestedregion"),
    *("kms:viaservice", "kms:encryptioncontext:"),
)

#: Condition keys whose values, or presence, differ between principals.
_PRINCIPAL_KEYS = ("aws:principal", "aws:user", "kms:calleraccount")

#: Condition keys whose presence differs between actions.
_ACTION_KEYS = ("dynamodb:", "dax:", "aws:requesttag/", "aws:tagkeys")


def _known(name: str) -> Action:
    action = find(name)
    assert action is not None, name
    return action


#: All actions that are decided in bulk; an action's place is its bit.
ACTIONS: tuple[Action, ...] = (*actions("dynamodb"), _known("kms:Decrypt"), _known("sts:AssumeRole"))

BIT = {action.name: 1 << number for number, action in enumerate(ACTIONS)}

EVERY_ACTION = (1 << len(ACTIONS)) - 1


@dataclass(slots=True, eq=False)
class Digest:
    """A statement with what does not depend on who asks.

    Attributes:
        statement: The statement.
        variables: The policy's version has policy variables.
        actions: The actions that it is about.
        kinds: Sets of actions, where it looks at condition keys that some actions lack: those of one set are alike.
        keys: The condition keys that its conditions and resources hang on.
        of_principal: Those of them whose values differ between principals.
        of_table: Those whose values differ between resources.
        filled: Its resources hold policy variables.
        filled_by_table: Their values differ between resources.
        extents: Where it applies: see :class:`auditor.access.requester.Requester`.
        formulas: When its conditions hold: likewise.
    """

    statement: Statement
    variables: bool
    actions: int
    kinds: tuple[int, ...]
    keys: tuple[str, ...]
    of_principal: tuple[str, ...]
    of_table: tuple[str, ...]
    filled: bool
    filled_by_table: bool
    extents: dict[tuple[Any, ...], Extent] = field(default_factory=dict)
    formulas: dict[tuple[Any, ...], Formula] = field(default_factory=dict)

    def kind(self, bit: int) -> int:
        """Return the set of actions among ``kinds`` that an action is in; 0: they are all alike."""
        return next((kind for kind in self.kinds if kind & bit), 0)


@dataclass(slots=True, eq=False)
class Document:
    """A policy.

    Attributes:
        digests: Its statements, taken apart.
        lost: Of one that cannot be read, the questions whether it allows, and denies.
        name: Its name.
    """

    digests: tuple[Digest, ...]
    lost: tuple[Atom, Atom] | None
    name: str


class Side:
    """Policies that are a union: any Allow allows, any Deny denies.

    Args:
        documents: They.

    Attributes:
        allow: Statements that allow.
        deny: Statements that deny.
        lost: For each policy that cannot be read, the questions whether it allows, and denies.
        cuts: Sets of actions that the statements tell apart.
    """

    __slots__ = ("allow", "cuts", "deny", "lost")

    def __init__(self, documents: Iterable[Document]) -> None:
        """Sort the statements."""
        held = list(documents)
        digests = [digest for one in held for digest in one.digests]
        self.allow = [digest for digest in digests if digest.statement.allow]
        self.deny = [digest for digest in digests if not digest.statement.allow]
        self.lost = [one.lost for one in held if one.lost is not None]
        self.cuts = frozenset(cut for digest in digests for cut in cuts(digest))

    @property
    def offers(self) -> bool:
        """Something in it may allow something."""
        return bool(self.allow or self.lost)


def cuts(digest: Digest) -> Iterator[int]:
    """Yield the sets of actions that a statement tells apart."""
    yield digest.actions
    for kind in digest.kinds:
        yield digest.actions & kind


class Reader:
    """Reads every document of an estate once, whoever has it.

    Args:
        estate: The estate.
    """

    def __init__(self, estate: Estate) -> None:
        """Nothing is read yet."""
        self._estate = estate
        self._documents: dict[Any, Document] = {}
        self._by_glob: dict[str, int] = {}
        self._by_globs: dict[tuple[tuple[Glob, ...], bool], int] = {}
        self._kinds: dict[tuple[str, ...], tuple[int, ...]] = {}
        self._contexts: list[Context] = []

    def document(self, document: Any, name: str) -> Document:
        """Return an identity policy, boundary or guardrail, taken apart.

        Args:
            document: What :func:`auditor.access.policy.read` takes; the estate keeps it alive.
            name: What to call it, unless it is ``Named``.
        """
        held = document.document if isinstance(document, Named) else document
        key = held if isinstance(held, str) else id(held)
        found = self._documents.get(key)
        called = document.name if isinstance(document, Named) else name
        if found is None or (found.lost is not None and found.name != called):
            # What is readable has no need of its name.
            found = self._documents[key] = self._taken_apart(read(document, name))
        return found

    def _taken_apart(self, policy: Policy) -> Document:
        if policy.unreadable is not None:
            return Document((), lost(policy.name), policy.name)
        digests = tuple(self.digest(statement, policy.variables) for statement in policy.statements)
        return Document(digests, None, policy.name)

    def digest(self, statement: Statement, variables: bool) -> Digest:
        """Return a statement, taken apart."""
        resources = [one for one in statement.resources or () if variables and "${" in one]
        filled_by = set(_variables(resources))
        keys = {condition.key for condition in statement.conditions} | filled_by
        if variables and statement.conditions:
            keys.update(key for condition in statement.conditions for key in _variables(condition.values))
        of_action = tuple(sorted(key for key in keys if key.startswith(_ACTION_KEYS)))
        return Digest(
            statement,
            variables,
            self.covered(statement),
            self._alike(of_action) if of_action else (),
            tuple(sorted(keys)),
            tuple(sorted(key for key in keys if key.startswith(_PRINCIPAL_KEYS))),
            tuple(sorted(key for key in keys if key.startswith(TABLE_KEYS))),
            bool(resources),
            any(key.startswith(TABLE_KEYS) for key in filled_by),
        )

    def covered(self, statement: Statement) -> int:
        """Return the actions that a statement is about."""
        key = (statement.actions, statement.not_action)
        found = self._by_globs.get(key)
        if found is None:
            found = 0
            for one in statement.actions:
                found |= self._matched(one)
            found = self._by_globs[key] = EVERY_ACTION & ~found if statement.not_action else found
        return found

    def _matched(self, one: Glob) -> int:
        if one.text not in self._by_glob:
            self._by_glob[one.text] = sum(bit for name, bit in BIT.items() if one.matches(name.lower()))
        return self._by_glob[one.text]

    def _alike(self, keys: tuple[str, ...]) -> tuple[int, ...]:
        """Return DynamoDB's actions in sets whose requests carry, lack or may carry the same of some keys."""
        if keys not in self._kinds:
            if not self._contexts:
                anybody = Principal("arn:aws:iam::000000000000:user/anybody", "user")
                self._contexts = [
                    self._estate.request(anybody, action.name, "*").read_context() for action in actions("dynamodb")
                ]
            found: dict[tuple[Any, ...], int] = {}
            for action, context in zip(actions("dynamodb"), self._contexts, strict=True):
                state = states(context, keys)
                found[state] = found.get(state, 0) | BIT[action.name]
            self._kinds[keys] = tuple(found.values())
        return self._kinds[keys]


def states(context: Context, keys: Iterable[str]) -> tuple[Any, ...]:
    """Return what a request says of some condition keys: for each its values, or whether it has any."""
    return tuple(context.known.get(key) or (context.is_open(key), key in context.supplied) for key in keys)


def _variables(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        if "${" in text:
            yield from (part.key for part in template(text) if isinstance(part, Variable))
