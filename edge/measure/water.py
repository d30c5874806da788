"""Waste water on paper: HJ 212-2017 Annex D.1, equations 1 and 8.

Q flow L/s, T slot s, D volume m³, C concentration, G mass. The sums (2–4, 9–11) and means (5–7, 12–17) are in
`waste_water` and `periods`. Equations 5–7 print D/600 and call it L/s: it is m³/s, and the factor 1000 is
missing there (the examples of Annex C confirm it: 10.5 m³ in 10 min is 17.5 L/s).
"""

from __future__ import annotations


def slot_volume(flow_l_s: float, seconds: float) -> float:
    """(1) ΔD = Q·T·10⁻³, m³."""
    return flow_l_s * seconds / 1000


def slot_mass(concentration: float, volume_m3: float, ratio: float) -> float:
    """(8) ΔG = C·ΔD·ratio; ratio 10⁻³ for mg/L and kg."""
    return concentration * volume_m3 * ratio
