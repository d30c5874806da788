"""`hj212 events`: alarms with their beginning, end and peak; from the daemon, or from the store without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edge.catalogue import language, text
from edge.cli.common import config_option, json_option, print_json, table, where
from edge.control.queries import LIMIT

_COLUMNS = ("begin", "end", "outlet", "factor", "name", "alarm", "peak", "limit", "unit", "action")


@click.command(help=text("cli.verb-events"))
@config_option
@json_option
@click.option("--open", "only_open", is_flag=True, help=text("cli.open-option"))
@click.option("--limit", type=click.IntRange(1, LIMIT), default=50, show_default=True, help=text("cli.limit-option"))
def events(config: Path, as_json: bool, only_open: bool, limit: int) -> None:
    """The newest alarms, oldest first."""
    found = where(config).query("events", {"limit": limit, "open": only_open})
    if as_json:
        print_json(found)
    elif not found:
        click.echo(text("cli.no-events"))
    else:
        table([f"cli.col-{name}" for name in _COLUMNS], [_row(alarm) for alarm in found], text("cli.title-events"))


def _row(alarm: dict[str, Any]) -> list[Any]:
    begin, end = (None if alarm[key] is None else alarm[key][:19].replace("T", " ") for key in ("begin", "end"))
    peak, limit = (None if alarm[key] is None else f"{alarm[key]:.6g}" for key in ("peak", "limit"))
    named = alarm["outlet"], alarm["factor"], alarm[f"name_{language()}"], text(f"edge.alarm.{alarm['kind']}")
    return [begin, end or text("cli.still-open"), *named, peak, limit, alarm["unit"], alarm["action"]]
