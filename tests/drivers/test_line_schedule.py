"""Slots, silent instruments and lost ports, step by step in virtual time."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from virtual_line import Answers, VirtualPort, VirtualTime, framed

from drivers.driver import Bus, InstrumentSpec, PointSpec, Reading
from drivers.errors import DeviceSilent, PortLost
from drivers.modbus import Modbus, PointOptions
from drivers.poller import LineInstrument, Poller, PollResult
from drivers.port import LineSettings
from drivers.schedule import Schedule, Turn

SLOT_MS = 5_000


class Site:
    """Instruments at addresses 1…n on one virtual line; those in `dead` do not answer."""

    def __init__(self, count: int, *, every_ms: int = SLOT_MS, timeout_s: float = 1.0) -> None:
        self.time = VirtualTime()
        self.dead: set[int] = set()
        self.results: list[PollResult] = []
        self.ports: list[VirtualPort] = []
        self.port_missing = False
        self.tried = 0
        instruments = [
            LineInstrument(f"i{address}", self.driver(address), every_ms, timeout_s) for address in range(1, count + 1)
        ]
        self.poller = Poller(
            LineSettings("virtual"), instruments, self.results.append, self.time, self.time.mono_s, self.open
        )

    @staticmethod
    def driver(address: int) -> Modbus:
        point = PointSpec("p", PointOptions(register=0, type="float32"))
        return Modbus(InstrumentSpec(f"i{address}", address, [point]))

    def open(self) -> VirtualPort:
        self.tried += 1
        if self.port_missing:
            raise PortLost("drivers.port-lost", port="virtual", reason="missing")
        self.ports.append(VirtualPort(self.time, self.answer))
        return self.ports[-1]

    def answer(self, request: bytes, end: float) -> Answers:
        if request[0] in self.dead:
            return ()
        return [(0.02, framed(f"{request[0]:02x} 03 04 3F 80 00 00"))]

    def run(self, seconds: float) -> list[PollResult]:
        """What the line brings in so much time."""
        self.results.clear()
        until = self.time.now + seconds
        while self.time.now < until:
            pause_s = self.poller.step()  # which takes time of its own
            self.time.now += pause_s
        return list(self.results)


def slots_of(results: list[PollResult], instrument: str) -> list[int]:
    return [r.slot_ms for r in results if r.instrument == instrument and r.readings]


def test_every_instrument_is_polled_once_in_every_slot() -> None:
    site = Site(8)
    results = site.run(600)
    for address in range(1, 9):
        slots = slots_of(results, f"i{address}")
        assert all(slot % SLOT_MS == 0 for slot in slots)
        assert [b - a for a, b in itertools.pairwise(slots)] == [SLOT_MS] * (len(slots) - 1)
        assert len(slots) in (120, 121)


def test_polls_begin_within_their_slot() -> None:
    site = Site(8)
    offset_s = site.time.wall_ms() / 1000 - site.time.now
    for result in site.run(60)[8:]:
        assert 0 < (result.at_mono + offset_s) * 1000 - result.slot_ms < 1000


def test_dead_slave_costs_one_time_out_a_probe_and_thins_out() -> None:
    site = Site(4)
    site.run(60)
    site.dead = {2}
    site.run(5.1)
    site.results.clear()
    asked = len(site.ports[0].written)
    results = site.run(600)
    probes = [at for at, data in site.ports[0].written[asked:] if data[0] == 2]
    failures = [r for r in results if r.instrument == "i2"]
    assert len(probes) == len(failures), "one attempt a probe"
    assert all(isinstance(r.error, DeviceSilent) and not r.readings for r in failures)
    gaps = [b - a for a, b in itertools.pairwise(probes)]
    assert gaps == sorted(gaps) or gaps[-1] == pytest.approx(60, abs=6)
    assert 10 <= len(probes) <= 16
    assert max(gaps) <= 66


def test_dead_slave_leaves_the_others_their_cadence() -> None:
    site = Site(4)
    site.run(60)
    site.dead = {2}
    site.run(10)
    results = site.run(600)
    for name in ("i1", "i3", "i4"):
        times = [r.at_mono for r in results if r.instrument == name]
        gaps = [b - a for a, b in itertools.pairwise(times)]
        assert max(gaps) <= 5.5, "10 % of 5 s"
        assert min(gaps) >= 4.5


def test_slave_that_comes_back_is_polled_in_every_slot_again() -> None:
    site = Site(3)
    site.dead = {3}
    site.run(300)
    site.dead = set()
    site.run(70)
    assert len(slots_of(site.run(60), "i3")) == 12


def test_slots_that_nobody_had_time_for_are_skipped_and_counted() -> None:
    site = Site(1)
    site.run(10)
    site.time.now += 23
    results = site.run(1)
    assert len(results) == 1
    assert site.poller.state().instruments["i1"].missed == 4
    assert results[0].slot_ms == site.time.wall_ms() // SLOT_MS * SLOT_MS


def test_clock_set_back_a_little_polls_no_slot_twice() -> None:
    site = Site(2)
    first = site.run(60)
    site.time.step_wall(-3_000)
    slots = Counter((r.instrument, r.slot_ms) for r in first + site.run(60))
    assert set(slots.values()) == {1}


def test_clock_set_back_by_hours_goes_on_polling() -> None:
    site = Site(1)
    site.run(60)
    site.time.step_wall(-5 * 3_600_000)
    assert len(slots_of(site.run(60), "i1")) == 12


def test_lost_port_is_closed_at_once_and_opened_again_with_back_off() -> None:
    site = Site(2)
    site.run(20)
    site.ports[0].lost = True
    site.port_missing = True
    results = site.run(100)
    assert site.ports[0].closed
    assert all(isinstance(r.error, PortLost) and not r.readings for r in results if r.at_mono > 1025)
    assert len(results) == 40, "each slot says why it is empty"
    assert 10 <= site.tried <= 14, "1, 2, 4, 8, 10, 10 … s"
    site.port_missing = False
    site.run(11)
    assert len(slots_of(site.run(60), "i1")) == 12
    state = site.poller.state()
    assert (state.open, state.opened, state.lost, state.error) == (True, 2, 1, None)


def test_port_that_was_never_there_is_opened_when_it_appears() -> None:
    site = Site(1)
    site.port_missing = True
    site.run(60)
    assert not site.poller.state().open
    site.port_missing = False
    site.run(11)
    assert slots_of(site.run(20), "i1")


def test_late_answer_still_expected_postpones_the_poll_instead_of_holding_the_line() -> None:
    """A time-out of 4 s leaves the request open for 12 s: the silent one waits, its neighbour does not."""
    site = Site(2, timeout_s=4.0)
    site.run(30)
    site.dead = {1}
    results = site.run(300)
    times = [r.at_mono for r in results if r.instrument == "i2"]
    assert max(b - a for a, b in itertools.pairwise(times)) < 15
    asked = [at for at, data in site.ports[0].written if data[0] == 1][-4:]
    assert min(b - a for a, b in itertools.pairwise(asked)) >= 12


def test_part_of_a_pass_comes_with_the_error_of_the_rest() -> None:
    class Half:
        name = "half"
        PointOptions = InstrumentOptions = object

        def __init__(self, spec: InstrumentSpec) -> None: ...

        def read(self, bus: Bus) -> list[Reading]:
            driver = Site.driver(1)
            readings = driver.read(bus)
            site.dead = {1}
            try:
                driver.read(bus)
            except DeviceSilent:
                return readings
            return []

    site = Site(0)
    instrument = LineInstrument("half", Half(InstrumentSpec("half", 1, [])))
    poller = Poller(LineSettings("v"), [instrument], site.results.append, site.time, site.time.mono_s, site.open)
    poller.step()
    [result] = site.results
    assert result.readings
    assert isinstance(result.error, DeviceSilent)


def test_line_tells_who_is_silent_and_when_it_tries_again() -> None:
    site = Site(2)
    site.run(20)
    site.dead = {2}
    site.run(10)
    early = site.poller.state().breakers
    assert (early["i1"].state, early["i1"].failures, early["i1"].next_probe_ms) == ("answers", 0, None)
    assert early["i2"].state == "silent"
    site.run(290)
    late = site.poller.state().breakers["i2"]
    assert late.state == "thin"
    assert late.next_probe_ms is not None
    began = site.time.now
    site.run((late.next_probe_ms - site.time.wall_ms()) / 1000 + 5.1)
    assert [data[0] for at, data in site.ports[0].written if at >= began].count(2) == 1
    site.dead = set()
    site.run(70)
    assert site.poller.state().breakers["i2"].state == "answers"


def test_last_instrument_of_a_line_that_has_too_much_to_do_has_its_turn() -> None:
    """12 slaves at 0.5 s and 20 ms and 17 characters each take 0.57 s."""
    site = Site(12, every_ms=500)
    polls = Counter(result.instrument for result in site.run(300)[12:])
    assert max(polls.values()) - min(polls.values()) <= 2


def test_one_that_comes_back_brings_the_next_probe_of_the_others() -> None:
    site = Site(3)
    site.run(20)
    site.dead = {1, 2, 3}
    site.run(300)
    site.dead = set()
    first = next(result for result in iter(lambda: site.run(1), None) for result in result if result.readings)
    results = site.run(6)
    assert {first.instrument} | {result.instrument for result in results if result.readings} == {"i1", "i2", "i3"}


def test_earliest_end_of_slot_goes_first() -> None:
    slow, quick = Turn(0, 60_000, 1.0, failures=0), Turn(1, 5_000, 1.0, failures=0)
    schedule = Schedule([slow, quick])
    picked = schedule.pick(1_000, 0.0)
    assert picked is quick
    quick.polled(0)
    assert schedule.pick(1_000, 0.0) is slow
    slow.polled(0)
    assert schedule.pick(1_000, 0.0) is None
    assert schedule.wait_s(1_000, 0.0) == 4.0


def test_probe_waits_for_room_before_the_others_next_slot() -> None:
    live, dead = Turn(0, 5_000, 1.0, failures=0), Turn(1, 5_000, 1.0, failures=3)
    schedule = Schedule([live, dead])
    live.polled(0)
    assert schedule.pick(4_500, 0.0) is None
    assert schedule.wait_s(4_500, 0.0) == 0.5
    assert schedule.pick(3_900, 0.0) is dead
