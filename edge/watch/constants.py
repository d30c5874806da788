"""The site file's own constants (area, Kv, pitot …) against what is filed; the file holds while the daemon runs.

What is filed may change meanwhile, or the day of a filing may come: they are looked at again every EVERY_S.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from edge.clock import Clock, plausible
from edge.filing import Filings, Finding
from edge.supervise import keep_alive
from edge.uploads import News, Uploads
from edge.watch.instruments import info_news

EVERY_S = 60.0
_INFO_IDS = {"ambient_pressure": "i23001"}
"""Constants that have an InfoId (Table B.10); the others are told by the journal's log."""


class ConstantWatch:
    """All filed constants of the site."""

    def __init__(
        self, clock: Clock, filings: Filings, uploads: Uploads, on_event: Callable[[str, dict[str, Any]], None]
    ) -> None:
        self._clock = clock
        self._filings = filings
        self._uploads = uploads
        self._on_event = on_event

    def start(self, group: asyncio.TaskGroup, count: Callable[[str], None]) -> None:
        """Look for ever."""
        group.create_task(keep_alive("constants", self._run, self._clock, count), name="constants")

    async def _run(self) -> None:
        while True:
            if plausible(self._clock.wall_ms()):
                await self.look()
            await self._clock.sleep(EVERY_S)

    async def look(self) -> None:
        """Once."""
        for key, value in list(self._filings.constants()):
            finding = self._filings.see(key, value)
            if finding is not None:
                self._on_event(finding.code, finding.params())
                await self._uploads.change(finding.change, _news(finding), finding.note("logger", None))


def _news(finding: Finding) -> list[News]:
    info = _INFO_IDS.get(finding.key.info)
    if info is None:
        return []
    return [info_news(finding.key.outlet, info, finding.telling.state.value, finding.change.at_ms, (None,))]
