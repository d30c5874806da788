"""A line in the hands of a tool of the command line: asked from the daemon, or opened where no daemon has it.

    with lent(place, "rs485-1", "line scan") as line:     the daemon closes the port; a thread renews the hold
        with line.at(LineSettings(…)) as bus: …           the port, opened anew with other settings where need be

Where the daemon takes the line back, `line.stop` ends every wait: LineStopped.
"""

from __future__ import annotations

import re
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from config.markers import parse_duration
from drivers.bus import Caller, LineBus
from drivers.driver import Request
from drivers.port import LineSettings, Port, StopSignal, open_port
from drivers.tap import Tap, TappedPort
from edge.control import client

TAKE_S = 90.0
"""A poll that goes on is not cut off: the longest time-out is a minute."""
FORMAT = re.compile(r"[5-8][NEOMS](1|1\.5|2)")
"""Data bits, parity, stop bits."""
BAUDS = range(50, 4_000_001)
_LOOK_S = 0.1


class NotLent(Exception):
    """The daemon keeps the line busy."""


@dataclass(slots=True)
class OwnLine:
    """A port that is ours for now."""

    settings: LineSettings
    stop: StopSignal = field(default_factory=StopSignal)
    tap: Tap = field(default_factory=lambda: Tap(time.monotonic))
    lent: bool = False
    """It comes from the daemon."""
    taken_back: bool = False
    """The daemon wanted the line back."""

    @contextmanager
    def at(self, baud: int, line_format: str) -> Iterator[LineBus]:
        """The line's exchanges at a speed. Raises PortLost."""
        settings = replace(self.settings, baud=baud, format=line_format)
        port = self._open(settings)
        try:
            yield LineBus(port, settings, time.monotonic)
        finally:
            port.close()

    @contextmanager
    def opened(self) -> Iterator[Port]:
        """The bare port, to listen. Raises PortLost."""
        port = self._open(self.settings)
        try:
            yield port
        finally:
            port.close()

    def _open(self, settings: LineSettings) -> Port:
        return TappedPort(open_port(settings, self.stop), self.tap)


@dataclass(frozen=True, slots=True)
class ToolBus:
    """The bus as a tool's driver sees it."""

    bus: LineBus
    caller: Caller
    attempts: int = 1

    def ask(self, request: Request) -> bytes:
        """One exchange."""
        return self.bus.ask(self.caller, request, self.attempts)


def site_tables(config: Path, kind: str) -> dict[str, dict[str, Any]]:
    """The tables `[kind.NAME]` of a site file, without its check; none where it cannot be read."""
    try:
        found = tomllib.loads(config.read_text(encoding="utf-8")).get(kind, {})
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return {}
    return {name: one for name, one in found.items() if isinstance(one, dict)} if isinstance(found, dict) else {}


def line_settings(one: dict[str, Any]) -> LineSettings:
    """What a table `[lines.NAME]` with a port says; ValueError for what cannot be. The full check is `config`'s."""
    gap_s = parse_duration(str(one.get("gap", "0s"))) / 1000
    baud, line_format = int(str(one.get("baud", 9600))), str(one.get("format", "8N1"))
    if FORMAT.fullmatch(line_format) is None or baud not in BAUDS:
        raise ValueError(f"{baud} {line_format}")
    return LineSettings(str(one["port"]), baud, line_format, gap_s)


def line_of(port: str, lines: dict[str, LineSettings]) -> str | None:
    """Which of the site's lines has this port, by whatever name of the device."""
    wanted = _real(port)
    return next((name for name, one in lines.items() if _real(one.port) == wanted), None)


def _real(port: str) -> str:
    return port if "://" in port else str(Path(port).resolve())


@contextmanager
def lent(paths: list[Path], line: str | None, tool: str, settings: LineSettings) -> Iterator[OwnLine]:
    """A line for the time of a tool; `line` None, or no daemon: the port is simply ours.

    Raises client.Refused where the daemon says no, NotLent where its poll does not end.
    """
    own = OwnLine(settings)
    try:
        connection = None if line is None else _connection(paths)
        if connection is None:
            yield own
            return
        with connection:
            lease_s = _taken(connection, str(line), tool)
            own.lent = True
            ended = threading.Event()
            renewing = threading.Thread(target=_renew, args=(connection, line, lease_s, own, ended), daemon=True)
            renewing.start()
            try:
                yield own
            finally:
                ended.set()
                renewing.join()
                if not own.taken_back:
                    with suppress(client.Refused, client.NoDaemon):  # it has come back by itself
                        connection.ask("line-return", {"line": line})
    finally:
        own.stop.close()


def _connection(paths: list[Path]) -> client.Connection | None:
    try:
        return client.Connection(paths)
    except client.NoDaemon:
        return None


def _taken(connection: client.Connection, line: str, tool: str) -> float:
    """Wait until the port is ours; how long the lease is."""
    until = time.monotonic() + TAKE_S
    state = connection.ask("line-take", {"line": line, "tool": tool})
    while not state["held"]:
        if time.monotonic() > until:
            raise NotLent(line)
        time.sleep(_LOOK_S)
        state = connection.ask("line-renew", {"line": line})
    return float(state["lease_s"])


def _renew(connection: client.Connection, line: str, lease_s: float, own: OwnLine, ended: threading.Event) -> None:
    while not ended.wait(lease_s / 4):
        try:
            connection.ask("line-renew", {"line": line})
        except (client.Refused, client.NoDaemon):
            own.taken_back = True
            own.stop.set()
            return
