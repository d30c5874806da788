"""SIGKILL at random moments, under load: nothing sealed or answered is lost, and nothing is sent with two contents."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from daemonkit import ready_limit_s, rig

from edge.bench.profiles import NORMAL, profile

KILLS = 40
"""More of them, with more around the daemon: `make torture ARGS=kills`."""
LONGEST_RUN_S = 0.8
SPEED = 40.0
"""A minute ends every 1.5 s, a realtime tick comes every 0.75 s."""


async def test_kills_lose_nothing_and_send_each_label_with_one_content(tmp_path: Path) -> None:
    moments = random.Random(212)
    slow = profile("late:3")
    async with rig(tmp_path, speed=SPEED, profile=slow, platform='timeout = "5s"\nretries = 1') as site:
        took = []
        sealed: dict[tuple[object, ...], object] = {}
        for number in range(KILLS):
            took.append(await site.fork())
            await asyncio.sleep(moments.uniform(0.0, LONGEST_RUN_S))
            if number % 10 == 9:
                records = {(r["kind"], r["factor"], r["start"], r["revision"]): r for r in await site.records()}
                assert sealed.items() <= records.items()
                sealed = records
            await site.kill_fork()
        site.platform.profile = NORMAL
        took.append(await site.fork())
        await site.drained()
        assert await site.differences() == []
        assert {key: texts for key, texts in site.distinct().items() if len(texts) > 1} == {}
        assert {qn: frames for qn, frames in site.bytes_by_qn().items() if len(frames) > 1} == {}
        page = await site.status()
        assert [row["lost"] for row in page["platforms"]] == [0]
        assert len(sealed) > KILLS / 4  # how many depends on the machine; it must have been under load
        assert site.sqlite("records.db", "PRAGMA integrity_check") == [("ok",)]
        assert site.sqlite("records.db", "SELECT count(*) FROM receipt") == [(1,)]
        assert len((site.data / "connection.jsonl").read_text().splitlines()) == 1
        assert (await site.hj212("journal", "verify", "-c", str(site.config)))[0] == 0
        assert max(took) < ready_limit_s()
