"""Units that a platform wants: the number in the other unit, as fine as before, rounded as decimals are."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.edition2005 import EDITION_2005
from protocol.errors import CannotEncode, ProtocolError
from protocol.factors import factor, molar_mass
from protocol.region import rated_number
from protocol.upload import Shape, realtime, statistics, unit_format

TIME = 1_763_769_600_000  # 2025-11-22 08:00:00 in Beijing
HG: Shape = (("w20111", (("Cou", 6), ("Min", 2), ("Avg", 2), ("Max", 2), ("Flag", "N"))),)


@pytest.mark.parametrize(
    ("code", "unit", "decimals", "expected"),
    [
        ("w20111", "mg/L", 2, (5, (1, 1000))),  # µg/L: 0.01 µg/L is 0.00001 mg/L
        ("w20111", "µg/L", 2, (2, (1, 1))),
        ("a01013", "Pa", 3, (0, (1000, 1))),  # 0.001 kPa is 1 Pa
        ("a01013", "hPa", 3, (2, (10, 1))),
        ("a21001", "mg/m³", 3, (9, (1, 1_000_000))),  # the table has ng/m³
        ("w00000", "m³/h", 2, (2, (18, 5))),  # 0.01 L/s is 0.036 m³/h
        ("w00000", "m³/d", 2, (1, (432, 5))),  # and 0.864 m³/d
        ("a00000", "m³/h", 3, (0, (3600, 1))),
    ],
)
def test_decimals_follow_the_unit_so_that_nothing_is_lost(
    code: str, unit: str, decimals: int, expected: tuple[int, tuple[int, int]]
) -> None:
    assert unit_format(code, unit, decimals) == expected


def test_mercury_in_mg_per_litre_keeps_its_digits_and_its_mass() -> None:
    body = statistics(TIME, HG, [0.000123, 0.05, 0.07, 1.25], units=(("w20111", "mg/L"),))
    assert body == (
        "DataTime=20251122080000;w20111-Cou=0.000123,w20111-Min=0.00005,w20111-Avg=0.00007,w20111-Max=0.00125,w20111-Flag=N"
    )


def test_negative_pressure_in_pascal_and_no_minus_before_nothing() -> None:
    shape: Shape = (("a01013", (("Rtd", 3), ("Flag", "N"))), ("a01012", (("Rtd", 1), ("Flag", "N"))))
    units = (("a01013", "Pa"),)
    assert "a01013-Rtd=-282," in realtime(TIME, shape, [-0.2816, 118.0], units=units)
    assert "a01013-Rtd=0," in realtime(TIME, shape, [-0.0004, 118.0], units=units)
    assert "a01013-Rtd=-0.282," in realtime(TIME, shape, [-0.2816, 118.0])


def test_tie_in_another_unit_is_rounded_as_in_its_own() -> None:
    for value in (2.675, 0.005, 1.115, 0.285, 1.005):
        text = realtime(TIME, (("w20111", (("Rtd", 2), ("Flag", "N"))),), [value], units=(("w20111", "mg/L"),))
        half_even = Decimal(repr(value)).quantize(Decimal("0.01"), ROUND_HALF_EVEN) / 1000
        assert f"w20111-Rtd={half_even:.5f}," in text


def test_unit_of_the_platform_comes_before_that_of_edition_2005() -> None:
    old = realtime(TIME, (("w20111", (("Rtd", 2), ("Flag", "N"))),), [1.25], EDITION_2005)
    new = realtime(TIME, (("w20111", (("Rtd", 2), ("Flag", "N"))),), [1.25], EDITION_2005, (("w20111", "µg/L"),))
    assert "Rtd=1.25," not in old
    assert "Rtd=1.25," in new


def test_unit_of_another_kind_is_refused() -> None:
    with pytest.raises(ProtocolError):
        unit_format("w20111", "m/s", 2)


@given(
    st.one_of(st.floats(-1e9, 1e9), st.integers(-(10**6), 10**6).map(lambda n: (n + 0.5) / 1000)),
    st.sampled_from([(1, 1000), (1000, 1), (18, 5), (3600, 1), (1, 1_000_000)]),
    st.integers(0, 9),
)
def test_rated_numbers_agree_with_decimal(value: float, rate: tuple[int, int], decimals: int) -> None:
    exact = (Decimal(repr(value)) * rate[0] / rate[1]).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_EVEN)
    text = rated_number(value, rate, decimals)
    assert text == format(abs(exact) if exact == 0 else exact, "f")
    assert "e" not in text.lower()
    assert text.lstrip("-").replace("0", "").replace(".", "") or not text.startswith("-")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_not_sent_in_any_unit(value: float) -> None:
    with pytest.raises(CannotEncode):
        realtime(TIME, (("w20111", (("Rtd", 2), ("Flag", "N"))),), [value], units=(("w20111", "mg/L"),))


@pytest.mark.parametrize(
    ("code", "value", "wide"),
    [("w20111", 999.994, False), ("w20111", 999.995, True), ("w20111", -1000.0, True), ("a34013", 9999.4, False),
     ("a34013", 9999.5, True), ("i13007", 1e9, False)],
)  # fmt: skip
def test_width_is_that_of_the_rounded_number(code: str, value: float, wide: bool) -> None:
    row = factor(code)
    assert row is not None
    assert row.is_wider(value) is wide


def test_largest_number_of_a_format() -> None:
    assert [row.largest for code in ("a21026", "a21002", "a34013") if (row := factor(code))] == [
        99999.99,
        99999.9,
        9999.0,
    ]


def test_molar_masses_are_those_of_the_worked_examples() -> None:
    assert [molar_mass(code) for code in ("a21026", "a21003", "a21004", "a21002", "a19001")] == [64, 30, 46, 46, None]
