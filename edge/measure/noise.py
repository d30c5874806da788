"""Noise on paper: energy means, the levels that are exceeded for a share of the time, day and night (GB 3096).

HJ 212-2017 gives the codes (Table B.3) and the packets (C.25–C.28) and no formula. Levels are A-weighted, dB.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum, log10

NIGHT_PENALTY = 10.0


def energy_mean(levels: Sequence[float], weights: Sequence[float] | None = None) -> float:
    """Leq = 10·lg(mean of 10^(0.1·L)) of at least one level."""
    weighed = weights or [1.0] * len(levels)
    energy = fsum(10 ** (0.1 * level) * weight for level, weight in zip(levels, weighed, strict=True))
    middle = 10 * log10(energy / fsum(weighed))
    return min(max(middle, min(levels)), max(levels))


def exceeded(falling: Sequence[float], percent: int) -> float:
    """Ln of levels in falling order: the level that n % of them reach. Of 100 levels L10 is the tenth."""
    return falling[max(-(-len(falling) * percent // 100), 1) - 1]


def day_night(day: float, night: float, day_hours: int) -> float:
    """Ldn = 10·lg((d·10^(0.1·Ld) + n·10^(0.1·(Ln+10)))/24), d + n = 24."""
    energy = day_hours * 10 ** (0.1 * day) + (24 - day_hours) * 10 ** (0.1 * (night + NIGHT_PENALTY))
    return 10 * log10(energy / 24)
