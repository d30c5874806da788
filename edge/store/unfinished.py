"""Actions that have begun and are still to be ended by a write (a relay that is closed): a kill forgets none."""

from __future__ import annotations

import json
import sqlite3

from edge.store import meta

_PREFIX = "unfinished "


def _name(instrument: str, action: str) -> str:
    return _PREFIX + json.dumps((instrument, action), ensure_ascii=False)


def add(db: sqlite3.Connection, instrument: str, action: str, at_ms: int) -> None:
    """It is about to begin."""
    meta.put(db, _name(instrument, action), at_ms)


def remove(db: sqlite3.Connection, instrument: str, action: str) -> None:
    """It was ended, or is nobody's any more."""
    db.execute("DELETE FROM meta WHERE name = ?", (_name(instrument, action),))


def entries(db: sqlite3.Connection) -> dict[tuple[str, str], int]:
    """Instrument and action → when it began, UTC ms."""
    rows = db.execute("SELECT name, value FROM meta WHERE name GLOB ?", (f"{_PREFIX}*",))
    found = {}
    for name, at_ms in rows:
        instrument, action = json.loads(name.removeprefix(_PREFIX))
        found[instrument, action] = int(at_ms)
    return found
