"""Room on the disk: what goes before its time when the store has grown to its budget, or the disk is nearly full.

    salvaged files ─▶ last packets ─▶ realtime ─▶ samples ─▶ bytes of answered packets ─▶ minutes ─▶ deliveries
        ─▶ hours ─▶ days

In this order, the oldest first, a slice at a time; never what a platform has not answered for, nor the records that it
needs, nor what the periods that are still open are made of (a day of samples and minutes). Of a damaged file that has
been salvaged the new one has all that could be read; it goes where the disk is full. A file does not shrink: what
goes leaves room in it for what comes. How much of each kind went is counted for ever.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from shutil import disk_usage

from config.site import Retention
from edge.store import meta, retention
from edge.store.database import SALVAGED
from edge.values import DAY_MS, Kind

HEADROOM = 2_000_000
"""Bytes, free in the files or on the disk, below which the disk counts as full."""
ENOUGH = 100
"""Rows: who gave as many need not be followed by the next in the order."""
COUNTER = "dropped."
"""Before the names of the counters, among the single numbers."""


def used(db: sqlite3.Connection) -> tuple[int, int]:
    """Bytes of a file that are in use, and bytes in it that are free."""
    (pages,), (free,), (size,) = (
        db.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size, free * size


def is_short(taken: int, free: int, folder: Path, limits: Retention) -> bool:
    """Whether something has to go: `taken` and `free` bytes of both files."""
    if limits.budget_bytes is not None and taken > limits.budget_bytes:
        return True
    return is_full(free, folder, limits)


def is_full(free: int, folder: Path, limits: Retention) -> bool:
    """Whether the disk has no more room."""
    return free < HEADROOM and disk_usage(folder).free + free < max(limits.keep_free_bytes, HEADROOM)


def drop_salvaged(db: sqlite3.Connection, folder: Path) -> tuple[str, int]:
    """The oldest file that was salvaged, with its WAL."""
    files = sorted(folder.glob(f"*{SALVAGED}*"), key=lambda path: path.name.partition(SALVAGED)[2])
    for path in files:
        whole = path.name.removesuffix("-wal").removesuffix("-shm")
        try:
            for each in folder.glob(f"{whole}*"):
                each.unlink()
        except OSError:  # the next one, or what goes after them
            continue
        return "salvaged", 1
    return "salvaged", 0


def drop_link(db: sqlite3.Connection, now_ms: int) -> tuple[str, int]:
    """The last packets in and out (samples.db): what, and how many rows."""
    oldest = "SELECT id FROM link ORDER BY id LIMIT ?"
    return "link", db.execute(f"DELETE FROM link WHERE id IN ({oldest})", (retention.SLICE_ROWS,)).rowcount


def drop_realtime(db: sqlite3.Connection, now_ms: int) -> tuple[str, int]:
    """Delivered and expired realtime data (records.db)."""
    return "realtime", retention.drop_live(db, now_ms)


def drop_samples(db: sqlite3.Connection, now_ms: int) -> tuple[str, int]:
    """Samples (samples.db) but for the last day."""
    oldest = "SELECT time FROM tick WHERE time < ? ORDER BY time LIMIT ?"
    rows = db.execute(f"DELETE FROM tick WHERE time IN ({oldest})", (now_ms - DAY_MS, retention.SLICE_ROWS)).rowcount
    return "samples", rows


def drop_answered(db: sqlite3.Connection, now_ms: int) -> tuple[str, int]:
    """What is left in records.db when all before it has gone."""
    for what, drop in _ANSWERED:
        rows = drop(db, now_ms)
        if rows:
            return what, rows
    return "", 0


_ANSWERED: tuple[tuple[str, Callable[[sqlite3.Connection, int], int]], ...] = (
    ("packets", lambda db, now_ms: retention.strip_bytes(db, now_ms - DAY_MS)),
    ("minute", lambda db, now_ms: retention.drop_records(db, Kind.MINUTE, now_ms - 2 * DAY_MS)),
    ("deliveries", lambda db, now_ms: retention.drop_kept(db, now_ms - DAY_MS)),
    ("hour", lambda db, now_ms: retention.drop_records(db, Kind.HOUR, now_ms - 32 * DAY_MS)),
    ("day", lambda db, now_ms: retention.drop_records(db, Kind.DAY, now_ms - 366 * DAY_MS)),
)


def count(db: sqlite3.Connection, what: str, rows: int) -> int:
    """Add to a counter; how many of the kind went since ever."""
    total = (meta.get(db, COUNTER + what) or 0) + rows
    meta.put(db, COUNTER + what, total)
    return total


def counters(db: sqlite3.Connection) -> dict[str, int]:
    """How many rows of each kind went before their time."""
    rows = db.execute("SELECT name, value FROM meta WHERE name LIKE ? ORDER BY name", (COUNTER + "%",))
    return {name.removeprefix(COUNTER): int(value) for name, value in rows}
