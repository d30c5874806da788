"""Equipment: states from codes and thresholds, running hours by hand (HJ 212-2017 Table 4, SBx-RS and SBx-RT)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measure_streams import DAY_MS, HOUR_MS, MIDNIGHT, MINUTE_MS, T0, engine, flue, pick, sealed, steady, water

from config.site import Outlet, Point
from edge.measure.engine import Engine
from edge.measure.equipment import Codes, Threshold, decision
from edge.measure.wire import runtime_text
from edge.values import Kind, Record, Sample, period_start

PATIENCE = 60_000


def threshold(**point: object) -> Threshold:
    made = decision(Point(factor="SB1", outlet="o", **point), PATIENCE)  # type: ignore[arg-type]  # test shorthand
    assert isinstance(made, Threshold)
    return made


def states(one: Threshold, numbers: str, start: int = T0, every_ms: int = 5_000) -> str:
    """Numbers one after the other, a dot for a lost poll; states in the same form."""
    shown = [
        "." if number == "." else str(one.state(float(number), start + at * every_ms))
        for at, number in enumerate(numbers.split())
    ]
    return "".join(shown)


# states


def test_between_the_two_thresholds_the_state_stays() -> None:
    """Above 5 on, below 4 off; 4 and 5 themselves change nothing."""
    assert states(threshold(on=5.0, off=4.0), "3 4.5 5 5.1 4.5 4 3.9 4 5 6") == "0001110001"


def test_without_off_there_is_one_threshold() -> None:
    assert states(threshold(on=5.0), "5 5.1 5 4.9 5 5.1") == "011001"


def test_a_start_and_a_stop_count_when_they_have_lasted() -> None:
    """On after 10 s above 5 without a break, off after 15 s below 4."""
    one = threshold(on=5.0, off=4.0, on_for=10_000, off_for=15_000)
    # above 5 from 5 s, broken at 15 s, again from 20 s: on at 30 s; below 4 from 50 s: off at 65 s
    assert states(one, "0 6 6 4.5 6 6 6 6 6 6 3 3 3 3 3") == "000000111111100"


def test_a_lost_poll_does_not_begin_the_wait_anew() -> None:
    assert states(threshold(on=5.0, on_for=10_000), "0 6 . 6 6") == "00.11"


def test_after_a_gap_the_first_number_decides_at_once_and_one_between_leaves_what_was() -> None:
    one = threshold(on=5.0, off=4.0, on_for=3_600_000, off_for=3_600_000)
    assert states(one, "6 3 3") == "111"
    assert states(one, "3", T0 + 10_000 + PATIENCE + 5_000) == "0"
    assert states(one, "4.5", T0 + DAY_MS) == "0"
    assert states(one, "6", T0 + 2 * DAY_MS) == "1"
    assert states(one, "4.5", T0 + 3 * DAY_MS) == "1"


def test_a_clock_that_was_set_back_is_a_gap() -> None:
    one = threshold(on=5.0, off=4.0, off_for=3_600_000)
    assert states(one, "6") == "1"
    assert states(one, "3", T0 - HOUR_MS) == "0"


def test_what_runs_between_the_thresholds_at_a_restart_runs_on() -> None:
    fresh, again = threshold(on=5.0, off=4.0), threshold(on=5.0, off=4.0)
    again.recall(1, T0 - 5_000)
    assert states(fresh, "4.5 4.5") == "00"
    assert states(again, "4.5 4.5 3.9") == "110"


def test_codes_of_the_instrument_become_those_of_the_standard() -> None:
    made = decision(Point(factor="SB12", outlet="o", states={"0": 0, "1": 1, "3": 4, "-1": 3}), PATIENCE)
    assert isinstance(made, Codes)
    assert [made.state(number, T0) for number in (0, 1.0, 3, -1, 2, 0.5)] == [0, 1, 4, 3, None, None]


def test_a_digital_input_is_off_and_running() -> None:
    made = decision(Point(factor="SB1", outlet="o"), PATIENCE)
    assert made is not None
    assert [made.state(number, T0) for number in (0.0, 1.0, 2.0)] == [0, 1, None]


def test_a_pollutant_has_no_state() -> None:
    assert decision(Point(factor="w01018", outlet="o"), PATIENCE) is None


# running hours


def states_of(values: str, start: int = T0, every_ms: int = 5_000, marks: str = "") -> list[Sample]:
    """State codes, one a digit; `B`: no value; a space: no sample."""
    numbers = [None if letter in "B " else float(letter) for letter in values]
    padded = marks.ljust(len(values), "N")
    marks = "".join(letter if letter in "B " else mark for letter, mark in zip(values, padded, strict=True))
    return steady("SB1", numbers, marks, start, every_ms)


@pytest.mark.parametrize(
    ("values", "marks", "hours", "count", "mark"),
    [
        ("111111111111", "", 60 / 3600, 12, "N"),
        ("000000000000", "", 0.0, 12, "N"),
        ("111100001111", "", 40 / 3600, 12, "N"),
        ("111222333445", "", 15 / 3600, 12, "N"),  # only state 1 runs
        ("1111 1111111", "", 55 / 3600, 11, "N"),  # a lost poll is not running time
        ("1111BBBB1111", "", 40 / 3600, 8, "B"),
        ("111111111111", "MMMM", 40 / 3600, 8, "M"),  # the meter was being maintained
        ("BBBBBBBBBBBB", "", None, 0, "B"),
        ("            ", "", None, 0, "B"),
    ],
)
def test_a_minute_counts_the_slots_in_state_1(
    values: str, marks: str, hours: float | None, count: int, mark: str
) -> None:
    (record,) = sealed(engine(water(), "SB1"), states_of(values, marks=marks))
    assert (record.cou, record.count, record.mark) == (pytest.approx(hours), count, mark)
    assert (record.min, record.avg, record.max, record.zs_avg) == (None, None, None, None)


@pytest.mark.parametrize(("every_ms", "values"), [(60_000, "1"), (30_000, "10"), (25_000, "110")])
def test_a_sample_stands_for_its_polling_interval_and_a_minute_has_60_s(every_ms: int, values: str) -> None:
    """Every 25 s a minute may have three samples: each stands for 20 s then."""
    (record,) = sealed(engine(water(), "SB1", every_ms=every_ms), states_of(values, every_ms=every_ms))
    assert record.cou == pytest.approx(values.count("1") / len(values) / 60)


def day_of(start: int, minutes: str) -> list[Sample]:
    """A state a minute."""
    return states_of(minutes, start, MINUTE_MS)


@pytest.mark.parametrize("outlet", [water(), flue()])
def test_a_day_has_the_hours_of_its_minutes_and_midnight_parts_them(outlet: Outlet) -> None:
    """Runs 08:00–09:06 (1.1 h), and from 23:50 to 00:10 of the next day, 10 min on each side."""
    first = ("0" * 480 + "1" * 66).ljust(1430, "0") + "1" * 10
    one = engine(outlet, "SB1", every_ms=MINUTE_MS)
    found = sealed(one, day_of(MIDNIGHT, first + ("1" * 10).ljust(60, "0")), MIDNIGHT, 1500)
    day = pick(found, "SB1", Kind.DAY)
    assert (day.start, day.count, day.mark) == (MIDNIGHT, 24, "N")
    assert day.cou == pytest.approx(1.1 + 10 / 60)
    assert runtime_text(day) == "1.27"
    hours = {record.start: record.cou for record in found if record.kind is Kind.HOUR}
    assert hours[MIDNIGHT + 8 * HOUR_MS] == pytest.approx(1.0)
    assert hours[MIDNIGHT + 9 * HOUR_MS] == pytest.approx(0.1)
    assert hours[MIDNIGHT + DAY_MS] == pytest.approx(10 / 60)


def test_a_whole_day_is_24_hours() -> None:
    one = engine(water(), "SB1", every_ms=MINUTE_MS)
    day = pick(sealed(one, day_of(MIDNIGHT, "1" * 1440), MIDNIGHT, 1440), "SB1", Kind.DAY)
    assert (runtime_text(day), day.count) == ("24.00", 24)


def test_hours_without_any_state_are_not_invented() -> None:
    """Off from 06:00 to 18:00 is known; before and after the meter was silent."""
    one = engine(water(), "SB1", every_ms=MINUTE_MS)
    samples = day_of(MIDNIGHT, "B" * 360 + "1" * 90 + "0" * 630 + "B" * 360)
    day = pick(sealed(one, samples, MIDNIGHT, 1440), "SB1", Kind.DAY)
    assert (runtime_text(day), day.count, day.mark) == ("1.50", 12, "B")
    silent = pick(sealed(engine(water(), "SB1", every_ms=MINUTE_MS), [], MIDNIGHT, 1440), "SB1", Kind.DAY)
    assert (silent.cou, runtime_text(silent)) == (None, None)


def test_minutes_and_hours_are_not_sent() -> None:
    running = Record("o", Kind.HOUR, "SB1", T0, cou=1.0, count=60)
    assert runtime_text(running) is None


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from("01 B"), min_size=180, max_size=180), st.integers(1, 178))
def test_a_restart_leaves_the_records_of_an_undisturbed_run(letters: list[str], stop: int) -> None:
    """Three hours, one state a minute; the daemon ends after any minute and resumes from what is stored."""
    samples = day_of(T0, "".join(letters))
    end = T0 + 180 * MINUTE_MS
    undisturbed = sealed(engine(water(), "SB1", every_ms=MINUTE_MS), samples, T0, 180)
    first, second = (engine(water(), "SB1", every_ms=MINUTE_MS) for _ in range(2))
    before = sealed(first, [one for one in samples if one.time < T0 + stop * MINUTE_MS], T0, stop)
    until = max(record.start for record in before if record.kind is Kind.MINUTE) + MINUTE_MS
    _, from_minute, _ = first.reach(until)
    minutes = [one for one in before if one.kind is Kind.MINUTE and one.start >= from_minute]
    hours = [one for one in before if one.kind is Kind.HOUR and one.start >= period_start(until - 1, DAY_MS)]
    second.resume([], minutes, hours, until)
    after = [record for at in range(until, end, MINUTE_MS) for record in _lived(second, samples, at)]
    assert _rounded(before + after) == _rounded(undisturbed)


def _lived(one: Engine, samples: list[Sample], minute: int) -> list[Record]:
    one.tick(minute)
    one.add([sample for sample in samples if minute <= sample.time < minute + MINUTE_MS])
    return one.tick(minute + MINUTE_MS - 1, complete_until_ms=minute + MINUTE_MS)


def _rounded(records: list[Record]) -> set[tuple[object, ...]]:
    return {(r.kind, r.start, None if r.cou is None else round(r.cou, 9), r.count, r.mark) for r in records}


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from([water(), flue(area=2.0)]),
    st.lists(st.one_of(st.none(), st.floats(0, 100)), min_size=36, max_size=36),
    st.lists(st.sampled_from("0123B "), min_size=36, max_size=36),
)
def test_equipment_changes_no_pollutants_record(outlet: Outlet, values: list[float | None], letters: list[str]) -> None:
    flow, factor = ("w00000", "w01018") if outlet.statistics == "water" else ("a00000", "a21026")
    pollutants = steady(flow, values) + steady(factor, list(reversed(values)))
    alone = sealed(engine(outlet, flow, factor), pollutants, T0, 3)
    both = sealed(engine(outlet, flow, factor, "SB1"), pollutants + states_of("".join(letters)), T0, 3)
    assert [record for record in both if record.factor != "SB1"] == alone


def test_states_are_no_live_values() -> None:
    one = engine(water(), "w01018", "SB1")
    samples = [Sample(T0, "o", "w01018", 30.0, "N"), Sample(T0, "o", "SB1", 1.0, "N")]
    assert [live.sample.factor for live in one.live(samples)] == ["w01018"]
