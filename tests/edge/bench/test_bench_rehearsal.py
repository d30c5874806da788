"""`hj212 platform check`: a logger that conforms passes, each defect is found, and everything is set back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import annexc
import pytest
from bench_logger import Logger
from bench_peer import ManualClock, Peer

from edge.bench.conversation import Conformity
from edge.bench.edition import EDITIONS
from edge.bench.platform import BenchPlatform
from edge.bench.received import Repeat
from edge.bench.rehearsal import Rehearsal, Row, Wishes
from edge.bench.steps import STEPS, steps_of
from edge.catalogue import LANGUAGES, text
from protocol.commands import commands
from protocol.packet import Packet

CONFORMS, DEVIATES = Conformity.CONFORMS, Conformity.DEVIATES
NO_UPLOADS = frozenset({"resend"})


@pytest.fixture
async def logger(peer: Peer) -> AsyncIterator[Logger]:
    """A logger that conforms and has presented itself."""
    logger = Logger(peer)
    task = asyncio.create_task(logger.run())
    logger.upload()
    yield logger
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def check(platform: BenchPlatform, clock: ManualClock) -> Callable[..., Any]:
    async def run(*only: str, on_row: Callable[[Row], None] = lambda row: None, **wishes: Any) -> dict[str, Row]:
        wish = Wishes(only=frozenset(only), skip=wishes.pop("skip", NO_UPLOADS), **wishes)
        rehearsal = Rehearsal(platform, clock, wish, on_row)
        rows = await asyncio.wait_for(rehearsal.run([step for step in STEPS if wish.wants(step)]), 20)
        return {row.check: row for row in rows}

    return run


def codes(row: Row) -> list[str]:
    return [finding.code for finding in row.remarks]


def test_every_command_of_table_9_is_checked_and_those_with_pol_id_with_and_without_it() -> None:
    asked = {row.cn for row in commands() if row.direction == "to-logger"}
    assert {cn for step in STEPS for cn in (step.cn, step.also) if cn} == asked
    names = {step.name for step in STEPS}
    assert {"1011", "1011-PolId", "1012", "1012-PolId"} <= names
    assert {"3020-logger", "3020-state", "3020-log", "3020-log-PolId"} <= names


async def test_conforming_logger_passes_every_check_and_is_left_as_it_was(
    logger: Logger, check: Callable[..., Any]
) -> None:
    rows = await check(with_control=True, with_time=True)
    assert {name: row.remarks for name, row in rows.items() if row.verdict is not CONFORMS} == {}
    assert len(rows) == len(STEPS) - 2 + 2 + 7  # no resend; 2012 and 2022; connect, five uploads, the answers
    assert (logger.pw, logger.intervals) == ("123456", {"RtdInterval": "30", "MinInterval": "10"})
    assert "1012" in logger.commands
    assert [cn for cn in logger.commands if cn in ("2011", "2012")] == ["2012", "2011"]
    assert [cn for cn in logger.commands if cn in ("2021", "2022")] == ["2022", "2021"]  # though no state has come


@pytest.mark.parametrize("year", EDITIONS)
def test_every_check_and_its_effect_has_its_text_in_both_languages(year: str) -> None:
    steps = steps_of(EDITIONS[year])
    rows = [name for step in steps for name in (step.name, step.also) if name] + ["connect", "answers"]
    keys = {f"bench.what.{name}" for name in rows if not name.isdecimal()}
    keys |= {f"bench.effect.{step.effect}" for step in steps}
    assert [key for key in sorted(keys) for language in LANGUAGES if key in text(key, language)] == []


async def test_without_permission_neither_instruments_nor_the_clock_are_touched(
    logger: Logger, check: Callable[..., Any]
) -> None:
    await check()
    risky = {"1012", "3011", "3012", "3013", "3014", "3015", "3016", "3021"}
    assert not risky & set(logger.commands)


async def test_log_without_entries_conforms_and_says_that_there_were_none(
    logger: Logger, check: Callable[..., Any]
) -> None:
    rows = await check("3020-log")
    assert rows["3020-log"].verdict is CONFORMS
    assert codes(rows["3020-log"]) == ["bench.step.no_records", "bench.step.exe_rtn"]


def _no_request_answer(answers: list[Packet]) -> list[Packet]:
    return [answer for answer in answers if answer.cn != "9011"]


@pytest.mark.parametrize(
    ("cn", "spoil", "code"),
    [
        ("1061", lambda answers: [answers[0], answers[2]], "bench.seq.no_data"),
        ("1061", lambda answers: [answers[0], answers[2], answers[1]], "bench.seq.order"),
        ("1061", lambda answers: [answers[1], answers[0], answers[2]], "bench.seq.order"),
        ("1061", _no_request_answer, "bench.seq.missing"),
        ("1061", lambda answers: [answers[0], *answers], "bench.seq.twice"),
        ("1061", lambda answers: [replace(answers[0], st="32"), *answers[1:]], "bench.seq.field"),
        ("1061", lambda answers: [replace(answers[0], flag=5), *answers[1:]], "bench.seq.field"),
        ("1061", lambda answers: [replace(answers[0], pw="654321"), *answers[1:]], "bench.seq.password"),
        ("1061", lambda answers: [answers[0], replace(answers[1], st="91"), answers[2]], "bench.seq.field"),
        ("1061", lambda answers: [answers[0], replace(answers[1], flag=5), answers[2]], "bench.seq.field"),
        (
            "1061",
            lambda answers: [answers[0], replace(answers[1], qn="20160801085857999"), answers[2]],
            "bench.seq.field",
        ),
        (
            "1061",
            lambda answers: [answers[0], replace(answers[1], data=((("RtdInterval", "7"),),)), answers[2]],
            "protocol.packet.value",
        ),
        (
            "1000",
            lambda answers: [answers[0], replace(answers[1], data=((("ExeRtn", "42"),),))],
            "bench.seq.field",
        ),
        ("2012", lambda answers: [replace(answers[0], data=((("QnRtn", "1"),),))], "bench.seq.not_empty"),
        ("2051", lambda answers: [answers[0], answers[2], answers[1], answers[3]], "bench.seq.history_order"),
        (
            "2051",
            lambda answers: [answers[0], replace(answers[1], qn=answers[0].qn), *answers[2:]],
            "bench.seq.history_qn",
        ),
        ("2051", lambda answers: [answers[0], answers[3]], "bench.seq.no_data"),
        (
            "2051",
            lambda answers: [answers[0], replace(answers[1], flag=6, pnum=2, pno=1), *answers[2:]],
            "bench.parts_missing",
        ),
        (
            "2051",
            lambda answers: [*answers[:3], replace(answers[3], data=((("ExeRtn", "100"),),))],
            "bench.seq.data_despite",
        ),
        (
            "3017",
            lambda answers: [answers[0], replace(answers[1], data=answers[1].data[1:]), answers[2]],
            "bench.seq.field",
        ),
    ],
)
async def test_each_deviation_from_a_sequence_is_named(
    logger: Logger, check: Callable[..., Any], cn: str, spoil: Callable[[list[Packet]], list[Packet]], code: str
) -> None:
    logger.spoil = lambda request, answers: spoil(answers) if request.cn == cn else answers
    rows = await check(cn)
    assert rows[cn].verdict is DEVIATES
    assert code in codes(rows[cn])


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (("9011", "QnRtn", "2"), Conformity.REFUSED),
        (("9011", "QnRtn", "8"), Conformity.NOT_SUPPORTED),
        (("9012", "ExeRtn", "3"), Conformity.NOT_SUPPORTED),
        (("9012", "ExeRtn", "5"), Conformity.FAILED),
        (("9012", "ExeRtn", "100"), CONFORMS),
    ],
)
async def test_codes_of_a_sound_sequence_give_the_verdict(
    logger: Logger, check: Callable[..., Any], answer: tuple[str, str, str], verdict: Conformity
) -> None:
    cn, name, code = answer

    def spoil(request: Packet, answers: list[Packet]) -> list[Packet]:
        if request.cn != "3018":
            return answers
        last = replace(answers[0], cn=cn, data=(((name, code),),))
        return [last] if cn == "9011" else [answers[0], last]

    logger.spoil = spoil
    assert (await check("3018"))["3018"].verdict is verdict


async def test_logger_that_is_silent_to_a_command_times_out(
    logger: Logger, check: Callable[..., Any], clock: ManualClock, platform: BenchPlatform
) -> None:
    logger.spoil = lambda request, answers: []
    checking = asyncio.create_task(check("1063"))
    await asyncio.wait_for(platform.until(lambda: platform.connected(annexc.MN)), 5)
    for _ in range(3):
        await clock.advance(10)
    assert (await checking)["1063"].verdict is Conformity.TIMEOUT


async def test_logger_that_never_comes_is_said(check: Callable[..., Any], clock: ManualClock) -> None:
    checking = asyncio.create_task(check(wait_s=5))
    await clock.advance(6)
    rows = await checking
    assert [*rows] == ["connect"]
    assert (rows["connect"].verdict, codes(rows["connect"])) == (Conformity.TIMEOUT, ["bench.step.no_logger"])


async def test_wrong_password_that_is_obeyed_deviates_and_its_effect_is_undone(
    logger: Logger, check: Callable[..., Any]
) -> None:
    logger.takes_any_password = True
    row = (await check("PW"))["PW"]
    assert (row.verdict, codes(row)) == (DEVIATES, ["bench.step.executed", "bench.seq.field"])
    assert logger.intervals["RtdInterval"] == "30"


async def test_refusal_with_another_code_deviates(logger: Logger, check: Callable[..., Any]) -> None:
    logger.spoil = lambda request, answers: (
        [replace(answers[0], data=((("QnRtn", "2"),),))] if len(answers) == 1 and request.cn == "1999" else answers
    )
    row = (await check("CN"))["CN"]
    assert (row.verdict, codes(row)[0]) == (DEVIATES, "bench.seq.field")


async def test_own_mn_in_the_answer_to_a_wrong_one_deviates(logger: Logger, check: Callable[..., Any]) -> None:
    logger.spoil = lambda request, answers: [replace(answer, mn=annexc.MN) for answer in answers]
    row = (await check("MN"))["MN"]
    assert row.verdict is DEVIATES
    assert row.remarks[0].params["field"] == "MN"


async def test_damaged_command_that_is_carried_out_deviates(logger: Logger, check: Callable[..., Any]) -> None:
    logger.takes_damaged = True
    row = (await check("CRC"))["CRC"]
    assert (row.verdict, codes(row)) == (DEVIATES, ["bench.step.executed", "bench.step.not_silent"])
    assert logger.intervals["RtdInterval"] == "30"


async def test_answer_with_flag_bit_a_clear_deviates(logger: Logger, check: Callable[..., Any]) -> None:
    def loud(request: Packet, answers: list[Packet]) -> list[Packet]:
        if not request.wants_answer:
            logger.peer.say(*(answer.to_frame() for answer in answers))
        return answers

    logger.spoil = loud
    row = (await check("Flag"))["Flag"]
    assert (row.verdict, codes(row)) == (DEVIATES, ["bench.step.not_silent"])


async def test_setting_that_is_not_kept_deviates(logger: Logger, check: Callable[..., Any]) -> None:
    def forget(request: Packet, answers: list[Packet]) -> list[Packet]:
        logger.intervals["RtdInterval"] = "30"
        return answers

    logger.spoil = forget
    row = (await check("1062"))["1062"]
    assert (row.verdict, codes(row)) == (DEVIATES, ["bench.step.read_back"])


async def test_broken_off_rehearsal_sets_the_password_back(
    logger: Logger, platform: BenchPlatform, check: Callable[..., Any]
) -> None:
    changed = asyncio.Event()

    def stop(request: Packet, answers: list[Packet]) -> list[Packet]:
        if request.cn != "1061":
            return answers
        changed.set()
        return []

    logger.spoil = stop
    checking = asyncio.create_task(check("1072"))
    await asyncio.wait_for(changed.wait(), 5)
    assert logger.pw == "Bench1"
    logger.spoil = lambda request, answers: answers
    checking.cancel()
    await asyncio.gather(checking, return_exceptions=True)
    assert (logger.pw, platform.loggers[annexc.MN].password) == ("123456", "123456")


async def _upload_until_it_comes_back(logger: Logger, platform: BenchPlatform, again: bytes) -> None:
    logger.upload(annexc.MINUTE)
    await platform.until(lambda: platform.counts["2051"] > 0)
    assert platform.received[-1].answer is None
    logger.upload(again)


@pytest.mark.parametrize(
    ("again", "verdict", "repeat"),
    [
        (annexc.MINUTE, CONFORMS, Repeat.RESENT),
        (annexc.MINUTE.replace(b"QN=20160801085000001", b"QN=20160801085010001"), DEVIATES, Repeat.AGAIN),
    ],
)
async def test_unanswered_upload_must_come_again_byte_for_byte(
    logger: Logger,
    platform: BenchPlatform,
    check: Callable[..., Any],
    again: bytes,
    verdict: Conformity,
    repeat: Repeat,
) -> None:
    tasks: list[asyncio.Task[None]] = []

    def on_row(row: Row) -> None:
        tasks.append(asyncio.create_task(_upload_until_it_comes_back(logger, platform, again)))

    row = (await check("resend", skip=frozenset(), on_row=on_row))["resend"]
    assert row.verdict is verdict
    assert platform.received[-1].repeat is repeat
    assert not platform.profile.silent


async def test_upload_that_never_comes_again_deviates(
    logger: Logger, platform: BenchPlatform, check: Callable[..., Any], clock: ManualClock
) -> None:
    checking = asyncio.create_task(check("resend", skip=frozenset(), resend_s=20))
    await asyncio.wait_for(platform.until(lambda: platform.connected(annexc.MN)), 5)
    await clock.advance(0)
    logger.upload(annexc.MINUTE)
    await asyncio.wait_for(platform.until(lambda: platform.counts["2051"] == 1), 5)
    await clock.advance(21)
    row = (await checking)["resend"]
    assert (row.verdict, codes(row)) == (DEVIATES, ["bench.step.not_resent"])


async def test_uploads_of_bad_form_deviate_with_each_finding_once(logger: Logger, check: Callable[..., Any]) -> None:
    bad = Packet.from_segment(annexc.MINUTE[6:-6])
    values = (("w01018-Max", "+40.1"), ("w01018-Avg", "40.1"), ("w01018-Flag", "N"))
    for second in range(3):
        packet = replace(bad, qn=f"2016080108500{second}001", data=(bad.data[0], values))
        logger.peer.say(packet.to_frame())
    row = (await check("1061", "uploads"))["upload-2051"]
    assert (row.verdict, row.heard) == (DEVIATES, ("2051",) * 3)
    assert set(codes(row)) == {"bench.form.order", "bench.form.number"}


async def test_answer_after_the_end_of_its_command_deviates(logger: Logger, check: Callable[..., Any]) -> None:
    ended: list[Packet] = []

    def late(request: Packet, answers: list[Packet]) -> list[Packet]:
        before = ended[-1:]
        ended[:] = answers[-1:]
        return [*before, *answers]

    logger.spoil = late
    rows = await check("1061", "1063", "uploads")
    assert (rows["1061"].verdict, rows["1063"].verdict) == (CONFORMS, CONFORMS)
    assert (rows["answers"].verdict, codes(rows["answers"])) == (DEVIATES, ["bench.answer_late"])


async def test_second_result_behind_the_first_deviates(logger: Logger, check: Callable[..., Any]) -> None:
    logger.spoil = lambda request, answers: [*answers, answers[-1]]
    row = (await check("1063"))["1063"]
    assert (row.verdict, codes(row)) == (DEVIATES, ["bench.seq.twice"])
