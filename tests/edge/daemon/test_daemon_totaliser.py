"""A totaliser through the whole daemon: whatever kills it, all that the counter counted is in the records, once."""

from __future__ import annotations

import asyncio
import json
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from daemonkit import rig

KILLS = 12
SPEED = 60.0
TOTALISER = """
[[instruments.flow.points]]
factor = "w00000"
outlet = "ww1"
kind = "total"
function = 3
register = 2
type = "uint32"
scale = 0.01
unit = "m³"
[outlets.ww1.water]
flow_from = "totaliser"
"""
STEP = 0.01
"""m³ that the simulated counter counts in."""


async def test_kills_neither_lose_nor_double_a_volume(tmp_path: Path) -> None:
    moments = random.Random(353)
    async with rig(tmp_path, speed=SPEED) as site:
        site.write_site(more=TOTALISER)
        for _ in range(KILLS):
            await site.fork()
            await asyncio.sleep(moments.uniform(0.3, 1.6))  # up to a minute and a half of the simulated time
            await site.kill_fork()
            await asyncio.sleep(moments.uniform(0.0, 2.0))
        await site.fork()
        counted: list[dict[str, Any]] = []
        for _ in range(100):  # on a slow machine some of the lives were too short for a minute
            await asyncio.sleep(0.5)
            records = [r for r in await site.records() if r["factor"] == "w00000" and r["kind"] == "minute"]
            counted = [r for r in sorted(records, key=lambda record: record["start"]) if "total" in r]
            if len(counted) > KILLS / 2:
                break
        assert len(counted) > KILLS / 2
        assert any(r["caught_up"] for r in counted)
        for earlier, later in pairwise(counted):
            assert later["cou"] or later["total"] == earlier["total"]
            assert (later["cou"] or 0.0) == pytest.approx(later["total"] - earlier["total"], abs=STEP / 10)
        assert all(r["max"] is None or r["max"] < 100 for r in counted)  # no flow spike: the course stays below 60 L/s
        await site.drained()
        assert await site.differences() == []
        for record in counted[1:]:
            what = ("data", "explain", "w00000", "minute", record["start"], "-c", str(site.config), "--json")
            code, out, _ = await site.hj212(*what)
            assert (code, json.loads(out)["verdict"]) == (0, "equal"), out
        page = await site.status()
        (total,) = [row for row in page["points"] if row["factor"] == "w00000-total"]
        assert (total["unit"], total["name_en"]) == ("m³", "totaliser")
        live = [one.packet for one in site.platform.received if one.packet is not None and one.packet.cn == "2011"]
        assert live
        assert not [name for packet in live for item in packet.data for name, _ in item if "total" in name]
