"""Builders that the tests of the measurement share."""

from collections.abc import Iterable, Sequence

from config.site import GasRules, Outlet, WaterRules
from edge.measure.engine import Engine
from edge.measure.rules import FactorRule, factor_rule
from edge.values import DAY_MS, HOUR_MS, MINUTE_MS, SLOT_MS, Kind, Record, Sample, period_start

T0 = 1_763_769_600_000  # 2025-11-22 08:00 Beijing
MIDNIGHT = T0 - 8 * HOUR_MS
WATER = ("w00000", "w01018", "w01001")


def water(**rules: object) -> Outlet:
    return Outlet(name="总排口", st="32", statistics="water", water=WaterRules(**rules))  # type: ignore[arg-type] # test shorthand


def flue(**rules: object) -> Outlet:
    return Outlet(name="烟囱", st="31", statistics="gas", gas=GasRules(**rules))  # type: ignore[arg-type] # test shorthand


def engine(outlet: Outlet, *factors: str, every_ms: int = SLOT_MS) -> Engine:
    return Engine(outlet, "o", rules(*factors, every_ms=every_ms))


def rules(*factors: str, every_ms: int = SLOT_MS) -> dict[str, FactorRule]:
    return {factor: factor_rule(factor, every_ms=every_ms) for factor in factors}


def steady(
    factor: str, values: Sequence[float | None], marks: str = "", start: int = T0, every_ms: int = SLOT_MS
) -> list[Sample]:
    """Values one after the other; `marks` one letter each, N where it ends; a space leaves the slot out."""
    padded = marks.ljust(len(values), "N")
    return [
        Sample(start + at * every_ms, "o", factor, value, mark)
        for at, (value, mark) in enumerate(zip(values, padded, strict=True))
        if mark != " "
    ]


def sealed(one: Engine, samples: Iterable[Sample], start: int = T0, minutes: int = 1) -> list[Record]:
    """What an engine that lives through these minutes seals."""
    one.tick(start)
    one.add(samples)
    end = start + minutes * MINUTE_MS
    found = [record for at in range(start, end, MINUTE_MS) for record in one.tick(at)]
    return found + one.tick(end - 1, complete_until_ms=end)


def pick(records: Iterable[Record], factor: str, kind: Kind = Kind.MINUTE) -> Record:
    (found,) = [record for record in records if record.factor == factor and record.kind is kind]
    return found


__all__ = [
    "DAY_MS", "HOUR_MS", "MIDNIGHT", "MINUTE_MS", "SLOT_MS", "T0", "WATER",
    "Kind", "Record", "Sample", "engine", "flue", "period_start", "pick", "rules", "sealed", "steady", "water",
]  # fmt: skip
