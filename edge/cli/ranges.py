"""What the verbs of `hj212 data` share: rows of a range, a step at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from config.problem import listed
from edge.cli.common import Stop, Where
from edge.cli.manual import with_manual
from edge.values import DAY_MS, HOUR_MS

KINDS = ("sample", "minute", "hour", "day")
SPAN_MS = {"sample": 600_000, "minute": HOUR_MS, "hour": DAY_MS, "day": 31 * DAY_MS}
"""How far back `show` looks where no time is given."""
STEP_MS = {"sample": HOUR_MS, "minute": DAY_MS, "hour": 31 * DAY_MS, "day": 366 * DAY_MS}
"""An export reads this much at once, so that a year does not fill memory."""


def rows_of(
    place: Where, kind: str, outlet: str, begin: int, end: int, factors: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    """Rows of one outlet, oldest first, a step at a time; a range may reach far beyond what there is."""
    there_is = place.query("sample_span" if kind == "sample" else "span")
    if there_is is None:
        return
    begin, end = max(begin, there_is[0]), min(end, there_is[1])
    while begin <= end:
        until = min(end, begin + STEP_MS[kind] - 1)
        args = {"kind": kind, "outlet": outlet, "from": begin, "to": until, "factors": list(factors)}
        if kind == "sample":
            yield from with_manual(place, outlet, place.query("samples", args))
        else:
            yield from _pages(place, args)
        begin = until + 1


def _pages(place: Where, args: dict[str, Any]) -> Iterator[dict[str, Any]]:
    while True:
        page = place.query("records", args)
        yield from page["records"]
        if page["next"] is None:
            return
        args = {**args, "after": page["next"]}


def outlets_of(place: Where, wanted: str | None) -> list[str]:
    """The outlet that is wanted, or all; Stop for one that the site does not have."""
    known = place.outlets or tuple(dict.fromkeys(point["outlet"] for point in place.ask("status")["points"]))
    if wanted is None:
        return list(known)
    if wanted not in known:
        raise Stop("cli.unknown-outlet", outlet=wanted, known=", ".join(known))
    return [wanted]


def known_factors(place: Where, wanted: str | None, factors: tuple[str, ...], of_samples: bool = False) -> None:
    """Stop for a factor that neither the store has had nor the site measures."""
    recorded = set(place.query("sampled" if of_samples else "names")) if factors else set()
    if set(factors) <= recorded:
        return
    known = recorded - {*place.outlets, *place.platforms} | _measured(place, outlets_of(place, wanted))
    for factor in factors:
        if factor not in known:
            raise Stop("cli.unknown-factor", factor=factor, known=listed(sorted(known)))


def _measured(place: Where, outlets: list[str]) -> set[str]:
    """What the outlets measure by the site file; nothing where it may not be read or is not sound."""
    from config.load import load
    from config.problem import ConfigErrors
    from edge.measure.rules import factor_rules

    try:
        site = load(place.config) if place.outlets else None
    except ConfigErrors:
        return set()
    if site is None:
        return {point["factor"] for point in place.ask("status")["points"] if point["outlet"] in outlets}
    found = {channel for outlet in outlets for channel in factor_rules(site, outlet)}
    return found | {
        point.factor for one in site.instruments.values() for point in one.points if point.outlet in outlets
    }
