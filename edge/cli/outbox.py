"""`hj212 outbox`: what the platforms have not answered for yet."""

from __future__ import annotations

from pathlib import Path

import click

from edge.catalogue import text
from edge.cli.common import config_option, json_option, print_json, table, where

COLUMNS = (
    "platform",
    "outlet",
    "open",
    "oldest",
    "sent",
    "answered",
    "backfilled",
    "unconfirmed",
    "expired",
    "rejected",
    "lost",
)
TITLES = (
    "platform",
    "outlet",
    "outbox",
    "oldest",
    "sent",
    "answered",
    "backfilled",
    "unconfirmed",
    "expired",
    "rejected",
    "lost",
)


@click.group("outbox", help=text("cli.verb-outbox"))
def outbox_group() -> None:
    """Deliveries."""


@outbox_group.command(help=text("cli.verb-outbox-show"))
@config_option
@json_option
def show(config: Path, as_json: bool) -> None:
    """Per platform and outlet, and per kind."""
    page = where(config).query("outbox")
    if as_json:
        print_json(page)
        return
    titles = tuple(f"cli.col-{title}" for title in TITLES)
    table(titles, [[row[key] for key in COLUMNS] for row in page["platforms"]], text("cli.title-outbox"))
    if page["kinds"]:
        kinds = ("cli.col-platform", "cli.col-outlet", "cli.col-kind", "cli.col-cn", "cli.col-count", "cli.col-oldest")
        keys = ("platform", "outlet", "kind", "cn", "count", "oldest")
        table(kinds, [[row[key] for key in keys] for row in page["kinds"]])
