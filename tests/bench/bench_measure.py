"""CPU of the measurement per sealed minute, and its memory over a long time.

A flue gas outlet with 30 factors and a waste water outlet with 20, a sample every 5 s each. `HJ212_BENCH_DAYS=365`
makes the long run a whole year (some minutes); by default it is three days. The ratio is target ÷ figure.
"""

from __future__ import annotations

import os
import resource
import time
from itertools import islice
from typing import Any

from config.site import GasRules, Outlet
from edge.measure.engine import Engine
from edge.measure.rules import factor_rule
from edge.values import DAY_MS, MINUTE_MS, SLOT_MS, Sample
from protocol.factors import all_factors

MIDNIGHT = 1_790_006_400_000
"""2026-09-22 00:00:00 in Beijing."""
TARGET_MS = 5.0
MINUTES = 200
DAYS = int(os.environ.get("HJ212_BENCH_DAYS", "3"))


def _factors(letter: str, first: tuple[str, ...], count: int) -> list[str]:
    others = (row.code for row in all_factors() if row.code.startswith(letter) and row.code not in first)
    return [*first, *islice(others, count - len(first))]


GAS = _factors("a", ("a19001", "a01011", "a01012", "a01013", "a01014", "a21026", "a21002", "a34013"), 30)
WATER = _factors("w", ("w00000", "w01001", "w01018", "w21003"), 20)


def engine(statistics: str, factors: list[str]) -> Engine:
    """An engine that converts and weighs all that it can."""
    gas = GasRules(area=12.5, o2_reference=6.0, basis="actual-wet")
    outlet = Outlet(name="x", st="31" if statistics == "gas" else "32", statistics=statistics, gas=gas)  # type: ignore[arg-type]  # a text
    return Engine(outlet, "o", {factor: factor_rule(factor) for factor in factors})


def minute(factors: list[str], start: int) -> list[Sample]:
    """Twelve samples of each factor."""
    slots = range(start, start + MINUTE_MS, SLOT_MS)
    return [
        Sample(slot, "o", factor, 8.0 + place / 100 + (slot // SLOT_MS % 7) / 10, "N")
        for slot in slots
        for place, factor in enumerate(factors)
    ]


def _cpu_ms(statistics: str, factors: list[str]) -> float:
    """CPU per sealed minute, ms, hours included."""
    one = engine(statistics, factors)
    one.tick(MIDNIGHT)
    spent, sealed = 0.0, 0
    for number in range(MINUTES):
        start = MIDNIGHT + number * MINUTE_MS
        samples = minute(factors, start)
        began = time.process_time()
        one.add(samples)
        sealed += bool(one.tick(start + MINUTE_MS))
        spent += time.process_time() - began
    if sealed != MINUTES:
        raise AssertionError(f"{sealed} of {MINUTES} minutes were sealed")
    return spent / MINUTES * 1000


def _resident_kb() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize() // 1024


def _growth_kb(days: int) -> tuple[int, int]:
    """Growth of the resident memory behind the first day, kB, and the records that were sealed."""
    one, records, first = engine("water", WATER), 0, 0
    one.tick(MIDNIGHT)
    template = minute(WATER, 0)
    for number in range(days * DAY_MS // MINUTE_MS):
        start = MIDNIGHT + number * MINUTE_MS
        one.add(Sample(each.time + start, "o", each.factor, each.value, "N") for each in template)
        records += len(one.tick(start + MINUTE_MS))
        if number == DAY_MS // MINUTE_MS - 1:
            first = _resident_kb()
    return _resident_kb() - first, records


def run() -> list[dict[str, Any]]:
    """Rows of name, value, unit, against, ratio."""
    rows: list[dict[str, Any]] = []
    for statistics, factors in (("gas", GAS), ("water", _factors("w", tuple(WATER), 30))):
        spent = _cpu_ms(statistics, factors)
        name = f"measure {statistics}, {len(factors)} factors, a sealed minute"
        rows.append(
            {"name": name, "value": round(spent, 2), "unit": "ms CPU", "against": TARGET_MS,
             "ratio": round(TARGET_MS / spent, 2)}
        )  # fmt: skip
    growth, records = _growth_kb(DAYS)
    rows.append(
        {"name": f"measure {DAYS} days of 5 s data, 20 factors, {records} records: growth", "value": growth,
         "unit": "kB RSS", "against": None, "ratio": None}
    )  # fmt: skip
    return rows
