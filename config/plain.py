"""A site to and from plain values (JSON), without pydantic: its way from the checking child to the daemon.

The child has checked it: nothing is checked here. Drivers' options get the classes of the registry.
"""

from __future__ import annotations

import dataclasses
import types
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from config.site import Instrument, Point, Site
from drivers.registry import driver_class


def to_plain(site: Site) -> dict[str, Any]:
    """Dicts, lists, texts and numbers; durations in milliseconds."""
    return dataclasses.asdict(site)


def from_plain(plain: dict[str, Any]) -> Site:
    """The site that `to_plain` made it from, also after JSON."""
    site: Site = _build(Site, plain)
    return site


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _build(hint: Any, plain: Any) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _build(next(part for part in args if _fits(part, plain)), plain)
    if origin is dict:
        return {name: _build(args[1], value) for name, value in plain.items()}
    if origin is tuple:
        kinds = [args[0]] * len(plain) if args[-1] is Ellipsis else args
        return tuple(_build(kind, value) for kind, value in zip(kinds, plain, strict=True))
    if hint is Instrument:
        return _instrument(plain)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return hint(**{name: _build(_hints(hint)[name], value) for name, value in plain.items()})
    return plain


def _fits(hint: Any, plain: Any) -> bool:
    """Whether this member of a union is meant."""
    origin = get_origin(hint)
    if origin is Literal:
        return plain in get_args(hint)
    if origin is tuple:
        return isinstance(plain, list | tuple)
    kind = origin or hint
    if kind is float:
        return isinstance(plain, float | int) and not isinstance(plain, bool)
    return isinstance(plain, bool) == (kind is bool) and isinstance(plain, dict if _is_table(kind) else kind)


def _is_table(hint: Any) -> bool:
    return dataclasses.is_dataclass(hint)


def _instrument(plain: dict[str, Any]) -> Instrument:
    """An instrument and its points, with the options of its driver."""
    driver = driver_class(plain["driver"])
    points = tuple(
        dataclasses.replace(_table(Point, point), options=_build(driver.PointOptions, point["options"]))
        for point in plain["points"]
    )
    options = _build(driver.InstrumentOptions, plain["options"])
    instrument: Instrument = _table(Instrument, plain, "points")
    return dataclasses.replace(instrument, options=options, points=points)


def _table(cls: type, plain: dict[str, Any], *but: str) -> Any:
    hints = _hints(cls)
    return cls(**{name: _build(hints[name], v) for name, v in plain.items() if name not in (*but, "options")})
