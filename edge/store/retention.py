"""Retention: the only place that deletes data, in small slices so that the store's thread is never held up.

What a platform has not answered for is never deleted, nor the records that it needs. Each call deletes one
slice of each kind, an hour of records or 500 rows; watermarks remember how far it has come, since keys begin
with time and rows of longer-lived kinds stand between.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

from config.site import Retention
from edge.clock import plausible
from edge.store import links, meta, names, tally
from edge.store.delivery import RECORD_KINDS, State
from edge.values import HOUR_MS, Kind

SLICE_ROWS = 500
LIVE_MS = 7 * 24 * HOUR_MS
"""Delivered or expired realtime and other packets that are not kept stay this long."""
LEAP_MS = 7 * 24 * HOUR_MS
"""A clock that goes on by more than this at once may be wrong."""
CATCH_UP = 10
_BYTES = "swept.bytes"
_KEPT, _LIVE = "swept.kept", "swept.live"


class Pace:
    """The time that retention goes by: the wall clock's, but a leap only CATCH_UP times as fast as time passes.

    A clock that is set years ahead by mistake, for a night, must not delete what took years to gather. A logger that
    was off for a year is some weeks late with deleting: there is room, since nothing came in meanwhile.
    """

    def __init__(self, seen_ms: int | None, mono_s: float) -> None:
        """`seen_ms`: when the daemon was last known to live; None: nobody knows."""
        self._now_ms = seen_ms
        self._at_s = mono_s

    def now(self, wall_ms: int, mono_s: float) -> int:
        """UTC ms."""
        passed_ms, self._at_s = round((mono_s - self._at_s) * 1000), mono_s
        if self._now_ms is None or wall_ms <= self._now_ms + LEAP_MS:
            self._now_ms = wall_ms
        else:
            self._now_ms += passed_ms * CATCH_UP
        return self._now_ms


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
    return gone + strip_bytes(db, now_ms - limits.packets)


def expire_unserved(db: sqlite3.Connection, now_ms: int, limits: Retention, served: Collection[tuple[str, str]]) -> int:
    """End what waits for platforms and outlets that the site file no longer has, a slice at a time; how many.

    They may be put back, so it stays for as long as answered deliveries; for ever it would keep every record.
    """
    texts = names.texts(db)
    gone = 0
    for key in db.execute("SELECT platform, outlet, cn FROM tally").fetchall():
        if (texts[key[0]], texts[key[1]]) not in served:
            gone += _expire_slice(db, key, now_ms - limits.deliveries)
    return gone


def _expire_slice(db: sqlite3.Connection, key: tally.Key, cutoff: int) -> int:
    rows = db.execute(
        "SELECT id, start, kept FROM delivery WHERE platform = ? AND outlet = ? AND cn = ? AND state < 2"
        " ORDER BY state, start LIMIT ?",
        (*key, SLICE_ROWS),
    ).fetchall()
    old = [row for row in rows if row[1] < cutoff]
    if old:
        db.executemany("UPDATE delivery SET state = ? WHERE id = ?", [(State.EXPIRED, row[0]) for row in old])
        tally.add(db, key, expired=len(old), kept_done=sum(row[2] for row in old))
        finished(db, min(row[1] for row in old))
    return len(old)


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
    oldest = [
        row[0]
        for key in db.execute("SELECT platform, outlet, cn FROM tally").fetchall()
        if key[2] in RECORD_KINDS
        for states in ("<= 0", ">= 1")  # each a search in the index of what is open, whatever has been answered
        for row in db.execute(
            "SELECT start FROM delivery WHERE platform = ? AND outlet = ? AND cn = ? AND state < 2"
            f" AND state {states} AND kept ORDER BY state, start LIMIT 1",
            key,
        )
    ]
    return min(oldest, default=None)


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


def drop_live(db: sqlite3.Connection, cutoff: int) -> int:
    """One slice of deliveries that are done and not kept, before their time."""
    rows = db.execute(
        "SELECT id FROM delivery WHERE start >= ? AND start < ? AND NOT kept AND state >= 2 ORDER BY start LIMIT ?",
        (meta.get(db, _LIVE) or 0, cutoff, SLICE_ROWS),
    ).fetchall()
    for table, key in (
        ("frame", "qn IN (SELECT qn FROM packet WHERE delivery = ?)"),
        ("packet", "delivery = ?"),
        ("payload", "delivery = ?"),
        ("delivery", "id = ?"),
    ):
        db.executemany(f"DELETE FROM {table} WHERE {key}", rows)
    return len(rows)


def drop_kept(db: sqlite3.Connection, cutoff: int) -> int:
    """One slice of deliveries that are answered, before their time."""
    return _sweep_deliveries(db, _KEPT, _earlier(cutoff, _oldest_needed(db)), "kept AND state >= 2")


def drop_records(db: sqlite3.Connection, kind: Kind, cutoff: int) -> int:
    """One slice of records that no open delivery needs, before their time."""
    return _sweep_records(db, kind, _earlier(cutoff, _oldest_needed(db)))


def finished(db: sqlite3.Connection, start: int) -> None:
    """A kept delivery is done: where the sweep has already passed its label, it comes by once more."""
    passed = meta.get(db, _KEPT)
    if passed is not None and start < passed:
        meta.put(db, _KEPT, start)


def strip_late(db: sqlite3.Connection, delivery_id: int) -> None:
    """Drop the frames of a delivery that was answered when `strip_bytes` had already passed them."""
    passed = meta.get(db, _BYTES)
    if passed is not None:
        late = "SELECT qn FROM packet WHERE delivery = ? AND qn <= ?"
        db.execute(f"DELETE FROM frame WHERE qn IN ({late})", (delivery_id, passed))


def strip_bytes(db: sqlite3.Connection, cutoff: int) -> int:
    """One slice of the bytes of packets whose delivery is done, and that were made before `cutoff`; their SHA-256
    stays with the packet."""
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
