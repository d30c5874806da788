"""What a Modbus request asks and how its answer is known, without framing (GB/T 19582.1 §6).

    read 1–4    function register(2) count(2)                  ▶ function bytes data
    write 5, 6  function register(2) value(2)                  ▶ the same
    write 15,16 function register(2) count(2) bytes data       ▶ function register(2) count(2)
    both 23     17 register(2) count(2) register(2) count(2) bytes data    ▶ 17 bytes data
    identity    2B 0E 04 object                                ▶ 2B 0E 04 level more next 01 object length data
    refused     function+80 code

The answer to a read names no register: only address, function and byte count tie it to its request, so these
three are its `confusable` key, whatever the framing: the transaction number of Modbus TCP is the gateway's word
only, and a gateway may itself mix up late answers. The answer to a write names its register, but a refusal does
not: writes with one function to one slave are confusable among themselves. Registers are 0-based, as sent.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from drivers.errors import DeviceRefused

ACCEPTED = 5
"""Exception code of a slave that has accepted a request and needs longer for it (GB/T 19582.1 §7)."""
EXCHANGE, IDENTIFY = 23, 43
_EXCEPTIONS = frozenset({1, 2, 3, 4, 5, 6, 8, 10, 11})
"""Exception codes that have a meaning; the catalogue has a text for each."""
_HEAD = struct.Struct(">BHH")
_WRITTEN_HEAD = 5
_IDENTITY_HEAD = b"\x2b\x0e\x04"
_IDENTITY_SIZE = 9


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to one slave. `head`: what its answer begins with; `size`: how long that is, None: `measure` tells.

    `once`: it changes something, and is not sent again blindly.
    """

    address: int
    pdu: bytes
    head: bytes
    size: int | None
    confusable: tuple[object, ...]
    register: int = 0
    count: int = 1
    once: bool = False
    measure: Callable[[bytes], int | None] | None = None
    """How long an answer is that begins with these bytes; None: cannot be told yet."""

    @property
    def function(self) -> int:
        """Function code."""
        return self.pdu[0]

    def refusal(self, code: int) -> DeviceRefused:
        """The error of an exception code."""
        text = f"drivers.modbus.exception-{code}" if code in _EXCEPTIONS else "drivers.modbus.exception"
        return DeviceRefused(text, exception=code, function=self.function, register=self.register, count=self.count)


def read_ask(address: int, function: int, register: int, count: int) -> Ask:
    """Reads `count` registers (functions 3, 4) or bits (1, 2) from `register` on."""
    size = count * 2 if function in (3, 4) else (count + 7) // 8
    return Ask(
        address,
        _HEAD.pack(function, register, count),
        bytes((function, size)),
        size + 2,
        ("modbus", address, function, size),
        register,
        count,
    )


def write_ask(address: int, function: int, register: int, count: int, data: bytes, repeat: bool = False) -> Ask:
    """Writes `data` to `count` registers (6, 16) or bits (5, 15) from `register` on.

    `data`: what goes on the wire, for function 5 FF 00 or 00 00. It is sent once, unless `repeat`.
    """
    if function in (5, 6):
        pdu = head = bytes((function,)) + register.to_bytes(2, "big") + data
    else:
        head = _HEAD.pack(function, register, count)
        pdu = head + bytes((len(data),)) + data
    # an echo of something else is not the answer to this: a write that was asked for before, another register
    key = ("modbus", address, function, "write")
    return Ask(address, pdu, head, _WRITTEN_HEAD, key, register, count, once=not repeat)


def exchange_ask(address: int, register: int, count: int, to: int, values: tuple[int, ...]) -> Ask:
    """Function 23: writes `values` from register `to` on, then reads `count` registers, in one exchange.

    It belongs to a poll, which is repeated: what it writes must bear that.
    """
    written = struct.pack(f">{len(values)}H", *values)
    pdu = _HEAD.pack(EXCHANGE, register, count) + struct.pack(">HHB", to, len(values), len(written)) + written
    return Ask(
        address,
        pdu,
        bytes((EXCHANGE, count * 2)),
        count * 2 + 2,
        ("modbus", address, EXCHANGE, count * 2),
        register,
        count,
    )


def identity_ask(address: int, item: int) -> Ask:
    """Function 2B/0E: one text of the identification: 0 maker, 1 product code, 2 version, … (§6.21)."""
    return Ask(
        address,
        _IDENTITY_HEAD + bytes((item,)),
        _IDENTITY_HEAD,
        None,
        ("modbus", address, IDENTIFY, item),
        item,
        measure=lambda pdu: _identity_size(pdu, item),
    )


def _identity_size(pdu: bytes, item: int) -> int | None:
    if len(pdu) < _IDENTITY_SIZE:
        return None
    # one object, the one that was asked for
    return _IDENTITY_SIZE + pdu[8] if (pdu[6], pdu[7]) == (1, item) else 0


def identity_text(pdu: bytes) -> bytes:
    """The text in an answer to `identity_ask`."""
    return pdu[_IDENTITY_SIZE:]
