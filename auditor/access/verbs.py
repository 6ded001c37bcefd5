"""What verbs mean for a table: the actions, the resources that they are authorised on, the key that they need."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from auditor.access.actions import Action, find, of_verb, targets, verbs
from auditor.access.estate import Principal, Table


def actions_of(verb: str) -> tuple[Action, ...]:
    """Return DynamoDB's actions of a verb, or the one action that ``verb`` names.

    Raises:
        KeyError: it is neither a verb nor an action of DynamoDB.
    """
    if ":" in verb:
        known = find(verb)
        if known is None or not known.name.startswith("dynamodb:"):
            raise KeyError(verb)
        return (known,)
    if verb not in verbs():
        raise KeyError(verb)
    held = [action for action in of_verb(verb) if action.name.startswith("dynamodb:")]
    return tuple(sorted(held, key=_strength))


#: Actions that tell most about what a verb lets do, in this order; they are tried and named first.
_STRONGEST = (
    *("Scan", "Query", "GetItem", "PutItem", "UpdateItem", "DeleteItem", "DeleteTable", "UpdateTable"),
    *("PutResourcePolicy", "ExportTableToPointInTime", "GetRecords", "DescribeTable"),
)


def _strength(action: Action) -> tuple[int, bool]:
    """Strongest first, then in the table's order; what the Service Authorization Reference lacks comes last."""
    name = action.name.partition(":")[2]
    return (_STRONGEST.index(name) if name in _STRONGEST else len(_STRONGEST)), not action.listed


def resources_of(action: Action, table: Table) -> Iterator[tuple[str, ...]]:
    """Yield the ways in which a request about a table is authorised, each as the ARNs that it needs.

    An index that is not known stands as ``index/*``; a table without indexes or stream has no way through them.
    """
    partition = table.arn.split(":")[1]
    for way in targets(action):
        choices: list[list[str]] = [[]]
        for kind in sorted(way):
            found = {
                "table": [table.arn],
                "index": [f"{table.arn}/index/{one}" for one in (("*",) if table.indexes is None else table.indexes)],
                "stream": [table.stream] if table.stream else [],
                "backup": [f"{table.arn}/backup/01700000000000-ddbaudit"],
                "export": [f"{table.arn}/export/01700000000000-ddbaudit"],
                "import": [f"{table.arn}/import/01700000000000-ddbaudit"],
                "global-table": [f"arn:{partition}:dynamodb::{table.account}:global-table/{table.name}"],
            }.get(kind, ["*"])
            choices = [[*choice, one] for choice in choices for one in found]
        for choice in choices:
            yield tuple(choice) or ("*",)


def decrypt_context(principal: Principal, table: Table) -> dict[str, Any]:
    """Return the condition keys of kms:Decrypt as DynamoDB calls it on a principal's behalf.

    Source: Amazon DynamoDB Developer Guide, "DynamoDB encryption at rest: How it works".
    """
    # Whether the name has China's suffix there is not documented: left out, it is a condition that may hold.
    china = table.arn.startswith("arn:aws-cn:")
    return {
        **({} if china else {"kms:ViaService": f"dynamodb.{table.region}.amazonaws.com"}),
        "kms:CallerAccount": principal.account,
        "kms:EncryptionContext:aws:dynamodb:tableName": table.name,
        "kms:EncryptionContext:aws:dynamodb:subscriberId": table.account,
        "kms:EncryptionContextKeys": ["aws:dynamodb:tableName", "aws:dynamodb:subscriberId"],
        "aws:ViaAWSService": "true",
        "aws:CalledVia": ["dynamodb.amazonaws.com"],
        "aws:CalledViaFirst": "dynamodb.amazonaws.com",
        "aws:CalledViaLast": "dynamodb.amazonaws.com",
    }
