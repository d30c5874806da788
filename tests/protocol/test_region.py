"""Numbers on the wire against `decimal`, and regions."""

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import CannotEncode
from protocol.region import fields, length, number, value_of, write


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (2.675, 2, "2.68"), (0.5, 0, "0"), (1.5, 0, "2"), (2.5, 0, "2"), (-0.001, 2, "0.00"), (-0.0, 1, "0.0"),
        (0.1 + 0.2, 2, "0.30"), (1512.0, 1, "1512.0"), (7, 2, "7.00"), (1e22, 1, "10000000000000000000000.0"),
        (1e-05, 4, "0.0000"), (5e-05, 4, "0.0000"), (1.5e-04, 4, "0.0002"), (-2.345, 2, "-2.34"), (99.995, 2, "100.00"),
        (9.5, 0, "10"), (0.15, 1, "0.2"), (0.25, 1, "0.2"), (0.35, 1, "0.4"), (123456789.125, 2, "123456789.12"),
    ],
)  # fmt: skip
def test_numbers_round_half_even_on_what_is_read(value: float, decimals: int, text: str) -> None:
    assert number(value, decimals) == text


def by_decimal(value: float, decimals: int) -> str:
    exact = Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_EVEN)
    return format(abs(exact) if exact == 0 else exact, "f")


_usual = st.floats(-1e9, 1e9, allow_nan=False)
_ties = st.builds(lambda whole, places: (whole + 0.5) / 10**places, st.integers(-(10**7), 10**7), st.integers(0, 5))


@given(st.one_of(_usual, _ties, st.floats(-1e15, 1e15)), st.integers(0, 9))
def test_numbers_agree_with_decimal(value: float, decimals: int) -> None:
    assert number(value, decimals) == by_decimal(value, decimals)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_not_sent(value: float) -> None:
    with pytest.raises(CannotEncode):
        number(value, 2)


def test_fields_are_items_of_their_own() -> None:
    assert write(fields(("PolId", "w01018"), ("Stime", "40"))) == "PolId=w01018;Stime=40"


def test_first_field_of_a_name_is_found_whatever_its_capitals() -> None:
    region = fields(("Overtime", "5"), ("OverTime", "6"))
    assert value_of(region, "OVERTIME") == "5"


def test_length_counts_bytes() -> None:
    region = ((("a", "1"), ("b", "//清//")), (("c", ""),))
    assert length(region) == len(write(region).encode()) == len("a=1,b=////;c=") + 3
