"""`hj212 config …` as a technician uses it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edge.catalogue import use_language
from edge.cli import main
from edge.cli.config import config_group


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    use_language("en")
    yield
    use_language(None)


@pytest.fixture
def file(tmp_path: Path, site_text: str) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(site_text, encoding="utf-8")
    return path


def hj212(*arguments: str | Path) -> Result:
    return CliRunner().invoke(config_group, [str(a) for a in arguments])


def test_new_writes_the_preset_once_and_check_accepts_it(tmp_path: Path) -> None:
    target = tmp_path / "new.toml"
    assert hj212("new", "--preset", "water", "-c", target).exit_code == 0
    again = hj212("new", "--preset", "gas", "-c", target)
    assert (again.exit_code, "--force" in again.output) == (2, True)
    assert hj212("check", "-c", target).exit_code == 0
    assert hj212("new", "--preset", "gas", "--output", target, "--force").exit_code == 0
    assert "[outlets.fg1]" in target.read_text("utf-8")


def test_new_prints_to_standard_output_when_asked() -> None:
    assert hj212("new", "--preset", "gas", "--output", "-").output.startswith("# hj212-edge")


def test_check_of_a_sound_file_is_fine(file: Path) -> None:
    result = hj212("check", "-c", file)
    assert (result.exit_code, result.output) == (0, f"{file}: fine, 0 warnings\n")


def test_check_names_file_line_key_and_what_is_allowed_in_the_sites_language(file: Path, site_text: str) -> None:
    file.write_text(site_text.replace('"60s"', '"5s"'), "utf-8")
    result = hj212("check", "-c", file)
    assert result.exit_code == 2
    assert result.output.startswith(f'{file}:28: platforms.city.realtime: allowed: 30s to 1h; got "5s"\n')
    file.write_text(site_text.replace('"60s"', '"5s"').replace("[site]", '[site]\nlanguage = "zh"'), "utf-8")
    result = hj212("check", "-c", file)
    assert result.output.startswith(f'{file}:29: platforms.city.realtime: 应在 30s 到 1h 之间，实为 "5s"\n')


def test_check_marks_warnings_and_passes(file: Path, site_text: str) -> None:
    file.write_text(site_text.replace("4Xp9sQ", "123456"), "utf-8")
    result = hj212("check", "-c", file)
    assert result.exit_code == 0
    assert f"{file}:29: platforms.city.outlets.ww1.password: warning: " in result.output


def test_check_as_json_lists_problems(file: Path, site_text: str) -> None:
    file.write_text(site_text.replace("baud", "bad"), "utf-8")
    result = hj212("check", "-c", file, "--json")
    (problem,) = json.loads(result.output)
    assert (result.exit_code, problem["line"], problem["key"]) == (2, 11, "lines.rs485-1.bad")
    assert (problem["code"], problem["warning"], problem["file"]) == ("config.unknown-key", False, str(file))


def test_check_of_a_missing_file_exits_2(tmp_path: Path) -> None:
    result = hj212("check", "-c", tmp_path / "no.toml")
    assert (result.exit_code, "no such file" in result.output) == (2, True)


def test_show_gives_every_setting_with_its_origin_and_no_password(file: Path) -> None:
    result = hj212("show", "-c", file, "--json")
    found = {s["key"]: s for s in json.loads(result.output)}
    assert found["lines.rs485-1.baud"] == {"key": "lines.rs485-1.baud", "value": 9600, "origin": "file", "line": 11}
    assert found["store.minute"]["origin"] == "default"
    assert found["platforms.city.outlets.ww1.password"]["value"] == "***"
    plain = hj212("show", "-c", file).output
    assert "4Xp9sQ" not in plain
    assert "= 9600  # file, line 11\n" in plain


def test_get_prints_the_bare_value(file: Path) -> None:
    assert hj212("get", "-c", file, "platforms.city.realtime").output == "60s\n"
    assert hj212("get", "-c", file, "lines.rs485-1.baud").output == "9600\n"
    assert hj212("get", "-c", file, "--raw", "platforms.city.outlets.ww1.password").output == "4Xp9sQ\n"
    assert hj212("get", "-c", file, "lines.rs485-1.bud").exit_code == 2


def test_set_changes_the_file_or_says_why_not(file: Path) -> None:
    assert hj212("set", "-c", file, "lines.rs485-1.baud", "19200").exit_code == 0
    assert hj212("get", "-c", file, "lines.rs485-1.baud").output == "19200\n"
    refused = hj212("set", "-c", file, "lines.rs485-1.baud", "1")
    assert (refused.exit_code, "lines.rs485-1.baud: allowed: 50 to 4000000; got 1" in refused.output) == (2, True)
    assert hj212("get", "-c", file, "lines.rs485-1.baud").output == "19200\n"


@pytest.mark.parametrize("verb", [["status"], ["data", "show"], ["config", "check"]])
def test_every_verb_tells_a_broken_file_with_line_and_column(tmp_path: Path, verb: list[str]) -> None:
    path = tmp_path / "site.toml"
    path.write_bytes('[site]\r\nname = "中\r\n'.encode())  # from a Windows editor, without the closing quote
    shown = CliRunner().invoke(main.hj212, [*verb, "-c", str(path)])
    assert shown.exit_code == 2
    assert f"{path}:2" in shown.output
    assert "column 10" in shown.output
