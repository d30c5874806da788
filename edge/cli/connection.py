"""`hj212 connection`: the official connection time (联网时间), and the evidence for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from edge.catalogue import text
from edge.cli.common import CHECK_FAILED, Stop, Where, config_option, json_option, print_json, where, writing

OWN_CONFIG = click.option(
    "-c", "--config", "own", type=click.Path(path_type=Path, dir_okay=False), help=text("cli.config-option")
)
"""`-c` behind `export` and `import`, where a user types it; before them it is the group's."""


@click.group("connection", help=text("cli.verb-connection"), invoke_without_command=True)
@config_option
@json_option
@click.option("--raw", is_flag=True, help=text("cli.raw-option"))
@click.pass_context
def connection(ctx: click.Context, config: Path, as_json: bool, raw: bool) -> None:
    """The site's time first, then every receipt."""
    ctx.obj = config
    if ctx.invoked_subcommand is not None:
        return
    page = where(config).query("connection", {"raw": raw})
    if as_json:
        print_json(page)
        return
    official = page["official"]
    if official is None:
        click.echo(text("cli.connection-none"))
    else:
        code = "cli.connection-site" if official["confirmed"] else "cli.connection-site-unconfirmed"
        click.echo(text(code, **official))
    for receipt in page["receipts"]:
        code = "cli.connection-row" if receipt["confirmed"] else "cli.connection-row-unconfirmed"
        click.echo("\n" + text(code, **_in_words(receipt)))
        for name in ("packet", "answer"):
            if receipt.get(name):
                click.echo(f"  {receipt[name].rstrip()}")


@connection.command("export", help=text("cli.verb-connection-export"))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@OWN_CONFIG
@click.pass_obj
def export_evidence(config: Path, file: Path, own: Path | None) -> None:
    """The receipts with their bytes, one a line, as connection.jsonl has them; the file is for its owner alone."""
    lines = where(own or config).query("evidence", {"raw": True})
    if not lines:
        raise Stop("cli.connection-nothing", CHECK_FAILED)
    with writing(file):
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write("".join(line + "\n" for line in lines))
            stream.flush()
            os.fsync(stream.fileno())
    click.echo(text("cli.exported", count=len(lines), file=file))


@connection.command("import", help=text("cli.verb-connection-import"))
@click.argument("file", type=click.Path(dir_okay=False, exists=True, path_type=Path))
@OWN_CONFIG
@click.pass_obj
def import_evidence(config: Path, file: Path, own: Path | None) -> None:
    """Evidence of the logger that this one replaces; the daemon must not run, and every line must be whole."""
    place = where(own or config)
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    click.echo(text("cli.imported", count=_import(place, file, lines), file=file))


def _import(place: Where, file: Path, lines: list[str]) -> int:
    from config.site import Retention
    from edge.clock import SystemClock
    from edge.store import connection as evidence
    from edge.store.errors import StoreError
    from edge.store.store import Store

    receipts = []
    for number, line in enumerate(lines, 1):
        try:
            receipts.append(evidence.Receipt.from_line(line))
        except ValueError as error:
            raise Stop("cli.connection-bad-line", file=file, line=number, why=error) from error
    try:
        store = Store(place.data_dir, retention=Retention(), on_event=lambda _code, _params: None)
    except StoreError as error:
        raise Stop(error.code, **error.params) from error
    try:
        now_ms = SystemClock().wall_ms()
        kept = [store.call(evidence.keep, each, "connection.imported", now_ms).result() for each in receipts]
    finally:
        store.close()
    return sum(kept)


def _in_words(receipt: dict[str, Any]) -> dict[str, Any]:
    """The receipt with yes, no and the clock's state in the technician's language."""
    words = {name: text("cli.yes" if receipt[name] else "cli.no") for name in ("confirmed", "joint_test", "counts")}
    return {**receipt, **words, "clock": text(f"cli.clock-{receipt['clock']}")}
