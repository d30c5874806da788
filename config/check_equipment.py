"""What is wrong with the points that are equipment (`SB1` … `SB999`): keys that belong elsewhere, thresholds, codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from config.lines import Path
from config.markers import duration_text
from config.merge import Merged
from config.problem import Problem, listed, shown
from config.site import Instrument, Point, Site
from protocol import units
from protocol.equipment import LAST_STATE, STATES, is_equipment

_OF_EQUIPMENT = ("states", "on", "off", "on_for", "off_for")
_OF_MEASUREMENT = ("range", "zero_band", "decimals", "limit", "warn")
_UNITS = ("A", "kW", "1")
"""One of each kind that thresholds may be in: currents, powers, numbers without a unit."""
_DEFAULTS = {field.name: field.default for field in fields(Point)}
_SLOWEST_MS = 60_000
"""A running time is counted minute by minute: each needs a state."""


def equipment(site: Site, merged: Merged) -> Iterator[Problem]:
    """All findings in the points of equipment, and in those that only look like it."""
    for name, instrument in site.instruments.items():
        for index, point in enumerate(instrument.points):
            path: Path = ("instruments", name, "points", index)
            if is_equipment(point.factor):
                yield from _too_slow(merged, name, instrument)
                yield from _equipment(merged, path, point)
            else:
                yield from _misplaced(merged, path, point, _OF_EQUIPMENT, "config.equipment-only")


def _misplaced(merged: Merged, path: Path, point: Point, names: tuple[str, ...], code: str) -> Iterator[Problem]:
    for name in names:
        if _is_set(point, name):
            yield merged.problem((*path, name), code, factor=point.factor, got=name)


def _is_set(point: Point, name: str) -> bool:
    return bool(getattr(point, name) != _DEFAULTS[name])


def _too_slow(merged: Merged, name: str, instrument: Instrument) -> Iterator[Problem]:
    if instrument.every > _SLOWEST_MS:
        got = duration_text(instrument.every)
        yield merged.problem(("instruments", name, "every"), "config.equipment-every", got=got)


def _equipment(merged: Merged, path: Path, point: Point) -> Iterator[Problem]:
    yield from _misplaced(merged, path, point, _OF_MEASUREMENT, "config.equipment-not")
    if point.unit is not None and not any(units.convertible(point.unit, unit) for unit in _UNITS):
        yield merged.problem((*path, "unit"), "config.equipment-unit", got=shown(point.unit), allowed=listed(_UNITS))
    if point.states is not None:
        yield from _states(merged, path, point, point.states)
    yield from _thresholds(merged, path, point)


def _states(merged: Merged, path: Path, point: Point, states: dict[str, int]) -> Iterator[Problem]:
    if point.on is not None:
        yield merged.problem((*path, "on"), "config.equipment-either", got="on", other="states")
    for code in sorted(set(states.values()) - STATES.keys()):
        known = listed(f"{number} {name}" for number, name in STATES.items())
        only_unusual = 0 <= code <= LAST_STATE
        yield merged.problem((*path, "states"), "config.equipment-state", only_unusual, got=code, allowed=known)


def _thresholds(merged: Merged, path: Path, point: Point) -> Iterator[Problem]:
    if point.on is None:
        for name in ("off", "on_for", "off_for"):
            if _is_set(point, name):
                yield merged.problem((*path, name), "config.equipment-needs-on", got=name)
    elif point.off is not None and point.off > point.on:
        yield merged.problem((*path, "off"), "config.equipment-off", got=shown(point.off), on=shown(point.on))
