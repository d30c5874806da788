"""Offline for a month or a year, two platforms, one of them dead: live data never wait, memory stays flat.

    an outbox full of minutes ─▶ city: 100 ms away, window 16      every minute of it arrives, once, with its value
                              ─▶ dead: takes all, answers nothing  keeps all of it
    live meanwhile: realtime every 5 s and each new minute, to both

Virtual time; the real sessions, lanes, links and the store's functions on a real file. The last hours before the link
comes back are lived through, offline; the rest of the backlog is put into the store at once.
"""

from __future__ import annotations

import ctypes
import gc
import resource
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import virtual_time
from backlog import LeanPlatform, fill, sealed
from virtual_time import MINUTE_MS, World

from edge.store import records
from edge.store.outbox import Due
from tests.torture.rig import Outcome, Rig

LIVE_S = 5.0
OFFLINE_S = 2 * 3_600.0
BASELINE_S = 3_600.0
"""Without a backlog, after it has drained: what live data take then."""
LOOK_S = 20.0
WARM_S = 60.0
"""Memory is taken from then on: caches have filled."""
MEMORY_MB = 2.0
TARGET_MIN = 10.0
"""For 30 days (design.md)."""
BEHIND_S = 1.0
FIRST_S = 2.0
"""The first live packet after TCP is established (design.md)."""


def memory_mb() -> float:
    """Resident memory that is really in use: what Python and malloc have freed is given back first."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


class Year:
    """One logger through its backlog."""

    def __init__(self, folder: Path, days: int) -> None:
        self.world = World(folder)
        self.days = days
        self.count = days * 1440
        self.city = LeanPlatform(self.count)
        self.dead = LeanPlatform(self.count, silent=True)
        self.memory: list[float] = []
        self.drained_s = 0.0
        self.sealed = 0
        self.kept_for_dead = self.lost = 0
        self.first_live_s = 0.0
        self.live_s: list[float] = []
        self.baseline_s: list[float] = []

    async def run(self) -> None:
        world = self.world
        fill(world, self.count, ["city", "dead"])
        self.city.up = False
        world.add(self.city, "city", window=16, backfill_rate=0.0)
        world.add(self.dead, "dead", mn="M2", window=16, backfill_rate=0.0)
        world.task(world.realtime(LIVE_S))
        world.task(self._minutes())
        await world.sleep(OFFLINE_S)
        assert not self.city.connects
        await self._drain()
        await self._settle()

    async def _minutes(self) -> None:
        """A minute is sealed at every full minute."""
        world = self.world
        while True:
            now = world.clock.wall_ms()
            await world.clock.sleep((MINUTE_MS - now % MINUTE_MS) / 1000)
            start = world.clock.wall_ms() // MINUTE_MS * MINUTE_MS - MINUTE_MS
            dues = [Due(name, "ww1", "2051", start, end=start + MINUTE_MS) for name in world.sessions]
            world.offer(world.store.now(records.seal, [sealed(start)], dues, world.clock.wall_ms()))
            self.sealed += 1

    async def _drain(self) -> None:
        self.city.up = True
        self.world.links["city"]._link_up.set()  # as a cable that is plugged in
        while not self.city.connects:
            await self.world.sleep(0.1)
        began = self.city.connects[0]
        while self.waits("city") > 2:
            await self.world.sleep(LOOK_S)
            self.world.events.clear()
            if self.world.clock.mono_s() - began >= WARM_S:
                self.memory.append(memory_mb())
        self.drained_s = self.world.clock.mono_s() - began

    async def _settle(self) -> None:
        """What was live while it drained, and an hour without a backlog beside it."""
        self.first_live_s = self.city.ways_s[0][0] - self.city.connects[0]
        self.live_s = self._ways()
        await self.world.sleep(BASELINE_S)
        self.baseline_s = self._ways()
        self.kept_for_dead = self.waits("dead")
        self.lost = sum(self.world.counts_of(name).lost for name in ("city", "dead"))
        await self.world.stop()

    def _ways(self) -> list[float]:
        """The ways of what was offered since the link came back, and is told for the first time."""
        found = [way for at, way in self.city.ways_s if at - way >= self.city.connects[0]]
        self.city.ways_s.clear()
        return found

    def waits(self, platform: str) -> int:
        row = self.world.store.db.execute(
            "SELECT count(*) FROM delivery WHERE platform = (SELECT id FROM name WHERE text = ?) AND state < 2",
            (platform,),
        ).fetchone()
        return int(row[0])


def quantile(ways: Sequence[float], share: float) -> float:
    """Of so many that this means something."""
    return sorted(ways)[min(len(ways) - 1, int(len(ways) * share))]


def judge(year: Year, outcome: Outcome) -> None:
    """What the test promises."""
    outcome.lost += year.city.arrived.count(0) + year.lost
    outcome.corrupt += year.city.wrong + year.dead.wrong
    spread_mb = max(year.memory) - min(year.memory)
    live, base = year.live_s, year.baseline_s
    outcome.figures |= {
        "days offline": year.days,
        "minutes of backlog, per platform": year.count,
        "arrived more than once": sum(times > 1 for times in year.city.arrived),
        "drained in, virtual min": round(year.drained_s / 60, 2),
        "live packets meanwhile": len(live),
        "live p99, s": round(quantile(live, 0.99), 3),
        "live max, s": round(max(live), 3),
        "baseline p99, s": round(quantile(base, 0.99), 3),
        "baseline max, s": round(max(base), 3),
        "live median, s": round(statistics.median(live), 3),
        "memory, MB": round(statistics.median(year.memory), 1),
        "memory, difference of largest and smallest, MB": round(spread_mb, 2),
        "waits for the dead platform": year.kept_for_dead,
        "first live packet after the connection, s": round(year.first_live_s, 3),
    }
    if year.drained_s / 60 > TARGET_MIN * year.days / 30:
        outcome.fail(f"{year.days} days took {year.drained_s / 60:.1f} virtual minutes")
    if quantile(live, 0.99) > quantile(base, 0.99) + BEHIND_S or max(live) > max(base) + BEHIND_S:
        outcome.fail(f"live data waited: {max(live):.2f} s, without a backlog {max(base):.2f} s")
    if year.first_live_s > FIRST_S:
        outcome.fail(f"the first live packet came {year.first_live_s:.1f} s after the connection")
    if spread_mb > 2 * MEMORY_MB:
        outcome.fail(f"memory went up and down by {spread_mb:.1f} MB: {year.memory[:5]} … {year.memory[-5:]}")
    if year.kept_for_dead < year.count + year.sealed - 1:
        outcome.fail(f"of {year.count + year.sealed} for the dead platform {year.kept_for_dead} are kept")


def backlog(rig: Rig) -> Outcome:
    """One logger, both platforms."""
    outcome = Outcome(cases=2)

    async def run() -> None:
        year = Year(rig.work / "data", rig.count(30, 365))
        await year.run()
        judge(year, outcome)

    virtual_time.run(run())
    return outcome


TESTS = {"backlog": backlog}
