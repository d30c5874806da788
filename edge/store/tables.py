"""The form of the tables, as salvage needs it: columns in the order of storage, types, defaults of later columns."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from edge.store import migrate
from edge.store.pages import BadPage, Row


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `default`: of rows that are older than it."""

    name: str
    type: str
    required: bool
    default: Any


@dataclass(frozen=True, slots=True)
class Table:
    """A table; `keys`, `rowid`: the places of its key, and of its INTEGER PRIMARY KEY where it has one; `stored`:
    places of its columns in the order of storage (without rowid: the key first)."""

    name: str
    columns: tuple[Column, ...]
    keys: tuple[int, ...]
    rowid: int | None
    has_rowid: bool
    stored: tuple[int, ...]
    insert: str


def tables(db: sqlite3.Connection) -> dict[str, Table]:
    """The tables of an open file, by name."""
    rows = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table' AND sql IS NOT NULL ORDER BY rowid")
    return {name: _table(name, sql, tuple(db.execute(f'PRAGMA table_info("{name}")'))) for name, sql in rows}


@cache
def roots_of_new(migrations: str) -> dict[str, int]:
    """Where the tables and indexes of a file begin that this program has made, for one whose schema is gone."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    try:
        db.execute("PRAGMA page_size = 1024")
        for _, statements in migrate.scripts(migrations):
            for statement in statements:
                db.execute(statement)
        return dict(db.execute("SELECT name, rootpage FROM sqlite_master WHERE rootpage > 0"))
    finally:
        db.close()


@cache
def _table(name: str, sql: str, info: tuple[tuple[Any, ...], ...]) -> Table:
    columns = tuple(Column(row[1], row[2], bool(row[3] or row[5]), _literal(row[4])) for row in info)
    keys = [row[0] for row in sorted((row for row in info if row[5]), key=lambda row: row[5])]
    without = re.search(r"WITHOUT\s+ROWID", sql, re.IGNORECASE) is not None
    alias = len(keys) == 1 and not without and columns[keys[0]].type == "INTEGER"
    rest = [place for place in range(len(columns)) if place not in keys]
    stored = tuple(keys + rest) if without else tuple(range(len(columns)))
    names = ", ".join(f'"{column.name}"' for column in columns)
    insert = f'INSERT OR IGNORE INTO "{name}" ({names}) VALUES ({", ".join("?" * len(columns))})'
    return Table(name, columns, tuple(keys), keys[0] if alias else None, not without, stored, insert)


def _literal(text: str | None) -> Any:
    if text is None or text.upper() == "NULL":
        return None
    return text[1:-1].replace("''", "'") if text.startswith("'") else int(text)


_TYPES = {"INTEGER": int, "TEXT": str, "BLOB": bytes}


def read_row(table: Table, row: Row) -> tuple[Any, ...]:
    """The values in the order of the columns; raises BadPage where they are not those of this table."""
    rowid, stored = row
    if len(stored) > len(table.columns) or (rowid is not None) is not table.has_rowid:
        raise BadPage(f"no row of {table.name}")
    values: list[Any] = [column.default for column in table.columns]
    for place, value in zip(table.stored, stored, strict=False):
        values[place] = value
    if table.rowid is not None:
        values[table.rowid] = rowid
    return typed(table, values)


def typed(table: Table, values: Sequence[Any]) -> tuple[Any, ...]:
    """The values, whole numbers in REAL columns as such; raises BadPage where one is of another type."""
    return tuple(_typed(table, column, value) for column, value in zip(table.columns, values, strict=True))


def _typed(table: Table, column: Column, value: Any) -> Any:
    if value is None:
        if column.required:
            raise BadPage(f"{table.name}.{column.name} has no value")
        return None
    if column.type == "REAL":
        if isinstance(value, int):  # whole numbers are stored as such
            return float(value)
        if isinstance(value, float):
            return value
    elif isinstance(value, _TYPES.get(column.type, object)):
        return value
    raise BadPage(f"{table.name}.{column.name} is no {column.type}")
