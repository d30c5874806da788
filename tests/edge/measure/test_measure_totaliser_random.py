"""Random streams with a totaliser that is reset, replaced, silent, read wrong: against the slow reference, and with
restarts."""

import random
from dataclasses import dataclass

import pytest
from measure_streams import HOUR_MS, MIDNIGHT, MINUTE_MS, SLOT_MS, Kind, Record, Sample, period_start, rules, water
from slow_totaliser import reference
from test_measure_random import LENGTHS, close, numbers

from config.site import FLOW, TOTAL, Outlet
from edge.measure.engine import DOUBT_MS, GRACE_MS, Engine
from edge.measure.rules import FactorRule
from edge.measure.totaliser import Total, TotalRule


@dataclass
class Stream:
    outlet: Outlet
    factors: dict[str, FactorRule]
    every: dict[str, int]
    start: int
    end: int
    samples: list[Sample]


def random_stream(seed: int) -> Stream:
    dice = random.Random(seed)
    pace = dice.choice([5_000, 5_000, 10_000, 30_000])
    rollover = dice.choice([None, 1_000.0])
    rule = TotalRule(silence_ms=60_000, max_flow=100.0, rollover=rollover, step=dice.choice([0.001, 1.0]))
    counts, alone = dice.random() < 0.8, dice.random() < 0.4
    outlet = water(
        flow_from="totaliser" if counts or alone else "integration", mean=dice.choice(["weighted", "arithmetic"])
    )
    every = {"w01018": dice.choice([5_000, 30_000]), TOTAL: pace} | (
        {} if alone else {FLOW: dice.choice([5_000, 10_000])}
    )
    factors = {name: rules(name, every_ms=ms)[name] for name, ms in every.items() if name != TOTAL}
    factors[TOTAL] = FactorRule("m³", None, MINUTE_MS // pace, pace, total=rule)
    minutes = dice.randrange(4, 90)
    start = MIDNIGHT + 8 * HOUR_MS - dice.randrange(2, min(minutes, 40)) * MINUTE_MS
    stream = Stream(outlet, factors, every, start, start + minutes * MINUTE_MS, [])
    for name in every:
        values = readings(stream, dice, rule) if name == TOTAL else None
        fill(stream, name, dice, values)
    stream.samples.sort(key=lambda sample: sample.time)
    return stream


def readings(stream: Stream, dice: random.Random, rule: TotalRule) -> dict[int, float]:
    """What the counter shows, changed now and then."""
    shown, found = dice.choice([0.0, 3.0, 990.0, 5e5 if rule.rollover is None else 500.0]), {}
    for time in range(stream.start, stream.end, stream.every[TOTAL]):
        shown += dice.uniform(0, 0.1) * stream.every[TOTAL] / 1000
        chance = dice.random()
        if chance < 0.004:
            shown = 0.0
        elif chance < 0.008:
            shown = dice.uniform(0, 900)
        elif chance < 0.012:
            shown = max(0.0, shown - dice.uniform(0, 8))
        if rule.rollover is not None and shown >= rule.rollover:
            shown -= rule.rollover
        found[time] = dice.uniform(0, 1e6) if dice.random() < 0.004 else shown
    return found


def fill(stream: Stream, name: str, dice: random.Random, values: dict[int, float] | None) -> None:
    mark, silent_until = "N", 0
    for time in range(stream.start, stream.end, stream.every[name]):
        if dice.random() < 0.03:
            mark = dice.choice("NNNNNMDCB")
        if dice.random() < 0.004:
            silent_until = time + dice.randrange(1, 12) * MINUTE_MS
        if time < silent_until or dice.random() < 0.05:
            continue
        value = round(dice.uniform(0.1, 60), 2) if values is None else values[time]
        stream.samples.append(Sample(time, "o", name, None if mark == "B" else value, mark))


def run(stream: Stream, restarts: frozenset[int] = frozenset()) -> list[Record]:
    engine = Engine(stream.outlet, "o", stream.factors)
    records: list[Record] = []
    total: Total | None = None
    waiting = list(stream.samples)
    for number, now in enumerate(range(stream.start, stream.end + 1, SLOT_MS)):
        if number in restarts:
            engine = Engine(stream.outlet, "o", stream.factors)
            of = {kind: [record for record in records if record.kind is kind] for kind in Kind}
            until = max((record.start + MINUTE_MS for record in of[Kind.MINUTE]), default=stream.start)
            stored = [s for s in stream.samples if until - DOUBT_MS <= s.time < now]
            engine.resume(stored, of[Kind.MINUTE], of[Kind.HOUR], until, of[Kind.DAY], total=total)
        fresh = [*engine.tick(now), *engine.tick(now + GRACE_MS)]
        records += fresh
        for record in fresh:
            if record.kind is Kind.MINUTE and record.total is not None and record.total_at is not None:
                total = Total(record.total_at, record.total)
        while waiting and waiting[0].time <= now:
            engine.add([waiting.pop(0)])
    return records


@pytest.mark.parametrize("block", range(20))
def test_engine_with_a_totaliser_equals_the_slow_reference(block: int) -> None:
    for seed in range(block * 10, block * 10 + 10):
        stream = random_stream(seed)
        found = {(LENGTHS[r.kind], r.start, r.factor): r for r in run(stream)}
        alive = set(range(period_start(stream.start, MINUTE_MS), stream.end + 1, MINUTE_MS))
        rule = stream.factors[TOTAL].total
        expected = reference(stream.outlet, stream.every, stream.samples, lambda _: True, alive, stream.end, rule)
        assert set(found) == set(expected), seed
        for key, row in expected.items():
            record = found[key]
            assert (record.mark, record.count) == (row["mark"], row["count"]), (seed, key, record, row)
            wanted = (row["min"], row["avg"], row["max"], None, None, None, row["cou"])
            assert all(map(close, numbers(record), wanted)), (seed, key, record, row)
            assert close(record.caught_up, row.get("caught")), (seed, key, record, row)
            assert close(record.total, row.get("total")), (seed, key, record, row)
            assert record.cou is None or record.cou >= 0


@pytest.mark.parametrize("block", range(10))
def test_restart_anywhere_changes_nothing_also_for_a_totaliser(block: int) -> None:
    for seed in range(block * 8, block * 8 + 8):
        stream = random_stream(seed)
        dice = random.Random(seed + 1_000_000)
        count = (stream.end - stream.start) // SLOT_MS
        restarts = frozenset(dice.randrange(1, count) for _ in range(5))
        assert run(stream, restarts) == run(stream), seed


@pytest.mark.parametrize("block", range(4))
def test_volumes_never_exceed_what_can_have_flowed(block: int) -> None:
    for seed in range(1_000 + block * 25, 1_025 + block * 25):
        stream = random_stream(seed)
        booked = sum(r.cou or 0.0 for r in run(stream) if r.factor == FLOW and r.kind is Kind.MINUTE)
        seconds = (stream.end - stream.start) / 1000
        if stream.outlet.water.flow_from == "totaliser":
            # 100 L/s, and the slack of a minute for each time that the counter was changed
            assert booked <= 0.1 * seconds + 60 * 7
