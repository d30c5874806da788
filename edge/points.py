"""What `hj212 status` says of points: the newest value of each, under the mark that counts (keys: docs/json.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from config.site import TOTAL, Outlet
from edge.catalogue import LANGUAGES, text
from edge.measure.rules import VOLUME_UNIT
from edge.measuring import Measuring
from edge.report import when
from edge.values import Sample
from protocol.equipment import is_equipment, state_name
from protocol.factors import factor


class _Point(NamedTuple):
    """A point or derived point with its newest sample."""

    instrument: str
    """Empty: a derived point."""
    outlet: str
    factor: str
    channel: str
    """What its samples are called."""
    name: str | None
    """As the site file calls it; None: not at all."""
    unit: str | None
    sample: Sample | None


def points(measuring: Measuring, outlets: Mapping[str, Outlet]) -> list[dict[str, Any]]:
    """Newest value of every point and derived point."""
    found = []
    for point in _points(measuring, outlets):
        sample = point.sample
        total = measuring.engines[point.outlet].hour_total if point.channel == TOTAL else None
        sampled = measuring.acquirer.sampled_at(point.outlet).get(point.channel)
        found.append(
            {
                "outlet": point.outlet,
                "factor": point.channel,
                **_names(point),
                "instrument": point.instrument,
                "value": sample.value if sample else None,
                "unit": _unit(point),
                "state": state_name(point.factor, sample.value if sample else None),
                "mark": sample.mark if sample else None,
                "time": when(sample.time if sample else None),
                "sample_time": when(sampled),
                "hour_total": total.value if total else None,
                "hour_total_at": when(total.time if total else None),
            }
        )
    return found


def _points(measuring: Measuring, outlets: Mapping[str, Outlet]) -> list[_Point]:
    """Everything that has samples."""
    found = [
        _Point(name, one.outlet, one.factor, one.channel, one.name, one.unit, now)
        for name, one, now in measuring.acquirer.points()
    ]
    for name, outlet in outlets.items():
        newest = measuring.derived.latest(name, [one.sample for one in found if one.outlet == name and one.sample])
        values = {sample.factor: sample for sample in newest}
        found += [
            _Point("", name, one.factor, one.factor, None, one.unit, values.get(one.factor)) for one in outlet.derived
        ]
    return [one._replace(sample=one.sample and measuring.engines[one.outlet].manual.on(one.sample)) for one in found]


def _names(point: _Point) -> dict[str, str]:
    if point.channel == TOTAL:
        return {f"name_{language}": text("cli.totaliser", language) for language in LANGUAGES}
    known = factor(point.factor, point.unit)
    return {
        "name_zh": point.name or (known.name_zh if known else point.factor),
        "name_en": point.name or (known.name_en if known else point.factor),
    }


def _unit(point: _Point) -> str | None:
    if point.channel == TOTAL:
        return VOLUME_UNIT
    known = factor(point.factor, point.unit)
    return known.unit if known else None if is_equipment(point.factor) else point.unit
