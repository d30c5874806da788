"""A period made again by the rules, to be explained: inputs, results, the steps between. Sans I/O.

    samples, or records below ─ the rules of the outlet ─▶ Case

A step names a formula by the same conditions as the rules do, and is only given where its number is the one that the
rules came to (`stated`); otherwise it is said that the number is the rules' own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isclose
from typing import Any

from config.site import TOTAL, Outlet
from edge.measure.engine import DOUBT_MS, counting, statistics_of
from edge.measure.manual import ManualMarks
from edge.measure.marks import entering
from edge.measure.revise import by_factor
from edge.measure.rules import PLAIN, FactorRule
from edge.measure.sound_levels import INTERVALS, LA, Levels
from edge.measure.statistics import Span
from edge.measure.totaliser import Total
from edge.measure.waste_water import WasteWater
from edge.values import DAY_MS, HOUR_MS, MINUTE_MS, Kind, Record, Sample
from protocol.equipment import is_equipment

PARTS = {Kind.HOUR: HOUR_MS // MINUTE_MS, Kind.DAY: DAY_MS // HOUR_MS}
"""How many records of the level below fill a period."""
ANNEX = "HJ 212-2017 D"
Value = Sample | Record


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the computation: `code` of the catalogue with the numbers that fill it; `clause` of the standard, ''
    where it has none; `result` in the unit that the text names.
    """

    code: str
    params: Mapping[str, Any] = field(default_factory=dict)
    clause: str = ""
    result: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """An outlet and its rules, and the factor in question; `formulas`: derived factor → its inputs."""

    outlet: Outlet
    name: str
    factors: Mapping[str, FactorRule]
    factor: str
    formulas: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def rule(self) -> FactorRule:
        """The rule of the factor in question."""
        return self.factors.get(self.factor, PLAIN)

    @property
    def measured(self) -> dict[str, FactorRule]:
        """The rules without equipment."""
        return {factor: rule for factor, rule in self.factors.items() if not is_equipment(factor)}


@dataclass(frozen=True, slots=True)
class Case:
    """A period made again: `samples` (of a minute) or `parts` (records, of an hour or a day) by factor, as they count;
    `records`: what the rules made of them; `by_hand`: marks set by hand over samples of the factor in question.
    """

    plan: Plan
    kind: Kind
    start: int
    records: Mapping[str, Record]
    samples: Mapping[str, Sequence[Sample]] = field(default_factory=dict)
    parts: Mapping[str, Sequence[Record]] = field(default_factory=dict)
    by_hand: Mapping[str, int] = field(default_factory=dict)
    total_before: float | None = None
    """What a totaliser showed last before the minute, m³; None: none is known."""

    @property
    def made(self) -> Record | None:
        """The record of the factor in question; None: the rules make none."""
        return self.records.get(self.plan.factor)

    @property
    def span(self) -> Span:
        """The period, as the rules take it."""
        return Span(self.kind, self.start, PARTS[self.kind])

    def values(self, factor: str) -> Sequence[Value]:
        """What a factor brought."""
        return self.samples.get(factor, ()) if self.kind is Kind.MINUTE else self.parts.get(factor, ())


def reach_ms(plan: Plan) -> int:
    """How far before a minute its samples may lie: values that hold, and longer intervals of noise."""
    intervals = INTERVALS[-1] * MINUTE_MS if LA in plan.factors else 0
    doubt = DOUBT_MS if TOTAL in plan.factors else 0
    return max(intervals, doubt, *(rule.holds_ms for rule in plan.factors.values()), 0)


def minute_case(
    plan: Plan, start: int, stored: Iterable[Sample], manual: ManualMarks, total: Total | None = None
) -> Case:
    """A minute from its samples; `stored` begins `reach_ms` before it; `total`: the totaliser's last reading before it
    that counted.
    """
    rules = statistics_of(plan.outlet, plan.name, plan.factors, levels := Levels())
    stored = list(stored)
    for sample in stored:
        if sample.factor == LA:
            levels.add(sample)
    if isinstance(rules.pollutants, WasteWater):
        rules.pollutants.resume(total, [sample for sample in stored if sample.time < start])
    series = _series(plan, start, stored)
    samples = counting(start, series, manual)
    own = zip(series.get(plan.factor, ()), samples.get(plan.factor, ()), strict=False)
    by_hand = Counter(after.mark for before, after in own if after.mark != before.mark and before.value is not None)
    records = {record.factor: record for record in rules.minute(start, samples)}
    return Case(
        plan, Kind.MINUTE, start, records, samples, by_hand=by_hand, total_before=total.value if total else None
    )


def _series(plan: Plan, start: int, stored: Sequence[Sample]) -> dict[str, list[Sample]]:
    """A minute's samples by factor, as the engine collects them: one that holds its value stands with it."""
    found: dict[str, dict[int, Sample]] = {}
    for sample in stored:
        found.setdefault(sample.factor, {}).setdefault(sample.time, sample)
    series: dict[str, list[Sample]] = {}
    for factor, rule in plan.factors.items():
        times = sorted(found.get(factor, {}))
        here = [found[factor][time] for time in times if start <= time < start + MINUTE_MS]
        before = [time for time in times if start - rule.holds_ms <= time < start]
        if not here and before:
            here = [replace(found[factor][before[-1]], time=start)]
        if here or rule.expected or rule.holds_ms:
            series[factor] = here
    return series


def period_case(plan: Plan, kind: Kind, start: int, below: Iterable[Record], levels: Iterable[Sample] = ()) -> Case:
    """An hour from its minutes, a day from its hours; `levels`: of noise, whose percentiles are made of samples."""
    known = Levels()
    for sample in levels:
        known.add(sample)
    rules = statistics_of(plan.outlet, plan.name, plan.factors, known)
    parts = by_factor(below)
    records = {record.factor: record for record in rules.period(Span(kind, start, PARTS[kind]), parts)}
    return Case(plan, kind, start, records, parts=parts)


# what the steps share


def same(one: Any, other: Any) -> bool:
    """Equal, numbers to 1e-9."""
    if isinstance(one, float | int) and isinstance(other, float | int):
        return isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    return bool(one == other)


def number(value: Value) -> float | None:
    """What a sample, or a record, says."""
    if isinstance(value, Sample):
        return value.value
    return value.cou if is_equipment(value.factor) else value.avg


def stated(step: Step, made: float | None) -> Step:
    """The step, where its result is what the rules came to; else that their number has no formula here."""
    return step if same(step.result, made) else Step("explain.by-the-rules", {"result": made}, result=made)


def marked(step: Step, mark: str, made: Record) -> Step:
    """The step that gives a mark, where it is the mark that the rules came to."""
    return step if mark == made.mark else Step("explain.mark-by-the-rules", {"mark": made.mark})


def entered(case: Case, values: Sequence[Any], mark: str) -> tuple[list[Any], int]:
    """The values with a number that enter a mean, and how many of them are valid."""
    with_number = [one for one in values if number(one) is not None]
    return entering(with_number, case.plan.outlet.averaging, mark)


def entering_step(case: Case, chosen: Sequence[Value], count: int, mark: str) -> Step:
    """Which of the values make the numbers."""
    if count:
        return Step("explain.entering", {"count": count, "marks": " ".join(case.plan.outlet.averaging)})
    if chosen:
        return Step("explain.entering-marked", {"count": len(chosen), "mark": mark})
    return Step("explain.entering-none", {"mark": mark})


def extremes_step(made: Record) -> Step:
    """Smallest and largest."""
    return Step("explain.extremes", {"min": made.min, "max": made.max})


def listed(marks: Iterable[str]) -> str:
    """Abnormal marks with their numbers: `M 3, D 1`."""
    return ", ".join(f"{mark} {n}" for mark, n in sorted(Counter(mark for mark in marks if mark != "N").items())) or "–"
