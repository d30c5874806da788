"""A batch analyzer through the whole daemon: an hour waits for its result, over a kill, and follows by itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from daemonkit import BAUD, START_MS, Rig, rig

from drivers.simulated import Course, SimulatedBus, site_blocks
from drivers.simulated.batch import BatchCourse, batch_point, batch_set
from protocol.times import iso_text, time_text

SPEED = 60.0
HOUR_MS, MINUTE_MS = 3_600_000, 60_000
TOP = START_MS + MINUTE_MS
"""23:00. The result of what was sampled at 22:00 is there at 23:05."""
COURSE = BatchCourse(Course(30.0, 5.0, 11.0, 1.0), analysis_ms=65 * MINUTE_MS, check_every=1_000_000)


def write_site(site: Rig, port: str, mode: Literal["held", "assigned"]) -> None:
    site.write_site()
    text = site.config.read_text(encoding="utf-8")
    lines = site_blocks("water", port, "ww1", baud=BAUD, actions=False)
    flow = lines[lines.index("[instruments.flow]") :]
    line = lines[: lines.index("[instruments.cod]")]
    cod = '[instruments.cod]\nline = "rs485-1"\noutlet = "ww1"\ndriver = "modbus"\naddress = 1\nevery = "5s"\n'
    head, _, rest = text.partition("[lines.")
    city = rest[rest.index("[platforms.city]") :]
    point = batch_point("cod", "ww1", mode, "1h")
    site.config.write_text(head + line + cod + point + flow + "\n" + city, encoding="utf-8")


@asynccontextmanager
async def outlet(folder: Path, mode: Literal["held", "assigned"], start_ms: int) -> AsyncIterator[Rig]:
    """A batch analyzer and a flow meter, on a line of their own."""
    async with rig(folder, speed=SPEED, start_ms=start_ms) as site:
        bus = SimulatedBus(batch_set(COURSE), site.clock, baud=BAUD)
        bus.start()
        try:
            write_site(site, bus.path, mode)
            await site.fork()
            yield site
        finally:
            bus.stop()


async def until(site: Rig, end_ms: int, found: Callable[[], Awaitable[Any]] | None = None) -> Any:
    """Until the site's clock says `end_ms`, or `found` gives something."""
    for _ in range(2_000):
        what = None if found is None else await found()
        if what or site.clock.wall_ms() >= end_ms:
            return what
        await asyncio.sleep(0.05)
    raise AssertionError(site.log[-4000:])


def sent(site: Rig, cn: str, attribute: str) -> list[tuple[str, str]]:
    """Factor and text of all values with an attribute that the platform got under a CN, as they came."""
    packets = [one.packet for one in site.platform.received if one.packet is not None and one.packet.cn == cn]
    pairs = [pair for packet in packets for item in packet.data for pair in item]
    return [(name.partition("-")[0], value) for name, value in pairs if name.endswith(f"-{attribute}")]


async def test_hour_waits_for_its_result_over_a_kill_and_is_sent_within_minutes(tmp_path: Path) -> None:
    async with outlet(tmp_path, "assigned", TOP - 6 * MINUTE_MS) as site:

        async def hour_of_cod() -> dict[str, Any] | None:
            found = [r for r in await site.records() if (r["kind"], r["factor"]) == ("hour", "w01018")]
            return next((r for r in found if r["start"] == iso_text(TOP - HOUR_MS)), None)

        await until(site, TOP + 2 * MINUTE_MS)
        assert await hour_of_cod() is None
        await site.kill_fork()
        await site.fork()
        record = await until(site, TOP + 15 * MINUTE_MS, hour_of_cod)
        assert record is not None
        expected = COURSE.course.at(TOP - HOUR_MS)
        assert (record["avg"], record["count"], record["mark"]) == (pytest.approx(expected, rel=1e-6), 1, "N")
        (flow,) = [r for r in await site.records() if (r["kind"], r["factor"]) == ("hour", "w00000")]
        assert record["cou"] == pytest.approx(expected * flow["cou"] / 1000, rel=1e-6)
        await site.drained()
        assert [factor for factor, _ in sent(site, "2061", "Flag")] == ["w00000", "w01018"]
        assert await site.differences() == []


async def test_held_result_is_sent_with_its_sample_time_and_listed(tmp_path: Path) -> None:
    async with outlet(tmp_path, "held", TOP + 2 * MINUTE_MS) as site:
        new = "w01018", time_text(TOP - HOUR_MS)

        async def came() -> bool:
            return new in sent(site, "2011", "SampleTime")

        assert await until(site, TOP + 15 * MINUTE_MS, came)
        drawn = list(dict.fromkeys(sent(site, "2011", "SampleTime")))
        assert drawn in ([new], [("w01018", time_text(TOP - 2 * HOUR_MS)), new])
        await site.drained()
        assert await site.differences() == []
        code, out, _ = await site.hj212("data", "results", "-c", str(site.config), "--from", "2026-10-22", "--json")
        assert code == 0
        rows = json.loads(out)
        both = [(iso_text(TOP - 2 * HOUR_MS), "sample"), (iso_text(TOP - HOUR_MS), "sample")]
        # a daemon that comes up slowly has not seen the older one
        assert [(r["sampled"], r["kind"]) for r in rows] == (both if len(drawn) == 2 else both[-len(rows) :])
        assert rows[-1]["completed"] == iso_text(TOP + 5 * MINUTE_MS)
        assert rows[-1]["value"] == pytest.approx(COURSE.course.at(TOP - HOUR_MS), rel=1e-6)
        code, shown, _ = await site.hj212("data", "results", "-c", str(site.config), "--from", "2026-10-22")
        assert code == 0
        assert "2026-10-22T22:00:00" in shown
