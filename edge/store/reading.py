"""Reading a store through, a slice at a time while nothing else is to do: damage is found before the data are needed.

Every row of every table is touched to its last byte; a page that cannot be read raises SQLITE_CORRUPT in the store's
thread, which then acts on it.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from edge.store.tables import Table, tables

SLICE_ROWS = 500


class Reading:
    """How far one file has been read; in memory only: a restart begins anew."""

    def __init__(self) -> None:
        self._left: list[str] = []
        self._after: tuple[Any, ...] | None = None

    def step(self, db: sqlite3.Connection) -> bool:
        """One slice; False when the file is through, and the next step begins anew."""
        known = tables(db)
        if not self._left:
            self._left, self._after = list(known), None
        rows = db.execute(*_query(known[self._left[0]], self._after)).fetchall() if self._left[0] in known else []
        self._after = rows[-1][:-1] if len(rows) == SLICE_ROWS else None
        if self._after is None:
            del self._left[0]
        return bool(self._left)


def _query(table: Table, after: tuple[Any, ...] | None) -> tuple[str, tuple[Any, ...]]:
    keys = [f'"{table.columns[place].name}"' for place in table.keys] or ["rowid"]
    key = ", ".join(keys)
    place = f"WHERE ({key}) > ({', '.join('?' * len(keys))})" if after else ""
    last = f'"{table.columns[table.stored[-1]].name}"'  # its last byte is behind all the others
    query = f'SELECT {key}, substr({last}, -1) FROM "{table.name}" {place} ORDER BY {key} LIMIT {SLICE_ROWS}'
    return query, after or ()
