"""Control commands at the instruments: one action at a time per instrument, marked while it runs.

    run(outlet, PolId, "zero-span") ─▶ declared? ─▶ free, and not too soon? ─▶ writes ─▶ until ─▶ reads ─▶ ActionResult
                                                     └ one exchange a job in the line's thread, polls in between ┘

What can go wrong: an instrument without the action (never success), one that says no, one that does not answer. A
write is not repeated blindly: unanswered, its outcome is unknown and the action ends as timed out. What an
instrument can do stands in the site file (`config.controls`). HJ 212-2017 §6.6.5, Tables 6 and 9.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar, cast

from config.controls import Action, ActionKind, Info, Read, Scalar, Until, Write, filled, kind_of, outlets_of
from config.sampler import KEEP, Sampler
from config.site import Instrument, Site
from drivers.driver import Bus, Commanded, PointSpec, Reading, commanded
from drivers.errors import (
    BadAnswer,
    BadOption,
    DeviceRefused,
    DeviceSilent,
    DriverError,
    LineBusy,
    LineClosed,
    OutcomeUnknown,
    PortLost,
)
from drivers.registry import driver_class
from edge import action_values
from edge.acquire import NORMAL, instrument_spec
from edge.action_result import ActionResult, Code, Why, code_of
from edge.action_values import NoData, NotAccepted
from edge.clock import Clock
from edge.keeping import Ask, Refusal, Seen, bottle_after, bottle_before, look

__all__ = ["ActionResult", "Actions", "StandIn", "Why", "Worker"]

T = TypeVar("T")


class Worker(Protocol):
    """What is needed of a line: `drivers.line.LineWorker` is one."""

    def submit(self, instrument: str, job: Callable[[Bus], T]) -> Future[T]:
        """Queue one exchange."""
        ...


StandIn = Callable[[str, str | None, str, Mapping[str, Scalar]], Awaitable[ActionResult | None]]
"""Outlet, PolId, action, values."""


Told = Callable[[str, str], Awaitable[None]]
"""Instrument, action."""


@dataclass(frozen=True, slots=True)
class _Place:
    """An instrument that an action or an info was found at."""

    name: str
    instrument: Instrument


class Actions:
    """The actions and infos of all instruments; `lines` may change while the daemon runs (a restarted line)."""

    def __init__(self, site: Site, lines: Mapping[str, Worker], clock: Clock) -> None:
        self._site = site
        self._lines = lines
        self._clock = clock
        self._drivers: dict[str, Commanded] = {}
        self._running: dict[str, str | None] = {}
        self._began: dict[tuple[str, str], float] = {}
        self.on_written: Callable[[str, Info, str | None], None] = lambda _instrument, _info, _asked_by: None
        """Told of every parameter that was set: the instrument, which one, and the platform that asked."""
        self.owe: Told = _untold
        """Told, before the first write, of an action that something has to end."""
        self.settle: Told = _untold
        """Told when it was ended."""
        self.stand_in: StandIn = _nobody
        """Asked where no instrument has an action: the logger itself may do it."""
        self.bottles: dict[str, int] = {}
        """By sampler the bottle that was filled last, by the keep log."""
        for name, one in site.instruments.items():
            driver = driver_class(one.driver)(instrument_spec(name, one)) if _is_told(one) else None
            if driver is not None and commanded(driver):
                self._drivers[name] = driver

    # what there is

    @property
    def running(self) -> Collection[str]:
        """Instruments at which an action that writes goes on."""
        return self._running.keys()

    def mark_of(self, instrument: str) -> str | None:
        """The mark of an instrument's points while an action runs at it; None: their own."""
        return self._running.get(instrument)

    def having(self, action: str) -> tuple[tuple[str, str | None], ...]:
        """Outlet and PolId (None: no points) by which each instrument with this action can be named."""
        found = []
        for place in self._places():
            if action in place.instrument.actions:
                for outlet in sorted(self._outlets(place.instrument)):
                    here = (point.factor for point in place.instrument.points if point.outlet == outlet)
                    found.append((outlet, next(here, None)))
        return tuple(found)

    def with_infos(self) -> tuple[tuple[str, Info], ...]:
        """Instrument and info of every state and parameter that can be read."""
        return tuple((place.name, info) for place in self._places() for info in place.instrument.infos)

    def instruments_having(self, action: str) -> tuple[str, ...]:
        """Names of the instruments with an action."""
        return tuple(place.name for place in self._places() if action in place.instrument.actions)

    def infos(self, outlet: str) -> tuple[tuple[str | None, str], ...]:
        """PolId and InfoId of every info of an outlet."""
        found = [(place, info) for place in self._places() for info in place.instrument.infos if info.outlet == outlet]
        return tuple((info.factor or _only_factor(place.instrument, outlet), info.info) for place, info in found)

    # actions

    def hindrance(self, outlet: str, pol_id: str | None, action: str) -> ActionResult | None:
        """Why an action would not be begun now; None: it would be."""
        place = self._with_action(outlet, pol_id, action)
        if place is None:
            return ActionResult("no-action", why=Why("actions.none", {"action": action, "pol_id": pol_id or "–"}))
        return self._hindrance(place, action)

    def _hindrance(self, place: _Place, action: str) -> ActionResult | None:
        declared = place.instrument.actions[action]
        if declared.write and place.name in self._running:
            return ActionResult("busy", why=Why("actions.busy", {"instrument": place.name}))
        wait_s = self._too_soon_s(place.name, action, declared)
        if wait_s > 0:
            params: dict[str, object] = {"instrument": place.name, "action": action, "minutes": math.ceil(wait_s / 60)}
            return ActionResult("refused", why=Why("actions.too-soon", params))
        return None

    async def run(self, outlet: str, pol_id: str | None, action: str, **values: Scalar) -> ActionResult:
        """Carry an action out, to its end.

        `values`: `time_ms` for set-time (default: now), `cstart` (hhmmss) and `ctime` (hours) for set-cycle.
        """
        place = self._with_action(outlet, pol_id, action)
        if place is None:
            none = ActionResult("no-action", why=Why("actions.none", {"action": action, "pol_id": pol_id or "–"}))
            return await self.stand_in(outlet, pol_id, action, values) or none
        return await self._run(place, action, values)

    async def run_at(self, instrument: str, action: str) -> ActionResult:
        """The same for an instrument by its name in the site file."""
        one = self._site.instruments.get(instrument)
        if one is None or action not in one.actions or instrument not in self._drivers:
            return ActionResult("no-action", why=Why("actions.none", {"action": action, "pol_id": "–"}))
        return await self._run(_Place(instrument, one), action, {})

    async def _run(self, place: _Place, action: str, values: Mapping[str, Scalar]) -> ActionResult:
        hindered = self._hindrance(place, action)
        if hindered is not None:
            return hindered
        with self._occupied(place.name, action, place.instrument.actions[action]):
            work = self._keep(place, values) if _is_kept_by(place, action) else self._carry_out(place, action, values)
            return replace(await _ended(work), instrument=place.name)

    async def _keep(self, place: _Place, values: Mapping[str, Scalar]) -> ActionResult:
        """A sampler keeps a sample."""
        sampler, ask = cast(Sampler, place.instrument.sampler), self._asking(place)
        try:
            before = await bottle_before(sampler, self.bottles.get(place.name, 0), ask)
            result = await self._carry_out(place, KEEP, values)
            if result.code != "done":
                return result
            bottle, volume = await bottle_after(sampler, before, result.data.get("VaseNo"), ask)
        except Refusal as refusal:
            return ActionResult(refusal.code, why=Why(refusal.why, {"instrument": place.name}))
        self.bottles[place.name] = bottle
        return replace(result, data={"VaseNo": f"{bottle}"}, volume=volume)

    def _asking(self, place: _Place) -> Ask:
        async def ask(source: Read) -> float | None:
            return (await self._ask(place, self._reader(place, source.options))).value

        return ask

    async def look_at(self, instrument: str) -> Seen:
        """What a sampler says of itself. Raises DriverError."""
        place = _Place(instrument, self._site.instruments[instrument])
        return await look(cast(Sampler, place.instrument.sampler), self._asking(place))

    async def _carry_out(self, place: _Place, action: str, values: Mapping[str, Scalar]) -> ActionResult:
        declared = place.instrument.actions[action]
        names = action_values.names(values, self._clock.wall_ms())
        if declared.after:
            await self.owe(place.name, action)
        try:
            await self._write_all(place, action, names)
            await self._clock.sleep(declared.lasts / 1000)
            if declared.until is not None and not await self._done(place, declared.until):
                params: dict[str, object] = {"instrument": place.name, "minutes": declared.until.timeout // 60_000 or 1}
                return ActionResult("timeout", why=Why("actions.not-done", params))
        finally:
            await self._finish(place, action, names)
        readings = [(await self._ask(place, self._reader(place, read.options)), read.scale) for read in declared.read]
        return ActionResult("done", action_values.data(action, readings))

    async def _finish(self, place: _Place, action: str, names: Mapping[str, Scalar]) -> None:
        declared = place.instrument.actions[action]
        for write in declared.after:
            await self._ask(place, self._write_job(place, write, names))
        if declared.after:
            await self.settle(place.name, action)

    async def end(self, instrument: str, action: str) -> ActionResult:
        """What ends an action that was not ended in its time."""
        one = self._site.instruments.get(instrument)
        if one is None or action not in one.actions or instrument not in self._drivers:
            return ActionResult("no-action", why=Why("actions.none", {"action": action, "pol_id": "–"}))
        self._running[instrument] = None
        try:
            return await _ended(self._end(_Place(instrument, one), action))
        finally:
            del self._running[instrument]

    async def _end(self, place: _Place, action: str) -> ActionResult:
        await self._finish(place, action, action_values.names({}, self._clock.wall_ms()))
        return ActionResult("done")

    async def _write_all(self, place: _Place, action: str, names: Mapping[str, Scalar]) -> None:
        for write in place.instrument.actions[action].write:
            job = self._write_job(place, write, names)
            try:
                await self._ask(place, job)
            except OutcomeUnknown:
                self._began[place.name, action] = self._clock.mono_s()
                raise
            self._began.setdefault((place.name, action), self._clock.mono_s())

    async def serial_number(self, instrument: str) -> ActionResult:
        """SN of an instrument with that action, whatever it measures."""
        place = _Place(instrument, self._site.instruments[instrument])
        declared = place.instrument.actions["serial-number"]
        if declared.write and instrument in self._running:
            return ActionResult("busy", why=Why("actions.busy", {"instrument": instrument}))
        with self._occupied(instrument, "serial-number", declared):
            return await _ended(self._carry_out(place, "serial-number", {}))

    def _write_job(self, place: _Place, write: Write, names: Mapping[str, Scalar]) -> Callable[[Bus], None]:
        try:
            values = filled(write, names)
        except KeyError as error:
            raise NotAccepted(str(error.args[0])) from error
        return self._drivers[place.name].writer(write.options, values, write.repeat)

    async def _done(self, place: _Place, until: Until) -> bool:
        """Whether the instrument said so in time; while it works it may be silent or busy."""
        wanted = until.equals if isinstance(until.equals, tuple) else (until.equals,)
        reader = self._reader(place, until.options)
        deadline = self._clock.mono_s() + until.timeout / 1000
        while (left_s := deadline - self._clock.mono_s()) > 0:
            await self._clock.sleep(min(until.every / 1000, left_s))
            try:
                reading = await self._ask(place, reader)
            except (DeviceSilent, BadAnswer, DeviceRefused, PortLost, LineBusy):
                continue
            if reading.value in wanted:
                return True
        return False

    def _too_soon_s(self, name: str, action: str, declared: Action) -> float:
        """Seconds until an action may be begun again."""
        again_ms = _kind(action).again_ms if declared.again is None else declared.again
        began = self._began.get((name, action))
        return 0.0 if began is None else began + again_ms / 1000 - self._clock.mono_s()

    @contextmanager
    def _occupied(self, name: str, action: str, declared: Action) -> Iterator[None]:
        """The instrument is taken and its points are marked; what only reads disturbs nobody."""
        if not declared.write:
            yield
            return
        mark = _kind(action).mark if declared.mark is None else declared.mark
        self._running[name] = None if mark == NORMAL else mark
        self._began.pop((name, action), None)
        try:
            yield
        finally:
            del self._running[name]

    # states and parameters

    async def read_info(self, outlet: str, pol_id: str | None, info_id: str) -> ActionResult:
        """3020: a state or parameter, as `Info`."""
        found = self._with_info(outlet, pol_id, info_id)
        if len(found) != 1:
            return _not_one(found, info_id, "no-data")
        return await _ended(self._read_info(*found[0]))

    async def read_at(self, instrument: str, info: Info) -> ActionResult:
        """One of `with_infos`, as `Info`."""
        return await _ended(self._read_info(_Place(instrument, self._site.instruments[instrument]), info))

    async def _read_info(self, place: _Place, info: Info) -> ActionResult:
        reading = await self._ask(place, self._reader(place, info.options))
        return ActionResult("done", {"Info": action_values.info_text(info, reading)})

    async def write_info(
        self, outlet: str, pol_id: str | None, info_id: str, text: str, asked_by: str | None = None
    ) -> ActionResult:
        """3021: set a parameter that the site file says is writable; `asked_by`: the platform that wants it."""
        found = [(place, info) for place, info in self._with_info(outlet, pol_id, info_id) if info.writable]
        if len(found) != 1:
            return _not_one(found, info_id, "no-action")
        place, info = found[0]
        if place.name in self._running:
            return ActionResult("busy", why=Why("actions.busy", {"instrument": place.name}))
        result = await _ended(self._write_info(place, info, text))
        if result.code == "done":
            self.on_written(place.name, info, asked_by)
        return result

    async def _write_info(self, place: _Place, info: Info, text: str) -> ActionResult:
        for job in self._info_jobs(place, info, text):
            await self._ask(place, job)
        return ActionResult("done")

    def _info_jobs(self, place: _Place, info: Info, text: str) -> list[Callable[[Bus], None]]:
        """The writes that set an info. Of the ways to write a value the first is taken that the driver can send."""
        last: BadOption | None = None
        for value in action_values.raw_values(info, text):
            names = action_values.names({"value": value}, self._clock.wall_ms())
            try:
                if info.write:
                    return [self._write_job(place, write, names) for write in info.write]
                return [self._drivers[place.name].writer(info.options, [value])]
            except BadOption as error:
                last = error
        raise last or NotAccepted(text)

    # finding and asking

    def _places(self) -> list[_Place]:
        return [_Place(name, self._site.instruments[name]) for name in self._drivers]

    def _outlets(self, instrument: Instrument) -> set[str]:
        return outlets_of(instrument, self._site.outlets)

    def _with_action(self, outlet: str, pol_id: str | None, action: str) -> _Place | None:
        """The instrument of a pollutant; without one the only instrument of the outlet that has the action.

        A sample is kept by a sampler where there is one.
        """
        here = [p for p in self._places() if action in p.instrument.actions and outlet in self._outlets(p.instrument)]
        if action == KEEP:
            here = [place for place in here if place.instrument.sampler is not None] or here
        if pol_id is not None:
            measuring = [place for place in here if _measures(place.instrument, outlet, pol_id)]
            here = measuring or [place for place in here if _samples(place.instrument, pol_id)]
        return here[0] if len(here) == 1 else None

    def _with_info(self, outlet: str, pol_id: str | None, info_id: str) -> list[tuple[_Place, Info]]:
        """All infos that are meant; that of the pollutant itself before that of its instrument."""
        here = [
            (place, info)
            for place in self._places()
            for info in place.instrument.infos
            if (info.outlet, info.info) == (outlet, info_id)
            and (pol_id is None or info.factor == pol_id or _shared(place.instrument, info, pol_id))
        ]
        return [(place, info) for place, info in here if info.factor == pol_id] or here

    def _reader(self, place: _Place, options: object) -> Callable[[Bus], Reading]:
        return self._drivers[place.name].reader(PointSpec(place.name, options))

    async def _ask(self, place: _Place, job: Callable[[Bus], T]) -> T:
        """One exchange, in the line's thread."""
        worker = self._lines.get(place.instrument.line)
        if worker is None:
            raise LineClosed("drivers.line-stopped", line=place.instrument.line)
        return await asyncio.wrap_future(worker.submit(place.name, job))


async def _ended(work: Awaitable[ActionResult]) -> ActionResult:
    """The result of an action, also of one that an error ended."""
    try:
        return await work
    except DriverError as error:
        return ActionResult(code_of(error), why=error)
    except NoData:
        return ActionResult("no-data", why=Why("actions.no-data", {}))
    except NotAccepted as error:
        return ActionResult("refused", why=Why("actions.value", {"value": error.value}))


def _not_one(found: list[tuple[_Place, Info]], info_id: str, code: Code) -> ActionResult:
    """Nothing has this info, or several instruments have it and the command does not say which."""
    if found:
        return ActionResult("refused", why=Why("actions.which", {"info": info_id, "count": len(found)}))
    return ActionResult(code, why=Why("actions.no-info", {"info": info_id}))


async def _untold(_instrument: str, _action: str) -> None:
    return None


async def _nobody(
    _outlet: str, _pol_id: str | None, _action: str, _values: Mapping[str, Scalar]
) -> ActionResult | None:
    return None


def _is_told(instrument: Instrument) -> bool:
    return bool(instrument.actions or instrument.infos or instrument.sampler)


def _kind(action: str) -> ActionKind:
    """The site file was checked."""
    return cast(ActionKind, kind_of(action))


def _is_kept_by(place: _Place, action: str) -> bool:
    return action == KEEP and place.instrument.sampler is not None


def _samples(instrument: Instrument, factor: str) -> bool:
    """Whether a sampler is meant by a pollutant that no instrument with the action measures."""
    sampler = instrument.sampler
    return sampler is not None and (not sampler.factors or factor in sampler.factors)


def _measures(instrument: Instrument, outlet: str, factor: str) -> bool:
    return any((point.outlet, point.factor) == (outlet, factor) for point in instrument.points)


def _shared(instrument: Instrument, info: Info, factor: str) -> bool:
    """Whether an info of the whole instrument is meant by this pollutant."""
    return info.factor is None and _measures(instrument, info.outlet, factor)


def _only_factor(instrument: Instrument, outlet: str) -> str | None:
    """The pollutant of an instrument that measures a single one."""
    factors = {point.factor for point in instrument.points if point.outlet == outlet}
    return factors.pop() if len(factors) == 1 else None
