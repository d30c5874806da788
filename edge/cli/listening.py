"""What the verbs share that are a platform: the address to listen on, and how much is remembered."""

from __future__ import annotations

import click

from edge.catalogue import text

EDITIONS = ("2005", "2017")
LISTEN = "127.0.0.1:9212"
KEEP = 10_000
"""Packets that are remembered."""


def address_option(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """`HOST:PORT`, for the callback of an option."""
    if value is None:
        return None
    host, colon, port = value.rpartition(":")
    if not (host and colon and port.isdecimal() and int(port) < 65536):
        raise click.BadParameter(text("bench.cli.listen_form", came=value))
    return value


listen_option = click.option(
    "--listen", default=LISTEN, show_default=True, callback=address_option, help=text("bench.cli.listen")
)
"""`--listen HOST:PORT`."""
edition_option = click.option(
    "--edition", type=click.Choice(EDITIONS), default="2017", show_default=True, help=text("bench.cli.edition")
)
"""`--edition YEAR`."""
timeout_option = click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.1),
    default=10.0,
    show_default=True,
    help=text("bench.cli.timeout"),
)
"""`--timeout SECONDS`."""
