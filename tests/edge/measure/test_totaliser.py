"""A totaliser's readings as volumes: whatever happens to the counter, never a negative or a huge amount."""

from collections.abc import Sequence
from typing import Any

import pytest
from measure_streams import DAY_MS, HOUR_MS, MINUTE_MS, SLOT_MS, T0, Kind, pick, rules, sealed, steady, water

from config.site import FLOW, TOTAL, Outlet
from edge.measure.engine import Engine
from edge.measure.rules import FactorRule
from edge.measure.totaliser import Total, Totaliser, TotalRule
from edge.measure.wire import wire_fields
from edge.values import Record, Sample

RULE = TotalRule(silence_ms=60_000, max_flow=100.0, rollover=10_000_000.0, step=0.001)
"""100 L/s: 6 m³ in the minute of slack, and 0.5 m³ in each slot of 5 s."""
BY_TOTAL: dict[str, Any] = {"flow_from": "totaliser"}


def total_rules(*factors: str, rule: TotalRule = RULE, every_ms: int = SLOT_MS) -> dict[str, FactorRule]:
    total = FactorRule("m³", None, MINUTE_MS // every_ms, min(every_ms, MINUTE_MS), total=rule)
    return rules(*factors, every_ms=every_ms) | {TOTAL: total}


def an_engine(outlet: Outlet, *factors: str) -> Engine:
    return Engine(outlet, "o", total_rules(*factors))


def passed(*values: float, step_ms: int = SLOT_MS) -> tuple[list[float], list[str]]:
    """Volumes of these readings, and the codes of what happened."""
    counter = Totaliser(RULE)
    found = counter.take([Total(T0 + at * step_ms, value) for at, value in enumerate(values)])
    return [round(each.volume, 6) for each in found], [
        each.code.removeprefix("measure.total-") for each in counter.changes
    ]


@pytest.mark.parametrize(
    ("readings", "volumes", "happened"),
    [
        ((100.0, 100.0625, 100.125), [0.0625, 0.0625], []),
        ((9_999_999.9, 0.1, 0.2), [0.2, 0.1], ["rollover"]),
        ((5_000.0, 0.3, 0.4), [0.4], ["reset"]),
        ((5_000.0, 0.0, 0.0, 0.1), [0.0, 0.1], ["reset"]),
        ((5_000.0, 7_000.0, 7_000.1, 7_000.3), [0.1, 0.2], ["replaced"]),
        ((5_000.0, 700.0, 700.1, 700.3), [0.1, 0.2], ["replaced"]),
        ((5_000.0, 4_999.0, 4_999.1, 4_999.3), [0.1, 0.2], ["back"]),
        ((5_000.0, 0.0, 5_000.2, 5_000.3), [0.2, 0.1], ["stray"]),
        ((5_000.0, 9e9, 5_000.2), [0.2], ["stray"]),
        ((5_000.0, 9e9, 17.0, 5_000.2), [0.2], ["stray", "stray"]),
        ((5_000.0,), [], []),
    ],
)
def test_counter_that_is_changed_gives_what_has_passed_and_no_more(
    readings: Sequence[float], volumes: list[float], happened: list[str]
) -> None:
    assert passed(*readings) == (volumes, happened)


def test_step_of_a_silence_may_be_as_large_as_the_time_allows() -> None:
    # 1 h at most 100 L/s is 360 m³, and 6 m³ of slack
    assert passed(1_000.0, 1_365.0, step_ms=HOUR_MS) == ([365.0], ["caught-up"])
    assert passed(1_000.0, 1_367.0, step_ms=HOUR_MS) == ([], [])


def test_coarse_counter_may_step_more_than_the_flow_of_a_slot() -> None:
    coarse = Totaliser(TotalRule(silence_ms=60_000, max_flow=5.0, step=1.0))
    found = coarse.take([Total(T0 + at * SLOT_MS, float(at // 20)) for at in range(60)])
    assert sum(each.volume for each in found) == 2.0
    assert coarse.changes == []


def counted(values: Sequence[float | None], marks: str = "", start: int = T0) -> list[Sample]:
    return steady(TOTAL, values, marks, start)


def test_minute_adds_the_differences_and_takes_the_mean_from_the_flow() -> None:
    # 12.5 L/s for 5 s are 0.0625 m³; the flow meter's own display says 12.4
    one = an_engine(water(**BY_TOTAL), FLOW, "w01018")
    before = counted([100.0 + at * 0.0625 for at in range(12)])
    minute = counted([100.75 + at * 0.0625 for at in range(12)], start=T0 + MINUTE_MS)
    stream = steady(FLOW, [12.4] * 24) + steady("w01018", [35.0] * 24)
    found = [r for r in sealed(one, [*before, *minute, *stream], minutes=2) if r.start == T0 + MINUTE_MS]
    flow, cod = pick(found, FLOW), pick(found, "w01018")
    assert (flow.avg, flow.min, flow.max, flow.count) == (12.4, 12.4, 12.4, 12)
    assert flow.cou == pytest.approx(0.75)
    assert (flow.total, flow.total_at, flow.caught_up) == (101.4375, T0 + 2 * MINUTE_MS - SLOT_MS, None)
    assert cod.cou == pytest.approx(0.02625)  # 12 slots of 0.0625 m³ at 35 mg/L


def test_totaliser_alone_gives_the_mean_flow_as_well() -> None:
    one = an_engine(water(**BY_TOTAL), "w01018")
    readings = counted([100.0 + at * 0.0625 for at in range(24)])
    found = sealed(one, [*readings, *steady("w01018", [35.0] * 24)], minutes=2)
    first, second = [record for record in found if record.factor == FLOW]
    assert (first.avg, first.count, first.mark) == (pytest.approx(12.5), 11, "N")  # 11 differences in the first minute
    assert (second.min, second.avg, second.max) == (pytest.approx(12.5),) * 3
    assert (second.count, second.cou) == (12, pytest.approx(0.75))
    assert [live.sample for live in one.live([Sample(T0 + 120_000, "o", TOTAL, 101.5, "N")])] == [
        Sample(T0 + 120_000, "o", FLOW, second.avg, "N")
    ]


def test_volume_of_a_silence_is_booked_once_and_is_no_flow() -> None:
    # the flow meter is silent from 08:01 to 08:09: 6 m³ at 12.5 L/s
    one = an_engine(water(**BY_TOTAL), FLOW, "w01018")
    stream = steady("w01018", [30.0] * 12 + [35.0] * 108)
    for at in (*range(12), *range(108, 120)):
        stream += [Sample(T0 + at * SLOT_MS, "o", TOTAL, 100.0 + at * 0.0625, "N")]
        stream += [Sample(T0 + at * SLOT_MS, "o", FLOW, 12.5, "N")]
    found = sealed(one, stream, minutes=10)
    flows = [record for record in found if record.factor == FLOW and record.kind is Kind.MINUTE]
    assert [record.mark for record in flows] == ["N", *"BBBBBBBB", "N"]
    after = flows[-1]
    assert (after.avg, after.max) == (12.5, 12.5)
    assert after.caught_up == pytest.approx(97 * 0.0625)  # from the reading at 08:00:55 to that at 08:09:00
    assert after.cou == pytest.approx(97 * 0.0625 + 11 * 0.0625)
    assert sum(record.cou or 0.0 for record in flows) == pytest.approx(119 * 0.0625)
    assert [code for code, _ in one.happened()] == ["measure.total-caught-up"]
    cod = [record for record in found if record.factor == "w01018"][-1]
    assert cod.cou == pytest.approx(11 * 0.0625 * 35 * 1e-3)  # no mass is made of it
    tens = one.derive([r for r in found if r.kind is Kind.MINUTE], T0, 10)
    joined, weighted = pick(tens, FLOW), pick(tens, "w01018")
    assert joined.cou == pytest.approx(119 * 0.0625)
    assert joined.caught_up == pytest.approx(97 * 0.0625)
    # 11 differences at 30 mg/L in the first minute, 11 at 35 in the last: the silence weighs nothing
    assert weighted.avg == pytest.approx(32.5)


def test_hour_adds_up_to_the_difference_of_its_edges() -> None:
    one = an_engine(water(**BY_TOTAL), "w01001")
    stream = counted([7.5 * at / 120 for at in range(1440)])
    found = [r for r in sealed(one, stream, minutes=120) if r.factor == FLOW]
    first, second = [record for record in found if record.kind is Kind.HOUR]
    assert first.total == pytest.approx(7.5 * 719 / 120)
    assert second.total is not None
    assert first.total is not None
    assert second.cou == pytest.approx(second.total - first.total)
    assert second.cou == pytest.approx(45.0)
    assert second.avg == pytest.approx(12.5)  # 45 m³ in 3600 s: ×1000, the factor that the printed formula lacks
    assert one.hour_total == Total(T0 + 2 * HOUR_MS - SLOT_MS, second.total)


def test_integration_keeps_the_readings_beside() -> None:
    one = an_engine(water(), FLOW)
    found = sealed(one, steady(FLOW, [12.5] * 12) + counted([100.0 + at for at in range(12)]))
    flow = pick(found, FLOW)
    assert flow.cou == pytest.approx(0.75)
    assert (flow.total, flow.caught_up) == (111.0, None)
    assert [record.factor for record in found] == [FLOW]


def test_reading_under_maintenance_does_not_count_and_its_volume_comes_after_it() -> None:
    one = an_engine(water(**BY_TOTAL), FLOW)
    marks = "N" * 12 + "M" * 24 + "N" * 12
    stream = steady(FLOW, [12.5] * 48, marks) + counted([at * 0.0625 for at in range(48)], marks)
    flows = [record for record in sealed(one, stream, minutes=4) if record.factor == FLOW]
    assert [record.mark for record in flows] == ["N", "M", "M", "N"]
    assert [record.cou for record in flows] == [pytest.approx(11 * 0.0625), None, None, pytest.approx(36 * 0.0625)]
    assert flows[-1].caught_up == pytest.approx(25 * 0.0625)


def test_day_of_silence_is_a_day_of_volume_in_one_minute_after_a_restart() -> None:
    one = an_engine(water(**BY_TOTAL), FLOW)
    one.resume([], [], [], T0, total=Total(T0 - DAY_MS, 1_000.0))
    stream = steady(FLOW, [12.5] * 12) + counted([2_080.0] * 12)
    flow = pick(sealed(one, stream), FLOW)
    assert (flow.cou, flow.caught_up, flow.avg) == (1_080.0, 1_080.0, 12.5)


def test_minute_with_a_volume_and_no_flow_sends_the_volume() -> None:
    record = Record("o", Kind.MINUTE, FLOW, T0, cou=6.0, mark="B", total=7.0, total_at=T0, caught_up=6.0)
    assert wire_fields(record, 1, "zero", None)[0] == ("Cou", "6.000")
    assert wire_fields(record, 1, "flag-only", None) == [("Cou", "6.000"), ("Flag", "B")]
    assert wire_fields(record, 1, "omit", None) == [("Cou", "6.000"), ("Flag", "B")]
