"""`hj212 demo`: everything on one machine."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import click

from edge.bench.demo import Demo, DemoDiffers, DemoFailed
from edge.catalogue import text
from edge.cli.common import CHECK_FAILED, Stop, json_option


@click.command(help=text("cli.verb-demo"))
@click.option(
    "--seconds", type=click.FloatRange(20, 3600), default=60, show_default=True, help=text("cli.seconds-option")
)
@json_option
def demo(seconds: float, as_json: bool) -> None:
    """Play the demo; with --json the last line is the summary."""

    def say(code: str, **params: Any) -> None:
        click.echo(text(code, **params), err=as_json)

    say("demo.begin", seconds=f"{seconds:g}")
    with tempfile.TemporaryDirectory(prefix="hj212-demo-") as folder:
        try:
            summary = asyncio.run(Demo(Path(folder), seconds, say).run())
        except (DemoFailed, DemoDiffers) as error:
            raise Stop(error.code, CHECK_FAILED, **error.params) from error
    if as_json:
        click.echo(json.dumps(summary, ensure_ascii=False))
    else:
        say("demo.summary", **{name: value for name, value in summary.items() if name != "connection"})
        for receipt in summary["connection"]:
            say("demo.connection", **{**receipt, "confirmed": text("cli.yes" if receipt["confirmed"] else "cli.no")})
    raise SystemExit(CHECK_FAILED if summary["lost"] or not summary["connection"] else 0)
