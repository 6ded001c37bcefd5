"""What principals hold: which of the actions that rules judge they have somewhere, with proof.

The names of the actions are those of the Service Authorization Reference for DynamoDB and DAX. TransactGetItems,
TransactWriteItems and the Execute… operations of PartiQL have no action of their own: they take the ones here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from auditor.access.conditions import possible
from auditor.access.evaluate import Decision, Hit
from auditor.access.formula import All, Atom, Formula, Not, Some, atoms, every, refine, some
from auditor.access.subjects import PROBE


def _named(service: str, names: str) -> frozenset[str]:
    return frozenset(f"{service}:{name}" for name in names.split())


#: Actions that give somebody the items of a table, of its indexes or of its stream, or a copy of them.
DATA_READ = _named(
    "dynamodb",
    "GetItem BatchGetItem Query Scan ConditionCheckItem PartiQLSelect GetRecords SearchVectors "
    "ExportTableToPointInTime",
)

#: Actions that put, change or delete items.
DATA_WRITE = _named(
    "dynamodb",
    "PutItem UpdateItem DeleteItem BatchWriteItem PartiQLInsert PartiQLUpdate PartiQLDelete ImportTable "
    "StartBulkPutItems",
)

#: Actions that delete a table, a replica or a backup, weaken what protects a table, or put another one in its place.
DESTRUCTIVE = _named(
    "dynamodb",
    "DeleteTable DeleteTableReplica DeleteBackup UpdateTable UpdateContinuousBackups RestoreTableFromBackup "
    "RestoreTableToPointInTime RestoreTableFromAwsBackup",
)

#: Actions that change who may use a table: its resource policies and, with attribute-based access control, its tags.
PERMISSION = _named(
    "dynamodb",
    "PutResourcePolicy DeleteResourcePolicy UpdateAbacStatus TagResource UntagResource",
)

#: Actions on items through a DAX cluster, which reaches the tables with the cluster's own role.
DAX_DATA = _named(
    "dax",
    "GetItem BatchGetItem Query Scan ConditionCheckItem PutItem UpdateItem DeleteItem BatchWriteItem",
)

#: What can be said of an action on a resource; ``open``: it cannot be told.
Verdict = Literal["granted", "open", "denied"]


@dataclass(frozen=True, slots=True)
class Holding:
    """An action that a principal has, with the request that shows it.

    Attributes:
        action: The IAM action.
        resource: The resource on which it was shown.
        decisions: What the engine decided: one decision for each resource that the request needs.
        blocked_by: The guardrails that turn it down wherever the account's own policies grant it; else empty.
    """

    action: str
    resource: str
    decisions: tuple[Decision, ...]
    blocked_by: tuple[str, ...] = ()

    @property
    def conditions(self) -> str:
        """The conditions in words, or an empty text."""
        return " and ".join(dict.fromkeys(one.conditions for one in self.decisions if one.conditions))

    @property
    def statements(self) -> tuple[Hit, ...]:
        """The statements that grant."""
        return tuple(hit for one in self.decisions for hit in one.grants)


@dataclass(frozen=True, slots=True)
class Doubt:
    """An action of which it cannot be said whether a principal has it.

    Attributes:
        action: The IAM action.
        resource: The resource in question.
        why: In a sentence.
        cause: One of the ``causes`` of the place or of the search, or None.
    """

    action: str
    resource: str
    why: str
    cause: Any = None


@dataclass(frozen=True)
class Held:
    """What a search found.

    Attributes:
        holdings: The actions that the principal has, by name.
        doubts: Of the others those that it may have.
    """

    holdings: tuple[Holding, ...] = ()
    doubts: tuple[Doubt, ...] = ()

    @property
    def blocked(self) -> bool:
        """Guardrails turn down everything that was granted."""
        return bool(self.holdings) and all(one.blocked_by for one in self.holdings)

    @property
    def example(self) -> str:
        """One holding in words: ``dynamodb:Scan on any table in eu-west-1 by statement 0 of policy orders``."""
        # What nothing limits says most.
        shown = min(self.holdings, key=lambda one: (bool(one.blocked_by), bool(one.conditions)))
        by = f" by {shown.statements[0].statement}" if shown.statements else ""
        where = shown.resource
        if PROBE in where:
            where = f"any {'DAX cluster' if ':dax:' in where else 'table'} in {where.split(':')[3]}"
        return f"{shown.action} on {where}{by}" + (f" ({shown.conditions})" if shown.conditions else "")

    @property
    def evidence(self) -> dict[str, Any]:
        """What a finding shows: the actions, the statements that grant them, conditions, guardrails that block."""
        statements = dict.fromkeys(
            (hit.policy, hit.sid, hit.index) for one in self.holdings for hit in one.statements if hit.index >= 0
        )
        conditions = dict.fromkeys(one.conditions for one in self.holdings if one.conditions)
        found: dict[str, Any] = {
            "actions": [one.action for one in self.holdings],
            "statements": [{"policy": policy, "sid": sid, "index": index} for policy, sid, index in statements],
        }
        if conditions:
            found["conditions"] = list(conditions)
        if self.blocked:
            found["blockedBy"] = list(dict.fromkeys(text for one in self.holdings for text in one.blocked_by))
        return found


def weigh(formula: Formula, *, tags_known: bool = True) -> Verdict:
    """Tell whether a request is granted, for some callers at least, whatever it is that cannot be decided.

    Args:
        formula: ``Decision.formula``.
        tags_known: The tags of the resource are known; else what hangs on them is open.
    """
    if formula is False:
        return "denied"
    least = refine(_least(formula, tags_known=tags_known), possible)
    return "open" if least is False else "granted"


#: Condition keys on organisations: facts that nobody chooses, open only where they could not be read.
ORGANISATION_KEYS = ("aws:principalorg", "aws:resourceorg")


def hangs_on_the_organisation(formula: Formula) -> bool:
    """Tell whether a decision is open because the organisation is not known."""
    return any(atom.key.startswith(ORGANISATION_KEYS) for atom in atoms(formula))


def _undecided(atom: Atom, *, tags_known: bool) -> bool:
    if atom.test == "note" or atom.key.startswith(ORGANISATION_KEYS):
        return True
    return not tags_known and atom.key.startswith("aws:resourcetag/")


def _least(formula: Formula, *, tags_known: bool) -> Formula:
    """Return the formula with everything that cannot be decided turned against the grant."""
    if isinstance(formula, Atom):
        return False if _undecided(formula, tags_known=tags_known) else formula
    if isinstance(formula, Not):
        return False if _undecided(formula.part, tags_known=tags_known) else formula
    if isinstance(formula, All | Some):
        combine = every if isinstance(formula, All) else some
        return combine(_least(part, tags_known=tags_known) for part in formula.parts)
    return formula
