"""`hj212 platform test`: how many unanswered packets a platform bears; only notices (1013) are sent, never data."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from edge.catalogue import text
from edge.cli.common import (
    CHECK_FAILED,
    DEFAULT_CONFIG,
    WRONG_USE,
    Stop,
    json_option,
    load_site,
    print_json,
    table,
    where,
)
from edge.cli.listening import timeout_option
from edge.cli.platform_mqtt import try_broker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from config.site import Platform, Site
    from edge.bench.window import Streams, Target, Trial

PATIENCE_S = 120.0
"""Each address has its own time-outs."""
_FILE = click.Path(dir_okay=False, path_type=Path)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowWish:
    """The options of `test`."""

    target: str
    window: bool
    most: int
    timeout_s: float
    config: Path | None
    outlet: str | None
    mn: str | None
    pw: str
    st: str
    yes: bool
    official_too: bool
    as_json: bool


@click.command("test", help=text("bench.cli.test"))
@click.argument("target", metavar="ADDRESS|PLATFORM")
@click.option("--window", is_flag=True, help=text("bench.cli.window"))
@click.option("--max", "most", type=click.IntRange(1, 64), default=64, show_default=True, help=text("bench.cli.max"))
@timeout_option
@click.option("-c", "--config", type=_FILE, help=text("bench.cli.config"))
@click.option("--outlet", help=text("bench.cli.outlet"))
@click.option("--mn", help=text("bench.cli.own_mn"))
@click.option("--pw", default="123456", show_default=True, help=text("bench.cli.pw"))
@click.option("--st", default="32", show_default=True, help=text("bench.cli.st"))
@click.option("--yes", is_flag=True, help=text("bench.cli.yes"))
@click.option("--official-too", is_flag=True, help=text("bench.cli.official_too"))
@json_option
def test(**options: object) -> None:
    """Exit code 0 when at least one packet at a time is answered, 1 when not, 2 when the test is refused."""
    from edge.bench.errors import NotTested
    from protocol.errors import ProtocolError

    try:
        _test(WindowWish(**options))  # type: ignore[arg-type]  # click has given each its type
    except NotTested as error:
        code = CHECK_FAILED if error.code == "bench.window.no_link" else WRONG_USE
        raise Stop(error.code, code, **error.params) from error
    except ProtocolError as error:  # an MN or a password that no packet can hold
        raise Stop(error.code, WRONG_USE, **error.params) from error


def _test(wish: WindowWish) -> None:
    from edge.bench.errors import NotTested
    from edge.bench.report import TRIAL_TITLES, trial_cells, trial_objects
    from edge.bench.window import find_window, largest
    from edge.clock import SystemClock

    if wish.config is None and ":" not in wish.target:  # the name of a platform
        wish = replace(wish, config=DEFAULT_CONFIG)
    if wish.config:
        site = _site(wish)
        platform = site.platforms[wish.target]
        if platform.protocol == "mqtt":
            try_broker(site, wish.target, _outlet(wish, platform), wish.timeout_s, as_json=wish.as_json)
        target = _of_site(wish, site)
    else:
        target = _of_options(wish)
    if target.role == "official" and not wish.official_too:
        raise NotTested("bench.window.official", platform=wish.target)
    most = wish.most if wish.window else 1
    _confirm(wish, target, most)

    def on_trial(trial: Trial) -> None:
        if not wish.as_json:
            click.echo(text("bench.window.trial", window=trial.window, answered=trial.answered), err=True)

    trials = asyncio.run(find_window(target, most, wish.timeout_s, SystemClock(), on_trial))
    best = largest(trials)
    if wish.as_json:
        print_json({"address": target.address, "largest": best, "trials": trial_objects(trials)})
    else:
        table(TRIAL_TITLES, [trial_cells(trial) for trial in trials])
        link = trials[-1].is_open
        click.echo(text("bench.window.none" if not best else "bench.window.found", window=best))
        click.echo(text("bench.window.link_kept" if link else "bench.window.link_lost"))
    sys.exit(0 if best else CHECK_FAILED)


def _confirm(wish: WindowWish, target: Target, most: int) -> None:
    """Nothing goes to somebody else's platform before the technician has read what."""
    from edge.bench.errors import NotTested

    shown: dict[str, Any] = {
        "address": target.address, "mn": target.header.mn, "most": most, "role": target.role
    }  # fmt: skip
    if wish.yes:
        return
    if not sys.stdin.isatty():
        raise NotTested("bench.window.unconfirmed", **shown)
    if not click.confirm(text("bench.window.confirm", **shown), err=True):
        raise NotTested("bench.window.declined")


def _of_options(wish: WindowWish) -> Target:
    from edge.bench.errors import NotTested
    from edge.bench.window import Target
    from protocol.messages import Header

    host, colon, port = wish.target.rpartition(":")
    if not (host and colon and port.isdecimal() and 0 < int(port) < 65536):
        raise NotTested("bench.cli.listen_form", came=wish.target)
    if not wish.mn:
        raise NotTested("bench.window.no_mn")
    return Target(address=wish.target, header=Header(wish.st, wish.pw, wish.mn))


def _site(wish: WindowWish) -> Site:
    """The site, which has the platform."""
    from edge.bench.errors import NotTested

    site = load_site(wish.config or Path())
    if wish.target not in site.platforms:
        raise NotTested("bench.window.no_platform", came=wish.target, known=" ".join(site.platforms) or "-")
    return site


def _outlet(wish: WindowWish, platform: Platform) -> str:
    from edge.bench.errors import NotTested

    outlet = wish.outlet or next(iter(platform.outlets), "-")
    if outlet not in platform.outlets:
        raise NotTested("bench.window.no_outlet", came=outlet, known=" ".join(platform.outlets))
    return outlet


def _of_site(wish: WindowWish, site: Site) -> Target:
    """Address, role and access of a platform of the site file."""
    from edge.bench.errors import NotTested
    from edge.bench.window import Target
    from protocol.edition import edition
    from protocol.messages import Header

    platform = site.platforms[wish.target]
    if not edition(platform.edition).carries("1013"):
        raise NotTested("bench.window.edition", platform=wish.target, edition=platform.edition)
    outlet = _outlet(wish, platform)
    access = platform.outlets[outlet]
    if platform.listen is not None:
        _who_came(wish.config or Path(), wish)
    header = Header(site.outlets[outlet].st, access.password, access.mn)
    way, address = _way(wish.target, platform), ", ".join(platform.addresses)
    return Target(
        address=address,
        header=header,
        role=platform.role,
        crc=platform.crc,
        tail=platform.tail,
        open=way,
        connect_s=PATIENCE_S,
    )


def _way(name: str, platform: Platform) -> Callable[[], Awaitable[Streams]]:
    """As the daemon goes: addresses in order, TLS, interface, serial DTU."""
    from edge.uplink.transport import LinkDown, cause_of
    from edge.uplink.ways import transport

    async def opened() -> Streams:
        try:
            made = await transport(name, platform, lambda _code, _params: None).open()
        except (OSError, LinkDown) as error:
            cause, detail = cause_of(error)
            raise OSError(0, text(f"edge.cause.{cause}") + (f" ({detail})" if detail else "")) from error
        return made.reader, made.writer

    return opened


def _who_came(path: Path, wish: WindowWish) -> NoReturn:
    """A platform that connects by itself cannot be tried out: who is there, or since when nobody is."""
    rows = [row for row in where(path).ask("status")["platforms"] if row["platform"] == wish.target]
    if wish.as_json:
        print_json(rows)
    for row in rows:
        code = "cli.listen-connected" if row["connected"] else "cli.listen-waiting"
        if not wish.as_json:
            refused = row["refused_peers"]
            click.echo(text(code, **{**row, "refused": sum(refused.values()), "peers": ", ".join(refused) or "–"}))
    sys.exit(0 if all(row["connected"] for row in rows) else CHECK_FAILED)
