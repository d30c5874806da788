"""`hj212 platform check` and `test` as processes: tables, JSON, exit codes, and what they refuse to do."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import annexc
import pytest
from bench_logger import Logger
from bench_peer import Peer

from edge.bench.platform import BenchPlatform
from protocol.packet import Packet

RUN = "from edge.cli.platform import platform_group; platform_group()"
ENV = {**os.environ, "HJ212_LANG": "en"}
SITE = """
[site]
name = "x"
data_dir = "{folder}"
[outlets.ww1]
name = "x"
st = "32"
statistics = "water"
[platforms.city]
edition = "2017"
role = "{role}"
address = "{address}"
outlets = {{ ww1 = {{ mn = "010000A8900016F000169DC0", password = "123456" }} }}
"""


async def start(*arguments: str) -> Process:
    command = (sys.executable, "-c", RUN, *arguments)
    return await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=ENV)


async def ended(process: Process) -> tuple[int | None, str, str]:
    out, errors = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, out.decode(), errors.decode()


async def run(*arguments: str) -> tuple[int | None, str, str]:
    return await ended(await start(*arguments))


@asynccontextmanager
async def checking(*options: str) -> AsyncIterator[tuple[Process, Logger]]:
    """A waiting rehearsal and a logger that has called it."""
    process = await start("check", "--listen", "127.0.0.1:0", *options)
    assert process.stderr is not None
    waiting = (await asyncio.wait_for(process.stderr.readline(), 20)).decode()
    port = int(waiting.split("127.0.0.1:")[1].split(",")[0])
    logger = Logger(Peer(*await asyncio.open_connection("127.0.0.1", port)))
    logger.upload()
    task = asyncio.create_task(logger.run())
    try:
        yield process, logger
    finally:
        task.cancel()
        logger.peer.writer.close()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_conforming_logger_ends_with_0_and_one_object_a_check() -> None:
    async with checking("--json", "--only", "1061,PW,1072") as (process, _):
        code, out, _ = await ended(process)
    rows: list[dict[str, Any]] = json.loads(out)
    assert [(row["check"], row["verdict"]) for row in rows] == [
        (name, "conforms") for name in ("connect", "1061", "PW", "1072")
    ]
    assert (code, rows[1]["expected"], rows[1]["heard"]) == (0, "9011 → 1061 → 9012", ["9011", "1061", "9012"])


async def test_deviating_logger_ends_with_1_and_the_table_says_why() -> None:
    async with checking("--only", "1063") as (process, logger):
        logger.spoil = lambda request, answers: answers[1:]
        code, out, errors = await ended(process)
    assert code == 1
    assert "9011 is missing before 9012" in out
    assert "deviates" in errors


async def test_interrupted_rehearsal_sets_back_what_it_changed_and_ends_with_1() -> None:
    async with checking("--only", "1072") as (process, logger):

        def interrupt(request: Packet, answers: list[Packet]) -> list[Packet]:
            if request.cn != "1061":
                return answers
            process.send_signal(signal.SIGINT)
            return []

        logger.spoil = interrupt
        code, _, errors = await ended(process)
    assert (code, logger.pw) == (1, "123456")
    assert "broken off" in errors
    assert "Traceback" not in errors


async def test_list_describes_every_check_without_a_logger() -> None:
    code, out, _ = await run("check", "--list", "--json")
    steps = {step["check"]: step for step in json.loads(out)}
    assert code == 0
    assert (steps["1012"]["effect"], steps["3011"]["effect"], steps["1062"]["effect"]) == ("time", "control", "undone")
    assert all(step["what"] for step in steps.values())


async def test_unknown_check_is_refused_with_2() -> None:
    code, _, errors = await run("check", "--only", "4711")
    assert code == 2
    assert "no check 4711" in errors


async def test_window_of_the_bench_platform_is_found(platform: BenchPlatform) -> None:
    code, out, _ = await run("test", platform.address, "--window", "--max", "8", "--mn", annexc.MN, "--yes", "--json")
    found = json.loads(out)
    assert (code, found["largest"]) == (0, 8)
    assert [trial["window"] for trial in found["trials"]] == [1, 2, 4, 8]
    assert set(platform.counts) == {"1013"}


async def test_without_window_one_packet_is_sent(platform: BenchPlatform) -> None:
    code, out, _ = await run("test", platform.address, "--mn", annexc.MN, "--yes")
    assert (code, platform.counts["1013"]) == (0, 1)
    assert "bears 1 unanswered" in out


async def test_nothing_is_sent_without_a_confirmation(platform: BenchPlatform) -> None:
    code, _, errors = await run("test", platform.address, "--window", "--mn", annexc.MN)
    assert (code, platform.counts.total()) == (2, 0)
    assert "1013" in errors
    assert "--yes" in errors


@pytest.mark.parametrize("role", ["official", "other"])
async def test_official_platform_of_the_site_is_tested_only_when_that_is_said(
    platform: BenchPlatform, tmp_path: Path, role: str
) -> None:
    site = tmp_path / "site.toml"
    site.write_text(SITE.format(folder=tmp_path, role=role, address=platform.address))
    code, _, errors = await run("test", "city", "-c", str(site), "--yes")
    assert code == (2 if role == "official" else 0)
    assert platform.counts["1013"] == (0 if role == "official" else 1)
    assert ("official platform" in errors) == (role == "official")
    code, _, _ = await run("test", "city", "-c", str(site), "--yes", "--official-too")
    assert code == 0


async def test_a_platform_of_2005_is_not_tested_since_only_data_could_be_sent(
    platform: BenchPlatform, tmp_path: Path
) -> None:
    site = tmp_path / "site.toml"
    text = SITE.format(folder=tmp_path, role="other", address=platform.address)
    site.write_text(text.replace('edition = "2017"', 'edition = "2005"'))
    code, _, errors = await run("test", "city", "-c", str(site), "--yes")
    assert (code, platform.counts.total(), "2005" in errors) == (2, 0, True)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["127.0.0.1:1", "--mn", "1", "--yes"], 1, "cannot connect to 127.0.0.1:1"),
        (["127.0.0.1:1", "--yes"], 2, "--mn"),
        (["127.0.0.1:{port}", "--yes", "--mn", "a;b"], 2, "MN"),
        (["city", "--yes", "--mn", "1"], 2, "site.toml"),
        (["city", "-c", "missing.toml", "--yes"], 2, "missing.toml"),
    ],
)
async def test_test_that_cannot_be_done_says_why(
    platform: BenchPlatform, arguments: list[str], code: int, words: str
) -> None:
    came, _, errors = await run("test", *(argument.format(port=platform.port) for argument in arguments))
    assert came == code
    assert words in errors
    assert "Traceback" not in errors
