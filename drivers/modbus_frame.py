"""Modbus RTU on the wire: the requests of functions 1–6, 15 and 16, and the check of their answers (GB/T 19582).

    read 1–4    address function register(2) count(2) CRC(2, low byte first)   ▶ address function bytes data CRC
    write 5, 6  address function register(2) value(2) CRC                      ▶ the same 8 bytes
    write 15,16 address function register(2) count(2) bytes data CRC           ▶ the first 6 bytes, CRC
    refused     address function+80 code CRC

The answer to a read names no register: only address, function and byte count tie it to its request, so these
three are its `confusable` key. The answer to a write names its register, but a refusal does not: writes with
one function to one slave are confusable among themselves. Registers are 0-based, as sent.
"""

from __future__ import annotations

import struct
from typing import Literal

import crcmod

from drivers.driver import Request
from drivers.errors import BadAnswer, DeviceRefused

Type = Literal[
    "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "bcd", "bool", "text", "hex"
]  # fmt: skip
"""`text` and `hex` are for what is read once, such as a serial number; the others are numbers."""
Order = Literal["ABCD", "CDAB", "BADC", "DCBA"]
"""Order of the bytes on the wire, A the highest. In one register BADC and DCBA swap the two bytes."""

FORMATS = {"int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q",
           "float32": "f", "float64": "d"}  # fmt: skip
ACCEPTED = 5
"""Exception code of a slave that has accepted a request and needs longer for it (GB/T 19582.1 §7)."""
_EXCEPTIONS = frozenset({1, 2, 3, 4, 5, 6, 8, 10, 11})
"""Exception codes that have a meaning; the catalogue has a text for each."""
_HEAD = struct.Struct(">BBHH")
_CRC = struct.Struct("<H")
_ECHO_SIZE = 8
_REFUSAL_SIZE = 5

crc16 = crcmod.mkCrcFun(0x18005, initCrc=0xFFFF, rev=True, xorOut=0)
"""CRC of Modbus; 0 over a frame together with its own CRC."""


def words_reversed(data: bytes) -> bytes:
    """The registers in reverse, the bytes in each as they were."""
    return b"".join(data[at : at + 2] for at in range(len(data) - 2, -1, -2))


def bytes_swapped(data: bytes) -> bytes:
    """The two bytes of each register swapped."""
    return b"".join(data[at : at + 2][::-1] for at in range(0, len(data), 2))


def read_request(address: int, function: int, register: int, count: int) -> Request:
    """The request that reads `count` registers (functions 3, 4) or bits (1, 2) from `register` on."""
    body = _HEAD.pack(address, function, register, count)
    size = count * 2 if function in (3, 4) else (count + 7) // 8
    head = bytes((address, function, size))
    refusal = bytes((address, function | 0x80))

    def length(received: bytes) -> int | None:
        if received[:2] == refusal:
            return _REFUSAL_SIZE
        if not head.startswith(received[:3]) and received != refusal[:1]:
            return 0
        return size + 5 if len(received) >= 2 else None

    def check(answer: bytes) -> None:
        _check(answer, function, register, count)

    return Request(
        data=body + _CRC.pack(crc16(body)),
        length=length,
        check=check,
        confusable=("modbus", address, function, size),
        expected=size + 5,
    )


def write_request(address: int, function: int, register: int, count: int, data: bytes, repeat: bool = False) -> Request:
    """The request that writes `data` to `count` registers (6, 16) or bits (5, 15) from `register` on.

    `data`: what goes on the wire, for function 5 FF 00 or 00 00. It is sent once, unless `repeat`.
    """
    if function in (5, 6):
        body = bytes((address, function)) + register.to_bytes(2, "big") + data
        head = body
    else:
        head = _HEAD.pack(address, function, register, count)
        body = head + bytes((len(data),)) + data
    refusal = bytes((address, function | 0x80))

    def length(received: bytes) -> int | None:
        if received[:2] == refusal:
            return _REFUSAL_SIZE
        # an echo of something else is not the answer to this: a write that was asked for before, another register
        if not head.startswith(received[:6]) and received != refusal[:1]:
            return 0
        return _ECHO_SIZE if len(received) >= 2 else None

    def check(answer: bytes) -> None:
        _check(answer, function, register, count)

    return Request(
        data=body + _CRC.pack(crc16(body)),
        length=length,
        check=check,
        confusable=("modbus", address, function, "write"),
        expected=_ECHO_SIZE,
        once=not repeat,
    )


def _check(answer: bytes, function: int, register: int, count: int) -> None:
    """Raises BadAnswer for a wrong CRC, DeviceRefused for an exception."""
    if crc16(answer) != 0:
        raise BadAnswer("drivers.crc", answer=answer.hex(" "))
    if answer[1] & 0x80:
        code = answer[2]
        text = f"drivers.modbus.exception-{code}" if code in _EXCEPTIONS else "drivers.modbus.exception"
        raise DeviceRefused(text, exception=code, function=function, register=register, count=count)
