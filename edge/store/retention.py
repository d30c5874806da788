"""Retention: the only place that deletes data, in small slices so that the store's thread is never held up.

What a platform has not answered for is never deleted, nor the records that it needs. Each call deletes one
slice of each kind, an hour of records or 500 rows; watermarks remember how far it has come, since keys begin
with time and rows of longer-lived kinds stand between.
"""

from __future__ import annotations

import sqlite3

from config.site import Retention
from edge.clock import plausible
from edge.store import links, meta
from edge.store.delivery import RECORD_KINDS
from edge.values import HOUR_MS, Kind

SLICE_ROWS = 500
LIVE_MS = 7 * 24 * HOUR_MS
"""Delivered or expired realtime and other packets that are not kept stay this long."""
BYTES_MS = 24 * HOUR_MS
"""Frames of finished deliveries stay this long: a late answer to an expired one needs its frame as evidence."""
_BYTES = "swept.bytes"
_KEPT, _LIVE = "swept.kept", "swept.live"


def sweep(db: sqlite3.Connection, now_ms: int, limits: Retention) -> int:
    """One slice in records.db; how many rows it looked at (0: nothing left). An implausible clock deletes nothing."""
    if not plausible(now_ms):
        return 0
    needed = _oldest_needed(db)
    keep = {Kind.MINUTE: limits.minute, Kind.HOUR: limits.hour, Kind.DAY: limits.day}
    gone = sum(_sweep_records(db, kind, _earlier(now_ms - keep_ms, needed)) for kind, keep_ms in keep.items())
    gone += _sweep_deliveries(db, _LIVE, now_ms - min(LIVE_MS, limits.deliveries), "NOT kept AND state >= 2")
    gone += _sweep_deliveries(db, _KEPT, _earlier(now_ms - limits.deliveries, needed), "kept AND state >= 2")
    gone += _sweep_alarms(db, now_ms - limits.hour)
    gone += _sweep_alarms_2005(db, now_ms - limits.deliveries)
    gone += links.sweep(db, now_ms - limits.deliveries)
    return gone + _strip_bytes(db, now_ms - BYTES_MS)


def sweep_samples(db: sqlite3.Connection, now_ms: int, limits: Retention) -> int:
    """One slice in samples.db; how many rows went."""
    if not plausible(now_ms):
        return 0
    return db.execute(
        "DELETE FROM tick WHERE time IN (SELECT time FROM tick WHERE time < ? ORDER BY time LIMIT ?)",
        (now_ms - limits.samples, SLICE_ROWS),
    ).rowcount


def _oldest_needed(db: sqlite3.Connection) -> int | None:
    """The oldest label in the outbox whose records are still to be sent.

    What brings its own payload needs none: an event that a platform never answers must not keep years of records.
    """
    marks = ", ".join("?" * len(RECORD_KINDS))
    row = db.execute(
        f"SELECT min(start) FROM delivery WHERE state < 2 AND kept AND cn IN ({marks})", tuple(RECORD_KINDS)
    ).fetchone()
    return None if row[0] is None else int(row[0])


def _earlier(cutoff: int, needed: int | None) -> int:
    return cutoff if needed is None else min(cutoff, needed)


def _sweep_records(db: sqlite3.Connection, kind: Kind, cutoff: int) -> int:
    mark = f"swept.{kind.text}"
    begin = db.execute("SELECT min(start) FROM record WHERE start >= ?", (meta.get(db, mark) or 0,)).fetchone()[0]
    gone = 0
    # an hour may hold none of this kind: go on, but not endlessly in one call
    for _ in range(24):
        if begin is None or begin >= cutoff or gone:
            break
        end = min(begin + HOUR_MS, cutoff)
        gone = db.execute("DELETE FROM record WHERE start >= ? AND start < ? AND kind = ?", (begin, end, kind)).rowcount
        meta.put(db, mark, end)
        begin = db.execute("SELECT min(start) FROM record WHERE start >= ?", (end,)).fetchone()[0]
    return gone


def _sweep_deliveries(db: sqlite3.Connection, mark: str, cutoff: int, which: str) -> int:
    rows = db.execute(
        "SELECT id, start FROM delivery WHERE start >= ? AND start < ? ORDER BY start LIMIT ?",
        (meta.get(db, mark) or 0, cutoff, SLICE_ROWS),
    ).fetchall()
    if not rows:
        return 0
    last = rows[-1][1]
    ids = f"SELECT id FROM delivery WHERE start >= ? AND start <= ? AND {which}"
    span = (rows[0][1], last)
    db.execute(f"DELETE FROM frame WHERE qn IN (SELECT qn FROM packet WHERE delivery IN ({ids}))", span)
    db.execute(f"DELETE FROM packet WHERE delivery IN ({ids})", span)
    db.execute(f"DELETE FROM payload WHERE delivery IN ({ids})", span)
    db.execute(f"DELETE FROM delivery WHERE id IN ({ids})", span)
    meta.put(db, mark, last + 1)
    return len(rows)


def _sweep_alarms(db: sqlite3.Connection, cutoff: int) -> int:
    """Ended alarms; one that goes on stays."""
    return db.execute(
        'DELETE FROM alarm WHERE id IN (SELECT id FROM alarm WHERE begin < ? AND "end" < ? ORDER BY begin LIMIT ?)',
        (cutoff, cutoff, SLICE_ROWS),
    ).rowcount


def _sweep_alarms_2005(db: sqlite3.Connection, cutoff: int) -> int:
    key = "at, platform, outlet, factor"
    oldest = f"SELECT {key} FROM alarm_2005 WHERE at < ? ORDER BY at LIMIT ?"
    return db.execute(f"DELETE FROM alarm_2005 WHERE ({key}) IN ({oldest})", (cutoff, SLICE_ROWS)).rowcount


def finished(db: sqlite3.Connection, start: int) -> None:
    """A kept delivery is done: where the sweep has already passed its label, it comes by once more."""
    passed = meta.get(db, _KEPT)
    if passed is not None and start < passed:
        meta.put(db, _KEPT, start)


def strip_late(db: sqlite3.Connection, delivery_id: int) -> None:
    """Drop the frames of a delivery that was answered when `_strip_bytes` had already passed them."""
    passed = meta.get(db, _BYTES)
    if passed is not None:
        late = "SELECT qn FROM packet WHERE delivery = ? AND qn <= ?"
        db.execute(f"DELETE FROM frame WHERE qn IN ({late})", (delivery_id, passed))


def _strip_bytes(db: sqlite3.Connection, cutoff: int) -> int:
    # frames would fill the disk in a year; dropped in batches, since one by one costs as much flash as
    # writing them
    rows = db.execute(
        "SELECT qn FROM packet WHERE qn > ? AND created < ? ORDER BY qn LIMIT ?",
        (meta.get(db, _BYTES) or 0, cutoff, SLICE_ROWS),
    ).fetchall()
    if not rows:
        return 0
    done = "FROM packet AS p JOIN delivery AS d ON d.id = p.delivery WHERE p.qn BETWEEN ? AND ? AND d.state >= 2"
    span = rows[0][0], rows[-1][0]
    db.execute(f"DELETE FROM payload WHERE delivery IN (SELECT d.id {done} AND NOT d.kept)", span)
    db.execute(f"DELETE FROM frame WHERE qn IN (SELECT p.qn {done})", span)
    meta.put(db, _BYTES, rows[-1][0])
    return len(rows)
