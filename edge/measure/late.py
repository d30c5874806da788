"""Hours and days of factors whose results are assigned: an hour gets what was sampled in it, however late that comes.

    hour ends ─▶ waits: for as many results as were due, for one of a later hour, for the deadline ─▶ sealed by itself
    day ends  ─▶ waits for its hour 23 ─▶ sealed by itself

The hour's other factors are sealed when it ends. What is kept of it meanwhile: the records of the factors that wait,
for their marks, and those of the flow, for the volume.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from config.site import FLOW
from edge.measure.manual import ManualMarks
from edge.measure.periods import Labels
from edge.measure.rules import Assignment
from edge.measure.statistics import Below, Span
from edge.measure.waste_water import WasteWater
from edge.values import DAY_MS, HOUR_MS, SAMPLE, Kind, Record, Result, period_start

KEPT_MS = 3 * DAY_MS
"""Results are kept so long: longer than any hour waits."""
PATIENCE_MS = 120_000
"""After a restart the analyzers are asked before a deadline counts that has passed meanwhile."""


class Late:
    """The assigned factors of one outlet. `missed` collects results that came after their hour was sealed."""

    def __init__(self, factors: Mapping[str, Assignment], rules: WasteWater, manual: Callable[[], ManualMarks]) -> None:
        """`manual`: the marks by hand that hold now."""
        self.factors = factors
        self.missed: list[Result] = []
        self._begins: int | None = None
        self._patient_until: int | None = None
        self._rules = rules
        self._manual = manual
        self._results: dict[str, dict[tuple[int, int], Result]] = {factor: {} for factor in factors}
        self._waiting: dict[Kind, dict[int, dict[str, list[Record]]]] = {Kind.HOUR: {}, Kind.DAY: {}}
        self._sealed = {(kind, factor): Labels() for kind in self._waiting for factor in factors}

    @property
    def longest_ms(self) -> int:
        """How long an hour waits at most."""
        return max(rule.deadline_ms for rule in self.factors.values())

    def resume(self, results: Iterable[Result], since: int) -> None:
        """Continue after a restart with the stored results; hours that ended at or before `since` had no logger that
        waited for them, unless their records say so."""
        self._begins = since
        self.add_results(results)
        self.missed.clear()

    def sealed_are(self, records: Iterable[Record]) -> None:
        """These hours and days are stored already."""
        for record in records:
            if record.factor in self.factors:
                self._sealed[record.kind, record.factor].add(record.start, record.start + record.kind.ms)

    def add_results(self, results: Iterable[Result]) -> None:
        """What batch analyzers brought, in any order; only samples are data."""
        for result in results:
            if result.factor not in self.factors or result.kind != SAMPLE:
                continue
            if period_start(result.sampled, HOUR_MS) in self._sealed[Kind.HOUR, result.factor]:
                self.missed.append(result)
            self._results[result.factor][result.sampled, result.seen] = result

    def keep(self, kind: Kind, start: int, below: Below) -> None:
        """The records that an ended hour or day has of these factors, and of the flow."""
        for factor, records in below.items():
            is_open = factor in self.factors and start not in self._sealed[kind, factor]
            if is_open or factor == FLOW:
                self._waiting[kind].setdefault(start, {}).setdefault(factor, []).extend(records)

    def seal(self, now_ms: int, until: int) -> list[Record]:
        """The hours and days that need not wait any longer, of those that end at or before `until`."""
        if self._patient_until is None:
            self._patient_until = now_ms if self._begins is None else now_ms + PATIENCE_MS
            self._begins = now_ms if self._begins is None else self._begins
        self._await_sampled(until)
        hours = self._seal(Kind.HOUR, now_ms, until)
        for hour in hours:
            self.keep(Kind.DAY, period_start(hour.start, DAY_MS), {hour.factor: [hour]})
        for results in self._results.values():
            for key in [key for key in results if key[0] < until - KEPT_MS]:
                del results[key]
        return hours + self._seal(Kind.DAY, now_ms, until)

    def _await_sampled(self, until: int) -> None:
        """An hour that this logger did not live through may have a result all the same."""
        for factor, results in self._results.items():
            for start in {period_start(sampled, HOUR_MS) for sampled, _ in results}:
                is_past = self._begins is not None and self._begins < start + HOUR_MS <= until
                if is_past and start not in self._sealed[Kind.HOUR, factor]:
                    self._waiting[Kind.HOUR].setdefault(start, {}).setdefault(factor, [])

    def _seal(self, kind: Kind, now_ms: int, until: int) -> list[Record]:
        records: list[Record] = []
        for start, below in sorted(self._waiting[kind].items()):
            if start + kind.ms > until:
                continue
            for factor in [factor for factor in self.factors if factor in below]:
                if self._is_complete(kind, factor, start, now_ms):
                    records.append(self._record(kind, factor, start, below))
                    self._sealed[kind, factor].add(start, start + kind.ms)
                    del below[factor]
            if not any(factor in below for factor in self.factors) and self._is_over(kind, start, now_ms):
                del self._waiting[kind][start]
        return records

    def _is_over(self, kind: Kind, start: int, now_ms: int) -> bool:
        """Nothing more can come that needs this period's flow."""
        return now_ms >= start + kind.ms + self.longest_ms

    def _is_complete(self, kind: Kind, factor: str, start: int, now_ms: int) -> bool:
        end = start + kind.ms
        rule = self.factors[factor]
        if now_ms >= max(end + rule.deadline_ms, self._patient_until or 0):
            return True
        if kind is Kind.DAY:
            hours = [hour for hour, below in self._waiting[Kind.HOUR].items() if factor in below]
            return end - HOUR_MS in self._sealed[Kind.HOUR, factor] and not any(start <= hour < end for hour in hours)
        due = max(1, HOUR_MS // rule.cycle_ms)
        return len(self._sampled(factor, start)) >= due or any(at >= end for at, _ in self._results[factor])

    def _sampled(self, factor: str, start: int) -> Sequence[Result]:
        manual, found = self._manual(), self._results[factor].items()
        return [
            replace(result, mark=manual.within(factor, at, at + 1) or result.mark)
            for (at, _), result in sorted(found)
            if start <= at < start + HOUR_MS
        ]

    def _record(self, kind: Kind, factor: str, start: int, below: Below) -> Record:
        span = Span(kind, start, DAY_MS // HOUR_MS)
        if kind is Kind.HOUR:
            return self._rules.assigned(span, factor, self._sampled(factor, start), below)
        hours = sorted(below[factor], key=lambda record: record.start)
        (record,) = (r for r in self._rules.period(span, {**below, factor: hours}) if r.factor == factor)
        return record
