"""What a person at the logger has an instrument do: `hj212 action run`, `hj212 sampler keep`.

    begin ─▶ number ─▶ the action goes on by itself, also when the person leaves ─▶ result, kept for a while

An action may take minutes, so that the answer is asked for later. Each is in the journal, whatever came of it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from config.controls import kind_of
from config.problem import listed, nearest
from config.sampler import KEEP
from config.site import Site
from edge.actions import ActionResult, Actions
from edge.control.server import Denied
from edge.samplers import Samplers, reason_of
from edge.store.infos import Note
from edge.uploads import Uploads

KEPT_RESULTS = 50
_LONGEST = 200


class ActionOrders:
    """All orders of people; their results for as long as KEPT_RESULTS newer ones have not come."""

    def __init__(self, site: Site, actions: Actions, samplers: Samplers, uploads: Uploads) -> None:
        self._site = site
        self._actions = actions
        self._samplers = samplers
        self._uploads = uploads
        self._tasks: OrderedDict[int, asyncio.Task[dict[str, Any]]] = OrderedDict()
        self._count = 0

    def rows(self) -> list[dict[str, Any]]:
        """Every action that the site declares."""
        return [
            {
                "instrument": name,
                "action": action,
                "cn": (kind.cn if (kind := kind_of(action)) else "") or None,
                "running": name in self._actions.running,
            }
            for name, one in self._site.instruments.items()
            for action in one.actions
        ]

    def begin(self, args: Mapping[str, Any], user: str) -> dict[str, int]:
        """instrument, action, reason, by. Raises Denied for what there is not."""
        name, action = str(args["instrument"]), str(args["action"])
        self._check(name, action)
        who = str(args.get("by") or user).strip()[:_LONGEST]
        work = self._run(name, action, f"user:{user}", who, str(args.get("reason") or "").strip()[:_LONGEST])
        self._count += 1
        self._tasks[self._count] = asyncio.get_running_loop().create_task(work, name=f"action[{name}/{action}]")
        while len(self._tasks) > KEPT_RESULTS and next(iter(self._tasks.values())).done():
            self._tasks.popitem(last=False)
        return {"number": self._count}

    def result(self, number: int) -> dict[str, Any] | None:
        """What came of an order; None: it goes on. Raises KeyError."""
        task = self._tasks[number]
        return task.result() if task.done() else None

    def _check(self, name: str, action: str) -> None:
        if name not in self._site.instruments:
            known = [each for each, one in self._site.instruments.items() if one.actions]
            near = nearest(name, known) or "–"
            raise Denied("actions.no-instrument", got=name, nearest=near, known=listed(known) or "–")
        declared = list(self._site.instruments[name].actions)
        if action not in declared:
            near, known_text = nearest(action, declared) or "–", listed(declared) or "–"
            raise Denied("actions.no-action", instrument=name, got=action, nearest=near, known=known_text)

    async def _run(self, name: str, action: str, user: str, who: str, reason: str) -> dict[str, Any]:
        if action == KEEP:
            result = await self._samplers.keep(name, "operator", user, reason, operator=who)
        else:
            result = await self._actions.run_at(name, action)
            detail = {
                "instrument": name, "operator": who, "reason": reason or None, "ExeRtn": result.exe_rtn,
                "why": getattr(result.why, "code", None), **result.data,
            }  # fmt: skip
            await self._uploads.note(Note(user, f"instrument.{action}", detail))
        return shown(name, action, result)


def shown(name: str, action: str, result: ActionResult) -> dict[str, Any]:
    """A result as plain data (docs/json.md)."""
    return {
        "instrument": name,
        "action": action,
        "result": result.code,
        "exe_rtn": result.exe_rtn,
        "why": None if result.code == "done" else reason_of(result),
        "data": dict(result.data),
    }
