"""`hj212 run`: becomes the daemon. The daemon is another program image, so that it carries no command-line library."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from edge.catalogue import text
from edge.cli.common import config_option


@click.command(help=text("cli.verb-run"))
@config_option
@click.option(
    "--log", type=click.Choice(["json", "text"]), default="text", show_default=True, help=text("cli.log-option")
)
@click.option("--simulated-clock", hidden=True, metavar="START_MS,SPEED,SINCE_REAL_MS")
def run(config: Path, log: str, simulated_clock: str | None) -> None:
    """Replace this process by the daemon."""
    sys.stdout.flush()
    args = [sys.executable, "-m", "edge.launch", str(config), log, *([simulated_clock] if simulated_clock else [])]
    os.execv(sys.executable, args)
