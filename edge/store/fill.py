"""What of the past a platform gets that was added later (`from` in the site file), and how far that has come.

    ──── not its data ────┬──── in the outbox ────┬──── to come ────┬──── due as they are sealed ────▶
                        begin                   place             until

Decided once, when a platform is first seen with an outlet; a `from` that is set to an earlier time later adds what is
missing. A page is one hour of labels, and one transaction with its place: a daemon that ends goes on there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from edge.store import names, records
from edge.store.delivery import Due, enqueue, first_revision
from edge.values import HOUR_MS, MINUTE_MS, Kind, Record, period_start

DuesOf = Callable[[list[Record], int], Iterable[Due]]
"""What is due of an hour's records; of its minutes those up to before the time given, UTC ms."""
_ROWS = 100_000
"""Above all that an hour of one outlet may hold."""


@dataclass(frozen=True, slots=True)
class Fill:
    """How far the past has come, times in UTC ms."""

    platform: str
    outlet: str
    begin: int
    place: int
    until: int
    minutes: int

    @property
    def goes_on(self) -> bool:
        """Whether something is still to be put into the outbox."""
        return self.place < self.until


def decide(db: sqlite3.Connection, platform: str, outlet: str, since: int | None, interval_ms: int) -> Fill:
    """What a platform gets, at every start before anything is due; `since`: UTC ms, None: nothing of the past.

    A platform that had data before this was kept account of (it has a tally) gets nothing more.
    """
    key = names.intern(db, platform), names.intern(db, outlet)
    row = db.execute("SELECT begin, place, until, minutes FROM fill WHERE platform = ? AND outlet = ?", key).fetchone()
    if row is None:
        newest = _newest(db, outlet)
        known = db.execute("SELECT 1 FROM tally WHERE platform = ? AND outlet = ?", key).fetchone() is not None
        begin = 0 if known or newest is None else newest if since is None else min(since, newest)
        until = begin if known or newest is None else newest
        minutes = period_start(records.last_start(db, outlet, Kind.MINUTE) or 0, interval_ms)
        row = begin, begin, until, minutes
    else:
        begin, place, until, minutes = row
        row = *_decided_again(begin, place, until, since), minutes
    db.execute("INSERT OR REPLACE INTO fill VALUES (?, ?, ?, ?, ?, ?)", (*key, *row))
    return Fill(platform, outlet, *row)


def _decided_again(begin: int, place: int, until: int, since: int | None) -> tuple[int, int, int]:
    """An earlier `from` adds what lies before; a later one spares what has not been put into the outbox yet."""
    if since is not None and since < begin:
        return since, since, until if place < until else begin
    if place < until:
        start = until if since is None else min(max(place, since), until)
        return (begin if start == place else start), start, until
    return begin, place, until


def _newest(db: sqlite3.Connection, outlet: str) -> int | None:
    """Just behind the newest label; None: there are no records."""
    found = (records.last_start(db, outlet, kind) for kind in Kind)
    return max((start + MINUTE_MS for start in found if start is not None), default=None)


def unfinished(db: sqlite3.Connection) -> list[Fill]:
    """Those that go on."""
    texts = names.texts(db)
    rows = db.execute("SELECT platform, outlet, begin, place, until, minutes FROM fill WHERE place < until")
    return [Fill(texts[platform], texts[outlet], *rest) for platform, outlet, *rest in rows]


def next_page(db: sqlite3.Connection, fill: Fill, dues_of: DuesOf, now_ms: int) -> tuple[Fill, int]:
    """Put the next hour that has records into the outbox: where it stands now, and how many deliveries were new.

    What is or was in the outbox already, with whatever revision, is left as it is.
    """
    platform, outlet = names.find(db, fill.platform), names.find(db, fill.outlet)
    first = db.execute(
        "SELECT start FROM record WHERE start >= ? AND start < ? AND outlet = ? ORDER BY start LIMIT 1",
        (fill.place, fill.until, outlet),
    ).fetchone()
    place, added = fill.until, list[int]()
    if first is not None:
        place = min(period_start(first[0], HOUR_MS) + HOUR_MS, fill.until)
        found = [
            record
            for kind in Kind
            for record in records.between(db, fill.outlet, kind, first[0], place - 1, _ROWS)
            if record.start >= fill.place
        ]
        dues = dues_of(found, min(fill.minutes, fill.until))
        added = enqueue(db, [due for due in dues if not _known(db, due)], now_ms)
    db.execute("UPDATE fill SET place = ? WHERE platform = ? AND outlet = ?", (place, platform, outlet))
    return replace(fill, place=place), len(added)


def _known(db: sqlite3.Connection, due: Due) -> bool:
    return first_revision(db, due.platform, due.outlet, due.cn, due.start) is not None
