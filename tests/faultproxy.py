"""A loopback TCP proxy between a logger and a platform whose faults are switched while it runs.

logger ──up──▶ proxy ──up──▶ platform        each direction has a fault of its own
       ◀─down─       ◀─down─

async with FaultProxy("127.0.0.1", platform.port) as proxy:
    proxy.down = SWALLOW                 the platform stores, its answers never arrive
    proxy.cut(); await proxy.refuse()    the link dies; nobody listens
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What one direction does to the bytes."""

    stall: bool = False
    """Hold the bytes back until the fault changes."""
    swallow: bool = False
    """Take the bytes and give nothing on: with both directions, a half-open link."""
    copies: int = 1
    bytewise: bool = False
    delay_s: float = 0.0
    cut_after: int | None = None
    """Give on so many bytes of the next chunk, then cut the link."""
    rate: float = 0.0
    """Bytes a second; 0: as fast as they come."""
    change: Callable[[bytes], bytes] | None = None
    """What becomes of a chunk."""


PASS = Fault()
STALL = Fault(stall=True)
SWALLOW = Fault(swallow=True)
BYTEWISE = Fault(bytewise=True)
DUPLICATE = Fault(copies=2)


class FaultProxy:
    """Listens on 127.0.0.1; `up` and `down` may be changed at any time, also while bytes are held back."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._links: dict[asyncio.Task[None], tuple[asyncio.StreamWriter, ...]] = {}
        self._faults = {"up": PASS, "down": PASS}
        self._changed = asyncio.Event()
        self.port = 0
        self.accepted = 0
        self.on_accept: Callable[[], None] = lambda: None
        self.passed = {"up": 0, "down": 0}
        """Bytes given on."""
        self.swallowed = {"up": 0, "down": 0}

    @property
    def up(self) -> Fault:
        return self._faults["up"]

    @up.setter
    def up(self, fault: Fault) -> None:
        self._set("up", fault)

    @property
    def down(self) -> Fault:
        return self._faults["down"]

    @down.setter
    def down(self, fault: Fault) -> None:
        self._set("down", fault)

    def _set(self, direction: str, fault: Fault) -> None:
        self._faults[direction] = fault
        self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition on the proxy; it is asked again when bytes pass or are swallowed."""
        while not condition():
            await self._changed.wait()

    def both(self, fault: Fault) -> None:
        self.up = self.down = fault

    async def __aenter__(self) -> FaultProxy:
        await self.accept()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.refuse()
        self.both(PASS)  # wakes what is held back
        self.cut()
        await asyncio.gather(*self._links)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def links(self) -> int:
        return len(self._links)

    async def accept(self) -> None:
        """Listen, on the same port as before."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Refuse new links; those that are there live on."""
        if self._server is not None:
            self._server.close()
        self._server = None

    def cut(self) -> None:
        """Reset every link, both sides."""
        for writers in self._links.values():
            for writer in writers:
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.accepted += 1
        self.on_accept()
        self._links[task] = (writer,)
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            self._links[task] = (writer, far_writer)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump("up", reader, far_writer), name="proxy-up")
                pumps.create_task(self._pump("down", far_reader, writer), name="proxy-down")
        except* OSError:
            pass
        finally:
            for each in self._links.pop(task):
                each.transport.abort()

    async def _pump(self, direction: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65536):
            while self._faults[direction].stall:
                await self._changed.wait()
            await self._give(direction, chunk, writer)
        while self._faults[direction].swallow:  # half-open: the other side never learns of the end
            await self._changed.wait()
        raise ConnectionAbortedError

    async def _give(self, direction: str, chunk: bytes, writer: asyncio.StreamWriter) -> None:
        fault = self._faults[direction]
        if fault.swallow:
            self.swallowed[direction] += len(chunk)
            self._tell()
            return
        if fault.delay_s:
            await asyncio.sleep(fault.delay_s)
        if fault.change is not None:
            chunk = fault.change(chunk)
        if fault.cut_after is not None:
            self._faults[direction] = PASS
            await self._write(direction, chunk[: fault.cut_after], writer)
            writer.close()  # unlike abort, lets the part arrive
            raise ConnectionAbortedError
        step = 1 if fault.bytewise else len(chunk)
        for _ in range(fault.copies):
            for at in range(0, len(chunk), step):
                await self._write(direction, chunk[at : at + step], writer)

    async def _write(self, direction: str, data: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        self.passed[direction] += len(data)
        self._tell()
        rate = self._faults[direction].rate
        await asyncio.sleep(len(data) / rate if rate else 0)
