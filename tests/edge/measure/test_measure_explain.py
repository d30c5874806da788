"""A period made again beside the engine that sealed it: points of different pace, values that hold, other rules."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
from measure_streams import MINUTE_MS, T0, Kind, Record, Sample, engine, flue, sealed, steady, water

from config.site import TOTAL, Outlet
from edge.measure.cases import Case, Plan, Step, minute_case, period_case, reach_ms, stated
from edge.measure.engine import Engine
from edge.measure.explain import differences, inputs_of, steps_of
from edge.measure.manual import NO_MARKS
from edge.measure.rules import FactorRule, factor_rule
from edge.measure.totaliser import Total, TotalRule


def made_again(outlet: Outlet, factors: Mapping[str, FactorRule], record: Record, stream: list[Sample]) -> Case:
    plan = Plan(outlet, "o", factors, record.factor)
    since = record.start - reach_ms(plan)
    return minute_case(
        plan, record.start, [one for one in stream if since <= one.time < record.start + MINUTE_MS], NO_MARKS
    )


def codes(case: Case) -> list[str]:
    return [step.code.removeprefix("explain.") for step in steps_of(case)]


@pytest.mark.parametrize(("flow_ms", "cod_ms"), [(5_000, 20_000), (20_000, 5_000), (15_000, 10_000)])
@pytest.mark.parametrize("mean", ["weighted", "arithmetic"])
def test_paces_that_differ_are_explained_without_a_guess(flow_ms: int, cod_ms: int, mean: str) -> None:
    dice = random.Random(flow_ms)
    outlet = water(mean=mean, normal_share=0.5)
    factors = {"w00000": factor_rule("w00000", every_ms=flow_ms), "w01018": factor_rule("w01018", every_ms=cod_ms)}
    stream = [
        Sample(time, "o", factor, round(dice.uniform(0, 50), 2), dice.choice("NNNNNNM"))
        for factor, pace in (("w00000", flow_ms), ("w01018", cod_ms))
        for time in range(T0, T0 + 30 * MINUTE_MS, pace)
        if dice.random() < 0.9
    ]
    found = sealed(Engine(outlet, "o", factors), stream, minutes=30)
    assert len(found) == 60
    for record in found:
        case = made_again(outlet, factors, record, stream)
        assert differences(record, case, case) == []
        assert "by-the-rules" not in codes(case)
        if record.factor == "w01018" and record.cou:
            assert ("weighted-mean" in codes(case)) == (mean == "weighted")


def test_value_that_holds_is_an_input_of_the_minutes_in_which_it_stands() -> None:
    outlet = flue()
    factors = {"a24088": FactorRule(unit="mg/m³", emission_unit="kg", expected=0, slot_ms=MINUTE_MS, holds_ms=180_000)}
    stream = [Sample(T0, "o", "a24088", 4.0, "N")]
    found = sealed(Engine(outlet, "o", factors), stream, minutes=3)
    assert [record.avg for record in found] == [4.0, 4.0, 4.0]
    for record in found:
        case = made_again(outlet, factors, record, stream)
        assert differences(record, case, case) == []
        (own,) = [one for one in inputs_of(case) if one.role == "own"]
        assert (own.due, own.valid) == (0, 1)


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ({"o2_reference": 6.0, "zs_above": "omit"}, "zs-omitted"),
        ({"o2_reference": 6.0, "zs_above": "measured"}, "zs-beyond"),
        ({"excess_air": 1.4, "o2_limit": 21.0}, "zs-excess-air"),
        ({}, "zs-none-set"),
    ],
)
def test_conversion_that_is_named_is_the_one_that_the_site_asks_for(rules: dict[str, object], code: str) -> None:
    outlet = flue(**rules)
    one = engine(outlet, "a21026", "a19001")
    stream = steady("a21026", [40.0] * 12) + steady("a19001", [20.5] * 12)
    (record,) = [each for each in sealed(one, stream) if each.factor == "a21026"]
    plan = Plan(outlet, "o", dict(one.factors), "a21026")
    found = [each for each in codes(minute_case(plan, T0, stream, NO_MARKS)) if each.startswith("zs-")]
    assert found == [code]
    assert differences(record, *[minute_case(plan, T0, stream, NO_MARKS)] * 2) == []


def test_too_few_normal_minutes_are_told_with_what_was_needed() -> None:
    outlet = flue()
    parts = [
        Record("o", Kind.MINUTE, "a21026", T0 + at * MINUTE_MS, min=5.0, avg=5.0, max=5.0, count=12, mark=mark)
        for at, mark in enumerate("N" * 44 + "C" * 16)
    ]
    case = period_case(Plan(outlet, "o", {"a21026": factor_rule("a21026")}, "a21026"), Kind.HOUR, T0, parts)
    assert case.made is not None
    assert (case.made.mark, case.made.count) == ("D", 44)
    (rule,) = [step for step in steps_of(case) if step.code == "explain.mark-gas-too-few"]
    assert (rule.params["normal"], rule.params["needed"], rule.params["others"]) == (44, 45, "C 16")


def test_formula_that_does_not_give_the_number_of_the_rules_is_not_claimed() -> None:
    claimed = Step("explain.mean", {"result": 7.0}, "HJ 212-2017 D.1 (15)", 7.0)
    assert stated(claimed, 7.0) is claimed
    told = stated(claimed, 7.1)
    assert (told.code, told.clause, told.result) == ("explain.by-the-rules", "", 7.1)


@pytest.mark.parametrize("begin", [100.0, 9_999_999.9])
def test_volumes_of_a_totaliser_are_differences_of_its_readings(begin: float) -> None:
    """0.05 m³ every 5 s, from `begin` on; the second one rolls over at 10⁷ in the first minute."""
    outlet = water(flow_from="totaliser")
    rule = TotalRule(silence_ms=60_000, max_flow=100.0, rollover=10_000_000.0, step=0.001)
    total = FactorRule("m³", None, total=rule)
    factors = {"w00000": factor_rule("w00000"), "w01018": factor_rule("w01018"), TOTAL: total}
    stream = [
        sample
        for slot in range(36)
        for time in (T0 + slot * 5_000,)
        for sample in (
            Sample(time, "o", "w00000", 10.0, "N"),
            Sample(time, "o", "w01018", 20.0 + slot % 12, "N"),
            Sample(time, "o", TOTAL, (begin + slot * 0.05) % 10_000_000, "N"),
        )
    ]
    found = sealed(Engine(outlet, "o", factors), stream, minutes=3)
    flows = [record for record in found if record.factor == "w00000"]
    for record in found:
        if record.start == T0:
            continue
        before = next(one for one in flows if one.start == record.start - MINUTE_MS)
        assert before.total is not None
        assert before.total_at is not None
        plan = Plan(outlet, "o", factors, record.factor)
        here = [one for one in stream if record.start - reach_ms(plan) <= one.time < record.start + MINUTE_MS]
        case = minute_case(plan, record.start, here, NO_MARKS, Total(before.total_at, before.total))
        assert differences(record, case, case) == []
        if record.factor == "w00000":
            assert record.cou == pytest.approx(0.6)
            assert [step.result for step in steps_of(case) if step.code == "explain.volume-counted"] == [
                pytest.approx(0.6)
            ]
        else:
            assert record.cou == pytest.approx(0.6 * 25.5 / 1000)
            assert "by-counter" in codes(case)
        assert "counter" in {one.role for one in inputs_of(case)}
