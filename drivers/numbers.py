"""Numbers as instruments write them: types, byte orders, BCD digits, times.

    float32 35.6   ABCD 42 0E 66 66    CDAB 66 66 42 0E    BADC 0E 42 66 66    DCBA 66 66 0E 42

A is the highest byte. What can go wrong: another order than the instrument's gives plausible nonsense, so that
no default is a guess; NaN, infinity, letters in BCD and a 31st of February are no value, never a number.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from datetime import datetime
from typing import Literal

Order = Literal["ABCD", "CDAB", "BADC", "DCBA"]
"""Order of the bytes on the wire, A the highest. In one register BADC and DCBA swap the two bytes."""

FORMATS = {"int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q",
           "float32": "f", "float64": "d"}  # fmt: skip
"""Number types and their `struct` letters."""
Decode = Callable[[bytes], float | None]
"""From the bytes on the wire to the number; None: they hold none."""
_CENTURY = 2000
_TWO_DIGITS = 99


def words_reversed(data: bytes) -> bytes:
    """The registers in reverse, the bytes in each as they were."""
    return b"".join(data[at : at + 2] for at in range(len(data) - 2, -1, -2))


def bytes_swapped(data: bytes) -> bytes:
    """The two bytes of each register swapped."""
    return b"".join(data[at : at + 2][::-1] for at in range(0, len(data), 2))


def high_first(data: bytes, order: Order) -> bytes:
    """The bytes as ABCD."""
    words = words_reversed(data) if order in ("CDAB", "DCBA") else data
    return bytes_swapped(words) if order in ("BADC", "DCBA") else words


def number(kind: str, order: Order) -> Decode:
    """Decodes a type of `FORMATS`."""
    # With the words in reverse CDAB is big-endian and BADC little-endian: two decoders serve four orders.
    swapped = order in ("CDAB", "BADC")
    layout = struct.Struct((">" if order in ("ABCD", "CDAB") else "<") + FORMATS[kind])

    def decode(raw: bytes) -> float | None:
        value = float(layout.unpack(words_reversed(raw) if swapped else raw)[0])
        return value if math.isfinite(value) else None

    return decode


def bits(kind: str, order: Order, low: int, high: int) -> Decode:
    """Decodes bits `low` … `high` of an integer, 0 the lowest."""
    layout = struct.Struct(">" + FORMATS[kind])
    mask = (1 << (high - low + 1)) - 1

    def decode(raw: bytes) -> float | None:
        return float(layout.unpack(high_first(raw, order))[0] >> low & mask)

    return decode


def whole_and_fraction(kind: str, order: Order) -> Decode:
    """Decodes an integer of 32 bits that is followed by its fraction as a float32; each has its own `order`."""
    whole, fraction = number(kind, order), number("float32", order)

    def decode(raw: bytes) -> float | None:
        first, second = whole(raw[:4]), fraction(raw[4:])
        # a totaliser is written in two steps: while it carries over, the fraction may be no fraction
        if first is None or second is None or not -1 < second < 1:
            return None
        return first + second

    return decode


def decimal(order: Order) -> Decode:
    """Decodes BCD: 4 decimal digits a register."""

    def decode(raw: bytes) -> float | None:
        digits = high_first(raw, order).hex()
        return float(digits) if digits.isdecimal() else None

    return decode


def bcd_time(order: Order) -> Decode:
    """Decodes the BCD digits yymmddhhmmss or yyyymmddhhmmss, as a number of 14 digits."""

    def decode(raw: bytes) -> float | None:
        digits = high_first(raw, order).hex()
        return time_number(digits[:14] if len(digits) > 14 else digits)

    return decode


def parted_time(order: Order) -> Decode:
    """Decodes year, month, day, hour, minute and perhaps second, a register each, as a number of 14 digits."""

    def decode(raw: bytes) -> float | None:
        data = bytes_swapped(raw) if order in ("BADC", "DCBA") else raw
        year, *rest = struct.unpack(f">{len(data) // 2}H", data)
        if max(rest) > _TWO_DIGITS:
            return None
        parts = "".join(f"{part:02d}" for part in rest)
        return time_number(f"{year + _CENTURY if year < 100 else year:04d}{parts:0<10}")

    return decode


def time_number(digits: str) -> float | None:
    """yyyymmddhhmmss as a number, from these 14 digits or from yymmddhhmmss; None where they are no time."""
    if len(digits) not in (12, 14) or not (digits.isascii() and digits.isdecimal()):
        return None
    whole = digits if len(digits) == 14 else f"{_CENTURY // 100}{digits}"
    try:
        datetime.strptime(whole + "+0800", "%Y%m%d%H%M%S%z")
    except ValueError:
        return None
    return float(whole)
