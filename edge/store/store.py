"""The store: one thread that owns both files and runs everything that reads or writes them.

    call(fn, …) ─▶ queue ─▶ BEGIN · SAVEPOINT fn · SAVEPOINT fn · … · COMMIT ─▶ futures

Group commit: what has queued up becomes one transaction, each job in its own savepoint. A future resolves
after COMMIT (on disk before on the wire). A job that raises is undone alone; a transaction that the disk
refuses is undone as a whole, every future of it gets `StoreFailed`, and the thread lives on. SQLite before
3.51.3 can corrupt a WAL file when two connections write or checkpoint at once: there is one, and a lock on
`data_dir` keeps a second daemon out.
"""

from __future__ import annotations

import asyncio
import fcntl
import math
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Concatenate, ParamSpec, TypeVar

from config.site import Retention
from edge.clock import Clock, SystemClock, plausible
from edge.store import budget, database, errors, journal, newer, retention
from edge.store.database import Layout
from edge.store.evidence import Evidence
from edge.store.mending import Mending
from edge.store.reading import Reading
from protocol.times import time_text

T = TypeVar("T")
P = ParamSpec("P")
Db = sqlite3.Connection
SOON_S = 1.0
"""Longer than the answers to the packets of one moment take, with two platforms and a slow link."""
_BATCH = 256
"""Jobs in one transaction at most: bounds the wait of the first."""


@dataclass(frozen=True, slots=True)
class _Job:
    run: Callable[[Db], Any]
    future: Future[Any]
    samples: bool
    soon: bool = False
    """It may wait up to SOON_S for others."""


class Store:
    """`data_dir` with its lock, its two files and their thread.

    `on_event(code, params)` is called from the store's thread (and from the constructor): a damaged file, a full
    disk, its end. It must not raise. Raises StoreLocked, StoreNewer, StoreFailed, StoreFull.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        retention: Retention,
        on_event: Callable[[str, dict[str, Any]], None],
        clock: Clock | None = None,
    ) -> None:
        self._limits = retention
        self._folder = data_dir
        self._on_event = on_event
        self._clock = clock or SystemClock()
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
            self._lock = take_lock(data_dir)
        except OSError as error:
            raise errors.StoreFailed("store.no_folder", data_dir=str(data_dir), reason=error.strerror) from error
        try:
            self._open(data_dir)
        except BaseException:
            os.close(self._lock)
            raise
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._riders: list[_Job] = []
        self._gate = threading.Lock()
        self._closed = False
        self._busy_since: float | None = None
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._thread.start()

    def call(self, fn: Callable[Concatenate[Db, P], T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run `fn(db, …)` on records.db; resolves after COMMIT. Raises StoreClosed."""
        return self._submit(lambda db: fn(db, *args, **kwargs), samples=False)

    def call_samples(self, fn: Callable[Concatenate[Db, P], T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """The same on samples.db (`samples`, `linklog`)."""
        return self._submit(lambda db: fn(db, *args, **kwargs), samples=True)

    def ride(self, fn: Callable[Concatenate[Db, P], T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """`call` that makes no transaction of its own: it runs in the next one on records.db, or at `close`."""
        job = _Job(lambda db: fn(db, *args, **kwargs), Future(), samples=False)
        with self._gate:
            if self._closed:
                raise errors.StoreClosed("store.closed")
            self._riders.append(job)
        return job.future

    async def do(self, fn: Callable[Concatenate[Db, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`call` for asyncio. Cancelled before the thread got to it, the job is not run."""
        return await asyncio.wrap_future(self.call(fn, *args, **kwargs))

    async def do_soon(self, fn: Callable[Concatenate[Db, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`do` that waits up to SOON_S for others to share its transaction: each one costs flash."""
        return await asyncio.wrap_future(self._submit(lambda db: fn(db, *args, **kwargs), samples=False, soon=True))

    async def do_samples(self, fn: Callable[Concatenate[Db, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`call_samples` for asyncio."""
        return await asyncio.wrap_future(self.call_samples(fn, *args, **kwargs))

    async def sweep(self, now_ms: int, served: Collection[tuple[str, str]] | None = None) -> bool:
        """One slice of retention on both files; whether there is more to do. Nothing goes before all is salvaged.

        `served`: platforms and outlets of the site file; None: all that ever were.
        """
        records = samples = 0
        if not self._records.mending.busy:
            if served is not None:
                records = await self.do(retention.expire_unserved, now_ms, self._limits, served)
            records += await self.do(retention.sweep, now_ms, self._limits)
        if not self._samples.mending.busy:
            samples = await self.do_samples(retention.sweep_samples, now_ms, self._limits)
        return bool(records or samples) or await self._make_room(now_ms)

    async def _make_room(self, now_ms: int) -> bool:
        """One slice of what goes before its time, where there is no room for more; whether something went."""
        if self._records.mending.busy or self._samples.mending.busy:
            return False
        (taken, free), (taken_2, free_2) = await self.do(budget.used), await self.do_samples(budget.used)
        short = budget.is_short(taken + taken_2, free + free_2, self._folder, self._limits)
        if not short or not plausible(now_ms):
            return False
        if budget.is_full(free + free_2, self._folder, self._limits):
            what, files = await self.do(budget.drop_salvaged, self._folder)
            if files:
                await self._tell_dropped(what, files)
                return True
        gone = 0
        for do, drop in (
            (self.do_samples, budget.drop_link),
            (self.do, budget.drop_realtime),
            (self.do_samples, budget.drop_samples),
            (self.do, budget.drop_answered),
        ):
            what, rows = await do(drop, now_ms)
            if rows:
                await self._tell_dropped(what, rows)
            gone += rows
            if gone >= budget.ENOUGH:
                break
        return bool(gone)

    async def _tell_dropped(self, what: str, rows: int) -> None:
        total = await self.do(budget.count, what, rows)
        self._on_event("store.dropped", {"file": str(self._folder), "what": what, "rows": total})

    async def mend(self) -> bool:
        """One slice of salvage, or where nothing is to be salvaged, of reading through; whether to salvage more."""
        more = False
        for side, do in ((self._samples, self.do_samples), (self._records, self.do)):
            try:
                busy = side.mending.busy
                await do(side.mending.step if busy else side.reading.step)
            except errors.StoreFailed:  # a full disk: the same slice later; damage: there is something to salvage now
                busy = False
            except (sqlite3.Error, ValueError, LookupError, OSError) as error:
                await do(side.mending.give_up, str(error))
            more = more or busy
        return more

    def age_s(self) -> float:
        """Real seconds that the thread has been at the present batch, for the watchdog; endless where it has died."""
        since = self._busy_since
        if not self._closed and not self._thread.is_alive():
            return math.inf
        return 0.0 if since is None else time.monotonic() - since

    def close(self) -> None:
        """Finish the queue, checkpoint, close both files, give the lock back. Idempotent."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
            self._jobs.put(None)
        self._thread.join()
        for side in (self._samples, self._records):
            side.close()
        os.close(self._lock)

    def _open(self, data_dir: Path) -> None:
        self._evidence = Evidence(data_dir / "connection.jsonl", self._on_event)
        self._records = _Side(data_dir, database.RECORDS, self._clock, self._on_event, self._evidence)
        try:
            self._samples = _Side(data_dir, database.SAMPLES, self._clock, self._on_event, None)
        except BaseException:
            self._records.close()
            raise

    def _submit(self, run: Callable[[Db], T], *, samples: bool, soon: bool = False) -> Future[T]:
        job = _Job(run, Future(), samples, soon)
        with self._gate:
            if self._closed:
                raise errors.StoreClosed("store.closed")
            self._jobs.put(job)
        return job.future

    def _work(self) -> None:
        going = True
        while going:
            batch: list[_Job] = []
            going = self._take(batch)
            self._busy_since = time.monotonic()
            # samples first: a crash between the two commits leaves samples without their record, never the
            # reverse
            self._samples.run([job for job in batch if job.samples])
            records = [job for job in batch if not job.samples]
            self._records.run([*self._riding(), *records] if records or not going else [])
            self._busy_since = None

    def _riding(self) -> list[_Job]:
        """The jobs that have waited for a transaction."""
        with self._gate:
            riders, self._riders = self._riders, []
        return [job for job in riders if job.future.set_running_or_notify_cancel()]

    def _take(self, batch: list[_Job]) -> bool:
        """Fill `batch` with what has queued up, waiting for the first; False when the store is closing.

        As long as nothing but jobs that may wait has come, more is waited for.
        """
        job = self._jobs.get()
        until = time.monotonic() + SOON_S
        try:
            while job is not None:
                until = until if job.soon else 0.0
                if job.future.set_running_or_notify_cancel():
                    batch.append(job)
                if len(batch) >= _BATCH:
                    return True
                wait_s = until - time.monotonic()
                job = self._jobs.get(timeout=wait_s) if wait_s > 0 else self._jobs.get_nowait()
        except Empty:
            return True
        return False


class _Side:
    """One of the two files, as the thread sees it. Opens it; raises StoreFailed, StoreFull.

    A file that turns out to be damaged is set aside, also while the store works, and a new one begins; what was asked
    of it meanwhile has failed.
    """

    def __init__(
        self, folder: Path, layout: Layout, clock: Clock, on_event: database.Report, evidence: Evidence | None
    ) -> None:
        self.file = layout.file
        self.reading = Reading()
        self.mending = Mending(folder, layout, clock, on_event)
        self._folder, self._layout, self._clock = folder, layout, clock
        self._on_event = on_event
        self._evidence = evidence
        self._failing = False
        self._damaged = False
        self._usable = True
        self.db = self._open()

    def _open(self, aside: str | None = None) -> Db:
        stamp = time_text(self._clock.wall_ms())
        db, found = database.open_database(self._folder, self._layout, stamp, self._on_event)
        try:
            self._prepare(db, found or aside)
        except sqlite3.Error as error:
            db.close()
            self.mending.close()
            if not errors.is_damage(error) or aside is not None:
                raise errors.failure(error, self.file) from error
            return self._open(self._set_aside())
        except BaseException:
            db.close()
            self.mending.close()
            raise
        return db

    def _prepare(self, db: Db, aside: str | None) -> None:
        """What must have been before anything else: salvage, and the evidence of the connection."""
        self._take_in(db, self.mending.begin)
        if self._evidence is None:
            return
        is_new = journal.last_id(db) == 0
        self._take_in(db, self._evidence.reconcile)
        if aside is None and is_new and journal.last_id(db):  # there is evidence of what this logger has sent
            self._on_event("store.gone", {"file": self.file})
            self._take_in(db, journal.append, "logger", "store.rebuilt", {"aside": None}, self._clock.wall_ms())
        if aside is not None and database.NEWER in aside:
            self._take_in(db, newer.carry_on, self._folder / aside, self._clock.wall_ms())
        if aside is not None:
            self._take_in(db, journal.append, "logger", "store.rebuilt", {"aside": aside}, self._clock.wall_ms())
        self._evidence.append_new(db)

    def _set_aside(self) -> str:
        stamp = time_text(self._clock.wall_ms())
        aside = database.set_aside(self._folder / self.file, database.DAMAGED, stamp)
        self._on_event("store.damaged", {"file": self.file, "aside": aside})
        return aside

    @staticmethod
    def _take_in(db: Db, fn: Callable[..., object], *args: object) -> None:
        """One transaction of the opening."""
        db.execute("BEGIN")
        try:
            fn(db, *args)
            db.execute("COMMIT")
        except sqlite3.Error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _begin_anew(self) -> bool:
        """A new file in the place of a damaged one; False where the disk does not let us: then the next job tries."""
        aside = None
        try:
            self.db.close()
            self.mending.close()
            if self._damaged:
                aside = self._set_aside()
                self._damaged = False
            self.db = self._open(aside)
        except (errors.StoreFailed, sqlite3.Error, OSError) as error:
            self._on_event("store.failed", {"file": self.file, "reason": str(error)})
            return False
        self.reading = Reading()
        return True

    def run(self, jobs: Sequence[_Job]) -> None:
        """All jobs in one transaction; their futures resolve after COMMIT."""
        if not jobs:
            return
        if not self._usable:
            self._usable = self._begin_anew()
        if not self._usable:
            for job in jobs:
                job.future.set_exception(errors.StoreFailed("store.failed", file=self.file, reason="-"))
            return
        try:
            self.db.execute("BEGIN")
            results = [self._one(job) for job in jobs]
            self.db.execute("COMMIT")
        except sqlite3.Error as error:
            self._fail(jobs, error)
            self._look_for_damage(error)
            return
        if self._failing:
            self._failing = False
            self._on_event("store.recovered", {"file": self.file})
        self.mending.settle()
        try:
            if self._evidence is not None:
                self._evidence.append_new(self.db)
        except sqlite3.Error as error:  # committed all the same
            self._look_for_damage(error)
        for resolve in results:
            resolve()

    def _look_for_damage(self, error: sqlite3.Error) -> None:
        if errors.is_damage(error):
            self._damaged = True
            self._usable = self._begin_anew()

    def close(self) -> None:
        """Checkpoint and close; a disk that refuses keeps the WAL for the next start."""
        try:
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            self._on_event(
                "store.failed",
                errors.failure(error, self.file).params | {"file": self.file, "reason": str(error)},
            )
        finally:
            self.mending.close()
            self.db.close()

    def _one(self, job: _Job) -> Callable[[], None]:
        self.db.execute("SAVEPOINT job")
        try:
            value = job.run(self.db)
        except Exception as error:  # the caller gets it; the thread lives on
            if isinstance(error, sqlite3.Error) and (errors.ends_transaction(error) or not self.db.in_transaction):
                raise
            self.db.execute("ROLLBACK TO job")
            self.db.execute("RELEASE job")
            return partial(job.future.set_exception, error)
        self.db.execute("RELEASE job")
        return partial(job.future.set_result, value)

    def _fail(self, jobs: Sequence[_Job], error: sqlite3.Error) -> None:
        if self.db.in_transaction:
            try:
                self.db.execute("ROLLBACK")
            except sqlite3.Error as second:  # SQLite has rolled back by itself
                error.add_note(f"rollback: {second}")
        self.mending.unsettle()
        failure = errors.failure(error, self.file)
        if not self._failing and not errors.is_damage(error):  # damage is said when the file is set aside
            self._failing = True
            self._on_event(failure.code, failure.params)
        for job in jobs:
            job.future.set_exception(failure)


def take_lock(data_dir: Path) -> int:
    """Take the lock of a `data_dir`; raises StoreLocked.

    The operating system gives it back when the process ends, however it ends.
    """
    handle = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        pid = os.pread(handle, 20, 0).decode("ascii", "replace").strip() or "?"
        os.close(handle)
        raise errors.StoreLocked("store.locked", data_dir=str(data_dir), pid=pid) from error
    if os.geteuid() == 0:  # root restores before the daemon's first start: its user must be able to take it then
        owner = data_dir.stat()
        os.fchown(handle, owner.st_uid, owner.st_gid)
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    return handle
