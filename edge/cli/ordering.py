"""What `mark`, `maintain`, `source` share: times as they are typed, an order carried out with or without a daemon."""

from __future__ import annotations

import asyncio
import getpass
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from edge.catalogue import text
from edge.cli.common import CHECK_FAILED, WRONG_USE, F, Stop, Where, print_json
from edge.cli.mark_words import in_words
from edge.clock import SystemClock
from edge.control import client
from edge.values import DAY_MS, period_start
from protocol.times import parse_time

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
_MOMENT = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d))?")
_CLOCK = re.compile(r"(\d\d?):(\d\d)(?::(\d\d))?")


class Moment(click.ParamType[int]):
    """`2026-11-26 08:00`, `2026-11-26`, `08:00` (today), `now`, or ISO 8601 with an offset; UTC milliseconds.

    Beijing time where no offset is given. `end`: a day without a time means its end.
    """

    name = "time"

    def __init__(self, end: bool = False) -> None:
        self._end = end

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return self._parsed(value.strip())
        except (ValueError, OverflowError):
            self.fail(text("marks.bad-time", got=value), param, ctx)

    def _parsed(self, value: str) -> int:
        if value == "now":
            return SystemClock().wall_ms()
        if matched := _CLOCK.fullmatch(value):
            hour, minute, second = (int(part or 0) for part in matched.groups())
            if hour > 23 or minute > 59 or second > 59:
                raise ValueError(value)
            return period_start(SystemClock().wall_ms(), DAY_MS) + ((hour * 60 + minute) * 60 + second) * 1000
        if matched := _DAY.fullmatch(value):
            return parse_time("".join(matched.groups()) + "000000") + (DAY_MS if self._end else 0)
        if matched := _MOMENT.fullmatch(value):
            return parse_time("".join(part or "00" for part in matched.groups()))
        when = datetime.fromisoformat(value)
        if when.tzinfo is None:
            raise ValueError(value)
        return (when - _EPOCH) // timedelta(milliseconds=1)


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
