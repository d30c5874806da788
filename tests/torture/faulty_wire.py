"""A serial line in virtual time that is quick enough for millions of exchanges, and what wires and slaves do wrong.

    LineBus ── write ─▶ Wire ─▶ slave ─▶ its answer, right ─▶ Faults.spoil ─▶ bytes, each when the wire would bring it

Frames queue on the wire and never collide, as behind a serial server: a late answer arrives whole, which is worse.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

Pieces = list[tuple[float, bytes]]
"""(seconds after the request's last bit, bytes)."""
KINDS = (
    "silent", "noise", "damaged", "lost-bytes", "split", "glued", "echo", "late", "stranger", "wrong-length", "stuck"
)  # fmt: skip
OF_WIRES = ("noise", "damaged", "lost-bytes", "stuck")
"""Of these a TCP connection knows nothing."""
LATE_TIMEOUTS = 3.0
STUCK = 200
"""Bytes of a stuck transmitter, or ten times as many; no answer is as long."""


def _of_byte(rest: int) -> int:
    for _ in range(8):
        rest = rest >> 1 ^ 0xA001 if rest & 1 else rest >> 1
    return rest


_TABLE = tuple(_of_byte(byte) for byte in range(256))


def crc(body: bytes) -> bytes:
    """Modbus CRC by a table made from its polynomial."""
    rest = 0xFFFF
    for byte in body:
        rest = rest >> 8 ^ _TABLE[(rest ^ byte) & 0xFF]
    return rest.to_bytes(2, "little")


class VirtualClock:
    """Monotonic and wall time that pass when somebody waits."""

    speed = 1.0

    def __init__(self) -> None:
        self.now = 1_000.0

    def mono_s(self) -> float:
        return self.now

    def wall_ms(self) -> int:
        return 1_763_775_000_000 + int(self.now * 1000)


@dataclass(slots=True)
class _Frame:
    """Bytes on their way: in the order of `place`, the first one begins at `start`."""

    place: float
    start: float
    data: bytes


class Wire:
    """A port; `answer(request, end_s)` gives what comes back. A `stream` keeps the pieces of an answer together."""

    rs485: bool | None = None

    def __init__(
        self, clock: VirtualClock, answer: Callable[[bytes, float], Pieces], baud: int = 9600, *, stream: bool = False
    ) -> None:
        self._clock = clock
        self._answer = answer
        self._char_s = 10 / baud
        self._stream = stream
        self._coming: deque[_Frame] = deque()
        self._taken = 0

    def write(self, data: bytes) -> None:
        end = self._clock.now + len(data) * self._char_s
        pieces = self._answer(data, end)
        if not pieces:
            return
        began = self._coming.popleft() if self._taken else None
        first_s = end + pieces[0][0]
        new = (_Frame(first_s if self._stream else end + delay, end + delay, piece) for delay, piece in pieces)
        queue = sorted([*self._coming, *new], key=lambda frame: frame.place)
        self._coming = deque([began, *queue] if began else queue)
        free = 0.0
        for frame in self._coming:
            frame.start = max(frame.start, free)
            free = frame.start + len(frame.data) * self._char_s

    @property
    def stuck_until(self) -> float:
        """When the last of a stuck transmitter's bytes has passed; 0: none is on its way."""
        ends = (frame.start + len(frame.data) * self._char_s for frame in self._coming if len(frame.data) >= STUCK)
        return max(ends, default=0.0)

    def read(self) -> bytes:
        came = b""
        while self._coming:
            data = self._coming[0].data
            count = int((self._clock.now - self._coming[0].start) / self._char_s + 1e-6)
            if count <= self._taken:
                break
            came += data[self._taken : count]
            self._taken = min(count, len(data))
            if self._taken < len(data):
                break
            self._coming.popleft()
            self._taken = 0
        return came

    def wait(self, seconds: float) -> bool:
        until = self._clock.now + max(0.0, seconds)
        if self._coming:
            due = self._coming[0].start + (self._taken + 1) * self._char_s
            if due <= until:
                self._clock.now = max(self._clock.now, due)
                return True
        self._clock.now = until
        return False

    def pause(self, seconds: float) -> None:
        self._clock.now += max(0.0, seconds)

    def close(self) -> None:
        self._coming.clear()


@dataclass(slots=True)
class Faults:
    """What goes wrong, on `share` of the answers. `strangers(request)`: right answers to what was not asked."""

    dice: random.Random
    timeout_s: float
    strangers: Callable[[bytes, str], bytes]
    kinds: tuple[str, ...] = KINDS
    share: float = 0.2
    count: dict[str, int] = field(default_factory=dict)

    def spoil(self, request: bytes, answer: bytes) -> Pieces:
        """The answer on its way."""
        prompt = self.dice.uniform(0.004, 0.02)
        if self.dice.random() >= self.share:
            return [(prompt, answer)]
        kind = self.dice.choice(self.kinds)
        self.count[kind] = self.count.get(kind, 0) + 1
        return getattr(self, "_" + kind.replace("-", "_"))(request, answer, prompt)  # type: ignore[no-any-return]

    def _silent(self, request: bytes, answer: bytes, prompt: float) -> Pieces:
        return []

    def _noise(self, request: bytes, answer: bytes, prompt: float) -> Pieces:
        noise = self.dice.randbytes(self.dice.randint(1, 24))
        at = self.dice.choice((0, len(answer), self.dice.randrange(len(answer))))
        return [(prompt, answer[:at] + noise + answer[at:])]

    def _damaged(self, request: bytes, answer: bytes, prompt: float) -> Pieces:
        spoilt = bytearray(answer)
        for _ in range(self.dice.choice((1, 1, 2, 3, 8, 24))):
            spoilt[self.dice.randrange(len(spoilt))] ^= 1 << self.dice.randrange(8)
        return [(prompt, bytes(spoilt))]

    def _lost_bytes(self, request: bytes, answer: bytes, prompt: float) -> Pieces:
        at = self.dice.randrange(len(answer))
        return [(prompt, answer[:at] + answer[at + self.dice.randint(1, 4) :])]

    def _split(self, request: bytes, answer: bytes, prompt: float) -> Pieces:
        at = self.dice.randrange(1, len(answer))
        return [(prompt, answer[:at]), (prompt + self.dice.uniform(0, LATE_TIMEOUTS) * self.timeout_s, answer[at:])]

    def _glued(self, request: bytes, answer: bytes, prompt: float) -> Pieces:
        other = self.dice.choice((answer, self.strangers(request, "slave")))
        return [(prompt, self.dice.choice((answer + other, other + answer)))]

    def _echo(self, request: bytes, answer: bytes, prompt: float) -> Pieces:
        return [(0.0, request), (prompt, answer)]

    def _late(self, request: bytes, answer: bytes, prompt: float) -> Pieces:
        return [(prompt + self.dice.uniform(0, LATE_TIMEOUTS) * self.timeout_s, answer)]

    def _stranger(self, request: bytes, answer: bytes, prompt: float) -> Pieces:
        other = (prompt, self.strangers(request, "slave"))
        return self.dice.choice(([other], [other, (prompt + 0.02, answer)]))

    def _wrong_length(self, request: bytes, answer: bytes, prompt: float) -> Pieces:
        return [(prompt, self.strangers(request, "length"))]

    def _stuck(self, request: bytes, answer: bytes, prompt: float) -> Pieces:
        size = self.dice.choice((STUCK, STUCK, 10 * STUCK))
        return [(0.0, self.dice.choice((bytes(size), b"\xff" * size, self.dice.randbytes(size))))]
