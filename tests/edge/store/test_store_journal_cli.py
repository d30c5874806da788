"""`hj212 journal`: reads the file beside a running daemon, and its exit codes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from storekit import NOON

from edge.catalogue import use_language
from edge.cli.journal import journal_group
from edge.store import journal
from edge.store.store import Store


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(f'[site]\nname = "x"\nlanguage = "en"\ndata_dir = "{tmp_path}"\n', encoding="utf-8")
    return path


def run(site: Path, *arguments: str) -> Result:
    try:
        return CliRunner().invoke(journal_group, [*arguments, "-c", str(site)])
    finally:
        use_language(None)


def test_show_and_verify_work_beside_the_daemon(store: Store, site: Path) -> None:
    store.call(journal.append, "technician", "config.set", {"key": "realtime"}, NOON).result(5)
    shown = json.loads(run(site, "show", "--json").output)
    assert [(row["id"], row["at"], row["who"]) for row in shown] == [(1, "2026-09-22T12:00:00+08:00", "technician")]
    assert "technician  config.set" in run(site, "show").output
    verdict = run(site, "verify", "--json")
    whole = {"ok": True, "entries": 1, "first_bad": None, "gaps": []}
    assert (verdict.exit_code, json.loads(verdict.output)) == (0, whole)


def test_a_tampered_journal_exits_with_1(open_store: Callable[[], Store], site: Path, tmp_path: Path) -> None:
    store = open_store()
    store.call(journal.append, "technician", "config.set", {}, NOON).result(5)
    store.close()
    meddler = sqlite3.connect(tmp_path / "records.db", isolation_level=None)
    meddler.execute("DROP TRIGGER journal_no_update")
    meddler.execute("UPDATE journal SET who = 'somebody else'")
    meddler.close()
    result = run(site, "verify")
    assert result.exit_code == 1
    assert "from entry 1 on" in result.output


def test_without_a_store_the_exit_code_is_2(site: Path) -> None:
    result = run(site, "verify")
    assert result.exit_code == 2
    assert "records.db" in result.output
