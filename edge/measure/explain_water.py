"""The steps of waste water (HJ 212-2017 Annex D.1), by the conditions of `waste_water`."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum

from config.site import FLOW, TOTAL
from edge.measure import water
from edge.measure.cases import ANNEX, Case, Step, entered, entering_step, extremes_step, listed, marked, stated
from edge.measure.marks import water_mark
from edge.measure.periods import mean, weighted_mean
from edge.measure.rules import PLAIN
from edge.measure.statistics import numbers
from edge.measure.waste_water import WasteWater
from edge.values import MINUTE_MS, Kind, Record, Sample

_MARKS = "HJ 212-2017 Table 8, C.16–C.18"
_WEIGHTED = {Kind.MINUTE: 12, Kind.HOUR: 13, Kind.DAY: 14}
_ARITHMETIC = {Kind.MINUTE: 15, Kind.HOUR: 16, Kind.DAY: 17}
_FLOW = {Kind.MINUTE: 5, Kind.HOUR: 6, Kind.DAY: 7}
_VOLUME = {Kind.MINUTE: "(1, 2)", Kind.HOUR: "(3)", Kind.DAY: "(4)"}
_MASS = {Kind.MINUTE: "(8, 9)", Kind.HOUR: "(10)", Kind.DAY: "(11)"}


def roles(case: Case) -> dict[str, str]:
    """The flow, where it weighs or makes a mass; the totaliser, where it gives the volumes."""
    plan = case.plan
    rules = _rules(case)
    has_mass = plan.rule.mass_ratio is not None and case.kind is Kind.MINUTE
    needs_flow = rules.weighs(plan.factor) or has_mass
    counter = {TOTAL: "counter"} if rules.counts and (needs_flow or plan.factor == FLOW) and case.values(TOTAL) else {}
    return ({FLOW: "flow"} if needs_flow and case.values(FLOW) else {}) | counter


def _rules(case: Case) -> WasteWater:
    return WasteWater(case.plan.outlet, case.plan.name, case.plan.measured)


def steps(case: Case) -> list[Step]:
    """From samples or records to the record."""
    outlet, made = case.plan.outlet, case.made
    assert made is not None
    if case.plan.factor == FLOW and case.kind is Kind.MINUTE and _rules(case).counts:
        return _counted(case, made)
    values = case.values(case.plan.factor)
    marks = [one.mark for one in values]
    mark = water_mark(marks, outlet.precedence, outlet.water.normal_share)
    chosen, count = entered(case, values, mark)
    found = [
        marked(_mark_step(marks, mark, outlet.water.normal_share), mark, made),
        entering_step(case, chosen, count, mark),
    ]
    if made.avg is None or not chosen:
        return found
    numbered = _minute(case, made, chosen, count) if case.kind is Kind.MINUTE else _period(case, made, chosen)
    return [*found, extremes_step(made), *numbered]


def _mark_step(marks: Sequence[str], mark: str, share: float) -> Step:
    normal = marks.count("N")
    params = {"normal": normal, "came": len(marks), "others": listed(marks), "mark": mark, "share": share * 100}
    if not marks:
        return Step("explain.mark-nothing", {"mark": mark}, _MARKS)
    if mark == "N":
        return Step("explain.mark-water", params, _MARKS)
    return Step("explain.mark-water-abnormal", params, _MARKS)


def _mean(case: Case, values: Sequence[float], made: Record) -> Step:
    total = fsum(values)
    params = {"sum": total, "count": len(values), "result": made.avg, "unit": case.plan.rule.unit}
    if case.plan.factor == FLOW:
        return stated(Step("explain.mean-flow", params, f"{ANNEX}.1 ({_FLOW[case.kind]})", mean(values)), made.avg)
    clause = f"{ANNEX}.1 ({_ARITHMETIC[case.kind]})"
    return stated(Step("explain.mean", params, clause, mean(values)), made.avg)


def _weighted(case: Case, values: Sequence[float], volumes: Sequence[float], made: Record) -> Step:
    """The weighted mean; the arithmetic one where no volume weighs."""
    total = fsum(volumes)
    if total <= 0:
        return _mean(case, values, made)
    loads = fsum(value * volume for value, volume in zip(values, volumes, strict=True))
    params = {"loads": loads, "volume": total, "result": made.avg, "unit": case.plan.rule.unit}
    clause = f"{ANNEX}.1 ({_WEIGHTED[case.kind]})"
    return stated(Step("explain.weighted-mean", params, clause, weighted_mean(values, volumes)), made.avg)


# minutes


def _counted(case: Case, made: Record) -> list[Step]:
    """A minute of the flow whose volume the totaliser gives."""
    found = [Step("explain.mark-by-the-rules", {"mark": made.mark})]
    if made.avg is not None:
        values = numbers(entered(case, case.values(FLOW), made.mark)[0])
        found.append(_mean(case, values, made) if values else Step("explain.by-the-rules", {"result": made.avg}))
    if made.cou is None:
        return found
    if made.total is None or case.total_before is None:
        return [*found, Step("explain.by-the-rules", {"result": made.cou}, result=made.cou)]
    passed = made.total - case.total_before
    params = {"after": made.total, "before": case.total_before, "result": made.cou, "late": made.caught_up or 0.0}
    return [*found, stated(Step("explain.volume-counted", params, f"{ANNEX}.1 (1)", passed), made.cou)]


def _minute(case: Case, made: Record, chosen: Sequence[Sample], count: int) -> list[Step]:
    values = numbers(chosen)
    if case.plan.factor == FLOW:
        return [_mean(case, values, made), _volume_step(case, values, made)]
    rules = _rules(case)
    if rules.counts and made.cou is not None:
        by_counter = Step("explain.by-counter", {"avg": made.avg, "cou": made.cou}, result=made.cou)
        return [by_counter]
    ratio, volumes = case.plan.rule.mass_ratio, None if rules.counts else _volumes(case, chosen, count)
    if ratio is None or volumes is None:
        return [_mean(case, values, made)]
    weighs = rules.weighs(case.plan.factor)
    middle = _weighted(case, values, volumes, made) if weighs else _mean(case, values, made)
    pairs = zip(values, volumes, strict=True)
    cou = fsum(water.slot_mass(value, volume, ratio) for value, volume in pairs)
    loads = fsum(value * volume for value, volume in zip(values, volumes, strict=True))
    params = {"loads": loads, "ratio": ratio, "result": made.cou, "unit": case.plan.rule.emission_unit}
    return [middle, stated(Step("explain.mass", params, f"{ANNEX}.1 {_MASS[case.kind]}", cou), made.cou)]


def _volume_step(case: Case, flows: Sequence[float], made: Record) -> Step:
    slot = _slot_ms(case, FLOW)
    cou = fsum(water.slot_volume(flow, slot / 1000) for flow in flows)
    params = {"sum": fsum(flows), "seconds": slot / 1000, "result": made.cou}
    return stated(Step("explain.volume", params, f"{ANNEX}.1 {_VOLUME[case.kind]}", cou), made.cou)


def _slot_ms(case: Case, factor: str) -> int:
    """How long one sample stands for; `stated` holds it against the rules' result."""
    came = len(case.samples.get(factor, ()))
    slot = case.plan.factors.get(factor, PLAIN).slot_ms
    return min(slot, MINUTE_MS // came) if came else slot


def _volumes(case: Case, chosen: Sequence[Sample], count: int) -> list[float] | None:
    """m³ of each sample's time; None: no flow counts in it."""
    outlet, flow = case.plan.outlet, case.samples.get(FLOW, ())
    mark = water_mark([one.mark for one in flow], outlet.precedence, outlet.water.normal_share)
    known, valid = entered(case, flow, mark)
    if not known or (not valid and count):
        return None
    length, own = _slot_ms(case, FLOW), _slot_ms(case, case.plan.factor)
    found = [[_overlap(one, own, other, length) for other in known] for one in chosen]
    if not any(part is not None for parts in found for part in parts):
        return None
    return [fsum(part for part in parts if part is not None) for parts in found]


def _overlap(one: Sample, own_ms: int, flow: Sample, flow_ms: int) -> float | None:
    """m³ of a flow sample's time that is a concentration's too."""
    common = min(one.time + own_ms, flow.time + flow_ms) - max(one.time, flow.time)
    return water.slot_volume(flow.value, common / 1000) if flow.value is not None and common > 0 else None


# hours and days


def _period(case: Case, made: Record, chosen: Sequence[Record]) -> list[Step]:
    rules = _rules(case)
    values = [one.avg for one in chosen if one.avg is not None]
    if rules.weighs(case.plan.factor):
        flows = rules.volumes(case.parts)
        middle = _weighted(case, values, [flows.get(one.start, 0.0) for one in chosen], made)
    else:
        middle = _mean(case, values, made)
    return [middle] if made.cou is None else [middle, _sum_step(case, chosen, made)]


def _sum_step(case: Case, chosen: Sequence[Record], made: Record) -> Step:
    """Of what is not valid only where nothing is."""
    counts = case.plan.factor == FLOW and _rules(case).counts
    own = case.parts[case.plan.factor]
    valid = [one.cou for one in own if one.cou is not None and (one.count > 0 or counts)]
    parts = valid or [one.cou for one in chosen if one.cou is not None]
    clause = f"{ANNEX}.1 {(_VOLUME if case.plan.factor == FLOW else _MASS)[case.kind]}"
    params = {"count": len(parts), "result": made.cou, "unit": case.plan.rule.emission_unit or "m³"}
    return stated(Step("explain.sum", params, clause, fsum(parts)), made.cou)
