"""Commands of a platform with the literal packets of HJ 212-2017 Annex C.1-C.13, and what must never happen.

The annex prints neither length nor CRC; `frame` adds them.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from virtual_time import NOON, ScriptedPlatform, World, realtime_region, virtual

from edge.agenda import Agenda
from edge.store import journal, settings
from edge.values import MINUTE_MS, Kind, Record
from protocol.frame import wrap
from protocol.packet import Packet

HEAD = "QN=20160801085857223;ST=32;CN={cn};PW=123456;MN=010000A8900016F000169DC0;Flag=5;CP=&&{data}&&"
ACCEPTED = "QN=20160801085857223;ST=91;CN=9011;PW=123456;MN=010000A8900016F000169DC0;Flag=4;CP=&&QnRtn=1&&"
DONE = "QN=20160801085857223;ST=91;CN=9012;PW=123456;MN=010000A8900016F000169DC0;Flag=4;CP=&&ExeRtn=1&&"
NOTED = "QN=20160801085857223;ST=91;CN=9013;PW=123456;MN=010000A8900016F000169DC0;Flag=4;CP=&&&&"


def request(cn: str, data: str = "") -> str:
    return HEAD.format(cn=cn, data=data)


def result(code: int) -> str:
    return DONE.replace("ExeRtn=1", f"ExeRtn={code}")


def refused(code: int) -> str:
    return ACCEPTED.replace("QnRtn=1", f"QnRtn={code}")


async def converse(world: World, city: ScriptedPlatform, segment: str) -> list[str]:
    """The segments that come back for one that is sent."""
    before = len(city.seen)
    city.send(wrap(segment.encode()))
    await world.sleep(1)
    return [seen.frame[6:-6].decode() for seen in city.seen[before:]]


async def connected(tmp_path: Path, **changes: object) -> tuple[World, ScriptedPlatform]:
    world, city = World(tmp_path), ScriptedPlatform()
    world.add(city, **changes)
    await world.sleep(1)
    return world, city


@pytest.mark.parametrize(
    ("cn", "data", "answers"),
    [
        ("1000", "OverTime=5;ReCount=3", [ACCEPTED, DONE]),
        ("1011", "PolId=w01018", [ACCEPTED, result(3)]),
        ("1012", "PolId=w01018;SystemTime=20160801085857", [ACCEPTED, result(3)]),
        ("1062", "RtdInterval=30", [ACCEPTED, DONE]),
        ("1064", "MinInterval=10", [ACCEPTED, DONE]),
        ("1072", "NewPW=654321", [ACCEPTED, DONE]),
        ("2011", "", [ACCEPTED, DONE]),
        ("2012", "", [NOTED]),
        ("2021", "", [ACCEPTED, DONE]),
        ("2022", "", [NOTED]),
        ("1000", "OverTime=0;ReCount=3", [ACCEPTED, result(3)]),
        ("1000", "OverTime=5", [ACCEPTED, result(3)]),
        ("1000", "OverTime=1e1;ReCount=3", [ACCEPTED, result(3)]),
        ("1062", "RtdInterval=29", [ACCEPTED, result(3)]),
        ("1062", "RtdInterval=abc", [ACCEPTED, result(3)]),
        ("1064", "MinInterval=7", [ACCEPTED, result(3)]),
        ("1072", "NewPW=toolong", [ACCEPTED, result(3)]),
        ("1012", "", [ACCEPTED, result(3)]),
    ],
)
@virtual
async def test_a_command_is_answered_as_annex_c_prints_it(
    tmp_path: Path, cn: str, data: str, answers: list[str]
) -> None:
    world, city = await connected(tmp_path)
    assert await converse(world, city, request(cn, data)) == answers
    await world.stop()


@pytest.mark.parametrize(("cn", "reply"), [("1061", "RtdInterval=30"), ("1063", "MinInterval=10")])
@virtual
async def test_a_get_command_replies_with_its_own_cn_and_flag_4(tmp_path: Path, cn: str, reply: str) -> None:
    world, city = await connected(tmp_path, realtime=30_000, minute=600_000)
    data = request(cn, reply).replace("Flag=5", "Flag=4")
    assert await converse(world, city, request(cn)) == [ACCEPTED, data, DONE]
    await world.stop()


@virtual
async def test_1011_gives_the_loggers_time(tmp_path: Path) -> None:
    world, city = await connected(tmp_path)
    data = request("1011", "SystemTime=20260922120001").replace("Flag=5", "Flag=4")
    assert await converse(world, city, request("1011")) == [ACCEPTED, data, DONE]
    await world.stop()


@virtual
async def test_the_checks_stand_in_their_order_and_the_first_that_fails_is_answered(tmp_path: Path) -> None:
    """QN 7, PW 3, MN 4, ST 5, Flag 6, CN 8 (Table 7): each packet also fails everything behind its check."""
    world, city = await connected(tmp_path)
    wrong = request("9999").replace("ST=32", "ST=31").replace("Flag=5", "Flag=7;PNUM=2;PNO=1")
    steps = [wrong]
    steps.append(steps[-1].replace("MN=010000A8900016F000169DC0", "MN=010000A8900016F000169DC1"))
    steps.append(steps[-1].replace("PW=123456", "PW=123457"))
    steps.append(steps[-1].replace("QN=20160801085857223", "QN=2016080108585722"))
    found = [(await converse(world, city, step))[0] for step in steps]
    codes = [Packet.from_segment(answer.encode()).get("QnRtn") for answer in found]
    assert codes == ["5", "4", "3", "7"]
    assert "PW=123457;MN=010000A8900016F000169DC1" in found[2]
    flag = request("9999").replace("Flag=5", "Flag=7;PNUM=2;PNO=1")
    assert await converse(world, city, flag) == [refused(6)]
    assert await converse(world, city, request("9999")) == [refused(8)]
    await world.stop()


@virtual
async def test_a_wrong_password_executes_nothing(tmp_path: Path) -> None:
    world, city = await connected(tmp_path)
    before = world.clock.offset_ms
    for cn, data in [
        ("1000", "OverTime=5;ReCount=9"), ("1012", "SystemTime=20260922120500"), ("1062", "RtdInterval=30"),
        ("1064", "MinInterval=10"), ("1072", "NewPW=654321"), ("2012", ""), ("2022", ""),
    ]:  # fmt: skip
        answers = await converse(world, city, request(cn, data).replace("PW=123456", "PW=000000"))
        assert answers == [refused(3).replace("PW=123456", "PW=000000")]
    assert world.store.now(settings.get_all, "city") == {}
    assert world.clock.offset_ms == before
    await world.stop()


@virtual
async def test_without_flag_bit_a_a_command_is_carried_out_silently(tmp_path: Path) -> None:
    world, city = await connected(tmp_path)
    assert await converse(world, city, request("1062", "RtdInterval=45").replace("Flag=5", "Flag=4")) == []
    assert world.sessions["city"].terms.realtime_ms == 45_000
    await world.stop()


@pytest.mark.parametrize("password", ["12 3456", "密码", "1#2"])
@virtual
async def test_a_packet_whose_echo_would_be_none_is_noted_and_the_link_lives(tmp_path: Path, password: str) -> None:
    world, city = await connected(tmp_path)
    assert await converse(world, city, request("1061").replace("PW=123456", f"PW={password}")) == []
    assert len(await converse(world, city, request("1061"))) == 3
    assert len(city.connects) == 1
    await world.stop()


@virtual
async def test_a_set_command_that_the_disk_refuses_says_so_and_changes_nothing(tmp_path: Path) -> None:
    world, _city = await connected(tmp_path)
    terms = world.sessions["city"].terms
    context = world.context(world.sessions["city"])
    said: list[bytes] = []

    async def write(frame: bytes) -> None:
        said.append(frame)

    async def note(action: str, detail: object) -> None:
        return

    from edge.remote.serve import serve

    context.note = note
    world.store.failing = True
    await serve(context, Packet.from_segment(request("1062", "RtdInterval=45").encode()), write)
    await serve(context, Packet.from_segment(request("2012").encode()), write)
    assert [frame[6:-6].decode() for frame in said] == [ACCEPTED, result(6)]
    assert (terms.realtime_ms, terms.realtime_on) == (60_000, True)
    await world.stop()


@pytest.mark.parametrize(
    ("policy", "synchronised", "step_s", "code"),
    [
        ("accept", False, 7200, 1), ("accept", True, 300, 1), ("accept", True, 7200, 3), ("accept", True, 0, 1),
        ("refuse", False, 300, 2), ("when-unsynchronised", False, 7200, 1), ("when-unsynchronised", True, 300, 2),
    ],
)  # fmt: skip
@virtual
async def test_1012_sets_the_clock_or_says_that_it_did_not(
    tmp_path: Path, policy: str, synchronised: bool, step_s: int, code: int
) -> None:
    from protocol.times import time_text

    world, city = await connected(tmp_path, time=policy)
    world.synchronised = synchronised
    target = NOON + 1000 + step_s * 1000
    before = world.clock.offset_ms
    assert await converse(world, city, request("1012", f"SystemTime={time_text(target)}")) == [ACCEPTED, result(code)]
    moved = world.clock.offset_ms - before
    assert abs(moved - (step_s * 1000 if code == 1 else 0)) < 100
    entries = [entry for entry in world.store.now(journal.entries, 100) if entry.action == "clock.set"]
    assert len(entries) == 1
    await world.stop()


@virtual
async def test_1012_with_a_time_that_cannot_be_or_without_the_right_to_set_it_fails(tmp_path: Path) -> None:
    world, city = await connected(tmp_path)
    before = world.clock.offset_ms
    assert await converse(world, city, request("1012", "SystemTime=20160801085857")) == [ACCEPTED, result(3)]
    world.clock.refuses = True
    assert await converse(world, city, request("1012", "SystemTime=20260922130000")) == [ACCEPTED, result(2)]
    assert world.clock.offset_ms == before
    assert not world.synchronised
    await world.stop()


@virtual
async def test_what_a_platform_set_survives_a_restart(tmp_path: Path) -> None:
    world, city = await connected(tmp_path)
    for cn, data in [
        ("1000", "OverTime=5;ReCount=9"), ("1062", "RtdInterval=45"), ("1064", "MinInterval=10"), ("2012", ""),
        ("2022", ""), ("1072", "NewPW=654321"),
    ]:  # fmt: skip
        assert await converse(world, city, request(cn, data))
    await world.stop()
    world, city = await connected(tmp_path)
    terms = world.sessions["city"].terms
    assert (terms.timeout_s, terms.retries, terms.realtime_ms, terms.minute_ms) == (5.0, 9, 45_000, 600_000)
    assert (terms.password, terms.realtime_on, terms.state_on) == ("654321", False, False)
    assert world.sessions["city"].exchange.retries == 9
    assert await converse(world, city, request("1061")) == [refused(3)]
    await world.stop()


@virtual
async def test_a_command_that_waited_when_the_link_went_down_is_not_carried_out_on_the_next(tmp_path: Path) -> None:
    world, city = await connected(tmp_path)
    world.store.commit_s = 2.0
    city.send(wrap(request("1062", "RtdInterval=45").encode()))
    city.send(wrap(request("1012", "SystemTime=20260922120500").encode()))
    await world.sleep(1)
    city.cut()
    before = world.clock.offset_ms
    world.store.commit_s = 0.0
    await world.sleep(3600)
    city.up = True
    await world.sleep(120)
    assert world.clock.offset_ms == before
    kept = world.store.now(settings.get_all, "city")
    assert kept[("ww1", "realtime")].value == str(world.sessions["city"].terms.realtime_ms) == "45000"
    await world.stop()


@virtual
async def test_a_flood_of_commands_does_not_delay_live_data(tmp_path: Path) -> None:
    world, city = await connected(tmp_path)
    for number in range(500):
        city.send(wrap(request("1061").replace("57223", f"{57000 + number}").encode()))
    await world.sessions["city"].offer_fleeting("2011", NOON, realtime_region(NOON))
    asked = world.clock.mono_s()
    await world.sleep(5)
    (live,) = city.of("2011")
    assert live.at - asked < 0.2
    assert "edge.commands-flood" in world.codes()
    assert len(city.connects) == 1
    await world.stop()


def minute(start: int) -> Record:
    return Record("ww1", Kind.MINUTE, "w01018", start, avg=1.0)


@pytest.mark.parametrize("second_at", [None, 20 * 60_000 + 5_000, 24 * 60_000])
@virtual
async def test_1064_begins_at_a_common_border_and_no_minute_is_lost_or_doubled(
    tmp_path: Path, second_at: int | None
) -> None:
    """10 min, then 15 min asked for at 12:13 (border 12:30), and, before that begins, 20 min (border 12:40)."""
    world, city = await connected(tmp_path, minute=600_000)
    agenda = Agenda([world.sessions["city"].terms])
    dues = []
    for number in range(180):
        start = NOON + number * MINUTE_MS
        world.clock.set_wall(start + 30_000)
        if number == 13:
            assert (await converse(world, city, request("1064", "MinInterval=15")))[-1] == DONE
        if second_at is not None and number == second_at // MINUTE_MS:
            assert (await converse(world, city, request("1064", "MinInterval=20")))[-1] == DONE
        dues += agenda.after([minute(start)])
    assert dues[0].start == NOON
    assert all(due.end == following.start for due, following in pairwise(dues))
    lengths = [((due.end or 0) - due.start) // MINUTE_MS for due in dues]
    assert lengths == ([10] * 3 + [15] * 10 if second_at is None else [10] * 4 + [20] * 7)
    await world.stop()


@virtual
async def test_a_refused_command_that_is_repeated_for_ever_does_not_fill_the_journal(tmp_path: Path) -> None:
    world, city = await connected(tmp_path)
    for _ in range(100):
        await converse(world, city, request("9999"))
    await world.sleep(3600)
    await converse(world, city, request("9999"))
    refusals = [entry for entry in world.store.now(journal.entries, 1000) if entry.action == "command.refused"]
    assert len(refusals) == 2
    assert len(city.of("9011")) == 101
    await world.stop()
