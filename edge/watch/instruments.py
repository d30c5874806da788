"""States, parameters and identities of the instruments, each read at a pace of its own, and told where they change.

    every / hour ─▶ one exchange in the line's thread, between two polls ─▶ value ─▶ Changes ─▶ 3020, 3019, journal

One read at a time on each line, and none of an instrument that does not answer its polls: commands and polls are not
held up. What is seen for the first time is kept and not uploaded: nothing has changed. A parameter that was set
(CN 3021) is read at once, and told to the platforms that did not set it. HJ 212-2017 Table B.10, C.39, C.42, C.44.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from config.controls import Info, every_ms, is_parameter, is_state, outlets_of
from config.site import Instrument, Site
from edge.actions import ActionResult, Actions, Why
from edge.catalogue import explain, text
from edge.clock import Clock, plausible
from edge.filing import Filings, Finding, key_of
from edge.store.infos import Note
from edge.supervise import keep_alive
from edge.uploads import News, Uploads
from edge.values import Change, InfoKey
from edge.watch.changes import Changes, Pace
from protocol.controls import Identity, Information
from protocol.errors import CannotEncode
from protocol.region import Body, Region, write

SERIAL = "SN"
SERIAL_EVERY_S = 3_600.0
STEP_S = 1.0
"""How often what is due is looked for; a parameter that was set is read within this time."""
CLOCK_S = 10.0
"""With an implausible clock nothing is read: a change would bear a wrong time."""
_OF_INSTRUMENTS = "i1"
"""InfoIds that are about an instrument, and so about what it measures (Table B.8)."""
_OF_AUXILIARIES = "i3"
"""InfoIds of the station: its "parameters" are temperatures and voltages, which need no entry in the journal."""
_NOT_IN_VALUE = re.compile(r"[\x00-\x1f\x7f=,;&#]+")
_NOT_IN_SERIAL = re.compile(r"[^0-9A-Za-z_.-]+")
_SERIAL_LENGTH = 24


@dataclass(frozen=True, slots=True)
class Item:
    """One value to be read; `info` None: the serial number."""

    instrument: str
    info: Info | None


def pol_ids(instrument: Instrument, outlet: str, info: str, factor: str | None = None) -> tuple[str | None, ...]:
    """The pollutants under which a platform is told of an info: its own, else all that the instrument measures.

    None stands for a packet without PolId: of the logger and the station, and of what measures nothing.
    """
    if factor is not None:
        return (factor,)
    if not info.startswith(_OF_INSTRUMENTS):
        return (None,)
    return _measured(instrument, outlet) or (None,)


def _measured(instrument: Instrument, outlet: str) -> tuple[str, ...]:
    """Factors of an instrument at an outlet, but for private ones that no packet can name."""
    here = (point.factor for point in instrument.points if point.outlet == outlet)
    return tuple(dict.fromkeys(factor for factor in here if not _NOT_IN_VALUE.search(factor)))


def info_news(outlet: str, info: str, value: str, at_ms: int, factors: tuple[str | None, ...]) -> News:
    """3020 of a state or parameter. Raises CannotEncode."""
    regions = [Information(at_ms, ((info, value),), factor).region() for factor in factors]
    return News("3020-parameter" if is_parameter(info) else "3020-state", _bodies(regions), outlet)


def _bodies(regions: list[Region]) -> tuple[Body, ...]:
    return tuple(write(region) for region in regions)


class InstrumentWatch:
    """All instruments of the site. `heard` says whether an instrument answers its polls; None: it cannot be told."""

    def __init__(
        self,
        site: Site,
        actions: Actions,
        clock: Clock,
        changes: Changes,
        uploads: Uploads,
        heard: Callable[[str], bool | None],
        on_event: Callable[[str, dict[str, Any]], None],
        filings: Filings | None = None,
    ) -> None:
        self._site = site
        self._actions = actions
        self._clock = clock
        self.changes = changes
        self._uploads = uploads
        self._heard = heard
        self._on_event = on_event
        self._filings = filings
        self.items: dict[InfoKey, Item] = {}
        self.errors: dict[InfoKey, str] = {}
        """Why a value could not be read the last time."""
        self._set_by: dict[InfoKey, str | None] = {}
        self._paces: dict[str, Pace] = {}
        for name, info in actions.with_infos():
            if is_state(info.info) or is_parameter(info.info):
                self.items[key_of(name, info)] = Item(name, info)
        for name in actions.instruments_having("serial-number"):
            self.items[InfoKey(name, "", "", SERIAL)] = Item(name, None)
        actions.on_written = self._written
        if filings is not None:
            filings.look_at = self._look_at

    def start(self, group: asyncio.TaskGroup, count: Callable[[str], None]) -> None:
        """One task per line that has something to read."""
        for line in dict.fromkeys(self._line(item) for item in self.items.values()):
            paces = {key: _every_s(item) for key, item in self.items.items() if self._line(item) == line}
            self._paces[line] = Pace(paces, self._clock.mono_s())
            name = f"watch[{line}]"
            work = keep_alive(name, partial(self._run, self._paces[line]), self._clock, count)
            group.create_task(work, name=name)

    def _line(self, item: Item) -> str:
        return self._site.instruments[item.instrument].line

    def _written(self, instrument: str, info: Info, asked_by: str | None) -> None:
        """A parameter was set: it is read at once, and the others are told."""
        key = key_of(instrument, info)
        pace = self._paces.get(self._site.instruments[instrument].line)
        if pace is not None and key in self.items:
            self._set_by[key] = asked_by
            pace.at_once(key, self._clock.mono_s())

    def _look_at(self, key: InfoKey) -> None:
        """A parameter was filed anew: it is compared at once."""
        if key in self.items and self._line(self.items[key]) in self._paces:
            self._paces[self._line(self.items[key])].at_once(key, self._clock.mono_s())

    async def _run(self, pace: Pace) -> None:
        while True:
            now_s = self._clock.mono_s()
            key = pace.next(now_s)
            if key is None:
                await self._clock.sleep(min(STEP_S, pace.wait_s(now_s)))
            elif not plausible(self._clock.wall_ms()):
                await self._clock.sleep(CLOCK_S)
            else:
                pace.looked(key, now_s, answered=await self._look(key, self.items[key]))

    async def _look(self, key: InfoKey, item: Item) -> bool:
        """Read one value and tell what changed; False: it could not be read."""
        if self._heard(item.instrument) is False:
            return True  # it comes back by its polls; until then its state is that it does not answer
        was_set, set_by = key in self._set_by, self._set_by.pop(key, None)
        result = await self._read(item)
        value = _value(item, result)
        if value is None:
            if was_set:
                self._set_by.setdefault(key, set_by)
            why = result.why or Why("actions.no-data", {})
            self.errors[key] = text(why.code, **why.params)
            return False
        self.errors.pop(key, None)
        is_filed = self._filings is not None and key in self._filings
        finding = self._filings.see(key, value, at_once=was_set) if self._filings is not None else None
        change = self.changes.seen(key, value, self._clock.wall_ms())
        if is_filed and item.info is not None:
            await self._tell_filed(item, item.info, change, finding, set_by)
        elif change is not None:
            await self._tell(item, change, is_news=change.before is not None or was_set, set_by=set_by)
        return True

    async def _read(self, item: Item) -> ActionResult:
        if item.info is None:
            return await self._actions.serial_number(item.instrument)
        return await self._actions.read_at(item.instrument, item.info)

    async def _tell(self, item: Item, change: Change, *, is_news: bool, set_by: str | None) -> None:
        if not is_news:
            await self._uploads.change(change, ())
        elif item.info is None:
            await self._replaced(item, change)
        else:
            await self._changed(item.instrument, item.info, change, set_by)

    async def _tell_filed(
        self, item: Item, info: Info, change: Change | None, finding: Finding | None, set_by: str | None
    ) -> None:
        """Of a filed parameter what its comparison lets through, hourly; the journal has each value in between."""
        factors = pol_ids(self._site.instruments[item.instrument], info.outlet, info.info, info.factor)
        who = f"instrument:{item.instrument}" if set_by is None else f"platform:{set_by}"
        pol_id = factors[0] if len(factors) == 1 else None
        if change is not None:
            place = {"outlet": info.outlet, "pol_id": pol_id, "info": info.info}
            between = finding is None and change.before is not None
            entry = _note(who, "instrument.parameter", item.instrument, change, place) if between else None
            await self._uploads.change(change, (), entry)
        if finding is None:
            return
        note = finding.note(who, pol_id)
        news = []
        try:
            told = info_news(info.outlet, info.info, finding.telling.state.value, finding.change.at_ms, factors)
            news.append(replace(told, but_not=set_by))
        except CannotEncode as error:
            self._unsayable(item.instrument, error)
        self._on_event(finding.code, finding.params())
        await self._uploads.change(finding.change, news, note)

    async def _changed(self, name: str, info: Info, change: Change, set_by: str | None) -> None:
        instrument = self._site.instruments[name]
        factors = pol_ids(instrument, info.outlet, info.info, info.factor)
        note = None
        if is_parameter(info.info) and not info.info.startswith(_OF_AUXILIARIES):
            place = {"outlet": info.outlet, "pol_id": factors[0] if len(factors) == 1 else None}
            who = f"instrument:{name}" if set_by is None else f"platform:{set_by}"
            note = _note(who, "instrument.parameter", name, change, {**place, "info": info.info})
        try:
            news = info_news(info.outlet, info.info, change.after, change.at_ms, factors)
        except CannotEncode as error:
            self._unsayable(name, error)
            await self._uploads.change(change, (), note)
        else:
            await self._uploads.change(change, [replace(news, but_not=set_by)], note)

    async def _replaced(self, item: Item, change: Change) -> None:
        """3019: another serial number is another instrument."""
        name, instrument = item.instrument, self._site.instruments[item.instrument]
        outlets = sorted(outlets_of(instrument, self._site.outlets))
        factors = [(outlet, factor) for outlet in outlets for factor in _measured(instrument, outlet)]
        place = dict(zip(("outlet", "pol_id"), factors[0], strict=True)) if len(factors) == 1 else {}
        note = _note(f"instrument:{name}", "instrument.replaced", name, change, place)
        self._on_event("edge.instrument-replaced", {"instrument": name, "before": change.before, "after": change.after})
        try:
            news = [
                News("3019", _bodies([Identity(factor, change.after, change.at_ms).region()]), outlet)
                for outlet, factor in factors
            ]
        except CannotEncode as error:
            self._unsayable(name, error)
            news = []
        await self._uploads.change(change, news, note)

    def _unsayable(self, name: str, error: CannotEncode) -> None:
        self._on_event("edge.info-unsayable", {"instrument": name, "why": explain(error)})


def _every_s(item: Item) -> float:
    return SERIAL_EVERY_S if item.info is None else every_ms(item.info) / 1000


def _value(item: Item, result: ActionResult) -> str | None:
    """What was read, as it may stand in a packet; None: nothing was."""
    if result.code != "done":
        return None
    if item.info is None:
        return _NOT_IN_SERIAL.sub("", result.data.get(SERIAL, ""))[:_SERIAL_LENGTH] or None
    return _NOT_IN_VALUE.sub(" ", result.data.get("Info", "")).strip() or None


def _note(who: str, action: str, name: str, change: Change, more: Mapping[str, Any]) -> Note:
    return Note(who, action, {"instrument": name, **more, "before": change.before, "after": change.after})
