"""Packets a second of the codec, against a plain one in the same run.

The packet is a 2011 upload of 434 bytes with ten factors. Encoding starts from floats and includes rounding and every
check of `protocol`, of which those of names and header are made once a station; decoding starts from bytes on a stream
and ends with a checked packet. The plain codec does what is usually written: check code by a table loop, split into
dicts, %-formatting, no checks beyond length and check code.
"""

# ruff: noqa: UP031
# what is usually written is what is measured here

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any

from protocol import crc, messages, upload
from protocol.frame import Frame, FrameDecoder
from protocol.packet import Packet
from protocol.times import parse_time

HEADER = messages.Header("32", "123456", "010000A8900016F000169DC0")
CODES = ("w00000", "w01001", "w01018", "w21003", "w21011", "w21001", "w01012", "w01010", "w01009", "w20117")
VALUES = (117.5312, 7.128, 140.1537, 12.20412, 10.31871, 112.40231, 18.61227, 21.3391, 16.40118, 10.0524)
SHAPE: upload.Shape = tuple((code, (("Rtd", 2), ("Flag", "N"))) for code in CODES)
DATA_TIME_MS = parse_time("20160801085857")
_ROUND_S = 0.01
QN_MS = parse_time("20160801085857223")


def _ours_encode() -> bytes:
    body = upload.realtime(DATA_TIME_MS, SHAPE, VALUES)
    return upload.frames(HEADER, "2011", body, lambda: QN_MS, answer=True)[0].data


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


def _rates(works: Sequence[Callable[[], object]], rounds: int = 24) -> list[float]:
    """Calls a second of each: the best of its rounds, which take turns, since others use the machine as well."""
    best = [0.0] * len(works)
    for _ in range(rounds):
        for at, work in enumerate(works):
            count, began = 0, time.perf_counter()
            while (passed := time.perf_counter() - began) < _ROUND_S:
                for _ in itertools.repeat(None, 50):
                    work()
                count += 50
            best[at] = max(best[at], count / passed)
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
        value, against = _rates((ours, plain))
        rows.append(
            {"name": f"codec {name}", "value": round(value), "unit": "packets/s", "against": round(against),
             "ratio": round(value / against, 2)}
        )  # fmt: skip
    return rows
