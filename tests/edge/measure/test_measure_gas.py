"""Flue gas: basis, converted values, flow from velocity, mass, the 75 % rule (HJ 212-2017 Annex D.2, C.16–C.18)."""

from math import pi

import pytest
from measure_streams import HOUR_MS, MINUTE_MS, T0, Kind, Record, engine, flue, pick, sealed, steady

CONDITIONS = {"a01011": 10.2, "a01012": 130.0, "a01013": -0.5, "a01014": 12.0}
STACK = {"area": pi * 4, "kv": 1.05, "ambient_pressure": 100.8}


def minute(values: dict[str, float], n: int = 12, **rules: object) -> list[Record]:
    stream = [sample for factor, value in values.items() for sample in steady(factor, [value] * n)]
    return sealed(engine(flue(**rules), *values), stream)


def test_wet_hot_minute_becomes_standard_dry_converted_and_a_mass() -> None:
    found = minute(CONDITIONS | {"a19001": 7.48, "a21026": 30.0}, basis="actual-wet", o2_reference=6.0, **STACK)
    so2, oxygen, flow = pick(found, "a21026"), pick(found, "a19001"), pick(found, "a00000")
    assert oxygen.avg == pytest.approx(8.5)
    dry = 44.7383 / 0.88  # (18), then (19)
    assert so2.avg == pytest.approx(dry, rel=1e-6)
    assert so2.zs_avg == pytest.approx(dry * 15 / 12.5, rel=1e-6)  # (28)
    assert flow.cou == pytest.approx(285_908.08 / 60, abs=0.01)  # (31)
    assert so2.cou == pytest.approx(dry * 285_908.08 / 60 * 1e-6, rel=1e-6)  # (33): not the converted value


def test_standard_dry_values_stay_as_they_are() -> None:
    found = minute(CONDITIONS | {"a19001": 8.5, "a21026": 40.0}, excess_air=1.4, **STACK)
    assert pick(found, "a21026").avg == 40.0
    assert pick(found, "a21026").zs_avg == pytest.approx(48.0)  # (26), (27)
    assert pick(found, "a19001").zs_avg is None
    assert pick(found, "a00000").zs_avg is None


def test_actual_dry_values_are_not_dried_again() -> None:
    found = minute(CONDITIONS | {"a19001": 8.5, "a21026": 30.0}, basis="actual-dry", **STACK)
    assert pick(found, "a21026").avg == pytest.approx(44.7383, abs=1e-4)
    assert pick(found, "a19001").avg == 8.5


def test_hour_of_the_worked_example() -> None:
    factors = CONDITIONS | {"a19001": 8.5, "a21026": 40.0}
    stream = [s for f, value in factors.items() for s in steady(f, [value] * 720)]
    found = sealed(engine(flue(o2_reference=6.0, **STACK), *factors), stream, minutes=60)
    assert pick(found, "a00000", Kind.HOUR).cou == pytest.approx(285_908.08, abs=0.01)
    so2 = pick(found, "a21026", Kind.HOUR)
    assert so2.cou == pytest.approx(11.43632, abs=1e-5)
    assert (so2.count, so2.mark) == (60, "N")


def test_hourly_mass_is_mean_concentration_times_volume() -> None:
    stream = steady("a00000", [10.0, 30.0] * 30, every_ms=MINUTE_MS) + steady(
        "a21026", [20.0, 40.0] * 30, every_ms=MINUTE_MS
    )
    found = sealed(engine(flue(), "a00000", "a21026", every_ms=MINUTE_MS), stream, minutes=60)
    assert pick(found, "a00000", Kind.HOUR).cou == pytest.approx(72_000)
    assert pick(found, "a21026", Kind.HOUR).cou == pytest.approx(30 * 72_000 * 1e-6)


def test_converted_hour_is_the_mean_of_converted_minutes() -> None:
    stream = steady("a21026", [40.0, 60.0] * 30, every_ms=MINUTE_MS) + steady(
        "a19001", [6.0, 12.0] * 30, every_ms=MINUTE_MS
    )
    found = sealed(engine(flue(o2_reference=6.0), "a21026", "a19001", every_ms=MINUTE_MS), stream, minutes=60)
    so2 = pick(found, "a21026", Kind.HOUR)
    assert (so2.zs_min, so2.zs_avg, so2.zs_max) == pytest.approx((40.0, 70.0, 100.0))


@pytest.mark.parametrize("oxygen", [20.5, 21.0, 25.0])
def test_near_the_oxygen_of_air_the_measured_value_stands(oxygen: float) -> None:
    found = minute({"a19001": oxygen, "a21026": 10.0}, o2_reference=6.0)
    assert pick(found, "a21026").zs_avg == 10.0


def test_without_a_reference_the_converted_value_is_the_measured_one() -> None:
    assert pick(minute({"a21026": 40.0}), "a21026").zs_avg == 40.0


def test_without_oxygen_there_is_no_converted_value() -> None:
    stream = steady("a21026", [40.0] * 12) + steady("a19001", [8.5] * 12, "D" * 12)
    so2 = pick(sealed(engine(flue(o2_reference=6.0), "a21026", "a19001"), stream), "a21026")
    assert (so2.avg, so2.zs_avg, so2.mark) == (40.0, None, "N")


@pytest.mark.parametrize(
    ("marks", "mark", "count"),
    [
        ("N" * 12, "N", 12),
        ("N" * 9 + "M" * 3, "N", 9),
        ("N" * 8 + "M" * 4, "D", 8),
        ("N" * 9 + "   ", "N", 9),
        ("N" * 8 + "    ", "D", 8),
        ("F" * 12, "F", 0),
        ("C" * 7 + "M" * 5, "C", 0),
        ("CM" * 6, "M", 0),
        (" " * 12, "B", 0),
    ],
)
def test_mark_of_a_minute(marks: str, mark: str, count: int) -> None:
    found = pick(sealed(engine(flue(), "a21026"), steady("a21026", [40.0] * 12, marks)), "a21026")
    assert (found.mark, found.count) == (mark, count)


@pytest.mark.parametrize(("valid", "mark"), [(45, "N"), (44, "D")])
def test_hour_needs_45_valid_minutes(valid: int, mark: str) -> None:
    stream = steady("a21026", [40.0] * valid + [99.0] * (60 - valid), "N" * valid + "M" * (60 - valid), T0, MINUTE_MS)
    hour = pick(sealed(engine(flue(), "a21026", every_ms=MINUTE_MS), stream, minutes=60), "a21026", Kind.HOUR)
    assert (hour.avg, hour.max, hour.count, hour.mark) == (40.0, 40.0, valid, mark)


@pytest.mark.parametrize(("valid", "mark"), [(20, "N"), (19, "D")])
def test_day_needs_20_valid_hours_and_adds_only_those(valid: int, mark: str) -> None:
    day = T0 - 8 * HOUR_MS
    marks = "N" * 60 * valid + "M" * 60 * (24 - valid)
    stream = [s for f, v in (("a00000", 10.0), ("a21026", 40.0)) for s in steady(f, [v] * 1440, marks, day, MINUTE_MS)]
    found = sealed(engine(flue(), "a00000", "a21026", every_ms=MINUTE_MS), stream, start=day, minutes=1440)
    flow, so2 = pick(found, "a00000", Kind.DAY), pick(found, "a21026", Kind.DAY)
    assert (so2.count, so2.mark) == (valid, mark)
    assert flow.cou == pytest.approx(36_000 * valid)
    assert so2.cou == pytest.approx(40 * 0.036 * valid)


def test_minute_samples_of_the_site_replace_the_expected_count() -> None:
    one = engine(flue(minute_samples=1), "a21026")
    assert pick(sealed(one, steady("a21026", [40.0])), "a21026").mark == "N"


def test_value_whose_temperature_fails_is_not_shown_unconverted() -> None:
    stream = (
        steady("a21026", [30.0] * 12)
        + steady("a01012", [130.0] * 12, "D" * 12)
        + steady("a01013", [-0.5] * 12)
        + steady("a01014", [12.0] * 12)
    )
    one = engine(flue(basis="actual-wet"), "a21026", "a01012", "a01013", "a01014")
    so2 = pick(sealed(one, stream), "a21026")
    assert (so2.avg, so2.count, so2.mark) == (None, 0, "D")


def test_velocity_alone_gives_an_actual_flow_and_no_mass() -> None:
    found = minute({"a01011": 10.0, "a21026": 40.0}, area=2.0)
    assert pick(found, "a00000").avg == pytest.approx(20.0)
    assert pick(found, "a21026").cou is None


def test_measured_flow_is_not_computed_again() -> None:
    found = minute({"a01011": 10.0, "a00000": 7.0}, area=2.0)
    assert pick(found, "a00000").avg == 7.0


def test_mass_is_left_out_where_no_flow_is_valid() -> None:
    stream = steady("a21026", [40.0] * 12) + steady("a00000", [500.0] * 12, "D" * 12)
    so2 = pick(sealed(engine(flue(), "a21026", "a00000"), stream), "a21026")
    assert (so2.avg, so2.cou, so2.mark) == (40.0, None, "N")


def test_slow_thermometer_holds_within_the_minute() -> None:
    stream = (
        steady("a21026", [30.0] * 12) + steady("a01012", [130.0], start=T0 + 30_000) + steady("a01013", [-0.5] * 12)
    )
    one = engine(flue(basis="actual-dry", ambient_pressure=100.8), "a21026", "a01012", "a01013")
    assert pick(sealed(one, stream), "a21026").avg == pytest.approx(44.7383, abs=1e-4)


def test_live_values_are_those_of_the_statistics() -> None:
    factors = CONDITIONS | {"a19001": 8.5, "a21026": 40.0}
    one = engine(flue(o2_reference=6.0, **STACK), *factors)
    live = {shown.sample.factor: shown for shown in one.live([steady(f, [v])[0] for f, v in factors.items()])}
    assert live["a21026"].zs == pytest.approx(48.0)
    assert live["a19001"].zs is None
    assert live["a00000"].sample.value == pytest.approx(79.41891, abs=1e-5)
    assert "a00000" in one.factors


@pytest.mark.parametrize(("factor", "value"), [("a01014", 100.0), ("a01012", -273.0), ("a01013", -100.8)])
def test_impossible_condition_is_a_fault_and_divides_nothing_by_zero(factor: str, value: float) -> None:
    found = minute(CONDITIONS | {"a21026": 30.0} | {factor: value}, basis="actual-wet", **STACK)
    assert [(pick(found, name).avg, pick(found, name).mark) for name in ("a21026", "a00000")] == [(None, "D")] * 2
