"""Records and samples as they are uploaded: attributes and numbers of one factor (HJ 212-2017 Table 4, Annex C.16).

    Cou,Min,Avg,Max[,ZsMin,ZsAvg,ZsMax],Flag        Rtd[,ZsRtd],Flag        of equipment: RT        RS
                                                                            of noise: Data, DayData, NightData   Rtd

A number that is not there is left out, since an empty attribute breaks parsers; what stands for a factor
without any value is the platform's `absent`. Units are the table's and do not travel.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from edge.measure.marks import NORMAL, NOTHING_CAME
from edge.measure.rules import factor_rule
from edge.measure.sound_levels import OF_MINUTES
from edge.values import Kind, Record, Sample
from protocol.equipment import RUNTIME_DECIMALS, is_equipment
from protocol.factors import factor as table_row
from protocol.region import number
from protocol.times import time_text
from protocol.upload import Slot

Absent = Literal["zero", "last", "flag-only", "omit"]
Fields = list[tuple[str, str]]

MASS_DECIMALS = 6
VOLUME_DECIMALS = 3
_FLOWS = ("w00000", "a00000")
_LEVELS = frozenset({"LA", "L5", "L10", "L50", "L90", "L95", "Leq", "Ldn", "Ld", "Ln", "LMx", "LMn"})
_NOISE_DATA = {"": "Data", "Day": "DayData", "Night": "NightData"}


class Wire(NamedTuple):
    """One factor's place in an upload: its attributes, and a number for each of them that has one."""

    slots: tuple[Slot, ...]
    values: tuple[float, ...]

    def fields(self) -> Fields:
        """The attributes with their texts."""
        numbers = iter(self.values)
        return [(name, what if isinstance(what, str) else number(next(numbers), what)) for name, what in self.slots]


ZS_REALTIME, ZS_STATISTICS = ("ZsRtd",), ("ZsMin", "ZsAvg", "ZsMax")
NOTHING = Wire((), ())
"""The factor is left out."""


def _wire(numbers: Iterable[tuple[str, float | None, int]], mark: str) -> Wire:
    there = [(name, value, decimals) for name, value, decimals in numbers if value is not None]
    slots: list[Slot] = [(name, decimals) for name, _, decimals in there]
    return Wire((*slots, ("Flag", mark)), tuple(value for _, value, _ in there))


def record_wire(
    record: Record, decimals: int, absent: Absent, last: float | None, mass_decimals: int = MASS_DECIMALS
) -> Wire:
    """A record's place; `last`: the last known mean, for `absent = "last"`. NOTHING: leave the factor out."""
    if OF_MINUTES in record.factor:  # for `derive` alone
        return NOTHING
    if is_noise(record.factor):
        return _noise(_NOISE_DATA[record.factor.partition("-")[2]], record.avg, record.mark, decimals)
    if record.avg is None:
        return _without_value(record, decimals, absent, last, mass_decimals)
    numbers = [
        ("Cou", record.cou, VOLUME_DECIMALS if record.factor in _FLOWS else mass_decimals),
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
    if is_noise(sample.factor):
        return _noise("Rtd", value, mark, decimals)
    if value is None:
        mark = _abnormal(mark)
        if absent == "omit":
            return NOTHING
        value = 0.0 if absent == "zero" else last if absent == "last" else None
        zs = 0.0 if absent == "zero" and _has_zs(sample.factor) else None
    return _wire([("Rtd", value, decimals), ("ZsRtd", zs, decimals)], mark)


def is_flow(factor: str) -> bool:
    """Whether the sum of this factor is a volume."""
    return factor in _FLOWS


def is_noise(factor: str) -> bool:
    """Whether this is a level of Table B.3, also one of a day's day or night (`L5-Day`)."""
    return factor.partition("-")[0] in _LEVELS


def wire_code(factor: str) -> str:
    """The code under which a record goes on the wire."""
    return factor.partition("-")[0] if is_noise(factor) else factor


def _noise(attribute: str, value: float | None, mark: str, decimals: int) -> Wire:
    """Packets of noise have no marks (C.25–C.28): what is not valid must not be in them."""
    return NOTHING if value is None or mark != NORMAL else Wire(((attribute, decimals),), (value,))


def with_sample_time(wire: Wire, sampled_at: int | None) -> Wire:
    """A realtime value's place with the time when a batch analyzer drew the sample (Table 4)."""
    if sampled_at is None:
        return wire
    return Wire((("SampleTime", time_text(sampled_at)), *wire.slots), wire.values)


def wire_fields(record: Record, decimals: int, absent: Absent, last: float | None) -> Fields:
    """A record's fields as texts; empty: leave the factor out."""
    if is_equipment(record.factor):
        hours = runtime_text(record)
        return [] if hours is None else [("RT", hours)]
    return record_wire(record, decimals, absent, last).fields()


def state_text(sample: Sample) -> str | None:
    """RS of a sample of equipment; None: its state is not known, and RS has no mark that could say so."""
    return None if sample.value is None else f"{sample.value:.0f}"


def runtime_text(record: Record) -> str | None:
    """RT of a day's record of equipment; None: nothing is known of the day, or it is no day."""
    if record.kind is not Kind.DAY or record.cou is None:
        return None
    return number(record.cou, RUNTIME_DECIMALS)


def with_largest(wire: Wire, factor: str, names: Iterable[str]) -> Wire:
    """The same with the largest number of the factor's format as converted value, before its flag.

    A text, since it is the same in whatever unit the platform wants its numbers.
    """
    row = table_row(factor)
    if wire is NOTHING or row is None or row.largest is None:
        return wire
    slots: list[Slot] = [(name, number(row.largest, row.decimals or 0)) for name in names]
    return Wire((*wire.slots[:-1], *slots, wire.slots[-1]), wire.values)


def without_converted(wire: Wire) -> Wire:
    """The same without the zeros that stand for converted values, for a factor that has none at its outlet."""
    if wire is NOTHING:
        return wire
    numbers = [name for name, what in wire.slots if not isinstance(what, str)]
    kept = [value for name, value in zip(numbers, wire.values, strict=True) if not name.startswith("Zs")]
    return Wire(tuple(slot for slot in wire.slots if not slot[0].startswith("Zs")), tuple(kept))


def _without_value(record: Record, decimals: int, absent: Absent, last: float | None, mass_decimals: int) -> Wire:
    mark = _abnormal(record.mark)
    if absent == "omit" and record.cou is None:
        return NOTHING
    sums = [("Cou", record.cou, VOLUME_DECIMALS)] if record.cou is not None else []
    shown = 0.0 if absent == "zero" else last
    if absent in ("flag-only", "omit") or shown is None:
        return _wire(sums, mark)
    means = [(name, shown, decimals) for name in ("Min", "Avg", "Max")]
    converted = absent == "zero" and _has_zs(record.factor)
    zeros = [(name, 0.0, decimals) for name in ZS_STATISTICS] if converted else []
    return _wire([*(sums or _no_sum(record.factor, mass_decimals)), *means, *zeros], mark)


def _no_sum(factor: str, mass_decimals: int) -> list[tuple[str, float, int]]:
    """Cou of a period that measured nothing, for a factor that has one."""
    if factor in _FLOWS:
        return [("Cou", 0.0, VOLUME_DECIMALS)]
    return [("Cou", 0.0, mass_decimals)] if factor_rule(factor).mass_ratio is not None else []


def _has_zs(factor: str) -> bool:
    return factor.startswith("a") and factor_rule(factor).mass_ratio is not None


def _abnormal(mark: str) -> str:
    """Never N without a value."""
    return NOTHING_CAME if mark == NORMAL else mark
