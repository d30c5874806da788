"""Modbus, recommended by HJ 212-2017 §7 for instruments: the driver, and which registers it reads together.

    points ─▶ blocks, contiguous registers together ─▶ requests ─▶ answers ─▶ a number for each point

What is asked is in `modbus_pdu`, the frames (RTU, ASCII, TCP) in `modbus_frame`, the numbers in `modbus_value`, what
is written in `modbus_write`. Registers are 0-based, as sent. The layouts are `struct`'s, which is 15 times as fast as
`construct` on this hottest of all frames: `construct` declares them again in the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, cast

from annotated_types import Ge, Le

from drivers.driver import Bus, InstrumentSpec, PointSpec, Reading, Request, Value
from drivers.errors import BadAnswer, BadOption, DeviceRefused, DeviceSilent, DriverError, PortLost
from drivers.modbus_frame import Framing, FramingName, crc16, read_request
from drivers.modbus_pdu import EXCHANGE, IDENTIFY, Ask, exchange_ask, identity_ask, identity_text, read_ask, write_ask
from drivers.modbus_value import TEXTS, Field, PointOptions, field_of
from drivers.modbus_write import WriteOptions, WriteType, write_job

__all__ = ["InstrumentOptions", "Modbus", "PointOptions", "WriteOptions", "crc16", "read_request"]

MAX_REGISTERS = 125
MAX_BITS = 2000
"""Most that one answer can carry (GB/T 19582.1 §6.1–6.4)."""
_WRITE_ONE, _WRITE_BIT = 6, 5

OneWrite = tuple[int, int, int]
"""(function 5 or 6, register, value)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentOptions:
    """How an instrument's registers are read."""

    framing: FramingName = "rtu"
    """`rtu` and `ascii` on serial lines and through serial servers; `tcp`: Modbus TCP, at `socket://HOST:502`."""
    block_gap: Annotated[int, Ge(0), Le(124)] = 0
    """Unused registers that may be read along, rather than asking twice."""
    block_max: Annotated[int, Ge(1), Le(125)] = MAX_REGISTERS
    """Most registers in one request."""
    blocks: tuple[tuple[int, int, int], ...] = ()
    """(function, register, count): read exactly these, since some instruments answer nothing else."""
    before_read: tuple[OneWrite, ...] = ()
    """Written before each poll, since some instruments put out their values only then. It must bear repetition."""
    unlock: tuple[OneWrite, ...] = ()
    """Written before each write of an action or parameter, in the same turn: the code of a lock."""


@dataclass(frozen=True, slots=True)
class _Block:
    """One request and the points that its answer serves."""

    request: Callable[[], Request]
    start: int
    fields: tuple[Field, ...]

    def readings(self, pdu: bytes) -> list[Reading]:
        data = identity_text(pdu) if pdu[0] == IDENTIFY else pdu[2:]
        return [field.reading(field.raw(self.start, data)) for field in self.fields]


@dataclass(slots=True)
class _Span:
    """Registers to be read together, while the blocks are planned."""

    function: int
    start: int
    end: int
    fields: list[Field]
    with_write: tuple[int, ...] = ()

    def ask(self, address: int) -> Ask:
        if self.function == IDENTIFY:
            return identity_ask(address, self.start)
        if self.function == EXCHANGE:
            to, *values = self.with_write
            return exchange_ask(address, self.start, self.end - self.start, to, tuple(values))
        return read_ask(address, self.function, self.start, self.end - self.start)


def _span(field: Field) -> _Span:
    return _Span(field.options.function, field.start, field.end, [field], field.options.with_write)


def _plan(fields: Sequence[Field], options: InstrumentOptions) -> list[_Span]:
    spans = [_Span(function, start, start + count, []) for function, start, count in options.blocks]
    fixed = len(spans)
    for field in sorted(fields, key=lambda f: (f.options.function, f.options.with_write, f.start, f.end)):
        home = next((span for span in spans[:fixed] if _holds(span, field)), None)
        if home is None and len(spans) > fixed and _joins(spans[-1], field, options):
            home = spans[-1]
            home.end = max(home.end, field.end)
        if home is None:
            spans.append(_span(field))
        else:
            home.fields.append(field)
    return spans


def _holds(span: _Span, field: Field) -> bool:
    return span.function == field.options.function and span.start <= field.start and field.end <= span.end


def _joins(span: _Span, field: Field, options: InstrumentOptions) -> bool:
    if IDENTIFY in (span.function, field.options.function):
        return (field.options.function, field.start) == (span.function, span.start)  # one text an exchange
    room = options.block_max * 16 if span.function in (1, 2) else options.block_max
    return (
        (field.options.function, field.options.with_write) == (span.function, span.with_write)
        and field.start <= span.end + options.block_gap
        and max(span.end, field.end) - span.start <= room
    )


class Modbus:
    """An instrument that speaks Modbus."""

    name: ClassVar[str] = "modbus"
    PointOptions: ClassVar[type] = PointOptions
    InstrumentOptions: ClassVar[type] = InstrumentOptions
    WriteOptions: ClassVar[type] = WriteOptions

    def __init__(self, spec: InstrumentSpec) -> None:
        options: InstrumentOptions = spec.options or InstrumentOptions()
        lowest = 0 if options.framing == "tcp" else 1
        if not isinstance(spec.address, int) or not lowest <= spec.address <= 255:
            raise BadOption("drivers.modbus.address", instrument=spec.name, address=spec.address)
        for block in options.blocks:
            _check_block(spec.name, block)
        for point in spec.points:
            if point.options.type in TEXTS and not point.text_ok:
                raise BadOption("drivers.modbus.no-number", point=point.key, type=point.options.type)
        self._address = spec.address
        self._framing = Framing(options.framing)
        self._blocks = [self._block(span) for span in _plan([field_of(point) for point in spec.points], options)]
        self._before = [self._write(spec.name, one) for one in options.before_read]
        self._unlock = [self._write(spec.name, one) for one in options.unlock]

    def _block(self, span: _Span) -> _Block:
        return _Block(self._framing.maker(span.ask(self._address)), span.start, tuple(span.fields))

    def _write(self, instrument: str, one: OneWrite) -> Callable[[], Request]:
        function, register, value = one
        most = {_WRITE_ONE: 65535, _WRITE_BIT: 1}.get(function, -1)
        if not 0 <= value <= most or not 0 <= register <= 65535:
            raise BadOption(
                "drivers.modbus.fixed-write", instrument=instrument, function=function, register=register, value=value
            )
        data = value.to_bytes(2, "big") if function == _WRITE_ONE else b"\xff\0" if value else b"\0\0"
        return self._framing.maker(write_ask(self._address, function, register, 1, data, repeat=True))

    def read(self, bus: Bus) -> list[Reading]:
        """One pass; silence and a lost port end it, a refused or damaged block does not.

        What is to be written before has to succeed: without it the registers may hold old values.
        """
        for write in self._before:
            bus.ask(write())
        readings: list[Reading] = []
        last: DriverError | None = None
        for block in self._blocks:
            try:
                answer = bus.ask(block.request())
            except (BadAnswer, DeviceRefused) as error:
                last = error
            except (DeviceSilent, PortLost) as error:
                last = error
                break
            else:
                readings.extend(block.readings(self._framing.pdu(answer)))
        if last is not None and not readings:
            raise last
        return readings

    def reader(self, point: PointSpec) -> Callable[[Bus], Reading]:
        """Reads one quantity by itself."""
        block = self._block(_span(field_of(point)))

        def read(bus: Bus) -> Reading:
            return block.readings(self._framing.pdu(bus.ask(block.request())))[0]

        return read

    def writer(self, options: Any, values: Sequence[Value], repeat: bool = False) -> Callable[[Bus], None]:
        """Writes registers (functions 6, 16) or bits (5, 15), after the code of the instrument's lock."""
        where = _written(options) if isinstance(options, PointOptions) else options
        job = write_job(self._address, where, values, self._framing.maker, repeat)

        def write(bus: Bus) -> None:
            for unlock in self._unlock:
                bus.ask(unlock())
            job(bus)

        return write


def _written(options: PointOptions) -> WriteOptions:
    """How a quantity that is read so is written: function 5 for a bit, 6 for one register, 16 for more."""
    place = f"register {options.register}"
    is_part = options.bit is not None or options.bits is not None
    if options.function not in (1, 3) or is_part or options.type in (*TEXTS, "time") or "+" in options.type:
        raise BadOption("drivers.modbus.read-only", point=place, function=options.function, type=options.type)
    field = field_of(PointSpec(place, options))
    function: Literal[5, 6, 16] = 5 if options.function == 1 else 6 if field.words == 1 else 16
    words = field.words if options.type == "bcd" else None
    return WriteOptions(
        function=function,
        register=options.register,
        type=cast("WriteType", options.type),
        order=options.order,
        words=words,
    )


def _check_block(instrument: str, block: tuple[int, int, int]) -> None:
    function, register, count = block
    most = MAX_REGISTERS if function in (3, 4) else MAX_BITS
    if function not in (1, 2, 3, 4) or not 1 <= count <= most or not 0 <= register <= 65536 - count:
        raise BadOption(
            "drivers.modbus.block", instrument=instrument, function=function, register=register, count=count
        )
