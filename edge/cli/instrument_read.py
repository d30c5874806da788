"""`hj212 instrument list`, `read`, `watch`: what the site's instruments say now, through the daemon or without one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click

from config.site import Site
from drivers.bus import Caller
from drivers.decode import block
from drivers.errors import DriverError
from edge.catalogue import text
from edge.cli.common import (
    CHECK_FAILED,
    WRONG_USE,
    Stop,
    config_option,
    json_option,
    load_site,
    print_json,
    rounded,
    table,
    where,
)
from edge.cli.decode import show_guesses
from edge.cli.line_tools import borrowed, target
from edge.clock import SystemClock
from edge.control import client
from edge.control.server import Denied
from edge.tools import reading
from edge.tools.own_line import ToolBus
from protocol.times import iso_text

Ask = Callable[[str, dict[str, Any]], Any]
"""One of the daemon's questions about instruments, answered by it or here."""
_TIMEOUT_S = 120.0
"""The longest time-out of an instrument, with its retries."""


@click.command("list", help=text("tools.verb-instrument-list"))
@config_option
@json_option
def list_instruments(config: Path, as_json: bool) -> None:
    """Each instrument of the site, with its counters and last error."""
    with _asking(config) as ask:
        rows = ask("instrument-list", {})
    if as_json:
        print_json(rows)
        return
    titles = ("instrument", "line", "port", "driver", "address", "asked", "answered", "silent", "bad-crc")
    table([f"cli.col-{title}" for title in titles], [_listed(row) for row in rows])
    errors = [row for row in rows if row["last_error"] is not None]
    if errors:
        click.echo(f"{text('cli.col-last-error')}:")
    for row in errors:  # a sentence has no room in a column
        error = row["last_error"]
        click.echo(f"  {row['instrument']}  {error['time'][11:19]}  {text(error['code'], **error['params'])}")


def _listed(row: dict[str, Any]) -> list[Any]:
    port = text("tools.held" if row["held"] else "cli.open" if row["port_open"] else "cli.closed")
    counters = row["counters"] or {}
    numbers = [counters.get(name) for name in ("asked", "answered", "silent", "bad_crc")]
    return [row["instrument"], row["line"], port, row["model"] or row["driver"], row["address"], *numbers]


def _chosen(command: Any) -> Any:
    for option in (
        click.option("--count", type=click.IntRange(1, 125), default=2, show_default=True,
                     help=text("tools.read-count-option")),
        click.option("--function", type=click.Choice(("1", "2", "3", "4")), default="3", show_default=True,
                     help=text("tools.read-function-option")),
        click.option("--register", type=click.IntRange(0, 65535), help=text("tools.read-register-option")),
        click.option("--point", "factor", help=text("tools.read-point-option")),
        click.argument("name"),
    ):  # fmt: skip
        command = option(command)
    return command


@click.command("read", help=text("tools.verb-instrument-read"))
@_chosen
@config_option
@json_option
def read(name: str, config: Path, as_json: bool, **what: Any) -> None:
    """Points, or raw registers in every order."""
    with _asking(config) as ask:
        found = _read(ask, name, what)
    rows = found if isinstance(found, list) else [found]
    if as_json:
        print_json(found)
    elif what["register"] is None:
        titles = ("outlet", "factor", "value", "unit", "mark", "number", "raw", "round-trip", "error")
        table([f"tools.col-{title}" for title in titles], [_cells(row) for row in rows])
    elif rows[0]["error"] is None:
        click.echo(f"{rows[0]['raw'].upper()}   {_ms(rows[0])} ms")
        if int(what["function"]) > 2:
            show_guesses(block(bytes.fromhex(rows[0]["raw"]), what["register"]), what["count"] <= 4)
    else:
        click.echo(_error(rows[0]), err=True)
    if any(row["error"] is not None for row in rows):
        raise SystemExit(CHECK_FAILED)


@click.command("watch", help=text("tools.verb-instrument-watch"))
@_chosen
@config_option
@click.option("--every", "every_s", type=click.FloatRange(0.2), default=2.0, show_default=True,
              help=text("tools.watch-every-option"))  # fmt: skip
@click.option("--seconds", type=click.FloatRange(0.1), help=text("tools.sniff-seconds-option"))
@json_option
def watch(name: str, config: Path, every_s: float, seconds: float | None, as_json: bool, **what: Any) -> None:
    """A line for each reading, until Ctrl-C."""
    import json

    until = None if seconds is None else time.monotonic() + seconds
    with _asking(config) as ask, suppress(KeyboardInterrupt):
        while until is None or time.monotonic() < until:
            now = iso_text(SystemClock().wall_ms())
            found = _read(ask, name, what)
            for row in found if isinstance(found, list) else [found]:
                click.echo(json.dumps({"time": now, **row}, ensure_ascii=False) if as_json else _line(now, row))
            time.sleep(every_s)


def _read(ask: Ask, name: str, what: dict[str, Any]) -> Any:
    if what["register"] is None:
        return ask("instrument-read", {"instrument": name, "factor": what["factor"]})
    args = {"function": int(what["function"]), "register": what["register"], "count": what["count"]}
    return ask("instrument-registers", {"instrument": name, **args})


def _line(now: str, row: dict[str, Any]) -> str:
    if row["raw"] is None:
        return f"{now[11:19]}  {row.get('factor', '')}  {_error(row)}"
    if "factor" not in row:
        return f"{now[11:19]}  {row['raw'].upper()}  {_ms(row)} ms"
    value = "–" if row["value"] is None else rounded(row["value"], 6)
    raw = (row["raw"] or "").upper()
    error = f"  {_error(row)}" if row["error"] else ""
    seen = f"{value} {row['unit'] or ''} {row['mark'] or ''}  {raw}  {_ms(row)} ms"
    return f"{now[11:19]}  {row['factor']}  {seen}{error}"


def _cells(row: dict[str, Any]) -> list[Any]:
    numbers = [None if row[name] is None else rounded(row[name], 7) for name in ("value", "number")]
    raw = row["raw"].upper() if row["raw"] else None
    trip = None if row["round_trip_s"] is None else f"{_ms(row)} ms"
    error = _error(row) if row["error"] else None
    return [row["outlet"], row["factor"], numbers[0], row["unit"], row["mark"], numbers[1], raw, trip, error]


def _ms(row: dict[str, Any]) -> str:
    return f"{row['round_trip_s'] * 1000:.0f}"


def _error(row: dict[str, Any]) -> str:
    return text(row["error"]["code"], **row["error"]["params"])


@contextmanager
def _asking(config: Path) -> Iterator[Ask]:
    """The daemon, or what it would do, done here on a port of our own."""
    place = where(config)
    try:
        connection = client.Connection(client.candidates(place.socket, place.data_dir), _TIMEOUT_S)
    except client.NoDaemon:
        yield _here(config)
        return
    except client.Refused as error:
        raise Stop(error.code, CHECK_FAILED, **error.params) from error
    with connection:
        try:
            yield connection.ask
        except client.Refused as error:
            raise Stop(error.code, CHECK_FAILED, **error.params) from error
        except client.NoDaemon as error:
            raise Stop("tools.daemon-ended", CHECK_FAILED) from error


def _here(config: Path) -> Ask:
    return _Here(config, load_site(config)).ask


class _Here:
    """Answers as the daemon would, with a port of our own."""

    def __init__(self, config: Path, site: Site) -> None:
        self._config = config
        self._site = site

    def ask(self, what: str, args: dict[str, Any]) -> Any:
        """The answer; Stop for what is not in the site file."""
        if what == "instrument-list":
            empty = {"port_open": False, "held": False, "counters": None, "last_error": None}
            return [reading.listed(name, one) | empty for name, one in self._site.instruments.items()]
        try:
            name, one = reading.named(self._site, args["instrument"])
            if what == "instrument-registers":
                job = reading.registers_job(one, args["function"], args["register"], args["count"])
                return reading.registers_row(name, self._run(name, job))
            points = [
                (point, reading.point_job(name, one, point)) for point in reading.chosen(name, one, args["factor"])
            ]
            return [reading.point_row(name, one, point, self._run(name, job)) for point, job in points]
        except Denied as error:
            raise Stop(error.code, WRONG_USE, **error.params) from error

    def _run(self, name: str, job: reading.Job) -> reading.Taken | DriverError:
        one = self._site.instruments[name]
        line = self._site.lines[one.line]
        gap_s = (line.gap if one.gap is None else one.gap) / 1000
        caller = Caller(name, one.timeout / 1000, one.retries, gap_s)
        with (
            borrowed(target(self._config, one.line), "instrument read") as own,
            own.at(line.baud, line.format) as bus,
        ):
            try:
                return job(ToolBus(bus, caller, 1 + one.retries))
            except DriverError as error:
                return error
