"""QNs: the wall clock's milliseconds, but always later than the last one assigned (design rule 1).

Kept in the transaction that uses them: a restart or a clock set back never assigns one twice.
"""

from __future__ import annotations

import sqlite3

from edge.store import meta
from protocol.times import qn_text

LAST_QN = "qn"
"""Name of the last QN, UTC ms, among the single numbers."""


def qn_for(db: sqlite3.Connection, now_ms: int) -> str:
    """A new QN (17 digits), strictly later than every one before."""
    last = meta.get(db, LAST_QN)
    ms = now_ms if last is None else max(now_ms, last + 1)
    meta.put(db, LAST_QN, ms)
    return qn_text(ms)


def last_qn(db: sqlite3.Connection) -> str | None:
    """The QN assigned last."""
    last = meta.get(db, LAST_QN)
    return None if last is None else qn_text(last)
