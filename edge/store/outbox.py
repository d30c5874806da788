"""The outbox: what each platform has not answered for yet, oldest first; and the packets that carry it.

A packet is committed before its first byte leaves and is sent again as the same bytes. Gone stale, its
delivery is issued anew under new QNs; every QN it ever had stays known, and an answer to any of them counts
(`answers`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from heapq import merge
from itertools import islice
from zlib import crc32

from edge.store import delivery, meta, names, records, sums, tally
from edge.store.answers import Answered, answered, gave_up, refused, written_unconfirmed
from edge.store.delivery import RECORD_KINDS, Answer, Delivery, Due, OpenPacket, State, by_id, enqueue, enqueue_beside
from edge.store.qn import last_qn, qn_for
from edge.store.tally import Counts, counts, never_answered
from edge.values import Kind, Record

__all__ = [
    "Answer", "Answered", "Aside", "Counts", "Delivery", "Depth", "Due", "OpenPacket", "State", "address_since",
    "answered", "aside", "by_id", "count_expired", "counts", "depth", "enqueue", "enqueue_beside", "expire",
    "first_issue", "gave_up", "hasten", "last_qn", "never_answered", "nothing_to_send", "open_deliveries",
    "prepare", "qn_for", "records_at", "refused", "retry", "set_aside", "waiting", "withdraw",
    "written_unconfirmed",
]  # fmt: skip

PAGE = 100
"""Deliveries in one page at most: a backlog of a year must not be loaded at once."""
LONGEST_WAIT_MS = 3_600_000
"""A delivery that got no answer waits for its next round no longer than this."""
Built = tuple[str, int, int, bytes]
"""(QN, PNO, PNUM, frame); PNO and PNUM are 1 for an undivided packet."""
Build = Callable[[Delivery, list[Record]], Sequence[Built]]


@dataclass(frozen=True, slots=True)
class Aside:
    """What of a kind is set aside, since which label; `code`: what the platform answered last (QnRtn), None: no packet
    could be made of it."""

    platform: str
    outlet: str
    cn: str
    code: str | None
    count: int
    oldest: int


@dataclass(frozen=True, slots=True)
class Depth:
    """How much of a kind waits for a platform, since which label; `aside`: how many of them are set aside, refused."""

    platform: str
    outlet: str
    cn: str
    count: int
    oldest: int
    aside: int


def open_deliveries(
    db: sqlite3.Connection,
    platform: str,
    outlet: str,
    limit: int = PAGE,
    after: tuple[int, int] | None = None,
    cns: Iterable[str] | None = None,
    now_ms: int | None = None,
) -> list[Delivery]:
    """The oldest unanswered deliveries, by (start, id), behind `after` (a `Delivery.cursor`).

    With `now_ms` those that wait for their next round (`gave_up`, `refused`) are left out.
    """
    key = names.find(db, platform), names.find(db, outlet)
    if cns is None:
        cns = [row[0] for row in db.execute("SELECT cn FROM tally WHERE platform = ? AND outlet = ?", key)]
    limit = min(limit, PAGE)
    # `<= 0` and state in the order: with `= 0` SQLite sorts the whole backlog for every page
    condition = (
        "d.platform = ? AND d.outlet = ? AND d.cn = ? AND d.state < 2 AND d.state <= 0"
        " AND (d.state, d.start, d.id) > (0, ?, ?)"
        # a time further away than the longest wait was set by a clock that was wrong
        " AND (?6 IS NULL OR d.retry_after <= ?6 OR d.retry_after > ?6 + ?7) ORDER BY d.state, d.start, d.id LIMIT ?8"
    )
    place = after or (-(1 << 62), 0)
    pages = (
        delivery.select(db, condition, (*key, cn, *place, now_ms, LONGEST_WAIT_MS, limit)) for cn in dict.fromkeys(cns)
    )
    return list(islice(merge(*pages, key=lambda found: found.cursor), limit))


def prepare(
    db: sqlite3.Connection,
    delivery_id: int,
    build: Build,
    fresh: Callable[[OpenPacket], bool],
    now_ms: int,
    *,
    repeat: bool = False,
) -> list[OpenPacket]:
    """The packets of a delivery to send now; empty where it is no longer open or `build` has nothing to send.

    Packets that exist, are all `fresh` and not refused come back as they are, without the parts already
    answered. Otherwise `build` makes a new issue, whole: parts of another issue may hold other factors.
    `repeat`: what was refused is sent as the same bytes, too: its parts are messages that stand alone.
    """
    found = delivery.by_id(db, delivery_id)
    if found is None or found.state is not State.OPEN:
        return []
    if repeat:
        db.execute("UPDATE packet SET refused = NULL WHERE delivery = ? AND answered_at IS NULL", (delivery_id,))
    waiting = _unanswered(db, delivery_id)
    if waiting and all(map(fresh, waiting)):
        return waiting
    return _issue(db, found, build(found, _records(db, found)), now_ms)


def expire(db: sqlite3.Connection, platform: str, outlet: str, cn: str, before_start: int) -> int:
    """End deliveries that are not kept and older than the one now due; how many."""
    key = names.find(db, platform), names.find(db, outlet), cn
    gone = db.execute(
        "UPDATE delivery SET state = ?"
        " WHERE platform = ? AND outlet = ? AND cn = ? AND state < 2 AND NOT kept AND start < ?",
        (State.EXPIRED, *key, before_start),
    ).rowcount
    if gone:
        tally.add(db, key, expired=gone)
    return gone


def first_issue(db: sqlite3.Connection, delivery_id: int) -> list[bytes]:
    """The packets that were built first for an open delivery, in order: what a value looked like when it first left.

    Empty where not all of them are there any more.
    """
    rows = db.execute(
        "SELECT f.data, p.pnum, p.sha256 FROM packet AS p LEFT JOIN frame AS f ON f.qn = p.qn"
        " WHERE p.delivery = ? AND p.issue = 1 ORDER BY p.pno",
        (delivery_id,),
    ).fetchall()
    whole = all(sums.sent(data, digest) is not None and parts == len(rows) for data, parts, digest in rows)
    return [row[0] for row in rows] if whole else []


def count_expired(db: sqlite3.Connection, platform: str, outlet: str, cn: str, count: int) -> None:
    """Uploads that expired before they had a packet."""
    tally.add(db, (names.intern(db, platform), names.intern(db, outlet), cn), expired=count)


def nothing_to_send(db: sqlite3.Connection, delivery_id: int) -> None:
    """End an open delivery that has nothing to say: its records hold no value and the platform omits such factors."""
    found = by_id(db, delivery_id)
    if found is not None and found.state is State.OPEN and not _unanswered(db, delivery_id):
        _expire(db, found)


def withdraw(db: sqlite3.Connection, delivery_id: int) -> None:
    """End an open delivery that the platform's edition has no packet for; an answer to an earlier one still counts."""
    found = by_id(db, delivery_id)
    if found is not None and found.state is State.OPEN:
        _expire(db, found)


def _expire(db: sqlite3.Connection, found: Delivery) -> None:
    db.execute("UPDATE delivery SET state = ? WHERE id = ?", (State.EXPIRED, found.id))
    key = names.find(db, found.platform), names.find(db, found.outlet), found.cn
    tally.add(db, key, expired=1, kept_done=int(found.kept))


def retry(db: sqlite3.Connection, platform: str, ids: Iterable[int] | None = None) -> int:
    """Back to the lane at once, those set aside too (None: all of the platform); how many."""
    waiting = "platform = ? AND state < 2 AND (state = 1 OR retry_after > 0)"
    change = f"UPDATE delivery SET state = 0, refusals = 0, retry_after = 0 WHERE {waiting}"
    number = names.find(db, platform)
    if ids is None:
        return db.execute(change, (number,)).rowcount
    return sum(db.execute(f"{change} AND id = ?", (number, each)).rowcount for each in ids)


def hasten(db: sqlite3.Connection, platform: str, outlet: str, cn: str) -> int:
    """Unanswered deliveries of a kind no longer wait for their next round: the platform answers it; how many."""
    key = names.find(db, platform), names.find(db, outlet), cn
    return db.execute(
        "UPDATE delivery SET retry_after = 0 WHERE platform = ? AND outlet = ? AND cn = ? AND state < 2 AND state = 0"
        " AND retry_after > 0 AND refusals = 0",
        key,
    ).rowcount


def set_aside(db: sqlite3.Connection, delivery_id: int) -> None:
    """Out of the lane, but kept: the technician has to look at it."""
    db.execute("UPDATE delivery SET state = ? WHERE id = ? AND state = 0", (State.ASIDE, delivery_id))


def address_since(db: sqlite3.Connection, platform: str, address: str, now_ms: int) -> int:
    """Since when a platform has had this address, 0: always; packets made for another one are issued anew."""
    mark, place, moved = crc32(address.encode()), f"address.{platform}", f"moved.{platform}"
    known = meta.get(db, place)
    if known != mark:
        meta.put(db, place, mark)
        meta.put(db, moved, 0 if known is None else now_ms)
    return meta.get(db, moved) or 0


def covered_until(db: sqlite3.Connection, platform: str, outlet: str, since: int) -> int | None:
    """Where the newest delivery of minute data that starts at `since` or later ends; None: there is none."""
    row = db.execute(
        'SELECT coalesce("end", start + 60000) FROM delivery'
        " WHERE start >= ? AND platform = ? AND outlet = ? AND cn = '2051' ORDER BY start DESC LIMIT 1",
        (since, names.find(db, platform), names.find(db, outlet)),
    ).fetchone()
    return None if row is None else int(row[0])


def depth(db: sqlite3.Connection) -> list[Depth]:
    """What waits, per platform, outlet and CN; nothing waits where there is no line."""
    texts = names.texts(db)
    rows = db.execute(
        "SELECT platform, outlet, cn, count(*), min(start), sum(state = 1) FROM delivery WHERE state < 2"
        " GROUP BY platform, outlet, cn"
    )
    return [Depth(texts[platform], texts[outlet], *rest) for platform, outlet, *rest in rows]


def aside(db: sqlite3.Connection) -> list[Aside]:
    """What is set aside, by the platform's last code."""
    texts = names.texts(db)
    found = []
    for key in db.execute("SELECT platform, outlet, cn FROM tally").fetchall():
        rows = db.execute(
            "SELECT (SELECT refused FROM packet WHERE delivery = d.id AND refused IS NOT NULL ORDER BY qn DESC LIMIT 1)"
            " AS code, count(*), min(start) FROM delivery AS d"
            " WHERE platform = ? AND outlet = ? AND cn = ? AND state < 2 AND state >= 1 GROUP BY code ORDER BY code",
            key,
        )
        found += [Aside(texts[key[0]], texts[key[1]], key[2], *row) for row in rows]
    return found


def waiting(
    db: sqlite3.Connection, outlet: str, cn: str, begin: int, end: int
) -> list[tuple[str, int, int | None, bool]]:
    """(platform, start, end, set aside) of what platforms have not answered for, of begin <= start <= end."""
    texts = names.texts(db)
    rows = db.execute(
        'SELECT platform, start, "end", state = 1 FROM delivery'
        " WHERE state < 2 AND outlet = ? AND cn = ? AND start BETWEEN ? AND ? ORDER BY start",
        (names.find(db, outlet), cn, begin, end),
    )
    return [(texts[platform], start, until, bool(aside)) for platform, start, until, aside in rows]


def _unanswered(db: sqlite3.Connection, delivery_id: int) -> list[OpenPacket]:
    """Unanswered packets of the last issue; none where one was refused: the same bytes would be refused again. None
    as well where a part or its bytes were lost, or have changed, with a damaged page: the others alone would be taken
    for the whole."""
    rows = db.execute(
        "SELECT p.qn, p.delivery, p.pno, p.pnum, f.data, p.created, p.refused, p.answered_at, p.sha256 FROM packet AS p"
        " JOIN delivery AS d ON d.id = p.delivery AND d.issue = p.issue LEFT JOIN frame AS f ON f.qn = p.qn"
        " WHERE d.id = ? ORDER BY p.pno",
        (delivery_id,),
    ).fetchall()
    waiting = [row for row in rows if row[7] is None]
    gone = any(sums.sent(row[4], row[8]) is None or row[6] is not None for row in waiting)
    if gone or any(row[3] != len(rows) for row in rows):
        return []
    return [OpenPacket(f"{row[0]:017d}", *row[1:6]) for row in waiting]


def _records(db: sqlite3.Connection, found: Delivery) -> list[Record]:
    """The records a delivery sends: of each factor and label the newest revision up to the delivery's."""
    return [] if found.payload is not None else records_at(db, found, found.revision)


def records_at(db: sqlite3.Connection, found: Delivery, revision: int) -> list[Record]:
    """Of each factor and label of a delivery the newest revision up to this one."""
    kind = RECORD_KINDS.get(found.cn)
    if kind is None:
        return []
    starts = range(found.start, found.end or found.start + 1, kind.ms)
    elsewhere = delivery.own_factors(db, found) if found.factor is None and kind is not Kind.MINUTE else set()
    there = (record for start in starts for record in records.of_period(db, found.outlet, kind, start))
    return records.newest(
        record
        for record in there
        if record.revision <= revision and record.factor not in elsewhere
        if found.factor in (None, record.factor)
    )


def _issue(db: sqlite3.Connection, found: Delivery, built: Sequence[Built], now_ms: int) -> list[OpenPacket]:
    if not built:
        return []
    issue = db.execute("UPDATE delivery SET issue = issue + 1 WHERE id = ? RETURNING issue", (found.id,)).fetchone()[0]
    if issue == 1:
        tally.add(db, (names.find(db, found.platform), names.find(db, found.outlet), found.cn), sent=1)
    db.executemany(
        "INSERT INTO packet (qn, delivery, issue, pno, pnum, created, sha256) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(int(qn), found.id, issue, pno, pnum, now_ms, sha256(data).digest()) for qn, pno, pnum, data in built],
    )
    db.executemany("INSERT INTO frame VALUES (?, ?)", [(int(qn), data) for qn, _, _, data in built])
    return [OpenPacket(qn, found.id, pno, pnum, data, now_ms) for qn, pno, pnum, data in built]
