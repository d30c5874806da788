"""A bit that flips in a sealed record is told, and no reader gets another value; all the others stay as they were."""

from __future__ import annotations

import asyncio
import math
import random
import sqlite3
import struct
from binascii import crc32
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from storekit import NOON, Events

from edge.store import backup, checkup, journal, migrate, newer, outbox, records, sums
from edge.store.database import RECORDS
from edge.store.errors import StoreFailed
from edge.store.outbox import Due
from edge.store.pages import PageFile
from edge.store.store import Store
from edge.values import DAY_MS, HOUR_MS, MINUTE_MS, Kind, Record

FACTORS = ("w01018", "w21003", "w00000")
COLUMNS = (
    *("start", "kind", "outlet", "factor", "revision", "min", "avg", "max", "zs_min", "zs_avg", "zs_max"),
    *("cou", "count", "mark", "total", "total_at", "caught_up", "check_sum"),
)
NUMBERS = ("min", "avg", "max", "zs_min", "zs_avg", "zs_max", "cou", "total", "caught_up")
EVERYTHING: dict[str, Any] = {name: 1.37 * place for place, name in enumerate(NUMBERS, 1)}


def record(minute: int = 0, factor: str = "w01018", **values: Any) -> Record:
    return Record("ww1", Kind.MINUTE, factor, NOON + minute * MINUTE_MS, **{"avg": minute / 7, "count": 12, **values})


def fill(store: Store, minutes: int) -> list[Record]:
    """All values of half of the records, of the others only a mean."""
    sealed = [
        record(minute, factor, **(EVERYTHING | {"total_at": NOON} if number % 2 else {}))
        for minute in range(minutes)
        for number, factor in enumerate(FACTORS, minute)
    ]
    dues = [Due("city", "ww1", "2051", NOON + minute * MINUTE_MS) for minute in range(minutes)]
    store.call(records.seal, sealed, dues, NOON).result(5)
    return sealed


def key(one: Record) -> tuple[int, str]:
    return one.start, one.factor


def held(store: Store) -> list[Record]:
    """All minutes; asked again where the file was set aside because of the question."""
    for _ in range(2):
        try:
            return sorted(store.call(records.between, "ww1", Kind.MINUTE, 0, NOON + DAY_MS, 1_000).result(5), key=key)
        except StoreFailed:
            continue
    pytest.fail("the store does not come to rest")


def mend(store: Store) -> None:
    """Salvage to its end; then every table is read through."""

    async def run() -> None:
        quiet = 0
        while quiet < 30:
            quiet = 0 if await store.mend() else quiet + 1

    asyncio.run(run())


def flipped(value: Any, bit: int, column: str) -> Any:
    if value is None:
        return 0 if column == "total_at" else 0.0
    if isinstance(value, float):
        (number,) = struct.unpack("<Q", struct.pack("<d", value))
        (changed,) = struct.unpack("<d", struct.pack("<Q", number ^ 1 << bit))
        return changed
    if isinstance(value, str):
        return chr(ord(value) ^ 1 << bit % 7)
    return (value ^ 1 << bit % 62) if column in ("start", "total_at") else value ^ 1 << bit % 31


def damage(path: Path, start: int, column: str, bit: int) -> Any:
    """A flip in one column of the label's first record, past the store; the value that is there now."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        where = "WHERE start = ? AND factor = (SELECT id FROM name WHERE text = 'w01018')"
        (value,) = db.execute(f"SELECT {column} FROM record {where}", (start,)).fetchone()
        changed = flipped(value, bit, column)
        db.execute(f"UPDATE record SET {column} = ? {where}", (changed, start))
    return changed


def test_the_sum_is_the_crc_32_of_key_and_values(open_store: Callable[[], Store]) -> None:
    store = open_store()
    store.call(records.seal, [record(avg=1.5, cou=-0.0, min=math.nan)], [], NOON).result(5)
    none = bytes.fromhex("000000000000f87f")
    values = [none, struct.pack("<d", 1.5), none, none, none, none, bytes(8)]
    packed = struct.pack("<5q", NOON, 1, 1, 2, 0) + b"".join(values) + struct.pack("<q", 12)
    there = store.call(lambda db: [row[0] for row in db.execute("SELECT check_sum FROM record")]).result(5)
    assert there == [crc32(packed + b"N") - 2**31]
    totals = record(avg=1.5, cou=-0.0, total=-7.5, total_at=NOON)
    store.call(records.revise, [totals], [], NOON).result(5)
    packed = struct.pack("<5q", NOON, 1, 1, 2, 1) + b"".join(values) + struct.pack("<q", 12)
    behind = struct.pack("<dq", -7.5, NOON) + none
    there = store.call(lambda db: [row[0] for row in db.execute("SELECT check_sum FROM record")]).result(5)
    assert there[1:] == [crc32(packed + b"N" + behind) - 2**31]


@given(st.dictionaries(st.sampled_from(NUMBERS), st.floats()), st.integers(0, 10**6), st.none() | st.integers(0, 2**62))
def test_whatever_is_sealed_is_read_again(numbers: dict[str, float], count: int, total_at: int | None) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate.migrate(db, "records")
        sealed = Record("ww1", Kind.HOUR, "w01018", NOON, count=count, total_at=total_at, **numbers)
        records.seal(db, [sealed], [], NOON)
        (found,) = records.of_period(db, "ww1", Kind.HOUR, NOON)
    stored = {name: None if math.isnan(value) else value for name, value in numbers.items()}
    assert found == replace(sealed, **stored)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_flipped_bit_in_any_column_is_told_and_every_other_record_stays(
    open_store: Callable[[], Store], tmp_path: Path, events: Events, column: str
) -> None:
    chance = random.Random(column)
    for bit in sorted(chance.sample(range(64), 3)):
        with closing(open_store()) as store:
            sealed = fill(store, 20)
        changed = damage(tmp_path / RECORDS.file, NOON + 7 * MINUTE_MS, column, bit)
        (problem,) = {table.problem for table in checkup.check(tmp_path, lambda name: None)[0].tables} - {None}
        of_the_key = column in ("start", "kind", "outlet", "factor")
        assert problem is not None
        assert of_the_key or "ww1 w01018 minute 2026-09-22T12:07:00+08:00" in problem, changed
        events.clear()
        with closing(open_store()) as store:
            if bit % 2:  # found by who needs it, or when idle
                found = held(store)
                mend(store)
                assert found == held(store)
            mend(store)
            assert held(store) == sorted(
                (one for one in sealed if key(one) != (NOON + 7 * MINUTE_MS, "w01018")), key=key
            )
            assert store.call(journal.verify).result(5).ok
        codes = [code for code, _ in events]
        assert (codes.count("store.damaged"), codes.count("store.salvaged")) == (1, 1)
        assert ("store.left_out", {"file": RECORDS.file, "rows": 1}) in events
        named = [params for code, params in events if code == "store.record_damaged"]
        if not of_the_key:
            start = "2026-09-22T12:07:00+08:00"
            which = {"outlet": "ww1", "factor": "w01018", "kind": "minute", "start": start}
            assert named == [{"file": RECORDS.file, **which}]
        assert all(file.ok for file in checkup.check(tmp_path, lambda name: None))
        for path in tmp_path.glob("*.db*"):
            path.unlink()


def test_a_flipped_bit_in_the_file_never_makes_another_value(
    open_store: Callable[[], Store], tmp_path: Path, events: Events
) -> None:
    with closing(open_store()) as store:
        sealed = {key(one): one for one in fill(store, 10)}
    path = tmp_path / RECORDS.file
    whole, evidence = path.read_bytes(), tmp_path / "connection.jsonl"
    with PageFile(path, RECORDS.page_bytes) as pages:
        root = next(page for page in pages.walk(pages.roots()["record"]) if page.cells and len(page.cells) > 3)
        rows = {values[0]: cell for cell, (_, values) in zip(root.cells or (), pages.rows(root), strict=True)}
    chance = random.Random(11)
    start, cell = chance.choice(sorted(rows.items())[:-1])
    place = (root.number - 1) * RECORDS.page_bytes + cell
    told = 0
    for bit in chance.sample(range(60 * 8), 60):
        data = bytearray(whole)
        data[place + bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        evidence.unlink(missing_ok=True)
        events.clear()
        with closing(open_store()) as store:
            mend(store)
            found = held(store)
        assert all(sealed[key(one)] == one for one in found), (bit, start)
        missing = len(sealed) - len(found)
        assert missing <= 2  # a flipped length may reach into its neighbour
        assert not missing or "store.damaged" in [code for code, _ in events]
        told += missing > 0
        for left in tmp_path.glob("*.db*"):
            left.unlink()
    assert told > 40


def test_a_zero_that_became_empty_bytes_is_not_taken_for_zero() -> None:
    """One bit of the serial type: 8, the number 0, and 12, a BLOB of no bytes."""
    row = (NOON, 1, 1, 2, 0, *[0.0] * 7, 12, "N", 0.0, NOON, 0.0)
    for place in (*range(5, 12), 14, 16):
        changed = (*row[:place], b"", *row[place + 1 :])
        assert (sums.fits((*row, sums.of_record(row))), sums.fits((*changed, sums.of_record(row)))) == (True, False)


def test_the_last_mean_is_not_taken_from_a_damaged_record(open_store: Callable[[], Store], tmp_path: Path) -> None:
    with closing(open_store()) as store:
        fill(store, 3)
    damage(tmp_path / RECORDS.file, NOON + MINUTE_MS, "avg", 51)
    with closing(open_store()) as store:
        with pytest.raises(StoreFailed):
            store.call(records.last_average, record(2)).result(5)
        assert store.call(records.last_average, record(2)).result(5) == 0.0


def test_the_rest_of_a_delivery_goes_out_without_the_damaged_record(
    open_store: Callable[[], Store], tmp_path: Path
) -> None:
    with closing(open_store()) as store:
        fill(store, 3)
    damage(tmp_path / RECORDS.file, NOON + MINUTE_MS, "avg", 50)
    with closing(open_store()) as store:
        mend(store)
        waiting = store.call(outbox.open_deliveries, "city", "ww1").result(5)
        assert [found.start for found in waiting] == [NOON, NOON + MINUTE_MS, NOON + 2 * MINUTE_MS]
        sent = [one.factor for one in store.call(outbox.records_at, waiting[1], 0).result(5)]
        assert sorted(sent) == ["w00000", "w21003"]
        assert [one.lost for one in store.call(outbox.counts).result(5)] == [0]


def test_records_of_an_earlier_version_are_read_as_they_stand(tmp_path: Path, open_store: Callable[[], Store]) -> None:
    path = tmp_path / RECORDS.file
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for number, statements in migrate.scripts("records"):
            for statement in statements if number <= 10 else ():
                db.execute(statement)
        db.execute("PRAGMA user_version = 10")
        db.execute("INSERT INTO name VALUES (1, 'ww1'), (2, 'w01018')")
        db.execute(
            "INSERT INTO record (start, kind, outlet, factor, revision, avg, count, mark, total, caught_up)"
            " VALUES (?, 1, 1, 2, 0, 4.5, 12, 'N', 7.5, NULL)",
            (NOON,),
        )
        db.execute("INSERT INTO sealed (outlet, kind, last) VALUES (1, 1, ?)", (NOON,))
    with closing(open_store()) as store:
        new = record(1)
        store.call(records.seal, [new], [], NOON).result(5)
        mend(store)
        assert held(store) == [record(avg=4.5, total=7.5), new]
        bare = store.call(lambda db: [row[0] is None for row in db.execute("SELECT check_sum FROM record")]).result(5)
    assert bare == [True, False]


def test_salvage_into_a_file_with_other_numbers_makes_the_sums_anew(
    open_store: Callable[[], Store], tmp_path: Path
) -> None:
    with closing(open_store()) as store:
        sealed = fill(store, 5)
    damage(tmp_path / RECORDS.file, NOON, "avg", 3)
    aside = (tmp_path / RECORDS.file).rename(tmp_path / "records.db.damaged-20260101000000")
    assert aside.exists()
    with closing(sqlite3.connect(tmp_path / RECORDS.file, isolation_level=None)) as other:
        migrate.migrate(other, "records")
        other.execute("INSERT INTO name VALUES (1, 'elsewhere'), (2, 'ww1')")
    with closing(open_store()) as store:
        mend(store)
        assert held(store) == sorted((one for one in sealed if key(one) != (NOON, "w01018")), key=key)
        missing = "SELECT count(*) FROM record WHERE check_sum IS NULL"
        assert store.call(lambda db: db.execute(missing).fetchone()[0]).result(5) == 0


def test_a_backup_carries_the_sums_and_a_restore_takes_over_only_what_is_sound(
    open_store: Callable[[], Store], tmp_path: Path
) -> None:
    with closing(open_store()) as store:
        early = fill(store, 3)
        site, target = tmp_path / "site.toml", tmp_path / "backups"
        target.mkdir()
        folder = backup.make(tmp_path, site, target, NOON)
        late = [record(10), record(11), record(12)]
        store.call(records.seal, late, [], NOON + HOUR_MS).result(5)
    damage(tmp_path / RECORDS.file, NOON + 11 * MINUTE_MS, "avg", 40)
    backup.restore(folder, tmp_path, NOON + HOUR_MS, "user:a")
    with closing(open_store()) as store:
        mend(store)
        assert held(store) == sorted([*early, late[0], late[2]], key=key)
    damage(tmp_path / RECORDS.file, NOON, "max", 1)
    assert not checkup.check(tmp_path, lambda name: None)[0].ok


def test_what_an_earlier_program_sealed_last_is_carried_over_as_well(tmp_path: Path) -> None:
    old = tmp_path / "old.db"
    with closing(sqlite3.connect(old, isolation_level=None)) as db:
        for number, statements in migrate.scripts("records"):
            for statement in statements if number <= 4 else ():
                db.execute(statement)
        db.execute("INSERT INTO name VALUES (1, 'ww1'), (2, 'w01018')")
        db.execute(
            "INSERT INTO record (start, kind, outlet, factor, revision, avg, count, mark)"
            " VALUES (?, 1, 1, 2, 0, 4.5, 12, 'N')",
            (NOON,),
        )
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate.migrate(db, "records")
        newer.carry_on(db, old, NOON)
        assert records.of_period(db, "ww1", Kind.MINUTE, NOON) == [record(avg=4.5)]
