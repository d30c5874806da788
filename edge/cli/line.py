"""`hj212 line scan`, `find`, `sniff`, `hold`, `replay`: commissioning a line."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from drivers.capture import FIELDS, NONE, Capture, Frame
from drivers.decode import block, shown
from drivers.errors import BadOption
from drivers.port import LineSettings
from drivers.sniff import Heard, Splitter
from edge.catalogue import explain, text
from edge.cli.common import CHECK_FAILED, WRONG_USE, Stop, config_option, json_option, writing
from edge.cli.decode import frame_object, summary
from edge.cli.line_find import find
from edge.cli.line_scan import scan_line
from edge.cli.line_tools import Format, Target, borrowed, target
from edge.clock import SystemClock
from edge.control import client
from protocol.times import iso_text

_LOOK_S = 0.2
_BREATH_S = 0.01
_VALUES = 3
_PASSWORD = re.compile(r"(?<=PW=)[^;&]*", re.IGNORECASE)
_ARROWS = {True: ">", False: "<", None: "?"}


@click.group("line", help=text("cli.verb-line"))
def line_group() -> None:
    """Commissioning a line."""


line_group.add_command(scan_line)
line_group.add_command(find)


@line_group.command("sniff", help=text("tools.verb-sniff"))
@click.argument("line", metavar="LINE|PORT")
@config_option
@click.option("--seconds", type=click.FloatRange(0.1), help=text("tools.sniff-seconds-option"))
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False), help=text("tools.sniff-save-option"))
@click.option("--instrument", default=NONE, help=text("tools.sniff-instrument-option"))
@click.option("--model", default=NONE, help=text("tools.sniff-model-option"))
@click.option("--firmware", default=NONE, help=text("tools.sniff-firmware-option"))
@click.option("--baud", type=click.IntRange(50, 4_000_000), help=text("tools.baud-option"))
@click.option("--format", "line_format", type=Format(), metavar="8N1", help=text("tools.format-option"))
@json_option
def sniff(line: str, config: Path, seconds: float | None, save: Path | None, as_json: bool, **more: Any) -> None:
    """Print frame after frame until Ctrl-C; `--save` writes them as a capture."""
    wanted = target(config, line)
    if wanted.name is None and (more["baud"] or more["line_format"]):
        settings = LineSettings(wanted.settings.port, more["baud"] or 9600, more["line_format"] or "8N1")
        wanted = Target(None, settings, wanted.paths)
    heard: list[Heard] = []
    with suppress(KeyboardInterrupt):
        for one in _frames(wanted, None if seconds is None else time.monotonic() + seconds):
            heard.append(one)
            click.echo(frame_json(one) if as_json else frame_line(one))
    if save is not None:
        with writing(save):
            save.write_text(capture(heard, wanted, more).to_text(), encoding="utf-8")
        click.echo(text("tools.saved", count=len(heard), file=save), err=True)
    if not heard:
        click.echo(text("tools.sniff-nothing", line=wanted.title), err=True)
        raise SystemExit(CHECK_FAILED)


def _frames(wanted: Target, until: float | None) -> Iterator[Heard]:
    """From the daemon, where the line is its own; else from the port."""
    splitter = Splitter(wanted.settings.silence_s)
    chunks = _chunks_of_daemon(wanted, until) or _chunks_of_port(wanted, until)
    began: float | None = None
    for at_s, to_instrument, data in chunks:
        began = at_s if began is None and data else began
        since = at_s - (began or at_s)
        yield from splitter.feed(since, data, to_instrument) if data else splitter.silent(since)
    yield from splitter.flush()


Chunk = tuple[float, bool | None, bytes]


def _chunks_of_daemon(wanted: Target, until: float | None) -> Iterator[Chunk] | None:
    """What the daemon's line says and hears; None where no daemon has it."""
    if wanted.name is None:
        return None
    try:
        connection = client.Connection(wanted.paths)
    except client.NoDaemon:
        return None
    except client.Refused as error:
        raise Stop(error.code, CHECK_FAILED, **error.params) from error
    return _listened(connection, wanted.name, until)


def _listened(connection: client.Connection, line: str, until: float | None) -> Iterator[Chunk]:
    with connection:
        try:
            connection.ask("line-listen", {"line": line})
            after = 0
            while until is None or time.monotonic() < until:
                said = connection.ask("line-listen", {"line": line, "after": after})
                for number, at_s, to_instrument, data in said["pieces"]:
                    after = number
                    yield at_s, to_instrument, bytes.fromhex(data)
                yield said["now_s"], None, b""
                time.sleep(_LOOK_S)
        except client.Refused as error:
            raise Stop(error.code, CHECK_FAILED, **error.params) from error
        except client.NoDaemon as error:
            raise Stop("tools.daemon-ended", CHECK_FAILED) from error


def _chunks_of_port(wanted: Target, until: float | None) -> Iterator[Chunk]:
    with borrowed(wanted, "line sniff") as own, own.opened() as port:
        while until is None or time.monotonic() < until:
            port.wait(_BREATH_S)
            data = port.read()
            yield time.monotonic(), None, data


def frame_line(one: Heard) -> str:
    """A frame in one line: time, direction, bytes, what it says."""
    head = f"{one.at_s:9.3f} {_ARROWS[one.to_instrument]} "
    if one.frame is not None and one.frame.protocol == "hj212":
        return head + _PASSWORD.sub("***", one.data.decode("ascii", "replace").strip())
    said = "" if one.frame is None else f"   {summary(one.frame)}{_values(one)}"
    return f"{head}{one.data.hex(' ').upper()}{said}"


def _values(one: Heard) -> str:
    """The likeliest numbers of an answer of registers."""
    if one.frame is None or one.frame.kind != "answer" or one.frame.fields.get("function") not in (3, 4):
        return ""
    likely = [guess for guess in block(one.frame.data) if guess.plausible and guess.type == "float32"]
    return "".join(f"  [{guess.register} {guess.order} {shown(guess)}]" for guess in likely[:_VALUES])


def frame_json(one: Heard) -> str:
    """A frame as JSON (keys: docs/json.md)."""
    import json

    frame = None if one.frame is None else frame_object(one.frame)
    row = {"at_s": round(one.at_s, 3), "to_instrument": one.to_instrument, "bytes": one.data.hex(" "), "frame": frame}
    return json.dumps(row, ensure_ascii=False)


def capture(heard: list[Heard], wanted: Target, named: dict[str, Any]) -> Capture:
    """What was heard, as a capture that was seen; of unknown direction counts as from the instrument."""
    line = f"{wanted.settings.baud} {wanted.settings.format}"
    known = {"source": "seen", "date": iso_text(SystemClock().wall_ms())[:10], "line": line}
    known |= {name: named[name] for name in ("instrument", "model", "firmware")}
    frames = tuple(Frame(round(one.at_s, 3), one.to_instrument is True, one.data) for one in heard)
    return Capture({name: known[name] for name in FIELDS}, frames)


@line_group.command("hold", help=text("tools.verb-hold"))
@click.argument("line", metavar="LINE")
@config_option
@click.option("--seconds", type=click.FloatRange(0.1), help=text("tools.sniff-seconds-option"))
def hold(line: str, config: Path, seconds: float | None) -> None:
    """The port is free for another program until Ctrl-C."""
    wanted = target(config, line)
    until = None if seconds is None else time.monotonic() + seconds
    with suppress(KeyboardInterrupt), borrowed(wanted, "line hold") as own:
        if not own.lent:
            raise Stop("tools.nothing-to-hold", CHECK_FAILED, port=wanted.settings.port)
        click.echo(text("tools.holding", line=wanted.title, port=wanted.settings.port), err=True)
        while until is None or time.monotonic() < until:
            own.stop.pause(_LOOK_S)
    click.echo(text("tools.held-no-more", line=wanted.title), err=True)


@line_group.command("replay", help=text("tools.verb-replay"))
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--link", type=click.Path(path_type=Path), help=text("tools.replay-link-option"))
@click.option("--baud", type=click.IntRange(50, 4_000_000), default=9600, show_default=True,
              help=text("tools.baud-option"))  # fmt: skip
@click.option("--seconds", type=click.FloatRange(0.1), help=text("tools.replay-seconds-option"))
def replay(file: Path, link: Path | None, baud: int, seconds: float | None) -> None:
    """An instrument on a pty that answers as the one of the capture did."""
    from drivers.simulated import SimulatedBus
    from drivers.simulated.slaves import Replay

    try:
        one = Replay(1, Capture.from_text(file.read_text(encoding="utf-8")))
    except (BadOption, UnicodeDecodeError) as error:
        why = explain(error) if isinstance(error, BadOption) else str(error)
        raise Stop("tools.no-capture", WRONG_USE, file=file, why=why) from error
    with writing(link or "pty"):
        bus = SimulatedBus([one], SystemClock(), baud=baud, link=link)
    bus.start()
    try:
        click.echo(bus.path)
        with suppress(KeyboardInterrupt):
            until = None if seconds is None else time.monotonic() + seconds
            while until is None or time.monotonic() < until:
                time.sleep(_LOOK_S)
    finally:
        bus.stop()
