"""Real ports: a pty whose far end does everything wrong, beside another Modbus client; and adapters that are pulled.

line-pty       20 % faults in real time; how many wrong values pymodbus's client accepts on the same ptys
line-unplug    pulled again and again, back as another device under the same name
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import pty
import select
import struct
import threading
import time
import tty
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from drivers.driver import InstrumentSpec, PointSpec, Reading
from drivers.errors import PortLost
from drivers.line import LineInstrument, LineWorker, PollResult
from drivers.modbus import Modbus, PointOptions
from drivers.poller import Poller
from drivers.port import LineSettings, StopSignal, open_port
from drivers.simulated import SimulatedBus
from drivers.simulated.slaves import of_model
from tests.torture.faulty_wire import Faults
from tests.torture.line_worlds import SLAVES, ModbusWorld, Tally
from tests.torture.rig import Outcome, Rig

BAUD = 115_200
TIMEOUT_S = 0.1
PTYS = 4
"""At once: most of the time is spent waiting."""
TICK_S, LAG_S = 0.02, 0.06
"""How often the far end looks; when it comes so much too late, what it holds is lost rather than late."""
_REQUEST = 8


class RealClock:
    """The machine's clock, as a line and a world see it."""

    speed = 1.0

    @property
    def now(self) -> float:
        return time.monotonic()

    def mono_s(self) -> float:
        return time.monotonic()

    def wall_ms(self) -> int:
        return 1_763_775_000_000 + int(time.monotonic() * 1000)


class FaultyPty:
    """Eight slaves behind a pty, and a wire that spoils 20 % of what they say."""

    def __init__(self, rig: Rig, case: object) -> None:
        self.world = ModbusWorld(RealClock(), rig.random(case), "rtu")  # type: ignore[arg-type]  # a clock with `now`
        self.faults = Faults(rig.random(f"faults {case}"), TIMEOUT_S, self.world.stranger, self.world.kinds)
        self.asked = 0
        self.lost = 0
        """Questions and answers thrown away: this machine was busy, and they would come later than any fault."""
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._stop = os.pipe()
        self._thread = threading.Thread(target=self._serve, name="faulty pty")
        self._thread.start()

    def close(self) -> None:
        os.write(self._stop[1], b".")
        self._thread.join()
        for fd in (self._master, self._slave, *self._stop):
            os.close(fd)

    def _serve(self) -> None:
        coming: list[tuple[float, int, bytes]] = []
        order = itertools.count()
        looked = time.monotonic()
        while True:
            wait_s = max(0.0, coming[0][0] - looked) if coming else TICK_S
            ready, _, _ = select.select([self._master, self._stop[0]], [], [], min(wait_s, TICK_S))
            if self._stop[0] in ready:
                return
            before, looked = looked, time.monotonic()
            data = os.read(self._master, 4096) if self._master in ready else b""
            if looked - before > LAG_S:
                self.lost += bool(data) + len(coming)
                coming.clear()
                continue
            if data:
                end = looked
                for at in range(0, len(data) - _REQUEST + 1, _REQUEST):
                    self.asked += 1
                    request = data[at : at + _REQUEST]
                    for delay, piece in self.faults.spoil(request, self.world.answer(request, end)):
                        heapq.heappush(coming, (end + delay, next(order), piece))
            while coming and coming[0][0] <= looked:
                os.write(self._master, heapq.heappop(coming)[2])


def _ours(site: FaultyPty, exchanges: int) -> Tally:
    """The daemon's line."""
    world = site.world
    began: dict[str, float] = {}

    def judge(result: PollResult) -> None:
        # a poll begins where the one before it ended
        for reading in result.readings:
            world.judge(result.instrument, reading, began.get("", 0.0), time.monotonic())
        began[""] = time.monotonic()

    instruments = [LineInstrument(name, driver, 200, TIMEOUT_S) for name, driver in world.drivers.items()]
    worker = LineWorker("faulty", LineSettings(site.path, BAUD), instruments, judge, RealClock())
    worker.start()
    while site.asked < exchanges and worker.alive:
        time.sleep(0.05)
    worker.stop()
    return replace(world.tally)


def _pymodbus(site: FaultyPty, exchanges: int) -> Tally:
    """The same registers in the same order with pymodbus's synchronous client and as many retries."""
    from pymodbus.client import ModbusSerialClient
    from pymodbus.exceptions import ModbusException

    world, start = site.world, site.asked
    world.tally = Tally()
    client = ModbusSerialClient(site.path, baudrate=BAUD, timeout=TIMEOUT_S, retries=2)
    for slave, (function, register, count) in itertools.cycle(itertools.product(SLAVES, world.BLOCKS)):
        if site.asked - start >= exchanges:
            break
        read: Any = client.read_holding_registers if function == 3 else client.read_input_registers
        began = time.monotonic()
        try:
            client.connect()
            answer = read(register, count=count, device_id=slave)
        except (ModbusException, OSError, struct.error, IndexError):
            continue
        if answer.isError():
            continue
        raw = struct.pack(f">{len(answer.registers)}H", *answer.registers)
        for offset in range(0, min(count, len(answer.registers)), 4):
            point = f"{function} {register + offset}"
            value = Reading(point, None, raw[offset * 2 :][:8].ljust(8, b"\0"))
            world.judge(f"s{slave}", value, began, time.monotonic())
    client.close()  # type: ignore[no-untyped-call]  # pymodbus has no annotation there
    return world.tally


def line_pty(rig: Rig) -> Outcome:
    """0 wrong values in 2,000 exchanges; pymodbus's count beside it."""
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL + 1)
    outcome, each = Outcome(), rig.count(2_000, 100_000) // PTYS
    sites = [FaultyPty(rig, case) for case in range(PTYS)]
    try:
        with ThreadPoolExecutor(PTYS) as pool:
            ours = list(pool.map(lambda site: _ours(site, each), sites))
            outcome.cases = sum(site.asked for site in sites)
            theirs = list(pool.map(lambda site: _pymodbus(site, each), sites))
    finally:
        for site in sites:
            site.close()
    outcome.corrupt = sum(tally.wrong for tally in ours)
    for who, tallies in (("ours", ours), ("pymodbus", theirs)):
        for name in ("right", "wrong", "passed"):
            outcome.figures[f"{who}: {name}"] = sum(getattr(tally, name) for tally in tallies)
    outcome.figures["lost to this machine's own lag"] = sum(site.lost for site in sites)
    if not outcome.figures["ours: right"]:
        outcome.fail("no value at all")
    return outcome


class SkippingClock(RealClock):
    """Real time on the wire; the waits between polls and reopenings are skipped."""

    def __init__(self) -> None:
        self._skipped_s = 0.0

    @property
    def now(self) -> float:
        return time.monotonic() + self._skipped_s

    def mono_s(self) -> float:
        return self.now

    def wall_ms(self) -> int:
        return 1_763_775_000_000 + int(self.now * 1000)

    def skip(self, seconds: float) -> None:
        self._skipped_s += seconds


REOPEN_S = 10.0
SLOT_S = 5.0


class PulledLine:
    """One instrument behind an adapter that is pulled; `read_s` takes how long its line needed to read again."""

    def __init__(self, rig: Rig) -> None:
        self.clock = SkippingClock()
        slaves, link = [of_model("hach-cod", 1, {"w01018": 35.6})], rig.work / "by-path"
        self.bus = SimulatedBus(slaves, self.clock, baud=BAUD, link=link)
        self.bus.start()
        self.settings = LineSettings(self.bus.path, BAUD)
        self.last: PollResult | None = None
        self._stop = StopSignal()
        point = PointSpec("w01018", PointOptions(register=0, type="float32", order="CDAB"))
        self.instrument = LineInstrument("cod", Modbus(InstrumentSpec("cod", 1, [point])), timeout_s=0.3)
        self.poller = Poller(
            self.settings, [self.instrument], self._keep, self.clock, self.clock.mono_s,
            lambda: open_port(self.settings, self._stop),
        )  # fmt: skip

    def _keep(self, result: PollResult) -> None:
        self.last = result

    def until(self, reads: bool) -> float:
        """Seconds of the line's time until a poll succeeds, or fails because the port is lost."""
        began_s, self.last = self.clock.now, None
        while self.clock.now < began_s + 120:
            self.clock.skip(self.poller.step())
            if self.last is not None and (bool(self.last.readings) if reads else isinstance(self.last.error, PortLost)):
                break
        return self.clock.now - began_s

    def close(self) -> None:
        self.poller.close()
        self._stop.close()
        self.bus.stop()


def _resources() -> tuple[int, int]:
    return len(os.listdir("/proc/self/fd")), threading.active_count()


def line_unplug(rig: Rig) -> Outcome:
    """No descriptor and no thread is left behind, and the line reads again within its back-off."""
    outcome, before = Outcome(), _resources()
    line, dice, worst, devices = PulledLine(rig), rig.random(), 0.0, set()
    line.until(reads=True)
    held = _resources()
    for _ in range(rig.count(1_000, 20_000)):
        outcome.cases += 1
        line.bus.unplug()
        line.until(reads=False)
        line.clock.skip(dice.choice((0.0, 1.0, 30.0)))
        squatter = pty.openpty() if dice.random() < 0.5 else ()  # so that it comes back as another device
        line.bus.plug()
        devices.add(os.path.realpath(line.bus.path))
        took_s = line.until(reads=True)
        worst = max(worst, took_s)
        for fd in squatter:
            os.close(fd)
        if took_s > REOPEN_S + SLOT_S:
            outcome.fail(f"unplug {outcome.cases}: read again after {took_s:.1f} s")
        if line.last is None or [one.value for one in line.last.readings] != [35.599998474121094]:
            outcome.corrupt += 1
        if _resources() != held:
            outcome.fail(f"unplug {outcome.cases}: {_resources()} descriptors and threads, {held} before")
            break
    line.close()
    outcome.cases += _with_worker(rig, outcome)
    if _resources() != before:
        outcome.fail(f"{_resources()} descriptors and threads at the end, {before} at the beginning")
    outcome.figures["longest time until it read again, s"] = round(worst, 2)
    outcome.figures["devices it came back as"] = len(devices)
    return outcome


def _with_worker(rig: Rig, outcome: Outcome) -> int:
    """A few in real time with the line's own thread."""
    line, reads, fails = PulledLine(rig), threading.Event(), threading.Event()

    def keep(result: PollResult) -> None:
        (reads if result.readings else fails).set()

    instrument = replace(line.instrument, every_ms=200)
    worker = LineWorker("pulled", line.settings, [instrument], keep, RealClock())
    worker.start()
    times = rig.count(5, 50)
    for _ in range(times):
        for act, seen in ((line.bus.unplug, fails), (line.bus.plug, reads)):
            act()
            seen.clear()
            if not seen.wait(REOPEN_S + SLOT_S):
                outcome.fail(f"with a worker: {act.__name__} not noticed")
    worker.stop()
    line.close()
    return times


TESTS = {"line-pty": line_pty, "line-unplug": line_unplug}
