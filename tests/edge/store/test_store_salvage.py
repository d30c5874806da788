"""Salvage: what waits must come out of a damaged file, what was lost is said, at opening and while the store works."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from storekit import NOON, Events

from config.site import Retention
from edge.clock import SimulatedClock
from edge.store import checkup, journal, kept, links, meta, migrate, names, outbox, records, salvage
from edge.store import fill as filling
from edge.store.database import RECORDS
from edge.store.errors import StoreClosed, StoreFailed
from edge.store.outbox import Due
from edge.store.pages import PageFile
from edge.store.store import Store
from edge.store.tables import read_row, tables
from edge.values import DAY_MS, MINUTE_MS, Kind, Record

FRAME = b"##0123QN=x;MN=A;" + b"v" * 900
REPLY = outbox.Answer(b"answer", NOON, NOON, "peer", "city:1", "official", clock_plausible=True)


def fill(store: Store, minutes: int, answered: Callable[[int], bool] = lambda minute: False) -> list[str]:
    """Minutes with a packet each; their QNs."""

    def minute(db: sqlite3.Connection, number: int) -> str:
        start = NOON + number * MINUTE_MS
        sealed = [Record("ww1", Kind.MINUTE, "w01018", start, avg=number / 7, count=12)]
        (key,) = records.seal(db, sealed, [Due("city", "ww1", "2051", start)], start)
        build = lambda found, _: [(outbox.qn_for(db, start), 1, 1, FRAME + b"%d" % number)]  # noqa: E731  # one use
        (packet,) = outbox.prepare(db, key, build, lambda packet: True, start)
        if answered(number):
            outbox.answered(db, "city", packet.qn, REPLY)
        return packet.qn

    return [store.call(minute, number).result(5) for number in range(minutes)]


def page_of(path: Path, table: str, place: int = 0) -> int:
    """The number of a leaf of a table, the newest first."""
    with PageFile(path, 1024) as pages:
        return [page.number for page in pages.walk(pages.roots()[table])][place]


def destroy(path: Path, page: int) -> None:
    with path.open("r+b") as file:
        file.seek((page - 1) * 1024)
        file.write(random.Random(page).randbytes(1024))


def mend(store: Store) -> None:
    async def run() -> None:
        while await store.mend():
            pass

    asyncio.run(run())


def test_rows_read_from_pages_are_those_that_sqlite_gives(tmp_path: Path) -> None:
    chance = random.Random(4)
    path = tmp_path / "a.db"
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA page_size = 1024")
    db.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, i INTEGER, r REAL, t TEXT, b BLOB) STRICT")
    db.execute("CREATE TABLE w (t TEXT, i INTEGER, r REAL NOT NULL, PRIMARY KEY (i, t)) STRICT, WITHOUT ROWID")
    ints = [0, 1, -1, 127, -128, 2**15, -(2**23), 2**31, 2**47, -(2**63), 2**63 - 1]
    for number in range(400):
        size = chance.choice((0, 1, 30, 900, 5_000))
        values = (
            chance.choice(ints),
            chance.choice((0.0, 5.0, 1e300, -0.1)),
            "字" * (size // 3),
            chance.randbytes(size),
        )
        db.execute("INSERT INTO a VALUES (?, ?, ?, ?, ?)", (chance.choice((number, -number, 2**62 + number)), *values))
        db.execute("INSERT INTO w VALUES (?, ?, ?)", (f"{number}" * (size // 9 + 1), values[0], number / 2))
    known = tables(db)
    with PageFile(path, 1024) as pages:
        for name, root in pages.roots().items():
            if name in known:
                read = [read_row(known[name], row) for page in pages.walk(root) for row in pages.rows(page)]
                assert sorted(read) == sorted(db.execute(f"SELECT * FROM {name}"))
    db.close()


def test_what_waits_in_the_outbox_comes_out_byte_for_byte_and_counts_as_before(
    open_store: Callable[[], Store], tmp_path: Path, events: Events
) -> None:
    store = open_store()
    qns = fill(store, 60, answered=lambda minute: minute < 40)
    store.close()
    destroy(tmp_path / "records.db", 1)
    again = open_store()
    mend(again)
    (counts,) = again.call(outbox.counts).result(5)
    assert (counts.sent, counts.answered, counts.lost) == (60, 40, 0)
    waiting = again.call(outbox.open_deliveries, "city", "ww1").result(5)
    assert [each.start for each in waiting] == [NOON + number * MINUTE_MS for number in range(40, 60)]
    for number, found in enumerate(waiting, 40):
        none_new = lambda found, _: pytest.fail("a new packet")  # noqa: E731  # one use
        (packet,) = again.call(outbox.prepare, found.id, none_new, lambda packet: True, NOON).result(5)
        assert (packet.qn, packet.data) == (qns[number], FRAME + b"%d" % number)
    assert again.call(outbox.qn_for, NOON - DAY_MS).result(5) > qns[-1]
    assert again.call(journal.verify).result(5).ok
    assert [code for code, _ in events] == ["store.damaged", "store.salvaged"]
    assert not list(tmp_path.glob("*.damaged-*"))
    assert [path.name for path in tmp_path.glob("records.db.salvaged-*")] == ["records.db.salvaged-20260922120000"]


def test_link_log_keep_log_filings_and_fillings_come_out_under_their_names(
    open_store: Callable[[], Store], tmp_path: Path
) -> None:
    store = open_store()
    fill(store, 3)
    connection = links.Connected("county/ww1", NOON, "county:2", "10.0.0.2:9212")
    store.call(links.keep, NOON, [connection], {"county/ww1": links.Sums(bytes_in=7, sent=3)}, NOON).result(5)
    store.call(kept.add, kept.Kept(NOON, "sampler", "ww1", 3, 1000.0, "alarm", "w01018")).result(5)
    store.call(filling.decide, "county", "ww1", NOON - DAY_MS, MINUTE_MS).result(5)
    looks: list[Callable[[sqlite3.Connection], object]] = [
        lambda db: links.connections(db, 0, NOON + DAY_MS),
        lambda db: links.sums(db, 0, NOON + DAY_MS),
        lambda db: kept.newest(db, 9),
        filling.unfinished,
    ]
    before = [store.call(look).result(5) for look in looks]
    store.close()
    damaged = (tmp_path / "records.db").rename(tmp_path / "records.db.damaged-20260101000000")
    destroy(damaged, 1)
    # the same names have other numbers here
    with closing(sqlite3.connect(tmp_path / "records.db", isolation_level=None)) as other:
        migrate.migrate(other, "records")
        for text in ("city", "county/ww1", "w01001", "county", "ww1"):
            names.intern(other, text)
    again = open_store()
    mend(again)
    assert [again.call(look).result(5) for look in looks] == before
    assert all(before)


def test_a_delivery_that_is_made_again_before_it_is_salvaged_is_neither_lost_nor_sent_anew(
    open_store: Callable[[], Store], tmp_path: Path
) -> None:
    store = open_store()
    (done, waiting) = fill(store, 2, answered=lambda minute: minute == 0)
    store.close()
    destroy(tmp_path / "records.db", 1)
    again = open_store()
    ids = again.call(outbox.enqueue, [Due("city", "ww1", "2051", NOON + n * MINUTE_MS) for n in (0, 1)], NOON).result(5)
    mend(again)
    (counts,) = again.call(outbox.counts).result(5)
    assert (counts.sent, counts.answered, counts.lost) == (2, 1, 0)
    (found,) = again.call(outbox.open_deliveries, "city", "ww1").result(5)
    assert (found.start, found.id in ids) == (NOON + MINUTE_MS, False)
    none_new = lambda found, _: pytest.fail("a new packet")  # noqa: E731  # one use
    (packet,) = again.call(outbox.prepare, found.id, none_new, lambda packet: True, NOON).result(5)
    assert packet.qn == waiting > done


def test_deliveries_that_cannot_be_read_are_counted_as_lost(open_store: Callable[[], Store], tmp_path: Path) -> None:
    store = open_store()
    fill(store, 60)
    store.close()
    path = tmp_path / "records.db"
    with PageFile(path, 1024) as pages:
        page = next(iter(pages.walk(pages.roots()["delivery"])))
        gone = len(pages.rows(page))
    destroy(path, page.number)
    destroy(path, 1)
    again = open_store()
    mend(again)
    (counts,) = again.call(outbox.counts).result(5)
    assert counts.lost == gone > 0
    # their packets are never taken for those of another delivery
    (new,) = again.call(outbox.enqueue, [Due("city", "ww1", "2051", NOON + DAY_MS)], NOON).result(5)
    assert again.call(outbox.first_issue, new).result(5) == []


def test_a_damaged_page_that_is_met_while_running_costs_one_job_and_no_start(
    open_store: Callable[[], Store], tmp_path: Path, events: Events
) -> None:
    store = open_store()
    fill(store, 200)
    store.close()
    bad = page_of(tmp_path / "records.db", "record", 2)
    again = open_store()
    destroy(tmp_path / "records.db", bad)
    assert events == []
    everything = lambda db: db.execute("SELECT sum(avg) FROM record").fetchone()  # noqa: E731  # one use
    with pytest.raises(StoreFailed):
        again.call(everything).result(5)
    again.call(meta.put, "goes on", 1).result(5)
    mend(again)
    assert events[0][0] == "store.damaged"
    found = again.call(lambda db: db.execute("SELECT count(*) FROM record").fetchone()).result(5)
    assert 160 < found[0] < 200
    assert len(again.call(outbox.open_deliveries, "city", "ww1", 100).result(5)) == 100


def test_damage_is_found_by_reading_through_before_anybody_needs_the_page(
    open_store: Callable[[], Store], tmp_path: Path, events: Events
) -> None:
    store = open_store()
    fill(store, 100)
    store.close()
    bad = page_of(tmp_path / "records.db", "frame", 3)
    again = open_store()
    destroy(tmp_path / "records.db", bad)

    async def idle() -> None:
        for _ in range(60):
            await again.mend()

    asyncio.run(idle())
    assert [code for code, _ in events] == ["store.damaged", "store.salvaged"]


class Impatient(SimulatedClock):
    """A clock that goes on with every look: a slice has a few pieces."""

    def __init__(self) -> None:
        super().__init__(NOON, 0.0)
        self.looks = 0

    def mono_s(self) -> float:
        self.looks += 1
        return self.looks / 100


def test_a_salvage_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path, retention=Retention(), on_event=lambda *_: None, clock=SimulatedClock(NOON, 0.0))
    qns = fill(store, 300)
    store.close()
    destroy(tmp_path / "records.db", 1)
    crashed, rounds = tmp_path, 0
    while True:
        rounds += 1
        events: Events = []
        told = lambda code, params, events=events: events.append((code, params))  # noqa: E731  # one use
        store = Store(crashed, retention=Retention(), on_event=told, clock=Impatient())
        for _ in range(3):
            asyncio.run(store.mend())
        following = tmp_path / f"round{rounds}"  # what a kill leaves: the files as they are, in the middle
        following.mkdir()
        for path in crashed.iterdir():
            if path.is_file():
                shutil.copyfile(path, following / path.name)
        store.close()
        if "store.salvaged" in [code for code, _ in events]:
            break
        crashed = following
    assert rounds > 3
    last = Store(following, retention=Retention(), on_event=lambda *_: None, clock=SimulatedClock(NOON, 0.0))
    rows = last.call(lambda db: db.execute("SELECT count(*) FROM record").fetchone()[0]).result(5)
    packets = last.call(lambda db: [row[0] for row in db.execute("SELECT qn FROM packet ORDER BY qn")]).result(5)
    assert (rows, packets) == (300, [int(qn) for qn in qns])
    assert [one.lost for one in last.call(outbox.counts).result(5)] == [0]
    last.close()


def test_a_journal_with_a_lost_page_goes_on_and_never_says_that_it_is_whole(
    open_store: Callable[[], Store], tmp_path: Path
) -> None:
    store = open_store()
    for number in range(60):
        store.call(journal.append, "user:a", "config.apply", {"number": number}, NOON).result(5)
    store.close()
    path = tmp_path / "records.db"
    with PageFile(path, 1024) as pages:
        middle = list(pages.walk(pages.roots()["journal"]))[2]
        lost = [row[0] for row in pages.rows(middle)]
    destroy(path, middle.number)
    destroy(path, 1)
    again = open_store()
    mend(again)
    again.call(journal.append, "user:a", "config.apply", {"number": 60}, NOON).result(5)
    verdict = again.call(journal.verify).result(5)
    assert (verdict.ok, verdict.first_bad, verdict.gaps) == (False, lost[0], ((lost[0], lost[-1]),))
    told = again.call(journal.entries, 10).result(5)
    said = next(entry for entry in told if entry.action == "store.salvaged")
    assert said.detail["tables"]["journal"]["bad_pages"] == 1


def test_entries_that_are_cut_off_leave_a_gap_behind_which_the_journal_goes_on(db: sqlite3.Connection) -> None:
    for _ in range(5):
        journal.append(db, "a", "b", {}, NOON)
    db.execute("DROP TRIGGER journal_no_delete")
    db.execute("DELETE FROM journal WHERE id > 3")
    assert journal.append(db, "a", "b", {}, NOON) == 6
    verdict = journal.verify(db)
    assert (verdict.ok, verdict.first_bad, verdict.gaps) == (False, 4, ((4, 5),))


@pytest.mark.parametrize("with_sums", [True, False])
def test_a_page_with_one_bad_row_gives_only_the_records_that_prove_themselves(
    open_store: Callable[[], Store], tmp_path: Path, with_sums: bool
) -> None:
    store = open_store()
    fill(store, 60)
    if not with_sums:
        store.call(lambda db: db.execute("UPDATE record SET check_sum = NULL").rowcount).result(5)
    store.close()
    path = tmp_path / "records.db"
    with PageFile(path, 1024) as pages:
        # the cells of a page are laid down from its end: this is the first row; all others are as they were
        page = list(pages.walk(pages.roots()["record"]))[2]
        assert page.cells is not None
        cell = min(page.cells)
        gone = {values[0] for _, values in pages.rows(replace(page, cells=(cell,)) if with_sums else page)}
    with path.open("r+b") as file:
        file.seek((page.number - 1) * 1024 + cell)
        file.write(b"\xff" * 24)
    destroy(path, 1)
    again = open_store()
    mend(again)
    kept = again.call(records.between, "ww1", Kind.MINUTE, NOON, NOON + DAY_MS, 100).result(5)
    assert {one.start for one in kept} == {NOON + number * MINUTE_MS for number in range(60)} - gone


def test_retention_deletes_nothing_before_all_is_salvaged(open_store: Callable[[], Store], tmp_path: Path) -> None:
    store = open_store()
    fill(store, 20)
    store.close()
    destroy(tmp_path / "records.db", 1)
    again = open_store()
    far = NOON + 3_000 * DAY_MS
    assert asyncio.run(again.sweep(far)) is False
    assert salvage.load(again._records.db, "records.db.damaged-20260922120000") is not None
    mend(again)
    assert again.call(records.span).result(5) == (NOON, NOON + 19 * MINUTE_MS)


def test_the_newest_program_reads_what_every_earlier_one_wrote(tmp_path: Path) -> None:
    """A damaged file of any version: its rows get the defaults of the columns that came later."""
    for version in range(1, migrate.newest("records") + 1):
        folder = tmp_path / f"v{version}"
        folder.mkdir()
        db = sqlite3.connect(folder / RECORDS.file, isolation_level=None)
        db.execute("PRAGMA page_size = 1024")
        for number, statements in migrate.scripts("records"):
            for statement in statements if number <= version else ():
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {version}")
        db.execute("INSERT INTO name VALUES (1, 'ww1'), (2, 'w01018')")
        db.execute(
            "INSERT INTO record (start, kind, outlet, factor, revision, avg, count, mark)"
            " VALUES (?, 1, 1, 2, 0, 4.5, 12, 'N')",
            (NOON,),
        )
        db.close()
        with (folder / RECORDS.file).open("r+b") as file:
            file.write(b"rubbish")
        store = Store(folder, retention=Retention(), on_event=lambda *_: None, clock=SimulatedClock(NOON, 0.0))
        mend(store)
        page = store.call(records.between, "ww1", Kind.MINUTE, NOON, NOON, 5).result(5)
        assert [(one.avg, one.mark, one.total) for one in page] == [(4.5, "N", None)]
        store.close()


def opened(folder: Path) -> Store:
    return Store(folder, retention=Retention(), on_event=lambda code, params: None)


def test_a_second_file_of_the_same_name_from_elsewhere_is_salvaged_as_well(tmp_path: Path) -> None:
    for card, factor in (("one", "w01018"), ("two", "w21003")):
        with closing(opened(tmp_path / card)) as store:
            sealed = [Record("ww1", Kind.HOUR, factor, NOON, avg=1.0, count=60)]
            store.call(records.seal, sealed, [], NOON).result(5)
    opened(tmp_path / "data").close()
    for card in ("one", "two"):
        checkup.recover(tmp_path / "data", tmp_path / card / "records.db", NOON, lambda state: None)
    with closing(opened(tmp_path / "data")) as store:
        found = store.call(records.between, "ww1", Kind.HOUR, 0, NOON, 10).result(5)
    assert sorted(record.factor for record in found) == ["w01018", "w21003"]


def test_a_store_is_not_salvaged_into_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(tmp_path).close()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreClosed, match=r"store\.is_own"):
        checkup.recover(tmp_path, Path("records.db"), NOON, lambda state: None)
