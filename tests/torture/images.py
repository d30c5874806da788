"""A traced daemon's disk at every cut: what each could have left, opened by the store itself, and what it must say.

    Tape (files before, events) ─▶ cuts ─▶ Image on a RAM disk ─▶ Store(…) ─▶ digest of all rows

records.db must say exactly what it said after the last commit that the daemon knows of, or after the one that was under
way; and hold, byte for byte, every packet that had begun to leave. samples.db may fall back, to what it said at
some time. Nothing may be found damaged, nothing may keep the store from opening.
"""

from __future__ import annotations

import random
import re
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config.site import Retention
from edge.clock import SimulatedClock
from edge.store import backup, connection, errors
from edge.store.store import Store
from protocol.times import parse_time
from tests.torture.digest import digest
from tests.torture.disk import WAYS, Disk, Survivor, Way
from tests.torture.oracle import Findings
from tests.torture.trace import Committed, Event, Sent

RECORDS, SAMPLES = "records.db", "samples.db"
NEWEST_SENT = 3
"""So many packets are looked for on every image, all of them on one in `ALL_SENT`."""
ALL_SENT = 50
INTEGRITY = 20
"""SQLite checks one image in so many whole; the digest has read every row of each."""
TRIES = 4
"""Draws for a new image at a place where the last one was an image already seen."""
KEPT_MS = 20 * 3_600_000
"""Younger packets are never swept."""
_DATA_TIME = re.compile(rb"DataTime=(\d{14})")
_HARMLESS = {"store.evidence_bad_line"}
"""A torn line of connection.jsonl is told, and the receipt written again."""


@dataclass(frozen=True, slots=True)
class Tape:
    """What one logger did below `root`: what was on the disk before, and all since."""

    name: str
    root: Path
    files: dict[str, bytes]
    events: Sequence[Event]
    now_ms: int


@dataclass(slots=True)
class Promise:
    """What the daemon had told the world when the power went."""

    said: dict[str, list[str]]
    """File → digests in order; the first is what it said before."""
    known: dict[str, int]
    """File → how many of them the daemon knows to be on disk."""
    sent: list[Sent] = field(default_factory=list)

    def allows(self, file: str, digest_found: str) -> bool:
        """Whether a file may say this now."""
        last = self.known[file]
        allowed = self.said[file][: last + 1] if file == SAMPLES else self.said[file][last - 1 : last + 1]
        return digest_found in allowed


@dataclass(frozen=True, slots=True)
class Cut:
    """A disk that the cut before event `place` could have left, and what was promised by then."""

    tape: Tape
    place: int
    way: str
    survivors: Sequence[Survivor]
    promise: Promise

    @property
    def text(self) -> str:
        """What is needed to find it again."""
        pending = {each.path.rpartition("/")[2]: len(each.inode.pending) for each in self.survivors}
        return f"{self.tape.name}, event {self.place} of {len(self.tape.events)}, {self.way}, pending {pending}"


def ram_folder() -> Path:
    """A new folder, in memory where there is such a disk."""
    shared = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="hj212-torture-", dir=shared if shared.is_dir() else None))


def cuts(tape: Tape, quota: int, chance: random.Random, base: dict[str, str]) -> Iterator[Cut]:
    """`quota` different disks, spread over all events; fewer where there are not so many."""
    seen: set[int] = set()
    while quota > 0:
        before = quota
        for cut in _one_pass(tape, quota, chance, base, seen):
            yield cut
            quota -= 1
        if before == quota:
            return


def _one_pass(tape: Tape, quota: int, chance: random.Random, base: dict[str, str], seen: set[int]) -> Iterator[Cut]:
    disk, promise = Disk(tape.files), promised(tape, base)
    share, owed, given = quota / len(tape.events), 0.0, 0
    for place, event in enumerate(tape.events, 1):
        match event:
            case Committed(file=file):
                promise.known[file] += 1
            case Sent():
                if not _soon_swept(event, tape.now_ms):
                    promise.sent.append(event)
            case _:
                disk.apply(event)
        owed += share
        for _ in range(TRIES * (int(owed) + 1)):
            if owed < 1 or given == quota:
                break
            way, survivors = draw(disk, chance)
            key = hash((tuple(each.key for each in survivors), *promise.known.values(), len(promise.sent)))
            if key not in seen:
                seen.add(key)
                owed, given = owed - 1, given + 1
                yield Cut(tape, place, way, survivors, promise)


def _soon_swept(sent: Sent, now_ms: int) -> bool:
    """Data of a day ago are delivered and, where they are kept for a day only, swept in one breath."""
    found = _DATA_TIME.search(sent.data)
    return found is not None and parse_time(found[1].decode()) < now_ms - KEPT_MS


def promised(tape: Tape, base: dict[str, str]) -> Promise:
    """Before the first event."""
    said = {file: [base[file]] for file in (RECORDS, SAMPLES)}
    for event in tape.events:
        if isinstance(event, Committed):
            said[event.file].append(event.digest)
    return Promise(said, dict.fromkeys(said, 1))


def draw(disk: Disk, chance: random.Random) -> tuple[str, list[Survivor]]:
    """One way for all files, or each its own; the names before, after, or in between."""
    mixed = chance.random() < 0.5
    one: Way = chance.choice(WAYS)
    ways: dict[str, Way] = {path: chance.choice(WAYS) if mixed else one for path in sorted(disk.names)}
    names = chance.choice((None, 0, chance.randint(0, disk.pending_names)))
    survivors = disk.survivors(lambda path: ways.get(path, one), names, chance)
    text = ", ".join(f"{path.rpartition('/')[2]} {way}" for path, way in ways.items()) if mixed else one
    return f"{text}; names {'all' if names is None else names} of {disk.pending_names}", survivors


@dataclass(slots=True)
class Opener:
    """Puts images on the RAM disk and opens them as the daemon does."""

    folder: Path
    count: int = 0
    ways: Counter[str] = field(default_factory=Counter)

    def put(self, root: Path, survivors: Iterable[Survivor], target: Path) -> None:
        """The files of an image below `target`."""
        shutil.rmtree(target, ignore_errors=True)
        (target / "data").mkdir(parents=True)
        for each in survivors:
            path = target / Path(each.path).relative_to(root)
            if not path.parent.is_dir():
                path.parent.mkdir(parents=True)
            path.write_bytes(each.content())

    def base(self, tape: Tape) -> dict[str, str]:
        """What the files before say once they are opened."""
        self.put(tape.root, Disk(tape.files).survivors(lambda _: "kept", None, random.Random(0)), self.folder)
        store = self._open(tape.now_ms, [])
        try:
            return {RECORDS: store.call(digest).result(30), SAMPLES: store.call_samples(digest).result(30)}
        finally:
            store.close()

    def check(self, cut: Cut) -> tuple[Findings, list[str]]:
        """What is lost or corrupt on an image, and what refused."""
        self.put(cut.tape.root, cut.survivors, self.folder)
        self.count += 1
        found, told = Findings(), list[tuple[str, dict[str, Any]]]()
        try:
            store = self._open(cut.tape.now_ms, told)
        except (errors.StoreError, sqlite3.Error, OSError) as error:
            return found, [f"does not open: {error!r}"]
        try:
            looked, said = store.call(self._look, cut.promise), store.call_samples(digest)
            found.lost, samples = looked.result(30), said.result(30)
        except (errors.StoreError, sqlite3.Error) as error:
            return found, [f"opens and does not work: {error!r}"]
        finally:
            store.close()
        if not cut.promise.allows(SAMPLES, samples):
            found.corrupt.append("samples.db says what it never said")
        found.corrupt += [f"{code} {params}" for code, params in told if code not in _HARMLESS]
        found.corrupt += self._backups()
        return found, []

    def _open(self, now_ms: int, told: list[tuple[str, dict[str, Any]]]) -> Store:
        return Store(
            self.folder / "data",
            retention=Retention(),
            on_event=lambda code, params: told.append((code, params)),
            clock=SimulatedClock(now_ms, 0.0),
        )

    def _look(self, db: sqlite3.Connection, promise: Promise) -> list[str]:
        found = []
        if not promise.allows(RECORDS, digest(db)):
            found.append("records.db does not say what was committed")
        sent = promise.sent if self.count % ALL_SENT == 0 else promise.sent[-NEWEST_SENT:]
        for packet in sent:
            row = db.execute("SELECT data FROM frame WHERE qn = ?", (int(packet.qn),)).fetchone()
            if row is None or bytes(row[0]) != packet.data:
                found.append(f"packet {packet.qn} was leaving and is not on disk")
        evidence = self.folder / "data" / backup.EVIDENCE
        lines = evidence.read_text(encoding="utf-8", errors="replace").splitlines() if evidence.exists() else []
        missing = {receipt.to_line() for receipt in connection.receipts(db)} - set(lines)
        found += [f"a receipt is not in connection.jsonl: {line[:80]}" for line in missing]
        if self.count % INTEGRITY == 0 and (wrong := db.execute("PRAGMA integrity_check").fetchall()) != [("ok",)]:
            found.append(f"records.db: {wrong[:3]}")
        return found

    def _backups(self) -> list[str]:
        found = []
        for folder in backup.backups(self.folder / "backup"):
            try:
                backup.check(folder)
            except errors.StoreError as error:
                found.append(f"backup {folder.name}: {error}")
        return found
