"""The real daemon, killed, its store damaged, started again: it goes on, and what waited arrives as it was."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

from daemonkit import rig

from edge.bench.profiles import NORMAL, profile
from protocol.times import parse_time

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


async def test_a_value_that_changed_on_the_disk_is_never_sent_and_all_others_are(tmp_path: Path) -> None:
    async with rig(tmp_path, speed=40.0) as site:
        config = ("-c", str(site.config))
        await site.start()
        await site.until(lambda page: page["platforms"][0]["answered"] > 1)
        assert (await site.hj212("outbox", "hold", "city", *config))[0] == 0
        await site.until(lambda page: page["platforms"][0]["outbox"] > 4)
        await site.stop()
        truth = {
            (start, text): avg
            for start, text, avg in site.sqlite(
                "records.db",
                "SELECT r.start, n.text, r.avg FROM record AS r JOIN name AS n ON n.id = r.factor"
                " JOIN delivery AS d ON d.start = r.start AND d.cn = '2051' AND d.state = 0 WHERE r.kind = 1"
                " AND r.avg IS NOT NULL",
            )
        }
        start = sorted(start for start, _ in truth)[len(truth) // 2]
        factor = min(text for label, text in truth if label == start)
        with closing(sqlite3.connect(site.data / "records.db", isolation_level=None)) as db:
            changed = db.execute(
                "UPDATE record SET avg = avg * 2 WHERE start = ? AND kind = 1"
                " AND factor = (SELECT id FROM name WHERE text = ?)",
                (start, factor),
            ).rowcount
        assert changed == 1
        code, out, _ = await site.hj212("store", "check", "--json", *config)
        assert (code, f"ww1 {factor} minute" in out) == (1, True)
        await site.start()
        await site.until(lambda page: "store.record_damaged" in [event["code"] for event in page["events"]])
        page = await site.status()
        codes = [event["code"] for event in page["events"]]
        assert (codes.count("store.damaged"), codes.count("store.record_damaged")) == (1, 1)
        (told,) = [event["params"] for event in page["events"] if event["code"] == "store.record_damaged"]
        assert (told["outlet"], told["factor"], told["kind"]) == ("ww1", factor, "minute")
        assert f"the minute record of ww1 {factor}" in site.log
        assert (await site.hj212("outbox", "hold", "city", "--release", *config))[0] == 0
        await site.drained()
        got = {
            (parse_time(one.packet.get("DataTime") or ""), name.removesuffix("-Avg")): float(value)
            for one in site.platform.received
            if one.packet is not None and one.packet.cn == "2051"
            for item in one.packet.data
            for name, value in item
            if name.endswith("-Avg")
        }
        assert (start, factor) not in got
        others = truth.keys() - {(start, factor)}
        assert others <= got.keys()
        assert all(abs(got[key] - truth[key]) <= 0.5 * 10**-1 + abs(truth[key]) * 1e-3 for key in others)
        assert await site.differences() == []
        assert [row["lost"] for row in (await site.status())["platforms"]] == [0]
        assert (await site.hj212("store", "check", *config))[0] == 0
        journal = json.loads((await site.hj212("journal", "show", *config, "--json"))[1])
        (entry,) = [entry for entry in journal if entry["action"] == "store.salvaged"]
        assert [one["factor"] for one in entry["detail"]["tables"]["record"]["records"]] == [factor]
