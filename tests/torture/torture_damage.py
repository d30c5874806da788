"""Damaged stores: random damage to files of a store; each is opened as the daemon opens it, and what came is counted.

The oracle is SQLite itself: every row that the store held is looked up by its key in a copy of the damaged files. A
page counts as reached when each of its rows is given as it was; at least 99 % of the rows of those pages must be in the
new store, as they were. Receipts are in connection.jsonl as well and must all be there. A record that bears a check sum
and is not as it was sealed, or was never sealed, counts as corrupt.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from config.site import Retention
from edge.clock import SimulatedClock
from edge.store import journal, marks, migrate, outbox, records, results, samples, settings
from edge.store.connection import receipts
from edge.store.database import RECORDS, SAMPLES
from edge.store.errors import StoreError
from edge.store.outbox import Answer, Due
from edge.store.pages import PageFile
from edge.store.store import Store
from edge.store.tables import read_row, tables
from edge.values import HOUR_MS, MINUTE_MS, Kind, Record, Result, Sample
from tests.torture.rig import Outcome, Rig

START = 1_790_049_600_000
FACTORS = ("w01018", "w21003", "w21011", "w00000")
MINUTES = 60
MEMORY = Path("/dev/shm")
FILES = (RECORDS, SAMPLES)
UNCOUNTED = {"salvage", "sqlite_sequence", "meta", "tally", "sealed"}
"""Not rows of data: counters go on, and what is set aside is noted."""
Key = tuple[str, tuple[Any, ...]]


@dataclass(slots=True)
class Template:
    """A store's files, and what they hold: rows by table and key, and which of them stand on one page."""

    folder: Path
    rows: dict[Key, tuple[Any, ...]] = field(default_factory=dict)
    pages: list[tuple[str, list[Key]]] = field(default_factory=list)
    receipts: int = 0
    sealed: set[tuple[Any, ...]] = field(default_factory=set)


def test_damaged_store(rig: Rig) -> Outcome:
    """The test."""
    outcome = Outcome()
    made = [_template(rig.work / name, name) for name in ("closed", "running", "old")]
    seen: Counter[str] = Counter()
    # nothing here depends on the disk, and syncing takes most of the time
    place = Path(mkdtemp(dir=MEMORY if MEMORY.is_dir() else rig.work))
    for case in range(rig.count(500, 50_000)):
        chance = rig.random(case)
        template = chance.choice(made)
        folder = place / "case"
        shutil.copytree(template.folder, folder)
        damage = chance.choice(DAMAGES)
        damage(folder, chance)
        told = len(outcome.failures)
        try:
            _one(folder, template, outcome, seen)
        except Refused as error:
            outcome.refused += 1
            outcome.fail(str(error))
        where = f"case {case}, {damage.__name__} of {template.folder.name}: "
        outcome.failures[told:] = [where + failure for failure in outcome.failures[told:]]
        outcome.cases += 1
        seen[damage.__name__] += 1
        shutil.rmtree(folder)
    place.rmdir()
    outcome.figures |= dict(sorted(seen.items()))
    return outcome


class Refused(Exception):
    """The store did not open, or did not go on."""


def _one(folder: Path, template: Template, outcome: Outcome, seen: Counter[str]) -> None:
    reached = _reached(folder, template)
    try:
        store, events = _open(folder)
        try:
            _until_mended(store)
            held = (
                store.call(_held, template, RECORDS.file).result()
                | store.call_samples(_held, template, SAMPLES.file).result()
            )
            sealed = store.call(_sealed).result()
            kept = len(store.call(receipts).result())
            qn = store.call(outbox.qn_for, START).result()
            verdict = store.call(journal.verify).result()
            seen["journals that are whole"] += verdict.ok
        finally:
            store.close()
    except (StoreError, sqlite3.Error) as error:
        raise Refused(f"{type(error).__name__} {error}") from error
    if "store.newer_aside" in events:
        seen["of a newer program: kept untouched"] += 1
        outcome.lost += not any(folder.glob("*.newer-*"))
        return
    last = max((key[1][0] for key in held if key[0] == "packet"), default=0)
    if int(qn) <= last:
        outcome.fail(f"QN {qn} is not behind {last}; {events}")
    wanted = [key for file, keys in template.pages if all(key in reached for key in keys) for key in keys]
    missing = [key for key in wanted if held.get(key) != template.rows[key]]
    if nameless := _nameless(template, reached):
        seen["rows whose outlet or factor is gone"] += sum(key[0] in nameless for key in missing)
        missing = [key for key in missing if key[0] not in nameless]
    if false := sorted(sealed - template.sealed):
        outcome.corrupt += len(false)
        outcome.fail(f"{len(false)} records are not as they were sealed, such as {false[0]}; {events}")
    altered = [key for key, row in held.items() if row is not None and row != template.rows[key]]
    seen["files set aside"] += sum(code in ("store.damaged", "store.wal_damaged") for code in events)
    seen["rows on pages that SQLite reaches"] += len(wanted)
    seen["of these in the new store"] += len(wanted) - len(missing)
    seen["rows in the new store beyond these"] += sum(row is not None for row in held.values()) - len(wanted)
    seen["rows altered within their form"] += len(altered)
    if len(missing) > len(wanted) / 100:
        outcome.lost += len(missing)
        outcome.fail(f"{len(missing)} of {len(wanted)} rows are missing, such as {missing[:3]}; {events}")
    if kept < template.receipts:
        outcome.lost += template.receipts - kept
        outcome.fail(f"{kept} of {template.receipts} receipts; {events}")
    for layout in FILES:
        found = _integrity(folder / layout.file)
        if found != "ok" and "store.damaged" in events:
            outcome.corrupt += 1
            outcome.fail(f"{layout.file}: {found}; {events}")


def _sealed(db: sqlite3.Connection) -> set[tuple[Any, ...]]:
    """Each record that bears its check sum: outlet and factor by name, the rest of the key, the values."""
    return set(
        db.execute(
            "SELECT o.text, f.text, start, kind, revision, min, avg, max, zs_min, zs_avg, zs_max, cou, count, mark,"
            " total, total_at, caught_up FROM record AS r JOIN name AS o ON o.id = r.outlet"
            " JOIN name AS f ON f.id = r.factor WHERE check_sum IS NOT NULL"
        )
    )


def _nameless(template: Template, reached: set[Key]) -> set[str]:
    """The tables whose rows mean nothing where numbers of outlets and factors cannot be looked up any more."""
    gone = {key[0] for key in template.rows if key[0] in ("name", "channel")} - {
        name for name in ("name", "channel") if all(key in reached for key in template.rows if key[0] == name)
    }
    named = {"name": {"record", "delivery", "packet", "result"}, "channel": {"tick"}}
    return {table for name in gone for table in named[name]}


def _open(folder: Path) -> tuple[Store, list[str]]:
    events: list[str] = []
    store = Store(
        folder,
        retention=Retention(),
        on_event=lambda code, params: events.append(code),
        clock=SimulatedClock(START + 6 * HOUR_MS, 0.0),
    )
    return store, events


def _until_mended(store: Store) -> None:
    async def run() -> None:
        quiet = 0
        while quiet < 30:  # every table of both files is read through once
            quiet = 0 if await store.mend() else quiet + 1

    asyncio.run(run())


def _held(db: sqlite3.Connection, template: Template, file: str) -> dict[Key, tuple[Any, ...] | None]:
    """What the store gives for each key of the template; one table at a time."""
    wanted: dict[str, set[Key]] = {}
    for where, keys in template.pages:
        if where == file:
            for key in keys:
                wanted.setdefault(key[0], set()).add(key)
    found: dict[Key, tuple[Any, ...] | None] = {}
    for name, table in tables(db).items():
        for row in db.execute(f'SELECT * FROM "{name}"') if name in wanted else ():
            key = name, tuple(row[place] for place in table.keys)
            if key in wanted[name]:
                found[key] = tuple(row)[: len(template.rows[key])]
    return found


def _reached(folder: Path, template: Template) -> set[Key]:
    """The rows that SQLite still gives by their key, as they were; on a copy, since it folds the WAL in."""
    copy = folder.with_name("oracle")
    shutil.copytree(folder, copy)
    reached = set()
    try:
        for layout in FILES:
            try:
                db = sqlite3.connect(f"file:{copy / layout.file}?mode=ro", uri=True, isolation_level=None)
                db.execute("BEGIN")
            except sqlite3.Error:
                continue
            for file, keys in template.pages:
                if file == layout.file:
                    reached |= {key for key in keys if _lookup(db, key) == template.rows[key]}
            db.close()
    finally:
        shutil.rmtree(copy)
    return reached


def _lookup(db: sqlite3.Connection, key: Key) -> tuple[Any, ...] | None:
    try:
        row = db.execute(LOOKUPS[key[0]], key[1]).fetchone()
    except (sqlite3.Error, UnicodeDecodeError):
        return None
    return None if row is None else tuple(row)


LOOKUPS: dict[str, str] = {}
"""By table."""


def _integrity(path: Path) -> str:
    db = sqlite3.connect(path)
    try:
        return str(db.execute("PRAGMA integrity_check").fetchone()[0])
    except sqlite3.Error as error:
        return str(error)
    finally:
        db.close()


# the stores that are damaged


def _template(folder: Path, name: str) -> Template:
    """`closed`: all in the file; `running`: the newest in the WAL; `old`: brought up from version 1 while filled."""
    folder.mkdir()
    if name == "old":
        _version_1(folder / RECORDS.file)
    store, _ = _open(folder)
    _fill(store, 0, MINUTES)
    if name == "running":
        store.close()
        store, _ = _open(folder)
        _fill(store, MINUTES, MINUTES + 20)
        still = folder.with_name("running-files")
        still.mkdir()
        for path in folder.iterdir():
            if path.name != "lock":
                shutil.copyfile(path, still / path.name)
        store.close()
        shutil.rmtree(folder)
        still.rename(folder)
    else:
        store.close()
    return _described(folder)


def _version_1(path: Path) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA page_size = 1024")
    db.execute("PRAGMA journal_mode = WAL")
    for statement in migrate.scripts("records")[0][1]:
        db.execute(statement)
    db.execute("PRAGMA user_version = 1")
    db.executemany("INSERT INTO name VALUES (?, ?)", [(1, "ww1"), *enumerate(FACTORS, 2)])
    rows = [
        (START - (60 - minute) * MINUTE_MS, number, float(minute)) for minute in range(60) for number in range(2, 6)
    ]
    db.executemany(
        "INSERT INTO record (start, kind, outlet, factor, revision, avg, count, mark)"
        " VALUES (?, 1, 1, ?, 0, ?, 12, 'N')",
        rows,
    )
    db.close()


def _fill(store: Store, begin: int, end: int) -> None:
    for minute in range(begin, end):
        start = START + minute * MINUTE_MS
        store.call(_minute, start, minute).result()
        tick = [Sample(start, "ww1", factor, minute * 0.1 + 1, "N") for factor in FACTORS]
        store.call_samples(samples.append, start, tick).result()


def _minute(db: sqlite3.Connection, start: int, minute: int) -> None:
    sealed = [
        Record("ww1", Kind.MINUTE, factor, start, min=minute * 0.1, avg=minute * 0.3, max=minute * 0.7, count=12)
        for factor in FACTORS
    ]
    now_ms = start + MINUTE_MS
    platforms = ("city", "province")
    ids = records.seal(db, sealed, [Due(platform, "ww1", "2051", start) for platform in platforms], now_ms)
    for number, (key, platform) in enumerate(zip(ids, platforms, strict=True)):
        packets = outbox.prepare(
            db,
            key,
            lambda found, _: [(outbox.qn_for(db, now_ms), 1, 1, b"##0700QN=1;MN=A;" + bytes([65 + minute % 26]) * 700)],
            lambda packet: True,
            now_ms,
        )
        if (minute + number) % 3:  # every third waits for its answer
            reply = Answer(b"answer", now_ms, now_ms, "peer", f"{platform}:1", "official", clock_plausible=True)
            outbox.answered(db, platform, packets[0].qn, reply)
    if minute % 10 == 0:
        by = marks.By("user:a", "Li", now_ms)
        marks.add(db, marks.Mark(kind="mark", points=("ww1",), begin=start, mark="M", reason="calibration"), by)
        settings.put(db, "city", None, f"name{minute}", minute, "platform:1062", now_ms)
        results.keep(db, [Result("ww1", "w01018", start, start, start, minute * 1.5, "N", "sample", f"{minute}")])


def _described(folder: Path) -> Template:
    found = Template(folder)
    for layout in FILES:
        path = folder / layout.file
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        known = tables(db)
        for name, table in known.items():
            keys = [f'"{table.columns[place].name}"' for place in table.keys]
            LOOKUPS[name] = f'SELECT * FROM "{name}" WHERE ' + " AND ".join(f"{key} = ?" for key in keys)
            for row in db.execute(f'SELECT * FROM "{name}"') if name not in UNCOUNTED else ():
                found.rows[name, tuple(row[place] for place in table.keys)] = tuple(row)
        if layout is RECORDS:
            found.receipts = len(receipts(db))
            found.sealed = _sealed(db)
        with PageFile(path, layout.page_bytes) as pages:
            roots = pages.roots()
            for name in known.keys() - UNCOUNTED:
                for page in pages.walk(roots[name]):
                    rows = [read_row(known[name], row) for row in pages.rows(page)]
                    keyed = [(name, tuple(row[place] for place in known[name].keys)) for row in rows]
                    found.pages.append((layout.file, keyed))
        db.close()
    assert sorted(key for _, keys in found.pages for key in keys) == sorted(found.rows)
    for path in folder.glob("*-shm"):
        path.unlink()
    return found


# what is done to them


def _file(folder: Path, chance: random.Random) -> Path:
    return folder / chance.choices(FILES, (3, 1))[0].file


def _write(path: Path, place: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(data)


def bytes_here_and_there(folder: Path, chance: random.Random) -> None:
    """Single bytes."""
    path = _file(folder, chance)
    for _ in range(chance.randint(1, 30)):
        _write(path, chance.randrange(path.stat().st_size), chance.randbytes(1))


def whole_pages(folder: Path, chance: random.Random) -> None:
    """Pages of zeros or of rubbish."""
    path = _file(folder, chance)
    for _ in range(chance.randint(1, 20)):
        page = chance.randrange(path.stat().st_size // 1024) * 1024
        _write(path, page, chance.choice((bytes(1024), chance.randbytes(1024))))


def torn_writes(folder: Path, chance: random.Random) -> None:
    """Sectors of 512 bytes that hold something else: zeros, rubbish, or another sector."""
    path = _file(folder, chance)
    sectors = path.stat().st_size // 512
    for _ in range(chance.randint(1, 20)):
        other = path.read_bytes()[(place := chance.randrange(sectors) * 512) : place + 512]
        _write(path, chance.randrange(sectors) * 512, chance.choice((bytes(512), chance.randbytes(512), other)))


def an_erased_block(folder: Path, chance: random.Random) -> None:
    """A block of the flash that has gone: 4 to 32 KiB of ones."""
    path = _file(folder, chance)
    size = chance.choice((4, 8, 16, 32)) * 1024
    _write(path, chance.randrange(max(path.stat().st_size // 4096, 1)) * 4096, b"\xff" * size)


def a_bad_head(folder: Path, chance: random.Random) -> None:
    """The first bytes of the file."""
    path = _file(folder, chance)
    _write(path, chance.randrange(100), chance.randbytes(chance.randint(1, 200)))


def cut_off(folder: Path, chance: random.Random) -> None:
    """The end is missing."""
    path = _file(folder, chance)
    with path.open("r+b") as file:
        file.truncate(chance.randrange(path.stat().st_size + 1))


def no_wal(folder: Path, chance: random.Random) -> None:
    """The WAL, the shm, or the file itself is missing."""
    path = _file(folder, chance)
    for ending in chance.choice((("-wal",), ("-shm", "-wal"), ("-shm",), ("",))):
        Path(f"{path}{ending}").unlink(missing_ok=True)


def a_bad_wal(folder: Path, chance: random.Random) -> None:
    """Damage in the WAL: its head, single bytes, a sector, its end."""
    wal = Path(f"{_file(folder, chance)}-wal")
    if not wal.exists() or not wal.stat().st_size:
        wal.write_bytes(chance.randbytes(chance.randrange(5_000)))
        return
    size = wal.stat().st_size
    for _ in range(chance.randint(1, 3)):
        place = chance.choice((0, chance.randrange(size)))
        _write(wal, place, chance.randbytes(chance.choice((1, 8, 512))))
    if chance.random() < 0.3:
        with wal.open("r+b") as file:
            file.truncate(chance.randrange(size))


def a_bad_shm(folder: Path, chance: random.Random) -> None:
    """Rubbish in the place of the shared memory."""
    Path(f"{_file(folder, chance)}-shm").write_bytes(chance.randbytes(32_768))


def a_bit(folder: Path, chance: random.Random) -> None:
    """A single bit, or a few of them: flash that wears out."""
    path = _file(folder, chance)
    data = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 1, 1, 8))):
        place = chance.randrange(len(data))
        data[place] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def a_wrong_version(folder: Path, chance: random.Random) -> None:
    """A version that the tables are not of, older or newer."""
    path = _file(folder, chance)
    _write(path, 60, chance.choice((0, 1, 2, 3, 5, 99, 2**31)).to_bytes(4, "big"))


DAMAGES: tuple[Callable[[Path, random.Random], None], ...] = (
    bytes_here_and_there, whole_pages, torn_writes, an_erased_block, a_bad_head, cut_off, no_wal, a_bad_wal, a_bad_shm,
    a_bit, a_wrong_version,
)  # fmt: skip
TESTS = {"damaged-store": test_damaged_store}
