"""The site's alarms: limits in units, what is told, kept and done, and what a restart makes of them."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from config.alarms import AlarmRules
from config.site import GasRules, General, Instrument, Outlet, Point, Site
from edge.actions import ActionResult
from edge.alarms import Alarms, watched_at
from edge.measure.engine import Engine
from edge.measure.rules import factor_rules
from edge.measure.statistics import Live
from edge.store import alarms as alarm_store
from edge.store import journal, retention
from edge.store.database import RECORDS, open_database
from edge.values import DAY_MS, SLOT_MS, Sample

sys.path.insert(0, str(Path(__file__).parents[1]))
from virtual_time import NOON, InlineStore, VirtualClock, run

KEEP = "sampler/keep-sample"


def site(*points: Point, gas: bool = False, **alarms: AlarmRules) -> Site:
    kind: Any = "gas" if gas else "water"
    outlet = Outlet(name="x", st="31" if gas else "32", statistics=kind, alarms=alarms, gas=GasRules(o2_reference=6.0))
    instruments = {"i": Instrument(line="l", driver="modbus", points=points)}
    return Site(site=General(name="x"), outlets={"o": outlet}, instruments=instruments)


def point(factor: str, **keys: Any) -> Point:
    return Point(factor=factor, outlet="o", **keys)


class Sampler:
    """What `Actions` is to the alarms."""

    def __init__(self, result: ActionResult | None = None) -> None:
        self.done: list[tuple[str, str]] = []
        self.result = result or ActionResult("done", {"VaseNo": "5"})

    async def run_at(self, instrument: str, action: str) -> ActionResult:
        self.done.append((instrument, action))
        return self.result


class Logger:
    """The alarms of a site on a store, with everything that they tell."""

    def __init__(self, folder: Path, place: Site, sampler: Sampler | None = None) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.clock = VirtualClock()
        self.store = InlineStore(folder)
        self.sampler = sampler or Sampler()
        tell: Callable[[str, dict[str, Any]], None] = lambda code, params: self.events.append((code, params))  # noqa: E731 - one line
        parts: tuple[Any, ...] = (place, self.sampler, self.store, self.clock, tell)
        self.alarms = Alarms(*parts)
        self.engine = Engine(place.outlets["o"], "o", factor_rules(place, "o"))

    def see(self, slot: int, factor: str, value: float | None, zs: float | None = None) -> None:
        sample = Sample(NOON + slot * SLOT_MS, "o", factor, value, "N")
        self.alarms.see(self.engine, [Live(sample, zs)])

    def keep(self) -> None:
        self.store.now(alarm_store.keep, self.alarms.pending)
        self.alarms.pending.clear()

    def codes(self) -> list[str]:
        return [code for code, _ in self.events]


@pytest.mark.parametrize(
    ("one", "limit", "warn"),
    [
        (point("w20111", unit="mg/L", limit=0.05, warn=0.04), 50.0, 40.0),  # the factor's unit is µg/L
        (point("w01018", limit=40.0), 40.0, None),
        (point("a21026", unit="ppm", limit=35.0), 35.0, None),  # a permit is in mg/m³
    ],
)
def test_limits_of_a_point_are_in_its_unit(one: Point, limit: float, warn: float | None) -> None:
    (watched,) = watched_at(site(one, gas=one.factor.startswith("a")), "o")
    assert watched.rules.limit == pytest.approx(limit)
    assert watched.rules.warn == (None if warn is None else pytest.approx(warn))


def test_table_of_the_outlet_comes_before_the_point_and_takes_its_limits_where_it_has_none() -> None:
    place = site(point("w01018", limit=40.0, warn=30.0), w01018=AlarmRules(limit=50.0, jump=10.0))
    (watched,) = watched_at(place, "o")
    assert (watched.rules.limit, watched.rules.warn, watched.rules.jump) == (50.0, 30.0, 10.0)


def test_limit_may_stand_at_the_point_of_the_converted_value() -> None:
    place = site(point("a21026"), point("a21026", quantity="zs", limit=35.0), gas=True)
    assert [(one.factor, one.rules.limit) for one in watched_at(place, "o")] == [("a21026", 35.0)]


def test_computed_factor_can_be_watched() -> None:
    place = site(point("a21003"), point("a21004"), gas=True, a21002=AlarmRules(limit=50.0))
    assert [(one.factor, one.rules.limit) for one in watched_at(place, "o")] == [("a21002", 50.0)]


def test_limit_of_flue_gas_is_for_the_converted_value(tmp_path: Path) -> None:
    async def main() -> None:
        logger = Logger(tmp_path, site(point("a21026", limit=35.0), gas=True))
        logger.see(0, "a21026", 30.0, 34.0)
        assert logger.events == []
        logger.see(1, "a21026", 30.0, 36.0)
        assert [params["value"] for _, params in logger.events] == ["36"]
        logger.see(2, "a21026", 99.0, None)  # above the oxygen limit there is no converted value
        assert logger.codes() == ["edge.alarm-began"]

    run(main())


def test_alarm_is_told_once_kept_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        place = site(point("w01018", limit=40.0), w01018=AlarmRules(clear=0))
        first = Logger(tmp_path, place)
        for slot in range(10):
            first.see(slot, "w01018", 41.0 + slot)
        first.keep()
        assert first.codes() == ["edge.alarm-began"]
        second = Logger(tmp_path, place)
        second.alarms.resume(second.store.now(alarm_store.still_open), NOON)
        assert [(one.kind, one.begin) for one in second.alarms.open()] == [("limit", NOON)]
        second.see(20, "w01018", 55.0)
        second.see(21, "w01018", 20.0)
        second.keep()
        assert second.codes() == ["edge.alarm-ended"]
        (kept,) = second.store.now(alarm_store.newest, 10)
        assert (kept.alarm.begin, kept.alarm.end, kept.alarm.peak) == (NOON, NOON + 21 * SLOT_MS, 55.0)

    run(main())


def test_alarm_of_a_factor_that_is_not_watched_any_more_ends_at_the_start(tmp_path: Path) -> None:
    async def main() -> None:
        first = Logger(tmp_path, site(point("w01018", limit=40.0)))
        first.see(0, "w01018", 41.0)
        first.keep()
        second = Logger(tmp_path, site(point("w01018", warn=30.0)))
        second.alarms.resume(second.store.now(alarm_store.still_open), NOON + DAY_MS)
        second.keep()
        assert second.store.now(alarm_store.still_open) == []
        assert second.alarms.open() == []

    run(main())


def acting(**rules: Any) -> Site:
    return site(point("w01018", limit=40.0), w01018=AlarmRules(on_alarm=KEEP, clear=0, **rules))


def test_alarm_has_a_sample_kept_once_in_its_time_and_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        logger = Logger(tmp_path, acting(again=3_600_000))
        async with asyncio.TaskGroup() as group:
            logger.alarms.start(group, lambda _part: None)
            for slot in range(0, 40, 2):  # an alarm every 10 s, for 200 s
                logger.see(slot, "w01018", 41.0)
                logger.see(slot + 1, "w01018", 20.0)
                await logger.clock.sleep(10)
            assert logger.sampler.done == [("sampler", "keep-sample")]
            await logger.clock.sleep(3_600)
            logger.see(2_000, "w01018", 41.0)
            await logger.clock.sleep(1)
            assert len(logger.sampler.done) == 2
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
        logger.keep()
        kept = logger.store.now(alarm_store.newest, 100)
        assert [one.action for one in kept if one.action] == [f"{KEEP} done 5"] * 2
        entries = logger.store.now(journal.entries, 10)
        assert [entry.action for entry in entries] == ["instrument.keep-sample"] * 2
        assert entries[0].detail["pol_id"] == "w01018"
        assert logger.codes().count("edge.alarm-acted") == 2

    run(main())


@pytest.mark.parametrize(("kinds", "done"), [(("limit",), 0), (("warn", "limit"), 1)])
def test_only_the_alarms_that_are_named_act(tmp_path: Path, kinds: tuple[str, ...], done: int) -> None:
    async def main() -> None:
        logger = Logger(tmp_path, acting(warn=30.0, act_on=kinds))
        async with asyncio.TaskGroup() as group:
            logger.alarms.start(group, lambda _part: None)
            logger.see(0, "w01018", 35.0)
            await logger.clock.sleep(1)
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
        assert len(logger.sampler.done) == done

    run(main())


def test_action_that_fails_ends_with_its_result_and_no_bottle(tmp_path: Path) -> None:
    async def main() -> None:
        logger = Logger(tmp_path, acting(), Sampler(ActionResult("timeout")))
        async with asyncio.TaskGroup() as group:
            logger.alarms.start(group, lambda _part: None)
            logger.see(0, "w01018", 41.0)
            await logger.clock.sleep(1)
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
        assert [one.action for one in logger.store.now(alarm_store.newest, 9)] == [f"{KEEP} timeout"]

    run(main())


# the store


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    made, _ = open_database(tmp_path, RECORDS, "20260922120000", lambda code, params: None)
    yield made
    made.close()


def test_retention_takes_old_alarms_that_have_ended_only(db: sqlite3.Connection) -> None:
    from config.site import Retention
    from edge.measure.alarms import Alarm

    old = NOON - 1_200 * DAY_MS
    rows = [
        Alarm("o", "w01018", "limit", old, old + 1, 50.0, 40.0),
        Alarm("o", "w01018", "warn", old, None, 50.0, 30.0),
        Alarm("o", "w01018", "limit", NOON - DAY_MS, NOON, 50.0, 40.0),
    ]
    alarm_store.keep(db, rows)
    while retention.sweep(db, NOON, Retention()):
        pass
    assert [(one.alarm.kind, one.alarm.begin) for one in alarm_store.newest(db, 9)] == [
        ("warn", old), ("limit", NOON - DAY_MS),
    ]  # fmt: skip
    assert [one.alarm.kind for one in alarm_store.newest(db, 9, is_open=True)] == ["warn"]
