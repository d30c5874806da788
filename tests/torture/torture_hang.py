"""A part of the real daemon blocks: systemd hears nothing more in time, and the cause file names the part.

    launcher (hanging.py) ─ the daemon, one part replaced ─▶ WATCHDOG=1 … ─▶ the NOTIFY_SOCKET of this test
                                                          └▶ hang.txt

All cases run at once, real time: they only wait. Each block comes at a moment of its own.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.edge.daemon.daemonkit import ROOT
from tests.edge.daemon.daemonkit import Rig as Logger
from tests.edge.daemon.daemonkit import rig as logger
from tests.torture.rig import Outcome, Rig

WATCHDOG_USEC = 30_000_000
"""As the unit says (`systemd/hj212-edge.service`)."""
LIMIT_S = 15.2
"""0.2 s for the datagram on a busy machine."""
STARTED_S = 40.0
"""So long may a start take while all start at once."""
FED_FIRST = 2
NAMED_S = 24.0
"""The cause is looked for until so long after the block, and the socket listened to."""
CAUSES = {
    "loop": "loop",
    "line": "line[rs485-1]",
    "session": "session[city/ww1]",
    "delivering": "delivering",
    "store": "store",
    "measuring": "measuring",
    "interpreter": "",
    "young-line": "line[rs485-1]",
}
"""What blocks, and what the cause file must name. `interpreter`: nothing can write it; the stacks stand in the log.
`young-line`: a line that hangs in a daemon's first hour is named, and ends nothing."""
SHORT = ("loop", "line", "session", "store", "delivering", "interpreter", "young-line")
AT_ONCE = 10


@dataclass(slots=True)
class Case:
    """One daemon, and when it was fed, monotonic seconds."""

    part: str
    folder: Path
    after_s: float
    fed: list[float] = field(default_factory=list)
    blocked_s: float = 0.0
    named_s: float | None = None
    cause: str = ""
    log: str = ""


async def listen(case: Case, sock: socket.socket) -> None:
    """Note every feeding."""
    loop = asyncio.get_running_loop()
    while True:
        if await loop.sock_recv(sock, 500) == b"WATCHDOG=1":
            case.fed.append(time.monotonic())


async def run_case(case: Case, gate: asyncio.Semaphore) -> Case:
    """Start, block, listen, look for the cause."""
    case.folder.mkdir()
    async with gate, logger(case.folder, speed=1.0) as site:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind(str(case.folder / "notify"))
            systemd.setblocking(False)
            ears = asyncio.create_task(listen(case, systemd))
            process = await start(case, site)
            try:
                await watch(case, site.data / "hang.txt")
            finally:
                process.kill()
                await process.wait()
                ears.cancel()
    case.log = site.log
    return case


async def start(case: Case, site: Logger) -> asyncio.subprocess.Process:
    """The daemon by way of the launcher."""
    env = os.environ | {"NOTIFY_SOCKET": str(case.folder / "notify"), "WATCHDOG_USEC": str(WATCHDOG_USEC)}
    with (case.folder / "daemon.log").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.torture.hanging", case.part, str(case.folder), str(site.config),
            "text", site.clock_text,
            stdout=log, stderr=log, stdin=asyncio.subprocess.DEVNULL, cwd=ROOT, env=env,
        )  # fmt: skip


async def watch(case: Case, cause_file: Path) -> None:
    """Let it be fed, block it, and see when the cause is named, and by what name."""
    if not await until(lambda: len(case.fed) >= FED_FIRST, STARTED_S):
        return
    await asyncio.sleep(case.after_s)
    (case.folder / "go").touch()
    if not await until(lambda: bool(content(case.folder / "blocked")), STARTED_S):
        return
    case.blocked_s = float(content(case.folder / "blocked"))
    if await until(lambda: bool(content(cause_file)), NAMED_S):
        case.named_s = time.monotonic()
    await asyncio.sleep(max(0.0, case.blocked_s + NAMED_S - time.monotonic()))
    case.cause = content(cause_file)


def content(path: Path) -> str:
    """Of a file; empty where there is none."""
    return path.read_text(encoding="utf-8") if path.exists() else ""


async def until(condition: Callable[[], bool], limit_s: float) -> bool:
    """Wait for something; False: it did not come."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.1)
    return True


def judge(case: Case, outcome: Outcome) -> None:
    """What the test promises of one case."""
    what = f"{case.part}, blocked {case.after_s} s after it was fed"
    if not case.blocked_s or not case.fed:
        outcome.fail(f"{what}: it did not come to that\n{case.log[-2000:]}")
        return
    last_s = max(case.fed) - case.blocked_s
    outcome.figures[f"{case.part}: last fed after the block, s"] = round(last_s, 1)
    if case.named_s is not None:
        outcome.figures[f"{case.part}: named after, s"] = round(case.named_s - case.blocked_s, 1)
    if sum(at <= case.blocked_s for at in case.fed) < FED_FIRST:
        outcome.fail(f"{what}: was not fed while all was well")
    if case.part == "young-line":
        if last_s < NAMED_S - 6.0:
            outcome.fail(f"{what}: was not fed any more, {last_s:.1f} s after the block")
    elif last_s > LIMIT_S:
        outcome.fail(f"{what}: was still fed {last_s:.1f} s after the block")
    judge_cause(case, what, outcome)


def judge_cause(case: Case, what: str, outcome: Outcome) -> None:
    """The first line names the part first; stacks follow."""
    wanted = CAUSES[case.part]
    if not wanted:
        if "Timeout (0:00:20)!" not in case.log or "hold_all" not in case.log:
            outcome.fail(f"{what}: no stacks in the log\n{case.log[-2000:]}")
        return
    first, _, stacks = case.cause.partition("\n")
    names = first.split()[1:]
    if names[:1] != [wanted]:
        outcome.fail(f"{what}: the cause file names {names}, not {wanted}")
    if "hanging.py" not in stacks:
        outcome.fail(f"{what}: the stacks do not show where it blocks\n{stacks[:4000]}")


def hang(rig: Rig) -> Outcome:
    """Every part in the short form; three rounds of all at other moments in the long one."""
    chance = rig.random()
    parts = SHORT if rig.short else tuple(CAUSES) * 3
    cases = [
        Case(part, rig.work / f"{number}-{part}", round(chance.uniform(0.0, 2.5 if rig.short else 30.0), 1))
        for number, part in enumerate(parts)
    ]

    async def run() -> None:
        gate = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(run_case(case, gate) for case in cases))

    asyncio.run(run())
    outcome = Outcome(cases=len(cases))
    for case in cases:
        judge(case, outcome)
    return outcome


TESTS = {"hang": hang}
