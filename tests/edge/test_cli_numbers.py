"""Numbers on the screen: as meters show them."""

from __future__ import annotations

import pytest

from edge.cli.common import with_m3_h


@pytest.mark.parametrize(
    ("value", "unit", "digits", "shown"),
    [
        (35.599998474121094, "mg/L", 4, "35.6"), (0.0123456, "mg/L", 4, "0.01235"), (-1.5, "A", 4, "-1.5"),
        (1234.56, "kWh", 4, "1234.56"), (123456.78, "kWh", 4, "123456.78"), (285908.08, "m³/h", 4, "285908.08"),
        (-123456.78, "kWh", 4, "-123456.78"), (6289977.8, "m³", 6, "6289977.80"), (12.5, "L/s", 4, "12.5 (45 m³/h)"),
        (2500.0, "L/s", 4, "2500.00 (9000.00 m³/h)"),
    ],
)  # fmt: skip
def test_a_large_number_is_shown_whole(value: float, unit: str, digits: int, shown: str) -> None:
    assert with_m3_h(value, unit, digits) == shown
