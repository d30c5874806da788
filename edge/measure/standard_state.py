"""From what a stack's instruments say to standard state and dry, and what is computed from them (18–22, 29–31).

    a01017 ──pitot (29)──▶ a01011 ──Kv, area (29, 30)──▶ a00000, standard and dry (31)
    a21003, a21004 ──(21, 22)──▶ a21002                  each only where the outlet does not measure it
    concentration, oxygen, measured flow ──basis of its point, else the outlet's (18, 19, 31)──▶ standard, dry

A volume share (ppm) has become a mass concentration at standard state before it came here (20); it can still be
wet. An instrument that is asked less often than another stands with its last value of the same minute.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

from config.site import Basis, Outlet
from edge.measure import gas
from edge.measure.marks import FAULT, NORMAL, NOTHING_CAME
from edge.measure.rules import PLAIN, FactorRule, factor_rule
from edge.measure.statistics import Series
from edge.values import Sample
from protocol.factors import is_condition, molar_mass

FLOW, OXYGEN, VELOCITY, DYNAMIC_PRESSURE = "a00000", "a19001", "a01011", "a01017"
TEMPERATURE, PRESSURE, HUMIDITY = "a01012", "a01013", "a01014"
NOX, NO, NO2 = "a21002", "a21003", "a21004"
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
    """What the formulas need besides a value: temperature, pressure, humidity and NO2 of a minute."""

    held: Mapping[str, Held]

    def lacking(self, needed: Sequence[str], time: int) -> str | None:
        """The mark of the first condition that has no value; None: all have."""
        return next((self.held[factor].mark for factor in needed if self.held[factor].at(time) is None), None)

    def value(self, factor: str, time: int) -> float:
        found = self.held[factor].at(time)
        assert found is not None, factor  # `lacking` was asked
        return found


class StandardState:
    """The samples of one outlet at standard state and dry. `factors`: those sampled, then those computed."""

    def __init__(self, outlet: Outlet, sampled: Mapping[str, FactorRule]) -> None:
        self.outlet = outlet
        self.factors = dict(sampled)
        self._computed: list[tuple[str, str, Callable[[Sample, Conditions], Sample]]] = []
        if outlet.gas.pitot is not None:
            self._computes(VELOCITY, [DYNAMIC_PRESSURE], self._velocity)
        if outlet.gas.area:
            self._computes(FLOW, [VELOCITY], self._flow)
        self._computes(NOX, [NO, NO2], self._nox)
        has_conditions = all(factor in sampled for factor in (*_TO_STANDARD, *_TO_DRY))
        self.dry_flow = FLOW in sampled or has_conditions
        """Whether the flow is that of the dry gas at standard state, so that it makes masses (33)."""

    def _computes(self, factor: str, of: Sequence[str], how: Callable[[Sample, Conditions], Sample]) -> None:
        """A factor that the outlet does not measure, but what it is computed from: sample by sample of the first."""
        if factor not in self.factors and all(source in self.factors for source in of):
            like = self.factors[of[0]]
            self.factors[factor] = replace(factor_rule(factor), expected=like.expected, slot_ms=like.slot_ms)
            self._computed.append((factor, of[0], how))

    def of(self, series: Series) -> dict[str, Sequence[Sample]]:
        """The same minute's samples at standard state and dry, and those that are computed from them."""
        conditions = self.conditions(series)
        result: dict[str, Sequence[Sample]] = {
            factor: [self._dry_standard(sample, conditions) for sample in samples] for factor, samples in series.items()
        }
        if NO2 in result and NO in result:
            conditions = Conditions({**conditions.held, NO2: Held(result[NO2], self.outlet.averaging, (-inf, inf))})
        for factor, source, how in self._computed:
            if source in result:
                result[factor] = [how(sample, conditions) for sample in result[source]]
        return result

    def conditions(self, series: Series) -> Conditions:
        """What a minute's samples say of temperature, pressure and humidity."""
        possible = {
            TEMPERATURE: (-gas.ZERO_K, inf),
            PRESSURE: (-self.outlet.gas.ambient_pressure, inf),
            HUMIDITY: (-inf, 100.0),
        }
        marks = self.outlet.averaging
        return Conditions({name: Held(series.get(name, ()), marks, span) for name, span in possible.items()})

    def basis(self, factor: str) -> Basis:
        """What a factor's samples refer to; for one that is no business of the formulas the same as dry standard."""
        rule = self.factors.get(factor, PLAIN)
        if factor == FLOW:
            return rule.basis or "standard-dry"
        # a process condition (工况) may be a concentration too, but not of this stack's gas
        if not (rule.is_concentration or factor == OXYGEN) or is_condition(factor):
            return "standard-dry"
        return rule.basis or self.outlet.gas.basis

    def conditions_of(self, factor: str) -> tuple[str, ...]:
        """The conditions that bring a factor's samples to dry standard state; none: they are not brought there."""
        basis = self.basis(factor)
        if basis == "standard-dry":
            return ()
        is_share = factor == OXYGEN or self.factors[factor].is_volume_share
        return (() if is_share else _TO_STANDARD) + (_TO_DRY if basis == "actual-wet" else ())

    def source_of(self, factor: str) -> str | None:
        """The factor whose samples a factor is computed from; None: it is measured."""
        return next((source for name, source, _ in self._computed if name == factor), None)

    def _dry_standard(self, sample: Sample, conditions: Conditions) -> Sample:
        needed = self.conditions_of(sample.factor)
        if sample.value is None or not needed:
            return sample
        lacking = conditions.lacking(needed, sample.time)
        if lacking is not None:
            return _without_value(sample, sample.factor, lacking)
        humidity = conditions.value(HUMIDITY, sample.time) / 100 if HUMIDITY in needed else 0.0
        if sample.factor == FLOW:
            return replace(sample, value=self._standard_dry_flow(sample.value, sample.time, humidity, conditions))
        value = sample.value
        if TEMPERATURE in needed:
            static, celsius = self._pressure_and_temperature(sample.time, conditions)
            value = gas.to_standard(value, self._ambient_pa(), static, celsius)
        return replace(sample, value=gas.to_dry(value, humidity))

    def _velocity(self, pressure: Sample, conditions: Conditions) -> Sample:
        """a01011, m/s, of the dynamic pressure that a pitot tube shows."""
        lacking = conditions.lacking(_TO_STANDARD, pressure.time)
        if pressure.value is None or lacking is not None:
            return _without_value(pressure, VELOCITY, lacking or pressure.mark)
        rules = self.outlet.gas
        static, celsius = self._pressure_and_temperature(pressure.time, conditions)
        density = gas.density(rules.gas_density, self._ambient_pa(), static, celsius)
        value = gas.pitot_velocity(rules.pitot or 0.0, pressure.value * _PA, density)
        return replace(pressure, factor=VELOCITY, value=value)

    def _flow(self, velocity: Sample, conditions: Conditions) -> Sample:
        """(29–31) a00000, m³/s: standard and dry where the site measures what that needs, else actual and wet."""
        if velocity.value is None:
            return _without_value(velocity, FLOW, velocity.mark)
        rules, time = self.outlet.gas, velocity.time
        flow = gas.hourly_flow(rules.area or 0.0, gas.mean_velocity(rules.kv, velocity.value)) / 3600
        if self.dry_flow:
            lacking = conditions.lacking((*_TO_STANDARD, *_TO_DRY), time)
            if lacking is not None:
                return _without_value(velocity, FLOW, lacking)
            flow = self._standard_dry_flow(flow, time, conditions.value(HUMIDITY, time) / 100, conditions)
        return replace(velocity, factor=FLOW, value=flow)

    def _nox(self, no: Sample, conditions: Conditions) -> Sample:
        """(21) a21002 as NO2; of volume shares this is (22): the molar mass cancels out that of (20)."""
        lacking = conditions.lacking((NO2,), no.time)
        if no.value is None or lacking is not None:
            return _without_value(no, NOX, lacking or no.mark)
        masses = [self.factors[factor].molar_mass or molar_mass(factor) or 0.0 for factor in (NO, NO2)]
        value = gas.nox_from_mass(no.value, conditions.value(NO2, no.time), *masses)
        return replace(no, factor=NOX, value=value)

    def _standard_dry_flow(self, actual: float, time: int, humidity: float, conditions: Conditions) -> float:
        static, celsius = self._pressure_and_temperature(time, conditions)
        return gas.to_standard_dry(actual, self._ambient_pa(), static, celsius, humidity)

    def _pressure_and_temperature(self, time: int, conditions: Conditions) -> tuple[float, float]:
        return conditions.value(PRESSURE, time) * _PA, conditions.value(TEMPERATURE, time)

    def _ambient_pa(self) -> float:
        return self.outlet.gas.ambient_pressure * _PA


def _without_value(sample: Sample, factor: str, lacking: str) -> Sample:
    """No value, since one that it is computed from lacks; marked as that one is, unless it has a mark of its
    own.
    """
    return replace(sample, factor=factor, value=None, mark=lacking if sample.mark == NORMAL else sample.mark)
