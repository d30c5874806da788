"""What the measurement rules know of a factor: its units and how often it is sampled.

The units come from the tables of HJ 212-2017 Annex B; a private code has the unit that its point gives, and
no mass; equipment (`SB1`) has states, which are counted in hours. Mass is concentration × volume; the ratio of
the two units (mg/L and kg: 10⁻³, mg/m³ and kg: 10⁻⁶) is the power of ten in equations 8 and 33.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import lcm

from config.formula import parse
from config.site import Basis, Point, Site, Zs
from config.switches import Derived
from edge.values import MINUTE_MS, SLOT_MS
from protocol.equipment import is_equipment
from protocol.factors import factor as table_row
from protocol.factors import factors, wire_decimals
from protocol.units import is_volume_share

# grams of one m³ at concentration 1, as powers of ten: 1 mg/L = 1 g/m³
_CONCENTRATIONS = {"mg/L": 0, "µg/L": -3, "ng/L": -6, "g/m³": 0, "mg/m³": -3, "µg/m³": -6, "ng/m³": -9}
_MASSES = {"kg": 3, "g": 0, "mg": -3}


@dataclass(frozen=True, slots=True)
class FactorRule:
    """One factor of an outlet.

    `unit` is the unit of its samples, `emission_unit` that of Cou (None: it has none). `expected` is how many
    samples a minute should bring; 0: fewer than one, so that a minute without any is nothing unusual.
    `slot_ms` is how long one sample stands for: T of equation 1. `holds_ms`: so long a value stands where no newer
    one has come; one value then makes a minute. `basis`, `zs`, `molar_mass`: as the point says.
    """

    unit: str
    emission_unit: str | None = None
    expected: int = MINUTE_MS // SLOT_MS
    slot_ms: int = SLOT_MS
    holds_ms: int = 0
    basis: Basis | None = None
    zs: Zs | None = None
    molar_mass: float | None = None
    is_volume_share: bool = False
    """It was measured as a share (ppm), and so is at standard state already."""

    @property
    def is_concentration(self) -> bool:
        """Whether the unit is mass per volume."""
        return self.unit in _CONCENTRATIONS

    @property
    def mass_ratio(self) -> float | None:
        """Emission units in one m³ at concentration 1; None: this factor has no mass."""
        if self.emission_unit not in _MASSES or not self.is_concentration:
            return None
        return float(f"1e{_CONCENTRATIONS[self.unit] - _MASSES[self.emission_unit]}")


PLAIN = FactorRule(unit="1")
"""For a factor that has records but is no longer on the site: means, no mass."""


def factor_rule(code: str, unit: str | None = None, every_ms: int = SLOT_MS, slot_ms: int | None = None) -> FactorRule:
    """The rule of a factor that is sampled every `every_ms`; `unit` counts where the tables have no such code, or
    have it twice.
    """
    row = table_row(code, unit)
    slot = min(slot_ms or every_ms, MINUTE_MS)
    if is_equipment(code):
        return FactorRule("1", "h", MINUTE_MS // every_ms, slot)
    if row is None:
        return FactorRule(unit or "1", None, MINUTE_MS // every_ms, slot)
    return FactorRule(row.unit, row.emission_unit or None, MINUTE_MS // every_ms, slot)


def point_rule(point: Point, every_ms: int, slot_ms: int | None = None) -> FactorRule:
    """The rule of a point's samples."""
    rule = factor_rule(point.factor, point.unit, every_ms, slot_ms)
    return replace(
        rule,
        expected=0 if point.holds else rule.expected,
        slot_ms=MINUTE_MS if point.holds else rule.slot_ms,
        holds_ms=point.holds,
        basis=point.basis,
        zs=point.zs,
        molar_mass=point.molar_mass,
        is_volume_share=rule.is_concentration and point.unit is not None and is_volume_share(point.unit),
    )


def points_of(site: Site, outlet: str) -> Iterable[tuple[Point, int]]:
    """The points of an outlet that are data, each with how often its instrument is asked, ms."""
    return ((point, every) for point, every in _all_points(site, outlet) if not point.internal)


def _all_points(site: Site, outlet: str) -> Iterable[tuple[Point, int]]:
    for instrument in site.instruments.values():
        for point in instrument.points:
            if point.outlet == outlet:
                yield point, instrument.every


def derived_of(site: Site, outlet: str) -> Iterable[tuple[Derived, int]]:
    """The derived points of an outlet, each with how often it has a value, ms: when all its inputs have one.

    A constant has one as often as any point.
    """
    paces = {point.factor: every for point, every in _all_points(site, outlet)}
    shortest = min(paces.values(), default=SLOT_MS)
    for one in site.outlets[outlet].derived:
        inputs = parse(one.formula).factors if one.formula is not None else ()
        paces[one.factor] = lcm(*(paces[name] for name in inputs)) if inputs else shortest
        yield one, paces[one.factor]


def factor_rules(site: Site, outlet: str) -> Mapping[str, FactorRule]:
    """The rules of all of an outlet by the name of the samples, in the order of the file: measured, then derived."""
    derived = {one.factor: factor_rule(one.factor, one.unit, every) for one, every in derived_of(site, outlet)}
    return {point.channel: point_rule(point, every) for point, every in points_of(site, outlet)} | derived


def decimals_of(site: Site, outlet: str) -> Mapping[str, int]:
    """Decimals on the wire by factor, where its code alone does not tell: set at the outlet, or at the point, which
    wins; or a code with two meanings.
    """
    points = (point for point, _ in points_of(site, outlet) if point.quantity == "value")
    of_points = {
        point.factor: wire_decimals(point.factor, point.decimals, point.unit)
        for point in points
        if point.decimals is not None or len(factors(point.factor)) > 1
    }
    of_derived = {
        one.factor: wire_decimals(one.factor, one.decimals, one.unit)
        for one, _ in derived_of(site, outlet)
        if one.decimals is not None or len(factors(one.factor)) > 1
    }
    return {**site.outlets[outlet].decimals, **of_points, **of_derived}
