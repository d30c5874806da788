"""Whose turn it is on a line: slots by wall time, silent instruments ever more seldom. No I/O, no clock.

A poll belongs to its scheduled slot, the multiple of `every` that has just passed. A slot that nobody had
time for is skipped and counted, never queued. Instruments that answer go first, earliest end of slot first; a
silent one is probed once in a while (after 1, 1, 1, 2, 4 … slots, 60 s at most), with a single attempt, where it fits
before the others' next slot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_PROBE_MAX_S = 60.0
"""Longest pause between two probes."""
_PATIENCE = 4
"""So many passes without an answer may be the line's fault, and are followed by one in the next slot."""
_STEP_SLOTS = 2
"""A clock that goes back by no more than this many slots is waited for, rather than polling a slot twice."""

_STEP_MS = 3_600_000
"""So far forward it is the clock that went, not the polls."""


@dataclass(slots=True)
class Turn:
    """One instrument in the schedule; times in the clock's own seconds."""

    index: int
    every_ms: int
    probe_s: float
    """What one probe costs when nothing answers."""
    hold_s: float = 0.0
    """And how long nobody else can be asked then."""
    slot_ms: int | None = None
    """The last slot that was polled."""
    failures: int = 1
    """Passes in a row without an answer; an instrument that was never heard counts as silent."""
    not_before_s: float = 0.0
    held_until_s: float = 0.0
    """A late answer may come until then: asking now would only hold the line."""
    missed: int = 0

    @property
    def probing(self) -> bool:
        """Whether this instrument did not answer when it was asked last."""
        return self.failures > 0

    @property
    def thin(self) -> bool:
        """Whether it has been silent for so long that it is no longer tried in each slot."""
        return self.failures > _PATIENCE

    def slot(self, wall_ms: int) -> int:
        """The slot of this instrument that `wall_ms` lies in."""
        return wall_ms // self.every_ms * self.every_ms

    def due(self, wall_ms: int) -> bool:
        """Whether the present slot is still to be polled."""
        slot = self.slot(wall_ms)
        if self.slot_ms is None:
            return True
        return slot > self.slot_ms or slot < self.slot_ms - _STEP_SLOTS * self.every_ms

    def polled(self, slot_ms: int) -> None:
        """A slot was served."""
        if self.slot_ms is not None and 0 < slot_ms - self.slot_ms < _STEP_MS:
            self.missed += (slot_ms - self.slot_ms) // self.every_ms - 1
        self.slot_ms = slot_ms

    def heard(self) -> None:
        """The instrument answered."""
        self.failures = 0
        self.not_before_s = 0.0

    def unheard(self, mono_s: float, *, silent: bool = True) -> None:
        """The instrument did not answer: after four such passes the next ones thin out.

        They do not where it is not `silent`: something came that could not be used, and the next one may be whole.
        """
        self.failures = self.failures + 1 if silent else max(1, min(self.failures, _PATIENCE))
        # half a slot early, so that the probe stands in its slot and not behind it
        self.not_before_s = mono_s + max(0.0, self.pause_s - self.every_ms / 2000)

    @property
    def pause_s(self) -> float:
        """How long it is left alone between two probes, and at most put off for the others' sake."""
        return min(_PROBE_MAX_S, self.every_ms / 1000 * 2.0 ** min(max(0, self.failures - _PATIENCE), 16))


class Schedule:
    """The turns of one line."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        self._turns = tuple(turns)

    def pick(self, wall_ms: int, mono_s: float) -> Turn | None:
        """Who is to be polled now, for `turn.slot(wall_ms)`."""
        due = [turn for turn in self._turns if turn.due(wall_ms) and turn.held_until_s <= mono_s]
        live = [turn for turn in due if not turn.probing]
        if live:
            # on a line that has too much to do the one that went short goes first
            return min(live, key=lambda turn: (turn.slot(wall_ms) + turn.every_ms, turn.slot_ms or 0, turn.index))
        free_s = self._free_s(wall_ms)
        probes = [turn for turn in due if turn.not_before_s <= mono_s and self._fits(turn, free_s, mono_s)]
        return min(probes, key=lambda turn: (turn.not_before_s, turn.index), default=None)

    def heard(self, turn: Turn, mono_s: float) -> None:
        """An instrument answered. One that comes back brings the others' next probe: what silenced it may have been
        the line."""
        if turn.failures > 1:
            for other in self._turns:
                other.not_before_s = min(other.not_before_s, mono_s)
        turn.heard()

    def has_room(self, turn: Turn, wall_ms: int, mono_s: float) -> bool:
        """Whether something beside the polls may be asked of this instrument now.

        One that answers costs little. A silent one costs a time-out: nobody who answers may be due, nor become so.
        """
        if turn.held_until_s > mono_s:
            return False
        if not turn.probing:
            return True
        due = any(not other.probing and other.due(wall_ms) for other in self._turns)
        return not due and turn.probe_s <= self._free_s(wall_ms)

    def wait_s(self, wall_ms: int, mono_s: float) -> float:
        """How long nothing can be due, in the clock's seconds."""
        free_s = self._free_s(wall_ms)
        return min((self._next_s(turn, wall_ms, mono_s, free_s) for turn in self._turns), default=free_s)

    def _free_s(self, wall_ms: int) -> float:
        """Time until an answering instrument's next slot."""
        ends = [turn.slot(wall_ms) + turn.every_ms for turn in self._turns if not turn.probing]
        return (min(ends) - wall_ms) / 1000 if ends else 3600.0

    @staticmethod
    def _fits(turn: Turn, free_s: float, mono_s: float) -> bool:
        cost_s = turn.probe_s + (turn.hold_s if turn.thin else 0.0)
        return cost_s <= free_s or mono_s - turn.not_before_s > turn.pause_s

    @staticmethod
    def _next_s(turn: Turn, wall_ms: int, mono_s: float, free_s: float) -> float:
        slot_s = 0.0 if turn.due(wall_ms) else (turn.slot(wall_ms) + turn.every_ms - wall_ms) / 1000
        probe_s = turn.not_before_s - mono_s if turn.probing else 0.0
        wait_s = max(slot_s, probe_s, turn.held_until_s - mono_s)
        # due and not picked: a probe that does not fit before the others' next slot
        return wait_s if wait_s > 0 else free_s
