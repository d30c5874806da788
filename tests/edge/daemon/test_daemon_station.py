"""The station room's preset on a real line: doors and mains are told, air is read, a relay restarts the DTU."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from daemonkit import ROOT, Rig, rig

from drivers.simulated.station import IoModule, station_room

DOOR, MAINS, DTU = 0, 3, 2


def tables(path: Path) -> str:
    """The instruments and contacts of the preset, on the line of the rig."""
    text = path.read_text(encoding="utf-8")
    return text[text.index("[instruments.room]") : text.index("[platforms.city]")].replace("rs485-2", "rs485-1")


def logs(site: Rig, info: str) -> list[str]:
    found = [one.data.decode() for one in site.platform.received if one.packet and one.packet.cn == "3020"]
    return [text for text in found if f"{info}-Info=" in text]


def contacts(page: dict[str, Any]) -> dict[str, bool]:
    return {row["kind"]: row["on"] for row in page["contacts"]}


async def test_preset_of_the_station_room_works_on_simulated_modules(tmp_path: Path) -> None:
    async with rig(tmp_path) as site:
        module, *others = station_room()
        assert isinstance(module, IoModule)
        site.bus.slaves = [*site.bus.slaves, module, *others]
        site.write_site(more=tables(ROOT / "config" / "presets" / "station-room.toml"))
        await site.start()
        page = await site.until(lambda page: any(row["info"] == "i33103" and row["value"] for row in page["infos"]))
        await site.until(lambda page: all(r["value"] for r in page["infos"] if r["info"].startswith("i331")))
        air = {row["info"]: row["value"] for row in (await site.status())["infos"]}
        assert (air["i33101"], air["i33102"], air["i33103"]) == ("23", "51", "226")
        assert not any(contacts(page).values())
        module.inputs[DOOR], module.inputs[MAINS] = 1, 0
        page = await site.until(lambda page: contacts(page)["door"] and contacts(page)["mains"])
        assert {"edge.contact-door-on", "edge.contact-mains-on"} <= {one["code"] for one in page["warnings"]}
        module.inputs[DOOR], module.inputs[MAINS] = 0, 1
        await site.until(lambda page: not contacts(page)["door"] and not contacts(page)["mains"])
        await site.platform.until(lambda: any("closed" in text for text in logs(site, "i31001")))
        assert any("站房门 open" in text for text in logs(site, "i31001"))
        await site.platform.until(lambda: any("station.mains-off" in text for text in logs(site, "i21001")))
        config = "-c", str(site.config)
        code, _, err = await site.hj212("action", "run", "io", "output-restart-dtu", "--reason", "hangs", *config)
        assert (code, err) == (0, "")
        assert (module.pulses[DTU], module.relays[DTU]) == (1, 0)
        journal = json.loads((await site.hj212("journal", "show", "--json", *config))[1])
        assert [one["detail"]["reason"] for one in journal if one["action"].endswith("restart-dtu")] == ["hangs"]
        await site.platform.until(lambda: site.platform.answered["2051"] > 0)
        data = [one.data for one in site.platform.received if one.packet and one.packet.cn in ("2011", "2051")]
        assert data
        assert not any(b"room-" in each for each in data)  # read for the contacts only
        await site.drained()
        assert [row["lost"] for row in (await site.status())["platforms"]] == [0]


FAN = """
[instruments.fan]
line = "rs485-1"
driver = "modbus"
address = 21
timeout = "200ms"
  [instruments.fan.actions.output-fan]
  write = [{ function = 5, register = 16, value = 1 }]
  lasts = "1h"
  after = [{ function = 5, register = 16, value = 0, repeat = true }]
"""


async def test_a_relay_closed_by_a_daemon_that_was_killed_is_opened_even_if_the_module_is_away_at_first(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as site:
        module, others = IoModule(21), list(site.bus.slaves)
        site.bus.slaves = [*others, module]
        site.write_site(more=FAN)
        await site.start()
        await site.ask("action-begin", {"instrument": "fan", "action": "output-fan"})
        await site.until(lambda page: bool(module.relays[0]))
        os.kill(site.pid, signal.SIGKILL)
        assert site.process is not None
        await site.process.wait()
        site.bus.slaves = others
        await site.start()
        page = await site.until(lambda page: "edge.warn-unfinished" in [one["code"] for one in page["warnings"]])
        (warning,) = [one["params"] for one in page["warnings"] if one["code"] == "edge.warn-unfinished"]
        assert warning == {"instrument": "fan", "action": "output-fan"}
        assert module.relays[0] == 1
        site.bus.slaves = [*others, module]
        await site.until(lambda page: "edge.warn-unfinished" not in [one["code"] for one in page["warnings"]])
        assert module.relays[0] == 0
        journal = json.loads((await site.hj212("journal", "show", "--json", "-c", str(site.config)))[1])
        (entry,) = [one for one in journal if one["action"] == "action.ended-late"]
        assert (entry["detail"]["action"], entry["detail"]["result"]) == ("output-fan", "done")
        assert await site.stop() == 0
        await site.start()
        assert "edge.warn-unfinished" not in [one["code"] for one in (await site.status())["warnings"]]
