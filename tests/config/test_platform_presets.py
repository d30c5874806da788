"""Platform presets and what a link may want: laid under the file's keys, checked like them, shown with their origin."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from config.effective import settings
from config.load import examine, load, load_in_child
from config.platform_presets import names, preset
from config.problem import ConfigErrors, Problem
from edge.catalogue import text as text_of
from edge.catalogue import use_language
from edge.cli.platform import platform_group

Find = Callable[[str], list[Problem]]
CITY = '[platforms.city]\nedition = "2017"\n'
OWN = """\
[preset]
name_zh = "本市"
name_en = "our city"
grade = "seen-in-field"
notes = "{notes}"
[platform]
{keys}
"""


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    use_language("en")
    yield
    use_language(None)


@pytest.fixture
def site(tmp_path: Path, site_text: str) -> Callable[..., Path]:
    """A site file whose platform has more keys, beside its own presets."""

    def write(keys: str, **own: str) -> Path:
        (tmp_path / "platforms").mkdir(exist_ok=True)
        for name, content in own.items():
            (tmp_path / "platforms" / f"{name}.toml").write_text(content, encoding="utf-8")
        path = tmp_path / "site.toml"
        path.write_text(site_text.replace(CITY, CITY + keys + "\n"), encoding="utf-8")
        return path

    return write


def codes(path: Path) -> list[tuple[str, str]]:
    return [(problem.key, problem.code) for problem in examine(path).problems]


SHIPPED = {
    "answers-nothing": {"acknowledge": False, "no_answer": "keep"},
    "dust-2005-order": {"part_order": "pno-pnum"},
    "heartbeat-9015": {"heartbeat": "9015", "heartbeat_every": 60_000},
    "heartbeat-9021": {"heartbeat": "9021", "heartbeat_every": 60_000},
    "heartbeat-9021-login": {"heartbeat": "9021", "heartbeat_every": 0},
    "long-packets": {"segment_limit": 4096, "cp_limit": 4000},
    "modbus-crc-hi-lo": {"crc": "modbus-hi-lo"},
    "modbus-crc-lo-hi": {"crc": "modbus-lo-hi"},
    "slow-gateway": {"frame_gap": 3_000, "timeout": 15_000, "window": 1, "no_answer": "keep"},
}


def test_every_shipped_preset_is_known_here() -> None:
    assert set(names()) == set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_preset_checks_says_where_it_comes_from_and_sets_its_keys(
    site: Callable[..., Path], name: str
) -> None:
    found = preset(name)
    assert (found.grade, found.notes.isascii()) == ("from-notes", False)
    assert "Hint:" in found.notes
    path = site(f'preset = "{name}"')
    assert [code for _, code in codes(path) if code != "config.segment-long"] == []
    platform = load(path).platforms["city"]
    assert {key: getattr(platform, key) for key in SHIPPED[name]} == SHIPPED[name]
    assert load_in_child(path) == load(path)


def test_the_files_own_keys_stand_over_the_presets_and_each_shows_its_origin(site: Callable[..., Path]) -> None:
    path = site('preset = "slow-gateway"\ntimeout = "20s"')
    shown = {s.key.rpartition(".")[2]: s for s in settings(examine(path)) if s.key.startswith("platforms.city.")}
    assert (shown["timeout"].value, shown["timeout"].origin) == ("20s", "file")
    assert (shown["frame_gap"].value, shown["frame_gap"].origin) == ("3s", "preset")
    assert (shown["retries"].value, shown["retries"].origin) == (3, "default")
    assert (shown["preset"].value, shown["preset"].origin) == ("slow-gateway", "file")
    assert text_of("config.origin.preset", "en") == "platform preset"


def test_an_unknown_preset_is_an_error_with_the_nearest_name(find: Find, site_text: str) -> None:
    (problem,) = find(site_text.replace(CITY, CITY + 'preset = "heartbeet-9015"\n'))
    assert (problem.line, problem.key, problem.code) == (27, "platforms.city.preset", "config.unknown-preset")
    assert problem.params["nearest"] == "heartbeat-9015"
    assert not problem.warning


def test_a_sites_own_preset_goes_before_the_shipped_one(site: Callable[..., Path]) -> None:
    own = OWN.format(notes="seen", keys='tail = "lf"')
    path = site('preset = "slow-gateway"', **{"slow-gateway": own, "mine": own})
    assert load(path).platforms["city"].tail == "lf"
    assert load(path).platforms["city"].frame_gap == 0
    assert load(site('preset = "mine"')).platforms["city"].tail == "lf"


def test_what_is_wrong_in_a_preset_is_said_at_its_line(site: Callable[..., Path]) -> None:
    path = site('preset = "mine"', mine=OWN.format(notes="", keys='tial = "lf"\nwindow = 0'))
    assert codes(path) == [("platforms.city.tial", "config.unknown-key"), ("platforms.city.window", "config.between")]
    assert {problem.line for problem in examine(path).problems} == {27}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("[preset", "config.preset-file"),
        ('[preset]\nname = "x"', "config.preset-shape"),
        (OWN.format(notes="", keys="").replace("seen-in-field", "sure"), "config.preset-head"),
        (OWN.format(notes="", keys="") + "[more]\n", "config.preset-shape"),
        (OWN.format(notes="", keys='address = "127.0.0.1:1"'), "config.preset-key"),
        (OWN.format(notes="", keys='role = "rehearsal"'), "config.preset-key"),
    ],
)
def test_a_preset_file_that_is_not_sound_is_refused(site: Callable[..., Path], content: str, code: str) -> None:
    path = site('preset = "mine"', mine=content)
    assert codes(path) == [("platforms.city.preset", code)]
    with pytest.raises(ConfigErrors):
        load(path)


def test_presets_are_listed_for_people_and_programs(site: Callable[..., Path]) -> None:
    path = site("", mine=OWN.format(notes="seen at the office", keys='tail = "lf"'))
    shown = CliRunner().invoke(platform_group, ["presets", "-c", str(path)])
    assert shown.exit_code == 0
    assert 'tail = "lf"' in shown.output
    assert "seen in the field" in shown.output
    assert "mine: seen at the office" in shown.output
    listed = json.loads(CliRunner().invoke(platform_group, ["presets", "-c", str(path), "--json"]).output)
    assert [each["name"] for each in listed] == sorted([*SHIPPED, "mine"])
    (mine,) = [each for each in listed if each["name"] == "mine"]
    assert mine == {
        "name": "mine", "name_zh": "本市", "name_en": "our city", "grade": "seen-in-field",
        "notes": "seen at the office", "keys": {"tail": "lf"},
    }  # fmt: skip


# what a link may want


@pytest.mark.parametrize(
    ("key", "code", "warning"),
    [
        ('tail = "cr"', "config.choice", False),
        ('crc_error = "ignore"', "config.choice", False),
        ('part_order = "pno"', "config.choice", False),
        ("segment_limit = 255", "config.between", False),
        ("segment_limit = 10000", "config.between", False),
        ("segment_limit = 1025", "config.segment-long", True),
        ("segment_limit = 300", "config.limit-short", True),
        ("cp_limit = 200", "config.limit-short", True),
        ('spread = "31min"', "config.between", False),
        ('heartbeat = "9016"', "config.choice", False),
        ('heartbeat_every = "4999ms"', "config.heartbeat-every", False),
        ('heartbeat_every = "2h"', "config.between", False),
        ("extra = { lng = 113.75 }", "config.type.text", False),
        ('extra = { lng = "113.75;x=1" }', "config.extra-form", False),
        ('extra = { lng = "1 2" }', "config.extra-form", False),
        ('extra = { lng = "东莞" }', "config.extra-form", False),
        ('extra = { lng = "" }', "config.extra-form", False),
        ('extra = { "l;g" = "1" }', "config.extra-form", False),
        ('extra = { "l g" = "1" }', "config.extra-form", False),
        ('extra = { DataTime = "20260101000000" }', "config.extra-name", False),
        ('extra = { "w01018-Rtd" = "1.0" }', "config.extra-name", False),
        ('extra = { "W01018-rtd" = "1.0" }', "config.extra-name", False),
        ('extra = { "011-Rtd" = "1.0" }', "config.extra-name", False),
    ],
)
def test_a_wrong_value_is_refused_or_warned_of(find: Find, site_text: str, key: str, code: str, warning: bool) -> None:
    found = find(site_text.replace(CITY, f"{CITY}{key}\n"))
    assert [(problem.code, problem.warning, problem.line) for problem in found] == [(code, warning, 27)]


@pytest.mark.parametrize(
    "key",
    ['extra = { lng = "113.75", lat = "23.04" }', 'extra = { "lng-Rtd" = "113.75", "lng-Flag" = "N" }',
     'heartbeat_every = "0s"', 'heartbeat_every = "5s"', 'spread = "30min"', "segment_limit = 480"],
)  # fmt: skip
def test_a_sound_value_is_fine(find: Find, site_text: str, key: str) -> None:
    assert find(site_text.replace(CITY, f"{CITY}{key}\n")) == []
