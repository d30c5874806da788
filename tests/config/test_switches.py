"""What a site file says of derived points, stop sources and maintenance switches."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from config.problem import Problem

Find = Callable[[str], list[Problem]]

MORE = """
[[outlets.ww1.derived]]
factor = "w01017"
formula = "w01018 * 0.6 + 2"
unit = "mg/L"

[[outlets.ww1.derived]]
factor = "w21003"
value = 12.5

[outlets.ww1.stop]
point = "ww1/pump"
stopped = 2
running = 5

[[maintenance.switches]]
point = "ww1/pump"
instruments = ["cod"]

[instruments.io]
line = "rs485-1"
driver = "modbus"
address = 9
  [[instruments.io.points]]
  factor = "pump"
  internal = true
  register = 0
  type = "uint16"
"""


def test_derived_points_and_switches_check_without_a_finding(find: Find, site_text: str) -> None:
    assert find(site_text + MORE) == []


@pytest.mark.parametrize(
    ("old", "new", "key", "code", "params"),
    [
        (
            '"w01018 * 0.6 + 2"',
            '"w01018 * 0.6 +"',
            "outlets.ww1.derived.1.formula",
            "config.formula.value",
            {"column": 15},
        ),
        (
            '"w01018 * 0.6 + 2"',
            '"1 + w0101"',
            "outlets.ww1.derived.1.formula",
            "config.formula.factor",
            {"column": 5, "nearest": "w01018"},
        ),
        (
            '"w01018 * 0.6 + 2"',
            '"w21003 + 1"',
            "outlets.ww1.derived.1.formula",
            "config.formula.factor",
            {"got": "w21003"},
        ),
        ('"w01017"', '"w01018"', "outlets.ww1.derived.1.factor", "config.derived-twice", {}),
        ('"w01017"', '"w0101x"', "outlets.ww1.derived.1.unit", None, {}),
        ('"mg/L"\n\n', '"kPa"\n\n', "outlets.ww1.derived.1.unit", "config.unit", {}),
        ("value = 12.5", "", "outlets.ww1.derived.2", "config.derived-one", {}),
        ("value = 12.5", 'value = 12.5\nformula = "1"', "outlets.ww1.derived.2", "config.derived-one", {}),
        ("running = 5", "running = 2", "outlets.ww1.stop.running", "config.switch-levels", {}),
        (
            'point = "ww1/pump"\nstopped',
            'point = "ww1/pum"\nstopped',
            "outlets.ww1.stop.point",
            "config.unknown-point",
            {"nearest": "ww1/pump"},
        ),
        ('point = "ww1/pump"\nstopped', 'point = "pump"\nstopped', "outlets.ww1.stop.point", "config.form.point", {}),
        ('["cod"]', '["cdo"]', "maintenance.switches.1.instruments", "config.unknown-instrument", {"nearest": "cod"}),
    ],
)
def test_what_is_wrong_is_said_at_its_key(
    find: Find, site_text: str, old: str, new: str, key: str, code: str | None, params: dict[str, object]
) -> None:
    assert old in MORE
    errors = [problem for problem in find(site_text + MORE.replace(old, new, 1)) if not problem.warning]
    if code is None:
        assert errors == []
        return
    (found,) = [problem for problem in errors if problem.code == code]
    assert found.key == key
    assert found.line is not None
    assert params.items() <= found.params.items()


def test_a_formula_without_a_factor_is_a_warning(find: Find, site_text: str) -> None:
    (found,) = find(site_text + MORE.replace("w01018 * 0.6 + 2", "1 + 2"))
    assert (found.code, found.warning) == ("config.formula.constant", True)
