"""When an alarm begins and ends: one machine per factor, values in, changed alarms out. Sans I/O.

    realtime ─ see ─▶ limit, warn, negative, constant, jump        hours, days ─ judge ─▶ limit-hour, limit-day
    time ─ tick ─▶ missing

An alarm is one event with a beginning, an end and a peak, however often the value crosses the line: it begins when its
cause has lasted `after`, and ends when that has been gone for `clear`, at the time when it went. A value whose mark
says that it is no measurement (C, M …) neither begins nor ends one. What is compared is the number as it is reported,
rounded (GB/T 8170): 50.004 against 50 with two decimals is not over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from config.alarms import AlarmKind, AlarmRules
from edge.values import Kind, Record
from protocol.region import number

ABOVE, FAULT, HAND = "T", "D", ("C", "M", "S")
PEAK_MS = 60_000
"""A higher peak of an open alarm is told this often at most."""
STEP_BACK_MS = 60_000
"""A time so far back is no late value: the clock was set."""
_OF_KIND: dict[Kind, AlarmKind] = {Kind.HOUR: "limit-hour", Kind.DAY: "limit-day"}


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm; `end` None: it goes on. `peak`: the worst value of it; `limit`: what it is held against."""

    outlet: str
    factor: str
    kind: AlarmKind
    begin: int
    end: int | None = None
    peak: float | None = None
    limit: float | None = None


class Change(NamedTuple):
    """What has become of an alarm."""

    alarm: Alarm
    what: Literal["began", "worse", "ended"]


@dataclass(frozen=True, slots=True)
class Watched:
    """A factor, its rules with the limits resolved, its decimals on the wire and the marks of valid values."""

    outlet: str
    factor: str
    rules: AlarmRules
    decimals: int
    valid: Collection[str]


class Course:
    """One kind of alarm of one factor."""

    def __init__(self, watched: Watched, kind: AlarmKind, after_ms: int, clear_ms: int) -> None:
        self._watched = watched
        self.kind = kind
        self._after_ms = after_ms
        self._clear_ms = clear_ms
        self._cause: Alarm | None = None
        """Began, but has not lasted long enough."""
        self._gone_at: int | None = None
        self._told_ms = 0
        self.open: Alarm | None = None

    def resume(self, alarm: Alarm) -> None:
        """It was open before the restart."""
        self.open = alarm
        self._told_ms = alarm.begin

    def step(self, time: int, limit: float | None, value: float | None) -> list[Change]:
        """The cause is there (`limit` is what the value went past; constant, missing: what it has lasted)."""
        self._gone_at = None
        if self.open is None:
            known = self._cause or Alarm(
                self._watched.outlet, self._watched.factor, self.kind, time, None, value, limit
            )
            self._cause = replace(known, peak=_worse(known, value))
            if time - known.begin < self._after_ms:
                return []
            self.open, self._cause, self._told_ms = self._cause, None, time
            return [Change(self.open, "began")]
        peak = _worse(self.open, value)
        if peak == self.open.peak:
            return []
        self.open = replace(self.open, peak=peak)
        if time - self._told_ms < PEAK_MS:
            return []
        self._told_ms = time
        return [Change(self.open, "worse")]

    def gone(self, time: int) -> list[Change]:
        """The cause is not there."""
        self._cause = None
        if self.open is None:
            return []
        self._gone_at = time if self._gone_at is None else self._gone_at
        if time - self._gone_at < self._clear_ms:
            return []
        ended, self.open = replace(self.open, end=max(self._gone_at, self.open.begin)), None
        self._gone_at = None
        return [Change(ended, "ended")]


class FactorAlarms:
    """All alarms of one factor."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        rules = watched.rules
        lasting: tuple[AlarmKind, ...] = ("limit", "warn", "negative")
        self._courses = {kind: Course(watched, kind, rules.after, rules.clear) for kind in lasting}
        self._courses["jump"] = Course(watched, "jump", 0, rules.clear)
        at_once: tuple[AlarmKind, ...] = ("constant", "missing", "limit-hour", "limit-day")
        self._courses |= {kind: Course(watched, kind, 0, 0) for kind in at_once}
        self._last_ms: int | None = None
        self._heard_ms: int | None = None
        self._steady: tuple[int, float] | None = None
        self._window: deque[tuple[int, float]] = deque()

    @property
    def kinds(self) -> frozenset[AlarmKind]:
        """The alarms that the rules ask for."""
        rules = self._watched.rules
        has_limit = rules.limit is not None or rules.limit_low is not None
        asked: dict[AlarmKind, bool] = {
            "limit": has_limit,
            "limit-hour": has_limit,
            "limit-day": has_limit,
            "warn": rules.warn is not None,
            "constant": rules.constant is not None,
            "jump": rules.jump is not None,
            "negative": rules.negative,
            "missing": rules.missing is not None,
        }
        return frozenset(kind for kind, is_asked in asked.items() if is_asked)

    @property
    def open(self) -> list[Alarm]:
        """The alarms that go on."""
        return [course.open for course in self._courses.values() if course.open is not None]

    def resume(self, alarm: Alarm) -> None:
        """An alarm that was open before the restart."""
        self._courses[alarm.kind].resume(alarm)

    def see(self, time: int, value: float | None, mark: str, reported: float | None) -> list[Change]:
        """A realtime value; one that is not newer than the last is passed over.

        `reported`: the number that limits are for, the converted one where the factor has that; None: there is none.
        """
        if value is None or not self._is_new(time):
            return []
        self._last_ms = self._heard_ms = time
        changed = self._courses["missing"].gone(time) + self._constant(time, value)
        if mark in HAND:
            return changed
        if self._watched.rules.negative:
            changed += self._course("negative", time, 0.0 if value < 0 else None, value)
        if not self._is_valid(mark):
            return changed
        if reported is not None:
            shown = self._shown(reported)
            changed += self._course("limit", time, self._limit_past(shown), shown)
            changed += self._course("warn", time, _past(shown, self._watched.rules.warn, None), shown)
        return changed + self._jump(time, value)

    def _is_new(self, time: int) -> bool:
        """A clock that was set back begins anew: one that stood years ahead must not end all alarms for as long."""
        if self._last_ms is None or time > self._last_ms:
            return True
        if self._last_ms - time < STEP_BACK_MS:
            return False
        self._window.clear()
        self._steady = None
        return True

    def judge(self, record: Record, reported: float | None) -> list[Change]:
        """The mean of an hour or a day; one that is not valid leaves everything as it is."""
        kind = _OF_KIND.get(record.kind)
        if kind is None or reported is None or not self._is_valid(record.mark):
            return []
        course, shown = self._courses[kind], self._shown(reported)
        if course.open is not None and record.start < course.open.begin:
            return []
        return self._course(kind, record.start, self._limit_past(shown), shown)

    def tick(self, now_ms: int) -> list[Change]:
        """Time passes."""
        rules = self._watched.rules
        if rules.missing is None:
            return []
        if self._heard_ms is None or self._heard_ms > now_ms:
            self._heard_ms = now_ms
        if now_ms - self._heard_ms < rules.missing or self._courses["missing"].open is not None:
            return []
        return self._courses["missing"].step(self._heard_ms, None, None)

    def _course(self, kind: AlarmKind, time: int, past: float | None, value: float) -> list[Change]:
        course = self._courses[kind]
        return course.gone(time) if past is None else course.step(time, past, value)

    def _is_valid(self, mark: str) -> bool:
        """A value above the range is a value above the limit, too."""
        return mark in self._watched.valid or mark == ABOVE

    def _shown(self, value: float) -> float:
        return float(number(value, self._watched.decimals))

    def _limit_past(self, value: float) -> float | None:
        return _past(value, self._watched.rules.limit, self._watched.rules.limit_low)

    def _constant(self, time: int, value: float) -> list[Change]:
        """It begins when the value was first as it still is; any other number ends it, also one of a calibration."""
        lasts = self._watched.rules.constant
        if lasts is None:
            return []
        course = self._courses["constant"]
        if self._steady is None and course.open is not None and course.open.peak == value:
            self._steady = course.open.begin, value  # as before the restart
        if self._steady is None or self._steady[1] != value:
            self._steady = time, value
            return course.gone(time)
        if time - self._steady[0] < lasts or course.open is not None:
            return []
        return course.step(self._steady[0], None, value)

    def _jump(self, time: int, value: float) -> list[Change]:
        most = self._watched.rules.jump
        if most is None:
            return []
        while self._window and self._window[0][0] < time - self._watched.rules.jump_time:
            self._window.popleft()
        change = max((abs(value - earlier) for _, earlier in self._window), default=0.0)
        self._window.append((time, value))
        return self._course("jump", time, most if change > most else None, change)


def _past(value: float, high: float | None, low: float | None) -> float | None:
    """The limit that a value has gone past."""
    if high is not None and value > high:
        return high
    return low if low is not None and value < low else None


def _worse(alarm: Alarm, value: float | None) -> float | None:
    """The worse of the peak and a value: the lower one where the limit is a lower one."""
    if alarm.peak is None or value is None:
        return alarm.peak if value is None else value
    is_low = alarm.limit is not None and alarm.peak < alarm.limit
    return min(alarm.peak, value) if is_low else max(alarm.peak, value)
