"""What strangers can do: a policy on a resource, judged by the synthetic outsiders who try it.

A verdict is ``allowed`` when some outsider gets in, ``conditional`` when it hangs on an open question, ``denied`` when
none can.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from auditor.access.actions import Action
from auditor.access.choices import covers_all, feasible
from auditor.access.conditions import possible
from auditor.access.evaluate import RANK, Hit, Policies, Request, evaluate
from auditor.access.formula import Answers, Atom, Formula, assume, atoms, refine
from auditor.access.outsiders import Outsider, Trial, World
from auditor.access.policy import EVERYTHING, Named, Policy, read
from auditor.access.words import in_words

#: The outsider's own policies: what its account allows is its own affair.
ALLOW_ALL = Named("the policies of the outsider's own account", EVERYTHING)

#: Steps after which the search for what an outsider chooses gives up; the verdict is then conditional.
BUDGET = 3000


@dataclass(frozen=True)
class Reach:
    """What an outsider can do.

    Attributes:
        action: The IAM action.
        resource: ARN of the resource.
        verdict: ``allowed``, ``conditional`` or ``denied``.
        conditions: What a conditional verdict hangs on, in words; else an empty text.
        choices: What an outsider must choose, in words; empty when nothing.
        statements: The statements that allow it.
        open: The condition keys, lower case, that a conditional verdict hangs on; ``note`` for what is no key and
            for a comparison that cannot be decided.
        refusals: The statements of guardrails that deny it, where it is denied.
    """

    action: str
    resource: str
    verdict: str
    conditions: str = ""
    choices: str = ""
    statements: tuple[Hit, ...] = ()
    open: frozenset[str] = frozenset()
    refusals: tuple[Hit, ...] = ()

    @property
    def lucky(self) -> bool:
        """It is open to whoever comes from some address or knows an external id, and to nobody else."""
        return self.verdict == "conditional" and self.open <= {"aws:sourceip", "sts:externalid"}


def reach(
    document: Any,
    action: str,
    resources: Iterable[str],
    *,
    owner: str,
    organization: str | None = "",
    outsider: Outsider | None = None,
    rcps: Sequence[Sequence[Any]] = (),
    context: Mapping[str, Any] | None = None,
) -> Reach:
    """Decide whether an outsider can do something with a resource.

    Args:
        document: The resource, key or trust policy.
        action: The IAM action, such as ``dynamodb:GetItem``.
        resources: ARNs of the resource, several where the request may name one of several (a table and its indexes).
        owner: Number of the account that owns the resource.
        organization: Id of the owner's organisation; None: it is in none; empty: not known.
        outsider: Who tries; None: somebody of whom nothing is known.
        rcps: Levels of resource control policies of the owner's account.
        context: Condition keys that are known, such as ``aws:CurrentTime`` or the resource's tags.

    Returns:
        The best that the outsider reaches on any of the resources.
    """
    who = outsider or Outsider()
    policy = read(document, "resource policy", trust=action.lower().startswith("sts:assumerole"))
    # The rest is costly, and most policies say nothing of most actions.
    if policy.unreadable is None and not any(one.allow and one.covers(action.lower()) for one in policy.statements):
        return Reach(action, next(iter(resources), "*"), "denied")
    trial = Trial(policy, [read(one) for level in rcps for one in level], who)
    best: Reach | None = None
    for resource in resources:
        for world in trial.worlds(action, resource, owner, organization, context or {}):
            found = _attempt(world, policy, action, resource, owner, rcps)
            if best is None or RANK[found.verdict] > RANK[best.verdict]:
                best = found
            if best.verdict == "allowed":
                return best
    return best or Reach(action, "*", "denied")


def survey(
    document: Any,
    wanted: Iterable[Action],
    resources: Callable[[Action], Sequence[str]],
    *,
    owner: str,
    organization: str | None = "",
    outsider: Outsider | None = None,
    rcps: Sequence[Sequence[Any]] = (),
) -> list[Reach]:
    """Decide on many actions, in their order; those that the policies cannot tell apart are tried once.

    Args:
        document: As for :func:`reach`, as the others.
        wanted: The actions.
        resources: Returns the ARNs that a request of an action may name.
        owner: As for :func:`reach`.
        organization: As for :func:`reach`.
        outsider: As for :func:`reach`.
        rcps: As for :func:`reach`.
    """
    policy = read(document, "resource policy")
    statements = [one for held in (policy, *(read(one) for level in rcps for one in level)) for one in held.statements]
    keys = sorted({condition.key for one in statements for condition in one.conditions})
    alike: dict[Any, Reach] = {}
    found = []
    for action in wanted:
        name = action.name.lower()
        targets = tuple(resources(action))
        same = (
            tuple(one.covers(name) for one in statements),
            targets,
            action.resource_policy,
            tuple(action.carries(key) for key in keys),
            name if name in _APART else "",
        )
        if same not in alike:
            alike[same] = reach(
                policy, action.name, targets, owner=owner, organization=organization, outsider=outsider, rcps=rcps
            )
        found.append(replace(alike[same], action=action.name))
    return found


#: Actions that have rules of their own: condition keys that AWS contradicts itself on, no resource control policies.
_APART = ("dynamodb:searchvectors", "kms:retiregrant")


def _attempt(
    world: World, policy: Policy, action: str, resource: str, owner: str, rcps: Sequence[Sequence[Any]]
) -> Reach:
    request = Request(
        world.principal,
        action,
        resource,
        owner,
        world.known,
        unknown_keys=["*"],
        supplied_keys=world.supplied,
        absent_keys=world.absent,
    )
    decision = evaluate(request, Policies(identity=[ALLOW_ALL], resource=policy, rcps=rcps))
    refusals = tuple(hit for hit in decision.denials if hit.kind == "rcp")
    if decision.verdict == "denied":
        return Reach(action, resource, "denied", refusals=refusals)
    search = _Search(world)
    verdict, rest, answers = search.solve(decision.formula)
    statements = tuple(
        hit for hit in decision.grants if hit.kind == "resource" and _assume_all(hit.applies, answers) is not False
    )
    return Reach(
        action,
        resource,
        verdict,
        in_words(rest) if verdict == "conditional" else "",
        "" if verdict == "denied" or decision.formula is True else in_words(decision.formula),
        () if verdict == "denied" else statements,
        frozenset("note" if one.opaque or one.test == "note" else one.key for one in atoms(rest)),
        refusals if verdict == "denied" else (),
    )


def _assume_all(formula: Formula, answers: Answers) -> Formula:
    for atom, answer in answers.items():
        formula = assume(formula, atom, answer)
    return formula


class _Search:
    """Finds what an outsider must choose to get in."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.supplied = {key.lower() for key in world.supplied}
        self.steps = 0

    def solve(self, formula: Formula) -> tuple[str, Formula, Answers]:
        """Return the verdict, what stays open, and the answers that the outsider chose."""
        if isinstance(formula, bool):
            return ("allowed" if formula else "denied"), formula, {}
        for family in (4, 6):
            unlucky = {
                one: covers_all(one, family) is not (one.quantifier == "other")
                for one in atoms(formula)
                if self._kind(one) == "luck"
            }
            found = self._choose(_assume_all(formula, unlucky), {}, proof=True)
            if found is not None:
                return "allowed", True, found[1] | unlucky
        self.steps = 0
        found = self._choose(formula, {}, proof=False)
        if found is None:
            return "denied", False, {}
        return "conditional", found[0], found[1]

    def _kind(self, atom: Atom) -> str:
        choice = self.world.choice(atom.key)
        if choice is None or atom.opaque:
            return "open"
        return "chosen" if choice.kind == "luck" and atom.test == "absent" else choice.kind

    def _choose(self, formula: Formula, answers: Answers, *, proof: bool) -> tuple[Formula, Answers] | None:
        """Answer what the outsider chooses; with ``proof`` nothing may stay open, else something must be possible."""
        self.steps += 1
        if formula is False or self.steps > BUDGET:
            # Without a proof it is not allowed, and without a refutation not denied.
            return None if formula is False or proof else (formula, answers)
        chosen = next((one for one in atoms(formula) if self._kind(one) == "chosen"), None)
        if chosen is None:
            rest = refine(formula, lambda given: possible(given) and self._feasible(given, proof=False))
            return (rest, answers) if (rest is True if proof else rest is not False) else None
        for answer in (True, False):
            given = answers | {chosen: answer}
            if possible(given) and self._feasible(given, proof=proof):
                found = self._choose(assume(formula, chosen, answer), given, proof=proof)
                if found is not None:
                    return found
        return None

    def _feasible(self, answers: Answers, *, proof: bool) -> bool:
        """Tell whether values exist that answer so; where that cannot be told, yes unless a proof is asked for."""
        by_key: dict[str, list[tuple[Atom, bool]]] = {}
        for atom, answer in answers.items():
            if atom.test != "note":
                by_key.setdefault(atom.key, []).append((atom, answer))
        for key, pairs in by_key.items():
            choice = self.world.choice(key)
            there = [(Atom(key, "absent"), False)] if key in self.supplied else []
            found = True if choice is None else feasible(choice, [*pairs, *there])
            if found is False or (found is None and proof):
                return False
        return True
