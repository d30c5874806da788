"""Water samplers: who has a sample kept, in which bottle, what hinders it, and that it is logged and told once."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.load import load, problems
from drivers.driver import Request
from drivers.errors import DeviceSilent, DriverError, OutcomeUnknown
from drivers.simulated.station import IoModule, WaterSampler
from edge.actions import Actions
from edge.control.server import Denied
from edge.samplers import Plan, Samplers
from edge.store import journal, kept
from edge.values import DAY_MS, HOUR_MS, MINUTE_MS
from protocol.frame import wrap

sys.path.insert(0, str(Path(__file__).parents[1]))
from virtual_time import MN, NOON, ScriptedPlatform, World, virtual

COUNTY_MN = "010000A8900016F000169DC1"
SITE = """\
[site]
name = "x"
[outlets.ww1]
name = "x"
st = 32
statistics = "water"
[lines.l1]
port = "/dev/ttyS0"
[instruments.cod]
line = "l1"
driver = "modbus"
address = 1
  [[instruments.cod.points]]
  factor = "w01018"
  register = 0
  type = "uint16"
[instruments.sampler]
line = "l1"
model = "{model}"
address = 21
outlet = "ww1"
[instruments.sampler.sampler]
{keys}
"""


class SlaveLine:
    """A line that hands requests to simulated instruments at once; `lost` answers do not come back."""

    def __init__(self, clock: Any, *slaves: Any) -> None:
        self._clock = clock
        self._slaves = {slave.address: slave for slave in slaves}
        self.lost = 0

    def submit(self, instrument: str, job: Callable[[Any], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(job(self))
        except DriverError as error:
            future.set_exception(error)
        return future

    def ask(self, request: Request) -> bytes:
        slave = self._slaves.get(request.data[0])
        answer = b"" if slave is None else slave.answer(request.data, self._clock.wall_ms())
        if self.lost and request.once:
            self.lost -= 1
            raise OutcomeUnknown("drivers.outcome-unknown", instrument="sampler")
        if not answer:
            raise DeviceSilent("drivers.silent", instrument="x", timeout_s=1)
        request.check(answer)
        return bytes(answer)


class Works:
    """A logger's delivering side with one sampler on its line."""

    def __init__(self, folder: Path, slave: Any, model: str = "sampler-modbus", keys: str = "") -> None:
        path = folder / "site.toml"
        path.write_text(SITE.format(model=model, keys=keys), encoding="utf-8")
        self.site = load(path)
        self.slave = slave
        self.world = World(folder / "data")
        self.batches: list[Any] = []
        self.restarts: list[str] = []

    async def start(self) -> None:
        """As the daemon does."""
        world: Any = self.world
        self.line = SlaveLine(world.clock, self.slave)
        world.actions = self.actions = Actions(self.site, {"l1": self.line}, world.clock)
        await world.uploads.load()
        parts = self.site, self.actions, world.store, world.clock, world.uploads
        self.samplers = Samplers(*parts, lambda: self.batches)
        await self.samplers.load()
        world.uploads.on_kept = self.samplers.noticed

        async def run() -> None:
            async with asyncio.TaskGroup() as group:
                self.samplers.start(group, self.restarts.append)
                world.uploads.start(group, self.restarts.append)

        world.task(run())
        await world.sleep(10)

    async def stop(self) -> None:
        assert self.restarts == []
        await self.world.stop()

    def log(self) -> list[tuple[Any, ...]]:
        return [(one.bottle, one.volume, one.cause, one.who) for one in self.world.store.now(kept.newest, 100)]

    def entries(self, action: str) -> list[journal.Entry]:
        return [one for one in self.world.store.now(journal.entries, 1000) if one.action == f"instrument.{action}"]

    def row(self) -> dict[str, Any]:
        (row,) = self.samplers.rows()
        return row


def ask(city: ScriptedPlatform, cn: str, fields: str = "") -> None:
    city.send(wrap(f"QN=20160801085857223;ST=32;CN={cn};PW=123456;MN={MN};Flag=5;CP=&&{fields}&&".encode()))


def bottles(city: ScriptedPlatform) -> list[str | None]:
    return [seen.packet.get("VaseNo") for seen in city.of("3015")]


def results(city: ScriptedPlatform) -> list[str | None]:
    return [seen.packet.get("ExeRtn") for seen in city.of("9012")]


@virtual
async def test_a_platforms_command_keeps_a_sample_that_is_logged_answered_and_told_to_the_others(
    tmp_path: Path,
) -> None:
    """C.34: 9011, DataTime and VaseNo, 9012."""
    works, city, county = Works(tmp_path, WaterSampler(21)), ScriptedPlatform(), ScriptedPlatform()
    works.world.add(city)
    works.world.add(county, "county", COUNTY_MN)
    await works.start()
    ask(city, "3015")
    await works.world.sleep(60)
    assert (results(city), bottles(city), bottles(county)) == (["1"], ["1"], ["1"])
    assert works.log() == [(1, 1000.0, "platform", "city")]
    assert (works.slave.commands, works.row()["bottle"], works.row()["last_cause"]) == ([1], 1, "platform")
    assert works.world.codes().count("edge.sample-kept") == 1
    await works.stop()


@pytest.mark.parametrize(
    ("trouble", "result"),
    [("stuck", "2"), ("fault", "2"), ("door", "3"), ("busy", "5")],
)
@virtual
async def test_a_sampler_that_keeps_nothing_is_never_answered_with_success(
    tmp_path: Path, trouble: Any, result: str
) -> None:
    works, city = Works(tmp_path, WaterSampler(21, bottle=4, trouble=trouble)), ScriptedPlatform()
    works.world.add(city)
    await works.start()
    ask(city, "3015")
    await works.world.sleep(60)
    assert (results(city), bottles(city), works.log()) == ([result], [], [])
    await works.stop()


@virtual
async def test_a_silent_sampler_is_a_time_out_and_shown_with_its_error(tmp_path: Path) -> None:
    works, city = Works(tmp_path, WaterSampler(99)), ScriptedPlatform()
    works.world.add(city)
    await works.start()
    ask(city, "3015")
    await works.world.sleep(60)
    assert (results(city), works.log(), works.row()["error"] is not None) == (["4"], [], True)
    await works.world.sleep(70)
    works.slave.address = 21
    works.line = SlaveLine(works.world.clock, works.slave)
    works.actions._lines["l1"] = works.line  # type: ignore[index]  # the dict of `start`
    await works.world.sleep(70)
    silent = [code for code in works.world.codes() if "silent" in code]
    assert (silent, works.row()["error"]) == (["edge.sampler-silent-on", "edge.sampler-silent-off"], None)
    await works.stop()


@virtual
async def test_full_bottles_are_an_event_and_no_sample_is_asked_for_until_they_are_emptied(tmp_path: Path) -> None:
    works = Works(tmp_path, WaterSampler(21, bottles=2), keys="bottles = 2")
    await works.start()
    codes = [(await works.samplers.keep("sampler", "operator", "user:li")).code for _ in range(3)]
    assert codes == ["done", "done", "refused"]
    await works.world.sleep(70)
    assert works.row()["state"] == "full"
    assert [warning["code"] for warning in works.samplers.warnings()] == ["edge.sampler-full-on"]
    assert works.world.codes().count("edge.sampler-full-on") == 1
    assert len(works.entries("sampler-full-on")) == 1
    works.slave.bottle = 0
    await works.world.sleep(70)
    assert works.world.codes().count("edge.sampler-full-off") == 1
    assert (await works.samplers.keep("sampler", "operator", "user:li")).data == {"VaseNo": "1"}
    await works.stop()


@virtual
async def test_a_relay_is_closed_and_opened_and_its_bottles_are_counted_across_restarts(tmp_path: Path) -> None:
    works = Works(tmp_path, IoModule(21), "sampler-relay", "bottles = 3\nvolume = 500")
    await works.start()
    for bottle in ("1", "2"):
        assert (await works.samplers.keep("sampler", "operator", "user:li", "a look")).data == {"VaseNo": bottle}
    assert (works.slave.pulses[0], works.slave.relays[0]) == (2, 0)
    await works.stop()
    works = Works(tmp_path, works.slave, "sampler-relay", "bottles = 3\nvolume = 500")
    await works.start()
    assert (await works.samplers.keep("sampler", "operator", "user:li")).data == {"VaseNo": "3"}
    assert (await works.samplers.keep("sampler", "operator", "user:li")).code == "refused"
    await works.samplers.emptied("sampler", "li", "Li", "weekly round")
    with pytest.raises(Denied):
        await works.samplers.emptied("samplr", "li", "Li", "")
    assert (await works.samplers.keep("sampler", "operator", "user:li")).data == {"VaseNo": "1"}
    assert [one[0] for one in works.log()] == [1, 2, 3, 0, 1]
    assert [one[1] for one in works.log()] == [500.0] * 3 + [None, 500.0]
    assert len(works.entries("sampler-emptied")) == 1
    await works.stop()


@virtual
async def test_bottles_that_wrap_begin_again_at_the_first(tmp_path: Path) -> None:
    works = Works(tmp_path, IoModule(21), "sampler-relay", "bottles = 2\nwrap = true")
    await works.start()
    got = [(await works.samplers.keep("sampler", "operator", "user:li")).data["VaseNo"] for _ in range(5)]
    assert got == ["1", "2", "1", "2", "1"]
    await works.stop()


@virtual
async def test_a_relay_whose_closing_was_not_answered_is_opened_all_the_same(tmp_path: Path) -> None:
    works = Works(tmp_path, IoModule(21), "sampler-relay")
    await works.start()
    works.line.lost = 1
    assert (await works.samplers.keep("sampler", "operator", "user:li")).code == "timeout"
    assert (works.slave.pulses[0], works.slave.relays[0], works.log()) == (1, 0, [])
    await works.stop()


@virtual
async def test_a_timed_sampler_keeps_at_its_times_and_a_platform_sets_them_for_good(tmp_path: Path) -> None:
    """3016, 3017 mean the sampler, since no analyser has a cycle; it has none of its own: the logger's counts."""
    keys = 'mode = "timed"\nstart = "08:00"\ncycle = "2h"'
    works, city = Works(tmp_path, IoModule(21), "sampler-relay", keys), ScriptedPlatform()
    works.world.add(city)
    await works.start()
    assert works.row()["next_at"][:16] == "2026-09-22T14:00"
    await works.world.sleep(4 * 3600 + 60)
    assert works.log() == [(1, None, "timed", "logger"), (2, None, "timed", "logger")]
    assert bottles(city) == ["1", "2"]
    ask(city, "3016", "PolId=w01018;CstartTime=003000;CTime=6")
    await works.world.sleep(5)
    ask(city, "3017", "PolId=w01018")
    await works.world.sleep(5)
    assert results(city) == ["1", "1"]
    (reply,) = [seen.packet for seen in city.of("3017")]
    assert (reply.get("CstartTime"), reply.get("CTime")) == ("003000", "6")
    await works.stop()
    works = Works(tmp_path, IoModule(21), "sampler-relay", keys)
    await works.start()
    assert works.row()["next_at"][11:16] in ("00:30", "06:30", "12:30", "18:30")
    assert len(works.log()) == 2  # what was missed meanwhile is not made up for
    assert [each["outlet"] for each in await works.samplers.reset_cycles("user:li")] == ["sampler"]
    assert (works.row()["next_at"][14:16], await works.samplers.reset_cycles("user:li")) == ("00", [])
    await works.stop()


@virtual
async def test_a_cycle_and_an_immediate_sample_go_to_the_samplers_own_registers(tmp_path: Path) -> None:
    works, city = Works(tmp_path, WaterSampler(21)), ScriptedPlatform()
    works.world.add(city)
    await works.start()
    for cn, fields in (("3016", ";CstartTime=093000;CTime=4"), ("3018", ""), ("3012", "")):
        ask(city, cn, f"PolId=w01018{fields}")
        await works.world.sleep(60)
    assert (works.slave.cycle_start, works.slave.cycle_hours) == (0x0930, 4)
    assert [seen.packet.get("Stime") for seen in city.of("3018")] == ["30"]
    assert (works.slave.commands, results(city).count("1")) == ([2], 3)
    await works.stop()


@virtual
async def test_a_sampler_of_other_pollutants_is_not_meant(tmp_path: Path) -> None:
    works, city = Works(tmp_path, WaterSampler(21), keys='factors = ["w21003"]'), ScriptedPlatform()
    works.world.add(city)
    await works.start()
    ask(city, "3012", "PolId=w01018")
    await works.world.sleep(30)
    assert (works.slave.commands, results(city)) == ([], ["3"])
    await works.stop()


class Analyzer:
    """What a batch point is to a sampler."""

    def __init__(self, site: Any) -> None:
        self.point = site.instruments["cod"].points[0]
        self.is_working = False


@virtual
async def test_a_synchronous_sampler_draws_once_whenever_its_analyzer_begins(tmp_path: Path) -> None:
    works = Works(tmp_path, WaterSampler(21))
    object.__setattr__(works.site.instruments["sampler"].sampler, "mode", "synchronous")
    object.__setattr__(works.site.instruments["sampler"].sampler, "follows", "w01018")
    analyzer = Analyzer(works.site)
    works.batches = [analyzer]
    await works.start()
    for _ in range(3):
        analyzer.is_working = True
        await works.world.sleep(300)
        analyzer.is_working = False
        await works.world.sleep(300)
    assert (works.slave.commands, works.log()) == ([2, 2, 2], [])
    await works.stop()


@virtual
async def test_an_open_door_is_an_event_with_an_end(tmp_path: Path) -> None:
    works = Works(tmp_path, WaterSampler(21))
    await works.start()
    works.slave.trouble = "door"
    await works.world.sleep(70)
    assert (works.row()["state"], works.row()["door_open"]) == ("door-open", True)
    works.slave.trouble = None
    await works.world.sleep(70)
    doors = [code for code in works.world.codes() if "door" in code]
    assert doors == ["edge.sampler-door-on", "edge.sampler-door-off"]
    assert (len(works.entries("sampler-door-on")), len(works.entries("sampler-door-off"))) == (1, 1)
    await works.stop()


@virtual
async def test_a_sample_that_the_disk_refuses_to_log_is_logged_and_told_later(tmp_path: Path) -> None:
    works, city = Works(tmp_path, WaterSampler(21)), ScriptedPlatform()
    works.world.add(city)
    await works.start()
    works.world.store.failing = True
    await works.samplers.keep("sampler", "operator", "user:li", "a look", operator="Li")
    assert bottles(city) == []
    works.world.store.failing = False
    await works.world.sleep(30)
    assert (works.log(), bottles(city)) == ([(1, 1000.0, "operator", "Li")], ["1"])
    (entry,) = works.entries("keep-sample")
    assert (entry.who, entry.detail["operator"], entry.detail["VaseNo"]) == ("user:li", "Li", "1")
    await works.stop()


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ('mode = "synchronous"', "config.sampler-follows"),
        ('mode = "synchronous"\nfollows = "w01018"', "config.sampler-follows"),
        ("bottles = 100", "config.between"),
        ('start = "24:00"', "config.form.clock"),
    ],
)
def test_what_a_sampler_cannot_be_is_refused(tmp_path: Path, keys: str, code: str) -> None:
    path = tmp_path / "site.toml"
    path.write_text(SITE.format(model="sampler-modbus", keys=keys), encoding="utf-8")
    assert [problem.code for problem in problems(path)] == [code]


def test_a_sampler_without_the_action_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    text = SITE.format(model="room-sensor", keys="bottles = 2")
    path.write_text(text, encoding="utf-8")
    assert [problem.code for problem in problems(path)] == ["config.sampler-no-keep"]


@given(
    st.integers(0, 24 * 60 - 1).map(lambda minute: minute * MINUTE_MS),
    st.integers(1, 24 * 60).map(lambda minutes: minutes * MINUTE_MS),
    st.integers(NOON - DAY_MS, NOON + DAY_MS),
)
def test_the_times_of_a_plan_are_its_start_and_its_cycles_of_each_day(start: int, cycle: int, now: int) -> None:
    """Against a list of all times of three days."""
    midnight = NOON - 12 * HOUR_MS
    days = [midnight + number * DAY_MS for number in range(-3, 4)]
    times = [day + at for day in days for at in range(start, DAY_MS, cycle)]
    plan = Plan(start, cycle)
    assert plan.last(now) == max(time for time in times if time <= now)
    assert plan.next(now) == min(time for time in times if time > now)
