"""Marks that came later, and stops, on one platform's wire."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from virtual_time import NOON, InlineStore, site_platform

from config.site import Access, Outlet
from edge.measure.engine import Engine
from edge.measure.rules import factor_rule
from edge.measure.stops import Stops
from edge.store import outbox, records
from edge.store.delivery import Due
from edge.uplink.build import Builder
from edge.uplink.history import SealedRecords
from edge.uplink.terms import Terms
from edge.values import HOUR_MS, MINUTE_MS, Kind, Record
from protocol.region import write

WATER = Outlet(name="总排口", st="32", statistics="water")
FACTORS = {"w01001": factor_rule("w01001")}
TEN = 10 * MINUTE_MS


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    store = InlineStore(tmp_path)
    yield store.db
    store.close()


def builder(stops: Stops | None = None, **platform: Any) -> Builder:
    site = site_platform(minute=TEN, **platform)
    terms = Terms("city", "ww1", "32", site, Access(mn="M1", password="123456"))
    return Builder(terms, Engine(WATER, "ww1", FACTORS), {}, stops=stops or Stops())


def minute(number: int, value: float, mark: str = "N") -> Record:
    start = NOON + number * MINUTE_MS
    return Record("ww1", Kind.MINUTE, "w01001", start, min=value, avg=value, max=value, count=12, mark=mark)


def ten(values: float = 7.0) -> list[Record]:
    """Nine minutes of 7.0 and one of 9.0: mean 7.2."""
    return [minute(number, values) for number in range(9)] + [minute(9, 9.0)]


def due(revision: int = 0) -> Due:
    return Due("city", "ww1", "2051", NOON, revision=revision, end=NOON + TEN)


def sent(one: Builder, db: sqlite3.Connection, delivery: int) -> str:
    """The data region of a delivery's first packet."""
    found, broken = one.prepare(db, [delivery], 0, NOON + HOUR_MS)
    assert not broken
    return found[0].packet.data.decode().partition("CP=&&")[2].partition("&&")[0]


def revised(db: sqlite3.Connection, number: int, mark: str, platforms: tuple[str, ...] = ("city",)) -> list[int]:
    there = records.newest(records.of_period(db, "ww1", Kind.MINUTE, NOON + number * MINUTE_MS))
    _, ids = records.revise(db, [replace(there[0], mark=mark, count=0)], platforms, NOON + HOUR_MS)
    return ids


NORMAL = "w01001-Min=7.00,w01001-Avg=7.20,w01001-Max=9.00,w01001-Flag=N"


def test_a_revision_carries_the_same_numbers_under_the_new_mark(db: sqlite3.Connection) -> None:
    (first,) = records.seal(db, ten(), [due()], NOON)
    assert NORMAL in sent(builder(), db, first)
    (again,) = revised(db, 9, "C")
    # by the rules the other nine alone would give 7.00: what was sent stays, the mark alone is new
    assert NORMAL.replace("Flag=N", "Flag=C") in sent(builder(), db, again)
    assert [outbox.by_id(db, again).revision] == [1]  # type: ignore[union-attr]  # it is there


def test_what_waits_unsent_goes_out_as_it_was_sealed_and_then_as_it_is_marked(db: sqlite3.Connection) -> None:
    (first,) = records.seal(db, ten(), [due()], NOON)
    (again,) = revised(db, 9, "C")
    assert "Flag=N" in sent(builder(), db, first)
    assert "Flag=C" in sent(builder(), db, again)


def test_each_revision_of_any_minute_is_a_delivery_of_its_own(db: sqlite3.Connection) -> None:
    records.seal(db, ten(), [due()], NOON)
    ids = [*revised(db, 9, "C"), *revised(db, 3, "M"), *revised(db, 9, "N")]
    assert len(set(ids)) == 3
    # nine N, one M: any abnormal value marks the ten minutes
    assert [sent(builder(), db, each).rpartition("=")[2] for each in ids][-1] == "M"


def test_a_minute_marked_before_its_interval_was_due_goes_out_marked_once(db: sqlite3.Connection) -> None:
    records.seal(db, ten()[:9], [], NOON)
    assert revised(db, 3, "M") == []
    (first,) = records.seal(db, ten()[9:], [due()], NOON)
    # by the rules: the eight N minutes of 7.0 and the one of 9.0 enter, (8 × 7 + 9) ÷ 9 = 7.222
    expected = "w01001-Min=7.00,w01001-Avg=7.22,w01001-Max=9.00,w01001-Flag=M"
    assert expected in sent(builder(), db, first)
    assert records.seal(db, [], [due()], NOON) == []
    # what comes later does not reach back into that packet, nor does it change its numbers
    (again,) = revised(db, 9, "C")
    assert expected in sent(builder(), db, again)


def test_history_repeats_what_was_sent_or_what_holds_where_it_may(
    db: sqlite3.Connection,
) -> None:
    records.seal(db, [*ten(), minute(10, 7.0)], [due()], NOON)
    revised(db, 9, "C", platforms=())
    for wish, mark in (("off", "N"), ("marks", "C")):
        bodies, _ = SealedRecords(builder(revisions=wish), "2051", NOON, NOON).page(db, 0, 10)
        (body,) = bodies
        text = body if isinstance(body, str) else write(body)
        assert NORMAL.replace("Flag=N", f"Flag={mark}") in text


@pytest.mark.parametrize(
    ("wish", "stop", "mark", "flag"),
    [
        ("F", (NOON - 1, None), "N", "F"), ("N", (NOON - 1, None), "N", "N"), ("F", (NOON + 1, None), "N", "N"),
        ("F", (NOON, NOON + TEN), "N", "F"), ("F", (NOON, NOON + TEN - 1), "N", "N"),
        ("F", (NOON, NOON + TEN), "M", "M"),
    ],
)  # fmt: skip
def test_data_of_a_stopped_source_bear_f_where_the_platform_wants_it(
    db: sqlite3.Connection, wish: str, stop: tuple[int, int | None], mark: str, flag: str
) -> None:
    stops = Stops()
    stops.put({"ww1": [stop]})
    (first,) = records.seal(db, [minute(number, 7.0, mark) for number in range(10)], [due()], NOON)
    assert f"w01001-Avg=7.00,w01001-Max=7.00,w01001-Flag={flag}" in sent(builder(stops, stopped=wish), db, first)
    assert {record.mark for record in records.of_period(db, "ww1", Kind.MINUTE, NOON)} == {mark}


def test_a_stop_of_half_an_hour_leaves_the_hour_normal(db: sqlite3.Connection) -> None:
    stops = Stops()
    stops.put({"ww1": [(NOON, NOON + HOUR_MS // 2)]})
    hour = Record("ww1", Kind.HOUR, "w01001", NOON, min=7.0, avg=7.0, max=7.0, count=60)
    (first,) = records.seal(db, [hour], [Due("city", "ww1", "2061", NOON)], NOON)
    assert "w01001-Flag=N" in sent(builder(stops, stopped="F"), db, first)
