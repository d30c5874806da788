"""One Modbus point inside the registers or bits that were read: its place, its type, its number.

    PointOptions ─▶ field_of(point) ─▶ Field.raw(…) ─▶ Field.reading(raw) ─▶ Reading

What cannot be decoded (NaN, letters in BCD, no time) is a reading without a value, and says why.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le

from drivers import numbers
from drivers.driver import PointSpec, Reading
from drivers.errors import BadOption
from drivers.modbus_pdu import EXCHANGE, IDENTIFY
from drivers.numbers import FORMATS, Decode, Order, bytes_swapped

Type = Literal[
    "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "int32+float32", "uint32+float32",
    "bcd", "time", "bool", "text", "hex",
]  # fmt: skip
"""`int32+float32`: a whole number and its fraction; `text` and `hex` are for what is read once, such as a serial
number; the others are numbers, `time` one of the digits yyyymmddhhmmss."""

MAX_BCD_WORDS = 4
"""Registers of a `bcd`: 16 digits are all that a number holds."""
MAX_TEXT_WORDS = 62
TEXTS = ("text", "hex")
"""Types that give a text and no number: read on demand, never polled."""
_SIZED = ("bcd", "time", *TEXTS)
"""Types whose length `words` says."""
_PARTED = (5, 6)
"""Registers of a `time` that has one for each of its parts; in 3 and 4 it is BCD."""
_BIT_FUNCTIONS = (1, 2)
_INTEGERS = ("int16", "uint16", "int32", "uint32")


@dataclass(frozen=True, slots=True, kw_only=True)
class PointOptions:
    """Where a Modbus point lies and how it is coded."""

    function: Literal[1, 2, 3, 4, 23, 43] = 3
    """23 writes `with_write` and reads in one exchange; 43 reads a text of the identification."""
    register: Annotated[int, Ge(0), Le(65535)]
    """0-based, as sent; with function 43 the number of the text: 0 maker, 1 product, 2 version."""
    type: Type
    """`bool` is the one type of functions 1 and 2; `bcd` holds 4 decimal digits a register; `text` and `hex`
    are for actions and infos."""
    order: Order = "ABCD"
    bit: Annotated[int, Ge(0), Le(31)] | None = None
    """Of an integer only this bit, 0 the lowest: 0 or 1."""
    bits: tuple[int, int] | None = None
    """Of an integer only the bits from the first to the second, 0 the lowest, as a number."""
    words: Annotated[int, Ge(1), Le(MAX_TEXT_WORDS)] | None = None
    """Registers of a `bcd` (4 at most), a `time` (3 or 4: BCD; 5 or 6: year, month, day, hour, minute, second),
    a `text` or a `hex`; None: 1."""
    with_write: tuple[int, ...] = ()
    """Function 23: the register that is written to, and the values, 16 bits each."""


@dataclass(frozen=True, slots=True)
class Field:
    """One point inside its block. `decode` is None for texts; `error` says why there is no number."""

    key: str
    options: PointOptions
    words: int
    decode: Decode | None
    error: str

    @property
    def start(self) -> int:
        """The first register or bit."""
        return self.options.register

    @property
    def end(self) -> int:
        """Behind the last one."""
        return self.options.register + self.words

    def raw(self, block_start: int, data: bytes) -> bytes:
        """This point's bytes in those of a block; a bit as one byte."""
        offset = self.start - block_start
        if self.options.function in _BIT_FUNCTIONS:
            return bytes([data[offset // 8] >> offset % 8 & 1])
        if self.options.function == IDENTIFY:
            return data
        return data[offset * 2 : (offset + self.words) * 2]

    def reading(self, raw: bytes) -> Reading:
        """What the bytes hold."""
        if self.decode is None:
            return self._text(raw)
        value = self.decode(raw)
        return Reading(self.key, value, raw, None if value is not None else self.error)

    def _text(self, raw: bytes) -> Reading:
        """What stands in the registers, to the first zero; `hex` as capital hexadecimal digits."""
        ordered = bytes_swapped(raw) if self.options.order == "BADC" else raw
        if self.options.type == "hex":
            return Reading(self.key, None, raw, text=ordered.hex().upper())
        return Reading(self.key, None, raw, text=ordered.partition(b"\0")[0].decode("ascii", "replace").strip())


def field_of(point: PointSpec) -> Field:
    """The field of a point. Raises BadOption."""
    options: PointOptions = point.options
    _check(point.key, options)
    error = {
        "bcd": "drivers.modbus.not-decimal",
        "time": "drivers.modbus.not-a-time",
        "int32+float32": "drivers.modbus.not-a-fraction",
        "uint32+float32": "drivers.modbus.not-a-fraction",
    }.get(options.type, "drivers.modbus.not-a-number")
    return Field(point.key, options, _words(options), _decoder(options), error)


def _words(options: PointOptions) -> int:
    if options.type in FORMATS:
        return struct.calcsize(FORMATS[options.type]) // 2
    return 4 if "+" in options.type else options.words or (3 if options.type == "time" else 1)


def _decoder(options: PointOptions) -> Decode | None:
    kind, order = options.type, options.order
    bits = options.bits if options.bit is None else (options.bit, options.bit)
    if kind in TEXTS:
        return None
    if kind == "bool":
        return lambda raw: float(raw[0])
    if kind == "bcd":
        return numbers.decimal(order)
    if kind == "time":
        return numbers.parted_time(order) if options.words in _PARTED else numbers.bcd_time(order)
    if "+" in kind:
        return numbers.whole_and_fraction(kind.partition("+")[0], order)
    return numbers.number(kind, order) if bits is None else numbers.bits(kind, order, *bits)


def _check(key: str, options: PointOptions) -> None:
    if (options.type == "bool") != (options.function in _BIT_FUNCTIONS):
        raise BadOption("drivers.modbus.type-function", point=key, type=options.type, function=options.function)
    if options.function == IDENTIFY and (options.type != "text" or options.register > 255):
        raise BadOption("drivers.modbus.identity", point=key, type=options.type)
    if (options.function == EXCHANGE) != (len(options.with_write) > 1) or not all(
        0 <= word <= 65535 for word in options.with_write
    ):
        raise BadOption("drivers.modbus.with-write", point=key, function=options.function)
    _check_bits(key, options)
    _check_words(key, options)
    words = _words(options)
    if not 0 <= options.register <= 65536 - words:
        raise BadOption("drivers.modbus.register", point=key, register=options.register, last=65536 - words)


def _check_bits(key: str, options: PointOptions) -> None:
    if options.bit is None and options.bits is None:
        return
    if options.type not in _INTEGERS or (options.bit is not None and options.bits is not None):
        raise BadOption("drivers.modbus.bit", point=key, type=options.type)
    low, high = (options.bit or 0, options.bit or 0) if options.bits is None else options.bits
    size = 8 * struct.calcsize(FORMATS[options.type])
    if not 0 <= low <= high < size:
        raise BadOption("drivers.modbus.bits", point=key, low=low, high=high, last=size - 1)


def _check_words(key: str, options: PointOptions) -> None:
    if options.words is not None and options.type not in _SIZED:
        raise BadOption("drivers.modbus.words", point=key, type=options.type)
    if options.type == "bcd" and (options.words or 1) > MAX_BCD_WORDS:
        raise BadOption("drivers.modbus.bcd-words", point=key, words=options.words, most=MAX_BCD_WORDS)
    if options.type == "time" and options.words not in (None, 3, 4, *_PARTED):
        raise BadOption("drivers.modbus.time-words", point=key, words=options.words)
    if options.type in TEXTS and options.order not in ("ABCD", "BADC"):
        raise BadOption("drivers.modbus.text-order", point=key, order=options.order)
