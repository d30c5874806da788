"""Lines full of instruments whose every value says where it comes from, so that a wrong one is known as such.

A world has the instruments as the daemon sees them, answers their requests as the paper says, built here and not with
the drivers, and judges each value that the line accepts:

    right     of the instrument, the place and, of Modbus, the moment that were asked for
    wrong     said by an instrument, in answer to something else
    passed    said by nobody: damage that left check code, address, function and length right
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from drivers.adam import Adam
from drivers.adam import InstrumentOptions as AdamOptions
from drivers.adam import PointOptions as Channel
from drivers.cjt188 import Cjt188
from drivers.cjt188 import PointOptions as Volume
from drivers.dlt645 import Dlt645
from drivers.dlt645 import PointOptions as Quantity
from drivers.driver import Bus, Driver, InstrumentSpec, PointSpec, Reading
from drivers.modbus import InstrumentOptions, Modbus, PointOptions, WriteOptions
from drivers.modbus_frame import FramingName
from drivers.text import InstrumentOptions as TextOptions
from drivers.text import PointOptions as Place
from drivers.text import Text
from tests.torture.faulty_wire import KINDS, OF_WIRES, VirtualClock, crc

SLAVES = range(1, 9)
_KEPT = 50_000


@dataclass(slots=True)
class Tally:
    """What became of the values."""

    right: int = 0
    wrong: int = 0
    passed: int = 0


class World(Protocol):
    """One line. `kinds`: the faults that its instruments' answers can be told from."""

    kinds: tuple[str, ...]
    tally: Tally
    drivers: dict[str, Driver]

    def answer(self, request: bytes, at_s: float) -> bytes:
        """What the instrument that is asked says; empty: nobody is."""
        ...

    def stranger(self, request: bytes, other: str) -> bytes:
        """The right answer of another slave to the same question, or of this one to a question of another length."""
        ...

    def judge(self, instrument: str, reading: Reading, began_s: float, now_s: float) -> None:
        """Count a value that was accepted."""
        ...

    def job(self, instrument: str) -> Callable[[Bus], None] | None:
        """Something to do between the polls, which judges its outcome itself; None: this driver has none."""
        ...


class _Spoken:
    """What was said lately."""

    def __init__(self) -> None:
        self._new: set[bytes] = set()
        self._old: set[bytes] = set()

    def add(self, value: bytes) -> None:
        if len(self._new) > _KEPT:
            self._old, self._new = self._new, set()
        self._new.add(value)

    def __contains__(self, value: object) -> bool:
        return value in self._new or value in self._old


class ModbusWorld:
    """Eight slaves; four registers hold slave, function, register and the moment (1/100 s) they were read in."""

    BLOCKS = ((3, 0, 4), (3, 100, 4), (3, 200, 8), (4, 0, 4))
    """Function, register, count: three of one length."""
    _ASIDE = 300

    def __init__(self, clock: VirtualClock, dice: random.Random, framing: FramingName) -> None:
        # TCP has a check sum of its own: no byte of its stream is damaged or lost
        self.kinds = tuple(kind for kind in KINDS if framing != "tcp" or kind not in OF_WIRES)
        self.tally = Tally()
        self._clock, self._dice, self._framing = clock, dice, framing
        self._spoken = _Spoken()
        self._written: dict[tuple[int, int], tuple[bytes, float]] = {}
        self.drivers: dict[str, Any] = {f"s{address}": self._driver(address) for address in SLAVES}
        self._aside = self._point(3, self._ASIDE)

    @staticmethod
    def _point(function: Any, register: int) -> PointSpec:
        return PointSpec(f"{function} {register}", PointOptions(function=function, register=register, type="uint64"))

    def _driver(self, address: int) -> Modbus:
        points = [
            self._point(function, register + offset)
            for function, register, count in self.BLOCKS
            for offset in range(0, count, 4)
        ]
        return Modbus(InstrumentSpec(f"s{address}", address, points, InstrumentOptions(framing=self._framing)))

    def answer(self, request: bytes, at_s: float) -> bytes:
        body = self._opened(request)
        return self._framed(body[0], self._said(body[0], body[1:], at_s), request)

    def stranger(self, request: bytes, other: str) -> bytes:
        body, at_s = self._opened(request), self._clock.now
        if other == "slave":
            address = body[0] % len(SLAVES) + 1
            return self._framed(address, self._said(address, body[1:], at_s, carried_out=False), request)
        pdu = struct.pack(">BHH", 3, self._dice.choice((0, 100, 200)), 4 if body[5] == 8 else 8)
        return self._framed(body[0], self._said(body[0], pdu, at_s), request)

    def _said(self, address: int, pdu: bytes, at_s: float, *, carried_out: bool = True) -> bytes:
        function, register, count = struct.unpack(">BHH", pdu[:5])
        if function in (6, 16):
            if carried_out:
                self._written[address, register] = (pdu[3:] if function == 6 else pdu[6:], at_s)
            return pdu[:5]
        values = [
            struct.pack(">BBHI", address, function, register + offset, int(at_s * 100)) for offset in range(0, count, 4)
        ]
        for value in values:
            self._spoken.add(value)
        return bytes((function, count * 2)) + b"".join(values)

    def _opened(self, request: bytes) -> bytes:
        """Address and PDU."""
        if self._framing == "ascii":
            return bytes.fromhex(request[1:-4].decode("ascii"))
        return request[6:] if self._framing == "tcp" else request[:-2]

    def _framed(self, address: int, pdu: bytes, request: bytes) -> bytes:
        body = bytes((address,)) + pdu
        if self._framing == "ascii":
            return b":%b\r\n" % (body + bytes((-sum(body) & 0xFF,))).hex().upper().encode()
        return request[:4] + struct.pack(">H", len(body)) + body if self._framing == "tcp" else body + crc(body)

    def judge(self, instrument: str, reading: Reading, began_s: float, now_s: float) -> None:
        address, function, register, moment = struct.unpack(">BBHI", reading.raw)
        asked = (int(instrument[1:]), *map(int, reading.point.split()))
        if (address, function, register) == asked and int(began_s * 100) <= moment <= int(now_s * 100):
            self.tally.right += 1
        elif reading.raw in self._spoken:
            self.tally.wrong += 1
        else:
            self.tally.passed += 1

    def job(self, instrument: str) -> Callable[[Bus], None]:
        if self._dice.random() < 0.5:
            return self._aside_job(instrument)
        return self._write_job(instrument, self._dice.choice((6, 16)), self._dice.randrange(400, 404))

    def _aside_job(self, instrument: str) -> Callable[[Bus], None]:
        read = self.drivers[instrument].reader(self._aside)

        def job(bus: Bus) -> None:
            began_s = self._clock.now
            self.judge(instrument, read(bus), began_s, self._clock.now)

        return job

    def _write_job(self, instrument: str, function: Any, register: int) -> Callable[[Bus], None]:
        value = self._dice.randrange(65536)
        write = self.drivers[instrument].writer(WriteOptions(function=function, register=register), [value])

        def job(bus: Bus) -> None:
            began_s = self._clock.now
            write(bus)
            data, at_s = self._written.get((int(instrument[1:]), register), (b"", 0.0))
            if data == value.to_bytes(2, "big") and at_s >= began_s:
                self.tally.right += 1
            else:
                self.tally.wrong += 1

        return job


class TableWorld:
    """Instruments whose answers stand in a table: a value of its own for each instrument and quantity."""

    def __init__(self) -> None:
        self.kinds = tuple(kind for kind in KINDS if kind != "wrong-length")
        self.tally = Tally()
        self.drivers: dict[str, Any] = {}
        self._answers: dict[bytes, bytes] = {}
        self._others: dict[bytes, bytes] = {}
        self._true: dict[tuple[str, str], float] = {}
        self._values: set[float | None] = set()

    def add(self, driver: Driver, name: str, answers: list[tuple[bytes, bytes]], values: dict[str, float]) -> None:
        """An instrument: request and answer of each exchange, value of each point."""
        self.drivers[name] = driver
        self._answers.update(answers)
        self._true.update({(name, point): value for point, value in values.items()})
        self._values.update(values.values())

    def answer(self, request: bytes, at_s: float) -> bytes:
        return self._answers.get(request, b"")

    def stranger(self, request: bytes, other: str) -> bytes:
        """What the next instrument in the table says."""
        if not self._others:
            requests = list(self._answers)
            each = len(requests) // len(self.drivers)
            self._others = {
                one: self._answers[requests[(index + each) % len(requests)]] for index, one in enumerate(requests)
            }
        return self._others[request]

    def judge(self, instrument: str, reading: Reading, began_s: float, now_s: float) -> None:
        if reading.value == self._true[instrument, reading.point]:
            self.tally.right += 1
        elif reading.value in self._values:
            self.tally.wrong += 1
        else:
            self.tally.passed += 1

    def job(self, instrument: str) -> None:
        return None


def _sum(body: bytes) -> bytes:
    return body + bytes((sum(body) & 0xFF, 0x16))


def _far(number: int) -> int:
    """Eight digits that differ in most places from those of another number."""
    return number * 48_271_193 % 99_999_989


def _bcd(number: int, size: int) -> bytes:
    return bytes.fromhex(f"{number:0{2 * size}d}")[::-1]


def dlt645_world() -> TableWorld:
    """Meters by DL/T 645-2007: energy and power; each byte of the data + 33 on the wire."""
    world = TableWorld()
    items = {"energy-forward": ("00010000", 4, 100), "power": ("02030000", 3, 10_000), "voltage-a": ("02010100", 2, 10)}
    for slave in SLAVES:
        address = bytes.fromhex(f"1234567890{slave:02d}")[::-1]
        answers, values = [], {}
        for index, (name, (di, size, scale)) in enumerate(items.items()):
            number = _far(slave * 3 + index) % 10_000
            wire = bytes(byte + 0x33 & 0xFF for byte in bytes.fromhex(di)[::-1])
            data = bytes(byte + 0x33 & 0xFF for byte in _bcd(number, size))
            head = b"\x68" + address + b"\x68"
            asked = b"\xfe" * 4 + _sum(head + b"\x11\x04" + wire)
            answers.append((asked, _sum(head + bytes((0x91, 4 + size)) + wire + data)))
            values[name] = number / scale
        points = [PointSpec(name, Quantity(item=name)) for name in items]  # type: ignore[arg-type]  # names of items
        name = f"s{slave}"
        world.add(Dlt645(InstrumentSpec(name, address[::-1].hex(), points)), name, answers, values)
    return world


def cjt188_world() -> TableWorld:
    """Water meters by CJ/T 188."""
    world = TableWorld()
    for slave in SLAVES:
        address, total = f"123456789012{slave:02d}", _far(slave)
        whom = b"\x68\x10" + bytes.fromhex(address)[::-1]
        volume = _bcd(total, 4) + b"\x2c"
        data = b"\x90\x1f\0" + volume + volume + bytes.fromhex("00302214200220") + b"\0\0"
        asked = b"\xfe" * 3 + _sum(whom + b"\x01\x03\x90\x1f\0")
        answer = _sum(whom + bytes((0x81, len(data))) + data)
        driver = Cjt188(InstrumentSpec(f"s{slave}", address, [PointSpec("total", Volume())]))
        world.add(driver, f"s{slave}", [(asked, answer)], {"total": total / 100})
    return world


def adam_world() -> TableWorld:
    """ADAM modules with check sums. Their answers do not name them: another's, unasked, cannot be told from theirs."""
    world = TableWorld()
    world.kinds = tuple(kind for kind in world.kinds if kind not in ("stranger", "glued"))
    options = AdamOptions(channels=4, checksum=True, check_setup=False)
    for slave in SLAVES:
        values = [_far(slave * 4 + channel) % 100_000 / 1000 for channel in range(4)]
        texts = b"".join(f"{value:+07.3f}".encode("ascii") for value in values)
        asked, answer = b"#%02X" % slave, b">" + texts
        pair = [one + b"%02X\r" % (sum(one) & 0xFF) for one in (asked, answer)]
        points = [PointSpec(str(channel), Channel(channel=channel)) for channel in range(4)]
        driver = Adam(InstrumentSpec(f"s{slave}", slave, points, options))
        world.add(driver, f"s{slave}", [(pair[0], pair[1])], {str(at): value for at, value in enumerate(values)})
    return world


def text_world() -> TableWorld:
    """Instruments that speak text with a check sum and say their number."""
    world = TableWorld()
    for slave in SLAVES:
        value = _far(slave) % 1_000_000 / 100
        pair = [
            one + b"%02X\r" % (sum(one) & 0xFF) for one in (b"R%02d?" % slave, b"=%02d %07.2f mg/L " % (slave, value))
        ]
        start, pattern = f"={slave:02d} ", r" (\d+\.\d\d) mg/L"
        place = Place(request="R{address:02d}?", start=start, length=len(pair[1]), pattern=pattern)
        spec = InstrumentSpec(f"s{slave}", slave, [PointSpec("v", place)], TextOptions(checksum="sum"))
        world.add(Text(spec), f"s{slave}", [(pair[0], pair[1])], {"v": value})
    return world


def world_of(kind: str, clock: VirtualClock, dice: random.Random) -> World:
    """A world by the name of its driver; of Modbus `modbus-rtu`, `modbus-ascii`, `modbus-tcp`."""
    driver, _, framing = kind.partition("-")
    if driver == "modbus":
        return ModbusWorld(clock, dice, framing)  # type: ignore[arg-type]  # one of the three
    tables: dict[str, Callable[[], TableWorld]] = {
        "dlt645": dlt645_world, "cjt188": cjt188_world, "adam": adam_world, "text": text_world,
    }  # fmt: skip
    return tables[kind]()
