"""The last packets in and out (samples.db), for the technician: a ring that may be lost.

Passwords are in the bytes: whoever shows them masks PW.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

RING = 4_000
"""Packets kept, of all platforms together: about a day of two platforms."""


@dataclass(frozen=True, slots=True)
class Logged:
    """A packet as it went over the link. `verdict` is a code of the catalogue, empty where there is nothing to say."""

    at_ms: int
    platform: str
    outlet: str | None
    incoming: bool
    data: bytes
    verdict: str = ""


def log(db: sqlite3.Connection, packets: Iterable[Logged]) -> None:
    """Add packets; the oldest beyond the ring go."""
    rows = [(p.at_ms, p.platform, p.outlet, p.incoming, p.data, p.verdict) for p in packets]
    db.executemany("INSERT INTO link (at, platform, outlet, incoming, data, verdict) VALUES (?, ?, ?, ?, ?, ?)", rows)
    db.execute("DELETE FROM link WHERE id <= (SELECT max(id) FROM link) - ?", (RING,))


def packets(db: sqlite3.Connection, platform: str | None, limit: int) -> list[Logged]:
    """The newest packets of a platform (None: of all), newest first."""
    rows = db.execute(
        "SELECT at, platform, outlet, incoming, data, verdict FROM link WHERE ?1 IS NULL OR platform = ?1"
        " ORDER BY id DESC LIMIT ?2",
        (platform, limit),
    )
    return [
        Logged(at, name, outlet, bool(incoming), data, verdict) for at, name, outlet, incoming, data, verdict in rows
    ]
