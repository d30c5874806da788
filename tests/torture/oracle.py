"""What must still be there after a kill or a power cut, read from outside: SQLite's own words, not the daemon's.

A snapshot is taken through a read-only connection while the daemon works, and compared with a later one. What was
promised is a row that another process could see: SQLite shows a commit only after its fsync.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.store import journal, tally
from edge.store.database import read_only

LOOK_BACK_MS = 2 * 3_600_000
"""How far back two lives are compared row by row; the platform's list is compared whole at the end of a round."""

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """`query`: key columns, then those that never change, then one that never goes back; it may use :since."""

    keys: int
    query: str
    advances: bool = False


RULES: Mapping[str, Rule] = {
    "record": Rule(
        5,
        "SELECT start, kind, outlet, factor, revision, min, avg, max, zs_min, zs_avg, zs_max, cou, count, mark, total,"
        " total_at, caught_up FROM record WHERE start >= :since",
    ),
    "delivery": Rule(
        1,
        'SELECT id, platform, outlet, cn, start, "end", revision, kept, factor, state >= 2 FROM delivery'
        " WHERE start >= :since",
        advances=True,
    ),
    "packet": Rule(
        1,
        "SELECT qn, delivery, issue, pno, pnum, created, answered_at IS NOT NULL FROM packet WHERE created >= :since",
        advances=True,
    ),
    "frame": Rule(1, "SELECT qn, data FROM frame WHERE qn IN (SELECT qn FROM packet WHERE created >= :since)"),
    "sealed": Rule(2, "SELECT outlet, kind, last FROM sealed", advances=True),
    "last QN": Rule(1, "SELECT name, value FROM meta WHERE name = 'qn'", advances=True),
    "name": Rule(1, "SELECT id, text FROM name"),
    "journal": Rule(1, "SELECT id, at, who, action, detail, hash FROM journal"),
    "receipt": Rule(1, "SELECT * FROM receipt"),
    "mark": Rule(1, "SELECT * FROM mark_entry"),
    "alarm": Rule(1, 'SELECT id, outlet, factor, kind, begin, "end" IS NOT NULL FROM alarm', advances=True),
    "log cursor": Rule(2, "SELECT platform, outlet, entry FROM log_cursor", advances=True),
}

_CREATED = 4
"""Place of `created` in a packet's row, behind its key."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """records.db at a moment: per rule, key → what is fixed and what only goes forward."""

    tables: Mapping[str, Mapping[Row, Row]]
    evidence: bytes
    """connection.jsonl."""
    since: int = 0
    """Older rows were not looked at."""

    @classmethod
    def read(cls, data_dir: Path, since: int = 0) -> Snapshot:
        """What another process sees now."""
        db = read_only(data_dir / "records.db")
        try:
            db.execute("BEGIN")
            found = {name: _table(db, rule, since) for name, rule in RULES.items()}
        finally:
            db.close()
        evidence = data_dir / "connection.jsonl"
        return cls(found, evidence.read_bytes() if evidence.exists() else b"", since)

    @property
    def qns(self) -> frozenset[int]:
        """Every QN that a packet has."""
        return frozenset(key[0] for key in self.tables["packet"])

    def counts(self) -> dict[str, int]:
        """Rows per table."""
        return {name: len(rows) for name, rows in self.tables.items()}


@dataclass(slots=True)
class Findings:
    """What two looks have shown; texts for the report."""

    lost: list[str] = field(default_factory=list)
    corrupt: list[str] = field(default_factory=list)

    def add(self, other: Findings) -> None:
        """Take over what another look has shown."""
        self.lost += other.lost
        self.corrupt += other.corrupt

    def __bool__(self) -> bool:
        return bool(self.lost or self.corrupt)


def _table(db: sqlite3.Connection, rule: Rule, since: int) -> dict[Row, Row]:
    rows = db.execute(rule.query, {"since": since} if ":since" in rule.query else {})
    return {row[: rule.keys]: row[rule.keys :] for row in rows}


def compare(before: Snapshot, after: Snapshot) -> Findings:
    """What was there `before` and is not, or is different, `after`."""
    found = Findings()
    for name, rule in RULES.items():
        later = after.tables[name]
        for key, row in before.tables[name].items():
            now = later.get(key)
            if now is None:
                found.lost.append(f"{name} {key} is gone: {str(row)[:200]}")
            elif rule.advances and (now[:-1] != row[:-1]):
                found.corrupt.append(f"{name} {key}: {row} became {now}")
            elif rule.advances and now[-1] < row[-1]:
                found.lost.append(f"{name} {key} went back: {row} to {now}")
            elif not rule.advances and now != row:
                found.corrupt.append(f"{name} {key}: {str(row)[:200]} became {str(now)[:200]}")
    if not after.evidence.startswith(before.evidence):
        found.lost.append("connection.jsonl no longer begins as it did")
    new = {key[0] for key, row in after.tables["packet"].items() if row[_CREATED] >= before.since} - before.qns
    if early := sorted(qn for qn in new if before.qns and qn <= max(before.qns)):
        found.corrupt.append(f"QNs that do not rise: {early[:3]} after {max(before.qns)}")
    return found


def sound(data_dir: Path) -> Findings:
    """SQLite's check of both files, the journal's chain, one evidence for each receipt, and no delivery lost."""
    found = Findings()
    for name in ("records.db", "samples.db"):
        db = read_only(data_dir / name)
        try:
            verdict = db.execute("PRAGMA integrity_check").fetchall()
            if verdict != [("ok",)]:
                found.corrupt.append(f"{name}: {verdict[:3]}")
            elif name == "records.db":
                _books(db, data_dir, found)
        finally:
            db.close()
    return found


def _books(db: sqlite3.Connection, data_dir: Path, found: Findings) -> None:
    chain = journal.verify(db)
    if not chain.ok:
        found.corrupt.append(f"journal: the chain breaks at {chain.first_bad} of {chain.entries}")
    found.lost += [f"{row.platform}/{row.outlet}: {row.lost} deliveries" for row in tally.counts(db) if row.lost]
    receipts = db.execute("SELECT count(*) FROM receipt").fetchone()[0]
    evidence = data_dir / "connection.jsonl"
    lines = evidence.read_bytes().count(b"\n") if evidence.exists() else 0
    if lines != receipts:
        found.lost.append(f"{receipts} receipts, {lines} lines in connection.jsonl")


def sent_and_not_kept(data_dir: Path, frames: Iterable[tuple[str, bytes]]) -> Findings:
    """Packets (QN, bytes) that a platform has got and that the disk does not hold: on disk before on the wire."""
    found = Findings()
    db = read_only(data_dir / "records.db")
    try:
        for qn, data in frames:
            row = db.execute("SELECT data FROM frame WHERE qn = ?", (int(qn),)).fetchone()
            if row is None:
                found.lost.append(f"packet {qn} was on the wire and is not on disk: {data!r}")
            elif bytes(row[0]) != data:
                found.corrupt.append(f"packet {qn}: {data!r} was on the wire, {row[0]!r} is on disk")
    finally:
        db.close()
    return found
