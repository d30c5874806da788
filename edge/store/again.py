"""What a technician orders for the outbox: send a range again, try what was set aside, hold a platform.

A delivery that is sent again is open as on its first day: its packets are issued anew, with the values of its records.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from edge.store import meta, names, tally
from edge.store.delivery import RECORD_KINDS, State

ROWS = 200
"""Deliveries in one transaction: the store's thread has other things to do as well."""
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
    """How many deliveries of each CN would be sent again."""
    return dict(Counter(cn for _, _, cn, *_ in _found(db, wanted, 0, -1)))


def reopen(db: sqlite3.Connection, wanted: Range, after: int) -> tuple[int, int | None]:
    """Open the next ROWS deliveries behind number `after` again: how many, and the number to go on from; None: all."""
    rows = _found(db, wanted, after, ROWS)
    for number, outlet, cn, state, kept, backfilled in rows:
        db.execute(
            "UPDATE delivery SET state = 0, attempts = 0, refusals = 0, retry_after = 0, done_at = NULL,"
            " backfilled = 0, issue = issue + (issue > 0) WHERE id = ?",
            (number,),
        )
        key = names.find(db, wanted.platform), outlet, cn
        tally.add(db, key, **_undone(State(state), kept, backfilled))
    return len(rows), rows[-1][0] if len(rows) == ROWS else None


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


def _found(db: sqlite3.Connection, wanted: Range, after: int, limit: int) -> list[tuple[int, int, str, int, int, int]]:
    """Deliveries of records that are done or set aside; what is open is on its way already."""
    cns = [cn for cn in wanted.cns if cn in RECORD_KINDS]
    where = "start BETWEEN ? AND ? AND platform = ? AND state != 0 AND kept AND id > ?"
    args: list[object] = [wanted.begin, wanted.end, names.find(db, wanted.platform), after]
    if wanted.outlet is not None:
        where += " AND outlet = ?"
        args.append(names.find(db, wanted.outlet))
    where += f" AND cn IN ({', '.join('?' * len(cns))})"
    return db.execute(
        f"SELECT id, outlet, cn, state, kept, backfilled FROM delivery WHERE {where} ORDER BY id LIMIT ?",
        (*args, *cns, limit),
    ).fetchall()


def hold(db: sqlite3.Connection, platform: str, on: bool) -> None:
    """Whether nothing is to be sent to a platform; kept across restarts."""
    meta.put(db, f"held.{platform}", int(on))


def is_held(db: sqlite3.Connection, platform: str) -> bool:
    """Whether a technician holds a platform."""
    return meta.get(db, f"held.{platform}") == 1
