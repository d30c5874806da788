"""`hj212 sampler`: the water samplers, their bottles and the keep log (留样)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from config.sampler import KEEP
from edge.catalogue import text
from edge.cli.action import carry_out
from edge.cli.common import Stop, Where, config_option, json_option, print_json, table, where
from edge.control.queries import LIMIT

_COLUMNS = ("instrument", "mode", "state", "bottle", "door", "ready", "last-kept", "cause", "next")
_LOG_COLUMNS = ("time", "instrument", "outlet", "bottle", "volume", "cause", "who", "reason")


@click.group("sampler", help=text("cli.verb-sampler"))
def sampler_group() -> None:
    """Samplers."""


@sampler_group.command("list", help=text("cli.verb-sampler-list"))
@config_option
@json_option
def list_samplers(config: Path, as_json: bool) -> None:
    """Each sampler as it is this moment."""
    found = where(config).ask("samplers")
    if as_json:
        print_json(found)
    elif not found:
        click.echo(text("cli.no-samplers"))
    else:
        table([f"cli.col-{title}" for title in _COLUMNS], [_row(one) for one in found])
        for one in found:
            if one["error"]:
                click.echo(f"{one['instrument']}: {one['error']}")


def _row(one: dict[str, Any]) -> list[Any]:
    state = text("cli.sampler-silent") if one["error"] else one["state"] and text(f"cli.sampler-{one['state']}")
    bottle = None if one["bottle"] is None else f"{one['bottle']}/{one['bottles']}"
    door = None if one["door_open"] is None else text("cli.open" if one["door_open"] else "cli.closed")
    ready = None if one["ready"] is None else text("cli.yes" if one["ready"] else "cli.no")
    cause = one["last_cause"] and text(f"cli.cause-{one['last_cause']}")
    mode, times = text(f"cli.mode-{one['mode']}"), [_short(one[name]) for name in ("last_kept", "next_at")]
    return [one["instrument"], mode, state, bottle, door, ready, times[0], cause, times[1]]


def _short(moment: str | None) -> str | None:
    return None if moment is None else moment[:19].replace("T", " ")


@sampler_group.command("keep", help=text("cli.verb-sampler-keep"))
@config_option
@click.argument("name", required=False)
@click.option("--reason", required=True, help=text("cli.why-option"))
@click.option("--by", help=text("marks.by-option"))
@json_option
def keep(config: Path, name: str | None, reason: str, by: str | None, as_json: bool) -> None:
    """Keep a sample now; the platforms are told (CN 3015)."""
    place = where(config)
    args = {"instrument": name or _only(place), "action": KEEP, "reason": reason, "by": by}
    carry_out(place, args, as_json)


@sampler_group.command("emptied", help=text("cli.verb-sampler-emptied"))
@config_option
@click.argument("name", required=False)
@click.option("--reason", default="", help=text("cli.why-option"))
@click.option("--by", help=text("marks.by-option"))
def emptied(config: Path, name: str | None, reason: str, by: str | None) -> None:
    """All bottles were taken out: counting begins again."""
    place = where(config)
    one = name or _only(place)
    place.ask("sampler-emptied", {"instrument": one, "reason": reason, "by": by})
    click.echo(text("cli.sampler-emptied-done", instrument=one))


def _only(place: Where) -> str:
    names = [str(one["instrument"]) for one in place.ask("samplers")]
    if len(names) != 1:
        raise Stop("cli.which-sampler", known=", ".join(names) or "–")
    return names[0]


@sampler_group.command("log", help=text("cli.verb-sampler-log"))
@config_option
@click.argument("name", required=False)
@click.option("--limit", type=click.IntRange(1, LIMIT), default=50, show_default=True, help=text("cli.limit-option"))
@json_option
def log(config: Path, name: str | None, limit: int, as_json: bool) -> None:
    """The kept samples, oldest first; from the daemon, or from the store without one."""
    found = where(config).query("kept", {"limit": limit, "instrument": name})
    if as_json:
        print_json(found)
    elif not found:
        click.echo(text("cli.no-kept"))
    else:
        rows = [
            [
                *(_short(one["at"]), one["instrument"], one["outlet"], one["bottle"] or None, one["volume"]),
                *(text(f"cli.cause-{one['cause']}"), one["who"], one["reason"] or None),
            ]
            for one in found
        ]
        table([f"cli.col-{title}" for title in _LOG_COLUMNS], rows, text("cli.title-kept"))
