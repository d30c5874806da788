"""Marks, maintenance and stops at a running daemon: typed, kept through a kill, seen by the platform."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from daemonkit import Rig, rig

from edge.control.client import Refused

AGAIN = 'revisions = "marks"\nstopped = "F"'


async def typed(site: Rig, *arguments: str) -> Any:
    code, out, err = await site.hj212(*arguments, "-c", str(site.config), "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def flags(site: Rig, cn: str, factor: str) -> list[tuple[str, str, str]]:
    """(DataTime, value, Flag) of a factor in the order in which the platform got them."""
    found = []
    for packet in (one.packet for one in site.platform.received if one.packet is not None):
        if packet.cn == cn and packet.get(f"{factor}-Flag") is not None:
            value = packet.get(f"{factor}-Avg") or packet.get(f"{factor}-Rtd")
            found.append((packet.get("DataTime") or "", value or "", packet.get(f"{factor}-Flag") or ""))
    return found


async def test_a_mark_on_sealed_minutes_reaches_the_platform_as_a_revision_with_the_same_value(tmp_path: Path) -> None:
    async with rig(tmp_path, platform=AGAIN) as site:
        await site.start()
        await site.platform.until(lambda: len(flags(site, "2051", "w01001")) >= 2)
        sealed = flags(site, "2051", "w01001")
        await typed(
            site, "mark", "add", "--point", "ww1/w01001", "--mark", "C", "--reason", "x", "--by", "张三",
            "--from", "2026-10-22 22:50", "--to", "2026-10-22 23:01",
        )  # fmt: skip
        marked = [(time, value, "C") for time, value, _ in sealed if time < "20261022230100"]
        await site.platform.until(lambda: set(marked) <= set(flags(site, "2051", "w01001")))
        # the other factors of that packet come again as they were
        ph, cod = flags(site, "2051", "w01001"), flags(site, "2051", "w01018")
        assert {value for time, value, _ in ph if time == marked[-1][0]} == {marked[-1][1]}
        assert len({each for each in cod if each[0] == marked[-1][0]}) == 1
        page = await site.until(lambda page: any(each["code"] == "marks.revised" for each in page["events"]))
        assert page["platforms"][0]["lost"] == 0
        (entry,) = await typed(site, "mark", "list")
        assert (entry["operator"], entry["revised"]) == ("张三", True)
        assert await site.stop() == 0
        assert "Traceback" not in site.log


async def test_maintenance_and_a_stop_outlive_a_kill_and_show_on_the_wire(tmp_path: Path) -> None:
    async with rig(tmp_path, platform=AGAIN) as site:
        await site.fork()
        await site.until(lambda page: all(point["value"] is not None for point in page["points"]))
        await typed(site, "maintain", "start", "--instrument", "ph", "--reason", "电极")
        await typed(site, "source", "stop", "--reason", "检修", "--at", "2026-10-22 22:00")
        await site.kill_fork()
        await site.fork()
        page = await site.until(lambda page: all(point["mark"] is not None for point in page["points"]))
        assert {point["factor"]: point["mark"] for point in page["points"]} == {
            point["factor"]: "M" if point["instrument"] == "ph" else "N" for point in page["points"]
        }
        assert [each["code"] for each in page["warnings"]] == ["marks.warn-stopped"]
        assert {mark["kind"] for mark in page["marks"]} == {"maintenance", "stop"}
        wanted = [("2051", "w01001", "M"), ("2011", "w01001", "M"), ("2051", "w01018", "F"), ("2011", "w01018", "F")]
        await site.platform.until(
            lambda: all([flag for *_, flag in flags(site, cn, factor)][-1:] == [mark] for cn, factor, mark in wanted)
        )
        # in the store the stop marks nothing
        assert {row[0] for row in site.sqlite("records.db", "SELECT DISTINCT mark FROM record")} <= {"N", "M"}
        await typed(site, "maintain", "end")
        page = await site.until(lambda page: {point["mark"] for point in page["points"]} == {"N"})
        await site.kill_fork()
        assert "Traceback" not in site.log


async def test_a_wrong_order_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async with rig(tmp_path) as site:
        await site.start()
        for args, code in (
            ({"do": "add", "points": ["ww1/x"], "mark": "M", "reason": "x"}, "marks.no-factor"),
            ({"do": "add", "points": ["ww1"], "mark": "M", "reason": "x", "from": 1 << 62}, "edge.control-malformed"),
            ({"do": "add", "points": 5, "mark": "M", "reason": "x"}, "edge.control-malformed"),
            ({"do": "forget", "number": 1, "reason": "x"}, "marks.no-such"),
            ({}, "edge.control-malformed"),
        ):
            with pytest.raises(Refused) as caught:
                await site.ask("mark-order", args)
            assert caught.value.code == code, args
        assert await site.ask("marks") == []
        assert await site.stop() == 0
        assert "Traceback" not in site.log


async def test_derived_points_go_the_whole_way(tmp_path: Path) -> None:
    async with rig(tmp_path) as site:
        derived = '[[outlets.ww1.derived]]\nfactor = "w01017"\nformula = "w01018 * 0.6 + 2"\ndecimals = 4\n'
        text = site.config.read_text(encoding="utf-8")
        site.config.write_text(
            text.replace('statistics = "water"\n', f'statistics = "water"\n{derived}', 1), encoding="utf-8"
        )
        await site.start()
        await site.platform.until(
            lambda: len(flags(site, "2051", "w01017")) >= 2 and len(flags(site, "2011", "w01017")) >= 1
        )
        cod = {time: float(value) for time, value, _ in flags(site, "2051", "w01018")}
        for time, value, flag in flags(site, "2051", "w01017")[1:]:
            assert (abs(float(value) - (cod[time] * 0.6 + 2)) < 0.1, flag, len(value.partition(".")[2])) == (
                True,
                "N",
                4,
            )
        page = await site.status()
        (point,) = [point for point in page["points"] if point["factor"] == "w01017"]
        assert (point["instrument"], point["mark"]) == ("", "N")
        assert await site.stop() == 0
        assert "Traceback" not in site.log
