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
from config.site import FLOW, Basis, Instrument, Point, Site, Zs
from config.switches import Derived
from edge.measure.totaliser import TotalRule
from edge.values import MINUTE_MS, SLOT_MS
from protocol.equipment import is_equipment
from protocol.factors import factor as table_row
from protocol.factors import factors, wire_decimals
from protocol.units import convert, is_volume_share, ratio

# grams of one m³ at concentration 1, as powers of ten: 1 mg/L = 1 g/m³
_CONCENTRATIONS = {"mg/L": 0, "µg/L": -3, "ng/L": -6, "g/m³": 0, "mg/m³": -3, "µg/m³": -6, "ng/m³": -9}
_MASSES = {"kg": 3, "g": 0, "mg": -3}
VOLUME_UNIT = "m³"
FAILED_POLLS = 3
"""As many lost polls in a row are silence, where they take longer than the instrument's `silence`."""
RANGE_SHARE = 2.0
"""More than this, as a share of the flow's range, no flow can be."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """An hour gets the results that were sampled in it: `cycle_ms` apart, waited for `deadline_ms` after its end."""

    cycle_ms: int
    deadline_ms: int


@dataclass(frozen=True, slots=True)
class FactorRule:
    """One factor of an outlet.

    `unit` is the unit of its samples, `emission_unit` that of Cou (None: it has none). `expected` is how many
    samples a minute should bring; 0: fewer than one, so that a minute without any is nothing unusual.
    `slot_ms` is how long one sample stands for: T of equation 1. `holds_ms`: so long a value stands where no newer
    one has come; one value then makes a minute. `basis`, `zs`, `molar_mass`: as the point says. `total`: the samples
    are a totaliser's readings. `assigned`: hours are made of results, not of samples.
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
    total: TotalRule | None = None
    assigned: Assignment | None = None

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
    rules = {
        point.channel: _rule_of(site, point, instrument)
        for instrument in site.instruments.values()
        for point in instrument.points
        if point.outlet == outlet and not point.internal
    }
    derived = {one.factor: factor_rule(one.factor, one.unit, every) for one, every in derived_of(site, outlet)}
    return rules | derived


def decimals_of(site: Site, outlet: str) -> Mapping[str, int]:
    """Decimals on the wire by factor, where its code alone does not tell: set at the outlet, or at the point, which
    wins; or a code with two meanings.
    """
    points = (point for point, _ in points_of(site, outlet) if point.channel == point.factor)
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


def _rule_of(site: Site, point: Point, instrument: Instrument) -> FactorRule:
    if point.kind == "total":
        return _total(site, point, instrument)
    rule = point_rule(point, instrument.every)
    is_late = point.batch == "assigned"
    return replace(rule, assigned=Assignment(point.cycle, point.result_deadline)) if is_late else rule


def silence_of(instrument: Instrument) -> int:
    """Without an answer for this long, ms, an instrument is silent: B is only for real silence (Table 8)."""
    return max(instrument.silence, FAILED_POLLS * instrument.every)


def _total(site: Site, point: Point, instrument: Instrument) -> FactorRule:
    per_unit, of_unit = ratio(point.unit or VOLUME_UNIT, VOLUME_UNIT)
    m3 = per_unit / of_unit
    rollover = None if point.rollover is None else point.rollover * m3
    most = _range_of_flow(site, point.outlet) if point.max_flow is None else point.max_flow
    rule = TotalRule(silence_of(instrument), most, rollover, abs(point.scale) * m3)
    return FactorRule(VOLUME_UNIT, None, MINUTE_MS // instrument.every, min(instrument.every, MINUTE_MS), total=rule)


def _range_of_flow(site: Site, outlet: str) -> float | None:
    """The largest flow that an outlet's flow meter can mean, L/s."""
    unit = factor_rule(FLOW).unit
    for point, _ in points_of(site, outlet):
        if point.channel == FLOW and point.range is not None:
            return RANGE_SHARE * convert(point.range[1], point.unit or unit, unit)
    return None
