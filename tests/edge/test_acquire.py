"""From readings to samples: scale, range, mark, silence (HJ 212-2017 Table 8)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from config.site import General, Instrument, Outlet, Point, Site
from config.states import State
from drivers.driver import Reading
from drivers.line import PollResult
from edge.acquire import Acquirer
from edge.values import Sample

NOON = 1_790_049_600_000
KEY = "ww1/w01018"


def site(**point: Any) -> Site:
    one = Point(factor="w01018", outlet="ww1", **point)
    return Site(
        site=General(name="x"),
        outlets={"ww1": Outlet(name="x", st="32", statistics="water")},
        instruments={"cod": Instrument(line="a", driver="modbus", points=(one,))},
    )


def with_states(*states: State, **point: Any) -> Acquirer:
    plain = site(**point)
    cod = replace(plain.instruments["cod"], states=states)
    return Acquirer(replace(plain, instruments={"cod": cod}))


def states(value: float | None, *codes: float | str | None) -> PollResult:
    """A poll that brought the value and the states, of which None was not read."""
    readings = [Reading(KEY, value)]
    readings += [
        Reading(f"state/{index}", None, text=code) if isinstance(code, str) else Reading(f"state/{index}", code)
        for index, code in enumerate(codes)
        if code is not None
    ]
    return PollResult("cod", NOON, tuple(readings), None, 0.0)


def acquirer(**point: Any) -> Acquirer:
    return Acquirer(site(**point))


def poll(value: float | str | None, slot_ms: int = NOON) -> PollResult:
    readings = () if value == "lost" else (Reading(KEY, value),)  # type: ignore[arg-type]  # "lost": no reading
    return PollResult("cod", slot_ms, readings, None, 0.0)


@pytest.mark.parametrize(
    ("raw", "value", "mark"),
    [
        (100.0, 100.0, "N"), (500.0, 500.0, "N"), (500.1, 500.1, "T"), (-50.0, -50.0, "N"), (-50.1, -50.1, "D"),
        (None, None, "D"), (math.nan, None, "D"), (math.inf, None, "D"), (-math.inf, None, "D"),
    ],
)  # fmt: skip
def test_a_reading_bears_the_mark_of_its_range(raw: float | None, value: float | None, mark: str) -> None:
    (sample,) = acquirer(range=(0.0, 500.0)).accept(poll(raw))
    assert sample == Sample(NOON, "ww1", "w01018", value, mark)


def test_a_number_that_is_none_bears_no_n_also_without_a_range() -> None:
    (sample,) = acquirer().accept(poll(math.nan))
    assert (sample.value, sample.mark) == (None, "D")


def test_a_number_that_overflows_in_the_factors_unit_is_none() -> None:
    """A float64 register holds up to 1.8e308 g/L, which are 1.8e311 mg/L."""
    (sample,) = acquirer(unit="g/L").accept(poll(1.7e308))
    assert (sample.value, sample.mark) == (None, "D")


def test_scale_and_offset_give_the_points_unit_and_then_the_factors() -> None:
    (sample,) = acquirer(scale=2.0, offset=1000.0, unit="µg/L", range=(0.0, 5000.0)).accept(poll(1000.0))
    assert sample.value == pytest.approx(3.0)


def test_a_lost_poll_is_a_missing_sample_and_silence_is_b() -> None:
    one = acquirer()
    one.accept(poll(5.0))
    lost = [one.accept(poll("lost", NOON + slot * 5_000)) for slot in range(1, 14)]
    assert lost[:11] == [[]] * 11
    assert [sample.mark for found in lost[11:] for sample in found] == ["B", "B"]


def test_a_point_that_was_not_polled_yet_is_no_b_until_its_silence_is_over() -> None:
    one = acquirer()
    assert one.latest("ww1", NOON) == []
    assert one.latest("ww1", NOON + 59_999) == []
    (sample,) = one.latest("ww1", NOON + 60_000)
    assert (sample.value, sample.mark) == (None, "B")


def test_the_newest_sample_is_shown_for_three_polls_and_then_is_no_value() -> None:
    one = acquirer()
    (sample,) = one.accept(poll(5.0))
    assert one.latest("ww1", NOON + 15_000) == [sample]
    assert one.latest("ww1", NOON + 15_001) == [Sample(NOON + 15_001, "ww1", "w01018", None, "B")]


def test_while_an_action_runs_all_samples_bear_its_mark_also_beyond_the_range() -> None:
    mark: list[str | None] = [None]
    marked = Acquirer(site(range=(0.0, 500.0)), lambda instrument: mark[0] if instrument == "cod" else None)
    marks = []
    for slot, running in enumerate((None, "C", "C", None)):
        mark[0] = running
        (sample,) = marked.accept(poll(600.0 if slot == 2 else 5.0, NOON + slot * 5_000))
        marks.append(sample.mark)
    assert marks == ["N", "C", "C", "N"]


def equipment(**point: Any) -> Acquirer:
    one = Point(factor="SB1", outlet="ww1", **point)
    outlets = {"ww1": Outlet(name="x", st="32", statistics="water")}
    meter = Instrument(line="a", driver="modbus", points=(one,))
    return Acquirer(Site(site=General(name="x"), outlets=outlets, instruments={"cod": meter}))


def state(one: Acquirer, raw: float, slot_ms: int = NOON) -> tuple[float | None, str]:
    reading = Reading("ww1/SB1", raw)
    (sample,) = one.accept(PollResult("cod", slot_ms, (reading,), None, 0.0))
    assert (sample.time, sample.outlet, sample.factor) == (slot_ms, "ww1", "SB1")
    return sample.value, sample.mark


def test_a_sample_of_equipment_is_its_state_and_no_current() -> None:
    one = equipment(on=5.0, off=4.0, scale=0.01, unit="A")
    raws = (300.0, 501.0, 450.0, 399.0)
    found = [state(one, raw, NOON + at * 5_000) for at, raw in enumerate(raws)]
    assert found == [(0, "N"), (1, "N"), (1, "N"), (0, "N")]


def test_a_number_that_is_no_state_is_a_fault_without_a_value() -> None:
    assert [state(equipment(states={"0": 0, "7": 4}), raw) for raw in (0.0, 7.0, 1.0, 0.5)] == [
        (0, "N"), (4, "N"), (None, "D"), (None, "D"),
    ]  # fmt: skip
    assert state(equipment(on=5.0), math.nan) == (None, "D")


def test_silent_equipment_is_b() -> None:
    one = equipment(on=5.0)
    state(one, 6.0)
    (sample,) = one.accept(PollResult("cod", NOON + 60_000, (), None, 0.0))
    assert (sample.value, sample.mark) == (None, "B")


def test_a_state_before_a_restart_is_remembered_between_the_thresholds() -> None:
    one = equipment(on=5.0, off=4.0)
    stored = [Sample(NOON - 10_000, "ww1", "SB1", 0.0, "N"), Sample(NOON - 5_000, "ww1", "SB1", 1.0, "N")]
    one.recall([*stored, Sample(NOON - 5_000, "ww1", "w01018", 30.0, "N")])
    assert state(one, 4.5) == (1, "N")


def test_of_a_code_with_two_meanings_the_points_unit_says_which() -> None:
    """e70101: lift pump, A, or chemical dosing, mg/L."""
    dosing = Point(factor="e70101", outlet="ww1", unit="µg/L")
    outlets = {"ww1": Outlet(name="x", st="52", statistics="water")}
    meter = Instrument(line="a", driver="modbus", points=(dosing,))
    one = Acquirer(Site(site=General(name="x"), outlets=outlets, instruments={"cod": meter}))
    (sample,) = one.accept(PollResult("cod", NOON, (Reading("ww1/e70101", 1500.0),), None, 0.0))
    assert (sample.value, sample.mark) == (pytest.approx(1.5), "N")


def test_an_instrument_is_heard_until_its_samples_are_b_and_again_with_its_next_answer() -> None:
    one = acquirer()
    assert one.heard(NOON) == {}
    one.accept(poll(1.0))
    told = {}
    for late in range(5_000, 80_000, 5_000):
        marks = [sample.mark for sample in one.accept(poll("lost", NOON + late))]
        told[late] = (one.heard(NOON + late), marks)
    assert all(heard == {"cod": "B" not in marks} for heard, marks in told.values())
    assert [late for late, (heard, _) in told.items() if not heard["cod"]] == [60_000, 65_000, 70_000, 75_000]
    one.accept(poll(1.0, NOON + 80_000))
    assert one.heard(NOON + 80_000) == {"cod": True}


def test_an_instrument_that_never_answered_is_silent_after_its_silence_and_one_at_an_action_is_not_judged() -> None:
    one, busy = acquirer(), Acquirer(site(), lambda _instrument: "C")
    for each in (one, busy):
        each.accept(poll("lost"))
    assert one.heard(NOON + 59_999) == {}
    assert one.heard(NOON + 60_000) == {"cod": False}
    assert busy.heard(NOON + 60_000) == {}


def gas(**point: Any) -> Acquirer:
    one = Point(outlet="fg1", **point)
    return Acquirer(
        Site(
            site=General(name="x"),
            outlets={"fg1": Outlet(name="x", st="31", statistics="gas")},
            instruments={"so2": Instrument(line="a", driver="modbus", points=(one,), every=60_000)},
        )
    )


@pytest.mark.parametrize(
    ("factor", "unit", "mass", "raw", "value"),
    [
        ("a21026", "ppm", None, 50.0, 142.8571),  # HJ 212-2017 (20): 64/22.4
        ("a21026", "ppm", 64.06, 50.0, 142.9911),
        ("a21026", "ppb", None, 50_000.0, 142.8571),
        ("a21002", "ppm", None, 105.0, 215.6250),  # as NO2
        ("a21001", "ppm", None, 2.0, 17 / 22.4 * 2 * 1e6),  # the table has ng/m³
    ],
)
def test_volume_share_becomes_a_mass_concentration(
    factor: str, unit: str, mass: float | None, raw: float, value: float
) -> None:
    one = gas(factor=factor, unit=unit, molar_mass=mass, range=(0.0, 1e9))
    (sample,) = one.accept(PollResult("so2", NOON, (Reading(f"fg1/{factor}", raw),), None, 0.0))
    assert sample.value == pytest.approx(value, rel=1e-6)


def test_converted_value_of_an_instrument_has_samples_of_its_own() -> None:
    (sample,) = gas(factor="a21026", quantity="zs").accept(
        PollResult("so2", NOON, (Reading("fg1/a21026-Zs", 48.0),), None, 0.0)
    )
    assert (sample.factor, sample.value) == ("a21026-Zs", 48.0)


def test_value_that_holds_is_shown_as_present_for_so_long() -> None:
    one = gas(factor="a24088", holds=600_000)
    one.accept(PollResult("so2", NOON, (Reading("fg1/a24088", 3.0),), None, 0.0))
    assert [one.latest("fg1", NOON + age)[0].value for age in (180_001, 600_000, 600_001)] == [3.0, 3.0, None]


# the instrument's own state

WORD = State(marks={"0x004E": "N", "0x0044": "D", "77": "M", "01": "D"})
FLAG = State(marks={"C": "C", "N": "N"}, other="D")


@pytest.mark.parametrize(
    ("value", "codes", "mark"),
    [
        (5.0, (0x4E, "N"), "N"), (5.0, (0x44, "N"), "D"), (5.0, (0x4D, "N"), "M"),
        (5.0, (0x4E, "C"), "C"), (5.0, (0x4E, "X"), "D"), (5.0, (1.0, "N"), "D"),
        (5.0, (0x4D, "C"), "M"),  # the first that says something
        (5.0, (2.0, "N"), "N"),  # a code that is not in the table says nothing
        (999.0, (0x4E, "N"), "T"), (999.0, (0x4D, "N"), "M"),
        (None, (0x4D, "N"), "M"), (None, (0x4E, "N"), "D"),
    ],
)  # fmt: skip
def test_the_instruments_state_gives_the_mark(value: float | None, codes: tuple[float | str, ...], mark: str) -> None:
    (sample,) = with_states(WORD, FLAG, range=(0.0, 500.0)).accept(states(value, *codes))
    assert (sample.value, sample.mark) == (value, mark)


def test_a_value_whose_state_was_not_read_is_a_lost_poll() -> None:
    assert with_states(WORD).accept(states(5.0, None)) == []
    assert with_states(WORD, FLAG).accept(states(5.0, 0x4E, None)) == []


def test_a_state_goes_for_the_points_that_it_names() -> None:
    other = State(marks={"1": "D"}, factors=("w21003",))
    (sample,) = with_states(other).accept(states(5.0, 1.0))
    assert sample.mark == "N"


def test_a_mark_in_the_reading_is_the_instruments_own() -> None:
    poll_ = PollResult("cod", NOON, (Reading(KEY, 5.0, mark="C"),), None, 0.0)
    (sample,) = acquirer().accept(poll_)
    assert (sample.value, sample.mark) == (5.0, "C")


@pytest.mark.parametrize(
    ("ma", "value", "mark"),
    [
        (12.8, 110.0, "N"), (4.0, 0.0, "N"), (20.0, 200.0, "N"),
        (3.8, -2.5, "N"), (3.79, -2.625, "D"), (0.0, -50.0, "D"), (20.5, 206.25, "N"), (20.51, 206.375, "T"),
    ],
)  # fmt: skip
def test_a_current_of_4_to_20_ma_is_scaled_and_never_clamped(ma: float, value: float, mark: str) -> None:
    (sample,) = acquirer(current=(0.0, 200.0)).accept(poll(ma))
    assert (sample.value, sample.mark) == (pytest.approx(value), mark)


def test_a_current_may_come_as_counts_of_a_module() -> None:
    """ADAM-4017+, type 4-20 mA: 36045 of 65535 is 12.8002 mA; 11.2 mA of -5000 … 5000 Pa is -500 Pa."""
    (sample,) = acquirer(current=(0.0, 200.0), scale=16 / 65535, offset=4.0).accept(poll(36045.0))
    assert sample.value == pytest.approx(110.002, abs=1e-3)
    (sample,) = acquirer(current=(-5000.0, 5000.0)).accept(poll(11.2))
    assert (sample.value, sample.mark) == (pytest.approx(-500.0), "N")
    (sample,) = acquirer(current=(0.0, 200.0), range=(0.0, 150.0)).accept(poll(19.0))
    assert sample.mark == "T"
