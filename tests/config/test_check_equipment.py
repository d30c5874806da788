"""Points that are equipment, and process conditions: what the site file may say of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from config.load import load
from config.problem import Problem

Find = Callable[[str], list[Problem]]
SB = 'factor = "SB1"\n  register = 0\n  type = "uint16"'
KEY = "instruments.cod.points.SB1"


def with_point(site_text: str, more: str = "", factor: str = "SB1") -> str:
    """The site's one point replaced by a piece of equipment, its further keys on lines 22 and on."""
    before, _, rest = site_text.partition('  factor = "w01018"')
    return before + f"  {SB.replace('SB1', factor)}\n{more}\n" + rest[rest.index("\n[platforms") :]


@pytest.mark.parametrize(
    "more",
    [
        "", 'name = "鼓风机"', "states = { 0 = 0, 1 = 1, 3 = 4 }", 'states = { "-1" = 5 }', "on = 5", "on = 5\noff = 5",
        'unit = "A"\non = 5.0\noff = 4.0\non_for = "10s"\noff_for = "1min"', 'unit = "kW"\non = 0.5',
        'unit = "mA"\non = 3', "on = 0\noff = -1",
    ],
)  # fmt: skip
def test_equipment_by_codes_thresholds_or_a_digital_input_checks(find: Find, site_text: str, more: str) -> None:
    assert find(with_point(site_text, more)) == []


@pytest.mark.parametrize("factor", ["SB1", "SB42", "SB999"])
def test_equipment_has_numbers_from_1_to_999(find: Find, site_text: str, factor: str) -> None:
    assert find(with_point(site_text, factor=factor)) == []


@pytest.mark.parametrize("factor", ["SB0", "SB01", "SB1000", "sb1", "SB"])
def test_other_numbers_are_no_equipment(find: Find, site_text: str, factor: str) -> None:
    assert [p.code for p in find(with_point(site_text, factor=factor))] == ["config.unknown-factor"]


@pytest.mark.parametrize(
    ("more", "key", "code"),
    [
        ("on = 4\noff = 5", "off", "config.equipment-off"),
        ("off = 5", "off", "config.equipment-needs-on"),
        ('on_for = "5s"', "on_for", "config.equipment-needs-on"),
        ('states = { 1 = 1 }\noff_for = "5s"', "off_for", "config.equipment-needs-on"),
        ("states = { 1 = 1 }\non = 5", "on", "config.equipment-either"),
        ("states = { 1 = 10 }", "states", "config.equipment-state"),
        ("states = { 1 = -1 }", "states", "config.equipment-state"),
        ("states = { on = 1 }", "states", "config.form.code"),
        ("states = { 01 = 1 }", "states", "config.form.code"),
        ('unit = "mg/L"', "unit", "config.equipment-unit"),
        ("range = [0, 20]", "range", "config.equipment-not"),
        ("decimals = 0", "decimals", "config.equipment-not"),
        ("limit = 5", "limit", "config.equipment-not"),
    ],
)
def test_what_cannot_be_is_an_error_at_its_key(find: Find, site_text: str, more: str, key: str, code: str) -> None:
    errors = [p for p in find(with_point(site_text, more)) if not p.warning]
    assert [p.code for p in errors] == [code]
    assert errors[0].key.startswith(f"{KEY}.{key}")
    assert errors[0].line in (22, 23)


def test_a_state_that_the_table_does_not_name_is_a_warning(find: Find, site_text: str) -> None:
    found = find(with_point(site_text, "states = { 1 = 6 }"))
    assert [(p.code, p.warning) for p in found] == [("config.equipment-state", True)]


def test_equipment_is_asked_every_minute_at_least(find: Find, site_text: str) -> None:
    slow = with_point(site_text).replace('every = "5s"', 'every = "65s"\nsilence = "5min"')
    assert [(p.code, p.key) for p in find(slow)] == [("config.equipment-every", "instruments.cod.every")]


@pytest.mark.parametrize("more", ["states = { 1 = 1 }", "on = 0", "off = 4", 'on_for = "5s"', 'off_for = "5s"'])
def test_keys_of_equipment_belong_to_no_pollutant(find: Find, site_text: str, more: str) -> None:
    found = find(site_text.replace("range = [0, 500]", more))
    assert [(p.line, p.code) for p in found] == [(23, "config.equipment-only")]


def test_any_point_may_have_a_name(find: Find, site_text: str) -> None:
    assert find(site_text.replace("range = [0, 500]", 'name = "进口COD"')) == []


def test_the_keys_arrive_in_milliseconds(tmp_path: Path, site_text: str) -> None:
    path = tmp_path / "site.toml"
    more = 'name = "泵"\non = 5\noff = 4.5\non_for = "10s"\noff_for = "1min"'
    path.write_text(with_point(site_text, more), encoding="utf-8")
    (point,) = load(path).instruments["cod"].points
    assert (point.name, point.on, point.off, point.on_for, point.off_for) == ("泵", 5.0, 4.5, 10_000, 60_000)


@pytest.mark.parametrize(("factor", "st", "wanted"), [("e30101", 32, "52"), ("g10201", 31, "51"), ("e30101", 51, "52")])
def test_a_condition_under_another_st_is_a_warning(
    find: Find, site_text: str, factor: str, st: int, wanted: str
) -> None:
    text = with_point(site_text, factor=factor).replace("st = 32", f"st = {st}")
    assert [(p.code, p.warning, p.params["st"]) for p in find(text)] == [("config.condition-st", True, wanted)]
    assert find(text.replace(f"st = {st}", f"st = {wanted}")) == []


@pytest.mark.parametrize(("unit", "codes"), [("A", []), ("mg/L", []), (None, ["config.two-meanings"]), ("kPa", None)])
def test_a_code_with_two_meanings_wants_a_unit(
    find: Find, site_text: str, unit: str | None, codes: list[str] | None
) -> None:
    more = "" if unit is None else f'unit = "{unit}"'
    found = find(with_point(site_text, more, "e70101").replace("st = 32", "st = 52"))
    if codes is None:
        assert [(p.code, p.params["allowed"]) for p in found] == [("config.unit", "A, mg/L")]
    else:
        assert [p.code for p in found] == codes


def test_conditions_may_have_the_mn_of_the_outlet_beside_them(find: Find, site_text: str) -> None:
    mn = 'mn = "010000A8900016F000169DC0", password = "4Xp9sQ"'
    outlet = '[outlets.gk]\nname = "工况"\nst = 52\nstatistics = "water"\n'
    text = site_text.replace("[lines.rs485-1]", f"{outlet}\n[lines.rs485-1]")
    text = text.replace('factor = "w01018"', 'factor = "w01018"\n  outlet = "ww1"')
    text = text.replace("outlets = { ww1 =", f"outlets = {{ gk = {{ {mn} }}, ww1 =")
    assert find(text) == []
    assert [p.code for p in find(text.replace("st = 52", "st = 32"))] == ["config.same-mn"]
