"""One platform and one MN: sends, waits, resends; commands are handed on.

on disk before the wire   prepare (QN and bytes committed) ─▶ write ─▶ answer ─▶ committed ─▶ delivered
lanes, first to last      answers to commands · live · history and backfill

An unanswered packet is resent `retries` times and then stays in the outbox while the lane goes on (`lanes`). A late
answer, on any link, still delivers (`answers`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from edge.catalogue import explain
from edge.clock import Clock
from edge.logs import get_logger
from edge.store import outbox
from edge.store.errors import StoreFailed
from edge.store.store import Store
from edge.uplink.answers import STORE_RETRY_S, Answers
from edge.uplink.build import Builder
from edge.uplink.health import Health
from edge.uplink.heartbeat import Heartbeat
from edge.uplink.history import TIMEOUT, Asked, Source
from edge.uplink.kinds import KIND_OF_CN
from edge.uplink.lanes import BACKLOG_PAUSE_S, Lanes, Outgoing
from edge.uplink.link import WRITE_S, Link
from edge.uplink.terms import Terms
from edge.uplink.time_request import TimeRequest
from edge.uplink.transport import LinkDown
from protocol.errors import ProtocolError
from protocol.exchange import Exchange, Resend
from protocol.messages import asked_qn, refusal, request_answer
from protocol.packet import Packet
from protocol.region import Body

ANSWERS = frozenset({"9013", "9014"})
EXECUTION_RESULT = "9012"
DRAIN_STEP_S = 0.05
COMMANDS_WAITING = 64
LONG_COMMANDS = 8
"""Commands that take their time (an action at an instrument, data asked for) and are carried out at once at most."""
BUSY = 5
"""ExeRtn (Table 6)."""
WRONG_CRC = 9
"""QnRtn (Table 7)."""


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
        wants_time: Callable[[], bool] = lambda: False,
    ) -> None:
        """`wants_time`: whether the platform is asked for the time (1013) when a link is up."""
        self.terms = terms
        self.mn = terms.mn
        self.st = terms.st
        self.health = Health()
        self.exchange = Exchange(terms.timeout_s, terms.retries, terms.site.window)
        self._store = store
        self._clock = clock
        self._handle = handle
        self._on_event = on_event
        self._on_packet = on_packet
        self.rests_until = clock.mono_s()
        """Until then the sending need make no progress, monotonic seconds."""
        self._time = TimeRequest(terms, clock, self._new_qn, on_event, wants_time)
        self._heartbeat = Heartbeat(terms, clock, self._new_qn, self._unheard)
        self._link: Link | None = None
        self._log = get_logger("session")
        self._wake = asyncio.Event()
        self._flying: dict[str, Outgoing] = {}
        self._inbox: asyncio.Queue[Packet] = asyncio.Queue(maxsize=COMMANDS_WAITING)
        self._commands: set[asyncio.Task[None]] = set()
        self._long: set[asyncio.Task[None]] = set()
        silent = self.health.silent_kinds
        self._lanes = Lanes(terms, store, clock, builder, on_event, self._wake, self._busy, silent)
        self._answers = Answers(
            terms, store, clock, self.health, on_event, self._land, self._lanes.look_again, self._wake
        )

    # what the rest of the daemon says

    @property
    def link(self) -> Link | None:
        """The link in use; None while there is none."""
        return self._link

    def offer(self, delivery_ids: list[int]) -> None:
        """Deliveries just committed: they are live while the link is up, else they wait in the outbox."""
        if self._link is not None:
            self._lanes.offer(delivery_ids)

    async def offer_fleeting(self, cn: str, start: int, body: Body, *more: tuple[str, Body]) -> None:
        """The newest realtime or state upload, with others of its moment; what was not delivered before has expired."""
        cns = {cn, *(each for each, _ in more)}
        for qn, missed in [(qn, out.cn) for qn, out in self._flying.items() if out.cn in cns]:
            self._forget(qn)
            self._missed(missed)
        await self._lanes.offer_fleeting(cn, start, body, *more, linked=self._link is not None)

    async def flush_expired(self) -> None:
        """Tell the store which fleeting uploads have expired."""
        await self._lanes.flush_expired()

    def terms_changed(self) -> None:
        """Time-out, retries or password were set."""
        self.exchange.timeout_s = self.terms.timeout_s
        self.exchange.retries = self.terms.retries
        self._wake.set()

    def look_again(self) -> None:
        """What is open in the outbox has changed, or the platform is no longer held."""
        self._lanes.look_again()

    def silent_kinds(self) -> list[str]:
        """Kinds of upload that the platform never answers, by their names."""
        return [KIND_OF_CN.get(cn, cn) for cn in self.health.silent_kinds()]

    @property
    def spread_waiting(self) -> int:
        """Deliveries that are held back for their turn after the whole hour."""
        return len(self._lanes.spreading)

    # what the link says

    def expects(self, packet: Packet) -> bool:
        """Whether a packet answers one of this session's, whatever MN it bears."""
        is_open = (qn := asked_qn(packet)) is not None and qn in self._flying
        return is_open or self._time.answered_by(packet) or self._heartbeat.answered_by(packet)

    def received(self, packet: Packet, frame: bytes, link: Link) -> bool:
        """A packet from the platform; answers are matched by QN, all else is a command."""
        self._on_packet(self.terms, True, frame)
        self._heard()
        if self._heartbeat.answered_by(packet):
            return True
        if packet.cn in ANSWERS or packet.cn == "9011":
            return self._take_answer(packet, frame, link)
        if packet.cn == EXECUTION_RESULT:
            return False
        self._time.heard(packet)
        if self._inbox.full():
            self._on_event("edge.commands-flood", {"platform": self.terms.platform, "cn": packet.cn or ""})
        else:
            self._inbox.put_nowait(packet)
        return True

    def _heard(self) -> None:
        self.health.last_received = self._clock.wall_ms()
        self.health.unheard = 0
        self._heartbeat.heard()

    def received_damaged(self, packet: Packet) -> None:
        """A command whose check code is wrong is never carried out; it is answered where the site says so."""
        if packet.cn.startswith("9"):
            return
        self.health.damaged += 1
        asks = self.terms.site.crc_error == "answer" and packet.wants_answer and packet.qn is not None
        if asks and len(self._commands) < COMMANDS_WAITING:
            job = asyncio.ensure_future(self._refuse_damaged(packet))
            self._commands.add(job)
            job.add_done_callback(self._command_ended)

    async def _refuse_damaged(self, packet: Packet) -> None:
        try:
            frame = self.terms.frame(request_answer(packet, WRONG_CRC))
        except ProtocolError:  # it would echo a PW or MN that no packet may bear
            return
        await self.answer(frame)

    def _take_answer(self, packet: Packet, frame: bytes, link: Link) -> bool:
        """A 9011 can only refuse an upload: to have accepted it for carrying out is not to have it."""
        if (packet.get("CN") or "").startswith("90"):  # 2005 answers our 9012, under the QN of the platform's request
            return True
        qn = asked_qn(packet)
        out = self._flying.get(qn or "")
        if self._time.answered_by(packet):
            self._time.close()
            return True
        if qn and out is not None and out.asked is not None:
            self._asked_answered(qn, out.asked)
            return True
        if not qn or (packet.cn == "9011" and (qn not in self._flying or refusal(packet) is None)):
            return qn in self._flying
        self._answered(qn, refusal(packet), frame, link)
        return True

    def confirmed(self, qn: str, refusal: str | None, answer: bytes, link: Link) -> None:
        """A broker's answer to a packet; `refusal`: the code with which it says no."""
        self._on_packet(self.terms, True, answer)
        self._heard()
        out = self._flying.get(qn)
        if out is not None and out.asked is not None:
            self._asked_answered(qn, out.asked)
        else:
            self._answered(qn, refusal, answer, link)

    def _answered(self, qn: str, refusal: str | None, answer: bytes, link: Link) -> None:
        if refusal is None:
            self.exchange.landed(qn, self._clock.mono_s())
        out = self._flying.get(qn)
        if out is not None and out.writings == 1:  # of two writings nobody knows which one was answered
            self.health.trip(self._clock.mono_s() - out.written_s)
        self._forget(qn)
        self._answers.take(qn, refusal, answer, link)
        self._wake.set()

    def _asked_answered(self, qn: str, asked: Asked) -> None:
        """A packet of the data asked for has arrived: nothing of it is kept."""
        self.exchange.landed(qn, self._clock.mono_s())
        self._forget(qn)
        self.health.misses.pop(asked.cn, None)
        asked.landed(qn)
        self._wake.set()

    async def pump(self, link: Link) -> None:
        """Send while the link is up."""
        self._link = link
        self.rests_until = self._clock.mono_s() + WRITE_S  # the first heartbeat
        self.health.unheard = 0
        self._answers.new_link()
        self._lanes.open(self._clock.wall_ms() - self.terms.site.reissue_after)
        name = f"{self.terms.platform}/{self.terms.outlet}"
        write = partial(self._write, link)
        try:
            await self._heartbeat.begin(write)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._command_loop(), name=f"commands[{name}]")
                group.create_task(self._send_loop(link), name=f"send[{name}]")
                group.create_task(self._time.run(write), name=f"time[{name}]")
                group.create_task(self._heartbeat.go_on(write), name=f"heartbeat[{name}]")
        finally:
            self._link = None
            self.exchange.clear()
            self._flying.clear()
            self._lanes.close()
            while not self._inbox.empty():  # a command of an hour ago would set the clock of an hour ago
                self._inbox.get_nowait()

    async def _new_qn(self) -> str | None:
        """A QN for what goes beside the window; None: the disk refuses it."""
        try:
            qn: str = await self._store.do(outbox.qn_for, self._clock.wall_ms())
        except StoreFailed as error:
            self._on_event("edge.store-failed", {"why": explain(error)})
            return None
        return qn

    # commands

    async def _command_loop(self) -> None:
        """One after the other; one that has begun is carried out to its end, also when the link goes down."""
        while True:
            packet = await self._inbox.get()
            job = asyncio.ensure_future(self._handle(packet, self))
            self._commands.add(job)
            job.add_done_callback(self._command_ended)
            await asyncio.shield(job)

    def _command_ended(self, job: asyncio.Future[None]) -> None:
        self._commands.discard(job)
        if not job.cancelled():
            job.exception()  # whoever still waits for it gets it; with the link gone nobody does

    def spawn(self, work: Coroutine[Any, Any, None]) -> bool:
        """Carry out a command beside the others; False: LONG_COMMANDS are at work, and this one was not begun."""
        if len(self._long) >= LONG_COMMANDS:
            work.close()
            return False
        job = asyncio.get_running_loop().create_task(work, name=f"command[{self.terms.platform}]")
        self._long.add(job)
        job.add_done_callback(self._long_ended)
        return True

    def _long_ended(self, job: asyncio.Task[None]) -> None:
        self._long.discard(job)
        if not job.cancelled() and (error := job.exception()) is not None:
            self._log.error("command failed", platform=self.terms.platform, exc_info=error)

    async def history(self, cn: str, source: Source) -> int:
        """Send data that were asked for, behind the live ones; ExeRtn of the request. 5: another one is not ended."""
        asks = self.terms.asks_answer(cn) and not self.health.is_silent(cn)
        asked = Asked(cn, source, asks, asyncio.get_running_loop().create_future())
        if self._link is None:
            return TIMEOUT
        return await asked.ended if self._lanes.ask(asked) else BUSY

    async def answer(self, frame: bytes) -> None:
        """The first lane: what a command is answered goes out at once."""
        if self._link is not None:
            await self._write(self._link, frame)

    # sending

    async def _send_loop(self, link: Link) -> None:
        while True:
            self.rests_until = self._clock.mono_s()
            self._wake.clear()
            try:
                await self._due(link)
                await self._fill(link)
            except StoreFailed as error:
                self._on_event("edge.store-failed", {"why": explain(error)})
                await self._clock.sleep(STORE_RETRY_S)
            await self._sleep()

    async def _fill(self, link: Link) -> None:
        """As many packets as the window takes."""
        while (room := self._room()) > 0:
            out = await self._lanes.next(room)
            if out is None:
                return
            await self._send(link, out)

    def _room(self) -> int:
        """How many more packets may be open; an answer that is not on disk yet leaves its packet's place taken."""
        return self.exchange.room() - self._answers.unsettled

    async def _due(self, link: Link) -> None:
        """Resend what timed out; give up what was resent often enough."""
        for step in self.exchange.poll(self._clock.mono_s()):
            out = self._flying.get(step.qn)
            if out is None:
                self.exchange.drop(step.qn)
            elif out.asked is not None:
                await self._asked_due(link, out, out.asked, resend=isinstance(step, Resend))
            elif isinstance(step, Resend) and not self._yields(out) and self._lanes.holds(out):
                self.health.resent += 1
                await self._write_out(link, out)
            else:
                self._forget(step.qn)
                await self._give_up(out)
        self._check_heard()

    def _unheard(self) -> None:
        """A heartbeat during which nothing at all has arrived."""
        self.health.unheard += 1
        self._check_heard()

    def _check_heard(self) -> None:
        if self.health.unheard >= self.terms.unheard_limit:
            raise LinkDown("no-answer")

    async def _asked_due(self, link: Link, out: Outgoing, asked: Asked, *, resend: bool) -> None:
        """Resent as the same bytes; unanswered to the end, it ends its request."""
        if resend and not self._yields(out):
            self.health.resent += 1
            await self._upload(link, out)
            return
        self._forget(out.packet.qn)
        if resend:
            asked.give_back(out.packet)
        else:
            asked.end(TIMEOUT)
            self._missed(out.cn)

    def _yields(self, out: Outgoing) -> bool:
        """Backlog that was not answered at once makes room when live packets wait."""
        return out.backlog and self._lanes.live_waits()

    async def _give_up(self, out: Outgoing) -> None:
        """The delivery waits for its next round; that hint may be lost where the disk refuses it."""
        self._missed(out.cn)
        try:
            await self._store.do(outbox.gave_up, out.packet.delivery, self._clock.wall_ms())
        except StoreFailed as error:
            self._on_event("edge.store-failed", {"why": explain(error)})

    def _missed(self, cn: str) -> None:
        if self.health.missed(cn):
            self._lanes.look_again()  # the page in memory may be full of this kind
            self._on_event("edge.kind-unanswered", {"platform": self.terms.platform, "cn": cn})

    async def _send(self, link: Link, out: Outgoing) -> None:
        asks = self.terms.asks_answer(out.cn) if out.asked is None else out.asked.asks
        if asks:
            retries = 0 if self.health.is_silent(out.cn) else None
            self._flying[out.packet.qn] = out
            self.exchange.send(out.packet.qn, out.packet.data, self._clock.mono_s(), retries=retries, expect=ANSWERS)
        if out.asked is not None:
            out.asked.sending(out.packet)
            await self._upload(link, out)
            if not asks:
                out.asked.landed(out.packet.qn)
            return
        await self._write_out(link, out)
        self.health.sent += 1
        if not asks:
            await self._unconfirmed(link, out)

    async def _write_out(self, link: Link, out: Outgoing) -> None:
        self._answers.wrote(out)
        out.written_s, out.writings = self._clock.mono_s(), out.writings + 1
        await self._upload(link, out)

    async def _upload(self, link: Link, out: Outgoing) -> None:
        """Write as the sending loop: a peer that takes nothing is no fault of ours, until the link is found dead."""
        self.rests_until = self._clock.mono_s() + WRITE_S
        self._on_packet(self.terms, False, out.packet.data)
        await link.send(out.packet.qn, out.packet.data)
        self.rests_until = self._clock.mono_s()

    async def _write(self, link: Link, frame: bytes) -> None:
        self._on_packet(self.terms, False, frame)
        await link.write(frame)

    async def _unconfirmed(self, link: Link, out: Outgoing) -> None:
        """No answer is asked for: delivered means written and drained from the send queue."""
        self.rests_until = until = self._clock.mono_s() + self.terms.timeout_s
        while not link.drained():
            if self._clock.mono_s() > until:
                raise LinkDown("not-drained")
            await self._clock.sleep(DRAIN_STEP_S)
        where = self._answers.evidence(b"", out.written_ms, link)
        await self._store.do(outbox.written_unconfirmed, out.packet.qn, where.at_ms, where)

    async def _sleep(self) -> None:
        """Until something is due: a resend, the backlog's next turn, or news."""
        now = self._clock.mono_s()
        times = [now + BACKLOG_PAUSE_S]
        deadline = self.exchange.deadline()
        if deadline is not None:
            times.append(deadline)
        if self._room() > 0:
            times.append(self._lanes.due_at())
        self.rests_until = max(now, min(times))
        try:
            async with asyncio.timeout(max(0.0, min(times) - now) / self._clock.speed):
                await self._wake.wait()
        except TimeoutError:
            return

    # what is in flight

    def _busy(self, delivery: int) -> bool:
        """Whether a delivery is in flight, or its answer on its way to the disk."""
        flying = any(out.packet.delivery == delivery for out in self._flying.values())
        return flying or delivery in self._answers.settling

    def _land(self, delivery: int) -> None:
        """A delivery is complete: what else of it is in flight is no longer waited for."""
        for qn in [qn for qn, out in self._flying.items() if out.packet.delivery == delivery]:
            self._forget(qn)
        self._wake.set()

    def _forget(self, qn: str) -> None:
        self.exchange.drop(qn)
        self._flying.pop(qn, None)
