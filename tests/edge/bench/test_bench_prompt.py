"""The prompt's and the script's lines."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import annexc
import pytest
from bench_peer import ManualClock, Peer

from edge.bench.errors import BadLine, BenchError, Unmet
from edge.bench.platform import BenchPlatform
from edge.bench.prompt import Prompt, lines_of
from edge.bench.screen import TextScreen
from edge.bench.verbs import VERBS, raw_region, region
from edge.catalogue import use_language


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    use_language("en")
    yield
    use_language(None)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def prompt(platform: BenchPlatform, clock: ManualClock, said: list[str]) -> Prompt:
    return Prompt(platform, clock, TextScreen(said.append, quiet=False))


async def answered_by(peer: Peer, *frames: bytes) -> bytes:
    """Hear one command and answer it."""
    heard = await peer.hear()
    peer.say(*frames)
    return heard


async def test_set_timeout_line_is_the_command_of_annex_c(prompt: Prompt, peer: Peer) -> None:
    peer.say(annexc.REALTIME)
    await peer.hear()
    acting = asyncio.create_task(prompt.act("set-timeout 5 3"))
    assert await answered_by(peer, annexc.ACCEPTED, annexc.EXECUTED) == annexc.SET_TIMEOUT
    await acting
    await prompt.play(["expect done", "expect ExeRtn=1", "expect QnRtn=1"])
    with pytest.raises(Unmet):
        await prompt.act("expect refused")


async def test_set_time_alone_sends_the_platforms_time() -> None:
    assert region(VERBS["set-time"], (), 1470013137223) == ((("SystemTime", "20160801085857"),),)


def test_raw_region_keeps_items_and_their_fields_apart() -> None:
    assert raw_region("PolId=w01018;w01018-Rtd=2.2,w01018-Flag=N") == (
        (("PolId", "w01018"),),
        (("w01018-Rtd", "2.2"), ("w01018-Flag", "N")),
    )


async def test_raw_command_goes_out_as_written(prompt: Prompt, peer: Peer) -> None:
    peer.say(annexc.REALTIME)
    await peer.hear()
    acting = asyncio.create_task(prompt.act("send 1000 OverTime=5;ReCount=3"))
    assert await answered_by(peer, annexc.ACCEPTED, annexc.EXECUTED) == annexc.SET_TIMEOUT
    await acting


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("dance", "bench.line.unknown"),
        ('send "1000', "bench.line.quotes"),
        ("set-timeout 5", "bench.line.arguments"),
        ("send", "bench.line.arguments"),
        ("get-time", "bench.line.no_logger"),
        ("use 123", "bench.line.which_logger"),
        ("wait soon", "bench.line.seconds"),
        ("profile worst", "bench.profile.unknown"),
        ("send 1000 OverTime", "bench.line.field"),
    ],
)
async def test_wrong_line_says_what_is_wrong(prompt: Prompt, line: str, code: str) -> None:
    with pytest.raises(BenchError) as caught:
        await prompt.act(line)
    assert caught.value.code == code


async def test_two_loggers_need_a_choice(platform: BenchPlatform, prompt: Prompt, peer: Peer) -> None:
    other = annexc.REALTIME[6:-6].replace(b"69DC0", b"69DC1")
    from protocol.frame import wrap

    peer.say(annexc.REALTIME, wrap(other))
    await asyncio.wait_for(platform.until(lambda: len(platform.loggers) == 2), 5)
    with pytest.raises(BadLine):
        await prompt.act("get-time")
    await prompt.act(f"use {annexc.MN}")
    await peer.hear()
    await peer.hear()
    acting = asyncio.create_task(prompt.act("get-time"))
    assert annexc.MN.encode() in await answered_by(peer, annexc.ACCEPTED, annexc.TIME_REPLY, annexc.EXECUTED)
    await acting
    await prompt.act("expect SystemTime=20160801085857")


async def test_waiting_for_a_logger_ends_when_it_speaks_and_fails_in_time(
    prompt: Prompt, peer: Peer, clock: ManualClock
) -> None:
    waiting = asyncio.create_task(prompt.act("wait logger 30"))
    await clock.advance(31)
    with pytest.raises(Unmet):
        await waiting
    waiting = asyncio.create_task(prompt.act("wait logger"))
    peer.say(annexc.REALTIME)
    await asyncio.wait_for(waiting, 5)


async def test_expected_packet_counts_from_now_on(prompt: Prompt, peer: Peer, clock: ManualClock) -> None:
    peer.say(annexc.MINUTE)
    await peer.hear()
    expecting = asyncio.create_task(prompt.act("expect packet 2051 5"))
    await clock.advance(6)
    with pytest.raises(Unmet):
        await expecting
    expecting = asyncio.create_task(prompt.act("expect packet 2011"))
    await clock.advance(1)
    peer.say(annexc.REALTIME)
    await asyncio.wait_for(expecting, 5)


async def test_profile_line_changes_the_platform(platform: BenchPlatform, prompt: Prompt) -> None:
    await prompt.play(["# a comment", "", "profile late:3+twice"])
    assert (platform.profile.delay_s, platform.profile.times) == (3.0, 2)


async def test_fault_at_the_prompt_is_said_and_the_next_line_is_read(prompt: Prompt, said: list[str]) -> None:
    async def lines() -> AsyncIterator[str]:
        for line in ("dance", "list", "help", "quit", "never"):
            yield line

    assert await prompt.converse(lines())
    assert said[0] == "no command dance; type help"
    assert said[1] == "no logger has sent anything yet"
    assert "set-timeout OverTime ReCount" in said[2]
    assert len(said) == 3


async def test_lines_of_a_pipe_come_one_by_one() -> None:
    reading, writing = os.pipe()
    try:
        lines = lines_of(reading)
        os.write(writing, "get-time\n设".encode())
        assert await anext(lines) == "get-time"
        os.write(writing, b"\nlast")
        assert await anext(lines) == "设"
        os.close(writing)
        assert await anext(lines) == "last"
        with pytest.raises(StopAsyncIteration):
            await anext(lines)
    finally:
        os.close(reading)


async def test_lines_of_a_plain_file_come_too(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("list\nquit\n")
    with path.open() as file:
        assert [line async for line in lines_of(file.fileno())] == ["list", "quit"]
