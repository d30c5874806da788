"""A serial line in virtual time: bytes arrive one by one when the wire would deliver them; nothing really waits."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence

from drivers.errors import PortLost

Answers = Sequence[tuple[float, bytes]]
"""What comes back after a request: (seconds after the request's last bit, bytes)."""


def reference_crc(frame: bytes) -> bytes:
    """Modbus CRC bit by bit, from its polynomial."""
    rest = 0xFFFF
    for byte in frame:
        rest ^= byte
        for _ in range(8):
            rest = (rest >> 1) ^ (0xA001 if rest & 1 else 0)
    return rest.to_bytes(2, "little")


def framed(text: str) -> bytes:
    """Hex text and its CRC."""
    body = bytes.fromhex(text)
    return body + reference_crc(body)


class VirtualTime:
    """Monotonic and wall time of one simulated world; also a `LineClock`."""

    speed = 1.0

    def __init__(self, wall_ms: int = 1_763_775_000_000) -> None:
        self.now = 1_000.0
        self._offset_ms = wall_ms - 1_000_000

    def mono_s(self) -> float:
        return self.now

    def wall_ms(self) -> int:
        return int(self.now * 1000) + self._offset_ms

    def step_wall(self, ms: int) -> None:
        self._offset_ms += ms


class VirtualPort:
    """A port whose far end is a function: request and time in, answers out."""

    rs485: bool | None = None

    def __init__(self, time: VirtualTime, peer: Callable[[bytes, float], Answers], baud: int = 9600) -> None:
        self.time = time
        self.peer = peer
        self.char_s = 10 / baud
        self.written: list[tuple[float, bytes]] = []
        self.closed = False
        self.lost = False
        self._order = itertools.count()
        self._coming: list[tuple[float, int, int]] = []

    def deliver(self, at: float, data: bytes) -> None:
        """Put bytes on the wire, the first complete one character after `at`."""
        for index, byte in enumerate(data):
            heapq.heappush(self._coming, (at + (index + 1) * self.char_s, next(self._order), byte))

    def write(self, data: bytes) -> None:
        self._check()
        self.written.append((self.time.now, data))
        end = self.time.now + len(data) * self.char_s
        for delay, answer in self.peer(data, end):
            self.deliver(end + delay, answer)

    def read(self) -> bytes:
        self._check()
        data = bytearray()
        while self._coming and self._coming[0][0] <= self.time.now:
            data.append(heapq.heappop(self._coming)[2])
        return bytes(data)

    def wait(self, seconds: float) -> bool:
        self._check()
        until = self.time.now + max(0.0, seconds)
        if self._coming and self._coming[0][0] <= until:
            self.time.now = max(self.time.now, self._coming[0][0])
            return True
        self.time.now = until
        return False

    def pause(self, seconds: float) -> None:
        self.time.now += max(0.0, seconds)

    def close(self) -> None:
        self.closed = True

    def _check(self) -> None:
        if self.lost:
            raise PortLost("drivers.port-gone", port="virtual")
