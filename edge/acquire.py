"""From readings to samples: scale, unit, range, mark.

    reading × scale + offset  is in the point's unit  ─▶ mark by its range ─▶ factor's unit ─▶ Sample at its slot

A single lost poll is a missing sample; after `silence` without an answer, or three failed polls where those take
longer, the point's samples are B with no value (HJ 212-2017 Table 8). While an action runs at the instrument all its
samples bear the action's mark.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from config.site import Instrument, Point, Site
from drivers.driver import InstrumentSpec, PointSpec, Reading
from drivers.line import PollResult
from edge.batch import BatchPoint, source_specs
from edge.measure.rules import FAILED_POLLS, VOLUME_UNIT, silence_of
from edge.values import Result, Sample
from protocol.factors import factor
from protocol.units import convert

NORMAL, ABOVE, FAULT, NO_LINK = "N", "T", "D", "B"
ZERO_BAND_SHARE = 0.10
"""Zero drift that is still normal, as a share of the span, where the point sets none."""


@dataclass(slots=True)
class _Watched:
    """One point with what is needed to mark its samples."""

    name: str
    point: Point
    instrument: Instrument
    unit: str
    heard_slot: int | None = None
    first_slot: int | None = None
    last: Sample | None = None
    batch: BatchPoint | None = None

    @classmethod
    def of(cls, name: str, point: Point, instrument: Instrument) -> _Watched:
        batch = None if point.batch is None else BatchPoint(point, name, _key(point))
        return cls(name, point, instrument, unit_of(point), batch=batch)


def instrument_spec(name: str, instrument: Instrument) -> InstrumentSpec:
    """An instrument as its driver wants it; points are known by `outlet/factor`."""
    points = [PointSpec(_key(point), point.options) for point in instrument.points]
    points += [spec for point in instrument.points for spec in source_specs(point, _key(point))]
    return InstrumentSpec(name, instrument.address, tuple(points), instrument.options)


def _key(point: Point) -> str:
    return f"{point.outlet}/{point.code}"


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
                _key(point): _Watched.of(name, point, instrument) for point in instrument.points
            }
        self._batches = [point for point in self._points() if point.batch is not None]
        self._results: list[Result] = []

    def accept(self, poll: PollResult) -> list[Sample]:
        """Samples of one poll; empty for a lost poll within the silence."""
        watched = self._by_instrument[poll.instrument]
        readings = {reading.point: reading for reading in poll.readings}
        samples = (self._sample(point, key, readings, poll.slot_ms) for key, point in watched.items())
        return [sample for sample in samples if sample is not None]

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

        A point that was not heard yet is left out until its silence has lasted long enough.
        """
        found = [_newest(point, now_ms) for point in self._points() if point.point.outlet == outlet]
        return [sample for sample in found if sample is not None]

    def points(self) -> list[tuple[str, Point, Sample | None]]:
        """Instrument, point and newest sample of everything that is read."""
        return [(point.name, point.point, point.last) for point in self._points()]

    def _points(self) -> Iterable[_Watched]:
        return (point for points in self._by_instrument.values() for point in points.values())

    def _sample(self, watched: _Watched, key: str, readings: Mapping[str, Reading], slot: int) -> Sample | None:
        watched.first_slot = slot if watched.first_slot is None else watched.first_slot
        reading, mark = readings.get(key), self._mark_of(watched.name)
        if reading is None:
            sample = self._unheard(watched, slot)
        else:
            watched.heard_slot = slot
            sample = _heard(watched, reading, slot)
            if watched.batch is not None:
                sample = self._held(watched.batch, readings, sample, mark)
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
        if last_heard is None or slot - last_heard < _patience(watched):
            return None
        return Sample(slot, watched.point.outlet, watched.point.code, None, NO_LINK)


def _heard(watched: _Watched, reading: Reading, slot: int) -> Sample:
    point = watched.point
    if reading.value is None:
        return Sample(slot, point.outlet, point.code, None, FAULT)
    value = reading.value * point.scale + point.offset
    if not math.isfinite(value):
        return Sample(slot, point.outlet, point.code, None, FAULT)
    mark = range_mark(point, value)
    return Sample(slot, point.outlet, point.code, convert(value, point.unit or watched.unit, watched.unit), mark)


def _patience(watched: _Watched) -> int:
    return silence_of(watched.instrument)


def _newest(watched: _Watched, now_ms: int) -> Sample | None:
    last = watched.last
    if watched.first_slot is None:
        watched.first_slot = now_ms
    if last is None and now_ms - watched.first_slot < _patience(watched):
        return None
    if last is not None and now_ms - last.time <= FAILED_POLLS * watched.instrument.every:
        return last  # an older value is not what the instrument shows now
    return Sample(now_ms, watched.point.outlet, watched.point.code, None, NO_LINK)


def unit_of(point: Point) -> str:
    """The unit of a point's samples; empty for a private factor without one."""
    if point.kind == "total":
        return VOLUME_UNIT
    known = factor(point.factor)
    return known.unit if known else (point.unit or "")
