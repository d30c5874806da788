"""`hj212 status` and `hj212 watch`: one page, once or live."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from edge.catalogue import language, text
from edge.cli.common import Where, config_option, json_option, print_json, table, where


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
    """The page on the screen."""
    click.echo(text("cli.status-head", **page["daemon"]))
    for warning in page["warnings"]:
        click.secho("! " + text(warning["code"], **warning["params"]), fg="yellow")
    table(
        (
            "cli.col-platform",
            "cli.col-outlet",
            "cli.col-mn",
            "cli.col-link",
            "cli.col-last-answer",
            "cli.col-outbox",
            "cli.col-answered",
            "cli.col-backfilled",
            "cli.col-rejected",
            "cli.col-lost",
        ),
        [
            (
                row["platform"],
                row["outlet"],
                row["mn"],
                _link(row),
                row["last_answer"],
                row["outbox"],
                row["answered"],
                row["backfilled"],
                row["rejected"],
                row["lost"],
            )
            for row in page["platforms"]
        ],
        text("cli.title-platforms"),
    )
    table(
        (
            "cli.col-outlet",
            "cli.col-factor",
            "cli.col-name",
            "cli.col-value",
            "cli.col-unit",
            "cli.col-mark",
            "cli.col-time",
            "cli.col-instrument",
        ),
        [
            (
                row["outlet"],
                row["factor"],
                row[f"name_{language()}"],
                _value(row),
                row["unit"],
                row["mark"],
                row["time"],
                row["instrument"],
            )
            for row in page["points"]
        ],
        text("cli.title-points"),
    )
    table(
        (
            "cli.col-line",
            "cli.col-port",
            "cli.col-instrument",
            "cli.col-asked",
            "cli.col-answered",
            "cli.col-silent",
            "cli.col-late",
            "cli.col-bad-crc",
            "cli.col-round-trip",
        ),
        [
            (
                row["line"],
                text("cli.open" if row["port_open"] else "cli.closed"),
                row["instrument"],
                row["asked"],
                row["answered"],
                row["silent"],
                row["late"],
                row["bad_crc"],
                _ms(row["round_trip_s"]),
            )
            for row in page["lines"]
        ],
        text("cli.title-lines"),
    )
    for event in page["events"][-5:]:
        click.echo(f"{event['time']}  {text(event['code'], **event['params'])}")


def _link(row: dict[str, Any]) -> str:
    return f"{row['peer']} {text('cli.connected')}" if row["connected"] else text("cli.disconnected")


def _ms(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds * 1000:.0f}"


def _value(row: dict[str, Any]) -> str | None:
    """The value, and m³/h beside L/s: flow meters show the former, the standard wants the latter."""
    if row["value"] is None:
        return None
    shown = f"{row['value']:.4g}"
    return f"{shown} ({row['value'] * 3.6:.4g} m³/h)" if row["unit"] == "L/s" else shown
