"""The bench platform: a 上位机 on one port that receives, checks, answers, and commands loggers.

    link ─▶ Frame ─▶ Packet ─▶ check, seen before? ─▶ on_packet (kept) ─▶ answer, as the profile has it
                       └─▶ the command that is waiting for it

It shares `protocol/` with the daemon and nothing else, so that a fault on one side does not hide the same
fault on the other. A packet that can be decoded is answered, also where a finding is grave: the verdict is
for the reader.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from edge.bench.check import Memory, check
from edge.bench.conversation import CommandResult, Conversation, Outcome, Timing
from edge.bench.link import Link
from edge.bench.profiles import NORMAL, Profile
from edge.bench.received import Finding, Received, Repeat
from edge.clock import Clock, SystemClock
from protocol import messages
from protocol.frame import Dropped, Frame
from protocol.messages import Header, data_answer, notice_answer
from protocol.packet import Packet, Region, examine
from protocol.times import qn_text, time_text

NOTICES_UP = frozenset({"1013", "9015"})
"""Notices of the logger: answered with 9013. 9015 is the heartbeat of later editions."""


def _nothing(*_: object) -> None:
    """No one listens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What most users of the platform leave as it is."""

    timing: Timing = field(default_factory=Timing)
    calibrate: bool = False
    """Follow a 1013 with a 1012 that brings the platform's time (Table C.4)."""
    keep: int = 100_000
    """How many packets `received` and the search for repeated ones go back."""
    on_link: Callable[[str, bool], None] = _nothing
    """Gets the peer's address, and whether its link is up."""
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

    def heard(self, packet: Packet, link: Link) -> None:
        """Take over what a packet shows."""
        self.link = link
        if packet.st != "91":
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
        self._memory = Memory(self.options.keep)
        self._links: dict[Link, asyncio.Task[None]] = {}
        self._conversations: list[Conversation] = []
        self._calibrations: set[asyncio.Task[CommandResult]] = set()
        self._last_qn_ms = 0
        self._server: asyncio.Server | None = None
        self._news = asyncio.Event()

    async def start(self) -> None:
        """Listen; OSError when the address cannot be had."""
        host, _, port = self._listen.rpartition(":")
        self._server = await asyncio.start_server(self._serve, host.strip("[]"), int(port))

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        return int(self._server.sockets[0].getsockname()[1]) if self._server else 0

    @property
    def address(self) -> str:
        """`HOST:PORT` as a site file's `address` has it, once started."""
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
        self._listen = self.address
        await self._close()

    async def resume(self) -> None:
        """Be back, on the same port."""
        await self.start()

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._server = None
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
        logger = self.loggers.get(mn)
        if logger is None or not self.connected(mn):
            result = CommandResult(mn, cn, "", Outcome.NO_LOGGER)
        else:
            result = await self._converse(logger, cn, region)
        self.options.on_result(result)
        return result

    async def _converse(self, logger: Logger, cn: str, region: Region) -> CommandResult:
        header = Header(logger.st, logger.password, logger.mn)
        request = messages.command(header, cn, region, self._next_qn())
        conversation = Conversation(request, self.options.timing, self._clock, logger.write)
        self._conversations.append(conversation)
        try:
            result = await conversation.run()
        finally:
            self._conversations.remove(conversation)
        new_password = request.get("NewPW")
        if result.outcome is Outcome.DONE and new_password:
            logger.changed_password(new_password)
        return result

    def _next_qn(self) -> str:
        self._last_qn_ms = max(self._last_qn_ms + 1, self._clock.wall_ms())
        return qn_text(self._last_qn_ms)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None:  # accepted in the moment of closing
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
        findings += [Finding(note.code, note.params, grave=False) for note in examined.notes]
        if examined.ok and examined.packet is not None:
            self._packet(link, event, examined.packet, findings)
        else:
            self._record(Received(now_ms, link.peer, event.raw, examined.packet, tuple(findings)))

    def _packet(self, link: Link, frame: Frame, packet: Packet, findings: list[Finding]) -> None:
        now_ms = self._clock.wall_ms()
        repeat, odd = self._memory.judge(packet, frame.segment)
        findings += (*check(packet, now_ms), *odd)
        answer = self._answer(packet)
        self._heard(packet, link)
        answer_cn = answer.cn if answer else None
        self._record(Received(now_ms, link.peer, frame.raw, packet, tuple(findings), repeat, answer_cn))
        if answer is not None:
            self._send_answer(link, packet, answer)
        for conversation in self._conversations:
            if conversation.request.mn == packet.mn and conversation.concerns(packet):
                conversation.inbox.put_nowait(packet)
        if packet.cn == "1013" and self.options.calibrate and repeat is Repeat.FIRST:
            self._bring_time(packet.mn)

    def _heard(self, packet: Packet, link: Link) -> None:
        if not packet.mn:
            return
        logger = self.loggers.get(packet.mn)
        if logger is None:
            logger = self.loggers[packet.mn] = Logger(packet.mn, packet.st, packet.pw or "", link)
        logger.heard(packet, link)

    def _answer(self, packet: Packet) -> Packet | None:
        cn = packet.cn
        answers = cn in NOTICES_UP or not cn.startswith("9")
        if not (packet.wants_answer and packet.qn and answers and self.profile.answers(cn)):
            return None
        return self.profile.shaped(notice_answer(packet) if cn in NOTICES_UP else data_answer(packet), packet)

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
        task = asyncio.create_task(
            self.command(mn, "1012", (("SystemTime", time),)), name=f"bench-calibrate[{mn}]"
        )
        self._calibrations.add(task)
        task.add_done_callback(self._calibrations.discard)
