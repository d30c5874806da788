"""How one platform gets the numbers of one outlet: decimals, units, converted values that there are not, widths.

A number that is wider than the table's format is sent whole, since a cut one would be another number; it is said once
(event), so that somebody looks at the unit or the range.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edge.measure.engine import Engine
from edge.measure.statistics import Live
from edge.measure.wire import (
    MASS_DECIMALS,
    ZS_REALTIME,
    ZS_STATISTICS,
    Wire,
    is_flow,
    record_wire,
    sample_wire,
    wire_code,
    with_largest,
    without_converted,
)
from edge.uplink.terms import Terms
from edge.values import Record
from protocol.factors import factor, wire_decimals
from protocol.upload import Units

OnEvent = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Numbers:
    """`decimals`: by factor, where the site file sets them."""

    terms: Terms
    engine: Engine
    decimals: Mapping[str, int]
    on_event: OnEvent

    @property
    def units(self) -> Units:
        """The units that this platform wants."""
        return tuple(self.terms.site.units.items())

    def record(self, record: Record, last: float | None, is_sentinel: bool) -> Wire:
        """A record's place in an upload; `is_sentinel`: its converted values are the largest number there is."""
        self._look_at_width(record.factor, record.max, record.zs_max)
        decimals = self._decimals(record.factor)
        wanted = self.terms.site.mass_decimals
        of_mass = MASS_DECIMALS if wanted is None else wanted
        wire = record_wire(record, decimals, self.terms.site.absent, last, of_mass)
        if wanted is None or is_flow(record.factor):
            wire = self._with_sum(wire, record.factor)
        return self._with_zs(wire, record.factor, ZS_STATISTICS if is_sentinel else (), record.avg is None)

    def sample(self, live: Live, last: float | None) -> Wire:
        """A realtime value's place."""
        sample = live.sample
        self._look_at_width(sample.factor, sample.value, live.zs)
        wire = sample_wire(sample, self._decimals(sample.factor), self.terms.site.absent, last, live.zs)
        return self._with_zs(wire, sample.factor, ZS_REALTIME if live.sentinel else (), sample.value is None)

    def _with_sum(self, wire: Wire, code: str) -> Wire:
        """The same with as many decimals of the sum as the edition has."""
        name, decimals = wire.slots[0] if wire.slots else ("", 0)
        if name != "Cou" or not isinstance(decimals, int):
            return wire
        kept = self.terms.edition.sum_decimals(code, wire.values[0], decimals)
        return wire if kept == decimals else Wire(((name, kept), *wire.slots[1:]), wire.values)

    def _decimals(self, code: str) -> int:
        own = wire_code(code)
        return wire_decimals(own, self.decimals.get(own))

    def _with_zs(self, wire: Wire, code: str, sentinels: tuple[str, ...], is_absent: bool) -> Wire:
        if sentinels:
            return with_largest(wire, code, sentinels)
        return without_converted(wire) if is_absent and not self.engine.has_converted(code) else wire

    def _look_at_width(self, code: str, *values: float | None) -> None:
        row = factor(code)
        wide = [value for value in values if row is not None and value is not None and row.is_wider(value)]
        if wide and row is not None:
            params = {"outlet": self.terms.outlet, "factor": code, "value": f"{wide[0]:.7g}"}
            self.on_event("edge.value-wide", {**params, "format": f"N{row.integers}.{row.decimals or 0}"})
