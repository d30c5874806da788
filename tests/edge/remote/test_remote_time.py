"""1013 after connecting (C.4), the clock chip, and the analyzers' clocks. No host clock is touched here."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from virtual_time import MN, NOON, Profile, ScriptedPlatform, World, realtime_region, site_platform, virtual

from config.load import load
from config.site import General, Site
from edge import report
from edge.actions import ActionResult
from edge.catalogue import text
from edge.clock import SimulatedClock, rtc_time
from edge.delivering import Delivering
from edge.remote.daily import set_analyzer_clocks
from edge.store import outbox
from edge.store.store import Store
from protocol.frame import wrap
from protocol.times import qn_text


@virtual
async def test_a_logger_that_does_not_know_the_time_asks_for_it_and_is_set(tmp_path: Path) -> None:
    world, city = World(tmp_path, asks_time=True), ScriptedPlatform(Profile(silent=True))
    session = world.add(city)
    await world.sleep(1)
    (asked,) = city.of("1013")
    head = f"QN={asked.packet.qn};ST=32;CN=1013;PW=123456;MN={MN};Flag=5;CP=&&&&"
    assert asked.frame == wrap(head.encode())
    city.send(wrap(f"QN={asked.packet.qn};ST=91;CN=9013;PW=123456;MN={MN};Flag=4;CP=&&&&".encode()))
    before = world.clock.offset_ms
    data = "SystemTime=20260922150000"
    city.send(wrap(f"QN=20160801085857223;ST=32;CN=1012;PW=123456;MN={MN};Flag=5;CP=&&{data}&&".encode()))
    await world.sleep(60)
    assert len(city.of("1013")) == 1
    assert abs(world.clock.offset_ms - before - 3 * 3_600_000) < 2_000
    assert world.synchronised
    assert session.health.answered == 0
    assert "edge.unknown-qn" not in world.codes()
    city.cut()
    city.up = True
    await world.sleep(60)
    assert len(city.of("1013")) == 1
    await world.stop()


@virtual
async def test_a_platform_that_never_answers_1013_holds_up_no_live_data(tmp_path: Path) -> None:
    world, city = World(tmp_path, asks_time=True), ScriptedPlatform(Profile(silent=True))
    session = world.add(city, retries=3)
    await session.offer_fleeting("2011", NOON, realtime_region(NOON))
    await world.sleep(100)
    assert city.of("2011")[0].at - city.connects[0] < 2.0
    frames = [seen.frame for seen in city.of("1013")]
    assert (len(frames), len(set(frames))) == (4, 1)
    await world.stop()


@pytest.mark.parametrize(("policy", "asks"), [("accept", True), ("when-unsynchronised", True), ("refuse", False)])
def test_1013_is_sent_where_the_platform_may_set_the_clock(tmp_path: Path, policy: str, asks: bool) -> None:
    (tmp_path / "site.toml").write_text(
        f'[site]\nname = "x"\ndata_dir = "{tmp_path}"\n[outlets.ww1]\nname = "x"\nst = 32\nstatistics = "water"\n'
        f'[platforms.city]\nedition = "2017"\naddress = "127.0.0.1:9"\ntime = "{policy}"\n'
        f'outlets = {{ ww1 = {{ mn = "{MN}", password = "4Xp9sQ" }} }}\n'
    )
    site = load(tmp_path / "site.toml")
    clock = SimulatedClock(NOON)
    store = Store(tmp_path, retention=site.store, on_event=lambda code, params: None, clock=clock)
    nothing: Any = None
    delivering = Delivering(site, store, clock, nothing, nothing, nothing, nothing)

    async def wants() -> list[bool]:
        await delivering.load()
        session = delivering.sessions["city", "ww1"]
        before = session._time._wants()
        delivering.synchronised = True
        return [before, session._time._wants()]

    assert asyncio.run(wants()) == [asks, False]
    store.close()


def seen_at(world: World, apart_s: float, *, head: str = "", cn: str = "1061") -> bytes:
    """A command that a platform whose clock is so far ahead of ours sends now."""
    station = head or f"ST=32;CN={cn};PW=123456;MN={MN}"
    return wrap(f"QN={qn_text(world.clock.wall_ms() + round(apart_s * 1000))};{station};Flag=5;CP=&&&&".encode())


@pytest.mark.parametrize(
    ("apart_s", "code"),
    [(58, None), (63, "edge.clock-behind"), (86_400, "edge.clock-behind"), (-58, None), (-63, "edge.clock-ahead")],
)
@virtual
async def test_a_clock_that_drifts_from_the_platforms_is_said_and_the_time_is_asked_for(
    tmp_path: Path, apart_s: float, code: str | None
) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    world.synchronised = True
    world.add(city)
    await world.sleep(1)
    city.send(seen_at(world, apart_s))
    await world.sleep(5)
    told = [(each, params["seconds"]) for each, params in world.events if each.startswith("edge.clock")]
    assert told == ([(code, abs(apart_s))] if code else [])
    assert len(city.of("1013")) == (code is not None)
    await world.stop()


@virtual
async def test_because_of_a_drift_the_time_is_asked_for_once_an_hour_at_most_also_over_links(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    world.synchronised = True
    world.add(city)
    await world.sleep(1)
    for number in range(120):
        city.send(seen_at(world, 300))
        await world.sleep(60)
        if number % 20 == 0:
            city.cut()
            city.up = True
    asked = [seen.at for seen in city.of("1013")]
    assert len(asked) == 2
    assert asked[1] - asked[0] >= 3_600
    await world.stop()


@virtual
async def test_a_qn_that_says_nothing_about_the_clock_asks_for_nothing(tmp_path: Path) -> None:
    station = f"ST=32;CN=1061;PW=123456;MN={MN}"
    for number, (policy, head, apart_s) in enumerate([
        ("refuse", station, 600),  # it may not set the clock
        ("accept", station.replace("123456", "000000"), 600),  # not our platform
        ("accept", station.replace("1061", "1012"), 600),  # it is setting the clock
        ("accept", station, -6 * 365 * 86_400),  # a constant of some year
    ]):  # fmt: skip
        world, city = World(tmp_path / str(number)), ScriptedPlatform()
        world.synchronised = True
        world.add(city, time=policy)
        await world.sleep(1)
        city.send(seen_at(world, apart_s, head=head))
        await world.sleep(5)
        assert len(city.of("9011")) == 1
        assert city.of("1013") == []
        assert not [code for code in world.codes() if code.startswith("edge.clock")]
        await world.stop()


@virtual
async def test_status_says_by_how_much_qns_are_ahead_of_a_clock_that_was_set_back(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.store.now(outbox.qn_for, NOON + (26 * 3600 + 120) * 1000)
    ahead = world.store.now(report.qn_ahead_s, NOON)
    assert ahead == 26 * 3600 + 120
    assert world.store.now(report.qn_ahead_s, NOON + 10 * 86_400_000) == 0
    nothing: Any = SimpleNamespace(disk_error=None, lines={}, sessions={})
    site = Site(site=General(name="x"), platforms={"city": site_platform()})
    (warning,) = report.warnings(site, nothing, nothing, ahead)
    assert text(warning["code"], "en", **warning["params"]).startswith("QNs are 1 d 2 h ahead of the clock")
    assert report.warnings(site, nothing, nothing, 60) == []
    await world.stop()


def test_the_clock_chip_is_set_in_utc() -> None:
    """2026-09-22 12:00:00 in Beijing is 04:00:00 UTC; September is month 8, years count from 1900, day 265 is 264."""
    assert struct.unpack("9i", rtc_time(NOON)) == (0, 0, 4, 22, 8, 126, 0, 264, 0)


class Analyzers:
    """Two analyzers with `set-time`; the second does not answer."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.set: list[tuple[str | None, int]] = []

    def having(self, action: str) -> tuple[tuple[str, str | None], ...]:
        assert action == "set-time"
        return (("ww1", "w01018"), ("ww1", "w21003"))

    async def run(self, outlet: str, pol_id: str | None, action: str) -> ActionResult:
        self.set.append((pol_id, self.world.clock.wall_ms()))
        return ActionResult("done" if pol_id == "w01018" else "timeout")


@virtual
async def test_analyzers_are_set_once_a_day_in_the_small_hours(tmp_path: Path) -> None:
    world = World(tmp_path)
    analyzers: Any = Analyzers(world)
    noted: list[tuple[Any, ...]] = []

    async def note(action: str, detail: dict[str, Any]) -> None:
        noted.append((action, detail["pol_id"], detail["ExeRtn"]))

    world.task(set_analyzer_clocks(analyzers, world.clock, note))
    await world.sleep(3 * 86_400)
    at = [(time_ms - NOON) / 3_600_000 % 24 for pol_id, time_ms in analyzers.set if pol_id == "w01018"]
    assert len(at) == 3
    assert all(16.6 < hours < 16.8 for hours in at)  # 04:37 to 04:47
    assert noted[:2] == [("instrument.set-time", "w01018", 1), ("instrument.set-time", "w21003", 4)]
    await world.stop()
