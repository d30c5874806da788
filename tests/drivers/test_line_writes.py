"""Writes to slaves that other people wrote (pymodbus, libmodbus), and to the panel of the simulated instruments."""

from __future__ import annotations

import queue
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer
from test_line_ports import FixedClock, cable, libmodbus_slave, pymodbus_context, pymodbus_server

from drivers.driver import Bus, InstrumentSpec, PointSpec
from drivers.errors import DeviceRefused, DriverError
from drivers.line import LineInstrument, LineWorker
from drivers.modbus import Modbus, PointOptions, WriteOptions
from drivers.panel import FIRST, Panel, Refused
from drivers.port import LineSettings
from drivers.simulated import SETS, SimulatedBus, site_blocks

NOON_MS = 1_763_784_000_000
"""2025-11-22 12:00 Beijing."""


@contextmanager
def at_work(port: str, address: int, baud: int = 115_200) -> Iterator[Callable[[Callable[[Bus], Any]], Any]]:
    """Run jobs on a line's thread."""
    polls: queue.Queue[Any] = queue.Queue()
    driver = Modbus(InstrumentSpec("x", address, []))
    worker = LineWorker(
        "l", LineSettings(port, baud), [LineInstrument("x", driver, timeout_s=0.5)], polls.put, FixedClock()
    )
    worker.start()
    polls.get(timeout=5)
    try:
        yield lambda job: worker.submit("x", job).result(5)
    finally:
        worker.stop()


def write_everything_and_read_it_back(run: Callable[[Callable[[Bus], Any]], Any]) -> None:
    driver = Modbus(InstrumentSpec("x", 5, []))
    cases: list[tuple[dict[str, Any], dict[str, Any], list[Any], float]] = [
        ({"function": 5, "register": 4}, {"function": 1, "register": 4, "type": "bool"}, [1], 1.0),
        ({"function": 6, "register": 10}, {"register": 10, "type": "uint16"}, [4711], 4711.0),
        ({"function": 15, "register": 6}, {"function": 1, "register": 8, "type": "bool"}, [0, 0, 1], 1.0),
        (
            {"function": 16, "register": 12, "type": "float32", "order": "CDAB"},
            {"register": 12, "type": "float32", "order": "CDAB"},
            [-2.5],
            -2.5,
        ),
        (
            {"function": 16, "register": 20, "type": "bcd"},
            {"register": 20, "type": "bcd", "words": 3},
            ["251122200000"],
            251122200000.0,
        ),
    ]
    for write, read, values, expected in cases:
        run(driver.writer(WriteOptions(**write), values))
        assert run(driver.reader(PointSpec("p", PointOptions(**read)))).value == expected
    with pytest.raises(DeviceRefused) as caught:
        run(driver.writer(WriteOptions(register=500), [1]))
    assert caught.value.params["exception"] == 2


def test_pymodbus_slave_takes_every_kind_of_write() -> None:
    with (
        cable() as (ours, theirs),
        pymodbus_server(
            lambda: ModbusSerialServer(pymodbus_context(), framer=FramerType.RTU, port=theirs, baudrate=115_200)
        ),
        at_work(ours, 5) as run,
    ):
        write_everything_and_read_it_back(run)


def test_libmodbus_slave_takes_every_kind_of_write() -> None:
    with cable() as (ours, theirs), libmodbus_slave(theirs), at_work(ours, 5) as run:
        write_everything_and_read_it_back(run)


# -- the simulated instruments


def test_simulated_instrument_takes_a_command_a_time_and_a_parameter() -> None:
    bus = SimulatedBus("water", FixedClock(), baud=115_200)
    bus.start()
    driver = Modbus(InstrumentSpec("cod", 1, []))

    def read(**options: Any) -> Any:
        return run(driver.reader(PointSpec("p", PointOptions(**options))))

    try:
        with at_work(bus.path, 1) as run:
            assert read(register=101, type="uint16").value == 0.0
            run(driver.writer(WriteOptions(register=100), [1]))
            assert read(register=101, type="uint16").value == 3.0
            with pytest.raises(DriverError) as caught:
                run(driver.writer(WriteOptions(register=100), [3]))
            assert caught.value.params["exception"] == 6
            clock = WriteOptions(function=16, register=102, type="bcd", words=3)
            run(driver.writer(clock, ["251122203015"]))
            assert read(register=102, type="bcd", words=3).value == 251122203015.0
            run(driver.writer(PointOptions(register=122, type="float32"), [1.25]))
            assert read(register=122, type="float32").value == 1.25
            assert read(register=110, type="text", words=12).text == "SIM" + "COD".rjust(21, "0")
    finally:
        bus.stop()


def test_panel_shows_its_state_only_while_a_command_runs() -> None:
    panel = Panel("SIM")
    panel.write(100, b"\0\1", NOON_MS)
    assert panel.read(101, 1, NOON_MS + 89_999) == b"\0\3"
    with pytest.raises(Refused):
        panel.write(100, b"\0\2", NOON_MS + 89_999)
    assert panel.read(101, 1, NOON_MS + 90_000) == b"\0\0"
    panel.write(100, b"\0\2", NOON_MS + 90_000)


def test_panel_gives_the_next_bottle_for_each_sample() -> None:
    panel = Panel("SIM")
    for bottle in (1, 2, 3):
        panel.write(100, b"\0\5", NOON_MS)
        assert panel.read(108, 1, NOON_MS) == bytes((0, bottle))


@pytest.mark.parametrize(
    ("register", "data"),
    [(99, b"\0\1"), (101, b"\0\1"), (110, b"AB"), (124, b"\0\1\0\2"), (100, b"\0\x63"), (102, b"\xff" * 6)],
)
def test_panel_refuses_what_it_does_not_know(register: int, data: bytes) -> None:
    with pytest.raises(Refused):
        Panel("SIM").write(register, data, NOON_MS)


def test_registers_of_measurements_and_panel_do_not_meet() -> None:
    assert all(point.register < FIRST - 1 for set_ in SETS.values() for one in set_ for point in one.points)


def test_site_blocks_with_actions_are_toml_and_without_them_have_none() -> None:
    with_actions = tomllib.loads(site_blocks("gas", "/dev/x", "o"))["instruments"]["dust"]
    assert {"zero-span", "set-time", "serial-number"} <= set(with_actions["actions"])
    assert [info["info"] for info in with_actions["infos"]] == ["i12001", "i13003", "i13008"]
    assert "actions" not in tomllib.loads(site_blocks("gas", "/dev/x", "o", actions=False))["instruments"]["dust"]
