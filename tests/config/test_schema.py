"""What the schema refuses, each with its line, key and code; and what it fills in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.load import load
from config.problem import Problem, toml_text
from config.schema import json_schema
from config.shape import OPTIONS, keys
from drivers import registry
from drivers.modbus import PointOptions

Find = Callable[[str], list[Problem]]


def test_sound_file_has_no_problem(find: Find, site_text: str) -> None:
    assert find(site_text) == []


def test_site_without_lines_instruments_and_platforms_is_sound(find: Find) -> None:
    assert find('[site]\nname = "x"\n') == []


def test_windows_file_with_byte_order_mark_and_crlf_is_sound(tmp_path: Path, site_text: str) -> None:
    path = tmp_path / "site.toml"
    path.write_bytes(b"\xef\xbb\xbf" + site_text.replace("\n", "\r\n").encode())
    assert load(path).site.name == "示例"


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "code"),
    [
        ('name = "示例"', "name = 5", 2, "site.name", "config.type.text"),
        ('name = "示例"', "", 1, "site.name", "config.missing"),
        ("st = 32", 'st = "WATER"', 6, "outlets.ww1.st", "config.form.st"),
        ('"water"', '"watr"', 7, "outlets.ww1.statistics", "config.choice"),
        ("baud = 9600", 'baud = "9600"', 11, "lines.rs485-1.baud", "config.type.integer"),
        ("baud = 9600", "baud = 9600.0", 11, "lines.rs485-1.baud", "config.type.integer"),
        ("baud = 9600", "baud = 10", 11, "lines.rs485-1.baud", "config.between"),
        ("baud = 9600", 'format = "8X1"', 11, "lines.rs485-1.format", "config.form.format"),
        ("baud = 9600", "gap = 5", 11, "lines.rs485-1.gap", "config.duration"),
        ("address = 1", "address = 256", 16, "instruments.cod.address", "config.between"),
        ("address = 1", "address = true", 16, "instruments.cod.address", "config.type.integer-or-text"),
        ("address = 1", "retries = 1.5", 16, "instruments.cod.retries", "config.type.integer"),
        ('every = "5s"', "block_max = 126", 17, "instruments.cod.block_max", "config.between"),
        ('every = "5s"', "blocks = [[3, 0]]", 17, "instruments.cod.blocks", "config.list-length"),
        ('every = "5s"', 'every = "5 s"', 17, "instruments.cod.every", "config.duration"),
        ("register = 0", "register = 65536", 20, "instruments.cod.points.w01018.register", "config.between"),
        ("register = 0", "", 18, "instruments.cod.points.w01018.register", "config.missing"),
        ('"float32"', '"float"', 21, "instruments.cod.points.w01018.type", "config.choice"),
        ("[0, 500]", "[0]", 23, "instruments.cod.points.w01018.range", "config.list-length"),
        ("[0, 500]", "[0, 500, 1]", 23, "instruments.cod.points.w01018.range", "config.list-length"),
        ("[0, 500]", "[0, nan]", 23, "instruments.cod.points.w01018.range", "config.type.number"),
        ('edition = "2017"', 'edition = "2025"', 26, "platforms.city.edition", "config.edition"),
        ('edition = "2017"', "edition = 2017", 26, "platforms.city.edition", "config.edition"),
        ('edition = "2017"', "", 25, "platforms.city.edition", "config.missing-choice"),
        ("127.0.0.1:9212", "127.0.0.1", 27, "platforms.city.address", "config.form.address"),
        ('"60s"', '"29s"', 28, "platforms.city.realtime", "config.between"),
        ('realtime = "60s"', 'minute = "7min"', 28, "platforms.city.minute", "config.choice"),
        (
            'realtime = "60s"',
            "acknowledge = 1",
            28,
            "platforms.city.acknowledge",
            "config.type.boolean-or-list",
        ),
        ('realtime = "60s"', 'acknowledge = ["x"]', 28, "platforms.city.acknowledge", "config.choice"),
        ('realtime = "60s"', "backfill_rate = -1", 28, "platforms.city.backfill_rate", "config.at-least"),
        ("010000A8900016F000169DC0", "a;b", 29, "platforms.city.outlets.ww1.mn", "config.form.mn"),
        ('"4Xp9sQ"', "123456", 29, "platforms.city.outlets.ww1.password", "config.type.text"),
        ("[lines.rs485-1]", '[lines."a b"]', 9, 'lines."a b"', "config.form.name"),
        ("[site]", "store = 5\n[site]", 1, "store", "config.type.table"),
    ],
)
def test_wrong_value_is_reported_with_line_key_and_code(
    find: Find, site_text: str, old: str, new: str, line: int, key: str, code: str
) -> None:
    assert old in site_text
    found = [(p.line, p.key, p.code) for p in find(site_text.replace(old, new, 1)) if not p.warning]
    assert (line, key, code) in found


def test_all_errors_come_at_once_also_those_between_tables(find: Find, site_text: str) -> None:
    text = site_text.replace("baud = 9600", "baud = 1").replace('"60s"', '"1s"').replace('"5s"', '"7s"')
    text = text.replace('line = "rs485-1"', 'line = "rs485-2"')
    assert [p.code for p in find(text)] == [
        "config.between",
        "config.unknown-line",
        "config.every",
        "config.between",
    ]


def test_bounds_of_a_duration_are_shown_as_durations(find: Find, site_text: str) -> None:
    (problem,) = find(site_text.replace('"60s"', '"2h"'))
    assert problem.params == {"got": '"2h"', "low": "30s", "high": "1h"}


@pytest.mark.parametrize("wrong", ["[0]", "[0, 1, 2]"])
def test_list_of_a_wrong_length_says_how_long_it_is(find: Find, site_text: str, wrong: str) -> None:
    (problem,) = find(site_text.replace("[0, 500]", wrong))
    assert problem.params == {"got": wrong, "allowed": 2}


def test_date_may_be_written_as_a_toml_date(find: Find, site_text: str) -> None:
    assert find(site_text.replace('realtime = "60s"', "connect_from = 2026-01-31")) == []


def test_integer_is_fine_where_a_number_is_asked_for(find: Find, site_text: str) -> None:
    assert find(site_text.replace("register = 0", "register = 0\nscale = 2")) == []


@pytest.mark.parametrize("wrong", ["123456", '"se;cret"', "[1, 2]", "{ a = 123456 }", "true"])
def test_password_is_in_no_message(find: Find, site_text: str, wrong: str) -> None:
    found = find(site_text.replace('"4Xp9sQ"', wrong))
    assert [p.key for p in found] == ["platforms.city.outlets.ww1.password"]
    assert found[0].params.get("got") == "***"


def test_access_written_as_the_bare_password_is_masked(find: Find, site_text: str) -> None:
    text = site_text.replace('{ mn = "010000A8900016F000169DC0", password = "4Xp9sQ" }', '"4Xp9sQ"')
    assert "4Xp9sQ" not in repr(find(text))


def test_misplaced_key_names_the_table_it_belongs_to(find: Find, site_text: str) -> None:
    (problem,) = find(site_text.replace('realtime = "60s"', 'password = "4Xp9sQ"'))
    assert (problem.line, problem.key, problem.code) == (
        28,
        "platforms.city.password",
        "config.misplaced-key",
    )
    assert problem.params["tables"] == "[platforms.NAME.outlets.NAME]"
    assert "4Xp9sQ" not in repr(problem)


def test_key_like_no_other_lists_what_is_allowed(find: Find, site_text: str) -> None:
    (problem,) = find(site_text.replace("baud = 9600", "zzzzzz = 1"))
    assert (problem.code, problem.params["allowed"]) == ("config.unknown-key-far", "port, baud, format, gap, rs485")


def test_options_is_no_key_of_the_file(find: Find, site_text: str) -> None:
    (problem,) = find(site_text.replace("register = 0", "register = 0\n  options = 1"))
    assert problem.key == "instruments.cod.points.w01018.options"


KEYS = [
    (number, line.split("=")[0].strip())
    for number, line in enumerate(Path(__file__).with_name("every_key.toml").read_text("utf-8").split("\n"), 1)
    if "=" in line and not line.startswith("#")
]


AMBIGUOUS = {"bit", "bottle", "state", "stat", "filed_o", "filed_n"}
"""Misspelt so, a key is another one, or as near to another one."""


def misspelt(key: str, how: int, where: int) -> str:
    at = where % len(key)
    if how == 0:
        return key[:at] + key[at + 1 :]
    if how == 1:
        return key[:at] + key[at] + key[at:]
    return key.upper() if key.upper() != key else key + "x"


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(KEYS), st.integers(0, 2), st.integers(0, 30))
def test_any_misspelt_key_is_reported_with_its_line_and_the_nearest_key(
    find: Find, place: tuple[int, str], how: int, where: int
) -> None:
    number, key = place
    lines = Path(__file__).with_name("every_key.toml").read_text("utf-8").split("\n")
    wrong = misspelt(key, how, where)
    if not wrong or wrong in AMBIGUOUS:
        return
    lines[number - 1] = lines[number - 1].replace(key, wrong, 1)
    errors = [p for p in find("\n".join(lines)) if p.code == "config.unknown-key"]
    assert [(p.line, p.key.rpartition(".")[2], p.params["nearest"]) for p in errors] == [(number, wrong, key)]


def test_every_key_file_is_sound(find: Find) -> None:
    text = Path(__file__).with_name("every_key.toml").read_text("utf-8")
    assert [p for p in find(text) if not p.warning] == []


def test_values_arrive_in_the_dataclasses(tmp_path: Path, site_text: str) -> None:
    path = tmp_path / "site.toml"
    path.write_text(site_text, encoding="utf-8")
    site = load(path)
    point = site.instruments["cod"].points[0]
    assert (site.outlets["ww1"].st, site.lines["rs485-1"].baud) == ("32", 9600)
    assert (point.outlet, point.range, point.options) == (
        "ww1",
        (0.0, 500.0),
        PointOptions(function=3, register=0, type="float32"),
    )
    assert (site.platforms["city"].realtime, site.platforms["city"].backfill) == (
        60_000,
        ("minute", "hour", "day"),
    )


@pytest.mark.parametrize("name", registry.names())
def test_no_key_of_a_driver_has_the_name_of_a_generic_one(name: str) -> None:
    """It would never reach the driver."""
    for table, attribute in OPTIONS.items():
        options = getattr(registry.driver_class(name), attribute, None)
        assert options is None or set(keys(options)) & set(keys(table)) == set(), (table, options)


def test_json_schema_is_json_and_knows_the_tables() -> None:
    schema = json.loads(json.dumps(json_schema()))
    tables = {"site", "outlets", "lines", "instruments", "platforms", "store", "maintenance", "contacts"}
    assert set(schema["properties"]) == tables
    assert schema["$defs"]["Line"]["additionalProperties"] is False
    assert "options" not in schema["$defs"]["Point"]["properties"]


def test_text_for_messages_is_one_line_of_toml() -> None:
    assert toml_text(['a\n"b"', 1.5, True, {"k": 1}]) == '["a\\u000A\\"b\\"", 1.5, true, {…}]'
