"""What DL/T 645 and CJ/T 188 frames share: wake-up bytes, a check sum, BCD with the low byte first.

    FE FE FE FE 68 … CS 16      CS: sum of all bytes from the first 68 on, mod 256

The sum is weak: two damages that cancel each other pass. So an answer must also have the address, the control
code, the data identifier and the very length of the one that was asked for.
"""

from __future__ import annotations

from typing import Any

import construct

from drivers.errors import BadAnswer

WAKE = b"\xfe"
WILDCARD = "AA"


def sum8(data: bytes) -> int:
    """Sum of the bytes mod 256."""
    return sum(data) & 0xFF


def framed(body: Any) -> Any:
    """The `construct` of a frame around that of its body: check sum and end."""
    return construct.Struct(
        "body" / construct.RawCopy(body),
        "sum" / construct.Checksum(construct.Byte, sum8, construct.this.body.data),
        "end" / construct.Const(b"\x16"),
    )


def parsed(frame: Any, answer: bytes) -> Any:
    """The body of an answer; raises BadAnswer."""
    try:
        return frame.parse(answer).body.value
    except construct.ChecksumError as error:
        raise BadAnswer("drivers.checksum", answer=answer.hex(" ")) from error
    except construct.ConstructError as error:
        raise BadAnswer("drivers.cut-short", instrument="", answer=answer.hex(" ")) from error


def address_bytes(digits: str) -> bytes:
    """An address as it is sent: two digits a byte, the last two first; `AA` stands for any two."""
    return bytes.fromhex(digits)[::-1]


def low_first(data: bytes, signed: bool = False) -> int | None:
    """The number in BCD digits, low byte first; `signed`: the highest bit is a minus. None: no digits."""
    if signed and data and data[-1] & 0x80:
        positive = low_first(data[:-1] + bytes((data[-1] & 0x7F,)))
        return None if positive is None else -positive
    digits = data[::-1].hex()
    return int(digits) if digits.isdecimal() else None
