"""What is on the site beside the analyzers' values: filed parameters, samplers, contacts, what people have done there.

One part of the daemon made of several; each can be read alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from config.site import Site
from edge.action_orders import ActionOrders
from edge.actions import Actions
from edge.alarms import Alarms
from edge.batch import BatchPoint
from edge.clock import Clock
from edge.control.server import Verb, Who
from edge.filing import Filings
from edge.samplers import CYCLE, Samplers
from edge.store.store import Store
from edge.unfinished import Unfinished
from edge.uploads import Uploads
from edge.values import InfoKey, Sample
from edge.watch.changes import Changes
from edge.watch.constants import ConstantWatch
from edge.watch.contacts import ContactWatch


class OnSite:
    """All of it."""

    def __init__(
        self, site: Site, actions: Actions, store: Store, clock: Clock, changes: Changes, uploads: Uploads
    ) -> None:
        self._batches: Callable[[], Sequence[BatchPoint]] = lambda: ()
        self._uploads = uploads
        self.filings = Filings(site, store, clock, changes)
        self._constants = ConstantWatch(clock, self.filings, uploads, uploads.on_event)
        self._contacts = ContactWatch(site, clock, changes, uploads, uploads.on_event)
        self._samplers = Samplers(site, actions, store, clock, uploads, lambda: self._batches())
        self._orders = ActionOrders(site, actions, self._samplers, uploads)
        self._unfinished = Unfinished(actions, store, clock, uploads)

    async def load(self, alarms: Alarms, batches: Callable[[], Sequence[BatchPoint]]) -> None:
        """What the store knows; from now on alarms have samples kept, and samplers follow the analyzers' `batches`."""
        await self.filings.load()
        await self._samplers.load()
        await self._unfinished.load()
        self._batches = batches
        alarms.act, self._uploads.on_kept = self._samplers.on_alarm, self._samplers.noticed

    def start(self, group: asyncio.TaskGroup, count: Callable[[str], None]) -> None:
        """The tasks."""
        for part in (self._samplers, self._constants, self._contacts, self._unfinished):
            part.start(group, count)

    def observe(self, samples: Sequence[Sample]) -> None:
        """Samples as they come in."""
        self._contacts.observe(samples)

    def status(self, errors: Mapping[InfoKey, str]) -> dict[str, Any]:
        """Its part of `status`; `errors`: why an info could not be read."""
        return {"contacts": self._contacts.rows(), "filed": self.filings.rows(errors)}

    def warnings(self) -> list[dict[str, Any]]:
        """What a technician should look at."""
        parts = self.filings, self._contacts, self._samplers, self._unfinished
        return [warning for part in parts for warning in part.warnings()]

    async def reset(self, platform: str | None, name: str | None, who: str) -> list[dict[str, str]]:
        """Undo what platforms have set here, where all of them are meant; what was undone."""
        return await self._samplers.reset_cycles(who) if platform is None and name in (None, CYCLE) else []

    def verbs(self) -> dict[str, Verb]:
        """What the command line asks."""
        return {
            "actions": Verb(self._list_actions),
            "action-begin": Verb(self._begin, changes=True),
            "action-result": Verb(self._result),
            "samplers": Verb(self._list_samplers),
            "sampler-emptied": Verb(self._emptied, changes=True),
            "file-parameter": Verb(self._file, changes=True),
        }

    async def _list_actions(self, _args: dict[str, Any], _who: Who) -> list[dict[str, Any]]:
        return self._orders.rows()

    async def _begin(self, args: dict[str, Any], who: Who) -> dict[str, int]:
        return self._orders.begin(args, who.name)

    async def _result(self, args: dict[str, Any], _who: Who) -> dict[str, Any] | None:
        return self._orders.result(int(args["number"]))

    async def _list_samplers(self, _args: dict[str, Any], _who: Who) -> list[dict[str, Any]]:
        return await self._samplers.look_now()

    async def _emptied(self, args: dict[str, Any], who: Who) -> None:
        operator, reason = str(args.get("by") or who.name), str(args.get("reason") or "")
        await self._samplers.emptied(str(args["instrument"]), who.name, operator, reason)

    async def _file(self, args: dict[str, Any], who: Who) -> dict[str, Any]:
        return await self.filings.file(args, who.name)
