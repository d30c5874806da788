"""When periods are sealed: grace, clock steps, restarts, what comes too late. Never twice."""

import pytest
from measure_streams import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    SLOT_MS,
    T0,
    Kind,
    Record,
    engine,
    pick,
    sealed,
    steady,
    water,
)  # fmt: skip

from edge.measure.periods import Labels

PH = "w01001"


def ph_minute(start: int = T0, value: float = 7.0, n: int = 12) -> list:  # type: ignore[type-arg] # test shorthand
    return steady(PH, [value] * n, start=start)


def test_complete_minute_is_sealed_at_its_end() -> None:
    one = engine(water(), PH)
    one.tick(T0)
    one.add(ph_minute())
    assert one.tick(T0 + MINUTE_MS - 1) == []
    (record,) = one.tick(T0 + MINUTE_MS)
    assert (record.start, record.avg, record.count) == (T0, 7.0, 12)


def test_incomplete_minute_waits_two_seconds() -> None:
    one = engine(water(), PH)
    one.tick(T0)
    one.add(ph_minute(n=11))
    assert one.tick(T0 + MINUTE_MS + 1_999) == []
    one.add(steady(PH, [8.0], start=T0 + 55_000))
    (record,) = one.tick(T0 + MINUTE_MS + 2_000)
    assert (record.max, record.count) == (8.0, 12)


def test_sample_of_a_sealed_minute_is_dropped_and_counted() -> None:
    one = engine(water(), PH)
    sealed(one, ph_minute(n=11))
    one.add(steady(PH, [9.0], start=T0 + 55_000))
    assert one.late == 1
    assert all(record.start != T0 for record in one.tick(T0 + 2 * MINUTE_MS, T0 + 2 * MINUTE_MS))


def test_first_value_of_a_slot_stays() -> None:
    one = engine(water(), PH)
    found = sealed(one, [*ph_minute(n=1), *ph_minute(value=9.0, n=1)])
    assert pick(found, PH).avg == 7.0


def test_normal_sample_without_a_value_counts_as_nothing_came() -> None:
    found = pick(sealed(engine(water(), PH), steady(PH, [None] * 12)), PH)
    assert (found.avg, found.count, found.mark) == (None, 0, "B")


def test_minute_without_samples_is_b_while_the_daemon_runs() -> None:
    one = engine(water(), PH)
    for now in range(T0, T0 + MINUTE_MS, SLOT_MS):
        one.tick(now)
    assert one.tick(T0 + MINUTE_MS + 2_000) == [Record("o", Kind.MINUTE, PH, T0, mark="B")]


def test_start_shortly_before_a_minute_ends_makes_no_b() -> None:
    one = engine(water(), PH)
    one.tick(T0 + 58_000)
    assert one.tick(T0 + MINUTE_MS + 2_000) == []


def test_time_that_the_daemon_was_down_has_no_records() -> None:
    one = engine(water(), PH)
    sealed(one, ph_minute())
    found = one.tick(T0 + HOUR_MS + 2_000)
    assert [record.kind for record in found] == [Kind.HOUR]
    assert found[0].count == 1


def test_seldom_sampled_factor_has_no_record_where_nothing_was_due() -> None:
    one = engine(water(), PH, every_ms=10 * MINUTE_MS)
    found = sealed(one, steady(PH, [7.0]), minutes=10)
    assert [record.start for record in found] == [T0]


def test_hour_and_day_follow_their_last_minute_at_once() -> None:
    start = T0 + 15 * HOUR_MS + 59 * MINUTE_MS
    one = engine(water(), PH)
    one.tick(start)
    one.add(ph_minute(start))
    kinds = [record.kind for record in one.tick(start + MINUTE_MS)]
    assert kinds == [Kind.MINUTE, Kind.HOUR, Kind.DAY]


def test_clock_that_steps_back_seals_nothing_twice() -> None:
    one = engine(water(), PH)
    found = sealed(one, [s for at in range(3) for s in ph_minute(T0 + at * MINUTE_MS)], minutes=3)
    one.tick(T0 + MINUTE_MS)
    one.add(s for at in range(1, 5) for s in ph_minute(T0 + at * MINUTE_MS, value=9.0))
    found += one.tick(T0 + 6 * MINUTE_MS)
    assert [record.start for record in found] == [T0 + at * MINUTE_MS for at in range(5)]
    assert one.late == 24


def test_clock_that_was_years_ahead_for_a_moment_does_not_stop_the_measurement() -> None:
    one = engine(water(), PH)
    sealed(one, ph_minute())
    ahead = T0 + 4 * 365 * DAY_MS
    one.tick(ahead)
    one.add(ph_minute(ahead))
    one.tick(ahead + MINUTE_MS)
    back = T0 + 5 * MINUTE_MS
    one.tick(back)
    one.add(ph_minute(back, value=8.0))
    (record,) = one.tick(back + MINUTE_MS)
    assert (record.start, record.avg) == (back, 8.0)


def test_sealed_spans_stay_few() -> None:
    labels = Labels()
    for at in range(1_000):
        labels.add(at * 10, at * 10 + 1)
    assert 0 in labels
    assert 9_990 in labels
    assert 9_995 not in labels
    assert len(labels._begins) == 64


def test_restart_continues_the_open_minute_hour_and_day() -> None:
    stream = [s for at in range(60) for s in ph_minute(T0 + at * MINUTE_MS, value=7 + at / 100)]
    whole = sealed(engine(water(), PH), stream, minutes=60)
    first = engine(water(), PH)
    cut = T0 + 20 * MINUTE_MS + 30_000
    before = sealed(first, [s for s in stream if s.time < cut - 30_000], minutes=20)
    second = engine(water(), PH)
    second.resume([s for s in stream if s.time < cut], before, [], cut - 30_000)
    second.tick(cut)
    second.add(s for s in stream if s.time >= cut)
    assert before + second.tick(T0 + HOUR_MS) == whole
    assert second.late == 0


def test_periods_that_ended_while_the_daemon_was_down_are_sealed_at_start() -> None:
    one = engine(water(), PH)
    one.resume(ph_minute(), [], [], T0)
    found = one.tick(T0 + 3 * HOUR_MS)
    assert [(record.kind, record.start) for record in found] == [(Kind.MINUTE, T0), (Kind.HOUR, T0)]


def test_hour_that_is_stored_is_not_sealed_again() -> None:
    one = engine(water(), PH)
    minute = Record("o", Kind.MINUTE, PH, T0, avg=7.0, min=7.0, max=7.0, count=12)
    hour = Record("o", Kind.HOUR, PH, T0, avg=7.0, min=7.0, max=7.0, count=1)
    one.resume([], [minute], [hour], T0 + HOUR_MS)
    found = one.tick(T0 + DAY_MS)
    assert [(record.kind, record.count) for record in found] == [(Kind.DAY, 1)]


def test_reach_names_the_beginnings_of_the_open_hour_and_day() -> None:
    assert engine(water(), "w01018").reach(T0 + 90_000) == (T0 + 90_000, T0, T0 - 8 * HOUR_MS)
    assert engine(water(), "w01018").reach(T0) == (T0, T0 - HOUR_MS, T0 - 8 * HOUR_MS)


def test_samples_of_other_outlets_and_factors_are_passed_over() -> None:
    one = engine(water(), PH)
    one.add(steady("w01018", [1.0]))
    assert sealed(one, []) == [Record("o", Kind.MINUTE, PH, T0, mark="B")]


@pytest.mark.parametrize("every_ms", [1_000, 5_000, 20_000, 60_000])
def test_volume_does_not_depend_on_the_pace(every_ms: int) -> None:
    one = engine(water(), "w00000", every_ms=every_ms)
    found = sealed(one, steady("w00000", [12.5] * (MINUTE_MS // every_ms), every_ms=every_ms))
    assert pick(found, "w00000").cou == pytest.approx(0.75)
