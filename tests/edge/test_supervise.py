"""Who hangs is named, and systemd hears nothing more; what hangs because the loop does is not to blame."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from edge.clock import SimulatedClock
from edge.stacks import standing
from edge.supervise import HANG_S, RESTART_S, Watchdog, keep_alive

sys.path.insert(0, str(Path(__file__).parents[1]))
from virtual_time import NOON, VirtualClock, virtual


class Systemd:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)

    def heard(self) -> int:
        """How often it was fed since the last call."""
        count = 0
        while True:
            try:
                assert self.socket.recv(500) == b"WATCHDOG=1"
            except BlockingIOError:
                return count
            count += 1


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    made = Systemd(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    yield made
    made.socket.close()


def watchdog(tmp_path: Path) -> Watchdog:
    return Watchdog(SimulatedClock(NOON, 1.0), tmp_path / "hang.txt")


def test_while_all_make_progress_it_is_fed_and_no_cause_is_written(tmp_path: Path, systemd: Systemd) -> None:
    dog = watchdog(tmp_path)
    dog.watch("measuring", lambda: HANG_S)
    dog.look()
    assert systemd.heard() == 1
    assert not (tmp_path / "hang.txt").exists()


def test_a_part_that_hangs_is_named_with_the_time_and_it_is_not_fed_until_it_goes_on(
    tmp_path: Path, systemd: Systemd
) -> None:
    dog, age = watchdog(tmp_path), {"store": HANG_S + 0.1}
    dog.watch("store", lambda: age["store"], in_loop=False)
    dog.watch("measuring", lambda: 0.0)
    dog.look()
    dog.look()
    assert systemd.heard() == 0
    first, *stacks = (tmp_path / "hang.txt").read_text(encoding="utf-8").splitlines()
    at, name = first.split()
    assert (at[:18], name) == ("2026-09-22T12:00:0", "store")  # the clock goes on while the test runs
    assert any("in test_a_part_that_hangs_is_named" in line for line in stacks)
    age["store"] = 0.0
    dog.look()
    assert (systemd.heard(), dog.hanging()) == (1, [])


def test_with_the_loop_only_the_loop_and_what_has_its_own_thread_is_named(tmp_path: Path, systemd: Systemd) -> None:
    dog = watchdog(tmp_path)
    for name in ("loop", "measuring", "session[city/ww1]"):
        dog.watch(name, lambda: 60.0, in_loop=name != "loop")
    dog.watch("line[rs485-1]", lambda: 60.0, 20.0, in_loop=False)
    dog.watch("store", lambda: 0.0, in_loop=False)
    dog.look()
    assert dog.hanging() == ["loop", "line[rs485-1]"]
    assert systemd.heard() == 0


def test_a_line_that_hangs_from_the_start_is_named_but_ends_nothing(tmp_path: Path, systemd: Systemd) -> None:
    dog = watchdog(tmp_path)
    dog.watch("line[rs485-1]", lambda: 60.0, 16.0, 3600.0, in_loop=False)
    dog.look()
    assert systemd.heard() == 1
    assert (tmp_path / "hang.txt").read_text(encoding="utf-8").splitlines()[0].endswith(" line[rs485-1]")


async def test_the_thread_sees_a_loop_that_turns_and_ends_with_it(tmp_path: Path, systemd: Systemd) -> None:
    dog = watchdog(tmp_path)
    task = asyncio.create_task(dog.run())
    await asyncio.sleep(0.05)
    assert dog.hanging() == []
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_stacks_say_what_a_task_waits_for(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def inner() -> None:
        await gate.wait()

    async def outer() -> None:
        await inner()

    task = asyncio.create_task(outer(), name="uplink[city]")
    await asyncio.sleep(0)
    text = standing(asyncio.get_running_loop())
    gate.set()
    await task
    told = text.partition("task uplink[city]\n")[2].splitlines()
    assert [line.rpartition(".")[2] for line in told[:3]] == ["outer", "inner", "wait"]
    assert "thread MainThread" in text


@virtual
async def test_a_part_that_fails_starts_again_alone_and_the_others_do_not_notice() -> None:
    clock = VirtualClock()
    starts: dict[str, list[float]] = {"link[city]": [], "link[other]": []}
    told: list[str] = []

    async def part(name: str, fails: bool) -> None:
        starts[name].append(clock.mono_s())
        await clock.sleep(1.0 if fails else 3_600.0)
        raise RuntimeError("a fault of the program")

    tasks = [
        asyncio.create_task(keep_alive(name, partial(part, name, name == "link[city]"), clock, told.append))
        for name in starts
    ]
    await clock.sleep(10.0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert starts == {
        "link[city]": [0.0, 1.0 + RESTART_S, 2 * (1.0 + RESTART_S), 3 * (1.0 + RESTART_S)],
        "link[other]": [0.0],
    }
    assert told == ["link[city]"] * 3
