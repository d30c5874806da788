"""`hj212 data replay SAMPLES.csv -c site.toml`: samples of a file through the measurement rules, without
lines or daemon.

    time,outlet,factor,value,mark
    2025-11-22T08:00:00+08:00,ww1,w01018,35.2,N

The file may be denser or sparser than the 5 s grid and in any order; a sample stands for the time to the next
one of its factor, as the file is spaced. The value of equipment (`SB1`) is its state code. Records are printed
as their periods end; a last period that is still open is not.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from pathlib import Path
from statistics import median_low
from typing import IO, Any

import click

from config.site import FLOW, Site
from edge.catalogue import text
from edge.cli.common import FLOW_UNIT, Stop, config_option, json_option, table, with_m3_h
from edge.measure.derived import DerivedPoints
from edge.measure.engine import Engine
from edge.measure.rules import FAILED_POLLS, FactorRule, decimals_of, factor_rule, factor_rules
from edge.measure.wire import (
    ZS_STATISTICS,
    Absent,
    record_wire,
    wire_code,
    wire_fields,
    with_largest,
    without_converted,
)
from edge.values import MINUTE_MS, SLOT_MS, Record, Sample, period_start
from protocol.equipment import is_equipment
from protocol.factors import factor as table_row
from protocol.factors import nearest, wire_decimals
from protocol.marks import MARKS
from protocol.times import iso_text

COLUMNS = ("time", "outlet", "factor", "value", "mark")
MANUAL = "manual"
"""A column that may be there, as `data export --kind sample` writes it: the mark by hand that counts instead."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


class SamplesError(Exception):
    """The file of samples must change: `code` and `params` name line, column, what was expected and what
    came.
    """

    def __init__(self, code: str, **params: Any) -> None:
        super().__init__(code, params)
        self.code = code
        self.params = params


@dataclass(frozen=True, slots=True)
class OutletPlan:
    """What the site and the file together say about an outlet."""

    rules: Mapping[str, FactorRule]
    decimals: Mapping[str, int]
    absent: Absent
    last: dict[tuple[int, str], float] = field(default_factory=dict)
    """The last mean of each kind and factor, for platforms that want it where nothing came."""

    def wire(self, record: Record, engine: Engine, is_sentinel: bool) -> dict[str, str]:
        """The record's fields as edition 2017 sends them."""
        if is_equipment(record.factor):
            return dict(wire_fields(record, 0, self.absent, None))
        key = (record.kind, record.factor)
        code = wire_code(record.factor)
        decimals = wire_decimals(code, self.decimals.get(code))
        wire = record_wire(record, decimals, self.absent, self.last.get(key))
        if is_sentinel:
            wire = with_largest(wire, record.factor, ZS_STATISTICS)
        elif record.avg is None and not engine.has_converted(record.factor):
            wire = without_converted(wire)
        if record.avg is not None:
            self.last[key] = record.avg
        return dict(wire.fields())


@click.command(help=text("measure.cli.replay"))
@click.argument("samples", type=click.File("r", encoding="utf-8-sig"), metavar="SAMPLES.csv|-")
@config_option
@json_option
def replay(samples: IO[str], config: Path, as_json: bool) -> None:
    """Feed samples through the measurement rules and print each record they seal."""
    site = _site(config)
    try:
        found = with_derived(site, read_samples(samples, site))
    except SamplesError as error:
        raise Stop(error.code, **error.params) from error
    plans = {name: plan(site, name, found) for name in _in_use(found)}
    sealed = seal(site, plans, found, _tell)
    if as_json:
        for record, wire in sealed:
            click.echo(json.dumps(as_object(record, wire), ensure_ascii=False))
    else:
        table([f"measure.column.{name}" for name in _TABLE], (_row(*pair) for pair in sealed))


def _tell(code: str, params: dict[str, Any]) -> None:
    click.echo(text(code, **params), err=True)


def _site(path: Path) -> Site:
    from config.load import load
    from config.problem import ConfigErrors

    try:
        return load(path)
    except ConfigErrors as error:
        for problem in error.problems:
            if not problem.warning:
                place = f"{path}:{problem.line or 1}: {problem.key}"
                click.echo(f"{place}: {text(problem.code, **problem.params)}", err=True)
        raise Stop(error.code, **error.params) from error


def _in_use(samples: Iterable[Sample]) -> list[str]:
    return list(dict.fromkeys(sample.outlet for sample in samples))


# the file


def read_samples(lines: Iterable[str], site: Site) -> list[Sample]:
    """The samples of a file by time; raises SamplesError with line, column, expected, came."""
    reader = csv.reader(lines)
    try:
        header = [name.strip() for name in next(reader, [])]
        missing = [name for name in COLUMNS if name not in header]
        if missing:
            raise SamplesError(
                "measure.csv.header", expected=",".join(COLUMNS), came=",".join(header), missing=missing[0]
            )
        places = {name: header.index(name) for name in (*COLUMNS, MANUAL) if name in header}
        known = {outlet: set(factor_rules(site, outlet)) for outlet in site.outlets}
        rows = (row for row in reader if any(cell.strip() for cell in row))
        samples = [_sample(_Row(reader.line_num, row, places), known) for row in rows]
    except (csv.Error, UnicodeDecodeError) as error:
        raise SamplesError("measure.csv.unreadable", line=reader.line_num + 1, why=str(error)) from error
    return sorted(samples, key=lambda sample: sample.time)


def with_derived(site: Site, samples: list[Sample]) -> list[Sample]:
    """The samples, and those of derived points for which the file has none of its own, by time."""
    return sorted([*samples, *DerivedPoints(site).accept(samples)], key=lambda sample: sample.time)


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    cells: list[str]
    places: Mapping[str, int]

    def cell(self, column: str) -> str:
        place = self.places.get(column, len(self.cells))
        return self.cells[place].strip() if place < len(self.cells) else ""

    def wrong(self, column: str, expected: str) -> SamplesError:
        return SamplesError(
            "measure.csv.cell",
            line=self.line,
            column=column,
            expected=expected,
            came=self.cell(column) or "–",
        )


def _sample(row: _Row, known: Mapping[str, set[str]]) -> Sample:
    outlet, factor, mark = row.cell("outlet"), row.cell("factor"), row.cell("mark")
    if outlet not in known:
        raise row.wrong("outlet", ", ".join(known) or "–")
    if table_row(factor) is None and factor not in known[outlet] and not is_equipment(factor):
        raise row.wrong("factor", text("measure.csv.factor", nearest=nearest(factor) or "w01018"))
    for column in ("mark", MANUAL) if row.cell(MANUAL) else ("mark",):
        if row.cell(column) not in MARKS:
            raise row.wrong(column, " ".join(MARKS))
    return Sample(_time(row), outlet, factor, _value(row), row.cell(MANUAL) or mark)


def _time(row: _Row) -> int:
    try:
        when = datetime.fromisoformat(row.cell("time"))
        if when.tzinfo is None:
            raise ValueError
        return (when - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        raise row.wrong("time", text("measure.csv.time")) from None


def _value(row: _Row) -> float | None:
    cell = row.cell("value")
    if not cell:
        return None
    value = float(cell) if _NUMBER.fullmatch(cell) else float("inf")
    if value in (float("inf"), float("-inf")):
        raise row.wrong("value", text("measure.csv.number"))
    return value


# the rules


def plan(site: Site, outlet: str, samples: Iterable[Sample]) -> OutletPlan:
    """Rules and decimals of an outlet's factors: those of its points, then those that only the file has."""
    times: dict[str, set[int]] = {}
    for sample in samples:
        if sample.outlet == outlet:
            times.setdefault(sample.factor, set()).add(sample.time)
    rules: dict[str, FactorRule] = dict(factor_rules(site, outlet))
    for name in [*rules, *(name for name in times if name not in rules)]:
        spacing = _spacing(times.get(name, set()))
        every = SLOT_MS if spacing <= MINUTE_MS else spacing
        rules[name] = _spaced(rules.get(name, factor_rule(name, None, every)), spacing)
    decimals = decimals_of(site, outlet)
    serving = [platform for platform in site.platforms.values() if outlet in platform.outlets]
    return OutletPlan(rules, decimals, serving[0].absent if serving else "zero")


def _spaced(rule: FactorRule, spacing: int) -> FactorRule:
    """A rule for samples that stand so far apart in the file; no sample times stand there, so that none is assigned."""
    total = rule.total
    if total is not None:
        total = replace(total, silence_ms=max(total.silence_ms, FAILED_POLLS * spacing))
    return replace(rule, slot_ms=MINUTE_MS if rule.holds_ms else min(spacing, MINUTE_MS), total=total, assigned=None)


def _spacing(times: set[int]) -> int:
    """How far apart a factor's samples usually are, ms; up to a minute a whole part of it, whatever the
    jitter.
    """
    ordered = sorted(times)
    if len(ordered) < 2:
        return SLOT_MS
    usual = median_low(later - earlier for earlier, later in pairwise(ordered))
    return usual if usual > MINUTE_MS else MINUTE_MS // max(1, round(MINUTE_MS / usual))


def seal(
    site: Site,
    plans: Mapping[str, OutletPlan],
    samples: list[Sample],
    tell: Callable[[str, dict[str, Any]], None] = lambda _code, _params: None,
) -> Iterator[tuple[Record, dict[str, str]]]:
    """The records that the samples seal, in order of time, with their fields on the wire; minutes without any sample
    have none. `tell` gets what happened to totalisers.
    """
    if not samples:
        return
    engines = [Engine(site.outlets[name], name, plan.rules) for name, plan in plans.items()]
    minutes: dict[int, list[Sample]] = {}
    for sample in samples:
        minutes.setdefault(period_start(sample.time, MINUTE_MS), []).append(sample)
    for start, group in minutes.items():
        for engine in engines:
            yield from _worded(engine, plans[engine.name], engine.tick(start, complete_until_ms=start))
            _tell_all(engine, tell)
            engine.add(group)
    covered = max(sample.time + plans[sample.outlet].rules[sample.factor].slot_ms for sample in samples)
    for engine in engines:
        yield from _worded(engine, plans[engine.name], engine.tick(max(minutes), complete_until_ms=covered))
        _tell_all(engine, tell)


def _tell_all(engine: Engine, tell: Callable[[str, dict[str, Any]], None]) -> None:
    for code, params in engine.happened():
        tell(code, params)


def _worded(engine: Engine, plan: OutletPlan, records: list[Record]) -> Iterator[tuple[Record, dict[str, str]]]:
    for _, label in groupby(records, key=lambda record: (record.kind, record.start)):
        period = list(label)
        sentinels = engine.sentinels(period)
        for record in period:
            yield record, plan.wire(record, engine, record.factor in sentinels)


# the output

_TABLE = ("start", "kind", "outlet", "factor", "min", "avg", "max", "zs_avg", "cou", "count", "mark", "wire")


def as_object(record: Record, wire: Mapping[str, str]) -> dict[str, Any]:
    """One record as `--json` prints it."""
    of_total = (
        {"total": record.total, "total_at": iso_text(record.total_at), "caught_up": record.caught_up}
        if record.total_at is not None
        else {}
    )
    return {
        "outlet": record.outlet,
        "kind": record.kind.text,
        "factor": record.factor,
        "start": iso_text(record.start),
        "revision": record.revision,
        "min": record.min,
        "avg": record.avg,
        "max": record.max,
        "zs_min": record.zs_min,
        "zs_avg": record.zs_avg,
        "zs_max": record.zs_max,
        "cou": record.cou,
        "count": record.count,
        "mark": record.mark,
        **of_total,
        "wire": dict(wire),
    }


def _row(record: Record, wire: Mapping[str, str]) -> list[Any]:
    shown = {**as_object(record, wire), "kind": text(f"measure.kind.{record.kind.text}")}
    shown["start"] = iso_text(record.start).replace("T", " ").removesuffix("+08:00")
    shown["wire"] = ",".join(f"{name}={value}" for name, value in wire.items())
    units = {"avg": FLOW_UNIT} if record.factor == FLOW else {}
    cells = {name: with_m3_h(cell, units.get(name)) for name, cell in shown.items() if isinstance(cell, float)}
    return [cells.get(name, shown[name]) for name in _TABLE]
