"""`hj212 backup` and `hj212 restore`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from edge.catalogue import text
from edge.cli.common import CHECK_FAILED, Stop, Where, config_option, json_option, print_json, where
from edge.cli.ordering import login_name
from edge.clock import SystemClock
from edge.store import backup as backups
from edge.store.errors import StoreError


@click.command(help=text("cli.verb-backup"))
@click.argument("target", type=click.Path(path_type=Path, file_okay=False))
@click.option("--keep", type=click.IntRange(0, 1_000), default=0, show_default=True, help=text("cli.keep-option"))
@config_option
@json_option
def backup(target: Path, keep: int, config: Path, as_json: bool) -> None:
    """A backup into a folder, also while the daemon runs."""
    place = where(config)
    with _told(), _bar(as_json) as progress:
        target.mkdir(parents=True, exist_ok=True)
        folder = backups.make(place.data_dir, config, target, SystemClock().wall_ms(), progress)
    gone = backups.thin_out(target, keep, folder)
    manifest = backups.check(folder)
    if as_json:
        print_json({"folder": str(folder), "files": manifest["files"], "deleted": [str(each) for each in gone]})
        return
    size = sum(what["bytes"] for what in manifest["files"].values())
    click.echo(text("cli.backed-up", folder=folder, size=f"{size / 1e6:.1f}", files=len(manifest["files"])))
    for each in gone:
        click.echo(text("cli.backup-deleted", folder=each))


@click.command(help=text("cli.verb-restore"))
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--check", "only_check", is_flag=True, help=text("cli.check-option"))
@config_option
def restore(folder: Path, only_check: bool, config: Path) -> None:
    """Put a backup back; the daemon must be stopped."""
    place: Where = where(config)
    with _told():
        manifest = backups.check(folder)
        if only_check:
            click.echo(text("cli.backup-whole", folder=folder, made=manifest["made"]))
            return
        done = backups.restore(folder, place.data_dir, SystemClock().wall_ms(), f"user:{login_name()}")
    click.echo(text("cli.restored", folder=folder, data_dir=place.data_dir))
    if done.aside is not None:
        click.echo(text("cli.restored-aside", aside=place.data_dir / done.aside))
    if done.evidence:
        click.echo(text("cli.restored-evidence", count=done.evidence))


@contextmanager
def _told() -> Iterator[None]:
    """What can go wrong, as one line: exit code 2, and 1 where a backup is not whole."""
    try:
        yield
    except StoreError as error:
        damaged = error.code in ("store.backup_damaged", "store.no_backup")
        raise Stop(error.code, CHECK_FAILED if damaged else 2, **error.params) from error
    except OSError as error:
        raise Stop("cli.backup-failed", path=error.filename or "", why=error.strerror or str(error)) from error


@contextmanager
def _bar(quiet: bool) -> Iterator[backups.Progress]:
    """A progress bar for people."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(file=sys.stderr, quiet=quiet or not sys.stderr.isatty())
    percent = TextColumn("{task.percentage:3.0f} %")
    columns = TextColumn("{task.description}"), BarColumn(), percent, TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        tasks = {}

        def tell(file: str, share: float) -> None:
            if file not in tasks:
                tasks[file] = progress.add_task(file, total=1.0)
            progress.update(tasks[file], completed=share)

        yield tell
