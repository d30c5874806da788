"""What is wrong with derived points and switches: formulas with their column, points that do not exist, thresholds."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from config.formula import FormulaError, parse
from config.lines import Path
from config.merge import Merged
from config.problem import Problem, listed, nearest, shown
from config.site import Outlet, Site
from config.switches import Derived


def derived(site: Site, merged: Merged) -> Iterator[Problem]:
    """All findings in the derived points of all outlets."""
    for name, outlet in site.outlets.items():
        points = [point for one in site.instruments.values() for point in one.points if point.outlet == name]
        yield from _of_outlet(merged, ("outlets", name), outlet, [point.factor for point in points])


def _of_outlet(merged: Merged, outlet_path: Path, outlet: Outlet, points: list[str]) -> Iterator[Problem]:
    known = list(points)
    for index, one in enumerate(outlet.derived):
        path = (*outlet_path, "derived", index)
        if one.factor in known:
            yield merged.problem((*path, "factor"), "config.derived-twice", got=one.factor)
        if (one.formula is None) == (one.value is None):
            yield merged.problem(path, "config.derived-one")
        if one.formula is not None:
            yield from _formula(merged, (*path, "formula"), one, known)
        known.append(one.factor)


def _formula(merged: Merged, path: Path, one: Derived, known: list[str]) -> Iterator[Problem]:
    """`known`: what can be used: the outlet's points, and the derived points above this one."""
    try:
        formula = parse(one.formula or "")
    except FormulaError as error:
        yield merged.problem(path, error.code, column=error.column, got=error.got or "–", formula=one.formula)
        return
    for factor, column in formula.places.items():
        if factor not in known:
            yield _unknown(merged, path, "config.formula.factor", factor, known, column=column)
    if not formula.places:
        yield merged.problem(path, "config.formula.constant", True, formula=one.formula)


def switches(site: Site, merged: Merged) -> Iterator[Problem]:
    """All findings in the stop switches of the outlets and in the maintenance switches."""
    for name, outlet in site.outlets.items():
        if outlet.stop is not None:
            path: Path = ("outlets", name, "stop")
            yield from _switch(site, merged, path, outlet.stop.point)
            if outlet.stop.stopped == outlet.stop.running:
                yield merged.problem((*path, "running"), "config.switch-levels", got=shown(outlet.stop.running))
    for index, switch in enumerate(site.maintenance.switches):
        path = ("maintenance", "switches", index)
        yield from _switch(site, merged, path, switch.point)
        if switch.on == switch.off:
            yield merged.problem((*path, "off"), "config.switch-levels", got=shown(switch.off))
        for instrument in switch.instruments:
            if instrument not in site.instruments:
                where = (*path, "instruments")
                yield _unknown(merged, where, "config.unknown-instrument", instrument, site.instruments)


def contacts(site: Site, merged: Merged) -> Iterator[Problem]:
    """All findings in the contacts of the station room."""
    owners: dict[str, str] = {}
    for index, contact in enumerate(site.contacts):
        path: Path = ("contacts", index)
        yield from _switch(site, merged, path, contact.point)
        if contact.on == contact.off:
            yield merged.problem((*path, "off"), "config.switch-levels", got=shown(contact.off))
        if owners.setdefault(contact.point, merged.key(path)) != merged.key(path):
            yield merged.problem((*path, "point"), "config.contact-twice", got=contact.point)


def _switch(site: Site, merged: Merged, path: Path, point: str) -> Iterator[Problem]:
    """A switch is read from an instrument: a derived point is a computation, not an observation."""
    known = [f"{each.outlet}/{each.factor}" for one in site.instruments.values() for each in one.points]
    if point not in known:
        yield _unknown(merged, (*path, "point"), "config.unknown-point", point, known)


def _unknown(merged: Merged, path: Path, code: str, got: str, known: Collection[str], **more: Any) -> Problem:
    return merged.problem(path, code, got=got, nearest=nearest(got, known) or "–", allowed=listed(known), **more)
