"""Waste water: volumes, masses, weighted means, the any-one rule (HJ 212-2017 Annex D.1, notes under C.16–C.18)."""

import pytest
from measure_streams import HOUR_MS, MINUTE_MS, T0, WATER, Kind, engine, pick, rules, sealed, steady, water

from edge.measure.engine import Engine
from edge.values import Record


def test_steady_minute_gives_volume_mass_and_means() -> None:
    found = sealed(
        engine(water(), *WATER),
        steady("w00000", [12.5] * 12) + steady("w01018", [35.0] * 12) + steady("w01001", [7.5] * 12),
    )
    flow, cod, ph = (pick(found, factor) for factor in WATER)
    assert (flow.avg, flow.count, flow.mark) == (12.5, 12, "N")
    assert flow.cou == pytest.approx(0.75)
    assert cod.cou == pytest.approx(0.02625)
    assert (ph.avg, ph.cou) == (7.5, None)


def test_concentration_is_weighted_by_flow() -> None:
    found = sealed(
        engine(water(), *WATER),
        steady("w00000", [10.0] * 6 + [30.0] * 6) + steady("w01018", [20.0] * 6 + [40.0] * 6),
    )
    cod = pick(found, "w01018")
    assert cod.avg == pytest.approx(35.0)  # (6·10·20 + 6·30·40) / (6·10 + 6·30)
    assert cod.cou == pytest.approx((6 * 10 * 20 + 6 * 30 * 40) * 5e-6)


def test_site_may_ask_for_arithmetic_means() -> None:
    stream = steady("w00000", [10.0] * 6 + [30.0] * 6) + steady("w01018", [20.0] * 6 + [40.0] * 6)
    assert pick(sealed(engine(water(mean="arithmetic"), *WATER), stream), "w01018").avg == pytest.approx(30.0)
    assert pick(sealed(engine(water(arithmetic=("w01018",)), *WATER), stream), "w01018").avg == pytest.approx(30.0)


def test_ph_is_never_weighted() -> None:
    stream = steady("w00000", [10.0] * 6 + [30.0] * 6) + steady("w01001", [6.0] * 6 + [8.0] * 6)
    assert pick(sealed(engine(water(), *WATER), stream), "w01001").avg == pytest.approx(7.0)


def test_without_discharge_the_mean_is_arithmetic_and_the_mass_zero() -> None:
    stream = steady("w00000", [0.0] * 12) + steady("w01018", [20.0] * 6 + [40.0] * 6)
    cod = pick(sealed(engine(water(), *WATER), stream), "w01018")
    assert (cod.avg, cod.cou) == (30.0, 0.0)


def test_gap_in_the_flow_is_not_counted_as_standstill() -> None:
    flow = pick(sealed(engine(water(), *WATER), steady("w00000", [12.0] * 12, "NNN   NNNNNN")), "w00000")
    assert flow.avg == 12.0
    assert flow.cou == pytest.approx(9 * 12.0 * 5 / 1000)
    assert (flow.count, flow.mark) == (9, "N")


def test_one_abnormal_sample_marks_the_minute_and_stays_out_of_the_mean() -> None:
    found = sealed(
        engine(water(), *WATER), steady("w00000", [10.0] * 12) + steady("w01018", [30.0] * 11 + [90.0], "N" * 11 + "M")
    )
    cod = pick(found, "w01018")
    assert (cod.avg, cod.max, cod.count, cod.mark) == (30.0, 30.0, 11, "M")
    assert cod.cou == pytest.approx(11 * 0.05 * 30 * 1e-3)


def test_minute_without_a_valid_value_shows_those_of_its_mark() -> None:
    cod = pick(sealed(engine(water(), "w01018"), steady("w01018", [5.0] * 8 + [70.0] * 4, "C" * 8 + "M" * 4)), "w01018")
    assert (cod.min, cod.avg, cod.max, cod.count, cod.mark) == (5.0, 5.0, 5.0, 0, "C")


def test_tie_of_marks_goes_to_the_stronger_one() -> None:
    cod = pick(sealed(engine(water(), "w01018"), steady("w01018", [5.0, 6.0, 7.0], "TMN")), "w01018")
    assert cod.mark == "M"


def test_factor_of_which_nothing_came_is_b() -> None:
    ph = pick(sealed(engine(water(), *WATER), steady("w00000", [10.0] * 12)), "w01001")
    assert ph == Record("o", Kind.MINUTE, "w01001", T0, mark="B")


def test_slow_analyzer_is_weighed_by_the_volume_of_its_own_time() -> None:
    factors = rules("w00000") | rules("w01018", every_ms=30_000)
    cod = pick(
        sealed(
            Engine(water(), "o", factors),
            steady("w00000", [10.0] * 6 + [30.0] * 6) + steady("w01018", [20.0, 40.0], every_ms=30_000),
        ),
        "w01018",
    )
    assert cod.avg == pytest.approx(35.0)
    assert cod.cou == pytest.approx((0.3 * 20 + 0.9 * 40) * 1e-3)


def test_hour_adds_minutes_and_weighs_by_their_volume() -> None:
    volumes, values = [7.5, 7.2, 6.9, 7.8, 8.1, 7.5], [35.0, 36.0, 34.0, 38.0, 40.0, 37.0]
    stream = [
        sample
        for at in range(6)
        for minute in range(10)
        for sample in steady("w00000", [volumes[at] / 0.6] * 12, start=T0 + (at * 10 + minute) * MINUTE_MS)
        + steady("w01018", [values[at]] * 12, start=T0 + (at * 10 + minute) * MINUTE_MS)
    ]
    one = engine(water(), "w00000", "w01018")
    found = sealed(one, stream, minutes=60)
    flow, cod = pick(found, "w00000", Kind.HOUR), pick(found, "w01018", Kind.HOUR)
    assert flow.cou == pytest.approx(45.0)
    assert flow.avg == pytest.approx(12.5)
    assert cod.cou == pytest.approx(1.6542)
    assert cod.avg == pytest.approx(36.76)
    assert (cod.count, cod.mark) == (60, "N")
    minutes = [record for record in found if record.kind is Kind.MINUTE]
    tens = [one.derive(minutes, T0 + at * 600_000, 10) for at in range(6)]
    assert [pick(ten, "w00000").cou for ten in tens] == pytest.approx(volumes)
    assert [pick(ten, "w01018").avg for ten in tens] == pytest.approx(values)
    assert [pick(ten, "w01018").count for ten in tens] == [120] * 6


def test_marked_minute_keeps_its_valid_volume_in_the_hour() -> None:
    stream = [
        sample
        for minute in range(60)
        for sample in steady("w00000", [10.0] * 12, "M" if minute == 7 else "", start=T0 + minute * MINUTE_MS)
    ]
    hour = pick(sealed(engine(water(), "w00000"), stream, minutes=60), "w00000", Kind.HOUR)
    assert hour.cou == pytest.approx(36.0 - 0.05)
    assert (hour.count, hour.mark) == (59, "M")


def test_day_is_made_of_its_hours() -> None:
    day = T0 - 8 * HOUR_MS
    one = engine(water(), "w00000", "w01018", every_ms=MINUTE_MS)
    stream = steady("w00000", [10.0] * 720 + [30.0] * 720, start=day, every_ms=MINUTE_MS) + steady(
        "w01018", [20.0] * 720 + [40.0] * 720, start=day, every_ms=MINUTE_MS
    )
    found = sealed(one, stream, start=day, minutes=1440)
    cod, flow = pick(found, "w01018", Kind.DAY), pick(found, "w00000", Kind.DAY)
    assert (flow.avg, flow.count, flow.start) == (20.0, 24, day)
    assert flow.cou == pytest.approx(1728.0)
    assert cod.avg == pytest.approx(35.0)
    assert cod.cou == pytest.approx(60.48)


def test_derived_interval_with_gaps_weighs_by_what_entered() -> None:
    records = [
        Record("o", Kind.MINUTE, "w01001", T0, min=6.0, avg=6.0, max=6.0, count=12),
        Record("o", Kind.MINUTE, "w01001", T0 + MINUTE_MS, min=7.0, avg=8.0, max=9.0, count=4),
        Record("o", Kind.MINUTE, "w01001", T0 + 2 * MINUTE_MS, mark="B"),
    ]
    (joined,) = engine(water(), *WATER).derive(records, T0, 5)
    assert (joined.min, joined.avg, joined.max, joined.count, joined.mark) == (6.0, 6.5, 9.0, 16, "B")
