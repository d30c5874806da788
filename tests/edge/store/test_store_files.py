"""Opening the files: damage, newer schemas, migrations killed at any statement, a year of records, reading only."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from storekit import NOON, Events

from config.site import Retention
from edge.store import database, meta, migrate, outbox, records
from edge.store.database import read_only
from edge.store.errors import StoreClosed, StoreFailed
from edge.store.store import Store
from edge.values import MINUTE_MS, Kind, Record

ROOT = Path(__file__).parents[3]


@pytest.fixture
def used(open_store: Callable[[], Store], tmp_path: Path) -> Path:
    """A data folder that holds one minute."""
    store = open_store()
    store.call(records.seal, [Record("ww1", Kind.MINUTE, "w01018", NOON, avg=1.5)], [], NOON).result(5)
    store.close()
    return tmp_path


def overwrite(path: Path, place: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(data)


@pytest.mark.parametrize(
    ("place", "data", "left"),
    [
        (0, b"no SQLite header", NOON),
        (16, b"\x03\x07", NOON),
        (100, b"\xff" * 200, NOON),
        (1024, b"\xee" * 8192, None),
    ],
    ids=["magic", "page size", "schema page", "roots of the tables"],
)
def test_a_damaged_file_is_moved_aside_and_a_new_one_begins_with_what_it_still_holds(
    used: Path, open_store: Callable[[], Store], events: Events, place: int, data: bytes, left: int | None
) -> None:
    overwrite(used / "records.db", place, data)
    damaged = (used / "records.db").read_bytes()
    store = open_store()
    assert events == [("store.damaged", {"file": "records.db", "aside": "records.db.damaged-20260922120000"})]
    assert (used / "records.db.damaged-20260922120000").read_bytes() == damaged
    assert store.call(records.last_start, "ww1", Kind.MINUTE).result(5) == left
    store.call(meta.put, "n", 1).result(5)


def test_a_truncated_file_is_damage_and_an_empty_one_is_a_new_one(
    used: Path, open_store: Callable[[], Store], events: Events
) -> None:
    os.truncate(used / "records.db", 60)
    os.truncate(used / "samples.db", 0)
    open_store().call(meta.put, "n", 1).result(5)
    assert [params["file"] for _, params in events] == ["records.db"]


def test_two_damages_in_one_second_keep_both_files(used: Path, open_store: Callable[[], Store]) -> None:
    for number in range(2):
        overwrite(used / "records.db", 0, b"no SQLite header %d" % number)
        open_store().close()
    names = sorted(path.name for path in used.glob("records.db.damaged*"))
    assert names == ["records.db.damaged-20260922120000", "records.db.damaged-20260922120000-2"]


def test_what_stands_in_a_wal_whose_head_is_damaged_is_salvaged_and_not_dropped_silently(
    used: Path, open_store: Callable[[], Store], events: Events, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = open_store()
    for number in range(3):
        store.call(meta.put, "n", number).result(5)
    crashed = tmp_path_factory.mktemp("crashed")
    for name in ("records.db", "records.db-wal"):
        shutil.copyfile(used / name, crashed / name)
    store.close()
    overwrite(crashed / "records.db-wal", 0, b"\0\0\0\0")
    for name in ("records.db", "records.db-wal"):
        shutil.move(crashed / name, used / name)
    wal = (used / "records.db-wal").read_bytes()
    again = open_store()
    assert [code for code, _ in events] == ["store.wal_damaged"]
    assert (used / "records.db.damaged-20260922120000-wal").read_bytes() == wal
    assert again.call(records.last_start, "ww1", Kind.MINUTE).result(5) == NOON
    assert again.call(meta.get, "n").result(5) == 2


def test_power_that_went_while_the_file_was_made_leaves_a_journal_that_is_rolled_back(
    tmp_path: Path, open_store: Callable[[], Store], events: Events, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = tmp_path_factory.mktemp("made")
    db = sqlite3.connect(made / "records.db", isolation_level=None)
    db.execute("PRAGMA cache_size = 1")
    db.execute("CREATE TABLE big (data)")
    db.execute("BEGIN")
    db.executemany("INSERT INTO big VALUES (?)", [(bytes(4000),)] * 50)  # more than the cache: into the file at once
    for name in ("records.db", "records.db-journal"):
        shutil.copyfile(made / name, tmp_path / name)
    db.execute("ROLLBACK")
    db.close()
    store = open_store()
    assert events == []
    count = store.call(lambda db: db.execute("SELECT count(*) FROM big").fetchone())
    assert count.result(5) == (0,)


def test_a_file_that_got_its_size_and_not_its_header_when_the_power_went_is_a_new_one(
    tmp_path: Path, open_store: Callable[[], Store], events: Events, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = tmp_path_factory.mktemp("made")
    db = sqlite3.connect(made / "samples.db", isolation_level=None)
    for statement in ("PRAGMA page_size = 1024", "PRAGMA cache_size = 1", "BEGIN", "CREATE TABLE big (data)"):
        db.execute(statement)
    db.executemany("INSERT INTO big VALUES (?)", [(bytes(900),)] * 50)
    shutil.copyfile(made / "samples.db-journal", tmp_path / "samples.db-journal")
    (tmp_path / "samples.db").write_bytes(bytes(1024))
    db.execute("ROLLBACK")
    db.close()
    open_store().call(meta.put, "n", 1).result(5)
    assert events == []


def test_what_a_killed_daemon_has_written_and_not_synced_is_synced_before_anything_is_read(
    used: Path,
    open_store: Callable[[], Store],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = open_store()
    store.call(meta.put, "n", 1).result(5)
    killed = tmp_path_factory.mktemp("killed")
    for name in ("records.db", "records.db-wal"):
        shutil.copyfile(used / name, killed / name)
    store.close()
    for name in ("records.db", "records.db-wal"):
        shutil.move(killed / name, used / name)
    synced: list[tuple[str, bool]] = []
    fsync, connect = os.fsync, database._connect
    opened: list[Path] = []
    monkeypatch.setattr(database, "_connect", lambda path, *rest: opened.append(path) or connect(path, *rest))

    def note(handle: int) -> None:
        synced.append((Path(os.readlink(f"/proc/self/fd/{handle}")).name, bool(opened)))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", note)
    again = open_store()
    assert ("records.db-wal", False) in synced
    assert again.call(meta.get, "n").result(5) == 1


def test_a_file_of_a_newer_program_is_kept_untouched_and_its_data_come_after_the_update(
    used: Path, open_store: Callable[[], Store], events: Events
) -> None:
    first = open_store()
    qn = first.call(outbox.qn_for, NOON + MINUTE_MS).result(5)
    first.close()
    newer = sqlite3.connect(used / "records.db", isolation_level=None)
    newer.execute("PRAGMA user_version = 99")
    newer.execute("ALTER TABLE record ADD COLUMN of_the_future TEXT")
    newer.close()
    before = (used / "records.db").read_bytes()
    store = open_store()
    aside = "records.db.newer-20260922120000"
    known = migrate.newest("records")
    assert events == [("store.newer_aside", {"file": "records.db", "aside": aside, "found": 99, "known": known})]
    assert (used / aside).read_bytes() == before
    # what was sealed is not sealed again, and no QN comes twice
    assert store.call(records.last_start, "ww1", Kind.MINUTE).result(5) == NOON
    assert store.call(outbox.qn_for, NOON).result(5) > qn
    store.call(
        records.seal, [Record("ww1", Kind.MINUTE, "w01018", NOON + MINUTE_MS, avg=2.5)], [], NOON + MINUTE_MS
    ).result(5)
    store.close()

    updated = sqlite3.connect(used / aside, isolation_level=None)  # what a program that knows version 99 would find
    updated.execute(f"PRAGMA user_version = {known}")
    updated.execute("ALTER TABLE record DROP COLUMN of_the_future")
    updated.close()
    again = open_store()
    while asyncio.run(again.mend()):
        pass
    page = again.call(records.between, "ww1", Kind.MINUTE, NOON, NOON + MINUTE_MS, 10).result(5)
    assert [(one.start, one.avg) for one in page] == [(NOON, 1.5), (NOON + MINUTE_MS, 2.5)]


def test_a_dropped_guard_is_made_again(used: Path, open_store: Callable[[], Store], events: Events) -> None:
    meddler = sqlite3.connect(used / "records.db", isolation_level=None)
    meddler.execute("DROP TRIGGER journal_no_delete")
    meddler.close()
    store = open_store()
    assert events == [("store.guard_restored", {"file": "records.db", "name": "journal_no_delete"})]
    count = store.call(
        lambda db: db.execute("SELECT count(*) FROM sqlite_master WHERE name='journal_no_delete'").fetchone()
    )
    assert count.result(5) == (1,)


def test_what_cannot_be_opened_is_an_error_and_no_damage(used: Path, open_store: Callable[[], Store]) -> None:
    (used / "samples.db").unlink()
    (used / "samples.db").mkdir()
    with pytest.raises(StoreFailed):
        open_store()
    (used / "samples.db").rmdir()
    open_store()
    assert not list(used.glob("*damaged*"))


def test_a_data_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreFailed, match="no_folder"):
        Store(tmp_path / "file", retention=Retention(), on_event=lambda code, params: None)


KILLED = """
import os, signal, sqlite3, sys
from edge.store import migrate
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA journal_mode = WAL")
left = [int(sys.argv[2])]
def count(sql):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
db.set_trace_callback(count)
migrate.migrate(db, sys.argv[3])
db.set_trace_callback(None)
print("done")
"""


def schema(path: Path) -> list[tuple[str, str]]:
    db = sqlite3.connect(path)
    rows = db.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    db.close()
    return rows


@pytest.mark.parametrize("folder", ["samples", "records"])
def test_a_migration_killed_at_any_statement_is_whole_after_the_next_start(tmp_path: Path, folder: str) -> None:
    whole = tmp_path / "whole.db"
    db = sqlite3.connect(whole, isolation_level=None)
    statements: list[str] = []
    db.set_trace_callback(statements.append)
    migrate.migrate(db, folder)
    db.close()
    expected = schema(whole)
    for killed_at in range(len(statements)):
        path = tmp_path / f"{killed_at}.db"
        command = [sys.executable, "-S", "-c", KILLED, str(path), str(killed_at), folder]
        assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
        db = sqlite3.connect(path, isolation_level=None)
        before = migrate.version(db)  # each migration is one transaction: whole, or not there
        assert before in (0, *(number for number, _ in migrate.scripts(folder)))
        assert migrate.migrate(db, folder) == (before < migrate.newest(folder))
        assert migrate.version(db) == migrate.newest(folder)
        assert not migrate.migrate(db, folder)
        db.close()
        assert schema(path) == expected


def test_every_migration_is_numbered_in_a_row() -> None:
    for folder in ("records", "samples"):
        numbers = [number for number, _ in migrate.scripts(folder)]
        assert numbers == list(range(1, len(numbers) + 1))


def test_a_reader_cannot_write_and_a_missing_file_is_said(used: Path) -> None:
    db = read_only(used / "records.db")
    assert records.last_start(db, "ww1", Kind.MINUTE) == NOON
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        meta.put(db, "n", 1)
    db.close()
    with pytest.raises(StoreClosed, match="not_there"):
        read_only(used / "nothing.db")


def test_a_year_of_minutes_opens_at_once_and_answers_quickly(used: Path, open_store: Callable[[], Store]) -> None:
    year = 366 * 1440
    filler = sqlite3.connect(used / "records.db", isolation_level=None)
    filler.execute("BEGIN")
    filler.execute(
        "INSERT INTO record (start, kind, outlet, factor, revision, min, avg, max, zs_min, zs_avg, zs_max, cou, count,"
        " mark) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
        " SELECT ? - i * 60000, 1, 1, 2, 0, 1.25, 2.5, 3.75, NULL, NULL, NULL, 0.001, 12, 'N' FROM n",
        (year, NOON),
    )
    filler.execute(
        "INSERT INTO delivery (platform, outlet, cn, start, revision, kept, created, state)"
        " SELECT 1, 1, '2051', start, 0, 1, start, 2 FROM record WHERE start < ?",
        (NOON,),
    )
    filler.execute("COMMIT")
    filler.close()
    began = time.monotonic()
    store = open_store()
    opened = time.monotonic()
    store.call(outbox.enqueue, [outbox.Due("city", "ww1", "2051", NOON)], NOON).result(5)
    assert store.call(records.last_start, "ww1", Kind.MINUTE).result(5) == NOON
    assert len(store.call(outbox.open_deliveries, "city", "ww1").result(5)) == 1
    assert [row.lost for row in store.call(outbox.counts).result(5)] == [0]
    page = store.call(records.between, "ww1", Kind.MINUTE, NOON - 200 * MINUTE_MS, NOON, 100).result(5)
    answered = time.monotonic()
    assert len(page) == 100
    # generous: this machine is shared; it takes some 10 ms
    assert opened - began < 1.0
    assert answered - opened < 1.0


@pytest.mark.parametrize("damaged", [True, False], ids=["damaged inside", "torn at its end"])
def test_a_wal_counts_as_damaged_where_whole_transactions_stand_behind_the_bad_frame(
    used: Path, open_store: Callable[[], Store], events: Events, tmp_path_factory: pytest.TempPathFactory, damaged: bool
) -> None:
    store = open_store()
    sizes = []
    for number in range(6):
        start = NOON + (number + 1) * MINUTE_MS
        store.call(records.seal, [Record("ww1", Kind.MINUTE, "w01018", start, avg=2.5)], [], start).result(5)
        sizes.append((used / "records.db-wal").stat().st_size)
    crashed = tmp_path_factory.mktemp("crashed")
    for name in ("records.db", "records.db-wal"):
        shutil.copyfile(used / name, crashed / name)
    store.close()
    for name in ("records.db", "records.db-wal"):
        shutil.move(crashed / name, used / name)
    overwrite(used / "records.db-wal", sizes[1 if damaged else -2] + 24 + 500, b"\xaa" * 40)
    again = open_store()
    while asyncio.run(again.mend()):
        pass
    kept = again.call(records.between, "ww1", Kind.MINUTE, NOON, NOON + 9 * MINUTE_MS, 20).result(5)
    codes = [code for code, _ in events]
    if damaged:  # the page in the bad frame is older: the labels behind it are there
        assert codes == ["store.damaged", "store.salvaged"]
        assert NOON + 6 * MINUTE_MS in [one.start for one in kept]
    else:  # the last transaction was never synced, for all that anybody can know
        assert codes == []
        assert [one.start for one in kept] == [NOON + number * MINUTE_MS for number in range(6)]
