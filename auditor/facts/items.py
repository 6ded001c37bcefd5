"""What a sample of a table's items shows: never a value, only counts by kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from auditor.facts.base import fact
from auditor.resources import Table


@dataclass(frozen=True, slots=True)
class Hit:
    """Values of one kind in one attribute.

    Attributes:
        attribute: Its name (of the top level); withheld where the name itself looks like a value.
        detector: What found them, such as ``iban``.
        count: In how many items.
        of: In how many items the attribute was looked at.
        shaped: In how many items something had the shape, such as the length and the beginning of a card's number,
            whether or not its checksum is right.
        key: It is an attribute of the table's key or of an index's.
    """

    attribute: str
    detector: str
    count: int
    of: int
    shaped: int = 0
    key: bool = False


@fact(Table, "dynamodb:Scan", "dynamodb:DescribeTable", opt_in=True)
@dataclass(frozen=True, slots=True)
class ItemSample:
    """A sample of a table's items (dynamodb:Scan), taken only where the configuration turns sampling on.

    DescribeTable is asked first: where the table's capacity is small nothing is read.

    Attributes:
        items: How many were looked at.
        kinds: How many items of each kind: ``encrypted`` (AWS Database Encryption SDK with at least one encrypted
            attribute), ``signed`` (its header and footer, nothing encrypted), ``legacy`` (DynamoDB Encryption Client,
            material description and signature), ``legacy-signed`` (its signature alone), ``malformed`` (one of header
            and footer, or of other types than binary, or not readable) and ``plain``.
        values: Values were looked at too.
        hits: What the value detectors found, in order of attribute and detector.
        consumed: ``ConsumedCapacity.CapacityUnits``, in read units.
        exhausted: Every item of the table was read.
        stopped: Why fewer items were read than asked for: ``max_rcu`` or ``throttling``, or None.
        skipped: Why none were read, such as ``provisioned capacity below 5 read units``, or None.
    """

    items: int = 0
    kinds: Mapping[str, int] = field(default_factory=dict)
    values: bool = False
    hits: tuple[Hit, ...] = ()
    consumed: float = 0.0
    exhausted: bool = False
    stopped: str | None = None
    skipped: str | None = None
