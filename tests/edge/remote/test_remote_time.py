"""1013 after connecting (C.4), the clock chip, and the analyzers' clocks. No host clock is touched here."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path
from typing import Any

import pytest
from virtual_time import MN, NOON, Profile, ScriptedPlatform, World, realtime_region, virtual

from config.load import load
from edge.actions import ActionResult
from edge.clock import SimulatedClock, rtc_time
from edge.delivering import Delivering
from edge.remote.daily import set_analyzer_clocks
from edge.store.store import Store
from protocol.frame import wrap


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
    delivering = Delivering(site, store, clock, nothing, nothing, nothing)

    async def wants() -> list[bool]:
        await delivering.load()
        session = delivering.sessions["city", "ww1"]
        before = session._time._wants()
        delivering.synchronised = True
        return [before, session._time._wants()]

    assert asyncio.run(wants()) == [asks, False]
    store.close()


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
