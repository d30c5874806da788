"""A state between two thresholds: a contact (0, 1), or a power meter that says whether the source runs.

    value   ──────╮ on            on at or beyond `on`, off at or beyond `off`; in between it stays what it was
                  ╰────── off     a new state counts when it has lasted `hold_ms`, and then from its beginning

What can go wrong: a meter that says nothing. Nothing follows from that: the state stays, and the wait begins anew.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Turn:
    """A change of state: since when, and the value that showed it first."""

    is_on: bool
    since: int
    value: float


@dataclass(slots=True)
class Hysteresis:
    """Fed with values in order of time. `on` may lie above or below `off`."""

    on: float
    off: float
    hold_ms: int = 0
    is_on: bool = False
    _turn: Turn | None = None
    _last: int | None = None

    def feed(self, time: int, value: float | None) -> Turn | None:
        """The change that this value completes; None: no change."""
        if self._last is not None and time <= self._last:
            return None
        self._last = time
        if value is None or not self._is_beyond(value):
            self._turn = None
            return None
        self._turn = self._turn or Turn(not self.is_on, time, value)
        if time - self._turn.since < self.hold_ms:
            return None
        done, self._turn = self._turn, None
        self.is_on = done.is_on
        return done

    def _is_beyond(self, value: float) -> bool:
        """Whether a value speaks for the other state."""
        threshold, opposite = (self.off, self.on) if self.is_on else (self.on, self.off)
        return value >= threshold if threshold > opposite else value <= threshold
