"""Noise: minutes, hours and days by hand, against a slow reference, over restarts; packets as C.25–C.28 have them."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import count
from math import isclose, log10
from typing import Any

import pytest
from measure_streams import DAY_MS, HOUR_MS, MIDNIGHT, MINUTE_MS, SLOT_MS, T0, Kind, Record, Sample, pick, rules, sealed

from config.site import Access, GasRules, NoiseRules, Outlet, Platform
from edge.measure import noise
from edge.measure.engine import Engine
from edge.measure.statistics import Live
from edge.uplink.build import Builder
from edge.uplink.terms import Terms
from edge.values import period_start
from protocol.messages import Header
from protocol.times import parse_time
from protocol.upload import frames, realtime

NAMES = ("L5", "L10", "L50", "L90", "L95", "Leq", "LMx", "LMn")
PERCENT = {"L5": 5, "L10": 10, "L50": 50, "L90": 90, "L95": 95}


def outlet(share: float = 0.75, **bounds: int) -> Outlet:
    return Outlet(name="x", st="23", statistics="noise", noise=NoiseRules(**bounds), gas=GasRules(normal_share=share))


def engine(place: Outlet | None = None, every_ms: int = SLOT_MS) -> Engine:
    return Engine(place or outlet(), "o", rules("LA", every_ms=every_ms))


def levels(values: list[float], start: int = T0, every_ms: int = SLOT_MS, marks: str = "") -> list[Sample]:
    padded = marks.ljust(len(values), "N")
    return [
        Sample(start + at * every_ms, "o", "LA", v, m) for at, (v, m) in enumerate(zip(values, padded, strict=True))
    ]


# by hand


def test_energy_mean_of_50_and_60_is_57_4() -> None:
    assert noise.energy_mean([50.0, 60.0]) == pytest.approx(57.4036, abs=1e-4)  # 10·lg((10⁵+10⁶)/2)
    assert noise.energy_mean([50.0, 60.0], [9.0, 1.0]) == pytest.approx(52.7875, abs=1e-4)  # 10·lg(1.9·10⁵)
    assert noise.energy_mean([63.7] * 3) == 63.7


def test_of_a_hundred_levels_the_fifth_is_l5_and_the_ninetieth_l90() -> None:
    falling = [float(level) for level in range(100, 0, -1)]
    assert [noise.exceeded(falling, percent) for percent in PERCENT.values()] == [96, 91, 51, 11, 6]
    assert noise.exceeded([50.0], 5) == 50.0
    assert [noise.exceeded([9.0, 8.0, 7.0], percent) for percent in (5, 50, 95)] == [9, 8, 7]


def test_night_counts_ten_decibels_more() -> None:
    assert noise.day_night(55.0, 45.0, 16) == pytest.approx(55.0)
    assert noise.day_night(55.0, 55.0, 16) == pytest.approx(61.0206, abs=1e-4)  # 55 + 10·lg((16 + 80)/24)


def test_minute_of_twelve_levels() -> None:
    values = [50.0, 61.0, 52.0, 53.0, 54.0, 55.0, 56.0, 57.0, 58.0, 59.0, 60.0, 51.0]
    found = sealed(engine(), levels(values))
    assert {name: pick(found, name).avg for name in ("L5", "L10", "L50", "L90", "L95", "LMx", "LMn")} == {
        "L5": 61, "L10": 60, "L50": 56, "L90": 51, "L95": 50, "LMx": 61, "LMn": 50,
    }  # fmt: skip
    energy = sum(10 ** (value / 10) for value in values) / 12
    assert pick(found, "Leq").avg == pytest.approx(10 * log10(energy))
    assert {(record.mark, record.count) for record in found} == {("N", 12)}


@pytest.mark.parametrize(("marks", "mark"), [("N" * 9 + "MMM", "N"), ("N" * 8 + "MMMM", "D"), ("M" * 12, "M")])
def test_minute_needs_three_quarters_of_its_levels(marks: str, mark: str) -> None:
    assert pick(sealed(engine(), levels([50.0] * 12, marks=marks)), "Leq").mark == mark


def test_minute_without_a_sample_is_b_without_a_value() -> None:
    leq = pick(sealed(engine(), []), "Leq")
    assert (leq.avg, leq.mark) == (None, "B")


def hours(by_hour: dict[int, float], place: Outlet | None = None) -> list[Record]:
    """A day of minutes with one level each."""
    one = engine(place, every_ms=MINUTE_MS)
    values = [by_hour[at // 60] for at in range(1_440)]
    return sealed(one, levels(values, MIDNIGHT, MINUTE_MS), MIDNIGHT, 1_440)


def test_day_has_its_day_and_its_night() -> None:
    found = hours({hour: 45.0 if hour < 6 or hour >= 22 else 55.0 for hour in range(24)})
    day = {record.factor: record.avg for record in found if record.kind is Kind.DAY}
    assert list(day) == [
        *(f"{name}-Day" for name in ("L5", "L10", "L50", "L90", "L95", "Ld", "LMx", "LMn")),
        *(f"{name}-Night" for name in ("L5", "L10", "L50", "L90", "L95", "Ln", "LMx", "LMn")),
        "L5", "L10", "L50", "L90", "L95", "Ldn", "LMx", "LMn",
    ]  # fmt: skip
    assert (day["Ld-Day"], day["Ln-Night"], day["Ldn"]) == pytest.approx((55.0, 45.0, 55.0))
    assert (day["L50"], day["L90"], day["LMn-Day"], day["LMx-Night"]) == (55.0, 45.0, 55.0, 45.0)


def test_bounds_are_those_of_the_local_government() -> None:
    found = hours({hour: 45.0 if hour < 8 else 55.0 for hour in range(24)}, outlet(day_from=8, night_from=0))
    day = {record.factor: record.avg for record in found if record.kind is Kind.DAY}
    assert (day["Ld-Day"], day["Ln-Night"]) == pytest.approx((55.0, 45.0))


# a platform's longer interval


@pytest.mark.parametrize("minutes", [2, 3, 4, 5, 6, 10, 12, 15, 20, 30])
def test_longer_interval_has_the_percentiles_of_its_samples(minutes: int) -> None:
    dice = random.Random(minutes)
    values = [round(dice.gauss(55, 6), 1) for _ in range(720)]
    found = sealed(engine(), levels(values), minutes=60)
    reader = Engine(outlet(), "o", rules("LA"))  # of the uplink: it has seen no sample
    for label in range(T0, T0 + HOUR_MS, minutes * MINUTE_MS):
        at = (label - T0) // SLOT_MS
        part = values[at : at + minutes * 12]
        derived = reader.derive(found, label, minutes)
        assert {record.factor: record.avg for record in derived} == pytest.approx(numbers(part))
        assert {record.start for record in derived} == {label}


def test_one_minute_interval_is_its_minutes_alone() -> None:
    found = sealed(engine(), levels([50.0] * 720), minutes=60)
    assert sorted(record.factor for record in engine().derive(found, T0 + 9 * MINUTE_MS, 1)) == sorted(NAMES)


def test_interval_whose_end_was_not_lived_through_is_closed_by_the_next_minute() -> None:
    one = engine()
    first = sealed(one, levels([50.0] * 12 * 8), minutes=8)
    later = T0 + 25 * MINUTE_MS
    one.tick(later)
    one.add(levels([60.0] * 12, later))
    found = first + one.tick(later + MINUTE_MS - 1, complete_until_ms=later + MINUTE_MS)
    assert {record.factor: record.avg for record in one.derive(found, T0, 10)} == pytest.approx(
        dict.fromkeys(NAMES, 50.0)
    )


# random streams: a slow reference, and restarts


def numbers(values: list[float]) -> dict[str, float]:
    """A list of levels as a period: sorted, counted, by fractions."""
    ranked = sorted(values)[::-1]
    found: dict[str, float] = {"LMx": ranked[0], "LMn": ranked[-1]}
    for name, percent in PERCENT.items():
        share = Fraction(percent, 100) * len(values)
        rank = next(at for at in count(1) if at >= share)
        found[name] = ranked[rank - 1]
    return found | {"Leq": 10 * log10(sum(10 ** (value / 10) for value in values) / len(values))}


def random_stream(seed: int) -> tuple[Outlet, list[Sample], int, int]:
    dice = random.Random(seed)
    start = MIDNIGHT + dice.choice([0, 5, 21]) * HOUR_MS - dice.randrange(0, 3) * MINUTE_MS
    minutes = dice.choice([130, 190])
    samples, mark = [], "N"
    for time in range(start, start + minutes * MINUTE_MS, SLOT_MS):
        if dice.random() < 0.02:
            mark = dice.choice("NNNNNMDCB")
        if dice.random() > 0.04:
            value = None if mark == "B" else round(dice.gauss(55, 8), 1)
            samples.append(Sample(time, "o", "LA", value, mark))
    return outlet(share=dice.choice([0.75, 0.3])), samples, start, minutes


def run(place: Outlet, samples: list[Sample], start: int, minutes: int, restarts: frozenset[int]) -> list[Record]:
    one, found = engine(place), list[Record]()
    by_minute: dict[int, list[Sample]] = {}
    for sample in samples:
        by_minute.setdefault(period_start(sample.time, MINUTE_MS), []).append(sample)
    for now in range(start, start + minutes * MINUTE_MS + 1, MINUTE_MS):
        if now in restarts:
            one = engine(place)
            of_kind = {kind: [record for record in found if record.kind is kind] for kind in Kind}
            until = max((record.start + MINUTE_MS for record in of_kind[Kind.MINUTE]), default=start)
            since, minute, hour = one.reach(until)
            stored = [sample for sample in samples if since <= sample.time < now]
            recent = [record for record in of_kind[Kind.MINUTE] if record.start >= minute]
            one.resume(stored, recent, [r for r in of_kind[Kind.HOUR] if r.start >= hour], until, of_kind[Kind.DAY])
        found += one.tick(now, complete_until_ms=now)
        one.add(by_minute.get(now, []))
    return found


@pytest.mark.parametrize("seed", range(12))
def test_random_stream_equals_the_slow_reference(seed: int) -> None:
    place, samples, start, minutes = random_stream(seed)
    found = {(r.kind, r.start, r.factor): r for r in run(place, samples, start, minutes, frozenset())}
    valid: dict[int, list[float]] = {}
    for label in range(start, start + minutes * MINUTE_MS, MINUTE_MS):
        here = [s for s in samples if label <= s.time < label + MINUTE_MS]
        good = [s.value for s in here if s.mark == "N" and s.value is not None]
        if good and len(good) >= Fraction(place.gas.normal_share) * 12:
            valid[label] = good
        leq = found[Kind.MINUTE, label, "Leq"]
        assert (leq.mark == "N", leq.count) == (label in valid, len(good)), (seed, label)
        if good:
            for name, value in numbers(good).items():
                assert isclose(found[Kind.MINUTE, label, name].avg or 0.0, value, rel_tol=1e-9)
    for label in {period_start(at, HOUR_MS) for at in range(start, start + minutes * MINUTE_MS, MINUTE_MS)}:
        if label + HOUR_MS <= start + minutes * MINUTE_MS:
            inside = [at for at in valid if label <= at < label + HOUR_MS]
            row = {name: found[Kind.HOUR, label, name] for name in NAMES}
            assert row["L50"].count == len(inside)
            wanted: dict[str, Any] = numbers([v for at in inside for v in valid[at]]) if inside else {}
            for name, record in row.items():
                assert (record.avg is None) == (not inside)
                assert isclose(record.avg or 0.0, wanted.get(name, 0.0), rel_tol=1e-9), (seed, label, name)


@pytest.mark.parametrize("seed", range(12))
def test_restart_anywhere_changes_nothing(seed: int) -> None:
    place, samples, start, minutes = random_stream(seed)
    dice = random.Random(seed + 500)
    restarts = frozenset(start + dice.randrange(1, minutes) * MINUTE_MS for _ in range(5))
    assert run(place, samples, start, minutes, restarts) == run(place, samples, start, minutes, frozenset())


def test_day_is_the_same_after_a_restart_in_its_evening() -> None:
    dice = random.Random(7)
    samples = levels([round(dice.gauss(55, 8), 1) for _ in range(1_440)], MIDNIGHT, MINUTE_MS)
    place = outlet()
    whole = sealed(engine(place, every_ms=MINUTE_MS), samples, MIDNIGHT, 1_440)
    until = MIDNIGHT + 21 * HOUR_MS
    one = engine(place, every_ms=MINUTE_MS)
    since, minute, hour = one.reach(until)
    assert since == MIDNIGHT
    before = [record for record in whole if record.start + record.kind.ms <= until]
    one.resume(
        samples,
        [r for r in before if r.kind is Kind.MINUTE and r.start >= minute],
        [r for r in before if r.kind is Kind.HOUR and r.start >= hour],
        until,
    )
    again = [r for at in range(until, MIDNIGHT + DAY_MS, MINUTE_MS) for r in one.tick(at, complete_until_ms=at)]
    again += one.tick(MIDNIGHT + DAY_MS - 1, complete_until_ms=MIDNIGHT + DAY_MS)
    day = [record for record in again if record.kind is Kind.DAY]
    assert day == [record for record in whole if record.kind is Kind.DAY]
    assert next(record for record in day if record.factor == "L10").avg is not None


def test_where_samples_are_lost_percentiles_are_left_out_and_the_rest_is_not() -> None:
    samples = levels([50.0 + at % 10 for at in range(720)])
    whole = sealed(engine(), samples, minutes=60)
    until = T0 + 30 * MINUTE_MS
    one = engine()
    minutes = [record for record in whole if record.kind is Kind.MINUTE and record.start < until]
    one.resume([sample for sample in samples if sample.time >= until], minutes, [], until)
    found = one.tick(T0 + HOUR_MS, complete_until_ms=T0 + HOUR_MS)
    hour = {record.factor: record.avg for record in found if record.kind is Kind.HOUR}
    assert (hour["L10"], hour["LMx"]) == (None, 59.0)
    assert hour["Leq"] == pytest.approx(pick(whole, "Leq", Kind.HOUR).avg)


# packets


def builder() -> Builder:
    site = Platform(edition="2017", address="h:1", outlets={"o": Access(mn="010000A8900016F000169DC0")})
    return Builder(Terms("city", "o", "23", site, site.outlets["o"]), engine(), {})


def framed(cn: str, qn: str, body: Any) -> bytes:
    header = Header("23", "123456", "010000A8900016F000169DC0")
    (one,) = frames(header, cn, body, lambda: parse_time(qn), True)
    return one.data.rstrip()


def records(kind: Kind, values: dict[str, float], start: str) -> list[Record]:
    return [Record("o", kind, f, parse_time(start), avg=v, count=12) for f, v in values.items()]


SET = {"L5": 53.0, "L10": 53.0, "L50": 49.0, "L90": 45.0, "L95": 43.0, "Leq": 50.0, "LMx": 54.0, "LMn": 42.0}
DAY_SET = {"L5": 53.0, "L10": 53.0, "L50": 52.0, "L90": 51.0, "L95": 50.0, "Ld": 52.5, "LMx": 54.0, "LMn": 45.0}
NIGHT_SET = {"L5": 53.0, "L10": 53.0, "L50": 52.0, "L90": 51.0, "L95": 49.0, "Ln": 52.5, "LMx": 54.0, "LMn": 42.0}


def test_realtime_of_c25() -> None:
    wire = builder().numbers.sample(Live(Sample(0, "o", "LA", 50.1, "N")), None)
    body = realtime(parse_time("20160801085857"), (("LA", wire.slots),), wire.values)
    assert framed("2011", "20160801085857223", body) == (
        b"##0122QN=20160801085857223;ST=23;CN=2011;PW=123456;MN=010000A8900016F000169DC0;Flag=5;CP=&&"
        b"DataTime=20160801085857;LA-Rtd=50.1&&0880"
    )


@pytest.mark.parametrize(
    ("kind", "cn", "qn", "start", "frame"),
    [
        (Kind.MINUTE, "2051", "20160801085000001", "20160801084000", b"##0221%b&&1DC0"),  # C.26
        (Kind.HOUR, "2061", "20160801090000001", "20160801080000", b"##0221%b&&F9C1"),  # C.27
    ],
)
def test_minute_and_hour_of_c26_and_c27(kind: Kind, cn: str, qn: str, start: str, frame: bytes) -> None:
    shuffled = dict(reversed(SET.items()))
    body = builder().statistics(None, records(kind, shuffled, start), parse_time(start), None)  # type: ignore[arg-type] # no database is asked
    segment = (
        f"QN={qn};ST=23;CN={cn};PW=123456;MN=010000A8900016F000169DC0;Flag=5;CP=&&DataTime={start};L5-Data=53.0;"
        "L10-Data=53.0;L50-Data=49.0;L90-Data=45.0;L95-Data=43.0;Leq-Data=50.0;LMx-Data=54.0;LMn-Data=42.0"
    )
    assert framed(cn, qn, body) == frame % segment.encode()


def test_day_of_c28() -> None:
    whole = {"Ldn" if name == "Leq" else name: value for name, value in SET.items()}
    parts = {f"{f}-Night": v for f, v in NIGHT_SET.items()} | {f"{f}-Day": v for f, v in DAY_SET.items()}
    found = records(Kind.DAY, parts | whole, "20160801000000")
    body = builder().statistics(None, found, parse_time("20160801000000"), None)  # type: ignore[arg-type] # no database is asked
    assert framed("2031", "20160802000000001", body) == (
        b"##0505QN=20160802000000001;ST=23;CN=2031;PW=123456;MN=010000A8900016F000169DC0;Flag=5;CP=&&"
        b"DataTime=20160801000000;L5-Data=53.0;L10-Data=53.0;L50-Data=49.0;L90-Data=45.0;L95-Data=43.0;Ldn-Data=50.0;"
        b"LMx-Data=54.0;LMn-Data=42.0;L5-DayData=53.0;L10-DayData=53.0;L50-DayData=52.0;L90-DayData=51.0;"
        b"L95-DayData=50.0;Ld-DayData=52.5;LMx-DayData=54.0;LMn-DayData=45.0;L5-NightData=53.0;L10-NightData=53.0;"
        b"L50-NightData=52.0;L90-NightData=51.0;L95-NightData=49.0;Ln-NightData=52.5;LMx-NightData=54.0;"
        b"LMn-NightData=42.0&&9241"
    )


def test_what_is_not_valid_is_not_sent_since_nothing_could_say_so() -> None:
    found = [
        Record("o", Kind.MINUTE, "Leq", T0, avg=50.0, count=5, mark="D"),
        Record("o", Kind.MINUTE, "L5", T0, mark="B"),
    ]
    assert ";" not in builder().statistics(None, found, T0, None)  # type: ignore[arg-type] # no database is asked
    assert builder().numbers.sample(Live(Sample(0, "o", "LA", 50.1, "M")), None).slots == ()
