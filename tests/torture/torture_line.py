"""Sick lines: whatever the wire and the slaves do, no value is another's, and the line is back when they are.

line-faults        every fault there is on 20 % of the answers, in virtual time, with jobs between the polls
line-dead-slaves   one to three dead slaves of eight: the others keep their cadence
"""

from __future__ import annotations

import itertools
import time

from drivers.errors import PortLost
from drivers.jobs import JobQueue
from drivers.poller import LineInstrument, Poller, PollResult
from drivers.port import LineSettings
from tests.torture.faulty_wire import Faults, Pieces, VirtualClock, Wire
from tests.torture.line_worlds import SLAVES, World, world_of
from tests.torture.rig import Outcome, Rig

# Modbus RTU is what nearly all instruments speak
SHARES = {
    "modbus-rtu": 0.70, "modbus-ascii": 0.06, "modbus-tcp": 0.06, "dlt645": 0.06, "cjt188": 0.04, "adam": 0.04,
    "text": 0.04,
}  # fmt: skip
TIMEOUT_S, EVERY_MS = 0.5, 2_000
BAUDS = {"modbus-ascii": 19_200, "modbus-tcp": 1_000_000}
"""9600 elsewhere. At 9600, Modbus ASCII needs 2.9 s for a pass of eight slaves, more than there is."""
EPISODE = 10_000
"""Exchanges with faults, after which the line has to recover."""
RECOVERY_S = 5.0
JOB_SHARE = 0.05


class Site:
    """A world's instruments on one line, with faults."""

    def __init__(self, kind: str, rig: Rig, case: object) -> None:
        dice = rig.random(f"{kind} {case}")
        self.clock = VirtualClock()
        self.world: World = world_of(kind, self.clock, dice)
        self.faults = Faults(dice, TIMEOUT_S, self.world.stranger, self.world.kinds)
        self._dice = dice
        self._jobs = JobQueue(kind, self.clock.mono_s)
        self._began_s = 0.0
        self.whole: dict[str, float] = {}
        """When an instrument last gave all its points: the begin of that poll."""
        self._points = len(self.world.drivers)
        self._wire = Wire(self.clock, self._answer, BAUDS.get(kind, 9600), stream=kind == "modbus-tcp")
        instruments = [LineInstrument(name, driver, EVERY_MS, TIMEOUT_S) for name, driver in self.world.drivers.items()]
        settings, mono = LineSettings("virtual"), self.clock.mono_s
        self.poller = Poller(settings, instruments, self._judge, self.clock, mono, lambda: self._wire, self._jobs)

    def _answer(self, request: bytes, end_s: float) -> Pieces:
        answer = self.world.answer(request, end_s)
        return self.faults.spoil(request, answer) if answer else []

    def _judge(self, result: PollResult) -> None:
        for reading in result.readings:
            self.world.judge(result.instrument, reading, self._began_s, self.clock.now)
        if result.readings and result.error is None:
            self.whole[result.instrument] = self._began_s

    def step(self) -> None:
        """One step of the line, and now and then a job for it."""
        if self._dice.random() < JOB_SHARE:
            name = self._dice.choice(tuple(self.world.drivers))
            job = self.world.job(name)
            if job is not None:
                self._jobs.submit(name, job)
        self._began_s = self.clock.now
        pause_s = self.poller.step()  # which takes time of its own
        self.clock.now += pause_s

    @property
    def asked(self) -> int:
        return sum(one.asked for one in self.poller.state().instruments.values())

    def recover(self) -> float:
        """Seconds from the end of the faults until every instrument has given all its values again."""
        share, self.faults.share = self.faults.share, 0.0
        began_s = max(self.clock.now, self._wire.stuck_until)
        while self.clock.now < began_s + 120 and len([at for at in self.whole.values() if at >= began_s]) < len(SLAVES):
            self.step()
        self.faults.share = share
        return self.clock.now - began_s


def line_faults(rig: Rig) -> Outcome:
    """0 wrong values; recovery within RECOVERY_S."""
    outcome, total = Outcome(), rig.count(200_000, 5_000_000)
    passed, recoveries, late, faults = 0, [], 0, 0
    for kind, share in SHARES.items():
        began, done, case, right, wrong = time.monotonic(), 0, 0, 0, 0
        while done < total * share:
            case += 1
            site = Site(kind, rig, case)
            while site.asked < min(EPISODE, total * share - done):
                for _ in range(50):
                    site.step()
            done += site.asked
            tally = site.world.tally
            right, wrong, passed = right + tally.right, wrong + tally.wrong, passed + tally.passed
            late += sum(one.late for one in site.poller.state().instruments.values())
            faults += sum(site.faults.count.values())
            if tally.wrong:
                outcome.fail(f"{kind}, episode {case}: {tally.wrong} wrong values")
            recoveries.append(site.recover())
            if recoveries[-1] > RECOVERY_S:
                outcome.fail(f"{kind}, episode {case}: recovered after {recoveries[-1]:.1f} s")
        outcome.cases += done
        outcome.corrupt += wrong
        if not right:
            outcome.fail(f"{kind}: no value at all")
        outcome.figures[f"{kind} exchanges"] = done
        outcome.figures[f"{kind} values accepted"] = right
        outcome.figures[f"{kind} µs an exchange"] = round((time.monotonic() - began) / done * 1e6)
    outcome.figures["faults"] = faults
    outcome.figures["late answers thrown away"] = late
    outcome.figures["values of damage that left check code, address and length right"] = passed
    outcome.figures["longest recovery, s"] = round(max(recoveries), 2)
    return outcome


class CalmSite:
    """Eight slaves by Modbus RTU with the default manners; those in `dead` do not answer."""

    def __init__(self, rig: Rig, case: object) -> None:
        self.clock = VirtualClock()
        self.world = world_of("modbus-rtu", self.clock, rig.random(case))
        self.dead: set[int] = set()
        self.results: list[PollResult] = []
        instruments = [LineInstrument(name, driver) for name, driver in self.world.drivers.items()]
        settings, mono = LineSettings("virtual"), self.clock.mono_s
        self.poller = Poller(settings, instruments, self.results.append, self.clock, mono, self.open)
        self.missing = False

    def open(self) -> Wire:
        if self.missing:
            raise PortLost("drivers.port-lost", port="virtual", reason="unplugged")
        return Wire(self.clock, self._answer)

    def _answer(self, request: bytes, end_s: float) -> Pieces:
        return [] if request[0] in self.dead else [(0.01, self.world.answer(request, end_s))]

    def run(self, seconds: float) -> list[PollResult]:
        """What the line brings in so much time."""
        self.results.clear()
        until_s = self.clock.now + seconds
        while self.clock.now < until_s:
            pause_s = self.poller.step()
            self.clock.now += pause_s
        return list(self.results)


SLOT_S = 5.0
DYING_S = 35.0
"""Until then the line tries each of those that died with all retries, and a few times more."""


def _gaps(results: list[PollResult], name: str) -> list[float]:
    times = [one.at_mono for one in results if one.instrument == name and one.readings]
    return [later - sooner for sooner, later in itertools.pairwise(times)]


def line_dead_slaves(rig: Rig) -> Outcome:
    """Every choice of one to three dead slaves of eight: the others' cadence stays within 10 %."""
    outcome, worst, dying = Outcome(), 0.0, 0.0
    minutes = rig.count(5, 24 * 60)
    for count in (1, 2, 3):
        for dead in itertools.combinations(SLAVES, count):
            site = CalmSite(rig, dead)
            site.run(30)
            site.dead = set(dead)
            alive = [f"s{slave}" for slave in SLAVES if slave not in dead]
            results = site.run(DYING_S)
            dying = max(dying, *(gap for name in alive for gap in _gaps(results, name)))
            results = site.run(minutes * 60)
            for name in alive:
                gaps = _gaps(results, name)
                outcome.lost += max(0, int(minutes * 60 / SLOT_S) - 2 - len(gaps))
                worst = max(worst, *(abs(gap - SLOT_S) for gap in gaps))
            outcome.cases += 1
            if worst > SLOT_S / 10:
                outcome.fail(f"dead {dead}: a poll {worst:.2f} s off its cadence of {SLOT_S:g} s")
    outcome.figures["worst deviation of a living slave, s"] = round(worst, 3)
    outcome.figures["longest pause while they die, s"] = round(dying, 2)
    return outcome


TESTS = {"line-faults": line_faults, "line-dead-slaves": line_dead_slaves}
