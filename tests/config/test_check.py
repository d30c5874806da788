"""What the tables of a site say about each other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from config.problem import Problem

Find = Callable[[str], list[Problem]]

GAS = """
[outlets.fg1]
name = "烟囱"
st = 31
statistics = "gas"
[instruments.tpv]
line = "rs485-1"
driver = "modbus"
address = 2
  [[instruments.tpv.points]]
  factor = "a01011"
  outlet = "fg1"
  register = 0
  type = "float32"
"""
SECOND = """
[instruments.two]
line = "rs485-1"
driver = "modbus"
address = 2
  [[instruments.two.points]]
  factor = "w21003"
  register = 0
  type = "float32"
"""
PLATFORM = """
[platforms.two]
edition = "2017"
address = "127.0.0.1:9212"
outlets = { ww1 = { mn = "010000A8900016F000169DC0", password = "4Xp9sQ" } }
"""


def brief(problems: list[Problem]) -> list[tuple[int | None, str, str, bool]]:
    return [(p.line, p.key, p.code, p.warning) for p in problems]


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "code"),
    [
        ('line = "rs485-1"', 'line = "rs485-2"', 14, "instruments.cod.line", "config.unknown-line"),
        ('driver = "modbus"', 'driver = "modbs"', 15, "instruments.cod.driver", "config.unknown-driver"),
        ('driver = "modbus"', 'model = "hach-codmx"', 15, "instruments.cod.model", "config.unknown-model"),
        ("address = 1", 'outlet = "ww2"', 16, "instruments.cod.outlet", "config.unknown-outlet"),
        ('every = "5s"', 'every = "7s"', 17, "instruments.cod.every", "config.every"),
        ('"w01018"', '"w0101O"', 19, "instruments.cod.points.w0101O.unit", None),
        ('unit = "mg/L"', 'unit = "kPa"', 22, "instruments.cod.points.w01018.unit", "config.unit"),
        ('unit = "mg/L"', 'outlet = "ww2"', 22, "instruments.cod.points.w01018.outlet", "config.unknown-outlet"),
        ("[0, 500]", "[500, 500]", 23, "instruments.cod.points.w01018.range", "config.range"),
        ("[0, 500]", "[0, 500]\nscale = 0", 24, "instruments.cod.points.w01018.scale", "config.scale"),
        ("127.0.0.1:9212", "127.0.0.1:70000", 27, "platforms.city.address", "config.port"),
        ('"60s"', '"60s"\nconnect_from = "2026-02-30"', 29, "platforms.city.connect_from", "config.form.date"),
        ("{ ww1 =", "{ ww2 =", 29, "platforms.city.outlets.ww2", "config.unknown-outlet"),
        ('"water"', '"water"\naveraging = ["N", "X"]', 8, "outlets.ww1.averaging", "config.mark"),
    ],
)
def test_error_between_tables_has_line_key_and_code(
    find: Find, site_text: str, old: str, new: str, line: int, key: str, code: str | None
) -> None:
    assert old in site_text
    errors = [p for p in find(site_text.replace(old, new, 1)) if not p.warning]
    if code is None:
        assert errors == []
    else:
        assert (line, key, code, False) in brief(errors)


def test_unknown_name_comes_with_the_nearest(find: Find, site_text: str) -> None:
    (problem,) = find(site_text.replace('line = "rs485-1"', 'line = "rs485-2"'))
    assert problem.params == {"got": "rs485-2", "nearest": "rs485-1", "allowed": "rs485-1"}


def test_unknown_factor_without_unit_is_an_error_that_names_the_nearest(find: Find, site_text: str) -> None:
    text = site_text.replace('"w01018"', '"w0101"').replace('  unit = "mg/L"\n', "")
    (problem,) = find(text)
    assert (problem.line, problem.code, problem.warning) == (19, "config.unknown-factor", False)
    assert problem.params["nearest"].startswith("w0101")


def test_private_factor_with_a_unit_is_a_warning(find: Find, site_text: str) -> None:
    (problem,) = find(site_text.replace('"w01018"', '"z99999"'))
    assert (problem.line, problem.code, problem.warning) == (19, "config.private-factor", True)


@pytest.mark.parametrize("unit", ["ug/L", "µg/L", "mg/m³", "g/m3"])
def test_unit_of_the_same_kind_as_the_factors_is_fine(find: Find, site_text: str, unit: str) -> None:
    assert find(site_text.replace('unit = "mg/L"', f'unit = "{unit}"')) == []


def test_factor_twice_at_an_outlet_is_an_error_at_the_second(find: Find, site_text: str) -> None:
    text = site_text + SECOND.replace("w21003", "w01018")
    errors = [p for p in find(text) if not p.warning]
    line = text.split("\n").index('  factor = "w01018"', 25) + 1
    assert brief(errors) == [(line, "instruments.two.points.w01018.factor", "config.same-factor", False)]
    assert errors[0].params["other"] == "instruments.cod.points.w01018"


def test_same_address_on_a_line_is_a_warning(find: Find, site_text: str) -> None:
    (problem,) = find(site_text + SECOND.replace("address = 2", "address = 1"))
    assert (problem.key, problem.code, problem.warning) == ("instruments.two.address", "config.same-address", True)


def test_two_lines_on_one_port_are_an_error(find: Find, site_text: str) -> None:
    (problem,) = find(site_text + '[lines.b]\nport = "/dev/ttyS0"\n')
    assert (problem.line, problem.key, problem.code) == (31, "lines.b.port", "config.same-port")


def test_option_that_the_driver_refuses_is_reported_at_its_point(find: Find, site_text: str) -> None:
    (problem,) = find(site_text.replace("register = 0", "register = 0\n  bit = 3"))
    assert (problem.line, problem.key) == (18, "instruments.cod.points.w01018")
    assert problem.code == "drivers.modbus.bit"


def test_address_that_the_driver_refuses_is_reported_at_the_address(find: Find, site_text: str) -> None:
    (problem,) = find(site_text.replace("address = 1", 'address = "one"'))
    assert (problem.line, problem.key, problem.code) == (16, "instruments.cod.address", "drivers.modbus.address")


def test_velocity_without_duct_area_is_a_warning(find: Find, site_text: str) -> None:
    text = site_text.replace('unit = "mg/L"', 'unit = "mg/L"\n  outlet = "ww1"') + GAS
    assert [(p.key, p.code, p.warning) for p in find(text)] == [("outlets.fg1.gas.area", "config.no-area", True)]
    assert find(text.replace("[instruments.tpv]", "gas.area = 2.5\n[instruments.tpv]")) == []


def test_with_two_outlets_a_point_must_name_its_own(find: Find, site_text: str) -> None:
    problems = find(site_text + GAS)
    assert ("instruments.cod.points.w01018.outlet", "config.outlet-needed") in [(p.key, p.code) for p in problems]


@pytest.mark.parametrize(
    ("old", "new", "key", "code"),
    [
        ("010000A8900016F000169DC0", "88888", "platforms.city.outlets.ww1.mn", "config.mn-form"),
        ("010000A8900016F000169DC0", "010000a8900016f000169dc0", "platforms.city.outlets.ww1.mn", "config.mn-form"),
        ("4Xp9sQ", "123456", "platforms.city.outlets.ww1.password", "config.password-default"),
        ("4Xp9sQ", "", "platforms.city.outlets.ww1.password", "config.password-length"),
        ('realtime = "60s"', 'role = "other"', "platforms", "config.no-official"),
        ("st = 32", "st = 99", "outlets.ww1.st", "config.st"),
        ("[0, 500]", "[0, 500]\nlimit = 40\nwarn = 50", "instruments.cod.points.w01018.warn", "config.warn"),
        ('every = "5s"', 'every = "60s"', "instruments.cod.silence", "config.silence"),
    ],
)
def test_deviation_is_a_warning_and_the_file_still_loads(
    find: Find, site_text: str, old: str, new: str, key: str, code: str
) -> None:
    assert [(p.key, p.code, p.warning) for p in find(site_text.replace(old, new, 1))] == [(key, code, True)]


def test_same_mn_twice_at_one_address_is_a_warning(find: Find, site_text: str) -> None:
    (problem,) = find(site_text + PLATFORM)
    assert (problem.key, problem.code) == ("platforms.two.outlets.ww1.mn", "config.same-mn")
    assert problem.params["other"] == "platforms.city.outlets.ww1"


OLD = """
[platforms.old]
edition = "2005"
address = "127.0.0.1:9213"
outlets = { ww1 = { mn = "88888880000001", password = "4Xp9sQ" } }
"""


def of_edition(problems: list[Problem]) -> list[tuple[int | None, str, str, bool]]:
    codes = ("config.mn-form", "config.mn-form-2005", "config.no-code-2005")
    return [one for one in brief(problems) if one[2] in codes]


def test_a_platform_of_2005_has_its_own_form_of_mn(find: Find, site_text: str) -> None:
    assert of_edition(find(site_text + OLD)) == []
    wrong = of_edition(find(site_text + OLD.replace("88888880000001", "010000A8900016F000169DC0")))
    assert [(key, code, is_warning) for _, key, code, is_warning in wrong] == [
        ("platforms.old.outlets.ww1.mn", "config.mn-form-2005", True)
    ]


def test_a_factor_that_2005_has_no_code_for_is_a_warning_at_its_point(find: Find, site_text: str) -> None:
    without = site_text.replace('"w01018"', '"w01009"')  # dissolved oxygen: Annex B of 2005 has none
    ((line, key, code, is_warning),) = of_edition(find(without + OLD))
    assert (key, code, is_warning) == ("instruments.cod.points.w01009.factor", "config.no-code-2005", True)
    assert line is not None
    assert '"w01009"' in without.splitlines()[line - 1]
    assert of_edition(find(without)) == []


STATE = """
  [[instruments.cod.states]]
  register = 8
  type = "uint16"
  marks = { 0x0044 = "D" }
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "code"),
    [
        ('"D"', '"Q"', 6, "instruments.cod.states.1.marks", "config.mark"),
        ("0x0044", '"a b"', 6, "instruments.cod.states.1.marks.a b", "config.form.state"),
        ("0x0044", "fault", 6, "instruments.cod.states.1.marks", "config.state-code"),
        ("register = 8", 'register = 8\n  other = "?"', 7, "instruments.cod.states.1.marks", "config.mark"),
        ("marks", 'factors = ["w21003"]\n  marks', 6, "instruments.cod.states.1.factors", "config.state-factor"),
        ("register = 8", "register = 8\n  bits = [0, 16]", 3, "instruments.cod.states.1", "drivers.modbus.bits"),
        ("register = 8", "registr = 8", 4, "instruments.cod.states.1.registr", "config.unknown-key"),
    ],
)  # fmt: skip
def test_faults_of_a_state_are_told_at_its_line(
    find: Find, site_text: str, old: str, new: str, line: int, key: str, code: str
) -> None:
    at = site_text.index("\n[platforms")
    lines = site_text[:at].count("\n")
    problems = [p for p in find(site_text[:at] + STATE.replace(old, new) + site_text[at:]) if not p.warning]
    assert [((p.line or 0) - lines + 1, p.key.replace('"', ""), p.code) for p in problems] == [(line, key, code)]


@pytest.mark.parametrize(
    ("marks", "codes"),
    [
        ('{ 00 = "N", 01 = "M", 0x0044 = "D" }', []),
        ('{ 0 = "N", 00 = "D" }', ["config.state-twice"] * 2),
        ('{ 10 = "N", 0x0A = "D" }', ["config.state-twice"] * 2),
        ('{ 0 = "N", 0x4G = "D" }', ["config.state-code"]),
    ],
)
def test_codes_of_a_state_that_is_a_number_are_numbers_each_once(
    find: Find, site_text: str, marks: str, codes: list[str]
) -> None:
    at = site_text.index("\n[platforms")
    text = site_text[:at] + STATE.replace('{ 0x0044 = "D" }', marks) + site_text[at:]
    assert [problem.code for problem in find(text) if not problem.warning] == codes


@pytest.mark.parametrize(
    ("scaled", "codes"),
    [
        ("scale = 0.00024414435\noffset = 4.0", ["config.current-blind"]),  # 0…65535 are 4…20 mA
        ("scale = 0.00061036087\noffset = -20.0", []),  # … −20…20 mA
        ("scale = 0.001", []),
    ],
)
def test_a_current_that_cannot_show_a_broken_wire_is_warned_of(
    find: Find, site_text: str, scaled: str, codes: list[str]
) -> None:
    text = site_text.replace("range = [0, 500]", f"current = [0, 500]\n{scaled}").replace('"float32"', '"uint16"')
    assert [problem.code for problem in find(text) if "current" in problem.code] == codes


def test_a_range_of_a_current_rises(find: Find, site_text: str) -> None:
    (problem,) = find(site_text.replace("range = [0, 500]", "current = [500, 0]"))
    assert (problem.key, problem.code) == ("instruments.cod.points.w01018.current", "config.range")


FLOW_METER = """
[instruments.flow]
line = "rs485-1"
driver = "modbus"
address = 6
  [[instruments.flow.points]]
  factor = "w00000"
  register = 0
  type = "float32"
  range = [0, 200]
  [[instruments.flow.points]]
  factor = "w00000"
  kind = "total"
  register = 2
  type = "uint32"
"""
TOTAL_ONLY = FLOW_METER.partition("  [[")[0] + FLOW_METER[FLOW_METER.rindex("  [[") :]
BY_TOTAL = '[outlets.ww1.water]\nflow_from = "totaliser"\n'


def test_flow_and_its_totaliser_stand_side_by_side(find: Find, site_text: str) -> None:
    assert find(site_text + FLOW_METER) == find(site_text)
    assert find(site_text + FLOW_METER + BY_TOTAL) == find(site_text)


@pytest.mark.parametrize(
    ("more", "key", "code"),
    [
        (BY_TOTAL, "outlets.ww1.water.flow_from", "config.no-total"),
        (TOTAL_ONLY, "outlets.ww1.water.flow_from", "config.no-flow"),
        (TOTAL_ONLY + BY_TOTAL, "outlets.ww1.water.flow_from", "config.no-max-flow"),
        (
            FLOW_METER.replace("  range = [0, 200]\n", "") + BY_TOTAL,
            "outlets.ww1.water.flow_from",
            "config.no-max-flow",
        ),
        (FLOW_METER + '  unit = "L/s"\n', "instruments.flow.points.2.unit", "config.unit"),
        (
            FLOW_METER + FLOW_METER[FLOW_METER.rindex("  [[") :],
            "instruments.flow.points.3.factor",
            "config.same-factor",
        ),
        (GAS + '  kind = "total"\n', "instruments.tpv.points.a01011.kind", "config.total-factor"),
    ],
)
def test_totaliser_that_could_give_no_volume_is_refused(
    find: Find, site_text: str, more: str, key: str, code: str
) -> None:
    assert (key, code, False) in [(p.key, p.code, p.warning) for p in find(site_text + more)]


def test_keys_of_a_totaliser_elsewhere_are_warned_of(find: Find, site_text: str) -> None:
    found = find(site_text.replace("[0, 500]", "[0, 500]\nrollover = 1000"))
    assert ("config.total-only", True) in [(p.code, p.warning) for p in found]


def test_point_of_the_file_overrides_the_totaliser_of_the_model_and_not_its_flow(
    find: Find, site_text: str, tmp_path: Path
) -> None:
    (tmp_path / "models").mkdir()
    points = FLOW_METER[FLOW_METER.index("  [[") :].replace("instruments.flow.", "").replace("  range = [0, 200]\n", "")
    (tmp_path / "models" / "mine.toml").write_text(f'[model]\ndriver = "modbus"\n{points}', encoding="utf-8")
    model = '[instruments.flow]\nline = "rs485-1"\nmodel = "mine"\naddress = 6\n'
    assert [p.code for p in find(site_text + model + BY_TOTAL)] == ["config.no-max-flow"]
    point = '  [[instruments.flow.points]]\n  factor = "w00000"\n  kind = "total"\n  max_flow = 100\n'
    assert find(site_text + model + point + BY_TOTAL) == find(site_text)


BATCH = '[0, 500]\nbatch = "held"\nnew_result = "time-register"\nsampled = [{ register = 9, type = "bcd", words = 3 }]'
CHANGED = BATCH[BATCH.index("batch") : BATCH.index(" = [{")]


def test_batch_analyzer_with_what_it_needs_checks(find: Find, site_text: str) -> None:
    assert find(site_text.replace("[0, 500]", BATCH)) == find(site_text)
    assert find(site_text.replace("[0, 500]", BATCH.replace("held", "assigned"))) == find(site_text)


@pytest.mark.parametrize(
    ("old", "new", "key", "code"),
    [
        ('new_result = "time-register"', "", "batch", "config.batch-needs"),
        ("time-register", "counter", "batch", "config.batch-needs"),
        ("time-register", "state", "batch", "config.batch-needs"),
        ("sampled = [", "completed = [", "batch", None),
        ("sampled", 'result_kinds = { 0 = "sample" }\nsampled', "result_kinds", "config.batch-needs"),
        ("sampled", 'result_code = { register = 3, type = "uint16" }\nsampled', "result_code", "config.batch-needs"),
        ("words = 3 }]", "words = 3 }, { register = 12, type = 'uint16' }]", "sampled", "config.time-parts"),
        ("words = 3", "words = 9", "sampled.1", "drivers.modbus.bcd-words"),
        ("words = 3", "word = 3", "sampled.1.word", "config.unknown-key"),
        ('"held"', '"assigned"\nkind = "total"', "batch", "config.batch-needs"),
        (CHANGED, 'batch = "assigned"\nnew_result = "change"\nclock', "batch", "config.batch-needs"),
        ('"held"', '"sometimes"', "batch", "config.choice"),
        ('"held"', '"held"\ncycle = "1min"', "cycle", "config.between"),
    ],
)  # fmt: skip
def test_batch_analyzer_that_lacks_something_is_refused(
    find: Find, site_text: str, old: str, new: str, key: str, code: str | None
) -> None:
    assert old in BATCH
    found = [p for p in find(site_text.replace("[0, 500]", BATCH.replace(old, new))) if not p.warning]
    if code is None:
        assert found == []
    else:
        assert (f"instruments.cod.points.w01018.{key}", code) in [(p.key, p.code) for p in found]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('[0, 500]\nnew_result = "change"', "config.batch-only"),
        (BATCH.replace("held", "assigned") + '\ncycle = "4h"', "config.assigned-cycle"),
    ],
)
def test_batch_keys_that_do_not_fit_are_warned_of(find: Find, site_text: str, text: str, code: str) -> None:
    assert (code, True) in [(p.code, p.warning) for p in find(site_text.replace("[0, 500]", text))]
