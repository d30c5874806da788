"""Modbus RTU, the reading half: functions 1–4 (recommended by HJ 212-2017 §7 for instruments; GB/T 19582).

    request   address function register(2) count(2) CRC(2, low byte first)
    answer    address function bytes(1)    data     CRC        exception   address function+80 code CRC

An answer names no register: only address, function and byte count tie it to its request, so these three are
its `confusable` key and the line keeps late answers away. Registers are 0-based, as sent. Contiguous points
are read in one request. The layouts are `struct`'s: `construct` declares them again in the tests.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import crcmod
from annotated_types import Ge, Le

from drivers.driver import Bus, InstrumentSpec, PointSpec, Reading, Request
from drivers.errors import BadAnswer, BadOption, DeviceRefused, DeviceSilent, DriverError, PortLost

Type = Literal[
    "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "bcd", "bool"
]  # fmt: skip
Order = Literal["ABCD", "CDAB", "BADC", "DCBA"]

MAX_REGISTERS = 125
MAX_BITS = 2000
"""Most that one answer can carry (GB/T 19582.1 §6.1–6.4)."""

_FORMATS = {"int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q",
            "float32": "f", "float64": "d"}  # fmt: skip
_EXCEPTIONS = frozenset({1, 2, 3, 4, 5, 6, 8, 10, 11})
"""Exception codes that have a meaning; the catalogue has a text for each."""
_REQUEST = struct.Struct(">BBHH")
_CRC = struct.Struct("<H")

crc16 = crcmod.mkCrcFun(0x18005, initCrc=0xFFFF, rev=True, xorOut=0)
"""CRC of Modbus; 0 over a frame together with its own CRC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointOptions:
    """Where a Modbus point lies and how it is coded."""

    function: Literal[1, 2, 3, 4] = 3
    register: Annotated[int, Ge(0), Le(65535)]
    """0-based, as sent."""
    type: Type
    """`bool` is the one type of functions 1 and 2; `bcd` holds 4 decimal digits a register."""
    order: Order = "ABCD"
    """Order of the bytes on the wire, A the highest. In one register BADC and DCBA swap the two bytes."""
    bit: Annotated[int, Ge(0), Le(15)] | None = None
    """Of an int16 or uint16 only this bit, 0 the lowest: 0 or 1."""
    words: Annotated[int, Ge(1), Le(4)] | None = None
    """Registers of a `bcd`; None: 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentOptions:
    """How an instrument's registers are read."""

    block_gap: Annotated[int, Ge(0), Le(124)] = 0
    """Unused registers that may be read along, rather than asking twice."""
    block_max: Annotated[int, Ge(1), Le(125)] = MAX_REGISTERS
    """Most registers in one request."""
    blocks: tuple[tuple[int, int, int], ...] = ()
    """(function, register, count): read exactly these, since some instruments answer nothing else."""


@dataclass(frozen=True, slots=True)
class _Field:
    """One point inside its block."""

    key: str
    options: PointOptions
    words: int
    layout: struct.Struct | None
    swapped: bool

    @property
    def start(self) -> int:
        return self.options.register

    @property
    def end(self) -> int:
        return self.options.register + self.words

    def raw(self, block_start: int, data: bytes) -> bytes:
        offset = self.start - block_start
        if self.options.type == "bool":
            return bytes([data[offset // 8] >> offset % 8 & 1])
        return data[offset * 2 : (offset + self.words) * 2]

    def reading(self, raw: bytes) -> Reading:
        if self.options.type == "bool":
            return Reading(self.key, float(raw[0]), raw)
        ordered = _words_reversed(raw) if self.swapped else raw
        if self.layout is None:
            return self._decimal(ordered, raw)
        value = float(self.layout.unpack(ordered)[0])
        if not math.isfinite(value):
            return Reading(self.key, None, raw, "drivers.modbus.not-a-number")
        if self.options.bit is not None:
            value = float(int(value) >> self.options.bit & 1)
        return Reading(self.key, value, raw)

    def _decimal(self, ordered: bytes, raw: bytes) -> Reading:
        digits = (ordered[::-1] if self.options.order in ("BADC", "DCBA") else ordered).hex()
        if not digits.isdecimal():
            return Reading(self.key, None, raw, "drivers.modbus.not-decimal")
        return Reading(self.key, float(digits), raw)


def _words_reversed(data: bytes) -> bytes:
    return b"".join(data[at : at + 2] for at in range(len(data) - 2, -1, -2))


def _field(point: PointSpec) -> _Field:
    options: PointOptions = point.options
    _check_point(point.key, options)
    if options.type == "bool":
        return _Field(point.key, options, 1, None, False)
    # With the words in reverse CDAB is big-endian and BADC little-endian: two decoders serve four orders.
    swapped = options.order in ("CDAB", "BADC")
    if options.type == "bcd":
        return _Field(point.key, options, options.words or 1, None, swapped)
    endian = ">" if options.order in ("ABCD", "CDAB") else "<"
    layout = struct.Struct(endian + _FORMATS[options.type])
    return _Field(point.key, options, layout.size // 2, layout, swapped)


def _check_point(key: str, options: PointOptions) -> None:
    if (options.type == "bool") != (options.function in (1, 2)):
        raise BadOption("drivers.modbus.type-function", point=key, type=options.type, function=options.function)
    if options.bit is not None and options.type not in ("int16", "uint16"):
        raise BadOption("drivers.modbus.bit", point=key, type=options.type)
    if options.words is not None and options.type != "bcd":
        raise BadOption("drivers.modbus.words", point=key, type=options.type)
    words = struct.calcsize(_FORMATS[options.type]) // 2 if options.type in _FORMATS else options.words or 1
    if not 0 <= options.register <= 65536 - words:
        raise BadOption("drivers.modbus.register", point=key, register=options.register, last=65536 - words)


@dataclass(frozen=True, slots=True)
class _Block:
    """One request and the points that its answer serves."""

    request: Request
    start: int
    fields: tuple[_Field, ...]

    def readings(self, answer: bytes) -> list[Reading]:
        data = answer[3:-2]
        return [field.reading(field.raw(self.start, data)) for field in self.fields]


@dataclass(slots=True)
class _Span:
    """Registers to be read together, while the blocks are planned."""

    function: int
    start: int
    end: int
    fields: list[_Field]


def _plan(fields: Sequence[_Field], options: InstrumentOptions) -> list[_Span]:
    spans = [_Span(function, start, start + count, []) for function, start, count in options.blocks]
    fixed = len(spans)
    for field in sorted(fields, key=lambda f: (f.options.function, f.start, f.end)):
        home = next((span for span in spans[:fixed] if _holds(span, field)), None)
        if home is None and len(spans) > fixed and _joins(spans[-1], field, options):
            home = spans[-1]
            home.end = max(home.end, field.end)
        if home is None:
            home = _Span(field.options.function, field.start, field.end, [])
            spans.append(home)
        home.fields.append(field)
    return spans


def _holds(span: _Span, field: _Field) -> bool:
    return span.function == field.options.function and span.start <= field.start and field.end <= span.end


def _joins(span: _Span, field: _Field, options: InstrumentOptions) -> bool:
    room = options.block_max if span.function in (3, 4) else options.block_max * 16
    return (
        field.options.function == span.function
        and field.start <= span.end + options.block_gap
        and max(span.end, field.end) - span.start <= room
    )


def read_request(address: int, function: int, register: int, count: int) -> Request:
    """The request that reads `count` registers (functions 3, 4) or bits (1, 2) from `register` on."""
    body = _REQUEST.pack(address, function, register, count)
    size = count * 2 if function in (3, 4) else (count + 7) // 8
    head = bytes((address, function, size))
    refusal = bytes((address, function | 0x80))

    def length(received: bytes) -> int | None:
        if received[:2] == refusal:
            return 5
        if not head.startswith(received[:3]) and received != refusal[:1]:
            return 0
        return size + 5 if len(received) >= 2 else None

    def check(answer: bytes) -> None:
        if crc16(answer) != 0:
            raise BadAnswer("drivers.crc", answer=answer.hex(" "))
        if answer[1] & 0x80:
            code = answer[2]
            text = f"drivers.modbus.exception-{code}" if code in _EXCEPTIONS else "drivers.modbus.exception"
            raise DeviceRefused(text, exception=code, function=function, register=register, count=count)

    return Request(
        data=body + _CRC.pack(crc16(body)),
        length=length,
        check=check,
        confusable=("modbus", address, function, size),
        expected=size + 5,
    )


class Modbus:
    """An instrument that speaks Modbus RTU."""

    name: ClassVar[str] = "modbus"
    PointOptions: ClassVar[type] = PointOptions
    InstrumentOptions: ClassVar[type] = InstrumentOptions

    def __init__(self, spec: InstrumentSpec) -> None:
        if not isinstance(spec.address, int) or not 1 <= spec.address <= 255:
            raise BadOption("drivers.modbus.address", instrument=spec.name, address=spec.address)
        options: InstrumentOptions = spec.options or InstrumentOptions()
        for block in options.blocks:
            _check_block(spec.name, block)
        self._blocks = [
            _Block(read_request(spec.address, s.function, s.start, s.end - s.start), s.start, tuple(s.fields))
            for s in _plan([_field(point) for point in spec.points], options)
        ]

    def read(self, bus: Bus) -> list[Reading]:
        """One pass; silence and a lost port end it, a refused or damaged block does not."""
        readings: list[Reading] = []
        last: DriverError | None = None
        for block in self._blocks:
            try:
                answer = bus.ask(block.request)
            except (BadAnswer, DeviceRefused) as error:
                last = error
            except (DeviceSilent, PortLost) as error:
                last = error
                break
            else:
                readings.extend(block.readings(answer))
        if last is not None and not readings:
            raise last
        return readings


def _check_block(instrument: str, block: tuple[int, int, int]) -> None:
    function, register, count = block
    most = MAX_REGISTERS if function in (3, 4) else MAX_BITS
    if function not in (1, 2, 3, 4) or not 1 <= count <= most or not 0 <= register <= 65536 - count:
        raise BadOption(
            "drivers.modbus.block", instrument=instrument, function=function, register=register, count=count
        )
