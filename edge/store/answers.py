"""What comes of a packet: an answer, a refusal, silence, or "written" where no answer is asked for.

A delivery is delivered when all parts of one of its issues are answered; the answer may come late, on any
link, to any QN it ever had, and twice.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from edge.store import connection, delivery, names, retention, sums, tally
from edge.store.connection import Receipt
from edge.store.delivery import Answer, Delivery, State

ASIDE_AFTER = 5
"""Refusals after which a delivery steps aside, for the technician to look at, where the caller names no number."""
FIRST_WAIT_MS = 60_000
_LONGEST_WAIT_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Answered:
    """What an answer did: `first` answer to this packet or a repetition; `delivered`: the delivery is
    complete; `receipt`: of the connection, made just now."""

    delivery: Delivery
    first: bool
    delivered: bool
    receipt: Receipt | None


@dataclass(frozen=True, slots=True)
class _Packet:
    qn: int
    delivery: int
    issue: int
    data: bytes | None
    answered_at: int | None


def answered(
    db: sqlite3.Connection, platform: str, qn: str, answer: Answer, *, backfilled: bool = False
) -> Answered | None:
    """Take in a platform's answer; None: no packet of this platform ever had this QN.

    `backfilled`: the packet went out of the backlog lane.
    """
    packet, found = _find(db, qn)
    if packet is None or found is None or found.platform != platform:
        return None
    first = packet.answered_at is None
    receipt = None
    if first:
        db.execute("UPDATE packet SET answered_at = ?, refused = NULL WHERE qn = ?", (answer.at_ms, packet.qn))
        if packet.data is not None:
            receipt = connection.note(db, found, qn, packet.data, answer, confirmed=True)
    delivered = _complete(db, packet, "answered_at")
    if delivered and found.state is not State.DELIVERED:
        _deliver(db, found, answer.at_ms, backfilled)
    return Answered(found, first, delivered, receipt)


def written_unconfirmed(db: sqlite3.Connection, qn: str, at_ms: int, where: Answer | None = None) -> Receipt | None:
    """A packet that asks for no answer has left the send queue; the unconfirmed receipt where `where` gives cause."""
    packet, found = _find(db, qn)
    if packet is None or found is None:
        return None
    db.execute("UPDATE packet SET written_at = coalesce(written_at, ?) WHERE qn = ?", (at_ms, packet.qn))
    if found.state is State.OPEN and _complete(db, packet, "coalesce(answered_at, written_at)"):
        db.execute("UPDATE delivery SET state = ?, done_at = ? WHERE id = ?", (State.UNCONFIRMED, at_ms, found.id))
        retention.finished(db, found.start)
        tally.add(db, _key(db, found), unconfirmed=1, kept_done=int(found.kept))
    if where is None or packet.data is None:
        return None
    return connection.note(db, found, qn, packet.data, where, confirmed=False)


def refused(
    db: sqlite3.Connection, platform: str, qn: str, code: str, at_ms: int, *, aside_after: int = ASIDE_AFTER
) -> Delivery | None:
    """The platform answered that it does not take the packet; the delivery afterwards, None for an unknown
    QN.

    Tried again later under a new QN; after `aside_after` refusals it steps aside and is kept.
    """
    packet, found = _find(db, qn)
    if packet is None or found is None or found.platform != platform:
        return None
    change = "UPDATE packet SET refused = ? WHERE qn = ? AND refused IS NULL"  # said twice, it counts once
    is_news = packet.answered_at is None and db.execute(change, (code, packet.qn)).rowcount
    if is_news and _refused_parts(db, packet) == 1:  # all parts of an issue together are one refusal
        refusals = found.refusals + 1
        db.execute(
            "UPDATE delivery SET refusals = ?, retry_after = ?, state = CASE WHEN ? AND state = 0 THEN 1 ELSE state END"
            " WHERE id = ?",
            (refusals, at_ms + _wait_ms(refusals), refusals >= aside_after, found.id),
        )
    return delivery.by_id(db, found.id)


def _refused_parts(db: sqlite3.Connection, packet: _Packet) -> int:
    key = packet.delivery, packet.issue
    found = db.execute("SELECT count(refused) FROM packet WHERE delivery = ? AND issue = ?", key).fetchone()
    return int(found[0])


def gave_up(db: sqlite3.Connection, delivery_id: int, at_ms: int) -> None:
    """A round (sending and all resends) got no answer: the delivery waits 1, 2, 4 … 60 minutes for the next."""
    found = delivery.by_id(db, delivery_id)
    if found is None or found.state >= State.DELIVERED:
        return
    attempts = found.attempts + 1
    db.execute(
        "UPDATE delivery SET attempts = ?, retry_after = ? WHERE id = ?",
        (attempts, at_ms + _wait_ms(attempts), found.id),
    )
    tally.add(db, _key(db, found), gave_up=1)


def _find(db: sqlite3.Connection, qn: str) -> tuple[_Packet | None, Delivery | None]:
    if len(qn) != 17 or not (qn.isascii() and qn.isdigit()):
        return None, None
    row = db.execute(
        "SELECT p.qn, p.delivery, p.issue, f.data, p.answered_at, p.sha256 FROM packet AS p"
        " LEFT JOIN frame AS f ON f.qn = p.qn WHERE p.qn = ?",
        (int(qn),),
    ).fetchone()
    if row is None:
        return None, None
    key, of, issue, data, answered_at, digest = row
    return _Packet(key, of, issue, sums.sent(data, digest), answered_at), delivery.by_id(db, of)


def _complete(db: sqlite3.Connection, packet: _Packet, column: str) -> bool:
    """Whether all parts of the packet's issue have a value in `column`."""
    row = db.execute(
        f"SELECT max(pnum) - count({column}) FROM packet WHERE delivery = ? AND issue = ?",
        (packet.delivery, packet.issue),
    ).fetchone()
    return bool(row[0] == 0)


def _deliver(db: sqlite3.Connection, found: Delivery, at_ms: int, backfilled: bool) -> None:
    db.execute(
        "UPDATE delivery SET state = ?, done_at = ?, backfilled = ? WHERE id = ?",
        (State.DELIVERED, at_ms, backfilled, found.id),
    )
    retention.strip_late(db, found.id)
    retention.finished(db, found.start)
    was_unconfirmed, was_expired = found.state is State.UNCONFIRMED, found.state is State.EXPIRED
    tally.add(
        db,
        _key(db, found),
        answered=1,
        backfilled=int(backfilled),
        kept_done=int(found.kept and not was_unconfirmed),
        unconfirmed=-int(was_unconfirmed),
        expired=-int(was_expired),
    )


def _key(db: sqlite3.Connection, found: Delivery) -> tally.Key:
    return names.find(db, found.platform), names.find(db, found.outlet), found.cn


def _wait_ms(rounds: int) -> int:
    return min(FIRST_WAIT_MS << min(rounds - 1, 10), _LONGEST_WAIT_MS)
