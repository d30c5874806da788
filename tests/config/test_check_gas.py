"""Flue gas in the site file: ppm, converted values, what the formulas need; units and decimals on the wire."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from config.problem import Problem

Find = Callable[[str], list[Problem]]
HEAD = """
[outlets.fg1]
name = "烟囱"
st = 31
statistics = "gas"
{outlet}
[outlets.fg1.gas]
area = 2.0
{gas}
[instruments.cems]
line = "rs485-1"
driver = "modbus"
address = 2
outlet = "fg1"
"""
POINT = """  [[instruments.cems.points]]
  factor = "{factor}"
  register = {register}
  type = "float32"
  {more}
"""


def site(text: str, *points: tuple[str, str], gas: str = "", outlet: str = "") -> str:
    made = [POINT.format(factor=f, more=more, register=2 * n) for n, (f, more) in enumerate(points)]
    text = text.replace('driver = "modbus"', 'driver = "modbus"\noutlet = "ww1"')
    return text.replace("[platforms.city]", HEAD.format(gas=gas, outlet=outlet) + "".join(made) + "[platforms.city]")


CONDITIONS = (("a01012", ""), ("a01013", ""), ("a01014", ""))
ZS = ("a21026", 'quantity = "zs"')


@pytest.mark.parametrize(
    ("points", "gas", "codes"),
    [
        ((("a21026", 'unit = "ppm"'),), "", []),
        ((("a21018", 'unit = "ppm"'),), "", ["config.molar-mass"]),
        ((("a21018", 'unit = "ppm"\n  molar_mass = 20'),), "", []),
        ((("a01012", 'unit = "ppm"'),), "", ["config.unit"]),
        ((("a21026", ""), ZS), "", []),
        ((("a21026", 'zs = "from-point"'), ZS), "", []),
        ((("a21026", ""), ZS, ZS), "", ["config.same-factor"]),
        ((ZS,), "", ["config.zs-alone"]),
        ((("a21026", 'zs = "from-point"'),), "", ["config.zs-no-point"]),
        ((("a21026", 'zs = "none"'), ZS), "", ["config.zs-unused"]),
        ((("a21026", ""),), 'basis = "actual-wet"', ["config.no-conditions"]),
        ((("a21026", ""), *CONDITIONS), 'basis = "actual-wet"', []),
        ((("a21026", ""), *CONDITIONS[:2]), 'basis = "actual-dry"', []),
        ((("a21026", 'unit = "ppm"'), CONDITIONS[2]), 'basis = "actual-wet"', []),
        ((("a00000", 'basis = "actual-wet"'),), "", ["config.no-conditions"]),
        ((("a00000", ""),), 'basis = "actual-wet"', []),
        ((("a21026", ""),), "o2_reference = 6", ["config.no-oxygen"]),
        ((("a21026", ""), ZS), "o2_reference = 6", []),
        ((("a21026", ""), ("a19001", "")), "o2_reference = 6", []),
        ((("a01017", ""), *CONDITIONS), "pitot = 0.84", []),
        ((("a01017", ""),), "pitot = 0.84", ["config.no-pitot"]),
        ((("a01011", ""), ("a01017", ""), *CONDITIONS), "pitot = 0.84", ["config.pitot-unused"]),
        ((("a21026", "decimals = 1"),), "", ["config.decimals"]),
        ((("a34013", "decimals = 2"),), "", []),
    ],
)
def test_flue_gas_findings(
    find: Find, site_text: str, points: tuple[tuple[str, str], ...], gas: str, codes: list[str]
) -> None:
    assert [problem.code for problem in find(site(site_text, *points, gas=gas))] == codes


def test_converted_values_are_for_flue_gas_only(find: Find, site_text: str) -> None:
    found = find(site_text.replace("range = [0, 500]", 'range = [0, 500]\n  zs = "none"'))
    assert [(problem.key, problem.code) for problem in found] == [("instruments.cod.points.w01018.zs", "config.zs-gas")]


@pytest.mark.parametrize(
    ("units", "code"),
    [
        ('w20111 = "mg/L", a01013 = "Pa", a21001 = "mg/m³"', None),
        ('w20111 = "m/s"', "config.unit"),
        ('a01012 = "K"', "config.unit"),
        ('w2011 = "mg/L"', "config.units-factor"),
    ],
)
def test_units_of_a_platform(find: Find, site_text: str, units: str, code: str | None) -> None:
    found = find(site_text.replace('realtime = "60s"', f'realtime = "60s"\nunits = {{ {units} }}'))
    assert [problem.code for problem in found] == ([code] if code else [])


def test_fewer_decimals_than_the_table_has_are_a_warning(find: Find, site_text: str) -> None:
    (problem,) = find(site(site_text, ("a21026", ""), outlet="decimals = { a00000 = 0 }"))
    assert (problem.key, problem.code, problem.warning) == ("outlets.fg1.decimals.a00000", "config.decimals", True)
