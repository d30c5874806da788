"""Statistics of waste water (HJ 212-2017 Annex D.1): volumes, masses, flow-weighted means; any abnormal value
marks.

A minute's volume is the sum over its valid slots (1, 2); what was not measured is not invented. The mean flow
(5–7) is taken over the valid slots as well: dividing by the whole minute would count a lost poll as
standstill. A mass (8, 9) is the sum over the time in which both concentration and flow are known. Where
instruments are asked at different paces a value stands for its own slot, and the volume of that time weighs
it. Hours and days add volumes and masses of the level below, also of periods that one abnormal sample has
marked: their Cou holds the valid slots only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import fsum

from config.site import Outlet
from edge.measure import water
from edge.measure.marks import Marked, entering, water_mark
from edge.measure.periods import weighted_mean
from edge.measure.rules import PLAIN, FactorRule
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
from edge.values import MINUTE_MS, Record, Sample

FLOW = "w00000"


class Volumes:
    """The volume of any stretch of a minute, from the flow samples that enter it."""

    def __init__(self, samples: Sequence[Sample], slot_ms: int, valid: bool) -> None:
        self.slots = [(s.time, s.time + slot_ms, s.value) for s in samples if s.value is not None]
        self.valid = valid
        self._by_slot = {(begin, end): flow for begin, end, flow in self.slots}

    def between(self, begin: int, end: int) -> float | None:
        """(1) m³ of [begin, end); None where no flow is known in it."""
        flow = self._by_slot.get((begin, end))
        if flow is not None:
            return water.slot_volume(flow, (end - begin) / 1000)
        parts = [
            water.slot_volume(flow, (min(end, slot_end) - max(begin, slot_begin)) / 1000)
            for slot_begin, slot_end, flow in self.slots
            if slot_begin < end and begin < slot_end
        ]
        return fsum(parts) if parts else None

    def total(self) -> float:
        """(2) The minute's volume, m³."""
        return fsum(water.slot_volume(flow, (end - begin) / 1000) for begin, end, flow in self.slots)


class WasteWater:
    """The rules of one waste water outlet."""

    def __init__(self, outlet: Outlet, name: str, factors: Mapping[str, FactorRule]) -> None:
        self.outlet = outlet
        self.name = name
        self.factors = dict(factors)

    def live(self, samples: Sequence[Sample]) -> list[Live]:
        """The samples as they are: waste water has no converted values."""
        return [Live(sample) for sample in samples]

    def has_converted(self, factor: str) -> bool:
        """Waste water has no converted values."""
        return False

    def sentinels(self, records: Iterable[Record]) -> frozenset[str]:
        """None."""
        return frozenset()

    def minute(self, start: int, series: Series) -> list[Record]:
        """The records of one minute."""
        flow = self._volumes(series.get(FLOW, ()))
        return [self._minute(start, factor, samples, flow) for factor, samples in series.items()]

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

    def _volumes(self, samples: Sequence[Sample]) -> Volumes:
        chosen, count, _ = self._entering(samples)
        return Volumes(chosen, self._slot_ms(FLOW, samples), valid=count > 0)

    def _minute(self, start: int, factor: str, samples: Sequence[Sample], flow: Volumes) -> Record:
        chosen, count, mark = self._entering(samples)
        record = minute_record(self.name, factor, start, chosen, count, mark)
        if factor == FLOW:
            return replace(record, cou=flow.total() if chosen else None)
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

    def period(self, span: Span, below: Below) -> list[Record]:
        """The records of an hour, a day, or joined minutes."""
        volumes = {r.start: r.cou for r in below.get(FLOW, ()) if r.cou is not None and r.count > 0}
        return [self._period(span, factor, records, volumes) for factor, records in below.items()]

    def _period(self, span: Span, factor: str, records: Sequence[Record], volumes: Mapping[int, float]) -> Record:
        mark = self._mark(records)
        chosen = choose(self.outlet, records, mark, span)
        weights = [volumes.get(record.start, 0.0) for record in chosen.records] if self.weighs(factor) else []
        if fsum(weights) <= 0:
            weights = chosen.weights()
        avg = weighted_mean(chosen.means(), weights) if chosen.records else None
        return record_of(self.name, factor, chosen, avg, _sum(records, chosen))


def _sum(records: Sequence[Record], chosen: Chosen) -> float | None:
    """(3, 4, 10, 11) Cou of the level below; of what is not valid only where nothing is."""
    valid = [record.cou for record in records if record.cou is not None and record.count > 0]
    parts = valid or [record.cou for record in chosen.records if record.cou is not None]
    return fsum(parts) if parts else None
