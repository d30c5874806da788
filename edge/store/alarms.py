"""Alarms with their beginnings, ends and peaks. Key: begin, outlet, factor, kind; what is known of one later replaces
what was known before.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from edge.measure.alarms import Alarm

_COLUMNS = 'outlet, factor, kind, begin, "end", peak, "limit"'


@dataclass(frozen=True, slots=True)
class Kept:
    """An alarm as it is stored; `action`: what was done on it, and how that ended."""

    id: int
    alarm: Alarm
    action: str | None


def keep(db: sqlite3.Connection, alarms: Iterable[Alarm]) -> None:
    """New alarms, and what has changed of those that are known."""
    db.executemany(
        f"INSERT INTO alarm ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (begin, outlet, factor, kind)"
        ' DO UPDATE SET "end" = excluded."end", peak = excluded.peak',
        [(one.outlet, one.factor, one.kind, one.begin, one.end, one.peak, one.limit) for one in alarms],
    )


def keep_new(db: sqlite3.Connection, alarm: Alarm) -> None:
    """An alarm that may not be stored yet; what is stored of it stays."""
    row = (alarm.outlet, alarm.factor, alarm.kind, alarm.begin, alarm.end, alarm.peak, alarm.limit)
    db.execute(f"INSERT INTO alarm ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", row)


def acted(db: sqlite3.Connection, alarm: Alarm, action: str) -> None:
    """What was done on an alarm."""
    key = alarm.begin, alarm.outlet, alarm.factor, alarm.kind
    db.execute("UPDATE alarm SET action = ? WHERE begin = ? AND outlet = ? AND factor = ? AND kind = ?", (action, *key))


def still_open(db: sqlite3.Connection) -> list[Alarm]:
    """The alarms that go on, oldest first."""
    rows = db.execute(f'SELECT {_COLUMNS} FROM alarm WHERE "end" IS NULL ORDER BY begin, id')
    return [Alarm(*row) for row in rows]


def newest(db: sqlite3.Connection, limit: int, is_open: bool = False) -> list[Kept]:
    """The newest alarms by their beginning, in order; `is_open`: only those that go on."""
    which = 'WHERE "end" IS NULL' if is_open else ""
    rows = db.execute(
        f"SELECT id, action, {_COLUMNS} FROM alarm {which} ORDER BY begin DESC, id DESC LIMIT ?", (limit,)
    )
    return [Kept(number, Alarm(*rest), action) for number, action, *rest in rows][::-1]
