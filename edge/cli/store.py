"""`hj212 store`: is the store sound, what does a damaged file still hold, how much disk does a site take."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from config.markers import parse_duration
from config.site import Retention
from edge.catalogue import text
from edge.cli.common import (
    CHECK_FAILED,
    DEFAULT_CONFIG,
    Stop,
    config_option,
    json_option,
    load_site,
    print_json,
    table,
    where,
)
from edge.clock import SystemClock
from edge.store import checkup
from edge.store.errors import StoreError, StoreLocked
from edge.store.salvage import Part
from edge.store.sizing import Plan, sizes
from edge.values import SLOT_MS
from protocol.parameters import MINUTE_INTERVALS

_MINUTES = [f"{minutes}min" for minutes in MINUTE_INTERVALS]


@click.group(name="store", help=text("cli.verb-store"))
def store_group() -> None:
    """The group `store`."""


@store_group.command(help=text("cli.store-check"))
@config_option
@json_option
def check(config: Path, as_json: bool) -> None:
    """Both files, table by table; exit code 1 where one is damaged."""
    data_dir = where(config).data_dir
    with _told(), _spinner(as_json) as progress:
        files = checkup.check(data_dir, progress)
        aside = checkup.aside(data_dir)
    ok = all(file.ok for file in files)
    if as_json:
        shown = [asdict(file) | {"ok": file.ok} for file in files]
        print_json({"ok": ok, "files": shown, "aside": [asdict(each) for each in aside]})
    else:
        _show(files, aside)
        click.echo(text("cli.store-sound" if ok else "cli.store-damaged", data_dir=data_dir))
    if not ok:
        sys.exit(CHECK_FAILED)


@store_group.command(help=text("cli.store-recover"))
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--dry-run", is_flag=True, help=text("cli.recover-dry-run"))
@config_option
@json_option
def recover(file: Path | None, dry_run: bool, config: Path, as_json: bool) -> None:
    """Salvage files set aside; the daemon does it by itself, so it must be stopped for this."""
    data_dir = where(config).data_dir
    with _told():
        waiting = [data_dir / each.file for each in checkup.aside(data_dir) if each.state in ("waiting", "salvaging")]
        files = [file] if file else waiting
        with _lock(data_dir, needed=not dry_run), _spinner(as_json) as progress:
            done = [(path, _read(path, progress) if dry_run else _recover(data_dir, path, progress)) for path in files]
    unreadable = [str(path) for path, parts in done if _is_nothing(parts)]
    if as_json:
        rows = [{"file": str(path), "tables": {name: asdict(p) for name, p in parts.items()}} for path, parts in done]
        print_json({"dry_run": dry_run, "files": rows})
        sys.exit(CHECK_FAILED if unreadable else 0)
    if not done:
        click.echo(text("cli.recover-nothing", data_dir=data_dir))
    for path, parts in done:
        titles = ("cli.col-table", "cli.col-rows", "cli.col-bad-pages", "cli.col-nameless", "cli.col-left-out")
        rows_of = [
            (name, part.rows, part.bad_pages, part.nameless, part.left_out)
            for name, part in parts.items()
            if part != Part()
        ]
        table(titles, rows_of, str(path))
        for which in (one for part in parts.values() for one in part.records):
            click.echo(text("store.record_damaged", file=path.name, **which))
    if unreadable:
        raise Stop("cli.recover-unreadable", CHECK_FAILED, file=", ".join(unreadable))


@store_group.command(help=text("cli.store-size"))
@click.option("--points", type=click.IntRange(1, 2_000), required=True, help=text("cli.size-points"))
@click.option("--every", default="5s", show_default=True, help=text("cli.size-every"))
@click.option("--platforms", type=click.IntRange(0, 20), default=1, show_default=True, help=text("cli.size-platforms"))
@click.option("--minute", type=click.Choice(_MINUTES), default="10min", show_default=True, help=text("cli.size-minute"))
@config_option
@json_option
def size(points: int, every: str, platforms: int, minute: str, config: Path, as_json: bool) -> None:
    """The sizing formula's result, at the site file's retention where there is one, else at the defaults."""
    limits = _retention(config)
    plan = Plan(points, _every(every), platforms, parse_duration(minute))
    shares = sizes(plan, limits)
    total = sum(share.total for share in shares)
    per_day = sum(share.per_day for share in shares)
    if as_json:
        print_json({"per_day": per_day, "total": total, "classes": [asdict(share) for share in shares]})
        return
    rows = [
        (
            text(_CLASSES.get(s.name, f"cli.size-{s.name}")),
            _mb(s.per_day),
            f"{s.days:g}" if s.days else "-",
            _mb(s.total),
        )
        for s in shares
    ]
    rows.append((text("cli.size-all"), _mb(per_day), "", _mb(total)))
    table(("cli.col-data", "cli.col-mb-day", "cli.col-days", "cli.col-mb"), rows)
    click.echo(text("cli.size-twice"))


def _show(files: list[checkup.FileFound], aside: list[checkup.AsideFound]) -> None:
    for file in files:
        version = f"{'-' if file.version is None else file.version}/{file.known}"
        sizes_of = {"size": _mb(file.size), "free": _mb(file.free), "wal": _mb(file.wal)}
        click.echo(text("cli.store-file", file=file.file, version=version, **sizes_of))
        rows = [(each.name, each.rows, each.problem or "") for each in file.tables]
        if rows:
            table(("cli.col-table", "cli.col-rows", "cli.col-problem"), rows)
        if file.problem is not None:
            click.echo(f"{file.file}: {file.problem}")
        for what, count in file.dropped.items():
            click.echo(text("store.dropped", what=what, rows=count))
    for each in aside:
        click.echo(text(f"cli.aside-{each.state}", file=each.file, size=_mb(each.size)))


_CLASSES = {"minute": "cli.size-minute-data"}
"""Texts of the classes of data that are called otherwise."""


def _mb(count: int) -> str:
    return f"{count / 1e6:.1f}"


def _every(value: str) -> int:
    try:
        every = parse_duration(value)
    except ValueError:
        every = 0
    if not every or every % SLOT_MS:
        raise Stop("cli.bad-every", option="--every", value=value)
    return every


def _retention(config: Path) -> Retention:
    """Of the site file; a file that is named must be there."""
    if config == DEFAULT_CONFIG and not config.exists():
        return Retention()
    return load_site(config).store


def _read(path: Path, progress: checkup.Progress) -> dict[str, Part]:
    return checkup.readable(path, progress)


def _recover(data_dir: Path, path: Path, progress: checkup.Progress) -> dict[str, Part]:
    state = checkup.recover(data_dir, path, SystemClock().wall_ms(), lambda state: progress(_come_to(state)))
    return state.parts


def _is_nothing(parts: dict[str, Part]) -> bool:
    """No row came, and pages could not be read: rubbish, or no store at all."""
    return not any(part.rows for part in parts.values()) and any(part.bad_pages for part in parts.values())


def _come_to(state: Any) -> str:
    return f"{state.table} {state.part(state.table).rows:,}"


@contextmanager
def _lock(data_dir: Path, *, needed: bool) -> Iterator[None]:
    """The daemon must not work in the folder meanwhile."""
    from edge.store.store import take_lock

    if not needed:
        yield
        return
    try:
        handle = take_lock(data_dir)
    except StoreLocked as error:
        raise Stop("cli.recover-running", **error.params) from error
    try:
        yield
    finally:
        os.close(handle)


@contextmanager
def _told() -> Iterator[None]:
    """What can go wrong, as one line."""
    try:
        yield
    except StoreError as error:
        raise Stop(error.code, **error.params) from error
    except PermissionError as error:
        raise Stop("cli.no-permission", path=error.filename or "") from error
    except OSError as error:
        raise Stop("cli.cannot-read", path=error.filename or "", why=error.strerror or str(error)) from error


@contextmanager
def _spinner(quiet: bool) -> Iterator[checkup.Progress]:
    """What is looked at, for people."""
    from rich.console import Console

    console = Console(file=sys.stderr, quiet=quiet or not sys.stderr.isatty())
    with console.status("") as status:
        yield lambda name: status.update(name)
