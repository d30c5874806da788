"""Resends, re-issues, late and double answers, silence, refusals, kills and a failing disk (design rule 1; A5)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from virtual_time import (
    MINUTE_MS,
    NOON,
    Killed,
    Profile,
    ScriptedPlatform,
    World,
    realtime_region,
    rendered,
    run,
    virtual,
)

from edge.store import connection, outbox
from edge.store.outbox import Due
from edge.uplink.session import Session
from protocol import messages
from protocol.messages import Header
from protocol.times import time_text

HEADER = Header("32", "123456", "010000A8900016F000169DC0")


@virtual
async def test_a_resend_is_the_same_bytes_retries_times_and_then_the_lane_goes_on(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(Profile(silent=True))
    world.add(city, timeout=5_000, retries=3)
    await world.sleep(1)
    world.offer(world.seal(NOON))
    world.offer(world.seal(NOON + MINUTE_MS))
    await world.sleep(39)
    first, second = city.of("2051")[:4], city.of("2051")[4:8]
    assert len({seen.frame for seen in first}) == len({seen.frame for seen in second}) == 1
    assert [round(seen.at - first[0].at, 3) for seen in first] == [0, 5, 10, 15]
    assert second[0].at - first[0].at == pytest.approx(20, abs=0.01)
    assert second[0].packet.get("DataTime") == time_text(NOON + MINUTE_MS)
    assert (world.open_count(), world.counts().lost, len(city.connects)) == (2, 0, 1)
    await world.stop()


@virtual
async def test_a_late_answer_delivers_also_on_a_later_link(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(Profile(silent=True))
    world.add(city)
    await world.sleep(1)
    world.offer(world.seal(NOON))
    await world.sleep(5)
    (sent,) = city.of("2051")
    city.cut()
    city.up = True
    await world.sleep(3)
    assert len(city.connects) == 2
    city.send(messages.data_answer(sent.packet).to_frame())
    await world.sleep(200)
    assert (world.open_count(), world.counts().answered) == (0, 1)
    assert len({seen.packet.qn for seen in city.of("2051")}) == 1
    (receipt,) = world.store.now(connection.receipts)
    assert receipt.written_ms - NOON == pytest.approx(max(s.at for s in city.of("2051")) * 1000 - 50, abs=200)
    await world.stop()


@virtual
async def test_answers_that_come_twice_or_late_count_once(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(Profile(times=2, late_s=12.0))
    world.add(city)
    await world.sleep(1)
    for number in range(5):
        world.offer(world.seal(NOON + number * MINUTE_MS))
    await world.sleep(300)
    assert (world.open_count(), world.counts().answered, world.counts().lost) == (0, 5, 0)
    await world.stop()


@virtual
async def test_a_stale_packet_is_issued_anew_when_the_link_returns_and_all_its_qns_count(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(Profile(silent=True))
    world.add(city, reissue_after=600_000)
    await world.sleep(1)
    world.offer(world.seal(NOON))
    await world.sleep(5)
    city.cut()
    await world.sleep(300)
    city.up = True
    await world.sleep(90)
    assert len({seen.frame for seen in city.of("2051")}) == 1
    city.cut()
    await world.sleep(700)
    city.up = True
    await world.sleep(3700)
    first, last = city.of("2051")[0].packet, city.of("2051")[-1].packet
    assert last.qn is not None
    assert first.qn is not None
    assert last.qn > first.qn
    assert last.data == first.data
    city.send(messages.data_answer(first).to_frame())
    await world.sleep(60)
    assert (world.open_count(), world.counts().answered) == (0, 1)
    await world.stop()


@virtual
async def test_a_new_password_issues_the_undelivered_anew_and_its_exchange_carries_the_old_one(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(Profile(silent=frozenset({"2051"})))
    session = world.add(city)
    await world.sleep(1)
    world.offer(world.seal(NOON))
    world.offer(world.seal(NOON + MINUTE_MS))
    await world.sleep(3)
    region = ((("NewPW", "654321"),),)
    city.send(messages.command(HEADER, "1072", region, "20260922120003000").to_frame())
    await world.sleep(1)
    city.profile = Profile()
    await world.sleep(100)
    assert session.terms.password == "654321"
    replies = [seen.packet for seen in city.seen if seen.packet.cn in {"9011", "9012"}]
    assert [(reply.cn, reply.pw) for reply in replies] == [("9011", "123456"), ("9012", "123456")]
    minutes = [seen.packet for seen in city.of("2051")]
    assert [packet.pw for packet in minutes] == ["123456", "654321", "654321"]
    assert minutes[0].data in [packet.data for packet in minutes[1:]]
    assert (world.open_count(), world.counts().lost) == (0, 0)
    await world.stop()
    world, city = World(tmp_path, NOON + 600_000), ScriptedPlatform()
    assert world.add(city).terms.password == "654321"
    await world.stop()


@virtual
async def test_qns_rise_over_restarts_and_clock_steps(tmp_path: Path) -> None:
    qns: list[str] = []
    for start in (NOON, NOON - 3_600_000, NOON + 60_000, NOON - 86_400_000):
        world, city = World(tmp_path, start), ScriptedPlatform()
        session = world.add(city, window=4)
        await world.sleep(1)
        for number in range(10):
            await session.offer_fleeting("2011", start + number * 30_000, realtime_region(start + number * 30_000))
            world.offer(world.seal(start + number * MINUTE_MS))
            world.clock.set_wall(world.clock.wall_ms() - 7_000)
            await world.sleep(1)
        qns += [str(seen.packet.qn) for seen in city.seen]
        await world.stop()
    assert len(qns) > 60
    assert qns == sorted(set(qns))


@virtual
async def test_a_platform_that_never_answers_keeps_its_link_and_its_data_until_it_does(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(Profile(silent=True))
    for number in range(500):
        world.seal(NOON - (number + 1) * MINUTE_MS)
    session = world.add(city)
    world.task(world.realtime())
    world.task(world.minutes(10_000))
    await world.sleep(6 * 3600)
    assert len(city.connects) == 1
    assert session.silent_kinds() == ["realtime", "minute"]
    live = {seen.packet.get("DataTime") for seen in city.of("2051")}
    sealed = [time_text(NOON + number * MINUTE_MS) for number in range(6 * 60 - 2)]
    assert set(sealed) <= live
    hour = [seen for seen in city.seen if 3600 <= seen.at < 7200]
    assert len([seen for seen in hour if seen.packet.cn == "2011"]) <= 61
    assert len(hour) <= 3 * 61
    assert world.open_count() >= 500 + 358
    assert world.counts().lost == 0
    city.profile = Profile()
    await world.sleep(1800)
    assert session.silent_kinds() == []
    assert world.open_count() <= 1
    assert world.counts().lost == 0
    await world.stop()


@virtual
async def test_with_no_answer_close_three_unheard_packets_end_the_link(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(Profile(silent=True))
    world.add(city, no_answer="close", timeout=5_000, retries=1, realtime=30_000)
    world.task(world.realtime(30))
    await world.sleep(3600)
    gaps = [later - sooner for sooner, later in pairwise(city.connects)]
    assert len(city.connects) > 10
    assert min(gaps) > 25
    await world.stop()


@virtual
async def test_a_9011_that_refuses_frees_the_window_at_once_and_again_and_again_steps_aside(tmp_path: Path) -> None:
    for profile in (Profile(refuse_9011=frozenset({"2051"})), Profile(refuse_9014=frozenset({"2051"}))):
        world, city = World(tmp_path / str(id(profile))), ScriptedPlatform(profile)
        world.add(city)
        await world.sleep(1)
        world.offer(world.seal(NOON))
        world.offer(world.seal(NOON + MINUTE_MS))
        await world.sleep(1)
        assert len(city.of("2051")) == 2
        await world.sleep(4 * 3600)
        assert len(city.of("2051")) == 10
        assert len({seen.packet.qn for seen in city.of("2051")}) == 10
        assert (world.counts().rejected, world.counts().lost, world.open_count()) == (2, 0, 2)
        await world.stop()


@virtual
async def test_a_9011_that_accepts_is_no_acknowledgement_of_an_upload(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(Profile(says_9011_only=True))
    world.add(city)
    await world.sleep(1)
    world.offer(world.seal(NOON))
    await world.sleep(100)
    assert world.open_count() == 1
    assert world.store.now(connection.receipts) == []
    await world.stop()


@virtual
async def test_without_acknowledgement_delivered_is_written_and_drained_and_unconfirmed(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    session = world.add(city, acknowledge=("minute",))
    await world.sleep(1)
    city.drains = False
    await session.offer_fleeting("2011", NOON, realtime_region(NOON))
    await world.sleep(3)
    assert world.counts().unconfirmed == 0
    city.drains = True
    world.offer(world.seal(NOON))
    await world.sleep(3)
    assert {seen.packet.cn: seen.packet.flag for seen in city.seen} == {"2011": 4, "2051": 5}
    assert (world.counts().unconfirmed, world.counts().answered, world.counts().lost) == (1, 1, 0)
    await world.stop()


def times_of(city: ScriptedPlatform, began_s: float) -> list[tuple[float, str, str | None]]:
    return [(round(seen.at - began_s, 3), seen.packet.cn, seen.packet.get("DataTime")) for seen in city.seen]


@virtual
async def test_a_dead_platform_is_not_noticed_by_the_other(tmp_path: Path) -> None:
    seen = []
    for dead in (False, True):
        world, city, county = World(tmp_path / str(dead)), ScriptedPlatform(), ScriptedPlatform()
        began_s = world.clock.mono_s()
        world.add(city, "city")
        if dead:
            county.profile = Profile(silent=True)
            world.add(county, "county")
        world.task(world.realtime())
        world.task(world.minutes(60))
        await world.sleep(1200)
        county.cut()
        await world.sleep(2400)
        assert len(city.of("2051")) == 59
        seen.append(times_of(city, began_s))
        await world.stop()
    assert seen[0] == seen[1]


async def one_life(world: World, city: ScriptedPlatform) -> None:
    """A delivery from its record to its answer."""
    session = world.add(city)
    await asyncio.sleep(1)
    await session.offer_fleeting("2011", NOON, realtime_region(NOON))
    world.offer(await world.store.do(_seal, world))
    await world.sleep(30)


def _seal(db: object, world: World) -> list[int]:
    from virtual_time import sample_records

    from edge.store import records

    due = Due("city", "ww1", "2051", NOON, end=NOON + MINUTE_MS)
    return records.seal(world.store.db, sample_records(NOON), [due], NOON)


async def _killed_at(folder: Path, call: int, after: bool) -> bool:
    """One life that ends at a call, and the next; whether the call was reached."""
    world, city = World(folder), ScriptedPlatform()
    world.store.kill_at, world.store.kill_after = call, after
    with suppress(Killed, BaseExceptionGroup):
        await one_life(world, city)
    reached = world.store.calls >= call
    await world.stop()
    before = {seen.packet.qn: seen.frame for seen in city.seen}
    sealed = World(folder, NOON + 20_000)
    known = sealed.open_count() + sealed.counts().answered if sealed.store.now(outbox.counts) else 0
    again = ScriptedPlatform()
    sealed.add(again)
    await sealed.sleep(60)
    if known:
        assert (sealed.open_count(), sealed.counts().lost) == (0, 0)
    both = [*city.seen, *again.seen]
    for seen in again.seen:
        assert before.get(seen.packet.qn, seen.frame) == seen.frame
    minutes = [seen for seen in both if seen.packet.cn == "2051"]
    assert len({seen.packet.qn for seen in minutes}) <= 1
    for seen in minutes:
        assert dict(pair for item in seen.packet.data[1:] for pair in item) == rendered(NOON)
    await sealed.stop()
    return reached


@pytest.mark.parametrize("after", [False, True], ids=["before-commit", "after-commit"])
def test_killed_at_any_commit_nothing_is_lost_and_the_retry_is_the_same_packet(tmp_path: Path, after: bool) -> None:
    reached: list[bool] = []

    async def all_of_them() -> None:
        reached.extend([await _killed_at(tmp_path / f"{call}", call, after) for call in range(1, 20)])

    run(all_of_them())
    assert reached.count(True) >= 6


@virtual
async def test_a_disk_that_refuses_for_a_while_loses_nothing(tmp_path: Path) -> None:
    for window in (1, 8):
        world, city = World(tmp_path / str(window)), ScriptedPlatform()
        for number in range(100):
            world.seal(NOON - (number + 1) * MINUTE_MS)
        session = world.add(city, window=window)
        world.task(_flaky(world))
        for number in range(60):
            await session.offer_fleeting("2011", NOON + number * 30_000, realtime_region(NOON + number * 30_000))
            if not world.store.failing:
                world.offer(world.seal(NOON + number * MINUTE_MS))
            await world.sleep(7.3)
        world.store.failing = False
        await world.sleep(600)
        assert len(city.connects) == 1
        assert (world.open_count(), world.counts().lost) == (0, 0)
        assert len({seen.frame for seen in city.of("2051")}) == len({s.packet.get("DataTime") for s in city.of("2051")})
        await world.stop()


async def _flaky(world: World) -> None:
    for _ in range(40):
        await asyncio.sleep(7)
        world.store.failing = not world.store.failing


@virtual
async def test_an_answer_that_the_disk_refused_delivers_without_being_sent_again(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(rtt_s=1.0)
    world.add(city)
    await world.sleep(2)
    world.offer(world.seal(NOON))
    await world.sleep(0.7)
    world.store.failing = True
    await world.sleep(20)
    assert world.open_count() == 1
    world.store.failing = False
    await world.sleep(40)
    assert (world.open_count(), len(city.of("2051"))) == (0, 1)
    (receipt,) = world.store.now(connection.receipts)
    assert receipt.official_ms - receipt.written_ms == 1000
    await world.stop()


@virtual
async def test_on_a_shared_link_an_answer_with_a_strange_mn_finds_its_session(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(Profile(silent=True))
    first = world.add(city, "city")
    other = Session(first.terms, *_parts(first))
    other.mn = "B"
    world.links["city"]._users = [other, first]
    await world.sleep(1)
    world.offer(world.seal(NOON))
    await world.sleep(3)
    packet = city.of("2051")[0].packet
    city.send(replace(messages.data_answer(packet), mn="B").to_frame())
    await world.sleep(3)
    assert first.exchange.open() == ()
    await world.stop()


def _parts(session: Session) -> tuple[object, ...]:
    lanes = session._lanes
    return (session._store, session._clock, lanes._builder, session._handle, session._on_event, session._on_packet)


@virtual
async def test_a_link_that_dies_in_the_middle_resends_the_same_packet_on_the_next(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(Profile(dies_after=3))
    for number in range(10):
        world.seal(NOON - (number + 1) * MINUTE_MS)
    world.add(city)
    await world.sleep(60)
    assert len(city.connects) == 2
    assert len({seen.frame for seen in city.of("2051")}) == 10
    assert len(city.of("2051")) == 11
    assert world.open_count() == 0
    await world.stop()


@virtual
async def test_a_link_up_event_ends_the_wait_also_when_it_came_during_the_last_attempt(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    city.up = False
    world.add(city)
    await world.sleep(600)
    link = world.links["city"]
    city.up = True
    link._link_up.set()
    await world.sleep(1)
    assert len(city.connects) == 1
    await world.stop()


@virtual
async def test_a_platform_that_hangs_up_at_once_sees_no_storm(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(Profile(silent=True))
    world.add(city)
    for _ in range(36_000):
        await world.sleep(0.1)
        for end in city.ends:
            end.hang_up()
    assert len(city.connects) < 120
    await world.stop()


@virtual
async def test_a_refusal_that_comes_twice_counts_once(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(Profile(refuse_9014=frozenset({"2051"}), times=3))
    world.add(city)
    await world.sleep(1)
    world.offer(world.seal(NOON))
    await world.sleep(4 * 3600)
    assert len(city.of("2051")) == 5
    await world.stop()


@virtual
async def test_another_address_gets_its_own_packets_of_what_is_not_delivered(tmp_path: Path) -> None:
    frames = []
    for number, address in enumerate(["a.example:1", "a.example:1", "b.example:1", "b.example:1"]):
        world, city = World(tmp_path, NOON + number * 600_000), ScriptedPlatform(Profile(silent=True))
        world.add(city, address=address, reissue_after=86_400_000)
        if number == 0:
            world.seal(NOON)
        await world.sleep(55)
        (frame,) = {seen.frame for seen in city.of("2051")}
        frames.append(frame)
        await world.stop()
    assert frames[0] == frames[1]
    assert frames[1] != frames[2]
    assert frames[2] == frames[3]
    assert frames[0].partition(b"CP=")[2][:-8] == frames[2].partition(b"CP=")[2][:-8]


@pytest.mark.parametrize("at_ms", range(0, 3000, 125))
@virtual
async def test_killed_at_any_moment_the_next_run_sends_the_same_packet(tmp_path: Path, at_ms: int) -> None:
    world, city = World(tmp_path), ScriptedPlatform(rtt_s=0.5)
    (delivery,) = world.seal(NOON)
    world.add(city)
    world.task(_offer_later(world, delivery))
    await world.sleep(at_ms / 1000)
    await world.stop()
    world, again = World(tmp_path, NOON + 20_000), ScriptedPlatform()
    world.add(again)
    await world.sleep(60)
    assert (world.open_count(), world.counts().answered, world.counts().lost) == (0, 1, 0)
    assert len({seen.frame for seen in [*city.of("2051"), *again.of("2051")]}) == 1
    await world.stop()


async def _offer_later(world: World, delivery: int) -> None:
    await asyncio.sleep(1)
    world.offer([delivery])
