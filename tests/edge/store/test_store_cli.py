"""`hj212 store`: what its verbs refuse, and in which language they speak."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import config
from config.site import Retention
from edge.catalogue import use_language
from edge.cli.main import hj212
from edge.store.store import Store

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


def damaged(tmp_path: Path, how: str) -> Path:
    """A site whose daemon is off, and whose store is damaged."""
    Store(tmp_path, retention=Retention(), on_event=lambda code, params: None).close()
    records = tmp_path / "records.db"
    match how:
        case "empty":
            records.write_bytes(b"")
        case "pages":
            data = records.read_bytes()
            records.write_bytes(data[:1024] + b"\xff" * (len(data) - 1024))
        case "log":
            (tmp_path / "records.db-wal").write_bytes(b"\xff" * 5_000)
    site = tmp_path / "site.toml"
    site.write_text(f'[site]\nname = "x"\nlanguage = "en"\ndata_dir = "{tmp_path}"\n', encoding="utf-8")
    return site


@pytest.mark.parametrize("how", ["empty", "pages", "log"])
def test_check_finds_a_file_that_is_empty_or_has_a_damaged_log(tmp_path: Path, how: str) -> None:
    site = damaged(tmp_path, how)
    found = CliRunner().invoke(hj212, ["store", "check", "--json", "-c", str(site)])
    assert found.exit_code == 1
    assert [file["ok"] for file in json.loads(found.stdout)["files"]] == [False, True]


@pytest.mark.parametrize("how", ["empty", "pages"])
@pytest.mark.parametrize("verb", [("outbox", "show"), ("journal", "verify"), ("platform", "links"), ("connection",)])
def test_a_question_to_a_damaged_store_ends_with_one_line(tmp_path: Path, verb: tuple[str, ...], how: str) -> None:
    asked = CliRunner().invoke(hj212, [*verb, "-c", str(damaged(tmp_path, how))])
    assert (asked.exit_code, isinstance(asked.exception, SystemExit)) == (2, True), asked.exception
    assert str(tmp_path) in asked.stderr
