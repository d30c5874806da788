"""Limits of edition 2005: when an alarm begins and ends, and that the platform is told of each once.

Mercury's limit is set in 2005's unit (mg/L) and watched in 2017's (µg/L).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual_time import NOON, Profile, ScriptedPlatform, World, virtual

from config.site import Retention
from edge.alarms2005 import Alarming
from edge.measure.statistics import Live
from edge.store import alarms2005 as alarms
from edge.store import retention
from edge.store.alarms2005 import Alarm
from edge.uplink.alarms2005 import Rules, Watch, limits, rules, setting_of
from edge.uplink.terms import DEFAULT_WARN_S
from edge.values import DAY_MS, Sample
from protocol.frame import wrap

COD, LIMITS = "w01018", {"w01018": ("0", "40")}
RULES = Rules(LIMITS, 10)
MN = "88888880000001"
HIGH, LOW = 61.44, 2.0


def sample(value: float | None, mark: str = "N", factor: str = COD) -> Sample:
    return Sample(NOON, "ww1", factor, value, mark)


def run(watch: Watch, *values: tuple[float | None, str], rules: Rules = RULES) -> list[tuple[int, bool]]:
    """(second, over) of what is news; the values come every 5 s and the disk takes everything."""
    found = []
    for number, (value, mark) in enumerate(values):
        news = watch.look([sample(value, mark)], rules, 5.0 * number, NOON + 5000 * number)
        watch.took(news)
        found += [(5 * number, alarm.over) for alarm in news]
    return found


OVER, UNDER, NOTHING = (41.0, "N"), (40.0, "N"), (None, "B")


@pytest.mark.parametrize(
    ("values", "news"),
    [
        ([OVER, OVER, OVER, OVER, UNDER, UNDER], [(10, True), (20, False)]),
        ([OVER, OVER, UNDER, OVER, OVER, OVER], [(25, True)]),
        ([OVER, OVER, NOTHING, OVER, OVER, UNDER], []),
        ([OVER, OVER, OVER, NOTHING, OVER, NOTHING, UNDER], [(10, True), (30, False)]),
        ([(41.0, "C"), (41.0, "D"), (41.0, "M"), (41.0, "F"), (41.0, "S")], []),
        ([(41.0, "T"), (41.0, "T"), (41.0, "T")], [(10, True)]),
        ([OVER, OVER, OVER, (0.0, "C"), (0.0, "D"), OVER], [(10, True)]),
        ([(-0.1, "N"), (-0.1, "N"), (-0.1, "N"), (0.0, "N")], [(10, True), (15, False)]),
        ([UNDER, UNDER], []),
    ],
)
def test_an_alarm_begins_after_warn_time_beyond_the_limit_and_ends_within_it(
    values: list[tuple[float | None, str]], news: list[tuple[int, bool]]
) -> None:
    assert run(Watch(()), *values) == news


def test_with_warn_time_0_the_first_value_is_an_alarm() -> None:
    assert run(Watch(()), OVER, UNDER, OVER, rules=Rules(LIMITS, 0)) == [(0, True), (5, False), (10, True)]


def test_what_the_disk_refused_is_said_again() -> None:
    watch = Watch(())
    for second in (0, 5, 10, 15):
        news = watch.look([sample(41.0)], RULES, second, NOON + second * 1000)
        assert len(news) == (second >= 10)
    watch.took(news)
    assert watch.look([sample(41.0)], RULES, 20, NOON + 20_000) == []


def test_an_alarm_that_stood_before_the_restart_is_not_begun_again_and_is_ended() -> None:
    assert run(Watch({COD}), OVER, OVER, OVER, UNDER) == [(15, False)]


def test_without_a_limit_nothing_is_an_alarm_and_one_that_stands_waits_for_its_limit() -> None:
    watch = Watch({COD})
    assert run(watch, OVER, UNDER, rules=Rules({}, 0)) == []
    assert run(watch, UNDER) == [(0, False)]


@given(st.lists(st.tuples(st.floats(0, 80) | st.none(), st.sampled_from("NTCDB"))), st.integers(0, 40))
def test_begin_and_end_take_turns_and_every_begin_was_beyond_for_so_long(
    values: list[tuple[float | None, str]], warn_s: int
) -> None:
    told = run(Watch(()), *values, rules=Rules(LIMITS, warn_s))
    assert [over for _, over in told] == [not number % 2 for number in range(len(told))]
    for second, over in told:
        last = values[second // 5]
        assert last[0] is not None
        assert (last[0] > 40.0) == over
        before = values[max(0, (second - warn_s) // 5 + (warn_s % 5 > 0)) : second // 5 + 1] if over else []
        assert all(value is not None and value > 40.0 and mark in "NT" for value, mark in before)


def test_settings_are_read_back_as_rules() -> None:
    kept = dict([setting_of(COD, "0", "40"), setting_of("w20111", "1", "50")])
    assert limits(kept | {"realtime": "60000"}) == {COD: ("0", "40"), "w20111": ("1", "50")}
    assert rules(kept | {"warn_time": "5"}).warn_s == 5
    assert rules({}) == Rules({}, DEFAULT_WARN_S)


# at the platform


class Station:
    """A logger whose outlet shows what the test says, with one platform of 2005 that has set a limit."""

    def __init__(self, folder: Path, profile: Profile | None = None, start_ms: int = NOON) -> None:
        self.world = World(folder, start_ms)
        self.city = ScriptedPlatform(profile, edition="2005")
        self.session = self.world.add(self.city, edition="2005", mn=MN)
        self.values = {"w20111": LOW, "w01018": LOW}
        parts = self.world.store, self.world.clock, self.live, self.world._event
        self.alarming = Alarming(*parts)  # type: ignore[arg-type]  # a store without a thread

    def live(self, outlet: str, now_ms: int) -> list[Live]:
        found = [replace(sample(value), factor=factor, time=now_ms) for factor, value in self.values.items()]
        return [Live(each) for each in found]

    async def set_limits(self) -> None:
        both = "020-LowValue=0,020-UpValue=0.05;011-LowValue=0,011-UpValue=40"
        for cn, cp in (("1001", "WarnTime=20"), ("1022", both)):
            await self.world.sleep(1)
            self.city.send(wrap(f"QN=20260922120000001;ST=32;CN={cn};PW=123456;MN={MN};Flag=2;CP=&&{cp}&&".encode()))
        await self.world.sleep(1)

    async def watch(self, seconds: int) -> None:
        for _ in range(seconds * 2):
            await self.alarming.look([self.session], self.world.clock.wall_ms())
            await self.world.sleep(0.5)

    def told(self, cn: str) -> list[str]:
        return [each.frame.decode().partition("CP=&&")[2][:-8] for each in self.city.of(cn)]


@virtual
async def test_begin_and_end_are_each_told_once_and_answered_and_the_record_goes_with_the_begin(tmp_path: Path) -> None:
    station = Station(tmp_path)
    await station.set_limits()
    await station.watch(10)
    station.values["w20111"] = HIGH
    await station.watch(60)
    station.values["w20111"] = LOW
    await station.watch(60)
    begin, end = station.told("2072")
    assert begin.endswith(";020-Ala=0.061,AlarmType=1")
    assert end.endswith(";020-Ala=0.002,AlarmType=0")
    # 3 s until the limits are set, 10 s of good values, at most 5 s to the next look, 20 s of WarnTime
    assert "AlarmTime=20260922120033" <= begin < "AlarmTime=20260922120039" < end
    (record,) = station.told("2071")
    assert record == begin.replace("AlarmTime", "DataTime").partition(",")[0]
    frame = station.city.of("2072")[0].frame.decode()
    assert frame.partition("CP=")[0].endswith(f";ST=32;CN=2072;PW=123456;MN={MN};Flag=1;")
    assert station.world.open_count() == 0
    assert {"edge.limit-passed", "edge.limit-kept"} <= set(station.world.codes())
    await station.world.stop()


@virtual
async def test_two_factors_at_one_moment_are_two_notices_and_one_record(tmp_path: Path) -> None:
    station = Station(tmp_path)
    await station.set_limits()
    station.values = {"w20111": HIGH, "w01018": 55.55}
    await station.watch(40)
    assert [each.partition(";")[2] for each in station.told("2072")] == [
        "020-Ala=0.061,AlarmType=1", "011-Ala=55.6,AlarmType=1",
    ]  # fmt: skip
    assert [each.partition(";")[2] for each in station.told("2071")] == ["020-Ala=0.061;011-Ala=55.6"]
    await station.world.stop()


@virtual
async def test_an_alarm_outlives_a_restart_and_its_notice_waits_for_its_answer(tmp_path: Path) -> None:
    station = Station(tmp_path, Profile(silent=True))
    await station.set_limits()
    station.values["w20111"] = HIGH
    await station.watch(40)
    assert len(station.told("2072")) >= 1
    await station.world.stop()
    again = Station(tmp_path, start_ms=NOON + 3_600_000)
    again.values["w20111"] = HIGH
    await again.watch(90)
    (begin,) = again.told("2072")  # the one of before: not begun a second time
    assert "AlarmTime=202609221200" in begin
    assert begin.endswith("020-Ala=0.061,AlarmType=1")
    again.values["w20111"] = LOW
    await again.watch(60)
    assert [each[-1] for each in again.told("2072")] == ["1", "0"]
    assert again.world.open_count() == 0
    await again.world.stop()


@virtual
async def test_an_alarm_that_the_disk_refused_is_told_when_it_takes_it(tmp_path: Path) -> None:
    station = Station(tmp_path)
    await station.set_limits()
    station.values["w20111"] = HIGH
    await station.watch(6)  # which alarms stand is known
    station.world.store.failing = True
    await station.watch(30)
    assert station.told("2072") == []
    station.world.store.failing = False
    await station.watch(20)
    assert len(station.told("2072")) == 1
    await station.world.stop()


@virtual
async def test_a_platform_of_2017_is_not_watched_for(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    session = world.add(city)
    session.terms.override(dict([setting_of(COD, "0", "1"), ("warn_time", "0")]), NOON)
    live = [Live(sample(99.0))]
    watching = Alarming(world.store, world.clock, lambda *_: live, world._event)  # type: ignore[arg-type]
    for _ in range(10):
        await watching.look([session], world.clock.wall_ms())
        await world.sleep(5)
    assert city.seen == []
    await world.stop()


@virtual
async def test_alarms_are_forgotten_with_the_deliveries(tmp_path: Path) -> None:
    world = World(tmp_path)
    noted = [Alarm(NOON - number * DAY_MS, COD, 50.0, True) for number in range(10)]
    world.store.now(alarms.note, "city", "ww1", noted, [], NOON)
    world.store.now(retention.sweep, NOON + 1, Retention(deliveries=5 * DAY_MS))
    left = world.store.now(alarms.begun, ("city", "ww1"), (0, NOON), 0, 100)
    assert [each.at_ms for each in left] == [NOON - number * DAY_MS for number in range(4, -1, -1)]
    world.store.close()
