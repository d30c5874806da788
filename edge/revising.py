"""Revisions of what is sealed, in the background: entry after entry of the marks by hand, an hour at a time.

    entry ─▶ hours it touches ─▶ minutes ─ commit ─▶ hour ─ commit ─▶ day ─ commit ─▶ next hour

How far it has come is committed with it: a restart goes on from there, and doing an hour twice changes nothing.
Periods that are still open above get the revised records (`engines`), so that they count with the present marks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from config.site import FLOW, TOTAL, Outlet, Site
from edge.measure.derived import DerivedPoints
from edge.measure.engine import Engine, statistics_of
from edge.measure.manual import ManualMark, ManualMarks, with_dependents
from edge.measure.revise import Verdicts, by_factor, minute_verdicts, period_verdicts, revisions
from edge.measure.rules import factor_rules
from edge.measure.sound_levels import Levels
from edge.measure.statistics import Span, Statistics
from edge.store import marks, records, samples
from edge.store.marks import Mark, Work
from edge.store.store import Store
from edge.values import HOUR_MS, MINUTE_MS, Kind, Record, Sample, period_start

MINUTES_AT_ONCE = 10
"""Samples of so many minutes are in memory together."""
_ROWS = 100_000
_PARTS = {Kind.HOUR: (Kind.MINUTE, 60), Kind.DAY: (Kind.HOUR, 24)}
_EVER = 1 << 60
Spans = list[tuple[int, int]]


def manual_marks(outlet: Outlet, name: str, derived: DerivedPoints, states: Iterable[Mark]) -> ManualMarks:
    """The marks by hand of one outlet as the rules count with them."""
    found = []
    for state in states:
        if state.mark is None or state.withdrawn or name not in state.outlets:
            continue
        named = state.factors(name)
        if named is not None and FLOW in named:
            named |= {TOTAL}  # the volume that is counted is of the same flow
        factors = None if named is None else with_dependents(named, derived.inputs(name))
        found.append(ManualMark(state.mark, state.begin, state.end, factors))
    return ManualMarks(found, outlet.precedence)


@dataclass(slots=True)
class Revised:
    """How many records an entry has revised."""

    number: int
    counts: dict[Kind, int] = field(default_factory=dict)

    def params(self) -> dict[str, Any]:
        """For the event."""
        return {"number": self.number, **{kind.text: self.counts.get(kind, 0) for kind in Kind}}


class Reviser:
    """Works through the entries. `work` runs alone; nothing else writes revisions."""

    def __init__(
        self,
        site: Site,
        store: Store,
        now_ms: Callable[[], int],
        on_event: Callable[[str, dict[str, Any]], None],
        engines: Mapping[str, Engine] | None = None,
        offer: Callable[[list[int]], None] = lambda ids: None,
    ) -> None:
        self._site = site
        self._store = store
        self._now_ms = now_ms
        self._on_event = on_event
        self._engines = engines or {}
        self._offer = offer
        self._derived = DerivedPoints(site)
        self._rules: dict[str, Statistics] = {
            name: statistics_of(outlet, name, factor_rules(site, name), Levels())
            for name, outlet in site.outlets.items()
        }

    async def work(self) -> None:
        """Until no entry waits. Raises StoreFailed: call it again."""
        while (work := await self._store.do(marks.next_revision)) is not None:
            revised = Revised(work.entry.number)
            spans = changed_spans(work)
            for hour in await self._hours(work, spans):
                for outlet in dict.fromkeys([*work.entry.state.outlets, *(work.before.outlets if work.before else ())]):
                    if outlet in self._rules:
                        await self._hour(outlet, hour, work, spans, revised)
                await self._store.do(marks.reached, hour + HOUR_MS)
            await self._store.do(marks.worked_through, work.entry.id)
            if revised.counts:
                self._on_event("marks.revised", revised.params())

    async def _hours(self, work: Work, spans: Spans) -> list[int]:
        """The hours with records that the spans touch and that are not done."""
        there = await self._store.do(records.span) if spans else None
        if there is None:
            return []
        first, last = max(there[0], work.place), there[1] + MINUTE_MS
        clipped = [(max(begin, first), min(end, last)) for begin, end in spans]
        starts = {hour for begin, end in clipped for hour in range(period_start(begin, HOUR_MS), end, HOUR_MS)}
        return sorted(starts)

    async def _hour(self, outlet: str, hour: int, work: Work, spans: Spans, revised: Revised) -> None:
        """One hour of one outlet: its minutes, itself, its day."""
        rules = self._rules[outlet]
        manual = await self._manual(outlet, hour, work.entry.id)
        verdicts = await self._minutes(outlet, hour, spans, manual, revised)
        for kind in (Kind.HOUR, Kind.DAY):
            if not verdicts:
                return
            below, parts = _PARTS[kind]
            start = period_start(hour, kind.ms)
            sealed = await self._records(outlet, kind, start, start)
            found = by_factor(await self._records(outlet, below, start, start + kind.ms - 1))
            verdicts = period_verdicts(rules, Span(kind, start, parts), found, verdicts)
            await self._revise(outlet, revisions(sealed, verdicts), revised)
            if not sealed:
                return

    async def _manual(self, outlet: str, hour: int, entry: int) -> tuple[ManualMarks, ManualMarks]:
        """The outlet's marks by hand in an hour, before an entry and as they are now."""
        before = await self._store.do(marks.in_force, hour, hour + HOUR_MS, entry)
        after = await self._store.do(marks.in_force, hour, hour + HOUR_MS)
        old, new = (
            manual_marks(self._site.outlets[outlet], outlet, self._derived, [entry.state for entry in each])
            for each in (before, after)
        )
        return old, new

    async def _minutes(
        self, outlet: str, hour: int, spans: Spans, manual: tuple[ManualMarks, ManualMarks], revised: Revised
    ) -> Verdicts:
        """Revise the minutes of an hour; what the change made of each of them."""
        verdicts: dict[tuple[int, str], Any] = {}
        for begin in range(hour, hour + HOUR_MS, MINUTES_AT_ONCE * MINUTE_MS):
            end = begin + MINUTES_AT_ONCE * MINUTE_MS
            if not any(first < end and begin < last for first, last in spans):
                continue
            every = await self._store.do(records.between, outlet, Kind.MINUTE, begin, end - 1, _ROWS)
            taken = await self._store.do_samples(samples.between, begin, end - 1)
            for start, sealed in _by_minute(every, spans):
                here = (one for one in taken if one.outlet == outlet and start <= one.time < start + MINUTE_MS)
                verdicts |= self._verdicts(outlet, here, sealed, manual)
                await asyncio.sleep(0)  # live data first
            await self._revise(outlet, revisions(records.newest(every), verdicts), revised)
        return verdicts

    def _verdicts(
        self, outlet: str, found: Iterable[Sample], sealed: list[Record], manual: tuple[ManualMarks, ManualMarks]
    ) -> Verdicts:
        return minute_verdicts(self._rules[outlet], found, sealed, manual)

    async def _records(self, outlet: str, kind: Kind, begin: int, end: int) -> list[Record]:
        return records.newest(await self._store.do(records.between, outlet, kind, begin, end, _ROWS))

    async def _revise(self, outlet: str, changed: list[Record], revised: Revised) -> None:
        if not changed:
            return
        platforms = [
            name
            for name, platform in self._site.platforms.items()
            if platform.revisions == "marks" and outlet in platform.outlets
        ]
        new, ids = await self._store.do(records.revise, changed, platforms, self._now_ms())
        if outlet in self._engines:
            self._engines[outlet].revise(new)
        self._offer(ids)
        kind = new[0].kind
        revised.counts[kind] = revised.counts.get(kind, 0) + len(new)


def changed_spans(work: Work) -> Spans:
    """The times of which an entry says something else than was said before it."""
    old = _effect(work.before) if work.before is not None else None
    new = _effect(work.entry.state)
    if old is None or new is None:
        return [span for span in (old, new) if span is not None]
    before, after = work.before, work.entry.state
    is_moved = before is not None and (before.mark, before.points) == (after.mark, after.points)
    if not is_moved or max(old[0], new[0]) >= min(old[1], new[1]):
        return [old, new]
    first, second, third, last = sorted((*old, *new))
    return [(first, second), (third, last)]  # what lies in one of the two; an empty one touches nothing


def _effect(state: Mark) -> tuple[int, int] | None:
    """When a mark says something about data; None: never."""
    if state.mark is None or state.withdrawn:
        return None
    return state.begin, _EVER if state.end is None else state.end


def _by_minute(every: Iterable[Record], spans: Spans) -> Iterator[tuple[int, list[Record]]]:
    """Revision 0 of each minute that the spans touch."""
    minutes: dict[int, list[Record]] = {}
    for record in every:
        if record.revision == 0:
            minutes.setdefault(record.start, []).append(record)
    for start in sorted(minutes):
        if any(begin < start + MINUTE_MS and start < end for begin, end in spans):
            yield start, minutes[start]
