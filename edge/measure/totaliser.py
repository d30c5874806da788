"""A totaliser's readings become volumes, whatever happens to its counter (HJ 212-2017 Annex D.1, equation 1).

    reading ─▶ no more above the last one than can have passed   ─▶ the difference
            ─▶ below it, and `rollover` makes it such a difference ─▶ that
            ─▶ anything else waits for the next reading, which goes on from there: the counter was changed
                                                       or as before: one reading was wrong, it is left out

A counter that was reset counts again from 0: what it shows then has passed since. One that was set back or replaced
gives nothing for the readings in between: what is not known is not invented. What passed while nothing was read for
longer than the instrument's silence is one volume, apart from the others: it was no flow of this minute.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

SLACK_MS = 60_000
"""Counters count in steps and answer late: so much longer may the water have flowed."""
CAUGHT_UP = "measure.total-caught-up"
FLOAT32_STEP = 2.0**-22
"""Of a reading that is kept as float32 two steps are this share of it."""


class Total(NamedTuple):
    """What the counter showed: UTC ms, m³."""

    time: int
    value: float


class Change(NamedTuple):
    """Something happened to the counter: `code` names the text, `before` and `after` are the readings."""

    code: str
    before: Total
    after: Total
    volume: float = 0.0


@dataclass(frozen=True, slots=True)
class TotalRule:
    """What is known of a counter. `max_flow`: L/s (None: not known); `rollover`, `step`: m³; `silence_ms`: after this
    long without a reading it was silent.
    """

    silence_ms: int
    max_flow: float | None = None
    rollover: float | None = None
    step: float = 1.0

    def most(self, before: Total, time: int) -> float:
        """More than this, m³, cannot have passed since a reading."""
        if self.max_flow is None:
            return inf
        passed_s = (max(time - before.time, 0) + SLACK_MS) / 1000
        return self.max_flow * passed_s / 1000 + self.step + abs(before.value) * FLOAT32_STEP


@dataclass(frozen=True, slots=True)
class Passed:
    """The volume, m³, between two readings `length_ms` apart, at the later one."""

    time: int
    length_ms: int
    volume: float
    silent: bool
    """Nothing was read for too long, or the clock was set: a volume, and no flow."""


class Totaliser:
    """One counter. `last` is the last reading that counts; `changes` collects what happened to it."""

    def __init__(self, rule: TotalRule) -> None:
        self.last: Total | None = None
        self.changes: list[Change] = []
        self._rule = rule
        self._doubtful: Total | None = None

    def resume(self, last: Total | None, later: Sequence[Total]) -> None:
        """Go on from the last reading that counted; `later`: those after it, which the run before left in doubt."""
        self.last = last
        self._doubtful = later[-1] if later and last is not None else None

    def take(self, readings: Sequence[Total]) -> list[Passed]:
        """The volumes of readings in the order of time."""
        return list(self._volumes(readings))

    def _volumes(self, readings: Sequence[Total]) -> Iterator[Passed]:
        for reading in readings:
            before = self.last
            if before is None:
                self.last = reading
                continue
            volume = self._forward(before, reading, tell=True)
            if volume is not None and self._doubtful is not None:
                self._tell("measure.total-stray", before, self._doubtful)
            elif volume is None:
                volume = self._changed(before, reading)
            if volume is None:
                if self._doubtful is not None:
                    self._tell("measure.total-stray", before, self._doubtful)
                self._doubtful = reading
                continue
            self.last, self._doubtful = reading, None
            yield self._passed(before, reading, volume)

    def _passed(self, before: Total, reading: Total, volume: float) -> Passed:
        length_ms = reading.time - before.time
        silent = not 0 < length_ms <= self._rule.silence_ms
        if silent and volume > 0:
            self._tell(CAUGHT_UP, before, reading, volume)
        return Passed(reading.time, length_ms, volume, silent)

    def _forward(self, before: Total, after: Total, tell: bool = False) -> float | None:
        """What passed between two readings of a counter that nobody touched; None: somebody did."""
        most = self._rule.most(before, after.time)
        if after.value >= before.value:
            return after.value - before.value if after.value - before.value <= most else None
        if self._rule.rollover is None:
            return None
        round_it = after.value + self._rule.rollover - before.value
        if not 0 <= round_it <= min(most, self._rule.rollover / 2):
            return None
        if tell:
            self._tell("measure.total-rollover", before, after, round_it)
        return round_it

    def _changed(self, before: Total, reading: Total) -> float | None:
        """What passed where the doubtful reading and this one are the counter's new course; None: they are not."""
        doubtful = self._doubtful
        since = None if doubtful is None else self._forward(doubtful, reading)
        if doubtful is None or since is None:
            return None
        most, drop = self._rule.most(before, doubtful.time), before.value - doubtful.value
        if 0 <= doubtful.value < drop and doubtful.value <= most:
            self._tell("measure.total-reset", before, doubtful, doubtful.value + since)
            return doubtful.value + since
        self._tell("measure.total-back" if 0 < drop <= most else "measure.total-replaced", before, doubtful, since)
        return since

    def _tell(self, code: str, before: Total, after: Total, volume: float = 0.0) -> None:
        self.changes.append(Change(code, before, after, volume))
