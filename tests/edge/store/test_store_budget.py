"""Room: what goes before its time when the store has grown to its budget, and what never does."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from storekit import NOON, Events

from config.site import Retention
from edge.clock import SimulatedClock
from edge.store import budget, linklog, outbox, records, samples
from edge.store.outbox import Answer, Due
from edge.store.store import Store
from edge.values import DAY_MS, HOUR_MS, MINUTE_MS, Kind, Record, Sample

DAYS = 6
REPLY = Answer(b"answer", NOON, NOON, "peer", "city:1", "rehearsal", clock_plausible=True)


@pytest.fixture
def filled(tmp_path: Path, events: Events) -> Iterator[Store]:
    """Six days up to NOON: the first two days of minutes are answered, the others wait."""
    told = lambda code, params: events.append((code, params))  # noqa: E731  # one use
    store = Store(tmp_path, retention=Retention(), on_event=told, clock=SimulatedClock(NOON, 0.0))
    for start in range(NOON - DAYS * DAY_MS, NOON, 10 * MINUTE_MS):
        store.call(ten_minutes, start).result()
        store.call_samples(samples.append, start, [Sample(start, "ww1", "w01018", 1.5, "N")]).result()
    packets = [linklog.Logged(NOON, "city", "ww1", True, b"x" * 500) for _ in range(300)]
    store.call_samples(linklog.log, packets).result()
    yield store
    store.close()


def ten_minutes(db: sqlite3.Connection, start: int) -> None:
    minutes = [Record("ww1", Kind.MINUTE, "w01018", start + n * MINUTE_MS, avg=1.5, count=12) for n in range(10)]
    hours = [Record("ww1", Kind.HOUR, "w01018", start, avg=1.5, count=60)] if start % HOUR_MS == 0 else []
    dues = [
        Due("city", "ww1", "2051", start, end=start + 10 * MINUTE_MS),
        Due("city", "ww1", "2011", start, kept=False, payload=b"realtime"),
    ]
    kept, live = records.seal(db, minutes + hours, dues, start)
    done = (live, kept) if start < NOON - (DAYS - 2) * DAY_MS else (live,)
    for key in done:
        build = lambda found, _: [(outbox.qn_for(db, start), 1, 1, b"f" * 600)]  # noqa: E731  # one use
        (packet,) = outbox.prepare(db, key, build, lambda packet: True, start)
        outbox.answered(db, "city", packet.qn, REPLY)


def count(store: Store, query: str, on_samples: bool = False) -> int:
    run = store.call_samples if on_samples else store.call
    return int(run(lambda db: db.execute(query).fetchone()[0]).result())


def sweep_until_quiet(store: Store) -> None:
    async def run() -> None:
        for _ in range(2_000):
            if not await store.sweep(NOON):
                return
        raise AssertionError("it never comes to an end")

    asyncio.run(run())


def test_within_its_budget_nothing_goes(filled: Store) -> None:
    sweep_until_quiet(filled)
    assert filled.call(budget.counters).result() == {}


def test_without_room_all_goes_but_what_waits_and_what_is_still_needed(filled: Store, events: Events) -> None:
    filled._limits = replace(filled._limits, budget="1MB")
    assert sum(filled.call(budget.used).result()) > 1_000_000
    open_before = count(filled, "SELECT count(*) FROM delivery WHERE state < 2")
    needed = count(filled, f"SELECT count(*) FROM record WHERE kind = 1 AND start >= {NOON - (DAYS - 2) * DAY_MS}")
    sweep_until_quiet(filled)
    assert count(filled, "SELECT count(*) FROM delivery WHERE state < 2") == open_before == 4 * 144
    assert count(filled, "SELECT count(*) FROM record WHERE kind = 1") >= needed == 4 * 1440
    assert [row.lost for row in filled.call(outbox.counts).result()] == [0]
    assert count(filled, f"SELECT count(*) FROM tick WHERE time >= {NOON - DAY_MS}", on_samples=True) == 144
    dropped = filled.call(budget.counters).result()
    assert dropped["link"] == 300
    assert dropped["realtime"] == DAYS * 144
    said = [params for code, params in events if code == "store.dropped"]
    assert {one["what"]: one["rows"] for one in said} == dropped
    order = list(dict.fromkeys(one["what"] for one in said))
    wanted = ["link", "realtime", "samples", "packets", "minute", "deliveries", "hour", "day"]
    assert order == [what for what in wanted if what in order]


def test_only_as_much_goes_as_is_needed(filled: Store) -> None:
    taken = sum(each[0] for each in (filled.call(budget.used).result(), filled.call_samples(budget.used).result()))
    filled._limits = replace(filled._limits, budget=f"{taken // 1_000_000}MB")
    sweep_until_quiet(filled)
    dropped = filled.call(budget.counters).result()
    assert set(dropped) <= {"link", "realtime", "samples"}
    assert count(filled, "SELECT count(*) FROM record WHERE kind = 1") == DAYS * 1440


def test_a_disk_that_is_nearly_full_is_as_a_budget_that_is_reached(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 1_000_000

    monkeypatch.setattr(budget, "disk_usage", lambda folder: Usage)
    sweep_until_quiet(filled)
    assert filled.call(budget.counters).result()["link"] == 300
    assert count(filled, "SELECT count(*) FROM delivery WHERE state < 2") == 4 * 144


def test_on_a_full_disk_what_was_salvaged_goes_before_anything_of_value(
    filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 1_000_000

    old = [tmp_path / f"records.db.salvaged-20260901T080000{side}" for side in ("", "-wal")]
    kept = [
        tmp_path / "samples.db.salvaged-20260902T080000",
        tmp_path / "records.db.damaged-20260901T080000",
        tmp_path / "records.db.newer-20260801T080000",
    ]
    for path in (*old, *kept):
        path.write_bytes(b"as it was")
    before = count(filled, "SELECT count(*) FROM record")
    monkeypatch.setattr(budget, "disk_usage", lambda _: Usage)
    assert asyncio.run(filled.sweep(NOON)) is True
    assert ([path.exists() for path in old], [path.exists() for path in kept]) == ([False] * 2, [True] * 3)
    assert filled.call(budget.counters).result() == {"salvaged": 1}
    assert count(filled, "SELECT count(*) FROM record") == before
    sweep_until_quiet(filled)
    assert [path.exists() for path in kept] == [False, True, True]


def test_a_salvaged_file_that_cannot_be_deleted_holds_nothing_up(
    filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 1_000_000

    stuck, next_one = (tmp_path / f"records.db.salvaged-2026090{day}T080000" for day in (1, 2))
    stuck.mkdir()
    next_one.write_bytes(b"as it was")
    monkeypatch.setattr(budget, "disk_usage", lambda _: Usage)
    sweep_until_quiet(filled)
    assert (stuck.exists(), next_one.exists()) == (True, False)
    assert filled.call(budget.counters).result()["link"] == 300
