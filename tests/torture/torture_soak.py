"""Weeks and years of a running daemon: memory, descriptors and tasks stay as they are, the log stays small.

soak        the whole daemon in virtual time (`soak_daemon`), with a cut link and silent instruments every day
soak-real   the real daemon as a process, ptys and TCP: a minute at 40 times real time; in the long form real hours
"""

from __future__ import annotations

import asyncio
import os
import resource
import statistics
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import virtual_time
from virtual_time import NOON

from edge.control.server import Who
from edge.logs import set_up_logs
from tests.edge.daemon.daemonkit import rig as logger
from tests.torture.rig import Outcome, Rig
from tests.torture.soak_daemon import SoakClock, Tally, daemon, descriptors, memory_mb

DAY_S = 86_400.0
WARM_DAYS = 4
"""By then retention has worked for two days, and SQLite's files and caches have their size."""
CUT_S = 1_200.0
MEMORY_MB = 1.0
LOG_MB_A_DAY = 5.0
REAL_SPEED, REAL_S = 40.0, 60.0
LOOKS = 40
REAL_GROWTH_MB = 1.0


@dataclass(slots=True)
class Look:
    """How much of everything there is at noon."""

    memory_mb: float
    descriptors: int
    tasks: int
    threads: int
    log_bytes: int


@dataclass(slots=True)
class Soak:
    """What a virtual daemon came to."""

    looks: list[Look] = field(default_factory=list)
    lost: int = 0
    waiting: int = 0
    minutes: int = 0
    restarted: list[str] = field(default_factory=list)


async def run_days(folder: Path, days: int, soak: Soak) -> None:
    """Day after day; every day the link is cut for a while."""
    clock, platform = SoakClock(NOON), Tally()
    one = daemon(folder, clock, platform)
    log = folder / "daemon.log"
    with log.open("a", encoding="utf-8") as stream:
        set_up_logs("json", stream)
        running = asyncio.get_running_loop().create_task(one.run(), name="daemon")
        for _ in range(days):
            await clock.sleep(DAY_S / 2)
            platform.cut()
            await clock.sleep(CUT_S)
            platform.up = True
            await clock.sleep(DAY_S / 2 - CUT_S)
            if running.done():
                running.result()
            platform.ends.clear()
            page = await one._status({}, Who("soak", 0, changes=True))
            tasks = len(asyncio.all_tasks())
            soak.looks.append(Look(memory_mb(), descriptors(), tasks, threading.active_count(), log.stat().st_size))
        (row,) = page["platforms"]
        soak.lost, soak.waiting = row["lost"], row["outbox"]
        soak.minutes = platform.came["2051"]
        soak.restarted = [each["params"]["part"] for each in page["events"] if each["code"] == "edge.part-restarted"]
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def judge(soak: Soak, days: int, outcome: Outcome) -> None:
    """What the test promises of the virtual part."""
    warm = soak.looks[WARM_DAYS - 1 :]
    growth_mb = statistics.median(look.memory_mb for look in warm[-3:]) - statistics.median(
        look.memory_mb for look in warm[:3]
    )
    log_mb = (soak.looks[-1].log_bytes / days) / 1e6
    outcome.lost += soak.lost
    outcome.figures |= {
        "virtual days": days,
        "minute packets": soak.minutes,
        "memory after the warm-up, MB": round(warm[0].memory_mb, 2),
        "memory at the end, MB": round(warm[-1].memory_mb, 2),
        "memory growth, MB": round(growth_mb, 2),
        "descriptors": f"{warm[0].descriptors} … {warm[-1].descriptors}",
        "tasks": f"{warm[0].tasks} … {warm[-1].tasks}",
        "threads": f"{warm[0].threads} … {warm[-1].threads}",
        "log, MB a day": round(log_mb, 4),
    }
    if growth_mb > MEMORY_MB:
        outcome.fail(f"memory grew by {growth_mb:.2f} MB: {[round(look.memory_mb, 1) for look in soak.looks]}")
    for what in ("descriptors", "tasks", "threads"):
        numbers = [getattr(look, what) for look in warm]
        if numbers[-1] > min(numbers):
            outcome.fail(f"{what}: {numbers}")
    if log_mb > LOG_MB_A_DAY:
        outcome.fail(f"the log has {log_mb:.1f} MB a day")
    if soak.restarted:
        outcome.fail(f"restarted: {soak.restarted}")
    if soak.minutes < days * 144 - 2 or soak.waiting > 5:
        outcome.fail(f"{soak.minutes} minute packets in {days} days, {soak.waiting} wait")


def memory_of(pid: int) -> float:
    """Resident memory of a process, MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


async def run_real(folder: Path, speed: float, seconds: float, outcome: Outcome) -> None:
    """The process, looked at from outside."""
    async with logger(folder, speed=speed) as site:
        await site.start()
        memory, files = [], []
        for _ in range(LOOKS):
            await asyncio.sleep(seconds / LOOKS)
            memory.append(memory_of(site.pid))
            files.append(len(os.listdir(f"/proc/{site.pid}/fd")))
        page = await site.status()
        await site.stop()
    tenth = LOOKS // 10
    growth_mb = statistics.median(memory[-tenth:]) - statistics.median(memory[tenth : 2 * tenth])
    outcome.lost += sum(row["lost"] for row in page["platforms"])
    outcome.figures |= {
        "seconds": seconds,
        "daemon's seconds": seconds * speed,
        "memory, MB": round(memory[-1], 2),
        "memory growth, MB": round(growth_mb, 2),
        "descriptors": f"{files[LOOKS // 2]} … {files[-1]}",
    }
    if files[-1] > max(files[: LOOKS // 2]):
        outcome.fail(f"descriptors {files}")
    if speed == 1.0 and growth_mb > REAL_GROWTH_MB:
        outcome.fail(f"memory grew by {growth_mb:.2f} MB: {memory}")


def soak(rig: Rig) -> Outcome:
    """A month, or a year."""
    outcome = Outcome(cases=1)
    days, found = rig.count(30, 365), Soak()
    virtual_time.run(run_days(rig.work, days, found))
    judge(found, days, outcome)
    return outcome


def soak_real(rig: Rig) -> Outcome:
    """A minute, or hours."""
    outcome = Outcome(cases=1)
    speed, seconds = (REAL_SPEED, REAL_S) if rig.short else (1.0, rig.hours * 3_600.0)
    asyncio.run(run_real(rig.work, speed, seconds, outcome))
    return outcome


TESTS = {"soak": soak, "soak-real": soak_real}
