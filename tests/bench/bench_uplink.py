"""A month of minute packets to a platform 100 ms away, in virtual time, while live data go on."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import virtual_time
from backlog import LeanPlatform, fill
from virtual_time import World

MONTH = 43_200
LIVE_S = 30.0


class Measurement:
    """Fills the outbox, lets it drain, and looks at the clock."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.count = count
        self.drained_s = 0.0
        self.live_delay_s = 0.0

    async def run(self) -> None:
        world, city = World(self.folder), LeanPlatform(self.count)
        fill(world, self.count, ["city"])
        world.add(city, window=16, backfill_rate=0.0)
        world.task(world.realtime(LIVE_S))
        await world.sleep(1)
        while world.open_count() > 1:
            await world.sleep(1)
        self.drained_s = world.clock.mono_s() - city.connects[0]
        assert min(city.arrived) == max(city.arrived) == 1
        assert len(city.ways_s) == int(self.drained_s // LIVE_S) + 1
        # the first one was offered before there was a link
        (_, first_s), *later = city.ways_s
        self.live_delay_s = max(first_s - city.connects[0], *(way_s for _, way_s in later))
        await world.stop()


def run_once(count: int) -> Measurement:
    """One measurement."""
    with tempfile.TemporaryDirectory() as folder:
        measurement = Measurement(Path(folder), count)
        virtual_time.run(measurement.run())
    return measurement


def run() -> list[dict[str, Any]]:
    """Virtual minutes for a month, and the longest way of a live packet meanwhile, from its offer to the platform."""
    found = run_once(MONTH)
    minutes = found.drained_s / 60
    name = "uplink: 30 days of minutes, 100 ms, window 16: virtual time"
    live = "uplink: longest way of a live packet meanwhile"
    return [
        {"name": name, "value": minutes, "unit": "min", "against": 10.0, "ratio": 10.0 / minutes},
        {"name": live, "value": found.live_delay_s, "unit": "s", "against": None, "ratio": None},
    ]
