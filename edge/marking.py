"""Marks by hand, maintenance and stops of the source in the running logger: orders and switches in, effects out.

    order (command line) ╮                 ╭─▶ engines: what is measured from now on bears the mark
    switch (samples)     ╯─ store, journal ┼─▶ stops: what a platform with `stopped = "F"` is sent
                                           ╰─▶ Reviser: what is sealed gets revisions

An entry is on disk before it has an effect; all effects come back from there after a restart. Without a daemon the
command line uses this on the store itself.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from config.site import Site
from edge.catalogue import explain
from edge.clock import Clock, plausible
from edge.control.server import Denied
from edge.mark_orders import Holding, orders
from edge.measure.derived import DerivedPoints
from edge.measure.engine import Engine
from edge.measure.stops import Span, Stops
from edge.measure.switch import Hysteresis, Turn
from edge.revising import Reviser, manual_marks
from edge.store import marks
from edge.store.errors import StoreFailed
from edge.store.marks import By, Entry
from edge.store.store import Store
from edge.values import DAY_MS, Sample
from protocol.times import iso_text

IN_MEMORY_MS = 400 * DAY_MS
"""Marks and stops that ended longer ago are of no data that may still be sent."""
MEASURED_MS = 40 * DAY_MS
"""Marks that ended longer ago are of no sample that may still be kept."""
LOOK_S = 60.0
RETRY_S = 5.0
_EVER = 1 << 60
_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class _Switch:
    """A switch of the site: the point that it is, its state, and what it orders (`what`, `whom`) when it turns."""

    point: str
    state: Hysteresis
    what: str
    whom: Mapping[str, Any]
    words: tuple[str, str]
    """For on and for off."""

    def args(self, turn: Turn) -> dict[str, Any]:
        evidence = {"point": self.point, "value": turn.value, "time": iso_text(turn.since)}
        word = self.words[0 if turn.is_on else 1]
        return {"do": word, **self.whom, "at": turn.since, "source": "input", "evidence": evidence}


class Marking:
    """All marks of the site."""

    def __init__(self, site: Site, store: Store, clock: Clock, on_event: Callable[[str, dict[str, Any]], None]) -> None:
        self.stops = Stops()
        self.present: Sequence[Entry] = ()
        """The marks that hold, and those of the last 400 days."""
        self._engines: Mapping[str, Engine] = {}
        self._site = site
        self._store = store
        self._clock = clock
        self._on_event = on_event
        self._derived = DerivedPoints(site)
        self._switches: list[_Switch] = []
        self._turns: deque[tuple[_Switch, Turn]] = deque()
        self._turned = asyncio.Event()
        self._changed = asyncio.Event()

    async def load(self) -> None:
        """What holds, from the store; before anything is measured or sent."""
        await self._refresh()
        self._switches = list(_switches(self._site, [entry for entry in self.present if entry.state.end is None]))
        self._changed.set()

    def lay_over(self, engines: Mapping[str, Engine]) -> None:
        """From now on these engines measure under the marks."""
        self._engines = engines
        self._take_effect()

    async def order(self, what: str, args: Mapping[str, Any], user: str) -> list[Entry]:
        """Carry out a `mark`, `maintain` or `source`; the marks that are new or changed. Raises Denied, StoreFailed."""
        if not plausible(self._clock.wall_ms()):
            raise Denied("marks.no-clock", now=iso_text(self._clock.wall_ms()))
        asked = {name: value for name, value in args.items() if name not in ("source", "evidence")}
        operator = str(args.get("by") or user).strip()[:_LONGEST_NAME]
        return await self._carry_out(what, asked, By(f"user:{user}", operator, self._clock.wall_ms()))

    async def _carry_out(self, what: str, args: Mapping[str, Any], by: By) -> list[Entry]:
        entries = await self._store.do(_keep, self._site, what, args, by)
        await self._refresh()
        self._changed.set()
        return entries

    async def _refresh(self) -> None:
        self.present = await self._store.do(marks.in_force, self._clock.wall_ms() - IN_MEMORY_MS, _EVER)
        self._take_effect()

    def _take_effect(self) -> None:
        since = self._clock.wall_ms() - MEASURED_MS
        states = [entry.state for entry in self.present if entry.state.end is None or entry.state.end > since]
        for name, engine in self._engines.items():
            engine.manual = manual_marks(self._site.outlets[name], name, self._derived, states)
        spans: dict[str, list[Span]] = {}
        for state in (entry.state for entry in self.present if entry.state.kind == "stop"):
            spans.setdefault(state.points[0], []).append((state.begin, state.end))
        self.stops.put(spans)

    # switches and reminders

    def observe(self, samples: Iterable[Sample]) -> None:
        """Samples as they come in: a switch among them may turn. One that is not normal says nothing."""
        for switch in self._switches:
            for sample in samples:
                if switch.point == f"{sample.outlet}/{sample.factor}":
                    turn = switch.state.feed(sample.time, sample.value if sample.mark == "N" else None)
                    if turn is not None:
                        self._turns.append((switch, turn))
                        self._turned.set()

    async def run(self) -> None:
        """Carry out what switches order, and remind of long maintenance; for ever."""
        while True:
            self._turned.clear()
            pause_s = LOOK_S if await self._take_turns() else RETRY_S
            for code, params in self._long_maintenance():
                self._on_event(code, params)
            try:
                async with asyncio.timeout(pause_s / self._clock.speed):
                    await self._turned.wait()
            except TimeoutError:
                continue

    async def _take_turns(self) -> bool:
        """False where the disk refuses: what a switch has said waits."""
        while self._turns:
            switch, turn = self._turns[0]
            try:
                done = await self._carry_out(switch.what, switch.args(turn), By("logger", "", self._clock.wall_ms()))
            except StoreFailed as error:
                self._on_event("edge.store-failed", {"why": explain(error)})
                return False
            self._turns.popleft()
            for each in done:
                params = {"part": ", ".join(each.state.points), "point": switch.point, "value": turn.value}
                self._on_event(f"marks.{switch.what}-{switch.words[0 if turn.is_on else 1]}", params)
        return True

    def _long_maintenance(self) -> list[tuple[str, dict[str, Any]]]:
        now_ms = self._clock.wall_ms()
        return [
            ("marks.maintenance-long", {"instrument": state.instrument, "since": iso_text(state.begin)})
            for state in (entry.state for entry in self.open_marks("maintenance"))
            if now_ms - state.begin >= self._site.maintenance.remind
        ]

    # what is sealed already

    async def revise(self, reviser: Reviser, is_settled: Callable[[], bool]) -> None:
        """Revise what is sealed whenever a mark has changed; for ever. `is_settled`: all that is sealed is on disk."""
        while True:
            await self._changed.wait()
            try:
                if is_settled():
                    self._changed.clear()
                    await reviser.work()
                    continue
            except StoreFailed as error:
                self._changed.set()
                self._on_event("edge.store-failed", {"why": explain(error)})
            await self._clock.sleep(RETRY_S)

    # status

    def open_marks(self, kind: str | None = None) -> list[Entry]:
        """The marks that hold now."""
        now_ms = self._clock.wall_ms()
        return [
            entry
            for entry in self.present
            if kind in (None, entry.state.kind)
            and entry.state.begin <= now_ms
            and (entry.state.end is None or entry.state.end > now_ms)
        ]

    def warnings(self) -> list[dict[str, Any]]:
        """What a technician should look at."""
        found = [("marks.warn-maintenance", params) for _, params in self._long_maintenance()]
        stopped = (entry.state for entry in self.open_marks("stop"))
        found += [
            ("marks.warn-stopped", {"outlet": state.points[0], "since": iso_text(state.begin)}) for state in stopped
        ]
        return [{"code": code, "params": params} for code, params in found]


def _keep(db: sqlite3.Connection, site: Site, what: str, args: Mapping[str, Any], by: By) -> list[Entry]:
    """What is ordered, in one transaction, against what holds at that moment."""
    named = marks.newest(db, int(args["number"])) if "number" in args else None
    holding = Holding(marks.in_force(db, _EVER - 1, _EVER), named)
    return [
        marks.add(db, order.state, by)
        if order.number is None
        else marks.change(db, order.number, order.action, order.state, by)
        for order in orders(site, what, args, by.at_ms, holding)
    ]


def _switches(site: Site, open_ones: Sequence[Entry]) -> Iterable[_Switch]:
    """The switches of the site, each in the state that was kept of it."""
    by_input = [entry.state for entry in open_ones if entry.state.source == "input"]
    for name, outlet in site.outlets.items():
        if outlet.stop is not None:
            is_on = any(state.kind == "stop" and state.points == (name,) for state in by_input)
            state = Hysteresis(outlet.stop.stopped, outlet.stop.running, outlet.stop.hold, is_on)
            yield _Switch(outlet.stop.point, state, "source", {"outlets": [name]}, ("stop", "start"))
    for each in site.maintenance.switches:
        names = list(each.instruments)
        is_on = any(state.kind == "maintenance" and (not names or state.instrument in names) for state in by_input)
        whom = {"instruments": names}
        yield _Switch(each.point, Hysteresis(each.on, each.off, is_on=is_on), "maintain", whom, ("start", "end"))
