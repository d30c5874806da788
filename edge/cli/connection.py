"""`hj212 connection`: the official connection time (联网时间), and the evidence for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edge.catalogue import text
from edge.cli.common import config_option, json_option, print_json, where


@click.command("connection", help=text("cli.verb-connection"))
@config_option
@json_option
@click.option("--raw", is_flag=True, help=text("cli.raw-option"))
def connection(config: Path, as_json: bool, raw: bool) -> None:
    """The site's time first, then every receipt."""
    page = where(config).query("connection", {"raw": raw})
    if as_json:
        print_json(page)
        return
    if page["official"] is None:
        click.echo(text("cli.connection-none"))
    else:
        click.echo(text("cli.connection-site", **page["official"]))
    for receipt in page["receipts"]:
        click.echo("\n" + text("cli.connection-row", **_in_words(receipt)))
        for name in ("packet", "answer"):
            if name in receipt:
                click.echo(f"  {receipt[name].rstrip()}")


def _in_words(receipt: dict[str, Any]) -> dict[str, Any]:
    """The receipt with yes, no and the clock's state in the technician's language."""
    words = {name: text("cli.yes" if receipt[name] else "cli.no") for name in ("confirmed", "joint_test")}
    return {**receipt, **words, "clock": text(f"cli.clock-{receipt['clock']}")}
