"""What a platform has set over the wire (1000, 1012, 1062, 1064, 1072, the upload switches): it overrides the
site file and survives restarts. Every change is in the journal; secrets are `***` there.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from edge.store import journal


@dataclass(frozen=True, slots=True)
class Setting:
    """A value, who set it (`platform:1062`), and when."""

    value: Any
    origin: str
    at_ms: int


def get_all(db: sqlite3.Connection, platform: str) -> dict[tuple[str | None, str], Setting]:
    """(outlet, name) → setting; outlet None: the whole platform."""
    rows = db.execute("SELECT outlet, name, value, origin, at FROM setting WHERE platform = ?", (platform,))
    return {(outlet or None, name): Setting(json.loads(value), origin, at) for outlet, name, value, origin, at in rows}


def put(
    db: sqlite3.Connection, platform: str, outlet: str | None, name: str, value: Any, origin: str, now_ms: int
) -> None:
    """Set a value (anything that JSON can hold)."""
    before = get_all(db, platform).get((outlet, name))
    db.execute(
        "INSERT INTO setting VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " value = excluded.value, origin = excluded.origin, at = excluded.at",
        (platform, outlet or "", name, json.dumps(value, ensure_ascii=False), origin, now_ms),
    )
    detail = {"platform": platform, "outlet": outlet, "name": name} | {
        when: journal.masked(name, setting) for when, setting in (("before", before and before.value), ("after", value))
    }
    journal.append(db, origin, "setting.put", detail, now_ms)


def reset(db: sqlite3.Connection, platform: str, outlet: str | None, name: str, who: str, now_ms: int) -> bool:
    """Forget a value, so that the site file counts again; whether there was one."""
    gone = forget(db, platform, outlet, name)
    if gone:
        journal.append(db, who, "setting.reset", {"platform": platform, "outlet": outlet, "name": name}, now_ms)
    return gone


def forget(db: sqlite3.Connection, platform: str, outlet: str | None, name: str) -> bool:
    """`reset` without an entry: for a value that was put, and said, in the same transaction."""
    key = platform, outlet or "", name
    return bool(db.execute("DELETE FROM setting WHERE platform = ? AND outlet = ? AND name = ?", key).rowcount)
