"""What a platform commands changes the running daemon, and still holds after a restart (HJ 212-2017 Table 9)."""

from __future__ import annotations

import json
from pathlib import Path

from daemonkit import MN, rig

from edge.bench.conversation import Outcome
from protocol.times import parse_time, time_text

POLLUTANT_DATA = {"2011", "2051", "2061", "2031"}


async def test_settings_hold_at_once_and_after_a_restart(tmp_path: Path) -> None:
    async with rig(tmp_path) as site:
        await site.start()
        await site.until(lambda page: page["platforms"][0]["answered"] > 0)
        for cn, fields in (
            ("1062", [("RtdInterval", "45")]), ("1064", [("MinInterval", "5")]),
            ("1000", [("OverTime", "7"), ("ReCount", "2")]), ("1072", [("NewPW", "new123")]),
        ):  # fmt: skip
            assert (await site.platform.command(MN, cn, fields)).outcome is Outcome.DONE, cn
        for _ in ("before", "after the restart"):
            row = (await site.status())["platforms"][0]
            assert (row["realtime_s"], row["minute_min"]) == (45, 5)
            assert row["platform_set"]["timeout"] == "7000"
            assert row["platform_set"]["retries"] == "2"
            assert row["platform_set"]["password"] == "***"
            answers = [await site.platform.command(MN, cn) for cn in ("1061", "1063", "1011")]
            assert [answer.outcome for answer in answers] == [Outcome.DONE] * 3
            assert answers[0].get("RtdInterval") == "45"
            assert answers[1].get("MinInterval") == "5"
            clock = parse_time(answers[2].get("SystemTime") or "")
            assert abs(clock - site.clock.wall_ms()) < 60_000
            assert await site.stop() == 0
            await site.start()
            count = site.platform.counts["2011"]
            await site.platform.until(lambda count=count: site.platform.counts["2011"] > count)
        entries = json.loads((await site.hj212("journal", "show", "-c", str(site.config), "--json"))[1])
        assert "new123" not in str(entries)
        assert {"1062", "1064", "1000", "1072"} <= {entry["who"].rpartition(":")[2] for entry in entries}


async def test_2012_stops_realtime_and_2011_starts_it_again(tmp_path: Path) -> None:
    async with rig(tmp_path, speed=40.0) as site:
        await site.start()
        await site.platform.until(lambda: site.platform.counts["2011"] > 1)
        assert (await site.platform.command(MN, "2012")).outcome is Outcome.DONE
        assert "edge.warn-realtime-off" in [w["code"] for w in (await site.status())["warnings"]]
        await site.stop()
        await site.start()
        count, minutes = site.platform.counts["2011"], site.platform.counts["2051"]
        await site.platform.until(lambda: site.platform.counts["2051"] > minutes + 1)
        assert site.platform.counts["2011"] <= count + 1  # one may have been on its way
        assert (await site.platform.command(MN, "2011")).outcome is Outcome.DONE
        await site.platform.until(lambda: site.platform.counts["2011"] > count + 1)


async def test_1012_sets_the_simulated_clock_and_seals_no_label_twice(tmp_path: Path) -> None:
    async with rig(tmp_path) as site:
        await site.start()
        await site.platform.until(lambda: site.platform.counts["2051"] > 1)
        target = site.clock.wall_ms() - 120_000
        done = await site.platform.command(MN, "1012", [("SystemTime", time_text(target))])
        assert done.outcome is Outcome.DONE
        told = await site.platform.command(MN, "1011")
        assert abs(parse_time(told.get("SystemTime") or "") - target) < 60_000
        minutes = site.platform.counts["2051"]
        await site.platform.until(lambda: site.platform.counts["2051"] > minutes + 1)
        await site.drained()
        assert {key: texts for key, texts in site.distinct().items() if len(texts) > 1 and key[0] != "2011"} == {}


async def test_the_official_connection_is_recorded_once_and_alike_everywhere(tmp_path: Path) -> None:
    async with rig(tmp_path) as site:
        await site.start()
        await site.until(lambda page: page["platforms"][0]["answered"] > 2)
        first = await site.ask("connection", {"raw": True})
        await site.stop()
        await site.start()
        await site.platform.until(lambda: sum(site.platform.answered.values()) > 6)
        again = await site.ask("connection", {"raw": True})
        assert again == first
        (receipt,) = first["receipts"]
        assert first["official"] == receipt
        packets = [one for one in site.platform.received if one.packet is not None and one.packet.cn in POLLUTANT_DATA]
        answered = packets[0]
        assert answered.packet is not None
        assert (receipt["qn"], receipt["cn"], receipt["mn"]) == (answered.packet.qn, answered.packet.cn, MN)
        assert receipt["packet"].encode() == answered.data
        assert "QnRtn" not in receipt["answer"]
        assert f"QN={receipt['qn']}" in receipt["answer"]
        assert "CN=9014" in receipt["answer"]
        (line,) = (site.data / "connection.jsonl").read_text(encoding="utf-8").splitlines()
        kept = json.loads(line)
        ((qn, packet_sha, answer_sha, official_ms),) = site.sqlite(
            "records.db", "SELECT qn, packet_sha256, answer_sha256, official_ms FROM receipt"
        )
        assert (kept["qn"], kept["packet_sha256"], kept["answer_sha256"], kept["official_ms"]) == (
            qn, packet_sha, answer_sha, official_ms,
        )  # fmt: skip
        assert (receipt["qn"], receipt["packet_sha256"]) == (qn, packet_sha)
