"""States and running times of equipment on the wire (CN 2021, 2041: C.15, C.19, C.23), in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from virtual_time import (
    MN,
    NOON,
    WATER,
    InlineStore,
    Profile,
    ScriptedPlatform,
    VirtualClock,
    World,
    realtime_region,
    site_platform,
    virtual,
)

from config.site import Access, General, Outlet, Site
from edge.delivering import Delivering
from edge.measure.engine import Engine
from edge.measure.statistics import Live
from edge.store import records
from edge.store.outbox import Due
from edge.uplink.build import Builder
from edge.uplink.session import Session
from edge.uplink.terms import Terms
from edge.values import DAY_MS, HOUR_MS, MINUTE_MS, Kind, Record, Sample
from protocol.frame import wrap
from protocol.messages import states
from protocol.region import Body, write
from protocol.times import time_text

DAY = NOON - 12 * HOUR_MS
HEAD = f"ST=32;CN={{cn}};PW=123456;MN={MN};Flag={{flag}}"


def day_records(start: int = DAY) -> list[Record]:
    """SB1 ran 1.1 h, SB10 2.1 h, of SB2 nothing is known; and a pollutant."""
    return [
        Record("ww1", Kind.DAY, "SB1", start, cou=1.1, count=24),
        Record("ww1", Kind.DAY, "SB10", start, cou=2.1, count=24),
        Record("ww1", Kind.DAY, "SB2", start, mark="B"),
        Record("ww1", Kind.DAY, "w01001", start, min=7.1, avg=7.5, max=7.8, count=24),
    ]


def seal(world: World, start: int = DAY) -> list[int]:
    dues = [Due("city", "ww1", cn, start) for cn in ("2031", "2041")]
    ids: list[int] = world.store.now(records.seal, day_records(start), dues, world.clock.wall_ms())
    return ids


def segment(frame: bytes) -> str:
    return frame[6:-6].decode()


def state_body(tick: int, *codes: str) -> Body:
    return write(states(tick, [(f"SB{number}", code) for number, code in enumerate(codes, 1)]))


@virtual
async def test_running_times_go_right_after_the_day_and_neither_holds_the_others_records(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    world.add(city)
    await world.sleep(1)
    world.offer(seal(world))
    await world.sleep(5)
    day, running = city.seen
    label = time_text(DAY)
    assert segment(running.frame) == (
        f"QN={running.packet.qn};{HEAD.format(cn='2041', flag=5)};CP=&&DataTime={label};SB1-RT=1.10;SB10-RT=2.10&&"
    )
    assert segment(day.frame) == (
        f"QN={day.packet.qn};{HEAD.format(cn='2031', flag=5)};CP=&&DataTime={label};"
        "w01001-Min=7.10,w01001-Avg=7.50,w01001-Max=7.80,w01001-Flag=N&&"
    )
    assert running.packet.qn in city.answered
    assert (world.open_count(), world.counts().lost) == (0, 0)
    await world.stop()


@virtual
async def test_running_times_are_kept_over_a_dead_link_and_a_restart(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(Profile(silent=frozenset({"2041"})))
    world.add(city)
    await world.sleep(1)
    world.offer(seal(world))
    await world.sleep(60)
    first = {seen.frame for seen in city.of("2041")}
    assert len(first) == 1
    assert (world.open_count(), world.counts().lost) == (1, 0)
    await world.stop()
    city.profile = Profile()
    again = World(tmp_path, NOON + DAY_MS)
    again.add(city)
    await again.sleep(60)
    data = {seen.packet.data for seen in city.of("2041")}
    assert len(data) == 1
    assert len({seen.packet.qn for seen in city.of("2041")}) == 2  # a day old: issued anew
    assert (again.open_count(), again.counts().lost, again.counts().answered) == (0, 0, 2)
    await again.stop()


@virtual
async def test_a_day_of_which_nothing_is_known_is_no_packet(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    world.add(city)
    await world.sleep(1)
    silent = [replace(one, cou=None, count=0) for one in day_records()[:3]]
    world.offer(world.store.now(records.seal, silent, [Due("city", "ww1", "2041", DAY)], NOON))
    await world.sleep(5)
    assert city.of("2041") == []
    assert (world.open_count(), world.counts().lost, world.counts().rejected) == (0, 0, 0)
    await world.stop()


@virtual
async def test_running_times_asked_for_are_answered_as_annex_c_23_prints(tmp_path: Path) -> None:
    """`,` between the bounds, own QN, Flag 4 where no answer is asked for."""
    world, city = World(tmp_path), ScriptedPlatform()
    for days in range(4):
        world.store.now(records.seal, day_records(DAY - days * DAY_MS), [], NOON)
    world.add(city, acknowledge=False)
    await world.sleep(1)
    qn, begin, end = "20160801085857223", time_text(DAY - 2 * DAY_MS), time_text(DAY - DAY_MS)
    asked = f"QN={qn};{HEAD.format(cn='2041', flag=5)};CP=&&BeginTime={begin},EndTime={end}&&"
    city.send(wrap(asked.encode()))
    await world.sleep(5)
    answer = f"QN={qn};{HEAD.replace('ST=32', 'ST=91')};CP=&&{{data}}&&"
    given = [seen.packet.qn for seen in city.of("2041")]
    body = "SB1-RT=1.10;SB10-RT=2.10"
    assert [segment(seen.frame) for seen in city.seen] == [
        answer.format(cn="9011", flag=4, data="QnRtn=1"),
        f"QN={given[0]};{HEAD.format(cn='2041', flag=4)};CP=&&DataTime={begin};{body}&&",
        f"QN={given[1]};{HEAD.format(cn='2041', flag=4)};CP=&&DataTime={end};{body}&&",
        answer.format(cn="9012", flag=4, data="ExeRtn=1"),
    ]
    assert qn not in given
    await world.stop()


@virtual
async def test_days_without_equipment_are_no_running_times_and_days_without_pollutants_no_day_data(
    tmp_path: Path,
) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    world.store.now(records.seal, day_records(DAY)[:3] + day_records(DAY - DAY_MS)[3:], [], NOON)
    world.add(city)
    await world.sleep(1)
    for cn, label in (("2041", DAY), ("2031", DAY - DAY_MS)):
        period = f"BeginTime={time_text(DAY - 9 * DAY_MS)},EndTime={time_text(DAY)}"
        city.send(wrap(f"QN=2016080108585{cn};{HEAD.format(cn=cn, flag=5)};CP=&&{period}&&".encode()))
        await world.sleep(10)
        assert [seen.packet.get("DataTime") for seen in city.of(cn)] == [time_text(label)]
    assert [seen.packet.get("ExeRtn") for seen in city.of("9012")] == ["1", "1"]
    await world.stop()


@virtual
@pytest.mark.parametrize(("kind", "cn"), [(Kind.MINUTE, "2051"), (Kind.HOUR, "2061"), (Kind.DAY, "2031")])
async def test_data_asked_for_hold_no_equipment(tmp_path: Path, kind: Kind, cn: str) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    both = [replace(record, kind=kind) for record in day_records()]
    world.store.now(records.seal, [replace(one, start=DAY - kind.ms) for one in both] + both, [], NOON)
    world.add(city)
    await world.sleep(1)
    period = f"BeginTime={time_text(DAY - DAY_MS)},EndTime={time_text(DAY)}"
    city.send(wrap(f"QN=20160801085857223;{HEAD.format(cn=cn, flag=5)};CP=&&{period}&&".encode()))
    await world.sleep(5)
    assert city.of(cn)
    assert {item[0][0].partition("-")[0] for seen in city.of(cn) for item in seen.packet.data} == {"DataTime", "w01001"}
    await world.stop()


@virtual
async def test_states_expire_when_the_next_are_due_and_each_is_counted_as_its_own_kind(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    session = world.add(city)
    await world.sleep(1)
    city.cut()
    await world.sleep(1)
    for number in range(5):
        tick = NOON + number * MINUTE_MS
        await session.offer_fleeting("2011", tick, realtime_region(tick), ("2021", state_body(tick, str(number))))
    await session.flush_expired()
    city.up = True
    await world.sleep(120)
    assert [segment(seen.frame).partition("CP=")[2] for seen in city.of("2021")] == [
        f"&&DataTime={time_text(NOON + 4 * MINUTE_MS)};SB1-RS=4&&"
    ]
    assert [seen.packet.cn for seen in city.seen[:2]] == ["2011", "2021"]
    rows = world.store.db.execute("SELECT cn, sent, answered, expired, kept FROM tally ORDER BY cn").fetchall()
    assert [tuple(row) for row in rows] == [("2011", 1, 1, 4, 0), ("2021", 1, 1, 4, 0)]
    await world.stop()


@virtual
async def test_realtime_and_states_of_a_tick_share_their_commits(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    session = world.add(city)
    await world.sleep(1)
    costs = []
    for more in ((), (("2021", state_body(NOON, "1")),)):
        for number in range(2):  # the first of a kind has none before it to expire
            before = world.store.calls
            tick = NOON + number * MINUTE_MS + len(more) * 10 * MINUTE_MS
            await session.offer_fleeting("2011", tick, realtime_region(tick), *more)
            await world.sleep(20)
            costs.append(world.store.calls - before)
    # beside what the realtime packet costs alone: the answer to the second packet, and one look behind it
    assert costs[3] - costs[1] <= 2
    await world.stop()


@virtual
async def test_states_named_in_backfill_are_all_delivered(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    session = world.add(city, backfill=("state",))
    await world.sleep(1)
    city.cut()
    await world.sleep(1)
    for number in range(3):
        tick = NOON + number * MINUTE_MS
        await session.offer_fleeting("2011", tick, realtime_region(tick), ("2021", state_body(tick, "1")))
    city.up = True
    await world.sleep(120)
    assert len(city.of("2021")) == 3
    assert len(city.of("2011")) == 1
    await world.stop()


# which ticks bring which uploads


class Offers(list[tuple[str, str, str]]):
    """What was offered to the sessions: platform, CN, body."""

    def of(self, platform: str) -> Iterator[tuple[str, str]]:
        return ((cn, body) for name, cn, body in self if name == platform)


async def delivering(tmp_path: Path, offers: Offers, equipment: Any, live: Any = lambda outlet, now: []) -> Delivering:
    """Two platforms, 60 s and 30 s, that only note what they are offered."""
    access = {"ww1": Access(mn=MN, password="123456")}
    platforms = {"city": site_platform(outlets=access), "county": site_platform(outlets=access, realtime=30_000)}
    outlets = {"ww1": Outlet(name="x", st="32", statistics="water")}
    site = Site(site=General(name="x", data_dir=str(tmp_path)), outlets=outlets, platforms=platforms)
    nothing: Any = None
    store: Any = InlineStore(tmp_path)
    made = Delivering(site, store, VirtualClock(NOON + 5_000), live, equipment, nothing, lambda code, params: None)
    await made.load()
    for (name, _), session in made.sessions.items():

        async def offer(cn: str, start: int, body: Body, *more: tuple[str, Body], name: str = name) -> None:
            offers.extend((name, each, text) for each, text in ((cn, body), *more))

        session.offer_fleeting = offer  # type: ignore[method-assign]  # the wire is not what is looked at
    return made


async def ticks(made: Delivering, seconds: int) -> None:
    for _ in range(seconds * 2):
        await made._tick()
        await asyncio.sleep(0.5)


@virtual
async def test_states_go_at_the_realtime_interval_of_each_platform(tmp_path: Path) -> None:
    offers = Offers()

    def equipment(outlet: str, now_ms: int) -> list[Sample]:
        return [Sample(now_ms, outlet, "SB1", 1.0, "N"), Sample(now_ms, outlet, "SB2", 0.0, "M")]

    def live(outlet: str, now_ms: int) -> list[Live]:
        return [Live(Sample(now_ms, outlet, "w01018", 30.0, "N"))]

    made = await delivering(tmp_path, offers, equipment, live)
    await ticks(made, 130)
    assert [cn for cn, _ in offers.of("city")] == ["2011", "2021"] * 2
    assert [body for cn, body in offers.of("county") if cn == "2021"] == [
        f"DataTime={time_text(NOON + number * 30_000)};SB1-RS=1;SB2-RS=0" for number in (1, 2, 3, 4)
    ]


@virtual
async def test_without_equipment_or_without_a_known_state_there_is_no_2021(tmp_path: Path) -> None:
    offers = Offers()
    silent: list[Sample] = []
    made = await delivering(tmp_path, offers, lambda outlet, now: silent)
    await ticks(made, 70)
    silent.append(Sample(NOON, "ww1", "SB1", None, "B"))
    await ticks(made, 70)
    assert offers == []
    silent.append(Sample(NOON, "ww1", "SB2", 5.0, "N"))
    await ticks(made, 60)
    assert [body.partition(";")[2] for _, body in offers.of("city")] == ["SB2-RS=5"]


@pytest.mark.parametrize("stopped", ["state_on", "realtime_on"])
@virtual
async def test_each_stream_is_stopped_by_itself(tmp_path: Path, stopped: str) -> None:
    """2022 and 2012."""
    offers = Offers()

    def live(outlet: str, now_ms: int) -> list[Live]:
        return [Live(Sample(now_ms, outlet, "w01018", 30.0, "N"))]

    made = await delivering(tmp_path, offers, lambda outlet, now: [Sample(now, outlet, "SB1", 1.0, "N")], live)
    made.sessions["city", "ww1"].terms.override({stopped: "0"}, NOON)
    await ticks(made, 70)
    left = {"state_on": "2011", "realtime_on": "2021"}[stopped]
    assert [cn for cn, _ in offers.of("city")] == [left]
    assert {cn for cn, _ in offers.of("county")} == {"2011", "2021"}


@virtual
async def test_with_one_mn_for_two_outlets_a_command_goes_to_the_one_whose_st_it_bears(tmp_path: Path) -> None:
    """Pollutants under ST 32 and process conditions under ST 52, on a shared link."""
    world, city = World(tmp_path), ScriptedPlatform()
    water = world.add(city)
    site = replace(water.terms.site, outlets={"gk": Access(mn=MN, password="123456")})
    terms = Terms("city", "gk", "52", site, site.outlets["gk"])
    builder = Builder(terms, Engine(WATER, "gk", {}), {})
    store: Any = world.store
    session = Session(terms, store, world.clock, builder, world._command, world._event, lambda *args: None)
    world.builders["gk"] = builder
    world.links["city"]._users = [water, session]
    await world.sleep(1)
    for number, st in enumerate(("52", "32", "31")):
        head = f"QN=2016080108585700{number};ST={st};CN=1062;PW=123456;MN={MN};Flag=5;CP=&&RtdInterval=9{number}&&"
        city.send(wrap(head.encode()))
        await world.sleep(2)
    answers = {(seen.packet.qn or "")[-1]: seen.packet.get("QnRtn") for seen in city.of("9011")}
    assert answers == {"0": "1", "1": "1", "2": "5"}
    assert (terms.realtime_ms, water.terms.realtime_ms) == (90_000, 91_000)
    await world.stop()
