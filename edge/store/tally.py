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
    aside = dict[tuple[int, int], int](
        ((platform, outlet), number)
        for platform, outlet, number in db.execute(
            "SELECT platform, outlet, count(*) FROM delivery WHERE state < 2 AND state = 1 GROUP BY platform, outlet"
        )
    )
    rows = db.execute(
        "SELECT platform, outlet, sum(sent), sum(answered), sum(backfilled), sum(unconfirmed), sum(expired)"
        " FROM tally GROUP BY platform, outlet"
    )
    return [
        Counts(
            *(texts[platform], texts[outlet], *sums),
            rejected=aside.get((platform, outlet), 0),
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
    rows = db.execute("SELECT platform, outlet, sum(kept - kept_done) FROM tally GROUP BY platform, outlet")
    for platform, outlet, missing in rows:
        balance[platform, outlet] += missing
    for platform, outlet, waiting in db.execute(_WAITING):
        balance[platform, outlet] -= waiting
    return balance


# In the outbox and able to be sent: with a payload, or with at least one of its records (kinds as in
# RECORD_KINDS)
_WAITING = """
SELECT d.platform, d.outlet, count(*) FROM delivery AS d
WHERE d.state < 2 AND d.kept AND (EXISTS (SELECT 1 FROM payload WHERE delivery = d.id) OR EXISTS (
    SELECT 1 FROM record AS r WHERE r.start BETWEEN d.start AND coalesce(d."end" - 1, d.start)
    AND r.kind = CASE d.cn WHEN '2051' THEN 1 WHEN '2061' THEN 2 WHEN '2031' THEN 3 WHEN '2041' THEN 3
    END AND r.outlet =
    d.outlet))
GROUP BY d.platform, d.outlet
"""
