"""What is wrong with how numbers go on the wire: units that a platform wants, fewer decimals than the table's."""

from __future__ import annotations

from collections.abc import Iterator

from config.lines import Path
from config.merge import Merged
from config.problem import Problem
from config.site import Site
from protocol import factors, units
from protocol.errors import ProtocolError


def numbers(site: Site, merged: Merged) -> Iterator[Problem]:
    """All findings about units and decimals on the wire."""
    for name, platform in site.platforms.items():
        for code, unit in platform.units.items():
            yield from _unit(merged, ("platforms", name, "units", code), code, unit)
    for name, outlet in site.outlets.items():
        for code, decimals in outlet.decimals.items():
            yield from _decimals(merged, ("outlets", name, "decimals", code), code, decimals)
    for name, instrument in site.instruments.items():
        for index, point in enumerate(instrument.points):
            if point.decimals is not None:
                where: Path = ("instruments", name, "points", index, "decimals")
                yield from _decimals(merged, where, point.factor, point.decimals)


def _unit(merged: Merged, where: Path, code: str, unit: str) -> Iterator[Problem]:
    row = factors.factor(code)
    if row is None:
        yield merged.problem(where, "config.units-factor", got=code, nearest=factors.nearest(code) or "–")
        return
    try:
        units.ratio(row.unit, unit)
    except ProtocolError:
        yield merged.problem(where, "config.unit", got=unit, factor=code, allowed=row.unit)


def _decimals(merged: Merged, where: Path, code: str, decimals: int) -> Iterator[Problem]:
    row = factors.factor(code)
    if row is not None and row.decimals is not None and decimals < row.decimals:
        yield merged.problem(where, "config.decimals", True, got=decimals, factor=code, allowed=row.decimals)
