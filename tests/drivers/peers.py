"""Independent peers for the drivers' tests: slaves of pymodbus and libmodbus, and the cable to them."""

from __future__ import annotations

import asyncio
import ctypes
import os
import pty
import queue
import select
import struct
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext

from drivers.bus import Caller, LineBus
from drivers.driver import Bus, Driver, InstrumentSpec, PointSpec
from drivers.modbus import InstrumentOptions, Modbus, PointOptions
from drivers.port import LineSettings, StopSignal, open_port

NOON_MS = 1_763_784_000_000


class FixedClock:
    """A wall clock that stands still, and monotonic time that does not."""

    speed = 1.0

    def wall_ms(self) -> int:
        return NOON_MS

    def mono_s(self) -> float:
        return time.monotonic()


class RunningClock(FixedClock):
    """Starts at a slot's beginning."""

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self._began = time.monotonic()

    def wall_ms(self) -> int:
        return NOON_MS + int(self.mono_s() * 1000)

    def mono_s(self) -> float:
        return (time.monotonic() - self._began) * self.speed


@contextmanager
def cable() -> Iterator[tuple[str, str]]:
    """Two ptys joined back to back, like a cable between two serial ports."""
    ends = [pty.openpty(), pty.openpty()]
    stop_r, stop_w = os.pipe()
    for _, slave in ends:
        tty.setraw(slave)
    masters = [ends[0][0], ends[1][0]]

    def shuttle() -> None:
        while True:
            ready, _, _ = select.select([*masters, stop_r], [], [])
            if stop_r in ready:
                return
            for fd in ready:
                os.write(masters[1 - masters.index(fd)], os.read(fd, 4096))

    thread = threading.Thread(target=shuttle)
    thread.start()
    try:
        yield os.ttyname(ends[0][1]), os.ttyname(ends[1][1])
    finally:
        os.write(stop_w, b".")
        thread.join()
        for fd in (*ends[0], *ends[1], stop_r, stop_w):
            os.close(fd)


@contextmanager
def bus_on(port: str, baud: int = 115_200, timeout_s: float = 0.5, line_format: str = "8N1") -> Iterator[Bus]:
    """A bus on a port, without a worker."""
    settings, stop = LineSettings(port, baud, line_format), StopSignal()
    device = open_port(settings, stop)
    bus, caller = LineBus(device, settings, time.monotonic), Caller("x", timeout_s=timeout_s)

    class One:
        def ask(self, request: Any) -> bytes:
            return bus.ask(caller, request, 3)

    try:
        yield One()
    finally:
        device.close()
        stop.close()


@contextmanager
def opened(port: str, baud: int = 115_200) -> Iterator[Callable[[Driver], dict[str, float | None]]]:
    """Read instruments on a port without a worker."""
    with bus_on(port, baud) as bus:
        yield lambda driver: {r.point: r.value for r in driver.read(bus)}


def points(*options: dict[str, Any], address: int = 5, **instrument: Any) -> Modbus:
    """A Modbus instrument with these points, known by their number."""
    specs = [PointSpec(str(i), PointOptions(**o)) for i, o in enumerate(options)]
    return Modbus(InstrumentSpec("x", address, specs, InstrumentOptions(**instrument)))


PI_CDAB = struct.unpack(">HH", bytes.fromhex("0F DB 40 49"))
REGISTERS = [100, 65535, *PI_CDAB, *range(4, 60)]
EVERYTHING = (
    {"register": 0, "type": "uint16"},
    {"register": 1, "type": "int16"},
    {"register": 2, "type": "float32", "order": "CDAB"},
    {"register": 40, "type": "uint32", "function": 4},
    {"register": 3, "type": "bool", "function": 1},
    {"register": 0, "type": "bool", "function": 2},
)
EXPECTED = {"0": 100.0, "1": -1.0, "2": pytest.approx(3.14159274), "3": 40 * 65536.0 + 41, "4": 1.0, "5": 0.0}


def pymodbus_context() -> ModbusServerContext:
    bits = [False, False, False, True] + [False] * 16
    device = ModbusDeviceContext(
        hr=ModbusSequentialDataBlock(1, REGISTERS),
        ir=ModbusSequentialDataBlock(1, REGISTERS),
        co=ModbusSequentialDataBlock(1, bits),
        di=ModbusSequentialDataBlock(1, bits),
    )
    return ModbusServerContext(devices={5: device}, single=False)


@contextmanager
def pymodbus_server(make: Callable[[], Any]) -> Iterator[None]:
    """A pymodbus server in a thread of its own."""
    ready: queue.Queue[tuple[asyncio.AbstractEventLoop, Any]] = queue.Queue()

    async def serve() -> None:
        server = make()
        await server.serve_forever(background=True)
        ready.put((asyncio.get_running_loop(), server))
        await server.serving

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    loop, server = ready.get(timeout=10)
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(server.shutdown(), loop).result(10)
        thread.join(10)


class Mapping(ctypes.Structure):
    """modbus_mapping_t of libmodbus 3.1."""

    _fields_ = [(name, ctypes.c_int) for name in (
        "nb_bits", "start_bits", "nb_input_bits", "start_input_bits",
        "nb_input_registers", "start_input_registers", "nb_registers", "start_registers",
    )] + [
        ("tab_bits", ctypes.POINTER(ctypes.c_uint8)),
        ("tab_input_bits", ctypes.POINTER(ctypes.c_uint8)),
        ("tab_input_registers", ctypes.POINTER(ctypes.c_uint16)),
        ("tab_registers", ctypes.POINTER(ctypes.c_uint16)),
    ]  # fmt: skip


@contextmanager
def libmodbus_slave(device: str) -> Iterator[None]:
    """Debian's libmodbus5 serving `REGISTERS` at address 5."""
    lib = ctypes.CDLL("libmodbus.so.5")
    for name in ("modbus_new_rtu", "modbus_mapping_new"):
        getattr(lib, name).restype = ctypes.c_void_p
    context = ctypes.c_void_p(lib.modbus_new_rtu(device.encode(), 115_200, ctypes.c_char(b"N"), 8, 1))
    address = lib.modbus_mapping_new(20, 20, 60, 60)
    mapping = Mapping.from_address(address)
    for index, value in enumerate(REGISTERS):
        mapping.tab_registers[index] = mapping.tab_input_registers[index] = value
    mapping.tab_bits[3] = 1
    assert lib.modbus_set_slave(context, 5) == 0
    assert lib.modbus_connect(context) == 0
    lib.modbus_set_indication_timeout(context, 0, 100_000)
    stop = threading.Event()

    def serve() -> None:
        query = ctypes.create_string_buffer(260)
        while not stop.is_set():
            length = lib.modbus_receive(context, query)
            if length > 0:
                lib.modbus_reply(context, query, length, ctypes.c_void_p(address))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        lib.modbus_close(context)
        lib.modbus_mapping_free(ctypes.c_void_p(address))
        lib.modbus_free(context)
