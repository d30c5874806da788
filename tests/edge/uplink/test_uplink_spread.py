"""`spread`: each logger sends what ends at a whole hour at a moment of its own; nothing else waits, nothing is lost."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from virtual_time import MINUTE_MS, MN, NOON, ScriptedPlatform, World, realtime_region, virtual

from edge.uplink.spread import delay_ms
from edge.values import Kind

HOUR_MS = 60 * MINUTE_MS
SPREAD_MS = 300_000
DELAY_MS = delay_ms("city", MN, SPREAD_MS)


@given(st.text(min_size=1, max_size=24), st.integers(1, 1_800_000))
def test_the_delay_of_a_logger_is_always_the_same_and_within_the_spread(mn: str, spread: int) -> None:
    assert 0 <= delay_ms("city", mn, spread) < spread
    assert delay_ms("city", mn, spread) == delay_ms("city", mn, spread)
    assert delay_ms("city", mn, 0) == 0


def test_a_city_of_loggers_is_spread_evenly() -> None:
    """1,000 loggers with consecutive MNs over ten parts of 30 s: each part gets its share."""
    parts = [0] * 10
    for number in range(1_000):
        parts[delay_ms("city", f"010000A8900016F{number:09d}", SPREAD_MS) // 30_000] += 1
    assert min(parts) > 60
    assert max(parts) < 140


def test_two_platforms_of_a_logger_get_their_data_at_different_moments() -> None:
    assert delay_ms("city", MN, SPREAD_MS) != delay_ms("county", MN, SPREAD_MS)


def whole_hour(world: World) -> list[int]:
    """What is due at noon: the hour, the day, the minute before it."""
    return [
        *world.seal(NOON - MINUTE_MS),
        *world.seal(NOON - HOUR_MS, kind=Kind.HOUR),
        *world.seal(NOON - 24 * HOUR_MS, kind=Kind.DAY),
    ]


def after_noon_ms(world: World, at_s: float) -> float:
    return world.clock.offset_ms + at_s * 1000 - NOON


@virtual
async def test_what_ends_at_a_whole_hour_waits_for_its_moment_and_the_rest_does_not(tmp_path: Path) -> None:
    world, city = World(tmp_path, NOON - 10_000), ScriptedPlatform()
    session = world.add(city, spread=SPREAD_MS, window=8)
    await world.sleep(12)
    world.offer(whole_hour(world))
    world.offer(world.seal(NOON))
    await session.offer_fleeting("2011", NOON, realtime_region(NOON))
    await world.sleep(60)
    assert DELAY_MS > 70_000  # else this test would see nothing
    assert sorted(seen.packet.cn for seen in city.seen) == ["2011", "2051"]
    assert session.spread_waiting == 3
    await world.sleep(SPREAD_MS / 1000)
    held = [seen for seen in city.seen if after_noon_ms(world, seen.at) > 70_000]
    assert sorted(seen.packet.cn for seen in held) == ["2031", "2051", "2061"]
    for seen in held:
        assert 0 <= after_noon_ms(world, seen.at) - DELAY_MS < 500
    assert (session.spread_waiting, world.open_count(), world.counts().backfilled) == (0, 0, 0)
    await world.stop()


@virtual
async def test_without_a_spread_nothing_waits(tmp_path: Path) -> None:
    world, city = World(tmp_path, NOON - 10_000), ScriptedPlatform()
    world.add(city, window=8)
    await world.sleep(12)
    world.offer(whole_hour(world))
    await world.sleep(2)
    assert len(city.seen) == 3
    await world.stop()


@virtual
async def test_a_restart_sends_what_was_held_as_backlog(tmp_path: Path) -> None:
    world, city = World(tmp_path, NOON - 10_000), ScriptedPlatform()
    world.add(city, spread=SPREAD_MS)
    await world.sleep(12)
    world.offer(whole_hour(world))
    await world.sleep(20)
    assert city.seen == []
    await world.stop()
    world, again = World(tmp_path, NOON + 30_000), ScriptedPlatform()
    world.add(again, spread=SPREAD_MS)
    await world.sleep(10)
    assert len(again.seen) == 3
    assert (world.open_count(), world.counts().lost) == (0, 0)
    await world.stop()


@virtual
async def test_a_link_that_breaks_meanwhile_loses_nothing_and_sends_nothing_twice(tmp_path: Path) -> None:
    world, city = World(tmp_path, NOON - 10_000), ScriptedPlatform()
    session = world.add(city, spread=SPREAD_MS)
    await world.sleep(12)
    world.offer(whole_hour(world))
    await world.sleep(20)
    city.cut()
    city.up = True
    await world.sleep(600)
    assert len(city.seen) == 3
    assert (session.spread_waiting, world.open_count()) == (0, 0)
    await world.stop()


@virtual
async def test_a_clock_that_is_set_back_holds_nothing_longer_than_the_spread(tmp_path: Path) -> None:
    world, city = World(tmp_path, NOON - 10_000), ScriptedPlatform()
    world.add(city, spread=SPREAD_MS)
    await world.sleep(12)
    world.offer(whole_hour(world))
    await world.sleep(5)
    world.clock.set_wall(NOON - 24 * HOUR_MS)
    await world.sleep(SPREAD_MS / 1000)
    assert len(city.seen) == 3
    await world.stop()


@virtual
async def test_a_disk_that_refuses_meanwhile_loses_nothing(tmp_path: Path) -> None:
    world, city = World(tmp_path, NOON - 10_000), ScriptedPlatform()
    world.add(city, spread=SPREAD_MS)
    await world.sleep(12)
    ids = whole_hour(world)
    world.store.failing = True
    world.offer(ids)
    await world.sleep(30)
    world.store.failing = False
    await world.sleep(600)
    assert len(city.seen) == 3
    assert world.open_count() == 0
    await world.stop()
