"""A platform preset of the site's own at the daemon as a process: its keys reach the wire, and are shown."""

from __future__ import annotations

import json
from pathlib import Path

from daemonkit import MN, PASSWORD, rig

from protocol.frame import wrap
from protocol.packet import Packet

PRESET = """\
[preset]
name_zh = "本市"
name_en = "our city"
grade = "seen-in-field"
notes = "the city's own paper"
[platform]
tail = "lf"
crc_error = "answer"
heartbeat = "9021"
heartbeat_every = "10s"
extra = { lng = "113.75", lat = "23.04" }
"""


async def test_the_keys_of_a_preset_reach_the_wire(tmp_path: Path) -> None:
    async with rig(tmp_path, speed=20.0) as site:
        (site.folder / "platforms").mkdir()
        (site.folder / "platforms" / "mine.toml").write_text(PRESET, encoding="utf-8")
        site.write_site(platform='preset = "mine"\nheartbeat_every = "20s"')
        await site.start()
        seen = site.platform.counts
        await site.platform.until(lambda: seen["9021"] > 3 and seen["2011"] > 1 and seen["2051"] > 0)
        received = list(site.platform.received)
        assert received[0].packet is not None
        assert received[0].packet.cn == "9021"
        assert {each.answer for each in received if each.packet and each.packet.cn == "9021"} == {"9022"}
        for each in received:
            assert each.data.endswith(b"\n")
            assert not each.data.endswith(b"\r\n")
            data = each.packet is not None and each.packet.cn in ("2011", "2051", "2061", "2031")
            assert (b";lng=113.75;lat=23.04;w" in each.data) is data
        head = f"ST=32;CN=1062;PW={PASSWORD};MN={MN};Flag=5"
        request = Packet.from_segment(f"QN=20261022230000000;{head};CP=&&RtdInterval=45&&".encode())
        site.platform.throw(MN, request, wrap(request.to_segment())[:-6] + b"FFFF\r\n")
        await site.platform.until(lambda: seen["9011"] > 0)
        (refusal,) = [each.packet for each in site.platform.received if each.packet and each.packet.cn == "9011"]
        assert (refusal.qn, refusal.pw, refusal.mn, refusal.get("QnRtn")) == (request.qn, PASSWORD, MN, "9")
        (city,) = (await site.status())["platforms"]
        assert (city["damaged_commands"], city["realtime_s"], city["held"]) == (1, 30, 0)
        code, out, _ = await site.hj212("config", "show", "-c", str(site.config), "--json")
        origins = {each["key"]: (each["value"], each["origin"]) for each in json.loads(out)}
        assert code == 0
        assert origins["platforms.city.tail"] == ("lf", "preset")
        assert origins["platforms.city.heartbeat_every"] == ("20s", "file")
        receipts = (await site.ask("connection"))["receipts"]
        assert {receipt["cn"] for receipt in receipts} <= {"2011", "2051", "2061", "2031"}
        test = ("platform", "test", "city", "-c", str(site.config), "--window", "--yes", "--official-too", "--json")
        code, out, _ = await site.hj212(*test)
        assert (code, json.loads(out)["largest"]) == (0, 64)
