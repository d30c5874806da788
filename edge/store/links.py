"""The link log (records.db): runs of the daemon, connections of each link with their end, sums of each hour.

It rides in transactions that begin for something else (`Store.ride`). What a kill leaves open is closed at the next
start, at the last known moment: the newest of the log's own mark, the last sealed minute and the last QN.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields

from edge.store import meta, names
from edge.store.qn import LAST_QN
from edge.values import MINUTE_MS, Kind

SEEN = "links.seen"
"""Name, among the single numbers, of when the log was written last, UTC ms."""
SLICE_ROWS = 500


@dataclass(frozen=True, slots=True)
class Connected:
    """One connection; `ended` None: it goes on. `cause`: of `edge.uplink.transport.CAUSES`."""

    link: str
    began: int
    address: str
    peer: str
    ended: int | None = None
    cause: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Sums:
    """What went over a link in a time. `trips`: round trips of packets that were written once, `trips_ms` together."""

    bytes_in: int = 0
    bytes_out: int = 0
    sent: int = 0
    resent: int = 0
    answered: int = 0
    trips: int = 0
    trips_ms: int = 0
    longest_ms: int = 0
    failures: int = 0

    def __add__(self, other: Sums) -> Sums:
        added = {each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)}
        return Sums(**(added | {"longest_ms": max(self.longest_ms, other.longest_ms)}))

    def since(self, before: Sums) -> Sums:
        """What has come to counters since `before`; `longest_ms` is this one's."""
        less = {each.name: getattr(self, each.name) - getattr(before, each.name) for each in fields(self)}
        return Sums(**(less | {"longest_ms": self.longest_ms}))


@dataclass(frozen=True, slots=True)
class Run:
    """When the daemon ran; `ended` None: it still does."""

    began: int
    ended: int | None
    how: str | None


def begin(db: sqlite3.Connection, began_ms: int, now_ms: int) -> None:
    """A new run; what the one before has left open ended when it was last known to live."""
    last = last_known(db, now_ms)
    closing = "ended = max(began, ?)"
    db.execute(f"UPDATE connected SET {closing}, cause = 'killed' WHERE ended IS NULL AND began < ?", (last, began_ms))
    db.execute(f"UPDATE run SET {closing}, how = 'killed' WHERE ended IS NULL", (last,))
    db.execute("INSERT INTO run (began) VALUES (?) ON CONFLICT DO UPDATE SET ended = NULL, how = NULL", (began_ms,))


def end(db: sqlite3.Connection, now_ms: int) -> None:
    """The daemon was asked to stop."""
    db.execute("UPDATE run SET ended = max(began, ?), how = 'stopped' WHERE ended IS NULL", (now_ms,))


def keep(
    db: sqlite3.Connection, hour: int, connections: Sequence[Connected], sums: Mapping[str, Sums], now_ms: int
) -> None:
    """Connections that began or ended, and what has come to the sums of an hour."""
    for one in connections:
        row = one.began, names.intern(db, one.link), one.address, one.peer, one.ended, one.cause, one.detail
        db.execute(
            "INSERT INTO connected VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " ended = coalesce(excluded.ended, ended), cause = coalesce(excluded.cause, cause),"
            " detail = coalesce(excluded.detail, detail)",
            row,
        )
    columns = [each.name for each in fields(Sums)]
    added = ", ".join(f"{name} = {name} + excluded.{name}" for name in columns if name != "longest_ms")
    for link, more in sums.items():
        db.execute(
            f"INSERT INTO link_hour VALUES ({', '.join('?' * (len(columns) + 2))}) ON CONFLICT DO UPDATE SET {added},"
            " longest_ms = max(longest_ms, excluded.longest_ms)",
            (hour, names.intern(db, link), *astuple(more)),
        )
    meta.put(db, SEEN, now_ms)


def seen(db: sqlite3.Connection) -> int | None:
    """When the log was written last, UTC ms; None: never."""
    return meta.get(db, SEEN)


def last_known(db: sqlite3.Connection, now_ms: int) -> int:
    """When a daemon was last known to live."""
    return min(now_ms, max(meta.get(db, SEEN) or 0, meta.get(db, LAST_QN) or 0, _sealed(db)))


def _sealed(db: sqlite3.Connection) -> int:
    row = db.execute("SELECT max(last) FROM sealed WHERE kind = ?", (Kind.MINUTE,)).fetchone()
    return 0 if row[0] is None else int(row[0]) + MINUTE_MS


def runs(db: sqlite3.Connection, begin_ms: int, end_ms: int) -> list[Run]:
    """Runs that touch [begin, end)."""
    rows = db.execute(
        "SELECT began, ended, how FROM run WHERE began < ? AND (ended IS NULL OR ended >= ?) ORDER BY began",
        (end_ms, begin_ms),
    )
    return [Run(*row) for row in rows]


def connections(db: sqlite3.Connection, begin_ms: int, end_ms: int) -> list[Connected]:
    """Connections of all links that touch [begin, end), in order."""
    texts = names.texts(db)
    rows = db.execute(
        "SELECT link, began, address, peer, ended, cause, detail FROM connected"
        " WHERE began < ? AND (ended IS NULL OR ended >= ?) ORDER BY began, link",
        (end_ms, begin_ms),
    )
    return [Connected(texts[link], *rest) for link, *rest in rows]


def sums(db: sqlite3.Connection, begin_ms: int, end_ms: int) -> dict[str, Sums]:
    """What went over each link in the hours that begin in [begin, end)."""
    texts = names.texts(db)
    columns = ", ".join(
        f"max({each.name})" if each.name == "longest_ms" else f"sum({each.name})" for each in fields(Sums)
    )
    rows = db.execute(
        f"SELECT link, {columns} FROM link_hour WHERE hour >= ? AND hour < ? GROUP BY link", (begin_ms, end_ms)
    )
    return {texts[link]: Sums(*values) for link, *values in rows}


def delivered(db: sqlite3.Connection, begin_ms: int, end_ms: int) -> dict[tuple[str, str], dict[str, int]]:
    """Kept deliveries whose data begin in [begin, end), per platform and outlet, those that expired left out."""
    texts = names.texts(db)
    rows = db.execute(
        "SELECT platform, outlet, count(*), sum(state = 2), sum(state = 3), sum(state < 2) FROM delivery"
        " WHERE start >= ? AND start < ? AND kept AND state <> 4 GROUP BY platform, outlet",
        (begin_ms, end_ms),
    )
    keys = "due", "delivered", "unconfirmed", "waiting"
    return {(texts[one], texts[outlet]): dict(zip(keys, counts, strict=True)) for one, outlet, *counts in rows}


def known_since(db: sqlite3.Connection) -> dict[str, int]:
    """When each link was first seen; of one that never came up: the beginning of that hour."""
    texts = names.texts(db)
    rows = db.execute(
        "SELECT link, min(first) FROM (SELECT link, min(began) AS first FROM connected GROUP BY link"
        " UNION ALL SELECT link, min(hour) FROM link_hour GROUP BY link) GROUP BY link"
    )
    return {texts[link]: first for link, first in rows}


def sweep(db: sqlite3.Connection, cutoff: int) -> int:
    """Delete what ended before `cutoff`, a slice of each table; how many rows."""
    gone = 0
    for table, key, old in (
        ("connected", "began, link", "began < ? AND ended < ?1"),
        ("link_hour", "hour, link", "hour < ?"),
        ("run", "began", "began < ? AND ended < ?1"),
    ):
        some = f"SELECT {key} FROM {table} WHERE {old} ORDER BY {key} LIMIT {SLICE_ROWS}"
        gone += db.execute(f"DELETE FROM {table} WHERE ({key}) IN ({some})", (cutoff,)).rowcount
    return gone
