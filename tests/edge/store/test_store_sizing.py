"""The sizing formula against stores that were filled with a day of data."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from filled import fill

from config.site import Retention
from edge.store.sizing import Plan, row_bytes, sizes
from edge.values import MINUTE_MS


@pytest.mark.parametrize(
    ("points", "every_s", "platforms", "minute_min"), [(30, 5, 2, 1), (10, 5, 1, 10), (20, 15, 1, 1)]
)
def test_formula_and_a_filled_store_agree_within_15_percent(
    tmp_path: Path, points: int, every_s: int, platforms: int, minute_min: int
) -> None:
    files = fill(tmp_path, points, every_s, platforms, minute_min)
    plan = Plan(points, every_s * 1000, platforms, minute_min * MINUTE_MS)
    per_day = {share.name: share.per_day for share in sizes(plan, Retention())}
    samples = per_day.pop("samples")
    assert files["samples.db"] == pytest.approx(samples, rel=0.15)
    assert files["records.db"] == pytest.approx(sum(per_day.values()), rel=0.15)


@pytest.mark.parametrize("size", [60, 113, 163, 500, 600, 900, 1100, 1500, 2500, 5000])
def test_a_rows_share_of_the_pages_is_what_sqlite_takes(size: int) -> None:
    db = sqlite3.connect(":memory:")
    db.execute("PRAGMA page_size = 1024")
    db.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, data BLOB)")
    db.executemany("INSERT INTO a VALUES (?, ?)", [(10**12 + number, bytes(size - 3)) for number in range(2_000)])
    taken = db.execute("PRAGMA page_count").fetchone()[0] * 1024
    assert taken / 2_000 == pytest.approx(row_bytes(size), rel=0.1)
    db.close()


def test_what_is_kept_longer_takes_more_and_what_is_constant_does_not() -> None:
    short, long = (
        {share.name: share.total for share in sizes(Plan(30), Retention(minute=days * 86_400_000))} for days in (30, 60)
    )
    assert long["minute"] == pytest.approx(2 * short["minute"], abs=2)
    assert long["wal"] == short["wal"]
