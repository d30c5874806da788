"""The steps of treatment equipment (HJ 212-2017 Table 4, SBx-RT): hours of running, as `equipment` counts."""

from __future__ import annotations

from math import fsum

from edge.measure.cases import Case, Step, listed, marked, stated
from edge.measure.marks import water_mark
from edge.values import HOUR_MS, MINUTE_MS, Kind
from protocol.equipment import RUNNING

_CLAUSE = "HJ 212-2017 Table 4"


def steps(case: Case) -> list[Step]:
    """From states, or hours below, to hours of running."""
    made, values = case.made, case.values(case.plan.factor)
    assert made is not None
    marks = [one.mark for one in values]
    mark = water_mark(marks, case.plan.outlet.precedence)
    params = {"others": listed(marks), "came": len(marks), "mark": mark}
    found = [marked(Step("explain.mark-equipment", params), mark, made)]
    if made.cou is None:
        return [*found, Step("explain.entering-none", {"mark": mark})]
    return [*found, _minute(case, made.cou) if case.kind is Kind.MINUTE else _period(case, made.cou)]


def _minute(case: Case, made: float) -> Step:
    samples, averaging = case.samples[case.plan.factor], case.plan.outlet.averaging
    known = [one.value for one in samples if one.value is not None and one.mark in averaging]
    slot, running = min(case.plan.rule.slot_ms, MINUTE_MS // len(samples)), known.count(RUNNING)
    params = {"running": running, "count": len(known), "seconds": slot / 1000, "result": made}
    return stated(Step("explain.running", params, _CLAUSE, running * slot / HOUR_MS), made)


def _period(case: Case, made: float) -> Step:
    hours = [one.cou for one in case.parts[case.plan.factor] if one.cou is not None]
    params = {"count": len(hours), "result": made, "unit": "h"}
    return stated(Step("explain.sum", params, _CLAUSE, fsum(hours)), made)
