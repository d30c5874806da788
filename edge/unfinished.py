"""What ends an action is done, whatever comes between: a relay that was closed is opened again.

on disk ─▶ the action's writes ─▶ its `after` ─▶ off the disk
               └─ the daemon was killed, the line is dead: `after` is tried again until it is confirmed ─┘
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from edge.actions import Actions
from edge.clock import Clock
from edge.store import unfinished
from edge.store.errors import StoreFailed
from edge.store.infos import Note
from edge.store.store import Store
from edge.supervise import keep_alive
from edge.uploads import Uploads
from protocol.times import iso_text

_RETRY_S = 10.0


class Unfinished:
    """Every action with `after` from its first write until what ends it was answered."""

    def __init__(self, actions: Actions, store: Store, clock: Clock, uploads: Uploads) -> None:
        self._actions = actions
        self._store = store
        self._clock = clock
        self._uploads = uploads
        self._left: dict[tuple[str, str], int] = {}
        self._trying: tuple[str, str] | None = None
        actions.owe, actions.settle = self._owe, self._settle

    async def load(self) -> None:
        """What the run before has left."""
        self._left = await self._store.do(unfinished.entries)

    def start(self, group: asyncio.TaskGroup, count: Callable[[str], None]) -> None:
        """End what is left, for ever."""
        group.create_task(keep_alive("unfinished", self._run, self._clock, count), name="unfinished")

    def warnings(self) -> list[dict[str, Any]]:
        """What is still closed, or whatever it is that was not ended."""
        return [
            {"code": "edge.warn-unfinished", "params": {"instrument": instrument, "action": action}}
            for instrument, action in self._late()
        ]

    async def _run(self) -> None:
        while True:
            for each in self._late():
                self._trying = each
                await self._end(*each)
            self._trying = None
            await self._clock.sleep(_RETRY_S)

    def _late(self) -> list[tuple[str, str]]:
        running = self._actions.running
        return [each for each in self._left if each[0] not in running or each == self._trying]

    async def _end(self, instrument: str, action: str) -> None:
        began_ms = self._left.get((instrument, action))
        if began_ms is None or instrument in self._actions.running:  # another was tried meanwhile, and that took time
            return
        result = await self._actions.end(instrument, action)
        if result.code == "no-action":  # the site file has it no more
            await self._settle(instrument, action)
        elif result.code != "done":
            return
        detail = {"instrument": instrument, "action": action, "began": iso_text(began_ms), "result": result.code}
        await self._uploads.note(Note("logger", "action.ended-late", detail))

    async def _owe(self, instrument: str, action: str) -> None:
        self._left[instrument, action] = at_ms = self._clock.wall_ms()
        with suppress(StoreFailed):  # a full disk keeps nobody from drawing a sample
            await self._store.do(unfinished.add, instrument, action, at_ms)

    async def _settle(self, instrument: str, action: str) -> None:
        self._left.pop((instrument, action), None)
        with suppress(StoreFailed):  # after the next start it is ended once more
            await self._store.do(unfinished.remove, instrument, action)
