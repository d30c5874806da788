"""History 2031, 2041, 2051, 2061 and logs (C.20-C.23, C.41, C.47-C.50): what is sent, and how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from virtual_time import NOON, Profile, ScriptedPlatform, Seen, World, realtime_region, rendered, virtual

from edge.store import journal, records
from edge.values import DAY_MS, HOUR_MS, MINUTE_MS, Kind, Record
from protocol.frame import wrap
from protocol.packet import Packet
from protocol.times import time_text

QN = "20160801085857223"
HEAD = "QN={qn};ST=32;CN={cn};PW=123456;MN=010000A8900016F000169DC0;Flag=5;CP=&&{data}&&"


def ask(
    city: ScriptedPlatform, cn: str, begin: int, end: int, *, comma: str = ";", qn: str = QN, more: str = ""
) -> None:
    data = f"{more}BeginTime={time_text(begin)}{comma}EndTime={time_text(end)}"
    city.send(wrap(HEAD.format(qn=qn, cn=cn, data=data).encode()))


def sealed(world: World, count: int, kind: Kind = Kind.MINUTE) -> None:
    """Records that nobody is owed."""
    for number in range(count):
        start = (NOON - count * kind.ms if kind is Kind.MINUTE else NOON - 12 * HOUR_MS) + number * kind.ms
        world.seal(start, (), kind)


def results(city: ScriptedPlatform, qn: str = QN) -> list[str]:
    """ExeRtn of the 9012s of a request."""
    return [seen.packet.get("ExeRtn") or "" for seen in city.of("9012") if seen.packet.qn == qn]


def labels(found: list[Seen]) -> list[str | None]:
    return [seen.packet.get("DataTime") for seen in found]


@pytest.mark.parametrize("comma", [",", ";"])
@virtual
async def test_both_bounds_are_included_one_record_a_packet_own_qns_then_the_result(tmp_path: Path, comma: str) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    sealed(world, 20)
    world.add(city)
    await world.sleep(1)
    ask(city, "2051", NOON - 15 * MINUTE_MS, NOON - 11 * MINUTE_MS, comma=comma)
    await world.sleep(10)
    found = city.of("2051")
    assert labels(found) == [time_text(NOON - number * MINUTE_MS) for number in (15, 14, 13, 12, 11)]
    assert [seen.packet.cn for seen in city.seen] == ["9011", *["2051"] * 5, "9012"]
    assert dict(pair for item in found[0].packet.data[1:] for pair in item) == rendered(NOON - 15 * MINUTE_MS)
    qns = [seen.packet.qn for seen in found]
    assert qns == sorted({str(qn) for qn in qns})
    assert QN not in qns
    assert {seen.packet.flag for seen in found} == {5}
    assert results(city) == ["1"]
    assert world.open_count() == 0
    await world.stop()


@pytest.mark.parametrize(("cn", "kind"), [("2061", Kind.HOUR), ("2031", Kind.DAY)])
@virtual
async def test_hours_and_days_are_given_by_their_labels(tmp_path: Path, cn: str, kind: Kind) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    midnight = NOON - 12 * HOUR_MS
    for number in range(3):
        world.seal(midnight - (3 - number) * kind.ms, (), kind)
    world.add(city)
    await world.sleep(1)
    ask(city, cn, midnight - 2 * kind.ms, midnight + DAY_MS)
    await world.sleep(10)
    assert labels(city.of(cn)) == [time_text(midnight - 2 * kind.ms), time_text(midnight - kind.ms)]
    assert results(city) == ["1"]
    await world.stop()


@virtual
async def test_minutes_come_at_the_platforms_interval_and_none_that_has_not_ended(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    sealed(world, 25)
    world.add(city, minute=10 * MINUTE_MS)
    await world.sleep(1)
    ask(city, "2051", NOON - 3600_000, NOON)
    await world.sleep(10)
    # sealed from 11:35 on: 11:30 is half there, and is the period's record all the same
    assert labels(city.of("2051")) == [time_text(NOON - number * MINUTE_MS) for number in (30, 20, 10)]
    await world.stop()


@pytest.mark.parametrize("cn", ["2051", "2061", "2031", "2041"])
@virtual
async def test_where_nothing_is_there_the_result_is_100(tmp_path: Path, cn: str) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    world.add(city)
    await world.sleep(1)
    ask(city, cn, NOON - DAY_MS, NOON)
    await world.sleep(2)
    assert [seen.packet.cn for seen in city.seen] == ["9011", "9012"]
    assert results(city) == ["100"]
    await world.stop()


@virtual
async def test_a_second_request_while_one_runs_is_busy_and_the_first_goes_on(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(rtt_s=1.0)
    sealed(world, 20)
    world.add(city)
    await world.sleep(2)
    ask(city, "2051", NOON - 20 * MINUTE_MS, NOON)
    await world.sleep(3)
    ask(city, "2051", NOON - 20 * MINUTE_MS, NOON, qn="20160801085857224")
    await world.sleep(60)
    assert results(city, "20160801085857224") == ["5"]
    assert results(city) == ["1"]
    assert len(city.of("2051")) == 20
    ask(city, "2051", NOON - 20 * MINUTE_MS, NOON, qn="20160801085857225")
    await world.sleep(60)
    assert results(city, "20160801085857225") == ["1"]
    assert len(city.of("2051")) == 40
    await world.stop()


@virtual
async def test_a_year_asked_for_at_once_does_not_delay_live_data_and_stays_out_of_memory(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(rtt_s=0.1)
    starts = range(NOON - 20_000 * MINUTE_MS, NOON, MINUTE_MS)
    many = [Record("ww1", Kind.MINUTE, "w01018", start, min=1.0, avg=1.0, max=1.0) for start in starts]
    world.store.now(records.seal, many, [], NOON)
    session = world.add(city, backfill_rate=0.0)
    await world.sleep(1)
    ask(city, "2051", NOON - 365 * DAY_MS, NOON)
    await world.sleep(5)
    for number in range(5):
        before = world.clock.mono_s()
        await session.offer_fleeting("2011", NOON + number * 60_000, realtime_region(NOON + number * 60_000))
        await world.sleep(10)
        assert city.of("2011")[-1].at - before < 1.0
    assert len(city.of("2011")) == 5
    assert len(city.of("2051")) > 300
    asked = session._lanes._asked
    assert asked is not None
    assert len(asked.ready) <= 16
    city.cut()
    await world.sleep(1)
    city.up = True
    await world.sleep(100)
    sent = len(city.of("2051"))
    await world.sleep(60)
    assert len(city.of("2051")) == sent
    assert results(city) == []
    await world.stop()


@virtual
async def test_gaps_of_days_and_the_records_of_another_outlet_are_passed_over_in_small_steps(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    starts = [NOON - days * DAY_MS - minutes * MINUTE_MS for days in (400, 300, 7, 0) for minutes in (720, 3, 2)]
    found = [Record("ww1", Kind.MINUTE, "w01018", start, min=1.0, avg=1.0, max=1.0) for start in starts]
    others = [Record("ww2", Kind.MINUTE, "w01018", NOON - number * 3_600_000, avg=1.0) for number in range(9_000)]
    world.store.now(records.seal, found + others, [], NOON)
    world.add(city)
    await world.sleep(1)
    ask(city, "2051", NOON - 500 * DAY_MS, NOON)
    await world.sleep(30)
    assert labels(city.of("2051")) == [time_text(start) for start in sorted(starts)]
    assert results(city) == ["1"]
    await world.stop()


@virtual
async def test_without_answers_asked_for_the_flag_is_4_and_nothing_is_waited_for(tmp_path: Path) -> None:
    """C.47."""
    world, city = World(tmp_path), ScriptedPlatform(Profile(silent=True))
    sealed(world, 5)
    world.add(city, acknowledge=False)
    await world.sleep(1)
    ask(city, "2051", NOON - 5 * MINUTE_MS, NOON)
    await world.sleep(2)
    assert [seen.packet.flag for seen in city.of("2051")] == [4] * 5
    assert results(city) == ["1"]
    await world.stop()


@virtual
async def test_a_packet_that_is_never_answered_is_resent_and_ends_the_request_with_4(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform(Profile(silent=True))
    sealed(world, 5)
    world.add(city, retries=2)
    await world.sleep(1)
    ask(city, "2051", NOON - 5 * MINUTE_MS, NOON)
    await world.sleep(60)
    frames = [seen.frame for seen in city.of("2051")]
    assert (len(frames), len(set(frames))) == (3, 1)
    assert results(city) == ["4"]
    await world.stop()


@virtual
async def test_a_record_that_does_not_fit_is_split_and_each_part_is_answered(tmp_path: Path) -> None:
    """C.50."""
    world, city = World(tmp_path), ScriptedPlatform()
    factors = [f"w{number:05d}" for number in range(1, 41)]
    found = [Record("ww1", Kind.HOUR, factor, NOON - HOUR_MS, min=1.0, avg=1.0, max=1.0) for factor in factors]
    world.store.now(records.seal, found, [], NOON)
    world.add(city)
    await world.sleep(1)
    ask(city, "2061", NOON - HOUR_MS, NOON - HOUR_MS)
    await world.sleep(5)
    parts = [seen.packet for seen in city.of("2061")]
    assert {part.flag for part in parts} == {7}
    assert [part.pno for part in parts] == list(range(1, len(parts) + 1))
    assert {part.pnum for part in parts} == {len(parts)}
    assert len({part.qn for part in parts}) == len(parts) > 1
    assert results(city) == ["1"]
    await world.stop()


@virtual
async def test_logs_are_the_journals_entries_of_the_time_one_a_packet(tmp_path: Path) -> None:
    """C.41 with the logger's own log."""
    world, city = World(tmp_path), ScriptedPlatform()
    world.add(city)
    await world.sleep(1)
    for number in range(3):
        told = {"text": f"清洗管路;{number}"}
        world.store.now(journal.append, "user:zhang", "note", told, NOON - (10 - number) * 1000)
    ask(city, "3020", NOON - 9_000, NOON, comma=",", more="InfoId=i21001;")
    await world.sleep(5)
    found = [seen.packet for seen in city.of("3020")]
    assert [packet.get("i21001-Info") for packet in found] == [
        "//user:zhang note text:清洗管路 1//", "//user:zhang note text:清洗管路 2//",
    ]  # fmt: skip
    assert labels(city.of("3020")) == [time_text(NOON - 9_000), time_text(NOON - 8_000)]
    assert results(city) == ["1"]
    assert isinstance(found[0], Packet)
    await world.stop()
