"""Power cuts, replayed: the real daemon under strace, its disk at every cut, each image opened by the store itself.

Four loggers: a new one that polls, seals, sends, is answered, is given settings and marks, is killed and started
again; one after days without power, which sweeps, backs up and computes what ended meanwhile; one whose files are an
earlier version's; and the site file while it is edited. One image in `REAL` is started by the real daemon.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from config.load import load_in_child
from config.problem import ConfigErrors
from edge.clock import SimulatedClock, SystemClock
from edge.store import backup, journal, migrate
from edge.store.database import RECORDS as RECORDS_LAYOUT
from edge.store.database import SAMPLES as SAMPLES_LAYOUT
from tests.edge.daemon import daemonkit
from tests.torture import trace
from tests.torture.disk import Disk
from tests.torture.images import Cut, Opener, Tape, cuts, draw, ram_folder
from tests.torture.oracle import Findings, Snapshot, compare
from tests.torture.rig import Outcome, Rig
from tests.torture.station import SPEED, START_MS, Station, percentile, station

IMAGES, IMAGES_LONG = 20_000, 1_000_000
REAL = 500
"""One image in so many is opened by the real daemon."""
CHECKPOINT = ("--checkpoint", "300")
"""Pages: several checkpoints, and resets of the WAL, in a few seconds."""
DAYS_OFF_MS = 3 * 86_400_000
SITE_IMAGES = 100
STRACE_MISSING = "strace is not installed. Type: sudo apt-get install strace"
Recorded = tuple[Station, Tape]
_RETENTION = """
[store]
samples = "1d"
minute = "2d"
deliveries = "1d"
backup_to = "{folder}"
backup_every = "1h"
backup_keep = 1
"""


def power_cut(rig: Rig) -> Outcome:
    """Rounds of four loggers until there are enough images."""
    outcome, number = Outcome(), 0
    if shutil.which("strace") is None:
        outcome.fail(STRACE_MISSING)
        return outcome
    quota, until = rig.count(IMAGES, IMAGES_LONG), time.monotonic() + rig.hours * 3600
    ram = ram_folder()
    try:
        while outcome.cases < quota and time.monotonic() < until and (outcome.passed or not outcome.cases):
            asyncio.run(_round(rig, number, min(IMAGES, quota - outcome.cases), ram, outcome))
            number += 1
    finally:
        shutil.rmtree(ram, ignore_errors=True)
    outcome.figures["rounds"] = number
    return outcome


async def _round(rig: Rig, number: int, quota: int, ram: Path, outcome: Outcome) -> None:
    shares = {"new": 0.65, "after days off": 0.2, "migration": 0.15}
    makers = {"new": new_logger, "after days off": after_days_off, "migration": migration}
    for name, share in shares.items():
        async with makers[name](rig, number) as (site, tape):
            await replay(rig, site, tape, int(quota * share) - SITE_IMAGES // 3, ram, outcome)
    _site_file(rig, number, outcome)


async def replay(rig: Rig, site: Station, tape: Tape, quota: int, ram: Path, outcome: Outcome) -> None:
    """All images of one tape."""
    opener = Opener(ram / "image")
    base = opener.base(tape)
    ready: list[float] = []
    began, cases = time.monotonic(), 0
    for cut in cuts(tape, quota, rig.random(tape.name), base):
        found, refused = opener.check(cut)
        cases += 1
        if cases % REAL == REAL // 2 and not refused:
            found.add(await _by_daemon(site, cut, opener, ready, refused))
        note(outcome, cut, found, refused)
    outcome.cases += cases
    figures = {
        "events": len(tape.events),
        "images": cases,
        "of these started by the real daemon": len(ready),
        "ready, max s": percentile(ready, 1.0),
        "ms an image": round((time.monotonic() - began) / max(cases, 1) * 1000, 2),
    }
    outcome.figures |= {f"{tape.name}: {name}": value for name, value in figures.items()}


async def _by_daemon(site: Station, cut: Cut, opener: Opener, ready: list[float], refused: list[str]) -> Findings:
    """The real daemon on an image: ready, and everything as the store had found it."""
    before = Snapshot.read(opener.folder / "data")
    opener.put(cut.tape.root, cut.survivors, site.rig.folder / "image")
    shutil.rmtree(site.data, ignore_errors=True)
    shutil.move(site.rig.folder / "image" / "data", site.data)
    try:
        ready.append(await site.rig.fork())
    except AssertionError as error:
        refused.append(f"the daemon does not start: {error}")
        return Findings()
    await site.rig.kill_fork()
    if ready[-1] > daemonkit.ready_limit_s():
        refused.append(f"ready after {ready[-1]:.1f} s")
    return compare(before, Snapshot.read(site.data))


def note(outcome: Outcome, cut: Cut, found: Findings, refused: list[str]) -> None:
    """Count what an image has shown."""
    outcome.lost += bool(found.lost)
    outcome.corrupt += bool(found.corrupt)
    outcome.refused += bool(refused)
    for each in (*found.lost, *found.corrupt, *refused):
        outcome.fail(f"{cut.text}: {each}")


# the loggers


@asynccontextmanager
async def new_logger(rig: Rig, number: object, *options: str, seconds: float = 6.0) -> AsyncIterator[Recorded]:
    """From an empty folder on, killed once, stopped in order at the end."""
    async with station(rig.work / f"new-{number}") as site:
        tape = Recorder(site, "new logger", options)
        for life, share, ends in ((0, 0.65, signal.SIGKILL), (1, 0.35, signal.SIGTERM)):
            await tape.life(seconds * share, ends, rig, (number, life))
        yield site, tape.tape()


@asynccontextmanager
async def after_days_off(rig: Rig, number: int) -> AsyncIterator[Recorded]:
    """A logger with data that was without power for some days: retention, a backup, the records of the gap."""
    folder = rig.work / f"off-{number}"
    async with station(folder, more=_RETENTION.format(folder=folder / "backup")) as site:
        (folder / "backup").mkdir()
        await site.begin()
        await asyncio.sleep(3.0)
        await site.drained()  # what a platform has not answered for is never swept
        await site.kill()
        old = Snapshot.read(site.data)
        site.rig.clock_text = f"{START_MS + DAYS_OFF_MS},{SPEED},{SystemClock().wall_ms()}"
        tape = Recorder(site, "after days off", ())
        await tape.life(5.0, signal.SIGTERM, rig, number)
        made = tape.tape()
        kept = Snapshot.read(site.data)
        if not all(old.tables[each].keys() - kept.tables[each].keys() for each in ("record", "frame")):
            raise AssertionError("retention has swept nothing")
        if not backup.backups(folder / "backup"):
            raise AssertionError("no backup was made")
        yield site, made


@asynccontextmanager
async def migration(rig: Rig, number: int) -> AsyncIterator[Recorded]:
    """Files of the first version, with data."""
    async with station(rig.work / f"old-{number}") as site:
        site.data.mkdir()
        first_version(site.data)
        tape = Recorder(site, "migration", ())
        await tape.life(2.0, signal.SIGKILL, rig, number)
        yield site, tape.tape()


def first_version(data: Path) -> None:
    """Both files as version 1 wrote them, with a hundred minutes and a journal."""
    for layout in (RECORDS_LAYOUT, SAMPLES_LAYOUT):
        db = sqlite3.connect(data / layout.file, isolation_level=None)
        db.execute(f"PRAGMA page_size = {layout.page_bytes}")
        db.execute("PRAGMA journal_mode = WAL")
        version, statements = migrate.scripts(layout.migrations)[0]
        for statement in statements:
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {version}")
        if layout is RECORDS_LAYOUT:
            _first_rows(db)
        db.close()


def _first_rows(db: sqlite3.Connection) -> None:
    db.execute("INSERT INTO name VALUES (1, 'ww1'), (2, 'w01018'), (3, 'city')")
    for minute in range(100):
        start = START_MS - (100 - minute) * 60_000
        db.execute("INSERT INTO record VALUES (?, 1, 1, 2, 0, 1.5, 2.5, 3.5, NULL, NULL, NULL, 4.5, 12, 'N')", (start,))
        db.execute(
            "INSERT INTO delivery (id, platform, outlet, cn, start, revision, kept, created, state)"
            " VALUES (?, 3, 1, '2051', ?, 0, 1, ?, 2)",
            (minute + 1, start, start),
        )
        journal.append(db, "logger", "note", {"minute": minute}, start)
    db.execute("INSERT INTO sealed VALUES (1, 1, ?)", (START_MS - 60_000,))
    db.execute(
        "INSERT INTO tally (platform, outlet, cn, kept, kept_done, sent, answered)"
        " VALUES (3, 1, '2051', 100, 100, 100, 100)"
    )


class Recorder:
    """Runs the daemon under strace and keeps what it did."""

    def __init__(self, site: Station, name: str, options: tuple[str, ...]) -> None:
        self._site = site
        self._name = name
        self._options = (*CHECKPOINT, *options)
        self._folders = [site.data, site.rig.folder / "backup"]
        self._marks = site.rig.folder / "marks"
        self._files = self._present()
        self._events: list[trace.Event] = []

    async def life(self, seconds: float, ends: int, rig: Rig, case: object) -> None:
        """One run, with a technician and a platform that interfere."""
        output = self._site.rig.folder / "trace"
        await self._site.begin_traced(output, self._marks, *self._options)
        load = asyncio.create_task(self._site.disturb(rig.random(case)), name="load")
        await asyncio.sleep(seconds)
        await self._site.end_traced(ends)
        load.cancel()
        with suppress(asyncio.CancelledError):
            await load
        with output.open(encoding="ascii") as lines:
            self._events += trace.events(lines, self._folders, self._marks)
        output.unlink()

    def tape(self) -> Tape:
        """All lives; the model of the disk must be the disk, byte for byte."""
        rig = self._site.rig
        tape = Tape(
            self._name, rig.folder, self._files, self._events, SimulatedClock.from_text(rig.clock_text).wall_ms()
        )
        disk = Disk(tape.files)
        for event in tape.events:
            if not isinstance(event, trace.Committed | trace.Sent):
                disk.apply(event)
        modelled, real = {path: bytes(inode.cache) for path, inode in disk.names.items()}, self._present()
        different = [path for path in modelled | real if modelled.get(path) != real.get(path)]
        if different:
            raise trace.NotUnderstood(f"the model of the disk is not the disk: {different}")
        return tape

    def _present(self) -> dict[str, bytes]:
        found = [path for folder in self._folders if folder.is_dir() for path in folder.rglob("*") if path.is_file()]
        found.append(self._site.rig.config)  # backups copy it
        return {
            str(path): path.read_bytes() for path in found if not path.name.endswith("-shm") and path.name != "lock"
        }


# the site file


def _site_file(rig: Rig, number: int, outcome: Outcome) -> None:
    """`hj212 config set` under strace: at every cut the file is the one before or the one after, and it loads."""
    folder = rig.work / f"site-{number}"
    site, output = folder / "etc" / "site.toml", folder / "trace"
    site.parent.mkdir(parents=True)
    hj212 = [sys.executable, "-m", "edge.cli.main", "config"]
    subprocess.run(
        [*hj212, "new", "--preset", "water", "-c", str(site)], cwd=daemonkit.ROOT, check=True, capture_output=True
    )
    before = {str(path): path.read_bytes() for path in site.parent.rglob("*") if path.is_file()}
    change = [*hj212, "set", "site.name", "新站名", "-c", str(site)]
    subprocess.run(trace.command(output, change), cwd=daemonkit.ROOT, check=True, capture_output=True)
    with output.open(encoding="ascii") as lines:
        events = list(trace.events(lines, [site.parent], folder / "none"))
    allowed = {before[str(site)], site.read_bytes()}
    chance, disk, cases = rig.random("site file"), Disk(before), 0
    for event in events:
        assert not isinstance(event, trace.Committed | trace.Sent)
        disk.apply(event)
        for _ in range(SITE_IMAGES // len(events) + 1):
            way, survivors = draw(disk, chance)
            cases += 1
            if {each.content() for each in survivors if each.path == str(site)} - allowed or not any(
                each.path == str(site) for each in survivors
            ):
                outcome.corrupt += 1
                outcome.fail(f"site file after {event!r:.200}, {way}: neither the old one nor the new one")
    outcome.cases += cases
    outcome.figures["site file: images"] = cases
    try:
        load_in_child(site)
    except ConfigErrors as error:
        outcome.fail(f"site file: {error}")


TESTS = {"power-cut": power_cut}
