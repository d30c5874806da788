"""Records: sealed once, never changed (design rule 2). Key: start, kind, outlet, factor, revision.

A label that is sealed keeps its revision 0; a second seal of the same key changes nothing. A mark that is added
later makes a further revision beside it. Records and the
deliveries that are due with them are one transaction, so that no record can be without its delivery. Each bears its
check sum (`sums`): one that is not as it was sealed is damage of the file, and no reader gets it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from edge.store import names, sums
from edge.store.delivery import RECORD_KINDS, Due, enqueue, first_revision
from edge.values import DAY_MS, HOUR_MS, MINUTE_MS, Kind, Record, period_start
from protocol.times import iso_text

_COLUMNS = (
    "start, kind, outlet, factor, revision, min, avg, max, zs_min, zs_avg, zs_max, cou, count, mark, total, total_at,"
    " caught_up, check_sum"
)
_NONE = (None,) * len(_COLUMNS.split(","))
_PLACES = ", ".join("?" * len(_NONE))


class NotAsSealed(sqlite3.DatabaseError):
    """A record whose check sum does not fit: damage of its file. `which`: its key, None where that cannot be one."""

    def __init__(self, row: Sequence[Any], texts: dict[int, str]) -> None:
        super().__init__(f"malformed row in record: {damaged(row, texts)}")
        self.which = which(row, texts)


def seal(db: sqlite3.Connection, records: Iterable[Record], dues: Iterable[Due], now_ms: int) -> list[int]:
    """Keep records and what is due with them; the ids of the new deliveries.

    Records and dues that are there already are left as they are.
    """
    numbers: dict[str, int] = {}
    newest: dict[tuple[int, int], int] = {}
    totals: dict[int, tuple[float | None, int | None]] = {}
    rows = []
    for record in records:
        for name in (record.outlet, record.factor):
            if name not in numbers:
                numbers[name] = names.intern(db, name)
        rows.append(_row(record, numbers))
        key = (numbers[record.outlet], int(record.kind))
        newest[key] = max(record.start, newest.get(key, record.start))
        if record.kind is Kind.MINUTE and record.total is not None:
            totals[key[0]] = record.total, record.total_at
    db.executemany(f"INSERT INTO record ({_COLUMNS}) VALUES ({_PLACES}) ON CONFLICT DO NOTHING", rows)
    db.executemany(
        "INSERT INTO sealed VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET last = max(last, excluded.last),"
        " total = coalesce(excluded.total, total), total_at = coalesce(excluded.total_at, total_at)",
        [
            (outlet, kind, start, *(totals.get(outlet, (None, None)) if kind == Kind.MINUTE else (None, None)))
            for (outlet, kind), start in newest.items()
        ],
    )
    return enqueue(db, [_with_revisions(db, due) for due in dues], now_ms)


def _with_revisions(db: sqlite3.Connection, due: Due) -> Due:
    """A longer minute interval whose minutes were marked before it was due goes out with those marks at once."""
    if due.cn != "2051" or due.end is None or due.end - due.start <= MINUTE_MS or due.revision:
        return due
    known = first_revision(db, due.platform, due.outlet, due.cn, due.start)
    newest = _newest_revision(db, due.outlet, Kind.MINUTE, due.start, due.end) if known is None else known
    return replace(due, revision=newest)


def _newest_revision(db: sqlite3.Connection, outlet: str, kind: Kind, begin: int, end: int) -> int:
    row = db.execute(
        "SELECT max(revision) FROM record WHERE start >= ? AND start < ? AND kind = ? AND outlet = ?",
        (begin, end, kind, names.find(db, outlet)),
    ).fetchone()
    return row[0] or 0


def revise(
    db: sqlite3.Connection, changed: Iterable[Record], platforms: Iterable[str], now_ms: int
) -> tuple[list[Record], list[int]]:
    """Keep records of one outlet as the next revisions of sealed ones: those records, and the ids of the deliveries
    that send them again.

    `changed`: the newest revisions with what is new in them; `platforms`: those that want revisions. What was never
    due at a platform is not sent because of its revision.
    """
    changed = list(changed)
    labels = sorted({(record.outlet, record.kind, record.start) for record in changed})
    sent = {label: _sent_first(db, *label) for label in labels}
    new = [replace(r, revision=max(r.revision, sent[r.outlet, r.kind, r.start]) + 1) for r in changed]
    numbers = {name: names.intern(db, name) for record in new for name in (record.outlet, record.factor)}
    rows = [_row(record, numbers) for record in new]
    db.executemany(f"INSERT INTO record ({_COLUMNS}) VALUES ({_PLACES})", rows)
    again = {due for platform in platforms for label in labels if (due := _again(db, platform, *label)) is not None}
    return new, enqueue(db, sorted(again, key=lambda due: (due.start, due.cn, due.platform)), now_ms)


_COVERING = """FROM delivery WHERE start BETWEEN ? AND ? AND outlet = ? AND cn = ? AND (start = ? OR "end" > ?)"""


def _covering(db: sqlite3.Connection, outlet: str, kind: Kind, start: int) -> tuple[object, ...]:
    """Fills `_COVERING`: the deliveries that carry a label."""
    cn = next(cn for cn, carried in RECORD_KINDS.items() if carried is kind)
    return start - HOUR_MS, start, names.find(db, outlet), cn, start, start


def _sent_first(db: sqlite3.Connection, outlet: str, kind: Kind, start: int) -> int:
    """The highest revision that a first delivery of a label may hold: a later mark must not slip into it."""
    firsts = f"SELECT min(revision) AS first {_COVERING} GROUP BY platform, start"
    row = db.execute(f"SELECT max(first) FROM ({firsts})", _covering(db, outlet, kind, start)).fetchone()
    return row[0] or 0


def _again(db: sqlite3.Connection, platform: str, outlet: str, kind: Kind, start: int) -> Due | None:
    """The delivery that carried a label to a platform, once more with the newest marks; None: there was none."""
    row = db.execute(
        f'SELECT start, "end", cn, max(revision) {_COVERING} AND platform = ? GROUP BY start'
        " ORDER BY start DESC LIMIT 1",
        (*_covering(db, outlet, kind, start), names.find(db, platform)),
    ).fetchone()
    if row is None:
        return None
    newest = _newest_revision(db, outlet, kind, row[0], row[1] or row[0] + 1)
    return Due(platform, outlet, row[2], row[0], revision=max(row[3] + 1, newest), end=row[1])


def between(
    db: sqlite3.Connection,
    outlet: str,
    kind: Kind,
    begin: int,
    end: int,
    limit: int,
    after: Record | None = None,
) -> list[Record]:
    """At most `limit` records with begin <= start <= end, ordered by start (then factor, as first seen, and
    revision).

    `after`: the last record of the page before.
    """
    number = names.find(db, outlet)
    last = last_start(db, outlet, kind)
    if last is None or limit <= 0:
        return []
    texts = names.texts(db)
    place = (begin, -1, 0) if after is None else (after.start, names.find(db, after.factor), after.revision)
    page: list[Record] = []
    for low, high in _ranges(db, kind, max(begin, place[0]), min(end, last)):
        rows = db.execute(
            f"SELECT {_COLUMNS} FROM record WHERE start BETWEEN ? AND ? AND kind = ? AND outlet = ?"
            " AND (start, factor, revision) > (?, ?, ?) ORDER BY start, factor, revision LIMIT ?",
            (low, high, kind, number, *place, limit - len(page)),
        )
        page += [_record(row, texts) for row in rows]
        if len(page) >= limit:
            break
    return page


def of_period(db: sqlite3.Connection, outlet: str, kind: Kind, start: int) -> list[Record]:
    """All records of one label, every revision."""
    texts = names.texts(db)
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM record WHERE start = ? AND kind = ? AND outlet = ? ORDER BY factor, revision",
        (start, kind, names.find(db, outlet)),
    )
    return [_record(row, texts) for row in rows]


def since(db: sqlite3.Connection, begin: int) -> list[Record]:
    """All sound records labelled `begin` or later, of every outlet and kind; also of a file of another version."""
    texts = names.texts(db)
    rows = db.execute("SELECT * FROM record WHERE start >= ?", (begin,))
    filled = ((*row, *_NONE[len(row) :])[: len(_NONE)] for row in rows)  # later columns stand behind the others
    return [_record(row, texts) for row in filled if sums.fits(row)]


def newest(records: Iterable[Record]) -> list[Record]:
    """Of each label and factor the newest revision, in the order of their first ones."""
    found: dict[tuple[Kind, int, str], Record] = {}
    for record in records:
        key = record.kind, record.start, record.factor
        if key not in found or found[key].revision < record.revision:
            found[key] = record
    return list(found.values())


def span(db: sqlite3.Connection) -> tuple[int, int] | None:
    """First and last label of all records."""
    row = db.execute("SELECT (SELECT min(start) FROM record), (SELECT max(start) FROM record)").fetchone()
    return None if row[0] is None else (row[0], row[1])


def last_start(db: sqlite3.Connection, outlet: str, kind: Kind) -> int | None:
    """The newest sealed label of an outlet."""
    row = db.execute("SELECT last FROM sealed WHERE outlet = ? AND kind = ?", (names.find(db, outlet), kind)).fetchone()
    return None if row is None else int(row[0])


def last_total(db: sqlite3.Connection, outlet: str) -> tuple[int, float] | None:
    """When and what the totaliser of an outlet showed last, of all that is in sealed minutes: UTC ms, m³."""
    row = db.execute(
        "SELECT total_at, total FROM sealed WHERE outlet = ? AND kind = ? AND total IS NOT NULL",
        (names.find(db, outlet), Kind.MINUTE),
    ).fetchone()
    return None if row is None else (int(row[0]), float(row[1]))


def last_label(db: sqlite3.Connection, outlet: str, kind: Kind, until: int) -> int | None:
    """The newest sealed label at `until` or before: an older one than `last_start` where the clock was set back."""
    last = last_start(db, outlet, kind)
    if last is None or last <= until:
        return last
    row = db.execute(
        "SELECT start FROM record WHERE start <= ? AND kind = ? AND outlet = ? ORDER BY start DESC LIMIT 1",
        (until, kind, names.find(db, outlet)),
    ).fetchone()
    return None if row is None else int(row[0])


def labels(db: sqlite3.Connection, outlet: str, kind: Kind, begin: int, end: int) -> list[int]:
    """The sealed labels with begin <= start <= end, in order."""
    rows = db.execute(
        "SELECT DISTINCT start FROM record WHERE start BETWEEN ? AND ? AND kind = ? AND outlet = ? ORDER BY start",
        (begin, end, kind, names.find(db, outlet)),
    )
    return [int(row[0]) for row in rows]


def last_average(db: sqlite3.Connection, record: Record) -> float | None:
    """The newest mean of the same outlet, kind and factor before this record, within a day."""
    key = int(record.kind), names.find(db, record.outlet), names.find(db, record.factor)
    row = db.execute(
        f"SELECT {_COLUMNS} FROM record WHERE start BETWEEN ? AND ? AND kind = ? AND outlet = ? AND factor = ?"
        " AND avg IS NOT NULL ORDER BY start DESC, revision LIMIT 1",
        (record.start - DAY_MS, record.start - 1, *key),
    ).fetchone()
    return None if row is None else _record(row, names.texts(db)).avg


def _ranges(db: sqlite3.Connection, kind: Kind, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Minutes in one go; hours and days label by label: between two of them stand thousands of minutes."""
    if kind is Kind.MINUTE:
        yield begin, end
        return
    first = db.execute("SELECT min(start) FROM record").fetchone()[0]
    start = period_start(max(begin, begin if first is None else first), kind.ms)
    while start <= end:
        yield start, start
        start += kind.ms


def _row(record: Record, numbers: dict[str, int]) -> tuple[object, ...]:
    row = (
        record.start,
        int(record.kind),
        numbers[record.outlet],
        numbers[record.factor],
        record.revision,
        record.min,
        record.avg,
        record.max,
        record.zs_min,
        record.zs_avg,
        record.zs_max,
        record.cou,
        record.count,
        record.mark,
        record.total,
        record.total_at,
        record.caught_up,
    )
    stored = tuple(None if one != one else one for one in row)  # SQLite keeps no NaN
    return (*stored, sums.of_record(stored))


def which(row: Sequence[Any], texts: dict[int, str]) -> dict[str, str] | None:
    """Which record a damaged row was: `outlet`, `factor`, `kind`, `start`; None where its key cannot be one."""
    start, kind, outlet, factor = row[:4]
    try:
        key = {"outlet": texts[outlet], "factor": texts[factor], "kind": Kind(kind).text}
        return key | {"start": iso_text(start)}
    except (LookupError, ValueError, OverflowError, OSError):
        return None


def damaged(row: Sequence[Any], texts: dict[int, str]) -> str:
    """The same in one line."""
    key = which(row, texts)
    return f"{row!r:.200}" if key is None else " ".join(key.values())


def _record(row: tuple[Any, ...], texts: dict[int, str]) -> Record:
    if not sums.fits(row):
        raise NotAsSealed(row, texts)
    start, kind, outlet, factor, *rest = row[: sums.SUM]
    return Record(texts[outlet], Kind(kind), texts[factor], start, *rest)  # columns in field order
