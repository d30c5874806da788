"""`hj212`: the technician's command line. Each verb's module is imported only when the verb is used."""

from __future__ import annotations

import io
import sys
from importlib import import_module
from typing import Any

import click

from edge import __version__
from edge.catalogue import text
from edge.cli import library_words

library_words.speak()

VERBS = {
    "run": "edge.cli.run:run",
    "demo": "edge.cli.demo:demo",
    "status": "edge.cli.status:status",
    "watch": "edge.cli.status:watch",
    "config": "edge.cli.config:config_group",
    "data": "edge.cli.data:data_group",
    "mark": "edge.cli.mark:mark_group",
    "maintain": "edge.cli.maintain:maintain_group",
    "source": "edge.cli.maintain:source_group",
    "outbox": "edge.cli.outbox:outbox_group",
    "platform": "edge.cli.platform:platform_group",
    "packet": "edge.cli.packet:packet_group",
    "connection": "edge.cli.connection:connection",
    "events": "edge.cli.events:events",
    "line": "edge.cli.line:line_group",
    "instrument": "edge.cli.instrument:instrument_group",
    "decode": "edge.cli.decode:decode",
    "action": "edge.cli.action:action_group",
    "sampler": "edge.cli.sampler:sampler_group",
    "journal": "edge.cli.journal:journal_group",
    "backup": "edge.cli.care:backup",
    "restore": "edge.cli.care:restore",
    "store": "edge.cli.store:store_group",
}


class Verbs(click.Group):
    """Verbs by name, loaded when used: `hj212 status` must not wait for what `hj212 demo` needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module, _, name = VERBS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section(text("cli.verbs")):
            formatter.write_dl([(name, text(f"cli.verb-{name}")) for name in VERBS])


@click.command(cls=Verbs, help=text("cli.help"), context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hj212")
def hj212() -> None:
    """The group of all verbs."""


def main() -> Any:
    """Entry point of the console script; a character that the terminal cannot show never ends a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    return hj212(prog_name="hj212")


if __name__ == "__main__":
    main()
