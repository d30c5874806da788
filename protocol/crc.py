"""The check code of HJ 212-2017 Annex A, and the Modbus CRC that some peers use in its place.

Per byte the register is first shifted down by eight bits, which throws its old low byte away: only the high byte, eight
bits of state, survives a step. So a step is h ← L(h ⊕ byte) with L linear over GF(2), and L applied eight times is the
identity. Bytes that stand eight apart therefore act alike: the whole text may be folded (XOR) to its last eight bytes
before the table is asked. Consequence: only 256 check codes exist, and their low byte is one of KNOWN_LOW_BYTES.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

Variant = Literal["hj212", "modbus-hi-lo", "modbus-lo-hi"]

KNOWN_LOW_BYTES = frozenset((0x00, 0x01, 0x40, 0x41, 0x80, 0x81, 0xC0, 0xC1))
"""Low bytes that a check code of HJ 212 can have; any other comes from another algorithm."""


def _step(register: int) -> int:
    for _ in range(8):
        register = register >> 1 ^ 0xA001 if register & 1 else register >> 1
    return register


_TABLE = tuple(map(_step, range(256)))


@cache
def _folds(words: int) -> tuple[tuple[int, int], ...]:
    """(shift, mask) pairs that halve a number of at most `words` 64-bit words, a power of two, until one is left."""
    return tuple((64 << k, (1 << (64 << k)) - 1) for k in reversed(range(words.bit_length() - 1)))


def crc(data: bytes) -> int:
    """Check code of a data segment (Annex A): polynomial A001, start FFFF; `123456789` gives 2F80."""
    length = len(data)
    if not length:
        return 0xFFFF
    # The start value acts like a change of the first byte; zero bytes before it then change nothing.
    folded = int.from_bytes(data, "big") ^ 0xFF << 8 * (length - 1)
    for shift, mask in _folds(1 << (length - 1 >> 3).bit_length()):
        folded = folded >> shift ^ folded & mask
    table = _TABLE
    register = 0
    for byte in folded.to_bytes(8, "big"):
        register = table[register >> 8 ^ byte]
    return register


def modbus_crc(data: bytes) -> int:
    """CRC-16/MODBUS: same polynomial and table, but the low byte of the register meets the data."""
    register = 0xFFFF
    for byte in data:
        register = register >> 8 ^ _TABLE[(register ^ byte) & 0xFF]
    return register


def check_code(data: bytes, variant: Variant = "hj212") -> int:
    """The four hexadecimal digits behind a segment, as a number, by the algorithm that a link uses.

    `modbus-hi-lo` and `modbus-lo-hi` are deviations that are met in the field: Modbus CRC, high or low byte first.
    """
    if variant == "hj212":
        return crc(data)
    code = modbus_crc(data)
    return code if variant == "modbus-hi-lo" else (code & 0xFF) << 8 | code >> 8
