"""How a platform gets numbers: units, decimals of masses, the largest number above the oxygen limit, width."""

from __future__ import annotations

from typing import Any

import pytest

from config.site import Access, GasRules, Outlet, Platform, Point
from edge.measure.engine import Engine
from edge.measure.rules import point_rule
from edge.measure.statistics import Live
from edge.uplink.numbers import Numbers
from edge.uplink.terms import Terms
from edge.values import Kind, Record, Sample
from protocol.edition2005 import EDITION_2005
from protocol.upload import realtime, statistics

Events = list[tuple[str, dict[str, Any]]]


def numbers(events: Events, *points: Point, decimals: dict[str, int] | None = None, **platform: Any) -> Numbers:
    outlet = Outlet(name="x", st="31", statistics="gas", gas=GasRules(o2_reference=6.0, zs_above="sentinel"))
    site = Platform(**{"edition": "2017", "address": "h:1", "outlets": {"o": Access(mn="1")}, **platform})
    engine = Engine(outlet, "o", {point.channel: point_rule(point, 5_000) for point in points})
    terms = Terms("city", "o", "31", site, site.outlets["o"])
    return Numbers(terms, engine, decimals or {}, lambda code, params: events.append((code, params)))


def point(factor: str, **keys: Any) -> Point:
    return Point(factor=factor, outlet="o", **keys)


def record(factor: str, value: float | None, **more: Any) -> Record:
    mark = "N" if value is not None else "B"
    return Record("o", Kind.MINUTE, factor, 0, min=value, avg=value, max=value, count=12, mark=mark, **more)


def text(wire: Any) -> str:
    return ",".join(f"{name}={value}" for name, value in wire.fields())


def test_masses_have_six_decimals_or_as_many_as_the_platform_wants() -> None:
    one = record("a21026", 40.0, cou=0.19060533, zs_min=48.0, zs_avg=48.0, zs_max=48.0)
    assert text(numbers([], point("a21026")).record(one, None, False)).startswith("Cou=0.190605,Min=40.00")
    assert text(numbers([], point("a21026"), mass_decimals=3).record(one, None, False)).startswith("Cou=0.191,")
    flow = record("a00000", 79.41891, cou=4765.1346)
    shown = text(numbers([], point("a00000"), decimals={"a00000": 3}, mass_decimals=0).record(flow, None, False))
    assert shown == "Cou=4765.135,Min=79.419,Avg=79.419,Max=79.419,Flag=N"


@pytest.mark.parametrize(
    ("factor", "cou", "wanted", "shown"),
    [
        ("a21026", 0.19060533, None, "02-Cou=0.19"),
        ("a21026", 0.00190605, None, "02-Cou=0.001906"),  # not 0.00, which it is not
        ("a21026", 0.0, None, "02-Cou=0.00"),
        ("a21026", 0.00190605, 4, "02-Cou=0.0019"),
        ("a21026", 0.19060533, 4, "02-Cou=0.1906"),
        ("a21026", 0.19060533, 0, "02-Cou=0.19"),  # the table's two are the least
        ("w20111", 1.5, None, "020-Cou=0.001500000"),  # total mercury: g in 2017, kg in 2005
        ("a00000", 4765.1346, 6, "B02-Cou=4765.13"),
        ("a00000", 0.004, None, "B02-Cou=0.004"),
    ],
)
def test_sums_of_2005_have_two_decimals_more_where_wanted_and_are_never_shown_as_nothing(
    factor: str, cou: float, wanted: int | None, shown: str
) -> None:
    made = numbers([], point(factor), edition="2005", mass_decimals=wanted)
    wire = made.record(record(factor, 1.0, cou=cou), None, False)
    body = statistics(0, ((factor, wire.slots),), wire.values, EDITION_2005)
    assert str(body).split(";")[1].split(",")[0] == shown


def test_largest_number_stands_for_what_cannot_be_converted() -> None:
    one = numbers([], point("a21026"), point("a19001"))
    shown = text(one.record(record("a21026", 10.0), None, True))
    assert shown == "Min=10.00,Avg=10.00,Max=10.00,ZsMin=99999.99,ZsAvg=99999.99,ZsMax=99999.99,Flag=N"
    live = Live(Sample(0, "o", "a21026", 10.0, "N"), None, sentinel=True)
    assert text(one.sample(live, None)) == "Rtd=10.00,ZsRtd=99999.99,Flag=N"


def test_largest_number_is_the_same_in_another_unit() -> None:
    one = numbers([], point("a21026"), units={"a21026": "µg/m³"})
    wire = one.sample(Live(Sample(0, "o", "a21026", 10.0, "N"), None, sentinel=True), None)
    body = realtime(0, (("a21026", wire.slots),), wire.values, units=one.units)
    assert body.endswith(";a21026-Rtd=10000,a21026-ZsRtd=99999.99,a21026-Flag=N")


def test_factor_without_conversion_has_no_zeros_for_it_either() -> None:
    one = numbers([], point("a21026", zs="none"))
    assert "Zs" not in text(one.record(record("a21026", None), None, False))
    assert "Zs" not in text(one.sample(Live(Sample(0, "o", "a21026", None, "B")), None))
    assert "ZsAvg=0.00" in text(numbers([], point("a21026")).record(record("a21026", None), None, False))


@pytest.mark.parametrize(("value", "said"), [(9999.4, False), (12_345.6, True)])
def test_wide_number_is_sent_whole_and_said(value: float, said: bool) -> None:
    events: Events = []
    one = numbers(events, point("a34013"))
    assert f"Avg={value}" in text(one.record(record("a34013", value), None, False))
    assert f"Rtd={value}" in text(one.sample(Live(Sample(0, "o", "a34013", value, "T")), None))
    wanted = {"outlet": "o", "factor": "a34013", "value": "12345.6", "format": "N4.0"}
    assert events == ([("edge.value-wide", wanted)] * 2 if said else [])
