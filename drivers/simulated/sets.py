"""The simulated sets of the demo and the presets: instruments by Modbus RTU whose values are functions of the time.

    SETS["water"] ─ site_blocks(…) ─▶ the same table as TOML

Each answers functions 3 and 4 with values that are functions of the clock's time alone, so that what arrives can be
checked; registers 100–124 are its `panel`, which takes control commands. Frames are built here from the paper
(GB/T 19582), not with `drivers.modbus`, so that neither hides a fault of the other.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from drivers.panel import FIRST, NO_REGISTER, NO_VALUE, Panel, Refused, action_blocks

_DAY_MS = 86_400_000
_TOTAL_FROM_MS = 1_735_689_600_000
"""2025-01-01 UTC: the simulated totalisers began at 0."""
_NO_FUNCTION = 1
_WRITE_ONE, _WRITE_MANY = 6, 16
_WRITE_HEAD = 7
_LAYOUTS = {"ABCD": (0, 1, 2, 3), "CDAB": (2, 3, 0, 1), "BADC": (1, 0, 3, 2), "DCBA": (3, 2, 1, 0)}


class Place(Protocol):
    """Some registers of an instrument."""

    @property
    def register(self) -> int:
        """The first of them."""

    def registers(self, time_ms: int) -> bytes:
        """What they hold."""


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
    name: str = ""
    """Of equipment."""
    thresholds: tuple[float, float] | None = None
    """Equipment: runs above the first, is off below the second."""

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

    @property
    def is_equipment(self) -> bool:
        """Whether it is the meter of a machine: nothing to calibrate or clean."""
        return any(point.thresholds for point in self.points)

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


class SetSlave:
    """An instrument of a set on a bus, with its panel."""

    every_s: float | None = None

    def __init__(self, instrument: SimulatedInstrument) -> None:
        self.address = instrument.address
        self.panel = Panel(f"SIM{instrument.name.upper():0>21}"[:24])
        self._instrument = instrument

    def length(self, pending: bytes) -> int | None:
        """8 bytes, but for writes of several registers."""
        if pending[0] != self.address:
            return 0
        if len(pending) < _WRITE_HEAD:
            return None
        return 9 + pending[6] if pending[1] == _WRITE_MANY else 8

    def answer(self, request: bytes, time_ms: int) -> bytes:
        """The answer; nothing to a damaged request."""
        if crc_bytes(request[:-2]) != request[-2:]:
            return b""
        return self._instrument.answer(request, time_ms, self.panel)


def slaves(set_name: str) -> list[SetSlave]:
    """The instruments of a set."""
    return [SetSlave(one) for one in SETS[set_name]]


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
        SimulatedInstrument("blower", 7, 3, (
            SimulatedPoint("SB1", 0, "A", Course(6.0, 0.0, 12.0, -3.5, 150.0), (0, 20), "int16", scale=0.01,
                           name="鼓风机", thresholds=(5.0, 4.0)),)),
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
        if actions and not one.is_equipment:
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
    if point.thresholds is None:
        lines.append(f"  range = [{point.range[0]}, {point.range[1]}]")
    else:
        on, off = point.thresholds
        lines += [f'  name = "{point.name}"', f"  on = {on}", f"  off = {off}"]
    return "\n".join(lines) + "\n"
