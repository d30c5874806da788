"""Modbus on the wire: the three framings of a request and its answer (GB/T 19582.2, .3).

    rtu     address PDU CRC(2, low byte first)
    ascii   ':' address PDU LRC, as hexadecimal digits, CR LF
    tcp     transaction(2) 0000 length(2) address PDU

`rtu` and `ascii` also come through serial servers, as a plain TCP stream. What can go wrong: the LRC of `ascii`
passes 1 damage of 256; `tcp` has no check of its own and relies on TCP's, but numbers its requests.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import crcmod

from drivers.driver import Request
from drivers.errors import BadAnswer
from drivers.modbus_pdu import Ask, read_ask, write_ask

FramingName = Literal["rtu", "ascii", "tcp"]
_CRC = struct.Struct("<H")
_REFUSAL = 2
_MBAP = 7
_UNKNOWN = 16
"""Bytes that are waited for where the length of an answer is not known beforehand."""

crc16 = crcmod.mkCrcFun(0x18005, initCrc=0xFFFF, rev=True, xorOut=0)
"""CRC of Modbus; 0 over a frame together with its own CRC."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """How frames of one framing are built and measured."""

    begin: Callable[[int, bytes], bytes]
    """What a frame begins with whose address and PDU begin so."""
    size: Callable[[int], int]
    """Length of the frame of a PDU of this length."""
    part: Callable[[bytes], bytes]
    """What has come of the PDU, from what has come of the frame."""
    unwrap: Callable[[bytes], bytes]
    """The PDU in a whole frame; raises BadAnswer."""
    paced: bool = True


def _rtu_pdu(frame: bytes) -> bytes:
    if crc16(frame) != 0:
        raise BadAnswer("drivers.crc", answer=frame.hex(" "))
    return frame[1:-2]


def _ascii_pdu(frame: bytes) -> bytes:
    try:
        body = bytes.fromhex(frame[1:-2].decode("ascii"))
    except ValueError as error:
        raise BadAnswer("drivers.checksum", answer=frame.hex(" ")) from error
    # `fromhex` passes over blanks, and 00 whose digits lost a bit each is two of them: the sum stays right
    if sum(body) & 0xFF or frame[-2:] != b"\r\n" or len(frame) != 2 * len(body) + 3:
        raise BadAnswer("drivers.checksum", answer=frame.hex(" "))
    return body[1:-1]


def _ascii_part(frame: bytes) -> bytes:
    digits = frame[3:].partition(b"\r")[0].decode("ascii", "replace")
    try:
        return bytes.fromhex(digits[: len(digits) // 2 * 2])
    except ValueError:
        return b""


def _hex(data: bytes) -> bytes:
    return data.hex().upper().encode("ascii")


_RTU = _Shape(lambda address, pdu: bytes((address,)) + pdu, lambda size: size + 3, lambda frame: frame[1:], _rtu_pdu)
_ASCII = _Shape(
    lambda address, pdu: b":" + _hex(bytes((address,)) + pdu), lambda size: 2 * size + 7, _ascii_part, _ascii_pdu
)


def rtu(ask: Ask) -> Request:
    """An RTU request."""
    body = bytes((ask.address,)) + ask.pdu
    return _request(ask, body + _CRC.pack(crc16(body)), _RTU)


def ascii_(ask: Ask) -> Request:
    """A Modbus ASCII request."""
    body = bytes((ask.address,)) + ask.pdu
    return _request(ask, b":" + _hex(body + bytes((-sum(body) & 0xFF,))) + b"\r\n", _ASCII)


def tcp(ask: Ask, transaction: int) -> Request:
    """A Modbus TCP request with this transaction number."""
    number = struct.pack(">HH", transaction, 0)

    def begin(address: int, pdu: bytes) -> bytes:
        size = _REFUSAL if pdu[0] & 0x80 else ask.size
        # an answer of unknown length is known by its transaction alone until its PDU is there
        return number if size is None else number + struct.pack(">HB", size + 1, address) + pdu

    def unwrap(frame: bytes) -> bytes:
        if frame[_MBAP - 1] != ask.address:
            raise BadAnswer("drivers.modbus.other", answer=frame.hex(" "))
        return frame[_MBAP:]

    shape = _Shape(begin, lambda size: size + _MBAP, lambda frame: frame[_MBAP:], unwrap, paced=False)
    return _request(ask, number + struct.pack(">HB", len(ask.pdu) + 1, ask.address) + ask.pdu, shape)


def _request(ask: Ask, data: bytes, shape: _Shape) -> Request:
    head = shape.begin(ask.address, ask.head)
    refusal = shape.begin(ask.address, bytes((ask.function | 0x80,)))
    differ = (index for index, (one, other) in enumerate(zip(head, refusal, strict=False)) if one != other)
    decided = next(differ, len(head)) + 1
    size = None if ask.size is None else shape.size(ask.size)

    def length(received: bytes) -> int | None:
        seen = received.upper() if shape is _ASCII else received
        if seen.startswith(refusal):
            return shape.size(_REFUSAL)
        if not head.startswith(seen[: len(head)]):
            return None if refusal.startswith(seen) else 0
        if len(seen) < decided:
            return None
        return size if ask.measure is None else _measured(ask, shape, received)

    def check(answer: bytes) -> None:
        pdu = shape.unwrap(answer)
        if pdu[0] == ask.function | 0x80:
            raise ask.refusal(pdu[1])
        if not pdu.startswith(ask.head):
            raise BadAnswer("drivers.modbus.other", answer=answer.hex(" "))

    return Request(
        data=data,
        length=length,
        check=check,
        confusable=ask.confusable,
        first=head[:1],
        expected=size or shape.size(_UNKNOWN),
        once=ask.once,
        paced=shape.paced,
    )


def _measured(ask: Ask, shape: _Shape, received: bytes) -> int | None:
    size = ask.measure(shape.part(received)) if ask.measure else None
    return shape.size(size) if size else size


class Framing:
    """One instrument's way of framing: makes its requests and takes the PDU out of a checked answer."""

    def __init__(self, name: FramingName) -> None:
        self._name = name
        self._numbers = itertools.count(1)

    def maker(self, ask: Ask) -> Callable[[], Request]:
        """Makes the request each time it is sent: of `tcp` with a new number, else once and for all."""
        if self._name == "tcp":
            return lambda: tcp(ask, next(self._numbers) & 0xFFFF)
        request = ascii_(ask) if self._name == "ascii" else rtu(ask)
        return lambda: request

    def pdu(self, answer: bytes) -> bytes:
        """The PDU of an answer that was checked."""
        if self._name == "rtu":
            return answer[1:-2]
        return answer[_MBAP:] if self._name == "tcp" else bytes.fromhex(answer[1:-4].decode("ascii"))[1:]


def read_request(address: int, function: int, register: int, count: int) -> Request:
    """The RTU request that reads `count` registers (functions 3, 4) or bits (1, 2) from `register` on."""
    return rtu(read_ask(address, function, register, count))


def write_request(address: int, function: int, register: int, count: int, data: bytes, repeat: bool = False) -> Request:
    """The RTU request that writes `data` to `count` registers (6, 16) or bits (5, 15) from `register` on."""
    return rtu(write_ask(address, function, register, count, data, repeat))
