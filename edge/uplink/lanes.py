"""What a session sends next: live data first, then the backlog, oldest first and rate limited.

offer, offer_fleeting ─▶ live ────┐  prepare (QN and bytes committed)
outbox ─ pages of 100 ─▶ backlog ─┼──▶ ready ─▶ next
data asked for ─ pages ─▶ asked ──┘                       backlog and asked take turns

A realtime or state upload is fleeting: the next one takes its place. What the disk refuses stays where it was and is
tried again. Kinds that the platform never answers leave the backlog to the others but for a probe now and then; events
(3015, 3019, 3020) of such a kind leave them the live lane as well.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from sqlite3 import Connection
from typing import Any

from edge.catalogue import explain
from edge.clock import Clock
from edge.store import outbox
from edge.store.errors import StoreFailed
from edge.store.outbox import Due, OpenPacket
from edge.store.store import Store
from edge.uplink.build import Broken, Builder, Prepared
from edge.uplink.history import TIMEOUT, Asked, build_page
from edge.uplink.kinds import BACKLOG, EVENTS, kept
from edge.uplink.spread import Held, delay_ms, to_hold
from edge.uplink.terms import Terms
from protocol.region import Body

PAGE = 100
"""Deliveries of the backlog in memory at once."""
BACKLOG_PAUSE_S = 30.0
"""How often an empty backlog is looked at again."""
PROBE_S = 60.0
"""How often one delivery of each kind that is never answered is tried all the same."""
EXPIRED_BATCH = 60
"""Fleeting uploads that expired unsent are counted in the store by this many at once."""
UNKEPT_LIMIT = 2_000
"""Uploads to be kept that wait in memory while the disk refuses them: more than a day at one a minute."""
_ALL = 1 << 62
Enqueue = Callable[..., list[int]]
"""Makes deliveries in the transaction in which their packets are made: `(db, now_ms=…)` → their numbers."""


@dataclass(slots=True)
class Outgoing:
    """A packet that is ready or in flight."""

    packet: OpenPacket
    cn: str
    backlog: bool
    written_ms: int = 0
    written_s: float = 0.0
    """Monotonic."""
    writings: int = 0
    asked: Asked | None = None
    """The request that it belongs to; None: a delivery of the outbox."""


@dataclass(frozen=True, slots=True)
class Fleeting:
    """The newest realtime or state upload."""

    start: int
    body: Body


class Lanes:
    """The lanes of one platform and outlet.

    `busy(delivery)`: it is in flight or its answer is being committed; `silent()`: CNs that the platform never answers;
    `wake` is set when there is something new to send.
    """

    def __init__(
        self,
        terms: Terms,
        store: Store,
        clock: Clock,
        builder: Builder,
        on_event: Callable[[str, dict[str, Any]], None],
        wake: asyncio.Event,
        busy: Callable[[int], bool],
        silent: Callable[[], Collection[str]],
    ) -> None:
        self._terms = terms
        self._key = terms.platform, terms.outlet
        self._store = store
        self._clock = clock
        self._builder = builder
        self._on_event = on_event
        self._wake = wake
        self._busy = busy
        self._silent = silent
        self._live: deque[int] = deque()
        self._backlog: deque[int] = deque()
        self._ready_live: deque[Outgoing] = deque()
        self._ready_backlog: deque[Outgoing] = deque()
        self._fleeting: dict[str, Fleeting] = {}
        self._kept_next = False
        self._newest: dict[str, int] = {}
        self._issued: set[str] = set()
        self._expired: Counter[str] = Counter()
        self._unkept: list[Due] = []
        self._fresh_from_ms = 0
        self._look_at = 0.0
        self._turn_at = 0.0
        self._probe_at = 0.0
        self._after: tuple[int, int] | None = None
        self._asked: Asked | None = None
        self._asked_next = True
        self.spreading = Held()
        """Live deliveries that are held back for their turn after the whole hour."""

    # filling

    def open(self, fresh_from_ms: int) -> None:
        """A link is up; packets made before `fresh_from_ms` are stale."""
        self._fresh_from_ms = fresh_from_ms
        self.look_again()

    def close(self) -> None:
        """The link is down: all that waited is in the outbox; the newest fleeting uploads wait for the next link."""
        for lane in (self._live, self._ready_live, self._ready_backlog):
            lane.clear()
        self.spreading.clear()
        if self._asked is not None:
            self._asked.end(TIMEOUT)
            self._asked = None

    def ask(self, asked: Asked) -> bool:
        """Send what a platform asks for; False: it has asked before and that is not ended yet, or it is held."""
        if self._terms.held:
            return False
        if self._asked is not None and not self._asked.ended.done():
            return False
        self._asked = asked
        self._wake.set()
        return True

    def offer(self, ids: Iterable[int]) -> None:
        """Deliveries that were just committed."""
        self._live.extend(ids)
        self._wake.set()

    async def offer_fleeting(self, cn: str, start: int, body: Body, *more: tuple[str, Body], linked: bool) -> None:
        """The newest upload of its kind; kept, where the platform's `backfill` names it, else instead of the last.

        `more`: others of the same moment, by CN, so that one commit takes all.
        """
        items = {each: Fleeting(start, text) for each, text in ((cn, body), *more)}
        fleeting = {each for each in items if not kept(each, self._terms.site.backfill)}
        if fleeting:
            await self._replace({each: item for each, item in items.items() if each in fleeting})
        if len(fleeting) < len(items):
            self._unkept += [self._due(each, item) for each, item in items.items() if each not in fleeting]
            await self._keep(linked)

    async def _replace(self, items: dict[str, Fleeting]) -> None:
        self._expired.update(items.keys() & self._fleeting.keys())
        self._fleeting |= items
        self._newest |= {cn: item.start for cn, item in items.items()}
        self._wake.set()
        if items.keys() & self._issued or self._expired.total() >= EXPIRED_BATCH:
            await self.flush_expired()

    async def flush_expired(self) -> None:
        """Tell the store which fleeting uploads have expired; those never issued in batches, to spare flash."""
        count, self._expired = self._expired, Counter()
        issued, self._issued = self._issued, set()
        before = {cn: self._newest[cn] for cn in issued}
        try:
            await self._store.do(_expire, self._key, before, count)
        except StoreFailed as error:
            self._expired += count
            self._issued |= issued
            self._on_event("edge.store-failed", {"why": explain(error)})

    async def _keep(self, linked: bool) -> None:
        """Commit what waits in memory; refused by the disk, it waits for the next one."""
        batch = list(self._unkept)
        try:
            ids = await self._store.do(outbox.enqueue, batch, self._clock.wall_ms())
        except StoreFailed as error:
            self._expired.update(due.cn for due in self._unkept[:-UNKEPT_LIMIT])
            self._unkept = self._unkept[-UNKEPT_LIMIT:]
            self._on_event("edge.store-failed", {"why": explain(error)})
            return
        del self._unkept[: len(batch)]
        if linked:
            self.offer(ids)

    def look_again(self) -> None:
        """The backlog from its beginning, at once."""
        self._backlog.clear()
        self._after = None
        self._look_at = 0.0
        self._wake.set()

    def holds(self, out: Outgoing) -> bool:
        """Whether a packet may still be sent: its header is the one in force."""
        return self._builder.holds(out.packet)

    def give_back(self, out: Outgoing) -> None:
        """A packet whose header no longer holds: its delivery is issued anew."""
        lane = self._backlog if out.backlog else self._live
        if out.packet.delivery not in lane:
            lane.appendleft(out.packet.delivery)

    # taking

    def live_waits(self) -> bool:
        """Whether live data wait to be sent."""
        return bool(self._live or self._ready_live or self._fleeting)

    def due_at(self) -> float:
        """When the backlog wants its next turn, monotonic seconds."""
        if self._terms.held:
            return math.inf
        waiting = self._ready_backlog or self._backlog or (self._asked is not None and self._asked.waits)
        turn_at = self._turn_at if waiting else max(self._look_at, self._turn_at)
        held_at = self.spreading.next_s()
        return turn_at if held_at is None else min(turn_at, held_at)

    async def next(self, room: int) -> Outgoing | None:
        """The packet to write now; None: nothing, or not yet. Raises StoreFailed, with everything as before."""
        if self._terms.held:
            return None
        self._live.extend(self.spreading.due(self._clock.mono_s()))
        while self.live_waits():
            out = self._pop(self._ready_live)
            if out is not None:
                return out
            await self._prepare_live(room)
        now = self._clock.mono_s()
        if now < self._turn_at:
            return None
        takers = (self._next_asked, self._next_backlog)
        out = None
        for take in takers if self._asked_next else takers[::-1]:
            out = out or await take(now, room)
        if out is not None:
            self._asked_next = out.asked is None
            if self._terms.site.backfill_rate:
                self._turn_at = now + 1 / self._terms.site.backfill_rate
        return out

    async def _next_backlog(self, now: float, room: int) -> Outgoing | None:
        out = self._pop(self._ready_backlog)
        if out is None:
            await self._prepare_backlog(now, room)
            out = None if self.live_waits() else self._pop(self._ready_backlog)
        return out

    async def _next_asked(self, now: float, room: int) -> Outgoing | None:
        """A packet of the data asked for; its pages are as large as what may be sent now."""
        asked = self._asked
        if asked is None or not asked.waits:
            return None
        while not asked.ready and asked.place is not None and not self.live_waits():
            page = await self._store.do(build_page, self._builder, asked, max(1, room), self._clock.wall_ms())
            packets, asked.place, broken = page
            asked.ready.extend(packets)
            for why in broken:
                self._on_event("edge.unbuildable", {"platform": self._terms.platform, "delivery": asked.cn, "why": why})
        if asked.ready and not self.live_waits():
            return Outgoing(asked.ready.popleft(), asked.cn, backlog=True, asked=asked)
        asked.settle()
        return None

    def _pop(self, ready: deque[Outgoing]) -> Outgoing | None:
        while ready:
            out = ready.popleft()
            if self.holds(out):
                return out
            self.give_back(out)
        return None

    async def _prepare_live(self, room: int) -> None:
        """Fleeting uploads first; of kinds never answered not twice in a row: they would take the window for ever."""
        yields = self._kept_next and self._live and self._fleeting.keys() & set(self._silent())
        self._kept_next = bool(self._fleeting) and not yields
        if self._kept_next:
            self._ready_live.extend(await self._prepare_fleeting())
            return
        ids = list(islice(self._live, max(1, room)))
        if not ids:
            return
        await self._hold(ids)
        now = [each for each in ids if each not in self.spreading]
        ready = await self._prepare(now, backlog=False) if now else []
        mute = EVENTS.intersection(self._silent())
        self._ready_live.extend(out for out in ready if out.cn not in mute)  # the others are left to the probe
        for _ in ids:
            self._live.popleft()

    async def _hold(self, ids: list[int]) -> None:
        """Keep back what the platform wants spread over the time after the whole hour."""
        delay = delay_ms(self._terms.platform, self._terms.mn, self._terms.site.spread)
        if not delay:
            return
        waits = await self._store.do(to_hold, ids, delay, self._clock.wall_ms())
        for wait_ms, delivery in waits:
            self.spreading.hold(self._clock.mono_s() + wait_ms / 1000, delivery)

    async def _prepare_fleeting(self) -> list[Outgoing]:
        """Their deliveries and their packets are one commit: it comes at every tick, and flash wears."""
        items, self._fleeting = self._fleeting, {}
        self._issued |= items.keys()
        dues = [self._due(cn, item) for cn, item in items.items()]
        try:
            return await self._prepare(partial(_enqueue_fleeting, key=self._key, dues=dues), backlog=False)
        except (StoreFailed, asyncio.CancelledError):
            self._expired.update(items.keys() & self._fleeting.keys())
            self._fleeting = items | self._fleeting
            raise

    async def _prepare_backlog(self, now: float, room: int) -> None:
        if not self._backlog and now >= self._look_at:
            self._backlog.extend(await self._page(now))
        wanted = max(1, room, self._terms.site.window)
        taken = list(islice(self._backlog, wanted))
        ids = [each for each in taken if each not in self._live and each not in self.spreading and not self._busy(each)]
        ready = await self._prepare(ids, backlog=True) if ids else []
        for _ in taken[: len(self._backlog)]:
            self._backlog.popleft()
        self._ready_backlog.extend(ready)

    async def _page(self, now: float) -> list[int]:
        """The next page of open deliveries that may be tried now, oldest first, with a probe of each silent kind."""
        silent = self._silent()
        now_ms = self._clock.wall_ms()
        loud = [cn for cn in BACKLOG if cn not in silent]
        found = await self._store.do(outbox.open_deliveries, *self._key, PAGE, self._after, loud, now_ms)
        self._after = found[-1].cursor if found else None
        if not found:
            self._look_at = now + BACKLOG_PAUSE_S
        if silent and now >= self._probe_at:
            self._probe_at = now + PROBE_S
            for cn in silent:
                found = await self._store.do(outbox.open_deliveries, *self._key, 1, None, [cn], now_ms) + found
        return [delivery.id for delivery in found]

    async def _prepare(self, ids: list[int] | Enqueue, *, backlog: bool) -> list[Outgoing]:
        """Packets of these deliveries, committed: QN and bytes are on disk before the first byte leaves."""
        prepare, fresh_from_ms, now_ms = self._builder.prepare, self._fresh_from_ms, self._clock.wall_ms()

        def job(db: Connection) -> tuple[list[Prepared], list[Broken]]:
            return prepare(db, ids if isinstance(ids, list) else ids(db, now_ms=now_ms), fresh_from_ms, now_ms)

        prepared, broken = await self._store.do(job)
        for each in broken:
            self._on_event("edge.unbuildable", {"platform": self._terms.platform, "delivery": each.id, "why": each.why})
        return [Outgoing(one.packet, one.cn, backlog) for one in prepared]

    def _due(self, cn: str, item: Fleeting) -> Due:
        keep = kept(cn, self._terms.site.backfill)
        edition = self._terms.site.edition
        return Due(*self._key, cn, item.start, kept=keep, payload=item.body.encode(), edition=edition)


def _enqueue_fleeting(db: Connection, *, key: tuple[str, str], dues: list[Due], now_ms: int) -> list[int]:
    """New fleeting uploads end the open ones of their kinds, also those of before a restart or a clock step."""
    for due in dues:
        outbox.expire(db, *key, due.cn, _ALL)
    return outbox.enqueue(db, dues, now_ms)


def _expire(db: Connection, key: tuple[str, str], before: dict[str, int], unissued: Counter[str]) -> None:
    """One transaction for all fleeting uploads of a session."""
    for cn, start in before.items():
        outbox.expire(db, *key, cn, start)
    for cn, count in unissued.items():
        outbox.count_expired(db, *key, cn, count)
