"""Migrations: numbered `.sql` files under `migrations/<file>/`, each one transaction together with `PRAGMA
user_version`.

Killed at any statement, the file is at the version before; the next start goes on from there. Deleting data
is never a migration's work: nothing but retention does that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "migrations"


@cache
def scripts(folder: str) -> tuple[tuple[int, tuple[str, ...]], ...]:
    """(version, statements) of the migrations of `records` or `samples`, in order."""
    paths = sorted((_FOLDER / folder).glob("*.sql"))
    return tuple((int(path.name[:4]), tuple(_statements(path.read_text(encoding="utf-8")))) for path in paths)


def newest(folder: str) -> int:
    """The schema version that this program writes."""
    return scripts(folder)[-1][0]


def version(db: sqlite3.Connection) -> int:
    """The file's schema version; 0 for an empty file."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def migrate(db: sqlite3.Connection, folder: str) -> bool:
    """Bring the file to the newest version; whether anything had to be done."""
    found = version(db)
    waiting = [script for script in scripts(folder) if script[0] > found]
    for number, statements in waiting:
        db.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {number}")
            db.execute("COMMIT")
        except sqlite3.Error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
    return bool(waiting)


def _statements(script: str) -> Iterator[str]:
    # executescript() would commit on its own; complete_statement() knows triggers and comments
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement.strip()
            statement = ""
