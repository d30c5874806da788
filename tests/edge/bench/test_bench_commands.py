"""Commands to a logger: request answer, data, result, resends and what goes wrong in between (§6.2, §6.5)."""

import asyncio
from dataclasses import replace

import annexc
import pytest
from bench_peer import Dial, ManualClock, Peer, settle

from edge.bench.conversation import CommandResult, Outcome
from edge.bench.platform import BenchPlatform, Options
from protocol.packet import Packet


@pytest.fixture
async def known(platform: BenchPlatform, peer: Peer) -> Peer:
    """A logger that has presented itself."""
    peer.say(annexc.REALTIME)
    await peer.hear()
    return peer


def answer(request: Packet, cn: str, **fields: str) -> bytes:
    return replace(request, st="91", cn=cn, flag=4, data=tuple((pair,) for pair in fields.items())).to_frame()


def begin(platform: BenchPlatform, cn: str, *fields: tuple[str, str]) -> asyncio.Task[CommandResult]:
    return asyncio.create_task(platform.command(annexc.MN, cn, fields))


async def test_set_timeout_goes_out_as_in_annex_c_and_is_done(platform: BenchPlatform, known: Peer) -> None:
    task = begin(platform, "1000", ("OverTime", "5"), ("ReCount", "3"))
    assert await known.hear() == annexc.SET_TIMEOUT
    known.say(annexc.ACCEPTED, annexc.EXECUTED)
    result = await task
    assert result.outcome is Outcome.DONE
    assert (result.qn_rtn, result.exe_rtn, result.sent) == ("1", "1", 1)


async def test_parameter_reply_is_in_the_result(platform: BenchPlatform, known: Peer) -> None:
    task = begin(platform, "1011", ("PolId", "w01018"))
    await known.hear()
    known.say(annexc.ACCEPTED, annexc.TIME_REPLY, annexc.EXECUTED)
    assert (await task).get("SystemTime") == "20160801085857"


async def test_history_under_qns_of_its_own_is_in_the_result_and_live_data_are_not(
    platform: BenchPlatform, known: Peer
) -> None:
    begin_time, end_time = ("BeginTime", "20160801084000"), ("EndTime", "20160801084000")
    task = begin(platform, "2051", begin_time, end_time)
    request = await known.hear_packet()
    history = Packet.from_segment(annexc.MINUTE_HISTORY[6:-6])
    live = replace(history, qn="20160801085857900", data=((("DataTime", "20160801085800"),), *history.data[1:]))
    known.say(annexc.ACCEPTED, live.to_frame(), annexc.MINUTE_HISTORY, answer(request, "9012", ExeRtn="1"))
    result = await task
    assert result.data == (history,)


async def test_refused_request_ends_without_waiting_for_a_result(platform: BenchPlatform, known: Peer) -> None:
    task = begin(platform, "1062", ("RtdInterval", "7"))
    known.say(answer(await known.hear_packet(), "9011", QnRtn="2"))
    result = await task
    assert (result.outcome, result.qn_rtn, result.exe_rtn) == (Outcome.REFUSED, "2", None)


async def test_failed_execution_shows_its_code(platform: BenchPlatform, known: Peer) -> None:
    task = begin(platform, "1012", ("SystemTime", "20160801085857"))
    request = await known.hear_packet()
    known.say(answer(request, "9011", QnRtn="1"), answer(request, "9012", ExeRtn="2"))
    result = await task
    assert (result.outcome, result.exe_rtn) == (Outcome.FAILED, "2")


async def test_notice_is_done_with_9013(platform: BenchPlatform, known: Peer) -> None:
    task = begin(platform, "2012")
    await known.hear()
    known.say(annexc.NOTICE_ANSWER)
    assert (await task).outcome is Outcome.DONE


async def test_silence_resends_the_same_bytes_and_ends_in_a_timeout(
    platform: BenchPlatform, known: Peer, clock: ManualClock
) -> None:
    task = begin(platform, "1061")
    first = await known.hear()
    await clock.advance(10)
    second = await known.hear()
    await clock.advance(10)
    third = await known.hear()
    await clock.advance(10)
    result = await task
    assert first == second == third
    assert (result.outcome, result.sent) == (Outcome.TIMEOUT, 3)
    assert known.heard_nothing()


async def test_accepted_request_without_a_result_is_not_resent(
    platform: BenchPlatform, known: Peer, clock: ManualClock
) -> None:
    task = begin(platform, "1061")
    known.say(answer(await known.hear_packet(), "9011", QnRtn="1"))
    await asyncio.wait_for(platform.until(lambda: platform.counts["9011"] == 1), 5)
    await clock.advance(31)
    result = await task
    assert (result.outcome, result.qn_rtn, result.sent) == (Outcome.NO_RESULT, "1", 1)
    assert known.heard_nothing()


async def test_answer_to_another_qn_is_not_taken(platform: BenchPlatform, known: Peer) -> None:
    task = begin(platform, "1061")
    request = await known.hear_packet()
    known.say(answer(replace(request, qn="20160801085857000"), "9011", QnRtn="2"))
    await asyncio.wait_for(platform.until(lambda: platform.counts["9011"] == 1), 5)
    assert not task.done()
    known.say(answer(request, "9011", QnRtn="1"), answer(request, "9012", ExeRtn="1"))
    assert (await task).outcome is Outcome.DONE


async def test_logger_that_comes_back_on_another_link_still_answers(
    platform: BenchPlatform, known: Peer, dial: Dial, clock: ManualClock
) -> None:
    task = begin(platform, "1061")
    request = await known.hear_packet()
    platform.drop_links()
    back = await dial()
    back.say(annexc.MINUTE)
    await back.hear()
    await clock.advance(10)
    assert await back.hear_packet() == request
    back.say(answer(request, "9011", QnRtn="1"), answer(request, "9012", ExeRtn="1"))
    assert (await task).outcome is Outcome.DONE


async def test_commands_carry_the_new_password_once_it_is_set(platform: BenchPlatform, known: Peer) -> None:
    task = begin(platform, "1072", ("NewPW", "abcdef"))
    request = await known.hear_packet()
    assert request.pw == "123456"
    known.say(answer(request, "9011", QnRtn="1"), answer(request, "9012", ExeRtn="1"))
    await task
    known.say(annexc.MINUTE)  # made before the change, still with the old password
    assert await known.hear() == annexc.MINUTE_ANSWER
    next_task = begin(platform, "1061")
    assert (await known.hear_packet()).pw == "abcdef"
    next_task.cancel()


async def test_qns_of_commands_rise_while_the_clock_stands_still(platform: BenchPlatform, known: Peer) -> None:
    tasks = [begin(platform, "1061") for _ in range(3)]
    qns = [(await known.hear_packet()).qn for _ in range(3)]
    assert qns == ["20160801085857223", "20160801085857224", "20160801085857225"]
    for task in tasks:
        task.cancel()


async def test_command_without_a_connected_logger_is_said_at_once(platform: BenchPlatform, known: Peer) -> None:
    assert (await platform.command("nobody", "1061")).outcome is Outcome.NO_LOGGER
    known.writer.close()
    await asyncio.wait_for(platform.until(lambda: platform.links == 0), 5)
    assert (await platform.command(annexc.MN, "1061")).outcome is Outcome.NO_LOGGER


async def test_calibration_request_is_followed_by_the_platforms_time_where_that_is_wanted(
    clock: ManualClock,
) -> None:
    results: list[CommandResult] = []
    options = Options(calibrate=True, on_result=results.append)
    platform = BenchPlatform("127.0.0.1:0", clock=clock, options=options)
    await platform.start()
    peer = Peer(*await asyncio.open_connection("127.0.0.1", platform.port))
    peer.say(annexc.CALIBRATION_REQUEST)
    assert await peer.hear() == annexc.NOTICE_ANSWER
    request = await peer.hear_packet()
    assert (request.cn, request.get("SystemTime")) == ("1012", "20160801085857")
    peer.say(answer(request, "9011", QnRtn="1"), answer(request, "9012", ExeRtn="1"))
    await asyncio.wait_for(platform.until(lambda: platform.counts["9012"] == 1), 5)
    await settle()
    assert [result.outcome for result in results] == [Outcome.DONE]
    peer.writer.close()
    await platform.stop()
