"""`hj212 journal`: who changed what, and whether the journal is as it was written."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from edge.catalogue import text
from edge.cli import common


@click.group(name="journal", help=text("cli.verb-journal"))
def journal_group() -> None:
    """The group `journal`."""


@journal_group.command(help=text("store.journal_show"))
@common.config_option
@common.json_option
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help=text("store.journal_limit")
)
@click.option("--after", type=click.IntRange(0), default=None, help=text("store.journal_after"))
def show(config: Path, as_json: bool, limit: int, after: int | None) -> None:
    """Entries in the order in which they were written."""
    entries = common.where(config).query("journal", {"limit": limit, "after": after})
    if as_json:
        common.print_json(entries)
        return
    if not entries:
        click.echo(text("store.journal_empty"))
    for entry in entries:
        detail = json.dumps(entry["detail"], ensure_ascii=False)
        click.echo(f"{entry['id']:>6}  {entry['at']}  {entry['who']}  {entry['action']}  {detail}")


@journal_group.command(help=text("store.journal_verify"))
@common.config_option
@common.json_option
def verify(config: Path, as_json: bool) -> None:
    """Walk the chain; exit code 1 when it is broken."""
    verdict = common.where(config).query("journal_verify")
    if as_json:
        common.print_json(verdict)
    else:
        code = "store.journal_whole" if verdict["ok"] else "store.journal_broken"
        click.echo(text(code, entries=verdict["entries"], first_bad=verdict["first_bad"]))
        for first, last in verdict["gaps"]:
            click.echo(text("store.journal_gap", first=first, last=last))
    if not verdict["ok"]:
        sys.exit(common.CHECK_FAILED)
