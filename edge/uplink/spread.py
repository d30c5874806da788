"""Spreading the whole-hour burst: all loggers of a city have hour data at the same second, and a platform chokes on it.

    hour 08:00 sealed 09:00:02 ─▶ held until 09:00:00 + delay ─▶ live lane        delay: of platform and MN, fixed

Held are hour and day data and the minute data that end at a whole hour; never realtime. The delay comes from a hash, so
that it is the same every hour and another for each logger. What is held stands in the outbox: a restart, or a link that
was down, sends it as backlog.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from hashlib import sha256
from heapq import heappop, heappush

from edge.store import outbox
from edge.store.delivery import RECORD_KINDS
from edge.store.outbox import Delivery
from edge.values import HOUR_MS


def delay_ms(platform: str, mn: str, spread_ms: int) -> int:
    """How long after the whole hour the data of a platform and MN are sent: below `spread_ms`, always the same."""
    number = int.from_bytes(sha256(f"{platform} {mn}".encode()).digest()[:8], "big")
    return number % spread_ms if spread_ms else 0


def held_until(delivery: Delivery, delay: int) -> int | None:
    """When a delivery may be sent, UTC ms; None: it is none of the burst."""
    kind = RECORD_KINDS.get(delivery.cn)
    if kind is None:
        return None
    end = delivery.end if delivery.end is not None else delivery.start + kind.ms
    return None if end % HOUR_MS else end + delay


def to_hold(db: sqlite3.Connection, ids: Sequence[int], delay: int, now_ms: int) -> list[tuple[int, int]]:
    """(ms to wait, delivery) for those that must wait, never longer than the delay: a clock may have been set back."""
    found = []
    for each in ids:
        delivery = outbox.by_id(db, each)
        until = held_until(delivery, delay) if delivery is not None else None
        if until is not None and 0 < until - now_ms <= delay:
            found.append((until - now_ms, each))
    return found


class Held:
    """The deliveries of one session that wait for their turn, by monotonic seconds."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int]] = []
        self._ids: set[int] = set()

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, delivery: int) -> bool:
        return delivery in self._ids

    def hold(self, until_s: float, delivery: int) -> None:
        """Keep a delivery back."""
        if delivery not in self._ids:
            self._ids.add(delivery)
            heappush(self._due, (until_s, delivery))

    def due(self, now_s: float) -> list[int]:
        """Those whose turn has come, which are no longer held."""
        found = []
        while self._due and self._due[0][0] <= now_s:
            found.append(heappop(self._due)[1])
        self._ids.difference_update(found)
        return found

    def next_s(self) -> float | None:
        """When the next one is due."""
        return self._due[0][0] if self._due else None

    def clear(self) -> None:
        """Forget all: the outbox has them."""
        self._due.clear()
        self._ids.clear()
