"""One simulated instrument of each driver on a real pty, and everything that can go wrong with its answers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from peers import FixedClock, bus_on
from virtual_line import Answers, VirtualPort, VirtualTime

from drivers import models
from drivers.bus import Caller, LineBus
from drivers.capture import Capture
from drivers.driver import Bus, Driver, InstrumentSpec, PointSpec, Request
from drivers.errors import DriverError
from drivers.port import LineSettings
from drivers.registry import driver_class
from drivers.registry import names as driver_names
from drivers.simulated import Fault, SimulatedBus, Slave
from drivers.simulated.bus import spoilt
from drivers.simulated.framings import Ascii, Tcp
from drivers.simulated.slaves import Adam, Cjt188, Hj212Speaker, ModbusModel, Replay, of_model
from edge.telegrams import decode

CASES = Path(__file__).parents[1] / "cases" / "models"
METER, WATER = "000012345678", "00000805000001"
BAUD = 115_200
KINDS = get_args(get_type_hints(Fault)["kind"])


def instrument(name: str, address: int | str, options: dict[str, Any], *points: dict[str, Any]) -> Driver:
    cls = driver_class(name)
    specs = [PointSpec(str(index), cls.PointOptions(**point)) for index, point in enumerate(points)]
    return cls(InstrumentSpec("x", address, specs, cls.InstrumentOptions(**options), decode))


def yuxing() -> Capture:
    return Capture.from_text((CASES / "yuxing-old-cod.capture").read_text(encoding="utf-8"))


EACH: dict[str, tuple[Callable[[], Slave], Callable[[], Driver], dict[str, float]]] = {
    "modbus": (
        lambda: of_model("scs-900cpm", 1, {"a34013": 12.5}),
        lambda: instrument("modbus", 1, {"blocks": ((3, 0, 15),)}, {"register": 0, "type": "float32"}),
        {"0": 12.5},
    ),
    "dlt645": (
        lambda: of_model("dlt645-2007", METER, {"i33201": 1234.56, "i33200": -12.345}),
        lambda: instrument("dlt645", METER, {}, {"item": "energy-forward"}, {"item": "current-a"}),
        {"0": 1234.56, "1": -12.345},
    ),
    "cjt188": (
        lambda: Cjt188(WATER, 123.45, 4),
        lambda: instrument("cjt188", WATER, {}, {"item": "total"}, {"item": "state"}),
        {"0": 123.45, "1": 4.0},
    ),
    "adam": (
        lambda: Adam(2, [12.8, 3.5, -1.25, 20.0, 0, 0, 0, 0]),
        lambda: instrument("adam", 2, {}, {"channel": 0}, {"channel": 2}),
        {"0": 12.8, "1": -1.25},
    ),
    "text": (
        lambda: Replay(3, yuxing()),
        lambda: instrument(
            "text", 3, {}, {"request": "%C29A", "start": "%C", "length": 25, "pattern": r"^.{14}(\d{6})\d{4}$"}
        ),
        {"0": 3562.0},
    ),
    "modbus-ascii": (
        lambda: Ascii(of_model("scs-900cpm", 1, {"a34013": 12.5})),
        lambda: instrument("modbus", 1, {"framing": "ascii"}, {"register": 0, "type": "float32"}),
        {"0": 12.5},
    ),
    "modbus-tcp": (
        lambda: Tcp(of_model("scs-900cpm", 1, {"a34013": 12.5})),
        lambda: instrument("modbus", 1, {"framing": "tcp"}, {"register": 0, "type": "float32"}),
        {"0": 12.5},
    ),
    "hj212": (
        lambda: Hj212Speaker(1, {"w01018": 35.6, "w21003": 1.25}, every_s=0.05),
        lambda: instrument("hj212", 1, {}, {"code": "w01018"}, {"code": "w21003"}),
        {"0": 35.6, "1": 1.25},
    ),
}
UNCHECKED = {("adam", "damaged"), ("text", "damaged"), ("modbus-tcp", "damaged"), ("modbus-tcp", "bad-crc")}
"""Without a check code a digit that became another digit cannot be told."""


@contextmanager
def on_a_pty(slave: Slave) -> Iterator[tuple[SimulatedBus, Bus]]:
    simulated = SimulatedBus([slave], FixedClock(), baud=BAUD)
    simulated.start()
    try:
        with bus_on(simulated.path, BAUD, timeout_s=0.15) as bus:
            yield simulated, bus
    finally:
        simulated.stop()


def test_every_driver_has_a_simulated_instrument() -> None:
    assert {name.partition("-")[0] for name in EACH} == set(driver_names())


@pytest.mark.parametrize("name", EACH)
def test_simulated_instrument_is_read(name: str) -> None:
    make, driver, expected = EACH[name]
    with on_a_pty(make()) as (_, bus):
        assert {r.point: r.value for r in driver().read(bus)} == pytest.approx(expected)


TEXTS = {
    "shimadzu-4100": {"w01020": 35.62},
    "wtw-trescon": {"w21003": 1.254},
    "yuxing-old-cod": {"w01018": 35.62},
    "huanke-cod": {"w01018": 35.75},
    "jiubo-ultrasonic": {"w00000": 360.0, "w00000-total": 6789.1},
}
"""Of each text model the values of its capture, in the instrument's units."""


def test_text_model_is_simulated_as_its_capture_has_it() -> None:
    assert set(TEXTS) == {name for name in models.names() if models.model(name)["model"]["driver"] == "text"}
    for name, values in TEXTS.items():
        taken = Capture.from_text((CASES / f"{name}.capture").read_text(encoding="utf-8"))
        ((request, frames),) = taken.exchanges()
        slave = of_model(name, 1, values)
        assert [slave.length(request[:cut]) for cut in range(1, len(request))] == [None] * (len(request) - 1)
        assert slave.length(request) == len(request)
        assert slave.answer(request, 0) == b"".join(frame.data for frame in frames), name


def test_capture_of_a_speaker_is_said_frame_by_frame_and_from_the_start_again() -> None:
    frames = "0.1 < 23 23 30 31\n1.1 < 41 42\n"
    slave = Replay(1, Capture.from_text(f"source: made\n{frames}2.0 > 11\n2.1 < 06\n"))
    assert slave.every_s == 1.0
    assert [slave.answer(b"", 0) for _ in range(3)] == [b"##01", b"AB", b"##01"]
    assert (slave.length(b"\x11"), slave.answer(b"\x11", 0)) == (1, b"\x06")


def test_adam_and_water_meter_models_are_simulated_with_their_values() -> None:
    box = of_model("sick-4017-box", 1, {"a01014": 12.8, "a21026": 4.0})
    assert box.answer(b"#01\r", 0) == b">+12.800+04.000" + b"+00.000" * 6 + b"\r"
    with on_a_pty(of_model("cjt188-2004", WATER, {"w00000": 123.45})) as (_, bus):
        assert instrument("cjt188", WATER, {}, {"item": "total"}).read(bus)[0].value == 123.45


def test_whole_number_and_fraction_of_a_model_are_simulated() -> None:
    slave = of_model("tuf-2000", 1, {"w00000": 360.0, "w00000-total": 12345.25})
    taken = Capture.from_text((CASES / "tuf-2000.capture").read_text(encoding="utf-8"))
    ((request, frames),) = taken.exchanges()
    assert slave.answer(request, 0) == frames[0].data


def test_fault_of_the_bus_is_made_on_demand() -> None:
    make, driver, expected = EACH["modbus"]
    with on_a_pty(make()) as (simulated, bus):
        for kind in ("silent", "bad-crc"):
            simulated.faults[1] = Fault(kind)
            with pytest.raises(DriverError):
                driver().read(bus)
        simulated.faults.clear()
        assert {r.point: r.value for r in driver().read(bus)} == expected


class Spoilt:
    """A slave on a line in virtual time; half of its answers are spoilt."""

    def __init__(self, slave: Slave, kind: str) -> None:
        self.slave, self.kind = slave, kind
        self.rng = random.Random(kind)
        self.time = VirtualTime()
        self.port = VirtualPort(self.time, self._answers)
        self.bus = LineBus(self.port, LineSettings("virtual"), self.time.mono_s)
        self.caller = Caller("x", timeout_s=1.0)
        self.free_at = 0.0

    def _answers(self, request: bytes, end: float) -> Answers:
        assert self.slave.length(request) == len(request)
        return [self._in_turn(end, *one) for one in self._spoken(self.slave.answer(request, self.time.wall_ms()))]

    def _in_turn(self, end: float, delay: float, answer: bytes) -> tuple[float, bytes]:
        """One slave says one answer after the other: they do not fall into each other."""
        begin = max(end + delay, self.free_at)
        self.free_at = begin + len(answer) * self.port.char_s
        return begin - end, answer

    def _spoken(self, answer: bytes) -> Answers:
        kind = self.kind if self.rng.random() < 0.5 else None
        if kind == "silent":
            return ()
        return [(0.02 + (self.rng.uniform(0.5, 3.0) if kind == "late" else 0.0), spoilt(answer, kind, self.rng))]

    def speak(self) -> None:
        """What the slave says by itself meanwhile."""
        for delay, data in self._spoken(self.slave.answer(b"", self.time.wall_ms())) if self.slave.every_s else ():
            self.port.deliver(self.time.now + delay, data)

    def ask(self, request: Request) -> bytes:
        return self.bus.ask(self.caller, request, 3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", EACH)
def test_fault_in_half_of_the_answers_gives_the_right_value_or_none(name: str, kind: str) -> None:
    make, driver, expected = EACH[name]
    line, reader = Spoilt(make(), kind), driver()
    read = wrong = 0
    for _ in range(200):
        line.speak()
        line.time.now += 4.0
        try:
            readings = reader.read(line)
        except DriverError:
            continue
        read += len(readings)
        wrong += sum(r.value is not None and r.value != pytest.approx(expected[r.point]) for r in readings)
    assert wrong == 0 or (name, kind) in UNCHECKED
    assert read > 20


def test_state_of_a_model_is_set_on_demand() -> None:
    slave = of_model("scs-900uv", 1, {"a21026": 28.5})
    assert isinstance(slave, ModbusModel)
    reader = instrument(
        "modbus", 1, {}, *({"function": 4, "register": r, "type": "uint16"} for r in (10, 11)),
        {"function": 4, "register": 12, "type": "float32"},
    )  # fmt: skip
    with on_a_pty(slave) as (_, bus):
        assert [r.value for r in reader.read(bus)] == [1.0, 0.0, 28.5]
        slave.set_state(0, 7)
        slave.set_state(2, 3)
        assert [r.value for r in reader.read(bus)] == [0x0701, 3.0, 28.5]


def test_modbus_crc_of_a_speaker_is_taken_where_it_is_asked_for() -> None:
    reader = instrument("hj212", 1, {"crc": "modbus-hi-lo"}, {"code": "w01018"})
    with on_a_pty(Hj212Speaker(1, {"w01018": 35.6}, every_s=0.05, modbus_crc=True)) as (_, bus):
        assert reader.read(bus)[0].value == 35.6
