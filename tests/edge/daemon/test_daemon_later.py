"""A platform that is added to a logger at work gets of the past what its `from` says, once, through restarts."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from daemonkit import MN, Rig, rig

from edge.bench.platform import BenchPlatform


def later(platform: BenchPlatform, wish: str) -> str:
    return (
        f'[platforms.late]\nprotocol = "hj212"\nedition = "2017"\nrole = "other"\naddress = "{platform.address}"\n'
        f'outlets = {{ ww1 = {{ mn = "{MN}", password = "Secret7" }} }}\nminute = "1min"\nbackfill_rate = 0.0\n'
        f'window = 8\nfrom = "{wish}"\n'
    )


def minutes(platform: BenchPlatform) -> Counter[str]:
    """DataTime → how often it came, each QN once."""
    packets = {one.packet.qn: one.packet for one in platform.received if one.packet and one.packet.cn == "2051"}
    return Counter(packet.get("DataTime") or "" for packet in packets.values())


async def restarted(site: Rig, late: BenchPlatform, wish: str) -> None:
    await site.stop()
    site.write_site(more=later(late, wish))
    await site.start()


async def test_a_platform_added_later_gets_the_past_once(tmp_path: Path) -> None:
    async with rig(tmp_path, speed=40.0) as site:
        late = BenchPlatform(clock=site.clock)
        await late.start()
        try:
            await site.start()
            await site.until(lambda page: len(minutes(site.platform)) > 1)
            await restarted(site, late, "now")
            await site.until(lambda page: page["platforms"][1]["answered"] > 2)
            first = min(minutes(late))
            assert min(minutes(site.platform)) < first
            await restarted(site, late, "all")  # it wants the past after all
            await site.until(lambda page: min(minutes(late), default="9") == min(minutes(site.platform)))
            await restarted(site, late, "all")
            await site.drained()
            code, out, _ = await site.hj212("outbox", "show", "-c", str(site.config), "--json")
            assert (code, json.loads(out)["filling"]) == (0, [])
            journal = json.loads((await site.hj212("journal", "show", "-c", str(site.config), "--json"))[1])
            (filled,) = [entry for entry in journal if entry["action"] == "outbox.fill"]
            assert (filled["who"], filled["detail"]["platform"], filled["detail"]["from"]) == ("logger", "late", "all")
            both = minutes(late).keys() & minutes(site.platform).keys()
            assert {minutes(late)[label] for label in both} == {1}
            assert set(minutes(site.platform)) - set(minutes(late)) <= {max(minutes(site.platform))}
        finally:
            await late.stop()


async def test_what_waits_for_a_platform_that_is_taken_out_is_told_and_sent_when_it_is_put_back(tmp_path: Path) -> None:
    async with rig(tmp_path, speed=40.0) as site:
        late = BenchPlatform(clock=site.clock)
        await late.start()
        site.write_site(more=later(late, "now"))
        await site.start()
        await late.stop()
        try:
            page = await site.until(lambda page: page["platforms"][1]["outbox"] > 3)
            await site.stop()
            site.write_site()
            await site.start()
            (warning,) = [row for row in (await site.status())["warnings"] if row["code"] == "edge.warn-not-in-site"]
            assert warning["params"]["count"] >= page["platforms"][1]["outbox"]
            assert (warning["params"]["platform"], warning["params"]["outlet"]) == ("late", "ww1")
            await late.start()
            await restarted(site, late, "now")
            await site.drained()
            assert [row["lost"] for row in (await site.status())["platforms"]] == [0, 0]
        finally:
            await late.stop()
