"""The shape of the site file, read off the dataclasses: its tables, their keys, what each key allows.

One description serves the error messages, `config show` and the reference in `docs/site-file.md`.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Le

from config.alarms import AlarmRules
from config.batch import Source
from config.controls import Action, Info, Read, Until, Write
from config.filed import Filed
from config.lines import Path
from config.markers import Duration, OneOf, Pattern, duration_text
from config.mqtt import Mqtt
from config.problem import toml_text
from config.sampler import Sampler
from config.site import (
    Access,
    GasRules,
    General,
    Instrument,
    Line,
    NoiseRules,
    Outlet,
    Platform,
    Point,
    Retention,
    Site,
    WaterRules,
)
from config.states import State
from config.switches import Contact, Derived, Maintenance, MaintenanceSwitch, StopSource
from config.tls import Tls

TABLES: dict[str, type] = {
    "[site]": General,
    "[outlets.NAME]": Outlet,
    "[outlets.NAME.alarms.NAME]": AlarmRules,
    "[outlets.NAME.water]": WaterRules,
    "[outlets.NAME.gas]": GasRules,
    "[outlets.NAME.noise]": NoiseRules,
    "[[outlets.NAME.derived]]": Derived,
    "[[outlets.NAME.filed]]": Filed,
    "[outlets.NAME.stop]": StopSource,
    "[lines.NAME]": Line,
    "[instruments.NAME]": Instrument,
    "[[instruments.NAME.points]]": Point,
    "[[instruments.NAME.states]]": State,
    "[instruments.NAME.points.SOURCE]": Source,
    "[[instruments.NAME.infos]]": Info,
    "[[instruments.NAME.filed]]": Filed,
    "[instruments.NAME.sampler]": Sampler,
    "[instruments.NAME.sampler.SOURCE]": Read,
    "[instruments.NAME.actions.NAME]": Action,
    "[[instruments.NAME.actions.NAME.write]]": Write,
    "[instruments.NAME.actions.NAME.until]": Until,
    "[[instruments.NAME.actions.NAME.after]]": Write,
    "[[instruments.NAME.actions.NAME.read]]": Read,
    "[platforms.NAME]": Platform,
    "[platforms.NAME.outlets.NAME]": Access,
    "[platforms.NAME.tls]": Tls,
    "[platforms.NAME.mqtt]": Mqtt,
    "[store]": Retention,
    "[maintenance]": Maintenance,
    "[[maintenance.switches]]": MaintenanceSwitch,
    "[[contacts]]": Contact,
}
"""Every table of the file, as its header is written."""

OPTIONS: dict[type, str] = {
    Instrument: "InstrumentOptions",
    Point: "PointOptions",
    State: "PointOptions",
    Source: "PointOptions",
    Info: "PointOptions",
    Read: "PointOptions",
    Until: "PointOptions",
    Write: "WriteOptions",
}
"""The tables in which a driver's keys stand beside ours: the driver's class of those keys."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a table. `default` is `dataclasses.MISSING` where the key must be given."""

    name: str
    hint: Any
    marks: tuple[Any, ...]
    default: Any
    attribute: str
    """Its name in Python."""

    @property
    def required(self) -> bool:
        """Whether the file must give it."""
        return self.default is dataclasses.MISSING

    @property
    def is_duration(self) -> bool:
        """Whether it is written with a unit of time."""
        return any(isinstance(mark, Duration) for mark in self.marks)

    def text(self, value: Any) -> str:
        """A value of this key as the file would have it."""
        if self.is_duration and isinstance(value, int):
            return f'"{duration_text(value)}"'
        return toml_text(value)

    def bound(self, kind: type) -> str | None:
        """The lower (`Ge`) or upper (`Le`) bound, as a message shows it."""
        for mark in self.marks:
            if isinstance(mark, kind):
                limit = mark.ge if isinstance(mark, Ge) else mark.le if isinstance(mark, Le) else None
                return duration_text(limit) if self.is_duration and isinstance(limit, int) else f"{limit}"
        return None

    def choices(self) -> list[str]:
        """The values of a closed list, as the file would have them."""
        fixed = next((mark.values for mark in self.marks if isinstance(mark, OneOf)), None)
        values = fixed if fixed is not None else [v for part in _walk(self.hint) for v in _literals(part)]
        return [self.text(value) for value in values]

    def length(self) -> int | None:
        """How many elements a list of a fixed length has."""
        parts = [get_args(part) for part in _walk(self.hint) if get_origin(part) is tuple]
        return next((len(args) for args in parts if Ellipsis not in args), None)

    def form(self) -> str | None:
        """Name of the form of a text (`config.form.…`)."""
        return next((mark.what for mark in self.marks if isinstance(mark, Pattern)), None)

    def keyed(self) -> type | None:
        """The dataclass that a table or an array of tables under this key is made of."""
        return next(
            (part for part in _walk(self.hint) if dataclasses.is_dataclass(part) and isinstance(part, type)),
            None,
        )


def _walk(hint: Any) -> Iterator[Any]:
    """A hint and the hints inside it."""
    yield hint
    for part in get_args(hint):
        if get_origin(hint) is not Literal:
            yield from _walk(part)


def _literals(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) is Literal else ()


def _marks(hint: Any) -> tuple[Any, ...]:
    """Marks of the hint, or of the members of its union."""
    if get_origin(hint) is Annotated:
        return tuple(hint.__metadata__) + _marks(hint.__origin__)
    if _is_union(hint):
        return tuple(mark for part in get_args(hint) for mark in _marks(part))
    return ()


def file_name(attribute: str) -> str:
    """What the file calls an attribute: `from`, which Python keeps for itself, is `from_` there."""
    return attribute.removesuffix("_")


@cache
def keys(cls: type) -> dict[str, Key]:
    """The keys of a table, by name; `options` is no key: what it holds stands flat in the file."""
    hints = get_type_hints(cls, include_extras=True)
    return {
        file_name(field.name): Key(
            file_name(field.name), hints[field.name], _marks(hints[field.name]), _default(field), field.name
        )
        for field in dataclasses.fields(cls)
        if field.name != "options"
    }


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


def table_at(path: Path) -> type | None:
    """The dataclass of the table at a path, `("platforms", "city")` → `Platform`; None for none."""
    cls: type | None = Site
    parts = list(path)
    while parts and cls is not None:
        key = keys(cls).get(str(parts.pop(0)))
        cls = key.keyed() if key else None
        if key and cls is not None and _is_many(key.hint):
            if not parts:
                return None
            parts.pop(0)
    return cls


def _is_many(hint: Any) -> bool:
    """Whether names or numbers stand between a key and its tables."""
    return any(get_origin(part) in (dict, tuple) for part in _walk(hint))


def key_at(path: Path) -> Key | None:
    """The key at a path; an element of a list goes by the list's key."""
    while path and isinstance(path[-1], int):
        path = path[:-1]
    cls = table_at(path[:-1]) if path else None
    return keys(cls).get(str(path[-1])) if cls else None


def reference(cls: type) -> list[tuple[str, str, str]]:
    """Name, what is allowed and default of each key, as `docs/site-file.md` has them; tables have their own rows."""
    return [(f"`{key.name}`", _allowed(key), _default_text(key)) for key in keys(cls).values() if key.keyed() is None]


def _allowed(key: Key) -> str:
    choices, low, high = key.choices(), key.bound(Ge), key.bound(Le)
    if choices:
        kinds = {get_origin(part) or part for part in _walk(key.hint)}
        parts = get_args(key.hint) if _is_union(key.hint) else ()
        alone = [key.text(value) for part in parts for value in _literals(part)]
        listed = [choice for choice in choices if choice not in alone] if tuple in kinds else choices
        first = ["true", "false"] if bool in kinds else alone if tuple in kinds else []
        many = "list of " if tuple in kinds else "table of " if dict in kinds else ""
        some = " ".join(f"`{c}`" for c in first) + (" or " if first else "") + many
        return some + " ".join(f"`{c}`" for c in listed)
    kind = "duration" if key.is_duration else _kind(key.hint)
    return kind + (f" {low} … {high}" if low and high else f" ≥ {low}" if low else "")


def _kind(hint: Any) -> str:
    names = {int: "integer", float: "number", str: "text", bool: "boolean", tuple: "list", dict: "table"}
    kinds = list(dict.fromkeys(names[part] for part in (get_origin(p) or p for p in _walk(hint)) if part in names))
    if "table" in kinds:
        return "table"
    if "list" not in kinds:
        return "/".join(kinds)
    # a list of numbers is a list; a number or a list of them is both
    bare = [get_args(part)[0] if get_origin(part) is Annotated else part for part in get_args(hint)]
    alone = [names[part] for part in bare if part in names] if _is_union(hint) else []
    return "/".join([*dict.fromkeys(alone), "list"])


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, types.UnionType)


def _default_text(key: Key) -> str:
    if key.required:
        return "required"
    return "–" if key.default is None else f"`{key.text(key.default)}`"
