"""Tests of what detects an attack, and the records that they are tried on.

`call` gives the event of a call in its short form, `record` its record with members changed or taken away.
"""

from typing import Any

from auditor.detection import Event, read_event

ACCOUNT, REGION = "111122223333", "eu-west-1"
#: Stands for a member that is taken away.
GONE = object()


def call(text: str = "dynamodb:DeleteTable", *, partition: str = "aws", region: str = REGION) -> Event:
    """Return the event of a call."""
    return read_event(text, account=ACCOUNT, region=region, partition=partition)


def record(text: str = "dynamodb:DeleteTable", **members: Any) -> dict[str, Any]:
    """Return the record of a call with other members at its top."""
    changed = {**call(text).body, **members}
    return {name: value for name, value in changed.items() if value is not GONE}
