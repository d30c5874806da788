"""`serve --edition 2005`: answers and commands as HJ/T 212-2005 Annex C prints them, and its uploads."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from bench_peer import ManualClock, Peer

from edge.bench.conversation import CommandResult, Conformity, Outcome, Timing
from edge.bench.edition import edition
from edge.bench.errors import BadEdition
from edge.bench.platform import BenchPlatform, Options
from edge.bench.received import Verdict
from edge.bench.steps import STEPS, steps_of
from protocol.edition2005 import commands
from protocol.frame import wrap
from protocol.times import parse_time

MN = "88888880000001"
UPLOAD = (
    b"ST=32;CN=2051;PW=123456;MN=88888880000001;CP=&&DataTime=20040516021000;B01-Cou=200;"
    b"101-Cou=2.5,101-Min=1.1,101-Avg=1.1,101-Max=1.1&&"
)
ASKING = b"ST=32;CN=2051;QN=20040516010101001;PW=123456;MN=88888880000001;CP=&&DataTime=20040516021000;B01-Cou=200&&"
SPLIT = (
    b"ST=32;CN=2051;QN=20040516010101001;PW=123456;MN=88888880000001;PNO=1;PNUM=1;"
    b"CP=&&DataTime=20040516021000;B01-Cou=200&&"
)
ACCEPTED = b"ST=91;CN=9011;PW=123456;MN=88888880000001;Flag=0;CP=&&QN=20040516010101001;QnRtn=1&&"
EXECUTED = b"ST=91;CN=9012;PW=123456;MN=88888880000001;CP=&&QN=20040516010101001;ExeRtn=1&&"
NOTICED = b"ST=91;CN=9013;PW=123456;MN=88888880000001;CP=&&QN=20040516010101001&&"


class Clock2004(ManualClock):
    """When the examples of 2005 happen."""

    def wall_ms(self) -> int:
        return parse_time("20040516010101001") + round(self.mono_s() * 1000)


@pytest.fixture
def clock() -> ManualClock:
    return Clock2004()


@pytest.fixture
async def platform(clock: ManualClock) -> AsyncIterator[BenchPlatform]:
    platform = BenchPlatform(clock=clock, options=Options(edition=edition("2005"), timing=Timing(10, 2, 30)))
    await platform.start()
    yield platform
    await platform.stop()


async def known(platform: BenchPlatform, peer: Peer) -> None:
    peer.say(wrap(UPLOAD))
    await asyncio.wait_for(platform.until(lambda: platform.connected(MN)), 5)


def begin(platform: BenchPlatform, cn: str, *fields: tuple[str, str]) -> asyncio.Task[CommandResult]:
    return asyncio.create_task(platform.command(MN, cn, fields))


async def test_upload_without_qn_is_fine_and_not_answered(platform: BenchPlatform, peer: Peer) -> None:
    await known(platform, peer)
    received = platform.received[0]
    assert (received.answer, [finding for finding in received.findings if finding.grave]) == (None, [])
    assert peer.heard_nothing()


@pytest.mark.parametrize(
    ("upload", "answer"),
    [
        (ASKING, b"ST=91;CN=9014;CP=&&QN=20040516010101001;CN=2051&&"),
        (SPLIT, b"ST=91;CN=9014;CP=&&QN=20040516010101001;CN=2051;PNO=1;PNUM=1&&"),
        (
            UPLOAD.replace(b"CP=&&", b"CP=&&QN=20040516010101001;"),
            b"ST=91;CN=9014;CP=&&QN=20040516010101001;CN=2051&&",
        ),
    ],
)
async def test_upload_with_a_qn_is_answered_inside_the_data_region(
    platform: BenchPlatform, peer: Peer, upload: bytes, answer: bytes
) -> None:
    peer.say(wrap(upload))
    assert await peer.hear() == wrap(answer)
    assert platform.received[0].verdict is not Verdict.BAD


async def test_alarm_of_2005_is_a_notice(platform: BenchPlatform, peer: Peer) -> None:
    peer.say(
        wrap(
            b"QN=20040516010101001;ST=32;CN=2072;PW=123456;MN=88888880000001;Flag=1;"
            b"CP=&&AlarmTime=20040516010101;101-Ala=1.1,AlarmType=1&&"
        )
    )
    assert (await peer.hear())[6:-6] == NOTICED.replace(b";CP", b";Flag=0;CP")


async def test_password_command_and_its_answers_are_those_of_2005(platform: BenchPlatform, peer: Peer) -> None:
    await known(platform, peer)
    task = begin(platform, "1072", ("NewPW", "654321"))
    assert (await peer.hear())[6:-6] == (
        b"QN=20040516010101001;ST=32;CN=1072;PW=123456;MN=88888880000001;Flag=3;CP=&&PW=654321&&"
    )
    peer.say(wrap(ACCEPTED), wrap(EXECUTED))
    result = await task
    assert (result.outcome, result.deviations) == (Outcome.DONE, ())
    assert platform.loggers[MN].password == "654321"


async def test_parameter_reply_carries_its_qn_in_the_data_region(platform: BenchPlatform, peer: Peer) -> None:
    await known(platform, peer)
    task = begin(platform, "1011")
    await peer.hear()
    reply = b"ST=32;CN=1011;PW=123456;MN=88888880000001;CP=&&QN=20040516010101001;SystemTime=20040516010102&&"
    peer.say(wrap(ACCEPTED), wrap(reply), wrap(EXECUTED))
    result = await task
    assert (result.get("SystemTime"), result.conformity) == ("20040516010102", Conformity.CONFORMS)


async def test_realtime_starts_without_a_result_and_stops_under_the_same_qn(
    platform: BenchPlatform, peer: Peer, clock: ManualClock
) -> None:
    await known(platform, peer)
    task = begin(platform, "2011")
    await peer.hear()
    peer.say(wrap(ACCEPTED))
    assert (await task).conformity is Conformity.CONFORMS
    await clock.advance(5)
    task = begin(platform, "2012")
    assert b"QN=20040516010101001;ST=32;CN=2012" in await peer.hear()
    peer.say(wrap(NOTICED))
    assert (await task).conformity is Conformity.CONFORMS


async def test_result_of_a_history_with_answers_is_answered_too(platform: BenchPlatform, peer: Peer) -> None:
    await known(platform, peer)
    task = begin(platform, "2051", ("BeginTime", "20040516020000"), ("EndTime", "20040516030000"))
    await peer.hear()
    peer.say(wrap(ACCEPTED), wrap(ASKING), wrap(EXECUTED))
    assert (await task).deviations == ()
    said = [(await peer.hear())[6:-6] for _ in range(2)]
    assert said == [
        b"ST=91;CN=9014;CP=&&QN=20040516010101001;CN=2051&&",
        b"ST=91;CN=9014;CP=&&QN=20040516010101001;CN=9012&&",
    ]


async def test_flag_of_2017_is_noted(platform: BenchPlatform, peer: Peer) -> None:
    peer.say(wrap(UPLOAD.replace(b";CP", b";Flag=4;CP")))
    await asyncio.wait_for(platform.until(lambda: platform.counts["2051"] == 1), 5)
    assert "bench.flag_version" in {finding.code for finding in platform.received[0].findings}


async def test_answer_with_the_qn_in_the_header_deviates(platform: BenchPlatform, peer: Peer) -> None:
    await known(platform, peer)
    task = begin(platform, "1000", ("OverTime", "5"), ("ReCount", "3"))
    await peer.hear()
    header = b"QN=20040516010101001;ST=91;CN=9011;PW=123456;MN=88888880000001;Flag=0;CP=&&QnRtn=1&&"
    peer.say(wrap(header), wrap(EXECUTED))
    assert [finding.code for finding in (await task).deviations] == ["bench.seq.qn_place"]


def test_unknown_edition_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadEdition) as caught:
        edition("1998")
    assert caught.value.params == {"came": "1998", "known": "2017, 2005"}


async def test_the_form_of_2005_is_no_deviation(platform: BenchPlatform, peer: Peer) -> None:
    await known(platform, peer)
    peer.say(wrap(ASKING))
    await asyncio.wait_for(platform.until(lambda: platform.counts["2051"] == 2), 5)
    found = [finding.code for received in platform.received for finding in received.findings]
    assert found == ["bench.data_time_ahead"] * 2  # the examples' data are an hour ahead of their QN


@pytest.mark.parametrize(
    ("upload", "code"),
    [
        (UPLOAD.replace(b"101-", b"w21011-"), "bench.factor_edition"),
        (UPLOAD.replace(b"CN=2051", b"CN=2081"), "bench.cn_edition"),
        (UPLOAD.replace(b"CN=2051", b"CN=2999"), "bench.cn_unknown"),
        (UPLOAD.replace(b"MN=88888880000001", b"MN=8888888"), "protocol.note.form"),
    ],
)
async def test_what_is_of_another_edition_is_noted(
    platform: BenchPlatform, peer: Peer, upload: bytes, code: str
) -> None:
    peer.say(wrap(upload))
    await asyncio.wait_for(platform.until(lambda: platform.counts.total() == 1), 5)
    assert code in {finding.code for finding in platform.received[0].findings}


async def test_an_alarm_is_answered_although_its_flag_is_that_of_the_example(
    platform: BenchPlatform, peer: Peer
) -> None:
    peer.say(
        wrap(
            b"QN=20040516010101001;ST=32;CN=2072;PW=123456;MN=88888880000001;Flag=0;"
            b"CP=&&AlarmTime=20040506010101;101-Ala=1.1,AlarmType=1&&"
        )
    )
    assert (await peer.hear())[6:-6] == NOTICED.replace(b";CP", b";Flag=0;CP")


def test_every_command_of_2005_is_rehearsed_and_none_that_it_does_not_have() -> None:
    asked = {row.cn for row in commands() if row.direction == "to-logger"}
    steps = steps_of(edition("2005"))
    assert {cn for step in steps for cn in (step.cn, step.also) if cn} == asked
    assert steps[-1].name == "uploads"
    assert {step.name: step.expected for step in steps if step.name in ("PW", "MN", "2011", "1021")} == {
        "PW": "9011 QnRtn=3", "MN": "9011 QnRtn=2", "2011": "9011", "1021": "9011 → 1021 → 9012",
    }  # fmt: skip
    assert steps_of(edition("2017")) is STEPS
