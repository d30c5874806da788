"""One simulated instrument of each driver, also from the instrument models.

    of_model("scs-900cpm", 1, {"a34013": 12.5})     values in the units of the model's points
    Adam(2, [12.8, …])   Cjt188("…", 123.0)   Hj212Speaker(1, {"w01018": 35.6})   Replay(3, capture)

Frames are built here from the papers, not with the drivers. A state is set by `set_state`; what goes wrong on the wire
is the bus's business (`Fault`).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from drivers import models
from drivers.capture import Capture
from drivers.dlt645 import ITEMS
from drivers.simulated.bus import Slave
from drivers.simulated.sets import crc_bytes
from drivers.simulated.text import TextModel, channel

_BEIJING = timezone(timedelta(hours=8))
_LETTERS = {"int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "float32": "f", "float64": "d"}
_NO_FUNCTION, _NO_REGISTER = 1, 2


def of_model(name: str, address: int | str, values: Mapping[str, float], models_dir: Path | None = None) -> Slave:
    """An instrument of a model; `values` by factor, in the units of its points. KeyError for another driver's model."""
    model = models.model(name, models_dir)
    kinds: dict[str, Any] = {
        "modbus": ModbusModel,
        "dlt645": Dlt645Model,
        "cjt188": lambda _, meter, total: Cjt188(meter, *total.values()),
        "adam": _adam,
        "text": TextModel,
    }
    slave: Slave = kinds[model["model"]["driver"]](model, address, values)
    return slave


def _adam(model: Mapping[str, Any], address: int, values: Mapping[str, float]) -> Adam:
    """A module with the channels of a model; those that no value is given for are 0."""
    channels = {int(point["channel"]): values.get(point["factor"], 0.0) for point in model["points"]}
    return Adam(address, [channels.get(one, 0.0) for one in range(int(model["instrument"].get("channels", 8)))])


def _raw(point: Mapping[str, Any], value: float) -> float:
    """What the instrument holds for a value in the point's unit."""
    return (value - float(point.get("offset", 0.0))) / float(point.get("scale", 1.0))


class ModbusModel:
    """A Modbus RTU instrument whose registers hold a model's points and states; the others are 0."""

    every_s: float | None = None

    def __init__(self, model: Mapping[str, Any], address: int, values: Mapping[str, float]) -> None:
        self.address = address
        self._model = model
        self._words: dict[int, int] = {}
        self._functions = {int(point.get("function", 3)) for point in model["points"]}
        for factor, value in values.items():
            self.set(factor, value)
        for index, state in enumerate(model.get("states", [])):
            normal = next((code for code, mark in state["marks"].items() if mark == "N"), "0")
            self.set_state(index, int(normal, 0))

    def set(self, factor: str, value: float) -> None:
        """Let a point have this value, in its unit."""
        point = next(point for point in self._model["points"] if channel(point) == factor)
        raw, register = _raw(point, value), int(point["register"])
        parts = point["type"].split("+")
        for kind in parts:
            part = raw if len(parts) == 1 else int(raw) if kind is parts[0] else raw - int(raw)
            data = struct.pack(">" + _LETTERS[kind], part if kind.startswith("float") else round(part))
            self._put(register, data, str(point.get("order", "ABCD")))
            register += len(data) // 2

    def set_state(self, index: int, code: int) -> None:
        """Let the model's state of this number have a code."""
        state = self._model["states"][index]
        low, high = state.get("bits", (state["bit"],) * 2 if "bit" in state else (0, 15))
        mask = (1 << high - low + 1) - 1 << low
        word = self._words.get(int(state["register"]), 0)
        self._words[int(state["register"])] = word & ~mask | code << low & mask

    def _put(self, register: int, data: bytes, order: str) -> None:
        words = [data[at : at + 2] for at in range(0, len(data), 2)]
        if order in ("CDAB", "DCBA"):
            words.reverse()
        for index, word in enumerate(words):
            self._words[register + index] = int.from_bytes(word, "little" if order in ("BADC", "DCBA") else "big")

    def length(self, pending: bytes) -> int | None:
        """Requests of 8 bytes only: this instrument is read."""
        return 8 if pending[0] == self.address else 0

    def answer(self, request: bytes, time_ms: int) -> bytes:
        """Registers, or an exception for another function than the model's."""
        if crc_bytes(request[:-2]) != request[-2:]:
            return b""
        function, register, count = struct.unpack(">xBHH", request[:6])
        if function not in self._functions:
            return self._framed(bytes((function | 0x80, _NO_FUNCTION)))
        if not 1 <= count <= 125 or register + count > 65536:
            return self._framed(bytes((function | 0x80, _NO_REGISTER)))
        words = [self._words.get(register + index, 0) for index in range(count)]
        return self._framed(struct.pack(f">BB{count}H", function, count * 2, *words))

    def _framed(self, pdu: bytes) -> bytes:
        body = bytes((self.address,)) + pdu
        return body + crc_bytes(body)


def _sum(body: bytes) -> bytes:
    return body + bytes((sum(body) & 0xFF, 0x16))


def _bcd(number: int, size: int) -> bytes:
    """Decimal digits, the last two first."""
    return bytes.fromhex(f"{number:0{2 * size}d}")[::-1]


class Dlt645Model:
    """An electricity meter with the points of a model."""

    every_s: float | None = None

    def __init__(self, model: Mapping[str, Any], address: str, values: Mapping[str, float]) -> None:
        self.address = address
        self.values = dict(values)
        self._points = {channel(point): point for point in model["points"]}
        self._edition = str(model["instrument"].get("edition", "2007"))
        self._head = b"\x68" + bytes.fromhex(address)[::-1] + b"\x68"

    def length(self, pending: bytes) -> int | None:
        """Behind the bytes that wake it."""
        wake = len(pending) - len(pending.lstrip(b"\xfe"))
        frame = pending[wake:]
        if not self._is_mine(frame):
            return 0
        return None if len(frame) < 10 else wake + 12 + frame[9]

    def _is_mine(self, frame: bytes) -> bool:
        return all(got == want or got == 0xAA for got, want in zip(frame, self._head, strict=False))

    def answer(self, request: bytes, time_ms: int) -> bytes:
        """The quantity, or error 2: there is no such."""
        frame = request.lstrip(b"\xfe")
        if _sum(frame[:-2]) != frame:
            return b""
        di = bytes(byte - 0x33 & 0xFF for byte in frame[10:-2])
        for factor, value in self.values.items():
            item = ITEMS["2007" if self._edition == "2007" else "1997"][self._points[factor]["item"]]
            if bytes.fromhex(item.di)[::-1] == di:
                number = round(_raw(self._points[factor], abs(value)) * 10**item.decimals)
                digits = bytearray(_bcd(number, item.size))
                digits[-1] |= 0x80 if value < 0 else 0
                return self._framed(frame[8] | 0x80, di + bytes(digits))
        return self._framed(frame[8] | 0xC0, b"\x02")

    def _framed(self, control: int, data: bytes) -> bytes:
        masked = bytes(byte + 0x33 & 0xFF for byte in data)
        return _sum(self._head + bytes((control, len(masked))) + masked)


class Cjt188:
    """A water meter: `total` in m³, and the state word."""

    every_s: float | None = None

    def __init__(self, address: str, total: float, state: int = 0) -> None:
        self.address = address
        self.total = total
        self.state = state
        self._whom = bytes.fromhex(address)[::-1]

    def length(self, pending: bytes) -> int | None:
        """Behind the bytes that wake it."""
        wake = len(pending) - len(pending.lstrip(b"\xfe"))
        frame = pending[wake:]
        wanted = (0x68, None, *self._whom)
        if any(want not in (None, got) and got != 0xAA for got, want in zip(frame, wanted, strict=False)):
            return 0
        return None if len(frame) < 11 else wake + 13 + frame[10]

    def answer(self, request: bytes, time_ms: int) -> bytes:
        """Its total, twice, the time and the state."""
        frame = request.lstrip(b"\xfe")
        if _sum(frame[:-2]) != frame:
            return b""
        volume = _bcd(round(self.total * 100), 4) + b"\x2c"
        clock = datetime.fromtimestamp(time_ms / 1000, _BEIJING).strftime("%Y%m%d%H%M%S")
        data = frame[11:14] + volume + volume + bytes.fromhex(clock)[::-1] + self.state.to_bytes(2, "little")
        return _sum(b"\x68" + frame[1:2] + self._whom + bytes((0x81, len(data))) + data)


class Adam:
    """An ADAM-4000 module without check sum; `values` as it shows them, 7 characters each."""

    every_s: float | None = None

    def __init__(self, address: int, values: Sequence[float], setup: bytes = b"070600") -> None:
        self.address = address
        self.values = list(values)
        self.setup = setup

    def length(self, pending: bytes) -> int | None:
        """To the carriage return."""
        at = pending.find(b"\r")
        name = b"%02X" % self.address
        if pending[:1] not in (b"#", b"$") or not (name.startswith(pending[1:3]) or pending[1:3] == name):
            return 0
        return None if at < 0 else at + 1

    def answer(self, request: bytes, time_ms: int) -> bytes:
        """All channels, or type, speed and format."""
        if request == b"$%02X2\r" % self.address:
            return b"!%02X%b\r" % (self.address, self.setup)
        if request != b"#%02X\r" % self.address:
            return b"?%02X\r" % self.address
        return b">" + b"".join(f"{value:+07.3f}".encode("ascii") for value in self.values) + b"\r"


class Hj212Speaker:
    """An instrument that sends realtime packets by itself; `values` and `marks` by factor."""

    def __init__(
        self, address: int, values: Mapping[str, float], every_s: float = 1.0, modbus_crc: bool = False
    ) -> None:
        self.address = address
        self.every_s: float | None = every_s
        self.values = dict(values)
        self.marks = dict.fromkeys(values, "N")
        self._modbus_crc = modbus_crc

    def length(self, pending: bytes) -> int | None:
        """It does not listen."""
        return 0

    def answer(self, request: bytes, time_ms: int) -> bytes:
        """A packet of CN 2011."""
        moment = datetime.fromtimestamp(time_ms / 1000, _BEIJING).strftime("%Y%m%d%H%M%S")
        items = "".join(f";{code}-Rtd={value:g},{code}-Flag={self.marks[code]}" for code, value in self.values.items())
        segment = (
            f"QN={moment}000;ST=32;CN=2011;PW=123456;MN=SIM{self.address:021d};Flag=4;CP=&&DataTime={moment}{items}&&"
        ).encode("ascii")
        code = int.from_bytes(crc_bytes(segment), "little") if self._modbus_crc else _annex_a(segment)
        return b"##%04d%b%04X\r\n" % (len(segment), segment, code)


def _annex_a(segment: bytes) -> int:
    """The check code of HJ 212-2017 Annex A, step by step."""
    register = 0xFFFF
    for byte in segment:
        register = register >> 8 ^ byte
        for _ in range(8):
            register = register >> 1 ^ 0xA001 if register & 1 else register >> 1
    return register


class Replay:
    """Answers as an instrument once did: each request of the capture with what came then, again from the start.

    What came before the first request it says by itself, a frame a second.
    """

    def __init__(self, address: int, capture: Capture) -> None:
        self.address = address
        self._answers: dict[bytes, list[bytes]] = {}
        for request, frames in capture.exchanges():
            said = [frame.data for frame in frames]
            self._answers.setdefault(request, []).extend([b"".join(said)] if request else said)
        self.every_s: float | None = 1.0 if b"" in self._answers else None

    def length(self, pending: bytes) -> int | None:
        """The length of a request that the capture has."""
        if any(request.startswith(pending) and request != pending for request in self._answers):
            return None
        return next((len(request) for request in self._answers if request and pending.startswith(request)), 0)

    def answer(self, request: bytes, time_ms: int) -> bytes:
        """The next answer that was recorded."""
        answers = self._answers[request]
        answers.append(answers.pop(0))
        return answers[-1]
