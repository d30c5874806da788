"""The daemon as a process, an instrument whose registers change, the bench platform: 3020 and 3019 by themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from daemonkit import FAR_MS, MN, Rig, rig

from edge.bench.conversation import Outcome
from edge.bench.profiles import NORMAL, profile
from edge.bench.received import Received

COD = 1
"""Address of the simulated COD analyser."""
EVENTS = ("3015", "3019", "3020")


def carrying(site: Rig, cn: str, words: str) -> list[Received]:
    """What came of a CN with these words in it."""
    return [one for one in site.platform.received if one.packet and one.packet.cn == cn and words.encode() in one.data]


def known(page: dict[str, object], info: str) -> dict[str, object]:
    rows: list[dict[str, object]] = page["infos"]  # type: ignore[assignment]  # as JSON has it
    return next(row for row in rows if (row["owner"], row["info"]) == ("cod", info))


async def test_a_changed_state_survives_a_kill_between_commit_and_answer_and_is_answered_once(tmp_path: Path) -> None:
    async with rig(tmp_path) as site:
        await site.fork()
        await site.until(lambda page: known(page, "i12001")["value"] == "0" and known(page, "SN")["value"] is not None)
        await site.drained()
        site.platform.profile = profile("mute:3015,3019,3020")
        (panel,) = [one.panel for one in site.bus.slaves if one.address == COD]
        panel.state, panel.until_ms = 5, FAR_MS
        await site.platform.until(lambda: bool(carrying(site, "3020", "i12001-Info=5")))
        await site.kill_fork()
        panel.serial = "010000A8900016F000169DC1"
        site.platform.profile = NORMAL
        await site.fork()
        await site.platform.until(lambda: site.platform.answered["3020"] > 0 and site.platform.answered["3019"] > 0)
        await site.drained()
        state = carrying(site, "3020", "i12001-Info=5")
        assert {one.packet.get("PolId") for one in state if one.packet} == {"w01018"}
        assert len({one.packet.get("DataTime") for one in state if one.packet}) == 1
        states = "SELECT d.state FROM delivery AS d JOIN payload AS w ON w.delivery = d.id"
        assert site.sqlite("records.db", f"{states} WHERE CAST(w.data AS TEXT) LIKE '%i12001-Info=5'") == [(2,)]
        assert {qn: frames for qn, frames in site.bytes_by_qn().items() if len(frames) > 1} == {}
        (replaced,) = {one.data for one in carrying(site, "3019", "w01018-SN=010000A8900016F000169DC1")}
        assert b"PolId=w01018" in replaced
        page = await site.status()
        assert known(page, "i12001")["value"] == "5"
        assert "edge.instrument-replaced" in [event["code"] for event in page["events"]]
        assert [row["lost"] for row in page["platforms"]] == [0]


async def test_a_parameter_that_one_platform_sets_reaches_the_other_and_the_bench_finds_nothing_wrong(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, platform='events = ["3020"]') as site:
        county = MN[:-1] + "1"
        access = f'{{ ww1 = {{ mn = "{county}", password = "123456" }} }}'
        other = (
            f'[platforms.county]\nedition = "2017"\nrole = "other"\naddress = "{site.platform.address}"\n'
            f"outlets = {access}\n"
        )
        site.write_site(more=other, platform='events = ["3020"]')
        await site.start()
        await site.until(lambda page: known(page, "i13008")["value"] is not None)
        await site.platform.until(lambda: site.platform.connected(MN) and site.platform.connected(county))
        fields = [("PolId", "w01018"), ("InfoId", "i13008"), ("i13008-Info", "1.250")]
        assert (await site.platform.command(MN, "3021", fields)).outcome is Outcome.DONE
        await site.platform.until(lambda: bool(carrying(site, "3020", "i13008-Info=1.250")))
        told = carrying(site, "3020", "i13008-Info=1.250")
        assert {one.packet.mn for one in told if one.packet} == {county}
        await site.drained()
        events = [one for one in site.platform.received if one.packet and one.packet.cn in EVENTS]
        assert [finding for one in events for finding in one.findings if finding.params.get("field") != "PW"] == []
        entries = json.loads((await site.hj212("journal", "show", "-c", str(site.config), "--json"))[1])
        (entry,) = [entry for entry in entries if entry["action"] == "instrument.parameter"]
        detail = entry["detail"]
        assert (entry["who"], detail["before"], detail["after"]) == ("platform:city", "1.000", "1.250")
        code, shown, _ = await site.hj212("status", "-c", str(site.config))
        assert code == 0
        assert "i13008" in shown
        assert "1.250" in shown


FILED = """
[[instruments.cod.filed]]
parameter = "i13008"
value = 1.0
filed_no = "2026-017"
"""


def filed(page: dict[str, Any]) -> dict[str, Any]:
    (row,) = page["filed"]
    found: dict[str, Any] = row
    return found


async def test_a_parameter_that_is_not_as_filed_is_shown_until_somebody_files_it(tmp_path: Path) -> None:
    async with rig(tmp_path) as site:
        county = MN[:-1] + "1"
        access = f'{{ ww1 = {{ mn = "{county}", password = "123456" }} }}'
        other = (
            f'[platforms.county]\nedition = "2017"\nrole = "other"\naddress = "{site.platform.address}"\n'
            f"outlets = {access}\n"
        )
        site.write_site(more=FILED + other)
        await site.start()
        await site.until(lambda page: filed(page)["differs"] is False)
        await site.platform.until(lambda: site.platform.connected(MN) and site.platform.connected(county))
        fields = [("PolId", "w01018"), ("InfoId", "i13008"), ("i13008-Info", "1.250")]
        assert (await site.platform.command(MN, "3021", fields)).outcome is Outcome.DONE
        page = await site.until(lambda page: filed(page)["differs"] is True)
        assert (filed(page)["now"], filed(page)["filed"]) == ("1.250", "1")
        assert "edge.warn-filed" in [warning["code"] for warning in page["warnings"]]
        await site.platform.until(lambda: bool(carrying(site, "3020", "i13008-Info=1.250")))
        assert {one.packet.mn for one in carrying(site, "3020", "i13008-Info=1.250") if one.packet} == {county}
        config = "-c", str(site.config)
        assert (await site.hj212("instrument", "filed", *config))[0] == 1
        assert (await site.hj212("instrument", "filed", "nosuch", *config))[0] == 2
        order = ("instrument", "file", "cod", "i13008", "1.25", "--filed-no", "2026-031", "--why", "new lamp")
        code, _, err = await site.hj212(*order, *config)
        assert (code, err) == (0, "")
        page = await site.until(lambda page: filed(page)["differs"] is False)
        assert (filed(page)["filed"], filed(page)["filed_no"]) == ("1.25", "2026-031")
        code, out, _ = await site.hj212("instrument", "filed", *config)
        assert (code, "2026-031" in out) == (0, True)
        entries = json.loads((await site.hj212("journal", "show", *config, "--json"))[1])
        told = [(entry["who"].partition(":")[0], entry["action"]) for entry in entries if ".filed" in entry["action"]]
        assert told == [
            ("platform", "instrument.filed-differs"),
            ("user", "instrument.filed"),
            ("instrument", "instrument.filed-agrees"),
        ]
        assert await site.stop() == 0
        await site.start()
        await site.until(lambda page: filed(page)["differs"] is False and filed(page)["filed_no"] == "2026-031")
