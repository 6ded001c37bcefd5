"""What a rule is: ``@rule`` on a typed function from facts to a verdict.

The signature is the declaration: the first parameter is the kind of resource that the rule judges, the
other positional ones are the facts it needs, keyword-only ones are its settings. The docstring is the
rule's page; its first line is a sentence that is true when the rule passes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from typing import Any, ClassVar

import msgspec

from auditor.facts.base import Gap, Reason, Signature, SignatureError, read_signature, subject
from auditor.resources import Resource

#: Settings that the configuration knows for every rule.
RESERVED = ("enabled", "severity")


class Severity(IntEnum):
    """How bad a failure is. Ordered: ``Severity.HIGH > Severity.LOW``."""

    INFORMATIONAL = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    @property
    def label(self) -> str:
        """The name in reports: ``high``."""
        return self.name.lower()

    def moved(self, steps: int) -> Severity:
        """Return the severity some steps up or down, within the scale."""
        return Severity(min(max(self + steps, Severity.INFORMATIONAL), Severity.CRITICAL))


class Side(StrEnum):
    """Who has to act: the configuration of AWS-managed resources, the client's workloads, or both."""

    AMAZON = "amazon"
    CLIENT = "client"
    BOTH = "both"


class Status(StrEnum):
    """The outcome for one resource."""

    PASS = "pass"  # noqa: S105 - a status, no password
    FAIL = "fail"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not_applicable"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule says of one resource. Made by the helpers below.

    Attributes:
        status: The outcome.
        message: One sentence with the fact that decided.
        evidence: The API's own values under the API's own names.
        severity: The final severity where the rule sets its own; None: the rule's, moved by context.
        sub_key: Tells several findings of one rule on one resource apart.
        about: Another resource than the one that the rule was called with.
        reason: For ``unknown`` why; for ``not_applicable`` possibly ``not_declared``.
        missing_permission: The IAM action that would have helped.
    """

    status: Status
    message: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    severity: Severity | None = None
    sub_key: str | None = None
    about: Resource | None = None
    reason: str | None = None
    missing_permission: str | None = None


def passed(message: str, *, sub_key: str | None = None, about: Resource | None = None, **evidence: Any) -> Verdict:
    """Return a pass: the good state is proved by ``evidence``."""
    return Verdict(Status.PASS, message, evidence, sub_key=sub_key, about=about)


def failed(
    message: str,
    *,
    severity: Severity | None = None,
    sub_key: str | None = None,
    about: Resource | None = None,
    **evidence: Any,
) -> Verdict:
    """Return a fail: the bad state is proved by ``evidence``. ``severity`` replaces the rule's own."""
    return Verdict(Status.FAIL, message, evidence, severity=severity, sub_key=sub_key, about=about)


def not_applicable(
    message: str,
    *,
    reason: str | None = None,
    sub_key: str | None = None,
    about: Resource | None = None,
    **evidence: Any,
) -> Verdict:
    """Return "does not apply". ``reason="not_declared"`` where the configuration lacks a declaration."""
    return Verdict(Status.NOT_APPLICABLE, message, evidence, sub_key=sub_key, about=about, reason=reason)


def unknown(
    gap: Gap | str,
    *,
    reason: Reason = Reason.UNDECIDABLE,
    sub_key: str | None = None,
    about: Resource | None = None,
    **evidence: Any,
) -> Verdict:
    """Return "could not find out", from the gap that stands in the way or a sentence and a reason."""
    if isinstance(gap, Gap):
        return Verdict(
            Status.UNKNOWN,
            gap.detail,
            evidence,
            sub_key=sub_key,
            about=about,
            reason=gap.reason.value,
            missing_permission=gap.action,
        )
    return Verdict(Status.UNKNOWN, gap, evidence, sub_key=sub_key, about=about, reason=reason.value)


@dataclass(frozen=True, slots=True)
class Remediation:
    """How to reach the good state.

    ``$TABLE``, ``$REGION``, ``$ACCOUNT``, ``$KEY_ARN``, ``$CLUSTER``, ``$VPC`` and so on are placeholders: shell
    variables that a person sets; the HTML report fills in those that the finding's resource answers.
    """

    text: str
    cli: str
    terraform: str
    cloudformation: str


class Members:
    """What other rules say: the parameter of a rule that sums others up or asks them (``composed_of``, ``asks``)."""

    of_other_rules: ClassVar[bool] = True

    def __init__(self, ask: Callable[[str, Resource], tuple[Verdict, ...]], ids: Iterable[str]) -> None:
        """Keep the question and the ids of the member rules that are enabled."""
        self._ask = ask
        self.ids = tuple(ids)

    def of(self, rule_id: str, resource: Resource) -> tuple[Verdict, ...]:
        """Return what a member rule says when asked about a resource; nothing where it is switched off."""
        return self._ask(rule_id, resource) if rule_id in self.ids else ()


@dataclass(frozen=True)
class Setting:
    """One setting of a rule: a keyword-only parameter."""

    name: str
    type: Any
    default: Any
    help: str


@dataclass(frozen=True)
class Rule:
    """A loaded rule.

    Attributes:
        id: The function's name with dashes.
        title: First line of the docstring.
        description: The rest of the docstring.
        domain: The folder that it stands in.
        source: Path of its file, for messages.
        composed_of: Ids of the rules that it sums up. Its findings say nothing new and carry no weight in the score.
        asks: Ids of the rules that it asks besides; its findings count.
        parts: Those of both that are enabled, configured.
    """

    id: str
    title: str
    description: str
    severity: Severity
    side: Side
    practices: tuple[str, ...]
    controls: Mapping[str, tuple[str, ...]]
    remediation: Remediation
    references: tuple[str, ...]
    function: Callable[..., Verdict | Iterable[Verdict] | None]
    signature: Signature
    settings: tuple[Setting, ...]
    domain: str = ""
    source: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    composed_of: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    parts: Mapping[str, Rule] = field(default_factory=dict)

    def configured(self, severity: Severity | None, values: Mapping[str, Any]) -> Rule:
        """Return the rule with other settings (and, if given, another base severity)."""
        return replace(self, severity=self.severity if severity is None else severity, values=dict(values))

    def judge(self, resource: Resource, arguments: Mapping[str, Any]) -> Iterable[Verdict]:
        """Call the rule; the outcome is always a sequence, empty where the rule has nothing to say."""
        outcome = self.function(resource, **arguments, **self.values)
        if outcome is None:
            return ()
        return (outcome,) if isinstance(outcome, Verdict) else tuple(outcome)


def rule(
    *,
    severity: Severity,
    side: Side,
    practices: Iterable[str],
    remediation: Remediation,
    references: Iterable[str],
    controls: Mapping[str, Iterable[str]] | None = None,
    composed_of: Iterable[str] = (),
    asks: Iterable[str] = (),
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function a rule.

    Args:
        severity: Base severity of a failure.
        side: Who has to act.
        practices: Codes of the practices that it proves (P1-P17, B).
        remediation: How to reach the good state.
        references: Addresses of the documents that say why.
        controls: Framework -> ids of the controls that the rule supports.
        composed_of: Ids of the rules that it sums up; it gets their verdicts in a parameter of type ``Members``.
        asks: Ids of rules whose verdicts it gets too, where it says more than they do: its findings count.

    Returns:
        A decorator that leaves the function callable as it is and puts the :class:`Rule` in its
        ``rule`` attribute, where :mod:`auditor.packs` finds it.

    Raises:
        SignatureError: the function is not a proper rule; says what is missing.
    """

    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        lists = {"practices": practices, "references": references, "composed_of": composed_of, "asks": asks}
        _check_declaration(function.__name__, severity, side, lists)
        signature = read_signature(function)
        sums_up, asked = tuple(composed_of), tuple(asks)
        if (signature.takes_members is not None) != bool(sums_up or asked):
            raise SignatureError(
                f"{function.__name__}: a rule that sums up or asks others (composed_of, asks) takes what they say in "
                "a parameter of type Members, and no other rule has one."
            )
        title, _, rest = inspect.cleandoc(function.__doc__ or "").partition("\n")
        if not title or not rest.strip():
            raise SignatureError(
                f"{function.__name__}: the docstring is the rule's page: a first line that is true when the rule "
                "passes, and a paragraph that says why it matters."
            )
        for need in signature.needs:
            if need.across is None and not all(subject(need.fact, kind) for kind in signature.kinds):
                raise SignatureError(
                    f"{function.__name__}: {need.fact.__name__} is not about a "
                    f"{' or '.join(kind.noun for kind in signature.kinds)} nor anything above it."
                )
        function.rule = Rule(  # type: ignore[attr-defined]
            id=function.__name__.replace("_", "-"),
            title=title,
            description=rest.strip(),
            severity=severity,
            side=side,
            practices=tuple(practices),
            controls={name: tuple(ids) for name, ids in (controls or {}).items()},
            remediation=remediation,
            references=tuple(references),
            function=function,
            signature=signature,
            settings=tuple(_setting(function, signature, parameter) for parameter in signature.settings),
            composed_of=sums_up,
            asks=asked,
        )
        return function

    return mark


def _check_declaration(name: str, severity: object, side: object, lists: Mapping[str, object]) -> None:
    """Refuse what Python would let through until a report is made: a text where a level or a list belongs."""
    if not isinstance(severity, Severity):
        raise SignatureError(f"{name}: severity must be one of Severity, such as Severity.HIGH, and is {severity!r}.")
    if not isinstance(side, Side):
        raise SignatureError(f"{name}: side must be one of Side, such as Side.AMAZON, and is {side!r}.")
    for key, value in lists.items():
        if isinstance(value, str):
            raise SignatureError(f"{name}: {key} must be a list of texts and is {value!r}.")


def _setting(function: Callable[..., Any], signature: Signature, parameter: inspect.Parameter) -> Setting:
    if parameter.name in RESERVED:
        raise SignatureError(f"{function.__name__}: every rule has a setting {parameter.name!r}; take another name.")
    hint = signature.hints[parameter.name]
    texts = [one for one in getattr(hint, "__metadata__", ()) if isinstance(one, str)]
    where = f"{function.__name__}: setting {parameter.name!r}"
    if not texts:
        raise SignatureError(f'{where} needs a help text: Annotated[int, "What it does."].')
    try:
        default = msgspec.convert(msgspec.to_builtins(parameter.default), hint)
    except (msgspec.ValidationError, TypeError) as error:
        raise SignatureError(f"{where}: the default does not fit its type: {error}.") from None
    return Setting(parameter.name, hint, default, " ".join(texts))
