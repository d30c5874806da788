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
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Concatenate, ParamSpec, TypeVar

from config.site import Retention
from edge.clock import Clock, SystemClock
from edge.store import database, errors, retention
from edge.store.evidence import Evidence
from edge.store.journal import append as journal_append
from protocol.times import time_text

T = TypeVar("T")
P = ParamSpec("P")
Db = sqlite3.Connection
_BATCH = 256
"""Jobs in one transaction at most: bounds the wait of the first."""


@dataclass(frozen=True, slots=True)
class _Job:
    run: Callable[[Db], Any]
    future: Future[Any]
    samples: bool


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
        job = self._job(lambda db: fn(db, *args, **kwargs), samples=False)
        with self._gate:
            if self._closed:
                raise errors.StoreClosed("store.closed")
            self._riders.append(job)
        return job.future

    async def do(self, fn: Callable[Concatenate[Db, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`call` for asyncio. Cancelled before the thread got to it, the job is not run."""
        return await asyncio.wrap_future(self.call(fn, *args, **kwargs))

    async def do_samples(self, fn: Callable[Concatenate[Db, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`call_samples` for asyncio."""
        return await asyncio.wrap_future(self.call_samples(fn, *args, **kwargs))

    async def sweep(self, now_ms: int) -> bool:
        """One slice of retention on both files; whether there is more to do."""
        records = await self.do(retention.sweep, now_ms, self._limits)
        samples = await self.do_samples(retention.sweep_samples, now_ms, self._limits)
        return bool(records or samples)

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
        stamp = time_text(self._clock.wall_ms())
        records, aside = database.open_database(data_dir, database.RECORDS, stamp, self._on_event)
        try:
            samples, _ = database.open_database(data_dir, database.SAMPLES, stamp, self._on_event)
        except BaseException:
            records.close()
            raise
        self._evidence = Evidence(data_dir / "connection.jsonl", self._on_event)
        self._records = _Side(
            database.RECORDS.file, records, self._on_event, partial(self._evidence.append_new, records)
        )
        self._samples = _Side(database.SAMPLES.file, samples, self._on_event, lambda: None)
        self._after_opening(aside)

    def _after_opening(self, aside: str | None) -> None:
        jobs = [self._job(self._evidence.reconcile, samples=False)]
        if aside is not None:
            told = partial(
                journal_append,
                who="logger",
                action="store.rebuilt",
                detail={"aside": aside},
                now_ms=self._clock.wall_ms(),
            )
            jobs.append(self._job(told, samples=False))
        self._records.run(jobs)
        try:
            for job in jobs:
                job.future.result(0)
        except errors.StoreFailed:
            self._records.close()
            self._samples.close()
            raise

    def _submit(self, run: Callable[[Db], T], *, samples: bool) -> Future[T]:
        job = self._job(run, samples=samples)
        with self._gate:
            if self._closed:
                raise errors.StoreClosed("store.closed")
            self._jobs.put(job)
        return job.future

    @staticmethod
    def _job(run: Callable[[Db], Any], *, samples: bool) -> _Job:
        return _Job(run, Future(), samples)

    def _work(self) -> None:
        going = True
        while going:
            batch: list[_Job] = []
            going = self._take(batch)
            # samples first: a crash between the two commits leaves samples without their record, never the
            # reverse
            self._samples.run([job for job in batch if job.samples])
            records = [job for job in batch if not job.samples]
            self._records.run([*self._riding(), *records] if records or not going else [])

    def _riding(self) -> list[_Job]:
        """The jobs that have waited for a transaction."""
        with self._gate:
            riders, self._riders = self._riders, []
        return [job for job in riders if job.future.set_running_or_notify_cancel()]

    def _take(self, batch: list[_Job]) -> bool:
        """Fill `batch` with what has queued up, waiting for the first; False when the store is closing."""
        job = self._jobs.get()
        try:
            while job is not None:
                if job.future.set_running_or_notify_cancel():
                    batch.append(job)
                if len(batch) >= _BATCH:
                    return True
                job = self._jobs.get_nowait()
        except Empty:
            return True
        return False


class _Side:
    """One of the two files, as the thread sees it."""

    def __init__(
        self,
        file: str,
        db: Db,
        on_event: Callable[[str, dict[str, Any]], None],
        after_commit: Callable[[], None],
    ) -> None:
        self.file = file
        self.db = db
        self._on_event = on_event
        self._after_commit = after_commit
        self._failing = False

    def run(self, jobs: Sequence[_Job]) -> None:
        """All jobs in one transaction; their futures resolve after COMMIT."""
        if not jobs:
            return
        try:
            self.db.execute("BEGIN")
            results = [self._one(job) for job in jobs]
            self.db.execute("COMMIT")
        except sqlite3.Error as error:
            self._fail(jobs, error)
            return
        if self._failing:
            self._failing = False
            self._on_event("store.recovered", {"file": self.file})
        self._after_commit()
        for resolve in results:
            resolve()

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
        failure = errors.failure(error, self.file)
        if not self._failing:
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
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    return handle
