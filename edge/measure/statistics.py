"""What both kinds of outlet share: the shape of the two sets of rules, and the numbers of one set of records.

samples of a minute ──minute()──▶ records ──period()──▶ hour ──period()──▶ day
                                     └──────joined()──▶ a platform's longer minute interval
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from config.site import Outlet
from edge.measure.marks import entering
from edge.measure.periods import mean, weighted_mean
from edge.measure.rules import FactorRule
from edge.values import Kind, Record, Sample

Series = Mapping[str, Sequence[Sample]]
"""Factor → its samples by time; an empty list: samples were due and none came."""
Below = Mapping[str, Sequence[Record]]
"""Factor → its records of the level below, by time."""


@dataclass(frozen=True, slots=True)
class Live:
    """A sample as realtime data show it: standard, dry, and with its converted (折算) value where there is
    one. `sampled_at`: when a batch analyzer drew the sample of which this is the result, UTC ms.
    """

    sample: Sample
    zs: float | None = None
    sentinel: bool = False
    """The platform gets the largest number of the format as converted value, which there is not."""
    sampled_at: int | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """A period that is made from records: `parts` records of the level below fill it.

    `by_count`: means weigh each record by how many values it is made of (minutes joined to a longer
    interval), instead of alike (hours and days, equations 16, 17, 24, 25).
    """

    kind: Kind
    start: int
    parts: int
    by_count: bool = False


class Statistics(Protocol):
    """The rules of one outlet; without state."""

    @property
    def factors(self) -> Mapping[str, FactorRule]:
        """The factors that have records: those that are sampled, and those that are computed from them."""
        ...

    def minute(self, start: int, series: Series) -> list[Record]:
        """The records of one minute."""
        ...

    def period(self, span: Span, below: Below) -> list[Record]:
        """The records of a longer period."""
        ...

    def live(self, samples: Sequence[Sample]) -> list[Live]:
        """The latest sample of each factor as realtime data show it."""
        ...

    def has_converted(self, factor: str) -> bool:
        """Whether a factor has converted (折算) values."""
        ...

    def sentinels(self, records: Iterable[Record]) -> frozenset[str]:
        """Of one period's records those factors for which the platform gets the largest number as converted value."""
        ...


@dataclass(frozen=True, slots=True)
class Chosen:
    """The records that make a period's numbers."""

    records: Sequence[Record]
    mark: str
    count: int
    span: Span

    def means(self) -> list[float]:
        return [record.avg for record in self.records if record.avg is not None]

    def weights(self) -> list[float]:
        """By count, or alike; alike as well where none is valid (all counts are 0)."""
        return [float(record.count) if self.span.by_count else 1.0 for record in self.records]


def choose(outlet: Outlet, records: Sequence[Record], mark: str, span: Span) -> Chosen:
    """The records with values that enter, in a period that bears `mark`."""
    values, count = entering([record for record in records if record.avg is not None], outlet.averaging, mark)
    if span.by_count and count:
        count = sum(record.count for record in values)
    return Chosen(values, mark, count, span)


def record_of(outlet: str, factor: str, chosen: Chosen, avg: float | None, cou: float | None) -> Record:
    """A period's record: extremes of the extremes, the given mean and sum, converted values averaged."""
    lows = [record.min for record in chosen.records if record.min is not None]
    highs = [record.max for record in chosen.records if record.max is not None]
    zs = [
        (record.zs_min, record.zs_avg, record.zs_max, weight)
        for record, weight in zip(chosen.records, chosen.weights(), strict=True)
        if record.zs_min is not None and record.zs_avg is not None and record.zs_max is not None
    ]
    return Record(
        outlet,
        chosen.span.kind,
        factor,
        chosen.span.start,
        min=min(lows, default=None),
        avg=avg,
        max=max(highs, default=None),
        zs_min=min((low for low, _, _, _ in zs), default=None),
        zs_avg=weighted_mean([middle for _, middle, _, _ in zs], [weight for _, _, _, weight in zs]) if zs else None,
        zs_max=max((high for _, _, high, _ in zs), default=None),
        cou=cou,
        count=chosen.count,
        mark=chosen.mark,
    )


def numbers(samples: Sequence[Sample]) -> list[float]:
    """The values of those samples that have one."""
    return [sample.value for sample in samples if sample.value is not None]


def minute_record(outlet: str, factor: str, start: int, samples: Sequence[Sample], count: int, mark: str) -> Record:
    """A minute's record from the samples that enter it: extremes and arithmetic mean."""
    values = numbers(samples)
    if not values:
        return Record(outlet, Kind.MINUTE, factor, start, mark=mark)
    return Record(
        outlet,
        Kind.MINUTE,
        factor,
        start,
        min=min(values),
        avg=mean(values),
        max=max(values),
        count=count,
        mark=mark,
    )
