"""The line on real descriptors: ptys, TCP, and slaves that other people wrote (pymodbus, libmodbus)."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import queue
import select
import socket
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import serial
import serial.rfc2217
from peers import (
    EVERYTHING,
    EXPECTED,
    NOON_MS,
    FixedClock,
    RunningClock,
    cable,
    libmodbus_slave,
    opened,
    points,
    pymodbus_context,
    pymodbus_server,
)
from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer

from drivers.driver import InstrumentSpec, PointSpec
from drivers.errors import DeviceRefused, DeviceSilent, PortLost
from drivers.line import LineInstrument, LineWorker, PollResult
from drivers.modbus import PointOptions
from drivers.port import LineSettings, LineStopped, Rs485, StopSignal, open_port
from drivers.registry import driver_class
from drivers.simulated import SETS, Fault, SimulatedBus, site_blocks


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


# -- pymodbus as the instrument


def test_pymodbus_slave_on_a_serial_port_is_read() -> None:
    with (
        cable() as (ours, theirs),
        pymodbus_server(
            lambda: ModbusSerialServer(pymodbus_context(), framer=FramerType.RTU, port=theirs, baudrate=115_200)
        ),
        opened(ours) as read,
    ):
        assert read(points(*EVERYTHING)) == EXPECTED
        with pytest.raises(DeviceRefused) as caught:
            read(points({"register": 500, "type": "uint16"}))
        assert caught.value.params["exception"] == 2


def test_pymodbus_slave_behind_a_serial_server_is_read() -> None:
    with (
        pymodbus_server(
            lambda: ModbusTcpServer(pymodbus_context(), framer=FramerType.RTU, address=("127.0.0.1", 17502))
        ),
        opened("socket://127.0.0.1:17502") as read,
    ):
        assert read(points(*EVERYTHING)) == EXPECTED


# -- a serial server by RFC 2217


class PtySerial(serial.Serial):
    """A pty has no modem lines."""

    cts = dsr = ri = cd = False

    def _update_dtr_state(self) -> None: ...

    def _update_rts_state(self) -> None: ...


@contextmanager
def rfc2217_server(device: str) -> Iterator[int]:
    """pyserial's own RFC 2217 port manager in front of a device, for one connection; yields its TCP port."""
    listener = socket.create_server(("127.0.0.1", 0))

    class Writer:
        def __init__(self, connection: socket.socket) -> None:
            self.write = connection.sendall

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, PtySerial(device, timeout=0) as port:
            manager = serial.rfc2217.PortManager(port, Writer(connection))
            while True:
                ready, _, _ = select.select([connection, port.fileno()], [], [])
                if connection in ready:
                    data = connection.recv(1024)
                    if not data:
                        return
                    port.write(b"".join(manager.filter(data)))
                if port.fileno() in ready:
                    connection.sendall(b"".join(manager.escape(port.read(1024))))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        thread.join(10)
        listener.close()


def test_slave_behind_an_rfc2217_server_is_read_and_its_silence_is_told() -> None:
    bus = SimulatedBus("water", FixedClock(), baud=115_200)
    bus.start()
    cod = points({"register": 0, "type": "float32", "order": "CDAB"}, address=1)
    with rfc2217_server(bus.path) as port, opened(f"rfc2217://127.0.0.1:{port}") as read:
        assert read(cod) == {"0": pytest.approx(SETS["water"][0].points[0].value(NOON_MS))}
        silent = points({"register": 0, "type": "uint16"}, address=99)
        with pytest.raises(DeviceSilent):
            read(silent)
    bus.stop()


# -- libmodbus as the instrument


def test_libmodbus_slave_is_read() -> None:
    with cable() as (ours, theirs), libmodbus_slave(theirs), opened(ours) as read:
        assert read(points(*EVERYTHING)) == EXPECTED
        with pytest.raises(DeviceRefused) as caught:
            read(points({"register": 500, "type": "uint16"}))
        assert caught.value.params["exception"] == 2


# -- ports that go away


def test_two_hundred_unplugs_leak_no_descriptor() -> None:
    before = descriptors()
    for _ in range(200):
        master, slave = pty.openpty()
        stop = StopSignal()
        port = open_port(LineSettings(os.ttyname(slave)), stop)
        os.close(slave)
        os.close(master)
        with pytest.raises(PortLost):
            port.read()
        with pytest.raises(PortLost):
            port.write(b"\x01")
        port.close()
        stop.close()
    assert descriptors() == before


def test_missing_port_is_told_and_leaks_no_descriptor(tmp_path: Path) -> None:
    stop = StopSignal()
    before = descriptors()
    (tmp_path / "no-tty").write_text("")
    for name, code in (("absent", "drivers.port-missing"), ("no-tty", "drivers.port-lost")):
        with pytest.raises(PortLost) as lost:
            open_port(LineSettings(str(tmp_path / name)), stop)
        assert lost.value.code == code
    with pytest.raises(PortLost):
        open_port(LineSettings("socket://127.0.0.1:1"), stop)
    assert descriptors() == before
    stop.close()


def test_port_in_use_by_another_is_refused() -> None:
    with cable() as (ours, _):
        stop = StopSignal()
        first = open_port(LineSettings(ours), stop)
        with pytest.raises(PortLost) as lost:
            open_port(LineSettings(ours), stop)
        assert lost.value.code == "drivers.port-in-use"
        first.close()
        stop.close()


def test_port_without_permission_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = StopSignal()

    def denied(*_args: object, **_more: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    with cable() as (ours, _):
        monkeypatch.setattr("serial.serialposix.os.open", denied)
        with pytest.raises(PortLost) as lost:
            open_port(LineSettings(ours), stop)
        monkeypatch.undo()
    assert lost.value.code == "drivers.port-denied"
    stop.close()


def test_closed_serial_server_is_a_lost_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = StopSignal()
        before = descriptors()
        port = open_port(LineSettings(f"socket://127.0.0.1:{server.getsockname()[1]}"), stop)
        server.accept()[0].close()
        assert port.wait(2.0)
        with pytest.raises(PortLost):
            port.read()
        port.close()
        assert descriptors() == before
        stop.close()


def test_stop_ends_every_wait() -> None:
    with cable() as (ours, _):
        stop = StopSignal()
        port = open_port(LineSettings(ours), stop)
        stop.set()
        with pytest.raises(LineStopped):
            port.wait(60)
        with pytest.raises(LineStopped):
            port.pause(60)
        port.close()
        stop.close()


# -- the direction of RS-485


def test_port_that_does_not_switch_its_direction_works_and_says_so() -> None:
    with cable() as (ours, _):
        stop = StopSignal()
        for asked, told in ((None, None), (Rs485(), False)):
            port = open_port(LineSettings(ours, rs485=asked), stop)
            assert port.rs485 is told
            port.write(b"\x01")
            port.close()
        stop.close()


def test_direction_is_left_to_the_kernel_with_the_polarity_and_delays_of_the_site(monkeypatch: Any) -> None:
    """struct serial_rs485 of linux/serial.h: flags, delays in ms; TIOCSRS485 is 542F."""
    asked: list[tuple[int, list[int]]] = []

    def ioctl(fd: int, request: int, argument: Any = 0, *more: Any) -> Any:
        if request in (0x542E, 0x542F):
            asked.append((request, list(argument[:3])))
            return 0
        return real(fd, request, argument, *more)

    real = fcntl.ioctl
    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    with cable() as (ours, _):
        stop = StopSignal()
        port = open_port(LineSettings(ours, rs485=Rs485(False, 0.002, 0.005)), stop)
        assert port.rs485 is True
        port.close()
        stop.close()
    enabled, rts_after_send = 1, 4
    assert asked[-1] == (0x542F, [enabled | rts_after_send, 2, 5])


# -- the worker with the simulated instruments


def workers_instruments(set_name: str, port: str, every_ms: int = 5_000) -> list[LineInstrument]:
    """Instruments built from the TOML that `site_blocks` gives."""
    parsed = tomllib.loads(site_blocks(set_name, port, "o"))
    assert parsed["lines"]["rs485-1"]["port"] == port
    keys = ("function", "register", "type", "order")
    built = []
    for name, one in parsed["instruments"].items():
        specs = [PointSpec(p["factor"], PointOptions(**{k: p[k] for k in keys if k in p})) for p in one["points"]]
        driver = driver_class(one["driver"])(InstrumentSpec(name, one["address"], specs))
        built.append(LineInstrument(name, driver, every_ms, timeout_s=0.3))
    return built


class Collector:
    """Results of a worker, waited for."""

    def __init__(self) -> None:
        self.results: queue.Queue[PollResult] = queue.Queue()

    def take(self, count: int) -> list[PollResult]:
        return [self.results.get(timeout=10) for _ in range(count)]

    def until(self, wanted: Callable[[PollResult], bool]) -> PollResult:
        while True:
            result = self.results.get(timeout=10)
            if wanted(result):
                return result


@pytest.mark.parametrize("set_name", SETS)
def test_simulated_set_is_read_as_its_table_says(set_name: str) -> None:
    clock, collector = FixedClock(), Collector()
    bus = SimulatedBus(set_name, clock)
    bus.start()
    worker = LineWorker(
        "sim", LineSettings(bus.path), workers_instruments(set_name, bus.path), collector.results.put, clock
    )
    worker.start()
    try:
        results = collector.take(len(SETS[set_name]))
    finally:
        assert worker.stop()
        bus.stop()
    read = {reading.point: reading.value for result in results for reading in result.readings}
    table = {p.factor: p for one in SETS[set_name] for p in one.points if p.factor}
    assert read.keys() == table.keys()
    for factor, value in read.items():
        point = table[factor]
        assert value is not None
        assert value * point.scale == pytest.approx(point.value(NOON_MS), rel=1e-6, abs=point.scale / 2)
        assert point.range[0] <= value * point.scale <= point.range[1]


@pytest.mark.parametrize("set_name", SETS)
def test_simulated_values_stay_in_range_all_day(set_name: str) -> None:
    for one in SETS[set_name]:
        for point in one.points:
            day = [point.value(NOON_MS + minute * 60_000) for minute in range(1440)]
            assert point.range[0] <= min(day) <= max(day) <= point.range[1]


def test_simulated_totaliser_is_the_integral_of_the_flow() -> None:
    flow, total = SETS["water"][-1].points
    summed = sum(flow.value(NOON_MS + second * 1000 + 500) for second in range(3600)) / 1000
    assert total.value(NOON_MS + 3_600_000) - total.value(NOON_MS) == pytest.approx(summed, rel=1e-6)


def test_worker_stops_at_once_while_waiting_for_a_silent_slave() -> None:
    clock, collector = FixedClock(), Collector()
    with cable() as (ours, _):
        slow = LineInstrument("slow", points({"register": 0, "type": "uint16"}), timeout_s=30.0)
        worker = LineWorker("l", LineSettings(ours), [slow], collector.results.put, clock)
        before = descriptors()
        worker.start()
        while worker.counters().instruments["slow"].asked == 0:
            threading.Event().wait(0.005)
        began = time.monotonic()
        assert worker.heartbeat <= began
        assert worker.stop()
        assert time.monotonic() - began < 5.0  # of the 30 it would wait for
        assert not worker.alive
        assert descriptors() < before


def test_unplugged_adapter_is_found_again_under_its_name(tmp_path: Path) -> None:
    clock, collector = RunningClock(speed=20.0), Collector()
    bus = SimulatedBus("water", clock, baud=115_200, link=tmp_path / "by-path")
    bus.start()
    worker = LineWorker(
        "l",
        LineSettings(bus.path, 115_200),
        workers_instruments("water", bus.path),
        collector.results.put,
        clock,
    )
    worker.start()
    try:
        collector.take(6)
        bus.unplug()
        assert isinstance(collector.until(lambda r: not r.readings).error, PortLost)
        bus.plug()
        collector.until(lambda r: bool(r.readings))
        state = worker.counters()
        assert (state.open, state.opened, state.lost) == (True, 2, 1)
    finally:
        worker.stop()
        bus.stop()


@pytest.mark.parametrize("kind", ["silent", "bad-crc", "noise", "late"])
def test_simulated_faults_spoil_one_instrument_only(kind: Any) -> None:
    clock, collector = RunningClock(speed=20.0), Collector()
    bus = SimulatedBus("gas", clock, baud=115_200)
    bus.faults[2] = Fault(kind, delay_s=0.35)
    bus.start()
    instruments = workers_instruments("gas", bus.path, every_ms=20_000)
    worker = LineWorker("l", LineSettings(bus.path, 115_200), instruments, collector.results.put, clock)
    worker.start()
    try:
        results = collector.take(8)
    finally:
        worker.stop()
        bus.stop()
    for result in results:
        assert bool(result.readings) == (result.instrument != "dust" or kind == "noise")
    counters = worker.counters().instruments["dust"]
    assert {"silent": counters.silent, "bad-crc": counters.bad_crc, "noise": counters.foreign,
            "late": counters.silent}[kind] > 0  # fmt: skip
