"""`hj212 data`: samples and records, on the screen and into files."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import click

from config.site import FLOW
from edge.catalogue import text
from edge.cli.common import FLOW_UNIT, Where, config_option, json_option, print_json, table, where, with_m3_h, writing
from edge.cli.explain import explain
from edge.cli.gaps import gaps
from edge.cli.moments import Time, in_order
from edge.cli.plot import plot
from edge.cli.ranges import KINDS, SPAN_MS, known_factors, outlets_of, rows_of
from edge.cli.replay import replay
from edge.clock import SystemClock
from edge.control.queries import LIMIT, TOTALS
from edge.values import DAY_MS, MINUTE_MS
from protocol.equipment import is_equipment, state_name

RESULTS_MS = 2 * DAY_MS
"""How far back `results` looks where no time is given."""


def range_options(command: Any) -> Any:
    """What to show, of where, from when to when."""
    for option in (
        click.option("--factor", "factors", multiple=True, help=text("cli.factor-option")),
        click.option("--outlet", help=text("cli.outlet-option")),
        click.option("--to", "end", type=Time(last=True), help=text("cli.to-option")),
        click.option("--from", "begin", type=Time(), help=text("cli.from-option")),
        click.option(
            "--kind", type=click.Choice(KINDS), default="minute", show_default=True, help=text("cli.kind-option")
        ),
    ):
        command = option(command)
    return command


@click.group("data", help=text("cli.verb-data"))
def data_group() -> None:
    """Values."""


for _command in (replay, gaps, plot, explain):
    data_group.add_command(_command)


@data_group.command(help=text("cli.verb-data-show"))
@config_option
@range_options
@click.option("--limit", type=click.IntRange(1, LIMIT), default=200, show_default=True, help=text("cli.limit-option"))
@json_option
def show(
    config: Path,
    kind: str,
    begin: int | None,
    end: int | None,
    outlet: str | None,
    factors: tuple[str, ...],
    limit: int,
    as_json: bool,
) -> None:
    """The newest rows of the range."""
    place = where(config)
    in_order(begin, end)
    known_factors(place, outlet, factors, kind == "sample")
    end = end if end is not None else _now(place)
    begin = begin if begin is not None else end - SPAN_MS[kind]
    rows = [row for each in outlets_of(place, outlet) for row in rows_of(place, kind, each, begin, end, factors)]
    rows, count = sorted(rows, key=lambda row: row["time" if kind == "sample" else "start"])[-limit:], len(rows)
    if as_json:
        print_json(rows)
        return
    if kind == "sample":
        titles = (
            "cli.col-time", "cli.col-outlet", "cli.col-factor", "cli.col-value", "cli.col-mark", "marks.col-manual",
        )  # fmt: skip
        table(titles, [_sample_row(row) for row in rows], text("cli.title-samples"))
    else:
        columns = (
            "cli.col-start", "cli.col-outlet", "cli.col-factor", "cli.col-min", "cli.col-avg", "cli.col-max",
            "cli.col-zs", "cli.col-cou", "cli.col-valid", "cli.col-mark", "marks.col-revision",
        )  # fmt: skip
        counted = any("total" in row for row in rows)
        titled = (*columns, "cli.col-total") if counted else columns
        table(titled, [_record_row(row, counted) for row in rows], text("cli.title-records"))
    _say_cut(len(rows), count)


@data_group.command(help=text("cli.verb-data-results"))
@config_option
@click.option("--from", "begin", type=Time(), help=text("cli.from-option"))
@click.option("--to", "end", type=Time(last=True), help=text("cli.to-option"))
@click.option("--outlet", help=text("cli.outlet-option"))
@click.option("--factor", "factors", multiple=True, help=text("cli.factor-option"))
@click.option("--limit", type=click.IntRange(1, LIMIT), default=200, show_default=True, help=text("cli.limit-option"))
@json_option
def results(
    config: Path,
    begin: int | None,
    end: int | None,
    outlet: str | None,
    factors: tuple[str, ...],
    limit: int,
    as_json: bool,
) -> None:
    """The newest results of batch analyzers of the range, by sample time."""
    place = where(config)
    in_order(begin, end)
    known_factors(place, outlet, factors)
    end = end if end is not None else _now(place)
    args = {"from": begin if begin is not None else end - RESULTS_MS, "to": end, "factors": list(factors)}
    rows = [row for each in outlets_of(place, outlet) for row in place.query("results", {**args, "outlet": each})]
    rows, count = sorted(rows, key=lambda row: row["sampled"])[-limit:], len(rows)
    if as_json:
        print_json(rows)
        return
    columns = ("sampled", "completed", "outlet", "factor", "value", "mark", "result-kind")
    shown = [
        (
            *(row[key] for key in ("sampled", "completed", "outlet", "factor")),
            None if row["value"] is None else f"{row['value']:.6g}",
            row["mark"],
            text(f"cli.result-{row['kind']}"),
        )
        for row in rows
    ]
    table([f"cli.col-{column}" for column in columns], shown, text("cli.title-results"))
    _say_cut(len(rows), count)


def _say_cut(shown: int, count: int) -> None:
    """That there are more rows than are shown."""
    if shown < count:
        click.echo(text("cli.cut", shown=shown, count=count))


@data_group.command(help=text("cli.verb-data-export"))
@config_option
@range_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "json"]),
    default="csv",
    show_default=True,
    help=text("cli.format-option"),
)
@click.option("--json", "as_json", is_flag=True, help=text("cli.json-option"))
@click.option("-o", "--output", default="-", help=text("cli.output-option"))
def export(
    config: Path,
    kind: str,
    begin: int | None,
    end: int | None,
    outlet: str | None,
    factors: tuple[str, ...],
    form: str,
    as_json: bool,
    output: str,
) -> None:
    """All rows of the range; JSON is one object a line."""
    place = where(config)
    in_order(begin, end)
    known_factors(place, outlet, factors, kind == "sample")
    end = end if end is not None else _now(place)
    begin = begin if begin is not None else end - SPAN_MS[kind]
    rows = (row for each in outlets_of(place, outlet) for row in rows_of(place, kind, each, begin, end, factors))
    if output == "-":
        _write(sys.stdout, rows, as_json or form == "json")
        return
    with writing(output), Path(output).open("w", encoding="utf-8", newline="") as stream:
        count = _write(stream, rows, as_json or form == "json")
    click.echo(text("cli.exported", count=count, file=output), err=True)


def _write(stream: TextIO, rows: Iterator[dict[str, Any]], as_json: bool) -> int:
    count = 0
    writer: Any = None
    for row in rows:
        count += 1
        if as_json:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
            continue
        if writer is None:
            # the flow of a totaliser may come later than the first row
            columns = dict.fromkeys((*row, *TOTALS)) if "avg" in row else dict.fromkeys(row)
            writer = csv.DictWriter(stream, list(columns), lineterminator="\n")
            writer.writeheader()
        writer.writerow(row)
    return count


def _now(place: Where) -> int:
    """The machine's clock, or what is behind the newest record: a demo's clock is not the machine's."""
    newest = place.query("newest")
    return max(SystemClock().wall_ms(), (newest or 0) + 2 * MINUTE_MS)


def _sample_row(row: dict[str, Any]) -> list[Any]:
    """Of equipment the state's name stands beside its code."""
    state = state_name(row["factor"], row["value"])
    value = row["value"]
    if state is not None:
        value = f"{row['value']:g} {text(f'cli.state-{state}')}"
    elif row["factor"] == FLOW and value is not None:
        value = with_m3_h(value, FLOW_UNIT)
    return [row["time"], row["outlet"], row["factor"], value, row["mark"], row["manual"]]


def _record_row(row: dict[str, Any], counted: bool) -> list[Any]:
    """`counted`: with the totaliser's reading at the period's end."""
    units = {"avg": FLOW_UNIT} if row["factor"] == FLOW else {}
    numbers = [
        None if row[key] is None else with_m3_h(row[key], units.get(key))
        for key in ("min", "avg", "max", "zs_avg", "cou")
    ]
    if numbers[-1] is not None and is_equipment(row["factor"]):
        numbers[-1] += " h"
    total = [f"{row['total']:.3f}" if "total" in row else None] if counted else []
    marked = (row["count"], row["mark"], row["revision"])
    return [row["start"], row["outlet"], row["factor"], *numbers, *marked, *total]
