"""A technician's tools beside the daemon: a line lent and taken back, listening in, single reads, a new site."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from daemonkit import BAUD, ROOT, Rig, rig

from drivers.capture import Capture
from drivers.simulated import SimulatedBus, Slave
from drivers.simulated.slaves import Replay, of_model
from edge.clock import SystemClock
from edge.control import client
from edge.tools.holding import Holds
from edge.tools.listening import Listening

METER = "000012345678"
FAST = ("--baud", str(BAUD), "--format", "8N1")


@contextmanager
def second_bus(folder: Path, *slaves: Slave) -> Iterator[SimulatedBus]:
    bus = SimulatedBus(slaves, SystemClock(), baud=BAUD, link=folder / "second")
    bus.start()
    try:
        yield bus
    finally:
        bus.stop()


def second_line(bus: SimulatedBus) -> str:
    """A line of its own with one instrument, for `Rig.write_site(more=…)`."""
    return (
        f'[lines.rs485-2]\nport = "{bus.path}"\nbaud = {BAUD}\n[instruments.dust]\nline = "rs485-2"\naddress = 3\n'
        'driver = "modbus"\nmodel = "pl-pmm180"\noutlet = "ww1"\n'
    )


DUST = {"a34013": 12.5, "a01012": 118.0, "a01011": 11.5}


def line(page: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in page["lines"] if row["instrument"] == name)
    return found


async def typed(site: Rig, *arguments: str) -> Any:
    code, out, err = await site.hj212(*arguments, "-c", str(site.config), "--json")
    assert code == 0, err
    return json.loads(out)


async def test_line_comes_back_by_itself_when_its_tool_is_killed_and_its_neighbour_goes_on(tmp_path: Path) -> None:
    with second_bus(tmp_path, of_model("pl-pmm180", 3, DUST)) as bus:
        async with rig(tmp_path, speed=2.0) as site:
            site.write_site(more=second_line(bus))
            await site.start()
            before = await site.until(lambda page: line(page, "dust")["answered"] > 0)
            tool = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "edge.cli.main", "line", "scan", "rs485-2", "-c", str(site.config),
                "--everywhere", cwd=ROOT, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            held = await site.until(lambda page: line(page, "dust")["port_error"] == "drivers.line-held")
            assert [one["params"]["line"] for one in held["warnings"] if one["code"] == "edge.warn-line-held"] == [
                "rs485-2"
            ]
            with pytest.raises(client.Refused, match="line-is-held"):
                await site.ask("line-take", {"line": "rs485-2"})
            await site.until(lambda page: line(page, "cod")["answered"] > line(held, "cod")["answered"])
            os.kill(tool.pid, signal.SIGKILL)
            await tool.wait()
            after = await site.until(lambda page: line(page, "dust")["answered"] > line(held, "dust")["answered"])
            assert line(after, "dust")["port_open"]
            assert not [one for one in after["warnings"] if one["code"] == "edge.warn-line-held"]
            assert line(after, "cod")["silent"] == line(before, "cod")["silent"] == 0
            entries = await typed(site, "journal", "show")
            told = [(e["who"].partition(":")[0], e["action"], e["detail"].get("why")) for e in entries]
            told = [entry for entry in told if entry[1].startswith("line.")]
            assert told == [("user", "line.held", None), ("logger", "line.returned", "broken")]
            assert await site.stop() == 0
            assert "Traceback" not in site.log


async def test_tool_that_hangs_loses_the_line_when_its_lease_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with second_bus(tmp_path, of_model("pl-pmm180", 3, DUST)) as bus:
        async with rig(tmp_path, speed=2.0) as site:
            site.write_site(more=second_line(bus))
            await site.start()
            with client.Connection([tmp_path / "control.sock"]) as connection:
                state = await asyncio.to_thread(connection.ask, "line-take", {"line": "rs485-2", "tool": "hangs"})
                assert state["lease_s"] == 10.0
                page = await site.until(
                    lambda page: any(event["code"] == "edge.line-returned" for event in page["events"]), 20.0
                )
                (event,) = [event for event in page["events"] if event["code"] == "edge.line-returned"]
                assert (event["params"]["why"], event["params"]["tool"]) == ("lapsed", "hangs")
                assert event["params"]["held_s"] == pytest.approx(10, abs=2)
                with pytest.raises(client.Refused, match="taken-back"):
                    await asyncio.to_thread(connection.ask, "line-renew", {"line": "rs485-2"})
            await site.until(lambda page: line(page, "dust")["port_open"])


async def test_scan_through_the_daemon_finds_who_is_there_and_gives_the_line_back(tmp_path: Path) -> None:
    with second_bus(tmp_path, of_model("pl-pmm180", 3, DUST), of_model("hach-cod", 4, {"w01018": 35.6})) as bus:
        async with rig(tmp_path, speed=2.0) as site:
            site.write_site(more=second_line(bus))
            await site.start()
            found = await typed(
                site, "line", "scan", "rs485-2", "--address", "1-5", "--protocol", "modbus", "--timeout", "0.1", *FAST
            )
            assert [(one["address"], one["model"]) for one in found["found"]] == [(3, "pl-pmm180"), (4, None)]
            assert (found["line"], found["stopped"]) == ("rs485-2", None)
            await site.until(lambda page: line(page, "dust")["port_open"])
            code, _, err = await site.hj212("line", "hold", "rs485-2", "--seconds", "0.5", "-c", str(site.config))
            assert (code, "is free for another program" in err) == (0, True)
            entries = await typed(site, "journal", "show")
            told = [(e["detail"]["tool"], e["detail"]["why"]) for e in entries if e["action"] == "line.returned"]
            assert told == [("line scan", "returned"), ("line hold", "returned")]


async def test_unknown_site_is_scanned_and_the_daemon_then_reads_the_same_values(tmp_path: Path) -> None:
    meter = of_model("dlt645-2007", METER, {"i33201": 1234.56, "i33200": 1.5})
    gas = {"a21026": 28.6, "a21003": 64.1, "a19001": 8.5}
    slaves = (of_model("pl-pmm180", 3, DUST), of_model("scs-900uv", 12, gas), meter)
    with second_bus(tmp_path, *slaves) as bus:
        async with rig(tmp_path, speed=5.0) as site:
            only = ("--address", "1-16", "--protocol", "modbus", "--protocol", "dlt645-2007")
            nowhere = ("-c", str(tmp_path / "none.toml"), "--json")
            code, out, err = await site.hj212("line", "scan", bus.path, *FAST, *only, *nowhere)
            assert code == 0, err
            found = json.loads(out)
            assert [one["name"] for one in found["found"]] == ["modbus-3", "modbus-12", f"dlt645-{METER}"]
            site.write_site(more=found["toml"].replace("rs485-1", "rs485-2"))
            code, out, err = await site.hj212("config", "check", "-c", str(site.config))
            assert code == 0, out + err
            await site.start()
            expected = {**DUST, **gas, "i33201": 1234.56, "i33200": 1.5}
            page = await site.until(
                lambda page: all(point["value"] is not None for point in page["points"] if point["factor"] in expected)
            )
            got = {point["factor"]: point["value"] for point in page["points"] if point["factor"] in expected}
            assert got == pytest.approx(expected, rel=1e-5)


async def test_listening_in_shows_both_directions_and_its_capture_replays(tmp_path: Path) -> None:
    async with rig(tmp_path, speed=5.0) as site:
        await site.start()
        await site.until(lambda page: line(page, "cod")["answered"] > 0)
        file = tmp_path / "seen.capture"
        code, out, err = await site.hj212(
            "line", "sniff", "rs485-1", "-c", str(site.config), "--seconds", "3", "--save", str(file),
            "--instrument", "COD", "--json",
        )  # fmt: skip
        assert code == 0, err
        heard = [json.loads(row) for row in out.splitlines()]
        asked = [one for one in heard if one["to_instrument"]]
        assert len(asked) >= 3
        assert {one["frame"]["kind"] for one in asked} == {"request"}
        assert {one["frame"]["kind"] for one in heard if not one["to_instrument"]} == {"answer"}
        saved = Capture.from_text(file.read_text(encoding="utf-8"))
        assert (saved.header["source"], saved.header["instrument"]) == ("seen", "COD")
        request, answers = next((asked, came) for asked, came in saved.exchanges() if came)
        assert Replay(1, saved).answer(request, 0) == answers[0].data
        assert line(await site.status(), "cod")["port_open"]  # nobody took the line for it
        assert "Traceback" not in site.log


async def test_single_reads_go_between_the_polls_and_say_what_the_screen_says(tmp_path: Path) -> None:
    with second_bus(tmp_path, of_model("pl-pmm180", 3, DUST)) as bus:
        async with rig(tmp_path, speed=2.0) as site:
            site.write_site(more=second_line(bus))
            await site.start()
            rows = await typed(site, "instrument", "read", "dust")
            assert {row["factor"]: row["value"] for row in rows} == pytest.approx(DUST)
            assert {row["mark"] for row in rows} == {"N"}
            raw = await typed(site, "instrument", "read", "dust", "--register", "0", "--count", "2")
            assert raw["raw"] == "41 48 00 00"  # 12.5
            (listed,) = [row for row in await typed(site, "instrument", "list") if row["instrument"] == "dust"]
            assert listed["port_open"]
            assert listed["counters"]["jobs"] >= 4
            found = await typed(site, "line", "find", "12.5", "--instrument", "dust", "--registers", "0-13")
            assert (found["candidates"][0]["register"], found["candidates"][0]["type"]) == (0, "float32")
            code, out, err = await site.hj212("instrument", "watch", "dust", "--point", "a34013", "--every", "0.2",
                                              "--seconds", "0.5", "-c", str(site.config))  # fmt: skip
            assert code == 0, err
            assert "a34013  12.5 mg/m³ N  41 48 00 00" in out
            await site.stop()
            without = await typed(site, "instrument", "read", "dust", "--point", "a34013")
            assert (without[0]["value"], without[0]["mark"]) == (12.5, "N")


def test_who_may_only_read_gets_no_line_and_no_bytes() -> None:
    async def note(_action: str, _detail: dict[str, Any], _who: str) -> None: ...

    verbs = Holds({}, note, lambda _code, _params: None).verbs() | Listening({}).verbs()
    assert all(verb.changes for verb in verbs.values())
