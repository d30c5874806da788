"""Which mark a period bears, and which values enter its mean (HJ 212-2017 Table 8, notes under C.16–C.18).

    water   any one abnormal value makes the period abnormal (`water.normal_share` 1)
    gas     at least 75 % normal: N, else D (instrument fault)

The standard gives no letter for "abnormal" and no order of marks: here the mark that most values bear, and
where marks tie, the outlet's `precedence`. What is missing bears no mark; a period in which nothing came at
all is B.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

NORMAL = "N"
FAULT = "D"
NOTHING_CAME = "B"


class Marked(Protocol):
    """A sample or a record."""

    @property
    def mark(self) -> str: ...


M = TypeVar("M", bound=Marked)


def dominating(marks: Iterable[str], precedence: Sequence[str]) -> str:
    """The mark that occurs most, the stronger one on a tie; B where there is none."""
    rank = {mark: place for place, mark in enumerate(precedence)}
    counted = sorted(Counter(marks).items(), key=lambda item: (-item[1], rank.get(item[0], len(rank)), item[0]))
    return counted[0][0] if counted else NOTHING_CAME


def strongest(marks: Iterable[str], precedence: Sequence[str]) -> str:
    """The first of these marks in `precedence`; N where all are N."""
    rank = {mark: place for place, mark in enumerate(precedence)}
    abnormal = sorted((rank.get(mark, len(rank)), mark) for mark in marks if mark != NORMAL)
    return abnormal[0][1] if abnormal else NORMAL


def water_mark(marks: Sequence[str], precedence: Sequence[str], share: float = 1.0) -> str:
    """Mark of a water period from the marks of the level below: N where at least `share` of them are N."""
    abnormal = [mark for mark in marks if mark != NORMAL]
    normal = len(marks) - len(abnormal)
    if normal and normal >= share * len(marks):
        return NORMAL
    return dominating(abnormal, precedence)


def gas_mark(marks: Sequence[str], needed: float, precedence: Sequence[str], below: str = FAULT) -> str:
    """Mark of a flue gas period: N from `needed` normal values on, else D; with `below` "cause" the commonest
    abnormal mark instead, where there is one.

    Where not one value is normal nothing points to the instrument: a stack that stood still all hour is F,
    not D.
    """
    normal = sum(mark == NORMAL for mark in marks)
    if normal and normal >= needed:
        return NORMAL
    abnormal = [mark for mark in marks if mark != NORMAL]
    return FAULT if normal and (below == FAULT or not abnormal) else dominating(abnormal, precedence)


def entering(values: Sequence[M], averaging: Sequence[str], mark: str) -> tuple[list[M], int]:
    """The values that make a period's numbers, and how many of them are valid.

    Values whose mark is in `averaging`; where there is none, those that bear the period's own mark, so that
    what the instrument showed is kept and sent with its mark, counted as 0 valid.
    """
    valid = [value for value in values if value.mark in averaging]
    if valid:
        return valid, len(valid)
    return [value for value in values if value.mark == mark], 0
