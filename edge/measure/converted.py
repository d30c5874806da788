"""Converted (折算) values of flue gas: what a dry standard concentration would be at the reference oxygen (26–28).

    Cz = C·(21−O2s)/(21−O2)   or   C·α/αs, α = 21/(21−O2)        without O2s and αs: Cz = C

Near the oxygen of air the divisor goes to 0: 10 mg/m³ have become 17,500 in one gateway. Above `o2_limit` nothing is
converted; what stands in its place is the site's choice (2017 says nothing), and only "measured" is a number inside.
"""

from __future__ import annotations

from typing import Literal

from config.site import GasRules
from edge.measure import gas

Way = Literal["by-oxygen", "by-excess-air", "as-measured", "unknown", "not"]
"""(28); (26, 27); Cz = C; no oxygen is known; the site wants no value above `o2_limit`."""


class Conversion:
    """The conversion of one outlet."""

    def __init__(self, rules: GasRules) -> None:
        self._rules = rules
        self._converts = rules.o2_reference is not None or rules.excess_air is not None

    def value(self, dry: float, oxygen: float | None) -> float | None:
        """Zs of a dry concentration; None: it cannot be known, or must not be."""
        rules = self._rules
        match self.way(oxygen):
            case "as-measured":
                return dry
            case "by-oxygen" if oxygen is not None:
                return gas.converted_by_oxygen(dry, rules.o2_reference or 0.0, oxygen)
            case "by-excess-air" if oxygen is not None:
                return gas.converted_by_excess_air(dry, gas.excess_air(oxygen), rules.excess_air or 1.0)
            case _:
                return None

    def way(self, oxygen: float | None) -> Way:
        """How a concentration is converted at this oxygen."""
        if not self._converts:
            return "as-measured"
        if oxygen is None:
            return "unknown"
        if self.is_beyond(oxygen):
            return "as-measured" if self._rules.zs_above == "measured" else "not"
        return "by-oxygen" if self._rules.o2_reference is not None else "by-excess-air"

    def is_beyond(self, oxygen: float | None) -> bool:
        """Whether the oxygen is so near that of air that there is no conversion."""
        return self._converts and oxygen is not None and (oxygen > self._rules.o2_limit or oxygen >= gas.AIR_OXYGEN)

    def is_sentinel(self, oxygen: float | None) -> bool:
        """Whether the platform gets the largest number of the factor's format."""
        return self._rules.zs_above == "sentinel" and self.is_beyond(oxygen)
