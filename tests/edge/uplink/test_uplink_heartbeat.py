"""Heartbeats 9015 and 9021: beside the window, no data, and what their silence does to the link."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from virtual_time import MN, NOON, Profile, ScriptedPlatform, World, realtime_region, virtual

from edge.store import connection
from protocol.frame import wrap

HEARTBEATS = frozenset({"9015", "9021"})


def answer(cn: str, qn: str | None, mn: str = MN) -> bytes:
    named = f"QN={qn};" if qn else ""
    return wrap(f"{named}ST=91;CN={cn};PW=123456;MN={mn};Flag=4;CP=&&&&".encode())


@virtual
async def test_a_heartbeat_goes_out_first_on_a_link_and_then_at_its_interval(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    world.seal(NOON)
    world.add(city, heartbeat="9015", heartbeat_every=60_000)
    await world.sleep(250)
    beats = city.of("9015")
    assert city.seen[0] is beats[0]
    assert [round(later.at - sooner.at) for sooner, later in pairwise(beats)] == [60, 60, 60, 60]
    head = f"QN={beats[0].packet.qn};ST=91;CN=9015;PW=123456;MN={MN};Flag=5;CP=&&&&"
    assert beats[0].frame == wrap(head.encode())
    assert (world.open_count(), world.counts().answered) == (0, 1)
    await world.stop()


@virtual
async def test_a_login_is_sent_once_on_each_link_and_data_do_not_wait_for_its_answer(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(Profile(silent=HEARTBEATS))
    world.seal(NOON)
    world.add(city, heartbeat="9021", heartbeat_every=0, no_answer="close")
    await world.sleep(600)
    assert [seen.packet.cn for seen in city.seen] == ["9021", "2051"]
    assert city.seen[1].at - city.connects[0] < 2.0
    city.cut()
    city.up = True
    await world.sleep(600)
    assert [seen.packet.cn for seen in city.seen] == ["9021", "2051", "9021"]
    assert [seen.connection for seen in city.of("9021")] == [1, 2]
    await world.stop()


@pytest.mark.parametrize("cn", ["9013", "9014", "9022", "9021"])
@pytest.mark.parametrize("late", [False, True], ids=["at-once", "an-interval-late"])
@virtual
async def test_its_answer_is_none_of_data_and_makes_no_receipt(tmp_path: Path, cn: str, late: bool) -> None:
    world, city = World(tmp_path), ScriptedPlatform(Profile(silent=HEARTBEATS))
    session = world.add(city, heartbeat="9021", heartbeat_every=10_000, window=1)
    await world.sleep(15 if late else 1)
    qn = city.of("9021")[0].packet.qn
    city.send(answer(cn, qn))
    city.send(answer("9022", None))  # many logins are answered without a QN
    await world.sleep(5)
    assert world.store.now(connection.receipts) == []
    assert session.health.answered == 0
    assert {"9021"} == {seen.packet.cn for seen in city.seen}  # nothing was taken for a command
    assert not {"edge.unknown-qn", "edge.stray-packet"} & set(world.codes())
    await world.stop()


@virtual
async def test_an_unanswered_heartbeat_holds_up_no_data(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(Profile(silent=HEARTBEATS))
    session = world.add(city, heartbeat="9015", heartbeat_every=5_000, window=1)
    world.task(world.minutes(100))
    world.task(world.realtime(30))
    await world.sleep(3_600)
    assert len(city.connects) == 1
    assert len(city.of("9015")) == pytest.approx(720, abs=2)
    assert [round(seen.at % 60) for seen in city.of("2051")].count(0) >= 55
    assert session.health.resent == 0
    assert world.open_count() <= 1
    await world.stop()


@virtual
async def test_three_unanswered_in_a_row_close_the_link_where_the_site_says_so(tmp_path: Path) -> None:
    for policy, closes in (("keep", False), ("close", True)):
        world, city = World(tmp_path / policy), ScriptedPlatform(Profile(silent=True))
        world.add(city, heartbeat="9015", heartbeat_every=20_000, no_answer=policy)
        await world.sleep(59)
        assert len(city.connects) == 1
        await world.sleep(120)
        assert (len(city.connects) > 1) is closes
        await world.stop()


@virtual
async def test_a_platform_that_answers_data_and_no_heartbeat_keeps_its_link(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(Profile(silent=HEARTBEATS))
    world.add(city, heartbeat="9015", heartbeat_every=20_000, no_answer="close")
    world.task(world.realtime(30))
    await world.sleep(3_600)
    assert len(city.connects) == 1
    await world.stop()


@virtual
async def test_qns_of_heartbeats_and_data_rise_together(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    session = world.add(city, heartbeat="9015", heartbeat_every=5_000, window=4)
    for number in range(30):
        await session.offer_fleeting("2011", NOON + number * 1000, realtime_region(NOON + number * 1000))
        world.clock.set_wall(world.clock.wall_ms() - 3_000)
        await world.sleep(2.5)
    qns = [str(seen.packet.qn) for seen in city.seen]
    assert len(qns) > 30
    assert qns == sorted(set(qns))
    await world.stop()


@virtual
async def test_a_disk_that_refuses_costs_heartbeats_and_not_the_link(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    world.store.failing = True
    world.add(city, heartbeat="9015", heartbeat_every=10_000)
    await world.sleep(60)
    assert (len(city.connects), city.of("9015")) == (1, [])
    world.store.failing = False
    await world.sleep(60)
    assert len(city.connects) == 1
    assert len(city.of("9015")) in (5, 6)
    await world.stop()
