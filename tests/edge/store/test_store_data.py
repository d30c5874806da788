"""Records, samples, the link log, settings, journal, retention."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from storekit import NOON

from config.site import Retention
from edge.store import journal, linklog, migrate, outbox, records, results, retention, samples, settings
from edge.store.linklog import Logged
from edge.store.outbox import Answer, Due
from edge.values import DAY_MS, HOUR_MS, MINUTE_MS, Kind, Record, Result, Sample, period_start

COD = Record("ww1", Kind.MINUTE, "w01018", NOON, 0, 1.5, 2.5, 3.25, None, 0.1, None, 0.000123, 12, "N")


def seal(db: sqlite3.Connection, *rows: Record) -> None:
    records.seal(db, rows, [], NOON)


# records


def test_a_record_comes_back_as_it_was_sealed(db: sqlite3.Connection) -> None:
    empty = Record("ww1", Kind.MINUTE, "w21003", NOON, count=0, mark="B")
    seal(db, COD, empty)
    assert records.of_period(db, "ww1", Kind.MINUTE, NOON) == [COD, empty]


def test_a_sealed_label_never_changes_and_a_revision_stands_beside_it(db: sqlite3.Connection) -> None:
    marked = replace(COD, revision=1, mark="M")
    seal(db, COD)
    seal(db, replace(COD, avg=99.0), marked)
    assert records.of_period(db, "ww1", Kind.MINUTE, NOON) == [COD, marked]


def test_records_and_their_deliveries_are_one_transaction(db: sqlite3.Connection) -> None:
    db.execute("BEGIN")
    with pytest.raises(ValueError, match="payload"):
        records.seal(db, [COD], [Due("city", "ww1", "2081", NOON)], NOON)
    db.execute("ROLLBACK")
    assert records.of_period(db, "ww1", Kind.MINUTE, NOON) == []


@pytest.mark.parametrize("kind", list(Kind))
def test_pages_hold_every_record_once_in_order(db: sqlite3.Connection, kind: Kind) -> None:
    base = period_start(NOON, DAY_MS)
    wanted = [
        Record("ww1", kind, factor, base + number * kind.ms, revision)
        for number in range(9)
        for factor in ("w01018", "w00000")
        for revision in (0, 1)
    ]
    others = [replace(row, kind=other) for row in wanted for other in Kind if other is not kind]
    seal(db, *wanted, *others, *(replace(row, outlet="ww2") for row in wanted))
    first, last = wanted[4].start, wanted[-5].start
    seen: list[Record] = []
    while page := records.between(db, "ww1", kind, first, last, 5, seen[-1] if seen else None):
        seen += page
    assert seen == [row for row in wanted if first <= row.start <= last]
    assert all(a.start <= b.start for a, b in pairwise(seen))


def test_a_search_from_the_beginning_of_time_ends(db: sqlite3.Connection) -> None:
    seal(db, replace(COD, kind=Kind.DAY, start=period_start(NOON, DAY_MS)))
    assert len(records.between(db, "ww1", Kind.DAY, 0, 1 << 52, 10)) == 1
    assert records.between(db, "nowhere", Kind.DAY, 0, 1 << 52, 10) == []


def test_the_last_label_is_the_newest_even_when_an_older_one_is_sealed_later(db: sqlite3.Connection) -> None:
    seal(db, COD)
    seal(db, replace(COD, start=NOON - MINUTE_MS))
    assert records.last_start(db, "ww1", Kind.MINUTE) == NOON
    assert records.last_start(db, "ww1", Kind.HOUR) is None


def test_labels_say_what_is_sealed_on_both_sides_of_a_clock_that_was_set_back(db: sqlite3.Connection) -> None:
    starts = [NOON - 90 * MINUTE_MS, NOON - MINUTE_MS, NOON, NOON + HOUR_MS]
    seal(db, *(replace(COD, start=start, factor=factor) for start in starts for factor in ("w01018", "w01001")))
    seal(db, replace(COD, outlet="ww2", start=NOON + MINUTE_MS), replace(COD, kind=Kind.HOUR))
    assert records.labels(db, "ww1", Kind.MINUTE, NOON - HOUR_MS, NOON + HOUR_MS) == starts[1:]
    until = (NOON + 2 * HOUR_MS, NOON + 1, NOON, NOON - 1, NOON - 2 * HOUR_MS)
    found = [records.last_label(db, "ww1", Kind.MINUTE, each) for each in until]
    assert found == [NOON + HOUR_MS, NOON, NOON, NOON - MINUTE_MS, None]
    assert records.last_label(db, "ww2", Kind.DAY, NOON) is None


# samples


def test_samples_of_a_tick_come_back_exactly(samples_db: sqlite3.Connection) -> None:
    tick = [
        Sample(NOON, "ww1", "w01018", 31.4, "N"),
        Sample(NOON, "ww1", "w00000", 12.5, "T"),
        Sample(NOON, "ww2", "w01018", None, "B"),
    ]
    assert samples.append(samples_db, NOON, tick) == 3
    assert samples.between(samples_db, NOON, NOON) == tick
    assert samples.between(samples_db, NOON + 1, NOON + 5_000) == []


def test_a_row_is_the_bytes_that_the_head_of_the_module_draws(samples_db: sqlite3.Connection) -> None:
    tick = [
        Sample(NOON, "ww1", "a", 1.5, "N"),
        Sample(NOON, "ww1", "b", 0.1, "T"),
        Sample(NOON, "ww1", "c", None, "B"),
    ]
    samples.append(samples_db, NOON, tick)
    row = samples_db.execute("SELECT data FROM tick").fetchone()[0]
    # step 1, N, float32 · step 1, marked T, float64 · step 1, marked B, nothing
    assert row.hex(" ") == "09 00 00 c0 3f 0e 54 9a 99 99 99 99 99 b9 3f 0c 42"


def test_a_second_batch_adds_what_is_missing_and_replaces_nothing(samples_db: sqlite3.Connection) -> None:
    first = Sample(NOON, "ww1", "w01018", 1.0, "N")
    other = Sample(NOON, "ww1", "w21003", 2.0, "N")
    samples.append(samples_db, NOON, [first])
    assert samples.append(samples_db, NOON, [replace(first, value=9.0), other]) == 1
    assert samples.between(samples_db, NOON, NOON) == [first, other]


VALUES = st.none() | st.floats(allow_nan=False) | st.floats(width=32, allow_nan=False)


@limits(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 400), VALUES, st.sampled_from("NFMSDCTB")), max_size=40))
def test_any_value_survives_packing(rows: list[tuple[int, float | None, str]]) -> None:
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrate.migrate(db, "samples")
    # channels are numbered as first seen: other ticks before make steps of any size and direction
    samples.append(db, NOON - 5_000, [Sample(NOON, "ww1", f"w{n:05d}", None, "B") for n in range(0, 400, 7)])
    tick = list({n: Sample(NOON, "ww1", f"w{n:05d}", value, mark) for n, value, mark in rows}.values())
    samples.append(db, NOON, tick)
    assert samples.between(db, NOON, NOON) == tick
    db.close()


def test_twenty_float32_values_take_100_bytes_and_nan_is_refused(samples_db: sqlite3.Connection) -> None:
    tick = [Sample(NOON, "ww1", f"w{number:05d}", number + 0.5, "N") for number in range(20)]
    samples.append(samples_db, NOON, tick)
    assert samples_db.execute("SELECT length(data) FROM tick").fetchone()[0] == 100
    with pytest.raises(ValueError, match="NaN"):
        samples.append(samples_db, NOON, [Sample(NOON, "ww1", "x", float("nan"), "N")])


# link log


def test_the_link_log_keeps_the_newest_packets(samples_db: sqlite3.Connection) -> None:
    rows = [Logged(NOON + n, "city" if n % 2 else "county", None, bool(n % 3), b"%d" % n) for n in range(5_000)]
    linklog.log(samples_db, rows)
    assert linklog.packets(samples_db, None, 2) == [rows[-1], rows[-2]]
    assert linklog.packets(samples_db, "county", 2) == [rows[-2], rows[-4]]
    assert samples_db.execute("SELECT count(*) FROM link").fetchone()[0] == linklog.RING


# settings


def test_what_a_platform_sets_is_kept_with_its_origin_and_can_be_reset(db: sqlite3.Connection) -> None:
    settings.put(db, "city", None, "realtime", 30_000, "platform:1062", NOON)
    settings.put(db, "city", "ww1", "realtime", 45_000, "platform:1062", NOON + 1)
    settings.put(db, "city", "ww1", "password", "geheim1", "platform:1072", NOON + 2)
    found = settings.get_all(db, "city")
    assert found[None, "realtime"] == settings.Setting(30_000, "platform:1062", NOON)
    assert found["ww1", "realtime"].value == 45_000
    assert found["ww1", "password"].value == "geheim1"
    assert settings.get_all(db, "county") == {}
    assert settings.reset(db, "city", "ww1", "realtime", "technician", NOON + 3)
    assert not settings.reset(db, "city", "ww1", "realtime", "technician", NOON + 4)
    assert "geheim1" not in str(journal.entries(db, 10))
    assert [entry.action for entry in journal.entries(db, 10)] == ["setting.put"] * 3 + ["setting.reset"]


def test_the_journal_says_what_a_setting_was_before(db: sqlite3.Connection) -> None:
    for value in (30_000, 60_000):
        settings.put(db, "city", None, "realtime", value, "platform:1062", NOON)
    assert journal.entries(db, 1)[0].detail == {
        "platform": "city", "outlet": None, "name": "realtime", "before": 30_000, "after": 60_000,
    }  # fmt: skip


# journal


def fill(db: sqlite3.Connection) -> None:
    for number in range(5):
        journal.append(db, "technician", "config.set", {"key": "realtime", "value": number}, NOON + number)


def test_a_whole_journal_verifies_and_pages(db: sqlite3.Connection) -> None:
    assert journal.verify(db) == journal.Verdict(True, 0, None)
    fill(db)
    assert journal.verify(db) == journal.Verdict(True, 5, None)
    assert [entry.id for entry in journal.entries(db, 2, after=1)] == [2, 3]
    assert [entry.id for entry in journal.entries(db, 2)] == [4, 5]


@pytest.mark.parametrize(
    ("tampering", "first_bad"),
    [
        ("UPDATE journal SET detail = replace(detail, '2', '7') WHERE id = 3", 3),
        ("UPDATE journal SET at = at + 1 WHERE id = 1", 1),
        ("DELETE FROM journal WHERE id = 2", 2),
        ("DELETE FROM journal WHERE id = 5", 5),
        ("DELETE FROM journal", 1),
        ("UPDATE journal SET id = 6 WHERE id = 5", 5),
    ],
)
def test_tampering_is_found_where_it_begins(db: sqlite3.Connection, tampering: str, first_bad: int) -> None:
    fill(db)
    for guard in ("update", "delete", "replace"):
        db.execute(f"DROP TRIGGER journal_no_{guard}")
    db.execute(tampering)
    verdict = journal.verify(db)
    assert (verdict.ok, verdict.first_bad) == (False, first_bad)


def test_secrets_never_go_into_the_journal(db: sqlite3.Connection) -> None:
    detail = {"password": "abc", "packet": "QN=1;PW=abc;MN=A", "deep": {"api_key": "abc", "list": ["NewPW=abc&&"]}}
    journal.append(db, "platform:1072", "command", detail, NOON)
    assert journal.entries(db, 1)[0].detail == {
        "password": "***", "packet": "QN=1;PW=***;MN=A", "deep": {"api_key": "***", "list": ["NewPW=***&&"]},
    }  # fmt: skip


def test_the_hash_is_the_one_that_the_head_of_the_module_describes(db: sqlite3.Connection) -> None:
    journal.append(db, "a", "b", {"y": 1, "x": "时"}, 5)
    # printf '%064d' 0 | xxd -r -p; printf '[1,5,"a","b","{\"x\":\"时\",\"y\":1}"]' — both through sha256sum
    import hashlib

    expected = hashlib.sha256(b"\0" * 32 + '[1,5,"a","b","{\\"x\\":\\"时\\",\\"y\\":1}"]'.encode()).digest()
    assert journal.entries(db, 1)[0].hash == expected


# retention


def sweep(db: sqlite3.Connection, now_ms: int, keep: Retention) -> None:
    while retention.sweep(db, now_ms, keep):
        pass


def starts(db: sqlite3.Connection, kind: Kind) -> list[int]:
    return [row.start for row in records.between(db, "ww1", kind, 0, 1 << 52, 100_000)]


SHORT = Retention(samples=HOUR_MS, minute=2 * HOUR_MS, hour=DAY_MS, day=30 * DAY_MS, deliveries=3 * HOUR_MS)


def test_each_kind_of_record_is_kept_as_long_as_it_should_be(db: sqlite3.Connection) -> None:
    base = period_start(NOON, DAY_MS)
    for kind, number in ((Kind.MINUTE, 600), (Kind.HOUR, 60), (Kind.DAY, 3)):
        seal(db, *(replace(COD, kind=kind, start=base - count * kind.ms) for count in range(number)))
    sweep(db, base, SHORT)
    assert starts(db, Kind.MINUTE) == [base - count * MINUTE_MS for count in range(120, -1, -1)]
    assert starts(db, Kind.HOUR) == [base - count * HOUR_MS for count in range(24, -1, -1)]
    assert len(starts(db, Kind.DAY)) == 3


def test_what_a_platform_has_not_answered_for_is_never_deleted(db: sqlite3.Connection) -> None:
    rows = [replace(COD, start=NOON + number * MINUTE_MS) for number in range(10)]
    keys = records.seal(db, rows, [Due("city", "ww1", "2051", row.start) for row in rows], NOON)
    qns = {}
    for key in keys:
        (packet,) = outbox.prepare(
            db, key, lambda found, rows: [(outbox.qn_for(db, NOON), 1, 1, b"frame")], lambda p: True, NOON
        )
        qns[key] = packet.qn
    reply = Answer(b"", NOON, NOON, "", "", "rehearsal", True)
    for key in (*keys[:4], *keys[5:]):
        outbox.answered(db, "city", qns[key], reply)
    sweep(db, NOON + 900 * DAY_MS, SHORT)
    assert starts(db, Kind.MINUTE) == [row.start for row in rows[4:]]
    assert [found.id for found in outbox.open_deliveries(db, "city", "ww1")] == [keys[4]]
    assert outbox.counts(db)[0].lost == 0
    outbox.answered(db, "city", qns[keys[4]], reply)
    sweep(db, NOON + 900 * DAY_MS, SHORT)
    assert starts(db, Kind.MINUTE) == []
    assert db.execute(
        "SELECT (SELECT count(*) FROM delivery) + (SELECT count(*) FROM packet) + (SELECT count(*) FROM frame)"
    ).fetchone() == (0,)
    (count,) = outbox.counts(db)
    assert (count.sent, count.answered, count.lost) == (10, 10, 0)


def test_realtime_deliveries_go_earlier_than_kept_ones(db: sqlite3.Connection) -> None:
    (live, kept) = outbox.enqueue(
        db,
        [Due("city", "ww1", "2011", NOON, kept=False, payload=b"x"), Due("city", "ww1", "2041", NOON, payload=b"y")],
        NOON,
    )
    for key in (live, kept):
        (packet,) = outbox.prepare(
            db, key, lambda found, rows: [(outbox.qn_for(db, NOON), 1, 1, b"frame")], lambda p: True, NOON
        )
        outbox.written_unconfirmed(db, packet.qn, NOON)
    sweep(db, NOON + 8 * DAY_MS, Retention())
    assert [row[0] for row in db.execute("SELECT id FROM delivery")] == [kept]
    assert db.execute("SELECT delivery FROM packet").fetchall() == [(kept,)]
    assert db.execute("SELECT data FROM frame").fetchall() == [(b"frame",)]
    sweep(db, NOON + 31 * DAY_MS, Retention())
    assert db.execute("SELECT count(*) FROM frame").fetchone() == (0,)
    # of "frame", by sha256sum
    digest = bytes.fromhex("9dff50df08c635815f4b19da10f756605a34a79a48d4ba48712782502975a70e")
    assert db.execute("SELECT sha256 FROM packet").fetchall() == [(digest,)]


def test_frames_go_after_30_days_and_with_the_answer_when_these_are_over(db: sqlite3.Connection) -> None:
    def send(start: int) -> str:
        (key,) = outbox.enqueue(db, [Due("city", "ww1", "2041", start, payload=b"y")], start)
        (packet,) = outbox.prepare(
            db, key, lambda found, rows: [(outbox.qn_for(db, start), 1, 1, b"frame")], lambda p: True, start
        )
        return packet.qn

    def frames() -> list[str]:
        return [f"{row[0]:017d}" for row in db.execute("SELECT qn FROM frame ORDER BY qn")]

    prompt, late = send(NOON), send(NOON + 1)
    outbox.answered(db, "city", prompt, Answer(b"", NOON, NOON, "", "", "official", True))
    assert frames() == [prompt, late]
    sweep(db, NOON + 29 * DAY_MS, Retention())
    assert frames() == [prompt, late]
    sweep(db, NOON + 31 * DAY_MS, Retention())
    assert frames() == [late]
    outbox.answered(db, "city", late, Answer(b"", NOON, NOON, "", "", "official", True))
    assert frames() == []


def test_an_implausible_clock_deletes_nothing(db: sqlite3.Connection, samples_db: sqlite3.Connection) -> None:
    seal(db, COD)
    samples.append(samples_db, NOON, [Sample(NOON, "ww1", "w01018", 1.0, "N")])
    for now_ms in (0, NOON + 100 * 366 * DAY_MS):
        assert retention.sweep(db, now_ms, SHORT) == 0
        assert retention.sweep_samples(samples_db, now_ms, SHORT) == 0
    assert starts(db, Kind.MINUTE) == [NOON]


def test_samples_go_in_slices(samples_db: sqlite3.Connection) -> None:
    for number in range(1_200):
        samples.append(samples_db, NOON + number * 5_000, [Sample(NOON, "ww1", "w01018", 1.0, "N")])
    now = NOON + HOUR_MS + 1_100 * 5_000
    assert [retention.sweep_samples(samples_db, now, SHORT) for _ in range(4)] == [500, 500, 100, 0]
    assert len(samples.between(samples_db, 0, 1 << 52)) == 100


@pytest.mark.parametrize("cn", ["2081", "3015", "3019", "3020"])
def test_an_event_that_is_never_answered_does_not_keep_records_and_deliveries_for_ever(
    db: sqlite3.Connection, cn: str
) -> None:
    (event,) = outbox.enqueue(db, [Due("city", "ww1", cn, NOON, payload=b"DataTime=20260922120000")], NOON)
    later = NOON + HOUR_MS
    records.seal(db, [replace(COD, start=later)], [Due("city", "ww1", "2051", later, end=later + MINUTE_MS)], later)
    done = outbox.open_deliveries(db, "city", "ww1", cns=["2051"])[0]
    packets = [("20260922130000000", 1, 1, b"##0000")]
    outbox.prepare(db, done.id, lambda *_: packets, lambda _: True, later)
    outbox.written_unconfirmed(db, packets[0][0], later)
    sweep(db, NOON + 900 * DAY_MS, SHORT)
    assert records.of_period(db, "ww1", Kind.MINUTE, later) == []
    assert outbox.by_id(db, done.id) is None
    found = outbox.by_id(db, event)
    assert found is not None
    assert found.payload == b"DataTime=20260922120000"
    (counts,) = outbox.counts(db)
    assert counts.lost == 0


def test_an_event_that_is_answered_after_the_sweep_has_passed_it_goes_with_the_next_one(db: sqlite3.Connection) -> None:
    (event,) = outbox.enqueue(db, [Due("city", "ww1", "3020", NOON, payload=b"DataTime=20260922120000")], NOON)
    (other,) = outbox.enqueue(db, [Due("city", "ww1", "3019", NOON + 1, payload=b"DataTime=20260922120000")], NOON)
    for delivery, qn in ((event, "20260922120000001"), (other, "20260922120000002")):
        outbox.prepare(db, delivery, lambda *_, qn=qn: [(qn, 1, 1, b"##0000")], lambda _: True, NOON)
    outbox.written_unconfirmed(db, "20260922120000002", NOON)
    sweep(db, NOON + 900 * DAY_MS, SHORT)
    assert outbox.by_id(db, other) is None
    outbox.written_unconfirmed(db, "20260922120000001", NOON + 900 * DAY_MS)
    sweep(db, NOON + 900 * DAY_MS, SHORT)
    assert outbox.by_id(db, event) is None


def test_events_of_one_second_stand_beside_each_other(db: sqlite3.Connection) -> None:
    dues = [Due("city", "ww1", "3020", NOON, payload=payload) for payload in (b"a", b"b", b"b")]
    ids = outbox.enqueue_beside(db, dues, NOON) + outbox.enqueue_beside(db, dues[:1], NOON)
    assert len(set(ids)) == 4
    found = outbox.open_deliveries(db, "city", "ww1")
    assert [each.payload for each in found] == [b"a", b"b", b"b", b"a"]


def test_last_reading_of_a_totaliser_is_that_of_the_minutes_sealed_last(db: sqlite3.Connection) -> None:
    def flow(start: int, total: float | None) -> Record:
        return Record("ww1", Kind.MINUTE, "w00000", start, total=total, total_at=start + 55_000 if total else None)

    assert records.last_total(db, "ww1") is None
    seal(db, flow(NOON, 100.5), flow(NOON + 60_000, 101.25))
    seal(db, flow(NOON + 120_000, None))
    assert records.last_total(db, "ww1") == (NOON + 115_000, 101.25)
    # the clock was set back by an hour: what is sealed now is newer, whatever its label
    seal(db, flow(NOON - 3_600_000, 102.0))
    assert records.last_total(db, "ww1") == (NOON - 3_545_000, 102.0)
    assert records.last_total(db, "ww2") is None
    assert records.of_period(db, "ww1", Kind.MINUTE, NOON) == [flow(NOON, 100.5)]


# results

SAMPLED = Result("ww1", "w01018", NOON, NOON + 2_400_000, NOON + 2_405_000, 35.5, "N", "sample", "a")


def test_results_come_back_as_they_were_kept_and_the_newest_are_told_apart(db: sqlite3.Connection) -> None:
    check = replace(SAMPLED, sampled=NOON + 3_600_000, value=None, mark="D", kind="check", identity="b")
    other = replace(SAMPLED, factor="w21003")
    assert results.newest(db, "ww1", "w01018") == (None, None)
    results.keep(db, [SAMPLED, check, other])
    assert results.newest(db, "ww1", "w01018") == (check, SAMPLED)
    assert results.between(db, "ww1", NOON, NOON + 3_599_999, 10) == [SAMPLED, other]
    assert results.between(db, "ww1", NOON, NOON + 3_600_000, 1) == [check]
    assert results.between(db, "ww2", NOON, NOON + 3_600_000, 10) == []


@pytest.mark.parametrize(
    "change",
    ["UPDATE result SET value = 1", "DELETE FROM result", "INSERT OR REPLACE INTO result SELECT * FROM result"],
)
def test_the_database_refuses_to_change_a_result(db: sqlite3.Connection, change: str) -> None:
    results.keep(db, [SAMPLED])
    with pytest.raises(sqlite3.IntegrityError, match="never changed"):
        db.execute(change)


def test_a_clock_that_is_years_ahead_for_a_night_costs_days_of_retention_and_not_years() -> None:
    night = 10 * 3600.0
    pace = retention.Pace(NOON, 100.0)
    assert pace.now(NOON + HOUR_MS, 3_700.0) == NOON + HOUR_MS
    ahead = [pace.now(NOON + 3_650 * DAY_MS + minute * 60_000, 3_700.0 + minute * 60.0) for minute in range(600)]
    assert max(ahead) < NOON + HOUR_MS + 10 * night * 1000  # ten times as fast as time passes
    corrected = NOON + HOUR_MS + int(night * 1000)
    assert pace.now(corrected, 3_700.0 + night) == corrected


def test_retention_catches_up_after_a_year_without_power_and_follows_a_week_at_once() -> None:
    pace = retention.Pace(NOON, 0.0)
    back = NOON + 365 * DAY_MS
    assert pace.now(back, 60.0) == NOON + 600_000
    days = next(day for day in range(1, 366) if pace.now(back + day * DAY_MS, day * 86_400.0) == back + day * DAY_MS)
    assert days == 41  # 365 + d <= 10 (d - 1) + 7
    assert retention.Pace(None, 0.0).now(NOON, 0.0) == NOON
    assert retention.Pace(NOON, 0.0).now(NOON + 7 * DAY_MS, 0.0) == NOON + 7 * DAY_MS
