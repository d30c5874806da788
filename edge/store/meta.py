"""Single numbers that must survive: the last QN, how far retention has come."""

from __future__ import annotations

import sqlite3


def get(db: sqlite3.Connection, name: str) -> int | None:
    """The number under this name."""
    row = db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return None if row is None else int(row[0])


def put(db: sqlite3.Connection, name: str, value: int) -> None:
    """Set it."""
    db.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", (name, value))
