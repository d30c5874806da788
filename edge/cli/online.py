"""`hj212 platform links`: connects, drops and their causes, and the figures that an acceptance asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from edge.catalogue import text
from edge.cli.common import Stop, Where, config_option, json_option, print_json, table, where
from edge.cli.gaps import now_of
from edge.cli.moments import Time, in_order
from edge.control import client
from edge.link_figures import Figures, figures
from edge.store.links import Connected, Run, Sums
from edge.values import DAY_MS
from protocol.times import iso_text

SPAN_MS = 7 * DAY_MS
STEP_MS = 31 * DAY_MS
SHOWN = 20
"""Connections of a link on the screen at most, the newest ones."""


@click.command("links", help=text("cli.verb-platform-links"))
@config_option
@click.argument("name", required=False)
@click.option("--from", "begin", type=Time(), help=text("cli.from-option"))
@click.option("--to", "end", type=Time(last=True), help=text("cli.to-option"))
@json_option
def links(config: Path, name: str | None, begin: int | None, end: int | None, as_json: bool) -> None:
    """Of the last seven days where no time is given; with the name of one link also its connections."""
    place = where(config)
    in_order(begin, end)
    log = _Log(place, begin, end)
    rows = [(each, log.of(each)) for each in log.names(name)]
    if name is not None and not rows:
        raise Stop("cli.no-link", name=name, known=", ".join(log.names(None)) or "–")
    if as_json:
        print_json(log.page([_object(one, found) for one, found in rows]))
        return
    click.echo(text("cli.links-range", **{key: _moment(value) for key, value in log.range().items()}))
    _show(rows)
    for each, found in rows if len(rows) == 1 else []:
        _show_connections([one for one in log.connections if one.link == each][-SHOWN:])
        if found.drops:
            causes = [f"{text(f'edge.cause.{cause}')} {count}" for cause, count in found.drops_by_cause.items()]
            click.echo(text("cli.links-causes", causes=", ".join(causes)))


class _Log:
    """The log of a range, put together from a month at a time."""

    def __init__(self, place: Where, begin: int | None, end: int | None) -> None:
        now_ms = now_of(place)
        self.end = now_ms if end is None else min(end + 1, now_ms)
        self.begin = self.end - SPAN_MS if begin is None else begin
        self.known_since: dict[str, int] = {}
        self.runs: dict[int, Run] = {}
        self._connections: dict[tuple[int, str], Connected] = {}
        self.sums: dict[str, Sums] = {}
        self.counts: dict[tuple[str, str], dict[str, int]] = {}
        last = now_ms
        for page in _pages(place, self.begin, self.end):
            self._add(page)
            last = page["last_known"]
        if not _runs_now(place):  # a run without an end was killed, and nobody has started the daemon since
            self.end = min(self.end, last)
        self.begin = min(self.begin, self.end)  # nothing of the range has been yet, or is known

    def _add(self, page: Mapping[str, Any]) -> None:
        self.known_since = page["known_since"]
        self.runs |= {row["began"]: Run(**row) for row in page["runs"]}
        self._connections |= {(row["began"], row["link"]): Connected(**row) for row in page["connections"]}
        for link, row in page["sums"].items():
            self.sums[link] = self.sums.get(link, Sums()) + Sums(**row)
        for row in page["delivered"]:
            kept = self.counts.setdefault((row.pop("platform"), row.pop("outlet")), {})
            kept |= {key: kept.get(key, 0) + count for key, count in row.items()}

    @property
    def connections(self) -> list[Connected]:
        return [self._connections[key] for key in sorted(self._connections)]

    def names(self, wanted: str | None) -> list[str]:
        """The links of a platform, or the one of that name; None: all."""
        return sorted(each for each in self.known_since if wanted in (None, each, each.partition("/")[0]))

    def of(self, link: str) -> Figures:
        platform, _, outlet = link.partition("/")
        counts: dict[str, int] = {}
        for key, row in self.counts.items():
            if key[0] == platform and outlet in ("", key[1]):
                counts |= {name: counts.get(name, 0) + count for name, count in row.items()}
        span = max(self.begin, self.known_since[link]), self.end
        return figures(link, span, list(self.runs.values()), self.connections, self.sums.get(link, Sums()), counts)

    def range(self) -> dict[str, str]:
        return {"from": iso_text(self.begin), "to": iso_text(self.end)}

    def page(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        runs = [{**asdict(run), **_times(run)} for run in self.runs.values()]
        for row in rows:
            own = [one for one in self.connections if one.link == row["link"]]
            row["connections"] = [{**asdict(one), **_times(one)} for one in own]
        return {**self.range(), "runs": runs, "links": rows}


def _pages(place: Where, begin: int, end: int) -> Iterator[dict[str, Any]]:
    while True:  # an empty range too: the names of the links come with it
        until = min(max(begin, end), begin + STEP_MS)
        yield place.query("links", {"from": begin, "to": until})
        begin = until
        if begin >= end:
            return


def _runs_now(place: Where) -> bool:
    try:
        client.ask(client.candidates(place.socket, place.data_dir), "status")
    except (client.NoDaemon, client.Refused):
        return False
    return True


def _times(one: Run | Connected) -> dict[str, str | None]:
    return {"began": iso_text(one.began), "ended": None if one.ended is None else iso_text(one.ended)}


def _object(link: str, found: Figures) -> dict[str, Any]:
    platform, _, outlet = link.partition("/")
    numbers = {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(found).items()}
    return {"link": link, "platform": platform, "outlet": outlet or None, **numbers}


def _show(rows: list[tuple[str, Figures]]) -> None:
    titles = (
        "link-name",
        "online-rate",
        "drops",
        "drops-day",
        "reconnect",
        "failures",
        "rtt",
        "resent",
        "delivery-rate",
    )
    table(
        [f"cli.col-{title}" for title in titles],
        [
            (
                *(link, _percent(one.online_rate), one.drops, one.most_drops_in_a_day),
                *(_pair(one.reconnect_mean_s, one.reconnect_max_s), one.failures),
                *(_pair(one.rtt_mean_ms, one.rtt_max_ms), one.resent, _percent(one.delivery_rate)),
            )
            for link, one in rows
        ],
    )


def _show_connections(rows: list[Connected]) -> None:
    titles = ("began", "ended", "peer", "cause")
    cells = [
        (
            _moment(iso_text(one.began)),
            None if one.ended is None else _moment(iso_text(one.ended)),
            f"{one.peer}",
            None if one.cause is None else text(f"edge.cause.{one.cause}") + (f" ({one.detail})" if one.detail else ""),
        )
        for one in rows
    ]
    if cells:
        table([f"cli.col-{title}" for title in titles], cells, text("cli.title-connections"))


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{share:.2%}"


def _pair(mean: float | None, most: float | None) -> str | None:
    return None if most is None else f"{'-' if mean is None else f'{mean:.0f}'} / {most:.0f}"


def _moment(iso: str) -> str:
    return iso.removesuffix("+08:00").replace("T", " ")
