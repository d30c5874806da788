"""The real daemon, killed, its store damaged, started again: it goes on, and what waited arrives as it was."""

from __future__ import annotations

import asyncio
from pathlib import Path

from daemonkit import rig

from edge.bench.profiles import NORMAL, profile

ROUNDS = 4


async def test_a_store_that_is_damaged_again_and_again_is_salvaged_by_the_daemon(tmp_path: Path) -> None:
    async with rig(tmp_path, speed=40.0, profile=profile("silent"), platform='timeout = "5s"\nretries = 1') as site:
        sealed: dict[tuple[object, ...], object] = {}
        for number in range(ROUNDS):
            await site.fork()
            for _ in range(600):
                if not list(site.data.glob("*.damaged-*")):
                    break
                await asyncio.sleep(0.05)
            await asyncio.sleep(2.0)
            records = {(r["kind"], r["factor"], r["start"], r["revision"]): r for r in await site.records()}
            assert sealed.items() <= records.items()
            sealed = records
            await site.kill_fork()
            with (site.data / "records.db").open("r+b") as file:  # the WAL is as the kill left it
                file.write(b"damaged %d" % number)
        site.platform.profile = NORMAL
        await site.fork()
        await site.drained()
        assert await site.differences() == []
        assert {key: texts for key, texts in site.distinct().items() if len(texts) > 1} == {}
        assert {qn: frames for qn, frames in site.bytes_by_qn().items() if len(frames) > 1} == {}
        assert [row["lost"] for row in (await site.status())["platforms"]] == [0]
        assert (await site.hj212("journal", "verify", "-c", str(site.config)))[0] == 0
        assert (await site.hj212("store", "check", "-c", str(site.config)))[0] == 0
        done = [path for path in site.data.glob("records.db.salvaged-*") if not path.name.endswith(("-wal", "-shm"))]
        assert len(done) == ROUNDS
        assert sealed
