"""The bench platform: a 上位机 on one port that receives, checks, answers, and commands loggers.

    link ─▶ Frame ─▶ Packet ─▶ check, seen before? ─▶ on_packet (kept) ─▶ answer, as the profile has it
                       └─▶ the command that is waiting for it

It shares `protocol/` with the daemon and nothing else, so that a fault on one side does not hide the same
fault on the other. A packet that can be decoded is answered, also where a finding is grave: the verdict is
for the reader.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from edge.bench.check import Bounded, Memory, check
from edge.bench.conversation import CommandResult, Conversation, Outcome, Timing
from edge.bench.edition import NOTICES_UP, Edition
from edge.bench.errors import reason_of
from edge.bench.link import Link
from edge.bench.profiles import NORMAL, Profile
from edge.bench.received import Finding, Received, Repeat
from edge.bench.sequence import ANSWERS, concerns
from edge.clock import Clock, SystemClock
from protocol.errors import BadPacket
from protocol.frame import Dropped, Frame
from protocol.messages import INTERACTION, Header, asked_qn
from protocol.packet import Packet, Region, examine
from protocol.split import Incomplete, Reassembler
from protocol.times import qn_text, time_text

DIAL_AGAIN_S = 1.0
"""Pause before a logger that listens is connected to again."""
HANDSHAKE_S = 10.0
_ANSWERS = ANSWERS | {"9014"}
_STARTED_BY = {"2012": "2011", "2022": "2021"}


def _nothing(*_: object) -> None:
    """No one listens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What most users of the platform leave as it is."""

    timing: Timing = field(default_factory=Timing)
    edition: Edition = field(default_factory=Edition)
    calibrate: bool = False
    """Follow a 1013 with a 1012 that brings the platform's time (Table C.4)."""
    keep: int = 100_000
    """How many packets `received` and the search for repeated ones go back."""
    tls: ssl.SSLContext | None = None
    """Of the end that we are: who listens, or who connects."""
    connect: str | None = None
    """Connect to a logger that listens at this `HOST:PORT`, instead of listening."""
    on_link: Callable[[str, bool], None] = _nothing
    """Gets the peer's address, and whether its link is up."""
    on_unreached: Callable[[str, str], None] = _nothing
    """Gets `connect`, and why nobody was met there; said anew when the reason is another."""
    on_result: Callable[[CommandResult], None] = _nothing
    """Gets the verdict on each command."""


@dataclass(slots=True)
class Logger:
    """A logger as it last presented itself."""

    mn: str
    st: str
    password: str
    link: Link
    retired: set[str] = field(default_factory=set)
    """Passwords that a 1072 has replaced: packets made before it still carry them."""
    started: dict[str, str] = field(default_factory=dict)
    """QN of the last command that started a stream, by CN."""

    def heard(self, packet: Packet, link: Link) -> None:
        """Take over what a packet shows."""
        self.link = link
        if packet.st != INTERACTION:
            self.st = packet.st
        if packet.pw is not None and packet.pw not in self.retired:
            self.password = packet.pw

    def write(self, data: bytes) -> None:
        """To the logger, by the link on which it was last heard."""
        self.link.send(data)

    def changed_password(self, new: str) -> None:
        """From here on commands carry `new`."""
        self.retired.add(self.password)
        self.retired.discard(new)
        self.password = new


class BenchPlatform:
    """Listens on `HOST:PORT` (port 0: any free one) from `start()` to `stop()`.

    `on_packet` gets everything received before its answer is written. `profile` may be changed at any time.
    """

    def __init__(
        self,
        listen: str = "127.0.0.1:0",
        profile: Profile = NORMAL,
        clock: Clock | None = None,
        on_packet: Callable[[Received], None] = _nothing,
        options: Options | None = None,
    ) -> None:
        self.profile = profile
        self.options = options or Options()
        self.received: deque[Received] = deque(maxlen=self.options.keep)
        self.counts: Counter[str] = Counter()
        """Packets received, by CN; `-` counts what could not be decoded."""
        self.answered: Counter[str] = Counter()
        """Packets answered, by CN, each packet once."""
        self.verdicts: Counter[str] = Counter()
        self.repeated = 0
        """Packets that came before: retries, and the same data under a new QN."""
        self.loggers: dict[str, Logger] = {}
        self._listen = listen
        self._clock = clock or SystemClock()
        self._on_packet = on_packet
        self._edition = self.options.edition
        self._memory = Memory(self.options.keep)
        self._parts = Reassembler()
        self._asked: Bounded[None] = Bounded(self.options.keep)
        self._links: dict[Link, asyncio.Task[None]] = {}
        self._conversations: dict[Conversation, Logger] = {}
        self._calibrations: set[asyncio.Task[CommandResult]] = set()
        self._last_qn_ms = 0
        self._server: asyncio.Server | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._open = False
        self._news = asyncio.Event()

    async def start(self) -> None:
        """Listen, or connect again and again; OSError when the address cannot be had."""
        self._open = True
        if self.options.connect is not None:
            self._dialling = asyncio.create_task(self._dial(self.options.connect), name="bench-dial")
            return
        host, _, port = self._listen.rpartition(":")
        self._server = await asyncio.start_server(self._serve, host.strip("[]"), int(port), ssl=self.options.tls)

    async def _dial(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        tls = self.options.tls
        patience_s = HANDSHAKE_S if tls else None
        said = ""
        while True:
            try:
                streams = await asyncio.open_connection(
                    host.strip("[]"), int(port), ssl=tls, ssl_handshake_timeout=patience_s
                )
            except OSError as error:
                reason = reason_of(error)
                if reason != said:
                    self.options.on_unreached(address, reason)
                said = reason
                await asyncio.sleep(DIAL_AGAIN_S)
                continue
            said = ""
            await asyncio.wait({asyncio.create_task(self._serve(*streams))})  # which ends by itself, see `_close`
            await asyncio.sleep(DIAL_AGAIN_S)

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        return int(self._server.sockets[0].getsockname()[1]) if self._server else 0

    @property
    def address(self) -> str:
        """`HOST:PORT` as a site file's `address` has it, once started; where it connects to, if it does."""
        if self.options.connect is not None:
            return self.options.connect
        return f"{self._listen.rpartition(':')[0]}:{self.port}"

    @property
    def links(self) -> int:
        """How many loggers are connected."""
        return len(self._links)

    async def stop(self) -> None:
        """Close the port and every link, and give up open commands."""
        for task in self._calibrations:
            task.cancel()
        await self._close()
        await asyncio.gather(*self._calibrations, return_exceptions=True)

    async def pause(self) -> None:
        """Be away: every link is cut and new ones are refused, until `resume()`."""
        if self.options.connect is None:
            self._listen = self.address
        await self._close()

    async def resume(self) -> None:
        """Be back, on the same port."""
        await self.start()

    async def _close(self) -> None:
        self._open = False
        if self._server is not None:
            self._server.close()
        if self._dialling is not None:
            self._dialling.cancel()
        self._server = self._dialling = None
        # Links end by themselves when they are cut; asyncio 3.11 logs a cancelled one as a fault.
        self.drop_links()
        await asyncio.gather(*self._links.values())

    def connected(self, mn: str) -> bool:
        """Whether the link on which a logger was last heard is up."""
        logger = self.loggers.get(mn)
        return logger is not None and logger.link in self._links

    def drop_links(self) -> None:
        """Cut every link at once; the port stays open."""
        for link in list(self._links):
            link.drop()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; it is asked again after every packet and every change of a link."""
        while not condition():
            await self._news.wait()

    async def command(self, mn: str, cn: str, fields: Iterable[tuple[str, str]] = ()) -> CommandResult:
        """Send a command with one item a field, and wait for its end. CannotEncode: no packet can hold it."""
        return await self.ask(mn, cn, tuple((pair,) for pair in fields))

    async def ask(self, mn: str, cn: str, region: Region) -> CommandResult:
        """`command` with a whole data region."""
        if not self.connected(mn):
            result = CommandResult(mn, cn, "", Outcome.NO_LOGGER)
            self.options.on_result(result)
            return result
        return await self.carry_out(mn, self.request(mn, cn, region))

    def request(self, mn: str, cn: str, region: Region = ()) -> Packet:
        """The next command to a known logger, with its ST and password and a new QN."""
        logger = self.loggers[mn]
        header = Header(logger.st, logger.password, logger.mn)
        qn = self._next_qn()
        if self._edition.qn_in_region and cn in _STARTED_BY:
            qn = logger.started.get(_STARTED_BY[cn], qn)  # 2005 ends a stream under the QN that began it
        return self._edition.command(header, cn, region, qn)

    async def carry_out(self, mn: str, request: Packet) -> CommandResult:
        """Send a ready request to a known logger and wait for its end."""
        logger = self.loggers[mn]
        conversation = Conversation(request, self.options.timing, self._clock, logger.write, self._edition)
        self._asked.put(request.qn, None)
        self._conversations[conversation] = logger
        try:
            result = await conversation.run()
        finally:
            del self._conversations[conversation]
        self._ended(logger, request, result)
        self.options.on_result(result)
        return result

    def throw(self, mn: str, request: Packet, frame: bytes) -> None:
        """A request as `frame` to a known logger, without awaiting an answer."""
        self._asked.put(request.qn, None)
        self.loggers[mn].write(frame)

    def _ended(self, logger: Logger, request: Packet, result: CommandResult) -> None:
        new_password = request.get("NewPW") or (request.get("PW") if request.cn == "1072" else None)
        if result.outcome is Outcome.DONE and new_password and request.mn == logger.mn:
            logger.changed_password(new_password)
        if result.outcome is Outcome.DONE and request.cn in _STARTED_BY.values():
            logger.started[request.cn] = result.qn
        last = result.heard[-1] if result.heard else None
        answered = any(self._edition.wants_answer(packet) for packet in result.data)
        reply = self._edition.result_answer(last) if last is not None and last.cn == "9012" and answered else None
        if reply is not None:
            logger.write(reply.to_frame())

    def _next_qn(self) -> str:
        self._last_qn_ms = max(self._last_qn_ms + 1, self._clock.wall_ms())
        return qn_text(self._last_qn_ms)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:  # accepted in the moment of closing
            writer.transport.abort()
            return
        link = Link(reader, writer, self._clock, lambda: self.profile, self._arrived)
        task = asyncio.current_task()
        assert task is not None  # asyncio runs each connection's callback in a task
        task.set_name(f"bench-link[{link.peer}]")
        self._links[link] = task
        self.options.on_link(link.peer, True)
        self._tell()
        try:
            await link.run()
        finally:
            del self._links[link]
            self.options.on_link(link.peer, False)
            self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _arrived(self, link: Link, event: Frame | Dropped) -> None:
        now_ms = self._clock.wall_ms()
        if isinstance(event, Dropped):
            finding = Finding(event.error.code, event.error.params)
            self._record(Received(now_ms, link.peer, event.data, None, (finding,)))
            return
        examined = examine(event.raw)
        findings = [Finding(error.code, error.params) for error in examined.errors]
        odd = (note for note in examined.notes if not self._edition.usual(note))
        findings += [Finding(note.code, note.params, grave=False) for note in odd]
        if examined.ok and examined.packet is not None:
            self._packet(link, event, examined.packet, findings)
        else:
            self._record(Received(now_ms, link.peer, event.raw, examined.packet, tuple(findings)))

    def _packet(self, link: Link, frame: Frame, packet: Packet, findings: list[Finding]) -> None:
        now_ms = self._clock.wall_ms()
        repeat, odd = self._memory.judge(packet, frame.segment)
        concerned = self._concerned(link, packet)
        whole, partial = self._whole(packet, repeat)
        findings += (*check(packet, now_ms, self._edition), *odd, *partial)
        if packet.cn in ANSWERS and not concerned:
            code = "bench.answer_late" if asked_qn(packet) in self._asked else "bench.answer_unasked"
            findings.append(Finding(code, {"cn": packet.cn, "qn": asked_qn(packet) or "-"}, grave=False))
        answer = self._answer(packet)
        self._heard(packet, link)
        answer_cn = answer.cn if answer else None
        received = Received(now_ms, link.peer, frame.raw, packet, tuple(findings), repeat, answer_cn, whole)
        self._record(received)
        if answer is not None:
            self._send_answer(link, packet, answer)
        for conversation in concerned if repeat is not Repeat.RESENT else ():
            conversation.inbox.put_nowait(packet)
        if packet.cn == "1013" and self.options.calibrate and repeat is Repeat.FIRST:
            self._bring_time(packet.mn)

    def _concerned(self, link: Link, packet: Packet) -> list[Conversation]:
        """The open commands to which a packet belongs, or should belong.

        An answer under a QN that was never asked with (C.43) is laid to the logger's only open command.
        """
        open_ = self._conversations.items()
        near = [each for each, logger in open_ if logger.link is link or logger.mn == packet.mn]
        concerned = [each for each in near if concerns(each.request, packet)]
        stray = packet.cn in ANSWERS and asked_qn(packet) not in self._asked
        return near if stray and not concerned and len(near) == 1 else concerned

    def _whole(self, packet: Packet, repeat: Repeat) -> tuple[Packet | None, list[Finding]]:
        """The record that a last part completes, and what is said of records whose parts did not all come."""
        now = self._clock.mono_s()
        findings = [_parts_missing(late) for late in self._parts.tick(now)]
        if not packet.is_split or repeat is Repeat.RESENT:
            return None, findings
        try:
            return self._parts.add(packet, now), findings
        except BadPacket as error:
            return None, [*findings, Finding(error.code, error.params)]

    def _heard(self, packet: Packet, link: Link) -> None:
        if not packet.mn or packet.cn in _ANSWERS:  # answers echo what they were asked with, also a wrong MN or PW
            return
        logger = self.loggers.get(packet.mn)
        if logger is None and packet.st == INTERACTION:  # a heartbeat does not tell the station's ST
            return
        if logger is None:
            logger = self.loggers[packet.mn] = Logger(packet.mn, packet.st, packet.pw or "", link)
        logger.heard(packet, link)

    def _answer(self, packet: Packet) -> Packet | None:
        cn = packet.cn
        answers = cn in NOTICES_UP or not cn.startswith("9")
        if not (answers and self._edition.wants_answer(packet) and self.profile.answers(cn)):
            return None
        return self.profile.shaped(self._edition.answer(packet), packet)

    def _send_answer(self, link: Link, packet: Packet, answer: Packet) -> None:
        profile = self.profile
        for _ in range(profile.times):
            link.send(answer.to_frame(), profile.delay_s, profile.byte_gap_s)
        self.answered[packet.cn] += 1

    def _record(self, received: Received) -> None:
        cn = received.packet.cn if received.packet else ""
        self.counts[cn or "-"] += 1
        self.verdicts[received.verdict] += 1
        self.repeated += received.repeat in (Repeat.RESENT, Repeat.AGAIN)
        self.received.append(received)
        self._on_packet(received)
        self._tell()

    def _bring_time(self, mn: str) -> None:
        time = time_text(self._clock.wall_ms())
        task = asyncio.create_task(self.command(mn, "1012", (("SystemTime", time),)), name=f"bench-calibrate[{mn}]")
        self._calibrations.add(task)
        task.add_done_callback(self._calibrations.discard)


def _parts_missing(late: Incomplete) -> Finding:
    shown = {"data_time": late.data_time or "-", "came": late.came, "expected": late.expected}
    return Finding("bench.parts_missing", shown, grave=False)
