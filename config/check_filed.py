"""What is wrong with filed parameters: one that nothing gives, one filed twice for a day, a date that is none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from config.filed import CONSTANTS, Filed
from config.lines import Path
from config.merge import Merged
from config.problem import Problem, listed, nearest, shown
from config.site import Instrument, Site


def filed(site: Site, merged: Merged) -> Iterator[Problem]:
    """All findings in the filed parameters of instruments and outlets."""
    for name, instrument in site.instruments.items():
        path: Path = ("instruments", name, "filed")
        yield from _dates(merged, path, instrument.filed)
        for index, one in enumerate(instrument.filed):
            yield from _info(merged, (*path, index), instrument, one)
    for name, outlet in site.outlets.items():
        path = ("outlets", name, "filed")
        yield from _dates(merged, path, outlet.filed)
        for index, one in enumerate(outlet.filed):
            if one.parameter not in CONSTANTS:
                near, allowed = nearest(one.parameter, CONSTANTS) or "–", listed(CONSTANTS)
                where = (*path, index, "parameter")
                yield merged.problem(where, "config.filed-constant", got=one.parameter, nearest=near, allowed=allowed)


def _dates(merged: Merged, path: Path, rows: Sequence[Filed]) -> Iterator[Problem]:
    seen: set[tuple[str, str | None, str | None]] = set()
    for index, one in enumerate(rows):
        key = one.parameter, one.factor, one.filed_on
        if key in seen:
            yield merged.problem((*path, index, "parameter"), "config.filed-twice", got=one.parameter)
        seen.add(key)
        if one.filed_on is not None and not is_date(one.filed_on):
            yield merged.problem((*path, index, "filed_on"), "config.form.date", got=shown(one.filed_on))


def _info(merged: Merged, path: Path, instrument: Instrument, one: Filed) -> Iterator[Problem]:
    known = [info.info for info in instrument.infos]
    meant = [info for info in instrument.infos if info.info == one.parameter and one.factor in (None, info.factor)]
    if len(meant) == 1:
        return
    code = "config.filed-which" if meant else "config.filed-no-info"
    near, allowed = nearest(one.parameter, known) or "–", listed(dict.fromkeys(known)) or "–"
    yield merged.problem((*path, "parameter"), code, got=one.parameter, nearest=near, allowed=allowed)


def is_date(text: str) -> bool:
    """Whether a text is a date of the calendar, YYYY-MM-DD."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
