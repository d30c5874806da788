"""Recognising frames without knowing what was asked: Modbus RTU, ASCII and TCP, DL/T 645, CJ/T 188, ADAM, HJ 212.

    01 03 04 66 66 42 0E B5 C0     modbus-rtu, check right, address 1, answer, function 3, data 66 66 42 0E
    68 78 … 68 91 08 … B2 16       dlt645-2007, check right, address 000012345678, answer, energy-forward 1234.56

A frame with a wrong check code is still recognised by its form where it stands alone (`frame`), never when frames are
looked for in a stream (`first`): there only right ones count. HJ 212 is recognised by its head; its insides are the
protocol's business, which is not known in this folder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from drivers import dlt645
from drivers.cjt188 import DATA as WATER_DATA
from drivers.cjt188 import M3
from drivers.meter_frame import low_first, sum8
from drivers.modbus_frame import crc16

Kind = Literal["request", "answer", "refusal", "unknown"]
_READS = {1: "bits", 2: "bits", 3: "registers", 4: "registers"}
_FUNCTIONS = {*range(1, 7), 15, 16, 23, 43}
_ADAM = re.compile(rb"(?P<request>[#$@%~][0-9A-F]{2}[0-9A-Z]*)\r|(?P<answer>[>!?][ -~]*)\r")
_HJ212 = re.compile(rb"##(\d{4})")
_HJ212_AROUND = 12
MAX_RTU = 256
_REQUEST = 8


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. `check`: whether its check code is right, None: it has none. `data`: registers, bits or a value."""

    protocol: str
    check: bool | None
    kind: Kind
    raw: bytes
    address: int | str | None = None
    data: bytes = b""
    fields: dict[str, Any] = field(default_factory=dict)


def frame(data: bytes) -> Frame | None:
    """The frame that these bytes are; None: of no protocol that is known here."""
    if data.startswith(b"##"):
        return _hj212(data) or Frame("hj212", None, "unknown", data)
    for find in (_ascii, _adam, _dlt645, _cjt188, _rtu_exact, _tcp):
        found = find(data)
        if found is not None:
            return found
    return None


def first(data: bytes, answers: bool = False) -> Frame | None:
    """The frame with a right check code that begins at the first byte of a stream; None: none does, or not yet whole.

    `answers`: an answer is due. Modbus TCP and ADAM's text are not looked for: without a check code anything could be
    one.
    """
    for find in (_hj212, _ascii, _dlt645, _cjt188, lambda data: _rtu_prefix(data, answers)):
        found = find(data)
        if found is not None and found.check is not False:
            return found
    return None


# Modbus


def _pdu(pdu: bytes) -> tuple[Kind, bytes, dict[str, Any]] | None:
    """What a PDU of this length says; None: it is none."""
    function = pdu[0] & 0x7F
    if function not in _FUNCTIONS or len(pdu) < 2:
        return None
    base: dict[str, Any] = {"function": function}
    if pdu[0] & 0x80:
        return ("refusal", b"", base | {"exception": pdu[1]}) if len(pdu) == 2 else None
    if function in _READS:
        return _read_pdu(pdu, base)
    if function in (5, 6):
        place = {"register": int.from_bytes(pdu[1:3], "big")}
        return ("unknown", pdu[3:5], base | place) if len(pdu) == 5 else None
    if function in (15, 16):
        return _write_pdu(pdu, base)
    return "unknown", pdu[1:], base


def _read_pdu(pdu: bytes, base: dict[str, Any]) -> tuple[Kind, bytes, dict[str, Any]] | None:
    if len(pdu) == pdu[1] + 2 and pdu[1] > 0 and (pdu[0] < 3 or pdu[1] % 2 == 0):
        return "answer", pdu[2:], base
    if len(pdu) != 5:
        return None
    return "request", b"", base | _place(pdu)


def _write_pdu(pdu: bytes, base: dict[str, Any]) -> tuple[Kind, bytes, dict[str, Any]] | None:
    if len(pdu) == 5:
        return "answer", b"", base | _place(pdu)
    if len(pdu) > 6 and len(pdu) == pdu[5] + 6:
        return "request", pdu[6:], base | _place(pdu)
    return None


def _place(pdu: bytes) -> dict[str, Any]:
    return {"register": int.from_bytes(pdu[1:3], "big"), "count": int.from_bytes(pdu[3:5], "big")}


def _modbus(protocol: str, raw: bytes, address: int, pdu: bytes, check: bool | None) -> Frame | None:
    said = _pdu(pdu) if pdu else None
    return None if said is None else Frame(protocol, check, said[0], raw, address, said[1], said[2])


def _rtu_exact(data: bytes) -> Frame | None:
    if len(data) < 5:
        return None
    right = crc16(data) == 0
    found = _modbus("modbus-rtu", data, data[0], data[1:-2], right)
    if found is None and right:
        return Frame("modbus-rtu", True, "unknown", data, data[0], data[2:-2], {"function": data[1]})
    # with a wrong CRC the form has to fit closely: else any bytes would be a frame
    return found if right or (found is not None and (found.data or "count" in found.fields)) else None


def _rtu_prefix(data: bytes, answers: bool) -> Frame | None:
    sizes = _rtu_sizes(data)
    if answers and sizes == [_REQUEST, _REQUEST + 1]:
        # a CRC that ends in 00: without its last byte the answer would be a right request
        sizes = sizes[::-1] if len(data) > _REQUEST else []
    for size in sizes:
        if size <= len(data) and crc16(data[:size]) == 0:
            return _rtu_exact(data[:size])
    return None


def _rtu_sizes(data: bytes) -> list[int]:
    """How long a frame that begins so may be."""
    if len(data) < 4 or data[1] & 0x7F not in _FUNCTIONS:
        return []
    if data[1] & 0x80:
        return [5]
    if data[1] in _READS:
        return [_REQUEST, data[2] + 5]
    if data[1] in (5, 6):
        return [8]
    if data[1] in (15, 16):
        return [8, *([data[6] + 9] if len(data) > 6 else [])]
    return list(range(5, min(MAX_RTU, len(data)) + 1))


def _ascii(data: bytes) -> Frame | None:
    if not data.startswith(b":") or b"\r" not in data:
        return None
    line = data[: data.index(b"\r") + 2]
    try:
        body = bytes.fromhex(line[1:].strip().decode("ascii"))
    except ValueError:
        return None
    if len(body) < 3:
        return None
    return _modbus("modbus-ascii", line, body[0], body[1:-1], sum8(body) == 0)


def _tcp(data: bytes) -> Frame | None:
    if len(data) < 9 or data[2:4] != b"\0\0" or int.from_bytes(data[4:6], "big") != len(data) - 6:
        return None
    return _modbus("modbus-tcp", data, data[6], data[7:], None)


# meters


def _dlt645(data: bytes) -> Frame | None:
    start = len(data) - len(data.lstrip(b"\xfe"))
    body = data[start:]
    if len(body) < 12 or body[0] != 0x68 or body[7] != 0x68 or len(body) < body[9] + 12:
        return None
    size = body[9] + 12
    plain = bytes(byte - 0x33 & 0xFF for byte in body[10 : size - 2])
    control = body[8]
    edition: dlt645.Edition = "1997" if control & 0x1F in (0x01, 0x02, 0x04) else "2007"
    fields: dict[str, Any] = {"control": control}
    width = 4 if edition == "2007" else 2
    if not control & 0x40 and len(plain) >= width:
        fields |= _meter_item(plain, edition, width)
    return Frame(
        f"dlt645-{edition}",
        sum8(body[: size - 2]) == body[size - 2] and body[size - 1] == 0x16,
        "refusal" if control & 0x40 else "answer" if control & 0x80 else "request",
        data[: start + size],
        body[6:0:-1].hex().upper(),
        plain[width:],
        fields,
    )


def _meter_item(plain: bytes, edition: dlt645.Edition, width: int) -> dict[str, Any]:
    di = plain[:width][::-1].hex().upper()
    found: dict[str, Any] = {"di": di}
    for name, item in dlt645.ITEMS[edition].items():
        if item.di == di:
            digits = low_first(plain[width:], item.signed) if len(plain) == width + item.size else None
            value = None if digits is None else digits / 10**item.decimals
            found |= {"item": name} | ({} if value is None else {"value": value})
    return found


def _cjt188(data: bytes) -> Frame | None:
    start = len(data) - len(data.lstrip(b"\xfe"))
    body = data[start:]
    if len(body) < 13 or body[0] != 0x68 or not 0x10 <= body[1] <= 0x4F or len(body) < body[10] + 13:
        return None
    size = body[10] + 13
    control, content = body[9], body[11 : size - 2]
    fields: dict[str, Any] = {"control": control, "meter_type": body[1]}
    if control == 0x81 and len(content) == WATER_DATA.sizeof():
        total = WATER_DATA.parse(content).total
        digits, scale = low_first(total.digits), M3.get(total.unit)
        fields |= {} if digits is None or scale is None else {"item": "total", "value": round(digits * scale, 5)}
    return Frame(
        "cjt188",
        sum8(body[: size - 2]) == body[size - 2] and body[size - 1] == 0x16,
        "refusal" if control & 0x40 else "answer" if control & 0x80 else "request",
        data[: start + size],
        body[8:1:-1].hex().upper(),
        content,
        fields,
    )


# text


def _adam(data: bytes) -> Frame | None:
    found = _ADAM.fullmatch(data)
    if found is None:
        return None
    kind: Kind = "request" if found["request"] else "answer"
    address = int(data[1:3], 16) if kind == "request" else None
    return Frame("adam", None, kind, data, address, data[:-1], {})


def _hj212(data: bytes) -> Frame | None:
    head = _HJ212.match(data)
    if head is None or len(data) < int(head[1]) + _HJ212_AROUND - 2:
        return None
    size = int(head[1]) + _HJ212_AROUND
    return Frame("hj212", None, "unknown", data[:size], None, data[6 : int(head[1]) + 6], {})
