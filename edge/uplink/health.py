"""How a platform behaves towards one outlet: what `status` says, and which kinds of upload it never answers."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

SILENT_AFTER = 3
"""Packets of a kind given up in a row after which the kind is silent: sent once instead of `retries` times."""
LOOKS, LOOK_S = 11, 30.0
"""How often and how far apart answers are counted for the rate: five minutes."""


@dataclass(slots=True)
class Health:
    """Counters of one session since the daemon started."""

    sent: int = 0
    resent: int = 0
    answered: int = 0
    last_answer: int | None = None
    last_received: int | None = None
    misses: dict[str, int] = field(default_factory=dict)
    """Packets given up in a row, by CN."""
    damaged: int = 0
    """Commands whose check code was wrong."""
    trips: int = 0
    """Round trips measured: of packets that were written once."""
    trips_ms: int = 0
    """All of them together."""
    longest_ms: int = 0
    """Since it was last taken (`take_longest`)."""
    last_trip_ms: int | None = None
    unheard: int = 0
    """Packets in a row during which nothing at all arrived."""
    looks: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=LOOKS))
    """When the answers were last counted, monotonic seconds, and how many there were."""

    def look(self, now_s: float) -> None:
        """Count the answers, at most every LOOK_S."""
        if not self.looks or now_s - self.looks[-1][0] >= LOOK_S:
            self.looks.append((now_s, self.answered))

    def per_minute(self) -> float | None:
        """Deliveries answered a minute, over the last LOOKS × LOOK_S; None: not long enough at work."""
        if len(self.looks) < 2:
            return None
        (first_s, first), (last_s, last) = self.looks[0], self.looks[-1]
        return (last - first) * 60 / (last_s - first_s)

    def trip(self, seconds: float) -> None:
        """A packet was answered so long after its only writing."""
        ms = max(0, round(seconds * 1000))
        self.trips += 1
        self.trips_ms += ms
        self.longest_ms = max(self.longest_ms, ms)
        self.last_trip_ms = ms

    def take_longest(self) -> int:
        """The longest round trip since the last call, ms."""
        longest, self.longest_ms = self.longest_ms, 0
        return longest

    def missed(self, cn: str) -> bool:
        """A packet got no answer; whether its kind has just become silent."""
        self.misses[cn] = self.misses.get(cn, 0) + 1
        self.unheard += 1
        return self.misses[cn] == SILENT_AFTER

    def is_silent(self, cn: str) -> bool:
        """Whether the platform does not answer this CN."""
        return self.misses.get(cn, 0) >= SILENT_AFTER

    def silent_kinds(self) -> list[str]:
        """CNs that the platform does not answer."""
        return sorted(cn for cn in self.misses if self.is_silent(cn))
