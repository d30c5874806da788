"""300 random streams with gaps, marks, late values, restarts and clock steps against the slow reference."""

import random
from dataclasses import dataclass, field
from fractions import Fraction
from math import isclose

import pytest
from measure_streams import (
    DAY_MS,
    HOUR_MS,
    MIDNIGHT,
    MINUTE_MS,
    SLOT_MS,
    Kind,
    Record,
    Sample,
    flue,
    period_start,
    rules,
    water,
)
from slow_reference import reference

from config.site import Outlet
from edge.measure.engine import GRACE_MS, Engine

LENGTHS = {Kind.MINUTE: MINUTE_MS, Kind.HOUR: HOUR_MS, Kind.DAY: DAY_MS}


@dataclass
class Stream:
    """What happens to one outlet: samples with their arrival, ticks in between."""

    outlet: Outlet
    every: dict[str, int]
    start: int
    end: int
    arrivals: list[tuple[int, Sample]] = field(default_factory=list)
    late: set[Sample] = field(default_factory=set)


def random_stream(seed: int) -> Stream:
    dice = random.Random(seed)
    gas = bool(seed % 2)
    pace = 60_000 if seed % 60 > 57 else SLOT_MS  # some streams are long and sparse, and hold a whole day
    share = dice.choice([0.75, 0.02])
    outlet = (
        flue(o2_reference=6.0, normal_share=share, hour_minutes=dice.choice([3, 45]), day_hours=1)
        if gas
        else water(mean=dice.choice(["weighted", "arithmetic"]))
    )
    names = ("a21026", "a00000", "a19001") if gas else ("w01018", "w00000", "w01001")
    every = {name: pace if pace == 60_000 else dice.choice([5_000, 5_000, 10_000, 30_000]) for name in names}
    minutes = 1_500 if pace == 60_000 else dice.randrange(4, 14)
    first = MIDNIGHT + dice.choice([0, 8 * HOUR_MS, DAY_MS]) - dice.randrange(2, 6) * MINUTE_MS
    stream = Stream(outlet, every, first, first + minutes * MINUTE_MS)
    for name in names:
        fill(stream, name, dice)
    stream.arrivals.sort(key=lambda pair: pair[0])
    return stream


def fill(stream: Stream, name: str, dice: random.Random) -> None:
    mark = "N"
    for time in range(stream.start, stream.end, stream.every[name]):
        if dice.random() < 0.08:
            mark = dice.choice("NNNNMDCTFB")
        if dice.random() < 0.07:
            continue
        level = {"a19001": 18.0, "w00000": 20.0}.get(name, 60.0)
        value = None if mark == "B" else 0.0 if dice.random() < 0.05 else round(dice.uniform(0.1, 1.2) * level, 2)
        sample = Sample(time, "o", name, value, mark)
        late = dice.random() < 0.02
        end = period_start(time, MINUTE_MS) + MINUTE_MS
        delay = end - time + GRACE_MS + dice.randrange(1_000, 200_000) if late else dice.randrange(0, 900)
        stream.arrivals.append((time + delay, sample))
        if late:
            stream.late.add(sample)


def ticks(stream: Stream) -> list[int]:
    """As the daemon does, but fewer: at each minute's beginning, its end, and when the grace is over."""
    return [
        at + shift for at in range(stream.start, stream.end + 1, MINUTE_MS) for shift in (0, 1_000, GRACE_MS, 30_000)
    ]


def run(stream: Stream, restarts: frozenset[int] = frozenset()) -> list[Record]:
    """All records; at each of `restarts` (numbers of events) a new engine takes over from what is stored."""
    factors = {name: rules(name, every_ms=every)[name] for name, every in stream.every.items()}
    engine = Engine(stream.outlet, "o", factors)
    stored: list[Sample] = []
    records: list[Record] = []
    events = [(at, 1, sample) for at, sample in stream.arrivals] + [(at, 0, None) for at in ticks(stream)]
    now = stream.start
    for number, (at, _, sample) in enumerate(sorted(events, key=lambda event: event[:2])):
        if number in restarts:
            engine = Engine(stream.outlet, "o", factors)
            of_kind = {kind: [record for record in records if record.kind is kind] for kind in Kind}
            until = max((record.start + MINUTE_MS for record in of_kind[Kind.MINUTE]), default=stream.start)
            kept = [s for s in stored if s not in stream.late]
            engine.resume(kept, of_kind[Kind.MINUTE], of_kind[Kind.HOUR], until, of_kind[Kind.DAY])
            records += engine.tick(now)
        now = at
        if sample is None:
            records += engine.tick(at)
        else:
            stored.append(sample)
            engine.add([sample])
    return records


def numbers(record: Record) -> tuple[float | None, ...]:
    return (record.min, record.avg, record.max, record.zs_min, record.zs_avg, record.zs_max, record.cou)


def close(one: float | None, other: Fraction | None) -> bool:
    if one is None or other is None:
        return one is other
    return isclose(one, float(other), rel_tol=1e-9, abs_tol=1e-12)


@pytest.mark.parametrize("block", range(30))
def test_engine_equals_the_slow_reference(block: int) -> None:
    for seed in range(block * 10, block * 10 + 10):
        stream = random_stream(seed)
        found = {(LENGTHS[r.kind], r.start, r.factor): r for r in run(stream)}
        taken = [sample for _, sample in stream.arrivals if sample not in stream.late]
        alive = set(range(stream.start, stream.end + 1, MINUTE_MS))
        expected = reference(stream.outlet, stream.every, taken, lambda _: True, alive, stream.end)
        assert set(found) == set(expected), seed
        for key, row in expected.items():
            record = found[key]
            assert (record.mark, record.count) == (row["mark"], row["count"]), (seed, key)
            wanted = (row["min"], row["avg"], row["max"], *(row["zs"] or (None,) * 3), row["cou"])
            assert all(map(close, numbers(record), wanted)), (seed, key, record, wanted)


@pytest.mark.parametrize("block", range(10))
def test_restart_anywhere_changes_nothing(block: int) -> None:
    for seed in range(block * 9, block * 9 + 9):
        stream = random_stream(seed)
        dice = random.Random(seed + 1_000_000)
        events = len(stream.arrivals) + len(ticks(stream))
        restarts = frozenset(dice.randrange(1, events) for _ in range(4))
        assert run(stream, restarts) == run(stream), seed


@pytest.mark.parametrize("seed", range(40))
def test_clock_steps_never_seal_a_label_twice(seed: int) -> None:
    dice = random.Random(seed)
    outlet = water() if seed % 2 else flue()
    engine = Engine(outlet, "o", rules("w01001"))
    now, records = MIDNIGHT - 10 * MINUTE_MS, list[Record]()
    for _ in range(1_500):
        now += dice.choice([1_000, 5_000])
        if dice.random() < 0.01:
            now += dice.randrange(-2 * HOUR_MS, 2 * HOUR_MS)
        if dice.random() < 0.9:
            engine.add([Sample(now // SLOT_MS * SLOT_MS, "o", "w01001", 7.0, "N")])
        fresh = engine.tick(now)
        assert all(record.start + LENGTHS[record.kind] <= now for record in fresh)
        records += fresh
    labels = [(record.kind, record.factor, record.start) for record in records]
    assert len(labels) == len(set(labels))
