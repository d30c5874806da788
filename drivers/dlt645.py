"""DL/T 645-2007 and -1997: electricity meters, as they stand at every plant (2400 8E1 unless set otherwise).

    FE×4  68 A0…A5 68 C L data CS 16      A: 12 digits, low byte first; data: each byte + 33 (mod 256) on the wire
    read  C 11 (2007: DI, 4 bytes) or 01 (1997: 2 bytes)  ▶  C + 80: DI value; C + C0: an error byte

DI goes low byte first. An answer names address and DI, so that a late one is known as such; an error names the
address only. With the wildcard address `AAAAAAAAAAAA` the one meter of a line is read without knowing its address:
then any meter's answer fits, and nothing is asked while another answer may come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import construct
from annotated_types import Ge, Le

from drivers.driver import Bus, InstrumentSpec, PointSpec, Reading, Request
from drivers.errors import BadAnswer, BadOption, DeviceRefused, DeviceSilent, DriverError, PortLost
from drivers.meter_frame import WAKE, WILDCARD, address_bytes, framed, low_first, parsed

Edition = Literal["2007", "1997"]
ItemName = Literal[
    "energy", "energy-forward", "energy-reverse", "voltage-a", "voltage-b", "voltage-c", "current-a", "current-b",
    "current-c", "power", "reactive-power", "factor",
]  # fmt: skip
_READ = {"2007": 0x11, "1997": 0x01}
_ADDRESS = 0x13
_ANSWER, _MORE, _ERROR = 0x80, 0x20, 0x40
_DI_SIZE = {"2007": 4, "1997": 2}
_ADDRESS_SIZE = 6
_HEAD = 10
"""Bytes up to the length, with it."""
_AROUND = 12
"""Bytes of a frame besides its data."""
ANYONE = WILDCARD * _ADDRESS_SIZE


@dataclass(frozen=True, slots=True)
class Item:
    """One quantity of a meter: identifier as printed in the standard, bytes and decimals of its BCD value."""

    di: str
    size: int
    decimals: int
    signed: bool = False


ITEMS: dict[Edition, dict[str, Item]] = {
    "2007": {
        "energy": Item("00000000", 4, 2, signed=True),
        "energy-forward": Item("00010000", 4, 2),
        "energy-reverse": Item("00020000", 4, 2),
        "voltage-a": Item("02010100", 2, 1),
        "voltage-b": Item("02010200", 2, 1),
        "voltage-c": Item("02010300", 2, 1),
        "current-a": Item("02020100", 3, 3, signed=True),
        "current-b": Item("02020200", 3, 3, signed=True),
        "current-c": Item("02020300", 3, 3, signed=True),
        "power": Item("02030000", 3, 4, signed=True),
        "reactive-power": Item("02040000", 3, 4, signed=True),
        "factor": Item("02060000", 2, 3, signed=True),
    },
    "1997": {
        "energy-forward": Item("9010", 4, 2),
        "energy-reverse": Item("9020", 4, 2),
        "voltage-a": Item("B611", 2, 0),
        "voltage-b": Item("B612", 2, 0),
        "voltage-c": Item("B613", 2, 0),
        "current-a": Item("B621", 2, 2),
        "current-b": Item("B622", 2, 2),
        "current-c": Item("B623", 2, 2),
        "power": Item("B630", 3, 4),
        "reactive-power": Item("B640", 2, 2),
        "factor": Item("B650", 2, 3),
    },
}
"""Units: kWh, V, A, kW, kvar (DL/T 645-2007 Annex A; -1997 Annex A)."""

FRAME = framed(
    construct.Struct(
        "begin" / construct.Const(b"\x68"),
        "address" / construct.Bytes(_ADDRESS_SIZE),
        "middle" / construct.Const(b"\x68"),
        "control" / construct.Byte,
        "data"
        / construct.Prefixed(
            construct.Byte,
            construct.ExprAdapter(
                construct.GreedyBytes,
                lambda obj, _: bytes(byte - 0x33 & 0xFF for byte in obj),
                lambda obj, _: bytes(byte + 0x33 & 0xFF for byte in obj),
            ),
        ),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PointOptions:
    """Which quantity of the meter: a known one by name, or any by its identifier."""

    item: ItemName | None = None
    """kWh, V, A, kW, kvar."""
    di: str | None = None
    """Instead: the data identifier as printed in the standard, 8 digits (1997: 4)."""
    size: Annotated[int, Ge(1), Le(8)] = 4
    """Bytes of its value; with `di`, whose digits are a whole number: `scale` sets its point."""
    signed: bool = False
    """Whether its highest bit is a minus; with `di`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentOptions:
    """How a meter is asked. Its `address`: the 12 digits on its face, or `AAAAAAAAAAAA` where it is alone."""

    edition: Edition = "2007"
    wake: Annotated[int, Ge(0), Le(16)] = 4
    """FE bytes before each request."""


def read_request(address: str, edition: Edition, item: Item, wake: int = 4) -> Request:
    """The request that reads one quantity."""
    di = bytes.fromhex(item.di)[::-1]
    control = _READ[edition]
    whom = address_bytes(address)
    data = FRAME.build({"body": {"value": {"address": whom, "control": control, "data": di}}})
    wanted = _wanted(address)

    def length(received: bytes) -> int | None:
        return _length(received, wanted, control, bytes(byte + 0x33 & 0xFF for byte in di), item.size)

    def check(answer: bytes) -> None:
        body = parsed(FRAME, answer)
        if body.control & _ERROR:
            whose = body.address[::-1].hex()
            raise DeviceRefused("drivers.dlt645.refused", exception=body.data.hex(), di=item.di, address=whose)

    return Request(
        data=WAKE * wake + data,
        length=length,
        check=check,
        confusable=() if WILDCARD in address.upper() else ("dlt645", address, item.di),
        first=b"\x68",
        lead=WAKE,
        expected=_AROUND + len(di) + item.size + wake,
    )


def _wanted(address: str) -> list[int | None]:
    """The address bytes that an answer must have; None: any."""
    return [None if byte == 0xAA else byte for byte in address_bytes(address)]


def _length(received: bytes, address: list[int | None], control: int, di: bytes, size: int) -> int | None:
    """How long the answer is that begins here; 0: it is none to this request."""
    pattern: list[int | None] = [0x68, *address, 0x68]
    if any(want is not None and want != got for want, got in zip(pattern, received, strict=False)):
        return 0
    if len(received) < _HEAD:
        return None
    got, count = received[8], received[9]
    if got == control | _ANSWER | _ERROR:
        return _AROUND + count if count in (1, 2) else 0
    if got & ~_MORE != control | _ANSWER or count != len(di) + size:
        return 0
    came = received[_HEAD : _HEAD + len(di)]
    return _AROUND + count if di.startswith(came) else 0


def value_of(answer: bytes, item: Item) -> float | None:
    """The number in a checked answer; None: no BCD digits."""
    digits = low_first(parsed(FRAME, answer).data[-item.size :], item.signed)
    return None if digits is None else digits / 10**item.decimals


class Dlt645:
    """An electricity meter."""

    name: ClassVar[str] = "dlt645"
    PointOptions: ClassVar[type] = PointOptions
    InstrumentOptions: ClassVar[type] = InstrumentOptions

    def __init__(self, spec: InstrumentSpec) -> None:
        options: InstrumentOptions = spec.options or InstrumentOptions()
        address = str(spec.address).upper()
        if len(address) != 2 * _ADDRESS_SIZE or not address.replace("A", "0").isdecimal():
            raise BadOption("drivers.dlt645.address", instrument=spec.name, address=spec.address)
        items = [(point.key, _item(point, options.edition)) for point in spec.points]
        self._points = [(key, item, read_request(address, options.edition, item, options.wake)) for key, item in items]

    def read(self, bus: Bus) -> list[Reading]:
        """One pass; silence and a lost port end it, a refused quantity does not."""
        readings: list[Reading] = []
        last: DriverError | None = None
        for key, item, request in self._points:
            try:
                answer = bus.ask(request)
            except (BadAnswer, DeviceRefused) as error:
                last = error
            except (DeviceSilent, PortLost) as error:
                last = error
                break
            else:
                value = value_of(answer, item)
                error_code = None if value is not None else "drivers.not-decimal"
                readings.append(Reading(key, value, answer, error_code))
        if last is not None and not readings:
            raise last
        return readings


def _item(point: PointSpec, edition: Edition) -> Item:
    options: PointOptions = point.options
    if (options.item is None) == (options.di is None):
        raise BadOption("drivers.dlt645.item", point=point.key)
    if options.item is not None:
        if options.item not in ITEMS[edition]:
            known = ", ".join(ITEMS[edition])
            raise BadOption("drivers.dlt645.no-item", point=point.key, item=options.item, known=known)
        return ITEMS[edition][options.item]
    di = options.di or ""
    if len(di) != 2 * _DI_SIZE[edition] or any(digit not in "0123456789abcdefABCDEF" for digit in di):
        raise BadOption("drivers.dlt645.di", point=point.key, di=di, count=2 * _DI_SIZE[edition])
    return Item(di, options.size, 0, options.signed)


def search(bus: Bus, edition: Edition = "2007", known: str = "") -> list[str]:
    """The addresses of the meters on a line, found by wildcard (缩位寻址); `known`: their last digits.

    Where several answer at once, their answers collide, and they are asked for by two more digits. Of two meters that
    answer one after the other without colliding only the first is found. Raises PortLost.
    """
    try:
        answer = bus.ask(read_request(known.rjust(2 * _ADDRESS_SIZE, "A"), edition, ITEMS[edition]["energy-forward"]))
    except DeviceRefused as error:
        return [str(error.params["address"])]
    except (DeviceSilent, BadAnswer) as error:
        if error.code == "drivers.silent" or len(known) == 2 * _ADDRESS_SIZE:
            return []
    else:
        return [parsed(FRAME, answer).address[::-1].hex()]
    return [found for pair in range(100) for found in search(bus, edition, f"{pair:02d}{known}")]


def own_address(bus: Bus) -> list[str]:
    """The address of the one meter of a line by its own word (2007: C 13), for meters that do not read by wildcard."""
    data = FRAME.build({"body": {"value": {"address": address_bytes(ANYONE), "control": _ADDRESS, "data": b""}}})

    def length(received: bytes) -> int | None:
        pattern = (0x68, *([None] * _ADDRESS_SIZE), 0x68, _ADDRESS | _ANSWER, _ADDRESS_SIZE)
        if any(want is not None and want != got for want, got in zip(pattern, received, strict=False)):
            return 0
        return None if len(received) < _HEAD else _AROUND + _ADDRESS_SIZE

    def check(answer: bytes) -> None:
        parsed(FRAME, answer)

    request = Request(
        data=WAKE * 4 + data,
        length=length,
        check=check,
        confusable=(),
        expected=_AROUND + _ADDRESS_SIZE,
    )
    try:
        return [str(parsed(FRAME, bus.ask(request)).data[::-1].hex())]
    except (DeviceSilent, BadAnswer):
        return []
