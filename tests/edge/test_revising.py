"""Marks that come later: what is sealed gets revisions with the same values, whatever happens in between.

The oracle is an engine that had all marks from the beginning: the newest marks of minutes, hours and days must be
its marks. (How marks count within a minute is checked in tests/edge/measure against a slow reference.)
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from config.site import Access, GasRules, General, Instrument, Outlet, Platform, Point, Retention, Site
from config.switches import Derived
from edge.measure.derived import DerivedPoints
from edge.measure.engine import Engine
from edge.measure.rules import factor_rules
from edge.revising import Reviser, changed_spans, manual_marks
from edge.store import marks, outbox, records, samples
from edge.store.delivery import Due
from edge.store.marks import By, Entry, Mark, Work
from edge.store.store import Store
from edge.values import DAY_MS, HOUR_MS, MINUTE_MS, Kind, Record, Sample, period_start

DAY = 1_763_740_800_000
"""2025-11-22 00:00 Beijing."""
BEGIN, MINUTES, EVERY = DAY + 22 * HOUR_MS + 30 * MINUTE_MS, 130, 30_000
"""Half past ten until twenty to one: two hours and a day end."""
ME = By("user:me", "张三", DAY)
WATER = ("w00000", "w01018", "w01001")
GAS = ("a00000", "a21026", "a19001")


def site_of(kind: str, **platform: Any) -> Site:
    factors = WATER if kind == "water" else GAS
    points = tuple(Point(factor=factor, outlet="o") for factor in factors)
    gas = GasRules(o2_reference=6.0, hour_minutes=20, day_hours=1, normal_share=0.5)
    derived = (Derived(factor="w01017", formula="w01018 * 0.5"),) if kind == "water" else ()
    city = Platform(edition="2017", address="h:1", outlets={"o": Access(mn="x", password="123456")}, **platform)
    return Site(
        site=General(name="x"),
        outlets={"o": Outlet(name="x", st="32", statistics=kind, gas=gas, derived=derived)},  # type: ignore[arg-type]
        instruments={"i": Instrument(line="l", driver="modbus", points=points, every=EVERY)},
        platforms={"city": city},
    )


class Broken(Exception):
    """The process ended here."""


@dataclass
class Logger:
    """Engine and store of one outlet, fed minute by minute."""

    site: Site
    store: Store
    stream: list[Sample]
    engine: Engine = field(init=False)
    offered: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine = self.fresh()
        self.derived = DerivedPoints(self.site)

    def fresh(self) -> Engine:
        return Engine(self.site.outlets["o"], "o", factor_rules(self.site, "o"))

    def call(self, fn: Callable[..., Any], *args: Any) -> Any:
        return self.store.call(fn, *args).result()

    def minute(self, number: int, dues: bool = False) -> None:
        start = BEGIN + number * MINUTE_MS
        found = [one for one in self.stream if start <= one.time < start + MINUTE_MS]
        for one in found:
            self.store.call_samples(samples.append, one.time, [one]).result()
        self.engine.tick(start)
        self.engine.add(found)
        sealed = self.engine.tick(start + MINUTE_MS - 1, complete_until_ms=start + MINUTE_MS)
        due = [Due("city", "o", "2051", start, end=start + MINUTE_MS)] if dues else []
        self.call(records.seal, sealed, due, start)

    def say(self, change: Callable[[Any], Entry]) -> Entry:
        entry: Entry = self.call(change)
        self.take_effect()
        return entry

    def take_effect(self) -> None:
        found = self.call(marks.in_force, 0, 1 << 60)
        states = [entry.state for entry in found]
        self.engine.manual = manual_marks(self.site.outlets["o"], "o", self.derived, states)

    async def revise(self, store: Any = None) -> None:
        reviser = Reviser(
            self.site,
            store or self.store,
            lambda: BEGIN,
            lambda code, params: None,
            {"o": self.engine},
            self.offered.extend,
        )
        await reviser.work()

    def restart(self, now: int) -> None:
        last = self.call(records.last_start, "o", Kind.MINUTE)
        until = last + MINUTE_MS
        self.engine = self.fresh()
        from_sample, from_minute, from_hour = self.engine.reach(until)
        stored = self.store.call_samples(samples.between, from_sample, now).result()
        self.engine.resume(
            stored,
            records.newest(self.call(records.between, "o", Kind.MINUTE, from_minute, now, 10_000)),
            records.newest(self.call(records.between, "o", Kind.HOUR, from_hour, now, 10_000)),
            until,
            self.call(records.between, "o", Kind.DAY, period_start(until - 1, DAY_MS), now, 10_000),
        )
        self.take_effect()

    def all_records(self) -> list[Record]:
        spans = [(kind, DAY, DAY + 2 * DAY_MS) for kind in Kind]
        return [one for kind, begin, end in spans for one in self.call(records.between, "o", kind, begin, end, 100_000)]


def random_stream(dice: random.Random, site: Site) -> list[Sample]:
    names = [point.factor for point in site.instruments["i"].points]
    found = []
    for name in names:
        for time in range(BEGIN, BEGIN + MINUTES * MINUTE_MS, EVERY):
            if dice.random() < 0.95:
                mark = dice.choice("TDB") if dice.random() < 0.03 else "N"
                found.append(Sample(time, "o", name, None if mark == "B" else round(dice.uniform(5, 15), 2), mark))
    found.sort(key=lambda one: one.time)
    return found + DerivedPoints(site).accept(found)


@pytest.fixture
def open_logger(tmp_path: Path) -> Iterator[Callable[..., Logger]]:
    made: list[Logger] = []

    def open_one(site: Site, stream: list[Sample]) -> Logger:
        store = Store(tmp_path / f"data{len(made)}", retention=Retention(), on_event=lambda code, params: None)
        store.call(lambda db: db.execute("SELECT 1").fetchone()).result()
        made.append(Logger(site, store, stream))
        return made[-1]

    yield open_one
    for one in made:
        one.store.close()


def random_change(dice: random.Random, logger: Logger, now: int) -> Callable[[Any], Entry]:
    """A new mark, or another state of one that is there."""
    known = [entry for entry in logger.call(marks.in_force, 0, 1 << 60) if not entry.state.withdrawn]
    begin = now - dice.randrange(-300, 5_000) * 1000
    end = None if dice.random() < 0.3 else begin + dice.randrange(1, 6_000) * 1000
    names = [*factor_rules(logger.site, "o")]
    points = ("o",) if dice.random() < 0.3 else (f"o/{dice.choice(names)}",)
    state = Mark(kind="mark", points=points, begin=begin, end=end, mark=dice.choice("MCDFT"), reason="r")
    if not known or dice.random() < 0.5:
        return lambda db: marks.add(db, state, ME)
    one = dice.choice(known)
    moved = dice.choice(
        [
            replace(one.state, begin=begin, end=end),
            replace(one.state, end=max(now, one.state.begin + 1)),
            state,
            replace(one.state, withdrawn=True),
        ]
    )
    action = "withdraw" if moved.withdrawn else "correct"
    return lambda db: marks.change(db, one.number, action, moved, ME)


def check(logger: Logger) -> int:
    """Values never changed, revisions are whole, marks are those of a logger that knew all from the beginning."""
    found = logger.all_records()
    first = {(one.kind, one.start, one.factor): one for one in found if one.revision == 0}
    for one in found:
        sealed = first[one.kind, one.start, one.factor]
        assert replace(one, revision=0, mark=sealed.mark, count=sealed.count) == sealed
    for key in first:
        history = [one for one in found if (one.kind, one.start, one.factor) == key]
        assert [one.revision for one in history] == list(range(len(history)))
        assert all(earlier.mark != later.mark for earlier, later in pairwise(history))
    knowing = logger.fresh()
    states = [entry.state for entry in logger.call(marks.in_force, 0, 1 << 60)]
    knowing.manual = manual_marks(logger.site.outlets["o"], "o", logger.derived, states)
    expected: list[Record] = []
    for number in range(MINUTES):
        start = BEGIN + number * MINUTE_MS
        knowing.tick(start)
        knowing.add(one for one in logger.stream if start <= one.time < start + MINUTE_MS)
        expected += knowing.tick(start + MINUTE_MS - 1, complete_until_ms=start + MINUTE_MS)
    newest = {(one.kind, one.start, one.factor): one.mark for one in records.newest(found)}
    assert newest == {(one.kind, one.start, one.factor): one.mark for one in expected}
    return len(found) - len(first)


@pytest.mark.parametrize("seed", range(12))
async def test_the_newest_marks_are_those_of_a_logger_that_knew_all_marks_from_the_beginning(
    open_logger: Callable[..., Logger], seed: int
) -> None:
    dice = random.Random(seed)
    site = site_of("gas" if seed % 2 else "water")
    logger = open_logger(site, random_stream(dice, site))
    changes = sorted(dice.sample(range(5, MINUTES), 6))
    for number in range(MINUTES):
        logger.minute(number)
        now = BEGIN + (number + 1) * MINUTE_MS
        if number in changes:
            logger.say(random_change(dice, logger, now))
            if dice.random() < 0.6:
                await logger.revise()
        if dice.random() < 0.05:
            logger.restart(now)
    await logger.revise()
    revised = check(logger)
    await logger.revise()
    assert check(logger) == revised > 0


class Dying:
    """A store whose process ends at one of its calls, before it or behind it."""

    def __init__(self, store: Store, at: int, behind: bool) -> None:
        self._store, self._left, self._behind = store, at, behind

    async def do(self, fn: Callable[..., Any], *args: Any) -> Any:
        self._left -= 1
        if self._left < 0 and not self._behind:
            raise Broken
        result = await self._store.do(fn, *args)
        if self._left < 0:
            raise Broken
        return result

    async def do_samples(self, fn: Callable[..., Any], *args: Any) -> Any:
        return await self._store.do_samples(fn, *args)


@pytest.mark.parametrize("behind", [False, True])
async def test_a_kill_anywhere_in_the_work_changes_nothing_in_the_end(
    open_logger: Callable[..., Logger], behind: bool
) -> None:
    dice = random.Random(1)
    site = site_of("water", revisions="marks")
    stream = random_stream(dice, site)
    undisturbed, killed = open_logger(site, stream), open_logger(site, stream)
    state = Mark(kind="mark", points=("o/w01018",), begin=BEGIN, end=BEGIN + 100 * MINUTE_MS, mark="M", reason="r")
    for logger in (undisturbed, killed):
        for number in range(MINUTES):
            logger.minute(number, dues=True)
        logger.say(lambda db: marks.add(db, state, ME))
        logger.say(lambda db: marks.change(db, 1, "correct", replace(state, end=BEGIN + 40 * MINUTE_MS), ME))
    await undisturbed.revise()
    deaths = 0
    while deaths < 300:
        try:
            await killed.revise(Dying(killed.store, deaths, behind))
        except Broken:
            deaths += 1
            killed.restart(BEGIN + MINUTES * MINUTE_MS)
            continue
        break
    assert deaths > 10
    assert killed.all_records() == undisturbed.all_records()
    assert check(killed) == check(undisturbed) > 40
    deliveries = [logger.call(_revision_deliveries) for logger in (killed, undisturbed)]
    assert deliveries[0] == deliveries[1]


def _revision_deliveries(db: Any) -> list[Any]:
    return db.execute(
        "SELECT start, cn, revision FROM delivery WHERE revision > 0 ORDER BY start, cn, revision"
    ).fetchall()


async def test_samples_that_are_no_longer_kept_count_with_the_mark_they_were_sealed_with(
    open_logger: Callable[..., Logger],
) -> None:
    site = site_of("water")
    stream = [Sample(t, "o", "w01001", 7.0, "N") for t in range(BEGIN, BEGIN + 3 * MINUTE_MS, EVERY)]
    logger = open_logger(site, stream)
    for number in range(3):
        logger.minute(number)
    logger.store.call_samples(lambda db: db.execute("DELETE FROM tick").rowcount).result()
    state = Mark(
        kind="mark", points=("o",), begin=BEGIN + MINUTE_MS, end=BEGIN + MINUTE_MS + 30_000, mark="D", reason="r"
    )
    logger.say(lambda db: marks.add(db, state, ME))
    await logger.revise()
    found = [one for one in logger.all_records() if one.factor == "w01001" and one.kind is Kind.MINUTE]
    # half of the second minute was marked: any one abnormal value marks it; six of its twelve slots are valid
    assert [(one.start - BEGIN, one.revision, one.mark, one.avg) for one in found] == [
        (0, 0, "N", 7.0), (MINUTE_MS, 0, "N", 7.0), (MINUTE_MS, 1, "D", 7.0), (2 * MINUTE_MS, 0, "N", 7.0),
    ]  # fmt: skip
    logger.say(lambda db: marks.change(db, 1, "withdraw", replace(state, withdrawn=True), ME))
    await logger.revise()
    found = [one for one in logger.all_records() if one.factor == "w01001" and one.start == BEGIN + MINUTE_MS]
    assert [(one.revision, one.mark) for one in found] == [(0, "N"), (1, "D"), (2, "N")]


@pytest.mark.parametrize(("wish", "count"), [("marks", 1), ("off", 0)])
async def test_a_revision_is_sent_again_only_where_the_platform_wants_it(
    open_logger: Callable[..., Logger], wish: str, count: int
) -> None:
    site = site_of("water", revisions=wish)
    stream = [Sample(t, "o", "w01001", 7.0, "N") for t in range(BEGIN, BEGIN + 2 * MINUTE_MS, EVERY)]
    logger = open_logger(site, stream)
    for number in range(2):
        logger.minute(number, dues=True)
    state = Mark(kind="mark", points=("o/w01001",), begin=BEGIN, end=BEGIN + MINUTE_MS, mark="M", reason="r")
    logger.say(lambda db: marks.add(db, state, ME))
    await logger.revise()
    again = [logger.call(outbox.by_id, number) for number in logger.offered]
    assert [(one.cn, one.start, one.end, one.revision) for one in again] == [
        ("2051", BEGIN, BEGIN + MINUTE_MS, 1)
    ] * count


async def test_a_mark_changes_nothing_of_what_the_site_files_rules_would_now_say(
    open_logger: Callable[..., Logger],
) -> None:
    """Sealed under the any-one rule as M; the file now says 50 %. Another factor's mark leaves that as it is."""
    site = site_of("water")
    stream = [
        Sample(t, "o", f, 7.0, "M" if f == "w01001" and not t % MINUTE_MS else "N")
        for t in range(BEGIN, BEGIN + MINUTE_MS, EVERY)
        for f in ("w01001", "w01018")
    ]
    logger = open_logger(site, stream)
    logger.minute(0)
    lenient = replace(site.outlets["o"], water=replace(site.outlets["o"].water, normal_share=0.5))
    logger.site = replace(site, outlets={"o": lenient})
    state = Mark(kind="mark", points=("o/w01018",), begin=BEGIN, end=None, mark="C", reason="r")
    logger.say(lambda db: marks.add(db, state, ME))
    await logger.revise()
    newest = {one.factor: (one.revision, one.mark) for one in records.newest(logger.all_records())}
    assert newest["w01001"] == (0, "M")
    assert newest["w01018"] == (1, "C")


def work(before: Mark | None, after: Mark) -> Work:
    return Work(Entry(2, 1, ME, "correct", after), before, 0)


def span(begin: int, end: int | None, mark: str | None = "M", **more: Any) -> Mark:
    return Mark(kind="mark", points=("o",), begin=begin, end=end, mark=mark, **more)


@pytest.mark.parametrize(
    ("before", "after", "touched", "left"),
    [
        (None, span(10, 20), [10, 19], [9, 20]),
        (span(10, 20), span(10, 30), [20, 29], [10, 19, 30]),
        (span(10, None), span(10, 30), [30, 10_000], [9, 10, 29]),
        (span(10, 20), span(40, 50), [10, 19, 40, 49], [9, 20, 39, 50]),
        (span(10, 30), span(20, 40), [10, 19, 30, 39], [20, 29, 40]),
        (span(10, 20), span(10, 20, "C"), [10, 19], [9, 20]),
        (span(10, 20), span(10, 20, withdrawn=True), [10, 19], [9, 20]),
        (span(10, 20, None), span(10, 20), [10, 19], [9, 20]),
        (None, span(10, 20, None), [], [10, 19]),
    ],
)
def test_only_the_time_of_which_something_else_is_said_is_looked_at(
    before: Mark | None, after: Mark, touched: list[int], left: list[int]
) -> None:
    spans = changed_spans(work(before, after))
    inside = [any(begin <= at < end for begin, end in spans) for at in (*touched, *left)]
    assert inside == [True] * len(touched) + [False] * len(left)


async def test_live_data_go_on_while_a_long_range_is_revised(open_logger: Callable[..., Logger]) -> None:
    site = site_of("water")
    logger = open_logger(site, random_stream(random.Random(3), site))
    for number in range(MINUTES):
        logger.minute(number)
    logger.say(lambda db: marks.add(db, span(BEGIN, None), ME))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.ensure_future(others())
    await logger.revise()
    other.cancel()
    assert turns > MINUTES
