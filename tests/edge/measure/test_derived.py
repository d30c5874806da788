"""Derived points and constants, worked by hand; and the file of samples that knows only their inputs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from config.site import General, Instrument, Outlet, Point, Site
from config.switches import Derived
from edge.cli.main import hj212
from edge.measure.derived import DerivedPoints
from edge.measure.rules import factor_rules
from edge.values import Sample

T0 = 1_763_769_600_000


def site(*derived: Derived) -> Site:
    points = tuple(Point(factor=factor, outlet="o") for factor in ("w01018", "w01001"))
    slow = (Point(factor="w21003", outlet="o"), Point(factor="x", outlet="o", internal=True))
    return Site(
        site=General(name="x"),
        outlets={"o": Outlet(name="x", st="32", statistics="water", derived=derived)},
        instruments={
            "fast": Instrument(line="a", driver="modbus", points=points),
            "slow": Instrument(line="a", driver="modbus", points=slow, every=20_000),
        },
    )


def sample(factor: str, value: float | None, mark: str = "N", time: int = T0) -> Sample:
    return Sample(time, "o", factor, value, mark)


def test_a_formula_is_computed_once_when_its_last_input_is_in() -> None:
    points = DerivedPoints(site(Derived(factor="w01017", formula="w01018 * 0.5 + w01001")))
    assert points.accept([sample("w01018", 40.0)]) == []
    assert points.accept([sample("w01001", 7.0)]) == [sample("w01017", 27.0)]
    assert points.accept([sample("w21003", 1.0)]) == []


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (("N", 40.0), ("N", 8.0), ("N", 5.0)),
        (("T", 40.0), ("N", 8.0), ("T", 5.0)),
        (("T", 40.0), ("M", 8.0), ("M", 5.0)),
        (("N", 40.0), ("B", None), ("B", None)),
        (("D", None), ("C", 8.0), ("D", None)),
        (("N", 40.0), ("N", 0.0), ("D", None)),
        (("C", 40.0), ("N", 0.0), ("C", None)),
    ],
)
def test_it_bears_the_strongest_mark_and_no_value_where_there_is_none(
    first: tuple[str, float | None], second: tuple[str, float | None], expected: tuple[str, float | None]
) -> None:
    points = DerivedPoints(site(Derived(factor="w01017", formula="w01018 / w01001")))
    (found,) = points.accept([sample("w01018", first[1], first[0]), sample("w01001", second[1], second[0])])
    assert (found.mark, found.value) == expected


def test_a_constant_bears_s_and_comes_with_each_slot() -> None:
    points = DerivedPoints(site(Derived(factor="w01019", value=12.5)))
    found = points.accept([sample("w01018", 1.0), sample("w01001", 7.0), sample("w01018", 1.0, time=T0 + 5_000)])
    assert found == [sample("w01019", 12.5, "S"), sample("w01019", 12.5, "S", T0 + 5_000)]


def test_the_unit_is_converted_to_the_factors() -> None:
    (found,) = DerivedPoints(site(Derived(factor="w01017", formula="w01018 * 100", unit="µg/L"))).accept(
        [sample("w01018", 40.0)]
    )
    assert found.value == pytest.approx(4.0)


def test_one_may_be_made_of_another_and_of_an_internal_point() -> None:
    points = DerivedPoints(
        site(Derived(factor="w01017", formula="x + 1"), Derived(factor="w01019", formula="w01017 * 2"))
    )
    assert [one.value for one in points.accept([sample("x", 3.0)])] == [4.0, 8.0]


def test_it_has_samples_as_often_as_its_slowest_input() -> None:
    rules = factor_rules(
        site(
            Derived(factor="w01017", formula="w01018 + w21003"),
            Derived(factor="w01019", formula="w01018 + w01001"),
            Derived(factor="w01020", value=1.0),
        ),
        "o",
    )
    assert [rules[factor].expected for factor in ("w01018", "w21003", "w01017", "w01019", "w01020")] == [
        12,
        3,
        3,
        12,
        12,
    ]
    assert "x" not in rules


def test_realtime_data_show_it_from_the_newest_inputs() -> None:
    points = DerivedPoints(site(Derived(factor="w01017", formula="w01018 + w21003")))
    newest = [sample("w01018", 40.0, time=T0 + 15_000), sample("w21003", 2.0)]
    assert points.latest("o", newest) == [sample("w01017", 42.0, time=T0 + 15_000)]
    assert points.latest("o", []) == []


def test_a_replayed_file_of_inputs_seals_the_derived_point(tmp_path: Path) -> None:
    config = tmp_path / "site.toml"
    config.write_text(
        '[site]\nname = "x"\n[outlets.o]\nname = "x"\nst = 32\nstatistics = "water"\n'
        '[[outlets.o.derived]]\nfactor = "w01017"\nformula = "w01018 * 0.5"\ndecimals = 3\n'
        '[[outlets.o.derived]]\nfactor = "w01001"\nvalue = 7.25\n'
        '[lines.a]\nport = "/dev/ttyS0"\n[instruments.cod]\nline = "a"\ndriver = "modbus"\n'
        '[[instruments.cod.points]]\nfactor = "w01018"\nregister = 0\ntype = "float32"\n'
    )
    rows = [f"2025-11-22T08:00:{second:02}+08:00,o,w01018,{30 + second},N" for second in range(0, 60, 5)]
    result = CliRunner().invoke(
        hj212,
        ["data", "replay", "-", "--json", "-c", str(config)],
        input="\n".join(["time,outlet,factor,value,mark", *rows]),
    )
    records = {record["factor"]: record for record in map(json.loads, result.stdout.splitlines())}
    # 30, 35 … 85 by 2: 15 … 42.5, mean 28.75
    assert (records["w01017"]["min"], records["w01017"]["avg"], records["w01017"]["max"]) == (15.0, 28.75, 42.5)
    assert records["w01017"]["wire"]["Avg"] == "28.750"
    assert (records["w01001"]["avg"], records["w01001"]["mark"], records["w01001"]["count"]) == (7.25, "S", 0)
