"""What the verbs of the command line share: options, exit codes, finding the site and the daemon, printing."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from config.document import parse
from config.problem import ConfigErrors
from edge.catalogue import text, use_language
from edge.control import client

if TYPE_CHECKING:
    from config.site import Site

DEFAULT_CONFIG = Path("/etc/hj212-edge/site.toml")
CHECK_FAILED, WRONG_USE, NO_DAEMON = 1, 2, 3
"""Exit codes; 0 is fine."""
FLOW_UNIT = "L/s"
"""In which the standard has the flow of waste water."""
M3_H_IN_L_S = 3.6
F = TypeVar("F", bound=Callable[..., Any])


class Stop(click.ClickException):
    """Ends the command with a text of the catalogue and an exit code."""

    def __init__(self, code: str, exit_code: int = WRONG_USE, **params: Any) -> None:
        super().__init__(text(code, **params))
        self.exit_code = exit_code  # type: ignore[misc]  # click reads it from the instance as well

    def show(self, file: Any = None) -> None:
        """One plain line on standard error."""
        click.echo(self.format_message(), file=file or sys.stderr)


def config_option(command: F) -> F:
    """`-c/--config FILE`."""
    return click.option(
        "-c",
        "--config",
        "config",
        type=click.Path(path_type=Path, dir_okay=False),
        default=DEFAULT_CONFIG,
        show_default=True,
        help=text("cli.config-option"),
    )(command)


def json_option(command: F) -> F:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help=text("cli.json-option"))(command)


@dataclass(frozen=True, slots=True)
class Where:
    """The few things of a site file that a tool needs to find the daemon and its data."""

    config: Path
    data_dir: Path
    socket: str | None
    outlets: tuple[str, ...]
    platforms: Mapping[str, Any]

    def must_have(self, platform: str, outlet: str | None = None) -> None:
        """Stop where the site file has no such platform or outlet; who may not read the file is believed."""
        if self.platforms and platform not in self.platforms:
            raise Stop("cli.unknown-platform", platform=platform, known=", ".join(self.platforms))
        if outlet is not None and self.outlets and outlet not in self.outlets:
            raise Stop("cli.unknown-outlet", outlet=outlet, known=", ".join(self.outlets))

    def ask(self, what: str, args: dict[str, Any] | None = None) -> Any:
        """Ask the daemon; ends with exit code 3 where there is none."""
        try:
            return client.ask(client.candidates(self.socket, self.data_dir), what, args)
        except client.NoDaemon as error:
            raise Stop(error.code, NO_DAEMON, **error.params) from error
        except client.Refused as error:
            raise Stop(error.code, CHECK_FAILED, **error.params) from error

    def query(self, what: str, args: dict[str, Any] | None = None) -> Any:
        """Ask the daemon, or without one read the store itself, as its owner."""
        try:
            return client.ask(client.candidates(self.socket, self.data_dir), what, args)
        except client.NoDaemon:
            return self._read(what, args or {})
        except client.Refused as error:
            raise Stop(error.code, CHECK_FAILED, **error.params) from error

    def _read(self, what: str, args: dict[str, Any]) -> Any:
        from sqlite3 import Error as SqlError

        from edge.control.queries import QUERIES, official_platforms
        from edge.store.database import read_only
        from edge.store.errors import StoreError
        from edge.store.records import NotAsSealed

        query = QUERIES[what]
        try:
            db = read_only(self.data_dir / ("samples.db" if query.samples else "records.db"))
        except StoreError as error:
            raise Stop(error.code, WRONG_USE, **error.params) from error
        except PermissionError as error:
            raise Stop("cli.no-permission", WRONG_USE, path=self.data_dir) from error
        try:
            return query.answer(db, {**args, "official": official_platforms(self.platforms)})
        except NotAsSealed as error:
            if error.which is None:
                raise Stop("store.unreadable", WRONG_USE, file=self.data_dir, reason=error) from error
            raise Stop("store.record_damaged", WRONG_USE, file="records.db", **error.which) from error
        except (SqlError, UnicodeDecodeError) as error:  # damaged, or empty: the daemon sees to it when it starts
            raise Stop("store.unreadable", WRONG_USE, file=self.data_dir, reason=error) from error
        finally:
            db.close()


def where(config: Path) -> Where:
    """Read just enough of the site file, without its full check: a tool must be quick."""
    try:
        content = parse(config.read_bytes(), config).raw
        general = content.get("site", {})
        data_dir = Path(str(general.get("data_dir", "/var/lib/hj212-edge")))
    except PermissionError as error:
        # passwords stand in the site file: who may only read asks the daemon without it
        if client.RUN_DIR.is_dir():
            return Where(config, client.RUN_DIR, str(client.RUN_DIR / "control.sock"), (), {})
        raise Stop("cli.no-config", file=config, why=error.strerror) from error
    except OSError as error:
        raise Stop("cli.no-config", file=config, why=error.strerror) from error
    except ConfigErrors as error:
        found = error.problems[0]
        raise Stop("cli.bad-config", file=config, line=found.line, why=text(found.code, **found.params)) from error
    except AttributeError as error:
        raise Stop("cli.site-no-table", file=config) from error
    use_language(general.get("language") if general.get("language") in ("zh", "en") else None)
    return Where(config, data_dir, general.get("socket"), tuple(content.get("outlets", {})), _platforms(content))


def load_site(path: Path) -> Site:
    """The checked site file; ends with every error that was found, and exit code 2."""
    from config.load import load
    from edge.problems import problem_text

    where(path)  # whose language holds
    try:
        return load(path)
    except ConfigErrors as error:
        for problem in error.problems:
            click.echo(problem_text(str(path), problem), err=True)
        raise click.exceptions.Exit(WRONG_USE) from error


def _platforms(content: Mapping[str, Any]) -> Mapping[str, Any]:
    found = content.get("platforms", {})
    return {name: each for name, each in found.items() if isinstance(each, dict)} if isinstance(found, dict) else {}


def with_m3_h(value: float, unit: str | None, digits: int = 6) -> str:
    """A number, and m³/h beside L/s: flow meters show the former, the standard wants the latter."""
    shown = rounded(value, digits)
    return f"{shown} ({rounded(value * M3_H_IN_L_S, digits)} m³/h)" if unit == FLOW_UNIT else shown


def rounded(value: float, digits: int) -> str:
    """So many digits; of a larger number all, to the hundredth, as meters show it: 1.235e+05 kWh is none to compare."""
    return f"{value:.{digits}g}" if abs(value) < 10 ** (digits - 1) else f"{value:.2f}"


@contextmanager
def writing(path: Path | str) -> Iterator[None]:
    """Ends the command with one line where a file that it was told to write cannot be written."""
    try:
        yield
    except OSError as error:
        raise Stop("cli.cannot-write", path=path, why=error.strerror or error) from error


def print_json(value: Any) -> None:
    """One JSON document, indented for people, keys in the order given."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def table(
    titles: Sequence[str],
    rows: Iterable[Sequence[Any]],
    caption: str | None = None,
    columns: int = 160,
    whole: Collection[str] = (),
) -> None:
    """A table on the technician's screen, or `columns` wide in a pipe; titles are codes of the catalogue.

    `whole`: titles of columns whose cells are never broken: half a number is another number.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    drawn = Table(
        *(text(title) for title in titles), box=box.SIMPLE_HEAD, title=caption, title_justify="left", pad_edge=False
    )
    for row in rows:
        drawn.add_row(*("-" if cell is None else str(cell) for cell in row))
    for title, column in zip(titles, drawn.columns, strict=True):
        column.overflow = "fold"  # a cut address or time is worse than a second line
        column.no_wrap = title in whole
    width = None if sys.stdout.isatty() else columns
    Console(highlight=False, markup=False, width=width).print(drawn)
