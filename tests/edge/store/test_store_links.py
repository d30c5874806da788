"""The link log in the store, and jobs that ride in another transaction."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.site import Retention
from edge.store import journal, links, meta
from edge.store.database import RECORDS, open_database
from edge.store.links import Connected, Run, Sums
from edge.store.store import Store
from edge.values import HOUR_MS

NOON = 1_790_049_600_000
UP = Connected("city/ww1", NOON, "a:9212", "10.0.0.1:9212")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path, retention=Retention(), on_event=lambda _code, _params: None)


def test_a_rider_makes_no_transaction_of_its_own_and_runs_in_the_next_one(store: Store) -> None:
    rider = store.ride(meta.put, "rode", 1)
    store.call_samples(lambda db: None).result(5)
    assert not rider.done()
    assert store.call(meta.get, "rode").result(5) == 1
    rider.result(5)
    store.close()


def test_a_rider_that_nothing_came_for_runs_when_the_store_closes(tmp_path: Path, store: Store) -> None:
    rider = store.ride(meta.put, "rode", 1)
    store.close()
    assert rider.done()
    db, _ = open_database(tmp_path, RECORDS, "", lambda _code, _params: None)
    assert meta.get(db, "rode") == 1
    db.close()


def test_a_rider_that_fails_leaves_the_others_work_alone(store: Store) -> None:
    rider = store.ride(lambda db: db.execute("SELECT * FROM nowhere"))
    assert store.call(journal.append, "x", "y", {}, NOON).result(5) == 1
    assert rider.exception(5) is not None
    store.close()


def test_an_end_is_kept_whichever_of_begin_and_end_is_written_last(store: Store) -> None:
    ended = Connected("city/ww1", NOON, "a:9212", "10.0.0.1:9212", NOON + 5, "closed")
    for rows in ([UP], [ended], [UP]):
        store.call(links.keep, NOON, rows, {}, NOON).result(5)
    assert store.call(links.connections, 0, NOON * 2).result(5) == [ended]
    store.close()


def test_sums_of_an_hour_add_up_and_the_longest_stays(store: Store) -> None:
    for more in (
        Sums(bytes_in=5, trips=1, trips_ms=70, longest_ms=70),
        Sums(bytes_in=7, trips=2, trips_ms=40, longest_ms=30),
    ):
        store.call(links.keep, NOON, [], {"city": more}, NOON).result(5)
    store.call(links.keep, NOON + HOUR_MS, [], {"city": Sums(failures=1)}, NOON).result(5)
    first = Sums(bytes_in=12, trips=3, trips_ms=110, longest_ms=70)
    assert store.call(links.sums, NOON, NOON + HOUR_MS).result(5) == {"city": first}
    assert store.call(links.sums, NOON, NOON + 2 * HOUR_MS).result(5) == {"city": first + Sums(failures=1)}
    store.close()


def test_after_a_kill_run_and_connection_end_when_they_were_last_known_to_live(store: Store) -> None:
    store.call(links.begin, NOON, NOON).result(5)
    store.call(links.keep, NOON, [UP], {}, NOON + 60_000).result(5)
    store.call(links.begin, NOON + HOUR_MS, NOON + HOUR_MS).result(5)
    (connection,) = store.call(links.connections, 0, NOON * 2).result(5)
    assert (connection.ended, connection.cause) == (NOON + 60_000, "killed")
    assert store.call(links.runs, 0, NOON * 2).result(5) == [
        Run(NOON, NOON + 60_000, "killed"),
        Run(NOON + HOUR_MS, None, None),
    ]
    store.call(links.end, NOON + 2 * HOUR_MS).result(5)
    assert store.call(links.runs, NOON + HOUR_MS, NOON * 2).result(5) == [
        Run(NOON + HOUR_MS, NOON + 2 * HOUR_MS, "stopped")
    ]
    store.close()


def test_the_log_goes_when_its_time_is_over_but_not_what_still_goes_on(store: Store) -> None:
    old = Connected("city", NOON, "a:1", "p", NOON + 1, "reset")
    store.call(links.begin, NOON, NOON).result(5)
    store.call(links.keep, NOON, [old, Connected("city", NOON + 2, "a:1", "p")], {"city": Sums(sent=1)}, NOON).result(5)
    later = NOON + 396 * 24 * HOUR_MS
    assert store.call(links.sweep, later).result(5) == 2
    assert [one.began for one in store.call(links.connections, 0, later).result(5)] == [NOON + 2]
    assert store.call(links.runs, 0, later).result(5) == [Run(NOON, None, None)]
    store.close()
