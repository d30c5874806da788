"""A technician holds a platform, releases it, and sends a range again, from the command line to the platform."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from daemonkit import rig

SPAN = ("--from", "2026-10-22", "--to", "2026-10-22")


async def test_holding_releasing_and_sending_again(tmp_path: Path) -> None:
    async with rig(tmp_path, speed=40.0) as site:
        config = ("-c", str(site.config))

        async def said(*verb: str) -> Any:
            code, out, err = await site.hj212("outbox", *verb, *config, "--json")
            assert (code, err) == (0, ""), (verb, out, err)
            return json.loads(out)

        await site.start()
        # the second minute is sent when the first one is answered: there is one to send again
        await site.until(lambda page: page["platforms"][0]["answered"] > 3 and site.platform.counts["2051"] > 1)
        assert await said("hold", "city") == {"platform": "city", "held": True, "changed": True}
        assert await said("hold", "city") == {"platform": "city", "held": True, "changed": False}
        page = await site.until(lambda page: page["platforms"][0]["outbox"] > 2)
        assert [warning["code"] for warning in page["warnings"]] == ["edge.warn-held"]
        received = site.platform.counts["2051"]
        await site.stop()
        await site.start()  # still held
        await site.until(lambda page: page["platforms"][0]["outbox"] > 4)
        assert site.platform.counts["2051"] == received
        code, _, err = await site.hj212("outbox", "send-again", "city", *SPAN, "--wait", *config)
        assert (code, "is held" in err) == (1, True)
        assert await said("hold", "city", "--release") == {"platform": "city", "held": False, "changed": True}
        assert await said("hold", "city", "--release") == {"platform": "city", "held": False, "changed": False}
        await site.drained()
        await site.until(lambda page: site.platform.counts["2051"] >= received + 3)
        would = await said("send-again", "city", *SPAN, "--kind", "minute", "--dry-run")
        assert would["count"] >= 4
        before = site.platform.counts["2051"]
        done = await said("send-again", "city", *SPAN, "--kind", "minute", "--wait")
        assert done["count"] >= would["count"]
        await site.drained()
        assert site.platform.counts["2051"] >= before + done["count"]
        assert site.platform.counts["2061"] <= 2  # only minutes were asked for
        assert await site.differences() == []
        assert set(map(len, site.distinct().values())) == {1}
        code, _, err = await site.hj212("outbox", "hold", "nobody", *config)
        assert (code, "nobody" in err, "city" in err) == (2, True, True)
        journal = json.loads((await site.hj212("journal", "show", *config, "--json"))[1])
        actions = [entry["action"] for entry in journal if entry["action"].startswith("outbox.")]
        assert actions == ["outbox.held", "outbox.send-again", "outbox.released", "outbox.send-again"]
        assert all(entry["who"].startswith("user:") for entry in journal if entry["action"] in actions)
