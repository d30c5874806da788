"""The steps of flue gas (HJ 212-2017 Annex D.2), by the conditions of `flue_gas`, `standard_state` and `converted`.

What is done to each sample (18–22, 29–31) stands in `explain_samples`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum

from config.site import ZS_CHANNEL
from edge.measure import gas
from edge.measure.cases import ANNEX, Case, Step, entered, entering_step, extremes_step, listed, marked, stated
from edge.measure.explain_samples import sample_steps
from edge.measure.flue_gas import FlueGas
from edge.measure.marks import entering, gas_mark
from edge.measure.periods import mean
from edge.measure.rules import PLAIN
from edge.measure.standard_state import (
    DYNAMIC_PRESSURE,
    FLOW,
    HUMIDITY,
    NO,
    NO2,
    OXYGEN,
    PRESSURE,
    TEMPERATURE,
    VELOCITY,
)
from edge.measure.statistics import numbers
from edge.values import Kind, Record, Sample

_MARKS = "HJ 212-2017 Table 8"
_MEAN = {Kind.MINUTE: 23, Kind.HOUR: 24, Kind.DAY: 25}
_CONDITIONS = (TEMPERATURE, PRESSURE, HUMIDITY)


def _rules(case: Case) -> FlueGas:
    return FlueGas(case.plan.outlet, case.plan.name, case.plan.measured)


# what enters


def roles(case: Case) -> dict[str, str]:
    """Flow of a mass, oxygen of a conversion, conditions of the dry standard state, sources of what is computed."""
    rules, factor = _rules(case), case.plan.factor
    found: dict[str, str] = {}
    if _has_mass(case, rules):
        found[FLOW] = "flow"
    if _zs_is_made(case, rules) and rules.conversion.way(None) == "unknown":
        found[OXYGEN] = "oxygen"
    if case.kind is Kind.MINUTE:
        for one in (factor, *found):
            found |= _sources(rules, one)
        if rules.zs_source(factor) == "from-point":
            found[factor + ZS_CHANNEL] = "delivered"
    return {one: role for one, role in found.items() if case.values(one)}


def _sources(rules: FlueGas, factor: str) -> dict[str, str]:
    """What one factor's samples are computed and converted with."""
    state, found = rules.state, dict.fromkeys(rules.state.conditions_of(factor), "condition")
    source = state.source_of(factor)
    if source is None:
        return found
    found |= {source: "source", **_sources(rules, source)}
    if source == NO:
        found |= {NO2: "source", **_sources(rules, NO2)}
    if source == DYNAMIC_PRESSURE or (source == VELOCITY and state.dry_flow):
        found |= dict.fromkeys(_CONDITIONS[: 2 if source == DYNAMIC_PRESSURE else 3], "condition")
    return found


def _has_mass(case: Case, rules: FlueGas) -> bool:
    ratio = rules.factors.get(case.plan.factor, PLAIN).mass_ratio
    return ratio is not None and case.kind is not Kind.DAY and rules.state.dry_flow


def _zs_is_made(case: Case, rules: FlueGas) -> bool:
    """Whether this period's converted values are computed from its means."""
    if rules.zs_source(case.plan.factor) != "computed":
        return False
    return case.kind is Kind.MINUTE or (case.kind is Kind.HOUR and case.plan.outlet.gas.zs_on == "mean")


# steps


def steps(case: Case) -> list[Step]:
    """From samples or records to the record."""
    rules, made, factor = _rules(case), case.made, case.plan.factor
    assert made is not None
    values: Sequence[Sample | Record] = case.values(factor)
    found: list[Step] = []
    if case.kind is Kind.MINUTE:
        own = {name: samples for name, samples in case.samples.items() if not name.endswith(ZS_CHANNEL)}
        standard = rules.state.of(own)
        values = standard.get(factor, ())
        needed = rules.needed_samples(factor, len(values))
        found += sample_steps(case, rules.state, own, standard)
    else:
        needed = rules.needed(case.span)
    marks = [one.mark for one in values]
    mark = gas_mark(marks, needed, case.plan.outlet.precedence, case.plan.outlet.gas.below_share)
    chosen, count = entered(case, values, mark)
    found += [marked(_mark_step(case, marks, needed, mark), mark, made), entering_step(case, chosen, count, mark)]
    if made.avg is None or not chosen:
        return found
    found += [extremes_step(made), _mean_step(case, chosen, made)]
    return [*found, *_zs_steps(case, rules, made), *_cou_steps(case, rules, chosen, made)]


def _mark_step(case: Case, marks: Sequence[str], needed: float, mark: str) -> Step:
    normal, share = marks.count("N"), case.plan.outlet.gas.normal_share * 100
    params = {"normal": normal, "came": len(marks), "needed": needed, "share": share, "others": listed(marks)}
    if not marks:
        return Step("explain.mark-nothing", {"mark": mark}, _MARKS)
    if mark == "N":
        return Step("explain.mark-gas", {**params, "mark": mark}, _MARKS)
    if normal:
        return Step("explain.mark-gas-too-few", {**params, "mark": mark}, _MARKS)
    return Step("explain.mark-gas-none", {**params, "mark": mark}, _MARKS)


def _mean_step(case: Case, chosen: Sequence[Sample | Record], made: Record) -> Step:
    found = [one.value if isinstance(one, Sample) else one.avg for one in chosen]
    values = [value for value in found if value is not None]
    unit = _rules(case).factors.get(case.plan.factor, case.plan.rule).unit
    params = {"sum": fsum(values), "count": len(values), "result": made.avg, "unit": unit}
    return stated(Step("explain.mean", params, f"{ANNEX}.2 ({_MEAN[case.kind]})", mean(values)), made.avg)


# converted values


def _zs_steps(case: Case, rules: FlueGas, made: Record) -> list[Step]:
    source = rules.zs_source(case.plan.factor)
    if source == "from-point" and case.kind is Kind.MINUTE:
        delivered = [one for one in case.samples.get(case.plan.factor + ZS_CHANNEL, ()) if one.value is not None]
        values = numbers(entering(delivered, case.plan.outlet.averaging, made.mark)[0])
        if made.zs_avg is None or not values:
            return [Step("explain.zs-not-delivered")]
        params = {"sum": fsum(values), "count": len(values), "result": made.zs_avg}
        return [stated(Step("explain.zs-delivered", params, "", mean(values)), made.zs_avg)]
    if _zs_is_made(case, rules):
        return [_converted_step(case, rules, made)]
    return [] if source == "none" or made.zs_avg is None else [_zs_mean_step(case, made)]


def _converted_step(case: Case, rules: FlueGas, made: Record) -> Step:
    oxygen = case.records.get(OXYGEN)
    level = oxygen.avg if oxygen is not None and (oxygen.count > 0 or made.count == 0) else None
    settings, dry = case.plan.outlet.gas, made.avg or 0.0
    params = {"value": dry, "oxygen": level, "result": made.zs_avg}
    match rules.conversion.way(level):
        case "by-oxygen":
            step = Step("explain.zs-oxygen", {**params, "reference": settings.o2_reference}, f"{ANNEX}.2 (28)")
        case "by-excess-air":
            alpha = gas.excess_air(level or 0.0)
            more = {"alpha": alpha, "standard": settings.excess_air}
            step = Step("explain.zs-excess-air", {**params, **more}, f"{ANNEX}.2 (26, 27)")
        case "as-measured" if rules.conversion.is_beyond(level):
            step = Step("explain.zs-beyond", {**params, "limit": settings.o2_limit})
        case "as-measured":
            step = Step("explain.zs-none-set", params, f"{ANNEX}.2")
        case "unknown":
            return Step("explain.zs-no-oxygen")
        case _:
            return Step("explain.zs-omitted", {"oxygen": level, "limit": settings.o2_limit})
    return stated(Step(step.code, step.params, step.clause, rules.conversion.value(dry, level)), made.zs_avg)


def _zs_mean_step(case: Case, made: Record) -> Step:
    values = [one.zs_avg for one in entered(case, case.parts[case.plan.factor], made.mark)[0] if one.zs_avg is not None]
    params = {"sum": fsum(values), "count": len(values), "result": made.zs_avg}
    return stated(Step("explain.zs-mean", params, "", mean(values) if values else None), made.zs_avg)


# volume and mass


def _cou_steps(case: Case, rules: FlueGas, chosen: Sequence[Sample | Record], made: Record) -> list[Step]:
    if made.cou is None:
        return []
    if case.kind is Kind.DAY:
        parts = [one.cou for one in chosen if isinstance(one, Record) and one.cou is not None]
        clause, unit = ("(32)", "m³") if case.plan.factor == FLOW else ("(34)", _emission_unit(case, rules))
        params = {"count": len(parts), "result": made.cou, "unit": unit}
        return [stated(Step("explain.sum", params, f"{ANNEX}.2 {clause}", fsum(parts)), made.cou)]
    seconds = case.kind.ms / 1000
    if case.plan.factor == FLOW:
        volume = (made.avg or 0.0) * seconds
        params = {"value": made.avg, "seconds": seconds, "result": made.cou}
        return [stated(Step("explain.gas-volume", params, f"{ANNEX}.2 (30)", volume), made.cou)]
    flow, ratio = case.records.get(FLOW), rules.factors.get(case.plan.factor, PLAIN).mass_ratio
    if flow is None or flow.cou is None or ratio is None:
        return [Step("explain.by-the-rules", {"result": made.cou}, result=made.cou)]
    mass = gas.mass(made.avg or 0.0, flow.cou, ratio)
    params = {"value": made.avg, "volume": flow.cou, "ratio": ratio, "result": made.cou}
    step = Step("explain.gas-mass", {**params, "unit": _emission_unit(case, rules)}, f"{ANNEX}.2 (33)", mass)
    return [stated(step, made.cou)]


def _emission_unit(case: Case, rules: FlueGas) -> str | None:
    return rules.factors.get(case.plan.factor, PLAIN).emission_unit
