"""A logger that was offline, in virtual time: an outbox full of minutes that say when they are of, and lean platforms.

Shared by the benchmark of the uplink and the torture test: what they measure is how the backlog drains, and that live
data do not wait for it. A lean platform keeps no packet, so that memory is the logger's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from virtual_time import MINUTE_MS, NOON, MemoryEnd, Profile, ScriptedPlatform, World

from edge.store import outbox, records
from edge.store.outbox import Due
from edge.values import Kind, Record
from protocol.packet import Packet
from protocol.times import parse_time

CHUNK = 1_000
STEPS = 10_000


def step(start: int) -> int:
    """A number that tells minutes apart, for some days."""
    return start // MINUTE_MS % STEPS


def sealed(start: int) -> Record:
    """The minute's only record; its mean tells which minute it is."""
    return Record("ww1", Kind.MINUTE, "w01018", start, avg=step(start) / 10, count=12)


def on_wire(start: int) -> str:
    """What its Avg must look like, worked out without the product's code."""
    whole, tenth = divmod(step(start), 10)
    return f"{whole}.{tenth}"


def fill(world: World, count: int, platforms: Sequence[str]) -> None:
    """`count` minutes up to NOON, sealed and due for each platform."""
    for first in range(-count, 0, CHUNK):
        starts = [NOON + number * MINUTE_MS for number in range(first, min(first + CHUNK, 0))]
        dues = [Due(name, "ww1", "2051", start, end=start + MINUTE_MS) for start in starts for name in platforms]
        world.store.now(records.seal, [sealed(start) for start in starts], dues, NOON)
    assert len(world.store.now(outbox.open_deliveries, platforms[0], "ww1")) == min(count, 100)


class LeanPlatform(ScriptedPlatform):
    """Counts what comes; `arrived[i]`: how often the i-th minute of the backlog has."""

    def __init__(self, count: int, *, silent: bool = False) -> None:
        super().__init__(Profile(silent=silent))
        self.arrived = bytearray(count)
        self.wrong = 0
        self.ways_s: list[tuple[float, float]] = []
        """Live packets: when they came, and how long after they were offered; virtual seconds."""

    def take(self, frame: bytes, end: MemoryEnd) -> None:
        """A frame has arrived."""
        packet = Packet.from_segment(frame[6 : 6 + int(frame[2:6])])
        self._look(packet)
        for answer in self._answers(packet):
            end.deliver(answer, self.rtt_s / 2)
        self.answered.clear()

    def _look(self, packet: Packet) -> None:
        if packet.cn not in ("2011", "2051"):
            return
        start = parse_time(packet.get("DataTime") or "")
        place = (start - NOON) // MINUTE_MS + len(self.arrived)
        if packet.cn == "2011" or place >= len(self.arrived):
            due = start if packet.cn == "2011" else start + MINUTE_MS
            now_s = asyncio.get_running_loop().time()
            self.ways_s.append((now_s, now_s - (due - NOON) / 1000))
            return
        self.arrived[place] = min(self.arrived[place] + 1, 255)
        said = dict(pair for item in packet.data[1:] for pair in item)
        self.wrong += said.get("w01018-Avg") != on_wire(start)
