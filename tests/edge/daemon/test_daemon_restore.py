"""A backup that is put back: what was sent since as a whole is not computed again from the half that the backup has."""

from __future__ import annotations

import json
from pathlib import Path

from daemonkit import START_MS, rig


async def test_a_period_that_was_open_when_the_backup_was_made_does_not_get_a_second_value(tmp_path: Path) -> None:
    async with rig(tmp_path, speed=20.0, start_ms=START_MS - 2 * 60_000) as site:
        config = ("-c", str(site.config))
        await site.start()
        newest = "SELECT coalesce(max(time), 0) / 1000 % 60 FROM tick"
        await site.until(lambda page: 5 <= site.sqlite("samples.db", newest)[0][0] <= 15)  # a minute has begun
        code, out, err = await site.hj212("backup", str(tmp_path / "usb"), *config, "--json")
        assert code == 0, err
        sent = site.platform.counts["2051"]
        await site.until(lambda page: site.platform.counts["2051"] >= sent + 2 and site.platform.counts["2061"] > 0)
        await site.drained()
        await site.stop()
        code, _, err = await site.hj212("restore", json.loads(out)["folder"], *config)
        assert code == 0, err
        await site.start()
        sent = site.platform.counts["2051"]
        await site.until(lambda page: site.platform.counts["2051"] >= sent + 2)
        assert set(map(len, site.distinct().values())) == {1}
