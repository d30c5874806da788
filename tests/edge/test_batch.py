"""Batch analyzers: what is a new result, of what, sampled when; what samples hold of it (HJ 355 §6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from config.batch import Source
from config.site import General, Instrument, Outlet, Point, Site
from drivers.driver import Reading
from drivers.line import PollResult
from edge.acquire import Acquirer
from edge.values import HOUR_MS, MINUTE_MS, Result, Sample
from protocol.times import time_text

NOON = 1_790_049_600_000
"""2026-09-22 12:00:00 Beijing."""
POLL_MS = 5_000
ONE = (Source(),)


def bcd(ms: int) -> float:
    """yymmddhhmmss as a BCD register of three words gives it."""
    return float(time_text(ms)[2:])


@dataclass
class Analyzer:
    """A point polled every 5 s; each `poll` says what the registers hold."""

    options: dict[str, Any]
    now: int = NOON
    action: str | None = None
    results: list[Result] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    last: tuple[float, dict[str, Any]] | None = None

    def __post_init__(self) -> None:
        self.restart()

    def restart(self, newest: Result | None = None, sample: Result | None = None) -> None:
        point = Point(factor="w01018", outlet="ww1", range=(0.0, 500.0), batch="held", **self.options)
        site = Site(
            site=General(name="x"),
            outlets={"ww1": Outlet(name="x", st="32", statistics="water")},
            instruments={"cod": Instrument(line="a", driver="modbus", points=(point,))},
        )
        self.acquirer = Acquirer(site, lambda _name: self.action)
        (batch,) = self.acquirer.batches()
        batch.resume(newest, sample)

    def poll(self, value: float, polls: int = 1, **beside: float | Sequence[float]) -> list[Result]:
        """So many polls that find the same; the results that they brought."""
        found = []
        for _ in range(polls):
            readings = [Reading("ww1/w01018", value)]
            for name, numbers in beside.items():
                places = numbers if isinstance(numbers, (list, tuple)) else [numbers]
                readings += [Reading(f"ww1/w01018#{name}.{at}", number) for at, number in enumerate(places)]
            self.samples += self.acquirer.accept(PollResult("cod", self.now, tuple(readings), None, 0.0))
            found += self.acquirer.results()
            self.told += [code for code, _ in self.acquirer.happened()]
            self.now += POLL_MS
        self.results += found
        return found


BY_TIME: dict[str, Any] = {"new_result": "time-register", "sampled": ONE}


def test_other_sample_time_is_a_new_result_once_it_was_seen_twice() -> None:
    cod = Analyzer(BY_TIME)
    drawn = NOON - 50 * MINUTE_MS
    assert cod.poll(35.0, sampled=bcd(drawn)) == []
    (result,) = cod.poll(35.0, sampled=bcd(drawn))
    assert result == Result("ww1", "w01018", drawn, NOON, NOON, 35.0, "N", "sample", "2026-09-22T11:10:00+08:00")
    assert cod.poll(35.0, 700, sampled=bcd(drawn)) == []
    (result,) = cod.poll(35.0, 2, sampled=bcd(drawn + HOUR_MS))  # the same value again is another result
    assert (result.sampled, result.value) == (drawn + HOUR_MS, 35.0)
    assert cod.told == []


def test_time_that_changes_before_the_value_does_not_bring_the_old_value() -> None:
    cod = Analyzer(BY_TIME)
    first, second = NOON - 50 * MINUTE_MS, NOON
    cod.poll(35.0, 2, sampled=bcd(first))
    assert cod.poll(35.0, sampled=bcd(second)) == []
    (result,) = cod.poll(41.0, 2, sampled=bcd(second))
    assert result.value == 41.0


def test_register_that_flickers_brings_nothing() -> None:
    cod = Analyzer(BY_TIME)
    cod.poll(35.0, 2, sampled=bcd(NOON - HOUR_MS))
    assert cod.poll(99.0, sampled=bcd(NOON)) == []
    assert cod.poll(35.0, 10, sampled=bcd(NOON - HOUR_MS)) == []


def test_time_of_nothing_is_no_result() -> None:
    cod = Analyzer(BY_TIME)
    assert cod.poll(35.0, 5, sampled=0.0) == []
    assert [(s.value, s.mark) for s in cod.samples] == [(None, "D")] * 3  # it answers, and has nothing to show


@pytest.mark.parametrize("parts", [[2026, 9, 22, 11, 10], [26, 9, 22, 11, 10, 0]])
def test_time_may_stand_in_registers_of_its_own(parts: list[float]) -> None:
    cod = Analyzer({"new_result": "time-register", "sampled": ONE * len(parts)})
    (result,) = cod.poll(35.0, 2, sampled=parts)
    assert result.sampled == NOON - 50 * MINUTE_MS


def test_samples_hold_the_last_result_until_it_is_too_old() -> None:
    cod = Analyzer({**BY_TIME, "cycle": HOUR_MS})
    drawn = NOON - 30 * MINUTE_MS
    cod.poll(35.0, 2, sampled=bcd(drawn))
    cod.poll(520.0, 1, sampled=bcd(drawn))  # what the register holds meanwhile is nobody's result
    assert [(s.value, s.mark) for s in cod.samples] == [(35.0, "N"), (35.0, "N")]
    assert cod.acquirer.sampled_at("ww1") == {"w01018": drawn}
    cod.now = drawn + 3 * HOUR_MS  # twice the cycle, and an hour
    cod.poll(35.0, 2, sampled=bcd(drawn))
    assert [(s.value, s.mark) for s in cod.samples[-2:]] == [(35.0, "N"), (None, "D")]


def test_result_bears_the_mark_of_its_range() -> None:
    (result,) = Analyzer(BY_TIME).poll(501.0, 2, sampled=bcd(NOON))
    assert (result.value, result.mark) == (501.0, "T")


def test_counter_tells_equal_results_apart_and_the_first_look_has_no_age() -> None:
    cod = Analyzer({"new_result": "counter", "counter": Source(), "analysis": 40 * MINUTE_MS})
    assert cod.poll(35.0, 5, counter=7) == []
    assert [(s.value, s.mark) for s in cod.samples] == [(None, "D")] * 3  # it answers, and has nothing to show
    (result,) = cod.poll(35.0, 2, counter=8)
    assert (result.completed, result.sampled) == (NOON + 25_000, NOON + 25_000 - 40 * MINUTE_MS)
    assert cod.poll(36.0, 5, counter=8) == []


def test_change_of_the_value_is_a_result() -> None:
    cod = Analyzer({"new_result": "change"})
    cod.poll(35.0, 3)
    assert [r.value for r in cod.poll(36.0, 3) + cod.poll(35.0, 3)] == [36.0, 35.0]


STATE: dict[str, Any] = {
    "new_result": "state",
    "state": Source(),
    "ready_states": (0.0,),
    "result_kinds": {"1": "sample", "2": "check", "8": "calibration"},
}
"""0 idle, 1 measuring, 2 standard check, 8 calibrating."""


def test_state_that_becomes_ready_brings_a_result_of_what_it_was_working_at() -> None:
    cod = Analyzer(STATE)
    cod.poll(35.0, 3, state=0)
    cod.poll(35.0, 3, state=1)
    (sample,) = cod.poll(35.0, 3, state=0)
    assert (sample.kind, sample.value) == ("sample", 35.0)
    cod.poll(35.0, 3, state=2)
    (check,) = cod.poll(100.2, 3, state=0)
    cod.poll(100.2, 3, state=8)
    (calibration,) = cod.poll(250.0, 3, state=0)
    assert (check.kind, calibration.kind) == ("check", "calibration")
    assert {s.value for s in cod.samples if s.mark == "N"} == {35.0}  # neither is data
    assert {s.value for s in cod.samples if s.mark != "N"} == {None}


def test_state_may_be_ready_for_one_poll_only() -> None:
    cod = Analyzer({**STATE, "result_kinds": None})
    cod.poll(35.0, 2, state=1)
    assert cod.poll(36.0, state=0) == []
    assert [r.value for r in cod.poll(36.0, 5, state=1)] == [36.0]


def test_value_that_changes_while_the_state_stays_is_no_result() -> None:
    cod = Analyzer({**STATE, "result_kinds": None})
    cod.poll(35.0, 3, state=0)
    assert cod.poll(99.0, 10, state=0) == []


def test_code_of_the_kind_makes_data_of_samples_only() -> None:
    kinds = {"78": "sample", "25466": "calibration"}  # N, cz
    cod = Analyzer({**BY_TIME, "result_code": Source(), "result_kinds": kinds})
    cod.poll(35.0, 2, sampled=bcd(NOON - HOUR_MS), result_code=78)
    cod.poll(0.1, 2, sampled=bcd(NOON - MINUTE_MS), result_code=25466)
    cod.poll(17.0, 2, sampled=bcd(NOON), result_code=68)
    assert [r.kind for r in cod.results] == ["sample", "calibration", "unknown"]
    assert {s.value for s in cod.samples} == {35.0}
    assert cod.told == ["measure.result-unknown"]


def test_result_of_an_action_that_runs_is_no_data() -> None:
    cod = Analyzer(BY_TIME)
    cod.poll(35.0, 2, sampled=bcd(NOON - HOUR_MS))
    cod.action = "C"
    cod.poll(250.0, 2, sampled=bcd(NOON))
    assert cod.results[-1].kind == "calibration"
    assert (cod.samples[-1].value, cod.samples[-1].mark) == (35.0, "C")


def test_restart_brings_no_result_twice_and_misses_none() -> None:
    cod = Analyzer(BY_TIME)
    (first,) = cod.poll(35.0, 2, sampled=bcd(NOON - HOUR_MS))
    cod.restart(first, first)
    assert cod.poll(35.0, 10, sampled=bcd(NOON - HOUR_MS)) == []
    assert {s.value for s in cod.samples} == {35.0}
    cod.restart(first, first)
    cod.now = NOON + HOUR_MS
    (second,) = cod.poll(36.0, 2, sampled=bcd(NOON + 5 * MINUTE_MS))
    assert (second.sampled, second.value) == (NOON + 5 * MINUTE_MS, 36.0)


def test_kill_between_the_two_looks_brings_the_result_all_the_same() -> None:
    cod = Analyzer(BY_TIME)
    (first,) = cod.poll(35.0, 2, sampled=bcd(NOON - HOUR_MS))
    cod.poll(36.0, sampled=bcd(NOON))
    cod.restart(first, first)
    assert [r.value for r in cod.poll(36.0, 3, sampled=bcd(NOON))] == [36.0]


def test_value_that_changed_in_a_long_absence_is_of_unknown_age() -> None:
    cod = Analyzer({"new_result": "change"})
    cod.poll(35.0, 3)
    (known,) = cod.poll(36.0, 3)
    for absence, expected in ((HOUR_MS, [40.0]), (5 * HOUR_MS, [])):
        cod.restart(known, known)
        cod.now = known.seen + absence
        assert [r.value for r in cod.poll(40.0, 3)] == expected


def test_old_result_of_the_first_look_is_kept_and_too_old_for_data() -> None:
    cod = Analyzer(BY_TIME)
    (old,) = cod.poll(35.0, 2, sampled=bcd(NOON - 72 * HOUR_MS))
    assert old.sampled == NOON - 72 * HOUR_MS
    assert {(s.value, s.mark) for s in cod.samples} == {(None, "D")}


@pytest.mark.parametrize("off", [10 * MINUTE_MS, -30 * HOUR_MS])
def test_sample_time_that_cannot_be_is_reckoned_from_ours(off: int) -> None:
    cod = Analyzer({**BY_TIME, "analysis": 40 * MINUTE_MS})
    cod.poll(35.0, 2, sampled=bcd(NOON - HOUR_MS))
    cod.told.clear()
    (result,) = cod.poll(36.0, 2, sampled=bcd(cod.now + off))
    assert result.sampled == result.seen - 40 * MINUTE_MS
    assert cod.told == ["measure.result-time"]


@pytest.mark.parametrize(
    ("off_s", "told"), [(55, []), (70, ["measure.analyzer-clock"]), (-90, ["measure.analyzer-clock"])]
)
def test_clock_that_is_off_by_more_than_a_minute_is_told(off_s: int, told: list[str]) -> None:
    by_clock = Analyzer({**BY_TIME, "clock": ONE})
    by_clock.poll(35.0, 2, sampled=bcd(NOON - HOUR_MS), clock=bcd(NOON + off_s * 1000))
    assert by_clock.told == told
    by_completion = Analyzer({**BY_TIME, "completed": ONE})
    by_completion.poll(35.0, 9, sampled=bcd(NOON - HOUR_MS), completed=bcd(NOON - 20 * MINUTE_MS))
    assert by_completion.told == []
    by_completion.poll(36.0, 2, sampled=bcd(NOON - 30 * MINUTE_MS), completed=bcd(by_completion.now + off_s * 1000))
    assert [code for code in by_completion.told if code != "measure.result-time"] == told


def test_poll_without_one_of_the_numbers_decides_nothing() -> None:
    cod = Analyzer({**BY_TIME, "counter": Source()})
    assert cod.poll(35.0, 5, sampled=bcd(NOON)) == []
