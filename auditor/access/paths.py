"""Answers and the paths that they are made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from auditor.access.evaluate import RANK, Decision, Hit
from auditor.access.strangers import ALLOW_ALL


@dataclass(frozen=True)
class Step:
    """One request of a path and its decision."""

    principal: str
    action: str
    resource: str
    decision: Decision


@dataclass(frozen=True)
class Path:
    """One way in which somebody reaches a table.

    Attributes:
        via: ``direct``, ``resource-policy``, ``role/NAME``, ``dax/NAME`` or ``public``.
        verdict: ``allowed`` or ``conditional``.
        conditions: In words; empty when there are none.
        action: The action that succeeds.
        statements: The statements that grant.
        steps: The requests that it is made of.
    """

    via: str
    verdict: str
    conditions: str
    action: str
    statements: tuple[Hit, ...]
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Answer:
    """Whether somebody can do something to a table.

    Attributes:
        principal: Who: an ARN, or in words for those who have none.
        verdict: ``allowed``, ``conditional`` or ``denied``.
        conditions: Of a conditional verdict, in words.
        paths: The ways there, the best one first.
        blocked_by: What turned a grant down, in words.
        assumptions: What was taken for granted because it could not be read.
        notes: What else is worth knowing: ways to get more, conditions that can never hold.
        trace: Every request that was decided.
    """

    principal: str
    verdict: str
    conditions: str = ""
    paths: tuple[Path, ...] = ()
    blocked_by: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    trace: tuple[Step, ...] = ()


@dataclass
class Way:
    """A path while it is looked for: its steps, and what it takes beyond them."""

    steps: list[Step] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """The worst of its steps' verdicts."""
        verdicts = {step.decision.verdict for step in self.steps}
        if "denied" in verdicts or not self.steps:
            return "denied"
        return "conditional" if self.extra or "conditional" in verdicts else "allowed"

    @property
    def conditions(self) -> str:
        """The conditions of all steps, in words."""
        parts = [step.decision.conditions for step in self.steps if step.decision.conditions]
        return " and ".join(dict.fromkeys([*parts, *self.extra]))


def merged(first: Answer, second: Answer) -> Answer:
    """Return one answer of two about the same principal."""
    better, other = (first, second) if RANK[first.verdict] >= RANK[second.verdict] else (second, first)
    return replace(
        better,
        paths=(*better.paths, *(path for path in other.paths if path not in better.paths)),
        assumptions=tuple(dict.fromkeys([*better.assumptions, *other.assumptions])),
        notes=tuple(dict.fromkeys([*better.notes, *other.notes])),
    )


def path_of(via: str, way: Way) -> Path:
    """Return a way that succeeds as a path of an answer."""
    hits = {hit: None for step in way.steps for hit in step.decision.grants if hit.policy != ALLOW_ALL.name}
    action = next((one.action for one in reversed(way.steps) if one.action.startswith("dynamodb:")), "")
    return Path(via, way.verdict, way.conditions, action, tuple(hits), tuple(way.steps))


def fixed(verdict: str, why: str) -> Decision:
    """Return a decision that needs no policy."""
    if verdict == "allowed":
        return Decision("Allowed", "allowed", [], "", [], True, [])
    return Decision("ImplicitlyDenied", "denied", [why], "", [], False, [])


def blockers(trace: Iterable[Step]) -> tuple[str, ...]:
    """Return what turned down what something else granted."""
    found: dict[str, None] = {}
    for step in trace:
        decision = step.decision
        if decision.verdict != "denied" or not decision.blocked_by:
            continue
        denials = [hit for hit in decision.denials if hit.kind in decision.blocked_by and hit.applies is not False]
        for hit in denials:
            found[f"{hit.kind}: {hit.statement}"] = None
        for kind in decision.blocked_by:
            if not any(hit.kind == kind for hit in denials):
                known = kind in ("scp", "rcp", "boundary", "session", "endpoint")
                found[f"{kind}: no statement allows {step.action}" if known else kind] = None
    return tuple(found)
