"""Statistics of flue gas (HJ 212-2017 Annex D.2): dry standard values, converted values, volumes and masses.

    sample ──standard state, dry──▶ ──mean (23)──▶ minute ──(28)──▶ zs
    minutes ──mean (24)──▶ hour ──mean (25)──▶ day

Zs is converted with the minute's mean oxygen and then averaged, or (`zs_on = "mean"`) converted once with the
means of the hour or of a longer minute interval; or a point delivers it. Mass is mean concentration × volume of
the same period (33) for minutes and hours, and the sum of the valid hours for days (32, 34).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import fsum

from config.site import ZS_CHANNEL, Outlet, Zs
from edge.measure import gas
from edge.measure.converted import Conversion
from edge.measure.marks import entering, gas_mark
from edge.measure.periods import mean, weighted_mean
from edge.measure.rules import PLAIN, FactorRule
from edge.measure.standard_state import FLOW, OXYGEN, StandardState
from edge.measure.statistics import Below, Chosen, Live, Series, Span, choose, minute_record, numbers, record_of
from edge.values import Kind, Record, Sample


class FlueGas:
    """The rules of one flue gas outlet."""

    def __init__(self, outlet: Outlet, name: str, factors: Mapping[str, FactorRule]) -> None:
        self.outlet = outlet
        self.name = name
        self._delivered = {channel for channel in factors if channel.endswith(ZS_CHANNEL)}
        self.state = StandardState(outlet, {f: rule for f, rule in factors.items() if f not in self._delivered})
        self.factors = self.state.factors
        self.conversion = Conversion(outlet.gas)

    def zs_source(self, factor: str) -> Zs:
        """Where a factor's converted values come from."""
        rule = self.factors.get(factor, PLAIN)
        if rule.zs is not None:
            return rule.zs
        if factor + ZS_CHANNEL in self._delivered:
            return "from-point"
        return "none" if rule.mass_ratio is None else "computed"  # temperature and the like are no pollutants

    def has_converted(self, factor: str) -> bool:
        """Whether a factor has converted (折算) values."""
        return self.zs_source(factor) != "none"

    # samples

    def live(self, samples: Sequence[Sample]) -> list[Live]:
        """The latest samples at standard state and dry, what is computed from them, and converted values."""
        delivered = {sample.factor: sample for sample in samples if sample.factor in self._delivered}
        own = {sample.factor: [sample] for sample in samples if sample.factor not in delivered}
        standard = self.state.of(own)
        oxygen = next((s for s in standard.get(OXYGEN, ()) if s.mark in self.outlet.averaging), None)
        level = oxygen.value if oxygen else None
        return [self._live(one, level, delivered) for series in standard.values() for one in series]

    def _live(self, sample: Sample, oxygen: float | None, delivered: Mapping[str, Sample]) -> Live:
        source = self.zs_source(sample.factor)
        if sample.value is None or source == "none":
            return Live(sample)
        if source == "from-point":
            found = delivered.get(sample.factor + ZS_CHANNEL)
            valid = found is not None and (found.mark in self.outlet.averaging or found.mark == sample.mark)
            return Live(sample, found.value if found and valid else None)
        return Live(sample, self.conversion.value(sample.value, oxygen), self.conversion.is_sentinel(oxygen))

    # minutes

    def minute(self, start: int, series: Series) -> list[Record]:
        """The records of one minute."""
        delivered = {channel: samples for channel, samples in series.items() if channel in self._delivered}
        own = {factor: samples for factor, samples in series.items() if factor not in delivered}
        records = {factor: self._minute_mean(start, factor, found) for factor, found in self.state.of(own).items()}
        if FLOW in records:
            records[FLOW] = _with_volume(records[FLOW])
        with_mass = [self._with_mass(record, records) for record in records.values()]
        return [self._with_delivered(self._with_zs(record, records), delivered) for record in with_mass]

    def _minute_mean(self, start: int, factor: str, samples: Sequence[Sample]) -> Record:
        """(23) Mean of the valid samples; N from 75 % of those that were due, or that came where more did."""
        mark = self._mark([sample.mark for sample in samples], self.needed_samples(factor, len(samples)))
        with_value = [sample for sample in samples if sample.value is not None]
        chosen, count = entering(with_value, self.outlet.averaging, mark)
        return minute_record(self.name, factor, start, chosen, count, mark)

    def needed_samples(self, factor: str, came: int) -> float:
        """Valid samples that a minute needs, where `came` are there."""
        rule = self.factors.get(factor, PLAIN)
        expected = 0 if rule.holds_ms else self.outlet.gas.minute_samples or rule.expected
        return self.outlet.gas.normal_share * max(expected, came)

    def _with_zs(self, record: Record, records: Mapping[str, Record]) -> Record:
        """(26–28) A record with its numbers converted by the mean oxygen of the same period."""
        if record.min is None or record.avg is None or record.max is None:
            return record
        if self.zs_source(record.factor) != "computed":
            return record
        oxygen = _usable(records.get(OXYGEN), record)
        level = oxygen.avg if oxygen else None
        low, middle, high = (self.conversion.value(value, level) for value in (record.min, record.avg, record.max))
        return replace(record, zs_min=low, zs_avg=middle, zs_max=high)

    def _with_delivered(self, record: Record, delivered: Series) -> Record:
        """A minute with the converted values that a point delivers; abnormal ones only where all else is, too."""
        if record.avg is None or self.zs_source(record.factor) != "from-point":
            return record
        with_value = [one for one in delivered.get(record.factor + ZS_CHANNEL, ()) if one.value is not None]
        chosen, count = entering(with_value, self.outlet.averaging, record.mark)
        values = numbers(chosen)
        if not values or (record.count and not count):
            return record
        return replace(record, zs_min=min(values), zs_avg=mean(values), zs_max=max(values))

    def _with_mass(self, record: Record, records: Mapping[str, Record]) -> Record:
        """(33) Mean dry concentration × volume, where the volume is standard and dry."""
        ratio = self.factors.get(record.factor, PLAIN).mass_ratio
        flow = _usable(records.get(FLOW), record)
        if ratio is None or record.avg is None or flow is None or flow.cou is None or not self.state.dry_flow:
            return record
        return replace(record, cou=gas.mass(record.avg, flow.cou, ratio))

    # hours, days, joined minutes

    def period(self, span: Span, below: Below) -> list[Record]:
        """The records of an hour, a day, or joined minutes."""
        records = {factor: self._period(span, factor, parts) for factor, parts in below.items()}
        if self.outlet.gas.zs_on == "mean" and span.kind is not Kind.DAY:
            records = {factor: self._with_zs(record, records) for factor, record in records.items()}
        if span.kind is not Kind.HOUR:
            return list(records.values())
        if FLOW in records:
            records[FLOW] = _with_volume(records[FLOW])
        return [self._with_mass(record, records) for record in records.values()]

    def _period(self, span: Span, factor: str, parts: Sequence[Record]) -> Record:
        mark = self._mark([part.mark for part in parts], self.needed(span))
        chosen = choose(self.outlet, parts, mark, span)
        avg = weighted_mean(chosen.means(), chosen.weights()) if chosen.records else None
        return record_of(self.name, factor, chosen, avg, None if span.kind is Kind.HOUR else _sum(chosen))

    def sentinels(self, records: Iterable[Record]) -> frozenset[str]:
        """Of one period's records those factors for which the platform gets the largest number as converted value."""
        found = {record.factor: record for record in records}
        return frozenset(
            factor
            for factor, record in found.items()
            if record.avg is not None and record.zs_avg is None and self.zs_source(factor) == "computed"
            for oxygen in (_usable(found.get(OXYGEN), record),)
            if oxygen is not None and self.conversion.is_sentinel(oxygen.avg)
        )

    def _mark(self, marks: Sequence[str], needed: float) -> str:
        return gas_mark(marks, needed, self.outlet.precedence, self.outlet.gas.below_share)

    def needed(self, span: Span) -> float:
        """Valid records that the period needs: 45 minutes (24), 20 hours (25), and 75 % of all."""
        rules = self.outlet.gas
        least = {Kind.MINUTE: 0, Kind.HOUR: rules.hour_minutes, Kind.DAY: rules.day_hours}[span.kind]
        return max(least, rules.normal_share * span.parts)


def _usable(other: Record | None, record: Record) -> Record | None:
    """Flow or oxygen for computing with a concentration: valid, or the concentration is not valid either."""
    return other if other is not None and (other.count > 0 or record.count == 0) else None


def _with_volume(flow: Record) -> Record:
    """(30) Mean flow × length of the period, m³: the whole of it, as the standard has it."""
    return flow if flow.avg is None else replace(flow, cou=flow.avg * flow.kind.ms / 1000)


def _sum(chosen: Chosen) -> float | None:
    """(32, 34) Cou of the periods that entered."""
    parts = [record.cou for record in chosen.records if record.cou is not None]
    return fsum(parts) if parts else None
