"""Samples beside the marks by hand: what is stored is the instrument's mark, what counts may be another."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from edge.cli.common import Where, load_site


def with_manual(place: Where, outlet: str, rows: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """Rows of samples, each with `manual`: the mark by hand that counts for it, None where there is none."""
    if not rows:
        return rows
    span = {"from": _ms(rows[0]["time"]), "to": _ms(rows[-1]["time"]) + 1}
    found = [mark for mark in place.query("marks", span) if mark["mark"] is not None]
    manual = _counting(place, outlet, found) if found else lambda factor, time: None
    return [{**row, "manual": manual(row["factor"], _ms(row["time"]))} for row in rows]


def _counting(place: Where, outlet: str, found: list[dict[str, Any]]) -> Callable[[str, int], str | None]:
    """Factor and time → mark, by the rules of the site."""
    from edge.measure.derived import DerivedPoints
    from edge.revising import manual_marks
    from edge.store.marks import Mark

    site = load_site(place.config)
    states = [
        Mark(
            kind=mark["kind"],
            points=tuple(mark["points"]),
            begin=_ms(mark["from"]),
            end=None if mark["to"] is None else _ms(mark["to"]),
            mark=mark["mark"],
        )
        for mark in found
    ]
    marks = manual_marks(site.outlets[outlet], outlet, DerivedPoints(site), states)
    return lambda factor, time: marks.within(factor, time, time + 1)


def _ms(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000)
