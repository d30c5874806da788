"""Packets a second of the codec, against a plain one in the same run.

The packet is a 2011 upload of 434 bytes with ten factors. Encoding starts from floats and includes rounding and every
check of `protocol`; decoding starts from bytes on a stream and ends with a checked packet. The plain codec does what is
usually written: check code by a table loop, split into dicts, %-formatting, no checks beyond length and check code.
"""

# ruff: noqa: UP031
# what is usually written is what is measured here

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

from protocol import crc, messages
from protocol.frame import Frame, FrameDecoder
from protocol.packet import Packet
from protocol.region import number
from protocol.times import parse_time

HEADER = messages.Header("32", "123456", "010000A8900016F000169DC0")
CODES = ("w00000", "w01001", "w01018", "w21003", "w21011", "w21001", "w01012", "w01010", "w01009", "w20117")
VALUES = (117.5312, 7.128, 140.1537, 12.20412, 10.31871, 112.40231, 18.61227, 21.3391, 16.40118, 10.0524)
DATA_TIME_MS = parse_time("20160801085857")
QN_MS = parse_time("20160801085857223")


def _ours_encode() -> bytes:
    items = [(code, (("Rtd", number(value, 2)), ("Flag", "N"))) for code, value in zip(CODES, VALUES, strict=True)]
    region = messages.realtime(DATA_TIME_MS, items)
    (packet,) = messages.assemble(HEADER, "2011", region, lambda: QN_MS, answer=True)
    return packet.to_frame()


def _ours_decode(data: bytes, decoder: FrameDecoder) -> Packet:
    (frame,) = decoder.feed(data, 0.0)
    assert isinstance(frame, Frame)
    return Packet.from_segment(frame.segment)


def _plain_crc(data: bytes, table: tuple[int, ...] = crc._TABLE) -> int:
    register = 0xFFFF
    for byte in data:
        register = table[(register >> 8) ^ byte]
    return register


def _plain_encode() -> bytes:
    region = "DataTime=%s" % "20160801085857"
    for code, value in zip(CODES, VALUES, strict=True):
        region += ";%s-Rtd=%.2f,%s-Flag=%s" % (code, value, code, "N")
    segment = "QN=%s;ST=%s;CN=%s;PW=%s;MN=%s;Flag=%d;CP=&&%s&&" % (
        "20160801085857223", HEADER.st, "2011", HEADER.pw, HEADER.mn, 5, region,
    )  # fmt: skip
    data = segment.encode()
    return b"##%04d%s%04X\r\n" % (len(data), data, _plain_crc(data))


def _plain_decode(data: bytes) -> dict[str, Any]:
    length = int(data[2:6])
    segment = data[6 : 6 + length]
    if int(data[6 + length : 10 + length], 16) != _plain_crc(segment):
        raise ValueError
    head, _, body = segment.decode().partition("CP=&&")
    packet: dict[str, Any] = {}
    for part in head.split(";"):
        if part:
            name, value = part.split("=")
            packet[name] = value
    packet["CP"] = []
    for item in body[:-2].split(";"):
        fields: dict[str, str] = {}
        for field in item.split(","):
            name, value = field.split("=")
            fields[name] = value
        packet["CP"].append(fields)
    return packet


def _rate(work: Callable[[], object], seconds: float = 0.25) -> float:
    """Calls a second: the best of eight rounds, since others use the machine as well."""
    best = 0.0
    for _ in range(8):
        count, began = 0, time.perf_counter()
        while (passed := time.perf_counter() - began) < seconds / 8:
            for _ in itertools.repeat(None, 50):
                work()
            count += 50
        best = max(best, count / passed)
    return best


def run() -> list[dict[str, Any]]:
    """Rows of name, value, unit, against, ratio."""
    data = _ours_encode()
    if data != _plain_encode():
        raise AssertionError("the two codecs disagree")
    decoder = FrameDecoder()
    pairs: list[tuple[str, Callable[[], object], Callable[[], object]]] = [
        ("crc", lambda: crc.crc(data[6:-6]), lambda: _plain_crc(data[6:-6])),
        ("encode", _ours_encode, _plain_encode),
        ("decode", lambda: _ours_decode(data, decoder), lambda: _plain_decode(data)),
        ("both", lambda: _ours_decode(_ours_encode(), decoder), lambda: _plain_decode(_plain_encode())),
    ]
    rows = []
    for name, ours, plain in pairs:
        value, against = _rate(ours), _rate(plain)
        rows.append(
            {"name": f"codec {name}", "value": round(value), "unit": "packets/s", "against": round(against),
             "ratio": round(value / against, 2)}
        )  # fmt: skip
    return rows
