"""Results of batch analyzers as they came: added, never changed or deleted (the database itself refuses it)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from edge.store import names
from edge.values import SAMPLE, Result

_COLUMNS = "outlet, factor, sampled, completed, seen, value, mark, kind, identity"


def keep(db: sqlite3.Connection, results: Iterable[Result]) -> None:
    """Add results."""
    db.executemany(
        f"INSERT INTO result ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                *(names.intern(db, result.outlet), names.intern(db, result.factor)),
                *(result.sampled, result.completed, result.seen),
                *(result.value, result.mark, result.kind, result.identity),
            )
            for result in results
        ],
    )


def between(db: sqlite3.Connection, outlet: str, begin: int, end: int, limit: int) -> list[Result]:
    """The newest results with begin <= sample time <= end, at most `limit`, by sample time."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM result WHERE outlet = ? AND sampled BETWEEN ? AND ? ORDER BY sampled DESC, id DESC"
        " LIMIT ?",
        (names.find(db, outlet), begin, end, limit),
    ).fetchall()
    texts = names.texts(db)
    return [_result(row, texts) for row in reversed(rows)]


def newest(db: sqlite3.Connection, outlet: str, factor: str) -> tuple[Result | None, Result | None]:
    """The last result that came, of any kind, and the last sample."""
    texts, key = names.texts(db), (names.find(db, outlet), names.find(db, factor))
    query = f"SELECT {_COLUMNS} FROM result WHERE outlet = ? AND factor = ?"
    last = db.execute(f"{query} ORDER BY id DESC LIMIT 1", key).fetchone()
    sample = db.execute(f"{query} AND kind = ? ORDER BY id DESC LIMIT 1", (*key, SAMPLE)).fetchone()
    return (_result(last, texts) if last else None), (_result(sample, texts) if sample else None)


def _result(row: tuple[Any, ...], texts: Mapping[int, str]) -> Result:
    outlet, factor, *rest = row
    return Result(texts[outlet], texts[factor], *rest)
