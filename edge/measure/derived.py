"""Derived points: factors that are computed from others of the same outlet, slot by slot, and constants.

    inputs of a slot ── all there ──▶ formula ──▶ Sample, mark = the strongest of the inputs' marks
    constant ── with the slot's first sample ──▶ Sample, mark S

An input without a value, or a formula without a result, gives no value. A slot in which an input never comes has
no derived sample, as it has none of that input.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from config.formula import Formula, parse
from config.site import Site
from config.switches import Derived as Declared
from edge.measure.marks import FAULT, NORMAL, strongest
from edge.values import Sample
from protocol.factors import factor as table_row
from protocol.units import convert

BY_HAND = "S"
SLOTS = 256
"""Slots that are remembered until the slowest input is in."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """One derived point, ready to be computed; `formula` None: a constant."""

    declared: Declared
    outlet: str
    precedence: Sequence[str]
    formula: Formula | None

    @classmethod
    def of(cls, declared: Declared, outlet: str, precedence: Sequence[str]) -> _Rule:
        formula = None if declared.formula is None else parse(declared.formula)
        return cls(declared, outlet, precedence, formula)

    @property
    def inputs(self) -> tuple[str, ...]:
        return () if self.formula is None else self.formula.factors

    def sample(self, time: int, slot: dict[str, Sample]) -> Sample:
        """The derived sample; all inputs are in the slot."""
        if self.formula is None:
            return self._sample(time, self.declared.value, BY_HAND)
        inputs = [slot[name] for name in self.inputs]
        mark = strongest((one.mark for one in inputs), self.precedence)
        values = {one.factor: one.value for one in inputs if one.value is not None}
        if len(values) < len(inputs):
            return self._sample(time, None, FAULT if mark == NORMAL else mark)
        result = self.formula.value(values)
        return self._sample(time, result, FAULT if result is None and mark == NORMAL else mark)

    def _sample(self, time: int, value: float | None, mark: str) -> Sample:
        row, unit = table_row(self.declared.factor), self.declared.unit
        if value is not None and row is not None and unit is not None:
            value = convert(value, unit, row.unit)
        return Sample(time, self.outlet, self.declared.factor, value, mark)


class DerivedPoints:
    """All derived points of a site."""

    def __init__(self, site: Site) -> None:
        self._rules = {
            name: [_Rule.of(one, name, outlet.precedence) for one in outlet.derived]
            for name, outlet in site.outlets.items()
            if outlet.derived
        }
        self._slots: dict[tuple[str, int], dict[str, Sample]] = {}

    def inputs(self, outlet: str) -> dict[str, tuple[str, ...]]:
        """Derived factor → the factors that it is computed from, in the order of the site file."""
        return {rule.declared.factor: rule.inputs for rule in self._rules.get(outlet, ())}

    def accept(self, samples: Iterable[Sample]) -> list[Sample]:
        """The derived samples that these complete; each once."""
        touched: dict[tuple[str, int], dict[str, Sample]] = {}
        for sample in samples:
            if sample.outlet in self._rules:
                key = sample.outlet, sample.time
                slot = touched[key] = self._slots.setdefault(key, {})
                slot.setdefault(sample.factor, sample)
        found = [one for (outlet, time), slot in touched.items() for one in self._complete(outlet, time, slot)]
        for key in list(self._slots)[: max(0, len(self._slots) - SLOTS)]:
            del self._slots[key]
        return found

    def latest(self, outlet: str, newest: Sequence[Sample]) -> list[Sample]:
        """The derived points as realtime data show them, from the newest sample of each point."""
        slot = {sample.factor: sample for sample in newest}
        return self._complete(outlet, max((sample.time for sample in newest), default=0), slot) if newest else []

    def _complete(self, outlet: str, time: int, slot: dict[str, Sample]) -> list[Sample]:
        found: list[Sample] = []
        for rule in self._rules.get(outlet, ()):
            if rule.declared.factor not in slot and all(name in slot for name in rule.inputs):
                slot[rule.declared.factor] = rule.sample(time, slot)
                found.append(slot[rule.declared.factor])
        return found
