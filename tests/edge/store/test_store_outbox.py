"""The outbox: packets before bytes, answers to any QN, split parts, refusals, and the balance called lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from storekit import NOON

from config.site import Retention
from edge.store import migrate, outbox, records, retention
from edge.store.outbox import Answer, Built, Delivery, Due, OpenPacket, State
from edge.values import DAY_MS, MINUTE_MS, Kind, Record
from protocol.times import parse_time

MINUTE_DUE = Due("city", "ww1", "2051", NOON)
COD = Record("ww1", Kind.MINUTE, "w01018", NOON, min=1.0, avg=2.5, max=4.0, count=12)


def answer(at_ms: int = NOON) -> Answer:
    return Answer(b"9014", at_ms, at_ms - 50, "127.0.0.1:9212", "city.example:9212", "official", True)


def put(db: sqlite3.Connection, due: Due = MINUTE_DUE, now_ms: int = NOON) -> int:
    (key,) = records.seal(db, [COD], [due], now_ms)
    return key


def issue(
    db: sqlite3.Connection, key: int, parts: int = 1, *, fresh: bool = True, now_ms: int = NOON
) -> list[OpenPacket]:
    def build(found: Delivery, rows: list[Record]) -> Sequence[Built]:
        return [
            (outbox.qn_for(db, now_ms), part, parts, b"part %d of %d;MN=A1;" % (part, parts))
            for part in range(1, parts + 1)
        ]

    return outbox.prepare(db, key, build, lambda packet: fresh, now_ms)


def only(db: sqlite3.Connection) -> outbox.Counts:
    (found,) = outbox.counts(db)
    return found


def what_the_builder_gets(db: sqlite3.Connection, key: int) -> tuple[Delivery, list[Record]]:
    seen: list[tuple[Delivery, list[Record]]] = []

    def build(found: Delivery, rows: list[Record]) -> Sequence[Built]:
        seen.append((found, rows))
        return []

    assert outbox.prepare(db, key, build, lambda packet: True, NOON) == []
    (got,) = seen
    return got


def test_the_builder_gets_the_delivery_and_its_sealed_records(db: sqlite3.Connection) -> None:
    found, rows = what_the_builder_gets(db, put(db))
    assert (found.platform, found.outlet, found.cn, found.start, found.kept) == ("city", "ww1", "2051", NOON, True)
    assert rows == [COD]


def test_a_longer_minute_interval_brings_all_its_minutes(db: sqlite3.Connection) -> None:
    minutes = [
        Record("ww1", Kind.MINUTE, factor, NOON + number * MINUTE_MS, avg=float(number))
        for number in range(12)
        for factor in ("w01018", "w00000")
    ]
    (key,) = records.seal(db, minutes, [Due("city", "ww1", "2051", NOON, end=NOON + 10 * MINUTE_MS)], NOON)
    assert what_the_builder_gets(db, key)[1] == minutes[:20]


def test_a_revision_sends_the_newest_row_up_to_it(db: sqlite3.Connection) -> None:
    revised = Record("ww1", Kind.MINUTE, "w01018", NOON, 1, avg=2.5, mark="M")
    other = Record("ww1", Kind.MINUTE, "w21003", NOON, avg=0.4)
    dues = [MINUTE_DUE, Due("city", "ww1", "2051", NOON, revision=1)]
    first, second = records.seal(db, [COD, revised, other], dues, NOON)
    assert what_the_builder_gets(db, first)[1] == [COD, other]
    assert what_the_builder_gets(db, second)[1] == [revised, other]


def test_a_payload_comes_back_with_its_delivery(db: sqlite3.Connection) -> None:
    (key,) = outbox.enqueue(db, [Due("city", "ww1", "2041", NOON, payload=b"RS=1")], NOON)
    found, rows = what_the_builder_gets(db, key)
    assert (found.payload, rows) == (b"RS=1", [])


def test_a_fresh_packet_comes_back_byte_for_byte_and_a_stale_one_is_issued_anew(db: sqlite3.Connection) -> None:
    key = put(db)
    first = issue(db, key)
    assert issue(db, key) == first
    second = issue(db, key, fresh=False)
    assert second[0].qn > first[0].qn
    assert only(db).sent == 1


def test_bytes_that_changed_on_the_disk_are_neither_sent_nor_evidence_and_the_delivery_is_issued_anew(
    db: sqlite3.Connection,
) -> None:
    key = put(db)
    (first,) = issue(db, key)
    bad = bytes([first.data[0] ^ 1]) + first.data[1:]
    db.execute("UPDATE frame SET data = ?", (bad,))
    assert outbox.first_issue(db, key) == []
    (second,) = issue(db, key)
    assert second.qn > first.qn
    assert second.data != bad
    result = outbox.answered(db, "city", first.qn, answer())
    assert result is not None
    assert (result.delivered, result.receipt) == (True, None)


def test_an_answer_to_the_old_qn_of_a_reissued_delivery_delivers_it(db: sqlite3.Connection) -> None:
    key = put(db)
    (old,), (new,) = issue(db, key), issue(db, key, fresh=False)
    result = outbox.answered(db, "city", old.qn, answer())
    assert result is not None
    assert (result.first, result.delivered, result.delivery.id) == (True, True, key)
    assert outbox.open_deliveries(db, "city", "ww1") == []
    assert issue(db, key) == []
    late = outbox.answered(db, "city", new.qn, answer())
    assert late is not None
    assert (only(db).answered, only(db).lost) == (1, 0)


def test_a_repeated_answer_changes_nothing(db: sqlite3.Connection) -> None:
    (packet,) = issue(db, put(db))
    first = outbox.answered(db, "city", packet.qn, answer(), backfilled=True)
    second = outbox.answered(db, "city", packet.qn, answer(NOON + 999), backfilled=True)
    assert first is not None
    assert second is not None
    assert (first.first, second.first) == (True, False)
    assert (only(db).answered, only(db).backfilled) == (1, 1)


def test_answers_to_unknown_qns_and_of_other_platforms_count_nothing(db: sqlite3.Connection) -> None:
    (packet,) = issue(db, put(db))
    assert outbox.answered(db, "city", "20260922120000999", answer()) is None
    assert outbox.answered(db, "city", "garbage", answer()) is None
    assert outbox.answered(db, "county", packet.qn, answer()) is None
    assert len(outbox.open_deliveries(db, "city", "ww1")) == 1


def test_a_split_delivery_is_delivered_with_its_last_part_and_resends_only_the_others(db: sqlite3.Connection) -> None:
    key = put(db)
    one, two, three = issue(db, key, parts=3)
    result = outbox.answered(db, "city", two.qn, answer())
    assert result is not None
    assert not result.delivered
    assert issue(db, key, parts=3) == [one, three]
    outbox.answered(db, "city", one.qn, answer())
    last = outbox.answered(db, "city", three.qn, answer())
    assert last is not None
    assert last.delivered


def test_parts_answered_in_different_issues_do_not_add_up_to_a_delivery(db: sqlite3.Connection) -> None:
    key = put(db)
    one, two = issue(db, key, parts=2)
    outbox.answered(db, "city", one.qn, answer())
    again = issue(db, key, parts=2, fresh=False)
    assert [packet.pno for packet in again] == [1, 2]
    half = outbox.answered(db, "city", again[1].qn, answer())
    assert half is not None
    assert not half.delivered
    whole = outbox.answered(db, "city", two.qn, answer())
    assert whole is not None
    assert whole.delivered


def test_deliveries_come_oldest_first_in_pages_and_by_kind(db: sqlite3.Connection) -> None:
    starts = [NOON + number * MINUTE_MS for number in range(250)]
    dues = [Due("city", "ww1", cn, start, payload=b"x") for start in reversed(starts) for cn in ("2051", "2061")]
    db.execute("BEGIN")
    outbox.enqueue(db, dues, NOON)
    db.execute("COMMIT")
    seen: list[Delivery] = []
    while page := outbox.open_deliveries(db, "city", "ww1", 100, seen[-1].cursor if seen else None):
        assert len(page) <= 100
        seen += page
    assert [found.start for found in seen] == sorted(starts * 2)
    hours = outbox.open_deliveries(db, "city", "ww1", 5, cns=["2061"])
    assert [(found.cn, found.start) for found in hours] == [("2061", start) for start in starts[:5]]
    assert outbox.open_deliveries(db, "city", "other") == []


def test_the_same_due_twice_is_one_delivery(db: sqlite3.Connection) -> None:
    assert len(outbox.enqueue(db, [MINUTE_DUE, MINUTE_DUE], NOON)) == 1
    assert outbox.enqueue(db, [MINUTE_DUE], NOON) == []
    assert outbox.depth(db) == [outbox.Depth("city", "ww1", "2051", 1, NOON, 0)]


def test_realtime_expires_and_a_late_answer_still_counts(db: sqlite3.Connection) -> None:
    key = put(db, Due("city", "ww1", "2011", NOON, kept=False, payload=b"live"))
    (packet,) = issue(db, key)
    assert outbox.expire(db, "city", "ww1", "2011", NOON + 1) == 1
    assert (only(db).expired, only(db).lost) == (1, 0)
    assert outbox.open_deliveries(db, "city", "ww1") == []
    late = outbox.answered(db, "city", packet.qn, answer())
    assert late is not None
    assert late.receipt is not None
    assert (only(db).expired, only(db).answered) == (0, 1)


def test_kept_deliveries_never_expire(db: sqlite3.Connection) -> None:
    put(db)
    assert outbox.expire(db, "city", "ww1", "2051", NOON + 1) == 0


def test_written_without_an_answer_is_unconfirmed_until_an_answer_comes_after_all(db: sqlite3.Connection) -> None:
    one, two = issue(db, put(db), parts=2)
    outbox.written_unconfirmed(db, one.qn, NOON)
    assert only(db).unconfirmed == 0
    outbox.written_unconfirmed(db, two.qn, NOON)
    assert (only(db).unconfirmed, only(db).answered, only(db).lost) == (1, 0, 0)
    assert outbox.open_deliveries(db, "city", "ww1") == []
    for packet in (one, two):
        outbox.answered(db, "city", packet.qn, answer())
    assert (only(db).unconfirmed, only(db).answered, only(db).lost) == (0, 1, 0)


def test_a_refused_packet_is_issued_anew_and_steps_aside_after_five_times(db: sqlite3.Connection) -> None:
    key = put(db)
    qns = set()
    for _ in range(5):
        (packet,) = issue(db, key)
        qns.add(packet.qn)
        outbox.refused(db, "city", packet.qn, "2", NOON)
    assert len(qns) == 5
    assert issue(db, key) == []
    assert (only(db).rejected, only(db).lost) == (1, 0)
    assert outbox.depth(db)[0].aside == 1
    assert outbox.retry(db, "city") == 1
    (packet,) = issue(db, key)
    outbox.answered(db, "city", packet.qn, answer())
    assert (only(db).rejected, only(db).answered) == (0, 1)


def test_giving_up_lets_the_delivery_wait_while_others_go_on(db: sqlite3.Connection) -> None:
    key = put(db)
    issue(db, key)
    outbox.gave_up(db, key, NOON)
    assert outbox.open_deliveries(db, "city", "ww1", now_ms=NOON + 59_999) == []
    (found,) = outbox.open_deliveries(db, "city", "ww1", now_ms=NOON + 60_000)
    assert found.attempts == 1
    assert outbox.never_answered(db, "city") == ["2051"]
    two_hours_back = NOON - 2 * 3_600_000
    assert len(outbox.open_deliveries(db, "city", "ww1", now_ms=two_hours_back)) == 1


def test_nothing_is_lost_until_a_row_is_deleted_by_hand(db: sqlite3.Connection) -> None:
    first = put(db)
    put(db, Due("city", "ww1", "2061", NOON, payload=b"hour"))
    (packet,) = issue(db, first)
    assert only(db).lost == 0
    outbox.answered(db, "city", packet.qn, answer())
    assert only(db).lost == 0
    db.execute("DELETE FROM delivery WHERE cn = '2061'")
    assert only(db).lost == 1


def test_a_record_deleted_under_its_open_delivery_is_lost(db: sqlite3.Connection) -> None:
    put(db)
    db.execute("DELETE FROM record")
    assert only(db).lost == 1


def test_states_are_named_as_the_table_numbers_them() -> None:
    assert [state.name for state in State] == ["OPEN", "ASIDE", "DELIVERED", "UNCONFIRMED", "EXPIRED"]


def test_a_qn_is_the_clock_where_the_clock_moves_on(db: sqlite3.Connection) -> None:
    assert outbox.last_qn(db) is None
    assert outbox.qn_for(db, NOON) == "20260922120000000"
    assert outbox.qn_for(db, NOON) == "20260922120000001"
    assert outbox.qn_for(db, NOON - 3_600_000) == "20260922120000002"
    assert outbox.qn_for(db, NOON + 59_999) == "20260922120059999"
    assert outbox.last_qn(db) == "20260922120059999"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-7_200_000, 7_200_000), max_size=40))
def test_qns_rise_strictly_whatever_the_clock_does(steps: list[int]) -> None:
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrate.migrate(db, "records")
    now, seen = NOON, []
    for step in steps:
        now += step
        seen.append(outbox.qn_for(db, now))
        assert parse_time(seen[-1]) >= now
    assert seen == sorted(set(seen))
    db.close()


def test_retention_does_not_read_all_that_was_ever_answered(db: sqlite3.Connection) -> None:
    for number in range(3_000):
        outbox.enqueue(db, [replace(MINUTE_DUE, start=NOON + number * MINUTE_MS, end=None)], NOON)
    db.execute("UPDATE delivery SET state = 2")
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    db.set_progress_handler(count, 100)
    assert retention.sweep(db, NOON, Retention()) == 0
    db.set_progress_handler(None, 0)
    assert steps < 50


def test_what_waits_for_a_platform_that_is_gone_keeps_its_records_for_a_time_and_no_longer(
    db: sqlite3.Connection,
) -> None:
    keep = Retention(minute=2 * DAY_MS, deliveries=3 * DAY_MS)
    served = {("city", "ww1")}
    sealed = [Record("ww1", Kind.MINUTE, "w01018", NOON, avg=1.0, count=12)]
    due = Due("gone", "ww1", "2051", NOON)
    records.seal(db, sealed, [MINUTE_DUE, due], NOON)
    state = "SELECT state FROM delivery AS d JOIN name AS n ON n.id = d.platform WHERE n.text = ?"

    def at(days: int) -> list[int | None]:
        assert retention.expire_unserved(db, NOON + days * DAY_MS + 1, keep, served) <= 1
        while retention.sweep(db, NOON + days * DAY_MS + 1, keep):
            pass
        rows = [db.execute(state, (name,)).fetchone() for name in ("city", "gone")]
        return [row and row[0] for row in rows] + [db.execute("SELECT count(*) FROM record").fetchone()[0]]

    assert at(days=2) == [State.OPEN, State.OPEN, 1]
    served.add(("gone", "ww1"))  # put back in time: it is sent
    assert at(days=4) == [State.OPEN, State.OPEN, 1]
    served.remove(("gone", "ww1"))
    assert at(days=4) == [State.OPEN, State.EXPIRED, 1]  # what the other waits for needs the record
    counts = {row.platform: row for row in outbox.counts(db)}
    assert (counts["gone"].expired, counts["gone"].lost, counts["city"].expired) == (1, 0, 0)
    served.clear()
    assert at(days=4) == [None, None, 0]


def test_a_part_lost_with_a_damaged_page_is_not_missed_silently(db: sqlite3.Connection) -> None:
    key = put(db)
    one, two, three = issue(db, key, parts=3)
    db.execute("DELETE FROM frame WHERE qn = ?", (int(two.qn),))
    assert outbox.first_issue(db, key) == []  # the records say what was in it
    assert [packet.pno for packet in issue(db, key, parts=3)] == [1, 2, 3]
    db.execute("DELETE FROM packet WHERE qn = ?", (int(two.qn),))
    for part in (one, three):
        result = outbox.answered(db, "city", part.qn, answer())
        assert result is not None
        assert not result.delivered
    assert outbox.first_issue(db, key) == []
