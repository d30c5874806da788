"""Records and samples as they are uploaded: attributes and numbers of one factor (HJ 212-2017 Table 4, Annex C.16).

    Cou,Min,Avg,Max[,ZsMin,ZsAvg,ZsMax],Flag        Rtd[,ZsRtd],Flag

A number that is not there is left out, since an empty attribute breaks parsers; what stands for a factor
without any value is the platform's `absent`. Units are the table's and do not travel.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from edge.measure.marks import NORMAL, NOTHING_CAME
from edge.measure.rules import factor_rule
from edge.values import Record, Sample
from protocol.region import number
from protocol.times import time_text
from protocol.upload import Slot

Absent = Literal["zero", "last", "flag-only", "omit"]
Fields = list[tuple[str, str]]

MASS_DECIMALS = 6
VOLUME_DECIMALS = 3
_FLOWS = ("w00000", "a00000")


class Wire(NamedTuple):
    """One factor's place in an upload: its attributes, and a number for each of them that has one."""

    slots: tuple[Slot, ...]
    values: tuple[float, ...]

    def fields(self) -> Fields:
        """The attributes with their texts."""
        numbers = iter(self.values)
        return [(name, what if isinstance(what, str) else number(next(numbers), what)) for name, what in self.slots]


NOTHING = Wire((), ())
"""The factor is left out."""


def _wire(numbers: Iterable[tuple[str, float | None, int]], mark: str) -> Wire:
    there = [(name, value, decimals) for name, value, decimals in numbers if value is not None]
    slots: list[Slot] = [(name, decimals) for name, _, decimals in there]
    return Wire((*slots, ("Flag", mark)), tuple(value for _, value, _ in there))


def record_wire(record: Record, decimals: int, absent: Absent, last: float | None) -> Wire:
    """A record's place; `last`: the last known mean, for `absent = "last"`. NOTHING: leave the factor out."""
    if record.avg is None:
        return _without_value(record, decimals, absent, last)
    numbers = [
        ("Cou", record.cou, VOLUME_DECIMALS if record.factor in _FLOWS else MASS_DECIMALS),
        ("Min", record.min, decimals),
        ("Avg", record.avg, decimals),
        ("Max", record.max, decimals),
        ("ZsMin", record.zs_min, decimals),
        ("ZsAvg", record.zs_avg, decimals),
        ("ZsMax", record.zs_max, decimals),
    ]
    return _wire(numbers, record.mark)


def sample_wire(sample: Sample, decimals: int, absent: Absent, last: float | None, zs: float | None = None) -> Wire:
    """A realtime value's place; `last` is the last known value, for `absent = "last"`. NOTHING: leave it out."""
    value, mark = sample.value, sample.mark
    if value is None:
        mark = _abnormal(mark)
        if absent == "omit":
            return NOTHING
        value = 0.0 if absent == "zero" else last if absent == "last" else None
        zs = 0.0 if absent == "zero" and _has_zs(sample.factor) else None
    return _wire([("Rtd", value, decimals), ("ZsRtd", zs, decimals)], mark)


def with_sample_time(wire: Wire, sampled_at: int | None) -> Wire:
    """A realtime value's place with the time when a batch analyzer drew the sample (Table 4)."""
    if sampled_at is None:
        return wire
    return Wire((("SampleTime", time_text(sampled_at)), *wire.slots), wire.values)


def wire_fields(record: Record, decimals: int, absent: Absent, last: float | None) -> Fields:
    """A record's fields as texts; empty: leave the factor out."""
    return record_wire(record, decimals, absent, last).fields()


def _without_value(record: Record, decimals: int, absent: Absent, last: float | None) -> Wire:
    mark = _abnormal(record.mark)
    if absent == "omit" and record.cou is None:
        return NOTHING
    sums = [("Cou", record.cou, VOLUME_DECIMALS)] if record.cou is not None else []
    shown = 0.0 if absent == "zero" else last
    if absent in ("flag-only", "omit") or shown is None:
        return _wire(sums, mark)
    means = [(name, shown, decimals) for name in ("Min", "Avg", "Max")]
    converted = absent == "zero" and _has_zs(record.factor)
    zeros = [(name, 0.0, decimals) for name in ("ZsMin", "ZsAvg", "ZsMax")] if converted else []
    return _wire([*(sums or _no_sum(record.factor)), *means, *zeros], mark)


def _no_sum(factor: str) -> list[tuple[str, float, int]]:
    """Cou of a period that measured nothing, for a factor that has one."""
    if factor in _FLOWS:
        return [("Cou", 0.0, VOLUME_DECIMALS)]
    return [("Cou", 0.0, MASS_DECIMALS)] if factor_rule(factor).mass_ratio is not None else []


def _has_zs(factor: str) -> bool:
    return factor.startswith("a") and factor_rule(factor).mass_ratio is not None


def _abnormal(mark: str) -> str:
    """Never N without a value."""
    return NOTHING_CAME if mark == NORMAL else mark
