"""`hj212 data`: samples and records, on the screen and into files."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import click

from config.site import FLOW
from edge.catalogue import text
from edge.cli.common import FLOW_UNIT, Stop, Where, config_option, json_option, print_json, table, where, with_m3_h
from edge.cli.replay import replay
from edge.clock import SystemClock
from edge.control.queries import LIMIT, TOTALS
from edge.values import DAY_MS, HOUR_MS, MINUTE_MS
from protocol.times import parse_time

KINDS = ("sample", "minute", "hour", "day")
SPAN_MS = {"sample": 600_000, "minute": HOUR_MS, "hour": DAY_MS, "day": 31 * DAY_MS}
"""How far back `show` looks where no time is given."""
RESULTS_MS = 2 * DAY_MS
"""The same for `results`."""
STEP_MS = {"sample": HOUR_MS, "minute": DAY_MS, "hour": 31 * DAY_MS, "day": 366 * DAY_MS}
"""An export reads this much at once, so that a year does not fill memory."""


_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d)(?::(\d\d)(?::(\d\d))?)?)?|(\d{8}(?:\d\d){0,3})")
_FIRST, _LAST = "000000", "235959"


class Time(click.ParamType[int]):
    """`2026-11-22`, `2026-11-22T08:00`, `2026-11-22 08:00:00`: Beijing time; UTC milliseconds.

    `last`: of what is left out the last moment is meant, so that `--to 2026-11-22` takes in that whole day.
    """

    name = "time"

    def __init__(self, last: bool = False) -> None:
        self._fill = _LAST if last else _FIRST
        self._ms = 999 if last else 0

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        matched = _TIME.fullmatch(value.strip())
        digits = "".join(part or "" for part in matched.groups()) if matched else ""
        try:
            return parse_time(digits + self._fill[len(digits) - 8 :]) + self._ms
        except ValueError:
            self.fail(text("cli.bad-time", option=param.name if param else "", got=value), param, ctx)


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


data_group.add_command(replay)


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
    end = end if end is not None else _now(place)
    begin = begin if begin is not None else end - SPAN_MS[kind]
    rows = [row for each in _outlets(place, outlet) for row in _rows(place, kind, each, begin, end, factors)]
    rows = sorted(rows, key=lambda row: row["time" if kind == "sample" else "start"])[-limit:]
    if as_json:
        print_json(rows)
    elif kind == "sample":
        titles = ("cli.col-time", "cli.col-outlet", "cli.col-factor", "cli.col-value", "cli.col-mark")
        table(titles, [_sample_row(row) for row in rows], text("cli.title-samples"))
    else:
        columns = (
            "cli.col-start", "cli.col-outlet", "cli.col-factor", "cli.col-min", "cli.col-avg", "cli.col-max",
            "cli.col-zs", "cli.col-cou", "cli.col-valid", "cli.col-mark",
        )  # fmt: skip
        counted = any("total" in row for row in rows)
        titled = (*columns, "cli.col-total") if counted else columns
        table(titled, [_record_row(row, counted) for row in rows], text("cli.title-records"))


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
    end = end if end is not None else _now(place)
    args = {"from": begin if begin is not None else end - RESULTS_MS, "to": end, "factors": list(factors)}
    rows = [row for each in _outlets(place, outlet) for row in place.query("results", {**args, "outlet": each})]
    rows = sorted(rows, key=lambda row: row["sampled"])[-limit:]
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
    end = end if end is not None else _now(place)
    begin = begin if begin is not None else end - SPAN_MS[kind]
    rows = (row for each in _outlets(place, outlet) for row in _rows(place, kind, each, begin, end, factors))
    if output == "-":
        _write(sys.stdout, rows, as_json or form == "json")
        return
    with Path(output).open("w", encoding="utf-8", newline="") as stream:
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


def _rows(
    place: Where, kind: str, outlet: str, begin: int, end: int, factors: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    """Rows of one outlet, oldest first, a step at a time; a range may reach far beyond what there is."""
    there_is = place.query("sample_span" if kind == "sample" else "span")
    if there_is is None:
        return
    begin, end = max(begin, there_is[0]), min(end, there_is[1])
    while begin <= end:
        until = min(end, begin + STEP_MS[kind] - 1)
        args = {"kind": kind, "outlet": outlet, "from": begin, "to": until, "factors": list(factors)}
        if kind == "sample":
            yield from place.query("samples", args)
        else:
            yield from _pages(place, args)
        begin = until + 1


def _pages(place: Where, args: dict[str, Any]) -> Iterator[dict[str, Any]]:
    while True:
        page = place.query("records", args)
        yield from page["records"]
        if page["next"] is None:
            return
        args = {**args, "after": page["next"]}


def _outlets(place: Where, wanted: str | None) -> list[str]:
    known = place.outlets or tuple(dict.fromkeys(point["outlet"] for point in place.ask("status")["points"]))
    if wanted is None:
        return list(known)
    if wanted not in known:
        raise Stop("cli.unknown-outlet", outlet=wanted, known=", ".join(known))
    return [wanted]


def _now(place: Where) -> int:
    """The machine's clock, or what is behind the newest record: a demo's clock is not the machine's."""
    newest = place.query("newest")
    return max(SystemClock().wall_ms(), (newest or 0) + 2 * MINUTE_MS)


def _sample_row(row: dict[str, Any]) -> list[Any]:
    value = row["value"] if row["value"] is None or row["factor"] != FLOW else with_m3_h(row["value"], FLOW_UNIT)
    return [row["time"], row["outlet"], row["factor"], value, row["mark"]]


def _record_row(row: dict[str, Any], counted: bool) -> list[Any]:
    """`counted`: with the totaliser's reading at the period's end."""
    units = {"avg": FLOW_UNIT} if row["factor"] == FLOW else {}
    numbers = [
        None if row[key] is None else with_m3_h(row[key], units.get(key))
        for key in ("min", "avg", "max", "zs_avg", "cou")
    ]
    total = [f"{row['total']:.3f}" if "total" in row else None] if counted else []
    return [row["start"], row["outlet"], row["factor"], *numbers, row["count"], row["mark"], *total]
