"""Simulated instruments on a pty, at the pace of their baud rate: for the demo, the presets and the tests.

    SimulatedBus("water", clock).path ◀── pty ──▶ a line
    site_blocks("water", …)           ── the same table as TOML

Each instrument of a set has its own address and answers functions 3 and 4 with values that are functions of
the clock's time alone, so that what arrives can be checked; registers 100–124 are its `panel`, which takes
control commands. Frames are built here from the paper (GB/T 19582), not with `drivers.modbus`, so that
neither hides a fault of the other.
"""

from __future__ import annotations

import math
import os
import pty
import random
import select
import struct
import threading
import time
import tty
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from drivers.panel import FIRST, NO_REGISTER, NO_VALUE, Panel, Refused, action_blocks

_DAY_MS = 86_400_000
_TOTAL_FROM_MS = 1_735_689_600_000
"""2025-01-01 UTC: the simulated totalisers began at 0."""
_CHAR_BITS = 10
_NO_FUNCTION = 1
_WRITE_ONE, _WRITE_MANY = 6, 16
_LAYOUTS = {"ABCD": (0, 1, 2, 3), "CDAB": (2, 3, 0, 1), "BADC": (1, 0, 3, 2), "DCBA": (3, 2, 1, 0)}


class WallClock(Protocol):
    """What the simulated instruments need of a clock."""

    def wall_ms(self) -> int:
        """UTC milliseconds."""
        ...


class Place(Protocol):
    """Some registers of an instrument."""

    @property
    def register(self) -> int:
        """The first of them."""
        ...

    def registers(self, time_ms: int) -> bytes:
        """What they hold."""
        ...


@dataclass(frozen=True, slots=True)
class Course:
    """A value through the day: `mean` ± `swing`, highest at `peak_h` Beijing time, and ± `ripple` on top."""

    mean: float
    swing: float
    peak_h: float
    ripple: float = 0.0
    ripple_s: float = 420.0

    def at(self, time_ms: int) -> float:
        """The value at UTC milliseconds."""
        return (
            self.mean
            + self.swing * math.cos(self._day_angle(time_ms))
            + self.ripple * math.sin(math.tau * time_ms / 1000 / self.ripple_s)
        )

    def total(self, time_ms: int) -> float:
        """Integral over the seconds since 2025, in the course's unit × s: a totaliser."""
        return self._antiderivative(time_ms) - self._antiderivative(_TOTAL_FROM_MS)

    def _day_angle(self, time_ms: int) -> float:
        return math.tau * (time_ms / _DAY_MS + (8 - self.peak_h) / 24)

    def _antiderivative(self, time_ms: int) -> float:
        day_rate, ripple_rate = math.tau / (_DAY_MS / 1000), math.tau / self.ripple_s
        seconds = (time_ms - _TOTAL_FROM_MS) / 1000
        swing = self.swing / day_rate * math.sin(self._day_angle(time_ms))
        ripple = self.ripple / ripple_rate * math.cos(ripple_rate * time_ms / 1000)
        return self.mean * seconds + swing - ripple


@dataclass(frozen=True, slots=True)
class SimulatedPoint:
    """One quantity: where it stands, how it is coded, how it goes through the day."""

    factor: str | None
    """None: the totaliser, which is a point of the site file only where that is asked for."""
    register: int
    unit: str
    course: Course
    range: tuple[float, float]
    type: Literal["float32", "uint32", "int16"] = "float32"
    order: Literal["ABCD", "CDAB", "BADC", "DCBA"] = "ABCD"
    scale: float = 1.0
    """The register holds value ÷ scale."""
    totalised: bool = False
    """The register holds the integral of the course."""

    def value(self, time_ms: int) -> float:
        """What the instrument measures at UTC milliseconds, in `unit`."""
        return self.course.total(time_ms) / 1000 if self.totalised else self.course.at(time_ms)

    def registers(self, time_ms: int) -> bytes:
        """The point's registers as they go on the wire."""
        raw = self.value(time_ms) / self.scale
        if self.type == "int16":
            return struct.pack(">h", round(raw))
        high_first = struct.pack(">f", raw) if self.type == "float32" else struct.pack(">L", round(raw))
        return bytes(high_first[index] for index in _LAYOUTS[self.order])


@dataclass(frozen=True, slots=True)
class SimulatedInstrument:
    """One analyzer on the bus."""

    name: str
    address: int
    function: Literal[3, 4]
    points: tuple[SimulatedPoint, ...]
    instead: tuple[Place, ...] = ()
    """What its registers hold where that is not the points' course."""

    def answer(self, request: bytes, time_ms: int, panel: Panel) -> bytes:
        """The answer to a request whose address and CRC are right."""
        function, register, count = struct.unpack(">xBHH", request[:6])
        try:
            if function in (_WRITE_ONE, _WRITE_MANY):
                panel.write(register, _written(request), time_ms)
                return _framed(request[:6])
            data = self._read(function, register, count, time_ms, panel)
        except Refused as refused:
            return _framed(bytes((self.address, function | 0x80, refused.code)))
        return _framed(bytes((self.address, function, len(data))) + data)

    def _read(self, function: int, register: int, count: int, time_ms: int, panel: Panel) -> bytes:
        if register >= FIRST and function == 3:
            return panel.read(register, count, time_ms)
        if function != self.function:
            raise Refused(_NO_FUNCTION)
        image = self._image(time_ms)
        if not 1 <= count <= 125 or (register + count) * 2 > len(image):
            raise Refused(NO_REGISTER)
        return image[register * 2 : (register + count) * 2]

    def _image(self, time_ms: int) -> bytes:
        image = bytearray()
        places: Sequence[Place] = self.instead or self.points
        for point in sorted(places, key=lambda p: p.register):
            image.extend(bytes(point.register * 2 - len(image)))
            image.extend(point.registers(time_ms))
        return bytes(image)


def _written(request: bytes) -> bytes:
    """The registers that a request of function 6 or 16 carries. Raises Refused."""
    if request[1] == _WRITE_ONE:
        return request[4:6]
    data = request[7:-2]
    if not data or len(data) != 2 * int.from_bytes(request[4:6], "big"):
        raise Refused(NO_VALUE)
    return data


def crc_bytes(frame: bytes) -> bytes:
    """Modbus CRC by its definition: x^16+x^15+x^2+1 reflected, started at FFFF, low byte first."""
    rest = 0xFFFF
    for byte in frame:
        rest ^= byte
        for _ in range(8):
            rest = rest >> 1 ^ 0xA001 if rest & 1 else rest >> 1
    return struct.pack("<H", rest)


def _framed(body: bytes) -> bytes:
    return body + crc_bytes(body)


_FLOW = Course(42.0, 14.0, 10.0, 2.5)

SETS: dict[str, tuple[SimulatedInstrument, ...]] = {
    "water": (
        SimulatedInstrument("cod", 1, 3, (
            SimulatedPoint("w01018", 0, "mg/L", Course(28.0, 5.0, 11.0, 1.2), (0, 200), order="CDAB"),)),
        SimulatedInstrument("nh3n", 2, 3, (
            SimulatedPoint("w21003", 0, "mg/L", Course(1.60, 0.45, 10.0, 0.12), (0, 30), order="ABCD"),)),
        SimulatedInstrument("tp", 3, 4, (
            SimulatedPoint("w21011", 4, "mg/L", Course(0.21, 0.05, 12.0, 0.012), (0, 2), order="BADC"),)),
        SimulatedInstrument("tn", 4, 3, (
            SimulatedPoint("w21001", 0, "mg/L", Course(8.4, 1.3, 9.0, 0.3), (0, 50), order="DCBA"),)),
        SimulatedInstrument("ph", 5, 3, (
            SimulatedPoint("w01001", 0, "1", Course(7.35, 0.12, 15.0, 0.03), (0, 14), "int16", scale=0.01),
            SimulatedPoint("w01010", 1, "°C", Course(21.0, 2.2, 15.0, 0.1), (0, 50), "int16", scale=0.1))),
        SimulatedInstrument("flow", 6, 3, (
            SimulatedPoint("w00000", 0, "L/s", _FLOW, (0, 200), order="ABCD"),
            SimulatedPoint(None, 2, "m³", _FLOW, (0, 4e7), "uint32", "ABCD", scale=0.01, totalised=True))),
    ),
    "gas": (
        SimulatedInstrument("gas-analyzer", 1, 4, (
            SimulatedPoint("a21026", 12, "mg/m³", Course(18.0, 6.0, 14.0, 2.0), (0, 200), order="ABCD"),
            SimulatedPoint("a21002", 14, "mg/m³", Course(34.0, 8.0, 14.0, 3.0), (0, 300), order="ABCD"),
            SimulatedPoint("a19001", 16, "%", Course(6.8, 0.6, 4.0, 0.2), (0, 25), order="ABCD"))),
        SimulatedInstrument("dust", 2, 3, (
            SimulatedPoint("a34013", 0, "mg/m³", Course(4.2, 1.1, 13.0, 0.5), (0, 50), order="CDAB"),)),
        SimulatedInstrument("tpv", 3, 3, (
            SimulatedPoint("a01012", 0, "°C", Course(118.0, 7.0, 15.0, 1.5), (0, 300), order="BADC"),
            SimulatedPoint("a01013", 2, "kPa", Course(-0.28, 0.05, 15.0, 0.02), (-5, 5), order="BADC"),
            SimulatedPoint("a01011", 4, "m/s", Course(11.5, 1.8, 14.0, 0.4), (0, 40), order="BADC"))),
        SimulatedInstrument("humidity", 4, 4, (
            SimulatedPoint("a01014", 0, "%", Course(8.6, 0.9, 5.0, 0.2), (0, 40), order="DCBA"),)),
    ),
}  # fmt: skip


def site_blocks(
    set_name: str,
    port: str,
    outlet: str,
    *,
    line: str = "rs485-1",
    baud: int = 9600,
    every: str = "5s",
    actions: bool = True,
    totaliser: bool = False,
) -> str:
    """TOML of the site file for a set: its line, its instruments, their points at `outlet`, and their actions."""
    blocks = [f'[lines.{line}]\nport = "{port}"\nbaud = {baud}\nformat = "8N1"\ngap = "5ms"\n']
    for one in SETS[set_name]:
        blocks.append(
            f'[instruments.{one.name}]\nline = "{line}"\noutlet = "{outlet}"\ndriver = "modbus"\n'
            f'address = {one.address}\nevery = "{every}"\ntimeout = "1s"\nretries = 2\n'
        )
        blocks.extend(_point_block(one, point, outlet) for point in one.points if point.factor or totaliser)
        if actions:
            blocks.append(action_blocks(one.name))
    return "\n".join(blocks)


def _point_block(one: SimulatedInstrument, point: SimulatedPoint, outlet: str) -> str:
    lines = [
        f"  [[instruments.{one.name}.points]]",
        f'  factor = "{point.factor or "w00000"}"',
        f'  outlet = "{outlet}"',
        f"  function = {one.function}",
        f"  register = {point.register}",
        f'  type = "{point.type}"',
    ]
    if point.factor is None:
        lines.append('  kind = "total"')
    if point.type != "int16":
        lines.append(f'  order = "{point.order}"')
    if point.scale != 1.0:
        lines.append(f"  scale = {point.scale}")
    if point.unit != "1":
        lines.append(f'  unit = "{point.unit}"')
    lines += [f"  range = [{point.range[0]}, {point.range[1]}]"]
    return "\n".join(lines) + "\n"


def _length(pending: bytes) -> int:
    """How long the request is that begins here: 8 bytes, but for writes of several registers."""
    return 9 + pending[6] if len(pending) > 7 and pending[1] == _WRITE_MANY else 8


@dataclass(frozen=True, slots=True)
class Fault:
    """What an instrument does wrong, in `share` of its answers."""

    kind: Literal["silent", "late", "bad-crc", "noise"]
    share: float = 1.0
    delay_s: float = 1.5
    """Of a late answer, on top of its time on the wire."""


class SimulatedBus:
    """A set of instruments behind one pty, served by a thread.

    `path` is what a line opens: the pty, or `link`, a symbolic link that follows the pty when the bus is
    unplugged and plugged in again. `faults` (address: Fault) may be changed at any time. Times on the wire
    are real, whatever the pace of `clock`; the clock only says which value is measured.
    """

    def __init__(
        self,
        instruments: str | Sequence[SimulatedInstrument],
        clock: WallClock,
        *,
        baud: int = 9600,
        link: Path | None = None,
        seed: int = 1,
    ) -> None:
        """`instruments`: the name of a set, or instruments."""
        here = SETS[instruments] if isinstance(instruments, str) else instruments
        self.instruments = {one.address: one for one in here}
        self.panels = {one.address: Panel(f"SIM{one.name.upper():0>21}"[:24]) for one in here}
        self.faults: dict[int, Fault] = {}
        self.answered = 0
        self._clock = clock
        self._char_s = _CHAR_BITS / baud
        self._link = link
        self._random = random.Random(seed)
        self._master = self._slave = -1
        self._stopper = os.pipe()
        self._thread: threading.Thread | None = None
        self._plug()

    @property
    def path(self) -> str:
        """The device to open."""
        return str(self._link) if self._link else os.ttyname(self._slave)

    def start(self) -> None:
        """Begin answering."""
        self._thread = threading.Thread(target=self._serve, name="simulated bus", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, and give the pty back."""
        self._halt()
        self._unplug()
        for fd in self._stopper:
            os.close(fd)

    def unplug(self) -> None:
        """Pull the adapter: the device disappears."""
        self._halt()
        self._unplug()

    def plug(self) -> None:
        """Put it in again: a new device, under the same `link`."""
        self._plug()
        self.start()

    def _halt(self) -> None:
        if self._thread is not None:
            os.write(self._stopper[1], b".")
            self._thread.join()
            os.read(self._stopper[0], 1)
            self._thread = None

    def _plug(self) -> None:
        self._master, self._slave = pty.openpty()
        # Our own hold on the slave keeps the master alive while no line has it open.
        tty.setraw(self._slave)
        if self._link is not None:
            self._link.unlink(missing_ok=True)
            self._link.symlink_to(os.ttyname(self._slave))

    def _unplug(self) -> None:
        if self._master < 0:
            return
        if self._link is not None:
            self._link.unlink(missing_ok=True)
        os.close(self._slave)
        os.close(self._master)
        self._master = self._slave = -1

    def _serve(self) -> None:
        pending = b""
        while True:
            # a pause of 50 ms inside a request means that the rest of it never comes
            ready, _, _ = select.select([self._master, self._stopper[0]], [], [], 0.05 if pending else None)
            if self._stopper[0] in ready:
                return
            if not ready:
                pending = b""
                continue
            pending += os.read(self._master, 4096)
            while len(pending) >= (length := _length(pending)):
                request, pending = pending[:length], pending[length:]
                if crc_bytes(request[:-2]) != request[-2:]:
                    pending = b""
                elif request[0] in self.instruments and not self._reply(request):
                    return

    def _reply(self, request: bytes) -> bool:
        """Answer when its last bit would have arrived; False when the bus is stopped meanwhile."""
        due = time.monotonic() + (len(request) + 3.5) * self._char_s
        fault = self.faults.get(request[0])
        kind = fault.kind if fault and self._random.random() < fault.share else None
        if kind == "silent":
            return True
        answer = self.instruments[request[0]].answer(request, self._clock.wall_ms(), self.panels[request[0]])
        due += len(answer) * self._char_s
        if fault and kind == "late":
            due += fault.delay_s
        if kind == "bad-crc":
            answer = answer[:-1] + bytes([answer[-1] ^ 0x55])
        if kind == "noise":
            answer = self._random.randbytes(self._random.randint(1, 12)) + answer
        if select.select([self._stopper[0]], [], [], max(0.0, due - time.monotonic()))[0]:
            return False
        with suppress(BlockingIOError):
            os.write(self._master, answer)
        self.answered += 1
        return True
