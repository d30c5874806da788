"""The store's thread: group commit, failing disks, the lock, closing."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from storekit import Events

from config.site import Retention
from edge.store import meta
from edge.store.database import read_only
from edge.store.errors import StoreClosed, StoreFull, StoreLocked
from edge.store.store import Store

ROOT = Path(__file__).parents[3]


def hold(store: Store) -> threading.Event:
    """Keeps the thread busy until the event is set, so that what follows queues up into one transaction."""
    go = threading.Event()
    begun = threading.Event()

    def job(db: sqlite3.Connection) -> None:
        begun.set()
        assert go.wait(10)

    store.call(job)
    assert begun.wait(10)
    return go


def test_jobs_that_queue_up_share_one_commit(store: Store) -> None:
    commits: list[str] = []
    store.call(lambda db: db.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)).result(5)
    go = hold(store)
    commits.clear()
    futures = [store.call(meta.put, f"n{number}", number) for number in range(50)]
    go.set()
    for future in futures:
        future.result(5)
    assert len(commits) == 2  # the job that held the thread, and the fifty


async def test_a_job_that_may_wait_shares_the_commit_of_one_that_may_not(store: Store) -> None:
    commits: list[str] = []
    store.call(lambda db: db.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)).result(5)
    commits.clear()
    waiting = asyncio.create_task(store.do_soon(meta.put, "n", 1))
    await asyncio.sleep(0)  # it is in the queue now
    await store.do(meta.put, "m", 2)
    await waiting
    assert commits == ["COMMIT"]
    await store.do_soon(meta.put, "n", 3)  # and by itself after a while
    assert commits == ["COMMIT", "COMMIT"]


def test_a_future_resolves_only_after_its_rows_are_committed(store: Store, tmp_path: Path) -> None:
    store.call(meta.put, "n", 7).result(5)
    reader = read_only(tmp_path / "records.db")
    assert meta.get(reader, "n") == 7
    reader.close()


def test_a_job_that_raises_is_undone_alone(store: Store) -> None:
    def wrong(db: sqlite3.Connection) -> None:
        meta.put(db, "wrong", 1)
        raise ValueError("its own error")

    go = hold(store)
    before, failing, after = store.call(meta.put, "a", 1), store.call(wrong), store.call(meta.put, "b", 2)
    go.set()
    before.result(5)
    after.result(5)
    with pytest.raises(ValueError, match="its own error"):
        failing.result(5)
    assert [store.call(meta.get, name).result(5) for name in ("a", "b", "wrong")] == [1, 2, None]


def test_an_sql_error_of_one_job_does_not_touch_the_others(store: Store) -> None:
    go = hold(store)
    good, bad = store.call(meta.put, "a", 1), store.call(lambda db: db.execute("SELECT * FROM nowhere"))
    go.set()
    good.result(5)
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        bad.result(5)


def test_a_full_disk_fails_the_whole_transaction_and_the_thread_lives_on(store: Store, events: Events) -> None:
    def limit(db: sqlite3.Connection, pages: int) -> None:
        db.execute(f"PRAGMA max_page_count = {pages}")

    def much(db: sqlite3.Connection) -> None:
        meta.put(db, "much", 1)
        db.execute("CREATE TABLE big AS SELECT randomblob(200000) AS bytes")

    pages = store.call(lambda db: db.execute("PRAGMA page_count").fetchone()[0]).result(5)
    store.call(limit, pages + 10).result(5)
    go = hold(store)
    first, second = store.call(meta.put, "small", 1), store.call(much)
    go.set()
    for future in (first, second):
        with pytest.raises(StoreFull):
            future.result(5)
    assert [code for code, _ in events] == ["store.full"]
    store.call(limit, 1_000_000).result(5)
    store.call(much).result(5)
    assert store.call(meta.get, "much").result(5) == 1
    assert store.call(meta.get, "small").result(5) is None
    assert [code for code, _ in events] == ["store.full", "store.recovered"]


FAILING_COMMIT = """
import resource, signal, sys
from pathlib import Path
from config.site import Retention
from edge.store import meta
from edge.store.errors import StoreFailed
from edge.store.store import Store

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writes beyond the limit then fail with EFBIG
events = []
folder = Path(sys.argv[1])
store = Store(folder, retention=Retention(), on_event=lambda code, params: events.append(code))
store.call(meta.put, "before", 1).result()
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, ((folder / "records.db-wal").stat().st_size, hard))
traced = []
store.call(lambda db: db.set_trace_callback(traced.append)).result()
try:
    store.call(meta.put, "lost", 2).result()
    sys.exit("the commit did not fail")
except StoreFailed as error:
    assert "COMMIT" in traced, traced
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
assert store.call(meta.get, "lost").result() is None
store.call(meta.put, "after", 3).result()
store.close()
assert events == ["store.failed", "store.recovered"], events
print("good")
"""


def test_a_commit_that_the_disk_refuses_is_rolled_back_and_the_next_one_works(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAILING_COMMIT, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert (done.stdout, done.stderr, done.returncode) == ("good\n", "", 0)


def test_a_second_daemon_is_kept_out_and_told_the_pid_of_the_first(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from config.site import Retention; from edge.store.store import Store\n"
        "store = Store(Path(sys.argv[1]), retention=Retention(), on_event=print)\n"
        "print('open', flush=True); sys.stdin.read(); store.close()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(StoreLocked) as caught:
            Store(tmp_path, retention=Retention(), on_event=lambda code, params: None)
        assert caught.value.params["pid"] == str(other.pid)
        assert other.stdin is not None
        other.stdin.close()
        assert other.wait(10) == 0
    Store(tmp_path, retention=Retention(), on_event=lambda code, params: None).close()


def test_closing_finishes_the_queue_and_leaves_no_wal(open_store: Callable[[], Store], tmp_path: Path) -> None:
    store = open_store()
    go = hold(store)
    futures = [store.call(meta.put, f"n{number}", number) for number in range(600)]
    go.set()
    store.close()
    assert all(future.done() and future.exception() is None for future in futures)
    assert not (tmp_path / "records.db-wal").exists()
    with pytest.raises(StoreClosed):
        store.call(meta.get, "n1")
    again = open_store()
    assert again.call(meta.get, "n599").result(5) == 599


def test_files_are_readable_by_their_owner_only(store: Store, tmp_path: Path) -> None:
    store.call(meta.put, "n", 1).result(5)
    for name in ("records.db", "records.db-wal", "samples.db"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


async def test_do_waits_for_the_commit_and_raises_the_jobs_error(store: Store) -> None:
    await store.do(meta.put, "n", 5)
    assert await store.do(meta.get, "n") == 5
    assert await store.do_samples(lambda db: db.execute("SELECT count(*) FROM tick").fetchone()[0]) == 0
    with pytest.raises(sqlite3.Error):
        await store.do_samples(meta.get, "n")
