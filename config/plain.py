"""A site to and from plain values (JSON), without pydantic: its way from the checking child to the daemon.

The child has checked it: nothing is checked here. Drivers' options get the classes of the registry.
"""

from __future__ import annotations

import dataclasses
import types
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from config.shape import OPTIONS
from config.site import Instrument, Site
from drivers.driver import Driver
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


def _build(hint: Any, plain: Any, driver: type[Driver] | None = None) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _build(next(part for part in args if _fits(part, plain)), plain, driver)
    if origin is dict:
        return {name: _build(args[1], value, driver) for name, value in plain.items()}
    if origin is tuple:
        kinds = [args[0]] * len(plain) if args[-1] is Ellipsis else args
        return tuple(_build(kind, value, driver) for kind, value in zip(kinds, plain, strict=True))
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _table(hint, plain, driver_class(plain["driver"]) if hint is Instrument else driver)
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


def _table(cls: type, plain: dict[str, Any], driver: type[Driver] | None) -> Any:
    """A table, and with it the options of the instrument's driver."""
    hints = dict(_hints(cls))
    if cls in OPTIONS:
        hints["options"] = getattr(driver, OPTIONS[cls])
    return cls(**{name: _build(hints[name], value, driver) for name, value in plain.items()})
