"""Lines lent to a technician's tool, and taken back by themselves.

    tool ─ take ─▶ the line ends its poll and closes the port ─ held ─▶ the tool opens it
         ─ renew, every few seconds ─▶
         ─ return, or its connection ends, or it does not renew, or LIMIT_S are over ─▶ the line opens it again

While a line is held nothing is polled on it: after `silence` its points bear B, since nothing came. Who wants M says
`maintain start`: a hold alone makes no mark, so that nobody hides values by it. Begin and end are events and stand in
the journal. The other lines go on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from drivers.line import LineWorker
from edge.control.server import Denied, Verb, Who

LEASE_S = 10.0
"""A tool that does not renew for this long has ended or hangs."""
LIMIT_S = 3600.0
"""No hold is longer, whatever its tool says."""
LOOK_S = 1.0
NAME_LIMIT = 40

Note = Callable[[str, dict[str, Any], str], Awaitable[None]]
"""Action, detail, who."""


@dataclass(slots=True)
class _Hold:
    """One line in a tool's hands; times are monotonic."""

    who: Who
    tool: str
    since: float
    until: float


class Holds:
    """All lines that are lent."""

    def __init__(
        self,
        lines: Mapping[str, LineWorker],
        note: Note,
        on_event: Callable[[str, dict[str, Any]], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`note` writes an entry of the journal."""
        self._lines = lines
        self._note = note
        self._on_event = on_event
        self._now = monotonic
        self._holds: dict[str, _Hold] = {}
        self._notes: list[tuple[str, dict[str, Any], str]] = []
        self._news = asyncio.Event()

    def verbs(self) -> dict[str, Verb]:
        """What the control socket answers."""
        return {
            "line-take": Verb(self._take, changes=True),
            "line-renew": Verb(self._renew, changes=True),
            "line-return": Verb(self._return, changes=True),
        }

    def warnings(self) -> list[dict[str, Any]]:
        """For `status`."""
        return [
            {"code": "edge.warn-line-held", "params": {"line": line, "by": hold.who.name, "tool": hold.tool}}
            for line, hold in self._holds.items()
        ]

    async def run(self) -> None:
        """Take back what is over, and write down what happened."""
        while True:
            for line, hold in list(self._holds.items()):
                if self._now() >= hold.until:
                    self._give_back(line, hold, "limit" if self._now() >= hold.since + LIMIT_S else "lapsed")
                elif not self._lines[line].counters().held:
                    self._lines[line].hold(True)  # a worker that took a dead one's place
            while self._notes:
                await self._note(*self._notes[0])
                del self._notes[0]
            self._news.clear()
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _take(self, args: dict[str, Any], who: Who) -> dict[str, Any]:
        line, tool = str(args["line"]), str(args.get("tool", ""))[:NAME_LIMIT]
        if line not in self._lines:
            raise Denied("tools.no-line", line=line, known=", ".join(self._lines) or "–")
        if line in self._holds:
            raise Denied("tools.line-is-held", line=line, by=self._holds[line].who.name, tool=self._holds[line].tool)
        now = self._now()
        hold = self._holds[line] = _Hold(who, tool, now, now + LEASE_S)
        who.at_end.append(lambda: self._give_back(line, hold, "broken"))
        self._lines[line].hold(True)
        self._happened("held", {"line": line, "by": who.name, "tool": tool}, f"user:{who.name}")
        return self._state(line)

    async def _renew(self, args: dict[str, Any], who: Who) -> dict[str, Any]:
        line, hold = self._of(args, who)
        hold.until = min(self._now() + LEASE_S, hold.since + LIMIT_S)
        return self._state(line)

    async def _return(self, args: dict[str, Any], who: Who) -> dict[str, Any]:
        line, hold = self._of(args, who)
        self._give_back(line, hold, "returned")
        return {"line": line, "held": False}

    def _state(self, line: str) -> dict[str, Any]:
        """`held`: the port is closed, and the tool's."""
        return {"line": line, "held": self._lines[line].counters().held, "lease_s": LEASE_S}

    def _of(self, args: dict[str, Any], who: Who) -> tuple[str, _Hold]:
        line = str(args["line"])
        hold = self._holds.get(line)
        if hold is None or hold.who is not who:
            raise Denied("tools.line-taken-back", line=line)
        return line, hold

    def _give_back(self, line: str, hold: _Hold, why: str) -> None:
        if self._holds.get(line) is not hold:
            return
        del self._holds[line]
        self._lines[line].hold(False)
        held_s = round(self._now() - hold.since)
        detail = {"line": line, "by": hold.who.name, "tool": hold.tool, "held_s": held_s, "why": why}
        self._happened("returned", detail, f"user:{hold.who.name}" if why == "returned" else "logger")

    def _happened(self, what: str, detail: dict[str, Any], who: str) -> None:
        self._on_event(f"edge.line-{what}", detail)
        self._notes.append((f"line.{what}", detail, who))
        self._news.set()
