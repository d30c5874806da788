"""`hj212 platform list`, `packets`, `reset`: the platforms, what went over their links last, what they have set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edge.catalogue import text
from edge.cli.common import config_option, json_option, print_json, table, where


@click.command("list", help=text("cli.verb-platform-list"))
@config_option
@json_option
def list_platforms(config: Path, as_json: bool) -> None:
    """One row per platform and outlet, from the running daemon."""
    rows = where(config).ask("status")["platforms"]
    if as_json:
        print_json(rows)
        return
    columns = (
        "cli.col-platform", "cli.col-role", "cli.col-outlet", "cli.col-mn", "cli.col-address", "cli.col-link",
        "cli.col-since", "cli.col-peer", "cli.col-rtt-last", "cli.col-last-answer", "cli.col-outbox",
    )  # fmt: skip
    keys = "platform", "role", "outlet", "mn", "address"
    table(
        columns,
        [
            (
                *(row[key] for key in keys),
                *_link(row),
                *(row["peer"], row["rtt_ms"], _moment(row["last_answer"]), row["outbox"]),
            )
            for row in rows
        ],
    )
    for row in rows:
        if not row["connected"] and row["down_detail"]:
            click.echo(why_down(row))
        if row["refused_peers"]:
            refused = ", ".join(f"{peer} ({count})" for peer, count in row["refused_peers"].items())
            click.echo(text("cli.refused-peers", platform=row["platform"], refused=refused))


@click.command("packets", help=text("cli.verb-platform-packets"))
@config_option
@click.argument("platform", required=False)
@click.option("--limit", type=click.IntRange(1, 4000), default=20, show_default=True, help=text("cli.limit-option"))
@click.option("--raw", is_flag=True, help=text("cli.raw-option"))
@json_option
def packets(config: Path, platform: str | None, limit: int, raw: bool, as_json: bool) -> None:
    """Oldest first, so that the newest stands at the prompt."""
    rows = where(config).query("packets", {"platform": platform, "limit": limit, "raw": raw})[::-1]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        arrow = "<--" if row["direction"] == "in" else "-->"
        click.echo(f"{row['at']} {row['platform']}/{row['outlet']} {arrow} {row['packet']}")


@click.command("reset", help=text("remote.verb-reset"))
@config_option
@click.argument("platform", required=False)
@click.argument("name", required=False)
@json_option
def reset(config: Path, platform: str | None, name: str | None, as_json: bool) -> None:
    """One line for each value that was undone; asked of the running daemon, which needs the right to change."""
    place = where(config)
    if platform is not None:
        place.must_have(platform)
    undone = place.ask("platform-reset", {"platform": platform, "name": name})
    if as_json:
        print_json(undone)
        return
    for each in undone:
        click.echo(text("remote.reset-one", **each))
    if not undone:
        click.echo(text("remote.reset-none"))


def _link(row: dict[str, Any]) -> tuple[str, str | None]:
    """Whether there is a link, or why not, and since when."""
    if row["connected"]:
        return text("cli.connected"), _moment(row["connected_since"])
    cause = f" ({text('edge.cause.' + row['down_cause'])})" if row["down_cause"] else ""
    return text("cli.disconnected") + cause, _moment(row["down_since"])


def why_down(row: dict[str, Any]) -> str:
    """Since when there is no link, and all that is known of why."""
    cause = text(f"edge.cause.{row['down_cause']}") + (f": {row['down_detail']}" if row["down_detail"] else "")
    since = row["down_since"]
    name = f"{row['platform']}/{row['outlet']}"
    return text("cli.down-since", name=name, since=f"{since[5:10]} {since[11:16]}", cause=cause)


def _moment(iso: str | None) -> str | None:
    """Month, day and time of day."""
    return None if iso is None else f"{iso[5:10]} {iso[11:19]}"
