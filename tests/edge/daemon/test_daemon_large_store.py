"""A store with months of minute data: the daemon is ready as soon as with an empty one."""

from __future__ import annotations

import time
from pathlib import Path

from daemonkit import START_MS, ready_limit_s, rig

from config.site import Retention
from edge.store import records
from edge.store.outbox import Due
from edge.store.store import Store
from edge.values import DAY_MS, MINUTE_MS, Kind, Record

FACTORS = ("w01018", "w21003", "w21011", "w21001", "w01001", "w01010", "w00000", "w20111", "w20115", "w20117")
FILL_S = 8.0
"""As many days as can be written in this time; on a PC some hundred."""


def fill(data: Path) -> int:
    """Days of minute records before START_MS, all of them still waiting for the platform."""
    store = Store(data, retention=Retention(), on_event=lambda _code, _params: None)
    until, days = time.monotonic() + FILL_S, 0
    while time.monotonic() < until:
        days += 1
        first = START_MS - days * DAY_MS
        starts = range(first, first + DAY_MS, MINUTE_MS)
        sealed = [
            Record("ww1", Kind.MINUTE, factor, start, min=1.0, avg=2.0, max=3.0, count=12)
            for start in starts
            for factor in FACTORS
        ]
        dues = [Due("city", "ww1", "2051", start, end=start + MINUTE_MS) for start in starts]
        store.call(records.seal, sealed, dues, START_MS).result()
    store.close()
    return days


async def test_a_large_store_and_a_long_outbox_delay_neither_start_nor_status(tmp_path: Path) -> None:
    async with rig(tmp_path) as site:
        days = fill(site.data)
        assert await site.start() < ready_limit_s()
        began = time.monotonic()
        page = await site.status()
        took = time.monotonic() - began
        assert page["platforms"][0]["outbox"] > days * 1000
        assert page["platforms"][0]["lost"] == 0
        await site.platform.until(lambda: site.platform.counts["2051"] > 10)
        assert took < 1.0, (took, days)
