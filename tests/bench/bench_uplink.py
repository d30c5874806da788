"""A month of minute packets to a platform 100 ms away, in virtual time, while live data go on."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import virtual_time
from virtual_time import MINUTE_MS, NOON, ScriptedPlatform, World

from edge.store import outbox, records
from edge.store.outbox import Due
from edge.values import Kind, Record
from protocol.times import time_text

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
        world, city = World(self.folder), ScriptedPlatform(rtt_s=0.1)
        self._fill(world)
        world.add(city, window=16, backfill_rate=0.0)
        world.task(world.realtime(LIVE_S))
        await world.sleep(1)
        while world.open_count() > 1:
            await world.sleep(1)
        self.drained_s = world.clock.mono_s() - city.connects[0]
        for number in range(int(self.drained_s // LIVE_S)):
            asked_s = number * LIVE_S if number else city.connects[0]
            label = time_text(NOON + int(number * LIVE_S * 1000))
            (at,) = {seen.at for seen in city.of("2011") if seen.packet.get("DataTime") == label}
            self.live_delay_s = max(self.live_delay_s, at - asked_s)
        await world.stop()

    def _fill(self, world: World) -> None:
        for first in range(0, self.count, 1000):
            numbers = range(first, min(first + 1000, self.count))
            starts = [NOON - (self.count - number) * MINUTE_MS for number in numbers]
            rows = [Record("ww1", Kind.MINUTE, "w01018", start, avg=1.0, count=12) for start in starts]
            dues = [Due("city", "ww1", "2051", start, end=start + MINUTE_MS) for start in starts]
            world.store.now(records.seal, rows, dues, NOON)
        assert len(world.store.now(outbox.open_deliveries, "city", "ww1")) == 100


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
