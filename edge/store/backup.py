"""A backup of `data_dir` while the daemon works, and putting one back while it does not.

    TARGET/hj212-backup-20261126-120000/   records.db  samples.db  connection.jsonl  site.toml  manifest.json

SQLite's online backup reads one snapshot: the daemon writes on meanwhile. A backup is made under another name and
renamed when all of it is on disk; `manifest.json` holds size and SHA-256 of each file. Putting one back moves what is
there aside, keeps the evidence of the official connection time, and never lets a QN or a sealed label come twice.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.site import Retention
from edge.store import database, errors, journal, migrate, newer
from edge.store.store import take_lock
from protocol.times import parse_time, time_text

PREFIX, PARTIAL = "hj212-backup-", ".partial"
MANIFEST = "manifest.json"
EVIDENCE = "connection.jsonl"
SITE = "site.toml"
FIRST_S = 60.0
_PAGES = 2_000
"""Pages between two looks at the progress."""

_OWN = 0o600
"""Packets hold passwords: nobody else may read them, from the first byte on."""
_NAME = re.compile(PREFIX + r"\d{8}-\d{6}")

Progress = Callable[[str, float], None]
"""Name of the file, and the share of it that is done."""


def _silent(file: str, share: float) -> None:
    """Nobody looks."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did: `aside`, where the former files are; `evidence`: lines that only the backup had."""

    aside: str | None
    evidence: int


def make(data_dir: Path, site: Path, target: Path, now_ms: int, progress: Progress = _silent) -> Path:
    """A new backup below `target`; its folder. Raises StoreClosed, StoreFailed, OSError; leaves nothing half done."""
    stamp = time_text(now_ms)
    folder = target / f"{PREFIX}{stamp[:8]}-{stamp[8:]}"
    partial = folder.with_name(folder.name + PARTIAL)
    partial.mkdir()
    try:
        for layout in (database.RECORDS, database.SAMPLES):
            _copy_database(data_dir / layout.file, partial / layout.file, progress)
        for source in (data_dir / EVIDENCE, site):
            if source.exists():
                _copy(source, partial / (SITE if source == site else EVIDENCE))
        _write(partial / MANIFEST, json.dumps(_manifest(partial, stamp), indent=1).encode() + b"\n")
        database.sync_folder(partial)
        partial.rename(folder)
        database.sync_folder(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return folder


def backups(target: Path) -> list[Path]:
    """The whole backups below a folder, oldest first."""
    found = target.iterdir() if target.is_dir() else ()
    return sorted(each for each in found if _NAME.fullmatch(each.name) and (each / MANIFEST).is_file())


def thin_out(target: Path, keep: int, made: Path | None = None) -> list[Path]:
    """Delete the oldest backups beyond `keep`, and what an interrupted one has left; the backups that went.

    `made`: just now, the newest whatever the clock said when others were made.
    """
    there = sorted(backups(target), key=lambda each: each == made)
    old, stay = (there[:-keep], there[-keep:]) if keep else ([], there)
    for each in old:  # under another name first: half deleted it must not pass for a backup
        each.rename(each.with_name(each.name + PARTIAL))
    if old:
        database.sync_folder(target)
    for each in target.glob(f"{PREFIX}*{PARTIAL}"):
        if stay and each.name < stay[0].name:  # a newer one may be under way
            shutil.rmtree(each)
    return old


def check(folder: Path) -> dict[str, Any]:
    """The manifest of a backup whose files are all as they were written; raises StoreError."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
        files = {str(name): dict(what) for name, what in manifest["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise errors.StoreClosed("store.no_backup", folder=str(folder), reason=str(error)) from error
    for name, what in files.items():
        path = folder / name
        if Path(name).name != name or not path.is_file() or _file_entry(path) != what:
            raise errors.StoreClosed("store.backup_damaged", folder=str(folder), file=name)
    for layout in (database.RECORDS, database.SAMPLES):
        _check_version(folder / layout.file, layout)
    return manifest


def restore(folder: Path, data_dir: Path, now_ms: int, who: str) -> Restored:
    """Put a backup in the place of what is in `data_dir`; `who` orders it, for the journal.

    Raises StoreLocked while a daemon works there, StoreError, OSError; what was there stays where the new has no room.
    """
    made = check(folder)["made"]
    data_dir.mkdir(parents=True, exist_ok=True)
    lock = take_lock(data_dir)
    new = [(folder / layout.file, data_dir / f"{layout.file}.restored") for layout in _LAYOUTS]
    try:
        for source, place in new:
            _remove(place)
            _copy(source, place)
        note = {"backup": folder.name, "made": made}
        _go_on(new[0][1], data_dir / database.RECORDS.file, now_ms, (who, "store.restored", note))
        aside = _move_aside(data_dir, now_ms)
        for source, place in new:
            _give_to_owner(place, data_dir)
            os.replace(place, data_dir / source.name)
        evidence = _join_evidence(folder / EVIDENCE, data_dir / EVIDENCE)
        database.sync_folder(data_dir)
    finally:
        for _, place in new:
            _remove(place)
        os.close(lock)
    return Restored(aside, evidence)


@dataclass(frozen=True, slots=True)
class Backups:
    """The backups that the daemon makes by itself."""

    data_dir: Path
    site: Path
    plan: Retention

    @property
    def target(self) -> Path:
        """The folder that they go to."""
        return Path(self.plan.backup_to or "")

    def wait_s(self, now_ms: int) -> float:
        """Seconds until the next one is due: `backup_every` after the newest; FIRST_S at least, to let a start pass."""
        made = [parse_time(each.name.removeprefix(PREFIX).replace("-", "")) for each in backups(self.target)]
        due_ms = max(made) + self.plan.backup_every - now_ms if made else 0
        return min(max(due_ms / 1000, FIRST_S), self.plan.backup_every / 1000)

    def make(self, now_ms: int) -> Path:
        """One more, and the oldest beyond `backup_keep` go; blocks."""
        folder = make(self.data_dir, self.site, self.target, now_ms)
        thin_out(self.target, self.plan.backup_keep, folder)
        return folder


_LAYOUTS = (database.RECORDS, database.SAMPLES)


def _copy_database(source: Path, target: Path, progress: Progress) -> None:
    reader = database.read_only(source)
    try:
        # one snapshot to the end: without it each write of the daemon would begin the copy anew
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
        target.touch(mode=_OWN)
        writer = sqlite3.connect(target, isolation_level=None)
        try:
            writer.execute("PRAGMA synchronous = OFF")  # synced once, below
            reader.backup(
                writer,
                pages=_PAGES,
                progress=lambda _status, left, total: progress(source.name, 1 - left / max(total, 1)),
            )
        finally:
            writer.close()
    except sqlite3.Error as error:
        if errors.primary_code(error) == errors.FULL:  # of the backup's disk, not of the logger's
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target)) from error
        raise errors.failure(error, target.name) from error
    finally:
        reader.close()
    _sync(target)


def _copy(source: Path, target: Path) -> None:
    target.touch(mode=_OWN)
    shutil.copyfile(source, target)
    _sync(target)


def _write(path: Path, data: bytes) -> None:
    path.touch(mode=_OWN)
    path.write_bytes(data)
    _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _manifest(folder: Path, stamp: str) -> dict[str, Any]:
    return {"made": stamp, "files": {path.name: _file_entry(path) for path in sorted(folder.iterdir())}}


def _file_entry(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _check_version(path: Path, layout: database.Layout) -> None:
    db = database.read_only(path, unchanging=True)
    try:
        found, known = migrate.version(db), migrate.newest(layout.migrations)
    finally:
        db.close()
    if found > known:
        raise errors.StoreNewer("store.newer", file=str(path), found=found, known=known)


def _give_to_owner(path: Path, folder: Path) -> None:
    """What root puts back is the daemon's, as the folder is."""
    owner = folder.stat()
    if os.geteuid() == 0:
        os.chown(path, owner.st_uid, owner.st_gid)


def _move_aside(data_dir: Path, now_ms: int) -> str | None:
    names = [f"{layout.file}{end}" for layout in _LAYOUTS for end in ("-wal", "-shm", "")]
    there = [data_dir / name for name in names if (data_dir / name).exists()]
    if not there:
        return None
    folder = data_dir / f"before-restore-{time_text(now_ms)}"
    folder.mkdir()
    for path in there:
        os.replace(path, folder / path.name)
    database.sync_folder(folder)
    return folder.name


def _join_evidence(source: Path, target: Path) -> int:
    """Lines that only the backup has go behind those that are there: evidence is never lost."""
    present = target.read_bytes().splitlines() if target.exists() else []
    known = set(present)
    missing = [line for line in (source.read_bytes().splitlines() if source.exists() else []) if line not in known]
    if missing:
        new = target.with_name(f"{target.name}.restored")
        _write(new, b"".join(line + b"\n" for line in (*present, *missing)))
        _give_to_owner(new, target.parent)
        os.replace(new, target)
    return len(missing)


def _remove(path: Path) -> None:
    """A file that is not put in its place, and what SQLite has beside it."""
    for end in ("-wal", "-shm", ""):
        path.with_name(path.name + end).unlink(missing_ok=True)


def _go_on(place: Path, replaced: Path, now_ms: int, entry: tuple[str, str, dict[str, Any]]) -> None:
    """A restored store says nothing twice: no QN, and no period half of which it has and that was sent as a whole."""
    db = sqlite3.connect(place, isolation_level=None)
    try:
        db.execute("PRAGMA synchronous = FULL")
        migrate.migrate(db, database.RECORDS.migrations)  # an older backup must take what this program has written
        db.execute("BEGIN")
        newer.carry_on(db, replaced, now_ms)
        journal.append(db, *entry, now_ms)
        db.execute("COMMIT")
    except sqlite3.Error as error:
        raise errors.failure(error, place.name) from error
    finally:
        db.close()
