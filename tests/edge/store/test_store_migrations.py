"""Migrations on filled stores of every earlier version: killed or out of disk at any statement, nothing is lost."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edge.store import migrate
from edge.store.database import RECORDS, open_database
from edge.store.errors import StoreFull

NEWEST = migrate.newest("records")
Content = dict[str, list[dict[str, object]]]


def old_store(path: Path, version: int) -> sqlite3.Connection:
    """A store of a version with rows in every table that it has."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA page_size = 1024")
    db.execute("PRAGMA journal_mode = WAL")
    for number, statements in migrate.scripts("records"):
        for statement in statements if number <= version else ():
            db.execute(statement)
    db.execute(f"PRAGMA user_version = {version}")
    for table in tables(db):
        columns = db.execute(f'PRAGMA table_info("{table}")').fetchall()
        for number in range(1, 40):
            values = [value_of(kind, number, table) for _, _, kind, *_ in columns]
            db.execute(f'INSERT INTO "{table}" VALUES ({", ".join("?" * len(values))})', values)
    return db


def value_of(kind: str, number: int, table: str) -> object:
    if kind == "INTEGER":
        return number
    return {"REAL": number / 7, "BLOB": b"%d" % number * 50}.get(kind, f"{table} {number}")


def tables(db: sqlite3.Connection) -> list[str]:
    rows = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    return [row[0] for row in rows]


def content(path: Path) -> Content:
    db = sqlite3.connect(path)
    db.row_factory = sqlite3.Row
    found = {table: [dict(row) for row in db.execute(f'SELECT * FROM "{table}"')] for table in tables(db)}
    db.close()
    return found


def holds(now: Content, before: Content) -> bool:
    """Whether every row is there with its values; newer columns may stand beside them."""
    return all(
        len(now[table]) == len(rows)
        and all(new.items() >= row.items() for new, row in zip(now[table], rows, strict=True))
        for table, rows in before.items()
    )


def statements_to_go(path: Path) -> int:
    db = sqlite3.connect(path, isolation_level=None)
    count: list[str] = []
    db.set_trace_callback(count.append)
    db.execute("BEGIN")
    db.execute("ROLLBACK")
    count.clear()
    migrate.migrate(db, "records")
    db.close()
    return len(count)


def killed(path: Path, at: int) -> None:
    """Migrate in a process that is killed before statement number `at`."""
    child = os.fork()
    if child == 0:
        left = [at]

        def trace(statement: str) -> None:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        db = sqlite3.connect(path, isolation_level=None)
        db.set_trace_callback(trace)
        try:
            migrate.migrate(db, "records")
        finally:
            os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


@pytest.mark.parametrize("version", range(1, NEWEST))
def test_a_filled_store_killed_at_any_statement_is_of_one_version_and_whole(tmp_path: Path, version: int) -> None:
    template = tmp_path / "old.db"
    old_store(template, version).close()
    before, blank = content(template), template.read_bytes()
    (tmp_path / "counted.db").write_bytes(blank)
    steps = statements_to_go(tmp_path / "counted.db")
    assert steps > 2
    for at in range(steps):
        path = tmp_path / f"{at}.db"
        path.write_bytes(blank)
        killed(path, at)
        assert holds(content(path), before)
        db = sqlite3.connect(path, isolation_level=None)
        reached = migrate.version(db)
        assert version <= reached < NEWEST
        with closing(old_store(Path(":memory:"), reached)) as pattern:
            assert set(tables(db)) == set(tables(pattern))
        migrate.migrate(db, "records")
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.close()
        assert holds(content(path), before)


@pytest.mark.parametrize("version", range(1, NEWEST))
def test_a_disk_that_is_full_at_any_page_leaves_the_old_store_whole(tmp_path: Path, version: int) -> None:
    template = tmp_path / "old.db"
    old_store(template, version).close()
    before, blank = content(template), template.read_bytes()
    failed = 0
    for room in range(60):
        path = tmp_path / f"{room}.db"
        path.write_bytes(blank)
        db = sqlite3.connect(path, isolation_level=None)
        db.execute(f"PRAGMA max_page_count = {len(blank) // 1024 + room}")
        try:
            migrate.migrate(db, "records")
        except sqlite3.OperationalError:
            failed += 1
        else:
            break
        finally:
            db.close()
        assert holds(content(path), before)
    assert failed or content(path).keys() == before.keys()  # columns alone need no room
    with closing(sqlite3.connect(path)) as db:
        assert migrate.version(db) == NEWEST
    assert holds(content(path), before)


def test_a_disk_that_is_full_is_said_and_moves_nothing_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old_store(tmp_path / RECORDS.file, 1).close()
    before = content(tmp_path / RECORDS.file)

    def full(db: sqlite3.Connection, folder: str) -> bool:
        db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0]}")
        return real(db, folder)

    real = migrate.migrate
    monkeypatch.setattr(migrate, "migrate", full)
    with pytest.raises(StoreFull):
        open_database(tmp_path, RECORDS, "20260922120000", lambda code, params: None)
    assert content(tmp_path / RECORDS.file) == before
    assert not list(tmp_path.glob("*.damaged*"))
    monkeypatch.setattr(migrate, "migrate", real)
    db, aside = open_database(tmp_path, RECORDS, "20260922120000", lambda code, params: None)
    assert aside is None
    assert migrate.version(db) == NEWEST
    db.close()
    assert holds(content(tmp_path / RECORDS.file), before)
