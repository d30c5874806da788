"""The worked numbers of HJ 212-2017 Annex D, by hand; 273, 22.4 and 101325 are the standard's."""

from math import pi

import pytest

from edge.measure import gas, water
from edge.measure.periods import mean, weighted_mean

NEAR = 1e-4


def test_gas_concentration_is_brought_to_the_standard_state() -> None:
    assert gas.to_standard(30, 100_800, -500, 130) == pytest.approx(44.7383, abs=NEAR)  # (18)


def test_wet_values_become_dry() -> None:
    assert gas.to_dry(20, 0.12) == pytest.approx(22.7273, abs=NEAR)  # (19)
    assert gas.to_dry(7.48, 0.12) == pytest.approx(8.5, abs=NEAR)  # oxygen as well


def test_volume_shares_become_mass_concentrations() -> None:
    assert gas.from_volume_share(50, 64) == pytest.approx(142.8571, abs=NEAR)  # (20) SO2
    assert gas.from_volume_share(50, 64.06) == pytest.approx(142.9911, abs=NEAR)
    assert gas.nox_from_mass(134, 10.3) == pytest.approx(215.7667, abs=NEAR)  # (21)
    assert gas.nox_from_volume_share(100, 5) == pytest.approx(215.625, abs=NEAR)  # (22)


def test_minute_mean_of_twelve_values() -> None:
    values = [40.1, 40.3, 39.8, 40.0, 40.2, 40.4, 39.9, 40.0, 40.1, 40.2, 40.0, 40.2]
    assert mean(values) == pytest.approx(40.1, abs=1e-9)  # (23)


def test_converted_value_is_the_same_by_excess_air_and_by_oxygen() -> None:
    assert gas.excess_air(8.5) == pytest.approx(1.68, abs=NEAR)  # (27)
    assert gas.converted_by_excess_air(40, 1.68, 1.4) == pytest.approx(48.0, abs=NEAR)  # (26)
    assert gas.converted_by_oxygen(40, 6, 8.5) == pytest.approx(48.0, abs=NEAR)  # (28)


@pytest.mark.parametrize(("oxygen", "alpha"), [(3, 1.1667), (3.5, 1.2), (6, 1.4), (9, 1.75), (11, 2.1), (15, 3.5)])
def test_excess_air_of_the_reference_oxygens(oxygen: float, alpha: float) -> None:
    assert gas.excess_air(oxygen) == pytest.approx(alpha, abs=NEAR)


def test_velocity_becomes_standard_dry_flow_and_mass() -> None:
    velocity = gas.mean_velocity(1.05, 10.2)
    assert velocity == pytest.approx(10.71, abs=NEAR)  # (29)
    actual = gas.hourly_flow(pi * 4.0**2 / 4, velocity)
    assert actual == pytest.approx(484_508.99, abs=0.01)  # (30)
    dry = gas.to_standard_dry(actual, 100_800, -500, 130, 0.12)
    assert dry == pytest.approx(285_908.08, abs=0.01)  # (31)
    assert 22 * dry == pytest.approx(6_289_977.8, abs=0.1)  # (32)
    assert gas.mass(40, dry) == pytest.approx(11.43632, abs=1e-5)  # (33)
    assert 22 * gas.mass(40, dry) == pytest.approx(251.5991, abs=NEAR)  # (34) without the misprinted factor


def test_water_slot_volume_and_mass() -> None:
    assert water.slot_volume(12.5, 5) == pytest.approx(0.0625, abs=1e-12)  # (1)
    assert 120 * water.slot_volume(12.5, 5) == pytest.approx(7.5, abs=1e-9)  # (2)
    assert water.slot_mass(35, 0.0625, 1e-3) == pytest.approx(0.0021875, abs=1e-12)  # (8)
    assert 120 * water.slot_mass(35, 0.0625, 1e-3) == pytest.approx(0.2625, abs=1e-9)  # (9)


def test_flow_weighted_mean_of_six_periods() -> None:
    volumes = [7.5, 7.2, 6.9, 7.8, 8.1, 7.5]
    concentrations = [35.0, 36.0, 34.0, 38.0, 40.0, 37.0]
    assert weighted_mean(concentrations, volumes) == pytest.approx(36.76, abs=NEAR)  # (13)
    assert mean(concentrations) == pytest.approx(36.6667, abs=NEAR)  # (16)
    assert sum(water.slot_mass(c, d, 1e-3) for c, d in zip(concentrations, volumes, strict=True)) == pytest.approx(
        1.6542, abs=NEAR
    )


def test_daily_mean_of_water_is_weighted_by_flow() -> None:
    concentrations, flows = [32.0, 35.0, 41.0, 38.0, 30.0, 33.0], [20.0, 25.0, 10.0, 40.0, 30.0, 15.0]
    assert weighted_mean(concentrations, flows) == pytest.approx(34.5714, abs=NEAR)
    assert mean(concentrations) == pytest.approx(34.8333, abs=NEAR)


def test_mean_stays_between_the_extremes_in_spite_of_rounding() -> None:
    assert mean([0.1] * 3) == 0.1
    assert weighted_mean([0.1, 0.1, 0.1], [0.3, 0.7, 0.1]) == 0.1
