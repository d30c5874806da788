"""Deliveries and packets as they are handed about, their states, and taking new ones in.

open ──answer──▶ delivered            open ──written, no answer asked──▶ unconfirmed ──answer──▶ delivered
  └──refused again and again──▶ aside    open, not kept ──next one due──▶ expired ──late answer──▶ delivered
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, Final

from edge.store import names, tally
from edge.values import Kind

RECORD_KINDS: Final[Mapping[str, Kind]] = {
    "2051": Kind.MINUTE, "2061": Kind.HOUR, "2031": Kind.DAY, "2041": Kind.DAY,
}  # fmt: skip
"""Which records a CN sends (HJ 212-2017 Table 9); a delivery of any other CN brings its payload."""


ALL = 0
"""In place of a factor: all that have no delivery of their own."""


class State(IntEnum):
    """Where a delivery stands; below DELIVERED it is in the outbox."""

    OPEN = 0
    ASIDE = 1
    DELIVERED = 2
    UNCONFIRMED = 3
    EXPIRED = 4


@dataclass(frozen=True, slots=True)
class Due:
    """What a platform should get. `start` labels the period (or is the data time).

    Records of 2051, 2061, 2031 and 2041 are looked up when the packet is built: those labelled `start`, or with
    `end` those labelled from `start` up to before `end` (a minute interval longer than one). Everything else
    brings a `payload`, a text in the terms of `edition`. `factor`: only this one's records; they are left out of the
    delivery of all the others.
    """

    platform: str
    outlet: str
    cn: str
    start: int
    revision: int = 0
    kept: bool = True
    payload: bytes | None = None
    end: int | None = None
    edition: str = "2017"
    factor: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A due in the outbox. `attempts`: rounds (first sending and its resends) that got no answer."""

    id: int
    platform: str
    outlet: str
    cn: str
    start: int
    revision: int
    kept: bool
    payload: bytes | None
    created: int
    attempts: int
    refusals: int
    retry_after: int
    end: int | None
    edition: str
    """Of the payload."""
    factor: str | None = field(default=None, kw_only=True)
    state: State = field(kw_only=True)

    @property
    def cursor(self) -> tuple[int, int]:
        """Place in the order of `open_deliveries`."""
        return self.start, self.id


@dataclass(frozen=True, slots=True)
class OpenPacket:
    """A packet that is committed and not answered: it may be written, always as these bytes."""

    qn: str
    delivery: int
    pno: int
    pnum: int
    data: bytes
    created: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A platform's answer to a packet, and what the receipt of the official connection time needs to know.

    `written_ms`: last writing of the packet; `peer`: address of the other end; `address`, `role`: of the
    platform in the site file; `connect_from_ms`: answers before it are a joint test (联调). For a packet that
    asks for no answer `data` is empty and `at_ms` is when it had left the send queue.
    """

    data: bytes
    at_ms: int
    written_ms: int
    peer: str
    address: str
    role: str
    clock_plausible: bool
    connect_from_ms: int | None = None
    is_evidence: bool = True
    """Whether it can prove a connection: a broker that has taken a message is not the platform."""


_COLUMNS = (
    "d.id, d.platform, d.outlet, d.cn, d.start, d.revision, d.kept, w.data, d.created, d.attempts, d.refusals,"
    " d.retry_after, d.\"end\", coalesce(w.edition, '2017'), d.factor, d.state"
)


def enqueue(db: sqlite3.Connection, dues: Iterable[Due], now_ms: int) -> list[int]:
    """Put dues into the outbox; the ids of those that were not there yet."""
    added = []
    for due in dues:
        if due.payload is None and due.cn not in RECORD_KINDS:
            raise ValueError(f"a delivery of CN {due.cn} needs a payload")
        platform, outlet = names.intern(db, due.platform), names.intern(db, due.outlet)
        row = db.execute(
            'INSERT INTO delivery (platform, outlet, cn, start, "end", revision, kept, created, factor)'
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING id",
            (platform, outlet, due.cn, due.start, due.end, due.revision, due.kept, now_ms, _number(db, due.factor)),
        ).fetchone()
        if row is not None:
            added.append(int(row[0]))
            if due.payload is not None:
                db.execute("INSERT INTO payload VALUES (?, ?, ?)", (row[0], due.payload, due.edition))
            tally.add(db, (platform, outlet, due.cn), kept=int(due.kept))
    return added


def enqueue_beside(db: sqlite3.Connection, dues: Iterable[Due], now_ms: int) -> list[int]:
    """Put events into the outbox; their ids. Several of one CN may bear one time: each takes the next revision."""
    added = []
    for due in dues:
        taken = db.execute(
            "SELECT max(revision) FROM delivery WHERE start = ? AND platform = ? AND outlet = ? AND cn = ?",
            (due.start, names.find(db, due.platform), names.find(db, due.outlet), due.cn),
        ).fetchone()[0]
        added += enqueue(db, [replace(due, revision=0 if taken is None else taken + 1)], now_ms)
    return added


def first_revision(db: sqlite3.Connection, platform: str, outlet: str, cn: str, start: int) -> int | None:
    """The revision with which a label was due first at a platform; None: it never was."""
    row = db.execute(
        "SELECT min(revision) FROM delivery WHERE start = ? AND platform = ? AND outlet = ? AND cn = ?",
        (start, names.find(db, platform), names.find(db, outlet), cn),
    ).fetchone()
    return None if row[0] is None else int(row[0])


def _number(db: sqlite3.Connection, factor: str | None) -> int:
    return ALL if factor is None else names.intern(db, factor)


def own_factors(db: sqlite3.Connection, of: Delivery) -> set[str]:
    """The factors that have a delivery of their own for the same label and revision."""
    rows = db.execute(
        "SELECT n.text FROM delivery AS d JOIN name AS n ON n.id = d.factor"
        " WHERE d.start = ? AND d.platform = ? AND d.outlet = ? AND d.cn = ? AND d.revision = ?"
        " AND d.factor <> ?",
        (of.start, names.find(db, of.platform), names.find(db, of.outlet), of.cn, of.revision, ALL),
    )
    return {row[0] for row in rows}


def select(db: sqlite3.Connection, where: str, args: tuple[Any, ...]) -> list[Delivery]:
    """Deliveries by an SQL condition on `delivery AS d`."""
    texts = names.texts(db)
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM delivery AS d LEFT JOIN payload AS w ON w.delivery = d.id WHERE {where}", args
    )
    return [_delivery(row, texts) for row in rows]


def by_id(db: sqlite3.Connection, delivery_id: int) -> Delivery | None:
    """One delivery."""
    found = select(db, "d.id = ?", (delivery_id,))
    return found[0] if found else None


def _delivery(row: tuple[Any, ...], texts: Mapping[int, str]) -> Delivery:
    key, platform, outlet, cn, start, revision, kept, *rest, factor, state = row
    head = (key, texts[platform], texts[outlet], cn, start, revision, bool(kept))
    return Delivery(*head, *rest, factor=texts.get(factor), state=State(state))
