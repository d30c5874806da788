"""Measuring, store and QNs while the wall clock is set: steps, a leap second, a boot in 1970, restarts in between.

A logger lives through real seconds; what the wall clock shows is real time plus the steps so far. Each value that the
instrument gives is another whole number, so that each sample and record can be traced back to its poll.
"""

from __future__ import annotations

import asyncio
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from config.site import Access, General, Instrument, Outlet, Platform, Point, Site
from drivers.driver import Reading
from drivers.line import PollResult
from drivers.schedule import Turn
from edge import measuring
from edge.actions import Actions
from edge.agenda import Agenda
from edge.alarms import Alarms
from edge.clock import plausible
from edge.measure.engine import Engine
from edge.measure.rules import factor_rules
from edge.store import records, samples
from edge.store.database import SAMPLES, open_database
from edge.uplink.build import Builder
from edge.uplink.terms import Terms
from edge.values import HOUR_MS, MINUTE_MS, SLOT_MS, Kind, Record, Sample, period_start

sys.path.insert(0, str(Path(__file__).parents[1]))
from virtual_time import InlineStore

START = 1_790_049_600_000 - 68 * MINUTE_MS
"""10:52:00 in Beijing."""
FACTORS = ("w01018", "w01001")
SITE = Site(
    site=General(name="x"),
    outlets={"o": Outlet(name="x", st="32", statistics="water")},
    instruments={
        "i": Instrument(line="l", driver="modbus", points=tuple(Point(factor=name, outlet="o") for name in FACTORS))
    },
    platforms={
        "city": Platform(
            edition="2017", address="h:1", outlets={"o": Access(mn="x" * 24, password="123456")}, minute=MINUTE_MS
        )
    },
)


class WallClock:
    """Real seconds since the start, and a wall clock that is `offset_ms` away from them."""

    speed = 1.0

    def __init__(self, start_ms: int) -> None:
        self.real_ms = 0
        self.offset_ms = start_ms

    def wall_ms(self) -> int:
        return self.real_ms + self.offset_ms

    def mono_s(self) -> float:
        return self.real_ms / 1000

    def set_wall(self, ms: int) -> None:
        self.offset_ms = ms - self.real_ms

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(f"nobody sleeps here: {seconds}")


class BothFiles(InlineStore):
    """records.db and samples.db; `sealed`: all labels that were handed over to be sealed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.samples_db, _ = open_database(folder, SAMPLES, "20260922120000", lambda code, params: None)
        weakref.finalize(self, self.samples_db.close)
        self.samples_db.execute("PRAGMA synchronous = OFF")
        self.sealed: list[tuple[Kind, str, int]] = []

    async def do(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if fn is measuring._seal_all:
            self.sealed += [(record.kind, record.factor, record.start) for record in args[0]]
        return self.now(fn, *args, **kwargs)

    async def do_samples(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return fn(self.samples_db, *args, **kwargs)


class Logger:
    """One data_dir, one instrument that answers each poll at once, and a daemon that may be killed."""

    def __init__(self, folder: Path, start_ms: int = START) -> None:
        self.clock = WallClock(start_ms)
        self.store = BothFiles(folder)
        self.given: dict[float, tuple[int, int]] = {}
        """Value → (real time of the poll, what the clock showed)."""
        self.shown: list[int] = []
        """What the clock showed at each look."""
        self.qns: list[str] = []
        self.boot()

    def boot(self) -> None:
        """As after SIGKILL: nothing but the files is left."""
        store: Any = self.store
        site, access = SITE.platforms["city"], SITE.platforms["city"].outlets["o"]
        terms = Terms("city", "o", "32", site, access)
        self.builder = Builder(terms, Engine(SITE.outlets["o"], "o", factor_rules(SITE, "o")), {})
        self.turn = Turn(0, SLOT_MS, 0.1)
        ignore: Callable[[str, dict[str, Any]], None] = lambda code, params: None  # noqa: E731 - one line
        actions = Actions(SITE, {}, self.clock)
        alarms = Alarms(SITE, actions, store, self.clock, ignore)
        parts = SITE, store, self.clock, Agenda([terms]), self.issue, ignore
        self.measuring = measuring.Measuring(*parts, {}, lambda name: None, alarms)

    def issue(self, ids: list[int]) -> None:
        """QN and bytes of what is due, as a session would before it sends them."""
        prepared, broken = self.store.now(self.builder.prepare, ids, 0, self.clock.wall_ms())
        assert not broken
        self.qns += [one.packet.qn for one in prepared]

    async def second(self, looks: int = 1) -> None:
        """A second passes."""
        for _ in range(looks):
            wall = self.clock.wall_ms()
            self.shown.append(wall)
            if self.turn.due(wall):
                self._poll(wall)
            await self.measuring._step()
            self.clock.real_ms += 1000 // looks

    def _poll(self, wall: int) -> None:
        slot, readings = self.turn.slot(wall), []
        self.turn.polled(slot)
        for factor in FACTORS:
            value = float(len(self.given) + 1)
            self.given[value] = self.clock.real_ms, wall
            readings.append(Reading(f"o/{factor}", value))
        self.measuring._take(PollResult("i", slot, tuple(readings), None, self.clock.mono_s()))

    async def until(self, real_s: int) -> None:
        while self.clock.real_ms < real_s * 1000:
            await self.second()

    async def past(self, wall_ms: int) -> None:
        while self.clock.wall_ms() <= wall_ms:
            await self.second()

    def step(self, by_ms: int) -> None:
        self.clock.offset_ms += by_ms

    # what is on disk

    def of(self, kind: Kind, factor: str = "w01018") -> dict[int, Record]:
        found = self.store.now(records.between, "o", kind, 0, 1 << 50, 1 << 20)
        return {record.start: record for record in found if record.factor == factor}

    def samples(self) -> list[Sample]:
        found: list[Sample] = samples.between(self.store.samples_db, 0, 1 << 50)
        return found


def check(logger: Logger, holes: set[int], first: int, last: int) -> None:
    """What must hold after any of it; `first`, `last`: the labels between which only `holes` may have no record."""
    assert len(logger.store.sealed) == len(set(logger.store.sealed)), "a label was sealed twice"
    minutes = logger.of(Kind.MINUTE)
    rows = logger.store.db.execute("SELECT count(*) FROM record WHERE revision = 0").fetchone()[0]
    assert rows == len(logger.store.sealed) == 2 * sum(len(logger.of(kind)) for kind in Kind)
    assert set(range(first, last + 1, MINUTE_MS)) - set(minutes) <= holes
    assert logger.qns == sorted(set(logger.qns))
    assert len(logger.qns) == sum(len(logger.of(kind)) for kind in Kind)  # each label was due once
    check_samples(logger)


def check_samples(logger: Logger) -> None:
    """Nothing is made up: each stored value is the instrument's, once, in the slot that the clock showed."""
    stored = logger.samples()
    assert len({sample.value for sample in stored}) == len(stored) > 0
    by_minute: dict[int, list[float]] = {}
    for sample in stored:
        assert sample.value in logger.given
        assert sample.mark == "N"
        _, wall = logger.given[sample.value]
        assert not plausible(wall) or sample.time == wall // SLOT_MS * SLOT_MS
        if sample.factor == "w01018":
            by_minute.setdefault(period_start(sample.time, MINUTE_MS), []).append(sample.value)
    for start, record in logger.of(Kind.MINUTE).items():
        values = by_minute.get(start, [])
        assert record.count <= len(values)
        assert not values or (record.min in values and record.max in values)
        assert record.count or record.mark == "B"


def check_hours(logger: Logger) -> None:
    """An hour is made of the minutes that are on disk, all of them: no clock came back into a sealed one."""
    minutes = logger.of(Kind.MINUTE)
    for start, hour in logger.of(Kind.HOUR).items():
        parts = [one for at, one in minutes.items() if start <= at < start + HOUR_MS and one.count]
        assert hour.count == len(parts), hour
        assert hour.avg == pytest.approx(sum(one.avg or 0.0 for one in parts) / len(parts), rel=1e-12)


PLACES = {"middle of a minute": 150, "edge of a minute": 180, "just after an edge": 181, "end of an hour": 478}
"""Real seconds after 10:52:00."""
STEPS = [sign * size for size in (1_000, 100_000, HOUR_MS) for sign in (1, -1)]


@pytest.mark.parametrize("restart", [None, 0, 90], ids=["no restart", "restart at the step", "restart later"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("by", STEPS)
def test_clock_step_seals_no_label_twice_and_makes_no_hole_but_itself(
    tmp_path: Path, by: int, place: str, restart: int | None
) -> None:
    async def main() -> None:
        logger = Logger(tmp_path)
        at = PLACES[place]
        await logger.until(at)
        before = logger.clock.wall_ms()
        logger.step(by)
        after = logger.clock.wall_ms()
        if restart is not None:
            await logger.until(at + restart)
            logger.boot()
        await logger.past(max(before, after) + 3 * MINUTE_MS)
        await logger.past(period_start(logger.clock.wall_ms(), MINUTE_MS) + MINUTE_MS + 3_000)
        last = period_start(logger.clock.wall_ms(), MINUTE_MS) - MINUTE_MS
        within = range(period_start(before, MINUTE_MS), after, MINUTE_MS) if by > 0 else ()
        check(logger, set(within), START, last)
        check_hours(logger)

    asyncio.run(main())


@pytest.mark.parametrize("by", [HOUR_MS, 8 * HOUR_MS, 400 * 24 * HOUR_MS])
def test_clock_that_was_wrong_across_a_restart_and_is_set_right_leaves_no_hole(tmp_path: Path, by: int) -> None:
    """As a clock chip in local time does: hours ahead, through a restart, until the network sets it right."""

    async def main() -> None:
        logger = Logger(tmp_path)
        await logger.until(180)
        logger.step(by)
        await logger.until(400)
        logger.boot()
        await logger.until(500)
        logger.step(-by)
        right = logger.clock.wall_ms()
        await logger.past(right + 4 * MINUTE_MS)
        await logger.past(period_start(logger.clock.wall_ms(), MINUTE_MS) + MINUTE_MS + 3_000)
        last = period_start(logger.clock.wall_ms(), MINUTE_MS) - MINUTE_MS
        wrong = set(range(START + 180_000, right, MINUTE_MS))
        check(logger, wrong, START, last)

    asyncio.run(main())


@pytest.mark.parametrize("way", ["repeats", "stretches"])
@pytest.mark.parametrize("restart", [False, True])
def test_leap_second_at_the_edge_of_an_hour_leaves_no_trace(tmp_path: Path, way: str, restart: bool) -> None:
    """23:59:60 UTC is 08:00 in Beijing: 23:59:59 comes twice (POSIX), or the last seconds are longer."""

    async def main() -> None:
        edge = START - 172 * MINUTE_MS
        assert edge % HOUR_MS == 0
        logger = Logger(tmp_path, edge - 5 * MINUTE_MS)
        await logger.past(edge - 11_000)
        if way == "repeats":
            await logger.past(edge - 1_000)
            assert logger.clock.wall_ms() == edge
            logger.step(-1_000)
        else:
            for _ in range(20):  # 1 s of wall clock in 20 parts too little
                await logger.second(looks=2)
                logger.step(-50)
        if restart:
            logger.boot()
        await logger.past(edge + 4 * MINUTE_MS + 3_000)
        check(logger, set(), edge - 5 * MINUTE_MS, edge + 3 * MINUTE_MS)
        check_hours(logger)
        assert all(one.count == 12 for one in logger.of(Kind.MINUTE).values())
        assert set(logger.of(Kind.HOUR)) == {edge - HOUR_MS}

    asyncio.run(main())


@pytest.mark.parametrize("has_history", [False, True])
@pytest.mark.parametrize("restart", [False, True])
def test_boot_in_1970_labels_by_real_time_once_the_clock_is_right(
    tmp_path: Path, has_history: bool, restart: bool
) -> None:
    async def main() -> None:
        logger = Logger(tmp_path, START if has_history else 17_000)
        true_offset = START
        if has_history:
            await logger.until(183)
            logger.boot()
            logger.clock.set_wall(17_000)
        booted = logger.clock.real_ms
        sealed = len(logger.store.sealed)
        await logger.until(booted // 1000 + 200)
        assert len(logger.store.sealed) == sealed
        assert all(plausible(one.time) for one in logger.samples())
        logger.clock.offset_ms = true_offset
        await logger.until(booted // 1000 + 290)
        if restart:
            logger.boot()
        await logger.past(START + 9 * MINUTE_MS + 3_000)
        first = START if has_history else START + booted
        check(logger, set(), first, START + 8 * MINUTE_MS)
        check_hours(logger)
        for sample in logger.samples():
            real, _ = logger.given[sample.value or 0.0]
            assert abs(sample.time - START - real) <= SLOT_MS

    asyncio.run(main())
