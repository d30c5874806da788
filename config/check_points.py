"""What is wrong with totalisers and batch analyzers: where they may stand, what they need to give data."""

from __future__ import annotations

from collections.abc import Iterator

from config.batch import sources_of
from config.lines import Path
from config.markers import duration_text
from config.merge import Merged
from config.problem import Problem
from config.site import FLOW, Instrument, Outlet, Point, Site
from drivers.driver import InstrumentSpec, PointSpec
from drivers.errors import BadOption
from protocol import units

VOLUME_UNIT = "m³"
_HOUR_MS = 3_600_000
_LONGEST_EVERY_MS = 240_000
"""Two polls find a result: asked less often it would not be sent within 10 min (HJ 355)."""
_TIME_PARTS = (1, 5, 6)
"""The digits in one place, or year, month, day, hour, minute and second."""
_OF_BATCH = (
    "new_result",
    "ready_states",
    "result_kinds",
    "sampled",
    "completed",
    "clock",
    "state",
    "counter",
    "result_code",
)


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
        yield merged.problem((*path, "unit"), "config.unit", got=point.unit, factor=point.channel, allowed=VOLUME_UNIT)


def _foreign_keys(merged: Merged, path: Path, point: Point) -> Iterator[Problem]:
    for key in ("rollover", "max_flow"):
        if getattr(point, key) is not None:
            yield merged.problem((*path, key), "config.total-only", True, got=key)


def _volumes(site: Site, merged: Merged, name: str, outlet: Outlet) -> Iterator[Problem]:
    here = [point for i in site.instruments.values() for point in i.points if point.outlet == name]
    total = next((point for point in here if point.kind == "total"), None)
    flow = next((point for point in here if point.channel == FLOW), None)
    path: Path = ("outlets", name, "water", "flow_from")
    if outlet.water.flow_from == "integration":
        if total is not None and flow is None:
            yield merged.problem(path, "config.no-flow", factor=FLOW)
    elif total is None:
        yield merged.problem(path, "config.no-total", factor=FLOW)
    elif total.max_flow is None and (flow is None or flow.range is None):
        yield merged.problem(path, "config.no-max-flow", factor=FLOW)


def batches(site: Site, merged: Merged) -> Iterator[Problem]:
    """All findings in points of batch analyzers."""
    for name, instrument in site.instruments.items():
        for index, point in enumerate(instrument.points):
            path: Path = ("instruments", name, "points", index)
            if point.batch is not None:
                yield from _batch(merged, path, instrument, point)
                yield from _assigned(site, merged, path, point)
                yield from _refused(merged, path, instrument, point)
                continue
            for key in _OF_BATCH:
                if getattr(point, key):
                    yield merged.problem((*path, key), "config.batch-only", True, got=key)


def _batch(merged: Merged, path: Path, instrument: Instrument, point: Point) -> Iterator[Problem]:
    needed = {
        "time-register": (point.sampled or point.completed, "sampled"),
        "state": (point.state and point.ready_states, "state, ready_states"),
        "counter": (point.counter, "counter"),
        "change": (True, ""),
        None: (False, "new_result"),
    }
    there, keys = needed[point.new_result]
    if not there or point.kind == "total":
        yield merged.problem((*path, "batch"), "config.batch-needs", got=point.new_result or "–", allowed=keys)
    if point.result_kinds is not None and not (point.result_code or point.state):
        yield merged.problem(
            (*path, "result_kinds"), "config.batch-needs", got="result_kinds", allowed="result_code, state"
        )
    if point.result_code is not None and point.result_kinds is None:
        yield merged.problem((*path, "result_code"), "config.batch-needs", got="result_code", allowed="result_kinds")
    for key in ("sampled", "completed", "clock"):
        if getattr(point, key) and len(getattr(point, key)) not in _TIME_PARTS:
            yield merged.problem((*path, key), "config.time-parts", got=len(getattr(point, key)))
    if instrument.every > _LONGEST_EVERY_MS:
        got, most = duration_text(instrument.every), duration_text(_LONGEST_EVERY_MS)
        yield merged.problem((*path[:2], "every"), "config.batch-every", True, got=got, most=most)


def _assigned(site: Site, merged: Merged, path: Path, point: Point) -> Iterator[Problem]:
    outlet = site.outlets.get(point.outlet)
    if point.batch != "assigned":
        return
    if outlet is not None and outlet.statistics != "water":
        yield merged.problem((*path, "batch"), "config.assigned-water")
    if not point.sampled and not point.analysis:
        yield merged.problem((*path, "batch"), "config.batch-needs", got="assigned", allowed="sampled, analysis")
    if point.cycle > _HOUR_MS:
        yield merged.problem((*path, "cycle"), "config.assigned-cycle", True, got=duration_text(point.cycle))


def _refused(merged: Merged, path: Path, instrument: Instrument, point: Point) -> Iterator[Problem]:
    """What a driver refuses in the places beside the result."""
    driver = merged.drivers.get(str(path[1]))
    for name, place, source in sources_of(point):
        if driver is None or source.options is None:
            continue
        spec = PointSpec(f"{merged.key(path)}.{name}", source.options)
        try:
            driver(InstrumentSpec(str(path[1]), instrument.address, [spec], instrument.options))
        except BadOption as error:
            where = (*path, name, place) if isinstance(getattr(point, name), tuple) else (*path, name)
            yield merged.problem(where, error.code, **error.params)
