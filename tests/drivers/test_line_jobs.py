"""Exchanges beside the polls: their turn, the polls' cadence, and what whoever waits is told."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from virtual_line import Answers, VirtualPort, VirtualTime, framed

from drivers.driver import Bus, InstrumentSpec, PointSpec, Reading
from drivers.errors import DeviceSilent, DriverError, LineBusy, LineClosed, OutcomeUnknown, PortLost
from drivers.jobs import LIMIT, JobQueue
from drivers.line import LineInstrument, LineWorker, PollResult
from drivers.modbus import Modbus, PointOptions, WriteOptions, read_request
from drivers.poller import Poller
from drivers.port import LineSettings, LineStopped

EVERY_S = 5.0


class Site:
    """Instruments at addresses 1…n on one virtual line; those in `dead` answer nothing."""

    def __init__(self, count: int) -> None:
        self.time = VirtualTime()
        self.dead: set[int] = set()
        self.results: list[PollResult] = []
        self.ports: list[VirtualPort] = []
        self.port_missing = False
        self.jobs = JobQueue("l1", self.time.mono_s)
        self.drivers = {f"i{address}": driver(address) for address in range(1, count + 1)}
        instruments = [LineInstrument(name, one) for name, one in self.drivers.items()]
        self.poller = Poller(
            LineSettings("virtual"), instruments, self.results.append, self.time, self.time.mono_s, self.open, self.jobs
        )

    def open(self) -> VirtualPort:
        if self.port_missing:
            raise PortLost("drivers.port-lost", port="virtual", reason="missing")
        self.ports.append(VirtualPort(self.time, self.answer))
        return self.ports[-1]

    def answer(self, request: bytes, end: float) -> Answers:
        if request[0] in self.dead:
            return ()
        if request[1] == 6:
            return [(0.02, request)]
        return [(0.02, framed(f"{request[0]:02x} 03 04 3F 80 00 00"))]

    def write(self, name: str = "i1", value: int = 1) -> Future[None]:
        return self.jobs.submit(name, self.drivers[name].writer(WriteOptions(register=100), [value]))

    def run(self, seconds: float, between: Callable[[], Any] = lambda: None) -> list[PollResult]:
        self.results.clear()
        until = self.time.now + seconds
        while self.time.now < until:
            between()
            pause_s = self.poller.step()  # which takes time of its own
            self.time.now += pause_s
        return list(self.results)

    def functions(self) -> list[int]:
        return [data[1] for port in self.ports for _, data in port.written]


def driver(address: int) -> Modbus:
    return Modbus(InstrumentSpec(f"i{address}", address, [PointSpec("p", PointOptions(register=0, type="float32"))]))


def test_job_goes_before_the_next_poll() -> None:
    site = Site(3)
    site.run(20)
    asked = len(site.functions())
    future = site.write()
    site.run(EVERY_S)
    assert future.result(0) is None
    assert site.functions()[asked] == 6
    assert site.poller.state().instruments["i1"].jobs == 1


def test_polls_keep_their_cadence_under_a_stream_of_jobs() -> None:
    site = Site(4)
    site.run(60)
    done: list[Future[None]] = []

    def keep_two_waiting() -> None:
        if sum(not future.done() for future in done[-2:]) < 2:  # they are carried out in their order
            done.append(site.write("i2"))

    results = site.run(300, keep_two_waiting)
    assert len(done) > 1000
    for name in site.drivers:
        times = [r.at_mono for r in results if r.instrument == name and r.readings]
        gaps = [b - a for a, b in itertools.pairwise(times)]
        assert 0.9 * EVERY_S <= min(gaps) <= max(gaps) <= 1.1 * EVERY_S
        assert len(gaps) >= 58


def test_jobs_to_a_silent_instrument_leave_the_others_their_cadence() -> None:
    site = Site(4)
    site.run(60)
    site.dead = {2}
    site.run(20)
    done: list[Future[None]] = []

    def keep_one_waiting() -> None:
        if all(future.done() for future in done):
            done.append(site.write("i2"))

    results = site.run(300, keep_one_waiting)
    assert len(done) > 20
    assert all(isinstance(future.exception(0), OutcomeUnknown) for future in done[:-1])
    for name in ("i1", "i3", "i4"):
        times = [r.at_mono for r in results if r.instrument == name and r.readings]
        gaps = [b - a for a, b in itertools.pairwise(times)]
        assert max(gaps) <= 1.1 * EVERY_S


def test_two_jobs_do_not_follow_each_other_while_a_poll_is_due() -> None:
    site = Site(3)
    site.run(20)
    site.time.now += EVERY_S + 0.5
    asked = len(site.functions())
    for _ in range(4):
        site.write()
    site.run(1)
    assert site.functions()[asked : asked + 7] == [6, 3, 6, 3, 6, 3, 6]


def test_job_gets_what_the_instrument_said() -> None:
    site = Site(1)
    site.run(10)
    reader = site.drivers["i1"].reader(PointSpec("p", PointOptions(register=40, type="float32")))
    future = site.jobs.submit("i1", reader)
    site.run(1)
    assert future.result(0).value == 1.0


def test_job_on_a_missing_port_is_told_at_once() -> None:
    site = Site(1)
    site.port_missing = True
    site.run(3)
    future = site.write()
    site.run(0.1)
    assert isinstance(future.exception(0), PortLost)


def test_port_lost_in_a_job_fails_it_and_is_opened_again() -> None:
    site = Site(1)
    site.run(10)
    site.ports[0].lost = True
    future = site.write()
    site.run(3)
    assert isinstance(future.exception(0), PortLost)
    assert (site.ports[0].closed, len(site.ports)) == (True, 2)
    again = site.write()
    site.run(1)
    assert again.result(0) is None


def test_unanswered_job_is_not_repeated_and_the_line_goes_on() -> None:
    site = Site(2)
    site.run(20)
    site.dead = {1}
    asked = len(site.functions())
    future = site.write()
    results = site.run(10)
    assert isinstance(future.exception(0), OutcomeUnknown)
    assert site.functions()[asked:].count(6) == 1
    assert len([r for r in results if r.instrument == "i2" and r.readings]) >= 2


def test_full_queue_refuses_more() -> None:
    site = Site(1)
    for _ in range(LIMIT):
        site.write()
    with pytest.raises(LineBusy) as caught:
        site.write()
    assert caught.value.params == {"line": "l1", "count": LIMIT}


def test_job_that_was_cancelled_is_not_sent() -> None:
    site = Site(1)
    site.run(10)
    asked = len(site.functions())
    assert site.write().cancel()
    site.run(1)
    assert 6 not in site.functions()[asked:]


def test_end_of_the_line_tells_who_waits_and_takes_no_more() -> None:
    site = Site(1)
    future = site.write()
    site.poller.close()
    assert isinstance(future.exception(0), LineClosed)
    with pytest.raises(LineClosed):
        site.write()


def test_driver_that_is_at_fault_leaves_the_others_their_cadence_and_is_told() -> None:
    """A bare IndexError ended the line's thread; the next one began with the same instrument, again and again."""

    class Faulty:
        name = "faulty"
        PointOptions = InstrumentOptions = object

        def read(self, bus: Bus) -> list[Reading]:
            bus.ask(read_request(1, 3, 0, 2))
            raise IndexError("of its own")

    site = Site(2)
    site.poller = Poller(
        LineSettings("virtual"), [LineInstrument("bad", Faulty()), LineInstrument("i2", driver(2))],
        site.results.append, site.time, site.time.mono_s, site.open,
    )  # fmt: skip
    results = site.run(6 * EVERY_S)
    assert [one.readings[0].value for one in results if one.instrument == "i2"] == [1.0] * 6
    told = [one.error.params["reason"] for one in results if one.instrument == "bad" and one.error]
    assert told == ["IndexError: of its own"] * 6


def test_job_that_is_at_fault_does_not_leave_its_caller_waiting() -> None:
    site = Site(1)

    def wrong(bus: Bus) -> None:
        raise ZeroDivisionError

    future = site.jobs.submit("i1", wrong)
    with pytest.raises(ZeroDivisionError):
        site.poller.step()
    assert isinstance(future.exception(0), LineClosed)


def test_stop_in_the_middle_of_a_job_tells_its_caller() -> None:
    site = Site(1)

    def stopped(bus: Bus) -> None:
        raise LineStopped

    future = site.jobs.submit("i1", stopped)
    with pytest.raises(LineStopped):
        site.poller.step()
    assert isinstance(future.exception(0), LineClosed)


# -- the thread


class RealClock:
    speed = 1.0

    def wall_ms(self) -> int:
        return 1_763_784_000_000

    def mono_s(self) -> float:
        return time.monotonic()


def test_idle_worker_wakes_up_for_a_job_and_stop_ends_what_waits() -> None:
    polled = threading.Event()
    worker = LineWorker(
        "l",
        LineSettings("/nowhere/tty"),
        [LineInstrument("i1", driver(1), 3_600_000)],
        lambda _: polled.set(),
        RealClock(),
    )
    worker.start()
    assert polled.wait(5)
    began = time.monotonic()
    future = worker.submit("i1", driver(1).writer(WriteOptions(register=1), [1]))
    assert isinstance(future.exception(5), PortLost)
    assert time.monotonic() - began < 5
    with pytest.raises(KeyError):
        worker.submit("i2", lambda bus: None)
    assert worker.stop()
    with pytest.raises(LineClosed):
        worker.submit("i1", lambda bus: None)


def test_errors_are_those_of_the_package() -> None:
    assert all(issubclass(cls, DriverError) for cls in (LineBusy, LineClosed, OutcomeUnknown, DeviceSilent))
