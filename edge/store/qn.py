"""QNs: the wall clock's milliseconds, but always later than the last one assigned (design rule 1).

Kept in the transaction that uses them: a restart or a clock set back never assigns one twice.
"""

from __future__ import annotations

import sqlite3

from edge.store import meta
from protocol.times import qn_text

_LAST = "qn"


def qn_for(db: sqlite3.Connection, now_ms: int) -> str:
    """A new QN (17 digits), strictly later than every one before."""
    last = meta.get(db, _LAST)
    ms = now_ms if last is None else max(now_ms, last + 1)
    meta.put(db, _LAST, ms)
    return qn_text(ms)


def last_qn(db: sqlite3.Connection) -> str | None:
    """The QN assigned last."""
    last = meta.get(db, _LAST)
    return None if last is None else qn_text(last)
