"""Kills: SIGKILL of the real daemon at random moments under load, and what an oracle outside of it counts.

Before each kill the store is read as another process sees it, the platforms' lists are complete by what they answered;
after the restart nothing of either may be missing or different. A round of a hundred kills ends with everything
delivered to all three platforms and compared record by record.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress

from tests.edge.daemon import daemonkit
from tests.torture.oracle import LOOK_BACK_MS, Findings, Snapshot, sound
from tests.torture.rig import Outcome, Rig
from tests.torture.station import WINDOW, Station, percentile, station

KILLS = 100
"""In one round: then everything is delivered and compared, and a new logger begins."""
LONGEST_LIFE_S = 0.7
EXEC_EVERY = 10
"""Every tenth life is started as a technician starts it: a new interpreter, the site file checked by a child."""


def kills(rig: Rig) -> Outcome:
    """One round, or as many as fit."""
    outcome, until, number = Outcome(), time.monotonic() + rig.hours * 3600, 0
    while number == 0 or (not rig.short and time.monotonic() < until and outcome.passed):
        asyncio.run(_round(rig, number, outcome))
        number += 1
    outcome.figures["rounds"] = number
    return outcome


async def _round(rig: Rig, number: int, outcome: Outcome) -> None:
    chance = rig.random(number)
    async with station(rig.work / str(number)) as site:
        before: Snapshot | None = None
        for life in range(KILLS):
            await site.begin(by_exec=life % EXEC_EVERY == 0)
            found = await asyncio.to_thread(site.kept, before)
            load = asyncio.create_task(site.disturb(rig.random((number, life))), name="load")
            await asyncio.sleep(chance.uniform(0.0, LONGEST_LIFE_S))
            since = site.rig.clock.wall_ms() - LOOK_BACK_MS
            before = await asyncio.to_thread(Snapshot.read, site.data, since)
            await asyncio.sleep(chance.uniform(0.0, 0.02))
            await site.kill()
            load.cancel()
            with suppress(asyncio.CancelledError):
                await load
            outcome.cases += 1
            note(outcome, found, f"round {number}, life {life}")
        await _end_of_round(site, before, number, outcome)


async def _end_of_round(site: Station, before: Snapshot | None, number: int, outcome: Outcome) -> None:
    await site.begin()
    found = await asyncio.to_thread(site.kept, before)
    outcome.lost += len(waiting := await site.drained())
    outcome.failures += [f"round {number}: not delivered: {row}" for row in waiting]
    found.add(await site.compared())
    await site.kill()
    found.add(await asyncio.to_thread(sound, site.data))
    note(outcome, found, f"round {number}, end")
    again = [len(site.wires["city"].again[life]) for life in range(KILLS + 2)]
    if max(again) > WINDOW:
        outcome.fail(f"round {number}: {max(again)} records came twice after one kill, the window is {WINDOW}")
    started = site.ready_started + site.ready_forked
    if max(started) > daemonkit.ready_limit_s():
        outcome.fail(f"round {number}: ready after {max(started):.2f} s")
    counts = Snapshot.read(site.data).counts()
    totals = {
        "records sealed": counts["record"],
        "packets": counts["packet"],
        "records that came twice at the city platform": sum(again),
        "starts of a new interpreter": len(site.ready_started),
        "starts forked": len(site.ready_forked),
        "commands answered with done": site.commands,
        "marks acknowledged": site.marks,
    }
    for name, count in totals.items():
        outcome.figures[name] = int(outcome.figures.get(name, 0)) + count
    outcome.figures |= {
        "load of the machine, of its cores": f"{os.getloadavg()[0]:.1f} of {os.cpu_count()}",
        "ready, new interpreter, p50 s": percentile(site.ready_started, 0.5),
        "ready, new interpreter, max s": percentile(site.ready_started, 1.0),
        "ready, forked, p50 s": percentile(site.ready_forked, 0.5),
        "ready, forked, max s": percentile(site.ready_forked, 1.0),
    }


def note(outcome: Outcome, found: Findings, where: str) -> None:
    """Count what was found, and say where."""
    outcome.lost += len(found.lost)
    outcome.corrupt += len(found.corrupt)
    outcome.failures += [f"{where}: {each}" for each in (*found.lost, *found.corrupt)]


TESTS = {"kills": kills}
