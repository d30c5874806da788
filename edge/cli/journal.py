"""`hj212 journal`: who changed what, and whether the journal is as it was written.

Reads `records.db` of the site's data folder read only, beside a running daemon or without one.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from edge.catalogue import text
from edge.cli import common
from edge.store import journal
from edge.store.database import RECORDS, read_only
from edge.store.errors import StoreClosed
from protocol.times import iso_text


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
    with _records(config) as db:
        entries = journal.entries(db, limit, after)
    if as_json:
        common.print_json([_plain(entry) for entry in entries])
        return
    if not entries:
        click.echo(text("store.journal_empty"))
    for entry in entries:
        detail = json.dumps(entry.detail, ensure_ascii=False)
        click.echo(f"{entry.id:>6}  {iso_text(entry.at_ms)}  {entry.who}  {entry.action}  {detail}")


@journal_group.command(help=text("store.journal_verify"))
@common.config_option
@common.json_option
def verify(config: Path, as_json: bool) -> None:
    """Walk the chain; exit code 1 when it is broken."""
    with _records(config) as db:
        verdict = journal.verify(db)
    if as_json:
        common.print_json(asdict(verdict))
    else:
        code = "store.journal_whole" if verdict.ok else "store.journal_broken"
        click.echo(text(code, entries=verdict.entries, first_bad=verdict.first_bad))
    if not verdict.ok:
        sys.exit(common.CHECK_FAILED)


@contextmanager
def _records(config: Path) -> Iterator[sqlite3.Connection]:
    path = common.where(config).data_dir / RECORDS.file
    try:
        db = read_only(path)
    except StoreClosed as error:
        raise common.Stop(error.code, **error.params) from error
    try:
        yield db
    finally:
        db.close()


def _plain(entry: journal.Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": iso_text(entry.at_ms),
        "who": entry.who,
        "action": entry.action,
        "detail": entry.detail,
        "hash": entry.hash.hex(),
    }
