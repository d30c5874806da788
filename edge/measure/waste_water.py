"""Statistics of waste water (HJ 212-2017 Annex D.1): volumes, masses, flow-weighted means; any abnormal value
marks.

A minute's volume is the sum over its valid slots (1, 2); what was not measured is not invented. The mean flow
(5–7) is taken over the valid slots as well: dividing by the whole minute would count a lost poll as
standstill. A mass (8, 9) is the sum over the time in which both concentration and flow are known. Where
instruments are asked at different paces a value stands for its own slot, and the volume of that time weighs
it. Hours and days add volumes and masses of the level below, also of periods that one abnormal sample has
marked: their Cou holds the valid slots only.

With `flow_from = "totaliser"` the volumes are differences of its readings, each at the slot of the later one, so
that they add up to what the counter shows. What passed while nothing was read is in Cou once, and in no mean and no
mass: neither flow nor concentration of that time are known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import fsum

from config.site import FLOW, TOTAL, Outlet
from edge.measure import water
from edge.measure.marks import FAULT, NORMAL, NOTHING_CAME, Marked, entering, water_mark
from edge.measure.periods import mean, weighted_mean
from edge.measure.rules import PLAIN, FactorRule, factor_rule
from edge.measure.statistics import (
    Below,
    Chosen,
    Live,
    Series,
    Span,
    choose,
    minute_record,
    numbers,
    record_of,
)
from edge.measure.totaliser import CAUGHT_UP, Change, Passed, Total, Totaliser
from edge.values import MINUTE_MS, Record, Result, Sample


class Volumes:
    """The volume of any stretch of a minute, from the slots (begin, end, m³) that enter it."""

    def __init__(self, slots: Sequence[tuple[int, int, float]], valid: bool) -> None:
        self.slots = slots
        self.valid = valid
        self._by_slot = {(begin, end): volume for begin, end, volume in slots}

    def between(self, begin: int, end: int) -> float | None:
        """(1) m³ of [begin, end); None where no flow is known in it."""
        volume = self._by_slot.get((begin, end))
        if volume is not None:
            return volume
        parts = [
            volume * (min(end, slot_end) - max(begin, slot_begin)) / (slot_end - slot_begin)
            for slot_begin, slot_end, volume in self.slots
            if slot_begin < end and begin < slot_end
        ]
        return fsum(parts) if parts else None

    def total(self) -> float:
        """(2) The minute's volume, m³."""
        return fsum(volume for _, _, volume in self.slots)


class WasteWater:
    """The rules of one waste water outlet."""

    def __init__(self, outlet: Outlet, name: str, factors: Mapping[str, FactorRule]) -> None:
        self.outlet = outlet
        self.name = name
        self.factors = {factor: rule for factor, rule in factors.items() if rule.total is None}
        self.totaliser = next((Totaliser(rule.total) for rule in factors.values() if rule.total), None)
        self.counts = self.totaliser is not None and outlet.water.flow_from == "totaliser"
        """Whether volumes are differences of the totaliser's readings."""
        self._computes_flow = self.counts and FLOW not in factors
        self._computed: Record | None = None
        self._total_slot_ms = factors[TOTAL].slot_ms if self.totaliser else MINUTE_MS
        if self._computes_flow:
            like = factors[TOTAL]
            self.factors[FLOW] = replace(factor_rule(FLOW), expected=like.expected, slot_ms=like.slot_ms)

    def resume(self, last: Total | None, samples: Sequence[Sample]) -> None:
        """Continue after a restart: the totaliser's last reading that counted, and the samples of sealed minutes."""
        if self.totaliser is not None:
            readings = valid_readings([sample for sample in samples if sample.factor == TOTAL], self.outlet)
            self.totaliser.resume(last, [each for each in readings if last is not None and each.time > last.time])

    def changes(self) -> list[Change]:
        """What happened to the totaliser since the last time."""
        if self.totaliser is None:
            return []
        found, self.totaliser.changes = self.totaliser.changes, []
        return [each for each in found if self.counts or each.code != CAUGHT_UP]

    def live(self, samples: Sequence[Sample]) -> list[Live]:
        """The samples as they are: waste water has no converted values. Where only a totaliser measures the flow, its
        mean of the last minute."""
        shown = [Live(sample) for sample in samples if sample.factor != TOTAL]
        total = next((sample for sample in samples if sample.factor == TOTAL), None)
        if self._computes_flow and total is not None and self._computed is not None:
            value = None if total.value is None else self._computed.avg
            mark = total.mark if value is not None or total.mark != NORMAL else self._computed.mark
            shown.append(Live(Sample(total.time, self.name, FLOW, value, mark)))
        return shown

    def has_converted(self, factor: str) -> bool:
        """Waste water has no converted values."""
        return False

    def sentinels(self, records: Iterable[Record]) -> frozenset[str]:
        """None."""
        return frozenset()

    def minute(self, start: int, series: Series) -> list[Record]:
        """The records of one minute."""
        readings = series.get(TOTAL, ())
        passed = self._passed(readings)
        flow = self._counted(passed, readings) if self.counts else self._integrated(series.get(FLOW, ()))
        records = []
        for factor, samples in series.items():
            if factor == FLOW or (factor == TOTAL and self.counts and FLOW not in series):
                records.append(self._flow(start, series, flow, passed))
            elif factor != TOTAL:
                records.append(self._minute(start, factor, samples, flow))
        return records

    def _entering(self, samples: Sequence[Sample]) -> tuple[list[Sample], int, str]:
        mark = self._mark(samples)
        with_value = [sample for sample in samples if sample.value is not None]
        return *entering(with_value, self.outlet.averaging, mark), mark

    def _mark(self, values: Sequence[Marked]) -> str:
        return water_mark([one.mark for one in values], self.outlet.precedence, self.outlet.water.normal_share)

    def _slot_ms(self, factor: str, samples: Sequence[Sample]) -> int:
        """How long a sample of this minute stands for: never more together than the minute is long."""
        slot = self.factors.get(factor, PLAIN).slot_ms
        return min(slot, MINUTE_MS // len(samples)) if samples else slot

    # flow

    def _integrated(self, samples: Sequence[Sample]) -> Volumes:
        chosen, count, _ = self._entering(samples)
        slot = self._slot_ms(FLOW, samples)
        slots = [
            (s.time, s.time + slot, water.slot_volume(s.value, slot / 1000)) for s in chosen if s.value is not None
        ]
        return Volumes(slots, valid=count > 0)

    def _passed(self, readings: Sequence[Sample]) -> list[Passed]:
        """What passed between the readings that count."""
        if self.totaliser is None:
            return []
        return self.totaliser.take(valid_readings(readings, self.outlet))

    def _counted(self, passed: Sequence[Passed], readings: Sequence[Sample]) -> Volumes:
        flowed = [each for each in passed if not each.silent]
        slot = min(self._total_slot_ms, MINUTE_MS // max(1, len(readings)))
        return Volumes([(each.time, each.time + slot, each.volume) for each in flowed], valid=bool(flowed))

    def _flow(self, start: int, series: Series, flow: Volumes, passed: Sequence[Passed]) -> Record:
        samples, readings = series.get(FLOW, ()), series.get(TOTAL, ()) if self.counts else ()
        mark = self._mark([*samples, *readings])
        chosen, count = entering([s for s in samples if s.value is not None], self.outlet.averaging, mark)
        record = minute_record(self.name, FLOW, start, chosen, count, mark)
        if not self.counts:
            record = replace(record, cou=flow.total() if chosen else None)
        else:
            if self._computes_flow:
                record = self._computed = _mean_of(passed, record)
            silent = [each.volume for each in passed if each.silent]
            cou = fsum(each.volume for each in passed) if passed else None
            record = replace(record, cou=cou, caught_up=fsum(silent) if silent else None)
        last = self.totaliser.last if self.totaliser else None
        return record if last is None else replace(record, total=last.value, total_at=last.time)

    # the others

    def _minute(self, start: int, factor: str, samples: Sequence[Sample], flow: Volumes) -> Record:
        chosen, count, mark = self._entering(samples)
        record = minute_record(self.name, factor, start, chosen, count, mark)
        ratio = self.factors.get(factor, PLAIN).mass_ratio
        if ratio is None or not (flow.valid or count == 0):
            return record
        slot = self._slot_ms(factor, samples)
        known = [flow.between(sample.time, sample.time + slot) for sample in chosen]
        values, volumes = numbers(chosen), [volume or 0.0 for volume in known]
        if all(volume is None for volume in known):
            return record
        cou = fsum(water.slot_mass(value, volume, ratio) for value, volume in zip(values, volumes, strict=True))
        return replace(record, cou=cou, avg=weighted_mean(values, volumes) if self.weighs(factor) else record.avg)

    def weighs(self, factor: str) -> bool:
        """Whether a factor's means are weighted by volume."""
        rules = self.outlet.water
        has_mass = self.factors.get(factor, PLAIN).mass_ratio is not None
        return has_mass and rules.mean == "weighted" and factor not in rules.arithmetic

    # hours, days, joined minutes

    def period(self, span: Span, below: Below) -> list[Record]:
        """The records of an hour, a day, or joined minutes."""
        volumes = self.volumes(below)
        return [self._period(span, factor, records, volumes) for factor, records in below.items()]

    def assigned(self, span: Span, factor: str, results: Sequence[Result], below: Below) -> Record:
        """An hour of a batch analyzer's factor: the mean of its results, and their mass with the hour's volume (8).

        Without a result by the deadline: no value, with the mark of its minutes, or D: the analyzer brought nothing.
        """
        mark = self._mark(results)
        chosen, count = entering([r for r in results if r.value is not None], self.outlet.averaging, mark)
        values = [result.value for result in chosen if result.value is not None]
        if not results:
            marks = self._mark(below.get(factor, ()))
            mark = FAULT if marks == NORMAL or not below.get(factor) else marks
        record = Record(self.name, span.kind, factor, span.start, mark=mark)
        if not values:
            return record
        avg = mean(values)
        record = replace(record, min=min(values), avg=avg, max=max(values), count=count)
        volumes, ratio = self.volumes(below), self.factors.get(factor, PLAIN).mass_ratio
        if not volumes or ratio is None:
            return record
        return replace(record, cou=water.slot_mass(avg, fsum(volumes.values()), ratio))

    def volumes(self, below: Below) -> dict[int, float]:
        """The measured volume of each part, m³, without what was only caught up."""
        flows = [r for r in below.get(FLOW, ()) if r.cou is not None and (r.count > 0 or self.counts)]
        return {r.start: r.cou - (r.caught_up or 0.0) for r in flows if r.cou is not None}

    def _period(self, span: Span, factor: str, records: Sequence[Record], volumes: Mapping[int, float]) -> Record:
        mark = self._mark(records)
        chosen = choose(self.outlet, records, mark, span)
        weights = [volumes.get(record.start, 0.0) for record in chosen.records] if self.weighs(factor) else []
        if fsum(weights) <= 0:
            weights = chosen.weights()
        avg = weighted_mean(chosen.means(), weights) if chosen.records else None
        if factor != FLOW:
            return record_of(self.name, factor, chosen, avg, _sum(records, chosen))
        sums = [record.cou for record in records if record.cou is not None]
        cou = (fsum(sums) if sums else None) if self.counts else _sum(records, chosen)
        return _with_totals(record_of(self.name, factor, chosen, avg, cou), records)


def valid_readings(samples: Sequence[Sample], outlet: Outlet) -> list[Total]:
    """The readings of a totaliser that count: those whose mark enters means."""
    return [Total(s.time, s.value) for s in samples if s.value is not None and s.mark in outlet.averaging]


def _mean_of(passed: Sequence[Passed], record: Record) -> Record:
    """(5) The mean flow, L/s, of a minute that only a totaliser has measured: D × 1000 ÷ time; it has no extremes."""
    flowed = [each for each in passed if not each.silent]
    if not flowed:
        return record if record.mark != NORMAL else replace(record, mark=NOTHING_CAME)
    avg = fsum(each.volume for each in flowed) * 1000 / (fsum(each.length_ms for each in flowed) / 1000)
    return replace(record, min=avg, avg=avg, max=avg, count=len(flowed))


def _with_totals(record: Record, parts: Sequence[Record]) -> Record:
    """The totaliser's last reading, and all that was caught up."""
    last = next((part for part in reversed(parts) if part.total is not None), None)
    caught = [part.caught_up for part in parts if part.caught_up is not None]
    record = replace(record, caught_up=fsum(caught)) if caught else record
    return record if last is None else replace(record, total=last.total, total_at=last.total_at)


def _sum(records: Sequence[Record], chosen: Chosen) -> float | None:
    """(3, 4, 10, 11) Cou of the level below; of what is not valid only where nothing is."""
    valid = [record.cou for record in records if record.cou is not None and record.count > 0]
    parts = valid or [record.cou for record in chosen.records if record.cou is not None]
    return fsum(parts) if parts else None
