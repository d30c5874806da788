"""`hj212 data gaps`: each missing or invalid period with its cause."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from edge.catalogue import text
from edge.cli.common import Where, config_option, json_option, print_json, table, where
from edge.cli.moments import Time, in_order
from edge.cli.ranges import STEP_MS, outlets_of, rows_of
from edge.clock import SystemClock
from edge.control import client
from edge.gaps import Gap, Label, Undelivered, joined, missing, undelivered
from edge.store.journal import Entry
from edge.values import DAY_MS, Kind, period_start
from protocol.times import iso_text

SPAN_MS = {"minute": DAY_MS, "hour": 7 * DAY_MS, "day": 31 * DAY_MS}
"""How far back is looked where no time is given."""
_LATE_MS = 10_000
"""A period may be sealed so long after its end."""


@click.command("gaps", help=text("cli.verb-data-gaps"))
@config_option
@click.option(
    "--kind",
    type=click.Choice(list(SPAN_MS)),
    default="hour",
    show_default=True,
    help=text("cli.kind-option"),
)
@click.option("--from", "begin", type=Time(), help=text("cli.from-option"))
@click.option("--to", "end", type=Time(last=True), help=text("cli.to-option"))
@click.option("--outlet", help=text("cli.outlet-option"))
@json_option
def gaps(config: Path, kind: str, begin: int | None, end: int | None, outlet: str | None, as_json: bool) -> None:
    """Missing periods, invalid ones, and those that a platform has not answered for."""
    place = where(config)
    in_order(begin, end)
    now_ms = now_of(place)
    until = min(now_ms - _LATE_MS - Kind[kind.upper()].ms + 1, now_ms if end is None else end + 1)
    since = now_ms - SPAN_MS[kind] if begin is None else begin
    found = ((each, gap) for each in outlets_of(place, outlet) for gap in _gaps(place, each, kind, since, until))
    rows = [_shown(each, kind, gap) for each, gap in found]
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo(text("cli.no-gaps"))
        return
    titles = ("start", "end", "outlet", "factor", "count", "mark", "platform", "cause")
    keys = ("start", "end", "outlet", "factor", "periods", "mark", "platform")
    cells = [[*(_cell(row, key) for key in keys), text(f"cli.cause-{row['cause']}")] for row in rows]
    table([f"cli.col-{title}" for title in titles], cells, text("cli.title-gaps"))


def _cell(row: dict[str, Any], key: str) -> Any:
    return row[key].removesuffix("+08:00").replace("T", " ") if key in ("start", "end") else row[key]


def now_of(place: Where) -> int:
    """The daemon's time, which a demo sets itself; the machine's where no daemon answers."""
    try:
        page = client.ask(client.candidates(place.socket, place.data_dir), "status")
    except (client.NoDaemon, client.Refused):
        return SystemClock().wall_ms()
    return _ms(page["daemon"]["now"])


def _gaps(place: Where, outlet: str, kind: str, since: int, until: int) -> Iterator[Gap]:
    """The gaps of one outlet; before its first record there was no logger."""
    first = place.query("span")
    if first is None:
        return
    length = Kind[kind.upper()]
    since = max(since, period_start(first[0], length.ms))
    history = [Entry(**{**row, "hash": bytes.fromhex(row["hash"])}) for row in place.query("history", {"from": since})]
    stops = _stops(place, outlet, since, until)
    found: list[Gap] = []
    begin = period_start(since, DAY_MS)
    while begin < until:
        end = begin + STEP_MS[kind]
        span = max(begin, since), min(end, until)
        found += missing(length, span, _labels(place, outlet, kind, span), history, stops)
        begin = end
    waiting = place.query("undelivered", {"outlet": outlet, "kind": kind, "from": since, "to": until - 1})
    yield from joined([*found, *undelivered(Undelivered(**row) for row in waiting)])


def _stops(place: Where, outlet: str, since: int, until: int) -> list[tuple[int, int | None]]:
    """When the outlet's source stood still."""
    found = place.query("marks", {"from": since, "to": until})
    return [
        (_ms(mark["from"]), None if mark["to"] is None else _ms(mark["to"]))
        for mark in found
        if mark["kind"] == "stop" and outlet in mark["points"]
    ]


def _ms(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000)


def _labels(place: Where, outlet: str, kind: str, span: tuple[int, int]) -> Iterator[Label]:
    """The periods that have records: of each factor the newest revision."""
    marks: dict[int, dict[str, tuple[int, str]]] = {}
    for row in rows_of(place, kind, outlet, span[0], span[1] - 1, ()):
        start = _ms(row["start"])
        known = marks.setdefault(start, {}).get(row["factor"])
        if known is None or known[0] < row["revision"]:
            marks[start][row["factor"]] = row["revision"], row["mark"]
    for start, found in marks.items():
        yield Label(start, {factor: mark for factor, (_, mark) in found.items()})


def _shown(outlet: str, kind: str, gap: Gap) -> dict[str, Any]:
    return {
        "outlet": outlet,
        "kind": kind,
        "factor": gap.factor,
        "start": iso_text(gap.start),
        "end": iso_text(gap.end),
        "periods": gap.periods,
        "cause": gap.cause,
        "mark": gap.mark,
        "platform": gap.platform,
    }
