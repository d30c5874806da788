"""The serial line at 9600 baud: its cycle against the wire's own time, and what it costs in CPU.

The instruments are simulated in a process of their own, on ptys that answer at the pace of the wire, and measure there
how long the line was silent before each request. The wire's time of an exchange is its characters, the 3.5 characters
of silence after each frame, and the configured gap (none here). Beside it, in the same run, the clients of pymodbus
(synchronous and asyncio) and minimalmodbus read the same registers: of one line, and of 16 at once in one process.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivers.bus import Caller, LineBus
from drivers.driver import InstrumentSpec, PointSpec, Request
from drivers.line import LineInstrument, LineWorker, PollResult
from drivers.modbus import Modbus, PointOptions
from drivers.port import LineSettings, StopSignal, open_port
from drivers.simulated import SETS

ROOT = Path(__file__).parents[2]
BAUD = 9600
CHAR_S = 10 / BAUD
SILENCE_S = 3.5 * CHAR_S
SECONDS = 3.0
LINES, INSTRUMENTS, SLOT_MS = 16, 8, 5_000
_SERVE = """
import json, sys, time
from drivers.simulated import SimulatedBus
from edge.clock import SystemClock

class Measured(SimulatedBus):
    ended = None
    def _reply(self, slave, request):
        if self.ended is not None:
            silences.append(time.monotonic() - self.ended)
        went_on = super()._reply(slave, request)
        self.ended = time.monotonic()
        return went_on

silences = []
buses = [Measured("water", SystemClock()) for _ in range(int(sys.argv[1]))]
for bus in buses: bus.start()
print(*(bus.path for bus in buses), flush=True)
sys.stdin.read()
print(json.dumps(silences))
"""


@dataclass(slots=True)
class Slaves:
    """Where they are; after their end the silences before requests, in seconds, as they saw them."""

    paths: list[str]
    silences: list[float]


@dataclass(frozen=True, slots=True)
class Run:
    """One client on one or more lines."""

    efficiency: float
    """The wire's time against the time that passed."""
    cpu: float
    """Share of a core."""
    kept: float
    """Share of requests before which the line was silent for 3.5 characters."""
    shortest_s: float


class _Clock:
    """Starts at the beginning of a slot, so that whole slots are measured."""

    speed = 1.0

    def __init__(self) -> None:
        self._began = time.monotonic()

    def wall_ms(self) -> int:
        return 1_763_784_000_000 + int(self.mono_s() * 1000)

    def mono_s(self) -> float:
        return time.monotonic() - self._began


@contextmanager
def _instruments(lines: int) -> Iterator[Slaves]:
    with subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(lines)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        slaves = Slaves(process.stdout.readline().split(), [])
        yield slaves
        process.stdin.close()
        slaves.silences = json.loads(process.stdout.readline())


def _drivers() -> list[tuple[Modbus, int]]:
    """The water set's drivers, and the length of each one's answer."""
    built = []
    for one in SETS["water"]:
        options = [
            PointOptions(function=one.function, register=p.register, type=p.type, order=p.order)
            for p in one.points
            if p.factor
        ]
        registers = sum(1 if option.type == "int16" else 2 for option in options)
        points = [PointSpec(str(index), option) for index, option in enumerate(options)]
        built.append((Modbus(InstrumentSpec(one.name, one.address, points)), 5 + 2 * registers))
    return built


def _reads() -> list[tuple[int, int, int, int]]:
    """Address, function, first register and count of what our driver reads of each instrument."""
    counts = [(length - 5) // 2 for _, length in _drivers()]
    return [
        (one.address, one.function, one.points[0].register, count)
        for one, count in zip(SETS["water"], counts, strict=True)
    ]


Client = Callable[[str, Callable[[], bool]], int]
"""Reads the line at a path as fast as it can while the second argument says so; how many exchanges."""


def _ours(path: str, goes_on: Callable[[], bool]) -> int:
    settings, stop = LineSettings(path, BAUD), StopSignal()
    port = open_port(settings, stop)
    bus, caller = LineBus(port, settings, time.monotonic), Caller("bench")

    class One:
        def ask(self, request: Request) -> bytes:
            return bus.ask(caller, request, 3)

    modbuses, count = [driver for driver, _ in _drivers()], 0
    while goes_on():
        count += sum(bool(driver.read(One())) for driver in modbuses)
    port.close()
    stop.close()
    return count


def _pymodbus(path: str, goes_on: Callable[[], bool]) -> int:
    from pymodbus.client import ModbusSerialClient

    client, reads, count = ModbusSerialClient(path, baudrate=BAUD, timeout=1), _reads(), 0
    client.connect()
    while goes_on():
        for address, function, register, size in reads:
            read: Any = client.read_holding_registers if function == 3 else client.read_input_registers
            assert not read(register, count=size, device_id=address).isError()
            count += 1
    client.close()  # type: ignore[no-untyped-call]  # pymodbus has no annotation there
    return count


def _minimalmodbus(path: str, goes_on: Callable[[], bool]) -> int:
    import minimalmodbus

    instruments, count = [], 0
    for address, function, register, size in _reads():
        instrument = minimalmodbus.Instrument(path, address)
        instrument.serial.baudrate, instrument.serial.timeout = BAUD, 1
        instruments.append((instrument, register, size, function))
    while goes_on():
        for instrument, register, size, function in instruments:
            count += len(instrument.read_registers(register, size, function)) == size
    instruments[0][0].serial.close()
    return count


async def _pymodbus_async(path: str, goes_on: Callable[[], bool]) -> int:
    from pymodbus.client import AsyncModbusSerialClient

    client, reads, count = AsyncModbusSerialClient(path, baudrate=BAUD, timeout=1), _reads(), 0
    await client.connect()
    while goes_on():
        for address, function, register, size in reads:
            read: Any = client.read_holding_registers if function == 3 else client.read_input_registers
            assert not (await read(register, count=size, device_id=address)).isError()
            count += 1
    client.close()
    return count


def _in_threads(client: Client, paths: list[str], goes_on: Callable[[], bool]) -> int:
    counts: list[int] = []
    threads = [threading.Thread(target=lambda path=path: counts.append(client(path, goes_on))) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts)


def _in_one_loop(client: Any, paths: list[str], goes_on: Callable[[], bool]) -> int:
    async def together() -> int:
        return sum(await asyncio.gather(*(client(path, goes_on) for path in paths)))

    return asyncio.run(together())


def _measured(client: Any, lines: int) -> Run:
    with _instruments(lines) as slaves:
        began, cpu = time.monotonic(), time.process_time()
        start = _in_one_loop if asyncio.iscoroutinefunction(client) else _in_threads
        count = start(client, slaves.paths, lambda: time.monotonic() < began + SECONDS)
        took, cpu = time.monotonic() - began, time.process_time() - cpu
    # what the slaves see is a little late by itself: their answer is written before they look at the time
    kept = sum(silence >= 0.97 * SILENCE_S for silence in slaves.silences) / len(slaves.silences)
    return Run(count * _wire_s() / (took * lines), cpu / took, kept, min(slaves.silences))


def _wire_s() -> float:
    """The wire's time of an exchange, on average."""
    lengths = [length for _, length in _drivers()]
    return sum((8 + length + 7) * CHAR_S for length in lengths) / len(lengths)


def _many(paths: list[str], slots: int) -> tuple[float, int, int]:
    """CPU share of one core, polls that came in their slot, polls that should have."""
    clock = _Clock()
    results: list[tuple[PollResult, int]] = []

    def keep(result: PollResult) -> None:
        results.append((result, clock.wall_ms()))

    workers = []
    modbuses = [driver for driver, _ in _drivers()]
    for number, path in enumerate(paths):
        instruments = [
            LineInstrument(f"i{index}", modbuses[index % len(modbuses)], SLOT_MS) for index in range(INSTRUMENTS)
        ]
        settings = LineSettings(path, BAUD)
        workers.append(LineWorker(str(number), settings, instruments, keep, clock))
    cpu, began = time.process_time(), time.monotonic()
    for worker in workers:
        worker.start()
    time.sleep(slots * SLOT_MS / 1000 - 0.1)
    share = (time.process_time() - cpu) / (time.monotonic() - began)
    for worker in workers:
        worker.stop()
    in_slot = sum(bool(r.readings) and r.slot_ms <= at < r.slot_ms + SLOT_MS for r, at in results)
    return share, in_slot, slots * len(paths) * INSTRUMENTS


CLIENTS: dict[str, Any] = {
    "hj212-edge": _ours, "pymodbus": _pymodbus, "pymodbus asyncio": _pymodbus_async, "minimalmodbus": _minimalmodbus,
}  # fmt: skip


def run() -> list[dict[str, object]]:
    """The figures, as rows of `bench.json`."""
    rows = []
    for lines in (1, LINES):
        runs = {name: _measured(client, lines) for name, client in CLIENTS.items()}
        ours = runs["hj212-edge"]
        for name, one in runs.items():
            what = f"{lines} line{'s' * (lines > 1)}, {name}"
            against = None if one is ours else "hj212-edge"
            rows += [
                _row(f"{what}: of the wire's time", one.efficiency, "", "target 0.95" if one is ours else against,
                     one.efficiency / 0.95 if one is ours else ours.efficiency / one.efficiency),
                _row(f"{what}: CPU", one.cpu * 100, "% of a core", against,
                     None if one is ours else one.cpu / ours.cpu),
                _row(f"{what}: silence kept", one.kept * 100, "% of requests",
                     f"3.5 characters; shortest {one.shortest_s / CHAR_S:.1f}", None),
            ]  # fmt: skip
    with _instruments(LINES) as slaves:
        share, in_slot, polls = _many(slaves.paths, 2)
    return [
        *rows,
        _row(f"CPU of {LINES} lines × {INSTRUMENTS} instruments at 5 s", share * 100, "% of a core",
             "target 10 %", 0.10 / share),
        _row("polls in their slot", in_slot, "polls", f"scheduled, {polls}", in_slot / polls),
    ]  # fmt: skip


def _row(name: str, value: float, unit: str, against: str | None, ratio: float | None) -> dict[str, object]:
    return {
        "name": name,
        "value": round(value, 3),
        "unit": unit,
        "against": against,
        "ratio": None if ratio is None else round(ratio, 3),
    }


if __name__ == "__main__":
    for row in run():
        print(*row.values(), sep="\t")
