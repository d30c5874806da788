"""`hj212 outbox`: what the platforms have not answered for yet, and what a technician orders about it."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from edge.catalogue import text
from edge.cli.common import CHECK_FAILED, Stop, Where, config_option, json_option, print_json, table, where
from edge.cli.moments import Time, in_order
from edge.values import DAY_MS, HOUR_MS

COLUMNS = ("platform", "outlet", "open", "oldest", "rate", "left", "sent", "answered", "backfilled", "unconfirmed",
           "expired", "rejected", "lost")  # fmt: skip
KINDS = {"minute": "2051", "hour": "2061", "day": "2031", "runtime": "2041"}
UPLOADS = (*KINDS, "realtime", "state", "startup", "sample", "identity", "info")
LOOK_S = 1.0
STEP_MS = 10 * DAY_MS
"""So much of a range is ordered at once: the daemon answers in a moment, and does other things in between."""
BAR_FROM = 3
"""Steps from which on they have a progress bar."""


@click.group("outbox", help=text("cli.verb-outbox"))
def outbox_group() -> None:
    """Deliveries."""


@outbox_group.command(help=text("cli.verb-outbox-show"))
@config_option
@json_option
def show(config: Path, as_json: bool) -> None:
    """Per platform and outlet, and per kind."""
    page = where(config).query("outbox")
    if as_json:
        print_json(page)
        return
    titles = [f"cli.col-{'outbox' if name == 'open' else name}" for name in COLUMNS]
    table(titles, [_row(row) for row in page["platforms"]], text("cli.title-outbox"))
    if page["kinds"]:
        keys = ("platform", "outlet", "kind", "cn", "count", "oldest", "aside")
        table([f"cli.col-{key}" for key in keys], [_waiting(row, keys) for row in page["kinds"]])
    if page["aside"]:
        keys = ("platform", "outlet", "kind", "cn", "code", "count", "oldest")
        rows = [_waiting(row, keys) for row in page["aside"]]
        table([f"cli.col-{key}" for key in keys], rows, text("cli.title-aside"))
    for row in page["filling"]:
        click.echo(text("cli.outbox-filling", **row))
    for platform in sorted({row["platform"] for row in page["platforms"] if row["held"]}):
        click.echo(text("cli.outbox-held", platform=platform))


def _row(row: dict[str, Any]) -> list[Any]:
    rate, left = row["rate_per_min"], row["time_left_s"]
    shown = {"rate": None if rate is None else f"{rate:g}/min", "left": None if left is None else _span(left)}
    return [shown.get(name, row.get(name)) for name in COLUMNS]


def _waiting(row: dict[str, Any], keys: tuple[str, ...]) -> list[Any]:
    """A kind in words; one that has no name (an alarm of 2005) is its CN."""
    kind = text(f"cli.upload-{row['kind']}") if row["kind"] in UPLOADS else row["kind"]
    return [kind if key == "kind" else row[key] for key in keys]


def _span(seconds: int) -> str:
    hours, rest = divmod(seconds, 3600)
    if hours:
        return f"{hours} h {rest // 60} min"
    return f"{rest // 60} min {rest % 60} s" if rest >= 60 else f"{rest} s"


@outbox_group.command(help=text("cli.verb-outbox-retry"))
@click.argument("platform")
@config_option
@json_option
def retry(platform: str, config: Path, as_json: bool) -> None:
    """Try at once what waits for its next round or was refused."""
    place = where(config)
    place.must_have(platform)
    count = place.ask("outbox-retry", {"platform": platform})
    if as_json:
        print_json({"platform": platform, "count": count})
    else:
        click.echo(text("cli.outbox-retried", platform=platform, count=count))


@outbox_group.command(help=text("cli.verb-outbox-hold"))
@click.argument("platform")
@click.option("--release", is_flag=True, help=text("cli.release-option"))
@config_option
@json_option
def hold(platform: str, release: bool, config: Path, as_json: bool) -> None:
    """Send nothing to a platform, or begin again."""
    place = where(config)
    place.must_have(platform)
    done = place.ask("outbox-hold", {"platform": platform, "on": not release})
    if as_json:
        print_json({"platform": platform, **done})
        return
    code = "held" if done["held"] else "released" if done["changed"] else "not-held"
    click.echo(text(f"cli.outbox-{code}", platform=platform))


@outbox_group.command("send-again", help=text("cli.verb-outbox-send-again"))
@click.argument("platform")
@click.option("--from", "begin", type=Time(), required=True, help=text("cli.from-option"))
@click.option("--to", "end", type=Time(last=True), required=True, help=text("cli.to-option"))
@click.option("--kind", "kinds", type=click.Choice(list(KINDS)), multiple=True, help=text("cli.again-kind-option"))
@click.option("--outlet", help=text("cli.outlet-option"))
@click.option("--dry-run", is_flag=True, help=text("cli.dry-run-option"))
@click.option("--wait", is_flag=True, help=text("cli.wait-option"))
@config_option
@json_option
def send_again(
    platform: str,
    begin: int,
    end: int,
    kinds: tuple[str, ...],
    outlet: str | None,
    dry_run: bool,
    wait: bool,
    config: Path,
    as_json: bool,
) -> None:
    """Send delivered data of a range once more, behind live data."""
    place = where(config)
    place.must_have(platform, outlet)
    cns = [KINDS[kind] for kind in kinds or KINDS]
    in_order(begin, end)
    asked = {"platform": platform, "cns": cns, "from": begin, "to": end, "outlet": outlet}
    counts = Counter[str]()
    for step in _steps(asked, place, quiet=as_json, label=text("cli.outbox-counts")):
        counts.update(place.query("again_count", step))
    total = sum(counts.values())
    if not dry_run and total:
        steps = _steps(asked, place, quiet=as_json, label=text("cli.outbox-opens"))
        total = sum(place.ask("outbox-send-again", step) for step in steps)
    if as_json:
        print_json({"platform": platform, "dry_run": dry_run, "count": total, "kinds": counts})
    else:
        code = "cli.outbox-would-send" if dry_run else "cli.outbox-sends-again"
        each = ", ".join(f"{cn}: {number}" for cn, number in sorted(counts.items())) or None
        click.echo(text(code, platform=platform, count=total, kinds=each))
    if wait and not dry_run and total and not _watch(place, platform, quiet=as_json):
        raise Stop("cli.outbox-waits-held", CHECK_FAILED, platform=platform)


def _steps(asked: dict[str, Any], place: Where, *, quiet: bool, label: str) -> Iterator[dict[str, Any]]:
    """The range in steps that the daemon answers at once, with a progress bar where there are many."""
    from rich.console import Console
    from rich.progress import track

    first, last = place.query("span") or (1, 0)
    # minute data of a longer interval are labelled before their first record
    starts = range(max(asked["from"], first - HOUR_MS), min(asked["to"], last) + 1, STEP_MS)
    bare = quiet or len(starts) < BAR_FROM or not sys.stderr.isatty()
    for start in track(starts, label, console=Console(file=sys.stderr), transient=True, disable=bare):
        yield {**asked, "from": start, "to": min(start + STEP_MS - 1, asked["to"])}


def _watch(place: Where, platform: str, quiet: bool) -> bool:
    """A progress bar until nothing waits for the platform; Ctrl-C ends the bar, not the sending. False: it is held."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(file=sys.stderr, quiet=quiet)
    with Progress(console=console, transient=True) as progress:
        left, held = _left(place, platform)
        task = progress.add_task(platform, total=left)
        while left and not held:
            time.sleep(LOOK_S)
            before, (left, held) = left, _left(place, platform)
            progress.update(task, advance=before - left)
    return not (left and held)


def _left(place: Where, platform: str) -> tuple[int, bool]:
    """How much waits for a platform, and whether it is held."""
    rows = [row for row in place.ask("status")["platforms"] if row["platform"] == platform]
    return sum(row["outbox"] for row in rows), any(row["held"] for row in rows)
