"""A water sampler in the running daemon: kept by alarm, platform and person, told to all and logged once each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from daemonkit import MN, Rig, rig

from drivers.simulated.station import WaterSampler
from edge.bench.conversation import Outcome

COUNTY = MN[:-1] + "1"
SAMPLER = """
[instruments.sampler]
line = "rs485-1"
model = "sampler-modbus"
address = 21
outlet = "ww1"
[outlets.ww1.alarms.w01018]
limit = 1.0
on_alarm = "sampler/keep-sample"
"""


def bottles(site: Rig, mn: str) -> list[str]:
    """VaseNo of each 3015 that a platform got, once for each DataTime."""
    packets = [one.packet for one in site.platform.received if one.packet and one.packet.cn == "3015"]
    seen = {(one.get("DataTime"), one.get("VaseNo")) for one in packets if one.mn == mn}
    return [str(bottle) for _, bottle in sorted(seen, key=str)]


async def log(site: Rig) -> list[dict[str, Any]]:
    code, out, err = await site.hj212("sampler", "log", "--json", "-c", str(site.config))
    assert (code, err) == (0, "")
    found: list[dict[str, Any]] = json.loads(out)
    return found


async def test_samples_kept_by_alarm_platform_and_person_are_told_to_all_and_logged(tmp_path: Path) -> None:
    async with rig(tmp_path) as site:
        sampler = WaterSampler(21)
        site.bus.slaves = [*site.bus.slaves, sampler]
        access = f'{{ ww1 = {{ mn = "{COUNTY}", password = "123456" }} }}'
        county = (
            f'[platforms.county]\nedition = "2017"\nrole = "other"\naddress = "{site.platform.address}"\n'
            f"outlets = {access}\n"
        )
        site.write_site(more=SAMPLER + county)
        await site.start()
        await site.until(lambda page: any(event["code"] == "edge.alarm-acted" for event in page["events"]))
        await site.platform.until(lambda: (bottles(site, MN), bottles(site, COUNTY)) == (["1"], ["1"]))
        assert (await site.platform.command(MN, "3015", [])).outcome is Outcome.DONE
        await site.platform.until(lambda: bottles(site, COUNTY) == ["1", "2"])
        config = "-c", str(site.config)
        code, out, err = await site.hj212("sampler", "keep", "--reason", "a look", "--by", "Li", *config)
        assert (code, err) == (0, "")
        assert "VaseNo 3" in out
        await site.platform.until(lambda: bottles(site, COUNTY) == ["1", "2", "3"])
        await site.drained()
        assert bottles(site, MN) == ["1", "2", "3"]  # the second as the answer to its command
        assert (sampler.commands, sampler.bottle) == ([1, 1, 1], 3)  # the alarm goes on and keeps no second sample
        kept = [(one["bottle"], one["cause"], one["who"], one["reason"], one["volume"]) for one in await log(site)]
        assert kept == [
            (1, "alarm", "w01018", "limit", 1000.0),
            (2, "platform", "city", "", 1000.0),
            (3, "operator", "Li", "a look", 1000.0),
        ]
        _, out, _ = await site.hj212("sampler", "list", "--json", *config)
        (row,) = json.loads(out)
        assert (row["state"], row["bottle"], row["door_open"], row["last_cause"]) == ("idle", 3, False, "operator")
        sampler.trouble = "stuck"
        code, out, err = await site.hj212("sampler", "keep", "--reason", "a look", *config)
        assert (code, out, "no sample was kept" in err) == (1, "", True)
        assert len(await log(site)) == 3
        assert await site.stop() == 0
        assert len(await log(site)) == 3  # without the daemon
        assert "Traceback" not in site.log


async def test_actions_are_listed_run_and_refused_by_name(tmp_path: Path) -> None:
    async with rig(tmp_path) as site:
        sampler = WaterSampler(21)
        site.bus.slaves = [*site.bus.slaves, sampler]
        site.write_site(more=SAMPLER.replace("limit = 1.0", "limit = 1000.0"))
        await site.start()
        config = "-c", str(site.config)
        _, out, _ = await site.hj212("action", "list", "--json", *config)
        found = {(row["instrument"], row["action"], row["cn"]) for row in json.loads(out)}
        assert {("sampler", "drain", None), ("sampler", "keep-sample", "3015"), ("cod", "clean", "3013")} <= found
        code, out, err = await site.hj212("action", "run", "sampler", "unlock", "--reason", "bottles", *config)
        assert (code, err, sampler.commands, sampler.locked) == (0, "", [5], False)
        code, _, err = await site.hj212("action", "run", "sampler", "unlok", "--reason", "x", *config)
        assert (code, "unlock" in err) == (1, True)
        code, _, err = await site.hj212("sampler", "keep", "--reason", "x", *config)
        assert (code, "door" in err) == (1, True)
        journal = json.loads((await site.hj212("journal", "show", "--json", *config))[1])
        done = {entry["action"]: entry["detail"] for entry in journal}
        assert done["instrument.unlock"]["reason"] == "bottles"
        assert done["instrument.keep-sample"]["ExeRtn"] == 3
