"""Backups: made from a store that is being written, whole or refused, put back without losing evidence or QNs."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from storekit import NOON

from config.site import Retention
from edge.catalogue import use_language
from edge.cli.care import backup as backup_verb
from edge.cli.care import restore as restore_verb
from edge.store import backup, checkup, journal, migrate, outbox, records
from edge.store.errors import StoreClosed, StoreLocked, StoreNewer
from edge.store.store import Store
from edge.values import MINUTE_MS, Kind, Record

Opener = Callable[[], Store]


def minute(number: int) -> Record:
    return Record("ww1", Kind.MINUTE, "w01018", NOON + number * MINUTE_MS, avg=float(number), count=12)


def seal(store: Store, number: int) -> None:
    due = outbox.Due("city", "ww1", "2051", NOON + number * MINUTE_MS)
    store.call(records.seal, [minute(number)], [due], NOON + number * MINUTE_MS).result(5)


def stored(folder: Path) -> list[int]:
    db = sqlite3.connect(f"file:{folder / 'records.db'}?mode=ro", uri=True)
    try:
        numbers = [int(row[0]) for row in db.execute("SELECT avg FROM record ORDER BY start")]
        deliveries = db.execute("SELECT count(*) FROM delivery").fetchone()[0]
    finally:
        db.close()
    assert deliveries == len(numbers)  # a record and its delivery are one transaction
    return numbers


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(f'[site]\nname = "x"\nlanguage = "en"\ndata_dir = "{tmp_path}"\n', encoding="utf-8")
    return path


def test_a_backup_of_a_store_that_is_written_meanwhile_is_one_moment_of_it(store: Store, site: Path) -> None:
    seal(store, 0)
    stop, number = threading.Event(), 1

    def write_on() -> None:
        nonlocal number
        while not stop.is_set():
            seal(store, number)
            number += 1

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        made = [backup.make(site.parent, site, site.parent, NOON + second * 1000) for second in range(5)]
    finally:
        stop.set()
        writer.join()
    counts = [len(stored(folder)) for folder in made]
    for folder, count in zip(made, counts, strict=True):
        assert stored(folder) == list(range(count))
        assert (folder / "site.toml").read_bytes() == site.read_bytes()
        backup.check(folder)
    assert counts == sorted(counts)
    assert stored(site.parent) == list(range(number))  # and nothing was held up or lost


def test_looking_at_a_backup_leaves_nothing_in_it(store: Store, site: Path) -> None:
    seal(store, 0)
    folder = backup.make(site.parent, site, site.parent, NOON)
    backup.check(folder)
    assert {path.name for path in folder.iterdir()} == {"manifest.json", "records.db", "samples.db", "site.toml"}


@pytest.mark.parametrize("how", ["changed", "cut", "gone", "no manifest", "bad manifest", "outside"])
def test_a_backup_that_is_not_whole_is_refused_by_name(store: Store, site: Path, how: str) -> None:
    seal(store, 0)
    folder = backup.make(site.parent, site, site.parent, NOON)
    file, manifest = folder / "records.db", folder / "manifest.json"
    data = file.read_bytes()
    match how:
        case "changed":
            file.write_bytes(data[:5000] + b"x" + data[5001:])
        case "cut":
            file.write_bytes(data[:-1])
        case "gone":
            file.unlink()
        case "no manifest":
            manifest.unlink()
        case "bad manifest":
            manifest.write_text("{}")
        case "outside":
            manifest.write_text(json.dumps({"made": "x", "files": {"../site.toml": {}}}))
    with pytest.raises(StoreClosed):
        backup.check(folder)


def test_a_failed_backup_leaves_nothing_behind(tmp_path: Path, site: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(StoreClosed):
        backup.make(tmp_path / "nothing there", site, target, NOON)
    assert list(target.iterdir()) == []


def test_the_oldest_backups_go_and_nothing_else(store: Store, site: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    (target / "holiday").mkdir(parents=True)
    plan = backup.Backups(site.parent, site, Retention(backup_to=str(target), backup_keep=2))
    assert plan.wait_s(NOON) == backup.FIRST_S
    made = [plan.make(NOON + hour * 3_600_000) for hour in range(4)]
    assert backup.backups(target) == made[2:]
    assert (target / "holiday").exists()
    assert plan.wait_s(NOON + 4 * 3_600_000) == 23 * 3600  # a day after the newest, also after a restart


def test_what_is_backed_up_and_put_back_is_readable_by_the_daemon_and_nobody_else(
    open_store: Opener, site: Path, tmp_path: Path
) -> None:
    store = open_store()
    seal(store, 0)
    (tmp_path / "connection.jsonl").write_text("evidence\n")
    folder = backup.make(tmp_path, site, tmp_path, NOON)
    store.close()
    new = tmp_path / "new"
    new.mkdir()
    if os.geteuid() == 0:
        os.chown(new, 65_534, 65_534)
    backup.restore(folder, new, NOON, "user:x")
    there = {path.name: path.stat() for path in new.iterdir()}
    assert {stat.st_uid for stat in there.values()} == {new.stat().st_uid}
    secret = [*(path.stat() for path in folder.iterdir()), *(stat for name, stat in there.items() if name != "lock")]
    assert {stat.st_mode & 0o077 for stat in secret} == {0}


def test_backups_of_a_clock_that_was_ahead_do_not_push_out_the_one_just_made(
    store: Store, site: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.mkdir()
    plan = backup.Backups(site.parent, site, Retention(backup_to=str(target), backup_keep=2))
    for year in range(2):
        plan.make(NOON + (10 + year) * 366 * 86_400_000)
    assert plan.make(NOON) in backup.backups(target)
    assert len(backup.backups(target)) == 2


def test_a_backup_that_was_half_deleted_when_the_power_went_is_no_backup_and_goes_later(
    store: Store, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "backups"
    target.mkdir()
    first, second = (backup.make(tmp_path, site, target, NOON + number * 1000) for number in range(2))

    def power_goes(folder: Path) -> None:
        (folder / "records.db").unlink()
        raise OSError("no power")

    with monkeypatch.context() as patched:
        patched.setattr(backup.shutil, "rmtree", power_goes)
        with pytest.raises(OSError, match="no power"):
            backup.thin_out(target, 1)
    assert backup.backups(target) == [second]
    under_way = target / f"{first.name[:-1]}9{backup.PARTIAL}"
    under_way.mkdir()
    assert backup.thin_out(target, 1) == []
    assert sorted(target.iterdir()) == [second, under_way]


def test_restoring_puts_all_back_and_keeps_what_was_there(open_store: Opener, site: Path, tmp_path: Path) -> None:
    store = open_store()
    seal(store, 0)
    store.call(journal.append, "technician", "config.set", {}, NOON).result(5)
    folder = backup.make(tmp_path, site, tmp_path, NOON)
    seal(store, 1)
    later = store.call(outbox.qn_for, NOON + 50_000).result(5)
    with pytest.raises(StoreLocked):
        backup.restore(folder, tmp_path, NOON, "user:x")
    assert stored(tmp_path) == [0, 1]
    store.close()
    (folder / "connection.jsonl").write_text("backup only\nboth\n")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"].pop("connection.jsonl", None)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "connection.jsonl").write_text("ours\nboth\n")
    done = backup.restore(folder, tmp_path, NOON, "user:x")
    assert done.aside is not None
    assert stored(tmp_path / done.aside) == [0, 1]
    assert (tmp_path / "connection.jsonl").read_text() == "ours\nboth\nbackup only\n"
    again = open_store()
    assert again.call(outbox.qn_for, NOON).result(5) > later  # no QN comes twice
    assert again.call(journal.verify).result(5).ok
    last = again.call(journal.entries, 1).result(5)[0]
    assert (last.who, last.action, last.detail["backup"]) == ("user:x", "store.restored", folder.name)
    # what was sealed since is known, so that it is not computed again; it is not sent again either
    assert again.call(records.labels, "ww1", Kind.MINUTE, 0, 2 * NOON).result(5) == [NOON, NOON + 60_000]
    assert [row.count for row in again.call(outbox.depth).result(5)] == [1]
    again.close()
    checkup.recover(tmp_path, tmp_path / done.aside / "records.db", NOON, lambda state: None)
    merged = open_store()  # what waited comes back with it
    assert [row.count for row in merged.call(outbox.depth).result(5)] == [2]
    assert [row.lost for row in merged.call(outbox.counts).result(5)] == [0]


def test_a_backup_that_there_is_no_room_for_leaves_all_as_it_was(
    open_store: Opener, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    seal(store, 0)
    target = tmp_path / "usb"
    target.mkdir()
    folder = backup.make(tmp_path, site, target, NOON)
    seal(store, 1)
    store.close()
    before = {path.name for path in tmp_path.iterdir()}
    copy = backup._copy

    def full(source: Path, place: Path) -> None:
        copy(source, place)
        if place.name.startswith("samples"):
            raise OSError(28, "No space left on device", str(place))

    monkeypatch.setattr(backup, "_copy", full)
    with pytest.raises(OSError, match="No space"):
        backup.restore(folder, tmp_path, NOON, "user:x")
    assert {path.name for path in tmp_path.iterdir()} == before
    assert stored(tmp_path) == [0, 1]


def test_a_backup_of_an_older_program_takes_over_what_was_sealed_since(
    open_store: Opener, site: Path, tmp_path: Path
) -> None:
    store = open_store()
    seal(store, 0)
    folder = backup.make(tmp_path, site, tmp_path, NOON)
    store.close()
    file, manifest = folder / "records.db", folder / "manifest.json"
    file.unlink()
    db = sqlite3.connect(file, isolation_level=None)
    for statement in migrate.scripts("records")[0][1]:
        db.execute(statement)
    db.execute("PRAGMA user_version = 1")
    db.close()
    files = json.loads(manifest.read_text())["files"]
    manifest.write_text(json.dumps({"made": "x", "files": files | {"records.db": backup._file_entry(file)}}))
    backup.restore(folder, tmp_path, NOON, "user:x")
    assert open_store().call(records.labels, "ww1", Kind.MINUTE, 0, 2 * NOON).result(5) == [NOON]


def test_a_damaged_store_is_replaced_all_the_same(open_store: Opener, site: Path, tmp_path: Path) -> None:
    store = open_store()
    seal(store, 0)
    folder = backup.make(tmp_path, site, tmp_path, NOON)
    store.close()
    size = (tmp_path / "records.db").stat().st_size
    with (tmp_path / "records.db").open("r+b") as file:
        file.seek(1024)
        file.write(b"\xff" * (size - 1024))
    backup.restore(folder, tmp_path, NOON, "user:x")
    assert stored(tmp_path) == [0]


def test_a_backup_of_a_newer_program_is_not_put_back(store: Store, site: Path, tmp_path: Path) -> None:
    folder = backup.make(tmp_path, site, tmp_path, NOON)
    db = sqlite3.connect(folder / "records.db", isolation_level=None)
    db.execute("PRAGMA user_version = 9999")
    db.close()
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"]["records.db"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StoreNewer):
        backup.check(folder)


def test_backup_and_restore_from_the_command_line(open_store: Opener, site: Path, tmp_path: Path) -> None:
    store = open_store()
    seal(store, 0)
    target = tmp_path / "usb"
    made = CliRunner().invoke(backup_verb, [str(target), "--json", "-c", str(site)])
    assert made.exit_code == 0, made.output
    folder = json.loads(made.stdout)["folder"]
    refused = CliRunner().invoke(restore_verb, [folder, "-c", str(site)])
    assert (refused.exit_code, str(tmp_path) in refused.output) == (2, True)
    store.close()
    checked = CliRunner().invoke(restore_verb, [folder, "--check", "-c", str(site)])
    assert (checked.exit_code, "is whole" in checked.output) == (0, True)
    done = CliRunner().invoke(restore_verb, [folder, "-c", str(site)])
    assert (done.exit_code, "before-restore-" in done.output) == (0, True)
    (Path(folder) / "samples.db").write_bytes(b"")
    damaged = CliRunner().invoke(restore_verb, [folder, "-c", str(site)])
    use_language(None)
    assert (damaged.exit_code, "samples.db" in damaged.output) == (1, True)
