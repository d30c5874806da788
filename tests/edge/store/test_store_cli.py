"""`hj212 store`: what its verbs refuse, and in which language they speak."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import config
from edge.catalogue import use_language
from edge.cli.main import hj212

WATER = Path(config.__file__).parent / "presets" / "water.toml"


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HJ212_LANG", "en")
    yield
    use_language(None)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(hj212, ["store", *arguments, "-c", str(WATER)])  # a site in Chinese


def test_size_speaks_the_language_of_the_site() -> None:
    shown = run("size", "--points", "30")
    assert (shown.exit_code, "合计" in shown.stdout) == (0, True)


@pytest.mark.parametrize("arguments", [("--every", "7s"), ("--every", "0s"), ("--every", "x"), ("--minute", "7min")])
def test_size_refuses_intervals_that_no_site_file_could_have(arguments: tuple[str, str]) -> None:
    assert run("size", "--points", "30", *arguments).exit_code == 2


def test_a_file_that_is_no_store_is_said_to_be_none_and_ends_with_exit_code_1(tmp_path: Path) -> None:
    rubbish = tmp_path / "records.db"
    rubbish.write_bytes(os.urandom(5_000))
    told = run("recover", str(rubbish), "--dry-run")
    assert (told.exit_code, str(rubbish) in told.stderr) == (1, True)
    found = run("recover", str(rubbish), "--dry-run", "--json")
    assert found.exit_code == 1
    assert {table["rows"] for table in json.loads(found.stdout)["files"][0]["tables"].values()} == {0}
