"""From readings to samples: scale, unit, range, mark.

    reading × scale + offset  is in the point's unit  ─▶ mark by its range ─▶ factor's unit ─▶ Sample at its slot
    ─▶ mA, 4–20 of `current`  ─┤                         └ the instrument's own state first       ▲
                               └─▶ of equipment: its state code ──────────────────────────────────╯

A single lost poll is a missing sample; after `silence` without an answer, or three failed polls where those take
longer, the point's samples are B with no value (HJ 212-2017 Table 8). While an action runs at the instrument all its
samples bear the action's mark. A value whose state could not be read is not believed: it counts as a lost poll.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from config.site import Instrument, Point, Site
from config.states import State, mark_of
from drivers.driver import InstrumentSpec, PointSpec, Reading
from drivers.line import PollResult
from edge import telegrams
from edge.batch import BatchPoint, source_specs
from edge.measure.equipment import Decision, decision
from edge.measure.gas import from_volume_share
from edge.measure.rules import FAILED_POLLS, VOLUME_UNIT, silence_of
from edge.values import Result, Sample
from protocol.factors import factor, molar_mass
from protocol.units import convert, is_volume_share

NORMAL, ABOVE, FAULT, NO_LINK = "N", "T", "D", "B"
ZERO_BAND_SHARE = 0.10
"""Zero drift that is still normal, as a share of the span, where the point sets none."""
CURRENT_MA = (4.0, 20.0)
CURRENT_VALID_MA = (3.8, 20.5)
"""A current outside is a fault of the loop or over the range, not a value (NAMUR NE 43)."""


@dataclass(slots=True)
class _Watched:
    """One point with what is needed to mark its samples."""

    name: str
    point: Point
    instrument: Instrument
    unit: str
    decision: Decision | None
    """How the number becomes a state; None: no equipment."""
    states: tuple[tuple[str, State], ...] = ()
    """The states that go for it, by the key of their reading."""
    heard_slot: int | None = None
    first_slot: int | None = None
    last: Sample | None = None
    batch: BatchPoint | None = None


def instrument_spec(name: str, instrument: Instrument) -> InstrumentSpec:
    """An instrument as its driver wants it; points are known by `outlet/channel`, states are read as points."""
    points = [PointSpec(_key(point), point.options) for point in instrument.points]
    points += [spec for point in instrument.points for spec in source_specs(point, _key(point))]
    states = enumerate(instrument.states)
    points += [PointSpec(_state_key(index), state.options, text_ok=True) for index, state in states]
    return InstrumentSpec(name, instrument.address, points, instrument.options, telegrams.decode)


def _key(point: Point) -> str:
    return f"{point.outlet}/{point.channel}"


def _state_key(index: int) -> str:
    return f"state/{index}"


def _states_of(instrument: Instrument, factor: str) -> tuple[tuple[str, State], ...]:
    return tuple(
        (_state_key(index), state)
        for index, state in enumerate(instrument.states)
        if not state.factors or factor in state.factors
    )


def range_mark(point: Point, value: float) -> str:
    """N within the range, T above it, D below it by more than the zero band; `value` in the point's unit."""
    if point.range is None:
        return NORMAL
    low, high = point.range
    band = ZERO_BAND_SHARE * (high - low) if point.zero_band is None else point.zero_band
    if value > high:
        return ABOVE
    return FAULT if value < low - band else NORMAL


class Acquirer:
    """Turns the polls of all lines into samples, and remembers the newest of each point."""

    def __init__(self, site: Site, mark_of: Callable[[str], str | None] = lambda _instrument: None) -> None:
        """`mark_of`: the mark that an action which runs at an instrument gives its points; None: none does."""
        self._mark_of = mark_of
        self._by_instrument: dict[str, dict[str, _Watched]] = {}
        for name, instrument in site.instruments.items():
            self._by_instrument[name] = {_key(point): _watched(name, point, instrument) for point in instrument.points}
        self._batches = [point for point in self._points() if point.batch is not None]
        self._results: list[Result] = []

    def accept(self, poll: PollResult) -> list[Sample]:
        """Samples of one poll; empty for a lost poll within the silence."""
        watched = self._by_instrument[poll.instrument]
        readings = {reading.point: reading for reading in poll.readings}
        samples = (self._sample(point, key, readings, poll.slot_ms) for key, point in watched.items())
        return [sample for sample in samples if sample is not None]

    def recall(self, stored: Iterable[Sample]) -> None:
        """The last states of equipment before a restart, by time: a threshold goes on from there."""
        watched = {(point.point.outlet, point.point.factor): point.decision for point in self._points()}
        for sample in stored:
            known = watched.get((sample.outlet, sample.factor))
            if known is not None and sample.value is not None:
                known.recall(int(sample.value), sample.time)

    def batches(self) -> list[BatchPoint]:
        """The points of batch analyzers."""
        return [watched.batch for watched in self._batches if watched.batch is not None]

    def happened(self) -> list[tuple[str, dict[str, Any]]]:
        """Code and parameters of what is wrong with batch analyzers, since the last time."""
        found = [event for batch in self.batches() for event in batch.events]
        for batch in self.batches():
            batch.events.clear()
        return found

    def results(self) -> list[Result]:
        """The results of batch analyzers that have come since the last time."""
        found, self._results = self._results, []
        return found

    def sampled_at(self, outlet: str) -> dict[str, int]:
        """When the results that an outlet's samples hold were sampled, UTC ms, by factor."""
        here = (batch.last for batch in self.batches() if batch.point.outlet == outlet)
        return {last.factor: last.sampled for last in here if last is not None}

    def latest(self, outlet: str, now_ms: int) -> list[Sample]:
        """Newest sample of each point of an outlet, in the order of the site file; B for what fell silent.

        A point that was not heard yet is left out until its silence has lasted long enough. Equipment: its state.
        """
        found = [_newest(point, now_ms) for point in self._points() if point.point.outlet == outlet]
        return [sample for sample in found if sample is not None]

    def heard(self, now_ms: int) -> dict[str, bool]:
        """Whether each instrument answers its polls: no longer when all its samples are B.

        Left out: instruments without points, at an action, or not asked for long enough to tell.
        """
        found: dict[str, bool] = {}
        for name, points in self._by_instrument.items():
            heard = [point.heard_slot for point in points.values() if point.heard_slot is not None]
            asked = [point.first_slot for point in points.values() if point.first_slot is not None]
            since = max(heard, default=min(asked, default=None))
            if since is None or self._mark_of(name) is not None:
                continue
            is_silent = now_ms - since >= max(silence_of(point.instrument) for point in points.values())
            if heard or is_silent:
                found[name] = not is_silent
        return found

    def points(self) -> list[tuple[str, Point, Sample | None]]:
        """Instrument, point and newest sample of everything that is read."""
        return [(point.name, point.point, point.last) for point in self._points()]

    def _points(self) -> Iterable[_Watched]:
        return (point for points in self._by_instrument.values() for point in points.values())

    def _sample(self, watched: _Watched, key: str, readings: Mapping[str, Reading], slot: int) -> Sample | None:
        watched.first_slot = slot if watched.first_slot is None else watched.first_slot
        reading, mark = _believed(watched, key, readings), self._mark_of(watched.name)
        if reading is None:
            sample = self._unheard(watched, slot)
        else:
            watched.heard_slot = slot
            sample = _heard(watched, reading, slot)
            if watched.batch is not None:
                sample = self._held(watched.batch, readings, sample, mark)
                mark = mark if reading.mark == NORMAL else mark or reading.mark  # what it says of itself now
        if sample is not None:
            watched.last = sample = sample if mark is None else replace(sample, mark=mark)
        return sample

    def _held(
        self, batch: BatchPoint, readings: Mapping[str, Reading], shown: Sample, mark: str | None
    ) -> Sample | None:
        """Of a batch analyzer not what its register holds, but its last result of a sample; None before the first."""
        result = batch.take(readings, shown, mark)
        if result is not None:
            self._results.append(result)
        held = batch.held(shown.time)
        return None if held is None else replace(shown, value=held[0], mark=held[1])

    def _unheard(self, watched: _Watched, slot: int) -> Sample | None:
        """B after real silence, nothing before it."""
        last_heard = watched.heard_slot if watched.heard_slot is not None else watched.first_slot
        if last_heard is None or slot - last_heard < silence_of(watched.instrument):
            return None
        return Sample(slot, watched.point.outlet, watched.point.channel, None, NO_LINK)


def _believed(watched: _Watched, key: str, readings: Mapping[str, Reading]) -> Reading | None:
    """A point's reading with the mark of the instrument's states; None where it or one of them was not read."""
    reading = readings.get(key)
    if reading is None or not watched.states:
        return reading
    states = [(state, readings.get(name)) for name, state in watched.states]
    if any(found is None or (found.value is None and found.text is None) for _, found in states):
        return None
    marks = [mark_of(state, found.value, found.text) for state, found in states if found is not None]
    strongest = next((mark for mark in marks if mark not in (None, NORMAL)), reading.mark)
    return replace(reading, mark=strongest)


def _heard(watched: _Watched, reading: Reading, slot: int) -> Sample:
    point = watched.point
    own = None if reading.mark == NORMAL else reading.mark
    number = math.nan if reading.value is None else reading.value * point.scale + point.offset
    if not math.isfinite(number):
        return Sample(slot, point.outlet, point.channel, None, own or FAULT)
    value, mark = _scaled(point, number)
    if watched.decision is not None:
        state = None if mark == FAULT else watched.decision.state(value, slot)
        return Sample(slot, point.outlet, point.channel, state, own or (FAULT if state is None else NORMAL))
    value = _in_unit_of_factor(value, point, watched.unit)
    if not math.isfinite(value):  # the largest floats leave no room for a conversion
        return Sample(slot, point.outlet, point.channel, None, own or FAULT)
    return Sample(slot, point.outlet, point.channel, value, own or mark)


def _scaled(point: Point, number: float) -> tuple[float, str]:
    """The value in the point's unit, and its mark by the loop and the range."""
    if point.current is None:
        return number, range_mark(point, number)
    low, high = point.current
    value = low + (number - CURRENT_MA[0]) / (CURRENT_MA[1] - CURRENT_MA[0]) * (high - low)
    if number < CURRENT_VALID_MA[0]:
        return value, FAULT
    return value, ABOVE if number > CURRENT_VALID_MA[1] else range_mark(point, value)


def _in_unit_of_factor(value: float, point: Point, unit: str) -> float:
    """A volume share by its molar mass (HJ 212-2017 D.2, equation 20), anything else by its unit."""
    if point.unit is None or not is_volume_share(point.unit) or is_volume_share(unit):
        return convert(value, point.unit or unit, unit)
    mass = point.molar_mass or molar_mass(point.factor)
    assert mass is not None, point.factor  # the site file was checked
    return convert(from_volume_share(convert(value, point.unit, "ppm"), mass), "mg/m³", unit)


def _watched(name: str, point: Point, instrument: Instrument) -> _Watched:
    batch = None if point.batch is None else BatchPoint(point, name, _key(point))
    states = _states_of(instrument, point.factor)
    turned = decision(point, silence_of(instrument))
    return _Watched(name, point, instrument, unit_of(point), turned, states, batch=batch)


def _newest(watched: _Watched, now_ms: int) -> Sample | None:
    last = watched.last
    if watched.first_slot is None:
        watched.first_slot = now_ms
    if last is None and now_ms - watched.first_slot < silence_of(watched.instrument):
        return None
    if last is not None and now_ms - last.time <= max(FAILED_POLLS * watched.instrument.every, watched.point.holds):
        return last  # an older value is not what the instrument shows now
    return Sample(now_ms, watched.point.outlet, watched.point.channel, None, NO_LINK)


def unit_of(point: Point) -> str:
    """The unit of a point's samples; empty for a private factor without one."""
    if point.kind == "total":
        return VOLUME_UNIT
    known = factor(point.factor, point.unit)
    return known.unit if known else (point.unit or "")
