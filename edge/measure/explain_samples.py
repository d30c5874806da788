"""What is done to each sample of a stack (HJ 212-2017 Annex D.2, equations 18–21, 29–31), by the conditions of
`standard_state`: shown with the numbers of the first sample that has a value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from edge.measure import gas
from edge.measure.cases import ANNEX, Case, Step, same, stated
from edge.measure.standard_state import (
    FLOW,
    HUMIDITY,
    NO,
    NO2,
    PRESSURE,
    TEMPERATURE,
    VELOCITY,
    Conditions,
    Held,
    StandardState,
)
from edge.values import Sample
from protocol.factors import molar_mass

Series = Mapping[str, Sequence[Sample]]
_PA = 1000


def sample_steps(case: Case, state: StandardState, own: Series, standard: Series) -> list[Step]:
    """From what the instrument said (`own`) to dry standard state (`standard`); [] where nothing is done to it."""
    found = [Step("explain.volume-share", {}, f"{ANNEX}.2 (20)")] if case.plan.rule.is_volume_share else []
    factor, source = case.plan.factor, state.source_of(case.plan.factor)
    first = next((one for one in standard.get(factor, ()) if one.value is not None), None)
    came = own.get(factor, ()) if source is None else standard.get(source, ())
    raw = next((one for one in came if first is not None and one.time == first.time), None)
    if first is None or raw is None or raw.value is None:
        return found
    one = _First(case, state, standard, state.conditions(own), raw.time, raw.value)
    steps = one.steps(state.conditions_of(factor))
    if steps and not same(steps[-1].result, first.value):
        return [*found, stated(steps[-1], first.value)]
    return found + steps


class _Around(NamedTuple):
    """Ambient and static pressure, Pa, and temperature, °C, in the order of the formulas."""

    ambient: float
    static: float
    celsius: float


@dataclass(frozen=True, slots=True)
class _First:
    """The first sample, as it came."""

    case: Case
    state: StandardState
    standard: Series
    conditions: Conditions
    time: int
    value: float

    def steps(self, needed: Sequence[str]) -> list[Step]:
        """`needed`: conditions of a measured factor."""
        factor = self.case.plan.factor
        if self.state.source_of(factor) is not None:
            return {VELOCITY: self._velocity, FLOW: self._flow}.get(factor, self._nox)()
        if factor == FLOW and needed:
            return [self._dry_flow(self.value, self._humidity() if HUMIDITY in needed else 0.0)]
        found, value = [], self.value
        if TEMPERATURE in needed:
            found.append(self._to_standard())
            value = found[-1].result or 0.0
        if HUMIDITY in needed:
            dry = gas.to_dry(value, self._humidity())
            params = {"value": value, "humidity": self._humidity(), "result": dry}
            found.append(Step("explain.to-dry", params, f"{ANNEX}.2 (19)", dry))
        return found

    def _to_standard(self) -> Step:
        around = self._around()
        result = gas.to_standard(self.value, *around)
        return Step(
            "explain.to-standard",
            {"value": self.value, **around._asdict(), "result": result},
            f"{ANNEX}.2 (18)",
            result,
        )

    def _velocity(self) -> list[Step]:
        rules, pressure = self.case.plan.outlet.gas, self.value * _PA
        density = gas.density(rules.gas_density, *self._around())
        result = gas.pitot_velocity(rules.pitot or 0.0, pressure, density)
        params = {"kp": rules.pitot, "pressure": pressure, "density": density, "result": result}
        return [Step("explain.pitot", params, "", result)]

    def _flow(self) -> list[Step]:
        rules = self.case.plan.outlet.gas
        velocity = gas.mean_velocity(rules.kv, self.value)
        flow = gas.hourly_flow(rules.area or 0.0, velocity) / 3600
        params = {"kv": rules.kv, "value": self.value, "velocity": velocity, "area": rules.area, "result": flow}
        step = Step("explain.duct-flow", params, f"{ANNEX}.2 (29, 30)", flow)
        return [step, self._dry_flow(flow, self._humidity())] if self.state.dry_flow else [step]

    def _dry_flow(self, actual: float, humidity: float) -> Step:
        around = self._around()
        result = gas.to_standard_dry(actual, *around, humidity)
        params = {"value": actual, **around._asdict(), "humidity": humidity, "result": result}
        return Step("explain.dry-flow", params, f"{ANNEX}.2 (31)", result)

    def _nox(self) -> list[Step]:
        no2 = Held(self.standard.get(NO2, ()), self.case.plan.outlet.averaging, (-inf, inf)).at(self.time) or 0.0
        no_mass, no2_mass = (self.state.factors[one].molar_mass or molar_mass(one) or 0.0 for one in (NO, NO2))
        result = gas.nox_from_mass(self.value, no2, no_mass, no2_mass)
        params = {"no": self.value, "no2": no2, "m_no": no_mass, "m_no2": no2_mass, "result": result}
        return [Step("explain.nox", params, f"{ANNEX}.2 (21)", result)]

    def _around(self) -> _Around:
        static, celsius = (self.conditions.value(factor, self.time) for factor in (PRESSURE, TEMPERATURE))
        return _Around(self.case.plan.outlet.gas.ambient_pressure * _PA, static * _PA, celsius)

    def _humidity(self) -> float:
        return self.conditions.value(HUMIDITY, self.time) / 100
