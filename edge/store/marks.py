"""Marks set by hand, maintenance and stops: append-only; each entry is the whole state of a mark from then on.

    add ─▶ correct ─▶ end ─▶ …         entry n of number k; the newest entry of a number is what holds
                       withdraw        the mark holds no longer; what was said stays readable

The database refuses UPDATE and DELETE. Every entry stands in the journal too, with the state before it. Entries
change the marks of what is sealed already: `next_revision` says which entry is to be worked through, from where.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from edge.store import journal, meta

Kind = Literal["mark", "maintenance", "stop"]
Source = Literal["operator", "input"]
Action = Literal["add", "end", "correct", "withdraw"]
_DONE, _PLACE = "revised.entry", "revised.place"
_COLUMNS = (
    'id, number, at, who, operator, action, kind, points, instrument, mark, class, item, begin, "end", reason, source,'
    " evidence, withdrawn"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What an entry says. [begin, end) in UTC ms, end None: still open.

    `points`: `OUTLET/FACTOR`, or `OUTLET` for all of it; `mark` None: the data keep their own; `category` and `item`
    are the enterprise's mark (类别, 标记项); `evidence`: what a switch showed.
    """

    kind: Kind
    points: tuple[str, ...]
    begin: int
    end: int | None = None
    mark: str | None = None
    category: str | None = None
    item: str | None = None
    instrument: str | None = None
    reason: str = ""
    source: Source = "operator"
    evidence: Mapping[str, Any] = field(default_factory=dict)
    withdrawn: bool = False

    @property
    def outlets(self) -> list[str]:
        """The outlets that it concerns."""
        return list(dict.fromkeys(point.partition("/")[0] for point in self.points))

    def factors(self, outlet: str) -> frozenset[str] | None:
        """The factors of an outlet that it names; None: all of them."""
        named = [point.partition("/")[2] for point in self.points if point.partition("/")[0] == outlet]
        return None if "" in named else frozenset(named)


@dataclass(frozen=True, slots=True)
class By:
    """Who does it: user of the logger (`user:…`, `logger`), name of the person, and when."""

    who: str
    operator: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the table."""

    id: int
    number: int
    by: By
    action: Action
    state: Mark


def add(db: sqlite3.Connection, state: Mark, by: By) -> Entry:
    """A new mark."""
    number = db.execute("SELECT coalesce(max(number), 0) + 1 FROM mark_entry").fetchone()[0]
    return _append(db, int(number), None, "add", state, by)


def change(db: sqlite3.Connection, number: int, action: Action, state: Mark, by: By) -> Entry:
    """What is said of a mark from now on; raises LookupError where there is no such mark."""
    before = newest(db, number)
    if before is None:
        raise LookupError(number)
    return _append(db, number, before.state, action, state, by)


def newest(db: sqlite3.Connection, number: int) -> Entry | None:
    """What holds of a mark."""
    found = history(db, number)
    return found[-1] if found else None


def history(db: sqlite3.Connection, number: int) -> list[Entry]:
    """All entries of a mark, oldest first."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM mark_entry WHERE number = ? ORDER BY id", (number,))
    return [_entry(row) for row in rows]


def in_force(
    db: sqlite3.Connection, begin: int, end: int, before_entry: int | None = None, withdrawn: bool = False
) -> list[Entry]:
    """The marks that touch [begin, end), by number; as they were before an entry, where one is named."""
    rows = db.execute(
        f'SELECT {_COLUMNS} FROM mark_entry AS m WHERE begin < ? AND ("end" IS NULL OR "end" > ?) AND withdrawn <= ?'
        " AND id = (SELECT max(id) FROM mark_entry WHERE number = m.number AND (?4 IS NULL OR id < ?4))"
        " ORDER BY number",
        (end, begin, withdrawn, before_entry),
    )
    return [_entry(row) for row in rows]


# what is sealed already


@dataclass(frozen=True, slots=True)
class Work:
    """An entry whose effect on sealed data is to be worked through: `before` is the mark's state before it.

    `place`: labels before it are done.
    """

    entry: Entry
    before: Mark | None
    place: int


def next_revision(db: sqlite3.Connection) -> Work | None:
    """The oldest entry that is not worked through; None: all are."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM mark_entry WHERE id > ? ORDER BY id LIMIT 1", (meta.get(db, _DONE) or 0,)
    ).fetchone()
    if row is None:
        return None
    entry = _entry(row)
    earlier = [one.state for one in history(db, entry.number) if one.id < entry.id]
    return Work(entry, earlier[-1] if earlier else None, meta.get(db, _PLACE) or 0)


def reached(db: sqlite3.Connection, place: int) -> None:
    """Labels before `place` are done for the entry that is worked on."""
    meta.put(db, _PLACE, place)


def worked_through(db: sqlite3.Connection, entry: int) -> None:
    """An entry is done."""
    meta.put(db, _DONE, entry)
    meta.put(db, _PLACE, 0)


def done_until(db: sqlite3.Connection) -> int:
    """The newest entry that is worked through."""
    return meta.get(db, _DONE) or 0


def _append(db: sqlite3.Connection, number: int, before: Mark | None, action: Action, state: Mark, by: By) -> Entry:
    row = (
        number, by.at_ms, by.who, by.operator, action, state.kind, json.dumps(state.points, ensure_ascii=False),
        state.instrument, state.mark, state.category, state.item, state.begin, state.end, state.reason, state.source,
        json.dumps(state.evidence, ensure_ascii=False), state.withdrawn,
    )  # fmt: skip
    columns = _COLUMNS.partition(", ")[2]
    (entry,) = db.execute(
        f"INSERT INTO mark_entry ({columns}) VALUES ({', '.join('?' * len(row))}) RETURNING id", row
    ).fetchone()
    detail = {"number": number, "operator": by.operator, "before": _told(before), "after": _told(state)}
    journal.append(db, by.who, f"{state.kind}.{action}", detail, by.at_ms)
    return Entry(int(entry), number, by, action, state)


def _told(state: Mark | None) -> dict[str, Any] | None:
    return None if state is None else asdict(replace(state, evidence=dict(state.evidence)))


def _entry(row: tuple[Any, ...]) -> Entry:
    entry, number, at, who, operator, action, kind, points, *rest, evidence, withdrawn = row
    instrument, mark, category, item, begin, end, reason, source = rest
    state = Mark(
        kind=kind, points=tuple(json.loads(points)), instrument=instrument, mark=mark, category=category, item=item,
        begin=begin, end=end, reason=reason, source=source, evidence=json.loads(evidence), withdrawn=bool(withdrawn),
    )  # fmt: skip
    return Entry(entry, number, By(who, operator, at), action, state)
