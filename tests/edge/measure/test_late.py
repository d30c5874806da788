"""Batch analyzers whose results are assigned: hours that wait for what was sampled in them (HJ 355 §6)."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import pytest
from measure_streams import HOUR_MS, MIDNIGHT, MINUTE_MS, T0, Kind, Record, Sample, period_start, rules, water

from config.site import FLOW
from edge.agenda import Agenda
from edge.measure.engine import Engine
from edge.measure.rules import Assignment, FactorRule
from edge.store.outbox import Due
from edge.uplink.terms import Terms
from edge.values import Result

COD = "w01018"
RULE = Assignment(HOUR_MS, 2 * HOUR_MS)


def factors(rule: Assignment = RULE) -> dict[str, FactorRule]:
    found = rules(FLOW, COD, every_ms=MINUTE_MS)
    return found | {COD: replace(found[COD], assigned=rule)}


def result(sampled: int, value: float | None, mark: str = "N", kind: str = "sample", takes: int = 45) -> Result:
    there = sampled + takes * MINUTE_MS
    return Result("o", COD, sampled, there, there, value, mark, kind)


@dataclass
class Site:
    """An engine that lives minute by minute: flow 12.5 L/s, the held value 30, results as they come."""

    engine: Engine
    records: list[Record]
    now: int = T0

    def run(self, minutes: int, *results: Result, flow: float | None = 12.5, mark: str = "N") -> list[Record]:
        fresh: list[Record] = []
        for at in range(self.now, self.now + minutes * MINUTE_MS, MINUTE_MS):
            self.engine.add_results([one for one in results if at <= one.seen < at + MINUTE_MS])
            fresh += self.engine.tick(at)
            values = [Sample(at, "o", COD, 30.0, mark)]
            self.engine.add(values + ([] if flow is None else [Sample(at, "o", FLOW, flow, "N")]))
        self.now += minutes * MINUTE_MS
        fresh += self.engine.tick(self.now, complete_until_ms=self.now)
        self.records += fresh
        return fresh


def living(rule: Assignment = RULE, start: int = T0) -> Site:
    return Site(Engine(water(), "o", factors(rule)), [], start)


def hours(records: Iterable[Record], factor: str = COD, kind: Kind = Kind.HOUR) -> list[Record]:
    return [record for record in records if record.factor == factor and record.kind is kind]


def test_hour_has_the_result_that_was_sampled_in_it_and_no_other() -> None:
    site = living()
    first = site.run(60, result(T0 - 30 * MINUTE_MS, 99.0))  # sampled at 07:30, there at 08:15
    assert hours(first, FLOW)[0].cou == pytest.approx(45.0)
    assert hours(first) == []
    late = site.run(60, result(T0 + 20 * MINUTE_MS, 36.0))  # sampled at 08:20, there at 09:05
    (hour,) = hours(late)
    assert (hour.start, hour.min, hour.avg, hour.max, hour.count, hour.mark) == (T0, 36.0, 36.0, 36.0, 1, "N")
    assert hour.cou == pytest.approx(1.62)  # 36 mg/L × 45 m³ × 10⁻³


def test_hour_whose_result_is_there_is_sealed_with_the_others() -> None:
    found = living().run(60, result(T0 + 5 * MINUTE_MS, 36.0))
    assert [(r.factor, r.avg) for r in found if r.kind is Kind.HOUR] == [(FLOW, 12.5), (COD, 36.0)]


def test_hour_waits_for_its_deadline_and_is_then_without_a_value() -> None:
    site = living()
    assert hours(site.run(60 + 119)) == []
    (hour,) = hours(site.run(1))
    assert hour == Record("o", Kind.HOUR, COD, T0, mark="D")
    site.run(11, result(T0 + 30 * MINUTE_MS, 36.0, takes=160))
    assert [code for code, _ in site.engine.happened()] == ["measure.result-late"]
    assert len(hours(site.records)) == 1


def test_hour_without_a_result_bears_the_mark_of_its_minutes() -> None:
    site = living()
    (hour,) = hours(site.run(180, mark="M"))
    assert (hour.mark, hour.avg) == ("M", None)


def test_result_of_the_next_hour_ends_the_waiting() -> None:
    site = living()
    (hour,) = hours(site.run(115, result(T0 + 65 * MINUTE_MS, 36.0)))
    assert (hour.start, hour.mark, hour.avg) == (T0, "D", None)


def test_check_is_no_result_of_the_hour() -> None:
    assert hours(living().run(120, result(T0 + 20 * MINUTE_MS, 250.0, kind="check"))) == []


def test_several_results_of_an_hour_are_averaged_and_all_awaited() -> None:
    half = Assignment(30 * MINUTE_MS, 2 * HOUR_MS)
    site = living(half)
    assert hours(site.run(80, result(T0, 30.0), result(T0 + 30 * MINUTE_MS, 40.0, takes=60))) == []
    (hour,) = hours(site.run(20, result(T0 + 30 * MINUTE_MS, 40.0, takes=60)))
    assert (hour.min, hour.avg, hour.max, hour.count) == (30.0, 35.0, 40.0, 2)
    assert hour.cou == pytest.approx(1.575)


def test_result_above_the_range_keeps_its_number_and_its_mark() -> None:
    (hour,) = hours(living().run(60, result(T0, 510.0, "T")))
    assert (hour.avg, hour.count, hour.mark) == (510.0, 0, "T")


def test_day_waits_for_hour_23_and_is_weighted_by_the_hours_volumes() -> None:
    site = living(start=MIDNIGHT)
    for hour in range(24):
        flow = 10.0 if hour < 12 else 30.0
        value = 20.0 if hour < 12 else 40.0
        # hour 23 is sampled at 23:40 and there at 00:25 of the next day
        drawn = MIDNIGHT + hour * HOUR_MS + (40 if hour == 23 else 10) * MINUTE_MS
        site.run(60, result(drawn, value), flow=flow)
        pending = result(drawn, value)
    assert hours(site.records, FLOW, Kind.DAY)[0].cou == pytest.approx(1728.0)
    assert hours(site.records, kind=Kind.DAY) == []
    (day,) = hours(site.run(30, pending), kind=Kind.DAY)
    assert (day.start, day.count, day.mark) == (MIDNIGHT, 24, "N")
    assert day.avg == pytest.approx(35.0)  # (12·36·20 + 12·108·40) / 1728
    assert day.cou == pytest.approx(60.48)


def test_hour_that_nobody_lived_through_gets_its_result_after_the_restart() -> None:
    one = Engine(water(), "o", factors())
    one.resume([], [], [], T0 - 10 * MINUTE_MS)  # off from 07:50
    site = Site(one, [], T0 + 70 * MINUTE_MS)  # on again at 09:10
    found = site.run(10, result(T0 + 20 * MINUTE_MS, 36.0, takes=55))
    assert [(r.start, r.avg, r.cou) for r in hours(found)] == [(T0, 36.0, None)]


def test_result_of_a_time_before_this_logger_makes_no_hour() -> None:
    assert hours(living().run(115, result(T0 - 70 * MINUTE_MS, 36.0, takes=75), result(T0 + 61 * MINUTE_MS, 3.0))) == [
        Record("o", Kind.HOUR, COD, T0, mark="D")
    ]


def test_deadline_that_passed_while_the_logger_was_off_still_gives_the_analyzer_its_say() -> None:
    site = living()
    site.run(60)
    of = {kind: [r for r in site.records if r.kind is kind] for kind in Kind}
    one = Engine(water(), "o", factors())
    one.resume([], of[Kind.MINUTE], of[Kind.HOUR], T0 + HOUR_MS)
    again = Site(one, [], T0 + 4 * HOUR_MS)  # the deadline was 11:00
    found = again.run(3, replace(result(T0 + 20 * MINUTE_MS, 36.0), seen=T0 + 4 * HOUR_MS + MINUTE_MS))
    assert [(r.start, r.avg, r.cou) for r in hours(found)] == [(T0, 36.0, pytest.approx(1.62))]


# deliveries


def dues(records: list[Record]) -> list[tuple[str, int, str | None]]:
    terms = Terms.__new__(Terms)
    terms.platform, terms.outlet = "city", "o"
    found: list[Due] = Agenda([terms]).after([r for r in records if r.kind is not Kind.MINUTE], {"o": frozenset({COD})})
    return [(due.cn, due.start, due.factor) for due in found]


def test_late_factor_is_a_delivery_of_its_own_and_only_where_it_is_late() -> None:
    hour, cod = Record("o", Kind.HOUR, FLOW, T0), Record("o", Kind.HOUR, COD, T0)
    assert dues([hour]) == [("2061", T0, None)]
    assert dues([cod]) == [("2061", T0, COD)]
    assert dues([hour, cod]) == [("2061", T0, None)]


# random


def slow_hours(site_start: int, end: int, results: list[Result], deadline: int) -> dict[int, tuple[Any, ...]]:
    """Hour → mean and count, for hours that are sealed by `end`: every rule spelled out over all results at once."""
    found = {}
    for start in range(period_start(site_start, HOUR_MS), end, HOUR_MS):
        over = start + HOUR_MS
        due = over + deadline
        arrived = sorted(r.seen for r in results if start <= r.sampled < over)
        later = sorted(r.seen for r in results if r.sampled >= over)
        closed = min([due, *(max(at, over) for at in (*arrived[:1], *later[:1]))])
        if closed >= end - MINUTE_MS:
            continue
        taken = [Fraction(r.value) for r in results if start <= r.sampled < over and r.seen <= closed]
        found[start] = (sum(taken) / len(taken), len(taken)) if taken else (None, 0)
    return found


@dataclass
class Story:
    start: int
    minutes: int
    results: list[Result]
    flows: dict[int, float]


def story(seed: int) -> Story:
    dice = random.Random(seed)
    start = MIDNIGHT + dice.choice([8, 20, 22]) * HOUR_MS
    minutes = dice.randrange(120, 420)
    results, drawn = [], start - HOUR_MS
    while drawn < start + minutes * MINUTE_MS:
        drawn += dice.choice([60, 60, 60, 120, 61]) * MINUTE_MS
        takes = dice.choice([35, 45, 70, 150])
        kind = "sample" if dice.random() < 0.9 else "check"
        if dice.random() < 0.85 and drawn >= start:
            results.append(result(drawn, float(dice.randrange(5, 90)), kind=kind, takes=takes))
    flows = {at: round(dice.uniform(0, 40), 1) for at in range(start, start + minutes * MINUTE_MS, MINUTE_MS)}
    return Story(start, minutes, results, flows)


def told(one: Story, restarts: frozenset[int] = frozenset()) -> list[Record]:
    engine = Engine(water(), "o", factors())
    records: list[Record] = []
    stored: list[Sample] = []
    for number in range(one.minutes):
        at = one.start + number * MINUTE_MS
        came = [r for r in one.results if r.seen < at]
        if number in restarts:
            engine = Engine(water(), "o", factors())
            of = {kind: [r for r in records if r.kind is kind] for kind in Kind}
            until = max((r.start + MINUTE_MS for r in of[Kind.MINUTE]), default=one.start)
            _, minute, hour = engine.needs(until)
            engine.resume(
                [s for s in stored if s.time >= until],
                [r for r in of[Kind.MINUTE] if r.start >= minute],
                [r for r in of[Kind.HOUR] if r.start >= hour],
                until,
                [r for r in of[Kind.DAY] if r.start >= hour],
                results=[r for r in came if r.sampled >= hour],
            )
        engine.add_results([r for r in one.results if at <= r.seen < at + MINUTE_MS])
        records += engine.tick(at + 2_000)
        fresh = [Sample(at, "o", COD, 30.0, "N"), Sample(at, "o", FLOW, one.flows[at], "N")]
        stored += fresh
        engine.add(fresh)
    return records


@pytest.mark.parametrize("block", range(10))
def test_hours_that_wait_equal_a_slow_reckoning(block: int) -> None:
    for seed in range(block * 12, block * 12 + 12):
        one = story(seed)
        found = {r.start: r for r in hours(told(one))}
        samples = [r for r in one.results if r.kind == "sample"]
        end = one.start + one.minutes * MINUTE_MS
        expected = slow_hours(one.start, end, samples, RULE.deadline_ms)
        for start, (avg, count) in expected.items():
            record = found[start]
            assert (record.avg, record.count) == (None if avg is None else pytest.approx(float(avg)), count), (
                seed,
                start,
            )
            if avg is not None:
                volume = sum(Fraction(q) for at, q in one.flows.items() if start <= at < start + HOUR_MS) * 60 / 1000
                assert record.cou == pytest.approx(float(avg * volume / 1000), rel=1e-9), (seed, start)
        assert not [start for start in found if start not in expected and start < end - 4 * HOUR_MS]


@pytest.mark.parametrize("block", range(10))
def test_restart_anywhere_changes_no_hour_that_waits(block: int) -> None:
    for seed in range(block * 12, block * 12 + 12):
        one = story(seed)
        dice = random.Random(seed + 1_000_000)
        restarts = frozenset(dice.randrange(1, one.minutes) for _ in range(5))
        last = one.start + one.minutes * MINUTE_MS - 5 * MINUTE_MS  # a deadline waits 2 min longer after a restart
        calm = {(r.kind, r.start, r.factor): r for r in told(one)}
        stormy = told(one, restarts)
        assert len({(r.kind, r.start, r.factor) for r in stormy}) == len(stormy), seed
        for record in stormy:
            assert calm[record.kind, record.start, record.factor] == record, (seed, record)
        missing = [key for key in calm if key not in {(r.kind, r.start, r.factor) for r in stormy}]
        assert all(start + kind.ms + RULE.deadline_ms >= last for kind, start, _ in missing), (seed, missing)


def test_day_over_a_restart_at_night_is_whole() -> None:
    one = Story(
        MIDNIGHT, 1_500 + 180, [result(MIDNIGHT + h * HOUR_MS + 30 * MINUTE_MS, 20.0 + h) for h in range(26)], {}
    )
    one.flows.update(dict.fromkeys(range(one.start, one.start + one.minutes * MINUTE_MS, MINUTE_MS), 12.5))
    calm = hours(told(one), kind=Kind.DAY)
    assert [record.avg for record in calm] == [pytest.approx(31.5)]
    assert calm == hours(told(one, frozenset({1_441, 1_450, 1_470})), kind=Kind.DAY)
    assert calm[0].cou == pytest.approx(1_080 * 31.5 / 1_000)
