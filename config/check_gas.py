"""What is wrong with the flue gas of a site: converted values, volume shares, and what the formulas need besides.

Without temperature, pressure or humidity a value that must be brought to the dry standard state has none; that is no
reason to refuse the file (the instrument may come next week), and too important to say nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from config.lines import Path
from config.merge import Merged
from config.problem import Problem, listed, shown
from config.site import Basis, Outlet, Point, Site
from protocol import factors, units

Placed = tuple[Path, Point]
_FLOW, _OXYGEN, _VELOCITY, _DYNAMIC = "a00000", "a19001", "a01011", "a01017"
_TO_STANDARD = ("a01012", "a01013")
_TO_DRY = ("a01014",)


def gas(site: Site, merged: Merged) -> Iterator[Problem]:
    """All findings about flue gas."""
    points: dict[str, list[Placed]] = {name: [] for name in site.outlets}
    for name, instrument in site.instruments.items():
        for index, point in enumerate(instrument.points):
            where: Path = ("instruments", name, "points", index)
            yield from _share(merged, where, point)
            points.setdefault(point.outlet, []).append((where, point))
    for name, outlet in site.outlets.items():
        yield from _converted(merged, outlet, points[name])
        if outlet.statistics == "gas":
            yield from _conditions(merged, ("outlets", name), outlet, points[name])


def is_share_of_gas(point: Point) -> bool:
    """Whether a point reads a volume share (ppm) of a factor that is a mass concentration in gas."""
    rows = factors.factors(point.factor)
    is_gas = any(units.convertible("mg/m³", row.unit) and row.unit.endswith("m³") for row in rows)
    return is_gas and point.unit is not None and units.is_volume_share(point.unit)


def _share(merged: Merged, where: Path, point: Point) -> Iterator[Problem]:
    if is_share_of_gas(point) and point.molar_mass is None and factors.molar_mass(point.factor) is None:
        yield merged.problem((*where, "unit"), "config.molar-mass", got=shown(point.unit), factor=point.factor)


def _converted(merged: Merged, outlet: Outlet, points: list[Placed]) -> Iterator[Problem]:
    values = {point.factor: point for _, point in points if point.quantity == "value"}
    converted = {point.factor for _, point in points if point.quantity == "zs"}
    for where, point in points:
        if outlet.statistics != "gas" and (point.quantity == "zs" or point.zs is not None):
            key = "quantity" if point.quantity == "zs" else "zs"
            yield merged.problem((*where, key), "config.zs-gas")
        elif point.quantity == "zs" and point.factor not in values:
            yield merged.problem((*where, "quantity"), "config.zs-alone", factor=point.factor)
        elif point.quantity == "zs" and values[point.factor].zs in ("computed", "none"):
            got = shown(values[point.factor].zs)
            yield merged.problem((*where, "quantity"), "config.zs-unused", True, factor=point.factor, got=got)
        elif point.zs == "from-point" and point.factor not in converted:
            yield merged.problem((*where, "zs"), "config.zs-no-point", factor=point.factor)


def _conditions(merged: Merged, path: Path, outlet: Outlet, points: list[Placed]) -> Iterator[Problem]:
    """What the formulas will miss."""
    measured = {point.factor for _, point in points if point.quantity == "value"}
    for where, point in points:
        missing = [code for code in _needed(outlet, point) if code not in measured]
        if missing:
            problem = "config.no-conditions"
            got = shown(point.basis or outlet.gas.basis)
            yield merged.problem(where, problem, True, factor=point.factor, got=got, missing=listed(missing))
    yield from _pitot(merged, path, outlet, measured)
    rules = outlet.gas
    converts = [point for _, point in points if _is_concentration(point) and point.zs in (None, "computed")]
    delivered = {point.factor for _, point in points if point.quantity == "zs"}
    if (rules.o2_reference or rules.excess_air) and _OXYGEN not in measured:
        lacking = [point.factor for point in converts if point.factor not in delivered]
        if lacking:
            yield merged.problem((*path, "gas"), "config.no-oxygen", True, factors=listed(lacking))


def _pitot(merged: Merged, path: Path, outlet: Outlet, measured: set[str]) -> Iterator[Problem]:
    if outlet.gas.pitot is None:
        return
    where = (*path, "gas", "pitot")
    missing = [code for code in (_DYNAMIC, *_TO_STANDARD) if code not in measured]
    if _VELOCITY in measured:
        yield merged.problem(where, "config.pitot-unused", True)
    elif missing:
        yield merged.problem(where, "config.no-pitot", True, missing=listed(missing))


def _is_concentration(point: Point) -> bool:
    row = factors.factor(point.factor)
    return point.quantity == "value" and row is not None and row.unit.endswith("g/m³")


def _needed(outlet: Outlet, point: Point) -> tuple[str, ...]:
    """The factors without which a point's values cannot be brought to the dry standard state."""
    basis: Basis = point.basis or ("standard-dry" if point.factor == _FLOW else outlet.gas.basis)
    is_oxygen = point.factor == _OXYGEN
    if basis == "standard-dry" or not (_is_concentration(point) or is_oxygen or point.factor == _FLOW):
        return ()
    hot = () if is_oxygen or is_share_of_gas(point) else _TO_STANDARD
    return hot + (_TO_DRY if basis == "actual-wet" else ())
