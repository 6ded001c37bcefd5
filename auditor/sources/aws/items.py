"""Samples of items, taken only where the configuration turns sampling on.

What stands in an item stays in this module: it yields counts and, at most, names of attributes. An answer that cannot
be read is reported without a word of it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from auditor.facts import Gap, ItemSample, Reason, TableSettings
from auditor.resources import Table
from auditor.sources.aws.collector import Yield, collects
from auditor.sources.aws.dynamodb import GONE, read_table
from auditor.sources.aws.session import Aws, Missing, ReadOnlyViolation, Vanished
from auditor.sources.aws.values import Tally

SCAN = "dynamodb:Scan"

#: The attributes that client-side encryption adds: all that the first step reads.
HEADERS = {
    "#h": "aws_dbe_head",
    "#f": "aws_dbe_foot",
    "#d": "*amzn-ddb-map-desc*",
    "#s": "*amzn-ddb-map-sig*",
}

#: A table that may read less than this in a second has nothing to spare.
LEAST_CAPACITY = 5

#: Read units of an eventually consistent read: half a unit for every 4 KB, of an item of at most 400 KB and a page of
#: at most 1 MB (Amazon DynamoDB Developer Guide, Service quotas; Paginating table query results). No page is free.
LARGEST_ITEM, LARGEST_PAGE, LEAST_PAGE = 50.0, 128.0, 0.5

#: DynamoDB's limit of TotalSegments.
MOST_SEGMENTS = 1_000_000

#: Segments without any item after which a table is read from its beginning: ItemCount may be six hours old.
EMPTY_SEGMENTS = 4


@collects(ItemSample, about=Table)
def item_sample(aws: Aws, table: Table) -> Yield:
    """Yield a sample of the table's items: how many are encrypted by the client, and what the detectors found.

    Without ``sampling.values`` only the attributes that encryption adds are asked for, and no data of the application
    leaves DynamoDB but the key that a page ends with. DynamoDB charges whole items either way.
    """
    if not aws.sampling.items_per_table:
        return
    description = aws.call("dynamodb:DescribeTable", gone=GONE, TableName=table.name)["Table"]
    settings = read_table(table, description)
    skipped = _skipped(settings)
    if skipped:
        yield table, ItemSample(skipped=skipped)
        return
    try:
        sample = _Sampler(aws, table, settings).run()
    except (Vanished, ReadOnlyViolation):
        raise
    except Missing as missing:
        raise _without_contents(missing) from None
    except Exception as error:  # noqa: BLE001 - its text may quote what stands in an item
        detail = f"AWS's answer to {SCAN} could not be read ({type(error).__name__})."
        raise Missing(Gap(Reason.UNDECIDABLE, detail, SCAN), type(error).__name__, SCAN, detail) from None
    yield table, sample


def _skipped(settings: TableSettings) -> str | None:
    """Return why the table is not read, or None."""
    if settings.status not in ("ACTIVE", "UPDATING"):
        return f"the table is {settings.status}"
    if settings.billing_mode == "PROVISIONED" and settings.read_capacity < LEAST_CAPACITY:
        return f"provisioned capacity below {LEAST_CAPACITY} read units"
    if settings.max_read_units is not None and settings.max_read_units < LEAST_CAPACITY:
        return f"on-demand maximum below {LEAST_CAPACITY} read units"
    return None


def _without_contents(missing: Missing) -> Missing:
    """Return what is reported of a Scan that failed.

    A refusal is AWS's own text, and says where the key's policy refused it. The text of a parser may quote the answer.
    """
    gap = missing.gap
    if gap.reason is not Reason.ACCESS_DENIED:
        return Missing(gap, missing.code, missing.operation, gap.detail)
    folded = missing.message.casefold()
    if "kms key" in folded or "kms:decrypt" in folded:
        text = "The auditor may not read items that a KMS key encrypts: kms:Decrypt through DynamoDB is missing."
        gap = Gap(gap.reason, text, "kms:Decrypt")
    return Missing(gap, missing.code, missing.operation, missing.message)


@dataclass
class _Sampler:
    """Reads a table's items until there are enough, none is left, or the read units are used up.

    The reads are spread: a table with many items is cut into segments, and the one to begin with follows from the
    table's ARN, so that an audit is repeatable.

    The cap on read units holds as far as it can be held. How large an item is shows only once it is read and paid for,
    so every page asks for no more items than the rest of the cap would pay for were they as large as items can be,
    and for one where it would not pay for any such item. Then the single item that is read last may cost more than
    what is left: at most 50 units, less what was left. Nothing more is read once less is left than an item of the
    dearest page so far has cost. With the default cap of 50 units a call so brings one item; with 128, which is what a
    full page costs, it brings many. What a call costs whose answer is lost on its way, nobody sees.
    """

    aws: Aws
    table: Table
    settings: TableSettings
    kinds: Counter[str] = field(default_factory=Counter)
    tally: Tally = field(default_factory=Tally)
    seen: int = 0
    consumed: float = 0.0
    dearest: float = 0.0

    def run(self) -> ItemSample:
        """Read, and return what is to be kept.

        A table that throttles once something of it is paid for is left alone: read again from its beginning, as what
        is throttled is, it would cost more than the cap.

        Raises:
            Missing: a page could not be had; what the pages before it showed is dropped.
            Vanished: the table is gone.
        """
        cause, exhausted = "max_rcu", False
        try:
            exhausted = self._read_table()
        except Missing as missing:
            if missing.gap.reason is not Reason.THROTTLED or not self.consumed:
                raise
            cause = "throttling"
        short = not exhausted and self.seen < self.aws.sampling.items_per_table
        return ItemSample(
            items=self.seen,
            kinds=dict(sorted(self.kinds.items())),
            values=self.aws.sampling.values,
            hits=self.tally.hits(_key_attributes(self.settings)),
            consumed=self.consumed,
            exhausted=exhausted,
            stopped=cause if short else None,
        )

    def _read_table(self) -> bool:
        """Read segment after segment; True when no item of the table is left."""
        enough = 4 * self.aws.sampling.items_per_table
        total = max(1, min(MOST_SEGMENTS, self.settings.item_count // enough))
        first = int.from_bytes(hashlib.sha256(self.table.arn.encode()).digest()[:8], "big") % total
        for number in range(total):
            if number == EMPTY_SEGMENTS and not self.seen:
                return self._read_segment(0, 1)
            if not self._read_segment((first + number) % total, total):
                return False
        return True

    def _read_segment(self, segment: int, total: int) -> bool:
        """Read page after page; True when no item of the segment is left."""
        params: dict[str, Any] = {"TableName": self.table.name, "ReturnConsumedCapacity": "TOTAL"}
        if total > 1:
            params |= {"Segment": segment, "TotalSegments": total}
        if not self.aws.sampling.values:
            params |= {"ProjectionExpression": ",".join(HEADERS), "ExpressionAttributeNames": HEADERS}
        while limit := self._page_limit():
            answer = self.aws.call(SCAN, gone=GONE, Limit=limit, **params)
            self._take(answer, limit)
            if not answer.get("LastEvaluatedKey"):
                return True
            params["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        return False

    def _page_limit(self) -> int:
        """Return how many items the next page may ask for; 0: no more are read."""
        sampling = self.aws.sampling
        left = sampling.max_rcu - self.consumed
        if self.seen >= sampling.items_per_table or left <= 0 or left < self.dearest:
            return 0
        affordable = sampling.items_per_table if left >= LARGEST_PAGE else max(1, int(left // LARGEST_ITEM))
        return min(sampling.items_per_table - self.seen, affordable)

    def _take(self, answer: Mapping[str, Any], limit: int) -> None:
        """Count a page: its items by kind, what stands in them, and what it cost."""
        items = answer.get("Items") or []
        units = (answer.get("ConsumedCapacity") or {}).get("CapacityUnits")
        if units is None:
            units = min(limit * LARGEST_ITEM, LARGEST_PAGE)  # not said: the most that it can have been
        self.consumed += max(units, LEAST_PAGE)
        self.dearest = max(self.dearest, units / max(1, len(items)))
        self.seen += len(items)
        for item in items:
            self.kinds[kind_of(item)] += 1
            if self.aws.sampling.values:
                self.tally.add(item)


def _key_attributes(settings: TableSettings) -> frozenset[str]:
    of_indexes = (name for index in settings.indexes for name in (*index.partition_keys, *index.sort_keys))
    return frozenset({*settings.partition_keys, *settings.sort_keys, *of_indexes})


def kind_of(item: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what an item's attributes say of its encryption by the client: one of ``ItemSample.kinds``.

    The AWS Database Encryption SDK gives every item that it writes a header and a footer, both binary; its legacy
    predecessor a signature and, where it encrypts, a material description. The header counts where both are there.
    """
    head, foot, description, signature = (item.get(name) for name in HEADERS.values())
    if head is not None or foot is not None:
        if not _is_binary(head) or not _is_binary(foot):
            return "malformed"
        legend = _legend(head["B"]) if head is not None else None
        if legend is None:
            return "malformed"
        return "encrypted" if ord("e") in legend else "signed"
    if description is None and signature is None:
        return "plain"
    if not _is_binary(signature) or (description is not None and not _is_binary(description)):
        return "malformed"
    return "legacy" if description is not None else "legacy-signed"


def _is_binary(value: Mapping[str, Any] | None) -> bool:
    return value is not None and isinstance(value.get("B"), bytes)


def _legend(head: bytes) -> bytes | None:
    """Return what a header says of each attribute of its item: ``e`` encrypted, ``s`` signed, ``c`` signed as context.

    A header begins with a version (1 or 2), a flavour (0 or 1), an id of 32 bytes and the legend's length in two
    (AWS Database Encryption SDK, structured encryption, header). None when this does not.
    """
    length = int.from_bytes(head[34:36], "big")
    legend = head[36 : 36 + length]
    if len(head) < 36 or head[0] not in (1, 2) or head[1] not in (0, 1) or len(legend) != length:
        return None
    return legend if set(legend) <= set(b"esc") else None
