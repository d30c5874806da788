"""Reading and changing single keys of a site file; comments and order stay (tomlkit, command line only).

    platforms.city.realtime         instruments.cod.points.w01018.range    (a point by its factor or number)

A change is written only when the whole file checks with it: to a temporary file, synced, renamed over the old
one with its mode and owner. A point that only the model has is added to the file when a key of it is set.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from config.document import NAMED_BY, decode, parse, read_bytes
from config.effective import Setting, settings
from config.lines import join_key, split_key
from config.load import Examined, examine, examine_bytes, sound
from config.problem import ConfigError, ConfigErrors, nearest

_BOM = b"\xef\xbb\xbf"
NEW_MODE = 0o640
"""Of a new site file: it holds passwords."""


@dataclass(frozen=True, slots=True)
class _Makers:
    """How new tables and arrays of tables are made: as plain values, or as tomlkit's."""

    table: Callable[[], Any]
    tables: Callable[[], Any]


_PLAIN = _Makers(dict, list)
_WRITTEN = _Makers(tomlkit.table, tomlkit.aot)


def get_key(path: Path, dotted: str, secrets: bool = False) -> list[Setting]:
    """The setting of a key, or all of a table; raises ConfigErrors, and ConfigError for an unknown key."""
    examined = examine(path)
    sound(examined, path)
    every = settings(examined, secrets=secrets)
    wanted = join_key(tuple(_parts(dotted)))
    found = [s for s in every if s.key == wanted or s.key.startswith(wanted + ".")]
    if not found:
        raise ConfigError("config.no-such-key", got=dotted, nearest=nearest(wanted, _tables(every)) or "–")
    return found


def _tables(every: list[Setting]) -> list[str]:
    """All keys, and the tables they stand in."""
    parts = [split_key(setting.key) for setting in every]
    return list(dict.fromkeys(join_key(tuple(p[:n])) for p in parts for n in range(1, len(p) + 1)))


def set_key(path: Path, dotted: str, value_text: str) -> Examined:
    """Set a key and write the file; raises ConfigErrors where it would not check: the file stays untouched.

    The value is TOML (`[0, 500]`, `true`, `"60s"`) or, where that does not check, the bare text (`60s`).
    """
    parts = _parts(dotted)
    data = read_bytes(path)
    parse(data, path)
    refused: ConfigErrors | None = None
    for value in _readings(value_text):
        changed = _changed(data, path, parts, value)
        examined = examine_bytes(changed, path)
        if examined.site is not None:
            write_file(path, changed)
            return examined
        refused = refused or ConfigErrors(path, examined.problems)
    raise refused or ConfigError("config.value-form", got=dotted)


def write_file(path: Path, data: bytes) -> None:
    """Replace a file in one step, with its mode and owner; raises ConfigError."""
    real = Path(os.path.realpath(path))
    try:
        _replace(real, data)
    except OSError as error:
        raise ConfigError("config.file.unwritable", file=str(path), reason=error.strerror or str(error)) from error


def _parts(dotted: str) -> list[str]:
    try:
        return split_key(dotted)
    except (ValueError, IndexError) as error:
        raise ConfigError("config.key-form", got=dotted) from error


def _readings(text: str) -> Iterator[Any]:
    """What the text may mean: a TOML value, then itself."""
    try:
        parsed = tomllib.loads(f"v = {text}")
    except tomllib.TOMLDecodeError:
        parsed = {}
    if parsed.keys() == {"v"}:
        yield tomlkit.parse(f"v = {text}")["v"]
    yield tomlkit.string(text)


def _changed(data: bytes, path: Path, parts: list[str], value: Any) -> bytes:
    """The file's bytes with the key set; byte order mark and line ends stay."""
    text = decode(data, path)
    document = tomlkit.parse(text)
    expected = deepcopy(tomllib.loads(text))
    try:
        _put(document, parts, value, _WRITTEN)
        _put(expected, parts, value.unwrap(), _PLAIN)
        written = tomlkit.dumps(document)
        is_right = tomllib.loads(written) == expected
    except (TOMLKitError, tomllib.TOMLDecodeError, TypeError, KeyError) as error:
        raise ConfigError("config.edit", got=join_key(tuple(parts)), file=str(path)) from error
    if not is_right:
        raise ConfigError("config.edit", got=join_key(tuple(parts)), file=str(path))
    ends = written.replace("\n", "\r\n") if b"\r\n" in data else written
    return (_BOM if data.startswith(_BOM) else b"") + ends.encode()


def _put(root: Any, parts: list[str], value: Any, makers: _Makers) -> None:
    table = root
    for depth, part in enumerate(parts[:-1]):
        if depth == 3 and parts[0] == "instruments" and parts[2] in NAMED_BY:
            table = _point(table, part, NAMED_BY[parts[2]], makers)
            continue
        if part not in table:
            is_list = depth == 2 and parts[0] == "instruments" and part in NAMED_BY
            table[part] = makers.tables() if is_list else makers.table()
        table = table[part]
    table[parts[-1]] = value


def _point(points: Any, name: str, by: str, makers: _Makers) -> Any:
    """The point of this factor or number; a new one for a factor that the file does not have."""
    for point in points:
        if point.get(by) == name:
            return point
    if name.isdecimal():
        if not 1 <= int(name) <= len(points):
            raise ConfigError("config.no-such-point", got=name, count=len(points))
        return points[int(name) - 1]
    point = makers.table()
    point[by] = name
    points.append(point)
    return points[-1]


def _replace(path: Path, data: bytes) -> None:
    mode, owner = _mode_and_owner(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            if owner is not None and owner != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), *owner)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(name, path)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    _sync_folder(path.parent)


def _mode_and_owner(path: Path) -> tuple[int, tuple[int, int] | None]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return NEW_MODE, None
    return stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid)


def _sync_folder(folder: Path) -> None:
    """A rename is on disk only when its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
