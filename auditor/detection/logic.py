"""Logic with three values: proven, disproven and undecidable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Verdict = bool | None


class Unparsable(ValueError):
    """A text is not of the language, or uses a part of it that is not evaluated.

    Attributes:
        reason: Why, as the end of a sentence: "the filter ... cannot be evaluated: REASON".
    """

    def __init__(self, reason: str) -> None:
        """Keep the reason."""
        super().__init__(reason)
        self.reason = reason


def negate(value: Verdict) -> Verdict:
    """Return the opposite; what is undecidable stays so."""
    return None if value is None else not value


def every(values: Iterable[Verdict]) -> Verdict:
    """True when all are, False when one is surely not; True for none at all."""
    result: Verdict = True
    for value in values:
        if value is False:
            return False
        if value is None:
            result = None
    return result


def some(values: Iterable[Verdict]) -> Verdict:
    """True when one surely is, False when all are not; False for none at all."""
    return negate(every(negate(value) for value in values))


def either_order(values: Sequence[Verdict], operators: Sequence[str]) -> Verdict:
    """Combine values by ``and`` and ``or`` where no documentation says which of them binds closer.

    Args:
        values: At least one value.
        operators: What stands between them, in lower case: one less than values.

    Returns:
        The result if both readings, ``and`` first and left to right, come to the same; else None.
    """
    groups: list[list[Verdict]] = [[values[0]]]
    folded = values[0]
    for operator, value in zip(operators, values[1:], strict=True):
        if operator == "and":
            groups[-1].append(value)
            folded = every((folded, value))
        else:
            groups.append([value])
            folded = some((folded, value))
    first = some(every(group) for group in groups)
    return first if first is folded else None
