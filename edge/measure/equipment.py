"""Treatment equipment (HJ 212-2017 Table 4, SBx-RS and SBx-RT): from an instrument's number to a state, from states to
hours of running.

    number ──states, or on/off with hysteresis──▶ state code ──▶ Sample of SB1: 0 off, 1 running, 2 calibration …
    samples of a minute ──state 1 × slot──▶ hours ──sum──▶ hour ──sum──▶ day: RT

Running is state 1 alone. A time without a valid state (lost poll, silence, maintenance) counts as not running: nothing
is invented. A record holds hours in `cou`, None where no state was valid at all; it has no min, avg and max, and stays
out of all statistics of pollutants.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import fsum
from typing import TypeVar

from config.site import Outlet, Point
from edge.measure.marks import water_mark
from edge.measure.rules import PLAIN, FactorRule
from edge.measure.statistics import Below, Live, Series, Span, Statistics
from edge.values import HOUR_MS, MINUTE_MS, Kind, Record, Sample
from protocol.equipment import OFF, RUNNING, is_equipment

T = TypeVar("T")
PLAIN_STATES = {0: OFF, 1: RUNNING}
"""A digital input, where the site file says nothing else."""


class Codes:
    """States that the instrument says itself: its numbers, and what they mean."""

    def __init__(self, states: Mapping[int, int]) -> None:
        self._states = states

    def state(self, number: float, time: int) -> int | None:
        """None for a number that means nothing."""
        return self._states.get(int(number)) if number == int(number) else None

    def recall(self, state: int, time: int) -> None:
        """Nothing depends on what was before."""


class Threshold:
    """Running by a current or power: on above `on` for `on_for`, off below `off` for `off_for`; between, as before.

    The first number, and the first after a gap of more than `patience_ms`, decides at once: what was in between is not
    known. Where it lies between the two the state before the gap holds, off where there was none.
    """

    def __init__(self, point: Point, on: float, patience_ms: int) -> None:
        self._on = on
        self._off = on if point.off is None else point.off
        self._waits = {RUNNING: point.on_for, OFF: point.off_for}
        self._patience_ms = patience_ms
        self._state = OFF
        self._last = 0
        self._asked: int | None = None
        """The state that the last number asked for; None: the one that holds."""
        self._since = 0
        """Since when it is asked for."""

    def state(self, number: float, time: int) -> int:
        """The state at UTC ms."""
        asked = RUNNING if number > self._on else OFF if number < self._off else None
        after_gap = not 0 <= time - self._last <= self._patience_ms
        if after_gap or asked != self._asked:
            self._since = time
        self._asked, self._last = asked, time
        if asked is not None and (after_gap or time - self._since >= self._waits[asked]):
            self._state = asked
        return self._state

    def recall(self, state: int, time: int) -> None:
        """The last state before a restart, and when that was."""
        self._state, self._last = state, time


Decision = Codes | Threshold


def decision(point: Point, patience_ms: int) -> Decision | None:
    """How a point's number becomes a state; None: the point is no equipment. `patience_ms`: silence up to B."""
    if not is_equipment(point.factor):
        return None
    if point.on is not None:
        return Threshold(point, point.on, patience_ms)
    return Codes(PLAIN_STATES if point.states is None else {int(raw): code for raw, code in point.states.items()})


class Equipment:
    """The running times of one outlet's equipment."""

    def __init__(self, outlet: Outlet, name: str, factors: Mapping[str, FactorRule]) -> None:
        self.outlet = outlet
        self.name = name
        self.factors = dict(factors)

    def minute(self, start: int, series: Series) -> list[Record]:
        """The records of one minute; `count`: samples with a valid state."""
        return [self._minute(start, factor, samples) for factor, samples in series.items()]

    def _minute(self, start: int, factor: str, samples: Sequence[Sample]) -> Record:
        mark = water_mark([sample.mark for sample in samples], self.outlet.precedence)
        known = [s.value for s in samples if s.value is not None and s.mark in self.outlet.averaging]
        if not known:
            return Record(self.name, Kind.MINUTE, factor, start, mark=mark)
        slot = min(self.factors.get(factor, PLAIN).slot_ms, MINUTE_MS // len(samples))
        hours = known.count(RUNNING) * slot / HOUR_MS
        return Record(self.name, Kind.MINUTE, factor, start, cou=hours, count=len(known), mark=mark)

    def period(self, span: Span, below: Below) -> list[Record]:
        """The records of an hour or a day; `count`: minutes, hours with a valid state."""
        return [self._period(span, factor, records) for factor, records in below.items()]

    def _period(self, span: Span, factor: str, records: Sequence[Record]) -> Record:
        mark = water_mark([record.mark for record in records], self.outlet.precedence)
        hours = [record.cou for record in records if record.cou is not None]
        cou = fsum(hours) if hours else None
        return Record(self.name, span.kind, factor, span.start, cou=cou, count=len(hours), mark=mark)


class WithEquipment:
    """An outlet's rules: those of its pollutants, and beside them those of its equipment."""

    def __init__(self, pollutants: Statistics, equipment: Equipment) -> None:
        self.pollutants = pollutants
        self._equipment = equipment

    @property
    def factors(self) -> Mapping[str, FactorRule]:
        """Pollutants, then equipment."""
        return {**self.pollutants.factors, **self._equipment.factors}

    def minute(self, start: int, series: Series) -> list[Record]:
        """The records of one minute."""
        pollutants, equipment = _parted(series)
        return self.pollutants.minute(start, pollutants) + self._equipment.minute(start, equipment)

    def period(self, span: Span, below: Below) -> list[Record]:
        """The records of a longer period."""
        pollutants, equipment = _parted(below)
        return self.pollutants.period(span, pollutants) + self._equipment.period(span, equipment)

    def has_converted(self, factor: str) -> bool:
        """Whether a factor has converted (折算) values."""
        return self.pollutants.has_converted(factor)

    def sentinels(self, records: Iterable[Record]) -> frozenset[str]:
        """Factors that have the largest number as converted value; equipment has none."""
        return self.pollutants.sentinels(records)

    def live(self, samples: Sequence[Sample]) -> list[Live]:
        """Pollutants only: states go by themselves (CN 2021)."""
        return self.pollutants.live([sample for sample in samples if not is_equipment(sample.factor)])


def _parted(by_factor: Mapping[str, T]) -> tuple[dict[str, T], dict[str, T]]:
    """Pollutants and equipment."""
    pollutants: dict[str, T] = {}
    equipment: dict[str, T] = {}
    for factor, value in by_factor.items():
        (equipment if is_equipment(factor) else pollutants)[factor] = value
    return pollutants, equipment
