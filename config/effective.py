"""Every setting of a site with its value and where that comes from: file, instrument model, platform preset, default.

What a platform set over the wire is laid over by the caller (`overrides`), with the origin `platform`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from config.lines import Path
from config.load import Examined
from config.markers import duration_text
from config.merge import Merged
from config.problem import MASK, is_secret
from config.shape import Key, keys

Origin = Literal["file", "model", "preset", "default", "platform"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One key with its value as the file would have it (None: not set), and its line there."""

    key: str
    value: Any
    origin: Origin
    line: int | None = None


def settings(examined: Examined, overrides: Mapping[str, Any] | None = None, secrets: bool = False) -> list[Setting]:
    """All settings in the file's order; passwords as `***` unless `secrets`. Empty for a file with errors.

    `overrides`: values by dotted key that hold instead of the file's; those that the file has no key for come last.
    """
    if examined.site is None:
        return []
    overrides = overrides or {}
    found = [
        dataclasses.replace(s, value=overrides[s.key], origin="platform") if s.key in overrides else s
        for s in _table(examined.merged, (), examined.site, secrets)
    ]
    known = {s.key for s in found}
    return found + [Setting(key, value, "platform") for key, value in overrides.items() if key not in known]


def _table(merged: Merged, path: Path, table: Any, secrets: bool) -> Iterator[Setting]:
    cls: type = type(table)
    for key in keys(cls).values():
        yield from _value(merged, (*path, key.name), getattr(table, key.attribute), key, secrets)
    options = getattr(table, "options", None)
    if options is not None:
        yield from _table(merged, path, options, secrets)


def _value(merged: Merged, path: Path, value: Any, key: Key, secrets: bool) -> Iterator[Setting]:
    if dataclasses.is_dataclass(value):
        yield from _table(merged, path, value, secrets)
    elif isinstance(value, dict) and key.keyed() is not None:
        for name, table in value.items():
            yield from _table(merged, (*path, name), table, secrets)
    elif isinstance(value, tuple) and key.keyed() is not None:
        for index, table in enumerate(value):
            yield from _table(merged, (*path, index), table, secrets)
    elif value is not None or key.keyed() is None:
        origin, line = _origin(merged, path)
        # a duration of the file stays as it was written: `60s`, not `1min`
        is_raw = key.is_duration and origin == "file"
        shown = _raw(merged, path) if is_raw else _as_written(value, key)
        hidden = is_secret(path) and not secrets
        yield Setting(merged.key(path), MASK if hidden else shown, origin, line)


def _raw(merged: Merged, path: Path) -> Any:
    value: Any = merged.document.raw
    for part in merged.in_file(path):
        value = value[part]
    return value


def _as_written(value: Any, key: Key) -> Any:
    if key.is_duration and value is not None:
        return duration_text(value)
    return list(value) if isinstance(value, tuple) else value


def _origin(merged: Merged, path: Path) -> tuple[Origin, int | None]:
    if merged.is_of_model(path):
        return "model", merged.line(path)
    if merged.is_of_preset(path):
        return "preset", merged.line(path)
    written = merged.in_file(path)
    if path not in merged.filled_in and written in merged.document.lines:
        return "file", merged.document.lines[written]
    return "default", None
