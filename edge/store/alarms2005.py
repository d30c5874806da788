"""Alarms of edition 2005: when a value passed a limit that a platform had set, and when it kept it again.

They stand here for the platform that asks for them later (CN 2071), and so that a restart knows which ones go on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from edge.store import delivery, names
from edge.store.delivery import Due


@dataclass(frozen=True, slots=True)
class Alarm:
    """`over`: the limit was passed; else it is kept again. `value` in the factor's unit, unrounded."""

    at_ms: int
    factor: str
    value: float
    over: bool


def note(
    db: sqlite3.Connection, platform: str, outlet: str, alarms: Iterable[Alarm], dues: Iterable[Due], now_ms: int
) -> list[int]:
    """Alarms and what is due for them, in one transaction; the ids of the new deliveries."""
    key = names.intern(db, platform), names.intern(db, outlet)
    db.executemany(
        "INSERT INTO alarm_2005 VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET value = excluded.value, over = excluded.over",  # a clock that was set back
        [(each.at_ms, *key, names.intern(db, each.factor), each.value, each.over) for each in alarms],
    )
    return delivery.enqueue(db, dues, now_ms)


def standing(db: sqlite3.Connection, platform: str, outlet: str) -> set[str]:
    """The factors whose last alarm has not ended."""
    rows = db.execute(
        "SELECT n.text, a.over, max(a.at) FROM alarm_2005 AS a JOIN name AS n ON n.id = a.factor"
        " WHERE a.platform = ? AND a.outlet = ? GROUP BY a.factor",
        (names.find(db, platform), names.find(db, outlet)),
    )
    return {factor for factor, over, _ in rows if over}


def begun(
    db: sqlite3.Connection, key: tuple[str, str], period: tuple[int, int], behind: int, count: int
) -> list[Alarm]:
    """When limits of a platform and outlet were passed in a period, both ends included: `count` behind so many."""
    rows = db.execute(
        "SELECT a.at, n.text, a.value, a.over FROM alarm_2005 AS a JOIN name AS n ON n.id = a.factor"
        " WHERE a.at BETWEEN ? AND ? AND a.platform = ? AND a.outlet = ? AND a.over ORDER BY a.at, a.factor"
        " LIMIT ? OFFSET ?",
        (*period, names.find(db, key[0]), names.find(db, key[1]), count, behind),
    )
    return [Alarm(at_ms, factor, value, bool(over)) for at_ms, factor, value, over in rows]
