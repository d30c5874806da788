"""One platform and one MN: what is sent next, and what an answer means.

    lanes, first to last     answers to commands · live · history and backfill (oldest first, rate limited)
    on disk before the wire  prepare (QN and bytes committed) ─▶ write ─▶ answer ─▶ committed ─▶ delivered

An unanswered packet is resent `retries` times and then stays in the outbox while the lane goes on. A late answer, on any
link, still delivers: it is matched by QN against everything ever sent.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from edge.logs import get_logger

from edge.clock import Clock, plausible
from edge.store import outbox
from edge.store.errors import StoreFailed
from edge.store.outbox import Answer, Due, OpenPacket
from edge.store.store import Store
from edge.uplink.build import Builder
from edge.uplink.kinds import KIND_OF_CN, kept
from edge.uplink.link import Link, LinkDown
from edge.uplink.terms import Terms
from protocol.exchange import Exchange, GaveUp, Resend
from protocol.messages import asked_qn, refusal
from protocol.packet import Packet
from protocol.region import Region, write
from protocol.times import parse_time

ANSWERS = frozenset({"9013", "9014"})
PAGE = 100
"""Deliveries of the backlog in memory at once."""
BACKLOG_PAUSE_S = 30.0
"""How often an empty backlog is looked at again."""
SILENT_AFTER = 3
"""Packets of a kind given up in a row after which the kind is sent once instead of `retries` times."""
DRAIN_STEP_S = 0.05
STORE_RETRY_S = 5.0
EXPIRED_BATCH = 60
"""Fleeting uploads that expired unsent are counted in the store by this many at once."""


@dataclass(slots=True)
class Outgoing:
    """A packet that is ready or in flight."""

    packet: OpenPacket
    cn: str
    start: int
    backlog: bool
    written_ms: int = 0


@dataclass(slots=True)
class Fleeting:
    """The newest realtime or state upload: replaced by the next, never queued."""

    cn: str
    start: int
    region: Region


@dataclass(slots=True)
class Health:
    """What `status` says of a session."""

    sent: int = 0
    resent: int = 0
    answered: int = 0
    last_answer: int | None = None
    last_received: int | None = None
    misses: dict[str, int] = field(default_factory=dict)
    """Packets given up in a row, by CN."""
    unheard: int = 0
    """Packets in a row during which nothing at all arrived."""

    def silent_kinds(self) -> list[str]:
        """CNs that the platform does not answer."""
        return sorted(cn for cn, misses in self.misses.items() if misses >= SILENT_AFTER)


class Session:
    """Sends one outlet's data to one platform and takes its answers and commands."""

    def __init__(
        self,
        terms: Terms,
        store: Store,
        clock: Clock,
        builder: Builder,
        handle: Callable[[Packet, Session], Awaitable[None]],
        on_event: Callable[[str, dict[str, Any]], None],
        on_packet: Callable[[Terms, bool, bytes], None],
    ) -> None:
        self.terms = terms
        self.mn = terms.mn
        self.health = Health()
        self.exchange = Exchange(terms.timeout_s, terms.retries, terms.site.window)
        self._store = store
        self._clock = clock
        self._builder = builder
        self._handle = handle
        self._on_event = on_event
        self._on_packet = on_packet
        self._link: Link | None = None
        self._wake = asyncio.Event()
        self._live: deque[int] = deque()
        self._ready_live: deque[Outgoing] = deque()
        self._ready_backlog: deque[Outgoing] = deque()
        self._backlog: deque[int] = deque()
        self._backlog_look_at = 0.0
        self._backlog_next_at = 0.0
        self._backlog_after: tuple[int, int] | None = None
        self._fleeting: dict[str, Fleeting] = {}
        self._flying: dict[str, Outgoing] = {}
        self._issued: set[str] = set()
        self._expired = 0
        self._fresh_from_ms = 0
        self._inbox: asyncio.Queue[Packet] = asyncio.Queue(maxsize=64)
        self._jobs: set[asyncio.Task[None]] = set()
        self._log = get_logger("session", platform=terms.platform, outlet=terms.outlet)

    # what the rest of the daemon says

    @property
    def link(self) -> Link | None:
        """The link in use; None while there is none."""
        return self._link

    def offer(self, delivery_ids: list[int]) -> None:
        """Deliveries just committed: they are live while the link is up, else they wait in the outbox."""
        if self._link is not None:
            self._live.extend(delivery_ids)
            self._wake.set()

    async def offer_fleeting(self, cn: str, start: int, region: Region) -> None:
        """The newest realtime or state upload; one that was not delivered before it has expired."""
        if kept(cn, self.terms.site.backfill):
            self.offer(await self._store.do(outbox.enqueue, [self._fleeting_due(cn, start, region)], self._clock.wall_ms()))
            return
        self._expired += cn in self._fleeting
        for qn in [qn for qn, out in self._flying.items() if out.cn == cn]:
            self.exchange.drop(qn)
            del self._flying[qn]
            self._missed(cn)
        if cn in self._issued or self._expired >= EXPIRED_BATCH:
            await self.flush_expired()
        self._fleeting[cn] = Fleeting(cn, start, region)
        self._wake.set()

    async def flush_expired(self) -> None:
        """Tell the store which fleeting uploads have expired; those never issued in batches, to spare flash."""
        now_ms = self._clock.wall_ms()
        count, self._expired = self._expired, 0
        issued, self._issued = self._issued, set()
        key = self.terms.platform, self.terms.outlet
        await self._store.do(_expire, key, issued, now_ms, count)

    def terms_changed(self) -> None:
        """Time-out, retries or password were set."""
        self.exchange.timeout_s = self.terms.timeout_s
        self.exchange.retries = self.terms.retries
        self._wake.set()

    # what the link says

    def received(self, packet: Packet, frame: bytes, link: Link) -> bool:
        """A packet from the platform; answers are matched by QN, all else is a command."""
        self._on_packet(self.terms, True, frame)
        self.health.last_received = self._clock.wall_ms()
        self.health.unheard = 0
        if packet.cn in ANSWERS or (packet.cn == "9011" and packet.qn in self._flying):
            return self._take_answer(packet, frame, link)
        if packet.cn in {"9011", "9012"}:
            return False
        if self._inbox.full():
            self._on_event("edge.commands-flood", {"platform": self.terms.platform, "cn": packet.cn or ""})
        else:
            self._inbox.put_nowait(packet)
        return True

    async def pump(self, link: Link) -> None:
        """Send while the link is up."""
        self._link = link
        self._fresh_from_ms = self._clock.wall_ms() - self.terms.site.reissue_after
        self.health.unheard = 0
        self._forget_backlog()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._command_loop(), name=f"commands[{self.terms.platform}/{self.terms.outlet}]")
                group.create_task(self._send_loop(link), name=f"send[{self.terms.platform}/{self.terms.outlet}]")
        finally:
            self._link = None
            self.exchange.clear()
            self._flying.clear()
            self._live.clear()
            self._ready_live.clear()
            self._ready_backlog.clear()

    # sending

    async def _command_loop(self) -> None:
        while True:
            await self._handle(await self._inbox.get(), self)

    async def _send_loop(self, link: Link) -> None:
        while True:
            self._wake.clear()
            try:
                await self._due(link)
                await self._fill(link)
            except StoreFailed as error:
                self._on_event("edge.store-failed", {"why": str(error)})
                await self._clock.sleep(STORE_RETRY_S)
            await self._sleep()

    async def _fill(self, link: Link) -> None:
        """As many packets as the window takes."""
        while self.exchange.room() > 0:
            out = await self._next()
            if out is None:
                return
            await self._send(link, out)

    async def _due(self, link: Link) -> None:
        """Resend what timed out; give up what was resent often enough."""
        for step in self.exchange.poll(self._clock.mono_s()):
            out = self._flying.get(step.qn)
            if isinstance(step, Resend) and out is not None and not self._yields(out):
                self.health.resent += 1
                out.written_ms = self._clock.wall_ms()
                await self._write(link, step.data)
            elif isinstance(step, GaveUp) or out is not None:
                self.exchange.drop(step.qn)
                await self._give_up(step.qn, link)

    def _yields(self, out: Outgoing) -> bool:
        """Backlog that was not answered at once makes room when live packets wait."""
        return out.backlog and bool(self._live or self._ready_live or self._fleeting)

    async def _give_up(self, qn: str, link: Link) -> None:
        out = self._flying.pop(qn, None)
        if out is None:
            return
        self._missed(out.cn)
        await self._store.do(outbox.gave_up, out.packet.delivery, self._clock.wall_ms())
        if self.terms.site.no_answer == "close" and self.health.unheard >= SILENT_AFTER:
            raise LinkDown("no answer")

    def _missed(self, cn: str) -> None:
        self.health.misses[cn] = self.health.misses.get(cn, 0) + 1
        self.health.unheard += 1
        if self.health.misses[cn] == SILENT_AFTER:
            self._on_event("edge.kind-unanswered", {"platform": self.terms.platform, "cn": cn})

    async def _next(self) -> Outgoing | None:
        while (self._live or self._fleeting) and not self._ready_live:
            await self._ready_from_live()
        if self._ready_live:
            return self._ready_live.popleft()
        now = self._clock.mono_s()
        if now < self._backlog_next_at:
            return None
        if not self._ready_backlog:
            await self._ready_from_backlog(now)
        if not self._ready_backlog or self._live or self._fleeting:
            return None
        if self.terms.site.backfill_rate:
            self._backlog_next_at = now + 1 / self.terms.site.backfill_rate
        return self._ready_backlog.popleft()

    async def _ready_from_live(self) -> None:
        now_ms = self._clock.wall_ms()
        for cn in list(self._fleeting):
            item = self._fleeting.pop(cn)
            due = self._fleeting_due(cn, item.start, item.region)
            ids = await self._store.do(outbox.enqueue, [due], now_ms)
            self._issued.add(cn)
            self._live.extendleft(ids)
        ids = list[int]()
        while self._live and len(ids) < max(1, self.exchange.room()):
            ids.append(self._live.popleft())
        if ids:
            self._ready_live.extend(await self._prepare(ids, backlog=False))

    async def _ready_from_backlog(self, now: float) -> None:
        if not self._backlog and now >= self._backlog_look_at:
            page = await self._page()
            self._backlog.extend(page)
            if not page:
                self._backlog_look_at = now + BACKLOG_PAUSE_S
        ids = list[int]()
        while self._backlog and len(ids) < max(1, self.exchange.room()):
            delivery_id = self._backlog.popleft()
            if not self._on_its_way(delivery_id):
                ids.append(delivery_id)
        if ids:
            self._ready_backlog.extend(await self._prepare(ids, backlog=True))

    async def _page(self) -> list[int]:
        """The next page of open deliveries that may be tried now, oldest first."""
        key = self.terms.platform, self.terms.outlet
        now_ms = self._clock.wall_ms()
        found = await self._store.do(outbox.open_deliveries, *key, PAGE, self._backlog_after, now_ms=now_ms)
        self._backlog_after = found[-1].cursor if found else None
        return [delivery.id for delivery in found]

    def _on_its_way(self, delivery_id: int) -> bool:
        return delivery_id in self._live or any(
            out.packet.delivery == delivery_id for out in (*self._flying.values(), *self._ready_live)
        )

    async def _prepare(self, ids: list[int], *, backlog: bool) -> list[Outgoing]:
        """Packets of these deliveries, committed: QN and bytes are on disk before the first byte leaves."""
        prepared = await self._store.do(self._builder.prepare, ids, self._fresh_from_ms, self._clock.wall_ms())
        return [Outgoing(one.packet, one.cn, one.start, backlog) for one in prepared]

    async def _send(self, link: Link, out: Outgoing) -> None:
        out.written_ms = self._clock.wall_ms()
        asks = self.terms.asks_answer(out.cn)
        if asks:
            once = self.health.misses.get(out.cn, 0) >= SILENT_AFTER
            self._flying[out.packet.qn] = out
            self.exchange.send(
                out.packet.qn, out.packet.data, self._clock.mono_s(), retries=0 if once else None, expect=ANSWERS
            )
        await self._write(link, out.packet.data)
        self.health.sent += 1
        if not asks:
            await self._unconfirmed(link, out)

    async def answer(self, frame: bytes) -> None:
        """The first lane: what a command is answered goes out at once."""
        if self._link is not None:
            await self._write(self._link, frame)

    async def _write(self, link: Link, frame: bytes) -> None:
        self._on_packet(self.terms, False, frame)
        await link.write(frame)

    async def _unconfirmed(self, link: Link, out: Outgoing) -> None:
        """No answer is asked for: delivered means written and drained from the send queue."""
        until = self._clock.mono_s() + self.terms.timeout_s
        while not link.drained():
            if self._clock.mono_s() > until:
                raise LinkDown("not drained")
            await self._clock.sleep(DRAIN_STEP_S)
        where = self._answer(b"", out.written_ms, link)
        await self._store.do(outbox.written_unconfirmed, out.packet.qn, where.at_ms, where)

    async def _sleep(self) -> None:
        """Until something is due: a resend, the backlog's next turn, or news."""
        now = self._clock.mono_s()
        times = [now + BACKLOG_PAUSE_S]
        deadline = self.exchange.deadline()
        if deadline is not None:
            times.append(deadline)
        if self.exchange.room() > 0:
            waiting = self._ready_backlog or self._backlog
            times.append(self._backlog_next_at if waiting else max(self._backlog_look_at, self._backlog_next_at))
        try:
            async with asyncio.timeout(max(0.0, min(times) - now) / self._clock.speed):
                await self._wake.wait()
        except TimeoutError:
            return

    # answers

    def _take_answer(self, packet: Packet, frame: bytes, link: Link) -> bool:
        qn = asked_qn(packet)
        if not qn:
            return False
        self.exchange.answer(packet, self._clock.mono_s())
        out = self._flying.pop(qn, None)
        self._wake.set()
        task = asyncio.get_running_loop().create_task(
            self._settle(qn, packet, frame, out, link), name=f"answer[{self.terms.platform}]"
        )
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)
        return True

    async def _settle(self, qn: str, packet: Packet, frame: bytes, out: Outgoing | None, link: Link) -> None:
        """Commit an answer; where the disk refuses it the packet stays open and will be sent and answered again."""
        try:
            await self._commit_answer(qn, packet, frame, out, link)
        except StoreFailed as error:
            self._on_event("edge.store-failed", {"why": str(error)})

    async def _commit_answer(self, qn: str, packet: Packet, frame: bytes, out: Outgoing | None, link: Link) -> None:
        """The answer counts when it is committed; one that says no is kept as a refusal."""
        now_ms = self._clock.wall_ms()
        platform = self.terms.platform
        code = refusal(packet)
        if code is not None:
            await self._store.do(outbox.refused, platform, qn, code, now_ms)
            self._on_event("edge.refused", {"platform": platform, "qn": qn, "code": code})
            return
        answer = self._answer(frame, out.written_ms if out else now_ms, link)
        found = await self._store.do(outbox.answered, platform, qn, answer, backfilled=out.backlog if out else True)
        if found is None:
            self._on_event("edge.unknown-qn", {"platform": platform, "qn": qn})
            return
        self.health.answered += found.first
        self.health.last_answer = now_ms
        if self.health.misses.pop(found.delivery.cn, 0) >= SILENT_AFTER:
            await self._store.do(outbox.retry, platform)
            self._forget_backlog()
        if found.receipt:
            self._on_event("edge.connection", {"platform": self.terms.platform, "outlet": self.terms.outlet, "qn": qn})

    def _answer(self, data: bytes, written_ms: int, link: Link) -> Answer:
        now_ms = self._clock.wall_ms()
        site = self.terms.site
        begin = site.connect_from
        return Answer(
            data=data,
            at_ms=now_ms,
            written_ms=written_ms,
            peer=link.peer,
            address=site.address,
            role=site.role,
            clock_plausible=plausible(now_ms),
            connect_from_ms=parse_time(begin.replace("-", "") + "000000") if begin else None,
        )

    # small things

    def _forget_backlog(self) -> None:
        self._backlog.clear()
        self._backlog_after = None
        self._backlog_look_at = 0.0
        self._wake.set()

    def _fleeting_due(self, cn: str, start: int, region: Region) -> Due:
        keep = kept(cn, self.terms.site.backfill)
        return Due(self.terms.platform, self.terms.outlet, cn, start, kept=keep, payload=write(region).encode())

    def silent_kinds(self) -> list[str]:
        """Kinds of upload that the platform never answers, by their names."""
        return [KIND_OF_CN.get(cn, cn) for cn in self.health.silent_kinds()]


def _expire(db: Any, key: tuple[str, str], issued: set[str], before_ms: int, unissued: int) -> None:
    """One transaction for all fleeting uploads of a session."""
    for cn in issued:
        outbox.expire(db, *key, cn, before_ms)
    if unissued:
        outbox.count_expired(db, *key, "2011", unissued)
