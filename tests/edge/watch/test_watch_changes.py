"""What counts as a change, from when; and whose turn it is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.values import Change, InfoKey, Known
from edge.watch.changes import LONGEST_WAIT_S, Changes, Pace

STATE = InfoKey("cod", "ww1", "", "i12001")
OTHER = InfoKey("cod", "ww1", "", "i13008")


@given(values=st.lists(st.sampled_from("012"), min_size=1, max_size=40))
def test_there_is_a_change_where_a_value_differs_from_the_one_before_and_nowhere_else(values: list[str]) -> None:
    changes = Changes({})
    found = [changes.seen(STATE, value, at) for at, value in enumerate(values)]
    for at, change in enumerate(found):
        before = values[at - 1] if at else None
        assert change == (None if values[at] == before else Change(STATE, before, values[at], at))
    assert changes.value(STATE) is not None
    assert changes.value(OTHER) is None


def test_what_was_known_before_a_restart_is_compared_with() -> None:
    changes = Changes({STATE: Known("0", 5)})
    assert changes.seen(STATE, "0", 10) is None
    assert changes.seen(STATE, "2", 20) == Change(STATE, "0", "2", 20)


def test_state_that_is_usual_is_no_news_and_another_is() -> None:
    changes = Changes({})
    assert changes.seen(STATE, "0", 10, usual="0") is None
    assert changes.value(STATE) is None
    assert changes.seen(STATE, "1", 20, usual="0") == Change(STATE, "0", "1", 20)


def test_state_that_does_not_stay_long_enough_is_no_change_and_one_that_does_counts_from_its_beginning() -> None:
    changes = Changes({})
    for at in (1_000, 30_000, 60_000):
        assert changes.seen(STATE, "1", at, usual="0", hold_ms=60_000) is None
    assert changes.seen(STATE, "0", 60_500, usual="0") is None
    assert changes.seen(STATE, "1", 61_000, usual="0", hold_ms=60_000) is None
    assert changes.seen(STATE, "1", 121_000, usual="0", hold_ms=60_000) == Change(STATE, "0", "1", 61_000)


def test_each_is_read_in_its_own_turn() -> None:
    pace = Pace({STATE: 60.0, OTHER: 600.0}, 0.0)
    read: dict[InfoKey, list[float]] = {STATE: [], OTHER: []}
    for now in range(1_300):
        while (key := pace.next(now)) is not None:
            read[key].append(now)
            pace.looked(key, now, answered=True)
    assert read[STATE] == [60.0 * number for number in range(22)]
    assert read[OTHER] == [0.0, 600.0, 1_200.0]


def test_what_cannot_be_read_is_asked_for_less_and_less_often_and_an_answer_ends_that() -> None:
    pace = Pace({STATE: 60.0}, 0.0)
    now, waits = 0.0, []
    for _ in range(8):
        pace.looked(STATE, now, answered=False)
        waits.append(pace.wait_s(now))
        now += waits[-1]
    assert waits == [120.0, 240.0, 480.0, *[LONGEST_WAIT_S] * 5]
    pace.looked(STATE, now, answered=True)
    assert pace.wait_s(now) == 60.0


def test_one_that_is_wanted_at_once_while_it_is_being_read_is_read_again() -> None:
    pace = Pace({STATE: 60.0}, 0.0)
    pace.at_once(STATE, 0.3)
    pace.looked(STATE, 0.0, answered=True)
    assert pace.next(0.3) == STATE
    pace.looked(STATE, 0.3, answered=True)
    assert pace.next(60.2) is None
