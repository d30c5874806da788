"""Actions and infos in the site file: what arrives, what models bring, and what is refused with line and key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from config.controls import Until, outlets_of
from config.edit import get_key, set_key
from config.load import load
from config.plain import from_plain, to_plain
from config.problem import Problem
from drivers.modbus import PointOptions, WriteOptions
from drivers.simulated import site_blocks

Find = Callable[[str], list[Problem]]

CONTROLS = """
  [instruments.cod.actions.zero-span]
  write = [{ function = 6, register = 100, value = 1 }, { register = 102, type = "bcd", function = 16, value = "{now_bcd}" }]
  until = { function = 3, register = 101, type = "uint16", equals = 0, timeout = "20min", every = "5s" }
  [instruments.cod.actions.serial-number]
  read = [{ register = 110, type = "text", words = 12 }]
  [[instruments.cod.infos]]
  info = "i13004"
  register = 120
  type = "uint16"
  scale = 0.1
  writable = true
  [[instruments.cod.infos]]
  info = "i12001"
  register = 101
  type = "uint16"
  map = { 1 = 0, 3 = 2 }
"""  # noqa: E501 - a write is one line in a site file
AFTER = "  range = [0, 500]\n"


@pytest.fixture
def text(site_text: str) -> str:
    """The sound site with actions and infos; their first line is 24."""
    return site_text.replace(AFTER, AFTER + CONTROLS)


def test_controls_arrive_with_the_drivers_options(find: Find, tmp_path: Path, text: str) -> None:
    assert find(text) == []
    site = load(tmp_path / "site.toml")
    cod = site.instruments["cod"]
    action = cod.actions["zero-span"]
    assert [write.options for write in action.write] == [
        WriteOptions(function=6, register=100),
        WriteOptions(function=16, register=102, type="bcd"),
    ]
    assert [write.value for write in action.write] == [1.0, "{now_bcd}"]
    assert action.until == Until(
        equals=0.0, timeout=1_200_000, every=5_000, options=PointOptions(register=101, type="uint16")
    )
    assert cod.actions["serial-number"].read[0].options == PointOptions(register=110, type="text", words=12)
    assert [(info.info, info.outlet, info.map) for info in cod.infos] == [
        ("i13004", "ww1", None),
        ("i12001", "ww1", {"1": 0, "3": 2}),
    ]
    assert from_plain(json.loads(json.dumps(to_plain(site)))) == site


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "code"),
    [
        ("actions.zero-span", "actions.zero-spam", 25, "actions.zero-spam", "config.unknown-action"),
        ("function = 6,", "function = 7,", 26, "actions.zero-span.write.1.function", "config.choice"),
        ("register = 100,", "registr = 100,", 26, "actions.zero-span.write.1.registr", "config.unknown-key"),
        ("value = 1 ", "valu = 1 ", 26, "actions.zero-span.write.1.valu", "config.unknown-key"),
        ("value = 1 ", "value = 65536 ", 26, "actions.zero-span.write.1", "drivers.modbus.value"),
        ("value = 1 ", 'value = "on" ', 26, "actions.zero-span.write.1.value", "config.digits"),
        ("value = 1 ", "value = true ", 26, "actions.zero-span.write.1.value", "config.type.list-or-number-or-text"),
        ("{now_bcd}", "{now_bdc}", 26, "actions.zero-span.write.2.value", "config.fill"),
        ("{now_bcd}", "{ctime}", 26, "actions.zero-span.write.2.value", "config.fill"),
        ('"5s" }', '"5" }', 27, "actions.zero-span.until.every", "config.duration"),
        ("equals = 0", "equal = 0", 27, "actions.zero-span.until.equal", "config.unknown-key"),
        ('type = "text", words', "words", 29, "actions.serial-number.read.1.type", "config.missing-choice"),
        ("words = 12", "words = 63", 29, "actions.serial-number.read.1.words", "config.between"),
        ("  read = [{", "  mark = 5\n  read = [{", 29, "actions.serial-number.mark", "config.type.text"),
        ("  read = [{", '  mark = "Q"\n  read = [{', 29, "actions.serial-number.mark", "config.mark"),
        ("actions.serial-number", "actions.get-cycle", 29, "actions.get-cycle.read", "config.action-reads"),
        ('"i13004"', '"13004"', 31, "infos.13004.info", "config.form.info"),
        ('"i12001"', '"i13004"', 37, "infos.2.info", "config.same-info"),
        ("register = 120", "function = 4\n  register = 120", 30, "infos.i13004", "drivers.modbus.read-only"),
        ("1 = 0", "a = 0", 40, "infos.i12001.map.a", "config.form.code"),
        ("1 = 0", "1 = 0.5", 40, "infos.i12001.map.1", "config.type.integer"),
        ("scale = 0.1", "scale = 0", 34, "infos.i13004.scale", "config.scale"),
        ("scale = 0.1", 'outlet = "ww2"', 34, "infos.i13004.outlet", "config.unknown-outlet"),
    ],
)
def test_wrong_control_is_reported_with_line_key_and_code(
    find: Find, text: str, old: str, new: str, line: int, key: str, code: str
) -> None:
    assert text.count(old) == 1
    found = [(p.line, p.key, p.code) for p in find(text.replace(old, new)) if not p.warning]
    assert found == [(line, f"instruments.cod.{key}", code)]


def test_unknown_action_comes_with_the_nearest(find: Find, text: str) -> None:
    (problem,) = find(text.replace("actions.zero-span", "actions.zero-spam"))
    assert problem.params["nearest"] == "zero-span"


def test_with_two_outlets_an_info_takes_that_of_the_instruments_points(find: Find, tmp_path: Path, text: str) -> None:
    second = '[outlets.ww2]\nname = "x"\nst = 32\nstatistics = "water"\n\n[lines.rs485-1]'
    two = text.replace("[lines.rs485-1]", second).replace("register = 0\n", 'register = 0\n  outlet = "ww2"\n')
    assert find(two) == []
    assert {info.outlet for info in load(tmp_path / "site.toml").instruments["cod"].infos} == {"ww2"}


def test_unknown_info_is_a_warning(find: Find, text: str) -> None:
    (problem,) = find(text.replace('"i13004"', '"i13zzz"'))
    assert (problem.code, problem.warning) == ("config.unknown-info", True)


def test_action_that_does_nothing_is_an_error(find: Find, text: str) -> None:
    (problem,) = find(text.replace('read = [{ register = 110, type = "text", words = 12 }]', ""))
    assert (problem.line, problem.code) == (28, "config.action-empty")


def test_model_brings_actions_and_infos_and_the_file_replaces_them_by_name(
    find: Find, tmp_path: Path, text: str
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "m.toml").write_text(
        """\
[model]
driver = "modbus"
[[infos]]
info = "i13004"
register = 1
type = "uint16"
[[infos]]
info = "i13005"
register = 2
type = "uint16"
[actions.zero-span]
write = [{ register = 1, value = 1 }]
[actions.clean]
write = [{ register = 2, value = 1 }]
""",
        encoding="utf-8",
    )
    assert find(text.replace("address = 1", 'address = 1\nmodel = "m"')) == []
    cod = load(tmp_path / "site.toml").instruments["cod"]
    assert [(info.info, info.options.register) for info in cod.infos] == [
        ("i13005", 2),
        ("i13004", 120),
        ("i12001", 101),
    ]
    assert {name: action.write[0].options.register for name, action in cod.actions.items() if action.write} == {
        "clean": 2,
        "zero-span": 100,
    }
    model = tmp_path / "models" / "m.toml"
    model.write_text(model.read_text("utf-8").replace("register = 2, value", "register = 70000, value"), "utf-8")
    (problem,) = find((tmp_path / "site.toml").read_text("utf-8"))
    assert (problem.line, problem.key) == (17, "instruments.cod.actions.clean.write.1.register")


def test_info_is_shown_and_set_by_its_id(find: Find, tmp_path: Path, text: str) -> None:
    find(text)
    path = tmp_path / "site.toml"
    set_key(path, "instruments.cod.infos.i13004.scale", "0.2")
    (setting,) = get_key(path, "instruments.cod.infos.i13004.scale")
    assert (setting.value, setting.line) == (0.2, 34)
    shown = {s.key: s.value for s in get_key(path, "instruments.cod")}
    assert shown["instruments.cod.actions.zero-span.write.1.register"] == 100
    assert shown["instruments.cod.infos.i12001.map"] == {"1": 0, "3": 2}


def test_instrument_with_actions_alone_is_no_oversight(find: Find, site_text: str) -> None:
    sampler = """
[instruments.sampler]
line = "rs485-1"
driver = "modbus"
address = 9
outlet = "ww1"
  [instruments.sampler.actions.keep-sample]
  write = [{ register = 1, value = 1 }]
"""
    assert find(site_text.replace("[platforms.city]", sampler + "[platforms.city]")) == []


def test_simulated_instruments_declare_what_checks(find: Find, site_text: str, tmp_path: Path) -> None:
    before, after = site_text.partition("[lines.rs485-1]")[0], site_text[site_text.index("[platforms.city]") :]
    assert [p for p in find(before + site_blocks("water", "/dev/ttyS0", "ww1") + after) if not p.warning] == []
    site = load(tmp_path / "site.toml")
    analyzers = [one for name, one in site.instruments.items() if name != "blower"]
    assert len(analyzers) == 6
    assert all(len(one.actions) == 11 and len(one.infos) == 3 for one in analyzers)
    assert not site.instruments["blower"].actions
    assert outlets_of(site.instruments["cod"], site.outlets) == {"ww1"}


FILED = """
[[instruments.cod.infos]]
info = "i13001"
register = 20
type = "uint16"
[[instruments.cod.infos]]
info = "i13008"
factor = "w01018"
register = 21
type = "uint16"
[[instruments.cod.infos]]
info = "i13008"
factor = "w01019"
register = 22
type = "uint16"
[[instruments.cod.filed]]
"""
RANGE = 'parameter = "i13001"\nvalue = 200\n'


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ('parameter = "i13001"\nvalue = 200', None),
        ('parameter = "i13001"\nvalue = "200"\nfiled_on = "2026-03-01"', None),
        ('parameter = "i13008"\nfactor = "w01019"\nvalue = 1', None),
        ('parameter = "i13008"\nvalue = 1', "config.filed-which"),
        ('parameter = "i13009"\nvalue = 1', "config.filed-no-info"),
        ('parameter = "i13001"\nvalue = 1\nfiled_on = "2026-02-30"', "config.form.date"),
        (f"{RANGE}[[instruments.cod.filed]]\n{RANGE}", "config.filed-twice"),
        (f'{RANGE}[[outlets.ww1.filed]]\nparameter = "aera"\nvalue = 2', "config.filed-constant"),
        (f'{RANGE}[[outlets.ww1.filed]]\nparameter = "area"\nvalue = 2', None),
    ],
)
def test_what_is_filed_must_be_one_parameter_that_the_site_has(
    find: Find, site_text: str, rows: str, code: str | None
) -> None:
    assert [each.code for each in find(site_text + FILED + rows)] == ([code] if code else [])
