"""Taking into a new file what a damaged one still holds: the small and the newest at once, the rest in slices.

    X.db.damaged-… ── begin ──▶ names, QNs, settings, marks, journal, receipts, counters; a day of records or samples
                   ── step ───▶ the records behind it; payloads, frames, packets; then the deliveries they belong to
                   ── the end ▶ X.db.salvaged-…

Each step is one transaction with the place it has come to, so that a kill costs nothing; a file that is still called
`damaged` is not done. What is in the new file already is left as it is. A delivery comes when its records, packets and
frames are there: before that nothing of it is sent. Rows of a page that is not whole are not taken: a page is written
as one, and half of one may be rubbish that looks like a value. Records prove themselves by their sums, one by one.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edge.store import connection, journal, meta, names, samples, sums, tally
from edge.store.connection import Receipt
from edge.store.database import DAMAGED, SALVAGED, Layout, sync_folder
from edge.store.pages import BadPage, Page, PageFile
from edge.store.plausible import sound
from edge.store.qn import LAST_QN
from edge.store.records import which
from edge.store.tables import Table, read_row, roots_of_new, tables
from edge.values import HOUR_MS
from protocol.times import parse_time

LATER = ("record", "link_hour", "payload", "frame", "packet", "delivery", "tick")
"""What is large, in the order in which it must come: a delivery behind all that it needs."""
_BY_HAND = frozenset({"name", "meta", "tally", "receipt", "salvage", "channel", "sqlite_sequence"})
_NAMED = frozenset({"platform", "outlet", "factor", "link"})
"""Columns that hold the number of a name, where they hold numbers."""
_MADE_AGAIN = """
SELECT id, issue FROM delivery WHERE start = :start AND platform = :platform AND outlet = :outlet AND cn = :cn
AND revision = :revision AND factor = :factor AND kept
"""
RECENT_MS = 25 * HOUR_MS
"""So much of records and samples comes at once: the periods that are still open are made of it."""
NAMED_MOST = 100
AHEAD = 1_000
"""Deliveries whose numbers cannot be read are no more than this."""


@dataclass(slots=True)
class Part:
    """What came out of a table: rows that are in the new file, pages that could not be read."""

    rows: int = 0
    bad_pages: int = 0
    nameless: int = 0
    """Rows whose outlet, factor or platform could not be read any more."""
    left_out: int = 0
    """Records of damaged pages that did not come: not as they were sealed, or without a sum that proves it."""
    records: list[dict[str, str]] = field(default_factory=list)
    """Which ones these are, by what their key says: `outlet`, `factor`, `kind`, `start`; NAMED_MOST of them."""


@dataclass(slots=True)
class State:
    """How far the salvage of a file has come; kept in the new file."""

    table: str = LATER[0]
    pieces: int = 0
    """Pieces of `table` that are done."""
    offset: int = 0
    """What is added to the numbers of deliveries."""
    last: int = 0
    """New deliveries have numbers above this."""
    waiting: dict[str, int] = field(default_factory=dict)
    """Deliveries in the old outbox that are not in the new one yet, by platform, outlet and CN (numbers, JSON)."""
    parts: dict[str, Part] = field(default_factory=dict)
    done: bool = False

    def part(self, table: str) -> Part:
        """The figures of a table."""
        return self.parts.setdefault(table, Part())

    @classmethod
    def from_text(cls, text: str) -> State:
        """What `json.dumps(asdict(state))` wrote."""
        fields: dict[str, Any] = json.loads(text)
        parts = {name: Part(**part) for name, part in fields.pop("parts").items()}
        return cls(**fields, parts=parts)


def load(db: sqlite3.Connection, file: str) -> State | None:
    """How far the salvage of a file has come; None: it has not begun."""
    row = db.execute("SELECT state FROM salvage WHERE file = ?", (file,)).fetchone()
    return None if row is None else State.from_text(row[0])


def waiting_files(folder: Path, layout: Layout) -> list[Path]:
    """Files set aside that are not salvaged yet, newest first."""
    found = folder.glob(f"{layout.file}{DAMAGED}*")
    return sorted((path for path in found if not path.name.endswith(("-wal", "-shm"))), reverse=True)


class Salvage:
    """One file set aside. Raises OSError where it cannot be opened.

    `name`: under which its state is kept, where that is not the file's name.
    """

    def __init__(self, path: Path, layout: Layout, name: str | None = None) -> None:
        self.path = path
        self._name = name or path.name
        self._layout = layout
        self._file = PageFile(path, layout.page_bytes)
        self._roots = roots_of_new(layout.migrations) | self._file.roots()
        self._form: dict[str, Table] = {}
        self._names: dict[int, int] | None = None
        self._texts: dict[int, str] = {}
        self._at: tuple[str, int] | None = None
        self._walk: Iterator[Page] = iter(())

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def begin(self, db: sqlite3.Connection, now_ms: int, go_on: Callable[[], bool]) -> State:
        """What cannot wait; one transaction. `go_on` says whether there is time for more of the large tables."""
        state = load(db, self._name)
        if state is not None:
            return state
        state = State(table=self._later(db)[0])
        known = self._tables(db)
        empty = {name for name in known if not db.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchone()}
        self._map_names(db)
        if "delivery" in known:
            self._reserve(db, known["delivery"], now_ms, state)
        for name in known:
            if name in empty and name not in LATER and name not in _BY_HAND:
                self._copy_small(db, known[name], state)
        if "journal" in known:
            self._numbers(db, known, empty)
            self._counters(db, known["tally"], state, fresh="tally" in empty)
            self._receipts(db, known["receipt"], now_ms, state)
        self._save(db, state)
        self._recent(db, state, go_on)
        return state

    def step(self, db: sqlite3.Connection, go_on: Callable[[], bool]) -> State:
        """More of the large tables, one transaction; `done` in the end. `begin` must have been."""
        state = load(db, self._name) or State()
        self._map_names(db)
        while not state.done and go_on():
            self._piece(db, state)
        self._save(db, state)
        return state

    def finish(self, db: sqlite3.Connection, now_ms: int, state: State) -> None:
        """Say in the journal what came, and what did not."""
        if self._layout.migrations == "records":
            detail = {"aside": self.path.name, "tables": {name: asdict(part) for name, part in state.parts.items()}}
            journal.append(db, "logger", "store.salvaged", detail, now_ms)

    def rename(self) -> Path:
        """The file is done: its name says so."""
        target = self.path.with_name(self.path.name.replace(DAMAGED, SALVAGED))
        for side in ("-wal", "-shm", ""):
            path = self.path.with_name(self.path.name + side)
            if path.exists():
                os.replace(path, f"{target}{side}")
        sync_folder(target.parent)
        return target

    def count(self, db: sqlite3.Connection, progress: Callable[[str], None]) -> dict[str, Part]:
        """What could be read of each table; writes nothing. `db` only gives the tables' form."""
        parts = {}
        for name, table in self._tables(db).items():
            if name not in ("salvage", "sqlite_sequence"):
                progress(name)
                parts[name] = part = Part()
                for rows in self._rows(table, part):
                    part.rows += len(rows)
        return parts

    def _tables(self, db: sqlite3.Connection) -> dict[str, Table]:
        """The tables of the new file; their form does not change while it is open."""
        self._form = self._form or tables(db)
        return self._form

    # the parts of the beginning

    def _map_names(self, db: sqlite3.Connection) -> None:
        """Old number → new number of outlets, factors and platforms; of the samples' channels. The index of the texts
        holds them a second time."""
        if self._names is not None:
            return
        table = self._tables(db)["channel" if "channel" in self._tables(db) else "name"]
        found = {number: text for page in self._rows(table, Part()) for number, *text in page}
        for *text, number in self._index(f"sqlite_autoindex_{table.name}_1"):
            if isinstance(number, int) and all(isinstance(each, str) for each in text):
                found.setdefault(number, text)
        if db.execute(f"SELECT 1 FROM {table.name} LIMIT 1").fetchone() is None:  # the same numbers again
            db.executemany(table.insert, [(number, *text) for number, text in found.items()])
        self._names = {number: _number(db, table.name, text) for number, text in found.items()}
        self._texts = {number: str(text[0]) for number, text in found.items()}

    def _index(self, name: str) -> Iterator[list[Any]]:
        root = self._roots.get(name)
        for page in self._file.walk(root) if root else ():
            try:
                yield from (values for _, values in self._file.rows(page))
            except BadPage:
                continue

    def _copy_small(self, db: sqlite3.Connection, table: Table, state: State) -> None:
        part = state.part(table.name)
        for rows in self._rows(table, part):
            kept = [row for row in (self._renumbered(table, row, state, part) for row in rows) if row is not None]
            part.rows += self._insert(db, table, kept)

    def _numbers(self, db: sqlite3.Connection, known: dict[str, Table], empty: set[str]) -> None:
        """Single numbers, and the sequences; the last QN rises in any case."""
        single = {name: value for page in self._rows(known["meta"], Part()) for name, value in page}
        if "meta" in empty:
            db.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", list(single.items()))
        newest = [single.get(LAST_QN, 0), meta.get(db, LAST_QN) or 0]
        for name in ("packet", "frame"):
            newest += [_qn_ms(row[0]) for row in next(self._rows(known[name], Part()), [])]
        meta.put(db, LAST_QN, max(newest))
        for values in self._sequences():
            if values[0] in empty:
                db.execute("DELETE FROM sqlite_sequence WHERE name = ?", (values[0],))
                db.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", values)

    def _sequences(self) -> Iterator[list[Any]]:
        root = self._roots.get("sqlite_sequence")
        for page in self._file.walk(root) if root else ():
            try:
                rows = self._file.rows(page)
            except BadPage:
                continue
            yield from (values for _, values in rows if len(values) == 2 and isinstance(values[1], int))

    def _counters(self, db: sqlite3.Connection, table: Table, state: State, *, fresh: bool) -> None:
        """The tallies without what waits: that is added as its deliveries come."""
        columns = [column.name for column in table.columns]
        part = state.part("tally")
        for row in (row for rows in self._rows(table, part) for row in rows if fresh):
            new = self._renumbered(table, row, state, part)
            if new is not None:
                counts = dict(zip(columns, new, strict=True))
                key = counts["platform"], counts["outlet"], counts["cn"]
                state.waiting[json.dumps(key)] = counts["kept"] - counts["kept_done"]
                part.rows += self._insert(db, table, [tuple((counts | {"kept": counts["kept_done"]}).values())])

    def _reserve(self, db: sqlite3.Connection, table: Table, now_ms: int, state: State) -> None:
        """New deliveries get numbers behind those of the old file, which its packets name: a packet whose delivery is
        gone must never come under another one."""
        newest = max((row[0] for row in next(self._rows(table, Part()), [])), default=0)
        state.offset = db.execute("SELECT coalesce(max(id), 0) FROM delivery").fetchone()[0]
        state.last = state.offset + newest + AHEAD
        db.execute(
            "INSERT INTO delivery (id, platform, outlet, cn, start, revision, kept, created, state)"
            " VALUES (?1, ?2, ?2, '', ?3, ?1, 0, ?3, 4)",
            (state.last, names.intern(db, ""), now_ms),
        )

    def _receipts(self, db: sqlite3.Connection, table: Table, now_ms: int, state: State) -> None:
        """Evidence counts only where its bytes are those that it was made of."""
        fields = [column.name for column in table.columns]
        part = state.part("receipt")
        for rows in self._rows(table, part):
            for row in reversed(rows):
                values = dict(zip(fields, row, strict=True))
                receipt = Receipt(
                    **{name: values[name] for name in Receipt.__dataclass_fields__}
                    | {"joint_test": bool(values["joint_test"]), "confirmed": bool(values["confirmed"])}
                )
                if receipt.digest == values["digest"]:
                    connection.keep(db, receipt, "connection.restored", now_ms)
                    part.rows += 1

    def _recent(self, db: sqlite3.Connection, state: State, go_on: Callable[[], bool]) -> None:
        """The newest records or samples, and the newest sealed labels where these were lost."""
        first = newest = None
        table = state.table
        while (
            state.table == table
            and not state.done
            and go_on()
            and not (newest and first and first < newest - RECENT_MS)
        ):
            rows = self._piece(db, state)
            first = rows[0][0] if rows else first
            newest = newest or first
        if table == "record":
            db.execute(
                "INSERT INTO sealed (outlet, kind, last) SELECT outlet, kind, max(start) FROM record"
                " WHERE true GROUP BY outlet, kind ON CONFLICT DO UPDATE SET last = max(last, excluded.last)"
            )
        self._save(db, state)

    # the large tables

    def _later(self, db: sqlite3.Connection) -> list[str]:
        known = self._tables(db)
        return [name for name in LATER if name in known]

    def _piece(self, db: sqlite3.Connection, state: State) -> list[tuple[Any, ...]]:
        """The next piece of the table that is worked on; its rows as they came. Goes on to the next table behind it."""
        table = self._tables(db)[state.table]
        page = self._next_page(state)
        if page is None:
            order = self._later(db)
            following = order.index(state.table) + 1
            if following < len(order):
                state.table, state.pieces = order[following], 0
            else:
                self._lost_deliveries(db, state)
                state.done = True
            return []
        state.pieces += 1
        self._at = state.table, state.pieces
        part = state.part(table.name)
        rows = self._read(table, page, part)
        kept = [row for row in (self._renumbered(table, row, state, part) for row in rows) if row is not None]
        if table.name == "delivery":
            part.rows += self._take_deliveries(db, table, kept, state)
        else:
            part.rows += self._insert(db, table, kept)
        return rows

    def _next_page(self, state: State) -> Page | None:
        if self._at != (state.table, state.pieces):
            root = self._roots.get(state.table)
            self._walk = self._file.walk(root) if root else iter(())
            for _ in range(state.pieces):  # after a restart: what is done is passed over, without its rows
                next(self._walk, None)
        return next(self._walk, None)

    def _take_deliveries(self, db: sqlite3.Connection, table: Table, rows: list[tuple[Any, ...]], state: State) -> int:
        """One that was made again meanwhile, since the logger did not know of it, gives way while it is unsent."""
        columns = [column.name for column in table.columns]
        taken = 0
        for row in rows:
            values = dict(zip(columns, row, strict=True))
            again, issue = db.execute(_MADE_AGAIN, values).fetchone() or (None, 0)
            if again == values["id"]:  # its page stands in the tree twice
                continue
            if again is not None and not issue:
                db.execute("DELETE FROM delivery WHERE id = ?", (again,))
            inserted = self._insert(db, table, [row])
            taken += inserted
            if not values["kept"]:
                continue
            key = values["platform"], values["outlet"], values["cn"]
            if values["state"] < 2:
                tally.add(db, key, kept=int(again is None))
                text = json.dumps(key)
                state.waiting[text] = state.waiting.get(text, 0) - 1
            elif again is not None and inserted:
                tally.add(db, key, kept_done=1)
        return taken

    @staticmethod
    def _lost_deliveries(db: sqlite3.Connection, state: State) -> None:
        """What waited in the old outbox and could not be read is lost, and counts as such."""
        for key, left in state.waiting.items():
            if left > 0:
                tally.add(db, tuple(json.loads(key)), kept=left)

    # rows

    def _rows(self, table: Table, part: Part) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a table, page by page, the newest first."""
        root = self._roots.get(table.name)
        ceiling = None
        for page in self._file.walk(root) if root else ():
            rows = self._read(table, page, part)
            if rows and table.rowid is not None:
                if ceiling is not None and rows[-1][table.rowid] >= ceiling:
                    part.bad_pages += 1  # a page that stands in the tree twice
                    continue
                ceiling = rows[0][table.rowid]
            yield rows

    def _read(self, table: Table, page: Page, part: Part) -> list[tuple[Any, ...]]:
        try:
            rows = [read_row(table, row) for row in self._file.rows(page)]
            if not all(sound(table.name, row) for row in rows):
                raise BadPage(f"page {page.number} holds what {table.name} cannot")
        except BadPage:
            rows = self._proven(table, page, part)
            part.bad_pages += not rows
        return rows

    def _proven(self, table: Table, page: Page, part: Part) -> list[tuple[Any, ...]]:
        """The records of a damaged page that are certainly as they were sealed; the others are noted."""
        if table.name != "record":
            return []
        proven: list[tuple[Any, ...]] = []
        others: list[tuple[Any, ...]] = []
        for stored in self._file.readable(page):
            try:
                row = read_row(table, stored)
            except BadPage:
                continue
            (proven if sums.has_sum(row) and sound(table.name, row) else others).append(row)
        part.left_out += len(page.cells or ()) - len(proven)
        named = [told for row in others if (told := which(row, self._texts)) is not None]
        part.records += named[: NAMED_MOST - len(part.records)]
        return proven

    def _renumbered(self, table: Table, row: tuple[Any, ...], state: State, part: Part) -> tuple[Any, ...] | None:
        """A row with the new file's numbers of names and deliveries; None where a name cannot be read any more."""
        known = self._names or {}
        values = list(row)
        if table.name == "tick":
            data = samples.renumbered(row[1], known)
            part.nameless += not data
            return (row[0], data) if data else None
        for place, column in enumerate(table.columns):
            if column.type != "INTEGER":
                continue
            if column.name in _NAMED and not (table.name == "delivery" and column.name == "factor" and not row[place]):
                if row[place] not in known:
                    part.nameless += 1
                    return None
                values[place] = known[row[place]]
            elif column.name == "delivery" or (table.name == "delivery" and column.name == "id"):
                values[place] += state.offset
                if values[place] >= state.last:
                    return None
        if table.name == "record" and sums.has_sum(row):  # of the new numbers; `row` has proved itself
            values[sums.SUM] = sums.of_record(values)
        return tuple(values)

    @staticmethod
    def _insert(db: sqlite3.Connection, table: Table, rows: list[tuple[Any, ...]]) -> int:
        before = db.total_changes
        db.executemany(table.insert, rows)
        return db.total_changes - before

    def _save(self, db: sqlite3.Connection, state: State) -> None:
        db.execute(
            "INSERT INTO salvage VALUES (?, ?) ON CONFLICT DO UPDATE SET state = excluded.state",
            (self._name, json.dumps(asdict(state))),
        )


def _number(db: sqlite3.Connection, table: str, text: Sequence[str]) -> int:
    return names.intern(db, text[0]) if table == "name" else samples.channel_of(db, text[0], text[1])


def _qn_ms(qn: int) -> int:
    try:
        return parse_time(f"{qn:017d}")
    except ValueError:
        return 0
