"""What the rules on items share."""

from auditor.facts import Gap, ItemSample, TableSettings


def is_empty(sample: ItemSample | Gap, settings: TableSettings) -> bool:
    """Tell whether a table has no items: the Scan's word, else that of ``ItemCount``, up to six hours old."""
    if isinstance(sample, ItemSample) and not sample.skipped:
        return sample.exhausted and not sample.items
    # A Scan that was refused may have shown items: only where nobody asked for one does ItemCount decide.
    asked = isinstance(sample, Gap) and sample.action is not None
    return not asked and settings.item_count == 0
