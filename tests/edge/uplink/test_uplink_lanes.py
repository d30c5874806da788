"""Live before backlog, oldest first, rate limited, fleeting data: what goes out when (design rules 3 and 4)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from virtual_time import MINUTE_MS, NOON, Profile, ScriptedPlatform, World, realtime_region, rendered, virtual

from edge.store import outbox
from edge.store.errors import StoreFailed
from edge.store.outbox import Due
from edge.values import Kind
from protocol.times import time_text

DAY = 1440


def backlog(world: World, count: int) -> list[int]:
    return [world.seal(NOON - (count - number) * MINUTE_MS)[0] for number in range(count)]


@virtual
async def test_the_first_packet_is_live_within_2_s_whatever_the_backlog_which_comes_in_pages(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(rtt_s=0.1)
    body = b"DataTime=20160801084000;w01018-Avg=40.1,w01018-Flag=N"
    dues = [Due("city", "ww1", "2051", NOON - number * MINUTE_MS, payload=body) for number in range(10_000)]
    world.store.now(outbox.enqueue, dues, NOON)
    session = world.add(city)
    await session.offer_fleeting("2011", NOON, realtime_region(NOON))
    await world.sleep(30)
    assert city.seen[0].packet.cn == "2011"
    assert city.seen[0].at - city.connects[0] <= 2.0
    assert world.store.longest_page <= 100
    assert len(city.of("2051")) > 250
    await world.stop()


@virtual
async def test_the_backlog_goes_oldest_first_at_its_rate_and_live_data_overtake_it(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(rtt_s=0.02)
    backlog(world, 60)
    session = world.add(city, backfill_rate=2.0)
    await world.sleep(10)
    asked_at = world.clock.mono_s()
    await session.offer_fleeting("2011", NOON, realtime_region(NOON))
    world.offer(world.seal(NOON))
    await world.sleep(30)
    starts = [seen.packet.get("DataTime") for seen in city.of("2051") if seen.packet.get("DataTime") != time_text(NOON)]
    assert starts == [time_text(NOON - (60 - number) * MINUTE_MS) for number in range(60)]
    times = [seen.at for seen in city.of("2051") if seen.packet.get("DataTime") != time_text(NOON)]
    assert min(later - sooner for sooner, later in pairwise(times)) >= 0.499
    live = [seen for seen in city.seen if seen.packet.get("DataTime") == time_text(NOON)]
    assert [seen.packet.cn for seen in live] == ["2011", "2051"]
    assert live[1].at - asked_at < 0.2
    assert world.counts().lost == 0
    await world.stop()


@virtual
async def test_a_day_away_arrives_as_stored_live_first(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    session = world.add(city)
    city.up = False
    world.task(world.realtime())
    world.task(world.minutes(DAY + 20))
    await world.sleep(DAY * 60)
    assert city.seen == []
    city.up = True
    await world.sleep(15 * 60 + 30)
    assert city.seen[0].packet.cn == "2011"
    first_minutes = city.of("2051")
    assert len({seen.packet.qn for seen in first_minutes}) == len(first_minutes)
    arrived = {
        seen.packet.get("DataTime"): dict(pair for item in seen.packet.data[1:] for pair in item)
        for seen in first_minutes
    }
    for number in range(DAY):
        start = NOON + number * MINUTE_MS
        assert arrived[time_text(start)] == rendered(start)
    realtime = [seen.at for seen in city.of("2011")]
    assert max(later - sooner for sooner, later in pairwise(realtime)) < 61
    assert (world.open_count(), world.counts().lost) == (0, 0)
    assert session.health.resent == 0
    await world.stop()


@virtual
async def test_a_kill_with_a_slow_disk_would_repeat_one_window_and_no_more(tmp_path: Path) -> None:
    for window in (1, 4):
        world, city = World(tmp_path / str(window)), ScriptedPlatform(rtt_s=0.05)
        backlog(world, 60)
        world.store.commit_s = 0.7  # long against the round trip
        world.add(city, window=window)
        most = 0
        for _ in range(2_000):
            await world.sleep(0.1)
            sent = {seen.packet.qn for seen in city.of("2051")}
            most = max(most, len(sent) - world.store.now(answered_count))
        assert (most, world.open_count()) == (window, 0)
        await world.stop()


@virtual
async def test_answers_that_the_disk_never_takes_do_not_stop_the_sending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, city = World(tmp_path), ScriptedPlatform(rtt_s=0.05)
    take = world.store.do

    async def refuse(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if fn is outbox.answered:
            raise StoreFailed("store.failed", file="connection.jsonl", reason="Input/output error")
        return await take(fn, *args, **kwargs)

    monkeypatch.setattr(world.store, "do", refuse)
    backlog(world, 20)
    world.add(city, window=1)
    await world.sleep(60)
    assert len({seen.packet.get("DataTime") for seen in city.of("2051")}) == 20
    await world.stop()


@virtual
async def test_answers_to_packets_that_nobody_knows_do_not_stop_the_sending(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(rtt_s=0.05)
    world.store.commit_s = 0.7
    backlog(world, 5)
    world.add(city, window=1)
    await world.sleep(2)
    known = city.of("2051")[0].packet
    for number in range(60):  # one is always on its way to the disk
        city.send(city.edition.answer(replace(known, qn=f"20260101000000{number:03d}")).to_frame())
        await world.sleep(0.3)
    assert len({seen.packet.get("DataTime") for seen in city.of("2051")}) == 5
    await world.stop()


def answered_count(db: sqlite3.Connection) -> int:
    (count,) = db.execute("SELECT count(*) FROM packet WHERE answered_at IS NOT NULL").fetchone()
    return int(count)


@virtual
async def test_with_a_window_of_16_as_many_are_open_and_no_more(tmp_path: Path) -> None:
    for window in (1, 16):
        world, city = World(tmp_path / str(window)), ScriptedPlatform(rtt_s=1.0)
        backlog(world, 200)
        session = world.add(city, window=window)
        most = 0
        for _ in range(300):
            await world.sleep(0.1)
            most = max(most, len(session.exchange.open()))
        assert most == window
        await world.stop()


@virtual
async def test_realtime_gives_way_to_the_next_one_and_counts_as_expired(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(Profile(silent=True))
    session = world.add(city)
    await world.sleep(1)
    for number in range(5):
        await session.offer_fleeting("2011", NOON + number * 30_000, realtime_region(NOON + number * 30_000))
        await world.sleep(30)
    await session.flush_expired()
    assert world.counts().expired == 4
    assert [seen.packet.get("DataTime") for seen in city.of("2011")][-1] == time_text(NOON + 120_000)
    assert (world.open_count(), world.counts().lost) == (1, 0)
    await world.stop()


@virtual
async def test_realtime_without_a_link_expires_but_for_the_newest(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    session = world.add(city)
    city.cut()
    for number in range(100):
        await session.offer_fleeting("2011", NOON + number * 30_000, realtime_region(NOON + number * 30_000))
    city.up = True
    await world.sleep(120)
    await session.flush_expired()
    assert [seen.packet.get("DataTime") for seen in city.seen] == [time_text(NOON + 99 * 30_000)]
    assert (world.counts().expired, world.counts().answered) == (99, 1)
    await world.stop()


@virtual
async def test_an_older_realtime_is_never_sent_after_a_newer_one_also_after_a_restart(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(Profile(silent=True))
    session = world.add(city)
    await world.sleep(1)
    await session.offer_fleeting("2011", NOON, realtime_region(NOON))
    await world.sleep(5)
    await world.stop()
    world, city = World(tmp_path, NOON + 60_000), ScriptedPlatform()
    session = world.add(city)
    await session.offer_fleeting("2011", NOON + 60_000, realtime_region(NOON + 60_000))
    await world.sleep(100)
    assert [seen.packet.get("DataTime") for seen in city.seen] == [time_text(NOON + 60_000)]
    assert (world.counts().expired, world.open_count()) == (1, 0)
    await world.stop()


@virtual
async def test_realtime_that_backfill_names_is_kept(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    session = world.add(city, backfill=("realtime",))
    city.cut()
    for number in range(20):
        await session.offer_fleeting("2011", NOON + number * 30_000, realtime_region(NOON + number * 30_000))
    city.up = True
    await world.sleep(120)
    assert sorted(str(seen.packet.get("DataTime")) for seen in city.seen) == [
        time_text(NOON + number * 30_000) for number in range(20)
    ]
    assert world.counts().expired == 0
    await world.stop()


@virtual
async def test_kept_realtime_that_the_disk_refused_is_offered_again(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    session = world.add(city, backfill=("realtime",))
    await world.sleep(1)
    world.store.failing = True
    for number in range(3):
        await session.offer_fleeting("2011", NOON + number * 30_000, realtime_region(NOON + number * 30_000))
    world.store.failing = False
    await session.offer_fleeting("2011", NOON + 90_000, realtime_region(NOON + 90_000))
    await world.sleep(60)
    assert len({seen.packet.get("DataTime") for seen in city.seen}) == 4
    assert world.counts().lost == 0
    await world.stop()


@virtual
async def test_a_kind_that_alone_is_never_answered_does_not_starve_the_others(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(Profile(silent=frozenset({"2051"})))
    for number in range(300):
        world.seal(NOON - (number + 1) * MINUTE_MS)
    for number in range(48):
        world.seal(NOON - (number + 1) * 3_600_000, kind=Kind.HOUR)
    session = world.add(city)
    world.task(world.realtime())
    await world.sleep(600)
    assert len(city.of("2061")) == 48
    assert session.silent_kinds() == ["minute"]
    assert len(city.of("2051")) < 30
    await world.stop()


@virtual
async def test_a_record_that_no_packet_can_carry_steps_aside_and_the_others_go(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    due = Due("city", "ww1", "2081", NOON - 1000, payload=b"DataTime=20260922120000;RestartTime=nonsense=")
    world.store.now(outbox.enqueue, [due], NOON)
    backlog(world, 3)
    world.add(city)
    await world.sleep(60)
    assert len(city.of("2051")) == 3
    assert city.of("2081") == []
    assert len(city.connects) == 1
    assert "edge.unbuildable" in world.codes()
    (depth,) = world.store.now(outbox.depth)
    assert (depth.cn, depth.aside) == ("2081", 1)
    await world.stop()


@virtual
async def test_payloads_of_every_form_leave_as_they_were_taken_in(tmp_path: Path) -> None:
    """C.24, C.15, C.14: none of these is a bare row of measured numbers."""
    world, city = World(tmp_path), ScriptedPlatform()
    bodies = {
        "2081": b"DataTime=20160801085857;RestartTime=20160801085624",
        "2021": b"DataTime=20160801085857;SB1-RS=1;SB2-RS=0",
        "2011": b"DataTime=20160801085857;w01018-SampleTime=20160801070000,w01018-Rtd=2.2,w01018-EFlag=A01",
    }
    dues = [Due("city", "ww1", cn, NOON, payload=body) for cn, body in bodies.items()]
    world.store.now(outbox.enqueue, dues, NOON)
    world.add(city)
    await world.sleep(30)
    assert {seen.packet.cn: seen.frame.partition(b"CP=&&")[2][:-8] for seen in city.seen} == bodies
    await world.stop()


@virtual
async def test_realtime_data_that_are_never_answered_leave_the_window_to_the_minutes(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(Profile(silent=frozenset({"2011"})))
    world.add(city, timeout=30_000)  # as long as from one realtime upload to the next
    world.task(world.realtime(30.0))
    world.task(world.minutes(20))
    await world.sleep(20 * 60 + 61)
    assert len({seen.packet.get("DataTime") for seen in city.of("2051")}) == 20
    assert len(city.of("2011")) >= 20
    await world.stop()
