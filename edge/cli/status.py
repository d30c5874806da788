"""`hj212 status` and `hj212 watch`: one page, once or live."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from edge.catalogue import language, text
from edge.cli.common import Where, config_option, json_option, print_json, table, where, with_m3_h
from edge.cli.line_words import notes, round_trip
from edge.cli.links import why_down
from edge.cli.mark_words import in_words


@click.command(help=text("cli.verb-status"))
@config_option
@json_option
def status(config: Path, as_json: bool) -> None:
    """Ask the daemon for its page."""
    page = where(config).ask("status")
    if as_json:
        print_json(page)
    else:
        show(page)


@click.command(help=text("cli.verb-watch"))
@config_option
@click.option(
    "--every", type=click.FloatRange(0.5, 3600), default=2.0, show_default=True, help=text("cli.every-option")
)
def watch(config: Path, every: float) -> None:
    """The page again and again, until Ctrl-C."""
    place: Where = where(config)
    while True:
        page = place.ask("status")
        click.clear()
        show(page)
        time.sleep(every)


def show(page: dict[str, Any]) -> None:
    """The page on the screen; it fits 80 columns, and `--json` has everything."""
    head = page["daemon"]
    click.echo(text("cli.status-head", **{**head, "clock": text(f"cli.clock-{head['clock']}")}))
    for warning in page["warnings"]:
        click.secho("! " + text(warning["code"], **warning["params"]), fg="yellow")
    for alarm in page["alarms"]:
        click.secho("! " + text("cli.status-alarm", **_alarm(alarm)), fg="red")
    _platforms(page["platforms"])
    _points(page["points"])
    _lines(page["lines"])
    _infos(page["infos"])
    _marks(page["marks"])
    for event in page["events"][-5:]:
        click.echo(f"{_clock(event['time'])}  {text(event['code'], **event['params'])}")


def _platforms(rows: list[dict[str, Any]]) -> None:
    titles = ("platform", "link", "last-answer", "outbox", "backfilled", "rejected", "lost")
    numbers = ("outbox", "backfilled", "rejected", "lost")
    _table(
        "cli.title-platforms",
        titles,
        [
            (
                *(f"{row['platform']}/{row['outlet']}", _link(row), _clock(row["last_answer"])),
                *(row[name] for name in numbers),
            )
            for row in rows
        ],
    )
    for row in rows:
        if not row["connected"] and row["down_cause"]:
            click.echo(why_down(row))


def _points(rows: list[dict[str, Any]]) -> None:
    _table(
        "cli.title-points",
        ("outlet", "factor", "name", "value", "unit", "mark", "time"),
        [
            (
                *(row["outlet"], row["factor"], row[f"name_{language()}"]),
                *(_value(row), row["unit"], row["mark"], _clock(row["time"])),
            )
            for row in rows
        ],
    )
    for row in rows:
        if row["hour_total"] is not None:
            click.echo(
                text("cli.hour-total", outlet=row["outlet"], total=f"{row['hour_total']:.3f}", at=row["hour_total_at"])
            )


def _lines(rows: list[dict[str, Any]]) -> None:
    counters = ("asked", "answered", "silent", "late", "bad_crc")
    _table(
        "cli.title-lines",
        ("line", "port", "instrument", "asked", "answered", "silent", "late", "bad-crc", "round-trip"),
        [
            (
                *(row["line"], text("cli.open" if row["port_open"] else "cli.closed"), row["instrument"]),
                *(*(row[name] for name in counters), round_trip(row)),
            )
            for row in rows
        ],
    )
    for row in rows:
        for note in notes(row):
            click.echo(note)


def _infos(rows: list[dict[str, Any]]) -> None:
    _table(
        "cli.title-infos",
        ("owner", "factor", "info", "name", "value", "since"),
        [
            (
                *(row["owner"], row["factor"], row["info"], row[f"name_{language()}"]),
                *(row["error"] if row["value"] is None else row["value"], _day_and_clock(row["since"])),
            )
            for row in rows
            if row["declared"] or row["value"] != "0"
        ],
    )


def _table(caption: str, titles: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    if rows:
        table([f"cli.col-{title}" for title in titles], rows, text(caption), columns=80)


def _alarm(alarm: dict[str, Any]) -> dict[str, Any]:
    numbers = {key: "–" if alarm[key] is None else f"{alarm[key]:.6g}" for key in ("peak", "limit")}
    begin = alarm["begin"][:19].replace("T", " ")
    return {
        **alarm,
        **numbers,
        "begin": begin,
        "name": alarm[f"name_{language()}"],
        "alarm": text(f"edge.alarm.{alarm['kind']}"),
    }


def _marks(open_ones: list[dict[str, Any]]) -> None:
    """Marks by hand, maintenance and stops that hold now."""
    names = ("kind", "points", "mark", "label", "begin", "end", "operator")
    titles = ("kind", "points", "mark", "class", "from", "to", "operator")
    rows = [[each[name] for name in names] for each in map(in_words, open_ones)]
    if rows:
        table([f"marks.col-{title}" for title in titles], rows, text("marks.title-open"), columns=80)


def _clock(moment: str | None) -> str | None:
    """Time of day of an ISO time."""
    return None if moment is None else moment[11:19]


def _day_and_clock(moment: str | None) -> str | None:
    """Month, day and time of day of an ISO time: what stays as it is is seldom of today."""
    return None if moment is None else f"{moment[5:10]} {moment[11:16]}"


def _link(row: dict[str, Any]) -> str:
    return text("cli.connected" if row["connected"] else "cli.disconnected")


def _value(row: dict[str, Any]) -> str | None:
    """The value, of equipment its state, of a totaliser to the litre."""
    if row["value"] is None:
        return None
    if row["state"] is not None:
        return text(f"cli.state-{row['state']}")
    return f"{row['value']:.3f}" if row["unit"] == "m³" else with_m3_h(row["value"], row["unit"], 4)
