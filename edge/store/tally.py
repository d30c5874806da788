"""Counters of deliveries, kept where their state changes so that `status` need not count a year of rows.

`lost` is not a counter but a balance: kept deliveries ever taken in, less those answered or unconfirmed, less
those that are in the outbox with their data. It is 0 unless something went wrong.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from dataclasses import dataclass, field

from edge.store import names

Key = tuple[int, int, str]
"""Numbers of platform and outlet, CN."""
LOOKED_AT = 2_000
"""Deliveries of a platform, outlet and CN that are looked at one by one for `lost`."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Deliveries of a platform and outlet. `sent`: a packet was committed for sending at least once;
    `backfilled`: those answered that went out of the backlog; `rejected`: refused again and again, kept
    aside; `lost`: always 0."""

    platform: str
    outlet: str
    sent: int
    answered: int
    backfilled: int
    unconfirmed: int
    expired: int
    rejected: int = field(kw_only=True)
    lost: int = field(kw_only=True)


def add(db: sqlite3.Connection, key: Key, **changes: int) -> None:
    """Add to counters of (platform, outlet, CN)."""
    db.execute("INSERT INTO tally (platform, outlet, cn) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", key)
    sums = ", ".join(f"{name} = {name} + ?" for name in changes)
    db.execute(f"UPDATE tally SET {sums} WHERE platform = ? AND outlet = ? AND cn = ?", (*changes.values(), *key))


def counts(db: sqlite3.Connection) -> list[Counts]:
    """Counters per platform and outlet."""
    texts = names.texts(db)
    lost = _lost(db)
    aside: dict[tuple[int, int], int] = defaultdict(int)
    for *key, cn in db.execute("SELECT platform, outlet, cn FROM tally").fetchall():
        aside[key[0], key[1]] += db.execute(_ASIDE, (*key, cn)).fetchone()[0]
    rows = db.execute(
        "SELECT platform, outlet, sum(sent), sum(answered), sum(backfilled), sum(unconfirmed), sum(expired)"
        " FROM tally GROUP BY platform, outlet"
    )
    return [
        Counts(
            *(texts[platform], texts[outlet], *sums),
            rejected=aside[platform, outlet],
            lost=lost[platform, outlet],
        )
        for platform, outlet, *sums in rows
    ]


def never_answered(db: sqlite3.Connection, platform: str) -> list[str]:
    """CNs that this platform was asked about at least a full round and has never answered."""
    rows = db.execute(
        "SELECT cn FROM tally WHERE platform = ? GROUP BY cn HAVING sum(answered) = 0 AND sum(gave_up) > 0 ORDER BY cn",
        (names.find(db, platform),),
    )
    return [row[0] for row in rows]


def _lost(db: sqlite3.Connection) -> dict[tuple[int, int], int]:
    """Per (platform, outlet)."""
    balance: dict[tuple[int, int], int] = defaultdict(int)
    rows = db.execute("SELECT platform, outlet, cn, kept - kept_done, kept FROM tally").fetchall()
    for platform, outlet, cn, missing, kept in rows:
        balance[platform, outlet] += missing - (_waiting(db, (platform, outlet, cn)) if kept else 0)
    return balance


def _waiting(db: sqlite3.Connection, key: Key) -> int:
    """Kept deliveries in the outbox that can be sent: with a payload, or with at least one of their records.

    Of more than LOOKED_AT only the oldest are looked at one by one: the oldest records are the first to go, and the
    rest of a backlog of a year would hold up the store for seconds.
    """
    total = db.execute(
        "SELECT count(*) FROM delivery WHERE platform = ? AND outlet = ? AND cn = ? AND state < 2", key
    ).fetchone()[0]
    sound = db.execute(_SOUND, (*key, LOOKED_AT)).fetchone()[0]
    return int(total - min(total, LOOKED_AT) + sound)


_ASIDE = "SELECT count(*) FROM delivery WHERE platform = ? AND outlet = ? AND cn = ? AND state < 2 AND state >= 1"
# kinds as in RECORD_KINDS
_SOUND = """
SELECT count(*) FROM (
    SELECT id, outlet, cn, start, "end", kept FROM delivery
    WHERE platform = ? AND outlet = ? AND cn = ? AND state < 2 ORDER BY state, start, id LIMIT ?
) AS d
WHERE d.kept AND (EXISTS (SELECT 1 FROM payload WHERE delivery = d.id) OR EXISTS (
    SELECT 1 FROM record AS r WHERE r.start BETWEEN d.start AND coalesce(d."end" - 1, d.start)
    AND r.kind = CASE d.cn WHEN '2051' THEN 1 WHEN '2061' THEN 2 WHEN '2031' THEN 3 WHEN '2041' THEN 3
    END AND r.outlet = d.outlet))
"""
