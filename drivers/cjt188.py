"""CJ/T 188-2004: water meters (2400 8E1 unless set otherwise).

    FE×3  68 type A0…A6 C L data CS 16      A: 14 digits, low byte first; nothing is added to the data
    read  C 01, data DI(2) number  ▶  C 81: DI(2) number  total(4) unit  settled(4) unit  time(7) state(2)
    at fault  C C1

Both orders of DI are in the field: meters are asked as `di` says and answer in either. There is one thing to ask, so
that the number is always 0, and a late answer is at worst an older total of the same meter. Volumes are BCD with two
decimals, in m³ (unit 2C) or L (29). Some meters send a wrong check sum by design: they cannot be told from noise, and
are not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import construct
from annotated_types import Ge, Le

from drivers.driver import Bus, InstrumentSpec, PointSpec, Reading, Request
from drivers.errors import BadOption, DeviceRefused
from drivers.meter_frame import WAKE, WILDCARD, address_bytes, framed, low_first, parsed

_READ, _ANSWER, _FAULT = 0x01, 0x81, 0xC1
_ADDRESS_SIZE = 7
_HEAD, _AROUND = 11, 13
_DATA_SIZE = 22
DIS = (b"\x90\x1f", b"\x1f\x90")
M3 = {0x2C: 0.01, 0x29: 0.00001}
"""m³ in one unit of the last digit, by unit code."""

FRAME = framed(
    construct.Struct(
        "begin" / construct.Const(b"\x68"),
        "type" / construct.Byte,
        "address" / construct.Bytes(_ADDRESS_SIZE),
        "control" / construct.Byte,
        "data" / construct.Prefixed(construct.Byte, construct.GreedyBytes),
    )
)
_VOLUME = construct.Struct("digits" / construct.Bytes(4), "unit" / construct.Byte)
DATA = construct.Struct(
    "di" / construct.Bytes(2),
    "number" / construct.Byte,
    "total" / _VOLUME,
    "settled" / _VOLUME,
    "time" / construct.Bytes(7),
    "state" / construct.Int16ul,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PointOptions:
    """Which of the meter's data."""

    item: Literal["total", "settled", "state"] = "total"
    """m³ in all, m³ on the settling day, or the state word: bits 0–1 valve (0 open, 1 shut, 3 fault), 2 battery low."""
    bits: tuple[int, int] | None = None
    """Of the state word only the bits from the first to the second, 0 the lowest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentOptions:
    """How a meter is asked. Its `address`: 14 digits, or `AAAAAAAAAAAAAA` where it is alone on its line."""

    meter_type: Annotated[int, Ge(16), Le(25)] = 16
    """16 cold water, 17 hot, 18 drinking, 19 reclaimed."""
    di: Literal["901F", "1F90"] = "901F"
    """Order of the data identifier on the wire."""
    wake: Annotated[int, Ge(0), Le(16)] = 3
    """FE bytes before each request."""


class Cjt188:
    """A water meter."""

    name: ClassVar[str] = "cjt188"
    PointOptions: ClassVar[type] = PointOptions
    InstrumentOptions: ClassVar[type] = InstrumentOptions

    def __init__(self, spec: InstrumentSpec) -> None:
        options, address = spec.options or InstrumentOptions(), str(spec.address).upper()
        if len(address) != 2 * _ADDRESS_SIZE or not address.replace("A", "0").isdecimal():
            raise BadOption("drivers.cjt188.address", instrument=spec.name, address=spec.address)
        self._points = tuple(spec.points)
        for point in self._points:
            _check(point)
        di = bytes.fromhex(options.di)
        self._request = read_request(address, options.meter_type, di, options.wake)

    def read(self, bus: Bus) -> list[Reading]:
        """One exchange gives all."""
        data = DATA.parse(parsed(FRAME, bus.ask(self._request)).data)
        return [_reading(point.key, point.options, data) for point in self._points]


def read_request(address: str, meter_type: int, di: bytes, wake: int = 3) -> Request:
    """The request that reads a meter."""
    whom = address_bytes(address)
    body = {"type": meter_type, "address": whom, "control": _READ, "data": di + b"\0"}
    head: list[int | None] = [0x68, None, *(None if byte == 0xAA else byte for byte in whom)]

    def length(received: bytes) -> int | None:
        if any(want is not None and want != got for want, got in zip(head, received, strict=False)):
            return 0
        if len(received) < _HEAD:
            return None
        control, size = received[_HEAD - 2], received[_HEAD - 1]
        if control == _FAULT:
            return _AROUND + size if size <= _DATA_SIZE else 0
        if (control, size) != (_ANSWER, _DATA_SIZE):
            return 0
        came = received[_HEAD : _HEAD + len(di)]
        return _AROUND + size if any(one.startswith(came) for one in DIS) else 0

    def check(answer: bytes) -> None:
        came = parsed(FRAME, answer)
        if came.control == _FAULT:
            raise DeviceRefused("drivers.cjt188.refused", exception="C1", address=came.address[::-1].hex())

    return Request(
        data=WAKE * wake + FRAME.build({"body": {"value": body}}),
        length=length,
        check=check,
        confusable=() if WILDCARD in address else ("cjt188", address),
        first=b"\x68",
        lead=WAKE,
        expected=_AROUND + _DATA_SIZE + wake,
    )


def _reading(key: str, options: PointOptions, data: construct.Container) -> Reading:
    if options.item == "state":
        low, high = options.bits or (0, 15)
        return Reading(key, float(data.state >> low & (1 << (high - low + 1)) - 1), data.state.to_bytes(2, "little"))
    volume = data[options.item]
    digits, scale = low_first(volume.digits), M3.get(volume.unit)
    if digits is None:
        return Reading(key, None, volume.digits, "drivers.not-decimal")
    if scale is None:
        return Reading(key, None, volume.digits, "drivers.cjt188.unit")
    return Reading(key, round(digits * scale, 5), volume.digits)


def _check(point: PointSpec) -> None:
    options: PointOptions = point.options
    low, high = options.bits or (0, 15)
    if not 0 <= low <= high <= 15 or (options.bits is not None and options.item != "state"):
        raise BadOption("drivers.modbus.bits", point=point.key, low=low, high=high, last=15)
