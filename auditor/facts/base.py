"""What a fact is, what a gap is, and how a function's signature says which facts it needs.

A *raw* fact is a frozen dataclass marked with ``@fact``: it says what it is about and which API
operations it takes. A *derived* fact is a frozen dataclass that a function marked with ``@derive``
makes from other facts. A fact that could not be had is a :class:`Gap`.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar, Union

from auditor.config import Config
from auditor.resources import RegionalResource, Resource

_T = TypeVar("_T", bound=type)


class Reason(StrEnum):
    """Why something is not known."""

    ACCESS_DENIED = "access_denied"
    THROTTLED = "throttled"
    TRANSIENT = "transient"
    UNSUPPORTED = "unsupported"
    UNDECIDABLE = "undecidable"
    PARTIAL_DATA = "partial_data"
    RULE_ERROR = "rule_error"


@dataclass(frozen=True, slots=True)
class Gap:
    """A fact that could not be collected or derived.

    Attributes:
        reason: Why.
        detail: One sentence for a person.
        action: The IAM action whose permission is missing (or whose call failed), such as
            ``dynamodb:DescribeTable``.
    """

    reason: Reason
    detail: str
    action: str | None = None

    @property
    def rank(self) -> tuple[str, str, str]:
        """Of several gaps at one place the least stays, so that the order of answers makes no difference."""
        return self.reason, self.detail, self.action or ""


@dataclass(frozen=True, slots=True)
class FactInfo:
    """What ``@fact`` says of a raw fact."""

    about: tuple[type[Resource], ...]
    operations: tuple[str, ...]
    lists: tuple[type[Resource], ...] = ()
    in_use_only: bool = False
    opt_in: bool = False

    def operations_for(self, kind: type[Resource]) -> tuple[str, ...]:
        """Return the operations that the fact takes about one kind of resource.

        Where a fact is about several kinds, an operation of another kind's own service is not needed.
        """
        own = getattr(kind, "service", None)
        others = {one.service for one in self.about if issubclass(one, RegionalResource) and one.service != own}
        return tuple(one for one in self.operations if one.partition(":")[0] not in others)


#: What stands in a ``Mapping[Kind, Fact | Gap]`` for a resource that was deleted during the audit.
VANISHED = Gap(Reason.PARTIAL_DATA, "It was deleted during the audit.")

#: Operations whose IAM action has another name (AWS Service Authorization Reference).
IAM_ACTIONS = {
    "accessanalyzer:ListAnalyzers": "access-analyzer:ListAnalyzers",
    "accessanalyzer:ListFindingsV2": "access-analyzer:ListFindings",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:HeadBucket": "s3:ListBucket",
}

#: Raw facts. Each is collected by a source.
RAW: dict[type, FactInfo] = {}


def fact(
    about: type[Resource] | tuple[type[Resource], ...],
    *operations: str,
    lists: type[Resource] | tuple[type[Resource], ...] = (),
    in_use_only: bool = False,
    opt_in: bool = False,
) -> Callable[[_T], _T]:
    """Mark a frozen dataclass as a raw fact.

    Args:
        about: The kind, or kinds, of resource it is about.
        operations: The API operations it takes, as ``service:Operation`` with botocore's service name.
        lists: The kinds of resource that it enumerates: without this fact nobody knows which ones exist.
            The class then has a method ``names()`` that yields them.
        in_use_only: It is collected only in regions that have tables or DAX clusters.
        opt_in: It is collected only where the configuration turns item sampling on; otherwise it is a gap, and
            its operations are neither called nor asked for as permissions.
    """

    def mark(cls: _T) -> _T:
        RAW[cls] = FactInfo(
            about if isinstance(about, tuple) else (about,),
            operations,
            lists if isinstance(lists, tuple) else (lists,),
            in_use_only,
            opt_in,
        )
        return cls

    return mark


@dataclass(frozen=True, slots=True)
class Need:
    """A fact that a function takes: by type, about the resource at hand or one above it.

    Attributes:
        name: The parameter's name.
        fact: The fact's class.
        optional: The parameter is typed ``Fact | Gap``: the function decides what a gap means.
        across: For ``Mapping[Kind, Fact | Gap]``, the kind: the fact about every resource of that kind.
    """

    name: str
    fact: type
    optional: bool = False
    across: type[Resource] | None = None


@dataclass(frozen=True)
class Signature:
    """What a function's parameters say: the kinds it is about, its needs, its settings."""

    kinds: tuple[type[Resource], ...]
    needs: tuple[Need, ...]
    settings: tuple[inspect.Parameter, ...] = ()
    hints: Mapping[str, Any] = field(default_factory=dict)
    takes_config: str | None = None
    takes_members: str | None = None


class SignatureError(TypeError):
    """A rule or derivation whose parameters cannot be understood."""


def union_members(hint: Any) -> tuple[Any, ...]:
    """Return the members of ``A | B`` (or the hint alone)."""
    if typing.get_origin(hint) in (Union, types.UnionType):
        return typing.get_args(hint)
    return (hint,)


def read_signature(function: Callable[..., Any]) -> Signature:
    """Read which facts a function needs from its type hints.

    The first positional parameter is the resource (a kind, or a union of kinds). The other positional
    ones are facts, ``Fact | Gap``, ``Mapping[Kind, Fact | Gap]`` or ``Config``. Keyword-only ones are
    settings.

    Raises:
        SignatureError: a parameter has no type, an unknown fact, or a setting has no default.
    """
    name = getattr(function, "__name__", "?")
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise SignatureError(
            f"{name}: {error}. Types of rules are needed at run time: import them outside TYPE_CHECKING."
        ) from None
    kinds: tuple[type[Resource], ...] = ()
    needs: list[Need] = []
    settings: list[inspect.Parameter] = []
    takes_config: str | None = None
    takes_members: str | None = None
    for position, parameter in enumerate(inspect.signature(function).parameters.values()):
        where = f"{name}: parameter {parameter.name!r}"
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise SignatureError(f"{where}: * and ** parameters say nothing about what is needed.")
        if parameter.name not in hints:
            raise SignatureError(f"{where} has no type.")
        hint = hints[parameter.name]
        if parameter.kind is parameter.KEYWORD_ONLY:
            if parameter.default is parameter.empty:
                raise SignatureError(f"{where} is a setting and needs a default.")
            settings.append(parameter)
        elif position == 0:
            members = union_members(hint)
            if not all(isinstance(kind, type) and issubclass(kind, Resource) for kind in members):
                raise SignatureError(f"{where} must be a kind of resource, such as Table, and is {hint}.")
            kinds = members
        elif hint is Config:
            takes_config = parameter.name
        elif getattr(hint, "of_other_rules", False):
            takes_members = parameter.name
        else:
            needs.append(_need(parameter.name, hint, where))
    if not kinds:
        raise SignatureError(f"{name}: the first parameter must be the resource, such as `table: Table`.")
    return Signature(kinds, tuple(needs), tuple(settings), hints, takes_config, takes_members)


class Across(dict[Any, Any]):
    """A fact about every resource of a kind, with what has been worked out of all of them: see :func:`once`."""

    def __init__(self, held: Mapping[Any, Any]) -> None:
        """Keep the facts by resource."""
        super().__init__(held)
        self.worked_out: dict[Any, Any] = {}


_M = TypeVar("_M")


def once(held: Mapping[Any, Any], function: Callable[[Any], _M]) -> _M:
    """Return what a function makes of a fact about every resource of a kind, such as an index.

    Worked out once for a mapping that the engine gives, however many resources are judged with it: with thousands of
    accounts, what is gone through for each of them takes the square of the time.
    """
    if not isinstance(held, Across):
        return function(held)
    if function not in held.worked_out:
        held.worked_out[function] = function(held)
    made: _M = held.worked_out[function]
    return made


def _need(name: str, hint: Any, where: str) -> Need:
    if typing.get_origin(hint) is Mapping:
        kind, value = typing.get_args(hint)
        members = [member for member in union_members(value) if member is not Gap]
        if len(members) == 1 and is_fact(members[0]):
            return Need(name, members[0], optional=True, across=kind)
    else:
        members = [member for member in union_members(hint) if member is not Gap]
        if len(members) == 1 and is_fact(members[0]):
            return Need(name, members[0], optional=Gap in union_members(hint))
    raise SignatureError(f"{where}: {hint} is not a fact. `ddbaudit rules show` lists the facts of a rule.")


@dataclass(frozen=True)
class Derivation:
    """A function that makes a derived fact."""

    function: Callable[..., Any]
    signature: Signature
    produces: type


#: Derived facts and what makes them.
DERIVED: dict[type, Derivation] = {}


def derive(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a pure function as the maker of the derived fact that it returns.

    Its return type is ``Fact`` or ``Fact | Gap``. A needed fact that is a gap makes the result that gap,
    unless the parameter is typed ``| Gap``.

    Raises:
        SignatureError: parameters or the return type are not understood.
    """
    signature = read_signature(function)
    produced = [member for member in union_members(signature.hints.get("return")) if member is not Gap]
    if len(produced) != 1 or not isinstance(produced[0], type):
        raise SignatureError(f"{function.__name__}: the return type must name one fact.")
    if signature.settings or signature.takes_members:
        raise SignatureError(f"{function.__name__}: a derivation has no settings and asks no rules.")
    DERIVED[produced[0]] = Derivation(function, signature, produced[0])
    return function


def is_fact(hint: Any) -> bool:
    """Tell whether a type is a raw or a derived fact."""
    return isinstance(hint, type) and (hint in RAW or hint in DERIVED)


def about(fact_type: type) -> tuple[type[Resource], ...]:
    """Return the kinds of resource that a fact is about."""
    return RAW[fact_type].about if fact_type in RAW else DERIVED[fact_type].signature.kinds


def subject(fact_type: type, kind: type[Resource]) -> type[Resource] | None:
    """Return which of a kind and the kinds above it a fact is about, or None."""
    return next((here for here in (kind, *kind.above) if here in about(fact_type)), None)


def raw_closure(signatures: Iterable[Signature]) -> set[tuple[type, type[Resource]]]:
    """Return all raw facts, each with the kind it is wanted for, that some functions rest on.

    That includes what lists the resources (a rule on keys needs the tables' settings, since these name
    the keys, and so the listing of tables) and what says whether a region is in use.
    """
    from auditor.facts.region import RegionUse
    from auditor.resources import Region

    wanted = set[tuple[type, type[Resource]]]()
    todo: list[tuple[type, type[Resource]]] = []
    for signature in signatures:
        for kind in signature.kinds:
            todo += _direct(signature, kind)
            todo += [(fact_type, here) for fact_type in listers(kind) for here in about(fact_type)]
    while todo:
        pair = todo.pop()
        if pair in wanted:
            continue
        wanted.add(pair)
        fact_type, kind = pair
        if fact_type in DERIVED:
            todo += _direct(DERIVED[fact_type].signature, kind)
        elif RAW[fact_type].in_use_only:
            todo.append((RegionUse, Region))
        todo += [(lister, here) for lister in listers(kind) for here in about(lister)]
    return {pair for pair in wanted if pair[0] in RAW}


def _direct(signature: Signature, kind: type[Resource]) -> Iterator[tuple[type, type[Resource]]]:
    for need in signature.needs:
        where = subject(need.fact, need.across or kind)
        if where is not None:
            yield need.fact, where


def listers(kind: type[Resource]) -> list[type]:
    """Return the raw facts that enumerate the resources of a kind.

    The regions of an account are settled before the collection begins (see ``RegionScope``).
    """
    return [fact_type for fact_type, info in RAW.items() if kind in info.lists]
