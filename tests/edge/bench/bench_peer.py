"""A logger in a few lines, and a clock that moves when told to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from protocol.packet import Packet
from protocol.times import parse_time

NOW = parse_time("20160801085857223")
"""When the examples of Annex C happen."""


class ManualClock:
    """Time passes only in `advance`."""

    speed = 1.0

    def __init__(self) -> None:
        self._now = 0.0
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    def wall_ms(self) -> int:
        return NOW + round(self._now * 1000)

    def mono_s(self) -> float:
        return self._now

    def set_wall(self, ms: int) -> None:
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.Event()
        self._sleepers.append((self._now + seconds, woken))
        await woken.wait()

    async def advance(self, seconds: float) -> None:
        """Let time pass, sleeper by sleeper, and everything that they wake run."""
        end = self._now + seconds
        await settle()
        while (due := min((at for at, _ in self._sleepers), default=end + 1)) <= end:
            self._now = max(self._now, due)
            woken = [event for at, event in self._sleepers if at <= self._now]
            self._sleepers = [(at, event) for at, event in self._sleepers if at > self._now]
            for event in woken:
                event.set()
            await settle()
        self._now = end
        await settle()


async def settle() -> None:
    """Let every task that can run, run."""
    for _ in range(20):
        await asyncio.sleep(0)


class Peer:
    """A logger on a real socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def say(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))

    async def hear(self) -> bytes:
        """The next frame, with its CR LF."""
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n"), 5)

    async def hear_packet(self) -> Packet:
        return Packet.from_segment((await self.hear())[6:-6])

    async def ended(self) -> bool:
        """Wait until the platform closes; whether it said nothing more."""
        try:
            return await asyncio.wait_for(self.reader.read(), 5) == b""
        except ConnectionResetError:
            return True

    def heard_nothing(self) -> bool:
        return not self.reader._buffer  # type: ignore[attr-defined]  # what has arrived and nobody has read


Dial = Callable[[], Awaitable[Peer]]
