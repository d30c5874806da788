"""Disks that fail under the running daemon: full, EIO, slow; and then they are well again.

    tmpfs of some megabytes, filled up by another    |    strace -p … -e inject=…:error=EIO | ENOSPC | delay_exit

Nothing that was acknowledged is lost, polling goes on, and within ten seconds of the daemon's own time after the disk
is well every minute that ended meanwhile is on it, sealed with its value. Needs root.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.control import client
from edge.store.database import read_only
from edge.values import MINUTE_MS, SLOT_MS
from tests.torture.mounts import tmpfs, why_not
from tests.torture.oracle import Snapshot, sound
from tests.torture.rig import Outcome, Rig
from tests.torture.station import Station, percentile, station
from tests.torture.torture_kills import note

CASES, CASES_LONG = 3, 50
NEEDED = "mount", "umount", "strace"
SPEED = 6.0
"""A minute takes ten seconds, so that ten seconds of the daemon leave the machine time to be slow."""
DISK_MB = 8
WARM_S, FAULT_S = 11.0, 13.0
"""Real: a minute ends in each."""
RECOVERED_S = 10.0
"""Of the daemon's clock."""
GIVE_UP_S = 30.0
POLLED = 0.9
"""Share of the polls that fell due in the fault: fewer means that the disk held up the lines."""
SEALING_S = 5.0
"""A minute is sealed so long after its end at the latest, in the daemon's time."""
_FILES = ("records.db", "records.db-wal", "samples.db", "samples.db-wal")


@dataclass(slots=True)
class Seen:
    """What the cases have measured, for the figures."""

    recovered_s: dict[str, list[float]] = field(default_factory=dict)
    polled: list[float] = field(default_factory=list)
    felt: dict[str, int] = field(default_factory=dict)
    """How often: refused transactions that were told, calls that were injected."""
    answers: int = 0
    asked: int = 0


Fault = Callable[[Station, random.Random], AbstractAsyncContextManager[None]]


def disk(rig: Rig) -> Outcome:
    """Three faults at a time, side by side: they mostly wait."""
    outcome, seen = Outcome(), Seen()
    if (missing := why_not(*NEEDED)) is not None:
        outcome.fail(missing.format(scale=rig.scale, test=rig.test))
        return outcome
    wanted, until = rig.count(CASES, CASES_LONG), time.monotonic() + rig.hours * 3600
    while outcome.cases < wanted and time.monotonic() < until and (outcome.passed or not outcome.cases):
        asyncio.run(_side_by_side(rig, list(FAULTS)[: wanted - outcome.cases], outcome, seen))
    for name, took in seen.recovered_s.items():
        outcome.figures[f"{name}: recovered, max s of the daemon"] = percentile(took, 1.0)
    outcome.figures |= {f"{name}: felt": count for name, count in seen.felt.items()}
    outcome.figures |= {
        "polls in the fault, least share of those due": round(min(seen.polled, default=0.0), 3),
        "status answered in the fault": f"{seen.answers} of {seen.asked}",
    }
    return outcome


async def _side_by_side(rig: Rig, names: list[str], outcome: Outcome, seen: Seen) -> None:
    first = outcome.cases
    async with asyncio.TaskGroup() as group:
        for place, name in enumerate(names):
            group.create_task(_case(rig, first + place, name, outcome, seen), name=name)


async def _case(rig: Rig, number: int, name: str, outcome: Outcome, seen: Seen) -> None:
    chance, folder = rig.random((number, name)), rig.work / f"{name.replace(' ', '-')}-{number}"
    folder.mkdir(parents=True)
    with tmpfs(folder / "data", DISK_MB):
        async with station(folder, speed=SPEED) as site:
            await site.begin()
            await asyncio.sleep(WARM_S)
            before, began = await asyncio.to_thread(Snapshot.read, site.data), site.rig.clock.mono_s()
            polls = _polls(await site.rig.status())
            async with FAULTS[name](site, chance):
                await _watched(site, seen)
            if not (felt := await _felt(site, name)):
                outcome.fail(f"{name}: the daemon has not felt the fault")
            seen.felt[name] = seen.felt.get(name, 0) + felt
            await _recovered(site, name, outcome, seen)
            due = (site.rig.clock.mono_s() - began) / (SLOT_MS / 1000)
            share = min(now - polls[each] for each, now in _polls(await site.rig.status()).items()) / due
            seen.polled.append(share)
            if share < POLLED:
                outcome.fail(f"{name}: only {share:.0%} of the polls that were due")
            note(outcome, await asyncio.to_thread(site.kept, before), f"{name}, case {number}")
            outcome.lost += len(waiting := await site.drained())
            outcome.failures += [f"{name}: not delivered: {row}" for row in waiting]
            found = await site.compared()
            await site.kill()
            found.add(await asyncio.to_thread(sound, site.data))
            note(outcome, found, f"{name}, case {number}")
    outcome.cases += 1


async def _watched(site: Station, seen: Seen) -> None:
    """The fault lasts; is the daemon there to be asked?"""
    until = time.monotonic() + FAULT_S
    while time.monotonic() < until:
        seen.asked += 1
        with suppress(client.Refused, TimeoutError):
            await site.rig.status()
            seen.answers += 1
        await asyncio.sleep(0.5)


async def _recovered(site: Station, name: str, outcome: Outcome, seen: Seen) -> None:
    """Until every minute that has ended is sealed, and the disk takes what is asked for by hand."""
    began, clock = time.monotonic(), site.rig.clock
    ended = clock.wall_ms() - int(SEALING_S * 1000)
    wanted = ended // MINUTE_MS * MINUTE_MS - MINUTE_MS
    missing: list[int] = [wanted]
    while time.monotonic() - began < GIVE_UP_S:
        missing = await asyncio.to_thread(_missing, site.data, wanted)
        if not missing and not any(row["code"] == "edge.warn-disk" for row in (await _status(site))["warnings"]):
            break
        await asyncio.sleep(0.05)
    took = (time.monotonic() - began) * SPEED
    seen.recovered_s.setdefault(name, []).append(took)
    if missing:
        outcome.lost += len(missing)
        outcome.fail(f"{name}: minutes that were never sealed: {missing}")
    if took > RECOVERED_S:
        outcome.fail(f"{name}: recovered after {took:.1f} s of the daemon's time")


async def _felt(site: Station, name: str) -> int:
    if name == "full":
        codes = [event["code"] for event in (await _status(site))["events"]]
        return codes.count("store.full")
    log = await asyncio.to_thread((site.rig.folder / "injected").read_text)
    return log.count("(INJECTED)") + log.count("(DELAYED)")


async def _status(site: Station) -> dict[str, Any]:
    try:
        return await site.rig.status()
    except client.Refused:
        return {"warnings": [{"code": "edge.warn-disk"}], "events": [{"code": "store.full"}]}


def _missing(data_dir: Path, last: int) -> list[int]:
    """Minutes from the first that is sealed to `last` that are not."""
    db = read_only(data_dir / "records.db")
    try:
        there = {row[0] for row in db.execute("SELECT DISTINCT start FROM record WHERE kind = 1")}
    finally:
        db.close()
    return sorted(set(range(min(there, default=last), last + 1, MINUTE_MS)) - there)


def _polls(page: dict[str, Any]) -> dict[str, int]:
    return {row["instrument"]: row["polls"] for row in page["lines"]}


# the faults


@asynccontextmanager
async def full(site: Station, chance: random.Random) -> AsyncIterator[None]:
    """Somebody else's file takes all the room, to the last byte."""
    ballast = site.data / "ballast"
    filling = asyncio.create_task(asyncio.to_thread(_fill, ballast), name="filling")
    await filling
    try:
        yield
    finally:
        ballast.unlink()


def _fill(ballast: Path) -> None:
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(65536))
    with suppress(OSError), ballast.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(512))


@asynccontextmanager
async def injected(site: Station, calls: str, what: str) -> AsyncIterator[None]:
    """Calls on the store's files end otherwise, as long as strace is there."""
    paths = [part for name in _FILES for part in ("-P", str(site.data / name))]
    command = ["strace", "-f", "-p", str(site.rig.pid), "-e", f"trace={calls}", "-e", f"inject={calls}:{what}"]
    process = await asyncio.create_subprocess_exec(
        *command, *paths, "-o", str(site.rig.folder / "injected"), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    attached = await process.stderr.readline()
    if b"attached" not in attached:
        raise AssertionError(attached.decode())
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        await process.wait()


def eio(site: Station, chance: random.Random) -> AbstractAsyncContextManager[None]:
    """Writes or syncs, or both, fail; all of them or one in some."""
    calls = chance.choice(("pwrite64,fdatasync", "fdatasync", "pwrite64,fdatasync,ftruncate"))
    when = chance.choice(("", "", ":when=2+2", ":when=3+5"))
    return injected(site, calls, f"error={chance.choice(('EIO', 'EIO', 'ENOSPC'))}{when}")


def slow(site: Station, chance: random.Random) -> AbstractAsyncContextManager[None]:
    """Each sync takes a quarter of a second to a second."""
    return injected(site, "fdatasync", f"delay_exit={chance.randrange(250_000, 1_000_000)}")


FAULTS: dict[str, Fault] = {"full": full, "eio": eio, "slow": slow}
TESTS = {"disk": disk}
