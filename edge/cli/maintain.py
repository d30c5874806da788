"""`hj212 maintain` and `hj212 source`: somebody works at the instruments; the source stands still."""

from __future__ import annotations

from pathlib import Path

import click

from edge.catalogue import text
from edge.cli.common import F, config_option, json_option, where
from edge.cli.moments import Time
from edge.cli.ordering import by_option, order, say

AT = click.option("--at", "at_ms", type=Time(), help=text("marks.at-option"))


@click.group("maintain", help=text("marks.verb-maintain"))
def maintain_group() -> None:
    """Maintenance."""


def _instruments(command: F) -> F:
    return click.option("--instrument", "instruments", multiple=True, help=text("marks.instrument-option"))(command)


@maintain_group.command("start", help=text("marks.verb-maintain-start"))
@config_option
@_instruments
@AT
@click.option("--reason", default="", help=text("marks.reason-option"))
@by_option
@json_option
def start(
    config: Path, instruments: tuple[str, ...], at_ms: int | None, reason: str, by: str | None, as_json: bool
) -> None:
    """All points of the instruments bear M from now on."""
    args = {"do": "start", "instruments": list(instruments), "at": at_ms, "reason": reason, "by": by}
    say(order(where(config), "maintain", args), as_json, "marks.maintenance-on", "marks.nothing")


@maintain_group.command("end", help=text("marks.verb-maintain-end"))
@config_option
@_instruments
@AT
@click.option("--reason", default="", help=text("marks.reason-option"))
@by_option
@json_option
def end(
    config: Path, instruments: tuple[str, ...], at_ms: int | None, reason: str, by: str | None, as_json: bool
) -> None:
    """The maintenance is over."""
    args = {"do": "end", "instruments": list(instruments), "at": at_ms, "reason": reason, "by": by}
    say(order(where(config), "maintain", args), as_json, "marks.maintenance-off", "marks.nothing")


@click.group("source", help=text("marks.verb-source"))
def source_group() -> None:
    """The source of an outlet."""


def _outlets(command: F) -> F:
    return click.option("--outlet", "outlets", multiple=True, help=text("marks.outlet-option"))(command)


@source_group.command("stop", help=text("marks.verb-source-stop"))
@config_option
@_outlets
@AT
@click.option("--to", "to_ms", type=Time(), help=text("marks.to-option"))
@click.option("--reason", required=True, help=text("marks.reason-option"))
@by_option
@json_option
def stop(
    config: Path,
    outlets: tuple[str, ...],
    at_ms: int | None,
    to_ms: int | None,
    reason: str,
    by: str | None,
    as_json: bool,
) -> None:
    """The source stands still (停产, 停炉)."""
    args = {"do": "stop", "outlets": list(outlets), "at": at_ms, "to": to_ms, "reason": reason, "by": by}
    say(order(where(config), "source", args), as_json, "marks.stopped", "marks.nothing")


@source_group.command("start", help=text("marks.verb-source-start"))
@config_option
@_outlets
@AT
@click.option("--reason", default="", help=text("marks.reason-option"))
@by_option
@json_option
def begin(
    config: Path, outlets: tuple[str, ...], at_ms: int | None, reason: str, by: str | None, as_json: bool
) -> None:
    """The source runs again."""
    args = {"do": "start", "outlets": list(outlets), "at": at_ms, "reason": reason, "by": by}
    say(order(where(config), "source", args), as_json, "marks.running", "marks.nothing")
