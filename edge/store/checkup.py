"""Looking a store over without changing it, also while the daemon works: versions, sizes, damage, files set aside.

Each table is checked by itself, so that no reading lasts long: while one lasts, the daemon's WAL cannot begin anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from edge.store import budget, database, errors, migrate, names, records, sums
from edge.store.database import RECORDS, SAMPLES, Layout
from edge.store.reading import slices
from edge.store.salvage import Part, Salvage, State
from edge.store.tables import tables
from edge.store.wal import header_sound

LAYOUTS = (RECORDS, SAMPLES)
T = TypeVar("T")
Progress = Callable[[str], None]
"""Takes the name of what is looked at."""


@dataclass(frozen=True, slots=True)
class TableFound:
    """A table: how many rows SQLite can read, None where it gives up; what it complains of."""

    name: str
    rows: int | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class FileFound:
    """A file: `version` None where it cannot be opened; `free`: bytes in it that new data will take."""

    file: str
    version: int | None
    known: int
    size: int
    free: int
    wal: int
    problem: str | None
    tables: tuple[TableFound, ...]
    dropped: dict[str, int]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with it."""
        return self.problem is None and all(table.problem is None for table in self.tables)


@dataclass(frozen=True, slots=True)
class AsideFound:
    """A file set aside. `state`: waiting, salvaging, salvaged, newer."""

    file: str
    size: int
    state: str


def check(data_dir: Path, progress: Progress) -> list[FileFound]:
    """Both files. Raises StoreClosed where there is none."""
    found = []
    for layout in LAYOUTS:
        path = data_dir / layout.file
        if not path.is_file():
            raise errors.StoreClosed("store.not_there", file=str(path))
        found.append(_check(path, layout, progress))
    return found


def aside(data_dir: Path) -> list[AsideFound]:
    """The files set aside, by name."""
    found = []
    for layout in LAYOUTS:
        begun = _begun(data_dir / layout.file)
        for ending in (database.DAMAGED, database.SALVAGED, database.NEWER):
            for path in sorted(data_dir.glob(f"{layout.file}{ending}*")):
                if not path.name.endswith(("-wal", "-shm")):
                    state = {database.SALVAGED: "salvaged", database.NEWER: "newer"}.get(ending, "waiting")
                    state = "salvaging" if path.name in begun and state == "waiting" else state
                    found.append(AsideFound(path.name, path.stat().st_size, state))
    return found


def readable(path: Path, progress: Progress) -> dict[str, Part]:
    """What could be salvaged of a file, by table; nothing is written. Raises StoreError, OSError."""
    layout = SAMPLES if path.name.startswith(SAMPLES.file) else RECORDS
    form = database.built(layout.migrations, migrate.newest(layout.migrations))
    source = Salvage(path, layout)
    try:
        return source.count(form, progress)
    finally:
        source.close()
        form.close()


def recover(data_dir: Path, path: Path, now_ms: int, progress: Callable[[State], None]) -> State:
    """Salvage one file set aside into the store, whole. The caller holds the lock. Raises StoreError, OSError."""
    layout = SAMPLES if path.name.startswith(SAMPLES.file) else RECORDS
    own, is_here = data_dir / layout.file, path.resolve().parent == data_dir.resolve()
    if own.exists() and path.samefile(own):
        raise errors.StoreClosed("store.is_own", file=str(path))
    db, _ = database.open_database(data_dir, layout, "", lambda code, params: None)
    source = Salvage(path, layout, None if is_here else _identity(path))
    try:
        state = _in_one(db, lambda: source.begin(db, now_ms, lambda: True))
        while not state.done:
            pieces = iter(range(_PIECES))
            state = _in_one(db, lambda: source.step(db, lambda: next(pieces, None) is not None))  # noqa: B023  # used up at once
            progress(state)
        _in_one(db, lambda: source.finish(db, now_ms, state))
        if is_here and database.DAMAGED in path.name:
            source.rename()
    except sqlite3.Error as error:
        raise errors.failure(error, layout.file) from error
    finally:
        source.close()
        db.close()
    return state


def _identity(path: Path) -> str:
    """A file from elsewhere: all stores have the same names, and another card comes under the same path."""
    found = path.stat()
    return f"{path.resolve()} {found.st_size} {found.st_mtime_ns}"


_PIECES = 500
"""Pages in one transaction."""


def _in_one(db: sqlite3.Connection, work: Callable[[], T]) -> T:
    db.execute("BEGIN")
    try:
        done = work()
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return done


def _begun(path: Path) -> set[str]:
    try:
        db = database.read_only(path)
    except errors.StoreError:
        return set()
    try:
        return {row[0] for row in db.execute("SELECT file FROM salvage")}
    except sqlite3.Error:
        return set()
    finally:
        db.close()


def _check(path: Path, layout: Layout, progress: Progress) -> FileFound:
    wal = path.with_name(path.name + "-wal")
    size, wal_size = path.stat().st_size, wal.stat().st_size if wal.exists() else 0
    known = migrate.newest(layout.migrations)
    try:
        db = database.read_only(path)
    except errors.StoreClosed as error:
        return FileFound(layout.file, None, known, size, 0, wal_size, str(error.params.get("reason")), (), {})
    try:
        version, (_, free) = migrate.version(db), budget.used(db)
        found = tuple(_check_tables(db, progress))
        # version 0: an empty file
        missing = database.expected(layout.migrations, min(version or known, known)) - {table.name for table in found}
        problem = f"tables are missing: {', '.join(sorted(missing))}" if missing else None
        if not header_sound(wal):
            problem = f"{wal.name} is damaged"
        dropped = budget.counters(db) if layout is RECORDS and "meta" in tables(db) else {}
        return FileFound(layout.file, version, known, size, free, wal_size, problem, found, dropped)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        return FileFound(layout.file, None, known, size, 0, wal_size, str(error), (), {})
    finally:
        db.close()


def _check_tables(db: sqlite3.Connection, progress: Progress) -> Iterator[TableFound]:
    for name in tables(db):
        progress(name)
        problem = rows = None
        try:
            said = [row[0] for row in db.execute(f'PRAGMA quick_check("{name}")')]
            problem = None if said == ["ok"] else "; ".join(said[:3])
            rows = db.execute(f'SELECT count(*) FROM "{name}" NOT INDEXED').fetchone()[0]
            problem = problem or (_damaged_records(db) if name == "record" else None)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            problem = problem or str(error)
        yield TableFound(name, rows, problem)


_NAMED = 10
"""Damaged records that are named."""


def _damaged_records(db: sqlite3.Connection) -> str | None:
    """The records that are not as they were sealed; a slice at a time, so that the daemon's WAL can begin anew."""
    texts, table = names.texts(db), tables(db)["record"]
    bad = [records.damaged(row, texts) for rows in slices(db, table) for row in rows if not sums.fits(row)]
    if not bad:
        return None
    more = f" … ({len(bad)})" if len(bad) > _NAMED else ""
    return f"not as sealed: {'; '.join(bad[:_NAMED])}{more}"
