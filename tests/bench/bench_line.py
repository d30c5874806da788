"""The serial line at 9600 baud: its cycle against the wire's own time, and what it costs in CPU.

The instruments are simulated in a process of their own, on ptys that answer at the pace of the wire. The wire's time of
an exchange is its characters, the 3.5 characters of silence after each frame, and the configured gap (none here).
Beside it, in the same run, pymodbus's synchronous client reads the same registers from the same ptys.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
SECONDS = 3.5
LINES, INSTRUMENTS, SLOT_MS = 16, 8, 5_000
_SERVE = """
import sys
from drivers.simulated import SimulatedBus
from edge.clock import SystemClock
buses = [SimulatedBus("water", SystemClock()) for _ in range(int(sys.argv[1]))]
for bus in buses: bus.start()
print(*(bus.path for bus in buses), flush=True)
sys.stdin.read()
"""


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
def _instruments(lines: int) -> Iterator[list[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(lines)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdout.readline().split()
        process.stdin.close()


def _measured(cycle: Callable[[], int]) -> tuple[float, float]:
    """Seconds of wall time and of this thread's CPU per exchange."""
    cycle()
    exchanges, began, cpu = 0, time.monotonic(), time.thread_time()
    while time.monotonic() - began < SECONDS:
        exchanges += cycle()
    return (time.monotonic() - began) / exchanges, (time.thread_time() - cpu) / exchanges


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


def _ours(path: str) -> tuple[float, float]:
    settings, stop = LineSettings(path, BAUD), StopSignal()
    port = open_port(settings, stop)
    bus, caller = LineBus(port, settings, time.monotonic), Caller("bench")

    class One:
        def ask(self, request: Request) -> bytes:
            return bus.ask(caller, request, 3)

    modbuses = [driver for driver, _ in _drivers()]
    try:
        return _measured(lambda: sum(bool(driver.read(One())) for driver in modbuses))
    finally:
        port.close()
        stop.close()


def _pymodbus(path: str) -> tuple[float, float]:
    from pymodbus.client import ModbusSerialClient

    client = ModbusSerialClient(path, baudrate=BAUD, timeout=1)
    client.connect()

    def cycle() -> int:
        for one in SETS["water"]:
            read: Any = client.read_holding_registers if one.function == 3 else client.read_input_registers
            assert not read(one.points[0].register, count=2, device_id=one.address).isError()
        return len(SETS["water"])

    try:
        return _measured(cycle)
    finally:
        client.close()  # type: ignore[no-untyped-call]  # pymodbus has no annotation there


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


def run() -> list[dict[str, object]]:
    """The figures, as rows of `bench.json`."""
    lengths = [length for _, length in _drivers()]
    wire_s = sum((8 + length + 7) * CHAR_S for length in lengths) / len(lengths)
    with _instruments(1) as [path]:
        ours_s, ours_cpu = _ours(path)
    with _instruments(1) as [path]:
        theirs_s, theirs_cpu = _pymodbus(path)
    with _instruments(LINES) as paths:
        share, in_slot, polls = _many(paths, 2)
    wire = f"the wire, {wire_s * 1000:.2f} ms"
    return [
        _row("serial exchange at 9600 baud", ours_s * 1000, "ms", wire, wire_s / ours_s),
        _row("the same with pymodbus", theirs_s * 1000, "ms", wire, wire_s / theirs_s),
        _row("CPU of a line that never rests", ours_cpu / ours_s * 100, "% of a core",
             f"pymodbus, {theirs_cpu / theirs_s * 100:.1f} %", (theirs_cpu / theirs_s) / (ours_cpu / ours_s)),
        _row(f"CPU of {LINES} lines × {INSTRUMENTS} instruments at 5 s", share * 100, "% of a core",
             "target 10 %", 0.10 / share),
        _row("polls in their slot", in_slot, "polls", f"scheduled, {polls}", in_slot / polls),
    ]  # fmt: skip


def _row(name: str, value: float, unit: str, against: str, ratio: float) -> dict[str, object]:
    return {
        "name": name,
        "value": round(value, 3),
        "unit": unit,
        "against": against,
        "ratio": round(ratio, 3),
    }


if __name__ == "__main__":
    for row in run():
        print(*row.values(), sep="\t")
