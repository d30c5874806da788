"""From readings to samples: scale, unit, range, mark.

    reading × scale + offset  is in the point's unit  ─▶ mark by its range ─▶ factor's unit ─▶ Sample at its slot
    ─▶ mA, 4–20 of `current`  ─┘                         └ the instrument's own state first

A single lost poll is a missing sample; after `silence` without an answer, or three failed polls where those take
longer, the point's samples are B with no value (HJ 212-2017 Table 8). While an action runs at the instrument all its
samples bear the action's mark. A value whose state could not be read is not believed: it counts as a lost poll.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from config.site import Instrument, Point, Site
from config.states import State, mark_of
from drivers.driver import InstrumentSpec, PointSpec, Reading
from drivers.line import PollResult
from edge import telegrams
from edge.values import Sample
from protocol.factors import factor
from protocol.units import convert

NORMAL, ABOVE, FAULT, NO_LINK = "N", "T", "D", "B"
FAILED_POLLS = 3
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
    states: tuple[tuple[str, State], ...] = ()
    """The states that go for it, by the key of their reading."""
    heard_slot: int | None = None
    first_slot: int | None = None
    last: Sample | None = None


def instrument_spec(name: str, instrument: Instrument) -> InstrumentSpec:
    """An instrument as its driver wants it; points are known by `outlet/factor`, states are read as points."""
    points = [PointSpec(f"{point.outlet}/{point.factor}", point.options) for point in instrument.points]
    states = enumerate(instrument.states)
    points += [PointSpec(_state_key(index), state.options, text_ok=True) for index, state in states]
    return InstrumentSpec(name, instrument.address, points, instrument.options, telegrams.decode)


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
            self._by_instrument[name] = {
                f"{point.outlet}/{point.factor}": _Watched(
                    name, point, instrument, _factor_unit(point), _states_of(instrument, point.factor)
                )
                for point in instrument.points
            }

    def accept(self, poll: PollResult) -> list[Sample]:
        """Samples of one poll; empty for a lost poll within the silence."""
        watched = self._by_instrument[poll.instrument]
        readings = {reading.point: reading for reading in poll.readings}
        samples = (self._sample(point, _believed(point, key, readings), poll.slot_ms) for key, point in watched.items())
        return [sample for sample in samples if sample is not None]

    def latest(self, outlet: str, now_ms: int) -> list[Sample]:
        """Newest sample of each point of an outlet, in the order of the site file; B for what fell silent.

        A point that was not heard yet is left out until its silence has lasted long enough.
        """
        found = [_newest(point, now_ms) for point in self._points() if point.point.outlet == outlet]
        return [sample for sample in found if sample is not None]

    def points(self) -> list[tuple[str, Point, Sample | None]]:
        """Instrument, point and newest sample of everything that is read."""
        return [(point.name, point.point, point.last) for point in self._points()]

    def _points(self) -> Iterable[_Watched]:
        return (point for points in self._by_instrument.values() for point in points.values())

    def _sample(self, watched: _Watched, reading: Reading | None, slot: int) -> Sample | None:
        watched.first_slot = slot if watched.first_slot is None else watched.first_slot
        if reading is None:
            sample = self._unheard(watched, slot)
        else:
            watched.heard_slot = slot
            sample = _heard(watched, reading, slot)
        mark = self._mark_of(watched.name)
        if sample is not None:
            watched.last = sample = sample if mark is None else replace(sample, mark=mark)
        return sample

    def _unheard(self, watched: _Watched, slot: int) -> Sample | None:
        """B after real silence, nothing before it."""
        last_heard = watched.heard_slot if watched.heard_slot is not None else watched.first_slot
        if last_heard is None or slot - last_heard < _patience(watched):
            return None
        return Sample(slot, watched.point.outlet, watched.point.factor, None, NO_LINK)


def _believed(watched: _Watched, key: str, readings: dict[str, Reading]) -> Reading | None:
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
        return Sample(slot, point.outlet, point.factor, None, own or FAULT)
    value, mark = _scaled(point, number)
    value = convert(value, point.unit or watched.unit, watched.unit)
    return Sample(slot, point.outlet, point.factor, value, own or mark)


def _scaled(point: Point, number: float) -> tuple[float, str]:
    """The value in the point's unit, and its mark by the loop and the range."""
    if point.current is None:
        return number, range_mark(point, number)
    low, high = point.current
    value = low + (number - CURRENT_MA[0]) / (CURRENT_MA[1] - CURRENT_MA[0]) * (high - low)
    if number < CURRENT_VALID_MA[0]:
        return value, FAULT
    return value, ABOVE if number > CURRENT_VALID_MA[1] else range_mark(point, value)


def _patience(watched: _Watched) -> int:
    return max(watched.instrument.silence, FAILED_POLLS * watched.instrument.every)


def _newest(watched: _Watched, now_ms: int) -> Sample | None:
    last = watched.last
    if watched.first_slot is None:
        watched.first_slot = now_ms
    if last is None and now_ms - watched.first_slot < _patience(watched):
        return None
    if last is not None and now_ms - last.time <= FAILED_POLLS * watched.instrument.every:
        return last  # an older value is not what the instrument shows now
    return Sample(now_ms, watched.point.outlet, watched.point.factor, None, NO_LINK)


def _factor_unit(point: Point) -> str:
    known = factor(point.factor)
    return known.unit if known else (point.unit or "")
