"""A block of registers in every type and byte order, from each register on: what could these bytes be?

    42 48 00 00     register 0   float32 ABCD 50.0 *   CDAB 2.4e-41   uint32 ABCD 1112014848   bcd …
                    register 1   uint16 ABCD 0

Byte orders and addresses off by one are the most frequent questions on site: side by side the right one is seen.
`plausible` is a guess by size alone, and nothing believes it but the eye.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from drivers import numbers
from drivers.meter_frame import low_first
from drivers.numbers import FORMATS, Decode, Order

ORDERS: tuple[Order, ...] = get_args(Order)
_FLOATS = (1e-3, 1e6)
"""A float is plausible between these, or where it is a round number of a few digits."""
_WHOLE_16, _WHOLE_32 = 10_000, 1_000_000
"""Integers are plausible below: no analyzer shows more, and halves of floats are more."""
_TEXT_MIN = 4
_BCD_MIN = 2
_DLT_OFFSET = 0x33


@dataclass(frozen=True, slots=True)
class Guess:
    """What the registers from `register` on hold if they are of this type and order; None: not possible."""

    register: int
    type: str
    order: str
    raw: bytes
    value: float | None
    text: str | None = None
    plausible: bool = False

    @property
    def words(self) -> int:
        """Registers that it takes."""
        return len(self.raw) // 2


def block(data: bytes, register: int = 0) -> list[Guess]:
    """All guesses for registers that begin with number `register`; of an odd length the last byte is left out."""
    found = []
    for offset in range(len(data) // 2):
        rest = data[2 * offset : len(data) // 2 * 2]
        for kind, order, words, decode in _types(len(rest) // 2):
            raw = rest[: 2 * words]
            value = decode(raw)
            found.append(Guess(register + offset, kind, order, raw, value, None, plausible(kind, value)))
    return found + _text(data, register)


def numbers_in(words: int) -> Iterator[tuple[str, Order, int, Decode]]:
    """Number types that fit into so many registers, in each order: (type, order, registers, decoder).

    Of one register the orders are two; BADC and DCBA are the same there.
    """
    for kind, letter in FORMATS.items():
        size = struct.calcsize(letter) // 2
        if size > words:
            continue
        for order in ORDERS if size > 1 else ("ABCD", "BADC"):
            yield kind, order, size, numbers.number(kind, order)
    for size in (1, 2, 4):
        if size <= words:
            for order in ORDERS if size > 1 else ("ABCD", "BADC"):
                yield "bcd", order, size, numbers.decimal(order)
    if words >= 4:
        for order in ORDERS:
            yield "uint32+float32", order, 4, numbers.whole_and_fraction("uint32", order)


def _types(words: int) -> Iterator[tuple[str, Order, int, Decode]]:
    yield from numbers_in(words)
    for size in (3, 4, 5, 6):
        if size <= words:
            decode = numbers.parted_time if size > 4 else numbers.bcd_time
            for order in ("ABCD", "BADC"):
                yield "time", order, size, decode(order)


def plausible(kind: str, value: float | None) -> bool:
    """Whether an instrument could show this number. 0 never is: empty registers are not worth a look."""
    if value is None or value == 0:
        return False
    size = abs(value)
    if kind in ("float32", "float64", "uint32+float32"):
        return _FLOATS[0] <= size < _FLOATS[1]
    if kind == "time":
        return True
    return size < (_WHOLE_16 if kind in ("int16", "uint16") else _WHOLE_32)


def _text(data: bytes, register: int) -> list[Guess]:
    """The block as text, both byte orders; nothing where too little of it can be printed."""
    found = []
    for order, ordered in (("ABCD", data), ("BADC", numbers.bytes_swapped(data))):
        shown = ordered.rstrip(b"\0 ").decode("ascii", "replace")
        if len(shown) >= _TEXT_MIN and shown.isprintable() and "�" not in shown:
            found.append(Guess(register, "text", order, data, None, shown, plausible=True))
    return found


def meter_digits(data: bytes) -> list[Guess]:
    """The bytes as DL/T 645 sends them: 33 added to each, BCD, low byte first; and the same without the 33."""
    found = []
    for kind, plain in (("dlt645", bytes(byte - _DLT_OFFSET & 0xFF for byte in data)), ("bcd-low-first", data)):
        value = low_first(plain) if len(data) >= _BCD_MIN else None
        if value is not None:
            found.append(Guess(0, kind, "", data, float(value), None, kind == "dlt645" and value != 0))
    return found


def shown(guess: Guess) -> str:
    """The value as a person reads it: 7 digits of a float32, whole numbers whole."""
    if guess.text is not None:
        return guess.text
    if guess.value is None or not math.isfinite(guess.value):
        return "-"
    if guess.type in ("float32", "float64", "uint32+float32"):
        return f"{guess.value:.7g}"
    return f"{guess.value:.0f}"
