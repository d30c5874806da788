"""`hj212 instrument models` and `show`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edge.cli.main import hj212

MODEL = """\
[model]
name = "Ours"
maker = "hach 2"
kind = "COD"
source = "the screen"
grade = "seen-in-field"
driver = "modbus"
"""


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HJ212_LANG", "en")


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(hj212, ["instrument", *arguments, "-c", str(folder / "site.toml")])


def own_model(folder: Path, name: str, text: str = MODEL) -> None:
    (folder / "models").mkdir(exist_ok=True)
    (folder / "models" / f"{name}.toml").write_text(text, encoding="utf-8")


def test_models_are_found_by_any_of_their_words(tmp_path: Path) -> None:
    found = json.loads(run(tmp_path, "models", "--search", "hach w21003", "--json").stdout)
    assert [one["model"] for one in found] == ["hach-3001-nh3n", "hach-amtax"]
    assert run(tmp_path, "models", "--search", "雪迪龙").stdout.count("scs-900") == 3


def test_model_beside_the_site_file_goes_before_the_shipped_one_and_a_damaged_one_is_left_out(tmp_path: Path) -> None:
    own_model(tmp_path, "hach-cod")
    own_model(tmp_path, "damaged", "[model")
    found = json.loads(run(tmp_path, "models", "--search", "hach-cod", "--json").stdout)
    assert [(one["model"], one["name"], one["own"]) for one in found] == [
        ("hach-cod", "Ours", True),
        ("hach-codmax", "Hach CODmax II", False),
    ]
    assert "seen in field" in run(tmp_path, "models", "--search", "ours").stdout


@pytest.mark.parametrize("text", ["[model", "model = 3", "points = 3", "points = [3]", "[[points]]\nregister = 1"])
def test_own_file_that_is_no_model_is_named_with_its_fault(tmp_path: Path, text: str) -> None:
    own_model(tmp_path, "ours", text)
    result = run(tmp_path, "models", "--search", "hach-codmax", "--json")
    assert (result.exit_code, [one["model"] for one in json.loads(result.stdout)]) == (0, ["hach-codmax"])
    assert str(tmp_path / "models" / "ours.toml") in result.stderr


def test_model_is_shown_as_its_file_so_that_it_can_be_copied(tmp_path: Path) -> None:
    shown = run(tmp_path, "show", "scs-900uv").stdout
    own_model(tmp_path, "copy", shown)
    assert json.loads(run(tmp_path, "show", "copy", "--json").stdout)["points"][0]["factor"] == "a21026"


def test_unknown_and_damaged_models_end_with_wrong_use(tmp_path: Path) -> None:
    own_model(tmp_path, "damaged", "[model")
    for name in ("absent", "damaged", "../site"):
        assert run(tmp_path, "show", name).exit_code == 2


def test_search_that_finds_no_model_says_so(tmp_path: Path) -> None:
    result = run(tmp_path, "models", "--search", "hach nothing-like-it")
    assert (result.exit_code, result.stdout) == (0, "no model has all of these: hach nothing-like-it\n")


def test_name_of_a_model_is_whole_on_a_screen_of_80_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    hj212(["instrument", "models", "--search", "surface", "-c", str(tmp_path / "site.toml")], standalone_mode=False)
    assert "gj-surface-water-cod " in capsys.readouterr().out
