"""Listening to a line that is at work: what was written to it and read from it, while somebody listens.

    line ── write / read ──▶ TappedPort ──▶ port
                                 └─▶ Tap ─ since(number) ─▶ whoever listens, from any thread

Nothing is asked for it and nothing waits for it: a listener that is slow loses the oldest frames.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from drivers.port import Port

KEPT = 1_000
"""Pieces that wait for a listener at most."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Bytes in one direction, at a monotonic time; `number` rises by 1 from piece to piece."""

    number: int
    at_s: float
    to_instrument: bool
    data: bytes


class Tap:
    """What goes over one line, for its listeners."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._now = monotonic
        self._kept: deque[Heard] = deque(maxlen=KEPT)
        self._numbers = itertools.count(1)
        self._listeners = 0

    def listen(self, more: int) -> None:
        """One listener more (1) or less (-1); without any nothing is kept."""
        self._listeners += more
        if not self._listeners:
            self._kept.clear()

    def heard(self, to_instrument: bool, data: bytes) -> None:
        """Called by the line's thread."""
        if self._listeners:
            self._kept.append(Heard(next(self._numbers), self._now(), to_instrument, data))

    def since(self, number: int) -> list[Heard]:
        """What came behind this number; a gap in the numbers is what was lost."""
        return [piece for piece in self._kept.copy() if piece.number > number]


class TappedPort:
    """A port whose bytes a tap sees."""

    def __init__(self, port: Port, tap: Tap) -> None:
        self._port = port
        self._tap = tap
        self.wait = port.wait
        self.pause = port.pause
        self.close = port.close
        self.rs485 = port.rs485

    def write(self, data: bytes) -> None:
        """Hand one frame to the port."""
        self._port.write(data)
        self._tap.heard(True, data)

    def read(self) -> bytes:
        """What has come so far."""
        data = self._port.read()
        if data:
            self._tap.heard(False, data)
        return data
