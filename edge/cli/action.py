"""`hj212 action`: have an instrument do what the site file says it can: calibrate, keep a sample, switch an output."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from edge.catalogue import text
from edge.cli.common import CHECK_FAILED, Stop, Where, config_option, json_option, print_json, table, where

POLL_S = 0.5


@click.group("action", help=text("cli.verb-action"))
def action_group() -> None:
    """Actions of the instruments."""


@action_group.command("list", help=text("cli.verb-action-list"))
@config_option
@json_option
def list_actions(config: Path, as_json: bool) -> None:
    """Every action that the site declares, and where one is under way."""
    found = where(config).ask("actions")
    if as_json:
        print_json(found)
    elif not found:
        click.echo(text("cli.no-actions"))
    else:
        rows = [[one["instrument"], one["action"], one["cn"], _busy(one)] for one in found]
        table([f"cli.col-{title}" for title in ("instrument", "act", "cn", "state")], rows)


def _busy(row: dict[str, Any]) -> str:
    return text("cli.action-busy" if row["running"] else "cli.action-free")


@action_group.command("run", help=text("cli.verb-action-run"))
@config_option
@click.argument("instrument")
@click.argument("action")
@click.option("--reason", default="", help=text("cli.why-option"))
@click.option("--by", help=text("marks.by-option"))
@click.option("--no-wait", is_flag=True, help=text("cli.no-wait-option"))
@json_option
def run(config: Path, instrument: str, action: str, reason: str, by: str | None, no_wait: bool, as_json: bool) -> None:
    """Begin an action and wait for its end; exit code 1 where it did not end well."""
    carry_out(where(config), {"instrument": instrument, "action": action, "reason": reason, "by": by}, as_json, no_wait)


def carry_out(place: Where, args: dict[str, Any], as_json: bool, no_wait: bool = False) -> None:
    """Order an action of the daemon and say what came of it; it goes on when this command is interrupted."""
    number = place.ask("action-begin", {name: each for name, each in args.items() if each is not None})["number"]
    try:
        result = None if no_wait else _awaited(place, number)
    except KeyboardInterrupt as error:  # the instrument is at it all the same
        raise Stop("cli.action-begun", CHECK_FAILED, **args) from error
    if as_json:
        print_json(result if result is not None else {"instrument": args["instrument"], "action": args["action"]})
    elif result is None:
        click.echo(text("cli.action-begun", instrument=args["instrument"], action=args["action"]))
    elif result["result"] == "done":
        given = ", ".join(f"{name} {value}" for name, value in result["data"].items())
        click.echo(text("cli.action-done", instrument=args["instrument"], action=args["action"], given=given))
    else:
        raise Stop("cli.action-failed", CHECK_FAILED, **result)
    if as_json and result is not None and result["result"] != "done":
        raise click.exceptions.Exit(CHECK_FAILED)


def _awaited(place: Where, number: int) -> Any:
    while (result := place.ask("action-result", {"number": number})) is None:
        time.sleep(POLL_S)
    return result
