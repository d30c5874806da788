"""The keep log: which samples the samplers have kept, in which bottle, why and for whom. Append-only."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Literal

Cause = Literal["platform", "alarm", "operator", "timed", "emptied"]
_COLUMNS = "at, instrument, outlet, bottle, volume, cause, who, reason"


@dataclass(frozen=True, slots=True)
class Kept:
    """One sample; `bottle` None: it was not named. `emptied`: all bottles were taken out, `bottle` is 0.

    `volume` in mL; `who`: the platform, the factor of the alarm, the person.
    """

    at_ms: int
    instrument: str
    outlet: str
    bottle: int | None
    volume: float | None
    cause: Cause
    who: str
    reason: str = ""


def add(db: sqlite3.Connection, kept: Kept) -> None:
    """One more."""
    row = (
        *(kept.at_ms, kept.instrument, kept.outlet, kept.bottle),
        *(kept.volume, kept.cause, kept.who, kept.reason),
    )
    db.execute(f"INSERT INTO kept_sample ({_COLUMNS}) VALUES ({', '.join('?' * 8)})", row)


def newest(db: sqlite3.Connection, limit: int, instrument: str | None = None) -> list[Kept]:
    """At most `limit` of them, oldest first."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM kept_sample WHERE ?1 IS NULL OR instrument = ?1 ORDER BY id DESC LIMIT ?2",
        (instrument, limit),
    ).fetchall()
    return [Kept(*row) for row in rows[::-1]]


def last(db: sqlite3.Connection) -> dict[str, Kept]:
    """The last entry of each sampler that names a bottle, or says that they were emptied."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM kept_sample WHERE id IN"
        " (SELECT max(id) FROM kept_sample WHERE bottle IS NOT NULL GROUP BY instrument)"
    )
    return {row[1]: Kept(*row) for row in rows}
