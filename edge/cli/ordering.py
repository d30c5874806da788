"""What `mark`, `maintain`, `source` share: an order carried out with or without a daemon."""

from __future__ import annotations

import asyncio
import getpass
import os
from pathlib import Path
from typing import Any

import click

from edge.catalogue import text
from edge.cli.common import CHECK_FAILED, WRONG_USE, F, Stop, Where, print_json
from edge.cli.mark_words import in_words
from edge.clock import SystemClock
from edge.control import client


def by_option(command: F) -> F:
    """`--by NAME`."""
    return click.option("--by", help=text("marks.by-option"))(command)


def order(place: Where, what: str, args: dict[str, Any]) -> list[dict[str, Any]]:
    """Have the daemon carry out an order, or without one do it on the store itself, as its owner."""
    asked = {name: value for name, value in args.items() if value is not None}
    try:
        done = client.ask(client.candidates(place.socket, place.data_dir), f"{what}-order", asked)
    except client.NoDaemon:
        done = _on_the_store(place, what, asked)
    except client.Refused as error:
        raise Stop(error.code, CHECK_FAILED, **error.params) from error
    result: list[dict[str, Any]] = done
    return result


def _on_the_store(place: Where, what: str, args: dict[str, Any]) -> list[dict[str, Any]]:
    from config.load import load
    from config.problem import ConfigErrors
    from edge.control.queries import mark_shown
    from edge.control.server import Denied
    from edge.marking import Marking
    from edge.revising import Reviser
    from edge.store.errors import StoreError
    from edge.store.store import Store

    async def carry_out() -> list[dict[str, Any]]:
        clock = SystemClock()
        site = load(place.config)
        store = Store(place.data_dir, retention=site.store, on_event=_tell)
        try:
            entries = await Marking(site, store, clock, _tell).order(what, args, login_name())
            await Reviser(site, store, clock.wall_ms, _tell).work()
        finally:
            store.close()
        return [mark_shown(entry) for entry in entries]

    try:
        return asyncio.run(carry_out())
    except (StoreError, Denied, ConfigErrors) as error:
        raise Stop(error.code, CHECK_FAILED if isinstance(error, Denied) else WRONG_USE, **error.params) from error
    except PermissionError as error:
        raise Stop("cli.no-permission", path=place.data_dir) from error


def _tell(code: str, params: dict[str, Any]) -> None:
    click.echo(text(code, **params), err=True)


def login_name() -> str:
    """Who is logged in, also behind sudo."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def folder_of(place: Where) -> Path:
    """Where the site's own tables stand."""
    return place.config.parent


def say(done: list[dict[str, Any]], as_json: bool, code: str, nothing: str) -> None:
    """What was done: a line each, or JSON."""
    if as_json:
        print_json(done)
        return
    if not done:
        click.echo(text(nothing))
    for each in done:
        click.echo(text(code, **in_words(each)))
