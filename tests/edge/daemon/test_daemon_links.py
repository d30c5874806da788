"""Platforms and ports that are not as they should be: nobody else notices."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from daemonkit import rig

from edge.bench.profiles import profile
from edge.values import MINUTE_MS

SECOND = """
[platforms.province]
protocol = "hj212"
edition = "2017"
role = "other"
address = "127.0.0.1:{port}"
outlets = {{ ww1 = {{ mn = "P10000A8900016F000169DC0", password = "123456" }} }}
"""


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def test_a_silent_platform_keeps_its_link_is_named_and_nothing_is_lost(tmp_path: Path) -> None:
    async with rig(tmp_path, speed=40.0, profile=profile("silent"), platform='timeout = "2s"\nretries = 1') as site:
        await site.start()
        page = await site.until(lambda page: "minute" in page["platforms"][0]["unanswered_kinds"], 25.0)
        row = page["platforms"][0]
        assert row["connected"]
        assert (row["answered"], row["lost"]) == (0, 0)
        assert row["outbox"] > 0
        codes = [event["code"] for event in page["events"]]
        assert codes.count("edge.link-up") == 1
        assert "edge.link-down" not in codes
        assert "edge.warn-unanswered" in [warning["code"] for warning in page["warnings"]]
        site.platform.profile = profile("normal")
        await site.drained()
        assert await site.differences() == []


async def test_a_closed_platform_does_not_delay_the_other_and_is_said_once(tmp_path: Path) -> None:
    async with rig(tmp_path, speed=20.0) as site:
        site.write_site(more=SECOND.format(port=closed_port()))
        await site.start()
        await site.platform.until(lambda: site.platform.counts["2051"] >= 4)
        late = {
            one.packet.get("DataTime"): one.at_ms - started
            for one in site.platform.received
            if one.packet is not None and one.packet.cn == "2051"
            for started in [label_ms(one.packet.get("DataTime") or "") + MINUTE_MS]
        }
        assert max(late.values()) < 10_000, late
        await asyncio.sleep(3.0)
        page = await site.status()
        downs = [e for e in page["events"] if e["code"] == "edge.link-down"]
        assert len(downs) == 1
        assert {row["platform"]: row["lost"] for row in page["platforms"]} == {"city": 0, "province": 0}


def label_ms(text: str) -> int:
    from protocol.times import parse_time

    return parse_time(text)


async def test_a_missing_port_is_said_marked_and_used_once_it_appears(tmp_path: Path) -> None:
    async with rig(tmp_path, speed=20.0) as site:
        site.bus.unplug()
        site.write_site(port=str(tmp_path / "port"))
        await site.start()
        page = await site.until(lambda page: [w["code"] for w in page["warnings"]] == ["edge.warn-port"])
        assert all(point["value"] is None for point in page["points"])
        await site.until(lambda page: all(point["mark"] == "B" for point in page["points"]))
        assert [event["code"] for event in page["events"]].count("edge.port-lost") <= 1
        site.bus.plug()
        page = await site.until(lambda page: all(point["value"] is not None for point in page["points"]), 30.0)
        assert page["warnings"] == []
        codes = [e["code"] for e in (await site.until(lambda p: "edge.port-open" in str(p["events"])))["events"]]
        assert (codes.count("edge.port-lost"), codes.count("edge.port-open")) == (1, 1)


async def test_realtime_after_a_restart_claims_no_silence_of_instruments_that_answer(tmp_path: Path) -> None:
    async with rig(tmp_path, speed=20.0) as site:
        for _ in range(3):
            await site.start()
            await asyncio.sleep(2.5)
            assert site.process is not None
            site.process.kill()
            await site.process.wait()
        marks = {key[1:]: values for key, values in site.distinct().items() if key[0] == "2011" and "-Flag" in key[2]}
        assert marks
        assert {key: values for key, values in marks.items() if values != {"N"}} == {}
