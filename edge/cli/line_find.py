"""`hj212 line find 35.6`: the register that holds the number on the analyzer's screen."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from drivers import find as core
from drivers import models
from drivers.bus import Caller
from drivers.errors import DeviceRefused, DeviceSilent, DriverError, PortLost
from drivers.modbus_frame import Framing, FramingName
from drivers.modbus_pdu import read_ask
from edge.catalogue import explain, text
from edge.cli.common import (
    CHECK_FAILED,
    WRONG_USE,
    Stop,
    Where,
    config_option,
    json_option,
    print_json,
    table,
    where,
)
from edge.cli.line_tools import Format, Numbers, Progress, Target, borrowed, line_argument, target
from edge.control import client
from edge.measure.gas import from_volume_share
from edge.tools.own_line import ToolBus, site_tables
from edge.tools.site_block import PointPlace, point_block
from protocol.errors import ProtocolError
from protocol.factors import factor as factor_row
from protocol.factors import molar_mass
from protocol.units import convert

_TIMEOUT_S = 1.0
_DAEMON_S = 120.0
"""The daemon asks between its polls, with the instrument's own time-out."""
_SHOWN = 12
_BLOCKS = 3
_UNITS = ("mg/L", "ug/L", "g/L", "mg/m3", "ug/m3", "m3/h", "L/s", "m3/s", "m3/min", "kPa", "Pa", "MPa", "kW", "W")
"""In which an instrument may hold what its screen shows in another unit."""
_PORT_CODES = (
    "drivers.line-held", "drivers.port-closed", "drivers.port-lost", "drivers.port-gone", "drivers.port-missing",
    "drivers.port-denied", "drivers.port-in-use",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Whom:
    """Who is asked, and how to reach him."""

    instrument: str | None
    address: int | None
    """None: the daemon knows it."""
    framing: FramingName


@click.command("find", help=text("tools.verb-find"))
@click.argument("number")
@line_argument
@config_option
@click.option("--instrument", help=text("tools.find-instrument-option"))
@click.option("--address", type=click.IntRange(1, 255), help=text("tools.find-address-option"))
@click.option("--framing", type=click.Choice(("rtu", "ascii", "tcp")), help=text("tools.find-framing-option"))
@click.option("--baud", type=click.IntRange(50, 4_000_000), help=text("tools.baud-option"))
@click.option("--format", "line_format", type=Format(), metavar="8N1", help=text("tools.format-option"))
@click.option("--function", "functions", type=click.Choice(("3", "4")), multiple=True,
              help=text("tools.find-function-option"))  # fmt: skip
@click.option("--registers", type=Numbers(), help=text("tools.find-registers-option"))
@click.option("--tolerance", type=click.FloatRange(0), help=text("tools.find-tolerance-option"))
@click.option("--range", "span", type=float, nargs=2, help=text("tools.find-range-option"))
@click.option("--factor", help=text("tools.find-factor-option"))
@click.option("--unit", help=text("tools.find-unit-option"))
@click.option("--again", multiple=True, help=text("tools.find-again-option"))
@click.option("--pause", "pause_s", type=click.FloatRange(0), default=10.0, show_default=True,
              help=text("tools.find-pause-option"))  # fmt: skip
@json_option
def find(number: str, line: str | None, config: Path, as_json: bool, **how: Any) -> None:
    """Survey, search, look again, print."""
    screen, *later = [_screen(one, how["tolerance"]) for one in (number, *how["again"])]
    scales = _unit_scales(how["factor"], how["unit"])
    with _reader(config, line, how) as (whom, read):
        registers = _survey(read, how)
        found = core.search(registers, screen, how["span"], scales)
        found = core.again(read, found, screen) if not later else found
        found = _looked_again(read, found, later, how["pause_s"])
        if sys.stdin.isatty() and not as_json and not later:
            found = _asked_again(read, found, how["tolerance"])
    count = sum(len(here) for here in registers.values())
    _tell(found, count, whom, how, as_json)
    if not found:
        raise SystemExit(CHECK_FAILED)


def _screen(number: str, tolerance: float | None) -> core.Screen:
    try:
        return core.Screen.from_text(number, tolerance)
    except ValueError as error:
        raise Stop("tools.not-a-number", WRONG_USE, given=number) from error


def _unit_scales(factor: str | None, unit: str | None) -> list[core.Scale]:
    """From units in which the register may be to that of the screen; of a gas also from ppm."""
    row = factor_row(factor) if factor else None
    shown = unit or (row.unit if row else None)
    if shown is None:
        return []
    found = []
    for other in _UNITS:
        try:
            scale = convert(1.0, other, shown)
        except ProtocolError:
            continue
        if scale not in (1.0, 0.1, 0.01, 0.001):
            found.append(core.Scale(scale, 0.0, other, 3))
    mass = molar_mass(factor) if factor else None
    if mass is not None and shown.replace("³", "3") in ("mg/m3", "mg/Nm3"):
        found.append(core.Scale(from_volume_share(1.0, mass), 0.0, "ppm", 3))
    return found


@contextmanager
def _reader(config: Path, line: str | None, how: dict[str, Any]) -> Iterator[tuple[Whom, core.Read]]:
    """Through the daemon where it has the instrument; else with the line in our own hands."""
    instrument = how["instrument"]
    connection = None if instrument is None else _daemon(where(config))
    if connection is not None:
        with connection:
            yield Whom(instrument, how["address"], "rtu"), _Remote(connection, instrument)
        return
    wanted, whom = _whom(config, line, how)
    settings = wanted.settings
    baud, line_format = how["baud"] or settings.baud, how["line_format"] or settings.format
    with borrowed(wanted, "line find") as own, own.at(baud, line_format) as bus:
        yield whom, _Own(ToolBus(bus, Caller("find", _TIMEOUT_S), 2), whom.address or 1, whom.framing)


def _whom(config: Path, line: str | None, how: dict[str, Any]) -> tuple[Target, Whom]:
    name = how["instrument"]
    if name is None:
        if how["address"] is None:
            raise Stop("tools.which-instrument", WRONG_USE)
        return target(config, line), Whom(None, how["address"], how["framing"] or "rtu")
    instruments = site_tables(config, "instruments")
    if name not in instruments:
        raise Stop("tools.no-instrument", WRONG_USE, instrument=name, known=", ".join(instruments) or "–")
    one = _with_model(config, instruments[name])
    address = one.get("address", 1)
    if one.get("driver") != "modbus" or not isinstance(address, int):
        raise Stop("tools.not-modbus", WRONG_USE, driver=one.get("driver") or "–")
    framing = how["framing"] or one.get("framing", "rtu")
    return target(config, line or one.get("line")), Whom(name, address, framing)


def _with_model(config: Path, one: dict[str, Any]) -> dict[str, Any]:
    """An instrument's table, and below it what its model says of it."""
    if "model" not in one:
        return one
    try:
        model = models.model(str(one["model"]), config.parent / "models")
    except DriverError as error:
        raise Stop(error.code, WRONG_USE, **error.params) from error
    return {"driver": model.get("model", {}).get("driver"), **model.get("instrument", {}), **one}


def _daemon(place: Where) -> client.Connection | None:
    try:
        return client.Connection(client.candidates(place.socket, place.data_dir), _DAEMON_S)
    except client.NoDaemon:
        return None
    except client.Refused as error:
        raise Stop(error.code, CHECK_FAILED, **error.params) from error


@dataclass(frozen=True, slots=True)
class _Own:
    """Reads on the line that we have."""

    bus: ToolBus
    address: int
    framing: FramingName

    def __call__(self, function: int, register: int, count: int) -> bytes:
        framing = Framing(self.framing)
        request = framing.maker(read_ask(self.address, function, register, count))()
        return framing.pdu(self.bus.ask(request))[2:]


@dataclass(frozen=True, slots=True)
class _Remote:
    """Has the daemon read, between its polls."""

    connection: client.Connection
    instrument: str

    def __call__(self, function: int, register: int, count: int) -> bytes:
        args = {"instrument": self.instrument, "function": function, "register": register, "count": count}
        try:
            row = self.connection.ask("instrument-registers", args)
        except client.Refused as error:
            raise Stop(error.code, CHECK_FAILED, **error.params) from error
        except client.NoDaemon as error:
            raise Stop(error.code, CHECK_FAILED, **error.params) from error
        if row["error"] is not None:
            raise _as_error(row["error"])
        return bytes.fromhex(row["raw"])


def _as_error(error: dict[str, Any]) -> DriverError:
    code, params = error["code"], error["params"]
    if code in _PORT_CODES:
        raise Stop("tools.failed", CHECK_FAILED, why=explain(PortLost(code, **params)))
    return DeviceRefused(code, **params) if "exception" in params else DeviceSilent(code, **params)


def _survey(read: core.Read, how: dict[str, Any]) -> core.Registers:
    functions = [int(one) for one in how["functions"]] or list(core.FUNCTIONS)
    ranges = core.USUAL if how["registers"] is None else _runs(how["registers"])
    known: core.Registers = {}
    with Progress() as progress:
        try:
            for known in core.survey(read, functions, ranges):
                count = sum(len(here) for here in known.values())
                progress.show(text("tools.surveying", count=count), 0, 0)
        except KeyboardInterrupt:
            progress.say(text("tools.survey-stopped"))
    return known


def _runs(registers: Sequence[int]) -> list[range]:
    """Neighbours together; what lies between them was not asked for."""
    runs: list[range] = []
    for one in sorted(set(registers)):
        start = runs.pop().start if runs and runs[-1].stop == one else one
        runs.append(range(start, one + 1))
    return runs


def _looked_again(
    read: core.Read, found: list[core.Candidate], later: Sequence[core.Screen], pause_s: float
) -> list[core.Candidate]:
    """Each further number after its pause; Ctrl-C leaves what fits until then."""
    try:
        for one in later:
            time.sleep(pause_s)
            found = core.again(read, found, one)
    except KeyboardInterrupt:
        click.echo(text("tools.again-stopped"), err=True)
    return found


def _asked_again(read: core.Read, found: list[core.Candidate], tolerance: float | None) -> list[core.Candidate]:
    """As long as several places fit, the screen is asked for once more."""
    while len(found) > 1:
        click.echo(text("tools.find-several", count=len(found)))
        try:
            number = click.prompt(text("tools.find-now"), default="", show_default=False)
        except click.Abort:  # Ctrl-C: what was found stays
            return found
        if not number:
            return found
        try:
            screen = _screen(number, tolerance)
        except Stop as slip:
            slip.show()
            continue
        found = core.again(read, found, screen)
    return found


def _tell(found: Sequence[core.Candidate], count: int, whom: Whom, how: dict[str, Any], as_json: bool) -> None:
    name = whom.instrument or f"modbus-{whom.address}"
    blocks = [point_block(name, place(one, how["span"]), how["factor"], None) for one in found]
    if as_json:
        rows = [_object(one) | {"toml": block} for one, block in zip(found, blocks, strict=True)]
        print_json({"instrument": whom.instrument, "address": whom.address, "registers": count, "candidates": rows})
        return
    if not found:
        click.echo(text("tools.find-nothing" if count else "tools.find-silent", count=count), err=True)
        return
    titles = [f"tools.col-{one}" for one in ("function", "register", "type", "order", "scale", "raw", "value")]
    table(titles, [_row(one) for one in found[:_SHOWN]])
    for block in blocks[:_BLOCKS]:
        click.echo(block)
    click.echo(text("tools.find-hint"), err=True)


def _row(one: core.Candidate) -> list[Any]:
    raw = one.raw.hex(" ").upper()
    return [one.function, one.register, one.type, one.order, one.scale.why or "1", raw, f"{one.value:.7g}"]


def _object(one: core.Candidate) -> dict[str, Any]:
    return {
        "function": one.function,
        "register": one.register,
        "type": one.type,
        "order": one.order,
        "words": one.words,
        "scale": one.scale.factor,
        "offset": one.scale.offset,
        "why": one.scale.why or None,
        "raw": one.raw.hex(" "),
        "value": one.value,
    }


def place(one: core.Candidate, span: tuple[float, float] | None) -> PointPlace:
    """A candidate as a point: a unit is converted as such, a current stays one (NAMUR limits), all else is scaled."""
    at = one.function, one.register, one.type, one.order
    words = one.words if one.type == "bcd" else None
    if one.scale.why in _UNITS or one.scale.why == "ppm":
        return PointPlace(*at, unit=one.scale.why, words=words)
    if one.scale.why in core.CURRENTS:
        scale, offset = core.CURRENTS[one.scale.why]
        return PointPlace(*at, scale=scale, offset=offset, current=span)
    return PointPlace(*at, scale=one.scale.factor, offset=one.scale.offset, words=words)
