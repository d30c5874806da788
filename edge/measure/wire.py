"""Records and samples as edition 2017 sends them: attributes and texts of one factor (HJ 212-2017 Table 4,
Annex C.16).

    Cou,Min,Avg,Max[,ZsMin,ZsAvg,ZsMax],Flag        Rtd[,ZsRtd],Flag

A number that is not there is left out, since an empty attribute breaks parsers; what stands for a factor
without any value is the platform's `absent`. Units are the table's and do not travel.
"""

from __future__ import annotations

from typing import Literal

from edge.measure.marks import NORMAL, NOTHING_CAME
from edge.measure.rules import factor_rule
from edge.values import Record, Sample
from protocol.region import number

Absent = Literal["zero", "last", "flag-only", "omit"]
Fields = list[tuple[str, str]]

MASS_DECIMALS = 6
VOLUME_DECIMALS = 3
_FLOWS = ("w00000", "a00000")


def wire_fields(record: Record, decimals: int, absent: Absent, last: float | None) -> Fields:
    """A record's fields; `last`: the last known mean, for `absent = "last"`. Empty: leave the factor out."""
    if record.avg is None:
        return _without_value(record, decimals, absent, last)
    cou_decimals = VOLUME_DECIMALS if record.factor in _FLOWS else MASS_DECIMALS
    values = [
        ("Cou", record.cou, cou_decimals),
        ("Min", record.min, decimals),
        ("Avg", record.avg, decimals),
        ("Max", record.max, decimals),
        ("ZsMin", record.zs_min, decimals),
        ("ZsAvg", record.zs_avg, decimals),
        ("ZsMax", record.zs_max, decimals),
    ]
    fields = [(name, number(value, places)) for name, value, places in values if value is not None]
    return [*fields, ("Flag", record.mark)]


def realtime_fields(
    sample: Sample, decimals: int, absent: Absent, last: float | None, zs: float | None = None
) -> Fields:
    """A realtime value's fields; `last` is the last known value, for `absent = "last"`."""
    value, mark = sample.value, sample.mark
    if value is None:
        mark = _abnormal(mark)
        if absent == "omit":
            return []
        value = 0.0 if absent == "zero" else last if absent == "last" else None
        zs = 0.0 if absent == "zero" and _has_zs(sample.factor) else None
    fields = [(name, number(shown, decimals)) for name, shown in (("Rtd", value), ("ZsRtd", zs)) if shown is not None]
    return [*fields, ("Flag", mark)]


def _without_value(record: Record, decimals: int, absent: Absent, last: float | None) -> Fields:
    flag = ("Flag", _abnormal(record.mark))
    if absent == "omit":
        return []
    shown = 0.0 if absent == "zero" else last
    if absent == "flag-only" or shown is None:
        return [flag]
    means = [(name, number(shown, decimals)) for name in ("Min", "Avg", "Max")]
    zeros = [(name, number(0.0, decimals)) for name in ("ZsMin", "ZsAvg", "ZsMax") if _has_zs(record.factor)]
    return [*_no_sum(record.factor), *means, *(zeros if absent == "zero" else []), flag]


def _no_sum(factor: str) -> Fields:
    """Cou of a period that measured nothing, for a factor that has one."""
    if factor in _FLOWS:
        return [("Cou", number(0.0, VOLUME_DECIMALS))]
    return [("Cou", number(0.0, MASS_DECIMALS))] if factor_rule(factor).mass_ratio is not None else []


def _has_zs(factor: str) -> bool:
    return factor.startswith("a") and factor_rule(factor).mass_ratio is not None


def _abnormal(mark: str) -> str:
    """Never N without a value."""
    return NOTHING_CAME if mark == NORMAL else mark
