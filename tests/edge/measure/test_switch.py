"""A switch between two thresholds, and what a stop does on the wire."""

from __future__ import annotations

import pytest

from edge.measure.stops import Stops
from edge.measure.switch import Hysteresis, Turn


def turns(switch: Hysteresis, values: list[float | None], every: int = 5_000) -> list[tuple[bool, int]]:
    found = [switch.feed(slot * every, value) for slot, value in enumerate(values)]
    return [(turn.is_on, turn.since // every) for turn in found if turn is not None]


def test_a_contact_turns_at_once() -> None:
    assert turns(Hysteresis(1, 0), [0, 0, 1, 1, 0, 1]) == [(True, 2), (False, 4), (True, 5)]


def test_a_contact_that_says_running_turns_the_other_way_round() -> None:
    assert turns(Hysteresis(on=0, off=1), [1, 0, 0, 1]) == [(True, 1), (False, 3)]


def test_a_meter_between_its_thresholds_changes_nothing() -> None:
    # stopped at 2 A and below, running at 5 A and above
    assert turns(Hysteresis(on=2, off=5), [8, 4, 3, 2, 3, 4.9, 5, 3, 2.1]) == [(True, 3), (False, 6)]


def test_a_new_state_counts_when_it_has_lasted_and_then_from_its_beginning() -> None:
    switch = Hysteresis(on=2, off=5, hold_ms=10_000)
    assert turns(switch, [8, 1, 1, 8, 1, 1, 1, 1, 8, 8, 8]) == [(True, 4), (False, 8)]


@pytest.mark.parametrize("gap", [None, 3.0])
def test_what_interrupts_the_wait_begins_it_anew(gap: float | None) -> None:
    assert turns(Hysteresis(on=2, off=5, hold_ms=10_000), [1, 1, gap, 1, 1, 1]) == [(True, 3)]


def test_a_silent_meter_leaves_the_state_as_it_is() -> None:
    switch = Hysteresis(on=2, off=5, is_on=True)
    assert turns(switch, [None, None, 1, None]) == []
    assert switch.is_on


def test_a_value_of_an_earlier_time_is_passed_over() -> None:
    switch = Hysteresis(1, 0)
    assert switch.feed(10_000, 1) == Turn(True, 10_000, 1)
    assert switch.feed(5_000, 0) is None
    assert switch.is_on


@pytest.mark.parametrize(
    ("begin", "end", "mark", "expected"),
    [
        (100, 200, "N", "F"), (100, 200, "M", "M"), (99, 200, "N", "N"), (150, 201, "N", "F"), (100, 301, "N", "N"),
        (300, 400, "N", "N"), (500, 10_000, "N", "F"), (499, 501, "N", "N"),
    ],
)  # fmt: skip
def test_only_a_period_that_was_stopped_throughout_is_f_on_the_wire(
    begin: int, end: int, mark: str, expected: str
) -> None:
    stops = Stops()
    stops.put({"o": [(500, None), (100, 200), (200, 300)]})  # two that meet are one
    assert stops.mark(mark, "o", begin, end) == expected
    assert stops.mark(mark, "other", begin, end) == mark
