"""An alarm in the running daemon: seen, told, acted on, kept over a kill, and listed."""

from __future__ import annotations

import json
from pathlib import Path

from daemonkit import rig

ALARM = """
[outlets.ww1.alarms.w01018]
limit = 1.0
on_alarm = "cod/keep-sample"
[outlets.ww1.alarms.w01001]
limit = 14.0
"""


async def test_alarm_begins_once_keeps_a_sample_and_goes_on_after_a_kill(tmp_path: Path) -> None:
    async with rig(tmp_path) as site:
        site.write_site(more=ALARM)
        await site.start()
        page = await site.until(lambda page: bool(page["alarms"]))
        (begun,) = page["alarms"]
        assert (begun["factor"], begun["kind"], begun["limit"], begun["end"]) == ("w01018", "limit", 1.0, None)
        await site.until(lambda page: any(event["code"] == "edge.alarm-acted" for event in page["events"]))
        assert site.process is not None
        site.process.kill()
        await site.process.wait()
        await site.start()
        page = await site.until(lambda page: bool(page["alarms"]))
        assert [(alarm["kind"], alarm["begin"]) for alarm in page["alarms"]] == [("limit", begun["begin"])]
        code, out, _ = await site.hj212("events", "--json", "-c", str(site.config))
        kept = [alarm for alarm in json.loads(out) if alarm["kind"] == "limit"]
        assert (code, len(kept)) == (0, 1)
        assert kept[0]["action"] == "cod/keep-sample done 1"
        _, shown, _ = await site.hj212("status", "-c", str(site.config))
        assert "realtime value over the limit" in shown
        assert {row["mark"] for row in (await site.status())["points"]} <= {"N", None}  # None: not read yet
        assert await site.stop() == 0
        _, offline, _ = await site.hj212("events", "--open", "-c", str(site.config))
        assert "w01018" in offline
