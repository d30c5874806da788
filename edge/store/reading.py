"""Reading a store through, a slice at a time while nothing else is to do: damage is found before the data are needed.

A page that cannot be read raises SQLITE_CORRUPT in the store's thread, which then acts on it; so does a row that cannot
be one of its table (`plausible`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from edge.store.pages import BadPage
from edge.store.plausible import sound
from edge.store.tables import Table, tables, typed

SLICE_ROWS = 500


class Reading:
    """How far one file has been read; in memory only: a restart begins anew."""

    def __init__(self) -> None:
        self._known: dict[str, Table] = {}
        self._left: list[str] = []
        self._after: tuple[Any, ...] | None = None

    def step(self, db: sqlite3.Connection) -> bool:
        """One slice; False when the file is through, and the next step begins anew."""
        self._known = known = self._known or tables(db)
        if not self._left:
            self._left, self._after = [name for name, table in known.items() if table.keys], None
        table = known[self._left[0]]
        try:
            rows = [typed(table, row) for row in db.execute(*_query(table, self._after))]
        except (UnicodeDecodeError, BadPage) as error:
            raise sqlite3.DatabaseError(f"malformed row in {table.name}: {error}") from error
        for row in rows:
            if not sound(table.name, row):
                raise sqlite3.DatabaseError(f"malformed row in {table.name}: {row!r:.200}")
        self._after = _behind(table, rows)
        if self._after is None:
            del self._left[0]
        return bool(self._left)


def slices(db: sqlite3.Connection, table: Table) -> Iterator[list[tuple[Any, ...]]]:
    """All rows of a table as SQLite gives them, a slice at a time, each a reading of its own."""
    after = None
    while rows := db.execute(*_query(table, after)).fetchall():
        yield rows
        after = _behind(table, rows)
        if after is None:
            return


def _behind(table: Table, rows: list[tuple[Any, ...]]) -> tuple[Any, ...] | None:
    """Where the next slice begins; None: there is none."""
    return tuple(rows[-1][place] for place in table.keys) if len(rows) == SLICE_ROWS else None


def _query(table: Table, after: tuple[Any, ...] | None) -> tuple[str, tuple[Any, ...]]:
    keys = [f'"{table.columns[place].name}"' for place in table.keys]
    key = ", ".join(keys)
    place = f"WHERE ({key}) > ({', '.join('?' * len(keys))})" if after else ""
    return f'SELECT * FROM "{table.name}" {place} ORDER BY {key} LIMIT {SLICE_ROWS}', after or ()
