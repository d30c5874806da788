"""What is wrong with the actions and infos of a site: names, marks, what is filled in, what the driver refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from config.controls import (
    ACTIONS,
    INFO_FILLS,
    NOW_FILLS,
    OUTPUT,
    Action,
    Info,
    Scalar,
    Write,
    fill_name,
    filled,
    kind_of,
)
from config.lines import Path
from config.merge import Merged
from config.problem import Problem, listed, nearest, shown
from config.sampler import SOURCES
from config.site import Instrument, Site
from drivers.driver import Commanded, Driver, InstrumentSpec, PointSpec, commanded
from drivers.errors import BadOption
from protocol import factors
from protocol.marks import MARKS

_DIGITS = {"now_bcd": "261231235959", "cstart_hhmm": "2359", "cstart_hhmmss": "235959"}
_EXAMPLES: Mapping[str, Scalar] = _DIGITS | {"now_unix": 1_798_732_799.0, "now_year": 2026.0}
_ANY_EXAMPLE = 1.0
"""What is tried for a name that stands for a small number."""
_TIME_EXAMPLE = _DIGITS["now_bcd"]
"""The shorter of the two forms of a time."""


def controls(site: Site, merged: Merged) -> Iterator[Problem]:
    """All findings in the actions and infos of all instruments."""
    for name, instrument in site.instruments.items():
        path: Path = ("instruments", name)
        driver = _driver(merged, name, instrument)
        yield from _infos(merged, path, instrument)
        for action_name, action in instrument.actions.items():
            yield from _action(merged, (*path, "actions", action_name), action_name, action)
        if driver is not None and (instrument.actions or instrument.infos or instrument.sampler):
            yield from _refused(merged, path, instrument, driver)
    yield from _same_infos(site, merged)


def _driver(merged: Merged, name: str, instrument: Instrument) -> Driver | None:
    """The instrument's driver without its points; None where it cannot be made: that is reported with the points."""
    cls = merged.drivers.get(name)
    try:
        return cls(InstrumentSpec(name, instrument.address, [], instrument.options)) if cls else None
    except BadOption:
        return None


def _action(merged: Merged, path: Path, name: str, action: Action) -> Iterator[Problem]:
    kind = kind_of(name)
    if kind is None:
        near = nearest(name, ACTIONS) or "–"
        yield merged.problem(
            path, "config.unknown-action", got=name, nearest=near, allowed=listed([*ACTIONS, f"{OUTPUT}…"])
        )
        return
    if not action.write and not action.read:
        yield merged.problem(path, "config.action-empty")
    elif len(action.read) not in kind.reads:
        allowed = listed(kind.reads)
        yield merged.problem((*path, "read"), "config.action-reads", got=len(action.read), allowed=allowed)
    if action.mark is not None and action.mark not in MARKS:
        yield merged.problem((*path, "mark"), "config.mark", got=shown(action.mark), allowed=listed(MARKS))
    yield from _fills(merged, path, action.write, kind.fills + NOW_FILLS)
    yield from _fills(merged, path, action.after, kind.fills + NOW_FILLS, "after")


def _fills(
    merged: Merged, path: Path, writes: Sequence[Write], known: Sequence[str], key: str = "write"
) -> Iterator[Problem]:
    for index, write in enumerate(writes):
        where = (*path, key, index, "value")
        for value in write.value if isinstance(write.value, tuple) else (write.value,):
            name = fill_name(value)
            if name is not None and name not in known:
                near = nearest(name, known) or "–"
                yield merged.problem(where, "config.fill", got=name, nearest=near, allowed=listed(known))
            elif name is None and isinstance(value, str) and not value.isdecimal():
                yield merged.problem(where, "config.digits", got=shown(value))


def _infos(merged: Merged, path: Path, instrument: Instrument) -> Iterator[Problem]:
    tables = merged.tree.get("outlets")
    known = list(tables) if isinstance(tables, dict) else []
    for index, info in enumerate(instrument.infos):
        where = (*path, "infos", index)
        if info.outlet not in known:
            near, allowed = nearest(info.outlet, known) or "–", listed(known)
            yield merged.problem(
                (*where, "outlet"), "config.unknown-outlet", got=info.outlet, nearest=near, allowed=allowed
            )
        if not factors.factors(info.info):
            near = factors.nearest(info.info) or "–"
            yield merged.problem((*where, "info"), "config.unknown-info", True, got=info.info, nearest=near)
        if info.scale == 0:
            yield merged.problem((*where, "scale"), "config.scale", got="0")
        yield from _fills(merged, where, info.write, INFO_FILLS + NOW_FILLS)


def _same_infos(site: Site, merged: Merged) -> Iterator[Problem]:
    """An outlet has each info once for a pollutant; without one it is the instrument's, each of which may have it."""
    owners: dict[tuple[str, str, str], str] = {}
    for name, instrument in site.instruments.items():
        for index, info in enumerate(instrument.infos):
            where: Path = ("instruments", name, "infos", index)
            owner = (info.outlet, info.info, info.factor or f"instrument {name}")
            other = owners.setdefault(owner, merged.key(where))
            if other != merged.key(where):
                yield merged.problem((*where, "info"), "config.same-info", got=info.info, other=other)


def _refused(merged: Merged, path: Path, instrument: Instrument, driver: Driver) -> Iterator[Problem]:
    """What the driver cannot read or write, tried with examples and without a line."""
    if not commanded(driver):
        yield merged.problem(path, "config.no-commands", driver=driver.name)
        return
    for where, attempt in _attempts(merged, path, instrument, driver):
        try:
            attempt()
        except BadOption as error:
            yield merged.problem(where, error.code, **error.params)


def _attempts(
    merged: Merged, path: Path, instrument: Instrument, driver: Commanded
) -> Iterator[tuple[Path, Callable[[], Any]]]:
    for name, action in instrument.actions.items():
        here: Path = (*path, "actions", name)
        yield from _writes(here, action.write, driver)
        yield from _writes(here, action.after, driver, "after")
        reads = [((*here, "read", index), read.options) for index, read in enumerate(action.read)]
        reads += [((*here, "until"), action.until.options)] if action.until else []
        for where, options in reads:
            yield where, _reader(driver, merged.key(where), options)
    for source in SOURCES if instrument.sampler else ():
        found = getattr(instrument.sampler, source)
        if found is not None:
            where = (*path, "sampler", source)
            yield where, _reader(driver, merged.key(where), found.options)
    for index, info in enumerate(instrument.infos):
        where = (*path, "infos", index)
        yield where, _reader(driver, merged.key(where), info.options)
        yield from _writes(where, info.write, driver)
        if info.writable and not info.write:
            yield where, _writer(driver, info.options, [_example(info)])


def _writes(
    path: Path, writes: Sequence[Write], driver: Commanded, key: str = "write"
) -> Iterator[tuple[Path, Callable[[], Any]]]:
    for index, write in enumerate(writes):
        values = filled(write, _Examples())
        if all(not isinstance(value, str) or value.isdecimal() for value in values):
            yield (*path, key, index), _writer(driver, write.options, values)


class _Examples(dict[str, Scalar]):
    """An example for every name."""

    def __missing__(self, name: str) -> Scalar:
        return _EXAMPLES.get(name, _ANY_EXAMPLE)


def _example(info: Info) -> Scalar:
    return _TIME_EXAMPLE if info.form == "time" else 0.0


def _reader(driver: Commanded, key: str, options: Any) -> Callable[[], Any]:
    return lambda: None if options is None else driver.reader(PointSpec(key, options))


def _writer(driver: Commanded, options: Any, values: Sequence[Scalar]) -> Callable[[], Any]:
    return lambda: None if options is None else driver.writer(options, values)
