"""Process conditions (工况, HJ 212-2017 Tables B.5 and B.7): minute, hour and day like other factors, without Cou."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from measure_streams import T0, flue, pick, sealed, steady, water

from config.site import General, Instrument, Outlet, Point, Site
from edge.cli.replay import replay
from edge.measure.engine import Engine
from edge.measure.rules import decimals_of, factor_rules
from edge.measure.wire import wire_fields
from edge.values import Kind
from protocol.factors import wire_decimals

CONDITIONS = ("e10101", "e30101", "e31102", "e70101", "g10201", "g11901", "g13001")


def site(outlet: Outlet, *points: Point) -> Site:
    meter = Instrument(line="a", driver="modbus", points=points)
    return Site(site=General(name="x"), outlets={"o": outlet}, instruments={"m": meter})


def engine(outlet: Outlet, *points: Point) -> Engine:
    return Engine(outlet, "o", factor_rules(site(outlet, *points), "o"))


@pytest.mark.parametrize("outlet", [water(), flue(area=2.0, o2_reference=6.0, basis="actual-wet")])
@pytest.mark.parametrize("factor", CONDITIONS)
def test_a_condition_has_arithmetic_means_at_every_level_and_no_sum(outlet: Outlet, factor: str) -> None:
    """An hour whose minutes are 6 and 9 by turns: mean 7.5."""
    samples = steady(factor, ([6.0] * 12 + [9.0] * 12) * 30)
    found = sealed(engine(outlet, Point(factor=factor, outlet="o")), samples, T0, 60)
    hour = pick(found, factor, Kind.HOUR)
    assert (hour.min, hour.avg, hour.max, hour.count, hour.mark) == (6.0, pytest.approx(7.5), 9.0, 60, "N")
    assert {(record.cou, record.zs_avg) for record in found} == {(None, None)}
    minute = next(record for record in found if record.kind is Kind.MINUTE)
    names = [name for name, _ in wire_fields(minute, wire_decimals(factor), "zero", None)]
    assert names == ["Min", "Avg", "Max", "Flag"]


def test_a_concentration_before_the_treatment_is_not_converted_with_the_stacks_temperature() -> None:
    """g12001 NOx at the inlet, mg/m³, beside a21002 of the stack, actual and wet: 100 °C, −0.325 kPa, 10 %."""
    outlet = flue(basis="actual-wet")
    points = [Point(factor=code, outlet="o") for code in ("g12001", "a21002", "a01012", "a01013", "a01014")]
    values = {"g12001": 300.0, "a21002": 30.0, "a01012": 100.0, "a01013": -0.325, "a01014": 10.0}
    samples = [one for code, value in values.items() for one in steady(code, [value] * 12)]
    found = sealed(engine(outlet, *points), samples)
    assert pick(found, "g12001").avg == pytest.approx(300.0)
    assert pick(found, "a21002").avg == pytest.approx(30.0 * 101325 / 101000 * 373 / 273 / 0.9)


def test_a_concentration_before_the_treatment_needs_no_conditions_of_the_stack() -> None:
    found = sealed(engine(flue(basis="actual-wet"), Point(factor="g12001", outlet="o")), steady("g12001", [300.0] * 12))
    assert (pick(found, "g12001").avg, pick(found, "g12001").mark) == (pytest.approx(300.0), "N")


def test_a_valve_has_the_arithmetic_mean_of_its_states_and_the_tables_decimals() -> None:
    """Open for 45 s of a minute: 0.75; N1 has no decimals, and `decimals` may ask for more."""
    (record,) = sealed(engine(water(), Point(factor="e31101", outlet="o")), steady("e31101", [1.0] * 9 + [0.0] * 3))
    assert (record.min, record.avg, record.max) == (0.0, 0.75, 1.0)
    assert wire_fields(record, wire_decimals("e31101"), "zero", None) == [
        ("Min", "0"), ("Avg", "1"), ("Max", "1"), ("Flag", "N"),
    ]  # fmt: skip
    asked = wire_fields(record, wire_decimals("e31101", 2), "zero", None)
    assert asked[1] == ("Avg", "0.75")


@pytest.mark.parametrize(
    ("factor", "unit", "unit_of_samples", "decimals"),
    [
        ("e70101", "A", "A", 2), ("e70101", "mA", "A", 2), ("e70101", "mg/L", "mg/L", 1), ("e70101", None, "A", 2),
        ("g11901", "%", "%", 2), ("g11901", "mg/m³", "mg/m³", 3), ("g11901", "ug/m3", "mg/m³", 3),
    ],
)  # fmt: skip
def test_of_a_code_with_two_meanings_the_unit_says_which(
    factor: str, unit: str | None, unit_of_samples: str, decimals: int
) -> None:
    """e701xx: lift pump N4.2 or dosing N5.1; g119xx: efficiency N3.2 or inlet SO2 N3.3."""
    made = site(water(), Point(factor=factor, outlet="o", unit=unit))
    assert factor_rules(made, "o")[factor].unit == unit_of_samples
    assert decimals_of(made, "o") == {factor: decimals}


SITE = """
[site]
name = "示例"
[outlets.gk]
name = "污水站工况"
st = "52"
statistics = "water"
[lines.a]
port = "/dev/ttyS0"
[instruments.m]
line = "a"
driver = "modbus"
  [[instruments.m.points]]
  factor = "e70101"
  unit = "mg/L"
  register = 0
  type = "uint16"
  [[instruments.m.points]]
  factor = "SB1"
  register = 1
  type = "uint16"
"""


def replayed(folder: Path, rows: str) -> list[dict[str, Any]]:
    (folder / "site.toml").write_text(SITE, encoding="utf-8")
    (folder / "samples.csv").write_text("time,outlet,factor,value,mark\n" + rows, encoding="utf-8")
    arguments = [str(folder / "samples.csv"), "-c", str(folder / "site.toml"), "--json"]
    result = CliRunner().invoke(replay, arguments, env={"HJ212_LANG": "en"})
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_replay_shows_conditions_and_the_running_time_of_a_day(tmp_path: Path) -> None:
    """Dosing 12.34 mg/L and a pump that runs for the first 66 minutes of a day, a sample a minute."""
    rows = "".join(
        f"2025-11-22T{at // 60:02}:{at % 60:02}:00+08:00,gk,{factor},{value},N\n"
        for at in range(1440)
        for factor, value in (("e70101", "12.34"), ("SB1", int(at < 66)))
    )
    found = replayed(tmp_path, rows)
    running = [record for record in found if record["factor"] == "SB1"]
    assert [record["kind"] for record in running].count("minute") == 1440
    assert running[-1] == {
        "outlet": "gk", "kind": "day", "factor": "SB1", "start": "2025-11-22T00:00:00+08:00", "revision": 0,
        "min": None, "avg": None, "max": None, "zs_min": None, "zs_avg": None, "zs_max": None,
        "cou": pytest.approx(1.1), "count": 24, "mark": "N", "wire": {"RT": "1.10"},
    }  # fmt: skip
    assert {json.dumps(record["wire"]) for record in running[:-1]} == {"{}"}
    hour = next(record for record in found if record["factor"] == "e70101" and record["kind"] == "hour")
    assert hour["wire"] == {"Min": "12.3", "Avg": "12.3", "Max": "12.3", "Flag": "N"}
