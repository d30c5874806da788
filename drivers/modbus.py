"""Modbus RTU, recommended by HJ 212-2017 §7 for instruments: the driver, and how it reads.

    points ─▶ blocks, contiguous registers together ─▶ requests ─▶ answers ─▶ a number for each point

The frames are in `modbus_frame`, what is written in `modbus_write`. Registers are 0-based, as sent. What can
go wrong: another byte order than the instrument's gives plausible nonsense, so that no default is a guess.
The layouts are `struct`'s: `construct` declares them again in the tests.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Le

from drivers.driver import Bus, InstrumentSpec, PointSpec, Reading, Request, Value
from drivers.errors import BadAnswer, BadOption, DeviceRefused, DeviceSilent, DriverError, PortLost
from drivers.modbus_frame import FORMATS, Order, Type, bytes_swapped, crc16, read_request, words_reversed
from drivers.modbus_write import WriteOptions, write_job

__all__ = ["InstrumentOptions", "Modbus", "PointOptions", "WriteOptions", "crc16", "read_request"]

MAX_REGISTERS = 125
MAX_BITS = 2000
"""Most that one answer can carry (GB/T 19582.1 §6.1–6.4)."""

MAX_BCD_WORDS = 4
"""Registers of a `bcd`: 16 digits are all that a number holds."""
MAX_TEXT_WORDS = 62
TEXTS = ("text", "hex")
"""Types that give a text and no number: read on demand, never polled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointOptions:
    """Where a Modbus point lies and how it is coded."""

    function: Literal[1, 2, 3, 4] = 3
    register: Annotated[int, Ge(0), Le(65535)]
    """0-based, as sent."""
    type: Type
    """`bool` is the one type of functions 1 and 2; `bcd` holds 4 decimal digits a register; `text` and `hex`
    are for actions and infos."""
    order: Order = "ABCD"
    bit: Annotated[int, Ge(0), Le(15)] | None = None
    """Of an int16 or uint16 only this bit, 0 the lowest: 0 or 1."""
    words: Annotated[int, Ge(1), Le(MAX_TEXT_WORDS)] | None = None
    """Registers of a `bcd` (4 at most), a `text` or a `hex`; None: 1."""


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
        if self.options.type in TEXTS:
            return self._text(raw)
        ordered = words_reversed(raw) if self.swapped else raw
        if self.layout is None:
            return self._decimal(ordered, raw)
        value = float(self.layout.unpack(ordered)[0])
        if not math.isfinite(value):
            return Reading(self.key, None, raw, "drivers.modbus.not-a-number")
        if self.options.bit is not None:
            value = float(int(value) >> self.options.bit & 1)
        return Reading(self.key, value, raw)

    def _text(self, raw: bytes) -> Reading:
        """What stands in the registers, to the first zero; `hex` as capital hexadecimal digits."""
        ordered = bytes_swapped(raw) if self.options.order == "BADC" else raw
        if self.options.type == "hex":
            return Reading(self.key, None, raw, text=ordered.hex().upper())
        return Reading(self.key, None, raw, text=ordered.partition(b"\0")[0].decode("ascii", "replace").strip())

    def _decimal(self, ordered: bytes, raw: bytes) -> Reading:
        digits = (ordered[::-1] if self.options.order in ("BADC", "DCBA") else ordered).hex()
        if not digits.isdecimal():
            return Reading(self.key, None, raw, "drivers.modbus.not-decimal")
        return Reading(self.key, float(digits), raw)


def _field(point: PointSpec) -> _Field:
    options: PointOptions = point.options
    _check_point(point.key, options)
    if options.type == "bool":
        return _Field(point.key, options, 1, None, False)
    # With the words in reverse CDAB is big-endian and BADC little-endian: two decoders serve four orders.
    swapped = options.order in ("CDAB", "BADC")
    if options.type in ("bcd", *TEXTS):
        return _Field(point.key, options, options.words or 1, None, swapped)
    endian = ">" if options.order in ("ABCD", "CDAB") else "<"
    layout = struct.Struct(endian + FORMATS[options.type])
    return _Field(point.key, options, layout.size // 2, layout, swapped)


def _check_point(key: str, options: PointOptions) -> None:
    if (options.type == "bool") != (options.function in (1, 2)):
        raise BadOption("drivers.modbus.type-function", point=key, type=options.type, function=options.function)
    if options.bit is not None and options.type not in ("int16", "uint16"):
        raise BadOption("drivers.modbus.bit", point=key, type=options.type)
    if options.words is not None and options.type not in ("bcd", *TEXTS):
        raise BadOption("drivers.modbus.words", point=key, type=options.type)
    if options.type == "bcd" and (options.words or 1) > MAX_BCD_WORDS:
        raise BadOption("drivers.modbus.bcd-words", point=key, words=options.words, most=MAX_BCD_WORDS)
    if options.type in TEXTS and options.order not in ("ABCD", "BADC"):
        raise BadOption("drivers.modbus.text-order", point=key, order=options.order)
    words = struct.calcsize(FORMATS[options.type]) // 2 if options.type in FORMATS else options.words or 1
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


class Modbus:
    """An instrument that speaks Modbus RTU."""

    name: ClassVar[str] = "modbus"
    PointOptions: ClassVar[type] = PointOptions
    InstrumentOptions: ClassVar[type] = InstrumentOptions
    WriteOptions: ClassVar[type] = WriteOptions

    def __init__(self, spec: InstrumentSpec) -> None:
        if not isinstance(spec.address, int) or not 1 <= spec.address <= 255:
            raise BadOption("drivers.modbus.address", instrument=spec.name, address=spec.address)
        options: InstrumentOptions = spec.options or InstrumentOptions()
        for block in options.blocks:
            _check_block(spec.name, block)
        for point in spec.points:
            if point.options.type in TEXTS:
                raise BadOption("drivers.modbus.no-number", point=point.key, type=point.options.type)
        self._address = spec.address
        self._blocks = [self._block(span) for span in _plan([_field(point) for point in spec.points], options)]

    def _block(self, span: _Span) -> _Block:
        request = read_request(self._address, span.function, span.start, span.end - span.start)
        return _Block(request, span.start, tuple(span.fields))

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

    def reader(self, point: PointSpec) -> Callable[[Bus], Reading]:
        """Reads one quantity by itself."""
        field = _field(point)
        block = self._block(_Span(field.options.function, field.start, field.end, [field]))

        def read(bus: Bus) -> Reading:
            return block.readings(bus.ask(block.request))[0]

        return read

    def writer(self, options: Any, values: Sequence[Value], repeat: bool = False) -> Callable[[Bus], None]:
        """Writes registers (functions 6, 16) or bits (5, 15)."""
        where = _written(options) if isinstance(options, PointOptions) else options
        return write_job(self._address, where, values, repeat)


def _written(options: PointOptions) -> WriteOptions:
    """How a quantity that is read so is written: function 5 for a bit, 6 for one register, 16 for more."""
    place = f"register {options.register}"
    if options.function in (2, 4) or options.bit is not None or options.type in TEXTS:
        raise BadOption("drivers.modbus.read-only", point=place, function=options.function, type=options.type)
    field = _field(PointSpec(place, options))
    function: Literal[5, 6, 16] = 5 if options.function == 1 else 6 if field.words == 1 else 16
    words = field.words if options.type == "bcd" else None
    return WriteOptions(
        function=function, register=options.register, type=options.type, order=options.order, words=words
    )


def _check_block(instrument: str, block: tuple[int, int, int]) -> None:
    function, register, count = block
    most = MAX_REGISTERS if function in (3, 4) else MAX_BITS
    if function not in (1, 2, 3, 4) or not 1 <= count <= most or not 0 <= register <= 65536 - count:
        raise BadOption(
            "drivers.modbus.block", instrument=instrument, function=function, register=register, count=count
        )
