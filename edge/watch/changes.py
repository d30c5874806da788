"""What changed, and what is to be looked at next; no I/O, no clock.

value seen ─▶ as it was known? ─ yes ─▶ nothing
                     └ no ─▶ for `hold_ms` at least? ─ yes ─▶ Change, from when it was first seen
Pace: each value in its own turn; one that could not be read is asked for less and less often
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edge.values import Change, InfoKey, Known

FIRST_WAIT_S, LONGEST_WAIT_S = 60.0, 600.0
"""What cannot be read is tried again after twice the first, or twice its own pace where that is quicker, then after
twice as long each time, up to the longest."""


class Changes:
    """The last known values, and what a value that is seen changes about them."""

    def __init__(self, known: Mapping[InfoKey, Known]) -> None:
        self._known = dict(known)
        self._new: dict[InfoKey, Known] = {}

    def value(self, key: InfoKey) -> Known | None:
        """What was seen last."""
        return self._known.get(key)

    def seen(
        self, key: InfoKey, value: str, at_ms: int, *, usual: str | None = None, hold_ms: int = 0
    ) -> Change | None:
        """A value was seen: the change, which counts as known from now on.

        `usual`: what it is while nobody has seen it; `hold_ms`: how long it must stay before it counts.
        """
        known = self._known.get(key)
        before = usual if known is None else known.value
        if value == before:
            self._new.pop(key, None)
            return None
        new = self._new.get(key)
        if new is None or new.value != value:
            new = self._new[key] = Known(value, at_ms)
        if at_ms - new.since < hold_ms:
            return None
        self._known[key] = self._new.pop(key)
        return Change(key, before, value, new.since)

    def __iter__(self) -> Iterator[tuple[InfoKey, Known]]:
        return iter(self._known.items())


@dataclass(slots=True)
class _Turn:
    every_s: float
    due_s: float
    failures: int = 0


class Pace:
    """When each of the values of one line is to be read, monotonic seconds; all of them at the beginning."""

    def __init__(self, every_s: Mapping[InfoKey, float], now_s: float) -> None:
        self._turns = {key: _Turn(every, now_s) for key, every in every_s.items()}

    def next(self, now_s: float) -> InfoKey | None:
        """The one that has been due for longest; None: none is."""
        key = min(self._turns, key=lambda each: self._turns[each].due_s, default=None)
        return key if key is not None and self._turns[key].due_s <= now_s else None

    def wait_s(self, now_s: float) -> float:
        """How long none is due."""
        return max(0.0, min((turn.due_s for turn in self._turns.values()), default=now_s) - now_s)

    def at_once(self, key: InfoKey, now_s: float) -> None:
        """It is to be read now."""
        turn = self._turns[key]
        turn.due_s, turn.failures = now_s, 0

    def looked(self, key: InfoKey, began_s: float, *, answered: bool) -> None:
        """It was asked for; its next turn, unless it was wanted at once meanwhile."""
        turn = self._turns[key]
        turn.failures = 0 if answered else turn.failures + 1
        if turn.due_s <= began_s:
            again_s = min(turn.every_s, FIRST_WAIT_S) * 2.0 ** min(turn.failures, 16)
            turn.due_s = began_s + (turn.every_s if answered else min(again_s, LONGEST_WAIT_S))
