"""`hj212 platform serve` as a process: script, prompt, signals, exit codes."""

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

import annexc
import pytest
from bench_peer import Peer

RUN = "from edge.cli.platform import platform_group; platform_group()"


async def serve(*options: str, stdin: int = PIPE) -> tuple[Process, int]:
    """A serving process and its port."""
    command = (sys.executable, "-c", RUN, "serve", "--listen", "127.0.0.1:0", "--json", *options)
    env = {**os.environ, "HJ212_LANG": "en"}
    process = await asyncio.create_subprocess_exec(*command, stdin=stdin, stdout=PIPE, stderr=PIPE, env=env)
    event = await next_event(process)
    return process, int(event["address"].rpartition(":")[2])


async def next_event(process: Process, *wanted: str) -> dict[str, Any]:
    assert process.stdout is not None
    while True:
        line = await asyncio.wait_for(process.stdout.readline(), 20)
        assert line, "the process has ended"
        event: dict[str, Any] = json.loads(line)
        if not wanted or event["event"] in wanted:
            return event


async def dialled(port: int) -> Peer:
    return Peer(*await asyncio.open_connection("127.0.0.1", port))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_signal_ends_it_cleanly_with_a_summary(tmp_path: Path, number: signal.Signals) -> None:
    process, port = await serve("--store", str(tmp_path / "bench.db"), stdin=asyncio.subprocess.DEVNULL)
    peer = await dialled(port)
    peer.say(annexc.REALTIME)
    assert await peer.hear() == annexc.REALTIME_ANSWER
    process.send_signal(number)
    summary = await next_event(process, "summary")
    assert (summary["received"], summary["answered"], summary["loggers"]) == (1, 1, 1)
    assert await process.wait() == 0
    assert (tmp_path / "bench.db").exists()
    peer.writer.close()


async def test_script_plays_a_command_and_quits(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("wait logger\nset-timeout 5 3\nexpect done\nquit\n")
    process, port = await serve("--script", str(script))
    peer = await dialled(port)
    peer.say(annexc.REALTIME)
    await peer.hear()
    request = await peer.hear_packet()
    for answer in (annexc.ACCEPTED, annexc.EXECUTED):
        segment = answer[6:-6].replace(b"20160801085857223", (request.qn or "").encode())
        from protocol.frame import wrap

        peer.say(wrap(segment))
    assert (await next_event(process, "command"))["outcome"] == "done"
    assert await process.wait() == 0
    peer.writer.close()


async def test_script_that_fails_ends_with_1_and_says_why(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("expect done\n")
    process, _ = await serve("--script", str(script))
    assert (await next_event(process, "text"))["text"] == "expected done, came -"
    assert await process.wait() == 1


async def test_piped_lines_are_carried_out_and_their_end_does_not_end_it() -> None:
    process, port = await serve()
    assert process.stdin is not None
    process.stdin.write(b"list\n")
    assert (await next_event(process, "text"))["text"] == "no logger has sent anything yet"
    process.stdin.close()
    peer = await dialled(port)
    peer.say(annexc.REALTIME)
    assert await peer.hear() == annexc.REALTIME_ANSWER
    process.terminate()
    assert await process.wait() == 0
    peer.writer.close()


async def test_a_logger_that_cannot_be_reached_is_said_once_and_met_when_it_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = (sys.executable, "-c", RUN, "serve", "--connect", f"127.0.0.1:{port}", "--json")
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    event = await next_event(process)
    assert (event["event"], event["address"], event["reason"]) == (
        "unreached",
        f"127.0.0.1:{port}",
        "Connection refused",
    )
    with socket.create_server(("127.0.0.1", port)):
        assert (await next_event(process))["event"] == "connected"
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--profile", "worst"], "no profile worst"),
        (["--listen", "9212"], "9212 is not HOST:PORT"),
        (["--listen", "127.0.0.1:{taken}"], "cannot listen on 127.0.0.1:"),
        (["--listen", "127.0.0.1:0", "--connect", "127.0.0.1:{taken}"], "cannot be used together"),
        (["--connect", "127.0.0.1:{taken}", "--tls-cert", "/dev/null"], "TLS needs --tls-ca with --connect"),
        (["--listen", "127.0.0.1:0", "--tls-ca", "/dev/null"], "TLS needs --tls-cert with --listen"),
        (["--connect", "127.0.0.1:{taken}", "--tls-ca", "/nowhere"], "(/nowhere): No such file or directory"),
    ],
)
async def test_wrong_option_ends_with_2_and_one_line(options: list[str], words: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        options = [option.format(taken=taken.getsockname()[1]) for option in options]
        command = (sys.executable, "-c", RUN, "serve", *options)
        env = {**os.environ, "HJ212_LANG": "en"}
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, env=env)
        _, errors = await process.communicate()
    assert process.returncode == 2
    assert words in errors.decode()
    assert "Traceback" not in errors.decode()
