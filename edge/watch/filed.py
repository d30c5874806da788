"""What an instrument, or the site file, has now against what is filed with the authority (参数备案); no I/O, no clock.

    value seen ─▶ within the tolerance of what is filed? ─▶ another answer, or another value, than was told? ─▶ Telling

A difference is told at once, and so is its end. What changes again within the hour is counted and told when the hour is
over: a value that swings between two states must flood neither the journal nor the platforms, and is never silent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from edge.values import Known

TOLD_EVERY_S = 3_600.0
_DIFFERS, _AGREES = "differs", "agrees"
_ROUNDING = 1e-9
"""Decimal fractions are compared as people write them: 1.3 - 1.2 is 0.1."""


@dataclass(frozen=True, slots=True)
class Filed:
    """A filed value; `since_ms`: the day from which it holds, `at_ms`: when it was entered, None: in the site file."""

    value: str
    tolerance: float = 0.0
    unit: str | None = None
    since_ms: int = 0
    filed_no: str | None = None
    filed_by: str | None = None
    at_ms: int | None = None

    def agrees(self, value: str) -> bool:
        """Whether a value is the filed one: numbers within the tolerance, anything else letter by letter."""
        try:
            apart = abs(float(value) - float(self.value))
        except ValueError:
            return value == self.value
        return apart <= self.tolerance or math.isclose(apart, self.tolerance, rel_tol=0.0, abs_tol=_ROUNDING)


def in_force(filings: Iterable[Filed], now_ms: int) -> Filed | None:
    """The one that holds: of those whose day has come that of the latest day, of one day what was entered last."""
    begun = [each for each in filings if each.since_ms <= now_ms]
    return max(begun, key=lambda each: (each.since_ms, each.at_ms or 0), default=None)


@dataclass(frozen=True, slots=True)
class State:
    """Whether a value differs from what is filed, and the value."""

    differs: bool
    value: str

    @classmethod
    def from_known(cls, known: Known) -> State:
        """What was told last, as the store has it."""
        word, _, value = known.value.partition(" ")
        return cls(word == _DIFFERS, value)

    def text(self) -> str:
        """As the store has it."""
        return f"{_DIFFERS if self.differs else _AGREES} {self.value}"


@dataclass(frozen=True, slots=True)
class Telling:
    """What is to be told: the state, what was told before it, and how many changes in between were not."""

    state: State
    before: State | None
    untold: int


class Comparison:
    """One parameter. `now`: as it was seen last; `since_ms`: since when it has differed, or agreed."""

    def __init__(self, told: Known | None) -> None:
        self._told = None if told is None else State.from_known(told)
        self.now = self._told
        self.since_ms = told.since if told is not None else None
        self.untold = 0
        self._told_s = -math.inf

    def see(self, state: State, at_ms: int, now_s: float, *, at_once: bool = False) -> Telling | None:
        """What this value makes to be told. `at_once`: somebody has just set or filed it."""
        if self.now is None or self.now.differs != state.differs:
            self.since_ms = at_ms
        if state != self.now and (self.now is not None or state.differs):
            self.untold += 1
        self.now = state
        if self._told is None and not self.untold:
            self._told = state  # what agrees at the first look is no news
        if not self.untold:
            return None
        is_end = self._told is not None and self._told.differs and not state.differs and self.untold == 1
        if not (is_end or at_once) and now_s - self._told_s < TOLD_EVERY_S:
            return None
        if not is_end:
            self._told_s = now_s
        telling = Telling(state, self._told, self.untold - 1)
        self._told, self.untold = state, 0
        return telling
