"""From the lines to the store: polls become samples, samples become records, records become deliveries that are due.

    line threads ─ PollResult ─▶ Acquirer ─ samples ─▶ samples.db
                                     └──▶ Engine (per outlet) ─ records ─▶ records.db + outbox, one transaction

A record that could not be committed (full disk) stays in memory and is tried again; polling goes on.
With an implausible clock samples wait with their monotonic time and are labelled when the clock is known.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import groupby
from typing import Any

from config.site import Instrument, Line, Site
from config.site import Rs485 as SiteRs485
from drivers.errors import DriverError
from drivers.line import LineInstrument, LineWorker, PollResult
from drivers.port import LineSettings, Rs485
from drivers.registry import driver_class
from edge.acquire import Acquirer, instrument_spec
from edge.agenda import Agenda
from edge.alarms import Alarms
from edge.batch import BatchPoint
from edge.catalogue import explain
from edge.clock import Clock, Steps, plausible
from edge.logs import get_logger
from edge.measure.alarms import Alarm
from edge.measure.derived import DerivedPoints
from edge.measure.engine import Engine
from edge.measure.rules import factor_rules
from edge.measure.statistics import Live
from edge.measure.totaliser import Total
from edge.store import alarms as alarm_store
from edge.store import journal, outbox, records, results, samples
from edge.store.errors import StoreFailed
from edge.store.outbox import Due
from edge.store.store import Store
from edge.supervise import HANG_S, keep_alive
from edge.values import DAY_MS, HOUR_MS, MINUTE_MS, SLOT_MS, Kind, Record, Result, Sample, period_start
from protocol.times import iso_text

STEP_S = 0.2
"""How often ended periods are looked for; a poll that comes in is looked at once."""
RETRY_S = 5.0
"""Records that the disk refused are offered to it again this often."""
LOOK_S = 2.0
"""How often the lines are looked after, in real seconds."""
FLUSH_S = 2.0
"""What has come in is given this long to reach the disk when the daemon ends, in real seconds."""
WAITING_LIMIT = 40_000
"""Polls kept in memory while the clock is implausible."""
PAGE = 10_000


class Measuring:
    """All lines and all outlets of the site."""

    def __init__(
        self,
        site: Site,
        store: Store,
        clock: Clock,
        agenda: Agenda,
        offer: Callable[[list[int]], None],
        on_event: Callable[[str, dict[str, Any]], None],
        lines: dict[str, LineWorker],
        mark_of: Callable[[str], str | None],
        alarms: Alarms,
    ) -> None:
        """`lines` is filled here; `mark_of` gives the mark of an instrument's points while an action runs at it."""
        self.acquirer = Acquirer(site, mark_of)
        self.derived = DerivedPoints(site)
        self.observe: Callable[[list[Sample]], None] = lambda found: None
        """Looks at all samples as they come in: the switches."""
        self.engines = {name: Engine(outlet, name, factor_rules(site, name)) for name, outlet in site.outlets.items()}
        self.lines = lines
        self.last_errors: dict[str, tuple[int, DriverError]] = {}
        """The last error of each instrument's polls, and its slot (UTC ms)."""
        self.alarms = alarms
        self._looked_ms = 0
        """The slot in which the alarms were last told the time."""
        self._site = site
        self._store = store
        self._clock = clock
        self._agenda = agenda
        self._offer = offer
        self._on_event = on_event
        self._polls: deque[PollResult] = deque(maxlen=WAITING_LIMIT)
        self._arrived = asyncio.Event()
        self._unkept: list[Sample] = []
        self._unkept_results: list[Result] = []
        self._unsealed: list[Record] = []
        self._unsent: list[Due] = []
        """What is due for `_unsealed`: asked of the agenda once, since it counts the minutes."""
        self._retry_at = 0.0
        self.disk_error: str | None = None
        """Why the disk does not take what is sealed; None: it does."""
        self._resumed: set[str] = set()
        self._known: bool | None = None
        self._steps = Steps()
        self._last_step = clock.mono_s()
        self._log = get_logger("measuring")

    # the lines

    def start(self, group: asyncio.TaskGroup, count: Callable[[str], None]) -> None:
        """One thread per line, and the loop that measures."""
        loop = asyncio.get_running_loop()

        def hand_over(poll: PollResult) -> None:
            loop.call_soon_threadsafe(self._take, poll)

        for name, line in self._site.lines.items():
            self.lines[name] = self._worker(name, line, hand_over)
            self.lines[name].start()

        async def look_after_lines() -> None:
            ports: dict[str, bool] = {}
            while True:
                for name in self.lines:
                    if not self.lines[name].alive:
                        count(f"line[{name}]")
                        self.lines[name] = self._worker(name, self._site.lines[name], hand_over)
                        self.lines[name].start()
                    self._tell_port(name, ports)
                await asyncio.sleep(LOOK_S)

        self.alarms.start(group, count)
        group.create_task(keep_alive("measuring", self._run, self._clock, count), name="measuring")
        group.create_task(keep_alive("lines", look_after_lines, self._clock, count), name="lines")

    async def stop(self) -> None:
        """Stop the lines, all at once, and bring to disk what they delivered."""
        alive = [worker for worker in self.lines.values() if worker.alive]
        await asyncio.gather(*(asyncio.to_thread(worker.stop) for worker in alive))
        await asyncio.sleep(0)  # the last polls are handed over by the loop
        try:
            async with asyncio.timeout(FLUSH_S):
                await self._step()
                await self._keep([], self._clock.wall_ms() + SLOT_MS)
        except TimeoutError:
            self._log.warning("the disk did not take the last samples in time")

    @property
    def waits(self) -> bool:
        """Whether something that is sealed is not on disk yet, or what is on disk is not taken up yet."""
        return bool(self._unsealed or self._unsent) or len(self._resumed) < len(self.engines)

    def live(self, outlet: str, now_ms: int) -> Sequence[Live]:
        """What realtime data show of an outlet."""
        newest = self.acquirer.latest(outlet, now_ms)
        found = self.engines[outlet].live([*newest, *self.derived.latest(outlet, newest)])
        sampled = self.acquirer.sampled_at(outlet)
        return [replace(one, sampled_at=sampled.get(one.sample.factor)) for one in found] if sampled else found

    def age_s(self) -> float:
        """Real seconds since the last step, for the watchdog."""
        return (self._clock.mono_s() - self._last_step) / self._clock.speed

    def line_age_s(self, name: str) -> float:
        """Real seconds since a line's last progress."""
        return time.monotonic() - self.lines[name].heartbeat

    def line_limit_s(self, name: str) -> float:
        """A line without progress for longer than this hangs: its longest time-out, and what the worker may add."""
        timeouts = [one.timeout / 1000 for one in self._site.instruments.values() if one.line == name]
        return HANG_S + max(timeouts, default=0.0)

    def ports(self) -> dict[str, bool]:
        """Whether the port of each line is open; without those that were not tried yet, or are left to a tool."""
        states = {name: worker.counters() for name, worker in self.lines.items()}
        return {name: one.open for name, one in states.items() if (one.open or one.error is not None) and not one.held}

    def _tell_port(self, name: str, ports: dict[str, bool]) -> None:
        """A port that could not be opened, was lost, or came back."""
        state = self.lines[name].counters()
        if state.held or state.open == ports.get(name) or (not state.open and state.error is None):
            return
        known, ports[name] = name in ports, state.open
        base = {"line": name, "port": self._site.lines[name].port}
        if state.error is not None and not state.open:
            self._on_event("edge.port-lost", {**base, "why": explain(state.error)})
        elif known:
            self._on_event("edge.port-open", base)
        if state.rs485 is False:
            self._on_event("edge.rs485-not-offered", base)

    def _worker(self, name: str, line: Line, on_result: Callable[[PollResult], None]) -> LineWorker:
        here = {key: one for key, one in self._site.instruments.items() if one.line == name}
        instruments = [_line_instrument(key, one) for key, one in here.items()]
        settings = LineSettings(line.port, line.baud, line.format, line.gap / 1000, _direction(line.rs485))
        return LineWorker(name, settings, instruments, on_result, self._clock)

    def _take(self, poll: PollResult) -> None:
        if poll.error is not None:
            self.last_errors[poll.instrument] = (poll.slot_ms, poll.error)
        self._polls.append(poll)
        self._arrived.set()

    # from polls to records

    async def _resume(self, now_ms: int) -> None:
        """Once the clock is known, continue where the records end: open periods from stored data; what ended
        meanwhile is computed now.

        An outlet without records (the daemon ended before its first minute did, or the records were lost) begins with
        the samples of the present hour, where there are any.
        """
        if not self._resumed:
            self.alarms.resume(await self._store.do(alarm_store.still_open), now_ms)
        for name, engine in self.engines.items():
            if name not in self._resumed:
                await self._resume_outlet(name, engine, now_ms)
                self._resumed.add(name)

    async def _resume_outlet(self, name: str, engine: Engine, now_ms: int) -> None:
        """One outlet; where the store fails, nothing of it has begun."""
        last = await self._store.do(records.last_start, name, Kind.MINUTE)
        labels = await self._labels(name, last, now_ms)
        begun = (start + MINUTE_MS for start in labels if start <= now_ms)
        sealed_until = max(begun, default=period_start(now_ms, HOUR_MS))
        from_sample, from_minute, from_hour = engine.needs(sealed_until)
        total = await self._store.do(records.last_total, name)
        stored = await self._stored(name, from_sample - MINUTE_MS, now_ms)
        # the minute that was open when the clock was set back: its slots are taken on disk
        begun_last = labels[-1] + MINUTE_MS if labels else now_ms
        later = await self._stored(name, max(now_ms + 1, begun_last), begun_last + MINUTE_MS)
        ahead = max(now_ms, labels[-1]) if labels else now_ms
        minutes = await self._all(name, Kind.MINUTE, from_minute, ahead)
        hours = await self._all(name, Kind.HOUR, from_hour, ahead)
        days = await self._all(name, Kind.DAY, from_hour, ahead)
        came = await self._store.do(results.between, name, from_hour, ahead, PAGE)
        newest = await self._newest_results(name)
        recent = await self._all(name, Kind.MINUTE, sealed_until - HOUR_MS, now_ms)
        covered = {
            platform: await self._store.do(outbox.covered_until, platform, name, sealed_until - HOUR_MS)
            for platform in self._site.platforms
        }
        # all is read: nothing can fail half way from here
        self.acquirer.recall(stored)  # the minute before is for this; the engine passes over what is sealed
        counted = Total(*total) if total else None
        engine.resume([*stored, *later], minutes, hours, sealed_until, days, total=counted, results=came, labels=labels)
        for batch, newest_result, newest_sample in newest:
            batch.resume(newest_result, newest_sample)
        self._unsent += self._agenda.resume(name, recent, covered)

    async def _newest_results(self, outlet: str) -> list[tuple[BatchPoint, Result | None, Result | None]]:
        """The batch analyzers of an outlet, each with its newest result of any kind, and its newest sample."""
        return [
            (batch, *await self._store.do(results.newest, outlet, batch.point.factor))
            for batch in self.acquirer.batches()
            if batch.point.outlet == outlet
        ]

    async def _labels(self, outlet: str, last: int | None, now_ms: int) -> list[int]:
        """The sealed minutes of the day before the newest that has begun, and where the clock was set back those up
        to a day ahead; in order.
        """
        if last is None:
            return []
        begun = await self._store.do(records.last_label, outlet, Kind.MINUTE, now_ms)
        since = (now_ms if begun is None else begun) - DAY_MS
        return await self._store.do(records.labels, outlet, Kind.MINUTE, since, min(last, now_ms + DAY_MS))

    async def _stored(self, outlet: str, begin: int, end: int) -> list[Sample]:
        """Stored samples of an outlet, read an hour at a time: the whole site's day would not fit into memory."""
        found: list[Sample] = []
        for start in range(begin, end + 1, HOUR_MS):
            page = await self._store.do_samples(samples.between, start, min(start + HOUR_MS - 1, end))
            found += [one for one in page if one.outlet == outlet]
        return found

    async def _all(self, outlet: str, kind: Kind, begin: int, end: int) -> list[Record]:
        """The newest revision of each record of a range of labels."""
        found: list[Record] = []
        while True:
            after = found[-1] if found else None
            page = await self._store.do(records.between, outlet, kind, begin, end, PAGE, after)
            found += page
            if len(page) < PAGE:
                return records.newest(found)

    async def _run(self) -> None:
        while True:
            await self._step()
            try:
                async with asyncio.timeout(STEP_S / self._clock.speed):
                    await self._arrived.wait()
            except TimeoutError:
                continue

    async def _step(self) -> None:
        """Everything that can be done now."""
        self._arrived.clear()
        self._last_step = self._clock.mono_s()
        now_ms = self._clock.wall_ms()
        await self._tell_step(now_ms)
        if not self._clock_is_known(now_ms) or not await self._is_resumed(now_ms):
            return
        found = self._measure(now_ms)
        await self._keep(found, now_ms)
        await self._keep_results()
        self._watch(found, now_ms)
        sealed = self._tick(now_ms)
        self._tell_happened()
        self._unsealed += sealed
        self._unsent += self._agenda.after(sealed, {name: one.late_factors for name, one in self.engines.items()})
        waits = bool(self._unsealed or self._unsent or self.alarms.pending)
        if sealed or (waits and self._clock.mono_s() >= self._retry_at):
            await self._seal(now_ms)

    def _tell_happened(self) -> None:
        """What happened to totalisers and batch analyzers."""
        told = [one for engine in self.engines.values() for one in engine.happened()]
        for code, params in told + self.acquirer.happened():
            self._on_event(code, params)

    def _tick(self, now_ms: int) -> list[Record]:
        sealed: list[Record] = []
        for engine in self.engines.values():
            fresh = engine.tick(now_ms)
            self.alarms.judge(engine, fresh)
            sealed += fresh
        return sealed

    def _watch(self, found: list[Sample], now_ms: int) -> None:
        """The alarms see the newest values of each outlet that brought some, and once a slot that time passes."""
        for outlet in {sample.outlet for sample in found} & self.alarms.outlets:
            engine = self.engines[outlet]
            self.alarms.see(engine, self.live(outlet, now_ms))
        slot = period_start(now_ms, SLOT_MS)
        if slot != self._looked_ms:
            self._looked_ms = slot
            self.alarms.tick(now_ms)

    async def _is_resumed(self, now_ms: int) -> bool:
        """Before anything is measured, what is stored must be known: an hour is not made of half its minutes."""
        if len(self._resumed) == len(self.engines):
            return True
        if self._clock.mono_s() < self._retry_at:
            return False
        try:
            await self._resume(now_ms)
        except StoreFailed as error:
            self._refuse(error)
            return False
        return True

    def _refuse(self, error: StoreFailed) -> None:
        self._retry_at = self._clock.mono_s() + RETRY_S
        self.disk_error = explain(error)
        self._on_event("edge.store-failed", {"why": self.disk_error})

    async def _tell_step(self, now_ms: int) -> None:
        """Somebody has set the clock: an event, and an entry in the journal where the new time can be right."""
        step = self._steps.since(now_ms, self._clock.mono_s())
        if step is None:
            return
        self._on_event("edge.clock-stepped", {"from": iso_text(step[0]), "to": iso_text(step[1])})
        if plausible(now_ms):
            with suppress(StoreFailed):  # a full disk is told elsewhere
                detail = {"from": step[0], "to": step[1]}
                await self._store.do(journal.append, "logger", "clock.stepped", detail, now_ms)

    def _clock_is_known(self, now_ms: int) -> bool:
        """With an implausible clock polls wait; once it is known they are labelled by their monotonic time."""
        known = plausible(now_ms)
        if known != self._known and (self._known is not None or not known):
            self._on_event("edge.clock-known" if known else "edge.clock-implausible", {"now": iso_text(now_ms)})
        self._known = known
        return known

    def _measure(self, now_ms: int) -> list[Sample]:
        polls, self._polls = self._polls, deque(maxlen=WAITING_LIMIT)
        found = []
        for poll in polls:
            labelled = poll if plausible(poll.slot_ms) else self._relabelled(poll, now_ms)
            found += self.acquirer.accept(labelled)
        found += self.derived.accept(found)
        self.observe(found)
        for engine in self.engines.values():
            engine.add(found)
        return found

    def _relabelled(self, poll: PollResult, now_ms: int) -> PollResult:
        """A poll of a time when the clock was wrong, in the slot that it really had."""
        age_ms = int((self._clock.mono_s() - poll.at_mono) * 1000)
        return replace(poll, slot_ms=period_start(now_ms - age_ms, SLOT_MS))

    async def _keep(self, found: list[Sample], now_ms: int) -> None:
        """Samples to disk, once their slot has ended: one row and one commit a slot.

        Those that the disk refuses wait, PAGE of them at most: their records are what counts.
        """
        self._unkept = (self._unkept + found)[-PAGE:]
        ended = [sample for sample in self._unkept if sample.time + SLOT_MS <= now_ms]
        if not ended:
            return
        try:
            await self._store.do_samples(_append_all, ended)
        except StoreFailed:
            return
        self._unkept = [sample for sample in self._unkept if sample.time + SLOT_MS > now_ms]

    async def _keep_results(self) -> None:
        """Results to disk; an hour is made of what is there. Refused by the disk, they wait."""
        self._unkept_results += self.acquirer.results()
        if not self._unkept_results or self._clock.mono_s() < self._retry_at:
            return
        try:
            await self._store.do(results.keep, self._unkept_results)
        except StoreFailed as error:
            self._refuse(error)
            return
        for engine in self.engines.values():
            engine.add_results(self._unkept_results)
        self._unkept_results = []

    async def _seal(self, now_ms: int) -> None:
        """Records, what is due for them and alarms, in one transaction; refused by the disk, they stay for the next."""
        changed = list(self.alarms.pending)
        try:
            ids = await self._store.do(_seal_all, self._unsealed, self._unsent, changed, now_ms)
        except StoreFailed as error:
            self._refuse(error)
            return
        self._unsealed, self._unsent = [], []
        del self.alarms.pending[: len(changed)]
        if self.disk_error is not None:
            self.disk_error = None
            self._on_event("edge.store-works", {})
        self._offer(ids)


def _seal_all(db: Any, sealed: list[Record], dues: list[Due], changed: list[Alarm], now_ms: int) -> list[int]:
    alarm_store.keep(db, changed)
    return records.seal(db, sealed, dues, now_ms)


def _append_all(db: Any, found: list[Sample]) -> None:
    for slot_ms, slot in groupby(sorted(found, key=lambda sample: sample.time), key=lambda sample: sample.time):
        samples.append(db, slot_ms, slot)


def _direction(asked: SiteRs485 | None) -> Rs485 | None:
    if asked is None:
        return None
    return Rs485(asked.rts_on_send, asked.delay_before / 1000, asked.delay_after / 1000)


def _line_instrument(name: str, one: Instrument) -> LineInstrument:
    return LineInstrument(
        name,
        driver_class(one.driver)(instrument_spec(name, one)),
        every_ms=one.every,
        timeout_s=one.timeout / 1000,
        retries=one.retries,
        gap_s=None if one.gap is None else one.gap / 1000,
        turnaround_s=one.turnaround / 1000,
    )
