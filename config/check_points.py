"""What is wrong with a totaliser: where it may stand, what it needs for its readings to become volumes."""

from __future__ import annotations

from collections.abc import Iterator

from config.lines import Path
from config.merge import Merged
from config.problem import Problem
from config.site import FLOW, Outlet, Point, Site
from protocol import units

VOLUME_UNIT = "m³"


def totalisers(site: Site, merged: Merged) -> Iterator[Problem]:
    """All findings in points with `kind = "total"`, and in outlets that take their volumes from one."""
    for name, instrument in site.instruments.items():
        for index, point in enumerate(instrument.points):
            path: Path = ("instruments", name, "points", index)
            if point.kind == "total":
                yield from _totaliser(site, merged, path, point)
            else:
                yield from _foreign_keys(merged, path, point)
    for name, outlet in site.outlets.items():
        yield from _volumes(site, merged, name, outlet)


def _totaliser(site: Site, merged: Merged, path: Path, point: Point) -> Iterator[Problem]:
    outlet = site.outlets.get(point.outlet)
    if point.factor != FLOW or (outlet is not None and outlet.statistics != "water"):
        yield merged.problem((*path, "kind"), "config.total-factor", got=point.factor, allowed=FLOW)
    if point.unit is not None and not units.convertible(point.unit, VOLUME_UNIT):
        yield merged.problem((*path, "unit"), "config.unit", got=point.unit, factor=point.code, allowed=VOLUME_UNIT)


def _foreign_keys(merged: Merged, path: Path, point: Point) -> Iterator[Problem]:
    for key in ("rollover", "max_flow"):
        if getattr(point, key) is not None:
            yield merged.problem((*path, key), "config.total-only", True, got=key)


def _volumes(site: Site, merged: Merged, name: str, outlet: Outlet) -> Iterator[Problem]:
    here = [point for i in site.instruments.values() for point in i.points if point.outlet == name]
    total = next((point for point in here if point.kind == "total"), None)
    flow = next((point for point in here if point.code == FLOW), None)
    path: Path = ("outlets", name, "water", "flow_from")
    if outlet.water.flow_from == "integration":
        if total is not None and flow is None:
            yield merged.problem(path, "config.no-flow", factor=FLOW)
    elif total is None:
        yield merged.problem(path, "config.no-total", factor=FLOW)
    elif total.max_flow is None and (flow is None or flow.range is None):
        yield merged.problem(path, "config.no-max-flow", factor=FLOW)
