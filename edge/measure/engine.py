"""The measurement of one outlet: samples in, records out as their periods end; sealed once, never again. Sans
I/O.

    add(samples) ─▶ open minutes ─tick─▶ minute records ─▶ open hours ─tick─▶ hour records ─▶ open days

A minute is sealed when its end has passed and every expected sample is in, or 2 s later. A sample of a sealed
minute is dropped and counted. A minute that saw neither tick nor sample never existed for this logger (it was
off, or the clock jumped over it): no record. A factor without samples in a minute that the engine lived
through from its beginning has a record with mark B. Only open periods are held, and what a factor that `holds` its
values may still need: such a value stands in later minutes that bring none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from config.site import Outlet
from edge.measure.equipment import Equipment, WithEquipment
from edge.measure.flue_gas import FlueGas
from edge.measure.late import Late
from edge.measure.manual import NO_MARKS, ManualMarks
from edge.measure.periods import Labels
from edge.measure.rules import FactorRule
from edge.measure.sound_levels import LA, OF_MINUTES, Levels, SoundLevels
from edge.measure.statistics import Live, Span, Statistics
from edge.measure.totaliser import Change, Total
from edge.measure.waste_water import WasteWater
from edge.values import DAY_MS, HOUR_MS, MINUTE_MS, Kind, Record, Result, Sample, period_start
from protocol.equipment import is_equipment
from protocol.times import iso_text

GRACE_MS = 2_000
"""How long after a minute's end a missing sample is waited for."""
DOUBT_MS = 600_000
"""A totaliser's reading that was in doubt before a restart is looked for so far back."""
_BEGINNING = -(1 << 62)


def statistics_of(outlet: Outlet, name: str, factors: Mapping[str, FactorRule], levels: Levels) -> WithEquipment:
    """The rules that the outlet's `statistics` names, and those of its equipment; `levels`: where noise finds the
    samples of its day.
    """
    measured = {factor: rule for factor, rule in factors.items() if not is_equipment(factor)}
    equipment = {factor: rule for factor, rule in factors.items() if factor not in measured}
    if outlet.statistics == "noise":
        rules: Statistics = SoundLevels(outlet, name, measured, levels)
    else:
        rules = (FlueGas if outlet.statistics == "gas" else WasteWater)(outlet, name, measured)
    return WithEquipment(rules, Equipment(outlet, name, equipment))


def minute_records(
    rules: Statistics, start: int, series: Mapping[str, Sequence[Sample]], manual: ManualMarks
) -> list[Record]:
    """The records of one minute from its samples, with the marks by hand laid over them."""
    return rules.minute(start, counting(start, series, manual))


def counting(start: int, series: Mapping[str, Sequence[Sample]], manual: ManualMarks) -> dict[str, Sequence[Sample]]:
    """A minute's samples as the rules count them."""
    return {name: _honest(manual.over(name, start, samples)) for name, samples in series.items()}


class _Level:
    """The open hours, or the open days: the records of the level below that are already there."""

    def __init__(self, kind: Kind, below: Kind, late: Late | None) -> None:
        self.kind = kind
        self._late = late
        self._parts = kind.ms // below.ms
        self._open: dict[int, dict[str, list[Record]]] = {}
        self.sealed = Labels()

    def add(self, records: Iterable[Record]) -> None:
        for record in records:
            start = period_start(record.start, self.kind.ms)
            if start not in self.sealed:
                self._open.setdefault(start, {}).setdefault(record.factor, []).append(record)

    def revise(self, records: Iterable[Record]) -> None:
        """These take the place of the records of the same factor and start, where their period is still open."""
        for record in records:
            there = self._open.get(period_start(record.start, self.kind.ms), {}).get(record.factor, [])
            there[:] = [record if one.start == record.start else one for one in there]

    def sealed_are(self, records: Iterable[Record]) -> None:
        """These periods are stored already."""
        for start in {record.start for record in records}:
            self.sealed.add(start, start + self.kind.ms)

    def seal(self, rules: Statistics, until: int) -> list[Record]:
        """The records of all open periods that end at or before `until`."""
        ended = sorted(start for start in self._open if start + self.kind.ms <= until)
        records: list[Record] = []
        for start in ended:
            parts = self._open.pop(start)
            if self._late is not None:
                self._late.keep(self.kind, start, parts)
                parts = {factor: found for factor, found in parts.items() if factor not in self._late.factors}
            records += rules.period(Span(self.kind, start, self._parts), parts)
            self.sealed.add(start, start + self.kind.ms)
        return records


class Engine:
    """Measures one outlet. `late` counts samples that came for a sealed minute; `hour_total` is the totaliser's reading
    at the last hour's edge.
    """

    def __init__(self, outlet: Outlet, name: str, factors: Mapping[str, FactorRule]) -> None:
        self.name = name
        self.late = 0
        self._levels = Levels()
        self._is_noise = outlet.statistics == "noise"
        self.manual: ManualMarks = NO_MARKS
        """Marks set by hand: laid over the samples when a minute is sealed."""
        self._rules = statistics_of(outlet, name, factors, self._levels)
        self._water = self._rules.pollutants if isinstance(self._rules.pollutants, WasteWater) else None
        self.hour_total: Total | None = None
        self._factors = dict(factors)
        self._holds = {factor: rule.holds_ms for factor, rule in factors.items() if rule.holds_ms}
        self._held: dict[str, dict[int, Sample]] = {factor: {} for factor in self._holds}
        self._minutes: dict[int, dict[str, dict[int, Sample]]] = {}
        self._sealed = Labels()
        assigned = {factor: rule.assigned for factor, rule in factors.items() if rule.assigned is not None}
        self._late = Late(assigned, self._water, lambda: self.manual) if assigned and self._water is not None else None
        self._hours = _Level(Kind.HOUR, Kind.MINUTE, self._late)
        self._days = _Level(Kind.DAY, Kind.HOUR, self._late)
        self._alive_from: int | None = None
        self._resumed_at: int | None = None

    @property
    def factors(self) -> Mapping[str, FactorRule]:
        """The factors that have records: the sampled ones, and a flow that is computed."""
        return self._rules.factors

    @property
    def late_factors(self) -> frozenset[str]:
        """The factors whose hours and days may be sealed later than the others'."""
        return frozenset(self._late.factors) if self._late else frozenset()

    def needs(self, sealed_until: int) -> tuple[int, int, int]:
        """`reach`, and further back where there is a totaliser or where hours may still wait for their results."""
        sample, minute, hour = self.reach(sealed_until)
        if self._water is not None and self._water.totaliser is not None:
            sample -= DOUBT_MS
        if self._late is not None:
            minute = period_start(sealed_until - 1 - self._late.longest_ms, HOUR_MS) - HOUR_MS
            hour = period_start(minute, DAY_MS)
        return sample, minute, hour

    def reach(self, sealed_until: int) -> tuple[int, int, int]:
        """Since when `resume` needs samples, minutes and hours, where minutes are sealed until `sealed_until`."""
        last = sealed_until - 1
        since = sealed_until - max(self._holds.values(), default=0)
        since = min(since, period_start(last, DAY_MS)) if self._is_noise else since
        return since, period_start(last, HOUR_MS), period_start(last, DAY_MS)

    def resume(
        self,
        samples: Iterable[Sample],
        minutes: Iterable[Record],
        hours: Iterable[Record],
        sealed_until: int,
        days: Iterable[Record] = (),
        *,
        total: Total | None = None,
        results: Iterable[Result] = (),
        labels: Iterable[int] | None = None,
    ) -> None:
        """Continue after a restart from what is stored of this outlet since `needs`; call it once, before anything
        else.

        `sealed_until` is the end of the last sealed minute that has begun by now. Periods that ended meanwhile are
        sealed by the next tick. `days` names days that are sealed already. `labels`: the minutes that are sealed,
        also later ones where the clock has been set back; None: all before `sealed_until`. What was never sealed
        stays open: a clock that was wrong before the restart may yet be set back to it. `total`: the
        totaliser's last reading that counted; `results`: of batch analyzers.
        """
        samples, hours, minutes, days = list(samples), list(hours), list(minutes), list(days)
        if self._water is not None:
            self._water.resume(total, [sample for sample in samples if sample.time < sealed_until])
        self._keep_total(hours)
        if labels is None:
            self._sealed.add(_BEGINNING, sealed_until)
        for start in () if labels is None else labels:
            self._sealed.add(start, start + MINUTE_MS)
        self._resumed_at = self._levels.sealed_until = sealed_until
        self._hours.sealed_are(hours)
        self._days.sealed_are(days)
        if self._late is not None:
            self._late.sealed_are([*hours, *days])
            self._late.resume(results, sealed_until)
            self._keep_waiting(self._hours, minutes)
            self._keep_waiting(self._days, hours)
        self._days.add(hour for hour in hours if hour.factor not in self.late_factors)
        self._hours.add(minutes)
        self.add(samples)
        for start in [start for start in self._minutes if start < sealed_until]:
            del self._minutes[start]  # too late then, too late now
        self.late = 0

    def add(self, samples: Iterable[Sample]) -> None:
        """Take samples in any order; the first one for a factor and time stays. Other outlets' are passed over."""
        for sample in samples:
            if sample.outlet != self.name or sample.factor not in self._factors:
                continue
            if self._is_noise and sample.factor == LA:
                self._levels.add(sample)
            if sample.factor in self._held:
                self._held[sample.factor].setdefault(sample.time, sample)
            start = period_start(sample.time, MINUTE_MS)
            if start in self._sealed:
                self.late += 1
                continue
            of_factor = self._minutes.setdefault(start, {}).setdefault(sample.factor, {})
            of_factor.setdefault(sample.time, sample)

    def _keep_waiting(self, level: _Level, records: Iterable[Record]) -> None:
        """The records of hours, or days, that are sealed but for the factors that wait."""
        assert self._late is not None
        for record in records:
            start = period_start(record.start, level.kind.ms)
            is_late_hour = record.kind is Kind.HOUR and record.factor in self.late_factors
            if start in level.sealed or is_late_hour:
                self._late.keep(level.kind, start, {record.factor: [record]})

    def add_results(self, results: Iterable[Result]) -> None:
        """What batch analyzers brought; other outlets' are passed over."""
        if self._late is not None:
            self._late.add_results(result for result in results if result.outlet == self.name)

    def live(self, samples: Sequence[Sample]) -> list[Live]:
        """The latest sample of each factor as realtime data show it, and a computed flow; a switch is no factor."""
        return self._rules.live([self.manual.on(sample) for sample in samples if sample.factor in self._factors])

    def revise(self, records: Iterable[Record]) -> None:
        """Minutes and hours whose mark has changed since they were sealed: what is open above counts with these."""
        records = list(records)
        self._hours.revise(record for record in records if record.kind is Kind.MINUTE)
        self._days.revise(record for record in records if record.kind is Kind.HOUR)

    def has_converted(self, factor: str) -> bool:
        """Whether a factor has converted (折算) values."""
        return self._rules.has_converted(factor)

    def sentinels(self, records: Iterable[Record]) -> frozenset[str]:
        """Of one period's records those factors for which the platform gets the largest number as converted value."""
        return self._rules.sentinels(records)

    def tick(self, now_ms: int, complete_until_ms: int | None = None) -> list[Record]:
        """Seal what has ended, in order of time. `complete_until_ms`: no more samples come for the time
        before it.
        """
        self._live_through(now_ms)
        complete = _BEGINNING if complete_until_ms is None else complete_until_ms
        records: list[Record] = []
        reached = max(now_ms - GRACE_MS, complete)
        for start in sorted(start for start in self._minutes if self._is_settled(start, now_ms, complete)):
            records += self._seal_above(start)
            records += self._seal_minute(start)
            reached = max(reached, start + MINUTE_MS)
        until = min([reached, *self._minutes])
        records += self._seal_above(until)
        return records + self._late.seal(now_ms, until) if self._late else records

    def happened(self) -> list[tuple[str, dict[str, Any]]]:
        """Code and parameters of what there is to tell since the last time."""
        told = [(each.code, _told(self.name, each)) for each in self._water.changes()] if self._water else []
        if self._late is not None:
            told += [("measure.result-late", _told_late(each)) for each in self._late.missed]
            self._late.missed.clear()
        return told

    def derive(self, records: Iterable[Record], start: int, minutes: int) -> list[Record]:
        """The records of a platform's longer minute interval, from its 1-minute records; keeps nothing.

        Extremes of the extremes, means weighted by count (water concentrations by volume), sums of Cou and
        count, mark by the same rule as an hour's.
        """
        below: dict[str, list[Record]] = {}
        for record in records:
            if record.kind is Kind.MINUTE and start <= record.start < start + minutes * MINUTE_MS:
                below.setdefault(record.factor, []).append(record)
        if minutes == 1:
            return [one for factor, parts in below.items() if OF_MINUTES not in factor for one in parts]
        return self._rules.period(Span(Kind.MINUTE, start, minutes, by_count=True), below)

    def _live_through(self, now_ms: int) -> None:
        """The minute of a tick exists, with or without samples."""
        if self._alive_from is None:
            since = now_ms if self._resumed_at is None else self._resumed_at
            # briefly away: the run before the restart has lived through the beginning of this minute
            self._alive_from = since if 0 <= now_ms - since < MINUTE_MS + GRACE_MS else now_ms
        self._alive_from = min(self._alive_from, now_ms)  # a clock that was set back: it lives through this time, too
        start = period_start(now_ms, MINUTE_MS)
        if start not in self._sealed:
            self._minutes.setdefault(start, {})

    def _is_settled(self, start: int, now_ms: int, complete: int) -> bool:
        end = start + MINUTE_MS
        if end <= complete or end + GRACE_MS <= now_ms:
            return True
        series = self._minutes[start]
        return end <= now_ms and all(len(series.get(f, ())) >= rule.expected for f, rule in self._factors.items())

    def _seal_minute(self, start: int) -> list[Record]:
        found = self._minutes.pop(start)
        lived = self._alive_from is not None and self._alive_from <= start
        series = {
            factor: [found[factor][time] for time in sorted(found[factor])] if factor in found else standing
            for factor, rule in self._factors.items()
            for standing in (self._standing(factor, start),)
            if factor in found or standing or (lived and (rule.expected or rule.holds_ms))
        }
        records = minute_records(self._rules, start, series, self.manual)
        if records:  # without any the label was not used, and a clock that is set back may still fill it
            self._sealed.add(start, start + MINUTE_MS)
        self._hours.add(records)
        return records

    def _standing(self, factor: str, start: int) -> list[Sample]:
        """The value from before this minute that stands in it, as if it had come at its beginning."""
        held = self._held.get(factor)
        if held is None:
            return []
        for time in [time for time in held if time < start - self._holds[factor]]:
            del held[time]
        last = max((time for time in held if time < start), default=None)
        return [] if last is None else [replace(held[last], time=start)]

    def _seal_above(self, until: int) -> list[Record]:
        hours = self._hours.seal(self._rules, until)
        self._keep_total(hours)
        self._days.add(hours)
        return hours + self._days.seal(self._rules, until)

    def _keep_total(self, hours: Iterable[Record]) -> None:
        for hour in hours:
            if hour.total is not None and hour.total_at is not None:
                self.hour_total = Total(hour.total_at, hour.total)


def _told(outlet: str, change: Change) -> dict[str, Any]:
    """What an event of a totaliser says; volumes to the litre."""
    return {
        "outlet": outlet,
        "before": round(change.before.value, 3),
        "after": round(change.after.value, 3),
        "from": iso_text(change.before.time),
        "to": iso_text(change.after.time),
        "volume": round(change.volume, 3),
    }


def _told_late(result: Result) -> dict[str, Any]:
    sampled, seen = iso_text(result.sampled), iso_text(result.seen)
    return {"outlet": result.outlet, "factor": result.factor, "sampled": sampled, "at": seen}


def _honest(samples: Sequence[Sample]) -> Sequence[Sample]:
    """A sample without a value is never normal: one that claims to be says only that nothing came."""
    if all(sample.value is not None or sample.mark != "N" for sample in samples):
        return samples
    return [Sample(s.time, s.outlet, s.factor, None, "B") if s.value is None and s.mark == "N" else s for s in samples]
