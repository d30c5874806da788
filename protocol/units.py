"""Units of the factor tables and of what instruments deliver, and conversion between units of one kind.

Spelling is forgiven: µ and μ and u, ³ and 3 and ^3, ℃ and °C, upper and lower case. Volume shares (ppm) are not
converted to mass concentrations: that needs the gas and its state.
"""

from __future__ import annotations

import unicodedata
from fractions import Fraction
from functools import lru_cache

from protocol.errors import ProtocolError

# kind: {unit: how many base units one of it is}; the first of a kind is its base
_KINDS: dict[str, dict[str, str]] = {
    "concentration": {
        "mg/L": "1", "g/L": "1000", "ug/L": "1/1000", "ng/L": "1/1000000", "g/m3": "1", "kg/m3": "1000",
        "mg/m3": "1/1000", "ug/m3": "1/1000000", "ng/m3": "1/1000000000", "mg/Nm3": "1/1000", "g/Nm3": "1",
    },
    "flow": {
        "m3/s": "1", "m3/min": "1/60", "m3/h": "1/3600", "m3/d": "1/86400", "Nm3/s": "1", "Nm3/h": "1/3600",
        "L/s": "1/1000", "L/min": "1/60000", "L/h": "1/3600000", "mL/min": "1/60000000",
    },
    "pressure": {
        "Pa": "1", "hPa": "100", "kPa": "1000", "MPa": "1000000", "mbar": "100", "bar": "100000", "atm": "101325",
        "mmHg": "133.322387415", "mmH2O": "9.80665",
    },
    "velocity": {"m/s": "1", "m/min": "1/60", "km/h": "1/3.6", "cm/s": "1/100"},
    "conductivity": {"uS/cm": "1", "mS/cm": "1000", "S/m": "10000", "mS/m": "10"},
    "mass": {"kg": "1", "g": "1/1000", "mg": "1/1000000", "ug": "1/1000000000", "t": "1000"},
    "volume": {"m3": "1", "L": "1/1000", "mL": "1/1000000", "万m3": "10000"},
    "length": {"m": "1", "cm": "1/100", "mm": "1/1000", "km": "1000"},
    "area": {"m2": "1", "cm2": "1/10000"},
    "current": {"A": "1", "mA": "1/1000"},
    "voltage": {"V": "1", "mV": "1/1000", "kV": "1000"},
    "energy": {"kWh": "1", "Wh": "1/1000", "MWh": "1000", "kW·h": "1", "度": "1"},
    "power": {"kW": "1", "W": "1/1000", "MW": "1000"},
    "time": {"s": "1", "min": "60", "h": "3600", "d": "86400"},
    "temperature": {"°C": "1", "degC": "1", "K": "1", "°F": "5/9", "degF": "5/9"},
    "ratio": {"%": "1", "‰": "1/10", "%vol": "1", "%rh": "1"},
    "volume share": {"ppm": "1", "ppb": "1/1000"},
    "number": {"1": "1", "": "1", "pH": "1", "无量纲": "1"},
    "sound": {"dB": "1", "dB(A)": "1", "dBA": "1"},
    "angle": {"°": "1", "deg": "1"},
    "bacteria": {"count/L": "1", "个/L": "1", "个/mL": "1000"},
    "activity": {"Bq/L": "1"},
    "colour": {"colour degree": "1", "PCU": "1", "色度单位": "1", "倍": "1"},
    "turbidity": {"NTU": "1", "FNU": "1"},
    "rotation": {"r/min": "1", "rpm": "1"},
    "dust fall": {"t/(km2·month)": "1"},
    "date": {"datetime": "1"},
}  # fmt: skip
# °C in each unit's own zero: °C = value × scale + shift
_SHIFTS = {"k": Fraction("-273.15"), "°f": Fraction(-160, 9), "degf": Fraction(-160, 9)}


def _spelling(unit: str) -> str:
    plain = unicodedata.normalize("NFKC", unit).strip().replace("^", "").replace("μ", "u")
    return plain.replace(" /", "/").replace("/ ", "/").casefold()


def _fraction(text: str) -> Fraction:
    over, _, under = text.partition("/")
    return Fraction(over) / Fraction(under or 1)


_UNITS: dict[str, tuple[str, Fraction]] = {
    _spelling(unit): (kind, _fraction(scale)) for kind, units in _KINDS.items() for unit, scale in units.items()
}


@lru_cache(maxsize=256)
def _rule(unit: str, to_unit: str) -> tuple[int, int, float] | None:
    """(numerator, denominator, shift) of a conversion; None: the two are of different kinds."""
    for name in (unit, to_unit):
        if _spelling(name) not in _UNITS:
            raise ProtocolError("protocol.unit.unknown", unit=name)
    kind, scale = _UNITS[_spelling(unit)]
    to_kind, to_scale = _UNITS[_spelling(to_unit)]
    if kind != to_kind:
        return None
    ratio = scale / to_scale
    shift = (_SHIFTS.get(_spelling(unit), 0) - _SHIFTS.get(_spelling(to_unit), 0)) / to_scale
    return ratio.numerator, ratio.denominator, float(shift)


def ratio(unit: str, to_unit: str) -> tuple[int, int]:
    """Numerator and denominator by which a number in `unit` becomes one in `to_unit`; ProtocolError as `convert`.

    For units with a common zero: not between temperatures.
    """
    rule = (1, 1, 0.0) if unit == to_unit else _rule(unit, to_unit)
    if rule is None or rule[2]:
        raise ProtocolError("protocol.unit.mismatch", unit=unit, to_unit=to_unit)
    return rule[:2]


def known(unit: str) -> bool:
    """Whether this is a unit at all."""
    return _spelling(unit) in _UNITS


def is_volume_share(unit: str) -> bool:
    """Whether this is a volume share (ppm, ppb), which the gas's molar mass makes a mass concentration."""
    return _UNITS.get(_spelling(unit), ("",))[0] == "volume share"


def convertible(unit: str, to_unit: str) -> bool:
    """Whether both are units of one kind; the same text twice always is."""
    return unit == to_unit or (known(unit) and known(to_unit) and _rule(unit, to_unit) is not None)


def convert(value: float, unit: str, to_unit: str) -> float:
    """`value` in another unit of its kind; ProtocolError `protocol.unit.unknown` or `protocol.unit.mismatch`."""
    if unit == to_unit:
        return value
    rule = _rule(unit, to_unit)
    if rule is None:
        raise ProtocolError("protocol.unit.mismatch", unit=unit, to_unit=to_unit)
    numerator, denominator, shift = rule
    return value * numerator / denominator + shift
