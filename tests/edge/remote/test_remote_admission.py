"""Who may command what, how often; and that a wrong PW, MN or ST executes nothing and reveals nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from virtual_time import MN, ScriptedPlatform, World, realtime_region, site_platform, virtual

from config.site import Access, CommandCode
from edge.actions import ActionResult
from edge.clock import SimulatedClock
from edge.remote.context import Context, Refusals
from edge.remote.handlers import NOTICES, READS, REQUESTS, TABLES
from edge.remote.serve import allowed, serve
from edge.store import journal
from edge.uplink.terms import Terms
from protocol import edition2005
from protocol.commands import Command, commands
from protocol.frame import wrap
from protocol.packet import Packet

COMMANDS = sorted({*REQUESTS, *NOTICES})
VALUES = (
    "OverTime=5;ReCount=3;PolId=w01018;SystemTime=20260922120500;RtdInterval=30;MinInterval=10;NewPW=654321;"
    "BeginTime=20260922110000;EndTime=20260922120000;CstartTime=000000;CTime=2;InfoId=i13004;i13004-Info=1"
)
SECRET = "S3cret"


def handled(edition: str) -> set[str]:
    return {*TABLES[edition].requests, *TABLES[edition].notices}


def test_every_request_and_notice_of_an_edition_has_its_handler_and_may_be_named_in_allow() -> None:
    def asked(rows: tuple[Command, ...]) -> set[str]:
        return {row.cn for row in rows if row.direction == "to-logger"}

    assert handled("2017") == asked(commands())
    assert handled("2005") == asked(edition2005.commands())
    assert handled("2017") | handled("2005") == set(get_args(CommandCode))


def untouchable(edition: str) -> Context:
    """A context in which everything that a handler may touch fails the test."""

    def touched(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("executed")

    async def note(action: str, detail: dict[str, Any]) -> None:
        assert action in ("command.refused", "command.unanswerable")

    terms = Terms("city", "ww1", "32", site_platform(edition=edition), Access(mn=MN, password=SECRET))
    clock = SimulatedClock(1_790_049_600_000)
    rest: Any = touched
    return Context(terms, clock, rest, note, rest, rest, Refusals(), rest, rest, rest, rest)


@given(
    cn=st.sampled_from(COMMANDS),
    wrong=st.sampled_from(("PW", "MN", "ST")),
    text=st.text("0123456789ABCDEFabcdef", min_size=1, max_size=24),
    flag=st.sampled_from(("4", "5")),
)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_wrong_pw_mn_or_st_executes_nothing_and_reveals_nothing(cn: str, wrong: str, text: str, flag: str) -> None:
    right = {"PW": SECRET, "MN": MN, "ST": "32"}
    head = {**right, wrong: text[:2] if wrong == "ST" else text}
    if head == right:
        return
    station = f"PW={head['PW']};MN={head['MN']}"
    segment = f"QN=20260922120000000;ST={head['ST']};CN={cn};{station};Flag={flag};CP=&&{VALUES}&&"
    said: list[bytes] = []

    async def write(frame: bytes) -> None:
        said.append(frame)

    code = asyncio.run(serve(untouchable("2017"), Packet.from_segment(segment.encode()), write))
    assert code == {"PW": 3, "MN": 4, "ST": 5}[wrong]
    assert len(said) == (flag == "5")
    for frame in said:
        expected = f"QN=20260922120000000;ST=91;CN=9011;{station};Flag=4;CP=&&QnRtn={code}&&"
        assert frame == wrap(expected.encode())


@given(
    cn=st.sampled_from(sorted(handled("2005"))),
    wrong=st.sampled_from(("PW", "MN", "ST")),
    text=st.text("0123456789ABCDEFabcdef", min_size=2, max_size=24),
    flag=st.sampled_from(("", "Flag=2;", "Flag=3;")),
)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_wrong_pw_mn_or_st_executes_nothing_of_2005_either(cn: str, wrong: str, text: str, flag: str) -> None:
    right = {"PW": SECRET, "MN": MN, "ST": "32"}
    head = {**right, wrong: text[:2] if wrong == "ST" else text}
    if head == right:
        return
    station = f"PW={head['PW']};MN={head['MN']}"
    segment = f"QN=20260922120000000;ST={head['ST']};CN={cn};{station};{flag}CP=&&{VALUES}&&"
    said: list[bytes] = []

    async def write(frame: bytes) -> None:
        said.append(frame)

    request = edition2005.EDITION_2005.read(segment.encode())
    assert asyncio.run(serve(untouchable("2005"), request, write)) == {"PW": 3, "MN": 4, "ST": 5}[wrong]
    # QnRtn of 2005 knows a wrong password and no other reason
    answer = f"ST=91;CN=9011;{station};Flag=0;CP=&&QN=20260922120000000;QnRtn={3 if wrong == 'PW' else 2}&&"
    assert said == ([] if flag == "Flag=2;" else [wrap(answer.encode())])


@pytest.mark.parametrize(
    ("changes", "may"),
    [
        ({}, set(COMMANDS)),
        ({"role": "rehearsal"}, set(COMMANDS)),
        ({"role": "other"}, set(READS)),
        ({"allow": "read"}, set(READS)),
        ({"role": "other", "allow": "all"}, set(COMMANDS)),
        ({"allow": ("1012", "3011")}, {"1012", "3011"}),
        ({"allow": ()}, set()),
    ],
)
def test_the_site_says_what_a_platform_may_command(changes: dict[str, Any], may: set[str]) -> None:
    platform = site_platform(**changes)
    assert {cn for cn in COMMANDS if allowed(platform, cn)} == may


def request(cn: str, data: str = "", qn: str = "20160801085857223") -> bytes:
    return wrap(f"QN={qn};ST=32;CN={cn};PW=123456;MN={MN};Flag=5;CP=&&{data}&&".encode())


@virtual
async def test_what_is_not_allowed_is_refused_with_2_and_stands_once_in_the_journal(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    session = world.add(city, role="other")
    await world.sleep(1)
    for _ in range(3):
        city.send(request("1062", "RtdInterval=30"))
        await world.sleep(1)
    assert [seen.packet.get("QnRtn") for seen in city.seen] == ["2", "2", "2"]
    assert session.terms.realtime_ms == 60_000
    assert [entry.action for entry in world.store.now(journal.entries, 10)] == ["command.refused"]
    await world.stop()


@virtual
async def test_more_commands_a_minute_than_allowed_are_refused_and_the_next_minute_begins_anew(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    world.add(city, commands_per_minute=3)
    await world.sleep(1)
    for _ in range(5):
        city.send(request("1061"))
        await world.sleep(1)
    assert [seen.packet.get("QnRtn") for seen in city.of("9011")] == ["1", "1", "1", "2", "2"]
    await world.sleep(60)
    city.send(request("1061"))
    await world.sleep(1)
    assert city.of("9011")[-1].packet.get("QnRtn") == "1"
    await world.stop()


@virtual
async def test_a_hostile_platform_does_not_delay_another_ones_live_data_by_a_second(tmp_path: Path) -> None:
    """A thousand commands a second, frames without end, bytes one at a time."""
    world, city, evil = World(tmp_path), ScriptedPlatform(), ScriptedPlatform()
    session = world.add(city)
    world.add(evil, "evil")
    await world.sleep(1)

    async def attack() -> None:
        for number in range(10_000):
            evil.send(request("2051", VALUES) if number % 2 else request("1061"))
            evil.send(b"##9999QN=2016")
            evil.send(b"#")
            await asyncio.sleep(0.001)

    world.task(attack())
    for number in range(9):
        before = world.clock.mono_s()
        await session.offer_fleeting("2011", world.clock.wall_ms(), realtime_region(world.clock.wall_ms()))
        await asyncio.sleep(1)
        assert len(city.of("2011")) == number + 1
        assert city.of("2011")[-1].at - before < 1.0
    await world.stop()


class SlowInstruments:
    """An action takes 20 min."""

    async def run(self, *args: Any, **values: Any) -> ActionResult:
        await asyncio.sleep(1200)
        return ActionResult("done")


@virtual
async def test_while_an_action_runs_other_commands_go_on_and_too_many_actions_are_busy(tmp_path: Path) -> None:
    world, city = World(tmp_path), ScriptedPlatform()
    world.actions = SlowInstruments()
    world.add(city)
    await world.sleep(1)
    qns = [f"20160801085857{number:03d}" for number in range(9)]
    for qn in qns:
        city.send(request("3011", "PolId=w01018", qn))
    await world.sleep(2)
    (busy,) = city.of("9012")
    assert busy.packet.get("ExeRtn") == "5"
    city.send(request("1061"))
    await world.sleep(1)
    assert len(city.of("1061")) == 1
    await world.sleep(1300)
    done = {seen.packet.qn for seen in city.of("9012") if seen.packet.cn == "9012" and seen.packet.get("ExeRtn") == "1"}
    assert set(qns) - {busy.packet.qn} <= done
    await world.stop()


ENDS = [("no-action", "3"), ("busy", "5"), ("timeout", "4"), ("fault", "2"), ("no-data", "100")]


@pytest.mark.parametrize("code", ENDS)
@virtual
async def test_an_action_that_fails_says_how(tmp_path: Path, code: tuple[Any, str]) -> None:
    class Failing:
        async def run(self, *args: Any, **values: Any) -> ActionResult:
            return ActionResult(code[0])

    world, city = World(tmp_path), ScriptedPlatform()
    world.actions = Failing()
    world.add(city)
    await world.sleep(1)
    for cn in ("3011", "3015", "3017", "3018", "3019"):
        city.send(request(cn, "PolId=w01018"))
        await world.sleep(1)
    assert [seen.packet.cn for seen in city.seen] == ["9011", "9012"] * 5
    assert [seen.packet.get("ExeRtn") for seen in city.of("9012")] == [code[1]] * 5
    entries = world.store.now(journal.entries, 10)
    assert [entry.action for entry in entries][:2] == ["instrument.zero-span", "instrument.keep-sample"]
    assert {str(entry.detail["ExeRtn"]) for entry in entries} == {code[1]}
    await world.stop()
