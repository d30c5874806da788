"""Statistics of noise (ST 23, 36): Leq, L5 … L95, LMx and LMn of a period; Ldn, Ld and Ln of a day.

    LA ─▶ minute: Leq, LMx, LMn, L5 … L95 ─▶ hour ─▶ day: all of it, its day (L5-Day …) and its night (L5-Night …)
       └─▶ Levels: the samples of the open day, since a percentile is not made of percentiles

Each is a record of its own, its value in `avg`. Leq, LMx and LMn come from the level below; percentiles from the
samples of its valid minutes, and where those are not all there any more they have no value. For platforms with a longer
minute interval the percentiles of every interval that there may be are sealed with its last minute (`L5@10`: of 10
minutes). Marks by the 75 % rule of flue gas; the packets have none, so that what is not valid is not sent. What else
the outlet measures (wind, temperature) is averaged as at a flue gas outlet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from config.site import Outlet
from edge.measure import noise
from edge.measure.flue_gas import FlueGas
from edge.measure.marks import NORMAL, NOTHING_CAME, gas_mark
from edge.measure.rules import PLAIN, FactorRule, factor_rule
from edge.measure.statistics import Below, Live, Series, Span
from edge.values import DAY_MS, HOUR_MS, MINUTE_MS, Kind, Record, Sample, period_start

LA, LEQ, LDN, LD, LN, LMX, LMN = "LA", "Leq", "Ldn", "Ld", "Ln", "LMx", "LMn"
PERCENTILES = {"L5": 5, "L10": 10, "L50": 50, "L90": 90, "L95": 95}
DAY, NIGHT, OF_MINUTES = "-Day", "-Night", "@"
INTERVALS = (2, 3, 4, 5, 6, 10, 12, 15, 20, 30)
"""Longer minute intervals of HJ 212-2017, minutes."""
Values = dict[str, float]


class Levels:
    """The samples of LA of the open day by minute, also those that came late or were stored before a restart."""

    def __init__(self) -> None:
        self._minutes: dict[int, dict[int, Sample]] = {}
        self.sealed_until: int | None = None
        """End of the last sealed minute."""

    def add(self, sample: Sample) -> None:
        """The first one for a time stays; one without a value is never normal."""
        if sample.value is None and sample.mark == NORMAL:
            sample = replace(sample, mark=NOTHING_CAME)
        self._minutes.setdefault(period_start(sample.time, MINUTE_MS), {}).setdefault(sample.time, sample)

    def minute(self, start: int) -> list[Sample]:
        """What came in a minute."""
        return list(self._minutes.get(start, {}).values())

    def forget_before(self, start: int) -> None:
        """Days that are sealed are needed no more."""
        for old in [minute for minute in self._minutes if minute < start]:
            del self._minutes[old]


class SoundLevels:
    """The rules of one noise outlet."""

    def __init__(self, outlet: Outlet, name: str, factors: Mapping[str, FactorRule], levels: Levels) -> None:
        self.outlet = outlet
        self.name = name
        self._levels = levels
        self._rule = factors.get(LA, PLAIN)
        self._others = FlueGas(outlet, name, {factor: rule for factor, rule in factors.items() if factor != LA})
        rules = outlet.noise
        length = (rules.night_from - rules.day_from) % 24
        self._day_hours = frozenset((rules.day_from + at) % 24 for at in range(length))
        order = [*PERCENTILES, LEQ, LDN, LMX, LMN]
        order += [name + part for part, own in ((DAY, LD), (NIGHT, LN)) for name in (*PERCENTILES, own, LMX, LMN)]
        self.factors = dict.fromkeys(order, factor_rule(LA)) | dict(self._others.factors)

    def has_converted(self, factor: str) -> bool:
        """Noise has no converted values."""
        return False

    def sentinels(self, records: Iterable[Record]) -> frozenset[str]:
        """None."""
        return frozenset()

    def live(self, samples: Sequence[Sample]) -> list[Live]:
        """The samples as they are."""
        return [Live(sample) for sample in samples]

    # minutes

    def minute(self, start: int, series: Series) -> list[Record]:
        """The records of one minute, and of the longer intervals that end with it or have ended before it."""
        others = self._others.minute(start, {factor: found for factor, found in series.items() if factor != LA})
        if LA not in series:
            return others
        levels = self._valid(start)
        own = self._records(Span(Kind.MINUTE, start, 1), self._mark(start), len(levels), _values(levels))
        own += self._intervals(start)
        self._levels.sealed_until = start + MINUTE_MS
        self._levels.forget_before(period_start(start, DAY_MS))
        return own + others

    def _mark(self, start: int) -> str:
        marks = [sample.mark for sample in self._levels.minute(start)]
        expected = self.outlet.gas.minute_samples or self._rule.expected
        needed = self.outlet.gas.normal_share * max(expected, len(marks))
        return gas_mark(marks, needed, self.outlet.precedence)

    def _valid(self, start: int) -> list[float]:
        marks = self.outlet.averaging
        return [one.value for one in self._levels.minute(start) if one.value is not None and one.mark in marks]

    def _intervals(self, start: int) -> Iterator[Record]:
        """Percentiles of the longer intervals that are over with this minute and were not before it."""
        end, before = start + MINUTE_MS, self._levels.sealed_until
        longest = INTERVALS[-1] * MINUTE_MS
        minutes = [start] if before is None else [*range(before - longest, before, MINUTE_MS), start]
        for count in INTERVALS:
            length = count * MINUTE_MS
            for label in sorted({period_start(minute, length) for minute in minutes}):
                if label + length <= end and (before is None or label + length > before):
                    yield from self._interval(label, count)

    def _interval(self, label: int, count: int) -> Iterator[Record]:
        """Labelled by its last minute: an earlier one would be due again."""
        last = label + (count - 1) * MINUTE_MS
        levels = [one for at in range(count) for one in self._in_valid_minute(label + at * MINUTE_MS)]
        for factor, value in _percentiles(levels).items():
            named = f"{factor}{OF_MINUTES}{count}"
            yield Record(self.name, Kind.MINUTE, named, last, avg=value, count=len(levels))

    def _in_valid_minute(self, start: int) -> list[float]:
        return self._valid(start) if self._mark(start) in self.outlet.averaging else []

    # hours, days, joined minutes

    def period(self, span: Span, below: Below) -> list[Record]:
        """The records of an hour, a day, or joined minutes."""
        others = {factor: found for factor, found in below.items() if factor in self._others.factors}
        joined = self._others.period(span, others)
        if LEQ not in below:
            return joined
        return [*(self._day(span, below) if span.kind is Kind.DAY else self._joined(span, below)), *joined]

    def _joined(self, span: Span, below: Below) -> list[Record]:
        """An hour of its minutes, or a platform's longer interval of its minutes."""
        mark, chosen = self._chosen(span.parts, below[LEQ])
        values = _of_parts(below, chosen, [float(record.count) for record in chosen])
        if span.kind is Kind.HOUR:
            values |= self._percentiles_of_minutes(chosen)
        elif chosen:
            named = {factor: below.get(f"{factor}{OF_MINUTES}{span.parts}", ()) for factor in PERCENTILES}
            values |= {factor: one.avg for factor, found in named.items() for one in found if one.avg is not None}
        count = sum(record.count for record in chosen) if span.by_count else len(chosen)
        return self._records(span, mark, count, values)

    def _day(self, span: Span, below: Below) -> list[Record]:
        """All of a day; then its day and its night, each with an equivalent level of its own name."""
        hours = {"": set(range(24)), DAY: set(self._day_hours), NIGHT: set(range(24)) - self._day_hours}
        found: list[Record] = []
        equivalent: Values = {}
        for part, own in ((DAY, LD), (NIGHT, LN), ("", LDN)):
            mine = [one for one in below[LEQ] if (one.start - span.start) // HOUR_MS in hours[part]]
            mark, chosen = self._chosen(len(hours[part]), mine)
            values = _of_parts(below, chosen, [1.0] * len(chosen)) | self._percentiles_of_hours(chosen)
            leq = values.pop(LEQ, None)
            if part and leq is not None:
                equivalent[own] = values[own] = leq
            elif not part and equivalent.keys() == {LD, LN}:
                values[LDN] = noise.day_night(equivalent[LD], equivalent[LN], len(self._day_hours))
            found += self._records(span, mark, len(chosen), values, own, part)
        return found

    def _chosen(self, parts: int, records: Sequence[Record]) -> tuple[str, list[Record]]:
        """The mark of a period, and its valid parts."""
        mark = gas_mark([one.mark for one in records], self.outlet.gas.normal_share * parts, self.outlet.precedence)
        return mark, [one for one in records if one.mark in self.outlet.averaging and one.avg is not None]

    def _percentiles_of_minutes(self, chosen: Sequence[Record]) -> Values:
        """Of the samples of valid minutes; none where some of them are not there any more."""
        minutes = [self._valid(record.start) for record in chosen]
        whole = all(len(found) >= record.count for found, record in zip(minutes, chosen, strict=True))
        return _percentiles([one for found in minutes for one in found]) if whole else {}

    def _percentiles_of_hours(self, chosen: Sequence[Record]) -> Values:
        levels: list[float] = []
        for hour in chosen:
            minutes = [self._in_valid_minute(at) for at in range(hour.start, hour.start + HOUR_MS, MINUTE_MS)]
            if sum(bool(found) for found in minutes) < hour.count:
                return {}
            levels += [one for found in minutes for one in found]
        return _percentiles(levels)

    def _records(
        self, span: Span, mark: str, count: int, values: Values, equivalent: str = LEQ, part: str = ""
    ) -> list[Record]:
        names = [*PERCENTILES, equivalent, LMX, LMN]
        make = [(name + part, values.get(name)) for name in names]
        return [
            Record(self.name, span.kind, factor, span.start, avg=value, count=count, mark=mark)
            for factor, value in make
        ]


def _values(levels: Sequence[float]) -> Values:
    if not levels:
        return {}
    return _percentiles(levels) | {LEQ: noise.energy_mean(levels), LMX: max(levels), LMN: min(levels)}


def _percentiles(levels: Sequence[float]) -> Values:
    falling = sorted(levels, reverse=True)
    return {name: noise.exceeded(falling, percent) for name, percent in PERCENTILES.items()} if falling else {}


def _of_parts(below: Below, chosen: Sequence[Record], weights: Sequence[float]) -> Values:
    """Leq, LMx and LMn of a period from those of its valid parts."""
    starts = {record.start for record in chosen}
    high, low = ([one.avg for one in below[f] if one.start in starts and one.avg is not None] for f in (LMX, LMN))
    levels = [record.avg for record in chosen if record.avg is not None]
    if not levels or not high or not low:
        return {}
    return {LEQ: noise.energy_mean(levels, weights), LMX: max(high), LMN: min(low)}
