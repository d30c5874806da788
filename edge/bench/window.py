"""How many unanswered packets a platform bears, found as a logger that asks for time calibration.

    1013 ──▶                    window 1      ◀── 9013
    1013 1013 ──▶               window 2      ◀── 9013 9013
    1013 1013 1013 1013 ──▶     window 4 …    up to the first window that is not answered in full

Only 1013 is sent (§6.5, C.4): a notice without data. A data packet would be a legal act of the site, and count as its
connection. A platform may follow a 1013 with commands, usually 1012: they are answered with QnRtn 2 and not carried
out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from edge.bench.errors import NotTested, reason_of
from edge.bench.waiting import within
from edge.clock import Clock
from protocol import commands
from protocol.crc import Variant
from protocol.errors import ProtocolError
from protocol.exchange import Exchange
from protocol.frame import MAX_SEGMENT, Frame, FrameDecoder, Tail, wrap
from protocol.messages import Header, command, request_answer
from protocol.packet import Packet
from protocol.times import qn_text

CONNECT_S = 10.0
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_ANSWERS = frozenset({"9013", "9014"})
"""Sloppy platforms answer everything with 9014."""
_REFUSED = "2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A platform, and how the station is known to it."""

    address: str
    header: Header
    role: str = "other"
    crc: Variant = "hj212"
    tail: Tail = "crlf"
    open: Callable[[], Awaitable[Streams]] | None = None
    """The way there, raises OSError; None: plain TCP."""
    connect_s: float = CONNECT_S

    async def opened(self) -> Streams:
        """A connection to it."""
        if self.open is not None:
            return await self.open()
        host, _, port = self.address.rpartition(":")
        return await asyncio.open_connection(host.strip("[]"), int(port))


@dataclass(frozen=True, slots=True)
class Trial:
    """One window: how many packets went out at once, how many were answered in time, how long the last took."""

    window: int
    answered: int
    seconds: float
    is_open: bool
    """Whether the platform kept the link."""

    @property
    def fine(self) -> bool:
        """Every packet was answered."""
        return self.answered == self.window


async def find_window(
    target: Target, most: int, timeout_s: float, clock: Clock, on_trial: Callable[[Trial], None]
) -> list[Trial]:
    """Windows 1, 2, 4 … `most`, until one is not answered in full. NotTested: nobody listens at the address."""
    try:
        opened = await within(clock, target.connect_s, target.opened())
    except OSError as error:
        raise NotTested("bench.window.no_link", address=target.address, reason=reason_of(error)) from error
    if opened is None:
        raise NotTested("bench.window.no_link", address=target.address, reason=f"{target.connect_s:g} s")
    probe = _Probe(*opened, target, timeout_s, clock)
    try:
        return await _grow(probe, most, on_trial)
    finally:
        opened[1].close()


async def _grow(probe: _Probe, most: int, on_trial: Callable[[Trial], None]) -> list[Trial]:
    trials: list[Trial] = []
    window = 1
    while window <= most:
        trials.append(await probe.trial(window))
        on_trial(trials[-1])
        if not trials[-1].fine or window == most:
            break
        window = min(window * 2, most)
    return trials


def largest(trials: list[Trial]) -> int:
    """The largest window at which every packet was answered; 0: not even one."""
    return max((trial.window for trial in trials if trial.fine), default=0)


class _Probe:
    """One link to the platform, in the role of a logger."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        target: Target,
        timeout_s: float,
        clock: Clock,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._target = target
        self._timeout_s = timeout_s
        self._clock = clock
        self._decoder = FrameDecoder(cap=MAX_SEGMENT, variant=target.crc)
        self._last_qn_ms = 0

    async def trial(self, window: int) -> Trial:
        """So many notices in one write each, without waiting; then their answers."""
        exchange = Exchange(self._timeout_s, 0, window)
        begun = self._clock.mono_s()
        for _ in range(window):
            notice = command(self._target.header, "1013", (), self._next_qn())
            exchange.send(notice.qn or "", self._frame(notice), begun, expect=_ANSWERS)
            self._writer.write(self._frame(notice))
        is_open = await self._await(exchange, begun + self._timeout_s)
        missing = len(exchange.open())
        last = exchange.last_answer or self._clock.mono_s()
        return Trial(window, window - missing, last - begun, is_open)

    async def _await(self, exchange: Exchange, due_s: float) -> bool:
        """Until all is answered or the time is over; whether the link still stands."""
        while exchange.open() and (left := due_s - self._clock.mono_s()) > 0:
            try:
                chunk = await within(self._clock, left, self._reader.read(65536))
            except OSError:
                return False
            if chunk == b"":
                return False
            now = self._clock.mono_s()
            for event in self._decoder.feed(chunk or b"", now):
                if isinstance(event, Frame):
                    self._arrived(event, exchange, now)
        return True

    def _arrived(self, frame: Frame, exchange: Exchange, now: float) -> None:
        try:
            packet = Packet.from_segment(frame.segment)
        except ProtocolError:
            return
        if exchange.answer(packet, now) is not None or packet.cn in _ANSWERS:
            return
        if packet.wants_answer and commands.command(packet.cn, "to-logger") is not None:
            self._writer.write(self._frame(request_answer(packet, _REFUSED)))

    def _frame(self, packet: Packet) -> bytes:
        return wrap(packet.to_segment(), self._target.crc, self._target.tail)

    def _next_qn(self) -> str:
        self._last_qn_ms = max(self._last_qn_ms + 1, self._clock.wall_ms())
        return qn_text(self._last_qn_ms)
