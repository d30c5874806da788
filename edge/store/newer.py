"""A store of a newer program that was set aside: what a new one must know of it, so that nothing is said twice.

Its records, deliveries and all else wait for the update of the program, and are taken in then. Until then its last QN,
the labels that it has sealed, the last day of records and the settings of the platforms go on, as far as its tables
still have the columns that this program knows. The same of a store in whose place a backup is put.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from edge.store import connection, database, errors, meta, names, records
from edge.store.qn import LAST_QN
from edge.store.salvage import RECENT_MS


def carry_on(db: sqlite3.Connection, path: Path, now_ms: int) -> None:
    """Into a new records.db; what cannot be read of the newer file is left out."""
    try:
        newer = database.read_only(path)
    except errors.StoreError:
        return
    try:
        for part in (_numbers, _sealed, _recent, _settings):
            try:
                part(db, newer)
            except sqlite3.DatabaseError:  # a column that is called otherwise by now, a damaged page
                continue
        for receipt in connection.receipts(newer):
            connection.keep(db, receipt, "connection.restored", now_ms)
    except (sqlite3.DatabaseError, TypeError):
        return
    finally:
        newer.close()


def _numbers(db: sqlite3.Connection, newer: sqlite3.Connection) -> None:
    meta.put(db, LAST_QN, max(meta.get(newer, LAST_QN) or 0, meta.get(db, LAST_QN) or 0))


def _sealed(db: sqlite3.Connection, newer: sqlite3.Connection) -> None:
    rows = newer.execute("SELECT n.text, s.kind, s.last FROM sealed AS s JOIN name AS n ON n.id = s.outlet")
    for outlet, kind, last in rows.fetchall():
        db.execute(
            "INSERT INTO sealed (outlet, kind, last) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (names.intern(db, outlet), kind, last),
        )


def _recent(db: sqlite3.Connection, newer: sqlite3.Connection) -> None:
    last = newer.execute("SELECT max(start) FROM record").fetchone()[0]
    if last is not None:
        for kept in records.since(newer, last - RECENT_MS):
            records.seal(db, [kept], [], last)


def _settings(db: sqlite3.Connection, newer: sqlite3.Connection) -> None:
    rows = newer.execute("SELECT platform, outlet, name, value, origin, at FROM setting")
    db.executemany("INSERT OR IGNORE INTO setting VALUES (?, ?, ?, ?, ?, ?)", rows.fetchall())
