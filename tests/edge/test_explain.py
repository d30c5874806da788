"""`hj212 data explain`: hand-worked records traced to their samples; what the engine sealed comes out equal, what was
altered does not.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sqlite3
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from config.load import load
from config.site import Site
from edge.catalogue import use_language
from edge.cli.explain import explain
from edge.measure.derived import DerivedPoints
from edge.measure.engine import Engine
from edge.measure.rules import factor_rules
from edge.revising import manual_marks
from edge.store import database, journal, marks, records, samples, sums
from edge.store.marks import By, Mark
from edge.values import HOUR_MS, MINUTE_MS, Kind, Sample, period_start
from protocol.times import iso_text

DAY = 1_763_740_800_000
"""2025-11-22 00:00 Beijing."""
T0 = DAY + 8 * HOUR_MS

SITE = """
[site]
name = "示例"
data_dir = "{data}"

[outlets.ww1]
name = "总排口"
st = "32"
statistics = "water"
derived = [{{ factor = "w01017", formula = "w01018 * 0.5" }}]

[outlets.stack]
name = "烟囱"
st = "31"
statistics = "gas"
[outlets.stack.gas]
o2_reference = 6.0
ambient_pressure = 100.8
{gas}

[outlets.kiln]
name = "窑尾"
st = "31"
statistics = "gas"
[outlets.kiln.gas]
excess_air = 1.75
pitot = 0.84
area = 12.5664
kv = 1.05
ambient_pressure = 100.8
basis = "actual-dry"

[outlets.noise]
name = "厂界"
st = "23"
statistics = "noise"

[lines.l1]
port = "/dev/ttyS1"

[instruments.i1]
line = "l1"
driver = "modbus"
every = "{every}"
points = [
  {{ factor = "w00000", outlet = "ww1", type = "float32", register = 0 }},
  {{ factor = "w01018", outlet = "ww1", type = "float32", register = 2 }},
  {{ factor = "w01001", outlet = "ww1", type = "float32", register = 4 }},
  {{ factor = "SB1", outlet = "ww1", type = "float32", register = 6 }},
  {{ factor = "a21026", outlet = "stack", type = "float32", register = 8, basis = "actual-wet" }},
  {{ factor = "a19001", outlet = "stack", type = "float32", register = 10 }},
  {{ factor = "a00000", outlet = "stack", type = "float32", register = 12 }},
  {{ factor = "a01012", outlet = "stack", type = "float32", register = 14 }},
  {{ factor = "a01013", outlet = "stack", type = "float32", register = 16 }},
  {{ factor = "a01014", outlet = "stack", type = "float32", register = 18 }},
  {{ factor = "a01017", outlet = "kiln", type = "float32", register = 22 }},
  {{ factor = "a01012", outlet = "kiln", type = "float32", register = 24 }},
  {{ factor = "a01013", outlet = "kiln", type = "float32", register = 26 }},
  {{ factor = "a01014", outlet = "kiln", type = "float32", register = 28 }},
  {{ factor = "a19001", outlet = "kiln", type = "float32", register = 30, basis = "actual-wet" }},
  {{ factor = "a21003", outlet = "kiln", type = "float32", register = 32, unit = "ppm" }},
  {{ factor = "a21004", outlet = "kiln", type = "float32", register = 34 }},
  {{ factor = "a34013", outlet = "kiln", type = "float32", register = 36, zs = "from-point" }},
  {{ factor = "a34013", outlet = "kiln", type = "float32", register = 38, quantity = "zs" }},
  {{ factor = "LA", outlet = "noise", type = "float32", register = 20 }},
]
"""


@dataclass
class Logger:
    """Engines and a store of all outlets, fed minute by minute."""

    folder: Path
    every: str = "5s"
    gas: str = ""
    engines: list[Engine] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.config = self.folder / "site.toml"
        (self.folder / "data").mkdir()
        text = SITE.format(data=self.folder / "data", every=self.every, gas=self.gas)
        self.config.write_text(text, encoding="utf-8")
        os.utime(self.config, (DAY / 1000 - 86_400, DAY / 1000 - 86_400))
        self.site: Site = load(self.config)
        self.records = self._open(database.RECORDS)
        self.samples = self._open(database.SAMPLES)
        self.engines = [Engine(one, name, factor_rules(self.site, name)) for name, one in self.site.outlets.items()]
        self.derived = DerivedPoints(self.site)

    def _open(self, which: Any) -> sqlite3.Connection:
        db, _ = database.open_database(self.folder / "data", which, "", lambda _code, _params: None)
        weakref.finalize(self, db.close)
        return db

    def run(self, stream: Iterable[Sample], minutes: int, start: int = T0) -> None:
        found = sorted([*(whole := list(stream)), *self.derived.accept(whole)], key=lambda one: one.time)
        by_minute: dict[int, list[Sample]] = {}
        for one in found:
            by_minute.setdefault(period_start(one.time, MINUTE_MS), []).append(one)
        for db in (self.records, self.samples):
            db.execute("BEGIN")
        for at in range(start, start + minutes * MINUTE_MS, MINUTE_MS):
            here = by_minute.get(at, [])
            for time in sorted({one.time for one in here}):
                samples.append(self.samples, time, [one for one in here if one.time == time])
            for engine in self.engines:
                engine.tick(at)
                engine.add(here)
                sealed = engine.tick(at + MINUTE_MS - 1, complete_until_ms=at + MINUTE_MS)
                records.seal(self.records, sealed, [], at)
        for db in (self.records, self.samples):
            db.execute("COMMIT")

    def mark(self, point: str, mark: str, begin: int, end: int, at: int) -> None:
        state = Mark(kind="mark", points=(point,), begin=begin, end=end, mark=mark, reason="x")
        marks.add(self.records, state, By("user:me", "张三", at))
        states = [entry.state for entry in marks.in_force(self.records, 0, 1 << 60)]
        for engine in self.engines:
            outlet = self.site.outlets[engine.name]
            engine.manual = manual_marks(outlet, engine.name, self.derived, states)

    def tamper(self, column: str, by: str, kind: Kind, factor: str, *, sealed: bool = True) -> None:
        """Change a stored number behind the program's back; `sealed`: as a program that made a mistake would."""
        (number,) = self.records.execute("SELECT id FROM name WHERE text = ?", (factor,)).fetchone()
        changed = self.records.execute(
            f"UPDATE record SET {column} = {by} WHERE kind = ? AND factor = ?", (int(kind), number)
        )
        assert changed.rowcount
        if sealed:
            rows = self.records.execute("SELECT * FROM record").fetchall()
            self.records.executemany(
                "UPDATE record SET check_sum = ? WHERE (start, kind, outlet, factor, revision) = (?, ?, ?, ?, ?)",
                [(sums.of_record(row), *row[:5]) for row in rows],
            )

    def invoke(self, factor: str, kind: str, start: int, *options: str) -> Result:
        arguments = [factor, kind, iso_text(start)[:16], "-c", str(self.config), *options]
        return CliRunner().invoke(explain, arguments, env={"HJ212_LANG": "en"})

    def explained(self, factor: str, kind: str, start: int, outlet: str = "") -> dict[str, Any]:
        """Of a flue gas factor at the stack, unless another outlet is named: two outlets measure some of them."""
        outlet = outlet or ("stack" if factor.startswith("a") else "")
        result = self.invoke(factor, kind, start, "--json", *(["--outlet", outlet] if outlet else []))
        assert result.exit_code == 0, result.output
        page: dict[str, Any] = json.loads(result.stdout)
        return page


@pytest.fixture
def logger(tmp_path: Path) -> Iterator[Logger]:
    one = Logger(tmp_path)
    yield one
    use_language(None)


def steady(outlet: str, factor: str, value: float | None, minutes: int, start: int = T0, step: int = 5) -> list[Sample]:
    times = range(start, start + minutes * MINUTE_MS, step * 1000)
    return [Sample(time, outlet, factor, value, "N") for time in times]


def step(page: dict[str, Any], code: str) -> dict[str, Any]:
    (found,) = [one for one in page["steps"] if one["code"] == code]
    return found


def entry(page: dict[str, Any], factor: str) -> dict[str, Any]:
    (found,) = [one for one in page["inputs"] if one["factor"] == factor]
    return found


# water, by hand


def test_water_minute_is_weighted_by_volume_with_its_mass(logger: Logger) -> None:
    # 6 slots of 30 mg/L at 10 L/s (0.05 m³ each), 6 of 60 mg/L at 20 L/s (0.1 m³ each): 0.9 m³
    first, second = range(T0, T0 + 30_000, 5_000), range(T0 + 30_000, T0 + 60_000, 5_000)
    stream = [Sample(at, "ww1", "w00000", 10.0, "N") for at in first]
    stream += [Sample(at, "ww1", "w00000", 20.0, "N") for at in second]
    stream += [Sample(at, "ww1", "w01018", 30.0, "N") for at in first]
    stream += [Sample(at, "ww1", "w01018", 60.0, "N") for at in second]
    logger.run(stream, 1)
    page = logger.explained("w01018", "minute", T0)
    assert page["verdict"] == "equal"
    mean = step(page, "weighted-mean")
    assert (mean["clause"], mean["result"]) == ("HJ 212-2017 D.1 (12)", pytest.approx(50.0))
    assert (mean["values"]["loads"], mean["values"]["volume"]) == (pytest.approx(45.0), pytest.approx(0.9))
    mass = step(page, "mass")
    assert (mass["clause"], mass["result"]) == ("HJ 212-2017 D.1 (8, 9)", pytest.approx(0.045))
    assert [one["factor"] for one in page["inputs"]] == ["w01018", "w00000"]
    assert (entry(page, "w01018")["due"], entry(page, "w01018")["valid"]) == (12, 12)
    flow = logger.explained("w00000", "minute", T0)
    assert step(flow, "volume")["result"] == pytest.approx(0.9)
    assert step(flow, "mean-flow")["result"] == pytest.approx(15.0)
    assert step(flow, "mean-flow")["clause"] == "HJ 212-2017 D.1 (5)"


def test_water_hour_weighs_its_minutes_by_volume(logger: Logger) -> None:
    # half an hour of 20 mg/L at 5 L/s (9 m³, 0.18 kg), half an hour of 40 mg/L at 15 L/s (27 m³, 1.08 kg)
    half = T0 + 30 * MINUTE_MS
    stream = steady("ww1", "w01018", 20.0, 30) + steady("ww1", "w01018", 40.0, 30, half)
    stream += steady("ww1", "w00000", 5.0, 30) + steady("ww1", "w00000", 15.0, 30, half)
    logger.run([*stream, *steady("ww1", "w01001", 7.0, 60)], 60)
    page = logger.explained("w01018", "hour", T0)
    assert page["verdict"] == "equal"
    mean, total = step(page, "weighted-mean"), step(page, "sum")
    assert (mean["clause"], mean["result"]) == ("HJ 212-2017 D.1 (13)", pytest.approx(35.0))
    assert (mean["values"]["loads"], mean["values"]["volume"]) == (pytest.approx(1260.0), pytest.approx(36.0))
    assert (total["clause"], total["result"]) == ("HJ 212-2017 D.1 (10)", pytest.approx(1.26))
    assert "35 mg/L" in mean["text"]
    acid = logger.explained("w01001", "hour", T0)
    assert (step(acid, "mean")["clause"], step(acid, "mean")["result"]) == ("HJ 212-2017 D.1 (16)", pytest.approx(7.0))
    assert [one["factor"] for one in acid["inputs"]] == ["w01001"]
    assert not [one for one in acid["steps"] if one["code"] in ("mass", "sum")]


def test_water_without_flow_is_averaged_arithmetically_and_has_no_mass(logger: Logger) -> None:
    logger.run(steady("ww1", "w01018", 30.0, 1), 1)
    page = logger.explained("w01018", "minute", T0)
    assert step(page, "mean")["clause"] == "HJ 212-2017 D.1 (15)"
    assert not [one for one in page["steps"] if one["code"] in ("mass", "weighted-mean")]


def test_standstill_weighs_nothing(logger: Logger) -> None:
    logger.run(steady("ww1", "w01018", 30.0, 1) + steady("ww1", "w00000", 0.0, 1), 1)
    page = logger.explained("w01018", "minute", T0)
    assert step(page, "mean")["result"] == pytest.approx(30.0)
    assert step(page, "mass")["result"] == 0.0


# flue gas, by hand (spec of HJ 212-2017 D.2: 30 mg/m³ at 100800 − 500 Pa, 130 °C → 44.7383; 12 % humidity)


def stack(minutes: int, oxygen: float = 8.5) -> list[Sample]:
    values = {"a21026": 30.0, "a19001": oxygen, "a00000": 50.0, "a01012": 130.0, "a01013": -0.5, "a01014": 12.0}
    return [one for factor, value in values.items() for one in steady("stack", factor, value, minutes)]


def test_gas_minute_names_standard_state_dry_mean_conversion_and_mass(logger: Logger) -> None:
    logger.run(stack(1), 1)
    page = logger.explained("a21026", "minute", T0)
    assert page["verdict"] == "equal"
    standard, dry = step(page, "to-standard"), step(page, "to-dry")
    assert (standard["clause"], standard["result"]) == ("HJ 212-2017 D.2 (18)", pytest.approx(44.7383, abs=5e-5))
    assert (dry["clause"], dry["result"]) == ("HJ 212-2017 D.2 (19)", pytest.approx(50.8390, abs=1e-4))
    assert step(page, "mean")["clause"] == "HJ 212-2017 D.2 (23)"
    # (28): × (21 − 6) / (21 − 8.5) = 1.2; (33): 50 m³/s × 60 s = 3000 m³
    assert step(page, "zs-oxygen")["clause"] == "HJ 212-2017 D.2 (28)"
    assert step(page, "zs-oxygen")["result"] == pytest.approx(61.0068, abs=2e-4)
    assert (step(page, "gas-mass")["clause"], step(page, "gas-mass")["result"]) == (
        "HJ 212-2017 D.2 (33)", pytest.approx(0.152517, abs=1e-6),
    )  # fmt: skip
    rule = step(page, "mark-gas")
    assert (rule["values"]["normal"], rule["values"]["needed"], rule["values"]["mark"]) == (12, 9.0, "N")
    roles = {one["factor"]: one["role"] for one in page["inputs"]}
    assert roles == {
        "a21026": "own", "a00000": "flow", "a19001": "oxygen",
        "a01012": "condition", "a01013": "condition", "a01014": "condition",
    }  # fmt: skip


def test_oxygen_near_air_is_not_said_to_be_converted(logger: Logger) -> None:
    logger.run(stack(1, oxygen=20.5), 1)
    page = logger.explained("a21026", "minute", T0)
    assert step(page, "zs-beyond")["result"] == pytest.approx(50.8390, abs=1e-4)
    assert not [one for one in page["steps"] if one["code"] == "zs-oxygen"]


def test_gas_hour_says_the_75_percent_rule_and_averages_converted_minutes(logger: Logger) -> None:
    # oxygen is out for 2 minutes: 58 of 60 converted; the concentration has all 60
    stream = [one for one in stack(60) if one.factor != "a19001" or one.time >= T0 + 2 * MINUTE_MS]
    logger.run(stream, 60)
    page = logger.explained("a19001", "hour", T0)
    rule = step(page, "mark-gas")
    assert (rule["values"]["normal"], rule["values"]["came"], rule["values"]["needed"]) == (58, 60, 45)
    assert "58 of 60 normal ≥ 45 → N" in rule["text"]
    assert entry(page, "a19001")["marks"] == {"B": 2}
    page = logger.explained("a21026", "hour", T0)
    assert page["verdict"] == "equal"
    assert step(page, "mean")["clause"] == "HJ 212-2017 D.2 (24)"
    assert step(page, "zs-mean")["values"]["count"] == 58
    assert step(page, "gas-mass")["result"] == pytest.approx(50.8390 * 180_000 * 1e-6, abs=2e-5)
    assert step(logger.explained("a00000", "hour", T0), "gas-volume")["result"] == pytest.approx(180_000.0)


def test_hour_converted_once_with_its_means_names_equation_28(tmp_path: Path) -> None:
    one = Logger(tmp_path, gas='zs_on = "mean"', every="60s")
    half = T0 + 30 * MINUTE_MS
    stream = [each for each in stack(60) if each.time % MINUTE_MS == 0 and each.factor != "a19001"]
    stream += steady("stack", "a19001", 6.0, 30, step=60) + steady("stack", "a19001", 12.0, 30, half, step=60)
    one.run(stream, 60)
    page = one.explained("a21026", "hour", T0)
    # mean oxygen 9 %: × 15 / 12
    assert step(page, "zs-oxygen")["result"] == pytest.approx(50.8390 * 1.25, abs=2e-4)
    assert page["verdict"] == "equal"


def test_kiln_with_pitot_tube_and_nox_names_what_is_computed(logger: Logger) -> None:
    values = {"a01017": 0.062, "a01012": 130.0, "a01013": -0.5, "a01014": 12.0, "a19001": 7.48}
    values |= {"a21003": 134.0, "a21004": 10.3}
    logger.run([one for factor, value in values.items() for one in steady("kiln", factor, value, 1)], 1)
    # Pd 62 Pa, Kp 0.84: ρ 0.89856 kg/m³, 9.8677 m/s
    velocity = logger.explained("a01011", "minute", T0, "kiln")
    assert step(velocity, "pitot")["result"] == pytest.approx(9.8677, abs=5e-5)
    flow = logger.explained("a00000", "minute", T0, "kiln")
    # Kv 1.05, F 12.5664 m²: 9.8677 × 1.05 × 12.5664 = 130.20 m³/s; × 273/403 × 100300/101325 × 0.88 = 76.83
    assert (step(flow, "duct-flow")["clause"], step(flow, "duct-flow")["result"]) == (
        "HJ 212-2017 D.2 (29, 30)", pytest.approx(130.201, abs=2e-3),
    )  # fmt: skip
    assert (step(flow, "dry-flow")["clause"], step(flow, "dry-flow")["result"]) == (
        "HJ 212-2017 D.2 (31)", pytest.approx(76.831, abs=2e-3),
    )  # fmt: skip
    assert {one["factor"]: one["role"] for one in flow["inputs"]} == {
        "a01017": "source", "a01012": "condition", "a01013": "condition", "a01014": "condition",
    }  # fmt: skip
    oxygen = logger.explained("a19001", "minute", T0, "kiln")
    assert step(oxygen, "to-dry")["result"] == pytest.approx(8.5)
    # NO is at standard state already (ppm), NO2 10.3 mg/m³ at 130 °C → × 403/273 × 101325/100300 = 15.3602
    nox = logger.explained("a21002", "minute", T0, "kiln")
    assert step(nox, "nox")["clause"] == "HJ 212-2017 D.2 (21)"
    assert step(nox, "nox")["result"] == pytest.approx(134 * 46 / 30 + 15.3602, abs=1e-4)
    # α = 21/12.5 = 1.68, αs 1.75
    assert step(nox, "zs-excess-air")["result"] == pytest.approx((134 * 46 / 30 + 15.3602) * 0.96, abs=1e-4)
    assert {page["verdict"] for page in (velocity, flow, oxygen, nox)} == {"equal"}
    assert not [one for one in nox["steps"] if "by-the-rules" in one["code"]]


# days, equipment, noise, derived


def test_day_of_each_statistic_comes_out_equal(tmp_path: Path) -> None:
    one = Logger(tmp_path, every="60s")
    stream = [
        sample
        for outlet, factor, value in (
            ("ww1", "w00000", 10.0), ("ww1", "w01018", 25.0), ("ww1", "SB1", 1.0), ("noise", "LA", 60.0),
            ("stack", "a00000", 50.0), ("stack", "a21026", 30.0), ("stack", "a01012", 130.0),
            ("stack", "a01013", -0.5), ("stack", "a01014", 12.0), ("stack", "a19001", 8.5),
        )
        for sample in steady(outlet, factor, value, 1440, DAY, 60)
    ]  # fmt: skip
    one.run(stream, 1440, DAY)
    water = one.explained("w01018", "day", DAY)
    # 10 L/s × 86,400 s = 864 m³ at 25 mg/L = 21.6 kg
    assert (step(water, "sum")["clause"], step(water, "sum")["result"]) == ("HJ 212-2017 D.1 (11)", pytest.approx(21.6))
    assert step(water, "weighted-mean")["clause"] == "HJ 212-2017 D.1 (14)"
    assert (entry(water, "w01018")["due"], entry(water, "w01018")["valid"]) == (24, 24)
    mass = step(one.explained("a21026", "day", DAY), "sum")
    assert (mass["clause"], mass["result"]) == ("HJ 212-2017 D.2 (34)", pytest.approx(50.8390 * 4.32, abs=2e-3))
    volume = step(one.explained("a00000", "day", DAY), "sum")
    assert (volume["clause"], volume["result"]) == ("HJ 212-2017 D.2 (32)", pytest.approx(4_320_000.0))
    assert step(one.explained("SB1", "day", DAY), "sum")["result"] == pytest.approx(24.0)
    assert step(one.explained("SB1", "minute", DAY), "running")["result"] == pytest.approx(1 / 60)
    # 16 hours of 60 dB and 8 of 70: 10·lg((16·10⁶ + 8·10⁷)/24) = 66.0206
    assert step(one.explained("Ldn", "day", DAY), "day-night")["result"] == pytest.approx(66.0206, abs=5e-5)
    kinds = [("w01018", "day"), ("a21026", "day"), ("SB1", "hour"), ("Ldn", "day"), ("L50", "day"), ("L10", "hour")]
    kinds += [("Leq", "minute"), ("LMx", "hour"), ("w01017", "day")]
    assert [one.explained(factor, kind, DAY)["verdict"] for factor, kind in kinds] == ["equal"] * len(kinds)
    assert "w01018 * 0.5" in step(one.explained("w01017", "minute", DAY), "derived")["text"]


# marks by hand


def test_mark_by_hand_before_the_seal_is_shown_beside_the_automatic_one(logger: Logger) -> None:
    logger.mark("ww1/w01018", "M", T0, T0 + 30_000, at=T0)
    stream = steady("ww1", "w01018", 30.0, 1) + steady("ww1", "w00000", 10.0, 1)
    logger.run(stream, 1)
    page = logger.explained("w01018", "minute", T0)
    assert page["verdict"] == "equal"
    assert step(page, "by-hand")["values"] == {"count": 6, "mark": "M"}
    assert step(page, "mark-water-abnormal")["values"]["others"] == "M 6"
    assert (entry(page, "w01018")["valid"], entry(page, "w01018")["marks"]) == (6, {"M": 6})
    # the six valid slots: 6 × 0.05 m³ × 30 mg/L
    assert step(page, "mass")["result"] == pytest.approx(0.009)


def test_mark_by_hand_after_the_seal_keeps_the_numbers_and_turns_the_mark(logger: Logger) -> None:
    logger.run(steady("ww1", "w01018", 30.0, 1) + steady("ww1", "w00000", 10.0, 1), 1)
    (before,) = [one for one in records.of_period(logger.records, "ww1", Kind.MINUTE, T0) if one.factor == "w01018"]
    logger.mark("ww1/w01018", "M", T0, T0 + 30_000, at=T0 + HOUR_MS)
    records.revise(logger.records, [replace(before, mark="M", count=6)], [], T0 + HOUR_MS)
    page = logger.explained("w01018", "minute", T0)
    assert [(one["revision"], one["mark"], one["cou"]) for one in page["records"]] == [
        (0, "N", pytest.approx(0.018)), (1, "M", pytest.approx(0.018)),
    ]  # fmt: skip
    assert page["verdict"] == "equal"
    assert step(page, "mark-later")["values"] == {"before": "N", "mark": "M"}


def test_hour_that_later_marks_leave_alone_comes_out_as_it_was_sealed(logger: Logger) -> None:
    stream = [
        replace(one, value=90.0) if one.factor == "a21026" and one.time < T0 + 300_000 else one for one in stack(60)
    ]
    logger.run(stream, 60)
    logger.mark("stack/a21026", "M", T0, T0 + 5 * MINUTE_MS, at=T0 + 2 * HOUR_MS)
    sealed = records.between(logger.records, "stack", Kind.MINUTE, T0, T0 + 4 * MINUTE_MS, 1_000)
    marked = [replace(one, mark="M", count=0) for one in sealed if one.factor == "a21026"]
    records.revise(logger.records, marked, [], T0 + 2 * HOUR_MS)
    page = logger.explained("a21026", "hour", T0)
    # 5 minutes of 90 and 55 of 30: the mean of all 60 was sealed and stays
    assert step(page, "mean")["result"] == pytest.approx(35 * 50.8390 / 30, abs=2e-4)
    assert page["verdict"] == "equal"
    assert logger.explained("a21026", "minute", T0)["verdict"] == "equal"
    logger.tamper("avg", "avg + 1", Kind.HOUR, "a21026")
    altered = logger.explained("a21026", "hour", T0)
    assert (altered["verdict"], [one["code"] for one in altered["reasons"]]) == ("differs", ["marks-later"])


# equal, and altered


def random_stream(dice: random.Random) -> list[Sample]:
    levels = {
        "ww1": {"w00000": 12.0, "w01018": 40.0, "w01001": 7.0}, "noise": {"LA": 60.0},
        "kiln": {
            "a01017": 0.06, "a01012": 130.0, "a01013": -0.5, "a01014": 12.0, "a19001": 9.0, "a21003": 134.0,
            "a21004": 10.0, "a34013": 5.0, "a34013-Zs": 6.0,
        },
        "stack": {"a00000": 50.0, "a21026": 30.0, "a19001": 9.0, "a01012": 120.0, "a01013": -0.4, "a01014": 10.0},
    }  # fmt: skip
    found = []
    for outlet, factors in levels.items():
        for factor, level in factors.items():
            for time in range(T0 - 20 * MINUTE_MS, T0 + 80 * MINUTE_MS, 30_000):
                if dice.random() < 0.93:
                    mark = dice.choice("TDMCFB") if dice.random() < 0.05 else "N"
                    value = None if mark == "B" else round(level * dice.uniform(0.5, 2.3), 2)
                    found.append(Sample(time, outlet, factor, value, mark))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_whatever_the_engine_sealed_comes_out_equal(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    one = Logger(tmp_path, every="30s", gas='zs_on = "mean"' if seed % 2 else "")
    one.mark("stack", "C", T0 + 3 * MINUTE_MS, T0 + 9 * MINUTE_MS, at=T0 - HOUR_MS)
    one.mark("ww1/w01018", "M", T0 - 5 * MINUTE_MS, T0 + 2 * MINUTE_MS, at=T0 - HOUR_MS)
    one.run(random_stream(dice), 100, T0 - 20 * MINUTE_MS)
    sealed = [
        record
        for outlet in one.site.outlets
        for kind in (Kind.MINUTE, Kind.HOUR)
        for record in records.between(one.records, outlet, kind, DAY, T0 + HOUR_MS, 100_000)
    ]
    hours = [record for record in sealed if record.kind is Kind.HOUR]
    assert len(hours) > 20
    for record in [*hours, *dice.sample(sealed, 60)]:
        page = one.explained(record.factor, record.kind.text, record.start, record.outlet)
        told = (record.factor, record.kind, page["differences"], [each["code"] for each in page["steps"]])
        assert page["verdict"] == "equal", told
        assert "by-the-rules" not in told[3], told
        assert "mark-by-the-rules" not in told[3], told


@pytest.mark.parametrize(
    ("column", "by", "kind"),
    [("avg", "avg + 0.001", Kind.MINUTE), ("cou", "cou / 2", Kind.HOUR), ("mark", "'F'", Kind.MINUTE)],
)
def test_altered_number_is_told(logger: Logger, column: str, by: str, kind: Kind) -> None:
    logger.run(steady("ww1", "w01018", 30.0, 60) + steady("ww1", "w00000", 10.0, 60), 60)
    assert logger.explained("w01018", kind.text, T0)["verdict"] == "equal"
    logger.tamper(column, by, kind, "w01018")
    page = logger.explained("w01018", kind.text, T0)
    assert page["verdict"] == "differs"
    assert [one["field"] for one in page["differences"]] == [column]
    assert [one["code"] for one in page["reasons"]] == ["unknown"]


def test_number_that_is_not_as_it_was_sealed_is_named_and_not_explained(logger: Logger) -> None:
    logger.run(steady("ww1", "w01018", 30.0, 60) + steady("ww1", "w00000", 10.0, 60), 60)
    logger.tamper("avg", "avg + 0.001", Kind.MINUTE, "w01018", sealed=False)
    result = logger.invoke("w01018", "minute", T0)
    assert result.exit_code == 2
    assert f"the minute record of ww1 w01018 at {iso_text(T0)} in records.db is not as it was sealed" in result.output


def test_site_file_that_changed_since_is_named_as_a_reason(logger: Logger) -> None:
    logger.run(stack(60), 60)
    content = logger.config.read_text(encoding="utf-8").replace("o2_reference = 6.0", "o2_reference = 3.5")
    logger.config.write_text(content, encoding="utf-8")
    page = logger.explained("a21026", "minute", T0)
    assert {one["field"] for one in page["differences"]} == {"zs_min", "zs_avg", "zs_max"}
    assert [one["code"] for one in page["reasons"]] == ["site-changed"]


def test_site_file_that_the_daemon_had_is_no_reason_whatever_its_time(logger: Logger) -> None:
    logger.run(stack(1), 1)
    started = {"version": "0", "site_sha256": hashlib.sha256(logger.config.read_bytes()).hexdigest()}
    journal.append(logger.records, "logger", "started", started, T0 - HOUR_MS)
    logger.config.touch()
    logger.tamper("cou", "cou * 2", Kind.MINUTE, "a21026")
    assert [one["code"] for one in logger.explained("a21026", "minute", T0)["reasons"]] == ["unknown"]
    logger.config.write_text(logger.config.read_text(encoding="utf-8") + "# another", encoding="utf-8")
    assert [one["code"] for one in logger.explained("a21026", "minute", T0)["reasons"]] == ["site-changed"]


def test_without_its_samples_a_minute_is_not_possible_and_its_hour_is(logger: Logger) -> None:
    logger.run(steady("ww1", "w01018", 30.0, 60) + steady("ww1", "w00000", 10.0, 60), 60)
    logger.samples.execute("DELETE FROM tick WHERE time < ?", (T0 + 30 * MINUTE_MS,))
    page = logger.explained("w01018", "minute", T0)
    assert (page["verdict"], page["recomputed"], page["steps"], page["inputs"]) == ("not-possible", None, [], [])
    assert [one["code"] for one in page["reasons"]] == ["samples-gone"]
    assert page["records"][0]["avg"] == pytest.approx(30.0)
    assert logger.explained("w01018", "hour", T0)["verdict"] == "equal"


# on the screen


def test_screen_shows_record_inputs_steps_and_verdict(logger: Logger) -> None:
    logger.run(steady("ww1", "w01018", 30.0, 60) + steady("ww1", "w00000", 10.0, 60), 60)
    result = logger.invoke("w01018", "hour", T0 + 1000)
    assert result.exit_code == 0, result.output
    assert "[HJ 212-2017 D.1 (13)] flow-weighted mean = Σ(C·D)/ΣD = 1080 / 36 m³ = 30 mg/L" in result.stdout
    assert "equal to what is stored" in result.stdout
    assert result.stdout.count("30 ") > 60


def test_factor_of_two_outlets_asks_for_one(logger: Logger) -> None:
    logger.run(stack(1), 1)
    result = logger.invoke("a19001", "minute", T0)
    assert result.exit_code == 2
    assert "stack, kiln" in result.stderr


def test_unknown_record_and_unknown_outlet_are_said(logger: Logger) -> None:
    logger.run(steady("ww1", "w01018", 30.0, 1), 1)
    nothing, nowhere = logger.invoke("w21003", "hour", T0), logger.invoke("w01018", "minute", T0, "--outlet", "ww9")
    assert (nothing.exit_code, nowhere.exit_code) == (1, 2)
    assert "w21003" in nothing.stderr
    assert "ww9" in nowhere.stderr
