"""The standard's tables (HJ 212-2017 Tables 4 to 9, Annex B), and conversion between units."""

import math

import pytest

from protocol import units
from protocol.commands import command, commands
from protocol.equipment import is_equipment
from protocol.errors import ProtocolError
from protocol.factors import all_factors, factor, factors, is_condition, nearest, wire_decimals
from protocol.marks import EXE_RETURNS, MARKS, QN_RETURNS, SYSTEM_CODES
from protocol.times import parse_time, qn_text, time_text


def test_annex_b_is_whole_and_keeps_the_codes_that_are_printed_twice() -> None:
    rows = all_factors()
    assert len(rows) == 379
    assert len({row.code for row in rows}) == 377
    assert [row.name_zh for row in factors("e70101")] == ["污水提升泵", "加药量"]
    assert len(factors("g11999")) == 2
    assert [sum(row.code[0] == letter for row in rows) for letter in "waL"] == [63, 121, 12]


def test_factor_rows() -> None:
    cod = factor("w01018")
    assert cod is not None
    assert (cod.old_code, cod.name_zh, cod.unit, cod.emission_unit) == ("011", "化学需氧量", "mg/L", "kg")
    assert (cod.integers, cod.decimals) == (5, 1)
    log = factor("i11001")
    assert log is not None
    assert log.decimals is None
    assert factor("I33400") == factor("i33400")
    assert factor("i33317") == factor("i3331x") is not None
    assert factor("e101ab") is None
    assert factor("x") is None
    assert nearest("w1018") == "w01018"


@pytest.mark.parametrize(
    ("code", "override", "decimals"),
    [("w01018", None, 1), ("w01018", 3, 3), ("w01018", 0, 0), ("w00000", None, 2), ("a34013", None, 1),
     ("w02003", None, 0), ("unknown", None, 2), ("i13007", None, 2)],
)  # fmt: skip
def test_decimals_on_the_wire(code: str, override: int | None, decimals: int) -> None:
    assert wire_decimals(code, override) == decimals


def test_code_tables_are_whole() -> None:
    assert len(SYSTEM_CODES) == 20
    assert "".join(sorted(MARKS)) == "BCDFMNST"
    assert list(map(int, QN_RETURNS)) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 100]
    assert list(map(int, EXE_RETURNS)) == [1, 2, 3, 4, 5, 6, 100]
    assert len(commands()) == 47


def test_command_that_is_asked_for_and_uploaded_has_a_row_for_each() -> None:
    asked, sent = command("2011", "to-logger"), command("2011", "to-platform")
    assert asked is not None
    assert sent is not None
    assert (asked.kind, sent.kind) == ("request", "upload")
    assert command("2012", "to-platform") is None
    assert command("9013", "to-logger") == command("9013", "to-platform") is not None
    assert command("1234") is None


@pytest.mark.parametrize(
    ("value", "unit", "to_unit", "result"),
    [
        (100, "µg/L", "mg/L", 0.1), (100, "ug/l", "mg/L", 0.1), (100, "μg/L", "mg/l", 0.1), (3, "ng/L", "µg/L", 0.003),
        (3.6, "m3/h", "L/s", 1.0), (36, "m³/h", "m³/s", 0.01), (1, "m^3/h", "L/min", 1000 / 60),
        (1, "MPa", "kPa", 1000), (101.325, "kPa", "Pa", 101325), (1013.25, "hPa", "kPa", 101.325),
        (300, "K", "℃", 26.85), (25, "°C", "K", 298.15), (212, "°F", "°C", 100), (-40, "°C", "°F", -40),
        (1, "g/m³", "mg/m³", 1000), (7, "ng/m³", "mg/m³", 7e-6), (1, "mg/m³", "mg/L", 0.001), (5, "%", "%", 5),
        (1.5, "mS/cm", "µS/cm", 1500), (7, "", "1", 7), (7, "pH", "1", 7), (2, "t", "kg", 2000), (4, "mA", "A", 0.004),
    ],
)  # fmt: skip
def test_units(value: float, unit: str, to_unit: str, result: float) -> None:
    assert math.isclose(units.convert(value, unit, to_unit), result, rel_tol=1e-12)
    assert units.convertible(unit, to_unit)


def test_every_unit_of_the_factor_tables_is_known() -> None:
    assert [row.unit for row in all_factors() if not units.known(row.unit)] == []
    assert [row.emission_unit for row in all_factors() if not units.known(row.emission_unit)] == []


def test_no_two_units_share_a_spelling() -> None:
    spelled = [units._spelling(unit) for kind in units._KINDS.values() for unit in kind]
    assert sorted(spelled) == sorted(set(spelled))


@pytest.mark.parametrize(
    ("unit", "to_unit", "code"),
    [("mg/L", "kPa", "protocol.unit.mismatch"), ("ppm", "mg/m³", "protocol.unit.mismatch"),
     ("furlong", "m", "protocol.unit.unknown"), ("km³/h", "m³/h", "protocol.unit.unknown"),
     ("km³", "m³", "protocol.unit.unknown")],  # a thousand m³, or 10⁹?
)  # fmt: skip
def test_units_that_do_not_fit_are_refused(unit: str, to_unit: str, code: str) -> None:
    assert not units.convertible(unit, to_unit)
    with pytest.raises(ProtocolError) as caught:
        units.convert(1, unit, to_unit)
    assert caught.value.code == code


def test_same_private_unit_twice_needs_no_conversion() -> None:
    assert units.convert(3.5, "bottles", "bottles") == 3.5
    assert units.convertible("bottles", "bottles")


@pytest.mark.parametrize("digits", ["20160801085857223", "20240229235959999", "19700101080000000", "20991231000000001"])
def test_times_go_there_and_back(digits: str) -> None:
    assert qn_text(parse_time(digits)) == digits
    assert time_text(parse_time(digits)) == digits[:14]


def test_beijing_time_is_eight_hours_ahead_of_utc() -> None:
    assert parse_time("19700101080000") == 0


@pytest.mark.parametrize(
    ("code", "unit", "name"),
    [
        ("e70101", None, "污水提升泵"), ("e70101", "mA", "污水提升泵"), ("e70101", "mg/L", "加药量"),
        ("e70101", "kPa", "污水提升泵"), ("g11902", "%", "脱硫率"), ("g11902", "µg/m³", "入口二氧化硫SO2"),
        ("w01018", "kPa", "化学需氧量"),
    ],
)  # fmt: skip
def test_of_a_code_that_is_printed_twice_a_unit_picks_the_row(code: str, unit: str | None, name: str) -> None:
    row = factor(code, unit)
    assert row is not None
    assert row.name_zh == name


@pytest.mark.parametrize("code", ["e10101", "e70199", "g10201", "g13001"])
def test_process_conditions_are_known_by_their_family(code: str) -> None:
    assert is_condition(code)


def test_what_is_no_process_condition() -> None:
    assert not any(is_condition(code) for code in ("w01018", "a21026", "SB1", "e99999", "x", ""))


@pytest.mark.parametrize(
    ("code", "yes"),
    [("SB1", True), ("SB10", True), ("SB999", True), ("SB0", False), ("SB01", False), ("SB1000", False),
     ("SB", False), ("SB1-RS", False), ("sb1", False), ("w01018", False), ("SB١", False)],
)  # fmt: skip
def test_equipment_is_sb_and_a_number(code: str, yes: bool) -> None:
    assert is_equipment(code) is yes
