"""Statistics of flue gas (HJ 212-2017 Annex D.2): dry standard values, converted values, volumes and masses.

    sample ──basis (18, 19)──▶ dry standard sample ──mean (23)──▶ minute ──(28)──▶ zs
    velocity ──Kv (29), area (30), (31)──▶ a00000, m³/s standard dry, where no flow is measured
    minutes ──mean (24)──▶ hour ──mean (25)──▶ day

An instrument that is asked less often than another stands with its last value of the same minute. Zs is
converted with the minute's mean oxygen and then averaged; mass is mean concentration × volume of the same
period (33) for minutes and hours, and the sum of the valid hours for days (32, 34).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import fsum, inf

from config.site import Outlet
from edge.measure import gas
from edge.measure.marks import FAULT, NORMAL, NOTHING_CAME, entering, gas_mark
from edge.measure.periods import weighted_mean
from edge.measure.rules import PLAIN, FactorRule, factor_rule
from edge.measure.statistics import Below, Chosen, Live, Series, Span, choose, minute_record, record_of
from edge.values import Kind, Record, Sample

FLOW, OXYGEN, VELOCITY = "a00000", "a19001", "a01011"
TEMPERATURE, PRESSURE, HUMIDITY = "a01012", "a01013", "a01014"
_TO_STANDARD = (TEMPERATURE, PRESSURE)
_TO_DRY = (HUMIDITY,)
_PA = 1000  # one kPa


class Held:
    """A condition's valid values within a minute: the last one, or the first where none came earlier.

    A value that the formulas would divide by zero with (100 % humidity, −273 °C) is a fault of its instrument.
    """

    def __init__(self, samples: Sequence[Sample], averaging: Sequence[str], possible: tuple[float, float]) -> None:
        low, high = possible
        marked = [sample for sample in samples if sample.mark in averaging and sample.value is not None]
        valid = [(s.time, s.value) for s in marked if s.value is not None and low < s.value < high]
        self._times = [time for time, _ in valid]
        self._values = [value for _, value in valid]
        bad = next((sample.mark for sample in reversed(samples) if sample.mark not in averaging), None)
        self.mark = bad or (FAULT if marked else NOTHING_CAME)
        """Why there is none."""

    def at(self, time: int) -> float | None:
        return self._values[max(bisect_right(self._times, time) - 1, 0)] if self._values else None


@dataclass(frozen=True, slots=True)
class Conditions:
    """Temperature, pressure, humidity of a minute."""

    held: Mapping[str, Held]

    def lacking(self, needed: Sequence[str], time: int) -> str | None:
        """The mark of the first condition that has no value; None: all have."""
        return next((self.held[factor].mark for factor in needed if self.held[factor].at(time) is None), None)

    def value(self, factor: str, time: int) -> float:
        found = self.held[factor].at(time)
        assert found is not None, factor  # `lacking` was asked
        return found


class FlueGas:
    """The rules of one flue gas outlet."""

    def __init__(self, outlet: Outlet, name: str, factors: Mapping[str, FactorRule]) -> None:
        self.outlet = outlet
        self.name = name
        self.factors = dict(factors)
        self._computes_flow = FLOW not in factors and VELOCITY in factors and bool(outlet.gas.area)
        if self._computes_flow:
            like = factors[VELOCITY]
            self.factors[FLOW] = replace(factor_rule(FLOW), expected=like.expected, slot_ms=like.slot_ms)
        dries = all(factor in factors for factor in (*_TO_STANDARD, *_TO_DRY))
        self._dry_flow = dries or not self._computes_flow

    def _is_pollutant(self, factor: str) -> bool:
        return self.factors.get(factor, PLAIN).mass_ratio is not None

    # samples

    def live(self, samples: Sequence[Sample]) -> list[Live]:
        """The latest samples at standard state and dry, a computed flow, and converted values of pollutants."""
        standard = self._standard({sample.factor: [sample] for sample in samples})
        oxygen = next((s for s in standard.get(OXYGEN, ()) if s.mark in self.outlet.averaging), None)
        level = oxygen.value if oxygen else None
        return [Live(one, self._live_zs(one, level)) for series in standard.values() for one in series]

    def _live_zs(self, sample: Sample, oxygen: float | None) -> float | None:
        if sample.value is None or not self._is_pollutant(sample.factor):
            return None
        return self._converted(sample.value, oxygen)

    def _standard(self, series: Series) -> dict[str, Sequence[Sample]]:
        """Samples at standard state and dry, and the flow that is computed from them (18, 19, 29–31)."""
        possible = {
            TEMPERATURE: (-gas.ZERO_K, inf),
            PRESSURE: (-self.outlet.gas.ambient_pressure, inf),
            HUMIDITY: (-inf, 100.0),
        }
        marks = self.outlet.averaging
        conditions = Conditions({name: Held(series.get(name, ()), marks, span) for name, span in possible.items()})
        result: dict[str, Sequence[Sample]] = {
            factor: [self._dry_standard(sample, conditions) for sample in samples] for factor, samples in series.items()
        }
        if self._computes_flow and VELOCITY in series:
            result[FLOW] = [self._flow(sample, conditions) for sample in series[VELOCITY]]
        return result

    def _dry_standard(self, sample: Sample, conditions: Conditions) -> Sample:
        basis = self.outlet.gas.basis
        needed: tuple[str, ...] = ()
        if self.factors.get(sample.factor, PLAIN).is_concentration and basis != "standard-dry":
            needed += _TO_STANDARD
        if needed or sample.factor == OXYGEN:
            needed += _TO_DRY if basis == "actual-wet" else ()
        if sample.value is None or not needed:
            return sample
        lacking = conditions.lacking(needed, sample.time)
        if lacking is not None:
            return _without_value(sample, sample.factor, lacking)
        value = sample.value
        if TEMPERATURE in needed:
            static = conditions.value(PRESSURE, sample.time) * _PA
            value = gas.to_standard(value, self._ambient_pa(), static, conditions.value(TEMPERATURE, sample.time))
        if HUMIDITY in needed:
            value = gas.to_dry(value, conditions.value(HUMIDITY, sample.time) / 100)
        return replace(sample, value=value)

    def _flow(self, velocity: Sample, conditions: Conditions) -> Sample:
        """(29–31) a00000, m³/s: standard and dry where the site measures what that needs, else actual and wet."""
        if velocity.value is None:
            return _without_value(velocity, FLOW, velocity.mark)
        rules, time = self.outlet.gas, velocity.time
        flow = gas.hourly_flow(rules.area or 0.0, gas.mean_velocity(rules.kv, velocity.value)) / 3600
        if self._dry_flow:
            lacking = conditions.lacking((*_TO_STANDARD, *_TO_DRY), time)
            if lacking is not None:
                return _without_value(velocity, FLOW, lacking)
            static, celsius = conditions.value(PRESSURE, time) * _PA, conditions.value(TEMPERATURE, time)
            humidity = conditions.value(HUMIDITY, time) / 100
            flow = gas.to_standard_dry(flow, self._ambient_pa(), static, celsius, humidity)
        return replace(velocity, factor=FLOW, value=flow)

    def _ambient_pa(self) -> float:
        return self.outlet.gas.ambient_pressure * _PA

    def _converted(self, dry: float, oxygen: float | None) -> float | None:
        """(26–28) Zs; the measured value where no reference is set, or the oxygen is too near that of air."""
        rules = self.outlet.gas
        if rules.o2_reference is None and rules.excess_air is None:
            return dry
        if oxygen is None:
            return None
        if oxygen > rules.o2_limit or oxygen >= gas.AIR_OXYGEN:
            return dry
        if rules.o2_reference is not None:
            return gas.converted_by_oxygen(dry, rules.o2_reference, oxygen)
        return gas.converted_by_excess_air(dry, gas.excess_air(oxygen), rules.excess_air or 1.0)

    # minutes

    def minute(self, start: int, series: Series) -> list[Record]:
        """The records of one minute."""
        records = {
            factor: self._minute_mean(start, factor, samples) for factor, samples in self._standard(series).items()
        }
        if FLOW in records:
            records[FLOW] = _with_volume(records[FLOW])
        return [self._with_zs(self._with_mass(record, records), records) for record in records.values()]

    def _minute_mean(self, start: int, factor: str, samples: Sequence[Sample]) -> Record:
        """(23) Mean of the valid samples; N from 75 % of those that were due, or that came where more did."""
        expected = self.outlet.gas.minute_samples or self.factors.get(factor, PLAIN).expected
        needed = self.outlet.gas.normal_share * max(expected, len(samples))
        mark = self._mark([sample.mark for sample in samples], needed)
        with_value = [sample for sample in samples if sample.value is not None]
        chosen, count = entering(with_value, self.outlet.averaging, mark)
        return minute_record(self.name, factor, start, chosen, count, mark)

    def _with_zs(self, record: Record, records: Mapping[str, Record]) -> Record:
        if record.min is None or record.avg is None or record.max is None or not self._is_pollutant(record.factor):
            return record
        oxygen = _usable(records.get(OXYGEN), record)
        level = oxygen.avg if oxygen else None
        low, middle, high = (self._converted(value, level) for value in (record.min, record.avg, record.max))
        return replace(record, zs_min=low, zs_avg=middle, zs_max=high)

    def _with_mass(self, record: Record, records: Mapping[str, Record]) -> Record:
        """(33) Mean dry concentration × volume, where the volume is standard and dry."""
        ratio = self.factors.get(record.factor, PLAIN).mass_ratio
        flow = _usable(records.get(FLOW), record)
        if ratio is None or record.avg is None or flow is None or flow.cou is None or not self._dry_flow:
            return record
        return replace(record, cou=gas.mass(record.avg, flow.cou, ratio))

    # hours, days, joined minutes

    def period(self, span: Span, below: Below) -> list[Record]:
        """The records of an hour, a day, or joined minutes."""
        records = {factor: self._period(span, factor, parts) for factor, parts in below.items()}
        if span.kind is not Kind.HOUR:
            return list(records.values())
        if FLOW in records:
            records[FLOW] = _with_volume(records[FLOW])
        return [self._with_mass(record, records) for record in records.values()]

    def _period(self, span: Span, factor: str, parts: Sequence[Record]) -> Record:
        mark = self._mark([part.mark for part in parts], self._needed(span))
        chosen = choose(self.outlet, parts, mark, span)
        avg = weighted_mean(chosen.means(), chosen.weights()) if chosen.records else None
        return record_of(self.name, factor, chosen, avg, None if span.kind is Kind.HOUR else _sum(chosen))

    def _mark(self, marks: Sequence[str], needed: float) -> str:
        return gas_mark(marks, needed, self.outlet.precedence, self.outlet.gas.below_share)

    def _needed(self, span: Span) -> float:
        """Valid records that the period needs: 45 minutes (24), 20 hours (25), and 75 % of all."""
        rules = self.outlet.gas
        least = {Kind.MINUTE: 0, Kind.HOUR: rules.hour_minutes, Kind.DAY: rules.day_hours}[span.kind]
        return max(least, rules.normal_share * span.parts)


def _without_value(sample: Sample, factor: str, lacking: str) -> Sample:
    """No value, since one that it is computed from lacks; marked as that one is, unless it has a mark of its
    own.
    """
    return replace(sample, factor=factor, value=None, mark=lacking if sample.mark == NORMAL else sample.mark)


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
