"""`hj212 line scan`: who is on the line, at which speed and address, and a block for the site file."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import click

from drivers import identify
from drivers.bus import Caller, LineBus
from drivers.driver import Bus
from drivers.errors import PortLost
from drivers.modbus_frame import FramingName
from drivers.port import LineStopped
from drivers.scan import PROTOCOLS, Found, Protocol, Setting, Step, Wish, plan, scan
from edge.catalogue import text
from edge.cli.common import CHECK_FAILED, config_option, json_option, print_json
from edge.cli.line_tools import Format, Numbers, Progress, Target, borrowed, line_argument, minutes, target
from edge.tools.own_line import OwnLine, ToolBus, site_tables
from edge.tools.site_block import Instrument, instrument_block, line_block

_IDENTIFY_S = 0.5


@dataclass(slots=True)
class Result:
    """What a scan has brought so far; `stopped` None: it went to its end."""

    instruments: list[Instrument] = field(default_factory=list)
    damaged: Counter[Setting] = field(default_factory=Counter)
    probes: int = 0
    stopped: str | None = None


class Reading(click.ParamType[tuple[int, int, int]]):
    """`3:0:1`: function, register, count."""

    name = "F:REGISTER:COUNT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int, int]:
        """The three numbers."""
        if isinstance(value, tuple):
            return value
        parts = [part for part in str(value).split(":") if part.strip().lower().removeprefix("0x").isalnum()]
        try:
            function, register, count = (int(part, 0) for part in parts)
        except ValueError:
            self.fail(text("tools.not-a-read", given=value), param, ctx)
        if function not in (1, 2, 3, 4) or not 0 <= register <= 65535 or not 1 <= count <= 125:
            self.fail(text("tools.not-a-read", given=value), param, ctx)
        return function, register, count


@click.command("scan", help=text("tools.verb-scan"))
@line_argument
@config_option
@click.option("--baud", "bauds", type=click.IntRange(50, 4_000_000), multiple=True, help=text("tools.scan-baud-option"))
@click.option("--format", "formats", type=Format(), multiple=True, metavar="8N1",
              help=text("tools.scan-format-option"))  # fmt: skip
@click.option("--address", "addresses", type=Numbers(), help=text("tools.scan-address-option"))
@click.option("--protocol", "protocols", type=click.Choice(PROTOCOLS), multiple=True,
              help=text("tools.scan-protocol-option"))  # fmt: skip
@click.option("--stop-at", type=click.IntRange(1), help=text("tools.scan-stop-option"))
@click.option("--everywhere", is_flag=True, help=text("tools.scan-everywhere-option"))
@click.option("--read", type=Reading(), default="3:0:1", show_default=True, help=text("tools.scan-read-option"))
@click.option("--timeout", "timeout_s", type=click.FloatRange(0.02, 10), metavar="S",
              help=text("tools.scan-timeout-option"))  # fmt: skip
@click.option("--outlet", help=text("tools.outlet-option"))
@json_option
def scan_line(
    line: str | None, config: Path, stop_at: int | None, outlet: str | None, as_json: bool, **how: Any
) -> None:
    """Scan, identify, print; Ctrl-C gives what was found until then."""
    wanted = target(config, line)
    wish = _wish(wanted, **how)
    if not plan(wish):
        raise click.BadParameter(text("tools.scan-no-address"), param_hint="--address")
    began = time.monotonic()
    result = Result()
    with borrowed(wanted, "line scan") as own, Progress() as progress:
        _run(own, wish, stop_at, result, progress, config.parent / "models")
    name = wanted.name or _free_name(site_tables(config, "lines"))
    known = _known(config, wanted)
    result.instruments = [_named(one, name, config, known) for one in result.instruments]
    blocks = _blocks(wanted, name, result, outlet or _outlet(config), known)
    if as_json:
        print_json(_document(wanted, result, blocks, time.monotonic() - began))
    else:
        _show(result, blocks, known)
    if not result.instruments:
        raise SystemExit(CHECK_FAILED)


def _wish(wanted: Target, **how: Any) -> Wish:
    """What was asked for; behind a TCP port the serial server alone sets speed and format."""
    settings = wanted.settings
    is_tcp = settings.port.startswith("socket://")
    return Wish(
        protocols=cast("Sequence[Protocol]", how["protocols"] or PROTOCOLS),
        bauds=how["bauds"] or ((settings.baud,) if is_tcp else None),
        formats=how["formats"] or ((settings.format,) if is_tcp else None),
        first=None if wanted.name is None else Setting(settings.baud, settings.format),
        addresses=how["addresses"],
        read=how["read"],
        timeout_s=how["timeout_s"],
        everywhere=how["everywhere"],
    )


def _run(own: OwnLine, wish: Wish, stop_at: int | None, result: Result, progress: Progress, models_dir: Path) -> None:
    """Scan and identify; what ends it early is written down, and what was found stays."""
    found: list[Found] = []

    def at(setting: Setting) -> AbstractContextManager[LineBus]:
        return own.at(setting.baud, setting.format)

    try:
        for step in scan(wish, at):
            _take_in(step, found, result, progress)
            if stop_at is not None and len(found) >= stop_at:
                result.stopped = "enough"
                break
    except KeyboardInterrupt:
        result.stopped = "asked"
        progress.say(text("tools.stopped-asked"))
    except LineStopped:
        result.stopped = "taken-back"
    except PortLost:
        if not found:
            raise
        result.stopped = "port-lost"
    result.instruments = [Instrument(one) for one in found]
    if result.stopped in ("taken-back", "port-lost"):
        return
    try:
        for index, one in enumerate(found):
            progress.show(text("tools.identifying", address=one.address), index, len(found))
            with at(one.setting) as bus:
                result.instruments[index] = identified(ToolBus(bus, Caller("scan", _IDENTIFY_S)), one, models_dir)
    except (KeyboardInterrupt, LineStopped, PortLost) as error:
        result.stopped = result.stopped or ("port-lost" if isinstance(error, PortLost) else "asked")


def _take_in(step: Step, found: list[Found], result: Result, progress: Progress) -> None:
    setting = step.probe.setting
    result.probes = step.done
    result.damaged[setting] += step.damaged
    for one in step.found:
        found.append(one)
        progress.say(text("tools.found", **_words(one)))
    at = f"{setting.baud} {setting.format}"
    what = text("tools.scanning", at=at, protocol=step.probe.protocol, address=step.probe.address,
                left=minutes(step.left_s))  # fmt: skip
    progress.show(what, step.done, step.total)


def identified(bus: Bus, one: Found, models_dir: Path) -> Instrument:
    """What the instrument says of itself, and the models that it may be."""
    if one.protocol not in ("modbus", "modbus-ascii") or not isinstance(one.address, int):
        return Instrument(one)
    framing: FramingName = "rtu" if one.protocol == "modbus" else "ascii"
    said = identify.identity(bus, one.address, framing)
    return Instrument(one, said, identify.candidates(bus, one.address, framing, models_dir))


def _words(one: Found) -> dict[str, Any]:
    return {
        "protocol": one.protocol, "address": one.address, "baud": one.setting.baud, "format": one.setting.format,
        "said": one.said,
    }  # fmt: skip


def _outlet(config: Path) -> str:
    """The outlet of the site, where there is one; else the name that a new site has."""
    return next(iter(site_tables(config, "outlets")), "ww1")


def _known(config: Path, wanted: Target) -> dict[str, str]:
    """Instruments of the site on this line, by address."""
    here = {name: one for name, one in site_tables(config, "instruments").items() if one.get("line") == wanted.name}
    return {str(one.get("address", 1)): name for name, one in here.items()}


def _free_name(lines: Collection[str]) -> str:
    """What a line may be called that the site does not have."""
    return next(name for number in itertools.count(1) if (name := f"rs485-{number}") not in lines)


def _named(one: Instrument, line: str, config: Path, known: Collection[str]) -> Instrument:
    """Two lines of a site often have an instrument at the same address: each has a name of its own."""
    is_taken = one.name in site_tables(config, "instruments") and str(one.found.address) not in known
    return replace(one, prefix=f"{line}-") if is_taken else one


def _blocks(wanted: Target, name: str, result: Result, outlet: str, known: Collection[str]) -> str:
    """The line, where the site does not have it so, and the instruments that it does not have."""
    if not result.instruments:
        return ""
    blocks = []
    setting = result.instruments[0].found.setting
    if wanted.name is None or (setting.baud, setting.format) != (wanted.settings.baud, wanted.settings.format):
        blocks.append(line_block(name, wanted.settings.port, setting.baud, setting.format))
    fresh = [one for one in result.instruments if str(one.found.address) not in known]
    blocks += [instrument_block(one, name, outlet) for one in fresh]
    return "\n".join(blocks)


def _document(wanted: Target, result: Result, blocks: str, took_s: float) -> dict[str, Any]:
    """Keys: docs/json.md."""
    return {
        "line": wanted.name,
        "port": wanted.settings.port,
        "stopped": result.stopped,
        "probes": result.probes,
        "seconds": round(took_s, 1),
        "found": [_object(one) for one in result.instruments],
        "damaged": [
            {"baud": setting.baud, "format": setting.format, "count": count}
            for setting, count in result.damaged.items()
            if count
        ],
        "toml": blocks,
    }


def _object(one: Instrument) -> dict[str, Any]:
    models = [{"model": each.model, "score": each.score, "values": each.values} for each in one.candidates]
    return {"name": one.name, **_words(one.found), "identity": dict(one.identity), "model": one.model, "models": models}


def _show(result: Result, blocks: str, known: dict[str, str]) -> None:
    if result.stopped in ("enough", "taken-back", "port-lost"):
        click.echo(text(f"tools.stopped-{result.stopped}"), err=True)
    for one in result.instruments:
        there = known.get(str(one.found.address))
        if there is not None:
            click.echo(text("tools.already", address=one.found.address, instrument=there), err=True)
    if not result.instruments:
        click.echo(text("tools.nothing-found", probes=result.probes), err=True)
        for setting, count in result.damaged.most_common(3):
            if count:
                click.echo(text("tools.damaged-at", baud=setting.baud, format=setting.format, count=count), err=True)
        return
    if blocks:
        click.echo(blocks, nl=False)
        click.echo(text("tools.scan-hint"), err=True)
