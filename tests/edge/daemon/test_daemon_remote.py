"""Commands of a platform at the daemon as a process: history, and what is undone."""

from __future__ import annotations

import json
from pathlib import Path

from daemonkit import MN, rig

from edge.bench.conversation import Outcome
from edge.values import MINUTE_MS
from protocol.times import time_text


async def test_history_comes_as_it_was_sealed_and_a_platforms_settings_can_be_undone(tmp_path: Path) -> None:
    async with rig(tmp_path, speed=40.0) as site:
        await site.start()
        await site.platform.until(lambda: site.platform.counts["2051"] > 3)
        now_ms = site.clock.wall_ms()
        before = site.platform.counts["2051"]
        period = [("BeginTime", time_text(now_ms - 30 * MINUTE_MS)), ("EndTime", time_text(now_ms))]
        asked = await site.platform.command(MN, "2051", period)
        assert asked.outcome is Outcome.DONE
        assert site.platform.counts["2051"] >= before + 3
        assert (await site.platform.command(MN, "1062", [("RtdInterval", "45")])).outcome is Outcome.DONE
        assert (await site.status())["platforms"][0]["realtime_s"] == 45
        cycle = await site.platform.command(MN, "3017", [("PolId", "w01018")])
        assert cycle.outcome is Outcome.DONE
        assert cycle.get("CTime") is not None
        assert (await site.platform.command(MN, "2022")).outcome is Outcome.DONE
        (warning,) = [one for one in (await site.status())["warnings"] if one["code"] == "remote.warn-state-off"]
        assert warning["params"]["since"].endswith("+08:00")
        code, out, _ = await site.hj212("platform", "reset", "-c", str(site.config), "city", "realtime", "--json")
        assert (code, json.loads(out)) == (0, [{"platform": "city", "outlet": "ww1", "name": "realtime"}])
        assert (await site.status())["platforms"][0]["realtime_s"] == 30
        code, _, err = await site.hj212("platform", "reset", "-c", str(site.config), "nobody")
        assert (code, "nobody" in err) == (2, True)
