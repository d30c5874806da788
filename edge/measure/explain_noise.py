"""The steps of noise (ST 23, 36; GB 3096), by the conditions of `sound_levels`; wind and the like as of flue gas.

HJ 212-2017 has no formulas for noise: the steps say how the numbers are made, and `differences` holds them against
the rules.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge.measure import explain_gas, noise
from edge.measure.cases import Case, Step, listed, stated
from edge.measure.sound_levels import DAY, LA, LD, LDN, LEQ, LMN, LMX, LN, NIGHT, OF_MINUTES, PERCENTILES
from edge.values import Kind, Record

_CLAUSE = "GB 3096"


def roles(case: Case) -> dict[str, str]:
    """The level A of a minute; the levels of the parts of longer periods."""
    if not _is_level(case.plan.factor):
        return explain_gas.roles(case)
    if case.kind is Kind.MINUTE:
        return {LA: "level"}
    base = _base(case.plan.factor)
    return {base if base in (LMX, LMN) else LEQ: "level"}


def steps(case: Case) -> list[Step]:
    """From levels to the record."""
    if not _is_level(case.plan.factor):
        return explain_gas.steps(case)
    made = case.made
    assert made is not None
    values = case.samples.get(LA, ()) if case.kind is Kind.MINUTE else case.parts.get(LEQ, ())
    marks = [one.mark for one in values]
    params = {"normal": marks.count("N"), "came": len(marks), "others": listed(marks), "mark": made.mark}
    found = [Step("explain.mark-noise", params)]
    minutes = case.plan.factor.partition(OF_MINUTES)[2]
    if minutes:
        return [
            Step("explain.of-minutes", {"minutes": minutes, "count": made.count}),
            _value(case, made, made.avg or 0.0),
        ]
    if made.avg is None:
        return [*found, Step("explain.entering-none", {"mark": made.mark})]
    return [*found, _value(case, made, made.avg)]


def _is_level(factor: str) -> bool:
    return _base(factor) in (*PERCENTILES, LEQ, LDN, LD, LN, LMX, LMN)


def _base(factor: str) -> str:
    return factor.partition(OF_MINUTES)[0].removesuffix(DAY).removesuffix(NIGHT)


def _value(case: Case, made: Record, value: float) -> Step:
    base = _base(case.plan.factor)
    if base in PERCENTILES:
        return Step("explain.percentile", {"percent": PERCENTILES[base], "result": value}, _CLAUSE, value)
    if base in (LMX, LMN):
        return Step("explain.extreme-level", {"result": value}, _CLAUSE, value)
    if base == LDN:
        return Step("explain.day-night", {"result": value}, _CLAUSE, value)
    step = Step("explain.energy-mean", {"count": made.count, "result": value}, _CLAUSE, value)
    if base == LEQ and case.kind is not Kind.DAY:
        return stated(Step(step.code, step.params, step.clause, _energy_mean(case)), value)
    return step


def _energy_mean(case: Case) -> float | None:
    averaging = case.plan.outlet.averaging
    if case.kind is Kind.MINUTE:
        levels = [one.value for one in case.samples[LA] if one.value is not None and one.mark in averaging]
        return noise.energy_mean(levels) if levels else None
    valid: Sequence[Record] = [one for one in case.parts[LEQ] if one.avg is not None and one.mark in averaging]
    means = [one.avg for one in valid if one.avg is not None]
    return noise.energy_mean(means, [float(one.count) for one in valid]) if means else None
