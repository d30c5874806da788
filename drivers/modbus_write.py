"""What is written to a Modbus instrument: values into registers or bits (functions 5, 6, 15, 16; GB/T 19582.1 §6).

    (2026, 11, 22), uint16 ─▶ 07EA 000B 0016        "261122225800", bcd ─▶ 2611 2222 5800

The number types and byte orders are those of the reads. What can go wrong: an answer that does not come
leaves open whether the write was carried out, so that it is not sent twice; a value that its type cannot hold
is refused before anything is sent.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le

from drivers.driver import Bus, Request, Value
from drivers.errors import BadOption, DeviceRefused
from drivers.modbus_pdu import ACCEPTED, Ask, write_ask
from drivers.numbers import FORMATS, Order, high_first

WriteType = Literal[
    "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "bcd", "bool", "text", "hex"
]  # fmt: skip
"""What a register can be declared to hold; `text` and `hex` cannot be written."""
_MAX_REGISTERS = 123
_MAX_BITS = 1968
"""Most that one write can carry (GB/T 19582.1 §6.11, §6.12)."""
_DIGITS_A_WORD = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """Where a Modbus write goes and how its values are coded."""

    function: Literal[5, 6, 15, 16] = 6
    register: Annotated[int, Ge(0), Le(65535)]
    """0-based, as sent."""
    type: WriteType | None = None
    """None: `bool` for functions 5 and 15, else `uint16`."""
    order: Order = "ABCD"
    words: Annotated[int, Ge(1), Le(4)] | None = None
    """Registers of a `bcd`; None: as many as its digits need."""


def write_job(
    address: int,
    options: WriteOptions,
    values: Sequence[Value],
    maker: Callable[[Ask], Callable[[], Request]],
    repeat: bool,
) -> Callable[[Bus], None]:
    """The write as one exchange on the line, framed by `maker`. Raises BadOption for what cannot be sent."""
    kind: WriteType = options.type or ("bool" if options.function in (5, 15) else "uint16")
    if (kind == "bool") != (options.function in (5, 15)) or kind in ("text", "hex"):
        raise BadOption("drivers.modbus.write-type", register=options.register, type=kind, function=options.function)
    if options.words is not None and kind != "bcd":
        raise BadOption("drivers.modbus.words", point=f"register {options.register}", type=kind)
    data, count = _bits(options, values) if kind == "bool" else _registers(options, kind, values)
    _check_size(options, count)
    request = maker(write_ask(address, options.function, options.register, count, data, repeat))

    def write(bus: Bus) -> None:
        try:
            bus.ask(request())
        except DeviceRefused as error:
            if error.params["exception"] != ACCEPTED:
                raise

    return write


def _check_size(options: WriteOptions, count: int) -> None:
    most = {5: 1, 6: 1, 15: _MAX_BITS, 16: _MAX_REGISTERS}[options.function]
    if not 1 <= count <= most or options.register + count > 65536:
        raise BadOption(
            "drivers.modbus.write-size", register=options.register, function=options.function, count=count, most=most
        )


def _bits(options: WriteOptions, values: Sequence[Value]) -> tuple[bytes, int]:
    """The bits, lowest first, as function 15 sends them; FF 00 or 00 00 for function 5."""
    flags = [_number(options, "bool", value) for value in values]
    if any(flag not in (0, 1) for flag in flags):
        raise _not_held(options, "bool", values)
    if options.function == 5:
        return (b"\xff\0" if flags[:1] == [1] else b"\0\0"), len(flags)
    packed = sum(int(flag) << index for index, flag in enumerate(flags))
    return packed.to_bytes((len(flags) + 7) // 8, "little"), len(flags)


def _registers(options: WriteOptions, kind: WriteType, values: Sequence[Value]) -> tuple[bytes, int]:
    # an order and its reverse are the same
    data = b"".join(high_first(_high_first(options, kind, value), options.order) for value in values)
    return data, len(data) // 2


def _high_first(options: WriteOptions, kind: WriteType, value: Value) -> bytes:
    """The value's registers, highest byte first."""
    if kind == "bcd":
        return _decimal(options, value)
    number = _number(options, kind, value)
    try:
        return struct.pack(">" + FORMATS[kind], number)
    except (struct.error, OverflowError) as error:
        raise _not_held(options, kind, value) from error


def _number(options: WriteOptions, kind: WriteType, value: Value) -> float | int:
    """The number in a value: whole where the type asks for it."""
    try:
        number = float(value) if isinstance(value, str) and not value.isdecimal() else value
        whole = int(number)
    except (ValueError, OverflowError) as error:
        raise _not_held(options, kind, value) from error
    if kind.startswith("float"):
        return float(number)
    if not isinstance(number, str) and number != whole:
        raise _not_held(options, kind, value)
    return whole


def _decimal(options: WriteOptions, value: Value) -> bytes:
    """4 digits a register, as many registers as `words` says or the digits need."""
    digits = value if isinstance(value, str) else f"{value:.0f}" if math.isfinite(value) and value % 1 == 0 else ""
    words = options.words or -(-len(digits) // _DIGITS_A_WORD)
    if not digits.isascii() or not digits.isdecimal() or len(digits) > words * _DIGITS_A_WORD:
        raise _not_held(options, "bcd", value)
    return bytes.fromhex(digits.rjust(words * _DIGITS_A_WORD, "0"))


def _not_held(options: WriteOptions, kind: WriteType, value: object) -> BadOption:
    return BadOption("drivers.modbus.value", register=options.register, type=kind, value=str(value))
