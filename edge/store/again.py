"""What a technician orders for the outbox: send a range again, try what was set aside, hold a platform.

A delivery that is sent again is open as on its first day: its packets are issued anew, with the values of its records.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from edge.store import meta, names, tally
from edge.store.delivery import RECORD_KINDS, State

ROWS = 200
"""Deliveries in one transaction: the store's thread has other things to do as well."""
Place = tuple[int, int]
"""Start and number of a delivery; FIRST is before all."""
FIRST: Place = (0, 0)
_DONE = (State.DELIVERED, State.UNCONFIRMED, State.EXPIRED)


@dataclass(frozen=True, slots=True)
class Range:
    """Deliveries of a platform that are labelled begin <= start <= end, UTC ms; `outlet` None: of all outlets."""

    platform: str
    cns: Sequence[str]
    begin: int
    end: int
    outlet: str | None = None


def count(db: sqlite3.Connection, wanted: Range) -> dict[str, int]:
    """How many deliveries of each CN would be sent again. Every one is looked at: ask for some days at once."""
    where, args = _condition(db, wanted)
    return dict(db.execute(f"SELECT cn, count(*) FROM delivery WHERE {where} GROUP BY cn", args).fetchall())


def reopen(db: sqlite3.Connection, wanted: Range, after: Place) -> tuple[int, Place | None]:
    """Open the next ROWS deliveries behind `after` again: how many, and the place to go on from; None: that was all."""
    where, args = _condition(db, wanted)
    rows = db.execute(
        f"SELECT start, id, outlet, cn, state, kept, backfilled FROM delivery WHERE {where}"
        " AND start >= ? AND (start, id) > (?, ?) ORDER BY start, id LIMIT ?",
        (*args, after[0], *after, ROWS),
    ).fetchall()
    for _, number, outlet, cn, state, kept, backfilled in rows:
        db.execute(
            "UPDATE delivery SET state = 0, attempts = 0, refusals = 0, retry_after = 0, done_at = NULL,"
            " backfilled = 0, issue = issue + (issue > 0) WHERE id = ?",
            (number,),
        )
        key = names.find(db, wanted.platform), outlet, cn
        tally.add(db, key, **_undone(State(state), kept, backfilled))
    return len(rows), rows[-1][:2] if len(rows) == ROWS else None


def _undone(state: State, kept: int, backfilled: int) -> dict[str, int]:
    """What a delivery that is no longer done takes back from the counters."""
    counts = {"kept_done": -kept if state in _DONE else 0}
    if state is State.DELIVERED:
        counts |= {"answered": -1, "backfilled": -backfilled}
    if state is State.UNCONFIRMED:
        counts["unconfirmed"] = -1
    if state is State.EXPIRED:
        counts["expired"] = -1
    return counts


def _condition(db: sqlite3.Connection, wanted: Range) -> tuple[str, tuple[object, ...]]:
    """Deliveries of records that are done or set aside; what is open is on its way already."""
    cns = [cn for cn in wanted.cns if cn in RECORD_KINDS]
    where = f"start BETWEEN ? AND ? AND platform = ? AND state != 0 AND kept AND cn IN ({', '.join('?' * len(cns))})"
    args: tuple[object, ...] = (wanted.begin, wanted.end, names.find(db, wanted.platform), *cns)
    if wanted.outlet is None:
        return where, args
    return where + " AND outlet = ?", (*args, names.find(db, wanted.outlet))


def hold(db: sqlite3.Connection, platform: str, on: bool) -> None:
    """Whether nothing is to be sent to a platform; kept across restarts."""
    meta.put(db, f"held.{platform}", int(on))


def is_held(db: sqlite3.Connection, platform: str) -> bool:
    """Whether a technician holds a platform."""
    return meta.get(db, f"held.{platform}") == 1
