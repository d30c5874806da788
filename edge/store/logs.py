"""How far the journal has been taken into the outbox as logs (CN 3020), per platform and outlet.

    journal  … 41 42 43 44 45 …            a cursor per platform: what lies behind it waits here, not in the outbox
                  └ cursor  └─ IN_OUTBOX open deliveries at most

A platform that never answers costs IN_OUTBOX deliveries; of what waits behind them the newest WAITING entries stay, and
older ones are passed over and counted. The journal itself keeps them all, and gives them to who asks (CN 3020).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from edge.store import delivery, journal, names
from edge.store.delivery import Due

IN_OUTBOX = 20
"""Logs of a platform and outlet that are open in the outbox at most."""
WAITING = 200
"""Entries of the journal that wait for a platform at most."""


def begin(db: sqlite3.Connection, platform: str, outlet: str) -> None:
    """Logs are wanted: from now on, where they were not wanted before."""
    db.execute(
        "INSERT INTO log_cursor (platform, outlet, entry) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (*_key(db, platform, outlet), journal.last_id(db)),
    )


def end(db: sqlite3.Connection, platform: str, outlet: str) -> None:
    """Logs are not wanted: none of what is written meanwhile will be sent later."""
    db.execute("DELETE FROM log_cursor WHERE platform = ? AND outlet = ?", _key(db, platform, outlet))


def room(db: sqlite3.Connection, platform: str, outlet: str) -> int:
    """How many more logs may go into the outbox now."""
    key = _key(db, platform, outlet)
    db.execute(
        "DELETE FROM log_upload WHERE platform = ? AND outlet = ?"
        " AND delivery NOT IN"
        " (SELECT id FROM delivery WHERE state < 2 AND platform = ? AND outlet = ? AND cn = '3020')",
        (*key, *key),
    )
    row = db.execute("SELECT count(*) FROM log_upload WHERE platform = ? AND outlet = ?", key).fetchone()
    return IN_OUTBOX - int(row[0])


def position(db: sqlite3.Connection, platform: str, outlet: str) -> tuple[int, int]:
    """The last entry that was taken, and how many were passed over just now, since too many wait."""
    key = _key(db, platform, outlet)
    row = db.execute("SELECT entry FROM log_cursor WHERE platform = ? AND outlet = ?", key).fetchone()
    newest = journal.last_id(db)
    last = newest if row is None else int(row[0])
    passed = max(0, newest - WAITING - last)
    if passed:
        db.execute(
            "UPDATE log_cursor SET entry = entry + ?1, dropped = dropped + ?1 WHERE platform = ?2 AND outlet = ?3",
            (passed, *key),
        )
    return last + passed, passed


def take(db: sqlite3.Connection, platform: str, outlet: str, upto: int, dues: Iterable[Due], now_ms: int) -> list[int]:
    """The entries up to number `upto` are taken, and these are due for them; their ids."""
    key = _key(db, platform, outlet)
    db.execute("UPDATE log_cursor SET entry = ? WHERE platform = ? AND outlet = ?", (upto, *key))
    ids = delivery.enqueue_beside(db, dues, now_ms)
    db.executemany("INSERT INTO log_upload VALUES (?, ?, ?)", [(each, *key) for each in ids])
    return ids


def dropped(db: sqlite3.Connection) -> dict[tuple[str, str], int]:
    """(platform, outlet) → entries that were passed over, since ever."""
    texts = names.texts(db)
    rows = db.execute("SELECT platform, outlet, dropped FROM log_cursor")
    return {(texts[platform], texts[outlet]): count for platform, outlet, count in rows}


def _key(db: sqlite3.Connection, platform: str, outlet: str) -> tuple[int, int]:
    return names.intern(db, platform), names.intern(db, outlet)
