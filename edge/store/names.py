"""Outlets, factors and platforms as small numbers: a text in every row would cost flash."""

from __future__ import annotations

import sqlite3


def find(db: sqlite3.Connection, text: str) -> int:
    """The number of a name, or -1, which no row bears."""
    row = db.execute("SELECT id FROM name WHERE text = ?", (text,)).fetchone()
    return -1 if row is None else int(row[0])


def intern(db: sqlite3.Connection, text: str) -> int:
    """The number of a name, given to it now where it has none."""
    number = find(db, text)
    if number >= 0:
        return number
    return int(db.execute("INSERT INTO name (text) VALUES (?) RETURNING id", (text,)).fetchone()[0])


def texts(db: sqlite3.Connection) -> dict[int, str]:
    """Number → name."""
    return dict(db.execute("SELECT id, text FROM name"))
