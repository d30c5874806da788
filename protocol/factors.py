"""Factor codes of HJ 212-2017 Annex B: tables B.1 (water), B.2 (gas), B.3 (noise), B.5, B.7 (process), B.10 (site).

Codes of equipment families end in `xx` or `x` in the table (`e101xx`: `e10101` … `e10199`). The standard prints e701xx
and g119xx twice with different meanings: `factors` gives both, `factor` the one that a unit fits, else the first. Units
are the standard's defaults; they never travel on the wire. i33102, a humidity, is printed in °C: the table here says %.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from protocol.tables import rows
from protocol.units import convertible

DEFAULT_DECIMALS = 2
"""For codes that no table has, as the general format N14.2."""


@dataclass(frozen=True, slots=True)
class Factor:
    """One row of Annex B. `emission_unit` is the unit of Cou, empty where none is printed; `integers` and `decimals`
    are the N format's digits, None where the format is free or no number."""

    code: str
    old_code: str
    name_zh: str
    name_en: str
    unit: str
    emission_unit: str
    integers: int | None
    decimals: int | None

    @property
    def largest(self) -> float | None:
        """The largest number of the format, 9999.99 of N4.2; None where the format is free."""
        if self.integers is None:
            return None
        return float(f"{'9' * self.integers}.{'9' * (self.decimals or 0)}")

    def is_wider(self, value: float) -> bool:
        """Whether a number has more digits before the point than the format, once it is rounded to its decimals."""
        largest = self.largest
        return largest is not None and abs(value) >= largest + 0.5 * 10.0 ** -(self.decimals or 0)


def _factor(columns: list[str]) -> Factor:
    code, old_code, zh, en, unit, emission_unit, form = columns
    digits = re.fullmatch(r"N(\d+)(?:\.(\d+))?", form)
    integers, decimals = (int(digits[1]), int(digits[2] or 0)) if digits else (None, None)
    return Factor(code, old_code, zh, en, unit, emission_unit, integers, decimals)


@cache
def _table() -> dict[str, tuple[Factor, ...]]:
    table: dict[str, tuple[Factor, ...]] = {}
    for row in map(_factor, rows("factors")):
        table[row.code] = (*table.get(row.code, ()), row)
    return table


def _row_code(code: str) -> str:
    """The code under which a factor stands in the table: equipment digits become `xx`, a stray capital I `i`."""
    table = _table()
    if code in table:
        return code
    if code.startswith("I"):  # Table B.10 prints I33400 with a capital
        code = "i" + code[1:]
    for family in (code, code[:-2] + "xx", code[:-1] + "x"):
        if family in table and (family == code or code[family.index("x") :].isdigit()):
            return family
    return code


def factors(code: str) -> tuple[Factor, ...]:
    """All rows of a code, in the order of the standard; empty where it has none."""
    return _table().get(_row_code(code), ())


def factor(code: str, unit: str | None = None) -> Factor | None:
    """The row of a code; where it is printed twice the one that `unit` can be converted to, else the first."""
    found = factors(code)
    fitting = (row for row in found if unit is not None and convertible(unit, row.unit))
    return next(fitting, found[0] if found else None)


def is_condition(code: str) -> bool:
    """Whether a code is a process condition (工况, Tables B.5 and B.7), sent under ST 51 (g…) or 52 (e…)."""
    return code[:1] in ("e", "g") and bool(factors(code))


def all_factors() -> tuple[Factor, ...]:
    """Every row, in the order of the standard."""
    return tuple(row for same in _table().values() for row in same)


@cache
def molar_mass(code: str) -> float | None:
    """g/mol of a gas, for equation 20 of HJ 212-2017: nitrogen oxides as NO2, hydrocarbons as carbon (HJ 38)."""
    return next((float(mass) for row, mass, _ in rows("molar_masses") if row == code), None)


def nearest(code: str) -> str | None:
    """The known code that looks most like an unknown one, for a message to the technician."""
    from difflib import get_close_matches

    found = get_close_matches(code, _table(), n=1)
    return found[0] if found else None


def wire_decimals(code: str, override: int | None = None, unit: str | None = None) -> int:
    """Decimals of a factor's values on the wire: the override, else the table's format, else DEFAULT_DECIMALS.

    `unit` tells which row is meant, as in `factor`.

    A concentration has one decimal at least (dust and suspended solids are N4 in the table): acceptance compares what
    the platform received with the site's own values to one decimal.
    """
    if override is not None:
        return override
    row = factor(code, unit)
    if row is None or row.decimals is None:
        return DEFAULT_DECIMALS
    return max(row.decimals, 1) if row.unit.endswith(("g/L", "g/m³")) else row.decimals
