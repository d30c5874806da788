"""Labels that are sealed once, and the means over a period.

A period is [start, end), labelled by its start. What is sealed is kept as spans, not as one high-water mark:
a clock that stood years ahead for a minute must not make the logger drop its data until that year comes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import fsum

_MOST_SPANS = 64  # one span more for each step of the clock; the oldest two become one (and what lay between is sealed)


class Labels:
    """The labels that are sealed, as spans of time; bounded."""

    def __init__(self) -> None:
        self._begins: list[int] = []
        self._ends: list[int] = []

    def __contains__(self, start: int) -> bool:
        at = bisect_right(self._begins, start) - 1
        return at >= 0 and start < self._ends[at]

    def add(self, begin: int, end: int) -> None:
        """Every label in [begin, end) is sealed from now on."""
        spans = sorted([*zip(self._begins, self._ends, strict=True), (begin, end)])
        joined = [spans[0]]
        for span in spans[1:]:
            if span[0] <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(joined[-1][1], span[1]))
            else:
                joined.append(span)
        if len(joined) > _MOST_SPANS:
            joined[:2] = [(joined[0][0], joined[1][1])]
        self._begins = [begin for begin, _ in joined]
        self._ends = [end for _, end in joined]


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean (equations 15–17, 23–25) of at least one value, whatever their order."""
    return _within(fsum(values) / len(values), values)


def weighted_mean(values: Sequence[float], weights: Sequence[float]) -> float:
    """Mean by weight (equations 12–14: concentrations by volume); arithmetic where nothing weighs."""
    total = fsum(weights)
    if total <= 0:
        return mean(values)
    summed = fsum(value * weight for value, weight in zip(values, weights, strict=True))
    return _within(summed / total, [value for value, weight in zip(values, weights, strict=True) if weight > 0])


def _within(middle: float, values: Sequence[float]) -> float:
    """A mean that rounding does not carry past the extremes: Min ≤ Avg ≤ Max, always."""
    return min(max(middle, min(values)), max(values))
