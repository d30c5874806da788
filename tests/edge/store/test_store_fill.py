"""What a platform gets of the past that was added later: `from`, decided once, nothing twice, nothing left out."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from storekit import NOON

from config.site import Access, Platform
from edge.filling import dues, since_ms
from edge.store import fill, outbox, records
from edge.store.fill import Fill
from edge.store.outbox import Due
from edge.uplink.terms import Terms
from edge.values import DAY_MS, HOUR_MS, MINUTE_MS, Kind, Record

HOURS = 30
FIRST = NOON - HOURS * HOUR_MS
LAST_MINUTE = NOON + 6 * MINUTE_MS
"""12:06 is the newest sealed minute: its 10 minutes are still open."""


def terms(name: str = "late", **changes: Any) -> Terms:
    site = Platform(edition="2017", address="late.example:1", outlets={"ww1": Access(mn="M1")}, **changes)
    return Terms(name, "ww1", "32", site, site.outlets["ww1"])


def seal(db: sqlite3.Connection, kind: Kind, start: int, dues: tuple[Due, ...] = (), **more: Any) -> None:
    records.seal(db, [Record("ww1", kind, "w01018", start, avg=1.0, count=12, **more)], dues, NOON)


@pytest.fixture
def past(db: sqlite3.Connection) -> sqlite3.Connection:
    """30 hours of minutes, hours and one day of ww1, and minutes of another outlet."""
    for start in range(FIRST, LAST_MINUTE + 1, MINUTE_MS):
        seal(db, Kind.MINUTE, start)
        records.seal(db, [Record("other", Kind.MINUTE, "w01018", start, avg=1.0, count=12)], (), NOON)
    for start in range(FIRST, NOON, HOUR_MS):
        seal(db, Kind.HOUR, start)
    seal(db, Kind.DAY, NOON - 36 * HOUR_MS)
    return db


def decide(db: sqlite3.Connection, wish: str, name: str = "late", minute: int = 10 * MINUTE_MS) -> Fill:
    return fill.decide(db, name, "ww1", since_ms(wish), minute)


def run(db: sqlite3.Connection, of: Fill, who: Terms, pages: int = 1000) -> Fill:
    """So many pages, or until it has ended; each page is small."""
    for _ in range(pages):
        if not of.goes_on:
            break
        of, added = fill.next_page(db, of, lambda found, until: dues(who, found, until), NOON)
        assert added <= 100
    return of


def labels(db: sqlite3.Connection, cn: str, name: str = "late") -> list[tuple[int, int | None]]:
    """(start, end) of all deliveries in the order in which they are sent."""
    rows = db.execute(
        'SELECT start, "end" FROM delivery AS d JOIN name AS n ON n.id = d.platform WHERE n.text = ? AND cn = ?'
        " ORDER BY start, d.id",
        (name, cn),
    )
    return [tuple(row) for row in rows]


def test_now_gets_nothing_of_the_past_and_that_is_the_default(past: sqlite3.Connection) -> None:
    assert terms().site.from_ == "now"
    assert not decide(past, "now").goes_on
    assert labels(past, "2051") == []


def test_all_gets_every_whole_period_once_oldest_first(past: sqlite3.Connection) -> None:
    done = run(past, decide(past, "all"), terms())
    assert not done.goes_on
    # 12:00-12:10 is open: it is due when its last minute is sealed
    tens = [(start, start + 10 * MINUTE_MS) for start in range(FIRST, NOON, 10 * MINUTE_MS)]
    assert labels(past, "2051") == tens
    assert labels(past, "2061") == [(start, None) for start in range(FIRST, NOON, HOUR_MS)]
    assert labels(past, "2031") == [(NOON - 36 * HOUR_MS, None)]
    waiting = [one.start for one in outbox.open_deliveries(past, "late", "ww1")]
    assert waiting == sorted(waiting)
    assert outbox.counts(past)[0].lost == 0


def test_a_date_gets_what_is_labelled_since_then_in_beijing(past: sqlite3.Connection) -> None:
    run(past, decide(past, "2026-09-22"), terms(minute=MINUTE_MS))
    midnight = NOON - 12 * HOUR_MS
    assert [start for start, _ in labels(past, "2061")] == list(range(midnight, NOON, HOUR_MS))
    assert labels(past, "2051")[0] == (midnight, midnight + MINUTE_MS)
    assert labels(past, "2031") == []


def test_a_date_to_come_is_now(past: sqlite3.Connection) -> None:
    assert not decide(past, "2027-01-01").goes_on


@pytest.mark.parametrize("pages", [1, 2, 7])
def test_a_filling_that_was_interrupted_goes_on_where_it_was(past: sqlite3.Connection, pages: int) -> None:
    for _ in range(100):
        run(past, decide(past, "all"), terms(), pages)  # a start, some pages, and the power is gone
    assert len(labels(past, "2051")) == HOURS * 6
    assert len(set(labels(past, "2051"))) == HOURS * 6
    assert len(labels(past, "2061")) == HOURS


def test_what_is_sealed_while_it_fills_is_in_the_outbox_once(past: sqlite3.Connection) -> None:
    of = run(past, decide(past, "all"), terms(), 3)
    seal(past, Kind.MINUTE, LAST_MINUTE + MINUTE_MS)
    last_ten = Due("late", "ww1", "2051", NOON, end=NOON + 10 * MINUTE_MS)
    seal(past, Kind.MINUTE, NOON + 9 * MINUTE_MS, (last_ten,))
    seal(past, Kind.HOUR, NOON, (Due("late", "ww1", "2061", NOON),))
    run(past, of, terms())
    assert [start for start, _ in labels(past, "2051")] == list(range(FIRST, NOON + 1, 10 * MINUTE_MS))
    assert [start for start, _ in labels(past, "2061")] == list(range(FIRST, NOON + 1, HOUR_MS))


def test_a_platform_that_was_there_before_gets_nothing_twice_whatever_from_says(past: sqlite3.Connection) -> None:
    seal(past, Kind.HOUR, NOON - DAY_MS - HOUR_MS * 20, (Due("old", "ww1", "2061", NOON - HOUR_MS),))
    assert not decide(past, "all", "old").goes_on
    assert not decide(past, "2026-09-01", "old").goes_on
    assert len(labels(past, "2061", "old")) == 1


def test_an_earlier_from_set_later_adds_what_lies_before_and_only_that(past: sqlite3.Connection) -> None:
    run(past, decide(past, "2026-09-22"), terms())
    before = labels(past, "2061")
    of = decide(past, "all")
    assert (of.place, of.until) == (0, NOON - 12 * HOUR_MS)
    run(past, of, terms())
    assert len(labels(past, "2061")) == HOURS
    assert set(before) < set(labels(past, "2061"))
    assert not decide(past, "all").goes_on
    assert not decide(past, "now").goes_on
    assert not decide(past, "all").goes_on  # to and fro: nothing is asked for again


def test_now_ends_a_filling_that_was_a_mistake(past: sqlite3.Connection) -> None:
    run(past, decide(past, "all"), terms(), 2)
    some = len(labels(past, "2061"))
    assert 0 < some < HOURS
    assert not run(past, decide(past, "now"), terms()).goes_on
    assert len(labels(past, "2061")) == some
    run(past, decide(past, "all"), terms())  # and after all
    assert len(labels(past, "2061")) == HOURS


def test_past_data_bear_their_newest_marks_since_they_are_sent_for_the_first_time(past: sqlite3.Connection) -> None:
    (sealed,) = records.of_period(past, "ww1", Kind.HOUR, FIRST)
    records.revise(past, [sealed], (), NOON)
    run(past, decide(past, "all"), terms())
    first = next(one for one in outbox.open_deliveries(past, "late", "ww1") if one.cn == "2061")
    assert (first.start, first.revision) == (FIRST, 1)


def test_without_records_there_is_nothing_to_fill_and_never_will_be(db: sqlite3.Connection) -> None:
    assert not decide(db, "all").goes_on
    seal(db, Kind.HOUR, NOON)
    assert not decide(db, "all").goes_on


def test_equipment_has_its_running_times_of_the_day_and_nothing_else(db: sqlite3.Connection) -> None:
    day = NOON - 36 * HOUR_MS
    running = Record("ww1", Kind.DAY, "SB1", day, cou=3.5, count=12)
    minute = Record("ww1", Kind.MINUTE, "SB1", day, count=12)
    records.seal(db, [running, minute], (), NOON)
    run(db, decide(db, "all"), terms())
    assert labels(db, "2041") == [(day, None)]
    assert labels(db, "2051") == []
