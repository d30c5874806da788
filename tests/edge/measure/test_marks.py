"""Marks by the rules and by hand: hand-worked minutes, and overlapping marks against a slow reference."""

from __future__ import annotations

import random

import pytest
from measure_streams import (
    HOUR_MS,
    MINUTE_MS,
    SLOT_MS,
    T0,
    Kind,
    engine,
    flue,
    pick,
    sealed,
    steady,
    water,
)

from edge.measure.manual import ManualMark, ManualMarks, with_dependents
from edge.measure.marks import strongest
from edge.values import Sample

ORDER = ("B", "F", "D", "M", "C", "T", "S")


@pytest.mark.parametrize(
    ("share", "marks", "mark"),
    [
        (1.0, "N" * 11 + "M", "M"),
        (1.0, "N" * 12, "N"),
        (1.0, "N" * 5 + " " * 7, "N"),
        (1.0, "MMCN" * 3, "M"),
        (1.0, "MCN" * 4, "M"),
        (0.75, "N" * 9 + "MMM", "N"),
        (0.75, "N" * 8 + "MMMM", "M"),
        (0.75, "N" * 6 + "MM" + " " * 4, "N"),
        (0.0, "M" * 12, "M"),
    ],
)
def test_water_is_marked_by_any_abnormal_value_or_by_a_share(share: float, marks: str, mark: str) -> None:
    one = engine(water(normal_share=share), "w01001")
    assert pick(sealed(one, steady("w01001", [7.0] * 12, marks)), "w01001").mark == mark


@pytest.mark.parametrize(
    ("below", "marks", "mark"),
    [
        ("D", "N" * 8 + "M" * 4, "D"),
        ("cause", "N" * 8 + "M" * 4, "M"),
        ("cause", "N" * 8 + "CMCM", "M"),
        ("cause", "N" * 8 + "CCMC", "C"),
        ("cause", "N" * 8 + "    ", "D"),
        ("cause", "N" * 9 + "MMM", "N"),
    ],
)
def test_a_gas_minute_with_too_few_normal_values_is_d_or_bears_their_cause(below: str, marks: str, mark: str) -> None:
    one = engine(flue(below_share=below), "a21026")
    assert pick(sealed(one, steady("a21026", [40.0] * 12, marks)), "a21026").mark == mark


def test_the_strongest_mark_is_the_first_of_the_precedence() -> None:
    assert strongest("NNTCM", ORDER) == "M"
    assert strongest("NNTCM", ("T",)) == "T"
    assert strongest("NN", ORDER) == "N"
    assert strongest("NX", ORDER) == "X"


def by_hand(*marks: ManualMark) -> ManualMarks:
    return ManualMarks(marks, ORDER)


def test_a_mark_by_hand_outranks_the_automatic_one_and_keeps_values_out_of_the_mean() -> None:
    one = engine(water(), "w01001")
    one.manual = by_hand(ManualMark("M", T0 + 30_000, T0 + 45_000))
    stream = steady("w01001", [7.0] * 6 + [9.0] * 3 + [7.0] * 3, "N" * 6 + "TNB")
    found = pick(sealed(one, stream), "w01001")
    # slots 6, 7, 8 are M (T, N and B before); nine N values of 7.0 are left
    assert (found.mark, found.avg, found.max, found.count) == ("M", 7.0, 7.0, 9)


def test_a_wholly_marked_minute_keeps_its_values_counted_as_none() -> None:
    one = engine(water(), "w01001")
    one.manual = by_hand(ManualMark("C", T0, None))
    found = pick(sealed(one, steady("w01001", [7.0, 8.0] * 6)), "w01001")
    assert (found.mark, found.avg, found.count) == ("C", 7.5, 0)


def test_a_minute_in_which_nothing_came_bears_the_mark_by_hand_instead_of_b() -> None:
    one = engine(water(), "w01001")
    one.manual = by_hand(ManualMark("M", T0 + 59_000, T0 + 2 * MINUTE_MS))
    found = [record for record in sealed(one, [], minutes=3) if record.kind is Kind.MINUTE]
    assert [(record.mark, record.avg) for record in found] == [("M", None), ("M", None), ("B", None)]


def test_marks_begin_at_a_slot_and_end_before_one() -> None:
    marks = by_hand(ManualMark("M", T0 + SLOT_MS, T0 + 2 * SLOT_MS, frozenset({"w01001"})))
    at = [marks.within("w01001", T0 + slot * SLOT_MS, T0 + slot * SLOT_MS + 1) for slot in range(4)]
    assert at == [None, "M", None, None]
    assert marks.within("w01018", T0 + SLOT_MS, T0 + 2 * SLOT_MS) is None


def test_realtime_data_bear_the_mark_by_hand() -> None:
    one = engine(water(), "w01001")
    one.manual = by_hand(ManualMark("M", T0, None))
    assert [live.sample.mark for live in one.live([Sample(T0, "o", "w01001", 7.0, "N")])] == ["M"]
    assert [live.sample.mark for live in one.live([Sample(T0 - 1, "o", "w01001", 7.0, "N")])] == ["N"]


def test_what_is_computed_from_a_marked_point_bears_its_mark() -> None:
    inputs = {"d1": ("w01018",), "d2": ("d1", "w01001"), "c": ()}
    assert with_dependents(["w01018"], inputs) == {"w01018", "d1", "d2"}
    assert with_dependents(["w01001"], inputs) == {"w01001", "d2"}


@pytest.mark.parametrize("seed", range(40))
def test_overlapping_marks_count_as_a_slow_reference_says(seed: int) -> None:
    """The reference paints slot after slot: the weakest mark first, so that the strongest is what is left."""
    dice = random.Random(seed)
    factors = ["w01001", "w01010"]
    marks = []
    for _ in range(dice.randrange(1, 7)):
        begin = T0 + dice.randrange(-60, 120) * 1000
        end = None if dice.random() < 0.2 else begin + dice.randrange(1, 200) * 1000
        named = None if dice.random() < 0.3 else frozenset(dice.sample(factors, dice.randrange(1, 3)))
        marks.append(ManualMark(dice.choice(ORDER), begin, end, named))
    stream = [
        s
        for f in factors
        for s in steady(f, [dice.uniform(6, 8) for _ in range(36)], "".join(dice.choices("NNNNTD", k=36)))
    ]
    painted = {(s.factor, s.time): s.mark for s in stream}
    for mark in sorted(marks, key=lambda each: -ORDER.index(each.mark)):
        for factor, time in painted:
            if (
                mark.begin <= time
                and (mark.end is None or time < mark.end)
                and (mark.factors is None or factor in mark.factors)
            ):
                painted[factor, time] = mark.mark
    one, plain = engine(water(), *factors), engine(water(), *factors)
    one.manual = ManualMarks(marks, ORDER)
    repainted = [Sample(s.time, s.outlet, s.factor, s.value, painted[s.factor, s.time]) for s in stream]
    assert sealed(one, stream, minutes=3) == sealed(plain, repainted, minutes=3)


def test_an_open_hour_counts_with_the_revised_minute() -> None:
    stream = steady("w01001", [7.0] * 360 + [9.0] * 12 + [7.0] * 348)
    one = engine(water(), "w01001")
    records = []
    one.tick(T0)
    for minute in range(60):
        start = T0 + minute * MINUTE_MS
        one.add(sample for sample in stream if start <= sample.time < start + MINUTE_MS)
        minutes = one.tick(start + MINUTE_MS - 1, complete_until_ms=start + MINUTE_MS)
        records += minutes
        if minute == 40:
            (wrong,) = [record for record in records if record.start == T0 + 30 * MINUTE_MS]
            one.revise(
                [
                    type(wrong)(
                        **{**{f: getattr(wrong, f) for f in wrong.__slots__}, "revision": 1, "mark": "C", "count": 0}
                    )
                ]
            )
    hour = pick(records, "w01001", Kind.HOUR)
    assert (hour.mark, hour.avg, hour.max, hour.count) == ("C", 7.0, 7.0, 59)
    assert hour.start == T0
    assert HOUR_MS == 60 * MINUTE_MS
