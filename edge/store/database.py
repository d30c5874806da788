"""Opening the two SQLite files: settings, check, migration; a damaged file is moved aside and a new one begins.

A file counts as damaged when its header is none, SQLite cannot read its schema or the first page of a table, a table
is missing or has other columns, or its WAL is damaged (`wal`). The check is quick on purpose (a year of records opens
in milliseconds); the rest is read when idle (`reading`). Anything else that keeps a file from opening (rights, full
disk) is an error and moves nothing.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote

from edge.store import errors, migrate, wal

Report = Callable[[str, dict[str, object]], None]
"""Takes an event: a code of the catalogue and its parameters."""

_MAGIC = b"SQLite format 3\0"
_SIDE_FILES = ("-wal", "-shm", "-journal")
DAMAGED, SALVAGED, NEWER = ".damaged-", ".salvaged-", ".newer-"
"""In the names of files that were set aside: to be salvaged, done, of a newer program."""
_CANTOPEN = 14


@dataclass(frozen=True, slots=True)
class Layout:
    """How one of the files is written; the caches of both together stay under 512 KB."""

    file: str
    migrations: str
    page_bytes: int
    synchronous: str
    cache_kb: int
    checkpoint_pages: int

    @property
    def wal_bytes(self) -> int:
        """Size that the WAL keeps, so that it is overwritten rather than grown again."""
        return self.checkpoint_pages * (self.page_bytes + 24) + 32


RECORDS = Layout("records.db", "records", 1024, "FULL", 320, 8000)
SAMPLES = Layout("samples.db", "samples", 1024, "NORMAL", 128, 8000)


def open_database(folder: Path, layout: Layout, stamp: str, report: Report) -> tuple[sqlite3.Connection, str | None]:
    """The writing connection of a file, and the name under which a damaged predecessor was moved aside.

    One of a newer program is moved aside as well, untouched, and comes back into use by `adopt_newer`. `stamp` is the
    time in those names. Raises StoreFailed, StoreFull.
    """
    path = folder / layout.file
    aside = None
    try:
        adopt_newer(folder, layout)
        found = _found(path, layout)
        if found is not None:
            aside = set_aside(path, found.ending, stamp)
            report(found.event, {"file": layout.file, "aside": aside, **found.params})
        _sync_wal(path, layout, report)
        try:
            return _connect(path, layout, report), aside
        except sqlite3.Error as error:
            if not errors.is_misfit(error):
                raise
        # what its version promises is not in it, or not to be brought to ours
        aside = set_aside(path, DAMAGED, stamp)
        report("store.damaged", {"file": layout.file, "aside": aside})
        return _connect(path, layout, report), aside
    except sqlite3.Error as error:
        raise errors.failure(error, layout.file) from error
    except OSError as error:
        raise errors.StoreFailed("store.failed", file=layout.file, reason=error.strerror or str(error)) from error


def adopt_newer(folder: Path, layout: Layout) -> None:
    """What was set aside as newer and is no longer, since the program was updated, waits to be salvaged."""
    for path in folder.glob(f"{layout.file}{NEWER}*"):
        if path.name.endswith(_SIDE_FILES) or _version(path) > migrate.newest(layout.migrations):
            continue
        _rename(path, path.with_name(path.name.replace(NEWER, DAMAGED)))


@dataclass(frozen=True, slots=True)
class _Found:
    """Why a file cannot be used."""

    event: str
    ending: str
    params: dict[str, object]


def _found(path: Path, layout: Layout) -> _Found | None:
    if not path.exists():
        return None
    if not wal.header_sound(_wal(path)):
        return _Found("store.wal_damaged", DAMAGED, {})
    try:
        return None if _sound(path, layout) else _Found("store.damaged", DAMAGED, {})
    except errors.StoreNewer as error:
        return _Found("store.newer_aside", NEWER, {name: error.params[name] for name in ("found", "known")})


def _version(path: Path) -> int:
    """The schema version in a file's header, without SQLite."""
    return int.from_bytes(_head(path)[60:64], "big")


def read_only(path: Path, *, unchanging: bool = False) -> sqlite3.Connection:
    """A connection that cannot write or checkpoint; raises StoreClosed where there is no file that can be read.

    `unchanging`: nobody writes to the file, and no `-wal` and `-shm` are made beside it.
    """
    if not path.is_file():
        raise errors.StoreClosed("store.not_there", file=str(path))
    try:
        return _read_only(path, "immutable=1" if unchanging else "mode=ro")
    except sqlite3.Error as error:
        if errors.primary_code(error) != _CANTOPEN or Path(f"{path}-wal").exists():
            raise _unreadable(path, error) from error
    try:
        # no WAL and a folder that is not ours to write: nobody has the file open for writing
        return _read_only(path, "immutable=1")
    except sqlite3.Error as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: sqlite3.Error) -> errors.StoreClosed:
    return errors.StoreClosed("store.unreadable", file=str(path), reason=str(error))


def _read_only(path: Path, mode: str) -> sqlite3.Connection:
    db = sqlite3.connect(f"file:{quote(str(path))}?{mode}", uri=True, isolation_level=None)
    try:
        db.execute("SELECT count(*) FROM sqlite_master")
    except UnicodeDecodeError as error:  # a message of SQLite that quotes what it found in the schema
        db.close()
        raise sqlite3.DatabaseError(f"malformed schema: {error}") from error
    except sqlite3.Error:
        db.close()
        raise
    return db


def _connect(path: Path, layout: Layout, report: Report) -> sqlite3.Connection:
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))  # the WAL takes over these rights
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    try:
        db.execute(f"PRAGMA page_size = {layout.page_bytes}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {layout.synchronous}")
        db.execute(f"PRAGMA cache_size = -{layout.cache_kb}")
        db.execute("PRAGMA temp_store = MEMORY")
        db.execute(f"PRAGMA wal_autocheckpoint = {layout.checkpoint_pages}")
        db.execute(f"PRAGMA journal_size_limit = {layout.wal_bytes}")
        if migrate.migrate(db, layout.migrations):
            sync_folder(path.parent)
        _restore_guards(db, layout, report)
    except sqlite3.Error:
        db.close()
        raise
    return db


def _sound(path: Path, layout: Layout) -> bool:
    try:
        _roll_back(path)  # first: what it undoes may be half a header
    except sqlite3.Error as error:
        return _unless_damage(error)
    head = _head(path)
    if not head:
        return True  # killed while it was created
    if len(head) < 100 or not head.startswith(_MAGIC):
        return False
    try:
        db = _read_only(path, "mode=ro")
    except sqlite3.Error as error:
        return _unless_damage(error)
    try:
        found, known = migrate.version(db), migrate.newest(layout.migrations)
        if found > known:
            raise errors.StoreNewer("store.newer", file=str(path), found=found, known=known)
        # not synced at each commit, a log with a hole is what a power cut leaves
        reached = wal.frames_reached(path.with_name(path.name + "-shm")) if layout.synchronous == "FULL" else None
        if reached is not None and wal.is_damaged(_wal(path), reached, layout.page_bytes):
            return False
        return _tables_sound(db, layout, found)
    except UnicodeDecodeError:
        return False
    except sqlite3.Error as error:
        return _unless_damage(error)
    finally:
        db.close()


def _roll_back(path: Path) -> None:
    """The power went while the file was made, before it had a WAL: a connection that only reads cannot undo that."""
    if Path(f"{path}-journal").exists():
        db = sqlite3.connect(path)
        try:
            db.execute("SELECT count(*) FROM sqlite_master")
        finally:
            db.close()


def _unless_damage(error: sqlite3.Error) -> bool:
    if errors.is_misfit(error):
        return False
    raise error


def _tables_sound(db: sqlite3.Connection, layout: Layout, found: int) -> bool:
    tables = _form(db)
    for table in tables:
        db.execute(f'SELECT * FROM "{table}" LIMIT 1').fetchone()
    return _expected_form(layout.migrations, found).items() <= tables.items()


def _form(db: sqlite3.Connection) -> dict[str, tuple[tuple[object, ...], ...]]:
    """Table → its columns."""
    names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {name: tuple(db.execute(f'PRAGMA table_info("{name}")')) for name in names}


def expected(migrations: str, version: int) -> set[str]:
    """The tables that a file of a version has."""
    return set(_expected_form(migrations, version))


@cache
def _expected_form(migrations: str, up_to: int) -> dict[str, tuple[tuple[object, ...], ...]]:
    with closing(built(migrations, up_to)) as db:
        return _form(db)


@cache
def _schema(migrations: str, up_to: int) -> dict[str, tuple[str, str]]:
    """Name → (type, SQL) of everything that a file of this version has."""
    with closing(built(migrations, up_to)) as db:
        rows = db.execute(
            "SELECT name, type, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
        )
        return {name: (kind, sql) for name, kind, sql in rows}


def built(migrations: str, up_to: int) -> sqlite3.Connection:
    """An empty store of a version, in memory."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    for number, statements in migrate.scripts(migrations):
        for statement in statements if number <= up_to else ():
            db.execute(statement)
    return db


def _restore_guards(db: sqlite3.Connection, layout: Layout, report: Report) -> None:
    # a trigger or index that somebody dropped is no reason to give up the file, and none to work without it
    present = {row[0] for row in db.execute("SELECT name FROM sqlite_master")}
    for name, (_, sql) in _schema(layout.migrations, migrate.newest(layout.migrations)).items():
        if name not in present:
            db.execute(sql)
            report("store.guard_restored", {"file": layout.file, "name": name})


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(100)


def _wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def set_aside(path: Path, ending: str, stamp: str) -> str:
    """Rename a file with its WAL; the new name."""
    target = _free_name(path, f"{ending}{stamp}")
    _rename(path, target)
    return target.name


def _sync_wal(path: Path, layout: Layout, report: Report) -> None:
    """A process that was killed in a COMMIT leaves frames that SQLite takes for committed and that no fsync has seen:
    nobody may act on them, send them, before they are on disk.
    """
    try:
        handle = os.open(f"{path}-wal", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        os.fsync(handle)
    except OSError as error:  # a disk that fails is no reason not to start: the next commit tries again
        report("store.failed", {"file": layout.file, "reason": error.strerror or str(error)})
    finally:
        os.close(handle)


def _rename(path: Path, target: Path) -> None:
    for side in _SIDE_FILES:  # first, so that a WAL is never left to a new file that it does not belong to
        if Path(f"{path}{side}").exists():
            os.replace(f"{path}{side}", f"{target}{side}")
    os.replace(path, target)
    sync_folder(path.parent)


def _free_name(path: Path, ending: str) -> Path:
    target = Path(f"{path}{ending}")
    number = 1
    while target.exists():
        number += 1
        target = Path(f"{path}{ending}-{number}")
    return target


def sync_folder(folder: Path) -> None:
    """Bring what was made, renamed and deleted in a folder to the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
