"""The daemon with a simulated blower: its states and running times from the wire to the platform and the screen."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from daemonkit import MN, Rig, rig

from drivers.simulated import SETS
from protocol.packet import Packet
from protocol.times import parse_time

MIDNIGHT_MS = 1_792_684_800_000
"""2026-10-23 00:00 +08:00."""
SPEED = 40.0
EARLIER_MS = 240_000
"""How long before midnight it begins: the daemon needs some of it to start."""
(BLOWER,) = next(one.points for one in SETS["water"] if one.name == "blower")


def packets(site: Rig, cn: str) -> list[Packet]:
    return [one.packet for one in site.platform.received if one.packet is not None and one.packet.cn == cn]


def labels(site: Rig, cn: str) -> list[int]:
    """The DataTimes received, ms."""
    return [parse_time(packet.get("DataTime") or "") for packet in packets(site, cn)]


def now_ms(page: dict[str, Any]) -> int:
    return round(datetime.fromisoformat(page["daemon"]["now"]).timestamp() * 1000)


def state_at(time_ms: int) -> str:
    """What the blower's current says, worked out anew: the last crossing of 5 A upwards or 4 A downwards."""
    for back in range(time_ms, time_ms - 600_000, -5_000):
        current = BLOWER.course.at(back)
        if current > 5.0 or current < 4.0:
            return "1" if current > 5.0 else "0"
    raise AssertionError("the simulated current stays between the thresholds")


async def test_states_follow_the_current_and_the_day_brings_the_running_time(tmp_path: Path) -> None:
    async with rig(tmp_path, speed=SPEED, start_ms=MIDNIGHT_MS - EARLIER_MS) as site:
        await site.start()
        await site.until(lambda page: len(packets(site, "2041")) > 0, 60.0)
        page = await site.until(lambda page: page["daemon"]["now"] > "2026-10-23T00:01:10", 60.0)

        found = packets(site, "2021")
        assert len(found) >= 4
        # 5 s: the packet may have been made just before the poll of its tick was in
        for packet in found:
            tick = parse_time(packet.get("DataTime") or "")
            assert packet.get("SB1-RS") in {state_at(tick), state_at(tick - 5_000)}
        assert {packet.get("SB1-RS") for packet in found} == {"0", "1"}

        (day,) = packets(site, "2041")
        (record,) = [one for one in await site.records() if one["factor"] == "SB1" and one["kind"] == "day"]
        assert day.get("DataTime") == "20261022000000"
        assert day.get("SB1-RT") == f"{record['cou']:.2f}"
        args = {"outlet": "ww1", "from": 0, "to": MIDNIGHT_MS - 1, "factors": ["SB1"]}
        running = [one for one in await site.ask("samples", args) if one["value"] == 1]
        assert record["cou"] == pytest.approx(len(running) * 5 / 3600)

        measured = [one for cn in ("2011", "2051", "2061", "2031") for one in packets(site, cn)]
        others = {name for one in measured for item in one.data for name, _ in item}
        assert "w01018-Avg" in others
        assert not [name for name in others if name.startswith("SB")]
        (point,) = [one for one in page["points"] if one["factor"] == "SB1"]
        assert (point["name_zh"], point["unit"]) == ("鼓风机", None)
        assert point["state"] == {0.0: "off", 1.0: "running"}[point["value"]]
        await site.drained()
        assert await site.differences() == []
        _, screen, _ = await site.hj212("status", "-c", str(site.config))
        assert "鼓风机" in screen
        assert " off " in screen or " running " in screen

        show = ("data", "show", "-c", str(site.config), "--kind", "day", "--factor", "SB1", "--from", "2026-10-01")
        _, out, _ = await site.hj212(*show, "--json")
        assert [row["cou"] for row in json.loads(out)] == [record["cou"]]
        _, out, _ = await site.hj212(*show)
        assert f"{record['cou']:.6g} h" in out


async def test_a_platform_stops_states_asks_for_running_times_and_a_restart_changes_nothing(tmp_path: Path) -> None:
    async with rig(tmp_path, speed=SPEED, start_ms=MIDNIGHT_MS - EARLIER_MS) as site:
        await site.start()
        await site.until(lambda page: len(packets(site, "2041")) > 0, 60.0)
        stopped = await site.platform.command(MN, "2022", ())
        assert stopped.conformity.value == "conforms"
        halted = now_ms(await site.status())
        await site.stop()
        await site.start()
        page = await site.until(lambda page: page["daemon"]["uptime_s"] > 100, 30.0)
        assert now_ms(page) > halted + 90_000
        assert max(labels(site, "2021")) <= halted  # one that had no answer yet comes again, a later one does not
        assert "remote.warn-state-off" in [warning["code"] for warning in page["warnings"]]

        sent = len(packets(site, "2041"))
        period = (("BeginTime", "20261022000000"), ("EndTime", "20261022000000"))
        asked = await site.platform.command(MN, "2041", period)
        assert (asked.conformity.value, asked.exe_rtn) == ("conforms", "1")
        first, again = packets(site, "2041")[0], packets(site, "2041")[sent:]
        assert [packet.data for packet in again] == [first.data]

        await site.platform.command(MN, "2021", ())
        await site.until(lambda page: max(labels(site, "2021")) > halted, 30.0)
