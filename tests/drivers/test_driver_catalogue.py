"""Drivers and models by name; every error of this folder has its words."""

from __future__ import annotations

import dataclasses
import re
import string
import subprocess
import sys
from pathlib import Path

import pytest

import drivers
from drivers import models, registry
from drivers.errors import BadOption

ROOT = Path(drivers.__file__).parent
TEXTS = ROOT.parent / "edge" / "texts" / "drivers.tsv"


def catalogue() -> dict[str, tuple[str, str]]:
    rows = [line.split("\t") for line in TEXTS.read_text(encoding="utf-8").splitlines()]
    assert len({row[0] for row in rows}) == len(rows)
    return {code: (zh, en) for code, zh, en in rows}


def test_unknown_driver_names_those_there_are() -> None:
    with pytest.raises(BadOption) as caught:
        registry.driver_class("modbuss")
    assert caught.value.params == {"driver": "modbuss", "known": ", ".join(registry.names())}


def test_registry_loads_no_driver_before_it_is_asked_for() -> None:
    code = "import sys, drivers.registry; print('drivers.modbus' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT.parent, check=True)
    assert run.stdout.strip() == "False"


@pytest.mark.parametrize("name", registry.names())
def test_drivers_declare_their_options_as_frozen_dataclasses(name: str) -> None:
    driver = registry.driver_class(name)
    assert driver.name == name
    for options in (driver.PointOptions, driver.InstrumentOptions):
        assert dataclasses.is_dataclass(options)


@pytest.mark.parametrize("name", models.names())
def test_shipped_models_are_complete_and_their_driver_takes_them(name: str) -> None:
    parsed = models.model(name)
    tables = {"model", "instrument", "points", "states", "infos", "actions", "sampler"}
    assert {"model", "instrument", "points"} <= set(parsed) <= tables
    of_text = {"answer"} if parsed["model"]["driver"] == "text" else set()
    assert set(parsed["model"]) == {"name", "maker", "kind", "source", "grade", "driver"} | of_text
    assert parsed["model"]["grade"] in ("from-notes", "from-book", "seen-in-field", "template")
    driver = registry.driver_class(parsed["model"]["driver"])
    keys = {field.name for field in dataclasses.fields(driver.PointOptions)}
    assert all(set(p) <= keys | {"factor", "kind", "unit", "range", "scale", "offset"} for p in parsed["points"])


def test_own_model_takes_precedence_and_unknown_ones_are_told(tmp_path: Path) -> None:
    (tmp_path / "hach-codmax.toml").write_text('[model]\nname = "ours"\n', encoding="utf-8")
    assert models.model("hach-codmax", tmp_path)["model"]["name"] == "ours"
    assert models.model("wl-1a1", tmp_path)["model"]["driver"] == "modbus"
    for name in ("absent", "../secret", "/etc/passwd"):
        with pytest.raises(BadOption):
            models.model(name, tmp_path)


def test_damaged_model_names_file_and_reason(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("[model\n", encoding="utf-8")
    with pytest.raises(BadOption) as caught:
        models.model("x", tmp_path)
    assert caught.value.code == "drivers.model-file"
    assert caught.value.params["file"].endswith("x.toml")


def test_every_code_in_the_drivers_has_a_text_and_every_text_is_used() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in ROOT.rglob("*.py"))
    used = set(re.findall(r'"(drivers\.[a-z0-9.-]+)"', sources))
    used -= {f"drivers.{path.stem}" for path in ROOT.glob("*.py")}
    used |= {f"drivers.modbus.exception-{code}" for code in (1, 2, 3, 4, 5, 6, 8, 10, 11)}
    assert used == set(catalogue())


def test_both_languages_name_the_same_parameters() -> None:
    for code, (zh, en) in catalogue().items():
        names = [{field for _, field, _, _ in string.Formatter().parse(text) if field} for text in (zh, en)]
        assert names[0] == names[1] or code.startswith("drivers.modbus.exception"), code
