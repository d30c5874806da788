"""What is filed with the authority (参数备案): the tables `filed` of instruments and outlets.

    [[instruments.cod.filed]]      parameter = "i13001"      against what the instrument says
    [[outlets.fg1.filed]]          parameter = "area"        against the constant in `[outlets.fg1.gas]`

What is filed later from the command line stands in the store, and holds from its own date.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from config.markers import Pattern

CONSTANTS = ("area", "kv", "pitot", "o2_reference", "excess_air", "ambient_pressure", "gas_density")
"""Keys of `[outlets.NAME.gas]` whose value can be filed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """`[[instruments.NAME.filed]]`, `[[outlets.NAME.filed]]`: one filed value."""

    parameter: str
    """InfoId of one of the instrument's infos; of an outlet one of `CONSTANTS`."""
    value: float | str
    """In the unit in which the info is sent, or the constant is written."""
    factor: str | None = None
    """Pollutant of the info, where the instrument has the InfoId for several."""
    tolerance: Annotated[float, Ge(0)] = 0.0
    """A number that differs by no more agrees."""
    unit: str | None = None
    filed_on: Annotated[str, Pattern(r"\d{4}-\d{2}-\d{2}", "date")] | None = None
    """Date (Beijing) from which it holds; None: always."""
    filed_no: str | None = None
    """Number of the filing (备案编号)."""
    filed_by: str | None = None
    """Who filed it."""
