"""Last known states, parameters and identities: a change is found also across a restart.

A change, its entry in the journal and what is due for it are one transaction: what is told is known, and what is known
was told.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edge.store import delivery, journal, kept
from edge.store.delivery import Due
from edge.values import Change, InfoKey, Known


@dataclass(frozen=True, slots=True)
class Note:
    """What a change leaves in the journal."""

    who: str
    action: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that happened: the change or the kept sample where it is one, its entry in the journal, what is due."""

    change: Change | None
    note: Note | None
    dues: tuple[Due, ...]
    sample: kept.Kept | None = None


def known(db: sqlite3.Connection) -> dict[InfoKey, Known]:
    """Everything that was seen, with its last value."""
    rows = db.execute("SELECT owner, outlet, factor, info, value, since FROM info")
    return {InfoKey(*row[:4]): Known(*row[4:]) for row in rows}


def take(db: sqlite3.Connection, told: Iterable[Told], now_ms: int) -> list[int]:
    """Take in what happened, in its order; ids of the deliveries that are due for it."""
    ids: list[int] = []
    for each in told:
        if each.change is not None:
            db.execute(
                "INSERT INTO info VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                " value = excluded.value, since = excluded.since",
                (*each.change.key, each.change.after, each.change.at_ms),
            )
        if each.note is not None:
            journal.append(db, each.note.who, each.note.action, each.note.detail, now_ms)
        if each.sample is not None:
            kept.add(db, each.sample)
        ids += delivery.enqueue_beside(db, each.dues, now_ms)
    return ids
