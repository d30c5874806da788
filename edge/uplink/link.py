"""One TCP link to a platform: connects, reads frames, writes frames; what they mean is the sessions' business.

    Link.run ─ connect ─ serve ─┬─ read ──▶ Session.received (by MN, answers by QN)
             ▲                  ├─ Session.pump   one per MN on this link
             └── back-off ◀─────┘  ends when the peer closes, TCP dies, or a session asks for it

One frame per write and TCP_NODELAY (some platforms take a segment for a packet), `frame_gap` between frames.
"""

from __future__ import annotations

import asyncio
import fcntl
import random
import socket
import struct
import termios
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from edge.catalogue import explain
from edge.clock import Clock
from edge.logs import get_logger
from protocol.crc import Variant
from protocol.errors import ProtocolError
from protocol.frame import Dropped, Frame, FrameDecoder
from protocol.packet import Packet, damaged

CONNECT_TIMEOUT_S = 10.0
USER_TIMEOUT_MS = 30_000
"""Written bytes unacknowledged by the peer's TCP for this long: the link is dead (TCP_USER_TIMEOUT)."""
BACKOFF_S = (1.0, 60.0)
STEADY_S = 60.0
"""A link that lived this long starts the back-off anew."""
READ_SIZE = 16_384
LISTEN_S = 5.0
"""How often half a frame that stalled is looked at."""


class LinkDown(Exception):
    """The link ended; the text says why."""


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


def split_address(address: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port`."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _tune(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)


class Link:
    """One TCP connection for one or several MNs of one platform."""

    def __init__(
        self,
        name: str,
        address: str,
        users: Sequence[LinkUser],
        clock: Clock,
        *,
        frame_gap_s: float = 0.0,
        crc: Variant = "hj212",
        read_packet: Callable[[bytes], Packet] = Packet.from_segment,
        cap: int = 9_999,
        link_up: asyncio.Event | None = None,
        on_event: Callable[[str, dict[str, Any]], None] = lambda _code, _params: None,
    ) -> None:
        self.name = name
        self.address = address
        self.peer = ""
        self.connected_since: int | None = None
        self.connects = 0
        self.bad_frames = 0
        self.last_error = ""
        self._users = users
        self._clock = clock
        self._gap_s = frame_gap_s
        self._crc: Variant = crc
        self._read_packet = read_packet
        self._cap = cap
        self._link_up = link_up or asyncio.Event()
        self._on_event = on_event
        self._writer: asyncio.StreamWriter | None = None
        self._write_lock = asyncio.Lock()
        self._closing = ""
        self._log = get_logger("link", link=name)

    async def run(self) -> None:
        """Stay connected for ever; every failure is a back-off and another try."""
        wait_s = BACKOFF_S[0]
        while True:
            began = self._clock.mono_s()
            try:
                await self._once()
            except* (OSError, LinkDown, TimeoutError) as group:
                self._lost(_reason(group))
            if self._clock.mono_s() - began > STEADY_S:
                wait_s = BACKOFF_S[0]
            await self._back_off(wait_s)
            wait_s = min(wait_s * 2, BACKOFF_S[1])

    async def write(self, frame: bytes) -> None:
        """One frame, one write; raises OSError when the link is dead."""
        writer = self._writer
        if writer is None:
            raise LinkDown("closed")
        async with self._write_lock:
            writer.write(frame)
            await writer.drain()
            if self._gap_s:
                await self._clock.sleep(self._gap_s)

    async def send(self, qn: str, frame: bytes) -> None:
        """An upload: its answer comes with this QN."""
        await self.write(frame)

    def drained(self) -> bool:
        """Whether all that was written has left the send queue and the peer's TCP has acknowledged it (SIOCOUTQ)."""
        writer = self._writer
        if writer is None or writer.transport.get_write_buffer_size():
            return False
        sock = writer.get_extra_info("socket")
        left = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
        return bool(struct.unpack("i", left)[0] == 0)

    def close(self, why: str) -> None:
        """End this connection (the link connects again after the back-off)."""
        self._closing = why
        if self._writer is not None:
            self._writer.close()

    async def _once(self) -> None:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            reader, writer = await self._open()
        self._closing = ""
        self._link_up.clear()  # what came up until now has served
        try:
            self.peer = _peer(writer)
            self._writer = writer
            self.connected_since = self._clock.wall_ms()
            self.connects += 1
            self._on_event("edge.link-up", {"link": self.name, "peer": self.peer})
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read(reader), name=f"read[{self.name}]")
                for user in self._users:
                    group.create_task(user.pump(self), name=f"pump[{self.name}/{user.mn}]")
        finally:
            self._writer = None
            self.connected_since = None
            writer.close()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = split_address(self.address)
        reader, writer = await asyncio.open_connection(host, port)
        _tune(writer.get_extra_info("socket"))
        return reader, writer

    async def _read(self, reader: asyncio.StreamReader) -> None:
        decoder = FrameDecoder(cap=self._cap, variant=self._crc)
        while True:
            data = await self._read_some(reader)
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

    async def _read_some(self, reader: asyncio.StreamReader) -> bytes:
        """Bytes; empty after LISTEN_S without any; raises LinkDown at the end."""
        try:
            async with asyncio.timeout(LISTEN_S / self._clock.speed):
                data = await reader.read(READ_SIZE)
        except TimeoutError:
            return b""
        if not data:
            raise LinkDown(self._closing or "closed by the platform")
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

    def _lost(self, why: str) -> None:
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


def _peer(writer: asyncio.StreamWriter) -> str:
    """`host:port` of the other end; raises LinkDown where it has hung up already."""
    peer = writer.get_extra_info("peername")
    if peer is None:
        raise LinkDown("closed by the platform")
    return f"{peer[0]}:{peer[1]}"


def _reason(group: BaseExceptionGroup[Any]) -> str:
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return str(first) or type(first).__name__
