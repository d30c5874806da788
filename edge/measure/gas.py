"""Flue gas on paper: HJ 212-2017 Annex D.2, equations 18–34.

Pressures in Pa (Ps is gauge: negative in draught), temperatures in °C, humidity as a fraction, oxygen in %.
The constants are the standard's: 273, 101325, 21, 22.4. Equation 34 prints a second ×10⁻⁶ that is already in
equation 33: daily mass is the plain sum of the hours.
"""

from __future__ import annotations

from math import sqrt

AIR_OXYGEN = 21.0
_STANDARD_PA = 101_325.0
ZERO_K = 273.0
_MOLAR_LITRES = 22.4
_M_NO, _M_NO2 = 30.0, 46.0


def to_standard(actual: float, ambient_pa: float, static_pa: float, celsius: float) -> float:
    """(18) Csn = Cs·101325/(Ba+Ps)·(273+ts)/273; wet stays wet, dry stays dry."""
    return actual * _STANDARD_PA / (ambient_pa + static_pa) * (ZERO_K + celsius) / ZERO_K


def to_dry(wet: float, humidity: float) -> float:
    """(19) Cdry = Cwet/(1−Xsw); for oxygen as well."""
    return wet / (1 - humidity)


def from_volume_share(ppm: float, molar_mass: float) -> float:
    """(20) CQ = M/22.4·CV, mg/m³ at standard state."""
    return molar_mass / _MOLAR_LITRES * ppm


def nox_from_mass(no: float, no2: float, no_mass: float = _M_NO, no2_mass: float = _M_NO2) -> float:
    """(21) CNOx = CNO·M(NO2)/M(NO) + CNO2, all mg/m³, as NO2."""
    return no * no2_mass / no_mass + no2


def nox_from_volume_share(no_ppm: float, no2_ppm: float) -> float:
    """(22) CNOx = (CNO + CNO2)·M(NO2)/22.4, mg/m³ as NO2."""
    return (no_ppm + no2_ppm) * _M_NO2 / _MOLAR_LITRES


def excess_air(oxygen: float) -> float:
    """(27) α = 21/(21−O2)."""
    return AIR_OXYGEN / (AIR_OXYGEN - oxygen)


def converted_by_excess_air(dry: float, alpha: float, alpha_standard: float) -> float:
    """(26) Cz = C·α/αs."""
    return dry * alpha / alpha_standard


def converted_by_oxygen(dry: float, oxygen_standard: float, oxygen: float) -> float:
    """(28) Cz = C·(21−O2s)/(21−O2)."""
    return dry * (AIR_OXYGEN - oxygen_standard) / (AIR_OXYGEN - oxygen)


def density(standard: float, ambient_pa: float, static_pa: float, celsius: float) -> float:
    """ρ = ρ0·273/(273+ts)·(Ba+Ps)/101325, kg/m³, of gas that has ρ0 at standard state."""
    return standard * ZERO_K / (ZERO_K + celsius) * (ambient_pa + static_pa) / _STANDARD_PA


def pitot_velocity(kp: float, dynamic_pa: float, density_kg_m3: float) -> float:
    """Vp = Kp·√(2·Pd/ρ), m/s. A dynamic pressure below 0 is the drift of a gas that stands still."""
    return kp * sqrt(2 * max(dynamic_pa, 0.0) / density_kg_m3)


def mean_velocity(kv: float, velocity: float) -> float:
    """(29) Vs = Kv·Vp, m/s."""
    return kv * velocity


def hourly_flow(area_m2: float, velocity: float) -> float:
    """(30) Qsh = 3600·F·Vs, m³/h, actual and wet."""
    return 3600 * area_m2 * velocity


def to_standard_dry(actual_wet: float, ambient_pa: float, static_pa: float, celsius: float, humidity: float) -> float:
    """(31) Qsn = Qs·273/(273+ts)·(Ba+Ps)/101325·(1−Xsw), in the unit of Qs."""
    return actual_wet * ZERO_K / (ZERO_K + celsius) * (ambient_pa + static_pa) / _STANDARD_PA * (1 - humidity)


def mass(dry: float, volume_m3: float, ratio: float = 1e-6) -> float:
    """(33) G = C·Qsn·10⁻⁶, kg of mg/m³: the measured dry concentration, never the converted one."""
    return dry * volume_m3 * ratio
