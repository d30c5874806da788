"""Power cuts on a real file system: ext4 on a loop device goes down under the running daemon, without its log.

    run … FS_IOC_GOINGDOWN … SIGKILL … umount, mount (ext4 replays its journal) … run again

Before the cut the store is read as another process sees it; after it everything that was seen there, and every packet
that a platform got, must be on the disk. Needs root; where it cannot run it says so and has not passed.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress

from tests.edge.daemon import daemonkit
from tests.torture.mounts import Loop, ext4, why_not
from tests.torture.oracle import LOOK_BACK_MS, Snapshot, sound
from tests.torture.rig import Outcome, Rig
from tests.torture.station import Station, percentile, station
from tests.torture.torture_kills import note

NEEDED = "mkfs.ext4", "losetup", "mount", "umount"
CUTS, CUTS_LONG = 50, 5_000
IN_A_ROUND = 50
"""Then everything is delivered and compared, and a new logger begins on a new file system."""
SHORTEST_LIFE_S, LONGEST_LIFE_S = 0.1, 0.7
LONGEST_AGONY_S = 0.15
"""So long the daemon runs on with a disk that is gone, and has to bear it.

What it sends then is counted apart: an fsync that is under way when ext4 goes down can return success although the
journal was given up (a loop of write and fdatasync shows it; no power cut lets a process outlive its disk). `disk` has
the EIO without that.
"""


def power_cut(rig: Rig) -> Outcome:
    """All rounds."""
    outcome = Outcome()
    if (missing := why_not(*NEEDED)) is not None:
        outcome.fail(missing.format(scale=rig.scale, test=rig.test))
        return outcome
    wanted, until = rig.count(CUTS, CUTS_LONG), time.monotonic() + rig.hours * 3600
    while outcome.cases < wanted and time.monotonic() < until and (outcome.passed or not outcome.cases):
        asyncio.run(cut_round(rig, min(IN_A_ROUND, wanted - outcome.cases), outcome))
    return outcome


async def cut_round(rig: Rig, wanted: int, outcome: Outcome, synchronous: str | None = None) -> None:
    """`wanted` cuts of one logger; with another `synchronous` only until something is lost."""
    folder = rig.work / f"{synchronous or 'full'}-{outcome.cases}"
    folder.mkdir(parents=True)
    options = () if synchronous is None else ("--synchronous", synchronous)
    with ext4(folder / "disk.img", folder / "data") as disk:
        async with station(folder, options=options) as site:
            before: Snapshot | None = None
            for _ in range(wanted):
                before = await _life(site, disk, before, rig.random(outcome.cases), outcome)
                outcome.cases += 1
                if synchronous is not None and (outcome.lost or outcome.corrupt):
                    return
            await _end(site, before, outcome)
            _figures(site, outcome)


async def _life(
    site: Station, disk: Loop, before: Snapshot | None, chance: random.Random, outcome: Outcome
) -> Snapshot:
    """From one start to the cut; what was seen just before it."""
    await site.begin()
    found = await asyncio.to_thread(site.kept, before)
    note(outcome, found, f"after cut {outcome.cases}")
    load = asyncio.create_task(site.disturb(chance), name="load")
    await asyncio.sleep(chance.uniform(SHORTEST_LIFE_S, LONGEST_LIFE_S))
    since = site.rig.clock.wall_ms() - LOOK_BACK_MS
    seen = await asyncio.to_thread(Snapshot.read, site.data, since)
    counts = {name: len(wire.fresh) for name, wire in site.wires.items()}
    disk.power_cut()
    await asyncio.sleep(chance.uniform(0.0, LONGEST_AGONY_S))
    await site.kill()
    load.cancel()
    with suppress(asyncio.CancelledError):
        await load
    site.set_apart(counts)
    await asyncio.to_thread(disk.remount)
    return seen


async def _end(site: Station, before: Snapshot | None, outcome: Outcome) -> None:
    await site.begin()
    found = await asyncio.to_thread(site.kept, before)
    outcome.lost += len(waiting := await site.drained())
    outcome.failures += [f"not delivered: {row}" for row in waiting]
    found.add(await site.compared())
    await site.kill()
    found.add(await asyncio.to_thread(sound, site.data))
    note(outcome, found, "end of a round")
    if max(site.ready_forked) > daemonkit.ready_limit_s():
        outcome.fail(f"ready after {max(site.ready_forked):.2f} s")


def _figures(site: Station, outcome: Outcome) -> None:
    counts = Snapshot.read(site.data).counts()
    totals = {
        "starts of the real daemon": len(site.ready_forked),
        "records sealed": counts["record"],
        "packets": counts["packet"],
        "commands answered with done": site.commands,
        "marks acknowledged": site.marks,
        "sent after the disk had gone, by an fsync that was under way, and not on it": site.doubtful_lost,
    }
    for name, count in totals.items():
        outcome.figures[name] = int(outcome.figures.get(name, 0)) + count
    outcome.figures |= {
        "ready, p50 s": percentile(site.ready_forked, 0.5),
        "ready, max s": percentile(site.ready_forked, 1.0),
    }


TESTS = {"power-cut-ext4": power_cut}
