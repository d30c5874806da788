"""`hj212 platform check`: a conformance rehearsal against a logger, as a table with a verdict for each check."""

from __future__ import annotations

import asyncio
import signal
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from edge.catalogue import text
from edge.cli.common import CHECK_FAILED, Stop, json_option, print_json, table
from edge.cli.listening import EDITIONS, KEEP, edition_option, listen_option, timeout_option

if TYPE_CHECKING:
    from edge.bench.platform import Options
    from edge.bench.rehearsal import Row, Step, Wishes

_SECONDS = click.FloatRange(0)


def _names(_: click.Context, __: click.Parameter, value: str | None) -> frozenset[str]:
    from edge.bench.edition import edition
    from edge.bench.steps import steps_of

    steps = [step for name in EDITIONS for step in steps_of(edition(name))]
    known = {name for step in steps for name in (step.name, step.cn, step.also) if name}
    names = frozenset(name.strip() for name in (value or "").split(",") if name.strip())
    if names - known:
        shown = {"came": min(names - known), "known": " ".join(sorted(known))}
        raise click.BadParameter(text("bench.cli.unknown_check", **shown))
    return names


@click.command("check", help=text("bench.cli.check"))
@listen_option
@edition_option
@click.option("--mn", help=text("bench.cli.mn"))
@click.option("--only", callback=_names, metavar="CN,…", help=text("bench.cli.only"))
@click.option("--skip", callback=_names, metavar="CN,…", help=text("bench.cli.skip"))
@click.option("--pol-id", help=text("bench.cli.pol_id"))
@click.option("--wait", "wait_s", type=_SECONDS, default=120.0, show_default=True, help=text("bench.cli.wait"))
@click.option("--pause", "pause_s", type=_SECONDS, default=0.0, show_default=True, help=text("bench.cli.pause"))
@timeout_option
@click.option("--with-control", is_flag=True, help=text("bench.cli.with_control"))
@click.option("--with-time", is_flag=True, help=text("bench.cli.with_time"))
@click.option("--list", "only_list", is_flag=True, help=text("bench.cli.list"))
@json_option
def check(edition: str, timeout_s: float, only_list: bool, as_json: bool, **options: object) -> None:
    """Exit code 0 when the logger conforms, 1 when a check deviates or is not answered, 2 for a wrong option."""
    from rich.markup import escape

    from edge.bench.conversation import Timing
    from edge.bench.edition import edition as edition_of
    from edge.bench.platform import Options
    from edge.bench.rehearsal import FAILING, Wishes
    from edge.bench.report import ROW_TITLES, row_cells, row_object
    from edge.bench.steps import steps_of
    from protocol.errors import ProtocolError

    listen, spoken = str(options.pop("listen")), edition_of(edition)
    wish = Wishes(**options)  # type: ignore[arg-type]  # click has given each its type
    if only_list:
        everything = replace(wish, with_control=True, with_time=True)
        _list_steps([step for step in steps_of(spoken) if everything.wants(step)], as_json)
        return
    timing = Timing(timeout_s=timeout_s, retries=1)
    try:
        rows = asyncio.run(_check(listen, Options(timing=timing, edition=spoken, keep=KEEP), wish, as_json))
    except OSError as error:
        raise Stop("bench.cli.cannot_listen", listen=listen, reason=error.strerror or error) from error
    except ProtocolError as error:  # a factor that no packet can hold
        raise Stop(error.code, **error.params) from error
    if as_json:
        print_json([row_object(row) for row in rows])
    else:
        # what came from the wire is no markup of the screen
        table(ROW_TITLES, [[escape(cell) for cell in row_cells(row)] for row in rows])
    sys.exit(CHECK_FAILED if any(row.verdict in FAILING for row in rows) else 0)


def _list_steps(steps: list[Step], as_json: bool) -> None:
    from edge.bench.report import STEP_TITLES, step_cells, step_object

    if as_json:
        print_json([step_object(step) for step in steps])
    else:
        table(STEP_TITLES, [step_cells(step) for step in steps])


async def _check(listen: str, options: Options, wish: Wishes, as_json: bool) -> list[Row]:
    """The rows, also of a rehearsal that is broken off: what it has changed is set back first."""
    from edge.bench.platform import BenchPlatform
    from edge.bench.rehearsal import Rehearsal
    from edge.bench.report import row_line
    from edge.bench.steps import steps_of
    from edge.clock import SystemClock

    clock = SystemClock()
    rows: list[Row] = []

    def on_row(row: Row) -> None:
        rows.append(row)
        if not as_json:
            click.echo(row_line(row), err=True)

    steps = [step for step in steps_of(options.edition) if wish.wants(step)]
    platform = BenchPlatform(listen, clock=clock, options=options)
    await platform.start()
    click.echo(text("bench.step.waiting", address=platform.address, seconds=wish.wait_s), err=True)
    rehearsing = asyncio.create_task(Rehearsal(platform, clock, wish, on_row).run(steps), name="bench-rehearsal")
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, rehearsing.cancel)
    try:
        await asyncio.wait({rehearsing})
        if rehearsing.cancelled():
            raise Stop("bench.step.broken_off", CHECK_FAILED)
        rehearsing.result()
    finally:
        await platform.stop()
    return rows
