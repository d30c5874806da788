"""Times as they are typed, the same for every verb.

    2026-11-22 08:00:00   2026-11-22T08:00   2026-11-22T08   20261122080000   2026-11-22
    08:00 (today)         now                2026-11-22T00:00:00Z (ISO 8601 with an offset)

Beijing time where no offset is given; UTC milliseconds.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from edge.catalogue import text
from edge.cli.common import Stop
from edge.clock import SystemClock
from edge.values import DAY_MS, period_start
from protocol.times import iso_text, parse_time, time_text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d)(?::(\d\d)(?::(\d\d))?)?)?|(\d{8}(?:\d\d){0,3})")
_CLOCK = re.compile(r"(\d\d?):(\d\d)(?::(\d\d))?")
_DATE_DIGITS = 8
_FIRST, _LAST = "000000", "235959"


class Time(click.ParamType[int]):
    """A time on the command line. Of what is left out the first moment is meant: a bare date is its 00:00.

    `last`: the last moment, so that an inclusive `--to 2026-11-22` takes in that whole day.
    """

    name = "time"

    def __init__(self, last: bool = False) -> None:
        self._fill = _LAST if last else _FIRST
        self._ms = 999 if last else 0

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return self._parsed(value.strip())
        except (ValueError, OverflowError):
            self.fail(text("cli.bad-time", got=value), param, ctx)

    def _parsed(self, value: str) -> int:
        if value == "now":
            return SystemClock().wall_ms()
        if matched := _CLOCK.fullmatch(value):
            today = time_text(period_start(SystemClock().wall_ms(), DAY_MS))[:_DATE_DIGITS]
            hour, minute, second = matched.groups()
            return self._filled(f"{today}{hour:0>2}{minute}{second or ''}")
        if matched := _TIME.fullmatch(value):
            return self._filled("".join(part or "" for part in matched.groups()))
        when = datetime.fromisoformat(value)
        if when.tzinfo is None:
            raise ValueError(value)
        return (when - _EPOCH) // timedelta(milliseconds=1)

    def _filled(self, digits: str) -> int:
        return parse_time(digits + self._fill[len(digits) - _DATE_DIGITS :]) + self._ms


def in_order(begin: int | None, end: int | None) -> None:
    """Stop where a range ends before it begins."""
    if begin is not None and end is not None and begin > end:
        raise Stop("cli.not-in-order", begin=iso_text(begin), end=iso_text(end))
