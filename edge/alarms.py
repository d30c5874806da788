"""The alarms of the site: values and means to their machines, changes to events and the store, actions at instruments.

    Measuring ─ see, judge, tick ─▶ FactorAlarms ─▶ pending ─▶ records.db, in the transaction of the records
                                        └─ begins ─▶ on_alarm: an instrument's action, once in `again`

An alarm that was open when the daemon ended goes on after its start. What may be watched stands in `config.alarms`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from config.alarms import AlarmRules
from config.site import Point, Site
from edge.actions import ActionResult, Actions
from edge.catalogue import explain, text
from edge.clock import Clock
from edge.measure.alarms import Alarm, Change, FactorAlarms, Watched
from edge.measure.engine import Engine
from edge.measure.rules import decimals_of, points_of
from edge.measure.statistics import Live
from edge.store import alarms, journal
from edge.store.errors import StoreFailed
from edge.store.store import Store
from edge.supervise import keep_alive
from edge.values import Record
from protocol.factors import factor as table_row
from protocol.factors import wire_decimals
from protocol.units import convert, is_volume_share

WAITING = 16
"""Alarms that wait for their action; more are not acted on."""


class Alarms:
    """All alarms. `pending` is what has changed since the store had it."""

    def __init__(
        self, site: Site, actions: Actions, store: Store, clock: Clock, on_event: Callable[[str, dict[str, Any]], None]
    ) -> None:
        self.pending: list[Alarm] = []
        self.act: Callable[[Alarm, str, str], Awaitable[ActionResult]] = lambda _alarm, instrument, action: (
            actions.run_at(instrument, action)
        )
        """Carries out an alarm's action: the alarm, the instrument, the action."""
        self._store = store
        self._clock = clock
        self._on_event = on_event
        watched = [one for outlet in site.outlets for one in watched_at(site, outlet)]
        self._rules = {(one.outlet, one.factor): one.rules for one in watched}
        self._machines = {(one.outlet, one.factor): FactorAlarms(one) for one in watched}
        self.outlets = frozenset(outlet for outlet, _ in self._machines)
        """Where something is watched."""
        targets = {rules.on_alarm for rules in self._rules.values() if rules.on_alarm is not None}
        self._waiting = {target: asyncio.Queue[Alarm](WAITING) for target in sorted(targets)}
        self._acted_s: dict[str, float] = {}

    def resume(self, stored: Iterable[Alarm], now_ms: int) -> None:
        """The alarms that were open before the restart; what is not watched any more ends now."""
        for alarm in stored:
            machine = self._machines.get((alarm.outlet, alarm.factor))
            if machine is not None and alarm.kind in machine.kinds:
                machine.resume(alarm)
            else:
                self._changed([Change(replace(alarm, end=max(now_ms, alarm.begin)), "ended")])

    def see(self, engine: Engine, lives: Iterable[Live]) -> None:
        """The newest values of an outlet."""
        for live in lives:
            machine = self._machines.get((engine.name, live.sample.factor))
            if machine is not None:
                one = live.sample
                reported = live.zs if engine.has_converted(one.factor) else one.value
                self._changed(machine.see(one.time, one.value, one.mark, reported))

    def judge(self, engine: Engine, records: Iterable[Record]) -> None:
        """What an outlet has sealed."""
        for record in records:
            machine = self._machines.get((engine.name, record.factor))
            if machine is not None:
                reported = record.zs_avg if engine.has_converted(record.factor) else record.avg
                self._changed(machine.judge(record, reported))

    def tick(self, now_ms: int) -> None:
        """Time passes."""
        for machine in self._machines.values():
            self._changed(machine.tick(now_ms))

    def open(self) -> list[Alarm]:
        """The alarms that go on, oldest first."""
        return sorted((one for m in self._machines.values() for one in m.open), key=lambda one: one.begin)

    def _changed(self, changes: Iterable[Change]) -> None:
        for alarm, what in changes:
            self.pending.append(alarm)
            if what == "ended":
                self._on_event("edge.alarm-ended", {**_named(alarm), "peak": _number(alarm.peak)})
            elif what == "began":
                limit = _number(alarm.limit)
                self._on_event("edge.alarm-began", {**_named(alarm), "value": _number(alarm.peak), "limit": limit})
                self._begin_action(alarm)

    # actions

    def start(self, group: asyncio.TaskGroup, count: Callable[[str], None]) -> None:
        """One task for each instrument's action, so that a slow one holds up no other."""
        for target in self._waiting:
            name = f"alarm[{target}]"
            group.create_task(keep_alive(name, partial(self._act, target), self._clock, count), name=name)

    def _begin_action(self, alarm: Alarm) -> None:
        rules = self._rules[alarm.outlet, alarm.factor]
        target = rules.on_alarm
        if target is None or alarm.kind not in rules.act_on:
            return
        now_s = self._clock.mono_s()
        acted_s = self._acted_s.get(target)
        if acted_s is not None and now_s - acted_s < rules.again / 1000:
            return
        try:
            self._waiting[target].put_nowait(alarm)
        except asyncio.QueueFull:
            return
        self._acted_s[target] = now_s

    async def _act(self, target: str) -> None:
        """The action of one alarm after the other; each goes to the journal and to its alarm."""
        instrument, _, action = target.partition("/")
        while True:
            alarm = await self._waiting[target].get()
            result = await self.act(alarm, instrument, action)
            told = {**_named(alarm), "target": target, "result": result.code}
            try:
                await self._store.do(_acted, alarm, target, result, self._clock.wall_ms())
            except StoreFailed as error:
                self._on_event("edge.store-failed", {"why": explain(error)})
            self._on_event("edge.alarm-acted", told)


def _acted(db: Any, alarm: Alarm, target: str, result: ActionResult, now_ms: int) -> None:
    """The alarm may be newer than what the store has of it."""
    alarms.keep_new(db, alarm)
    bottle = result.data.get("VaseNo")
    alarms.acted(db, alarm, f"{target} {result.code}" + (f" {bottle}" if bottle else ""))
    detail = {
        "outlet": alarm.outlet, "pol_id": alarm.factor, "alarm": alarm.kind, "ExeRtn": result.exe_rtn,
        "why": getattr(result.why, "code", None), **result.data,
    }  # fmt: skip
    journal.append(db, "logger", f"instrument.{target.partition('/')[2]}", detail, now_ms)


def watched_at(site: Site, outlet: str) -> list[Watched]:
    """What is watched at an outlet: the tables `alarms`, and points with a limit or a warning level."""
    decimals, valid = decimals_of(site, outlet), site.outlets[outlet].averaging
    points: dict[str, list[Point]] = {}
    for point, _ in points_of(site, outlet):
        if (point.limit, point.warn) != (None, None):
            points.setdefault(point.factor, []).append(point)
    tables: dict[str, AlarmRules] = dict(site.outlets[outlet].alarms)
    found = []
    for code in dict.fromkeys([*points, *tables]):
        rules = tables.get(code, AlarmRules())
        for point in points.get(code, ()):  # two where the converted value has a point of its own
            rules = _with_limits(rules, point)
        found.append(Watched(outlet, code, rules, wire_decimals(code, decimals.get(code)), valid))
    return found


def _with_limits(rules: AlarmRules, point: Point) -> AlarmRules:
    """The point's limits where there are none yet, in the factor's unit."""
    limit = rules.limit if rules.limit is not None else _in_unit_of_factor(point.limit, point)
    warn = rules.warn if rules.warn is not None else _in_unit_of_factor(point.warn, point)
    return replace(rules, limit=limit, warn=warn)


def _in_unit_of_factor(value: float | None, point: Point) -> float | None:
    """Of a volume share a permit says nothing: there the limit is in the factor's unit already."""
    row = table_row(point.factor)
    if value is None or row is None or point.unit is None or is_volume_share(point.unit):
        return value
    return convert(value, point.unit, row.unit)


def _named(alarm: Alarm) -> dict[str, Any]:
    row = table_row(alarm.factor)
    return {
        "outlet": alarm.outlet,
        "factor": alarm.factor,
        "alarm": alarm.kind,
        "alarm_zh": text(f"edge.alarm.{alarm.kind}", "zh"),
        "alarm_en": text(f"edge.alarm.{alarm.kind}", "en"),
        "unit": row.unit if row else "",
    }


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.7g}"
