"""What a site file's tables say about each other: names that must exist, factors, units, ranges, duplicates.

Errors are what the daemon could not work with; what deviates from the standard or looks like an oversight is
a warning. The site may lack tables that have errors of their own; names are therefore looked up in the merged
file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from config.check_alarms import alarms
from config.check_controls import controls
from config.check_edition import codes_of_2005, mn_form
from config.check_equipment import equipment
from config.check_filed import filed, is_date
from config.check_gas import gas, is_share_of_gas
from config.check_links import links
from config.check_mqtt import mqtt, without_meaning
from config.check_numbers import numbers
from config.check_points import batches, totalisers
from config.check_sampler import samplers
from config.check_switches import contacts, derived, switches
from config.check_tls import tls
from config.lines import Path
from config.markers import duration_text
from config.merge import Merged
from config.problem import Problem, listed, nearest, shown
from config.site import Access, Instrument, Outlet, Platform, Point, Site
from config.states import State, code_number
from config.switches import Derived
from drivers.driver import InstrumentSpec, PointSpec
from drivers.errors import BadOption
from protocol import factors, units
from protocol.edition2005 import EDITION_2005
from protocol.equipment import is_equipment
from protocol.errors import ProtocolError
from protocol.frame import SEGMENT_LIMIT
from protocol.lenient import region_of
from protocol.marks import MARKS, SYSTEM_CODES

_GRID_MS = 5_000
"""Samples stand on a grid of 5 s (HJ 212-2017 Annex D.1.2, D.2.2)."""
_BROKEN_MA = 3.8
"""A current below is a broken loop (NAMUR NE 43)."""
_CONDITION_ST = {"g": "51", "e": "52"}
_DEFAULT_PASSWORD = "123456"
_STANDARD_PASSWORD = 6
_TEXT_TYPES = ("text", "hex")
_TAKEN = frozenset({"datatime", "qn", "st", "cn", "pw", "mn", "flag", "pnum", "pno", "rf", "cp"})
_VISIBLE = re.compile(r"[!\"$-~]+")
"""ASCII without blanks, control characters and `#`."""
_HEARTBEAT_MS = 5_000
"""More heartbeats than that are a burden to a platform, and each is a write to flash."""
_ROOMY_SEGMENT, _ROOMY_CP = 480, 320
"""Bytes within which the longest item (a flue gas factor with converted values) fits a packet."""


def check(site: Site, merged: Merged) -> list[Problem]:
    """All findings between the tables of a site."""
    return [problem for rule in _RULES for problem in rule(site, merged)]


def _unknown(merged: Merged, path: Path, code: str, got: str, known: Iterable[str]) -> Problem:
    names = list(known)
    return merged.problem(path, code, got=got, nearest=nearest(got, names) or "–", allowed=listed(names))


def _names(merged: Merged, section: str) -> list[str]:
    tables = merged.tree.get(section)
    return list(tables) if isinstance(tables, dict) else []


def _points(site: Site) -> Iterator[tuple[Path, Instrument, Point]]:
    for name, instrument in site.instruments.items():
        for index, point in enumerate(instrument.points):
            yield ("instruments", name, "points", index), instrument, point


def _lines(site: Site, merged: Merged) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for name, line in site.lines.items():
        if owners.setdefault(line.port, name) != name:
            yield merged.problem(("lines", name, "port"), "config.same-port", got=line.port, line=owners[line.port])
    known = _names(merged, "lines")
    for name, instrument in site.instruments.items():
        if instrument.line not in known:
            yield _unknown(merged, ("instruments", name, "line"), "config.unknown-line", instrument.line, known)


def _addresses(site: Site, merged: Merged) -> Iterator[Problem]:
    owners: dict[tuple[str, int | str], str] = {}
    for name, instrument in site.instruments.items():
        other = owners.setdefault((instrument.line, instrument.address), name)
        if other != name:
            path = ("instruments", name, "address")
            yield merged.problem(
                path, "config.same-address", True, got=instrument.address, other=other, line=instrument.line
            )


def _cadence(site: Site, merged: Merged) -> Iterator[Problem]:
    for name, instrument in site.instruments.items():
        path: Path = ("instruments", name)
        every, silence = duration_text(instrument.every), duration_text(instrument.silence)
        if instrument.every % _GRID_MS:
            yield merged.problem((*path, "every"), "config.every", got=every)
        if instrument.silence <= instrument.every:
            yield merged.problem((*path, "silence"), "config.silence", True, got=silence, every=every)
        if not (instrument.points or instrument.actions or instrument.infos or instrument.sampler):
            yield merged.problem(path, "config.no-points", True, instrument=name)


def _driver_options(site: Site, merged: Merged) -> Iterator[Problem]:
    """What a driver refuses in its constructor."""
    for name, instrument in site.instruments.items():
        driver = merged.drivers.get(name)
        if driver is None or instrument.options is None:
            continue
        here: Path = ("instruments", name)
        tables = {(*here, "points", index): point.options for index, point in enumerate(instrument.points)}
        tables |= {(*here, "states", index): state.options for index, state in enumerate(instrument.states)}
        places = {str(merged.key(path)): path for path in tables}
        points = [PointSpec(label, tables[path], path[2] == "states") for label, path in places.items()]
        try:
            driver(InstrumentSpec(name, instrument.address, points, instrument.options))
        except BadOption as error:
            yield _refused_option(merged, ("instruments", name), places, error)


def _refused_option(merged: Merged, path: Path, places: dict[str, Path], error: BadOption) -> Problem:
    """The driver's refusal at the point, state or key that it names."""
    elsewhere = next(((*path, key) for key in ("address",) if key in error.params), path)
    return merged.problem(places.get(str(error.params.get("point")), elsewhere), error.code, **error.params)


def _outlets_of_points(site: Site, merged: Merged) -> Iterator[Problem]:
    known = _names(merged, "outlets")
    owners: dict[tuple[str, str], str] = {}
    for name, instrument in site.instruments.items():
        if instrument.outlet is not None and instrument.outlet not in known:
            path: Path = ("instruments", name, "outlet")
            yield _unknown(merged, path, "config.unknown-outlet", instrument.outlet, known)
    for path, instrument, point in _points(site):
        if point.outlet not in known and point.outlet != instrument.outlet:
            yield _unknown(merged, (*path, "outlet"), "config.unknown-outlet", point.outlet, known)
        other = owners.setdefault((point.outlet, point.channel), merged.key(path))
        if other != merged.key(path):
            yield merged.problem(
                (*path, "factor"), "config.same-factor", got=point.channel, outlet=point.outlet, other=other
            )


def _coded(site: Site) -> Iterator[tuple[Path, Point | Derived]]:
    """Everything that has a factor and a unit: points and derived points."""
    for path, _, point in _points(site):
        yield path, point
    for name, outlet in site.outlets.items():
        for index, one in enumerate(outlet.derived):
            yield ("outlets", name, "derived", index), one


def _factors(site: Site, merged: Merged) -> Iterator[Problem]:
    for path, point in _coded(site):
        if isinstance(point, Point) and point.kind == "total":
            continue
        rows = factors.factors(point.factor)
        if is_equipment(point.factor):
            continue
        if not rows:
            yield from () if isinstance(point, Point) and point.internal else _no_factor(merged, path, point)
        elif isinstance(point, Point) and is_share_of_gas(point):
            continue
        elif point.unit is not None and not any(units.convertible(point.unit, row.unit) for row in rows):
            allowed = listed(row.unit for row in rows)
            yield merged.problem((*path, "unit"), "config.unit", got=point.unit, factor=point.factor, allowed=allowed)
        elif point.unit is None and len(rows) > 1:
            both = listed(f"{row.unit} {row.name_zh} {row.name_en}" for row in rows)
            yield merged.problem((*path, "factor"), "config.two-meanings", True, factor=point.factor, both=both)


def _no_factor(merged: Merged, path: Path, point: Point | Derived) -> Iterator[Problem]:
    near = factors.nearest(point.factor)
    row = factors.factor(near) if near else None
    params: dict[str, Any] = {
        "got": point.factor,
        "nearest": near or "–",
        "name_zh": row.name_zh if row else "–",
        "name_en": row.name_en if row else "–",
    }
    if point.unit is None:
        yield merged.problem((*path, "factor"), "config.unknown-factor", **params)
    else:
        yield merged.problem((*path, "factor"), "config.private-factor", True, unit=point.unit, **params)


def _numbers(site: Site, merged: Merged) -> Iterator[Problem]:
    for path, _, point in _points(site):
        if point.range is not None and point.range[0] >= point.range[1]:
            got = shown(list(point.range))
            yield merged.problem((*path, "range"), "config.range", got=got)
        if point.current is not None and point.current[0] >= point.current[1]:
            yield merged.problem((*path, "current"), "config.range", got=shown(list(point.current)))
        is_unsigned = getattr(point.options, "type", "") in ("uint16", "uint32")
        if point.current is not None and is_unsigned and point.scale > 0 and point.offset >= _BROKEN_MA:
            yield merged.problem((*path, "current"), "config.current-blind", True, got=point.offset)
        if point.scale == 0:
            yield merged.problem((*path, "scale"), "config.scale", got="0")
        if point.limit is not None and point.warn is not None and point.warn >= point.limit:
            yield merged.problem((*path, "warn"), "config.warn", True, got=point.warn, limit=point.limit)


def _conditions(site: Site, merged: Merged) -> Iterator[Problem]:
    """Process conditions go under an ST of their own (§6.4.1)."""
    for path, _, point in _points(site):
        outlet = site.outlets.get(point.outlet)
        wanted = _CONDITION_ST.get(point.factor[:1]) if factors.is_condition(point.factor) else None
        if outlet is not None and wanted not in (None, outlet.st):
            yield merged.problem((*path, "factor"), "config.condition-st", True, factor=point.factor, st=wanted)


def _states(site: Site, merged: Merged) -> Iterator[Problem]:
    for name, instrument in site.instruments.items():
        read = [point.factor for point in instrument.points]
        for index, state in enumerate(instrument.states):
            path: Path = ("instruments", name, "states", index)
            for mark in (*state.marks.values(), *([] if state.other is None else [state.other])):
                if mark not in MARKS:
                    yield merged.problem((*path, "marks"), "config.mark", got=shown(mark), allowed=listed(MARKS))
            yield from _state_codes(merged, path, state)
            for factor in state.factors:
                if factor not in read:
                    yield _unknown(merged, (*path, "factors"), "config.state-factor", factor, read)


def _state_codes(merged: Merged, path: Path, state: State) -> Iterator[Problem]:
    """Codes that a number never is, and those that are one number: either would leave a fault unseen."""
    if getattr(state.options, "type", "") in _TEXT_TYPES:
        return
    numbers = [(code, code_number(code)) for code in state.marks]
    known = [number for _, number in numbers]
    for code, number in numbers:
        if number is None and hasattr(state.options, "type"):
            yield merged.problem((*path, "marks"), "config.state-code", got=code)
        elif number is not None and known.count(number) > 1:
            yield merged.problem((*path, "marks"), "config.state-twice", got=code)


def _outlets(site: Site, merged: Merged) -> Iterator[Problem]:
    for name, outlet in site.outlets.items():
        path: Path = ("outlets", name)
        if outlet.st not in SYSTEM_CODES:
            allowed = listed(SYSTEM_CODES)
            yield merged.problem((*path, "st"), "config.st", True, got=outlet.st, allowed=allowed)
        for key in ("averaging", "precedence"):
            for mark in getattr(outlet, key):
                if mark not in MARKS:
                    allowed = listed(MARKS)
                    yield merged.problem((*path, key), "config.mark", got=shown(mark), allowed=allowed)
        if outlet.noise.day_from == outlet.noise.night_from:
            yield merged.problem((*path, "noise", "night_from"), "config.day-night", got=outlet.noise.night_from)
        if (outlet.statistics == "noise") != _measures(site, name, "LA"):
            yield merged.problem((*path, "statistics"), "config.noise", outlet.statistics == "noise")
        has_velocity = _measures(site, name, "a01011") or outlet.gas.pitot is not None
        if outlet.statistics == "gas" and not outlet.gas.area and has_velocity:
            yield merged.problem((*path, "gas", "area"), "config.no-area", True)
        yield from _arithmetic(merged, path, outlet)


def _arithmetic(merged: Merged, path: Path, outlet: Outlet) -> Iterator[Problem]:
    for code in outlet.water.arithmetic:
        if not factors.factors(code):
            where = (*path, "water", "arithmetic")
            near = factors.nearest(code) or "–"
            yield merged.problem(where, "config.arithmetic", True, got=code, nearest=near)


def _measures(site: Site, outlet: str, factor: str) -> bool:
    return any(point.outlet == outlet and point.factor == factor for _, _, point in _points(site))


def _platforms(site: Site, merged: Merged) -> Iterator[Problem]:
    for name, platform in site.platforms.items():
        path: Path = ("platforms", name)
        if platform.connect_from is not None and not is_date(platform.connect_from):
            yield merged.problem((*path, "connect_from"), "config.form.date", got=shown(platform.connect_from))
        if platform.from_ not in ("now", "all") and not is_date(platform.from_):
            yield merged.problem((*path, "from"), "config.form.from", got=shown(platform.from_))
        if not platform.outlets:
            yield merged.problem((*path, "outlets"), "config.no-outlets", True)
        yield from _wire(site, merged, path, platform)
    roles = [table.get("role", "official") for table in _tables(merged, "platforms")]
    if roles and "official" not in roles:
        yield merged.problem(("platforms",), "config.no-official", True)


def _wire(site: Site, merged: Merged, path: Path, platform: Platform) -> Iterator[Problem]:
    """What a platform's link wants otherwise than the standard."""
    if 0 < platform.heartbeat_every < _HEARTBEAT_MS:
        got = duration_text(platform.heartbeat_every)
        yield merged.problem((*path, "heartbeat_every"), "config.heartbeat-every", got=got)
    if platform.segment_limit > SEGMENT_LIMIT:
        where = (*path, "segment_limit")
        yield merged.problem(where, "config.segment-long", True, got=platform.segment_limit, limit=SEGMENT_LIMIT)
    for key, roomy in (("segment_limit", _ROOMY_SEGMENT), ("cp_limit", _ROOMY_CP)):
        if (got_limit := getattr(platform, key)) < roomy:
            yield merged.problem((*path, key), "config.limit-short", True, got=got_limit, limit=roomy)
    for name, value in platform.extra.items():
        yield from _extra(site, merged, (*path, "extra"), name, value)


def _extra(site: Site, merged: Merged, path: Path, name: str, value: str) -> Iterator[Problem]:
    """An extra field must survive the wire, and must never look like something that was measured."""
    code, dash, _ = name.lower().partition("-")
    known = factors.factors(code) or factors.factors(EDITION_2005.factor(code))
    measured = known or any(point.factor.lower() == code for _, _, point in _points(site))
    if name.lower() in _TAKEN or (dash and measured):
        yield merged.problem(path, "config.extra-name", got=shown(name))
    elif not _is_field(name, value):
        yield merged.problem(path, "config.extra-form", got=shown(f"{name}={value}"))


def _is_field(name: str, value: str) -> bool:
    """Whether a field reads back as it is written."""
    if not (_VISIBLE.fullmatch(name) and _VISIBLE.fullmatch(value)) or "//" in value:
        return False
    try:
        return region_of(f"{name}={value}") == (((name, value),),)
    except ProtocolError:
        return False


def _tables(merged: Merged, section: str) -> Iterator[dict[str, Any]]:
    tables = merged.tree.get(section)
    if isinstance(tables, dict):
        yield from (table for table in tables.values() if isinstance(table, dict))


def _accesses(site: Site, merged: Merged) -> Iterator[Problem]:
    known = _names(merged, "outlets")
    owners: dict[tuple[str, str, str | None], str] = {}
    for name, platform in site.platforms.items():
        for outlet, access in platform.outlets.items():
            path: Path = ("platforms", name, "outlets", outlet)
            if outlet not in known:
                yield _unknown(merged, path, "config.unknown-outlet", outlet, known)
            st = site.outlets[outlet].st if outlet in site.outlets else None
            here = merged.key(path)
            others = {owners.setdefault((one, access.mn, st), here) for one in platform.addresses} - {here}
            for other in sorted(others):
                yield merged.problem((*path, "mn"), "config.same-mn", True, got=access.mn, other=other)
            yield from mn_form(merged, path, platform, access)
            if platform.protocol == "hj212" or "allow" not in without_meaning(platform):
                yield from _access(merged, path, access)


def _access(merged: Merged, path: Path, access: Access) -> Iterator[Problem]:
    if access.password == _DEFAULT_PASSWORD:
        yield merged.problem((*path, "password"), "config.password-default", True)
    elif len(access.password) != _STANDARD_PASSWORD:
        yield merged.problem((*path, "password"), "config.password-length", True, length=len(access.password))


_RULES: tuple[Callable[[Site, Merged], Iterator[Problem]], ...] = (
    _lines,
    _addresses,
    _cadence,
    _driver_options,
    _outlets_of_points,
    _factors,
    _numbers,
    _states,
    _outlets,
    _platforms,
    _accesses,
    codes_of_2005,
    _conditions,
    equipment,
    controls,
    filed,
    samplers,
    derived,
    switches,
    contacts,
    gas,
    numbers,
    alarms,
    totalisers,
    batches,
    links,
    tls,
    mqtt,
)
