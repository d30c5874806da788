"""One TCP connection of a logger, as the platform's profile lets it be: reads frames, writes answers, closes.

logger ──bytes──▶ FrameDecoder ──Frame | Dropped──▶ platform
       ◀─bytes── one queue in order, each answer not before its time, whole or byte by byte
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from edge.bench.profiles import Profile
from edge.clock import Clock
from protocol.errors import BadFrame
from protocol.frame import MAX_SEGMENT, Dropped, Frame, FrameDecoder

READ_BYTES = 65536
STALL_S = 5.0
"""A frame that has not come to its end after this time never will."""


@dataclass(frozen=True, slots=True)
class _Outgoing:
    data: bytes
    due_s: float
    byte_gap_s: float | None


class _Closed(Exception):
    """The logger has closed the link, or it was idle for too long."""


class Link:
    """A connection; `on_event` gets the link and each frame or each run of dropped bytes."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        clock: Clock,
        profile: Callable[[], Profile],
        on_event: Callable[[Link, Frame | Dropped], None],
    ) -> None:
        host, port = writer.get_extra_info("peername")[:2]
        self.peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._reader = reader
        self._writer = writer
        self._clock = clock
        self._profile = profile
        self._on_event = on_event
        self._decoder = _decoder()
        self._outgoing: asyncio.Queue[_Outgoing] = asyncio.Queue()
        self._heard_s = clock.mono_s()

    async def run(self) -> None:
        """Serve the connection until either side closes it."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read(), name=f"bench-read[{self.peer}]")
                tasks.create_task(self._write(), name=f"bench-write[{self.peer}]")
                tasks.create_task(self._watch(), name=f"bench-watch[{self.peer}]")
        except* (_Closed, OSError):
            pass  # either end of a link is its ordinary end
        finally:
            self.drop()

    def send(self, data: bytes, delay_s: float = 0.0, byte_gap_s: float | None = None) -> None:
        """Write `data` after `delay_s`, behind what is waiting already."""
        self._outgoing.put_nowait(_Outgoing(data, self._clock.mono_s() + delay_s, byte_gap_s))

    def drop(self) -> None:
        """Close at once, without waiting for what is still to be written."""
        self._writer.transport.abort()

    async def _read(self) -> None:
        try:
            while chunk := await self._reader.read(READ_BYTES):
                self._heard_s = self._clock.mono_s()
                self._tell(self._decoded(chunk))
        finally:
            self._tell(self._decoder.flush())
        raise _Closed

    def _tell(self, events: Iterable[Frame | Dropped]) -> None:
        for event in events:
            self._on_event(self, event)

    def _decoded(self, chunk: bytes) -> list[Frame | Dropped]:
        now = self._clock.mono_s()
        if not self._profile().one_per_segment:
            return self._decoder.feed(chunk, now)
        decoder = _decoder()
        events = [*decoder.feed(chunk, now), *decoder.flush()]
        frames = [event for event in events if isinstance(event, Frame)]
        unread = BadFrame("bench.one_per_segment")
        return [Dropped(event.raw, unread) if event in frames[1:] else event for event in events]

    async def _write(self) -> None:
        while True:
            outgoing = await self._outgoing.get()
            await self._clock.sleep(outgoing.due_s - self._clock.mono_s())
            if outgoing.byte_gap_s is None:
                self._writer.write(outgoing.data)
                await self._writer.drain()
                continue
            for byte in outgoing.data:
                self._writer.write(bytes((byte,)))
                await self._writer.drain()
                await self._clock.sleep(outgoing.byte_gap_s)

    async def _watch(self) -> None:
        """Once in a while: has a frame stalled, has the link been idle for too long?"""
        while True:
            idle_s = self._profile().idle_s
            now = self._clock.mono_s()
            if idle_s is not None and now - self._heard_s >= idle_s:
                raise _Closed
            self._tell(self._decoder.tick(now))
            await self._clock.sleep(1.0 if idle_s is None else min(1.0, self._heard_s + idle_s - now))


def _decoder() -> FrameDecoder:
    # Segments over 1024 bytes are common in the field: they are read, and noted.
    return FrameDecoder(cap=MAX_SEGMENT, stall_s=STALL_S)
