"""What a stack's instruments say, at standard state and dry; NOx, the pitot tube, 折算 above the oxygen limit."""

import random
from dataclasses import replace
from math import isclose, pi

import pytest
from measure_streams import HOUR_MS, MINUTE_MS, T0, Kind, Record, Sample, flue, pick, rules, sealed, steady
from slow_stack import minute as slow_minute

from config.site import Outlet, Point
from edge.measure import gas
from edge.measure.engine import Engine
from edge.measure.rules import FactorRule, point_rule

STACK = {"area": pi * 4, "kv": 1.05, "ambient_pressure": 100.8}
CONDITIONS = {"a01012": 130.0, "a01013": -0.5, "a01014": 12.0}
HOT = {"a01012": 130.0, "a01013": -0.5}


def point(factor: str, **keys: object) -> Point:
    return Point(factor=factor, outlet="o", **keys)  # type: ignore[arg-type] # test shorthand


def built(outlet: Outlet, *points: Point, every_ms: int = 5_000) -> Engine:
    return Engine(outlet, "o", {one.channel: point_rule(one, every_ms) for one in points})


def minute(outlet: Outlet, values: dict[str, float], *special: Point) -> list[Record]:
    """One steady minute; `special`: points that are more than a factor."""
    own = {one.channel: one for one in special}
    points = [own.get(channel, point(channel)) for channel in values]
    stream = [sample for channel, value in values.items() for sample in steady(channel, [value] * 12)]
    return sealed(built(outlet, *points), stream)


# by hand: domain numbers of Annex D


def test_pitot_tube_of_62_pa() -> None:
    rho = gas.density(1.34, 100_800, -500, 130)
    assert rho == pytest.approx(0.89856, abs=1e-5)
    assert gas.pitot_velocity(0.84, 62, rho) == pytest.approx(9.8677, abs=1e-4)


def test_velocity_and_flow_come_from_the_dynamic_pressure() -> None:
    found = minute(flue(pitot=0.84, **STACK), {"a01017": 0.062} | CONDITIONS)
    assert pick(found, "a01011").avg == pytest.approx(9.8677, abs=1e-4)
    standard = 285_908.08 / 10.71 * (9.8677 * 1.05)  # (31) of the worked flow, in proportion to its velocity
    assert pick(found, "a00000").avg == pytest.approx(standard / 3600, rel=1e-5)


def test_gas_that_stands_still_has_no_velocity_although_the_transmitter_drifts() -> None:
    found = minute(flue(pitot=0.84, **STACK), {"a01017": -0.002} | CONDITIONS)
    assert pick(found, "a01011").avg == 0.0


def test_measured_velocity_is_not_computed_again() -> None:
    found = minute(flue(pitot=0.84, **STACK), {"a01011": 10.2, "a01017": 0.062} | CONDITIONS)
    assert pick(found, "a01011").avg == 10.2


def test_nox_is_made_of_no_and_no2_by_mass() -> None:
    found = minute(flue(), {"a21003": 134.0, "a21004": 10.3})
    nox = pick(found, "a21002")
    assert nox.avg == pytest.approx(215.7667, abs=1e-4)  # (21)
    assert nox.zs_avg == nox.avg


def test_nox_of_volume_shares_is_equation_22_whatever_molar_masses_the_points_have() -> None:
    for masses in ((30.0, 46.0), (30.006, 46.0055)):
        no, no2 = (gas.from_volume_share(ppm, mass) for ppm, mass in zip((100.0, 5.0), masses, strict=True))
        special = [
            point("a21003", unit="ppm", molar_mass=masses[0]),
            point("a21004", unit="ppm", molar_mass=masses[1]),
        ]
        found = minute(flue(), {"a21003": no, "a21004": no2}, *special)
        assert pick(found, "a21002").avg == pytest.approx(105 * masses[1] / 22.4, rel=1e-12)  # 215.6250


def test_measured_nox_stays() -> None:
    assert pick(minute(flue(), {"a21003": 134.0, "a21004": 10.3, "a21002": 200.0}), "a21002").avg == 200.0


def test_nox_without_a_valid_no2_bears_its_mark() -> None:
    stream = steady("a21003", [134.0] * 12) + steady("a21004", [10.3] * 12, "C" * 12)
    nox = pick(sealed(built(flue(), point("a21003"), point("a21004")), stream), "a21002")
    assert (nox.avg, nox.mark) == (None, "C")


# a basis of its own


def test_each_factor_has_its_own_basis() -> None:
    values = {"a21026": 30.0, "a21005": 30.0, "a34013": 30.0, "a19001": 7.48} | CONDITIONS
    found = minute(
        flue(basis="actual-wet", **STACK),
        values,
        point("a21005", basis="actual-dry"),
        point("a34013", basis="standard-dry"),
    )
    assert pick(found, "a21026").avg == pytest.approx(44.7383 / 0.88, rel=1e-5)  # (18), (19)
    assert pick(found, "a21005").avg == pytest.approx(44.7383, abs=1e-4)  # (18)
    assert pick(found, "a34013").avg == 30.0
    assert pick(found, "a19001").avg == pytest.approx(8.5)


def test_oxygen_of_a_dry_analyser_stays_at_a_wet_outlet() -> None:
    values = {"a19001": 8.5} | CONDITIONS
    assert pick(minute(flue(basis="actual-wet"), values, point("a19001", basis="actual-dry")), "a19001").avg == 8.5


def test_volume_share_is_at_standard_state_already_and_only_dried() -> None:
    values = {"a21026": 142.8571} | CONDITIONS  # 50 ppm (20)
    found = minute(flue(basis="actual-wet", **STACK), values, point("a21026", unit="ppm"))
    assert pick(found, "a21026").avg == pytest.approx(142.8571 / 0.88)


def test_flow_meter_in_actual_wet_gas_is_brought_to_standard_dry() -> None:
    values = {"a00000": 484_508.99 / 3600} | CONDITIONS
    found = minute(flue(basis="actual-wet", **STACK), values, point("a00000", basis="actual-wet"))
    assert pick(found, "a00000").avg == pytest.approx(285_908.08 / 3600, rel=1e-6)  # (31)
    assert pick(minute(flue(basis="actual-wet", **STACK), values), "a00000").avg == pytest.approx(484_508.99 / 3600)


# converted values


def test_converted_values_come_from_the_point_that_delivers_them() -> None:
    found = minute(
        flue(o2_reference=6.0), {"a21026": 40.0, "a21026-Zs": 47.5, "a19001": 8.5}, point("a21026", quantity="zs")
    )
    so2 = pick(found, "a21026")
    assert (so2.avg, so2.zs_min, so2.zs_avg, so2.zs_max) == (40.0, 47.5, 47.5, 47.5)
    assert {record.factor for record in found} == {"a21026", "a19001"}


def test_delivered_values_that_are_not_valid_do_not_stand_beside_a_valid_one() -> None:
    stream = steady("a21026", [40.0] * 12) + steady("a21026-Zs", [99.0] * 12, "D" * 12)
    so2 = pick(sealed(built(flue(), point("a21026"), point("a21026", quantity="zs")), stream), "a21026")
    assert (so2.avg, so2.zs_avg, so2.mark) == (40.0, None, "N")


def test_factor_without_conversion_has_no_converted_value() -> None:
    found = minute(flue(o2_reference=6.0), {"a21026": 40.0, "a19001": 8.5}, point("a21026", zs="none"))
    assert pick(found, "a21026").zs_avg is None


@pytest.mark.parametrize(("zs_on", "hour"), [("minute", 70.0), ("mean", 62.5)])
def test_hour_converts_its_minutes_or_its_means(zs_on: str, hour: float) -> None:
    """C 40 and 60 at O2 6 and 12: the mean of 40 and 100, or 50 at 9 %."""
    one = built(flue(o2_reference=6.0, zs_on=zs_on), point("a21026"), point("a19001"), every_ms=MINUTE_MS)
    stream = steady("a21026", [40.0, 60.0] * 30, every_ms=MINUTE_MS)
    stream += steady("a19001", [6.0, 12.0] * 30, every_ms=MINUTE_MS)
    found = sealed(one, stream, minutes=60)
    assert pick(found, "a21026", Kind.HOUR).zs_avg == pytest.approx(hour)
    ten = one.derive([record for record in found if record.kind is Kind.MINUTE], T0, 10)
    assert next(record for record in ten if record.factor == "a21026").zs_avg == pytest.approx(hour)


def test_day_averages_its_converted_hours() -> None:
    one = built(flue(o2_reference=6.0, zs_on="mean"), point("a21026"), point("a19001"), every_ms=MINUTE_MS)
    start = T0 - 8 * HOUR_MS
    stream = steady("a21026", ([40.0] * 60 + [60.0] * 60) * 12, start=start, every_ms=MINUTE_MS)
    stream += steady("a19001", ([6.0] * 60 + [12.0] * 60) * 12, start=start, every_ms=MINUTE_MS)
    day = pick(sealed(one, stream, start=start, minutes=1440), "a21026", Kind.DAY)
    assert day.zs_avg == pytest.approx(70.0)


@pytest.mark.parametrize(
    ("zs_above", "zs", "sentinels"), [("measured", 10.0, set()), ("omit", None, set()), ("sentinel", None, {"a21026"})]
)
def test_above_the_oxygen_limit(zs_above: str, zs: float | None, sentinels: set[str]) -> None:
    outlet = flue(o2_reference=6.0, zs_above=zs_above)
    one = built(outlet, point("a21026"), point("a19001"))
    found = sealed(one, steady("a21026", [10.0] * 12) + steady("a19001", [20.5] * 12))
    assert pick(found, "a21026").zs_avg == zs
    assert one.sentinels(found) == sentinels
    live = {
        shown.sample.factor: shown
        for shown in one.live([steady(f, [v])[0] for f, v in (("a21026", 10.0), ("a19001", 20.5))])
    }
    assert (live["a21026"].zs, live["a21026"].sentinel) == (zs, bool(sentinels))


def test_sentinel_enters_no_mean() -> None:
    one = built(flue(o2_reference=6.0, zs_above="sentinel"), point("a21026"), point("a19001"), every_ms=MINUTE_MS)
    stream = steady("a21026", [40.0] * 60, every_ms=MINUTE_MS)
    stream += steady("a19001", [8.5] * 50 + [20.9] * 10, every_ms=MINUTE_MS)
    found = sealed(one, stream, minutes=60)
    hour = pick(found, "a21026", Kind.HOUR)
    assert (hour.zs_avg, hour.zs_max) == (pytest.approx(48.0), pytest.approx(48.0))
    assert one.sentinels([record for record in found if record.kind is Kind.HOUR]) == set()


def test_missing_oxygen_is_no_sentinel() -> None:
    one = built(flue(o2_reference=6.0, zs_above="sentinel"), point("a21026"), point("a19001"))
    found = sealed(one, steady("a21026", [10.0] * 12) + steady("a19001", [20.5] * 12, "D" * 12))
    assert one.sentinels(found) == set()


# a cyclic chromatograph


def test_value_of_a_chromatograph_stands_for_one_and_a_half_cycles() -> None:
    one = built(flue(), point("a24088", holds=180_000), every_ms=120_000)
    found = sealed(one, steady("a24088", [3.0, 5.0], every_ms=120_000), minutes=7)
    assert [(r.avg, r.mark) for r in found if r.factor == "a24088"] == [
        (3.0, "N"), (3.0, "N"), (5.0, "N"), (5.0, "N"), (5.0, "N"), (5.0, "N"), (None, "B"),
    ]  # fmt: skip


def test_value_does_not_stand_over_a_fault() -> None:
    one = built(flue(), point("a24088", holds=180_000), every_ms=60_000)
    found = sealed(one, steady("a24088", [3.0, None], "ND", every_ms=60_000), minutes=3)
    assert [(r.avg, r.mark) for r in found] == [(3.0, "N"), (None, "D"), (None, "D")]


def test_held_value_survives_a_restart() -> None:
    samples = steady("a24088", [3.0, 5.0], every_ms=120_000)
    whole = sealed(built(flue(), point("a24088", holds=180_000), every_ms=120_000), samples, minutes=6)
    one = built(flue(), point("a24088", holds=180_000), every_ms=120_000)
    until = T0 + 3 * MINUTE_MS
    since, _, _ = one.reach(until)
    one.resume([s for s in samples if s.time >= since], [r for r in whole if r.start < until], [], until)
    one.tick(until)
    again = [r for at in range(until, T0 + 6 * MINUTE_MS, MINUTE_MS) for r in one.tick(at, complete_until_ms=at)]
    again += one.tick(T0 + 6 * MINUTE_MS - 1, complete_until_ms=T0 + 6 * MINUTE_MS)
    assert again == [record for record in whole if record.start >= until]


# random minutes against the slow reference

FACTORS = ("a21026", "a21003", "a21004", "a19001", "a01017", "a01012", "a01013", "a01014")
LEVELS = {
    "a21026": (0, 80), "a21003": (0, 90), "a21004": (0, 9), "a19001": (4, 22), "a01017": (-0.01, 0.2),
    "a01012": (20, 180), "a01013": (-2, 1), "a01014": (2, 25),
}  # fmt: skip


def random_minute(dice: random.Random) -> dict[str, dict[int, tuple[float | None, str]]]:
    cells: dict[str, dict[int, tuple[float | None, str]]] = {}
    for factor in FACTORS:
        mark = dice.choice("N" * 12 + "DMCB")
        cells[factor] = {}
        for at in range(T0, T0 + MINUTE_MS, 5_000):
            if dice.random() < 0.1:
                mark = dice.choice("NNNNDMC")
            if dice.random() > 0.08:
                value = None if mark == "B" else round(dice.uniform(*LEVELS[factor]), 3)
                cells[factor][at] = (value, mark)
        cells[factor] = cells[factor] or {T0: (1.0, "N")}
    return cells


def built_stack(
    dice: random.Random, ppm: tuple[str, ...], basis: dict[str, str]
) -> tuple[Outlet, dict[str, FactorRule], dict[str, object]]:
    o2s, above = dice.choice([3.0, 6.0, 11.0]), dice.choice(["omit", "measured", "sentinel"])
    base = dice.choice(["actual-wet", "actual-dry", "standard-dry"])
    outlet = flue(o2_reference=o2s, zs_above=above, basis=base, pitot=0.84, gas_density=1.3, **STACK)
    known = rules(*FACTORS)
    made = {f: replace(known[f], basis=basis.get(f), is_volume_share=f in ppm) for f in FACTORS}  # type: ignore[arg-type] # test shorthand
    told = {
        "basis": basis, "outlet": base, "ppm": ppm, "ba": 100.8, "kp": 0.84, "rho": 1.3, "kv": 1.05, "area": pi * 4,
        "limit": 20.0, "above": above, "o2s": o2s,
    }  # fmt: skip
    return outlet, made, told


@pytest.mark.parametrize("block", range(20))
def test_random_minutes_equal_the_slow_reference(block: int) -> None:
    for seed in range(block * 50, block * 50 + 50):
        dice = random.Random(seed)
        ppm = tuple(f for f in ("a21026", "a21003", "a21004") if dice.random() < 0.4)
        own = [f for f in ("a21026", "a21004", "a19001") if dice.random() < 0.4]
        basis = {f: dice.choice(["actual-wet", "actual-dry", "standard-dry"]) for f in own}
        outlet, made, told = built_stack(dice, ppm, basis)
        cells = random_minute(dice)
        stream = [Sample(t, "o", f, v, m) for f, of in cells.items() for t, (v, m) in of.items()]
        found = sealed(Engine(outlet, "o", made), stream)
        for factor, row in slow_minute(cells, told).items():
            record = pick(found, factor)
            assert (record.mark, record.count) == (row["mark"], row["count"]), (seed, factor, record, row)
            for got, wanted in ((record.avg, row["avg"]), (record.zs_avg, row["zs"]), (record.cou, row["cou"])):
                if factor == "a00000" and got is record.cou:
                    continue
                same = got is None and wanted is None
                assert same or (
                    got is not None and wanted is not None and isclose(got, float(wanted), rel_tol=1e-9, abs_tol=1e-12)
                ), (seed, factor, got, wanted)
