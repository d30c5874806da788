"""`hj212 platform`, and its `serve`: a platform on the technician's laptop that receives, checks, answers, commands."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

import click
from click.core import ParameterSource

from edge.catalogue import explain, text
from edge.cli.links import list_platforms, packets, reset
from edge.cli.listening import KEEP, address_option, edition_option, listen_option
from edge.cli.online import links
from edge.cli.platform_check import check
from edge.cli.platform_mqtt import mqtt_schema
from edge.cli.platform_presets import presets
from edge.cli.platform_window import test

if TYPE_CHECKING:
    import ssl

    from edge.bench.conversation import CommandResult
    from edge.bench.notebook import Notebook
    from edge.bench.prompt import Prompt
    from edge.bench.received import Received
    from edge.bench.screen import Screen
    from edge.clock import Clock

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group("platform", help=text("bench.cli.platform"))
def platform_group() -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The options of `serve`."""

    listen: str
    connect: str | None
    tls_ca: Path | None
    tls_cert: Path | None
    tls_key: Path | None
    profile: str
    edition: str
    store: Path | None
    as_json: bool
    quiet: bool
    script: TextIO | None
    calibrate: bool


@platform_group.command("serve", help=text("bench.cli.serve"))
@listen_option
@click.option("--connect", metavar="HOST:PORT", callback=address_option, help=text("bench.cli.connect"))
@click.option("--tls-ca", type=_FILE, help=text("bench.cli.tls_ca"))
@click.option("--tls-cert", type=_FILE, help=text("bench.cli.tls_cert"))
@click.option("--tls-key", type=_FILE, help=text("bench.cli.tls_key"))
@click.option("--profile", default="normal", show_default=True, help=text("bench.cli.profile"))
@edition_option
@click.option("--store", type=_FILE, help=text("bench.cli.store"))
@click.option("--json", "as_json", is_flag=True, help=text("bench.cli.json"))
@click.option("--quiet", is_flag=True, help=text("bench.cli.quiet"))
@click.option("--script", type=click.File(encoding="utf-8"), help=text("bench.cli.script"))
@click.option("--calibrate", is_flag=True, help=text("bench.cli.calibrate"))
@click.pass_context
def serve(context: click.Context, /, **options: object) -> None:
    """Exit code 0 at `quit`, SIGINT or SIGTERM, 1 when the script failed, 2 for a wrong option."""
    from edge.bench.errors import BenchError

    if options["connect"] is not None and context.get_parameter_source("listen") is ParameterSource.COMMANDLINE:
        _refuse(text("bench.cli.connect_alone"))
    try:
        code = asyncio.run(_serve(Wish(**options)))  # type: ignore[arg-type]  # click has given each its type
    except BenchError as error:
        _refuse(explain(error))
    except OSError as error:
        _refuse(text("bench.cli.cannot_listen", listen=options["listen"], reason=error.strerror or error))
    sys.exit(code)


def _refuse(words: str) -> NoReturn:
    click.echo(words, err=True)
    sys.exit(2)


async def _serve(wish: Wish) -> int:
    from edge.bench.edition import edition
    from edge.bench.notebook import Notebook
    from edge.bench.platform import BenchPlatform, Options
    from edge.bench.profiles import profile
    from edge.bench.prompt import Prompt
    from edge.bench.screen import JsonScreen, TextScreen
    from edge.clock import SystemClock

    screen = (JsonScreen if wish.as_json else TextScreen)(click.echo, wish.quiet)
    clock = SystemClock()
    with ExitStack() as stack:
        book = stack.enter_context(Notebook(wish.store)) if wish.store else None
        kept = _Kept(screen, book, clock)
        spoken = edition(wish.edition)
        options = Options(
            edition=spoken,
            calibrate=wish.calibrate,
            keep=KEEP,
            tls=_tls(wish),
            connect=wish.connect,
            on_link=screen.link,
            on_unreached=screen.unreached,
            on_result=kept.result,
        )
        platform = BenchPlatform(wish.listen, profile(wish.profile), clock, kept.packet, options)
        await platform.start()
        if wish.connect is None:
            screen.listening(platform.address, wish.profile)
        try:
            return await _until_ended(wish.script, Prompt(platform, clock, screen), screen)
        finally:
            await platform.stop()
            screen.summary(platform)


def _tls(wish: Wish) -> ssl.SSLContext | None:
    """Ends with exit code 2 where the files cannot be used."""
    if wish.tls_cert is None and wish.tls_key is not None:
        _refuse(text("bench.cli.tls_key_alone"))
    if wish.tls_cert is None and wish.tls_ca is None:
        return None
    way, option, needed = ("--listen", "--tls-cert", wish.tls_cert)
    if wish.connect is not None:
        way, option, needed = ("--connect", "--tls-ca", wish.tls_ca)
    if needed is None:
        _refuse(text("bench.cli.tls_needs", way=way, option=option))
    try:
        return _context(wish)
    except OSError as error:
        files = ", ".join(str(path) for path in (wish.tls_ca, wish.tls_cert, wish.tls_key) if path)
        _refuse(text("bench.cli.bad_tls", files=files, reason=error.strerror or error))


def _context(wish: Wish) -> ssl.SSLContext:
    """Raises OSError for a file that is missing or no good."""
    import ssl

    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if wish.connect is None else ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False  # a logger is known by its certificate, at whatever address
    if wish.tls_ca is not None:
        made.load_verify_locations(wish.tls_ca)
        made.verify_mode = ssl.CERT_REQUIRED
    if wish.tls_cert is not None:
        made.load_cert_chain(wish.tls_cert, wish.tls_key)
    return made


@dataclass(frozen=True, slots=True)
class _Kept:
    """Everything goes into the notebook before it is shown, and shown before it is answered."""

    screen: Screen
    book: Notebook | None
    clock: Clock

    def packet(self, received: Received) -> None:
        if self.book is not None:
            self.book.packet(received)
        self.screen.packet(received)

    def result(self, result: CommandResult) -> None:
        if self.book is not None:
            self.book.exchange(result, self.clock.wall_ms())
        self.screen.result(result)


async def _until_ended(script: TextIO | None, prompt: Prompt, screen: Screen) -> int:
    """Script, then prompt, until `quit` or a signal; the exit code."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    acting = asyncio.create_task(_act(script, prompt, screen), name="bench-prompt")
    stopping = asyncio.create_task(stop.wait(), name="bench-stop")
    done, _ = await asyncio.wait({acting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if acting in done and (code := acting.result()) is not None:
        stopping.cancel()
        return code
    await stopping
    acting.cancel()
    await asyncio.gather(acting, return_exceptions=True)
    return 0


async def _act(script: TextIO | None, prompt: Prompt, screen: Screen) -> int | None:
    """The exit code of `quit` or of a failed script; None when the lines end and the platform serves on."""
    from edge.bench.errors import BenchError
    from edge.bench.prompt import lines_of
    from protocol.errors import ProtocolError

    if script is not None:
        try:
            ended = await prompt.play(script.read().splitlines())
        except (BenchError, ProtocolError) as error:
            screen.say(explain(error))
            return 1
        if ended:
            return 0
    if sys.stdin is not None and await prompt.converse(lines_of(sys.stdin.fileno())):
        return 0
    return None


platform_group.add_command(check)
platform_group.add_command(test)
platform_group.add_command(links)
platform_group.add_command(list_platforms)
platform_group.add_command(packets)
platform_group.add_command(mqtt_schema)
platform_group.add_command(presets)
platform_group.add_command(reset)
