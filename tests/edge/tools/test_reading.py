"""What `instrument read` says of a point: its value, or why there is none."""

from __future__ import annotations

from typing import Any

import pytest

from config.site import Instrument, Point
from config.states import State
from drivers.driver import Reading
from drivers.errors import DeviceSilent
from edge.catalogue import text
from edge.tools.reading import Taken, point_row

KEY = "ww1/w01018"
POINT = Point(factor="w01018", outlet="ww1")
COD = Instrument(line="a", driver="modbus", points=(POINT,), states=(State(marks={"0": "N"}, other="D"),))
FLAG = Reading("state/0", 0.0, b"\0\0")


@pytest.mark.parametrize(
    ("readings", "mark", "code"),
    [
        ([Reading(KEY, 35.6, b"\x42"), FLAG], "N", None),
        ([Reading(KEY, None, b"\x7f", "drivers.modbus.not-a-number"), FLAG], "D", "drivers.modbus.not-a-number"),
        ([Reading(KEY, 35.6, b"\x42")], None, "tools.part-unread"),
        ([FLAG], None, "tools.part-unread"),
    ],
)
def test_answer_without_a_value_says_why(readings: list[Reading], mark: str | None, code: str | None) -> None:
    row = point_row("cod", COD, POINT, Taken(tuple(readings), 0.01))
    error: dict[str, Any] | None = row["error"]
    assert (row["mark"], error and error["code"]) == (mark, code)
    assert (row["value"] is None) == (code is not None)
    assert error is None or text(error["code"], "en", **error["params"]) != error["code"]


def test_silence_is_told_as_before() -> None:
    row = point_row("cod", COD, POINT, DeviceSilent("drivers.silent", instrument="cod", timeout_s=1.0))
    assert (row["raw"], row["mark"], row["error"]["code"]) == (None, None, "drivers.silent")
