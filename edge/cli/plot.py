"""`hj212 data plot`: the trend of one factor in the terminal; what is not normal is drawn as the letter of its mark."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from edge.catalogue import language, text
from edge.cli.common import Stop, config_option, where
from edge.cli.moments import Time, in_order
from edge.cli.ranges import KINDS, SPAN_MS, known_factors, outlets_of, rows_of
from edge.clock import SystemClock
from edge.values import MINUTE_MS
from protocol.factors import factor as table_row
from protocol.times import BEIJING

NARROW, WIDE = (60, 12), (200, 40)
"""Columns and rows of a plot, at least and at most."""
APART_S = {"sample": 60.0, "minute": 90.0, "hour": 5_400.0, "day": 129_600.0}
"""Values further apart are not joined by a line."""


@dataclass(slots=True)
class Trend:
    """Values of a factor by Unix time, s; `marked`: those that are not N, by mark, at 0 where there is no value."""

    line: list[tuple[float, float | None]] = field(default_factory=list)
    marked: dict[str, list[tuple[float, float]]] = field(default_factory=dict)


def trend(rows: Iterable[dict[str, Any]]) -> Trend:
    """The trend of rows as `data export --json` gives them, samples or records; newest revision of each."""
    found = Trend()
    newest = {row.get("time") or row["start"]: row for row in rows}
    for moment, row in newest.items():
        at = datetime.fromisoformat(moment).timestamp()
        value = row["value"] if "value" in row else row["avg"]
        found.line.append((at, value))
        if row["mark"] != "N":
            found.marked.setdefault(row["mark"], []).append((at, 0.0 if value is None else value))
    return found


@click.command("plot", help=text("cli.verb-data-plot"))
@click.argument("factor")
@config_option
@click.option("--kind", type=click.Choice(KINDS), default="minute", show_default=True, help=text("cli.kind-option"))
@click.option("--from", "begin", type=Time(), help=text("cli.from-option"))
@click.option("--to", "end", type=Time(last=True), help=text("cli.to-option"))
@click.option("--outlet", help=text("cli.outlet-option"))
def plot(config: Path, factor: str, kind: str, begin: int | None, end: int | None, outlet: str | None) -> None:
    """One plot for each outlet that has the factor."""
    place = where(config)
    in_order(begin, end)
    known_factors(place, outlet, (factor,), kind == "sample")
    newest = place.query("newest")
    end = max(SystemClock().wall_ms(), (newest or 0) + 2 * MINUTE_MS) if end is None else end
    begin = end - SPAN_MS[kind] if begin is None else begin
    trends = {name: trend(rows_of(place, kind, name, begin, end, (factor,))) for name in outlets_of(place, outlet)}
    shown = {name: one for name, one in trends.items() if one.line}
    if not shown:
        raise Stop("cli.no-data-to-plot", factor=factor)
    for name, one in shown.items():
        click.echo(drawn(f"{name} {_title(factor)}", one, kind))


def _title(factor: str) -> str:
    row = table_row(factor)
    if row is None:
        return factor
    return f"{factor} {row.name_zh if language() == 'zh' else row.name_en} ({row.unit})"


def drawn(title: str, trend: Trend, kind: str) -> str:
    """The plot as text, as wide as the terminal."""
    import plotext

    size = shutil.get_terminal_size((100, 24))
    width = min(max(size.columns, NARROW[0]), WIDE[0])
    height = min(max(size.lines - 4, NARROW[1]), WIDE[1])
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plotsize(width, height)
    for piece in _pieces(trend.line, APART_S[kind]):
        plotext.plot([at for at, _ in piece], [value for _, value in piece], marker="braille")
    for mark, points in sorted(trend.marked.items()):
        plotext.scatter([at for at, _ in points], [value for _, value in points], marker=mark)
    times = [at for at, _ in trend.line]
    ticks = [times[0] + (times[-1] - times[0]) * step / 4 for step in range(5)]
    plotext.xticks(ticks, [_tick(at, kind) for at in ticks])
    plotext.title(title)
    return str(plotext.build()).rstrip("\n")


def _pieces(line: list[tuple[float, float | None]], apart_s: float) -> list[list[tuple[float, float]]]:
    """The line, broken where there is no value and where two lie further apart than `apart_s`."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for at, value in line:
        if value is None or (pieces[-1] and at - pieces[-1][-1][0] > apart_s):
            pieces.append([])
        if value is not None:
            pieces[-1].append((at, value))
    return [piece for piece in pieces if piece]


def _tick(at: float, kind: str) -> str:
    form = {"sample": "%H:%M:%S", "minute": "%m-%d %H:%M", "hour": "%m-%d %H:%M", "day": "%Y-%m-%d"}[kind]
    return datetime.fromtimestamp(at, BEIJING).strftime(form)
