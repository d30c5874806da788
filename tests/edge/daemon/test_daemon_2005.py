"""Edition 2005 from the site file to the wire: the daemon as a process, the bench platform with `--edition 2005`."""

from __future__ import annotations

import json
from pathlib import Path

from daemonkit import MN_2005, rig

from edge.bench.conversation import Conformity, Outcome, Timing
from edge.bench.platform import Options
from edge.bench.rehearsal import Rehearsal, Wishes
from edge.bench.steps import steps_of
from edge.values import MINUTE_MS
from protocol.times import time_text

COD = "011"
"""Chemical oxygen demand, w01018 in 2017."""


async def test_minute_data_are_delivered_and_answered_and_commands_carried_out(tmp_path: Path) -> None:
    async with rig(tmp_path, speed=40.0, edition="2005") as site:
        await site.start()
        await site.platform.until(lambda: site.platform.counts["2051"] > 3)
        minutes = [each for each in site.platform.received if each.packet is not None and each.packet.cn == "2051"]
        for each in minutes:
            assert each.packet is not None
            assert [finding.code for finding in each.findings if finding.grave] == []
            assert (each.answer, each.packet.mn, each.packet.flag) == ("9014", MN_2005, None)
        names = {name for each in minutes if each.packet for item in each.packet.data for name, _ in item}
        assert {f"{COD}-Avg", f"{COD}-Flag", "B01-Cou", "001-Avg"} <= names  # a busy machine may miss one in a minute
        assert "w01018-Avg" not in names
        assert "2081" not in site.platform.counts
        assert "1013" not in site.platform.counts

        asked = await site.platform.command(MN_2005, "1062", [("RtdInterval", "45")])
        assert (asked.outcome, asked.conformity) == (Outcome.DONE, Conformity.CONFORMS)
        now_ms = site.clock.wall_ms()
        period = [("BeginTime", time_text(now_ms - 30 * MINUTE_MS)), ("EndTime", time_text(now_ms))]
        history = await site.platform.command(MN_2005, "2051", period)
        assert (history.outcome, history.conformity) == (Outcome.DONE, Conformity.CONFORMS)
        assert len(history.data) >= 3
        limit = await site.platform.command(MN_2005, "1022", [(f"{COD}-LowValue", "0"), (f"{COD}-UpValue", "0.1")])
        assert limit.outcome is Outcome.FAILED  # two items: a limit is one
        assert (await site.platform.command(MN_2005, "1001", [("WarnTime", "5")])).outcome is Outcome.DONE
        both = (((f"{COD}-LowValue", "0"), (f"{COD}-UpValue", "0.1")),)
        assert (await site.platform.ask(MN_2005, "1022", both)).outcome is Outcome.DONE
        await site.platform.until(lambda: site.platform.answered["2072"] > 0 and site.platform.answered["2071"] > 0)

        (row,) = (await site.status())["platforms"]
        assert (row["edition"], row["realtime_s"], row["lost"]) == ("2005", 45, 0)
        _, out, _ = await site.hj212("config", "show", "-c", str(site.config), "--json")
        shown = {one["key"]: (one["value"], one["origin"]) for one in json.loads(out)}
        assert shown["platforms.city.limit.w01018"] == ("0 0.1", "platform")
        assert shown["platforms.city.warn_time"] == ("5", "platform")
        _, out, _ = await site.hj212("platform", "reset", "-c", str(site.config), "city", "limit.w01018", "--json")
        assert [one["name"] for one in json.loads(out)] == ["limit.w01018"]
        (receipt,) = (await site.ask("connection"))["receipts"]
        assert (receipt["platform"], receipt["mn"], receipt["confirmed"]) == ("city", MN_2005, True)
        events = {event["code"] for event in (await site.status())["events"]}
        assert not {"edge.unknown-qn", "edge.stray-packet", "edge.bad-packet", "edge.unbuildable"} & events


async def test_a_whole_rehearsal_of_2005_finds_nothing_against_the_logger(tmp_path: Path) -> None:
    async with rig(tmp_path, speed=20.0, edition="2005", platform="commands_per_minute = 0") as site:
        edition = site.platform.options.edition
        site.platform.options = Options(edition=edition, timing=Timing(20.0, 1, 1800.0))
        await site.start()
        await site.platform.until(lambda: site.platform.counts["2051"] > 0)
        both = (((f"{COD}-LowValue", "0"), (f"{COD}-UpValue", "9999")),)
        for cn, region in (
            ("1022", both), ("1032", ((("AlarmTarget", "3882566"),),)), ("1042", ((("ReportTime", "0101"),),)),
        ):  # fmt: skip
            assert (await site.platform.ask(MN_2005, cn, region)).outcome is Outcome.DONE
        wishes = Wishes(wait_s=300.0, resend_s=200.0, with_control=True, with_time=True, pol_id=COD)
        steps = [step for step in steps_of(edition) if wishes.wants(step)]
        rows = await Rehearsal(site.platform, site.clock, wishes, lambda row: None).run(steps)
        fine = (Conformity.CONFORMS, Conformity.NOT_SUPPORTED)
        assert [row for row in rows if row.verdict not in fine] == []
        own = {"1001", "1021", "1022", "1032", "1042", "2071", "3014-hours", "upload-2051"}
        assert own <= {row.check for row in rows}
