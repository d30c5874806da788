"""One link to a platform: connects, reads frames, writes frames; what they mean is the sessions' business.

    Link.run ─ open ─ serve ─┬─ read ──▶ Session.received (by MN, answers by QN)
             ▲               ├─ Session.pump   one per MN on this link
             └── back-off ◀──┘  ends when the peer closes, TCP dies, or a session asks for it

What the bytes go over is the transport's business (`ways`). One frame per write (some platforms take a segment for a
packet), `frame_gap` between frames.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from edge.catalogue import explain, text
from edge.clock import Clock
from edge.logs import get_logger
from edge.uplink.transport import Connection, LinkDown, Transport, cause_of
from protocol.crc import Variant
from protocol.errors import ProtocolError
from protocol.frame import Dropped, Frame, FrameDecoder
from protocol.packet import Packet, damaged

BACKOFF_S = (1.0, 60.0)
STEADY_S = 60.0
"""A link that lived this long starts the back-off anew."""
READ_SIZE = 16_384
WRITE_S = 60.0
"""Longer than TCP waits for its peer (`dial.USER_TIMEOUT_MS`)."""
LISTEN_S = 5.0
"""How often half a frame that stalled is looked at."""


class LinkUser(Protocol):
    """A session as its link sees it."""

    mn: str
    st: str

    def expects(self, packet: Packet) -> bool:
        """Whether the packet answers one of the session's, whatever MN it bears."""
        ...

    def received(self, packet: Packet, frame: bytes, link: Link) -> bool:
        """Take a packet and the bytes it came as; False: not mine."""
        ...

    def received_damaged(self, packet: Packet) -> None:
        """Take what can be read of a packet whose check code is wrong."""
        ...

    async def pump(self, link: Link) -> None:
        """Send while the link is up."""
        ...


class LinkWatcher(Protocol):
    """Who keeps the link log."""

    def up(self, link: Link) -> None:
        """A connection has begun."""
        ...

    def down(self, link: Link, cause: str, detail: str) -> None:
        """It has ended."""
        ...


class Link:
    """One connection at a time, for one or several MNs of one platform."""

    def __init__(
        self,
        name: str,
        transport: Transport,
        users: Sequence[LinkUser],
        clock: Clock,
        *,
        frame_gap_s: float = 0.0,
        crc: Variant = "hj212",
        read_packet: Callable[[bytes], Packet] = Packet.from_segment,
        cap: int = 9_999,
        link_up: asyncio.Event | None = None,
        on_event: Callable[[str, dict[str, Any]], None] = lambda _code, _params: None,
        watcher: LinkWatcher | None = None,
    ) -> None:
        self.name = name
        self.transport = transport
        self.address = ""
        """The site file's address that is in use, or was last."""
        self.peer = ""
        self.connected_since: int | None = None
        self.down_since: int | None = None
        """UTC ms; None while connected, and until the first attempt."""
        self.connects = 0
        self.failures = 0
        """Attempts to connect that came to nothing."""
        self.bytes_in = 0
        self.bytes_out = 0
        self.bad_frames = 0
        self.last_error = ""
        self.last_cause = ""
        """Of the last end or failed attempt, of `transport.CAUSES`."""
        self.last_detail = ""
        """What there is to say besides."""
        self._users = users
        self._clock = clock
        self._gap_s = frame_gap_s
        self._crc: Variant = crc
        self._read_packet = read_packet
        self._cap = cap
        self._link_up = link_up or asyncio.Event()
        self._on_event = on_event
        self._watcher = watcher
        self._connection: Connection | None = None
        self._write_lock = asyncio.Lock()
        self._log = get_logger("link", link=name)

    async def run(self) -> None:
        """Stay connected for ever; every failure is a back-off and another try."""
        wait_s = BACKOFF_S[0]
        self.down_since = self._clock.wall_ms()
        try:
            while True:
                began = self._clock.mono_s()
                served = await self._once()
                if self._clock.mono_s() - began > STEADY_S or (served and self.transport.waits):
                    wait_s = BACKOFF_S[0]
                await self._back_off(wait_s)
                wait_s = min(wait_s * 2, BACKOFF_S[1])
        finally:
            self.transport.close()

    async def write(self, frame: bytes) -> None:
        """One frame, one write; raises OSError when the link is dead."""
        connection = self._connection
        if connection is None:
            raise LinkDown("closed")
        async with self._write_lock:
            connection.writer.write(frame)
            self.bytes_out += len(frame)
            await self._drain(connection)
            if self._gap_s:
                await self._clock.sleep(self._gap_s)

    async def send(self, qn: str, frame: bytes) -> None:
        """An upload: its answer comes with this QN."""
        await self.write(frame)

    async def _drain(self, connection: Connection) -> None:
        """Until there is room for more; a serial port may be stuck, where TCP gives up by itself. Raises LinkDown."""
        try:
            async with asyncio.timeout(WRITE_S) as limit:
                await connection.writer.drain()
        except TimeoutError:
            raise (LinkDown("not-drained") if limit.expired() else LinkDown("timeout")) from None

    def refused(self) -> dict[str, int]:
        """How often whom was not let in, where the platform connects to us."""
        return dict(self.transport.refused)

    def drained(self) -> bool:
        """Whether all that was written has left the send queue and, by TCP, is acknowledged by the peer."""
        return self._connection is not None and self._connection.drained()

    async def _once(self) -> bool:
        """One connection from its beginning to its end, or an attempt; whether there was one."""
        try:
            connection = await self.transport.open()
        except (OSError, LinkDown) as error:
            self.failures += 1
            self._lost(*cause_of(error))
            return False
        self._began(connection)
        # a task of its own: a TaskGroup whose part fails at the moment of our cancellation forgets the cancellation
        serving = asyncio.get_running_loop().create_task(self._serve(connection), name=f"serve[{self.name}]")
        try:
            await asyncio.wait({serving})
        except asyncio.CancelledError:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            self._ended(connection, "stopped", "")
            raise
        fault = serving.exception()
        self._ended(connection, *cause_of(connection.closing or fault or LinkDown("failed")))
        if isinstance(fault, BaseExceptionGroup) and fault.split((OSError, LinkDown))[1] is not None:
            raise fault
        return True

    def _began(self, connection: Connection) -> None:
        self._link_up.clear()  # what came up until now has served
        self._connection = connection
        self.address, self.peer = connection.address, connection.peer
        self.connected_since, self.down_since = self._clock.wall_ms(), None
        self.connects += 1
        self._on_event("edge.link-up", {"link": self.name, "peer": self.peer})
        if self._watcher is not None:
            self._watcher.up(self)

    async def _serve(self, connection: Connection) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read(connection), name=f"read[{self.name}]")
            for user in self._users:
                group.create_task(user.pump(self), name=f"pump[{self.name}/{user.mn}]")

    def _ended(self, connection: Connection, cause: str, detail: str) -> None:
        connection.close(LinkDown(cause, detail))
        self._connection = None
        self.connected_since, self.down_since = None, self._clock.wall_ms()
        if self._watcher is not None:
            self._watcher.down(self, cause, detail)
        if cause != "stopped":
            self._lost(cause, detail)

    async def _read(self, connection: Connection) -> None:
        decoder = FrameDecoder(cap=self._cap, variant=self._crc)
        while True:
            data = await self._read_some(connection)
            found = decoder.feed(data, self._clock.mono_s()) if data else decoder.tick(self._clock.mono_s())
            for item in found:
                if isinstance(item, Dropped):
                    self._dropped(item)
                else:
                    self._dispatch(item)

    def _dropped(self, item: Dropped) -> None:
        self.bad_frames += 1
        self._on_event("edge.bad-frame", {"link": self.name, "why": explain(item.error)})
        for packet in damaged(item.data):
            min(self._users, key=lambda user: user.mn != packet.mn).received_damaged(packet)

    async def _read_some(self, connection: Connection) -> bytes:
        """Bytes; empty after LISTEN_S without any; raises LinkDown at the end."""
        try:
            async with asyncio.timeout(LISTEN_S / self._clock.speed) as limit:
                data = await connection.reader.read(READ_SIZE)
        except TimeoutError:
            if not limit.expired():
                raise  # TCP has given the peer up: ETIMEDOUT is a TimeoutError too
            return b""
        if not data:
            raise connection.closing or LinkDown(connection.end_cause)
        self.bytes_in += len(data)
        return data

    def _dispatch(self, frame: Frame) -> None:
        try:
            packet = self._read_packet(frame.segment)
        except ProtocolError as error:
            self.bad_frames += 1
            self._on_event("edge.bad-packet", {"link": self.name, "why": explain(error)})
            return
        # one MN may send under several ST: pollutants and process conditions (工况)
        owners = sorted(self._users, key=lambda u: (not u.expects(packet), u.mn != packet.mn, u.st != packet.st))
        if not any(user.received(packet, frame.raw, self) for user in owners):
            self._on_event("edge.stray-packet", {"link": self.name, "cn": packet.cn, "qn": packet.qn or ""})

    def _lost(self, cause: str, detail: str) -> None:
        self.last_cause, self.last_detail = cause, detail
        why = text(f"edge.cause.{cause}") + (f" ({detail})" if detail else "")
        if why != self.last_error or self.peer:
            self._on_event("edge.link-down", {"link": self.name, "why": why})
        self.last_error = why
        self.peer = ""

    async def _back_off(self, wait_s: float) -> None:
        """Jittered wait, ended at once when a local network link comes up, or came up during the last attempt."""
        try:
            async with asyncio.timeout(wait_s * random.uniform(0.5, 1.0) / self._clock.speed):
                await self._link_up.wait()
        except TimeoutError:
            return
        self._link_up.clear()
