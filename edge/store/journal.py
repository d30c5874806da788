"""The journal: who changed what. Append-only (the database refuses UPDATE and DELETE), entries chained by
SHA-256.

    hash(n) = SHA-256( hash(n-1) ‖ canonical JSON of [n, at, who, action, detail] ),  hash(0) = 32 zero bytes

A changed, missing, added or cut-off entry breaks the chain; `verify` names the first bad one. Secrets never
go in.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_START = bytes(32)
_SECRET = re.compile(r"^(pw|password|passwd|secret|key|token)$|_(password|secret|key|token)$", re.IGNORECASE)
_PW_FIELD = re.compile(r"\b((?:new)?pw=)[^;&]*", re.IGNORECASE)
MASK = "***"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry; `detail` as it was given, secrets masked."""

    id: int
    at_ms: int
    who: str
    action: str
    detail: dict[str, Any]
    hash: bytes


@dataclass(frozen=True, slots=True)
class Verdict:
    """Result of a check: `first_bad` is the number of the first entry that is not as it was written; `gaps`: first and
    last number of entries that are not there. Behind a gap the chain is checked from its next entry on."""

    ok: bool
    entries: int
    first_bad: int | None
    gaps: tuple[tuple[int, int], ...] = ()


def append(db: sqlite3.Connection, who: str, action: str, detail: Mapping[str, Any], now_ms: int) -> int:
    """Add an entry; its number. `detail` is JSON; values under secret names and PW fields are masked."""
    last = db.execute("SELECT id, hash FROM journal ORDER BY id DESC LIMIT 1").fetchone()
    # a number that was given once is never given again: entries that were cut off leave a gap
    number, before = max(0 if last is None else last[0], _sequence(db)) + 1, _START if last is None else last[1]
    text = _canonical({name: masked(name, value) for name, value in detail.items()})
    row = (number, now_ms, who, action, text)
    db.execute("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?)", (*row, _chained(before, row)))
    return int(number)


def entries(db: sqlite3.Connection, limit: int, after: int | None = None) -> list[Entry]:
    """Entries in order, at most `limit`, behind number `after`; None: the newest ones."""
    if after is None:
        rows = db.execute("SELECT * FROM journal ORDER BY id DESC LIMIT ?", (limit,)).fetchall()[::-1]
    else:
        rows = db.execute("SELECT * FROM journal WHERE id > ? ORDER BY id LIMIT ?", (after, limit)).fetchall()
    return [_entry(row) for row in rows]


def last_id(db: sqlite3.Connection) -> int:
    """Number of the newest entry; 0 where there is none."""
    return int(db.execute("SELECT coalesce(max(id), 0) FROM journal").fetchone()[0])


def between(db: sqlite3.Connection, begin_ms: int, end_ms: int, after: int, limit: int) -> list[Entry]:
    """At most `limit` entries of a time, both ends included, behind number `after`."""
    wanted = "SELECT * FROM journal WHERE id > ? AND at BETWEEN ? AND ? ORDER BY id LIMIT ?"
    rows = db.execute(wanted, (after, begin_ms, end_ms, limit))
    return [_entry(row) for row in rows]


def telling(db: sqlite3.Connection, actions: Sequence[str], begin_ms: int, limit: int) -> list[Entry]:
    """At most `limit` entries of these actions, by time: from the last one before `begin_ms` on."""
    places = ", ".join("?" * len(actions))
    before = f"SELECT max(id) FROM journal WHERE action IN ({places}) AND at < ?"
    rows = db.execute(
        f"SELECT * FROM journal WHERE action IN ({places}) AND id >= coalesce(({before}), 0) ORDER BY id LIMIT ?",
        (*actions, *actions, begin_ms, limit),
    )
    return [_entry(row) for row in rows]


def verify(db: sqlite3.Connection) -> Verdict:
    """Walk the whole chain."""
    before, count, number = _START, 0, 0
    first_bad, gaps = None, []
    for following, at, who, action, detail, digest in db.execute("SELECT * FROM journal ORDER BY id"):
        count += 1
        missing = following != number + 1
        if missing:
            gaps.append((number + 1, following - 1))
        elif digest != _chained(before, (following, at, who, action, detail)):
            first_bad = first_bad or following
        before, number = digest, following
    if _sequence(db) > number:
        gaps.append((number + 1, _sequence(db)))
    wrong = [gap[0] for gap in gaps] + ([] if first_bad is None else [first_bad])
    return Verdict(not wrong, count, min(wrong, default=None), tuple(gaps))


def _sequence(db: sqlite3.Connection) -> int:
    """The highest number that an entry ever had."""
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'journal'").fetchone()
    return 0 if row is None else int(row[0])


def masked(name: str, value: Any) -> Any:
    """A value as it may be written down: `***` under a secret name, PW fields of packets masked."""
    if _SECRET.search(name) and value is not None:
        return MASK
    if isinstance(value, str):
        return _PW_FIELD.sub(rf"\1{MASK}", value)
    if isinstance(value, Mapping):
        return {key: masked(key, inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(name, inner) for inner in value]
    return value


def _entry(row: tuple[Any, ...]) -> Entry:
    number, at, who, action, detail, digest = row
    return Entry(number, at, who, action, json.loads(detail), digest)


def _canonical(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _chained(before: bytes, row: tuple[Any, ...]) -> bytes:
    return hashlib.sha256(before + _canonical(list(row)).encode()).digest()
