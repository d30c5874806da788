"""The water samplers of the site (水质自动采样器): who has them keep a sample, the keep log, 3015, how they are.

    platform 3015 ─▶ Actions ─╮
    alarm, on_alarm ──────────┤
    operator ─────────────────┼─▶ kept: log, journal and 3015 to the platforms, in one transaction ─▶ event
    timed, synchronous ───────╯

Each sampler is looked at every LOOK_S: a door that opens, a fault and full bottles are events and in the journal. A
cycle that a platform sets (3016) for a sampler without one of its own is the logger's, and survives restarts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from config.controls import Scalar, outlets_of
from config.problem import listed, nearest
from config.sampler import DRAW, KEEP, SOURCES, Sampler
from config.site import Site
from drivers.errors import DriverError
from edge.actions import ActionResult, Actions
from edge.batch import BatchPoint
from edge.catalogue import explain, text
from edge.clock import Clock, plausible
from edge.control.server import Denied
from edge.keeping import Seen, entry
from edge.measure.alarms import Alarm
from edge.store import journal, kept, settings
from edge.store.infos import Note
from edge.store.kept import Cause, Kept
from edge.store.store import Store
from edge.supervise import keep_alive
from edge.uploads import Uploads
from edge.values import BEIJING_MS, DAY_MS, HOUR_MS, MINUTE_MS, period_start
from protocol.times import iso_text

STEP_S = 5.0
LOOK_S = 60.0
SILENT_LOOKS = 2
"""A sampler that does not answer so often in a row is silent."""
CYCLE = "sampler-cycle"
"""Name of the setting that a 3016 leaves."""
_NOBODY = ""
"""Platform of that setting: it is the logger's."""
_PHASES = (("silent", "silent"), ("fault", "fault"), ("door-open", "door"), ("full", "full"))
"""What a sampler can be that somebody should look after, and the word for it in the event."""


@dataclass(frozen=True, slots=True)
class Plan:
    """When a timed sampler draws: from `start_ms` of the day on (Beijing), every `cycle_ms`."""

    start_ms: int
    cycle_ms: int

    def last(self, now_ms: int) -> int:
        """The newest of its times that has come, UTC ms."""
        day = period_start(now_ms, DAY_MS)
        if now_ms < day + self.start_ms:
            day -= DAY_MS
            now_ms = day + DAY_MS - 1
        return day + self.start_ms + (now_ms - day - self.start_ms) // self.cycle_ms * self.cycle_ms

    def next(self, now_ms: int) -> int:
        """The next of its times, UTC ms."""
        day = period_start(now_ms, DAY_MS)
        if now_ms < day + self.start_ms:
            return day + self.start_ms
        coming = self.last(now_ms) + self.cycle_ms
        return coming if coming < day + DAY_MS else day + DAY_MS + self.start_ms


@dataclass(slots=True)
class _State:
    """One sampler as the logger knows it."""

    sampler: Sampler
    outlet: str
    plan: Plan
    seen: Seen | None = None
    error: str | None = None
    failures: int = 0
    """Looks in a row that were not answered."""
    phases: frozenset[str] = frozenset()
    looked_s: float = float("-inf")
    drawn_ms: int | None = None
    """The time of the plan that was served last."""
    was_working: bool | None = None
    """The analyzer that it follows."""
    last: Kept | None = None


class Samplers:
    """All samplers. `batches`: the points of batch analyzers, for those that follow one."""

    def __init__(
        self,
        site: Site,
        actions: Actions,
        store: Store,
        clock: Clock,
        uploads: Uploads,
        batches: Callable[[], Sequence[BatchPoint]] = lambda: (),
    ) -> None:
        self._site = site
        self._actions = actions
        self._store = store
        self._clock = clock
        self._uploads = uploads
        self._batches = batches
        self._states: dict[str, _State] = {}
        for name, one in site.instruments.items():
            if one.sampler is not None:
                outlet = sorted(outlets_of(one, site.outlets))[0]
                self._states[name] = _State(one.sampler, outlet, _plan_of_site(one.sampler))
        actions.stand_in = self._stand_in

    async def load(self) -> None:
        """The keep log's bottles, and the cycles that platforms have set."""
        for name, last in (await self._store.do(kept.last)).items():
            self._actions.bottles[name] = last.bottle or 0
            if name in self._states:
                self._states[name].last = last
        for (sampler, what), setting in (await self._store.do(settings.get_all, _NOBODY)).items():
            if what == CYCLE and sampler in self._states:
                self._states[sampler].plan = Plan(*setting.value)

    def start(self, group: asyncio.TaskGroup, count: Callable[[str], None]) -> None:
        """One task for each sampler, so that a slow one holds up no other."""
        for name in self._states:
            task = f"sampler[{name}]"
            group.create_task(keep_alive(task, partial(self._run, name), self._clock, count), name=task)

    # keeping

    async def keep(
        self, name: str, cause: Cause, who: str, reason: str = "", operator: str | None = None
    ) -> ActionResult:
        """Have a sample kept for a person or by the clock; `who`: as the journal has it, `operator`: the person."""
        result = await self._actions.run_at(name, KEEP)
        at_ms, outlet = self._clock.wall_ms(), self._outlet(name)
        detail = {
            "instrument": name, "outlet": outlet, "ExeRtn": result.exe_rtn, "cause": cause,
            "reason": reason or None, "operator": operator,
            "why": getattr(result.why, "code", None), **result.data,
        }  # fmt: skip
        note = Note(who, f"instrument.{KEEP}", detail)
        if result.code == "done":
            one = entry(result, outlet, at_ms, cause, operator or who, reason)
            await self._uploads.kept_sample(outlet, at_ms, result.data.get("VaseNo"), None, one, note)
        else:
            await self._uploads.note(note)
            self._failed(name, result)
        return result

    async def on_alarm(self, alarm: Alarm, instrument: str, action: str) -> ActionResult:
        """An alarm's action; a sample that it has kept is logged and told. Its journal entry is the alarm's."""
        result = await self._actions.run_at(instrument, action)
        if action == KEEP and result.code == "done":
            at_ms = self._clock.wall_ms()
            one = entry(result, alarm.outlet, at_ms, "alarm", alarm.factor, alarm.kind)
            await self._uploads.kept_sample(alarm.outlet, at_ms, result.data.get("VaseNo"), None, one)
        elif result.code != "done":
            self._failed(instrument, result)
        return result

    def _failed(self, name: str, result: ActionResult) -> None:
        self._uploads.on_event("edge.sampler-failed", {"instrument": name, "why": reason_of(result)})

    async def emptied(self, name: str, user: str, operator: str, reason: str) -> None:
        """Somebody has taken all bottles out. Raises Denied, StoreFailed."""
        state = self._state(name)
        one = Kept(self._clock.wall_ms(), name, state.outlet, 0, None, "emptied", operator, reason)
        await self._store.do(_log_emptied, one, f"user:{user}")
        self._actions.bottles[name] = 0
        state.last, state.looked_s = one, float("-inf")

    # what it does by itself

    async def _run(self, name: str) -> None:
        state = self._states[name]
        while True:
            if plausible(self._clock.wall_ms()):
                if self._is_due(state):
                    await self._draw(name, state)
                if self._clock.mono_s() - state.looked_s >= LOOK_S:
                    await self._look(name, state)
            await self._clock.sleep(STEP_S)

    def _is_due(self, state: _State) -> bool:
        """Whether the logger has it draw now. What was missed while the logger was off is not made up for."""
        if state.sampler.mode == "timed":
            due_ms, served_ms = state.plan.last(self._clock.wall_ms()), state.drawn_ms
            state.drawn_ms = due_ms
            return served_ms is not None and due_ms > served_ms
        if state.sampler.mode == "synchronous":
            followed = [each for each in self._batches() if self._is_followed(state, each)]
            was_working, state.was_working = state.was_working, any(each.is_working for each in followed)
            return was_working is False and state.was_working
        return False

    def _is_followed(self, state: _State, batch: BatchPoint) -> bool:
        return (batch.point.outlet, batch.point.factor) == (state.outlet, state.sampler.follows)

    async def _draw(self, name: str, state: _State) -> None:
        """Timed: a sample is kept; synchronous: one is drawn, where the sampler tells that apart."""
        if state.sampler.mode == "timed" or DRAW not in self._site.instruments[name].actions:
            await self.keep(name, "timed", "logger", state.sampler.mode)
            return
        result = await self._actions.run_at(name, DRAW)
        if result.code != "done":
            self._failed(name, result)

    async def _look(self, name: str, state: _State) -> None:
        state.looked_s = self._clock.mono_s()
        try:
            state.seen = await self._actions.look_at(name) if _says_anything(state.sampler) else Seen()
        except DriverError as error:
            state.error = explain(error)
            state.failures += 1
        else:
            state.error, state.failures = None, 0
        before, state.phases = state.phases, self._phases(name, state)
        for phase, word in _PHASES:
            if (phase in before) != (phase in state.phases):
                await self._turned(name, state, f"sampler-{word}-{'on' if phase in state.phases else 'off'}")

    def _phases(self, name: str, state: _State) -> frozenset[str]:
        seen, sampler = state.seen or Seen(), state.sampler
        bottle = self._bottle(name, state)
        if state.error is not None:
            return state.phases | ({"silent"} if state.failures >= SILENT_LOOKS else set())
        found = {seen.state} & {phase for phase, _ in _PHASES}
        found |= {"door-open"} if seen.door_open else set()
        found |= {"full"} if bottle is not None and bottle >= sampler.bottles and not sampler.wrap else set()
        return frozenset(phase for phase in found if phase is not None)

    async def _turned(self, name: str, state: _State, what: str) -> None:
        place = {"instrument": name, "outlet": state.outlet}
        self._uploads.on_event(f"edge.{what}", place)
        await self._uploads.note(Note(f"instrument:{name}", f"instrument.{what}", place))

    # 3016, 3017 for a sampler without a cycle of its own

    async def _stand_in(
        self, outlet: str, pol_id: str | None, action: str, values: Mapping[str, Scalar]
    ) -> ActionResult | None:
        """None: it is not the logger that can do this."""
        meant = [
            (name, state)
            for name, state in self._states.items()
            if state.outlet == outlet
            and state.sampler.mode == "timed"
            and (pol_id is None or not state.sampler.factors or pol_id in state.sampler.factors)
        ]
        if len(meant) != 1 or action not in ("set-cycle", "get-cycle"):
            return None
        name, state = meant[0]
        if action == "get-cycle":
            start = iso_text(state.plan.start_ms - BEIJING_MS)[11:19].replace(":", "")
            hours = f"{state.plan.cycle_ms / HOUR_MS:.0f}"
            return ActionResult("done", {"CstartTime": start, "CTime": hours}, instrument=name)
        digits = str(values["cstart"])
        start_ms = int(digits[:2]) * HOUR_MS + int(digits[2:4]) * MINUTE_MS + int(digits[4:6]) * 1000
        plan = Plan(start_ms, int(float(values["ctime"]) * HOUR_MS))
        now_ms = self._clock.wall_ms()
        place = _NOBODY, name, CYCLE, [plan.start_ms, plan.cycle_ms], "platform", now_ms
        await self._store.do(settings.put, *place)
        state.plan, state.drawn_ms = plan, plan.last(now_ms)
        return ActionResult("done", instrument=name)

    async def reset_cycles(self, who: str) -> list[dict[str, str]]:
        """Undo the cycles that platforms have set; what was undone."""
        undone = []
        for name, state in self._states.items():
            if await self._store.do(settings.reset, _NOBODY, name, CYCLE, who, self._clock.wall_ms()):
                state.plan = _plan_of_site(state.sampler)
                state.drawn_ms = state.plan.last(self._clock.wall_ms())
                undone.append({"platform": _NOBODY, "outlet": name, "name": CYCLE})
        return undone

    # what a person sees and orders

    def rows(self) -> list[dict[str, Any]]:
        """Every sampler as plain data (docs/json.md)."""
        return [self._row(name, state) for name, state in self._states.items()]

    def warnings(self) -> list[dict[str, Any]]:
        """What somebody should look after."""
        return [
            {"code": f"edge.sampler-{word}-on", "params": {"instrument": name, "outlet": state.outlet}}
            for name, state in self._states.items()
            for phase, word in _PHASES
            if phase in state.phases
        ]

    def _row(self, name: str, state: _State) -> dict[str, Any]:
        seen, sampler, last = state.seen or Seen(), state.sampler, state.last
        return {
            "instrument": name,
            "outlet": state.outlet,
            "mode": sampler.mode,
            "state": next((phase for phase, _ in _PHASES if phase in state.phases), seen.state),
            "bottle": self._bottle(name, state),
            "bottles": sampler.bottles,
            "wrap": sampler.wrap,
            "amount": seen.amount,
            "door_open": seen.door_open,
            "ready": seen.ready,
            "next_at": iso_text(state.plan.next(self._clock.wall_ms())) if sampler.mode == "timed" else None,
            "last_kept": iso_text(last.at_ms) if last and last.cause != "emptied" else None,
            "last_cause": last.cause if last and last.cause != "emptied" else None,
            "error": state.error,
        }

    def _bottle(self, name: str, state: _State) -> int | None:
        """Its own number before the counted one."""
        if state.seen is not None and state.seen.bottle is not None:
            return state.seen.bottle
        return self._actions.bottles.get(name, 0) if state.sampler.bottle is None else None

    async def look_now(self) -> list[dict[str, Any]]:
        """`rows`, read this moment."""
        for name, state in self._states.items():
            await self._look(name, state)
        return self.rows()

    def noticed(self, one: Kept) -> None:
        """A sample was kept, by whomever."""
        if one.instrument in self._states:
            self._states[one.instrument].last = one
            self._states[one.instrument].looked_s = float("-inf")

    def _state(self, name: str) -> _State:
        if name not in self._states:
            known = list(self._states)
            raise Denied("edge.no-sampler", got=name, nearest=nearest(name, known) or "–", known=listed(known) or "–")
        return self._states[name]

    def _outlet(self, name: str) -> str:
        if name in self._states:
            return self._states[name].outlet
        return next(iter(sorted(outlets_of(self._site.instruments[name], self._site.outlets))), "")


def reason_of(result: ActionResult) -> str:
    """Why an action did not end well, in words."""
    why = result.why
    return text(why.code, **why.params) if why is not None else text(f"actions.end-{result.code}")


def _log_emptied(db: Any, one: Kept, who: str) -> None:
    kept.add(db, one)
    detail = {"instrument": one.instrument, "outlet": one.outlet, "operator": one.who, "reason": one.reason or None}
    journal.append(db, who, "instrument.sampler-emptied", detail, one.at_ms)


def _plan_of_site(sampler: Sampler) -> Plan:
    hours, _, minutes = sampler.start.partition(":")
    return Plan(int(hours) * HOUR_MS + int(minutes) * MINUTE_MS, sampler.cycle)


def _says_anything(sampler: Sampler) -> bool:
    return any(getattr(sampler, source) is not None for source in SOURCES)
