"""Keeps the link log while the daemon runs: connections as they begin and end, sums of each hour.

    Link ── up, down ──▶ LinkLog ── every 10 min, and after each change ──▶ Store.ride ──▶ records.db
    counters of links and sessions ──▶ what has come to them since

Nothing is written for its own sake: it rides in the next transaction, which the sealing of a minute makes at the
latest. Moments are kept by the monotonic clock until the wall clock is plausible; before that there is no run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from sqlite3 import Connection
from typing import Protocol

from edge.clock import Clock, plausible
from edge.store import links
from edge.store.errors import StoreClosed
from edge.store.links import Connected, Sums
from edge.store.store import Store
from edge.uplink.health import Health
from edge.uplink.link import Link
from edge.values import HOUR_MS

EVERY_S = 600.0
MOST_CHANGES = 1_000
"""Connections that wait for a disk that refuses them; of more the oldest are forgotten."""


class HasHealth(Protocol):
    """A session, for its counters."""

    health: Health


@dataclass(slots=True)
class _Open:
    """A connection as it is known by the monotonic clock; `kept`: as it was handed to the store last."""

    link: str
    address: str
    peer: str
    began_s: float
    ended_s: float | None = None
    cause: str | None = None
    detail: str | None = None
    began_ms: int | None = None


class LinkLog:
    """The log of all links of a logger."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._started_s = clock.mono_s()
        self._watched: dict[str, tuple[Link, Sequence[HasHealth]]] = {}
        self._counted: dict[str, Sums] = {}
        self._sums: dict[str, Sums] = {}
        self._open: dict[str, _Open] = {}
        self._changed: list[_Open] = []
        self._hour: int | None = None
        self._riding: Future[None] | None = None
        self._due_s = 0.0
        self._begun = False

    def watch(self, link: Link, sessions: Sequence[HasHealth]) -> None:
        """Keep this link's log."""
        self._watched[link.name] = link, sessions

    def up(self, link: Link) -> None:
        """A connection has begun."""
        one = _Open(link.name, link.address, link.peer, self._clock.mono_s())
        self._open[link.name] = one
        self._changed.append(one)
        del self._changed[:-MOST_CHANGES]

    def down(self, link: Link, cause: str, detail: str) -> None:
        """It has ended."""
        one = self._open.pop(link.name, None)
        if one is None:
            return
        one.ended_s, one.cause, one.detail = self._clock.mono_s(), cause, detail or None
        if one not in self._changed:
            self._changed.append(one)

    async def begin(self) -> None:
        """The run begins, before anything is sent: what the one before left open is closed."""
        now_ms = self._clock.wall_ms()
        if not self._begun and plausible(now_ms):
            await self._store.do(links.begin, self._wall(self._started_s), now_ms)
            self._begun = True

    async def look(self) -> None:
        """From time to time: whether there is something for the store."""
        now_ms, now_s = self._clock.wall_ms(), self._clock.mono_s()
        if not plausible(now_ms):
            return
        await self.begin()
        hour = now_ms // HOUR_MS * HOUR_MS
        if not (self._changed or now_s >= self._due_s or hour != self._hour):
            return
        if self._riding is None:
            self._ride(hour if self._hour is None else self._hour, now_ms)
            self._hour, self._due_s = hour, now_s + EVERY_S

    async def close(self) -> None:
        """The daemon stops: what is left is written now."""
        now_ms = self._clock.wall_ms()
        if self._begun and plausible(now_ms):
            self._count()
            rows, sums = [self._row(one) for one in self._changed], self._sums
            await self._store.do(_keep_and_end, now_ms // HOUR_MS * HOUR_MS, rows, sums, now_ms)

    def _ride(self, hour: int, now_ms: int) -> None:
        self._count()
        changed, self._changed = self._changed, []
        sums, self._sums = self._sums, {}
        rows = [self._row(one) for one in changed]
        loop = asyncio.get_running_loop()
        try:
            self._riding = self._store.ride(links.keep, hour, rows, sums, now_ms)
        except StoreClosed:
            return
        self._riding.add_done_callback(lambda done: loop.call_soon_threadsafe(self._rode, done, changed, sums))

    def _rode(self, done: Future[None], changed: list[_Open], sums: dict[str, Sums]) -> None:
        self._riding = None
        if done.cancelled() or done.exception() is not None:  # the disk refused it: with the next one
            self._changed = [*(one for one in changed if one not in self._changed), *self._changed][-MOST_CHANGES:]
            self._sums = _merged(sums, self._sums)

    def _count(self) -> None:
        """Take over what has come to the counters."""
        for name, (link, sessions) in self._watched.items():
            now = _counters(link, sessions)
            first, more = name not in self._counted, now.since(self._counted.get(name, Sums()))
            self._counted[name] = replace(now, longest_ms=0)
            if first or more != Sums():  # the first time also nothing: a link that never comes up is to be seen
                self._sums[name] = self._sums.get(name, Sums()) + more

    def _row(self, one: _Open) -> Connected:
        if one.began_ms is None:
            one.began_ms = self._wall(one.began_s)
        ended = None if one.ended_s is None else max(one.began_ms, self._wall(one.ended_s))
        return Connected(one.link, one.began_ms, one.address, one.peer, ended, one.cause, one.detail)

    def _wall(self, mono_s: float) -> int:
        """The wall time of a moment, by today's clock."""
        return self._clock.wall_ms() - round((self._clock.mono_s() - mono_s) * 1000)


def _counters(link: Link, sessions: Sequence[HasHealth]) -> Sums:
    """All that a link and its sessions have counted since the start."""
    healths = [session.health for session in sessions]

    def total(of: Callable[[Health], int]) -> int:
        return sum(map(of, healths))

    return Sums(
        bytes_in=link.bytes_in,
        bytes_out=link.bytes_out,
        sent=total(lambda health: health.sent),
        resent=total(lambda health: health.resent),
        answered=total(lambda health: health.answered),
        trips=total(lambda health: health.trips),
        trips_ms=total(lambda health: health.trips_ms),
        longest_ms=max((health.take_longest() for health in healths), default=0),
        failures=link.failures,
    )


def _merged(one: dict[str, Sums], other: dict[str, Sums]) -> dict[str, Sums]:
    return {name: one.get(name, Sums()) + other.get(name, Sums()) for name in {**one, **other}}


def _keep_and_end(db: Connection, hour: int, rows: list[Connected], sums: dict[str, Sums], now_ms: int) -> None:
    links.keep(db, hour, rows, sums, now_ms)
    links.end(db, now_ms)
