"""What the verbs on a line share: which line is meant, borrowing it, errors in one line, progress on the screen."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from drivers.errors import DriverError
from drivers.port import LineSettings, LineStopped
from edge.catalogue import explain, text
from edge.cli.common import CHECK_FAILED, WRONG_USE, F, Stop, where
from edge.control import client
from edge.tools.own_line import FORMAT, NotLent, OwnLine, lent, line_of, line_settings, site_tables


@dataclass(frozen=True, slots=True)
class Target:
    """A port, and the site's line that it is; `name` None: none of the site's."""

    name: str | None
    settings: LineSettings
    paths: list[Path]
    """Control sockets of the daemon; none where there is no site."""

    @property
    def title(self) -> str:
        """For messages."""
        return self.name or self.settings.port


def line_argument(command: F) -> F:
    """`[LINE|PORT]`."""
    return click.argument("line", required=False, metavar="[LINE|PORT]")(command)


def target(config: Path, line: str | None) -> Target:
    """The line of the site file, or the port, that is meant; without one the only line there is."""
    lines = _lines(config)
    paths: list[Path] = []
    if config.exists():
        place = where(config)
        paths = client.candidates(place.socket, place.data_dir)
    if line is None:
        line = _only(lines)
    if line in lines:
        return Target(line, lines[line], paths)
    if "/" not in line:
        raise Stop("tools.no-line", WRONG_USE, line=line, known=", ".join(lines) or "–")
    name = line_of(line, lines)
    return Target(name, lines[name] if name else LineSettings(line), paths)


def _lines(config: Path) -> dict[str, LineSettings]:
    """The site's lines; the tools are used before the file is right, so that only theirs is looked at."""
    lines: dict[str, LineSettings] = {}
    for name, one in site_tables(config, "lines").items():
        try:
            lines |= {name: line_settings(one)} if "port" in one else {}
        except ValueError as error:
            raise Stop("tools.bad-line", WRONG_USE, line=name, file=config) from error
    return lines


def _only(lines: dict[str, LineSettings]) -> str:
    from serial.tools.list_ports import comports

    names = list(lines) or [port.device for port in comports()]
    if len(names) != 1:
        raise Stop("tools.which-line", WRONG_USE, known=", ".join(names) or "–")
    return names[0]


@contextmanager
def borrowed(wanted: Target, tool: str) -> Iterator[OwnLine]:
    """The line for the time of a tool, with its errors as one line."""
    try:
        with lent(wanted.paths if wanted.name else [], wanted.name, tool, wanted.settings) as line:
            yield line
    except client.Refused as error:
        raise Stop(error.code, CHECK_FAILED, **error.params) from error
    except NotLent as error:
        raise Stop("tools.line-busy", CHECK_FAILED, line=wanted.title) from error
    except LineStopped as error:
        raise Stop("tools.line-taken-back", CHECK_FAILED, line=wanted.title) from error
    except DriverError as error:
        raise Stop("tools.failed", CHECK_FAILED, why=explain(error)) from error


class Progress:
    """A bar with the time left on a terminal; nothing in a pipe."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
            console=Console(stderr=True, highlight=False), transient=True, disable=not sys.stderr.isatty(),
        )  # fmt: skip
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()

    def show(self, what: str, done: float, total: float) -> None:
        """How far it is."""
        self._bar.update(self._task, description=what, completed=done, total=total)

    def say(self, line: str) -> None:
        """A line above the bar."""
        self._bar.console.print(line, highlight=False, markup=False)


def minutes(seconds: float) -> str:
    """`2:05`."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def numbers(given: str) -> list[int]:
    """`1-16,30` as numbers. Raises click.BadParameter."""
    found: list[int] = []
    for part in given.split(","):
        low, dash, high = part.strip().partition("-")
        try:
            first = int(low, 0)
            last = int(high, 0) if dash else first
        except ValueError as error:
            raise click.BadParameter(text("tools.not-numbers", given=given)) from error
        if not 0 <= first <= last <= 65535:
            raise click.BadParameter(text("tools.not-numbers", given=given))
        found += range(first, last + 1)
    return found


class Format(click.ParamType[str]):
    """`8N1`."""

    name = "8N1"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Data bits, parity, stop bits, in capitals."""
        given = str(value).upper()
        if FORMAT.fullmatch(given) is None:
            self.fail(text("tools.not-a-format", given=value), param, ctx)
        return given


class Numbers(click.ParamType[list[int]]):
    """`1-16,30`."""

    name = "1-16,30"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        """The numbers."""
        return value if isinstance(value, list) else numbers(value)
